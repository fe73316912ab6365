"""Rule v2 and rule O: from days to "contended", "under-provisioned" or neither.

Rule v2 asks two consecutive windows of 28 days for significance, effect and spread over weeks.
Rule O counts occupied weeks of a quarter, because v2 misses a link that is bad one evening in
four. Their thresholds were tuned on simulated links: quote the simulated rates (rates.py), never
the p-values alone, which hold only if days are exchangeable.
"""

from collections.abc import Sequence
from datetime import date, timedelta
from enum import StrEnum
from statistics import median

import msgspec

from collector.audit.daily import MARGIN, ROUNDING, THETA, Daily
from collector.audit.statistics import (
    Draws,
    autocorrelation,
    binomial_tail,
    bootstrap_medians,
    clopper_pearson_lower,
    clopper_pearson_upper,
    e_process,
    hodges_lehmann,
    lower_bound,
    upper_bound,
    wilcoxon,
)

WEEK = 7
WINDOW = 28
QUARTER = 84
BAD_RATE = 0.05
"""p0: share of bad days that a dedicated link may have."""
LINK_P = 0.001
TEST_P = 5e-4
EFFECT = 0.10
"""Hodges-Lehmann shift that counts as an effect."""
BAD_SHARE = 0.20
WEEKS_NEEDED = 3
DAYS_IN_WEEK = 2
Q_WINDOWS = 0.001
PERSISTENCE = 0.8
"""Lag-1 correlation of days above which counting days proves nothing."""
WEEK_RATE = 1 - (1 - BAD_RATE) ** WEEK
OCCUPIED = 10
"""Weeks of 12. BH alone would let a single link be convicted at 8, for which nothing was known."""
OCCUPIED_SHARE = 0.15
Q_QUARTER = 0.01
ALARM = 1000.0
WATCH_P = 0.05
BOUND = 0.995
RESAMPLES = 4000
_BAD_BET = (5.0, 0.75 / 0.95)
"""A bet that 25 % of the days are bad against 5 %."""
_SHIFT_BET = (1.8, 0.2)


class Cause(StrEnum):
    """In which way a link is not dedicated."""

    CONTENDED = "contended"
    """the evening peak takes away what the rest of the day has"""
    UNDER_PROVISIONED = "under_provisioned"
    """less than promised on too many days; that only evenings lack it is not shown"""


class Rule(StrEnum):
    """Which rule spoke."""

    V2 = "v2"
    O = "O"  # noqa: E741  the rule's name


Span = Sequence[Daily | None]
"""Consecutive local days; None is a day that is not valid."""


def span(judged: dict[date, Daily], until: date, length: int) -> Span:
    """The `length` days before `until`."""
    return [judged.get(until - timedelta(days=back)) for back in range(length, 0, -1)]


def _weeks(days: Span) -> list[list[Daily]]:
    return [
        [day for day in days[at : at + WEEK] if day is not None] for at in range(0, len(days), WEEK)
    ]


class Window(msgspec.Struct, frozen=True):
    """Figures of 28 days; shares and rates are of 1."""

    first: date
    last: date
    valid_days: int
    bad_days: int
    delta_days: int
    """Days on which peak and off-peak can be compared."""
    p_bad: float
    """A: exact binomial, of so many bad days when 5 % may be."""
    p_shift: float
    """B: exact signed-rank, of the daily difference lying above 5 points."""
    shift: float | None
    """Hodges-Lehmann estimate of the daily difference."""
    bad_weeks: int
    """Weeks with at least two bad days, of 4."""
    shifted_weeks: int
    e_bad: float
    e_shift: float
    p_link: float
    """Both tests together, doubled for asking twice."""
    bad_share: float | None
    """Of the valid days."""
    causes: tuple[Cause, ...] = ()
    """What this window points at, contention first; both conditions can hold."""


def _window_causes(figures: Window) -> tuple[Cause, ...]:
    if figures.p_link >= LINK_P:
        return ()
    contended = (
        figures.p_shift < TEST_P
        and figures.shift is not None
        and figures.shift >= EFFECT
        and figures.shifted_weeks >= WEEKS_NEEDED
    )
    under = (
        figures.p_bad < TEST_P
        and figures.bad_days >= BAD_SHARE * figures.valid_days
        and figures.bad_weeks >= WEEKS_NEEDED
    )
    return _causes(contended, under)


