"""Operators' orders over HTTP: /api/v1/orders and /api/v1/experiments.

Ordering loads links, so it is for operators: the guard has looked at who asks. Each order is noted
in the log of actions.
"""

import os
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import Annotated, Any, TypeVar

import msgspec
from aiohttp import web

from collector import experiment as g
from collector.access.store import Deed
from collector.audit.together import together
from collector.experiment import Experiment
from collector.fleet import Fleet
from collector.inventory import Id, Link
from collector.ledger import LedgerError
from collector.orders import Standing
from collector.settle.trials import repeats
from collector.slot_desk import SlotDesk
from collector.web.guard import Guard
from runtime.clock import Clock
from wire.plan import Flows, Load, Order, Share, TestSeconds
from wire.slot import Direction, Method, Rate

T = TypeVar("T")
Handler = Callable[[web.Request], Awaitable[web.Response]]


class _Body(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    pass


class OrderBody(_Body, frozen=True, kw_only=True):
    """POST /api/v1/orders."""

    node: Id
    link: Id | None = None
    """May be left out where the node has one link with a plan."""
    method: Method = Method.UDP
    directions: Annotated[tuple[Direction, ...], msgspec.Meta(min_length=1, max_length=2)] = (
        Direction.DOWN,
        Direction.UP,
    )
    load: Load = Load.FIXED
    bits_per_s: Rate | None = None
    steps: tuple[Share, ...] = ()
    duration_s: TestSeconds = 10.0
    flows: Flows = 1
    gate: bool = True


class ExperimentBody(_Body, frozen=True, kw_only=True):
    """POST /api/v1/experiments."""

    pop: Annotated[str, msgspec.Meta(min_length=1, max_length=128)]
    links: tuple[Id, ...] = ()
    """By default all links of the PoP that have a plan."""
    direction: Direction = Direction.DOWN
    method: Method = Method.UDP
    duration_s: TestSeconds = 10.0
    repeats: Annotated[int, msgspec.Meta(ge=g.LEAST_REPEATS, le=g.MOST_REPEATS)] = 20


class _Problem(Exception):
    """The request cannot be done; the text goes to whoever asked."""

    def __init__(self, status: HTTPStatus, text: str) -> None:
        super().__init__(text)
        self.status = status


def as_json(one: Standing, waiting_agents: int) -> dict[str, Any]:
    """One order. Rates in bits per second of IP packets, times in seconds; null is "not known"."""
    told = msgspec.to_builtins(one.order)
    return {
        "order": one.order.order_id,
        "node": one.node,
        "link": one.order.link,
        "method": one.order.method,
        "directions": list(one.order.directions),
        "load": one.order.load,
        "bits_per_s": one.order.bits_per_s,
        "steps": told.get("steps", []),
        "duration_s": one.order.duration_s,
        "state": one.state,
        "final": one.final,
        "detail": one.detail,
        "figures": [_figures(figures) for figures in one.figures],
        "created_s": one.created_wall_ns / 1e9,
        "changed_s": None if one.changed_wall_ns is None else one.changed_wall_ns / 1e9,
        "experiment": one.experiment_id,
        "agents_waiting_for_slots": waiting_agents,
    }


def _figures(one: Any) -> dict[str, Any]:
    told = {field: getattr(one, field) for field in one.__struct_fields__}
    rtt_ns = told.pop("rtt_ns")
    return {**told, "rtt_s": None if rtt_ns is None else rtt_ns / 1e9}


def experiment_as_json(one: Experiment, expected_mbps: Mapping[str, float]) -> dict[str, Any]:
    """One experiment with its complete pairs and what they show.

    `expected_mbps` is what is promised of IP packets, by link.
    """
    told = repeats(one, expected_mbps)
    return {
        "experiment": one.experiment_id,
        "pop": one.pop,
        "links": sorted(one.nodes),
        "direction": one.direction,
        "method": one.method,
        "duration_s": one.duration_s,
        "repeats": one.repeats,
        "state": one.state,
        "detail": one.detail,
        "pairs_begun": one.pairs,
        "pairs_spoiled": len(one.spoiled),
        "seed": one.seed,
        "created_s": one.created_wall_ns / 1e9,
        "pairs": [msgspec.to_builtins(pair) for pair in g.pairs(one)],
        "result": msgspec.to_builtins(together(told)) if told else None,
    }


class OrderEndpoints:
    """Routes for operators."""

    def __init__(self, desk: SlotDesk, fleet: Fleet, clock: Clock, guard: Guard) -> None:
        self._desk, self._fleet, self._clock, self._guard = desk, fleet, clock, guard

    def routes(self) -> list[web.RouteDef]:
        """To be added to the application."""
        orders, experiments = "/api/v1/orders", "/api/v1/experiments"
        return [
            web.get(orders, self._told(self.orders)),
            web.get(orders + "/{id}", self._told(self.order)),
            web.post(orders, self._told(self.add_order)),
            web.delete(orders + "/{id}", self._told(self.cancel_order)),
            web.get(experiments, self._told(self.experiments)),
            web.get(experiments + "/{id}", self._told(self.experiment)),
            web.post(experiments, self._told(self.add_experiment)),
            web.delete(experiments + "/{id}", self._told(self.stop_experiment)),
        ]

    def _told(self, handler: Handler) -> Handler:
        """Problems as JSON."""

        async def answer(request: web.Request) -> web.Response:
            try:
                return await handler(request)
            except _Problem as problem:
                return web.json_response({"error": str(problem)}, status=problem.status)
            except LedgerError as error:
                status = HTTPStatus.SERVICE_UNAVAILABLE
                return web.json_response({"error": str(error)}, status=status)

        return answer

    async def _body(self, request: web.Request, form: type[T]) -> T:
        data = await request.read()  # at most what the application takes of anybody
        try:
            return msgspec.json.decode(data, type=form)
        except (msgspec.DecodeError, ValueError) as error:
            raise _Problem(HTTPStatus.BAD_REQUEST, str(error)) from error

    # --- orders ----------------------------------------------------------------------------

    def _json(self, one: Standing) -> dict[str, Any]:
        return as_json(one, len(self._desk.slots.waiting))

    async def orders(self, request: web.Request) -> web.Response:
        """All orders, the oldest first."""
        return web.json_response([self._json(one) for one in self._desk.book.all()])

    async def order(self, request: web.Request) -> web.Response:
        """One order."""
        found = self._desk.book.get(request.match_info["id"])
        if found is None:
            raise _Problem(HTTPStatus.NOT_FOUND, "no such order")
        return web.json_response(self._json(found))

    async def add_order(self, request: web.Request) -> web.Response:
        """Order a test."""
        body = await self._body(request, OrderBody)
        link = self._link(body)
        plan = self._fleet.inventory.plans[link.id]
        for direction in body.directions:
            if plan.cir(direction) is None:
                raise _Problem(
                    HTTPStatus.BAD_REQUEST, f"link {link.id}: no rate is planned {direction}"
                )
            most = plan.most(direction) or 0
            if body.bits_per_s is not None and body.bits_per_s > most:
                raise _Problem(
                    HTTPStatus.BAD_REQUEST,
                    f"{body.bits_per_s} bit/s {direction}: at most {most} (1.2 x promised)",
                )
        standing = Standing(
            order=self._make(body, link), node=link.node, created_wall_ns=self._clock.wall_ns()
        )
        await self._desk.order(standing)
        await self._guard.note(request, Deed.ORDER_ADD, link.id, standing.order.order_id)
        return web.json_response(self._json(standing), status=HTTPStatus.CREATED)

    def _make(self, body: OrderBody, link: Link) -> Order:
        try:
            return Order(
                order_id=os.urandom(16).hex(),
                link=link.id,
                method=body.method,
                directions=body.directions,
                load=body.load,
                bits_per_s=body.bits_per_s,
                steps=body.steps,
                duration_s=body.duration_s,
                flows=body.flows,
                gate=body.gate,
            )
        except ValueError as error:
            raise _Problem(HTTPStatus.BAD_REQUEST, str(error)) from error

    def _link(self, body: OrderBody) -> Link:
        inventory = self._fleet.inventory
        if body.node not in inventory.nodes:
            known = ", ".join(sorted(inventory.nodes)) or "none"
            raise _Problem(HTTPStatus.NOT_FOUND, f"no node {body.node!r}; known: {known}")
        able = [link for link in inventory.links_of(body.node) if link.id in inventory.plans]
        chosen = [link for link in able if body.link in (None, link.id)]
        if len(chosen) == 1:
            return chosen[0]
        names = ", ".join(link.id for link in able) or "none"
        raise _Problem(
            HTTPStatus.BAD_REQUEST,
            f"node {body.node!r}: name one link that has throughput tests; it has: {names}",
        )

    async def cancel_order(self, request: web.Request) -> web.Response:
        """Withdraw an order."""
        changed = await self._desk.cancel(request.match_info["id"])
        if changed is None:
            raise _Problem(HTTPStatus.NOT_FOUND, "no such order stands")
        order = changed.order
        await self._guard.note(request, Deed.ORDER_CANCEL, order.link, order.order_id)
        return web.json_response(self._json(changed))

    # --- experiments -----------------------------------------------------------------------

    async def experiments(self, request: web.Request) -> web.Response:
        """All experiments."""
        told = [self._experiment(one) for one in self._desk.experiments.values()]
        return web.json_response(told)

    async def experiment(self, request: web.Request) -> web.Response:
        """One experiment."""
        found = self._desk.experiments.get(request.match_info["id"])
        if found is None:
            raise _Problem(HTTPStatus.NOT_FOUND, "no such experiment")
        return web.json_response(self._experiment(found))

    async def add_experiment(self, request: web.Request) -> web.Response:
        """Begin experiment G on a PoP."""
        body = await self._body(request, ExperimentBody)
        nodes = self._sites(body)
        begun = Experiment(
            experiment_id=os.urandom(16).hex(),
            pop=body.pop,
            direction=body.direction,
            method=body.method,
            duration_s=body.duration_s,
            nodes=nodes,
            repeats=body.repeats,
            seed=os.urandom(16).hex(),
            created_wall_ns=self._clock.wall_ns(),
        )
        await self._desk.experiment(begun)
        await self._guard.note(request, Deed.EXPERIMENT_ADD, begun.pop, begun.experiment_id)
        return web.json_response(self._experiment(begun), status=HTTPStatus.CREATED)

    async def stop_experiment(self, request: web.Request) -> web.Response:
        """Cancel an experiment."""
        stopped = await self._desk.stop_experiment(request.match_info["id"])
        if stopped is None:
            raise _Problem(HTTPStatus.NOT_FOUND, "no such experiment runs")
        pop, number = stopped.pop, stopped.experiment_id
        await self._guard.note(request, Deed.EXPERIMENT_STOP, pop, number)
        return web.json_response(self._experiment(stopped))

    def _experiment(self, one: Experiment) -> dict[str, Any]:
        """By the plans' rates of now; the verdict takes the contracts'."""
        plans = self._fleet.inventory.plans
        expected = {
            link: rate / 1e6
            for link in one.nodes
            if link in plans and (rate := plans[link].cir_ip(one.direction)) is not None
        }
        return experiment_as_json(one, expected)

    def _sites(self, body: ExperimentBody) -> dict[str, str]:
        """Node of each link. Raises _Problem."""
        inventory = self._fleet.inventory
        able = {
            link.id: link.node
            for link in inventory.links.values()
            if link.pop == body.pop
            and link.id in inventory.plans
            and inventory.plans[link.id].cir(body.direction) is not None
        }
        wrong = [link for link in body.links if link not in able]
        if wrong:
            raise _Problem(
                HTTPStatus.BAD_REQUEST,
                f"{', '.join(wrong)}: no link of PoP {body.pop!r} with a planned rate"
                f" {body.direction}; it has: {', '.join(sorted(able)) or 'none'}",
            )
        nodes = {link: able[link] for link in body.links or able}
        if not g.LEAST_SITES <= len(nodes) <= g.MOST_SITES:
            raise _Problem(
                HTTPStatus.BAD_REQUEST,
                f"{len(nodes)} sites; an experiment takes {g.LEAST_SITES} to {g.MOST_SITES}",
            )
        if len(set(nodes.values())) < len(nodes):
            raise _Problem(
                HTTPStatus.BAD_REQUEST, "two links of one node: a box tests one thing at a time"
            )
        plans = [inventory.plans[link] for link in nodes]
        paced = body.method is Method.UDP
        total = sum(
            (plan.cir_ip(body.direction) if paced else plan.most(body.direction)) or 0
            for plan in plans
        )
        if not self._desk.slots.fits(total):
            raise _Problem(
                HTTPStatus.BAD_REQUEST,
                f"together they load the hub with {total} bit/s: more than its"
                " throughput.capacity_mbps",
            )
        return nodes
