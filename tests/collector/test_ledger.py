"""The ledger on real files: what goes in stays in, once, in its place."""

import contextlib
import sqlite3
import subprocess
import sys
from pathlib import Path

import apsw
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from collector.latency import summarise
from collector.ledger import EMPTY_TALLY, Entry, Head, LedgerError, PlacedBy, Tally, add
from collector.ledger.schema import VERSION
from collector.ledger.sqlite import SqliteLedger
from collector.reading import Scope, read
from tests.collector.kit import (
    HUB_NOW,
    SECOND,
    WALL_AT_BOOT,
    Box,
    anchor,
    entry,
    gap,
    heartbeat,
    train,
)
from wire.batch import NO_DIGEST, Batch
from wire.errors import Refusal, WireError
from wire.instant import ClockClass


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "data" / "ledger.db"


@pytest.fixture
def ledger(file: Path) -> SqliteLedger:
    return SqliteLedger(file)


@pytest.fixture
def box() -> Box:
    return Box()


def kept(ledger: SqliteLedger, box: Box) -> list[bytes]:
    return [batch.to_bytes() for batch, _ in ledger.placed_batches(box.agent_id)]


def why_refused(ledger: SqliteLedger, batch: Batch) -> str:
    """Stores it alone, and is told why not; nothing changes."""
    before = ledger.tallies()
    (stored,) = ledger.store([entry(batch)])
    assert (stored.refusal, stored.new) == (Refusal.WRONG_CHAIN, False)
    assert ledger.tallies() == before
    return stored.detail


# --- the chain ----------------------------------------------------------------------------


def test_a_batch_is_kept_as_received_to_the_byte(ledger: SqliteLedger, box: Box) -> None:
    batches = [box.batch() for _ in range(3)]
    stored = ledger.store([entry(batch) for batch in batches])
    assert [(one.new, one.received_wall_ns) for one in stored] == [(True, HUB_NOW)] * 3
    assert kept(ledger, box) == [batch.to_bytes() for batch in batches]
    assert ledger.holds(box.agent_id, box.epoch, 2)
    assert not ledger.holds(box.agent_id, box.epoch, 3)


def test_a_repeat_changes_nothing_and_is_told_when_it_first_came(
    ledger: SqliteLedger, box: Box
) -> None:
    batch = box.batch()
    ledger.store([entry(batch)])
    before = ledger.tallies()
    again, twice = ledger.store([entry(batch, HUB_NOW + SECOND)] * 2)
    assert again == twice
    assert (again.new, again.refusal, again.received_wall_ns) == (False, None, HUB_NOW)
    assert ledger.tallies() == before
    assert len(kept(ledger, box)) == 1


def test_the_place_of_a_batch_cannot_hold_other_bytes(ledger: SqliteLedger, box: Box) -> None:
    other = box.draft([train([99])])
    ledger.store([entry(box.batch())])
    assert why_refused(ledger, other) == "seq 0 holds other bytes"


def test_a_batch_follows_the_one_before_it(ledger: SqliteLedger, box: Box) -> None:
    ledger.store([entry(box.batch())])
    assert why_refused(ledger, box.draft([train([20])], previous=b"x" * 32)) == (
        "seq 1 does not follow seq 0"
    )


def test_a_batch_leads_to_the_one_behind_it(ledger: SqliteLedger, box: Box) -> None:
    forged = box.draft([train([99])])
    box.batch()
    ledger.store([entry(box.batch())])
    assert why_refused(ledger, forged) == "seq 0 does not lead to seq 1"


def test_only_the_first_batch_of_a_chain_has_no_predecessor(ledger: SqliteLedger, box: Box) -> None:
    orphan = box.draft([train([20])], seq=4, previous=NO_DIGEST)
    assert why_refused(ledger, orphan) == "seq 4 has no predecessor"


def test_two_children_of_one_batch_are_a_fork_that_names_the_first(
    ledger: SqliteLedger, box: Box
) -> None:
    ledger.store([entry(box.batch())])
    head, first = box.previous, box.epoch
    ledger.store([entry(box.batch())])
    box.begin()
    clone = box.draft([train([20])], previous=head)
    assert why_refused(ledger, clone) == f"forks from epoch {first.hex()} seq 1"


