"""Links for tests of verdicts: days of attainments, and rows made of them."""

from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

from collector.audit.capacity import Layer, Promise
from collector.audit.daily import Daily, Day, Direction, Test, judge
from collector.audit.dedicated import audit
from collector.audit.findings import (
    Case,
    Look,
    Verdict,
)
from collector.audit.gates import Circumstances, Shown

UNTIL = date(2026, 7, 1)
LOOK = Look(UNTIL, UNTIL)
HELD = Circumstances(Shown.HELD, Shown.HELD, Shown.HELD, Shown.HELD)
PEAK_HOURS, OFF_HOURS = (19, 20, 21, 22), (2, 4, 9, 14)


def utc_ns(day: date, hour: float, zone_h: int = 7) -> int:
    """A local hour as UTC nanoseconds."""
    begin = datetime(day.year, day.month, day.day, tzinfo=UTC)
    return round((begin.timestamp() + (hour - zone_h) * 3600) * 10**9)


def one_test(start_ns: int, y: float = 0.97, **fields: Any) -> Test:
    """A valid test of quality A with nothing else on a 100 Mbit/s link."""
    given = {"cross_mbps": 0.0, **fields}
    return Test(start_ns, Direction.DOWN, 100.0, y * 100, **given)


def day_of(
    day: date, peak: Sequence[float], off_peak: Sequence[float], **fields: Any
) -> list[Test]:
    """The tests of one day, WIB."""
    return [
        one_test(utc_ns(day, hour), y, **fields)
        for hours, values in ((PEAK_HOURS, peak), (OFF_HOURS, off_peak))
        for hour, y in zip(hours, values, strict=False)
    ]


def rows(count: int, peak: Callable[[int], float], **fields: Any) -> list[Test]:
    """`count` days before UNTIL: four evening tests of `peak(day)` each, 0.97 else."""
    made = []
    for at in range(count):
        day = UNTIL - timedelta(days=count - at)
        made += day_of(day, [peak(at)] * 4, [0.97] * 4, **fields)
    return made


def case(tests: Sequence[Test], **fields: Any) -> Case:
    """A case in WIB on a link of 100 Mbit/s of IP, all gates answered for."""
    given = {"link": "l1", "circumstances": HELD, **fields}
    return Case(
        direction=Direction.DOWN,
        zone="WIB",
        promise=Promise(100, Layer.IP),
        tests=tuple(tests),
        **given,
    )


def verdict(tests: Sequence[Test], **fields: Any) -> Verdict:
    """Of a link audited alone."""
    return audit([case(tests, **fields)], LOOK)[0]


def span(flags: Sequence[bool | None], *, whole_day: bool = False) -> list[Daily | None]:
    """Days with bad evenings (or bad all day) where told; None is a day not measured."""
    days: list[Daily | None] = []
    for at, bad in enumerate(flags):
        when = UNTIL - timedelta(days=len(flags) - at)
        low = 0.7 if bad else 0.97
        day = Day(when, [low] * 4, [low if whole_day else 0.97] * 4, scheduled=4)
        days.append(None if bad is None else judge(day, 2))
    return days
