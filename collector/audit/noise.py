"""How often the tests' own noise would make a dedicated link's day look bad.

Rules that count bad days take it that a dedicated link has 5 % of them. With one noisy test a day
noise alone can make 15 %: simulated, that would accuse one innocent link in five. So whoever is
accused by counting must have been measured well enough for so few tests.
"""

import itertools
import math
from collections.abc import Iterable, Sequence
from statistics import NormalDist, fmean, median

import msgspec

from collector.audit.daily import THETA, Daily
from collector.audit.decision import BAD_RATE, Cause, Rule, Span

TOLERATED = BAD_RATE / 2
"""Share of days that noise may make bad: half of the allowance is left to real incidents."""
LEVEL = 0.95
"""What a dedicated link is taken to attain at least: tests offer 0.95 of the CIR (section 4.4)."""
_PAIRS = 10
_SCALE = NormalDist().inv_cdf(0.75) * math.sqrt(2)
"""Median of |a - b| of two draws, in standard deviations."""
_MEDIAN_SD = {1: 1.0, 2: 0.7072, 3: 0.6699, 4: 0.5462}
"""Standard deviation of the median of so many normal draws, rounded up."""


class Noise(msgspec.Struct, frozen=True):
    """Of single tests, and what it does to days."""

    sd: float
    """Robust standard deviation of a test's attainment, from neighbouring tests of a day."""
    level: float
    """Median off-peak attainment, at least 0.95."""
    bad_rate: float
    """Share of days that it would make bad on a link of that level."""


def noise(days: Span) -> Noise | None:
    """Noise of the valid days' tests of quality A; None where it cannot be told.

    Neighbouring tests of one evening or one day's rest are compared, the noisier part counts; with
    one test each, rests of neighbouring days. Medians: few incidents do not move them.
    """
    valid = [day for day in days if day is not None and day.day.peak]
    parts = (
        _spread([day.day.peak for day in valid]),
        _spread([day.day.off_peak for day in valid]),
    )
    known = [sd for sd in parts if sd is not None]
    if not known:
        between = _spread([[day.day.off_peak[0] for day in valid if day.day.off_peak]])
        known = [] if between is None else [between]
    if not known:
        return None
    off_peak = [one for day in valid for one in day.day.off_peak]
    level = max(LEVEL, median(off_peak)) if off_peak else LEVEL
    return Noise(max(known), level, _bad_rate(valid, max(known), level))


def too_noisy(rule: Rule, cause: Cause, found: Noise | None) -> bool:
    """Whether noise forbids this accusation: only those that count bad days can suffer from it.

    Rule v2's contention rests on ranks of daily differences, which noise makes wide and not lower.
    """
    counts = rule is Rule.O or cause is Cause.UNDER_PROVISIONED
    return counts and (found is None or found.bad_rate > TOLERATED)


def _spread(groups: Iterable[Sequence[float]]) -> float | None:
    steps = [abs(a - b) for group in groups for a, b in itertools.pairwise(group)]
    return median(steps) / _SCALE if len(steps) >= _PAIRS else None


def _bad_rate(days: Sequence[Daily], sd: float, level: float) -> float:
    if sd == 0:
        return 0.0
    rates = {
        tests: NormalDist().cdf((THETA - level) / (sd * _median_sd(tests)))
        for tests in {len(day.day.peak) for day in days}
    }
    return fmean(rates[len(day.day.peak)] for day in days)


def _median_sd(tests: int) -> float:
    # From five on the large-sample value is an upper bound.
    return _MEDIAN_SD.get(tests) or math.sqrt(math.pi / 2 / tests)
