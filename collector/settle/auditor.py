"""Looks at all links' throughput tests and keeps the verdicts: gathers, asks the audit, appends.

A look is taken when its last day is over everywhere, once for all links, because they are one
family. Every day has a look, and the one at a month's end is the formal one. A look is repeated
only if what it is made of changed: late evidence makes a new revision and never edits one.
"""

import hashlib
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date, timedelta
from typing import NamedTuple

import msgspec

from collector.audit import decision, dedicated
from collector.audit.calendar import DAY_S, Zone
from collector.audit.daily import Direction
from collector.audit.evidence import Span
from collector.audit.findings import METHOD, Case, Look, Rebuttal, Verdict
from collector.audit.states import Cause, Charge, State
from collector.audit.together import Repeat
from collector.contracts import Contracts
from collector.experiment import Experiment, ExperimentState
from collector.hearings import HearingEntry
from collector.inventory import Inventory
from collector.ledger.derived import DerivedStore
from collector.ledger.derived_schema import TransferRow
from collector.ledger.outages import Lane, OutageStore
from collector.ledger.sqlite import SqliteLedger
from collector.ledger.verdicts import Change, Draft, VerdictStore
from collector.settle.heard import Asked, rebuttal_of
from collector.settle.trials import (
    Beside,
    Made,
    Subject,
    Trial,
    case_of,
    local_day,
    midnight_s,
    promise_of,
    repeats,
    trial,
)
from collector.tickets import Ticket
from wire.transfer import Transfer

log = logging.getLogger(__name__)
GRACE_S = 3600
"""So long after midnight a day is looked at: boxes deliver each minute, and some are late."""
REOPEN_DAYS = 62
"""A month's end is looked at again for so long, if late evidence comes."""
FAULT_MARGIN_S = 60
"""A fault of the site is at fault for a test so near to it."""
_SITE = frozenset({Cause.LAN, Cause.CPE_RESTART, Cause.SITE_POWER})
_decode = msgspec.json.Decoder(Transfer).decode

Promised = Callable[[], tuple[Inventory, Contracts]]
Experiments = Callable[[], Sequence[Experiment]]


def statement(verdict: Verdict) -> str:
    """What is said of a link, without a number: `changed` means that this did."""
    words = [verdict.finding.value]
    if verdict.cause is not None and verdict.rule is not None:
        words += [verdict.cause.value, f"rule {verdict.rule.value}"]
    words.append(verdict.standing.value)
    if verdict.watch:
        words.append("watch")
    words.append(verdict.shaping.shape.value)
    if verdict.stability is not None:
        words.append(verdict.stability.steadiness.value)
    if verdict.together is not None:
        words.append(verdict.together.sharing.value)
    return ", ".join(words)


def due(now_s: int) -> list[date]:
    """The looks that are open, the oldest first: the newest day's and the last months' ends.

    A day is over when it is over in the west, where it ends last.
    """
    today = Zone.WIB.day_of(now_s - GRACE_S)
    open_since = today - timedelta(days=REOPEN_DAYS)
    found, first = {today}, today.replace(day=1)
    while first >= open_since:
        found.add(first)
        first = (first - timedelta(days=1)).replace(day=1)
    return sorted(found)


class _Everywhere(NamedTuple):
    """What is read once for all links."""

    hearings: tuple[HearingEntry, ...]

    missing: frozenset[str]
    """Nodes of whose evidence batches are known to be missing."""
    tickets: Mapping[str, tuple[Ticket, ...]]
    """By link, in the provider's newest words."""


