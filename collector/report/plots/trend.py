"""The last months as bars: how many links met, breached, or could not be decided."""

from collections.abc import Sequence

from collector.report.plots.canvas import STATES, WIDTH, Canvas, steps
from collector.report.record import TrendMonth
from collector.report.speech import Speech

LEFT, RIGHT, TOP, HIGH = 52.0, 8.0, 18.0, 90.0
_PARTS = (("met", "#7fb893"), ("indeterminate", STATES["unknown"]), ("breached", STATES["down"]))


def trend(months: Sequence[TrendMonth], speech: Speech) -> str:
    """A bar a month, from what was met up."""
    drawn = Canvas(TOP + HIGH + 16, speech.say("summary.trend"))
    axis = [one for one in steps(max((one.links for one in months), default=1)) if one % 1 == 0]
    most = axis[-1] or 1
    for value in axis:
        y = TOP + HIGH * (1 - value / most)
        drawn.line((LEFT, y), (WIDTH - RIGHT, y))
        drawn.text((LEFT - 4, y + 3), speech.whole(int(value)), "end", 7.5)
    wide = (WIDTH - LEFT - RIGHT) / max(1, len(months))
    for number, one in enumerate(months):
        x, foot = LEFT + number * wide, TOP + HIGH
        for name, fill in _PARTS:
            high = HIGH * getattr(one.availability, name) / most
            drawn.rect((x + wide * 0.2, foot - high), (wide * 0.6, high), fill)
            foot -= high
        drawn.text((x + wide / 2, TOP + HIGH + 11), speech.month(one.month), "middle", 8)
    told = ((fill, speech.say(f"judgement.{name}")) for name, fill in _PARTS)
    drawn.legend((LEFT, 9), told)
    return drawn.svg()
