"""The calendar time of a boot clock, from all anchors of its boot: pure, whatever their order.

Between two anchors time is interpolated: a box that was cut off for three days may have drifted
by ten seconds, and neither a hole nor an overlap in the middle is what happened. Anchors are
thinned to the best of every ten minutes, or the noise of their round trips would bend the seconds
between.
"""

from bisect import bisect_right
from collections.abc import Iterable

from collector.placing import DRIFT_PPM
from wire.journal import Anchor

BUCKET_NS = 600_000_000_000
_MOST_SKEW_PPM = 500
"""Beyond it two anchors do not describe one quartz: one of the clocks was set in between."""


class ClockMap:
    """Calendar time of one boot's clock."""

    def __init__(self, anchors: Iterable[Anchor]) -> None:
        """At least one anchor; all of one boot. Raises ValueError for none."""
        buckets: dict[int, list[Anchor]] = {}
        for anchor in anchors:
            buckets.setdefault(anchor.boot_ns // BUCKET_NS, []).append(anchor)
        if not buckets:
            raise ValueError("a clock map needs an anchor")
        self._anchors = [best(buckets[bucket]) for bucket in sorted(buckets)]
        self._boots = [anchor.boot_ns for anchor in self._anchors]

    def wall_ns(self, boot_ns: int) -> int:
        """UTC nanoseconds at which the boot clock read `boot_ns`."""
        before, after = self._around(boot_ns)
        elapsed = after.boot_ns - before.boot_ns
        if elapsed:
            walked = after.hub_wall_ns - before.hub_wall_ns
            if abs(walked - elapsed) * 1_000_000 <= _slack(before, after, elapsed):
                return before.hub_wall_ns + (boot_ns - before.boot_ns) * walked // elapsed
        nearest = min((before, after), key=lambda anchor: abs(anchor.boot_ns - boot_ns))
        return nearest.hub_wall_ns + boot_ns - nearest.boot_ns

    def error_ns(self, boot_ns: int) -> int:
        """Bound on the error of `wall_ns`: the better anchor's, grown by drift to here."""
        return min(
            anchor.error_ns + abs(boot_ns - anchor.boot_ns) * DRIFT_PPM // 1_000_000
            for anchor in self._around(boot_ns)
        )

    def _around(self, boot_ns: int) -> tuple[Anchor, Anchor]:
        """The anchors on both sides; outside of all, the outermost one twice."""
        at = bisect_right(self._boots, boot_ns)
        before = self._anchors[max(at - 1, 0)]
        after = self._anchors[min(at, len(self._anchors) - 1)]
        return before, after


def best(anchors: Iterable[Anchor]) -> Anchor:
    """The one of least error, of a bucket's; at least one."""
    return min(anchors, key=lambda one: (one.error_ns, one.boot_ns, one.hub_wall_ns))


def _slack(before: Anchor, after: Anchor, elapsed_ns: int) -> int:
    errors_ns = before.error_ns + after.error_ns
    return elapsed_ns * _MOST_SKEW_PPM + errors_ns * 1_000_000
