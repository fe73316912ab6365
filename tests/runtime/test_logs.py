"""What is said again and again is said seldom."""

import logging

import pytest

from runtime.clock import SECOND
from runtime.logs import QUIET_NS, Trouble
from runtime.testing import FakeClock


def test_trouble_is_said_when_it_begins_when_it_changes_and_now_and_then(
    caplog: pytest.LogCaptureFixture,
) -> None:
    clock = FakeClock()
    trouble = Trouble(logging.getLogger("here"), "not judged: %s", clock)
    for _ in range(5):
        trouble.met(OSError("disk full"))
        clock.advance(SECOND)
    assert [one.getMessage() for one in caplog.records] == ["not judged: disk full"]
    trouble.met("disk gone")
    trouble.met("disk full")
    assert len(caplog.records) == 3
    clock.advance(QUIET_NS)
    trouble.met("disk full")
    assert len(caplog.records) == 4
    trouble.over()
    trouble.met("disk full")
    assert len(caplog.records) == 5
