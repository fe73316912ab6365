"""Experiment G: coins thrown before, pairs complete or not counted, and no round forgotten."""

import itertools
from collections import Counter
from random import Random
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.experiment import Experiment, ExperimentState, advance, draw, due, orders, pairs
from collector.orders import Standing
from wire.message import End, Figures, OrderState
from wire.slot import Direction, Method

SITES = {f"l{number}": f"n{number}" for number in range(1, 9)}


def begun(**changes: Any) -> Experiment:
    fields: dict[str, Any] = {
        "experiment_id": "e1" * 16,
        "pop": "POP-1",
        "direction": Direction.DOWN,
        "method": Method.UDP,
        "duration_s": 10.0,
        "nodes": SITES,
        "repeats": 10,
        "seed": "5e" * 16,
        "created_wall_ns": 1,
    }
    return Experiment(**fields | changes)


def ended(one: Standing, mbps: float | None, state: OrderState = OrderState.DONE) -> Standing:
    figures = Figures(
        direction=Direction.DOWN,
        end=End.DONE if state is OrderState.DONE else End.FAILED,
        bits_per_s=None if mbps is None else mbps * 1e6,
    )
    return msgspec.structs.replace(one, state=state, figures=(figures,))


class Run:
    """Plays the hub until the experiment has ended."""

    def __init__(self, experiment: Experiment, fail: float = 0.0, seed: int = 0) -> None:
        self.random, self.fail = Random(seed), fail
        self.ids = itertools.count()
        self.rounds: list[tuple[int, bool, tuple[str, ...]]] = []
        self.experiment = experiment
        self.ordered: list[Standing] = []

    def play(self) -> Experiment:
        book: dict[str, Standing] = {}
        for _ in range(10_000):
            # As after a restart: all that is known is what was kept.
            kept = msgspec.json.encode(self.experiment)
            self.experiment = advance(msgspec.json.decode(kept, type=Experiment), book)
            if self.experiment.state is not ExperimentState.RUNNING:
                return self.experiment
            now = due(self.experiment)
            assert now is not None
            self.rounds.append((now.pair, now.together, now.links))
            new = orders(self.experiment, now, [f"{next(self.ids):032x}" for _ in now.links], 5)
            self.ordered += new
            ids = tuple(one.order.order_id for one in new)
            self.experiment = msgspec.structs.replace(self.experiment, standing=ids)
            assert due(self.experiment) is None
            book = {one.order.order_id: one for one in new}
            assert advance(self.experiment, book) == self.experiment
            book = {order_id: self._measure(one) for order_id, one in book.items()}
        raise AssertionError("it does not end")

    def _measure(self, one: Standing) -> Standing:
        if self.random.random() < self.fail:
            return ended(one, None, OrderState.SKIPPED)
        return ended(one, 10.0 if one.group else 19.4)


def test_every_site_is_measured_alone_and_with_all_others_in_each_pair() -> None:
    run = Run(begun())
    done = run.play()
    assert (done.state, done.pairs, done.spoiled) == (ExperimentState.DONE, 10, ())
    complete = pairs(done)
    assert [one.pair for one in complete] == list(range(10))
    for one in complete:
        assert one.alone_bits_per_s == dict.fromkeys(SITES, 19.4e6)
        assert one.together_bits_per_s == dict.fromkeys(SITES, 10e6)
    for number in range(10):
        own = [(together, links) for pair, together, links in run.rounds if pair == number]
        assert Counter(together for together, _ in own) == {True: 1, False: 8}
        assert own[0][0] or own[-1][0], "together is before or after, never between"
        assert own[0][0] is complete[number].together_first


def test_orders_of_a_round_together_are_a_group_and_those_alone_are_not() -> None:
    run = Run(begun())
    run.play()
    groups: dict[str, list[str]] = {}
    for one in run.ordered:
        assert one.experiment_id == "e1" * 16 and one.node == SITES[one.order.link]
        if one.group is not None:
            assert one.group_size == 8
            groups.setdefault(one.group, []).append(one.order.link)
        else:
            assert one.group_size == 1
    assert len(groups) == 10
    assert all(sorted(links) == sorted(SITES) for links in groups.values())


@given(st.integers(0, 2**32), st.floats(0.0, 0.08))
def test_a_pair_with_a_failure_counts_for_nothing_and_another_takes_its_place(
    seed: int, fail: float
) -> None:
    run = Run(begun(repeats=12), fail, seed)
    done = run.play()
    complete = pairs(done)
    assert done.pairs <= 24
    assert len(complete) == done.pairs - len(done.spoiled)
    if done.state is ExperimentState.DONE:
        assert len(complete) == 12
    else:
        assert done.state is ExperimentState.FAILED and done.pairs == 24
    for one in complete:
        assert one.alone_bits_per_s.keys() == one.together_bits_per_s.keys() == SITES.keys()


def test_an_experiment_that_cannot_work_ends_and_says_why() -> None:
    done = Run(begun(), fail=1.0).play()
    assert (done.state, pairs(done), len(done.spoiled)) == (ExperimentState.FAILED, (), 20)
    assert "skipped" in done.detail


def test_the_coin_is_fair_and_belongs_to_its_seed_and_pair() -> None:
    """4 standard deviations of 4,000 throws are 126."""
    firsts = Counter(
        draw(begun(seed=f"{seed:032x}"), pair)[0].together
        for seed in range(200)
        for pair in range(20)
    )
    assert abs(firsts[True] - 2_000) < 127
    assert draw(begun(), 3) == draw(begun(), 3)
    assert len({draw(begun(), pair) for pair in range(10)}) == 10
    orders_alone = {
        tuple(one.links for one in draw(begun(), pair) if not one.together) for pair in range(10)
    }
    assert len(orders_alone) == 10


@pytest.mark.parametrize("state", [ExperimentState.CANCELLED, ExperimentState.DONE])
def test_what_has_ended_does_not_go_on(state: ExperimentState) -> None:
    one = msgspec.structs.replace(advance(begun(), {}), state=state)
    assert due(one) is None
    assert advance(one, {}) == one


def test_orders_that_are_lost_spoil_the_pair_and_do_not_hang() -> None:
    """A backup that is older than the experiment's last step."""
    one = msgspec.structs.replace(advance(begun(), {}), standing=("ff" * 16,))
    further = advance(one, {})
    assert (further.spoiled, further.pairs, further.standing) == ((0,), 2, ())
