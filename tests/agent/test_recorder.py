"""The recorder: every packet has one fate, leaves in order, and memory has a bound."""

from collections.abc import Sequence

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.recorder import (
    MAX_ROWS,
    UNFINISHED_ROWS,
    WINDOW_NS,
    Flight,
    Recorder,
    Settled,
    Stream,
)
from agent.stamps import Arrival
from collector.latency import directional
from tests.agent.measure_kit import gaps, rows, target
from wire.codec import decode_record, encode_record
from wire.journal import Gap, GapReason
from wire.observation import Outcome, StampSource, Train
from wire.policy import Target

MS = 1_000_000
SECOND = 1_000_000_000
BOOT = 100 * SECOND
WALL = 1_790_000_000 * SECOND
ICMP: Target = target(probe="icmp", interval_s=1.0, timeout_s=2.0)
STAMP: Target = msgspec.structs.replace(ICMP, probe="stamp")


def launch(stream: Stream, seq: int, at_ns: int | None = None) -> Flight:
    """Send packet `seq` at its second, or at `at_ns`."""
    flight = Flight(seq)
    flight.boot_ns = BOOT + seq * SECOND if at_ns is None else at_ns
    flight.wall_ns = WALL + flight.boot_ns - BOOT
    flight.kernel_ns = flight.wall_ns + 1000
    stream.launch(flight)
    return flight


def answer(stream: Stream, flight: Flight, after_ns: int = 20 * MS, **more: int) -> None:
    """The reply, stamped by the kernel."""
    arrival = Arrival(
        b"",
        "",
        flight.boot_ns + after_ns,
        flight.wall_ns + after_ns,
        flight.wall_ns + after_ns,
        57,
    )
    stream.reply(flight, arrival, **more)


def stall(stream: Stream, first: int, last: int) -> None:
    """Slots that nobody used."""
    stream.skip(
        Gap(
            boot_ns=BOOT,
            wall_ns=WALL,
            reason=GapReason.STALLED,
            first_seq=first,
            last_seq=last,
            target="hub",
        )
    )


def numbers(records: Sequence[Settled]) -> list[int]:
    """Every sequence number that the records account for, in order of appearance."""
    found: list[int] = []
    for record in records:
        if isinstance(record, Train):
            found += range(record.first_seq, record.first_seq + len(record))
        else:
            assert record.first_seq is not None
            assert record.last_seq is not None
            found += range(record.first_seq, record.last_seq + 1)
    return found


def test_a_packet_is_handed_over_when_nothing_can_change_its_row_and_not_before() -> None:
    recorder = Recorder()
    stream = recorder.open(ICMP)
    flight = launch(stream, 0)
    assert recorder.settled(BOOT + 2 * SECOND) == []
    answer(stream, flight)
    assert recorder.settled(BOOT + 2 * SECOND - 1) == [], "a duplicate may still come"
    (train,) = recorder.settled(BOOT + 2 * SECOND)
    assert isinstance(train, Train)
    assert train.rtt_ns == [20 * MS - 1000]
    assert train.stamp == [StampSource.KERNEL]
    assert train.ttl == [57]
    assert train.reflector_seq is None
    assert recorder.settled(BOOT + 9 * SECOND) == []


def test_no_reply_is_a_timeout_only_after_the_timeout() -> None:
    recorder = Recorder()
    launch(recorder.open(ICMP), 0)
    assert recorder.settled(BOOT + 2 * SECOND) == []
    (row,) = rows(recorder.settled(BOOT + 2 * SECOND + 1))
    assert (row.outcome, row.rtt_ns, row.stamp) == (Outcome.TIMEOUT, None, StampSource.NONE)


def test_an_answered_packet_waits_for_the_ones_before_it() -> None:
    recorder = Recorder()
    stream = recorder.open(ICMP)
    launch(stream, 0)
    answer(stream, launch(stream, 1))
    assert recorder.settled(BOOT + SECOND + 100 * MS) == []
    found = rows(recorder.settled(BOOT + 3 * SECOND))
    assert [row.outcome for row in found] == [Outcome.TIMEOUT, Outcome.OK]


