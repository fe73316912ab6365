"""Runs the settling beside the ingest, in a thread, for as long as the collector runs."""

import asyncio
import logging
from collections.abc import Callable

from collector.fleet import Fleet
from collector.inventory import HUB_TARGET, Inventory
from collector.ledger.derived import ALIVE_EVERY_S, DerivedStore
from collector.reading import CPE_TARGET
from collector.roster import Roster
from collector.settle.derive import Speaker
from collector.settle.settler import Settler, Touched
from runtime.clock import SECOND, Clock
from wire.policy import Role

log = logging.getLogger(__name__)
PAUSE_S = 1.0
"""Between looks for new batches."""


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


class SettleService:
    """Derives, weaves, and says what changed."""

    def __init__(self, store: DerivedStore, fleet: Fleet, roster: Roster, clock: Clock) -> None:
        self._store, self._fleet, self._roster, self._clock = store, fleet, roster, clock
        self._settler = Settler(store, self._speaker)
        self._inventory: Inventory | None = None
        self._speakers: dict[str, Speaker] = {}
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
            touched = await asyncio.to_thread(self._settler.step)
            self.behind = await asyncio.to_thread(self._store.behind)
            if touched:
                self._changed(touched)
            if not (self.behind or touched):
                await asyncio.sleep(PAUSE_S)

    def _changed(self, touched: list[Touched]) -> None:
        log.debug("seconds of %d links changed", len(touched))

    async def keep_alive(self) -> None:
        """Note every few seconds that the collector runs, for ever: a loss to a hub that did not
        run is no loss."""
        run = await asyncio.to_thread(self._store.begin_run, self._now_s())
        while True:
            await asyncio.sleep(ALIVE_EVERY_S)
            await asyncio.to_thread(self._store.keep_alive, run, self._now_s())

    def _now_s(self) -> int:
        return self._clock.wall_ns() // SECOND
