"""Round-trip time and loss of a month against the contract's limits, clause by clause. Pure.

Limits hold in available time (MEF 10.2.1): a batch, a minute as a rule, that touches time in which
the link was not up is left out, and so is one that touches seconds which our own throughput tests
loaded. Of a time only its bucket is known, so a limit within the bucket of the percentile decides
nothing.
"""

from collections.abc import Iterable, Sequence
from fractions import Fraction
from typing import NamedTuple

from collector.audit.availability import Judgement
from collector.audit.evidence import Span
from collector.audit.histogram import Between, Histogram, merge
from collector.audit.intervals import Interval
from collector.audit.states import State

_AVAILABLE = (State.UP, State.DEGRADED)
BATCH_S = 60
"""How far a batch reaches, as a rule."""


class DelayClause(NamedTuple):
    """A percentile of the round-trip times, or of their variation, and its limit."""

    share: float
    found: Between | None
    limit_s: float | None

    @property
    def judgement(self) -> Judgement | None:
        """None where nothing was promised."""
        if self.limit_s is None:
            return None
        if self.found is None:
            return Judgement.INDETERMINATE
        if self.found.high_s <= self.limit_s:
            return Judgement.MET
        return Judgement.BREACHED if self.found.low_s >= self.limit_s else Judgement.INDETERMINATE


class LossClause(NamedTuple):
    """The share of lost packets and its limit."""

    found: Fraction | None
    """None for an empty sample (RFC 7680 4.1)."""
    limit: Fraction | None

    @property
    def judgement(self) -> Judgement | None:
        """None where nothing was promised."""
        if self.limit is None:
            return None
        if self.found is None:
            return Judgement.INDETERMINATE
        return Judgement.MET if self.found <= self.limit else Judgement.BREACHED


class Sample(NamedTuple):
    """What of a month's batches speaks for the limits."""

    batches: tuple[Histogram, ...]
    """In time's order."""
    unavailable: int
    """Left out: they touch time in which the link was not up, or not judged."""
    loaded: int
    """Left out: they touch seconds that our own tests loaded."""
    left_out: tuple[Histogram, ...] = ()
    """Both of them."""

    @property
    def whole(self) -> Histogram:
        """All of them as one."""
        return merge(self.batches)


def sample(
    batches: Iterable[tuple[int, Histogram]],
    intervals: Sequence[Interval],
    loaded: Sequence[Span] = (),
) -> Sample:
    """The batches that speak for the limits; all arguments in time's order."""
    kept: list[Histogram] = []
    left_out: list[Histogram] = []
    unavailable = masked = at = beside = 0
    for begin_s, histogram in batches:
        end_s = begin_s + BATCH_S
        while at < len(intervals) and intervals[at].end_s <= begin_s:
            at += 1
        while beside < len(loaded) and loaded[beside].end_s <= begin_s:
            beside += 1
        last = at
        while last < len(intervals) and intervals[last].start_s < end_s:
            last += 1
        touched = intervals[at:last]
        if not touched or not all(one.state in _AVAILABLE for one in touched):
            unavailable += 1
        elif beside < len(loaded) and loaded[beside].start_s < end_s:
            masked += 1
        else:
            kept.append(histogram)
            continue
        left_out.append(histogram)
    return Sample(tuple(kept), unavailable, masked, tuple(left_out))


def doubtful(span: Span, intervals: Iterable[Interval], loaded: Iterable[Span]) -> tuple[Span, ...]:
    """The seconds of the span in which a batch may begin that `sample` leaves out: every other one
    that begins in the span speaks for the limits. All in time's order."""
    bad: list[Span] = []
    at = span.start_s
    for one in intervals:
        if one.start_s > at:
            bad.append(Span(at, one.start_s))
        if one.state not in _AVAILABLE:
            bad.append(Span(one.start_s, one.end_s))
        at = max(at, one.end_s)
    bad += [Span(at, span.end_s), *loaded]
    found: list[Span] = []
    for bad_start_s, bad_end_s in sorted(bad):
        start_s = max(span.start_s, bad_start_s - BATCH_S + 1)
        end_s = min(span.end_s, bad_end_s)
        if start_s >= end_s:
            continue
        if found and start_s <= found[-1].end_s:
            found[-1] = Span(found[-1].start_s, max(found[-1].end_s, end_s))
        else:
            found.append(Span(start_s, end_s))
    return tuple(found)


def loss(histogram: Histogram) -> Fraction | None:
    """Round-trip loss (RFC 6673); None for an empty sample."""
    return Fraction(histogram.lost, histogram.sent) if histogram.sent else None
