"""Slots, orders and budgets over real HTTP: who gets what, and who gets nothing."""

import asyncio
import json
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import msgspec
import pytest

from collector.slot_desk import NO_KEY
from collector.slots import BEGIN_S, SETTLE_S
from runtime.clock import SECOND, SystemClock
from runtime.testing import FakeClock
from tests.collector.hub import Hub, later
from tests.collector.kit import Box
from tests.collector.slot_kit import (
    MBIT,
    READS,
    Asker,
    FakeServer,
    slot_hub,
    token,
    told,
)
from wire import message
from wire.message import (
    Closed,
    End,
    Figures,
    LinkTests,
    OrderProgress,
    OrderState,
    Status,
    StatusReply,
    ThroughputStatus,
)
from wire.plan import Order
from wire.slot import Direction, Method
from wire.token import slot_key

ONE = {"n1": "A"}
THREE = {"n1": "A", "n2": "A", "n3": "B"}


async def test_a_grant_says_all_and_its_key_is_derived_at_both_ends(tmp_path: Path) -> None:
    server = FakeServer()
    async with slot_hub(tmp_path, ONE, server=server) as (hub, askers):
        asker = askers["n1"]
        reply = await hub.ask(asker.box, asker.request(asker.want()))
        grant = reply.grant
        assert grant is not None
        assert (grant.link, grant.method, grant.direction) == ("l1", Method.UDP, Direction.DOWN)
        assert (grant.most_bits_per_s, grant.duration_s) == (95 * MBIT, 10.0)
        assert (grant.address, grant.port, grant.wait_s) == ("127.0.0.1", 8461, 0.0)
        assert grant.key == NO_KEY
        expected = server.expected[grant.slot_id]
        peer = hub.collector.pages.fleet._identity.exchange_key
        ours = slot_key(asker.box.exchange, peer, asker.box.agent_id, bytes.fromhex(grant.slot_id))
        assert expected == msgspec.structs.replace(grant, key=ours.hex())
        assert await hub.value("pantau_collector_slots_granted_total") == 1
        assert await hub.value("pantau_collector_slots_running") == 1
        thanks = await hub.ask(asker.box, asker.request(None, ended=grant.slot_id))
        assert (thanks.grant, thanks.wait_s, thanks.closed) == (None, None, None)
        assert server.forgotten == [grant.slot_id]
        assert await hub.value("pantau_collector_slots_running") == 0


async def test_the_same_octets_get_the_same_answer_and_old_ones_get_none(tmp_path: Path) -> None:
    """A retry over a connection that died is one question; a recording is none."""
    server = FakeServer()
    async with slot_hub(tmp_path, ONE, server=server) as (hub, askers):
        asker = askers["n1"]
        first = message.sign(asker.request(asker.want()), asker.box.key)
        answers = [(await hub.post("/v1/slot", first)).body for _ in range(3)]
        assert answers[0] == answers[1] == answers[2]
        assert len(server.expected) == 1
        second = await hub.ask(asker.box, asker.request(asker.want()))
        assert second.grant is not None
        replayed = message.verify(
            (await hub.post("/v1/slot", first)).body, message.SlotReply, hub.public_key
        )
        assert replayed.closed is Closed.STALE
        asker.box.begin()
        asker.counter = 0
        assert (await hub.ask(asker.box, asker.request(asker.want()))).grant is not None
        replayed = message.verify(
            (await hub.post("/v1/slot", first)).body, message.SlotReply, hub.public_key
        )
        assert replayed.closed is Closed.STALE
        assert len(server.expected) == 3


async def test_who_waits_is_told_why_and_served_when_the_pop_is_free(tmp_path: Path) -> None:
    clock = later()
    async with slot_hub(tmp_path, THREE, server=FakeServer(), clock=clock) as (hub, askers):
        one, two, other = (askers[node] for node in ("n1", "n2", "n3"))
        first = await hub.ask(one.box, one.request(one.want()))
        assert first.grant is not None
        waiting = await hub.ask(two.box, two.request(two.want()))
        assert waiting.wait_s is not None and 2 <= waiting.wait_s <= 30
        assert waiting.detail == "next, when a test has ended"
        assert (await hub.ask(other.box, other.request(other.want()))).grant is not None
        assert await hub.value("pantau_collector_slots_waiting") == 1
        await hub.ask(one.box, one.request(None, ended=first.grant.slot_id))
        assert (await hub.ask(two.box, two.request(two.want()))).grant is not None


