"""The scheduler of slots: exclusive on a PoP, within capacity, fair, and free of the vanished."""

import itertools
from heapq import heappop, heappush
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from collector.slots import (
    BEGIN_S,
    GRACE_S,
    LATEST_S,
    SETTLE_S,
    SOONEST_S,
    TOGETHER_S,
    Ask,
    Given,
    Group,
    Later,
    Slots,
)
from wire.slot import Direction

SECOND = 1_000_000_000
MBIT = 1_000_000


def slots(capacity_mbit: int = 1_000) -> Slots:
    numbers = itertools.count()
    return Slots(capacity_mbit * MBIT, lambda: f"{next(numbers):032x}")


def ask(agent: int = 1, pop: str = "A", mbit: int = 100, **changes: Any) -> Ask:
    fields: dict[str, Any] = {
        "agent_id": agent.to_bytes(16, "big"),
        "link": f"l{agent}",
        "pop": pop,
        "direction": Direction.DOWN,
        "bits_per_s": mbit * MBIT,
        "duration_s": 10.0,
    }
    return Ask(**fields | changes)


def put(book: Slots, one: Ask, now_s: float) -> Given | Later:
    """A question as the desk puts it."""
    now_ns = int(now_s * SECOND)
    book.tidy(now_ns)
    book.former(one, now_ns)
    return book.ask(one, now_ns)


def given_to(told: Given | Later) -> Given:
    assert isinstance(told, Given), told
    return told


def later(told: Given | Later) -> Later:
    assert isinstance(told, Later), told
    return told


def test_who_is_alone_is_served_at_once() -> None:
    one = given_to(put(slots(), ask(), 0))
    assert one.wait_s == 0
    assert one.slot.ends_ns == (BEGIN_S + 10 + SETTLE_S) * SECOND


def test_a_pop_has_one_test_and_the_next_is_told_when_to_come() -> None:
    book = slots()
    first = given_to(put(book, ask(1), 0))
    told = later(put(book, ask(2), 1))
    assert told == Later(24.0, 0)
    assert given_to(put(book, ask(3, "B"), 2)).slot.ask.pop == "B"
    assert book.end(ask(1).agent_id, first.slot.slot_id) == first.slot
    assert given_to(put(book, ask(2), 12))


def test_capacity_is_counted_in_each_direction() -> None:
    book = slots(250)
    given_to(put(book, ask(1, "A"), 0))
    given_to(put(book, ask(2, "B"), 0))
    later(put(book, ask(3, "C"), 0))
    given_to(put(book, ask(4, "D", direction=Direction.UP, mbit=250), 0))
    later(put(book, ask(5, "E", direction=Direction.UP, mbit=1), 0))
    given_to(put(book, ask(6, "F", mbit=0), 0))
    assert not book.fits(251 * MBIT)


def test_who_came_later_waits_for_who_came_first() -> None:
    """A small test does not slip past a large one for ever."""
    book = slots(100)
    first = given_to(put(book, ask(1, "A", 60), 0))
    later(put(book, ask(2, "B", 90), 1))
    told = later(put(book, ask(3, "C", 30), 2))
    assert told.ahead == 1
    book.end(ask(1).agent_id, first.slot.slot_id)
    later(put(book, ask(3, "C", 30), 3))
    second = given_to(put(book, ask(2, "B", 90), 4))
    later(put(book, ask(3, "C", 30), 5))
    book.end(ask(2).agent_id, second.slot.slot_id)
    given_to(put(book, ask(3, "C", 30), 6))


def test_who_waits_for_its_pop_holds_no_capacity() -> None:
    book = slots(100)
    given_to(put(book, ask(1, "A", 10), 0))
    later(put(book, ask(2, "A", 90), 0))
    given_to(put(book, ask(3, "B", 90), 0))


def test_who_does_not_come_back_loses_its_place_and_holds_nobody_up() -> None:
    book = slots()
    first = given_to(put(book, ask(1), 0))
    told = later(put(book, ask(2), 0))
    later(put(book, ask(3), 1))
    book.end(ask(1).agent_id, first.slot.slot_id)
    gone_s = told.wait_s + GRACE_S
    assert later(put(book, ask(3), gone_s - 1)).ahead == 1
    given_to(put(book, ask(3), gone_s))


def test_a_slot_that_nobody_gives_back_ends_by_itself() -> None:
    book = slots()
    one = given_to(put(book, ask(1), 0))
    over_s = BEGIN_S + 10 + SETTLE_S
    assert book.tidy(int(over_s * SECOND) - 1) == []
    assert book.tidy(int(over_s * SECOND)) == [one.slot]
    given_to(put(book, ask(2), over_s))


def test_a_question_ends_the_slot_that_the_box_had() -> None:
    """It was restarted in the middle of a test."""
    book = slots()
    first = given_to(put(book, ask(1), 0))
    assert book.former(ask(1), SECOND) == first.slot
    second = given_to(put(book, ask(1), 1))
    assert second.slot.slot_id != first.slot.slot_id
    assert book.running == (second.slot,)


def test_another_wish_goes_to_the_end_of_the_queue() -> None:
    book = slots()
    given_to(put(book, ask(1), 0))
    later(put(book, ask(2), 1))
    later(put(book, ask(3), 2))
    later(put(book, ask(2, direction=Direction.UP), 3))
    assert [one.link for one in book.waiting] == ["l3", "l2"]


def test_only_its_own_slot_can_be_given_back() -> None:
    book = slots()
    one = given_to(put(book, ask(1), 0))
    assert book.end(ask(2).agent_id, one.slot.slot_id) is None
    assert book.end(ask(1).agent_id, "00" * 16 + "x") is None
    assert book.running == (one.slot,)


