"""What chrony and ntpd say of the clock, and what it is worth later."""

import os
from pathlib import Path

import pytest

from runtime.clock import SECOND, ClockQuality
from runtime.testing import FakeClock
from runtime.timekeeping import Timekeeping, chrony_error_ns, ntpd_error_ns
from wire.instant import ClockClass

TRACKING = (
    "A29FC87B,162.159.200.123,4,1700000000.123,0.000006523,-0.000001747,0.000020000,"
    "-10.111,0.001,0.021,0.013639022,0.001100737,64.2,Normal"
)
NTPD = (
    'associd=0 status=0615 leap_none, sync_ntp, 1 event, clock_sync,\nversion="ntpd 4.2.8p15",'
    " leap=00, stratum=3, precision=-24,\nrootdelay=13.639, rootdisp=1.101, refid=10.0.0.1,\n"
    "offset=-0.250000, frequency=-10.1"
)


def test_chrony_bound_equals_vector_v3_5() -> None:
    assert chrony_error_ns(TRACKING) == 7_926_771


@pytest.mark.parametrize(
    "line",
    [
        "",
        "506 Cannot talk to daemon",
        TRACKING.replace("Normal", "Not synchronised"),
        TRACKING.replace("A29FC87B", "7F7F0101"),
        TRACKING.replace("0.013639022", "?"),
    ],
)
def test_an_unsynchronised_or_unreadable_chrony_gives_no_bound(line: str) -> None:
    assert chrony_error_ns(line) is None


def test_ntpd_bound_is_offset_dispersion_and_half_the_delay() -> None:
    assert ntpd_error_ns(NTPD) == 250_000 + 1_101_000 + 6_819_500


@pytest.mark.parametrize(
    "text", ["", "ntpq: read: Connection refused", NTPD.replace("leap_none", "leap_alarm")]
)
def test_an_unsynchronised_or_unreadable_ntpd_gives_no_bound(text: str) -> None:
    assert ntpd_error_ns(text) is None


@pytest.fixture
def chronyc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A chronyc on the path that says what the file beside it holds."""
    program = tmp_path / "chronyc"
    program.write_text(f"#!/bin/sh\nexec cat {tmp_path}/says\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    (tmp_path / "says").write_text(TRACKING + "\n")
    return tmp_path / "says"


def test_the_bound_grows_while_nobody_is_asked_and_ends(chronyc: Path) -> None:
    clock = FakeClock()
    clock.now_quality = ClockQuality(ClockClass.D, None, "unsynchronised")
    keeping = Timekeeping(clock)
    assert keeping.quality().clock_class is ClockClass.D
    keeping.ask()
    assert keeping.quality() == ClockQuality(ClockClass.A, 7_926_771, "chrony")
    # 3,600 s at 15 ppm add 54 ms (vector V7.4).
    clock.advance(3600 * SECOND)
    assert keeping.quality() == ClockQuality(ClockClass.B, 7_926_771 + 54_000_000, "chrony")
    clock.advance(SECOND)
    assert keeping.quality().clock_class is ClockClass.D


def test_a_daemon_that_lost_its_sources_is_believed(chronyc: Path) -> None:
    keeping = Timekeeping(FakeClock())
    keeping.ask()
    chronyc.write_text(TRACKING.replace("Normal", "Not synchronised"))
    keeping.ask()
    assert keeping.quality().source == "fake"


def test_without_a_daemon_the_kernel_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", os.devnull)
    keeping = Timekeeping(FakeClock())
    keeping.ask()
    assert keeping.quality() == ClockQuality(ClockClass.A, 1_000_000, "fake")
