"""Experiment G: sites of one PoP alone and together, in randomised order (methodology 5.3). Pure.

A pair is one measurement of every site alone, one after the other, and one of all of them at the
same moment; a coin that nobody can foresee says which of the two comes first. That coin is what
makes the p-value exact (computed elsewhere), so it is drawn before anything is measured, kept, and
never thrown again for the same pair. A pair in which a measurement fails counts for nothing and
another pair takes its place.
"""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from random import Random

import msgspec

from collector.orders import Standing
from wire.message import OrderState
from wire.plan import Order
from wire.slot import Direction, Method

LEAST_SITES = 2
LEAST_REPEATS = 10
"""Fewer coins cannot make a p-value that convinces anybody: 2^-10 is 0.001."""
MOST_REPEATS = 200
MOST_SITES = 64


class ExperimentState(StrEnum):
    """How far an experiment is."""

    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    """too many pairs failed"""
    CANCELLED = "cancelled"


class Round(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Measurements that are ordered at once: one site's, or all of them."""

    pair: int
    together: bool
    links: tuple[str, ...]


class Result(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One site's measurement in one round."""

    pair: int
    together: bool
    link: str
    bits_per_s: float
    order_id: str


class Pair(msgspec.Struct, frozen=True, kw_only=True):
    """A complete pair, for the verdict."""

    pair: int
    together_first: bool
    alone_bits_per_s: dict[str, float]
    together_bits_per_s: dict[str, float]


class Experiment(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One experiment: everything that it needs to go on after a restart."""

    experiment_id: str
    pop: str
    direction: Direction
    method: Method
    duration_s: float
    nodes: dict[str, str]
    """Node of each link."""
    repeats: int
    seed: str
    """Of the coins: drawn once, published with the result."""
    created_wall_ns: int
    pairs: int = 0
    """Begun so far."""
    rounds: tuple[Round, ...] = ()
    """Still to do; the first is under way if `standing` is not empty."""
    standing: tuple[str, ...] = ()
    """Orders of the round that is under way."""
    results: tuple[Result, ...] = ()
    spoiled: tuple[int, ...] = ()
    """Pairs in which a measurement failed."""
    state: ExperimentState = ExperimentState.RUNNING
    detail: str = ""


def coin(experiment: Experiment, pair: int) -> Random:
    """The randomness of one pair."""
    return Random(f"{experiment.seed} {pair}")


def draw(experiment: Experiment, pair: int) -> tuple[Round, ...]:
    """The rounds of one pair, in their order."""
    random = coin(experiment, pair)
    together_first = random.random() < 0.5
    links = sorted(experiment.nodes)
    together = Round(pair=pair, together=True, links=tuple(links))
    random.shuffle(links)
    alone = [Round(pair=pair, together=False, links=(link,)) for link in links]
    return (together, *alone) if together_first else (*alone, together)


def due(experiment: Experiment) -> Round | None:
    """The round that is to be ordered now."""
    running = experiment.state is ExperimentState.RUNNING
    return (
        experiment.rounds[0] if running and experiment.rounds and not experiment.standing else None
    )


def orders(
    experiment: Experiment, one: Round, order_ids: Sequence[str], wall_ns: int
) -> tuple[Standing, ...]:
    """The orders of a round, one a link."""
    return tuple(
        Standing(
            order=Order(
                order_id=order_id,
                link=link,
                method=experiment.method,
                directions=(experiment.direction,),
                duration_s=experiment.duration_s,
            ),
            node=experiment.nodes[link],
            created_wall_ns=wall_ns,
            experiment_id=experiment.experiment_id,
            group=f"{experiment.experiment_id} {one.pair}" if one.together else None,
            group_size=len(one.links) if one.together else 1,
        )
        for link, order_id in zip(one.links, order_ids, strict=True)
    )


def advance(experiment: Experiment, book: Mapping[str, Standing]) -> Experiment:
    """As far as the orders of the round that is under way allow; `book` holds those."""
    if experiment.state is not ExperimentState.RUNNING:
        return experiment
    if not experiment.standing:
        return experiment if experiment.rounds else _next_pair(experiment)
    ended = [book[order_id] for order_id in experiment.standing if order_id in book]
    if any(not one.final for one in ended):
        return experiment
    now, *rest = experiment.rounds
    results = [_result(now, one) for one in ended]
    good = [one for one in results if one is not None]
    if len(good) == len(now.links):
        done = msgspec.structs.replace(
            experiment,
            rounds=tuple(rest),
            standing=(),
            results=(*experiment.results, *good),
        )
    else:
        done = msgspec.structs.replace(
            experiment,
            rounds=(),
            standing=(),
            spoiled=(*experiment.spoiled, now.pair),
            detail=_why(ended),
        )
    return done if done.rounds else _next_pair(done)


def _result(now: Round, one: Standing) -> Result | None:
    measured = [figures.bits_per_s for figures in one.figures if figures.bits_per_s is not None]
    if one.state is not OrderState.DONE or len(measured) != 1:
        return None
    return Result(
        pair=now.pair,
        together=now.together,
        link=one.order.link,
        bits_per_s=measured[0],
        order_id=one.order.order_id,
    )


def _why(ended: Sequence[Standing]) -> str:
    bad = [one for one in ended if one.state is not OrderState.DONE]
    told = [f"{one.order.link}: {one.state} {one.detail}".strip() for one in bad]
    return ("; ".join(told) or "a measurement without a figure")[:256]


def _next_pair(experiment: Experiment) -> Experiment:
    complete = experiment.pairs - len(experiment.spoiled)
    if complete >= experiment.repeats:
        return msgspec.structs.replace(experiment, state=ExperimentState.DONE)
    if experiment.pairs >= 2 * experiment.repeats:
        return msgspec.structs.replace(experiment, state=ExperimentState.FAILED)
    pair = experiment.pairs
    return msgspec.structs.replace(experiment, pairs=pair + 1, rounds=draw(experiment, pair))


def pairs(experiment: Experiment) -> tuple[Pair, ...]:
    """All complete pairs, for the exact test."""
    open_pair = {one.pair for one in experiment.rounds}
    told = []
    for number in range(experiment.pairs):
        if number in experiment.spoiled or number in open_pair:
            continue
        own = [one for one in experiment.results if one.pair == number]
        told.append(
            Pair(
                pair=number,
                together_first=draw(experiment, number)[0].together,
                alone_bits_per_s={x.link: x.bits_per_s for x in own if not x.together},
                together_bits_per_s={x.link: x.bits_per_s for x in own if x.together},
            )
        )
    return tuple(told)
