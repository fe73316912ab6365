"""Pure parts of the audit: TIPHON, delay variation, reconciliation, restitution of a node."""

import math
from fractions import Fraction

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.answers import MonthAnswer
from collector.audit import availability as arithmetic
from collector.audit.availability import Deciding, Judgement, Tally
from collector.audit.delays import DelayClause
from collector.audit.evidence import Span
from collector.audit.histogram import Histogram, of_ns
from collector.audit.intervals import Edge, Interval, Outage
from collector.audit.states import Cause, Charge, State
from collector.audit.variation import total, variation
from collector.ledger.outages import Kept, Lane
from collector.report.money import owed
from collector.report.reconcile import reconcile, totals
from collector.report.tiphon import tiphon
from collector.restitution import Restitution, Rule
from collector.tickets import Ticket
from tests.collector.contract_kit import contract
from tests.collector.report.scene import JUNE, MONTH


@pytest.mark.parametrize(
    ("delay_s", "jitter_s", "loss", "share", "indices", "index", "word"),
    [
        # V6.1, range reading, and V6.2 of the methodology
        (0.030, 0.008, 0.004, 0.96, (4, 3, 4, 4), 3.75, "satisfying"),
        (0.140, 0.060, 0.029, 0.51, (4, 3, 4, 3), 3.5, "satisfying"),
        (0.149, 0.0, 0.0, 1.0, (4, 4, 4, 4), 4.0, "very_satisfying"),
        (0.300, 0.075, 0.03, 0.75, (2, 3, 3, 3), 2.75, "less_satisfying"),
        (0.450, 0.125, 0.15, 0.5, (2, 2, 2, 2), 2.0, "less_satisfying"),
        (0.451, 0.126, 0.25, 0.25, (1, 1, 1, 1), 1.0, "poor"),
    ],
)
def test_tiphon(
    delay_s: float,
    jitter_s: float,
    loss: float,
    share: float,
    indices: tuple[int, ...],
    index: float,
    word: str,
) -> None:
    one = tiphon(delay_s, jitter_s, loss, share)
    told = (one.delay_index, one.jitter_index, one.loss_index, one.throughput_index)
    assert (told, one.index, one.word) == (indices, index, word)


def test_tiphon_of_what_was_not_measured_is_no_index() -> None:
    one = tiphon(0.03, 0.008, 0.004, None)
    assert (one.delay_index, one.throughput_index, one.index, one.word) == (4, None, None, None)


# --- delay variation ----------------------------------------------------------------------


@given(st.lists(st.integers(1, 2_000_000_000), min_size=1, max_size=60), st.floats(0.01, 1))
def test_the_true_variation_lies_within_its_bounds(rtts: list[int], share: float) -> None:
    least = min(rtts)
    true = sorted((one - least) / 1e9 for one in rtts)
    exact = true[max(1, math.ceil(share * len(true) - 1e-9)) - 1]
    found = variation(of_ns(rtts)).percentile(share)
    assert found is not None
    assert found.low_s <= exact <= found.high_s


def test_v3_3_variation_is_over_each_batchs_own_minimum() -> None:
    # RFC 5481 figure 1: D = 20 10 20 25 20 ms has PDV 10 0 10 15 10.
    first = variation(of_ns([one * 1_000_000 for one in (20, 10, 20, 25, 20)]))
    second = variation(of_ns([one * 1_000_000 for one in (120, 110, 120, 125, 120)], lost=3))
    both = total([first, second]).percentile(0.5)
    assert both is not None
    assert both.low_s < 0.010 <= both.high_s
    assert sum(total([first, second]).most.values()) == 10
    assert variation(Histogram({}, 5)).percentile(0.5) is None


def test_a_limit_within_the_bounds_decides_nothing() -> None:
    found = variation(of_ns([10_000_000, 20_000_000])).percentile(1.0)
    assert found is not None
    judged = [
        DelayClause(1.0, found, limit).judgement
        for limit in (found.high_s, 0.010, found.low_s, None)
    ]
    assert judged == [Judgement.MET, Judgement.INDETERMINATE, Judgement.BREACHED, None]
    assert DelayClause(1.0, None, 0.01).judgement is Judgement.INDETERMINATE


# --- tickets ------------------------------------------------------------------------------


def kept(number: int, start_s: int, end_s: int | None, state: State = State.DOWN) -> Kept:
    outage = Outage(
        link="l1",
        start=Edge(start_s, start_s, start_s),
        end=None if end_s is None else Edge(end_s, end_s, end_s),
        state=state,
        cause=Cause.ACCESS_LINK,
        charge=Charge.PROVIDER,
        witnesses=(),
        why="",
        event=None,
        settled=True,
    )
    return Kept(number, 1, Lane.EVIDENCE, 0, False, outage)


def ticket(name: str, start_s: int, end_s: int | None) -> Ticket:
    return Ticket("P", name, "l1", start_s, end_s, "putus")


