"""What a Transfer says, by the vectors of the standards (methodology 4.5, V4.2 to V4.7).

The formulas themselves: tests/collector/audit/test_capacity.py."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector import capacity
from collector.audit.capacity import Promise
from collector.capacity import SECOND, Mode
from wire.detail import Reading
from wire.observation import Outcome
from wire.slot import Direction, Method
from wire.transfer import Flow, Headers, HubLoad, Offer, Purpose, Transfer, TransferOutcome

M = 1_000_000
BEGIN = 1_000 * SECOND


def transfer(**changes: Any) -> Transfer:
    """Ten seconds at 70 Mbit/s."""
    settings: dict[str, Any] = {
        "link": "l1",
        "boot_ns": BEGIN,
        "direction": Direction.DOWN,
        "method": Method.UDP,
        "purpose": Purpose.PLANNED,
        "outcome": TransferOutcome.DONE,
        "duration_ns": 10 * SECOND,
        "octets": [875_000] * 100,
    }
    return Transfer(**{**settings, **changes})


def bins(rates: list[float]) -> list[int]:
    """Ten bins for each second's rate in Mbit/s."""
    return [round(rate * M / 80) for rate in rates for _ in range(10)]


# --- V4.2


def reading(at_s: float, octets: int, packets: int, **changes: Any) -> Reading:
    settings: dict[str, Any] = {
        "link": "l1",
        "target": "cpe",
        "boot_ns": BEGIN + round(at_s * SECOND),
        "outcome": Outcome.OK,
        "sys_uptime_cs": 50_000 + round(at_s * 100),
        "in_octets": octets,
        "in_packets": packets,
        "out_octets": 0,
        "out_packets": 0,
        "counter_bits": 64,
    }
    return Reading(**{**settings, **changes})


def test_users_own_traffic_counts_for_the_link() -> None:
    """70 Mbit/s of ours alone would be a false accusation of a link that carried 93.8."""
    one = transfer(cpe=(reading(0, 5, 7), reading(10, 118_750_005, 81_007)))
    crossing = capacity.crossing(one)
    assert crossing is not None
    assert crossing.total / M == pytest.approx(93.8336)
    assert crossing.cross / M == pytest.approx(23.8336)
    achieved = capacity.achieved(one)
    assert achieved is not None and achieved / M == pytest.approx(70.0)
    y = capacity.attainment(achieved, crossing.cross, 100.0 * M)
    assert y == pytest.approx(0.9383, abs=5e-5)


@pytest.mark.parametrize(
    "later",
    [
        reading(10, 118_750_005, 81_007, sys_uptime_cs=900),
        reading(10, 118_750_005, 81_007, discontinuity_cs=12_345),
        reading(10, 4, 81_007),
        reading(10, 118_750_005, 81_007, in_packets=None),
        reading(10, 118_750_005, 81_007, interface="other"),
    ],
    ids=["restarted", "discontinuity", "fell back", "no packets", "another interface"],
)
def test_counters_that_cannot_be_compared_say_nothing(later: Reading) -> None:
    assert capacity.crossing(transfer(cpe=(reading(0, 5, 7), later))) is None


def test_up_traffic_leaves_the_router_and_the_newest_two_readings_count() -> None:
    out = [
        reading(at, 0, 0, out_octets=octets, out_packets=0)
        for at, octets in ((-3, 0), (0.1, 1_000_000), (10.1, 101_000_000))
    ]
    crossing = capacity.crossing(transfer(direction=Direction.UP, cpe=tuple(out)))
    assert crossing is not None
    assert crossing.total / M == pytest.approx(80.0)
    assert crossing.test / M == pytest.approx(70 * 0.99)  # the last tenth was after the load
    assert capacity.crossing(transfer()) is None


# --- V4.3


def test_a_turbo_has_two_modes_and_both_are_told() -> None:
    rates = [100.0] * 3 + [20.0] * 7
    one = transfer(octets=bins(rates))
    told = [rate / M for rate in capacity.series(one)]
    assert told == pytest.approx(rates)
    assert capacity.maximum(told) == pytest.approx(100.0)
    assert sum(told) / 10 == pytest.approx(44.0)
    assert capacity.modes(told) == [Mode(0, pytest.approx(100.0)), Mode(3, pytest.approx(20.0))]


def test_a_steady_rate_has_one_mode() -> None:
    assert capacity.modes([95.0, 96.0, 94.0, 95.0, 95.0]) == [Mode(0, pytest.approx(95.0))]
    assert capacity.modes([]) == []
    assert capacity.modes([1.0, 100.0, 1.0]) == [Mode(0, pytest.approx(34.0))]


# --- V4.6


