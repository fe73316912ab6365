"""The socket options that Linux has and Python's socket module does not wrap.

Constants of the kernel's ABI are written out here and nowhere else.
"""

import ctypes
import socket
import struct

RECVERR = {socket.IPPROTO_IP: 11, socket.IPPROTO_IPV6: 25}
"""IP_RECVERR and IPV6_RECVERR, by level."""
UDP_HOPS = 255
"""RFC 5357 section 4.1.2: test packets leave with TTL 255."""
_IP_RECVTTL = 12
_MTU_DISCOVER = {
    socket.AF_INET: (socket.IPPROTO_IP, 10),
    socket.AF_INET6: (socket.IPPROTO_IPV6, 23),
}
"""IP_MTU_DISCOVER and IPV6_MTU_DISCOVER, by family."""
_PMTUDISC_PROBE = 3
_SO_ATTACH_FILTER, _SO_RCVBUFFORCE, _SO_MEMINFO = 26, 33, 55
_MEMINFO_DROPS = 8
_SOL_RAW, _ICMP_FILTER = 255, 1
_RECEIVE_BUFFER_BYTES = 1 << 20


def prepare(sock: socket.socket, interface: str | None, dscp: int) -> None:
    """What all our sockets have in common: way out, marking, hop limits of replies, room."""
    if interface is not None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, interface.encode())
    # Never in fragments, whatever the kernel has learnt: a size that does not fit must show.
    sock.setsockopt(*_MTU_DISCOVER[socket.AddressFamily(sock.family)], _PMTUDISC_PROBE)
    if sock.family == socket.AF_INET:
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, dscp << 2)
        if sock.type != socket.SOCK_RAW:  # there the IP header itself tells
            sock.setsockopt(socket.IPPROTO_IP, _IP_RECVTTL, 1)
    else:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_TCLASS, dscp << 2)
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVHOPLIMIT, 1)
    try:
        sock.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _RECEIVE_BUFFER_BYTES)
    except PermissionError:  # then as much as net.core.rmem_max lets everyone have
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER_BYTES)


def hear_refusals(sock: socket.socket) -> None:
    """Have ICMP errors about what this socket sent put into its error queue."""
    level = socket.IPPROTO_IP if sock.family == socket.AF_INET else socket.IPPROTO_IPV6
    sock.setsockopt(level, RECVERR[level], 1)


def filter_replies(sock: socket.socket, cookie: bytes) -> None:
    """Let the kernel drop what is neither an echo reply with our cookie nor an ICMP error.

    A raw socket hears every ICMP packet of the machine. Classic BPF: IPv4 raw sockets filter from
    the IP header on, IPv6 ones from the ICMPv6 header on.
    """
    four = sock.family == socket.AF_INET
    reply, unreachable, expired, too_big = wanted = (0, 3, 11, 3) if four else (129, 1, 3, 2)
    # The type alone is looked at before the packet is copied for us.
    blocked = (1 << (32 if four else 256)) - 1 - sum(1 << kind for kind in {*wanted})
    words = [blocked >> bit & 0xFFFF_FFFF for bit in range(0, 32 if four else 256, 32)]
    level = _SOL_RAW if four else socket.IPPROTO_ICMPV6
    sock.setsockopt(level, _ICMP_FILTER, struct.pack(f"={len(words)}I", *words))
    program = [
        (0xB1 if four else 0x01, 0, 0, 0),  # x = length of the IPv4 header, or 0
        (0x50, 0, 0, 0),  # a = byte x + 0, the ICMP type
        (0x15, 3, 0, too_big),  # in IPv4 it is a code of unreachable
        (0x15, 2, 0, unreachable),
        (0x15, 1, 0, expired),
        (0x15, 1, 4, reply),
        (0x06, 0, 0, 0xFFFF_FFFF),  # accept
        (0x40, 0, 0, 8),  # a = word x + 8, the first after the ICMP header
        (0x15, 0, 1, int.from_bytes(cookie[:4], "big")),
        (0x06, 0, 0, 0xFFFF_FFFF),
        (0x06, 0, 0, 0),  # drop
    ]
    code = b"".join(struct.pack("=HBBI", *step) for step in program)
    buffer = ctypes.create_string_buffer(code, len(code))
    filter_ = struct.pack("@HP", len(program), ctypes.addressof(buffer))
    sock.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, filter_)


def send_far(sock: socket.socket) -> None:
    """Send with UDP_HOPS."""
    if sock.family == socket.AF_INET:
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, UDP_HOPS)
    else:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS, UDP_HOPS)


def dropped(sock: socket.socket) -> int:
    """Datagrams that this socket had no room for: the kernel's own count (SO_MEMINFO)."""
    try:
        numbers = sock.getsockopt(socket.SOL_SOCKET, _SO_MEMINFO, 64)
    except OSError:
        return 0
    values = struct.unpack(f"={len(numbers) // 4}I", numbers)
    return values[_MEMINFO_DROPS] if len(values) > _MEMINFO_DROPS else 0
