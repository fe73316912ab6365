"""One flow of packets with a chosen hop limit, and who answers them: no raw socket, no root.

All packets of a flow look the same to a load balancer that hashes addresses, ports, or the first
four octets after the IP header: ports, ICMP id and checksum never change (Paris traceroute,
Augustin et al. 2006), because two octets of payload make up for the sequence number. ICMP errors
come through the socket's error queue (IP_RECVERR), with the address of the router that sent them.
"""

import asyncio
import errno
import socket
import struct
import sys
from collections.abc import Callable
from contextlib import suppress
from enum import Enum
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import NamedTuple
from zlib import crc32

from agent.sockets import Address, Way
from runtime.clock import Clock

UDP_PORT = 33434
"""Where traceroute has always sent; nobody listens there."""
_FIRST_PORT, _PORTS = 49_152, 16_384
"""Dynamic ports (RFC 6335): ours is fixed by the target's name."""
_RECVERR = {socket.AF_INET: (socket.IPPROTO_IP, 11), socket.AF_INET6: (socket.IPPROTO_IPV6, 25)}
_HOPS = {
    socket.AF_INET: (socket.IPPROTO_IP, socket.IP_TTL),
    socket.AF_INET6: (socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS),
}
_ECHO = {socket.AF_INET: 8, socket.AF_INET6: 128}
_REPLY = {socket.AF_INET: 0, socket.AF_INET6: 129}
_PROTOCOL = {socket.AF_INET: socket.IPPROTO_ICMP, socket.AF_INET6: socket.IPPROTO_ICMPV6}
_EXPIRED = {socket.AF_INET: 11, socket.AF_INET6: 3}
_PORT_UNREACHABLE = {socket.AF_INET: (3, 3), socket.AF_INET6: (1, 4)}
_ERROR = struct.Struct("=IBBBBII")
_ORIGIN = {socket.AF_INET: 2, socket.AF_INET6: 3}
_FROM = {socket.AF_INET: slice(20, 24), socket.AF_INET6: slice(24, 40)}
"""Where in the ancillary data the router's address stands."""
_ICMP = struct.Struct(">BBHHH")
_BODY = struct.Struct(">HH12s")
_MARK = b"pantau path "
_MOST_AT_ONCE = 32
_READ_BYTES = 512


class Who(Enum):
    """Which kind of machine answered."""

    ROUTER = "router"
    """The hop limit ran out there."""
    TARGET = "target"
    WALL = "wall"
    """It says that the target cannot be reached."""


class Reply(NamedTuple):
    """What came back for one packet."""

    who: Who
    address: str
    rtt_ns: int


class _Waiting(NamedTuple):
    sent_ns: int
    reply: asyncio.Future[Reply]


