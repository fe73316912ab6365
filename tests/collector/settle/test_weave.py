import random

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from collector.audit.intervals import Run
from collector.audit.rules import UnavailabilityRule
from collector.audit.states import State
from collector.audit.strip import Mark, Strip, View, mark
from collector.audit.timeline import runs
from collector.settle.stretch import Beat, Stretch, journal, pack_beats, stretch, unpack_beats
from collector.settle.weave import Placed, weave
from tests.collector.kit import train
from wire.observation import Outcome, Train

S = 1_000_000_000
NONE, OK, LOST, UNSENT = Mark.NONE, Mark.OK, Mark.LOST, Mark.UNSENT


def placed(one: Stretch, offset_s: float = 0, run: bytes = b"e") -> Placed:
    return Placed(run, one, tuple(beat.boot_ns + int(offset_s * S) for beat in one.beats))


def shown(strip: Strip, view: View = View.HUB) -> list[Mark]:
    return [mark(int(code), view) for code in strip.seconds()]


def test_a_healthy_minute_is_one_beat() -> None:
    one = stretch([train([20] * 60)], View.HUB)
    assert one.beats == (Beat(0, 100 * S, 60, OK),)
    assert unpack_beats(pack_beats(one.beats)) == one.beats


def test_a_packet_marks_the_second_in_which_it_was_sent() -> None:
    one = stretch([train([20, None, 20], boot_s=100.25)], View.HUB)
    assert shown(weave([placed(one)], 99, 104)) == [NONE, OK, LOST, OK, NONE]


def test_what_the_machine_failed_to_do_says_nothing_and_a_missing_route_does() -> None:
    outcomes = [
        Outcome.NOT_SENT,
        Outcome.LOCAL_ERROR,
        Outcome.ABORTED,
        Outcome.UNREACHABLE,
        Outcome.BAD_REPLY,
    ]
    one = stretch([train([None] * 5, outcomes=outcomes)], View.HUB)
    assert shown(weave([placed(one)], 100, 105)) == [UNSENT, NONE, NONE, LOST, LOST]


def test_what_a_dead_life_left_without_a_fate_is_unknown_and_what_was_answered_is_up() -> None:
    """Its last rows come from the spool's tail; the next life begins in second 140."""
    outcomes = [Outcome.OK] * 20 + [Outcome.ABORTED, Outcome.OK, Outcome.ABORTED, Outcome.ABORTED]
    rtts = [20.0 if one is Outcome.OK else None for one in outcomes]
    left = stretch([train(rtts, outcomes=outcomes)], View.HUB)
    then = stretch([train([20] * 20, boot_s=140)], View.HUB)
    strip = weave([placed(left), placed(then, run=b"f")], 100, 160)
    assert runs(strip, UnavailabilityRule()) == (
        Run(100, 122, State.UP),
        Run(122, 140, State.UNKNOWN),
        Run(140, 160, State.UP),
    )


def test_a_packet_that_waited_in_the_machine_does_not_show_its_second_good() -> None:
    outcomes = [Outcome.TIMEOUT, Outcome.HELD, Outcome.HELD, Outcome.OK]
    one = stretch([train([None, None, None, 20], outcomes=outcomes)], View.GATEWAY)
    assert shown(weave([placed(one)], 100, 104), View.GATEWAY) == [LOST, UNSENT, UNSENT, OK]


def test_a_target_that_refuses_was_reached() -> None:
    one = stretch([train([3], outcomes=[Outcome.REFUSED])], View.ANCHOR)
    assert shown(weave([placed(one)], 100, 101), View.ANCHOR) == [OK]


def test_one_of_two_anchors_is_enough() -> None:
    first = stretch([train([None, None], target="a")], View.ANCHOR)
    second = stretch([train([None, 9], target="b")], View.ANCHOR)
    assert shown(weave([placed(first), placed(second)], 100, 102), View.ANCHOR) == [LOST, OK]


