"""The agent's durable outbox: what was measured stays here until the collector has signed for it.

It forgets only what a receipt names. What it must drop (full disk, damaged file) it writes down as
a gap in the same transaction, so that the loss reaches the ledger in the place of the data.
Every method may be called from any thread and blocks for as long as the disk takes.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from agent.spool import queue, rows, tail
from agent.spool.ballast import Ballast
from agent.spool.disk import Disk
from agent.spool.gaps import Moment
from agent.spool.pack import Signer, Stamp, line_of
from agent.spool.queue import Entry, StoredBatch
from agent.spool.room import drop, keep_below
from agent.spool.seal import seal_era
from agent.spool.store import Life, SpoolFull, SpoolUnavailable, Store
from runtime.clock import SECOND, Clock
from wire.batch import MAX_BATCH_BYTES
from wire.codec import Record
from wire.errors import Refusal
from wire.instant import ClockClass
from wire.journal import Gap
from wire.message import SpoolStatus
from wire.receipt import Receipt
from wire.receipt import digest as receipt_digest

__all__ = ["Recovery", "Spool", "SpoolFull", "SpoolSettings", "SpoolUnavailable", "StoredBatch"]

log = logging.getLogger(__name__)

MIB = 1024 * 1024
_SHRINK_PAGES = 256
"""Empty pages returned to the disk at a time after a backlog has drained: 1 MiB a minute."""


@dataclass(frozen=True, kw_only=True)
class SpoolSettings:
    """Where evidence waits, and how much of it."""

    path: Path
    """The spool's file; its log, its ballast and damaged predecessors stand beside it."""
    cap_bytes: int = 256 * MIB
    """Most bytes of the file; the log (to 2 MiB) and the ballast come on top. Four months of a
    node with five targets at one packet a second."""
    retain_s: float = 72 * 3600
    """Batches with a receipt stay this long, by the hub's clock, for a collector that is restored
    from yesterday's backup."""
    retain_share: float = 0.25
    """Most of the cap that batches with a receipt may hold."""
    retry_refused_s: float = 6 * 3600
    """After this time a batch that the collector would not take is offered again."""
    ballast_bytes: int = 4 * MAX_BATCH_BYTES + MIB // 2
    """Reserved on the disk, so that on a full one the oldest can still be dropped."""

    def __post_init__(self) -> None:
        if self.cap_bytes < MIB:
            raise ValueError(f"spool.cap_bytes: {self.cap_bytes}, the least is {MIB}")
        if not 0 <= self.retain_share <= 1:
            raise ValueError(f"spool.retain_share: {self.retain_share}, expected 0 to 1")


class Recovery(NamedTuple):
    """What was found when the spool was opened."""

    previous_epoch: bytes | None
    previous_boot_id: bytes | None
    previous_clean: bool | None
    """None where nothing of a former life was found."""
    previous_alive_boot_ns: int | None
    gaps: list[Gap]
    """Already in the spool, for the next batch: for the log, not to be appended again."""
    unsealed_found: int


