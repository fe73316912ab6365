"""Statistics of a sample of packets, each from its RFC; pure functions over observations.

Full precision, no rounding, and None where a sample cannot say: an empty sample has no loss
ratio (RFC 7680 section 4.1) and no delay.
"""

import math
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from wire.observation import Outcome, StampSource, Train

BUCKETS_NS = tuple(
    int(s * 1e9)
    for s in (
        0.001,
        0.0025,
        0.005,
        0.01,
        0.02,
        0.03,
        0.05,
        0.075,
        0.1,
        0.15,
        0.2,
        0.3,
        0.5,
        0.75,
        1.0,
        2.0,
    )
)
"""Upper bounds of the RTT histogram. From a metro fibre (1 ms) through VSAT (600 ms) to the
timeout; with bounds at the 150, 300 ms limits that contracts name."""


MAX_COUNT = 2**63 - 1
"""Largest number that a store keeps; a hostile agent's sums stop here instead of overflowing."""


def percentile(ordered: Sequence[int], share: float, lost: int = 0) -> float | None:
    """Nearest-rank percentile in which `lost` packets are infinitely late (RFC 2681 section 4.1).

    `ordered` is sorted. Returns math.inf where the rank falls among the lost, None for an empty
    sample.
    """
    total = len(ordered) + lost
    if total == 0:
        return None
    rank = max(1, math.ceil(share * total - 1e-9))
    return ordered[rank - 1] if rank <= len(ordered) else math.inf


def median(ordered: Sequence[int], lost: int = 0) -> float | None:
    """Median; of an even sample the mean of the two central values (RFC 2681 section 4.2)."""
    total = len(ordered) + lost
    if total == 0:
        return None
    low, high = (total - 1) // 2, total // 2
    if high >= len(ordered):
        return math.inf
    return (ordered[low] + ordered[high]) / 2


def pdv(ordered: Sequence[int], share: float = 0.99) -> float | None:
    """Packet delay variation: the `share` percentile minus the least delay (RFC 5481 section 4.2).

    Of received packets only, nanoseconds.
    """
    top = percentile(ordered, share)
    return None if top is None else top - ordered[0]


class Jitter:
    """RFC 3550 section 6.4.1 interarrival jitter, here over round trips: J += (|D| - J) / 16."""

    def __init__(self) -> None:
        self.value_ns: float | None = None
        self._last_ns: int | None = None

    def add(self, rtt_ns: int) -> None:
        """Take the next received packet's RTT."""
        if self._last_ns is not None:
            before = self.value_ns or 0.0
            self.value_ns = before + (abs(rtt_ns - self._last_ns) - before) / 16
        self._last_ns = rtt_ns


_UNSENT = frozenset({Outcome.NOT_SENT, Outcome.LOCAL_ERROR, Outcome.DNS_ERROR})
"""Slots that used a number and sent nothing; an ABORTED packet did leave."""


class Directional(NamedTuple):
    """Losses by direction as the stateful reflector's counter tells them (RFC 8762 section 4)."""

    forward_lost: int
    reverse_lost: int


class _Segment:
    """One stretch of a reflector session's counter; counts by sets, so that order is no matter."""

    def __init__(self, base: tuple[int, int], in_flight: int) -> None:
        self._base_seq, self._base = base
        self._newest_seq = self._top_seq = self._base_seq
        self._top = self._base
        self._in_flight = in_flight
        self._replies = self._unsent = self._overtaken = 0

    def restarted(self, seq: int, reflected: int) -> bool:
        """Whether this cannot be the same counter: it only rises, so it is lower only for a
        packet that was overtaken, and none is by one that was sent after its reply was due."""
        behind = self._top - reflected
        return behind > self._in_flight or (behind >= 0 and seq - self._top_seq > self._in_flight)

    def add(self, seq: int, reflected: int, unsent: int) -> None:
        """Take a reply, before which `unsent` slots passed without a packet."""
        self._newest_seq = max(self._newest_seq, seq)
        self._unsent += unsent
        self._replies += 1
        if reflected > self._top:
            self._top, self._top_seq = reflected, seq
        if reflected <= self._base:
            self._overtaken += 1

    def losses(self) -> Directional:
        """Packets of this stretch that did not arrive, and replies that did not come back."""
        sent = max(self._newest_seq - self._base_seq - self._unsent, 0)
        # A counter beyond what was sent belongs to later packets that overtook.
        arrived = min(self._top - self._base + self._overtaken, sent)
        return Directional(sent - arrived, max(arrived - self._replies, 0))


