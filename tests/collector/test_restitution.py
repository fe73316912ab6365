"""Restitution by every rule: vectors V1.3 and V1.4 of the methodology, and the edges of each."""

import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.restitution import (
    RULES,
    Account,
    Restitution,
    Rounding,
    Rule,
    Tier,
    credit,
    payable,
    working,
)

FEE = 2_500_000
MONTH = 720 * 3600
TARGET = 0.995
TABLE = (
    Tier(availability=0.995, fee_ratio=0),
    Tier(availability=0.99, fee_ratio=0.05),
    Tier(availability=0, fee_ratio=0.3),
)


def owed(rule: Rule, *outages: int, month: int = MONTH, **changes: int) -> Fraction | None:
    terms = Restitution(rule=rule, tiers=TABLE if rule is Rule.TIER else ())
    told = {"period_s": month} | changes
    return credit(terms, FEE, TARGET, Account(month, outages_s=outages, **told))


@pytest.mark.parametrize(
    ("rule", "down_s", "rupiah"),
    [
        (Rule.LIN, 11_700, 11_284.72),
        (Rule.BEIBI, 11_700, 11_341.43),
        (Rule.LIN_EXC, 11_700, 0),
        (Rule.LIN, 14_400, 13_888.89),
        (Rule.BEIBI, 14_400, 13_958.68),
        (Rule.LIN_EXC, 14_400, 1_388.89),
    ],
)
def test_vector_1_3(rule: Rule, down_s: int, rupiah: float) -> None:
    amount = owed(rule, down_s)
    assert amount is not None
    assert round(float(amount), 2) == rupiah


def test_vector_1_4_which_outages_the_floors_leave() -> None:
    account = Account(MONTH, MONTH, (600, 45, 3600, 1200, 250))
    assert (account.down_s, account.longer_than(300), account.longer_than(60)) == (
        5_695,
        5_400,
        5_650,
    )
    assert owed(Rule.ESJ300, *account.outages_s) == Fraction(FEE * 5_400, MONTH)


def test_an_outage_of_exactly_the_floor_is_not_longer_than_it() -> None:
    assert owed(Rule.ESJ300, 300) == 0
    assert owed(Rule.ESJ300, 301) == Fraction(FEE * 301, MONTH)


@pytest.mark.parametrize(
    ("outages", "rupiah"),
    [((2_592,), 0), ((2_593,), 500_000), ((60,) * 50, 0), ((61,) * 50, 500_000)],
)
def test_starlink_gives_a_fifth_below_999_and_counts_outages_over_a_minute(
    outages: tuple[int, ...], rupiah: int
) -> None:
    assert owed(Rule.STARLINK, *outages) == rupiah


@pytest.mark.parametrize(
    ("down_s", "rupiah"),
    [(12_960, 0), (12_961, 125_000), (25_920, 125_000), (25_921, 750_000), (MONTH, 750_000)],
)
def test_a_tier_begins_at_its_availability(down_s: int, rupiah: int) -> None:
    assert owed(Rule.TIER, down_s) == rupiah


def test_excluded_time_makes_the_rest_count_for_more() -> None:
    assert owed(Rule.TIER, 12_960, excluded_s=1) == 125_000
    assert owed(Rule.TIER, excluded_s=MONTH) == 0


@pytest.mark.parametrize(
    ("down_s", "blocks"),
    [(12_960, 0), (12_961, 1), (12_960 + 86_400, 1), (12_960 + 86_401, 2)],
)
def test_djawa_counts_begun_days_beyond_the_target(down_s: int, blocks: int) -> None:
    assert owed(Rule.DJAWA, down_s) == 2 * Fraction(FEE, 30) * blocks


def test_palapa_counts_only_seconds_without_any_path_and_only_when_they_miss_the_target() -> None:
    assert owed(Rule.PALAPA, 50_000, all_paths_s=12_960) == 0
    assert owed(Rule.PALAPA, 50_000, all_paths_s=12_961) == Fraction(FEE * 12_961, MONTH)


def test_what_palapa_needs_and_nobody_knows_is_no_amount() -> None:
    assert owed(Rule.PALAPA, 50_000) is None


def test_half_a_month_under_a_contract_has_half_of_what_the_target_allows() -> None:
    assert owed(Rule.LIN_EXC, 6_481, period_s=MONTH // 2) == Fraction(FEE, MONTH)
    assert owed(Rule.LIN_EXC, 6_480, period_s=MONTH // 2) == 0


def test_no_rule_gives_nothing_and_no_promise_owes_nothing() -> None:
    assert owed(Rule.NONE, MONTH) == 0
    assert credit(Restitution(rule=Rule.BEIBI), FEE, 0.0, Account(MONTH, MONTH, (9,))) == 0


@pytest.mark.parametrize(
    ("amount", "down", "half_up", "up"),
    [
        (Fraction(7), 7, 7, 7),
        (Fraction(29, 4), 7, 7, 8),
        (Fraction(15, 2), 7, 8, 8),
        (Fraction(31, 4), 7, 8, 8),
    ],
)
def test_an_amount_is_rounded_once_as_agreed(
    amount: Fraction, down: int, half_up: int, up: int
) -> None:
    assert payable(amount, Rounding.DOWN) == down
    assert payable(amount, Rounding.HALF_UP) == half_up
    assert payable(amount, Rounding.UP) == up


@given(st.lists(st.integers(1, 10_000), max_size=20), st.integers(1, 10_000))
def test_more_downtime_never_gives_back_less(outages: list[int], more: int) -> None:
    for rule in Rule:
        before = owed(rule, *outages, all_paths_s=sum(outages))
        after = owed(rule, *outages, more, all_paths_s=sum(outages) + more)
        assert before is not None and after is not None
        assert before <= after, rule


def test_every_rule_has_its_function() -> None:
    assert set(RULES) == set(Rule)


def test_an_outage_over_the_months_end_is_as_long_as_it_was() -> None:
    account = Account(MONTH, MONTH, (200, 100), lengths_s=(400, 100))
    assert (account.longer_than(300), account.down_s) == (200, 300)


@given(st.lists(st.integers(1, 40_000), max_size=10), st.integers(0, MONTH // 2))
def test_the_shown_arithmetic_gives_the_amount(outages: list[int], excluded: int) -> None:
    account = Account(MONTH, MONTH, tuple(outages), excluded, all_paths_s=sum(outages))
    for rule in Rule:
        terms = Restitution(rule=rule, tiers=TABLE if rule is Rule.TIER else ())
        found = working(terms, FEE, TARGET, account)
        if found.formula:
            names = dict(found.values) | {"max": max, "ceil": math.ceil}
            assert eval(found.formula, {"__builtins__": {}}, names) == found.amount, rule
        else:
            assert found.amount == 0, rule
