"""Signed messages other than batches: enrolment, live status and throughput slots, both ways.

A message is `magic | kind | signature | JSON`. The kind is in the signed context, so that a
status cannot be replayed as an enrolment. Live status is never evidence: newest wins, it may be
dropped, audits do not read it.
"""

from enum import IntEnum, StrEnum
from typing import Annotated, TypeVar

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

from wire.errors import Refusal, WireError
from wire.instant import BootNs, ClockClass, WallNs
from wire.journal import Text
from wire.observation import Name, Seq
from wire.plan import Flows, Order
from wire.policy import Policy
from wire.slot import Direction, Grant, Method, Rate

MAGIC = b"PTM1"
REVISION = 2
"""Revision of version 1 that this program reads: 2 knows of throughput tests."""
REVISION_HEADER = "Pantau-Revision"
"""HTTP header in which either end says the revision that it reads; without it, 1. Unknown fields
are refused, so nobody says what the other end has not said that it reads
(docs/decisions/0017)."""
MAX_LINK_TESTS = 16
MAX_ORDERS = 8
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
    SLOT_REQUEST = 5
    SLOT_REPLY = 6


class Message(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True
):
    """Base of the six and of their parts."""


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


LOSS_THRESHOLD = 0.5
"""Loss ratio above which time is bad (MEF 10.3 default C, methodology 1.1)."""


def mostly_lost(lost: int, sent: int, window_s: float) -> bool:
    """Whether so many of a window's packets were lost that the link counts as down now.

    By fewer than one packet in two seconds nothing is said.
    """
    return sent >= window_s / 2 and lost > LOSS_THRESHOLD * sent


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


class End(StrEnum):
    """What became of one direction of a throughput test."""

    DONE = "done"
    UNFIT = "unfit"
    """made, but one of the machines could not keep up: it accuses nobody"""
    FAILED = "failed"
    """begun and not ended as it should, or interrupted"""
    BUSY = "skipped_busy"
    """users took too much of the link at every look: not a failure"""
    BLIND = "skipped_blind"
    """nobody counts the users' traffic, and it was an hour in which they may be there"""
    BUDGET = "skipped_budget"
    """the month's budget is spent"""
    NO_SLOT = "skipped_no_slot"
    """the hub was not reached or gave no slot in time"""
    MISSED = "skipped_missed"
    """the box did not run, or did not know the time, when it was due"""


class LinkTests(Message, frozen=True, kw_only=True):
    """Throughput tests of one link, as the agent counts them."""

    link: Name
    month: Annotated[str, msgspec.Meta(pattern=r"^(\d{4}-\d{2})?\Z")]
    """Local month of `used_bytes`; empty while the box does not know the time."""
    used_bytes: Count
    budget_bytes: Count
    last_test_wall_ns: WallNs | None = None
    """Begin of the newest test that was done."""
    ends: dict[End, Count] = {}
    """Directions tested or not, since this box's logbook began."""
    deferred: Count = 0
    """Looks that found the users busy and put a test off."""


class OrderState(StrEnum):
    """Where an order is."""

    QUEUED = "queued"
    """at the hub; the agent has not said that it has it"""
    ACCEPTED = "accepted"
    GATE = "gate"
    """waits for the users"""
    SLOT = "slot"
    """waits for the hub's slot"""
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    SKIPPED = "skipped"
    CANCELLED = "cancelled"
    EXPIRED = "expired"


FINAL = frozenset(
    {
        OrderState.DONE,
        OrderState.FAILED,
        OrderState.SKIPPED,
        OrderState.CANCELLED,
        OrderState.EXPIRED,
    }
)


class Figures(Message, frozen=True, kw_only=True):
    """What one direction of an ordered test gave, to be shown; the evidence is the Transfer."""

    direction: Direction
    end: End
    bits_per_s: Annotated[float, msgspec.Meta(ge=0, le=1e12)] | None = None
    """Achieved, of IP packets."""
    offered_bits_per_s: Annotated[float, msgspec.Meta(ge=0, le=1e12)] | None = None
    lost_ratio: Annotated[float, msgspec.Meta(ge=0, le=1)] | None = None
    rtt_ns: Ns | None = None
    """Median under load."""
    cross_bits_per_s: Annotated[float, msgspec.Meta(ge=0, le=1e12)] | None = None
    """Users' own traffic in this direction just before."""
    detail: Text = ""


