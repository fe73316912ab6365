"""Which links were in order in a window, without looking at each of them anew.

The cause of an outage hangs on what all other links showed in the same minutes. Of 1,000 links
nearly all showed nothing but single losses, and what `observe` says of such a link is known without
judging it: one run, UP, and nothing lost. `Calm` notes of every hour what could make it otherwise,
with a margin; only where there is such a thing in a window is the link judged.
"""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from collector.audit.correlation import Observed
from collector.audit.evidence import Span
from collector.audit.intervals import Run
from collector.audit.rules import UnavailabilityRule
from collector.audit.sights import (
    HOLD_S,
    LEAST_S,
    Count,
    Sights,
    anchors_by_part,
    may_be_lost,
)
from collector.audit.states import State
from collector.audit.strip import Strip, View
from collector.audit.timeline import BRIDGE_S, Shown, heads, showing
from collector.ledger.derived import DerivedStore
from collector.ledger.derived_schema import HOUR_S
from collector.settle.gather import strip_of

QUARTER_S = 900
"""Windows begin at multiples of this."""
MARGIN_S = HOLD_S + LEAST_S
"""What reaches over an hour's edge by so much is a trouble of the hour before or behind it."""
MOST_HOURS = 1_000_000
"""Kept in memory, about 150 bytes each: the month of 1,000 links is 720,000."""


class Calm(NamedTuple):
    """An hour of a link."""

    troubles: tuple[Span, ...]
    """Where something may be to explain: seconds in a row that were not good, more than a hole's
    length; hub or anchors lost for 10 s or more. Seen with MARGIN_S around the hour."""
    holes: frozenset[int]
    """Seconds beside the troubles in which nothing was asked."""
    anchors: tuple[Count, ...]
    """What anchors showed while the link was up, by quarter of an hour."""


def calm(strip: Strip, hour: int) -> Calm:
    """Of a strip that reaches MARGIN_S beyond the hour at both sides."""
    seen = showing(strip)
    good = seen.shown == Shown.GOOD
    first = heads(good)
    edges = np.append(seen.edges[:-1][first], seen.end_s)
    odd = ~good[first] & (np.diff(edges) > BRIDGE_S)
    troubles = list(map(Span, edges[:-1][odd].tolist(), edges[1:][odd].tolist()))
    for view in (View.HUB, View.ANCHOR):
        if may_be_lost(strip, view):
            troubles += Sights(strip).lost(view, Span(strip.start_s, strip.end_s))
    silent = np.flatnonzero((seen.shown == Shown.NOTHING) & (np.diff(seen.edges) <= BRIDGE_S))
    holes = frozenset(
        second
        for at in silent.tolist()
        for second in range(int(seen.edges[at]), int(seen.edges[at + 1]))
    )
    whole = strip.slice(hour * HOUR_S, (hour + 1) * HOUR_S)
    return Calm(tuple(sorted(troubles)), holes, anchors_by_part(whole, HOUR_S // QUARTER_S))


class Calms:
    """What is remembered of the hours of all links, until they change."""

    def __init__(self, store: DerivedStore) -> None:
        self._store = store
        self._hours: dict[tuple[str, int], Calm] = {}
        self._alike: dict[Calm, Calm] = {}

    def forget(self, changed: Iterable[tuple[str, int]]) -> None:
        """These hours, by link, show something else now."""
        for link, hour in changed:
            for one in (hour - 1, hour, hour + 1):
                self._hours.pop((link, one), None)

    def _of(self, link: str, hour: int) -> Calm:
        found = self._hours.get((link, hour))
        if found is None:
            if len(self._hours) >= MOST_HOURS:
                self._hours.clear()
                self._alike.clear()
            low, high = hour * HOUR_S - MARGIN_S, (hour + 1) * HOUR_S + MARGIN_S
            made = calm(strip_of(self._store, link, low, high), hour)
            found = self._hours[link, hour] = self._alike.setdefault(made, made)
        return found

    def observed(
        self, link: str, pop: str, window: Span, rule: UnavailabilityRule
    ) -> Observed | None:
        """What `observe` says of the link in the window, which begins at a quarter of an hour, if
        the link was in order; None where it must be judged."""
        if rule.bin_s != 1 or rule.bins_in <= BRIDGE_S:
            return None
        start_s, end_s = window
        ok = lost = unsure = 0
        for hour in range(start_s // HOUR_S, (end_s - 1) // HOUR_S + 1):
            one = self._of(link, hour)
            if one.troubles and any(a < end_s and b > start_s for a, b in one.troubles):
                return None
            if one.holes and (start_s in one.holes or end_s - 1 in one.holes):
                return None
            for at, count in enumerate(one.anchors, 4 * hour):
                if start_s <= at * QUARTER_S < end_s:
                    if (at + 1) * QUARTER_S > end_s:
                        unsure += count.ok
                        lost += count.lost
                    else:
                        ok += count.ok
                        lost += count.lost
        believed = ok > 0 and ok >= lost
        if not believed and ok + unsure > 0:
            return None
        run = (Run(start_s, end_s, State.UP),)
        return Observed(link, pop, run, (), (), believed, (), (window,))
