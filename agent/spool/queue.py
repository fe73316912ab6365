"""Sealed batches in the spool's file: where each stands, and which comes next.

A batch waits, or is refused and waits for another try, or has a receipt and is retained. Its
bytes are compared with two digests each time they are read; a batch that fails is never sent.
"""

from typing import NamedTuple

import msgspec

from agent.spool.store import Store, guard
from wire.batch import Batch, link_digest, parse, parse_header
from wire.codec import Record, decode_body
from wire.errors import WireError
from wire.receipt import Receipt


class StoredBatch(NamedTuple):
    """A sealed batch as it will be sent: `data` is what to POST, byte for byte."""

    epoch: bytes
    seq: int
    digest: bytes
    data: bytes
    sealed_boot_ns: int
    boot_id: bytes
    observations: int


class Entry(NamedTuple):
    """What is known of a batch without its bytes."""

    id: int
    epoch: bytes
    seq: int
    boot_id: bytes
    sealed_boot_ns: int
    observations: int
    size: int
    digest: bytes
    guard: bytes
    receipt: bytes | None
    received_wall_ns: int | None
    refusal: str | None
    retry_boot_ns: int | None


_ENTRY = f"SELECT {', '.join(Entry._fields)} FROM batch"


def insert(store: Store, entry: Entry, data: bytes) -> None:
    """Add a batch."""
    store.execute(f"INSERT INTO batch ({', '.join(Entry._fields)}) VALUES ({'?, ' * 12}?)", entry)
    store.execute("INSERT INTO body VALUES (?, ?)", (entry.id, data))


def entry_of(batch_id: int, batch: Batch) -> Entry:
    """The entry of a batch that waits."""
    header, data = batch.header, batch.to_bytes()
    return Entry(
        id=batch_id,
        epoch=header.epoch,
        seq=header.seq,
        boot_id=header.boot_id,
        sealed_boot_ns=header.sealed_boot_ns,
        observations=header.observations,
        size=len(data),
        digest=batch.digest,
        guard=guard(data),
        receipt=None,
        received_wall_ns=None,
        refusal=None,
        retry_boot_ns=None,
    )


def stored(batch: Batch) -> StoredBatch:
    """A batch that was sealed just now, as the spool hands it out."""
    header = batch.header
    return StoredBatch(
        header.epoch,
        header.seq,
        batch.digest,
        batch.to_bytes(),
        header.sealed_boot_ns,
        header.boot_id,
        header.observations,
    )


def _one(store: Store, rest: str, values: tuple[object, ...] = ()) -> Entry | None:
    rows = store.execute(f"{_ENTRY} {rest}", values)
    return Entry(*rows[0]) if rows else None


def find(store: Store, epoch: bytes, seq: int) -> Entry | None:
    """The batch at this place of the chain."""
    return _one(store, "WHERE epoch = ? AND seq = ?", (epoch, seq))


def holds(store: Store, entry: Entry) -> bool:
    """Whether the batch is still here."""
    return bool(store.value("SELECT count(*) FROM batch WHERE id = ?", (entry.id,)))


def oldest(store: Store, boot_ns: int) -> Entry | None:
    """The oldest that waits; a refused one only when its time for another try has come."""
    return _one(
        store,
        "INDEXED BY waiting WHERE receipt IS NULL AND coalesce(retry_boot_ns, 0) <= ?"
        " ORDER BY id LIMIT 1",
        (boot_ns,),
    )


def newest(store: Store, boot_id: bytes, since_boot_ns: int) -> Entry | None:
    """The newest that waits, where it was sealed in this boot and not before `since_boot_ns`."""
    entry = _one(
        store,
        "INDEXED BY waiting WHERE receipt IS NULL AND retry_boot_ns IS NULL"
        " ORDER BY id DESC LIMIT 1",
    )
    if entry is None or entry.boot_id != boot_id or entry.sealed_boot_ns < since_boot_ns:
        return None
    return entry


def read(store: Store, entry: Entry) -> StoredBatch | None:
    """The batch with its bytes; None where they are not what was sealed."""
    data = store.value("SELECT data FROM body WHERE id = ?", (entry.id,))
    if not isinstance(data, bytes) or guard(data) != entry.guard:
        return None
    try:
        header = parse_header(data)
    except WireError:
        return None
    place = (header.epoch, header.seq, header.boot_id, header.sealed_boot_ns, header.observations)
    if place != (entry.epoch, entry.seq, entry.boot_id, entry.sealed_boot_ns, entry.observations):
        return None
    if link_digest(data[: len(header.pack())]) != entry.digest:
        return None
    return StoredBatch(
        entry.epoch,
        entry.seq,
        entry.digest,
        data,
        entry.sealed_boot_ns,
        entry.boot_id,
        entry.observations,
    )


def records(batch: StoredBatch) -> list[Record]:
    """What a stored batch holds."""
    parsed = parse(batch.data)
    return decode_body(parsed.body, parsed.header.raw_len)


