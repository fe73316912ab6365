"""GET /fleet: the boxes and how they are. GET /fleet/NODE: those of one node, where operators
invite, approve and revoke."""

import asyncio
import io
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from http import HTTPStatus
from typing import Any, NamedTuple

import segno
from aiohttp import web
from markupsafe import Markup

from collector import enrol
from collector.access.store import Deed
from collector.audit.calendar import Zone
from collector.board import Board
from collector.identity import Identity
from collector.inventory import Node
from collector.ledger import Agent
from collector.ledger.approvals import Approvals
from collector.ledger.sqlite import SqliteLedger
from collector.live import AgentNow
from collector.roster import Roster
from collector.web.guard import Guard, Refused, asker
from collector.web.render import Renderer
from runtime.clock import SECOND, Clock

DAYS = (1, 14, 60)
"""How long an invitation may last."""
DONE = ("approved", "revoked", "withdrawn")
"""What the address may say was just done."""
FRESH_S = 60.0
"""A status older than this is told as a box that is not heard."""


@dataclass(frozen=True, kw_only=True)
class Boxes:
    """What the fleet's page works with."""

    board: Board
    roster: Roster
    approvals: Approvals
    ledger: SqliteLedger
    identity: Identity
    public_url: str | None
    zone: Callable[[], Zone]
    """Whose clock is shown."""
    changed: Callable[[], Awaitable[None]]
    """To be called when agents were approved or revoked."""


class Standing(StrEnum):
    """How a node's newest box is; in the order in which somebody has to look."""

    WAITING = "waiting"
    SILENT = "silent"
    NONE = "none"
    HEARD = "heard"


class _Row(NamedTuple):
    node: Node
    box: dict[str, Any] | None
    """The newest that is not revoked."""
    standing: Standing


def spool_age_s(now: AgentNow) -> float | None:
    """Age of the oldest evidence that waited when the status was made; None where that is of an
    earlier boot, of whose clock nothing is known here."""
    status, spool = now.status, now.status.spool
    if spool.batches_waiting == 0:
        return 0.0
    if spool.oldest_boot_ns is None:
        return None
    return max(0, status.boot_ns - spool.oldest_boot_ns) / SECOND


