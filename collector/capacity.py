"""What a Transfer says: rates, losses, delays, grades, and what is users' own. Pure.

Everything is computed from the samples of the record, at full precision, and can be computed by
anybody who has it (docs/throughput.md). Rates are bits per second of IP packets unless said
otherwise; `None` means that the record does not tell.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from collector.audit import capacity as formulas
from collector.audit.capacity import Counters, Promise, Responses, Tcp, TcpTest, attainment
from collector.device import compare
from wire.achieved import (
    SECOND,
    WARM_UP_NS,
    achieved,
    loaded_rtts_ns,
    loss_ratio,
    maximum,
    series,
    stages,
    window,
)
from wire.detail import Reading
from wire.slot import Direction, Method
from wire.transfer import HubLoad, Transfer, TransferOutcome

__all__ = ["SECOND", "WARM_UP_NS", "achieved", "attainment", "loaded_rtts_ns", "loss_ratio",
           "maximum", "series", "stages"]  # fmt: skip
BUSY_RATIO = 0.7
"""A hub whose processors or network card are busier than this judges nobody."""


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


# --- loss and delay, in the same window


def reordering_ratio(transfer: Transfer, skip_ns: int = WARM_UP_NS) -> float | None:
    """Packets with a lower number than one before, of those that came (RFC 4737 section 3.3)."""
    if transfer.reordered is None or transfer.packets is None:
        return None
    whole = window(transfer, skip_ns)
    came = sum(transfer.packets[whole]) + (transfer.late_packets or 0)
    return min(1.0, sum(transfer.reordered[whole]) / came) if came else None


def pdv_ns(transfer: Transfer, skip_ns: int = WARM_UP_NS) -> int | None:
    """99th percentile of one-way delay less the least (RFC 5481 section 4.2), nearest rank."""
    if transfer.delay_interval_ns is None:
        return None
    first = -(-skip_ns // transfer.delay_interval_ns)
    known = sorted(one for one in transfer.delay_us[first:] if one is not None)
    return (_rank(known, 0.99) - known[0]) * 1000 if known else None


def _rank(ordered: Sequence[int], share: float) -> int:
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def rtt_rise_ns(transfer: Transfer, skip_ns: int = WARM_UP_NS) -> float | None:
    """Mean round trip under load less the mean of the idle ones."""
    idle = [one for one in transfer.rtt_idle_ns if one is not None]
    loaded = loaded_rtts_ns(transfer, skip_ns)
    return sum(loaded) / len(loaded) - sum(idle) / len(idle) if idle and loaded else None


def bufferbloat(rise_ns: float) -> str:
    """Grade of a mean rise of the round trip (DSLReports)."""
    return formulas.bufferbloat_grade(rise_ns / 1e6)


# --- responsiveness (draft-ietf-ippm-responsiveness)


def responses(transfer: Transfer) -> Responses | None:
    """Response times under load, by the record's inputs; None where there are not all.

    Foreign: new TCP connections, their TLS where the hub has it, and requests for one octet on
    them; of a record without such requests, datagrams beside the load, which see no HTTP server.
    Loaded: requests on the load's own connection; of a record without them, its RTT by TCP_INFO,
    as the draft has it for connections that cannot be shared. What got no answer says nothing.
    """
    if transfer.method not in (Method.TCP, Method.NDT7):
        return None
    flows = [one for flow in transfer.tcp for one in flow.rtt_ns]
    own = _known_ms(transfer.own_load_ns) or _known_ms(flows)
    shakes = _known_ms(transfer.connect_load_ns)
    asked = _known_ms(transfer.http_load_ns) or _known_ms(loaded_rtts_ns(transfer))
    if not (own and shakes and asked):
        return None
    return Responses(shakes, _known_ms(transfer.tls_load_ns), asked, own)


def _known_ms(times_ns: Sequence[int | None]) -> list[float]:
    return [one / 1e6 for one in times_ns if one is not None]


def responsiveness(transfer: Transfer) -> float | None:
    """Round trips per minute under load; None where the record has not the inputs."""
    found = responses(transfer)
    return None if found is None else formulas.responsiveness(found).rpm


# --- what TCP makes of the link (RFC 6349)


def base_rtt_ns(transfer: Transfer) -> int | None:
    """The least round trip that anything saw: those before the load, or the flows' own least."""
    idle = [one for one in transfer.rtt_idle_ns if one is not None]
    flows = [one.min_rtt_ns for one in transfer.tcp if one.min_rtt_ns is not None]
    return min([*idle, *flows], default=None)