async def test_an_agent_that_vanished_frees_its_slot_after_its_time(tmp_path: Path) -> None:
    server, clock = FakeServer(), later()
    async with slot_hub(tmp_path, THREE, server=server, clock=clock) as (hub, askers):
        one, two = askers["n1"], askers["n2"]
        first = await hub.ask(one.box, one.request(one.want()))
        assert first.grant is not None
        clock.advance(int((BEGIN_S + 10 + SETTLE_S) * SECOND))
        assert (await hub.ask(two.box, two.request(two.want()))).grant is not None
        assert server.forgotten == [first.grant.slot_id]
        assert await hub.value("pantau_collector_slots_expired_total") == 1


@pytest.mark.parametrize(
    ("changes", "closed", "said"),
    [
        ({"link": "l2"}, Closed.NO_PLAN, "nothing is planned for this link that way"),
        ({"link": "l9"}, Closed.NO_PLAN, "nothing is planned for this link that way"),
        ({"method": Method.TCP}, Closed.NO_PLAN, "the plan's method is udp"),
        ({"order_id": "00" * 16}, Closed.NO_PLAN, "no such order stands"),
        ({"bits_per_s": 120 * MBIT + 1}, Closed.TOO_MUCH, "120000001 bit/s, at most 120000000"),
        ({"duration_s": 61.0}, Closed.TOO_MUCH, "61 s, at most 60"),
    ],
)
async def test_what_is_neither_planned_nor_ordered_gets_no_slot(
    tmp_path: Path, changes: dict[str, Any], closed: Closed, said: str
) -> None:
    server = FakeServer()
    async with slot_hub(tmp_path, THREE, server=server) as (hub, askers):
        asker = askers["n1"]
        reply = await hub.ask(asker.box, asker.request(asker.want(**changes)))
        assert (reply.closed, reply.detail) == (closed, said)
        assert server.expected == {}
        refused = await hub.value("pantau_collector_slots_refused_total", reason=closed)
        assert refused == 1


@pytest.mark.parametrize("server", [None, FakeServer()])
async def test_a_hub_without_capacity_carries_nothing(
    tmp_path: Path, server: FakeServer | None
) -> None:
    async with slot_hub(tmp_path, ONE, server=server, throughput={}) as (hub, askers):
        asker = askers["n1"]
        reply = await hub.ask(asker.box, asker.request(asker.want()))
        assert reply.closed is Closed.OFF
        assert hub.collector.loads is None


async def test_more_than_the_hub_carries_is_too_much(tmp_path: Path) -> None:
    async with slot_hub(tmp_path, ONE, server=FakeServer(), capacity_mbps=50) as (hub, askers):
        asker = askers["n1"]
        reply = await hub.ask(asker.box, asker.request(asker.want()))
        assert (reply.closed, reply.detail) == (
            Closed.TOO_MUCH,
            "more than the hub may be loaded with",
        )


async def test_iperf3_needs_no_capacity_of_the_hub_and_its_pop_all_the_same(
    tmp_path: Path,
) -> None:
    plan = {"method": "iperf3"}
    tests = {"capacity_mbps": 1, "iperf3_address": "192.0.2.9", "iperf3_port": 5202}
    async with slot_hub(tmp_path, THREE, server=FakeServer(), plan=plan, throughput=tests) as (
        hub,
        askers,
    ):
        one, two = askers["n1"], askers["n2"]
        want = one.want(method=Method.IPERF3)
        grant = (await hub.ask(one.box, one.request(want))).grant
        assert grant is not None
        assert (grant.address, grant.port) == ("192.0.2.9", 5202)
        reply = await hub.ask(two.box, two.request(two.want(method=Method.IPERF3)))
        assert reply.wait_s is not None


async def test_without_somebodys_iperf3_server_there_is_no_test_against_it(
    tmp_path: Path,
) -> None:
    plan = {"method": "iperf3"}
    async with slot_hub(tmp_path, ONE, server=FakeServer(), plan=plan) as (hub, askers):
        asker = askers["n1"]
        reply = await hub.ask(asker.box, asker.request(asker.want(method=Method.IPERF3)))
        assert reply.closed is Closed.OFF
        assert "throughput.iperf3_address" in reply.detail


