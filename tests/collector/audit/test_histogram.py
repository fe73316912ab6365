import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.audit.histogram import Between, Histogram, bucket, merge, of_ns, upper

TIMES = st.lists(st.integers(1, 3 * 10**9), max_size=60)


def test_v3_9_buckets_of_the_native_histogram() -> None:
    assert bucket(0.0242, schema=3) == -42
    assert upper(-43, schema=3) == pytest.approx(0.0240970, abs=5e-8)
    assert upper(-42, schema=3) == pytest.approx(0.0262780, abs=5e-8)
    assert bucket(1.0, schema=3) == 0
    assert bucket(1.0000001, schema=3) == 1


@given(st.floats(1e-9, 3600))
def test_a_bucket_holds_what_is_in_it(seconds: float) -> None:
    index = bucket(seconds)
    assert upper(index - 1) < seconds <= upper(index)


def test_a_bound_belongs_to_the_bucket_below_it() -> None:
    assert [bucket(upper(index)) for index in range(-400, 100)] == list(range(-400, 100))


@pytest.mark.parametrize("seconds", [0.0, -1.0, math.nan])
def test_no_time_is_in_no_bucket(seconds: float) -> None:
    with pytest.raises(ValueError, match="in no bucket"):
        bucket(seconds)


def test_v3_4_lost_packets_are_infinitely_late() -> None:
    hundred = of_ns([20_000_000] * 97, lost=3)
    assert hundred.percentile(0.95) == hundred.percentile(0.97)
    assert hundred.percentile(0.98) == Between(math.inf, math.inf)
    assert (hundred.sent, hundred.received) == (100, 97)
    assert Histogram({}).percentile(0.5) is None


@given(TIMES, st.integers(0, 5), st.sampled_from([0.01, 0.5, 0.95, 0.99]))
def test_a_percentile_is_within_the_bounds_of_its_bucket(
    times: list[int], lost: int, share: float
) -> None:
    found = of_ns(times, lost).percentile(share)
    ordered = [*(one / 1e9 for one in sorted(times)), *[math.inf] * lost]
    if not ordered:
        assert found is None
        return
    value = ordered[max(1, math.ceil(share * len(ordered) - 1e-9)) - 1]
    assert found is not None
    assert found.low_s < value <= found.high_s or found.low_s == value == math.inf


@given(TIMES, TIMES, st.integers(0, 9), st.randoms())
def test_parts_merge_to_the_whole(
    first: list[int], second: list[int], lost: int, rng: random.Random
) -> None:
    parts = [of_ns(first, lost), of_ns(second)]
    rng.shuffle(parts)
    assert merge(parts) == of_ns(first + second, lost)


def ddsketch_key(value: float, accuracy: float) -> int:
    """Another sketch that merges (Masson et al., VLDB 2019), as an oracle: ceil(log_gamma(v))."""
    gamma = (1 + accuracy) / (1 - accuracy)
    return math.ceil(math.log(value) / math.log(gamma))


def ddsketch_value(key: int, accuracy: float) -> float:
    """Within `accuracy` of every value of this key."""
    gamma = (1 + accuracy) / (1 - accuracy)
    return float(2 * gamma**key / (gamma + 1))


def test_v3_9_the_sketch_that_ours_is_compared_with() -> None:
    assert ddsketch_key(24.2, 0.01) == 160
    assert ddsketch_value(160, 0.01) == pytest.approx(24.2898, abs=5e-5)


@given(st.lists(st.integers(1_000, 3 * 10**9), min_size=1, max_size=60))
def test_the_median_agrees_with_another_sketch(times: list[int]) -> None:
    found = of_ns(times).percentile(0.5)
    keys = sorted(ddsketch_key(one / 1e9, 0.01) for one in times)
    other = ddsketch_value(keys[(len(keys) - 1) // 2], 0.01)
    assert found is not None
    assert found.low_s / 1.011 <= other <= found.high_s * 1.011
