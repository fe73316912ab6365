"""The /metrics page: link series rendered when evidence arrives and joined when scraped.

Rendering 300,000 series through a client library costs seconds; joining strings that were
rendered at ingest costs milliseconds (baselines B3). Counters come from the evidence road: late
data makes them jump late, and it counts once. States and ages come from the live road.
"""

from collections.abc import Iterable
from typing import NamedTuple

from collector.inventory import Inventory
from collector.latency import BUCKETS_NS
from collector.ledger import Stored, Tally, TargetSummary
from collector.ledger.sqlite import EMPTY_TALLY, add

NS = 1_000_000_000


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
HUB_LOST = Family(
    "pantau_link_hub_forward_lost_total",
    "counter",
    "Packets that the sender numbered and the hub's reflector did not hear (live road).",
)
HUB_HEARD = Family(
    "pantau_link_hub_packets_received_total",
    "counter",
    "STAMP packets that the hub's reflector heard on the link (live road).",
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

FROM_EVIDENCE = (SENT, LOST, NOT_SENT, FORWARD, REVERSE, RTT, MEDIAN, P95, PDV, JITTER, GAP)
FROM_LIVE = (
    INFO,
    STATE,
    REASON,
    HEARD_AGE,
    HUB_LOST,
    HUB_HEARD,
    LIVE_RTT,
    LIVE_LOSS,
    SETTLED,
    MISSING,
    AGENT_INFO,
    AGENT_STATUS,
    AGENT_CLOCK,
    AGENT_OFFSET,
    AGENT_WAITING,
    AGENT_SPOOL,
    AGENT_CAP,
    AGENT_REFUSED,
    AGENT_DROPPED,
)
FAMILIES = FROM_EVIDENCE + FROM_LIVE


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


class EvidenceSeries:
    """Series of the evidence road, one rendered fragment per family and target."""

    def __init__(self) -> None:
        self._fragments: dict[Family, dict[str, str]] = {family: {} for family in FROM_EVIDENCE}
        self._tallies: dict[tuple[str, str], Tally] = {}
        self._newest: dict[tuple[str, str], tuple[int, str]] = {}
        self._gap_s: dict[str, float] = {}
        self._nodes: dict[str, str] = {}

    def load(
        self,
        inventory: Inventory,
        tallies: dict[tuple[str, str], Tally],
        gap_observations: dict[str, int],
    ) -> None:
        """Render everything anew for these links: at start and after a reload."""
        self._nodes = {link.id: link.node for link in inventory.links.values()}
        self._tallies = {key: tally for key, tally in tallies.items() if key[0] in self._nodes}
        for fragments in self._fragments.values():
            fragments.clear()
        self._newest.clear()
        self._gap_s = {}
        for link in inventory.links.values():
            for target in ("hub", *(one.name for one in link.targets)):
                self._tallies.setdefault((link.id, target), EMPTY_TALLY)
            self.gap(link.id, gap_observations.get(link.id, 0) * link.interval_s)
        for (link_id, target), tally in self._tallies.items():
            self._render(link_id, target, tally)

    def gap(self, link: str, seconds: float) -> None:
        """Count seconds that a node listed as lost."""
        if link in self._nodes:
            self._gap_s[link] = self._gap_s.get(link, 0.0) + seconds
            label = labels(link=link, node=self._nodes[link])
            self._fragments[GAP][link] = sample(GAP, label, self._gap_s[link])

    def count(self, one: TargetSummary, stored: Stored) -> None:
        """Take one target's share of a new batch."""
        if one.link not in self._nodes:
            return
        tally = add(self._tallies.get((one.link, one.target), EMPTY_TALLY), one)
        self._tallies[(one.link, one.target)] = tally
        self._render(one.link, one.target, tally)
        offset = stored.placement.offset_ns if stored.placement is not None else 0
        end_ns = one.last_boot_ns + offset
        key = (one.link, one.target)
        if key not in self._newest or self._newest[key][0] <= end_ns:
            self._newest[key] = (end_ns, self._label(one.link, one.target))
            self._render_newest(one)

    def _label(self, link: str, target: str) -> str:
        return labels(link=link, node=self._nodes[link], target=target)

    def _render(self, link: str, target: str, tally: Tally) -> None:
        label, key = self._label(link, target), f"{link}\x00{target}"
        for family, value in (
            (SENT, tally.sent),
            (LOST, tally.lost),
            (NOT_SENT, tally.not_sent),
            (FORWARD, tally.forward_lost),
            (REVERSE, tally.reverse_lost),
        ):
            self._fragments[family][key] = f"{family.name}{label} {value}\n"
        self._fragments[RTT][key] = _histogram(label, tally)

    def _render_newest(self, one: TargetSummary) -> None:
        label, key, s = (
            self._label(one.link, one.target),
            f"{one.link}\x00{one.target}",
            one.summary,
        )
        for family, value in (
            (MEDIAN, s.rtt_median_ns),
            (P95, s.rtt_p95_ns),
            (PDV, s.pdv_p99_ns),
            (JITTER, s.jitter_ns),
        ):
            if value is None:
                self._fragments[family].pop(key, None)
            else:
                self._fragments[family][key] = sample(family, label, value / NS)

    def pages(self) -> Iterable[tuple[Family, Iterable[str]]]:
        """Families with their lines."""
        return ((family, lines.values()) for family, lines in self._fragments.items())


def page(families: Iterable[tuple[Family, Iterable[str]]]) -> str:
    """The text format (version 0.0.4) of these families."""
    parts: list[str] = []
    for family, lines in families:
        parts.append(f"# HELP {family.name} {family.help}\n# TYPE {family.name} {family.kind}\n")
        parts.extend(lines)
    return "".join(parts)
