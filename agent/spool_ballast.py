"""The last reserve: a file of blocks that are given up when the disk is full.

On a full disk even deleting fails, because the write-ahead log must grow first. The ballast
also bears witness: a ballast without a spool beside it means that a spool was lost.
"""

import os
from pathlib import Path


class Ballast:
    """A preallocated file beside the spool."""

    def __init__(self, path: Path, size: int) -> None:
        self.path = path
        self._size = size

    @property
    def whole(self) -> bool:
        """True where the reserve is there, all of it."""
        try:
            return self.path.stat().st_size >= self._size
        except OSError:
            return False

    def release(self) -> None:
        """Give the blocks to whoever needs them now; the empty file stays as a witness."""
        if self.path.exists():
            os.truncate(self.path, 0)

    def restore(self) -> bool:
        """Take the blocks again; False where the disk has too few, then none are held."""
        if self.whole:
            return True
        try:
            with open(self.path, "wb") as file:
                os.posix_fallocate(file.fileno(), 0, self._size)
        except OSError:
            self._let_go()
            return False
        return True

    def _let_go(self) -> None:
        try:
            self.release()
        except OSError:
            return
