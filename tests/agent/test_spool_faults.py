"""The spool on disks that refuse, and under SIGKILL: each in a process of its own."""

import json
import os
import random
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest

from agent.spool import Spool, SpoolFull
from runtime.clock import SECOND
from runtime.testing import FakeClock
from tests.agent.spool_kit import Hub, begun, epoch_of, train
from wire.errors import Refusal
from wire.instant import ClockClass
from wire.journal import ClockStep, Gap, GapReason, Start, Stop

KILLS = 200
MIB = 1024 * 1024
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root to mount a small tmpfs")


def victim(*words: str, private: bool = False) -> dict[str, Any]:
    command = [sys.executable, "-m", "tests.agent.spool_victim", *words]
    if private:
        command = ["unshare", "--mount", "--propagation", "private", *command]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=120, cwd=Path(__file__).parents[2]
    )
    assert done.returncode == 0, done.stderr[-3000:]
    print(done.stdout, done.stderr[-1000:])
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def test_sigkill_at_any_instant_takes_nothing_that_was_promised(tmp_path: Path) -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    told = victim("kill", str(seed), str(KILLS), str(tmp_path))
    # 200, or what a slow disk bears in a minute.
    assert told["rounds"] >= 10
    assert told["rounds_with_appends"] >= told["rounds"] // 8
    assert told["promised"] > 2 * told["rounds"]
    assert (told["missing"], told["twice"], told["gaps"]) == ([], [], [])


@needs_root
def test_on_a_full_disk_what_is_present_and_what_is_listed_is_all_that_was_made(
    tmp_path: Path,
) -> None:
    told = victim("full", str(tmp_path), private=True)
    assert told["made"] > 500_000
    assert told["present"] + told["listed"] == told["made"]
    assert told["listed"] == told["dropped"] > 100_000
    assert told["once"]
    assert told["refused"] == 0
    assert told["reserve"] >= 525_000
    assert told["recovered"] == []


@needs_root
def test_a_disk_that_others_filled_still_takes_hours_of_evidence(tmp_path: Path) -> None:
    told = victim("crowded", str(tmp_path), private=True)
    assert told["present"] + told["listed"] == told["made"]
    assert told["made"] > 20_000
    assert told["once"]


@needs_root
def test_a_read_only_disk_is_said_clearly_and_works_again_when_writable(tmp_path: Path) -> None:
    told = victim("readonly", str(tmp_path), private=True)
    assert len(told["failures"]) == 3
    assert all("its folder cannot be written" in failure for failure in told["failures"])
    assert (told["present"], told["listed"], told["once"]) == (20, 0, True)
    assert not [name for name in told["files"] if "corrupt" in name]


def test_file_size_and_descriptor_limits_lose_and_double_nothing(tmp_path: Path) -> None:
    told = victim("limits", str(tmp_path))
    assert told["retried"] >= 5
    assert "unable to open" in told["descriptors"]
    assert (told["present"], told["once"], told["recovered"]) == (told["made"], True, [])
    assert not [name for name in told["files"] if "corrupt" in name]


@needs_root
def test_a_file_of_the_wrong_owner_is_put_aside_and_the_loss_listed() -> None:
    # Not below pytest's own folder, which only root may enter.
    with tempfile.TemporaryDirectory() as folder:
        told = victim("stranger", folder)
    assert told["recovered"] == ["not ours to read and write; 0 batches saved"]
    assert "spool.db.corrupt-1" in told["files"]


def make(folder: Path, clock: FakeClock, count: int, **changes: Any) -> tuple[Spool, int]:
    """A spool that was given `count` batches of 300 observations."""
    spool = begun(folder, clock, cap_bytes=MIB, **changes)
    for k in range(count):
        clock.advance(60 * SECOND)
        spool.append([train(clock, 300 * k, 300)])
        spool.seal(ClockClass.A)
    return spool, 300 * count


def test_the_cap_holds_and_what_it_costs_is_listed(tmp_path: Path) -> None:
    clock, hub = FakeClock(), Hub()
    spool, made = make(tmp_path, clock, 900)
    assert spool.status().bytes_used <= MIB
    assert (tmp_path / "spool.db").stat().st_size <= 1.1 * MIB
    assert (tmp_path / "spool.db-wal").stat().st_size <= MIB
    hub.drain(spool)
    spool.seal(ClockClass.A)
    hub.drain(spool)
    assert hub.once
    assert len(hub.observations) + hub.listed() == made
    assert hub.listed() == spool.status().dropped_observations > 0
    # The oldest went, and neighbouring losses are one line in each batch.
    assert min(seq for _, seq in hub.batches) > 0
    assert max(batch.header.records for batch in hub.batches.values()) < 10
    assert {gap.epoch for gap in hub.gaps} == {epoch_of(1).hex()}
    spool.close()


