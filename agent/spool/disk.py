"""The store on a disk that may fail: reopened after an error, mended when damaged, kept from full.

After a failed write nobody knows what the disk holds (the kernel forgets a failed fsync), so the
file is closed and read anew before it is used again, and a doubtful append is looked up there.
"""

import logging
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

import apsw

from agent.spool import rows
from agent.spool.ballast import Ballast
from agent.spool.gaps import Moment
from agent.spool.open import Opened, bury_all, open_store
from agent.spool.pack import Line
from agent.spool.room import drop_bytes
from agent.spool.rows import line_guard
from agent.spool.store import PAGE_BYTES, Life, SpoolFull, SpoolUnavailable, Store

log = logging.getLogger(__name__)

_ROOM = 256 * 1024
"""Bytes of batches dropped at a time on a full disk, so that it is not full again at once."""

T = TypeVar("T")


class Disk:
    """One store behind one lock."""

    def __init__(self, path: Path, ballast: Ballast, now: Callable[[], Moment]) -> None:
        self.lock = threading.RLock()
        self._doubtful: frozenset[bytes] = frozenset()
        """Guards of the records of an append that failed half way."""
        self._settled: frozenset[bytes] = frozenset()
        """Those of them that were found in the file afterwards."""
        self._crowded = False
        self._path = path
        self._ballast = ballast
        self._now = now
        opened = self._open(None)
        self.gaps = opened.gaps
        self._store: Store | None = opened.store
        self._life = opened.store.life
        ballast.restore()

    def run(self, act: Callable[[Store], T]) -> T:
        """Run `act` on the open store; once more where the file turned out to be damaged.

        Raises SpoolUnavailable for what the disk refuses.
        """
        with self.lock:
            try:
                return self._try(act)
            except (apsw.CorruptError, apsw.NotADBError) as error:
                log.warning("spool %s: %s", self._path, error)
            try:
                return self._try(act)
            except (apsw.CorruptError, apsw.NotADBError) as error:
                raise SpoolUnavailable(f"spool {self._path}: {error}") from error

    def write(self, act: Callable[[Store], T], *, grows: bool = False) -> T:
        """Run `act` in a transaction; durable on return.

        `grows` is for what only adds: it never eats the reserve that dropping needs. Raises
        SpoolFull, or SpoolUnavailable.
        """

        def attempt(store: Store) -> T:
            try:
                return store.transact(lambda: act(store))
            except apsw.FullError:
                return self._make_room(store, act, grows)

        return self.run(attempt)

    def doubt(self, lines: Sequence[Line]) -> None:
        """An append of these failed: whether they are in the file is seen when it is read anew."""
        self._doubtful |= {line_guard(self._life.era, line) for line in lines}

    def unsettled(self, lines: Sequence[Line]) -> list[Line]:
        """Those of the lines that no failed append has left in the file."""
        if not self._settled:
            return list(lines)
        return [line for line in lines if line_guard(self._life.era, line) not in self._settled]

    def taken(self, lines: Sequence[Line]) -> None:
        """These are in the file for certain."""
        if self._settled:
            self._settled -= {line_guard(self._life.era, line) for line in lines}

    def _try(self, act: Callable[[Store], T]) -> T:
        store = self._ready()
        try:
            return act(store)
        except (apsw.CorruptError, apsw.NotADBError):
            self.let_go()
            raise
        except (apsw.ConstraintError, apsw.SQLError, apsw.MisuseError):
            raise
        except (apsw.Error, OSError) as error:
            self.let_go()
            raise SpoolUnavailable(f"spool {self._path}: {error}") from error
        finally:
            self._life = store.life

    def _ready(self) -> Store:
        if self._store is None:
            opened = self._open(self._life)
            self._store = opened.store
            self._life = opened.store.life
            self._settled |= self._doubtful & rows.guards(opened.store)
            self._doubtful = frozenset()
        return self._store

    def _open(self, hint: Life | None) -> Opened:
        witness = self._ballast.path.exists()
        try:
            return open_store(self._path, self._now(), witness=witness, hint=hint)
        except SpoolFull:
            self._ballast.release()
        try:
            bury_all(self._path)
            return open_store(self._path, self._now(), witness=witness, hint=hint)
        except (SpoolFull, OSError) as error:
            raise SpoolUnavailable(str(error)) from error

    def let_go(self) -> None:
        """Close the file; the next call opens it again."""
        if self._store is not None:
            store, self._store = self._store, None
            try:
                store.close()
            except apsw.Error as error:
                log.debug("spool %s: closing: %s", self._path, error)

    def restore_reserve(self) -> None:
        """Once a minute: take the whole reserve again where the disk has room for it."""
        if self._ballast.restore() and self._crowded:
            log.info("spool %s: the disk has room again", self._path)
            self._crowded = False

    def stay_in_place(self) -> None:
        """Somebody moved or deleted the file under us: what is written there reaches nobody."""
        if self._store is not None and not self._store.in_place():
            log.error("spool %s: the file was taken away", self._path)
            self.let_go()

    def _make_room(self, store: Store, act: Callable[[Store], T], grows: bool) -> T:
        """The disk is full: use the reserve, drop the oldest, take the reserve again."""
        if not self._crowded:
            log.warning("spool %s: the disk is full, the oldest is dropped", self._path)
        self._crowded = True
        self._ballast.release()
        try:
            store.checkpoint()
            if grows:
                return self._add(store, act)
            result = store.transact(lambda: act(store))
            store.checkpoint()
            while not self._ballast.restore_least() and self._drop_some(store):
                pass
            return result
        except apsw.FullError as error:
            raise SpoolFull(f"spool {self._path}: no room on the disk") from error
        finally:
            self._ballast.restore_least()

    def _add(self, store: Store, act: Callable[[Store], T]) -> T:
        while True:
            if self._ballast.restore_least():
                try:
                    return store.transact(lambda: act(store))
                except apsw.FullError:
                    self._ballast.release()
            if not self._drop_some(store):
                raise apsw.FullError("nothing left to drop")

    def _drop_some(self, store: Store) -> bool:
        """Drop the oldest and give their pages back to the disk; False where there are none."""
        bury_all(self._path)
        moment = self._now()
        dropped = store.transact(lambda: drop_bytes(store, _ROOM, moment))
        store.shrink(2 * _ROOM // PAGE_BYTES)
        store.checkpoint()
        return dropped > 0
