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


def _missing(text: str) -> web.HTTPNotFound:
    return web.HTTPNotFound(text=json.dumps({"error": text}), content_type="application/json")


class AuditPages:
    """Routes for outages and availability."""

    def __init__(self, answers: Answers, clock: Clock) -> None:
        self._answers, self._clock = answers, clock

    def routes(self) -> list[web.RouteDef]:
        """To be added to the application."""
        return [
            web.get("/api/v1/outages", self.outages),
            web.get("/api/v1/outages/{id:[0-9]+}", self.outage),
            web.get("/api/v1/links/{link}/outages", self.outages),
            web.get("/api/v1/events", self.events),
            web.get("/api/v1/availability", self.availability),
            web.get("/api/v1/links/{link}/availability", self.availability),
            web.get("/api/v1/links/{link}/delays", self.delays),
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

    async def outage(self, request: web.Request) -> web.Response:
        """All that was said of one outage, and what settled it."""
        number = int(request.match_info["id"])
        try:
            found = await asyncio.to_thread(self._answers.history, number)
        except KeyError:
            raise _missing(f"no outage {number}") from None
        return web.json_response(told.history(found))

    async def events(self, request: web.Request) -> web.Response:
        """What several links had in common, of one month or of all time."""
        text = request.query.get("month")
        span = FOR_EVER if text is None else self._month(text, None)
        return await self._json(lambda: [told.event(one) for one in self._answers.events(span)])

    async def availability(self, request: web.Request) -> web.Response:
        """A month's availability of one link or of all, by contract."""
        link = self._link(request)
        month = request.query.get("month")
        if month is not None:
            self._month(month, link)
        now_s = self._clock.wall_ns() // SECOND
        links = None if link is None else [link]
        return await self._json(lambda: self._availability(month, now_s, links))

    def _availability(
        self, month: str | None, now_s: int, links: list[str] | None
    ) -> list[dict[str, Any]]:
        """With the loss beside the outages for one link: of all it takes seconds."""
        rows = []
        for one in self._answers.availability(month, now_s, links):
            rows.append(told.availability(one))
            if links is not None:
                rows[-1] |= told.violations(self._answers.violations(one))
        return rows

    async def delays(self, request: web.Request) -> web.Response:
        """A month's round-trip times and losses of one link, by target, against the limits."""
        link = self._link(request)
        assert link is not None, "the route names one"
        month = request.query.get("month")
        if month is not None:
            self._month(month, link)
        now_s = self._clock.wall_ns() // SECOND
        return await self._json(
            lambda: [
                told.delays(one)
                for answer in self._answers.availability(month, now_s, [link])
                for one in self._answers.delays(answer)
            ]
        )

    async def openapi(self, request: web.Request) -> web.Response:
        """The description of this API."""
        return web.Response(text=OPENAPI.read_text(), content_type="application/yaml")

    def _link(self, request: web.Request) -> str | None:
        link = request.match_info.get("link")
        if link is not None and link not in self._answers.links():
            raise _missing(f"no link {link!r}")
        return link

    def _month(self, text: str, link: str | None) -> Span:
        try:
            return Month.parse(text, self._answers.zone(link)).span
        except ValueError as error:
            raise _bad(str(error)) from error

    async def _json(self, ask: Callable[[], list[dict[str, Any]]]) -> web.Response:
        """Asked in a thread: a month of a thousand links takes a while."""
        return web.json_response(await asyncio.to_thread(ask))
