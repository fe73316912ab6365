"""Datagram sockets whose packets the kernel stamps: the seam between probes and the network.

A channel sends, receives and reads its error queue; it decides nothing. Transmit stamps come
back through the error queue under a counter (SOF_TIMESTAMPING_OPT_ID) that the kernel starts at
0 and raises with each packet; ICMP errors come the same way (IP_RECVERR). A pending ICMP error
makes the next send fail although that send is not to blame, so a failed send is tried once more.
"""

import asyncio
import errno
import socket
import struct
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from functools import lru_cache
from typing import Any, NamedTuple, Protocol

from icmplib import ICMPv4Socket, ICMPv6Socket, SocketPermissionError
from icmplib.exceptions import ICMPSocketError

from agent import many, socket_options
from agent.stamps import Arrival, Sent
from runtime.clock import Clock

_TIMESTAMPING = (65, 37)
"""SO_TIMESTAMPING_NEW (64-bit seconds everywhere, Linux 5.1), then SO_TIMESTAMPING_OLD."""
_STAMP_LAYOUT = {65: struct.Struct("=qq"), 37: struct.Struct("@ll")}
_OPT_ID = 1 << 7
_STAMP_FLAGS = 1 << 1 | 1 << 3 | 1 << 4 | _OPT_ID | 1 << 11
"""TX_SOFTWARE, RX_SOFTWARE, SOFTWARE, OPT_ID, OPT_TSONLY."""
_TTL_AT = 8
_EXTENDED_ERROR = struct.Struct("=IBBBBII")
_ORIGIN_ICMP, _ORIGIN_ICMP6, _ORIGIN_STAMP = 2, 3, 4
_PORT_CLOSED = {(socket.AF_INET, 3, 3), (socket.AF_INET6, 1, 4)}
"""Port unreachable (RFC 792, RFC 4443 section 3.1)."""
_SEND_STAMP = 0
_STAMPS_AWAITED = 1024
_SECOND_NS = 1_000_000_000
_READINGS = 4
_APART_NS = 5_000
"""How far the distance between the two clocks may wander from one reading to the next."""

Address = tuple[Any, ...]
"""A socket address of either family."""
Ancillary = Iterable[tuple[int, int, bytes]]
"""Control messages: level, kind, octets."""


def _offender(report: bytes) -> str | None:
    """Who sent an ICMP error: SO_EE_OFFENDER, a sockaddr behind the extended error."""
    rest = report[_EXTENDED_ERROR.size :]
    family = int.from_bytes(rest[:2], sys.byteorder)
    if family == socket.AF_INET and len(rest) >= 8:
        return socket.inet_ntop(socket.AF_INET, rest[4:8])
    if family == socket.AF_INET6 and len(rest) >= 24:
        return socket.inet_ntop(socket.AF_INET6, rest[8:24])
    return None


@lru_cache(maxsize=4096)
def _dotted(octets: bytes) -> str:
    return socket.inet_ntop(socket.AF_INET, octets)


class IcmpNotPermitted(PermissionError):
    """Neither raw sockets (CAP_NET_RAW) nor ping sockets (net.ipv4.ping_group_range)."""


class Refusal(NamedTuple):
    """An ICMP error about a packet of ours."""

    family: int
    kind: int
    """ICMP or ICMPv6 type."""
    quote: bytes
    """What the error quotes of our packet, from its transport payload (UDP) or ICMP header on."""
    address: str
    """Where that packet was going."""
    port_closed: bool = False
    """The machine it was going to says itself that nobody listens there."""


class Destination(NamedTuple):
    """A socket address, in Python's form and in the kernel's (`many.sockaddr`)."""

    address: Address
    name: bytes