def _causes(contended: bool, under: bool) -> tuple[Cause, ...]:
    held = {Cause.CONTENDED: contended, Cause.UNDER_PROVISIONED: under}
    return tuple(cause for cause, holds in held.items() if holds)


def both_windows(newest: Window, previous: Window) -> tuple[Cause, ...]:
    """What rule v2 points at: what both windows point at."""
    return tuple(cause for cause in newest.causes if cause in previous.causes)


def window(days: Span, until: date) -> Window:
    """Figures of the days before `until`."""
    valid = [day for day in days if day is not None]
    bad = sum(day.bad for day in valid)
    deltas = [day.delta for day in valid if day.delta is not None]
    weeks = _weeks(days)
    p_bad = binomial_tail(len(valid), bad, BAD_RATE)
    # Rounded so that equal rates tie exactly.
    p_shift = wilcoxon([round(delta - MARGIN, 9) for delta in deltas]).p
    figures = Window(
        first=until - timedelta(days=len(days)),
        last=until - timedelta(days=1),
        valid_days=len(valid),
        bad_days=bad,
        delta_days=len(deltas),
        p_bad=p_bad,
        p_shift=p_shift,
        shift=hodges_lehmann(deltas) if deltas else None,
        bad_weeks=sum(sum(day.bad for day in week) >= DAYS_IN_WEEK for week in weeks),
        shifted_weeks=sum(
            sum(day.shifted is True for day in week) >= DAYS_IN_WEEK for week in weeks
        ),
        e_bad=e_process([day.bad for day in valid], *_BAD_BET),
        e_shift=e_process([day.shifted for day in valid if day.shifted is not None], *_SHIFT_BET),
        p_link=min(1.0, 2 * min(p_bad, p_shift)),
        bad_share=bad / len(valid) if valid else None,
    )
    return msgspec.structs.replace(figures, causes=_window_causes(figures))


class Quarter(msgspec.Struct, frozen=True):
    """Weekly occupancy over 12 weeks; a week without valid days counts as unoccupied."""

    first: date
    last: date
    valid_days: int
    peak_only_days: int
    bad_days: int
    peak_only_weeks: tuple[date, ...]
    """First days of weeks with a day that was bad in the evening only."""
    bad_weeks: tuple[date, ...]
    """First days of weeks with a bad day, whatever the rest of it was."""
    p_peak_only: float
    p_bad: float
    causes: tuple[Cause, ...] = ()
    """What the quarter points at, contention first, before the family of links is asked. What is
    occupied by evenings is occupied by days, so contention never comes alone."""

    def p(self, cause: Cause) -> float:
        """p of the occupancy that `cause` rests on."""
        return self.p_peak_only if cause is Cause.CONTENDED else self.p_bad


def _quarter_causes(figures: Quarter) -> tuple[Cause, ...]:
    def enough(weeks: Sequence[date], days: int) -> bool:
        return len(weeks) >= OCCUPIED and days >= OCCUPIED_SHARE * figures.valid_days

    return _causes(
        enough(figures.peak_only_weeks, figures.peak_only_days),
        enough(figures.bad_weeks, figures.bad_days),
    )


def occupancy_p(weeks: int, occupied: int) -> float:
    """P of so many occupied weeks when a day is bad with 5 % (days positively associated)."""
    return binomial_tail(weeks, occupied, WEEK_RATE)


def quarter(days: Span, until: date) -> Quarter:
    """Occupancy of the 84 days before `until`."""
    first = until - timedelta(days=len(days))
    valid = [day for day in days if day is not None]
    weeks = _weeks(days)
    starts = [first + timedelta(days=WEEK * at) for at in range(len(weeks))]
    peak_only = tuple(
        start
        for start, week in zip(starts, weeks, strict=True)
        if any(day.peak_only for day in week)
    )
    bad = tuple(
        start for start, week in zip(starts, weeks, strict=True) if any(day.bad for day in week)
    )
    figures = Quarter(
        first=first,
        last=until - timedelta(days=1),
        valid_days=len(valid),
        peak_only_days=sum(day.peak_only for day in valid),
        bad_days=sum(day.bad for day in valid),
        peak_only_weeks=peak_only,
        bad_weeks=bad,
        p_peak_only=occupancy_p(len(weeks), len(peak_only)),
        p_bad=occupancy_p(len(weeks), len(bad)),
    )
    return msgspec.structs.replace(figures, causes=_quarter_causes(figures))