def test_a_reply_that_took_longer_than_the_timeout_is_a_timeout_and_is_counted() -> None:
    recorder = Recorder()
    stream = recorder.open(ICMP)
    answer(stream, launch(stream, 0), after_ns=2 * SECOND + MS)
    (row,) = rows(recorder.settled(BOOT + 3 * SECOND))
    assert row.outcome is Outcome.TIMEOUT
    assert recorder.oddities.late == 1


def test_a_reply_after_the_fate_was_settled_changes_nothing_and_is_counted() -> None:
    recorder = Recorder()
    stream = recorder.open(ICMP)
    flight = launch(stream, 0)
    recorder.settled(BOOT + 3 * SECOND)
    assert stream.find(0) is None
    stream.stray()
    answer(stream, flight, after_ns=4 * SECOND)
    assert flight.outcome is Outcome.TIMEOUT
    assert recorder.oddities.late == 2


def test_duplicates_are_counted_and_the_first_reply_stands() -> None:
    recorder = Recorder()
    stream = recorder.open(ICMP)
    flight = launch(stream, 0)
    answer(stream, flight, 20 * MS)
    answer(stream, flight, 30 * MS)
    answer(stream, flight, 10 * MS)
    (train,) = recorder.settled(BOOT + 2 * SECOND)
    assert isinstance(train, Train)
    assert train.rtt_ns == [20 * MS - 1000]
    assert (train.duplicates, train.reordered) == (2, 0)
    assert recorder.oddities.duplicates == 2


def test_a_reply_that_comes_after_a_later_packets_is_reordered() -> None:
    """RFC 4737 section 3.3: a packet is reordered if one sent after it arrived before it."""
    recorder = Recorder()
    stream = recorder.open(ICMP)
    flights = [launch(stream, seq, BOOT + seq * MS) for seq in range(5)]
    for seq in (0, 2, 1, 4, 3):
        answer(stream, flights[seq])
    (train,) = recorder.settled(BOOT + 9 * SECOND)
    assert isinstance(train, Train)
    assert (train.duplicates, train.reordered) == (0, 2)


def test_the_reflectors_own_time_is_not_part_of_the_rtt_but_counts_towards_the_timeout() -> None:
    recorder = Recorder()
    stream = recorder.open(STAMP)
    answer(stream, launch(stream, 0), 50 * MS, residence_ns=30 * MS, reflector_seq=4)
    answer(stream, launch(stream, 1), 2 * SECOND + 10 * MS, residence_ns=SECOND, reflector_seq=5)
    first, second = rows(recorder.settled(BOOT + 9 * SECOND))
    assert (first.rtt_ns, first.reflector_seq) == (20 * MS - 1000, 4)
    assert second.outcome is Outcome.TIMEOUT


@pytest.mark.parametrize(
    ("kept_ms", "outcome"),
    [(100, Outcome.OK), (500, Outcome.OK), (501, Outcome.HELD), (1900, Outcome.HELD)],
)
def test_a_packet_that_left_long_after_its_slot_is_held_and_was_still_heard(
    kept_ms: int, outcome: Outcome
) -> None:
    recorder = Recorder()
    stream = recorder.open(STAMP)
    waiting, later = launch(stream, 0), launch(stream, 1)
    waiting.kernel_ns = waiting.wall_ns + kept_ms * MS
    answer(stream, waiting, (kept_ms + 20) * MS, reflector_seq=0)
    answer(stream, waiting, (kept_ms + 30) * MS, reflector_seq=0)
    assert stream.last_reply_boot_ns == BOOT + (kept_ms + 20) * MS
    answer(stream, later, reflector_seq=1)
    (train,) = recorder.settled(BOOT + 4 * SECOND)
    assert isinstance(train, Train)
    held = outcome is Outcome.HELD
    assert train.outcome == [outcome, Outcome.OK]
    assert train.rtt_ns[0] == (None if held else 20 * MS)
    assert train.stamp[0] is (StampSource.NONE if held else StampSource.KERNEL)
    assert train.reflector_seq == [0, 1]
    assert train.duplicates == 1
    assert directional(train) == (0, 0)


