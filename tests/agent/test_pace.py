"""When to try again and how fast."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.pace import SECOND, Backoff, ByteRate


def test_the_wait_doubles_to_its_cap_and_starts_over_after_success() -> None:
    backoff = Backoff(2.0, 10.0, lambda: 1.0)
    assert [backoff.failed() for _ in range(5)] == [2.0, 4.0, 8.0, 10.0, 10.0]
    backoff.worked()
    assert backoff.failed() == 2.0


@given(st.floats(min_value=0, max_value=1, exclude_max=True), st.integers(1, 100))
def test_the_wait_is_never_beyond_the_cap(chance: float, failures: int) -> None:
    backoff = Backoff(2.0, 900.0, lambda: chance)
    waits = [backoff.failed() for _ in range(failures)]
    assert all(0 <= wait < 900.0 for wait in waits)


def test_the_hub_is_not_asked_before_it_said_and_no_later_than_half_as_long_again() -> None:
    assert Backoff(2.0, 900.0, lambda: 0.0).failed(30.0) == 30.0
    assert Backoff(2.0, 900.0, lambda: 0.999).failed(30.0) == pytest.approx(45.0, abs=0.1)
    # A hub (or a portal) that says "in a year" does not silence a node for a year.
    assert Backoff(2.0, 900.0, lambda: 0.0).failed(31_536_000.0) == 900.0


@given(st.lists(st.integers(1, 300_000), min_size=1, max_size=50))
def test_a_backlog_keeps_to_its_rate(sizes: list[int]) -> None:
    rate = ByteRate(4000)
    now_ns = 0
    for size in sizes:
        now_ns += int(rate.wait_s(now_ns) * SECOND) + 1
        rate.sent(size, now_ns)
    sent_before_the_last = sum(sizes[:-1])
    assert now_ns / SECOND >= sent_before_the_last / 4000 - 1e-3


def test_an_idle_rate_saves_nothing_up() -> None:
    rate = ByteRate(1000)
    rate.sent(1000, 100 * SECOND)
    assert rate.wait_s(100 * SECOND) == pytest.approx(1.0)
    rate.sent(1000, 500 * SECOND)
    assert rate.wait_s(500 * SECOND) == pytest.approx(1.0)
