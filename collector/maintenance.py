"""Maintenance windows: what was announced, and which of it a contract excludes from its period.

An entry is never edited: it is recorded once, and at most cancelled once. Whether it counts is
decided anew for every contract and says why it does not.
"""

from collections.abc import Iterable, Iterator
from datetime import date, timedelta
from enum import StrEnum
from functools import reduce
from typing import NamedTuple

from collector.audit.calendar import Zone
from collector.audit.evidence import Span, Window
from collector.contracts import DAY_S, EPOCH, Contract, MaintenanceRule, midnight_s, next_month
from collector.inventory import Inventory, Link


class Kind(StrEnum):
    """Why a link may be down with notice."""

    PLANNED = "planned"
    EMERGENCY = "emergency"
    FORCE_MAJEURE = "force_majeure"


class Scope(NamedTuple):
    """Which links an entry is about: those that fit all that is given."""

    link: str | None = None
    pop: str | None = None
    provider: str | None = None
    district: str | None = None

    def covers(self, link: Link, inventory: Inventory) -> bool:
        """Whether the entry is about this link."""
        node = inventory.nodes[link.node]
        told = (link.id, link.pop, link.provider, node.district)
        return all(mine in (None, its) for mine, its in zip(self, told, strict=True))

    def __str__(self) -> str:
        told = zip(self._fields, self, strict=True)
        return ", ".join(f"{name} {value}" for name, value in told if value is not None)


class Recorded(NamedTuple):
    """Who put something into a register, and when."""

    by: str
    """As they call themselves."""
    os_user: str
    """As the machine knows them."""
    wall_ns: int


class Notice(NamedTuple):
    """What was announced; times in UTC seconds."""

    scope: Scope
    start_s: int
    end_s: int
    zone: Zone
    """In which it was told, and is shown."""
    kind: Kind
    announced_s: int
    approved_by: str | None
    """Who agreed for the customer; without approval it excludes nothing."""
    reason: str
    document: str | None
    """Reference of the letter or mail."""


class Cancelled(NamedTuple):
    """That an entry holds no longer."""

    reason: str
    recorded: Recorded


class Entry(NamedTuple):
    """A row of the register, with its cancellation."""

    id: int
    notice: Notice
    recorded: Recorded
    cancelled: Cancelled | None


class Refusal(StrEnum):
    """Why an entry, or a part of it, excludes nothing."""

    CANCELLED = "cancelled"
    NOT_APPROVED = "not_approved"
    NOT_AGREED = "not_agreed"
    """the contract excludes no time of this kind"""
    SHORT_NOTICE = "short_notice"
    """announced too late"""
    OUTSIDE_CONTRACT = "outside_contract"
    OUTSIDE_HOURS = "outside_hours"
    OVERLAPS = "overlaps"
    """an earlier entry excludes the same seconds"""
    OVER_CAP = "over_cap"
    """the month's cap is used up"""


class Refused(NamedTuple):
    """A part of an entry that does not count."""

    span: Span
    refusal: Refusal
    words: str


class Ruling(NamedTuple):
    """What becomes of one entry under one contract."""

    entry: Entry
    counted: tuple[Window, ...]
    refused: tuple[Refused, ...]


def covering(entries: Iterable[Entry], link: Link, inventory: Inventory) -> list[Entry]:
    """The entries that are about this link."""
    return [one for one in entries if one.notice.scope.covers(link, inventory)]


def decide(contract: Contract, entries: Iterable[Entry]) -> list[Ruling]:
    """What of these entries the contract excludes, in the order in which the cap is spent.

    `entries` are those whose scope covers the contract's link. They are taken by their beginning,
    and by their number where two begin at once: when they were recorded plays no other part.
    """
    spent = _Spent(contract)
    in_order = sorted(entries, key=lambda one: (one.notice.start_s, one.id))
    return [_rule(contract, one, spent) for one in in_order]


def windows(rulings: Iterable[Ruling]) -> tuple[Window, ...]:
    """All excluded seconds, by their beginning; no second is in two windows."""
    return tuple(sorted(window for ruling in rulings for window in ruling.counted))


