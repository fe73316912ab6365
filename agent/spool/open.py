"""Opening a spool in whatever state it is found: the agent always starts.

A file that fails its check is renamed aside, never repaired in place; what can be saved of it
goes into a new one, and a gap says what is missing. The new file is complete before it gets the
spool's name, so that a crash in here is only done again.
"""

import logging
import os
import re
import struct
from pathlib import Path
from typing import NamedTuple

import apsw
import msgspec

from agent.spool import rows
from agent.spool.gaps import Moment
from agent.spool.salvage import Salvage, blanket
from agent.spool.store import PAGE_BYTES, Life, SpoolFull, SpoolUnavailable, Store, Unsound
from wire.journal import Gap, GapReason

log = logging.getLogger(__name__)

_CORPSES = 2
"""Damaged files kept for a person to look at."""
_SIDES = ("", "-wal", "-shm", "-journal")
_WAL_HEADER = struct.Struct(">8I")
_WAL_FRAME = struct.Struct(">4I")
_FRAME_BYTES = _WAL_FRAME.size + 8 + PAGE_BYTES


class Opened(NamedTuple):
    """An open store, and what was found missing; the gaps are in the store already."""

    store: Store
    gaps: list[Gap]


def open_store(path: Path, moment: Moment, *, witness: bool, hint: Life | None = None) -> Opened:
    """The spool at `path`: as it is, or made new, or made from what could be read of it.

    `witness` says that there was a spool here before; `hint` is the last known life of one that
    this process had open. Raises SpoolFull, or SpoolUnavailable where the disk gives or takes
    nothing.
    """
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not os.access(path.parent, os.W_OK | os.X_OK):
            raise SpoolUnavailable(f"spool {path}: its folder cannot be written")
        if not path.exists() and _beside(path, "-wal").exists():
            # Beside a new file it would be taken for that one's log.
            _set_aside(path)
        _finish_swap(path)
        if path.exists():
            return _open_existing(path, moment, hint)
        return _make_new(path, moment, lost=witness or hint is not None, hint=hint)
    except apsw.FullError as error:
        raise SpoolFull(f"spool {path}: no room on the disk") from error
    except apsw.BusyError as error:
        raise SpoolUnavailable(f"spool {path}: another agent has it open") from error
    except (apsw.Error, OSError, Unsound) as error:
        raise SpoolUnavailable(f"spool {path}: {error}") from error


def _beside(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix)


def _finish_swap(path: Path) -> None:
    """A new file that was complete when the agent died takes its place; any other is removed."""
    new = _beside(path, ".new")
    if new.exists() and not path.exists():
        try:
            _loaded(new).close()
            _rename(new, path)
        except (Unsound, apsw.Error) as error:
            log.debug("an unfinished new spool is thrown away: %s", error)
    for side in _SIDES:
        _beside(new, side).unlink(missing_ok=True)


def _loaded(path: Path) -> Store:
    store = Store(path)
    try:
        store.load()
    except BaseException:
        store.close()
        raise
    return store


def _open_existing(path: Path, moment: Moment, hint: Life | None) -> Opened:
    try:
        if not os.access(path, os.R_OK | os.W_OK):
            raise Unsound("not ours to read and write")
        if path.stat().st_size == 0:
            raise Unsound("empty")
        commits = wal_commits(_beside(path, "-wal"))
        store = Store(path)
        try:
            survived = store.log_frames()
            store.load()
            gaps = _torn_log(store, moment, sum(at > survived for at in commits))
            if hint is not None:
                _after_failure(store, hint)
        except BaseException:
            store.close()
            raise
        return Opened(store, gaps)
    except (apsw.BusyError, apsw.CantOpenError, apsw.FullError, apsw.NoMemError):
        # Another agent, too many open files, no room: nothing of this is the file's fault.
        raise
    except (Unsound, apsw.Error) as error:
        return _replace(path, moment, hint, str(error))


def _after_failure(store: Store, hint: Life) -> None:
    """A write failed a moment ago: what the kernel holds of the log may never reach the disk.

    Copying it into the file and syncing that makes it durable.
    """
    if store.life.next_id < hint.next_id:
        raise Unsound("batches that were sealed are gone")
    store.checkpoint()


