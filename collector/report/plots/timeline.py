"""Timeline of outages: when in the month, how long, and whose time, one line for each charge."""

from collector.audit.states import Charge
from collector.report.plots.canvas import FAINT, STATES, WIDTH, Canvas
from collector.report.record import PeriodPart
from collector.report.speech import Speech

LEFT, RIGHT, TOP, ROW = 92.0, 8.0, 6.0, 22.0
DAY_S = 86_400
_ROWS = (
    (Charge.PROVIDER, "down"),
    (Charge.EXCLUDED, "excluded"),
    (Charge.UNKNOWN, "unknown"),
)


def timeline(period: PeriodPart, speech: Speech) -> str:
    """All outages of the period."""
    bottom = TOP + len(_ROWS) * ROW
    drawn = Canvas(bottom + 18, speech.say("timeline"))
    whole = period.end_s - period.start_s

    def x(at_s: float) -> float:
        share = (min(max(at_s, period.start_s), period.end_s) - period.start_s) / whole
        return LEFT + share * (WIDTH - LEFT - RIGHT)

    for row, (charge, name) in enumerate(_ROWS):
        y = TOP + row * ROW
        drawn.text((LEFT - 6, y + 14), speech.word("charge", charge), "end", 8)
        drawn.line((LEFT, y + ROW), (WIDTH - RIGHT, y + ROW))
        for one in period.outages:
            if one.charge is not charge:
                continue
            start, end = x(one.start_s), x(period.end_s if one.end_s is None else one.end_s)
            words = f"{speech.moment(one.start_s)}: {speech.length(one.within_s)}"
            drawn.rect((start, y + 3), (max(1.6, end - start), ROW - 5), STATES[name], words)
    for number, at_s in enumerate(range(period.start_s, period.end_s, DAY_S)):
        drawn.line((x(at_s), bottom), (x(at_s), bottom + 3), FAINT)
        if number % 2 == 0:
            day = speech.zone.day_of(at_s).day
            drawn.text((x(at_s + DAY_S / 2), bottom + 12), str(day), "middle", 7.5)
    return drawn.svg()
