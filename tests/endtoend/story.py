"""The bad two minutes from beginning to end: what was done, and what the collector says of it."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any, NamedTuple

from collector.settle.judge import SETTLED_AFTER_S
from tests.endtoend.district import District, district
from tests.endtoend.faults import PLACES, Faults
from tests.endtoend.verdicts import Row, Truth, compare


class Story(NamedTuple):
    """Seconds are UTC."""

    began_s: float
    ended_s: float
    """Between these all boxes were meant to measure; what was found elsewhere is left out."""
    truths: list[Truth]
    early: dict[str, list[dict[str, Any]]]
    """What the API said of some links while they were down, by link."""
    outages: list[dict[str, Any]]
    availability: list[dict[str, Any]]
    pages: dict[str, Any]
    """What the API says of the outages of each link."""

    def rows(self) -> list[Row]:
        """Truth beside what was found."""
        return compare(self.truths, self.outages)


def _within(stage: District, began_s: float, ended_s: float) -> list[dict[str, Any]]:
    return [
        one
        for one in stage.ask("outages")
        if (one["end_s"] is None or one["end_s"] > began_s) and one["start_s"] < ended_s
    ]


def tell(stage: District) -> Story:
    """Play the script on a running district and ask the collector. Takes four minutes, because an
    outage is said 90 s after its end."""
    faults = Faults(stage)
    began_s, ended_s = faults.play()
    stage.drain()
    truths = faults.truths()
    last_s = max(one.end_s for one in truths)
    stage.wait_for(
        "all judged", 300, lambda: _judged_s(stage) > last_s + SETTLED_AFTER_S, every_s=5.0
    )
    outages, pages = _settled(stage, began_s, ended_s)
    return Story(
        began_s=began_s,
        ended_s=ended_s,
        truths=truths,
        early=faults.early,
        outages=outages,
        availability=_months(stage, (began_s, ended_s)),
        pages=pages,
    )


def _judged_s(stage: District) -> float:
    return min(row["judged_until_s"] or 0 for row in stage.ask("availability"))


def _settled(
    stage: District, began_s: float, ended_s: float
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """What is said once all is settled and nothing changes any more, and the pages of each link
    from a time when the same was said before and after them."""
    said: list[list[dict[str, Any]]] = [[]]
    pages: dict[str, Any] = {}

    def calm() -> bool:
        for place in stage.places.values():
            pages[place.link] = stage.page(f"/api/v1/links/{place.link}/outages")
        said.append(_within(stage, began_s, ended_s))
        return said[-1] == said[-2] and all(one["settled"] for one in said[-1])

    stage.wait_for("all settled", 120, calm, every_s=2.0)
    return said[-1], pages


def _months(stage: District, moments: tuple[float, ...]) -> list[dict[str, Any]]:
    """Availability of the months in WIB in which the story was played: one, nearly always."""
    wib = timezone(timedelta(hours=7))
    months = {f"{datetime.fromtimestamp(at, wib):%Y-%m}" for at in moments}
    return [row for month in months for row in stage.ask("availability", "--month", month)]


@contextmanager
def staged(folder: Path) -> Iterator[District]:
    """The district, running; its contracts began two days ago."""
    with district(folder, PLACES) as stage:
        stage.write(str((datetime.now(UTC) - timedelta(days=2)).date()))
        stage.start()
        yield stage
