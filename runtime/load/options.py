"""Socket options and control messages of Linux that load needs and Python does not wrap."""

import os
import socket
import struct
from collections.abc import Iterable

from runtime.clock import Clock

_SOL_UDP, _UDP_SEGMENT, _UDP_GRO = 17, 103, 104
_SO_RCVBUFFORCE, _SO_MAX_PACING_RATE, _SO_MEMINFO = 33, 47, 55
_SO_TIMESTAMPNS = (64, 35)
"""SO_TIMESTAMPNS_NEW (64-bit seconds everywhere), SO_TIMESTAMPNS_OLD."""
_STAMP = {64: struct.Struct("=qq"), 35: struct.Struct("@ll")}
_IP_MTU_DISCOVER, _IPV6_MTU_DISCOVER = 10, 23
_IP_MTU, _IPV6_MTU = 14, 24
_PMTUDISC_PROBE = 3
"""Set DF, and let what is longer than a route's known MTU be tried: a search for the MTU."""
_MEMINFO_DROPS = 8
_RECEIVE_BYTES = 32 << 20
_SHORTEST = 8 * 1024
_ABORT = struct.pack("=ii", 1, 0)
_BELIEVED_NS = 5_000_000_000
ANCILLARY_BYTES = 128
SEGMENTS = 44
"""Full packets in one call: below 64 KiB."""


def roomy(sock: socket.socket) -> None:
    """As much receive buffer as this process may have: a pause of ours must not look like loss."""
    try:
        sock.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _RECEIVE_BYTES)
    except PermissionError:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BYTES)


def segment(sock: socket.socket, payload_bytes: int) -> bool:
    """Have the kernel cut long sends into datagrams of this size (UDP GSO); False: it cannot."""
    return _try(sock, _UDP_SEGMENT, payload_bytes)


def gather(sock: socket.socket) -> bool:
    """Have the kernel hand over several datagrams at once (UDP GRO); False: it cannot."""
    return _try(sock, _UDP_GRO, 1)


def _try(sock: socket.socket, option: int, value: int) -> bool:
    try:
        sock.setsockopt(_SOL_UDP, option, value)
    except OSError:
        return False
    return True


def stamp_arrivals(sock: socket.socket) -> bool:
    """Have the kernel say when each datagram came (wall clock)."""
    for option in _SO_TIMESTAMPNS:
        try:
            sock.setsockopt(socket.SOL_SOCKET, option, 1)
        except OSError:
            continue
        return True
    return False


def arrival_ns(ancillary: Iterable[tuple[int, int, bytes]], clock: Clock) -> int:
    """When it came, by the boot clock: the kernel's stamp where it is one to be believed."""
    now_ns = clock.boot_ns()
    for level, kind, value in ancillary:
        layout = _STAMP.get(kind) if level == socket.SOL_SOCKET else None
        if layout is None or len(value) < layout.size:
            continue
        seconds, ns = layout.unpack_from(value)
        ago_ns: int = clock.wall_ns() - (seconds * 1_000_000_000 + ns)
        if 0 <= ago_ns < _BELIEVED_NS:
            return now_ns - ago_ns
    return now_ns


def unfragmented(sock: socket.socket) -> None:
    """Packets leave with DF, whatever the kernel thinks of the path."""
    if sock.family == socket.AF_INET:
        sock.setsockopt(socket.IPPROTO_IP, _IP_MTU_DISCOVER, _PMTUDISC_PROBE)
    else:
        sock.setsockopt(socket.IPPROTO_IPV6, _IPV6_MTU_DISCOVER, _PMTUDISC_PROBE)


def route_mtu(sock: socket.socket) -> int:
    """Largest IP packet of the route that a connected socket takes, as the kernel knows it."""
    if sock.family == socket.AF_INET:
        return int(sock.getsockopt(socket.IPPROTO_IP, _IP_MTU))
    return int(sock.getsockopt(socket.IPPROTO_IPV6, _IPV6_MTU))


def pace(sock: socket.socket, bytes_per_s: int) -> None:
    """Bound a TCP connection's sending rate in octets of IP packets (the kernel's own pacing).

    The kernel paces payload: 1,448 octets of a full packet's 1,500.
    """
    bytes_per_s = max(1, bytes_per_s * 1448 // 1500)
    try:
        rate = struct.pack("=Q", bytes_per_s)
        sock.setsockopt(socket.SOL_SOCKET, _SO_MAX_PACING_RATE, rate)
    except OSError:  # before Linux 5.1: 32 bits
        rate = struct.pack("=I", min(bytes_per_s, 2**32 - 2))
        sock.setsockopt(socket.SOL_SOCKET, _SO_MAX_PACING_RATE, rate)


def keep_short(sock: socket.socket, bytes_per_s: int) -> None:
    """Keep no more than 20 ms of unsent octets in the kernel: what is asked on this connection
    waits behind them, and a farewell is soon heard."""
    most = max(_SHORTEST, min(2**31 - 1, bytes_per_s // 50))
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, most)


def dropped(sock: socket.socket) -> int | None:
    """Datagrams that this socket had no room for (SO_MEMINFO)."""
    try:
        numbers = sock.getsockopt(socket.SOL_SOCKET, _SO_MEMINFO, 64)
    except OSError:
        return None
    values = struct.unpack(f"={len(numbers) // 4}I", numbers)
    return values[_MEMINFO_DROPS] if len(values) > _MEMINFO_DROPS else None


def abort(sock: socket.socket) -> None:
    """Close and forget what was not sent: load that comes late is in nobody's way."""
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _ABORT)
    except OSError:
        sock.close()
        return
    sock.close()


def ip_header(sock: socket.socket) -> int:
    """Octets of the IP header of what this socket sends."""
    return 20 if sock.family == socket.AF_INET else 40


def noise(length: int) -> bytearray:
    """Load that no device on the way can make smaller."""
    return bytearray(os.urandom(length))
