"""What a bundle's members hold, as data: docs/evidence-v1.md describes every field.

Hashes, keys, ids and digests are hex, times UTC seconds or nanoseconds as their names say.
"""

import hashlib
import struct
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import msgspec

from collector.audit.evidence import Span
from collector.audit.intervals import Interval, Outage
from collector.audit.rules import UnavailabilityRule
from collector.maintenance import Cancelled, Notice, Recorded
from collector.tickets import Import
from collector.tree.leaf import Statement
from collector.tree.merkle import HASH_BYTES
from wire.batch import MAX_BATCH_BYTES
from wire.policy import Role
from wire.receipt import RECEIPT_BYTES

BUNDLE, AGENTS, WORLD, REGISTERS = "bundle.json", "agents.json", "world.json", "registers.json"
STATEMENTS, HUB, HEADS, TREE = "statements.json", "hub.json", "heads.json", "tree.bin"
SAID, HISTORY = "said.json", "history.json"
BATCHES, AUDITS = "batches/", "audit/"
canonical = msgspec.json.Encoder(order="sorted").encode
_RECORD = struct.Struct(f">QI{RECEIPT_BYTES}s")
_TREE = struct.Struct(">QII")
_LEAF = struct.Struct(f">Q{HASH_BYTES}s")
RECORD_BYTES = _RECORD.size


