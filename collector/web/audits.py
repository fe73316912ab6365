"""Issued audits over HTTP: a page and an API to list and fetch them, and to make new ones.

Making an audit takes minutes of a processor for many links, so it is for operators (the guard has
looked at who asks), and one is made at a time. Each that is issued is noted in the log of actions.
"""

import asyncio
import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from http import HTTPStatus
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from aiohttp import web

from collector.access.roles import Right
from collector.access.store import Deed
from collector.audit.calendar import Zone
from collector.audit.phrases import Language
from collector.ledger import LedgerError
from collector.ledger.audits import Issued
from collector.report.gather import Wanted
from collector.report.html import Letterhead, letterhead
from collector.report.issue import AuditDesk, Made
from collector.report.record import Scope
from collector.report.settings import AuditSettings, Form
from collector.report.write import download, media_type
from collector.web.guard import Guard, Refused, asker
from collector.web.render import Renderer
from runtime.clock import SECOND, Clock

T = TypeVar("T")
SCOPES = ("all", "link", "provider", "node", "district")
CONTENT_SECURITY = "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'"


class AuditGround(NamedTuple):
    """What audits are made of."""

    desk: AuditDesk
    settings: AuditSettings
    folder: Path
    """That the settings' paths are relative to."""
    clock: Clock
    guard: Guard
    renderer: Renderer
    zone: Callable[[], Zone]
    """By whose clock it is said when something was issued."""


class Asked(NamedTuple):
    """How a document is wanted."""

    form: Form
    language: Language
    link: str | None


def _error(kind: type[web.HTTPError], text: str) -> web.HTTPError:
    return kind(text=json.dumps({"error": text}), content_type="application/json")


def row(one: Issued) -> dict[str, Any]:
    """An issued audit for a list."""
    return {
        "id": one.id,
        "month": one.month,
        "scope": one.scope,
        "revision": one.revision,
        "issued_s": one.issued_s,
        "issued_by": one.issued_by,
        "judgement": one.judgement,
        "sha256": one.digest,
        "audit_sha256": one.audit_digest,
    }


def asked(told: Mapping[str, str], form: Form) -> Asked:
    """The form, the language and the link of a query or a form. Raises HTTPBadRequest."""
    try:
        return Asked(
            Form(told.get("format") or form.value),
            Language(told.get("lang") or Language.ID.value),
            told.get("link") or None,
        )
    except ValueError as error:
        expected = f"format {', '.join(Form)}, lang {', '.join(Language)}"
        raise _error(web.HTTPBadRequest, f"{error}: expected {expected}") from error


