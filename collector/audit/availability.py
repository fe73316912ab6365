"""Availability of a period, exact, with bounds: what is not known makes the bounds, never a number.

T is the period, X its excluded seconds, and T_a = T - X = U + D + Uk: up, charged to the provider,
and unknown. Then A_lo = U / T_a, as if all unknown time were down, A_hi = (U + Uk) / T_a, as if it
were up, and A_point = U / (U + D). A breach is said only if A_hi is below the target, and MET only
if A_lo is not; compared as whole seconds, without rounding.

A `Tally` holds what of some seconds is needed for that. Tallies of chunks that follow one another
join to that of the whole.
"""

import itertools
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction
from functools import cached_property
from typing import NamedTuple

from collector.audit.evidence import Span
from collector.audit.intervals import Interval
from collector.audit.rules import Terms
from collector.audit.states import Cause, Charge, State

LIKELY_COVERAGE = Fraction(98, 100)
"""Least share of known time at which A_point may hint at the outcome."""
PROBE_S = 1
"""Distance of two packets: each edge of an outage may be off by this much."""


class Judgement(StrEnum):
    """What the bounds say of a promise."""

    MET = "met"
    BREACHED = "breached"
    INDETERMINATE = "indeterminate"
    """what is unknown decides"""


class Kind(NamedTuple):
    """Seconds are counted apart by these."""

    state: State
    cause: Cause
    charge: Charge


@dataclass(frozen=True)
class Tally:
    """What the seconds of `span` add up to."""

    span: Span
    seconds: Mapping[Kind, int]
    """They add up to the span."""
    charged: tuple[Span, ...]
    """Stretches charged to the provider without a break, in order. They keep what is known of
    their parts beyond the span: how long an outage was does not hang on the month's edge."""
    unknown: tuple[Span, ...]
    """Stretches within the span that nobody can be charged for, in order."""

    @classmethod
    def of(cls, intervals: Sequence[Interval], span: Span) -> "Tally":
        """Of intervals that follow one another and reach at least over `span`.

        Raises ValueError where they do not.
        """
        if not intervals or intervals[0].start_s > span.start_s:
            raise ValueError(f"intervals begin after the period's beginning {span.start_s}")
        for before, after in itertools.pairwise(intervals):
            if before.end_s != after.start_s:
                raise ValueError(f"interval ends at {before.end_s}, next begins at {after.start_s}")
        if intervals[-1].end_s < span.end_s:
            raise ValueError(f"intervals end before the period's end {span.end_s}")
        seconds: Counter[Kind] = Counter()
        for one in intervals:
            length_s = span.overlap_s(Span(one.start_s, one.end_s))
            if length_s:
                seconds[Kind(one.state, one.cause, one.charge)] += length_s
        charged = (one for one in _stretches(intervals, Charge.PROVIDER) if span.overlap_s(one))
        unknown = (_clipped(one, span) for one in _stretches(intervals, Charge.UNKNOWN))
        return cls(
            span, dict(seconds), tuple(charged), tuple(one for one in unknown if one.length_s > 0)
        )

    def of_charge(self, charge: Charge) -> int:
        """Seconds with this charge."""
        return sum(length for kind, length in self.seconds.items() if kind.charge is charge)

    def of_state(self, state: State) -> int:
        """Seconds in this state."""
        return sum(length for kind, length in self.seconds.items() if kind.state is state)


def join(tallies: Sequence[Tally]) -> Tally:
    """Tallies that follow one another, as one. Raises ValueError where one does not."""
    for before, after in itertools.pairwise(tallies):
        if before.span.end_s != after.span.start_s:
            raise ValueError(
                f"tally ends at {before.span.end_s}, the next begins at {after.span.start_s}"
            )
    seconds: Counter[Kind] = Counter()
    for one in tallies:
        seconds.update(one.seconds)
    return Tally(
        Span(tallies[0].span.start_s, tallies[-1].span.end_s),
        dict(seconds),
        _united(span for one in tallies for span in one.charged),
        _united(span for one in tallies for span in one.unknown),
    )


def _stretches(intervals: Iterable[Interval], charge: Charge) -> tuple[Span, ...]:
    return _united(Span(one.start_s, one.end_s) for one in intervals if one.charge is charge)


def _united(spans: Iterable[Span]) -> tuple[Span, ...]:
    """Spans in order of their starts, those that touch or overlap as one."""
    found: list[Span] = []
    for one in spans:
        if found and one.start_s <= found[-1].end_s:
            before = found.pop()
            one = Span(min(before.start_s, one.start_s), max(before.end_s, one.end_s))
        found.append(one)
    return tuple(found)


def _clipped(one: Span, span: Span) -> Span:
    return Span(max(one.start_s, span.start_s), min(one.end_s, span.end_s))


# --- the arithmetic


