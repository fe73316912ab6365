"""Orders from word to figures, and where each may not go."""

from typing import Any

import msgspec
import pytest

from collector.orders import EXPIRES_S, KEPT, NS, ROUND_EXPIRES_S, OrderBook, Standing
from wire.message import FINAL, MAX_ORDERS, End, Figures, OrderProgress, OrderState
from wire.plan import Order
from wire.slot import Direction

FIGURES = (Figures(direction=Direction.DOWN, end=End.DONE, bits_per_s=1e6),)


def standing(number: int = 1, node: str = "n1", **changes: Any) -> Standing:
    order = Order(order_id=f"{number:032x}", link="l1", directions=(Direction.DOWN,))
    return Standing(**{"order": order, "node": node, "created_wall_ns": number * NS} | changes)


def progress(number: int, state: OrderState, **changes: Any) -> OrderProgress:
    return OrderProgress(order_id=f"{number:032x}", state=state, **changes)


def test_an_order_goes_from_state_to_state_and_stays_in_the_last() -> None:
    book = OrderBook()
    book.add(standing())
    for state in (OrderState.ACCEPTED, OrderState.GATE, OrderState.SLOT, OrderState.RUNNING):
        changed = book.hear("n1", progress(1, state), 5)
        assert changed is not None and changed.state is state and changed.changed_wall_ns == 5
        assert len(book.of("n1")) == 1
    done = book.hear("n1", progress(1, OrderState.DONE, figures=FIGURES), 9)
    assert done is not None and done.final and done.figures == FIGURES
    assert book.of("n1") == ()
    for state in OrderState:
        assert book.hear("n1", progress(1, state), 10) is None
    assert book.cancel(f"{1:032x}", 11) is None
    assert book.get(f"{1:032x}") == done


def test_the_same_again_is_no_news() -> None:
    book = OrderBook()
    book.add(standing())
    assert book.hear("n1", progress(1, OrderState.GATE, detail="busy"), 5) is not None
    assert book.hear("n1", progress(1, OrderState.GATE, detail="busy"), 6) is None
    assert book.hear("n1", progress(1, OrderState.GATE, detail="busy still"), 7) is not None


@pytest.mark.parametrize(
    ("node", "told"),
    [
        ("n2", progress(1, OrderState.DONE)),
        ("n1", progress(2, OrderState.DONE)),
        ("n1", progress(1, OrderState.CANCELLED)),
        ("n1", progress(1, OrderState.EXPIRED)),
        ("n1", progress(1, OrderState.QUEUED)),
    ],
)
def test_what_an_agent_may_not_say_is_not_heard(node: str, told: OrderProgress) -> None:
    book = OrderBook()
    book.add(standing())
    assert book.hear(node, told, 5) is None
    assert book.all() == [standing()]


def test_a_node_is_told_its_own_orders_the_oldest_first_and_not_too_many() -> None:
    book = OrderBook(standing(number) for number in range(20, 0, -1))
    book.add(standing(99, "n2"))
    ids = [order.order_id for order in book.of("n1")]
    assert ids == [f"{number:032x}" for number in range(1, MAX_ORDERS + 1)]
    assert [order.order_id for order in book.of("n2")] == [f"{99:032x}"]
    assert book.of("n3") == ()


def test_an_order_that_waits_too_long_expires() -> None:
    book = OrderBook([standing(1), standing(2, state=OrderState.DONE)])
    assert book.expire((1 + EXPIRES_S) * NS) == []
    (late,) = book.expire((1 + EXPIRES_S) * NS + 1)
    assert (late.state, late.detail) == (OrderState.EXPIRED, "last: queued")
    assert book.expire(2**61) == []


def test_an_order_of_an_experiment_does_not_keep_the_others_waiting_for_a_day() -> None:
    book = OrderBook([standing(1, experiment_id="e1" * 16)])
    assert book.expire((1 + ROUND_EXPIRES_S) * NS) == []
    assert len(book.expire((1 + ROUND_EXPIRES_S) * NS + 1)) == 1


def test_who_missed_the_moment_of_its_group_is_left_behind() -> None:
    book = OrderBook([standing(1, group="g"), standing(2, group="g"), standing(3)])
    one, two, three = book.all()
    assert not any(book.left_behind(x) for x in (one, two, three))
    book.hear("n1", progress(2, OrderState.DONE), 5)
    assert book.left_behind(one) and not book.left_behind(three)


def test_the_oldest_ended_orders_are_forgotten_and_none_that_stands() -> None:
    book = OrderBook(
        standing(number, state=OrderState.DONE if number > 5 else OrderState.QUEUED)
        for number in range(KEPT + 15)
    )
    gone = book.trim()
    assert gone == [f"{number:032x}" for number in range(6, 6 + len(gone))]
    assert len([one for one in book.all() if one.final]) == KEPT
    assert len([one for one in book.all() if not one.final]) == 6
    assert book.trim() == []


def test_a_standing_survives_the_disk() -> None:
    one = standing(state=OrderState.DONE, figures=FIGURES, group="g 1", group_size=3)
    assert msgspec.json.decode(msgspec.json.encode(one), type=Standing) == one
    assert {state for state in OrderState if standing(state=state).final} == FINAL
