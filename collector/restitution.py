"""What a provider gives back for downtime (restitusi): one rule per practice that was found.

A rule is a function in `RULES`, by its id; it gives the amount with the arithmetic that an auditor
can repeat. Amounts are exact fractions of a rupiah until `payable` rounds once, at the end, as the
contract says. Which seconds are charged is decided elsewhere; for the bounds of a credit, ask with
the bounds of the seconds.
"""

import math
from collections.abc import Callable, Mapping
from enum import StrEnum
from fractions import Fraction
from itertools import pairwise
from typing import Annotated, NamedTuple

import msgspec

from collector.audit.rules import Ratio, Term

DAY_S = 86_400
ESJ_FLOOR_S = 300
STARLINK_FLOOR_S = 60
STARLINK_TARGET = Fraction(999, 1000)
STARLINK_SHARE = Fraction(1, 5)


class Rule(StrEnum):
    """Id of a restitution rule."""

    LIN = "LIN"
    """fee x downtime / month"""
    LIN_EXC = "LIN_EXC"
    """as LIN, for the downtime beyond what the target allows"""
    BEIBI = "BEIBI"
    """fee x downtime hours / (hours of the month x target): an Indonesian provider's quotation"""
    ESJ300 = "ESJ300"
    """as LIN, for outages longer than 300 s (Emerging Science Journal 9(4), 2025)"""
    STARLINK = "STARLINK"
    """20 % of the fee where outages longer than 60 s bring availability below 99.9 %"""
    TIER = "TIER"
    """a share of the fee by a table of availability"""
    DJAWA = "DJAWA"
    """twice the daily fee for every begun 24 h of downtime beyond what the target allows"""
    PALAPA = "PALAPA"
    """as LIN, for the seconds in which all links of the node were down, if they miss the target"""
    NONE = "NONE"
    """nothing is given back"""


class Rounding(StrEnum):
    """How an amount becomes whole rupiah."""

    DOWN = "down"
    HALF_UP = "half_up"
    UP = "up"


class Tier(Term, frozen=True, kw_only=True):
    """One row of a table: from this availability on, this share of the fee."""

    availability: Ratio
    """Lowest availability of this row."""
    fee_ratio: Ratio
    """Share of the month's fee that is given back."""


class Restitution(Term, frozen=True, kw_only=True):
    """The rule of a contract."""

    rule: Rule
    tiers: Annotated[tuple[Tier, ...], msgspec.Meta(max_length=50)] = ()
    """For TIER: from the highest availability down; the last row begins at 0."""
    rounding: Rounding = Rounding.DOWN

    def __post_init__(self) -> None:
        if (self.rule is Rule.TIER) != bool(self.tiers):
            raise ValueError("rule TIER and a table of tiers go together")
        if not self.tiers:
            return
        floors = [tier.availability for tier in self.tiers]
        if any(low >= high for high, low in pairwise(floors)):
            raise ValueError("tiers: expected availabilities from the highest to the lowest")
        if floors[-1] != 0:
            raise ValueError("tiers: the last row has to begin at availability 0")


class Account(NamedTuple):
    """What one contract's part of a month comes to, seconds."""

    month_s: int
    """The whole calendar month, for which the fee is paid."""
    period_s: int
    """The part of it under this contract; the month itself where the contract did not change."""
    outages_s: tuple[int, ...]
    """Charged seconds of every counted outage within the period."""
    excluded_s: int = 0
    """Excluded seconds of the period; availability is over the rest."""
    all_paths_s: int | None = None
    """Charged seconds in which all links of the node were down; None where that is not known."""
    lengths_s: tuple[int, ...] = ()
    """How long each of the outages was as a whole, its parts beyond the period included; as
    `outages_s` where none are given. A floor asks for this length."""

    @property
    def down_s(self) -> int:
        """Charged seconds."""
        return sum(self.outages_s)

    @property
    def counted_s(self) -> int:
        """Seconds of the period that are not excluded."""
        return self.period_s - self.excluded_s

    def longer_than(self, floor_s: int) -> int:
        """Charged seconds of the outages that are longer than this."""
        lengths = self.lengths_s or self.outages_s
        return sum(
            one for one, whole in zip(self.outages_s, lengths, strict=True) if whole > floor_s
        )

    def availability(self, down_s: int) -> Fraction:
        """Share of the time that was not excluded in which the link was not charged as down."""
        return 1 - Fraction(down_s, self.counted_s) if self.counted_s else Fraction(1)


class Asked(NamedTuple):
    """What a rule is asked about."""

    terms: Restitution
    fee: int
    """Of the month, rupiah."""
    promised: Fraction
    """Availability."""
    account: Account


class Working(NamedTuple):
    """An amount and how it came about."""

    formula: str
    """Of the values' names, with + - * / ( ), max and ceil; empty where nothing is computed."""
    values: Mapping[str, Fraction]
    """Rupiah, seconds (`_s`) and shares. Every name of the formula is here, in its order."""
    amount: Fraction | None
    """Rupiah, exact; None where the rule asks for something that is not known."""


def _values(asked: Asked, **more: Fraction | int) -> dict[str, Fraction]:
    told: dict[str, Fraction | int] = {"fee_rupiah": asked.fee, **more}
    return {name: Fraction(value) for name, value in told.items()}


