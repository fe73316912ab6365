"""What a program says to the service manager that started it: sd_notify(3), over its own socket.

Without a manager (no NOTIFY_SOCKET) everything here does nothing, so that a program says the same
from a terminal, in a test and under systemd. The protocol is a datagram of NAME=VALUE lines, kept
stable by systemd's interface promise; a dependency for it would be longer than it.
"""

import asyncio
import logging
import os
import socket
from collections.abc import Awaitable, Callable, Mapping

log = logging.getLogger(__name__)
_US = 1_000_000
_BEATS = 3
"""Signs of life within the time the manager waits for one: a late one is not a dead program."""


class ServiceManager:
    """systemd, or whoever else listens on NOTIFY_SOCKET."""

    def __init__(self, environ: Mapping[str, str] | None = None) -> None:
        """`environ` as a process finds it; nobody listens by default."""
        told = {} if environ is None else environ
        self._address = _address(told.get("NOTIFY_SOCKET", ""))
        self._watchdog_s = _watchdog_s(told)

    @classmethod
    def of_process(cls) -> "ServiceManager":
        """The one that started this process, if any did."""
        return cls(os.environ)

    def ready(self, status: str) -> None:
        """The program does its work from now on; `status` is what `systemctl status` shows."""
        self._tell("READY=1", f"STATUS={_line(status)}")

    def stopping(self) -> None:
        """The program has begun to end."""
        self._tell("STOPPING=1", "STATUS=Stopping: what was made is written and delivered.")

    async def beat(self, alive: Callable[[], Awaitable[object]]) -> None:
        """Say for ever that the program lives, as often as the manager wants to hear it.

        `alive` has to return each time: it is asked of what must not hang besides the event loop,
        such as the thread that writes. While it does not return the manager hears nothing, and
        starts the program anew.
        """
        while self._watchdog_s is not None:
            await alive()
            self._tell("WATCHDOG=1")
            await asyncio.sleep(self._watchdog_s / _BEATS)
        await asyncio.Event().wait()

    def _tell(self, *lines: str) -> None:
        if self._address is None:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
                sock.setblocking(False)
                sock.sendto("\n".join(lines).encode(), self._address)
        except OSError as error:
            # A manager that does not listen is no reason to stop measuring.
            log.warning("the service manager does not listen: %s", error)


def _address(text: str) -> str | None:
    """AF_UNIX path, or the abstract name that @ stands for; nothing else is spoken here."""
    if text.startswith("@"):
        return "\0" + text[1:]
    return text if text.startswith("/") else None


def _watchdog_s(environ: Mapping[str, str]) -> float | None:
    """Seconds after which this process counts as hung, if it is watched at all."""
    pid = environ.get("WATCHDOG_PID")
    text = environ.get("WATCHDOG_USEC", "")
    if not text.isdecimal() or int(text) == 0 or pid not in (None, str(os.getpid())):
        return None
    return int(text) / _US


def _line(text: str) -> str:
    return " ".join(text.split())
