import itertools
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.audit.availability import (
    Availability,
    Deciding,
    Judgement,
    Tally,
    availability,
    deciding,
    join,
)
from collector.audit.calendar import DAY_S
from collector.audit.evidence import Span
from collector.audit.intervals import Interval
from collector.audit.rules import Terms
from collector.audit.states import Charge, State
from tests.collector.audit.kit import START_S, intervals_of, seen_of

TERMS = Terms()
STATES = {
    Charge.NONE: State.UP,
    Charge.PROVIDER: State.DOWN,
    Charge.EXCLUDED: State.DOWN,
    Charge.UNKNOWN: State.UNKNOWN,
}


def spelled(*parts: tuple[Charge, int]) -> tuple[Interval, ...]:
    """Intervals of these charges and lengths, from 0 on."""
    edges = list(itertools.accumulate((length for _, length in parts), initial=0))
    return tuple(
        Interval(low, high, STATES[charge], charge=charge)
        for (charge, _), (low, high) in zip(parts, itertools.pairwise(edges), strict=True)
        if low < high
    )


def judged(*parts: tuple[Charge, int], terms: Terms = TERMS) -> Availability:
    whole = Span(0, sum(length for _, length in parts))
    return availability(Tally.of(spelled(*parts), whole), terms)


def month(*, excluded: int = 0, unknown: int = 0, down: int, days: int = 30) -> Availability:
    up = days * DAY_S - excluded - unknown - down
    return judged(
        (Charge.NONE, up // 2),
        (Charge.EXCLUDED, excluded),
        (Charge.UNKNOWN, unknown),
        (Charge.NONE, up - up // 2),
        (Charge.PROVIDER, down),
    )


@pytest.mark.parametrize(
    ("unknown", "down", "lower", "point", "upper", "judgement"),
    [
        (5_400, 11_700, 0.9933844, 0.9954641, 0.9954735, Judgement.INDETERMINATE),
        (5_400, 14_400, 0.9923398, None, 0.9944290, Judgement.BREACHED),
        (10_800, 10_000, 0.9919530, 0.9961150, 0.9961312, Judgement.INDETERMINATE),
        (0, 10_000, 0.9961312, 0.9961312, 0.9961312, Judgement.MET),
    ],
)
def test_vector_1_2(
    unknown: int,
    down: int,
    lower: float,
    point: float | None,
    upper: float,
    judgement: Judgement,
) -> None:
    found = month(excluded=7_200, unknown=unknown, down=down)
    assert found.counted_s == 2_584_800
    assert found.lower is not None and found.upper is not None and found.point is not None
    assert float(found.lower) == pytest.approx(lower, abs=5e-8)
    assert float(found.upper) == pytest.approx(upper, abs=5e-8)
    if point is not None:
        assert float(found.point) == pytest.approx(point, abs=5e-8)
    assert found.judgement is judgement


def test_vector_1_2_is_likely_met_by_its_coverage() -> None:
    found = month(excluded=7_200, unknown=5_400, down=11_700)
    assert found.coverage is not None
    assert float(found.coverage) == pytest.approx(0.997911, abs=5e-7)
    assert found.likely_met
    assert not month(unknown=60_000, down=1_000).likely_met


@pytest.mark.parametrize(
    ("days", "target", "budget_s"),
    [
        (30, 0.999, 2_592),
        (30, 0.995, 12_960),
        (30, 0.99, 25_920),
        (30, 0.95, 129_600),
        (31, 0.995, 13_392),
        (28, 0.995, 12_096),
    ],
)
def test_the_budget_table(days: int, target: float, budget_s: int) -> None:
    terms = Terms(availability_target=target)
    found = judged((Charge.NONE, days * DAY_S), terms=terms)
    assert found.budget.whole_s == budget_s
    assert found.budget.left_s == budget_s
    # at the budget's last second the promise is kept, one second more breaks it
    for down, judgement in ((budget_s, Judgement.MET), (budget_s + 1, Judgement.BREACHED)):
        used = judged((Charge.PROVIDER, down), (Charge.NONE, days * DAY_S - down), terms=terms)
        assert used.judgement is judgement
        assert used.budget.left_s == budget_s - down


def test_the_budget_knows_what_may_yet_be_used() -> None:
    found = month(unknown=600, down=1_000).budget
    assert (found.whole_s, found.used_s, found.left_s) == (12_960, 1_000, 11_960)
    assert found.left_at_worst_s == 11_360


def gapped(*lengths: int, days: int = 30) -> list[tuple[Charge, int]]:
    """Outages of these lengths, apart."""
    parts = [part for length in lengths for part in ((Charge.NONE, 100), (Charge.PROVIDER, length))]
    return [*parts, (Charge.NONE, days * DAY_S - sum(length for _, length in parts))]


def test_vector_1_4() -> None:
    lengths = (600, 45, 3_600, 1_200, 250)
    found = judged(*gapped(*lengths))
    assert found.charged_s == 5_695
    assert found.mean_to_restore_s == 1_139
    assert found.mean_between_s == 517_261
    assert found.longest_s == 3_600
    assert found.edge_error_s == 5
    assert found.point == 1 - Fraction(5_695, 2_592_000)
    assert float(found.point) == pytest.approx(0.9978029, abs=5e-8)
    # more than 300 s, and more than 60 s
    for least_s, counted in ((301, 5_400), (61, 5_650)):
        some = judged(*gapped(*lengths), terms=Terms(minimum_outage_s=least_s))
        assert some.charged_s == counted
        assert some.uncounted_s == 5_695 - counted
        assert some.up_s == 2_592_000 - counted


def test_the_mean_times_give_the_point_again() -> None:
    found = month(unknown=5_000, down=4_000)
    between, restore = found.mean_between_s, found.mean_to_restore_s
    assert between is not None and restore is not None
    assert between / (between + restore) == found.point


def test_where_all_is_excluded_nothing_is_said() -> None:
    found = judged((Charge.EXCLUDED, 500))
    assert (found.lower, found.point, found.upper, found.coverage) == (None, None, None, None)
    assert found.judgement is Judgement.INDETERMINATE
    assert not found.likely_met
    assert deciding(found) == Deciding((), ())


def test_where_nothing_is_known_the_bounds_are_all_there_is() -> None:
    found = judged((Charge.UNKNOWN, 500))
    assert (found.lower, found.point, found.upper, found.coverage) == (0, None, 1, 0)
    assert found.mean_to_restore_s is None
    assert found.longest_s is None


# --- the month's edges


def test_an_outage_over_the_months_end_is_in_both_and_begins_once() -> None:
    intervals = spelled((Charge.NONE, 900), (Charge.PROVIDER, 400), (Charge.NONE, 700))
    first = availability(Tally.of(intervals, Span(0, 1_000)), TERMS)
    second = availability(Tally.of(intervals, Span(1_000, 2_000)), TERMS)
    assert (first.charged_s, second.charged_s) == (100, 300)
    assert (first.began, second.began) == (1, 0)
    assert first.outages == second.outages == (Span(900, 1_300),)
    assert first.longest_s == second.longest_s == 400


def test_a_minimum_holds_for_the_whole_outage_not_for_its_part_in_the_month() -> None:
    intervals = spelled((Charge.NONE, 900), (Charge.PROVIDER, 400), (Charge.NONE, 700))
    for least_s, charged_s in ((400, 100), (401, 0)):
        terms = Terms(minimum_outage_s=least_s)
        found = availability(Tally.of(intervals, Span(0, 1_000)), terms)
        assert (found.charged_s, found.uncounted_s) == (charged_s, 100 - charged_s)


def test_what_lies_ahead_of_a_month_is_unknown() -> None:
    whole = Span(0, 30 * DAY_S)
    tally = Tally.of(spelled((Charge.NONE, DAY_S), (Charge.PROVIDER, 600)), Span(0, DAY_S + 600))
    found = availability(tally, TERMS, whole)
    assert found.judgement is Judgement.INDETERMINATE
    assert found.unknown == (Span(DAY_S + 600, 30 * DAY_S),)
    assert (found.budget.whole_s, found.budget.left_s) == (12_960, 12_360)
    assert availability(tally, TERMS).budget.whole_s == Fraction(5, 1_000) * (DAY_S + 600)
    # overdrawn is breached, whatever may come
    late = Tally.of(spelled((Charge.PROVIDER, 12_961)), Span(0, 12_961))
    assert availability(late, TERMS, whole).judgement is Judgement.BREACHED
    with pytest.raises(ValueError, match="is not the beginning of"):
        availability(tally, TERMS, Span(0, DAY_S))


# --- what decides


def test_the_longest_unknown_stretches_decide() -> None:
    parts = ((Charge.UNKNOWN, 3_000), (Charge.NONE, 100), (Charge.UNKNOWN, 9_000))
    parts += ((Charge.NONE, 100), (Charge.UNKNOWN, 2_000), (Charge.PROVIDER, 3_000))
    found = judged(*parts, (Charge.NONE, 30 * DAY_S - 17_200))
    assert found.judgement is Judgement.INDETERMINATE
    assert found.budget.left_s == 9_960
    named = deciding(found)
    assert named.to_breach == (Span(3_100, 12_100), Span(0, 3_000))
    assert named.to_meet == (Span(3_100, 12_100),)
    assert deciding(month(down=0)) == Deciding((), ())


PARTS = st.lists(st.tuples(st.sampled_from(Charge), st.integers(1, 40)), min_size=1, max_size=25)


@given(PARTS, st.sampled_from([0.5, 0.8, 0.9, 0.995]))
def test_deciding_stretches_do_decide_and_none_is_spare(
    parts: list[tuple[Charge, int]], target: float
) -> None:
    terms = Terms(availability_target=target)
    found = judged(*parts, terms=terms)
    if found.judgement is not Judgement.INDETERMINATE or not found.counted_s:
        return

    def turned(spans: tuple[Span, ...], charge: Charge) -> Judgement:
        intervals = tuple(
            one._replace(charge=charge)
            if any(Span(one.start_s, one.end_s).overlap_s(span) for span in spans)
            else one
            for one in spelled(*parts)
        )
        return availability(Tally.of(intervals, found.span), terms).judgement

    named = deciding(found)
    assert turned(named.to_breach, Charge.PROVIDER) is Judgement.BREACHED
    assert turned(named.to_meet, Charge.NONE) is Judgement.MET
    assert turned(named.to_breach[:-1], Charge.PROVIDER) is Judgement.INDETERMINATE
    assert turned(named.to_meet[:-1], Charge.NONE) is Judgement.INDETERMINATE


# --- tallies


@given(PARTS, st.lists(st.integers(0, 1_000), max_size=6), st.integers(0, 60))
def test_tallies_of_parts_join_to_that_of_the_whole(
    parts: list[tuple[Charge, int]], cuts: list[int], margin: int
) -> None:
    intervals = spelled(*parts)
    length = intervals[-1].end_s
    whole = Tally.of(intervals, Span(0, length))
    edges = sorted({0, length, *(min(cut, length) for cut in cuts)})
    tallies = []
    for low, high in itertools.pairwise(edges):
        near = Span(max(0, low - margin), min(length, high + margin))
        around = tuple(
            one._replace(start_s=max(one.start_s, near.start_s), end_s=min(one.end_s, near.end_s))
            for one in intervals
            if near.overlap_s(Span(one.start_s, one.end_s))
        )
        tallies.append(Tally.of(around, Span(low, high)))
    assert join(tallies) == whole
    assert sum(whole.seconds.values()) == length


@given(st.lists(st.tuples(st.sampled_from("+-."), st.integers(1, 20)), min_size=1, max_size=20))
def test_the_terms_add_up_and_the_bounds_hold_the_point(letters: list[tuple[str, int]]) -> None:
    text = "".join(one * many for one, many in letters)
    tally = Tally.of(intervals_of(seen_of(text)), Span(START_S, START_S + len(text)))
    found = availability(tally, TERMS)
    assert found.up_s + found.charged_s + found.unknown_s + found.excluded_s == len(text)
    assert found.lower is not None and found.upper is not None
    assert found.lower <= (found.lower if found.point is None else found.point) <= found.upper


@pytest.mark.parametrize(
    ("intervals", "message"),
    [
        ((), "begin after the period's beginning 0"),
        ((Interval(5, 10, State.UP),), "begin after the period's beginning 0"),
        ((Interval(0, 9, State.UP),), "end before the period's end 10"),
        ((Interval(0, 4, State.UP), Interval(5, 10, State.UP)), "ends at 4, next begins at 5"),
    ],
)
def test_intervals_that_do_not_hold_the_period_are_refused(
    intervals: tuple[Interval, ...], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        Tally.of(intervals, Span(0, 10))


def test_tallies_with_a_hole_between_them_do_not_join() -> None:
    parts = [Tally.of((Interval(low, 20, State.UP),), Span(low, low + 5)) for low in (0, 10)]
    with pytest.raises(ValueError, match="tally ends at 5, the next begins at 10"):
        join(parts)
