"""Hearings: what the provider was given and what it answered before an accusation is final. Pure.

A link may be called not dedicated in public only when its provider had the raw data for 14 days,
or answered, and no objection is open (methodology 5.5). That is nobody's measurement, so people
put it on record: who said it, when, and by which letter. Nothing is ever edited.
"""

from datetime import date
from enum import StrEnum
from typing import NamedTuple

from collector.inventory import Inventory, Link
from collector.maintenance import Recorded, Scope


class HearingKind(StrEnum):
    """What happened."""

    DELIVERED = "delivered"
    """the provider received the raw data"""
    ACCEPTED = "accepted"
    """it answered and contests nothing"""
    OBJECTED = "objected"
    """it answered and contests the finding"""


class Hearing(NamedTuple):
    """One step of it."""

    scope: Scope
    until: date
    """The look that it is about, by the local day after the last one judged: what was delivered
    or answered speaks for this look and for earlier ones."""
    kind: HearingKind
    day: date
    """When it happened, at the site."""
    words: str
    """What was delivered, or what the answer says."""
    document: str | None
    """Reference of the letter or mail."""


class ClosedAs(StrEnum):
    """Why a hearing stands no longer."""

    SETTLED = "settled"
    """an objection was examined and answered"""
    CANCELLED = "cancelled"
    """it was recorded by mistake"""


class Closing(NamedTuple):
    """The end of a hearing."""

    kind: ClosedAs
    reason: str
    recorded: Recorded


class HearingEntry(NamedTuple):
    """A row of the register, with its closing."""

    id: int
    hearing: Hearing
    recorded: Recorded
    closing: Closing | None

    @property
    def cancelled(self) -> bool:
        """It counts for nothing."""
        return self.closing is not None and self.closing.kind is ClosedAs.CANCELLED

    def about(self, link: Link, inventory: Inventory) -> bool:
        """Whether it stands, and is about this link."""
        return not self.cancelled and self.hearing.scope.covers(link, inventory)
