"""Unsealed records become batches, inside one transaction: rows out, batches in, chain moved on."""

from collections.abc import Iterator

import msgspec

from agent.spool import queue, rows
from agent.spool.gaps import Moment
from agent.spool.pack import Line, Place, Signer, Stamp, cut, pack
from agent.spool.queue import StoredBatch
from agent.spool.store import Life, Store
from wire.journal import Gap, GapReason


class _Reading:
    """Lines on their way into batches; counts what is damaged on the way."""

    def __init__(self, store: Store, era: int) -> None:
        self._rows = rows.unsealed(store, era)
        self.last_id = -1
        self.damaged = 0
        self.observations = 0

    def lines(self) -> Iterator[Line]:
        for row_id, observations, line in self._rows:
            self.last_id = row_id
            if line is None:
                self.damaged += 1
                self.observations += observations
            else:
                yield line


def seal_era(store: Store, signer: Signer, stamp: Stamp, moment: Moment) -> list[StoredBatch]:
    """Seal everything up to the draft's era, in the draft's epoch and boot."""
    life = store.draft
    if life.epoch is None or life.boot_id is None:
        return []
    reading = _Reading(store, life.era)
    sealed: list[StoredBatch] = []
    for run in cut(reading.lines()):
        life = store.draft
        place = Place(
            life.epoch or b"", life.boot_id or b"", life.next_seq, life.head, life.receipt
        )
        for batch in pack(run, place, stamp, signer):
            life = store.draft
            queue.insert(store, queue.entry_of(life.next_id, batch), batch.to_bytes())
            sealed.append(queue.stored(batch))
            store.draft = msgspec.structs.replace(
                life,
                next_id=life.next_id + 1,
                next_seq=life.next_seq + 1,
                head=batch.digest,
            )
    rows.forget(store, life.era, reading.last_id)
    if reading.damaged:
        rows.tell(store, moment, _damaged(reading, store.draft, moment))
    return sealed


def _damaged(reading: _Reading, life: Life, moment: Moment) -> Gap:
    return Gap(
        boot_ns=moment.boot_ns,
        wall_ns=moment.wall_ns,
        reason=GapReason.CORRUPT,
        epoch=life.epoch.hex() if life.epoch else None,
        count=max(0, reading.observations),
        detail=f"{reading.damaged} records on disk were not what was written",
    )
