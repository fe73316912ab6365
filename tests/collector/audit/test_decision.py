"""Rule v2 and rule O on days whose truth is known."""

import random
from datetime import timedelta

import pytest

from collector.audit.daily import Daily, Day, judge
from collector.audit.decision import (
    Cause,
    Lack,
    Rule,
    both_windows,
    bounds,
    lacks,
    occupancy_p,
    persistence,
    quarter,
    window,
)
from collector.audit.statistics import binomial_tail
from tests.collector.audit.days import UNTIL, span


def flags(count: int, bad: set[int]) -> list[bool | None]:
    return [at in bad for at in range(count)]


def test_v5_9_one_bad_week_is_no_structure() -> None:
    found = window(span(flags(28, set(range(7, 14))), whole_day=True), UNTIL)
    assert found.p_bad == pytest.approx(3.64e-4, rel=0.01)
    assert (found.bad_days, found.bad_weeks, found.bad_share) == (7, 1, 0.25)
    assert found.causes == ()


def test_v5_9_two_bad_days_in_every_week_are() -> None:
    spread = {7 * week + day for week in range(4) for day in (1, 4)}
    found = window(span(flags(28, spread), whole_day=True), UNTIL)
    assert found.p_bad == pytest.approx(4.92e-5, rel=0.01)
    assert (found.bad_weeks, found.bad_share) == (4, pytest.approx(0.286, abs=5e-4))
    assert found.causes == (Cause.UNDER_PROVISIONED,)
    clean = window(span(flags(28, set())), UNTIL)
    assert both_windows(found, found) == (Cause.UNDER_PROVISIONED,)
    assert both_windows(found, clean) == () == both_windows(clean, found)


def test_lower_evenings_are_contention_and_flat_days_are_not() -> None:
    evenings = window(span([True] * 28), UNTIL)
    assert evenings.causes == (Cause.CONTENDED, Cause.UNDER_PROVISIONED)
    assert evenings.shift == pytest.approx(0.27)
    flat = window(span([True] * 28, whole_day=True), UNTIL)
    assert flat.causes == (Cause.UNDER_PROVISIONED,)
    assert flat.p_shift == 1.0


def test_a_small_effect_is_none_however_sure() -> None:
    days = [
        judge(Day(UNTIL - timedelta(days=28 - at), [0.91 - at / 1e4] * 2, [0.99] * 2), 2)
        for at in range(28)
    ]
    found = window(days, UNTIL)
    assert found.p_shift < 5e-4
    assert found.shift is not None and 0.05 < found.shift < 0.10
    assert found.causes == ()


def test_nothing_measured_is_no_evidence() -> None:
    found = window([None] * 28, UNTIL)
    assert (found.valid_days, found.p_link, found.shift, found.bad_share) == (0, 1.0, None, None)
    assert found.causes == ()
    assert bounds([None] * 28, 1) is None
    assert lacks(found, None) == (Lack.NOTHING,)


@pytest.mark.parametrize(
    ("occupied", "p"), [(8, 0.00984), (9, 0.001767), (10, 2.172e-4), (11, 1.634e-5), (12, 5.68e-7)]
)
def test_v5_10_weeks_of_a_quarter(occupied: int, p: float) -> None:
    assert occupancy_p(12, occupied) == pytest.approx(p, rel=2e-3)
    assert occupancy_p(12, occupied) == binomial_tail(12, occupied, 1 - 0.95**7)


def weekly(weeks: int, a_week: int = 2) -> list[bool | None]:
    return flags(84, {7 * week + 3 * day for week in range(weeks) for day in range(a_week)})


def test_ten_occupied_weeks_and_enough_days_speak() -> None:
    assert quarter(span(weekly(10)), UNTIL).causes == (Cause.CONTENDED, Cause.UNDER_PROVISIONED)
    found = quarter(span(weekly(10), whole_day=True), UNTIL)
    assert found.causes == (Cause.UNDER_PROVISIONED,)
    assert found.peak_only_weeks == () and found.p_peak_only == 1.0
    assert found.bad_weeks[1] - found.bad_weeks[0] == timedelta(days=7)
    assert found.bad_weeks[0] == found.first == UNTIL - timedelta(days=84)


def test_nine_weeks_or_too_few_days_do_not() -> None:
    assert quarter(span(weekly(9)), UNTIL).causes == ()
    few = quarter(span(weekly(12, 1)), UNTIL)
    assert len(few.peak_only_weeks) == 12
    assert few.peak_only_days / few.valid_days < 0.15
    assert few.causes == ()


def test_weeks_without_days_are_not_occupied() -> None:
    days = span(weekly(12))
    days[:21] = [None] * 21
    found = quarter(days, UNTIL)
    assert (len(found.peak_only_weeks), found.valid_days) == (9, 63)
    assert found.causes == ()


def test_days_that_last_are_seen_to_last() -> None:
    long = span(flags(56, set(range(20, 48))))
    for rule in Rule:
        for cause in Cause:
            found = persistence(long, cause, rule)
            assert found is not None and found > 0.8
    assert persistence(span([True] * 56), Cause.CONTENDED, Rule.V2) is None
    scattered = persistence(span(flags(56, set(range(0, 56, 4)))), Cause.CONTENDED, Rule.O)
    assert scattered is not None and scattered < 0.8


def days_around(level: float, sd: float, lower: float = 0.0, seed: int = 1) -> list[Daily | None]:
    drawn = random.Random(seed)
    return [
        judge(
            Day(
                UNTIL - timedelta(days=28 - at),
                [level - lower + drawn.gauss(0, sd) for _ in range(4)],
                [level + drawn.gauss(0, sd) for _ in range(4)],
                scheduled=4,
            ),
            2,
        )
        for at in range(28)
    ]


def test_a_clean_window_acquits_with_its_bounds() -> None:
    days = days_around(0.97, 0.01)
    limits = bounds(days, 1)
    assert limits is not None
    assert (limits.peak_tests, limits.failed_tests, limits.above_80) == (112, 0, 1.0)
    assert limits.failed_rate_upper == pytest.approx(0.026, abs=5e-4)
    assert limits.bad_rate_upper == pytest.approx(0.101, abs=5e-4)
    assert 0.96 < limits.peak_median_lower < limits.peak_median < 0.98
    assert limits.delta_median_upper is not None and limits.delta_median is not None
    assert limits.delta_median < limits.delta_median_upper < 0.02
    assert lacks(window(days, UNTIL), limits) == ()
    assert bounds(days, 1) == limits
    assert bounds(days, 2) != limits


def test_each_lack_is_named() -> None:
    lower = days_around(0.98, 0.02, 0.048)
    found = lacks(window(lower, UNTIL), bounds(lower, 1))
    assert Lack.DELTA_BOUND in found and Lack.PEAK_BOUND not in found
    low = days_around(0.9, 0.01)
    found = lacks(window(low, UNTIL), bounds(low, 1))
    assert found == (Lack.PEAK_BOUND, Lack.BAD_DAYS)
    two = span(flags(28, {3, 17}), whole_day=True)
    assert lacks(window(two, UNTIL), bounds(two, 1)) == (Lack.BAD_DAYS,)
    one = span(flags(28, {3}), whole_day=True)
    assert lacks(window(one, UNTIL), bounds(one, 1)) == ()
