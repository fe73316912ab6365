"""What the audit answers when it is asked: outages, and a month's availability by contract.

Everything comes from what was judged and kept; nothing is judged here. What was not judged yet,
because its evidence is not here, is unknown.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from collector.audit import availability as arithmetic
from collector.audit.availability import Availability, Budget, Deciding, Tally
from collector.audit.calendar import Month, Zone
from collector.audit.evidence import Span
from collector.audit.intervals import Interval
from collector.audit.outages import Flapping, flapping
from collector.audit.states import Cause, Charge, State
from collector.contracts import Contract, Contracts, Period
from collector.inventory import Inventory
from collector.ledger.outages import Kept, Lane, OutageStore

DAY_S = 86_400
FOR_EVER = Span(-(2**40), 2**40)


class MonthAnswer(NamedTuple):
    """One link under one contract in one calendar month."""

    link: str
    month: Month
    contract: Contract
    period: Span
    """The month, or the part of it under this contract."""
    found: Availability
    """Of the period so far: what is not judged yet is unknown."""
    deciding: Deciding
    budget: Budget
    """Of the whole period, what lies ahead included."""
    flapping: tuple[Flapping, ...]
    judged_until_s: int | None
    """The evidence is judged until here; None where there is none."""
    complete: bool
    """The period is over and judged to its end."""


class Answers:
    """Asked from one thread at a time."""

    def __init__(
        self, store: OutageStore, promised: Callable[[], tuple[Inventory, Contracts]]
    ) -> None:
        self._store, self._promised = store, promised

    def links(self) -> list[str]:
        """All links of the inventory."""
        return list(self._promised()[0].links)

    def zone(self, link: str | None) -> Zone:
        """The zone in which a link's months are counted; of all links, the first contract's."""
        _, contracts = self._promised()
        rows = contracts.rows if link is None else contracts.of(link)
        return rows[0].zone if rows else Zone.WIB

    def outages(
        self, link: str | None = None, span: Span = FOR_EVER, cause: Cause | None = None
    ) -> list[Kept]:
        """The newest revisions of the outages that touch the span, by their beginning.

        By the evidence; of what is not judged yet, by what the hub heard. What was withdrawn is no
        outage.
        """
        found: list[Kept] = []
        for lane in Lane:
            newest = (
                self._store.all_newest(lane, span)
                if link is None
                else self._store.newest(lane, link, span)
            )
            found += [
                one
                for one in newest
                if not one.withdrawn
                and cause in (None, one.outage.cause)
                and (lane is Lane.EVIDENCE or self._ahead(one))
            ]
        return sorted(found, key=lambda one: (one.outage.start.at_s, one.outage.link, one.id))

    def _ahead(self, one: Kept) -> bool:
        """Whether a provisional outage reaches beyond what is judged."""
        judged_s, end = self._store.judged_until(one.outage.link), one.outage.end
        return judged_s is None or end is None or end.at_s > judged_s

    def availability(
        self, month: str | None, now_s: int, links: Iterable[str] | None = None
    ) -> Iterator[MonthAnswer]:
        """Every link's periods in a month such as 2026-11, by default the running one.

        Raises ValueError for another form. Links without a contract then are left out.
        """
        inventory, contracts = self._promised()
        for link in inventory.links if links is None else links:
            zone = self.zone(link)
            wanted = Month.of(now_s, zone) if month is None else Month.parse(month, zone)
            for period in contracts.periods(link, wanted.year, wanted.number):
                if period.span.start_s < now_s:
                    yield self._month(link, wanted, period, now_s)

    def _month(self, link: str, month: Month, period: Period, now_s: int) -> MonthAnswer:
        start_s = period.span.start_s
        so_far = Span(start_s, min(period.span.end_s, now_s))
        kept = self._store.intervals(link, Span(start_s - DAY_S, so_far.end_s + DAY_S))
        tally = Tally.of(_whole(kept, so_far), so_far)
        terms = period.contract.terms()
        found = arithmetic.availability(tally, terms)
        judged_s = self._store.judged_until(link)
        counted = [
            one.outage.start.at_s
            for one in self._store.newest(Lane.EVIDENCE, link, so_far)
            if one.outage.state is State.DOWN and not one.withdrawn
        ]
        return MonthAnswer(
            link=link,
            month=month,
            contract=period.contract,
            period=period.span,
            found=found,
            deciding=arithmetic.deciding(found),
            budget=arithmetic.availability(tally, terms, period.span).budget,
            flapping=flapping(counted),
            judged_until_s=judged_s,
            complete=judged_s is not None and judged_s >= period.span.end_s,
        )


def _unknown(start_s: int, end_s: int) -> Interval:
    return Interval(start_s, end_s, State.UNKNOWN, Cause.UNDETERMINED, Charge.UNKNOWN)


def _whole(kept: list[Interval], span: Span) -> list[Interval]:
    """The intervals, with what is not judged filled in as unknown."""
    whole: list[Interval] = []
    at = min([span.start_s, *(one.start_s for one in kept)])
    for one in kept:
        if one.start_s > at:
            whole.append(_unknown(at, one.start_s))
        whole.append(one)
        at = one.end_s
    if at < span.end_s:
        whole.append(_unknown(at, span.end_s))
    return whole
