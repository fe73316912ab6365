"""Which clock tells how long a packet was away: a pure decision, packet by packet.

The kernel's software stamps leave this process's own delays out, but they are wall clock
(CLOCK_REALTIME), so a step of that clock between the two falsifies them. Both user-space clocks
are therefore read at both ends, and a kernel stamp is believed only where they agree with it.
"""

from typing import NamedTuple

from wire.observation import StampSource

TOLERANCE_NS = 20_000
"""How far two readings of one moment may differ: the boot and wall clocks are read one after
the other, and this is many times what that takes. A process that is pushed aside between the
two reads loses its kernel stamp for that packet, and says so."""
_SLEW_PARTS = 2000
"""The kernel slews at most 500 ppm: one part in 2,000."""

# Python 3.11 looks an enum's member up by a call; these are needed for every packet.
_KERNEL, _KERNEL_RX, _USER = StampSource.KERNEL, StampSource.KERNEL_RX, StampSource.USER


class Sent:
    """When a packet left: both user-space clocks before the call, the kernel's when it tells.

    The channel that sends it fills it in.
    """

    __slots__ = ("boot_ns", "call_ns", "kernel_ns", "wall_ns")

    def __init__(self) -> None:
        self.boot_ns = 0
        self.wall_ns = 0
        self.call_ns = 0
        """How long the send call took."""
        self.kernel_ns: int | None = None


class Arrival(NamedTuple):
    """A datagram that came in, with the user-space clocks after the call."""

    data: bytes
    source: str
    boot_ns: int
    wall_ns: int
    kernel_ns: int | None
    ttl: int | None


def stepped(sent: Sent, arrival: Arrival) -> bool:
    """Whether the wall clock moved against the boot clock by more than slewing can."""
    elapsed_ns = arrival.boot_ns - sent.boot_ns
    moved_ns = arrival.wall_ns - sent.wall_ns - elapsed_ns
    return abs(moved_ns) > TOLERANCE_NS + elapsed_ns // _SLEW_PARTS


def round_trip(sent: Sent, arrival: Arrival) -> tuple[int, StampSource]:
    """Nanoseconds from transmission to arrival, by the best clocks that can be believed."""
    received_ns = arrival.kernel_ns
    if received_ns and received_ns <= arrival.wall_ns + TOLERANCE_NS and not stepped(sent, arrival):
        left_ns = sent.kernel_ns
        if left_ns and sent.wall_ns - TOLERANCE_NS <= left_ns < received_ns:
            return received_ns - left_ns, _KERNEL
        if sent.wall_ns < received_ns:
            return received_ns - sent.wall_ns, _KERNEL_RX
    return arrival.boot_ns - sent.boot_ns, _USER


def held_ns(sent: Sent) -> int:
    """How long this machine kept a packet; to be asked only where `round_trip` said KERNEL."""
    return 0 if sent.kernel_ns is None else sent.kernel_ns - sent.wall_ns


def without_residence(rtt_ns: int, residence_ns: int) -> int:
    """RTT less the time that the reflector kept the packet, where that time can be true."""
    return rtt_ns - residence_ns if 0 <= residence_ns < rtt_ns else rtt_ns
