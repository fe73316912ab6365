"""What is added up before anybody asks, and when it is added up anew."""

import asyncio
import logging
from collections.abc import Iterable, Iterator
from typing import Any, cast

import pytest

from collector import months
from collector.audit.calendar import Zone
from collector.ledger import LedgerError
from collector.months import KEEP_S, LOOKED_S, MONTHS_KEPT, Months
from runtime.clock import SECOND
from runtime.testing import FakeClock

NOON_S = 1_793_500_000  # 2026-11-01 in Indonesia


class Sums:
    """Stands for what adds up; counts."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.broken = False

    def zone(self, link: str | None) -> Zone:
        return Zone.WIB

    def availability(
        self, month: str | None, now_s: int, links: Iterable[str] | None = None
    ) -> Iterator[Any]:
        if self.broken:
            raise LedgerError("disk I/O error")
        self.asked.append(str(month))
        yield f"{month} at {now_s}"


@pytest.fixture
def sums() -> Sums:
    return Sums()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(wall_ns=NOON_S * SECOND)


async def test_a_month_is_added_up_once_while_it_is_fresh(sums: Sums, clock: FakeClock) -> None:
    one = Months(cast(Any, sums), clock)
    first, other = await asyncio.gather(one.of("2026-10"), one.of("2026-10"))
    assert first is other
    assert (first.made_s, first.answers) == (NOON_S, (f"2026-10 at {NOON_S}",))
    clock.advance((KEEP_S - 1) * SECOND)
    assert await one.of("2026-10") is first
    clock.advance(SECOND)
    assert (await one.of("2026-10")).made_s == NOON_S + KEEP_S
    for number in range(1, MONTHS_KEPT + 1):
        await one.of(f"2026-0{number}")
    sums.asked.clear()
    await one.of("2026-10")
    await one.of("2026-04")
    assert sums.asked == ["2026-10"]


async def test_the_running_month_is_ready_while_people_look(
    sums: Sums,
    clock: FakeClock,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(months, "EVERY_S", 0.001)
    one = Months(cast(Any, sums), clock)
    running = asyncio.create_task(one.run())

    async def until(count: int) -> None:
        while len(sums.asked) < count:
            await asyncio.sleep(0.001)

    try:
        async with asyncio.timeout(30):
            await until(2)
            # What cannot be read is said, and tried again.
            sums.broken = True
            with caplog.at_level(logging.WARNING):
                while not caplog.records:
                    await asyncio.sleep(0.001)
            assert "the running month is not added up for now" in caplog.text
            sums.broken = False
            await until(len(sums.asked) + 1)
            assert set(sums.asked) == {"2026-11"}
            clock.advance(LOOKED_S * SECOND)
            await asyncio.sleep(0.1)
            count = len(sums.asked)
            await asyncio.sleep(0.1)
            assert len(sums.asked) == count, "nobody has looked for an hour"
            await one.of("2026-10")
            await until(count + 3)
            assert set(sums.asked[count + 1 :]) == {"2026-11"}
    finally:
        running.cancel()
