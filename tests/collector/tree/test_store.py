"""The tree beside a real ledger: it grows in append order, and altered rows do not fit heads."""

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from collector.audit.calendar import Zone
from collector.ledger import LedgerError
from collector.ledger.sqlite import SqliteLedger
from collector.maintenance import Kind, Notice, Recorded, Scope
from collector.tickets import Import, Ticket
from collector.tree import head as heads
from collector.tree import leaf, merkle
from collector.tree.leaf import LeafKind, StatementKind
from collector.tree.store import GROW_BY, TILE, TreeStore
from tests.collector.kit import HUB_NOW, Box, entry, heartbeat
from wire.receipt import Receipt

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
PUBLIC = KEY.public_key().public_bytes_raw()
WHO = Recorded("Sari", "sari", 5)


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[SqliteLedger]:
    one = SqliteLedger(tmp_path / "ledger.db")
    yield one
    one.close()


def enrolled(ledger: SqliteLedger, number: int = 1) -> Box:
    box = Box(number)
    ledger.add_token(box.token)
    ledger.enrol(box.token.token_id, box.agent)
    return box


def send(ledger: SqliteLedger, box: Box, count: int) -> list[bytes]:
    batches = [box.batch([heartbeat(100 + box.seq)]) for _ in range(count)]
    stored = ledger.store([entry(one) for one in batches])
    assert all(one.new for one in stored)
    return [one.digest for one in batches]


def all_of(store: TreeStore) -> int:
    grown = 0
    while some := store.grow():
        grown += some
    return grown


def notice(link: str = "l1") -> Notice:
    return Notice(Scope(link), 10, 20, Zone.WIB, Kind.PLANNED, 1, "Budi", "splicing", "letter 4")


def tickets(ledger: SqliteLedger, *told: Ticket) -> None:
    digest = repr(told).encode().ljust(32)[:32]
    ledger.registers.import_tickets(
        Import(0, "oct.csv", digest, "P", Zone.WIB, len(told), WHO), told
    )


def test_everything_becomes_a_leaf_once_in_the_order_of_arrival(ledger: SqliteLedger) -> None:
    store, box = TreeStore(ledger), enrolled(ledger)
    first = send(ledger, box, 3)
    assert all_of(store) == 3
    number = ledger.registers.add_maintenance(notice(), WHO).id
    tickets(ledger, Ticket("P", "T1", "l1", 5, 9, "cut"))
    store.state(StatementKind.CONTRACT, [("K-1", b'{"a":1}')], 7)
    second = send(ledger, box, 2)
    assert all_of(store) == 5
    ledger.registers.cancel_maintenance(number, "moved", WHO)
    assert all_of(store) == 1
    assert all_of(store) == 0
    assert store.size == 9
    places = [store.batch_place(one) for one in (*first, *second)]
    assert [one and one.position for one in places] == [0, 1, 2, 6, 7]
    assert store.place_of(LeafKind.CANCELLATION, number) == 8
    assert store.batch_place(b"?" * 32) is None


def test_a_batchs_leaf_is_what_its_receipt_says(ledger: SqliteLedger) -> None:
    store, box = TreeStore(ledger), enrolled(ledger)
    digest = send(ledger, box, 1)[0]
    all_of(store)
    receipt = Receipt(ledger.ledger_id, box.agent_id, box.epoch, 0, digest, HUB_NOW)
    place = store.batch_place(digest)
    assert place is not None
    assert place.leaf == leaf.hash_of(LeafKind.BATCH, leaf.of_batch(receipt))
    assert receipt.sign(KEY)[:-64] == receipt.pack()