def directional(train: Train) -> Directional | None:
    """Losses between the train's `prior` reply and its newest reply, by direction.

    Slots in which nothing was sent are no loss. Packets after the newest reply are not known
    yet: the next train's `prior` reaches back over them. None where there is no reflector
    counter. A counter that runs backwards is a new session of the reflector: counting begins
    anew there, and losses across the seam have no direction. Exact where no packet overtakes
    another across the end of a train, which the agent avoids (agent/recorder.py); there, one loss
    may be booked on the wrong direction.
    """
    if train.reflector_seq is None:
        return None
    in_flight = train.timeout_ns // train.interval_ns + 1
    segments: list[_Segment] = []
    if train.prior is not None:
        segments.append(_Segment(train.prior, in_flight))
    unsent = 0
    for k, reflected in enumerate(train.reflector_seq):
        if reflected is None:
            unsent += train.outcome[k] in _UNSENT
            continue
        seq = train.first_seq + k
        if not segments and reflected <= seq and train.first_seq == 0:
            # The session began with this train, so its counter began at 0 as well.
            segments.append(_Segment((-1, -1), in_flight))
        elif not segments or segments[-1].restarted(seq, reflected):
            segments.append(_Segment((seq - 1, reflected - 1), in_flight))
            unsent = 0
        segments[-1].add(seq, reflected, unsent)
        unsent = 0
    ways = [segment.losses() for segment in segments]
    return Directional(sum(w.forward_lost for w in ways), sum(w.reverse_lost for w in ways))


class Summary(NamedTuple):
    """What one target's trains of one batch add to the link's counters; durations in ns."""

    sent: int
    lost: int
    not_sent: int
    received: int
    rtt_sum_ns: int
    buckets: tuple[int, ...]
    """Packets per RTT bucket (not cumulative), one more than BUCKETS_NS for the rest."""
    forward_lost: int | None
    reverse_lost: int | None
    rtt_min_ns: int | None
    rtt_median_ns: float | None
    """Lost packets count as infinitely late (RFC 2681): inf when half or more were lost."""
    rtt_p95_ns: float | None
    rtt_max_ns: int | None
    pdv_p99_ns: float | None
    jitter_ns: float | None


def _counts(trains: Sequence[Train]) -> tuple[int, int, int]:
    sent = lost = not_sent = 0
    for train in trains:
        for outcome in train.outcome:
            if outcome.local:
                not_sent += 1
            else:
                sent += 1
                lost += outcome.lost
    return sent, lost, not_sent


def stamps(trains: Sequence[Train]) -> tuple[int, ...]:
    """Round trips by whose stamps made them, in the order of StampSource."""
    counts = [0] * len(StampSource)
    for train in trains:
        for source in train.stamp:
            counts[source] += 1
    return tuple(counts)


def forward_median_us(trains: Sequence[Train]) -> float | None:
    """Median raw forward difference (RFC 7679 delay plus the clocks' difference), microseconds."""
    values = sorted(us for train in trains for us in train.forward_us or () if us is not None)
    return median(values)


def one_way_allowed(error_ns: int | None, hub_error_ns: int | None, delay_ns: float) -> bool:
    """Whether a one-way delay may be told: both clocks' bounds within 1 ms or 10 % of it
    (methodology 3.2)."""
    if error_ns is None or hub_error_ns is None or delay_ns < 0:
        return False
    return error_ns + hub_error_ns <= max(1_000_000, delay_ns / 10)


def _sum(values: Iterable[int | None]) -> int | None:
    known = [value for value in values if value is not None]
    return min(sum(known), MAX_COUNT) if known else None


def summarise(trains: Sequence[Train]) -> Summary:
    """The summary of trains of one target, in send order."""
    sent, lost, not_sent = _counts(trains)
    jitter = Jitter()
    rtts: list[int] = []
    buckets = [0] * (len(BUCKETS_NS) + 1)
    for train in trains:
        for rtt, outcome in zip(train.rtt_ns, train.outcome, strict=True):
            # A refusal is a round trip, but of another kind of answer, by another clock.
            if rtt is not None and outcome is Outcome.OK:
                rtts.append(rtt)
                jitter.add(rtt)
                buckets[bisect_left(BUCKETS_NS, rtt)] += 1
    rtts.sort()
    ways = [directional(train) for train in trains]
    return Summary(
        sent=sent,
        lost=lost,
        not_sent=not_sent,
        received=len(rtts),
        rtt_sum_ns=sum(rtts),
        buckets=tuple(buckets),
        forward_lost=_sum(way and way.forward_lost for way in ways),
        reverse_lost=_sum(way and way.reverse_lost for way in ways),
        rtt_min_ns=rtts[0] if rtts else None,
        rtt_median_ns=median(rtts, lost),
        rtt_p95_ns=percentile(rtts, 0.95, lost),
        rtt_max_ns=rtts[-1] if rtts else None,
        pdv_p99_ns=pdv(rtts),
        jitter_ns=jitter.value_ns,
    )