@pytest.mark.parametrize("spoil", ["signature", "agent", "revoked"])
async def test_a_stranger_gets_nothing(tmp_path: Path, spoil: str) -> None:
    server = FakeServer()
    async with slot_hub(tmp_path, ONE, server=server) as (hub, askers):
        asker, key = askers["n1"], askers["n1"].box.key
        if spoil == "agent":
            asker = Asker(Box(77, "n1"), "l1")
            key = asker.box.key
        elif spoil == "signature":
            key = Box(78).key
        else:
            hub.ledger.revoke(asker.box.agent_id, 1)
            hub.collector.roster.refresh()
        reply = await hub.post("/v1/slot", message.sign(asker.request(asker.want()), key))
        assert reply.status == {"agent": 401, "signature": 401, "revoked": 403}[spoil]
        assert server.expected == {}


async def test_a_revoked_agent_loses_its_slot(tmp_path: Path) -> None:
    server = FakeServer()
    async with slot_hub(tmp_path, THREE, server=server) as (hub, askers):
        one, two = askers["n1"], askers["n2"]
        assert (await hub.ask(one.box, one.request(one.want()))).grant is not None
        await hub.collector.slots.keep({two.box.agent_id})
        assert len(server.forgotten) == 1
        assert (await hub.ask(two.box, two.request(two.want()))).grant is not None


async def test_whoever_asks_too_often_is_sent_away(tmp_path: Path) -> None:
    limits = {"limits": {"requests_per_minute": 1, "burst": 3}}
    async with slot_hub(tmp_path, ONE, server=FakeServer(), **limits) as (hub, askers):
        asker = askers["n1"]
        statuses = []
        for _ in range(5):
            data = message.sign(asker.request(asker.want()), asker.box.key)
            statuses.append((await hub.post("/v1/slot", data)).status)
        assert statuses == [200, 200, 200, 503, 503]


async def test_the_hub_enforces_the_budget_too_and_it_survives_restarts(tmp_path: Path) -> None:
    """Each test may carry 118.75 MB; a month has 250 MB."""
    plan = {"budget_gb": 0.25}
    granted = 0
    for _ in range(3):
        server = FakeServer()
        async with slot_hub(tmp_path, ONE, server=server, plan=plan) as (hub, askers):
            asker = askers["n1"]
            reply = await hub.ask(asker.box, asker.request(asker.want()))
            granted += reply.grant is not None
            spent = hub.collector.slots._on.store.spent("l1", "2026-09")
            assert spent == granted * 118_750_000 <= 250_000_000
    assert granted == 2
    assert (reply.closed, reply.detail) == (
        Closed.BUDGET,
        "the budget of 250000000 bytes is spent",
    )


async def test_what_the_hub_itself_counted_less_goes_back_into_the_budget(tmp_path: Path) -> None:
    server = FakeServer()
    async with slot_hub(tmp_path, ONE, server=server) as (hub, askers):
        asker = askers["n1"]
        for carried, spent in (
            (18_750_000, 18_750_000),
            (None, 137_500_000),
            (10**12, 256_250_000),
        ):
            reply = await hub.ask(asker.box, asker.request(asker.want()))
            assert reply.grant is not None
            server.carried[reply.grant.slot_id] = carried
            await hub.ask(asker.box, asker.request(None, ended=reply.grant.slot_id))
            assert hub.collector.slots._on.store.spent("l1", "2026-09") == spent


# --- many at once ---------------------------------------------------------------------------


async def test_twenty_agents_never_overlap_on_a_pop_and_all_are_served(tmp_path: Path) -> None:
    """All at the same moment, over real sockets, by a clock that runs; loads last some ms."""
    nodes = {f"n{number}": "ABCD"[number % 4] for number in range(1, 21)}
    server, random = FakeServer(), Random(5)
    busy: dict[str, str] = {}
    load_mbit = [0]
    worst = [0, 0]
    served: list[str] = []
    limits = {"limits": {"requests_per_minute": 6_000}}

    async with slot_hub(
        tmp_path, nodes, server=server, clock=SystemClock(), capacity_mbps=300, **limits
    ) as (hub, askers):

        async def site(node: str) -> None:
            asker, pop = askers[node], nodes[node]
            while True:
                reply = await hub.ask(asker.box, asker.request(asker.want()))
                if reply.grant is not None:
                    break
                assert reply.wait_s is not None
                await asyncio.sleep(random.uniform(0.01, 0.05))
            assert busy.setdefault(pop, node) == node, f"{node} and {busy[pop]} on {pop}"
            load_mbit[0] += 95
            worst[0] = max(worst[0], load_mbit[0])
            worst[1] = max(worst[1], len(busy))
            await asyncio.sleep(random.uniform(0.005, 0.03))
            load_mbit[0] -= 95
            del busy[pop]
            served.append(node)
            ended = asker.request(None, ended=reply.grant.slot_id)
            await hub.ask(asker.box, ended)

        async with asyncio.TaskGroup() as group:
            for node in nodes:
                group.create_task(site(node))
    assert sorted(served) == sorted(nodes)
    assert worst[0] <= 300
    assert worst[1] > 1, "different PoPs are tested at the same time"
    assert len(server.expected) == len(server.forgotten) == 20


