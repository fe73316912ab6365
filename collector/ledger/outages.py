"""Outages as they were known, revision by revision, and the intervals they were read from.

An outage is never edited: what later evidence changes is a new revision beside the old ones, and
what it dissolves is a revision that withdraws it. `interval` is a view of the evidence up to where
it is settled, rewritten where evidence changed; revisions are what was said.
"""

from collections import Counter
from collections.abc import Sequence
from enum import StrEnum
from typing import NamedTuple

import apsw
import msgspec

from collector.audit.evidence import Span
from collector.audit.intervals import Interval, Outage
from collector.audit.states import Cause, Charge, EvidenceClass, State
from collector.ledger.sqlite import Row, SqliteLedger

SCHEMA = """
CREATE TABLE IF NOT EXISTS outage (
  id INTEGER NOT NULL, revision INTEGER NOT NULL, lane TEXT NOT NULL, link TEXT NOT NULL,
  made_s INTEGER NOT NULL, settled INTEGER NOT NULL, withdrawn INTEGER NOT NULL,
  start_s INTEGER NOT NULL, end_s INTEGER,
  outage BLOB NOT NULL, PRIMARY KEY (id, revision)
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS outage_when ON outage (link, start_s);
CREATE INDEX IF NOT EXISTS outage_until ON outage (lane, end_s, start_s);

CREATE TABLE IF NOT EXISTS interval (
  link TEXT NOT NULL, start_s INTEGER NOT NULL, end_s INTEGER NOT NULL, state TEXT NOT NULL,
  cause TEXT NOT NULL, charge TEXT NOT NULL, witnesses TEXT NOT NULL, why TEXT NOT NULL,
  event TEXT, PRIMARY KEY (link, start_s)
) STRICT, WITHOUT ROWID;

-- What was blamed on something: few among all, and found by their time.
CREATE INDEX IF NOT EXISTS interval_blamed ON interval (end_s) WHERE cause<>'none';

-- Spans whose state, once told to others, became another: what a backfill sends anew. Numbers are
-- never used twice, because endpoints remember how far they have read.
CREATE TABLE IF NOT EXISTS interval_revision (
  id INTEGER PRIMARY KEY AUTOINCREMENT, link TEXT NOT NULL, start_s INTEGER NOT NULL,
  end_s INTEGER NOT NULL
) STRICT;

-- By what contracts and windows the intervals of a link were judged.
CREATE TABLE IF NOT EXISTS judged_by (
  link TEXT PRIMARY KEY, digest TEXT NOT NULL
) STRICT, WITHOUT ROWID;
"""

SETTLED_AFTER_S = 90
"""What is judged is told to others when the evidence reaches so far beyond it: what follows a cut
decides its cause, and peers count as fine when they were up for 60 s more."""

_decode = msgspec.json.Decoder(Outage).decode
_encode = msgspec.json.Encoder(order="sorted").encode


class Lane(StrEnum):
    """By whose word an outage is known."""

    LIVE = "live"
    """what the hub heard at once: provisional"""
    EVIDENCE = "evidence"
    """the node's own signed records"""


class Revision(NamedTuple):
    """Something to say of an outage."""

    id: int | None
    """None for one that was not spoken of before."""
    withdrawn: bool
    outage: Outage


class Kept(NamedTuple):
    """One revision of an outage."""

    id: int
    revision: int
    lane: Lane
    made_s: int
    """When the collector said so (UTC seconds)."""
    withdrawn: bool
    outage: Outage


def _kept(row: Row) -> Kept:
    return Kept(row[0], row[1], Lane(row[2]), row[3], bool(row[4]), _decode(row[5]))