def test_an_error_from_the_network_settles_a_packet_and_a_later_reply_does_not() -> None:
    recorder = Recorder()
    stream = recorder.open(ICMP)
    flight = launch(stream, 0)
    stream.refuse(flight, Outcome.UNREACHABLE)
    answer(stream, flight)
    other = launch(stream, 1)
    answer(stream, other)
    stream.refuse(other, Outcome.UNREACHABLE)
    found = rows(recorder.settled(BOOT + 9 * SECOND))
    assert [row.outcome for row in found] == [Outcome.UNREACHABLE, Outcome.OK]


def test_a_packet_that_was_not_sent_is_local_and_keeps_its_number() -> None:
    recorder = Recorder()
    stream = recorder.open(ICMP)
    launch(stream, 0)
    flight = Flight(1)
    flight.boot_ns = BOOT + SECOND
    stream.ground(flight, Outcome.NOT_SENT)
    found = rows(recorder.settled(BOOT + 9 * SECOND))
    assert [(row.seq, row.outcome) for row in found] == [
        (0, Outcome.TIMEOUT),
        (1, Outcome.NOT_SENT),
    ]
    status = recorder.status(BOOT + 9 * SECOND, 20 * SECOND)[0]
    assert (status.sent, status.lost, status.not_sent) == (1, 1, 1)


def test_what_is_suspected_of_a_packet_is_said_when_no_valid_reply_comes() -> None:
    recorder = Recorder()
    stream = recorder.open(ICMP)
    for seq in (0, 1):
        launch(stream, seq).suspect = Outcome.BAD_REPLY
    answered = stream.find(1)
    assert answered is not None
    answer(stream, answered)
    found = rows(recorder.settled(BOOT + 9 * SECOND))
    assert [row.outcome for row in found] == [Outcome.BAD_REPLY, Outcome.OK]


def test_a_gap_keeps_its_place_between_the_trains() -> None:
    recorder = Recorder()
    stream = recorder.open(ICMP)
    launch(stream, 0)
    stall(stream, 1, 4)
    launch(stream, 5)
    records = recorder.settled(BOOT + 9 * SECOND)
    assert [type(record) for record in records] == [Train, Gap, Train]
    assert numbers(records) == [0, 1, 2, 3, 4, 5]


def test_trains_are_cut_and_name_the_newest_pair_of_counters_before_them() -> None:
    recorder = Recorder()
    stream = recorder.open(STAMP)
    for seq in range(2 * MAX_ROWS + 5):
        flight = launch(stream, seq)
        if seq % 10 != 9:
            answer(stream, flight, reflector_seq=seq + 1000)
    records = recorder.settled(BOOT + 999 * SECOND)
    trains = [record for record in records if isinstance(record, Train)]
    assert [len(train) for train in trains] == [MAX_ROWS, MAX_ROWS, 5]
    assert [train.prior for train in trains] == [None, (118, 1118), (238, 1238)]
    assert [decode_record(encode_record(train)) for train in trains] == trains


def test_at_shutdown_what_is_under_way_is_aborted_and_what_is_settled_is_kept() -> None:
    recorder = Recorder()
    stream = recorder.open(ICMP)
    answer(stream, launch(stream, 0))
    launch(stream, 1)
    answer(stream, launch(stream, 2))
    records = recorder.settled(BOOT + 2 * SECOND) + recorder.abort()
    assert [row.outcome for row in rows(records)] == [Outcome.OK, Outcome.ABORTED, Outcome.OK]
    assert all(row.rtt_ns is None for row in rows(records) if row.outcome is Outcome.ABORTED)


def test_what_is_unfinished_is_told_as_if_all_ended_now_and_goes_on() -> None:
    recorder = Recorder()
    stream = recorder.open(ICMP)
    answer(stream, launch(stream, 0))
    waiting = launch(stream, 1)
    answer(stream, launch(stream, 2))
    assert recorder.settled(BOOT + SECOND) == []
    for _ in range(2):
        told = recorder.unfinished()
        assert numbers(told) == [0, 1, 2]
        assert [row.outcome for row in rows(told)] == [Outcome.OK, Outcome.ABORTED, Outcome.OK]
        assert [decode_record(encode_record(train)) for train in told] == told
    assert waiting.outcome is None
    answer(stream, waiting)
    records = recorder.settled(BOOT + 9 * SECOND)
    assert [row.outcome for row in rows(records)] == [Outcome.OK] * 3
    assert recorder.unfinished() == []


