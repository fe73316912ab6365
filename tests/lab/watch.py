"""Finds what a lab left behind."""

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from runtime.lab.build import Lab
from runtime.lab.namespaces import command, existing


class Watch:
    """Remembers what belongs to labs, to find what they left; other runs do not disturb it."""

    def __init__(self) -> None:
        self.prefixes = {f"pt{os.getpid():x}-"}
        self.devices: set[str] = set()
        self.inodes: set[int] = set()
        self.before = self._existing()

    def lab(self, lab: Lab) -> None:
        """Remember a lab that is standing."""
        self.prefixes.add(lab.run.prefix)
        self.devices.add(f"pt{lab.run.token}.")
        self.inodes |= {Path("/run/netns", str(s.name)).stat().st_ino for s in lab.run.spaces}

    def left(self) -> set[str]:
        """Namespaces, devices, log folders and processes that outlived their labs."""
        return (self._existing() - self.before) | set(self._processes())

    def _existing(self) -> set[str]:
        devices = [line.split()[1] for line in command(["ip", "-o", "link"]).splitlines()]
        logs = [path.name for path in Path(tempfile.gettempdir()).glob("pt*-logs")]
        names = [*existing(), *devices, *logs]
        return {name for name in names if name.startswith((*self.prefixes, *self.devices))}

    def _processes(self) -> Iterator[str]:
        for entry in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if (entry / "ns" / "net").stat().st_ino in self.inodes:
                    yield (entry / "comm").read_text()
