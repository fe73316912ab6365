"""Unsealed records in the spool's file: written, folded, read back, never believed unchecked.

Every function runs inside a transaction of its Store. A record belongs to an era, the count of
epochs: one of a later era than the running one waits for the next epoch to begin.
"""

import struct
from collections.abc import Iterator, Sequence
from typing import Any

from agent.spool.gaps import Moment, fold_key, folded, restamped
from agent.spool.pack import Line, line_of
from agent.spool.store import Store, guard
from wire.codec import Record, decode_record
from wire.journal import Gap

_COUNTS = struct.Struct(">5q")
_INSERT = (
    "INSERT INTO record (era, observations, missing, first_boot_ns, last_boot_ns, fold, line,"
    " guard) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
)
COLUMNS = "line, observations, missing, first_boot_ns, last_boot_ns, guard, era, id, fold"
_SELECT = f"SELECT {COLUMNS}"


def line_guard(era: int, line: Line) -> bytes:
    """What a stored line is compared with when it is read."""
    return guard(_COUNTS.pack(era, *line[1:]) + line.data)[:16]


def insert(store: Store, era: int, lines: Sequence[Line], fold: str | None = None) -> None:
    """Add lines to an era."""
    for line in lines:
        values = (era, *line[1:], fold, line.data, line_guard(era, line))
        store.execute(_INSERT, values)


def tell(store: Store, moment: Moment, record: Record) -> None:
    """Add a record that the spool itself writes, folded into a gap that it continues."""
    era = store.draft.era + (0 if moment.running else 1)
    key = fold_key(record)
    if key is not None and isinstance(record, Gap):
        rows = store.execute(f"{_SELECT} FROM record WHERE era = ? AND fold = ?", (era, key))
        for row in rows:
            other = _gap(row)
            joined = folded(record, other) if other else None
            if joined is not None:
                store.execute("DELETE FROM record WHERE id = ?", (row[7],))
                tell(store, moment, joined)
                return
    insert(store, era, [line_of(record)], key)


def _gap(row: Sequence[Any]) -> Gap | None:
    line = sound_line(row)
    record = decode_record(line.data) if line else None
    return record if isinstance(record, Gap) else None


def sound_line(row: Sequence[Any]) -> Line | None:
    """The line of a row as `_SELECT` reads it; None where its bytes are not what was written."""
    line = Line(*row[:5])
    return line if line_guard(row[6], line) == row[5] else None


def unsealed(store: Store, era: int) -> Iterator[tuple[int, int, Line | None]]:
    """(id, observations, line) of all records up to `era`, in order; line None where damaged."""
    last = -1
    while True:
        rows = store.execute(
            f"{_SELECT} FROM record WHERE era <= ? AND id > ? ORDER BY id LIMIT 256", (era, last)
        )
        for row in rows:
            yield row[7], row[1], sound_line(row)
        if not rows:
            return
        last = rows[-1][7]


def restamp(store: Store, era: int, moment: Moment) -> None:
    """Give the gaps that wait for `era` the boot time of the epoch that now begins."""
    rows = store.execute(f"{_SELECT} FROM record WHERE era = ?", (era,))
    for row in rows:
        if (gap := _gap(row)) is not None:
            store.execute("DELETE FROM record WHERE id = ?", (row[7],))
            insert(store, era, [line_of(restamped(gap, moment))], row[8])


def forget(store: Store, era: int, last_id: int) -> None:
    """Delete the records up to `era` and `last_id`: they are in batches now."""
    store.execute("DELETE FROM record WHERE era <= ? AND id <= ?", (era, last_id))


def count(store: Store) -> int:
    """Unsealed records, of whatever era."""
    return int(store.value("SELECT count(*) FROM record"))


def guards(store: Store) -> set[bytes]:
    """Of all unsealed records: tells whether a doubtful append took place."""
    return {row[0] for row in store.execute("SELECT guard FROM record")}
