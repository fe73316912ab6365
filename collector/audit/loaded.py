"""When our own throughput tests filled a link: seconds that tell nothing of delay and loss. Pure.

A test loads the link on purpose, up to and beyond the promised rate, so what the probes see of
delay and loss meanwhile is made by us and is no violation of the contract. Availability goes on
counting: a link that carries a test is up, and one that breaks under a load within its promise is
not excused.
"""

from collections.abc import Iterable
from itertools import pairwise
from typing import NamedTuple, Protocol

from collector.audit.evidence import Span
from wire.transfer import NOT_MADE, TransferOutcome

SECOND = 1_000_000_000
DRAIN_NS = 2 * SECOND
"""After the load: queues on the way run empty, and a packet sent into them may take as long as a
probe waits for it."""
LONGEST_NS = 3600 * SECOND
"""No grant is longer: a record that claims more masks no more."""
_NO_LOAD = NOT_MADE | {TransferOutcome.REFUSED, TransferOutcome.UNREACHABLE}


class Made(Protocol):
    """What of a Transfer tells how long it loaded the link."""

    @property
    def outcome(self) -> TransferOutcome:
        """What became of it."""

    @property
    def duration_ns(self) -> int | None:
        """Of the load."""


class Load(NamedTuple):
    """A Transfer on the calendar."""

    transfer: Made
    begin_ns: int
    """UTC nanoseconds of its `boot_ns`."""
    error_ns: int
    """Bound on their error."""


def loaded_spans(loads: Iterable[Load]) -> tuple[Span, ...]:
    """The seconds of one link that limits of delay and loss leave out, joined and in order; each
    wider by the error at both ends. Transfers that put nothing on the link mask nothing.
    """
    found = []
    for one, begin_ns, error_ns in loads:
        if one.outcome in _NO_LOAD or one.duration_ns is None:
            continue
        start_s = (begin_ns - error_ns) // SECOND
        load_ns = min(one.duration_ns, LONGEST_NS)
        end_s = -(-(begin_ns + load_ns + DRAIN_NS + error_ns) // SECOND)
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
