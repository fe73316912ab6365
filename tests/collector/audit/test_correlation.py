"""Many links in the same seconds, in any order; and what holds whatever the evidence."""

import itertools
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.audit.attribution import attribute
from collector.audit.correlation import EventKind, Observed, correlate, observe
from collector.audit.evidence import Evidence, MainsSample, Span, Window
from collector.audit.intervals import Interval, Run, check_whole
from collector.audit.rules import Party, PowerProof, Terms
from collector.audit.states import Charge, State
from collector.audit.strip import Mark, Strip
from collector.audit.why import Clause, clause, parts, sentence
from tests.collector.audit.scene import UP, cpe, life, shows


def observed(link: str, *runs: Run, pop: str = "X", power: tuple[Span, ...] = ()) -> Observed:
    whole = (Span(runs[0].start_s, runs[-1].end_s),)
    return Observed(link, pop, runs, (), (), True, power, whole)


def went_down(link: str, at_s: int, *, pop: str = "X") -> Observed:
    return observed(
        link,
        Run(0, at_s, State.UP),
        Run(at_s, at_s + 300, State.DOWN),
        Run(at_s + 300, 9_000, State.UP),
        pop=pop,
    )


def fine(link: str, *, pop: str = "X") -> Observed:
    return observed(link, Run(0, 9_000, State.UP), pop=pop)


@pytest.mark.parametrize(
    ("down_at", "others", "members"),
    [
        ((1000, 1010, 1060), 0, [3]),
        ((1000, 1010, 1061), 0, []),
        ((1000, 1000), 0, []),
        ((1000, 1000, 1000), 7, [3]),
        ((1000, 1000, 1000), 8, []),
        ((1000, 1058, 1059, 1060, 1061), 0, [5]),
        ((1000, 1000, 1000, 3000, 3000, 3000), 0, [3, 3]),
    ],
)
def test_a_core_event_needs_three_and_thirty_percent_within_a_minute(
    down_at: tuple[int, ...], others: int, members: list[int]
) -> None:
    links = [went_down(f"l{k}", at_s) for k, at_s in enumerate(down_at)]
    joined = correlate([*links, *(fine(f"p{k}") for k in range(others))])
    assert [len(event.members) for event in joined.events()] == members


@pytest.mark.parametrize(("gateway", "members"), [(Mark.OK, 3), (Mark.LOST, 0), (Mark.NONE, 3)])
def test_a_site_that_lost_its_own_cpe_is_no_part_of_a_core_event(
    gateway: Mark, members: int
) -> None:
    """A cable pulled out at one site and a router restarted at another say nothing of the PoP."""
    marks = [shows(Mark.LOST, Mark.LOST, Mark.LOST, one, Mark.OK) for one in (Mark.OK, gateway)]
    links = []
    for k, code in enumerate((marks[0], marks[1], marks[0])):
        seconds = np.array([UP] * 300 + [code] * 60 + [UP] * 300, np.uint16)
        evidence = Evidence(link=f"l{k}", pop="X", strip=Strip.of_seconds(0, seconds))
        runs = (Run(0, 300, State.UP), Run(300, 360, State.DOWN), Run(360, 660, State.UP))
        links.append(observe(evidence, runs))
    assert [len(event.members) for event in correlate(links).events()] == [members] * bool(members)


def test_links_of_another_pop_do_not_make_an_event() -> None:
    links = [went_down(f"l{k}", 1000, pop=f"P{k}") for k in range(5)]
    assert correlate(links).events() == ()


def test_links_of_which_nothing_is_known_dilute_nothing() -> None:
    links = [went_down(f"l{k}", 1000) for k in range(3)]
    dark = [observed(f"d{k}", Run(0, 9_000, State.UNKNOWN)) for k in range(50)]
    (event,) = correlate([*links, *dark]).events()
    assert (event.kind, event.observed) == (EventKind.CORE, 3)


def test_peers_are_counted_as_they_were_when_the_run_began() -> None:
    links = [went_down("l0", 1000), went_down("l1", 1050), fine("l2"), fine("l3")]
    links.append(observed("l4", Run(0, 9_000, State.UNKNOWN)))
    peers = correlate(links).context("l0").peers
    assert peers is not None
    assert (peers[1000].fine, peers[1000].observed) == (2, 3)


def test_the_name_of_an_event_is_its_kind_pop_and_start() -> None:
    names = {
        event.name
        for pop, at_s in (("X", 1000), ("Y", 1000), ("X", 2000))
        for event in correlate([went_down(f"l{k}", at_s, pop=pop) for k in range(3)]).events()
    }
    assert len(names) == 3


