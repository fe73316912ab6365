"""A district on paper: what each site's box would have recorded, as signed batches for the ledger.

A scene says second by second what became of each packet; a box turns that into trains, heartbeats
and anchors, sealed once a minute, as the agent does. Times are seconds after `T0`, hub clock.
"""

import itertools
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from collector.audit.evidence import Span
from collector.audit.intervals import Interval, Outage
from collector.contracts import Contract, Contracts
from collector.inventory import Inventory, Link, LinkTarget, Node, NodeKind
from collector.ledger.derived import DerivedStore
from collector.ledger.outages import Lane, OutageStore
from collector.ledger.sqlite import SqliteLedger
from collector.reading import Scope, read
from collector.settle.derive import Speaker
from collector.settle.judge import Judge
from collector.settle.service import roles
from collector.settle.settler import Settler
from collector.settle.world import Worlds
from tests.collector.contract_kit import contract
from tests.collector.kit import WALL_AT_BOOT, Box, heartbeat, train
from wire.batch import Batch
from wire.codec import Record
from wire.detail import Reading
from wire.journal import Anchor
from wire.observation import Outcome
from wire.policy import Role

NS = 1_000_000_000
T0 = WALL_AT_BOOT // NS
MINUTE = 60
Fate = Callable[[int], Outcome]
"""What became of a packet that was due in this second."""


def good(second: int) -> Outcome:
    return Outcome.OK


def lost(*spans: tuple[int, int]) -> Fate:
    """Lost within the spans, good outside."""

    def fate(second: int) -> Outcome:
        return Outcome.TIMEOUT if any(a <= second < b for a, b in spans) else Outcome.OK

    return fate


class Site(NamedTuple):
    """One link, its box, and what happens there."""

    name: str
    pop: str = "P1"
    hub: Fate = good
    anchor: Fate = good
    gateway: Fate = good
    off: tuple[tuple[int, int], ...] = ()
    """When the box has no power: it boots anew afterwards."""
    killed: tuple[tuple[int, int], ...] = ()
    """When the agent does not run, and the box does."""
    cpe_boots: tuple[int, ...] = (-1_000_000,)
    """When the CPE booted, as its readings each minute tell."""


def _boot_of(site: Site, second: int) -> int:
    """When the box that runs at `second` was powered on; power takes 30 s to become an agent."""
    return max([-100, *(end for _, end in site.off if end <= second)])


def _alive(site: Site, second: int) -> bool:
    boot = _boot_of(site, second)
    if boot > -100 and second < boot + 30:
        return False
    return not any(a <= second < b for a, b in (*site.off, *site.killed))


def _trains(site: Site, seconds: Sequence[int], boot: int) -> Iterable[Record]:
    for target, probe, fate in (
        ("hub", "stamp", site.hub),
        ("anchor", "icmp", site.anchor),
        ("gateway", "icmp", site.gateway),
    ):
        outcomes = [fate(second) for second in seconds]
        yield train(
            [20.0 if one is Outcome.OK else None for one in outcomes],
            outcomes=outcomes,
            link=site.name,
            target=target,
            probe=probe,
            first_seq=seconds[0] - boot,
            boot_s=seconds[0] - boot + 0.3,
        )


def _readings(site: Site, seconds: Sequence[int], boot: int) -> Iterable[Record]:
    for second in seconds:
        # A CPE that answers on the LAN is read once a minute.
        if second % MINUTE == 30 and site.gateway(second) is Outcome.OK:
            up_since = max((at for at in site.cpe_boots if at <= second), default=None)
            if up_since is not None:
                yield Reading(
                    link=site.name,
                    target="router",
                    boot_ns=(second - boot) * NS,
                    outcome=Outcome.OK,
                    sys_uptime_cs=(second - up_since) * 100,
                    oper_status=1,
                    last_change_cs=1000,
                    in_octets=(second + 2_000_000) * 50_000,
                    out_octets=(second + 2_000_000) * 50_000,
                    counter_bits=64,
                )


def _records(site: Site, seconds: Sequence[int], boot: int) -> list[Record]:
    """One batch's: the run of seconds, a heartbeat each ten, the newest anchor where reachable."""
    records: list[Record] = [*_trains(site, seconds, boot), *_readings(site, seconds, boot)]
    for second in seconds:
        if second % 10 == 5:
            told = None
            if site.hub(second) is Outcome.OK:
                told = Anchor((second - boot) * NS, (T0 + second) * NS, 5_000_000)
            records.append(heartbeat(second - boot, told))
    return records


