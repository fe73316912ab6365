"""What the collector shows: evidence counted, live state judged, one row per link.

Views only: nothing here is ever an input to a verdict.
"""

import logging
from collections.abc import Callable, Collection, Iterable, Iterator
from functools import partial
from typing import NamedTuple, TypeVar

from collector import load_series, together
from collector import metrics as m
from collector.audit.intervals import Outage
from collector.counters import Counters
from collector.details import DetailSeries
from collector.fleet import Fleet
from collector.instrument import InstrumentSeries
from collector.inventory import HUB_TARGET, Link, Node
from collector.ledger import Agent, Entry, Head, PlacedBy, Stored
from collector.live import AgentNow, Known, LinkState, Live, Reason
from collector.reading import Scope
from collector.sessions import SessionTable, SessionView
from collector.standing import OUTAGE_START, StandingSeries
from collector.together import Look
from collector.verdict_series import VerdictSeries
from runtime.clock import ClockQuality
from wire.instant import ClockClass
from wire.message import Status, TargetStatus

log = logging.getLogger(__name__)
NS = 1_000_000_000
One = TypeVar("One")


class LinkRow(NamedTuple):
    """One link as it is known now."""

    link: Link
    node: Node
    known: Known
    view: SessionView | None
    reported: TargetStatus | None
    agent: Agent | None
    head: Head | None
    heard_ago_s: float | None


