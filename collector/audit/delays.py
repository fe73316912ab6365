"""Round-trip time and loss of a month against the contract's limits, clause by clause. Pure.

Limits hold in available time (MEF 10.2.1): a batch, a minute as a rule, that touches time in which
the link was not up is left out. Of a time only its bucket is known, so a limit within the bucket
of the percentile decides nothing.
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


class RttClause(NamedTuple):
    """A percentile of the round-trip times and its limit."""

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


def in_available(
    batches: Iterable[tuple[int, Histogram]], intervals: Sequence[Interval]
) -> tuple[list[Histogram], int]:
    """The batches in available time, and how many were left out; both in time's order."""
    kept: list[Histogram] = []
    left = at = 0
    for begin_s, histogram in batches:
        while at < len(intervals) and intervals[at].end_s <= begin_s:
            at += 1
        touched = []
        for one in intervals[at:]:
            if one.start_s >= begin_s + BATCH_S:
                break
            touched.append(one.state in _AVAILABLE)
        if touched and all(touched):
            kept.append(histogram)
        else:
            left += 1
    return kept, left


def available(
    batches: Iterable[tuple[int, Histogram]], intervals: Sequence[Interval]
) -> tuple[Histogram, int]:
    """All batches in available time as one, and how many were left out; both in time's order."""
    kept, left = in_available(batches, intervals)
    return merge(kept), left


def always_available(span: Span, intervals: Iterable[Interval]) -> bool:
    """Whether no batch that begins in the span can touch other time."""
    wide = Span(span.start_s, span.end_s + BATCH_S - 1)
    return wide.length_s == sum(
        wide.overlap_s(Span(one.start_s, one.end_s)) for one in intervals if one.state in _AVAILABLE
    )


def loss(histogram: Histogram) -> Fraction | None:
    """Round-trip loss (RFC 6673); None for an empty sample."""
    return Fraction(histogram.lost, histogram.sent) if histogram.sent else None