class Channel(Protocol):
    """One open socket."""

    kernel_stamps: bool
    """Whether the kernel stamps what arrives."""

    def send(self, packet: bytes, sent: Sent, address: Address | None = None) -> None:
        """Send now and tell `sent` when. Raises OSError when nothing left this machine."""
        ...

    def receive(self) -> list[Arrival]:
        """Everything that has arrived."""
        ...

    def refusals(self) -> list[Refusal]:
        """ICMP errors that have arrived; fills in the transmit stamps that came with them."""
        ...

    def moved(self) -> bool:
        """Whether a new channel would send from another address than this one does."""
        ...

    def dropped(self) -> int:
        """Datagrams that this machine had no room for, since the channel opened."""
        ...

    def close(self) -> None:
        """Let go of the socket."""
        ...


class IcmpChannel(Channel, Protocol):
    """A channel for ICMP echo."""

    raw: bool
    """True: packets carry our own id, and IPv4 arrivals their IP header. False: a ping socket,
    where the kernel chooses id and checksum."""
    ident: int
    """The ICMP id on the wire."""

    def send_many(
        self, packets: Sequence[bytes], sent: Sequence[Sent], to: Sequence[Destination]
    ) -> dict[int, OSError]:
        """Send all now and tell each `sent` when: one moment for many. What went wrong, by the
        place of the packet that did not leave."""
        ...


class Way(NamedTuple):
    """How packets leave: what one socket can serve."""

    family: int
    interface: str | None = None
    dscp: int = 0


class Network(Protocol):
    """What a probe asks of the machine's network."""

    def udp(self, way: Way, address: Address) -> Channel:
        """A channel connected to `address`. Raises OSError."""
        ...

    def icmp(self, way: Way, ident: int, cookie: bytes) -> IcmpChannel:
        """An ICMP channel; `cookie` are the first 4 bytes of the payloads worth receiving.

        Raises IcmpNotPermitted where this process may have neither a raw nor a ping socket.
        """
        ...

    def watch(self, channel: Channel, act: Callable[[], None]) -> None:
        """Call `act` in the running loop whenever `channel` has something."""
        ...

    def unwatch(self, channel: Channel) -> None:
        """Stop doing so; harmless where nobody watches."""
        ...


def literal(address: str, port: int = 0) -> tuple[int, Address, str]:
    """Family, socket address and canonical text of a literal address. Raises ValueError."""
    try:
        found = socket.getaddrinfo(
            address, port, type=socket.SOCK_DGRAM, flags=socket.AI_NUMERICHOST
        )
    except (socket.gaierror, UnicodeError) as error:
        raise ValueError(f"{address!r} is not a literal IPv4 or IPv6 address") from error
    family, _, _, _, sockaddr = found[0]
    return family, sockaddr, str(sockaddr[0])


