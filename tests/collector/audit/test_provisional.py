"""What is said at once, what takes its place, and that nothing is ever edited."""

import random
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.audit.intervals import Edge, Outage
from collector.audit.provisional import Change, ChangeKind, Sight, revise, settles, step
from collector.audit.states import Cause, Charge, EvidenceClass, State
from collector.live import Known, LinkState, Reason, sight

SILENT = Known(LinkState.UNKNOWN, Reason.SILENT)
HEARD = Known(LinkState.UP, Reason.HEARD)
OUTSIDE = Known(LinkState.DOWN, Reason.OUTSIDE_LOSS)
FORWARD = Known(LinkState.DOWN, Reason.FORWARD_LOSS)
NEVER = Known(LinkState.UNKNOWN, Reason.NEVER_HEARD)


class Kept(NamedTuple):
    id: int
    withdrawn: bool
    outage: Outage


def edge(at_s: int) -> Edge:
    return Edge(at_s, at_s - 1.0, at_s + 1.0)


def outage(
    start_s: int, end_s: int | None, *, link: str = "l", cause: Cause = Cause.ACCESS_LINK
) -> Outage:
    return Outage(
        link=link,
        start=edge(start_s),
        end=None if end_s is None else edge(end_s),
        state=State.DOWN,
        cause=cause,
        charge=Charge.PROVIDER,
        witnesses=(EvidenceClass.NODE_PROBES, EvidenceClass.NODE_LAN),
        why="",
        event=None,
        settled=True,
    )


def watch(*looks: tuple[Known, float, float | None]) -> list[Outage | None]:
    """What lasts after each look; one that was closed does not."""
    current: Outage | None = None
    said = []
    for known, now_s, heard_ago_s in looks:
        current = step(current, sight("l", known, now_s, heard_ago_s))
        said.append(current)
        if current is not None and current.end is not None:
            current = None
    return said


def test_a_silence_opens_at_the_last_second_heard_and_ends_when_heard_again() -> None:
    none, opened, same, closed, after = watch(
        (HEARD, 100, 0.5),
        (SILENT, 106, 5.5),
        (SILENT, 107, 6.5),
        (HEARD, 160, 0.2),
        (HEARD, 161, 0),
    )
    assert none is None and after is None
    assert opened is not None and closed is not None
    assert (opened.start.at_s, opened.state, opened.end) == (100, State.UNKNOWN, None)
    assert (opened.charge, opened.settled) == (Charge.UNKNOWN, False)
    assert same == opened
    assert closed.end is not None and closed.end.at_s == 159
    assert closed.end.high_s == pytest.approx(159.8)


def test_the_first_witness_of_loss_makes_a_silence_down_and_it_stays_down() -> None:
    opened, down, still, closed = watch(
        (SILENT, 106, 5.5), (OUTSIDE, 115, 14.5), (SILENT, 130, 29.5), (HEARD, 200, 0)
    )
    assert [one and one.state for one in (opened, down, still, closed)] == [
        State.UNKNOWN,
        State.DOWN,
        State.DOWN,
        State.DOWN,
    ]
    assert down is not None and down.start == opened.start  # type: ignore[union-attr]
    assert down.witnesses == (EvidenceClass.HUB_SIDE,)


def test_loss_while_heard_began_at_most_a_window_ago() -> None:
    (opened,) = watch((FORWARD, 200, 0.5))
    assert opened is not None
    assert (opened.start.at_s, opened.state) == (190, State.DOWN)


def test_a_hub_that_has_just_started_opens_nothing_and_closes_nothing() -> None:
    assert watch((NEVER, 10, None)) == [None]
    lasting = outage(1, None)
    assert step(lasting, sight("l", NEVER, 10, None)) == lasting


def test_heard_between_two_looks_closes_one_silence_and_opens_another() -> None:
    first, closed, second = watch((SILENT, 106, 6), (SILENT, 150, 20), (SILENT, 151, 21))
    assert first is not None and closed is not None and second is not None
    assert closed.end is not None
    assert (first.start.at_s, closed.end.at_s, second.start.at_s) == (100, 130, 130)


@given(
    st.lists(
        st.tuples(st.sampled_from([HEARD, SILENT, OUTSIDE, FORWARD, NEVER]), st.integers(0, 60)),
        max_size=30,
    )
)
def test_provisional_outages_are_open_or_end_after_they_began(looks) -> None:
    said = watch(
        *(
            (known, 1000 + 7 * k, None if known is NEVER else ago)
            for k, (known, ago) in enumerate(looks)
        )
    )
    for one in said:
        if one is not None:
            assert one.start.low_s <= one.start.high_s
            assert not one.settled and one.charge is Charge.UNKNOWN
            if one.end is not None:
                assert one.start.at_s < one.end.at_s
                assert one.end.low_s <= one.end.high_s


# --- revisions --------------------------------------------------------------------------------


