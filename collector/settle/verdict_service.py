"""Takes the looks that are due beside the ingest, in a thread, while the collector runs."""

import asyncio
import logging
from dataclasses import dataclass

from collector.fleet import Fleet
from collector.ledger import LedgerError
from collector.ledger.sqlite import SqliteLedger
from collector.ledger.verdicts import VerdictStore
from collector.settle.auditor import Auditor, Gathering
from collector.verdict_answers import Given, VerdictAnswers
from collector.verdict_series import Shown, VerdictSeries, newest_counting, render
from runtime.clock import SECOND, Clock

log = logging.getLogger(__name__)
EVERY_S = 600.0
"""Between two rounds of showing the newest tests."""
LOOK_EVERY_S = 3600
"""Between two rounds of looks. One without new evidence asks the ledger for counts only."""
FIRST_AFTER_S = 30.0
"""After a start, the settling and the agents come first."""
NEWEST = 40
"""Tests among which the newest that counts is looked for: two days of the fullest plan."""


@dataclass(frozen=True, kw_only=True)
class Court:
    """What the service works with."""

    auditor: Auditor
    gathering: Gathering
    answers: VerdictAnswers
    series: VerdictSeries


def opened(gathering: Gathering, ledger: SqliteLedger, series: VerdictSeries) -> Court:
    """All of it, with the verdicts' own tables."""
    store = VerdictStore(ledger)
    return Court(
        auditor=Auditor(gathering, store),
        gathering=gathering,
        answers=VerdictAnswers(store, gathering),
        series=series,
    )


class VerdictService:
    """Judges, says what changed, and shows."""

    def __init__(self, court: Court, fleet: Fleet, clock: Clock) -> None:
        self._court, self._fleet, self._clock = court, fleet, clock
        self._looked_s: int | None = None

    async def run(self) -> None:
        """A round every ten minutes, for ever."""
        await asyncio.sleep(FIRST_AFTER_S)
        while True:
            try:
                await asyncio.to_thread(self.step)
            except LedgerError as error:
                log.error("no verdicts for now: %s", error)
            await asyncio.sleep(EVERY_S)

    def step(self) -> None:
        """One round: the looks that are due, then what is shown of every link."""
        now_s = self._clock.wall_ns() // SECOND
        if self._looked_s is None or now_s >= self._looked_s + LOOK_EVERY_S:
            self._look(now_s)
            self._looked_s = now_s
        self._show()

    def _look(self, now_s: int) -> None:
        for one in self._court.auditor.step(now_s):
            if one.before is not None:
                log.warning(
                    "link %s %s, days before %s: the verdict changed from (%s) to (%s)",
                    one.link,
                    one.direction,
                    one.until,
                    one.before,
                    one.now,
                )

    def _show(self) -> None:
        given: dict[str, list[Given]] = {}
        for one in self._court.answers.verdicts():
            given.setdefault(one.kept.verdict.link, []).append(one)
        lines = {}
        for link in self._fleet.inventory.links.values():
            newest = newest_counting(self._court.gathering.newest(link.id, NEWEST))
            lines[link.id] = render(link, Shown(newest, given.get(link.id, [])))
        self._court.series.set(lines)
