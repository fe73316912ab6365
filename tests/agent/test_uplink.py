"""The delivery loop waits as long as it was told, and no sealed batch cuts the wait short."""

import asyncio
import json
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from agent.hub import Answer, HubUnreachable
from agent.identity import Identity
from agent.settings import UplinkSection
from agent.spool import StoredBatch
from agent.uplink import Orders, Uplink
from runtime.testing import FakeClock
from wire import message
from wire.errors import WireError
from wire.message import SlotReply, SlotRequest

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


KEY = Ed25519PrivateKey.from_private_bytes(b"h" * 32)
OURS = msgspec.structs.replace(IDENTITY, collector_key=KEY.public_key().public_bytes_raw().hex())
REQUEST = SlotRequest(
    agent_id="a1" * 16, epoch="e9" * 16, counter=1, nonce="0e" * 16, ended="5b" * 16
)


def reply(nonce: str = REQUEST.nonce, key: Ed25519PrivateKey = KEY) -> bytes:
    return message.sign(SlotReply(nonce=nonce, received_wall_ns=1, wait_s=5.0), key)


def uplink_that_hears(answer: Answer, monkeypatch: pytest.MonkeyPatch) -> Uplink:
    nothing: Any = None
    orders = Orders(status=nothing, reply=nothing)
    uplink = Uplink(OURS, nothing, orders, UplinkSection(), FakeClock())

    async def post(lane: str, path: str, data: bytes) -> Answer:
        assert (lane, path) == ("slot", "/v1/slot")
        public = OURS.signing_key().public_key().public_bytes_raw()
        assert message.verify(data, SlotRequest, public) == REQUEST
        return answer

    monkeypatch.setattr(uplink, "_post", post)
    return uplink


async def test_a_slot_is_asked_for_and_the_answer_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    uplink = uplink_that_hears(Answer(200, reply(), None), monkeypatch)
    assert (await uplink.ask_slot(REQUEST)).wait_s == 5.0
    uplink.close()


@pytest.mark.parametrize(
    ("answer", "error", "said"),
    [
        (Answer(404, b"404: Not Found", None), HubUnreachable, "404"),
        (Answer(503, b"{}", 5.0), HubUnreachable, "503"),
        (Answer(200, reply("0f" * 16), None), WireError, "another request"),
        (
            Answer(200, reply(key=Ed25519PrivateKey.from_private_bytes(b"x" * 32)), None),
            WireError,
            "not signed by this key",
        ),
        (Answer(200, b"<html>Log in</html>", None), WireError, "not a SlotReply"),
    ],
)
async def test_what_is_no_grant_of_our_hub_is_none(
    answer: Answer, error: type[Exception], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    uplink = uplink_that_hears(answer, monkeypatch)
    with pytest.raises(error, match=said):
        await uplink.ask_slot(REQUEST)
    uplink.close()


async def test_news_does_not_wait_for_the_next_regular_status(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    nothing: Any = None
    uplink = Uplink(
        OURS, nothing, Orders(status=nothing, reply=nothing), UplinkSection(), FakeClock()
    )
    said = asyncio.Queue[None]()

    async def tell() -> None:
        said.put_nowait(None)

    monkeypatch.setattr(uplink, "tell", tell)
    monkeypatch.setattr("agent.uplink.random.uniform", lambda *_: 0.0)
    async with asyncio.timeout(30), asyncio.TaskGroup() as group:
        task = group.create_task(uplink.run_status(3_600.0))
        await said.get()
        await asyncio.sleep(0.05)
        uplink.hurry()
        await said.get()
        task.cancel()
    uplink.close()
