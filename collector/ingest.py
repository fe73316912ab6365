"""From bytes to evidence: checks from cheap to dear, then the commit, then the receipt.

An acknowledgement is the last thing that happens. Nothing of a refused batch is kept.
"""

from typing import Protocol

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from collector.committer import Committer
from collector.ledger import Agent, Entry, Stored
from collector.reading import Scope, read
from collector.roster import Roster
from runtime.clock import Clock
from wire import batch as wire_batch
from wire.errors import WireError
from wire.receipt import Receipt


class Books(Protocol):
    """Who knows what an agent may speak of, and wants to know what has become durable."""

    def scope(self, agent: Agent) -> Scope:
        """Links that this agent may speak of."""
        ...

    def taken(self, agent: Agent, entry: Entry, stored: Stored) -> None:
        """Called on the event loop after the commit, for new and repeated batches."""
        ...


class ReceiptSigner:
    """Signs receipts for one ledger."""

    def __init__(self, ledger_id: bytes, key: Ed25519PrivateKey) -> None:
        self._ledger_id, self._key = ledger_id, key

    def sign(self, entry: Entry, stored: Stored) -> bytes:
        """The receipt of a durable entry: the same bytes however often it arrives."""
        header = entry.batch.header
        return Receipt(
            self._ledger_id,
            header.agent_id,
            header.epoch,
            header.seq,
            entry.batch.digest,
            stored.received_wall_ns,
        ).sign(self._key)


class Ingest:
    """Takes batches in."""

    def __init__(
        self,
        roster: Roster,
        committer: Committer,
        signer: ReceiptSigner,
        books: Books,
        clock: Clock,
    ) -> None:
        self._roster, self._committer, self._signer = roster, committer, signer
        self._books, self._clock = books, clock

    async def take(self, data: bytes) -> bytes:
        """The receipt for this batch, once it is durable. Raises WireError."""
        received_wall_ns = self._clock.wall_ns()
        batch = wire_batch.parse(data)
        agent = self._roster.admit(batch.header.agent_id)
        wire_batch.verify(batch, agent.public_key)
        self._roster.spend(agent, self._clock.boot_ns())
        entry = read(batch, received_wall_ns, self._books.scope(agent))
        stored = await self._committer.commit(entry)
        if stored.refusal is not None:
            raise WireError(stored.refusal, f"agent {agent.agent_id.hex()}: {stored.detail}")
        self._books.taken(agent, entry, stored)
        return self._signer.sign(entry, stored)