def batches(site: Site, number: int, until_s: int) -> tuple[Box, list[Batch]]:
    """All batches of a site's box up to `until_s`, sealed at full minutes and at each ending."""
    box = Box(number, f"n-{site.name}")
    sealed: list[Batch] = []
    runs = itertools.groupby(
        range(until_s), key=lambda s: (_alive(site, s), _boot_of(site, s), _life(site, s))
    )
    first = True
    for (alive, boot, _), seconds in runs:
        if not alive:
            continue
        if not first:
            box.begin((f"{boot + 1000:016}").encode())
        elif boot:
            box.boot_id = f"{boot + 1000:016}".encode()
        first = False
        for _, minute in itertools.groupby(seconds, key=lambda s: s // MINUTE):
            records = _records(site, list(minute), boot)
            sealed.append(box.batch(records))
    return box, sealed


def _life(site: Site, second: int) -> int:
    """Which process of the agent runs."""
    return sum(end <= second for _, end in site.killed)


class District:
    """A ledger, its settler and its judge, over sites."""

    def __init__(self, file: Path, sites: Sequence[Site], until_s: int, **terms: object) -> None:
        self.sites, self.until_s = sites, until_s
        self.ledger = SqliteLedger(file, durable=False)
        self.inventory = Inventory(
            tuple(
                Node(id=f"n-{one.name}", name=one.name, kind=NodeKind.DESA, district="K")
                for one in sites
            ),
            tuple(_link(one) for one in sites),
        )
        rows: list[Contract] = [
            contract(link=one.name, pop=one.pop, reference=f"K-{one.name}", **terms)
            for one in sites
        ]
        self.contracts = Contracts(tuple(rows))
        promised = self.inventory, self.contracts
        self.derived, self.kept = DerivedStore(self.ledger), OutageStore(self.ledger)
        worlds = Worlds(self.ledger, lambda: promised)
        self.judge = Judge(self.ledger, self.derived, self.kept, worlds.now)
        self._role = roles(self.inventory, outside=False)
        self._nodes: dict[bytes, str] = {}
        self._settler = Settler(self.derived, self._speaker)
        self.batches: list[Batch] = []
        for number, site in enumerate(sites, 1):
            box, sealed = batches(site, number, until_s)
            self.ledger.add_token(box.token)
            self.ledger.enrol(box.token.token_id, box.agent)
            self._nodes[box.agent_id] = site.name
            self.batches += sealed

    def _speaker(self, agent_id: bytes) -> Speaker:
        return Speaker((self._nodes[agent_id],), self._role)

    def take(self, order: Iterable[Batch], at_s: int | None = None) -> None:
        """Store these batches and settle all that they touch."""
        received = (T0 + (self.until_s if at_s is None else at_s)) * NS
        scope = Scope([one.name for one in self.sites], [])
        self.ledger.store([read(batch, received, scope) for batch in order])
        while self._settler.step() or self._settler.busy():
            continue
        while self.judge.step(received // NS):
            continue

    def outages(self, link: str | None = None) -> list[Outage]:
        """As they are known now, by time and link."""
        return [
            one.outage
            for one in self.kept.all_newest(Lane.EVIDENCE, Span(0, 2**40))
            if not one.withdrawn and link in (None, one.outage.link)
        ]

    def told(self, link: str) -> list[tuple[int, int | None, str, str, str]]:
        """(begin, end, state, cause, charge) in seconds after T0."""
        return [
            (
                one.start.at_s - T0,
                None if one.end is None else one.end.at_s - T0,
                one.state.value,
                one.cause.value,
                one.charge.value,
            )
            for one in self.outages(link)
        ]

    def intervals(self, link: str) -> list[Interval]:
        return self.kept.intervals(link, Span(0, 2**40))

    def close(self) -> None:
        self.ledger.close()


def _link(site: Site) -> Link:
    targets = (
        LinkTarget(name="anchor", probe="icmp", role=Role.ANCHOR, address="192.0.2.9"),
        LinkTarget(name="gateway", probe="icmp", role=Role.GATEWAY, address="192.0.2.1"),
        LinkTarget(name="router", probe="snmp", role=Role.GATEWAY, address="192.0.2.1"),
    )
    return Link(
        id=site.name,
        node=f"n-{site.name}",
        provider="P",
        medium="fibre",
        pop=site.pop,
        targets=targets,
    )
