"""The spool's one thread, and a little memory for when the disk refuses.

Disk work never blocks the probes: every call goes through a single worker thread. What the disk
does not take is held in memory, bounded, and tried again; what does not fit is recorded as a gap.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from agent.spool import Spool, SpoolFull, SpoolUnavailable, StoredBatch
from runtime.clock import Clock
from wire.codec import Record
from wire.errors import Refusal
from wire.instant import ClockClass
from wire.journal import Gap, GapReason
from wire.message import SpoolStatus
from wire.observation import Train
from wire.receipt import Receipt

log = logging.getLogger(__name__)
T = TypeVar("T")
SpoolError = (SpoolFull, SpoolUnavailable)
HELD_OBSERVATIONS = 20_000
"""An hour of five targets: about 2 MiB."""


class Outbox:
    """Async face of the spool."""

    def __init__(self, spool: Spool, clock: Clock) -> None:
        self._spool, self._clock = spool, clock
        self._thread = ThreadPoolExecutor(1, "spool")
        self._held: deque[Record] = deque()
        self._held_observations = 0
        self._lost: dict[tuple[str, str], tuple[int, int, int]] = {}
        self._failing = False
        self._writing = asyncio.Lock()
        """One append at a time: what is held must not be handed over twice."""

    async def _call(self, act: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, act)

    async def append(self, records: Sequence[Record]) -> bool:
        """Make the records durable; False where they are only held in memory for now."""
        async with self._writing:
            return await self._append(records)

    async def _append(self, records: Sequence[Record]) -> bool:
        self._hold(records)
        batch = [*self._held, *self._gaps()]
        if not batch:
            return True
        try:
            await self._call(lambda: self._spool.append(batch))
        except SpoolError as error:
            if not self._failing:
                log.error("the spool cannot be written, evidence is held in memory: %s", error)
            self._failing = True
            self._squeeze()
            return False
        if self._failing:
            log.info("the spool can be written again")
        self._failing = False
        self._held.clear()
        self._lost.clear()
        self._held_observations = 0
        return True

    def _hold(self, records: Sequence[Record]) -> None:
        self._held.extend(records)
        self._held_observations += sum(len(r) for r in records if isinstance(r, Train))

    def _squeeze(self) -> None:
        """Let go of the oldest trains beyond the bound, and remember which."""
        kept: deque[Record] = deque()
        for record in self._held:
            if self._held_observations > HELD_OBSERVATIONS and isinstance(record, Train):
                self._held_observations -= len(record)
                last = record.first_seq + len(record) - 1
                key = (record.link, record.target)
                first, _, count = self._lost.get(key, (record.first_seq, last, 0))
                self._lost[key] = (first, last, count + len(record))
            else:
                kept.append(record)
        self._held = kept

    def _gaps(self) -> list[Gap]:
        return [
            Gap(
                boot_ns=self._clock.boot_ns(),
                wall_ns=self._clock.wall_ns(),
                reason=GapReason.WRITE_FAILED,
                link=link,
                target=target,
                first_seq=first,
                last_seq=last,
                count=count,
            )
            for (link, target), (first, last, count) in self._lost.items()
        ]

    async def seal(self, clock: ClockClass) -> int:
        """Seal what is on disk into batches; how many."""
        try:
            return len(await self._call(lambda: self._spool.seal(clock)))
        except SpoolError as error:
            log.warning("nothing was sealed: %s", error)
            return 0

    async def fresh(self, max_age_ns: int) -> StoredBatch | None:
        """The newest waiting batch, if it is young."""
        return await self._read(lambda: self._spool.fresh(max_age_ns))

    async def oldest(self) -> StoredBatch | None:
        """The oldest waiting batch."""
        return await self._read(self._spool.oldest)

    async def _read(self, act: Callable[[], StoredBatch | None]) -> StoredBatch | None:
        try:
            return await self._call(act)
        except SpoolError as error:
            log.debug("the spool cannot be read: %s", error)
            return None

    async def acknowledge(self, receipt: Receipt, data: bytes) -> bool:
        """Let the batch of this receipt go."""
        return await self._write(lambda: self._spool.acknowledge(receipt, data))

    async def set_aside(self, batch: StoredBatch, refusal: Refusal) -> bool:
        """Take a refused batch out of the queue and keep it."""

        def act() -> bool:
            self._spool.set_aside(batch.epoch, batch.seq, refusal)
            return True

        return await self._write(act)

    async def rewind(self) -> int:
        """Send all retained batches again."""
        return await self._call(self._spool.rewind)

    async def tidy(self) -> bool:
        """Keep the spool within its bounds."""

        def act() -> bool:
            self._spool.tidy()
            return True

        return await self._write(act)

    async def _write(self, act: Callable[[], bool]) -> bool:
        try:
            return await self._call(act)
        except SpoolError as error:
            log.warning("the spool cannot be written: %s", error)
            return False

    async def status(self) -> SpoolStatus:
        """How full the spool is."""
        return await self._call(self._spool.status)

    async def last_acked(self) -> tuple[bytes, int] | None:
        """The newest batch with a receipt."""
        return await self._call(lambda: self._spool.last_acked)

    async def close(self, *, clean: bool) -> None:
        """Mark the end and close the file."""

        def end() -> None:
            self._spool.stop(clean=clean)
            self._spool.close()

        await self._call(end)
        self._thread.shutdown()
