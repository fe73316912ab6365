"""Probes whose attempt is several steps and takes a while: one task each.

A target is tried by one attempt at a time, and all targets of a kind by so many at once; a slot
that finds no room is NOT_SENT, with a note to the operator: it neither waits (it would measure
another moment than its own) nor counts as loss. An RTT here is the whole attempt, from its first
packet to the end of its answer, by this process's own readings of the boot clock (each is taken in
the callback of the event loop, before any other task can run) where the kernel has none to offer.
"""

import asyncio
import errno
import os
import socket
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import NamedTuple

from agent.probes.site import Site, Unavailable, unsent
from agent.recorder import Flight, Stream
from agent.sockets import Address, Way
from runtime.clock import SECOND, Clock
from wire.detail import Exchange, Phase
from wire.observation import Outcome, StampSource

AT_ONCE = 1024
"""Attempts of one kind under way at once: half of what a process may usually open."""
BUSY = "the former attempt still runs: its timeout should be below its interval"
FULL = "too many attempts are under way at once"
_NOTE_CHARS = 256
_RECVERR = {socket.AF_INET: (socket.IPPROTO_IP, 11), socket.AF_INET6: (socket.IPPROTO_IPV6, 25)}
"""IP_RECVERR and IPV6_RECVERR: without them a UDP socket hears of closed ports only."""
_ABORT = b"\x01\0\0\0\0\0\0\0"
"""struct linger {1, 0}: a close that resets, so that no attempt leaves a socket in TIME_WAIT."""
_MET = {
    errno.ECONNREFUSED: Outcome.REFUSED,
    errno.ETIMEDOUT: Outcome.TIMEOUT,
    errno.EHOSTUNREACH: Outcome.UNREACHABLE,
    errno.ENETUNREACH: Outcome.UNREACHABLE,
    errno.EHOSTDOWN: Outcome.UNREACHABLE,
    errno.ENOPROTOOPT: Outcome.UNREACHABLE,
    errno.EPROTO: Outcome.UNREACHABLE,
    errno.ECONNRESET: Outcome.BAD_REPLY,
    errno.ECONNABORTED: Outcome.BAD_REPLY,
    errno.EPIPE: Outcome.BAD_REPLY,
}
"""What an error means once packets have left."""


class Ended(NamedTuple):
    """What became of an attempt."""

    outcome: Outcome
    rtt_ns: int | None = None
    """For the outcomes OK and REFUSED."""
    trouble: str | None = None
    """What the operator should know, where this machine is at fault."""
    stamp: StampSource = StampSource.USER
    """Whose clocks gave the RTT."""


class Cut(Exception):
    """An attempt came to its end before its last step."""

    def __init__(self, ended: Ended) -> None:
        super().__init__(ended)
        self.ended = ended


class Attempt:
    """One attempt under way."""

    __slots__ = ("_site", "began_ns", "flight", "stream")

    def __init__(self, site: Site, stream: Stream, flight: Flight) -> None:
        self._site = site
        self.stream = stream
        self.flight = flight
        self.began_ns = flight.boot_ns

    def begin(self) -> int:
        """It leaves now: returns the boot clock. A later slot's row must not be overtaken."""
        clock = self._site.clock
        self.began_ns = clock.boot_ns()
        if self.stream.next_seq == self.flight.seq + 1:
            self.flight.boot_ns, self.flight.wall_ns = self.began_ns, clock.wall_ns()
        return self.began_ns

    def elapsed_ns(self) -> int:
        """Time since it left."""
        return self._site.clock.boot_ns() - self.began_ns

    def tell(
        self,
        phases_ns: Mapping[Phase, int],
        *,
        status: int | None = None,
        certificate_expires_s: int | None = None,
        note: str = "",
    ) -> None:
        """Hand on the parts of this attempt."""
        target = self.stream.target
        self._site.emit(
            Exchange(
                link=target.link,
                target=target.name,
                boot_ns=self.flight.boot_ns,
                seq=self.flight.seq,
                phases_ns=dict(phases_ns),
                status=status,
                certificate_expires_s=certificate_expires_s,
                note=note[:_NOTE_CHARS],
            )
        )


Act = Callable[[Attempt], Awaitable[Ended]]
"""How one target is tried. May raise Cut, and OSError for what came after packets had left."""


