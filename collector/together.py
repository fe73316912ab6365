"""How many links were lost at once, now: the live half of the audit's events, by the same numbers.

What sends one page instead of sixty. It asks only when links were last heard, so it may be wrong
as all that is live, and the evidence settles it (`collector.audit.correlation`).
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from collector.audit.correlation import (
    FEWEST,
    HUB_SHARE,
    HUB_TOGETHER_S,
    POP_SHARE,
    TOGETHER_S,
)
from collector.metrics import Family, labels, sample

POP_LINKS = Family(
    "pantau_pop_links",
    "gauge",
    "Links of a point of presence that the hub has heard since it started, without those in a"
    " maintenance window now.",
)
POP_LOST = Family(
    "pantau_pop_links_lost", "gauge", "Of these, links in an outage now: silent, or seen to lose."
)
POP_TOGETHER = Family(
    "pantau_pop_links_lost_together",
    "gauge",
    "Of these, the most whose outages began within 60 s of each other.",
)
POP_EVENT = Family(
    "pantau_pop_event",
    "gauge",
    "1 while at least 3 and 30 % of the links of a point of presence are lost together.",
)
HUB_EVENT = Family(
    "pantau_hub_event",
    "gauge",
    "1 while at least 3 and 95 % of all links, of two points of presence or more, were lost within"
    " 10 s: the hub's own connection, and no link's.",
)
FROM_EVENTS = (POP_LINKS, POP_LOST, POP_TOGETHER, POP_EVENT, HUB_EVENT)


class Look(NamedTuple):
    """One link now."""

    pop: str
    provider: str
    lost_since_s: float | None
    """When its present outage began; None where there is none."""


class Pop(NamedTuple):
    """A provider's point of presence."""

    pop: str
    provider: str


def _within(starts_s: Iterable[float], within_s: float) -> Iterator[tuple[int, int]]:
    """For each moment: how many end with it that lie within `within_s`; how many are earlier."""
    ordered = sorted(starts_s)
    first = 0
    for last, at_s in enumerate(ordered):
        while at_s - ordered[first] > within_s:
            first += 1
        yield last - first + 1, first


def most_within(starts_s: Iterable[float], within_s: float) -> int:
    """The most of these moments that lie within `within_s` of each other."""
    return max((together for together, _ in _within(starts_s, within_s)), default=0)


def is_event(looks: Sequence[Look], within_s: float, share: float) -> bool:
    """Whether so many were lost together that it is one event.

    Links that were lost before are not observed, as in the audit: a village that has been dark for
    a week does not hide what happens to the others.
    """
    starts = [one.lost_since_s for one in looks if one.lost_since_s is not None]
    return any(
        together >= max(FEWEST, share * (len(looks) - earlier))
        for together, earlier in _within(starts, within_s)
    )


def by_pop(looks: Iterable[Look]) -> Mapping[Pop, list[Look]]:
    """The links of each point of presence."""
    found: dict[Pop, list[Look]] = {}
    for one in looks:
        found.setdefault(Pop(one.pop, one.provider), []).append(one)
    return found


def at_hub(looks: Sequence[Look]) -> bool:
    """Whether nearly all links were lost at once, which no single provider's PoP explains."""
    lost = {(one.pop, one.provider) for one in looks if one.lost_since_s is not None}
    return len(lost) > 1 and is_event(looks, HUB_TOGETHER_S, HUB_SHARE)


def pages(looks: Sequence[Look]) -> list[tuple[Family, list[str]]]:
    """The series of these families; `looks` are the links that the hub has heard."""
    lines: dict[Family, list[str]] = {family: [] for family in FROM_EVENTS}
    for pop, its in by_pop(looks).items():
        label = labels(**pop._asdict())
        starts = [one.lost_since_s for one in its if one.lost_since_s is not None]
        values = {
            POP_LINKS: len(its),
            POP_LOST: len(starts),
            POP_TOGETHER: most_within(starts, TOGETHER_S),
            POP_EVENT: int(is_event(its, TOGETHER_S, POP_SHARE)),
        }
        for family, value in values.items():
            lines[family].append(sample(family, label, value))
    lines[HUB_EVENT].append(sample(HUB_EVENT, "", int(at_hub(looks))))
    return list(lines.items())