def test_a_tcp_test_brings_the_inputs_of_responsiveness() -> None:
    ms = 1_000_000
    one = transfer(
        method=Method.TCP,
        tcp=(Flow(rtt_ns=[100 * ms, None]),),
        connect_load_ns=[50 * ms],
        rtt_interval_ns=SECOND,
        rtt_load_ns=[999 * ms, 999 * ms, 70 * ms, None],
    )
    assert capacity.responsiveness(one) == pytest.approx(800.0)
    assert capacity.responsiveness(transfer()) is None


def test_v4_6_of_requests_with_tls_and_on_the_loads_own_connection() -> None:
    ms = 1_000_000
    one = transfer(
        method=Method.NDT7,
        connect_load_ns=[50 * ms],
        tls_load_ns=[60 * ms, None],
        http_load_ns=[70 * ms, None],
        own_load_ns=[100 * ms, None],
        # What a record without requests would be computed of.
        tcp=(Flow(rtt_ns=[7 * ms]),),
        rtt_interval_ns=SECOND,
        rtt_load_ns=[9 * ms] * 4,
    )
    assert capacity.responses(one) == ([50], [60], [70], [100])
    assert capacity.responsiveness(one) == pytest.approx(800.0)
    plain = msgspec.structs.replace(one, tls_load_ns=[])
    assert capacity.responsiveness(plain) == pytest.approx((60_000 / 60 + 600) / 2)
    shared = msgspec.structs.replace(one, own_load_ns=[None])
    found = capacity.responses(shared)
    assert found is not None and found.loaded_http == [7]
    assert capacity.responses(msgspec.structs.replace(one, connect_load_ns=[None])) is None


# --- V4.5, of a record


def tcp_test(**changes: Any) -> Transfer:
    """Ten seconds of 90 Mbit/s in IP packets by two flows, 2 of 102 octets sent again."""
    fields: dict[str, Any] = {
        "method": Method.TCP,
        "octets": bins([90.0] * 10),
        "rtt_idle_ns": [26_000_000, None, 25_000_000],
        "headers": Headers(ip=20, transport=32, packet=1500),
        "tcp": (
            Flow(bytes_sent=60_000, bytes_retransmitted=1500, rtt_ns=[30_000_000, None]),
            Flow(bytes_sent=42_000, bytes_retransmitted=500, rtt_ns=[34_000_000]),
        ),
    }
    return transfer(**{**fields, **changes})


def test_v4_5_of_a_record_against_the_promise() -> None:
    promise = Promise(100.0)
    found = capacity.rfc6349(tcp_test(), promise)
    assert found is not None
    # Both are payload of the same packets, so their ratio is that of the IP rates.
    assert found.transfer_time_ratio == pytest.approx(97.28 / 90, abs=1e-4)
    assert found.efficiency_percent == pytest.approx(98.0392, abs=5e-4)
    assert found.buffer_delay_percent == pytest.approx(28.0)
    # Shorter packets carry less: the same IP rate takes longer.
    small = Headers(ip=20, transport=32, packet=552)
    longer = capacity.rfc6349(tcp_test(headers=small), promise)
    assert longer is not None
    assert longer.transfer_time_ratio == pytest.approx(
        found.transfer_time_ratio * (1448 / 1500) / (500 / 552)
    )


def test_without_idle_round_trips_the_flows_least_is_the_base() -> None:
    flow = Flow(bytes_sent=1000, bytes_retransmitted=0, rtt_ns=[30_000_000], min_rtt_ns=20_000_000)
    one = tcp_test(method=Method.NDT7, rtt_idle_ns=[], tcp=(flow,))
    found = capacity.rfc6349(one, Promise(100.0))
    assert found is not None
    assert (found.buffer_delay_percent, found.efficiency_percent) == (50.0, 100.0)


@pytest.mark.parametrize(
    "changes",
    [
        {"method": Method.UDP},
        {"tcp": ()},
        {"tcp": (Flow(bytes_sent=1000, rtt_ns=[1]),)},
        {"tcp": (Flow(bytes_sent=10, bytes_retransmitted=11, rtt_ns=[30_000_000]),)},
        {"tcp": (Flow(bytes_sent=10, bytes_retransmitted=1),)},
        {"rtt_idle_ns": []},
        {"octets": [0] * 100},
    ],
    ids=["udp", "no flow", "resent unknown", "more resent", "no rtt", "no base", "nothing came"],
)
def test_what_a_record_does_not_tell_is_not_told(changes: dict[str, Any]) -> None:
    assert capacity.rfc6349(tcp_test(**changes), Promise(100.0)) is None


# --- V4.7


def test_ndt7_goodput() -> None:
    octets = [1_175_000] * 100
    assert capacity.achieved(transfer(octets=octets), skip_ns=0) == pytest.approx(94.0 * M)


# --- windows, loss, delay


