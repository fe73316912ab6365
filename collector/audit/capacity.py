"""Arithmetic of rates: promises, attainment, users' own traffic, and what one test shows.

Rates are Mbit/s of 1 000 000 bit/s (RFC 9097) and, unless the name says otherwise, of IP packets.
Where a contract leaves the layer open, the reading that is best for the provider is taken.
"""

import math
import statistics
from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from wire.plan import MTU, frame_octets, ip_share
from wire.plan import Layer as Layer  # part of a Promise

MOST_MBPS = 1e9
"""No link is faster: a rate above is a mistake."""
_IP, _TCP = 20, 32
"""Octets of an IPv4 header, and of a TCP header with time stamps."""


class Promise(msgspec.Struct, frozen=True):
    """The rate a contract promises. With no layer in the contract: L1 with a VLAN tag."""

    cir_mbps: float
    layer: Layer = Layer.L1
    vlan: bool = True

    def __post_init__(self) -> None:
        if not 1e-3 <= self.cir_mbps <= MOST_MBPS:
            raise ValueError(f"CIR {self.cir_mbps!r}: expected 0.001 to {MOST_MBPS:g} Mbit/s")

    @property
    def framed(self) -> bool:
        """Whether a VLAN tag takes its part: IP packets are counted without."""
        return self.vlan and self.layer is not Layer.IP

    @property
    def expected_mbps(self) -> float:
        """IP rate that the promise leaves in full-size packets."""
        return self.cir_mbps * ip_share(self.layer, vlan=self.vlan)

    @property
    def goodput_mbps(self) -> float:
        """Payload rate that TCP with time stamps can reach at best."""
        return self.expected_mbps * tcp_share()


def tcp_share() -> float:
    """Share of IP bits that is TCP payload, time stamps on."""
    return (MTU - _IP - _TCP) / MTU


def mbps(octets: float, seconds: float) -> float:
    """A rate from octets; ndt7's goodput is this of NumBytes and ElapsedTime / 1e6."""
    return octets * 8 / seconds / 1e6


class Counters(NamedTuple):
    """How far an interface's counters moved in one direction during a test."""

    octets: int
    packets: int
    seconds: float


class Load(NamedTuple):
    """What crossed the link during a test, the test included."""

    layer2_mbps: float
    ip_mbps: float
    cross_mbps: float
    """Everybody else's: total less the test's own, never below 0."""


def load(counters: Counters, test_mbps: float, *, vlan: bool) -> Load:
    """Total and cross-traffic from counters. Raises ValueError for counters that ran backwards."""
    if counters.octets < 0 or counters.packets < 0 or counters.seconds <= 0:
        raise ValueError(f"counters ran backwards or no time passed: {counters}")
    inside = counters.octets - frame_octets(vlan=vlan) * counters.packets
    if inside < 0:
        raise ValueError(f"more framing than octets: {counters}")
    total = mbps(inside, counters.seconds)
    return Load(mbps(counters.octets, counters.seconds), total, max(0.0, total - test_mbps))


def attainment(achieved: float, cross: float | None, expected: float) -> float:
    """y: delivered share of the expected IP rate, all three in one unit. Without `cross` a lower
    bound of it."""
    return (achieved + (cross or 0.0)) / expected


class Tcp(NamedTuple):
    """Metrics of RFC 6349 section 4."""

    transfer_time_ratio: float
    efficiency_percent: float
    buffer_delay_percent: float


class TcpTest(NamedTuple):
    """What a TCP test counted. Octets sent include those sent again."""

    actual_s: float
    ideal_s: float
    sent: int
    resent: int
    base_rtt_ms: float
    loaded_rtt_ms: float


def rfc6349(test: TcpTest) -> Tcp:
    """Transfer time ratio, efficiency and buffer delay."""
    return Tcp(
        test.actual_s / test.ideal_s,
        (test.sent - test.resent) / test.sent * 100,
        (test.loaded_rtt_ms - test.base_rtt_ms) / test.base_rtt_ms * 100,
    )


def bandwidth_delay_octets(rate_mbps: float, rtt_ms: float) -> float:
    """Octets under way when a path is full."""
    return rate_mbps * 1e6 * rtt_ms / 1e3 / 8


def window_limit_mbps(window_octets: int, rtt_ms: float) -> float:
    """The rate that one flow cannot exceed with this window. Shown nowhere, because no record has a
    window: for whoever checks one by hand, with the method's vector."""
    return window_octets * 8 / (rtt_ms / 1e3) / 1e6


_GRADES = ((5, "A+"), (30, "A"), (60, "B"), (200, "C"), (400, "D"))


def bufferbloat_grade(increase_ms: float) -> str:
    """DSLReports' grade of the mean RTT increase under load: A+ to F."""
    return next((grade for below, grade in _GRADES if increase_ms < below), "F")


def trimmed_mean(values: Sequence[float]) -> float:
    """Mean without the largest 5 %: TM of draft-ietf-ippm-responsiveness, single-sided.

    At least one value stays; of fewer than 20 none is dropped.
    """
    if not values:
        raise ValueError("no values")
    kept = sorted(values)[: len(values) - len(values) // 20]
    return math.fsum(kept) / len(kept)


class Responses(NamedTuple):
    """Response times (ms) that responsiveness is made of; no TLS leaves its list empty."""

    connect: Sequence[float]
    tls: Sequence[float]
    foreign_http: Sequence[float]
    loaded_http: Sequence[float]


class Responsiveness(NamedTuple):
    """Round trips per minute under load."""

    foreign: float
    loaded: float
    rpm: float


def responsiveness(times: Responses) -> Responsiveness:
    """RPM of draft-ietf-ippm-responsiveness."""
    terms = [trimmed_mean(one) for one in (times.connect, times.tls, times.foreign_http) if one]
    foreign = 60_000 / statistics.fmean(terms)
    loaded = 60_000 / trimmed_mean(times.loaded_http)
    return Responsiveness(foreign, loaded, (foreign + loaded) / 2)
