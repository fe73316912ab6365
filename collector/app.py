"""The collector, put together: the only place where its parts meet."""

import asyncio
import logging
import signal
import ssl
from collections.abc import Iterator
from contextlib import contextmanager

from aiohttp import web

from collector import contracts as promised
from collector import identity as keys
from collector import inventory
from collector.access.store import AccessStore
from collector.announced import AnnouncedService
from collector.answers import Answers
from collector.backfill.service import Backfill
from collector.backfill.store import BackfillStore
from collector.board import Board
from collector.committer import Committer
from collector.contracts import Contracts
from collector.counters import Counters
from collector.desk import Desk
from collector.fleet import Fleet
from collector.ingest import Ingest, ReceiptSigner
from collector.inventory import ReflectorAddress
from collector.ledger.approvals import Approvals
from collector.ledger.derived import DerivedStore
from collector.ledger.outages import OutageStore
from collector.ledger.recent import Arrivals
from collector.ledger.sqlite import SqliteLedger
from collector.live import Live
from collector.months import Months
from collector.recent import Recent
from collector.reflector import Reflector, ReflectorSettings
from collector.report.gather import AuditMaker
from collector.report.service import AuditService
from collector.rewinds import Rewinds
from collector.roster import Roster
from collector.sessions import SessionTable
from collector.settings import Located
from collector.settle.auditor import Gathering
from collector.settle.judge import Judge
from collector.settle.service import Parts, SettleService
from collector.settle.verdict_service import VerdictService, opened
from collector.settle.world import Worlds
from collector.silence_sync import SilenceSync
from collector.slot_desk import Ground, Server, SlotDesk
from collector.slot_store import SlotStore
from collector.throughput import SlotEvent, ThroughputServer
from collector.tree import service as trees
from collector.watch import Watch
from collector.web import strangers
from collector.web.feed import Feed
from collector.web.guard import Guard
from collector.web.pages import Pages
from collector.web.served import Served, application
from runtime.clock import Clock
from runtime.service import ServiceManager
from runtime.settings import SettingsError
from runtime.supervise import every, run_until
from runtime.timekeeping import KeptClock

log = logging.getLogger(__name__)
KEEP_TIME_S = 64.0
HOUR_NS = 3_600_000_000_000
REFRESH_S = 2.0
"""How often changes by other processes and the evidence heads are looked at."""
SLOTS_S = 1.0
"""How often it is looked whether slots have ended and experiments go on."""
STOP_WITHIN_S = 2.0


