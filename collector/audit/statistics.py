"""The tests behind a verdict: exact where exactness is possible.

Signed-rank and rank-sum distributions are enumerated by our own code because ties (rounded
rates) must stay exact; scipy's exact methods refuse or approximate them. Incomplete beta and
gamma functions are scipy's. Nothing here knows of links; every p-value is one-sided.
"""

import itertools
import math
from collections.abc import Sequence
from fractions import Fraction
from functools import lru_cache
from statistics import median
from typing import NamedTuple

import numpy as np
from scipy import special


class SignedRank(NamedTuple):
    """Wilcoxon's signed-rank test: `pairs` without zeros, p of a sum this large or larger."""

    statistic: float
    pairs: int
    p: float


class RankSum(NamedTuple):
    """Mann-Whitney: U of the first group, the chance that it exceeds the second, the shift."""

    statistic: float
    p: float
    superiority: float
    """A12: probability that a value of the first group exceeds one of the second."""
    shift: float
    """Hodges-Lehmann: median of all pairwise differences."""


@lru_cache(maxsize=65536)
def binomial_tail(trials: int, hits: int, rate: float) -> float:
    """P(Bin(trials, rate) >= hits)."""
    if not 0 <= hits <= trials:
        raise ValueError(f"{hits} hits of {trials} trials")
    if hits == 0:
        return 1.0
    return float(special.bdtrc(hits - 1, trials, rate))


def poisson_tail(count: int, mean: float) -> float:
    """P(Poisson(mean) >= count)."""
    return 1.0 if count == 0 else float(special.pdtrc(count - 1, mean))


def sign_test(wins: int, pairs: int) -> float:
    """P of at least `wins` of `pairs` when both orders are equally likely."""
    return binomial_tail(pairs, wins, 0.5)


def clopper_pearson_upper(hits: int, trials: int, confidence: float) -> float:
    """One-sided upper bound of a rate."""
    return 1.0 if hits == trials else float(special.betaincinv(hits + 1, trials - hits, confidence))


def clopper_pearson_lower(hits: int, trials: int, confidence: float) -> float:
    """One-sided lower bound of a rate."""
    return 0.0 if hits == 0 else float(special.betaincinv(hits, trials - hits + 1, 1 - confidence))


def _doubled_ranks(values: Sequence[float]) -> list[int]:
    """Twice the mid-ranks (so that ties stay whole numbers), in the order of `values`."""
    order = sorted(range(len(values)), key=values.__getitem__)
    ranks = [0] * len(values)
    first = 0
    for _, run in itertools.groupby(order, key=values.__getitem__):
        same = list(run)
        for at in same:
            ranks[at] = 2 * first + len(same) + 1
        first += len(same)
    return ranks


def _digits_from(number: int, place: int, width: int) -> int:
    """Sum of the base-2^width digits of `number` from `place` on.

    A distribution is kept as one big integer, a digit for each value of the statistic. The sum of
    digits is the number modulo base - 1 as long as it is smaller than base - 1.
    """
    return (number >> (width * place)) % ((1 << width) - 1)


def wilcoxon(differences: Sequence[float]) -> SignedRank:
    """Exact signed-rank test of "the median difference is above 0"; zeros are dropped.

    Ties get mid-ranks and the distribution is enumerated for exactly these ranks. No pairs: p = 1.
    """
    kept = [one for one in differences if one != 0]
    ranks = _doubled_ranks([abs(one) for one in kept])
    observed = sum(rank for rank, one in zip(ranks, kept, strict=True) if one > 0)
    width = len(kept) + 2
    ways = 1
    for rank in ranks:
        ways += ways << (width * rank)
    p = Fraction(_digits_from(ways, observed, width), 1 << len(kept))
    return SignedRank(observed / 2, len(kept), float(p))


def hodges_lehmann(values: Sequence[float]) -> float:
    """Median of all Walsh averages: the centre that goes with the signed-rank test."""
    if not values:
        raise ValueError("no values")
    array = np.asarray(values, dtype=float)
    first, second = np.triu_indices(len(array))
    return float(np.median((array[first] + array[second]) / 2))


def mann_whitney(first: Sequence[float], second: Sequence[float]) -> RankSum:
    """Exact rank-sum test of "the first group is larger". Tests within a day are not independent,
    so over single tests this describes and proves nothing."""
    if not first or not second:
        raise ValueError("both groups need values")
    ranks = _doubled_ranks([*first, *second])
    n, m = len(first), len(second)
    observed = sum(ranks[:n])
    total = math.comb(n + m, n)
    width = total.bit_length() + 1
    ways = [1, *[0] * n]
    for rank in ranks:
        for size in range(n, 0, -1):
            ways[size] += ways[size - 1] << (width * rank)
    u = (observed - n * (n + 1)) / 2
    p = Fraction(_digits_from(ways[n], observed, width), total)
    shift = median(a - b for a in first for b in second)
    return RankSum(u, float(p), u / (n * m), shift)


