"""What the samples of a Transfer show of rate, loss and round trips: pure.

Both programs need these few numbers, the agent to show an ordered test, the collector to judge;
everything else that can be computed of a Transfer is in `collector/capacity.py`. Rates are bits per
second of IP packets at the receiver; `None` means that the record does not tell.
"""

from collections.abc import Sequence
from itertools import pairwise

from wire.transfer import Transfer

SECOND = 1_000_000_000
WARM_UP_NS = 2 * SECOND
"""Discarded by default: slow start, and the queues filling (methodology 4.4)."""


def window(transfer: Transfer, skip_ns: int) -> slice:
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
    octets = transfer.octets[window(transfer, skip_ns)]
    return sum(octets) * 8 * SECOND / (len(octets) * transfer.bin_ns) if octets else None


def series(transfer: Transfer, dt_ns: int = SECOND) -> list[float]:
    """Rates of consecutive intervals of `dt_ns`; an incomplete last one is left out."""
    step = max(1, dt_ns // transfer.bin_ns)
    octets = transfer.octets[window(transfer, 0)]
    whole = len(octets) - len(octets) % step
    return [
        sum(octets[k : k + step]) * 8 * SECOND / (step * transfer.bin_ns)
        for k in range(0, whole, step)
    ]


def maximum(rates: Sequence[float]) -> float | None:
    """Maximum_C: the largest rate of any interval (RFC 9097 section 5.2)."""
    return max(rates, default=None)


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


def loss_ratio(transfer: Transfer, skip_ns: int = WARM_UP_NS) -> float | None:
    """Packets that never came, of those that were sent (RFC 7680); without those that found no
    room in the receiving machine, which no link has lost. Duplicates are no further packets; those
    that came after the last bin are, because losses among them are in it."""
    if transfer.lost is None or transfer.packets is None:
        return None
    whole = window(transfer, skip_ns)
    lost, came = sum(transfer.lost[whole]), sum(transfer.packets[whole])
    came += (transfer.late_packets or 0) - sum((transfer.duplicated or [])[whole])
    lost = max(0, lost - (transfer.dropped_packets or 0))
    return lost / (lost + came) if lost + came else None


def loaded_rtts_ns(transfer: Transfer, skip_ns: int = WARM_UP_NS) -> list[int]:
    """Round trips beside the load that were answered, after the warm-up."""
    if not transfer.rtt_interval_ns:
        return []
    first = -(-skip_ns // transfer.rtt_interval_ns)
    return [one for one in transfer.rtt_load_ns[first:] if one is not None]
