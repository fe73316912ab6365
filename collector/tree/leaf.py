"""What a leaf of the tree holds: pure, and the same bytes for ever.

A leaf is its kind, a zero byte, and a body. The body of a batch is what its receipt says, signature
aside; of everything else it is canonical JSON (keys sorted, no spaces, UTF-8, nothing left out).
"""

from collections.abc import Iterable
from enum import StrEnum
from typing import Any

import msgspec

from collector.maintenance import Cancelled, Notice, Recorded
from collector.tickets import Import, Revision
from collector.tree.merkle import leaf_hash
from wire.receipt import Receipt

canonical = msgspec.json.Encoder(order="sorted").encode
"""JSON in the one form that is hashed."""


class LeafKind(StrEnum):
    """What stands in the tree."""

    BATCH = "batch"
    MAINTENANCE = "maintenance"
    CANCELLATION = "cancellation"
    TICKETS = "tickets"
    """one file of a provider's tickets, as it was taken"""
    STATEMENT = "statement"


class StatementKind(StrEnum):
    """Of what else the collector keeps every version, because judging hangs on it."""

    AGENT = "agent"
    """enrolment: whose key signs a node's evidence"""
    CONTRACT = "contract"
    LINK = "link"
    NODE = "node"


class Statement(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One version of something, from `wall_ns` on until the next of its name."""

    kind: StatementKind
    name: str
    wall_ns: int
    """When the collector first worked with it, or was first asked to keep it."""
    body: str
    """Canonical JSON."""


def hash_of(kind: LeafKind, body: bytes) -> bytes:
    """Hash of the leaf."""
    return leaf_hash(kind.encode() + b"\x00" + body)


def of_batch(receipt: Receipt) -> bytes:
    """Body for a batch: its id, digest and time of arrival, as the receipt says them."""
    return receipt.pack()


def _who(recorded: Recorded) -> dict[str, Any]:
    return {"by": recorded.by, "os_user": recorded.os_user, "wall_ns": recorded.wall_ns}


def of_maintenance(number: int, notice: Notice, recorded: Recorded) -> bytes:
    """Body for an entry of the maintenance register, as it was recorded."""
    told = notice._asdict() | {"scope": notice.scope._asdict()}
    return canonical({"id": number, "notice": told, "recorded": _who(recorded)})


def of_cancellation(number: int, cancelled: Cancelled) -> bytes:
    """Body for the cancellation of an entry."""
    return canonical(
        {"id": number, "reason": cancelled.reason, "recorded": _who(cancelled.recorded)}
    )


def ticket_digest(revision: Revision) -> str:
    """Hash of one ticket as a file told it, in hex."""
    told = {"revision": revision.revision, "import": revision.import_id}
    return leaf_hash(canonical(revision.ticket._asdict() | told)).hex()


def of_tickets(taken: Import, digests: Iterable[str]) -> bytes:
    """Body for a file of tickets; `digests` are of the tickets that were new or other in it.

    The digests stand for the tickets, so that those of one link can be shown without the rest.
    """
    told = taken._asdict() | {"digest": taken.digest.hex(), "recorded": _who(taken.recorded)}
    return canonical({"import": told, "tickets": sorted(digests)})


def of_statement(statement: Statement) -> bytes:
    """Body for a statement."""
    return canonical(statement)