def test_outages_and_tickets_are_matched_by_their_times() -> None:
    found = reconcile(
        [kept(1, 1_000, 4_000), kept(2, 50_000, 52_000), kept(3, 90_000, 90_100)],
        [ticket("A", 1_200, 4_300), ticket("B", 50_000, 53_000), ticket("C", 70_000, 71_000)],
        100_000,
    )
    told = [(one.kind, one.outage, one.ticket, one.start_differs_s, one.end_differs_s)
            for one in found]  # fmt: skip
    assert told == [
        ("matched", 1, "A", 200, 300),
        ("edges_differ", 2, "B", 0, 1_000),
        ("only_theirs", None, "C", None, None),
        ("only_ours", 3, None, None, None),
    ]
    counted = totals([found], 300)
    assert (counted.matched, counted.edges_differ, counted.only_ours, counted.only_theirs) == (
        1, 1, 1, 1,
    )  # fmt: skip


def test_a_flapping_link_with_one_ticket_is_one_case() -> None:
    flaps = [kept(k, 1_000 + 600 * k, 1_300 + 600 * k) for k in range(5)]
    found = reconcile(flaps, [ticket("A", 1_000, 3_700)], 100_000)
    assert [one.case for one in found] == [1] * 5
    assert [one.ticket for one in found] == ["A", None, None, None, None]
    assert (found[0].kind, found[0].start_differs_s, found[0].end_differs_s) == ("matched", 0, 0)
    assert totals([found], 300).matched == 1


def test_two_tickets_over_one_outage_are_one_case() -> None:
    found = reconcile(
        [kept(1, 1_000, 9_000)], [ticket("A", 1_000, 4_000), ticket("B", 5_000, 9_100)], 100_000
    )
    assert [(one.case, one.kind, one.outage, one.ticket) for one in found] == [
        (1, "matched", 1, "A"),
        (1, "matched", None, "B"),
    ]


def test_what_lasts_on_one_side_only_differs() -> None:
    (open_both,) = reconcile([kept(1, 1_000, None)], [ticket("A", 1_000, None)], 5_000)
    (open_ours,) = reconcile([kept(1, 1_000, None)], [ticket("A", 1_000, 4_000)], 5_000)
    assert (open_both.kind, open_ours.kind) == ("matched", "edges_differ")
    assert open_ours.end_differs_s is None


def test_a_silence_counts_only_where_the_provider_had_an_outage() -> None:
    silence = kept(1, 1_000, 4_000, State.UNKNOWN)
    assert reconcile([silence], [], 5_000) == ()
    (one,) = reconcile([silence], [ticket("A", 1_000, 4_000)], 5_000)
    assert (one.kind, one.outage) == ("matched", 1)


# --- rule PALAPA --------------------------------------------------------------------------


def answer(*intervals: Interval) -> MonthAnswer:
    terms = contract(restitution=Restitution(rule=Rule.PALAPA), fee_rupiah=2_592_000)
    tally = Tally.of(intervals, JUNE)
    found = arithmetic.availability(tally, terms.terms())
    return MonthAnswer(
        link="l1",
        month=MONTH,
        contract=terms,
        period=JUNE,
        found=found,
        seconds=tally.seconds,
        deciding=Deciding((), ()),
        budget=found.budget,
        flapping=(),
        judged_until_s=JUNE.end_s,
        complete=True,
    )


def lived(*cuts: tuple[int, int, State]) -> list[Interval]:
    found, at_s = [], JUNE.start_s
    for start_s, end_s, state in cuts:
        charge = Charge.PROVIDER if state is State.DOWN else Charge.UNKNOWN
        found.append(Interval(at_s, JUNE.start_s + start_s, State.UP))
        found.append(
            Interval(JUNE.start_s + start_s, JUNE.start_s + end_s, state, Cause.ACCESS_LINK, charge)
        )
        at_s = JUNE.start_s + end_s
    return [*found, Interval(at_s, JUNE.end_s, State.UP)]


def test_palapa_pays_only_where_all_paths_of_the_node_were_down() -> None:
    own = answer(*lived((100_000, 200_000, State.DOWN)))
    half = lived((150_000, 250_000, State.DOWN))
    silent = lived((150_000, 250_000, State.UNKNOWN))
    assert owed(own, [half]) == (50_000, 50_000)
    assert owed(own, [lived()]) == (0, 0)
    assert owed(own, [half, lived()]) == (0, 0)
    # Nobody knows whether the other path was down: nothing is due yet, and 50,000 at most.
    assert owed(own, [silent]) == (0, 50_000)
    assert owed(own) == (100_000, 100_000)


def test_the_bound_joins_unknown_time_to_the_outage_beside_it() -> None:
    cut = lived((1_000, 1_200, State.DOWN), (1_200, 1_400, State.UNKNOWN))
    terms = contract(restitution=Restitution(rule=Rule.ESJ300), fee_rupiah=2_592_000)
    one = answer(*cut)._replace(contract=terms)
    # 200 s alone are below the floor of 300 s; 400 s are not.
    assert owed(one) == (0, 400)


def test_a_part_of_a_month_has_its_part_of_the_fee() -> None:
    from collector.report.money import restitution

    one = answer(*lived())
    half = one._replace(period=Span(JUNE.start_s, JUNE.start_s + 15 * 86_400))
    assert restitution(half).fee_part_rupiah == 1_296_000
    assert Fraction(msgspec.structs.asdict(restitution(one))["exact"]) == 0
