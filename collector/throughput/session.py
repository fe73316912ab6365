"""One slot being used: the hub's side of one test, in a thread of its own."""

import queue
import select
import socket
from collections.abc import Callable
from enum import StrEnum

from runtime.clock import SECOND, Clock
from runtime.load import ends, host, options, udp
from runtime.load.channel import Channel, Closed, Rejected
from runtime.load.ends import Exceeded, Guard
from wire import load
from wire.load import (
    DATA_FLOW,
    DATAGRAM,
    Counted,
    Done,
    Go,
    Kind,
    LoadError,
    Order,
    Ready,
    Refused,
    Sent,
)
from wire.slot import Direction, Grant, Method
from wire.transfer import HubLoad

GO_WITHIN_S = 20.0
"""From the first frame to the load: flows, search for the packet size, round trips without load."""
SETTLE_S = 10.0
"""After the load: the last packets, and both accounts."""


class End(StrEnum):
    """How a slot ended, as the hub saw it."""

    DONE = "done"
    UNUSED = "unused"
    """nobody came in time"""
    REFUSED = "refused"
    """the agent asked for more than its grant"""
    EXCEEDED = "exceeded"
    """more came than was granted"""
    BROKEN = "broken"
    """the connection broke, or the agent said what makes no sense"""
    FORGOTTEN = "forgotten"
    """`forget` was called"""
    FAILED = "failed"
    """this machine failed"""


