"""Statistics against the vectors of methodology 3.4, and directional loss against an oracle."""

import math
import random
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.latency import (
    BUCKETS_NS,
    MAX_COUNT,
    Directional,
    Jitter,
    directional,
    median,
    pdv,
    percentile,
    summarise,
)
from tests.collector.kit import MS, train
from wire.observation import Outcome, Train


def test_v3_1_lost_packets_are_infinitely_late_in_a_percentile() -> None:
    assert percentile([90, 100, 110, 500], 0.5, lost=1) == 110
    assert median([90, 100, 110], lost=1) == 105


def test_v3_2_loss_is_the_mean_of_zeros_and_ones_and_undefined_without_packets() -> None:
    summary = summarise([train([10, 10, None, 10, 10])])
    assert summary.lost / summary.sent == 0.2
    nothing = summarise([train([None], outcomes=[Outcome.NOT_SENT])])
    assert (nothing.sent, nothing.lost, nothing.not_sent) == (0, 0, 1)
    assert nothing.rtt_median_ns is nothing.rtt_p95_ns is nothing.rtt_min_ns is None
    assert nothing.pdv_p99_ns is nothing.jitter_ns is nothing.forward_lost is None


def test_v3_3_delay_variation_of_rfc_5481_figure_1() -> None:
    delays = [20, 10, 20, 25, 20]
    assert [delay - min(delays) for delay in delays] == [10, 0, 10, 15, 10]
    assert pdv(sorted(delays), 1.0) == 15
    assert pdv(sorted(delays), 0.8) == 10


def test_v3_3_jitter_of_rfc_3550() -> None:
    jitter, values = Jitter(), []
    for delay in (20, 10, 20, 25, 20):
        jitter.add(delay)
        values.append(jitter.value_ns)
    assert values[0] is None
    assert values[1:] == pytest.approx([0.625, 1.210938, 1.447754, 1.669769], abs=1e-6)


def test_v3_4_a_percentile_that_falls_among_the_lost_is_infinite() -> None:
    ordered = list(range(97))
    assert percentile(ordered, 0.95, lost=3) == 94
    assert percentile(ordered, 0.97, lost=3) == 96
    assert percentile(ordered, 0.98, lost=3) == math.inf


def test_v3_8_loss_by_direction() -> None:
    reflected = [0, 1, 2, None, 3, None, None, 5, 6, 7]
    one = train([None if r is None else 20 for r in reflected], reflector_seq=reflected)
    assert directional(one) == Directional(2, 1)
    summary = summarise([one])
    assert (summary.sent, summary.lost) == (10, 3)
    assert (summary.forward_lost, summary.reverse_lost) == (2, 1)


@pytest.mark.parametrize(
    ("ordered", "share", "lost", "expected"),
    [
        ([], 0.5, 0, None),
        ([], 0.5, 1, math.inf),
        ([7], 0.0, 0, 7),
        ([7], 1.0, 0, 7),
        ([1, 2], 0.5, 0, 1),
        ([1, 2], 0.51, 0, 2),
        (list(range(1, 101)), 0.07, 0, 7),
    ],
)
def test_nearest_rank(ordered: list[int], share: float, lost: int, expected: float | None) -> None:
    assert percentile(ordered, share, lost) == expected


@pytest.mark.parametrize(
    ("ordered", "lost", "expected"),
    [([], 0, None), ([], 1, math.inf), ([4], 0, 4), ([4], 1, math.inf), ([4, 8, 9], 2, 9)],
)
def test_median(ordered: list[int], lost: int, expected: float | None) -> None:
    assert median(ordered, lost) == expected


@given(
    st.lists(st.integers(0, 3_000_000_000) | st.sampled_from(BUCKETS_NS), min_size=1, max_size=200)
)
def test_every_round_trip_is_in_the_bucket_of_its_bound(rtts: list[int]) -> None:
    summary = summarise([train([rtt / MS for rtt in rtts], rtt_ns=rtts)])
    cumulative = [sum(summary.buckets[: k + 1]) for k in range(len(BUCKETS_NS))]
    assert cumulative == [sum(rtt <= bound for rtt in rtts) for bound in BUCKETS_NS]
    assert sum(summary.buckets) == summary.received == len(rtts)
    assert summary.rtt_sum_ns == sum(rtts)


