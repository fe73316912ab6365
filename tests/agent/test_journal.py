"""The agent's own life as records, and the hub's clock as it is known here."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.journal import FormerLife, HubClock, Journal
from runtime.clock import MS, SECOND, ClockQuality
from runtime.testing import FakeClock
from wire.instant import ClockClass
from wire.journal import Anchor, ClockStep, Heartbeat

NOBODY = ClockQuality(ClockClass.D, None, "unsynchronised")


@pytest.fixture
def clock() -> FakeClock:
    clock = FakeClock()
    clock.now_quality = NOBODY
    return clock


def anchor(clock: FakeClock, *, ahead_ns: int = 0, error_ns: int = 10 * MS) -> Anchor:
    return Anchor(clock.boot_ns(), clock.wall_ns() - ahead_ns, error_ns)


def test_a_step_is_told_once_with_its_size_and_slewing_is_not(clock: FakeClock) -> None:
    journal = Journal(clock)
    clock.advance(10 * SECOND)
    clock.step(3600 * SECOND)
    records = journal.heartbeat(None, None, None)
    assert [type(record) for record in records] == [ClockStep, Heartbeat]
    assert isinstance(records[0], ClockStep)
    assert records[0].step_ns == 3600 * SECOND
    clock.advance(10 * SECOND)
    clock.step(4 * MS)  # 400 ppm
    assert [type(record) for record in journal.heartbeat(None, None, None)] == [Heartbeat]


def test_the_start_tells_of_the_former_life(clock: FakeClock) -> None:
    former = FormerLife(epoch=b"e" * 16, boot_id=b"b" * 16, clean=False, alive_boot_ns=7)
    start = Journal(clock).start("1.0", "0" * 64, former)
    assert (start.previous_epoch, start.previous_clean, start.previous_alive_boot_ns) == (
        (b"e" * 16).hex(),
        False,
        7,
    )


def test_a_clock_that_nobody_keeps_is_as_good_as_the_hub_says(clock: FakeClock) -> None:
    hub = HubClock(clock)
    assert hub.quality() == NOBODY
    hub.offer(anchor(clock, ahead_ns=30 * MS, error_ns=10 * MS))
    assert hub.offset_ns() == 30 * MS
    assert hub.quality() == ClockQuality(ClockClass.B, 40 * MS, "hub")
    # A cheap quartz may drift 100 ppm: after 1,000 s the bound has grown by 100 ms.
    clock.advance(1000 * SECOND)
    assert hub.quality() == ClockQuality(ClockClass.C, 140 * MS, "hub")


def test_a_clock_of_1970_is_class_d_with_a_known_offset(clock: FakeClock) -> None:
    hub = HubClock(clock)
    away = clock.wall_ns()
    true = anchor(clock)
    clock.step(-away)
    hub.offer(true)
    assert hub.offset_ns() == -away
    assert hub.quality().clock_class is ClockClass.D


def test_a_kept_clock_is_not_second_guessed(clock: FakeClock) -> None:
    hub = HubClock(clock)
    clock.now_quality = ClockQuality(ClockClass.A, MS, "chrony")
    hub.offer(anchor(clock, ahead_ns=500 * MS))
    assert hub.quality().source == "chrony"


@given(st.lists(st.tuples(st.integers(0, 600), st.integers(1, 500)), min_size=1, max_size=30))
def test_the_kept_anchor_is_never_worse_than_any_offered(
    offers: list[tuple[int, int]],
) -> None:
    clock = FakeClock()
    hub = HubClock(clock)
    bounds: list[tuple[int, int]] = []
    for wait_s, error_ms in offers:
        clock.advance(wait_s * SECOND)
        hub.offer(anchor(clock, error_ns=error_ms * MS))
        bounds.append((clock.boot_ns(), error_ms * MS))
        grown = [error + (clock.boot_ns() - at) // 10_000 for at, error in bounds]
        assert hub.error_ns() <= min(grown) + 1