def test_of_very_many_targets_the_first_are_told_unfinished() -> None:
    recorder = Recorder()
    for k in range(3 * UNFINISHED_ROWS):
        launch(recorder.open(msgspec.structs.replace(ICMP, name=f"t{k}")), 0)
    told = recorder.unfinished()
    assert len(told) == UNFINISHED_ROWS
    assert [one.target for one in told[:2]] == ["t0", "t1"]
    assert len(recorder.abort()) == 3 * UNFINISHED_ROWS


@given(
    st.lists(st.tuples(st.booleans(), st.booleans(), st.integers(0, 3)), max_size=400),
    st.integers(0, 30),
)
def test_a_death_at_any_moment_leaves_every_slot_once(
    slots: list[tuple[bool, bool, int]], forgotten: int
) -> None:
    """What was handed over and what was unfinished then are all slots, in order, with the same
    counters before them as if it had ended in order."""
    recorder, seq, counter = Recorder(), 0, 0
    stream = recorder.open(STAMP)
    handed: list[Settled] = []
    for used, answered, commit in slots:
        if not used:
            stall(stream, seq, seq + forgotten)
            seq += forgotten + 1
            continue
        flight = launch(stream, seq)
        if answered:
            answer(stream, flight, reflector_seq=counter)
            counter += 1
        if commit == 0:
            handed += recorder.settled(flight.boot_ns)
            told = recorder.unfinished()
            assert numbers([*handed, *told]) == list(range(seq + 1))
        seq += 1
    handed += recorder.settled(BOOT + seq * SECOND)
    told = recorder.unfinished()
    assert told == recorder.abort()
    assert numbers([*handed, *told]) == list(range(seq))


def test_numbers_go_on_when_a_targets_settings_change_and_stay_in_order() -> None:
    recorder = Recorder()
    old = recorder.open(ICMP)
    launch(old, 0)
    launch(old, 1)
    recorder.retire(old)
    new = recorder.open(msgspec.structs.replace(ICMP, address="127.0.0.2"))
    assert new.next_seq == 2
    answer(new, launch(new, 2))
    assert recorder.settled(BOOT + 2 * SECOND + MS)[0] == recorder_train(0)
    records = recorder.settled(BOOT + 9 * SECOND)
    assert [record.first_seq for record in records] == [1, 2]
    recorder.retire(new)
    recorder.settled(BOOT + 10 * SECOND)
    assert recorder.open(ICMP).next_seq == 3


def recorder_train(seq: int) -> Train:
    """The train of one lost packet."""
    return Train(
        link="astinet",
        target="hub",
        probe="icmp",
        address="127.0.0.1",
        first_seq=seq,
        boot_ns=BOOT + seq * SECOND,
        interval_ns=SECOND,
        timeout_ns=2 * SECOND,
        send_us=[0],
        rtt_ns=[None],
        outcome=[Outcome.TIMEOUT],
        stamp=[StampSource.NONE],
    )


def test_status_looks_at_settled_packets_of_its_window_only() -> None:
    recorder = Recorder()
    stream = recorder.open(ICMP)
    for seq in range(20):
        flight = launch(stream, seq)
        if seq != 15:
            answer(stream, flight, (10 + seq) * MS)
    (status,) = recorder.status(BOOT + 19 * SECOND, 5 * SECOND)
    assert (status.sent, status.lost, status.not_sent) == (5, 1, 0)  # slots 13 to 17
    assert status.rtt_median_ns == 25 * MS - 1000
    assert status.rtt_max_ns == 27 * MS - 1000
    assert status.last_reply_boot_ns == BOOT + 19 * SECOND + 29 * MS


def test_status_of_a_target_without_packets_measures_nothing() -> None:
    recorder = Recorder()
    recorder.open(ICMP)
    (status,) = recorder.status(BOOT, SECOND)
    assert (status.sent, status.rtt_median_ns, status.last_reply_boot_ns) == (0, None, None)