# --- whatever the evidence --------------------------------------------------------------------

CODES = st.integers(0, 4095)
STATES = st.sampled_from([State.UP, State.DOWN, State.UNKNOWN])
TERMS = st.builds(
    Terms,
    cpe_owner=st.sampled_from(Party),
    site_power_excluded=st.booleans(),
    site_power_proofs=st.sets(st.sampled_from(PowerProof)).map(lambda s: tuple(sorted(s))),
    internet=st.booleans(),
)


UPTIMES = st.one_of(st.none(), st.integers(0, 2_000))


@st.composite
def evidences(draw: st.DrawFn, link: str) -> tuple[Evidence, tuple[Run, ...]]:
    pieces = draw(st.lists(st.tuples(st.integers(1, 90), CODES), min_size=1, max_size=8))
    seconds = np.concatenate([np.full(n, code, np.uint16) for n, code in pieces])
    whole = len(seconds)
    cuts = sorted(draw(st.sets(st.integers(1, whole), max_size=5)) | {0, whole})
    runs = tuple(Run(a, b, draw(STATES)) for a, b in itertools.pairwise(cuts))
    moments = st.integers(-100, whole + 400)
    lives, at = [], -1_000
    for k, last_s in enumerate(sorted(draw(st.sets(st.integers(0, whole), max_size=4)))):
        boot = draw(st.sampled_from("AB"))
        lives.append(life(at, last_s, f"{boot}{k // 2}", at - draw(st.integers(0, 90))))
        at = last_s + draw(st.integers(1, 60))
    device = sorted(
        cpe(
            at_s,
            draw(st.one_of(st.none(), st.integers(0, 2_000))),
            octets=draw(st.integers(0, 10**8)),
        )
        for at_s in draw(st.sets(moments, max_size=4))
    )
    mains = tuple(
        MainsSample(at_s, draw(st.sampled_from([True, False, None])))
        for at_s in sorted(draw(st.sets(moments, max_size=3)))
    )
    off = tuple(Span(at_s, at_s + 40) for at_s in draw(st.sets(moments, max_size=1)))
    return (
        Evidence(
            link=link,
            pop=draw(st.sampled_from("XY")),
            strip=Strip.of_seconds(0, seconds),
            lives=tuple(lives),
            device=tuple(device),
            mains=mains,
            hub_off=off,
        ),
        runs,
    )


@settings(max_examples=60, deadline=None)
@given(st.data(), TERMS, st.randoms(use_true_random=False))
def test_intervals_are_whole_charged_by_two_and_the_same_in_any_order_of_links(
    data: st.DataObject, terms: Terms, chance: random.Random
) -> None:
    links = [data.draw(evidences(f"l{k}")) for k in range(4)]
    windows = [Window(20, 70, "1 x", "planned"), Window(90, 95, "2", "emergency")]

    def judged(order: list[tuple[Evidence, tuple[Run, ...]]]) -> dict[str, tuple[Interval, ...]]:
        joined = correlate([observe(evidence, runs) for evidence, runs in order])
        return {
            evidence.link: attribute(evidence, runs, terms, joined.context(evidence.link, windows))
            for evidence, runs in order
        }

    found = judged(links)
    shuffled = list(links)
    chance.shuffle(shuffled)
    assert judged(shuffled) == found
    for evidence, runs in links:
        intervals = found[evidence.link]
        check_whole(intervals, runs[0].start_s, runs[-1].end_s)
        for one in intervals:
            if one.charge in (Charge.PROVIDER, Charge.EXCLUDED):
                assert len(set(one.witnesses)) >= 2
            if one.charge is Charge.PROVIDER:
                assert one.state is State.DOWN
            if one.charge is Charge.NONE:
                assert one.state is State.UP
            if one.state in (State.DOWN, State.UNKNOWN):
                assert one.charge is not Charge.NONE
                assert one.why
            sentence(one.why)


def test_clauses_come_back_with_their_facts_and_refuse_others() -> None:
    said = clause(Clause.MAINTENANCE, window="a b;=c", kind="planned")
    assert parts(said) == [(Clause.MAINTENANCE, {"window": "a_b__c", "kind": "planned"})]
    assert sentence("") == ""
    with pytest.raises(ValueError, match="MAINTENANCE: facts"):
        clause(Clause.MAINTENANCE, window="1")
    with pytest.raises(ValueError, match="no clause: 'anything'"):
        parts("anything")


def test_no_two_clauses_are_one() -> None:
    assert len(Clause) == len(Clause.__members__)
