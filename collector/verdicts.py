"""Verdicts from throughput tests that somebody already has, in a CSV file.

Columns, by name in the first row and in any order; docs/dedicated-method.md explains them:
time, direction, achieved_mbps are needed; cross_mbps, valid, reason, link, anchor may be there.
Every bad cell is reported with file, row and column, and then nothing is judged.
"""

import csv
import io
import math
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import msgspec

from collector.audit import capacity, daily, dedicated, words
from collector.audit.capacity import MOST_MBPS, Layer, Promise
from collector.audit.daily import Direction, Test
from collector.audit.findings import (
    Case,
    Look,
    Rebuttal,
    Verdict,
)
from collector.audit.gates import Circumstances, Plan, Shown
from collector.audit.phrases import Language

NEEDED = ("time", "direction", "achieved_mbps")
OPTIONAL = ("cross_mbps", "valid", "reason", "link", "anchor")
_TOLD = 20
"""Bad cells that are told one by one."""
_TRUTH = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
_YEARS = range(2000, 2100)
_NUMBER = re.compile(r"[0-9]+(\.[0-9]*)?([eE][+-]?[0-9]{1,3})?")
_SUFFIX = re.compile(r"(.*\d)\s*(WIB|WITA|WIT)\Z")


T = TypeVar("T")


class TableError(ValueError):
    """A file of tests that cannot be taken as it is; the text names every place."""


class Terms(msgspec.Struct, frozen=True):
    """What the file does not say."""

    promise: Promise
    zone: str = "WIB"
    """Of the sites: its evenings are the peak."""
    direction: Direction | None = None
    """None: every direction in the file."""
    goodput: bool = False
    """Whether rates are TCP payload, as speed tests show them, and not IP packets."""
    until: date | None = None
    """Local day after the last one judged; None: after the last test."""
    as_of: date | None = None
    """Day of the audit; None: `until`."""
    plan: Plan = Plan()
    circumstances: Circumstances = Circumstances()
    rebuttal: Rebuttal = Rebuttal()


class Row(NamedTuple):
    """A test and whose it is."""

    link: str
    test: Test


class _Cell(Exception):
    """What is wrong with a cell; its place is added by who reads the row."""


def terms(told: Mapping[str, Any]) -> Terms:
    """Terms from the command's options. Raises ValueError."""

    def day(name: str) -> date | None:
        when = told[name]
        if when is not None and when.year not in _YEARS:
            option = name.replace("_", "-")
            raise ValueError(f"--{option}: expected a year from {_YEARS[0]} to {_YEARS[-1]}")
        return None if when is None else when.date()

    promise = Promise(told["cir"], Layer(told["layer"]), told["vlan"])
    vouched = {gate: Shown.HELD for gate in told["vouch"]}
    return Terms(
        promise,
        told["zone"],
        direction=Direction(told["direction"]) if told["direction"] else None,
        goodput=told["rate"] == "tcp",
        until=day("until"),
        as_of=day("as_of"),
        plan=Plan(minimum_peak=1 if told["low_budget"] else daily.MINIMUM_PEAK),
        circumstances=Circumstances(**vouched),
        rebuttal=Rebuttal(
            delivered=day("delivered"),
            answered=day("answered"),
            objection_open=told["objection"],
        ),
    )


def answer(file: Path, told: Mapping[str, Any], *, as_json: bool, full: bool, lang: str) -> str:
    """What the command prints. Raises OSError or ValueError, with the place in the text."""
    given = terms(told)
    daily.zone(given.zone)
    verdicts = judge(read(file, given), given)
    if as_json:
        return dedicated.encode(verdicts).decode() + "\n"
    return render(verdicts, full=full, language=Language(lang))