def persistence(days: Span, cause: Cause, rule: Rule) -> float | None:
    """Lag-1 correlation of the daily indicator that the rule counts; None if undefined."""
    flags: list[float | None] = []
    for day in days:
        if day is None:
            flags.append(None)
        elif cause is Cause.UNDER_PROVISIONED:
            flags.append(float(day.bad))
        elif rule is Rule.O:
            flags.append(float(day.peak_only))
        else:
            flags.append(None if day.shifted is None else float(day.shifted))
    return autocorrelation(flags)


class Bounds(msgspec.Struct, frozen=True):
    """What an acquittal needs, for one window. Bootstrap bounds draw whole days; 99.5 % each,
    one-sided. None: not measured."""

    peak_median: float
    peak_median_lower: float
    delta_median: float | None
    delta_median_upper: float | None
    bad_rate_lower: float
    """Clopper-Pearson, 95 % one-sided, of the long-run share of bad days."""
    bad_rate_upper: float
    peak_tests: int
    failed_tests: int
    """Peak tests below 0.90."""
    failed_rate_upper: float
    """Clopper-Pearson, 95 %, as if tests were independent."""
    above_80: float
    """Share of peak tests at 0.80 and more: the FCC's 80/80 asks for 0.80 of them."""


def bounds(days: Span, seed: int) -> Bounds | None:
    """Bounds of a window, None without a valid day."""
    valid = [day for day in days if day is not None]
    if not valid:
        return None
    draws = Draws(seed, RESAMPLES)
    tests = [[*day.day.peak, *day.day.floors] for day in valid]
    flat = [one for day in tests for one in day]
    deltas = [day.delta for day in valid if day.delta is not None]
    bad = sum(day.bad for day in valid)
    failed = sum(one < THETA - ROUNDING for one in flat)
    upper = (
        upper_bound(bootstrap_medians([[one] for one in deltas], draws), BOUND) if deltas else None
    )
    return Bounds(
        peak_median=median(flat),
        peak_median_lower=lower_bound(bootstrap_medians(tests, draws), BOUND),
        delta_median=median(deltas) if deltas else None,
        delta_median_upper=upper,
        bad_rate_lower=clopper_pearson_lower(bad, len(valid), 0.95),
        bad_rate_upper=clopper_pearson_upper(bad, len(valid), 0.95),
        peak_tests=len(flat),
        failed_tests=failed,
        failed_rate_upper=clopper_pearson_upper(failed, len(flat), 0.95),
        above_80=sum(one >= 0.80 for one in flat) / len(flat),
    )


class Lack(StrEnum):
    """What keeps a link from being found dedicated."""

    PEAK_BOUND = "peak_bound"
    """the lower bound of the median peak attainment lies below 0.90"""
    BAD_DAYS = "bad_days"
    """more than 5 % of the days were bad"""
    DELTA_BOUND = "delta_bound"
    """the upper bound of the evening's shift lies above 5 points"""
    NOTHING = "nothing"
    """no valid days, or no days on which peak and off-peak can be compared"""


def lacks(figures: Window, limits: Bounds | None) -> tuple[Lack, ...]:
    """Why the window does not acquit; empty if it does."""
    share = figures.bad_share
    if limits is None or share is None or limits.delta_median_upper is None:
        return (Lack.NOTHING,)
    found = []
    if limits.peak_median_lower < THETA:
        found.append(Lack.PEAK_BOUND)
    if share > BAD_RATE:
        found.append(Lack.BAD_DAYS)
    if limits.delta_median_upper > MARGIN:
        found.append(Lack.DELTA_BOUND)
    return tuple(found)
