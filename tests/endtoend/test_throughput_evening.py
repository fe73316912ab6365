"""One evening of twenty nodes: their own runners, the hub's own scheduler, and time that passes
only when everybody sleeps. Nothing overlaps on a PoP, and nobody is left out."""

import asyncio
import datetime
import itertools
from heapq import heappop, heappush
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from agent.jobs import Job
from agent.plan import LATEST_S, Stratum
from collector.slots import Ask, Later, Slots
from runtime.clock import SECOND
from tests.agent.runner_kit import Bench, granted, midnight_s
from tests.agent.test_plan import plan
from wire.message import End, SlotReply, SlotRequest
from wire.plan import Gate
from wire.slot import Direction

EVENING = plan(gate=Gate(target="router"), office_tests=0, night_tests=0, long_s=0)
DAY = datetime.date(2026, 11, 25)
FROM_S = midnight_s(EVENING, DAY) + 19 * 3600 - 60
TO_S = FROM_S + 4 * 3600 + LATEST_S
CAPACITY = 300_000_000


class Time:
    """Wakes the earliest sleeper once all of them sleep."""

    def __init__(self, sleepers: int) -> None:
        self.now_ns = 0
        self._sleepers = sleepers
        self._heap: list[tuple[int, int, asyncio.Future[None]]] = []
        self._numbers = itertools.count()

    async def sleep(self, seconds: float) -> None:
        woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        at_ns = self.now_ns + int(seconds * SECOND)
        heappush(self._heap, (at_ns, next(self._numbers), woken))
        await woken

    async def run(self) -> None:
        while True:
            while len(self._heap) < self._sleepers:
                await asyncio.sleep(0)
            self.now_ns, _, woken = heappop(self._heap)
            woken.set_result(None)
            await asyncio.sleep(0)


class Site(Bench):
    """A bench whose clock is everybody's, and whose hub is shared."""

    def __init__(self, folder: Path, number: int, time: Time, hub: "Hub") -> None:
        self.time, self.hub, self.number = time, hub, number
        folder.mkdir()
        super().__init__(folder, EVENING, wall_s=FROM_S)
        self.boot_ns, self.wall_ns = self.clock.now_boot_ns, self.clock.now_wall_ns

    async def sleep(self, seconds: float) -> None:
        await self.time.sleep(seconds)
        self.clock.now_boot_ns = self.boot_ns + self.time.now_ns
        self.clock.now_wall_ns = self.wall_ns + self.time.now_ns

    async def _ask(self, request: SlotRequest) -> SlotReply:
        return self.hub.answer(self, request)

    async def live(self) -> None:
        while True:
            if not await self.runner.step():
                await self.sleep(45)


class Hub:
    """The scheduler behind a reply, and what really ran."""

    def __init__(self, time: Time) -> None:
        self.time = time
        numbers = itertools.count(1)
        self.slots = Slots(CAPACITY, lambda: f"{next(numbers):032x}")

    def answer(self, site: Site, request: SlotRequest) -> SlotReply:
        now_ns, agent_id = self.time.now_ns, site.number.to_bytes(16, "big")
        told: dict[str, Any] = {}
        self.slots.tidy(now_ns)
        if request.ended is not None:
            self.slots.end(agent_id, request.ended)
        if request.want is not None:
            want = request.want
            ask = Ask(agent_id, f"l{site.number}", pop(site.number), want.direction,
                      want.bits_per_s, want.duration_s)  # fmt: skip
            self.slots.former(ask, now_ns)
            found = self.slots.ask(ask, now_ns)
            if isinstance(found, Later):
                told = {"wait_s": found.wait_s}
            else:
                slot = found.slot
                told = {"grant": granted(want, slot_id=slot.slot_id, wait_s=found.wait_s)}
        return SlotReply(nonce=request.nonce, received_wall_ns=0, **told)


def pop(number: int) -> str:
    return "ABCD"[number % 4]


@pytest.mark.parametrize("same_secret", [False, True])
async def test_twenty_nodes_test_through_an_evening_and_never_two_on_a_pop(
    tmp_path: Path, same_secret: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With one secret all twenty want the same seconds: the worst that chance could do."""
    time = Time(20)
    hub = Hub(time)
    sites = []
    for number in range(20):
        if not same_secret:
            monkeypatch.setattr("tests.agent.runner_kit.SECRET", bytes([number]) * 32)
        sites.append(Site(tmp_path / str(number), number, time, hub))
    async with asyncio.timeout(120), asyncio.TaskGroup() as group:
        tasks = [group.create_task(site.live()) for site in sites]
        driver = group.create_task(time.run())
        while time.now_ns < (TO_S - FROM_S) * SECOND:
            await asyncio.sleep(0.01)
        for task in (*tasks, driver):
            task.cancel()
    assert [site.page().ends for site in sites] == [{End.DONE: 8}] * 20
    for name in "ABCD":
        loads = sorted(
            (span for site in sites if pop(site.number) == name for span in spans(site)),
            key=lambda span: span[0],
        )
        assert len(loads) == 40
        for (_, ended_s, _), (began_s, _, _) in pairwise(loads):
            assert ended_s <= began_s
    for site in sites:
        assert {job.stratum for _, _, job in spans(site)} == {Stratum.EVENING}
        assert all(began_s - (job.due_s or 0) <= LATEST_S for began_s, _, job in spans(site))
    everything = [span for site in sites for span in spans(site)]
    for began_s, _, _ in everything:
        for direction in Direction:
            under_way = [
                job.rate(None)
                for begun_s, ended_s, job in everything
                if begun_s <= began_s < ended_s and job.direction is direction
            ]
            assert sum(under_way) <= CAPACITY


def spans(site: Site) -> list[tuple[float, float, Job]]:
    """What the site loaded: from when, to when."""
    return [(at_s, at_s + job.load_s, job) for _, job, _, at_s in site.loads]
