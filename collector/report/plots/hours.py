"""Attainment by hour of the local day: median, bands, and the line of 90 %."""

from collections.abc import Iterator, Sequence

from collector.audit.daily import THETA
from collector.report.plots.canvas import INK, WIDTH, Canvas, Point
from collector.report.record import HourOfDay, ThroughputPart
from collector.report.speech import Speech

LEFT, RIGHT, TOP, HIGH = 52.0, 8.0, 8.0, 130.0
WIDE, NARROW, MEDIAN = "#e3efe2", "#b9d8b6", "#1e5b2b"
TOP_SHARE = 1.2
HALF = 0.32
"""Half of an hour's column that is filled where no hour is beside it."""


def hours(part: ThroughputPart, speech: Speech) -> str:
    """One direction. An hour without tests is a gap; a lone hour is a column of its own."""
    title = f"{speech.say('throughput')}: {speech.word('direction', part.direction)}"
    drawn = Canvas(TOP + HIGH + 30, title)

    def at(hour: float, share: float) -> Point:
        x = LEFT + (hour + 0.5) / 24 * (WIDTH - LEFT - RIGHT)
        return x, TOP + HIGH * (1 - min(share, TOP_SHARE) / TOP_SHARE)

    for fifth in range(0, 13, 2):
        _, y = at(0, fifth / 10)
        drawn.line((LEFT, y), (WIDTH - RIGHT, y))
        drawn.text((LEFT - 4, y + 3), speech.percent(fifth / 10, 0), "end", 7.5)
    for run in _runs(part.hours):
        edges = [(one, one.hour + shift) for one in run for shift in (-HALF, HALF)]
        for low, high, fill in (("p10", "p90", WIDE), ("p25", "p75", NARROW)):
            drawn.band(
                [at(x, getattr(one, low)) for one, x in edges],
                [at(x, getattr(one, high)) for one, x in edges],
                fill,
            )
        drawn.path([at(x, one.p50) for one, x in edges], MEDIAN, 1.6)
    _, y = at(0, THETA)
    drawn.line((LEFT, y), (WIDTH - RIGHT, y), INK, "4 3")
    for hour in range(24):
        x, _ = at(hour, 0)
        drawn.text((x, TOP + HIGH + 11), f"{hour:02}", "middle", 7.5)
    words = speech.say("hour", zone=speech.zone.value)
    drawn.text(((LEFT + WIDTH - RIGHT) / 2, TOP + HIGH + 24), words, "middle", 8)
    return drawn.svg()


def _runs(each: Sequence[HourOfDay]) -> Iterator[list[HourOfDay]]:
    run: list[HourOfDay] = []
    for one in each:
        if run and one.hour != run[-1].hour + 1:
            yield run
            run = []
        run.append(one)
    if run:
        yield run
