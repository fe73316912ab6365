"""The instrument's own error, as the agents report it, and what depends on it: one-way delay.

A one-way delay is told only while both clocks are known well enough (methodology 3.2); otherwise
only the round trip is, and that needs no clock but the node's own.
"""

from collections.abc import Iterable

from collector.latency import one_way_allowed
from collector.ledger import Agent, Entry, TargetSummary
from collector.metrics import NS, Family, labels, sample
from wire.observation import StampSource

LATE = Family(
    "pantau_agent_slot_late_seconds",
    "gauge",
    "Longest time from when a packet was due to when it had left, newest heartbeat.",
)
CALL = Family("pantau_agent_send_call_seconds", "gauge", "Longest send call, newest heartbeat.")
CLOCK_ERROR = Family(
    "pantau_agent_clock_error_bound_seconds",
    "gauge",
    "Bound on the error of the agent's wall clock, newest heartbeat.",
)
HUB_BOUND = Family(
    "pantau_agent_hub_clock_error_bound_seconds",
    "gauge",
    "Bound on what the agent knows of the hub's clock by its own exchanges.",
)
STAMPS = Family(
    "pantau_agent_round_trips_total",
    "counter",
    "Round trips by whose stamps made them, since this collector started.",
)
FORWARD = Family(
    "pantau_link_forward_delay_seconds",
    "gauge",
    "Median one-way delay from node to hub (RFC 7679), newest settled batch; only"
    " while both clocks are known well enough.",
)
REVERSE = Family(
    "pantau_link_reverse_delay_seconds",
    "gauge",
    "Median round trip less the one-way delay to the hub, newest settled batch.",
)
FROM_INSTRUMENT = (LATE, CALL, CLOCK_ERROR, HUB_BOUND, STAMPS, FORWARD, REVERSE)


class InstrumentSeries:
    """Rendered from the newest batch of every agent."""

    def __init__(self) -> None:
        self._lines: dict[Family, dict[str, str]] = {family: {} for family in FROM_INSTRUMENT}
        self._stamps: dict[tuple[bytes, StampSource], int] = {}
        self._newest: dict[bytes, int] = {}

    def take(self, agent: Agent, entry: Entry, offset_ns: int, hub_error_ns: int | None) -> None:
        """A new batch; what is older than the newest only counts."""
        label = labels(node=agent.node, agent=agent.agent_id.hex())
        for one in entry.targets:
            self._count(agent, one, label)
        made_ns = entry.batch.header.last_boot_ns + offset_ns
        if made_ns < self._newest.get(agent.agent_id, made_ns):
            return
        self._newest[agent.agent_id] = made_ns
        beat = entry.beat
        if beat is not None:
            self._show(LATE, label, beat.slot_late_ns)
            self._show(CALL, label, beat.send_call_ns)
            self._show(CLOCK_ERROR, label, beat.clock_error_ns)
            self._show(HUB_BOUND, label, None if beat.anchor is None else beat.anchor.error_ns)
        # A clock that is only known by comparison with the hub says nothing of one way.
        error_ns = None if beat is None or beat.clock_source == "hub" else beat.clock_error_ns
        for one in entry.targets:
            self._one_way(agent, one, error_ns, hub_error_ns)

    def _count(self, agent: Agent, one: TargetSummary, label: str) -> None:
        for source in list(StampSource)[1:]:
            key = (agent.agent_id, source)
            made = one.stamps[source] if one.stamps else 0
            self._stamps[key] = self._stamps.get(key, 0) + made
            told = f'{label[:-1]},stamp="{source.name.lower()}"}}'
            self._lines[STAMPS][told] = sample(STAMPS, told, self._stamps[key])

    def _one_way(
        self, agent: Agent, one: TargetSummary, error_ns: int | None, hub_error_ns: int | None
    ) -> None:
        label = labels(link=one.link, node=agent.node, target=one.target)
        forward = None if one.forward_us is None else one.forward_us * 1000
        rtt = one.summary.rtt_median_ns
        if forward is None or rtt is None or not one_way_allowed(error_ns, hub_error_ns, forward):
            forward = rtt = None
        self._show(FORWARD, label, forward)
        self._show(REVERSE, label, None if rtt is None or forward is None else rtt - forward)

    def _show(self, family: Family, label: str, value_ns: float | None) -> None:
        if value_ns is None:
            self._lines[family].pop(label, None)
        else:
            self._lines[family][label] = sample(family, label, value_ns / NS)

    def pages(self) -> Iterable[tuple[Family, Iterable[str]]]:
        """Families with their lines; those without any are left out."""
        return ((family, lines.values()) for family, lines in self._lines.items() if lines)