# --- orders ---------------------------------------------------------------------------------


async def ordered(hub: Any, folder: Path, **body: Any) -> dict[str, Any]:
    reply = await hub.post(
        "/api/v1/orders", json.dumps({"node": "n1"} | body).encode(), **token(folder)
    )
    assert reply.status == 201, reply.body
    found: dict[str, Any] = json.loads(reply.body)
    return found


def says(order_id: str, state: OrderState, *figures: Figures) -> dict[str, Any]:
    progress = OrderProgress(order_id=order_id, state=state, figures=figures)
    return {"throughput": ThroughputStatus(orders=(progress,))}


async def test_an_order_reaches_its_agent_and_what_became_of_it_comes_back(
    tmp_path: Path,
) -> None:
    async with slot_hub(tmp_path, THREE, server=FakeServer()) as (hub, askers):
        made = await ordered(hub, tmp_path, method="tcp", flows=4)
        order_id = made["order"]
        assert (made["state"], made["link"], made["directions"]) == ("queued", "l1", ["down", "up"])
        one, two = askers["n1"], askers["n2"]
        (order,) = (await told(hub, one)).orders
        assert (order.order_id, order.method, order.flows) == (order_id, Method.TCP, 4)
        assert (await told(hub, two)).orders == ()
        await told(hub, one, **says(order_id, OrderState.GATE))
        path = f"/api/v1/orders/{order_id}"
        assert json.loads((await hub.get(path)).body)["state"] == "gate"
        want = one.want(order_id=order_id, method=Method.TCP, flows=4, bits_per_s=120 * MBIT)
        assert (await hub.ask(one.box, one.request(want))).grant is not None
        stolen = two.want(order_id=order_id, method=Method.TCP, flows=4)
        assert (await hub.ask(two.box, two.request(stolen))).closed is Closed.NO_PLAN
        figures = Figures(
            direction=Direction.DOWN, end=End.DONE, bits_per_s=93e6, rtt_ns=12_000_000
        )
        reply = await told(hub, one, **says(order_id, OrderState.DONE, figures))
        assert reply.orders == ()
        done = json.loads((await hub.get(path)).body)
        assert (done["state"], done["final"]) == ("done", True)
        assert (done["figures"][0]["bits_per_s"], done["figures"][0]["rtt_s"]) == (93e6, 0.012)
        again = one.want(order_id=order_id, method=Method.TCP, flows=4)
        assert (await hub.ask(one.box, one.request(again))).closed is Closed.NO_PLAN


async def test_a_restart_loses_no_order(tmp_path: Path) -> None:
    clock = later()
    async with slot_hub(tmp_path, ONE, clock=clock) as (hub, askers):
        first = (await ordered(hub, tmp_path))["order"]
        clock.advance(SECOND)
        second = (await ordered(hub, tmp_path))["order"]
        await told(hub, askers["n1"], **says(first, OrderState.RUNNING))
    async with slot_hub(tmp_path, ONE, clock=clock) as (hub, askers):
        told_again = (await told(hub, askers["n1"], counter=50)).orders
        assert [order.order_id for order in told_again] == [first, second]
        listed = json.loads((await hub.get("/api/v1/orders")).body)
        assert [(one["order"], one["state"]) for one in listed] == [
            (first, "running"),
            (second, "queued"),
        ]