class SocketChannel:
    """A real socket."""

    def __init__(self, sock: socket.socket, clock: Clock, destination: Address | None) -> None:
        self._sock = sock
        self._clock = clock
        self._destination = destination
        self._sent: dict[int, Sent] = {}
        self._next_key = 0
        self._apart_ns = 0
        self._headed = sock.type == socket.SOCK_RAW and sock.family == socket.AF_INET
        """Arrivals begin with their IP header."""
        self._refusals: list[Refusal] = []
        self._family = int(sock.family)
        sock.setblocking(False)
        self._stamping = self._start_stamping()
        self._layout = _STAMP_LAYOUT[self._stamping or _TIMESTAMPING[0]]
        self.kernel_stamps = self._stamping is not None

    def fileno(self) -> int:
        """For the event loop."""
        return self._sock.fileno()

    def send(self, packet: bytes, sent: Sent, address: Address | None = None) -> None:
        """Send now, and once more if it fails, because the failure can be an earlier packet's."""
        try:
            self._transmit(packet, sent, address)
            return
        except OSError:
            self._resynchronise()
        try:
            self._transmit(packet, sent, address)
        except OSError:
            self._resynchronise()
            raise

    def receive(self) -> list[Arrival]:
        """Everything that has arrived."""
        found = []
        receive = self._sock.recvmsg
        failed = False
        while True:
            try:
                found.append(receive(many.DATA_BYTES, many.CONTROL_BYTES))
            except BlockingIOError:
                break
            except OSError:  # a pending ICMP error, said once; `refusals` has the whole of it
                if failed:
                    break
                failed = True
        if not found:
            return []
        moment = self._moment()
        return [
            self._arrival(data, ancillary, str(source[0]), moment)
            for data, ancillary, _, source in found
        ]

    def _arrival(
        self, data: bytes, ancillary: Ancillary, source: str, moment: tuple[int, int]
    ) -> Arrival:
        kernel_ns = None
        ttl = data[_TTL_AT] if self._headed else None
        for level, kind, value in ancillary:
            if level != socket.SOL_SOCKET:  # IP_TTL or IPV6_HOPLIMIT: all that was asked for
                ttl = int.from_bytes(value, sys.byteorder)
            elif kind == self._stamping:
                kernel_ns = self._kernel_ns(value)
        return Arrival(data, source, *moment, kernel_ns, ttl)

    def refusals(self) -> list[Refusal]:
        """ICMP errors that have arrived; fills in the transmit stamps that came with them."""
        self._read_errors()
        found, self._refusals = self._refusals, []
        return found

    def moved(self) -> bool:
        """Ask the kernel which source address it would choose today."""
        if self._destination is None:
            return False
        with socket.socket(self._sock.family, socket.SOCK_DGRAM) as probe, suppress(OSError):
            device = self._sock.getsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, 16)
            if device.rstrip(b"\0"):
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, device)
            probe.connect(self._destination)
            return bool(probe.getsockname()[0] != self._sock.getsockname()[0])
        return False

    def dropped(self) -> int:
        """Datagrams that this machine had no room for, since the channel opened."""
        return socket_options.dropped(self._sock)

    def close(self) -> None:
        """Let go of the socket."""
        self._sock.close()

    def _transmit(self, packet: bytes, sent: Sent, address: Address | None) -> None:
        sent.boot_ns, sent.wall_ns = self._moment()
        if address is None:
            self._sock.send(packet)
        else:
            self._sock.sendto(packet, address)
        sent.call_ns = self._clock.boot_ns() - sent.boot_ns
        self._await_stamp(sent)

    def _await_stamp(self, sent: Sent) -> None:
        if self._stamping is not None:
            key = self._next_key
            self._sent[key] = sent
            self._sent.pop(key - _STAMPS_AWAITED, None)
            self._next_key = (key + 1) & 0xFFFF_FFFF

    def _moment(self) -> tuple[int, int]:
        """Both clocks, read again where the process was pushed aside between them, because that
        looks like a step of the wall clock."""
        clock = self._clock
        for _ in range(_READINGS):
            boot_ns = clock.boot_ns()
            wall_ns = clock.wall_ns()
            apart_ns = wall_ns - boot_ns
            if abs(apart_ns - self._apart_ns) < _APART_NS:
                break
            self._apart_ns = apart_ns
        return boot_ns, wall_ns

    def _start_stamping(self) -> int | None:
        for option in _TIMESTAMPING:
            with suppress(OSError):
                self._sock.setsockopt(socket.SOL_SOCKET, option, _STAMP_FLAGS)
                return option
        return None

    def _resynchronise(self) -> None:
        """Restart the kernel's packet counter: whether a failed send raised it depends on the
        kernel's version."""
        self._read_errors()
        if self._stamping is not None:
            self._sock.setsockopt(socket.SOL_SOCKET, self._stamping, _STAMP_FLAGS & ~_OPT_ID)
            self._sock.setsockopt(socket.SOL_SOCKET, self._stamping, _STAMP_FLAGS)
            self._sent.clear()
            self._next_key = 0

    def _kernel_ns(self, value: bytes) -> int | None:
        """A stamp of 0 is none."""
        if len(value) < self._layout.size:
            return None
        seconds, ns = self._layout.unpack_from(value)
        return seconds * _SECOND_NS + ns or None

    def _read_errors(self) -> None:
        receive = self._sock.recvmsg
        while True:
            try:
                quote, ancillary, _, address = receive(
                    many.DATA_BYTES, many.CONTROL_BYTES, socket.MSG_ERRQUEUE
                )
            except OSError:
                return
            self._take_error(ancillary, quote, str(address[0]) if address else "")

    def _take_error(self, ancillary: Ancillary, quote: bytes, asked: str) -> None:
        """One message of the error queue: a transmit stamp, or what the network says of a packet
        of ours that was going to `asked`, which only the latter has."""
        kernel_ns, report = None, None
        for level, kind, value in ancillary:
            if level != socket.SOL_SOCKET:  # IP_RECVERR, or a hop limit, which is shorter
                report = value if len(value) >= _EXTENDED_ERROR.size else report
            elif kind == self._stamping:
                kernel_ns = self._kernel_ns(value)
        if report is None:
            return
        _, origin, kind, code, _, info, key = _EXTENDED_ERROR.unpack_from(report)
        if origin == _ORIGIN_STAMP:
            sent = self._sent.pop(key, None)
            if sent is not None and info == _SEND_STAMP:
                sent.kernel_ns = kernel_ns
        elif origin in (_ORIGIN_ICMP, _ORIGIN_ICMP6):
            closed = _offender(report) == asked and (self._family, kind, code) in _PORT_CLOSED
            self._refusals.append(Refusal(self._family, kind, quote, asked, closed))


