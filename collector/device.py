"""What two successive readings of a device say together: differences of counters, or nothing.

Pure. A difference is given only where it can be no other number: the device ran on, its interface
is the same, no discontinuity was declared (RFC 2863 section 3.1.5), and a 32-bit counter cannot
have come round unseen. Everything else is None, because a guess here becomes traffic there.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from wire.detail import Reading

_TICKS = 2**32
"""sysUpTime comes round after 497 days."""
_CS_NS = 10_000_000
_SLACK_CS = 500
"""How far a device's clock and ours may part whatever the time between: readings take seconds."""
_DRIFT_PARTS = 1000
"""And by which part of that time: cheap oscillators, ten times worse than their data sheet."""
_WORD = 2**32
_LEAST_PACKET_BITS = 512
"""Smallest Ethernet frame (64 octets): bounds packets, and with them errors and discards."""


class Run(StrEnum):
    """Whether the device ran on between two readings."""

    SAME = "same"
    RESTARTED = "restarted"
    """Its uptime is shorter than the time between the readings (or its SNMP agent's is)."""
    UNKNOWN = "unknown"
    """No uptime, or one that fits neither."""


@dataclass(frozen=True, kw_only=True)
class Delta:
    """What was counted between two readings; None is not known."""

    elapsed_ns: int
    run: Run
    in_octets: int | None = None
    out_octets: int | None = None
    in_packets: int | None = None
    out_packets: int | None = None
    in_errors: int | None = None
    out_errors: int | None = None
    in_discards: int | None = None
    out_discards: int | None = None


def compare(earlier: Reading, later: Reading, elapsed_ns: int) -> Delta:
    """The difference of two readings of one target that were made `elapsed_ns` apart.

    The caller knows `elapsed_ns`: boot clocks of two boots of the agent have no difference.
    """
    if elapsed_ns <= 0:
        raise ValueError("the later reading is not later")
    run = _run(earlier.sys_uptime_cs, later.sys_uptime_cs, elapsed_ns)
    if (
        run is not Run.SAME
        or earlier.interface != later.interface
        or earlier.discontinuity_cs != later.discontinuity_cs
    ):
        return Delta(elapsed_ns=elapsed_ns, run=run)
    speeds = earlier.high_speed_mbps, later.high_speed_mbps
    mbps = max(speeds[0], speeds[1]) if speeds[0] and speeds[1] else None
    bits = None if mbps is None else (mbps + 1) * elapsed_ns * 1.01 / 1000
    octets = _difference(_bits(earlier, later), None if bits is None else bits / 8)
    most = None if bits is None else bits / _LEAST_PACKET_BITS
    packets, faults = _difference(_bits(earlier, later), most), _difference(32, most)
    return Delta(
        elapsed_ns=elapsed_ns,
        run=run,
        in_octets=octets(earlier.in_octets, later.in_octets),
        out_octets=octets(earlier.out_octets, later.out_octets),
        in_packets=packets(earlier.in_packets, later.in_packets),
        out_packets=packets(earlier.out_packets, later.out_packets),
        in_errors=faults(earlier.in_errors, later.in_errors),
        out_errors=faults(earlier.out_errors, later.out_errors),
        in_discards=faults(earlier.in_discards, later.in_discards),
        out_discards=faults(earlier.out_discards, later.out_discards),
    )


def _run(earlier_cs: int | None, later_cs: int | None, elapsed_ns: int) -> Run:
    """Compare modulo 497 days: an uptime that grew less than time did is a restart too."""
    if earlier_cs is None or later_cs is None:
        return Run.UNKNOWN
    elapsed_cs = elapsed_ns // _CS_NS
    slack_cs = _SLACK_CS + elapsed_cs // _DRIFT_PARTS
    apart_cs = (later_cs - earlier_cs - elapsed_cs) % _TICKS
    if min(apart_cs, _TICKS - apart_cs) <= slack_cs:
        return Run.SAME
    return Run.RESTARTED if later_cs <= elapsed_cs + slack_cs else Run.UNKNOWN


def _bits(earlier: Reading, later: Reading) -> int | None:
    return earlier.counter_bits if earlier.counter_bits == later.counter_bits else None


def _difference(
    bits: int | None, most: float | None
) -> Callable[[int | None, int | None], int | None]:
    """How to subtract counters of so many bits that can have grown by `most` at most."""

    def wide(earlier: int | None, later: int | None) -> int | None:
        """64 bits do not come round within a device's life: less than before is a reset."""
        if bits is None or earlier is None or later is None or later < earlier:
            return None
        return later - earlier

    def narrow(earlier: int | None, later: int | None) -> int | None:
        if most is None or most >= _WORD or earlier is None or later is None:
            return None
        grown = (later - earlier) % _WORD
        return grown if grown <= most else None

    return narrow if bits == 32 else wide