@pytest.mark.parametrize("many", [1, TILE - 1, TILE, TILE + 1, 5 * TILE + 77])
def test_kept_nodes_give_the_tree_that_the_leaves_give(ledger: SqliteLedger, many: int) -> None:
    store, box = TreeStore(ledger), enrolled(ledger)
    sizes = []
    while store.size < many:
        send(ledger, box, min(150, many - store.size))
        all_of(store)
        sizes.append(store.size)
    leaves = [store.leaf_at(k) for k in range(many)]
    whole = merkle.of_leaves(leaves)
    kept = store.sign(KEY, 1)
    assert kept.head.root == merkle.root(whole, many)
    for position in {0, many // 2, many - 1}:
        path = store.inclusion(position, many)
        assert path == merkle.inclusion(whole, position, many)
    for first in sizes:
        assert store.consistency(first, many) == merkle.consistency(whole, first, many)
    positions = list(range(0, many, 7))
    assert store.inclusions(positions, many) == (
        [(one, leaves[one]) for one in positions],
        merkle.inclusions(whole, positions, many),
    )


def test_heads_are_signed_durable_and_consistent(ledger: SqliteLedger, tmp_path: Path) -> None:
    store, box = TreeStore(ledger), enrolled(ledger)
    empty = store.sign(KEY, 10)
    assert empty.head.root == merkle.EMPTY_ROOT
    kept = [empty]
    for k in range(4):
        send(ledger, box, 100)
        all_of(store)
        kept.append(store.sign(KEY, 20 + k))
    assert store.heads() == kept[::-1]
    assert store.heads(before=kept[2].id) == [kept[1], kept[0]]
    assert store.heads_within(20, 22) == kept[1:3]
    assert store.head() == kept[-1]
    assert store.head(99) is None
    for old, new in pairwise(kept):
        assert heads.parse(new.data, PUBLIC) == new.head
        path = store.consistency(old.head.size, new.head.size)
        merkle.check_consistency(
            (old.head.size, old.head.root), (new.head.size, new.head.root), path
        )
    ledger.close()
    again = SqliteLedger(tmp_path / "ledger.db")
    assert TreeStore(again).heads() == kept[::-1]
    again.close()


def test_another_key_or_other_bytes_are_no_head() -> None:
    head = heads.TreeHead(b"l" * 16, 5, 6, b"r" * 32)
    data = head.sign(KEY)
    assert len(data) == heads.HEAD_BYTES
    assert heads.parse(data, PUBLIC) == head
    for at in range(len(data)):
        with pytest.raises(ValueError, match="tree head"):
            heads.parse(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :], PUBLIC)
    with pytest.raises(ValueError, match="expected 132"):
        heads.parse(data[:-1], PUBLIC)
    with pytest.raises(ValueError, match="not signed by this collector"):
        heads.parse(data, bytes(32))


@pytest.mark.parametrize(
    "deed",
    [
        "UPDATE batch SET received_wall_ns=received_wall_ns+1 WHERE id=40",
        "UPDATE batch SET digest=zeroblob(32) WHERE id=40",
    ],
)
def test_an_altered_row_stops_the_next_head(ledger: SqliteLedger, deed: str) -> None:
    store, box = TreeStore(ledger), enrolled(ledger)
    send(ledger, box, 50)
    all_of(store)
    store.sign(KEY, 1)
    with ledger.transaction() as db:
        db.execute(deed)
    send(ledger, box, 1)
    all_of(store)
    with pytest.raises(LedgerError, match="first 50 leaves are no longer those"):
        store.sign(KEY, 2)


def test_an_altered_row_under_a_kept_node_has_no_proof_that_fits(ledger: SqliteLedger) -> None:
    store, box = TreeStore(ledger), enrolled(ledger)
    send(ledger, box, TILE + 5)
    all_of(store)
    head = store.sign(KEY, 1).head
    with ledger.transaction() as db:
        db.execute("UPDATE batch SET received_wall_ns=1 WHERE id=40")
    path = store.inclusion(39, head.size)
    assert merkle.included_root(store.leaf_at(39), 39, head.size, path) != head.root


def test_a_row_that_is_gone_is_named(ledger: SqliteLedger) -> None:
    store, box = TreeStore(ledger), enrolled(ledger)
    send(ledger, box, 5)
    all_of(store)
    with ledger.transaction() as db:
        db.execute("DELETE FROM placement WHERE batch_id=3")
        db.execute("DELETE FROM batch WHERE id=3")
    with pytest.raises(LedgerError, match="rows of the batch leaves 0 to 4 are gone"):
        store.sign(KEY, 1)


