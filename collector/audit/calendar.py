"""Indonesia's civil time: three zones, each a fixed offset from UTC, none with summer time."""

from enum import StrEnum


class Zone(StrEnum):
    """Time zone of a place or a contract."""

    WIB = "WIB"
    WITA = "WITA"
    WIT = "WIT"

    @property
    def offset_s(self) -> int:
        """Seconds that local time is ahead of UTC."""
        return {"WIB": 7, "WITA": 8, "WIT": 9}[self.value] * 3600