def _lin(asked: Asked) -> Working:
    account = asked.account
    values = _values(asked, down_s=account.down_s, month_s=account.month_s)
    amount = Fraction(asked.fee * account.down_s, account.month_s)
    return Working("fee_rupiah * down_s / month_s", values, amount)


def _beyond(asked: Asked) -> Fraction:
    """Seconds of downtime beyond what the target allows."""
    account = asked.account
    return max(Fraction(0), account.down_s - (1 - asked.promised) * account.period_s)


def _lin_exc(asked: Asked) -> Working:
    account = asked.account
    values = _values(
        asked,
        down_s=account.down_s,
        target=asked.promised,
        period_s=account.period_s,
        month_s=account.month_s,
    )
    formula = "fee_rupiah * max(0, down_s - (1 - target) * period_s) / month_s"
    return Working(formula, values, asked.fee * _beyond(asked) / account.month_s)


def _beibi(asked: Asked) -> Working:
    account, promised = asked.account, asked.promised
    if not promised:
        # promised 0 promises nothing, and nothing is owed for it
        return Working("", {}, Fraction(0))
    values = _values(asked, down_s=account.down_s, month_s=account.month_s, target=promised)
    amount = asked.fee * account.down_s / (account.month_s * promised)
    return Working("fee_rupiah * down_s / (month_s * target)", values, amount)


def _esj300(asked: Asked) -> Working:
    account = asked.account
    long_s = account.longer_than(ESJ_FLOOR_S)
    values = _values(asked, long_down_s=long_s, month_s=account.month_s)
    amount = Fraction(asked.fee * long_s, account.month_s)
    return Working("fee_rupiah * long_down_s / month_s", values, amount)


def _starlink(asked: Asked) -> Working:
    account = asked.account
    long_s = account.longer_than(STARLINK_FLOOR_S)
    availability = account.availability(long_s)
    share = STARLINK_SHARE if availability < STARLINK_TARGET else Fraction(0)
    values = _values(
        asked,
        share=share,
        availability=availability,
        long_down_s=long_s,
        counted_s=account.counted_s,
    )
    return Working("fee_rupiah * share", values, asked.fee * share)


def _tier(asked: Asked) -> Working:
    account = asked.account
    availability = account.availability(account.down_s)
    share = next(
        Fraction(str(one.fee_ratio))
        for one in asked.terms.tiers
        if availability >= Fraction(str(one.availability))
    )
    values = _values(
        asked,
        share=share,
        availability=availability,
        down_s=account.down_s,
        counted_s=account.counted_s,
    )
    return Working("fee_rupiah * share", values, asked.fee * share)


def _djawa(asked: Asked) -> Working:
    account = asked.account
    blocks = math.ceil(_beyond(asked) / DAY_S)
    values = _values(
        asked,
        down_s=account.down_s,
        target=asked.promised,
        period_s=account.period_s,
        day_s=DAY_S,
        month_s=account.month_s,
    )
    formula = (
        "2 * fee_rupiah * day_s / month_s * ceil(max(0, down_s - (1 - target) * period_s) / day_s)"
    )
    return Working(formula, values, 2 * Fraction(asked.fee * DAY_S, account.month_s) * blocks)


def _palapa(asked: Asked) -> Working:
    account = asked.account
    if account.all_paths_s is None:
        return Working("", {}, None)
    availability = account.availability(account.all_paths_s)
    counts = availability < asked.promised
    values = _values(
        asked,
        all_paths_down_s=account.all_paths_s if counts else 0,
        month_s=account.month_s,
        availability=availability,
        target=asked.promised,
    )
    amount = Fraction(asked.fee * account.all_paths_s, account.month_s) if counts else Fraction(0)
    return Working("fee_rupiah * all_paths_down_s / month_s", values, amount)


def _none(asked: Asked) -> Working:
    return Working("", {}, Fraction(0))


RULES: Mapping[Rule, Callable[[Asked], Working]] = {
    Rule.LIN: _lin,
    Rule.LIN_EXC: _lin_exc,
    Rule.BEIBI: _beibi,
    Rule.ESJ300: _esj300,
    Rule.STARLINK: _starlink,
    Rule.TIER: _tier,
    Rule.DJAWA: _djawa,
    Rule.PALAPA: _palapa,
    Rule.NONE: _none,
}
"""A new rule is a member of Rule, a function, and a line here."""


def working(terms: Restitution, fee: int, target: float, account: Account) -> Working:
    """Rupiah to give back, with the arithmetic.

    `fee` is the month's in rupiah, `target` the promised availability.
    """
    # As written: 0.995 is 199/200 here, not the nearest double.
    return RULES[terms.rule](Asked(terms, fee, Fraction(str(target)), account))


def credit(terms: Restitution, fee: int, target: float, account: Account) -> Fraction | None:
    """Rupiah to give back, exact; None where the rule asks for something that is not known."""
    return working(terms, fee, target, account).amount


def payable(amount: Fraction, rounding: Rounding) -> int:
    """Whole rupiah."""
    if rounding is Rounding.DOWN:
        return math.floor(amount)
    if rounding is Rounding.UP:
        return math.ceil(amount)
    return math.floor(amount + Fraction(1, 2))
