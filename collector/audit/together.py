"""Experiment G: sites of one PoP alone and all together, in an order drawn by lot.

Drawing the order makes the p-value exact whatever the weather of the days. It shows that our own
sites share what each was sold; about other customers it says nothing.
"""

import math
import statistics
from collections.abc import Sequence
from enum import StrEnum

import msgspec

from collector.audit.statistics import sign_test

SOLO = 0.90
REPEATS = 10
SURE = 0.001


class Order(StrEnum):
    """Which half of a repeat came first, by lot."""

    ALONE_FIRST = "alone_first"
    TOGETHER_FIRST = "together_first"


class Repeat(msgspec.Struct, frozen=True):
    """One repeat: for each site its expected rate and both measured ones, Mbit/s of IP."""

    order: Order
    expected_mbps: tuple[float, ...]
    alone_mbps: tuple[float, ...]
    together_mbps: tuple[float, ...]

    def __post_init__(self) -> None:
        counts = {len(self.expected_mbps), len(self.alone_mbps), len(self.together_mbps)}
        if len(counts) != 1 or counts.pop() < 2:
            raise ValueError("a repeat needs the same two sites or more in all three lists")
        if min(self.expected_mbps) <= 0:
            raise ValueError("expected rates are above 0")

    @property
    def solo_ratio(self) -> float:
        """What the sites got one by one, as a share of what they were promised together."""
        return math.fsum(self.alone_mbps) / math.fsum(self.expected_mbps)

    @property
    def ratio(self) -> float:
        """What they got together."""
        return math.fsum(self.together_mbps) / math.fsum(self.expected_mbps)


class Sharing(StrEnum):
    """What the experiment shows of a PoP."""

    OVERSUBSCRIBED = "oversubscribed"
    NOT_SHOWN = "not_shown"
    NOT_EXACT = "not_exact"
    """fewer than ten repeats, a fixed order, or sites that lack their rate even alone"""


class Together(msgspec.Struct, frozen=True):
    """The experiment's result; ratios are medians over the repeats."""

    sharing: Sharing
    repeats: int
    wins: int
    """Repeats in which the sites got less together than alone."""
    p: float
    solo_ratio: float
    ratio: float
    contention: float | None
    """1 / ratio: 2.0 means 1:2. None where the sites lack their rate even alone."""


def together(repeats: Sequence[Repeat]) -> Together:
    """Judge the repeats of one PoP. Raises ValueError without any."""
    if not repeats:
        raise ValueError("no repeats")
    wins = sum(one.ratio < one.solo_ratio for one in repeats)
    solo = statistics.median(one.solo_ratio for one in repeats)
    ratio = statistics.median(one.ratio for one in repeats)
    p = sign_test(wins, len(repeats))
    drawn = len({one.order for one in repeats}) == 2
    sound = solo >= SOLO and ratio > 0
    if not (sound and drawn and len(repeats) >= REPEATS):
        sharing = Sharing.NOT_EXACT
    elif p < SURE and ratio < SOLO:
        sharing = Sharing.OVERSUBSCRIBED
    else:
        sharing = Sharing.NOT_SHOWN
    return Together(sharing, len(repeats), wins, p, solo, ratio, 1 / ratio if sound else None)
