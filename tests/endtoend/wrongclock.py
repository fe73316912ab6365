"""A wall clock that is wrong by as much as the test says, while the others stay true."""

import subprocess
import time
from pathlib import Path

from runtime.lab.compiler import compiler

SOURCE = Path(__file__).with_suffix(".c")
NS = 1_000_000_000


class WrongClock:
    """The wall clock of the programs that run with `env`, children included."""

    def __init__(self, folder: Path) -> None:
        """Right, until told otherwise; `folder` gets two files. Needs a C compiler."""
        self._file, library = folder / "wrong-clock", folder / "wrongclock.so"
        program = compiler()
        assert program is not None
        argv = [program, "-O2", "-std=gnu11", "-shared", "-fPIC", "-o", str(library), str(SOURCE)]
        subprocess.run(argv, check=True)
        self.env = {"LD_PRELOAD": str(library), "PANTAU_WRONG_CLOCK": str(self._file)}
        self._shift(0)

    def begin_at(self, second: float) -> None:
        """It is now so many seconds after 1970, and time goes on from there."""
        self._shift(int(second * NS) - time.time_ns())

    def shift(self, seconds: float) -> None:
        """It steps to so much ahead of what it should be."""
        self._shift(int(seconds * NS))

    def right(self) -> None:
        """It steps to what it should be."""
        self._shift(0)

    def _shift(self, ns: int) -> None:
        # Into the mapped file itself: another one in its place would not be seen.
        with self._file.open("r+b" if self._file.exists() else "xb") as file:
            file.write(ns.to_bytes(8, "little", signed=True))
