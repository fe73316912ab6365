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

from agent.spool import Recovery, Spool, SpoolFull, SpoolUnavailable, StoredBatch
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
    """Async face of the spool.

    A card that cannot be written today must not stop the measuring: the spool is opened when it
    can be, and until then everything is held in memory, as far as memory goes.
    """

    def __init__(
        self, opener: Callable[[], Spool], first: Callable[[Recovery], list[Record]], clock: Clock
    ) -> None:
        """`opener` opens the spool and begins the epoch; `first` makes the epoch's first records
        from what was found."""
        self._opener, self._first, self._clock = opener, first, clock
        self._opened: Spool | None = None
        self._thread = ThreadPoolExecutor(1, "spool")
        self._held: deque[Record] = deque()
        self._held_observations = 0
        self._unfinished: Sequence[Record] | None = None
        """The newest tail, until it is on disk; None: the one there stands."""
        self._lost: dict[tuple[str, str], tuple[int, int, int]] = {}
        self._failing = False
        self._writing = asyncio.Lock()
        """One append at a time: what is held must not be handed over twice."""

    def _spool(self) -> Spool:
        """The spool, opened if need be; on the spool's thread. Raises SpoolError."""
        if self._opened is None:
            self._opened = self._opener()
        return self._opened

    async def _call(self, act: Callable[[Spool], T]) -> T:
        def run() -> T:
            return act(self._spool())

        return await asyncio.get_running_loop().run_in_executor(self._thread, run)

    async def open(self) -> bool:
        """Try to open the spool; False where that must wait."""
        try:
            recovery = await self._call(lambda spool: spool.recovery)
        except SpoolError as error:
            self._complain(error)
            self._hold([])
            return False
        for gap in recovery.gaps:
            log.warning("the spool misses evidence: %s %s", gap.reason, gap.detail)
        self._held.extendleft(reversed(self._first(recovery)))
        return True

    def _complain(self, error: Exception) -> None:
        if not self._failing:
            log.error("the spool cannot be written, evidence is held in memory: %s", error)
        self._failing = True

    async def append(
        self, records: Sequence[Record], unfinished: Sequence[Record] | None = None
    ) -> bool:
        """Make the records durable; False where they are only held in memory for now.

        `unfinished` is the spool's tail from now on, on disk no later than any of the records; the
        measuring's records never come without it.
        """
        async with self._writing:
            return await self._append(records, unfinished)

    async def _append(self, records: Sequence[Record], unfinished: Sequence[Record] | None) -> bool:
        self._hold(records)
        if unfinished is not None:
            self._unfinished = unfinished
        if self._opened is None and not await self.open():
            self._squeeze()
            return False
        batch = [*self._held, *self._gaps()]
        tail = self._unfinished
        if not batch and not tail:
            # Rows leave a tail only as records: the one on disk is empty too.
            return True
        try:
            await self._call(lambda spool: spool.append(batch, tail))
        except SpoolError as error:
            self._complain(error)
            self._squeeze()
            return False
        if self._failing:
            log.info("the spool can be written again")
        self._failing = False
        self._unfinished = None
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
        return await self._try(lambda spool: len(spool.seal(clock)), 0)

    async def fresh(self, max_age_ns: int) -> StoredBatch | None:
        """The newest waiting batch, if it is young."""
        return await self._try(lambda spool: spool.fresh(max_age_ns), None)

    async def oldest(self) -> StoredBatch | None:
        """The oldest waiting batch."""
        return await self._try(lambda spool: spool.oldest(), None)

    async def acknowledge(self, receipt: Receipt, data: bytes) -> bool:
        """Let the batch of this receipt go."""
        return await self._try(lambda spool: spool.acknowledge(receipt, data), False)

    async def set_aside(self, batch: StoredBatch, refusal: Refusal) -> bool:
        """Take a refused batch out of the queue and keep it."""

        def act(spool: Spool) -> bool:
            spool.set_aside(batch.epoch, batch.seq, refusal)
            return True

        return await self._try(act, False)

    async def rewind(self) -> int:
        """Send all retained batches again; how many."""
        return await self._try(lambda spool: spool.rewind(), 0)

    async def tidy(self) -> bool:
        """Keep the spool within its bounds."""

        def act(spool: Spool) -> bool:
            spool.tidy()
            return True

        return await self._try(act, False)

    async def status(self) -> SpoolStatus | None:
        """How full the spool is; None where it cannot be asked."""
        return await self._try(lambda spool: spool.status(), None)

    async def last_acked(self) -> tuple[bytes, int] | None:
        """The newest batch with a receipt."""
        return await self._try(lambda spool: spool.last_acked, None)

    async def _try(self, act: Callable[[Spool], T], otherwise: T) -> T:
        """What `act` gives, or `otherwise` while the disk refuses; the next call tries again."""
        if self._opened is None:
            return otherwise
        try:
            return await self._call(act)
        except SpoolError as error:
            log.debug("the spool cannot be used: %s", error)
            return otherwise

    async def close(self, *, clean: bool) -> None:
        """Mark the end and close the file."""

        def end(spool: Spool) -> bool:
            spool.stop(clean=clean)
            spool.close()
            return True

        if not await self._try(end, False):
            log.error("the spool could not be closed in order; what was in memory only is lost")
        self._thread.shutdown()
