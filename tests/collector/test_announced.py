"""Links that are worked on, as announced, say nothing about their PoP; all others do."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from collector.announced import AnnouncedService
from collector.board import Board, LinkRow
from collector.inventory import Inventory, Link, Node, NodeKind
from collector.ledger.sqlite import SqliteLedger
from collector.live import Known, LinkState, Reason
from collector.maintenance import Recorded, Scope
from collector.together import is_event, pages
from runtime.clock import SECOND
from runtime.testing import FakeClock
from tests.collector.test_alert_silences import inventory, promised
from tests.collector.test_maintenance import MONDAY_S, WHO, entry

LINKS = ("l1", "l2", "l3", "l4", "l5")


def test_a_link_is_announced_within_its_window_and_no_longer(tmp_path: Path) -> None:
    ledger = SqliteLedger(tmp_path / "ledger.db")
    clock = FakeClock(wall_ns=(MONDAY_S - 1) * SECOND)
    both = inventory(*LINKS), promised(*LINKS)
    service = AnnouncedService(ledger.registers, lambda: both, cast(Any, None), clock)
    told = entry(scope=Scope(link="l1"), hours=1).notice
    kept = ledger.registers.add_maintenance(told, WHO)
    assert service.now() == frozenset()
    clock.advance(SECOND)
    assert service.now() == {"l1"}
    # Short of its notice the contract excuses nothing, so it is no reason for silence.
    late = entry(scope=Scope(link="l2"), hours=1, told_h=1).notice
    ledger.registers.add_maintenance(late, WHO)
    assert service.now() == {"l1"}
    clock.advance(3599 * SECOND)
    assert service.now() == {"l1"}
    clock.advance(SECOND)
    assert service.now() == frozenset()
    clock.advance(-SECOND)
    ledger.registers.cancel_maintenance(kept.id, "ditunda", Recorded("Sari", "root", 2))
    assert service.now() == frozenset()
    ledger.close()


def test_works_on_three_links_are_no_failure_of_their_pop() -> None:
    board = cast(Any, Board.__new__(Board))
    known = Known(LinkState.DOWN, Reason.OUTSIDE_LOSS)
    node = Node(id="n", name="Desa", kind=NodeKind.DESA, district="K")
    rows = [
        LinkRow(
            Link(id=one, node="n", provider="P", medium="radio", pop="POP-1"),
            node, known, None, None, None, None, None,
        )
        for one in LINKS
    ]  # fmt: skip
    lost = {one: SimpleNamespace(start=SimpleNamespace(at_s=100.0)) for one in LINKS[:3]}
    board.lasting, board.announced = lost, frozenset()
    assert is_event(board._looks(rows), 60, 0.3)
    board.announced = frozenset(LINKS[:3])
    assert not is_event(board._looks(rows), 60, 0.3)
    # Beyond what was announced the others still are one.
    board.lasting = dict.fromkeys(LINKS, lost["l1"])
    board.announced = frozenset(LINKS[:2])
    looks = board._looks(rows)
    assert is_event(looks, 60, 0.3)
    assert "pantau_pop_links" in "".join(line for _, its in pages(looks) for line in its)


def test_days_without_a_contract_take_what_was_approved(tmp_path: Path) -> None:
    ledger = SqliteLedger(tmp_path / "ledger.db")
    clock = FakeClock(wall_ns=(MONDAY_S + 60) * SECOND)
    both: tuple[Inventory, Any] = inventory(*LINKS), promised("l2")
    service = AnnouncedService(ledger.registers, lambda: both, cast(Any, None), clock)
    ledger.registers.add_maintenance(entry(scope=Scope(pop="POP-1")).notice, WHO)
    assert service.now() == set(LINKS)
    unapproved = entry(scope=Scope(pop="POP-1"), approved_by=None).notice
    ledger.registers.cancel_maintenance(1, "salah", Recorded("Sari", "root", 2))
    ledger.registers.add_maintenance(unapproved, WHO)
    assert service.now() == frozenset()
    ledger.close()
