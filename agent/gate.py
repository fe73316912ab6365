"""Users first: whether a test may begin now, by the counters of the customer's router. Pure.

Octets of the interface are turned into bits per second of IP packets (methodology 4.3). A device
that shows the same numbers twice has not looked meanwhile: our own probes alone move them every
second. Then the rate is taken from one of its updates to the next.
"""

from collections.abc import Sequence
from enum import StrEnum
from typing import NamedTuple

from wire.detail import Reading
from wire.localtime import local_hour
from wire.message import End
from wire.observation import Outcome
from wire.plan import OVERHEAD_OCTETS, VLAN_OCTETS, Layer, Side, ThroughputPlan
from wire.slot import Direction

LOOK_S = 2.0
"""Between two readings."""
MOST_LOOKS = 18
"""Devices refresh their counters every 10 to 15 s at worst; twice that and it stands still."""
_HOURS_WITHOUT = (range(1, 5), range(19, 23))
"""Local hours in which a test may run though nobody counts the users' traffic."""
_BELIEVABLE = 2**60


class Quality(StrEnum):
    """What a result can prove."""

    A = "A"
    B = "B"
    """nobody knows what the users took: it cannot accuse anybody alone (methodology 4.3)"""


class Cross(NamedTuple):
    """The users' own traffic, in bits per second of IP packets."""

    down_bits_per_s: float
    up_bits_per_s: float

    def of(self, direction: Direction) -> float:
        """In this direction."""
        return self.down_bits_per_s if direction is Direction.DOWN else self.up_bits_per_s


class Move(StrEnum):
    """What follows."""

    GO = "go"
    DEFER = "defer"
    SKIP = "skip"


class Decision(NamedTuple):
    """The gate's word."""

    move: Move
    quality: Quality = Quality.A
    end: End | None = None
    """Of a SKIP."""


def cross(first: Reading, second: Reading, plan: ThroughputPlan) -> Cross | None:
    """Traffic between two readings; None where they do not belong to one run of the counters."""
    dt_ns = second.boot_ns - first.boot_ns
    if dt_ns <= 0 or not _same_run(first, second):
        return None
    received = _ip_octets(first, second, "in", plan.vlan)
    sent = _ip_octets(first, second, "out", plan.vlan)
    if received is None or sent is None:
        return None
    rates = [8e9 * octets / dt_ns for octets in (received, sent)]
    down, up = rates if plan.gate.side is Side.WAN else reversed(rates)
    return Cross(down, up)


def _same_run(first: Reading, second: Reading) -> bool:
    if first.outcome is not Outcome.OK or second.outcome is not Outcome.OK:
        return False
    if first.counter_bits is None or first.counter_bits != second.counter_bits:
        return False
    if first.interface != second.interface:
        return False
    if (first.sys_uptime_cs or 0) > (second.sys_uptime_cs or 0):
        return False
    return first.discontinuity_cs == second.discontinuity_cs


def _ip_octets(first: Reading, second: Reading, way: str, vlan: bool) -> int | None:
    """Octets of IP packets: the interface counts the Ethernet header too (RFC 2863)."""
    octets = _difference(first, second, f"{way}_octets")
    packets = _difference(first, second, f"{way}_packets")
    if octets is None or packets is None:
        return None
    header = OVERHEAD_OCTETS[Layer.L2] + (VLAN_OCTETS if vlan else 0)
    return max(0, octets - header * packets)


def _difference(first: Reading, second: Reading, name: str) -> int | None:
    before, after = getattr(first, name), getattr(second, name)
    if before is None or after is None or first.counter_bits is None:
        return None
    # Modulo its width: within seconds even a 32-bit counter wraps once at most.
    difference: int = (after - before) % 2**first.counter_bits
    return difference if difference < _BELIEVABLE else None


class Look(NamedTuple):
    """What the readings so far say."""

    settled: bool
    """No further reading is needed."""
    cross: Cross | None = None


def look(readings: Sequence[Reading], plan: ThroughputPlan) -> Look:
    """Whether the readings tell the users' traffic, or another is needed LOOK_S later."""
    if readings and (readings[-1].outcome is not Outcome.OK or readings[-1].counter_bits is None):
        return Look(True)
    if len(readings) < 2:
        return Look(False)
    changes = [at for at in range(1, len(readings)) if _moved(readings[at - 1], readings[at])]
    if changes[:1] == [1]:
        return Look(True, cross(readings[0], readings[1], plan))
    if len(changes) >= 2:
        return Look(True, cross(readings[changes[0]], readings[changes[1]], plan))
    return Look(len(readings) >= MOST_LOOKS)


def _moved(first: Reading, second: Reading) -> bool:
    return (first.in_octets, first.out_octets) != (second.in_octets, second.out_octets)


def decide(
    seen: Cross | None, plan: ThroughputPlan, direction: Direction, *, tries: int, wall_s: float
) -> Decision:
    """Whether to test `direction` now; `tries` looks found the users busy before this one."""
    if seen is None:
        hour = local_hour(wall_s, plan.zone_offset_s)
        if any(hour in hours for hours in _HOURS_WITHOUT):
            return Decision(Move.GO, Quality.B)
        return Decision(Move.SKIP, Quality.B, End.BLIND)
    promised = plan.cir_ip(direction)
    if promised is None or seen.of(direction) <= plan.gate.busy_ratio * promised:
        return Decision(Move.GO)
    if tries + 1 >= plan.gate.tries:
        return Decision(Move.SKIP, end=End.BUSY)
    return Decision(Move.DEFER)