def applied(kept: list[Kept], changes: list[Change]) -> list[Kept]:
    now = {one.id: one for one in kept}
    for change in changes:
        number = change.id if change.id is not None else max(now, default=0) + 1
        now[number] = Kept(number, change.kind is ChangeKind.WITHDRAWN, change.outage)
    return list(now.values())


def test_what_changed_is_told_field_by_field() -> None:
    kept = [Kept(1, False, outage(100, None)), Kept(2, False, outage(500, 600))]
    ended = outage(100, 200, cause=Cause.LAN)
    assert revise(kept, [ended, outage(500, 600), outage(700, 710)]) == [
        Change(ChangeKind.REVISED, 1, ended, ("end", "cause")),
        Change(ChangeKind.NEW, None, outage(700, 710)),
    ]
    assert revise(kept, [outage(500, 600)]) == [Change(ChangeKind.WITHDRAWN, 1, outage(100, None))]


def test_a_split_keeps_the_longer_part_and_a_merge_withdraws_the_shorter() -> None:
    whole = [Kept(1, False, outage(100, 200))]
    assert [(c.kind, c.id) for c in revise(whole, [outage(100, 130), outage(140, 200)])] == [
        (ChangeKind.NEW, None),
        (ChangeKind.REVISED, 1),
    ]
    parts = [Kept(1, False, outage(100, 130)), Kept(2, False, outage(140, 200))]
    assert [(c.kind, c.id) for c in revise(parts, [outage(100, 200)])] == [
        (ChangeKind.REVISED, 2),
        (ChangeKind.WITHDRAWN, 1),
    ]


def test_one_that_was_withdrawn_is_taken_up_again_under_its_id() -> None:
    kept = [Kept(1, True, outage(100, 200))]
    assert revise(kept, [outage(100, 200)]) == [Change(ChangeKind.REVISED, 1, outage(100, 200), ())]
    assert revise(kept, []) == []
    assert revise(kept, [outage(101, 200)])[0].kind is ChangeKind.NEW


def test_outages_that_overlap_are_refused() -> None:
    with pytest.raises(ValueError, match="l: outages overlap at 150"):
        revise([], [outage(100, 200), outage(150, 300)])


@st.composite
def lists(draw: st.DrawFn) -> list[Outage]:
    found = []
    for link in ("a", "b"):
        cuts = sorted(draw(st.sets(st.integers(0, 60), max_size=12)))
        pairs = list(zip(cuts[::2], cuts[1::2], strict=False))
        for start_s, end_s in pairs:
            cause = draw(st.sampled_from([Cause.LAN, Cause.ACCESS_LINK]))
            found.append(outage(start_s, end_s, link=link, cause=cause))
        if draw(st.booleans()):
            found.append(outage(61, None, link=link))
    return found


@given(st.lists(lists(), max_size=4), lists(), st.randoms(use_true_random=False))
def test_revising_twice_or_in_another_order_says_nothing_more(
    history: list[list[Outage]], found: list[Outage], chance: random.Random
) -> None:
    kept: list[Kept] = []
    for then in history:
        kept = applied(kept, revise(kept, then))
    changes = revise(kept, found)
    shuffled_kept, shuffled_found = list(kept), list(found)
    chance.shuffle(shuffled_kept)
    chance.shuffle(shuffled_found)
    assert revise(shuffled_kept, shuffled_found) == changes
    now = applied(kept, changes)
    assert revise(now, found) == []
    live = [one.outage for one in now if not one.withdrawn]
    assert sorted(live, key=repr) == sorted(found, key=repr)


def test_a_provisional_outage_is_settled_by_all_that_it_turned_out_to_be() -> None:
    provisional = [
        Kept(1, False, outage(100, 200)),
        Kept(2, False, outage(400, 410)),
        Kept(3, False, outage(900, None)),
        Kept(4, False, outage(700, 800)),
        Kept(5, True, outage(100, 200)),
    ]
    settled = [
        Kept(11, False, outage(98, 150)),
        Kept(12, False, outage(160, 199)),
        Kept(13, True, outage(405, 410)),
        Kept(14, False, outage(100, 200, link="m")),
    ]
    found = settles(provisional, settled, {"l": 600})
    assert [(one.provisional, one.settled) for one in found] == [(1, (11, 12)), (2, ())]
    assert settles(provisional, settled, {}) == []


def test_a_sight_takes_its_words_from_the_live_state() -> None:
    for reason in Reason:
        state = LinkState.UP if reason is Reason.HEARD else LinkState.UNKNOWN
        assert sight("l", Known(state, reason), 10, 1).silent is (
            reason not in {Reason.HEARD, Reason.FORWARD_LOSS, Reason.ROUND_TRIP_LOSS}
        )
    assert sight("l", OUTSIDE, 10, 4) == Sight(
        "l", 10, State.DOWN, (EvidenceClass.HUB_SIDE,), True, 6, 10
    )
