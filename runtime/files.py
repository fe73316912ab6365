"""Files that are whole or absent, whatever happens to the power."""

import os
from pathlib import Path


def write_durably(file: Path, data: bytes, *, mode: int = 0o644) -> None:
    """Replace `file` by `data`: write beside it, fsync, rename, fsync the folder.

    After a power cut the file has its old bytes or the new ones, never a part of either.
    """
    draft = file.with_name(file.name + ".new")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    try:
        os.write(descriptor, data)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    draft.rename(file)
    folder = os.open(file.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
