"""The /metrics page: link series rendered when evidence arrives and joined when scraped.

Rendering 300,000 series through a client library costs seconds; joining strings that were
rendered at ingest costs milliseconds (baselines B3). Counters come from the evidence road: late
data makes them jump late, and it counts once. States and ages come from the live road.
"""

from collections.abc import Iterable
from enum import StrEnum
from typing import NamedTuple

from collector.inventory import HUB_TARGET, Inventory
from collector.latency import BUCKETS_NS
from collector.ledger import EMPTY_TALLY, Stored, Tally, TargetSummary, add

NS = 1_000_000_000
FRESH_NS = 180 * NS
"""A batch that ends longer ago (three of its minutes) says nothing about now: gauges go."""
Key = tuple[str, str]
"""Link and target."""


class Road(StrEnum):
    """By which way a series comes: docs/metrics.md. A scrape can ask for some of them."""

    EVIDENCE = "evidence"
    LIVE = "live"
    OWN = "own"


ALL_ROADS = frozenset(Road)


class Family(NamedTuple):
    """One metric: its name, type and help."""

    name: str
    kind: str
    help: str


SENT = Family(
    "pantau_link_packets_sent_total", "counter", "Packets sent to a target, by settled evidence."
)
LOST = Family(
    "pantau_link_packets_lost_total",
    "counter",
    "Packets without a reply before the timeout (RFC 6673), by settled evidence.",
)
NOT_SENT = Family(
    "pantau_link_packets_not_sent_total",
    "counter",
    "Slots in which the node could not send: never loss on the path.",
)
FORWARD = Family(
    "pantau_link_packets_lost_forward_total",
    "counter",
    "Packets lost from node to hub, by the reflector's counter in the evidence.",
)
REVERSE = Family(
    "pantau_link_packets_lost_reverse_total",
    "counter",
    "Replies lost from hub to node, by the reflector's counter in the evidence.",
)
RTT = Family(
    "pantau_link_rtt_seconds",
    "histogram",
    "Round-trip time of received packets (RFC 2681), by settled evidence.",
)
MEDIAN = Family(
    "pantau_link_rtt_median_seconds",
    "gauge",
    "Median RTT of the newest settled batch (one minute); lost packets count as +Inf.",
)
P95 = Family(
    "pantau_link_rtt_p95_seconds",
    "gauge",
    "95th percentile RTT of the newest settled batch; lost packets count as +Inf.",
)
PDV = Family(
    "pantau_link_pdv_seconds",
    "gauge",
    "Round-trip packet delay variation, 99th percentile minus minimum (RFC 5481 4.2),"
    " newest settled batch.",
)
JITTER = Family(
    "pantau_link_jitter_seconds",
    "gauge",
    "Round-trip interarrival jitter (RFC 3550 6.4.1), newest settled batch.",
)
GAP = Family(
    "pantau_link_gap_seconds_total",
    "counter",
    "Seconds of observations that the node lists as lost, with a reason in the ledger.",
)

INFO = Family("pantau_link_info", "gauge", "What a link is; always 1.")
STATE = Family(
    "pantau_link_state",
    "gauge",
    "State as known now (live road, provisional): 1 for the state that holds.",
)
REASON = Family(
    "pantau_link_state_reason",
    "gauge",
    "Why the live state is what it is; 1 for the reason that holds.",
)
HEARD_AGE = Family(
    "pantau_link_last_heard_age_seconds",
    "gauge",
    "Seconds since the hub's reflector last heard the link.",
)
HUB_EXPECTED = Family(
    "pantau_link_hub_packets_expected_total",
    "counter",
    "Packets that the sender numbered up to the newest one heard: what was not received of them"
    " was lost from node to hub (live road).",
)
HUB_HEARD = Family(
    "pantau_link_hub_packets_received_total",
    "counter",
    "STAMP packets that the hub's reflector heard on the link, each once (live road).",
)
LIVE_RTT = Family(
    "pantau_link_live_rtt_seconds",
    "gauge",
    "Median RTT of the last seconds as the node's status says (live road).",
)
LIVE_LOSS = Family(
    "pantau_link_live_loss_ratio",
    "gauge",
    "Round-trip loss ratio of the last seconds as the node's status says.",
)
SETTLED = Family(
    "pantau_link_evidence_settled_timestamp_seconds",
    "gauge",
    "Time of the newest observation before the first hole in the evidence.",
)
MISSING = Family(
    "pantau_link_evidence_missing_batches", "gauge", "Batches known to exist and not here yet."
)

