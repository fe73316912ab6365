"""Slots, orders and budgets as agents and operators meet them: the I/O around `slots` and `orders`.

A grant is signed only when its octets are booked on disk; the key of a slot is derived at both ends
and never sent. What an agent says of its own slot frees it early and never gives budget back: only
the hub's own count does.
"""

import asyncio
import logging
import os
from collections import deque
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Protocol

import msgspec

from collector.counters import Counters
from collector.experiment import Experiment, ExperimentState, advance, due, orders
from collector.fleet import Fleet
from collector.identity import Identity
from collector.ledger import Agent, LedgerError
from collector.orders import OrderBook, Standing
from collector.roster import Roster
from collector.slot_store import SlotStore
from collector.slots import Ask, Group, Later, Running, Slots
from runtime.clock import SECOND, Clock
from wire import message
from wire.localtime import local_month
from wire.message import Closed, SlotReply, SlotRequest, ThroughputStatus, Want
from wire.plan import Order, ThroughputPlan, load_bytes
from wire.slot import Grant, Method
from wire.token import slot_key

log = logging.getLogger(__name__)
NO_KEY = "0" * 64
IPERF3_PORT = 5201
"""A grant has a port; a test against a server of somebody else's does not use it."""
_EPOCHS_REMEMBERED = 64


class Server(Protocol):
    """The hub's end of the loads (collector.throughput)."""

    @property
    def port(self) -> int:
        """Where agents come."""
        ...

    def expect(self, grant: Grant) -> None:
        """This slot, with its key in it, may be used."""
        ...

    def forget(self, slot_id: str) -> int | None:
        """The slot has ended; IP octets that it carried, None if that is not known."""
        ...


@dataclass(frozen=True, kw_only=True)
class Ground:
    """What the desk stands on."""

    fleet: Fleet
    roster: Roster
    identity: Identity
    clock: Clock
    counters: Counters
    store: SlotStore
    server: Server | None
    address: str
    """Literal address at which agents reach the throughput server."""
    capacity_bits_per_s: int | None
    """None: no tests."""


@dataclass
class _Heard:
    """The newest request of an agent."""

    epoch: str
    counter: int
    nonce: str
    reply: bytes
    former: deque[str] = field(default_factory=lambda: deque(maxlen=_EPOCHS_REMEMBERED))


@dataclass(frozen=True)
class _Booked:
    """What a grant took of a budget."""

    link: str
    month: str
    octets: int


class _Refused(Exception):
    """No slot, whatever the agent does."""

    def __init__(self, closed: Closed, detail: str) -> None:
        super().__init__(detail)
        self.closed = closed


