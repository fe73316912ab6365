"""The schedule: random phase, jitter, no catching up, cheap at a thousand targets."""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.schedule import BUSY_PER_S, GRID_NS, JITTER_PARTS, Schedule

MS = 1_000_000
SECOND = 1_000_000_000
START = 50 * SECOND


def begun(interval_ns: int = SECOND, seed: int = 1, first_seq: int = 0) -> Schedule:
    schedule = Schedule(Random(seed))
    schedule.add(0, interval_ns, now_ns=START, first_seq=first_seq)
    return schedule


def next_ns(schedule: Schedule) -> int:
    due_ns = schedule.next_ns()
    assert due_ns is not None
    return due_ns


def test_nothing_is_due_where_there_are_no_targets() -> None:
    schedule = Schedule(Random(1))
    assert schedule.next_ns() is None
    assert schedule.take(START) == ([], [])


def test_the_first_slot_falls_at_random_within_one_interval_and_its_jitter() -> None:
    firsts = [next_ns(begun(seed=seed)) for seed in range(200)]
    span = SECOND + SECOND // JITTER_PARTS
    assert all(START <= first <= START + span for first in firsts)
    assert max(firsts) - min(firsts) > SECOND * 9 // 10
    assert len(set(firsts)) == 200


def test_slots_are_periodic_with_jitter_that_does_not_add_up() -> None:
    schedule = begun()
    dues = []
    for _ in range(1000):
        (slot,), missed = schedule.take(next_ns(schedule))
        assert not missed
        dues.append(slot.due_ns)
    phases = [due - k * SECOND for k, due in enumerate(dues)]
    assert max(phases) - min(phases) < SECOND // JITTER_PARTS
    assert max(phases) - min(phases) > SECOND // JITTER_PARTS * 9 // 10


def test_a_slot_that_is_a_little_late_is_still_sent() -> None:
    schedule = begun()
    (slot,), missed = schedule.take(next_ns(schedule) + 200 * MS)
    assert (slot.seq, missed) == (0, [])


def test_a_slot_that_is_stale_is_missed_and_the_next_keeps_its_time() -> None:
    schedule = begun()
    first = next_ns(schedule)
    slots, (missed,) = schedule.take(first + 300 * MS)
    assert (slots, missed) == ([], (0, 0, 0, first))
    assert SECOND - 50 * MS <= next_ns(schedule) - first <= SECOND + 50 * MS


@pytest.mark.parametrize("stall_s", [2, 60, 86_400])
def test_after_a_stall_the_passed_slots_are_missed_and_nothing_is_caught_up(stall_s: int) -> None:
    schedule = begun()
    schedule.take(next_ns(schedule))
    resumed = next_ns(schedule) + stall_s * SECOND
    sent = schedule.take(resumed).slots
    assert len(sent) <= 1
    later = [schedule.take(resumed + k * 10 * MS) for k in range(1, 301)]
    sent += [slot for turn in later for slot in turn.slots]
    assert len(sent) in (3, 4)
    assert sent[0].seq in (stall_s + 1, stall_s + 2)


def test_a_thousand_targets_that_stalled_do_not_all_send_at_once() -> None:
    schedule = Schedule(Random(3))
    for key in range(1000):
        schedule.add(key, SECOND, now_ns=START)
    turn = schedule.take(START + 30 * SECOND)
    assert len(turn.slots) < 300
    assert {missed.key for missed in turn.missed} == set(range(1000))


@given(
    interval_ms=st.integers(10, 5000),
    waits_ms=st.lists(st.integers(0, 20_000), min_size=1, max_size=40),
    first_seq=st.integers(0, 2**40),
    seed=st.integers(0, 1000),
)
def test_every_number_is_sent_or_missed_exactly_once_and_in_order(
    interval_ms: int, waits_ms: list[int], first_seq: int, seed: int
) -> None:
    schedule = begun(interval_ms * MS, seed, first_seq)
    now, expected, last_sent = START, first_seq, None
    for wait_ms in waits_ms:
        now += wait_ms * MS
        slots, missed = schedule.take(now)
        assert len(slots) <= 1
        numbers = [(lost.first_seq, lost.last_seq) for lost in missed]
        numbers += [(slot.seq, slot.seq) for slot in slots]
        for first, last in numbers:
            assert first == expected
            assert last >= first
            expected = last + 1
        for slot in slots:
            assert 0 <= now - slot.due_ns <= max(50 * MS, interval_ms * MS)
            assert last_sent is None or slot.seq > last_sent
            last_sent = slot.seq
        assert next_ns(schedule) > now


def test_a_removed_target_sends_no_more_and_its_place_is_forgotten() -> None:
    schedule = begun()
    schedule.add(1, SECOND, now_ns=START)
    schedule.remove(0)
    assert len(schedule) == 1
    keys = {slot.key for k in range(40) for slot in schedule.take(START + k * 100 * MS).slots}
    assert keys == {1}


def test_few_targets_keep_their_own_times_and_many_share_wake_ups() -> None:
    few, some, many = (Schedule(Random(1)) for _ in range(3))
    for key in range(BUSY_PER_S):
        few.add(key, SECOND, now_ns=START)
    for key in range(BUSY_PER_S * 2):
        some.add(key, SECOND, now_ns=START)
    some.take(START + 3 * SECOND // 2)
    assert some.busy
    assert {slot.due_ns % GRID_NS for slot in some.take(START + 5 * SECOND // 2).slots} == {0}
    for key in range(BUSY_PER_S * 10):
        many.add(key, SECOND, now_ns=START)
    assert not few.busy
    assert many.busy
    now, wake_ups, sent = next_ns(many), 0, 0
    many.take(START + 3 * SECOND // 2)  # what was planned before there were many
    while now < START + 10 * SECOND:
        now = next_ns(many)
        sent += len(many.take(now).slots)
        wake_ups += 1
        assert now % (2 * GRID_NS) == 0
    assert wake_ups <= 9 * SECOND // (2 * GRID_NS)
    assert sent == pytest.approx(8500, rel=0.02)
