import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.settle.clockmap import BUCKET_NS, ClockMap
from wire.journal import Anchor

S = 1_000_000_000
WALL = 1_790_000_000 * S


def anchor(boot_s: float, *, late_s: float = 0, error_ms: float = 5) -> Anchor:
    boot_ns = int(boot_s * S)
    return Anchor(boot_ns, WALL + boot_ns + int(late_s * S), int(error_ms * 1_000_000))


def test_one_anchor_places_everything() -> None:
    clock = ClockMap([anchor(100)])
    assert clock.wall_ns(0) == WALL
    assert clock.wall_ns(500 * S) == WALL + 500 * S
    assert clock.error_ns(100 * S) == 5_000_000
    assert clock.error_ns(0) == 5_000_000 + 100 * S // 10_000  # 100 ppm of 100 s


def test_drift_over_three_days_is_spread_between_its_ends() -> None:
    days = 3 * 86_400
    clock = ClockMap([anchor(0), anchor(days, late_s=10)])
    assert clock.wall_ns(days * S // 2) == WALL + days * S // 2 + 5 * S
    assert clock.wall_ns(days * S) == WALL + days * S + 10 * S


def test_a_hub_clock_that_was_set_does_not_bend_the_seconds() -> None:
    clock = ClockMap([anchor(0), anchor(3600, late_s=600)])
    assert clock.wall_ns(1000 * S) == WALL + 1000 * S
    assert clock.wall_ns(3000 * S) == WALL + 3000 * S + 600 * S


def test_the_best_anchor_of_a_bucket_counts() -> None:
    noisy = [anchor(k, late_s=0.2, error_ms=300) for k in range(10, 500, 10)]
    clock = ClockMap([*noisy, anchor(200, error_ms=2)])
    assert clock.wall_ns(450 * S) == WALL + 450 * S


def test_no_anchor_is_no_map() -> None:
    with pytest.raises(ValueError, match="needs an anchor"):
        ClockMap([])


ANCHORS = st.lists(
    st.builds(
        anchor,
        st.integers(0, 20_000),
        late_s=st.floats(-0.1, 0.1),
        error_ms=st.floats(1, 200),
    ),
    min_size=1,
    max_size=20,
    unique_by=lambda one: one.boot_ns,
)


@given(ANCHORS)
def test_the_order_of_arrival_does_not_matter(anchors: list[Anchor]) -> None:
    other = sorted(anchors, key=lambda one: (one.error_ns, -one.boot_ns))
    first, second = ClockMap(anchors), ClockMap(other)
    for boot_ns in range(0, 25_000 * S, BUCKET_NS // 7):
        assert first.wall_ns(boot_ns) == second.wall_ns(boot_ns)
        assert first.error_ns(boot_ns) == second.error_ns(boot_ns)


@given(ANCHORS)
def test_time_never_runs_backwards_between_true_anchors(anchors: list[Anchor]) -> None:
    clock = ClockMap(anchors)
    walls = [clock.wall_ns(boot_ns) for boot_ns in range(0, 25_000 * S, 60 * S)]
    assert all(b > a for a, b in itertools.pairwise(walls))
