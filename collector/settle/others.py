"""What each link showed in a window that bears on the others, remembered until it may be different.

After something happened to all links at once, each of them is judged every minute by what all the
others showed in the same quarters of an hour: a thousand times a thousand looks, nearly all of
which give what the last one gave.
"""

from collections.abc import Callable, Iterable
from typing import NamedTuple

from collector.audit.correlation import Observed
from collector.audit.evidence import Span
from collector.audit.rules import UnavailabilityRule
from collector.ledger.derived import DerivedStore
from collector.settle.calm import Calms

MOST_WINDOWS = 32
"""Remembered of a link. One that changes is forgotten every minute; of one that is silent for days
more and more would be asked."""


class Asked(NamedTuple):
    """A window, and all of what shows in it that is not the link's own."""

    window: Span
    rule: UnavailabilityRule
    hub_off: tuple[Span, ...]


class Others:
    """What is remembered of all links."""

    def __init__(self, store: DerivedStore) -> None:
        self._calms = Calms(store)
        self._known: dict[str, dict[Asked, Observed]] = {}

    def forget(self, changed: Iterable[tuple[str, int]], moved: Iterable[str]) -> None:
        """These hours, by link, show something else now; the evidence of the links `moved` reaches
        further, or tells more of their boxes' lives."""
        hours = list(changed)
        self._calms.forget(hours)
        for link in {*moved, *(link for link, _ in hours)}:
            self._known.pop(link, None)

    def forget_all(self) -> None:
        """What hangs on contracts, or on the time of day, may be different for any link."""
        self._known.clear()

    def observed(self, link: str, pop: str, asked: Asked, look: Callable[[], Observed]) -> Observed:
        """What the link showed in the window, which begins at a quarter of an hour and ends where
        its evidence does at the latest; `look` finds it out."""
        known = self._known.setdefault(link, {})
        found = known.get(asked)
        if found is None:
            if not asked.hub_off:
                found = self._calms.observed(link, pop, asked.window, asked.rule)
            if found is None:
                found = look()
            if len(known) >= MOST_WINDOWS:
                known.clear()
            known[asked] = found
        return found