def test_a_new_epoch_continues_the_chain_and_may_begin_it_anew(
    ledger: SqliteLedger, box: Box
) -> None:
    ledger.store([entry(box.batch())])
    box.begin()
    ledger.store([entry(box.batch())])
    box.previous = NO_DIGEST  # its spool is gone
    box.begin()
    assert [one.new for one in ledger.store([entry(box.batch())])] == [True]
    assert len(kept(ledger, box)) == 3


def test_the_same_bytes_of_two_agents_are_no_fork(ledger: SqliteLedger) -> None:
    batches = [Box(number).batch() for number in (1, 2)]
    assert [one.new for one in ledger.store([entry(batch) for batch in batches])] == [True, True]


def test_a_group_stores_what_is_good_and_refuses_the_rest(ledger: SqliteLedger, box: Box) -> None:
    first, forged = box.batch(), Box().draft([train([99])])
    second, wrong = box.batch(), box.draft([train([99])], previous=b"x" * 32)
    stored = ledger.store([entry(batch) for batch in (first, forged, second, wrong, first)])
    assert [(one.new, one.refusal) for one in stored] == [
        (True, None),
        (False, Refusal.WRONG_CHAIN),
        (True, None),
        (False, Refusal.WRONG_CHAIN),
        (False, None),
    ]
    assert kept(ledger, box) == [first.to_bytes(), second.to_bytes()]


# --- how complete -------------------------------------------------------------------------


def settled_at(boot_s: float) -> int:
    return WALL_AT_BOOT + int(boot_s * SECOND)


def test_a_hole_is_missing_until_it_is_filled_and_settled_time_waits_before_it(
    ledger: SqliteLedger, box: Box
) -> None:
    first, second, third = (box.batch() for _ in range(3))
    ledger.store([entry(first)])
    ledger.store([entry(third)])
    assert ledger.heads() == [Head(box.agent_id, box.epoch, 1, settled_at(109), 1)]
    ledger.store([entry(second)])
    assert ledger.heads() == [Head(box.agent_id, box.epoch, 3, settled_at(129), 0)]


def test_while_the_newest_life_lacks_its_beginning_evidence_reaches_as_far_as_the_life_before(
    ledger: SqliteLedger, box: Box
) -> None:
    ledger.store([entry(box.batch())])
    box.begin()
    beginning = box.batch([train([20], boot_s=200)])
    fresh = box.batch([train([20], boot_s=210)])
    ledger.store([entry(fresh)])
    assert ledger.heads() == [Head(box.agent_id, box.epoch, 0, settled_at(109), 1)]
    ledger.store([entry(beginning)])
    assert ledger.heads() == [Head(box.agent_id, box.epoch, 2, settled_at(210), 0)]


def test_a_lost_end_of_a_former_life_is_missing(ledger: SqliteLedger, box: Box) -> None:
    ledger.store([entry(box.batch())])
    box.batch()
    box.begin()
    first, second = (box.batch([train([20], boot_s=boot_s)]) for boot_s in (300, 310))
    ledger.store([entry(second), entry(first)])
    (head,) = ledger.heads()
    assert (head.epoch, head.settled_wall_ns, head.missing) == (box.epoch, settled_at(310), 1)


def test_a_life_that_another_continues_is_not_the_newest_however_late_it_arrives(
    ledger: SqliteLedger, box: Box
) -> None:
    """The former boot never had a clock: its batches can only be placed at their arrival."""
    box.boot_id = b"1" * 16
    late = box.batch(clock=ClockClass.D)
    box.begin(boot_id=b"2" * 16)
    ledger.store([entry(box.batch([heartbeat(50, anchor(40))]))])
    ledger.store([entry(late, HUB_NOW + 86_400 * SECOND)])
    (head,) = ledger.heads()
    assert (head.epoch, head.settled_wall_ns) == (box.epoch, settled_at(50))


def lives() -> list[Entry]:
    """Nine batches of three lives, two links, losses, a gap and late anchors."""
    box, made = Box(), []
    for life in range(3):
        for k in range(3):
            boot_s = 100 + 100 * life + 10 * k
            rows = [20.0, None, 700.0] * 3
            records = [
                train(rows, first_seq=9 * k, boot_s=boot_s),
                train(rows[k:], first_seq=9 * k, boot_s=boot_s, link="l3", target="gateway"),
                gap(boot_s + 9, link="l1", target="hub", count=k),
                heartbeat(boot_s + 9, anchor(boot_s + 5) if k == 2 else None),
            ]
            made.append(box.batch(records, clock=ClockClass.D))
        box.begin()
    return [entry(batch, own=["l1", "l3"]) for batch in made]


