from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from collector.audit.evidence import Span
from collector.audit.states import State
from collector.board import LinkRow
from collector.inventory import Link, Node, NodeKind
from collector.ledger.outages import Lane, OutageStore
from collector.ledger.sqlite import SqliteLedger
from collector.live import Known, LinkState, Reason
from collector.watch import Watch
from runtime.testing import FakeClock

NODE = Node(id="n1", name="Desa", kind=NodeKind.DESA, district="K")
LINK = Link(id="l1", node="n1", provider="P", medium="fibre", pop="P1")


def row(state: LinkState, reason: Reason, heard_ago_s: float | None) -> LinkRow:
    return LinkRow(LINK, NODE, Known(state, reason), None, None, None, None, heard_ago_s)


UP = row(LinkState.UP, Reason.HEARD, 0.2)


class Wall:
    """A watch, its store, and a way to look."""

    def __init__(self, file: Path) -> None:
        self.kept = OutageStore(SqliteLedger(file))
        self.start()

    def start(self) -> None:
        self.board = SimpleNamespace(lasting={})
        self.watch = Watch(self.kept, cast(Any, self.board), FakeClock())

    def look(self, one: LinkRow, now_s: float) -> None:
        changed = self.watch.look([one], now_s)
        if changed:
            self.watch._say(changed, int(now_s))

    def told(self) -> list[tuple[int, float | None, State]]:
        return [
            (
                one.outage.start.at_s,
                None if one.outage.end is None else one.outage.end.at_s,
                one.outage.state,
            )
            for one in self.kept.newest(Lane.LIVE, "l1", Span(0, 10_000))
        ]


@pytest.fixture
def wall(tmp_path: Path) -> Wall:
    return Wall(tmp_path / "ledger.db")


def test_silence_is_unknown_and_begins_when_it_was_last_heard(wall: Wall) -> None:
    wall.look(UP, 100)
    wall.look(row(LinkState.UNKNOWN, Reason.SILENT, 6), 106)
    assert wall.told() == [(100, None, State.UNKNOWN)]
    assert wall.board.lasting["l1"].start.at_s == 100


def test_a_witness_makes_it_down_in_a_revision_and_hearing_ends_it(wall: Wall) -> None:
    wall.look(row(LinkState.UNKNOWN, Reason.SILENT, 6), 106)
    wall.look(row(LinkState.DOWN, Reason.OUTSIDE_LOSS, 20), 120)
    wall.look(row(LinkState.UNKNOWN, Reason.SILENT, 30), 130)
    assert wall.told() == [(100, None, State.DOWN)]
    wall.look(UP, 150)
    assert wall.told() == [(100, 149, State.DOWN)]
    assert wall.board.lasting == {}
    assert [one.outage.state for one in wall.kept.history(1)] == [
        State.UNKNOWN,
        State.DOWN,
        State.DOWN,
    ]


def test_the_same_said_again_is_no_revision(wall: Wall) -> None:
    for second in range(106, 120):
        wall.look(row(LinkState.UNKNOWN, Reason.SILENT, second - 100), second)
    assert len(wall.kept.history(1)) == 1


def test_what_lasted_goes_on_after_a_restart(wall: Wall) -> None:
    wall.look(row(LinkState.UNKNOWN, Reason.SILENT, 6), 106)
    wall.start()
    wall.look(row(LinkState.UNKNOWN, Reason.NEVER_HEARD, None), 200)
    wall.look(UP, 300)
    assert wall.told() == [(100, 299, State.UNKNOWN)]


def test_a_hub_that_has_just_started_says_nothing_of_who_was_never_heard(wall: Wall) -> None:
    wall.look(row(LinkState.UNKNOWN, Reason.NEVER_HEARD, None), 200)
    assert wall.told() == []
