"""The throughput block of a link in links.yaml, and the plan that the node gets of it.

What is owed stands in the contract; what is tested stands here. A plan may name its rates, or
take them from the contract (`Promise`); with neither there is no plan.
"""

import re
from typing import Annotated, NamedTuple

import msgspec

from wire.plan import (
    MAX_BUDGET_BYTES,
    Flows,
    Gate,
    Layer,
    Ratio,
    TestSeconds,
    ThroughputPlan,
)
from wire.slot import MAX_BITS_PER_S, Method

Mbps = Annotated[float, msgspec.Meta(gt=0, le=MAX_BITS_PER_S / 1e6)]
"""Megabits (10^6 bits) per second, as contracts say it."""
BUDGET_SHARE = 0.01
"""Of what the promised rates could carry in a month: the most that tests may take of a link
(methodology 4.4); the whole daily suite takes about a tenth of it."""
_MONTH_S = 31 * 86_400
_ZONES = {"WIB": "+07:00", "WITA": "+08:00", "WIT": "+09:00"}
_OFFSET = re.compile(r"([+-])(\d\d):([0-5]\d)")


class Promise(NamedTuple):
    """The rates that a contract owes."""

    down_bits_per_s: int | None
    up_bits_per_s: int | None
    layer: Layer
    vlan: bool


class PlannedTests(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Planned tests; each loads both directions, one after the other."""

    evening: Annotated[int, msgspec.Meta(ge=0, le=4)] | None = None
    """A day, 19:00 to 22:59; by default 4, in villages 1."""
    office: Annotated[int, msgspec.Meta(ge=0, le=8)] | None = None
    """A day, 08:00 to 15:59; by default 2, in villages 0."""
    night: Annotated[int, msgspec.Meta(ge=0, le=4)] | None = None
    """A day, 01:00 to 04:59; by default 2, in villages 1."""
    long_s: Annotated[float, msgspec.Meta(ge=0, le=600)] = 60.0
    """Length of the one long test a week; 0: none."""


class LinkThroughput(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How one link is tested."""

    zone: str
    """WIB, WITA, WIT, or an offset such as +07:00: evening is evening at the link."""
    down_mbps: Mbps | None = None
    """Promised rate from hub to node; without both rates, those of the contract."""
    up_mbps: Mbps | None = None
    layer: Layer | None = None
    """Which octets the rate counts; by default the contract's word, else l1."""
    vlan: bool | None = None
    method: Method = Method.UDP
    share: Ratio = 0.95
    duration_s: TestSeconds = 10.0
    flows: Flows = 1
    tests: PlannedTests = PlannedTests()
    budget_gb: Annotated[float, msgspec.Meta(ge=0, le=MAX_BUDGET_BYTES / 1e9)] | None = None
    """Gigabytes (10^9) a month; by default 1 % of what the promised rates could carry."""
    gate: Gate = Gate()
    least_nic_mbps: Mbps | None = None

    def __post_init__(self) -> None:
        offset_s(self.zone)


def offset_s(zone: str) -> int:
    """Seconds ahead of UTC. Raises ValueError that tells the expected form."""
    match = _OFFSET.fullmatch(_ZONES.get(zone, zone))
    seconds = 0 if match is None else int(match[2]) * 3600 + int(match[3]) * 60
    if match is None or seconds > 14 * 3600:
        raise ValueError(
            f"zone {zone!r}: expected WIB, WITA, WIT or an offset from -14:00 to +14:00"
        )
    return -seconds if match[1] == "-" else seconds


def plan_of(
    link: str, told: LinkThroughput, promise: Promise | None, *, village: bool
) -> ThroughputPlan | None:
    """The plan; None where neither the block nor the contract names a rate."""
    down, up = _bits(told.down_mbps), _bits(told.up_mbps)
    layer, vlan = Layer.L1, True
    if promise is not None:
        layer, vlan = promise.layer, promise.vlan
        if down is None and up is None:
            down, up = promise.down_bits_per_s, promise.up_bits_per_s
    if down is None and up is None:
        return None
    tests = told.tests
    return ThroughputPlan(
        link=link,
        down_bits_per_s=down,
        up_bits_per_s=up,
        layer=told.layer or layer,
        vlan=vlan if told.vlan is None else told.vlan,
        zone_offset_s=offset_s(told.zone),
        method=told.method,
        share=told.share,
        duration_s=told.duration_s,
        flows=told.flows,
        evening_tests=_or(tests.evening, 1 if village else 4),
        office_tests=_or(tests.office, 0 if village else 2),
        night_tests=_or(tests.night, 1 if village else 2),
        long_s=tests.long_s,
        budget_bytes=_budget(told, (down or 0) + (up or 0)),
        gate=told.gate,
        least_nic_bits_per_s=_bits(told.least_nic_mbps),
    )


def _bits(mbps: float | None) -> int | None:
    return None if mbps is None else max(1, round(mbps * 1e6))


def _or(told: int | None, otherwise: int) -> int:
    return otherwise if told is None else told


def _budget(told: LinkThroughput, both_bits_per_s: int) -> int:
    if told.budget_gb is not None:
        return round(told.budget_gb * 1e9)
    return min(MAX_BUDGET_BYTES, round(BUDGET_SHARE * both_bits_per_s / 8 * _MONTH_S))