LIVES = lives()


def end_state(ledger: SqliteLedger) -> tuple[object, ...]:
    places = [
        (batch.digest, placement.offset_ns)
        for batch, placement in ledger.placed_batches(Box().agent_id)
    ]
    return ledger.tallies(), ledger.heads(), ledger.gap_observations(), places


@pytest.fixture(scope="module")
def in_order(tmp_path_factory: pytest.TempPathFactory) -> tuple[object, ...]:
    ledger = SqliteLedger(tmp_path_factory.mktemp("order") / "ledger.db")
    for one in LIVES:
        ledger.store([one])
    return end_state(ledger)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    order=st.permutations(range(len(LIVES))),
    repeats=st.lists(st.integers(0, len(LIVES) - 1), max_size=6),
    group=st.integers(1, 5),
)
def test_any_order_and_repetition_ends_in_the_same_state(
    tmp_path_factory: pytest.TempPathFactory,
    in_order: tuple[object, ...],
    order: list[int],
    repeats: list[int],
    group: int,
) -> None:
    ledger = SqliteLedger(tmp_path_factory.mktemp("any") / "ledger.db")
    ledger._db.execute("PRAGMA synchronous=OFF")  # forty small databases, none to be kept
    arrivals = [LIVES[k] for k in [*order[:5], *repeats, *order]]
    for k in range(0, len(arrivals), group):
        assert all(one.refusal is None for one in ledger.store(arrivals[k : k + group]))
        ledger.heads()
    assert end_state(ledger) == in_order
    ledger.close()


def test_tallies_are_what_a_rebuild_gives_from_summaries_and_from_raw_bodies(
    ledger: SqliteLedger, file: Path
) -> None:
    ledger.store(LIVES)
    rebuilt: dict[tuple[str, str], Tally] = {}
    for batch, placement in ledger.placed_batches(Box().agent_id):
        assert placement.placed_by is PlacedBy.ANCHOR
        for one in read(batch, HUB_NOW, Scope(["l1", "l3"], [])).targets:
            key = (one.link, one.target)
            rebuilt[key] = add(rebuilt.get(key, EMPTY_TALLY), one)
    tallies = ledger.tallies()
    assert tallies == rebuilt
    assert tallies["l1", "hub"].sent == 81
    with contextlib.closing(sqlite3.connect(file)) as other:
        summed = other.execute(
            "SELECT link, target, sum(sent), sum(lost), sum(not_sent), sum(rtt_sum_ns) FROM train"
            " GROUP BY link, target"
        ).fetchall()
    assert {(row[0], row[1]): row[2:] for row in summed} == {
        key: (t.sent, t.lost, t.not_sent, t.rtt_sum_ns) for key, t in tallies.items()
    }
    assert ledger.gap_observations() == {("l1", "hub"): 9}


def test_sums_of_a_hostile_agent_stop_at_what_the_store_can_hold(
    ledger: SqliteLedger, box: Box
) -> None:
    hour_ms = 3_600_000
    boasting = [
        train(
            [hour_ms] * 1000,
            first_seq=2**52 + 1000 * k,
            reflector_seq=[2**53] * 1000,
            prior=(0, 0),
        )
        for k in range(4)
    ]
    one = entry(box.batch(boasting))
    huge = one.targets[0].summary._replace(rtt_sum_ns=2**62, reverse_lost=2**62)
    grown = one._replace(targets=(one.targets[0]._replace(summary=huge),))
    ledger.store([grown])
    for _ in range(3):
        following = box.batch([train([20], first_seq=box.seq)])
        ledger.store([entry(following)._replace(targets=grown.targets)])
    tally = ledger.tallies()["l1", "hub"]
    assert tally.rtt_sum_ns == tally.reverse_lost == 2**63 - 1
    assert summarise(boasting).reverse_lost is not None


# --- time ---------------------------------------------------------------------------------


def placed(ledger: SqliteLedger, box: Box) -> list[tuple[str, int]]:
    return [
        (placement.placed_by, placement.offset_ns - WALL_AT_BOOT)
        for _, placement in ledger.placed_batches(box.agent_id)
    ]


