"""What `pantau-collector rebuttal` does: the provider's say into the register of hearings, and out.

A running collector takes what is new into its next round of looks, within the hour.
"""

import sys
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from collector import tables
from collector.audit.calendar import Zone, parse_window
from collector.hearings import ClosedAs, Closing, Hearing, HearingEntry, HearingKind
from collector.maintenance import Scope
from collector.registers import check_scope, inventory_of, opened, said_by, who
from collector.settings import read
from runtime.clock import SECOND, SystemClock


@dataclass(frozen=True, kw_only=True)
class Told:
    """A hearing as it was typed."""

    scope: Scope
    window: str
    kind: HearingKind
    on: date | None
    words: str
    document: str | None


def add(config: Path, told: Told, by: str | None, *, as_json: bool) -> None:
    """Record a hearing. Raises SettingsError, LedgerError or ValueError."""
    located = read(config)
    known = inventory_of(located)
    check_scope(told.scope, known)
    hearing = _hearing(told)
    with opened(located) as registers:
        entry = registers.hearings.add(hearing, said_by(by))
    if as_json:
        tables.show([row(entry)], as_json=True)
        return
    links = [link.id for link in known.links.values() if hearing.scope.covers(link, known)]
    sys.stdout.write(
        f"rebuttal entry {entry.id}: {hearing.kind} on {hearing.day}, of {hearing.scope}, for looks"
        f" up to {hearing.until}, links: {', '.join(links)}\n"
    )
    if hearing.kind is HearingKind.OBJECTED:
        sys.stdout.write(
            "note: accusations of these links stay preliminary until it is settled"
            f" (rebuttal settle {entry.id})\n"
        )


def _hearing(told: Told) -> Hearing:
    today = Zone.WIT.day_of(SystemClock().wall_ns() // SECOND)
    day, until = told.on or today, parse_window(told.window)
    if day > today:
        raise ValueError(f"--on: {day} is in the future")
    if until > today:
        raise ValueError(f"--window: {told.window!r} has not ended: nobody has its raw data yet")
    if until > day:
        raise ValueError(
            f"--on: {day} is before the window's end ({until}): its raw data were not there yet"
        )
    if not told.words.strip():
        raise ValueError("--words: empty, expected what was delivered, or what the answer says")
    return Hearing(told.scope, until, told.kind, day, told.words.strip(), told.document)


def close(config: Path, entry: int, kind: ClosedAs, reason: str, by: str | None) -> None:
    """Record that a hearing stands no longer. Raises SettingsError, LedgerError or ValueError."""
    if not reason.strip():
        raise ValueError("--reason: empty, expected words")
    with opened(read(config)) as registers:
        registers.hearings.close(entry, Closing(kind, reason.strip(), said_by(by)))
    sys.stdout.write(f"rebuttal entry {entry} is {kind}; it stays in the list\n")


def listed(config: Path, *, link: str | None, as_json: bool) -> None:
    """Print all entries, or those about one link. Raises SettingsError, LedgerError, ValueError."""
    located = read(config)
    with opened(located) as registers:
        entries = registers.hearings.entries()
    if link is not None:
        known = inventory_of(located)
        if link not in known.links:
            there = ", ".join(known.links) or "none"
            raise ValueError(f"--link: no link {link!r}; known: {there}")
        about = known.links[link]
        entries = [one for one in entries if one.hearing.scope.covers(about, known)]
    tables.show([row(one) if as_json else _cells(one) for one in entries], as_json=as_json)


def row(entry: HearingEntry) -> dict[str, Any]:
    """One entry for programs."""
    hearing, closing = entry.hearing, entry.closing
    return {
        "id": entry.id,
        **hearing.scope._asdict(),
        "until": hearing.until.isoformat(),
        "kind": hearing.kind.value,
        "day": hearing.day.isoformat(),
        "words": hearing.words,
        "document": hearing.document,
        **who(entry.recorded),
        "closed": None
        if closing is None
        else {"as": closing.kind.value, "reason": closing.reason, **who(closing.recorded)},
    }


def _cells(entry: HearingEntry) -> dict[str, Any]:
    hearing, closing = entry.hearing, entry.closing
    document = "" if hearing.document is None else f" ({hearing.document})"
    history = [f"recorded by {entry.recorded.by}"]
    if closing is not None:
        history.append(f"{closing.kind} by {closing.recorded.by}: {closing.reason}")
    return {
        "id": entry.id,
        "of": str(hearing.scope),
        "look": f"up to {hearing.until}",
        "what": f"{hearing.kind} on {hearing.day}: {hearing.words}{document}",
        "history": "\n".join(history),
    }
