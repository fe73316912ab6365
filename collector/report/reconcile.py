"""Our outages beside the provider's tickets. Pure.

An outage and a ticket belong together where they overlap, or lie no farther apart than the
tolerance. What hangs together so is one case, whatever the numbers: a flapping link has one ticket
and five outages. Of a case the first beginnings and the last ends are compared.
"""

from collections.abc import Iterable, Sequence
from enum import StrEnum
from itertools import zip_longest
from typing import NamedTuple

from collector.audit.intervals import Outage
from collector.audit.states import Charge, State
from collector.ledger.outages import Kept
from collector.report.record import Match, TicketTotals
from collector.report.settings import TOLERANCE_S
from collector.tickets import Ticket


class Sort(StrEnum):
    """What became of a case."""

    MATCHED = "matched"
    EDGES_DIFFER = "edges_differ"
    ONLY_OURS = "only_ours"
    ONLY_THEIRS = "only_theirs"


class _Case(NamedTuple):
    outages: tuple[Kept, ...]
    tickets: tuple[Ticket, ...]


def reconcile(
    outages: Iterable[Kept], tickets: Iterable[Ticket], until_s: int, tolerance_s: int = TOLERANCE_S
) -> tuple[Match, ...]:
    """All cases by their beginning, with as many rows as the longer side has. `until_s` stands for
    the end of what is not over. A silence of the node (UNKNOWN) and announced work without a
    ticket are no cases."""
    cases = [
        one
        for one in _cases(list(outages), list(tickets), until_s, tolerance_s)
        if one.tickets or any(_owed_a_ticket(kept.outage) for kept in one.outages)
    ]
    found: list[Match] = []
    for number, case in enumerate(sorted(cases, key=_begin), 1):
        found += _rows(number, case, tolerance_s)
    return tuple(found)


def totals(parts: Iterable[Iterable[Match]], tolerance_s: int) -> TicketTotals:
    """How many cases there are of each sort."""
    count = dict.fromkeys(Sort, 0)
    for matches in parts:
        for sort in {one.case: one.kind for one in matches}.values():
            count[Sort(sort)] += 1
    return TicketTotals(
        tolerance_s=tolerance_s,
        matched=count[Sort.MATCHED],
        edges_differ=count[Sort.EDGES_DIFFER],
        only_ours=count[Sort.ONLY_OURS],
        only_theirs=count[Sort.ONLY_THEIRS],
    )


def _owed_a_ticket(outage: Outage) -> bool:
    return outage.state is State.DOWN and outage.charge is not Charge.EXCLUDED


def _begin(case: _Case) -> int:
    return min([one.outage.start.at_s for one in case.outages] + [t.start_s for t in case.tickets])


def _end(outage: Outage) -> int | None:
    return None if outage.end is None else outage.end.at_s


def _near(outage: Outage, ticket: Ticket, until_s: int, tolerance_s: int) -> bool:
    ours_s, theirs_s = _end(outage), ticket.end_s
    return (
        outage.start.at_s <= (until_s if theirs_s is None else theirs_s) + tolerance_s
        and ticket.start_s <= (until_s if ours_s is None else ours_s) + tolerance_s
    )


def _cases(
    outages: list[Kept], tickets: list[Ticket], until_s: int, tolerance_s: int
) -> Iterable[_Case]:
    left = list(outages)
    cases: list[_Case] = []
    for ticket in tickets:
        mine = [one for one in left if _near(one.outage, ticket, until_s, tolerance_s)]
        # One of these outages may lie at another ticket too: then all is one case.
        touched = [
            case
            for case in cases
            if any(_near(one.outage, ticket, until_s, tolerance_s) for one in case.outages)
        ]
        cases = [case for case in cases if case not in touched]
        left = [one for one in left if one not in mine]
        cases.append(
            _Case(
                (*(one for case in touched for one in case.outages), *mine),
                (*(one for case in touched for one in case.tickets), ticket),
            )
        )
    return [*cases, *(_Case((one,), ()) for one in left)]


def _rows(number: int, case: _Case, tolerance_s: int) -> Iterable[Match]:
    outages = sorted((one for one in case.outages), key=lambda one: one.outage.start.at_s)
    tickets = sorted(case.tickets, key=lambda one: one.start_s)
    kind, start, end = _compared([one.outage for one in outages], tickets, tolerance_s)
    for at, (kept, ticket) in enumerate(zip_longest(outages, tickets)):
        outage = None if kept is None else kept.outage
        yield Match(
            case=number,
            kind=kind,
            outage=None if kept is None else kept.id,
            start_s=None if outage is None else outage.start.at_s,
            end_s=None if outage is None else _end(outage),
            cause=None if outage is None else outage.cause,
            charge=None if outage is None else outage.charge,
            ticket=None if ticket is None else ticket.ticket,
            ticket_start_s=None if ticket is None else ticket.start_s,
            ticket_end_s=None if ticket is None else ticket.end_s,
            ticket_cause=None if ticket is None else ticket.cause,
            start_differs_s=start if at == 0 else None,
            end_differs_s=end if at == 0 else None,
        )


def _compared(
    outages: Sequence[Outage], tickets: Sequence[Ticket], tolerance_s: int
) -> tuple[Sort, int | None, int | None]:
    """The sort of a case, and what its first beginnings and last ends differ by: theirs less ours,
    None where a side lasts."""
    if not tickets:
        return Sort.ONLY_OURS, None, None
    if not outages:
        return Sort.ONLY_THEIRS, None, None
    start = tickets[0].start_s - outages[0].start.at_s
    ours, theirs = [_end(one) for one in outages], [one.end_s for one in tickets]
    ours_s, theirs_s = _last(ours), _last(theirs)
    end = None if ours_s is None or theirs_s is None else theirs_s - ours_s
    same_end = ours_s is theirs_s is None if end is None else abs(end) <= tolerance_s
    sort = Sort.MATCHED if same_end and abs(start) <= tolerance_s else Sort.EDGES_DIFFER
    return sort, start, end


def _last(ends: Sequence[int | None]) -> int | None:
    known = [one for one in ends if one is not None]
    return max(known) if len(known) == len(ends) else None
