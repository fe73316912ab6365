"""What the two ends of a throughput test say to each other (docs/throughput.md).

A control connection (TCP) carries sealed frames; load and pings are datagrams or TCP flows whose
first bytes prove that they belong to the slot. Pure: bytes and data, no sockets.

    frame     length (4 octets) | HMAC-SHA-256 (32) | JSON
    datagram  tag (8) | kind (1) | flags (1) | zero (2) | number (8) | stamp_ns (8) | rest

Keys: a slot's key is known to the hub and to one agent. Each connection has a session key, made of
it and of two random nonces, so nothing that was said in one can be said again in another. A frame's
HMAC covers who says it and how many frames went before.
"""

import hashlib
import hmac
import struct
from enum import IntEnum, StrEnum
from typing import Annotated, Final

import msgspec

from wire.journal import Text
from wire.slot import Direction, Method, Rate
from wire.transfer import Column, DelayColumn, Flow, HubLoad, Offer, Purpose

VERSION = 1
MAX_FRAME_BYTES = 256 * 1024
MAX_KNOCK_BYTES = 512
"""Largest first frame: what a stranger can make the hub keep."""
_PREFIX = struct.Struct(">I32s")
DATAGRAM = struct.Struct(">8sBBHQQ")
"""tag, kind, flags, zero, number, stamp_ns."""
MAC_BYTES = 32
PING_BYTES = 64
"""A ping's UDP payload; the answer is as long."""
PONG_TIMES = struct.Struct(">QQ")
"""After the header of a PONG: when the ping came and when the answer left, by the hub's clock."""
LEAST_PACKET = 128
Nonce = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{32}\Z")]
Mac = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}\Z")]
SlotId = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{32}\Z")]


class LoadError(ValueError):
    """Bytes of the other end that are not what they should be."""


class Kind(IntEnum):
    """What a datagram is."""

    LOAD = 1
    KNOCK = 2
    """the first of a flow, as long as a full packet; proves the slot and that such packets pass"""
    KNOCKED = 3
    """the answer, of the same length"""
    PING = 4
    PONG = 5


PING_FLOW, DATA_FLOW = 1, 2
"""Numbers of KNOCKs: which flow of the session it is."""
HEAD = 1
"""Flag: the first packet of a burst, whose delay is not the burst's own."""


