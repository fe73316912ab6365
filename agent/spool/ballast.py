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
        self._least = size // 3

    def held(self) -> int:
        """Bytes in reserve now."""
        try:
            return self.path.stat().st_size
        except OSError:
            return 0

    def release(self) -> None:
        """Give the blocks to whoever needs them now; the empty file stays as a witness."""
        if self.held():
            os.truncate(self.path, 0)

    def restore(self) -> bool:
        """Take all the blocks again; False where the disk has too few, then none are added."""
        return self._take(self._size)

    def restore_least(self) -> bool:
        """Take as many as dropping the oldest needs.

        On a disk that others fill, evidence is worth more than the rest of the reserve.
        """
        return self._take(self._least)

    def _take(self, size: int) -> bool:
        held = self.held()
        if held >= size:
            return True
        try:
            with open(self.path, "ab") as file:
                try:
                    os.posix_fallocate(file.fileno(), 0, size)
                except OSError:
                    # Some file systems keep what they could allocate before they failed.
                    os.truncate(file.fileno(), held)
                    return False
        except OSError:
            return False
        return True
