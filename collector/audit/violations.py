"""Loss that is no outage: degraded time, violated intervals, and bursts too short for the machine.

All of it is counted inside available time only, as G.826 and MEF 10.3 have it: seconds that are UP
and nobody's maintenance. Beside the outages stand the counts of RFC 9544: a violated interval (VI)
is a bad interval of the unavailability rule, a severely violated one (SVI) a window of the degraded
rule above its threshold, each with its share (VIR, SVIR) of those in available time.

Seconds that our own throughput tests loaded are left out of all of it: what is lost beside a test
is our doing. Outages know no such excuse.
"""

from collections.abc import Iterable, Sequence
from fractions import Fraction
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from collector.audit.evidence import Span
from collector.audit.intervals import Interval
from collector.audit.rules import DegradedRule, Terms, UnavailabilityRule
from collector.audit.states import Charge, State
from collector.audit.strip import Lengths
from collector.audit.timeline import Rows, Showing, Shown, heads, rows

CONSECUTIVE = 5
"""Bad intervals in a row that are counted as one event (p of MEF 10.3, by its MIB's default)."""
MICRO_S = 3
"""Lost seconds in a row that make a micro-outage, if the machine did not trip."""

_EVERY_SECOND = UnavailabilityRule()


class Micro(NamedTuple):
    """A micro-outage: [start_s, end_s) with `lost_s` bad seconds in a row and none good."""

    start_s: int
    end_s: int
    lost_s: int


class Violations(NamedTuple):
    """Counts of one period; those of periods that follow one another add up (`total`)."""

    bad: int
    """Bad intervals, whatever the state."""
    bad_available: int
    """Of them in available time: MEF's high loss intervals (HLI), RFC 9544's VI."""
    available: int
    """Intervals in available time in which something was asked."""
    consecutive: int
    """Runs of CONSECUTIVE or more in available time (CHLI), by where they begin."""
    severe: int
    """Windows above the degraded rule's threshold (SVI)."""
    windows: int
    """Windows that hold available time."""
    micro: tuple[Micro, ...]
    """By where they begin."""
    loaded_s: int = 0
    """Available seconds left out because our own tests loaded the link."""

    @property
    def violated_ratio(self) -> Fraction | None:
        """VIR; None where nothing was asked in available time."""
        return Fraction(self.bad_available, self.available) if self.available else None

    @property
    def severe_ratio(self) -> Fraction | None:
        """SVIR; None where there was no available time."""
        return Fraction(self.severe, self.windows) if self.windows else None


def total(parts: Iterable[Violations]) -> Violations:
    """Periods that follow one another, their edges at multiples of both rules' lengths, as one."""
    each = list(parts)
    return Violations(
        bad=sum(one.bad for one in each),
        bad_available=sum(one.bad_available for one in each),
        available=sum(one.available for one in each),
        consecutive=sum(one.consecutive for one in each),
        severe=sum(one.severe for one in each),
        windows=sum(one.windows for one in each),
        micro=tuple(micro for one in each for micro in one.micro),
        loaded_s=sum(one.loaded_s for one in each),
    )