class OutageStore:
    """Tables beside the ledger's own, on its connection."""

    def __init__(self, ledger: SqliteLedger) -> None:
        self._ledger = ledger
        with ledger.transaction() as db:
            db.execute(SCHEMA)

    # --- what was said --------------------------------------------------------------------

    def newest(self, lane: Lane, link: str, span: Span) -> list[Kept]:
        """The newest revision of every outage of a link that touches the span, withdrawn ones
        too."""
        return self._read(
            "WHERE lane=? AND link=? AND start_s<? AND coalesce(end_s, ?)>=?",
            (lane, link, span.end_s, span.end_s, span.start_s),
        )

    def all_newest(self, lane: Lane, span: Span) -> list[Kept]:
        """The newest revision of every link's outages that touch the span."""
        return self._read(
            "WHERE lane=? AND start_s<? AND (end_s IS NULL OR end_s>=?)",
            (lane, span.end_s, span.start_s),
        )

    def latest(self, lane: Lane, since_s: int) -> list[Kept]:
        """The outage of each link that began last, of those that began at `since_s` or later and
        were not withdrawn."""
        # SQLite takes the bare columns from the row that has the maximum.
        rows = self._ledger.rows(
            "SELECT id, revision, lane, made_s, withdrawn, outage, max(start_s) FROM outage o"
            " WHERE lane=? AND start_s>=? AND NOT withdrawn"
            " AND revision=(SELECT max(revision) FROM outage WHERE id=o.id) GROUP BY link",
            (lane, since_s),
        )
        return [_kept(row) for row in rows]

    def lasting(self, lane: Lane) -> list[Kept]:
        """The outages that have no end yet."""
        return self._read("WHERE lane=? AND end_s IS NULL AND NOT withdrawn", (lane,))

    def _read(self, where: str, values: tuple[str | int, ...]) -> list[Kept]:
        rows = self._ledger.rows(
            "SELECT id, revision, lane, made_s, withdrawn, outage FROM outage o"
            f" {where} AND revision=(SELECT max(revision) FROM outage WHERE id=o.id)"
            " ORDER BY start_s, link, id",
            values,
        )
        return [_kept(row) for row in rows]

    def history(self, outage_id: int) -> list[Kept]:
        """All revisions of one outage, the first first."""
        rows = self._ledger.rows(
            "SELECT id, revision, lane, made_s, withdrawn, outage FROM outage WHERE id=?"
            " ORDER BY revision",
            (outage_id,),
        )
        return [_kept(row) for row in rows]

    def say(self, lane: Lane, revisions: Sequence[Revision], made_s: int) -> list[int]:
        """Append revisions; all or nothing. Returns their ids."""
        with self._ledger.transaction() as db:
            return [_append(db, lane, one, made_s) for one in revisions]

    # --- intervals ------------------------------------------------------------------------

    def keep_intervals(self, link: str, span: Span, intervals: Sequence[Interval]) -> None:
        """Put these intervals, which fill `span`, in the place of what is there."""
        with self._ledger.transaction() as db:
            around: list[Row] = db.execute(
                "SELECT * FROM interval WHERE link=? AND start_s<? AND end_s>?",
                (link, span.end_s, span.start_s),
            ).fetchall()
            _note_revision(db, link, around, intervals)
            db.execute(
                "DELETE FROM interval WHERE link=? AND start_s<? AND end_s>?",
                (link, span.end_s, span.start_s),
            )
            rows: list[Row] = [
                (
                    link,
                    one.start_s,
                    one.end_s,
                    one.state,
                    one.cause,
                    one.charge,
                    " ".join(one.witnesses),
                    one.why,
                    one.event,
                )
                for one in intervals
            ]
            for row in around:
                if row[1] < span.start_s:
                    rows.append((link, row[1], span.start_s, *row[3:]))
                if row[2] > span.end_s:
                    rows.append((link, span.end_s, row[2], *row[3:]))
            db.executemany("INSERT INTO interval VALUES (?,?,?,?,?,?,?,?,?)", rows)

    def intervals(self, link: str, span: Span) -> list[Interval]:
        """What is kept of the span, in order, cut at its edges; equal neighbours are one."""
        rows = self._ledger.rows(
            "SELECT start_s, end_s, state, cause, charge, witnesses, why, event FROM interval"
            " WHERE link=? AND start_s<? AND end_s>? ORDER BY start_s",
            (link, span.end_s, span.start_s),
        )
        whole: list[Interval] = []
        for row in rows:
            one = Interval(
                max(row[0], span.start_s),
                min(row[1], span.end_s),
                State(row[2]),
                Cause(row[3]),
                Charge(row[4]),
                tuple(EvidenceClass(name) for name in row[5].split()),
                row[6],
                row[7],
            )
            last = whole[-1] if whole else None
            if last is not None and last.end_s == one.start_s and last[2:] == one[2:]:
                whole[-1] = last._replace(end_s=one.end_s)
            else:
                whole.append(one)
        return whole

    def around(self, link: str, second: int) -> Interval | None:
        """The kept interval that holds this second."""
        found = self.intervals(link, Span(second, second + 1))
        if not found:
            return None
        row = self._ledger.rows(
            "SELECT start_s, end_s FROM interval WHERE link=? AND start_s<=? AND end_s>?",
            (link, second, second),
        )[0]
        return found[0]._replace(start_s=row[0], end_s=row[1])

    def blamed(self, span: Span) -> list[tuple[str, Span]]:
        """(link, seconds) of the kept intervals that have a cause and touch the span."""
        rows = self._ledger.rows(
            "SELECT link, start_s, end_s FROM interval WHERE cause<>'none' AND end_s>=? AND"
            " start_s<? ORDER BY link, start_s",
            span,
        )
        return [(row[0], Span(row[1], row[2])) for row in rows]

    def judged_until(self, link: str) -> int | None:
        """The end of what is kept of a link; None for nothing."""
        row = self._ledger.rows("SELECT max(end_s) FROM interval WHERE link=?", (link,))[0]
        return None if row[0] is None else int(row[0])

    def digest(self, link: str) -> str | None:
        """What `set_digest` kept."""
        rows = self._ledger.rows("SELECT digest FROM judged_by WHERE link=?", (link,))
        return rows[0][0] if rows else None

    def set_digest(self, link: str, digest: str) -> None:
        """Note by what contracts and windows a link is judged."""
        with self._ledger.transaction() as db:
            db.execute("INSERT OR REPLACE INTO judged_by VALUES (?,?)", (link, digest))

    def totals(self, link: str) -> dict[tuple[State, Cause, Charge], int]:
        """Seconds of a link by state, cause and charge, of all that is kept."""
        rows = self._ledger.rows(
            "SELECT state, cause, charge, sum(end_s - start_s) FROM interval WHERE link=?"
            " GROUP BY 1,2,3",
            (link,),
        )
        return {(State(row[0]), Cause(row[1]), Charge(row[2])): row[3] for row in rows}

    def counts(self, link: str) -> dict[tuple[State, Cause], int]:
        """Settled outages of a link by state and cause."""
        counts: Counter[tuple[State, Cause]] = Counter()
        for one in self._read(
            "WHERE lane=? AND link=? AND NOT withdrawn AND settled", (Lane.EVIDENCE, link)
        ):
            counts[one.outage.state, one.outage.cause] += 1
        return dict(counts)


