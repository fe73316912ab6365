"""GET /operate: maintenance windows and tests on demand. Everybody reads, operators write."""

import asyncio
import re
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from aiohttp import web
from multidict import MultiDictProxy

from collector.access.roles import Right
from collector.access.store import Deed
from collector.audit.calendar import Zone
from collector.inventory import Inventory
from collector.ledger import LedgerError
from collector.ledger.registers import Registers
from collector.maintenance import Entry, Kind, Recorded, Scope
from collector.osuser import os_user
from collector.registers import Told, check_scope, notice_of
from collector.web.guard import Guard, Refused, asker
from collector.web.render import Renderer
from runtime.clock import SECOND, Clock
from wire.slot import Method

MOST = 200
"""Characters of what is typed into a field."""
_FIELDS = ("link", "pop", "provider", "district", "from", "to", "zone", "kind", "announced",
           "approved_by", "reason", "document")  # fmt: skip
_OPTION = re.compile(r"--([a-z-]+)")


class OperatePages:
    """Routes for operators."""

    def __init__(
        self,
        registers: Registers,
        inventory: Callable[[], Inventory],
        renderer: Renderer,
        guard: Guard,
        clock: Clock,
    ) -> None:
        self._registers, self._inventory = registers, inventory
        self._renderer, self._guard, self._clock = renderer, guard, clock

    def routes(self) -> list[web.RouteDef]:
        """To be added to the application."""
        return [
            web.get("/operate", self.operate),
            web.post("/operate/maintenance", self.add),
            web.post("/operate/maintenance/cancel", self.cancel),
        ]

    async def operate(self, request: web.Request) -> web.Response:
        """Windows, newest first, and tests."""
        return await self._page(request, {}, "")

    async def _page(
        self, request: web.Request, typed: dict[str, str], problem: str
    ) -> web.Response:
        entries = await asyncio.to_thread(self._entries)
        inventory = self._inventory()
        t = self._renderer.texts(request)
        links = list(inventory.links.values())
        told = {
            "entries": entries,
            "typed": {name: typed.get(name, "") for name in _FIELDS},
            "problem": problem,
            "done": request.query.get("done", "") if not problem else "",
            "choices": {
                "link": [one.id for one in links],
                "pop": sorted({one.pop for one in links}),
                "provider": sorted({one.provider for one in links}),
                "district": sorted({inventory.nodes[one.node].district for one in links}),
            },
            "zones": list(Zone),
            "kinds": list(Kind),
            "data": {
                "language": t.language,
                "may": asker(request).may(Right.OPERATE),
                "texts": t.of("operate.js.", "order.", "direction.", "end.", "unit."),
                "links": [
                    {"link": one.id, "node": one.node, "name": inventory.nodes[one.node].name}
                    for one in links
                    if one.id in inventory.plans
                ],
                "methods": list(Method),
            },
        }
        status = HTTPStatus.BAD_REQUEST if problem else HTTPStatus.OK
        return await self._renderer.page(request, "operate.html", told, status)

    def _entries(self) -> list[dict[str, Any]]:
        inventory = self._inventory()
        return [self._entry(one, inventory) for one in reversed(self._registers.maintenance())]

    def _entry(self, one: Entry, inventory: Inventory) -> dict[str, Any]:
        notice, now_s = one.notice, self._clock.wall_ns() / SECOND
        phase = (
            "over" if notice.end_s <= now_s else "ahead" if notice.start_s > now_s else "running"
        )
        links = [link for link in inventory.links.values() if notice.scope.covers(link, inventory)]
        return {
            "entry": one,
            "phase": "cancelled" if one.cancelled is not None else phase,
            "links": len(links),
        }

    async def add(self, request: web.Request) -> web.Response:
        """Record a window."""
        typed = _typed(await request.post())
        try:
            told = _told(typed)
            check_scope(told.scope, self._inventory())
            notice = notice_of(told)
            entry = await asyncio.to_thread(
                self._registers.add_maintenance, notice, self._recorded(request)
            )
        except (ValueError, LedgerError) as error:
            # The words are those of the command line, whose options are the fields here.
            problem = _OPTION.sub(lambda found: found[1].replace("-", " "), str(error))
            return await self._page(request, typed, problem)
        await self._guard.note(request, Deed.MAINTENANCE_ADD, str(notice.scope), f"#{entry.id}")
        return _back("added")

    async def cancel(self, request: web.Request) -> web.Response:
        """Record that a window holds no longer."""
        form = await request.post()
        number, reason = str(form.get("entry", "")), str(form.get("reason", "")).strip()[:MOST]
        if not (number.isascii() and number.isdigit() and len(number) < 18) or not reason:
            raise Refused(HTTPStatus.BAD_REQUEST, "a cancellation needs an entry and a reason")
        recorded = self._recorded(request)
        try:
            entry = await asyncio.to_thread(
                self._registers.cancel_maintenance, int(number), reason, recorded
            )
        except LedgerError as error:
            raise Refused(HTTPStatus.CONFLICT, str(error)) from error
        await self._guard.note(request, Deed.MAINTENANCE_CANCEL, f"#{entry.id}", reason)
        return _back("cancelled")

    def _recorded(self, request: web.Request) -> Recorded:
        return Recorded(asker(request).name, f"{os_user()} (page)", self._clock.wall_ns())


def _typed(form: MultiDictProxy[Any]) -> dict[str, str]:
    return {name: str(form.get(name, "")).strip()[:MOST] for name in _FIELDS}


def _told(typed: dict[str, str]) -> Told:
    """As the command line takes it. Raises ValueError."""

    def time(name: str) -> str:
        if not typed[name]:
            raise ValueError(f"--{name}: empty, expected a time")
        return typed[name].replace("T", " ")

    if not typed["reason"]:
        raise ValueError("--reason: empty, expected words")
    scope = Scope(*(typed[name] or None for name in Scope._fields))
    return Told(
        scope=scope,
        start=time("from"),
        end=time("to"),
        zone=Zone(typed["zone"]),
        kind=Kind(typed["kind"]),
        announced=time("announced"),
        approved_by=typed["approved_by"] or None,
        reason=typed["reason"],
        document=typed["document"] or None,
    )


def _back(done: str) -> web.Response:
    there = web.Response(status=HTTPStatus.SEE_OTHER)
    there.headers["Location"] = f"/operate?done={done}"
    return there