def violations(
    seen: Showing,
    intervals: Sequence[Interval],
    span: Span,
    terms: Terms,
    loaded: Sequence[Span] = (),
) -> Violations:
    """Counts within `span`. `seen` and `intervals` reach 30 s beyond it where more is known, so
    that what crosses its edges is counted once. `loaded` are in order and apart."""
    unavailability, rule = terms.unavailability, terms.degraded
    size, whole = unavailability.bin_s, _available(intervals)
    # An interval of which a part was loaded tells nothing either.
    up = _without(whole, [Span(a // size * size, -(-b // size) * size) for a, b in loaded])
    cuts = np.append(up.ravel(), span)
    found = rows(seen, unavailability, cuts)
    inside = _within(found.starts, span)
    bad = found.kinds == Shown.BAD
    free = _covered(found.starts, up)
    known = found.kinds != Shown.NOTHING
    streaks = _streaks(found, bad & free, span)
    each, lost, asked = found, bad & free, known & free
    if unavailability.bin_s > 1 or unavailability.loss_threshold >= 1:
        each = rows(seen, _EVERY_SECOND, cuts)
        asked = (each.kinds != Shown.NOTHING) & _covered(each.starts, up)
        lost = asked & (each.kinds == Shown.BAD)
    seconds = _streaks(each, lost, span)
    micro = seconds.taken(seconds.counts >= MICRO_S)
    first, last = -(-span.start_s // rule.window_s), -(-span.end_s // rule.window_s)
    severe = _severe(each.taken(lost), each.taken(asked), rule)
    return Violations(
        bad=int(found.counts[bad & inside].sum()),
        bad_available=int(found.counts[bad & free & inside].sum()),
        available=int(found.counts[known & free & inside].sum()),
        consecutive=int((streaks.counts >= CONSECUTIVE).sum()),
        severe=int(((severe >= first) & (severe < last)).sum()),
        windows=_windows(up, rule.window_s, first, last),
        micro=tuple(map(Micro, micro.starts.tolist(), micro.ends.tolist(), micro.counts.tolist())),
        loaded_s=_length(whole, span) - _length(up, span),
    )


def degraded(
    intervals: Sequence[Interval],
    seen: Showing,
    rule: DegradedRule,
    loaded: Sequence[Span] = (),
) -> tuple[Interval, ...]:
    """The intervals with UP made DEGRADED in each window, aligned to multiples of its length since
    1970, in which more than the threshold's share of the known available seconds was lost; without
    those that were `loaded`, which are in order and apart."""
    up = _without(_available(intervals), loaded)
    each = rows(seen, _EVERY_SECOND, up.ravel())
    asked = (each.kinds != Shown.NOTHING) & _covered(each.starts, up)
    severe = _severe(each.taken(asked & (each.kinds == Shown.BAD)), each.taken(asked), rule)
    lows = severe * rule.window_s
    found: list[Interval] = []
    for one in intervals:
        if not _is_available(one) or one.state is State.DEGRADED:
            found.append(one)
            continue
        first = int(np.searchsorted(lows, one.start_s - rule.window_s, "right"))
        last = int(np.searchsorted(lows, one.end_s, "left"))
        found += _overlaid(one, lows[first:last].tolist(), rule.window_s)
    return tuple(found)


def _overlaid(one: Interval, lows: list[int], window_s: int) -> list[Interval]:
    """`one` with the windows that begin at `lows` made DEGRADED."""
    parts: list[Interval] = []
    at = one.start_s
    for low in lows:
        start_s, end_s = max(low, one.start_s), min(low + window_s, one.end_s)
        if at < start_s:
            parts.append(one._replace(start_s=at, end_s=start_s))
        elif parts:
            start_s = parts.pop().start_s
        parts.append(one._replace(start_s=start_s, end_s=end_s, state=State.DEGRADED))
        at = end_s
    if at < one.end_s:
        parts.append(one._replace(start_s=at))
    return parts


def _is_available(one: Interval) -> bool:
    return one.state in (State.UP, State.DEGRADED) and one.charge is Charge.NONE


def _available(intervals: Iterable[Interval]) -> Lengths:
    """Starts and ends of available time, touching ones as one: shape (n, 2)."""
    spans = [(one.start_s, one.end_s) for one in intervals if _is_available(one)]
    found = np.array(spans, np.int64).reshape(-1, 2)
    apart = found[1:, 0] != found[:-1, 1]
    return np.column_stack(
        (
            found[np.append(True, apart)[: len(found)], 0],
            found[np.append(apart, True)[: len(found)], 1],
        )
    )


def _without(up: Lengths, loaded: Iterable[Span]) -> Lengths:
    """The spans of `up` with `loaded` cut out of them; both in order and apart."""
    kept: list[tuple[int, int]] = []
    cuts = list(loaded)
    if not cuts:
        return up
    at = 0
    for start_s, end_s in up.tolist():
        while at < len(cuts) and cuts[at].end_s <= start_s:
            at += 1
        low = start_s
        for cut in cuts[at:]:
            if cut.start_s >= end_s:
                break
            if low < cut.start_s:
                kept.append((low, cut.start_s))
            low = max(low, cut.end_s)
        if low < end_s:
            kept.append((low, end_s))
    return np.array(kept, np.int64).reshape(-1, 2)


def _length(spans: Lengths, span: Span) -> int:
    """Seconds of the spans within `span`."""
    inside = np.minimum(spans[:, 1], span.end_s) - np.maximum(spans[:, 0], span.start_s)
    return int(inside.clip(0).sum())


def _within(at: Lengths, span: Span) -> npt.NDArray[np.bool_]:
    return (at >= span.start_s) & (at < span.end_s)


def _covered(at: Lengths, spans: Lengths) -> npt.NDArray[np.bool_]:
    """Which of the seconds, in order, lie in one of the spans, which are in order and apart."""
    steps = np.zeros(len(at) + 1, np.int8)
    places = np.searchsorted(at, spans)
    np.add.at(steps, places[:, 0], 1)
    np.subtract.at(steps, places[:, 1], 1)
    return np.cumsum(steps[:-1]) > 0


def _streaks(found: Rows, which: npt.NDArray[np.bool_], span: Span) -> Rows:
    """Rows in a row that are `which`, as one, if they begin within `span`."""
    merged = found.merged(which)
    flags = which[heads(which)]
    return merged.taken(flags & _within(merged.starts, span))


def _severe(lost: Rows, asked: Rows, rule: DegradedRule) -> Lengths:
    """Numbers of the windows above the threshold, of the available seconds, in order."""
    # only a window that holds a lost second can be above it
    firsts, lasts = lost.starts // rule.window_s, (lost.ends - 1) // rule.window_s
    many = lasts - firsts + 1
    offsets = np.arange(many.sum()) - np.repeat(np.cumsum(many) - many, many)
    numbers = np.repeat(firsts, many) + offsets
    numbers = numbers[heads(numbers)]
    threshold = Fraction(str(rule.loss_threshold))
    lows = numbers * rule.window_s
    bad, known = (_counted(one, lows, rule.window_s) for one in (lost, asked))
    above: Lengths = numbers[bad * threshold.denominator > threshold.numerator * known]
    return above


def _counted(found: Rows, lows: Lengths, length_s: int) -> Lengths:
    """Seconds of the rows in each window that begins at `lows`."""
    before = np.append(0, np.cumsum(found.counts))

    def until(at: Lengths) -> Lengths:
        behind = np.searchsorted(found.starts, at, "left")
        if not len(found.ends):
            return np.zeros(len(at), np.int64)
        over = (found.ends[np.maximum(behind - 1, 0)] - at).clip(0)
        counts: Lengths = before[behind] - np.where(behind > 0, over, 0)
        return counts

    return until(lows + length_s) - until(lows)


def _windows(up: Lengths, window_s: int, first: int, last: int) -> int:
    """How many windows of number `first` to `last` - 1 hold available time."""
    lows = (up[:, 0] // window_s).clip(first)
    highs = (-(-up[:, 1] // window_s)).clip(max=last)
    lows[1:] = np.maximum(lows[1:], highs[:-1])
    return int((highs - lows).clip(0).sum())
