"""The agent, put together: the only place where its parts meet.

What is measured goes to disk first and is reported later; nothing here waits for the hub.
"""

import asyncio
import logging
import os
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from agent import identity as store
from agent.journal import FormerLife, Journal
from agent.measure import Measure
from agent.outbox import Outbox
from agent.saving import SECOND_S, Saving
from agent.settings import AgentSettings
from agent.sockets import RealNetwork
from agent.spool import Recovery, Spool, SpoolFull, SpoolSettings, SpoolUnavailable
from agent.uplink import Orders, Uplink
from runtime.clock import Clock
from runtime.collection import collect_rarely
from runtime.service import ServiceManager
from runtime.supervise import every, run_until
from runtime.timekeeping import KeptClock
from runtime.version import VERSION
from wire.codec import Record
from wire.journal import Anchor
from wire.message import (
    STATUS_TARGETS,
    SpoolStatus,
    Status,
    StatusReply,
    TargetStatus,
    ThroughputStatus,
)
from wire.plan import Order
from wire.policy import Policy

if TYPE_CHECKING:
    from agent.loads import Loads, Throughput

log = logging.getLogger(__name__)
STATUS_WINDOW_S = 10.0
LAST_SEND_S = 2.0
"""How long an orderly stop tries to deliver what it just sealed."""
NOTICE_S = 1.0
"""How often it is looked whether a target has been lost."""
KEEP_TIME_S = 64.0
"""How often the time daemon is asked: a poll interval of NTP."""


