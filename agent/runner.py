"""The throughput tests of this box, one at a time: due, gate, slot, load, evidence.

Everything that decides is elsewhere and pure (plan, gate, jobs); everything that loads is injected.
Whatever happens, the logbook is durable before the first packet and a test is settled once.
"""

import asyncio
import logging
import os
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import msgspec

from agent.counters import Counters
from agent.gate import LOOK_S, Cross, Decision, Look, Move, Quality, decide, look
from agent.hub import HubUnreachable
from agent.jobs import Job, job_of_leg, jobs_of_order, order_key
from agent.logbook import Logbook, Started
from agent.plan import LATEST_S, recent_legs
from runtime.clock import SECOND, Clock, instant
from wire.codec import Record
from wire.detail import Reading
from wire.errors import WireError
from wire.instant import ClockClass
from wire.message import (
    FINAL,
    MAX_LINK_TESTS,
    MAX_ORDERS,
    Closed,
    End,
    Figures,
    OrderState,
    SlotReply,
    SlotRequest,
    ThroughputStatus,
    Want,
)
from wire.plan import Order, ThroughputPlan
from wire.slot import Grant

log = logging.getLogger(__name__)
TURN_S = 1.0
FRESH_S = 10.0
"""A look at the users' traffic older than this is taken again before the load."""
RETRY_S = 30.0
"""Between two questions to a hub that is not reached."""
SETTLE_S = 30.0
"""So much longer than its load a test may take, handshake and last words included."""
_LAST_LOOKS = 3
_BAD = {Closed.BUDGET: End.BUDGET}


async def _nobody() -> None:
    """Whom nobody tells."""


class Seen(NamedTuple):
    """What is known of the link when the load begins."""

    bits_per_s: int
    """IP rate to send at, or the most of it."""
    quality: Quality
    cross: Cross | None
    counters: Counters | None
    """To be read when the load begins and when it ends."""
    progress: Callable[[str], None] = lambda _: None
    """Told, in words, how far the test is."""
    loading: Callable[[], Awaitable[None]] = _nobody
    """Told when load begins; returns when that is durable, or cannot be."""


class Ran(NamedTuple):
    """What a load gave."""

    records: Sequence[Record]
    """The evidence."""
    figures: Figures
    carried_bytes: int | None
    """IP octets, both directions together; None: not known."""


@dataclass(frozen=True, kw_only=True)
class Tools:
    """What the runner does with the world."""

    ask: Callable[[SlotRequest], Awaitable[SlotReply]]
    """Raises HubUnreachable or WireError."""
    load: Callable[[Grant, Job, Seen], Awaitable[Ran]]
    """The data plane: loads the link within the grant."""
    skipped: Callable[[Job, End, Cross | None], Sequence[Record]]
    """The evidence that a test was not made, and why."""
    interrupted: Callable[[Started], Sequence[Record]]
    """The evidence of a test in which a former life ended without a word."""
    counters: Callable[[ThroughputPlan], Counters | None]
    """A reader of the link's router; None where nobody counts."""
    append: Callable[[Sequence[Record]], Awaitable[bool]]
    """Into the outbox."""
    changed: Callable[[], None]
    """An order has come further: tell the hub soon."""
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep


@dataclass(frozen=True, kw_only=True)
class Box:
    """Who tests."""

    agent_id: str
    epoch: str
    secret: bytes
    """Draws the times; nobody else knows it."""
    derive: Callable[[str], str]
    """The key of a slot, from its id."""


