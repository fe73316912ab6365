"""Runs the settling beside the ingest, in a thread, for as long as the collector runs."""

import asyncio
import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from collector.answers import Answers
from collector.fleet import Fleet
from collector.inventory import HUB_TARGET, Inventory
from collector.ledger import LedgerError
from collector.ledger.derived import ALIVE_EVERY_S, DerivedStore
from collector.ledger.outages import OutageStore
from collector.reading import CPE_TARGET
from collector.roster import Roster
from collector.settle.derive import Speaker
from collector.settle.judge import Judge
from collector.settle.settler import Settler
from collector.standing import Judged, StandingSeries
from runtime.clock import SECOND, Clock
from runtime.logs import Trouble
from wire.policy import Role

log = logging.getLogger(__name__)
PAUSE_S = 1.0
"""Between looks for new batches."""
SHOW_EVERY_S = 60
"""How often every link's month is shown anew: of a silent one the unknown time grows."""


def roles(inventory: Inventory, *, outside: bool) -> Callable[[str, str], Role | None]:
    """Roles of targets by (link, target); of the hub's end only the CPEs seen from outside."""
    if outside:
        return lambda link, target: Role.CPE if target == CPE_TARGET else None
    known = {
        (link.id, target.name): target.role
        for link in inventory.links.values()
        for target in link.targets
    }
    known.update({(link, HUB_TARGET): Role.HUB for link in inventory.links})
    return lambda link, target: known.get((link, target))


@dataclass(frozen=True, kw_only=True)
class Parts:
    """What the settling works with."""

    store: DerivedStore
    judge: Judge
    kept: OutageStore
    answers: Answers
    standing: StandingSeries


class SettleService:
    """Reads, weaves, judges, and shows how every link stands."""

    def __init__(self, parts: Parts, fleet: Fleet, roster: Roster, clock: Clock) -> None:
        self._parts, self._fleet, self._roster, self._clock = parts, fleet, roster, clock
        self._settler = Settler(parts.store, self._speaker)
        self._inventory: Inventory | None = None
        self._speakers: dict[str, Speaker] = {}
        self._shown_s = 0
        self._unjudged = Trouble(log, "the evidence is not judged for now: %s", clock)
        self._unnoted = Trouble(log, "the collector's own life is not noted for now: %s", clock)
        self.behind = 0
        """Batches that the audit has not read yet."""

    def _speaker(self, agent_id: bytes) -> Speaker | None:
        agent = self._roster.get(agent_id)
        inventory = self._fleet.inventory
        if inventory is not self._inventory:
            self._inventory, self._speakers = inventory, {}
        if agent is None:
            return None
        speaker = self._speakers.get(agent.node)
        if speaker is None:
            scope = self._fleet.scope(agent)
            own = tuple(link.id for link in inventory.links_of(agent.node))
            speaker = Speaker(own, roles(inventory, outside=scope.outside))
            self._speakers[agent.node] = speaker
        return speaker

    async def run(self) -> None:
        """Settle what comes, for ever."""
        while True:
            try:
                busy = await asyncio.to_thread(self.step)
            except LedgerError as error:
                self._unjudged.met(error)
                busy = False
            else:
                self._unjudged.over()
            if not busy:
                await asyncio.sleep(PAUSE_S)

    def step(self) -> bool:
        """Read and weave some; once all is woven, judge some. Whether anything was done."""
        touched = self._settler.step()
        self.behind = self._parts.store.behind()
        if touched or self._settler.busy():
            return True
        now_s = self._now_s()
        judged = self._parts.judge.step(now_s)
        if now_s >= self._shown_s + SHOW_EVERY_S:
            self._shown_s = now_s
            self._show(self._fleet.inventory.links, now_s)
        else:
            self._show(judged, now_s)
        return bool(judged)

    def _show(self, links: Iterable[str], now_s: int) -> None:
        """Render how these links stand."""
        inventory, kept = self._fleet.inventory, self._parts.kept
        wanted = [link for link in links if link in inventory.links]
        months = {one.link: one for one in self._parts.answers.availability(None, now_s, wanted)}
        for link in wanted:
            judged = Judged(
                kept.totals(link), kept.counts(link), months.get(link), kept.judged_until(link)
            )
            self._parts.standing.set(inventory.links[link], judged)
        self._parts.standing.keep(inventory.links)

    async def keep_alive(self) -> None:
        """Note every few seconds that the collector runs, for ever: a loss to a hub that did not
        run is no loss."""
        run: int | None = None
        while True:
            try:
                run = await asyncio.to_thread(self._note, run)
            except LedgerError as error:
                self._unnoted.met(error)
            else:
                self._unnoted.over()
            await asyncio.sleep(ALIVE_EVERY_S)

    def _note(self, run: int | None) -> int:
        if run is None:
            return self._parts.store.begin_run(self._now_s())
        self._parts.store.keep_alive(run, self._now_s())
        return run

    def _now_s(self) -> int:
        return self._clock.wall_ns() // SECOND
