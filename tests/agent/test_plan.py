"""Times of tests: strata, hours, gaps, and the same day again from the same secret."""

import datetime
from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.plan import (
    APART_S,
    HOURS,
    Stratum,
    day_legs,
    recent_legs,
)
from wire.localtime import DAY_S, local_day, local_hour, local_month
from wire.plan import ThroughputPlan
from wire.slot import Direction

DAYS = st.dates(datetime.date(2020, 1, 1), datetime.date(2099, 12, 31))
SECRETS = st.binary(min_size=32, max_size=32)


def plan(**changes: Any) -> ThroughputPlan:
    fields: dict[str, Any] = {
        "link": "l1",
        "down_bits_per_s": 100_000_000,
        "up_bits_per_s": 100_000_000,
        "zone_offset_s": 25_200,
        "budget_bytes": 10**12,
    }
    return ThroughputPlan(**fields | changes)


PLANS = st.builds(
    plan,
    zone_offset_s=st.integers(-50_400, 50_400),
    evening_tests=st.integers(0, 4),
    office_tests=st.integers(0, 8),
    night_tests=st.integers(0, 4),
    duration_s=st.floats(1, 60),
    long_s=st.just(0) | st.floats(10, 120),
    up_bits_per_s=st.none() | st.just(10**7),
)


@given(PLANS, SECRETS, DAYS)
def test_every_stratum_has_its_tests_one_a_clock_hour_in_local_time(
    one: ThroughputPlan, secret: bytes, day: datetime.date
) -> None:
    legs = day_legs(one, secret, day)
    starts = {(leg.stratum, leg.due_s) for leg in legs}
    counts = Counter(stratum for stratum, _ in starts)
    assert counts[Stratum.EVENING] == one.evening_tests
    assert counts[Stratum.OFFICE] == one.office_tests
    assert counts[Stratum.NIGHT] == one.night_tests
    assert counts[Stratum.LONG] <= 1
    for stratum, due_s in starts:
        assert local_day(due_s, one.zone_offset_s) == day
        assert local_hour(due_s, one.zone_offset_s) in HOURS[stratum]
    for stratum in Stratum:
        hours = [local_hour(at, one.zone_offset_s) for kind, at in starts if kind is stratum]
        assert len(set(hours)) == len(hours)


@given(PLANS, SECRETS, DAYS)
def test_no_test_begins_while_another_of_the_link_may_run(
    one: ThroughputPlan, secret: bytes, day: datetime.date
) -> None:
    legs = day_legs(one, secret, day)
    assert [leg.due_s for leg in legs] == sorted(leg.due_s for leg in legs)
    directions = 2 if one.up_bits_per_s else 1
    tests = {leg.due_s: leg.duration_s for leg in legs}
    for at, later in zip(list(tests), list(tests)[1:], strict=False):
        assert later - at >= APART_S + directions * tests[at]


@given(PLANS, SECRETS, DAYS)
def test_the_same_secret_draws_the_same_day_and_every_leg_has_a_name_of_its_own(
    one: ThroughputPlan, secret: bytes, day: datetime.date
) -> None:
    legs = day_legs(one, secret, day)
    assert legs == day_legs(one, secret, day)
    after = day_legs(one, secret, day + datetime.timedelta(days=1))
    names = [leg.leg_id for leg in (*legs, *after)]
    assert len(set(names)) == len(names)


@given(SECRETS, DAYS)
def test_a_week_has_one_long_test_in_each_direction(secret: bytes, day: datetime.date) -> None:
    monday = day - datetime.timedelta(days=day.weekday())
    week = [monday + datetime.timedelta(days=number) for number in range(7)]
    long = [
        leg for one in week for leg in day_legs(plan(), secret, one) if leg.stratum is Stratum.LONG
    ]
    assert Counter(leg.direction for leg in long) == {Direction.DOWN: 1, Direction.UP: 1}
    assert {leg.duration_s for leg in long} == {60}


def test_over_many_days_no_minute_and_no_hour_is_preferred() -> None:
    """Fixed secret: 2,000 evenings have 8,000 tests, 2,000 an hour, 400 in each 3 minutes of it
    (and the two directions go first equally often)."""
    day = datetime.date(2026, 1, 1)
    evening = plan(office_tests=0, night_tests=0, long_s=0)
    minutes: Counter[int] = Counter()
    hours: Counter[int] = Counter()
    first: Counter[Direction] = Counter()
    for number in range(2_000):
        legs = day_legs(evening, b"k" * 32, day + datetime.timedelta(days=number))
        for leg in legs[::2]:
            local_s = (leg.due_s + 25_200) % DAY_S
            minutes[local_s % 3_600 // 180] += 1
            hours[local_s // 3_600] += 1
            first[leg.direction] += 1
    assert hours == {19: 2_000, 20: 2_000, 21: 2_000, 22: 2_000}
    assert len(minutes) == 20
    # The outermost minutes of an hour give way to the neighbours' tests, and so lose some.
    assert min(minutes.values()) > 300 and max(minutes.values()) < 500
    assert abs(first[Direction.UP] - 4_000) < 4 * (8_000 * 0.25) ** 0.5


def test_two_boxes_and_two_links_do_not_test_at_the_same_second() -> None:
    day = datetime.date(2026, 11, 25)
    drawn = {
        tuple(leg.due_s for leg in day_legs(plan(link=link), bytes([box]) * 32, day))
        for box in range(10)
        for link in ("l1", "l2")
    }
    assert len(drawn) == 20


@given(PLANS, SECRETS, st.integers(1_600_000_000, 4_000_000_000))
def test_recent_legs_are_those_of_yesterday_and_today(
    one: ThroughputPlan, secret: bytes, now_s: int
) -> None:
    legs = list(recent_legs(one, secret, now_s))
    today = local_day(now_s, one.zone_offset_s)
    yesterday = today - datetime.timedelta(days=1)
    assert legs == [*day_legs(one, secret, yesterday), *day_legs(one, secret, today)]


@pytest.mark.parametrize(
    ("wall_s", "offset_s", "day", "hour", "month"),
    [
        (0, 0, "1970-01-01", 0, "1970-01"),
        (0, -1, "1969-12-31", 23, "1969-12"),
        (1_764_521_999, 25_200, "2025-11-30", 23, "2025-11"),
        (1_764_522_000, 25_200, "2025-12-01", 0, "2025-12"),
        (1_764_522_000.999, 32_400, "2025-12-01", 2, "2025-12"),
    ],
)
def test_local_time_is_the_links_own(
    wall_s: float, offset_s: int, day: str, hour: int, month: str
) -> None:
    assert local_day(wall_s, offset_s).isoformat() == day
    assert local_hour(wall_s, offset_s) == hour
    assert local_month(wall_s, offset_s) == month
