"""A test by UDP or TCP against the hub's throughput port: the agent's side, blocking."""

import contextlib
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

from agent.throughput import requests
from agent.throughput.job import Job, Stage
from runtime.clock import SECOND, Clock
from runtime.load import channel as control
from runtime.load import ends, host, options, pings, tcp_info, udp
from runtime.load.channel import Channel, Closed
from wire import load
from wire.load import (
    DATA_FLOW,
    PING_FLOW,
    Counted,
    Done,
    Go,
    Kind,
    Knock,
    LoadError,
    Order,
    Ready,
    Report,
    Sent,
)
from wire.slot import Direction, Method
from wire.transfer import BIN_NS, MAX_SAMPLES, Flow, HubLoad

_SMALL = 128
"""UDP payload of the ping flow's KNOCK."""
_TRIES = 5
_TRY_S = 1.0
_SIZES = (1400, 1280, 1024, 576)
"""IP packets to try when longer ones do not pass."""
_LEAST6 = 1280
_DONE_S = 15.0
_CONNECT_S = 2.0
_BESIDE_RATIO = 0.001
"""Of the load's rate, for pings and for handshakes each: what a measurement may take of itself."""
_PING_BITS, _SHAKE_BITS = 8 * 92, 8 * 2 * 60


class Measured(NamedTuple):
    """What came of it."""

    begin_ns: int
    duration_ns: int
    counted: Counted
    sent: Sent
    rtt_idle_ns: list[int | None]
    rtt_load_ns: list[int | None]
    rtt_interval_ns: int
    connect_ns: list[int | None]
    tls_ns: list[int | None]
    http_ns: list[int | None]
    flows: tuple[Flow, ...]
    hub: HubLoad
    box_cpu_ratio: float | None


@dataclass
class _Way:
    """Where the hub is."""

    family: socket.AddressFamily
    address: tuple[Any, ...]
    interface: str | None

    def open(self, kind: socket.SocketKind) -> socket.socket:
        """A socket that leaves the right way. Raises OSError."""
        sock = socket.socket(self.family, kind)
        try:
            if self.interface is not None:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, self.interface.encode())
            if kind is socket.SOCK_DGRAM:
                options.unfragmented(sock)
                sock.connect(self.address)
        except OSError:
            sock.close()
            raise
        return sock

    def connect(
        self, within_s: float = control.HANDSHAKE_S, packet_bytes: int | None = None
    ) -> socket.socket:
        """A TCP connection, of packets no longer than this. Raises OSError."""
        sock = self.open(socket.SOCK_STREAM)
        try:
            if packet_bytes is not None:
                most = packet_bytes - options.ip_header(sock) - 20
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, most)
            sock.settimeout(within_s)
            sock.connect(self.address)
        except OSError:
            sock.close()
            raise
        return sock


def way_to(address: str, port: int, interface: str | None) -> _Way:
    """Raises OSError where this is no literal address."""
    found = socket.getaddrinfo(address, port, type=socket.SOCK_DGRAM, flags=socket.AI_NUMERICHOST)
    return _Way(found[0][0], found[0][4], interface)


class _Handshakes:
    """TCP handshakes beside the load: what a new connection of a user would wait."""

    def __init__(self, way: _Way, clock: Clock, interval_s: float) -> None:
        self._way, self._clock = way, clock
        self._interval_s = interval_s
        self.rtt_ns: list[int | None] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="handshakes", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> list[int | None]:
        self._stop.set()
        self._thread.join()
        return self.rtt_ns

    def _run(self) -> None:
        while not self._stop.wait(self._interval_s) and len(self.rtt_ns) < MAX_SAMPLES:
            try:
                sock = self._way.connect(_CONNECT_S)
            except OSError:
                self.rtt_ns.append(None)
                continue
            # What the SYN took, without this process's own delays; a lost SYN has no such sample.
            with contextlib.suppress(OSError):
                self.rtt_ns.append(tcp_info.rtt_ns(tcp_info.read(sock)))
            options.abort(sock)