class Board:
    """Joins fleet, live state and evidence; also keeps the books of the ingest."""

    def __init__(
        self,
        fleet: Fleet,
        live: Live,
        table: SessionTable,
        counters: Counters,
        hub_clock: Callable[[], ClockQuality],
    ) -> None:
        self.fleet, self.live, self._table, self._counters = fleet, live, table, counters
        self._hub_clock = hub_clock
        self.details = DetailSeries()
        self.instrument = InstrumentSeries()
        self.evidence = m.EvidenceSeries()
        self.standing = StandingSeries()
        self.verdicts = VerdictSeries()
        self.lasting: dict[str, Outage] = {}
        """The provisional outages that last now, by link."""
        self.announced: frozenset[str] = frozenset()
        """Links that may be down with notice now."""
        self.heads: dict[bytes, Head] = {}
        self._warned: set[bytes] = set()

    def scope(self, agent: Agent) -> Scope:
        """Links that this agent may speak of."""
        return self.fleet.scope(agent)

    def taken(self, agent: Agent, entry: Entry, stored: Stored) -> None:
        """Count a batch that has become durable, if it is new."""
        if not stored.new:
            self._counters.duplicates.inc()
            return
        self._counters.observations.inc(entry.batch.header.observations)
        if stored.placement is not None and stored.placement.placed_by is PlacedBy.RECEIVED:
            self._untrusted(agent)
        for one in entry.targets:
            self.evidence.count(one, stored)
        offset_ns = 0 if stored.placement is None else stored.placement.offset_ns
        self.instrument.take(agent, entry, offset_ns, self._hub_clock().error_ns)
        for detail in entry.details:
            self.details.take(detail, offset_ns)
        for gap in entry.gaps:
            if gap.link is not None and gap.target is not None and gap.count is not None:
                self.evidence.gap((gap.link, gap.target), gap.count)

    def _untrusted(self, agent: Agent) -> None:
        """Said once per agent: such a box, with no battery for its clock, does it at every boot."""
        self._counters.untrusted.inc()
        if agent.agent_id not in self._warned:
            self._warned.add(agent.agent_id)
            log.warning(
                "agent %s of node %s has no clock that can be believed: its evidence is"
                " kept and placed by the hub's clock",
                agent.agent_id.hex(),
                agent.node,
            )

    def rows(self, now_boot_ns: int) -> Iterator[LinkRow]:
        """Every link, in the inventory's order."""
        for link in self.fleet.inventory.links.values():
            yield self.row(link, now_boot_ns)

    def row(self, link: Link, now_boot_ns: int) -> LinkRow:
        """One link as it is known now."""
        ssid = self.fleet.ssids[link.id]
        view = self._table.view(ssid)
        reported = self.live.reported(link.id, HUB_TARGET, now_boot_ns)
        agent = self.fleet.owners.get(link.node)
        heard = None if view is None else (now_boot_ns - view.last_heard_boot_ns) / NS
        return LinkRow(
            link,
            self.fleet.inventory.nodes[link.node],
            self.live.state(
                link, view, partial(self._table.recent, ssid, now_boot_ns), now_boot_ns
            ),
            view,
            reported,
            agent,
            None if agent is None else self.heads.get(agent.agent_id),
            heard,
        )

    def page(
        self, now_boot_ns: int, now_wall_ns: int, roads: Collection[m.Road] = m.ALL_ROADS
    ) -> str:
        """Link and agent series of these roads in the Prometheus text format."""
        rows = list(self.rows(now_boot_ns))
        parts: list[Iterable[tuple[m.Family, Iterable[str]]]] = []
        if m.Road.EVIDENCE in roads:
            parts += [
                self.evidence.pages(now_wall_ns),
                _rendered(rows, _head_samples, m.FROM_HEADS),
                self.details.pages(now_wall_ns),
                self.instrument.pages(),
                self.standing.pages(),
                self.verdicts.pages(),
            ]
        if m.Road.LIVE in roads:
            parts += [
                _rendered(rows, _link_samples, m.FROM_LINKS),
                _rendered(self.fleet.inventory.nodes.values(), _node_samples, m.FROM_NODES),
                _rendered(self.live.agents(), _agent_samples, m.FROM_AGENTS),
                [(OUTAGE_START, self._lasting())],
                together.pages(self._looks(rows)),
                load_series.pages(self.live.agents(), self.fleet.inventory),
            ]
        return "".join(m.page(part) for part in parts)

    def _looks(self, rows: Iterable[LinkRow]) -> list[Look]:
        """Every link that was heard since the collector started, or is in an outage it knows of;
        without those that are being worked on, as announced."""
        looks = []
        for row in rows:
            if row.link.id in self.announced:
                continue
            outage = self.lasting.get(row.link.id)
            if row.view is not None or outage is not None:
                since_s = None if outage is None else outage.start.at_s
                looks.append(Look(row.link.pop, row.link.provider, since_s))
        return looks

    def _lasting(self) -> Iterator[str]:
        for link in self.fleet.inventory.links.values():
            outage = self.lasting.get(link.id)
            if outage is not None:
                label = m.labels(link=link.id, node=link.node, state=outage.state)
                yield m.sample(OUTAGE_START, label, outage.start.at_s)


def _rendered(
    ones: Iterable[One],
    samples: Callable[[One], Iterable[tuple[m.Family, str]]],
    families: Iterable[m.Family],
) -> Iterable[tuple[m.Family, Iterable[str]]]:
    """The samples of all of these, by family."""
    rendered: dict[m.Family, list[str]] = {family: [] for family in families}
    for one in ones:
        for family, line in samples(one):
            rendered[family].append(line)
    return rendered.items()


def _info(row: LinkRow) -> str:
    link, node = row.link, row.node
    return m.labels(
        link=link.id,
        node=link.node,
        node_name=node.name,
        kind=node.kind,
        district=node.district,
        provider=link.provider,
        medium=link.medium,
        pop=link.pop,
        circuit=link.circuit or "",
    )


