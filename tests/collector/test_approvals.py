"""Agents that wait for an operator's approval, and those that never have to."""

from pathlib import Path

import pytest

from collector.ledger.approvals import Approvals
from collector.ledger.sqlite import SqliteLedger
from tests.collector.hub import enrol_in, later, serving, settings_in
from tests.collector.kit import Box, reported
from tests.collector.test_cli import run
from wire import message


async def test_a_box_that_waits_keeps_its_evidence_and_delivers_it_once_approved(
    tmp_path: Path,
) -> None:
    box = Box()
    settings_in(tmp_path, approve_agents=True)
    async with serving(tmp_path, box, clock=later(), approve_agents=True) as hub:
        batch = box.batch()
        refused = await hub.post("/v1/batch", batch.to_bytes())
        assert refused.status == 503
        assert b"waits for an operator's approval" in refused.body
        assert int(refused.headers["Retry-After"]) > 0
        told = await hub.post("/v1/status", message.sign(box.status(), box.key))
        assert told.status == 503
        assert hub.collector.board.fleet.owners == {}
        assert hub.collector.approvals.approve(box.agent_id, "sri", 1)
        assert not hub.collector.approvals.approve(box.agent_id, "sri", 2)
        await hub.collector.agents_changed()
        await hub.deliver(batch)
        await hub.tell(box, box.status(targets=(reported(),)))
        assert set(hub.collector.board.fleet.owners) == {"n1"}


def test_those_who_speak_already_are_not_silenced_by_a_change_of_the_settings(
    tmp_path: Path,
) -> None:
    first, second = Box(1, "n1"), Box(2, "n2")
    settings_in(tmp_path)
    enrol_in(tmp_path, first)
    ledger = SqliteLedger(tmp_path / "etc" / "data" / "ledger.db")
    free = Approvals(ledger, asked=False)
    free.catch_up(1)
    assert free.waiting(ledger.agents()) == set()
    enrol_in(tmp_path, second)
    strict = Approvals(ledger, asked=True)
    strict.catch_up(2)
    assert strict.waiting(ledger.agents()) == {second.agent_id}
    assert not strict.approve(b"x" * 16, "sri", 3)
    with pytest.raises(Exception, match="append-only"):
        ledger.rows("DELETE FROM agent_approval")
    ledger.close()


def test_the_command_line_approves(tmp_path: Path) -> None:
    file = settings_in(tmp_path, approve_agents=True)
    box = Box()
    enrol_in(tmp_path, box)
    assert '"waits_for_approval": true' in run(file, "agents", "--json").stdout
    assert run(file, "agents", "--approve", box.agent_id.hex()).exit_code == 0
    assert '"waits_for_approval": false' in run(file, "agents", "--json").stdout
    again = run(file, "agents", "--approve", box.agent_id.hex())
    assert again.exit_code == 1
    assert "that waits for approval" in again.stderr
