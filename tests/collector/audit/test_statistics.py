"""Vectors of the method, and every exact distribution against another way to count it."""

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from collector.audit.statistics import (
    Draws,
    autocorrelation,
    benjamini_hochberg,
    benjamini_yekutieli,
    binomial_tail,
    bootstrap_medians,
    clopper_pearson_lower,
    clopper_pearson_upper,
    e_benjamini_hochberg,
    e_process,
    hodges_lehmann,
    kolmogorov_smirnov,
    lower_bound,
    mann_whitney,
    poisson_tail,
    sign_test,
    upper_bound,
    wilcoxon,
)

SMALL = st.integers(-4, 4).map(lambda whole: whole / 4)
BAD = (5.0, 0.75 / 0.95)


@pytest.mark.parametrize(
    ("days", "bad", "p"),
    [
        (28, 6, 2.27e-3),
        (28, 7, 3.64e-4),
        (28, 8, 4.92e-5),
        (28, 9, 5.65e-6),
        (28, 11, 4.73e-8),
        (20, 5, 2.57e-3),
        (20, 6, 3.29e-4),
        (20, 7, 3.39e-5),
    ],
)
def test_bad_days_have_the_p_of_section_5_3(days: int, bad: int, p: float) -> None:
    assert binomial_tail(days, bad, 0.05) == pytest.approx(p, rel=5e-3)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 60), st.integers(0, 60), st.sampled_from([0.05, 0.3, 0.5]))
def test_the_binomial_tail_is_the_sum_of_its_terms(n: int, k: int, rate: float) -> None:
    if k > n:
        with pytest.raises(ValueError, match="hits"):
            binomial_tail(n, k, rate)
        return
    exact = Fraction(rate)
    terms = (math.comb(n, i) * exact**i * (1 - exact) ** (n - i) for i in range(k, n + 1))
    assert binomial_tail(n, k, rate) == pytest.approx(float(sum(terms)), rel=1e-9)


@pytest.mark.parametrize(("outages", "p"), [(7, 4.5e-3), (8, 1.1e-3), (9, 2.4e-4)])
def test_outages_have_the_p_of_section_5_3_f(outages: int, p: float) -> None:
    assert poisson_tail(outages, 2.0) == pytest.approx(p, rel=0.03)
    assert poisson_tail(0, 2.0) == 1.0


def test_signs_of_paired_repeats() -> None:
    assert sign_test(10, 10) == pytest.approx(2**-10)
    assert sign_test(20, 20) == pytest.approx(9.5e-7, rel=5e-3)


def test_v5_1_signed_ranks() -> None:
    deltas = [0.12, 0.18, 0.09, 0.22, 0.15, 0.11, 0.20, 0.17, 0.06, 0.13]
    found = wilcoxon([delta - 0.05 for delta in deltas])
    assert (found.statistic, found.pairs, found.p) == (55, 10, 0.0009765625)
    raw = [0.12, 0.18, -0.02, 0.22, 0.15, 0.11, 0.20, 0.17, 0.05, 0.13]
    found = wilcoxon(raw)
    assert (found.statistic, found.p) == (54, 0.001953125)


@pytest.mark.parametrize(("pairs", "p"), [(10, 9.8e-4), (14, 6.1e-5), (20, 9.5e-7), (28, 3.7e-9)])
def test_the_least_p_of_so_many_days(pairs: int, p: float) -> None:
    assert wilcoxon(list(range(1, pairs + 1))).p == pytest.approx(p, rel=0.01)


def test_nothing_to_rank_proves_nothing() -> None:
    assert wilcoxon([]).p == 1.0
    assert wilcoxon([0.0, 0.0]) == (0.0, 0, 1.0)