def delete(store: Store, entry: Entry) -> None:
    """Forget a batch."""
    store.execute("DELETE FROM batch WHERE id = ?", (entry.id,))
    store.execute("DELETE FROM body WHERE id = ?", (entry.id,))


def next_to_drop(store: Store) -> Entry | None:
    """What goes first when room is needed: retained, then refused, then the oldest that waits."""
    return (
        _one(store, "INDEXED BY retained WHERE receipt IS NOT NULL ORDER BY id LIMIT 1")
        or _one(store, "INDEXED BY refused WHERE retry_boot_ns IS NOT NULL ORDER BY id LIMIT 1")
        or _one(store, "INDEXED BY waiting WHERE receipt IS NULL ORDER BY id LIMIT 1")
    )


def retained_bytes(store: Store) -> int:
    """Bytes of the batches with a receipt."""
    return int(store.value("SELECT coalesce(sum(size), 0) FROM batch WHERE receipt IS NOT NULL"))


def waiting(store: Store) -> int:
    """Batches that wait, refused ones not counted."""
    rest = "INDEXED BY waiting WHERE receipt IS NULL AND retry_boot_ns IS NULL"
    return int(store.value(f"SELECT count(*) FROM batch {rest}"))


def refused(store: Store) -> int:
    """Batches that the collector would not take."""
    rest = "INDEXED BY refused WHERE retry_boot_ns IS NOT NULL"
    return int(store.value(f"SELECT count(*) FROM batch {rest}"))


def oldest_sealed_boot_ns(store: Store, boot_id: bytes) -> int | None:
    """When the oldest that waits was sealed, refused ones not counted; None for another boot."""
    rest = "INDEXED BY waiting WHERE receipt IS NULL AND retry_boot_ns IS NULL ORDER BY id LIMIT 1"
    entry = _one(store, rest)
    return entry.sealed_boot_ns if entry is not None and entry.boot_id == boot_id else None


def retain(store: Store, entry: Entry, receipt: Receipt, receipt_digest: bytes) -> None:
    """The collector signed for this batch: keep it a while, and remember how far that is."""
    store.execute(
        "UPDATE batch SET receipt = ?, received_wall_ns = ?, refusal = NULL, retry_boot_ns = NULL"
        " WHERE id = ?",
        (receipt_digest, receipt.received_wall_ns, entry.id),
    )
    life = store.draft
    hub_wall_ns = receipt.received_wall_ns
    if life.received_wall_ns is not None:
        hub_wall_ns = max(hub_wall_ns, life.received_wall_ns)
    life = msgspec.structs.replace(life, receipt=receipt_digest, received_wall_ns=hub_wall_ns)
    if entry.id >= life.acked_id:
        life = msgspec.structs.replace(
            life, acked_id=entry.id, acked_epoch=entry.epoch, acked_seq=entry.seq
        )
    store.draft = life


def refuse(store: Store, entry: Entry) -> None:
    """Keep the batch out of the queue until the entry's time for another try."""
    store.execute(
        "UPDATE batch SET refusal = ?, retry_boot_ns = ? WHERE id = ?",
        (entry.refusal, entry.retry_boot_ns, entry.id),
    )


def retry_all(store: Store) -> None:
    """A new boot: its clock says nothing of when a refused batch was to be tried again."""
    store.execute("UPDATE batch SET retry_boot_ns = 0 WHERE retry_boot_ns IS NOT NULL")


def rewind(store: Store) -> int:
    """Let every retained batch wait again; how many those are."""
    count = int(store.value("SELECT count(*) FROM batch WHERE receipt IS NOT NULL"))
    store.execute(
        "UPDATE batch SET receipt = NULL, received_wall_ns = NULL WHERE receipt IS NOT NULL"
    )
    store.draft = msgspec.structs.replace(store.draft, acked_id=0, acked_epoch=b"", acked_seq=0)
    return count


def stale(store: Store, retain_ns: int, most_bytes: int) -> list[Entry]:
    """Up to 64 retained batches whose time is over, by the hub's clock, or that are too many.

    While no receipts come the hub's clock stands still here: an outage ages nothing.
    """
    newest = store.life.received_wall_ns
    if newest is None:
        return []
    where = "WHERE receipt IS NOT NULL AND received_wall_ns < ? ORDER BY id LIMIT 64"
    rows = store.execute(f"{_ENTRY} {where}", (newest - retain_ns,))
    if rows:
        return [Entry(*row) for row in rows]
    excess = retained_bytes(store) - most_bytes
    entries: list[Entry] = []
    where = "INDEXED BY retained WHERE receipt IS NOT NULL ORDER BY id LIMIT 64"
    for row in store.execute(f"{_ENTRY} {where}"):
        if excess <= 0:
            break
        entries.append(Entry(*row))
        excess -= entries[-1].size
    return entries
