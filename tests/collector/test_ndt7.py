"""ndt7 on the collector's HTTP port: npm's own client against our server, and our client."""

import asyncio
import contextlib
import json
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from agent.probes import throughput
from agent.probes.throughput import Means
from collector import capacity
from collector.throughput import SlotEvent, ThroughputServer, ThroughputSettings
from collector.throughput.ndt7 import Ndt7
from collector.throughput.session import End
from runtime.load import ndt7
from tests.agent.attempt_kit import Authority, Days, server_context
from tests.throughput_kit import CLOCK, door, grant, plan
from wire.load import Plan
from wire.slot import Direction, Grant, Method
from wire.transfer import Transfer, TransferOutcome

CLIENT = Path(__file__).parent.parent / "npm" / "ndt7_client.js"
NEEDS_NPM = pytest.mark.skipif(
    shutil.which("node") is None or not (CLIENT.parent / "node_modules" / "@m-lab").is_dir(),
    reason="needs node and `npm ci` in tests/npm (make test does it where npm is)",
)
BOTH_WAYS = pytest.mark.parametrize("direction", [Direction.DOWN, Direction.UP])
MADE = {TransferOutcome.DONE, TransferOutcome.UNFIT, TransferOutcome.HUB_UNFIT}
WS = {"Sec-WebSocket-Protocol": ndt7.PROTOCOL}


@dataclass
class Hub:
    """A collector's HTTP port with ndt7 on it, and nothing else."""

    server: ThroughputServer
    events: list[SlotEvent]
    port: int


@asynccontextmanager
async def hub(context: Any = None, **settings: Any) -> AsyncIterator[Hub]:
    events: list[SlotEvent] = []
    server = ThroughputServer(ThroughputSettings(**settings), CLOCK, events.append)
    app = web.Application()
    app.add_routes(Ndt7(server).routes())
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
        yield Hub(server, events, runner.addresses[0][1])
    finally:
        await runner.cleanup()


def certificate(folder: Path) -> Any:
    """A context whose certificate nobody vouches for."""
    return server_context(folder, Authority().sign("localhost", Days(end=12)))


@NEEDS_NPM
@pytest.mark.parametrize("protocol", ["ws", "wss"])
async def test_the_stock_client_of_npm_measures_both_ways(
    protocol: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ndt7, "DURATION_S", 2.0)
    context = certificate(tmp_path) if protocol == "wss" else None
    async with hub(context, ndt7_open=True, ndt7_open_most_mbps=40) as open_hub:
        process = await asyncio.create_subprocess_exec(
            "node",
            str(CLIENT),
            protocol,
            f"127.0.0.1:{open_hub.port}",
            stdout=asyncio.subprocess.PIPE,
        )
        async with asyncio.timeout(60):
            out, _ = await process.communicate()
    told = json.loads(out)
    assert "error" not in told and told["code"] == 0, told
    assert told["measurements"]["client"] > 4 and told["measurements"]["server"] > 4
    down = told["download"]["LastClientMeasurement"]
    assert 20 < down["MeanClientMbps"] < 42
    for test, way in ((told["download"], "download"), (told["upload"], "upload")):
        last = test["LastServerMeasurement"]
        assert (last["Origin"], last["Test"]) == ("server", way)
        assert last["AppInfo"]["NumBytes"] > 100_000
        assert last["AppInfo"]["ElapsedTime"] == pytest.approx(2e6, rel=0.5)
        assert last["TCPInfo"]["MinRTT"] > 0
        assert last["ConnectionInfo"]["Server"] == f"127.0.0.1:{open_hub.port}"
        assert set(last["TCPInfo"]) == {
            "BusyTime",
            "BytesAcked",
            "BytesReceived",
            "BytesSent",
            "BytesRetrans",
            "ElapsedTime",
            "MinRTT",
            "RTT",
            "RTTVar",
            "RWndLimited",
            "SndBufLimited",
        }


async def ended(open_hub: Hub, given: Grant) -> SlotEvent:
    """Wait for the slot's end."""
    async with asyncio.timeout(20):
        while not any(one.end for one in open_hub.events):
            await asyncio.sleep(0.02)
    (event,) = (one for one in open_hub.events if one.end is not None)
    assert event.slot_id == given.slot_id
    return event


async def measured(open_hub: Hub, given: Grant, made: Plan) -> Transfer:
    open_hub.server.expect(given)
    return await throughput.run(given, made, Means(clock=CLOCK))


