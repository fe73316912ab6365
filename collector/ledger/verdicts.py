"""Verdicts as they were given, revision by revision, and what was looked at for them.

A verdict is never edited. A look is named by the local day after the last one judged; a look whose
evidence changed afterwards gets a new revision beside the old ones. `look` holds what the newest
revisions of a look were made of, so that nothing is judged twice for nothing.
"""

import zlib
from collections.abc import Sequence
from datetime import date
from typing import NamedTuple

import msgspec

from collector.audit.findings import Verdict
from collector.ledger.sqlite import Row, SqliteLedger

SCHEMA = """
CREATE TABLE IF NOT EXISTS verdict (
  until TEXT NOT NULL, link TEXT NOT NULL, direction TEXT NOT NULL, revision INTEGER NOT NULL,
  made_s INTEGER NOT NULL, digest TEXT NOT NULL, statement TEXT NOT NULL, verdict BLOB NOT NULL,
  PRIMARY KEY (link, direction, until, revision)
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS verdict_until ON verdict (until);

CREATE TABLE IF NOT EXISTS look (until TEXT PRIMARY KEY, made_of TEXT NOT NULL)
  STRICT, WITHOUT ROWID;
"""
_COLUMNS = "until, revision, made_s, digest, statement, verdict"
_decode = msgspec.json.Decoder(Verdict).decode


class Kept(NamedTuple):
    """One revision of a verdict."""

    until: date
    revision: int
    made_s: int
    """When the collector said so (UTC seconds)."""
    digest: str
    """SHA-256 of the kept bytes, in hex."""
    statement: str
    """What is said, without a number in it: a verdict changed when this did."""
    data: bytes
    """The verdict as JSON, the bytes that `digest` is of."""

    @property
    def verdict(self) -> Verdict:
        """The typed form."""
        return _decode(self.data)


class Draft(NamedTuple):
    """A verdict to be kept."""

    link: str
    direction: str
    digest: str
    statement: str
    data: bytes


class Change(NamedTuple):
    """A verdict that says something else than the one before it; `before` None: the first."""

    link: str
    direction: str
    until: date
    made_s: int
    before: str | None
    now: str


class VerdictStore:
    """Tables beside the ledger's own, on its connection."""

    def __init__(self, ledger: SqliteLedger) -> None:
        self._ledger = ledger
        with ledger.transaction() as db:
            db.execute(SCHEMA)

    def made_of(self, until: date) -> str | None:
        """What the look's newest revisions were made of; None for a look that never was."""
        rows = self._ledger.rows("SELECT made_of FROM look WHERE until=?", (until.isoformat(),))
        return rows[0][0] if rows else None

    def keep(self, until: date, made_of: str, drafts: Sequence[Draft], made_s: int) -> list[Change]:
        """Append what differs from the newest revision; all or nothing.

        Returns the verdicts that say something else than the link's word before.
        """
        changes = []
        day = until.isoformat()
        with self._ledger.transaction() as db:
            for one in drafts:
                of = one.link, one.direction
                row: Row | None = db.execute(
                    "SELECT revision, digest FROM verdict WHERE link=? AND direction=? AND until=?"
                    " ORDER BY revision DESC LIMIT 1",
                    (*of, day),
                ).fetchone()
                if row is not None and row[1] == one.digest:
                    continue
                before: Row | None = db.execute(
                    "SELECT statement FROM verdict WHERE link=? AND direction=? AND until<=?"
                    " ORDER BY until DESC, revision DESC LIMIT 1",
                    (*of, day),
                ).fetchone()
                db.execute(
                    "INSERT INTO verdict VALUES (?,?,?,?,?,?,?,?)",
                    (
                        day,
                        *of,
                        1 if row is None else row[0] + 1,
                        made_s,
                        one.digest,
                        one.statement,
                        zlib.compress(one.data),
                    ),
                )
                said = None if before is None else str(before[0])
                if said != one.statement:
                    changes.append(Change(*of, until, made_s, said, one.statement))
            db.execute("INSERT OR REPLACE INTO look VALUES (?,?)", (day, made_of))
        return changes

    def looks(self) -> list[date]:
        """All looks, the oldest first."""
        rows = self._ledger.rows("SELECT until FROM look ORDER BY until")
        return [date.fromisoformat(row[0]) for row in rows]

    def newest(self, until: date, link: str | None = None) -> list[Kept]:
        """The newest revisions of one look, by link and direction."""
        rows = self._ledger.rows(
            f"SELECT {_COLUMNS} FROM verdict v WHERE until=?1 AND link=coalesce(?2, link)"
            " AND revision=(SELECT max(revision) FROM verdict WHERE link=v.link"
            " AND direction=v.direction AND until=v.until) ORDER BY link, direction",
            (until.isoformat(), link),
        )
        return [_kept(row) for row in rows]

    def history(self, link: str, direction: str, until: date) -> list[Kept]:
        """All revisions of one verdict, the first first."""
        rows = self._ledger.rows(
            f"SELECT {_COLUMNS} FROM verdict WHERE link=? AND direction=? AND until=?"
            " ORDER BY revision",
            (link, direction, until.isoformat()),
        )
        return [_kept(row) for row in rows]

    def since(self, link: str, direction: str, until: date) -> int:
        """Since when (UTC seconds) the link's word up to this look is what it is now.

        Raises KeyError where there is no verdict.
        """
        rows = self._ledger.rows(
            "SELECT made_s, statement FROM verdict WHERE link=? AND direction=? AND until<=?"
            " ORDER BY until DESC, revision DESC",
            (link, direction, until.isoformat()),
        )
        if not rows:
            raise KeyError((link, direction, until))
        since_s = int(rows[0][0])
        for made_s, statement in rows:
            if statement != rows[0][1]:
                break
            since_s = int(made_s)
        return since_s


def _kept(row: Row) -> Kept:
    return Kept(date.fromisoformat(row[0]), row[1], row[2], row[3], row[4], zlib.decompress(row[5]))
