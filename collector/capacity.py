"""What a Transfer says: rates, losses, delays, grades, and what is users' own. Pure.

Everything is computed from the samples of the record, at full precision, and can be computed by
anybody who has it (docs/throughput.md). Rates are bits per second of IP packets unless said
otherwise; `None` means that the record does not tell.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise

from collector.device import compare
from wire.detail import Reading
from wire.slot import Direction, Method
from wire.transfer import HubLoad, Transfer, TransferOutcome

SECOND = 1_000_000_000
WARM_UP_NS = 2 * SECOND
"""Discarded by default: slow start, and the queues filling (methodology 4.4)."""
BUSY_RATIO = 0.7
"""A hub whose processors or network card are busier than this judges nobody."""
_L1_OCTETS, _L2_OCTETS, _VLAN_OCTETS = 20, 18, 4
_MTU = 1500
_IP4, _TCP = 20, 32


class Layer(StrEnum):
    """On which layer a contract counts its bits."""

    L1 = "l1"
    """Ethernet with preamble and gap"""
    L2 = "l2"
    """Ethernet frames"""
    IP = "ip"


def ip_share(layer: Layer, *, vlan: bool = False, packet_bytes: int = _MTU) -> float:
    """How much of a rate of this layer are IP packets of this length."""
    framing = 0 if layer is Layer.IP else _L2_OCTETS + _VLAN_OCTETS * vlan
    if layer is Layer.L1:
        framing += _L1_OCTETS
    return packet_bytes / (packet_bytes + framing)


def expected_ip(
    cir_bits_per_s: float, layer: Layer = Layer.L1, *, vlan: bool = True, packet_bytes: int = _MTU
) -> float:
    """IP rate of a CIR. Contracts that do not say are read in the provider's favour: L1, tagged."""
    return cir_bits_per_s * ip_share(layer, vlan=vlan, packet_bytes=packet_bytes)


def tcp_ceiling(cir_bits_per_s: float, layer: Layer = Layer.L1, *, vlan: bool = True) -> float:
    """Largest TCP goodput of such a CIR: IPv4, time stamps, full packets."""
    return expected_ip(cir_bits_per_s, layer, vlan=vlan) * (_MTU - _IP4 - _TCP) / _MTU


# --- rates


def usable(transfer: Transfer) -> str | None:
    """None where the test may speak about the link, else why not."""
    if transfer.outcome is not TransferOutcome.DONE:
        return str(transfer.outcome)
    hub = transfer.hub or HubLoad()
    if hub.cpu_ratio is not None and hub.cpu_ratio > BUSY_RATIO:
        return f"the hub's processors were busy to {hub.cpu_ratio:.0%}"
    if hub.nic_bits_per_s is not None and hub.nic_speed_mbps is not None:
        ratio = hub.nic_bits_per_s / (hub.nic_speed_mbps * 1e6)
        if ratio > BUSY_RATIO:
            return f"the hub's network card was busy to {ratio:.0%}"
    return None


