"""The STAMP session-reflector: one UDP port at the hub that answers every agent's packets.

RFC 8762 section 4.3, stateful, both modes on one port. The receive time is the kernel's stamp
and the transmit time is read just before the answer is packed, so this program's own delay falls
out of the agent's RTT. An answer is never longer than its question and leaves from the address
that was asked, with the question's DSCP. What is counted, and who is answered, is decided in
collector/sessions.py.
"""

import asyncio
import errno
import logging
import socket
import struct
import sys
from dataclasses import dataclass
from typing import NamedTuple

from collector.sessions import DropReason, Heard, SessionTable
from runtime.clock import SECOND, Clock
from wire import stamp

log = logging.getLogger(__name__)

BURST = 64
"""Datagrams per wake-up: the event loop has other work."""
EVERY_ADDRESS = "::"
_LOG_EVERY_NS = 60 * SECOND
_RECEIVE_BUFFER = 4 * 1024 * 1024
_LARGEST = 65_535
_ANCILLARY_BYTES = 256
_TTL = 255
_PORT_TRIALS = 16
_UNKNOWN_ERROR = 0x3FFF
"""Error Estimate of a clock that nobody synchronises: S = 0 and the largest error."""

# Numbers of the Linux UAPI that the socket module does not name in Python 3.11.
_SO_TIMESTAMPNS = 64
"""SO_TIMESTAMPNS_NEW: 64-bit seconds on every machine."""
_SO_RCVBUFFORCE = 33
_SO_RXQ_OVFL = 40
_IP_PKTINFO = 8
_IP_RECVTTL = 12
_IP_MTU_DISCOVER, _IPV6_MTU_DISCOVER = 10, 23
_PMTUDISC_PROBE = 3
"""Answers are as long as their questions and never in fragments, so that a way back that is
narrower than the way there shows."""

_MSG_PROBE = 0x10
"""Find the way and send nothing."""

_TIMESPEC = struct.Struct("=qq")
_PKTINFO = struct.Struct("=I4s4s")
_PKTINFO_6 = struct.Struct("=16sI")
_INT = struct.Struct("=i")
# Kinds do not collide between the IPPROTO_IP and IPPROTO_IPV6 levels.
_TTL_KINDS = (socket.IP_TTL, socket.IPV6_HOPLIMIT)
_TOS_KINDS = (socket.IP_TOS, socket.IPV6_TCLASS)
_PKTINFO_KINDS = (_IP_PKTINFO, socket.IPV6_PKTINFO)
_OPTIONS = {
    socket.AF_INET: [
        (socket.IPPROTO_IP, _IP_PKTINFO, 1),
        (socket.IPPROTO_IP, _IP_RECVTTL, 1),
        (socket.IPPROTO_IP, socket.IP_RECVTOS, 1),
        (socket.IPPROTO_IP, socket.IP_TTL, _TTL),
        (socket.IPPROTO_IP, _IP_MTU_DISCOVER, _PMTUDISC_PROBE),
    ],
    socket.AF_INET6: [
        (socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1),
        (socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1),
        (socket.IPPROTO_IPV6, socket.IPV6_RECVHOPLIMIT, 1),
        (socket.IPPROTO_IPV6, socket.IPV6_RECVTCLASS, 1),
        (socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS, _TTL),
        (socket.IPPROTO_IPV6, _IPV6_MTU_DISCOVER, _PMTUDISC_PROBE),
    ],
}

_Address = tuple[str, int] | tuple[str, int, int, int]
_Ancillary = list[tuple[int, int, bytes]]


@dataclass(frozen=True)
class ReflectorSettings:
    """Where the reflector listens and whom it answers."""

    host: str = EVERY_ADDRESS
    """Literal address; `::` stands for every address of both families."""
    port: int = stamp.DEFAULT_PORT
    """UDP port; 0 takes a free one."""
    open_to_strangers: bool = False
    """Answer unauthenticated packets of unknown sessions too: for trials with foreign senders."""


class _Arrival(NamedTuple):
    """What the kernel tells of a datagram besides its octets."""

    received_wall_ns: int | None
    ttl: int
    dscp: int
    """As the upper six bits of the TOS or traffic class octet."""
    pktinfo: bytes


class _Asker(NamedTuple):
    address: _Address
    now_boot_ns: int


