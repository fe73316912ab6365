"""What is read out of the evidence for the audit, beside it in the same file: derivable again.

`derive` walks the batches in the order of their arrival and notes in one transaction what they
say and that they were read, so that a crash reads none twice. A change of what is derived raises
DERIVED_VERSION, and the next start reads everything anew.
"""

import zlib
from collections.abc import Iterator, Mapping, Sequence

import apsw
import msgspec
import numpy as np

from collector.audit.evidence import Span
from collector.audit.histogram import Histogram
from collector.audit.strip import Mark, Strip, View
from collector.ledger import PlacedBy, Placement
from collector.ledger.derived_schema import (
    DERIVED_VERSION,
    HOUR_S,
    SCHEMA,
    TABLES,
    TRANSFER,
    Derived,
    LifeRow,
    Sample,
    StretchRow,
    TransferRow,
    Unread,
)
from collector.ledger.sqlite import Row, SqliteLedger
from collector.settle.clockmap import BUCKET_NS, best
from collector.settle.stretch import Stretch, pack_beats, unpack_beats
from wire.batch import Batch, Header, parse_header
from wire.instant import MAX_NS
from wire.journal import Anchor

NS = 1_000_000_000
ALIVE_EVERY_S = 5
"""How often the collector notes that it runs."""
HOLD_S = 90
"""Seconds beside a packet that it may decide about: the longest hold of one."""
REACH_S = 21_600
"""No batch holds more than this: batches are sealed each minute, or when they are full."""
_MARGIN_S = 300
"""How far a place by interpolation may lie from one by the nearest anchor: 35 days at 100 ppm."""
_PACK_LEVEL = 1
"""Anchors asked every ten seconds make a thousand runs an hour, all alike: 20 times smaller."""

_DELAYS = (
    "SELECT d.at_s, d.counts, d.lost FROM delay d JOIN placement p ON p.batch_id=d.batch_id"
    " WHERE d.link=? AND d.target=? AND d.at_s>=? AND d.at_s<? AND p.placed_by<>'received'"
    " ORDER BY d.at_s"
)
_DELAYS_WITHIN = (
    "SELECT d.at_s, d.counts, d.lost FROM json_each(?3) w"
    " CROSS JOIN delay d ON d.link=?1 AND d.target=?2 AND d.at_s>=json_extract(w.value, '$[0]')"
    " AND d.at_s<json_extract(w.value, '$[1]') JOIN placement p ON p.batch_id=d.batch_id"
    " WHERE p.placed_by<>'received' ORDER BY d.at_s"
)

_counts_encode = msgspec.msgpack.Encoder().encode
_counts_decode = msgspec.msgpack.Decoder(dict[int, int]).decode


def _placement(row: Row) -> Placement:
    return Placement(row[0], row[1], PlacedBy(row[2]))


def _unpacked(hour: int, runs: bytes) -> Strip:
    return Strip.from_bytes(hour * HOUR_S, zlib.decompress(runs))


def packed(strip: Strip) -> bytes:
    """An hour as it is kept."""
    return zlib.compress(strip.to_bytes(), _PACK_LEVEL)


def lived(strip: Strip) -> int | None:
    """The end of the last second in which the agent is known to have run."""
    ran = np.flatnonzero(strip.codes & (Mark.OK << 2 * View.JOURNAL))
    return int(strip.start_s + strip.lengths[: ran[-1] + 1].sum()) if len(ran) else None