def _link_samples(row: LinkRow) -> Iterable[tuple[m.Family, str]]:
    link = row.link
    label = m.labels(link=link.id, node=link.node)
    yield m.INFO, m.sample(m.INFO, _info(row), 1)
    open_label = label[:-1]
    for state in LinkState:
        yield (
            m.STATE,
            f'{m.STATE.name}{open_label},state="{state}"}} {int(row.known.state is state)}\n',
        )
    for reason in Reason:
        held = int(row.known.reason is reason)
        yield m.REASON, f'{m.REASON.name}{open_label},reason="{reason}"}} {held}\n'
    if row.heard_ago_s is not None:
        yield m.HEARD_AGE, m.sample(m.HEARD_AGE, label, row.heard_ago_s)
    heard = expected = 0
    if row.view is not None:
        heard = row.view.packets_received - row.view.duplicates
        # Both only rise; the loss itself falls again when a late packet turns up.
        expected = heard + row.view.forward_lost
    yield m.HUB_EXPECTED, m.sample(m.HUB_EXPECTED, label, expected)
    yield m.HUB_HEARD, m.sample(m.HUB_HEARD, label, heard)
    yield from _reported_samples(row.reported, label)


def _head_samples(row: LinkRow) -> Iterable[tuple[m.Family, str]]:
    label = m.labels(link=row.link.id, node=row.link.node)
    if row.head is not None:
        yield m.MISSING, m.sample(m.MISSING, label, row.head.missing)
        if row.head.settled_wall_ns is not None:
            yield m.SETTLED, m.sample(m.SETTLED, label, row.head.settled_wall_ns / NS)


def _reported_samples(reported: TargetStatus | None, label: str) -> Iterable[tuple[m.Family, str]]:
    if reported is None:
        return
    if reported.rtt_median_ns is not None:
        yield m.LIVE_RTT, m.sample(m.LIVE_RTT, label, reported.rtt_median_ns / NS)
    if reported.sent:
        yield m.LIVE_LOSS, m.sample(m.LIVE_LOSS, label, reported.lost / reported.sent)


def _node_samples(node: Node) -> Iterable[tuple[m.Family, str]]:
    label = m.labels(node=node.id)
    for family, degrees in ((m.LATITUDE, node.latitude), (m.LONGITUDE, node.longitude)):
        if degrees is not None:
            yield family, m.sample(family, label, degrees)


def _spool_age_s(status: Status) -> float | None:
    """None where something waits since an earlier boot, of whose clock nothing is known here."""
    spool = status.spool
    if spool.batches_waiting == 0:
        return 0.0
    if spool.oldest_boot_ns is None:
        return None
    return max(0, status.boot_ns - spool.oldest_boot_ns) / NS


def _agent_samples(now: AgentNow) -> Iterable[tuple[m.Family, str]]:
    status, spool = now.status, now.status.spool
    agent_id = now.agent.agent_id.hex()
    label = m.labels(node=now.agent.node, agent=agent_id)
    info = m.labels(node=now.agent.node, agent=agent_id, version=status.agent_version)
    yield m.AGENT_INFO, m.sample(m.AGENT_INFO, info, 1)
    yield m.AGENT_STATUS, m.sample(m.AGENT_STATUS, label, now.received_wall_ns / NS)
    for clock in ClockClass:
        held = int(status.clock is clock)
        yield m.AGENT_CLOCK, f'{m.AGENT_CLOCK.name}{label[:-1]},class="{clock}"}} {held}\n'
    offset = (status.wall_ns - now.received_wall_ns) / NS
    yield m.AGENT_OFFSET, m.sample(m.AGENT_OFFSET, label, offset)
    yield m.AGENT_WAITING, m.sample(m.AGENT_WAITING, label, spool.batches_waiting)
    yield m.AGENT_SPOOL, m.sample(m.AGENT_SPOOL, label, spool.bytes_used)
    yield m.AGENT_CAP, m.sample(m.AGENT_CAP, label, spool.bytes_cap)
    age_s = _spool_age_s(status)
    if age_s is not None:
        yield m.AGENT_SPOOL_AGE, m.sample(m.AGENT_SPOOL_AGE, label, age_s)
    yield m.AGENT_REFUSED, m.sample(m.AGENT_REFUSED, label, spool.refused)
    yield m.AGENT_DROPPED, m.sample(m.AGENT_DROPPED, label, spool.dropped_observations)
