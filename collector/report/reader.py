"""Reads all that the audit of one link rests on: the ledger's part of it, whoever's ledger it is.

The collector's own, or the one that a bundle's batches were put into: nothing here asks what people
told (`Registered`), nor what was said of all links together.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

from collector.answers import EDGE_S, Answers, MonthAnswer, whole
from collector.audit.calendar import Month
from collector.audit.delays import BATCH_S, doubtful, sample
from collector.audit.evidence import Span
from collector.audit.histogram import Histogram
from collector.audit.intervals import Interval
from collector.audit.variation import Variation
from collector.contracts import Contracts, Limits
from collector.inventory import HUB_TARGET, Inventory, Link, Reach
from collector.ledger.derived import DerivedStore
from collector.ledger.derived_schema import HOUR_S
from collector.ledger.hours import Bunch, HourDelays, HourStore, summed, together, without
from collector.ledger.outages import Kept, Lane, OutageStore
from collector.ledger.sqlite import SqliteLedger
from collector.maintenance import Entry, covering, decide
from collector.report import summary
from collector.report.facts import LinkFacts, PeriodFacts, TargetDelays
from collector.restitution import Rule
from collector.settle.auditor import Gathering
from collector.settle.gather import loaded_of
from collector.tickets import Revision, Ticket

NO_TARGET = "none"
"""Stands for the target of a promise that nothing was measured for."""
AROUND_S = 60
"""Batches so near to an outage are its evidence."""


class Registered(NamedTuple):
    """What people told, read once for all links."""

    entries: Sequence[Entry]
    tickets: Mapping[str, Sequence[Ticket]]
    """By link, in the provider's newest words."""


def registered(entries: Sequence[Entry], tickets: Iterable[Revision]) -> Registered:
    """Of a register's entries, and of all revisions of its tickets in their order."""
    newest: dict[tuple[str, str, str], Ticket] = {}
    for one in tickets:
        newest[one.ticket[:3]] = one.ticket
    by_link: dict[str, list[Ticket]] = {}
    for ticket in newest.values():
        by_link.setdefault(ticket.link, []).append(ticket)
    return Registered(entries, by_link)


class LinkReader:
    """Asked from one thread at a time."""

    def __init__(
        self,
        ledger: SqliteLedger,
        derived: DerivedStore,
        kept: OutageStore,
        promised: Callable[[], tuple[Inventory, Contracts]],
    ) -> None:
        self._derived, self._kept, self._promised = derived, kept, promised
        self.hours = HourStore(ledger, derived)
        self.answers = Answers(kept, derived, promised)
        self.gathering = Gathering(ledger, derived, kept, promised)

    def facts(
        self, link: Link, month: Month, now_s: int, registered: Registered
    ) -> LinkFacts | None:
        """All but the verdicts; None where it had no contract in the month."""
        answers = list(self.answers.availability(str(month), now_s, [link.id]))
        if not answers:
            return None
        inventory, _ = self._promised()
        return LinkFacts(
            link=link,
            node=inventory.nodes[link.node],
            periods=[self._period(link, one, registered) for one in answers],
            verdicts=(),
            months=[
                list(self.answers.availability(str(one), now_s, [link.id]))
                for one in summary.before(month, summary.TREND - 1)
            ],
        )

    def _period(self, link: Link, answer: MonthAnswer, registered: Registered) -> PeriodFacts:
        inventory, _ = self._promised()
        span = answer.found.span
        full = Span(span.start_s, -(-span.end_s // HOUR_S) * HOUR_S)
        intervals = self._intervals(link.id, span)
        outages = self.outages(link.id, span)
        # Both ask for the same minute beside it.
        wide = Span(span.start_s - EDGE_S, full.end_s + max(EDGE_S, BATCH_S))
        loaded = loaded_of(self._derived, link.id, wide)
        delays, hub = self._delays(link, full, (intervals, loaded))
        delays += _unmeasured(answer.contract.limits, delays)
        palapa = answer.contract.restitution.rule is Rule.PALAPA
        others = inventory.links_of(link.node) if palapa else ()
        return PeriodFacts(
            answer=answer,
            intervals=intervals,
            beside=[self._intervals(one.id, span) for one in others if one.id != link.id],
            violations=self.answers.violations(answer, loaded),
            outages=outages,
            bunches={one.id: self._bunches(one) for one in outages},
            rulings=decide(answer.contract, covering(registered.entries, link, inventory)),
            delays=delays,
            hours=hub,
            trials=self.gathering.trials(link.id, span),
            tickets=touching(registered.tickets.get(link.id, []), span),
            used=self.hours.used(link.id, full),
        )

    def _intervals(self, link: str, span: Span) -> list[Interval]:
        return whole(self._kept.intervals(link, span), span)

    def outages(self, link: str, span: Span) -> list[Kept]:
        """Those by the evidence that touch the span and were not withdrawn."""
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
        self, link: Link, span: Span, seen: tuple[Sequence[Interval], Sequence[Span]]
    ) -> tuple[list[TargetDelays], list[HourDelays]]:
        """Of every target that a limit may be for, and the hours of the hub."""
        found: list[TargetDelays] = []
        hub: list[HourDelays] = []
        for name in (HUB_TARGET, *(target.name for target in link.targets)):
            reach = link.reach_of(name)
            if reach is None:
                continue
            hours = self.hours.delays(link.id, name, span)
            if name == HUB_TARGET:
                hub = hours
            if hours:
                found.append(self._target(link.id, name, reach, (hours, *seen)))
        return found, hub

    def _target(
        self,
        link: str,
        name: str,
        reach: Reach,
        seen: tuple[Sequence[HourDelays], Sequence[Interval], Sequence[Span]],
    ) -> TargetDelays:
        """The hours' sums without the batches that touch other time than available, or seconds
        that our tests loaded: only those are read, of a day with eight tests two dozen and not
        1,440."""
        hours, intervals, loaded = seen
        whole = Span(hours[0].start_s, hours[-1].start_s + HOUR_S)
        rows = self._derived.delays_within(link, name, doubtful(whole, intervals, loaded))
        found = sample(rows, intervals, loaded)
        try:
            speaks = without(together(hours), found.left_out)
        except ValueError:
            # A late batch came between the two looks.
            found = sample(self._derived.delays(link, name, whole), intervals, loaded)
            speaks = summed(whole.start_s, found.batches)
        return TargetDelays(
            name,
            reach,
            speaks.rtts,
            speaks.variation,
            speaks.batches,
            found.unavailable,
            found.loaded,
        )


def _unmeasured(limits: Limits, measured: Sequence[TargetDelays]) -> list[TargetDelays]:
    """Classes of targets for which something is promised and nothing was measured: nobody knows
    whether that was kept."""
    known = {one.reach for one in measured}
    return [
        TargetDelays(NO_TARGET, reach, Histogram({}), Variation({}, {}), 0, 0, 0)
        for reach in Reach
        if reach not in known and limits.of(reach).promises
    ]


def touching(tickets: Iterable[Ticket], span: Span) -> list[Ticket]:
    """The tickets that share a second with the span."""
    return [
        one
        for one in tickets
        if one.start_s < span.end_s and (one.end_s is None or one.end_s > span.start_s)
    ]