class AuditDocuments:
    """Routes for audits."""

    def __init__(self, ground: AuditGround) -> None:
        self._ground = ground
        self._one_at_a_time = asyncio.Lock()

    def routes(self) -> list[web.RouteDef]:
        """To be added to the application."""
        return [
            web.get("/audits", self.page),
            web.post("/audits", self.make_by_form),
            web.get("/api/v1/audits", self.all),
            web.post("/api/v1/audits", self.make),
            web.get("/api/v1/audits/{id:[0-9]+}", self.one),
            web.get("/api/v1/audits/{id:[0-9]+}/download", self.download),
        ]

    # --- what was issued ------------------------------------------------------------------

    async def all(self, request: web.Request) -> web.Response:
        """All that was issued, the newest months first."""
        found = await self._thread(self._ground.desk.store.all)
        return web.json_response([row(one) for one in found])

    async def one(self, request: web.Request) -> web.Response:
        """The document itself, to the byte."""
        issued, store = await self._issued(request), self._ground.desk.store
        data = await self._thread(lambda: store.data(issued.id))
        return web.Response(body=data, content_type="application/json")

    async def download(self, request: web.Request) -> web.Response:
        """The document in some form; of many links the summary, or one of them by `link`."""
        how = asked(request.query, Form.PDF)
        return await self._file(await self._kept(request), how)

    async def _issued(self, request: web.Request) -> Issued:
        number, desk = int(request.match_info["id"]), self._ground.desk
        issued = None if number >= 2**63 else await self._thread(lambda: desk.store.one(number))
        if issued is None:
            raise _error(web.HTTPNotFound, f"no audit {number}")
        return issued

    async def _kept(self, request: web.Request) -> Made:
        issued = await self._issued(request)
        try:
            return await self._thread(lambda: self._ground.desk.kept(issued))
        except ValueError as error:
            raise _error(web.HTTPNotFound, str(error)) from error

    async def _file(self, made: Made, how: Asked) -> web.Response:
        head = self._head()
        try:
            file = download(made, how.form, how.language, (head, how.link))
        except KeyError:
            raise _error(web.HTTPNotFound, f"no link {how.link!r} in this audit") from None
        async with self._one_at_a_time:
            data = await self._thread(file.data)
        return web.Response(
            body=data,
            content_type=media_type(how.form),
            headers={
                "Content-Disposition": f'attachment; filename="{file.name}"',
                "Content-Security-Policy": CONTENT_SECURITY,
            },
        )

    def _head(self) -> Letterhead:
        return letterhead(self._ground.settings.letterhead, self._ground.folder)

    # --- new ones -------------------------------------------------------------------------

    async def make(self, request: web.Request) -> web.Response:
        """Make an audit, and issue it where `issue` is true: the document's row, or the draft.

        The body is JSON: month, scope (all, link, provider, node or district), value, issue, by.
        """
        try:
            body = json.loads(await request.read())
        except ValueError as error:
            raise _error(web.HTTPBadRequest, f"body: {error}") from error
        if not isinstance(body, dict):
            raise _error(web.HTTPBadRequest, "body: expected a JSON object")
        issue = body.pop("issue", False)
        wrong = sorted(set(body) - {"month", "scope", "value", "by"})
        if (
            wrong
            or not isinstance(issue, bool)
            or not all(isinstance(v, str) for v in body.values())
        ):
            raise _error(
                web.HTTPBadRequest,
                "body: expected month, scope, value and by as text, issue as true or false",
            )
        try:
            made = await self._made(request, body, issue=issue)
        except ValueError as error:
            raise _error(web.HTTPBadRequest, str(error)) from error
        if made.issued is not None:
            return web.json_response(row(made.issued), status=201 if issue else 200)
        return web.Response(body=made.data, content_type="application/json")

    async def make_by_form(self, request: web.Request) -> web.Response:
        """The same from the page: the answer is the file."""
        told = {name: value for name, value in (await request.post()).items()
                if isinstance(value, str)}  # fmt: skip
        how = asked(told | {"link": ""}, Form.PDF)
        try:
            made = await self._made(request, told, issue="issue" in told)
        except ValueError as error:
            raise Refused(HTTPStatus.BAD_REQUEST, str(error)) from error
        return await self._file(made, how)

    async def _made(self, request: web.Request, told: Mapping[str, str], *, issue: bool) -> Made:
        """Raises ValueError for what is wrong in what was told."""
        kind, value = told.get("scope") or "all", told.get("value") or None
        if kind not in SCOPES or (kind == "all") != (value is None):
            raise ValueError(
                f"scope {kind!r}, value {value!r}: expected all, or one of"
                f" {', '.join(SCOPES[1:])} with a value"
            )
        ground = self._ground
        wanted = Wanted(
            told.get("month", ""),
            Scope(kind=kind, value=value),
            ground.settings.ticket_tolerance_s,
        )
        now_s, who = ground.clock.wall_ns() // SECOND, asker(request)

        def work() -> Made:
            if issue:
                return ground.desk.issue(wanted, told.get("by") or who.name, now_s)
            return ground.desk.make(wanted, now_s)

        async with self._one_at_a_time:
            made = await self._thread(work)
        if made.issued is not None:
            subject = f"{made.issued.month} {made.issued.scope}"
            await ground.guard.note(request, Deed.AUDIT_ISSUE, subject, made.issued.digest)
        return made

    # --- the page -------------------------------------------------------------------------

    async def page(self, request: web.Request) -> web.Response:
        """What was issued, with links to every form, and a form to make more."""
        issued = await self._thread(self._ground.desk.store.all)
        now_s = self._ground.clock.wall_ns() // SECOND
        told = {
            "rows": issued,
            "month": _month_before(now_s),
            "forms": tuple(Form),
            "languages": tuple(Language),
            "scopes": SCOPES,
            "zone": self._ground.zone(),
            "may": asker(request).may(Right.OPERATE),
        }
        return await self._ground.renderer.page(request, "audits.html", told)

    async def _thread(self, ask: Callable[[], T]) -> T:
        try:
            return await asyncio.to_thread(ask)
        except LedgerError as error:
            raise _error(web.HTTPServiceUnavailable, str(error)) from error


def _month_before(now_s: int) -> str:
    now = datetime.fromtimestamp(now_s, UTC)
    year, number = (now.year, now.month - 1) if now.month > 1 else (now.year - 1, 12)
    return f"{year:04}-{number:02}"
