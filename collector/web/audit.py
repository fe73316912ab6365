"""What the audit answers over HTTP, as JSON (docs/openapi.yaml)."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from aiohttp import web

from collector import told
from collector.answers import FOR_EVER, Answers
from collector.audit.calendar import Month
from collector.audit.evidence import Span
from collector.audit.states import Cause
from runtime.clock import SECOND, Clock

OPENAPI = Path(__file__).with_name("openapi.yaml")


def _bad(text: str) -> web.HTTPBadRequest:
    return web.HTTPBadRequest(text=json.dumps({"error": text}), content_type="application/json")


class AuditPages:
    """Routes for outages and availability."""

    def __init__(self, answers: Answers, clock: Clock) -> None:
        self._answers, self._clock = answers, clock

    def routes(self) -> list[web.RouteDef]:
        """To be added to the application."""
        return [
            web.get("/api/v1/outages", self.outages),
            web.get("/api/v1/links/{link}/outages", self.outages),
            web.get("/api/v1/availability", self.availability),
            web.get("/api/v1/links/{link}/availability", self.availability),
            web.get("/api/v1/openapi.yaml", self.openapi),
        ]

    async def outages(self, request: web.Request) -> web.Response:
        """Outages of one link or of all, of one month or of all time."""
        link = self._link(request)
        text, wanted = request.query.get("month"), request.query.get("cause")
        try:
            cause = None if wanted is None else Cause(wanted)
        except ValueError:
            raise _bad(f"cause {wanted!r}: expected one of {', '.join(Cause)}") from None
        span = FOR_EVER if text is None else self._month(text, link)
        return await self._json(
            lambda: [told.outage(one) for one in self._answers.outages(link, span, cause)]
        )

    async def availability(self, request: web.Request) -> web.Response:
        """A month's availability of one link or of all, by contract."""
        link = self._link(request)
        month = request.query.get("month")
        if month is not None:
            self._month(month, link)
        now_s = self._clock.wall_ns() // SECOND
        links = None if link is None else [link]
        return await self._json(
            lambda: [
                told.availability(one) for one in self._answers.availability(month, now_s, links)
            ]
        )

    async def openapi(self, request: web.Request) -> web.Response:
        """The description of this API."""
        return web.Response(text=OPENAPI.read_text(), content_type="application/yaml")

    def _link(self, request: web.Request) -> str | None:
        link = request.match_info.get("link")
        if link is not None and link not in self._answers.links():
            raise web.HTTPNotFound(
                text=json.dumps({"error": f"no link {link!r}"}), content_type="application/json"
            )
        return link

    def _month(self, text: str, link: str | None) -> Span:
        try:
            return Month.parse(text, self._answers.zone(link)).span
        except ValueError as error:
            raise _bad(str(error)) from error

    async def _json(self, ask: Callable[[], list[dict[str, Any]]]) -> web.Response:
        """Asked in a thread: a month of a thousand links takes a while."""
        return web.json_response(await asyncio.to_thread(ask))
