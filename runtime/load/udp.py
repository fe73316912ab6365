"""UDP load: paced sending, and receiving with the kernel's arrival stamps.

A sender keeps a schedule: what is due by now is sent, about a millisecond's
worth in a burst. What it was kept from sending for longer than 50 ms it leaves unsent and says so:
a burst to catch up with would be another test than the one that was asked for.
"""

import errno
import select
import socket
import time
from collections.abc import Callable, Iterator
from struct import Struct
from typing import NamedTuple

from runtime.clock import SECOND, Clock
from runtime.load import options
from runtime.load.counting import Arrivals
from wire.load import DATAGRAM, HEAD, Kind, Step
from wire.transfer import MAX_STEPS, Offer

_TICK_NS = 1_000_000
_NAP_NS = 10_000_000
"""Longest sleep: the rate may change."""
_FORGIVEN_NS = 50_000_000
_IDLE_POLL_MS = 20
_READ_BYTES = 65_536
_ROOMY_BYTES = 16 << 20
_MOST_READS, _FEW_READS = 256, 32
_GATHER_S = 0.003
"""At 10 Gbit/s 4 MB come in this time, and as much again of the kernel's own."""
_NO_ROOM = frozenset({errno.ENOBUFS, errno.EAGAIN})
_NO_SEGMENTS = frozenset({errno.EIO, errno.EINVAL, errno.EMSGSIZE, errno.EOPNOTSUPP})
UDP_BYTES = 8


class Shape(NamedTuple):
    """What the packets of a flow look like."""

    tag: bytes
    packet_bytes: int
    """IP packet."""
    ip_bytes: int
    """IP header."""

    @property
    def payload_bytes(self) -> int:
        """UDP payload."""
        return self.packet_bytes - self.ip_bytes - UDP_BYTES


class Load(NamedTuple):
    """What was sent."""

    begin_ns: int
    duration_ns: int
    packets: int
    unsent: int
    offered: tuple[Offer, ...]


Rate = Callable[[int], int | None]
"""Bits per second to offer at this time since the beginning; None: it is over."""


def steady(steps: tuple[Step, ...]) -> Rate:
    """The rates of a plan, one after the other."""
    edges: list[tuple[int, int]] = []
    end_ns = 0
    for step in steps:
        end_ns += round(step.seconds * SECOND)
        edges.append((end_ns, step.bits_per_s))

    def rate(elapsed_ns: int) -> int | None:
        return next((bits for end, bits in edges if elapsed_ns < end), None)

    return rate