def jittered(rng: random.Random, count: int, phase_s: float, first_seq: int = 0) -> Train:
    """Sent by the agent's own schedule: each slot up to 5 % of its interval late."""
    sent = [int((k + rng.random() * 0.05) * 1_000_000) for k in range(count)]
    return train(
        [20.0] * count,
        first_seq=first_seq,
        boot_s=100 + phase_s + sent[0] / 1e6,
        send_us=[us - sent[0] for us in sent],
    )


@given(st.integers(0, 2**32), st.floats(0, 0.999))
def test_jitter_leaves_no_empty_second(seed: int, phase_s: float) -> None:
    rng = random.Random(seed)
    trains = [jittered(rng, 60, phase_s)]
    later = jittered(rng, 60, phase_s, first_seq=60)
    trains.append(
        train([20.0] * 60, first_seq=60, boot_s=later.boot_ns / S + 60, send_us=list(later.send_us))
    )
    strip = weave([placed(stretch([one], View.HUB)) for one in trains], 101, 219)
    assert set(shown(strip)) == {OK}


def test_a_slot_that_was_skipped_leaves_its_second_empty() -> None:
    first = stretch([train([20] * 3)], View.HUB)
    second = stretch([train([20] * 3, first_seq=4, boot_s=104)], View.HUB)
    assert shown(weave([placed(first), placed(second)], 100, 107)) == [OK] * 3 + [NONE] + [OK] * 3


def test_rare_packets_to_the_hub_stand_for_their_interval() -> None:
    rare = train([20, None], interval_ns=5 * S, send_us=[0, 5_000_000])
    assert shown(weave([placed(stretch([rare], View.HUB))], 100, 107)) == [OK] * 5 + [LOST, NONE]


def test_rare_packets_to_an_anchor_mark_their_own_second() -> None:
    rare = train([20, 20], target="a", interval_ns=5 * S, send_us=[0, 5_000_000])
    strip = weave([placed(stretch([rare], View.ANCHOR))], 100, 106)
    assert shown(strip, View.ANCHOR) == [OK, NONE, NONE, NONE, NONE, OK]


def test_half_of_many_packets_in_a_second_is_not_lost() -> None:
    fast = train(
        [20, None, 20, None, None, None, None, 20],
        interval_ns=S // 4,
        send_us=[k * 250_000 for k in range(8)],
    )
    assert shown(weave([placed(stretch([fast], View.HUB))], 100, 102)) == [OK, LOST]


def test_the_journal_is_whole_between_heartbeats_and_no_further() -> None:
    records = [journal("l1", 0, 100 * S, 110 * S), journal("l1", 1, 120 * S, 130 * S)]
    records.append(journal("l1", 2, 160 * S, 160 * S))
    strip = weave([placed(one) for one in records], 100, 161)
    assert shown(strip, View.JOURNAL) == [OK] * 31 + [NONE] * 29 + [OK]


@st.composite
def minutes(draw: st.DrawFn) -> list[Train]:
    """Ten seconds a batch, with losses."""
    fates = draw(st.lists(st.booleans(), min_size=30, max_size=30))
    return [
        train(
            [20.0 if good else None for good in fates[at : at + 10]],
            first_seq=at,
            boot_s=100 + at,
        )
        for at in (0, 10, 20)
    ]


@given(minutes(), st.permutations(range(3)))
def test_neither_order_nor_repetition_nor_seams_change_a_second(
    trains: list[Train], order: list[int]
) -> None:
    whole = train(
        [None if r is None else r / 1e6 for one in trains for r in one.rtt_ns],
    )
    strip = weave([placed(stretch([whole], View.HUB))], 95, 135)
    parts = [placed(stretch([trains[k]], View.HUB)) for k in (*order, order[0])]
    assert weave(parts, 95, 135) == strip
    assert np.array_equal(strip.seconds()[:5], [0] * 5)