def test_memory_is_bounded_and_what_it_could_not_hold_is_a_gap() -> None:
    recorder = Recorder(held_most=200)
    streams = [recorder.open(ICMP), recorder.open(msgspec.structs.replace(ICMP, name="gw"))]
    for seq in range(5000):
        for stream in streams:
            launch(stream, seq)
    held = sum(len(stream._settled) + len(stream._open) for stream in streams)
    assert held <= 200 + 2 * 20
    assert all(len(stream._window) <= WINDOW_NS // SECOND + 5 for stream in streams)
    records = recorder.settled(BOOT + 9999 * SECOND)
    for name in ("hub", "gw"):
        own = [record for record in records if record.target == name]
        assert numbers(own) == list(range(5000))
        (gap,) = gaps(records, name)
        assert gap.reason is GapReason.WRITE_FAILED
        assert gap.count == 5000 - len(rows(records, name))
    assert recorder.oddities.dropped == sum(gap.count or 0 for gap in gaps(records, "hub")) * 2


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["send", "answer", "refuse", "stall", "drain", "wait"]),
            st.integers(0, 9),
        ),
        max_size=120,
    )
)
def test_whatever_happens_every_number_is_accounted_for_once_and_in_order(
    steps: list[tuple[str, int]],
) -> None:
    recorder = Recorder()
    stream = recorder.open(STAMP)
    now, flights, records = BOOT, [], []
    for step, amount in steps:
        now += 100 * MS
        if step == "send":
            flights.append(launch(stream, stream.next_seq, now))
        elif step == "answer" and flights:
            answer(stream, flights[-1 - amount % len(flights)], amount * 400 * MS)
        elif step == "refuse" and flights:
            stream.refuse(flights[-1 - amount % len(flights)], Outcome.UNREACHABLE)
        elif step == "stall":
            stall(stream, stream.next_seq, stream.next_seq + amount)
        elif step == "wait":
            now += amount * SECOND
        elif step == "drain":
            records += recorder.settled(now)
    records += recorder.settled(now) + recorder.abort()
    assert numbers(records) == list(range(stream.next_seq))
    assert all(decode_record(encode_record(record)) == record for record in records)


@pytest.mark.parametrize(("next_seq", "low", "whole"), [(5, 4, 4), (65_536, 65_535, 65_535)])
def test_short_numbers_are_made_whole(next_seq: int, low: int, whole: int) -> None:
    stream = Recorder().open(ICMP)
    stream.next_seq = next_seq
    assert stream.whole_seq(low, 16) == whole


@given(st.integers(0, 2**50), st.integers(1, 65_535))
def test_short_numbers_are_made_whole_across_every_wrap(seq: int, behind: int) -> None:
    stream = Recorder().open(ICMP)
    stream.next_seq = seq + behind
    assert stream.whole_seq(seq & 0xFFFF, 16) == seq


def test_slots_without_a_packet_move_the_prior_on_so_that_they_are_no_loss() -> None:
    recorder = Recorder()
    stream = recorder.open(STAMP)
    answer(stream, launch(stream, 0), reflector_seq=0)
    recorder.settled(BOOT + 3 * SECOND)
    flight = Flight(1)
    flight.boot_ns = BOOT + SECOND
    stream.ground(flight, Outcome.NOT_SENT)
    stall(stream, 2, 51)
    recorder.settled(BOOT + 60 * SECOND)
    answer(stream, launch(stream, 52, BOOT + 61 * SECOND), reflector_seq=1)
    (train,) = recorder.settled(BOOT + 70 * SECOND)
    assert isinstance(train, Train)
    assert train.prior == (51, 0)
    counted = directional(train)
    assert counted is not None
    assert (counted.forward_lost, counted.reverse_lost) == (0, 0)


def test_an_overtaken_packets_counter_does_not_lower_the_prior_and_a_new_sessions_does() -> None:
    recorder = Recorder()
    stream = recorder.open(STAMP)
    for seq, reflected in ((0, 100), (1, 102), (2, 101)):
        answer(stream, launch(stream, seq), reflector_seq=reflected)
    recorder.settled(BOOT + 9 * SECOND)
    answer(stream, launch(stream, 3, BOOT + 10 * SECOND), reflector_seq=0)
    (train,) = recorder.settled(BOOT + 20 * SECOND)
    assert isinstance(train, Train)
    assert train.prior == (2, 102)
    answer(stream, launch(stream, 4, BOOT + 21 * SECOND), reflector_seq=1)
    (train,) = recorder.settled(BOOT + 30 * SECOND)
    assert isinstance(train, Train)
    assert train.prior == (3, 0)


