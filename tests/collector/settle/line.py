"""A tested link on paper: the Transfers that a box would have recorded, as signed batches."""

import json
from collections.abc import Callable, Iterable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from collector.audit.evidence import Span
from collector.contracts import Contracts
from collector.experiment import Experiment
from collector.inventory import Inventory, Link, Node, NodeKind
from collector.ledger.derived import DerivedStore
from collector.ledger.outages import OutageStore
from collector.ledger.sqlite import SqliteLedger
from collector.ledger.verdicts import VerdictStore
from collector.plans import LinkThroughput
from collector.reading import Scope, read
from collector.settle.auditor import Auditor, Gathering
from collector.settle.derive import Speaker, derive
from collector.verdict_answers import VerdictAnswers
from tests.collector.contract_kit import contract
from tests.collector.kit import Box
from wire.batch import Batch
from wire.detail import Reading
from wire.instant import ClockClass
from wire.journal import Anchor, Heartbeat
from wire.observation import Outcome
from wire.slot import Direction, Method
from wire.transfer import (
    Box as MeasuringBox,
)
from wire.transfer import Headers, HubLoad, Offer, Purpose, Transfer, TransferOutcome

NS = 1_000_000_000
UNTIL = date(2026, 7, 1)
DAYS = 84
HOURS = (2, 4, 9, 14, 19, 20, 21, 22)
BEGIN_NS = int(datetime(2026, 1, 1, tzinfo=UTC).timestamp()) * NS
"""When every box booted."""
BITS = 10_000_000
NOW_S = int(datetime(2026, 7, 1, 12, tzinfo=UTC).timestamp())
Rate = Callable[[int, int], float]
"""Attainment of the test on this day at this local hour."""


def at_ns(day: date, hour: float) -> int:
    """Of a local hour, WIB, by the boot clock."""
    local = datetime(day.year, day.month, day.day, tzinfo=UTC)
    return int((local.timestamp() + (hour - 7) * 3600) * NS) - BEGIN_NS


def transfer(link: str, boot_ns: int, y: float = 0.95, **changes: Any) -> Transfer:
    """Ten seconds of a sound test of 10 Mbit/s, of which users took nothing."""
    fields: dict[str, Any] = {
        "link": link,
        "boot_ns": boot_ns,
        "direction": Direction.DOWN,
        "method": Method.UDP,
        "purpose": Purpose.PLANNED,
        "outcome": TransferOutcome.DONE,
        "duration_ns": 10 * NS,
        "offered": (Offer(0, round(0.98 * BITS)),),
        "octets": [round(y * BITS / 80)] * 100,
        "headers": Headers(ip=20, transport=8, packet=1500),
        "cpe": counters(link, boot_ns, y),
        "delay_us": [0, 4_000] * 50,
        "delay_interval_ns": NS // 10,
        "rtt_idle_ns": [10_000_000] * 10,
        "rtt_load_ns": [30_000_000] * 100,
        "rtt_interval_ns": NS // 10,
        "box": MeasuringBox(
            fit=True,
            selftest_bits_per_s=13_000_000,
            selftest_offered_bits_per_s=12_000_000,
            speed_mbps=1000,
            full_duplex=True,
        ),
        "hub": HubLoad(cpu_ratio=0.1, nic_bits_per_s=BITS, nic_speed_mbps=1000),
    }
    told = {**fields, **changes}
    bins = len(told["octets"])
    return Transfer(packets=[100] * bins, reordered=[0] * (bins - 1) + [8], **told)


def counters(link: str, boot_ns: int, y: float, users: float = 0.0) -> tuple[Reading, Reading]:
    """The router's port towards the provider, 1 s and 9 s after the beginning; tagged frames."""
    packets = round((y + users) * BITS / 8 / 1500)

    def reading(after_s: int) -> Reading:
        return Reading(
            link=link,
            target="router",
            boot_ns=boot_ns + after_s * NS,
            outcome=Outcome.OK,
            sys_uptime_cs=1_000_000 + after_s * 100,
            in_octets=packets * 1522 * after_s,
            in_packets=packets * after_s,
            out_octets=0,
            out_packets=0,
            counter_bits=64,
        )

    return reading(1), reading(9)


