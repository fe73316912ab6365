"""Availability, outages, excluded time and the calendar of one period. Pure."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction

from collector.audit.evidence import Span
from collector.audit.intervals import Interval
from collector.audit.states import Cause, Charge, State
from collector.audit.why import Clause, parts
from collector.ledger.outages import Kept
from collector.maintenance import Ruling
from collector.report.facts import PeriodFacts
from collector.report.record import (
    AvailabilityPart,
    BunchPart,
    Day,
    ExcludedPart,
    Hour,
    NoticePart,
    OutagePart,
    RefusedPart,
    Seconds,
)

HOUR_S = 3600


def number(value: Fraction | None) -> float | None:
    """The nearest double; None stays what it is."""
    return None if value is None else float(value)


def _spans(spans: Iterable[Span]) -> tuple[Seconds, ...]:
    return tuple(Seconds(start_s=one.start_s, end_s=one.end_s) for one in spans)


def availability(facts: PeriodFacts) -> AvailabilityPart:
    """The period's seconds as the contract counts them, and what follows."""
    answer, lost = facts.answer, facts.violations
    found, decide = answer.found, answer.deciding
    return AvailabilityPart(
        judgement=found.judgement,
        target=float(found.target),
        lower=number(found.lower),
        point=number(found.point),
        upper=number(found.upper),
        coverage=number(found.coverage),
        likely_met=found.likely_met,
        period_s=found.period_s,
        excluded_s=found.excluded_s,
        counted_s=found.counted_s,
        up_s=found.up_s,
        down_s=found.charged_s,
        unknown_s=found.unknown_s,
        uncounted_s=found.uncounted_s,
        degraded_s=found.degraded_s,
        allowed_down_s=float(answer.budget.whole_s),
        left_s=float(answer.budget.left_s),
        outages=len(found.outages),
        longest_s=found.longest_s,
        mean_to_restore_s=number(found.mean_to_restore_s),
        mean_between_s=number(found.mean_between_s),
        edge_error_s=found.edge_error_s,
        unknown=_spans(found.unknown),
        to_breach=_spans(decide.to_breach),
        to_meet=_spans(decide.to_meet),
        to_breach_s=sum(one.length_s for one in decide.to_breach),
        to_meet_s=sum(one.length_s for one in decide.to_meet),
        flapping_episodes=len(answer.flapping),
        flapping=_spans(Span(one.start_s, one.end_s) for one in answer.flapping),
        micro_outages=len(lost.micro),
        violated_ratio=number(lost.violated_ratio),
        severely_violated_ratio=number(lost.severe_ratio),
    )


def outages(facts: PeriodFacts) -> tuple[OutagePart, ...]:
    """Every outage that touches the period."""
    return tuple(_outage(one, facts) for one in facts.outages)


def _outage(kept: Kept, facts: PeriodFacts) -> OutagePart:
    one, within = kept.outage, facts.answer.found.span
    end = one.end
    whole = Span(one.start.at_s, within.end_s if end is None else end.at_s)
    return OutagePart(
        id=kept.id,
        revision=kept.revision,
        state=one.state,
        cause=one.cause,
        charge=one.charge,
        start_s=one.start.at_s,
        start_low_s=one.start.low_s,
        start_high_s=one.start.high_s,
        end_s=None if end is None else end.at_s,
        end_low_s=None if end is None else end.low_s,
        end_high_s=None if end is None else end.high_s,
        within_s=within.overlap_s(whole),
        witnesses=one.witnesses,
        why=one.why,
        event=one.event,
        settled=one.settled,
        batches=tuple(BunchPart(**bunch._asdict()) for bunch in facts.bunches.get(kept.id, ())),
    )


# --- excluded time ------------------------------------------------------------------------


def excluded(facts: PeriodFacts) -> tuple[ExcludedPart, ...]:
    """Time that is not judged, stretch by stretch."""
    return tuple(
        ExcludedPart(
            start_s=one.start_s,
            end_s=one.end_s,
            cause=one.cause,
            why=one.why,
            notice=_notice_number(one),
        )
        for one in facts.intervals
        if one.charge is Charge.EXCLUDED
    )


def _notice_number(one: Interval) -> int | None:
    if one.cause is not Cause.MAINTENANCE:
        return None
    for clause, told in parts(one.why):
        if clause is Clause.MAINTENANCE and told["window"].isdigit():
            return int(told["window"])
    return None


def notices(facts: PeriodFacts) -> tuple[NoticePart, ...]:
    """The notices that touch the period, and what of them counts."""
    within = facts.answer.found.span
    return tuple(
        _notice(one, within)
        for one in sorted(facts.rulings, key=lambda one: (one.entry.notice.start_s, one.entry.id))
        if within.overlap_s(Span(one.entry.notice.start_s, one.entry.notice.end_s))
    )


def _notice(ruling: Ruling, within: Span) -> NoticePart:
    entry, notice = ruling.entry, ruling.entry.notice
    return NoticePart(
        id=entry.id,
        kind=notice.kind,
        start_s=notice.start_s,
        end_s=notice.end_s,
        announced_s=notice.announced_s,
        approved_by=notice.approved_by,
        reason=notice.reason,
        document=notice.document,
        cancelled=entry.cancelled is not None,
        counted_s=sum(within.overlap_s(Span(one.start_s, one.end_s)) for one in ruling.counted),
        refused=tuple(
            RefusedPart(start_s=one.span.start_s, end_s=one.span.end_s, refusal=one.refusal)
            for one in ruling.refused
        ),
    )


# --- calendar -----------------------------------------------------------------------------


def _kind(one: Interval) -> str:
    """Whose time it is, as the calendar shows it."""
    if one.charge is Charge.EXCLUDED:
        return "excluded_s"
    if one.charge is Charge.PROVIDER:
        return "down_s"
    if one.charge is Charge.UNKNOWN:
        return "unknown_s"
    return "degraded_s" if one.state is State.DEGRADED else "up_s"


def days(facts: PeriodFacts) -> tuple[Day, ...]:
    """Seconds of every local day."""
    zone = facts.answer.contract.zone
    return tuple(
        Day(date=zone.day_of(span.start_s).isoformat(), **_filled(count))
        for span, count in _cut(facts.intervals, zone.days(facts.answer.found.span))
    )


def hours(facts: PeriodFacts) -> tuple[Hour, ...]:
    """Seconds of every hour that was not all up: all zones are whole hours from UTC."""
    found = []
    span = facts.answer.found.span
    each = [
        Span(start_s, min(start_s + HOUR_S, span.end_s))
        for start_s in range(span.start_s, span.end_s, HOUR_S)
    ]
    for one, count in _cut(facts.intervals, each):
        if set(count) - {"up_s"}:
            filled = _filled(count)
            del filled["up_s"]
            found.append(Hour(start_s=one.start_s, **filled))
    return tuple(found)


def _filled(count: Counter[str]) -> dict[str, int]:
    names = ("up_s", "degraded_s", "down_s", "excluded_s", "unknown_s")
    return {name: count[name] for name in names}


def _cut(
    intervals: Sequence[Interval], spans: Sequence[Span]
) -> Iterator[tuple[Span, Counter[str]]]:
    """Seconds of the intervals in each span; both in order."""
    at = 0
    for span in spans:
        count: Counter[str] = Counter()
        while at < len(intervals) and intervals[at].end_s <= span.start_s:
            at += 1
        for one in intervals[at:]:
            if one.start_s >= span.end_s:
                break
            count[_kind(one)] += span.overlap_s(Span(one.start_s, one.end_s))
        yield span, count
