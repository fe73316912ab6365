"""Where a boot clock stands on the calendar: a pure choice between imperfect witnesses.

An agent's wall clock is a claim. The hub's own clock, carried by a signed exchange within the
same boot (an anchor), beats it; with neither, a batch was at least sealed before it arrived.
"""

from collections.abc import Iterable

from collector.ledger import PlacedBy, Placement
from wire.batch import Header
from wire.instant import ClockClass
from wire.journal import Anchor

SECOND = 1_000_000_000
DRIFT_PPM = 100
"""Bound on a cheap quartz between two anchors (delivery 2.6)."""
_CLASS_ERROR_NS = {
    ClockClass.A: SECOND // 100,
    ClockClass.B: SECOND // 10,
    ClockClass.C: SECOND,
}


def _distance_error_ns(anchor: Anchor, boot_ns: int) -> int:
    """The anchor's error, grown by the drift over the distance to `boot_ns`."""
    return anchor.error_ns + abs(boot_ns - anchor.boot_ns) * DRIFT_PPM // 1_000_000


def by_anchor(anchor: Anchor, boot_ns: int) -> Placement:
    """Placement of `boot_ns` by an anchor of its boot."""
    error_ns = _distance_error_ns(anchor, boot_ns)
    return Placement(anchor.hub_wall_ns - anchor.boot_ns, error_ns, PlacedBy.ANCHOR)


def nearest(anchors: Iterable[Anchor], boot_ns: int) -> Anchor | None:
    """The anchor that places `boot_ns` with the least error."""
    return min(anchors, key=lambda anchor: _distance_error_ns(anchor, boot_ns), default=None)


def believable(anchor: Anchor, received_wall_ns: int) -> bool:
    """An anchor names a moment of the hub's past: one from the future is a lie or a mix-up."""
    return 0 <= anchor.hub_wall_ns <= received_wall_ns + SECOND


def _sealed_before(header: Header, placement: Placement, received_wall_ns: int) -> bool:
    """Whether the batch, so placed, was sealed before it arrived, as every batch was."""
    sealed_wall_ns = header.sealed_boot_ns + placement.offset_ns
    return sealed_wall_ns <= received_wall_ns + SECOND + (placement.error_ns or 0)


def place(header: Header, received_wall_ns: int, anchor: Anchor | None) -> Placement:
    """The best placement of a batch that arrived at `received_wall_ns` (hub clock)."""
    if anchor is not None and believable(anchor, received_wall_ns):
        anchored = by_anchor(anchor, header.last_boot_ns)
        if _sealed_before(header, anchored, received_wall_ns):
            return anchored
    claimed_error = _CLASS_ERROR_NS.get(header.clock)
    if claimed_error is not None and header.sealed_wall_ns <= received_wall_ns + claimed_error:
        offset = header.sealed_wall_ns - header.sealed_boot_ns
        return Placement(offset, claimed_error, PlacedBy.AGENT)
    return Placement(received_wall_ns - header.sealed_boot_ns, None, PlacedBy.RECEIVED)
