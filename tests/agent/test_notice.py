"""What is lost just now is told to the hub before the next regular status."""

from pathlib import Path

import pytest

from agent import identity
from agent.app import STATUS_WINDOW_S, Agent
from agent.settings import AgentSettings
from runtime.testing import FakeClock
from tests.agent.test_uplink import IDENTITY
from wire.policy import Policy


async def test_every_target_that_begins_to_lose_is_told_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    identity.save(tmp_path, IDENTITY, Policy(node="n1", targets=()))
    agent = Agent(AgentSettings(state_dir=str(tmp_path)), FakeClock())
    seconds = [set(), {1}, {1}, {1, 2}, {2}, set(), {1}]
    told: list[int] = []

    def losing(window_s: float) -> frozenset[int]:
        assert window_s == STATUS_WINDOW_S
        return frozenset(seconds[second])

    monkeypatch.setattr(agent._measure, "losing", losing)
    monkeypatch.setattr(agent._uplink, "hurry", lambda: told.append(second))
    for second in range(len(seconds)):  # noqa: B007 - the fakes read it
        await agent._notice()
    agent._uplink.close()
    assert told == [1, 3, 6]
