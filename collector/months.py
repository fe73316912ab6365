"""Months of all links, added up before anybody asks: of a thousand links it takes most of a second.

The running month is added up anew every minute while people look at it; others when they are asked
for. Late evidence may change any of them, so none is kept for long.
"""

import asyncio
import logging
from typing import NamedTuple

from collector.answers import Answers, MonthAnswer
from collector.audit.calendar import Month
from collector.ledger import LedgerError
from runtime.clock import SECOND, Clock
from runtime.logs import Trouble

log = logging.getLogger(__name__)
EVERY_S = 60.0
KEEP_S = 150
"""A sum that is older is made anew while its asker waits; that of the running month is younger."""
LOOKED_S = 3600
"""Nobody looks at a month that was not asked for in this long."""
MONTHS_KEPT = 4


class AddedUp(NamedTuple):
    """All links' periods in a month."""

    made_s: int
    answers: tuple[MonthAnswer, ...]


class Months:
    """What was added up of late, by month."""

    def __init__(self, answers: Answers, clock: Clock) -> None:
        self._answers, self._clock = answers, clock
        self._kept: dict[str, AddedUp] = {}
        self._adding = asyncio.Lock()
        # The first who looks after a start is not kept waiting either.
        self._asked_s = self._now_s()
        self._failing = Trouble(log, "the running month is not added up for now: %s", clock)

    def _now_s(self) -> int:
        return self._clock.wall_ns() // SECOND

    def running(self) -> Month:
        """By the clock of the first contract."""
        return Month.of(self._now_s(), self._answers.zone(None))

    async def of(self, month: str) -> AddedUp:
        """A month such as 2026-11. Raises ValueError for another form, and LedgerError."""
        self._asked_s = self._now_s()
        return await self._sum(month, KEEP_S)

    async def run(self) -> None:
        """Keep the running month ready while people look, for ever."""
        while True:
            if self._now_s() - self._asked_s < LOOKED_S:
                try:
                    await self._sum(str(self.running()), 0)
                except LedgerError as error:
                    self._failing.met(error)
                else:
                    self._failing.over()
            await asyncio.sleep(EVERY_S)

    async def _sum(self, month: str, keep_s: float) -> AddedUp:
        # One at a time: whoever waits takes what the one before has added up.
        async with self._adding:
            kept = self._kept.get(month)
            if kept is None or self._now_s() - kept.made_s >= keep_s:
                made_s = self._now_s()
                found = await asyncio.to_thread(self._add_up, month, made_s)
                self._kept.pop(month, None)
                while len(self._kept) >= MONTHS_KEPT:
                    self._kept.pop(next(iter(self._kept)))
                kept = self._kept[month] = AddedUp(made_s, found)
        return kept

    def _add_up(self, month: str, now_s: int) -> tuple[MonthAnswer, ...]:
        return tuple(self._answers.availability(month, now_s))