@settings(max_examples=40, deadline=None)
@given(st.lists(SMALL, min_size=1, max_size=9))
def test_signed_ranks_with_ties_are_what_counting_all_signs_gives(values: list[float]) -> None:
    kept = [one for one in values if one]
    ranks = stats.rankdata([abs(one) for one in kept]) if kept else []
    observed = sum(rank for rank, one in zip(ranks, kept, strict=True) if one > 0)
    sums = [
        sum(rank for rank, up in zip(ranks, signs, strict=True) if up)
        for signs in itertools.product((False, True), repeat=len(kept))
    ]
    assert wilcoxon(values).p == sum(one >= observed for one in sums) / len(sums)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(-(10**6), 10**6), min_size=3, max_size=30, unique_by=abs))
def test_signed_ranks_without_ties_are_scipys(values: list[int]) -> None:
    values = [value for value in values if value]
    ours = wilcoxon([float(value) for value in values])
    theirs = stats.wilcoxon(values, alternative="greater", method="exact")
    assert ours.p == pytest.approx(theirs.pvalue, rel=1e-9)


@settings(max_examples=40, deadline=None)
@given(st.lists(SMALL, min_size=1, max_size=20))
def test_the_centre_is_the_median_of_all_pair_means(values: list[float]) -> None:
    pairs = itertools.combinations_with_replacement(values, 2)
    assert hodges_lehmann(values) == pytest.approx(np.median([(a + b) / 2 for a, b in pairs]))


def test_the_centre_of_nothing_is_an_error() -> None:
    with pytest.raises(ValueError, match="no values"):
        hodges_lehmann([])


OFF = [0.971, 0.962, 0.983, 0.954, 0.975, 0.966, 0.947, 0.988]
EVENING = [0.72, 0.80, 0.78, 0.69, 0.83, 0.75, 0.95, 0.81]


def test_v5_2_rank_sums() -> None:
    found = mann_whitney(OFF, EVENING)
    assert found.statistic == 63
    assert found.p == pytest.approx(2 / 12870)
    assert found.superiority == 0.984375
    assert found.shift == pytest.approx(0.18, abs=5e-4)
    statistic, p = kolmogorov_smirnov(OFF, EVENING)
    assert statistic == 0.875
    assert p == pytest.approx(2.486e-3, rel=1e-3)


@settings(max_examples=40, deadline=None)
@given(st.lists(SMALL, min_size=1, max_size=5), st.lists(SMALL, min_size=1, max_size=5))
def test_rank_sums_with_ties_are_what_counting_all_splits_gives(
    first: list[float], second: list[float]
) -> None:
    ranks = stats.rankdata([*first, *second])
    observed = sum(ranks[: len(first)])
    sums = [sum(chosen) for chosen in itertools.combinations(ranks, len(first))]
    assert mann_whitney(first, second).p == sum(one >= observed for one in sums) / len(sums)


P_VALUES = [1e-5, 4e-5, 4e-4, 9e-4, 0.003, 0.02, 0.2, 0.5, 0.7, 0.9]


def test_v5_3_many_links() -> None:
    adjusted = benjamini_hochberg(P_VALUES)
    assert adjusted == pytest.approx(
        (1e-4, 2e-4, 0.001333, 0.00225, 0.006, 0.033333, 0.285714, 0.625, 0.777778, 0.9), rel=5e-4
    )
    assert [sum(one <= q for one in adjusted) for q in (0.001, 0.01, 0.05)] == [2, 5, 6]
    any_dependence = benjamini_yekutieli(P_VALUES)
    assert any_dependence[0] == pytest.approx(2.928968 * adjusted[0], rel=1e-6)
    assert sum(one <= 0.01 for one in any_dependence) == 4


@settings(max_examples=40, deadline=None)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=20))
def test_adjusted_p_values_are_scipys(p_values: list[float]) -> None:
    theirs = stats.false_discovery_control(p_values, method="bh")
    assert benjamini_hochberg(p_values) == pytest.approx(list(theirs), rel=1e-9)
    theirs = stats.false_discovery_control(p_values, method="by")
    assert benjamini_yekutieli(p_values) == pytest.approx(list(theirs), rel=1e-9)


