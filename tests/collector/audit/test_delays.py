import math
from fractions import Fraction

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from collector.audit.availability import Judgement
from collector.audit.delays import DelayClause, LossClause, doubtful, loss, sample
from collector.audit.evidence import Span
from collector.audit.histogram import Between, Histogram, less, of_ns
from collector.audit.intervals import Interval
from collector.audit.states import State
from collector.ledger.hours import summed, without

MS = 1_000_000
NEAR = Between(0.0198, 0.0202)


@pytest.mark.parametrize(
    ("found", "limit_s", "judgement"),
    [
        (NEAR, 0.030, Judgement.MET),
        (NEAR, 0.0202, Judgement.MET),
        (NEAR, 0.020, Judgement.INDETERMINATE),
        (NEAR, 0.0198, Judgement.BREACHED),
        (Between(math.inf, math.inf), 0.5, Judgement.BREACHED),
        (None, 0.5, Judgement.INDETERMINATE),
        (NEAR, None, None),
    ],
)
def test_a_limit_within_the_bucket_decides_nothing(
    found: Between | None, limit_s: float | None, judgement: Judgement | None
) -> None:
    assert DelayClause(0.95, found, limit_s).judgement is judgement


@pytest.mark.parametrize(
    ("found", "judgement"),
    [
        (Fraction(1, 100), Judgement.MET),
        (Fraction(101, 10_000), Judgement.BREACHED),
        (None, Judgement.INDETERMINATE),
    ],
)
def test_loss_is_compared_exactly(found: Fraction | None, judgement: Judgement) -> None:
    assert LossClause(found, Fraction(1, 100)).judgement is judgement
    assert LossClause(found, None).judgement is None


def test_v3_2_the_ratio_of_an_empty_sample_is_undefined() -> None:
    assert loss(of_ns([MS] * 4, lost=1)) == Fraction(1, 5)
    assert loss(Histogram({})) is None


def test_minutes_that_touch_an_outage_are_left_out() -> None:
    intervals = [
        Interval(0, 100, State.UP),
        Interval(100, 130, State.DOWN),
        Interval(130, 400, State.DEGRADED),
    ]
    batches = [(at, of_ns([MS])) for at in range(0, 420, 60)]
    # 60..120 and 120..180 touch it; 360..420 reaches beyond what is judged, 420 is not judged.
    found = sample(batches, intervals)
    assert (found.whole.received, found.unavailable, found.loaded) == (5, 2, 0)
    alone = sample([(1000, of_ns([MS]))], intervals)
    assert (alone.whole, alone.unavailable) == (Histogram({}), 1)


def test_minutes_that_our_own_tests_loaded_are_left_out_and_told_apart() -> None:
    intervals = [Interval(0, 300, State.UP), Interval(300, 330, State.DOWN)]
    intervals.append(Interval(330, 600, State.UP))
    slow = [100 * MS] * 60
    batches = [(at, of_ns(slow if at in (60, 120) else [MS] * 60)) for at in range(0, 600, 60)]
    # The test touches the minutes from 60 and from 120; the one from 300 was not available anyway.
    found = sample(batches, intervals, [Span(119, 133), Span(310, 320)])
    assert (len(found.batches), found.loaded, found.unavailable) == (7, 2, 1)
    top = found.whole.percentile(1)
    assert top is not None and top.high_s < 0.002
    # Up to the minute's last second, and from the first after it.
    assert sample(batches, intervals, [Span(59, 60)]).loaded == 1
    assert sample(batches, intervals, [Span(60, 61)]).loaded == 1
    assert sample(batches, intervals, [Span(600, 700)]).loaded == 0


STRETCHES = st.lists(st.tuples(st.integers(1, 900), st.sampled_from([*State, None])), max_size=12)
LOADS = st.lists(st.tuples(st.integers(61, 900), st.integers(1, 120)), max_size=8)


@given(STRETCHES, LOADS, st.integers(0, 59))
@example([(3600, State.UP)], [(59, 1)], 0)
@example([(3000, State.UP), (60, None), (600, State.UP)], [], 1)
def test_an_hour_without_what_is_left_out_is_what_speaks(
    stretches: list[tuple[int, State | None]], loads: list[tuple[int, int]], phase: int
) -> None:
    """Whatever is up, down, not judged or loaded: only doubtful batches have to be read."""
    intervals, at = [], 0
    for length_s, state in stretches:
        if state is not None:
            intervals.append(Interval(at, at + length_s, state))
        at += length_s
    loaded, at = [], -60
    for away_s, length_s in loads:
        loaded.append(Span(at + away_s, at + away_s + length_s))
        at += away_s + length_s
    hour = Span(0, 3600)
    batches = [(at, of_ns([at * MS + MS], lost=at % 7)) for at in range(phase, 3600, 60)]
    every = sample(batches, intervals, loaded)
    spans = doubtful(hour, intervals, loaded)
    read = [one for one in batches if any(a <= one[0] < b for a, b in spans)]
    found = sample(read, intervals, loaded)
    assert (found.unavailable, found.loaded) == (every.unavailable, every.loaded)
    whole = summed(0, (one for _, one in batches))
    assert without(whole, found.left_out) == summed(0, every.batches)


def test_only_what_was_summed_can_be_taken_away() -> None:
    whole = of_ns([MS, 2 * MS], lost=1)
    assert less(whole, [of_ns([2 * MS], lost=1)]) == of_ns([MS])
    for stranger in (of_ns([3 * MS]), of_ns([MS, MS]), Histogram({}, 2)):
        with pytest.raises(ValueError, match="no parts of that sum"):
            less(whole, [stranger])