def rfc6349(transfer: Transfer, promise: Promise) -> Tcp | None:
    """What RFC 6349 says of a test by tcp or ndt7; None where the record has not all inputs.

    Ideal is the payload that the promise leaves TCP, actual all payload of the whole load, slow
    start included; users' traffic beside it makes the transfer longer and is not taken out. Octets
    sent, sent again, and the loaded round trip are the sender's kernel's.
    """
    if transfer.method not in (Method.TCP, Method.NDT7):
        return None
    sent = _sum([one.bytes_sent for one in transfer.tcp])
    resent = _sum([one.bytes_retransmitted for one in transfer.tcp])
    rate = achieved(transfer, skip_ns=0)
    base_ns, loaded = base_rtt_ns(transfer), _known_ms([t for f in transfer.tcp for t in f.rtt_ns])
    if not (sent and rate and base_ns and loaded) or resent is None or resent > sent:
        return None
    headers = transfer.headers
    share = (
        formulas.tcp_share()
        if headers is None
        else (headers.packet - headers.ip - headers.transport) / headers.packet
    )
    return formulas.rfc6349(
        TcpTest(
            actual_s=1.0,
            ideal_s=rate * share / (promise.goodput_mbps * 1e6),
            sent=sent,
            resent=resent,
            base_rtt_ms=base_ns / 1e6,
            loaded_rtt_ms=sum(loaded) / len(loaded),
        )
    )


def _sum(counts: Sequence[int | None]) -> int | None:
    """None where one of them is not known, or there are none."""
    known = [one for one in counts if one is not None]
    return sum(known) if known and len(known) == len(counts) else None


# --- users' own traffic (RFC 2863 counters of their router)


@dataclass(frozen=True)
class Crossing:
    """All traffic and the users' own, between two readings of the customer's router."""

    total: float
    test: float
    cross: float
    """What was not ours; never below 0."""
    since_ns: int
    until_ns: int


def crossing(
    transfer: Transfer, *, vlan: bool = False, device_counts_in: bool = True
) -> Crossing | None:
    """By the last two readings since the load began, or around it where there are not two.

    Down traffic enters the router from the link; `device_counts_in` False is for a reading of the
    interface on the other side. With `vlan` its frames carry a tag. None where the counters cannot
    be compared, or say what cannot be. The mean is over the time between the two readings, which
    is somewhat longer than the load: it is right as far as users went on as they did.
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
    test_mbps = formulas.mbps(
        _between(transfer, earlier.boot_ns, later.boot_ns), elapsed_ns / SECOND
    )
    try:
        load = formulas.load(Counters(octets, packets, elapsed_ns / SECOND), test_mbps, vlan=vlan)
    except ValueError:
        return None
    return Crossing(
        total=load.ip_mbps * 1e6,
        test=test_mbps * 1e6,
        cross=load.cross_mbps * 1e6,
        since_ns=earlier.boot_ns,
        until_ns=later.boot_ns,
    )


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
    # Only the bins that the two moments hold: a month of a link has a quarter of a million.
    first = max(0, (since_ns - transfer.boot_ns) // transfer.bin_ns)
    last = max(first, -(-(until_ns - transfer.boot_ns) // transfer.bin_ns))
    for k, octets in enumerate(transfer.octets[first:last], first):
        begin_ns = transfer.boot_ns + k * transfer.bin_ns
        end_ns = begin_ns + transfer.bin_ns
        if since_ns <= begin_ns and end_ns <= until_ns:
            total += octets
        else:
            overlap_ns = min(until_ns, end_ns) - max(since_ns, begin_ns)
            total += octets * max(0, overlap_ns) / transfer.bin_ns
    return total