def excused(contracts: Iterable[Contract], entries: Iterable[Entry]) -> dict[int, list[Span]]:
    """When a link may be down with notice, by entry: what its contracts exclude, and on days
    without a contract all that was approved.

    `contracts` are all of the link's, `entries` those whose scope covers it.
    """
    entries, contracts = list(entries), list(contracts)
    found: dict[int, list[Span]] = {}
    for contract in contracts:
        for ruling in decide(contract, entries):
            spans = [Span(one.start_s, one.end_s) for one in ruling.counted]
            found.setdefault(ruling.entry.id, []).extend(spans)
    for one in entries:
        if one.cancelled is None and one.notice.approved_by is not None:
            under = [_validity(contract, one.notice) for contract in contracts]
            whole = [Span(one.notice.start_s, one.notice.end_s)]
            found.setdefault(one.id, []).extend(_without(whole, under))
    return {entry: _joined(spans) for entry, spans in found.items() if spans}


def in_all(lists: Iterable[list[Span]]) -> list[Span]:
    """Seconds that are in each of these lists; none where there is no list."""
    several = list(lists)
    return reduce(_both, several[1:], several[0]) if several else []


class _Spent:
    """What earlier entries have taken: spans, and seconds of each month's cap."""

    def __init__(self, contract: Contract) -> None:
        self.contract = contract
        rule = contract.exclusions.maintenance
        self.cap_s = None if rule is None else rule.month_cap_s
        self.spans: list[Span] = []
        self.by_month: dict[int, int] = {}


def _rule(contract: Contract, entry: Entry, spent: _Spent) -> Ruling:
    notice = entry.notice
    whole = [Span(notice.start_s, notice.end_s)]
    spans = _both(whole, [_validity(contract, notice)])
    words = f"outside of contract {contract.reference}"
    refused = [Refused(one, Refusal.OUTSIDE_CONTRACT, words) for one in _without(whole, spans)]
    reason = _whole_refusal(contract, entry)
    if reason is not None:
        return Ruling(entry, (), (*refused, *(Refused(span, *reason) for span in spans)))
    for allowed, refusal, words in _clips(contract, notice, spent):
        kept = _both(spans, allowed)
        refused += [Refused(span, refusal, words) for span in _without(spans, kept)]
        spans = kept
    if notice.kind is not Kind.FORCE_MAJEURE:
        spans, over = _capped(spans, spent)
        refused += over
    spent.spans = _joined([*spent.spans, *spans])
    counted = tuple(Window(*span, str(entry.id), notice.kind.value) for span in spans)
    return Ruling(entry, counted, tuple(sorted(refused)))


def _whole_refusal(contract: Contract, entry: Entry) -> tuple[Refusal, str] | None:
    """Why nothing of the entry counts, if so."""
    if entry.cancelled is not None:
        by = entry.cancelled.recorded.by
        return Refusal.CANCELLED, f"cancelled by {by}: {entry.cancelled.reason}"
    if entry.notice.approved_by is None:
        return Refusal.NOT_APPROVED, "nobody approved it"
    return _kind_refusal(contract, entry.notice)


def _kind_refusal(contract: Contract, notice: Notice) -> tuple[Refusal, str] | None:
    maintenance = contract.exclusions.maintenance
    if notice.kind is Kind.FORCE_MAJEURE:
        return _late_report(contract, notice)
    if maintenance is None:
        return Refusal.NOT_AGREED, "the contract excludes no maintenance"
    asked = maintenance.notice_s
    if notice.kind is Kind.EMERGENCY:
        if maintenance.emergency_notice_s is None:
            return Refusal.NOT_AGREED, "the contract excludes no emergency maintenance"
        asked = maintenance.emergency_notice_s
    told = notice.start_s - notice.announced_s
    if told < asked:
        how = f"{told} s before it began" if told >= 0 else f"{-told} s after it had begun"
        return Refusal.SHORT_NOTICE, f"announced {how}; the contract asks for {asked} s before"
    return None


def _late_report(contract: Contract, notice: Notice) -> tuple[Refusal, str] | None:
    rule = contract.exclusions.force_majeure
    if rule is None:
        return Refusal.NOT_AGREED, "the contract excludes no force majeure"
    after = notice.announced_s - notice.start_s
    if rule.report_within_s is not None and after > rule.report_within_s:
        asked = rule.report_within_s
        return (
            Refusal.SHORT_NOTICE,
            f"announced {after} s after it began; the contract asks for {asked} s at most",
        )
    return None


