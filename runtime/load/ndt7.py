"""What client and server of ndt7 share (protocol v0.11.0): sizes, times, messages. Pure."""

import hashlib
import hmac
import math
from typing import Annotated

import msgspec

from runtime.load.tcp_info import TcpInfo

PROTOCOL = "net.measurementlab.ndt.v7"
DOWNLOAD, UPLOAD = "/ndt/v7/download", "/ndt/v7/upload"
OCTET = "/v1/load/octet"
"""Not of the protocol: one octet for the holder of a slot, beside its load."""
FIRST_MESSAGE = 1 << 13
LARGEST_SCALED = 1 << 20
"""Senders go no further, as M-Lab's server does."""
LARGEST_MESSAGE = 1 << 24
"""What a receiver must take."""
SCALING = 16
DURATION_S = 10.0
LONGEST_S = 13.0
"""After so long the connection may be closed, whatever the other end does."""
MEAN_S, LEAST_S, MOST_S = 0.25, 0.025, 0.625
"""Between measurements: exponential, within bounds."""
MOST_QUERY = 4096
EARLY_EXIT = "250"
"""Megabytes after which a client may have a download end; the protocol knows no other number."""
AUTHORIZATION = "Pantau-Slot"
Int = Annotated[int, msgspec.Meta(ge=0, le=2**53)]


class Lax(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Fields that we do not know are let pass, as the protocol wants it."""


class AppInfo(Lax, frozen=True, kw_only=True, rename="pascal"):
    """Application's view: microseconds and payload octets since the beginning."""

    elapsed_time: Int
    num_bytes: Int


class ConnectionInfo(Lax, frozen=True, kw_only=True, rename="pascal"):
    """Both ends as the server sees them."""

    client: str
    server: str


class TcpFacts(Lax, frozen=True, kw_only=True):
    """Kernel's view; times in microseconds, octets on the TCP level."""

    busy_time: Int | None = msgspec.field(default=None, name="BusyTime")
    bytes_acked: Int | None = msgspec.field(default=None, name="BytesAcked")
    bytes_received: Int | None = msgspec.field(default=None, name="BytesReceived")
    bytes_sent: Int | None = msgspec.field(default=None, name="BytesSent")
    bytes_retrans: Int | None = msgspec.field(default=None, name="BytesRetrans")
    elapsed_time: Int | None = msgspec.field(default=None, name="ElapsedTime")
    min_rtt: Int | None = msgspec.field(default=None, name="MinRTT")
    rtt: Int | None = msgspec.field(default=None, name="RTT")
    rtt_var: Int | None = msgspec.field(default=None, name="RTTVar")
    rwnd_limited: Int | None = msgspec.field(default=None, name="RWndLimited")
    sndbuf_limited: Int | None = msgspec.field(default=None, name="SndBufLimited")


class Measurement(Lax, frozen=True, kw_only=True):
    """One textual message."""

    app: AppInfo | None = msgspec.field(default=None, name="AppInfo")
    connection: ConnectionInfo | None = msgspec.field(default=None, name="ConnectionInfo")
    origin: str | None = msgspec.field(default=None, name="Origin")
    test: str | None = msgspec.field(default=None, name="Test")
    tcp: TcpFacts | None = msgspec.field(default=None, name="TCPInfo")


def facts(info: TcpInfo, elapsed_us: int) -> TcpFacts:
    """A reading of TCP_INFO in the protocol's words; what this kernel lacks is left out."""
    return TcpFacts(
        busy_time=info.busy_us,
        bytes_acked=info.bytes_acked,
        bytes_received=info.bytes_received,
        bytes_sent=info.bytes_sent,
        bytes_retrans=info.bytes_retransmitted,
        elapsed_time=elapsed_us,
        min_rtt=info.min_rtt_us,
        rtt=info.rtt_us,
        rtt_var=info.rttvar_us,
        rwnd_limited=info.rwnd_limited_us,
        sndbuf_limited=info.sndbuf_limited_us,
    )


def next_size(size: int, sent: int, most: int = LARGEST_SCALED) -> int:
    """Double while a message is no more than a sixteenth of what was sent, up to `most`."""
    return size * 2 if 2 * size <= most and size <= sent // SCALING else size


def largest(bytes_per_s: int) -> int:
    """The longest message at a known rate: what is asked on the same connection waits for no more
    than 10 ms of it."""
    return min(LARGEST_SCALED, max(FIRST_MESSAGE, bytes_per_s // 100))


def poisson_gap_s(uniform: float, mean_s: float) -> float:
    """Time to the next event of a Poisson process, of a number in (0, 1] (RFC 2330 11.1.1)."""
    return -mean_s * math.log(uniform)


def pause_s(uniform: float) -> float:
    """Time to the next measurement, of a number in (0, 1]."""
    return min(MOST_S, max(LEAST_S, poisson_gap_s(uniform, MEAN_S)))


def proof(key: bytes, path: str, nonce: str) -> str:
    """That the holder of a slot asks for this test, in this one request."""
    said = f"{path}\x00{nonce}".encode()
    return hmac.digest(key, b"pantau-ndt-v1\x00" + said, hashlib.sha256).hex()


def authorization(slot_id: str, key: bytes, path: str, nonce: str) -> str:
    """The Authorization header of a slot's holder."""
    return f"{AUTHORIZATION} {slot_id} {nonce} {proof(key, path, nonce)}"
