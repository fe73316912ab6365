"""Delivery over the link that is being measured: late is normal, twice is harmless, lost is not.

Lanes with a thread and a connection each. The status lane says every 10 s how things are now
and learns the hub's time; it may be dropped. The evidence lane sends the newest batch first, so
that the hub's detail is fresh, and the backlog behind it, oldest first and at a bounded rate.
The slot lane asks for throughput slots. A batch leaves the spool only for a signed receipt whose
digest matches.
"""

import asyncio
import logging
import os
import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from agent.hub import Answer, HubConnection, HubUnreachable
from agent.identity import Identity
from agent.outbox import Outbox
from agent.pace import SECOND, Backoff, ByteRate
from agent.refusals import Move, explain, move, refusal
from agent.settings import UplinkSection
from agent.spool import StoredBatch
from runtime.clock import Clock
from wire import message, receipt
from wire.errors import Refusal, WireError
from wire.instant import ClockClass
from wire.journal import Anchor
from wire.message import SlotReply, SlotRequest, Status, StatusReply

log = logging.getLogger(__name__)
FRESH_NS = 120 * SECOND
"""A batch sealed within this goes before the backlog."""
SOONEST_STATUS_S = 1.0
"""Between two status messages, however much there is to tell."""
LONG_WAIT_S = (900.0, 3600.0)
"""When an operator has to act, ask again between these."""


@dataclass(frozen=True, kw_only=True)
class Orders:
    """What the uplink does with what it learns."""

    status: Callable[[str], Status]
    """The status to send, with this nonce."""
    reply: Callable[[StatusReply, Anchor], None]
    """The hub's answer and its clock."""


