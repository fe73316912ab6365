"""The ledger: append-only memory of what arrived, from whom, and what is missing.

This module is the protocol and its value types; `collector.ledger.sqlite` is the embedded
store. Audits read the ledger and nothing else.
"""

from enum import StrEnum
from typing import NamedTuple, Protocol

from collector.latency import BUCKETS_NS, MAX_COUNT, Summary
from wire.batch import Batch
from wire.detail import DetailRecord
from wire.errors import Refusal
from wire.journal import Anchor, Gap, Heartbeat
from wire.transfer import Transfer


class LedgerError(RuntimeError):
    """The store cannot be used, now or as it is; the text says why."""


class Agent(NamedTuple):
    """One enrolled agent."""

    agent_id: bytes
    node: str
    public_key: bytes
    exchange_key: bytes
    enrolled_wall_ns: int
    revoked_wall_ns: int | None
    version: str


class TokenRow(NamedTuple):
    """What the collector keeps of a join token: never the secret."""

    token_id: bytes
    token_digest: bytes
    node: str
    created_wall_ns: int
    expires_wall_ns: int
    used_by: bytes | None


class PlacedBy(StrEnum):
    """Whose clock put a batch on the calendar, from best to worst."""

    ANCHOR = "anchor"
    """the hub's own clock, through a signed exchange in the same boot"""
    AGENT = "agent"
    """the agent's synchronised clock"""
    RECEIVED = "received"
    """only that it was sealed before it arrived: an upper bound"""


class Placement(NamedTuple):
    """Calendar time of a boot clock: wall = boot + offset, within `error_ns` (None: unbounded)."""

    offset_ns: int
    error_ns: int | None
    placed_by: PlacedBy


class TargetSummary(NamedTuple):
    """All of one target's observations in one batch."""

    link: str
    target: str
    probe: str
    first_boot_ns: int
    last_boot_ns: int
    duration_ns: int
    summary: Summary
    stamps: tuple[int, ...] = ()
    """Round trips by whose stamps made them, in the order of StampSource."""
    forward_us: float | None = None
    """Median of the reflector's receive stamp minus the sender's: two unequal clocks."""


class Event(NamedTuple):
    """A journal record that is not a heartbeat, as its JSON line."""

    kind: str
    boot_ns: int
    line: bytes


class Entry(NamedTuple):
    """A batch that passed every check that needs no ledger, with what was read from it."""

    batch: Batch
    received_wall_ns: int
    targets: tuple[TargetSummary, ...]
    events: tuple[Event, ...]
    gaps: tuple[Gap, ...]
    anchor: Anchor | None
    details: tuple[DetailRecord, ...] = ()
    beat: Heartbeat | None = None
    """The newest heartbeat."""
    transfers: tuple[Transfer, ...] = ()


class Stored(NamedTuple):
    """What became of an Entry: durable (new or repeated), or refused by the chain."""

    received_wall_ns: int
    new: bool
    refusal: Refusal | None = None
    detail: str = ""
    placement: Placement | None = None


class Tally(NamedTuple):
    """A target's counters since the ledger began."""

    sent: int
    lost: int
    not_sent: int
    received: int
    rtt_sum_ns: int
    buckets: tuple[int, ...]
    forward_lost: int
    reverse_lost: int


EMPTY_TALLY = Tally(0, 0, 0, 0, 0, (0,) * (len(BUCKETS_NS) + 1), 0, 0)


def add(tally: Tally, one: TargetSummary) -> Tally:
    """The tally with one more summary counted in."""
    s = one.summary
    return Tally(
        tally.sent + s.sent,
        tally.lost + s.lost,
        tally.not_sent + s.not_sent,
        tally.received + s.received,
        min(tally.rtt_sum_ns + s.rtt_sum_ns, MAX_COUNT),
        tuple(a + b for a, b in zip(tally.buckets, s.buckets, strict=True)),
        min(tally.forward_lost + (s.forward_lost or 0), MAX_COUNT),
        min(tally.reverse_lost + (s.reverse_lost or 0), MAX_COUNT),
    )


class Head(NamedTuple):
    """How far an agent's evidence is complete."""

    agent_id: bytes
    epoch: bytes
    """The newest epoch: the one that no other continues."""
    next_seq: int
    """The first batch of it that is not here."""
    settled_wall_ns: int | None
    """Time of the newest record before the first hole of the newest epoch; of an earlier epoch
    while the newest one's beginning is not here."""
    missing: int
    """Batches, of all epochs, that others show to exist and that are not here."""


class Ledger(Protocol):
    """What a store must do. Every call is one transaction, durable on return.

    Any call raises LedgerError where the store fails: nothing of it has happened then.
    """

    ledger_id: bytes

    def add_token(self, row: TokenRow) -> None:
        """Keep a new join token."""
        ...

    def token(self, token_id: bytes) -> TokenRow | None:
        """The token of this id."""
        ...

    def open_tokens(self, wall_ns: int) -> list[TokenRow]:
        """Tokens that a box could still join with, the newest first."""
        ...

    def withdraw(self, token_id: bytes, wall_ns: int) -> bool:
        """Let a token expire now; False if no box could join with it anyway."""
        ...

    def enrol(self, token_id: bytes, agent: Agent) -> Agent:
        """Use the token for this agent; a repeat by the same key returns the first answer.

        Raises WireError(USED_TOKEN) for another key.
        """
        ...

    def agents(self) -> list[Agent]:
        """All agents, the revoked ones too."""
        ...

    def revoke(self, agent_id: bytes, wall_ns: int) -> bool:
        """Refuse this agent from now on; False if it is unknown or revoked already."""
        ...

    def ssids(self, links: list[str]) -> dict[str, int]:
        """STAMP session ids of these links, given once and kept."""
        ...

    def store(self, entries: list[Entry]) -> list[Stored]:
        """Make the entries durable in one transaction, in order."""
        ...

    def holds(self, agent_id: bytes, epoch: bytes, seq: int) -> bool:
        """Whether this batch is here."""
        ...

    def head(self, agent_id: bytes) -> Head | None:
        """How far one agent's evidence is complete; None where there is none."""
        ...

    def heads(self) -> list[Head]:
        """Each agent's newest epoch."""
        ...

    def tallies(self) -> dict[tuple[str, str], Tally]:
        """Counters by (link, target)."""
        ...

    def gap_observations(self) -> dict[tuple[str, str], int]:
        """Observations listed as lost, by (link, target), of the records that name both."""
        ...

    def changed(self) -> bool:
        """Whether another process wrote to this ledger since the last call."""
        ...

    def close(self) -> None:
        """Settle and close the store."""
        ...
