"""Making room: what is dropped first, and what must be written down before it goes.

Batches with a receipt go without a word, the ledger has them. Any other leaves a gap that names
its place and counts its observations, and its journal is written again, in the same transaction.
"""

import msgspec

from agent.spool import queue, rows
from agent.spool.gaps import Lost, Moment, kept_of_former_epoch, kept_of_own_epoch, told
from agent.spool.queue import Entry, StoredBatch
from agent.spool.store import Store
from wire.codec import Record
from wire.errors import WireError
from wire.journal import GapReason


def drop(store: Store, entry: Entry, moment: Moment) -> None:
    """Inside a transaction: forget one batch, and tell of it where nobody else has it."""
    if not queue.holds(store, entry):
        # A file that was mended in between has told of it already.
        return
    if entry.receipt is None:
        batch = queue.read(store, entry)
        journal, words = _kept(store, batch, moment)
        lost = Lost(
            reason=_reason(entry, batch),
            epoch=entry.epoch,
            first_seq=entry.seq,
            last_seq=entry.seq,
            observations=entry.observations,
            detail=words,
        )
        rows.tell(store, moment, told(lost, moment))
        for record in journal:
            rows.tell(store, moment, record)
        dropped = store.draft.dropped + entry.observations
        store.draft = msgspec.structs.replace(store.draft, dropped=dropped)
    queue.delete(store, entry)


def _reason(entry: Entry, batch: StoredBatch | None) -> GapReason:
    if batch is None:
        return GapReason.CORRUPT
    return GapReason.SPOOL_FULL if entry.retry_boot_ns is None else GapReason.REFUSED


def _kept(store: Store, batch: StoredBatch | None, moment: Moment) -> tuple[list[Record], str]:
    if batch is None:
        return [], ""
    try:
        records = queue.records(batch)
    except WireError as error:
        return [], f"its records could not be read: {error}"
    if moment.running and batch.epoch == store.draft.epoch:
        return kept_of_own_epoch(records), ""
    same_boot = batch.boot_id == moment.boot_id
    return kept_of_former_epoch(records, batch.epoch, moment, same_boot=same_boot)


def drop_bytes(store: Store, size: int, moment: Moment) -> int:
    """Inside a transaction: drop batches until `size` bytes of them are gone; bytes dropped."""
    dropped = 0
    while dropped < size and (entry := queue.next_to_drop(store)) is not None:
        drop(store, entry, moment)
        dropped += entry.size
    return dropped


def keep_below(store: Store, cap_bytes: int, moment: Moment) -> None:
    """Inside a transaction: drop batches until the file's live pages are within the cap."""
    while store.live_bytes() > cap_bytes:
        entry = queue.next_to_drop(store)
        if entry is None:
            return
        drop(store, entry, moment)