LATITUDE = Family(
    "pantau_node_latitude_degrees", "gauge", "Latitude of a node, by the inventory (WGS 84)."
)
LONGITUDE = Family(
    "pantau_node_longitude_degrees", "gauge", "Longitude of a node, by the inventory (WGS 84)."
)

AGENT_INFO = Family("pantau_agent_info", "gauge", "Which agent runs at a node; always 1.")
AGENT_STATUS = Family(
    "pantau_agent_last_status_timestamp_seconds",
    "gauge",
    "When the agent's newest live status arrived, by the hub's clock.",
)
AGENT_CLOCK = Family(
    "pantau_agent_clock_class",
    "gauge",
    "Quality of the agent's wall clock: 1 for the class that holds (A best).",
)
AGENT_OFFSET = Family(
    "pantau_agent_clock_offset_seconds",
    "gauge",
    "Agent's wall clock minus the hub's when its status arrived; includes the way's delay.",
)
AGENT_WAITING = Family("pantau_agent_spool_batches", "gauge", "Batches waiting at the node.")
AGENT_SPOOL = Family("pantau_agent_spool_bytes", "gauge", "Bytes that the node's spool holds.")
AGENT_CAP = Family("pantau_agent_spool_limit_bytes", "gauge", "Bytes that the spool may hold.")
AGENT_SPOOL_AGE = Family(
    "pantau_agent_spool_age_seconds",
    "gauge",
    "Age of the oldest evidence that waited at the node when its status was made; 0: none did.",
)
AGENT_REFUSED = Family(
    "pantau_agent_spool_refused_batches",
    "gauge",
    "Batches at the node that the collector would not take.",
)
AGENT_DROPPED = Family(
    "pantau_agent_dropped_observations_total",
    "counter",
    "Observations that the node had to drop since its start, each with a gap record.",
)

FROM_NEWEST = (MEDIAN, P95, PDV, JITTER)
FROM_EVIDENCE = (SENT, LOST, NOT_SENT, FORWARD, REVERSE, RTT, MEDIAN, P95, PDV, JITTER, GAP)
FROM_LINKS = (
    INFO,
    STATE,
    REASON,
    HEARD_AGE,
    HUB_EXPECTED,
    HUB_HEARD,
    LIVE_RTT,
    LIVE_LOSS,
)
FROM_HEADS = (SETTLED, MISSING)
FROM_NODES = (LATITUDE, LONGITUDE)
FROM_AGENTS = (
    AGENT_INFO,
    AGENT_STATUS,
    AGENT_CLOCK,
    AGENT_OFFSET,
    AGENT_WAITING,
    AGENT_SPOOL,
    AGENT_CAP,
    AGENT_SPOOL_AGE,
    AGENT_REFUSED,
    AGENT_DROPPED,
)
FROM_LIVE = FROM_LINKS + FROM_NODES + FROM_AGENTS
FAMILIES = FROM_EVIDENCE + FROM_HEADS + FROM_LIVE


def escape(value: str) -> str:
    """A label value as the text format wants it."""
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def labels(**pairs: str) -> str:
    """`{a="x",b="y"}`."""
    return "{" + ",".join(f'{key}="{escape(value)}"' for key, value in pairs.items()) + "}"


def number(value: float) -> str:
    """A sample value, full precision."""
    if value != value or value in (float("inf"), float("-inf")):
        return {float("inf"): "+Inf", float("-inf"): "-Inf"}.get(value, "NaN")
    return repr(value)


def sample(family: Family, label: str, value: float) -> str:
    """One line of the page."""
    return f"{family.name}{label} {number(value)}\n"


_BOUNDS = [*(repr(bound / NS) for bound in BUCKETS_NS), "+Inf"]


def _histogram(label: str, tally: Tally) -> str:
    inner = label[:-1]
    lines, total = [], 0
    for bound, count in zip(_BOUNDS, tally.buckets, strict=True):
        total += count
        lines.append(f'{RTT.name}_bucket{inner},le="{bound}"}} {total}\n')
    lines.append(f"{RTT.name}_sum{label} {number(tally.rtt_sum_ns / NS)}\n")
    lines.append(f"{RTT.name}_count{label} {tally.received}\n")
    return "".join(lines)


class _Shown(NamedTuple):
    """A target that the inventory knows."""

    label: str
    interval_s: float
    directional: bool
    """Whether its probe tells losses by direction; elsewhere they are unknown, and not 0."""


