"""The exchanges with an agent: enrolment, status, batch, slot; bytes in, bytes out.

Every refusal passes here once: counted, and logged as one line that says whose it was and why.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple

import msgspec

from collector.board import Board
from collector.counters import Counters
from collector.enrol import enrol
from collector.identity import Identity
from collector.ingest import Ingest
from collector.ledger import Agent, Ledger, LedgerError
from collector.reading import Scope
from collector.roster import Roster
from collector.slot_desk import SlotDesk
from runtime.clock import SECOND, Clock
from wire import message
from wire.errors import Refusal, WireError
from wire.message import Enrolled, Status, StatusReply, ThroughputStatus

log = logging.getLogger(__name__)


class Caller(NamedTuple):
    """Who sends, and what it reads."""

    peer: str
    revision: int


@dataclass(frozen=True, kw_only=True)
class Desk:
    """What the HTTP endpoints call."""

    ledger: Ledger
    roster: Roster
    board: Board
    ingest: Ingest
    identity: Identity
    clock: Clock
    counters: Counters
    slots: SlotDesk
    catchup_bytes_per_s: int | None
    asked_to_rewind: set[bytes] = field(default_factory=set)
    short: set[bytes] = field(default_factory=set)
    """Agents of which more is missing than waits, by their last status."""
    short_at: dict[bytes, tuple[str, int] | None] = field(default_factory=dict)
    """What each held last when it was asked to send again for that."""
    """Agents that were told to send again and have not yet: said once each."""

    async def exchange(self, what: str, caller: Caller, data: bytes) -> bytes:
        """The answer to one message. Raises WireError, after counting and logging it."""
        serve: dict[str, Callable[[bytes], Awaitable[bytes]]] = {
            "enrol": partial(self.enrol, revision=caller.revision),
            "status": partial(self.status, revision=caller.revision),
            "batch": self.batch,
            "slot": self.slots.serve,
        }
        try:
            try:
                answer = await serve[what](data)
            except LedgerError as error:
                raise WireError(Refusal.OVERLOADED, str(error)) from error
        except WireError as error:
            self.refuse(what, caller.peer, error)
            raise
        self.counters.requests.labels(what).inc()
        return answer

    def refuse(self, what: str, peer: str, error: WireError) -> None:
        """Count and log a message that is not taken."""
        self.counters.refused.labels(what, error.refusal).inc()
        level = logging.INFO if error.refusal is Refusal.OVERLOADED else logging.WARNING
        log.log(level, "refused %s from %s: %s: %s", what, peer, error.refusal, error)

    async def batch(self, data: bytes) -> bytes:
        """A batch for its receipt."""
        began = self.clock.boot_ns()
        receipt = await self.ingest.take(data)
        self.counters.take_seconds.observe((self.clock.boot_ns() - began) / SECOND)
        return receipt

    async def enrol(self, data: bytes, revision: int) -> bytes:
        """An enrolment for the agent's id and policy."""
        agent, request = await asyncio.to_thread(enrol, self.ledger, self.clock, data)
        if agent.node not in self.board.fleet.inventory.nodes:
            log.warning(
                "agent %s enrolled for node %s, which no file names (any more)",
                agent.agent_id.hex(),
                agent.node,
            )
        self.roster.refresh()
        self.board.fleet.register()
        policy, _ = self.board.fleet.policy(agent.node)
        log.info("agent %s enrolled for node %s", agent.agent_id.hex(), agent.node)
        return message.sign(
            Enrolled(
                nonce=request.nonce,
                agent_id=agent.agent_id.hex(),
                collector_key=self.identity.public_key.hex(),
                exchange_key=self.identity.exchange_key.hex(),
                policy=policy.at_revision(revision),
                received_wall_ns=self.clock.wall_ns(),
            ),
            self.identity.signing,
        )

    async def status(self, data: bytes, revision: int) -> bytes:
        """A live status for the hub's time, and the policy where it changed."""
        received_wall_ns, received_boot_ns = self.clock.wall_ns(), self.clock.boot_ns()
        unproven = message.peek(data, Status)
        agent = self.roster.admit(bytes.fromhex(unproven.agent_id))
        status = message.verify(data, Status, agent.public_key)
        self.roster.spend(agent, received_boot_ns)
        scope = self.board.scope(agent)
        own = tuple(one for one in status.targets if scope.check(one.link, one.target))
        told = None if status.throughput is None else _own_tests(scope, status.throughput)
        known = msgspec.structs.replace(status, targets=own, throughput=told)
        newest = self.board.live.hear(agent, known, received_boot_ns, received_wall_ns)
        if told is not None and newest:
            await self.slots.hear(agent, told)
        policy, digest = self.board.fleet.policy(agent.node, revision)
        return message.sign(
            StatusReply(
                nonce=status.nonce,
                received_wall_ns=received_wall_ns,
                policy=None if status.policy_digest == digest else policy,
                rewind=await self._lost(agent, status),
                catchup_bytes_per_s=self.catchup_bytes_per_s,
                orders=self.slots.orders_for(agent.node) if revision >= 2 else (),
            ),
            self.identity.signing,
        )

    async def _lost(self, agent: Agent, status: Status) -> bool:
        """Whether the agent holds a receipt for a batch that is not here: an older backup."""
        if status.last_acked is None:
            return False
        epoch, seq = status.last_acked
        held = await asyncio.to_thread(self.ledger.holds, agent.agent_id, bytes.fromhex(epoch), seq)
        if held:
            self.asked_to_rewind.discard(agent.agent_id)
            return await asyncio.to_thread(self._short, agent, status)
        if agent.agent_id not in self.asked_to_rewind:
            self.asked_to_rewind.add(agent.agent_id)
            self._say(agent, "holds receipts that this ledger does not know")
        return True

    def _short(self, agent: Agent, status: Status) -> bool:
        """Whether more is missing here than waits there, twice in a row: it was acknowledged, lost,
        and newer batches came before the agent's next status.

        Asked for once a life of the collector, until the agent was heard to go back: batches that
        nobody has any more are missing for ever.
        """
        head, waiting = self.ledger.head(agent.agent_id), status.spool
        missing = 0 if head is None else head.missing
        if missing <= waiting.batches_waiting + waiting.refused:
            self.short.discard(agent.agent_id)
            return False
        if agent.agent_id not in self.short:
            self.short.add(agent.agent_id)
            return False
        asked = self.short_at.setdefault(agent.agent_id, status.last_acked)
        if asked == status.last_acked:
            self._say(agent, f"has delivered all, and {missing} of its batches are missing")
        return asked == status.last_acked

    def _say(self, agent: Agent, what: str) -> None:
        log.warning("agent %s %s: it is asked to send again", agent.agent_id.hex(), what)


def _own_tests(scope: Scope, told: ThroughputStatus) -> ThroughputStatus:
    """Of what an agent tells, what is its own."""
    own = tuple(one for one in told.links if scope.check(one.link))
    return msgspec.structs.replace(told, links=own)