class Flow:
    """Packets to one target: ICMP echo, or UDP where a port is given."""

    def __init__(self, clock: Clock, way: Way, address: Address, port: int | None) -> None:
        self._clock = clock
        self._way = way
        self._family = socket.AddressFamily(way.family)
        self._address = address
        self._target = str(ip_address(str(address[0]).partition("%")[0]))
        self._port = port
        self._seq = 0
        self._sock: socket.socket | None = None
        self._waiting: dict[int, _Waiting] = {}

    def open(self, name: str) -> None:
        """Open the socket; flows of one name look the same for ever. Raises OSError."""
        if self._sock is not None:
            return
        if self._port is None:
            kind, protocol = socket.SOCK_DGRAM, _PROTOCOL[self._family]
        else:
            kind, protocol = socket.SOCK_DGRAM, socket.IPPROTO_UDP
        sock = socket.socket(self._family, kind | socket.SOCK_NONBLOCK, protocol)
        try:
            self._prepare(sock, _FIRST_PORT + crc32(name.encode()) % _PORTS)
        except BaseException:
            sock.close()
            raise
        self._sock = sock
        asyncio.get_running_loop().add_reader(sock, self._hear, sock)

    async def probe(self, hops: int, timeout_s: float) -> Reply | None:
        """Send one packet that may make so many hops. Raises OSError where none left."""
        sock = self._sock
        assert sock is not None
        self._seq = (self._seq + 1) & 0xFFFF
        seq = self._seq
        reply: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        self._waiting[seq] = _Waiting(self._send(sock, hops, seq), reply)
        try:
            async with asyncio.timeout(timeout_s):
                return await reply
        except TimeoutError:
            return None
        finally:
            del self._waiting[seq]

    def close(self) -> None:
        """Let go of the socket."""
        if self._sock is not None:
            asyncio.get_running_loop().remove_reader(self._sock)
            self._sock.close()
            self._sock = None

    def _prepare(self, sock: socket.socket, port: int) -> None:
        way = self._way
        if way.interface is not None:
            device = way.interface.encode()
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, device)
        if self._family == socket.AF_INET:
            sock.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, way.dscp << 2)
        else:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_TCLASS, way.dscp << 2)
        level, option = _RECVERR[self._family]
        sock.setsockopt(level, option, 1)
        try:
            sock.bind(("", port))
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
            sock.bind(("", 0))
        sock.connect((self._address[0], self._port or 0, *self._address[2:]))

    def _send(self, sock: socket.socket, hops: int, seq: int) -> int:
        """Returns when. A pending error makes a send fail that is not to blame: try once more."""
        packet = body = _BODY.pack(seq, 0xFFFF - seq, _MARK)
        if self._port is None:
            packet = _ICMP.pack(_ECHO[self._family], 0, 0, 0, seq) + body[2:]
        level, option = _HOPS[self._family]
        sock.setsockopt(level, option, hops)
        for last in (False, True):
            sent_ns = self._clock.boot_ns()
            try:
                sock.send(packet)
                break
            except OSError:
                self._hear(sock)
                if last:
                    raise
        return sent_ns

    def _hear(self, sock: socket.socket) -> None:
        now_ns = self._clock.boot_ns()
        for _ in range(_MOST_AT_ONCE):
            try:
                quote, ancillary, _, _ = sock.recvmsg(_READ_BYTES, 256, socket.MSG_ERRQUEUE)
            except OSError:
                break
            for level, kind, data in ancillary:
                if (level, kind) == _RECVERR[self._family]:
                    self._refused(quote, data, now_ns)
        for _ in range(_MOST_AT_ONCE):
            try:
                data, source = sock.recvfrom(_READ_BYTES)
            except BlockingIOError:
                break
            except OSError:  # a pending error, which the queue has told already
                continue
            if _same(source[0], self._target):
                self._answered(data, now_ns)

    def _answered(self, data: bytes, now_ns: int) -> None:
        """Something from the target itself."""
        if self._port is not None:  # somebody does listen at that port, and may say anything
            self._settle(next(iter(self._waiting), None), Who.TARGET, self._target, now_ns)
        elif len(data) >= _ICMP.size and data[0] == _REPLY[self._family]:
            self._settle(_ICMP.unpack_from(data)[4], Who.TARGET, self._target, now_ns)

    def _refused(self, quote: bytes, error: bytes, now_ns: int) -> None:
        """An ICMP error about a packet of ours."""
        found = _offender(self._family, error)
        if found is None:
            return
        kind, code, router = found
        if kind == _EXPIRED[self._family]:
            who = Who.ROUTER
        elif (kind, code) == _PORT_UNREACHABLE[self._family] and _same(router, self._target):
            who = Who.TARGET
        elif kind == _PORT_UNREACHABLE[self._family][0]:
            who = Who.WALL
        else:
            return
        at = 6 if self._port is None else 0
        seq: int | None
        if len(quote) >= at + 2:
            seq = int.from_bytes(quote[at : at + 2], "big")
        else:  # RFC 792 asks routers for 8 octets only, which are the UDP header
            seq = next(iter(self._waiting), None)
        self._settle(seq, who, router, now_ns)

    def _settle(self, seq: int | None, who: Who, address: str, now_ns: int) -> None:
        waiting = None if seq is None else self._waiting.get(seq)
        if waiting is not None and not waiting.reply.done():
            waiting.reply.set_result(Reply(who, address, now_ns - waiting.sent_ns))


def echo_permitted(family: int) -> bool:
    """Whether this process may have a ping socket (net.ipv4.ping_group_range)."""
    try:
        socket.socket(family, socket.SOCK_DGRAM, _PROTOCOL[socket.AddressFamily(family)]).close()
    except OSError:
        return False
    return True


def _offender(family: socket.AddressFamily, error: bytes) -> tuple[int, int, str] | None:
    """ICMP type and code, and who sent it; None where it was this machine itself."""
    if len(error) < _FROM[family].stop:
        return None
    _, origin, kind, code, _, _, _ = _ERROR.unpack_from(error)
    if origin != _ORIGIN[family]:
        return None
    return kind, code, socket.inet_ntop(family, error[_FROM[family]])


def _same(one: str, other: str) -> bool:
    with suppress(ValueError):
        return ip_address(one.partition("%")[0]) == ip_address(other)
    return False


Connected = IPv4Network | IPv6Network


def connected(read: Callable[[str], str]) -> list[Connected]:
    """Networks that this machine is itself part of, from its routing tables."""
    found: list[Connected] = []
    with suppress(OSError):
        found += connected_four(read("/proc/self/net/route"))
    with suppress(OSError):
        found += connected_six(read("/proc/self/net/ipv6_route"))
    return found


def connected_four(table: str) -> list[IPv4Network]:
    """From /proc/net/route: routes without a gateway, but a default route is no network."""
    found = []
    for line in table.splitlines()[1:]:
        words = line.split()
        with suppress(ValueError, IndexError):
            raw = [int(words[at], 16).to_bytes(4, sys.byteorder) for at in (1, 2, 7)]
            network, gateway, mask = (socket.inet_ntoa(one) for one in raw)
            if gateway == "0.0.0.0" and mask != "0.0.0.0":
                found.append(IPv4Network(f"{network}/{mask}"))
    return found


def connected_six(table: str) -> list[IPv6Network]:
    """From /proc/net/ipv6_route."""
    found = []
    for line in table.splitlines():
        words = line.split()
        with suppress(ValueError, IndexError):
            network, bits = IPv6Address(bytes.fromhex(words[0])), int(words[1], 16)
            if set(words[4]) == {"0"} and bits and words[9] != "lo":
                found.append(IPv6Network((network, bits)))
    return found
