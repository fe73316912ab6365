"""TCP load: several flows in one thread, by readiness.

The sender stops at its time and resets the connections: what lies in its buffers would arrive after
the test and is in nobody's way then.
"""

import contextlib
import selectors
import socket
from collections.abc import Callable, Sequence
from typing import NamedTuple

from runtime.clock import SECOND, Clock
from runtime.load import options, tcp_info
from runtime.load.counting import Bins
from wire.transfer import BIN_NS, MAX_SAMPLES, Flow

_PIECE = 256 * 1024
_WAIT_S = 0.02
_SETTLE_NS = BIN_NS // 10


class Pushed(NamedTuple):
    """What the sender did."""

    begin_ns: int
    duration_ns: int
    flows: tuple[Flow, ...]


def push(
    socks: Sequence[socket.socket], clock: Clock, duration_ns: int, bytes_per_s: int
) -> Pushed:
    """Send as fast as the flows go, all together no faster than `bytes_per_s`."""
    for sock in socks:
        sock.setblocking(False)
        options.pace(sock, max(1, bytes_per_s // len(socks)))
    piece = memoryview(options.noise(_PIECE))
    samples: list[list[int | None]] = [[] for _ in socks]
    every_ns = max(BIN_NS, duration_ns // (MAX_SAMPLES // len(socks) - 1))
    begin_ns = clock.boot_ns()
    sampled_ns = begin_ns
    with selectors.DefaultSelector() as ready:
        for sock in socks:
            ready.register(sock, selectors.EVENT_WRITE)
        while (now_ns := clock.boot_ns()) < begin_ns + duration_ns and ready.get_map():
            if now_ns - sampled_ns >= every_ns:
                sampled_ns += every_ns * ((now_ns - sampled_ns) // every_ns)
                for sock, column in zip(socks, samples, strict=True):
                    column.append(_rtt(sock))
            for key, _ in ready.select(_WAIT_S):
                try:
                    key.fileobj.send(piece)  # type: ignore[union-attr]
                except BlockingIOError:
                    continue
                except OSError:
                    ready.unregister(key.fileobj)
    duration_ns = clock.boot_ns() - begin_ns
    facts = tuple(_facts(sock, column) for sock, column in zip(socks, samples, strict=True))
    return Pushed(begin_ns, duration_ns, facts)


def _rtt(sock: socket.socket) -> int | None:
    with contextlib.suppress(OSError):
        return tcp_info.rtt_ns(tcp_info.read(sock))
    return None


def _facts(sock: socket.socket, samples: list[int | None]) -> Flow:
    try:
        return tcp_info.sender_facts(tcp_info.read(sock), tcp_info.congestion(sock), samples)
    except OSError:
        return Flow(rtt_ns=samples)


class Pulled(NamedTuple):
    """What the receiver counted."""

    bins: Bins
    flows: tuple[Flow, ...]
    ip_bytes: int
    transport_bytes: int
    packet_bytes: int


class _Incoming:
    """One flow at the receiver.

    What the program reads comes in order: a lost segment holds back all behind it. The kernel's
    count of data segments knows what has arrived, so it is what fills the bins, as full packets:
    load consists of nothing else.
    """

    def __init__(self, sock: socket.socket, now_ns: int) -> None:
        self.sock = sock
        self.octets = 0
        self.segments = 0
        self.header = options.ip_header(sock) + 20
        self.mss = 0
        self.since_ns = now_ns
        self._settled = 0

    def read(self, buffer: bytearray, bins: Bins, now_ns: int) -> bool:
        """Take what has come; False where the flow has ended. Raises OSError."""
        length = self.sock.recv_into(buffer)
        if not length:
            return False
        self.octets += length
        if now_ns - self.since_ns >= _SETTLE_NS:
            self.settle(bins, now_ns)
        return True

    def settle(self, bins: Bins, now_ns: int) -> None:
        """Put what came since the last time into the bins, headers included."""
        came = self._came()
        bins.spread(self.since_ns, now_ns, came)
        self.since_ns = now_ns

    def _came(self) -> int:
        payload, self._settled = self.octets - self._settled, self.octets
        try:
            info = tcp_info.read(self.sock)
        except OSError:  # closed: what was read since is all that is known
            return payload
        self.header = options.ip_header(self.sock) + info.header_bytes
        self.mss = max(self.mss, info.rcv_mss or 0)
        if info.segments_in is None:
            return payload
        segments, self.segments = info.segments_in - self.segments, info.segments_in
        return segments * (self.header + self.mss)


def pull(
    socks: Sequence[socket.socket],
    clock: Clock,
    duration_ns: int,
    watch: Callable[[Bins, int], bool] = lambda _bins, _now: True,
) -> Pulled:
    """Receive until all flows have ended, their time is long over, or `watch` says no more."""
    bins = Bins(duration_ns)
    buffer = bytearray(_PIECE)
    now_ns = clock.boot_ns()
    until_ns = now_ns + duration_ns + 3 * SECOND
    with selectors.DefaultSelector() as ready:
        incoming = []
        for sock in socks:
            sock.setblocking(False)
            incoming.append(_Incoming(sock, now_ns))
            ready.register(sock, selectors.EVENT_READ, incoming[-1])
        while ready.get_map() and now_ns < until_ns and watch(bins, now_ns):
            found = ready.select(_WAIT_S)
            now_ns = clock.boot_ns()
            for key, _ in found:
                if bins.begin_ns is None:
                    bins.at(now_ns)
                    for one in incoming:
                        one.since_ns = now_ns
                try:
                    alive = key.data.read(buffer, bins, now_ns)
                except BlockingIOError:
                    continue
                except OSError:
                    alive = False
                if not alive:
                    ready.unregister(key.fileobj)
    for one in incoming:
        one.settle(bins, clock.boot_ns())
    flows = tuple(tcp_info.both_ends(None, one.octets, one.segments or None) for one in incoming)
    first = incoming[0]
    ip_bytes = options.ip_header(first.sock)
    transport = first.header - ip_bytes
    return Pulled(bins, flows, ip_bytes, transport, first.header + first.mss)