def _bins(transfer: Transfer, skip_ns: int) -> slice:
    """Whole bins after the warm-up, up to the end of the load."""
    first = -(-skip_ns // transfer.bin_ns)
    duration_ns = transfer.duration_ns
    if duration_ns is None:
        return slice(first, None)
    # The receiver's clock begins with the first packet, the sender's with the first sent: a bin
    # that the load filled to all but a hundredth is whole.
    whole = (duration_ns + transfer.bin_ns // 100) // transfer.bin_ns
    return slice(min(first, max(0, whole - 1)), whole)


def achieved(transfer: Transfer, skip_ns: int = WARM_UP_NS) -> float | None:
    """Mean rate at the receiver after the warm-up (RFC 9097 section 5, one interval)."""
    octets = transfer.octets[_bins(transfer, skip_ns)]
    return sum(octets) * 8 * SECOND / (len(octets) * transfer.bin_ns) if octets else None


def series(transfer: Transfer, dt_ns: int = SECOND) -> list[float]:
    """Rates of consecutive intervals of `dt_ns`; an incomplete last one is left out."""
    step = max(1, dt_ns // transfer.bin_ns)
    octets = transfer.octets[_bins(transfer, 0)]
    whole = len(octets) - len(octets) % step
    return [
        sum(octets[k : k + step]) * 8 * SECOND / (step * transfer.bin_ns)
        for k in range(0, whole, step)
    ]


def maximum(rates: Sequence[float]) -> float | None:
    """Maximum_C: the largest rate of any interval (RFC 9097 section 5.2)."""
    return max(rates, default=None)


@dataclass(frozen=True)
class Mode:
    """From this interval on, this mean rate."""

    since: int
    rate: float


_MODE_RATIO = 0.8
_MODE_LEAST = 2


def modes(rates: Sequence[float]) -> list[Mode]:
    """One mode, or two where the rate shifted once and for good (RFC 9097 section 6.6).

    The split is the one that leaves the least squares; it counts where the lower mean is below
    four fifths of the higher one.
    """
    if not rates:
        return []
    whole = [Mode(0, sum(rates) / len(rates))]
    if len(rates) < 2 * _MODE_LEAST:
        return whole
    places = range(_MODE_LEAST, len(rates) - _MODE_LEAST + 1)
    at = min(places, key=lambda k: _squares(rates[:k]) + _squares(rates[k:]))
    both = sum(rates[:at]) / at, sum(rates[at:]) / (len(rates) - at)
    return [Mode(0, both[0]), Mode(at, both[1])] if min(both) < _MODE_RATIO * max(both) else whole


def _squares(rates: Sequence[float]) -> float:
    mean = sum(rates) / len(rates)
    return sum((one - mean) ** 2 for one in rates)


def stages(transfer: Transfer, skip_ns: int = WARM_UP_NS) -> list[tuple[int, float]]:
    """Of a staircase: what was offered and what arrived, step by step, each without its
    warm-up."""
    edges = [offer.since_ns for offer in transfer.offered] + [transfer.duration_ns or 0]
    found = []
    for offer, (since_ns, until_ns) in zip(transfer.offered, pairwise(edges), strict=True):
        first = -(-(since_ns + min(skip_ns, (until_ns - since_ns) // 2)) // transfer.bin_ns)
        octets = transfer.octets[first : until_ns // transfer.bin_ns]
        if octets:
            rate = sum(octets) * 8 * SECOND / (len(octets) * transfer.bin_ns)
            found.append((offer.bits_per_s, rate))
    return found


# --- loss and delay, in the same window


def loss_ratio(transfer: Transfer, skip_ns: int = WARM_UP_NS) -> float | None:
    """Packets that never came, of those that were sent (RFC 7680); without those that found no
    room in the receiving machine, which no link has lost."""
    if transfer.lost is None or transfer.packets is None:
        return None
    window = _bins(transfer, skip_ns)
    lost, came = sum(transfer.lost[window]), sum(transfer.packets[window])
    lost = max(0, lost - (transfer.dropped_packets or 0))
    return lost / (lost + came) if lost + came else None


def reordering_ratio(transfer: Transfer, skip_ns: int = WARM_UP_NS) -> float | None:
    """Packets with a lower number than one before, of those that came (RFC 4737 section 3.3)."""
    if transfer.reordered is None or transfer.packets is None:
        return None
    window = _bins(transfer, skip_ns)
    came = sum(transfer.packets[window])
    return sum(transfer.reordered[window]) / came if came else None


def pdv_ns(transfer: Transfer, skip_ns: int = WARM_UP_NS) -> int | None:
    """99th percentile of one-way delay less the least (RFC 5481 section 4.2), nearest rank."""
    if transfer.delay_interval_ns is None:
        return None
    first = -(-skip_ns // transfer.delay_interval_ns)
    known = sorted(one for one in transfer.delay_us[first:] if one is not None)
    return (_rank(known, 0.99) - known[0]) * 1000 if known else None


def _rank(ordered: Sequence[int], share: float) -> int:
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def loaded_rtts_ns(transfer: Transfer, skip_ns: int = WARM_UP_NS) -> list[int]:
    """Round trips beside the load that were answered, after the warm-up."""
    if not transfer.rtt_interval_ns:
        return []
    first = -(-skip_ns // transfer.rtt_interval_ns)
    return [one for one in transfer.rtt_load_ns[first:] if one is not None]


def rtt_rise_ns(transfer: Transfer, skip_ns: int = WARM_UP_NS) -> float | None:
    """Mean round trip under load less the mean of the idle ones."""
    idle = [one for one in transfer.rtt_idle_ns if one is not None]
    loaded = loaded_rtts_ns(transfer, skip_ns)
    return sum(loaded) / len(loaded) - sum(idle) / len(idle) if idle and loaded else None


_GRADES = ((5, "A+"), (30, "A"), (60, "B"), (200, "C"), (400, "D"))


def bufferbloat(rise_ns: float) -> str:
    """Grade of a mean rise of the round trip (DSLReports)."""
    return next((grade for below, grade in _GRADES if rise_ns < below * 1e6), "F")


# --- responsiveness (draft-ietf-ippm-responsiveness)


def trimmed_mean(values: Sequence[float]) -> float:
    """Single-sided 95 % trimmed mean: without the largest twentieth. Raises ValueError on none."""
    kept = sorted(values)[: max(1, math.floor(0.95 * len(values)))]
    if not kept:
        raise ValueError("no values")
    return sum(kept) / len(kept)


def rpm(
    loaded_ms: Sequence[float],
    tcp_ms: Sequence[float],
    http_ms: Sequence[float],
    tls_ms: Sequence[float] | None = None,
) -> float:
    """Round trips per minute, of milliseconds; without TLS its term is left out."""
    foreign = [trimmed_mean(one) for one in (tcp_ms, tls_ms, http_ms) if one is not None]
    return (60_000 / (sum(foreign) / len(foreign)) + 60_000 / trimmed_mean(loaded_ms)) / 2


def responsiveness(transfer: Transfer) -> float | None:
    """RPM by the record's inputs: the load's own RTT (TCP_INFO) as the loaded request, new TCP
    connections and datagrams beside it as the foreign ones. A lower bound of effort, and an upper
    bound of what a browser would see: no TLS, no HTTP server."""
    if transfer.method is not Method.TCP:
        return None
    own = [one / 1e6 for flow in transfer.tcp for one in flow.rtt_ns if one is not None]
    shakes = [one / 1e6 for one in transfer.connect_load_ns if one is not None]
    beside = [one / 1e6 for one in loaded_rtts_ns(transfer)]
    return rpm(own, shakes, beside) if own and shakes and beside else None


# --- TCP (RFC 6349)


def transfer_time_ratio(actual_s: float, ideal_s: float) -> float:
    """Section 4.1.1."""
    return actual_s / ideal_s


def tcp_efficiency(octets: int, retransmitted: int) -> float:
    """Share of what was sent that was not sent again (section 4.1.2)."""
    return (octets - retransmitted) / octets


def buffer_delay(mean_rtt: float, base_rtt: float) -> float:
    """Rise of the round trip over the baseline, as a share of it (section 4.1.3)."""
    return (mean_rtt - base_rtt) / base_rtt


def window_limit(window_octets: int, rtt_s: float) -> float:
    """Largest rate that a receive window allows, bits per second (section 3.3.1)."""
    return window_octets * 8 / rtt_s


def bdp_octets(bits_per_s: float, rtt_s: float) -> float:
    """Bandwidth-delay product."""
    return bits_per_s * rtt_s / 8


# --- users' own traffic (RFC 2863 counters of their router)


@dataclass(frozen=True)
class Crossing:
    """All traffic and the users' own, between two readings of the customer's router."""

    total: float
    test: float
    since_ns: int
    until_ns: int

    @property
    def cross(self) -> float:
        """What was not ours."""
        return self.total - self.test


def wire_rate(octets: int, packets: int, elapsed_ns: int, framing: int = _L2_OCTETS) -> float:
    """IP rate of an interface's octets, which include so much framing in each packet."""
    return 8 * (octets - framing * packets) * SECOND / elapsed_ns


def crossing(
    transfer: Transfer, *, framing: int = _L2_OCTETS, device_counts_in: bool = True
) -> Crossing | None:
    """By the last two readings since the load began, or around it where there are not two.

    Down traffic enters the router from the link; `device_counts_in` False is for a reading of the
    interface on the other side.
    """
    pair = _readings(transfer)
    if pair is None:
        return None
    earlier, later = pair
    elapsed_ns = later.boot_ns - earlier.boot_ns
    delta = compare(earlier, later, elapsed_ns)
    inward = (transfer.direction is Direction.DOWN) is device_counts_in
    octets = delta.in_octets if inward else delta.out_octets
    packets = delta.in_packets if inward else delta.out_packets
    if octets is None or packets is None:
        return None
    total = wire_rate(octets, packets, elapsed_ns, framing)
    sent = _between(transfer, earlier.boot_ns, later.boot_ns)
    test = sent * 8 * SECOND / elapsed_ns
    return Crossing(total, test, earlier.boot_ns, later.boot_ns)


def _readings(transfer: Transfer) -> tuple[Reading, Reading] | None:
    known = [one for one in transfer.cpe if one.in_octets is not None]
    if len(known) < 2:
        return None
    # The newest before or at the beginning would be diluted by what came before it.
    within = [one for one in known if one.boot_ns >= transfer.boot_ns]
    earlier = within[0] if len(within) >= 2 else known[0]
    return (earlier, known[-1]) if known[-1].boot_ns > earlier.boot_ns else None


def _between(transfer: Transfer, since_ns: int, until_ns: int) -> float:
    """Our own octets between two moments; a bin cut in two counts by its parts."""
    total = 0.0
    for k, octets in enumerate(transfer.octets):
        begin_ns = transfer.boot_ns + k * transfer.bin_ns
        overlap = min(until_ns, begin_ns + transfer.bin_ns) - max(since_ns, begin_ns)
        total += octets * max(0, overlap) / transfer.bin_ns
    return total


def attainment(
    achieved_bits_per_s: float, cross_bits_per_s: float, expected_bits_per_s: float
) -> float:
    """The test's own rate and the users' together, as a share of what the CIR promises of IP.

    The cross rate is a mean over the time between two readings, which is somewhat longer than the
    load: it is right as far as users went on as they did.
    """
    return (achieved_bits_per_s + cross_bits_per_s) / expected_bits_per_s
