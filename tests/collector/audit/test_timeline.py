import itertools
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.audit.chunks import Chunk, join
from collector.audit.evidence import Span
from collector.audit.intervals import Run
from collector.audit.rules import UnavailabilityRule
from collector.audit.states import State
from collector.audit.strip import Mark, Strip, View, pack
from collector.audit.timeline import BRIDGE_S, Shown, clip, runs, showing
from tests.collector.audit.kit import START_S, TEN, strip_of


def seen(text: str, rule: UnavailabilityRule = TEN) -> list[tuple[int, int, str]]:
    """Runs, their seconds counted from the strip's first."""
    return [
        (run.start_s - START_S, run.end_s - START_S, run.state.value)
        for run in runs(strip_of(text), rule)
    ]


# --- a slow reference that is obviously right


def silences(text: str) -> list[bool]:
    """Whether each second lies in a silence; beyond the text nothing is known."""
    padded = "..." + text + "..."
    inside = [False] * len(padded)
    for kind, group in itertools.groupby(range(len(padded)), key=lambda at: padded[at]):
        members = list(group)
        if kind == "." and len(members) > BRIDGE_S:
            for at in members:
                inside[at] = True
    return inside[3:-3]


def machine(bad: list[bool], rule: UnavailabilityRule) -> list[int]:
    """A_k of MEF 10.3, letter by letter."""
    states: list[int] = []
    n, m = rule.bins_in, rule.bins_out
    for k in range(len(bad)):
        ahead_in, ahead_out = bad[k : k + n], bad[k : k + m]
        all_bad = len(ahead_in) == n and all(ahead_in)
        all_good = len(ahead_out) == m and not any(ahead_out)
        if k == 0:
            states.append(0 if all_bad else 1)
        elif states[-1] == 1 and all_bad:
            states.append(0)
        elif states[-1] == 0 and all_good:
            states.append(1)
        else:
            states.append(states[-1])
    return states


