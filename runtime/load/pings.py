"""Round trips beside the load: small datagrams of a flow of their own, answered by the hub.

The answer carries when the ping came and when it left, so that the hub's own delays are not in the
round trip: `(t4 - t1) - (t3 - t2)`, t2 and t4 by the kernels' stamps where they are to be had.
"""

import socket
import threading
import time

from runtime.clock import SECOND, Clock
from runtime.load import options
from wire import load
from wire.load import DATAGRAM, PING_BYTES, PONG_TIMES, Kind
from wire.transfer import MAX_SAMPLES

TIMEOUT_NS = 2 * SECOND
_SLICE_S = 0.005


def answer(packet: bytes, came_ns: int, clock: Clock) -> bytes:
    """The PONG to a PING, as long as it was."""
    made = bytearray(packet)
    tag, _, _, _, number, stamp_ns = DATAGRAM.unpack_from(packet)
    DATAGRAM.pack_into(made, 0, tag, Kind.PONG, 0, 0, number, stamp_ns)
    PONG_TIMES.pack_into(made, DATAGRAM.size, came_ns, clock.boot_ns())
    return bytes(made)


class Pinger:
    """Pings in a thread, at fixed moments, from `start` to `stop`."""

    def __init__(self, sock: socket.socket, clock: Clock, tag: bytes, interval_s: float) -> None:
        self._sock, self._clock, self._tag = sock, clock, tag
        self.interval_ns = int(interval_s * SECOND)
        self._sent: dict[int, tuple[int, int, int]] = {}
        """Number: (phase, row, when sent)."""
        self._number = 0
        self._phase, self._begin_ns = 0, 0
        self._columns: list[list[int | None]] = [[], []]
        self._sending = False
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="pings", daemon=True)
        options.stamp_arrivals(sock)
        sock.settimeout(_SLICE_S)

    def start(self) -> None:
        """Begin the idle column."""
        self._begin_ns = self._clock.boot_ns()
        self._sending = True
        self._thread.start()

    def loaded(self, begin_ns: int, interval_s: float) -> None:
        """The load begins: further pings are of the other column, row 0 at `begin_ns`."""
        self.interval_ns = int(interval_s * SECOND)
        self._phase, self._begin_ns = 1, begin_ns

    def stop(self) -> tuple[list[int | None], list[int | None]]:
        """Send no more, wait for what is under way, and return idle and loaded round trips."""
        self._sending = False
        until_ns = self._clock.boot_ns() + TIMEOUT_NS
        while self._sent and self._clock.boot_ns() < until_ns:
            time.sleep(_SLICE_S)
        self._stop.set()
        self._thread.join()
        return self._columns[0], self._columns[1]

    def _run(self) -> None:
        while not self._stop.is_set():
            self._send_due()
            try:
                data, ancillary, _, _ = self._sock.recvmsg(2048, options.ANCILLARY_BYTES)
            except (TimeoutError, BlockingIOError):
                continue
            except OSError:  # an ICMP error: the ping it is about will not be answered
                continue
            self._hear(data, options.arrival_ns(ancillary, self._clock))

    def _send_due(self) -> None:
        now_ns = self._clock.boot_ns()
        phase = self._phase
        row = (now_ns - self._begin_ns) // self.interval_ns
        column = self._columns[phase]
        for number in [n for n, one in self._sent.items() if now_ns - one[2] > TIMEOUT_NS]:
            del self._sent[number]
        if not self._sending or row < len(column) or not 0 <= row < MAX_SAMPLES:
            return
        column.extend([None] * (row + 1 - len(column)))
        self._number += 1
        packet = load.datagram(self._tag, Kind.PING, self._number, 0, PING_BYTES)
        now_ns = self._clock.boot_ns()
        DATAGRAM.pack_into(packet, 0, self._tag, Kind.PING, 0, 0, self._number, now_ns)
        try:
            self._sock.send(packet)
        except OSError:  # no room, no route: a row without an answer
            return
        self._sent[self._number] = (phase, row, now_ns)

    def _hear(self, data: bytes, came_ns: int) -> None:
        if len(data) != PING_BYTES or data[: len(self._tag)] != self._tag:
            return
        _, kind, _, _, number, _ = DATAGRAM.unpack_from(data)
        found = self._sent.pop(number, None) if kind == Kind.PONG else None
        if found is None:
            return
        phase, row, sent_ns = found
        there_ns, back_ns = PONG_TIMES.unpack_from(data, DATAGRAM.size)
        rtt_ns = (came_ns - sent_ns) - max(0, back_ns - there_ns)
        if 0 <= rtt_ns <= TIMEOUT_NS:
            self._columns[phase][row] = rtt_ns
