"""The tree on disk, beside the ledger's own tables and on its connection. Append-only.

Leaves are not kept twice: `tree_run` says which rows follow one another in the tree, and a leaf is
made of its row. Of the nodes, those over TILE leaves and more are kept; below them a proof makes
anew what it needs from the rows, which is why altered rows do not fit the heads that were signed.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import apsw
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from collector.ledger import LedgerError
from collector.ledger.sqlite import Row, SqliteLedger
from collector.tree import leaf, merkle
from collector.tree.head import TreeHead
from collector.tree.leaf import LeafKind, Statement, StatementKind
from wire.receipt import Receipt

TILE_LEVEL = 8
TILE = 1 << TILE_LEVEL
"""Leaves under the lowest node that is kept."""
GROW_BY = 4 * TILE
"""Batches taken into the tree in one transaction."""
_TABLES = ("statement", "tree_run", "tree_node", "tree_head", "tree_timestamp", "tree_mail")

SCHEMA = """
CREATE TABLE IF NOT EXISTS statement (
  id INTEGER PRIMARY KEY, kind TEXT NOT NULL, name TEXT NOT NULL, wall_ns INTEGER NOT NULL,
  body BLOB NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS statement_newest ON statement (kind, name, id);

-- From `position` on stand the leaves of rows `first_id` and following, without a gap.
CREATE TABLE IF NOT EXISTS tree_run (
  position INTEGER PRIMARY KEY, kind TEXT NOT NULL, first_id INTEGER NOT NULL,
  leaves INTEGER NOT NULL CHECK (leaves > 0), UNIQUE (kind, first_id)
) STRICT;

CREATE TABLE IF NOT EXISTS tree_node (
  level INTEGER NOT NULL, place INTEGER NOT NULL, hash BLOB NOT NULL, PRIMARY KEY (level, place)
) STRICT, WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS tree_head (
  id INTEGER PRIMARY KEY, size INTEGER NOT NULL, wall_ns INTEGER NOT NULL, root BLOB NOT NULL,
  head BLOB NOT NULL
) STRICT;

-- Answers of time-stamping authorities (RFC 3161), over the head's bytes.
CREATE TABLE IF NOT EXISTS tree_timestamp (
  head_id INTEGER NOT NULL REFERENCES tree_head (id), authority TEXT NOT NULL,
  wall_ns INTEGER NOT NULL, answer BLOB NOT NULL, PRIMARY KEY (head_id, authority)
) STRICT, WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS tree_mail (
  address TEXT NOT NULL, head_id INTEGER NOT NULL REFERENCES tree_head (id),
  wall_ns INTEGER NOT NULL, PRIMARY KEY (address, head_id)
) STRICT, WITHOUT ROWID;
""" + "".join(
    f"CREATE TRIGGER IF NOT EXISTS {table}_no_{deed} BEFORE {deed} ON {table}"
    f" BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END;\n"
    for table in _TABLES
    for deed in ("update", "delete")
)

_NEW = {
    LeafKind.STATEMENT: "SELECT id FROM statement",
    LeafKind.MAINTENANCE: "SELECT id FROM maintenance",
    LeafKind.CANCELLATION: "SELECT maintenance_id AS id FROM maintenance_cancelled",
    LeafKind.TICKETS: "SELECT id FROM ticket_import",
}
"""Registers, whose rows become a run each."""


class KeptHead(NamedTuple):
    """A head and what is kept of it."""

    id: int
    head: TreeHead
    data: bytes
    """As signed (`TreeHead.sign`)."""


class Place(NamedTuple):
    """Where a row stands in the tree."""

    position: int
    leaf: bytes
    """Its hash."""


class TreeStore:
    """Calls from any thread; each is one transaction of the ledger's."""

    def __init__(self, ledger: SqliteLedger) -> None:
        self._ledger = ledger
        with ledger.transaction() as db:
            db.execute(SCHEMA)

    # --- growing --------------------------------------------------------------------------

    def state(self, kind: StatementKind, told: Iterable[tuple[str, bytes]], wall_ns: int) -> int:
        """Keep these (name, canonical JSON) where they are new or other than the newest of their
        name; how many were."""
        with self._ledger.transaction() as db:
            count = 0
            for name, body in told:
                newest = db.execute(
                    "SELECT body FROM statement WHERE kind=? AND name=? ORDER BY id DESC LIMIT 1",
                    (kind, name),
                ).fetchone()
                if newest is None or newest[0] != body:
                    db.execute(
                        "INSERT INTO statement VALUES (NULL,?,?,?,?)", (kind, name, wall_ns, body)
                    )
                    count += 1
            return count

    def grow(self) -> int:
        """Take some of what is new into the tree; how many leaves. 0: nothing is left out."""
        with self._ledger.transaction() as db:
            before = _size(db)
            size = before
            for kind, select in _NEW.items():
                rows: list[Row] = db.execute(
                    f"SELECT id FROM ({select}) AS r WHERE NOT EXISTS (SELECT 1 FROM tree_run"
                    " WHERE kind=? AND first_id=r.id) ORDER BY id",
                    (kind,),
                ).fetchall()
                for row in rows:
                    size += _put_run(db, size, kind, [row[0]])
            size += self._grow_batches(db, size)
            self._keep_nodes(db, before, size)
            return size - before

    def _grow_batches(self, db: apsw.Connection, size: int) -> int:
        newest = db.execute(
            "SELECT first_id + leaves - 1 FROM tree_run WHERE kind=?"
            " ORDER BY first_id DESC LIMIT 1",
            (LeafKind.BATCH,),
        ).fetchone()
        rows: list[Row] = db.execute(
            "SELECT id FROM batch WHERE id>? ORDER BY id LIMIT ?",
            (0 if newest is None else newest[0], GROW_BY),
        ).fetchall()
        return _put_run(db, size, LeafKind.BATCH, [row[0] for row in rows])

    def _keep_nodes(self, db: apsw.Connection, before: int, size: int) -> None:
        """The nodes that are complete since."""
        for tile in range(before >> TILE_LEVEL, size >> TILE_LEVEL):
            start = tile << TILE_LEVEL
            hashes = [one for _, one in self._leaves(db, start, start + TILE)]
            found = merkle.of_leaves(hashes)(TILE_LEVEL, 0)
            level, place = TILE_LEVEL, tile
            while True:
                db.execute("INSERT INTO tree_node VALUES (?,?,?)", (level, place, found))
                if not place & 1:
                    break
                found = merkle.node_hash(_kept(db, level, place - 1), found)
                level, place = level + 1, place >> 1

    def sign(self, key: Ed25519PrivateKey, wall_ns: int) -> KeptHead:
        """A new head over all leaves, durable on return.

        Raises LedgerError where the leaves no longer lead to the head before: they were altered.
        """
        with self._ledger.transaction() as db:
            node, size = self._nodes(db), _size(db)
            newest = db.execute(
                "SELECT size, root FROM tree_head ORDER BY id DESC LIMIT 1"
            ).fetchone()
            if newest is not None and merkle.root(node, newest[0]) != newest[1]:
                raise LedgerError(
                    f"the ledger's first {newest[0]} leaves are no longer those whose head was"
                    " signed: rows were altered; compare it with the backup"
                )
            head = TreeHead(self._ledger.ledger_id, size, wall_ns, merkle.root(node, size))
            data = head.sign(key)
            db.execute(
                "INSERT INTO tree_head VALUES (NULL,?,?,?,?)", (size, wall_ns, head.root, data)
            )
            return KeptHead(db.last_insert_rowid(), head, data)

    # --- reading --------------------------------------------------------------------------

    @property
    def size(self) -> int:
        """Leaves in the tree."""
        with self._ledger.reading() as db:
            return _size(db)

    def head(self, number: int | None = None) -> KeptHead | None:
        """The head of this number, by default the newest."""
        where = "WHERE id=?" if number is not None else "ORDER BY id DESC LIMIT 1"
        values = () if number is None else (number,)
        found = self._heads(where, values)
        return found[0] if found else None

    def heads(self, before: int | None = None, limit: int = 100) -> list[KeptHead]:
        """The newest heads, of those with a smaller number than `before`, the newest first."""
        return self._heads(
            "WHERE id<? ORDER BY id DESC LIMIT ?", (2**62 if before is None else before, limit)
        )

    def heads_within(self, start_ns: int, end_ns: int) -> list[KeptHead]:
        """Those signed in [start_ns, end_ns), the oldest first."""
        return self._heads("WHERE wall_ns>=? AND wall_ns<? ORDER BY id", (start_ns, end_ns))

    def _heads(self, where: str, values: tuple[int, ...]) -> list[KeptHead]:
        rows = self._ledger.rows(
            f"SELECT id, size, wall_ns, root, head FROM tree_head {where}", values
        )
        ledger_id = self._ledger.ledger_id
        return [KeptHead(row[0], TreeHead(ledger_id, *row[1:4]), row[4]) for row in rows]

    def place_of(self, kind: LeafKind, row_id: int) -> int | None:
        """Position of a row's leaf; None while it is not in the tree."""
        rows = self._ledger.rows(
            "SELECT position + ?2 - first_id FROM tree_run WHERE kind=?1 AND first_id<=?2"
            " AND ?2 < first_id + leaves ORDER BY first_id DESC LIMIT 1",
            (kind, row_id),
        )
        return int(rows[0][0]) if rows else None

    def batch_place(self, digest: bytes) -> Place | None:
        """Where the batch of this digest stands; None where there is none, or not yet."""
        rows = self._ledger.rows(
            # Digests are indexed by agent.
            "SELECT b.id FROM agent a JOIN batch b ON b.agent_id=a.agent_id AND b.digest=?",
            (digest,),
        )
        position = self.place_of(LeafKind.BATCH, rows[0][0]) if rows else None
        return None if position is None else Place(position, self.leaf_at(position))

    def leaf_at(self, position: int) -> bytes:
        """Hash of the leaf."""
        with self._ledger.reading() as db:
            return self._leaves(db, position, position + 1)[0][1]

    def inclusion(self, position: int, size: int) -> list[bytes]:
        """See merkle.inclusion."""
        with self._ledger.reading() as db:
            return merkle.inclusion(self._nodes(db), position, size)

    def inclusions(
        self, positions: Sequence[int], size: int
    ) -> tuple[list[tuple[int, bytes]], list[bytes]]:
        """(position, hash) of these leaves and the nodes beside them (merkle.inclusions)."""
        with self._ledger.reading() as db:
            node = self._nodes(db)
            leaves = [(one, node(0, one)) for one in positions]
            return leaves, merkle.inclusions(node, positions, size)

    def consistency(self, first: int, second: int) -> list[bytes]:
        """See merkle.consistency; nothing for a first tree without leaves."""
        with self._ledger.reading() as db:
            return merkle.consistency(self._nodes(db), first, second) if first else []

    def statements(
        self, kind: StatementKind, name: str | None = None
    ) -> list[tuple[int, Statement]]:
        """(row id, version) of all of a kind, or of one name, the oldest first."""
        rows = self._ledger.rows(
            "SELECT id, kind, name, wall_ns, body FROM statement WHERE kind=?1"
            " AND name=coalesce(?2, name) ORDER BY id",
            (kind, name),
        )
        return [(row[0], _statement(row[1:])) for row in rows]

    # --- outside witnesses ----------------------------------------------------------------

    def unstamped(self, authority: str, after_ns: int) -> list[KeptHead]:
        """Heads signed since `after_ns` that this authority has not timestamped, the newest
        first."""
        found = self._ledger.rows(
            "SELECT id FROM tree_head h WHERE wall_ns>? AND NOT EXISTS (SELECT 1 FROM"
            " tree_timestamp WHERE head_id=h.id AND authority=?) ORDER BY id DESC",
            (after_ns, authority),
        )
        return [one for row in found if (one := self.head(row[0])) is not None]

    def keep_timestamp(self, head: int, authority: str, answer: bytes, wall_ns: int) -> None:
        """Keep an authority's answer."""
        with self._ledger.transaction() as db:
            db.execute(
                "INSERT OR IGNORE INTO tree_timestamp VALUES (?,?,?,?)",
                (head, authority, wall_ns, answer),
            )

    def timestamps(self, head: int) -> list[tuple[str, bytes]]:
        """(authority, answer) for a head."""
        return [
            (row[0], row[1])
            for row in self._ledger.rows(
                "SELECT authority, answer FROM tree_timestamp WHERE head_id=? ORDER BY authority",
                (head,),
            )
        ]

    def unmailed(self, address: str, after_ns: int) -> list[KeptHead]:
        """Heads since `after_ns` that were not sent to this address, the oldest first."""
        return self._heads(
            "AS h WHERE wall_ns>? AND id > coalesce((SELECT max(head_id) FROM tree_mail"
            " WHERE address=?), 0) ORDER BY id",
            (after_ns, address),  # type: ignore[arg-type]
        )

    def mailed(self, address: str, head: int, wall_ns: int) -> None:
        """Note that all heads up to this one were sent."""
        with self._ledger.transaction() as db:
            db.execute("INSERT OR IGNORE INTO tree_mail VALUES (?,?,?)", (address, head, wall_ns))

    # --- nodes ----------------------------------------------------------------------------

    def _nodes(self, db: apsw.Connection) -> merkle.Node:
        """The tree as its rows are now, TILE leaves read at a time."""
        tiles: dict[int, list[bytes]] = {}

        def node(level: int, place: int) -> bytes:
            if level >= TILE_LEVEL:
                return _kept(db, level, place)
            start = (place << level) & -TILE
            if start not in tiles:
                if len(tiles) > 4:
                    tiles.clear()
                tiles[start] = [one for _, one in self._leaves(db, start, start + TILE)]
            return merkle.of_leaves(tiles[start])(level, place - (start >> level))

        return node

    def _leaves(self, db: apsw.Connection, start: int, end: int) -> list[tuple[int, bytes]]:
        """(position, hash) of the leaves that there are in [start, end)."""
        runs: list[Row] = db.execute(
            "SELECT position, kind, first_id, leaves FROM tree_run WHERE position<?1 AND position>="
            " coalesce((SELECT max(position) FROM tree_run WHERE position<=?2), 0)"
            " ORDER BY position",
            (end, start),
        ).fetchall()
        found: list[tuple[int, bytes]] = []
        for position, kind, first_id, leaves in runs:
            low, high = max(position, start), min(position + leaves, end)
            ids = first_id + low - position, first_id + high - position
            hashes = self._hashes(db, LeafKind(kind), ids) if low < high else []
            if len(hashes) != max(0, high - low):
                raise LedgerError(f"rows of the {kind} leaves {low} to {high - 1} are gone")
            found += enumerate(hashes, low)
        return found

    def _hashes(self, db: apsw.Connection, kind: LeafKind, ids: tuple[int, int]) -> list[bytes]:
        """Hashes of the leaves of rows [first, end)."""
        if kind is LeafKind.BATCH:
            rows: list[Row] = db.execute(
                "SELECT agent_id, epoch, seq, digest, received_wall_ns FROM batch"
                " WHERE id>=? AND id<? ORDER BY id",
                ids,
            ).fetchall()
            ledger_id = self._ledger.ledger_id
            bodies = [leaf.of_batch(Receipt(ledger_id, *row)) for row in rows]
        elif kind is LeafKind.STATEMENT:
            rows = db.execute(
                "SELECT kind, name, wall_ns, body FROM statement WHERE id>=? AND id<? ORDER BY id",
                ids,
            ).fetchall()
            bodies = [leaf.of_statement(_statement(row)) for row in rows]
        else:
            bodies = self._ledger.registers.leaves(db, kind, ids)
        return [leaf.hash_of(kind, one) for one in bodies]


def _statement(row: Row) -> Statement:
    return Statement(
        kind=StatementKind(row[0]), name=row[1], wall_ns=row[2], body=bytes(row[3]).decode()
    )


def _size(db: apsw.Connection) -> int:
    row = db.execute(
        "SELECT position + leaves FROM tree_run ORDER BY position DESC LIMIT 1"
    ).fetchone()
    return 0 if row is None else int(row[0])


def _put_run(db: apsw.Connection, size: int, kind: LeafKind, ids: Sequence[int]) -> int:
    """Append leaves of these rows (ascending ids); how many."""
    at = 0
    while at < len(ids):
        end = at + 1
        while end < len(ids) and ids[end] == ids[end - 1] + 1:
            end += 1
        db.execute("INSERT INTO tree_run VALUES (?,?,?,?)", (size + at, kind, ids[at], end - at))
        at = end
    return len(ids)


def _kept(db: apsw.Connection, level: int, place: int) -> bytes:
    row = db.execute(
        "SELECT hash FROM tree_node WHERE level=? AND place=?", (level, place)
    ).fetchone()
    if row is None:
        raise LedgerError(f"node {place} of level {level} of the tree is gone")
    found: bytes = row[0]
    return found
