"""How far every endpoint has come, durable in the ledger, and what is there to be sent to it.

An endpoint walks each link's settled minutes in order of time, so that a store needs to take old
samples and never disordered ones. What changes behind the walker is found twice: states in the log
that the judge keeps of its revisions, packets in the batches that arrived since the last look.
Cursors move after the endpoint has answered: a crash sends some minutes twice and none never.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from collector.audit.evidence import Span
from collector.audit.intervals import Interval
from collector.audit.strip import View
from collector.backfill.series import MINUTE_S, TrainRow, minute_of, whole_minutes
from collector.ledger.derived import HOUR_S, REACH_S, DerivedStore
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


class Late(NamedTuple):
    """What changed behind an endpoint's walk, and how far was read to find it."""

    spans: tuple[tuple[str, Span], ...]
    batch_id: int
    revision_id: int


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

    def late(self, endpoint: str) -> Late:
        """What of the minutes that were sent is not as it was, or was not there."""
        batch_id, revision_id = self._ledger.rows(
            "SELECT batch_id, revision_id FROM backfill WHERE endpoint=?", (endpoint,)
        )[0]
        newest = self._ledger.rows("SELECT coalesce(max(id), 0) FROM batch")[0][0]
        until = min(newest - self._derived.behind(), batch_id + _BATCHES)
        spans = [
            (link, whole_minutes(Span(first_ns // NS, last_ns // NS + 1)))
            for link, first_ns, last_ns in self._ledger.rows(_LATE, (endpoint, batch_id, until))
        ]
        revisions = self._ledger.rows(
            "SELECT id, link, start_s, end_s FROM interval_revision WHERE id>? ORDER BY id LIMIT ?",
            (revision_id, _REVISIONS),
        )
        sent = self.sent(endpoint)
        for _, link, start_s, end_s in revisions:
            span = whole_minutes(Span(start_s, min(end_s, sent.get(link, 0))))
            if span.length_s > 0:
                spans.append((link, span))
        read = revisions[-1][0] if revisions else revision_id
        return Late(_joined(spans), max(until, batch_id), read)

    def seen(self, endpoint: str, late: Late) -> None:
        """Note that all of this was sent."""
        with self._ledger.transaction() as db:
            db.execute(
                "UPDATE backfill SET batch_id=?, revision_id=? WHERE endpoint=?",
                (late.batch_id, late.revision_id, endpoint),
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


def _joined(spans: Sequence[tuple[str, Span]]) -> tuple[tuple[str, Span], ...]:
    """The same minutes, each once."""
    joined: list[tuple[str, Span]] = []
    for link, span in sorted(spans):
        if joined and joined[-1][0] == link and span.start_s <= joined[-1][1].end_s:
            last = joined[-1][1]
            joined[-1] = link, Span(last.start_s, max(last.end_s, span.end_s))
        else:
            joined.append((link, span))
    return tuple(joined)


def chunks(span: Span, most_s: int) -> list[Span]:
    """The span in pieces of at most so many seconds, whole minutes each."""
    step = max(MINUTE_S, minute_of(most_s))
    return [Span(at, min(at + step, span.end_s)) for at in range(span.start_s, span.end_s, step)]
