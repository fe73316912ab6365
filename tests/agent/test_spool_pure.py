"""The parts of the spool that touch no disk: packing lines into batches, folding gaps."""

import hashlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.spool.gaps import (
    Lost,
    Moment,
    fold_key,
    folded,
    kept_of_former_epoch,
    kept_of_own_epoch,
    told,
)
from agent.spool.pack import BODY_LIMIT, RAW_LIMIT, Line, Place, Signer, Stamp, cut, line_of, pack
from runtime.testing import FakeClock
from tests.agent.spool_kit import AGENT_ID, AGENT_KEY, heartbeat, train
from wire.batch import NO_DIGEST
from wire.codec import Record, decompress
from wire.instant import ClockClass
from wire.journal import ClockStep, Gap, GapReason, Start, Stop

MOMENT = Moment(b"b" * 16, 5000, 9000, True)
PLACE = Place(b"e" * 16, b"b" * 16, 7, NO_DIGEST, NO_DIGEST)
STAMP = Stamp(5, 6, ClockClass.A)
SIGNER = Signer(AGENT_ID, AGENT_KEY)


def noise(size: int, seed: int) -> Line:
    """A line that zstd can only halve."""
    text = ""
    while len(text) < size:
        text += hashlib.sha256(f"{seed}/{len(text)}".encode()).hexdigest()
    return Line(text[:size].encode(), 1, 0, seed, seed)


@given(st.lists(st.integers(1, RAW_LIMIT // 2), max_size=12))
def test_cutting_loses_nothing_and_keeps_every_run_within_the_limit(sizes: list[int]) -> None:
    lines = [Line(b"x" * size, 0, 0, k, k) for k, size in enumerate(sizes)]
    runs = list(cut(lines))
    assert [line for run in runs for line in run] == lines
    assert all(len(b"\n".join(line.data for line in run)) <= RAW_LIMIT for run in runs)


def test_a_run_that_does_not_compress_becomes_several_batches_of_one_chain() -> None:
    lines = [noise(100_000, k) for k in range(10)]
    batches = list(pack(lines, PLACE, STAMP, SIGNER))
    assert len(batches) > 1
    assert all(len(batch.body) <= BODY_LIMIT for batch in batches)
    raw = [decompress(batch.body, batch.header.raw_len) for batch in batches]
    assert b"\n".join(raw).split(b"\n") == [line.data for line in lines]
    assert [batch.header.seq for batch in batches] == list(range(7, 7 + len(batches)))
    assert [batch.header.previous for batch in batches[1:]] == [b.digest for b in batches[:-1]]
    assert sum(batch.header.observations for batch in batches) == 10


def test_a_line_counts_what_its_record_holds() -> None:
    clock = FakeClock()
    now = clock.boot_ns()
    assert line_of(heartbeat(clock))[1:] == (0, 0, now, now)
    assert line_of(train(clock, 0))[1:] == (10, 0, now, now + 9_000_000)
    lost = told(Lost(GapReason.SPOOL_FULL, b"e" * 16, 1, 2, 30), MOMENT)
    assert line_of(lost)[1:] == (0, 30, 5000, 5000)


def gap(first: int, last: int, count: int = 1, **changes: Any) -> Gap:
    lost = Lost(GapReason.SPOOL_FULL, b"e" * 16, first, last, count)._replace(**changes)
    return told(lost, MOMENT)


def test_neighbours_fold_into_one_gap_in_either_order() -> None:
    whole = gap(1, 5, 7)
    assert folded(gap(1, 3, 4), gap(4, 5, 3)) == whole
    assert folded(gap(4, 5, 3), gap(1, 3, 4)) == whole


@pytest.mark.parametrize(
    "other",
    [gap(5, 6), gap(3, 6), gap(1, 3)],
    ids=["a hole between", "an overlap", "the same"],
)
def test_ranges_that_do_not_touch_stay_apart(other: Gap) -> None:
    assert folded(gap(1, 3), other) is None


def test_only_whole_batches_of_one_epoch_and_reason_may_fold() -> None:
    keys = {
        fold_key(gap(1, 2)),
        fold_key(gap(1, 2, epoch=b"f" * 16)),
        fold_key(gap(1, 2, reason=GapReason.REFUSED)),
    }
    assert len(keys) == 3
    assert fold_key(gap(1, 2)) == fold_key(gap(3, 4, 9))
    slots = Gap(boot_ns=1, wall_ns=1, reason=GapReason.STALLED, target="t", first_seq=1, last_seq=2)
    assert fold_key(slots) is None
    assert fold_key(heartbeat(FakeClock())) is None


def test_details_are_joined_once_each_and_cut_to_what_the_wire_takes() -> None:
    one = gap(1, 1, detail="a")
    assert (joined := folded(one, gap(2, 2, detail="a"))) and joined.detail == "a"
    long = folded(gap(1, 1, detail="a" * 200), gap(2, 2, detail="b" * 200))
    assert long is not None
    assert len(long.detail) == 256


START = Start(
    boot_ns=1,
    wall_ns=77,
    boot_id="x",
    agent_version="1",
    settings_digest="0" * 64,
    previous_clean=False,
    previous_alive_boot_ns=42,
)
STEP = ClockStep(boot_ns=2, wall_ns=78, step_ns=-5)
STOP = Stop(boot_ns=3, wall_ns=79, reason="asked")
STALL = Gap(boot_ns=4, wall_ns=80, reason=GapReason.STALLED, target="t", first_seq=1, last_seq=2)


def test_the_running_epochs_journal_is_kept_as_it_was() -> None:
    clock = FakeClock()
    records: list[Record] = [START, heartbeat(clock), train(clock, 0), STEP, STALL, STOP]
    assert kept_of_own_epoch(records) == [START, STEP, STALL, STOP]


def test_a_former_epochs_gaps_are_kept_under_its_name_and_the_rest_in_words() -> None:
    records: list[Record] = [START, STEP, STALL, STOP, heartbeat(FakeClock())]
    gaps, words = kept_of_former_epoch(records, b"e" * 16, MOMENT, same_boot=False)
    (kept,) = gaps
    assert isinstance(kept, Gap)
    assert (kept.epoch, kept.boot_ns, kept.wall_ns) == ((b"e" * 16).hex(), 5000, 9000)
    assert words == (
        "start at 77 after unclean end, alive at 42; clock step of -5 at 78; stop at 79"
    )
    (kept,), _ = kept_of_former_epoch([STALL], b"e" * 16, MOMENT, same_boot=True)
    assert kept.boot_ns == 4