class Reflector:
    """Answers on one port of one or two sockets. `port` and counters live from start to close."""

    def __init__(self, table: SessionTable, clock: Clock, settings: ReflectorSettings) -> None:
        self._table = table
        self._clock = clock
        self._settings = settings
        self._sockets: list[socket.socket] = []
        self._buffer = bytearray(_LARGEST)
        self._estimate = _UNKNOWN_ERROR
        self._estimated_boot_ns: int | None = None
        self._logged: dict[DropReason, int] = {}
        self._overflowed: dict[int, int] = {}
        self._longest_ns: int | None = None
        self.port = settings.port
        self.reflected = 0
        """Answers handed to the kernel."""
        self.without_kernel_stamp = 0
        """Answers whose receive time had to be read here, late."""

    @property
    def overflowed(self) -> int:
        """Datagrams that the kernel dropped because we were slow: our loss, not a link's."""
        return sum(self._overflowed.values())

    def take_longest_residence_ns(self) -> int | None:
        """Longest time from arrival to answer since the last call; None where nothing came."""
        longest, self._longest_ns = self._longest_ns, None
        return longest

    async def start(self) -> None:
        """Bind and begin to answer. Raises OSError where the port cannot be had."""
        self._sockets = _bind(self._settings.host, self._settings.port)
        self.port = self._sockets[0].getsockname()[1]
        loop = asyncio.get_running_loop()
        for sock in self._sockets:
            loop.add_reader(sock.fileno(), self._drain, sock)
        log.info("reflector listens on %s port %d", self._settings.host, self.port)

    async def close(self) -> None:
        """Stop answering; a second call does nothing."""
        loop = asyncio.get_running_loop()
        for sock in self._sockets:
            loop.remove_reader(sock.fileno())
            sock.close()
        self._sockets = []

    def _drain(self, sock: socket.socket) -> None:
        now_boot_ns = self._clock.boot_ns()
        self._refresh_estimate(now_boot_ns)
        for _ in range(BURST):
            try:
                size, ancillary, _, address = sock.recvmsg_into([self._buffer], _ANCILLARY_BYTES)
            except BlockingIOError:
                return
            data = bytes(memoryview(self._buffer)[:size])
            reason, detail = self._answer(sock, data, ancillary, _Asker(address, now_boot_ns))
            if reason is not None:
                self._tell(reason, address, now_boot_ns, detail)

    def _answer(
        self, sock: socket.socket, data: bytes, ancillary: _Ancillary, asker: _Asker
    ) -> tuple[DropReason | None, str]:
        source = asker.address[0], asker.address[1]
        arrival = self._arrival(sock, ancillary)
        if source[1] in (self.port, stamp.DEFAULT_PORT, 0):
            return self._table.drop(DropReason.LOOP), ""
        heard = self._table.hear(
            data, source, asker.now_boot_ns, strangers=self._settings.open_to_strangers
        )
        if isinstance(heard, DropReason):
            return heard, ""
        key = heard.key
        control = _control(sock.family, arrival)
        draft = self._draft(heard, arrival, data)
        try:
            # The way is walked once without a packet: cold, it takes several times as long, and
            # whatever lies behind the last look at the clock stays in the agent's round trip.
            sock.sendmsg([draft], control, _MSG_PROBE, asker.address)
            sent_wall_ns = self._clock.wall_ns()
            stamp.set_timestamp(draft, stamp.ntp64(sent_wall_ns), key)
            sock.sendmsg([draft], control, 0, asker.address)
        except OSError as error:
            return self._table.drop(DropReason.SOCKET_ERROR), str(error)
        self.reflected += 1
        if arrival.received_wall_ns is not None:
            residence_ns = sent_wall_ns - arrival.received_wall_ns
            self._longest_ns = max(self._longest_ns or residence_ns, residence_ns)
        return None, ""

    def _draft(self, heard: Heard, arrival: _Arrival, data: bytes) -> bytearray:
        """The answer, but for the moment at which it leaves."""
        sender, counter, key = heard
        base = stamp.OPEN_BYTES if key is None else stamp.AUTHENTICATED_BYTES
        received_wall_ns = arrival.received_wall_ns
        if received_wall_ns is None:
            self.without_kernel_stamp += 1
            received_wall_ns = self._clock.wall_ns()
        packet = stamp.ReflectorPacket(
            counter,
            0,
            self._estimate,
            sender.ssid,
            stamp.ntp64(received_wall_ns),
            sender.seq,
            sender.timestamp,
            sender.error_estimate,
            arrival.ttl,
        )
        return stamp.draft_reflector(packet, key, data[base:])

    def _arrival(self, sock: socket.socket, ancillary: _Ancillary) -> _Arrival:
        received_wall_ns, ttl, tos, pktinfo = None, 0, 0, b""
        for level, kind, value in ancillary:
            if level == socket.SOL_SOCKET:
                if kind == _SO_TIMESTAMPNS:
                    seconds, ns = _TIMESPEC.unpack(value)
                    received_wall_ns = seconds * SECOND + ns
                elif kind == _SO_RXQ_OVFL:
                    self._overflowed[sock.fileno()] = int.from_bytes(value, sys.byteorder)
            elif kind in _TTL_KINDS:
                ttl = int.from_bytes(value, sys.byteorder)
            elif kind in _TOS_KINDS:
                tos = int.from_bytes(value, sys.byteorder)
            elif kind in _PKTINFO_KINDS:
                pktinfo = value
        return _Arrival(received_wall_ns, ttl, tos & 0xFC, pktinfo)

    def _refresh_estimate(self, now_boot_ns: int) -> None:
        due = self._estimated_boot_ns is None or now_boot_ns - self._estimated_boot_ns > SECOND
        if due:
            error_ns = self._clock.quality().error_ns
            self._estimated_boot_ns = now_boot_ns
            self._estimate = (
                _UNKNOWN_ERROR
                if error_ns is None
                else stamp.error_estimate(error_ns, synchronised=True)
            )

    def _tell(self, reason: DropReason, address: _Address, now_boot_ns: int, detail: str) -> None:
        last = self._logged.get(reason)
        if last is None or now_boot_ns - last >= _LOG_EVERY_NS:
            self._logged[reason] = now_boot_ns
            log.warning(
                "no answer to %s port %d: %s %s(%d so far; told once a minute)",
                address[0],
                address[1],
                reason.value,
                f"({detail}) " if detail else "",
                self._table.dropped[reason],
            )


