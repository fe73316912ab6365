"""Fakes that stand where the real ones do: time that only moves when told."""

from runtime.clock import SECOND, ClockQuality
from wire.instant import ClockClass


class FakeClock:
    """A clock in the hands of a test."""

    def __init__(
        self,
        *,
        boot_id: str = "b0" * 16,
        boot_ns: int = 100 * SECOND,
        wall_ns: int = 1_790_000_000 * SECOND,
    ) -> None:
        self.boot_id = boot_id
        self.now_boot_ns = boot_ns
        self.now_wall_ns = wall_ns
        self.now_quality = ClockQuality(ClockClass.A, 1_000_000, "fake")

    def boot_ns(self) -> int:
        """Where the test has put the boot clock."""
        return self.now_boot_ns

    def wall_ns(self) -> int:
        """Where the test has put the wall clock."""
        return self.now_wall_ns

    def quality(self) -> ClockQuality:
        """What the test says of it."""
        return self.now_quality

    def advance(self, ns: int) -> None:
        """Let `ns` nanoseconds pass on both clocks."""
        self.now_boot_ns += ns
        self.now_wall_ns += ns

    def step(self, ns: int) -> None:
        """Move the wall clock alone."""
        self.now_wall_ns += ns

    def reboot(self, *, boot_id: str, off_ns: int) -> None:
        """A new boot after `off_ns` without power: the boot clock begins again."""
        self.boot_id = boot_id
        self.now_boot_ns = 0
        self.now_wall_ns += off_ns