def reference(text: str, rule: UnavailabilityRule, start_s: int = START_S) -> list[State]:
    """The state of every second."""
    silent = silences(text)
    states = [State.UNKNOWN] * len(text)
    at = 0
    while at < len(text):
        if silent[at]:
            at += 1
            continue
        stop = at
        while stop < len(text) and not silent[stop]:
            stop += 1
        known = [second for second in range(at, stop) if text[second] != "."]
        bins = [
            list(group)
            for _, group in itertools.groupby(known, key=lambda one: (start_s + one) // rule.bin_s)
        ]
        share = [Fraction(sum(text[one] == "-" for one in each), len(each)) for each in bins]
        bad = [one > Fraction(str(rule.loss_threshold)) for one in share]
        found = machine(bad, rule)
        edges = [each[0] for each in bins] + [stop]
        for state, first, last in zip(found, edges, edges[1:], strict=False):
            states[first:last] = [State.UP if state else State.DOWN] * (last - first)
        at = stop
    return states


def states_of(found: tuple[Run, ...]) -> list[State]:
    return [run.state for run in found for _ in range(run.start_s, run.end_s)]


STRETCH = st.tuples(st.sampled_from("+-."), st.integers(1, 14)).map(lambda one: one[0] * one[1])
TEXT = st.one_of(
    st.text("+-.", max_size=80),
    st.lists(STRETCH, max_size=14).map("".join),
    st.lists(st.sampled_from(["-.", "-..", "+.", "+-", "++++", "----", "..."]), max_size=30).map(
        "".join
    ),
)
SIZES = st.sampled_from([1, 1, 1, 2, 3, 5, 10])
RULES = st.builds(
    UnavailabilityRule,
    bin_s=SIZES,
    loss_threshold=st.sampled_from([0.5, 0.5, 0.0, 0.2, 0.3, 1.0]),
    bins_in=st.integers(1, 10),
    bins_out=st.integers(1, 10),
)


@given(TEXT, RULES, st.integers(0, 10))
def test_runs_equal_the_slow_reference(text: str, rule: UnavailabilityRule, shift: int) -> None:
    found = runs(strip_of(text, START_S + shift), rule)
    assert states_of(found) == reference(text, rule, START_S + shift)


@given(TEXT, RULES)
def test_runs_follow_one_another_differ_and_add_up(text: str, rule: UnavailabilityRule) -> None:
    found = runs(strip_of(text), rule)
    assert sum(run.end_s - run.start_s for run in found) == len(text)
    for before, after in itertools.pairwise(found):
        assert before.end_s == after.start_s
        assert before.state is not after.state


@given(TEXT)
def test_nothing_is_made_up(text: str) -> None:
    for run in runs(strip_of(text), TEN):
        part = text[run.start_s - START_S : run.end_s - START_S]
        if run.state is State.DOWN:
            assert part[0] == "-"
            assert part.count("-") >= 10
        assert ("..." in part) <= (run.state is State.UNKNOWN)
        assert (set(part) == {"."}) == (run.state is State.UNKNOWN)


@given(TEXT, RULES, st.lists(st.integers(0, 140), max_size=5))
def test_chunks_join_to_the_same_runs_wherever_they_are_cut(
    text: str, rule: UnavailabilityRule, cuts: list[int]
) -> None:
    text += "." * (-len(text) % rule.bin_s)
    start_s = START_S // rule.bin_s * rule.bin_s
    whole = strip_of(text, start_s)
    edges = sorted(
        {0, len(text), *(min(cut // rule.bin_s * rule.bin_s, len(text)) for cut in cuts)}
    )
    parts = [
        Chunk.of(strip_of(text[low:high], start_s + low), rule)
        for low, high in itertools.pairwise(edges)
    ]
    if not parts:
        return
    expected = runs(whole, rule)
    assert join(parts).runs() == expected
    half = len(parts) // 2
    if half:
        assert join([join(parts[:half]), join(parts[half:])]).runs() == expected


@given(TEXT, RULES, st.integers(0, 80), st.text("+-.", min_size=1, max_size=10))
def test_a_late_batch_needs_only_its_own_chunk_anew(
    text: str, rule: UnavailabilityRule, at: int, late: str
) -> None:
    size = 2 * rule.bin_s
    text += "." * (-len(text) % size)
    settled = (text[:at] + late + text[at + len(late) :])[: len(text)]

    def chunk(source: str, low: int) -> Chunk:
        return Chunk.of(strip_of(source[low : low + size], START_S + low), rule)

    chunks = {low: chunk(text, low) for low in range(0, len(text), size)}
    for low in chunks:
        if text[low : low + size] != settled[low : low + size]:
            chunks[low] = chunk(settled, low)
    if chunks:
        assert join(list(chunks.values())).runs() == runs(strip_of(settled), rule)


# --- vectors and the tricky places


def test_vector_1_1_edges_are_retroactive() -> None:
    text = "+" * 60 + "-" * 9 + "+" * 31 + "-" * 10 + "+" * 5 + "-" * 7 + "+" * 20
    text += "-" * 40 + "+" * 30
    found = seen(text)
    assert [one[:2] for one in found if one[2] == "down"] == [(100, 122), (142, 182)]
    assert sum(end - start for start, end, state in found if state == "up") == 150


def test_vector_1_5_an_outage_begins_with_its_first_lost_packet() -> None:
    assert seen("+" * 100 + "-" * 12 + "+" * 20) == [
        (0, 100, "up"),
        (100, 112, "down"),
        (112, 132, "up"),
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        ("-" * 9 + "+", [(0, 10, "up")]),
        ("-" * 10, [(0, 10, "down")]),
        ("+" * 9, [(0, 9, "up")]),
        ("...", [(0, 3, "unknown")]),
        ("-" * 10 + "+" * 9, [(0, 19, "down")]),
        ("-" * 10 + "+" * 10, [(0, 10, "down"), (10, 20, "up")]),
        # a hole of two seconds neither ends an outage nor counts towards one
        ("+" * 5 + "-" * 5 + ".." + "-" * 5, [(0, 5, "up"), (5, 17, "down")]),
        ("+" * 5 + "-" * 5 + ".." + "-" * 4 + "+", [(0, 17, "up")]),
        (
            "+" * 5 + "." + "-" * 10 + "+" * 5 + ".." + "+" * 5,
            [(0, 6, "up"), (6, 16, "down"), (16, 28, "up")],
        ),
        # a hole between an outage and its end holds the state before it
        ("-" * 10 + ".." + "+" * 10, [(0, 12, "down"), (12, 22, "up")]),
        # a packet every other second still makes an outage of ten bad seconds
        ("+" + "-." * 9 + "-+", [(0, 1, "up"), (1, 21, "down")]),
        # three seconds are a silence: unknown, and the machine begins anew
        ("-" * 10 + "..." + "-" * 9 + "+", [(0, 10, "down"), (10, 13, "unknown"), (13, 23, "up")]),
        ("-" * 9 + "..." + "-" * 9, [(0, 9, "up"), (9, 12, "unknown"), (12, 21, "up")]),
        ("+" * 3 + "..." + "-" * 10, [(0, 3, "up"), (3, 6, "unknown"), (6, 16, "down")]),
        # at the edges of what is known a hole may be part of a silence
        (".." + "+" * 3 + ".", [(0, 2, "unknown"), (2, 5, "up"), (5, 6, "unknown")]),
    ],
)
def test_states(text: str, expected: list[tuple[int, int, str]]) -> None:
    assert seen(text) == expected


def test_intervals_of_ten_seconds_are_bad_above_their_threshold() -> None:
    rule = UnavailabilityRule(bin_s=10, loss_threshold=0.5, bins_in=2, bins_out=2)
    half, worse, good = "-----+++++", "------++++", "+" * 10
    assert seen(good + half + half + good, rule) == [(0, 40, "up")]
    assert seen(good + worse + worse + good + good, rule) == [
        (0, 10, "up"),
        (10, 30, "down"),
        (30, 50, "up"),
    ]


def test_a_threshold_is_the_decimal_that_was_written() -> None:
    rule = UnavailabilityRule(bin_s=10, loss_threshold=0.3, bins_in=1, bins_out=1)
    assert seen("---+++++++", rule) == [(0, 10, "up")]
    assert seen("----++++++", rule) == [(0, 10, "down")]


@pytest.mark.parametrize(
    ("hub", "anchor", "on", "off"),
    [
        (Mark.OK, Mark.LOST, Shown.GOOD, Shown.GOOD),
        (Mark.LOST, Mark.OK, Shown.GOOD, Shown.GOOD),
        (Mark.LOST, Mark.LOST, Shown.BAD, Shown.BAD),
        (Mark.LOST, Mark.NONE, Shown.BAD, Shown.NOTHING),
        (Mark.UNSENT, Mark.NONE, Shown.BAD, Shown.NOTHING),
        (Mark.NONE, Mark.UNSENT, Shown.BAD, Shown.BAD),
        (Mark.NONE, Mark.LOST, Shown.BAD, Shown.BAD),
        (Mark.NONE, Mark.NONE, Shown.NOTHING, Shown.NOTHING),
        (Mark.OK, Mark.NONE, Shown.GOOD, Shown.GOOD),
    ],
)
def test_a_loss_to_a_hub_that_is_off_shows_nothing(
    hub: Mark, anchor: Mark, on: Shown, off: Shown
) -> None:
    code = pack({View.HUB: hub, View.ANCHOR: anchor, View.FIRST_HOP: Mark.LOST})
    strip = Strip.of_seconds(0, np.full(10, code, np.uint16))
    found = showing(strip, [Span(4, 7), Span(2, 5), Span(-5, 1), Span(90, 95)])
    expected = [off, on, off, off, off, off, off, on, on, on]
    assert np.repeat(found.shown, np.diff(found.edges)).tolist() == expected
    assert showing(strip).shown.tolist() == [on]


def test_the_lookahead_reaches_into_the_margin_behind_the_period() -> None:
    text = "+" * 20 + "-" * 12 + "+" * 20
    whole = runs(strip_of(text), TEN)
    middle = START_S + 25
    assert clip(whole, START_S, middle)[-1] == Run(START_S + 20, middle, State.DOWN)
    assert clip(whole, middle, START_S + 52)[0] == Run(middle, START_S + 32, State.DOWN)


def test_a_chunk_that_cuts_an_interval_is_refused() -> None:
    with pytest.raises(ValueError, match=r"chunk 3600\.\.3607 cuts an interval: expected"):
        Chunk.of(strip_of("+" * 7), UnavailabilityRule(bin_s=10))


def test_chunks_of_two_rules_do_not_join() -> None:
    parts = [
        Chunk.of(strip_of("+", START_S + at), UnavailabilityRule(bins_in=5 + at)) for at in (0, 1)
    ]
    with pytest.raises(ValueError, match="chunks judged by"):
        join(parts)


def test_chunks_with_a_hole_between_them_do_not_join() -> None:
    parts = [Chunk.of(strip_of("+", START_S + at), TEN) for at in (0, 2)]
    with pytest.raises(ValueError, match="ends at 3601, the next begins at 3602"):
        join(parts)
