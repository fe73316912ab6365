"""Says at once when a link falls silent or loses, before any evidence is here: provisional.

Every second each link's live state makes a Sight; what follows from it is kept as revisions of the
live lane, beside what the evidence will say. Nothing here is ever an input to a verdict.
"""

import asyncio
import logging
from collections.abc import Iterable

from collector.audit.intervals import Outage
from collector.audit.provisional import step
from collector.board import Board, LinkRow
from collector.ledger import LedgerError
from collector.ledger.outages import Lane, OutageStore, Revision
from collector.live import sight
from runtime.clock import SECOND, Clock

log = logging.getLogger(__name__)
LOOK_EVERY_S = 1.0


class Watch:
    """The provisional outages."""

    def __init__(self, kept: OutageStore, board: Board, clock: Clock) -> None:
        """Takes up again what lasted when the collector stopped."""
        self._kept, self._board, self._clock = kept, board, clock
        lasting = kept.lasting(Lane.LIVE)
        self._ids = {one.outage.link: one.id for one in lasting}
        board.lasting = {one.outage.link: one.outage for one in lasting}

    async def run(self) -> None:
        """Look every second, for ever."""
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            now_s = self._clock.wall_ns() / SECOND
            changed = self.look(self._board.rows(self._clock.boot_ns()), now_s)
            if changed:
                try:
                    await asyncio.to_thread(self._say, changed, int(now_s))
                except LedgerError as error:
                    log.error("%d provisional outages were not kept: %s", len(changed), error)

    def look(self, rows: Iterable[LinkRow], now_s: float) -> list[Outage]:
        """What is to be said after one look at these links."""
        lasting: dict[str, Outage] = {}
        changed: list[Outage] = []
        for row in rows:
            link = row.link.id
            before = self._board.lasting.get(link)
            after = step(before, sight(link, row.known, now_s, row.heard_ago_s))
            if after is not None and after != before:
                changed.append(after)
            if after is not None and after.end is None:
                lasting[link] = after
        self._board.lasting = lasting
        return changed

    def _say(self, changed: list[Outage], now_s: int) -> None:
        revisions = [Revision(self._ids.get(one.link), False, one) for one in changed]
        ids = self._kept.say(Lane.LIVE, revisions, now_s)
        for one, outage_id in zip(changed, ids, strict=True):
            if one.end is None:
                self._ids[one.link] = outage_id
            else:
                self._ids.pop(one.link, None)
