"""Waiting for the disk together."""

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from collector.committer import GROUP, Committer
from collector.ledger import Entry, LedgerError, Stored
from collector.ledger.sqlite import SqliteLedger
from tests.collector.kit import Box, entry
from wire.errors import Refusal, WireError


class SlowDisk(SqliteLedger):
    """A real ledger whose disk waits until it is told, and may fail."""

    def __init__(self, file: Path) -> None:
        super().__init__(file)
        self.go = threading.Event()
        self.groups: list[int] = []
        self.failures = 0

    def store(self, entries: list[Entry]) -> list[Stored]:
        assert self.go.wait(10)
        self.groups.append(len(entries))
        if self.failures:
            self.failures -= 1
            raise LedgerError("disk I/O error")
        return super().store(entries)


@pytest.fixture
def disk(tmp_path: Path) -> SlowDisk:
    return SlowDisk(tmp_path / "ledger.db")


@asynccontextmanager
async def running(committer: Committer) -> AsyncIterator[asyncio.TaskGroup]:
    async with asyncio.TaskGroup() as group:
        task = group.create_task(committer.run())
        yield group
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def test_who_waits_for_the_disk_is_committed_together(disk: SlowDisk) -> None:
    box, committer = Box(), Committer(disk, 2000)
    async with running(committer) as group:
        waiting = [
            group.create_task(committer.commit(entry(box.batch()))) for _ in range(GROUP + 11)
        ]
        await asyncio.sleep(0.05)
        disk.go.set()
        stored = await asyncio.gather(*waiting)
    assert all(one.new for one in stored)
    assert disk.groups == [GROUP, 11]
    assert (committer.commits, committer.waiting) == (2, 0)


async def test_a_full_queue_sends_away_at_once_and_keeps_its_word_to_the_others(
    disk: SlowDisk,
) -> None:
    box, committer = Box(), Committer(disk, 2)
    async with running(committer) as group:
        first = group.create_task(committer.commit(entry(box.batch())))
        await asyncio.sleep(0.01)
        others = [group.create_task(committer.commit(entry(box.batch()))) for _ in range(2)]
        await asyncio.sleep(0.01)
        assert committer.waiting == 2
        with pytest.raises(WireError, match="too many batches") as caught:
            await committer.commit(entry(box.batch()))
        assert caught.value.refusal is Refusal.OVERLOADED
        disk.go.set()
        assert [one.new for one in await asyncio.gather(first, *others)] == [True] * 3


async def test_a_disk_failure_is_told_to_all_that_waited_and_the_next_group_is_tried(
    disk: SlowDisk, caplog: pytest.LogCaptureFixture
) -> None:
    box, committer = Box(), Committer(disk, 100)
    disk.failures = 1
    batches = [box.batch() for _ in range(2)]
    async with running(committer):
        waiting = asyncio.gather(
            *(committer.commit(entry(one)) for one in batches), return_exceptions=True
        )
        await asyncio.sleep(0.01)
        disk.go.set()
        failed = await waiting
        assert [type(one) for one in failed] == [WireError] * 2
        assert all("disk I/O error" in str(one) for one in failed)
        assert disk.tallies() == {}
        again = await asyncio.gather(*(committer.commit(entry(one)) for one in batches))
    assert all(one.new for one in again)
    assert [record.getMessage() for record in caplog.records] == [
        "2 batches were not stored: disk I/O error"
    ]


async def test_who_has_gone_away_does_not_disturb_the_group(disk: SlowDisk) -> None:
    box, committer = Box(), Committer(disk, 100)
    batches = [box.batch() for _ in range(2)]
    async with running(committer) as group:
        gone = group.create_task(committer.commit(entry(batches[0])))
        stays = group.create_task(committer.commit(entry(batches[1])))
        await asyncio.sleep(0.01)
        gone.cancel()
        disk.go.set()
        assert (await stays).new
    assert disk.holds(box.agent_id, box.epoch, 0)
