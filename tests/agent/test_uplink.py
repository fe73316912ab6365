"""The delivery loop waits as long as it was told, and no sealed batch cuts the wait short."""

import asyncio
import json
from typing import Any

import pytest

from agent.hub import Answer
from agent.identity import Identity
from agent.settings import UplinkSection
from agent.spool import StoredBatch
from agent.uplink import Orders, Uplink
from runtime.testing import FakeClock

IDENTITY = Identity(
    url="http://127.0.0.1:1",
    agent_id="a1" * 16,
    node="n1",
    seed="01" * 32,
    exchange_seed="02" * 32,
    collector_key="03" * 32,
    collector_exchange_key="04" * 32,
)
BATCH = StoredBatch(b"e" * 16, 0, b"d" * 32, b"bytes", 0, b"b" * 16, 1)


class OneBatch:
    """An outbox in which one batch waits for ever."""

    async def fresh(self, _: int) -> StoredBatch:
        return BATCH


@pytest.mark.parametrize("refusal", ["revoked", "overloaded"])
async def test_a_sealed_batch_does_not_cut_a_wait_short_and_the_hubs_return_does(
    refusal: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    nothing: Any = None
    settings = UplinkSection(backoff_base_s=1000.0)
    outbox: Any = OneBatch()
    orders = Orders(status=nothing, reply=nothing)
    uplink = Uplink(IDENTITY, outbox, orders, settings, FakeClock())
    posts: list[bytes] = []

    async def post(_lane: str, _path: str, data: bytes) -> Answer:
        posts.append(data)
        return Answer(403, json.dumps({"error": refusal}).encode(), 600.0)

    monkeypatch.setattr(uplink, "_post", post)
    async with asyncio.TaskGroup() as group:
        task = group.create_task(uplink.run_evidence())
        for _ in range(20):
            uplink.wake()
            await asyncio.sleep(0.01)
        assert len(posts) == 1
        uplink._note("unreachable")
        uplink._note(None)
        await asyncio.sleep(0.05)
        task.cancel()
    uplink.close()
    assert len(posts) == 2