def skipped(link: str, boot_ns: int, outcome: TransferOutcome) -> Transfer:
    """A planned test that was not made."""
    return Transfer(
        link=link,
        boot_ns=boot_ns,
        direction=Direction.DOWN,
        method=Method.UDP,
        purpose=Purpose.PLANNED,
        outcome=outcome,
    )


def quarter(link: str, rate: Rate, days: int = DAYS) -> list[list[Transfer]]:
    """The tests of each of the `days` before UNTIL."""
    return [
        [
            transfer(
                link,
                at_ns(UNTIL - timedelta(days=days - day), hour + 0.1 + day % 50 / 60),
                rate(day, hour),
            )
            for hour in HOURS
        ]
        for day in range(days)
    ]


def dedicated(day: int, hour: int) -> float:
    return 0.95 + day % 5 / 500 - hour / 5000


def contended(day: int, hour: int) -> float:
    return 0.72 + day % 7 / 500 if hour >= 19 else dedicated(day, hour)


def flat(day: int, hour: int) -> float:
    return 0.80 + day % 5 / 500 - hour / 5000


def batch(box: Box, tests: Iterable[Transfer], **changes: Any) -> Batch:
    """A day's tests with a heartbeat that knows the hub's clock."""
    rows = sorted(tests, key=lambda one: one.boot_ns)
    beats = [
        Heartbeat(
            boot_ns=boot_ns,
            wall_ns=boot_ns + BEGIN_NS,
            clock=ClockClass.A,
            anchor=Anchor(boot_ns, boot_ns + BEGIN_NS, 5_000_000),
        )
        for boot_ns in {rows[0].boot_ns, rows[-1].boot_ns}
    ]
    sealed = {"sealed_wall_ns": rows[-1].boot_ns + NS + BEGIN_NS}
    return box.batch([*rows, *beats], **{**sealed, **changes})


class Lines:
    """A ledger with tested links, and who judges them. One node and box for each link."""

    def __init__(self, file: Path, *links: str, **terms: Any) -> None:
        self.ledger = SqliteLedger(file)
        block = LinkThroughput(zone="WIB", down_mbps=10, up_mbps=10)
        self.inventory = Inventory(
            tuple(Node(id=f"n-{one}", name=one, kind=NodeKind.OPD, district="K") for one in links),
            tuple(
                Link(
                    id=one,
                    node=f"n-{one}",
                    provider="P",
                    medium="fibre",
                    pop="P1",
                    throughput=block,
                )
                for one in links
            ),
        )
        self.contracts = Contracts(
            tuple(contract(link=one, reference=f"K-{one}", **terms) for one in links)
        )
        self.experiments: list[Experiment] = []
        self.derived, self.outages = DerivedStore(self.ledger), OutageStore(self.ledger)
        self.store = VerdictStore(self.ledger)
        self.gathering = Gathering(
            self.ledger,
            self.derived,
            self.outages,
            lambda: (self.inventory, self.contracts),
            lambda: self.experiments,
        )
        self.auditor = Auditor(self.gathering, self.store)
        self.answers = VerdictAnswers(self.store, self.gathering)
        self.boxes = {one: Box(number, f"n-{one}") for number, one in enumerate(links, 1)}
        for box in self.boxes.values():
            self.ledger.add_token(box.token)
            self.ledger.enrol(box.token.token_id, box.agent)

    def take(self, batches: Iterable[Batch], received_s: int = NOW_S) -> None:
        """Store these batches and read them for the audit."""
        scope = Scope(list(self.boxes), [])
        self.ledger.store([read(one, received_s * NS, scope) for one in batches])
        own = {box.agent_id: link for link, box in self.boxes.items()}
        while unread := self.derived.unread(200):
            self.derived.derive(
                [
                    derive(one, Speaker((own[one.batch.header.agent_id],), lambda *_: None))
                    for one in unread
                ]
            )

    def tested(self, link: str, rate: Rate, days: int = DAYS) -> None:
        """Take a link's quarter."""
        self.take(batch(self.boxes[link], day) for day in quarter(link, rate, days))

    def found(self, link: str) -> dict[str, Any]:
        """The newest verdict's numbers."""
        (one,) = self.answers.verdicts(link=link)
        return dict(json.loads(one.kept.data))

    def trials(self, link: str) -> list[Any]:
        return self.gathering.trials(link, Span(0, 2**40))

    def close(self) -> None:
        self.ledger.close()
