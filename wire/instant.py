"""One moment, told by two clocks: since boot, and by the calendar.

Durations come from the boot clock and calendar time from the wall clock; they are never mixed,
because an NTP step moves the second and a power cut restarts the first.
"""

from enum import StrEnum
from typing import Annotated

import msgspec

MAX_NS = 2**62 - 1
"""146 years. Sums and differences of two such numbers fit into 64 bits, as databases need."""
BootNs = Annotated[int, msgspec.Meta(ge=0, le=MAX_NS)]
"""Nanoseconds of CLOCK_BOOTTIME: since this boot, suspend included."""
WallNs = Annotated[int, msgspec.Meta(ge=-MAX_NS, le=MAX_NS)]
"""Nanoseconds since 1970-01-01T00:00:00Z by the machine's own claim."""


class ClockClass(StrEnum):
    """How far a wall clock can be from UTC (methodology 7.3)."""

    A = "A"
    """within 10 ms"""
    B = "B"
    """within 100 ms"""
    C = "C"
    """within 1 s"""
    D = "D"
    """not synchronised: the wall clock says nothing"""


class BootMismatch(ValueError):
    """Two moments of different boots have no duration between them."""


class Instant(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A moment of one machine; subtraction refuses to cross a reboot."""

    boot_id: str
    boot_ns: BootNs
    wall_ns: WallNs

    def since(self, earlier: "Instant") -> int:
        """Nanoseconds from `earlier` to here, by the boot clock.

        Raises BootMismatch when the two were read in different boots.
        """
        if earlier.boot_id != self.boot_id:
            raise BootMismatch(f"boot {earlier.boot_id} and boot {self.boot_id} share no clock")
        return self.boot_ns - earlier.boot_ns