def test_batches_with_a_receipt_go_first_and_leave_no_gap(tmp_path: Path) -> None:
    clock, hub = FakeClock(), Hub()
    spool, _ = make(tmp_path, clock, 150)
    assert spool.status().dropped_observations == 0
    hub.drain(spool)
    for k in range(150, 300):
        spool.append([train(clock, 300 * k, 300)])
        spool.seal(ClockClass.A)
    assert spool.status().bytes_used <= MIB
    assert spool.status().dropped_observations == 0
    hub.drain(spool)
    assert (len(hub.observations), hub.gaps) == (90_000, [])
    spool.close()


def test_refused_batches_go_before_those_that_wait(tmp_path: Path) -> None:
    clock, hub = FakeClock(), Hub()
    spool, _ = make(tmp_path, clock, 150)
    for seq in range(100, 110):
        spool.set_aside(epoch_of(1), seq, Refusal.BAD_BODY)
    turn = 150
    while spool.status().dropped_observations == 0:
        spool.append([train(clock, 300 * turn, 300)])
        spool.seal(ClockClass.A)
        turn += 1
    spool.seal(ClockClass.A)
    hub.drain(spool)
    assert {gap.reason for gap in hub.gaps} == {GapReason.REFUSED}
    assert hub.gaps[0].first_seq == 100
    assert (epoch_of(1), 0) in hub.batches
    spool.close()


def test_the_journal_of_a_dropped_batch_goes_on(tmp_path: Path) -> None:
    clock, hub = FakeClock(), Hub()
    spool = begun(tmp_path, clock, cap_bytes=MIB)
    now: dict[str, Any] = {"boot_ns": clock.boot_ns(), "wall_ns": clock.wall_ns()}
    start = Start(**now, boot_id="b", agent_version="1", settings_digest="0" * 64)
    step = ClockStep(**now, step_ns=77)
    stall = Gap(**now, reason=GapReason.STALLED, target="t", first_seq=1, last_seq=2, count=2)
    spool.append([start, step, stall, train(clock, 0)])
    spool.seal(ClockClass.A)
    turn = 1
    while spool.status().dropped_observations == 0:
        spool.append([train(clock, 300 * turn, 300)])
        spool.seal(ClockClass.A)
        turn += 1
    spool.seal(ClockClass.A)
    hub.drain(spool)
    assert (epoch_of(1), 0) not in hub.batches
    for record in (start, step, stall):
        assert hub.journal.count(record) == 1
    spool.close()


def test_a_former_epochs_journal_goes_on_as_words_of_the_gap(tmp_path: Path) -> None:
    clock, hub = FakeClock(), Hub()
    spool = begun(tmp_path, clock, cap_bytes=MIB)
    now: dict[str, Any] = {"boot_ns": clock.boot_ns(), "wall_ns": clock.wall_ns()}
    stall = Gap(**now, reason=GapReason.STALLED, target="t", first_seq=1, last_seq=2, count=2)
    spool.append([stall, Stop(**now, reason="asked"), train(clock, 0)])
    spool.seal(ClockClass.A)
    spool.close()
    clock.reboot(boot_id="c1" * 16, off_ns=SECOND)
    spool = begun(tmp_path, clock, 2, cap_bytes=MIB)
    turn = 1
    while spool.status().dropped_observations == 0:
        clock.advance(SECOND)
        spool.append([train(clock, 300 * turn, 300)])
        spool.seal(ClockClass.A)
        turn += 1
    spool.seal(ClockClass.A)
    hub.drain(spool)
    kept = {gap.reason: gap for gap in hub.gaps if gap.epoch == epoch_of(1).hex()}
    assert kept[GapReason.STALLED].boot_ns == clock.boot_ns()
    assert f"stop at {now['wall_ns']}" in kept[GapReason.SPOOL_FULL].detail
    assert not any(isinstance(record, Stop) for record in hub.journal)
    spool.close()


def test_space_is_given_back_after_a_backlog(tmp_path: Path) -> None:
    clock = FakeClock()
    spool = begun(tmp_path, clock, retain_share=0.0)
    for k in range(250):
        spool.append([train(clock, 4096 * k, 4096)])
        spool.seal(ClockClass.A)
    big = (tmp_path / "spool.db").stat().st_size
    Hub().drain(spool)
    for _ in range(20):
        spool.tidy()
    spool.stop()
    assert (tmp_path / "spool.db").stat().st_size < big / 1.5
    spool.close()


def test_a_full_spool_says_so_by_name() -> None:
    assert issubclass(SpoolFull, RuntimeError)
