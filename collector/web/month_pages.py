"""GET /months/YYYY-MM: which links met their contract, which did not, and which nobody can tell."""

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from http import HTTPStatus
from typing import Any, NamedTuple

from aiohttp import web

from collector.answers import Answers
from collector.audit.availability import Judgement
from collector.audit.calendar import Month
from collector.inventory import Inventory
from collector.report.settings import Form
from collector.web.guard import Refused
from collector.web.link_pages import month as month_row
from collector.web.render import Renderer
from runtime.clock import SECOND, Clock

KEEP_S = 60
"""A month of a thousand links takes seconds to add up; late evidence may change any of them."""
MONTHS_KEPT = 4
_ORDER = (Judgement.BREACHED, Judgement.INDETERMINATE, Judgement.MET)


class Document(NamedTuple):
    """An issued audit of a month, to read or to take along."""

    id: int
    scope: str
    revision: int
    issued_s: int
    digest: str
    """SHA-256 of its bytes, in hex."""


class _Kept(NamedTuple):
    made_s: int
    rows: list[dict[str, Any]]


class MonthPages:
    """Routes for months."""

    def __init__(
        self,
        answers: Answers,
        inventory: Callable[[], Inventory],
        renderer: Renderer,
        clock: Clock,
        documents: Callable[[Month], Sequence[Document]] = lambda _: (),
    ) -> None:
        """`documents` of a month are listed on its page; by default there are none."""
        self._answers, self._inventory = answers, inventory
        self._renderer, self._clock, self._documents = renderer, clock, documents
        self._kept: dict[str, _Kept] = {}
        self._adding = asyncio.Lock()

    def routes(self) -> list[web.RouteDef]:
        """To be added to the application."""
        return [web.get("/months", self.running), web.get("/months/{month}", self.month)]

    def _now_s(self) -> int:
        return self._clock.wall_ns() // SECOND

    async def running(self, request: web.Request) -> web.Response:
        """The running month."""
        now = Month.of(self._now_s(), self._answers.zone(None))
        there = web.Response(status=HTTPStatus.SEE_OTHER)
        there.headers["Location"] = f"/months/{now}"
        return there

    async def month(self, request: web.Request) -> web.Response:
        """One month of all links that have a contract then."""
        try:
            wanted = Month.parse(request.match_info["month"], self._answers.zone(None))
        except ValueError as error:
            raise Refused(HTTPStatus.NOT_FOUND, str(error)) from error
        rows = await self._rows(str(wanted))
        only = request.query.get("only", "")
        counts = Counter(row["judgement"] for row in rows)
        now = Month.of(self._now_s(), wanted.zone)
        told = {
            "month": wanted,
            "before": _before(wanted),
            "after": wanted.next if wanted[:2] < now[:2] else None,
            "rows": [row for row in rows if only in ("", row["judgement"])],
            "counts": [(one, counts[one]) for one in _ORDER],
            "all": len(rows),
            "only": only,
            "documents": await asyncio.to_thread(self._documents, wanted),
            "forms": tuple(Form),
        }
        return await self._renderer.page(request, "month.html", told)

    async def _rows(self, month: str) -> list[dict[str, Any]]:
        # One at a time: whoever waits takes what the one before has added up.
        async with self._adding:
            kept = self._kept.get(month)
            if kept is None or self._now_s() - kept.made_s >= KEEP_S:
                rows = await asyncio.to_thread(self._add_up, month)
                self._kept.pop(month, None)
                while len(self._kept) >= MONTHS_KEPT:
                    self._kept.pop(next(iter(self._kept)))
                kept = self._kept[month] = _Kept(self._now_s(), rows)
        return kept.rows

    def _add_up(self, month: str) -> list[dict[str, Any]]:
        inventory = self._inventory()
        rows = []
        for one in self._answers.availability(month, self._now_s()):
            link = inventory.links[one.link]
            told = month_row(one)
            told |= {"link": link, "node": inventory.nodes[link.node]}
            rows.append(told)
        rank = {judgement: k for k, judgement in enumerate(_ORDER)}
        rows.sort(key=lambda row: (rank[row["judgement"]], row["upper"] or 0.0, row["node"].name))
        return rows


def _before(month: Month) -> Month:
    return Month(month.year - (month.number == 1), (month.number - 2) % 12 + 1, month.zone)
