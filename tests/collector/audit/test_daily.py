"""From tests to days."""

from datetime import UTC, date, datetime, timedelta

import pytest

from collector.audit.daily import (
    Day,
    Direction,
    Part,
    Quality,
    Test,
    days,
    judge,
    part,
    place,
    zone,
)
from tests.collector.audit.days import day_of, one_test, utc_ns

DAY = date(2026, 4, 1)


@pytest.mark.parametrize(
    ("name", "hours"), [("WIB", 7), ("WITA", 8), ("WIT", 9), ("Asia/Makassar", 8), ("UTC", 0)]
)
def test_zones_of_indonesia_need_no_database(name: str, hours: int) -> None:
    noon = datetime(2026, 4, 1, 12, tzinfo=UTC)
    assert noon.astimezone(zone(name)).utcoffset() == timedelta(hours=hours)


@pytest.mark.parametrize("name", ["", "wib", "Asia/Nowhere", "../etc/passwd", "/etc/passwd"])
def test_other_zones_are_refused_by_name(name: str) -> None:
    with pytest.raises(ValueError, match="expected WIB, WITA, WIT or an IANA name"):
        zone(name)


def test_hours_belong_to_one_part() -> None:
    parts = [part(hour) for hour in range(24)]
    peak = [hour for hour in range(24) if parts[hour] is Part.PEAK]
    off = [hour for hour in range(24) if parts[hour] is Part.OFF_PEAK]
    assert (peak, off) == ([19, 20, 21, 22], [*range(1, 5), *range(8, 16)])


def test_a_test_belongs_to_its_sites_evening() -> None:
    late = one_test(utc_ns(DAY, 22.99))
    assert place([late], zone("WIB"))[0][1:] == (DAY, pytest.approx(22.99, abs=1e-3), Part.PEAK)
    # The same moment is 00:59 of the next day in WIT.
    assert place([late], zone("WIT"))[0].date == DAY + timedelta(days=1)
    assert place([late], zone("WIT"))[0].part is Part.OTHER


def test_days_gather_what_counts() -> None:
    tests = [
        *day_of(DAY, [0.9, 0.8], [0.97]),
        one_test(utc_ns(DAY, 21), 0.5, cross_mbps=None),
        one_test(utc_ns(DAY, 10), 0.5, cross_mbps=None),
        one_test(utc_ns(DAY, 17), 0.5),
        Test(utc_ns(DAY, 22), Direction.DOWN, 100.0, None, valid=False, reason="SKIPPED_BUSY"),
    ]
    assert days(place(tests, zone("WIB"))) == {DAY: Day(DAY, (0.9, 0.8), (0.97,), (0.5,), 4, 1)}


def test_users_traffic_counts_as_delivered() -> None:
    assert one_test(0, 0.1, cross_mbps=86.0).attainment == pytest.approx(0.96)
    assert one_test(0, 0.1, cross_mbps=None).quality is Quality.B


def test_a_bad_day_is_one_below_its_median() -> None:
    bad = judge(Day(DAY, [0.5, 0.89, 0.95], [0.97]), 2)
    assert bad is not None
    assert (bad.bad, bad.peak, bad.shifted) == (True, 0.89, True)
    good = judge(Day(DAY, [0.5, 0.91, 0.95], [0.97]), 2)
    assert good is not None and not good.bad and good.shifted


def test_exactly_what_was_promised_is_no_fault() -> None:
    # 0.9 of 97.2763 and 0.95 - 0.90 are not exact in binary; the doubt is the provider's.
    y = 0.9 * 97.2763 / 97.2763
    day = judge(Day(DAY, [y, y - 1e-12], [0.95, 0.95 + 1e-12]), 2)
    assert day is not None
    assert (day.bad, day.shifted) == (False, False)


def test_one_evening_test_is_too_little_unless_the_budget_is_small() -> None:
    day = Day(DAY, [0.5], [0.97])
    assert judge(day, 2) is None
    small = judge(day, 1)
    assert small is not None and small.bad


def test_tests_with_unknown_traffic_clear_and_never_accuse() -> None:
    assert judge(Day(DAY, floors=[0.5, 0.6, 0.4]), 2) is None
    assert judge(Day(DAY, [0.5], floors=[0.6]), 2) is None
    cleared = judge(Day(DAY, floors=[0.95, 0.92]), 2)
    assert cleared is not None and not cleared.bad and cleared.delta is None
    # With enough tests of quality A the others are not asked.
    both = judge(Day(DAY, [0.5, 0.5], floors=[1.0] * 9), 2)
    assert both is not None and both.bad


def test_an_evening_compared_with_nothing_is_not_a_lower_one() -> None:
    alone = judge(Day(DAY, [0.5, 0.5]), 2)
    assert alone is not None
    assert (alone.bad, alone.shifted, alone.peak_only) == (True, None, False)
    whole = judge(Day(DAY, [0.5, 0.5], [0.52]), 2)
    assert whole is not None and whole.bad and not whole.peak_only


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"achieved_mbps": None}, "a valid test has an achieved rate"),
        ({"achieved_mbps": -1.0}, "achieved rate -1.0"),
        ({"achieved_mbps": float("nan")}, "achieved rate nan"),
        ({"expected_mbps": 0.0}, "expected rate 0.0"),
        ({"cross_mbps": float("inf")}, "cross-traffic inf"),
    ],
)
def test_rates_that_cannot_be_are_refused(fields: dict[str, float], message: str) -> None:
    given = {"expected_mbps": 100.0, "achieved_mbps": 90.0, **fields}
    with pytest.raises(ValueError, match=message):
        Test(0, Direction.DOWN, **given)


def test_a_skipped_test_has_no_attainment() -> None:
    skipped = Test(0, Direction.DOWN, 100.0, None, valid=False)
    with pytest.raises(ValueError, match="only a valid test"):
        _ = skipped.attainment
