"""Token buckets found in runs, and steadiness of a link."""

import itertools
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.audit.shaping import (
    Bucket,
    Burst,
    Shape,
    burst,
    change_point,
    modes,
    shaping,
)


def run_of(bucket: Bucket, noise: float = 0.0, seed: int = 1, seconds: int = 60) -> list[float]:
    drawn = random.Random(seed)
    sent = [bucket.delivered_mbit(at / 10) for at in range(seconds * 10 + 1)]
    return [(b - a) * 10 * drawn.gauss(1, noise) for a, b in itertools.pairwise(sent)]


def test_v4_3_two_modes_are_told_as_two() -> None:
    found = modes([100.0] * 3 + [20.0] * 7, 1.0)
    assert found == (100.0, 20.0, 3.0)
    assert modes([100.0] * 10, 1.0) is None
    assert modes([100.0] * 5 + [95.0] * 5, 1.0) is None


def test_v4_4_a_bucket_of_three_seconds() -> None:
    bucket = Bucket((100 - 20) * 3, 20, 100)
    assert bucket.bucket_mbit == 240
    assert bucket.bucket_mbit * 1e6 / 8 == 30e6
    assert bucket.delivered_mbit(10) == 440
    assert bucket.delivered_mbit(30) / 30 == 28
    found = burst(run_of(bucket))
    assert found is not None
    assert (found.burst_mbps, found.sustained_mbps) == pytest.approx((100, 20))
    assert found.knee_s == pytest.approx(3.0)
    assert found.knee_octets == pytest.approx(37.5e6, rel=1e-6)
    assert found.bucket_octets == pytest.approx(30e6, rel=1e-6)


@settings(max_examples=40, deadline=None)
@given(st.floats(20, 200), st.floats(0.1, 0.85), st.floats(1, 40), st.integers(0, 9))
def test_both_rates_and_the_knee_are_found_under_noise(
    line: float, share: float, knee_s: float, seed: int
) -> None:
    bucket = Bucket(line * (1 - share) * knee_s, line * share, line)
    found = burst(run_of(bucket, 0.02, seed))
    assert found is not None
    assert found.burst_mbps == pytest.approx(line, rel=0.05)
    assert found.sustained_mbps == pytest.approx(line * share, rel=0.05)
    assert found.knee_s == pytest.approx(knee_s, abs=0.2)


def test_what_is_no_bucket() -> None:
    steady = run_of(Bucket(1e9, 100, 100), 0.02)
    assert burst(steady) is None
    assert burst([100.0] * 550 + [50.0] * 50) is None, (
        "5 s less the settling are too short to judge"
    )
    wandering = [100.0] * 100 + [50.0 if at % 20 < 10 else 70.0 for at in range(500)]
    assert burst(wandering) is None
    assert burst([100.0] * 100 + [0.0] * 500) is None, "an outage"
    assert burst([50.0] * 300 + [100.0] * 300) is None, "it rose"
    assert burst([]) is None
    assert change_point([1.0, 2.0, 3.0]) is None
    assert change_point([5.0] * 9) is None


def knee(octets: int, sustained: float = 60.0) -> Burst:
    return Burst(100.0, sustained, 5.0, octets, octets // 2)


def test_five_runs_are_needed() -> None:
    assert shaping([knee(100)] * 4, 100).shape is Shape.NOT_MEASURED
    assert shaping([knee(100)] * 5, 100).shape is not Shape.NOT_MEASURED


def test_most_runs_have_to_agree_on_the_knee() -> None:
    assert shaping([knee(100)] * 4 + [None], 100).shape is Shape.SHAPED_BELOW_CIR
    assert shaping([knee(100)] * 3 + [None] * 2, 100).shape is Shape.NONE
    apart = [knee(100), knee(119), knee(81), knee(130), knee(50)]
    assert shaping(apart, 100).shape is Shape.NONE
    assert shaping([None] * 5, 100).shape is Shape.NONE


def test_a_shaper_at_the_cir_keeps_the_promise() -> None:
    found = shaping([knee(10_000_000, 90.0)] * 5, 100)
    assert found.shape is Shape.SHAPED
    assert found.knee_megabytes == 10.0
    assert shaping([knee(100, 89.9)] * 5, 100).shape is Shape.SHAPED_BELOW_CIR
