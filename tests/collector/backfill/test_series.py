"""Points out of intervals and trains."""

import math

from hypothesis import given
from hypothesis import strategies as st

from collector.audit.evidence import Span
from collector.audit.intervals import Interval
from collector.audit.states import State
from collector.backfill.remote_write import Point, encode
from collector.backfill.series import (
    FAMILIES,
    LABELS,
    LinkSeries,
    TrainRow,
    split,
    whole_minutes,
)
from collector.backfill.store import chunks
from collector.inventory import Link, LinkTarget
from tests.collector.backfill.test_remote_write import WriteRequest
from wire.policy import Role

LINK = Link(
    id="l1",
    node="n1",
    provider="P",
    medium="fibre",
    pop="X",
    targets=(LinkTarget(name="gw", probe="icmp", role=Role.GATEWAY, address="192.0.2.1"),),
)
SERIES = LinkSeries(LINK, {"region": "jabar"})
M = 1_790_000_040
"""A full minute."""


def read(points: list[Point]) -> dict[tuple[str, str], list[tuple[int, float]]]:
    """(name, target or state) to (seconds after M, value)."""
    found: dict[tuple[str, str], list[tuple[int, float]]] = {}
    for one in WriteRequest.FromString(encode(points)).timeseries:
        told = {label.name: label.value for label in one.labels}
        name = told.pop("__name__").removeprefix("pantau_settled_")
        assert told.pop("link") == "l1" and told.pop("node") == "n1"
        assert told.pop("region") == "jabar"
        ((_, value),) = told.items()
        found[name, value] = [(s.timestamp - M * 1000, s.value) for s in one.samples]
    return found


def test_a_train_is_one_point_of_what_was_measured_at_its_newest_packet() -> None:
    rows = [
        TrainRow("hub", (M + 59) * 10**9 + 5_999_999, 60, 30, 20, 10, math.inf, math.inf),
        TrainRow("gw", (M + 59) * 10**9, 60, 0, None, None, 20_000_000.0, 31_000_000.0),
        TrainRow("made-up", (M + 59) * 10**9, 60, 0, None, None, 1.0, 1.0),
    ]
    assert read(list(SERIES.packets(rows))) == {
        ("packets_sent", "hub"): [(59_005, 60)],
        ("packets_lost", "hub"): [(59_005, 30)],
        ("packets_lost_forward", "hub"): [(59_005, 20)],
        ("packets_lost_reverse", "hub"): [(59_005, 10)],
        ("rtt_median_seconds", "hub"): [(59_005, math.inf)],
        ("rtt_p95_seconds", "hub"): [(59_005, math.inf)],
        ("packets_sent", "gw"): [(59_000, 60)],
        ("packets_lost", "gw"): [(59_000, 0)],
        ("rtt_median_seconds", "gw"): [(59_000, 0.02)],
        ("rtt_p95_seconds", "gw"): [(59_000, 0.031)],
    }


def test_states_share_out_each_minute() -> None:
    intervals = [
        Interval(M + 10, M + 70, State.UP),
        Interval(M + 70, M + 85, State.DOWN),
        Interval(M + 85, M + 120, State.UNKNOWN),
    ]
    assert read(list(SERIES.states(intervals))) == {
        ("state_seconds", "up"): [(59_999, 50), (119_999, 10)],
        ("state_seconds", "degraded"): [(59_999, 0), (119_999, 0)],
        ("state_seconds", "down"): [(59_999, 0), (119_999, 15)],
        ("state_seconds", "unknown"): [(59_999, 0), (119_999, 35)],
    }


@given(st.lists(st.tuples(st.integers(1, 400), st.sampled_from(State)), max_size=20))
def test_the_seconds_of_all_minutes_are_those_of_the_intervals(
    parts: list[tuple[int, State]],
) -> None:
    at, intervals = M, []
    for length, state in parts:
        intervals.append(Interval(at, at + length, state))
        at += length
    told = read(list(SERIES.states(intervals)))
    for state in State:
        expected = sum(length for length, one in parts if one is state)
        assert sum(value for _, value in told.get(("state_seconds", state), [])) == expected


def test_every_family_says_its_labels() -> None:
    assert set(LABELS) == set(FAMILIES)
    assert all(family.name.startswith("pantau_settled_") for family in FAMILIES)


@given(st.integers(0, 10**6), st.integers(1, 10**6))
def test_minutes_that_a_span_touches_hold_it(start: int, length: int) -> None:
    span = Span(start, start + length)
    whole = whole_minutes(span)
    assert whole.start_s <= span.start_s < whole.start_s + 60
    assert whole.end_s - 60 < span.end_s <= whole.end_s
    assert whole.start_s % 60 == whole.end_s % 60 == 0


@given(st.integers(0, 100), st.integers(1, 500), st.integers(1, 10_000))
def test_chunks_follow_one_another(start: int, minutes: int, most: int) -> None:
    span = Span(start * 60, (start + minutes) * 60)
    parts = chunks(span, most)
    assert [parts[0].start_s, *(one.end_s for one in parts)] == [
        *(one.start_s for one in parts),
        span.end_s,
    ]
    assert all(0 < one.length_s <= max(most, 60) and one.length_s % 60 == 0 for one in parts)


def test_age_splits() -> None:
    points = [Point(b"", at, 0) for at in (1, 5, 9)]
    assert split(points, 5) == (points[1:], 1)