class Runner:
    """Tests what is planned and what is ordered."""

    def __init__(
        self,
        box: Box,
        tools: Tools,
        logbook: Logbook,
        clock: Clock,
        clock_class: Callable[[], ClockClass],
    ) -> None:
        self._box, self._tools, self._logbook = box, tools, logbook
        self._clock, self._clock_class = clock, clock_class
        self._plans: dict[str, ThroughputPlan] = {}
        self._orders: tuple[Order, ...] = ()
        self._not_before: dict[str, int] = {}
        """Boot clock, by job: when to look again."""
        self._counter = 0
        self._attempted_s = 0.0
        """Wall clock: until when this box was there and had its hands full."""
        self.busy = False
        """A load is on the link."""
        self._told: list[Started] = []
        """Tests of a former life whose evidence the outbox has, if only in memory."""

    # --- what the hub says and hears -------------------------------------------------------

    def follow(self, plans: Sequence[ThroughputPlan]) -> None:
        """These plans from now on."""
        self._plans = {plan.link: plan for plan in plans}

    def obey(self, orders: Sequence[Order]) -> None:
        """These orders stand, and no others."""
        self._orders = tuple(orders)
        known = {order.order_id for order in orders}
        if self._logbook.orders.keys() - known:
            self._logbook.keep_orders(known)
        for order in orders:
            if order.order_id not in self._logbook.orders:
                self._accept(order)

    def _accept(self, order: Order) -> None:
        plan = self._plans.get(order.link)
        if plan is None:
            self._tell(order.order_id, OrderState.FAILED, "this box has no plan for the link")
        elif not any(jobs_of_order(order, plan)):
            self._tell(order.order_id, OrderState.FAILED, "the plan has no rate that way")
        else:
            self._tell(order.order_id, OrderState.ACCEPTED)

    def status(self) -> ThroughputStatus:
        """For the hub's pages."""
        links = tuple(self._logbook.told(plan) for plan in self._plans.values())
        orders = tuple(self._logbook.orders.values())
        return ThroughputStatus(links=links[:MAX_LINK_TESTS], orders=orders[:MAX_ORDERS])

    # --- what is due -----------------------------------------------------------------------

    async def run(self) -> None:
        """Test for ever."""
        while True:
            if not await self.step():
                await self._tools.sleep(TURN_S)

    async def step(self) -> bool:
        """Do what is due next, if anything is."""
        await self._own_up()
        if self._clock_class() is not ClockClass.D:
            await self._keep_books()
        job = self._next()
        if job is None:
            return False
        try:
            await self._attempt(job)
            self._attempted_s = self._wall_s()
            await self._save()
        except OSError as error:
            # No test without a logbook: it would be done again and again, and cost nothing.
            log.error("the logbook of throughput tests cannot be written: %s", error)
            self._not_before[job.key] = self._clock.boot_ns() + int(RETRY_S * SECOND)
        return True

    async def _save(self) -> None:
        await asyncio.to_thread(self._logbook.write, self._logbook.encoded())

    def _wall_s(self) -> float:
        return self._clock.wall_ns() / SECOND

    async def _own_up(self) -> None:
        """Give the evidence of tests in which this program ended; it is given when it is durable,
        and what the outbox only holds for now is not handed to it twice."""
        owed = self._logbook.owed()
        if not owed:
            return
        new = [one for one in owed if one not in self._told]
        self._told += new
        records = [record for one in new for record in self._tools.interrupted(one)]
        if await self._tools.append(records):
            await self.given(owed)

    async def given(self, tests: Sequence[Started]) -> None:
        """The evidence of these tests is durable."""
        self._logbook.given(tests)
        try:
            await self._save()
        except OSError as error:
            log.error("the logbook of throughput tests cannot be written: %s", error)

    def owed(self) -> Sequence[Started]:
        """Tests that have begun and of which no evidence was given yet."""
        return self._logbook.owed()

    async def _keep_books(self) -> None:
        """Months turn, and tests that nobody was there for are missed."""
        wall_s = self._wall_s()
        self._logbook.forget(wall_s)
        turned = [self._logbook.turn(plan, wall_s) for plan in self._plans.values()]
        late = [job for plan in self._plans.values() for job in self._late(plan, wall_s)]
        for job in late:
            note = self._logbook.note(job.key)
            if note is not None and note.tries:
                await self._end(job, End.BUSY, "users came first until it was too late")
            elif (job.until_s or 0) < self._attempted_s:
                await self._end(job, End.NO_SLOT, "another test waited for its slot all the while")
            else:
                await self._end(job, End.MISSED, "nobody was there to do it when it was due")
        if late or any(turned):
            try:
                await self._save()
            except OSError as error:
                log.error("the logbook of throughput tests cannot be written: %s", error)

    def _late(self, plan: ThroughputPlan, wall_s: float) -> Iterator[Job]:
        """Planned tests whose time has passed without an end."""
        since_s = self._logbook.page(plan.link).since_s
        for leg in recent_legs(plan, self._box.secret, wall_s):
            note = self._logbook.note(leg.leg_id)
            open_still = note is None or note.end is None
            if open_still and since_s <= leg.due_s < wall_s - LATEST_S:
                yield job_of_leg(leg, plan)

    def _next(self) -> Job | None:
        """The first job that is due and not put off: orders go first."""
        now_ns = self._clock.boot_ns()
        for job in self._due():
            note = self._logbook.note(job.key)
            if (note is None or note.end is None) and self._not_before.get(job.key, 0) <= now_ns:
                return job
        return None

    def _due(self) -> Iterator[Job]:
        for order in self._orders:
            plan = self._plans.get(order.link)
            known = self._logbook.orders.get(order.order_id)
            if plan is not None and known is not None and known.state not in FINAL:
                yield from jobs_of_order(order, plan)
        if self._clock_class() is ClockClass.D:
            return
        wall_s = self._wall_s()
        planned = [
            job_of_leg(leg, plan)
            for plan in self._plans.values()
            for leg in recent_legs(plan, self._box.secret, wall_s)
            if wall_s - LATEST_S <= leg.due_s <= wall_s
            and leg.due_s >= self._logbook.page(plan.link).since_s
        ]
        yield from sorted(planned, key=lambda job: job.due_s or 0.0)

    # --- one job ---------------------------------------------------------------------------

    async def _attempt(self, job: Job) -> None:
        """Look, ask, load; every way out settles the job or puts it off."""
        if not self._logbook.room(job):
            await self._end(job, End.BUDGET, "the month's budget is spent")
            return
        counters = self._open(job)
        try:
            self._say(job, OrderState.GATE)
            seen, decision = await self._gate(job, counters)
            if decision.move is not Move.GO:
                await self._hold(job, decision, seen)
                return
            looked_ns = self._clock.boot_ns()
            self._say(job, OrderState.SLOT)
            grant = await self._slot(job, seen)
            if grant is None:
                return
            began_ns = self._clock.boot_ns() + int(grant.wait_s * SECOND)
            if began_ns - looked_ns > FRESH_S * SECOND:
                await self._sleep_until(began_ns - int(LOOK_S * SECOND))
                seen = await self._look(job, counters, _LAST_LOOKS) or seen
                decision = self._decide(job, seen)
            if decision.move is not Move.GO:
                await self._give_back(grant)
                await self._hold(job, decision, seen)
                return
            await self._sleep_until(began_ns)
            rate = min(job.rate(seen), grant.most_bits_per_s)
            known = Seen(
                rate,
                decision.quality,
                seen,
                counters,
                lambda words: self._say(job, OrderState.RUNNING, words),
                lambda: self._loading(job),
            )
            await self._load(grant, job, known)
        finally:
            if counters is not None:
                counters.close()

    def _open(self, job: Job) -> Counters | None:
        try:
            return self._tools.counters(job.plan)
        except (OSError, ValueError) as error:
            log.warning("link %s: its router's counters cannot be read: %s", job.plan.link, error)
            return None

    async def _gate(self, job: Job, counters: Counters | None) -> tuple[Cross | None, Decision]:
        seen = await self._look(job, counters)
        return seen, self._decide(job, seen)

    def _decide(self, job: Job, seen: Cross | None) -> Decision:
        note = self._logbook.note(job.key)
        tries = 0 if note is None else note.tries
        if not job.gate:
            return Decision(Move.GO, Quality.B if seen is None else Quality.A)
        decision = decide(seen, job.plan, job.direction, tries=tries, wall_s=self._wall_s())
        if job.order_id is not None and decision.end is End.BLIND:
            # Whoever orders a test now has decided that now is the time.
            return Decision(Move.GO, Quality.B)
        return decision

    async def _look(
        self, job: Job, counters: Counters | None, most: int | None = None
    ) -> Cross | None:
        """The users' traffic; the readings go into the evidence."""
        if counters is None:
            return None
        readings: list[Reading] = []
        found = Look(False)
        while not found.settled and (most is None or len(readings) < most):
            if readings:
                await self._sleep_until(readings[-1].boot_ns + int(LOOK_S * SECOND))
            readings.append(await counters.read())
            found = look(readings, job.plan)
        await self._tools.append(readings)
        return found.cross

    async def _hold(self, job: Job, decision: Decision, seen: Cross | None) -> None:
        """The users come first: later, or not at all."""
        wait_s = job.plan.gate.wait_s
        too_late = job.until_s is not None and self._wall_s() + wait_s > job.until_s
        if decision.move is Move.DEFER:
            self._logbook.defer(job)
        if decision.move is Move.SKIP or too_late:
            await self._end(job, decision.end or End.BUSY, "users come first", seen)
            return
        self._not_before[job.key] = self._clock.boot_ns() + int(wait_s * SECOND)
        self._say(job, OrderState.GATE, f"users are busy; looking again in {wait_s:g} s")

    async def _slot(self, job: Job, seen: Cross | None) -> Grant | None:
        """The hub's grant; None where there will be none, which is settled here."""
        while not self._gone(job):
            try:
                reply = await self._tools.ask(self._request(self._want(job, seen)))
            except (HubUnreachable, WireError) as error:
                self._say(job, OrderState.SLOT, str(error))
                await self._tools.sleep(RETRY_S)
                continue
            if reply.grant is not None:
                grant = reply.grant
                return msgspec.structs.replace(grant, key=self._box.derive(grant.slot_id))
            if reply.closed not in (None, Closed.STALE):
                detail = f"the hub: {reply.closed}: {reply.detail}"
                await self._end(job, _BAD.get(reply.closed, End.NO_SLOT), detail, seen)
                return None
            wait_s = TURN_S if reply.wait_s is None else reply.wait_s
            self._say(job, OrderState.SLOT, reply.detail)
            await self._tools.sleep(wait_s)
        await self._end(job, End.NO_SLOT, "no slot in time", seen)
        return None

    def _gone(self, job: Job) -> bool:
        """Whether it is too late for it, or nobody wants it any more."""
        if job.until_s is not None:
            return self._wall_s() > job.until_s
        return all(order.order_id != job.order_id for order in self._orders)

    def _want(self, job: Job, seen: Cross | None) -> Want:
        return Want(
            link=job.plan.link,
            method=job.method,
            direction=job.direction,
            bits_per_s=job.rate(seen),
            duration_s=job.load_s,
            flows=job.flows,
            order_id=job.order_id,
        )

    def _request(self, want: Want | None, ended: str | None = None) -> SlotRequest:
        self._counter += 1
        return SlotRequest(
            agent_id=self._box.agent_id,
            epoch=self._box.epoch,
            counter=self._counter,
            nonce=os.urandom(16).hex(),
            want=want,
            ended=ended,
        )

    async def _give_back(self, grant: Grant) -> None:
        """Best effort: a slot that nobody gives back ends by itself."""
        try:
            await self._tools.ask(self._request(None, grant.slot_id))
        except (HubUnreachable, WireError) as error:
            log.debug("slot %s ends by itself: %s", grant.slot_id, error)

    async def _load(self, grant: Grant, job: Job, seen: Seen) -> None:
        self._logbook.begin(job, grant.slot_id, instant(self._clock))
        try:
            await self._save()
        except OSError:
            self._logbook.unbegin(job)
            raise
        self._say(job, OrderState.RUNNING)
        self.busy = True
        try:
            async with asyncio.timeout(job.load_s + SETTLE_S):
                ran = await self._tools.load(grant, job, seen)
        except Exception as error:
            log.exception("throughput test of link %s failed", job.plan.link)
            await self._end(job, End.FAILED, str(error) or type(error).__name__, seen.cross)
        else:
            await self._tools.append(ran.records)
            self._logbook.settle(job, ran.figures.end, ran.carried_bytes)
            self._report(job, ran.figures)
        finally:
            self.busy = False
        await self._give_back(grant)

    async def _loading(self, job: Job) -> None:
        """Best effort: without it a later life can only say when the slot was taken up."""
        self._logbook.loading(job, instant(self._clock))
        try:
            await self._save()
        except OSError as error:
            log.error("the logbook of throughput tests cannot be written: %s", error)

    async def _end(self, job: Job, end: End, detail: str, seen: Cross | None = None) -> None:
        """It will not be tested (any more)."""
        self._logbook.settle(job, end)
        self._not_before.pop(job.key, None)
        await self._tools.append(self._tools.skipped(job, end, seen))
        log.info("throughput test of link %s %s: %s: %s", job.plan.link, job.direction, end, detail)
        taken = None if seen is None else seen.of(job.direction)
        self._report(
            job,
            Figures(direction=job.direction, end=end, cross_bits_per_s=taken, detail=detail[:256]),
        )

    async def _sleep_until(self, boot_ns: int) -> None:
        await self._tools.sleep(max(0, boot_ns - self._clock.boot_ns()) / SECOND)

    # --- orders ----------------------------------------------------------------------------

    def _say(self, job: Job, state: OrderState, detail: str = "") -> None:
        if job.order_id in self._logbook.orders:  # else it was withdrawn meanwhile
            self._tell(job.order_id, state, detail)

    def _tell(self, order_id: str, state: OrderState, detail: str = "") -> None:
        if self._logbook.tell(order_id, state, detail):
            self._tools.changed()

    def _report(self, job: Job, figures: Figures) -> None:
        """One direction of an order has come to its end; perhaps all have."""
        if job.order_id is None or job.order_id not in self._logbook.orders:
            return
        self._logbook.figure(job.order_id, figures)
        order = next((one for one in self._orders if one.order_id == job.order_id), None)
        if order is None:
            return
        notes = [
            self._logbook.note(order_key(order.order_id, direction))
            for direction in order.directions
            if job.plan.cir(direction) is not None
        ]
        ends = {None if note is None else note.end for note in notes}
        if None in ends:
            self._tell(order.order_id, OrderState.ACCEPTED)
        elif ends <= {End.DONE, End.UNFIT}:
            self._tell(order.order_id, OrderState.DONE)
        else:
            failed = End.FAILED in ends
            self._tell(order.order_id, OrderState.FAILED if failed else OrderState.SKIPPED)
