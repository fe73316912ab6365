"""The spool's file: one SQLite connection, its schema and its transactions.

Write-ahead log and synchronous=FULL, because with NORMAL a power cut takes acknowledged rows.
It holds an exclusive lock for as long as it is open: two agents never share a spool. It knows
tables and bytes; what may be sent or forgotten is decided in `agent.spool`.
"""

import hashlib
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import apsw
import msgspec

from wire.batch import NO_DIGEST
from wire.instant import ClockClass

_APPLICATION_ID = 0x50545350
"""'PTSP' in the file's header: a spool and nothing else."""
PAGE_BYTES = 4096
_SCHEMA = (
    """
    CREATE TABLE life (
        id INTEGER PRIMARY KEY CHECK (id = 1), body BLOB NOT NULL, guard BLOB NOT NULL
    ) STRICT;
    CREATE TABLE record (
        id INTEGER PRIMARY KEY, era INTEGER NOT NULL, observations INTEGER NOT NULL,
        missing INTEGER NOT NULL, first_boot_ns INTEGER NOT NULL, last_boot_ns INTEGER NOT NULL,
        fold TEXT, line BLOB NOT NULL, guard BLOB NOT NULL
    ) STRICT;
    CREATE TABLE batch (
        id INTEGER PRIMARY KEY, epoch BLOB NOT NULL, seq INTEGER NOT NULL,
        boot_id BLOB NOT NULL, sealed_boot_ns INTEGER NOT NULL, observations INTEGER NOT NULL,
        size INTEGER NOT NULL, digest BLOB NOT NULL, guard BLOB NOT NULL,
        receipt BLOB CHECK (receipt IS NULL OR length(receipt) = 32), received_wall_ns INTEGER,
        refusal TEXT, retry_boot_ns INTEGER
    ) STRICT;
    CREATE UNIQUE INDEX place ON batch (epoch, seq);
    CREATE INDEX waiting ON batch (id) WHERE receipt IS NULL;
    CREATE INDEX retained ON batch (id) WHERE receipt IS NOT NULL;
    CREATE INDEX refused ON batch (id) WHERE retry_boot_ns IS NOT NULL;
    CREATE TABLE body (id INTEGER PRIMARY KEY, data BLOB NOT NULL) STRICT;
    """,
)
"""One script for each version; `user_version` says how many of them a file has seen."""
_DURABLE = ("PRAGMA journal_mode = WAL", "PRAGMA synchronous = FULL")
_BUILDING = ("PRAGMA journal_mode = MEMORY", "PRAGMA synchronous = OFF")
"""Nothing rests on a file that has not got its name yet: it is synced once, before the rename."""
_PRAGMAS = (
    "PRAGMA cache_size = -512",
    "PRAGMA mmap_size = 0",
    "PRAGMA temp_store = MEMORY",
    "PRAGMA wal_autocheckpoint = 64",
    "PRAGMA journal_size_limit = 2097152",
)

T = TypeVar("T")


class SpoolUnavailable(RuntimeError):
    """The disk does not take or give anything now; what was asked for did not happen."""


class SpoolFull(RuntimeError):
    """No room, although everything that may be dropped was dropped and listed."""


class Unsound(Exception):
    """The file is not a spool, or not a whole one."""


class Life(msgspec.Struct, frozen=True):
    """What the spool remembers apart from records and batches."""

    era: int = 0
    """Counts epochs; records of a later era wait for the next epoch to begin."""
    epoch: bytes | None = None
    boot_id: bytes | None = None
    clean: bool = True
    alive_boot_ns: int = 0
    alive_wall_ns: int = 0
    alive_clock: ClockClass = ClockClass.D
    next_seq: int = 0
    next_id: int = 1
    """Batches are numbered in order of sealing, across epochs."""
    head: bytes = NO_DIGEST
    receipt: bytes = NO_DIGEST
    received_wall_ns: int | None = None
    """Newest time of the hub's clock seen in a receipt."""
    acked_id: int = 0
    acked_epoch: bytes = b""
    acked_seq: int = 0
    dropped: int = 0
    """Observations dropped since this file was made."""
    tail: bytes = b""
    """What the running epoch has in memory only (agent.spool.tail)."""
    tail_raw_len: int = 0


def guard(data: bytes) -> bytes:
    """SHA-256: what bytes on a worn card are compared with before they are believed."""
    return hashlib.sha256(data).digest()


def decode_life(rows: Sequence[Any]) -> Life:
    """Of the rows of table `life`. Raises Unsound where their bytes are not what was written."""
    if len(rows) != 1 or guard(rows[0][0]) != rows[0][1]:
        raise Unsound("the spool's own state is damaged")
    return msgspec.msgpack.decode(rows[0][0], type=Life)


