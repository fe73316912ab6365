"""What people and Prometheus fetch: metrics, health, reload, links as JSON, the first page."""

import html
from collections.abc import Callable, Collection, Sequence
from typing import Any

from aiohttp import web

from collector.board import Board, LinkRow
from collector.counters import Counters
from collector.fleet import Fleet
from collector.metrics import ALL_ROADS, Road
from runtime.clock import Clock
from runtime.settings import SettingsError
from runtime.version import VERSION

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
    """Routes for people and Prometheus."""

    def __init__(
        self, board: Board, counters: Counters, clock: Clock, reload: Callable[[], None]
    ) -> None:
        self._board, self._counters = board, counters
        self._clock, self._reload = clock, reload
        self.ready = False

    @property
    def fleet(self) -> Fleet:
        """Nodes and links."""
        return self._board.fleet

    def routes(self) -> list[web.RouteDef]:
        """To be added to the application."""
        return [
            web.get("/", self.landing),
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
        return web.Response(text=f"{len(self.fleet.inventory.links)} links\n")

    async def links(self, request: web.Request) -> web.Response:
        """All links as they are known now."""
        now = self._clock.boot_ns()
        return web.json_response([as_json(row) for row in self._board.rows(now)])

    async def landing(self, request: web.Request) -> web.Response:
        """What this is, where things are, and every link in one table."""
        return web.Response(
            text=_landing(list(self._board.rows(self._clock.boot_ns()))),
            content_type="text/html",
            headers={"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'"},
        )


_PAGE = """<!doctype html><html lang="en"><head><meta charset="utf-8">
<title>Pantau collector</title>
<meta name="viewport" content="width=device-width"><meta http-equiv="refresh" content="5">
<style>body{{font:16px system-ui,sans-serif;margin:2rem auto;max-width:70rem;padding:0 1rem}}
table{{border-collapse:collapse;width:100%}}td,th{{text-align:left;padding:.3rem .6rem;
border-bottom:1px solid #8884}}.up{{color:#0a7d33}}.down{{color:#c01c28}}.unknown{{color:#8a6d00}}
</style></head><body><h1>Pantau collector</h1>
<p>Version {version}. <a href="/metrics">Metrics</a>, <a href="/api/v1/links">links as JSON</a>,
<a href="/audits">audits</a>,
<a href="/-/healthy">health</a>, <a href="/-/ready">readiness</a>.</p>
<p>States are as known now and provisional; the evidence settles them.</p>
<table><thead><tr><th>Link<th>Node<th>District<th>Provider<th>State<th>Why<th>Heard<th>RTT<th>Loss
</thead><tbody>{rows}</tbody></table></body></html>
"""


def _landing(rows: list[LinkRow]) -> str:
    def text(value: object) -> str:
        return html.escape(str(value))

    def line(row: LinkRow) -> str:
        told = as_json(row)
        age, rtt, loss = told["last_heard_age_s"], told["rtt_median_s"], told["loss_ratio"]
        cells = (
            text(row.link.id),
            text(row.node.name),
            text(row.node.district),
            text(row.link.provider),
            f'<b class="{row.known.state}">{row.known.state}</b>',
            text(row.known.reason.replace("_", " ")),
            "never" if age is None else f"{age:.0f} s ago",
            "" if rtt is None else f"{rtt * 1000:.1f} ms",
            "" if loss is None else f"{loss:.1%}",
        )
        return "<tr>" + "".join(f"<td>{cell}" for cell in cells)

    version = text(VERSION)
    return _PAGE.format(version=version, rows="\n".join(line(row) for row in rows))
