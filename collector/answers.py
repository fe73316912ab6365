"""What the audit answers when it is asked: outages, and a month's availability by contract.

Everything comes from what was judged and kept; nothing is judged here. What was not judged yet,
because its evidence is not here, is unknown.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from fractions import Fraction
from typing import NamedTuple

from collector.audit import availability as arithmetic
from collector.audit.availability import Availability, Budget, Deciding, Kind, Tally
from collector.audit.calendar import Month, Zone
from collector.audit.delays import DelayClause, LossClause, loss, sample
from collector.audit.evidence import Span
from collector.audit.histogram import Histogram
from collector.audit.intervals import Interval
from collector.audit.outages import Flapping, flapping
from collector.audit.provisional import settles
from collector.audit.states import Cause, Charge, State
from collector.audit.timeline import showing
from collector.audit.variation import total, variation
from collector.audit.violations import Violations, violations
from collector.contracts import Contract, Contracts, Period
from collector.inventory import HUB_TARGET, Inventory, Reach
from collector.ledger.derived import DerivedStore
from collector.ledger.outages import SETTLED_AFTER_S, Kept, Lane, OutageStore
from collector.settle.gather import loaded_of, strip_of

DAY_S = 86_400
EDGE_S = 60
"""Seconds beyond a period that decide what begins at its edge."""
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
    seconds: Mapping[Kind, int]
    """Of the same time, by state, cause and charge; they add up to it."""
    deciding: Deciding
    budget: Budget
    """Of the whole period, what lies ahead included."""
    flapping: tuple[Flapping, ...]
    judged_until_s: int | None
    """The evidence is judged until here; None where there is none."""
    complete: bool
    """The period is over and judged to its end."""


class TargetAnswer(NamedTuple):
    """One target of a link in one month."""

    target: str
    reach: Reach
    histogram: Histogram
    """Of available time that our own tests did not load."""
    left_out: int
    """Batches, minutes as a rule, that touch time that was not available."""
    masked: int
    """Batches that touch loaded seconds."""
    loaded_s: int
    """Seconds of the month that our own throughput tests loaded."""
    rtt: DelayClause
    pdv: DelayClause
    """Variation of the round trips that came back, over the least of their batch."""
    loss: LossClause


class History(NamedTuple):
    """One outage, as it was spoken of."""

    revisions: list[Kept]
    settled_by: tuple[int, ...] | None
    """Of a provisional one: the outages that took its place, none if there was none; None until
    the evidence is there, and for an outage that is known by the evidence."""


class Common(NamedTuple):
    """One event and the outages of the links that had it in common."""

    event: str
    outages: tuple[Kept, ...]


class Answers:
    """Asked from one thread at a time."""

    def __init__(
        self,
        store: OutageStore,
        derived: DerivedStore,
        promised: Callable[[], tuple[Inventory, Contracts]],
    ) -> None:
        self._store, self._derived, self._promised = store, derived, promised

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
        settled = self._newest(Lane.EVIDENCE, link, span)
        told: dict[str, list[Kept]] = defaultdict(list)
        for one in settled:
            told[one.outage.link].append(one)
        found = [
            one
            for one in (*settled, *self._newest(Lane.LIVE, link, span))
            if cause in (None, one.outage.cause)
            and (one.lane is Lane.EVIDENCE or self._ahead(one, told[one.outage.link]))
        ]
        return sorted(found, key=lambda one: (one.outage.start.at_s, one.outage.link, one.id))

    def _newest(self, lane: Lane, link: str | None, span: Span) -> list[Kept]:
        newest = (
            self._store.all_newest(lane, span)
            if link is None
            else self._store.newest(lane, link, span)
        )
        return [one for one in newest if not one.withdrawn]

    def latest(self, since_s: int) -> dict[str, Kept]:
        """By link, of what `outages` tells the one that began last, at `since_s` or later."""
        found = {one.outage.link: one for one in self._store.latest(Lane.EVIDENCE, since_s)}
        for one in self._store.latest(Lane.LIVE, since_s):
            settled = found.get(one.outage.link)
            later = settled is None or one.outage.start.at_s > settled.outage.start.at_s
            if later and self._ahead(one, [] if settled is None else [settled]):
                found[one.outage.link] = one
        return found

    def _ahead(self, one: Kept, told: Iterable[Kept]) -> bool:
        """Whether a provisional outage is of what the evidence does not tell yet: not of what is
        `told`, and not judged so long ago that it would have been."""
        judged_s, start_s, end = (
            self._store.judged_until(one.outage.link),
            one.outage.start.at_s,
            one.outage.end,
        )
        if judged_s is None or end is None:
            return True
        if end.at_s + SETTLED_AFTER_S <= judged_s:
            return False
        return not any(
            other.outage.start.at_s <= end.at_s
            and (other.outage.end is None or other.outage.end.at_s >= start_s)
            for other in told
        )

    def history(self, outage_id: int) -> History:
        """All that was said of one outage. Raises KeyError for one that there is not."""
        revisions = self._store.history(outage_id)
        if not revisions:
            raise KeyError(outage_id)
        newest = revisions[-1]
        if newest.lane is Lane.EVIDENCE:
            return History(revisions, None)
        link, end = newest.outage.link, newest.outage.end
        near = Span(newest.outage.start.at_s, FOR_EVER.end_s if end is None else end.at_s)
        judged_s = self._store.judged_until(link)
        found = settles(
            [newest],
            self._store.newest(Lane.EVIDENCE, link, near),
            # It is told so long after it was judged.
            {} if judged_s is None else {link: judged_s - SETTLED_AFTER_S},
        )
        return History(revisions, found[0].settled if found else None)

    def intervals(self, link: str, span: Span) -> list[Interval]:
        """What was judged of the span, in order; what was not is unknown."""
        return whole(self._store.intervals(link, span), span)

    def events(self, span: Span = FOR_EVER) -> list[Common]:
        """What several links had in common, by its beginning."""
        members: dict[str, list[Kept]] = {}
        for one in self._store.all_newest(Lane.EVIDENCE, span):
            if one.outage.event is not None and not one.withdrawn:
                members.setdefault(one.outage.event, []).append(one)
        return [Common(event, tuple(outages)) for event, outages in members.items()]

    def violations(self, answer: MonthAnswer, loaded: tuple[Span, ...] | None = None) -> Violations:
        """Loss beside the outages, second by second: the strips of the period are read. `loaded`
        are the seconds that our tests loaded, from EDGE_S before it to EDGE_S after it at least,
        where they are known."""
        link, span, terms = answer.link, answer.found.span, answer.contract.terms()
        wide = Span(span.start_s - EDGE_S, span.end_s + EDGE_S)
        strip = strip_of(self._derived, link, *wide)
        seen = showing(strip, self._derived.hub_off(*wide))
        intervals = whole(self._store.intervals(link, wide), wide)
        if loaded is None:
            loaded = loaded_of(self._derived, link, wide)
        return violations(seen, intervals, span, terms, loaded)

    def delays(self, answer: MonthAnswer) -> list[TargetAnswer]:
        """Round-trip time and loss to every target that is asked by echoes, against the limits."""
        inventory, _ = self._promised()
        link, span = inventory.links[answer.link], answer.found.span
        intervals = self._store.intervals(link.id, span)
        loaded = loaded_of(self._derived, link.id, Span(span.start_s, span.end_s + EDGE_S))
        told = []
        names = [HUB_TARGET, *(target.name for target in link.targets)]
        for name in names:
            batches = self._derived.delays(link.id, name, span)
            reach = link.reach_of(name)
            if not batches or reach is None:
                continue
            kept = sample(batches, intervals, loaded)
            histogram = kept.whole
            limit = answer.contract.limits.of(reach)
            share, pdv_share = limit.rtt_percentile / 100, limit.pdv_percentile / 100
            spread = total(variation(one) for one in kept.batches)
            told.append(
                TargetAnswer(
                    target=name,
                    reach=reach,
                    histogram=histogram,
                    left_out=kept.unavailable,
                    masked=kept.loaded,
                    loaded_s=sum(one.overlap_s(span) for one in loaded),
                    rtt=DelayClause(share, histogram.percentile(share), limit.rtt_s),
                    pdv=DelayClause(pdv_share, spread.percentile(pdv_share), limit.pdv_s),
                    loss=LossClause(
                        loss(histogram),
                        None if limit.loss_ratio is None else Fraction(str(limit.loss_ratio)),
                    ),
                )
            )
        return told

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

    def parts(self, link: str, span: Span, now_s: int) -> Iterator[MonthAnswer]:
        """The link's periods within the span: the span by month and contract."""
        _, contracts = self._promised()
        for month in _months(span, self.zone(link)):
            for period in contracts.periods(link, month.year, month.number):
                cut = Span(
                    max(span.start_s, period.span.start_s), min(span.end_s, period.span.end_s)
                )
                if cut.start_s < min(cut.end_s, now_s):
                    yield self._month(link, month, period._replace(span=cut), now_s)

    def _month(self, link: str, month: Month, period: Period, now_s: int) -> MonthAnswer:
        start_s = period.span.start_s
        so_far = Span(start_s, min(period.span.end_s, now_s))
        kept = self._store.intervals(link, Span(start_s - DAY_S, so_far.end_s + DAY_S))
        tally = Tally.of(whole(kept, so_far), so_far)
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
            seconds=tally.seconds,
            deciding=arithmetic.deciding(found),
            budget=arithmetic.availability(tally, terms, period.span).budget,
            flapping=flapping(counted),
            judged_until_s=judged_s,
            complete=judged_s is not None and judged_s >= period.span.end_s,
        )


def _months(span: Span, zone: Zone) -> Iterator[Month]:
    """The calendar months that touch the span."""
    at_s = span.start_s
    while at_s < span.end_s:
        month = Month.of(at_s, zone)
        yield month
        at_s = month.span.end_s


def _unknown(start_s: int, end_s: int) -> Interval:
    return Interval(start_s, end_s, State.UNKNOWN, Cause.UNDETERMINED, Charge.UNKNOWN)


def whole(kept: list[Interval], span: Span) -> list[Interval]:
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