async def test_an_order_can_be_withdrawn(tmp_path: Path) -> None:
    async with slot_hub(tmp_path, ONE) as (hub, askers):
        order_id = (await ordered(hub, tmp_path))["order"]
        path, session = f"/api/v1/orders/{order_id}", hub._session
        async with session.delete(hub.url + path) as answer:
            assert answer.status == 401
        async with session.delete(hub.url + path, headers=token(tmp_path)) as answer:
            assert (answer.status, (await answer.json())["state"]) == (200, "cancelled")
        async with session.delete(hub.url + path, headers=token(tmp_path)) as answer:
            assert answer.status == 404
        assert (await told(hub, askers["n1"])).orders == ()


@pytest.mark.parametrize(
    "header", [{}, {"Authorization": "Bearer x"}, {"Authorization": "Basic x"}]
)
@pytest.mark.parametrize("path", ["/api/v1/orders", "/api/v1/experiments"])
async def test_only_the_operator_orders(tmp_path: Path, path: str, header: dict[str, str]) -> None:
    async with slot_hub(tmp_path, THREE) as (hub, _):
        body = json.dumps({"node": "n1", "pop": "A"}).encode()
        reply = await hub.post(path, body, **header)
        assert reply.status == 401
        assert b"token" in reply.body
        assert json.loads((await hub.get(path)).body) == []


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        ({"node": "n9"}, 404, "no node 'n9'; known: n1, n2, n3"),
        ({"node": "n1", "link": "l2"}, 400, "name one link that has throughput tests; it has: l1"),
        ({"node": "n1", "bits_per_s": 121 * MBIT}, 400, "at most 120000000 (1.2 x promised)"),
        ({"node": "n1", "steps": [0.5]}, 400, "steps go with load `steps`"),
        ({"node": "n1", "method": "carrier pigeon"}, 400, "Invalid enum value"),
        ({"node": "n1", "speed": 1}, 400, "unknown field `speed`"),
    ],
)
async def test_a_wrong_order_is_refused_in_words(
    tmp_path: Path, body: dict[str, Any], status: int, said: str
) -> None:
    async with slot_hub(tmp_path, THREE) as (hub, _):
        reply = await hub.post("/api/v1/orders", json.dumps(body).encode(), **token(tmp_path))
        assert reply.status == status
        assert said in json.loads(reply.body)["error"]
        assert json.loads((await hub.get("/api/v1/orders")).body) == []


# --- experiment G ---------------------------------------------------------------------------


class Sites:
    """Real messages of sites that do what they are told, by a clock in the test's hands."""

    def __init__(self, clock: FakeClock, nodes: dict[str, str]) -> None:
        self.clock = clock
        self.counters = dict.fromkeys(nodes, 0)
        self.starts: list[dict[str, float]] = []
        """When each site began, round by round."""

    async def _told(self, hub: Hub, node: str, asker: Asker, **said: Any) -> StatusReply:
        self.counters[node] += 1
        return await told(hub, asker, counter=self.counters[node], **said)

    async def turn(self, hub: Hub, askers: dict[str, Asker]) -> None:
        """Every site hears its orders, asks until all have slots, and reports."""
        await hub.collector.slots.turn()
        orders: dict[str, Order] = {}
        # Twice, for the hub's own turn each second may come in the middle of the first round.
        for node, asker in [*askers.items(), *askers.items()]:
            if node not in orders:
                for one in (await self._told(hub, node, asker)).orders:
                    orders[node] = one
        begins: dict[str, float] = {}
        for _ in range(3):
            for node in orders.keys() - begins.keys():
                want = askers[node].want(order_id=orders[node].order_id)
                reply = await hub.ask(askers[node].box, askers[node].request(want))
                assert reply.closed is None, reply
                if reply.grant is not None:
                    begins[node] = self.clock.boot_ns() / SECOND + reply.grant.wait_s
                self.clock.advance(SECOND)
        assert begins.keys() == orders.keys()
        if begins:
            self.starts.append(begins)
        for node, order in orders.items():
            rate = 33e6 if len(orders) > 1 else 95e6
            figures = Figures(direction=Direction.DOWN, end=End.DONE, bits_per_s=rate)
            said = says(order.order_id, OrderState.DONE, figures)
            await self._told(hub, node, askers[node], **said)
        self.clock.advance(60 * SECOND)


