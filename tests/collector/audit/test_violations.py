import itertools
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.audit.evidence import Span
from collector.audit.intervals import Interval, check_whole
from collector.audit.rules import DegradedRule, Terms, UnavailabilityRule
from collector.audit.states import Cause, Charge, State
from collector.audit.violations import (
    MICRO_S,
    Micro,
    Violations,
    degraded,
    total,
    violations,
)
from tests.collector.audit.kit import START_S, TEN, intervals_of, seen_of

MINUTE = DegradedRule()


def terms(rule: UnavailabilityRule) -> Terms:
    return Terms(unavailability=rule, degraded=MINUTE)


def counts_of(text: str, rule: UnavailabilityRule = TEN) -> Violations:
    seen = seen_of(text)
    span = Span(START_S, START_S + len(text))
    return violations(seen, intervals_of(seen, rule), span, terms(rule))


VECTOR_1_1 = "+" * 60 + "-" * 9 + "+" * 31 + "-" * 10 + "+" * 5 + "-" * 7 + "+" * 20
VECTOR_1_1 += "-" * 40 + "+" * 30


def test_vector_1_1_counts_inside_available_time_only() -> None:
    found = counts_of(VECTOR_1_1)
    assert (found.bad, found.bad_available, found.available) == (66, 9, 150)
    assert found.consecutive == 1
    assert found.violated_ratio == Fraction(6, 100)
    assert found.micro == (Micro(START_S + 60, START_S + 69, 9),)


def test_nothing_asked_is_no_ratio() -> None:
    found = counts_of("." * 120)
    assert found.violated_ratio is None
    assert found.severe_ratio is None


def test_micro_outages_are_three_lost_seconds_to_nine() -> None:
    text = "+" * 10 + "--" + "+" * 10 + "---" + "+" * 10 + "--.--" + "+" * 10 + "-" * 10 + "+" * 10
    found = counts_of(text + "-" * 4)
    lost = [(one.start_s - START_S, one.end_s - START_S, one.lost_s) for one in found.micro]
    assert lost == [(22, 25, 3), (35, 40, 4), (70, 74, 4)]


def test_bad_intervals_of_ten_seconds_are_counted_as_such() -> None:
    rule = UnavailabilityRule(bin_s=10, bins_in=4, bins_out=4)
    text = "+" * 40 + "------++++" * 2 + "+" * 40
    found = counts_of(text, rule)
    assert (found.bad, found.bad_available, found.available) == (2, 2, 10)
    assert [one.lost_s for one in found.micro] == [6, 6]


def test_maintenance_is_no_available_time() -> None:
    seen = seen_of("+" * 20 + "---" + "+" * 37)
    span = Span(START_S, START_S + 60)
    up = Interval(*span, State.UP)
    plain = violations(seen, (up,), span, terms(TEN))
    work = up._replace(
        start_s=START_S + 10,
        end_s=START_S + 30,
        cause=Cause.MAINTENANCE,
        charge=Charge.EXCLUDED,
    )
    parts = (up._replace(end_s=work.start_s), work, up._replace(start_s=work.end_s))
    found = violations(seen, parts, span, terms(TEN))
    assert (plain.bad_available, plain.available, len(plain.micro)) == (3, 60, 1)
    assert (found.bad, found.bad_available, found.available, found.micro) == (3, 0, 40, ())


def test_loss_above_a_fifth_degrades_its_minute() -> None:
    pattern = "+++-"  # a quarter lost, never ten in a row
    text = "+" * 60 + pattern * 15 + ("++++-" * 12) + "+" * 60
    seen = seen_of(text)
    found = degraded(intervals_of(seen), seen, MINUTE)
    assert [(one.start_s - START_S, one.end_s - START_S, one.state) for one in found] == [
        (0, 60, State.UP),
        (60, 120, State.DEGRADED),
        (120, 240, State.UP),
    ]
    counts = counts_of(text)
    assert (counts.severe, counts.windows) == (1, 4)
    assert counts.severe_ratio == Fraction(1, 4)


def test_lost_seconds_of_an_outage_degrade_nothing() -> None:
    seen = seen_of("+" * 30 + "-" * 50 + "+" * 40)
    plain = intervals_of(seen)
    assert degraded(plain, seen, MINUTE) == plain


def test_a_window_is_judged_by_what_is_known_of_it() -> None:
    seen = seen_of("." * 50 + "+" * 7 + "-" * 3 + "+" * 60)
    found = degraded(intervals_of(seen), seen, MINUTE)
    assert [(one.length_s, one.state) for one in found] == [
        (50, State.UNKNOWN),
        (10, State.DEGRADED),
        (60, State.UP),
    ]


