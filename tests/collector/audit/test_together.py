"""Experiment G."""

import pytest

from collector.audit.together import Order, Repeat, Sharing, together

ALONE = (19.4,) * 8
TOGETHER = (10.1, 9.8, 10.3, 9.9, 10.0, 10.2, 9.7, 10.0)


def repeats(
    count: int, alone: tuple[float, ...] = ALONE, both: tuple[float, ...] = TOGETHER
) -> list[Repeat]:
    orders = (Order.ALONE_FIRST, Order.TOGETHER_FIRST)
    return [Repeat(orders[at % 2], (20.0,) * 8, alone, both) for at in range(count)]


def test_v5_7_eight_sites_share_one_to_two() -> None:
    found = together(repeats(10))
    assert found.sharing is Sharing.OVERSUBSCRIBED
    assert (found.ratio, found.solo_ratio) == pytest.approx((0.50, 0.97))
    assert found.contention == pytest.approx(2.0)
    assert found.p == pytest.approx(9.8e-4, rel=0.01)
    assert together(repeats(20)).p == pytest.approx(9.5e-7, rel=0.01)


def test_sites_that_lose_nothing_together_share_nothing() -> None:
    assert together(repeats(10, both=ALONE)).sharing is Sharing.NOT_SHOWN
    assert together(repeats(10, both=ALONE)).wins == 0
    slightly = together(repeats(10, both=(19.0,) * 8))
    assert slightly.sharing is Sharing.NOT_SHOWN, "0.95 of the promise is kept"


def test_what_makes_the_experiment_inexact() -> None:
    assert together(repeats(9)).sharing is Sharing.NOT_EXACT
    fixed = [Repeat(Order.ALONE_FIRST, (20.0,) * 8, ALONE, TOGETHER)] * 12
    assert together(fixed).sharing is Sharing.NOT_EXACT
    weak = together(repeats(12, alone=(17.0,) * 8))
    assert (weak.sharing, weak.contention) == (Sharing.NOT_EXACT, None)


def test_rows_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="same two sites"):
        Repeat(Order.ALONE_FIRST, (20.0, 20.0), (1.0,), (1.0, 1.0))
    with pytest.raises(ValueError, match="same two sites"):
        Repeat(Order.ALONE_FIRST, (20.0,), (1.0,), (1.0,))
    with pytest.raises(ValueError, match="above 0"):
        Repeat(Order.ALONE_FIRST, (20.0, 0.0), (1.0, 1.0), (1.0, 1.0))
    with pytest.raises(ValueError, match="no repeats"):
        together([])
