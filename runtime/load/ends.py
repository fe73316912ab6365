"""The two roles of a test: the source sends and accounts, the sink counts.

Blocking, in the calling thread; the control channel is looked at between packets.
"""

import socket
from collections.abc import Callable, Sequence
from typing import NamedTuple

from runtime.clock import SECOND, Clock
from runtime.load import flows, udp
from runtime.load.channel import Channel
from runtime.load.counting import Bins
from runtime.load.search import REPORT_NS, Search
from wire.load import Counted, LoadError, Order, Report, Sent

_QUIET_NS = 300_000_000
"""After the sender's last word, so long without a packet ends the counting."""
_SETTLE_NS = 2 * SECOND
_OVERDUE_NS = 3 * SECOND
_TOLERANCE = 1.1
_BURST_OCTETS = 256 * 1024


class Exceeded(Exception):
    """The other end sends more than it was granted."""


class Guard:
    """Watches that no second holds more than was granted, and a tenth."""

    def __init__(self, most_bits_per_s: int) -> None:
        self._most = int(most_bits_per_s / 8 * _TOLERANCE) + _BURST_OCTETS
        self._since_ns: int | None = None
        self._octets = 0

    def check(self, octets: int, now_ns: int) -> None:
        """Octets so far. Raises Exceeded."""
        if self._since_ns is None or now_ns - self._since_ns >= SECOND:
            self._since_ns, self._octets = now_ns, octets
        if octets - self._octets > self._most:
            raise Exceeded(f"more than {self._most} octets within a second")


class Test(NamedTuple):
    """What both roles need to know."""

    clock: Clock
    channel: Channel
    order: Order
    most_bits_per_s: int
    watch: Callable[[int, int], None] = lambda _octets, _now_ns: None
    """Told how many octets have come, every so often; may raise."""

    @property
    def duration_ns(self) -> int:
        """Length of the load."""
        return round(sum(step.seconds for step in self.order.steps) * SECOND)


def send_udp(test: Test, sock: socket.socket, shape: udp.Shape) -> Sent:
    """Be the source. Raises OSError, Closed."""
    rate = _searching(test) if test.order.search else udp.steady(test.order.steps)
    made = udp.send(sock, test.clock, shape, _heeding(test, rate))
    return Sent(
        duration_ns=made.duration_ns,
        packets=made.packets,
        unsent=made.unsent,
        offered=made.offered,
    )


def _heeding(test: Test, rate: udp.Rate) -> udp.Rate:
    """No faster than granted, whatever the plan says."""

    def heed(elapsed_ns: int) -> int | None:
        wanted = rate(elapsed_ns)
        return None if wanted is None else min(wanted, test.most_bits_per_s)

    return heed


def _searching(test: Test) -> udp.Rate:
    (step,) = test.order.steps
    search = Search(min(step.bits_per_s, test.most_bits_per_s))
    heard_ns = 0

    def rate(elapsed_ns: int) -> int | None:
        nonlocal heard_ns
        if elapsed_ns >= test.duration_ns:
            return None
        while (message := test.channel.heard()) is not None:
            if not isinstance(message, Report):
                raise LoadError(f"a {type(message).__name__} during the search")
            search.hear(message)
            heard_ns = elapsed_ns
        search.silence(elapsed_ns - heard_ns)
        return search.rate()

    return rate


def count_udp(test: Test, sock: socket.socket, shape: udp.Shape) -> tuple[Counted, Sent, int]:
    """Be the sink: what was counted, what the source says it sent, and when the first came.

    Raises Closed, Rejected, LoadError, and what `watch` raises.
    """
    receiver = udp.Receiver(sock, test.clock, shape, test.duration_ns)
    arrivals = receiver.arrivals
    sent, begin_ns = _count(test, receiver)
    arrivals.finish(sent.packets)
    counted = Counted(
        bin_ns=arrivals.bins.width_ns,
        octets=arrivals.bins.octets,
        packets=arrivals.packets,
        lost=arrivals.lost,
        reordered=arrivals.reordered,
        duplicated=arrivals.duplicated,
        late=arrivals.late,
        dropped=receiver.dropped(),
        delay_us=arrivals.delay_us,
        delay_interval_ns=arrivals.delay_interval_ns,
        headers=(shape.ip_bytes, udp.UDP_BYTES, shape.packet_bytes),
    )
    return counted, sent, arrivals.bins.begin_ns or begin_ns


def _count(test: Test, receiver: udp.Receiver) -> tuple[Sent, int]:
    clock, arrivals = test.clock, receiver.arrivals
    begin_ns = reported_ns = quiet_ns = clock.boot_ns()
    sent: Sent | None = None
    sent_ns, number = 0, 0
    while True:
        receiver.wait()
        came = receiver.drain()
        now_ns = clock.boot_ns()
        test.watch(arrivals.all_octets, now_ns)
        if came:
            quiet_ns = now_ns
        if sent is None:
            sent = _account(test)
            sent_ns = quiet_ns = now_ns
            if now_ns - begin_ns > test.duration_ns + _OVERDUE_NS + _SETTLE_NS:
                raise LoadError("the sender does not end")
        elif now_ns - quiet_ns > _QUIET_NS or now_ns - sent_ns > _SETTLE_NS:
            return sent, begin_ns
        if test.order.search and sent is None and now_ns - reported_ns >= REPORT_NS:
            tally, number, reported_ns = arrivals.report(), number + 1, now_ns
            test.channel.say(
                Report(
                    number=number,
                    errors=tally.errors,
                    delay_range_us=tally.delay_range_us,
                    octets=tally.octets,
                )
            )


def _account(test: Test) -> Sent | None:
    message = test.channel.heard()
    if message is None or isinstance(message, Sent):
        return message
    raise LoadError(f"a {type(message).__name__} where the sender's account belongs")


def send_tcp(test: Test, socks: Sequence[socket.socket]) -> Sent:
    """Be the source of all flows."""
    most = min(test.most_bits_per_s, max(step.bits_per_s for step in test.order.steps))
    made = flows.push(socks, test.clock, test.duration_ns, most // 8)
    return Sent(duration_ns=made.duration_ns, flows=made.flows)


def count_tcp(test: Test, socks: Sequence[socket.socket]) -> tuple[Counted, int]:
    """Be the sink of all flows: what was counted, and when the first octet came."""

    def watch(bins: Bins, now_ns: int) -> bool:
        test.watch(sum(bins.octets), now_ns)
        return True

    begin_ns = test.clock.boot_ns()
    made = flows.pull(socks, test.clock, test.duration_ns, watch)
    counted = Counted(
        bin_ns=made.bins.width_ns,
        octets=made.bins.octets,
        flows=made.flows,
        headers=(made.ip_bytes, made.transport_bytes, max(1, made.packet_bytes)),
    )
    return counted, made.bins.begin_ns or begin_ns