class SocketIcmpChannel(SocketChannel):
    """A real ICMP socket. icmplib opens it, and closes it when its own object goes.

    From its first `send_many` on it receives many in a call as well.
    """

    def __init__(self, opened: ICMPv4Socket | ICMPv6Socket, clock: Clock, ident: int) -> None:
        super().__init__(opened.sock, clock, None)
        self._opened = opened
        self.raw: bool = opened.is_privileged
        self.ident = ident if self.raw else int(opened.sock.getsockname()[1])
        self._sender: many.Sender | None = None
        self._arrived: many.Receiver | None = None
        self._errors: many.Receiver | None = None

    def close(self) -> None:
        """Let go of the socket."""
        self._opened.close()

    def send_many(
        self, packets: Sequence[bytes], sent: Sequence[Sent], to: Sequence[Destination]
    ) -> dict[int, OSError]:
        """As many as the kernel takes in one call; the one it stops at is sent alone."""
        if self._sender is None:
            self._sender = many.Sender(self.fileno(), self._family)
            self._arrived = many.Receiver(self.fileno())
            self._errors = many.Receiver(self.fileno(), socket.MSG_ERRQUEUE)
        names = [one.name for one in to]
        failures: dict[int, OSError] = {}
        at = 0
        while at < len(packets):
            boot_ns, wall_ns = self._moment()
            end = at + self._sender.send(packets, names, at)
            call_ns = self._clock.boot_ns() - boot_ns
            for one in sent[at:end]:
                one.boot_ns, one.wall_ns, one.call_ns = boot_ns, wall_ns, call_ns
                self._await_stamp(one)
            if end == at:
                self._resynchronise()
                try:
                    self.send(packets[at], sent[at], to[at].address)
                except OSError as error:
                    failures[at] = error
                end += 1
            at = end
        return failures

    def receive(self) -> list[Arrival]:
        """Everything that has arrived."""
        if self._arrived is None:
            return super().receive()
        arrivals: list[Arrival] = []
        failed = False
        while True:
            try:
                count = self._arrived.fetch()
            except OSError:  # a pending ICMP error, said once; `refusals` has the whole of it
                if failed:
                    return arrivals
                failed = True
                continue
            if not count:
                return arrivals
            arrivals += self._unpack(self._arrived, count)

    def _unpack(self, box: many.Receiver, count: int) -> Iterator[Arrival]:
        moment = boot_ns, wall_ns = self._moment()
        control, length = box.shape(count) or (-1, 0)
        if not self._headed or control != many.STAMP_BYTES:
            for k in range(count):
                control, length = box.lengths(k)
                source = box.source(k, self._family)
                yield self._arrival(box.data(k, length), box.control(k, control), source, moment)
            return
        for _, level, kind, seconds, ns, octets, data in box.rows(many.stamped(length), count):
            stamped = kind == self._stamping and level == socket.SOL_SOCKET
            kernel_ns = seconds * _SECOND_NS + ns or None if stamped else None
            yield Arrival(data, _dotted(octets), boot_ns, wall_ns, kernel_ns, data[_TTL_AT])

    def _read_errors(self) -> None:
        box = self._errors
        if box is None:
            super()._read_errors()
            return
        while count := box.fetch():
            control, _ = box.shape(count) or (-1, 0)
            others: Iterable[int] = range(count)
            if control >= many.STAMPED_ERROR_BYTES:
                others = self._take_stamps(box.rows(many.STAMPED_ERROR, count))
            for k in others:
                control, length = box.lengths(k)
                quote, asked = box.data(k, length), box.source(k, self._family)
                self._take_error(box.control(k, control), quote, asked)

    def _take_stamps(self, rows: Iterable[tuple[Any, ...]]) -> list[int]:
        """Take the transmit stamps among these; returns the places of what is something else."""
        others = []
        stamping, pop = self._stamping, self._sent.pop
        for k, row in enumerate(rows):
            _, level, kind, seconds, ns, _, _, _, _, origin, _, _, _, info, key = row
            if level != socket.SOL_SOCKET or kind != stamping or origin != _ORIGIN_STAMP:
                others.append(k)
            elif (sent := pop(key, None)) is not None and info == _SEND_STAMP:
                sent.kernel_ns = seconds * _SECOND_NS + ns or None
        return others


