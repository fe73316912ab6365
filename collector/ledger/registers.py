"""What people told the ledger: maintenance windows, the providers' tickets, hearings. Append-only.

Nothing here is changed or removed, and the tables themselves refuse it: a cancellation and a
changed ticket are rows of their own, with who and when.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import apsw

from collector.audit.calendar import Zone
from collector.ledger import LedgerError, hearings
from collector.ledger.hearings import HearingRegister
from collector.maintenance import Cancelled, Entry, Kind, Notice, Recorded, Scope
from collector.tickets import Import, Revision, Taken, Ticket
from collector.tree import leaf
from collector.tree.leaf import LeafKind

_TABLES = ("maintenance", "maintenance_cancelled", "ticket_import", "ticket", *hearings.TABLES)

_SCHEMA = """
CREATE TABLE IF NOT EXISTS maintenance (
  id INTEGER PRIMARY KEY, link TEXT, pop TEXT, provider TEXT, district TEXT,
  start_s INTEGER NOT NULL, end_s INTEGER NOT NULL CHECK (end_s > start_s), zone TEXT NOT NULL,
  kind TEXT NOT NULL, announced_s INTEGER NOT NULL, approved_by TEXT, reason TEXT NOT NULL,
  document TEXT, recorded_by TEXT NOT NULL, os_user TEXT NOT NULL, recorded_wall_ns INTEGER NOT NULL
) STRICT;

CREATE TABLE IF NOT EXISTS maintenance_cancelled (
  maintenance_id INTEGER PRIMARY KEY REFERENCES maintenance (id), reason TEXT NOT NULL,
  recorded_by TEXT NOT NULL, os_user TEXT NOT NULL, recorded_wall_ns INTEGER NOT NULL
) STRICT;

CREATE TABLE IF NOT EXISTS ticket_import (
  id INTEGER PRIMARY KEY, file TEXT NOT NULL, digest BLOB NOT NULL, provider TEXT,
  zone TEXT NOT NULL, tickets INTEGER NOT NULL,
  recorded_by TEXT NOT NULL, os_user TEXT NOT NULL, recorded_wall_ns INTEGER NOT NULL
) STRICT;

