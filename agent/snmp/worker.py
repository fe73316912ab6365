"""The agent's side of the SNMP worker: starts it when first needed, asks it, ends it.

A worker that died or hangs is replaced at the next question; what it was asked then is a fault of
this machine and says nothing of any device. It is also replaced after some thousand questions,
because pysnmp remembers all it ever heard.
"""

import asyncio
import logging
import os
import subprocess
import sys
from dataclasses import dataclass, field

import msgspec

from agent.snmp.form import LARGEST_LINE, Answer, Ask
from runtime.clock import SECOND, Clock
from wire.observation import Outcome

log = logging.getLogger(__name__)

_COMMAND = [sys.executable, "-P", "-m", "agent.snmp.exchange"]
"""-P: what lies in the working folder is not imported."""
_HANGS_NS = 10 * SECOND
"""A question that is unanswered for so long after its timeout: the worker hangs."""
_MOST_ASKS = 5000
_READ_BYTES = 65_536
_STOP_S = 1.0
DIED = "the SNMP worker ended and is started again"


@dataclass
class _Pending:
    """One question without an answer."""

    due_ns: int
    answer: asyncio.Future[Answer]


@dataclass
class _Process:
    """One run of the worker."""

    popen: subprocess.Popen[bytes]
    loop: asyncio.AbstractEventLoop
    asked: int = 0
    buffer: bytearray = field(default_factory=bytearray)
    pending: dict[int, _Pending] = field(default_factory=dict)


class Worker:
    """The SNMP worker, whichever process it is today."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._process: _Process | None = None
        self._next_id = 0
        self._decoder = msgspec.json.Decoder(Answer)

    def number(self) -> int:
        """A new question's id."""
        self._next_id += 1
        return self._next_id

    def start(self) -> None:
        """Have a worker that can be asked, because a new one takes a second to be ready."""
        process = self._process
        if process is not None:
            now_ns = self._clock.boot_ns()
            spent = process.asked >= _MOST_ASKS and not process.pending
            hangs = any(one.due_ns < now_ns for one in process.pending.values())
            if not spent and not hangs:
                return
            if hangs:
                log.warning("the SNMP worker hangs and is started again")
            self._end(process)
        self._process = self._begin()

    async def ask(self, ask: Ask) -> Answer:
        """What the worker answers; LOCAL_ERROR where it dies. Raises OSError if none can start."""
        self.start()
        process = self._process
        assert process is not None
        answer: asyncio.Future[Answer] = process.loop.create_future()
        process.pending[ask.id] = _Pending(ask.due_ns + _HANGS_NS, answer)
        process.asked += 1
        line = msgspec.json.encode(ask) + b"\n"
        try:
            written = os.write(_stdin(process), line)
        except OSError:
            written = 0
        if written != len(line):  # it reads no more: a whole line always fits into the pipe
            self._end(process)
        return await answer

    def close(self) -> None:
        """End the worker."""
        if self._process is not None:
            self._end(self._process)

    def _begin(self) -> _Process:
        # What it might say of an error could quote what a device sent, or worse.
        popen = subprocess.Popen(
            _COMMAND,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        process = _Process(popen, asyncio.get_running_loop())
        os.set_blocking(_stdin(process), False)
        os.set_blocking(_stdout(process), False)
        process.loop.add_reader(_stdout(process), self._hear, process)
        return process

    def _hear(self, process: _Process) -> None:
        try:
            data = os.read(_stdout(process), _READ_BYTES)
        except BlockingIOError:
            return
        process.buffer += data
        if not data or len(process.buffer) > LARGEST_LINE:
            self._end(process)
            return
        *lines, rest = process.buffer.split(b"\n")
        process.buffer = rest
        try:
            for line in lines:
                self._take(process, self._decoder.decode(line))
        except msgspec.DecodeError:  # a decoder that was subverted, or a bug of ours
            log.error("the SNMP worker does not keep to the form")
            self._end(process)

    def _take(self, process: _Process, answer: Answer) -> None:
        pending = process.pending.pop(answer.id, None)
        if pending is not None and not pending.answer.done():
            pending.answer.set_result(answer)

    def _end(self, process: _Process) -> None:
        """Kill it and reap it; nothing that it was doing is worth waiting for."""
        if process is self._process:
            self._process = None
        if not process.loop.is_closed():
            process.loop.remove_reader(_stdout(process))
        process.popen.kill()
        for pipe in (process.popen.stdin, process.popen.stdout):
            assert pipe is not None
            pipe.close()
        process.popen.wait(_STOP_S)
        for number, pending in process.pending.items():
            if not pending.answer.done():
                pending.answer.set_result(
                    Answer(id=number, outcome=Outcome.LOCAL_ERROR, trouble=DIED)
                )
        process.pending.clear()


def _stdin(process: _Process) -> int:
    assert process.popen.stdin is not None
    return process.popen.stdin.fileno()


def _stdout(process: _Process) -> int:
    assert process.popen.stdout is not None
    return process.popen.stdout.fileno()
