import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.audit.calendar import Month, Zone
from collector.audit.evidence import Evidence, Life, Span
from collector.audit.intervals import Edge, Interval, Outage
from collector.audit.outages import (
    IN_MEMORY_S,
    Clock,
    Flapping,
    Limits,
    Witness,
    began_within,
    drift_s,
    flapping,
    outages,
)
from collector.audit.states import Cause, Charge, EvidenceClass, State
from collector.audit.strip import Mark, Strip, View, pack
from collector.audit.timeline import showing
from tests.collector.audit.kit import START_S, TEN, intervals_of, seen_of, strip_of


def evidence_of(
    text: str,
    *,
    start_s: int = START_S,
    error_s: float | None = None,
    settled_until_s: int | None = None,
) -> Evidence:
    end_s = start_s + len(text)
    lives = () if error_s is None else (Life("e", "b", 0.0, start_s, end_s, False, error_s),)
    return Evidence(
        link="desa-1",
        pop="pop-1",
        strip=strip_of(text, start_s),
        lives=lives,
        settled_until_s=settled_until_s,
    )


def found_in(evidence: Evidence) -> tuple[Outage, ...]:
    seen = showing(evidence.strip)
    return outages(evidence, seen, intervals_of(seen), TEN)


def test_vector_1_5_has_both_edges_and_bounds() -> None:
    text = "+" * 100 + "-" * 12 + "+" * 20
    (outage,) = found_in(evidence_of(text, start_s=0))
    assert outage.state is State.DOWN
    assert outage.start == Edge(at_s=100, low_s=99, high_s=101)
    assert outage.end == Edge(at_s=112, low_s=111, high_s=113)
    limits = Witness(seen_of(text, 0)).limits(Span(100, 112), State.DOWN)
    assert limits == Limits(before=99, first=100, last=111, after=112)
    assert limits.length_bounds_s == (11, 13)


def test_vector_1_1_has_two_outages() -> None:
    text = "+" * 60 + "-" * 9 + "+" * 31 + "-" * 10 + "+" * 5 + "-" * 7 + "+" * 20
    found = found_in(evidence_of(text + "-" * 40 + "+" * 30, start_s=0))
    assert [(one.start.at_s, one.end and one.end.at_s) for one in found] == [(100, 122), (142, 182)]


def test_seconds_without_a_packet_widen_the_bounds() -> None:
    (outage,) = found_in(evidence_of("+" * 20 + ".." + "-" * 15 + "." + "+" * 20, start_s=0))
    assert outage.start == Edge(at_s=22, low_s=19, high_s=23)
    assert outage.end == Edge(at_s=37 + 1, low_s=36, high_s=39)


def test_an_outage_behind_a_silence_may_have_begun_in_it() -> None:
    silent, down = found_in(evidence_of("+" * 20 + "." * 30 + "-" * 15 + "+" * 20, start_s=0))
    assert silent.state is State.UNKNOWN
    assert silent.start == Edge(at_s=20, low_s=19, high_s=21 + IN_MEMORY_S)
    assert silent.end == Edge(at_s=50, low_s=49, high_s=51)
    assert down.start == Edge(at_s=50, low_s=19, high_s=51)


def test_a_moment_of_silence_is_no_outage() -> None:
    assert found_in(evidence_of("+" * 20 + "." * 9 + "+" * 20)) == ()
    assert len(found_in(evidence_of("+" * 20 + "." * 10 + "+" * 20))) == 1


def test_an_outage_lasts_while_nothing_tells_its_end() -> None:
    (outage,) = found_in(evidence_of("+" * 20 + "-" * 15, settled_until_s=START_S + 35))
    assert outage.end is None
    assert not outage.settled


def test_an_outage_at_the_beginning_of_all_that_is_known_begins_there() -> None:
    (outage,) = found_in(evidence_of("-" * 15 + "+" * 20, start_s=0))
    assert outage.start == Edge(at_s=0, low_s=0, high_s=0)


@pytest.mark.parametrize(("until", "settled"), [(None, False), (44, False), (45, True)])
def test_an_outage_is_settled_once_all_that_decided_its_end_is_here(
    until: int | None, settled: bool
) -> None:
    text = "+" * 20 + "-" * 15 + "+" * 20
    (outage,) = found_in(evidence_of(text, start_s=0, settled_until_s=until))
    assert outage.settled is settled


def test_the_clocks_error_widens_both_edges() -> None:
    (outage,) = found_in(evidence_of("+" * 20 + "-" * 15 + "+" * 20, start_s=0, error_s=0.25))
    assert outage.start == Edge(at_s=20, low_s=18.75, high_s=21.25)
    assert outage.end == Edge(at_s=35, low_s=33.75, high_s=36.25)


def test_vector_7_4_a_clock_drifts_while_the_hub_is_not_heard() -> None:
    assert drift_s(3_600) == pytest.approx(0.054)
    assert drift_s(86_400) == pytest.approx(1.296)
    by_anchor = pack({View.HUB: Mark.LOST, View.ANCHOR: Mark.OK})
    by_hub = pack({View.HUB: Mark.OK})
    codes = np.array([by_hub] * 10 + [by_anchor] * 7_200 + [by_hub] * 10, np.uint16)
    evidence = Evidence(
        link="desa-1",
        pop="pop-1",
        strip=Strip.of_seconds(0, codes),
        lives=(Life("e", "b", 0.0, 0.0, 7_220.0, False, 0.001),),
    )
    clock = Clock(evidence)
    assert clock.error_s(5) == 0.001
    assert clock.error_s(3_610) == pytest.approx(0.001 + 0.054)
    assert clock.error_s(7_210) == 0.001