class OrderProgress(Message, frozen=True, kw_only=True):
    """How far an order is."""

    order_id: Hex16
    state: OrderState
    detail: Text = ""
    figures: Annotated[tuple[Figures, ...], msgspec.Meta(max_length=2)] = ()


class ThroughputStatus(Message, frozen=True, kw_only=True):
    """The throughput part of a status; only to a hub that reads revision 2."""

    links: Annotated[tuple[LinkTests, ...], msgspec.Meta(max_length=MAX_LINK_TESTS)] = ()
    orders: Annotated[tuple[OrderProgress, ...], msgspec.Meta(max_length=MAX_ORDERS)] = ()


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
    throughput: ThroughputStatus | None = None


class StatusReply(Message, frozen=True, kw_only=True):
    """The hub's clock, and orders when they changed."""

    nonce: Hex16
    received_wall_ns: WallNs
    policy: Policy | None = None
    rewind: bool = False
    """The collector misses batches that this agent holds receipts for: send them again."""
    catchup_bytes_per_s: Count | None = None
    orders: Annotated[tuple[Order, ...], msgspec.Meta(max_length=MAX_ORDERS)] = ()
    """All that stand for this node: one that is no longer here is withdrawn."""


class Want(Message, frozen=True, kw_only=True):
    """The load that a slot is asked for."""

    link: Name
    method: Method
    direction: Direction
    bits_per_s: Rate
    duration_s: Annotated[float, msgspec.Meta(gt=0, le=3600)]
    flows: Flows = 1
    order_id: Hex16 | None = None
    """The order that it obeys; None: the plan."""


class SlotRequest(Message, frozen=True, kw_only=True):
    """An agent asks for a slot, or tells that one has ended; both at once is allowed.

    Whoever waits asks again; a box tests one thing at a time, so a question also ends whatever
    slot it had before.
    """

    agent_id: Hex16
    epoch: Hex16
    counter: Seq
    """Grows by one per request of an epoch: an old request is not served again."""
    nonce: Hex16
    want: Want | None = None
    ended: Hex16 | None = None
    """slot_id of a slot that is no longer used."""

    def __post_init__(self) -> None:
        if self.want is None and self.ended is None:
            raise ValueError("neither a wish nor an ended slot")


class Closed(StrEnum):
    """Why no slot will be given, however long one waits."""

    OFF = "off"
    """this hub carries no throughput tests"""
    NO_PLAN = "no_plan"
    """nothing of the kind is planned or ordered for this link"""
    TOO_MUCH = "too_much"
    """more than was promised, ordered, or than the hub can carry"""
    BUDGET = "budget"
    STALE = "stale"
    """a newer request of this agent was heard before"""


class SlotReply(Message, frozen=True, kw_only=True):
    """A grant, or how long to wait, or why not; none of them where nothing was asked for."""

    nonce: Hex16
    received_wall_ns: WallNs
    grant: Grant | None = None
    """Its `key` is 64 zeros here: both ends derive it (wire.token.slot_key)."""
    wait_s: Annotated[float, msgspec.Meta(ge=0, le=3600)] | None = None
    """Ask again in so long, and not much later, or the place in the queue is lost."""
    closed: Closed | None = None
    detail: Text = ""

    def __post_init__(self) -> None:
        if sum(one is not None for one in (self.grant, self.wait_s, self.closed)) > 1:
            raise ValueError("grant, wait_s and closed exclude each other")


_KINDS: dict[type[Message], Kind] = {
    Enrol: Kind.ENROL,
    Enrolled: Kind.ENROLLED,
    Status: Kind.STATUS,
    StatusReply: Kind.STATUS_REPLY,
    SlotRequest: Kind.SLOT_REQUEST,
    SlotReply: Kind.SLOT_REPLY,
}
Signed = Enrol | Enrolled | Status | StatusReply | SlotRequest | SlotReply
M = TypeVar("M", Enrol, Enrolled, Status, StatusReply, SlotRequest, SlotReply)


def _context(kind: Kind, body: bytes) -> bytes:
    return b"pantau-message-v1\x00" + bytes([kind]) + body


def sign(message: Signed, key: Ed25519PrivateKey) -> bytes:
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
