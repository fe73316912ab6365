"""What `pantau-collector maintenance` and `tickets` do: words into the ledger's registers, and out.

Everything is checked against the inventory before it is recorded, because a register keeps what
it was once told.
"""

import hashlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from collector import contracts, inventory, tables
from collector.audit.calendar import Zone
from collector.contracts import Contract
from collector.inventory import Inventory
from collector.ledger.registers import Registers
from collector.ledger.sqlite import SqliteLedger
from collector.maintenance import (
    Entry,
    Kind,
    Notice,
    Recorded,
    Refusal,
    Ruling,
    Scope,
    covering,
    decide,
)
from collector.osuser import os_user
from collector.settings import Located, read
from collector.tickets import (
    Import,
    Reading,
    Revision,
    Taken,
    TicketsError,
    parse,
    parse_time,
    show_time,
)
from runtime.clock import SystemClock

MAX_TICKETS_BYTES = 16 * 1024 * 1024
MAX_WINDOW_DAYS = 366
"""A longer window is a year that was typed wrong, in a register that forgets nothing."""
SECOND_NS = 1_000_000_000


@dataclass(frozen=True, kw_only=True)
class Told:
    """A maintenance window as it was typed."""

    scope: Scope
    start: str
    end: str
    zone: Zone
    kind: Kind
    announced: str
    approved_by: str | None
    reason: str
    document: str | None


def said_by(by: str | None) -> Recorded:
    """Who says something now."""
    user = os_user()
    return Recorded(by or user, user, SystemClock().wall_ns())


def inventory_of(located: Located) -> Inventory:
    """Nodes and links of these settings. Raises SettingsError."""
    settings = located.settings
    return inventory.read(located.path(settings.nodes_file), located.path(settings.links_file))


@contextmanager
def opened(located: Located) -> Iterator[Registers]:
    """The registers, while the block lasts. Raises LedgerError."""
    ledger = SqliteLedger(located.data_dir / "ledger.db")
    try:
        yield ledger.registers
    finally:
        ledger.close()


# --- maintenance ------------------------------------------------------------------------------


def add(config: Path, told: Told, by: str | None, *, as_json: bool) -> None:
    """Record a window. Raises SettingsError, LedgerError or ValueError."""
    located = read(config)
    known = inventory_of(located)
    check_scope(told.scope, known)
    notice = notice_of(told)
    with opened(located) as registers:
        entry = registers.add_maintenance(notice, said_by(by))
    rows = [_entry_row(entry)]
    if as_json:
        tables.show(rows, as_json=True)
        return
    links = [link.id for link in known.links.values() if told.scope.covers(link, known)]
    sys.stdout.write(
        f"maintenance entry {entry.id}: {notice.kind} of {notice.scope} from"
        f" {show_time(notice.start_s, notice.zone)} to {show_time(notice.end_s, notice.zone)}"
        f" ({(notice.end_s - notice.start_s) / 3600:g} h), links: {', '.join(links)}\n"
    )
    if notice.approved_by is None:
        sys.stdout.write("note: nobody approved it (--approved-by), so it excludes nothing\n")


def check_scope(scope: Scope, known: Inventory) -> None:
    """Raises ValueError unless it names links that there are."""
    if scope == Scope():
        raise ValueError("whose? expected --link, --pop, --provider or --district")
    links = list(known.links.values())
    choices = {
        "link": {link.id for link in links},
        "pop": {link.pop for link in links},
        "provider": {link.provider for link in links},
        "district": {node.district for node in known.nodes.values()},
    }
    for name, value in scope._asdict().items():
        if value is not None and value not in choices[name]:
            there = ", ".join(sorted(choices[name])) or "none"
            raise ValueError(f"--{name}: no {name} {value!r}; known: {there}")
    if not any(scope.covers(link, known) for link in links):
        raise ValueError(f"no link fits all of {scope}")


