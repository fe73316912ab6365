"""What the ledger holds, as points of series: pure.

Names of their own, so that no scraped series has two histories. Every value is about a stretch of
time that ends at its stamp (a batch, a UTC minute) and none is a counter: late evidence adds to
its own minute and moves no later sample.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from collector.audit.evidence import Span
from collector.audit.intervals import Interval
from collector.audit.states import State
from collector.backfill.remote_write import Point, series
from collector.inventory import HUB_TARGET, Link
from collector.metrics import Family

NS = 1_000_000_000
MINUTE_S = 60

SENT = Family(
    "pantau_settled_packets_sent",
    "gauge",
    "Packets that left for a target in the batch (one minute) that ends at the stamp.",
)
LOST = Family(
    "pantau_settled_packets_lost",
    "gauge",
    "Of these, without a round trip before the timeout (RFC 6673).",
)
FORWARD = Family(
    "pantau_settled_packets_lost_forward",
    "gauge",
    "Of these, lost from node to hub, by the reflector's counter. STAMP targets only.",
)
REVERSE = Family(
    "pantau_settled_packets_lost_reverse",
    "gauge",
    "Replies lost from hub to node, by the same counter. STAMP targets only.",
)
MEDIAN = Family(
    "pantau_settled_rtt_median_seconds",
    "gauge",
    "Median RTT of the batch that ends at the stamp; lost packets count as +Inf.",
)
P95 = Family(
    "pantau_settled_rtt_p95_seconds",
    "gauge",
    "95th percentile RTT of the batch that ends at the stamp; lost packets count as +Inf.",
)
STATE = Family(
    "pantau_settled_state_seconds",
    "gauge",
    "Seconds of each state in the UTC minute that ends with the stamp; together 60.",
)
FROM_TRAINS = (SENT, LOST, FORWARD, REVERSE, MEDIAN, P95)
FAMILIES = (*FROM_TRAINS, STATE)
LABELS = {**{family: ("link", "node", "target") for family in FROM_TRAINS}}
LABELS[STATE] = ("link", "node", "state")


class TrainRow(NamedTuple):
    """One target's packets in one batch, as the ledger counted them."""

    target: str
    at_ns: int
    """When the newest of its packets was sent (UTC)."""
    sent: int
    lost: int
    forward_lost: int | None
    reverse_lost: int | None
    rtt_median_ns: float | None
    rtt_p95_ns: float | None


class LinkSeries:
    """The series of one link at one endpoint; labels are made once."""

    def __init__(self, link: Link, extra: Mapping[str, str]) -> None:
        self._own = {"link": link.id, "node": link.node, **extra}
        self._targets = {HUB_TARGET, *(one.name for one in link.targets)}
        self._rows: dict[str, tuple[bytes, ...]] = {}
        self._states = {
            state: series(STATE.name, {**self._own, "state": state.value}) for state in State
        }

    def _of(self, target: str) -> tuple[bytes, ...]:
        if target not in self._rows:
            labels = {**self._own, "target": target}
            self._rows[target] = tuple(series(one.name, labels) for one in FROM_TRAINS)
        return self._rows[target]

    def packets(self, rows: Iterable[TrainRow]) -> Iterator[Point]:
        """Points of these trains. A target that the inventory does not name makes no series; what
        was not measured makes no point."""
        for one in rows:
            if one.target not in self._targets:
                continue
            values = (
                one.sent,
                one.lost,
                one.forward_lost,
                one.reverse_lost,
                None if one.rtt_median_ns is None else one.rtt_median_ns / NS,
                None if one.rtt_p95_ns is None else one.rtt_p95_ns / NS,
            )
            at_ms = one.at_ns // 1_000_000
            for labels, value in zip(self._of(one.target), values, strict=True):
                if value is not None:
                    yield Point(labels, at_ms, value)

    def states(self, intervals: Iterable[Interval]) -> Iterator[Point]:
        """Points of the minutes that these intervals, which follow one another, touch.

        The stamp is a minute's last millisecond: so a range that ends with an hour holds its sixty
        minutes, whether ranges are open or closed on the left (Prometheus 3 changed that).
        """
        for minute_s, seconds in _minutes(intervals):
            at_ms = (minute_s + MINUTE_S) * 1000 - 1
            for state, labels in self._states.items():
                yield Point(labels, at_ms, seconds.get(state, 0))


def _minutes(intervals: Iterable[Interval]) -> Iterator[tuple[int, dict[State, int]]]:
    """(begin, seconds by state) of every minute touched, in order."""
    minutes: dict[int, dict[State, int]] = {}
    for one in intervals:
        for minute_s in range(minute_of(one.start_s), one.end_s, MINUTE_S):
            length_s = min(one.end_s, minute_s + MINUTE_S) - max(one.start_s, minute_s)
            seconds = minutes.setdefault(minute_s, {})
            seconds[one.state] = seconds.get(one.state, 0) + length_s
    return iter(minutes.items())


def minute_of(second: int) -> int:
    """The begin of its UTC minute."""
    return second - second % MINUTE_S


def whole_minutes(span: Span) -> Span:
    """The minutes that the span touches."""
    return Span(minute_of(span.start_s), minute_of(span.end_s + MINUTE_S - 1))


def split(points: Iterable[Point], oldest_ms: int) -> tuple[list[Point], int]:
    """The points that a store which takes nothing before `oldest_ms` will take, and how many of
    the others there are."""
    good: list[Point] = []
    too_old = 0
    for one in points:
        if one.at_ms < oldest_ms:
            too_old += 1
        else:
            good.append(one)
    return good, too_old
