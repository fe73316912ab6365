"""The gate by table: whose traffic, how much of it, and what follows."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.gate import MOST_LOOKS, Cross, Decision, Look, Move, Quality, cross, decide, look
from tests.agent.test_plan import plan
from wire.detail import Reading
from wire.message import End
from wire.observation import Outcome
from wire.plan import Gate, Side
from wire.slot import Direction

SECOND = 1_000_000_000
EVENING_S = 1_764_504_000 + 7_200  # 2025-11-30 21:00 at +07:00
OFFICE_S = EVENING_S - 11 * 3_600


def reading(at_s: float = 0, **changes: Any) -> Reading:
    fields: dict[str, Any] = {
        "link": "l1",
        "target": "router",
        "boot_ns": int((100 + at_s) * SECOND),
        "outcome": Outcome.OK,
        "sys_uptime_cs": 1_000 + int(at_s * 100),
        "interface": "wan0",
        "discontinuity_cs": 0,
        "in_octets": 10**9,
        "out_octets": 10**9,
        "in_packets": 10**6,
        "out_packets": 10**6,
        "counter_bits": 64,
    }
    return Reading(**fields | changes)


def later(at_s: float, octets: int, packets: int, **changes: Any) -> Reading:
    """So much more in both directions."""
    fields = {
        "in_octets": 10**9 + octets,
        "out_octets": 10**9 + octets,
        "in_packets": 10**6 + packets,
        "out_packets": 10**6 + packets,
    }
    return reading(at_s, **fields | changes)


def test_octets_of_an_interface_become_bits_of_ip_packets() -> None:
    """V4.2: 10 s, 118,750,000 octets, 81,000 packets of 18 octets more."""
    found = cross(reading(), later(10, 118_750_000, 81_000), plan(vlan=False))
    assert found == Cross(pytest.approx(93.8336e6), pytest.approx(93.8336e6))
    tagged = cross(reading(), later(10, 118_750_000, 81_000), plan(vlan=True))
    assert tagged is not None
    assert tagged.down_bits_per_s == pytest.approx(93.5744e6)


def test_the_side_of_the_interface_says_which_way_octets_flow() -> None:
    more = reading(2, in_octets=10**9 + 2_000_000, in_packets=10**6)
    towards_provider = cross(reading(), more, plan())
    assert towards_provider == Cross(8e6, 0)
    towards_users = cross(reading(), more, plan(gate=Gate(target="r", side=Side.LAN)))
    assert towards_users == Cross(0, 8e6)


def test_a_counter_of_32_bits_may_wrap_between_two_looks() -> None:
    narrow = {"counter_bits": 32, "out_octets": 0, "in_packets": 0, "out_packets": 0}
    found = cross(
        reading(in_octets=2**32 - 1_000_000, **narrow),
        reading(2, in_octets=1_000_000, **narrow),
        plan(),
    )
    assert found == Cross(8e6, 0)


@pytest.mark.parametrize(
    "second",
    [
        later(0, 1, 1),
        later(2, 1, 1, sys_uptime_cs=5),
        later(2, 1, 1, discontinuity_cs=7),
        later(2, 1, 1, counter_bits=32),
        later(2, 1, 1, counter_bits=None),
        later(2, 1, 1, interface="wan1"),
        later(2, 1, 1, outcome=Outcome.TIMEOUT),
        later(2, 1, 1, in_octets=None),
        later(2, 1, 1, out_packets=None),
        later(2, -10_000, 1),
    ],
    ids=["no time", "restarted", "discontinuity", "narrower", "gone", "renamed", "silent",
         "no octets", "no packets", "backwards"],
)  # fmt: skip
def test_two_readings_that_do_not_belong_together_tell_nothing(second: Reading) -> None:
    assert cross(reading(), second, plan()) is None


def test_two_looks_are_enough_where_the_device_counts_at_once() -> None:
    readings = [reading(), later(2, 2_000_000, 0)]
    assert not look(readings[:1], plan()).settled
    assert look(readings, plan()) == Look(True, Cross(8e6, 8e6))


def test_a_device_that_counts_every_ten_seconds_is_read_from_change_to_change() -> None:
    """It shows 5 s of old news first: a rate from there would be of no interval at all."""
    steps = [0, 0, 7, 7, 7, 7, 7, 17, 17]
    readings = [later(2 * n, one * 1_000_000, 0) for n, one in enumerate(steps)]
    for count in range(1, 8):
        assert not look(readings[:count], plan()).settled, count
    assert look(readings[:8], plan()) == Look(True, Cross(8e6, 8e6))


def test_counters_that_stand_still_or_are_silent_tell_nothing() -> None:
    """Our own probes move them: no change is no news of an idle link."""
    still = [reading(2 * n) for n in range(MOST_LOOKS)]
    assert not look(still[:-1], plan()).settled
    assert look(still, plan()) == Look(True, None)
    assert look([reading(outcome=Outcome.TIMEOUT)], plan()) == Look(True, None)
    assert look([reading(counter_bits=None)], plan()) == Look(True, None)
    assert look([], plan()) == Look(False)


CIR_IP = 97_276_265
LIMIT = 0.3 * CIR_IP


@pytest.mark.parametrize(
    ("seen", "direction", "tries", "wall_s", "expected"),
    [
        (Cross(0, 0), Direction.DOWN, 0, OFFICE_S, Decision(Move.GO)),
        (Cross(LIMIT, 0), Direction.DOWN, 0, OFFICE_S, Decision(Move.GO)),
        (Cross(LIMIT + 1, 0), Direction.DOWN, 0, OFFICE_S, Decision(Move.DEFER)),
        (Cross(LIMIT + 1, 0), Direction.UP, 0, OFFICE_S, Decision(Move.GO)),
        (Cross(0, LIMIT + 1), Direction.UP, 1, OFFICE_S, Decision(Move.DEFER)),
        (Cross(0, CIR_IP), Direction.UP, 2, OFFICE_S, Decision(Move.SKIP, end=End.BUSY)),
        (Cross(0, CIR_IP), Direction.UP, 9, EVENING_S, Decision(Move.SKIP, end=End.BUSY)),
        (None, Direction.DOWN, 0, EVENING_S, Decision(Move.GO, Quality.B)),
        (None, Direction.DOWN, 2, EVENING_S, Decision(Move.GO, Quality.B)),
        (None, Direction.DOWN, 0, OFFICE_S, Decision(Move.SKIP, Quality.B, End.BLIND)),
        (None, Direction.DOWN, 0, EVENING_S + 7_199, Decision(Move.GO, Quality.B)),
        (
            None,
            Direction.DOWN,
            0,
            EVENING_S + 7_200,
            Decision(Move.SKIP, Quality.B, End.BLIND),
        ),
        (None, Direction.UP, 0, EVENING_S + 4 * 3_600, Decision(Move.GO, Quality.B)),
        (
            None,
            Direction.UP,
            0,
            EVENING_S + 8 * 3_600,
            Decision(Move.SKIP, Quality.B, End.BLIND),
        ),
    ],
)
def test_what_follows(
    seen: Cross | None, direction: Direction, tries: int, wall_s: float, expected: Decision
) -> None:
    assert decide(seen, plan(), direction, tries=tries, wall_s=wall_s) == expected


@given(st.floats(0, 1e9), st.integers(1, 10))
def test_whoever_is_busy_is_skipped_after_so_many_looks_and_never_tested(
    bits_per_s: float, tries: int
) -> None:
    busy = plan(gate=Gate(target="r", tries=tries))
    seen = Cross(bits_per_s, 0)
    moves = [
        decide(seen, busy, Direction.DOWN, tries=n, wall_s=EVENING_S).move for n in range(tries)
    ]
    if bits_per_s > LIMIT:
        assert moves == [Move.DEFER] * (tries - 1) + [Move.SKIP]
    else:
        assert moves == [Move.GO] * tries