CREATE TABLE IF NOT EXISTS ticket (
  provider TEXT NOT NULL, ticket TEXT NOT NULL, link TEXT NOT NULL, start_s INTEGER NOT NULL,
  end_s INTEGER, cause TEXT NOT NULL, revision INTEGER NOT NULL,
  import_id INTEGER NOT NULL REFERENCES ticket_import (id),
  PRIMARY KEY (provider, ticket, link, revision)
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS ticket_of_import ON ticket (import_id);
"""
SCHEMA_REGISTERS = (_SCHEMA + hearings.SCHEMA) + "".join(
    f"CREATE TRIGGER IF NOT EXISTS {table}_no_{deed} BEFORE {deed} ON {table}"
    f" BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END;\n"
    for table in _TABLES
    for deed in ("update", "delete")
)
"""Run at every opening, so that a ledger from before the registers gains them."""

_ENTRIES = """
SELECT m.*, c.reason, c.recorded_by, c.os_user, c.recorded_wall_ns
FROM maintenance m LEFT JOIN maintenance_cancelled c ON c.maintenance_id = m.id
"""

Row = tuple[Any, ...]


class Registers:
    """The registers of a ledger that is open; calls may come from any thread, one at a time."""

    def __init__(
        self,
        db: apsw.Connection,
        transaction: Callable[[], AbstractContextManager[object]],
        rows: Callable[..., list[Row]],
    ) -> None:
        """`transaction` and `rows` are the ledger's: they lock, and translate its errors."""
        self._db, self._transaction, self._rows = db, transaction, rows
        self.hearings = HearingRegister(db, transaction, rows)

    # --- maintenance ----------------------------------------------------------------------

    def add_maintenance(self, notice: Notice, recorded: Recorded) -> Entry:
        """Record a window; the entry with its number."""
        with self._transaction():
            self._db.execute(
                "INSERT INTO maintenance VALUES (NULL,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
                (
                    *notice.scope,
                    notice.start_s,
                    notice.end_s,
                    notice.zone.value,
                    notice.kind.value,
                    notice.announced_s,
                    notice.approved_by,
                    notice.reason,
                    notice.document,
                    *recorded,
                ),
            )
            return Entry(self._db.last_insert_rowid(), notice, recorded, None)

    def cancel_maintenance(self, entry: int, reason: str, recorded: Recorded) -> Entry:
        """Record that a window holds no longer.

        Raises LedgerError where there is no such entry, or it is cancelled already.
        """
        with self._transaction():
            found = self._db.execute(f"{_ENTRIES} WHERE m.id=?", (entry,)).fetchone()
            if found is None:
                raise LedgerError(f"no maintenance entry {entry}; see `maintenance list`")
            known = _entry(found)
            if known.cancelled is not None:
                by = known.cancelled.recorded.by
                raise LedgerError(f"maintenance entry {entry} was cancelled already by {by}")
            self._db.execute(
                "INSERT INTO maintenance_cancelled VALUES (?,?,?,?,?)", (entry, reason, *recorded)
            )
            return known._replace(cancelled=Cancelled(reason, recorded))

    def maintenance(self) -> list[Entry]:
        """All entries, the cancelled ones too, by their beginning."""
        return [_entry(row) for row in self._rows(f"{_ENTRIES} ORDER BY m.start_s, m.id")]

    # --- as leaves of the tree ------------------------------------------------------------

    def leaves(self, db: apsw.Connection, kind: LeafKind, ids: tuple[int, int]) -> list[bytes]:
        """What the tree's leaves of rows [first, end) of a register hold; within a transaction."""
        if kind is LeafKind.MAINTENANCE:
            found: list[Row] = db.execute(
                f"{_ENTRIES} WHERE m.id>=? AND m.id<? ORDER BY m.id", ids
            ).fetchall()
            entries = map(_entry, found)
            return [leaf.of_maintenance(one.id, one.notice, one.recorded) for one in entries]
        if kind is LeafKind.CANCELLATION:
            found = db.execute(
                "SELECT * FROM maintenance_cancelled WHERE maintenance_id>=? AND maintenance_id<?"
                " ORDER BY maintenance_id",
                ids,
            ).fetchall()
            return [
                leaf.of_cancellation(row[0], Cancelled(row[1], Recorded(*row[2:]))) for row in found
            ]
        found = db.execute(
            "SELECT * FROM ticket_import WHERE id>=? AND id<? ORDER BY id", ids
        ).fetchall()
        return [leaf.of_tickets(_import(row), _digests(db, row[0])) for row in found]

    def ticket_digests(self, import_id: int) -> list[str]:
        """Of all tickets that an import brought (`collector.tree.leaf.ticket_digest`), sorted."""
        with self._transaction():
            return sorted(_digests(self._db, import_id))

    # --- tickets --------------------------------------------------------------------------

    def import_tickets(self, taken: Import, tickets: tuple[Ticket, ...]) -> Taken:
        """Record a file and what is new in it; `taken.id` is not read.

        The same bytes, read the same way, are taken once: later they change nothing.
        """
        with self._transaction():
            before = self._db.execute(
                "SELECT id FROM ticket_import WHERE digest=? AND provider IS ? AND zone=?",
                (taken.digest, taken.provider, taken.zone.value),
            ).fetchone()
            if before is not None:
                return Taken(before[0], repeated=True, new=0, changed=0, unchanged=len(tickets))
            self._db.execute(
                "INSERT INTO ticket_import VALUES (NULL,?,?,?,?,?,?,?,?)",
                (
                    taken.file,
                    taken.digest,
                    taken.provider,
                    taken.zone.value,
                    len(tickets),
                    *taken.recorded,
                ),
            )
            import_id = self._db.last_insert_rowid()
            became = [self._put(ticket, import_id) for ticket in tickets]
            return Taken(
                import_id,
                repeated=False,
                new=became.count(1),
                changed=sum(revision is not None and revision > 1 for revision in became),
                unchanged=became.count(None),
            )

    def _put(self, ticket: Ticket, import_id: int) -> int | None:
        """The number of the revision that the ticket became; None where it is as before."""
        newest = self._db.execute(
            "SELECT provider, ticket, link, start_s, end_s, cause, revision FROM ticket"
            " WHERE provider=? AND ticket=? AND link=? ORDER BY revision DESC LIMIT 1",
            ticket[:3],
        ).fetchone()
        if newest is not None and Ticket(*newest[:-1]) == ticket:
            return None
        revision = 1 if newest is None else newest[-1] + 1
        self._db.execute(
            "INSERT INTO ticket VALUES (?,?,?,?,?,?,?,?)", (*ticket, revision, import_id)
        )
        return int(revision)

    def tickets(self) -> list[Revision]:
        """All revisions of all tickets, by link, number and revision."""
        rows = self._rows("SELECT * FROM ticket ORDER BY link, provider, ticket, revision")
        return [Revision(Ticket(*row[:6]), *row[6:]) for row in rows]

    def imports(self) -> dict[int, Import]:
        """The files that were taken, by number."""
        rows = self._rows("SELECT * FROM ticket_import ORDER BY id")
        return {row[0]: _import(row) for row in rows}


def _digests(db: apsw.Connection, import_id: int) -> list[str]:
    rows: list[Row] = db.execute("SELECT * FROM ticket WHERE import_id=?", (import_id,)).fetchall()
    return [leaf.ticket_digest(Revision(Ticket(*row[:6]), *row[6:])) for row in rows]


def _import(row: Row) -> Import:
    number, file, digest, provider, zone, tickets, *who = row
    return Import(number, file, digest, provider, Zone(zone), tickets, Recorded(*who))


def _entry(row: Row) -> Entry:
    number, link, pop, provider, district, start_s, end_s, zone, kind, announced_s = row[:10]
    approved_by, reason, document, *who = row[10:]
    recorded, cancelled = Recorded(*who[:3]), who[3:]
    notice = Notice(
        Scope(link, pop, provider, district),
        start_s,
        end_s,
        Zone(zone),
        Kind(kind),
        announced_s,
        approved_by,
        reason,
        document,
    )
    if cancelled[0] is None:
        return Entry(number, notice, recorded, None)
    return Entry(number, notice, recorded, Cancelled(cancelled[0], Recorded(*cancelled[1:])))
