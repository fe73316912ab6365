"""Tasks that live together and die together."""

import asyncio
from itertools import pairwise

import pytest

from runtime.supervise import TaskEnded, every, for_ever, run_until


async def sleep_on() -> None:
    await asyncio.Event().wait()


async def end() -> None:
    await asyncio.sleep(0)


async def fail() -> None:
    await asyncio.sleep(0)
    raise KeyError("boom")


async def test_a_task_for_ever_that_returns_is_an_error() -> None:
    with pytest.raises(TaskEnded, match="task reader ended"):
        await for_ever("reader", end)


async def test_a_failure_is_logged_with_the_tasks_name_and_passed_on(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with pytest.raises(KeyError):
        await for_ever("reader", fail)
    assert [record.getMessage() for record in caplog.records] == ["task reader failed"]


async def test_cancellation_passes_and_is_no_failure(caplog: pytest.LogCaptureFixture) -> None:
    async with asyncio.TaskGroup() as group:
        task = group.create_task(for_ever("reader", sleep_on))
        await asyncio.sleep(0)
        task.cancel()
    assert task.cancelled()
    assert caplog.records == []


async def test_stop_cancels_all() -> None:
    stop, cancelled = asyncio.Event(), []

    async def part(name: str) -> None:
        try:
            await sleep_on()
        finally:
            cancelled.append(name)

    async with asyncio.TaskGroup() as group:
        group.create_task(run_until(stop, {"a": lambda: part("a"), "b": lambda: part("b")}))
        await asyncio.sleep(0.01)
        assert cancelled == []
        stop.set()
    assert sorted(cancelled) == ["a", "b"]


@pytest.mark.parametrize(("ending", "error"), [(end, TaskEnded), (fail, KeyError)])
async def test_one_that_ends_takes_the_others_with_it(
    ending: object, error: type[Exception], caplog: pytest.LogCaptureFixture
) -> None:
    cancelled = asyncio.Event()

    async def other() -> None:
        try:
            await sleep_on()
        finally:
            cancelled.set()

    assert callable(ending)
    with pytest.raises(ExceptionGroup) as caught:
        await run_until(asyncio.Event(), {"ending": ending, "other": other})
    assert [type(one) for one in caught.value.exceptions] == [error]
    assert cancelled.is_set()


async def test_every_waits_first_and_never_catches_up() -> None:
    loop, began = asyncio.get_running_loop(), []
    start = loop.time()

    async def act() -> None:
        began.append(loop.time() - start)
        await asyncio.sleep(0.05 if len(began) == 1 else 0)

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.13):
            await every(0.02, act)
    assert began[0] >= 0.02
    assert began[1] - began[0] >= 0.07
    assert all(b - a >= 0.019 for a, b in pairwise(began))
