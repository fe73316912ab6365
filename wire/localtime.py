"""The calendar at a link: a fixed offset from UTC, because the zones of Indonesia have no summer
time. Pure arithmetic on Unix seconds."""

import datetime

DAY_S = 86_400
HOUR_S = 3_600
EPOCH = datetime.date(1970, 1, 1)


def local_day(wall_s: float, offset_s: int) -> datetime.date:
    """The date at the link."""
    return EPOCH + datetime.timedelta(days=(wall_s + offset_s) // DAY_S)


def local_hour(wall_s: float, offset_s: int) -> int:
    """The clock hour at the link, 0 to 23."""
    return int((wall_s + offset_s) % DAY_S // HOUR_S)


def local_month(wall_s: float, offset_s: int) -> str:
    """`YYYY-MM` at the link."""
    return local_day(wall_s, offset_s).strftime("%Y-%m")