@BOTH_WAYS
@pytest.mark.parametrize("tls", [False, True], ids=["ws", "wss"])
async def test_an_agent_with_a_slot_measures_by_ndt7(
    direction: Direction, tls: bool, tmp_path: Path
) -> None:
    context = certificate(tmp_path) if tls else None
    async with hub(context) as closed_hub:
        url = f"{'wss' if tls else 'ws'}://127.0.0.1:{closed_hub.port}"
        given = grant(closed_hub.port, method=Method.NDT7, direction=direction, duration_s=1.5)
        made = plan(20_000_000, 1.5, url=url, web=url.replace("ws", "http"), ca="nobody")
        transfer = await measured(closed_hub, given, made)
        assert transfer.outcome in MADE, transfer.note
        (flow,) = transfer.tcp
        assert flow.received_bytes and flow.min_rtt_ns and flow.rtt_ns
        rate = capacity.achieved(transfer, skip_ns=capacity.SECOND // 2)
        assert rate == pytest.approx(20e6, rel=0.1)
        for column in (transfer.connect_load_ns, transfer.http_load_ns, transfer.own_load_ns):
            assert any(one is not None for one in column), column
        assert any(one is not None for one in transfer.tls_load_ns) is tls
        assert len(transfer.tls_load_ns) == (len(transfer.http_load_ns) if tls else 0)
        assert (capacity.responsiveness(transfer) or 0) > 0
        event = await ended(closed_hub, given)
        assert event.end is End.DONE and event.octets > 0
        assert closed_hub.events[0] == SlotEvent(given.slot_id, None)
        assert closed_hub.server.slots() == 0


async def test_a_test_by_tcp_asks_for_octets_beside_its_load() -> None:
    async with hub() as closed_hub:
        with door() as port:
            given = grant(port.port, method=Method.TCP, direction=Direction.DOWN, duration_s=1.5)
            port.porter.expect(given)
            closed_hub.server.expect(given)
            made = plan(20_000_000, 1.5, web=f"http://127.0.0.1:{closed_hub.port}")
            transfer = await throughput.run(given, made, Means(clock=CLOCK))
            assert transfer.outcome in MADE, transfer.note
            assert any(one is not None for one in transfer.http_load_ns)
            assert transfer.tls_load_ns == transfer.own_load_ns == []
            times = capacity.responses(transfer)
            assert times is not None
            assert times.foreign_http == [x / 1e6 for x in transfer.http_load_ns if x is not None]
            # A hub that is not found, or knows no such page, costs answers and no test.
            again = grant(port.port, method=Method.TCP, direction=Direction.DOWN, duration_s=1.5)
            port.porter.expect(again)
            transfer = await throughput.run(again, made, Means(clock=CLOCK))
            assert transfer.outcome in MADE, transfer.note
            assert transfer.http_load_ns and set(transfer.http_load_ns) == {None}


async def test_an_octet_is_for_the_holder_of_a_slot_that_is_not_over() -> None:
    async with hub() as closed_hub, aiohttp.ClientSession() as session:
        url = f"http://127.0.0.1:{closed_hub.port}{ndt7.OCTET}"

        async def asked(given: Grant, path: str = ndt7.OCTET) -> tuple[int, bytes]:
            key = bytes.fromhex(given.key)
            said = ndt7.authorization(given.slot_id, key, path, "ab" * 16)
            async with session.get(url, headers={"Authorization": said}) as answer:
                return answer.status, await answer.read()

        held = grant(closed_hub.port, method=Method.TCP)
        by_udp = grant(closed_hub.port, method=Method.UDP)
        for one in (held, by_udp):
            closed_hub.server.expect(one)
        assert await asked(held) == (200, b"1")
        assert (await asked(held, ndt7.DOWNLOAD))[0] == 404, "a proof is for one path"
        assert (await asked(grant(closed_hub.port, slot_id=held.slot_id)))[0] == 404
        assert (await asked(by_udp))[0] == 404
        assert (await asked(grant(closed_hub.port)))[0] == 404
        for headers in ({}, {"Authorization": "Pantau-Slot a b c"}):
            async with session.get(url, headers=headers) as answer:
                assert answer.status == 404
        closed_hub.server.hear(SlotEvent(held.slot_id, End.DONE))
        assert (await asked(held))[0] == 404


async def test_a_slot_is_good_for_one_test_in_its_direction() -> None:
    async with hub() as closed_hub:
        given = grant(closed_hub.port, method=Method.NDT7, duration_s=0.5)
        closed_hub.server.expect(given)
        wrong = grant(closed_hub.port, slot_id=given.slot_id, method=Method.NDT7)
        key = bytes.fromhex(given.key)
        base = f"http://127.0.0.1:{closed_hub.port}"
        async with aiohttp.ClientSession() as session:
            for path, key_, status in (
                (ndt7.DOWNLOAD, bytes.fromhex(wrong.key), 404),
                (ndt7.UPLOAD, key, 404),
                (ndt7.DOWNLOAD, key, 400),  # let in, but no WebSocket
            ):
                said = ndt7.authorization(given.slot_id, key_, path, "ab" * 16)
                headers = {"Authorization": said, **WS}
                async with session.get(base + path, headers=headers) as answer:
                    assert answer.status == status
        first = await throughput.run(given, plan(seconds=0.5), Means(clock=CLOCK))
        again = await throughput.run(given, plan(seconds=0.5), Means(clock=CLOCK))
    assert first.outcome in MADE
    assert (again.outcome, again.note) == (TransferOutcome.REFUSED, "HTTP status 404")


async def test_to_strangers_there_is_no_such_page() -> None:
    async with hub() as closed_hub, aiohttp.ClientSession() as session:
        for path in (ndt7.DOWNLOAD, ndt7.UPLOAD):
            for headers in (WS, {}, {**WS, "Authorization": "Pantau-Slot a b c"}):
                url = f"http://127.0.0.1:{closed_hub.port}{path}"
                async with session.get(url, headers=headers) as answer:
                    assert answer.status == 404


async def test_only_so_many_strangers_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ndt7, "DURATION_S", 1.0)
    async with (
        hub(ndt7_open=True, ndt7_open_at_once=1, ndt7_open_most_mbps=1) as open_hub,
        aiohttp.ClientSession() as session,
    ):
        url = f"http://127.0.0.1:{open_hub.port}{ndt7.DOWNLOAD}"
        async with session.ws_connect(url, protocols=(ndt7.PROTOCOL,)) as first:
            await first.receive()
            async with session.get(url, headers=WS) as answer:
                assert answer.status == 404
            async for _ in first:
                continue