class SlotDesk:
    """What the endpoints call."""

    def __init__(
        self, ground: Ground, new_id: Callable[[], str] = lambda: os.urandom(16).hex()
    ) -> None:
        """Reads what stands. Raises LedgerError."""
        self._on, self._new_id = ground, new_id
        self.slots = Slots(ground.capacity_bits_per_s or 0, new_id)
        self.book = OrderBook(ground.store.standing())
        self.experiments = {one.experiment_id: one for one in ground.store.experiments()}
        self._heard: dict[bytes, _Heard] = {}
        self._booked: dict[str, _Booked] = {}
        self._writing = asyncio.Lock()
        ground.counters.slots_running.set_function(lambda: len(self.slots.running))
        ground.counters.slots_waiting.set_function(lambda: len(self.slots.waiting))

    # --- agents ----------------------------------------------------------------------------

    async def serve(self, data: bytes) -> bytes:
        """A signed SlotRequest for its reply. Raises WireError or LedgerError."""
        on = self._on
        now_ns = on.clock.boot_ns()
        unproven = message.peek(data, SlotRequest)
        agent = on.roster.admit(bytes.fromhex(unproven.agent_id))
        request = message.verify(data, SlotRequest, agent.public_key)
        on.roster.spend(agent, now_ns)
        heard = self._heard.get(agent.agent_id)
        if heard is not None and (heard.epoch, heard.nonce) == (request.epoch, request.nonce):
            return heard.reply
        if heard is not None and _stale(heard, request):
            on.counters.slots_refused.labels(Closed.STALE).inc()
            return self._sign(request, closed=Closed.STALE, detail="a newer request was heard")
        # Noted before anything is awaited: the same octets may come twice at once.
        self._note(agent, request, self._sign(request, wait_s=1.0, detail="being answered"))
        reply = await self._answer(agent, request, now_ns)
        self._note(agent, request, reply)
        return reply

    def _note(self, agent: Agent, request: SlotRequest, reply: bytes) -> None:
        heard = self._heard.get(agent.agent_id)
        if heard is None:
            heard = self._heard[agent.agent_id] = _Heard("", 0, "", b"")
        elif heard.epoch != request.epoch:
            heard.former.append(heard.epoch)
        heard.epoch, heard.counter = request.epoch, request.counter
        heard.nonce, heard.reply = request.nonce, reply

    async def _answer(self, agent: Agent, request: SlotRequest, now_ns: int) -> bytes:
        await self._release(self.slots.tidy(now_ns), expired=True)
        if request.ended is not None:
            ended = self.slots.end(agent.agent_id, request.ended)
            await self._release([ended] if ended is not None else [])
        if request.want is None:
            return self._sign(request)
        try:
            plan, ask = self._admit(agent, request.want)
            former = self.slots.former(ask, now_ns)
            await self._release([former] if former is not None else [])
            told = self.slots.ask(ask, now_ns)
            if isinstance(told, Later):
                return self._sign(request, wait_s=told.wait_s, detail=_why(told))
            return await self._grant(agent, request, plan, told.slot)
        except _Refused as refused:
            self._on.counters.slots_refused.labels(refused.closed).inc()
            return self._sign(request, closed=refused.closed, detail=str(refused))

    def _sign(self, request: SlotRequest, **told: object) -> bytes:
        fields: dict[str, object] = {
            "nonce": request.nonce,
            "received_wall_ns": self._on.clock.wall_ns(),
        }
        return message.sign(SlotReply(**fields | told), self._on.identity.signing)  # type: ignore[arg-type]

    def _admit(self, agent: Agent, want: Want) -> tuple[ThroughputPlan, Ask]:
        """Whether this may be tested at all. Raises _Refused."""
        on, link = self._on, self._on.fleet.inventory.links.get(want.link)
        if on.capacity_bits_per_s is None or (
            on.server is None and want.method is not Method.IPERF3
        ):
            raise _Refused(Closed.OFF, "this hub carries no throughput tests")
        plan = on.fleet.inventory.plans.get(want.link)
        most = None if plan is None else plan.most(want.direction)
        if link is None or link.node != agent.node or plan is None or most is None:
            raise _Refused(Closed.NO_PLAN, "nothing is planned for this link that way")
        standing = self._check_wish(agent, want, plan)
        carried = 0 if want.method is Method.IPERF3 else want.bits_per_s
        if want.bits_per_s > most:
            raise _Refused(Closed.TOO_MUCH, f"{want.bits_per_s} bit/s, at most {most}")
        if not self.slots.fits(carried):
            raise _Refused(Closed.TOO_MUCH, "more than the hub may be loaded with")
        group = None
        if standing is not None and standing.group is not None:
            group = Group(standing.group, standing.group_size)
        return plan, Ask(
            agent_id=agent.agent_id,
            link=link.id,
            pop=link.pop,
            direction=want.direction,
            bits_per_s=carried,
            duration_s=want.duration_s,
            order_id=want.order_id,
            group=group,
        )

    def _check_wish(self, agent: Agent, want: Want, plan: ThroughputPlan) -> Standing | None:
        """The order that it obeys; None where the plan asks for it. Raises _Refused."""
        if want.order_id is None:
            longest_s = max(plan.duration_s, plan.long_s)
            if want.method is not plan.method:
                raise _Refused(Closed.NO_PLAN, f"the plan's method is {plan.method}")
        else:
            standing = self.book.get(want.order_id)
            fits = standing is not None and not standing.final and standing.node == agent.node
            if standing is None or not fits or not _obeys(want, standing.order):
                raise _Refused(Closed.NO_PLAN, "no such order stands")
            if self.book.left_behind(standing):
                raise _Refused(Closed.NO_PLAN, "the others of the group began without this one")
            longest_s = standing.order.load_s
        if want.duration_s > longest_s:
            raise _Refused(Closed.TOO_MUCH, f"{want.duration_s:g} s, at most {longest_s:g}")
        return None if want.order_id is None else standing

    async def _grant(
        self, agent: Agent, request: SlotRequest, plan: ThroughputPlan, slot: Running
    ) -> bytes:
        """Book it, expect it, sign it."""
        on, want = self._on, request.want
        assert want is not None
        server = on.server if want.method is not Method.IPERF3 else None
        new = slot.slot_id not in self._booked
        if new:
            await self._pay(want, plan, slot)
            on.counters.slots_granted.inc()
        grant = Grant(
            slot_id=slot.slot_id,
            key=NO_KEY,
            link=want.link,
            method=want.method,
            direction=want.direction,
            duration_s=want.duration_s,
            most_bits_per_s=want.bits_per_s,
            flows=want.flows,
            address=on.address,
            port=IPERF3_PORT if server is None else server.port,
            wait_s=max(0.0, (slot.begins_ns - on.clock.boot_ns()) / SECOND),
        )
        if new and server is not None:
            server.expect(msgspec.structs.replace(grant, key=self._key(agent, slot.slot_id)))
        return self._sign(request, grant=grant)

    def _key(self, agent: Agent, slot_id: str) -> str:
        private = self._on.identity.exchange
        raw = slot_key(private, agent.exchange_key, agent.agent_id, bytes.fromhex(slot_id))
        return raw.hex()

    async def _pay(self, want: Want, plan: ThroughputPlan, slot: Running) -> None:
        """Raises _Refused where the budget is spent; the slot is free again then."""
        on = self._on
        month = local_month(on.clock.wall_ns() / SECOND, plan.zone_offset_s)
        octets = load_bytes(want.bits_per_s, want.duration_s)
        try:
            paid = await asyncio.to_thread(
                on.store.spend, want.link, month, octets, plan.budget_bytes
            )
        except LedgerError:
            self.slots.end(slot.ask.agent_id, slot.slot_id)
            raise
        if not paid:
            self.slots.end(slot.ask.agent_id, slot.slot_id)
            raise _Refused(Closed.BUDGET, f"the budget of {plan.budget_bytes} bytes is spent")
        self._booked[slot.slot_id] = _Booked(want.link, month, octets)

    async def _release(self, ended: list[Running], *, expired: bool = False) -> None:
        """Slots that are over: the server forgets them, and the budget gets back what is left."""
        for one in ended:
            if expired:
                self._on.counters.slots_expired.inc()
            booked = self._booked.pop(one.slot_id, None)
            carried = None if self._on.server is None else self._on.server.forget(one.slot_id)
            if booked is None or carried is None or carried >= booked.octets:
                continue
            left = booked.octets - max(0, carried)
            await asyncio.to_thread(self._on.store.give_back, booked.link, booked.month, left)

    async def keep(self, agent_ids: Collection[bytes]) -> None:
        """Forget agents other than these: they were revoked."""
        known = {one.ask.agent_id for one in self.slots.running}
        known |= {ask.agent_id for ask in self.slots.waiting}
        ended = [self.slots.forget(agent_id) for agent_id in known - set(agent_ids)]
        await self._release([one for one in ended if one is not None])

    # --- orders ----------------------------------------------------------------------------

    def orders_for(self, node: str) -> tuple[Order, ...]:
        """What the node's agent is told."""
        return self.book.of(node)

    async def hear(self, agent: Agent, told: ThroughputStatus) -> None:
        """An agent says how far its orders are. Raises LedgerError."""
        now_ns = self._on.clock.wall_ns()
        news = [self.book.hear(agent.node, one, now_ns) for one in told.orders]
        changed = [one for one in news if one is not None]
        if changed:
            await self._save(standing=changed)

    async def order(self, standing: Standing) -> None:
        """Take an order. Raises LedgerError: it does not stand then."""
        await self._save(standing=[standing])
        self.book.add(standing)

    async def cancel(self, order_id: str) -> Standing | None:
        """Withdraw an order; None where there is none to withdraw."""
        changed = self.book.cancel(order_id, self._on.clock.wall_ns())
        if changed is not None:
            await self._save(standing=[changed])
        return changed

    async def experiment(self, experiment: Experiment) -> None:
        """Begin an experiment. Raises LedgerError."""
        await self._save(experiments=[experiment])
        self.experiments[experiment.experiment_id] = experiment

    async def stop_experiment(self, experiment_id: str) -> Experiment | None:
        """Cancel an experiment and its orders; None where none runs."""
        known = self.experiments.get(experiment_id)
        if known is None or known.state is not ExperimentState.RUNNING:
            return None
        for order_id in known.standing:
            await self.cancel(order_id)
        stopped = msgspec.structs.replace(known, state=ExperimentState.CANCELLED)
        self.experiments[experiment_id] = stopped
        await self._save(experiments=[stopped])
        return stopped

    async def turn(self) -> None:
        """What time does: slots end, orders expire, experiments go on. A failing disk waits."""
        now_ns = self._on.clock.wall_ns()
        try:
            await self._release(self.slots.tidy(self._on.clock.boot_ns()), expired=True)
            late = self.book.expire(now_ns)
            gone = self.book.trim()
            if late or gone:
                await self._save(standing=late, gone=gone)
            for one in list(self.experiments.values()):
                await self._go_on(one, now_ns)
        except LedgerError as error:
            log.error("orders and experiments wait: %s", error)

    async def _go_on(self, known: Experiment, now_ns: int) -> None:
        standing = (self.book.get(order_id) for order_id in known.standing)
        book = {one.order.order_id: one for one in standing if one is not None}
        further = advance(known, book)
        now = due(further)
        new: tuple[Standing, ...] = ()
        if now is not None:
            new = orders(further, now, [self._new_id() for _ in now.links], now_ns)
            further = msgspec.structs.replace(
                further, standing=tuple(one.order.order_id for one in new)
            )
        if further != known:
            await self._save(standing=new, experiments=[further])
            for one in new:
                self.book.add(one)
            self.experiments[further.experiment_id] = further

    async def _save(
        self,
        standing: list[Standing] | tuple[Standing, ...] = (),
        experiments: list[Experiment] | tuple[Experiment, ...] = (),
        gone: list[str] | tuple[str, ...] = (),
    ) -> None:
        async with self._writing:
            await asyncio.to_thread(self._on.store.save, standing, experiments, gone)

    def close(self) -> None:
        """Close the store."""
        self._on.store.close()


def _stale(heard: _Heard, request: SlotRequest) -> bool:
    if request.epoch == heard.epoch:
        return request.counter <= heard.counter
    # Epoch ids are random: what orders them is that a former one never speaks again.
    return request.epoch in heard.former


def _obeys(want: Want, order: Order) -> bool:
    if (want.link, want.method) != (order.link, order.method):
        return False
    if order.bits_per_s is not None and want.bits_per_s > order.bits_per_s:
        return False
    return want.direction in order.directions and want.flows == order.flows


def _why(told: Later) -> str:
    if told.group_missing:
        return f"waiting for {told.group_missing} more of the group"
    return f"{told.ahead} before you" if told.ahead else "next, when a test has ended"