@dataclass(frozen=True, kw_only=True)
class Availability:
    """A period's seconds as the contract counts them, and what follows."""

    span: Span
    target: Fraction
    excluded_s: int
    """X."""
    charged_s: int
    """D: counted outages, charged to the provider."""
    unknown: tuple[Span, ...]
    """The stretches of which nothing is known or nobody can be charged for, in order."""
    uncounted_s: int
    """Charged to the provider in outages below the contract's minimum: shown, and counted as up."""
    degraded_s: int
    """Within the time that is up."""
    outages: tuple[Span, ...]
    """The counted ones that touch the period, whole, in order."""

    @property
    def period_s(self) -> int:
        """T."""
        return self.span.length_s

    @property
    def counted_s(self) -> int:
        """T_a."""
        return self.period_s - self.excluded_s

    @cached_property
    def unknown_s(self) -> int:
        """Uk."""
        return sum(one.length_s for one in self.unknown)

    @property
    def up_s(self) -> int:
        """U."""
        return self.counted_s - self.charged_s - self.unknown_s

    @property
    def lower(self) -> Fraction | None:
        """A_lo; None where all time is excluded."""
        return _ratio(self.up_s, self.counted_s)

    @property
    def point(self) -> Fraction | None:
        """A_point; None where nothing is known."""
        return _ratio(self.up_s, self.up_s + self.charged_s)

    @property
    def upper(self) -> Fraction | None:
        """A_hi; None where all time is excluded."""
        return _ratio(self.counted_s - self.charged_s, self.counted_s)

    @property
    def coverage(self) -> Fraction | None:
        """Share of the counted time that is known; None where all time is excluded."""
        return _ratio(self.up_s + self.charged_s, self.counted_s)

    @property
    def judgement(self) -> Judgement:
        """By the bounds alone."""
        lower, upper = self.lower, self.upper
        if lower is None or upper is None:
            return Judgement.INDETERMINATE
        if upper < self.target:
            return Judgement.BREACHED
        return Judgement.MET if lower >= self.target else Judgement.INDETERMINATE

    @property
    def likely_met(self) -> bool:
        """A hint for where the judgement is INDETERMINATE, and no judgement."""
        point, coverage = self.point, self.coverage
        known = point is not None and coverage is not None and coverage >= LIKELY_COVERAGE
        return known and point is not None and point >= self.target

    @property
    def budget(self) -> "Budget":
        """Of downtime."""
        return Budget((1 - self.target) * self.counted_s, self.charged_s, self.unknown_s)

    @property
    def began(self) -> int:
        """Counted outages that began in the period; over periods that follow one another it adds
        up to all, as `len(outages)` does not."""
        return sum(self.span.start_s <= one.start_s < self.span.end_s for one in self.outages)

    @property
    def longest_s(self) -> int | None:
        """Longest of the counted outages, its parts beyond the period included."""
        return max((one.length_s for one in self.outages), default=None)

    @property
    def mean_to_restore_s(self) -> Fraction | None:
        """MTTR = D / N."""
        return _ratio(self.charged_s, len(self.outages))

    @property
    def mean_between_s(self) -> Fraction | None:
        """MTBF = U / N. MTBF / (MTBF + MTTR) is A_point."""
        return _ratio(self.up_s, len(self.outages))

    @property
    def edge_error_s(self) -> int:
        """Bound on the error of `charged_s` by the edges of its outages: N packet intervals."""
        return len(self.outages) * PROBE_S


class Budget(NamedTuple):
    """Downtime that the target leaves, and what became of it, seconds."""

    whole_s: Fraction
    """(1 - target) of the counted time."""
    used_s: int
    unknown_s: int
    """May yet turn out as used."""

    @property
    def left_s(self) -> Fraction:
        """Below 0 once it is overdrawn."""
        return self.whole_s - self.used_s

    @property
    def left_at_worst_s(self) -> Fraction:
        """If all that is unknown was down."""
        return self.left_s - self.unknown_s


def _ratio(part: int, whole: int) -> Fraction | None:
    return Fraction(part, whole) if whole else None


def availability(tally: Tally, terms: Terms, whole: Span | None = None) -> Availability:
    """The availability of the tally's period, or of `whole`, which begins with it and ends later:
    what lies ahead is unknown. Raises ValueError for any other `whole`."""
    span = tally.span if whole is None else whole
    if span.start_s != tally.span.start_s or span.end_s < tally.span.end_s:
        raise ValueError(f"period {tally.span} is not the beginning of {span}")
    least_s = terms.minimum_outage_s
    counted = tuple(one for one in tally.charged if one.length_s >= least_s)
    charged_s = sum(tally.span.overlap_s(one) for one in counted)
    ahead = Span(tally.span.end_s, span.end_s)
    return Availability(
        span=span,
        target=Fraction(str(terms.availability_target)),
        excluded_s=tally.of_charge(Charge.EXCLUDED),
        charged_s=charged_s,
        unknown=tally.unknown + ((ahead,) if ahead.length_s else ()),
        uncounted_s=tally.of_charge(Charge.PROVIDER) - charged_s,
        degraded_s=tally.of_state(State.DEGRADED),
        outages=counted,
    )


class Deciding(NamedTuple):
    """The fewest stretches of unknown time that decide an INDETERMINATE period, longest first."""

    to_breach: tuple[Span, ...]
    """Were these down, the target would be breached."""
    to_meet: tuple[Span, ...]
    """Were these up, it would be met."""


def deciding(found: Availability) -> Deciding:
    """Empty where nothing is left to decide."""
    if found.judgement is not Judgement.INDETERMINATE:
        return Deciding((), ())
    left = found.budget.left_s
    by_length = sorted(found.unknown, key=lambda one: (-one.length_s, one.start_s))
    sums = list(itertools.accumulate((one.length_s for one in by_length), initial=0))
    down = next((many for many, length in enumerate(sums) if length > left), 0)
    up = next((many for many, length in enumerate(sums) if found.unknown_s - length <= left), 0)
    return Deciding(tuple(by_length[:down]), tuple(by_length[:up]))
