"""What the collector and its throughput worker say to each other: one JSON object a line."""

import msgspec

from collector.throughput.session import End
from wire.slot import Grant
from wire.transfer import HubLoad


class Form(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One line."""


class Command(Form, frozen=True, kw_only=True):
    """To the worker; one of the three."""

    expect: Grant | None = None
    forget: str | None = None
    listen: tuple[str, int] | None = None

    def __repr__(self) -> str:
        return "<Command>"


class Told(Form, frozen=True, kw_only=True):
    """From the worker."""

    port: int | None = None
    """It listens here."""
    error: str | None = None
    """It cannot listen, and ends."""
    slot_id: str | None = None
    end: End | None = None
    octets: int = 0
    reason: str = ""
    hub: HubLoad | None = None