@pytest.mark.parametrize("outcome", list(Outcome))
def test_what_an_outcome_counts_as(outcome: Outcome) -> None:
    """Sent or not, and lost only where the path was asked and gave no round trip."""
    answered = outcome in (Outcome.OK, Outcome.REFUSED)
    asked = outcome < Outcome.NOT_SENT
    summary = summarise([train([20 if answered else None], outcomes=[outcome])])
    counted = (summary.sent, summary.lost, summary.not_sent)
    assert counted == (asked, asked and not answered, not asked)


# --- loss by direction --------------------------------------------------------------------


def ways(*trains: Train) -> Directional:
    """What the trains of one target add up to."""
    summary = summarise(trains)
    return Directional(summary.forward_lost or 0, summary.reverse_lost or 0)


def reflected_train(reflected: list[int | None], *, first_seq: int = 0, **changes: Any) -> Train:
    rtts = [None if r is None else 20 for r in reflected]
    return train(rtts, first_seq=first_seq, reflector_seq=reflected, **changes)


def test_without_a_reflector_counter_directions_are_unknown_and_not_zero() -> None:
    assert directional(train([20, None, 20])) is None


def test_slots_in_which_nothing_was_sent_are_no_forward_loss() -> None:
    outcomes = [Outcome.OK, Outcome.NOT_SENT, Outcome.LOCAL_ERROR, Outcome.TIMEOUT, Outcome.OK]
    one = reflected_train([0, None, None, None, 1], outcomes=outcomes)
    assert directional(one) == Directional(1, 0)


def test_a_packet_aborted_by_the_agents_end_did_leave() -> None:
    outcomes = [Outcome.OK, Outcome.ABORTED, Outcome.OK]
    assert directional(reflected_train([0, None, 1], outcomes=outcomes)) == Directional(1, 0)


def test_losses_between_two_trains_are_counted_once_by_the_later() -> None:
    first = reflected_train([0, 1, None])
    second = reflected_train([None, 3, 4], first_seq=3, prior=(1, 1))
    assert directional(first) == Directional(0, 0)
    assert directional(second) == Directional(1, 1)


@pytest.mark.parametrize(
    ("prior", "first_seq", "reflected", "expected"),
    [
        pytest.param((100, 90), 101, [0, 1, 2], (0, 0), id="restarted, no loss"),
        pytest.param((100, 90), 101, [None, 0, None, 1], (1, 0), id="losses after the restart"),
        pytest.param((100, 90), 101, [0, 1, None, None, 4], (0, 2), id="restarted at once"),
        pytest.param((20, 20), 60, [0, 1, 2], (0, 0), id="new socket after a cut, few counted"),
        pytest.param((2, 2), 40, [1, 2, 3], (0, 0), id="new socket, hardly any counted"),
        pytest.param((10, 10), 11, [12, 11, 13], (0, 0), id="overtaken within the train"),
    ],
)
def test_a_counter_that_runs_backwards_begins_anew(
    prior: tuple[int, int], first_seq: int, reflected: list[int | None], expected: tuple[int, int]
) -> None:
    one = reflected_train(reflected, first_seq=first_seq, prior=prior)
    assert directional(one) == expected


def test_a_packet_that_overtook_across_the_end_of_a_train_is_no_loss_of_either() -> None:
    first = reflected_train([*range(9), 10])
    second = reflected_train([9, 11], first_seq=10, prior=(9, 10))
    assert (directional(first), directional(second)) == (Directional(0, 0), Directional(0, 0))


def test_a_session_that_this_side_did_not_see_begin_counts_from_its_first_reply() -> None:
    assert directional(reflected_train([None, 70, None, 72], first_seq=500)) == Directional(0, 1)


@pytest.mark.parametrize(
    "hostile",
    [
        reflected_train([0], first_seq=5, prior=(2**53, 2**53)),
        reflected_train([2**53], first_seq=5, prior=(4, 0)),
        reflected_train([0, 2**53, 0, 2**53], first_seq=2**53, prior=(0, 0)),
        reflected_train([5, 5, 5], prior=(7, 3)),
    ],
)
def test_no_counter_makes_a_negative_or_an_overflowing_loss(hostile: Train) -> None:
    summary = summarise([hostile] * 4000)
    assert summary.forward_lost is not None and summary.reverse_lost is not None
    assert 0 <= summary.forward_lost <= MAX_COUNT
    assert 0 <= summary.reverse_lost <= MAX_COUNT