@pytest.mark.parametrize(
    "deed",
    [
        "DELETE FROM {}",
        "UPDATE {} SET {}",
    ],
)
@pytest.mark.parametrize(
    ("table", "change"),
    [
        ("statement", "name='n2'"),
        ("tree_run", "leaves=9"),
        ("tree_head", "size=9"),
        ("tree_node", "level=3"),
    ],
)
def test_the_trees_tables_refuse_edits(
    ledger: SqliteLedger, table: str, change: str, deed: str
) -> None:
    store, box = TreeStore(ledger), enrolled(ledger)
    store.state(StatementKind.NODE, [("n1", b"{}")], 1)
    send(ledger, box, TILE)
    all_of(store)
    store.sign(KEY, 1)
    with pytest.raises(LedgerError, match=f"{table} is append-only"), ledger.transaction() as db:
        db.execute(deed.format(table, change))


def test_only_what_changes_is_stated(ledger: SqliteLedger) -> None:
    store = TreeStore(ledger)
    told = [("a", b"1"), ("b", b"2")]
    assert store.state(StatementKind.LINK, told, 1) == 2
    assert store.state(StatementKind.LINK, told, 2) == 0
    assert store.state(StatementKind.LINK, [("a", b"3"), ("b", b"2")], 3) == 1
    assert store.state(StatementKind.LINK, [("a", b"1")], 4) == 1
    assert [
        (one.name, one.wall_ns, one.body) for _, one in store.statements(StatementKind.LINK, "a")
    ] == [("a", 1, "1"), ("a", 3, "3"), ("a", 4, "1")]


def test_a_ticket_in_a_file_is_covered_by_the_files_leaf(ledger: SqliteLedger) -> None:
    store = TreeStore(ledger)
    tickets(ledger, Ticket("P", "T1", "l1", 5, 9, "cut"), Ticket("P", "T2", "l2", 5, 9, "cut"))
    all_of(store)
    before = store.leaf_at(0)
    (one, two) = ledger.registers.tickets()
    digests = ledger.registers.ticket_digests(1)
    assert digests == sorted([leaf.ticket_digest(one), leaf.ticket_digest(two)])
    taken = ledger.registers.imports()[1]
    assert before == leaf.hash_of(LeafKind.TICKETS, leaf.of_tickets(taken, digests))
    altered = one._replace(ticket=one.ticket._replace(end_s=8))
    assert leaf.ticket_digest(altered) not in digests


def test_another_process_grows_the_same_tree(ledger: SqliteLedger, tmp_path: Path) -> None:
    store, box = TreeStore(ledger), enrolled(ledger)
    other_ledger = SqliteLedger(tmp_path / "ledger.db")
    other = TreeStore(other_ledger)
    digests = []
    for one in (store, other, store):
        digests += send(ledger, box, 10)
        all_of(one)
    assert store.sign(KEY, 1).head.root == other.sign(KEY, 1).head.root
    assert [store.batch_place(one).position for one in digests] == list(range(30))  # type: ignore[union-attr]
    other_ledger.close()


def test_a_long_ledger_is_taken_in_pieces(ledger: SqliteLedger) -> None:
    store, box = TreeStore(ledger), enrolled(ledger)
    send(ledger, box, GROW_BY + 10)
    assert [store.grow(), store.grow(), store.grow()] == [GROW_BY, 10, 0]


def test_a_proof_keeps_nobody_from_writing(ledger: SqliteLedger, tmp_path: Path) -> None:
    """The command line proves for a minute what the collector writes to meanwhile."""
    box = enrolled(ledger)
    other = SqliteLedger(tmp_path / "ledger.db")
    with other.reading() as db:
        before = db.execute("SELECT count(*) FROM batch").fetchone()
        send(ledger, box, 2)
        assert db.execute("SELECT count(*) FROM batch").fetchone() == before == (0,)
    assert other.rows("SELECT count(*) FROM batch") == [(2,)]
    other.close()


def test_timestamps_and_mails_are_remembered(ledger: SqliteLedger) -> None:
    store = TreeStore(ledger)
    one, two = store.sign(KEY, 10), store.sign(KEY, 20)
    assert store.unstamped("tsa", 0) == [two, one]
    store.keep_timestamp(two.id, "tsa", b"answer", 21)
    assert store.unstamped("tsa", 0) == [one]
    assert store.unstamped("tsa", 10) == []
    assert store.timestamps(two.id) == [("tsa", b"answer")]
    assert store.unmailed("a@b", 0) == [one, two]
    store.mailed("a@b", one.id, 22)
    assert store.unmailed("a@b", 0) == [two]
    assert store.unmailed("c@d", 15) == [two]
