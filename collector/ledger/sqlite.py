"""The ledger on one machine: SQLite through apsw, WAL, synchronous FULL, one connection.

FULL because an acknowledged batch must survive a power cut (delivery.md section 1: NORMAL lost
acknowledged rows in 969 of 1,500 simulated cuts). A call commits once, whatever the number of
entries, which is what makes group commit cheap.
"""

import json
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import apsw

from collector.ledger import (
    EMPTY_TALLY,
    Agent,
    Entry,
    Head,
    LedgerError,
    PlacedBy,
    Placement,
    Stored,
    Tally,
    TargetSummary,
    TokenRow,
    add,
)
from collector.ledger.heads import EpochReach, head
from collector.ledger.registers import SCHEMA_REGISTERS, Registers
from collector.ledger.schema import MIGRATIONS, SCHEMA, VERSION
from collector.placing import believable, by_anchor, nearest, place
from wire.batch import NO_DIGEST, Batch, Header, parse_header
from wire.errors import Refusal, WireError
from wire.journal import Anchor

Row = tuple[Any, ...]
Value = None | int | float | str | bytes


class SqliteLedger:
    """See collector.ledger.Ledger. Calls may come from any thread, one at a time."""

    def __init__(self, file: Path, *, durable: bool = True) -> None:
        """Open or create the ledger. Raises LedgerError where it is damaged or too new.

        One that is not `durable` waits for no disk: it has to be made again after a crash.
        """
        self._lock = threading.Lock()
        self._file = file
        self._heads: dict[bytes, Head] = {}
        file.parent.mkdir(parents=True, exist_ok=True)
        with self._translated():
            self._db = apsw.Connection(str(file))
            self._db.set_busy_timeout(10_000)
            for pragma in (
                "journal_mode=WAL",
                f"synchronous={'FULL' if durable else 'OFF'}",
                "foreign_keys=ON",
                "cache_size=-16384",
                "temp_store=MEMORY",
            ):
                self._db.execute(f"PRAGMA {pragma}")
        self._migrate()
        self.registers = Registers(self._db, self.transaction, self.rows)
        self.ledger_id: bytes = self._one("SELECT value FROM meta WHERE key='ledger_id'")[0]
        self._data_version = self._one("PRAGMA data_version")[0]
        self._moved = {row[0] for row in self.rows("SELECT DISTINCT agent_id FROM segment")}

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except (apsw.CorruptError, apsw.NotADBError) as error:
            raise LedgerError(f"{self._file}: {error}: restore it from the backup") from error
        except apsw.Error as error:
            raise LedgerError(f"{self._file}: {error}") from error

    def _migrate(self) -> None:
        with self.transaction():
            version = self._one("PRAGMA user_version")[0]
            if version > VERSION:
                raise LedgerError(f"{self._file}: written by a newer pantau (schema {version})")
            if version == 0:
                self._db.execute(SCHEMA)
                self._db.execute("INSERT INTO meta VALUES ('ledger_id', ?)", (os.urandom(16),))
            for older in range(version or VERSION, VERSION):
                self._db.execute(MIGRATIONS[older])
            self._db.execute(f"PRAGMA user_version={VERSION}")
            self._db.execute(SCHEMA_REGISTERS)

    @contextmanager
    def transaction(self) -> Iterator[apsw.Connection]:
        """All or nothing, for those that keep tables beside these; durable on leaving."""
        with self._lock, self._translated():
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield self._db
                self._db.execute("COMMIT")
            except BaseException:
                if not self._db.get_autocommit():
                    self._db.execute("ROLLBACK")
                raise

    @contextmanager
    def reading(self) -> Iterator[apsw.Connection]:
        """One state of everything, for several queries; keeps no other process from writing."""
        with self._lock, self._translated():
            self._db.execute("BEGIN")
            try:
                yield self._db
            finally:
                self._db.execute("ROLLBACK")

    def _one(self, sql: str, values: tuple[Value, ...] = ()) -> Row:
        row: Row | None = self._db.execute(sql, values).fetchone()
        assert row is not None, sql
        return row

    def rows(self, sql: str, values: tuple[Value, ...] = ()) -> list[Row]:
        """The result of a query."""
        with self._lock, self._translated():
            return self._db.execute(sql, values).fetchall()

    # --- identity -------------------------------------------------------------------------

    def add_token(self, row: TokenRow) -> None:
        """Keep a new join token."""
        with self.transaction():
            self._db.execute("INSERT INTO token VALUES (?,?,?,?,?,?)", row)

    def token(self, token_id: bytes) -> TokenRow | None:
        """The token of this id."""
        rows = self.rows("SELECT * FROM token WHERE token_id=?", (token_id,))
        return TokenRow(*rows[0]) if rows else None

    def open_tokens(self, wall_ns: int) -> list[TokenRow]:
        """Tokens that a box could still join with, the newest first."""
        rows = self.rows(
            "SELECT * FROM token WHERE used_by IS NULL AND expires_wall_ns>=?"
            " ORDER BY created_wall_ns DESC, token_id",
            (wall_ns,),
        )
        return [TokenRow(*row) for row in rows]

    def withdraw(self, token_id: bytes, wall_ns: int) -> bool:
        """Let a token expire now; False if no box could join with it anyway."""
        with self.transaction():
            self._db.execute(
                "UPDATE token SET expires_wall_ns=? WHERE token_id=? AND used_by IS NULL"
                " AND expires_wall_ns>=?",
                (wall_ns - 1, token_id, wall_ns),
            )
            return bool(self._db.changes())

    def enrol(self, token_id: bytes, agent: Agent) -> Agent:
        """Use the token for this agent; a repeat by the same key returns the first answer."""
        with self.transaction():
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
        return [Agent(*row) for row in self.rows("SELECT * FROM agent ORDER BY node, agent_id")]

    def revoke(self, agent_id: bytes, wall_ns: int) -> bool:
        """Refuse this agent from now on; False if it is unknown or revoked already."""
        with self.transaction():
            self._db.execute(
                "UPDATE agent SET revoked_wall_ns=? WHERE agent_id=? AND revoked_wall_ns IS NULL",
                (wall_ns, agent_id),
            )
            return self._db.changes() == 1

    def ssids(self, links: list[str]) -> dict[str, int]:
        """STAMP session ids of these links, given once and kept."""
        known = {link: ssid for ssid, link in self.rows("SELECT ssid, link FROM session")}
        new = [link for link in links if link not in known]
        if new:
            with self.transaction():
                free = iter(sorted(set(range(1, 65536)) - set(known.values())))
                for link in new:
                    ssid = next(free, None)
                    if ssid is None:
                        raise LedgerError(f"no STAMP session id is left for link {link!r}")
                    known[link] = ssid
                    self._db.execute("INSERT INTO session VALUES (?,?)", (known[link], link))
        return {link: known[link] for link in links}

    # --- evidence -------------------------------------------------------------------------

    def store(self, entries: list[Entry]) -> list[Stored]:
        """Make the entries durable in one transaction, in order."""
        with self.transaction():
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
        self._extend(batch_id, header)
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
            "SELECT hex(epoch), seq FROM batch WHERE agent_id=? AND previous=?"
            " AND previous<>zeroblob(32)",  # or SQLite does not see that the index will do
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
        one_side = (
            "SELECT * FROM (SELECT boot_ns, hub_wall_ns, error_ns FROM anchor"
            " WHERE agent_id=?1 AND boot_id=?2 AND boot_ns{} ?3 ORDER BY boot_ns {} LIMIT 1)"
        )
        rows: list[Row] = self._db.execute(
            f"{one_side.format('<=', 'DESC')} UNION ALL {one_side.format('>', 'ASC')}",
            (header.agent_id, header.boot_id, header.last_boot_ns),
        ).fetchall()
        return nearest((Anchor(*row) for row in rows), header.last_boot_ns)

    def _improve(self, header: Header, anchor: Anchor) -> None:
        """Place earlier batches of this boot that had no anchor yet."""
        rows: list[Row] = self._db.execute(
            "SELECT batch_id, last_boot_ns FROM placement p JOIN batch ON id=batch_id"
            " WHERE p.agent_id=? AND p.boot_id=? AND placed_by<>'anchor'",
            (header.agent_id, header.boot_id),
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
        self._db.execute(
            "INSERT INTO placement VALUES (?,?,?,?,?,?)",
            (batch_id, header.agent_id, header.boot_id, *placement),
        )
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

    def _extend(self, batch_id: int, header: Header) -> None:
        """Advance the epoch's complete run over every batch that is now contiguous."""
        at = (header.agent_id, header.epoch)
        row = self._db.execute(
            "SELECT first_seq, first_batch, next_seq, highest_seq, received, settled_batch"
            " FROM segment WHERE agent_id=? AND epoch=?",
            at,
        ).fetchone()
        first_seq, first, next_seq, highest, received, settled = row or (2**63, 0, 0, -1, 0, None)
        if header.seq < first_seq:
            first_seq, first = header.seq, batch_id
        if header.seq == next_seq:
            run = self._db.execute(
                "SELECT seq, id FROM batch WHERE agent_id=? AND epoch=? AND seq>=? ORDER BY seq",
                (*at, next_seq),
            )
            for seq, one in run:
                if seq != next_seq:
                    break
                next_seq, settled = seq + 1, one
        self._db.execute(
            "INSERT OR REPLACE INTO segment VALUES (?,?,?,?,?,?,?,?)",
            (*at, first_seq, first, next_seq, max(highest, header.seq), received + 1, settled),
        )
        self._moved.add(header.agent_id)

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
            self.rows(
                "SELECT 1 FROM batch WHERE agent_id=? AND epoch=? AND seq=?", (agent_id, epoch, seq)
            )
        )

    def heads(self) -> list[Head]:
        """How far each agent's evidence is complete; reads anew what has moved since."""
        with self._lock, self._translated():
            for agent_id in list(self._moved):
                self._reach(agent_id)
            return list(self._heads.values())

    def head(self, agent_id: bytes) -> Head | None:
        """How far one agent's evidence is complete; None where there is none."""
        with self._lock, self._translated():
            if agent_id in self._moved:
                self._reach(agent_id)
            return self._heads.get(agent_id)

    def _reach(self, agent_id: bytes) -> None:
        rows: list[Row] = self._db.execute(_REACH, (agent_id,)).fetchall()
        if rows:
            self._heads[agent_id] = head(agent_id, [EpochReach(*row) for row in rows])
        self._moved.discard(agent_id)

    def tallies(self) -> dict[tuple[str, str], Tally]:
        """Counters by (link, target)."""
        return {(row[0], row[1]): _tally(row[2:]) for row in self.rows("SELECT * FROM tally")}

    def gap_observations(self) -> dict[tuple[str, str], int]:
        """Observations listed as lost, by (link, target), of the records that name both."""
        rows = self.rows(
            "SELECT link, target, sum(observations) FROM gap"
            " WHERE link NOTNULL AND target NOTNULL AND observations NOTNULL GROUP BY 1, 2"
        )
        return {(link, target): observations for link, target, observations in rows}

    def placed_batches(self, agent_id: bytes) -> Iterator[tuple[Batch, Placement]]:
        """An agent's evidence, by epoch and sequence, as received, with its place in time."""
        keys = self.rows("SELECT id FROM batch WHERE agent_id=? ORDER BY epoch, seq", (agent_id,))
        for (batch_id,) in keys:
            header, signature, body, *placed = self.rows(
                "SELECT header, signature, body, offset_ns, error_ns, placed_by FROM batch"
                " JOIN placement ON batch_id=id WHERE id=?",
                (batch_id,),
            )[0]
            placement = Placement(placed[0], placed[1], PlacedBy(placed[2]))
            yield Batch(parse_header(header), header, signature, body), placement

    def changed(self) -> bool:
        """Whether another process wrote to this ledger since the last call."""
        version = self.rows("PRAGMA data_version")[0][0]
        if version == self._data_version:
            return False
        self._data_version = version
        return True

    def close(self) -> None:
        """Fold the write-ahead log into the file and close."""
        with self._lock:
            # Where the disk is full the log stays beside the file, and is read at the next start.
            with suppress(apsw.Error):
                self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            self._db.close()


_REACH = """
SELECT s.epoch, s.next_seq, s.highest_seq + 1 - s.received, first.last_boot_ns + fp.offset_ns,
  settled.last_boot_ns + sp.offset_ns, before.epoch,
  s.first_seq = 0 AND first.previous <> zeroblob(32) AND before.id IS NULL
FROM segment s JOIN batch first ON first.id = s.first_batch
  JOIN placement fp ON fp.batch_id = s.first_batch
  LEFT JOIN batch settled ON settled.id = s.settled_batch
  LEFT JOIN placement sp ON sp.batch_id = s.settled_batch
  LEFT JOIN batch before ON s.first_seq = 0 AND before.agent_id = s.agent_id
    AND before.digest = first.previous
WHERE s.agent_id = ?
"""


def _tally(row: Row) -> Tally:
    sent, lost, not_sent, received, rtt_sum, buckets, forward, reverse = row
    return Tally(
        sent, lost, not_sent, received, rtt_sum, tuple(json.loads(buckets)), forward, reverse
    )