def _clips(
    contract: Contract, notice: Notice, spent: _Spent
) -> Iterator[tuple[list[Span], Refusal, str]]:
    """What may count, by and by, and why the rest does not."""
    maintenance = contract.exclusions.maintenance
    if notice.kind is Kind.PLANNED and maintenance is not None and maintenance.allowed_hours:
        hours = ", ".join(maintenance.allowed_hours)
        allowed = _allowed(contract, maintenance, notice)
        yield allowed, Refusal.OUTSIDE_HOURS, f"outside of {hours} {contract.zone}"
    free = _without([Span(notice.start_s, notice.end_s)], spent.spans)
    yield free, Refusal.OVERLAPS, "an earlier entry excludes the same seconds"


def _validity(contract: Contract, notice: Notice) -> Span:
    """The contract's days, as far as the notice goes where they have no end."""
    start_s = midnight_s(contract.first_day, contract.zone)
    if contract.last_day is None:
        return Span(start_s, max(start_s, notice.end_s))
    return Span(start_s, midnight_s(contract.last_day + timedelta(days=1), contract.zone))


def _allowed(contract: Contract, rule: MaintenanceRule, notice: Notice) -> list[Span]:
    """The allowed hours of every day that the notice touches, and of the day before."""
    spans = []
    day = _local_day(notice.start_s, contract.zone) - timedelta(days=1)
    while midnight_s(day, contract.zone) < notice.end_s:
        base = midnight_s(day, contract.zone)
        for hours in rule.allowed_hours:
            start_s, end_s = (_clock_s(one) for one in hours.split("-"))
            spans.append(Span(base + start_s, base + end_s + DAY_S * (end_s < start_s)))
        day += timedelta(days=1)
    return _joined(spans)


def _clock_s(clock: str) -> int:
    hours, minutes = clock.split(":")
    return int(hours) * 3600 + int(minutes) * 60


def _local_day(at_s: int, zone: Zone) -> date:
    return EPOCH + timedelta(days=(at_s + zone.offset_s) // DAY_S)


def _capped(spans: list[Span], spent: _Spent) -> tuple[list[Span], list[Refused]]:
    """What the caps of the months still allow, from the beginning of each month's part on."""
    counted: list[Span] = []
    refused: list[Refused] = []
    cap_s = spent.cap_s
    for month_start_s, span in _by_month(spans, spent.contract.zone):
        used_s = spent.by_month.get(month_start_s, 0)
        cut_s = span.end_s if cap_s is None else min(span.end_s, span.start_s + cap_s - used_s)
        spent.by_month[month_start_s] = used_s + cut_s - span.start_s
        if cut_s > span.start_s:
            counted.append(Span(span.start_s, cut_s))
        if cut_s < span.end_s:
            words = f"the month's cap of {cap_s} s is used up"
            refused.append(Refused(Span(cut_s, span.end_s), Refusal.OVER_CAP, words))
    return _joined(counted), refused


def _by_month(spans: list[Span], zone: Zone) -> Iterator[tuple[int, Span]]:
    """Spans cut at local month ends, each with the beginning of its month in UTC seconds."""
    for start_s, end_s in spans:
        while start_s < end_s:
            first = _local_day(start_s, zone).replace(day=1)
            after_s = midnight_s(next_month(first), zone)
            yield midnight_s(first, zone), Span(start_s, min(end_s, after_s))
            start_s = after_s


def _joined(spans: Iterable[Span]) -> list[Span]:
    """The same seconds as the fewest spans, in order."""
    joined: list[Span] = []
    for span in sorted(spans):
        if joined and span.start_s <= joined[-1].end_s:
            joined[-1] = Span(joined[-1].start_s, max(joined[-1].end_s, span.end_s))
        else:
            joined.append(span)
    return joined


def _both(some: list[Span], others: list[Span]) -> list[Span]:
    """Seconds that are in both."""
    cuts = (
        Span(max(one.start_s, other.start_s), min(one.end_s, other.end_s))
        for one in some
        for other in others
    )
    return sorted(cut for cut in cuts if cut.start_s < cut.end_s)


def _without(some: list[Span], others: list[Span]) -> list[Span]:
    """Seconds of `some` that are not in `others`."""
    left: list[Span] = []
    for span in some:
        at = span.start_s
        for other in _joined(others):
            if other.end_s <= at or other.start_s >= span.end_s:
                continue
            if other.start_s > at:
                left.append(Span(at, other.start_s))
            at = max(at, other.end_s)
        if at < span.end_s:
            left.append(Span(at, span.end_s))
    return left
