"""Network namespaces that are sure to go away again.

A name carries its owner's pid and start time, so `sweep` can tell what a dead run left behind
from what a living one uses. Only processes inside our own namespaces, or started through
`Namespace.popen`, are ever killed.
"""

import contextlib
import os
import re
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

_OURS = re.compile(r"pt(?P<pid>[0-9a-f]+)-(?P<start>[0-9a-f]+)-[0-9a-f]{4}-[a-z0-9_.-]+")
_KILL_ROUNDS = 200
_KILL_PAUSE_S = 0.01


class NamespaceError(RuntimeError):
    """A command that shapes the network failed; the message holds what it said."""


class Namespace:
    """One network namespace and the processes started in it; `name` None is the root one."""

    def __init__(self, name: str | None, label: str) -> None:
        self.name = name
        self.label = label
        self._children: list[subprocess.Popen[bytes]] = []

    @property
    def is_root(self) -> bool:
        """Whether this is the namespace of this process, which is not ours to remove."""
        return self.name is None

    def argv(self, argv: Sequence[str]) -> list[str]:
        """The command line that runs `argv` here; `ip netns exec` replaces itself by it."""
        inside = [] if self.name is None else ["ip", "netns", "exec", self.name]
        return [*inside, *argv]

    def run(self, argv: Sequence[str], **options: Any) -> subprocess.CompletedProcess[str]:
        """Run a command here to its end; output captured as text, failure raises."""
        full = {"check": True, "capture_output": True, "text": True, "timeout": 30, **options}
        return subprocess.run(self.argv(argv), **full)

    def popen(self, argv: Sequence[str], **options: Any) -> subprocess.Popen[bytes]:
        """Start a process here; its own session, so that Ctrl-C stays with the caller."""
        full = {"start_new_session": True, "stdin": subprocess.DEVNULL, **options}
        child: subprocess.Popen[bytes] = subprocess.Popen(self.argv(argv), **full)
        self._children.append(child)
        return child

    def ip(self, *lines: str) -> None:
        """Run `ip` commands here as one batch: `space.ip("link set lo up", ...)`."""
        where = [] if self.name is None else ["-n", self.name]
        command(["ip", *where, "-batch", "-"], text="\n".join(lines) + "\n")

    def sysctl(self, key: str, value: str) -> None:
        """Set a network sysctl of this namespace only."""
        if self.name is None:
            raise NamespaceError("the root namespace's sysctls are not ours to set")
        path = "/proc/sys/" + key.replace(".", "/")
        command(self.argv(["sh", "-c", 'printf %s "$2" > "$1"', "sysctl", path, value]))

    def pids(self) -> list[int]:
        """Processes here; of the root namespace only those started through `popen`."""
        if self.name is None:
            return [child.pid for child in self._children if child.poll() is None]
        done = command(["ip", "netns", "pids", self.name], check=False)
        return [int(word) for word in done.split()]

    def kill(self) -> int:
        """SIGKILL every process here at once, wait until they are gone, and count them."""
        killed: set[int] = set()
        for _ in range(_KILL_ROUNDS):
            pids = self.pids()
            for pid in pids:
                self._kill_one(pid)
            killed.update(pids)
            self._reap()
            # A dying process has left its namespace some moments before it can be waited for.
            if not pids and not self._children:
                return len(killed)
            time.sleep(_KILL_PAUSE_S)
        raise NamespaceError(f"{self.label}: processes {self.pids()} survive SIGKILL")

    def _kill_one(self, pid: int) -> None:
        """In the root namespace the session that `popen` made goes with its leader."""
        with contextlib.suppress(ProcessLookupError):
            if self.name is None:
                os.killpg(pid, signal.SIGKILL)
            else:
                os.kill(pid, signal.SIGKILL)

    def _reap(self) -> None:
        self._children = [child for child in self._children if child.poll() is None]


class Run:
    """The namespaces of one run, deleted on `close` with all that lives in them."""

    def __init__(self) -> None:
        self.token = secrets.token_hex(2)
        pid = os.getpid()
        self.prefix = f"pt{pid:x}-{_start_of(pid) or 0:x}-{self.token}"
        self.root = Namespace(None, "root")
        self.spaces: list[Namespace] = []

    def create(self, label: str) -> Namespace:
        """A new namespace with its loopback up."""
        space = Namespace(f"{self.prefix}-{label}", label)
        # Recorded first: an interrupt right after the next line must not orphan it.
        self.spaces.append(space)
        command(["ip", "netns", "add", str(space.name)])
        space.ip("link set lo up")
        return space

    def log_directory(self) -> Path:
        """A new temporary folder that `sweep` knows by its name."""
        folder = Path(tempfile.gettempdir(), f"{self.prefix}-logs")
        folder.mkdir(mode=0o700)
        return folder

    def close(self) -> None:
        """Kill, then delete; every step is tried even when one before it failed."""
        with contextlib.ExitStack() as stack:
            for space in self.spaces:
                stack.callback(_delete, str(space.name))
            # Callbacks run last in, first out: all processes die before any namespace goes.
            for space in [*self.spaces, self.root]:
                stack.callback(space.kill)
        self.spaces = []


def command(argv: Sequence[str], *, text: str | None = None, check: bool = True) -> str:
    """Run a command of the host and return its output; failure becomes a NamespaceError."""
    done = subprocess.run(argv, input=text, capture_output=True, text=True, timeout=30, check=False)
    if check and done.returncode:
        raise NamespaceError(f"{' '.join(argv)}: {done.stderr.strip()}\n{text or ''}".strip())
    return done.stdout


def existing() -> list[str]:
    """Names of all namespaces made by any run of the lab."""
    names = [line.split()[0] for line in command(["ip", "netns", "list"]).splitlines() if line]
    return [name for name in names if _OURS.fullmatch(name)]


def sweep() -> list[str]:
    """Remove namespaces, their processes and logs whose owner no longer lives; return names."""
    dead = [name for name in existing() if not _owner_lives(name)]
    for name in dead:
        Namespace(name, name).kill()
        _delete(name)
    for folder in Path(tempfile.gettempdir()).glob("pt*-logs"):
        if not _owner_lives(folder.name):
            shutil.rmtree(folder, ignore_errors=True)
    return dead


def missing_tool() -> str | None:
    """Why namespaces cannot be made here, or None."""
    if os.geteuid() != 0:
        return "the lab needs root (network namespaces, raw sockets)"
    if shutil.which("ip") is None:
        return "the lab needs `ip`: install iproute2 (Debian)"
    return None


def _delete(name: str) -> None:
    """Deleting a namespace destroys its devices, and with each veth end the other one."""
    if Path("/run/netns", name).exists():
        command(["ip", "netns", "delete", name])


def _owner_lives(name: str) -> bool:
    match = _OURS.fullmatch(name)
    return match is None or _start_of(int(match["pid"], 16)) == int(match["start"], 16)


def _start_of(pid: int) -> int | None:
    """Start time in clock ticks since boot; tells a recycled pid from the owner."""
    try:
        stat = Path("/proc", str(pid), "stat").read_text()
    except OSError:
        return None
    return int(stat.rpartition(")")[2].split()[19])
