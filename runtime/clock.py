"""The only reader of clocks.

Three clocks of the kernel: BOOTTIME for durations (it counts suspend and never steps), REALTIME
for labels (it steps), MONOTONIC_RAW for nothing here. Everything else takes a Clock as an
argument, so that tests can hold time still.
"""

import ctypes
import time
from pathlib import Path
from typing import NamedTuple, Protocol

from wire.instant import ClockClass, Instant

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_STA_UNSYNC = 0x0040
_TIME_ERROR = 5
MS = 1_000_000
SECOND = 1_000_000_000


class ClockQuality(NamedTuple):
    """How far the wall clock can be from UTC, by the kernel's own account."""

    clock_class: ClockClass
    error_ns: int | None
    """Upper bound of the error; None where nobody synchronises this clock."""
    source: str


class Clock(Protocol):
    """What a program may ask about time."""

    @property
    def boot_id(self) -> str:
        """32 hex digits that change at every boot."""
        ...

    def boot_ns(self) -> int:
        """Nanoseconds since boot, suspend included; never steps."""
        ...

    def wall_ns(self) -> int:
        """Nanoseconds since 1970 UTC, as this machine believes; may step."""
        ...

    def quality(self) -> ClockQuality:
        """How much the wall clock can be trusted now."""
        ...


def instant(clock: Clock) -> Instant:
    """Both clocks at one moment."""
    return Instant(clock.boot_id, clock.boot_ns(), clock.wall_ns())


def classify(error_ns: int | None) -> ClockClass:
    """Clock class of an error bound (methodology 7.3): A <= 10 ms, B <= 100 ms, C <= 1 s."""
    if error_ns is None or error_ns > SECOND:
        return ClockClass.D
    if error_ns > 100 * MS:
        return ClockClass.C
    return ClockClass.B if error_ns > 10 * MS else ClockClass.A


class _Timex(ctypes.Structure):
    """struct timex of adjtimex(2), 64-bit layout."""

    _fields_ = [
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long),
        ("status", ctypes.c_int),
        ("constant", ctypes.c_long),
        ("precision", ctypes.c_long),
        ("tolerance", ctypes.c_long),
        ("time_sec", ctypes.c_long),
        ("time_usec", ctypes.c_long),
        ("tick", ctypes.c_long),
        ("unused", ctypes.c_long * 19),
    ]


class SystemClock:
    """The machine's own clocks."""

    def __init__(self) -> None:
        self._boot_id = _BOOT_ID.read_text().strip().replace("-", "")
        self._libc = ctypes.CDLL(None, use_errno=True)

    @property
    def boot_id(self) -> str:
        """The kernel's boot id without its dashes."""
        return self._boot_id

    def boot_ns(self) -> int:
        """CLOCK_BOOTTIME."""
        return time.clock_gettime_ns(time.CLOCK_BOOTTIME)

    def wall_ns(self) -> int:
        """CLOCK_REALTIME."""
        return time.clock_gettime_ns(time.CLOCK_REALTIME)

    def quality(self) -> ClockQuality:
        """From adjtimex(2): the kernel's `maxerror`, which grows 500 ppm without a sync."""
        timex = _Timex(modes=0)
        state = self._libc.adjtimex(ctypes.byref(timex))
        if state < 0 or state == _TIME_ERROR or timex.status & _STA_UNSYNC:
            return ClockQuality(ClockClass.D, None, "unsynchronised")
        error_ns = timex.maxerror * 1000
        return ClockQuality(classify(error_ns), error_ns, "kernel")


class StepDetector:
    """Notices that the wall clock jumped against the boot clock (methodology 7.3).

    A slewing clock moves at most 500 ppm; anything beyond that and `tolerance_ns` is a step.
    """

    def __init__(self, clock: Clock, tolerance_ns: int = 100 * MS) -> None:
        self._clock = clock
        self._tolerance_ns = tolerance_ns
        self._boot_ns = clock.boot_ns()
        self._wall_ns = clock.wall_ns()

    def step_ns(self) -> int | None:
        """Size of the jump since the last call, or None."""
        boot_ns, wall_ns = self._clock.boot_ns(), self._clock.wall_ns()
        elapsed = boot_ns - self._boot_ns
        moved = (wall_ns - self._wall_ns) - elapsed
        self._boot_ns, self._wall_ns = boot_ns, wall_ns
        return moved if abs(moved) > self._tolerance_ns + elapsed // 2000 else None