class RealNetwork:
    """The machine's own network."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._watched: dict[int, asyncio.AbstractEventLoop] = {}

    def udp(self, way: Way, address: Address) -> Channel:
        """A UDP socket connected to `address`, so that ICMP errors about it come back to it."""
        sock = socket.socket(way.family, socket.SOCK_DGRAM)
        try:
            socket_options.prepare(sock, way.interface, way.dscp)
            socket_options.hear_refusals(sock)
            socket_options.send_far(sock)
            sock.connect(address)
            return SocketChannel(sock, self._clock, address)
        except BaseException:
            sock.close()
            raise

    def icmp(self, way: Way, ident: int, cookie: bytes) -> IcmpChannel:
        """A raw socket where that is permitted, else a ping socket."""
        opened = _open_icmp(way.family)
        try:
            socket_options.prepare(opened.sock, way.interface, way.dscp)
            if opened.is_privileged:
                socket_options.filter_replies(opened.sock, cookie)
            else:
                socket_options.hear_refusals(opened.sock)
                opened.sock.bind(("", 0))
            return SocketIcmpChannel(opened, self._clock, ident)
        except BaseException:
            opened.close()
            raise

    def watch(self, channel: Channel, act: Callable[[], None]) -> None:
        """Through the running loop, whose selector reports the error queue as readable."""
        assert isinstance(channel, SocketChannel)
        loop = asyncio.get_running_loop()
        loop.add_reader(channel.fileno(), act)
        self._watched[channel.fileno()] = loop

    def unwatch(self, channel: Channel) -> None:
        """Call it before `close`, while the file number is still this channel's."""
        assert isinstance(channel, SocketChannel)
        loop = self._watched.pop(channel.fileno(), None)
        if loop is not None and not loop.is_closed():
            loop.remove_reader(channel.fileno())


def _open_icmp(family: int) -> ICMPv4Socket | ICMPv6Socket:
    kind = ICMPv4Socket if family == socket.AF_INET else ICMPv6Socket
    try:
        try:
            return kind(privileged=True)
        except SocketPermissionError:
            return kind(privileged=False)
    except SocketPermissionError as error:
        raise IcmpNotPermitted(errno.EPERM, "ICMP is not permitted") from error
    except ICMPSocketError as error:  # icmplib keeps the cause only as text and context
        cause = error.__context__
        raise cause if isinstance(cause, OSError) else OSError(str(error)) from error