FATES = st.sampled_from(["ok"] * 5 + ["forward", "reverse", "held"])


@given(st.lists(FATES, min_size=40, max_size=300), st.integers(1, 12))
def test_trains_end_where_nobody_overtook_so_that_directions_add_up(
    fates: list[str], every: int
) -> None:
    """A held packet is overtaken by up to three; batches are fetched at any time."""
    fates = ["ok", *fates, *["ok"] * 4]
    arriving = sorted(
        (k for k, fate in enumerate(fates) if fate != "forward"),
        key=lambda k: k + 3.5 * (fates[k] == "held"),
    )
    counters = {k: counter for counter, k in enumerate(arriving)}
    stream = Recorder().open(msgspec.structs.replace(STAMP, interval_s=0.01, timeout_s=0.05))
    trains: list[Train] = []
    for k, fate in enumerate(fates):
        flight = launch(stream, k, BOOT + k * 10 * MS)
        if fate in ("ok", "held"):
            answer(stream, flight, 5 * MS, reflector_seq=counters[k])
        stream.advance(flight.boot_ns)
        if k % every == 0:
            trains += [one for one in stream.take() if isinstance(one, Train)]
    stream.abort()
    trains += [one for one in stream.take(last=True) if isinstance(one, Train)]
    assert [n for train in trains for n in numbers([train])] == list(range(len(fates)))
    ways = [way for train in trains if (way := directional(train)) is not None]
    assert sum(way.forward_lost for way in ways) == fates.count("forward")
    assert sum(way.reverse_lost for way in ways) == fates.count("reverse")


@pytest.mark.parametrize("ending", ["retired", "aborted"])
def test_nothing_stays_behind_though_the_reflectors_counter_cannot_be_explained(
    ending: str,
) -> None:
    recorder = Recorder()
    stream = recorder.open(STAMP)
    for seq in range(4):
        launch(stream, seq).outcome = Outcome.NOT_SENT
    answer(stream, launch(stream, 4), reflector_seq=4)
    if ending == "retired":
        recorder.retire(stream)
        taken = recorder.settled(BOOT + 7 * SECOND)
    else:
        taken = recorder.abort()
    assert numbers(taken) == [0, 1, 2, 3, 4]


def lose_from(stream: Stream, recorder: Recorder, first: int, last: int) -> list[int]:
    """Slots to `last`, of which those from `first` are lost; the seconds at which it was losing."""
    found = []
    for seq in range(last + 1):
        flight = launch(stream, seq)
        if seq < first:
            answer(stream, flight)
        now_ns = BOOT + seq * SECOND + 100 * MS
        if recorder.losing(now_ns, 10 * SECOND):
            found.append(seq)
    return found


def test_a_target_is_losing_once_most_of_the_window_is_known_to_be_lost() -> None:
    recorder = Recorder()
    stream = recorder.open(ICMP)
    # The sixth of ten is slot 25, and its timeout of 2 s has passed at 27.
    assert lose_from(stream, recorder, 20, 32) == list(range(27, 33))
    for seq in range(33, 39):
        answer(stream, launch(stream, seq))
    assert recorder.losing(BOOT + 38 * SECOND, 10 * SECOND) == {stream.index}
    assert recorder.losing(BOOT + 39 * SECOND, 10 * SECOND) == frozenset(), "five of ten"


def test_a_target_of_which_little_is_known_is_not_losing() -> None:
    recorder = Recorder()
    stream = recorder.open(ICMP)
    assert lose_from(stream, recorder, 0, 3) == []
    assert recorder.losing(BOOT + 6 * SECOND, 10 * SECOND) == frozenset()
    recorder.retire(stream)
    assert recorder.losing(BOOT + 60 * SECOND, 10 * SECOND) == frozenset()
