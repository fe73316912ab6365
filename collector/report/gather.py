"""Reads all that the audit of a link rests on, and makes the audit of a month, link by link.

Reads the ledger only; what is not judged yet is unknown. Links are assembled one after another, so
that of a thousand only the finished parts are in memory.
"""

from collections.abc import Callable, Iterable, Sequence
from datetime import date
from typing import NamedTuple

from collector.answers import Answers, MonthAnswer, whole
from collector.audit.calendar import Month, Zone
from collector.audit.delays import BATCH_S, always_speaks, sample
from collector.audit.evidence import Span
from collector.audit.findings import METHOD
from collector.audit.histogram import Histogram, merge
from collector.audit.intervals import Interval
from collector.audit.variation import Variation, total, variation
from collector.contracts import Contracts, Limits
from collector.inventory import HUB_TARGET, Inventory, Link, Reach
from collector.ledger.derived import DerivedStore
from collector.ledger.derived_schema import HOUR_S
from collector.ledger.hours import Bunch, HourDelays, HourStore
from collector.ledger.outages import Kept, Lane, OutageStore
from collector.ledger.sqlite import SqliteLedger
from collector.ledger.verdicts import VerdictStore
from collector.maintenance import Entry, covering, decide
from collector.report import compare, summary, tiphon
from collector.report.assemble import link_part
from collector.report.facts import LinkFacts, PeriodFacts, TargetDelays
from collector.report.reconcile import reconcile, totals
from collector.report.record import FORMAT, Audit, LinkPart, Match, Scope
from collector.report.settings import TOLERANCE_S
from collector.restitution import Rule
from collector.settle.auditor import Gathering
from collector.settle.gather import loaded_of
from collector.tickets import Ticket
from collector.verdict_answers import Given, VerdictAnswers
from runtime.version import VERSION

NO_TARGET = "none"
"""Stands for the target of a promise that nothing was measured for."""
AROUND_S = 60
"""Batches so near to an outage are its evidence."""
Progress = Callable[[int, int], None]
"""Told how many of how many links are done."""


class Wanted(NamedTuple):
    """Which audit."""

    month: str
    scope: Scope = Scope()
    tolerance_s: int = TOLERANCE_S


def silent(done: int, of: int) -> None:
    """Nobody wants to know."""


class _Registered(NamedTuple):
    """What people told, read once for all links."""

    entries: Sequence[Entry]
    tickets: dict[str, list[Ticket]]