async def test_an_experiment_runs_from_order_to_pairs_with_all_sites_at_once(
    tmp_path: Path,
) -> None:
    """Three sites of one PoP, one of another, and a restart of the collector in the middle."""
    nodes = {"n1": "A", "n2": "A", "n3": "A", "n4": "B"}
    clock = later()
    sites = Sites(clock, nodes)
    hub_of = partial(
        slot_hub, tmp_path, nodes, clock=clock,
        limits={"requests_per_minute": 60_000, "burst": 10_000},
    )  # fmt: skip
    async with hub_of(server=FakeServer()) as (hub, askers):
        body = json.dumps({"pop": "A", "repeats": 10}).encode()
        reply = await hub.post("/api/v1/experiments", body, **token(tmp_path))
        assert reply.status == 201, reply.body
        path = f"/api/v1/experiments/{json.loads(reply.body)['experiment']}"
        for _ in range(17):
            await sites.turn(hub, askers)
    async with hub_of(server=FakeServer()) as (hub, askers):
        for asker in askers.values():
            asker.counter = 10_000
        for _ in range(24):
            await sites.turn(hub, askers)
        found = json.loads((await hub.get(path)).body)
    assert (found["state"], len(found["pairs"]), found["pairs_spoiled"]) == ("done", 10, 0)
    shown = found["result"]
    assert (shown["repeats"], shown["wins"], shown["p"]) == (10, 10, 2.0**-10)
    assert shown["ratio"] < shown["solo_ratio"] == pytest.approx(0.95)
    together = [begins for begins in sites.starts if len(begins) == 3]
    assert len(together) == 10 and len(sites.starts) == 40
    for begins in together:
        assert max(begins.values()) - min(begins.values()) < 0.001
    for pair in found["pairs"]:
        assert pair["alone_bits_per_s"] == {"l1": 95e6, "l2": 95e6, "l3": 95e6}
        assert pair["together_bits_per_s"] == {"l1": 33e6, "l2": 33e6, "l3": 33e6}


async def test_a_site_that_missed_its_groups_moment_gets_no_slot_and_spoils_the_pair(
    tmp_path: Path,
) -> None:
    """Its users came back at the last second: it gave its slot back, and the others went on."""
    async with slot_hub(tmp_path, THREE, server=FakeServer(), clock=later()) as (hub, askers):
        body = json.dumps({"pop": "A"}).encode()
        await hub.post("/api/v1/experiments", body, **token(tmp_path))
        sites = Sites(later(), THREE)
        while True:
            await hub.collector.slots.turn()
            orders = {}
            for node in ("n1", "n2"):
                for order in (await sites._told(hub, node, askers[node])).orders:
                    orders[node] = order
            if len(orders) == 2:
                break
            for node, order in orders.items():
                figures = Figures(direction=Direction.DOWN, end=End.DONE, bits_per_s=95e6)
                said = says(order.order_id, OrderState.DONE, figures)
                await sites._told(hub, node, askers[node], **said)
        one, two = askers["n1"], askers["n2"]
        wants = {node: askers[node].want(order_id=orders[node].order_id) for node in orders}
        assert (await hub.ask(one.box, one.request(wants["n1"]))).wait_s is not None
        assert (await hub.ask(two.box, two.request(wants["n2"]))).grant is not None
        first = (await hub.ask(one.box, one.request(wants["n1"]))).grant
        assert first is not None
        await hub.ask(one.box, one.request(None, ended=first.slot_id))
        figures = Figures(direction=Direction.DOWN, end=End.DONE, bits_per_s=95e6)
        await sites._told(hub, "n2", two, **says(orders["n2"].order_id, OrderState.DONE, figures))
        late = await hub.ask(one.box, one.request(wants["n1"]))
        assert (late.closed, late.detail) == (
            Closed.NO_PLAN,
            "the others of the group began without this one",
        )
        await sites._told(hub, "n1", one, **says(orders["n1"].order_id, OrderState.SKIPPED))
        await hub.collector.slots.turn()
        (found,) = hub.collector.slots.experiments.values()
        assert found.spoiled == (0,) or found.spoiled == (found.pairs - 2,)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"pop": "B"}, "1 sites; an experiment takes 2 to 64"),
        ({"pop": "A", "links": ["l1", "l3"]}, "l3: no link of PoP 'A' with a planned rate down"),
        ({"pop": "A", "repeats": 9}, "repeats"),
        ({"pop": "A", "method": "tcp"}, "more than its throughput.capacity_mbps"),
    ],
)
async def test_an_experiment_that_cannot_work_is_refused_in_words(
    tmp_path: Path, body: dict[str, Any], said: str
) -> None:
    async with slot_hub(tmp_path, THREE, capacity_mbps=220) as (hub, _):
        reply = await hub.post("/api/v1/experiments", json.dumps(body).encode(), **token(tmp_path))
        assert reply.status == 400
        assert said in json.loads(reply.body)["error"]


