"""Which links may be down with notice now: they say nothing about their point of presence.

Works on three links of a PoP are no failure of it. What the register announces and the contracts
excuse is known beforehand, so such links are neither counted as lost nor asked for a share.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence

from collector.audit.evidence import Span
from collector.board import Board
from collector.contracts import Contracts
from collector.inventory import Inventory
from collector.ledger import LedgerError
from collector.ledger.registers import Registers
from collector.maintenance import Entry, covering, excused
from runtime.clock import SECOND, Clock
from runtime.logs import Trouble

log = logging.getLogger(__name__)
LOOK_EVERY_S = 5.0
"""A link is lost for ten seconds before anything is said of it."""


def spans(
    entries: Sequence[Entry], inventory: Inventory, promised: Contracts
) -> dict[str, list[Span]]:
    """When each link may be down with notice; links without any are left out."""
    found: dict[str, list[Span]] = {}
    for link in inventory.links.values():
        about = covering(entries, link, inventory)
        if about:
            excuses = excused(promised.of(link.id), about)
            found[link.id] = sorted(span for one in excuses.values() for span in one)
    return {link: its for link, its in found.items() if its}


class AnnouncedService:
    """Keeps the board told of it."""

    def __init__(
        self,
        registers: Registers,
        promised: Callable[[], tuple[Inventory, Contracts]],
        board: Board,
        clock: Clock,
    ) -> None:
        self._registers, self._promised = registers, promised
        self._board, self._clock = board, clock
        self._of: tuple[object, ...] = ()
        self._spans: Mapping[str, list[Span]] = {}
        self._unread = Trouble(log, "maintenance windows are not read for now: %s", clock)

    async def run(self) -> None:
        """Look every few seconds, for ever."""
        while True:
            try:
                self._board.announced = await asyncio.to_thread(self.now)
            except LedgerError as error:
                self._unread.met(error)
            else:
                self._unread.over()
            await asyncio.sleep(LOOK_EVERY_S)

    def now(self) -> frozenset[str]:
        """Links in a window now."""
        both, entries = self._promised(), self._registers.maintenance()
        if self._of != (*both, entries):
            self._of, self._spans = (*both, entries), spans(entries, *both)
        now_s = self._clock.wall_ns() / SECOND
        return frozenset(
            link
            for link, its in self._spans.items()
            if any(one.start_s <= now_s < one.end_s for one in its)
        )
