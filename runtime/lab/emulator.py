"""The emulator process: one for all links of a lab, in a namespace of its own.

It is told what to do over a socket pair and ends when our end closes, so even a SIGKILL of this
process leaves no emulator behind.
"""

import contextlib
import socket
import subprocess
from dataclasses import dataclass
from pathlib import Path

from runtime.lab.compiler import emulink
from runtime.lab.link import Link, Shape, Stamp, words_of
from runtime.lab.namespaces import Namespace

_ANSWER_S = 20.0
_STOP_S = 5.0
_MESSAGE = 65536


class EmulatorError(RuntimeError):
    """The emulator refused a request, or is gone."""


@dataclass(frozen=True, kw_only=True)
class EmulatorSettings:
    """How the emulator runs."""

    seed: int = 1
    """Of every random choice; the same seed and packets give the same drops."""
    spin_us: float = 250.0
    """Longest time spun before a packet is due; in all never more than a fifth of one core."""
    priority: bool = True
    """Real-time scheduling, so that a busy machine does not bend the truth."""


class Emulator:
    """Handle of the process; its logs are `truth.jsonl` and `packets.jsonl` in `directory`."""

    def __init__(self, space: Namespace, directory: Path, settings: EmulatorSettings) -> None:
        self.truth_path = directory / "truth.jsonl"
        self.packets_path = directory / "packets.jsonl"
        self._errors = directory / "emulink.err"
        self._space = space
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._socket.settimeout(_ANSWER_S)
        with theirs, self._errors.open("wb") as errors:
            self._process = space.popen(
                [
                    str(emulink()),
                    str(theirs.fileno()),
                    str(self.truth_path),
                    str(self.packets_path),
                    str(settings.seed),
                    str(round(settings.spin_us * 1000)),
                    "1" if settings.priority else "0",
                ],
                pass_fds=(theirs.fileno(),),
                stderr=errors,
            )
        try:
            self.sync()
        except BaseException:
            self.close()
            raise

    @property
    def pid(self) -> int:
        """Process id, for measuring its CPU time."""
        return self._process.pid

    def ask(self, *words: str) -> tuple[Stamp, str]:
        """Send one request; the answer's stamp is when it took effect."""
        try:
            self._socket.send(" ".join(words).encode())
            answer = self._socket.recv(_MESSAGE).decode()
        except OSError as error:
            raise EmulatorError(f"{' '.join(words)}: {error}; {self._last_words()}") from error
        if not answer:
            raise EmulatorError(f"the emulator is gone: {self._last_words()}")
        kind, _, rest = answer.partition(" ")
        if kind != "ok":
            raise EmulatorError(f"{' '.join(words)}: {rest}")
        real_ns, boot_ns, text = rest.split(" ", 2)
        return Stamp(int(real_ns), int(boot_ns)), text

    def link(self, name: str, a: str, b: str) -> Link:
        """Join two devices of the emulator's namespace; returns the handle."""
        self.ask("link", name, a, b)

        def carrier(on: bool) -> None:
            state = "up" if on else "down"
            self._space.ip(f"link set {a} {state}", f"link set {b} {state}")

        return Link(name, self, carrier)

    def plain(self, device: str) -> None:
        """Switch off the offloads that would keep frames from looking as on a wire."""
        self.ask("plain", device)

    def warm(self, device: str) -> None:
        """Name a spare device that leads nowhere, to keep the sending code in the caches."""
        self.ask("warm", device)

    def bottleneck(self, name: str, shape: Shape) -> Stamp:
        """Make or change a limiter that several directions share (`Knobs.bottleneck`)."""
        return self.ask("bottleneck", name, *words_of(shape))[0]

    def log_packets(self, on: bool = True) -> None:
        """Write, or stop writing, a line for every packet."""
        self.ask("packets", "on" if on else "off")

    def mark(self, word: str) -> Stamp:
        """Write a word of one's own into the truth log."""
        return self.ask("mark", word)[0]

    def sync(self) -> None:
        """Have everything written so far in the files."""
        self.ask("sync")

    def close(self) -> None:
        """End the process; the logs are complete afterwards."""
        self._socket.close()
        try:
            self._process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(_STOP_S)

    def _last_words(self) -> str:
        with contextlib.suppress(OSError):
            return self._errors.read_text().strip() or f"exit {self._process.poll()}"
        return "no words"
