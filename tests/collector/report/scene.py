"""June 2026 of four links on paper, in a real ledger: one breached, one met, one that nobody can
decide, and one without a contract."""

import shutil
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import yaml

from collector.answers import Answers
from collector.audit.calendar import Month, Zone
from collector.audit.evidence import Span
from collector.audit.intervals import Edge, Interval, Outage
from collector.audit.states import Cause, Charge, EvidenceClass, State
from collector.audit.why import Clause, clause
from collector.contracts import (
    Contracts,
    Exclusions,
    Limit,
    Limits,
    MaintenanceRule,
)
from collector.inventory import Inventory, Link, Node, NodeKind
from collector.ledger.derived import DerivedStore
from collector.ledger.outages import Lane, OutageStore, Revision
from collector.ledger.sqlite import SqliteLedger
from collector.ledger.verdicts import VerdictStore
from collector.maintenance import Kind, Notice, Recorded, Scope
from collector.plans import LinkThroughput
from collector.reading import Scope as Reading
from collector.reading import read
from collector.report.gather import AuditMaker
from collector.restitution import Restitution, Rounding, Rule, Tier
from collector.settle.auditor import Auditor, Gathering
from collector.settle.derive import Speaker, derive
from collector.settle.service import roles
from collector.settle.world import Worlds
from collector.tickets import Import, Ticket
from tests.collector.contract_kit import contract
from tests.collector.kit import Box, train
from tests.collector.settle import line
from wire.batch import Batch
from wire.instant import ClockClass
from wire.journal import Anchor, Heartbeat

NS = 1_000_000_000
MONTH = Month(2026, 6, Zone.WIB)
JUNE = MONTH.span
UNTIL = date(2026, 7, 1)
NOW_S = int(datetime(2026, 7, 10, 12, tzinfo=UTC).timestamp())
TESTED_DAYS = 84
WHO = Recorded("Sari", "sari", NOW_S * NS)
LIMITS = Limits(domestic=Limit(rtt_s=0.05, rtt_percentile=95, pdv_s=0.02, loss_ratio=0.01))
TERMS: dict[str, dict[str, Any]] = {
    "utara": {
        "provider": "PT Serat & Kabel",
        "limits": LIMITS,
        "exclusions": Exclusions(maintenance=MaintenanceRule(notice_s=3600)),
        "restitution": Restitution(rule=Rule.BEIBI),
        "fee_rupiah": 12_500_000,
    },
    "selatan": {
        "provider": "PT Lintas Nusa",
        "limits": LIMITS,
        "restitution": Restitution(
            rule=Rule.TIER,
            tiers=(Tier(availability=0.995, fee_ratio=0), Tier(availability=0, fee_ratio=0.1)),
            rounding=Rounding.HALF_UP,
        ),
        "fee_rupiah": 9_000_000,
    },
    "bukit": {
        "provider": "PT Lintas Nusa",
        "restitution": Restitution(rule=Rule.LIN),
        "fee_rupiah": 2_500_000,
    },
}
MEDIA = {"utara": "fibre", "selatan": "fibre", "bukit": "vsat", "pasar": "radio"}
DISTRICTS = {"utara": "Utara", "selatan": "Utara", "bukit": "Bukit", "pasar": "Bukit"}
PROVIDERS = {link: str(terms["provider"]) for link, terms in TERMS.items()}


def at(day: int, hour: float) -> int:
    """UTC second of a local hour in June."""
    return JUNE.start_s + (day - 1) * 86_400 + round(hour * 3600)


def cut(day: int, hour: float, length_s: int, **changes: Any) -> Interval:
    """Charged to the provider unless told."""
    fields: dict[str, Any] = {
        "start_s": at(day, hour),
        "end_s": at(day, hour) + length_s,
        "state": State.DOWN,
        "cause": Cause.ACCESS_LINK,
        "charge": Charge.PROVIDER,
        "witnesses": (EvidenceClass.NODE_PROBES, EvidenceClass.NODE_LAN),
        "why": clause(Clause.GATEWAY_ANSWERED, ok=length_s, asked=length_s),
    }
    return Interval(**fields | changes)


