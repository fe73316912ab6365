"""The day's rhythm, and delays raised on the far side."""

import math
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.audit.diurnal import DelayBin, elevation, rhythm

HOURS = [float(hour) for hour in range(24)]


def wave(hour: float, amplitude: float = 0.08, peak: float = 20.0) -> float:
    return 0.9 + amplitude * math.cos(2 * math.pi * (hour - peak) / 24)


def test_v5_6_a_week_of_hours() -> None:
    found = rhythm([[(hour, wave(hour)) for hour in HOURS]] * 7, seed=1, shifts=999)
    assert found is not None
    assert (found.amplitude, found.peak_hour) == pytest.approx((0.08, 20.0))
    series = np.array([wave(hour) for _ in range(7) for hour in HOURS])
    assert found.amplitude == pytest.approx(2 * abs(np.fft.rfft(series)[7]) / len(series))
    assert found.p == pytest.approx(0.001)
    assert not found.material, "p has to be below 0.001"
    surer = rhythm([[(hour, wave(hour)) for hour in HOURS]] * 7, seed=1)
    assert surer is not None and surer.material


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 99), st.floats(0, 24, exclude_max=True))
def test_holes_do_not_move_the_fit(seed: int, peak: float) -> None:
    drawn = random.Random(seed)
    days = [
        [(hour, wave(hour, 0.1, peak)) for hour in sorted(drawn.sample(HOURS, 5))] for _ in range(6)
    ]
    found = rhythm(days, seed, shifts=0)
    assert found is not None and found.p is None and not found.material
    assert found.amplitude == pytest.approx(0.1)
    assert math.cos(2 * math.pi * (found.peak_hour - peak) / 24) == pytest.approx(1)


def test_hours_without_rhythm_are_not_material() -> None:
    drawn = random.Random(3)
    days = [[(hour, drawn.gauss(0.95, 0.05)) for hour in HOURS[::3]] for _ in range(28)]
    found = rhythm(days, 3, shifts=1000)
    assert found is not None and found.p is not None
    assert found.p > 0.01 and not found.material


def test_two_hours_a_day_fit_any_phase() -> None:
    assert rhythm([[(20.0, 0.7), (3.0, 0.9)]] * 28, 1) is None
    assert rhythm([], 1) is None


def test_only_the_far_side_accuses() -> None:
    bins = [
        DelayBin(30.0, 2.0, 0.1, True),
        DelayBin(30.0, 12.0, 0.1, True),
        DelayBin(26.9, 2.0, 0.1, True),
        DelayBin(30.0, 2.0, 0.3, True),
        DelayBin(None, 2.0, 0.1, True),
        DelayBin(30.0, None, 0.1, True),
        DelayBin(30.0, 2.0, None, True),
        DelayBin(27.1, 2.0, 0.0, False),
    ]
    found = elevation(bins, far_floor_ms=20.0, near_floor_ms=1.0)
    assert (found.peak_bins, found.peak_raised) == (3, 1)
    assert (found.other_bins, found.other_raised) == (1, 1)
