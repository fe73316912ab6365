"""A box proves itself, and which end of a test is at fault."""

from typing import Any

import pytest

from agent.throughput import fitness, outcomes
from runtime.load import host
from runtime.load.host import Busy, Nic
from tests.throughput_kit import CLOCK
from wire.slot import MAX_BITS_PER_S, Direction
from wire.transfer import Box, Flow, TransferOutcome

MS = 1_000_000
LO = Nic("lo", None, None)


def test_a_box_must_carry_a_fifth_more_than_the_cir() -> None:
    assert fitness.asked(100_000_000, 50_000_000) == 120_000_000
    assert fitness.asked(None, 50_000_000) == 50_000_000
    assert fitness.asked(MAX_BITS_PER_S, 1) == MAX_BITS_PER_S


def test_what_is_offered_over_loopback_is_carried() -> None:
    box = fitness.prove(CLOCK, 4_000_000, 0.3, LO)
    assert box.selftest_bits_per_s == pytest.approx(4_000_000, rel=0.1)
    assert box.selftest_offered_bits_per_s == 4_000_000
    assert box.fit == (box.selftest_bits_per_s >= 0.99 * 4_000_000)


@pytest.mark.parametrize(
    ("nic", "note"),
    [
        (Nic("eth0", 10, True), "eth0 runs at 10 Mbit/s"),
        (Nic("eth0", 1000, False), "eth0 is half duplex"),
        (LO, "no self-test was asked for"),
    ],
)
def test_a_box_that_cannot_says_why(nic: Nic, note: str) -> None:
    box = fitness.prove(CLOCK, 12_000_000, 0.0, nic)
    assert not box.fit
    assert note in box.note


def test_a_box_that_cannot_even_try_is_not_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any) -> int:
        raise OSError("no sockets")

    monkeypatch.setattr(fitness, "carried", broken)
    box = fitness.prove(CLOCK, 1_000_000, 0.1, LO)
    assert (box.fit, box.selftest_bits_per_s) == (False, None)
    assert box.note == "no self-test: no sockets"


NOTHING: dict[str, Any] = {"flows": (), "sent": 1000, "unsent": 0, "dropped": 0}


@pytest.mark.parametrize(
    ("changes", "sender", "receiver"),
    [
        ({}, False, False),
        ({"unsent": 10}, False, False),
        ({"unsent": 12}, True, False),
        ({"dropped": 1}, False, False),
        ({"dropped": 2}, False, True),
        ({"flows": (Flow(busy_ns=100 * MS, sndbuf_limited_ns=10 * MS),)}, False, False),
        ({"flows": (Flow(busy_ns=100 * MS, sndbuf_limited_ns=11 * MS),)}, True, False),
        ({"flows": (Flow(busy_ns=100 * MS, rwnd_limited_ns=11 * MS),)}, False, True),
        ({"flows": (Flow(),), "sent": None, "unsent": None, "dropped": None}, False, False),
    ],
)
def test_whose_fault_it_is(changes: dict[str, Any], sender: bool, receiver: bool) -> None:
    told = outcomes.fault(**{**NOTHING, **changes})
    assert (bool(told[0]), bool(told[1])) == (sender, receiver)


@pytest.mark.parametrize(
    ("direction", "fit", "sender", "receiver", "outcome"),
    [
        (Direction.UP, True, "", "", TransferOutcome.DONE),
        (Direction.UP, True, "late", "", TransferOutcome.UNFIT),
        (Direction.UP, True, "", "full", TransferOutcome.HUB_UNFIT),
        (Direction.DOWN, True, "late", "", TransferOutcome.HUB_UNFIT),
        (Direction.DOWN, True, "", "full", TransferOutcome.UNFIT),
        (Direction.DOWN, False, "late", "", TransferOutcome.UNFIT),
    ],
)
def test_only_a_test_without_fault_is_done(
    direction: Direction, fit: bool, sender: str, receiver: str, outcome: TransferOutcome
) -> None:
    assert outcomes.judged(direction, Box(fit=fit), sender, receiver)[0] is outcome


def test_the_machine_says_how_busy_it_is_and_where_the_way_leads() -> None:
    assert host.interface_to(2, "127.0.0.1") == "lo"
    assert host.nic("lo") == Nic("lo", None, None)
    assert host.nic("../../etc").speed_mbps is None
    before = host.busy("lo")
    assert before.total >= before.busy > 0
    assert host.cpu_ratio(Busy(10, 100, 0, 0), Busy(60, 200, 0, 0)) == 0.5
    assert host.cpu_ratio(before, before) is None
