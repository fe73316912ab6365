"""Outages out of a link's intervals: when each began and ended, and how surely that is known.

A packet stands for the second in which it was sent. An outage begins between the last good packet
before it and its first bad one, and ends between its last bad packet and the first good one after
it; the edges' bounds are the outer edges of these seconds, widened by the error of the clock that
named them. Durations come from one boot clock, so that error is not in `length_bounds_s`.
"""

import itertools
import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from collector.audit.evidence import Evidence, Span
from collector.audit.intervals import Edge, Interval, Outage
from collector.audit.rules import UnavailabilityRule
from collector.audit.states import Cause, State
from collector.audit.strip import Lengths, Mark, View
from collector.audit.timeline import Showing, Shown

DRIFT = 15e-6
"""How fast an unwatched clock may go wrong (PHI of RFC 5905): 54 ms in an hour."""
MOMENT_S = 10
"""A silence shorter than this is no outage; it is a gap in what is known."""
IN_MEMORY_S = 12.0
"""What a box had not written yet dies with it: packets are open for 2 s, and are on disk 10 s after
they were sent. So a silence may have begun so much later than the records end (V2.1: 10 s)."""
FLAP_OUTAGES = 3
FLAP_WINDOW_S = 3_600


class Clock:
    """How wrong a time named by the link's agent may be."""

    def __init__(self, evidence: Evidence) -> None:
        self._lives = evidence.lives
        codes = evidence.strip.codes
        edges = np.append(0, np.cumsum(evidence.strip.lengths)) + evidence.strip.start_s
        heard = (codes >> 2 * View.HUB & 3) == Mark.OK
        self._heard = edges[:-1][heard], edges[1:][heard]

    def error_s(self, at_s: float) -> float:
        """The error of the life that covers or is nearest to `at_s`, and what the clock may have
        drifted since, or until, the hub's clock was last heard. 0 where no agent ever lived: then
        no agent named the time."""
        if not self._lives:
            return 0.0
        nearest = min(self._lives, key=lambda one: max(one.first_s - at_s, at_s - one.last_s, 0.0))
        return nearest.error_s + drift_s(self._unheard_s(at_s))

    def _unheard_s(self, at_s: float) -> float:
        """Distance to the nearest second in which the hub answered; 0 where there is none: then
        the life's own error is all that is known."""
        starts, ends = self._heard
        behind = int(np.searchsorted(starts, at_s, "right"))
        since = max(at_s - int(ends[behind - 1]), 0.0) if behind else math.inf
        until = int(starts[behind]) - at_s if behind < len(starts) else math.inf
        nearest = min(since, until)
        return nearest if math.isfinite(nearest) else 0.0


def drift_s(unheard_s: float) -> float:
    """What a clock may have drifted in this time."""
    return unheard_s * DRIFT


class _Known:
    """Seconds that showed one thing or another, as spans in order."""

    def __init__(self, seen: Showing, which: npt.NDArray[np.bool_]) -> None:
        self._starts: Lengths = seen.edges[:-1][which]
        self._ends: Lengths = seen.edges[1:][which]

    def last_before(self, at_s: int) -> int | None:
        """The last such second before `at_s`."""
        behind = int(np.searchsorted(self._starts, at_s, "left"))
        return min(int(self._ends[behind - 1]), at_s) - 1 if behind else None

    def first_from(self, at_s: int) -> int | None:
        """The first such second at or after `at_s`."""
        behind = int(np.searchsorted(self._ends, at_s, "right"))
        return max(int(self._starts[behind]), at_s) if behind < len(self._starts) else None


class Limits(NamedTuple):
    """The seconds that bound an outage."""

    before: int
    """The last one before it in which anything was shown."""
    first: int
    """Its first: of a DOWN the first bad one."""
    last: int
    """Its last: of a DOWN the last bad one."""
    after: int
    """The first one after it in which anything was shown."""

    @property
    def length_bounds_s(self) -> tuple[int, int]:
        """True length: at least, and less than."""
        return self.last - self.first, self.after - self.before


class Witness:
    """What a link's packets say of the edges of its outages."""

    def __init__(self, seen: Showing) -> None:
        self._span = Span(seen.start_s, seen.end_s)
        self._known = _Known(seen, seen.shown != Shown.NOTHING)
        self._bad = _Known(seen, seen.shown == Shown.BAD)

    def limits(self, span: Span, state: State) -> Limits:
        """Of an outage in `span`. Where nothing is ever known on a side, it may reach to the end of
        all that was looked at."""
        first, last = span.start_s, span.end_s - 1
        if state is State.DOWN:
            bad_first, bad_last = self._bad.first_from(first), self._bad.last_before(span.end_s)
            if bad_first is not None and bad_last is not None and bad_first <= bad_last:
                first, last = bad_first, bad_last
        before, after = self._known.last_before(span.start_s), self._known.first_from(span.end_s)
        return Limits(
            self._span.start_s if before is None else before,
            first,
            last,
            self._span.end_s if after is None else after,
        )


