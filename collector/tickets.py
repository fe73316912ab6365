"""The provider's own list of outages, as it came: read whole or not at all.

A ticket is the provider's word, kept beside what was measured and never mixed with it. The same
ticket told differently later is a new revision; what a later list leaves out stays.
"""

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

from collector.audit.calendar import Zone
from collector.inventory import Inventory, Link
from collector.maintenance import Recorded

REQUIRED = ("ticket", "start", "end", "cause")
PLACES = ("link", "circuit")
"""At least one of these columns; where a row fills both, they have to be the same link."""
KNOWN = (*REQUIRED, *PLACES)
MAX_CELL = 1_000
MAX_ERRORS = 100
"""Errors that are listed; how many more there are is counted."""
TIME_FORM = "YYYY-MM-DD HH:MM or YYYY-MM-DD HH:MM:SS"
_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - local civil time: the zone is added by hand
_FORMS = ("%Y-%m-%d %H:%M", "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S")


class Ticket(NamedTuple):
    """One outage by the provider's account; times in UTC seconds."""

    provider: str
    ticket: str
    """The provider's number for it."""
    link: str
    start_s: int
    end_s: int | None
    """None is not over, by their account."""
    cause: str
    """In the provider's words."""


class Import(NamedTuple):
    """One file that was taken."""

    id: int
    file: str
    digest: bytes
    """SHA-256 of its bytes."""
    provider: str | None
    zone: Zone
    tickets: int
    """Rows it held."""
    recorded: Recorded


class Revision(NamedTuple):
    """A ticket as one file told it; revision 1 is the first."""

    ticket: Ticket
    revision: int
    import_id: int


class Taken(NamedTuple):
    """What became of an import."""

    id: int
    repeated: bool
    """The same file was taken before: nothing was written."""
    new: int
    changed: int
    unchanged: int


class TicketsError(ValueError):
    """A file that cannot be taken; one line for every wrong cell."""


@dataclass(frozen=True, kw_only=True)
class Reading:
    """How a file is to be understood."""

    file: str
    provider: str | None
    zone: Zone
    now_s: int


@dataclass(frozen=True, kw_only=True)
class Listed:
    """What a file says."""

    tickets: tuple[Ticket, ...]
    ignored_columns: tuple[str, ...]


def parse_time(text: str, zone: Zone) -> int:
    """UTC seconds of a local date and time. Raises ValueError."""
    for form in _FORMS:
        try:
            local = datetime.strptime(text.strip(), form)  # noqa: DTZ007 - the zone is added below
        except ValueError:
            continue
        if not 2000 <= local.year < 2200:
            raise ValueError(f"{text!r}: expected a year from 2000 to 2199")
        return (local - _EPOCH) // timedelta(seconds=1) - zone.offset_s
    raise ValueError(f"{text!r}: expected {TIME_FORM}")


def show_time(at_s: int, zone: Zone) -> str:
    """UTC seconds as local date and time with its zone."""
    local = _EPOCH + timedelta(seconds=at_s + zone.offset_s)
    return f"{local:%Y-%m-%d %H:%M:%S} {zone}"


def parse(data: bytes, how: Reading, inventory: Inventory) -> Listed:
    """All tickets of a CSV file. Raises TicketsError with every wrong cell."""
    rows = list(_rows(data, how.file))
    if not rows:
        raise TicketsError(f"{how.file}: empty, expected a row of column names")
    names = [name.strip().lower() for name in rows[0]]
    _check_columns(names, how.file)
    reader = _Reader(names, how, inventory)
    for number, cells in enumerate(rows[1:], start=2):
        if any(cell.strip() for cell in cells):
            reader.take(number, cells)
    if reader.errors:
        shown = reader.errors[:MAX_ERRORS]
        more = len(reader.errors) - len(shown)
        raise TicketsError("\n".join([*shown, *([f"and {more} more"] if more else [])]))
    ignored = tuple(name for name in names if name and name not in KNOWN)
    return Listed(tickets=tuple(reader.tickets), ignored_columns=ignored)


def _rows(data: bytes, file: str) -> Iterator[list[str]]:
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise TicketsError(f"{file}: byte {error.start} is not UTF-8 text") from error
    head = text.partition("\n")[0]
    # A spreadsheet in Indonesian writes semicolons, because the comma is its decimal sign.
    delimiter = max(",;\t", key=head.count)
    reader = csv.reader(text.splitlines(keepends=True), delimiter=delimiter, strict=True)
    try:
        yield from reader
    except csv.Error as error:
        raise TicketsError(f"{file}: line {reader.line_num}: {error}") from error


