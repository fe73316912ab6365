"""Differences of device counters: right, or not given."""

from dataclasses import asdict
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.device import Delta, Run, compare
from wire.detail import Reading
from wire.observation import Outcome

SECOND = 1_000_000_000
MINUTE = 60 * SECOND
DAY = 86_400 * SECOND
WORD = 2**32


def reading(**changes: Any) -> Reading:
    """A device that has been up for a day, read at its 100-Mbit/s port."""
    settings: dict[str, Any] = {
        "link": "astinet",
        "target": "cpe",
        "boot_ns": 0,
        "outcome": Outcome.OK,
        "sys_uptime_cs": 8_640_000,
        "interface": "wan0",
        "discontinuity_cs": 0,
        "high_speed_mbps": 100,
        "counter_bits": 64,
        "in_octets": 1000,
        "in_errors": 5,
    }
    return Reading(**{**settings, **changes})


def later(elapsed_ns: int = MINUTE, **changes: Any) -> Reading:
    """The same device after so long."""
    uptime = (8_640_000 + elapsed_ns // 10_000_000) % WORD
    return reading(**{"sys_uptime_cs": uptime, "in_octets": 4000, "in_errors": 7, **changes})


def numbers(delta: Delta) -> dict[str, int]:
    """The differences that were given."""
    told = asdict(delta)
    return {k: v for k, v in told.items() if k not in ("run", "elapsed_ns") and v is not None}


def test_counters_of_a_device_that_ran_on_are_subtracted() -> None:
    names = [f"{way}_{what}" for way in ("in", "out") for what in
             ("octets", "packets", "errors", "discards")]  # fmt: skip
    before = reading(**{name: 10 * k for k, name in enumerate(names)})
    after = later(**{name: 10 * k + k + 1 for k, name in enumerate(names)})
    delta = compare(before, after, MINUTE)
    assert delta.run is Run.SAME
    assert numbers(delta) == {name: k + 1 for k, name in enumerate(names)}


def test_what_was_not_read_is_not_known() -> None:
    assert numbers(compare(reading(), later(in_octets=None), MINUTE)) == {"in_errors": 2}
    assert numbers(compare(reading(in_errors=None), later(), MINUTE)) == {"in_octets": 3000}


NOTHING = {
    "the device restarted": ({}, {"sys_uptime_cs": 3000}, Run.RESTARTED),
    "another interface has the place": ({}, {"interface": "lan0"}, Run.SAME),
    "a discontinuity was declared": ({}, {"discontinuity_cs": 8_641_000}, Run.SAME),
    "a discontinuity is known to one reading only": ({"discontinuity_cs": None}, {}, Run.SAME),
    "uptime was not read before": ({"sys_uptime_cs": None}, {}, Run.UNKNOWN),
    "uptime was not read after": ({}, {"sys_uptime_cs": None}, Run.UNKNOWN),
    "uptime leaps ahead": ({}, {"sys_uptime_cs": 80_000_000}, Run.UNKNOWN),
    "uptime stood still for longer than the slack": ({}, {"sys_uptime_cs": 8_640_000}, Run.UNKNOWN),
}


@pytest.mark.parametrize(("before", "after", "run"), NOTHING.values(), ids=NOTHING.keys())
def test_nothing_is_subtracted_where(
    before: dict[str, Any], after: dict[str, Any], run: Run
) -> None:
    delta = compare(reading(**before), later(**after), MINUTE)
    assert delta == Delta(elapsed_ns=MINUTE, run=run)


def test_a_restart_is_seen_though_the_uptime_is_larger_than_before() -> None:
    before = reading(sys_uptime_cs=6_000)
    after = later(sys_uptime_cs=12_000)
    assert compare(before, after, MINUTE).run is Run.SAME
    assert compare(before, after, 60 * MINUTE).run is Run.RESTARTED


def test_an_uptime_that_comes_round_after_497_days_is_no_restart() -> None:
    before = reading(sys_uptime_cs=WORD - 3000)
    after = later(sys_uptime_cs=3000)
    delta = compare(before, after, MINUTE)
    assert delta.run is Run.SAME
    assert numbers(delta) == {"in_octets": 3000, "in_errors": 2}
    assert compare(before, later(sys_uptime_cs=2000), 30 * MINUTE).run is Run.RESTARTED


def test_a_clock_that_drifts_by_half_a_per_mille_is_the_same_run() -> None:
    after = later(sys_uptime_cs=8_640_000 + int(8_640_000 * 0.9995))
    assert compare(reading(), after, DAY).run is Run.SAME


def test_64_bits_do_not_come_round() -> None:
    before = reading(in_octets=2**63 - 1, in_packets=10)
    after = later(in_octets=5, in_packets=12)
    assert numbers(compare(before, after, MINUTE)) == {"in_packets": 2, "in_errors": 2}


def test_32_bits_come_round_once_where_the_line_is_too_slow_for_twice() -> None:
    before = reading(in_octets=WORD - 1000, counter_bits=32)
    after = later(in_octets=2000, counter_bits=32)
    assert compare(before, after, MINUTE).in_octets == 3000


LIMITS = [
    (100, 300, True),  # methodology 4.3: 100 Mbit/s fills 2^32 octets in 344 s
    (100, 350, False),
    (1000, 30, True),
    (1000, 35, False),
    (10, 3000, True),
    (10, 3600, False),
]


@pytest.mark.parametrize(("mbps", "seconds", "known"), LIMITS)
@pytest.mark.parametrize("start", [0, WORD - 1])
def test_32_bit_octets_are_not_believed_once_they_could_have_come_round_unseen(
    mbps: int, seconds: int, known: bool, start: int
) -> None:
    elapsed_ns = seconds * SECOND
    before = reading(high_speed_mbps=mbps, counter_bits=32, in_octets=start)
    after = later(elapsed_ns, high_speed_mbps=mbps, counter_bits=32, in_octets=(start + 7) % WORD)
    assert compare(before, after, elapsed_ns).in_octets == (7 if known else None)


@pytest.mark.parametrize("mbps", [None, 0])
def test_32_bits_at_an_unknown_speed_are_not_believed_and_64_are(mbps: int | None) -> None:
    before = reading(high_speed_mbps=mbps)
    assert numbers(compare(before, later(), MINUTE)) == {"in_octets": 3000}
    before = reading(counter_bits=32)
    after = later(counter_bits=32, high_speed_mbps=mbps)
    assert numbers(compare(before, after, MINUTE)) == {}


def test_more_than_the_line_can_carry_is_not_believed() -> None:
    before = reading(counter_bits=32, in_octets=2000)
    after = later(counter_bits=32, in_octets=1000)  # 2^32 - 1000 octets in 60 s are 572 Mbit/s
    assert compare(before, after, MINUTE).in_octets is None


def test_a_change_of_counter_width_is_a_new_beginning_for_octets_alone() -> None:
    before = reading(counter_bits=32, in_packets=1)
    assert numbers(compare(before, later(in_packets=2), MINUTE)) == {"in_errors": 2}


@pytest.mark.parametrize("elapsed_ns", [0, -1])
def test_readings_out_of_order_are_a_bug(elapsed_ns: int) -> None:
    with pytest.raises(ValueError, match="not later"):
        compare(reading(), later(), elapsed_ns)


@given(
    mbps=st.integers(1, 100_000),
    elapsed_s=st.integers(1, 86_400),
    start=st.integers(0, WORD - 1),
    load=st.floats(0, 1),
    uptime=st.integers(0, WORD - 1),
    bits=st.sampled_from([32, 64]),
)
def test_a_difference_that_is_given_is_what_was_carried(
    mbps: int, elapsed_s: int, start: int, load: float, uptime: int, bits: int
) -> None:
    carried = int(load * mbps * 125_000 * elapsed_s)
    word = WORD if bits == 32 else 2**64
    common: dict[str, Any] = {"high_speed_mbps": mbps, "counter_bits": bits}
    before = reading(sys_uptime_cs=uptime, in_octets=start, **common)
    after = reading(
        sys_uptime_cs=(uptime + elapsed_s * 100) % WORD,
        in_octets=(start + carried) % word,
        **common,
    )
    found = compare(before, after, elapsed_s * SECOND).in_octets
    assert found in (carried, None)
    if bits == 64:
        assert found == carried


@given(
    uptime=st.integers(0, WORD - 1),
    elapsed_s=st.integers(10, 40 * 86_400),
    since=st.floats(0, 1),
)
def test_a_restart_is_never_taken_for_the_same_run_unless_time_fits(
    uptime: int, elapsed_s: int, since: float
) -> None:
    now_cs = int(since * elapsed_s * 100)
    run = compare(
        reading(sys_uptime_cs=uptime), reading(sys_uptime_cs=now_cs), elapsed_s * SECOND
    ).run
    fits = (now_cs - uptime - elapsed_s * 100) % WORD
    slack = 500 + elapsed_s // 10
    if min(fits, WORD - fits) > slack:
        assert run is Run.RESTARTED
