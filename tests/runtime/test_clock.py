"""Clocks: the kernel's, and what follows from two of them."""

import pytest

from runtime.clock import MS, SECOND, StepDetector, SystemClock, classify, instant
from runtime.testing import FakeClock
from wire.instant import BootMismatch, ClockClass


@pytest.mark.parametrize(
    ("error_ns", "expected"),
    [
        (None, "D"),
        (0, "A"),
        (10 * MS, "A"),
        (10 * MS + 1, "B"),
        (100 * MS, "B"),
        (100 * MS + 1, "C"),
        (SECOND, "C"),
        (SECOND + 1, "D"),
    ],
)
def test_the_class_of_an_error_bound(error_ns: int | None, expected: str) -> None:
    assert classify(error_ns) is ClockClass(expected)


def test_the_machines_boot_clock_goes_forward_and_names_its_boot() -> None:
    clock = SystemClock()
    earlier = instant(clock)
    later = instant(clock)
    assert 0 <= later.since(earlier) < 10 * SECOND
    assert len(clock.boot_id) == 32 and int(clock.boot_id, 16)
    with open("/proc/uptime") as uptime:
        assert abs(clock.boot_ns() / SECOND - float(uptime.read().split()[0])) < 1


def test_the_machines_clock_quality_is_an_error_bound_or_unsynchronised() -> None:
    quality = SystemClock().quality()
    assert quality.clock_class is classify(quality.error_ns)
    assert (quality.error_ns is None) == (quality.source == "unsynchronised")


@pytest.mark.parametrize(
    ("elapsed_s", "moved_ns", "expected"),
    [
        (10, 0, None),
        (10, 100 * MS, None),
        (10, 106 * MS, 106 * MS),
        (10, -106 * MS, -106 * MS),
        (10, 3600 * SECOND, 3600 * SECOND),
        (86_400, 40 * SECOND, None),
        (86_400, 44 * SECOND, 44 * SECOND),
    ],
)
def test_a_step_is_what_no_slewing_can_do(
    elapsed_s: int, moved_ns: int, expected: int | None
) -> None:
    clock = FakeClock()
    detector = StepDetector(clock)
    clock.advance(elapsed_s * SECOND)
    clock.step(moved_ns)
    assert detector.step_ns() == expected
    assert detector.step_ns() is None


def test_two_boots_have_no_duration_between_them() -> None:
    clock = FakeClock()
    before = instant(clock)
    clock.reboot(boot_id="c1" * 16, off_ns=60 * SECOND)
    after = instant(clock)
    assert (after.boot_ns, after.wall_ns - before.wall_ns) == (0, 60 * SECOND)
    with pytest.raises(BootMismatch):
        after.since(before)
