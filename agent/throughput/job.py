"""What the agent and its throughput worker say to each other: one JSON object a line."""

from enum import StrEnum

import msgspec

from wire.load import Plan
from wire.slot import Grant
from wire.transfer import Transfer


class Stage(StrEnum):
    """How far a test is."""

    PROVING = "proving"
    """the box proves itself"""
    WAITING = "waiting"
    """the other end is asked; round trips without load"""
    LOADING = "loading"
    ENDING = "ending"
    """the load is over, accounts are fetched"""


class Job(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One test to be made."""

    grant: Grant
    plan: Plan
    interface: str | None = None
    """Send through this network interface, for a node with several links."""

    def __repr__(self) -> str:
        return f"<Job {self.grant.slot_id}>"


class Line(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the worker says."""

    stage: Stage | None = None
    boot_ns: int | None = None
    transfer: Transfer | None = None
    """The last line."""
