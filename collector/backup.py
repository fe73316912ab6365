"""A copy of everything the hub must not lose, made while the collector runs, and its way back.

A copy is one folder: the data folder's databases as of one moment each (SQLite's online backup),
its keys, the settings, and SHA256SUMS over them all, which `sha256sum --check` reads. It is
written beside its place and renamed at the end: a copy is whole or is none.
"""

import hashlib
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import apsw

from collector.settings import Located
from runtime.clock import SECOND, Clock
from runtime.files import sync_folder, write_durably

SUMS = "SHA256SUMS"
DATA, SETTINGS = "data", "settings"
_NAME = re.compile(r"pantau-\d{8}T\d{6}Z")
_DRAFT = ".partial"
_RESTORING = "restoring"
_BESIDE = ("-wal", "-shm", "-journal", ".new")
"""What belongs to an open database or to a file that was never finished."""
_MARGIN_BYTES = 64 << 20
_CHUNK = 1 << 20


class BackupError(ValueError):
    """It cannot be copied or brought back; the text says why and what to do."""


class Copied(NamedTuple):
    """What was done."""

    folder: Path
    files: int
    octets: int


def backup(located: Located, into: Path, clock: Clock, keep: int | None = None) -> Copied:
    """Make a copy in a new folder under `into`; then only the newest `keep` copies stay there.

    Raises BackupError or OSError; then nothing new is there and nothing was removed.
    """
    data_dir = located.data_dir
    if not (data_dir / "ledger.db").is_file():
        raise BackupError(f"{data_dir}: no ledger.db: the collector has never run here")
    if into.resolve().is_relative_to(data_dir.resolve()):
        raise BackupError(f"{into}: lies in the folder that is to be copied")
    into.mkdir(parents=True, exist_ok=True, mode=0o700)
    moment = datetime.fromtimestamp(clock.wall_ns() // SECOND, UTC)
    folder = into / f"pantau-{moment:%Y%m%dT%H%M%SZ}"
    if folder.exists():
        raise BackupError(f"{folder}: is there already")
    found = list(_kept(data_dir))
    _room(into, sum((data_dir / one).stat().st_size for one in found))
    draft = folder.with_name(folder.name + _DRAFT)
    with _draft(draft):
        for name in found:
            _copy(data_dir / name, draft / DATA / name)
        for file in _settings(located):
            _copy(file, draft / SETTINGS / file.name)
        done = _sum(draft)
        draft.rename(folder)
    sync_folder(into)
    if keep is not None:
        _forget(into, keep)
    return Copied(folder, len(done), sum(done.values()))


def restore(located: Located, folder: Path) -> Copied:
    """Bring a copy's data back into an empty data folder, after a look at every byte.

    Raises BackupError or OSError.
    """
    data_dir = located.data_dir
    data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    there = sorted(one.name for one in data_dir.iterdir() if one.name != _RESTORING)
    if there:
        raise BackupError(
            f"{data_dir}: not empty ({', '.join(there[:3])}, ...): stop the collector and move what"
            " is there away; nothing was changed"
        )
    names = [name for name in verify(folder) if name.parts[0] == DATA]
    draft = data_dir / _RESTORING
    with _draft(draft):
        for name in names:
            _copy_bytes(folder / name, draft / name)
            if name.suffix == ".db":
                _check_database(draft / name)
        for one in (draft / DATA).iterdir():
            one.rename(data_dir / one.name)
    sync_folder(data_dir)
    octets = sum((folder / name).stat().st_size for name in names)
    return Copied(data_dir, len(names), octets)


def verify(folder: Path) -> list[Path]:
    """The names of a copy's files, each with the bytes it was made with. Raises BackupError."""
    try:
        lines = (folder / SUMS).read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        raise BackupError(f"{folder}: no {SUMS}: not a copy that `backup` finished") from None
    names = []
    for line in lines:
        digest, _, name = line.partition("  ")
        file = folder / name
        if ".." in file.parts or not file.is_file():
            raise BackupError(f"{file}: is missing from this copy; take another one")
        if _digest(file) != digest:
            raise BackupError(f"{file}: not the bytes that were copied; take another copy")
        names.append(Path(name))
    if Path(DATA, "ledger.db") not in names:
        raise BackupError(f"{folder / SUMS}: names no {DATA}/ledger.db")
    return names


def _kept(data_dir: Path) -> Iterator[Path]:
    """Names of all files in the data folder, relative to it."""
    for file in sorted(data_dir.rglob("*")):
        if file.is_file() and not file.is_symlink() and not file.name.endswith(_BESIDE):
            yield file.relative_to(data_dir)


def _settings(located: Located) -> Iterator[Path]:
    settings = located.settings
    yield located.file
    for name in (settings.nodes_file, settings.links_file):
        yield located.path(name)
    if located.contracts_file is not None:
        yield located.contracts_file


def _room(into: Path, octets: int) -> None:
    free = shutil.disk_usage(into).free
    if free < octets + _MARGIN_BYTES:
        raise BackupError(
            f"{into}: {free / 1e6:.0f} MB are free and the copy takes {octets / 1e6:.0f} MB, with"
            f" {_MARGIN_BYTES / 1e6:.0f} MB to be left"
        )


@contextmanager
def _draft(folder: Path) -> Iterator[None]:
    """A folder to work in, new and private; nothing of it stays, whatever happens."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(mode=0o700)
    try:
        yield
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _copy(file: Path, target: Path) -> None:
    if file.suffix == ".db":
        target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        _copy_database(file, target)
        _check_database(target)
    else:
        _copy_bytes(file, target)


def _copy_database(file: Path, target: Path) -> None:
    """In one step: one read transaction, which neither waits for the collector nor stops it."""
    try:
        source = apsw.Connection(str(file), flags=apsw.SQLITE_OPEN_READWRITE)
        made = apsw.Connection(str(target))
        try:
            source.set_busy_timeout(10_000)
            with made.backup("main", source, "main") as copying:
                copying.step(-1)
        finally:
            made.close()
            source.close()
        target.chmod(0o600)
    except apsw.Error as error:
        raise BackupError(f"{file}: cannot be copied: {error}") from error


def _check_database(file: Path) -> None:
    try:
        database = apsw.Connection(str(file))
        try:
            said = [str(row[0]) for row in database.execute("PRAGMA quick_check(3)")]
        finally:
            database.close()
    except apsw.Error as error:
        said = [str(error)]
    if said != ["ok"]:
        raise BackupError(f"{file.name}: damaged: {'; '.join(said)}")


def _copy_bytes(file: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with file.open("rb") as source, target.open("xb") as made:
        os.fchmod(made.fileno(), 0o600)
        shutil.copyfileobj(source, made, _CHUNK)
        made.flush()
        os.fsync(made.fileno())


def _sum(folder: Path) -> dict[Path, int]:
    """Write SHA256SUMS; sizes by name."""
    files = sorted(one for one in folder.rglob("*") if one.is_file())
    sizes = {one.relative_to(folder): one.stat().st_size for one in files}
    lines = [f"{_digest(folder / name)}  {name}\n" for name in sizes]
    write_durably(folder / SUMS, "".join(lines).encode(), mode=0o600)
    return sizes


def _digest(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _forget(into: Path, keep: int) -> None:
    """Remove all copies but the newest, and what was never finished before the oldest of them."""
    names = sorted(one.name for one in into.iterdir() if _NAME.fullmatch(one.name))
    for name in names[: max(0, len(names) - keep)]:
        # The sums first: what is left of a copy that is half removed is not one.
        (into / name / SUMS).unlink(missing_ok=True)
        shutil.rmtree(into / name)
    for one in into.iterdir():
        name = one.name.removesuffix(_DRAFT)
        if name != one.name and _NAME.fullmatch(name) and name < names[-keep:][0]:
            shutil.rmtree(one)
