"""The ledger on one machine: SQLite through apsw, WAL, synchronous FULL, one connection.

FULL because an acknowledged batch must survive a power cut (delivery.md section 1: NORMAL lost
acknowledged rows in 969 of 1,500 simulated cuts). A call commits once, whatever the number of
entries, which is what makes group commit cheap.
"""

import json
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import apsw

from collector.latency import BUCKETS_NS
from collector.ledger import (
    Agent,
    Entry,
    Head,
    PlacedBy,
    Placement,
    Stored,
    Tally,
    TargetSummary,
    TokenRow,
)
from collector.ledger.schema import SCHEMA, VERSION
from collector.placing import believable, by_anchor, place
from wire.batch import NO_DIGEST, Batch, Header, parse_header
from wire.errors import Refusal, WireError
from wire.journal import Anchor

Row = tuple[Any, ...]
Value = None | int | float | str | bytes


class LedgerError(RuntimeError):
    """The store cannot be used as it is; the text says what to do."""


class SqliteLedger:
    """See collector.ledger.Ledger. Calls may come from any thread, one at a time."""

    def __init__(self, file: Path) -> None:
        """Open or create the ledger. Raises LedgerError where it is damaged or too new."""
        self._lock = threading.Lock()
        file.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._db = apsw.Connection(str(file))
            self._db.set_busy_timeout(10_000)
            for pragma in (
                "journal_mode=WAL",
                "synchronous=FULL",
                "foreign_keys=ON",
                "cache_size=-16384",
                "temp_store=MEMORY",
            ):
                self._db.execute(f"PRAGMA {pragma}")
            self._migrate(file)
        except apsw.Error as error:
            raise LedgerError(f"{file}: {error}; restore it from the backup") from error
        self.ledger_id: bytes = self._one("SELECT value FROM meta WHERE key='ledger_id'")[0]
        self._data_version = self._one("PRAGMA data_version")[0]

    def _migrate(self, file: Path) -> None:
        with self._transaction():
            version = self._one("PRAGMA user_version")[0]
            if version > VERSION:
                raise LedgerError(f"{file}: written by a newer pantau (schema {version})")
            if version == 0:
                self._db.execute(SCHEMA)
                self._db.execute("INSERT INTO meta VALUES ('ledger_id', ?)", (os.urandom(16),))
                self._db.execute(f"PRAGMA user_version={VERSION}")

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with self._lock:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._db.execute("COMMIT")
            except BaseException:
                if not self._db.get_autocommit():
                    self._db.execute("ROLLBACK")
                raise

    def _one(self, sql: str, values: tuple[Value, ...] = ()) -> Row:
        row: Row | None = self._db.execute(sql, values).fetchone()
        assert row is not None, sql
        return row

    def _rows(self, sql: str, values: tuple[Value, ...] = ()) -> list[Row]:
        with self._lock:
            return self._db.execute(sql, values).fetchall()

    # --- identity -------------------------------------------------------------------------

    def add_token(self, row: TokenRow) -> None:
        """Keep a new join token."""
        with self._transaction():
            self._db.execute("INSERT INTO token VALUES (?,?,?,?,?,?)", row)

    def token(self, token_id: bytes) -> TokenRow | None:
        """The token of this id."""
        rows = self._rows("SELECT * FROM token WHERE token_id=?", (token_id,))
        return TokenRow(*rows[0]) if rows else None

    def enrol(self, token_id: bytes, agent: Agent) -> Agent:
        """Use the token for this agent; a repeat by the same key returns the first answer."""
        with self._transaction():
            used_by = self._one("SELECT used_by FROM token WHERE token_id=?", (token_id,))[0]
            if used_by is not None:
                first = Agent(*self._one("SELECT * FROM agent WHERE agent_id=?", (used_by,)))
                if first.public_key != agent.public_key:
                    raise WireError(Refusal.USED_TOKEN, f"token of node {first.node} was used")
                return first
            self._db.execute("INSERT INTO agent VALUES (?,?,?,?,?,?,?)", agent)
            self._db.execute(
                "UPDATE token SET used_by=? WHERE token_id=?", (agent.agent_id, token_id)
            )
            return agent

    def agents(self) -> list[Agent]:
        """All agents, the revoked ones too."""
        return [Agent(*row) for row in self._rows("SELECT * FROM agent ORDER BY node, agent_id")]

    def revoke(self, agent_id: bytes, wall_ns: int) -> bool:
        """Refuse this agent from now on; False if it is unknown or revoked already."""
        with self._transaction():
            self._db.execute(
                "UPDATE agent SET revoked_wall_ns=? WHERE agent_id=? AND revoked_wall_ns IS NULL",
                (wall_ns, agent_id),
            )
            return self._db.changes() == 1

    def ssids(self, links: list[str]) -> dict[str, int]:
        """STAMP session ids of these links, given once and kept."""
        known = {link: ssid for ssid, link in self._rows("SELECT ssid, link FROM session")}
        new = [link for link in links if link not in known]
        if new:
            with self._transaction():
                free = iter(sorted(set(range(1, 65536)) - set(known.values())))
                for link in new:
                    known[link] = next(free)
                    self._db.execute("INSERT INTO session VALUES (?,?)", (known[link], link))
        return {link: known[link] for link in links}

    # --- evidence -------------------------------------------------------------------------

    def store(self, entries: list[Entry]) -> list[Stored]:
        """Make the entries durable in one transaction, in order."""
        with self._transaction():
            return [self._store(entry) for entry in entries]

    def _store(self, entry: Entry) -> Stored:
        batch, header = entry.batch, entry.batch.header
        known = self._db.execute(
            "SELECT digest, received_wall_ns FROM batch WHERE agent_id=? AND epoch=? AND seq=?",
            (header.agent_id, header.epoch, header.seq),
        ).fetchone()
        if known is not None:
            if known[0] == batch.digest:
                return Stored(known[1], new=False)
            return Stored(0, False, Refusal.WRONG_CHAIN, f"seq {header.seq} holds other bytes")
        wrong = self._wrong_chain(batch)
        if wrong is not None:
            return Stored(0, False, Refusal.WRONG_CHAIN, wrong)
        placement = self._place(entry)
        batch_id = self._insert(entry, placement)
        self._extend(batch_id, header, placement)
        for one in entry.targets:
            self._count(batch_id, one)
        return Stored(entry.received_wall_ns, new=True, placement=placement)

    def _wrong_chain(self, batch: Batch) -> str | None:
        """What is wrong with the batch's place among those that are here, if anything."""
        header = batch.header
        neighbour = "SELECT {} FROM batch WHERE agent_id=? AND epoch=? AND seq=?"
        at = (header.agent_id, header.epoch)
        before = self._db.execute(neighbour.format("digest"), (*at, header.seq - 1)).fetchone()
        if before is not None and before[0] != header.previous:
            return f"seq {header.seq} does not follow seq {header.seq - 1}"
        after = self._db.execute(neighbour.format("previous"), (*at, header.seq + 1)).fetchone()
        if after is not None and after[0] != batch.digest:
            return f"seq {header.seq} does not lead to seq {header.seq + 1}"
        if header.previous == NO_DIGEST:
            return None if header.seq == 0 else f"seq {header.seq} has no predecessor"
        fork = self._db.execute(
            "SELECT hex(epoch), seq FROM batch WHERE agent_id=? AND previous=?",
            (header.agent_id, header.previous),
        ).fetchone()
        return None if fork is None else f"forks from epoch {fork[0].lower()} seq {fork[1]}"

    def _place(self, entry: Entry) -> Placement:
        header = entry.batch.header
        anchor = entry.anchor
        if anchor is not None and believable(anchor, entry.received_wall_ns):
            self._db.execute(
                "INSERT OR IGNORE INTO anchor VALUES (?,?,?,?,?)",
                (
                    header.agent_id,
                    header.boot_id,
                    anchor.boot_ns,
                    anchor.hub_wall_ns,
                    anchor.error_ns,
                ),
            )
            self._improve(header, anchor)
        else:
            anchor = self._nearest_anchor(header)
        return place(header, entry.received_wall_ns, anchor)

    def _nearest_anchor(self, header: Header) -> Anchor | None:
        row = self._db.execute(
            "SELECT boot_ns, hub_wall_ns, error_ns FROM anchor WHERE agent_id=? AND boot_id=?"
            " ORDER BY abs(boot_ns - ?) LIMIT 1",
            (header.agent_id, header.boot_id, header.last_boot_ns),
        ).fetchone()
        return None if row is None else Anchor(*row)

    def _improve(self, header: Header, anchor: Anchor) -> None:
        """Place earlier batches of this boot that had no anchor yet."""
        rows: list[Row] = self._db.execute(
            "SELECT b.id, b.last_boot_ns FROM batch b JOIN placement p ON p.batch_id=b.id"
            " WHERE b.agent_id=? AND b.boot_id=? AND p.placed_by<>?",
            (header.agent_id, header.boot_id, PlacedBy.ANCHOR),
        ).fetchall()
        for batch_id, last_boot_ns in rows:
            self._db.execute(
                "UPDATE placement SET offset_ns=?, error_ns=?, placed_by=? WHERE batch_id=?",
                (*by_anchor(anchor, last_boot_ns), batch_id),
            )

    def _insert(self, entry: Entry, placement: Placement) -> int:
        batch, header = entry.batch, entry.batch.header
        self._db.execute(
            "INSERT INTO batch VALUES (NULL,?,?,?,?,?,?,?,?,?,?,?,?,?)",
            (
                header.agent_id,
                header.epoch,
                header.seq,
                header.boot_id,
                batch.digest,
                header.previous,
                entry.received_wall_ns,
                header.observations,
                header.records,
                header.last_boot_ns,
                batch.header_bytes,
                batch.signature,
                batch.body,
            ),
        )
        batch_id = self._db.last_insert_rowid()
        self._db.execute("INSERT INTO placement VALUES (?,?,?,?)", (batch_id, *placement))
        for event in entry.events:
            self._db.execute("INSERT INTO event VALUES (?,?,?,?)", (batch_id, *event))
        for gap in entry.gaps:
            epoch = None if gap.epoch is None else gap.epoch.encode()
            self._db.execute(
                "INSERT INTO gap VALUES (?,?,?,?,?,?,?,?)",
                (
                    batch_id,
                    gap.reason,
                    gap.link,
                    gap.target,
                    epoch,
                    gap.first_seq,
                    gap.last_seq,
                    gap.count,
                ),
            )
        return batch_id

    def _extend(self, batch_id: int, header: Header, placement: Placement) -> None:
        """Advance the epoch's complete run over every batch that is now contiguous."""
        row = self._db.execute(
            "SELECT next_seq, highest_seq, received, settled_batch FROM segment"
            " WHERE agent_id=? AND epoch=?",
            (header.agent_id, header.epoch),
        ).fetchone()
        next_seq, highest, received, settled = row or (0, -1, 0, None)
        if header.seq == next_seq:
            run = self._db.execute(
                "SELECT seq, id FROM batch WHERE agent_id=? AND epoch=? AND seq>=? ORDER BY seq",
                (header.agent_id, header.epoch, next_seq),
            )
            for seq, one in run:
                if seq != next_seq:
                    break
                next_seq, settled = seq + 1, one
        begun = header.first_boot_ns + placement.offset_ns
        self._db.execute(
            "INSERT INTO segment VALUES (?,?,?,?,?,?,?,?,?) ON CONFLICT DO UPDATE SET"
            " next_seq=excluded.next_seq, highest_seq=excluded.highest_seq,"
            " received=excluded.received, settled_batch=excluded.settled_batch",
            (
                header.agent_id,
                header.epoch,
                header.boot_id,
                batch_id,
                next_seq,
                max(highest, header.seq),
                received + 1,
                settled,
                begun,
            ),
        )

    def _count(self, batch_id: int, one: TargetSummary) -> None:
        s = one.summary
        self._db.execute(
            "INSERT INTO train VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
            (
                batch_id,
                one.link,
                one.target,
                one.probe,
                one.first_boot_ns,
                one.last_boot_ns,
                s.sent,
                s.lost,
                s.not_sent,
                s.forward_lost,
                s.reverse_lost,
                s.rtt_sum_ns,
                s.rtt_min_ns,
                s.rtt_median_ns,
                s.rtt_p95_ns,
                s.rtt_max_ns,
                s.pdv_p99_ns,
                s.jitter_ns,
            ),
        )
        row = self._db.execute(
            "SELECT sent, lost, not_sent, received, rtt_sum_ns, buckets, forward_lost,"
            " reverse_lost FROM tally WHERE link=? AND target=?",
            (one.link, one.target),
        ).fetchone()
        old = _tally(row) if row else EMPTY_TALLY
        new = add(old, one)
        self._db.execute(
            "INSERT OR REPLACE INTO tally VALUES (?,?,?,?,?,?,?,?,?,?)",
            (
                one.link,
                one.target,
                new.sent,
                new.lost,
                new.not_sent,
                new.received,
                new.rtt_sum_ns,
                json.dumps(new.buckets),
                new.forward_lost,
                new.reverse_lost,
            ),
        )

    # --- reading --------------------------------------------------------------------------

    def holds(self, agent_id: bytes, epoch: bytes, seq: int) -> bool:
        """Whether this batch is here."""
        return bool(
            self._rows(
                "SELECT 1 FROM batch WHERE agent_id=? AND epoch=? AND seq=?", (agent_id, epoch, seq)
            )
        )

    def heads(self) -> list[Head]:
        """Each agent's newest epoch."""
        rows = self._rows(
            "SELECT s.agent_id, s.epoch, s.next_seq, b.last_boot_ns + p.offset_ns,"
            " (SELECT sum(t.highest_seq + 1 - t.received) FROM segment t"
            "   WHERE t.agent_id=s.agent_id), max(s.begun_wall_ns)"
            " FROM segment s LEFT JOIN batch b ON b.id=s.settled_batch"
            " LEFT JOIN placement p ON p.batch_id=s.settled_batch GROUP BY s.agent_id"
        )
        return [Head(*row[:5]) for row in rows]

    def tallies(self) -> dict[tuple[str, str], Tally]:
        """Counters by (link, target)."""
        return {(row[0], row[1]): _tally(row[2:]) for row in self._rows("SELECT * FROM tally")}

    def gap_observations(self) -> dict[str, int]:
        """Observations listed as lost, by link ("" where the record names none)."""
        return dict(
            self._rows(
                "SELECT coalesce(link, ''), sum(coalesce(observations, 0)) FROM gap GROUP BY 1"
            )
        )

    def placed_batches(self, agent_id: bytes) -> Iterator[tuple[Batch, Placement]]:
        """An agent's evidence, by epoch and sequence, as received, with its place in time."""
        keys = self._rows("SELECT id FROM batch WHERE agent_id=? ORDER BY epoch, seq", (agent_id,))
        for (batch_id,) in keys:
            header, signature, body, *placed = self._rows(
                "SELECT header, signature, body, offset_ns, error_ns, placed_by FROM batch"
                " JOIN placement ON batch_id=id WHERE id=?",
                (batch_id,),
            )[0]
            placement = Placement(placed[0], placed[1], PlacedBy(placed[2]))
            yield Batch(parse_header(header), header, signature, body), placement

    def changed(self) -> bool:
        """Whether another process wrote to this ledger since the last call."""
        version = self._rows("PRAGMA data_version")[0][0]
        if version == self._data_version:
            return False
        self._data_version = version
        return True

    def close(self) -> None:
        """Fold the write-ahead log into the file and close."""
        with self._lock:
            self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            self._db.close()


EMPTY_TALLY = Tally(0, 0, 0, 0, 0, (0,) * (len(BUCKETS_NS) + 1), 0, 0)


def _tally(row: Row) -> Tally:
    sent, lost, not_sent, received, rtt_sum, buckets, forward, reverse = row
    return Tally(
        sent, lost, not_sent, received, rtt_sum, tuple(json.loads(buckets)), forward, reverse
    )


def add(tally: Tally, one: TargetSummary) -> Tally:
    """The tally with one more summary counted in."""
    s = one.summary
    return Tally(
        tally.sent + s.sent,
        tally.lost + s.lost,
        tally.not_sent + s.not_sent,
        tally.received + s.received,
        tally.rtt_sum_ns + s.rtt_sum_ns,
        tuple(a + b for a, b in zip(tally.buckets, s.buckets, strict=True)),
        tally.forward_lost + (s.forward_lost or 0),
        tally.reverse_lost + (s.reverse_lost or 0),
    )
