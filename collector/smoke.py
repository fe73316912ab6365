"""What a smoke plot shows: percentiles of the round-trip times and the losses, bin by bin. Pure.

After SmokePing, with exact bins: a packet belongs to the bin in which its batch began.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from collector.audit.evidence import Span
from collector.audit.histogram import Histogram, merge
from collector.ledger.recent import Passage

SHARES = (0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0)
"""Percentiles that are drawn, the median in the middle."""
LOSS_STEPS = (0.0, 0.005, 0.02, 0.1)
"""Loss ratios above which the next colour begins."""
MOST_BINS = 240
_NICE_S = (60, 300, 600, 1800, 3600, 7200, 14_400, 28_800, 86_400)


class Puff(NamedTuple):
    """One bin; None where nothing is known."""

    at_s: int
    rtts_s: tuple[float, ...] | None
    """By SHARES, of the packets that came back: upper bounds of their buckets."""
    loss_ratio: float | None
    step: int
    """How many of LOSS_STEPS the loss is above."""
    forward_ratio: float | None
    """Lost on the way to the hub."""
    reverse_ratio: float | None
    """Lost on the way back, of those that reached the hub."""


def step(loss_ratio: float) -> int:
    """How many of LOSS_STEPS this is above."""
    return sum(loss_ratio > bound for bound in LOSS_STEPS)


def width_s(span: Span) -> int:
    """The bins' width for this span."""
    return next((one for one in _NICE_S if span.length_s <= one * MOST_BINS), _NICE_S[-1])


def puffs(passages: Iterable[Passage], span: Span) -> list[Puff]:
    """All bins of the span, in order."""
    width = width_s(span)
    first = span.start_s // width
    bins: list[list[Passage]] = [[] for _ in range((span.end_s - 1) // width - first + 1)]
    for one in passages:
        bins[one.at_s // width - first].append(one)
    return [_puff((first + k) * width, held) for k, held in enumerate(bins)]


def _puff(at_s: int, held: Sequence[Passage]) -> Puff:
    whole = merge(one.rtts for one in held)
    if not whole.sent:
        return Puff(at_s, None, None, 0, None, None)
    loss = whole.lost / whole.sent
    forward, reverse = _ways(held)
    return Puff(at_s, _rtts(whole), loss, step(loss), forward, reverse)


def _rtts(whole: Histogram) -> tuple[float, ...] | None:
    came = Histogram(whole.counts)
    if not came.sent:
        return None
    found = (came.percentile(share) for share in SHARES)
    return tuple(one.high_s for one in found if one is not None)


def _ways(held: Sequence[Passage]) -> tuple[float | None, float | None]:
    """Only of batches whose losses are told by direction."""
    told = [
        (one.sent, one.forward_lost, one.reverse_lost)
        for one in held
        if one.forward_lost is not None and one.reverse_lost is not None
    ]
    sent, forward, reverse = (sum(one[k] for one in told) for k in range(3))
    reached = sent - forward
    return forward / sent if sent else None, reverse / reached if reached > 0 else None
