"""The collector's side of slots: a worker that is told, that tells, and that is replaced."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

import pytest

from agent.probes import throughput
from agent.probes.throughput import Means
from collector.throughput import SlotEvent, ThroughputServer, ThroughputSettings
from collector.throughput.session import End
from runtime.clock import SECOND
from runtime.testing import FakeClock
from tests.throughput_kit import CLOCK, grant, plan
from wire.slot import Direction, Method
from wire.transfer import TransferOutcome

MADE = {TransferOutcome.DONE, TransferOutcome.UNFIT, TransferOutcome.HUB_UNFIT}


@dataclass
class Running:
    """A server at work, and what it said."""

    server: ThroughputServer
    events: list[SlotEvent] = field(default_factory=list)
    port: int = 0

    async def until(self, true: Callable[[], bool]) -> None:
        async with asyncio.timeout(20):
            while not true():
                await asyncio.sleep(0.02)

    async def end(self, slot_id: str) -> SlotEvent:
        def found() -> list[SlotEvent]:
            return [one for one in self.events if one.slot_id == slot_id and one.end]

        await self.until(lambda: bool(found()))
        (event,) = found()
        return event


@asynccontextmanager
async def running() -> AsyncIterator[Running]:
    events: list[SlotEvent] = []
    settings = ThroughputSettings(host="127.0.0.1", port=0)
    server = ThroughputServer(settings, CLOCK, events.append)
    async with asyncio.TaskGroup() as group:
        task = group.create_task(server.run())
        async with asyncio.timeout(20):
            port = await server.started()
        yield Running(server, events, port)
        task.cancel()


async def test_a_test_is_told_from_its_begin_to_its_end() -> None:
    async with running() as hub:
        given = grant(hub.port, direction=Direction.UP)
        hub.server.expect(given)
        assert hub.server.slots() == 1
        transfer = await throughput.run(given, plan(), Means(clock=CLOCK))
        event = await hub.end(given.slot_id)
        assert transfer.outcome in MADE, transfer.note
        assert event.end is End.DONE and event.hub == transfer.hub
        assert event.octets == pytest.approx(sum(transfer.octets), rel=0.2)
        assert hub.events[0] == SlotEvent(given.slot_id, None)
        assert hub.server.slots() == 0
        load = hub.server.load("lo")
        assert load.slots == 0 and load.nic_bits_per_s is not None
        assert load.nic_bits_per_s > 1_000_000


async def test_a_forgotten_slot_is_not_let_in() -> None:
    async with running() as hub:
        for method in (Method.UDP, Method.NDT7):
            given = grant(hub.port, method=method)
            hub.server.expect(given)
            hub.server.forget(given.slot_id)
            assert (await hub.end(given.slot_id)).end is End.FORGOTTEN
        hub.server.forget("00" * 16)  # nobody knows it: nothing happens
        assert hub.server.slots() == 0


async def test_a_worker_that_dies_takes_its_slots_with_it_and_is_replaced() -> None:
    async with running() as hub:
        given = grant(hub.port)
        hub.server.expect(given)
        assert hub.server._process is not None
        os.kill(hub.server._process.pid, signal.SIGKILL)
        event = await hub.end(given.slot_id)
        assert (event.end, event.reason) == (End.FAILED, "the worker ended")
        async with asyncio.timeout(20):
            port = await hub.server.started()
        again = grant(port)
        hub.server.expect(again)
        transfer = await throughput.run(again, plan(seconds=0.3), Means(clock=CLOCK))
        assert transfer.outcome in MADE


async def test_what_is_expected_before_the_port_is_open_is_let_in_then() -> None:
    events: list[SlotEvent] = []
    server = ThroughputServer(ThroughputSettings(host="127.0.0.1", port=0), CLOCK, events.append)
    early = grant(1)
    server.expect(early)
    async with asyncio.TaskGroup() as group:
        task = group.create_task(server.run())
        port = await server.started()
        given = grant(port, slot_id=early.slot_id, key=early.key)
        transfer = await throughput.run(given, plan(seconds=0.3), Means(clock=CLOCK))
        task.cancel()
    assert transfer.outcome in MADE


async def test_a_port_that_is_taken_is_said_and_tried_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with running() as hub:
        settings = ThroughputSettings(host="127.0.0.1", port=hub.port)
        other = ThroughputServer(settings, CLOCK, hub.events.append)
        with suppress(TimeoutError):
            async with asyncio.timeout(4):
                await other.run()
    told = [one.getMessage() for one in caplog.records if "cannot listen" in one.getMessage()]
    assert len(told) >= 2
    assert f"port {hub.port}" in told[0]


def test_an_ndt7_slot_has_its_time() -> None:
    clock, events = FakeClock(), list[SlotEvent]()
    server = ThroughputServer(ThroughputSettings(), clock, events.append)
    given = grant(1, method=Method.NDT7, wait_s=60)
    server.expect(given)
    for at_s, expected in ((0, None), (58, None), (59, given), (70, given), (71, None)):
        clock.now_boot_ns = 100 * SECOND + at_s * SECOND
        assert server.expected(given.slot_id) == expected
    clock.now_boot_ns = 165 * SECOND
    assert server.begin(given.slot_id) == given
    assert server.begin(given.slot_id) is None
    assert events == [SlotEvent(given.slot_id, None)]
    assert server.expected("00" * 16) is None
