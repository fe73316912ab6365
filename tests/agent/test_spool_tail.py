"""What a killed life had in memory only is told by the next: once, in its name, or not at all."""

from pathlib import Path

import msgspec
import pytest

from agent.spool import Spool, tail
from agent.spool.store import Life, Store, decode_life, guard
from runtime.clock import SECOND
from runtime.testing import FakeClock
from tests.agent.spool_kit import Hub, begun, epoch_of, heartbeat, opened, train
from wire.batch import parse_header
from wire.codec import Record, encode_body
from wire.instant import ClockClass
from wire.journal import Gap, GapReason

ROWS = 10


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


def lived(folder: Path, clock: FakeClock, epoch: int = 1) -> Spool:
    """A life with ROWS rows on disk and as many in its tail."""
    spool = begun(folder, clock, epoch)
    settled, unfinished = train(clock, 0), train(clock, ROWS)
    clock.advance(10 * SECOND)
    spool.append([settled], [unfinished])
    return spool


def told(folder: Path, clock: FakeClock, epoch: int = 2) -> Hub:
    """What the next life hands over of the former ones."""
    spool, hub = begun(folder, clock, epoch), Hub()
    hub.drain(spool)
    spool.close()
    hub.check_chain()
    assert hub.once
    return hub


def rewrite(folder: Path, change: dict[str, object]) -> None:
    """Alter what the spool at rest remembers."""
    store = Store(folder / "spool.db")
    store.load()
    store.life = msgspec.structs.replace(store.life, **change)
    store.transact(lambda: None)
    store.close()


def test_the_tail_of_a_killed_life_is_sealed_in_its_name_behind_its_records(
    tmp_path: Path, clock: FakeClock
) -> None:
    lived(tmp_path, clock).close()
    hub = told(tmp_path, clock)
    assert sorted(hub.observations) == list(range(2 * ROWS))
    assert {epoch for epoch, _ in hub.batches} == {epoch_of(1)}
    later = begun(tmp_path, clock, 3)
    later.seal(ClockClass.A)
    assert later.oldest() is None, "it was told and is forgotten"


def test_after_a_reboot_the_tail_lies_before_the_last_sign_of_life(
    tmp_path: Path, clock: FakeClock
) -> None:
    lived(tmp_path, clock).close()
    alive_boot_ns = clock.boot_ns()
    again = FakeClock(boot_ns=5 * SECOND, boot_id="b" * 32)
    spool = begun(tmp_path, again, 2)
    batch = spool.oldest()
    assert batch is not None
    header = parse_header(batch.data)
    assert header.observations == 2 * ROWS
    assert header.boot_id.hex() == clock.boot_id
    assert header.last_boot_ns <= header.sealed_boot_ns == alive_boot_ns


def test_a_tail_is_replaced_whole_and_stays_where_nothing_is_said_of_it(
    tmp_path: Path, clock: FakeClock
) -> None:
    spool = lived(tmp_path, clock)
    rows = [train(clock, ROWS), train(clock, 2 * ROWS), train(clock, 0, target="anchor")]
    clock.advance(10 * SECOND)
    spool.append(rows[:1], rows[1:])
    spool.append([heartbeat(clock)])
    spool.alive(clock.boot_ns())
    spool.seal(ClockClass.A)
    spool.close()
    spool, hub = begun(tmp_path, clock, 2), Hub()
    hub.drain(spool)
    assert sum(hub.observations.values()) == 4 * ROWS
    assert max(hub.observations) == 3 * ROWS - 1


def test_an_orderly_end_leaves_no_tail(tmp_path: Path, clock: FakeClock) -> None:
    spool = lived(tmp_path, clock)
    settled = train(clock, ROWS)
    clock.advance(10 * SECOND)
    spool.append([settled], [])
    spool.stop()
    spool.close()
    assert sorted(told(tmp_path, clock).observations) == list(range(2 * ROWS))


def test_slots_that_nobody_used_are_told_from_the_tail_too(
    tmp_path: Path, clock: FakeClock
) -> None:
    gap = Gap(
        boot_ns=clock.boot_ns(),
        wall_ns=clock.wall_ns(),
        reason=GapReason.STALLED,
        link="link",
        target="hub",
        first_seq=ROWS,
        last_seq=ROWS + 2,
        count=3,
    )
    spool = begun(tmp_path, clock)
    settled, unfinished = train(clock, 0), train(clock, ROWS + 3)
    clock.advance(10 * SECOND)
    spool.append([settled], [gap, unfinished])
    spool.close()
    hub = told(tmp_path, clock)
    assert hub.gaps == [gap]
    assert sorted(hub.observations) == [*range(ROWS), *range(ROWS + 3, 2 * ROWS + 3)]


