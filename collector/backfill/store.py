"""How far every endpoint has come, durable in the ledger, and what is there to be sent to it.

An endpoint walks each link's settled minutes in order of time, so that a store needs to take old
samples and never disordered ones. What changes behind the walker is found twice: states in the log
that the judge keeps of its revisions, packets in the batches that arrived since the last look.
They wait in a table of their own. Cursors move after the endpoint has answered: a crash sends some
minutes twice and none never.
"""

from collections.abc import Iterable, Mapping, Sequence

from collector.audit.evidence import Span
from collector.audit.intervals import Interval
from collector.audit.strip import View
from collector.backfill.series import MINUTE_S, TrainRow, minute_of, whole_minutes
from collector.ledger.derived import REACH_S, DerivedStore
from collector.ledger.derived_schema import HOUR_S
from collector.ledger.outages import SETTLED_AFTER_S, OutageStore
from collector.ledger.sqlite import SqliteLedger

NS = 1_000_000_000
_MARGIN_S = 300
"""How far a batch may have moved on the calendar since its seconds were read."""
_REVISIONS = 200
_BATCHES = 5000
"""Read in one look for what is late."""

SCHEMA = f"""
CREATE TABLE IF NOT EXISTS backfill (
  endpoint TEXT PRIMARY KEY, batch_id INTEGER NOT NULL, revision_id INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS backfill_link (
  endpoint TEXT NOT NULL, link TEXT NOT NULL, sent_s INTEGER NOT NULL,
  PRIMARY KEY (endpoint, link)
) STRICT, WITHOUT ROWID;

-- Minutes that changed behind the walk and wait to be sent again.
CREATE TABLE IF NOT EXISTS backfill_late (
  endpoint TEXT NOT NULL, link TEXT NOT NULL, start_s INTEGER NOT NULL, end_s INTEGER NOT NULL,
  PRIMARY KEY (endpoint, link, start_s)
) STRICT, WITHOUT ROWID;

-- The batches of a link by time: every batch has its journal's stretch.
CREATE INDEX IF NOT EXISTS stretch_journal ON stretch (link, from_s, to_s)
  WHERE view = {View.JOURNAL.value};
"""

_TRAINS = f"""
SELECT t.target, t.last_boot_ns + p.offset_ns AS at_ns, t.sent, t.lost, t.forward_lost,
  t.reverse_lost, t.rtt_median_ns, t.rtt_p95_ns
FROM stretch s JOIN placement p ON p.batch_id = s.batch_id
  JOIN train t ON t.batch_id = s.batch_id AND t.link = s.link
WHERE s.view = {View.JOURNAL.value} AND s.link = ?1 AND s.from_s >= ?2 AND s.from_s < ?3
  AND s.to_s >= ?4 AND p.placed_by <> 'received' AND at_ns >= ?5 AND at_ns < ?6
ORDER BY at_ns, t.target
"""
_LATE = """
SELECT t.link, min(t.last_boot_ns + p.offset_ns), max(t.last_boot_ns + p.offset_ns)
FROM train t JOIN placement p ON p.batch_id = t.batch_id
  JOIN backfill_link c ON c.endpoint = ? AND c.link = t.link
WHERE t.batch_id > ? AND t.batch_id <= ? AND p.placed_by <> 'received'
  AND t.last_boot_ns + p.offset_ns < c.sent_s * 1000000000
GROUP BY t.batch_id, t.link
"""


Late = tuple[str, Span]
"""Minutes of a link that were sent, and are not as they were or were not there."""