def judge(rows: Sequence[Row], terms: Terms) -> tuple[Verdict, ...]:
    """Verdicts by link and direction, in this order. Raises ValueError if nothing is to judge."""
    grouped: dict[tuple[str, Direction], list[Test]] = {}
    for link, test in rows:
        if terms.direction in (None, test.direction):
            grouped.setdefault((link, test.direction), []).append(test)
    if not grouped:
        told = f" {terms.direction}" if terms.direction else ""
        raise ValueError(f"no{told} tests to judge")
    where = daily.zone(terms.zone)
    last_ns = max(test.start_ns for tests in grouped.values() for test in tests)
    last = datetime.fromtimestamp(last_ns // 10**9, UTC).astimezone(where).date()
    until = terms.until or last + timedelta(days=1)
    cases = [
        Case(
            link,
            direction,
            terms.zone,
            terms.promise,
            tuple(tests),
            plan=terms.plan,
            circumstances=terms.circumstances,
            rebuttal=terms.rebuttal,
        )
        for (link, direction), tests in sorted(grouped.items())
    ]
    return dedicated.audit(cases, Look(until, terms.as_of or until))


def render(verdicts: Sequence[Verdict], *, full: bool, language: Language) -> str:
    """All verdicts in words."""
    tell = words.explain if full else words.summary
    return "\n".join(tell(one, language) for one in verdicts)


def read(file: Path, terms: Terms) -> list[Row]:
    """The tests in `file`. Raises TableError for its contents, OSError if it cannot be read."""
    try:
        text = file.read_text("utf-8-sig")
    except UnicodeDecodeError as error:
        raise TableError(f"{file}: byte {error.start}: not UTF-8 text") from error
    semicolons = ";" in text.split("\n", 1)[0]
    lines = csv.reader(
        io.StringIO(text, newline=""), delimiter=";" if semicolons else ",", strict=True
    )
    reader = _Reader(file, terms, decimal_comma=semicolons)
    try:
        header = next(lines, None)
        if header is None:
            raise TableError(f"{file}: empty; expected a first row {','.join(NEEDED)}")
        reader.header(header)
        for cells in lines:
            if any(cell.strip() for cell in cells):
                reader.row(lines.line_num, cells)
    except csv.Error as error:
        raise TableError(f"{file}: row {lines.line_num}: {error}") from error
    return reader.done()


class _Reader:
    """Rows of one file, and all that is wrong with them."""

    def __init__(self, file: Path, terms: Terms, *, decimal_comma: bool) -> None:
        self._file = file
        self._terms = terms
        self._comma = decimal_comma
        self._columns: list[str] = []
        self._rows: list[Row] = []
        self._wrong: list[str] = []
        self._seen: dict[tuple[str, Direction, int], int] = {}

    def header(self, cells: list[str]) -> None:
        """Take the names of the columns. Raises TableError."""
        self._columns = [cell.strip().lower() for cell in cells]
        known = NEEDED + OPTIONAL
        for at, name in enumerate(self._columns):
            place = f"{self._file}: row 1, column {at + 1}"
            if name not in known:
                raise TableError(f"{place}: {name!r} is no column; known: {', '.join(known)}")
            if name in self._columns[:at]:
                raise TableError(f"{place}: {name!r} is there twice")
        missing = [name for name in NEEDED if name not in self._columns]
        if missing:
            raise TableError(f"{self._file}: row 1: no column {', '.join(missing)}")

    def row(self, number: int, cells: list[str]) -> None:
        """Take one row, or note what is wrong with it."""
        if len(cells) != len(self._columns):
            self._note(number, None, f"{len(cells)} cells, expected {len(self._columns)}")
            return
        told = {name: cell.strip() for name, cell in zip(self._columns, cells, strict=True)}
        before = len(self._wrong)
        start_ns = self._cell(number, told, "time", _time)
        direction = self._cell(number, told, "direction", _direction)
        valid = self._cell(number, told, "valid", _truth) if "valid" in told else True
        achieved = self._cell(number, told, "achieved_mbps", self._rate)
        cross = self._cell(number, told, "cross_mbps", self._rate)
        if valid and achieved is None and len(self._wrong) == before:
            self._note(number, "achieved_mbps", "empty: a valid test has a rate")
        if len(self._wrong) > before or start_ns is None or direction is None:
            return
        link = told.get("link") or self._file.stem
        first = self._seen.setdefault((link, direction, start_ns), number)
        if first != number:
            self._note(number, "time", f"the same link, direction and time as row {first}")
            return
        self._rows.append(
            Row(link, self._test(told, start_ns, direction, (achieved, cross, bool(valid))))
        )

    def _test(
        self,
        told: dict[str, str],
        start_ns: int,
        direction: Direction,
        rates: tuple[float | None, float | None, bool],
    ) -> Test:
        achieved, cross, valid = rates
        if achieved is not None and self._terms.goodput:
            achieved /= capacity.tcp_share()
        return Test(
            start_ns,
            direction,
            self._terms.promise.expected_mbps,
            achieved,
            cross,
            valid,
            told.get("reason", ""),
            told.get("anchor") or None,
        )

    def done(self) -> list[Row]:
        """All rows. Raises TableError if any was wrong."""
        if self._wrong:
            more = len(self._wrong) - _TOLD
            shown = self._wrong[:_TOLD] + ([f"and {more} more"] if more > 0 else [])
            raise TableError("\n".join(shown))
        if not self._rows:
            raise TableError(f"{self._file}: no rows below the first")
        return self._rows

    def _cell(
        self, number: int, told: dict[str, str], name: str, parse: Callable[[str], T]
    ) -> T | None:
        try:
            return parse(told.get(name, ""))
        except _Cell as error:
            self._note(number, name, f"{told[name]!r}: {error}")
            return None

    def _rate(self, text: str) -> float | None:
        if not text:
            return None
        if self._comma:
            text = text.replace(",", ".")
        rate = float(text) if _NUMBER.fullmatch(text) else math.nan
        if not 0 <= rate <= MOST_MBPS:
            raise _Cell(f"expected Mbit/s from 0 to {MOST_MBPS:g}, or nothing")
        return rate

    def _note(self, number: int, column: str | None, what: str) -> None:
        place = f"row {number}" + (f", column {column}" if column else "")
        self._wrong.append(f"{self._file}: {place}: {what}")


def _direction(text: str) -> Direction:
    try:
        return Direction(text.lower())
    except ValueError:
        raise _Cell("expected down or up") from None


def _truth(text: str) -> bool:
    try:
        return _TRUTH[text.lower()]
    except KeyError:
        raise _Cell("expected true or false") from None


def _time(text: str) -> int:
    named = _SUFFIX.fullmatch(text)
    try:
        when = datetime.fromisoformat(named[1].strip() if named else text)
        if named:
            if when.tzinfo is not None:
                raise ValueError("two zones")
            when = when.replace(tzinfo=daily.zone(named[2]))
    except ValueError:
        raise _Cell("expected a time with its zone such as 2026-04-01T19:23:00+07:00") from None
    if when.tzinfo is None:
        raise _Cell("no zone: expected +07:00, Z, WIB, WITA or WIT behind the time")
    if when.year not in _YEARS:
        raise _Cell(f"expected a year from {_YEARS[0]} to {_YEARS[-1]}")
    # In whole microseconds: a float of seconds since 1970 would round.
    return (when - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1) * 1000
