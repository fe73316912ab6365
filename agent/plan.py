"""When a link's throughput tests are due: pure, `now` is an argument.

Stratified-random over the local day (methodology 4.4): a number of tests in the evening, in office
hours and at night, in different clock hours of each, at a uniformly random second. Nobody who does
not know the box's secret can foresee them, and the same secret draws the same day again, so that a
restart neither repeats nor loses one.
"""

import datetime
import hashlib
from collections.abc import Iterator
from enum import StrEnum
from functools import lru_cache
from itertools import pairwise
from random import Random
from typing import NamedTuple

from wire.localtime import DAY_S, EPOCH, HOUR_S, local_day
from wire.plan import ThroughputPlan
from wire.slot import Direction

LATEST_S = 1_800
"""A test that waits for users or for a slot begins no later than this after it was due."""
APART_S = 300
"""Between the end of one test of a link and the next, as drawn."""
_DRAWS = 10_000


class Stratum(StrEnum):
    """Which part of the day a test stands for."""

    EVENING = "evening"
    OFFICE = "office"
    NIGHT = "night"
    LONG = "long"
    """the week's long test, at night"""


HOURS = {
    Stratum.EVENING: range(19, 23),
    Stratum.OFFICE: range(8, 16),
    Stratum.NIGHT: range(1, 5),
    Stratum.LONG: range(1, 5),
}


class Leg(NamedTuple):
    """One direction of one planned test."""

    leg_id: str
    """Link, time and direction: a plan that changes draws other tests."""
    link: str
    direction: Direction
    stratum: Stratum
    due_s: int
    """Unix time."""
    duration_s: float


class _Test(NamedTuple):
    at_s: int
    """Seconds after local midnight."""
    stratum: Stratum
    duration_s: float


@lru_cache(maxsize=256)
def day_legs(plan: ThroughputPlan, secret: bytes, day: datetime.date) -> tuple[Leg, ...]:
    """Everything that is planned for the link on this local day, in the order of time."""
    directions = [one for one in Direction if plan.cir(one) is not None]
    random = _random(secret, plan.link, day.isoformat())
    midnight_s = (day - EPOCH).days * DAY_S - plan.zone_offset_s
    legs = []
    for test in _draw(_wanted(plan, secret, day), random, len(directions)):
        random.shuffle(directions)
        legs += [
            Leg(
                leg_id=f"{plan.link} {midnight_s + test.at_s} {direction}",
                link=plan.link,
                direction=direction,
                stratum=test.stratum,
                due_s=midnight_s + test.at_s,
                duration_s=test.duration_s,
            )
            for direction in directions
        ]
    return tuple(legs)


def recent_legs(plan: ThroughputPlan, secret: bytes, wall_s: float) -> Iterator[Leg]:
    """What is planned for yesterday and today at the link, in the order of time."""
    today = local_day(wall_s, plan.zone_offset_s)
    for day in (today - datetime.timedelta(days=1), today):
        yield from day_legs(plan, secret, day)


def _random(secret: bytes, link: str, what: str) -> Random:
    told = b"pantau-plan\x00" + secret + f"\x00{link}\x00{what}".encode()
    return Random(hashlib.sha256(told).digest())


def _wanted(
    plan: ThroughputPlan, secret: bytes, day: datetime.date
) -> list[tuple[Stratum, int, float]]:
    """Stratum, count and length of the day's tests."""
    wanted = [
        (Stratum.EVENING, plan.evening_tests, plan.duration_s),
        (Stratum.OFFICE, plan.office_tests, plan.duration_s),
        (Stratum.NIGHT, plan.night_tests, plan.duration_s),
    ]
    year, week, weekday = day.isocalendar()
    if plan.long_s and _random(secret, plan.link, f"{year}-W{week}").randrange(7) + 1 == weekday:
        wanted.append((Stratum.LONG, 1, plan.long_s))
    return wanted


def _draw(wanted: list[tuple[Stratum, int, float]], random: Random, directions: int) -> list[_Test]:
    """Uniform over all days in which no two tests come too near to each other: drawn whole, and
    again until they do not, which leaves every second of an hour as likely as any other but for
    the neighbours' sake."""
    tests: list[_Test] = []
    for _ in range(_DRAWS):
        tests = sorted(
            _Test(hour * HOUR_S + random.randrange(HOUR_S), stratum, duration_s)
            for stratum, count, duration_s in wanted
            for hour in random.sample(HOURS[stratum], count)
        )
        if all(
            later.at_s - one.at_s >= APART_S + directions * one.duration_s
            for one, later in pairwise(tests)
        ):
            break
    return tests