def test_whoever_is_revoked_is_forgotten() -> None:
    book = slots()
    one = given_to(put(book, ask(1), 0))
    later(put(book, ask(2), 0))
    assert book.forget(ask(1).agent_id) == one.slot
    assert book.forget(ask(2).agent_id) is None
    assert (book.running, book.waiting) == ((), ())


GROUP = Group("g round 1", 3)


def test_a_group_begins_together_when_all_of_it_are_there() -> None:
    book = slots()
    members = [ask(n, group=GROUP) for n in (1, 2, 3)]
    assert later(put(book, members[0], 0)).group_missing == 2
    assert later(put(book, members[1], 1)).group_missing == 1
    last = given_to(put(book, members[2], 2))
    assert last.wait_s == TOGETHER_S
    others = [given_to(put(book, one, 4)) for one in members[:2]]
    assert {one.slot.begins_ns for one in (last, *others)} == {int((2 + TOGETHER_S) * SECOND)}
    assert [one.wait_s for one in others] == [TOGETHER_S - 2] * 2
    later(put(book, ask(4), 5))
    assert len(book.running) == 3


def test_a_group_has_its_pop_for_itself_and_waits_for_who_came_first() -> None:
    book = slots()
    first = given_to(put(book, ask(9), 0))
    members = [ask(n, group=GROUP) for n in (1, 2, 3)]
    for one in members:
        later(put(book, one, 1))
    later(put(book, ask(8), 2))
    book.end(ask(9).agent_id, first.slot.slot_id)
    later(put(book, ask(8), 3))
    given_to(put(book, members[1], 4))
    assert {one.ask.group for one in book.running} == {GROUP}


def test_a_group_that_is_not_complete_holds_up_nobody() -> None:
    book = slots()
    later(put(book, ask(1, group=GROUP), 0))
    given_to(put(book, ask(2), 1))


def test_a_group_larger_than_the_hub_carries_waits() -> None:
    book = slots(250)
    for n in (1, 2, 3):
        later(put(book, ask(n, group=GROUP), 0))
    assert book.running == ()


class Busy(RuleBasedStateMachine):
    """Any agents in any order, with any gaps."""

    def __init__(self) -> None:
        super().__init__()
        self.book = slots(300)
        self.now_s = 0.0

    @rule(
        agent=st.integers(1, 12),
        pop=st.sampled_from("ABC"),
        mbit=st.integers(0, 300),
        direction=st.sampled_from(Direction),
        duration_s=st.floats(1, 60),
        group=st.none() | st.sampled_from([Group("x", 2), Group("y", 3)]),
    )
    def wants(self, agent: int, pop: str, mbit: int, **more: Any) -> None:
        if more["group"] is not None:
            pop = "ABC"[more["group"].size % 3]
        told = put(self.book, ask(agent, pop, mbit, **more), self.now_s)
        if isinstance(told, Later):
            assert SOONEST_S <= told.wait_s <= LATEST_S

    @rule(agent=st.integers(1, 12))
    def ends(self, agent: int) -> None:
        agent_id = agent.to_bytes(16, "big")
        for one in self.book.running:
            if one.ask.agent_id == agent_id:
                assert self.book.end(agent_id, one.slot_id) == one

    @rule(seconds=st.floats(0, 40))
    def passes(self, seconds: float) -> None:
        self.now_s += seconds
        self.book.tidy(int(self.now_s * SECOND))

    @invariant()
    def never_two_on_a_pop_and_never_over_capacity(self) -> None:
        running = self.book.running
        for one, other in itertools.combinations(running, 2):
            assert one.ask.agent_id != other.ask.agent_id
            if one.ask.pop == other.ask.pop:
                assert one.ask.group is not None and one.ask.group == other.ask.group
                assert one.begins_ns == other.begins_ns
        for direction in Direction:
            loads = [one.ask.bits_per_s for one in running if one.ask.direction is direction]
            assert sum(loads) <= 300 * MBIT
        held = {one.ask.agent_id for one in running} & {one.agent_id for one in self.book.waiting}
        assert not held


Busy.TestCase.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)
TestAnyOrderOfEvents = Busy.TestCase


@pytest.mark.parametrize("agents", [20, 60])
@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**32), vanish=st.floats(0, 0.5))
def test_everybody_who_comes_back_is_served_in_bounded_time(
    agents: int, seed: int, vanish: float
) -> None:
    """Agents of four PoPs come within a minute of each other, wait as told with some delay on the
    way, and some vanish in the queue or in the test: all others are served, each PoP's by one
    test's time after the other at worst."""
    random = Random(seed)
    book = slots(300)
    wants = [
        ask(n, "ABCD"[n % 4], random.randint(1, 300), direction=random.choice(list(Direction)))
        for n in range(agents)
    ]
    events: list[tuple[float, int, str]] = [(random.uniform(0, 60), n, "") for n in range(agents)]
    finished: dict[int, float] = {}
    while events:
        now_s, n, slot_id = heappop(events)
        if slot_id:
            book.end(wants[n].agent_id, slot_id)
            continue
        told = put(book, wants[n], now_s)
        if random.random() < vanish:
            finished[n] = now_s
        elif isinstance(told, Later):
            heappush(events, (now_s + told.wait_s + random.uniform(0, 2), n, ""))
        else:
            finished[n] = now_s
            heappush(events, (now_s + random.uniform(1, 12), n, told.slot.slot_id))
    assert finished.keys() == set(range(agents))
    each_s = max(BEGIN_S + 10 + SETTLE_S, LATEST_S + GRACE_S) + LATEST_S
    assert max(finished.values()) <= 60 + agents * each_s
