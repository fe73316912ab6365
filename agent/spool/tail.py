"""What is measured and not settled yet, kept beside the records for when the agent dies.

A packet is settled when nothing can change its row any more, which takes its timeout and the rows
before it; of the last seconds of a life nothing would be on disk. So each append also says what is
in memory still. It stands in the spool's life, replaced as a whole with every append: one row that
each transaction writes anyway. The next epoch finds it and seals it as rows of the former one.
"""

import logging
from collections.abc import Iterable

import msgspec

from agent.spool import rows
from agent.spool.pack import Line, line_of
from agent.spool.store import Life, Store
from wire.codec import Record, compress, decode_body, decode_record
from wire.errors import WireError
from wire.journal import Gap
from wire.observation import Train

log = logging.getLogger(__name__)

RAW_BYTES = 64 * 1024
"""Most of a tail before compression: two seconds of 150 targets. It is written with every
transaction, receipts too, so boxes with more targets keep it of the first ones only."""

Slots = tuple[str, str]
"""Link and target, whose slots are counted together."""


def packed(records: Iterable[Record]) -> tuple[bytes, int]:
    """The tail as `Life` keeps it: a body, and its length before compression."""
    lines: list[bytes] = []
    size = 0
    for record in records:
        line = line_of(record)
        size += len(line.data) + 1
        if size > RAW_BYTES:
            break
        lines.append(line.data)
    return compress(lines) if lines else (b"", 0)


def recovered(life: Life, unsealed: Iterable[Line]) -> list[Line]:
    """Lines of the tail that this life left, to be sealed behind its `unsealed` ones.

    Nothing that cannot be read, tells of times after the last sign of life, or of slots that a
    record has already: then all of it, or that target, is left out, as if it had not been written.
    """
    if not life.tail:
        return []
    try:
        records = decode_body(life.tail, life.tail_raw_len)
    except WireError as error:
        log.warning("what the former life had in memory cannot be read: %s", error)
        return []
    known = _last_slots(unsealed)
    return [line_of(one) for one in records if _believable(one, life, known)]


def _last_slots(lines: Iterable[Line]) -> dict[Slots, int]:
    last: dict[Slots, int] = {}
    for line in lines:
        if line.observations or line.missing:
            record = decode_record(line.data)
            if (place := _slots(record)) is not None:
                last[place[0]] = max(last.get(place[0], -1), place[2])
    return last


def _slots(record: Record) -> tuple[Slots, int, int] | None:
    """Whose slots, the first and the last; None for what is about none."""
    if isinstance(record, Train):
        last = record.first_seq + len(record) - 1
        return (record.link, record.target), record.first_seq, last
    if not isinstance(record, Gap) or record.link is None or record.target is None:
        return None
    if record.first_seq is None or record.last_seq is None:
        return None
    return (record.link, record.target), record.first_seq, record.last_seq


def _believable(record: Record, life: Life, known: dict[Slots, int]) -> bool:
    place = _slots(record)
    if place is None:
        return False
    ended_ns = record.end_boot_ns if isinstance(record, Train) else record.boot_ns
    return place[1] > known.get(place[0], -1) and ended_ns <= life.alive_boot_ns


def settle(store: Store) -> None:
    """Inside a transaction: the draft's tail becomes records of its era."""
    life = store.draft
    store.draft = replaced(life)
    if life.epoch is not None and life.tail:
        sound = (line for _, _, line in rows.unsealed(store, life.era) if line is not None)
        rows.insert(store, life.era, recovered(life, sound))


def replaced(life: Life, body: bytes = b"", raw_len: int = 0) -> Life:
    """The life with this tail; by default with none."""
    return msgspec.structs.replace(life, tail=body, tail_raw_len=raw_len)
