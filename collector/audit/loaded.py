"""When our own throughput tests filled a link: seconds that tell nothing of delay and loss. Pure.

A test loads the link on purpose, up to and beyond the promised rate, so what the probes see of
delay and loss meanwhile is made by us and is no violation of the contract. Availability goes on
counting: a link that carries a test is up, and one that breaks under a load within its promise is
not excused.
"""

from collections.abc import Callable, Iterable
from itertools import pairwise

from collector.audit.evidence import Span
from wire.transfer import NOT_MADE, Transfer, TransferOutcome

SECOND = 1_000_000_000
DRAIN_NS = 2 * SECOND
"""After the load: queues on the way run empty, and a packet sent into them may take as long as a
probe waits for it."""
_NO_LOAD = NOT_MADE | {TransferOutcome.REFUSED, TransferOutcome.UNREACHABLE}


def loaded_spans(
    transfers: Iterable[Transfer], wall_ns_of: Callable[[Transfer], tuple[int, int] | None]
) -> tuple[Span, ...]:
    """The seconds of one link that limits of delay and loss leave out, joined and in order.

    `wall_ns_of` gives UTC nanoseconds of a Transfer's `boot_ns` and the bound on their error, by
    which a span grows at both ends; None where nobody knows, and such a test masks nothing.
    Transfers that put nothing on the link mask nothing.
    """
    found = []
    for one in transfers:
        placed = None if one.outcome in _NO_LOAD else wall_ns_of(one)
        if placed is None or one.duration_ns is None:
            continue
        begin_ns, error_ns = placed
        start_s = (begin_ns - error_ns) // SECOND
        end_s = -(-(begin_ns + one.duration_ns + DRAIN_NS + error_ns) // SECOND)
        found.append(Span(start_s, end_s))
    return _joined(sorted(found))


def _joined(spans: list[Span]) -> tuple[Span, ...]:
    """Overlapping or touching ones made one."""
    if not spans:
        return ()
    edges, end_s = [spans[0].start_s], spans[0].end_s
    for one in spans[1:]:
        if one.start_s > end_s:
            edges += [end_s, one.start_s]
        end_s = max(end_s, one.end_s)
    edges.append(end_s)
    return tuple(Span(*pair) for pair in list(pairwise(edges))[::2])