class Store:
    """The open file. `life` is what is committed; `draft` what a running transaction will."""

    def __init__(self, path: Path, *, building: bool = False) -> None:
        self.path = path
        self._connection = apsw.Connection(str(path))
        try:
            self._configure(_BUILDING if building else _DURABLE)
        except BaseException:
            self.close()
            raise
        self.life = Life()
        self.draft = Life()

    def _configure(self, journal: Sequence[str]) -> None:
        self._connection.set_busy_timeout(2000)
        self._inode = os.stat(self.path).st_ino
        if self.path.stat().st_size == 0:
            self.execute(f"PRAGMA page_size = {PAGE_BYTES}")
            self.execute("PRAGMA auto_vacuum = INCREMENTAL")
        # Before the first read of a log: with the exclusive lock its index lives in memory.
        self.execute("PRAGMA locking_mode = EXCLUSIVE")
        for pragma in (*journal, *_PRAGMAS):
            self.execute(pragma)

    @classmethod
    def create(cls, path: Path, life: Life) -> "Store":
        """A new spool at `path`, where nothing is; to be closed, synced and given its name."""
        store = cls(path, building=True)
        store.life = life
        store.transact(lambda: store.migrate(0))
        return store

    def migrate(self, version: int) -> None:
        """Inside a transaction: bring a file of `version` to the newest schema."""
        for script in _SCHEMA[version:]:
            self.execute(script)
        self.execute(f"PRAGMA application_id = {_APPLICATION_ID}")
        self.execute(f"PRAGMA user_version = {len(_SCHEMA)}")

    def load(self) -> None:
        """Check the whole file and read its life. Raises Unsound or apsw.Error."""
        version = int(self.value("PRAGMA user_version") or 0)
        if self.value("PRAGMA application_id") != _APPLICATION_ID:
            raise Unsound("not a spool")
        if not 1 <= version <= len(_SCHEMA):
            raise Unsound(f"spool version {version}, known: {len(_SCHEMA)}")
        verdict = self.value("PRAGMA integrity_check(1)")
        if verdict != "ok":
            raise Unsound(f"integrity check: {verdict}")
        strays = "SELECT count(*) FROM body WHERE id NOT IN (SELECT id FROM batch)"
        if self.value(strays):
            raise Unsound("batches that nothing leads to")
        self.life = decode_life(self.execute("SELECT body, guard FROM life"))
        if version < len(_SCHEMA):
            self.transact(lambda: self.migrate(version))

    def execute(self, sql: str, values: Sequence[Any] = ()) -> list[Any]:
        """All rows of one statement."""
        return self._connection.execute(sql, values).fetchall()

    def value(self, sql: str, values: Sequence[Any] = ()) -> Any:
        """The first column of the first row; None where there is none."""
        rows = self.execute(sql, values)
        return rows[0][0] if rows else None

    def transact(self, act: Callable[[], T]) -> T:
        """Run `act` and commit what it did together with `draft`; on return it is durable.

        Raises what `act` raises, or apsw.Error; then nothing has happened, except after
        apsw.IOError, when only a newly opened file can tell.
        """
        self.draft = self.life
        self.execute("BEGIN IMMEDIATE")
        try:
            result = act()
            body = msgspec.msgpack.encode(self.draft)
            self.execute("REPLACE INTO life VALUES (1, ?, ?)", (body, guard(body)))
            self.execute("COMMIT")
        except BaseException:
            # After some errors SQLite has rolled back by itself.
            if self._connection.in_transaction:
                self.execute("ROLLBACK")
            raise
        self.life = self.draft
        return result

    def live_bytes(self) -> int:
        """Bytes of the file's pages that hold something."""
        return PAGE_BYTES * (int(self.value("PRAGMA page_count")) - self.free_pages())

    def free_pages(self) -> int:
        """Pages of the file that hold nothing."""
        return int(self.value("PRAGMA freelist_count"))

    def shrink(self, pages: int) -> None:
        """Give up to `pages` free pages back to the file system at the next checkpoint."""
        self.execute(f"PRAGMA incremental_vacuum({pages})")

    def checkpoint(self) -> None:
        """Bring everything from the log into the file and cut the log to nothing."""
        self.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def in_place(self) -> bool:
        """False where the file that is open is no longer the one that has the name."""
        try:
            return self.path.stat().st_ino == self._inode
        except OSError:
            return False

    def log_frames(self) -> int:
        """Frames of the write-ahead log that SQLite took for sound."""
        return int(self.execute("PRAGMA wal_checkpoint(NOOP)")[0][1])

    def close(self) -> None:
        """Let go of the file, whatever state it is in."""
        self._connection.close(True)