class Agent:
    """One running agent."""

    def __init__(self, settings: AgentSettings, clock: Clock, loads: "Loads | None" = None) -> None:
        """Open the spool and read the identity. Raises IdentityError.

        `loads` carries throughput tests; by default it is agent.transfers.
        """
        self._settings, self._clock = settings, clock
        self._state_dir = Path(settings.state_dir)
        self.identity = store.load(self._state_dir)
        self._version = VERSION
        self._policy = store.load_policy(self._state_dir) or Policy(
            node=self.identity.node, targets=()
        )
        self._policy_digest = self._policy.digest()
        self._epoch = os.urandom(16)
        self._counter = 0
        self._notes: deque[str] = deque(maxlen=4)
        self._journal = Journal(clock)
        self._outbox = Outbox(self._open_spool, self._first_records, clock)
        self._saving = Saving(self._journal.hub.since_boot_ns)
        self._measure = Measure(
            self._policy.targets,
            clock=clock,
            stamp_key=self.identity.stamp_key(),
            network=RealNetwork(clock),
            anchor=self._journal.hub.offer,
        )
        self._measure.answered = self._saving.answered
        orders = Orders(status=self._status, reply=self._obey)
        self._uplink = Uplink(self.identity, self._outbox, orders, settings.uplink, clock)
        self._spool_status = SpoolStatus(
            batches_waiting=0, bytes_used=0, bytes_cap=settings.spool.cap_bytes
        )
        self._last_acked: tuple[bytes, int] | None = None
        self._loads = loads
        self._throughput: Throughput | None = None
        """None until the hub wants tests: a fifth of the agent's start that other boxes do not
        pay."""
        self._wanted = asyncio.Event()
        if self._policy.throughput:
            self._begin_tests()
        self._new_policy: Policy | None = None
        self._new_orders: tuple[Order, ...] | None = None
        self._rewind = False
        self._losing: frozenset[int] = frozenset()
        """Targets of which the hub need not be told in a hurry: it was, or it is over."""

    def _begin_tests(self) -> None:
        from agent.loads import Parts, Throughput
        from agent.transfers import Transfers, Web

        web = Web(self.identity.url, self.identity.ca_file)
        parts = Parts(
            loads=self._loads or Transfers(self._clock, web),
            uplink=self._uplink,
            outbox=self._outbox,
            clock=self._clock,
            clock_class=lambda: self._journal.hub.quality().clock_class,
        )
        self._throughput = Throughput(self._state_dir, self.identity, self._epoch, parts)
        self._throughput.follow(self._policy)
        self._wanted.set()

    def _open_spool(self) -> Spool:
        """On the spool's thread. Raises SpoolUnavailable or SpoolFull."""
        settings = self._settings.spool
        spool = Spool.open(
            SpoolSettings(
                path=self._state_dir / "spool.db",
                cap_bytes=settings.cap_bytes,
                retain_s=settings.retain_s,
            ),
            self._clock,
        )
        try:
            spool.begin(
                self._epoch,
                bytes.fromhex(self._clock.boot_id),
                self.identity.signing_key(),
                self.identity.agent_id_bytes,
            )
        except (SpoolUnavailable, SpoolFull):
            spool.close()
            raise
        return spool

    def _first_records(self, found: Recovery) -> list[Record]:
        """The first record of this life, and what is known of the former one."""
        former = FormerLife(
            epoch=found.previous_epoch,
            boot_id=found.previous_boot_id,
            clean=found.previous_clean,
            alive_boot_ns=found.previous_alive_boot_ns,
        )
        records: list[Record] = [self._journal.start(self._version, self._digest(), former)]
        if former.clean is False and former.epoch is not None:
            records.append(self._journal.unsettled(former.epoch))
        return records

    def _digest(self) -> str:
        """Of everything that decides what is measured and how."""
        import hashlib

        both = f"{self._settings.digest()} {self._policy_digest}".encode()
        return hashlib.sha256(both).hexdigest()

    # --- what the uplink asks and learns ---------------------------------------------------

    def _status(self, nonce: str) -> Status:
        self._counter += 1
        quality = self._journal.hub.quality()
        acked = self._last_acked
        return Status(
            agent_id=self.identity.agent_id,
            epoch=self._epoch.hex(),
            counter=self._counter,
            boot_id=self._clock.boot_id,
            boot_ns=self._clock.boot_ns(),
            wall_ns=self._clock.wall_ns(),
            clock=quality.clock_class,
            nonce=nonce,
            agent_version=self._version,
            policy_digest=self._policy_digest,
            window_s=STATUS_WINDOW_S,
            targets=self._worst(),
            spool=self._spool_status,
            last_acked=None if acked is None else (acked[0].hex(), acked[1]),
            notes=(*self._measure.notes(), *self._notes)[:8],
            throughput=self._tests_told(),
        )

    def _tests_told(self) -> ThroughputStatus | None:
        """Only to a hub that reads it."""
        if self._throughput is None or self._uplink.hub_revision < 2:
            return None
        return self._throughput.runner.status()

    def _worst(self) -> tuple[TargetStatus, ...]:
        """All targets, or those with the most loss where there are more than a status holds."""
        targets = self._measure.status(STATUS_WINDOW_S)
        if len(targets) <= STATUS_TARGETS:
            return targets
        return tuple(sorted(targets, key=lambda one: -one.lost)[:STATUS_TARGETS])

    def describe(self) -> dict[str, Any]:
        """What the person beside the box wants to know."""
        spool, quality = self._spool_status, self._journal.hub.quality()
        return {
            "node": self.identity.node,
            "agent": self.identity.agent_id,
            "hub": self.identity.url,
            "version": self._version,
            "hub_reached": self._uplink.last_error is None,
            "hub_error": self._uplink.last_error,
            "clock_class": quality.clock_class,
            "clock_source": quality.source,
            "batches_waiting": spool.batches_waiting,
            "batches_refused": spool.refused,
            "spool_bytes": spool.bytes_used,
            "spool_cap_bytes": spool.bytes_cap,
            "notes": [*self._measure.notes(), *self._notes],
            "throughput": self._describe_tests(),
            "targets": [msgspec.to_builtins(one) for one in self._measure.status(STATUS_WINDOW_S)],
        }

    def _describe_tests(self) -> dict[str, Any] | None:
        if self._throughput is None:
            return None
        told: dict[str, Any] = msgspec.to_builtins(self._throughput.runner.status())
        return told

    def _obey(self, reply: StatusReply, anchor: Anchor) -> None:
        self._journal.hub.offer(anchor)
        self._new_policy = reply.policy or self._new_policy
        self._rewind = self._rewind or reply.rewind
        if self._uplink.hub_revision >= 2:
            self._new_orders = reply.orders

    async def _follow(self) -> None:
        """Do what the hub has asked for."""
        if self._rewind:
            self._rewind = False
            count = await self._outbox.rewind()
            log.warning("the hub has lost what it had acknowledged: %d batches go again", count)
            self._uplink.wake()
        policy, self._new_policy = self._new_policy, None
        if policy is not None and policy.digest() != self._policy_digest:
            await self._adopt(policy)
        # After the policy that came with them: they may be for a link that is new in it.
        orders, self._new_orders = self._new_orders, None
        if orders and self._throughput is None:
            self._begin_tests()
        if orders is not None and self._throughput is not None:
            self._throughput.runner.obey(orders)

    async def _adopt(self, policy: Policy) -> None:
        """Measure by a new policy."""
        problem = store.refuse(policy)
        if problem is not None:
            log.error("%s; the former policy stays", problem)
            self._notes.append(problem)
            return
        store.save_policy(self._state_dir, policy)
        self._policy, self._policy_digest = policy, policy.digest()
        self._measure.replace(policy.targets)
        if self._throughput is not None:
            self._throughput.follow(policy)
        elif policy.throughput:
            self._begin_tests()
        await self._outbox.append([self._journal.settings(self._digest())])
        log.info("new policy: %d targets", len(policy.targets))

    # --- what is done regularly -------------------------------------------------------------

    async def _commit(self) -> None:
        """What has settled goes to disk, and what has not beside it, as of one moment."""
        self._saving.begins()
        settled = self._measure.settled()
        await self._outbox.append(settled, self._measure.unfinished())
        self._spool_status = await self._outbox.status() or self._spool_status
        self._last_acked = await self._outbox.last_acked()

    async def _keep_committing(self) -> None:
        # The first answers at once: that the link was up again is known whatever comes.
        await self._saving.wait(min(SECOND_S, self._settings.rhythm.commit_s))
        while True:
            await self._commit()
            await self._saving.wait(self._settings.rhythm.commit_s)

    async def _notice(self) -> None:
        """A target that was lost just now is told at once: whoever is woken by it counts seconds,
        and the next regular status may be ten away."""
        losing = self._measure.losing(STATUS_WINDOW_S)
        if losing - self._losing:
            self._uplink.hurry()
        self._losing = losing

    async def _beat(self) -> None:
        error = self._measure.self_error()
        await self._outbox.append(
            self._journal.heartbeat(
                error.slot_late_ns, error.send_call_ns, self._spool_status.bytes_used
            )
        )

    async def _seal(self) -> None:
        await self._outbox.seal(self._journal.hub.quality().clock_class)
        self._uplink.wake()
        await self._outbox.tidy()

    async def _keep_time(self) -> None:
        """Ask whoever keeps this box's time how well, in a thread: it may take seconds."""
        if isinstance(self._clock, KeptClock):
            await asyncio.to_thread(self._clock.timekeeping.ask)

    async def _test(self) -> None:
        """Throughput tests, from when the hub first wants any."""
        await self._wanted.wait()
        assert self._throughput is not None
        await self._throughput.runner.run()

    async def _begin(self) -> None:
        await self._outbox.append([])
        await self._seal()

    async def run(self, stop: asyncio.Event, manager: ServiceManager | None = None) -> None:
        """Measure and report until `stop`; then everything made is on disk, sealed.

        `manager` hears when it has begun, that event loop and spool thread live, and its end.
        """
        manager = manager or ServiceManager()
        log.info(
            "agent %s of node %s: %d targets, hub %s",
            self.identity.agent_id,
            self.identity.node,
            len(self._policy.targets),
            self.identity.url,
        )
        await self._keep_time()
        await self._begin()
        manager.ready(
            f"Node {self.identity.node}: {len(self._policy.targets)} targets, hub"
            f" {self.identity.url}"
        )
        collect_rarely()
        rhythm = self._settings.rhythm
        tasks = {
            "measure": self._measure.run,
            "commit": self._keep_committing,
            "heartbeat": lambda: every(rhythm.heartbeat_s, self._beat),
            "seal": lambda: every(rhythm.seal_s, self._seal),
            "timekeeping": lambda: every(KEEP_TIME_S, self._keep_time),
            "follow": lambda: every(1.0, self._follow),
            "notice": lambda: every(NOTICE_S, self._notice),
            "status": lambda: self._uplink.run_status(rhythm.status_s),
            "evidence": self._uplink.run_evidence,
            "throughput": self._test,
            "service manager": lambda: manager.beat(self._outbox.status),
        }
        try:
            await run_until(stop, tasks)
        finally:
            manager.stopping()
            await self._end("asked to stop" if stop.is_set() else "failed")

    async def _end(self, reason: str) -> None:
        tests = self._throughput
        tested = () if tests is None else tests.aborted()
        records: list[Record] = [*self._measure.abort(), *tested, self._journal.stop(reason)]
        self._measure.close()
        if await self._outbox.append(records, ()) and tests is not None and tested:
            await tests.runner.given(tests.runner.owed())
        await self._outbox.seal(self._journal.hub.quality().clock_class)
        await self._uplink.last_words(LAST_SEND_S)
        self._uplink.close()
        await self._outbox.close(clean=True)
        log.info("stopped: %s", reason)