def test_a_failed_append_leaves_the_former_tail(
    tmp_path: Path, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool = lived(tmp_path, clock)

    def fail(*_: object) -> None:
        raise RuntimeError("in the middle of it")

    monkeypatch.setattr("agent.spool.keep_below", fail)
    with pytest.raises(RuntimeError, match="in the middle"):
        spool.append([train(clock, ROWS)], [train(clock, 2 * ROWS)])
    spool.close()
    assert sorted(told(tmp_path, clock).observations) == list(range(2 * ROWS))


def _body(*records: Record) -> dict[str, object]:
    body, raw_len = encode_body(records)
    return {"tail": body, "tail_raw_len": raw_len}


CLOCK = FakeClock()
SOUND = _body(train(CLOCK, ROWS))
BODY = SOUND["tail"]
assert isinstance(BODY, bytes)
DAMAGED = {
    "cut short": {**SOUND, "tail": BODY[: len(BODY) // 2]},
    "of another length": {**SOUND, "tail_raw_len": 5},
    "empty with a length": {"tail": b"", "tail_raw_len": 12},
    "a length below zero": {**SOUND, "tail_raw_len": -1},
    "no frame": {"tail": b"\xff" * 300, "tail_raw_len": 300},
    "of a version to come": {"tail": b"\x02" + BODY, "tail_raw_len": SOUND["tail_raw_len"]},
    "a bomb": {**SOUND, "tail_raw_len": 2**40},
    "of a life that tells of other things": _body(heartbeat(CLOCK)),
    "of slots that are on disk": _body(train(CLOCK, ROWS - 1)),
    "of times to come": _body(train(FakeClock(boot_ns=CLOCK.boot_ns() + 3600 * SECOND), ROWS)),
}


@pytest.mark.parametrize("change", DAMAGED.values(), ids=DAMAGED.keys())
def test_a_tail_that_cannot_be_believed_is_left_out_and_the_agent_starts(
    tmp_path: Path, clock: FakeClock, change: dict[str, object]
) -> None:
    lived(tmp_path, clock).close()
    rewrite(tmp_path, change)
    assert sorted(told(tmp_path, clock).observations) == list(range(ROWS))
    assert told(tmp_path, clock, 3).batches == {}


def test_a_spool_of_an_agent_without_tails_is_read(tmp_path: Path, clock: FakeClock) -> None:
    lived(tmp_path, clock).close()
    store = Store(tmp_path / "spool.db")
    store.load()
    fields = msgspec.to_builtins(store.life, builtin_types=(bytes,))
    del fields["tail"], fields["tail_raw_len"]
    body = msgspec.msgpack.encode(fields)
    store.execute("REPLACE INTO life VALUES (1, ?, ?)", (body, guard(body)))
    store.close()
    assert sorted(told(tmp_path, clock).observations) == list(range(ROWS))


def test_an_agent_without_tails_reads_a_life_with_one(tmp_path: Path, clock: FakeClock) -> None:
    class Former(msgspec.Struct, frozen=True):
        """The fields that matter of what such an agent knows."""

        era: int = 0
        epoch: bytes | None = None

    lived(tmp_path, clock).close()
    store = Store(tmp_path / "spool.db")
    store.load()
    (row,) = store.execute("SELECT body, guard FROM life")
    assert decode_life([row]).tail
    assert msgspec.msgpack.decode(row[0], type=Former).epoch == epoch_of(1)
    store.close()


def test_of_very_many_targets_the_first_are_kept() -> None:
    clock = FakeClock()
    many = [train(clock, 0, 3, target=f"t{k}") for k in range(2000)]
    body, raw_len = tail.packed(many)
    assert raw_len <= tail.RAW_BYTES
    life = Life(tail=body, tail_raw_len=raw_len, alive_boot_ns=clock.boot_ns() + SECOND)
    lines = tail.recovered(life, [])
    assert 100 < len(lines) < 2000
    assert b'"t0"' in lines[0].data


def test_a_life_that_never_began_an_epoch_has_no_tail(tmp_path: Path, clock: FakeClock) -> None:
    opened(tmp_path, clock).close()
    rewrite(tmp_path, SOUND)
    assert told(tmp_path, clock).batches == {}


def test_mending_keeps_the_tail_of_a_life_that_is_whole(tmp_path: Path, clock: FakeClock) -> None:
    spool = lived(tmp_path, clock)
    spool.stop(clean=False)
    spool.close()
    store = Store(tmp_path / "spool.db")
    store.execute("INSERT INTO body VALUES (99, x'00')")
    store.close()
    assert sorted(told(tmp_path, clock).observations) == list(range(2 * ROWS))
    assert (tmp_path / "spool.db.corrupt-1").exists()
