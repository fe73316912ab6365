"""Packet delay variation over the minimum (RFC 5481 4.2), out of histograms of round trips. Pure.

PDV(i) = D(i) - D_min, D_min over the current interval: one batch, a minute as a rule. Of a time
only its bucket is known, so of a variation only the least and the most that it may be: two
histograms, the bounds of every percentile. Lost packets have no variation.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache

from collector.audit import histogram
from collector.audit.histogram import Between, Histogram, bucket, merge, upper

_LEAST_S = 1e-9
"""Stands for no variation at all: a bucket holds times above 0 only."""


@dataclass(frozen=True)
class Variation:
    """Packets by the least and by the most that their variation may be."""

    least: Mapping[int, int]
    most: Mapping[int, int]

    def percentile(self, share: float) -> Between | None:
        """Nearest rank; None for an empty sample."""
        low, high = (Histogram(one).percentile(share) for one in (self.least, self.most))
        if low is None or high is None:
            return None
        return Between(0.0 if low.high_s <= 2 * _LEAST_S else low.low_s, high.high_s)


@lru_cache(maxsize=65_536)
def _buckets(index: int, least: int) -> tuple[int, int]:
    """Buckets of the least and the most that a time of bucket `index` may exceed one of `least`."""
    low_s = upper(index - 1) - upper(least)
    return bucket(max(low_s, _LEAST_S)), bucket(upper(index) - upper(least - 1))


def variation(batch: Histogram) -> Variation:
    """Of the packets of one batch."""
    low: dict[int, int] = {}
    high: dict[int, int] = {}
    if batch.counts:
        least = min(batch.counts)
        for index, count in batch.counts.items():
            at_least, at_most = _buckets(index, least)
            low[at_least] = low.get(at_least, 0) + count
            high[at_most] = high.get(at_most, 0) + count
    return Variation(low, high)


def total(parts: Iterable[Variation]) -> Variation:
    """All of them as one, whatever their order."""
    each = list(parts)
    least, most = (merge(Histogram(one) for one in which) for which in _columns(each))
    return Variation(least.counts, most.counts)


def less(whole: Variation, parts: Iterable[Variation]) -> Variation:
    """What is left of a sum without some of its parts. Raises ValueError where they are none."""
    part = total(parts)
    least, most = (
        histogram.less(Histogram(mine), [Histogram(theirs)])
        for mine, theirs in ((whole.least, part.least), (whole.most, part.most))
    )
    return Variation(least.counts, most.counts)


def _columns(each: list[Variation]) -> tuple[list[Mapping[int, int]], list[Mapping[int, int]]]:
    return [one.least for one in each], [one.most for one in each]