class Gathering:
    """What the ledger knows of the links' throughput tests. Asked from one thread at a time."""

    def __init__(
        self,
        ledger: SqliteLedger,
        derived: DerivedStore,
        outages: OutageStore,
        promised: Promised,
        experiments: Experiments = tuple,
    ) -> None:
        self._ledger, self._derived, self._outages = ledger, derived, outages
        self._promised, self._experiments = promised, experiments

    def links(self) -> list[str]:
        """All links that have a contract, by id."""
        inventory, contracts = self._promised()
        return sorted(link for link in inventory.links if contracts.of(link))

    def knows(self, link: str) -> bool:
        """Whether it is a link of the inventory."""
        return link in self._promised()[0].links

    def zone(self, link: str) -> Zone:
        """Of the link's contract; WIB without one."""
        rows = self._promised()[1].of(link)
        return rows[0].zone if rows else Zone.WIB

    def trials(self, link: str, span: Span) -> list[Trial]:
        """All tests of a link that began in the span, in order."""
        return self._read(link, self._derived.transfers(link, *span), span)

    def newest(self, link: str, limit: int) -> list[Trial]:
        """The newest tests of a link, the newest first."""
        rows = self._derived.newest_transfers(link, limit)
        if not rows:
            return []
        return self._read(link, rows, Span(rows[-1].at_s, rows[0].at_s + 1))

    def _read(self, link: str, rows: Iterable[TransferRow], span: Span) -> list[Trial]:
        subject = self._subject(link, span)
        return [
            trial(Made(_decode(one.line), one.at_s, one.placed_by, one.error_ns), subject)
            for one in rows
        ]

    def _subject(self, link: str, span: Span) -> Subject:
        inventory, contracts = self._promised()
        wide = Span(span.start_s - DAY_S, span.end_s + DAY_S)
        faults = tuple(
            Span(
                one.outage.start.at_s - FAULT_MARGIN_S,
                (wide.end_s if one.outage.end is None else one.outage.end.at_s) + FAULT_MARGIN_S,
            )
            for one in self._outages.newest(Lane.EVIDENCE, link, wide)
            if not one.withdrawn and one.outage.cause in _SITE
        )
        return Subject(
            link,
            lambda day: contracts.contract_at(link, day),
            self.zone(link),
            inventory.plans.get(link),
            faults,
        )

    # --- a look ---------------------------------------------------------------------------

    def span(self, link: str, look: Look) -> Span:
        """The quarter before the look, at the link."""
        zone = self.zone(link)
        first = look.until - timedelta(days=decision.QUARTER)
        return Span(midnight_s(first, zone), midnight_s(look.until, zone))

    def made_of(self, look: Look, today: date) -> str:
        """Changes whenever a case of the look may have: SHA-256 in hex."""
        inventory, contracts = self._promised()
        hasher = hashlib.sha256(f"{METHOD} {look}".encode())
        everywhere = self._everywhere()
        for link in self.links():
            span = self.span(link, look)
            told = (
                link,
                self._derived.transfers_stand(link, *span),
                [one.digest() for one in contracts.of(link)],
                inventory.plans.get(link),
                self._subject(link, span).faults,
                self._beside(link, look, everywhere),
                self._rebuttal(link, Asked(look.until, today), everywhere),
            )
            hasher.update(repr(told).encode())
        return hasher.hexdigest()

    def cases(self, look: Look, today: date | None = None) -> list[Case]:
        """Every link and direction of which a test was meant to be made, by link.

        `today` counts for the time that providers had; by default the look's own day.
        """
        everywhere = self._everywhere()
        found = []
        for link in self.links():
            span = self.span(link, look)
            if not self._derived.transfers_stand(link, *span)[0]:
                continue
            rows, beside = self.trials(link, span), self._beside(link, look, everywhere)
            subject = self._subject(link, span)
            cases = (case_of(subject, way, rows, beside, look) for way in Direction)
            heard = self._rebuttal(link, Asked(look.until, today or look.as_of), everywhere)
            found += [
                msgspec.structs.replace(one, rebuttal=heard) for one in cases if one is not None
            ]
        return found

    def _rebuttal(self, link: str, asked: Asked, everywhere: _Everywhere) -> Rebuttal:
        inventory, _ = self._promised()
        return rebuttal_of(everywhere.hearings, inventory.links[link], inventory, asked)

    def hearings(self, link: str | None = None) -> list[HearingEntry]:
        """The register of hearings, the closed ones too; for one link, those about it."""
        entries = self._ledger.registers.hearings.entries()
        if link is None:
            return entries
        inventory, _ = self._promised()
        known = inventory.links[link]
        return [one for one in entries if one.hearing.scope.covers(known, inventory)]

    def _everywhere(self) -> _Everywhere:
        nodes = {agent.agent_id: agent.node for agent in self._ledger.agents()}
        tickets: dict[str, dict[tuple[str, str], Ticket]] = {}
        for one in sorted(self._ledger.registers.tickets(), key=lambda row: row.revision):
            ticket = one.ticket
            tickets.setdefault(ticket.link, {})[ticket.provider, ticket.ticket] = ticket
        return _Everywhere(
            tuple(self._ledger.registers.hearings.entries()),
            frozenset(
                nodes[head.agent_id]
                for head in self._ledger.heads()
                if head.missing and head.agent_id in nodes
            ),
            {link: tuple(rows.values()) for link, rows in tickets.items()},
        )

    def _beside(self, link: str, look: Look, everywhere: _Everywhere) -> Beside:
        span = self.span(link, look)
        starts_ns, days = self._charged(link, span)
        return Beside(
            starts_ns,
            days,
            self._promised()[0].links[link].node not in everywhere.missing,
            self._ticket_days(everywhere.tickets.get(link, ()), link, span),
            self._together(link, span),
        )

    def _charged(self, link: str, span: Span) -> tuple[tuple[int, ...] | None, int]:
        """Starts of the provider's outages, and for how many days the link's state is known."""
        known_s = sum(
            one.end_s - one.start_s
            for one in self._outages.intervals(link, span)
            if one.state is not State.UNKNOWN
        )
        days = round(known_s / DAY_S)
        if days < 1:
            return None, 0
        starts = [
            one.outage.start.at_s * 10**9
            for one in self._outages.newest(Lane.EVIDENCE, link, span)
            if not one.withdrawn
            and one.outage.state is State.DOWN
            and one.outage.charge is Charge.PROVIDER
            and span.start_s <= one.outage.start.at_s < span.end_s
        ]
        return tuple(sorted(starts)), days

    def _ticket_days(self, tickets: Iterable[Ticket], link: str, span: Span) -> tuple[date, ...]:
        """Local days on which the provider had a ticket."""
        zone = self.zone(link)
        days: set[date] = set()
        for one in tickets:
            end_s = span.end_s if one.end_s is None else one.end_s
            within = Span(max(one.start_s, span.start_s), min(end_s, span.end_s - 1))
            if within.end_s >= within.start_s:
                first, last = (local_day(at_s, zone) for at_s in within)
                days |= {first + timedelta(days=k) for k in range((last - first).days + 1)}
        return tuple(sorted(days))

    def _together(self, link: str, span: Span) -> dict[Direction, tuple[Repeat, ...]]:
        """The newest experiment of each direction that was done before the look."""
        found: dict[Direction, tuple[Repeat, ...]] = {}
        done = [
            one
            for one in self._experiments()
            if link in one.nodes
            and one.state is ExperimentState.DONE
            and span.start_s <= one.created_wall_ns // 10**9 < span.end_s
        ]
        for one in sorted(done, key=lambda one: (one.created_wall_ns, one.experiment_id)):
            way = Direction(one.direction.value)
            told = repeats(one, self._expected(one, way))
            if told:
                found[way] = told
        return found

    def _expected(self, one: Experiment, way: Direction) -> dict[str, float]:
        contracts, at_s = self._promised()[1], one.created_wall_ns // 10**9
        promised = {
            link: contracts.contract_at(link, local_day(at_s, self.zone(link)))
            for link in one.nodes
        }
        return {
            link: promise_of(contract, way).expected_mbps
            for link, contract in promised.items()
            if contract is not None
        }


