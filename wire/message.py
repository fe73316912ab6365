"""Signed messages other than batches: enrolment and live status, both ways.

A message is `magic | kind | signature | JSON`. The kind is in the signed context, so that a
status cannot be replayed as an enrolment. Live status is never evidence: newest wins, it may be
dropped, audits do not read it.
"""

from enum import IntEnum
from typing import Annotated, TypeVar

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

from wire.errors import Refusal, WireError
from wire.instant import BootNs, ClockClass, WallNs
from wire.journal import Text
from wire.observation import Name, Seq
from wire.policy import Policy

MAGIC = b"PTM1"
MAX_MESSAGE_BYTES = 1024 * 1024
"""A policy for the prober beside the hub is long; everything else is short."""
STATUS_TARGETS = 64
"""Targets in a status: those with the most loss, where a node has more."""
_PREFIX = 5 + 64

Hex16 = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{32}\Z")]
Hex64 = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{128}\Z")]
Hex32 = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}\Z")]
Ns = Annotated[int, msgspec.Meta(ge=0, le=2**62)]
Count = Annotated[int, msgspec.Meta(ge=0, le=2**53)]


class Kind(IntEnum):
    """What a signed message is; part of what is signed."""

    ENROL = 1
    ENROLLED = 2
    STATUS = 3
    STATUS_REPLY = 4


class Message(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True
):
    """Base of the four."""


class Enrol(Message, frozen=True, kw_only=True):
    """An agent presents its own public keys, signed by the join token's key."""

    token_id: Hex16
    token_key: Hex32
    """Public half of the token's secret; the collector keeps only its SHA-256."""
    public_key: Hex32
    exchange_key: Hex32
    """X25519 public key, from which both ends derive the STAMP key."""
    nonce: Hex16
    proof: Hex64
    """Signature by the private half of `public_key`, see `enrol_proof`: nobody can enrol a key
    that is somebody else's."""
    agent_version: Text
    machine: Text = ""

    def __post_init__(self) -> None:
        # A point of low order would make every later derivation of this agent's STAMP key fail
        # (RFC 7748 section 6.1), at the hub, long after the enrolment.
        try:
            exchange = X25519PublicKey.from_public_bytes(bytes.fromhex(self.exchange_key))
            X25519PrivateKey.generate().exchange(exchange)
        except ValueError as error:
            raise ValueError("exchange_key is not an X25519 public key") from error


def _enrol_claim(token_id: str, exchange_key: str, nonce: str) -> bytes:
    parts = (bytes.fromhex(part) for part in (token_id, exchange_key, nonce))
    return b"pantau-claim-v1\x00" + b"".join(parts)


def enrol_proof(key: Ed25519PrivateKey, *, token_id: str, exchange_key: str, nonce: str) -> str:
    """The `proof` of an Enrol with these fields, by the key that it brings."""
    return key.sign(_enrol_claim(token_id, exchange_key, nonce)).hex()


def check_enrol_proof(request: "Enrol") -> None:
    """Raises WireError(BAD_SIGNATURE) unless the asker holds the key that it brings."""
    claim = _enrol_claim(request.token_id, request.exchange_key, request.nonce)
    try:
        public_key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(request.public_key))
        public_key.verify(bytes.fromhex(request.proof), claim)
    except (InvalidSignature, ValueError) as error:
        raise WireError(Refusal.BAD_SIGNATURE, "proof is not by public_key") from error


class Enrolled(Message, frozen=True, kw_only=True):
    """The collector's answer, signed by the key whose fingerprint was in the token."""

    nonce: Hex16
    agent_id: Hex16
    collector_key: Hex32
    exchange_key: Hex32
    policy: Policy
    received_wall_ns: WallNs


class TargetStatus(Message, frozen=True, kw_only=True):
    """One target over the last `window_s` settled seconds, as the agent sees it now."""

    link: Name
    target: Name
    sent: Count
    lost: Count
    not_sent: Count
    rtt_median_ns: Ns | None = None
    rtt_max_ns: Ns | None = None
    last_reply_boot_ns: BootNs | None = None