@dataclass
class Path:
    """A sender, a lossy way there and back, and a stateful reflector: the truth by brute force."""

    rows: list[tuple[int | None, Outcome]] = field(default_factory=list)
    forward_lost: list[int] = field(default_factory=list)
    reverse_lost: list[int] = field(default_factory=list)


FATES = st.sampled_from(["ok"] * 6 + ["forward", "reverse", "not_sent", "overtaken"])


def simulate(fates: list[str]) -> Path:
    path = Path([(None, Outcome.TIMEOUT)] * len(fates))
    order = list(range(len(fates)))
    for k, fate in enumerate(fates[:-1]):
        if fate == "overtaken" and fates[k + 1] == "ok":
            order[k], order[k + 1] = order[k + 1], order[k]
    counter = 0
    for seq in order:
        fate = fates[seq]
        if fate == "not_sent":
            path.rows[seq] = (None, Outcome.NOT_SENT)
        elif fate == "forward":
            path.forward_lost.append(seq)
        elif fate == "reverse":
            path.reverse_lost.append(seq)
            counter += 1
        else:
            path.rows[seq] = (counter, Outcome.OK)
            counter += 1
    return path


def split(path: Path, cuts: list[int]) -> list[Train]:
    """The rows in trains, each with what the agent knew before it: its own contract of `prior`.

    The newest number, moved on by slots that sent nothing, and the reflector's highest.
    """
    trains: list[Train] = []
    prior: tuple[int, int] | None = None
    edges = [0, *cuts, len(path.rows)]
    for begin, end in pairwise(edges):
        rows = path.rows[begin:end]
        trains.append(
            reflected_train(
                [reflected for reflected, _ in rows],
                first_seq=begin,
                outcomes=[outcome for _, outcome in rows],
                prior=prior,
                boot_s=100 + begin,
            )
        )
        for k, (reflected, outcome) in enumerate(rows):
            if reflected is not None:
                prior = (begin + k, max(reflected, prior[1] if prior else 0))
            elif prior is not None and outcome is Outcome.NOT_SENT:
                prior = (prior[0] + 1, prior[1])
    return trains


@st.composite
def cut_paths(draw: st.DrawFn) -> tuple[list[str], list[int]]:
    fates = ["ok", *draw(st.lists(FATES, min_size=1, max_size=60))]
    # A pair that changes places stays in one train: over its end see the next test.
    swaps = {
        k + 1 for k, fate in enumerate(fates[:-1]) if fate == "overtaken" and fates[k + 1] == "ok"
    }
    allowed = [k for k in range(1, len(fates)) if k not in swaps]
    cuts = draw(st.sets(st.sampled_from(allowed), max_size=8)) if allowed else set()
    return fates, sorted(cuts)


@given(cut_paths())
def test_the_trains_of_a_path_add_up_to_the_truth_however_it_is_cut(
    case: tuple[list[str], list[int]],
) -> None:
    path = simulate(case[0])
    newest = max(seq for seq, (reflected, _) in enumerate(path.rows) if reflected is not None)
    truth = Directional(
        sum(seq < newest for seq in path.forward_lost),
        sum(seq < newest for seq in path.reverse_lost),
    )
    assert ways(*split(path, case[1])) == truth


@given(st.lists(FATES, min_size=1, max_size=60), st.integers(0, 2**32))
def test_overtaking_across_a_cut_never_makes_more_loss_than_pairs_that_changed_places(
    fates: list[str], seed: int
) -> None:
    fates = ["ok", *fates]
    path = simulate(fates)
    cuts = sorted(random.Random(seed).sample(range(1, len(fates)), min(5, len(fates) - 1)))
    newest = max(seq for seq, (reflected, _) in enumerate(path.rows) if reflected is not None)
    forward = sum(seq < newest for seq in path.forward_lost)
    reverse = sum(seq < newest for seq in path.reverse_lost)
    crossing = sum(
        fates[cut - 1] == "overtaken" and cut < len(fates) and fates[cut] == "ok" for cut in cuts
    )
    counted = ways(*split(path, cuts))
    assert abs(counted.forward_lost - forward) <= crossing
    assert abs(counted.reverse_lost - reverse) <= crossing
