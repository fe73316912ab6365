"""Verdicts and throughput tests over HTTP, as JSON (openapi.yaml)."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

from aiohttp import web

from collector import rebuttals
from collector import verdict_answers as plain
from collector.audit.calendar import Month, parse_window
from collector.audit.phrases import Language
from collector.settle.auditor import Gathering
from collector.verdict_answers import VerdictAnswers
from runtime.clock import SECOND, Clock


def _error(kind: type[web.HTTPError], text: str) -> web.HTTPError:
    return kind(text=json.dumps({"error": text}), content_type="application/json")


def _checked(request: web.Request, name: str, parse: Callable[[str], object]) -> str | None:
    """What the query says, if `parse` takes it."""
    text = request.query.get(name)
    try:
        if text is not None:
            parse(text)
    except ValueError as error:
        raise _error(web.HTTPBadRequest, str(error)) from error
    return text


class VerdictPages:
    """Routes for verdicts and the tests that they are made of."""

    def __init__(self, answers: VerdictAnswers, gathering: Gathering, clock: Clock) -> None:
        self._answers, self._gathering, self._clock = answers, gathering, clock

    def routes(self) -> list[web.RouteDef]:
        """To be added to the application."""
        return [
            web.get("/api/v1/verdicts", self.verdicts),
            web.get("/api/v1/links/{link}/verdict", self.verdict),
            web.get("/api/v1/links/{link}/tests", self.tests),
            web.get("/api/v1/rebuttals", self.rebuttals),
            web.get("/api/v1/links/{link}/rebuttals", self.rebuttals),
        ]

    async def verdicts(self, request: web.Request) -> web.Response:
        """One look at all links, a line each."""
        window = _checked(request, "window", parse_window)
        return await self._json(lambda: [plain.row(one) for one in self._answers.verdicts(window)])

    async def verdict(self, request: web.Request) -> web.Response:
        """One look at one link, each direction with all that it rests on and all revisions."""
        link, window = self._link(request), _checked(request, "window", parse_window)
        text = request.query.get("lang", Language.EN.value)
        if text not in list(Language):
            raise _error(
                web.HTTPBadRequest, f"lang {text!r}: expected one of {', '.join(Language)}"
            )
        language = Language(text)
        return await self._json(
            lambda: [
                self._answers.whole(one, language) for one in self._answers.verdicts(window, link)
            ]
        )

    async def tests(self, request: web.Request) -> web.Response:
        """A month's throughput tests of one link, and which of them count."""
        link = self._link(request)
        zone = self._gathering.zone(link)
        month = _checked(request, "month", lambda text: Month.parse(text, zone))
        now_s = self._clock.wall_ns() // SECOND
        return await self._json(
            lambda: [plain.test(one, zone) for one in self._answers.tests(link, month, now_s)]
        )

    async def rebuttals(self, request: web.Request) -> web.Response:
        """What providers were given and answered, of one link or of all."""
        link = self._link(request) if "link" in request.match_info else None
        return await self._json(
            lambda: [rebuttals.row(one) for one in self._gathering.hearings(link)]
        )

    def _link(self, request: web.Request) -> str:
        link = request.match_info["link"]
        if not self._gathering.knows(link):
            raise _error(web.HTTPNotFound, f"no link {link!r}")
        return link

    async def _json(self, ask: Callable[[], list[dict[str, Any]]]) -> web.Response:
        """Asked in a thread: a month of tests takes a while."""
        return web.json_response(await asyncio.to_thread(ask))
