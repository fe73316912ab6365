"""How long a guesser waits, and that the owner of a name does not."""

import pytest

from collector.access.throttle import FORGOTTEN_S, REMEMBERED, Throttle


def tries(throttle: Throttle, count: int, *, name: str = "sri", address: str = "a", at: float = 0):
    for _ in range(count):
        throttle.failed(name, address, at)


def test_four_failures_are_free_and_then_the_wait_doubles_up_to_a_quarter_of_an_hour() -> None:
    throttle, waits = Throttle(), []
    for _ in range(16):
        waits.append(throttle.wait_s("sri", "a", 0))
        throttle.failed("sri", "a", 0)
    assert waits[:8] == [0, 0, 0, 0, 1, 2, 4, 8]
    assert waits[-1] == 900


def test_the_wait_passes_and_an_hour_forgets() -> None:
    throttle = Throttle()
    tries(throttle, 6)
    assert throttle.wait_s("sri", "a", 3) == 1
    assert throttle.wait_s("sri", "a", 5) == 0
    tries(throttle, 1, at=FORGOTTEN_S + 10)
    assert throttle.wait_s("sri", "a", FORGOTTEN_S + 10) == 0


def test_success_forgets_at_once() -> None:
    throttle = Throttle()
    tries(throttle, 6)
    throttle.succeeded("sri", "a")
    assert throttle.wait_s("sri", "a", 0) == 0


def test_one_address_cannot_try_many_names() -> None:
    throttle = Throttle()
    for k in range(25):
        throttle.failed(f"name{k}", "a", 0)
    assert throttle.wait_s("another", "a", 0) == 32
    assert throttle.wait_s("another", "b", 0) == 0


@pytest.mark.parametrize("addresses", [60, 500])
def test_whoever_guesses_a_name_from_everywhere_delays_its_owner_for_seconds(
    addresses: int,
) -> None:
    throttle = Throttle()
    for k in range(addresses):
        throttle.failed("sri", f"address{k}", 0)
    assert 0 < throttle.wait_s("sri", "home", 0) <= 20


def test_memory_is_bounded() -> None:
    throttle = Throttle()
    for k in range(REMEMBERED):
        throttle.failed(f"n{k}", f"a{k}", 0)
    assert len(throttle._failures) == REMEMBERED
