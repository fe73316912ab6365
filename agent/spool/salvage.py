"""What can be read of a damaged spool and agrees with its digests, carried into a new file.

The damaged file is only read. Tables are walked from both ends and, between the places where
the walk breaks, probed row by row; a batch counts as saved when its bytes parse as what was sealed.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import apsw
import msgspec

from agent.spool import queue, rows
from agent.spool.gaps import Lost, Moment, told
from agent.spool.store import Life, Store, Unsound, decode_life
from wire.batch import parse
from wire.errors import WireError
from wire.journal import Gap, GapReason

_RESERVE_BYTES = 64 * 1024
_TEXT = (str, type(None))
_NUMBER = (int, type(None))
_BLOB = (bytes, type(None))
_TABLES: dict[str, tuple[str, tuple[Any, ...]]] = {
    "body": ("id, data", (int, bytes)),
    "record": (rows.COLUMNS, (bytes, int, int, int, int, bytes, int, int, _TEXT)),
    "batch": (
        ", ".join(queue.Entry._fields),
        (*(int, bytes, int, bytes, int, int, int, bytes, bytes), _BLOB, _NUMBER, _TEXT, _NUMBER),
    ),
}
"""Columns and what they must be: on a damaged page a number may have become anything."""
_PROBES = 200_000
"""Rows looked for one by one behind a broken page."""


class Salvage:
    """One attempt. `gaps` are written into the new store as they are found."""

    def __init__(self, moment: Moment, hint: Life | None) -> None:
        self.gaps: list[Gap] = []
        self._moment = moment
        self._hint = hint
        self._batches = 0
        self._full = False

    def into(self, path: Path, new: Path, why: str) -> None:
        """Fill a new store at `new` with what `path` still gives. Raises apsw.Error for `new`."""
        source = _source(path)
        store = Store.create(new, self._hint or Life())
        try:
            # Room to say what is missing, should the disk become full of what is not.
            store.execute("INSERT INTO body VALUES (0, zeroblob(?))", (_RESERVE_BYTES,))
            if source is not None:
                self._carry(source, store)
            self._free_reserve(store)
            reason = GapReason.CORRUPT if self._batches else GapReason.SPOOL_LOST
            detail = f"{why[:200]}; {self._batches} batches saved"
            self._note(store, blanket(self._moment, reason, detail))
        finally:
            store.close()
            if source is not None:
                source.close(True)

    def _carry(self, source: apsw.Connection, store: Store) -> None:
        # The newest first: where there is not room for all, the oldest are what stays behind.
        for batch_id, data in _rows(source, "body"):
            self._batch(source, store, (batch_id, data))
        life = self._hint or _life(source)
        store.life = _caught_up(store, life or Life())
        if life is not None:
            self._records(source, store)
        for row in _rows(source, "batch"):
            self._missing(store, queue.Entry(*row))

    def _batch(self, source: apsw.Connection, store: Store, row: tuple[Any, Any]) -> None:
        batch_id, data = row
        if self._full or batch_id < 1:
            return
        try:
            made = queue.entry_of(batch_id, parse(data))
        except WireError:
            return
        known = _entry(source, batch_id)
        # Without a sound entry a batch waits again: the ledger knows a repeat when it sees one.
        entry = known if known is not None and known[:9] == made[:9] else made
        try:
            store.transact(lambda: queue.insert(store, entry, data))
            self._batches += 1
        except apsw.FullError:
            self._full = True
            self._free_reserve(store)
        except apsw.ConstraintError:
            return

    def _free_reserve(self, store: Store) -> None:
        store.execute("DELETE FROM body WHERE id = 0")

    def _missing(self, store: Store, entry: queue.Entry) -> None:
        held = store.value(
            "SELECT count(*) FROM batch WHERE id = ? OR (epoch = ? AND seq = ?)", entry[:3]
        )
        if entry.receipt is not None or held or entry.observations < 0:
            return
        reason = GapReason.SPOOL_FULL if self._full else GapReason.CORRUPT
        lost = Lost(reason, entry.epoch, entry.seq, entry.seq, entry.observations)
        self._note(store, told(lost, self._moment))

    def _note(self, store: Store, gap: Gap) -> None:
        store.transact(lambda: rows.tell(store, self._moment, gap))
        self.gaps.append(gap)

    def _records(self, source: apsw.Connection, store: Store) -> None:
        found = {row[5]: row for row in _rows(source, "record")}

        def act() -> None:
            for row in sorted(found.values(), key=lambda row: row[7]):
                if (line := rows.sound_line(row)) is not None:
                    rows.insert(store, row[6], [line], row[8])

        store.transact(act)


def blanket(moment: Moment, reason: GapReason, detail: str) -> Gap:
    """A gap that says that something is missing where nobody can know how much."""
    return Gap(boot_ns=moment.boot_ns, wall_ns=moment.wall_ns, reason=reason, detail=detail[:256])


def _source(path: Path) -> apsw.Connection | None:
    connection = None
    try:
        connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE)
        connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
        connection.execute("PRAGMA locking_mode = EXCLUSIVE")
        connection.execute("PRAGMA cache_size = -512")
        connection.execute("SELECT count(*) FROM sqlite_schema").fetchall()
    except apsw.Error:
        if connection is not None:
            connection.close(True)
        return None
    return connection


def _life(source: apsw.Connection) -> Life | None:
    try:
        return decode_life(source.execute("SELECT body, guard FROM life").fetchall())
    except (Unsound, apsw.Error):
        return None


def _caught_up(store: Store, life: Life) -> Life:
    """`life`, which may be older than the newest batch that was saved: then its tail is too, and
    may be in that batch."""
    rows = store.execute(
        "SELECT id, epoch, boot_id, seq, digest FROM batch ORDER BY id DESC LIMIT 1"
    )
    if not rows or rows[0][0] < life.next_id:
        return life
    batch_id, epoch, boot_id, seq, digest = rows[0]
    return msgspec.structs.replace(
        life,
        next_id=batch_id + 1,
        epoch=epoch,
        boot_id=boot_id,
        next_seq=seq + 1,
        head=digest,
        clean=False,
        tail=b"",
        tail_raw_len=0,
    )


def _entry(source: apsw.Connection, batch_id: int) -> queue.Entry | None:
    columns, types = _TABLES["batch"]
    try:
        rows: list[Any] = source.execute(
            f"SELECT {columns} FROM batch WHERE id = ?", (batch_id,)
        ).fetchall()
    except apsw.Error:
        return None
    return queue.Entry(*rows[0]) if rows and _fits(rows[0], types) else None


def _fits(row: Sequence[Any], types: tuple[Any, ...]) -> bool:
    return all(isinstance(value, form) for value, form in zip(row, types, strict=True))


def _rows(source: apsw.Connection, table: str) -> Iterator[tuple[Any, ...]]:
    """Every readable row of a table that is what its columns say, the newest first if possible."""
    columns, types = _TABLES[table]
    yield from (row for row in _walk(source, table, columns) if _fits(row, types))


def _walk(source: apsw.Connection, table: str, columns: str) -> Iterator[tuple[Any, ...]]:
    select = f"SELECT id, {columns} FROM {table}"
    ends: list[int | None] = []
    for order, bound in (("DESC", None), ("ASC", 0)):
        last: int | None = None
        try:
            for key, *row in source.execute(f"{select} ORDER BY id {order}"):
                if bound is not None and ends[0] is not None and key >= ends[0]:
                    return
                last = key
                yield tuple(row)
            return
        except apsw.Error:
            ends.append(last)
    high, low = ends
    if low is None or high is None:
        return
    for key in range(high - 1, max(low, high - _PROBES), -1):
        try:
            for _, *row in source.execute(f"{select} WHERE id = ?", (key,)):
                yield tuple(row)
        except apsw.Error:
            continue