def _check_columns(names: list[str], file: str) -> None:
    twice = sorted({name for name in names if name in KNOWN and names.count(name) > 1})
    if twice:
        raise TicketsError(f"{file}: row 1: column {twice[0]!r} is there twice")
    missing = [name for name in REQUIRED if name not in names]
    if not any(name in names for name in PLACES):
        missing.append("link or circuit")
    if missing:
        raise TicketsError(
            f"{file}: row 1: missing column {', '.join(missing)};"
            f" expected {', '.join(REQUIRED)} and link or circuit"
        )


class _Reader:
    """Rows into tickets, and what is wrong with them."""

    def __init__(self, names: list[str], how: Reading, inventory: Inventory) -> None:
        self._names, self._how, self._inventory = names, how, inventory
        self._circuits: dict[str, list[Link]] = {}
        for link in inventory.links.values():
            if link.circuit is not None and how.provider in (None, link.provider):
                self._circuits.setdefault(link.circuit, []).append(link)
        self._seen: dict[tuple[str, str], int] = {}
        self._number, self._row = 1, dict[str, str]()
        self.tickets: list[Ticket] = []
        self.errors: list[str] = []

    def take(self, number: int, cells: list[str]) -> None:
        """One row of the file; `number` is a spreadsheet's."""
        self._number = number
        if len(cells) != len(self._names):
            place = f"{self._how.file}: row {number}"
            self.errors.append(f"{place}: {len(cells)} cells, expected {len(self._names)}")
            return
        wrong_before = len(self.errors)
        self._row = {name: cell.strip() for name, cell in zip(self._names, cells, strict=True)}
        ticket, link, cause = self._text("ticket"), self._link(), self._text("cause")
        start_s = self._time("start")
        end_s = self._time("end") if self._row["end"] else None
        if start_s is not None and end_s is not None and end_s <= start_s:
            self._wrong("end", f"{self._row['end']!r} is not after start {self._row['start']!r}")
        if len(self.errors) > wrong_before:
            return
        assert ticket is not None and link is not None and cause is not None and start_s is not None
        first = self._seen.setdefault((ticket, link.id), number)
        if first != number:
            self._wrong("ticket", f"{ticket!r} of link {link.id!r} is row {first} already")
            return
        self.tickets.append(Ticket(link.provider, ticket, link.id, start_s, end_s, cause))

    def _wrong(self, column: str, said: str) -> None:
        self.errors.append(f"{self._how.file}: row {self._number}, column {column}: {said}")

    def _text(self, column: str) -> str | None:
        text = self._row[column]
        if text and len(text) <= MAX_CELL:
            return text
        self._wrong(column, f"{len(text)} characters, expected 1 to {MAX_CELL}")
        return None

    def _time(self, column: str) -> int | None:
        try:
            at_s = parse_time(self._row[column], self._how.zone)
        except ValueError as error:
            self._wrong(column, str(error))
            return None
        if at_s > self._how.now_s:
            self._wrong(column, f"{self._row[column]!r} {self._how.zone} is in the future")
            return None
        return at_s

    def _link(self) -> Link | None:
        """The link by its id, its circuit, or both."""
        by_id, by_circuit = self._row.get("link", ""), self._row.get("circuit", "")
        if not by_id and not by_circuit:
            column = "link" if "link" in self._row else "circuit"
            self._wrong(column, "empty, expected a link id or a circuit")
            return None
        link = self._by_id(by_id) if by_id else self._by_circuit(by_circuit)
        if link is None:
            return None
        if by_id and by_circuit and link.circuit != by_circuit:
            self._wrong("circuit", f"{by_circuit!r}, but link {link.id!r} is {link.circuit!r}")
            return None
        if self._how.provider not in (None, link.provider):
            column = "link" if by_id else "circuit"
            self._wrong(column, f"{link.id!r} is of provider {link.provider!r}")
            return None
        return link

    def _by_id(self, told: str) -> Link | None:
        link = self._inventory.links.get(told)
        if link is None:
            self._wrong("link", f"{told!r} is not a link of the links file")
        return link

    def _by_circuit(self, told: str) -> Link | None:
        links = self._circuits.get(told, [])
        if len(links) == 1:
            return links[0]
        if links:
            ids = ", ".join(link.id for link in links)
            self._wrong("circuit", f"{told!r} is of several links: {ids}")
        else:
            self._wrong("circuit", f"{told!r} is not a circuit of the links file")
        return None