class Step(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Offer so much for so long."""

    bits_per_s: Rate
    seconds: Annotated[float, msgspec.Meta(gt=0, le=3600)]


class Ca(StrEnum):
    """Whose certificate an ndt7 server, or the hub's HTTP port, must have."""

    SYSTEM = "system"
    NOBODY = "nobody"
    """any: the slot's proof, not TLS, says who is who"""


class Plan(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How one test is made; within its Grant."""

    purpose: Purpose = Purpose.PLANNED
    cir_bits_per_s: Rate | None = None
    """Of IP packets; the box must prove 1.2 times of it. None: 1.0 times the largest offer."""
    steps: Annotated[tuple[Step, ...], msgspec.Meta(min_length=1, max_length=64)]
    """UDP: offered one after the other. TCP, ndt7, iperf3: seconds and a bound of all together."""
    search: bool = False
    """UDP: search for the largest rate below the step's (RFC 9097 section 8, TR-471 type B)."""
    packet_bytes: Annotated[int, msgspec.Meta(ge=LEAST_PACKET, le=9216)] = 1500
    """Longest IP packets of load; UDP takes shorter ones where these do not pass."""
    idle_s: Annotated[float, msgspec.Meta(ge=0, le=5)] = 1.0
    """Round trips without load before the test."""
    ping_interval_s: Annotated[float, msgspec.Meta(ge=0.005, le=60)] = 0.02
    selftest_s: Annotated[float, msgspec.Meta(ge=0, le=10)] = 0.5
    """Length of the box's proof; 0 leaves it out, and then the box proves nothing."""
    url: Annotated[str, msgspec.Meta(max_length=1024)] | None = None
    """ndt7: the server's `ws://` or `wss://` address without a path."""
    web: Annotated[str, msgspec.Meta(max_length=1024)] | None = None
    """TCP, ndt7: the hub's own `http://` or `https://` address, for small requests beside the
    load; None: none are made."""
    ca: Annotated[str, msgspec.Meta(max_length=1024)] = Ca.SYSTEM
    """Over TLS: `system`, `nobody`, or a file of PEM certificates."""

    def __post_init__(self) -> None:
        if self.search and len(self.steps) != 1:
            raise ValueError("a search has one step: its bound and its length")

    @property
    def seconds(self) -> float:
        """Length of the load."""
        return sum(step.seconds for step in self.steps)

    @property
    def most_bits_per_s(self) -> int:
        """The largest offer."""
        return max(step.bits_per_s for step in self.steps)


SHARE = 0.95
"""Of what cross traffic leaves of the CIR: enough to see a shortfall of a tenth, and no queue."""
SLOWEST = 64_000


def assertion(
    cir_bits_per_s: int, cross_bits_per_s: int = 0, *, seconds: float = 10.0, share: float = SHARE
) -> Plan:
    """A UDP plan that asks: is the CIR there now? (methodology 4.4, T1)."""
    rate = max(SLOWEST, round(share * max(0, cir_bits_per_s - cross_bits_per_s)))
    return Plan(cir_bits_per_s=cir_bits_per_s, steps=(Step(bits_per_s=rate, seconds=seconds),))


def staircase(cir_bits_per_s: int, *, seconds: float = 10.0) -> Plan:
    """A UDP plan of 50, 75, 90 and 100 % of the CIR (the form of ITU-T Y.1564, stage 1)."""
    shares = (0.50, 0.75, 0.90, 1.00)
    steps = (Step(bits_per_s=round(cir_bits_per_s * one), seconds=seconds) for one in shares)
    return Plan(purpose=Purpose.ACCEPTANCE, cir_bits_per_s=cir_bits_per_s, steps=tuple(steps))


class Message(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True
):
    """What a frame carries."""


class Knock(Message, frozen=True, tag="knock"):
    """First frame of a connection. With `flow`, a TCP flow of a session that stands already."""

    version: int
    slot_id: SlotId
    nonce: Nonce
    flow: Annotated[int, msgspec.Meta(ge=0, le=15)] | None = None


class Welcome(Message, frozen=True, tag="welcome"):
    """The hub knows the slot; sealed by the session key, which proves the hub, too."""

    nonce: Nonce


class Order(Message, frozen=True, tag="order"):
    """What the agent wants to do within its grant."""

    method: Method
    direction: Direction
    flows: Annotated[int, msgspec.Meta(ge=1, le=16)]
    packet_bytes: Annotated[int, msgspec.Meta(ge=LEAST_PACKET, le=9216)]
    steps: Annotated[tuple[Step, ...], msgspec.Meta(min_length=1, max_length=64)]
    search: bool = False


class Ready(Message, frozen=True, tag="ready"):
    """The hub agrees; datagrams carry this tag."""

    tag: Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{16}\Z")]


class Refused(Message, frozen=True, tag="refused"):
    """It does not, or no longer."""

    reason: Text


class Go(Message, frozen=True, tag="go"):
    """All flows stand; packets are this long. Load may begin."""

    packet_bytes: Annotated[int, msgspec.Meta(ge=LEAST_PACKET, le=9216)]


class Report(Message, frozen=True, tag="report"):
    """Receiver to sender, every 50 ms of a search (RFC 9097 section 8.1)."""

    number: int
    errors: int
    """Packets lost, reordered or doubled since the last report."""
    delay_range_us: int
    """Largest one-way delay since the last report, less the least of the test."""
    octets: int


class Sent(Message, frozen=True, tag="sent"):
    """The sender's account, at the end of the load."""

    duration_ns: int
    packets: int | None = None
    unsent: int | None = None
    offered: tuple[Offer, ...] = ()
    flows: tuple[Flow, ...] = ()


class Counted(Message, frozen=True, tag="counted"):
    """The receiver's account."""

    bin_ns: int
    octets: Column
    packets: Column | None = None
    lost: Column | None = None
    reordered: Column | None = None
    duplicated: Column | None = None
    late: int | None = None
    dropped: int | None = None
    delay_us: DelayColumn = []
    delay_interval_ns: int | None = None
    flows: tuple[Flow, ...] = ()
    headers: tuple[int, int, int] | None = None
    """IP header, transport header, full packet."""


class Done(Message, frozen=True, tag="done"):
    """The hub's last word."""

    hub: HubLoad


Spoken = Knock | Welcome | Order | Ready | Refused | Go | Report | Sent | Counted | Done
_decoder: msgspec.json.Decoder[Spoken] = msgspec.json.Decoder(Spoken)
_encoder = msgspec.json.Encoder()
AGENT: Final = b"agent"
HUB: Final = b"hub"


def mac(key: bytes, *parts: bytes) -> bytes:
    """HMAC-SHA-256 over parts that cannot be moved against each other."""
    said = b"".join(len(part).to_bytes(4, "big") + part for part in parts)
    return hmac.digest(key, b"pantau-load-v1\x00" + said, hashlib.sha256)


def session_key(slot_key: bytes, agent_nonce: str, hub_nonce: str) -> bytes:
    """The key of one connection."""
    return mac(slot_key, b"session", bytes.fromhex(agent_nonce), bytes.fromhex(hub_nonce))


def flow_key(session: bytes) -> bytes:
    """What seals the first frame of a TCP flow of this session."""
    return mac(session, b"flow")


class Seal:
    """One direction of a connection: frames in their order, none twice."""

    def __init__(self, key: bytes, speaker: bytes) -> None:
        self._key = key
        self._speaker = speaker
        self._count = 0

    def _mac(self, body: bytes) -> bytes:
        number = self._count.to_bytes(8, "big")
        self._count += 1
        return mac(self._key, self._speaker, number, body)

    def close(self, message: Spoken) -> bytes:
        """The next frame. Raises LoadError for what nobody would take."""
        body = _encoder.encode(message)
        if len(body) > MAX_FRAME_BYTES:
            raise LoadError(f"a frame of {len(body)} bytes, at most {MAX_FRAME_BYTES}")
        return _PREFIX.pack(len(body), self._mac(body)) + body

    def open(self, digest: bytes, body: bytes) -> Spoken:
        """The message of the next frame. Raises LoadError."""
        if not hmac.compare_digest(self._mac(body), digest):
            raise LoadError("a frame that the holder of the key did not make")
        return parse(body)


def parse(body: bytes) -> Spoken:
    """The message. Raises LoadError."""
    try:
        return _decoder.decode(body)
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise LoadError(f"not a message: {error}") from error


def cut(data: bytes | bytearray, limit: int = MAX_FRAME_BYTES) -> tuple[bytes, bytes, int] | None:
    """MAC, body and length of the first frame in `data`; None while it is not complete.

    Raises LoadError for one that is longer than `limit`.
    """
    length = int.from_bytes(data[:4], "big") if len(data) >= 4 else 0
    if length > limit:
        raise LoadError(f"a frame of {length} bytes, at most {limit}")
    if len(data) < _PREFIX.size:
        return None
    length, digest = _PREFIX.unpack_from(data)
    end = _PREFIX.size + length
    return (digest, bytes(data[_PREFIX.size : end]), end) if len(data) >= end else None


def knock_frame(message: Knock, key: bytes) -> bytes:
    """The first frame of a connection: sealed by the slot's key, or by a session's flow key."""
    return Seal(key, AGENT).close(message)


def check_knock(digest: bytes, body: bytes, key: bytes) -> None:
    """Raises LoadError unless the holder of `key` made this first frame."""
    Seal(key, AGENT).open(digest, body)


def datagram(tag: bytes, kind: Kind, number: int, stamp_ns: int, length: int) -> bytearray:
    """A datagram of `length` octets of payload."""
    made = bytearray(length)
    DATAGRAM.pack_into(made, 0, tag, kind, 0, 0, number, stamp_ns)
    return made


def prove(packet: bytearray, session: bytes) -> bytearray:
    """Put the proof into a KNOCK or KNOCKED; covers header and length."""
    at = DATAGRAM.size
    length = len(packet).to_bytes(4, "big")
    packet[at : at + MAC_BYTES] = mac(session, b"datagram", bytes(packet[:at]), length)
    return packet


def proven(packet: bytes | bytearray, session: bytes) -> bool:
    """Whether the holder of the session key made this KNOCK or KNOCKED."""
    at = DATAGRAM.size
    if len(packet) < at + MAC_BYTES:
        return False
    length = len(packet).to_bytes(4, "big")
    made = mac(session, b"datagram", bytes(packet[:at]), length)
    return hmac.compare_digest(made, bytes(packet[at : at + MAC_BYTES]))
