"""The throughput half of the agent, put together for `agent.app`: runner, logbook, counters.

`Loads` is the data plane (agent.transfers).
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from agent.counters import Counters, SnmpCounters
from agent.credentials import CredentialsReader, standard
from agent.gate import Cross
from agent.identity import Identity
from agent.jobs import Job
from agent.logbook import Logbook, Started
from agent.outbox import Outbox
from agent.runner import Box, Ran, Runner, Seen, Tools
from agent.uplink import Uplink
from runtime.clock import Clock
from wire.codec import Record
from wire.instant import ClockClass
from wire.message import End
from wire.plan import ThroughputPlan
from wire.policy import Policy, Target
from wire.slot import Grant
from wire.token import slot_key


class Loads(Protocol):
    """The data plane (agent.transfers)."""

    async def run(self, grant: Grant, job: Job, seen: Seen) -> Ran:
        """Load the link within the grant."""
        ...

    def skipped(self, job: Job, end: End, seen: Cross | None) -> Sequence[Record]:
        """The evidence that a test was not made, or broke off, and why."""
        ...

    def aborted(self) -> Sequence[Record]:
        """The evidence of a test that the end of this program has stopped, if there was one."""
        ...

    def interrupted(self, test: Started) -> Sequence[Record]:
        """The evidence of a test in which a former life of this program ended without a word."""
        ...


@dataclass(frozen=True, kw_only=True)
class Parts:
    """What the throughput half takes of the agent."""

    loads: Loads
    uplink: Uplink
    outbox: Outbox
    clock: Clock
    clock_class: Callable[[], ClockClass]
    credentials: CredentialsReader = standard


class Throughput:
    """Runner and policy kept in step."""

    def __init__(self, state_dir: Path, identity: Identity, epoch: bytes, parts: Parts) -> None:
        self._clock, self._credentials = parts.clock, parts.credentials
        self.aborted = parts.loads.aborted
        self._targets: dict[tuple[str, str], Target] = {}
        tools = Tools(
            ask=parts.uplink.ask_slot,
            load=parts.loads.run,
            skipped=parts.loads.skipped,
            interrupted=parts.loads.interrupted,
            counters=self._counters,
            append=parts.outbox.append,
            changed=parts.uplink.hurry,
        )
        box = Box(
            agent_id=identity.agent_id,
            epoch=epoch.hex(),
            secret=plan_secret(identity),
            derive=lambda slot_id: derive(identity, slot_id),
        )
        self.runner = Runner(box, tools, Logbook(state_dir), parts.clock, parts.clock_class)

    def follow(self, policy: Policy) -> None:
        """These plans, with the targets whose devices count, from now on."""
        self._targets = {(one.link, one.name): one for one in policy.targets}
        self.runner.follow(policy.throughput)

    def _counters(self, plan: ThroughputPlan) -> Counters | None:
        target = self._targets.get((plan.link, plan.gate.target or ""))
        if target is None:
            return None
        return SnmpCounters(target, self._clock, self._credentials)


def plan_secret(identity: Identity) -> bytes:
    """Only this box can foresee its tests; the key itself is not used for it."""
    return hashlib.sha256(b"pantau-plan-secret\x00" + bytes.fromhex(identity.seed)).digest()


def derive(identity: Identity, slot_id: str) -> str:
    """The key of a slot, as the hub derives it too."""
    private = X25519PrivateKey.from_private_bytes(bytes.fromhex(identity.exchange_seed))
    peer = bytes.fromhex(identity.collector_exchange_key)
    return slot_key(private, peer, identity.agent_id_bytes, bytes.fromhex(slot_id)).hex()
