"""A box whose clock begins in 1970: its evidence is taken, and placed by the hub's clock."""

import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from collector.ledger import PlacedBy, Placement
from collector.ledger.sqlite import SqliteLedger
from wire.codec import Record, decode_body
from wire.instant import ClockClass
from wire.journal import ClockStep, Heartbeat
from wire.observation import Outcome, StampSource, Train

FAKETIME = next(iter(Path("/usr/lib").glob("*/faketime/libfaketime.so.1")), None)
pytestmark = pytest.mark.skipif(
    FAKETIME is None or shutil.which("env") is None, reason="needs the Debian package libfaketime"
)


def faked(stamp_file: Path) -> Callable[[list[str]], list[str]]:
    """The wall clock is what the file says; boot and monotonic clocks stay true."""

    def inside(argv: list[str]) -> list[str]:
        return [
            "env",
            f"LD_PRELOAD={FAKETIME}",
            f"FAKETIME_TIMESTAMP_FILE={stamp_file}",
            "FAKETIME_NO_CACHE=1",
            "FAKETIME_DONT_FAKE_MONOTONIC=1",
            *argv,
        ]

    return inside


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
    stamp_file = tmp_path / "now"
    stamp_file.write_text("@1970-01-01 00:00:10\n")
    inside = faked(stamp_file)
    system = make_system(timeout_s=2.0)
    system.start_collector()
    system.join(inside)
    began = time.time()
    system.start_agent(inside)
    time.sleep(6)
    # NTP at last: the wall clock jumps by half a century in the middle of the measuring.
    stepped = time.time()
    stamp_file.write_text("+0s\n")
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