class Collector:
    """One running collector."""

    def __init__(
        self,
        located: Located,
        clock: Clock,
        server: Server | None = None,
        *,
        lifecycle: bool = False,
    ) -> None:
        """Open the ledger, read nodes, links and contracts. Raises SettingsError or LedgerError.

        `server` carries the loads of throughput tests; by default it is collector.throughput,
        where the settings allow tests at all. `lifecycle` lets anybody reload, as Prometheus'
        flag does.
        """
        self._located, self._clock = located, clock
        settings = located.settings
        if settings.stamp.address is None:
            raise SettingsError(
                f"{located.file}: stamp.address: missing: the literal address at which agents"
                " reach the reflector"
            )
        identity = keys.load_or_make(located.data_dir)
        self.ledger = SqliteLedger(located.data_dir / "ledger.db")
        self.table = SessionTable()
        self.reflector = Reflector(
            self.table, clock, ReflectorSettings(settings.stamp.host, settings.stamp.port)
        )
        self.counters = Counters(self.table, self.reflector)
        self.approvals, self.roster = self._speakers()
        fleet = Fleet(self.ledger, self.roster, self.table, identity, self._reflector_address)
        self.board = Board(
            fleet, Live(settings.silence_after_s), self.table, self.counters, clock.quality
        )
        kept = OutageStore(self.ledger)
        derived, worlds = DerivedStore(self.ledger), Worlds(self.ledger, self._promised)
        self.answers = Answers(kept, derived, self._promised)
        parts = Parts(
            store=derived,
            judge=Judge(self.ledger, derived, kept, worlds.now),
            kept=kept,
            answers=self.answers,
            standing=self.board.standing,
        )
        self._watch, self.months, self._announced = (
            Watch(kept, self.board, clock),
            Months(self.answers, clock),
            AnnouncedService(self.ledger.registers, self._promised, self.board, clock),
        )
        self.settling = SettleService(parts, fleet, self.roster, clock)
        self._committer = Committer(self.ledger, settings.limits.commit_queue)
        signer = ReceiptSigner(self.ledger.ledger_id, identity.signing)
        tests = settings.throughput
        self.loads: ThroughputServer | None = None
        if server is None and tests.capacity_bits_per_s is not None:
            server = self.loads = ThroughputServer(tests, clock, _slot_told)
        self.slots = SlotDesk(
            Ground(
                fleet=fleet,
                roster=self.roster,
                identity=identity,
                clock=clock,
                counters=self.counters,
                store=SlotStore(located.data_dir / "slots.db"),
                server=server,
                address=tests.address or settings.stamp.address,
                capacity_bits_per_s=tests.capacity_bits_per_s,
                iperf3=tests.iperf3,
            )
        )
        desk = Desk(
            ledger=self.ledger,
            roster=self.roster,
            board=self.board,
            ingest=Ingest(self.roster, self._committer, signer, self.board, clock),
            identity=identity,
            clock=clock,
            counters=self.counters,
            slots=self.slots,
            rewinds=Rewinds(self.ledger),
            catchup_bytes_per_s=settings.limits.catchup_bytes_per_s,
        )
        gathering = Gathering(
            self.ledger,
            derived,
            kept,
            self._promised,
            lambda: tuple(self.slots.experiments.values()),
        )
        self.verdicts = opened(gathering, self.ledger, self.board.verdicts)
        self.judging = VerdictService(self.verdicts, fleet, clock)
        self.tree = trees.opened(self.ledger, located, self._promised, self.counters, clock)
        self.access, self.guard = self._access(lifecycle)
        self.recent, self.feed = self._views()
        maker = AuditMaker(self.ledger, derived, kept, self._promised)
        self._app = self._served(desk, gathering, maker)
        self.auditing = AuditService(located, maker, lambda: self._inventory, clock)
        self.port, self._planned_hour = settings.http.port, clock.wall_ns() // HOUR_NS
        self._inventory, self.contracts = self._read()
        self._count()
        self.backfill, self.silencing = self._sent_on(derived, kept)

    def _sent_on(self, derived: DerivedStore, kept: OutageStore) -> tuple[Backfill, SilenceSync]:
        """What others are told by themselves: series, and windows of maintenance."""
        located, registry = self._located, self.counters.registry
        store = BackfillStore(self.ledger, derived, kept)
        backfill = Backfill(located, store, lambda: self._inventory, registry, self._clock)
        silencing = SilenceSync(located, self.ledger, self._promised, registry, self._clock)
        return backfill, silencing

    def _count(self) -> None:
        self.counters.queue.set_function(lambda: self._committer.waiting)
        self.counters.agents.set_function(lambda: len(self.roster.active()))

    def _speakers(self) -> tuple[Approvals, Roster]:
        settings = self._located.settings
        approvals = Approvals(self.ledger, asked=settings.approve_agents)
        approvals.catch_up(self._clock.wall_ns())
        return approvals, Roster(self.ledger, settings.limits, approvals.waiting)

    def _views(self) -> tuple[Recent, Feed]:
        recent = Recent(Arrivals(self.ledger), self.answers, self._clock)
        return recent, Feed(self.board, recent, self._clock)

    def _access(self, lifecycle: bool) -> tuple[AccessStore, Guard]:
        located, clock = self._located, self._clock
        store = AccessStore(located.data_dir / "access.db")
        token, web_config = keys.operator_token(located.data_dir), located.web_config_file
        return store, Guard(store, clock, token, web_config, lifecycle=lifecycle)

    def _served(self, desk: Desk, gathering: Gathering, maker: AuditMaker) -> web.Application:
        self.pages = Pages(self.board, self.counters, self._clock, self.reload, self.guard)
        return application(
            Served(
                located=self._located,
                clock=self._clock,
                ledger=self.ledger,
                board=self.board,
                answers=self.answers,
                months=self.months,
                promised=self._promised,
                verdicts=self.verdicts.answers,
                gathering=gathering,
                maker=maker,
                slots=self.slots,
                loads=self.loads,
                desk=desk,
                approvals=self.approvals,
                agents_changed=self.agents_changed,
                tree=self.tree,
                access=self.access,
                guard=self.guard,
                feed=self.feed,
                pages=self.pages,
            )
        )

    def _reflector_address(self) -> ReflectorAddress:
        stamp = self._located.settings.stamp
        assert stamp.address is not None  # checked at start
        return ReflectorAddress(stamp.address, self.reflector.port, stamp.authenticated)

    def _read(self) -> tuple[inventory.Inventory, Contracts]:
        settings = self._located.settings
        return promised.read_all(
            self._located.path(settings.nodes_file),
            self._located.path(settings.links_file),
            self._located.contracts_file,
            self._clock.wall_ns() / 1e9,
        )

    def _promised(self) -> tuple[inventory.Inventory, Contracts]:
        return self._inventory, self.contracts

    def _plan(self) -> None:
        """Plans follow the contract of the day, which no file has to change for."""
        hour = self._clock.wall_ns() // HOUR_NS
        if hour != self._planned_hour:
            self._planned_hour = hour
            wall_s = self._clock.wall_ns() / 1e9
            planned = self._inventory.promised(lambda link: self.contracts.promise(link, wall_s))
            if planned.plans != self._inventory.plans:
                self._inventory = planned
                self._load()

    def _load(self) -> None:
        self.board.fleet.load(self._inventory)
        self.board.details.load({link.id: link.node for link in self._inventory.links.values()})
        self.board.evidence.load(
            self._inventory, self.ledger.tallies(), self.ledger.gap_observations()
        )
        self.counters.reload_ok.set(1)
        self.counters.reload_at.set(self._clock.wall_ns() / 1e9)

    def reload(self) -> None:
        """Take nodes, links and contracts anew, or none of them. Raises SettingsError."""
        try:
            self.guard.reload()
            self._inventory, self.contracts = self._read()
        except SettingsError as error:
            self.counters.reload_ok.set(0)
            log.error("nodes, links and contracts were not taken: %s", error)
            raise
        self._load()
        log.info(
            "%d nodes, %d links and %d contracts loaded",
            len(self._inventory.nodes),
            len(self._inventory.links),
            len(self.contracts.rows),
        )

    async def _keep_time(self) -> None:
        if isinstance(self._clock, KeptClock):
            await asyncio.to_thread(self._clock.timekeeping.ask)

    async def _refresh(self) -> None:
        if await asyncio.to_thread(self.ledger.changed):
            await self.agents_changed()
        self._plan()
        heads = await asyncio.to_thread(self.ledger.heads)
        self.board.heads = {head.agent_id: head for head in heads}

    async def agents_changed(self) -> None:
        """Take the agents anew: some were enrolled, approved or revoked."""
        await asyncio.to_thread(self.approvals.catch_up, self._clock.wall_ns())
        self.roster.refresh()
        self.board.fleet.register()
        active = {agent.agent_id for agent in self.roster.active()}
        self.board.live.keep(active)
        await self.slots.keep(active)

    def _tls(self) -> ssl.SSLContext | None:
        http = self._located.settings.http
        if http.cert_file is None or http.key_file is None:
            return self.guard.tls
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(
            self._located.path(http.cert_file), self._located.path(http.key_file)
        )
        return context

    async def _alive(self) -> None:
        """Returns unless the ledger, whose every use takes turns, hangs."""
        await asyncio.to_thread(self.ledger.rows, "SELECT 1")

    async def run(self, stop: asyncio.Event, manager: ServiceManager | None = None) -> None:
        """Serve until `stop`. Takes no new report after it; what was taken is committed.

        `manager` hears when agents can come, that event loop and ledger live, and the end.
        """
        manager = manager or ServiceManager()
        settings = self._located.settings
        await self.reflector.start()
        self._load()
        await self._refresh()
        await self._keep_time()
        # The HTTP layer never decompresses: a body is our own frame, checked before it is opened.
        runner = web.AppRunner(
            self._app,
            auto_decompress=False,
            access_log=None,
            logger=strangers.log,
            shutdown_timeout=STOP_WITHIN_S,
        )
        await runner.setup()
        site = web.TCPSite(runner, settings.http.host, settings.http.port, ssl_context=self._tls())
        closed = asyncio.Event()
        try:
            await site.start()
            self.port = runner.addresses[0][1]
            self.pages.ready = True
            log.info(
                "listening: HTTP port %d, STAMP port %d, ledger %s",
                self.port,
                self.reflector.port,
                self.ledger.ledger_id.hex(),
            )
            manager.ready(
                f"{len(self._inventory.nodes)} nodes, {len(self._inventory.links)} links;"
                f" HTTP port {self.port}, STAMP port {self.reflector.port}"
            )
            tasks = {
                "committer": self._committer.run,
                "settling": self.settling.run,
                "hub's journal": self.settling.keep_alive,
                "verdicts": self.judging.run,
                "audits": self.auditing.run,
                "watch": self._watch.run,
                "announced": self._announced.run,
                "months": self.months.run,
                "last day": self.recent.run,
                "feed": self.feed.run,
                "tree": self.tree.service.run,
                "witnesses": self.tree.witnesses.run,
                "refresh": lambda: every(REFRESH_S, self._refresh),
                "slots": lambda: every(SLOTS_S, self.slots.turn),
                **self.backfill.tasks(),
                **self.silencing.tasks(),
                "timekeeping": lambda: every(KEEP_TIME_S, self._keep_time),
                "service manager": lambda: manager.beat(self._alive),
                "shutdown": lambda: self._shut(stop, runner, closed),
            }
            if self.loads is not None:
                tasks["throughput"] = self.loads.run
            await run_until(closed, tasks)
        finally:
            manager.stopping()
            self.pages.ready = False
            await runner.cleanup()
            await self.reflector.close()
            self.slots.close()
            self.access.close()
            self.ledger.close()
            log.info("stopped")

    async def _shut(
        self, stop: asyncio.Event, runner: web.AppRunner, closed: asyncio.Event
    ) -> None:
        """On `stop`: no new requests, those under way end (their commits too), then close."""
        await stop.wait()
        self.pages.ready = False
        self.feed.close()
        await runner.cleanup()
        closed.set()
        await asyncio.Event().wait()


def _slot_told(event: SlotEvent) -> None:
    if event.end is None:
        log.debug("throughput slot %s: %d octets so far", event.slot_id, event.octets)
    else:
        log.info("throughput slot %s: %s %s", event.slot_id, event.end, event.reason)


@contextmanager
def signals(stop: asyncio.Event, hangup: Collector) -> Iterator[None]:
    """SIGTERM and SIGINT stop, SIGHUP reloads nodes, links and contracts."""
    loop = asyncio.get_running_loop()

    def reload() -> None:
        # A wrong file was logged by reload and leaves the former state: nothing to add here.
        try:
            hangup.reload()
        except SettingsError:
            return

    loop.add_signal_handler(signal.SIGTERM, stop.set)
    loop.add_signal_handler(signal.SIGINT, stop.set)
    loop.add_signal_handler(signal.SIGHUP, reload)
    try:
        yield
    finally:
        for one in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            loop.remove_signal_handler(one)


async def serve(collector: Collector) -> None:
    """Run until a signal says stop."""
    stop = asyncio.Event()
    with signals(stop, collector):
        await collector.run(stop, ServiceManager.of_process())
