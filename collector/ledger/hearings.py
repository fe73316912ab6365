"""The register of hearings: what providers were given and answered. Append-only."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import date
from typing import Any

import apsw

from collector.hearings import ClosedAs, Closing, Hearing, HearingEntry, HearingKind
from collector.ledger import LedgerError
from collector.maintenance import Recorded, Scope

TABLES = ("hearing", "hearing_closed")
SCHEMA = """
CREATE TABLE IF NOT EXISTS hearing (
  id INTEGER PRIMARY KEY, link TEXT, pop TEXT, provider TEXT, district TEXT, until TEXT NOT NULL,
  kind TEXT NOT NULL, day TEXT NOT NULL, words TEXT NOT NULL, document TEXT,
  recorded_by TEXT NOT NULL, os_user TEXT NOT NULL, recorded_wall_ns INTEGER NOT NULL
) STRICT;

CREATE TABLE IF NOT EXISTS hearing_closed (
  hearing_id INTEGER PRIMARY KEY REFERENCES hearing (id), kind TEXT NOT NULL, reason TEXT NOT NULL,
  recorded_by TEXT NOT NULL, os_user TEXT NOT NULL, recorded_wall_ns INTEGER NOT NULL
) STRICT;
"""
_ENTRIES = """
SELECT h.*, c.kind, c.reason, c.recorded_by, c.os_user, c.recorded_wall_ns
FROM hearing h LEFT JOIN hearing_closed c ON c.hearing_id = h.id
"""
Row = tuple[Any, ...]


class HearingRegister:
    """On a ledger that is open; calls may come from any thread, one at a time."""

    def __init__(
        self,
        db: apsw.Connection,
        transaction: Callable[[], AbstractContextManager[object]],
        rows: Callable[..., list[Row]],
    ) -> None:
        """`transaction` and `rows` are the ledger's: they lock, and translate its errors."""
        self._db, self._transaction, self._rows = db, transaction, rows

    def add(self, hearing: Hearing, recorded: Recorded) -> HearingEntry:
        """Record what happened; the entry with its number."""
        with self._transaction():
            self._db.execute(
                "INSERT INTO hearing VALUES (NULL,?,?,?,?,?,?,?,?,?,?,?,?)",
                (
                    *hearing.scope,
                    hearing.until.isoformat(),
                    hearing.kind.value,
                    hearing.day.isoformat(),
                    hearing.words,
                    hearing.document,
                    *recorded,
                ),
            )
            return HearingEntry(self._db.last_insert_rowid(), hearing, recorded, None)

    def close(self, entry: int, closing: Closing) -> HearingEntry:
        """Record that a hearing stands no longer.

        Raises LedgerError where there is no such entry, it is closed already, or it is to be
        settled and is no objection.
        """
        with self._transaction():
            found = self._db.execute(f"{_ENTRIES} WHERE h.id=?", (entry,)).fetchone()
            if found is None:
                raise LedgerError(f"no rebuttal entry {entry}; see `rebuttal list`")
            known = _entry(found)
            if known.closing is not None:
                by = known.closing.recorded.by
                raise LedgerError(
                    f"rebuttal entry {entry} was {known.closing.kind} already by {by}"
                )
            objected = known.hearing.kind is HearingKind.OBJECTED
            if closing.kind is ClosedAs.SETTLED and not objected:
                raise LedgerError(
                    f"rebuttal entry {entry} is no objection: {known.hearing.kind} is not settled"
                )
            self._db.execute(
                "INSERT INTO hearing_closed VALUES (?,?,?,?,?,?)",
                (entry, closing.kind.value, closing.reason, *closing.recorded),
            )
            return known._replace(closing=closing)

    def entries(self) -> list[HearingEntry]:
        """All of them, the closed ones too, by their day."""
        return [_entry(row) for row in self._rows(f"{_ENTRIES} ORDER BY h.day, h.id")]


def _entry(row: Row) -> HearingEntry:
    number, link, pop, provider, district, until, kind, day, words, document = row[:10]
    hearing = Hearing(
        Scope(link, pop, provider, district),
        date.fromisoformat(until),
        HearingKind(kind),
        date.fromisoformat(day),
        words,
        document,
    )
    closed_as, reason, *who = row[13:]
    closing = None if closed_as is None else Closing(ClosedAs(closed_as), reason, Recorded(*who))
    return HearingEntry(number, hearing, Recorded(*row[10:13]), closing)