class BackfillStore:
    """Tables beside the ledger's own, on its connection. Calls from any thread."""

    def __init__(self, ledger: SqliteLedger, derived: DerivedStore, kept: OutageStore) -> None:
        self._ledger, self._derived, self._kept = ledger, derived, kept
        with ledger.transaction() as db:
            db.execute(SCHEMA)

    # --- what there is ----------------------------------------------------------------------

    def settled(self, links: Iterable[str]) -> dict[str, Span]:
        """The whole minutes of these links that are judged and that nothing waits to change.

        Links of which there are none are left out.
        """
        known = {link: span for link in links if (span := self._judged(link)) is not None}
        # In this order: what the judge could not know of is underived, then dirty, then waiting.
        if self._derived.behind():
            return {}
        waiting = {
            link: int(hour) * HOUR_S
            for link, hour in self._ledger.rows("SELECT link, min(hour) FROM dirty GROUP BY link")
        }
        for link, span in self._derived.rejudge().items():
            waiting[link] = min(waiting.get(link, span.start_s), span.start_s)
        settled = {
            link: Span(
                minute_of(span.start_s), minute_of(min(span.end_s, waiting.get(link, span.end_s)))
            )
            for link, span in known.items()
        }
        return {link: span for link, span in settled.items() if span.length_s > 0}

    def _judged(self, link: str) -> Span | None:
        ends = [
            self._ledger.rows(
                f"SELECT start_s, end_s FROM interval WHERE link=? ORDER BY start_s {way} LIMIT 1",
                (link,),
            )
            for way in ("ASC", "DESC")
        ]
        if not ends[0]:
            return None
        return Span(ends[0][0][0], ends[1][0][1] - SETTLED_AFTER_S)

    def intervals(self, link: str, span: Span) -> list[Interval]:
        """States of a link within the span."""
        return self._kept.intervals(link, span)

    def trains(self, link: str, span: Span) -> list[TrainRow]:
        """What a link's targets showed, batch by batch, where the newest packet was sent within
        the span."""
        rows = self._ledger.rows(
            _TRAINS,
            (
                link,
                span.start_s - REACH_S - _MARGIN_S,
                span.end_s + _MARGIN_S,
                span.start_s - _MARGIN_S,
                span.start_s * NS,
                span.end_s * NS,
            ),
        )
        return [TrainRow(*row) for row in rows]

    # --- how far an endpoint has come -------------------------------------------------------

    def begin(self, endpoint: str) -> None:
        """Know this endpoint: what changed before it was first named is no change for it."""
        with self._ledger.transaction() as db:
            db.execute(
                "INSERT OR IGNORE INTO backfill SELECT ?, coalesce(max(id), 0),"
                " (SELECT coalesce(max(id), 0) FROM interval_revision) FROM batch",
                (endpoint,),
            )

    def sent(self, endpoint: str) -> dict[str, int]:
        """The UTC second until which an endpoint has all of a link, by link."""
        rows = self._ledger.rows(
            "SELECT link, sent_s FROM backfill_link WHERE endpoint=?", (endpoint,)
        )
        return {link: sent_s for link, sent_s in rows}

    def advance(self, endpoint: str, sent: Mapping[str, int]) -> None:
        """Note that an endpoint has these links until here."""
        with self._ledger.transaction() as db:
            db.executemany(
                "INSERT OR REPLACE INTO backfill_link VALUES (?,?,?)",
                [(endpoint, link, sent_s) for link, sent_s in sent.items()],
            )

    # --- what changed behind it -------------------------------------------------------------

    def look_behind(self, endpoint: str) -> None:
        """Note what of the minutes that were sent has changed since the last look."""
        batch_id, revision_id = self._ledger.rows(
            "SELECT batch_id, revision_id FROM backfill WHERE endpoint=?", (endpoint,)
        )[0]
        newest = self._ledger.rows("SELECT coalesce(max(id), 0) FROM batch")[0][0]
        until = max(batch_id, min(newest - self._derived.behind(), batch_id + _BATCHES))
        late = [
            (link, whole_minutes(Span(first_ns // NS, last_ns // NS + 1)))
            for link, first_ns, last_ns in self._ledger.rows(_LATE, (endpoint, batch_id, until))
        ]
        revisions = self._ledger.rows(
            "SELECT id, link, start_s, end_s FROM interval_revision WHERE id>? ORDER BY id LIMIT ?",
            (revision_id, _REVISIONS),
        )
        sent = self.sent(endpoint)
        late += [
            (link, whole_minutes(Span(start_s, min(end_s, sent.get(link, 0)))))
            for _, link, start_s, end_s in revisions
            if start_s < sent.get(link, 0)
        ]
        read = revisions[-1][0] if revisions else revision_id
        if (until, read) == (batch_id, revision_id):
            return
        with self._ledger.transaction() as db:
            db.executemany(
                "INSERT INTO backfill_late VALUES (?1,?2,?3,?4)"
                " ON CONFLICT DO UPDATE SET end_s=max(end_s, ?4)",
                [(endpoint, link, *span) for link, span in late],
            )
            db.execute(
                "UPDATE backfill SET batch_id=?, revision_id=? WHERE endpoint=?",
                (until, read, endpoint),
            )

    def late(self, endpoint: str) -> list[Late]:
        """What waits to be sent again, by link and time."""
        rows = self._ledger.rows(
            "SELECT link, start_s, end_s FROM backfill_late WHERE endpoint=?"
            " ORDER BY link, start_s",
            (endpoint,),
        )
        return [(link, Span(start_s, end_s)) for link, start_s, end_s in rows]

    def sent_again(self, endpoint: str, late: Iterable[Late]) -> None:
        """Note that this was sent, or that nobody asks for it any more."""
        with self._ledger.transaction() as db:
            db.executemany(
                "DELETE FROM backfill_late WHERE endpoint=? AND link=? AND start_s=? AND end_s=?",
                [(endpoint, link, *span) for link, span in late],
            )

    def forget(self, endpoints: Sequence[str]) -> None:
        """Drop the revisions that all of these endpoints have; of none, all of them."""
        marks = ",".join("?" * len(endpoints))
        with self._ledger.transaction() as db:
            db.execute(
                "DELETE FROM interval_revision WHERE id <= coalesce((SELECT min(revision_id)"
                f" FROM backfill WHERE endpoint IN ({marks})), {2**62})",
                tuple(endpoints),
            )


def chunks(span: Span, most_s: int) -> list[Span]:
    """The span in pieces of at most so many seconds, whole minutes each."""
    step = max(MINUTE_S, minute_of(most_s))
    return [Span(at, min(at + step, span.end_s)) for at in range(span.start_s, span.end_s, step)]