CUTS: dict[str, tuple[Interval, ...]] = {
    "utara": (
        cut(3, 9, 9_000),
        cut(8, 1, 7_200, cause=Cause.MAINTENANCE, charge=Charge.EXCLUDED, witnesses=(),
            why=clause(Clause.MAINTENANCE, window="1", kind="planned")),
        cut(12, 20, 600),
        cut(12, 20.5, 45),
        cut(21, 14, 5_400, cause=Cause.PROVIDER_CORE, event="core-1",
            why=clause(Clause.PEERS_DOWN, members=4, observed=5)),
        cut(25, 7, 1_200, cause=Cause.SITE_POWER, charge=Charge.UNKNOWN, state=State.UNKNOWN,
            witnesses=(), why=clause(Clause.AGENT_STOPPED)),
    ),
    "selatan": (cut(17, 11, 300),),
    "bukit": (
        cut(5, 2, 21_600, state=State.UNKNOWN, cause=Cause.UNDETERMINED, charge=Charge.UNKNOWN,
            witnesses=(), why=clause(Clause.NEVER_HEARD)),
        cut(29, 13, 3_600),
    ),
}  # fmt: skip


def rtts(link: str, day: int, hour: int) -> list[float | None]:
    """Sixty round trips: evenings are slow, and one link loses some."""
    slow = 1.6 if 19 <= hour < 23 else 1.0
    base = {"utara": 14.0, "selatan": 9.0, "bukit": 580.0}[link] * slow
    found: list[float | None] = [base + (k * 7 + day) % 11 * base / 40 for k in range(60)]
    if link == "utara" and hour >= 18:
        found[day % 50] = found[day % 50 + 3] = None
    return found


class June:
    """The ledger, and who makes audits of it."""

    def __init__(self, file: Path) -> None:
        self.ledger = SqliteLedger(file)
        self.inventory = Inventory(
            tuple(
                Node(id=f"desa-{one}", name=f"Desa {one.title()}", kind=NodeKind.DESA,
                     district=DISTRICTS[one])
                for one in MEDIA
            ),
            tuple(
                Link(id=one, node=f"desa-{one}", provider=PROVIDERS.get(one, "PT Lintas Nusa"),
                     medium=MEDIA[one], pop="PoP-1", circuit=f"CID-{one}",
                     throughput=LinkThroughput(zone="WIB", down_mbps=10, up_mbps=10))
                for one in MEDIA
            ),
        )  # fmt: skip
        self.contracts = Contracts(
            tuple(
                contract(link=one, reference=f"027/SPK/{one}", pop="PoP-1", **terms)
                for one, terms in TERMS.items()
            )
        )
        self.derived, self.outages = DerivedStore(self.ledger), OutageStore(self.ledger)
        promised = lambda: (self.inventory, self.contracts)  # noqa: E731
        self.answers = Answers(self.outages, self.derived, promised)
        self.gathering = Gathering(self.ledger, self.derived, self.outages, promised)
        self.maker = AuditMaker(self.ledger, self.derived, self.outages, promised)
        self.boxes = {one: Box(number, f"desa-{one}") for number, one in enumerate(MEDIA, 1)}
        known = {agent.agent_id for agent in self.ledger.agents()}
        for box in self.boxes.values():
            if box.agent_id in known:
                self._go_on(box)
            else:
                self.ledger.add_token(box.token)
                self.ledger.enrol(box.token.token_id, box.agent)

    def _go_on(self, box: Box) -> None:
        """A new process of a box whose chain is in the ledger."""
        rows = self.ledger.rows(
            "SELECT digest FROM batch WHERE agent_id=? ORDER BY id DESC LIMIT 1", (box.agent_id,)
        )
        box.begin()
        box.previous = rows[0][0] if rows else box.previous

    def fill(self) -> None:
        """All that June had."""
        for link in TERMS:
            self.take(link, list(self.batches(link)))
            self.judge(link, CUTS[link])
        self.told()
        Auditor(self.gathering, VerdictStore(self.ledger)).look(UNTIL, NOW_S)
        self.rest()

    def rest(self) -> None:
        """Let a collector that opens this ledger find nothing to weave or to judge anew."""
        worlds = Worlds(self.ledger, lambda: (self.inventory, self.contracts))
        for link, known in worlds.now().items():
            self.outages.set_digest(link, known.digest)
        with self.ledger.transaction() as db:
            db.execute("DELETE FROM dirty")
            db.execute("DELETE FROM rejudge")

    def batches(self, link: str) -> Iterator[Batch]:
        """Tests of a quarter, of two links, and round trips of June, every two hours."""
        rates = {"utara": line.contended, "selatan": line.dedicated}
        tests = line.quarter(link, rates[link]) if link in rates else [[]] * TESTED_DAYS
        for back, day_tests in zip(range(TESTED_DAYS, 0, -1), tests, strict=True):
            day = UNTIL - timedelta(days=back)
            if day.month == MONTH.number:
                for hour in range(0, 24, 2):
                    yield self.two_hours(link, day.day, hour)
            if day_tests:
                yield line.batch(self.boxes[link], day_tests)

    def two_hours(self, link: str, day: int, hour: int) -> Batch:
        """A minute of round trips that stands for two hours."""
        boot_s = at(day, hour) - line.BEGIN_NS // NS
        beat = Heartbeat(
            boot_ns=boot_s * NS,
            wall_ns=boot_s * NS + line.BEGIN_NS,
            clock=ClockClass.A,
            anchor=Anchor(boot_s * NS, boot_s * NS + line.BEGIN_NS, 5_000_000),
        )
        told = train(rtts(link, day, hour), boot_s=boot_s, link=link, first_seq=boot_s)
        sealed = {"sealed_wall_ns": (boot_s + 61) * NS + line.BEGIN_NS}
        return self.boxes[link].batch([beat, told], **sealed)

    def take(self, link: str, batches: Sequence[Batch]) -> None:
        """Store and read these batches."""
        scope = Reading([link], [])
        self.ledger.store([read(one, NOW_S * NS, scope) for one in batches])
        while unread := self.derived.unread(500):
            speaker = Speaker((link,), roles(self.inventory, outside=False))
            self.derived.derive([derive(one, speaker) for one in unread])

    def judge(self, link: str, cuts: Sequence[Interval]) -> None:
        """May to July up, but for the cuts; what is no unit of maintenance is an outage too."""
        span = Span(JUNE.start_s - 31 * 86_400, JUNE.end_s + 86_400)
        begin_s, intervals = span.start_s, []
        for one in cuts:
            intervals += [Interval(begin_s, one.start_s, State.UP), one]
            begin_s = one.end_s
        intervals.append(Interval(begin_s, span.end_s, State.UP))
        self.outages.keep_intervals(link, span, intervals)
        self.outages.say(
            Lane.EVIDENCE, [Revision(None, False, outage(link, one)) for one in cuts], NOW_S
        )

    def told(self) -> None:
        """A window of maintenance, one that nobody approved, and the provider's tickets."""
        registers = self.ledger.registers
        window = Notice(Scope("utara"), at(8, 1), at(8, 3), Zone.WIB, Kind.PLANNED, at(7, 8),
                        "Kepala Bidang", "penggantian SFP", "B-12/2026")  # fmt: skip
        registers.add_maintenance(window, WHO)
        registers.add_maintenance(
            window._replace(start_s=at(21, 14), end_s=at(21, 15), approved_by=None), WHO
        )
        tickets = (
            Ticket("PT Serat & Kabel", "T-100", "utara", at(3, 9) + 60, at(3, 11.5), "kabel putus"),
            Ticket("PT Serat & Kabel", "T-101", "utara", at(12, 19.9), at(12, 21), "flapping"),
            Ticket("PT Serat & Kabel", "T-102", "utara", at(27, 8), at(27, 9), "PM"),
        )
        said = Import(0, "juni.csv", b"d" * 32, None, Zone.WIB, len(tickets), WHO)
        registers.import_tickets(said, tickets)

    def close(self) -> None:
        self.ledger.close()


