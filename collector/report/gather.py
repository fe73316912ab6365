"""Makes the audit of a month from the ledger, link by link.

Reads the ledger only; what is not judged yet is unknown. Links are assembled one after another, so
that of a thousand only the finished parts are in memory.
"""

import gc
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import date
from typing import NamedTuple

from collector.answers import MonthAnswer
from collector.audit.calendar import Month, Zone
from collector.contracts import Contracts
from collector.inventory import Inventory, Link
from collector.ledger.derived import DerivedStore
from collector.ledger.outages import OutageStore
from collector.ledger.sqlite import SqliteLedger
from collector.ledger.verdicts import VerdictStore
from collector.report import summary
from collector.report.assemble import Frame, audit, link_part
from collector.report.reader import LinkReader, Registered, registered, touching
from collector.report.reconcile import reconcile
from collector.report.record import Audit, LinkPart, Match, Scope
from collector.report.settings import TOLERANCE_S
from collector.verdict_answers import Given, VerdictAnswers

Progress = Callable[[int, int], None]
"""Told how many of how many links are done."""
ALLOCATIONS = 100_000
"""Between two looks for garbage while links are read; by default 700."""


class Wanted(NamedTuple):
    """Which audit."""

    month: str
    scope: Scope = Scope()
    tolerance_s: int = TOLERANCE_S


def silent(done: int, of: int) -> None:
    """Nobody wants to know."""


@contextmanager
def _seldom_collected() -> Iterator[None]:
    """Garbage is looked for less often meanwhile: a link's month is a hundred thousand small
    objects without cycles, and looking at them takes a tenth of the time."""
    before = gc.get_threshold()
    gc.set_threshold(ALLOCATIONS, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)


class AuditMaker:
    """Asked from one thread at a time."""

    def __init__(
        self,
        ledger: SqliteLedger,
        derived: DerivedStore,
        kept: OutageStore,
        promised: Callable[[], tuple[Inventory, Contracts]],
    ) -> None:
        self._ledger, self._promised = ledger, promised
        self._reader = LinkReader(ledger, derived, kept, promised)
        self.hours = self._reader.hours
        self._verdicts = VerdictAnswers(VerdictStore(ledger), self._reader.gathering)

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
        told, verdicts = self._registered(), self._verdicts_of(month)
        parts: list[LinkPart] = []
        earlier: list[Sequence[Sequence[MonthAnswer]]] = []
        bare: list[str] = []
        with _seldom_collected():
            for done, link in enumerate(links):
                progress(done, len(links))
                facts = self._reader.facts(link, month, now_s, told)
                if facts is None:
                    bare.append(link.id)
                    continue
                facts = facts._replace(verdicts=verdicts.get(link.id, ()))
                parts.append(link_part(facts, wanted.tolerance_s))
                earlier.append(facts.months)
        progress(len(links), len(links))
        frame = Frame(month, wanted.scope, wanted.tolerance_s)
        return audit(frame, parts, summary.trend(month, earlier, parts), bare)

    def cases(self, wanted: Wanted, now_s: int) -> list[tuple[Link, tuple[Match, ...]]]:
        """The tickets' part of the audit alone. Raises ValueError as `audit` does."""
        links = self.links(wanted.scope)
        month = Month.parse(wanted.month, self.zone(links))
        if month.span.start_s >= now_s:
            raise ValueError(f"month {month} has not begun")
        tickets = self._registered().tickets
        found = []
        for link in links:
            for one in self._reader.answers.availability(str(month), now_s, [link.id]):
                span = one.found.span
                mine = touching(tickets.get(link.id, []), span)
                outages = self._reader.outages(link.id, span)
                found.append((link, reconcile(outages, mine, span.end_s, wanted.tolerance_s)))
        return found

    def _registered(self) -> Registered:
        registers = self._ledger.registers
        return registered(registers.maintenance(), registers.tickets())

    def _verdicts_of(self, month: Month) -> dict[str, list[Given]]:
        after = date(month.next.year, month.next.number, 1)
        found: dict[str, list[Given]] = {}
        if self._verdicts.until(after.isoformat()) is None:
            return found
        for one in self._verdicts.verdicts(after.isoformat()):
            found.setdefault(one.kept.verdict.link, []).append(one)
        return found