class Auditor:
    """Takes the looks that are due. Calls from one thread at a time."""

    def __init__(self, gathering: Gathering, store: VerdictStore) -> None:
        self._gathering, self._store = gathering, store

    def step(self, now_s: int) -> list[Change]:
        """Every open look whose evidence changed, judged and kept; what says something else."""
        changes = []
        for until in due(now_s):
            changes += self.look(until, now_s)
        return changes

    def look(self, until: date, now_s: int) -> list[Change]:
        """One look, if what it is made of changed since it was last taken."""
        # The time that a provider had is told by link: a look's own day is no news of the others.
        look, today = Look(until, until), Zone.WIB.day_of(now_s)
        made_of = self._gathering.made_of(look, today)
        if made_of == self._store.made_of(until):
            return []
        cases = self._gathering.cases(look, today)
        drafts = [_draft(one) for one in dedicated.audit(cases, look)] if cases else []
        changes = self._store.keep(until, made_of, drafts, now_s)
        log.info("look up to %s: %d verdicts, %d changed", until, len(drafts), len(changes))
        return changes


def _draft(verdict: Verdict) -> Draft:
    (data,) = msgspec.json.decode(dedicated.encode([verdict]), type=tuple[msgspec.Raw])
    raw = bytes(data)
    digest = hashlib.sha256(raw).hexdigest()
    return Draft(verdict.link, verdict.direction.value, digest, statement(verdict), raw)