def _soil(db: apsw.Connection, link: str, from_s: int, to_s: int, margin_s: int) -> None:
    """Mark these seconds, and those that packets in them or beside them may decide about, for
    weaving anew. `margin_s` is how far they may lie from where they are said to."""
    low, high = from_s - margin_s - HOLD_S, to_s + 1 + margin_s + HOLD_S
    for hour in range(low // HOUR_S, (high - 1) // HOUR_S + 1):
        db.execute(
            "INSERT INTO dirty VALUES (?1,?2,?3,?4) ON CONFLICT DO UPDATE SET"
            " start_s=min(start_s, ?3), end_s=max(end_s, ?4)",
            (link, hour, max(low, hour * HOUR_S), min(high, (hour + 1) * HOUR_S)),
        )


def _forget(db: apsw.Connection, link: str, from_s: int, to_s: int) -> None:
    """Sums of the hours that these seconds of a link touch hold no longer (ledger/hours.py)."""
    hours = (link, from_s // HOUR_S, to_s // HOUR_S)
    for table in ("delay_hour", "evidence_hour"):
        db.execute(f"DELETE FROM {table} WHERE link=? AND hour>=? AND hour<=?", hours)


def _margin_s(placement: Placement) -> int:
    """How far the clock map may put a second from where its batch's placement puts it.

    Both are within the placement's error of the truth, but for the ten minutes in which the map
    may take a better anchor farther off, and that anchor's own error."""
    if placement.placed_by is not PlacedBy.ANCHOR or placement.error_ns is None:
        return _MARGIN_S
    return min(_MARGIN_S, 5 + 5 * placement.error_ns // NS)


def _put(db: apsw.Connection, link: str, hour: int, piece: Strip) -> list[int]:
    """Replace these seconds of an hour; the first and the end of the last that differ, if any."""
    row = db.execute("SELECT runs FROM strip WHERE link=? AND hour=?", (link, hour)).fetchone()
    start_s = hour * HOUR_S
    before = Strip.nothing(start_s, start_s + HOUR_S) if row is None else _unpacked(hour, row[0])
    old, seconds = before.seconds(), before.seconds()
    seconds[piece.start_s - start_s : piece.end_s - start_s] = piece.seconds()
    others = np.flatnonzero(seconds != old)
    if not len(others):
        return []
    whole = Strip.of_seconds(start_s, seconds)
    db.execute(
        "INSERT OR REPLACE INTO strip VALUES (?,?,?,?)",
        (link, hour, lived(whole), packed(whole)),
    )
    return [start_s + int(others[0]), start_s + int(others[-1]) + 1]


def _wait(db: apsw.Connection, link: str, span: Span) -> None:
    """Note these seconds for judging anew."""
    db.execute(
        "INSERT INTO rejudge VALUES (?1,?2,?3) ON CONFLICT DO UPDATE SET"
        " start_s=min(start_s, ?2), end_s=max(end_s, ?3)",
        (link, *span),
    )


def _leads(db: apsw.Connection, header: Header, anchor: Anchor) -> bool:
    """Whether the anchor is the best of its bucket: else the clock map is as it was."""
    start_ns = anchor.boot_ns - anchor.boot_ns % BUCKET_NS
    row = db.execute(
        "SELECT boot_ns FROM anchor WHERE agent_id=? AND boot_id=? AND boot_ns>=? AND boot_ns<?"
        " ORDER BY error_ns, boot_ns LIMIT 1",
        (header.agent_id, header.boot_id, start_ns, start_ns + BUCKET_NS),
    ).fetchone()
    return row is not None and row[0] == anchor.boot_ns


def _replace(db: apsw.Connection, header: Header, anchor: Anchor) -> None:
    """Let what this anchor places otherwise be woven anew: all between its neighbours."""
    at = (header.agent_id, header.boot_id)
    bucket = anchor.boot_ns // BUCKET_NS
    before, after = db.execute(
        "SELECT (SELECT max(boot_ns) FROM anchor WHERE agent_id=?1 AND boot_id=?2 AND boot_ns<?3),"
        " (SELECT min(boot_ns) FROM anchor WHERE agent_id=?1 AND boot_id=?2 AND boot_ns>=?4)",
        (*at, bucket * BUCKET_NS, (bucket + 1) * BUCKET_NS),
    ).fetchone() or (None, None)
    between = (
        0 if before is None else before - before % BUCKET_NS,
        MAX_NS if after is None else after - after % BUCKET_NS + BUCKET_NS,
    )
    batches = (
        "JOIN batch b ON b.id=x.batch_id JOIN placement p ON p.batch_id=b.id"
        " WHERE b.agent_id=? AND b.boot_id=? AND b.last_boot_ns BETWEEN ? AND ?"
    )
    stretches: list[Row] = db.execute(
        "SELECT x.batch_id, x.link, x.target, x.view, x.from_s, x.to_s,"
        " (x.first_boot_ns + p.offset_ns) / ?, (x.last_boot_ns + p.offset_ns) / ?"
        f" FROM stretch x {batches}",
        (NS, NS, *at, *between),
    ).fetchall()
    for batch_id, link, target, view, *spans in stretches:
        _soil(db, link, spans[0], spans[1], _MARGIN_S)
        _forget(db, link, min(spans), max(spans))
        if spans[:2] != spans[2:]:
            _soil(db, link, spans[2], spans[3], _MARGIN_S)
            db.execute(
                "UPDATE stretch SET from_s=?, to_s=?"
                " WHERE batch_id=? AND link=? AND target=? AND view=?",
                (spans[2], spans[3], batch_id, link, target, view),
            )
    for table in ("sample", "delay"):
        db.execute(
            f"UPDATE {table} SET at_s=({table}.boot_ns + p.offset_ns) / ? FROM batch b"
            f" JOIN placement p ON p.batch_id=b.id WHERE b.id={table}.batch_id"
            " AND b.agent_id=? AND b.boot_id=? AND b.last_boot_ns BETWEEN ? AND ?",
            (NS, *at, *between),
        )


class DerivedStore:
    """Tables beside the ledger's own, on its connection."""

    def __init__(self, ledger: SqliteLedger) -> None:
        """Make the tables, or empty them where they were derived otherwise."""
        self._ledger = ledger
        self._changed: set[tuple[str, int]] = set()
        with ledger.transaction() as db:
            row = db.execute("SELECT value FROM meta WHERE key='derived_version'").fetchone()
            if row is None or row[0] != DERIVED_VERSION:
                for table in TABLES:
                    db.execute(f"DROP TABLE IF EXISTS {table}")
                db.execute(
                    "INSERT OR REPLACE INTO meta VALUES ('derived_version', ?),"
                    " ('derived_batch', ?)",
                    (DERIVED_VERSION, (0).to_bytes(8, "big")),
                )
            db.execute(SCHEMA)

    # --- from batches ---------------------------------------------------------------------

    def behind(self) -> int:
        """Batches that were not derived from yet."""
        newest = self._ledger.rows("SELECT coalesce(max(id), 0) FROM batch")[0][0]
        return int(newest) - self._cursor()

    def _cursor(self) -> int:
        value = self._ledger.rows("SELECT value FROM meta WHERE key='derived_batch'")[0][0]
        return int.from_bytes(value, "big")

    def unread_before(self, agent_ids: Sequence[bytes], end_s: int) -> int:
        """Batches of these agents that were not derived from yet and tell of seconds before."""
        marks = ",".join("?" * len(agent_ids))
        row = self._ledger.rows(
            "SELECT count(*) FROM batch b JOIN placement p ON p.batch_id=b.id WHERE b.id>?"
            f" AND (b.last_boot_ns + p.offset_ns) / ? < ? AND b.agent_id IN ({marks})",
            (self._cursor(), NS, end_s, *agent_ids),
        )[0]
        return int(row[0])

    def unread(self, limit: int) -> list[Unread]:
        """The next batches to derive from, in the order of their arrival."""
        rows = self._ledger.rows(
            "SELECT id, header, signature, body, received_wall_ns, offset_ns, error_ns, placed_by"
            " FROM batch"
            " JOIN placement ON batch_id=id WHERE id>? ORDER BY id LIMIT ?",
            (self._cursor(), limit),
        )
        return [
            Unread(
                row[0],
                Batch(parse_header(row[1]), row[1], row[2], row[3]),
                row[4],
                _placement(row[5:8]),
            )
            for row in rows
        ]

    def derive(self, derived: Sequence[Derived]) -> None:
        """Keep what these batches say, and that they were read; all or nothing."""
        with self._ledger.transaction() as db:
            for one in derived:
                self._keep(db, one)
            db.execute(
                "UPDATE meta SET value=? WHERE key='derived_batch'",
                (derived[-1].unread.batch_id.to_bytes(8, "big"),),
            )
        self._changed.update(
            (link, sample.at_s // HOUR_S) for one in derived for link, sample in one.samples
        )

    def _keep(self, db: apsw.Connection, one: Derived) -> None:
        batch_id, batch, _, placement = one.unread
        header, offset_ns = batch.header, placement.offset_ns
        touched: dict[str, list[int]] = {}
        for s in one.stretches:
            from_s = (s.first_boot_ns + offset_ns) // NS
            to_s = (s.last_boot_ns + offset_ns) // NS
            db.execute(
                "INSERT OR IGNORE INTO stretch VALUES (?,?,?,?,?,?,?,?,?,?)",
                (batch_id, *s[:-1], from_s, to_s, pack_beats(s.beats)),
            )
            _soil(db, s.link, from_s, to_s, _margin_s(placement))
            touched.setdefault(s.link, []).extend((from_s, to_s))
        for link, ends in touched.items():
            _forget(db, link, min(ends), max(ends))
        for link, sample in one.samples:
            db.execute(
                "INSERT OR IGNORE INTO sample VALUES (?,?,?,?,?,?,?)", (batch_id, link, *sample)
            )
            # A throughput test tells nothing of seconds, but some are masked by it.
            _wait(db, link, Span(sample.at_s, sample.at_s + 1))
        for delay in one.delays:
            counts = _counts_encode(delay.histogram.counts)
            at_s, lost = (delay.boot_ns + offset_ns) // NS, delay.histogram.lost
            db.execute(
                "INSERT OR IGNORE INTO delay VALUES (?,?,?,?,?,?,?)",
                (batch_id, *delay[:3], at_s, lost, counts),
            )
        db.execute(
            "INSERT INTO life VALUES (?1,?2,?3,?4,?5,?6,?7) ON CONFLICT DO UPDATE SET"
            " first_batch=CASE WHEN ?4 < first_boot_ns THEN ?7 ELSE first_batch END,"
            " first_boot_ns=min(first_boot_ns, ?4), last_boot_ns=max(last_boot_ns, ?5),"
            " stopped=max(stopped, ?6)",
            (
                header.agent_id,
                header.epoch,
                header.boot_id,
                header.first_boot_ns,
                header.last_boot_ns,
                int(one.stopped),
                batch_id,
            ),
        )
        if one.anchor is not None and _leads(db, header, one.anchor):
            _replace(db, header, one.anchor)

    # --- seconds --------------------------------------------------------------------------

    def dirty(self, limit: int) -> list[tuple[str, Span]]:
        """Seconds of links to weave anew, each within one UTC hour, the oldest hours first."""
        return [
            (link, Span(start_s, end_s))
            for link, start_s, end_s in self._ledger.rows(
                "SELECT link, start_s, end_s FROM dirty ORDER BY hour, link LIMIT ?", (limit,)
            )
        ]

    def stretches(self, link: str, start_s: int, end_s: int) -> list[StretchRow]:
        """All stretches of a link that may touch [start_s, end_s)."""
        rows = self._ledger.rows(
            "SELECT b.agent_id, b.boot_id, b.epoch, p.offset_ns, p.error_ns, p.placed_by,"
            " s.link, s.target, s.view, s.interval_ns, s.first_boot_ns, s.last_boot_ns, s.beats"
            " FROM stretch s JOIN batch b ON b.id=s.batch_id JOIN placement p ON p.batch_id=b.id"
            " WHERE s.link=? AND s.to_s>=? AND s.to_s<? AND s.from_s<?"
            " ORDER BY b.agent_id, b.epoch, b.seq",
            (link, start_s - _MARGIN_S, end_s + _MARGIN_S + REACH_S, end_s + _MARGIN_S),
        )
        return [
            StretchRow(
                row[0],
                row[1],
                row[2],
                _placement(row[3:6]),
                Stretch(
                    row[6], row[7], View(row[8]), row[9], row[10], row[11], unpack_beats(row[12])
                ),
            )
            for row in rows
        ]

    def anchors(self, agent_id: bytes, boot_id: bytes, bucket: int) -> list[Anchor]:
        """The best anchor of this bucket of a boot and of the nearest ones before and after that
        hold any: all that the clock map needs for the bucket's moments."""
        at = agent_id, boot_id
        start_ns = bucket * BUCKET_NS
        beside = self._ledger.rows(
            "SELECT (SELECT max(boot_ns) FROM anchor WHERE agent_id=?1 AND boot_id=?2"
            " AND boot_ns<?3), (SELECT min(boot_ns) FROM anchor WHERE agent_id=?1 AND boot_id=?2"
            " AND boot_ns>=?4)",
            (*at, start_ns, start_ns + BUCKET_NS),
        )[0]
        buckets = {bucket, *(one // BUCKET_NS for one in beside if one is not None)}
        found: list[Anchor] = []
        for one in sorted(buckets):
            rows = self._ledger.rows(
                "SELECT boot_ns, hub_wall_ns, error_ns FROM anchor"
                " WHERE agent_id=? AND boot_id=? AND boot_ns>=? AND boot_ns<?",
                (*at, one * BUCKET_NS, (one + 1) * BUCKET_NS),
            )
            found += [best(Anchor(*row) for row in rows)] if rows else []
        return found

    def keep(self, link: str, pieces: Sequence[Strip]) -> Span | None:
        """Put woven seconds, each piece within one hour, in the place of what is there, and mark
        them clean; all or nothing.

        Returns the span from the first to the last second that shows something else than before,
        which is noted for judging anew.
        """
        changed: list[int] = []
        with self._ledger.transaction() as db:
            for piece in pieces:
                hour = piece.start_s // HOUR_S
                changed += _put(db, link, hour, piece)
                db.execute("DELETE FROM dirty WHERE link=? AND hour=?", (link, hour))
            if not changed:
                return None
            span = Span(min(changed), max(changed))
            _wait(db, link, span)
        self._changed.update(
            (link, hour) for hour in range(span.start_s // HOUR_S, (span.end_s - 1) // HOUR_S + 1)
        )
        return span

    def changed_hours(self) -> set[tuple[str, int]]:
        """(link, UTC hour) that show something else since the last call: for one reader, which
        keeps in memory what it made of them."""
        changed, self._changed = self._changed, set()
        return changed

    def wait(self, waiting: Mapping[str, Span]) -> None:
        """Note seconds of links for judging anew: what is beside them changed."""
        with self._ledger.transaction() as db:
            for link, span in waiting.items():
                _wait(db, link, span)

    def rejudge(self) -> dict[str, Span]:
        """Seconds to judge anew, by link."""
        rows = self._ledger.rows("SELECT link, start_s, end_s FROM rejudge ORDER BY link")
        return {link: Span(start_s, end_s) for link, start_s, end_s in rows}

    def judged(self, link: str, span: Span) -> None:
        """Forget that these seconds wait, unless more have come to wait since."""
        with self._ledger.transaction() as db:
            db.execute("DELETE FROM rejudge WHERE link=? AND start_s=? AND end_s=?", (link, *span))

    def strips(self, link: str, start_s: int, end_s: int) -> list[Strip]:
        """The hours of a link that touch [start_s, end_s) and of which anything is known."""
        rows = self._ledger.rows(
            "SELECT hour, runs FROM strip WHERE link=? AND hour>=? AND hour<? ORDER BY hour",
            (link, start_s // HOUR_S, -(-end_s // HOUR_S)),
        )
        return [_unpacked(hour, runs) for hour, runs in rows]

    def first_known(self, link: str) -> int | None:
        """The first second of which anything is known of a link."""
        row = self._ledger.rows(
            "SELECT hour, runs FROM strip WHERE link=? ORDER BY hour LIMIT 1", (link,)
        )
        if not row:
            return None
        runs = _unpacked(row[0][0], row[0][1]).runs()
        return next((start_s for start_s, _, code in runs if code), None)

    def last_journal(self, link: str) -> int | None:
        """The end of the last second in which the node's agent is known to have run."""
        row = self._ledger.rows(
            "SELECT max(lived) FROM strip WHERE link=? AND lived NOTNULL", (link,)
        )[0]
        return None if row[0] is None else int(row[0])

    # --- lives and samples ----------------------------------------------------------------

    def lives(self, agent_ids: Sequence[bytes]) -> list[LifeRow]:
        """All epochs of these agents."""
        marks = ",".join("?" * len(agent_ids))
        rows = self._ledger.rows(
            "SELECT l.agent_id, l.epoch, l.boot_id, l.first_boot_ns, l.last_boot_ns, l.stopped,"
            " p.offset_ns, p.error_ns, p.placed_by FROM life l"
            f" JOIN placement p ON p.batch_id=l.first_batch WHERE l.agent_id IN ({marks})",
            tuple(agent_ids),
        )
        return [
            LifeRow(row[0], row[1], row[2], row[3], row[4], bool(row[5]), _placement(row[6:9]))
            for row in rows
        ]

    def samples(self, link: str, kind: str, start_s: int, end_s: int) -> list[Sample]:
        """Records of one kind about a link, made in [start_s, end_s), and the last one before.

        Only those that have a place on the calendar.
        """
        wanted = (
            "SELECT s.target, s.kind, s.boot_ns, s.at_s, s.line FROM sample s"
            " JOIN placement p ON p.batch_id=s.batch_id"
            " WHERE s.link=? AND s.kind=? AND p.placed_by<>'received' AND "
        )
        before = self._ledger.rows(
            f"{wanted} s.at_s<? ORDER BY s.at_s DESC LIMIT 1", (link, kind, start_s)
        )
        within = self._ledger.rows(
            f"{wanted} s.at_s>=? AND s.at_s<? ORDER BY s.at_s, s.target",
            (link, kind, start_s, end_s),
        )
        return [Sample(row[0], row[1], row[2], row[3], row[4]) for row in (*before, *within)]

    def delays(self, link: str, target: str, span: Span) -> list[tuple[int, Histogram]]:
        """Round-trip times of a target by batch, each with its begin, that began in the span.

        Only those that have a place on the calendar.
        """
        rows = self._ledger.rows(_DELAYS, (link, target, *span))
        return [(row[0], Histogram(_counts_decode(row[1]), row[2])) for row in rows]

    def delays_within(
        self, link: str, target: str, spans: Sequence[Span]
    ) -> list[tuple[int, Histogram]]:
        """The same of spans that are apart, in one question: a month has hundreds."""
        told = msgspec.json.encode(spans).decode()
        rows = self._ledger.rows(_DELAYS_WITHIN, (link, target, told)) if spans else []
        return [(row[0], Histogram(_counts_decode(row[1]), row[2])) for row in rows]

    @staticmethod
    def read_delays(
        db: apsw.Connection, link: str, target: str, span: Span
    ) -> Iterator[tuple[int, Histogram]]:
        """The same one by one, within a transaction."""
        rows: Iterator[Row] = db.execute(_DELAYS, (link, target, *span))
        return ((row[0], Histogram(_counts_decode(row[1]), row[2])) for row in rows)

    def transfers(self, link: str, start_s: int, end_s: int) -> list[TransferRow]:
        """Throughput tests of a link that began in [start_s, end_s), in order.

        Also those that only their arrival places: that they are no good is for the reader to say.
        """
        return self._transfers(
            "s.at_s>=? AND s.at_s<? ORDER BY s.at_s, s.target, s.batch_id", (link, start_s, end_s)
        )

    def newest_transfers(self, link: str, limit: int) -> list[TransferRow]:
        """The newest throughput tests of a link, the newest first."""
        return self._transfers(
            "1 ORDER BY s.at_s DESC, s.target, s.batch_id LIMIT ?", (link, limit)
        )

    def _transfers(self, where: str, values: tuple[str | int, ...]) -> list[TransferRow]:
        rows = self._ledger.rows(
            "SELECT s.at_s, p.placed_by, p.error_ns, s.line FROM sample s"
            " JOIN placement p ON p.batch_id=s.batch_id"
            f" WHERE s.link=? AND s.kind='{TRANSFER}' AND {where}",
            values,
        )
        return [TransferRow(row[0], PlacedBy(row[1]), row[2], row[3]) for row in rows]

    def transfers_stand(self, link: str, start_s: int, end_s: int) -> tuple[int, int, float]:
        """How many tests began in [start_s, end_s); what follows the count changes whenever other
        tests, or other places of them, are known."""
        row = self._ledger.rows(
            "SELECT count(*), coalesce(sum(s.at_s + s.batch_id), 0), total(p.error_ns)"
            " FROM sample s JOIN placement p ON p.batch_id=s.batch_id"
            f" WHERE s.link=? AND s.kind='{TRANSFER}' AND s.at_s>=? AND s.at_s<?",
            (link, start_s, end_s),
        )[0]
        return int(row[0]), int(row[1]), float(row[2])

    # --- the hub's own life ---------------------------------------------------------------

    def begin_run(self, now_s: int) -> int:
        """The collector began to hear; returns the id for `keep_alive`."""
        with self._ledger.transaction() as db:
            db.execute("INSERT INTO hub_run VALUES (NULL, ?, ?)", (now_s, now_s))
            return db.last_insert_rowid()

    def keep_alive(self, run: int, now_s: int) -> None:
        """The collector still hears."""
        with self._ledger.transaction() as db:
            db.execute("UPDATE hub_run SET alive_s=max(alive_s, ?) WHERE id=?", (now_s, run))

    def hub_off(self, start_s: int, end_s: int) -> tuple[Span, ...]:
        """When the collector did not run, within [start_s, end_s) and after its first start."""
        rows = self._ledger.rows("SELECT began_s, alive_s FROM hub_run ORDER BY began_s")
        off: list[Span] = []
        heard_s: int | None = None
        for began_s, alive_s in rows:
            if heard_s is not None and began_s > heard_s + ALIVE_EVERY_S:
                off.append(Span(max(heard_s, start_s), min(began_s, end_s)))
            heard_s = alive_s if heard_s is None else max(heard_s, alive_s)
        return tuple(span for span in off if span.length_s > 0)