class SpoolStatus(Message, frozen=True, kw_only=True):
    """How much evidence still waits at the node."""

    batches_waiting: Count
    bytes_used: Count
    bytes_cap: Count
    oldest_boot_ns: BootNs | None = None
    refused: Count = 0
    dropped_observations: Count = 0


class Status(Message, frozen=True, kw_only=True):
    """The node's own view of now. Newest (epoch, counter) wins."""

    agent_id: Hex16
    epoch: Hex16
    counter: Seq
    boot_id: Hex16
    boot_ns: BootNs
    wall_ns: WallNs
    clock: ClockClass
    nonce: Hex16
    agent_version: Text
    policy_digest: Hex32
    window_s: Annotated[float, msgspec.Meta(ge=0, le=86_400)]
    targets: Annotated[tuple[TargetStatus, ...], msgspec.Meta(max_length=STATUS_TARGETS)]
    spool: SpoolStatus
    last_acked: tuple[Hex16, Seq] | None = None
    """Newest (epoch, seq) whose receipt is held: lets a restored collector see what it lost."""
    notes: Annotated[tuple[Text, ...], msgspec.Meta(max_length=8)] = ()
    """What the operator should know, e.g. that ICMP is not permitted on this box."""


class StatusReply(Message, frozen=True, kw_only=True):
    """The hub's clock, and orders when they changed."""

    nonce: Hex16
    received_wall_ns: WallNs
    policy: Policy | None = None
    rewind: bool = False
    """The collector misses batches that this agent holds receipts for: send them again."""
    catchup_bytes_per_s: Count | None = None


_KINDS: dict[type[Message], Kind] = {
    Enrol: Kind.ENROL,
    Enrolled: Kind.ENROLLED,
    Status: Kind.STATUS,
    StatusReply: Kind.STATUS_REPLY,
}
M = TypeVar("M", Enrol, Enrolled, Status, StatusReply)


def _context(kind: Kind, body: bytes) -> bytes:
    return b"pantau-message-v1\x00" + bytes([kind]) + body


def sign(message: Enrol | Enrolled | Status | StatusReply, key: Ed25519PrivateKey) -> bytes:
    """The message's bytes, signed with `key`. Raises ValueError where nobody would take them."""
    kind = _KINDS[type(message)]
    body = msgspec.json.encode(message)
    if _PREFIX + len(body) > MAX_MESSAGE_BYTES:
        raise ValueError(f"{kind.name} of {len(body)} bytes, at most {MAX_MESSAGE_BYTES}")
    return MAGIC + bytes([kind]) + key.sign(_context(kind, body)) + body


def peek(data: bytes, form: type[M]) -> M:
    """The message, its signature not yet checked: to learn whose key to check it with.

    Raises WireError: TOO_LARGE, MALFORMED or BAD_BODY.
    """
    if len(data) > MAX_MESSAGE_BYTES:
        raise WireError(Refusal.TOO_LARGE, f"message of {len(data)} bytes")
    if len(data) <= _PREFIX or data[:4] != MAGIC or data[4] != _KINDS[form]:
        raise WireError(Refusal.MALFORMED, f"{len(data)} bytes that are not a {form.__name__}")
    try:
        return msgspec.json.decode(data[_PREFIX:], type=form)
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise WireError(Refusal.BAD_BODY, f"{form.__name__}: {error}") from error


def verify(data: bytes, form: type[M], public_key: bytes) -> M:
    """The message, signed by the holder of `public_key` (32 bytes).

    Raises WireError: what `peek` raises, or BAD_SIGNATURE.
    """
    message = peek(data, form)
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(
            data[5:_PREFIX], _context(_KINDS[form], data[_PREFIX:])
        )
    except (InvalidSignature, ValueError) as error:
        raise WireError(
            Refusal.BAD_SIGNATURE, f"{form.__name__}: not signed by this key"
        ) from error
    return message
