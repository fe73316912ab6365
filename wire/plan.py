"""What the hub tells a node about throughput tests: the plan of a link, and orders to test now.

Rates of a plan are the contract's, at the contract's layer; `cir_ip` turns them into what a test
can see. The plan says what may happen, never when: times are drawn at the node (agent.plan).
"""

from enum import StrEnum
from typing import Annotated

import msgspec

from wire.observation import Name
from wire.slot import Direction, Method, Rate

MTU = 1500
"""Octets of an IP packet on Ethernet, for the arithmetic between layers (methodology 4.2)."""
VLAN_OCTETS = 4
MAX_BUDGET_BYTES = 2**50
OVER = 1.2
"""No test may load a link with more than this times what was promised."""
Id = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{32}\Z")]
Share = Annotated[float, msgspec.Meta(gt=0, le=OVER)]
Ratio = Annotated[float, msgspec.Meta(gt=0, le=1)]
TestSeconds = Annotated[float, msgspec.Meta(ge=1, le=600)]
Flows = Annotated[int, msgspec.Meta(ge=1, le=16)]
ZoneOffset = Annotated[int, msgspec.Meta(ge=-50_400, le=50_400)]


class Layer(StrEnum):
    """Which octets the promised rate counts."""

    IP = "ip"
    """IP header and payload"""
    L2 = "l2"
    """also the Ethernet header and check sum: 18 octets a packet"""
    L1 = "l1"
    """also preamble and inter-frame gap: 38 octets a packet"""


OVERHEAD_OCTETS = {Layer.IP: 0, Layer.L2: 18, Layer.L1: 38}


class Side(StrEnum):
    """Which of the router's interfaces is read."""

    WAN = "wan"
    """towards the provider: what it receives flows down"""
    LAN = "lan"
    """towards the users: what it receives flows up"""


class _Form(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True
):
    pass


class Gate(_Form, frozen=True, kw_only=True):
    """When users come first (methodology 4.3)."""

    target: Name | None = None
    """SNMP target of the link whose device counts the users' traffic; None: nobody counts it."""
    side: Side = Side.WAN
    busy_ratio: Ratio = 0.3
    """Users who take more than this share of the promised rate defer the test."""
    tries: Annotated[int, msgspec.Meta(ge=1, le=10)] = 3
    """Looks until a test is skipped as busy, which is not a failure."""
    wait_s: Annotated[float, msgspec.Meta(ge=10, le=900)] = 300.0
    """Seconds between two looks."""


class ThroughputPlan(_Form, frozen=True, kw_only=True):
    """What may be tested on one link, and how often."""

    link: Name
    interface: Annotated[str, msgspec.Meta(max_length=15)] | None = None
    """Network interface of the box for this link, where a node has several."""
    down_bits_per_s: Rate | None = None
    """Promised rate (CIR) from hub to node at `layer`; None: this direction is not tested."""
    up_bits_per_s: Rate | None = None
    layer: Layer = Layer.L1
    """L1 with VLAN where the contract does not say: in the provider's favour."""
    vlan: bool = True
    zone_offset_s: ZoneOffset
    """Seconds that the link's local time is ahead of UTC; the strata are in local time."""
    method: Method = Method.UDP
    share: Ratio = 0.95
    """Rate of a planned test, as a share of what the users leave of the promised rate."""
    duration_s: TestSeconds = 10.0
    flows: Flows = 1
    evening_tests: Annotated[int, msgspec.Meta(ge=0, le=4)] = 4
    """A day, 19:00 to 22:59, at most one in each clock hour; as the next two."""
    office_tests: Annotated[int, msgspec.Meta(ge=0, le=8)] = 2
    """A day, 08:00 to 15:59."""
    night_tests: Annotated[int, msgspec.Meta(ge=0, le=4)] = 2
    """A day, 01:00 to 04:59."""
    long_s: Annotated[float, msgspec.Meta(ge=0, le=600)] = 60.0
    """Length of the one long test of a week, at night; 0: none."""
    budget_bytes: Annotated[int, msgspec.Meta(ge=0, le=MAX_BUDGET_BYTES)]
    """Most that tests may carry in a calendar month of the zone, both directions together."""
    gate: Gate = Gate()
    least_nic_bits_per_s: Rate | None = None
    """Speed that the box's own port must have for its results to count; None: 2 x CIR."""

    def cir(self, direction: Direction) -> int | None:
        """The promised rate at the contract's layer."""
        return self.down_bits_per_s if direction is Direction.DOWN else self.up_bits_per_s

    def cir_ip(self, direction: Direction) -> int | None:
        """The promised rate in bits per second of IP packets of MTU size (methodology 4.2)."""
        cir = self.cir(direction)
        if cir is None:
            return None
        overhead = OVERHEAD_OCTETS[self.layer]
        if self.vlan and self.layer is not Layer.IP:
            overhead += VLAN_OCTETS
        return max(1, round(cir * MTU / (MTU + overhead)))

    def most(self, direction: Direction) -> int | None:
        """The most IP bits per second that any test may load this direction with."""
        promised = self.cir_ip(direction)
        return None if promised is None else round(OVER * promised)

    def least_nic(self) -> int:
        """Bits per second that the box's port needs."""
        most = max(self.down_bits_per_s or 0, self.up_bits_per_s or 0)
        return self.least_nic_bits_per_s or 2 * most


class Load(StrEnum):
    """How the rate of an ordered test goes."""

    FIXED = "fixed"
    STEPS = "steps"
    """one after the other at shares of the promised rate (Y.1564)"""
    SEARCH = "search"
    """find the highest rate (RFC 9097 section 8)"""


class Order(_Form, frozen=True, kw_only=True):
    """An operator's order: test now. It stands until the hub no longer repeats it."""

    order_id: Id
    link: Name
    method: Method = Method.UDP
    directions: Annotated[tuple[Direction, ...], msgspec.Meta(min_length=1, max_length=2)]
    load: Load = Load.FIXED
    bits_per_s: Rate | None = None
    """IP rate: of a FIXED load, or the most that a SEARCH may try; None: as the plan has it."""
    steps: Annotated[tuple[Share, ...], msgspec.Meta(max_length=8)] = ()
    """Shares of the promised rate, for STEPS."""
    duration_s: TestSeconds = 10.0
    """Of each direction, and of each step."""
    flows: Flows = 1
    gate: bool = True
    """False: the users were told, nobody waits for them."""

    def __post_init__(self) -> None:
        if len(set(self.directions)) != len(self.directions):
            raise ValueError("directions: the same one twice")
        if bool(self.steps) != (self.load is Load.STEPS):
            raise ValueError("steps go with load `steps` and with no other")
        if self.load is Load.STEPS and self.bits_per_s is not None:
            raise ValueError("bits_per_s and steps exclude each other")

    @property
    def load_s(self) -> float:
        """Seconds of load of one direction, all steps together."""
        return self.duration_s * max(1, len(self.steps))


def load_bytes(bits_per_s: float, seconds: float) -> int:
    """Octets of IP packets that a load at this rate carries at most; the budgets' currency."""
    return -int(-bits_per_s * seconds // 8)