class Uplink:
    """The two lanes; `run_status` and `run_evidence` are for ever."""

    def __init__(
        self,
        identity: Identity,
        outbox: Outbox,
        orders: Orders,
        settings: UplinkSection,
        clock: Clock,
    ) -> None:
        self._identity, self._outbox, self._orders = identity, outbox, orders
        self._settings, self._clock = settings, clock
        self._collector_key = bytes.fromhex(identity.collector_key)
        self._key = identity.signing_key()
        self._lanes = {
            lane: (ThreadPoolExecutor(1, f"uplink-{lane}"), self._connect())
            for lane in ("status", "evidence", "slot")
        }
        chance = random.random
        self._backoff = Backoff(settings.backoff_base_s, settings.backoff_cap_s, chance)
        self._backlog = ByteRate(settings.backlog_bytes_per_s)
        self._wake = asyncio.Event()
        self._hub_is_back = asyncio.Event()
        """Ends a wait after a failure; a newly sealed batch does not, or no wait were ever longer
        than a minute."""
        self._reached = False
        self._hurry = asyncio.Event()
        self.hub_revision = 1
        """Of the wire format, that the hub's newest answer said it reads."""
        self.last_error: str | None = None
        """Why the hub was not reached, in words; None while it is."""

    def _connect(self) -> HubConnection:
        return HubConnection(
            self._identity.url, ca_file=self._identity.ca_file, timeout_s=self._settings.timeout_s
        )

    def wake(self) -> None:
        """There may be something to send."""
        self._wake.set()

    def close(self) -> None:
        """Let go of connections and threads."""
        for executor, connection in self._lanes.values():
            executor.shutdown(wait=False, cancel_futures=True)
            connection.close()

    async def _post(self, lane: str, path: str, data: bytes) -> Answer:
        executor, connection = self._lanes[lane]
        known = self._clock.quality().clock_class is not ClockClass.D
        return await asyncio.get_running_loop().run_in_executor(
            executor, lambda: connection.post(path, data, clock_known=known)
        )

    # --- status lane ----------------------------------------------------------------------

    async def run_status(self, interval_s: float) -> None:
        """Tell the hub how things are, for ever; a status that fails is forgotten."""
        # Boxes that got their power back together do not speak together.
        await asyncio.sleep(random.uniform(0, min(interval_s, 5.0)))
        while True:
            try:
                await self.tell()
                self._note(None)
            except HubUnreachable as error:
                self._note(str(error))
            except WireError as error:
                self._note(f"the answer is not from our collector: {error}")
            self._hurry.clear()
            await asyncio.sleep(min(interval_s, SOONEST_STATUS_S))
            await _within(self._hurry, max(0.0, interval_s - SOONEST_STATUS_S))

    def hurry(self) -> None:
        """There is something that the hub would like to know before the next regular status."""
        self._hurry.set()

    async def tell(self) -> None:
        """One status exchange. Raises HubUnreachable or WireError."""
        nonce = os.urandom(16).hex()
        sent_ns = self._clock.boot_ns()
        data = message.sign(self._orders.status(nonce), self._key)
        answer = await self._post("status", "/v1/status", data)
        took_ns = self._clock.boot_ns() - sent_ns
        self.hub_revision = answer.revision
        if answer.status != 200:
            raise HubUnreachable(explain(answer))
        reply = message.verify(answer.body, StatusReply, self._collector_key)
        if reply.nonce != nonce:
            raise WireError(Refusal.BAD_SIGNATURE, "an answer to another status")
        # The hub read its clock somewhere between sending and receiving (NTP's argument).
        anchor = Anchor(sent_ns + took_ns // 2, reply.received_wall_ns, took_ns // 2)
        self._obey(reply)
        self._orders.reply(reply, anchor)

    async def ask_slot(self, request: SlotRequest) -> SlotReply:
        """One question for a throughput slot. Raises HubUnreachable or WireError."""
        answer = await self._post("slot", "/v1/slot", message.sign(request, self._key))
        if answer.status != 200:
            raise HubUnreachable(explain(answer))
        reply = message.verify(answer.body, SlotReply, self._collector_key)
        if reply.nonce != request.nonce:
            raise WireError(Refusal.BAD_SIGNATURE, "an answer to another request")
        return reply

    def _obey(self, reply: StatusReply) -> None:
        granted = reply.catchup_bytes_per_s
        limit = self._settings.backlog_bytes_per_s
        self._backlog.bytes_per_s = max(1, limit if granted is None else min(limit, granted))

    def _note(self, error: str | None) -> None:
        if error is None and self.last_error is not None:
            log.info("the hub is reached again")
            self._backoff.worked()
            self._hub_is_back.set()
        elif error is not None and self.last_error is None:
            log.warning("the hub is not reached: %s", error)
        self.last_error = error

    # --- evidence lane --------------------------------------------------------------------

    async def run_evidence(self) -> None:
        """Deliver batches, for ever."""
        while True:
            self._wake.clear()
            batch, fresh = await self._next()
            if batch is None:
                await self._wake.wait()
                continue
            if not fresh:
                wait_s = self._backlog.wait_s(self._clock.boot_ns())
                if wait_s > 0 and await _within(self._wake, wait_s):
                    continue
                self._backlog.sent(len(batch.data), self._clock.boot_ns())
            await self._deliver(batch)

    async def last_words(self, seconds: float) -> None:
        """Before the end: deliver what waits, for at most `seconds`; the rest stays on disk."""
        if self.last_error is not None:
            return
        try:
            async with asyncio.timeout(seconds):
                while await self._one_more():
                    pass
        except (TimeoutError, HubUnreachable) as error:
            log.debug("what is left stays in the spool: %s", error)

    async def _one_more(self) -> bool:
        batch, _ = await self._next()
        if batch is None:
            return False
        answer = await self._post("evidence", "/v1/batch", batch.data)
        return move(answer) is Move.CHECK_RECEIPT and await self._acknowledged(batch, answer)

    async def _next(self) -> tuple[StoredBatch | None, bool]:
        fresh = await self._outbox.fresh(FRESH_NS)
        if fresh is not None:
            return fresh, True
        return await self._outbox.oldest(), False

    async def _deliver(self, batch: StoredBatch) -> None:
        """One attempt, and what follows from it; the wait after a failure included."""
        self._hub_is_back.clear()
        try:
            answer = await self._post("evidence", "/v1/batch", batch.data)
        except HubUnreachable as error:
            self._reached = False
            log.debug("batch %d of epoch %s waits: %s", batch.seq, batch.epoch.hex(), error)
            await self._pause(self._backoff.failed())
            return
        what = move(answer)
        if what is Move.CHECK_RECEIPT and await self._acknowledged(batch, answer):
            self._backoff.worked()
            await self._rejoined()
        elif what is Move.SET_ASIDE:
            word = refusal(answer) or Refusal.MALFORMED
            log.error(
                "the hub refuses batch %d of epoch %s, which is kept and set aside: %s",
                batch.seq,
                batch.epoch.hex(),
                explain(answer),
            )
            await self._outbox.set_aside(batch, word)
        elif what is Move.WAIT_LONG:
            log.error("the hub wants no reports from this box: %s; all is kept", explain(answer))
            await self._pause(random.uniform(*LONG_WAIT_S))
        else:
            await self._pause(self._backoff.failed(answer.retry_after_s))

    async def _acknowledged(self, batch: StoredBatch, answer: Answer) -> bool:
        try:
            parsed = receipt.parse(answer.body, self._collector_key)
        except WireError as error:
            log.warning("an answer of 200 without a receipt (a portal on the way?): %s", error)
            return False
        if parsed.batch_digest != batch.digest:
            log.warning("a receipt for another batch came back; nothing is deleted")
            return False
        return await self._outbox.acknowledge(parsed, answer.body)

    async def _rejoined(self) -> None:
        """The first delivery after a failure: the backlog waits a random while, fresh ones not."""
        if not self._reached:
            self._reached = True
            self._backlog.sent(
                int(random.uniform(0, self._settings.rejoin_spread_s) * self._backlog.bytes_per_s),
                self._clock.boot_ns(),
            )

    async def _pause(self, seconds: float) -> None:
        """Wait, or less if the status lane finds the hub."""
        await _within(self._hub_is_back, max(seconds, 0.05))


async def _within(event: asyncio.Event, seconds: float) -> bool:
    """Whether `event` was set before `seconds` had passed."""
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return False
    return True
