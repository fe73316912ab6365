"""Round-trip times in buckets that merge: percentiles of a month without its forty million packets.

The buckets of Prometheus's native histograms, schema 5: bucket i holds (b^(i-1), b^i] seconds with
b = 2^(1/32), so its bounds are 2.2 % apart. A percentile is given as the bounds of its bucket, and
a judgement that falls between them is none. Lost packets are infinitely late (RFC 2681 4.1).
"""

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

SCHEMA = 5
_NS = 1_000_000_000
_Value = TypeVar("_Value", int, float)


def bucket(seconds: float, schema: int = SCHEMA) -> int:
    """Index of the bucket that holds a time. Raises ValueError for one that is not above 0."""
    if not seconds > 0:
        raise ValueError(f"a time of {seconds} s is in no bucket")
    index = math.ceil(math.log2(seconds) * (1 << schema))
    # The logarithm of a bound is not exact: what is on the bound belongs below it.
    while seconds > upper(index, schema):
        index += 1
    while seconds <= upper(index - 1, schema):
        index -= 1
    return index


def upper(index: int, schema: int = SCHEMA) -> float:
    """The bucket's upper bound, seconds; its lower one is that of the bucket before."""
    whole, part = divmod(index, 1 << schema)
    return math.ldexp(2.0 ** (part / (1 << schema)), whole)


def ranked(counts: Mapping[_Value, int], share: float, beyond: int = 0) -> _Value | None:
    """The value of the nearest rank among those counted and `beyond` larger ones; None where it
    is one of these. At least one is counted."""
    rank = max(1, math.ceil(share * (sum(counts.values()) + beyond) - 1e-9))
    for value in sorted(counts):
        rank -= counts[value]
        if rank <= 0:
            return value
    return None


class Between(NamedTuple):
    """A value v with low_s < v <= high_s; both infinite where it is a lost packet's."""

    low_s: float
    high_s: float


@dataclass(frozen=True)
class Histogram:
    """Received packets by bucket, and the lost ones."""

    counts: Mapping[int, int]
    lost: int = 0

    @property
    def received(self) -> int:
        """Packets that came back."""
        return sum(self.counts.values())

    @property
    def sent(self) -> int:
        """Packets that came back or were lost."""
        return self.received + self.lost

    def percentile(self, share: float) -> Between | None:
        """Nearest rank, lost packets last; None for an empty sample."""
        if not self.sent:
            return None
        index = ranked(self.counts, share, self.lost)
        if index is None:
            return Between(math.inf, math.inf)
        return Between(upper(index - 1), upper(index))


def of_ns(rtts_ns: Iterable[int], lost: int = 0) -> Histogram:
    """The histogram of round-trip times in nanoseconds; a time of 0 counts as 1 ns."""
    return Histogram(Counter(bucket(max(rtt, 1) / _NS) for rtt in rtts_ns), lost)


def merge(histograms: Iterable[Histogram]) -> Histogram:
    """All of them as one, whatever their order."""
    counts: defaultdict[int, int] = defaultdict(int)
    lost = 0
    for one in histograms:
        for index, count in one.counts.items():
            counts[index] += count
        lost += one.lost
    return Histogram(dict(counts), lost)


def less(whole: Histogram, parts: Iterable[Histogram]) -> Histogram:
    """What is left of a sum without some of its parts. Raises ValueError where they are none."""
    part = merge(parts)
    counts = dict(whole.counts)
    for index, count in part.counts.items():
        counts[index] = counts.get(index, 0) - count
    left = Histogram(
        {index: count for index, count in counts.items() if count}, whole.lost - part.lost
    )
    if left.lost < 0 or any(count < 0 for count in left.counts.values()):
        raise ValueError("these are no parts of that sum")
    return left