def notice_of(told: Told) -> Notice:
    """The window that was typed. Raises ValueError that names the option."""
    times = {}
    for option, text in (("from", told.start), ("to", told.end), ("announced", told.announced)):
        try:
            times[option] = parse_time(text, told.zone)
        except ValueError as error:
            raise ValueError(f"--{option}: {error}") from error
    if times["to"] <= times["from"]:
        raise ValueError(f"--to: {told.end!r} is not after --from {told.start!r}")
    if times["to"] - times["from"] > MAX_WINDOW_DAYS * 86_400:
        raise ValueError(f"--to: {told.end!r} is more than {MAX_WINDOW_DAYS} days after --from")
    if times["announced"] > SystemClock().wall_ns() // SECOND_NS:
        raise ValueError(f"--announced: {told.announced!r} {told.zone} is in the future")
    words = {"reason": told.reason, "approved-by": told.approved_by}
    for option, said in words.items():
        if said is not None and not said.strip():
            raise ValueError(f"--{option}: empty, expected words")
    return Notice(
        told.scope,
        times["from"],
        times["to"],
        told.zone,
        told.kind,
        times["announced"],
        told.approved_by,
        told.reason,
        told.document,
    )


def cancel(config: Path, entry: int, reason: str, by: str | None) -> None:
    """Record that a window holds no longer. Raises SettingsError, LedgerError or ValueError."""
    if not reason.strip():
        raise ValueError("--reason: empty, expected words")
    with opened(read(config)) as registers:
        registers.cancel_maintenance(entry, reason, said_by(by))
    sys.stdout.write(f"maintenance entry {entry} is cancelled; it stays in the list\n")


def list_maintenance(config: Path, *, link: str | None, as_json: bool) -> None:
    """Print all entries; for one link, those about it and what its contracts make of them.

    Raises SettingsError, LedgerError or ValueError.
    """
    located = read(config)
    with opened(located) as registers:
        entries = registers.maintenance()
    row = _entry_row if as_json else _entry_cells
    if link is None:
        tables.show([row(entry) for entry in entries], as_json=as_json)
        return
    known = inventory_of(located)
    if link not in known.links:
        raise ValueError(f"--link: no link {link!r}; known: {', '.join(known.links) or 'none'}")
    about = covering(entries, known.links[link], known)
    rulings = [
        (contract, ruling)
        for contract in contracts.read(located.contracts_file, known).of(link)
        for ruling in decide(contract, about)
    ]
    verdict = _verdict_row if as_json else _verdict_cells
    rows = [row(entry) | verdict(entry, rulings) for entry in about]
    tables.show(rows, as_json=as_json)


def _verdict_row(entry: Entry, rulings: list[tuple[Contract, Ruling]]) -> dict[str, Any]:
    return {
        "contracts": [
            {
                "reference": contract.reference,
                "counted_s": sum(one.end_s - one.start_s for one in ruling.counted),
                "counted": [{"start_s": one.start_s, "end_s": one.end_s} for one in ruling.counted],
                "refused": [
                    {
                        "start_s": one.span.start_s,
                        "end_s": one.span.end_s,
                        "refusal": one.refusal.value,
                        "words": one.words,
                    }
                    for one in ruling.refused
                ],
            }
            for contract, ruling in rulings
            if ruling.entry.id == entry.id
        ]
    }


def _verdict_cells(entry: Entry, rulings: list[tuple[Contract, Ruling]]) -> dict[str, Any]:
    lines: list[str] = []
    for contract, ruling in rulings:
        if ruling.entry.id != entry.id or _not_its(ruling):
            continue
        counted_s = sum(one.end_s - one.start_s for one in ruling.counted)
        lines += [f"{contract.reference}:", f"{counted_s} s count"]
        lines += [f"{one.span.length_s} s not: {one.words}" for one in ruling.refused]
    return {"counts": "\n".join(lines) or "no contract then"}


def _not_its(ruling: Ruling) -> bool:
    """Whether the entry lies outside of the contract altogether, which another then has."""
    refused = {one.refusal for one in ruling.refused}
    return not ruling.counted and refused == {Refusal.OUTSIDE_CONTRACT}


def _entry_row(entry: Entry) -> dict[str, Any]:
    notice, cancelled = entry.notice, entry.cancelled
    return {
        "id": entry.id,
        **notice.scope._asdict(),
        "start_s": notice.start_s,
        "end_s": notice.end_s,
        "zone": notice.zone.value,
        "kind": notice.kind.value,
        "announced_s": notice.announced_s,
        "approved_by": notice.approved_by,
        "reason": notice.reason,
        "document": notice.document,
        **who(entry.recorded),
        "cancelled": None
        if cancelled is None
        else {"reason": cancelled.reason, **who(cancelled.recorded)},
    }


