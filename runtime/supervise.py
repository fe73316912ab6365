"""Tasks that live together and die together.

A task that is meant to live for ever and returns, even normally, is an error: silence of a part
must not look like health.
"""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Mapping

log = logging.getLogger(__name__)


class TaskEnded(RuntimeError):
    """A task that was to live for ever came to its end."""


async def for_ever(name: str, run: Callable[[], Awaitable[None]]) -> None:
    """Run a task that must not end; raises TaskEnded if it does. Cancellation passes through."""
    try:
        await run()
    except asyncio.CancelledError:
        raise
    except BaseException:
        log.exception("task %s failed", name)
        raise
    raise TaskEnded(f"task {name} ended")


async def run_until(
    stop: asyncio.Event, tasks: Mapping[str, Callable[[], Awaitable[None]]]
) -> None:
    """Run all `tasks` until `stop` is set or one of them ends, then cancel the rest.

    Raises the first failure (an ExceptionGroup, as TaskGroup does).
    """
    async with asyncio.TaskGroup() as group:
        running = [group.create_task(for_ever(name, run), name=name) for name, run in tasks.items()]
        await stop.wait()
        for task in running:
            task.cancel()


async def end_child(process: asyncio.subprocess.Process, within_s: float = 2.0) -> None:
    """End a child process that ends with its stdin, or is killed; it is gone on return."""
    assert process.stdin is not None
    process.stdin.close()
    try:
        async with asyncio.timeout(within_s):
            await process.wait()
    except TimeoutError:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def every(interval_s: float, act: Callable[[], Awaitable[None]]) -> None:
    """Call `act` each `interval_s` seconds, first after one interval; never catches up."""
    while True:
        await asyncio.sleep(interval_s)
        await act()
