"""A box without a network: time that only moves when somebody sleeps, a hub and a link of words."""

import asyncio
import datetime
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from agent.gate import Cross
from agent.jobs import Job
from agent.logbook import Logbook, Started
from agent.plan import day_legs
from agent.runner import Box, Ran, Runner, Seen, Tools
from runtime.clock import SECOND
from runtime.testing import FakeClock
from tests.agent.test_gate import reading
from tests.agent.test_plan import plan
from wire.codec import Record
from wire.detail import Reading
from wire.message import End, Figures, SlotReply, SlotRequest, Want
from wire.observation import Outcome
from wire.plan import Order, ThroughputPlan, load_bytes
from wire.slot import Direction, Grant

DAY = datetime.date(2026, 11, 25)
SECRET = b"k" * 32
DERIVED = "d" * 64


def order(**changes: Any) -> Order:
    fields: dict[str, Any] = {
        "order_id": "0d" * 16,
        "link": "l1",
        "directions": (Direction.DOWN, Direction.UP),
    }
    return Order(**fields | changes)


def granted(want: Want, **changes: Any) -> Grant:
    fields: dict[str, Any] = {
        "slot_id": "5b" * 16,
        "key": "00" * 32,
        "link": want.link,
        "method": want.method,
        "direction": want.direction,
        "duration_s": want.duration_s,
        "most_bits_per_s": want.bits_per_s,
        "address": "192.0.2.1",
        "port": 8461,
    }
    return Grant(**fields | changes)


class Router:
    """Counters of a router whose users take `bits_per_s` of each direction."""

    def __init__(self, bench: "Bench") -> None:
        self._bench = bench
        self.closed = False

    async def read(self) -> Reading:
        bench = self._bench
        if bench.users_bits_per_s is None:
            return reading(boot_ns=bench.clock.boot_ns(), outcome=Outcome.TIMEOUT)
        # Our own probes are always on the way too.
        rate = bench.users_bits_per_s + 2_000
        octets = 10**9 + int(rate / 8 * bench.clock.boot_ns() / SECOND)
        both = {"in_octets": octets, "out_octets": octets}
        return reading(boot_ns=bench.clock.boot_ns(), **both)

    def close(self) -> None:
        self.closed = True


class Bench:
    """One runner and everything that it touches."""

    def __init__(self, folder: Path, *plans: ThroughputPlan, wall_s: float) -> None:
        self.folder = folder
        self.clock = FakeClock(wall_ns=int(wall_s * SECOND))
        self.users_bits_per_s: float | None = 0.0
        self.plans = plans or (plan(),)
        self.asked: list[SlotRequest] = []
        self.loads: list[tuple[Grant, Job, Seen, float]] = []
        self.skips: list[tuple[Job, End, Cross | None]] = []
        self.broken: list[Started] = []
        """Tests in which a former life ended, as often as they were told."""
        self.durable = True
        self.records: list[Record] = []
        self.routers: list[Router] = []
        self.told = 0
        self.loading = 0
        self.answer: Callable[[Want], dict[str, Any]] = lambda want: {"grant": granted(want)}
        self.result: Callable[[Job], Ran | Exception] = self.good
        self.begin()

    def begin(self) -> Runner:
        """A new process on the same card."""
        tools = Tools(
            ask=self._ask,
            load=self._load,
            skipped=self._skipped,
            interrupted=self._interrupted,
            counters=self._counters,
            append=self._append,
            changed=self._changed,
            sleep=self.sleep,
        )
        box = Box(agent_id="a1" * 16, epoch="e9" * 16, secret=SECRET, derive=lambda _: DERIVED)
        self.logbook = Logbook(self.folder)
        self.runner = Runner(
            box, tools, self.logbook, self.clock, lambda: self.clock.quality().clock_class
        )
        self.runner.follow(self.plans)
        return self.runner

    def good(self, job: Job) -> Ran:
        carried = load_bytes(job.rate(None), job.load_s) // 2
        figures = Figures(direction=job.direction, end=End.DONE, bits_per_s=float(job.rate(None)))
        return Ran((reading(boot_ns=self.clock.boot_ns()),), figures, carried)

    async def sleep(self, seconds: float) -> None:
        self.clock.advance(int(seconds * SECOND))
        await asyncio.sleep(0)

    async def _ask(self, request: SlotRequest) -> SlotReply:
        self.asked.append(request)
        told: dict[str, Any] = {} if request.want is None else self.answer(request.want)
        return SlotReply(nonce=request.nonce, received_wall_ns=self.clock.wall_ns(), **told)

    async def _load(self, grant: Grant, job: Job, seen: Seen) -> Ran:
        assert self.loading == 0, "two tests at once"
        self.loading += 1
        self.loads.append((grant, job, seen, self.clock.wall_ns() / SECOND))
        await seen.loading()
        result = self.result(job)
        await self.sleep(job.load_s)
        self.loading -= 1
        if isinstance(result, Exception):
            raise result
        return result

    def _skipped(self, job: Job, end: End, seen: Cross | None) -> Sequence[Record]:
        self.skips.append((job, end, seen))
        return ()

    def _interrupted(self, test: Started) -> Sequence[Record]:
        self.broken.append(test)
        return ()

    def _counters(self, one: ThroughputPlan) -> Router | None:
        if one.gate.target is None:
            return None
        self.routers.append(Router(self))
        return self.routers[-1]

    async def _append(self, records: Sequence[Record]) -> bool:
        self.records += records
        return self.durable

    def _changed(self) -> None:
        self.told += 1

    async def until(self, wall_s: float) -> None:
        """Let the runner live until then."""
        while self.clock.wall_ns() < wall_s * SECOND:
            if not await self.runner.step():
                await self.sleep(45)

    def page(self, link: str = "l1") -> Any:
        return self.logbook.page(link)


def midnight_s(one: ThroughputPlan, day: datetime.date = DAY) -> int:
    """Unix time at which the day begins at the link."""
    return (day - datetime.date(1970, 1, 1)).days * 86_400 - one.zone_offset_s


def due(one: ThroughputPlan, day: datetime.date = DAY) -> list[int]:
    """When the day's tests are due."""
    return [leg.due_s for leg in day_legs(one, SECRET, day)]