def test_losses_beside_our_own_load_are_no_violations_and_degrade_nothing() -> None:
    seen = seen_of("+" * 60 + "+--" * 20 + "+" * 30 + "----" + "+" * 26)
    span = Span(START_S, START_S + 180)
    loaded = [Span(START_S + 60, START_S + 118), Span(START_S + 170, START_S + 400)]
    plain = violations(seen, intervals_of(seen), span, terms(TEN))
    found = violations(seen, intervals_of(seen), span, terms(TEN), loaded)
    assert (plain.bad_available, plain.severe, plain.loaded_s) == (44, 1, 0)
    # Of the loaded minute two lost seconds of two are left, and they are above a fifth.
    assert (found.bad_available, found.severe, found.loaded_s) == (6, 1, 58 + 10)
    assert found.available == plain.available - 68
    assert [one.lost_s for one in found.micro] == [4]
    assert total([plain, found]).loaded_s == 68
    whole = [Span(START_S + 55, START_S + 125)]
    assert violations(seen, intervals_of(seen), span, terms(TEN), whole).severe == 0
    states = {one.state for one in degraded(intervals_of(seen), seen, MINUTE, whole)}
    assert states == {State.UP}
    assert State.DEGRADED in {one.state for one in degraded(intervals_of(seen), seen, MINUTE)}


def test_outages_are_not_excused_by_a_load() -> None:
    seen = seen_of("+" * 60 + "-" * 30 + "+" * 60)
    ran = intervals_of(seen)
    load = [Span(START_S + 50, START_S + 100)]
    assert degraded(ran, seen, MINUTE, load) == ran
    assert State.DOWN in {one.state for one in ran}


def test_an_interval_of_which_a_part_was_loaded_is_left_out_whole() -> None:
    rule = UnavailabilityRule(bin_s=10, bins_in=4, bins_out=4)
    seen = seen_of("+" * 40 + "------++++" * 2 + "+" * 40)
    span = Span(START_S, START_S + 100)
    load = [Span(START_S + 47, START_S + 48)]
    found = violations(seen, intervals_of(seen, rule), span, terms(rule), load)
    assert (found.bad_available, found.available, found.loaded_s) == (1, 9, 10)


STRETCH = st.tuples(st.sampled_from("+-."), st.integers(1, 25)).map(lambda one: one[0] * one[1])
TEXT = st.lists(STRETCH, max_size=30).map("".join)
RULE = st.builds(
    DegradedRule,
    window_s=st.sampled_from([10, 60]),
    loss_threshold=st.sampled_from([0.2, 0.3, 0.0]),
)


@given(TEXT, RULE)
def test_degraded_equals_a_count_second_by_second(text: str, rule: DegradedRule) -> None:
    seen = seen_of(text)
    plain = intervals_of(seen)
    found = degraded(plain, seen, rule)
    check_whole(found, START_S, START_S + len(text))
    before = [one.state for one in plain for _ in range(one.length_s)]
    expected = list(before)
    for low in range(0, len(text), rule.window_s):
        window = range(low, min(low + rule.window_s, len(text)))
        up = [at for at in window if before[at] is State.UP]
        bad = sum(text[at] == "-" for at in up)
        known = sum(text[at] != "." for at in up)
        if known and Fraction(bad, known) > Fraction(str(rule.loss_threshold)):
            for at in up:
                expected[at] = State.DEGRADED
    assert [one.state for one in found for _ in range(one.length_s)] == expected
    assert all(
        a != b._replace(start_s=a.start_s, end_s=a.end_s) for a, b in itertools.pairwise(found)
    )
    assert degraded(found, seen, rule) == found


@given(TEXT)
def test_counts_equal_a_count_second_by_second(text: str) -> None:
    found = counts_of(text)
    states = [one.state for one in intervals_of(seen_of(text)) for _ in range(one.length_s)]
    bad = [at for at, one in enumerate(text) if one == "-"]
    up = [at for at, one in enumerate(text) if one != "." and states[at] is State.UP]
    assert found.bad == len(bad)
    assert found.available == len(up)
    assert found.bad_available == len(set(bad) & set(up))
    windows = {at // 60 for at, state in enumerate(states) if state is State.UP}
    assert found.windows == len(windows)
    assert all(MICRO_S <= one.lost_s < 10 for one in found.micro)
    assert sum(one.lost_s for one in found.micro) <= found.bad_available


@given(TEXT, st.sampled_from([1, 10]), st.lists(st.integers(1, 9), max_size=4))
def test_counts_of_parts_add_up(text: str, size: int, cuts: list[int]) -> None:
    rule = UnavailabilityRule(bin_s=size, bins_in=10 // size + 1, bins_out=3)
    seen = seen_of(text)
    intervals = intervals_of(seen, rule)
    edges = sorted({0, len(text), *(min(cut * 60, len(text)) for cut in cuts)})
    parts = [
        violations(seen, intervals, Span(START_S + low, START_S + high), terms(rule))
        for low, high in itertools.pairwise(edges)
    ]
    if parts:
        span = Span(START_S, START_S + len(text))
        assert total(parts) == violations(seen, intervals, span, terms(rule))


@pytest.mark.parametrize("length", [0, 1])
def test_a_link_without_intervals_has_nothing_to_count(length: int) -> None:
    seen = seen_of("-" * length)
    found = violations(seen, (), Span(START_S, START_S + length), terms(TEN))
    assert found == Violations(length, 0, 0, 0, 0, 0, ())
