"""What the kernel knows of a TCP connection (struct tcp_info, linux/tcp.h).

The struct has only ever grown: what this kernel does not have is None.
"""

import socket
import struct
from typing import NamedTuple

from wire.detail import Count
from wire.transfer import Flow

_BYTES = 280
_U32 = struct.Struct("=I")
_U64 = struct.Struct("=Q")
_TCP_CONGESTION = 13
_LONGEST_RTT_NS = 3_600_000_000_000
_NO_RTT = 0xFFFF_FFFF
TIMESTAMPS = 1
"""Option bit of tcpi_options: each segment carries 12 more octets."""
_AT32 = {
    "snd_mss": 16,
    "rcv_mss": 20,
    "rtt_us": 68,
    "rttvar_us": 72,
    "retransmits": 100,
    "min_rtt_us": 148,
    "segments_in": 152,
    "segments_out": 156,
}
_AT64 = {
    "bytes_acked": 120,
    "bytes_received": 128,
    "busy_us": 168,
    "rwnd_limited_us": 176,
    "sndbuf_limited_us": 184,
    "bytes_sent": 200,
    "bytes_retransmitted": 208,
}


class TcpInfo(NamedTuple):
    """One reading; None where this kernel says nothing. Times in microseconds."""

    options: int
    snd_mss: int | None
    rcv_mss: int | None
    rtt_us: int | None
    rttvar_us: int | None
    retransmits: int | None
    min_rtt_us: int | None
    segments_in: int | None
    segments_out: int | None
    bytes_acked: int | None
    bytes_received: int | None
    busy_us: int | None
    rwnd_limited_us: int | None
    sndbuf_limited_us: int | None
    bytes_sent: int | None
    bytes_retransmitted: int | None

    @property
    def header_bytes(self) -> int:
        """TCP header of a data segment."""
        return 32 if self.options & TIMESTAMPS else 20


def parse(raw: bytes) -> TcpInfo:
    """The struct's bytes, as long as this kernel made them."""

    def at(layout: struct.Struct, offset: int) -> int | None:
        fits = offset + layout.size <= len(raw)
        return int(layout.unpack_from(raw, offset)[0]) if fits else None

    words = {name: at(_U32, offset) for name, offset in _AT32.items()}
    longs = {name: at(_U64, offset) for name, offset in _AT64.items()}
    if words["min_rtt_us"] == _NO_RTT:
        words["min_rtt_us"] = None
    return TcpInfo(options=raw[5] if len(raw) > 5 else 0, **words, **longs)


def read(sock: socket.socket) -> TcpInfo:
    """Ask the kernel. Raises OSError."""
    return parse(sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _BYTES))


def congestion(sock: socket.socket) -> str:
    """Name of the congestion control algorithm."""
    raw = sock.getsockopt(socket.IPPROTO_TCP, _TCP_CONGESTION, 16)
    return raw.split(b"\0")[0].decode("ascii", "replace")


def _ns(us: int | None) -> int | None:
    return None if us is None else us * 1000


def rtt_ns(info: TcpInfo) -> int | None:
    """Smoothed RTT; None before the first."""
    return min(info.rtt_us * 1000, _LONGEST_RTT_NS) if info.rtt_us else None


def sender_facts(info: TcpInfo, algorithm: str, samples: list[int | None]) -> Flow:
    """What the sender's kernel says at the end of a flow."""
    return Flow(
        congestion=algorithm,
        mss=info.snd_mss or None,
        bytes_sent=info.bytes_sent,
        bytes_acked=info.bytes_acked,
        bytes_retransmitted=info.bytes_retransmitted,
        segments_sent=info.segments_out,
        retransmits=info.retransmits,
        busy_ns=_ns(info.busy_us),
        rwnd_limited_ns=_ns(info.rwnd_limited_us),
        sndbuf_limited_ns=_ns(info.sndbuf_limited_us),
        min_rtt_ns=_ns(info.min_rtt_us),
        rtt_ns=samples,
    )


def both_ends(sender: Flow | None, received: Count, segments: int | None) -> Flow:
    """A flow with what the receiver says of it, too."""
    one = sender or Flow()
    fields = {name: getattr(one, name) for name in one.__struct_fields__}
    return Flow(**{**fields, "received_bytes": received, "received_segments": segments})
