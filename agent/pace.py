"""When to try again and how fast: pure, with time and chance as arguments."""

from collections.abc import Callable

SECOND = 1_000_000_000


class Backoff:
    """Full jitter: the wait is uniform in [0, min(cap, base * 2^n)) after the n-th failure.

    A thousand boxes that lost the hub together come back apart.
    """

    def __init__(self, base_s: float, cap_s: float, chance: Callable[[], float]) -> None:
        self._base_s, self._cap_s, self._chance = base_s, cap_s, chance
        self._failures = 0

    def failed(self, retry_after_s: float | None = None) -> float:
        """Seconds to wait now; never less than what the hub asked for."""
        ceiling = min(self._cap_s, self._base_s * 2.0 ** min(self._failures, 30))
        self._failures += 1
        wait = self._chance() * ceiling
        if retry_after_s is not None:
            asked = min(retry_after_s, self._cap_s) * (1 + self._chance() / 2)
            wait = max(wait, asked)
        return wait

    def worked(self) -> None:
        """Start from the base at the next failure."""
        self._failures = 0


class ByteRate:
    """At most `bytes_per_s` on average, one message of any size at once (a leaky bucket)."""

    def __init__(self, bytes_per_s: float) -> None:
        self.bytes_per_s = bytes_per_s
        self._free_at_ns = 0

    def wait_s(self, now_ns: int) -> float:
        """Seconds until the next message may go."""
        return max(0.0, (self._free_at_ns - now_ns) / SECOND)

    def sent(self, size: int, now_ns: int) -> None:
        """Account for a message that went."""
        start = max(now_ns, self._free_at_ns)
        self._free_at_ns = start + int(size / self.bytes_per_s * SECOND)