def test_the_warm_up_is_left_out_and_all_else_of_the_window_counts() -> None:
    one = transfer(
        octets=bins([10.0, 40.0] + [90.0] * 8),
        packets=[0] * 20 + [90] * 80,
        lost=[50] * 20 + [10] * 80,
        reordered=[9] * 20 + [0] * 79 + [72],
        duplicated=[0] * 100,
    )
    achieved = capacity.achieved(one)
    assert achieved is not None and achieved / M == pytest.approx(90.0)
    assert capacity.loss_ratio(one) == pytest.approx(0.1)
    assert capacity.reordering_ratio(one) == pytest.approx(0.01)
    assert capacity.loss_ratio(transfer()) is None
    assert capacity.reordering_ratio(transfer()) is None


def test_what_the_receiver_had_no_room_for_is_no_loss_of_the_link() -> None:
    columns = {"packets": [90] * 100, "reordered": [0] * 100, "duplicated": [0] * 100}
    one = transfer(lost=[10] * 100, dropped_packets=799, **columns)
    assert capacity.loss_ratio(one) == pytest.approx(1 / 7_201)
    assert capacity.loss_ratio(transfer(lost=[10] * 100, dropped_packets=900, **columns)) == 0


def test_loss_is_of_the_packets_that_were_sent_each_once() -> None:
    columns = {"packets": [90] * 99 + [180], "reordered": [0] * 100}
    lost = [10] * 99 + [30]
    doubled = transfer(lost=lost, duplicated=[0] * 99 + [90], late_packets=180, **columns)
    assert capacity.loss_ratio(doubled) == pytest.approx(0.1)


def test_a_short_test_is_judged_by_its_last_bin_at_least() -> None:
    one = transfer(octets=bins([8.0]), duration_ns=SECOND)
    assert capacity.achieved(one) == pytest.approx(8.0 * M)
    assert capacity.achieved(transfer(outcome=TransferOutcome.FAILED, octets=[])) is None


def test_delay_variation_is_the_99th_percentile_less_the_least() -> None:
    delays: list[int | None] = [50_000] * 2 + [100 + k for k in range(100)] + [None]
    one = transfer(delay_us=delays, delay_interval_ns=SECOND)
    assert capacity.pdv_ns(one) == 98_000
    assert capacity.pdv_ns(transfer()) is None


def test_the_grade_of_a_rise() -> None:
    assert [capacity.bufferbloat(ms * 1e6) for ms in (4.9, 5, 400)] == ["A+", "A", "F"]


def test_the_rise_of_the_round_trip_is_of_means_after_the_warm_up() -> None:
    ms = 1_000_000
    one = transfer(
        rtt_idle_ns=[20 * ms, None, 22 * ms],
        rtt_interval_ns=SECOND,
        rtt_load_ns=[900 * ms, 900 * ms, 60 * ms, None, 62 * ms],
    )
    assert capacity.rtt_rise_ns(one) == pytest.approx(40 * ms)
    assert capacity.rtt_rise_ns(transfer()) is None


def test_a_staircase_is_read_step_by_step() -> None:
    steps = (50 * M, 75 * M)
    one = transfer(
        offered=(Offer(0, steps[0]), Offer(5 * SECOND, steps[1])),
        octets=bins([10.0, 10.0, 50.0, 50.0, 50.0, 10.0, 10.0, 60.0, 60.0, 60.0]),
    )
    assert capacity.stages(one) == [
        (steps[0], pytest.approx(50 * M)),
        (steps[1], pytest.approx(60 * M)),
    ]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({}, None),
        ({"outcome": TransferOutcome.UNFIT}, "unfit"),
        ({"hub": HubLoad(cpu_ratio=0.71)}, "the hub's processors were busy to 71%"),
        (
            {"hub": HubLoad(nic_bits_per_s=800 * M, nic_speed_mbps=1000)},
            "the hub's network card was busy to 80%",
        ),
        ({"hub": HubLoad(cpu_ratio=0.7, nic_bits_per_s=800 * M)}, None),
    ],
)
def test_who_may_not_accuse_says_why(changes: dict[str, Any], reason: str | None) -> None:
    assert capacity.usable(transfer(**changes)) == reason


@given(st.lists(st.integers(0, 10**9), min_size=1, max_size=300), st.integers(0, 10 * SECOND))
def test_the_mean_lies_between_the_least_and_the_largest_bin(
    octets: list[int], skip_ns: int
) -> None:
    one = transfer(octets=octets, duration_ns=len(octets) * 100_000_000)
    achieved = capacity.achieved(one, skip_ns)
    assert achieved is not None
    assert min(octets) * 80 <= achieved * (1 + 1e-12)
    assert achieved <= max(octets) * 80 * (1 + 1e-12)