def outages(
    evidence: Evidence,
    seen: Showing,
    intervals: Sequence[Interval],
    rule: UnavailabilityRule,
) -> tuple[Outage, ...]:
    """The outages among `intervals`, which may reach beyond a period, so that one which crosses its
    edge is whole. What agrees in state, cause, charge and event is one outage; where only these
    change within it, that edge is known to the second, and that of a window is given. One that
    reaches to the end of the intervals lasts; one that begins with them has that for its edge."""
    clock, witness = Clock(evidence), Witness(seen)
    found: list[Outage] = []
    silent_s: int | None = None
    groups = [list(group) for _, group in itertools.groupby(intervals, key=_likeness)]
    for at, group in enumerate(groups):
        span = Span(group[0].start_s, group[-1].end_s)
        state = group[0].state
        if state is not State.UNKNOWN:
            silent_s = None
        elif silent_s is None:
            silent_s = span.start_s
        if state not in (State.DOWN, State.UNKNOWN):
            continue
        if state is State.UNKNOWN and span.length_s < MOMENT_S:
            continue
        limits = witness.limits(span, state)
        before = groups[at - 1] if at else None
        after = groups[at + 1] if at + 1 < len(groups) else None
        start = _edge(span.start_s, before, group, (limits.before, limits.first + 1), clock)
        if silent_s is not None and before is not None and span.start_s < silent_s + MOMENT_S:
            start = msgspec.structs.replace(start, high_s=start.high_s + IN_MEMORY_S)
        end = _edge(span.end_s, group, after, (limits.last, limits.after + 1), clock)
        main = max(group, key=lambda one: one.length_s)
        found.append(
            Outage(
                link=evidence.link,
                start=start,
                end=None if after is None else end,
                state=state,
                cause=main.cause,
                charge=main.charge,
                witnesses=main.witnesses,
                why=main.why,
                event=main.event,
                settled=after is not None
                and evidence.settled_until_s is not None
                and evidence.settled_until_s >= span.end_s + rule.bins_out * rule.bin_s,
            )
        )
    return tuple(found)


def _likeness(one: Interval) -> tuple[object, ...]:
    if one.state not in (State.DOWN, State.UNKNOWN):
        return (State.UP,)
    return one.state, one.cause, one.charge, one.event


def _edge(
    at_s: int,
    one: Sequence[Interval] | None,
    other: Sequence[Interval] | None,
    shown: tuple[int, int],
    clock: Clock,
) -> Edge:
    """The edge between two groups, with the bounds that are `shown` where the state changes."""
    low_s, high_s = at_s, at_s
    if one is not None and other is not None:
        if one[0].state is not other[0].state:
            low_s, high_s = shown
        elif Cause.MAINTENANCE not in (one[0].cause, other[0].cause):
            # A boot, a start or a packet names its second; only a window's edge is given.
            low_s, high_s = at_s - 1, at_s + 1
    error_s = clock.error_s(at_s)
    return Edge(at_s=at_s, low_s=low_s - error_s, high_s=high_s + error_s)


def began_within(found: Iterable[Outage], span: Span) -> tuple[Outage, ...]:
    """Those that began in `span`: months that follow one another hold each outage once."""
    return tuple(one for one in found if span.start_s <= one.start.at_s < span.end_s)


class Flapping(NamedTuple):
    """An episode in which outages came thick and fast."""

    start_s: int
    """When its first outage began."""
    end_s: int
    """When its last outage began."""
    outages: int


def flapping(starts_s: Iterable[int]) -> tuple[Flapping, ...]:
    """Episodes among outages that began then: FLAP_OUTAGES or more, each within FLAP_WINDOW_S of
    the one FLAP_OUTAGES - 1 before it; those that share outages are one episode."""
    at = sorted(starts_s)
    found: list[tuple[int, int]] = []
    for last in range(FLAP_OUTAGES - 1, len(at)):
        first = last - FLAP_OUTAGES + 1
        if at[last] - at[first] > FLAP_WINDOW_S:
            continue
        if found and first <= found[-1][1]:
            first = found.pop()[0]
        found.append((first, last))
    return tuple(Flapping(at[first], at[last], last - first + 1) for first, last in found)