def _note_revision(
    db: apsw.Connection, link: str, before: Sequence[Row], after: Sequence[Interval]
) -> None:
    """Note what of the settled seconds is of another state now."""
    known = db.execute(
        "SELECT end_s FROM interval WHERE link=? ORDER BY start_s DESC LIMIT 1", (link,)
    ).fetchone()
    if known is None:
        return
    settled_s = int(known[0]) - SETTLED_AFTER_S
    changed = [
        Span(max(row[1], one.start_s), min(row[2], one.end_s, settled_s))
        for row in before
        for one in after
        if row[1] < one.end_s and one.start_s < row[2] and row[3] != one.state
    ]
    changed = [span for span in changed if span.start_s < span.end_s]
    if changed:
        db.execute(
            "INSERT INTO interval_revision VALUES (NULL,?,?,?)",
            (link, min(one.start_s for one in changed), max(one.end_s for one in changed)),
        )


def _append(db: apsw.Connection, lane: Lane, one: Revision, made_s: int) -> int:
    row = db.execute(
        "SELECT coalesce(?1, (SELECT coalesce(max(id), 0) + 1 FROM outage)),"
        " (SELECT coalesce(max(revision), 0) + 1 FROM outage WHERE id=?1)",
        (one.id,),
    ).fetchall()[0]
    numbers = int(str(row[0])), int(str(row[1]))
    outage = one.outage
    db.execute(
        "INSERT INTO outage VALUES (?,?,?,?,?,?,?,?,?,?)",
        (
            *numbers,
            lane,
            outage.link,
            made_s,
            int(outage.settled),
            int(one.withdrawn),
            outage.start.at_s,
            None if outage.end is None else outage.end.at_s,
            _encode(outage),
        ),
    )
    return numbers[0]
