"""Token buckets: a rate that holds until a bucket is empty, and another one after it.

A(tau) = min(L + C tau, sigma + rho tau) (ShaperProbe, IMC 2011). A shaper at the CIR is
legitimate; one below it takes away what was promised, from a user who needs it for longer than a
test of ten seconds lasts.
"""

import math
import statistics
from collections.abc import Sequence
from enum import StrEnum
from typing import NamedTuple

import msgspec
import numpy as np

DROP = 0.9
"""A later rate of at most this share of the earlier one is throttling."""
STEADY_S = 5.0
"""Seconds for which the later rate has to hold."""
STEADY_COV = 0.05
GROUP_S = 0.5
"""Steadiness is judged over such means: bins of 0.1 s jitter by single packets."""
AGREE = 0.20
"""How far a run's knee may lie from the median of all, as a share of it."""
AGREEING_SHARE = 0.80
RUNS = 5


class Burst(msgspec.Struct, frozen=True):
    """One run in which the rate fell for good. Rates are Mbit/s, as measured."""

    burst_mbps: float
    sustained_mbps: float
    knee_s: float
    knee_octets: int
    """Octets delivered until the rate fell."""
    bucket_octets: int
    """sigma = (C - rho) * knee: what the bucket held beyond the sustained rate."""


class Modes(NamedTuple):
    """RFC 9097 section 6.6: a run of two rates is told as two rates, with when each began."""

    first_mbps: float
    second_mbps: float
    second_from_s: float


class Bucket(NamedTuple):
    """A token bucket: sigma (Mbit beyond the sustained rate), rho, and the line rate C."""

    bucket_mbit: float
    sustained_mbps: float
    line_mbps: float

    def delivered_mbit(self, seconds: float) -> float:
        """What a sender that never pauses gets through in so many seconds."""
        return min(self.line_mbps * seconds, self.bucket_mbit + self.sustained_mbps * seconds)


def change_point(rates: Sequence[float]) -> int | None:
    """The bin from which the series is best split into two levels (least squares).

    None for fewer than four bins or a constant series; each side keeps two bins or more.
    """
    series = np.asarray(rates, dtype=float)
    count = len(series)
    if count < 4 or float(series.max()) == float(series.min()):
        return None
    sums = np.cumsum(series)
    before = np.arange(2, count - 1)
    left = sums[before - 1]
    right = sums[-1] - left
    gain = left**2 / before + right**2 / (count - before)
    return int(before[int(np.argmax(gain))])


def modes(rates: Sequence[float], bin_s: float) -> Modes | None:
    """Both rates of a run that fell or rose by 10 % or more once, else None."""
    at = change_point(rates)
    if at is None:
        return None
    first, second = statistics.median(rates[:at]), statistics.median(rates[at:])
    if min(first, second) > DROP * max(first, second):
        return None
    return Modes(first, second, at * bin_s)


def burst(rates: Sequence[float], bin_s: float = 0.1) -> Burst | None:
    """The token bucket in a long run's bins (Mbit/s each), or None if the rate did not fall.

    A drop that does not hold for 5 s, or wanders by 5 % and more, is congestion, not a bucket.
    """
    at = change_point(rates)
    if at is None:
        return None
    each = max(1, round(GROUP_S / bin_s))
    # The bin of the knee belongs to both levels: half a second to settle.
    before, after = rates[:at], rates[at + each :]
    if len(after) * bin_s < STEADY_S - bin_s / 2:
        return None
    high, low = statistics.fmean(before), statistics.fmean(after)
    if low > DROP * high or low <= 0 or _wander(after, each) >= STEADY_COV:
        return None
    knee_s = at * bin_s
    octets = math.fsum(before) * bin_s * 1e6 / 8
    return Burst(high, low, knee_s, round(octets), round((high - low) * knee_s * 1e6 / 8))


def _wander(rates: Sequence[float], each: int) -> float:
    """Coefficient of variation of means over half a second."""
    means = [
        statistics.fmean(rates[at : at + each]) for at in range(0, len(rates) - each + 1, each)
    ]
    return statistics.pstdev(means) / statistics.fmean(means)


class Shape(StrEnum):
    """What the long runs say of a link."""

    NOT_MEASURED = "not_measured"
    """fewer than five long runs"""
    NONE = "none"
    """no bucket that most runs agree on"""
    SHAPED = "shaped"
    """a token bucket whose sustained rate keeps the promise"""
    SHAPED_BELOW_CIR = "shaped_below_cir"


class Shaping(msgspec.Struct, frozen=True):
    """The long runs together; rates and octets are medians over the runs that agree."""

    shape: Shape
    runs: int
    agreeing: int
    burst_mbps: float | None = None
    sustained_mbps: float | None = None
    knee_octets: int | None = None
    bucket_octets: int | None = None

    @property
    def knee_megabytes(self) -> float | None:
        """Of 1 000 000 octets."""
        return None if self.knee_octets is None else self.knee_octets / 1e6


def shaping(runs: Sequence[Burst | None], expected_mbps: float) -> Shaping:
    """Judge long runs (None: the rate held) against the expected IP rate."""
    found = [one for one in runs if one is not None]
    if len(runs) < RUNS:
        return Shaping(Shape.NOT_MEASURED, len(runs), len(found))
    middle = statistics.median(one.knee_octets for one in found) if found else 0.0
    agreeing = [one for one in found if abs(one.knee_octets - middle) <= AGREE * middle]
    if len(agreeing) < AGREEING_SHARE * len(runs):
        return Shaping(Shape.NONE, len(runs), len(agreeing))
    sustained = statistics.median(one.sustained_mbps for one in agreeing)
    below = sustained < DROP * expected_mbps
    return Shaping(
        Shape.SHAPED_BELOW_CIR if below else Shape.SHAPED,
        len(runs),
        len(agreeing),
        statistics.median(one.burst_mbps for one in agreeing),
        sustained,
        round(statistics.median(one.knee_octets for one in agreeing)),
        round(statistics.median(one.bucket_octets for one in agreeing)),
    )
