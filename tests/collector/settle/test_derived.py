import itertools
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from collector.audit.evidence import Span
from collector.audit.strip import Mark, Strip, View, mark
from collector.ledger.derived import DerivedStore
from collector.ledger.sqlite import SqliteLedger
from collector.settle.clockmap import ClockMap
from collector.settle.derive import Speaker, derive
from collector.settle.gather import Clocks, Subject, gather, lives_of, strip_of, weave_span
from tests.collector.kit import HUB_NOW, WALL_AT_BOOT, Box, anchor, entry, heartbeat, train
from wire.batch import Batch
from wire.codec import Record
from wire.detail import Power, Reading
from wire.instant import ClockClass
from wire.observation import Outcome
from wire.policy import Role

NS = 1_000_000_000
T0 = WALL_AT_BOOT // NS
SPEAKER = Speaker(("l1",), lambda link, target: Role.HUB if target == "hub" else Role.GATEWAY)


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[SqliteLedger]:
    ledger = SqliteLedger(tmp_path / "ledger.db")
    yield ledger
    ledger.close()


def take(ledger: SqliteLedger, box: Box, batches: list[Batch]) -> None:
    if ledger.token(box.token.token_id) is None:
        ledger.add_token(box.token)
        ledger.enrol(box.token.token_id, box.agent)
    ledger.store([entry(batch) for batch in batches])


def settle(ledger: SqliteLedger) -> DerivedStore:
    store = DerivedStore(ledger)
    while unread := store.unread(3):
        store.derive([derive(one, SPEAKER) for one in unread])
    weave_dirty(store)
    assert store.behind() == 0
    return store


def weave_dirty(store: DerivedStore) -> None:
    clocks = Clocks(store)
    for link, span in store.dirty(1000):
        store.keep(link, [weave_span(store, clocks, link, span)])
    assert store.dirty(10) == []


def woven_whole(store: DerivedStore, hour: Strip) -> Strip:
    """The hour woven at once from all that is here: what is kept was woven piece by piece."""
    return weave_span(store, Clocks(store), "l1", Span(hour.start_s, hour.end_s))


def hub(store: DerivedStore, start_s: int, end_s: int, view: View = View.HUB) -> str:
    marks = [mark(int(c), view) for c in strip_of(store, "l1", T0 + start_s, T0 + end_s).seconds()]
    return "".join(
        {Mark.NONE: ".", Mark.OK: "o", Mark.LOST: "x", Mark.UNSENT: "u"}[m] for m in marks
    )


def minute(k: int, lost: range = range(0), *, anchored: bool = True) -> list[Record]:
    """Ten seconds from boot + 100 + 10 k; `lost` are seconds of all."""
    at = 100 + 10 * k
    rtts = [None if at + s in lost else 20 for s in range(10)]
    told = anchor(at) if anchored else None
    return [train(rtts, first_seq=10 * k, boot_s=at), heartbeat(at, told)]


def test_seconds_of_batches_are_woven_into_days(ledger: SqliteLedger) -> None:
    box = Box()
    take(ledger, box, [box.batch(minute(k, range(112, 125))) for k in range(4)])
    store = settle(ledger)
    assert hub(store, 98, 142) == ".." + "o" * 12 + "x" * 13 + "o" * 15 + ".."
    assert hub(store, 98, 142, View.JOURNAL) == ".." + "o" * 40 + ".."
    assert store.first_known("l1") == T0 + 100


def test_nothing_is_known_of_a_link_that_nobody_spoke_of(ledger: SqliteLedger) -> None:
    store = settle(ledger)
    assert store.first_known("l1") is None
    assert strip_of(store, "l1", 5, 10) == Strip.nothing(5, 10)


@pytest.mark.parametrize("seed", range(6))
def test_any_order_of_arrival_gives_the_same_seconds(tmp_path: Path, seed: int) -> None:
    """A box that drifts 60 ppm, is cut off for two hours, and reports in any order."""
    box, batches = Box(), []
    for k in range(200):
        at = 100 + 60 * k
        reachable = k < 30 or k > 150
        rtts = [20.0 if reachable else None] * 60
        told = anchor(at, wrong_s=at * 60e-6, error_ms=5 + k % 7) if reachable else None
        records: list[Record] = [train(rtts, first_seq=60 * k, boot_s=at), heartbeat(at, told)]
        batches.append(box.batch(records))
    shuffled = list(batches)
    random.Random(seed).shuffle(shuffled)
    days: list[list[Strip]] = []
    for name, order in (("a", batches), ("b", shuffled)):
        ledger = SqliteLedger(tmp_path / f"{name}.db")
        take(ledger, box, [])
        store = DerivedStore(ledger)
        rng = random.Random(seed + 100)
        rest = iter(order)
        while part := list(itertools.islice(rest, rng.randrange(1, 40))):
            ledger.store([entry(batch, HUB_NOW + 20_000 * NS) for batch in part])
            store = settle(ledger)
        days.append(store.strips("l1", 0, 2**40))
        assert days[-1] == [woven_whole(store, one) for one in days[-1]]
        ledger.close()
    assert days[0] == days[1]


def test_an_epoch_in_1970_is_placed_once_it_reaches_the_hub(ledger: SqliteLedger) -> None:
    box = Box()
    lost = {"sealed_wall_ns": 5 * NS, "clock": ClockClass.D}
    take(ledger, box, [box.batch(minute(k, anchored=False), **lost) for k in range(3)])
    store = settle(ledger)
    assert set(hub(store, 100, 130)) == {"."}
    take(ledger, box, [box.batch(minute(3), **lost)])
    weave = settle(ledger)
    assert hub(weave, 100, 140) == "o" * 40


