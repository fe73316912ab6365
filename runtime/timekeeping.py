"""How good the wall clock is, asked of whoever keeps it: chrony, ntpd, or the kernel alone.

chrony without `rtcsync` leaves the kernel marked as unsynchronised though it keeps perfect time,
so the daemon is asked first. Asking costs a process, so it is done seldom and in a thread; between
two answers the bound grows by what a free-running clock may drift (RFC 5905: 15 ppm).
"""

import shutil
import subprocess
from collections.abc import Callable, Sequence
from typing import NamedTuple

from runtime.clock import SECOND, Clock, ClockQuality, SystemClock, classify

PHI_PPM = 15
"""Frequency tolerance of RFC 5905 section 11.1."""
STALE_S = 3600
"""An answer this old says nothing any more."""
_CHRONY_FIELDS = 14
_TIMEOUT_S = 2.0


class Kept(NamedTuple):
    """What a time daemon said."""

    error_ns: int
    source: str
    boot_ns: int


def chrony_error_ns(line: str) -> int | None:
    """Error bound of `chronyc -c tracking`: |system time| + root dispersion + root delay / 2.

    chrony's own manual gives the formula (chronyc(1), tracking). None where it is not synchronised
    or the line is not of this form.
    """
    fields = line.strip().split(",")
    if len(fields) < _CHRONY_FIELDS or fields[13] == "Not synchronised":
        return None
    try:
        system, delay, dispersion = (float(fields[k]) for k in (4, 10, 11))
    except ValueError:
        return None
    if fields[0] in ("00000000", "7F7F0101"):
        # No source, or its own local clock: it keeps time with nobody.
        return None
    return int((abs(system) + dispersion + delay / 2) * SECOND)


def ntpd_error_ns(text: str) -> int | None:
    """Error bound of `ntpq -c rv`: |offset| + root dispersion + root delay / 2, told in ms.

    None where ntpd has no system peer (leap indicator 3) or the text is not of this form.
    """
    pairs = (part.split("=", 1) for part in text.replace("\n", " ").split(",") if "=" in part)
    told = {key.strip(): value.strip() for key, value in pairs}
    if told.get("leap") == "3" or "leap_alarm" in text:
        return None
    try:
        offset, delay, dispersion = (
            float(told[key]) for key in ("offset", "rootdelay", "rootdisp")
        )
    except (KeyError, ValueError):
        return None
    return int((abs(offset) + dispersion + delay / 2) * 1_000_000)


def _output(argv: Sequence[str]) -> str | None:
    if shutil.which(argv[0]) is None:
        return None
    try:
        done = subprocess.run(argv, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None


_DAEMONS: tuple[tuple[str, tuple[str, ...], Callable[[str], int | None]], ...] = (
    ("chrony", ("chronyc", "-c", "-n", "tracking"), chrony_error_ns),
    ("ntpd", ("ntpq", "-n", "-c", "rv"), ntpd_error_ns),
)


class Timekeeping:
    """The newest word of the time daemon, and what it is worth now."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._kept: Kept | None = None

    def ask(self) -> None:
        """Ask the daemons; blocks for up to some seconds, so call it in a thread."""
        for name, argv, read in _DAEMONS:
            text = _output(argv)
            error_ns = None if text is None else read(text)
            if error_ns is not None:
                self._kept = Kept(error_ns, name, self._clock.boot_ns())
                return
        self._kept = None

    def quality(self) -> ClockQuality:
        """By the daemon where one answers, else by the kernel."""
        kept = self._kept
        if kept is None:
            return self._clock.quality()
        age_ns = self._clock.boot_ns() - kept.boot_ns
        if age_ns > STALE_S * SECOND:
            return self._clock.quality()
        error_ns = kept.error_ns + age_ns * PHI_PPM // 1_000_000
        return ClockQuality(classify(error_ns), error_ns, kept.source)


class KeptClock(SystemClock):
    """The machine's clocks, their quality by whoever keeps them. `timekeeping.ask` is to be called
    now and then."""

    def __init__(self) -> None:
        super().__init__()
        self.timekeeping = Timekeeping(SystemClock())

    def quality(self) -> ClockQuality:
        """By chrony or ntpd where one answers, else by the kernel."""
        return self.timekeeping.quality()