class _Document(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    pass


class Bundle(_Document, frozen=True, kw_only=True):
    """What the bundle is about."""

    link: str
    from_s: int
    to_s: int
    """[from_s, to_s) is what the bundle tells of."""
    made_wall_ns: int
    judged_at_s: int
    """The moment as of which everything is judged: what is not here by then is unknown."""
    software: str
    """Version of pantau that wrote it."""
    ledger_id: str
    around: Span
    """Seconds that are judged with them, so that no outage is cut."""
    windows: tuple[Span, ...]
    """In which the other links are compared: of them there is evidence of these."""

    @property
    def span(self) -> Span:
        """What the bundle tells of."""
        return Span(self.from_s, self.to_s)


class Run(_Document, frozen=True, kw_only=True):
    """Batches of one epoch that are in the bundle, without a hole."""

    epoch: str
    first_seq: int
    last_seq: int


class AgentDocument(_Document, frozen=True, kw_only=True):
    """An agent whose batches are here."""

    agent_id: str
    node: str
    public_key: str
    exchange_key: str
    enrolled_wall_ns: int
    revoked_wall_ns: int | None
    version: str
    outside: bool
    """The prober beside the hub, which sees every link's CPE."""
    runs: tuple[Run, ...]
    """All that is here of it."""
    absent: tuple[Run, ...]
    """Of the period and never received: their time is unknown."""


class Rule(_Document, frozen=True, kw_only=True):
    """By what a link is judged in a span."""

    span: Span
    unavailability: UnavailabilityRule


class LinkDocument(_Document, frozen=True, kw_only=True):
    """What comparing links needs of one of them."""

    link: str
    node: str
    pop: str
    roles: dict[str, Role]
    """By target."""
    reach_s: int | None
    """Until when its evidence is whole, as far as it is here; None for none."""
    rules: tuple[Rule, ...]


class EntryDocument(_Document, frozen=True, kw_only=True):
    """An entry of the maintenance register and where it stands in the tree."""

    id: int
    notice: Notice
    recorded: Recorded
    cancelled: Cancelled | None
    position: int
    cancelled_position: int | None


class ImportDocument(_Document, frozen=True, kw_only=True):
    """A file of tickets; `tickets` are the digests of all that it brought."""

    taken: Import
    tickets: tuple[str, ...]
    position: int


class TicketDocument(_Document, frozen=True, kw_only=True):
    """A ticket of the link as one file told it."""

    provider: str
    ticket: str
    link: str
    start_s: int
    end_s: int | None
    cause: str
    revision: int
    import_id: int


class RegistersDocument(_Document, frozen=True, kw_only=True):
    """What people told the ledger about the link."""

    maintenance: tuple[EntryDocument, ...]
    imports: tuple[ImportDocument, ...]
    tickets: tuple[TicketDocument, ...]


class StatementDocument(_Document, frozen=True, kw_only=True):
    """A statement and where it stands in the tree."""

    position: int
    statement: Statement


class HeadDocument(_Document, frozen=True, kw_only=True):
    """A tree head, the oldest first; the last one covers all that is in the bundle."""

    head: str
    """Signed bytes."""
    consistency: tuple[str, ...]
    """That the head before begins its tree."""
    timestamps: tuple[tuple[str, str], ...]
    """(authority, its answer)"""


class SaidInterval(_Document, frozen=True, kw_only=True):
    """An interval as the collector keeps it."""

    interval: Interval


class KeptDocument(_Document, frozen=True, kw_only=True):
    """One revision of an outage, as it was said."""

    id: int
    revision: int
    lane: str
    made_s: int
    withdrawn: bool
    outage: Outage


class TreeProof(NamedTuple):
    """That leaves are under the last head: theirs, and the nodes beside them."""

    size: int
    leaves: list[tuple[int, bytes]]
    """(position, hash), ascending."""
    beside: list[bytes]

    def pack(self) -> bytes:
        """As `tree.bin` holds it."""
        return b"".join(
            (
                _TREE.pack(self.size, len(self.leaves), len(self.beside)),
                *(_LEAF.pack(*one) for one in self.leaves),
                *self.beside,
            )
        )


def unpack_tree(data: bytes) -> TreeProof:
    """Raises ValueError for other bytes."""
    if len(data) < _TREE.size:
        raise ValueError(f"{len(data)} bytes that are no proof")
    size, leaves, beside = _TREE.unpack_from(data)
    middle = _TREE.size + leaves * _LEAF.size
    if len(data) != middle + beside * HASH_BYTES:
        raise ValueError(f"{len(data)} bytes that are no proof of {leaves} leaves")
    return TreeProof(
        size,
        [_LEAF.unpack_from(data, at) for at in range(_TREE.size, middle, _LEAF.size)],
        [data[at : at + HASH_BYTES] for at in range(middle, len(data), HASH_BYTES)],
    )


class Record(NamedTuple):
    """A batch in the bundle."""

    position: int
    """In the tree."""
    receipt: bytes
    batch: bytes

    def pack(self) -> bytes:
        """As `batches/AGENT` holds it."""
        return _RECORD.pack(self.position, len(self.batch), self.receipt) + self.batch


class Damage(NamedTuple):
    """Where the records of an agent cannot be read on."""

    text: str


def unpack_records(data: bytes) -> Iterator[Record | Damage]:
    """The records in order; a Damage ends them where the rest cannot be told apart."""
    at = 0
    while at < len(data):
        if at + RECORD_BYTES > len(data):
            yield Damage(f"{len(data) - at} bytes at {at} that begin no batch")
            return
        position, size, receipt = _RECORD.unpack_from(data, at)
        start = at + RECORD_BYTES
        if size > MAX_BATCH_BYTES or start + size > len(data):
            yield Damage(f"a batch of {size} bytes at {at} that does not end")
            return
        yield Record(position, receipt, data[start : start + size])
        at = start + size


def runs_of(batches: Iterable[tuple[bytes, int]]) -> tuple[Run, ...]:
    """The runs that these (epoch, seq) are."""
    runs: list[Run] = []
    for epoch, seq in sorted(batches):
        last = runs[-1] if runs else None
        if last is not None and (last.epoch, last.last_seq) == (epoch.hex(), seq - 1):
            runs[-1] = Run(epoch=last.epoch, first_seq=last.first_seq, last_seq=seq)
        else:
            runs.append(Run(epoch=epoch.hex(), first_seq=seq, last_seq=seq))
    return tuple(runs)


def sha256(data: bytes) -> str:
    """In hex."""
    return hashlib.sha256(data).hexdigest()
