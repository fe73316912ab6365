"""Flapping: more outages than promised, or many in one hour. Never mixed with contention."""

from collections.abc import Sequence
from enum import StrEnum

import msgspec

from collector.audit.statistics import poisson_tail

HOUR_NS = 3_600 * 10**9
OUTAGES_PER_MONTH = 2.0
"""Where the contract names no number."""
MONTH_DAYS = 30
SURE = 0.001
EPISODE = 3
"""Outages within one hour that make an episode."""


class Steadiness(StrEnum):
    """Whether outages are more frequent than promised."""

    FLAPPING = "flapping"
    WITHIN_PROMISE = "within_promise"
    NOT_MEASURED = "not_measured"


class Episode(msgspec.Struct, frozen=True):
    """Outages that follow each other so that any three lie within an hour; UTC ns."""

    start_ns: int
    end_ns: int
    outages: int


class Stability(msgspec.Struct, frozen=True):
    """Charged outages of a period against what the contract allows."""

    steadiness: Steadiness
    outages: int | None
    expected: float
    """Outages that the promise leaves for the period."""
    p: float | None
    episodes: tuple[Episode, ...] = ()


def stability(
    starts_ns: Sequence[int] | None, days: int, promised_per_month: float = OUTAGES_PER_MONTH
) -> Stability:
    """Judge charged outages by their starts (UTC ns). None: outages were not measured."""
    expected = promised_per_month * days / MONTH_DAYS
    if starts_ns is None:
        return Stability(Steadiness.NOT_MEASURED, None, expected, None)
    p = poisson_tail(len(starts_ns), expected)
    steadiness = Steadiness.FLAPPING if p < SURE else Steadiness.WITHIN_PROMISE
    return Stability(steadiness, len(starts_ns), expected, p, tuple(episodes(starts_ns)))


def episodes(starts_ns: Sequence[int]) -> list[Episode]:
    """Flap episodes: every hour with three or more starts, overlapping hours joined."""
    ordered = sorted(starts_ns)
    spans: list[tuple[int, int]] = []
    for at in range(len(ordered) - EPISODE + 1):
        last = at + EPISODE - 1
        if ordered[last] - ordered[at] > HOUR_NS:
            continue
        if spans and at <= spans[-1][1]:
            spans[-1] = (spans[-1][0], last)
        else:
            spans.append((at, last))
    return [Episode(ordered[a], ordered[b], b - a + 1) for a, b in spans]
