"""Everything that is asked over HTTP, put together."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from aiohttp import web

from collector.access.store import AccessStore
from collector.answers import Answers
from collector.audit.calendar import Month
from collector.board import Board
from collector.contracts import Contracts
from collector.desk import Desk
from collector.inventory import Inventory
from collector.ledger.approvals import Approvals
from collector.ledger.audits import AuditStore
from collector.ledger.recent import Arrivals
from collector.ledger.sqlite import SqliteLedger
from collector.months import Months
from collector.report.gather import AuditMaker
from collector.report.issue import AuditDesk
from collector.settings import Located
from collector.settle.auditor import Gathering
from collector.slot_desk import SlotDesk
from collector.throughput import ThroughputServer
from collector.throughput.ndt7 import Ndt7
from collector.tree.service import Tree
from collector.verdict_answers import VerdictAnswers
from collector.web.agents import AgentEndpoints
from collector.web.audit import AuditPages
from collector.web.audits import AuditDocuments, AuditGround
from collector.web.board_pages import BoardPages
from collector.web.discovery import DiscoveryPages
from collector.web.entry import EntryPages, House
from collector.web.feed import Feed
from collector.web.fleet_pages import Boxes, FleetPages
from collector.web.guard import Guard
from collector.web.heads import HeadPages
from collector.web.link_pages import LinkPages, Sources
from collector.web.month_pages import Document, MonthPages
from collector.web.operate_pages import OperatePages
from collector.web.orders import OrderEndpoints
from collector.web.pages import Pages
from collector.web.proxied import behind
from collector.web.render import Renderer
from collector.web.runbooks import RunbookPages
from collector.web.static import StaticFiles
from collector.web.verdicts import VerdictPages
from runtime.clock import Clock
from wire.batch import MAX_BATCH_BYTES


@dataclass(frozen=True, kw_only=True)
class Served:
    """What the pages and the API ask."""

    located: Located
    clock: Clock
    ledger: SqliteLedger
    board: Board
    answers: Answers
    promised: Callable[[], tuple[Inventory, Contracts]]
    months: Months
    verdicts: VerdictAnswers
    gathering: Gathering
    maker: AuditMaker
    slots: SlotDesk
    loads: ThroughputServer | None
    desk: Desk
    approvals: Approvals
    agents_changed: Callable[[], Awaitable[None]]
    """Called when some were enrolled, approved or revoked."""
    tree: Tree
    access: AccessStore
    guard: Guard
    feed: Feed
    pages: Pages

    def inventory(self) -> Inventory:
        """As it is now."""
        return self.board.fleet.inventory

    def documents(self, month: Month) -> list[Document]:
        """The audits that were issued for a month."""
        return [
            Document(one.id, one.scope, one.revision, one.issued_s, one.digest)
            for one in AuditStore(self.ledger).all()
            if one.month == str(month)
        ]


def application(of: Served) -> web.Application:
    """Behind the guard, which lets through what its caller may ask."""
    settings, static = of.located.settings, StaticFiles()
    app = web.Application(
        client_max_size=MAX_BATCH_BYTES,
        middlewares=[behind(settings.http.trusted), of.guard.middleware],
    )
    renderer = Renderer(static, of.clock)
    of.guard.problem = renderer.problem
    house = House(settings.https, lambda: of.answers.zone(None))
    for pages in (
        AgentEndpoints(of.desk, settings.limits.body_deadline_s),
        of.pages,
        AuditPages(of.answers, of.clock),
        OrderEndpoints(of.slots, of.board.fleet, of.clock, of.guard),
        BoardPages(of.board, of.answers, of.feed, renderer, of.guard),
        LinkPages(_sources(of), of.promised, renderer, of.clock),
        FleetPages(_boxes(of), renderer, of.guard, of.clock),
        OperatePages(of.ledger.registers, of.inventory, renderer, of.guard, of.clock),
        MonthPages(of.months, of.inventory, renderer, of.documents),
        EntryPages(of.access, of.guard, renderer, of.clock, house),
        static,
        DiscoveryPages(of.board, of.clock),
        VerdictPages(of.verdicts, of.gathering, of.clock),
        RunbookPages(),
        HeadPages(of.tree.store, of.tree.public_key),
        AuditDocuments(_audits(of, renderer)),
    ):
        app.add_routes(pages.routes())
    if of.loads is not None:
        app.add_routes(Ndt7(of.loads).routes())
    return app


def _sources(of: Served) -> Sources:
    return Sources(
        answers=of.answers, verdicts=of.verdicts, arrivals=Arrivals(of.ledger), feed=of.feed
    )


def _boxes(of: Served) -> Boxes:
    return Boxes(
        board=of.board,
        roster=of.desk.roster,
        approvals=of.approvals,
        ledger=of.ledger,
        identity=of.desk.identity,
        public_url=of.located.settings.public_url,
        zone=lambda: of.answers.zone(None),
        changed=of.agents_changed,
    )


def _audits(of: Served, renderer: Renderer) -> AuditGround:
    settings = of.located.settings.audit
    desk = AuditDesk(of.maker, AuditStore(of.ledger), settings.freeze_after_days)
    return AuditGround(
        desk=desk,
        settings=settings,
        folder=of.located.file.parent,
        clock=of.clock,
        guard=of.guard,
        renderer=renderer,
        zone=lambda: of.answers.zone(None),
    )