class SlotTest:
    """One test, from the first frame to the last."""

    def __init__(self, job: Job, clock: Clock, stage: Callable[[Stage], None]) -> None:
        self._job, self._grant, self._plan = job, job.grant, job.plan
        self._clock, self._stage = clock, stage
        self._way = way_to(job.grant.address, job.grant.port, job.interface)
        self._open: list[socket.socket] = []
        self._tag = b""

    def run(self) -> Measured:
        """Make the test. Raises Closed, Rejected, LoadError, OSError."""
        sock = self._way.connect()
        self._open.append(sock)
        try:
            return self._run(control.join(sock, self._clock, self._grant))
        finally:
            for one in self._open:
                options.abort(one)

    def _run(self, channel: Channel) -> Measured:
        grant, plan = self._grant, self._plan
        order = Order(
            method=grant.method,
            direction=grant.direction,
            flows=grant.flows,
            packet_bytes=plan.packet_bytes,
            steps=plan.steps,
            search=plan.search,
        )
        channel.say(order)
        ready = channel.hear()
        if not isinstance(ready, Ready):
            raise LoadError(f"a {type(ready).__name__} where Ready belongs")
        self._tag = bytes.fromhex(ready.tag)
        test = ends.Test(self._clock, channel, order, grant.most_bits_per_s)
        ping_sock = self._udp()
        rtt_ns = self._knock(ping_sock, PING_FLOW, _SMALL, channel.key)
        pinger = pings.Pinger(ping_sock, self._clock, self._tag, plan.ping_interval_s)
        packet_bytes, socks = self._flows(channel, order, rtt_ns)
        pinger.start()
        threading.Event().wait(plan.idle_s)
        channel.say(Go(packet_bytes=packet_bytes))
        go = channel.hear(within_s=_DONE_S)
        if not isinstance(go, Go):
            raise LoadError(f"a {type(go).__name__} where Go belongs")
        return self._load(test, pinger, packet_bytes, socks)

    def _udp(self) -> socket.socket:
        sock = self._way.open(socket.SOCK_DGRAM)
        self._open.append(sock)
        return sock

    def _knock(self, sock: socket.socket, number: int, length: int, key: bytes) -> int:
        """Knock until the hub answers; the last round trip. Raises Closed, OSError."""
        sock.settimeout(_TRY_S)
        for _ in range(_TRIES):
            sent_ns = self._clock.boot_ns()
            packet = load.datagram(self._tag, Kind.KNOCK, number, sent_ns, length)
            sock.send(load.prove(packet, key))
            if self._knocked(sock, length, key):
                return self._clock.boot_ns() - sent_ns
        raise Closed("no answer over UDP: is its port open on the way?")

    def _knocked(self, sock: socket.socket, length: int, key: bytes) -> bool:
        try:
            answer = sock.recv(65_536)
        except (TimeoutError, ConnectionRefusedError):
            return False
        return len(answer) == length and load.proven(answer, key)

    def _flows(
        self, channel: Channel, order: Order, rtt_ns: int
    ) -> tuple[int, list[socket.socket]]:
        """Open the flows of the load; the length of packets that pass both ways."""
        if order.method is Method.TCP:
            return order.packet_bytes, [self._tcp(channel, k) for k in range(order.flows)]
        sock = self._udp()
        headers = options.ip_header(sock) + udp.UDP_BYTES
        most = min(order.packet_bytes, options.route_mtu(sock))
        least = _LEAST6 if self._way.family == socket.AF_INET6 else 0
        for size in (most, *(one for one in _SIZES if least <= one < most)):
            wait_s = 0.3 + 3 * rtt_ns / SECOND
            if self._passes(sock, size - headers, channel.key, wait_s):
                return size, [sock]
        raise Closed("no packet of the load passes")

    def _passes(self, sock: socket.socket, length: int, key: bytes, wait_s: float) -> bool:
        sock.settimeout(wait_s)
        for _ in range(3):
            packet = load.datagram(self._tag, Kind.KNOCK, DATA_FLOW, self._clock.boot_ns(), length)
            try:
                sock.send(load.prove(packet, key))
            except OSError:  # longer than the interface takes
                return False
            if self._knocked(sock, length, key):
                return True
        return False

    def _tcp(self, channel: Channel, flow: int) -> socket.socket:
        sock = self._way.connect(packet_bytes=self._plan.packet_bytes)
        self._open.append(sock)
        knock = Knock(
            version=load.VERSION, slot_id=self._grant.slot_id, nonce=control.nonce(), flow=flow
        )
        sock.sendall(load.knock_frame(knock, load.flow_key(channel.key)))
        return sock

    def _interval_s(self, bits: int, least_s: float) -> float:
        """Between what is sent beside the load: it must not take the load's own room."""
        plan = self._plan
        rate = plan.cir_bits_per_s or plan.most_bits_per_s
        return max(least_s, bits / (_BESIDE_RATIO * rate), plan.seconds / (MAX_SAMPLES - 1))

    def _load(
        self,
        test: ends.Test,
        pinger: pings.Pinger,
        packet_bytes: int,
        socks: list[socket.socket],
    ) -> Measured:
        name = host.interface_to(self._way.family, self._grant.address)
        before = host.busy(name)
        shakes = _Handshakes(self._way, self._clock, self._interval_s(_SHAKE_BITS, BIN_NS / SECOND))
        tcp = test.order.method is Method.TCP
        asked = requests.beside(self._job, self._clock) if tcp else None
        begin_ns = self._clock.boot_ns()
        pinger.loaded(begin_ns, self._interval_s(_PING_BITS, self._plan.ping_interval_s))
        if tcp:
            shakes.start()
        if asked is not None:
            asked.start()
        self._stage(Stage.LOADING)
        made = _Loaded(test, self._tag, packet_bytes, socks)
        try:
            if test.order.direction is Direction.DOWN:
                counted, sent, begin_ns = made.down()
            else:
                sent = made.up()
                counted = None
        finally:
            self._stage(Stage.ENDING)
            if tcp:
                shakes.stop()
            if asked is not None:
                asked.stop()
            idle, loaded = pinger.stop()
        after = host.busy(name)
        if counted is None:
            counted = made.account(Counted)
        hub = made.account(Done).hub
        return Measured(
            begin_ns=begin_ns,
            duration_ns=sent.duration_ns,
            counted=counted,
            sent=sent,
            rtt_idle_ns=idle,
            rtt_load_ns=loaded[: -(-sent.duration_ns // pinger.interval_ns)],
            rtt_interval_ns=pinger.interval_ns,
            connect_ns=shakes.rtt_ns,
            tls_ns=[] if asked is None else asked.tls_ns,
            http_ns=[] if asked is None else asked.http_ns,
            flows=_joined(sent.flows, counted.flows),
            hub=hub,
            box_cpu_ratio=host.cpu_ratio(before, after),
        )


class _Loaded:
    """The load itself."""

    def __init__(
        self, test: ends.Test, tag: bytes, packet_bytes: int, socks: list[socket.socket]
    ) -> None:
        self._test, self._socks = test, socks
        self._udp = test.order.method is Method.UDP
        self._shape = udp.Shape(tag, packet_bytes, options.ip_header(socks[0]))

    def down(self) -> tuple[Counted, Sent, int]:
        """Receive; the hub's account comes with it."""
        if self._udp:
            udp.prepare(self._socks[0])
            return ends.count_udp(self._test, self._socks[0], self._shape)
        counted, begin_ns = ends.count_tcp(self._test, self._socks)
        return counted, self.account(Sent), begin_ns

    def up(self) -> Sent:
        """Send, and tell the hub what was sent."""
        if self._udp:
            sent = ends.send_udp(self._test, self._socks[0], self._shape)
            self._test.channel.say(sent)
            return sent
        sent = ends.send_tcp(self._test, self._socks)
        for sock in self._socks:
            options.abort(sock)
        return sent

    def account(self, form: type[Any]) -> Any:
        """The hub's next word of this kind. Raises LoadError for others, and as `hear` does."""
        while True:
            message = self._test.channel.hear(within_s=_DONE_S)
            if isinstance(message, form):
                return message
            if not isinstance(message, Report):  # of a search, said before it heard the end
                raise LoadError(f"a {type(message).__name__} where {form.__name__} belongs")


def _joined(sent: tuple[Flow, ...], received: tuple[Flow, ...]) -> tuple[Flow, ...]:
    """Each flow as both ends saw it."""
    if len(sent) != len(received):
        return sent or received
    return tuple(
        tcp_info.both_ends(a, b.received_bytes or 0, b.received_segments)
        for a, b in zip(sent, received, strict=True)
    )