class AuditMaker:
    """Asked from one thread at a time."""

    def __init__(
        self,
        ledger: SqliteLedger,
        derived: DerivedStore,
        kept: OutageStore,
        promised: Callable[[], tuple[Inventory, Contracts]],
    ) -> None:
        self._ledger, self._derived, self._kept = ledger, derived, kept
        self._promised = promised
        self.hours = HourStore(ledger, derived)
        self._answers = Answers(kept, derived, promised)
        self._gathering = Gathering(ledger, derived, kept, promised)
        self._verdicts = VerdictAnswers(VerdictStore(ledger), self._gathering)

    # --- which links ----------------------------------------------------------------------

    def links(self, scope: Scope) -> list[Link]:
        """The links of a scope, in the inventory's order. Raises ValueError where there is none."""
        inventory, _ = self._promised()
        links = list(inventory.links.values())
        if scope.kind == "all":
            return links
        told: dict[str, Callable[[Link], str]] = {
            "link": lambda one: one.id,
            "provider": lambda one: one.provider,
            "node": lambda one: one.node,
            "district": lambda one: inventory.nodes[one.node].district,
        }
        of = told[scope.kind]
        found = [one for one in links if of(one) == scope.value]
        if not found:
            known = ", ".join(sorted({of(one) for one in links})) or "none"
            raise ValueError(f"--{scope.kind}: no {scope.kind} {scope.value!r}; known: {known}")
        return found

    def zone(self, links: Iterable[Link]) -> Zone:
        """In which the month of these links is counted: the first contract's."""
        for link in links:
            rows = self._promised()[1].of(link.id)
            if rows:
                return rows[0].zone
        return Zone.WIB

    # --- the audit ------------------------------------------------------------------------

    def audit(self, wanted: Wanted, now_s: int, progress: Progress = silent) -> Audit:
        """The audit of a month. Raises ValueError for a month of another form, or one that has
        not begun, and for a scope without links."""
        links = self.links(wanted.scope)
        month = Month.parse(wanted.month, self.zone(links))
        if month.span.start_s >= now_s:
            raise ValueError(f"month {month} has not begun")
        registered = self._registered()
        verdicts = self._verdicts_of(month)
        parts: list[LinkPart] = []
        earlier: list[Sequence[Sequence[MonthAnswer]]] = []
        bare: list[str] = []
        for done, link in enumerate(links):
            progress(done, len(links))
            facts = self._link(link, month, now_s, registered)
            if facts is None:
                bare.append(link.id)
                continue
            facts = facts._replace(verdicts=verdicts.get(link.id, ()))
            parts.append(link_part(facts, wanted.tolerance_s))
            earlier.append(facts.months)
        progress(len(links), len(links))
        return Audit(
            format=FORMAT,
            software=VERSION,
            methods={"dedicated": METHOD, "tiphon": tiphon.RULES},
            month=str(month),
            zone=month.zone.value,
            start_s=month.span.start_s,
            end_s=month.span.end_s,
            scope=wanted.scope,
            complete=all(period.complete for part in parts for period in part.periods),
            summary=summary.summary(parts, summary.trend(month, earlier, parts)),
            providers=compare.providers(parts),
            equal_conditions=compare.equal_conditions(parts),
            tickets=totals(
                (period.tickets for part in parts for period in part.periods), wanted.tolerance_s
            ),
            without_contract=tuple(bare),
            links=tuple(parts),
        )

    def cases(self, wanted: Wanted, now_s: int) -> list[tuple[Link, tuple[Match, ...]]]:
        """The tickets' part of the audit alone. Raises ValueError as `audit` does."""
        links = self.links(wanted.scope)
        month = Month.parse(wanted.month, self.zone(links))
        if month.span.start_s >= now_s:
            raise ValueError(f"month {month} has not begun")
        tickets = self._registered().tickets
        found = []
        for link in links:
            for one in self._answers.availability(str(month), now_s, [link.id]):
                span = one.found.span
                mine = _touching(tickets.get(link.id, []), span)
                outages = self._outages(link.id, span)
                found.append((link, reconcile(outages, mine, span.end_s, wanted.tolerance_s)))
        return found

    def _registered(self) -> _Registered:
        newest: dict[tuple[str, str, str], Ticket] = {}
        for one in self._ledger.registers.tickets():
            newest[one.ticket[:3]] = one.ticket
        by_link: dict[str, list[Ticket]] = {}
        for ticket in newest.values():
            by_link.setdefault(ticket.link, []).append(ticket)
        return _Registered(self._ledger.registers.maintenance(), by_link)

    def _verdicts_of(self, month: Month) -> dict[str, list[Given]]:
        after = date(month.next.year, month.next.number, 1)
        found: dict[str, list[Given]] = {}
        if self._verdicts.until(after.isoformat()) is None:
            return found
        for one in self._verdicts.verdicts(after.isoformat()):
            found.setdefault(one.kept.verdict.link, []).append(one)
        return found

    # --- one link -------------------------------------------------------------------------

    def _link(
        self, link: Link, month: Month, now_s: int, registered: _Registered
    ) -> LinkFacts | None:
        """None where it had no contract in the month."""
        answers = list(self._answers.availability(str(month), now_s, [link.id]))
        if not answers:
            return None
        inventory, _ = self._promised()
        return LinkFacts(
            link=link,
            node=inventory.nodes[link.node],
            periods=[self._period(link, one, registered) for one in answers],
            verdicts=(),
            months=[
                list(self._answers.availability(str(one), now_s, [link.id]))
                for one in summary.before(month, summary.TREND - 1)
            ],
        )

    def _period(self, link: Link, answer: MonthAnswer, registered: _Registered) -> PeriodFacts:
        inventory, _ = self._promised()
        span = answer.found.span
        full = Span(span.start_s, -(-span.end_s // HOUR_S) * HOUR_S)
        intervals = self._intervals(link.id, span)
        outages = self._outages(link.id, span)
        delays, hub = self._delays(link, full, intervals)
        delays += _unmeasured(answer.contract.limits, delays)
        palapa = answer.contract.restitution.rule is Rule.PALAPA
        others = inventory.links_of(link.node) if palapa else ()
        return PeriodFacts(
            answer=answer,
            intervals=intervals,
            beside=[self._intervals(one.id, span) for one in others if one.id != link.id],
            violations=self._answers.violations(answer),
            outages=outages,
            bunches={one.id: self._bunches(one) for one in outages},
            rulings=decide(answer.contract, covering(registered.entries, link, inventory)),
            delays=delays,
            hours=hub,
            trials=self._gathering.trials(link.id, span),
            tickets=_touching(registered.tickets.get(link.id, []), span),
            used=self.hours.used(link.id, full),
        )

    def _intervals(self, link: str, span: Span) -> list[Interval]:
        return whole(self._kept.intervals(link, span), span)

    def _outages(self, link: str, span: Span) -> list[Kept]:
        return [
            one
            for one in self._kept.newest(Lane.EVIDENCE, link, span)
            if not one.withdrawn and (one.outage.end is None or one.outage.end.at_s > span.start_s)
        ]

    def _bunches(self, kept: Kept) -> list[Bunch]:
        start_s = kept.outage.start.at_s - AROUND_S
        end = kept.outage.end
        end_s = kept.outage.start.at_s if end is None else end.at_s
        return self.hours.bunches(kept.outage.link, Span(start_s, end_s + AROUND_S))

    def _delays(
        self, link: Link, span: Span, intervals: Sequence[Interval]
    ) -> tuple[list[TargetDelays], list[HourDelays]]:
        """Of every target that a limit may be for, and the hours of the hub."""
        found: list[TargetDelays] = []
        hub: list[HourDelays] = []
        loaded = loaded_of(self._derived, link.id, Span(span.start_s, span.end_s + BATCH_S))
        for name in (HUB_TARGET, *(target.name for target in link.targets)):
            reach = link.reach_of(name)
            if reach is None:
                continue
            hours = self.hours.delays(link.id, name, span)
            if name == HUB_TARGET:
                hub = hours
            if hours:
                found.append(self._target(link.id, name, reach, (hours, intervals, loaded)))
        return found, hub

    def _target(
        self,
        link: str,
        name: str,
        reach: Reach,
        seen: tuple[Sequence[HourDelays], Sequence[Interval], Sequence[Span]],
    ) -> TargetDelays:
        """An hour in which the link was always up, and not loaded by our tests, counts as a whole;
        of others, batch by batch."""
        rtts, spreads, batches, left, masked = [], [], 0, 0, 0
        hours, intervals, loaded = seen
        at = 0
        for hour in hours:
            span = Span(hour.start_s, hour.start_s + HOUR_S)
            while at < len(intervals) and intervals[at].end_s <= span.start_s:
                at += 1
            near = _from(intervals, at, span.end_s + 2 * AROUND_S)
            tests = [one for one in loaded if one.start_s < span.end_s + BATCH_S]
            tests = [one for one in tests if one.end_s > span.start_s]
            if always_speaks(span, near, tests):
                rtts.append(hour.rtts)
                spreads.append(hour.variation)
                batches += hour.batches
                continue
            found = sample(self._derived.delays(link, name, span), near, tests)
            rtts += found.batches
            spreads += [variation(one) for one in found.batches]
            batches += len(found.batches)
            left += found.unavailable
            masked += found.loaded
        return TargetDelays(name, reach, merge(rtts), total(spreads), batches, left, masked)


def _unmeasured(limits: Limits, measured: Sequence[TargetDelays]) -> list[TargetDelays]:
    """Classes of targets for which something is promised and nothing was measured: nobody knows
    whether that was kept."""
    known = {one.reach for one in measured}
    return [
        TargetDelays(NO_TARGET, reach, Histogram({}), Variation({}, {}), 0, 0, 0)
        for reach in Reach
        if reach not in known and limits.of(reach).promises
    ]


def _from(intervals: Sequence[Interval], at: int, until_s: int) -> list[Interval]:
    found = []
    for one in intervals[at:]:
        if one.start_s >= until_s:
            break
        found.append(one)
    return found


def _touching(tickets: Iterable[Ticket], span: Span) -> list[Ticket]:
    return [
        one
        for one in tickets
        if one.start_s < span.end_s and (one.end_s is None or one.end_s > span.start_s)
    ]