@pytest.mark.parametrize(
    ("query", "headers"),
    [
        ("", {}),
        ("", {"Sec-WebSocket-Protocol": "chat"}),
        ("?early_exit=100", WS),
        ("?x=" + "y" * ndt7.MOST_QUERY, WS),
        ("", WS),
    ],
    ids=["no protocol", "another protocol", "early exit", "long query", "no upgrade"],
)
async def test_what_does_not_look_right_is_a_bad_request(
    query: str, headers: dict[str, str]
) -> None:
    async with hub(ndt7_open=True) as open_hub, aiohttp.ClientSession() as session:
        url = f"http://127.0.0.1:{open_hub.port}{ndt7.DOWNLOAD}{query}"
        async with session.get(url, headers=headers) as answer:
            assert answer.status == 400


async def test_a_client_may_have_a_download_end_early(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ndt7, "EARLY_EXIT", "1")  # megabyte
    async with (
        hub(ndt7_open=True, ndt7_open_most_mbps=100) as open_hub,
        aiohttp.ClientSession() as session,
    ):
        url = f"http://127.0.0.1:{open_hub.port}{ndt7.DOWNLOAD}?early_exit=1"
        octets = 0
        async with asyncio.timeout(8):
            async with session.ws_connect(url, protocols=(ndt7.PROTOCOL,)) as ws:
                async for message in ws:
                    if message.type is aiohttp.WSMsgType.BINARY:
                        octets += len(message.data)
        assert 1_000_000 <= octets < 100_000_000


async def test_an_upload_is_held_to_what_was_granted() -> None:
    """A stock client paces nothing: it is held back, and its test goes on."""
    async with hub() as closed_hub, aiohttp.ClientSession() as session:
        given = grant(
            closed_hub.port,
            method=Method.NDT7,
            direction=Direction.UP,
            duration_s=1,
            most_bits_per_s=8_000_000,
        )
        closed_hub.server.expect(given)
        said = ndt7.authorization(given.slot_id, bytes.fromhex(given.key), ndt7.UPLOAD, "ab" * 16)
        url = f"http://127.0.0.1:{closed_hub.port}{ndt7.UPLOAD}"
        async with session.ws_connect(
            url, protocols=(ndt7.PROTOCOL,), headers={"Authorization": said}
        ) as ws:
            with contextlib.suppress(ConnectionError, aiohttp.ClientError):
                while not ws.closed:
                    await ws.send_bytes(bytes(1 << 14))
        event = await ended(closed_hub, given)
    assert event.end is End.DONE
    assert 500_000 < event.octets <= 1_000_000 + 100_000