def test_the_error_is_that_of_the_nearest_life() -> None:
    lives = tuple(Life("e", "b", 0.0, at, at + 10.0, False, at / 100) for at in (100.0, 200.0))
    clock = Clock(Evidence(link="l", pop="p", strip=Strip.nothing(0, 10), lives=lives))
    assert [clock.error_s(at) for at in (0, 105, 154, 156, 900)] == [1, 1, 1, 2, 2]


def down(start_s: int, end_s: int, cause: Cause, charge: Charge, why: str = "") -> Interval:
    return Interval(start_s, end_s, State.DOWN, cause, charge, (EvidenceClass.JOURNAL,), why)


def test_where_only_the_charge_changes_the_edge_is_sharp() -> None:
    evidence = evidence_of("+" * 20 + "-" * 40 + "+" * 20, start_s=0)
    intervals = (
        Interval(0, 20, State.UP),
        down(20, 30, Cause.ACCESS_LINK, Charge.PROVIDER),
        down(30, 50, Cause.MAINTENANCE, Charge.EXCLUDED),
        down(50, 60, Cause.ACCESS_LINK, Charge.PROVIDER),
        Interval(60, 80, State.UP),
    )
    found = outages(evidence, showing(evidence.strip), intervals, TEN)
    assert [one.charge for one in found] == [Charge.PROVIDER, Charge.EXCLUDED, Charge.PROVIDER]
    assert found[0].start == Edge(at_s=20, low_s=19, high_s=21)
    assert found[0].end == found[1].start == Edge(at_s=30, low_s=30, high_s=30)
    assert found[2].end == Edge(at_s=60, low_s=59, high_s=61)


def silent(start_s: int, end_s: int, cause: Cause) -> Interval:
    return Interval(start_s, end_s, State.UNKNOWN, cause, Charge.UNKNOWN)


def test_where_the_cause_of_a_silence_changes_the_edge_is_known_to_the_second() -> None:
    evidence = evidence_of("+" * 20 + "." * 60 + "+" * 20, start_s=0)
    intervals = (
        Interval(0, 20, State.UP),
        silent(20, 22, Cause.UNDETERMINED),
        silent(22, 60, Cause.SITE_POWER),
        silent(60, 80, Cause.UNDETERMINED),
        Interval(80, 100, State.UP),
    )
    power, starting = outages(evidence, showing(evidence.strip), intervals, TEN)
    # The box was there until second 21, and how much longer nobody knows.
    assert power.start == Edge(at_s=22, low_s=21, high_s=23 + IN_MEMORY_S)
    assert power.end == starting.start == Edge(at_s=60, low_s=59, high_s=61)
    assert starting.end == Edge(at_s=80, low_s=79, high_s=81)


def test_parts_of_one_cause_are_one_outage_told_by_its_longest() -> None:
    evidence = evidence_of("+" * 20 + "-" * 40 + "+" * 20, start_s=0)
    intervals = (
        Interval(0, 20, State.UP),
        down(20, 30, Cause.ACCESS_LINK, Charge.PROVIDER, "short"),
        down(30, 60, Cause.ACCESS_LINK, Charge.PROVIDER, "long"),
        Interval(60, 70, State.UP),
        Interval(70, 80, State.DEGRADED),
    )
    (outage,) = outages(evidence, showing(evidence.strip), intervals, TEN)
    assert (outage.start.at_s, outage.end and outage.end.at_s) == (20, 60)
    assert outage.why == "long"


def test_months_that_follow_one_another_hold_an_outage_once() -> None:
    november = Month(2026, 11, Zone.WIB)
    border = november.span.end_s
    found = found_in(evidence_of("+" * 50 + "-" * 40 + "+" * 50, start_s=border - 70))
    assert len(found) == 1
    assert found[0].start.at_s == border - 20
    assert began_within(found, november.span) == found
    assert began_within(found, november.next.span) == ()


STRETCH = st.tuples(st.sampled_from("+-."), st.integers(1, 25)).map(lambda one: one[0] * one[1])


@given(st.lists(STRETCH, max_size=20).map("".join))
def test_bounds_hold_their_edge_and_lengths_their_bounds(text: str) -> None:
    evidence = evidence_of(text, error_s=0.01)
    witness = Witness(showing(evidence.strip))
    for one in found_in(evidence):
        assert one.start.low_s <= one.start.at_s <= one.start.high_s
        if one.end is None:
            continue
        assert one.end.low_s <= one.end.at_s <= one.end.high_s
        span = Span(one.start.at_s, one.end.at_s)
        low, high = witness.limits(span, one.state).length_bounds_s
        assert low <= span.length_s <= high


def test_three_outages_within_an_hour_are_flapping() -> None:
    assert flapping([]) == ()
    assert flapping([0, 1_800, 3_601]) == ()
    assert flapping([3_600, 0, 1_800]) == (Flapping(0, 3_600, 3),)
    # those that share outages are one episode; those that do not are two
    assert flapping([0, 1_000, 2_000, 4_500, 9_000, 9_001, 9_002]) == (
        Flapping(0, 4_500, 4),
        Flapping(9_000, 9_002, 3),
    )
