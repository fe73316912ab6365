"""GET /months/YYYY-MM: which links met their contract, which did not, and which nobody can tell."""

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from http import HTTPStatus
from typing import Any, NamedTuple

from aiohttp import web

from collector.audit.availability import Judgement
from collector.audit.calendar import Month
from collector.inventory import Inventory
from collector.months import AddedUp, Months
from collector.report.settings import Form
from collector.web.guard import Refused
from collector.web.link_pages import month as month_row
from collector.web.render import Renderer

_ORDER = (Judgement.BREACHED, Judgement.INDETERMINATE, Judgement.MET)


class Document(NamedTuple):
    """An issued audit of a month, to read or to take along."""

    id: int
    scope: str
    revision: int
    issued_s: int
    digest: str
    """SHA-256 of its bytes, in hex."""


class MonthPages:
    """Routes for months."""

    def __init__(
        self,
        months: Months,
        inventory: Callable[[], Inventory],
        renderer: Renderer,
        documents: Callable[[Month], Sequence[Document]] = lambda _: (),
    ) -> None:
        """`documents` of a month are listed on its page; by default there are none."""
        self._months, self._inventory = months, inventory
        self._renderer, self._documents = renderer, documents
        self._shown: tuple[AddedUp, list[dict[str, Any]]] | None = None

    def routes(self) -> list[web.RouteDef]:
        """To be added to the application."""
        return [web.get("/months", self.running), web.get("/months/{month}", self.month)]

    async def running(self, request: web.Request) -> web.Response:
        """The running month."""
        there = web.Response(status=HTTPStatus.SEE_OTHER)
        there.headers["Location"] = f"/months/{self._months.running()}"
        return there

    async def month(self, request: web.Request) -> web.Response:
        """One month of all links that have a contract then."""
        try:
            wanted = Month.parse(request.match_info["month"], self._months.running().zone)
        except ValueError as error:
            raise Refused(HTTPStatus.NOT_FOUND, str(error)) from error
        added_up = await self._months.of(str(wanted))
        rows = self._rows(added_up)
        only = request.query.get("only", "")
        counts = Counter(row["judgement"] for row in rows)
        now = self._months.running()
        told = {
            "month": wanted,
            "made_s": added_up.made_s,
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

    def _rows(self, added_up: AddedUp) -> list[dict[str, Any]]:
        if self._shown is not None and self._shown[0] is added_up:
            return self._shown[1]
        inventory = self._inventory()
        rows = []
        for one in added_up.answers:
            link = inventory.links.get(one.link)
            if link is None:
                continue  # it was taken out of the inventory since
            told = month_row(one)
            told |= {"link": link, "node": inventory.nodes[link.node]}
            rows.append(told)
        rank = {judgement: k for k, judgement in enumerate(_ORDER)}
        rows.sort(key=lambda row: (rank[row["judgement"]], row["upper"] or 0.0, row["node"].name))
        self._shown = added_up, rows
        return rows


def _before(month: Month) -> Month:
    return Month(month.year - (month.number == 1), (month.number - 2) % 12 + 1, month.zone)
