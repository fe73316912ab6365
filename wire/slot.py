"""A throughput slot: leave to load the hub and one link for one throughput test, and nothing else.

The hub alone grants slots, so that no two tests share a PoP and none exceeds what the hub can
carry. A grant's key is known to the hub and to the agent that asked; whoever cannot prove it gets
nothing.
"""

from enum import StrEnum
from typing import Annotated

import msgspec

from wire.observation import Name

MAX_BITS_PER_S = 100_000_000_000
Rate = Annotated[int, msgspec.Meta(ge=1, le=MAX_BITS_PER_S)]
"""Bits per second of IP packets: header and payload (RFC 9097 section 4)."""


class Direction(StrEnum):
    """Which way the load flows, as the site sees it."""

    DOWN = "down"
    """hub to node"""
    UP = "up"
    """node to hub"""


class Method(StrEnum):
    """How capacity is measured."""

    UDP = "udp"
    """paced UDP; the receiver's count decides (RFC 9097)"""
    TCP = "tcp"
    """one or several TCP flows (RFC 6349)"""
    NDT7 = "ndt7"
    """M-Lab's ndt7 v0.11"""
    IPERF3 = "iperf3"
    """the system's iperf3 against a server that exists already; needs no slot at the hub"""


class Grant(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One slot, as the hub gives it to one agent."""

    slot_id: Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{32}\Z")]
    key: Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}\Z")]
    """Shared secret of this slot: HMAC-SHA-256 over what each end says first."""
    link: Name
    method: Method
    direction: Direction
    duration_s: Annotated[float, msgspec.Meta(gt=0, le=3600)]
    """Longest load; the hub ends the slot when it has passed (and a few seconds to settle)."""
    most_bits_per_s: Rate
    """The hub never sends faster, and stops listening to who does."""
    flows: Annotated[int, msgspec.Meta(ge=1, le=16)] = 1
    address: Annotated[str, msgspec.Meta(max_length=64)]
    """Literal address of the hub's throughput server."""
    port: Annotated[int, msgspec.Meta(ge=1, le=65535)]
    """Its TCP port for control and TCP load; UDP load uses the same number."""
    wait_s: Annotated[float, msgspec.Meta(ge=0, le=86_400)] = 0.0
    """Begin so long after the grant arrived, not before; a slot not begun 10 s later is gone."""

    def __repr__(self) -> str:
        """Without the key: what is logged or raised must not give a slot away."""
        return f"Grant({self.slot_id}, link {self.link}, {self.method} {self.direction})"
