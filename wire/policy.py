"""What the hub tells a node to do: targets, data and never code."""

import hashlib
from enum import StrEnum
from typing import Annotated

import msgspec

from wire.detail import MAX_VALUES, Oid
from wire.observation import Name
from wire.plan import Gate, ThroughputPlan

MAX_TARGETS = 2048
"""Targets of one node: a village has five, the prober beside the hub one for every CPE."""
MAX_PLANS = 64
"""Links of one node that are tested for throughput."""
Seconds = Annotated[float, msgspec.Meta(ge=0.01, le=86_400)]


class Role(StrEnum):
    """Where a target sits on the way, which decides what its loss can prove (methodology 2.2)."""

    GATEWAY = "gateway"
    FIRST_HOP = "first_hop"
    HUB = "hub"
    ANCHOR = "anchor"
    CPE = "cpe"
    """the customer's router, probed from outside, by the prober beside the hub"""


class Transport(StrEnum):
    """What carries a DNS question."""

    UDP = "udp"
    TCP = "tcp"


class DeviceValue(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True
):
    """A number that a device has under some OID, and what it means."""

    name: Name
    """Ends in its unit: `rx_power_dbm`, `battery_charge_ratio`."""
    oid: Oid
    scale: float = 1.0
    """The raw number times this is the value in its unit."""


class Target(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True
):
    """What a probe measures. Addresses are literal: names are resolved and recorded apart."""

    name: Name
    link: Name
    probe: Name
    role: Role
    address: Annotated[str, msgspec.Meta(min_length=2, max_length=64)]
    """Literal IPv4 or IPv6 address."""
    port: Annotated[int, msgspec.Meta(ge=1, le=65535)] | None = None
    interval_s: Seconds = 1.0
    timeout_s: Annotated[float, msgspec.Meta(ge=0.01, le=600)] = 2.0
    """Seconds; a Train cannot tell of more."""
    size: Annotated[int, msgspec.Meta(ge=0, le=9000)] = 0
    """Bytes of padding after the probe's own smallest packet."""
    dscp: Annotated[int, msgspec.Meta(ge=0, le=63)] = 0
    ssid: Annotated[int, msgspec.Meta(ge=1, le=65535)] | None = None
    """STAMP session id (RFC 8972 section 3): how the reflector knows the link."""
    authenticated: bool = False
    """STAMP authenticated mode (RFC 8762 section 4.4) with the agent's derived key."""
    interface: Annotated[str, msgspec.Meta(max_length=15)] | None = None
    """Send through this network interface, for a node with several links."""
    host: Annotated[str, msgspec.Meta(min_length=1, max_length=255)] | None = None
    """A name to be resolved (apart from the probe, and recorded); `address` is then where to ask,
    for a DNS target, or the address to use while no answer was ever had."""
    url: Annotated[str, msgspec.Meta(min_length=8, max_length=1024)] | None = None
    """What an HTTP target fetches; its name resolves to `address` and nowhere else."""
    transport: Transport | None = None
    """For a DNS target: UDP unless said otherwise."""
    credentials: Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9][a-z0-9._-]{0,62}\Z")] | None = None
    """Name of a file in the node's credentials folder; secrets are never in a policy."""
    device_interface: Annotated[str, msgspec.Meta(min_length=1, max_length=128)] | None = None
    """ifName (or ifIndex in digits) of the device's interface to read."""
    values: Annotated[tuple[DeviceValue, ...], msgspec.Meta(max_length=MAX_VALUES)] = ()
    """Further values of a device."""
    source: Annotated[str, msgspec.Meta(min_length=4, max_length=256)] | None = None
    """Where a power target reads: `sysfs:FOLDER`, `nut:UPS@HOST[:PORT]`, `gpio:FILE`."""


class Policy(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True
):
    """One node's orders, whole: a new policy replaces the old one."""

    node: Name
    targets: Annotated[tuple[Target, ...], msgspec.Meta(max_length=MAX_TARGETS)]
    throughput: Annotated[tuple[ThroughputPlan, ...], msgspec.Meta(max_length=MAX_PLANS)] = ()
    """Plans for throughput tests, one a link at most; for agents that read revision 2."""

    def __post_init__(self) -> None:
        seen: set[tuple[str, str]] = set()
        for target in self.targets:
            if (target.link, target.name) in seen:
                raise ValueError(f"target {target.name} of link {target.link} is there twice")
            seen.add((target.link, target.name))
        links = [plan.link for plan in self.throughput]
        if len(set(links)) < len(links):
            raise ValueError("a link has two throughput plans")

    def digest(self) -> str:
        """SHA-256 over the policy's canonical JSON, in hex: the same for equal policies.

        What equals its default is left out by value; `omit_defaults` asks for identity, which a
        number that was written out does not have.
        """
        told: dict[str, object] = {
            "node": self.node,
            "targets": [_told(target) for target in self.targets],
        }
        if self.throughput:
            told["throughput"] = [_told(plan) for plan in self.throughput]
        canonical = msgspec.json.encode(told, order="sorted")
        return hashlib.sha256(canonical).hexdigest()

    def at_revision(self, revision: int) -> "Policy":
        """What of it a reader of this revision of the wire format takes."""
        return self if revision >= 2 else msgspec.structs.replace(self, throughput=())


def _told(one: msgspec.Struct) -> dict[str, object]:
    """What is not default, also inside."""
    told = {}
    for field in msgspec.structs.fields(one):
        value = getattr(one, field.name)
        if value != field.default:
            told[field.name] = _told(value) if isinstance(value, Gate) else value
    return told
