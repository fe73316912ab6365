"""What a provider gives back for downtime (restitusi): one rule per practice that was found.

The rules are the closed set of methodology 1.2. Amounts are exact fractions of a rupiah until
`payable` rounds once, at the end, as the contract says. Which seconds are charged is decided
elsewhere; for the bounds of a credit, ask with the bounds of the seconds.
"""

import math
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
    """Charged seconds of every counted outage."""
    excluded_s: int = 0
    """Excluded seconds of the period; availability is over the rest."""
    all_paths_s: int | None = None
    """Charged seconds in which all links of the node were down; None where that is not known."""

    @property
    def down_s(self) -> int:
        """Charged seconds."""
        return sum(self.outages_s)

    def longer_than(self, floor_s: int) -> int:
        """Charged seconds of the outages that are longer than this."""
        return sum(one for one in self.outages_s if one > floor_s)

    def availability(self, down_s: int) -> Fraction:
        """Share of the time that was not excluded in which the link was not charged as down."""
        asked = self.period_s - self.excluded_s
        return 1 - Fraction(down_s, asked) if asked else Fraction(1)


def credit(terms: Restitution, fee: int, target: float, account: Account) -> Fraction | None:
    """Rupiah to give back, exact; None where the rule asks for something that is not known.

    `fee` is the month's in rupiah, `target` the promised availability.
    """
    # As written: 0.995 is 199/200 here, not the nearest double.
    promised = Fraction(str(target))
    if terms.rule is Rule.PALAPA:
        return _palapa(fee, promised, account)
    if terms.rule is Rule.TIER:
        return fee * _tier(terms.tiers, account)
    return _plain(terms.rule, fee, promised, account)


def _plain(rule: Rule, fee: int, promised: Fraction, account: Account) -> Fraction:
    beyond = max(Fraction(0), account.down_s - (1 - promised) * account.period_s)
    if rule is Rule.LIN:
        return Fraction(fee * account.down_s, account.month_s)
    if rule is Rule.LIN_EXC:
        return fee * beyond / account.month_s
    if rule is Rule.BEIBI:
        # promised 0 promises nothing, and nothing is owed for it
        return fee * account.down_s / (account.month_s * promised) if promised else Fraction(0)
    if rule is Rule.ESJ300:
        return Fraction(fee * account.longer_than(ESJ_FLOOR_S), account.month_s)
    if rule is Rule.STARLINK:
        availability = account.availability(account.longer_than(STARLINK_FLOOR_S))
        return fee * STARLINK_SHARE if availability < STARLINK_TARGET else Fraction(0)
    if rule is Rule.DJAWA:
        return 2 * Fraction(fee * DAY_S, account.month_s) * math.ceil(beyond / DAY_S)
    return Fraction(0)


def _tier(tiers: tuple[Tier, ...], account: Account) -> Fraction:
    availability = account.availability(account.down_s)
    share = next(t.fee_ratio for t in tiers if availability >= Fraction(str(t.availability)))
    return Fraction(str(share))


def _palapa(fee: int, promised: Fraction, account: Account) -> Fraction | None:
    if account.all_paths_s is None:
        return None
    if account.availability(account.all_paths_s) >= promised:
        return Fraction(0)
    return Fraction(fee * account.all_paths_s, account.month_s)


def payable(amount: Fraction, rounding: Rounding) -> int:
    """Whole rupiah."""
    if rounding is Rounding.DOWN:
        return math.floor(amount)
    if rounding is Rounding.UP:
        return math.ceil(amount)
    return math.floor(amount + Fraction(1, 2))