class Session:
    """What is known of it; the porter adds the agent's flows as they knock."""

    def __init__(
        self,
        channel: Channel,
        grant: Grant,
        clock: Clock,
        progress: Callable[[str, int], None],
    ) -> None:
        self.grant, self.channel = grant, channel
        self._clock, self._progress = clock, progress
        self.key = channel.key
        self.tag = load.mac(channel.key, b"tag")[:8]
        self.peer = channel.sock.getpeername()[0]
        self.local = channel.sock.getsockname()[0]
        self.family = channel.sock.family
        self.deadline_ns = clock.boot_ns() + int(
            (GO_WITHIN_S + grant.duration_s + SETTLE_S) * SECOND
        )
        self.bound: dict[int, tuple[str, int]] = {}
        """Whose the flows are, by their number."""
        self.taken: set[int] = set()
        """TCP flows that have come."""
        self._incoming: queue.SimpleQueue[tuple[int, socket.socket]] = queue.SimpleQueue()
        self._socks: dict[int, socket.socket] = {}
        self.octets = 0
        self._closed = False
        self._told_ns = 0
        self.slots = 1

    def add(self, number: int, sock: socket.socket) -> None:
        """A flow has knocked and is proven."""
        self._incoming.put((number, sock))
        if self._closed:
            self._collect()
            options.abort(sock)

    def run(self) -> tuple[End, str, HubLoad | None]:
        """Serve the slot to its end."""
        try:
            return self._serve()
        except Exceeded as error:
            self._refuse(str(error))
            return End.EXCEEDED, str(error), None
        except _Refusal as error:
            self._refuse(str(error))
            return End.REFUSED, str(error), None
        except (ConnectionError, Rejected, LoadError) as error:
            return End.BROKEN, str(error), None
        except OSError as error:
            return End.FAILED, str(error), None
        finally:
            self.close()

    def close(self) -> None:
        """Let go of everything, whatever is under way."""
        self._closed = True
        self.channel.close()
        self._collect()
        for sock in self._socks.values():
            options.abort(sock)

    def cut(self) -> None:
        """End it from another thread: every call on its sockets fails from now on."""
        for sock in (self.channel.sock, *self._socks.values()):
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue

    def _serve(self) -> tuple[End, str, HubLoad | None]:
        order = self.channel.hear()
        if not isinstance(order, Order):
            raise LoadError(f"a {type(order).__name__} where an Order belongs")
        self._agree(order)
        self.channel.say(Ready(tag=self.tag.hex()))
        packet_bytes = self._await_go(order)
        name = host.interface_to(self.family, self.peer)
        before, begin_ns = host.busy(name), self._clock.boot_ns()
        self.channel.say(Go(packet_bytes=packet_bytes))
        counted, sent = self._load(order, packet_bytes)
        hub = self._hub_load(name, before, self._clock.boot_ns() - begin_ns)
        if sent is not None:
            self.channel.say(sent)
        if counted is not None:
            self.channel.say(counted)
        self.channel.say(Done(hub=hub))
        self.channel.finish()
        return End.DONE, "", hub

    def _agree(self, order: Order) -> None:
        grant = self.grant
        seconds = sum(step.seconds for step in order.steps)
        for wrong, what in (
            (order.method is not grant.method, "method"),
            (order.direction is not grant.direction, "direction"),
            (order.flows > grant.flows, "flows"),
            (seconds > grant.duration_s, "duration"),
            (order.method not in (Method.UDP, Method.TCP), "method"),
            (
                any(step.bits_per_s > grant.most_bits_per_s for step in order.steps),
                "rate",
            ),
        ):
            if wrong:
                raise _Refusal(f"{what} is not as granted")

    def _collect(self) -> None:
        while True:
            try:
                number, sock = self._incoming.get_nowait()
            except queue.Empty:
                return
            self._socks[number] = sock

    def _await_go(self, order: Order) -> int:
        """Answer further KNOCKs of the data flow until the agent says go; the packets' length."""
        until_ns = self._clock.boot_ns() + int(GO_WITHIN_S * SECOND)
        go: Go | None = None
        wanted = 1 if order.method is Method.UDP else order.flows
        while self._clock.boot_ns() < until_ns:
            self._collect()
            data = self._socks.get(DATA_FLOW) if order.method is Method.UDP else None
            if data is not None:
                self._answer_knocks(data)
            message = self.channel.heard() if go is None else None
            if message is not None and not isinstance(message, Go):
                raise LoadError(f"a {type(message).__name__} where Go belongs")
            go = go or message
            if go is not None and len(self._socks) >= wanted:
                return go.packet_bytes
            poll = select.poll()
            poll.register(self.channel.sock, select.POLLIN if go is None else 0)
            if data is not None:
                poll.register(data, select.POLLIN)
            poll.poll(50)
        raise LoadError("the agent never said go")

    def _answer_knocks(self, sock: socket.socket) -> None:
        while True:
            try:
                packet = sock.recv(65_536)
            except OSError:
                return
            if load.proven(packet, self.key) and DATAGRAM.unpack_from(packet)[1] == Kind.KNOCK:
                sock.send(knocked(packet, self.key))

    def _load(self, order: Order, packet_bytes: int) -> tuple[Counted | None, Sent | None]:
        guard = Guard(self.grant.most_bits_per_s)

        def watch(octets: int, now_ns: int) -> None:
            guard.check(octets, now_ns)
            self._tell(octets, now_ns)

        test = ends.Test(self._clock, self.channel, order, self.grant.most_bits_per_s, watch)
        shape = udp.Shape(self.tag, packet_bytes, 20 if self.family == socket.AF_INET else 40)
        if order.method is Method.UDP:
            sock = self._socks[DATA_FLOW]
            if order.direction is Direction.UP:
                udp.prepare(sock)
                counted, _, _ = ends.count_udp(test, sock, shape)
                return counted, None
            options.unfragmented(sock)
            sent = ends.send_udp(test, sock, shape)
            self.octets = (sent.packets or 0) * packet_bytes
            return None, sent
        socks = [self._socks[k] for k in sorted(self._socks)]
        if order.direction is Direction.UP:
            counted, _ = ends.count_tcp(test, socks)
            return counted, None
        sent = ends.send_tcp(test, socks)
        for sock in socks:
            options.abort(sock)
        self.octets = sum(flow.bytes_sent or 0 for flow in sent.flows)
        return None, sent

    def _tell(self, octets: int, now_ns: int) -> None:
        self.octets = octets
        if now_ns - self._told_ns >= SECOND:
            self._told_ns = now_ns
            self._progress(self.grant.slot_id, octets)

    def _hub_load(self, name: str, before: host.Busy, elapsed_ns: int) -> HubLoad:
        after = host.busy(name)
        octets = max(after.received - before.received, after.sent - before.sent)
        return HubLoad(
            cpu_ratio=host.cpu_ratio(before, after),
            nic_bits_per_s=octets * 8 * SECOND // elapsed_ns if name and elapsed_ns else None,
            nic_speed_mbps=host.nic(name).speed_mbps,
            slots=self.slots,
        )

    def _refuse(self, reason: str) -> None:
        try:
            self.channel.say(Refused(reason=reason[:256]))
        except Closed:
            return


class _Refusal(Exception):
    """The order is not within the grant."""


def knocked(packet: bytes, key: bytes) -> bytes:
    """The answer to a proven KNOCK: as long as it was, and proven itself."""
    tag, _, _, _, number, stamp_ns = DATAGRAM.unpack_from(packet)
    made = load.datagram(tag, Kind.KNOCKED, number, stamp_ns, len(packet))
    return bytes(load.prove(made, key))
