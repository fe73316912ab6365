"""A box whose clock begins in 1970: its evidence is taken, and placed by the hub's clock."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from collector.ledger import PlacedBy, Placement
from collector.ledger.sqlite import SqliteLedger
from runtime.lab.compiler import compiler
from tests.endtoend.wrongclock import WrongClock
from wire.codec import Record, decode_body
from wire.instant import ClockClass
from wire.journal import ClockStep, Heartbeat
from wire.observation import Outcome, StampSource, Train

pytestmark = pytest.mark.skipif(compiler() is None, reason="needs a C compiler: gcc, libc6-dev")


class Reading:
    """What the ledger holds of times."""

    def __init__(self, file: Path) -> None:
        self.trains: list[tuple[float, float, Train]] = []
        """(placed start, error, train), seconds."""
        self.classes: set[ClockClass] = set()
        self.steps: list[ClockStep] = []
        self.placed_by: set[PlacedBy] = set()
        ledger = SqliteLedger(file)
        for agent in ledger.agents():
            for batch, placement in ledger.placed_batches(agent.agent_id):
                self.placed_by.add(placement.placed_by)
                for record in decode_body(batch.body, batch.header.raw_len):
                    self.take(record, placement)
        ledger.close()

    def take(self, record: Record, placement: Placement) -> None:
        if isinstance(record, Train):
            at = (record.boot_ns + placement.offset_ns) / 1e9
            self.trains.append((at, (placement.error_ns or 0) / 1e9, record))
        elif isinstance(record, Heartbeat):
            self.classes.add(record.clock)
        elif isinstance(record, ClockStep):
            self.steps.append(record)


def test_evidence_of_1970_is_placed_right_and_a_step_moves_nothing(
    make_system: Callable[..., Any], tmp_path: Path
) -> None:
    clock = WrongClock(tmp_path)
    clock.begin_at(10)

    def inside(argv: list[str]) -> list[str]:
        return ["env", *(f"{name}={value}" for name, value in clock.env.items()), *argv]

    system = make_system(timeout_s=2.0)
    system.start_collector()
    system.join(inside)
    began = time.time()
    system.start_agent(inside)
    time.sleep(6)
    # NTP at last: the wall clock jumps by half a century in the middle of the measuring.
    stepped = time.time()
    clock.right()
    time.sleep(6)
    assert system.metric("pantau_collector_batches_clock_untrusted_total") >= 0
    system.drain()
    ended = time.time()
    system.stop_collector()

    read = Reading(system.folder / "hub" / "ledger.db")
    assert read.placed_by == {PlacedBy.ANCHOR}, "the hub's clock places even what came before it"
    assert ClockClass.D in read.classes
    assert [round(step.step_ns / 1e9 / 86400 / 365.25) for step in read.steps] == [
        round(stepped / 86400 / 365.25)
    ]
    for at, error_s, train in read.trains:
        assert began - error_s - 0.1 < at < ended + error_s + 0.1
        assert error_s < 0.5
        for seen in train.observations():
            assert seen.outcome in (Outcome.OK, Outcome.ABORTED)
            assert seen.rtt_ns is None or 0 < seen.rtt_ns < 200_000_000
            assert seen.rtt_ns is None or seen.stamp is not StampSource.NONE
    proof = system.prove()
    assert (proof.repeats, proof.holes) == (0, 0)
    assert proof.observations > 80


def test_steps_of_an_hour_both_ways_move_no_round_trip_and_no_place(
    make_system: Callable[..., Any], tmp_path: Path
) -> None:
    clock = WrongClock(tmp_path)

    def inside(argv: list[str]) -> list[str]:
        return ["env", *(f"{name}={value}" for name, value in clock.env.items()), *argv]

    system = make_system(timeout_s=2.0)
    system.start_collector()
    system.join(inside)
    began = time.time()
    system.start_agent(inside)
    for shift_s in (0, 3600, 0, -3600):
        clock.shift(shift_s)
        time.sleep(4)
    system.drain()
    ended = time.time()
    system.stop_collector()

    read = Reading(system.folder / "hub" / "ledger.db")
    assert read.placed_by == {PlacedBy.ANCHOR}
    assert [round(step.step_ns / 1e9) for step in read.steps] == [3600, -3600, -3600]
    for at, error_s, train in read.trains:
        assert began - error_s - 0.1 < at < ended + error_s + 0.1
        assert all(
            seen.rtt_ns is None or 0 < seen.rtt_ns < 200_000_000 for seen in train.observations()
        )
    proof = system.prove()
    assert (proof.repeats, proof.holes) == (0, 0)
