"""Civil months and days of Indonesia's three zones, as seconds of UTC. No zone has summer time."""

import re
from datetime import date, timedelta
from enum import StrEnum
from typing import NamedTuple

from collector.audit.evidence import Span

DAY_S = 86_400
_EPOCH_DAY = date(1970, 1, 1).toordinal()


class Zone(StrEnum):
    """A legal time of Indonesia."""

    WIB = "WIB"
    """west: UTC+7"""
    WITA = "WITA"
    """centre: UTC+8"""
    WIT = "WIT"
    """east: UTC+9"""

    @property
    def offset_s(self) -> int:
        """Seconds by which its clocks are ahead of UTC."""
        return {Zone.WIB: 7, Zone.WITA: 8, Zone.WIT: 9}[self] * 3_600

    def midnight_s(self, day: date) -> int:
        """When the day begins here, UTC seconds."""
        return (day.toordinal() - _EPOCH_DAY) * DAY_S - self.offset_s

    def day_of(self, at_s: float) -> date:
        """The day here at this UTC second."""
        return date.fromordinal(_EPOCH_DAY + int((at_s + self.offset_s) // DAY_S))

    def days(self, span: Span) -> tuple[Span, ...]:
        """`span` cut at the midnights here."""
        found = []
        at = span.start_s
        while at < span.end_s:
            midnight = self.midnight_s(self.day_of(at) + timedelta(days=1))
            found.append(Span(at, min(midnight, span.end_s)))
            at = midnight
        return tuple(found)


class Month(NamedTuple):
    """A calendar month in one zone."""

    year: int
    number: int
    zone: Zone

    @classmethod
    def parse(cls, text: str, zone: Zone) -> "Month":
        """Of "2026-11". Raises ValueError for anything else."""
        found = re.fullmatch(r"([0-9]{4})-(0[1-9]|1[0-2])", text)
        if found is None or found[1] == "0000":
            raise ValueError(f"month {text!r}: expected the form 2026-11")
        return cls(int(found[1]), int(found[2]), zone)

    @classmethod
    def of(cls, at_s: float, zone: Zone) -> "Month":
        """The month in which this UTC second lies."""
        day = zone.day_of(at_s)
        return cls(day.year, day.month, zone)

    def __str__(self) -> str:
        return f"{self.year:04}-{self.number:02}"

    @property
    def next(self) -> "Month":
        """The month after it."""
        return Month(self.year + self.number // 12, self.number % 12 + 1, self.zone)

    @property
    def span(self) -> Span:
        """From its first midnight to the next month's."""
        after = self.next
        first, last = date(self.year, self.number, 1), date(after.year, after.number, 1)
        return Span(self.zone.midnight_s(first), self.zone.midnight_s(last))


def parse_window(text: str) -> date:
    """The look of a window: a month such as 2026-10 is judged at its end, a day such as
    2026-10-15 before it ends. Returns the local day after the last one judged.

    Raises ValueError that tells the form.
    """
    try:
        if len(text) == len("2026-10-15"):
            return date.fromisoformat(text)
        month = Month.parse(text, Zone.WIB).next
        return date(month.year, month.number, 1)
    except ValueError:
        raise ValueError(
            f"window {text!r}: expected a month such as 2026-10, or a day such as 2026-10-15"
        ) from None