def _shown(inventory: Inventory) -> dict[Key, _Shown]:
    shown: dict[Key, _Shown] = {}
    for link in inventory.links.values():
        targets = [(HUB_TARGET, "stamp", link.interval_s)]
        targets += [(one.name, one.probe, one.interval_s) for one in link.targets]
        for name, probe, interval_s in targets:
            label = labels(link=link.id, node=link.node, target=name)
            shown[link.id, name] = _Shown(label, interval_s, probe == "stamp")
    return shown


class EvidenceSeries:
    """Series of the evidence road, one rendered fragment per family and target.

    Only targets of the inventory are shown: names that an agent makes up make no series.
    """

    def __init__(self) -> None:
        self._fragments: dict[Family, dict[Key, str]] = {family: {} for family in FROM_EVIDENCE}
        self._tallies: dict[Key, Tally] = {}
        self._newest: dict[Key, tuple[int, TargetSummary]] = {}
        self._gaps: dict[Key, int] = {}
        self._shown: dict[Key, _Shown] = {}

    def load(
        self, inventory: Inventory, tallies: dict[Key, Tally], gap_observations: dict[Key, int]
    ) -> None:
        """Render everything anew for these links: at start and after a reload.

        What is counted here already stays: the ledger may hold batches whose `count` is to come.
        """
        self._shown = _shown(inventory)
        for fragments in self._fragments.values():
            fragments.clear()
        tallies, gaps = tallies | self._tallies, gap_observations | self._gaps
        self._tallies = {key: tallies.get(key, EMPTY_TALLY) for key in self._shown}
        self._gaps = {key: gaps.get(key, 0) for key in self._shown}
        self._newest = {key: one for key, one in self._newest.items() if key in self._shown}
        for key in self._shown:
            self._render(key)
            self.gap(key, 0)
        for key, (_, one) in self._newest.items():
            self._render_newest(key, one)

    def gap(self, key: Key, observations: int) -> None:
        """Count observations that a node listed as lost."""
        if key in self._shown:
            self._gaps[key] += observations
            seconds = self._gaps[key] * self._shown[key].interval_s
            self._fragments[GAP][key] = sample(GAP, self._shown[key].label, seconds)

    def count(self, one: TargetSummary, stored: Stored) -> None:
        """Take one target's share of a new batch."""
        key = (one.link, one.target)
        if key not in self._shown:
            return
        self._tallies[key] = add(self._tallies[key], one)
        self._render(key)
        offset = stored.placement.offset_ns if stored.placement is not None else 0
        end_ns = one.last_boot_ns + offset
        if key not in self._newest or self._newest[key][0] <= end_ns:
            self._newest[key] = (end_ns, one)
            self._render_newest(key, one)

    def _render(self, key: Key) -> None:
        tally, (label, _, directional) = self._tallies[key], self._shown[key]
        for family, value in (
            (SENT, tally.sent),
            (LOST, tally.lost),
            (NOT_SENT, tally.not_sent),
            (FORWARD, tally.forward_lost if directional else None),
            (REVERSE, tally.reverse_lost if directional else None),
        ):
            if value is not None:
                self._fragments[family][key] = sample(family, label, value)
        self._fragments[RTT][key] = _histogram(label, tally)

    def _render_newest(self, key: Key, one: TargetSummary) -> None:
        s = one.summary
        values = (s.rtt_median_ns, s.rtt_p95_ns, s.pdv_p99_ns, s.jitter_ns)
        for family, value in zip(FROM_NEWEST, values, strict=True):
            if value is None:
                self._fragments[family].pop(key, None)
            else:
                label = self._shown[key].label
                self._fragments[family][key] = sample(family, label, value / NS)

    def pages(self, now_wall_ns: int) -> Iterable[tuple[Family, Iterable[str]]]:
        """Families with their lines."""
        since_ns = now_wall_ns - FRESH_NS
        stale = [key for key, (end_ns, _) in self._newest.items() if end_ns < since_ns]
        for key in stale:
            for family in FROM_NEWEST:
                self._fragments[family].pop(key, None)
        return ((family, lines.values()) for family, lines in self._fragments.items())


def page(families: Iterable[tuple[Family, Iterable[str]]]) -> str:
    """The text format (version 0.0.4) of these families."""
    parts: list[str] = []
    for family, lines in families:
        parts.append(f"# HELP {family.name} {family.help}\n# TYPE {family.name} {family.kind}\n")
        parts.extend(lines)
    return "".join(parts)
