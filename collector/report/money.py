"""Restitution of one period, with its arithmetic and its bound. Pure.

What is unknown is not charged. `at_most_rupiah` says what would be due had all of it been charged:
the same rule, asked with the unknown stretches among the outages.
"""

from collections.abc import Iterable, Sequence
from fractions import Fraction
from typing import NamedTuple

from collector.answers import MonthAnswer
from collector.audit.evidence import Span
from collector.audit.intervals import Interval
from collector.audit.states import State
from collector.report.record import RestitutionPart
from collector.restitution import Account, Working, payable, working


class Owed(NamedTuple):
    """Rupiah for a period; None where the rule asks for something unknown."""

    rupiah: int | None
    at_most_rupiah: int | None


def restitution(answer: MonthAnswer, beside: Sequence[Sequence[Interval]] = ()) -> RestitutionPart:
    """Of a period; `beside` are the intervals of the node's other links, for rule PALAPA."""
    contract = answer.contract
    terms = contract.restitution
    found, most = workings(answer, beside)
    return RestitutionPart(
        rule=terms.rule,
        rounding=terms.rounding,
        fee_rupiah=contract.fee_rupiah,
        fee_part_rupiah=round(
            Fraction(contract.fee_rupiah * answer.period.length_s, answer.month.span.length_s)
        ),
        formula=found.formula,
        values={name: str(value) for name, value in found.values.items()},
        exact=None if found.amount is None else str(found.amount),
        rupiah=_whole(answer, found.amount),
        at_most_rupiah=_whole(answer, most.amount),
    )


def owed(answer: MonthAnswer, beside: Sequence[Sequence[Interval]] = ()) -> Owed:
    """The amounts alone."""
    found, most = workings(answer, beside)
    return Owed(_whole(answer, found.amount), _whole(answer, most.amount))


def workings(answer: MonthAnswer, beside: Sequence[Sequence[Interval]]) -> tuple[Working, Working]:
    """Of what is known, and had all unknown time been charged."""
    contract, found = answer.contract, answer.found
    least_s = contract.minimum_outage_s
    most = tuple(one for one in joined([*found.outages, *found.unknown]) if one.length_s >= least_s)
    certain = _all_down(beside, (State.DOWN,), found.span)
    possible = _all_down(beside, (State.DOWN, State.UNKNOWN), found.span)
    return (
        _working(answer, found.outages, certain),
        _working(answer, most, possible),
    )


def _working(answer: MonthAnswer, outages: Sequence[Span], others: Sequence[Span]) -> Working:
    contract, within = answer.contract, answer.found.span
    account = Account(
        month_s=answer.month.span.length_s,
        period_s=answer.period.length_s,
        outages_s=tuple(within.overlap_s(one) for one in outages),
        excluded_s=answer.found.excluded_s,
        all_paths_s=sum(
            within.overlap_s(both) for one in outages for both in _shared([one], others)
        ),
        lengths_s=tuple(one.length_s for one in outages),
    )
    return working(contract.restitution, contract.fee_rupiah, contract.availability_target, account)


def _all_down(
    beside: Sequence[Sequence[Interval]], states: Sequence[State], within: Span
) -> list[Span]:
    """Seconds in which every other link of the node was in one of the states; all of them where
    there is no other link."""
    both = [within]
    for intervals in beside:
        one = joined(Span(each.start_s, each.end_s) for each in intervals if each.state in states)
        both = _shared(both, one)
    return both


def joined(spans: Iterable[Span]) -> list[Span]:
    """The same seconds as the fewest spans, in order."""
    found: list[Span] = []
    for one in sorted(spans):
        if found and one.start_s <= found[-1].end_s:
            found[-1] = Span(found[-1].start_s, max(found[-1].end_s, one.end_s))
        else:
            found.append(one)
    return found


def _shared(some: Iterable[Span], others: Sequence[Span]) -> list[Span]:
    return [
        Span(max(one.start_s, other.start_s), min(one.end_s, other.end_s))
        for one in some
        for other in others
        if one.overlap_s(other)
    ]


def _whole(answer: MonthAnswer, amount: Fraction | None) -> int | None:
    return None if amount is None else payable(amount, answer.contract.restitution.rounding)