def _control(family: int, arrival: _Arrival) -> _Ancillary:
    """Answer from the address that was asked, with its DSCP; the route picks the interface."""
    control: _Ancillary = []
    if family == socket.AF_INET6:
        if arrival.pktinfo:
            asked, interface = _PKTINFO_6.unpack(arrival.pktinfo)
            scoped = interface if asked[0] == 0xFE else 0
            info = _PKTINFO_6.pack(asked, scoped)
            control.append((socket.IPPROTO_IPV6, socket.IPV6_PKTINFO, info))
        if arrival.dscp:
            control.append((socket.IPPROTO_IPV6, socket.IPV6_TCLASS, _INT.pack(arrival.dscp)))
        return control
    if arrival.pktinfo:
        _, asked, _ = _PKTINFO.unpack(arrival.pktinfo)
        control.append((socket.IPPROTO_IP, _IP_PKTINFO, _PKTINFO.pack(0, asked, bytes(4))))
    if arrival.dscp:
        control.append((socket.IPPROTO_IP, socket.IP_TOS, _INT.pack(arrival.dscp)))
    return control


def _bind(host: str, port: int) -> list[socket.socket]:
    """One bound socket, or for `::` one of each family on the same port number."""
    if host != EVERY_ADDRESS:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return [_socket(family, host, port)]
    for _ in range(_PORT_TRIALS):
        first = _socket(socket.AF_INET, "0.0.0.0", port)
        try:
            return [first, _socket(socket.AF_INET6, host, first.getsockname()[1])]
        except OSError as error:
            if error.errno in (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL):
                log.warning("this machine has no IPv6: the reflector serves IPv4 alone")
                return [first]
            first.close()
            if port or error.errno != errno.EADDRINUSE:
                raise
    raise OSError(errno.EADDRINUSE, f"no port was free in both families in {_PORT_TRIALS} trials")


def _socket(family: socket.AddressFamily, host: str, port: int) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
    try:
        sock.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
        sock.setsockopt(socket.SOL_SOCKET, _SO_RXQ_OVFL, 1)
        try:
            sock.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _RECEIVE_BUFFER)
        except PermissionError:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER)
        for level, option, value in _OPTIONS[family]:
            sock.setsockopt(level, option, value)
        sock.bind((host, port))
    except BaseException:
        sock.close()
        raise
    return sock
