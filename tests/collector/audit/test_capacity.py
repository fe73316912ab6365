"""Vectors V4.* of the method."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.audit.capacity import (
    Counters,
    Layer,
    Promise,
    Responses,
    TcpTest,
    attainment,
    bandwidth_delay_octets,
    bufferbloat_grade,
    ip_share,
    load,
    maximum,
    mbps,
    responsiveness,
    rfc6349,
    tcp_share,
    trimmed_mean,
    window_limit_mbps,
)


@pytest.mark.parametrize(
    ("layer", "vlan", "share"),
    [
        (Layer.L1, False, 0.975293),
        (Layer.L1, True, 0.972763),
        (Layer.L2, False, 0.988142),
        (Layer.L2, True, 0.985545),
        (Layer.IP, True, 1.0),
    ],
)
def test_the_share_of_ip_packets(layer: Layer, vlan: bool, share: float) -> None:
    assert ip_share(layer, vlan=vlan) == pytest.approx(share, abs=5e-7)


def test_the_share_of_tcp_payload() -> None:
    assert tcp_share() == pytest.approx(0.965333, abs=5e-7)
    for vlan, of_l1, of_l2 in ((False, 0.941482, 0.953887), (True, 0.939040, 0.951380)):
        assert ip_share(Layer.L1, vlan=vlan) * tcp_share() == pytest.approx(of_l1, abs=5e-7)
        assert ip_share(Layer.L2, vlan=vlan) * tcp_share() == pytest.approx(of_l2, abs=5e-7)


def test_v4_1_what_a_promise_leaves() -> None:
    promise = Promise(100)
    assert promise.expected_mbps == pytest.approx(97.2763, abs=5e-5)
    assert promise.goodput_mbps == pytest.approx(93.904, abs=5e-4)
    assert Promise(1000).expected_mbps == pytest.approx(972.76, abs=5e-3)


@pytest.mark.parametrize("cir", [0, -1, 1e-9, 1e10, float("nan"), float("inf")])
def test_a_promise_of_nothing_is_refused(cir: float) -> None:
    with pytest.raises(ValueError, match=r"expected 0\.001 to 1e\+09 Mbit/s"):
        Promise(cir)


def test_v4_2_users_of_the_link_count_as_delivered() -> None:
    found = load(Counters(118_750_000, 81_000, 10.0), 70.0, vlan=False)
    assert found == pytest.approx((95.0, 93.8336, 23.8336))
    y = attainment(70.0, found.cross_mbps, Promise(100, Layer.IP).expected_mbps)
    assert y == pytest.approx(0.9383, abs=5e-5)
    assert attainment(70.0, None, 100.0) == pytest.approx(0.70)


def test_cross_traffic_is_never_below_nothing() -> None:
    assert load(Counters(12_500_000, 8_000, 1.0), 99.9, vlan=True).cross_mbps == 0.0


@pytest.mark.parametrize(
    "counters",
    [Counters(-1, 0, 1.0), Counters(1, -1, 1.0), Counters(1, 0, 0.0), Counters(17, 1, 1)],
)
def test_counters_that_cannot_be_are_refused(counters: Counters) -> None:
    with pytest.raises(ValueError, match=r"octets|backwards"):
        load(counters, 0.0, vlan=False)


@settings(max_examples=40, deadline=None)
@given(st.integers(100, 10**6), st.booleans(), st.floats(1, 30))
def test_full_packets_at_the_layer_2_rate_attain_exactly_the_promise(
    packets: int, vlan: bool, seconds: float
) -> None:
    octets = packets * (1518 + 4 * vlan)
    found = load(Counters(octets, packets, seconds), 0.0, vlan=vlan)
    promise = Promise(mbps(octets, seconds), Layer.L2, vlan)
    assert attainment(0.0, found.cross_mbps, promise.expected_mbps) == pytest.approx(1.0)


def test_v4_3_the_best_second() -> None:
    assert maximum([100.0] * 3 + [20.0] * 7) == 100.0


def test_v4_5_rfc_6349() -> None:
    # 100 000 octets once and 2 000 again: the RFC divides by what it sent in all.
    found = rfc6349(TcpTest(12, 8, 102_000, 2000, 25, 32))
    assert found == pytest.approx((1.5, 98.039, 28.0), abs=5e-4)
    assert window_limit_mbps(65_536, 40) == pytest.approx(13.107, abs=5e-4)
    assert bandwidth_delay_octets(100, 40) == 500_000


@pytest.mark.parametrize(
    ("increase_ms", "grade"),
    [(0, "A+"), (4.9, "A+"), (5, "A"), (30, "B"), (60, "C"), (200, "D"), (400, "F"), (9e9, "F")],
)
def test_bufferbloat_grades(increase_ms: float, grade: str) -> None:
    assert bufferbloat_grade(increase_ms) == grade


def test_v4_6_responsiveness() -> None:
    assert responsiveness(Responses([50], [60], [70], [100])) == (1000, 600, 800)
    # Without TLS two terms are left.
    assert responsiveness(Responses([50], [], [70], [100])).foreign == 1000
    assert trimmed_mean(range(1, 21)) == 10.0
    assert trimmed_mean([7.0]) == 7.0
    with pytest.raises(ValueError, match="no values"):
        trimmed_mean([])


def test_v4_7_ndt7_goodput() -> None:
    assert mbps(117_500_000, 10_000_000 / 1e6) == 94.0