def test_an_anchor_places_the_batches_of_its_boot_that_came_before_and_come_after(
    ledger: SqliteLedger, box: Box
) -> None:
    def unsure(boot_s: float, told: bool = False) -> Batch:
        record = heartbeat(boot_s, anchor(boot_s - 1) if told else None)
        return box.batch([record], clock=ClockClass.D)

    ledger.store([entry(unsure(100)), entry(unsure(110))])
    assert [by for by, _ in placed(ledger, box)] == [PlacedBy.RECEIVED] * 2
    ledger.store([entry(unsure(120, told=True))])
    ledger.store([entry(unsure(130))])
    assert placed(ledger, box) == [(PlacedBy.ANCHOR, 0)] * 4
    box.begin(boot_id=b"c" * 16)
    ledger.store([entry(unsure(10))])
    assert placed(ledger, box)[-1][0] == PlacedBy.RECEIVED


def test_an_anchor_from_the_future_is_not_kept(ledger: SqliteLedger, box: Box) -> None:
    lie = anchor(100, wrong_s=86_400)
    ledger.store([entry(box.batch([heartbeat(100, lie)], clock=ClockClass.D))])
    assert [by for by, _ in placed(ledger, box)] == [PlacedBy.RECEIVED]


def test_storing_reads_by_index_and_not_the_whole_boot(ledger: SqliteLedger, box: Box) -> None:
    ledger.store([entry(box.batch([heartbeat(k, anchor(k - 1))])) for k in range(100, 120)])
    asked: list[tuple[str, tuple[object, ...]]] = []

    def trace(cursor: apsw.Cursor, sql: str, values: tuple[object, ...] | None) -> bool:
        if sql.startswith("SELECT"):
            asked.append((sql, values or ()))
        return True

    ledger._db.exec_trace = trace
    ledger.store([entry(box.batch([heartbeat(200, anchor(199)), train([20], boot_s=201)]))])
    ledger.store([entry(box.batch([heartbeat(300)]))])
    ledger._db.exec_trace = None
    steps = {
        row[3]
        for sql, values in asked
        for row in ledger._db.execute(f"EXPLAIN QUERY PLAN {sql}", values)
    }
    reads = [step for step in steps if step.startswith(("SCAN", "SEARCH"))]
    assert any("placement_open" in step for step in reads)
    assert any("batch_previous" in step for step in reads)
    all_of_an_agent = [step for step in reads if step.endswith("(agent_id=?)")]
    all_of_a_table = [step for step in reads if step.startswith("SCAN") and "subquery" not in step]
    assert (all_of_an_agent, all_of_a_table) == ([], [])


# --- identity and the file ----------------------------------------------------------------


def test_session_ids_are_given_once_and_kept(ledger: SqliteLedger, file: Path) -> None:
    assert ledger.ssids(["l2", "l1"]) == {"l2": 1, "l1": 2}
    assert ledger.ssids(["l3"]) == {"l3": 3}
    ledger.close()
    assert SqliteLedger(file).ssids(["l1", "l4"]) == {"l1": 2, "l4": 4}


def test_when_all_session_ids_are_given_the_links_are_refused_by_name(
    ledger: SqliteLedger,
) -> None:
    ledger.ssids([f"l{k}" for k in range(65_535)])
    with pytest.raises(LedgerError, match="no STAMP session id is left for link 'one-more'"):
        ledger.ssids(["one-more"])


def test_enrolling_again_with_the_same_key_gives_the_first_answer(
    ledger: SqliteLedger, box: Box
) -> None:
    ledger.add_token(box.token)
    first = ledger.enrol(box.token.token_id, box.agent)
    again = ledger.enrol(box.token.token_id, box.agent._replace(agent_id=b"z" * 16, version="9"))
    assert again == first == box.agent
    assert ledger.agents() == [box.agent]
    token = ledger.token(box.token.token_id)
    assert token is not None and token.used_by == box.agent_id


def test_a_token_serves_one_key(ledger: SqliteLedger, box: Box) -> None:
    ledger.add_token(box.token)
    ledger.enrol(box.token.token_id, box.agent)
    with pytest.raises(WireError, match="token of node n1 was used") as caught:
        ledger.enrol(box.token.token_id, Box(2).agent)
    assert caught.value.refusal is Refusal.USED_TOKEN
    assert ledger.agents() == [box.agent]


def test_an_agent_is_revoked_once(ledger: SqliteLedger, box: Box) -> None:
    ledger.add_token(box.token)
    ledger.enrol(box.token.token_id, box.agent)
    revoked = [ledger.revoke(box.agent_id, 5), ledger.revoke(box.agent_id, 6)]
    assert revoked == [True, False]
    assert not ledger.revoke(b"?" * 16, 5)
    assert [agent.revoked_wall_ns for agent in ledger.agents()] == [5]