def outage(link: str, one: Interval) -> Outage:
    """The outage of an interval."""
    return Outage(
        link=link,
        start=Edge(one.start_s, one.start_s - 0.5, one.start_s + 0.5),
        end=Edge(one.end_s, one.end_s - 0.5, one.end_s + 0.5),
        state=one.state,
        cause=one.cause,
        charge=one.charge,
        witnesses=one.witnesses,
        why=one.why,
        event=one.event,
        settled=True,
    )


def settings(folder: Path, ledger: Path, **changes: Any) -> Path:
    """A collector's folder with this ledger in it and the same nodes, links and contracts."""
    etc = folder / "etc"
    (etc / "data").mkdir(parents=True)
    shutil.copy(ledger, etc / "data" / "ledger.db")
    made = June(etc / "data" / "ledger.db")
    rows = {
        "nodes": made.inventory.nodes.values(),
        "links": made.inventory.links.values(),
        "contracts": made.contracts.rows,
    }
    made.close()
    for name, told in rows.items():
        (etc / f"{name}.yaml").write_text(
            yaml.safe_dump({name: [_known(msgspec.to_builtins(one)) for one in told]})
        )
    file = etc / "collector.yaml"
    plain: dict[str, Any] = {
        "data_dir": "data",
        "stamp": {"host": "127.0.0.1", "port": 0, "address": "127.0.0.1"},
        "http": {"host": "127.0.0.1", "port": 0},
    }
    file.write_text(yaml.safe_dump(plain | changes))
    return file


def _known(row: dict[str, Any]) -> dict[str, Any]:
    """Without what is None: a file says nothing of it."""
    return {name: value for name, value in row.items() if value is not None}