def _entry_cells(entry: Entry) -> dict[str, Any]:
    """Few columns, with lines in them: a terminal is narrow."""
    notice, cancelled = entry.notice, entry.cancelled
    document = "" if notice.document is None else f" ({notice.document})"
    history = [
        f"announced {show_time(notice.announced_s, notice.zone)}",
        "not approved" if notice.approved_by is None else f"approved by {notice.approved_by}",
        f"recorded by {entry.recorded.by}",
    ]
    if cancelled is not None:
        history.append(f"cancelled by {cancelled.recorded.by}: {cancelled.reason}")
    start, end = (show_time(one, notice.zone) for one in (notice.start_s, notice.end_s))
    return {
        "id": entry.id,
        "of": str(notice.scope),
        "when": f"{start}\n{end}",
        "what": f"{notice.kind}: {notice.reason}{document}",
        "history": "\n".join(history),
    }


def who(recorded: Recorded) -> dict[str, Any]:
    """Who put a row into a register, for programs."""
    return {
        "recorded_by": recorded.by,
        "os_user": recorded.os_user,
        "recorded_s": recorded.wall_ns / SECOND_NS,
    }


# --- tickets ----------------------------------------------------------------------------------


def import_tickets(
    config: Path, file: Path, provider: str | None, zone: Zone, by: str | None
) -> None:
    """Take a provider's list. Raises SettingsError, LedgerError, OSError or ValueError."""
    located = read(config)
    known = inventory_of(located)
    providers = sorted({link.provider for link in known.links.values()})
    if provider is not None and provider not in providers:
        there = ", ".join(providers) or "none"
        raise ValueError(f"--provider: no provider {provider!r}; known: {there}")
    data = _bytes(file)
    recorded = said_by(by)
    how = Reading(file=str(file), provider=provider, zone=zone, now_s=recorded.wall_ns // SECOND_NS)
    listed = parse(data, how, known)
    digest = hashlib.sha256(data).digest()
    said = Import(0, file.name, digest, provider, zone, len(listed.tickets), recorded)
    with opened(located) as registers:
        taken = registers.import_tickets(said, listed.tickets)
        first = registers.imports()[taken.id]
    if listed.ignored_columns:
        sys.stdout.write(f"note: columns not read: {', '.join(listed.ignored_columns)}\n")
    sys.stdout.write(_said(taken, first, zone))


def _bytes(file: Path) -> bytes:
    with file.open("rb") as opened:
        data = opened.read(MAX_TICKETS_BYTES + 1)
    if len(data) > MAX_TICKETS_BYTES:
        raise TicketsError(f"{file}: larger than {MAX_TICKETS_BYTES} bytes")
    return data


def _said(taken: Taken, first: Import, zone: Zone) -> str:
    if taken.repeated:
        at = show_time(first.recorded.wall_ns // SECOND_NS, zone)
        return f"import {taken.id} took this file at {at} by {first.recorded.by}: nothing to do\n"
    return (
        f"import {taken.id}: {taken.new} new tickets, {taken.changed} changed,"
        f" {taken.unchanged} as before; SHA-256 {first.digest.hex()}\n"
    )


def list_tickets(config: Path, *, link: str | None, as_json: bool) -> None:
    """Print all revisions of all tickets. Raises SettingsError or LedgerError."""
    with opened(read(config)) as registers:
        revisions, imports = registers.tickets(), registers.imports()
    chosen = [one for one in revisions if link in (None, one.ticket.link)]
    newest = {one.ticket[:3]: one.revision for one in chosen}
    rows = []
    for one in chosen:
        taken, is_newest = imports[one.import_id], newest[one.ticket[:3]] == one.revision
        row = _ticket_row if as_json else _ticket_cells
        rows.append(row(one, taken, is_newest))
    tables.show(rows, as_json=as_json)


def _ticket_row(one: Revision, taken: Import, newest: bool) -> dict[str, Any]:
    return {
        **one.ticket._asdict(),
        "revision": one.revision,
        "newest": newest,
        "import": taken.id,
        "file": taken.file,
        "sha256": taken.digest.hex(),
        **who(taken.recorded),
    }


def _ticket_cells(one: Revision, taken: Import, newest: bool) -> dict[str, Any]:
    ticket = one.ticket
    start, end = (
        "open" if at_s is None else show_time(at_s, taken.zone)
        for at_s in (ticket.start_s, ticket.end_s)
    )
    return {
        "ticket": f"{ticket.ticket} ({ticket.provider})",
        "link": ticket.link,
        "when": f"{start}\n{end}",
        "cause": ticket.cause,
        "revision": f"{one.revision}{'' if newest else ' (replaced)'}",
        "from": f"{taken.file}\nby {taken.recorded.by}",
    }