def kolmogorov_smirnov(first: Sequence[float], second: Sequence[float]) -> tuple[float, float]:
    """D and its exact two-sided p. It describes and proves nothing, as above."""
    from scipy import stats  # half a second to load, for who asks for this

    found = stats.ks_2samp(first, second, method="exact")
    return float(found.statistic), float(found.pvalue)


def benjamini_hochberg(p_values: Sequence[float]) -> tuple[float, ...]:
    """Adjusted p-values; a hypothesis is rejected at rate q where its own is at most q."""
    return _step_up(p_values, 1.0)


def benjamini_yekutieli(p_values: Sequence[float]) -> tuple[float, ...]:
    """The same without any assumption on how the links depend on each other."""
    return _step_up(p_values, sum(1 / rank for rank in range(1, len(p_values) + 1)))


def _step_up(p_values: Sequence[float], factor: float) -> tuple[float, ...]:
    order = sorted(range(len(p_values)), key=p_values.__getitem__)
    adjusted = [1.0] * len(p_values)
    least = 1.0
    for rank in range(len(order), 0, -1):
        at = order[rank - 1]
        least = min(least, p_values[at] * len(order) * factor / rank)
        adjusted[at] = least
    return tuple(adjusted)


def e_benjamini_hochberg(e_values: Sequence[float], rate: float) -> tuple[bool, ...]:
    """Which hypotheses e-BH rejects (Wang & Ramdas): valid whatever the dependence of links."""
    order = sorted(range(len(e_values)), key=lambda at: -e_values[at])
    rejections = 0
    for rank, at in enumerate(order, start=1):
        if e_values[at] * rank * rate >= len(order):
            rejections = rank
    rejected = set(order[:rejections])
    return tuple(at in rejected for at in range(len(e_values)))


def e_process(flags: Sequence[bool], on_true: float, on_false: float) -> float:
    """Wealth of a bet that pays `on_true` or `on_false` with every flag, starting from 1."""
    return math.prod(on_true if flag else on_false for flag in flags)


def autocorrelation(values: Sequence[float | None]) -> float | None:
    """Lag-1 correlation of a series by consecutive days; None where days are missing.

    None if it is undefined: a constant series, or no two neighbouring days.
    """
    known = [value for value in values if value is not None]
    pairs = [(a, b) for a, b in itertools.pairwise(values) if a is not None and b is not None]
    if not pairs:
        return None
    mean = math.fsum(known) / len(known)
    spread = math.fsum((value - mean) ** 2 for value in known) / len(known)
    if spread == 0:
        return None
    return math.fsum((a - mean) * (b - mean) for a, b in pairs) / len(pairs) / spread


class Draws:
    """Resamples of days, the same for the same seed on every machine and version.

    numpy promises that for a bit generator's raw output, not for what is drawn from it.
    """

    def __init__(self, seed: int, resamples: int) -> None:
        self._bits = np.random.PCG64(seed)
        self._resamples = resamples

    def below(self, limit: int, each: int) -> np.ndarray:
        """`each` whole numbers below `limit` for every resample: shape (resamples, each)."""
        raw = self._bits.random_raw(self._resamples * each)
        # The remainder favours small numbers by limit / 2^64.
        return (raw % np.uint64(limit)).astype(np.int64).reshape(self._resamples, each)


def bootstrap_medians(days: Sequence[Sequence[float]], draws: Draws) -> np.ndarray:
    """Sorted medians of all values of resampled days: whole days are drawn, with replacement."""
    filled = [day for day in days if len(day)]
    if not filled:
        raise ValueError("no days")
    picks = draws.below(len(filled), len(filled))
    cells = (picks + np.arange(len(picks))[:, None] * len(filled)).ravel()
    counts = np.bincount(cells, minlength=picks.size).reshape(picks.shape).astype(np.int32)
    values = np.concatenate([np.asarray(day, dtype=float) for day in filled])
    owner = np.repeat(np.arange(len(filled)), [len(day) for day in filled])
    order = np.argsort(values, kind="stable")
    ranked = values[order]
    reached = np.cumsum(counts[:, owner[order]], axis=1)
    total = reached[:, -1]
    low = (reached < ((total + 1) // 2)[:, None]).sum(axis=1)
    high = (reached < (total // 2 + 1)[:, None]).sum(axis=1)
    return np.asarray(np.sort((ranked[low] + ranked[high]) / 2))


def lower_bound(ordered: np.ndarray, confidence: float) -> float:
    """The value that a share `confidence` of the resamples does not fall below."""
    return float(ordered[math.floor(len(ordered) * (1 - confidence))])


def upper_bound(ordered: np.ndarray, confidence: float) -> float:
    """The value that a share `confidence` of the resamples does not exceed."""
    return float(ordered[math.ceil(len(ordered) * confidence) - 1])
