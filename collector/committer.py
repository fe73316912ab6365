"""One commit for many batches: whoever waits for the disk waits together (group commit).

The queue is bounded; when it is full the agents keep their batches, which is where a batch is
safe anyway.
"""

import asyncio
import logging

from collector.ledger import Entry, Ledger, LedgerError, Stored
from wire.errors import Refusal, WireError

log = logging.getLogger(__name__)
GROUP = 250
"""Batches per commit; more does not make the disk faster (baselines B5)."""


class Committer:
    """Makes entries durable. `run` must be running for `commit` to finish."""

    def __init__(self, ledger: Ledger, queue_size: int) -> None:
        self._ledger = ledger
        self._queue: asyncio.Queue[tuple[Entry, asyncio.Future[Stored]]] = asyncio.Queue(queue_size)
        self.commits = 0

    @property
    def waiting(self) -> int:
        """Batches that wait for the disk."""
        return self._queue.qsize()

    async def commit(self, entry: Entry) -> Stored:
        """What became of the entry, once it is durable. Raises WireError(OVERLOADED)."""
        done: asyncio.Future[Stored] = asyncio.get_running_loop().create_future()
        try:
            self._queue.put_nowait((entry, done))
        except asyncio.QueueFull:
            raise WireError(Refusal.OVERLOADED, "too many batches wait for the disk") from None
        return await done

    async def run(self) -> None:
        """Commit what waits, in groups, for ever."""
        while True:
            group = [await self._queue.get()]
            while len(group) < GROUP and not self._queue.empty():
                group.append(self._queue.get_nowait())
            await self._commit(group)

    async def _commit(self, group: list[tuple[Entry, asyncio.Future[Stored]]]) -> None:
        waiting = [done for _, done in group]
        try:
            results = await asyncio.to_thread(self._ledger.store, [entry for entry, _ in group])
        except LedgerError as error:
            log.error("%d batches were not stored: %s", len(group), error)
            for done in waiting:
                if not done.done():
                    done.set_exception(WireError(Refusal.OVERLOADED, f"the ledger fails: {error}"))
            return
        self.commits += 1
        for done, stored in zip(waiting, results, strict=True):
            if not done.done():
                done.set_result(stored)