class _Burst:
    """Full packets ready to be numbered and sent."""

    def __init__(self, sock: socket.socket, shape: Shape) -> None:
        self._sock = sock
        size = self._size = shape.payload_bytes
        self._segments = options.segment(sock, size)
        self.most = min(options.SEGMENTS, 65_000 // size)
        self._buffer = options.noise(size * self.most)
        self._view = memoryview(self._buffer)
        for k in range(self.most):
            DATAGRAM.pack_into(self._buffer, k * size, shape.tag, Kind.LOAD, 0, 0, 0, 0)
        self._numbers = Struct(">BBHQQ")
        self._at = len(shape.tag)

    def send(self, number: int, count: int, now_ns: int) -> int:
        """Send so many packets from `number` on; returns how many left. Raises OSError."""
        pack, size, at = self._numbers.pack_into, self._size, self._at
        for k in range(count):
            flags = 0 if k else HEAD
            pack(self._buffer, k * size + at, Kind.LOAD, flags, 0, number + k, now_ns)
        if self._segments:
            try:
                self._sock.send(self._view[: count * size])
            except OSError as error:
                if error.errno in _NO_ROOM:
                    return 0
                if error.errno not in _NO_SEGMENTS:
                    raise
                # A device without checksum offload: the kernel cannot cut for it.
                self._segments = False
                options.segment(self._sock, 0)
            else:
                return count
        return self._one_by_one(count)

    def _one_by_one(self, count: int) -> int:
        size = self._size
        for k in range(count):
            try:
                self._sock.send(self._view[k * size : (k + 1) * size])
            except OSError as error:
                if error.errno in _NO_ROOM:
                    return k
                raise
        return count


def send(sock: socket.socket, clock: Clock, shape: Shape, rate: Rate) -> Load:
    """Send at `rate` until it says that it is over. Raises OSError where the socket failed."""
    sock.setblocking(False)
    burst = _Burst(sock, shape)
    whole = shape.packet_bytes * 8 * SECOND
    begin_ns = last_ns = clock.boot_ns()
    number = unsent = 0
    credit = whole  # in bits times nanoseconds; the first packet leaves at once
    offered: list[Offer] = []
    while True:
        now_ns = clock.boot_ns()
        wanted = rate(now_ns - begin_ns)
        if wanted is None:
            break
        if (not offered or wanted != offered[-1].bits_per_s) and len(offered) < MAX_STEPS:
            offered.append(Offer(now_ns - begin_ns, wanted))
        credit += (now_ns - last_ns) * wanted
        last_ns = now_ns
        late = (credit - _FORGIVEN_NS * wanted) // whole - 1
        if late > 0:
            unsent, credit = unsent + late, credit - late * whole
        due = credit // whole
        if due < 1:
            next_ns = (whole - credit) // wanted
            time.sleep(min(_NAP_NS, max(next_ns, min(_TICK_NS, 8 * next_ns))) / SECOND)
            continue
        left = burst.send(number, min(due, burst.most), now_ns)
        number, credit = number + left, credit - left * whole
        if not left:
            time.sleep(_TICK_NS / SECOND)
    return Load(begin_ns, clock.boot_ns() - begin_ns, number, unsent, tuple(offered))


def prepare(sock: socket.socket) -> None:
    """A receiving socket: room, stamps, several datagrams at once."""
    options.roomy(sock)
    options.stamp_arrivals(sock)
    options.gather(sock)
    sock.setblocking(False)


class Receiver:
    """One flow's packets as they come."""

    def __init__(self, sock: socket.socket, clock: Clock, shape: Shape, duration_ns: int) -> None:
        self._sock, self._clock, self._shape = sock, clock, shape
        self.arrivals = Arrivals(duration_ns, shape.packet_bytes)
        self._buffer = bytearray(_READ_BYTES)
        self._view = memoryview(self._buffer)
        size = shape.payload_bytes
        head = DATAGRAM.size
        self._rows = Struct(f">{len(shape.tag)}xBBHQQ{size - head}x")
        self._poll = select.poll()
        self._poll.register(sock, select.POLLIN)
        self._dropped = options.dropped(sock)
        room = sock.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)
        self._roomy = room >= _ROOMY_BYTES
        self._reads = 0

    def wait(self) -> None:
        """Until something came, or 20 ms; and a little longer where there is room for more.

        The kernel's stamps say when each packet came: that it is read later moves nothing.
        """
        if self._poll.poll(_IDLE_POLL_MS) and self._roomy and self._reads < _FEW_READS:
            time.sleep(_GATHER_S)

    def drain(self) -> int:
        """Take what has come; returns how many reads brought something. Raises OSError."""
        self._reads = self._drain(_MOST_READS)
        return self._reads

    def _drain(self, most: int) -> int:
        size = self._shape.payload_bytes
        for k in range(most):
            try:
                length, ancillary, _, _ = self._sock.recvmsg_into(
                    [self._buffer], options.ANCILLARY_BYTES
                )
            except BlockingIOError:
                return k
            except ConnectionRefusedError:  # an ICMP error of an earlier moment
                continue
            whole = length - length % size
            if not whole or self._view[: len(self._shape.tag)] != self._shape.tag:
                continue
            rows = [row for row in self._parse(whole) if row[0] == Kind.LOAD]
            if rows:
                self.arrivals.take(rows, options.arrival_ns(ancillary, self._clock))
        return most

    def _parse(self, whole: int) -> Iterator[tuple[int, ...]]:
        return self._rows.iter_unpack(self._view[:whole])

    def dropped(self) -> int | None:
        """Packets that this machine had no room for."""
        now = options.dropped(self._sock)
        return None if now is None or self._dropped is None else now - self._dropped
