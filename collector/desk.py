"""The exchanges with an agent: enrolment, status, batch, slot; bytes in, bytes out.

Every refusal passes here once: counted, and logged as one line that says whose it was and why.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import msgspec

from collector.board import Board
from collector.counters import Counters
from collector.enrol import enrol
from collector.identity import Identity
from collector.ingest import Ingest
from collector.ledger import Ledger, LedgerError
from collector.reading import Scope
from collector.rewinds import Rewinds
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
    rewinds: Rewinds

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
                rewind=await self.rewinds.wanted(agent, status),
                catchup_bytes_per_s=self.catchup_bytes_per_s,
                orders=self.slots.orders_for(agent.node) if revision >= 2 else (),
            ),
            self.identity.signing,
        )


def _own_tests(scope: Scope, told: ThroughputStatus) -> ThroughputStatus:
    """Of what an agent tells, what is its own."""
    own = tuple(one for one in told.links if scope.check(one.link))
    return msgspec.structs.replace(told, links=own)
