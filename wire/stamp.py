"""STAMP test packets (RFC 8762, RFC 8972 session id): bytes to fields and back, nothing else.

Two modes, two packets each. Unauthenticated packets are 44 octets, authenticated ones 112 with
an HMAC-SHA-256 cut to 128 bits over the first 96 (RFC 8762 section 4.4). Extra octets after the
base packet are padding or TLVs, echoed by a reflector and not read here.
"""

import hmac
import struct
from typing import NamedTuple

from wire.errors import Refusal, WireError

DEFAULT_PORT = 862
OPEN_BYTES = 44
AUTHENTICATED_BYTES = 112
_HMAC_OVER = 96
_HMAC_BYTES = 16
_NTP_UNIX_S = 2_208_988_800
"""Seconds from 1900-01-01 to 1970-01-01 (RFC 5905 section 6)."""

_SENDER = struct.Struct(">IQHH28x")
_SENDER_AUTH = struct.Struct(">I12xQHH68x")
_REFLECTOR = struct.Struct(">IQHHQIQH2xB3x")
_REFLECTOR_AUTH = struct.Struct(">I12xQHH4xQ8xI12xQH6xB15x")
_TIMESTAMP = struct.Struct(">Q")
_TIMESTAMP_AT, _TIMESTAMP_AT_AUTH = 4, 16


class SenderPacket(NamedTuple):
    """What a session-sender sends (RFC 8762 section 4.2). Timestamps are NTP-64."""

    seq: int
    timestamp: int
    error_estimate: int
    ssid: int


class ReflectorPacket(NamedTuple):
    """What a session-reflector answers (RFC 8762 section 4.3). Timestamps are NTP-64."""

    seq: int
    timestamp: int
    error_estimate: int
    ssid: int
    receive_timestamp: int
    sender_seq: int
    sender_timestamp: int
    sender_error_estimate: int
    sender_ttl: int


def ntp64(wall_ns: int) -> int:
    """NTP-64 timestamp of a Unix time in nanoseconds: 32.32 fixed point, to the nearest tick."""
    ticks = ((wall_ns << 33) // 1_000_000_000 + 1) >> 1
    return (ticks + (_NTP_UNIX_S << 32)) % 2**64


def unix_ns(timestamp: int) -> int:
    """Unix nanoseconds of an NTP-64 timestamp of the years 1968 to 2104 (RFC 4330 section 3)."""
    era_ticks = 0 if timestamp >> 63 else 2**64
    return ((timestamp + era_ticks - (_NTP_UNIX_S << 32)) * 1_000_000_000 + 2**31) >> 32


def ntp64_difference_ns(later: int, earlier: int) -> int:
    """Nanoseconds between two NTP-64 timestamps, right across the era change of 2036."""
    ticks = (later - earlier + 2**63) % 2**64 - 2**63
    return (ticks * 1_000_000_000) >> 32


def error_estimate(error_ns: int, *, synchronised: bool) -> int:
    """Error Estimate field: S | Z=0 | Scale(6) | Multiplier(8) (RFC 4656 section 4.1.2).

    The smallest representable value that is not below `error_ns`; a Multiplier of 0 is not
    allowed, so the least is 2^-32 s.
    """
    ticks = max(1, -((-error_ns << 32) // 1_000_000_000))
    scale = 0
    while ticks > 255:
        ticks, scale = (ticks + 1) >> 1, scale + 1
    return synchronised << 15 | min(scale, 63) << 8 | ticks


def error_ns(estimate: int) -> int | None:
    """Nanoseconds that an Error Estimate field stands for; None where it is marked corrupt."""
    multiplier, scale = estimate & 0xFF, estimate >> 8 & 0x3F
    return (multiplier << scale) * 1_000_000_000 >> 32 if multiplier else None


def _sealed(base: bytes, key: bytes | None) -> bytes:
    return base if key is None else base + hmac.digest(key, base, "sha256")[:_HMAC_BYTES]


def _opened(data: bytes, key: bytes | None) -> None:
    smallest = OPEN_BYTES if key is None else AUTHENTICATED_BYTES
    if len(data) < smallest:
        raise WireError(Refusal.MALFORMED, f"STAMP packet of {len(data)} octets, need {smallest}")
    if key is not None:
        expected = hmac.digest(key, data[:_HMAC_OVER], "sha256")[:_HMAC_BYTES]
        if not hmac.compare_digest(expected, data[_HMAC_OVER:AUTHENTICATED_BYTES]):
            raise WireError(Refusal.BAD_SIGNATURE, "STAMP packet with a wrong HMAC")


def pack_sender(packet: SenderPacket, key: bytes | None = None, padding: int = 0) -> bytes:
    """Octets of a sender packet; authenticated where `key` is given."""
    layout = _SENDER if key is None else _SENDER_AUTH
    return _sealed(layout.pack(*packet), key) + bytes(padding)


def pack_reflector(packet: ReflectorPacket, key: bytes | None = None, rest: bytes = b"") -> bytes:
    """Octets of a reflector packet, followed by `rest`, the echoed octets after the base."""
    return bytes(set_timestamp(draft_reflector(packet, key, rest), packet.timestamp, key))


def draft_reflector(
    packet: ReflectorPacket, key: bytes | None = None, rest: bytes = b""
) -> bytearray:
    """A reflector packet that lacks its transmit timestamp, and in authenticated mode its HMAC:
    both come last, so that as little as possible lies between reading the clock and sending."""
    if key is None:
        return bytearray(_REFLECTOR.pack(*packet) + rest)
    return bytearray(_REFLECTOR_AUTH.pack(*packet) + bytes(_HMAC_BYTES) + rest)


def set_timestamp(draft: bytearray, timestamp: int, key: bytes | None = None) -> bytearray:
    """Complete a draft: the NTP-64 time of transmission, then the HMAC over it."""
    if key is None:
        _TIMESTAMP.pack_into(draft, _TIMESTAMP_AT, timestamp)
        return draft
    _TIMESTAMP.pack_into(draft, _TIMESTAMP_AT_AUTH, timestamp)
    digest = hmac.digest(key, memoryview(draft)[:_HMAC_OVER], "sha256")
    draft[_HMAC_OVER:AUTHENTICATED_BYTES] = digest[:_HMAC_BYTES]
    return draft


def sender_ssid(data: bytes, *, authenticated: bool) -> int:
    """Session id of a sender packet, read before anything is verified; 0 where it is too short."""
    at = 26 if authenticated else 14
    return int.from_bytes(data[at : at + 2], "big") if len(data) >= at + 2 else 0


def parse_sender(data: bytes, key: bytes | None = None) -> SenderPacket:
    """Fields of a sender packet. Raises WireError: MALFORMED or BAD_SIGNATURE."""
    _opened(data, key)
    return SenderPacket(*(_SENDER if key is None else _SENDER_AUTH).unpack_from(data))


def parse_reflector(data: bytes, key: bytes | None = None) -> ReflectorPacket:
    """Fields of a reflector packet. Raises WireError: MALFORMED or BAD_SIGNATURE."""
    _opened(data, key)
    return ReflectorPacket(*(_REFLECTOR if key is None else _REFLECTOR_AUTH).unpack_from(data))
