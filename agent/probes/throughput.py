"""Throughput: how much a link carries now, by a test that the hub has given a slot for.

This is no probe with targets and slots of a second, but an order that is carried out once:
`run(grant, plan, ...)` gives a Transfer, whatever happens. The test itself is made by another
process (agent/throughput): it may fill a processor and 26 MiB (by ndt7: 37) while the agent goes on
timing packets, and both are free again when it ends. The caller has waited for `grant.wait_s`.
"""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import msgspec

from agent.throughput.job import Job, Line, Stage
from runtime.clock import Clock
from runtime.supervise import end_child
from wire.detail import Reading
from wire.load import Plan
from wire.slot import Grant
from wire.transfer import MAX_READINGS, Transfer, TransferOutcome

Counters = Callable[[], Awaitable[Reading | None]]
"""Reads the customer's router now; None where it has none or it does not answer."""
Progress = Callable[[Stage], Awaitable[None]]

_COMMAND = [sys.executable, "-P", "-m", "agent.throughput.worker"]
"""-P: what lies in the working folder is not imported."""
_LARGEST_LINE = 1 << 20
_SPARE_S = 90.0
"""Beside the load: the self-test, the search for a packet size, round trips, both accounts."""


@dataclass(frozen=True, kw_only=True)
class Means:
    """What a test may use of the agent."""

    clock: Clock
    interface: str | None = None
    """Send through this network interface, for a node with several links."""
    counters: Counters | None = None
    """Called before the test, when the load begins, and when it has ended."""
    progress: Progress | None = None
    """Told at each stage."""


async def run(grant: Grant, plan: Plan, means: Means) -> Transfer:
    """Make one test. Raises OSError where no process can be started.

    Cancelled, it ends the test and says nothing.
    """
    return await _Run(Job(grant=grant, plan=plan, interface=means.interface), means).to_its_end()


async def _told(progress: Progress, stage: Stage) -> None:
    await progress(stage)


class _Run:
    """One worker at work."""

    def __init__(self, job: Job, means: Means) -> None:
        self._job = job
        self._counters, self._progress = means.counters, means.progress
        self._readings: list[Reading] = []
        self._begin_ns = means.clock.boot_ns()

    async def to_its_end(self) -> Transfer:
        """The Transfer, by the worker or of why there is none."""
        await self._count()
        process = await asyncio.create_subprocess_exec(
            *_COMMAND,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            limit=_LARGEST_LINE,
            start_new_session=True,
        )
        try:
            async with asyncio.timeout(self._job.plan.seconds + _SPARE_S):
                transfer = await self._listen(process)
        except TimeoutError:
            transfer = self._failed("the throughput worker did not end")
        finally:
            await end_child(process)
        return msgspec.structs.replace(transfer, cpe=tuple(self._readings))

    async def _listen(self, process: asyncio.subprocess.Process) -> Transfer:
        assert process.stdin is not None and process.stdout is not None
        try:
            process.stdin.write(msgspec.json.encode(self._job) + b"\n")
            await process.stdin.drain()
            # The pipe stays open: its end is what tells the worker that nobody waits any more.
            async for data in process.stdout:
                line = msgspec.json.decode(data, type=Line)
                if line.transfer is not None:
                    return line.transfer
                await self._at(line)
        except (ConnectionError, msgspec.DecodeError, ValueError) as error:
            return self._failed(f"the throughput worker says nonsense: {error}")
        return self._failed("the throughput worker died")

    async def _at(self, line: Line) -> None:
        if line.stage is None:
            return
        counts = line.stage in (Stage.LOADING, Stage.ENDING)
        # Neither waits for the other: a router may be silent, and a disk slow.
        async with asyncio.TaskGroup() as group:
            if self._progress is not None:
                group.create_task(_told(self._progress, line.stage), name="throughput progress")
            if counts:
                group.create_task(self._count(), name="throughput counters")

    async def _count(self) -> None:
        if self._counters is None or len(self._readings) >= MAX_READINGS:
            return
        reading = await self._counters()
        if reading is not None:
            self._readings.append(reading)

    def _failed(self, note: str) -> Transfer:
        grant, plan = self._job.grant, self._job.plan
        return Transfer(
            link=grant.link,
            boot_ns=self._begin_ns,
            direction=grant.direction,
            method=grant.method,
            purpose=plan.purpose,
            outcome=TransferOutcome.LOCAL_ERROR,
            slot_id=grant.slot_id,
            flows=grant.flows,
            cir_bits_per_s=plan.cir_bits_per_s,
            note=note[:256],
        )
