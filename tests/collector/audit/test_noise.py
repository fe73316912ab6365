"""Noise of tests, and what it forbids."""

import random
from datetime import timedelta

import pytest

from collector.audit.daily import Daily, Day, judge
from collector.audit.decision import Cause, Rule
from collector.audit.dedicated import audit
from collector.audit.findings import Finding, Obstacle
from collector.audit.gates import Plan
from collector.audit.noise import TOLERATED, noise, too_noisy
from tests.collector.audit.days import LOOK, UNTIL, case, day_of


def noisy(sd: float, tests: int, lower: float = 0.0, seed: int = 1) -> list[Daily | None]:
    drawn = random.Random(seed)

    def values(level: float) -> list[float]:
        return [drawn.gauss(level, sd) for _ in range(tests)]

    days = [
        Day(UNTIL - timedelta(days=84 - at), values(0.97 - lower), values(0.97)) for at in range(84)
    ]
    return [judge(day, min(tests, 2)) for day in days]


@pytest.mark.parametrize("tests", [1, 2, 4])
def test_noise_of_a_test_is_told_whatever_their_number(tests: int) -> None:
    found = noise(noisy(0.05, tests))
    assert found is not None
    assert found.sd == pytest.approx(0.05, rel=0.25)
    assert found.level == pytest.approx(0.97, abs=0.02)


@pytest.mark.parametrize("tests", [1, 2, 3, 4, 5, 8])
def test_noise_makes_as_many_days_bad_as_it_says(tests: int) -> None:
    many = [day for seed in range(30) for day in noisy(0.05, tests, seed=seed)]
    bad = sum(day.bad for day in many if day is not None) / len(many)
    found = noise(many)
    assert found is not None
    assert found.bad_rate == pytest.approx(bad, rel=0.25, abs=0.004)


def test_lower_evenings_and_incidents_are_no_noise() -> None:
    lower, clean = noise(noisy(0.02, 4, lower=0.2)), noise(noisy(0.02, 4))
    assert lower is not None and clean is not None
    assert (lower.sd, lower.bad_rate) == pytest.approx((clean.sd, clean.bad_rate))
    days = noisy(0.02, 1)
    for at in range(0, 84, 12):
        when = UNTIL - timedelta(days=84 - at)
        days[at] = judge(Day(when, [0.5], [0.5]), 1)
    incidents, calm = noise(days), noise(noisy(0.02, 1))
    assert incidents is not None and calm is not None
    assert incidents.sd < 1.5 * calm.sd


def test_a_link_that_is_always_short_is_judged_by_the_noise_of_a_good_one() -> None:
    days = [judge(Day(UNTIL, [0.8, 0.81], [0.8, 0.79]), 2)] * 28
    found = noise(days)
    assert found is not None
    assert found.level == 0.95
    assert found.bad_rate < TOLERATED


def test_what_nobody_can_tell_is_none_and_forbids() -> None:
    assert noise([]) is None
    assert noise([judge(Day(UNTIL, [0.5]), 1)] * 84) is None
    constant = noise([judge(Day(UNTIL, [0.9, 0.9]), 2)] * 28)
    assert constant is not None and constant.bad_rate == 0.0
    assert too_noisy(Rule.O, Cause.CONTENDED, None)
    assert too_noisy(Rule.V2, Cause.UNDER_PROVISIONED, None)
    assert not too_noisy(Rule.V2, Cause.CONTENDED, None), "ranks of differences need no count"


def test_one_noisy_test_a_day_accuses_nobody() -> None:
    # By count alone rule O would convict this dedicated link, as one in five of its kind.
    drawn = random.Random(5)
    tests = [
        test
        for back in range(1, 85)
        for test in day_of(
            UNTIL - timedelta(days=back), [drawn.gauss(0.97, 0.068)], [drawn.gauss(0.97, 0.068)]
        )
    ]
    found = audit([case(tests, plan=Plan(minimum_peak=1))], LOOK)[0]
    assert found.finding is Finding.INSUFFICIENT
    by_quarter = [one for one in found.accusations if one.rule is Rule.O]
    assert by_quarter and all(one.obstacles == (Obstacle.NOISE,) for one in by_quarter)
    assert found.noise is not None and found.noise.bad_rate > TOLERATED
    assert {one.tests for one in found.rates} <= {1}