def wal_commits(wal: Path) -> list[int]:
    """Positions, from 1, of the log's frames that end a transaction, by their marks alone.

    Frames of an older use of the log, which a sound header disowns by its salts, do not count.
    """
    commits: list[int] = []
    try:
        with open(wal, "rb") as file:
            header = file.read(32)
            frame = file.read(_WAL_FRAME.size)
            if len(header) < 32 or len(frame) < _WAL_FRAME.size:
                return []
            salts = _WAL_FRAME.unpack(frame)[2:]
            if _header_sound(header) and salts != _WAL_HEADER.unpack(header)[4:6]:
                return []
            position = 1
            while len(frame) == _WAL_FRAME.size:
                _, size, *own = _WAL_FRAME.unpack(frame)
                if tuple(own) == salts and size:
                    commits.append(position)
                file.seek(32 + position * _FRAME_BYTES)
                frame = file.read(_WAL_FRAME.size)
                position += 1
    except OSError:
        return commits
    return commits


def _header_sound(header: bytes) -> bool:
    """The checksum of the log's header (SQLite file format, section 4.2)."""
    magic = int.from_bytes(header[:4], "big")
    values = struct.unpack((">" if magic & 1 else "<") + "6I", header[:24])
    first = second = 0
    for left, right in zip(values[::2], values[1::2], strict=True):
        first = (first + left + second) & 0xFFFFFFFF
        second = (second + right + first) & 0xFFFFFFFF
    return (first, second) == struct.unpack(">2I", header[24:])


def _torn_log(store: Store, moment: Moment, gone: int) -> list[Gap]:
    """Tell what a damaged log swallowed: `gone` transactions whose end marks are still there.

    A power cut tears at most the last transaction, which was never promised. More than one is
    damage. Each may have sealed a batch that was sent, so that many numbers are not used again,
    and with what the tail holds.
    """
    if gone < 2:
        return []
    life = store.life
    after = msgspec.structs.replace(life, next_seq=life.next_seq + gone, tail=b"", tail_raw_len=0)
    gap = Gap(
        boot_ns=moment.boot_ns,
        wall_ns=moment.wall_ns,
        reason=GapReason.CORRUPT,
        epoch=life.epoch.hex() if life.epoch else None,
        first_seq=life.next_seq,
        last_seq=after.next_seq - 1,
        detail=f"damaged log: {gone} transactions did not survive",
    )

    def act() -> None:
        store.draft = after
        rows.tell(store, moment, gap)

    store.transact(act)
    return [gap]


def _make_new(path: Path, moment: Moment, *, lost: bool, hint: Life | None) -> Opened:
    life = hint or Life()
    new = _beside(path, ".new")
    gaps = []
    store = Store.create(new, life)
    try:
        if lost:
            gap = blanket(moment, GapReason.SPOOL_LOST, "the spool was gone")
            store.transact(lambda: rows.tell(store, moment, gap))
            gaps.append(gap)
    finally:
        store.close()
    _rename(new, path)
    return Opened(_loaded(path), gaps)


def _replace(path: Path, moment: Moment, hint: Life | None, why: str) -> Opened:
    log.warning("spool %s is damaged (%s): saving what can be read", path, why)
    new = _beside(path, ".new")
    salvage = Salvage(moment, hint)
    salvage.into(path, new, why)
    _set_aside(path)
    _rename(new, path)
    return Opened(_loaded(path), salvage.gaps)


def _set_aside(path: Path) -> None:
    """Rename the damaged file and its log, and delete all but the newest few of their kind."""
    found = _corpses(path)
    number = max(found, default=0) + 1
    for side in _SIDES:
        if _beside(path, side).exists():
            os.rename(_beside(path, side), _beside(path, f".corrupt-{number}{side}"))
    _bury(path, sorted([*found, number])[:-_CORPSES])


def _corpses(path: Path) -> list[int]:
    form = re.compile(re.escape(path.name) + r"\.corrupt-(\d+)(?:-wal)?")
    names = (form.fullmatch(name) for name in os.listdir(path.parent))
    return sorted({int(match[1]) for match in names if match})


def _bury(path: Path, numbers: list[int]) -> None:
    for number in numbers:
        for side in _SIDES:
            _beside(path, f".corrupt-{number}{side}").unlink(missing_ok=True)


def bury_all(path: Path) -> None:
    """On a full disk: what was saved of the damaged files is saved, evidence needs their room."""
    _bury(path, _corpses(path))


def _rename(source: Path, target: Path) -> None:
    """Give a finished file its name, durably: file, rename, folder."""
    for step in (source, None, target.parent):
        if step is None:
            os.rename(source, target)
            continue
        handle = os.open(step, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