def test_a_crash_reads_no_batch_twice(ledger: SqliteLedger) -> None:
    box = Box()
    take(ledger, box, [box.batch(minute(k)) for k in range(4)])
    store = DerivedStore(ledger)
    store.derive([derive(one, SPEAKER) for one in store.unread(2)])
    again = DerivedStore(ledger)
    assert [one.batch.header.seq for one in again.unread(10)] == [2, 3]
    assert again.behind() == 2


def test_another_version_reads_everything_anew(
    ledger: SqliteLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    box = Box()
    take(ledger, box, [box.batch(minute(k)) for k in range(4)])
    before = settle(ledger).strips("l1", 0, 2**40)
    monkeypatch.setattr("collector.ledger.derived.DERIVED_VERSION", b"another")
    assert DerivedStore(ledger).behind() == 4
    assert settle(ledger).strips("l1", 0, 2**40) == before


def test_lives_say_when_the_box_booted_and_how_the_process_ended(ledger: SqliteLedger) -> None:
    box = Box()
    take(ledger, box, [box.batch(minute(0)), box.batch(minute(1))])
    box.begin(b"c" * 16)
    take(ledger, box, [box.batch(minute(5))])
    store = settle(ledger)
    rows = store.lives([box.agent_id])
    first, second = lives_of(rows, Clocks(store), Span(T0, T0 + 200))
    assert (first.booted_s, first.first_s, first.last_s) == (T0, T0 + 100, T0 + 119)
    assert first.error_s == pytest.approx(0.005, abs=0.01)
    assert (second.boot_id, second.first_s) == ((b"c" * 16).hex(), T0 + 150)
    assert not first.stopped


def test_what_was_kept_in_another_form_is_made_anew(ledger: SqliteLedger) -> None:
    box = Box()
    take(ledger, box, [box.batch(minute(k)) for k in range(4)])
    before = settle(ledger).strips("l1", 0, 2**40)
    with ledger.transaction() as db:
        db.execute("DROP TABLE strip; CREATE TABLE strip (link TEXT PRIMARY KEY)")
        db.execute("UPDATE meta SET value=x'31' WHERE key='derived_version'")
    assert settle(ledger).strips("l1", 0, 2**40) == before


@pytest.mark.parametrize("seed", range(3))
def test_a_clock_read_bucket_by_bucket_is_the_whole_one(ledger: SqliteLedger, seed: int) -> None:
    rng = random.Random(seed)
    told = {
        boot_s: anchor(boot_s, wrong_s=rng.gauss(0, 0.01), error_ms=rng.choice((2, 5, 5, 80)))
        for boot_s in rng.sample(range(100_000), 60)
    }
    with ledger.transaction() as db:
        db.executemany(
            "INSERT INTO anchor VALUES (?,?,?,?,?)",
            [(b"a", b"b", one.boot_ns, one.hub_wall_ns, one.error_ns) for one in told.values()],
        )
    whole, parts = ClockMap(told.values()), Clocks(DerivedStore(ledger)).of(b"a", b"b")
    for boot_ns in (rng.randrange(110_000 * NS) for _ in range(300)):
        part = parts.map(boot_ns)
        assert part is not None
        assert part.wall_ns(boot_ns) == whole.wall_ns(boot_ns)
        assert part.error_ns(boot_ns) == whole.error_ns(boot_ns)


def test_the_hours_that_changed_are_told_once(ledger: SqliteLedger) -> None:
    box = Box()
    take(ledger, box, [box.batch(minute(k)) for k in range(2)])
    store = settle(ledger)
    assert store.changed_hours() == {("l1", T0 // 3600)}
    assert store.changed_hours() == set()
    take(ledger, box, [box.batch(minute(2))])
    while unread := store.unread(3):
        store.derive([derive(one, SPEAKER) for one in unread])
    weave_dirty(store)
    assert store.changed_hours() == {("l1", T0 // 3600)}


def test_the_end_of_the_agents_life_needs_no_strip(ledger: SqliteLedger) -> None:
    box = Box()
    take(ledger, box, [box.batch(minute(k)) for k in range(3)])
    store = settle(ledger)
    assert store.last_journal("l1") == T0 + 130
    assert store.last_journal("nobody") is None


def test_samples_of_devices_and_power_are_found_by_time(ledger: SqliteLedger) -> None:
    box = Box()
    told = {"link": "l1", "outcome": Outcome.OK}
    readings: list[Record] = [
        Reading(**told, target="router", boot_ns=at * NS, sys_uptime_cs=at * 100, oper_status=1)
        for at in (105, 115, 125)
    ]
    power = Power(**told, target="ups", boot_ns=110 * NS, source="nut:u@h", mains=False)
    take(ledger, box, [box.batch([*minute(0), *readings, power])])
    store = settle(ledger)
    subject = Subject("l1", "p1", (), None)
    found = gather(store, subject, Span(T0 + 112, T0 + 120), ())
    assert [(one.at_s, one.uptime_s, one.oper_up) for one in found.device] == [
        (T0 + 105, 105.0, True),
        (T0 + 115, 115.0, True),
        (T0 + 125, 125.0, True),
    ]
    assert [(one.at_s, one.mains) for one in found.mains] == [(T0 + 110, False)]
    assert found.strip.start_s == T0 + 112


def test_the_hub_says_when_it_did_not_run(ledger: SqliteLedger) -> None:
    store = DerivedStore(ledger)
    first = store.begin_run(1_000)
    store.keep_alive(first, 2_000)
    store.begin_run(2_004)
    second = store.begin_run(2_600)
    store.keep_alive(second, 3_000)
    assert store.hub_off(0, 10_000) == (Span(2_004, 2_600),)
    assert store.hub_off(2_500, 10_000) == (Span(2_500, 2_600),)
    assert store.hub_off(2_700, 10_000) == ()
