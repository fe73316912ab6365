"""What the agent and its SNMP worker say to each other: one JSON object a line over two pipes.

The worker decodes what devices send, so nothing it says is believed without a check.
"""

from enum import StrEnum
from typing import Annotated

import msgspec

from agent.credentials import Credentials
from wire.detail import Oid
from wire.observation import Outcome, RttNs

LARGEST_TEXT = 255
"""DisplayString (RFC 2579) is no longer."""
LARGEST_LINE = 256 * 1024
Value = int | str | None
"""A number, a text, or no such object."""


class Form(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One line."""

    id: int


class Verb(StrEnum):
    """Which PDU goes out."""

    GET = "get"
    BULK = "bulk"
    """GetBulk without non-repeaters."""


class Ask(Form, frozen=True, kw_only=True):
    """One PDU to send, and to whom."""

    device: str
    """Same name, same credentials and address: the worker keeps what it learned of the device."""
    host: str
    port: int
    interface: str | None = None
    dscp: int = 0
    due_ns: int
    """Boot clock at which there must be an answer, of whatever kind."""
    fair_ns: int
    """With less time left than this, the device would be blamed for this machine's slowness."""
    credentials: Credentials
    verb: Verb = Verb.GET
    oids: tuple[str, ...]
    repetitions: int = 0

    def __repr__(self) -> str:
        return f"<Ask {self.id} {self.host}>"


class ErrorStatus:
    """Values of error-status (RFC 3416 section 3) that a reader must tell apart."""

    NONE = 0
    TOO_BIG = 1


class Answer(Form, frozen=True, kw_only=True):
    """What came of it."""

    outcome: Outcome
    rtt_ns: RttNs | None = None
    """From the last message sent to the answer; for OK and REFUSED."""
    status: Annotated[int, msgspec.Meta(ge=0, le=255)] = 0
    index: Annotated[int, msgspec.Meta(ge=0, le=65535)] = 0
    """The first of `oids` that `status` is about, from 1; 0 is none of them."""
    values: list[tuple[Oid, Value]] = []
    trouble: str | None = None
    """What the operator should know; never with anything secret in it."""