def test_everything_is_there_again_after_reopening(ledger: SqliteLedger, file: Path) -> None:
    ledger.store(LIVES)
    before, ledger_id = end_state(ledger), ledger.ledger_id
    ledger.close()
    again = SqliteLedger(file)
    assert end_state(again) == before
    assert again.ledger_id == ledger_id


def test_a_ledger_of_a_newer_program_is_refused_and_left_alone(
    ledger: SqliteLedger, file: Path
) -> None:
    ledger.close()
    db = apsw.Connection(str(file))
    db.execute("PRAGMA user_version=99")
    db.close()
    before = file.read_bytes()
    with pytest.raises(LedgerError, match=r"written by a newer pantau \(schema 99\)"):
        SqliteLedger(file)
    assert file.read_bytes() == before


def test_a_damaged_ledger_is_refused_with_advice(file: Path) -> None:
    file.parent.mkdir()
    file.write_bytes(b"this is no database, and long enough to be looked at" * 100)
    with pytest.raises(LedgerError, match=r"ledger\.db: .*: restore it from the backup"):
        SqliteLedger(file)


def test_only_what_another_process_wrote_is_a_change(ledger: SqliteLedger, file: Path) -> None:
    ledger.store([entry(Box().batch())])
    assert not ledger.changed()
    other = SqliteLedger(file)
    other.add_token(Box().token)
    assert ledger.changed()
    assert not ledger.changed()
    assert ledger.token(Box().token.token_id) == Box().token


def test_a_store_that_fails_keeps_nothing_of_the_group_and_works_again_afterwards(
    ledger: SqliteLedger, box: Box
) -> None:
    ledger.store([entry(box.batch())])
    before = end_state(ledger)
    group = [entry(box.batch([train([20] * 60, first_seq=60 * k)])) for k in range(1, 200)]
    pages = ledger._db.execute("PRAGMA page_count").fetchone()
    assert pages is not None
    ledger._db.execute(f"PRAGMA max_page_count={pages[0] + 4}")
    with pytest.raises(LedgerError, match="full"):
        ledger.store(group)
    assert end_state(ledger) == before
    ledger._db.execute("PRAGMA max_page_count=1000000")
    assert all(one.new for one in ledger.store(group))


CHILD = """
import sys
from pathlib import Path
from collector.ledger.sqlite import SqliteLedger
from tests.collector.kit import Box, entry

ledger, box = SqliteLedger(Path(sys.argv[1])), Box()
while True:
    group = [box.batch() for _ in range(3)]
    ledger.store([entry(batch) for batch in group])
    for batch in group:
        print(batch.digest.hex(), flush=True)
"""


@pytest.mark.parametrize("acknowledged", [1, 10, 47])
def test_what_was_acknowledged_survives_kill_9(file: Path, acknowledged: int) -> None:
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, str(file)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    assert child.stdout is not None
    heard = [child.stdout.readline().strip() for _ in range(acknowledged)]
    child.kill()
    heard += [line.strip() for line in child.stdout if len(line) == 65]
    child.wait()
    child.stdout.close()
    ledger = SqliteLedger(file)
    held = [batch.digest.hex() for batch, _ in ledger.placed_batches(Box().agent_id)]
    assert len(heard) >= acknowledged
    assert set(heard) <= set(held)
    sent = 10 * len(held)
    assert ledger.tallies()["l1", "hub"].sent == sent
    (head,) = ledger.heads()
    assert (head.next_seq, head.missing) == (len(held), 0)
    assert ledger._db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


def test_a_ledger_of_the_first_schema_is_brought_to_this_one(tmp_path: Path) -> None:
    file = tmp_path / "ledger.db"
    ledger = SqliteLedger(file)
    ledger_id = ledger.ledger_id
    ledger.close()
    db = apsw.Connection(str(file))
    db.execute("DROP INDEX batch_boot")
    db.execute("PRAGMA user_version=1")
    db.close()
    again = SqliteLedger(file)
    assert again.ledger_id == ledger_id
    assert again.rows("PRAGMA user_version") == [(VERSION,)]
    assert again.rows("SELECT count(*) FROM sqlite_master WHERE name='batch_boot'") == [(1,)]
    again.close()
