"""How slow the disk was, second by second: what a box writes takes as long, and no box is to blame
for a machine whose disk stalls."""

import os
import threading
import time
from pathlib import Path

EVERY_S = 0.2
BEFORE_S = 2.0
SYNCS = 3
"""Of one transaction at the worst: the log, the checkpoint, and the log again."""


class Disk(threading.Thread):
    """Writes a page to a file in the folder, again and again, until it is stopped."""

    def __init__(self, folder: Path) -> None:
        super().__init__(daemon=True)
        self._file = folder / "disk"
        self._ended = threading.Event()
        self._writes: list[tuple[float, float]] = []

    def run(self) -> None:
        fd = os.open(self._file, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            while not self._ended.wait(EVERY_S):
                began_s = time.time()
                os.pwrite(fd, os.urandom(4096), 0)
                os.fdatasync(fd)
                self._writes.append((began_s, time.time()))
        finally:
            os.close(fd)

    def stop(self) -> None:
        """And wait for its end."""
        self._ended.set()
        self.join()

    def commit_s(self, at_s: float) -> float:
        """What a transaction took in the seconds before, at the most."""
        near = [b - a for a, b in self._writes if b > at_s - BEFORE_S and a <= at_s]
        return SYNCS * max(near, default=0.0)
