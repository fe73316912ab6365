"""What a probe learns besides a round trip: parts of an exchange, names, ways, devices, power.

These are records of the evidence beside the Trains; where one belongs to an attempt, `seq` names
the row of the target's Train. `None` means "not measured" and nothing else.
"""

from enum import StrEnum
from typing import Annotated

import msgspec

from wire.instant import BootNs
from wire.journal import Text
from wire.observation import Name, Outcome, RttNs, Seq

Address = Annotated[str, msgspec.Meta(max_length=64)]
Count = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
"""A Counter64 reaches 2^63 octets after 23 years at 100 Gbit/s; beyond it, it is not believed."""
Oid = Annotated[str, msgspec.Meta(pattern=r"^\d+(\.\d+){1,127}\Z", max_length=512)]
MAX_HOPS = 64
MAX_VALUES = 64


class Detail(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True
):
    """Whose it is and when it began, by the boot clock."""

    link: Name
    target: Name
    boot_ns: BootNs


class Phase(StrEnum):
    """Parts of an exchange, in their order (the words of blackbox_exporter)."""

    RESOLVE = "resolve"
    CONNECT = "connect"
    TLS = "tls"
    PROCESSING = "processing"
    """From the end of the request to the first octet of the answer."""
    TRANSFER = "transfer"


class Exchange(Detail, frozen=True, kw_only=True, tag="exchange"):
    """An attempt in parts: HTTP, TLS, DNS. The phases that happened, and what was answered."""

    seq: Seq
    phases_ns: dict[Phase, RttNs]
    status: Annotated[int, msgspec.Meta(ge=0, le=65535)] | None = None
    """HTTP status, or DNS response code."""
    certificate_expires_s: Annotated[int, msgspec.Meta(ge=-(2**53), le=2**53)] | None = None
    """Unix time at which the first certificate of the chain runs out (seconds)."""
    note: Text = ""


class Resolution(Detail, frozen=True, kw_only=True, tag="resolution"):
    """A name was asked for, apart from what was then probed."""

    name: Annotated[str, msgspec.Meta(max_length=255)]
    outcome: Outcome
    rtt_ns: RttNs | None = None
    addresses: Annotated[tuple[Address, ...], msgspec.Meta(max_length=16)] = ()


class Hop(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One router on the way: who answered at this hop limit, or nobody."""

    ttl: Annotated[int, msgspec.Meta(ge=1, le=255)]
    address: Address | None = None
    rtt_ns: RttNs | None = None


class Path(Detail, frozen=True, kw_only=True, tag="path"):
    """The routers between node and target for one flow (Paris traceroute: the flow is stable)."""

    hops: Annotated[tuple[Hop, ...], msgspec.Meta(max_length=MAX_HOPS)]
    reached: bool
    changed: bool = False
    """Another address answered at some hop than the last time it was known."""
    first_hop: Address | None = None
    """The first router outside of the node's own networks: the provider's edge."""


class Reading(Detail, frozen=True, kw_only=True, tag="reading"):
    """What a device said of itself and of one of its interfaces (RFC 3418, RFC 2863).

    Times are the device's own, in hundredths of a second; counters are as read, never
    differences: they wrap and restart, and the reader of the evidence can see that they did.
    """

    outcome: Outcome
    rtt_ns: RttNs | None = None
    sys_uptime_cs: Annotated[int, msgspec.Meta(ge=0, le=2**32 - 1)] | None = None
    interface: Text = ""
    """ifName of the interface that is read."""
    oper_status: Annotated[int, msgspec.Meta(ge=1, le=7)] | None = None
    """ifOperStatus: 1 up, 2 down, 3 testing, 4 unknown, 5 dormant, 6 notPresent, 7 lower down."""
    last_change_cs: Annotated[int, msgspec.Meta(ge=0, le=2**32 - 1)] | None = None
    discontinuity_cs: Annotated[int, msgspec.Meta(ge=0, le=2**32 - 1)] | None = None
    in_octets: Count | None = None
    out_octets: Count | None = None
    in_packets: Count | None = None
    out_packets: Count | None = None
    in_errors: Count | None = None
    out_errors: Count | None = None
    in_discards: Count | None = None
    out_discards: Count | None = None
    high_speed_mbps: Annotated[int, msgspec.Meta(ge=0, le=2**32 - 1)] | None = None
    counter_bits: Annotated[int, msgspec.Meta(ge=32, le=64)] | None = None
    """64 for the HC counters; 32 where the device has no others."""
    values: dict[Name, float] = {}
    """Configured further values, scaled to their unit: optical power, UPS, temperature."""
    missing: Annotated[tuple[Name, ...], msgspec.Meta(max_length=MAX_VALUES)] = ()
    """Configured values that the device does not have."""


class Power(Detail, frozen=True, kw_only=True, tag="power"):
    """Whether the site has mains, and how long the battery lasts."""

    outcome: Outcome
    source: Text
    mains: bool | None = None
    battery_ratio: Annotated[float, msgspec.Meta(ge=0, le=1)] | None = None
    battery_seconds: Annotated[int, msgspec.Meta(ge=0, le=2**31)] | None = None


DetailRecord = Exchange | Resolution | Path | Reading | Power