def test_v5_4_e_values_of_many_links() -> None:
    e_values = [2e5, 9e4, 4e4, 3e3, 800, 50, 2, 1, 0.5, 0.1]
    assert [sum(e_benjamini_hochberg(e_values, q)) for q in (0.001, 0.01)] == [4, 5]
    assert e_benjamini_hochberg(e_values[::-1], 0.001)[-4:] == (True,) * 4
    assert e_benjamini_hochberg([], 0.001) == ()


@pytest.mark.parametrize(
    ("days", "bad", "wealth"),
    [(20, 8, 22_898.8), (20, 7, 3_615.6), (20, 6, 570.9), (28, 8, 3456), (28, 7, 546)],
)
def test_v5_5_running_bets(days: int, bad: int, wealth: float) -> None:
    flags = [at < bad for at in range(days)]
    assert e_process(flags, *BAD) == pytest.approx(wealth, rel=2e-3)


def test_sign_bets_of_section_5_3() -> None:
    for lower, wealth in ((28, 1.4e7), (26, 1.73e5), (24, 2141)):
        flags = [at < lower for at in range(28)]
        assert e_process(flags, 1.8, 0.2) == pytest.approx(wealth, rel=0.01)


def test_v5_8_bounds_of_rates() -> None:
    assert clopper_pearson_upper(0, 59, 0.95) == pytest.approx(0.04951, abs=5e-6)
    assert clopper_pearson_lower(12, 56, 0.999) == pytest.approx(0.0772, abs=5e-5)
    assert clopper_pearson_upper(0, 28, 0.95) == pytest.approx(0.101, abs=5e-4)
    assert clopper_pearson_upper(0, 112, 0.95) == pytest.approx(0.026, abs=5e-4)
    assert clopper_pearson_lower(0, 9, 0.95) == 0.0
    assert clopper_pearson_upper(9, 9, 0.95) == 1.0


@pytest.mark.parametrize(
    ("rate", "failures", "tests"),
    [
        *((0.05, *one) for one in ((0, 59), (1, 93), (2, 124), (3, 153), (4, 181), (5, 208))),
        *((0.10, *one) for one in ((0, 29), (1, 46), (2, 61), (3, 76))),
    ],
)
def test_so_many_tests_are_the_fewest_that_acquit(rate: float, failures: int, tests: int) -> None:
    assert clopper_pearson_upper(failures, tests, 0.95) <= rate
    assert clopper_pearson_upper(failures, tests - 1, 0.95) > rate


def test_neighbouring_days() -> None:
    assert autocorrelation([0, 1] * 10) == pytest.approx(-1)
    assert autocorrelation([1.0] * 14 + [0.0] * 14) == pytest.approx(25 / 27)
    assert autocorrelation([1.0] * 28) is None
    assert autocorrelation([1.0, None, 0.0, None, 1.0]) is None
    assert autocorrelation([]) is None
    # 13 pairs agree and none crosses the hole.
    assert autocorrelation([1.0] * 7 + [None] + [0.0] * 7) == pytest.approx(1)


def test_draws_are_the_same_on_every_machine() -> None:
    assert Draws(7, 3).below(28, 4).tolist() == [[3, 25, 2, 10], [9, 0, 24, 9], [10, 1, 16, 21]]


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.lists(SMALL, min_size=1, max_size=4), min_size=1, max_size=6), st.integers(0, 99)
)
def test_bootstrap_medians_are_the_medians_of_the_drawn_days(
    days: list[list[float]], seed: int
) -> None:
    picks = Draws(seed, 20).below(len(days), len(days))
    naive = sorted(np.median([one for at in row for one in days[at]]) for row in picks)
    found = bootstrap_medians([[], *days], Draws(seed, 20))
    assert found.tolist() == pytest.approx(naive)


def test_bounds_leave_their_share_outside() -> None:
    ordered = np.arange(1000.0)
    assert lower_bound(ordered, 0.995) == 5
    assert upper_bound(ordered, 0.995) == 994
    with pytest.raises(ValueError, match="no days"):
        bootstrap_medians([[]], Draws(1, 10))
