"""Smoke plot of the round trips of a month, after SmokePing: median, bands, and lost packets."""

from collections.abc import Iterator, Sequence

from collector.report.plots.canvas import FAINT, STATES, WIDTH, Canvas, Point, steps
from collector.report.record import PeriodPart, Smoke
from collector.report.speech import Speech

LEFT, RIGHT, TOP, HIGH = 52.0, 8.0, 8.0, 150.0
BIN_S, DAY_S = 7200, 86_400
WIDE, NARROW, MEDIAN, LIMIT = "#dfe7f2", "#b4c7e3", "#1d3f72", "#8a5a00"


def smoke(period: PeriodPart, speech: Speech) -> str:
    """The period in bins of two hours; a gap where nothing came back."""
    drawn = Canvas(TOP + HIGH + 20, speech.say("smoke"))
    times = [us for one in period.smoke for us in (one.p95_us, one.p50_us) if us is not None]
    limit_s = period.delays[0].rtt_limit_s if period.delays else None
    highest_ms = _most(times) / 1000
    if limit_s is not None and limit_s * 1000 <= 2 * highest_ms:
        highest_ms = max(highest_ms, limit_s * 1000)
    axis = steps(highest_ms)
    top_ms, whole = axis[-1], period.end_s - period.start_s

    def at(start_s: float, us: float) -> Point:
        x = LEFT + (start_s - period.start_s) / whole * (WIDTH - LEFT - RIGHT)
        return x, TOP + HIGH * (1 - min(us / 1000 / top_ms, 1))

    for value in axis:
        _, y = at(period.start_s, value * 1000)
        drawn.line((LEFT, y), (WIDTH - RIGHT, y))
        drawn.text((LEFT - 4, y + 3), speech.ms(value / 1000), "end", 7.5)
    for run in _runs(period.smoke):
        _draw(drawn, run, at)
    if limit_s is not None and limit_s * 1000 <= top_ms:
        _, y = at(period.start_s, limit_s * 1e6)
        drawn.line((LEFT, y), (WIDTH - RIGHT, y), LIMIT, "5 3")
    for one in period.smoke:
        if one.lost:
            x, _ = at(one.start_s + BIN_S / 2, 0)
            drawn.dot((x, TOP + HIGH - 3), 1.2 + 3 * one.lost / one.packets, STATES["down"])
    _days(drawn, period, speech)
    return drawn.svg()


def _most(times: Sequence[int]) -> float:
    """High enough for nearly all: one bin of a bad day shall not flatten the month."""
    ordered = sorted(times)
    return float(ordered[max(0, int(0.995 * len(ordered)) - 1)]) if ordered else 1000.0


def _runs(bins: Sequence[Smoke]) -> Iterator[list[Smoke]]:
    """Bins with round trips that follow one another."""
    run: list[Smoke] = []
    for one in bins:
        if run and one.start_s != run[-1].start_s + BIN_S:
            yield run
            run = []
        if one.p50_us is None:
            if run:
                yield run
            run = []
        else:
            run.append(one)
    if run:
        yield run


def _draw(drawn: Canvas, run: Sequence[Smoke], at: object) -> None:
    assert callable(at)

    def line(*names: str) -> list[Point]:
        """Each point is the first of these that is known: a high percentile may be lost."""
        found: list[Point] = []
        for one in run:
            us = next(us for name in names if (us := getattr(one, f"{name}_us")) is not None)
            found.append(at(one.start_s + BIN_S / 2, us))
        return found

    drawn.band(line("p05"), line("p95", "p75", "p50"), WIDE)
    drawn.band(line("p25"), line("p75", "p50"), NARROW)
    drawn.path(line("p50"), MEDIAN)


def _days(drawn: Canvas, period: PeriodPart, speech: Speech) -> None:
    wide = (WIDTH - LEFT - RIGHT) * DAY_S / (period.end_s - period.start_s)
    for number, at_s in enumerate(range(period.start_s, period.end_s, DAY_S)):
        x = LEFT + number * wide
        drawn.line((x, TOP + HIGH), (x, TOP + HIGH + 3), FAINT)
        if number % 2 == 0:
            day = speech.zone.day_of(at_s).day
            drawn.text((x + wide / 2, TOP + HIGH + 12), str(day), "middle", 7.5)