class FleetPages:
    """Routes for the boxes."""

    def __init__(self, boxes: Boxes, renderer: Renderer, guard: Guard, clock: Clock) -> None:
        self._on, self._renderer = boxes, renderer
        self._guard, self._clock = guard, clock

    def routes(self) -> list[web.RouteDef]:
        """To be added to the application."""
        return [
            web.get("/fleet", self.fleet),
            web.get("/fleet/{node}", self.node),
            web.post("/fleet/invite", self.invite),
            web.post("/fleet/withdraw", self.withdraw),
            web.post("/fleet/approve", self.approve),
            web.post("/fleet/revoke", self.revoke),
        ]

    async def fleet(self, request: web.Request) -> web.Response:
        """All nodes with their newest boxes; the page asks for it again and again."""
        held = self._held()
        rows = [_row(one, held.get(one.id, [])) for one in self._nodes().values()]
        order = list(Standing)
        rows.sort(key=lambda row: (order.index(row.standing), row.node.name, row.node.id))
        counts = Counter(row.standing for row in rows)
        only = request.query.get("only", "")
        told = {
            "rows": [row for row in rows if only in ("", row.standing)],
            "counts": [(one, counts[one]) for one in order],
            "all": len(rows),
            "only": only,
        }
        return await self._renderer.page(request, "fleet.html", told)

    async def node(self, request: web.Request) -> web.Response:
        """One node with all the boxes it ever had."""
        name = request.match_info["node"]
        node = self._nodes().get(name)
        if node is None:
            raise Refused(HTTPStatus.NOT_FOUND, f"no node {name!r}")
        links = self._on.board.fleet.inventory.links.values()
        tokens = await asyncio.to_thread(self._on.ledger.open_tokens, self._clock.wall_ns())
        told = {
            "node": node,
            "links": [one for one in links if one.node == node.id],
            "boxes": self._held().get(node.id, []),
            "days": DAYS,
            "invitations": [
                {
                    "id": one.token_id.hex(),
                    "made_s": one.created_wall_ns / SECOND,
                    "expires_s": one.expires_wall_ns / SECOND,
                }
                for one in tokens
                if one.node == node.id
            ],
            "done": done if (done := request.query.get("done")) in DONE else None,
            "zone": self._on.zone(),
        }
        return await self._renderer.page(request, "node.html", told)

    def _nodes(self) -> Mapping[str, Node]:
        return self._on.board.fleet.inventory.nodes

    def _held(self) -> dict[str, list[dict[str, Any]]]:
        """The boxes of each node, the newest first."""
        heard = {one.agent.agent_id: one for one in self._on.board.live.agents()}
        now_ns = self._clock.boot_ns()
        held: dict[str, list[dict[str, Any]]] = {}
        for agent in sorted(self._on.roster.all(), key=lambda one: -one.enrolled_wall_ns):
            box = self._box(agent, heard.get(agent.agent_id), now_ns)
            held.setdefault(agent.node, []).append(box)
        return held

    def _box(self, agent: Agent, now: AgentNow | None, now_ns: int) -> dict[str, Any]:
        seen = None if now is None else now.received_wall_ns / SECOND
        head = self._on.board.heads.get(agent.agent_id)
        return {
            "agent": agent.agent_id.hex(),
            "node": agent.node,
            "enrolled_s": agent.enrolled_wall_ns / SECOND,
            "revoked": agent.revoked_wall_ns is not None,
            "revoked_s": (agent.revoked_wall_ns or 0) / SECOND,
            "waiting": agent.agent_id in self._on.roster.waiting,
            "version": agent.version if now is None else now.status.agent_version,
            "clock": None if now is None else now.status.clock,
            "spool_s": None if now is None else spool_age_s(now),
            "spool_batches": None if now is None else now.status.spool.batches_waiting,
            "seen_s": seen,
            "heard": now is not None and now_ns - now.received_boot_ns < FRESH_S * SECOND,
            "missing": None if head is None else head.missing,
            "notes": () if now is None else now.status.notes,
        }

    # --- operators --------------------------------------------------------------------------

    async def invite(self, request: web.Request) -> web.Response:
        """A token for one box, shown once: this page is not kept anywhere."""
        form = await request.post()
        node, days = str(form.get("node", "")), str(form.get("days", ""))
        known = self._nodes().get(node)
        if known is None or days not in [str(one) for one in DAYS]:
            raise Refused(HTTPStatus.BAD_REQUEST, f"no node {node!r}, or no such number of days")
        token = str(
            await asyncio.to_thread(
                enrol.invite,
                self._on.ledger,
                self._on.identity,
                self._clock,
                node,
                int(days) * enrol.DAY_NS,
            )
        )
        await self._guard.note(request, Deed.INVITE, node, f"{days} d")
        url = self._on.public_url or f"{request.scheme}://{request.host}"
        told = {"node": known, "days": int(days), "token": token, "url": url, "qr": _qr(token)}
        return await self._renderer.page(request, "invited.html", told)

    async def withdraw(self, request: web.Request) -> web.Response:
        """Let a token expire that no box has used."""
        text = str((await request.post()).get("token", ""))
        row = await asyncio.to_thread(self._on.ledger.token, _id(text, "token"))
        if row is None:
            raise Refused(HTTPStatus.NOT_FOUND, f"no token {text[:64]!r}")
        now = self._clock.wall_ns()
        if not await asyncio.to_thread(self._on.ledger.withdraw, row.token_id, now):
            raise Refused(HTTPStatus.CONFLICT, "this token was used already, or has expired")
        await self._guard.note(request, Deed.WITHDRAW, row.node, row.token_id.hex())
        return _back("withdrawn", row.node)

    async def approve(self, request: web.Request) -> web.Response:
        """Let an agent speak that waits."""
        agent = await self._agent(request)
        now = self._clock.wall_ns()
        by = asker(request).name
        if not await asyncio.to_thread(self._on.approvals.approve, agent.agent_id, by, now):
            raise Refused(HTTPStatus.CONFLICT, "this agent was approved already")
        await self._guard.note(request, Deed.APPROVE, agent.node, agent.agent_id.hex())
        await self._on.changed()
        return _back("approved", agent.node)

    async def revoke(self, request: web.Request) -> web.Response:
        """Refuse an agent from now on; what it has sent stays."""
        agent = await self._agent(request)
        now = self._clock.wall_ns()
        if not await asyncio.to_thread(self._on.ledger.revoke, agent.agent_id, now):
            raise Refused(HTTPStatus.CONFLICT, "this agent was revoked already")
        await self._guard.note(request, Deed.REVOKE, agent.node, agent.agent_id.hex())
        await self._on.changed()
        return _back("revoked", agent.node)

    async def _agent(self, request: web.Request) -> Agent:
        text = str((await request.post()).get("agent", ""))
        found = self._on.roster.get(_id(text, "agent"))
        if found is None:
            raise Refused(HTTPStatus.NOT_FOUND, f"no agent {text[:64]!r}")
        return found


def _id(text: str, what: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError as error:
        raise Refused(HTTPStatus.NOT_FOUND, f"no {what} {text[:64]!r}") from error


def _qr(token: str) -> Markup:
    """The token for a phone, as a drawing without styles."""
    out = io.BytesIO()
    # Level M, as a screen is photographed at an angle.
    form: dict[str, Any] = {"kind": "svg", "xmldecl": False, "omitsize": True, "lineclass": None}
    segno.make(token, error="m", micro=False).save(out, svgclass="qr", border=4, **form)
    return Markup(out.getvalue().decode())


def _row(node: Node, boxes: list[dict[str, Any]]) -> _Row:
    box = next((one for one in boxes if not one["revoked"]), None)
    if box is None:
        return _Row(node, None, Standing.NONE)
    if box["waiting"]:
        return _Row(node, box, Standing.WAITING)
    return _Row(node, box, Standing.HEARD if box["heard"] else Standing.SILENT)


def _back(done: str, node: str) -> web.Response:
    there = web.Response(status=HTTPStatus.SEE_OTHER)
    there.headers["Location"] = f"/fleet/{node}?done={done}"
    return there
