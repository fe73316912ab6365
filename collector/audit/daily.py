"""From throughput tests to days: the unit of evidence is the day, not the test.

Tests inside a day depend on each other, so a day says one thing: its median. A test whose
cross-traffic is unknown is a lower bound of what was delivered: it can show that the CIR was
there, never that it was missing.
"""

from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, timedelta, timezone, tzinfo
from enum import StrEnum
from statistics import median
from typing import NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from collector.audit.capacity import MOST_MBPS, attainment

THETA = 0.90
"""Attainment below which the CIR was not delivered (BNetzA's 90 %)."""
MARGIN = 0.05
"""d0: by how much evenings may lie below the rest of the day."""
PEAK = ((19, 23),)
"""Local hours, half-open: the provider's evening peak, when offices are empty."""
OFF_PEAK = ((1, 5), (8, 16))
"""Night and office hours: what the peak is compared with."""
MINIMUM_PEAK = 2
"""Peak tests that make a day valid; 1 on nodes with a small budget."""
ROUNDING = 1e-9
"""Differences below this are rounding; the doubt is the provider's."""
_ZONES = {"WIB": 7, "WITA": 8, "WIT": 9}


def zone(name: str) -> tzinfo:
    """WIB, WITA, WIT or an IANA name. Raises ValueError for anything else."""
    if name in _ZONES:
        return timezone(timedelta(hours=_ZONES[name]), name)
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ValueError(
            f"zone {name!r}: expected WIB, WITA, WIT or an IANA name such as Asia/Jakarta"
        ) from error


class Direction(StrEnum):
    """As the site sees it."""

    DOWN = "down"
    UP = "up"


class Quality(StrEnum):
    """Whether users' own traffic during the test is known."""

    A = "A"
    B = "B"


class Test(msgspec.Struct, frozen=True):
    """One throughput test, made or skipped. Rates are Mbit/s of IP packets."""

    __test__ = False  # no test case for pytest

    start_ns: int
    """UTC."""
    direction: Direction
    expected_mbps: float
    """IP rate that the contract leaves at that time."""
    achieved_mbps: float | None
    """The test's own rate; None where it was not made."""
    cross_mbps: float | None = None
    """Users' own traffic meanwhile; None if unknown, which makes the test's quality B."""
    valid: bool = True
    reason: str = ""
    """Why it is not valid, as the measuring side told."""
    anchor: str | None = None
    """The far end, where it is known."""

    def __post_init__(self) -> None:
        _sane("expected rate", self.expected_mbps, above=True)
        if self.achieved_mbps is not None:
            _sane("achieved rate", self.achieved_mbps)
        elif self.valid:
            raise ValueError("a valid test has an achieved rate")
        if self.cross_mbps is not None:
            _sane("cross-traffic", self.cross_mbps)

    @property
    def quality(self) -> Quality:
        """A if cross-traffic is known."""
        return Quality.B if self.cross_mbps is None else Quality.A

    @property
    def attainment(self) -> float:
        """y. Raises ValueError for a test that is not valid."""
        if not self.valid or self.achieved_mbps is None:
            raise ValueError("only a valid test has an attainment")
        return attainment(self.achieved_mbps, self.cross_mbps, self.expected_mbps)


def _sane(what: str, rate: float, *, above: bool = False) -> None:
    if not 0 <= rate <= MOST_MBPS or (above and rate == 0):
        least = "above" if above else "from"
        raise ValueError(f"{what} {rate!r}: expected Mbit/s {least} 0 to {MOST_MBPS:g}")


class Part(StrEnum):
    """Of the day, by local hour."""

    PEAK = "peak"
    OFF_PEAK = "off_peak"
    OTHER = "other"


def part(hour: int) -> Part:
    """Which part of the day a local hour belongs to."""
    if any(first <= hour < end for first, end in PEAK):
        return Part.PEAK
    if any(first <= hour < end for first, end in OFF_PEAK):
        return Part.OFF_PEAK
    return Part.OTHER


class Placed(NamedTuple):
    """A test on the local calendar."""

    test: Test
    date: date
    hour: float
    part: Part


def place(tests: Iterable[Test], where: tzinfo) -> list[Placed]:
    """All tests by time, with the local date and hour that they belong to."""
    placed = []
    for test in sorted(tests, key=lambda one: (one.start_ns, msgspec.json.encode(one))):
        # Integer seconds first: a float of ns since 1970 is good to 0.2 us only.
        local = datetime.fromtimestamp(test.start_ns // 10**9, UTC).astimezone(where)
        hour = local.hour + local.minute / 60 + local.second / 3600
        placed.append(Placed(test, local.date(), hour, part(local.hour)))
    return placed


class Day(NamedTuple):
    """The attainments of one local day."""

    date: date
    peak: Sequence[float] = ()
    off_peak: Sequence[float] = ()
    floors: Sequence[float] = ()
    """Of peak tests of quality B: lower bounds."""
    scheduled: int = 0
    """Peak tests that were due, made or not."""
    uncompared: int = 0
    """Off-peak tests of quality B: they compare with nothing."""


def days(placed: Iterable[Placed]) -> dict[date, Day]:
    """Tests gathered by local day."""
    gathered: dict[date, list[Placed]] = {}
    for one in placed:
        gathered.setdefault(one.date, []).append(one)
    return {when: _day(when, those) for when, those in gathered.items()}


def _day(when: date, placed: list[Placed]) -> Day:
    valid = [one for one in placed if one.test.valid]

    def attained(where: Part, quality: Quality) -> tuple[float, ...]:
        return tuple(
            one.test.attainment
            for one in valid
            if one.part is where and one.test.quality is quality
        )

    return Day(
        when,
        peak=attained(Part.PEAK, Quality.A),
        off_peak=attained(Part.OFF_PEAK, Quality.A),
        floors=attained(Part.PEAK, Quality.B),
        scheduled=sum(one.part is Part.PEAK for one in placed),
        uncompared=len(attained(Part.OFF_PEAK, Quality.B)),
    )


class Daily(NamedTuple):
    """What one day says; None is "not measured"."""

    date: date
    peak: float
    """Median peak attainment; a lower bound where only tests of quality B made the day valid."""
    delta: float | None
    """Median off-peak less median peak attainment."""
    bad: bool
    day: Day

    @property
    def shifted(self) -> bool | None:
        """Whether the evening lies below the rest of the day by more than the margin."""
        return None if self.delta is None else self.delta > MARGIN + ROUNDING

    @property
    def peak_only(self) -> bool:
        """Bad, and only in the evening (section 5.7); not so if the rest was not measured."""
        return self.bad and self.shifted is True


def judge(day: Day, minimum_peak: int) -> Daily | None:
    """The day's word, or None if it has too few valid peak tests or only doubtful ones."""
    if len(day.peak) >= minimum_peak:
        peak = median(day.peak)
        delta = median(day.off_peak) - peak if day.off_peak else None
        return Daily(day.date, peak, delta, peak < THETA - ROUNDING, day)
    known = [*day.peak, *day.floors]
    if len(known) >= minimum_peak and median(known) >= THETA - ROUNDING:
        return Daily(day.date, median(known), None, False, day)
    return None
