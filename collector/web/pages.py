"""What Prometheus and programs fetch: metrics, health, reload, links as JSON."""

from collections.abc import Callable, Collection, Sequence
from typing import Any

from aiohttp import web

from collector.access.store import Deed
from collector.board import Board, LinkRow
from collector.counters import Counters
from collector.fleet import Fleet
from collector.metrics import ALL_ROADS, Road
from collector.web.guard import Guard
from runtime.clock import Clock
from runtime.settings import SettingsError

METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def _roads(asked: Sequence[str]) -> Collection[Road]:
    """Which series are asked for; all where nothing is said."""
    try:
        return {Road(one) for one in asked} or ALL_ROADS
    except ValueError as error:
        expected = ", ".join(Road)
        raise web.HTTPBadRequest(text=f"{error}: expected road={expected}\n") from error


def as_json(row: LinkRow) -> dict[str, Any]:
    """One link as it is known now. Times in seconds; null is "not known"."""
    link, reported, head = row.link, row.reported, row.head
    settled = None if head is None else head.settled_wall_ns
    median = None if reported is None else reported.rtt_median_ns
    return {
        "link": link.id,
        "node": link.node,
        "name": row.node.name,
        "kind": row.node.kind,
        "district": row.node.district,
        "provider": link.provider,
        "medium": link.medium,
        "pop": link.pop,
        "state": row.known.state,
        "reason": row.known.reason,
        "provisional": True,
        "last_heard_age_s": row.heard_ago_s,
        "rtt_median_s": None if median is None else median / 1e9,
        "loss_ratio": reported.lost / reported.sent if reported and reported.sent else None,
        "agent": None if row.agent is None else row.agent.agent_id.hex(),
        "evidence_settled_s": None if settled is None else settled / 1e9,
        "evidence_missing_batches": None if head is None else head.missing,
    }


class Pages:
    """Routes for programs."""

    def __init__(
        self,
        board: Board,
        counters: Counters,
        clock: Clock,
        reload: Callable[[], None],
        guard: Guard,
    ) -> None:
        self._board, self._counters, self._guard = board, counters, guard
        self._clock, self._reload = clock, reload
        self.ready = False

    @property
    def fleet(self) -> Fleet:
        """Nodes and links."""
        return self._board.fleet

    def routes(self) -> list[web.RouteDef]:
        """To be added to the application."""
        return [
            web.get("/metrics", self.metrics),
            web.get("/-/healthy", self.healthy),
            web.get("/-/ready", self.readiness),
            web.post("/-/reload", self.reload),
            web.put("/-/reload", self.reload),
            web.get("/api/v1/links", self.links),
        ]

    async def metrics(self, request: web.Request) -> web.Response:
        """The Prometheus page; `?road=live` asks for the series of that road, and may repeat."""
        roads = _roads(request.query.getall("road", []))
        text = self._board.page(self._clock.boot_ns(), self._clock.wall_ns(), roads)
        if Road.OWN in roads:
            text += self._counters.page()
        response = web.Response(body=text.encode(), headers={"Content-Type": METRICS_TYPE})
        response.enable_compression()
        return response

    async def healthy(self, request: web.Request) -> web.Response:
        """The process runs."""
        return web.Response(text="Healthy\n")

    async def readiness(self, request: web.Request) -> web.Response:
        """The process takes reports."""
        if self.ready:
            return web.Response(text="Ready\n")
        return web.Response(text="Stopping or not started\n", status=503)

    async def reload(self, request: web.Request) -> web.Response:
        """Read nodes, links and contracts again."""
        try:
            self._reload()
        except SettingsError as error:
            return web.Response(
                text=f"{error}\nThe former nodes, links and contracts stay.\n", status=500
            )
        await self._guard.note(request, Deed.RELOAD)
        return web.Response(text=f"{len(self.fleet.inventory.links)} links\n")

    async def links(self, request: web.Request) -> web.Response:
        """All links as they are known now."""
        now = self._clock.boot_ns()
        return web.json_response([as_json(row) for row in self._board.rows(now)])