async def test_an_experiment_can_be_stopped_and_takes_its_orders_with_it(tmp_path: Path) -> None:
    async with slot_hub(tmp_path, THREE, server=FakeServer()) as (hub, askers):
        body = json.dumps({"pop": "A"}).encode()
        reply = await hub.post("/api/v1/experiments", body, **token(tmp_path))
        path = f"/api/v1/experiments/{json.loads(reply.body)['experiment']}"
        await hub.collector.slots.turn()
        heard = [(await told(hub, askers[node])).orders for node in ("n1", "n2")]
        assert sum(len(orders) for orders in heard) in (1, 2)
        async with hub._session.delete(hub.url + path, headers=token(tmp_path)) as answer:
            assert (await answer.json())["state"] == "cancelled"
        await hub.collector.slots.turn()
        assert [(await told(hub, askers[node])).orders for node in ("n1", "n2")] == [(), ()]


# --- old and new ----------------------------------------------------------------------------


class OldReply(msgspec.Struct, forbid_unknown_fields=True):
    """StatusReply as a program of revision 1 has it."""

    nonce: str
    received_wall_ns: int
    policy: Any = None
    rewind: bool = False
    catchup_bytes_per_s: int | None = None


async def test_an_agent_that_reads_revision_1_hears_nothing_newer_and_is_not_sent_it_twice(
    tmp_path: Path,
) -> None:
    async with slot_hub(tmp_path, ONE) as (hub, askers):
        await ordered(hub, tmp_path)
        box = askers["n1"].box
        for headers in ({}, {"Pantau-Revision": "1"}, {"Pantau-Revision": "x"}):
            data = message.sign(box.status(), box.key)
            reply = await hub.post("/v1/status", data, **headers)
            old = msgspec.json.decode(reply.body[69:], type=OldReply)
            assert set(old.policy) == {"node", "targets"}
            plain = message.verify(reply.body, StatusReply, hub.public_key).policy
            assert plain is not None
            quoted = box.status(policy_digest=plain.digest())
            again = await hub.post("/v1/status", message.sign(quoted, box.key), **headers)
            assert msgspec.json.decode(again.body[69:], type=OldReply).policy is None
        new = await told(hub, askers["n1"])
        assert new.policy is not None and len(new.policy.throughput) == len(new.orders) == 1
        quoted_new = await told(hub, askers["n1"], policy_digest=new.policy.digest())
        assert quoted_new.policy is None


async def test_the_hub_says_what_it_reads_with_every_answer(tmp_path: Path) -> None:
    async with slot_hub(tmp_path, ONE) as (hub, askers):
        box = askers["n1"].box
        good = await hub.post("/v1/status", message.sign(box.status(), box.key))
        bad = await hub.post("/v1/status", b"x")
        assert {one.headers["Pantau-Revision"] for one in (good, bad)} == {READS["Pantau-Revision"]}


async def test_an_agent_tells_only_of_its_own_links(tmp_path: Path) -> None:
    async with slot_hub(tmp_path, THREE) as (hub, askers):
        asker = askers["n1"]

        def tests(link: str) -> ThroughputStatus:
            one = LinkTests(link=link, month="2026-11", used_bytes=1, budget_bytes=2)
            return ThroughputStatus(links=(one,))

        await told(hub, asker, throughput=tests("l1"))
        used = "pantau_link_throughput_budget_used_bytes"
        assert await hub.value(used, link="l1", node="n1") == 1
        await told(hub, asker, throughput=tests("l-made-up"))
        assert "l-made-up" not in await hub.page()
        data = message.sign(asker.box.status(throughput=tests("l2")), asker.box.key)
        assert (await hub.post("/v1/status", data, **READS)).status == 422


def test_an_old_hub_would_refuse_the_new_field() -> None:
    """Why the agent may not say it before the hub has: unknown fields are refused."""

    class OldStatus(msgspec.Struct, forbid_unknown_fields=True):
        agent_id: str

    body = msgspec.json.encode({"agent_id": "a", "throughput": {}})
    with pytest.raises(msgspec.ValidationError, match="unknown field `throughput`"):
        msgspec.json.decode(body, type=OldStatus)
    assert "throughput" in Status.__struct_fields__
