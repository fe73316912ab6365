"""Calendar of availability: a row for each day, a box for each hour, coloured by its worst time."""

from collections.abc import Mapping

from collector.report.plots.canvas import STATES, WIDTH, Canvas
from collector.report.record import Hour, PeriodPart
from collector.report.speech import Speech

LEFT, TOP, BOX, GAP = 92.0, 18.0, 25.0, 1.0
ROW = 9.0
HOUR_S, DAY_S = 3600, 86_400
_WORST = ("down", "unknown", "excluded", "degraded")


def calendar(period: PeriodPart, speech: Speech) -> str:
    """The period, day by day."""
    rows = len(period.days)
    drawn = Canvas(TOP + rows * (ROW + GAP) + 22, speech.say("calendar"))
    by_start = {one.start_s: one for one in period.hours}
    for hour in range(0, 25, 3):
        drawn.text((LEFT + hour * (BOX + GAP), TOP - 5), f"{hour:02}", "middle", 8)
    for row, day in enumerate(period.days):
        y = TOP + row * (ROW + GAP)
        drawn.text((LEFT - 6, y + ROW - 1.5), speech.day_text(day.date), "end", 7.5)
        begin_s = period.start_s + row * DAY_S
        _row(drawn, y, (begin_s, min(begin_s + DAY_S, period.end_s)), by_start, speech)
    names = ("up", *reversed(_WORST))
    told = ((STATES[name], speech.say(name)) for name in names)
    drawn.legend((LEFT, TOP + rows * (ROW + GAP) + 14), told)
    return drawn.svg()


def _row(
    drawn: Canvas, y: float, span: tuple[int, int], by_start: Mapping[int, Hour], speech: Speech
) -> None:
    for number, start_s in enumerate(range(span[0], span[1], HOUR_S)):
        x = LEFT + number * (BOX + GAP)
        if x + BOX > WIDTH:
            break
        drawn.rect((x, y), (BOX, ROW), STATES["up"])
        one = by_start.get(start_s)
        if one is None:
            continue
        at = x
        for name in _WORST:
            seconds: int = getattr(one, f"{name}_s")
            if seconds:
                # What is short is drawn so wide that it is seen.
                wide = max(2.5, BOX * seconds / HOUR_S)
                wide = min(wide, x + BOX - at)
                if wide > 0:
                    words = f"{speech.moment(start_s)}: {speech.say(name)} {speech.length(seconds)}"
                    drawn.rect((at, y), (wide, ROW), STATES[name], words)
                    at += wide
