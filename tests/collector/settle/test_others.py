"""What links showed is remembered, and looked at anew as soon as it may be different."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from collector.audit.correlation import Observed
from collector.audit.evidence import Span
from collector.audit.intervals import Run
from collector.audit.rules import UnavailabilityRule
from collector.audit.states import State
from collector.ledger.derived import DerivedStore
from collector.ledger.sqlite import SqliteLedger
from collector.settle.others import MOST_WINDOWS, Asked, Others

HOUR = 1_900_000_800 // 3600
HUB_OFF = (Span(HOUR * 3600 + 60, HOUR * 3600 + 120),)
"""With it no link is taken to be in order without a look."""


class Looker:
    """Counts the looks at each link."""

    def __init__(self, store: DerivedStore) -> None:
        self.others = Others(store)
        self.looks: list[str] = []

    def at(self, link: str, quarter: int = 0, **changes: object) -> Observed:
        start_s = HOUR * 3600 + quarter * 900
        asked = Asked(Span(start_s, start_s + 900), UnavailabilityRule(), HUB_OFF)

        def look() -> Observed:
            self.looks.append(link)
            run = Run(start_s, start_s + 900, State.UP)
            return Observed(link, "P", (run,), (), (), False, (), ())

        return self.others.observed(link, "P", asked._replace(**changes), look)


@pytest.fixture
def looker(tmp_path: Path) -> Iterator[Looker]:
    ledger = SqliteLedger(tmp_path / "ledger.db")
    yield Looker(DerivedStore(ledger))
    ledger.close()


def test_a_window_is_looked_at_once(looker: Looker) -> None:
    assert looker.at("a") is looker.at("a")
    assert looker.at("b").link == "b"
    assert looker.looks == ["a", "b"]


def test_another_window_rule_or_life_of_the_hub_is_another_look(looker: Looker) -> None:
    looker.at("a")
    looker.at("a", 1)
    looker.at("a", rule=UnavailabilityRule(bins_in=20))
    looker.at("a", hub_off=(*HUB_OFF, Span(HOUR * 3600 + 300, HOUR * 3600 + 310)))
    start_s = HOUR * 3600
    looker.at("a", window=Span(start_s, start_s + 899))
    assert looker.looks == ["a"] * 5


def test_what_changed_or_spoke_is_looked_at_anew_and_nothing_else(looker: Looker) -> None:
    for link in ("a", "b", "c"):
        looker.at(link)
    looker.others.forget([("a", HOUR + 5)], ["b"])
    for link in ("a", "b", "c"):
        looker.at(link)
    assert looker.looks == ["a", "b", "c", "a", "b"]
    looker.others.forget_all()
    looker.at("c")
    assert looker.looks[-1] == "c"


def test_a_link_that_is_silent_for_days_does_not_fill_the_memory(looker: Looker) -> None:
    for quarter in range(MOST_WINDOWS + 1):
        looker.at("a", quarter)
    looker.at("a", MOST_WINDOWS)
    assert len(looker.looks) == MOST_WINDOWS + 1
    looker.at("a", 0)
    assert len(looker.looks) == MOST_WINDOWS + 2
