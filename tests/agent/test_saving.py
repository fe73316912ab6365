"""When to save: behind the first answer of a second, and never later than asked."""

import asyncio

from agent.saving import Saving

SECOND = 10**9
LONG_S = 30.0
"""Longer than any test waits, on however busy a machine."""


async def begun(saving: Saving, most_s: float) -> asyncio.Task[None]:
    """A wait that is under way."""
    task = asyncio.create_task(saving.wait(most_s))
    await asyncio.sleep(0)
    return task


async def test_the_first_answer_of_a_second_ends_the_wait_and_its_others_do_not() -> None:
    saving = Saving(lambda: SECOND // 2)
    saving.answered(7 * SECOND + SECOND // 2)
    saving.begins()
    task = await begun(saving, 1.0)
    saving.answered(8 * SECOND + SECOND // 2 - 1)
    await asyncio.sleep(0)
    assert not task.done(), "by UTC it is the same second"
    saving.answered(8 * SECOND + SECOND // 2)
    async with asyncio.timeout(LONG_S):
        await task


async def test_what_was_answered_while_the_last_was_saved_is_saved_at_once() -> None:
    saving = Saving(lambda: 0)
    saving.begins()
    saving.answered(3 * SECOND)
    async with asyncio.timeout(LONG_S):
        await saving.wait(1.0)
    assert saving.opened, "until it is being saved"
    saving.begins()
    assert not saving.opened


async def test_without_answers_it_is_saved_all_the_same() -> None:
    saving = Saving(lambda: 0)
    async with asyncio.timeout(LONG_S):
        await saving.wait(0.1)


async def test_a_long_rhythm_waits_for_an_answer_in_its_last_second_only() -> None:
    saving = Saving(lambda: 0)
    early = await begun(saving, LONG_S)
    saving.answered(5 * SECOND)
    await asyncio.sleep(0.05)
    assert not early.done(), "that would be a write each second"
    early.cancel()
    async with asyncio.timeout(LONG_S):
        await saving.wait(1.1)