class AttemptProbe:
    """All targets of one kind; `prepare` makes the Act of a target, or raises ValueError."""

    def __init__(
        self, site: Site, prepare: Callable[[Stream], Act], at_once: int = AT_ONCE
    ) -> None:
        self._site = site
        self._prepare = prepare
        self._at_once = at_once
        self._acts: dict[int, Act] = {}
        self._under_way: set[int] = set()
        self._troubled: set[int] = set()

    def add(self, stream: Stream) -> None:
        """Begin to serve `stream`. Raises Unavailable."""
        try:
            self._acts[stream.index] = self._prepare(stream)
        except ValueError as error:
            raise Unavailable(str(error)) from error

    def remove(self, stream: Stream) -> None:
        """Begin no more for `stream`; the attempt under way goes on to its end."""
        del self._acts[stream.index]
        self._troubled.discard(stream.index)

    def send(self, due: Sequence[tuple[Stream, int]]) -> int:
        """Begin these attempts; 0, because nothing is sent in this call."""
        for stream, seq in due:
            self._begin(stream, seq)
        return 0

    def poll(self) -> None:
        """Attempts settle themselves."""

    def close(self) -> None:
        """Attempts let go of their own sockets, also when they are cancelled."""

    def _begin(self, stream: Stream, seq: int) -> None:
        flight = Flight(seq)
        clock = self._site.clock
        flight.boot_ns, flight.wall_ns = clock.boot_ns(), clock.wall_ns()
        busy = stream.index in self._under_way
        if busy or len(self._under_way) >= self._at_once:
            stream.ground(flight, Outcome.NOT_SENT)
            self._note(stream, BUSY if busy else FULL)
            return
        stream.launch(flight)
        self._under_way.add(stream.index)
        target = stream.target
        act = self._acts[stream.index]
        name = f"{target.probe} {target.name} {seq}"
        self._site.spawn(self._run(act, Attempt(self._site, stream, flight)), name)

    async def _run(self, act: Act, attempt: Attempt) -> None:
        try:
            ended = await _bounded(act, attempt)
        except Exception:
            # A bug of ours is not loss on the path.
            settle(attempt, Ended(Outcome.LOCAL_ERROR))
            raise
        finally:
            self._under_way.discard(attempt.stream.index)
        settle(attempt, ended)
        if ended.outcome.local or attempt.stream.index in self._troubled:
            self._note(attempt.stream, ended.trouble)

    def _note(self, stream: Stream, trouble: str | None) -> None:
        if stream.retired:  # nobody would ever take the note back
            return
        if trouble is None:
            self._troubled.discard(stream.index)
        else:
            self._troubled.add(stream.index)
        self._site.note(stream, trouble)


async def _bounded(act: Act, attempt: Attempt) -> Ended:
    try:
        async with asyncio.timeout(attempt.stream.target.timeout_s):
            return await act(attempt)
    except Cut as cut:
        return cut.ended
    except TimeoutError:
        return Ended(attempt.flight.suspect)
    except OSError as error:
        return met(error, attempt.elapsed_ns())


def settle(attempt: Attempt, ended: Ended) -> None:
    """Write down what became of an attempt, unless its fate was settled meanwhile."""
    flight, stream = attempt.flight, attempt.stream
    if flight.outcome is not None:
        if ended.rtt_ns is not None:
            stream.stray()
        return
    if ended.rtt_ns is None:
        flight.outcome = ended.outcome
        return
    stream.last_reply_boot_ns = attempt.began_ns + ended.rtt_ns
    if ended.rtt_ns > int(stream.target.timeout_s * SECOND):
        flight.outcome = Outcome.TIMEOUT
        stream.stray()
        return
    flight.outcome = ended.outcome
    flight.rtt_ns = ended.rtt_ns
    flight.stamp = ended.stamp


def grounded(error: OSError) -> Cut:
    """The end of an attempt of which nothing left this machine."""
    return Cut(Ended(unsent(error), trouble=f"cannot send: {error.strerror or error}"))


def met(error: OSError, elapsed_ns: int) -> Ended:
    """What an error makes of an attempt that had left `elapsed_ns` before."""
    outcome = _MET.get(error.errno or 0, Outcome.LOCAL_ERROR)
    if outcome is Outcome.REFUSED:
        return Ended(outcome, elapsed_ns)
    trouble = f"failed: {error.strerror or error}" if outcome.local else None
    return Ended(outcome, trouble=trouble)


def open_socket(way: Way, kind: socket.SocketKind) -> socket.socket:
    """A socket that does not block and leaves by `way`. Raises Cut."""
    try:
        sock = socket.socket(way.family, kind | socket.SOCK_NONBLOCK)
    except OSError as error:
        raise grounded(error) from error
    try:
        _prepare(sock, way, kind)
    except OSError as error:
        sock.close()
        raise grounded(error) from error
    return sock


def _prepare(sock: socket.socket, way: Way, kind: socket.SocketKind) -> None:
    if way.interface is not None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, way.interface.encode())
    if way.family == socket.AF_INET:
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, way.dscp << 2)
    else:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_TCLASS, way.dscp << 2)
    if kind == socket.SOCK_STREAM:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _ABORT)
    else:
        level, option = _RECVERR[socket.AddressFamily(way.family)]
        sock.setsockopt(level, option, 1)


def start_connect(sock: socket.socket, address: Address) -> None:
    """Send the SYN of a socket that does not block. Raises Cut where nothing left."""
    try:
        sock.connect(address)
    except BlockingIOError:
        pass
    except ConnectionRefusedError:  # this machine itself answers at once
        raise
    except OSError as error:
        raise grounded(error) from error


def end_connect(sock: socket.socket, rtt_ns: int) -> None:
    """What came of the SYN when the socket became writable. Raises Cut."""
    number = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    if number:
        error = OSError(number, os.strerror(number))
        raise Cut(met(error, rtt_ns)) from error


async def connect(sock: socket.socket, address: Address, attempt: Attempt, clock: Clock) -> int:
    """Nanoseconds from the SYN to its answer; the attempt begins here. Raises Cut and OSError."""
    began_ns = attempt.begin()
    start_connect(sock, address)
    rtt_ns = await ready(sock, clock, to_write=True) - began_ns
    end_connect(sock, rtt_ns)
    return rtt_ns


async def ready(sock: socket.socket, clock: Clock, *, to_write: bool = False) -> int:
    """Wait until `sock` can be read or written; when that was, by the boot clock."""
    loop = asyncio.get_running_loop()
    came: asyncio.Future[int] = loop.create_future()

    def stamp() -> None:
        if not came.done():
            came.set_result(clock.boot_ns())

    watch = loop.add_writer if to_write else loop.add_reader
    unwatch = loop.remove_writer if to_write else loop.remove_reader
    watch(sock, stamp)
    try:
        return await came
    finally:
        unwatch(sock)