class Spool:
    """See the module; `open` makes one."""

    def __init__(self, settings: SpoolSettings, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        self._signer: Signer | None = None
        ballast = Ballast(Path(f"{settings.path}.ballast"), settings.ballast_bytes)
        self._disk = Disk(settings.path, ballast, self._moment)
        life, unsealed = self._disk.run(lambda store: (store.life, rows.count(store)))
        found = life.epoch is not None
        self.recovery = Recovery(
            previous_epoch=life.epoch,
            previous_boot_id=life.boot_id,
            previous_clean=life.clean if found else None,
            previous_alive_boot_ns=life.alive_boot_ns if found else None,
            gaps=self._disk.gaps,
            unsealed_found=unsealed,
        )

    @classmethod
    def open(cls, settings: SpoolSettings, clock: Clock) -> "Spool":
        """The spool of these settings, made or mended as needed.

        Raises SpoolUnavailable where the disk takes nothing or another agent has it open.
        """
        return cls(settings, clock)

    def _moment(self) -> Moment:
        clock = self._clock
        boot_id = bytes.fromhex(clock.boot_id)
        return Moment(boot_id, clock.boot_ns(), clock.wall_ns(), self._signer is not None)

    def _now(self, clock_class: ClockClass) -> Stamp:
        return Stamp(self._clock.boot_ns(), self._clock.wall_ns(), clock_class)

    def begin(self, epoch: bytes, boot_id: bytes, key: Ed25519PrivateKey, agent_id: bytes) -> None:
        """Open an epoch. What a former one left unsealed is sealed first, in its name and boot, and
        its tail with it."""
        signer = Signer(agent_id, key)
        moment = self._moment()
        now = self._now(self._clock.quality().clock_class)

        def act(store: Store) -> None:
            former = store.draft
            same_boot = former.boot_id == boot_id
            alive = Stamp(former.alive_boot_ns, former.alive_wall_ns, former.alive_clock)
            tail.settle(store)
            seal_era(store, signer, now if same_boot else alive, moment)
            rows.restamp(store, former.era + 1, moment)
            if not same_boot:
                queue.retry_all(store)
            store.draft = msgspec.structs.replace(
                alive_at(store.draft, now),
                era=former.era + 1,
                epoch=epoch,
                boot_id=boot_id,
                next_seq=0,
            )

        with self._disk.lock:
            self._signer = None
            self._disk.write(act)
            self._signer = signer

    def append(self, records: Sequence[Record], unfinished: Sequence[Record] | None = None) -> None:
        """Make records durable, or raise: SpoolUnavailable, or SpoolFull; then try them again.

        Records of a failed append may be given again: what the disk has of them is not doubled.
        `unfinished` takes the place of the tail: what would be appended next if all ended now, and
        will be if the agent dies before the next append. None leaves the tail as it is, which is
        right only where none of the records was in it.
        """
        lines = [line_of(record) for record in records]
        held = None if unfinished is None else tail.packed(unfinished)
        with self._disk.lock:
            self._running()
            moment = self._moment()
            now = self._now(self._clock.quality().clock_class)

            def act(store: Store) -> None:
                rows.insert(store, store.draft.era, self._disk.unsettled(lines))
                store.draft = alive_at(store.draft, now)
                if held is not None:
                    store.draft = tail.replaced(store.draft, *held)
                keep_below(store, self._settings.cap_bytes, moment)

            try:
                self._disk.write(act, grows=True)
            except SpoolUnavailable:
                self._disk.doubt(lines)
                raise
            self._disk.taken(lines)

    def alive(self, boot_ns: int) -> None:
        """Make a sign of life durable without a record; `append` is one by itself."""
        now = self._now(self._clock.quality().clock_class)._replace(boot_ns=boot_ns)

        def act(store: Store) -> None:
            store.draft = alive_at(store.draft, now)

        self._disk.write(act)

    def seal(self, clock_class: ClockClass) -> list[StoredBatch]:
        """Everything unsealed as batches, in order; an empty list where there is nothing."""
        with self._disk.lock:
            signer, moment, now = self._running(), self._moment(), self._now(clock_class)

            def act(store: Store) -> list[StoredBatch]:
                sealed = seal_era(store, signer, now, moment)
                keep_below(store, self._settings.cap_bytes, moment)
                return sealed

            return self._disk.write(act)

    def fresh(self, max_age_ns: int) -> StoredBatch | None:
        """The newest batch that waits, where it was sealed in this boot within `max_age_ns`."""
        boot_id = bytes.fromhex(self._clock.boot_id)
        since = self._clock.boot_ns() - max_age_ns
        return self._sound(lambda store: queue.newest(store, boot_id, since))

    def oldest(self) -> StoredBatch | None:
        """The oldest batch that waits, in order of sealing across epochs."""
        now = self._clock.boot_ns()
        return self._sound(lambda store: queue.oldest(store, now))

    def _sound(self, find: Callable[[Store], Entry | None]) -> StoredBatch | None:
        """The batch that `find` leads to; damaged ones are dropped with a gap on the way."""
        with self._disk.lock:
            while (entry := self._disk.run(find)) is not None:
                batch = self._read_or_drop(entry)
                if batch is not None:
                    return batch
            return None

    def _read_or_drop(self, entry: Entry) -> StoredBatch | None:
        batch = self._disk.run(lambda store: queue.read(store, entry))
        if batch is None:
            log.warning("batch %d of epoch %s is damaged", entry.seq, entry.epoch.hex())
            moment = self._moment()
            self._disk.write(lambda store: drop(store, entry, moment))
        return batch

    def acknowledge(self, receipt: Receipt, receipt_bytes: bytes) -> bool:
        """Mark the batch that a verified receipt names; False where it names no batch held here.

        The caller has checked the receipt's signature (wire.receipt.parse).
        """
        with self._disk.lock:
            entry = self._find(receipt.epoch, receipt.seq)
            if entry is None or entry.digest != receipt.batch_digest:
                return False
            if entry.receipt is None:
                held = receipt_digest(receipt_bytes)
                self._disk.write(lambda store: queue.retain(store, entry, receipt, held))
            return True

    def set_aside(self, epoch: bytes, seq: int, refusal: Refusal) -> None:
        """The collector would not take this batch: out of the queue until the next try."""
        retry_boot_ns = self._clock.boot_ns() + int(self._settings.retry_refused_s * SECOND)
        with self._disk.lock:
            entry = self._find(epoch, seq)
            if entry is not None and entry.receipt is None:
                held = entry._replace(refusal=refusal, retry_boot_ns=retry_boot_ns)
                self._disk.write(lambda store: queue.refuse(store, held))

    def _find(self, epoch: bytes, seq: int) -> Entry | None:
        return self._disk.run(lambda store: queue.find(store, epoch, seq))

    def rewind(self) -> int:
        """The collector lost its ledger: all batches it once signed for wait again."""
        return self._disk.write(queue.rewind)

    @property
    def last_acked(self) -> tuple[bytes, int] | None:
        """(epoch, seq) of the batch furthest along the chain whose receipt is held."""
        life = self._disk.run(lambda store: store.life)
        return (life.acked_epoch, life.acked_seq) if life.acked_id else None

    def status(self) -> SpoolStatus:
        """How much waits."""
        boot_id = bytes.fromhex(self._clock.boot_id)

        def act(store: Store) -> SpoolStatus:
            return SpoolStatus(
                batches_waiting=queue.waiting(store),
                bytes_used=store.live_bytes(),
                bytes_cap=self._settings.cap_bytes,
                oldest_boot_ns=queue.oldest_sealed_boot_ns(store, boot_id),
                refused=queue.refused(store),
                dropped_observations=store.life.dropped,
            )

        return self._disk.run(act)

    def tidy(self) -> None:
        """Forget batches whose receipt is old enough; once a minute. Writes only when it must."""
        settings = self._settings
        retain_ns = int(settings.retain_s * SECOND)
        share = int(settings.retain_share * settings.cap_bytes)

        def stale(store: Store) -> list[Entry]:
            return queue.stale(store, retain_ns, share)

        def forget(store: Store) -> int:
            entries = stale(store)
            for entry in entries:
                queue.delete(store, entry)
            return len(entries)

        with self._disk.lock:
            self._disk.restore_reserve()
            self._disk.stay_in_place()
            while self._disk.run(stale):
                self._disk.write(forget)
            if self._disk.run(Store.free_pages) > 2 * _SHRINK_PAGES:
                self._disk.write(lambda store: store.shrink(_SHRINK_PAGES))

    def stop(self, *, clean: bool = True) -> None:
        """Remember that the agent stopped in order, and leave everything in one file."""
        now = self._now(self._clock.quality().clock_class)

        def act(store: Store) -> None:
            store.draft = msgspec.structs.replace(alive_at(store.draft, now), clean=clean)

        with self._disk.lock:
            self._disk.write(act)
            try:
                self._disk.run(Store.checkpoint)
            except SpoolUnavailable as error:
                # Nothing is lost: the next opening reads the log.
                log.debug("the log stays beside the file: %s", error)

    def close(self) -> None:
        """Let go of the file. Without `stop` before it, the next opening finds an unclean end."""
        with self._disk.lock:
            self._disk.let_go()

    def _running(self) -> Signer:
        if self._signer is None:
            raise RuntimeError("the spool is open, and no epoch was begun")
        return self._signer


def alive_at(life: Life, now: Stamp) -> Life:
    """`life` with a sign of life at `now`."""
    return msgspec.structs.replace(
        life,
        clean=False,
        alive_boot_ns=now.boot_ns,
        alive_wall_ns=now.wall_ns,
        alive_clock=now.clock,
    )
