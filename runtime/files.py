"""Files that are whole or absent, whatever happens to the power."""

import os
from pathlib import Path


def write_durably(file: Path, data: bytes, *, mode: int = 0o644) -> None:
    """Replace `file` by `data`: write beside it, fsync, rename, fsync the folder.

    After a power cut the file has its old bytes or the new ones, never a part of either.
    """
    draft = file.with_name(file.name + ".new")
    _write(draft, data, mode)
    draft.rename(file)
    sync_folder(file.parent)


def create_durably(file: Path, data: bytes, *, mode: int = 0o644) -> bool:
    """Make `file` with `data` unless it is there; of several processes that try, one is first.

    False where it was there already.
    """
    draft = file.with_name(f"{file.name}.{os.getpid()}.new")
    _write(draft, data, mode)
    try:
        os.link(draft, file)
    except FileExistsError:
        return False
    finally:
        draft.unlink()
    sync_folder(file.parent)
    return True


def _write(draft: Path, data: bytes, mode: int) -> None:
    draft.unlink(missing_ok=True)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    try:
        # A buffered file writes on where a bare write(2) stops short, or says why it cannot.
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(descriptor)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise


def sync_folder(folder: Path) -> None:
    """Make a new or renamed entry of `folder` survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
