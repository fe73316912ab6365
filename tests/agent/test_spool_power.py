"""Power cuts and failing syncs, by a VFS that records what SQLite asks of the disk.

A state after a power cut is what was synced, plus any part of what was not: each write since the
file's last sync is lost, kept, or torn at sectors of 512 bytes, in any order.
"""

import gc
import random
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import apsw
import pytest

from agent.spool import SpoolUnavailable
from runtime.clock import SECOND
from runtime.testing import FakeClock
from tests.agent.spool_kit import Hub, begin, begun, opened, receipt_for, train
from wire.instant import ClockClass

SECTOR = 512
STATES = 400


@dataclass
class Event:
    """One request to the disk: a write, a truncation, a sync, or a deletion."""

    name: str
    kind: str
    offset: int = 0
    data: bytes = b""


@dataclass
class Tape:
    """What SQLite asked, in order; and what the disk shall refuse."""

    events: list[Event] = field(default_factory=list)
    fail_sync: bool = False
    fail_write: bool = False


class RecordingFile(apsw.VFSFile):
    def __init__(self, name: Any, flags: list[int], tape: Tape) -> None:
        super().__init__("unix", name, flags)
        self._name = Path(name.filename() if isinstance(name, apsw.URIFilename) else name).name
        self._tape = tape

    def xWrite(self, data: bytes, offset: int) -> None:
        if self._tape.fail_write:
            raise apsw.IOError("the disk refuses to write")
        super().xWrite(data, offset)
        self._tape.events.append(Event(self._name, "write", offset, bytes(data)))

    def xTruncate(self, size: int) -> None:
        super().xTruncate(size)
        self._tape.events.append(Event(self._name, "truncate", size))

    def xSync(self, flags: int) -> None:
        if self._tape.fail_sync:
            raise apsw.IOError("the disk refuses to sync")
        super().xSync(flags)
        self._tape.events.append(Event(self._name, "sync"))


class RecordingVFS(apsw.VFS):
    def __init__(self, tape: Tape) -> None:
        self._tape = tape
        super().__init__("recording", "unix", makedefault=True)

    def xOpen(self, name: Any, flags: list[int]) -> RecordingFile:
        return RecordingFile(name, flags, self._tape)

    def xDelete(self, name: str, sync: bool) -> None:
        super().xDelete(name, sync)
        self._tape.events.append(Event(Path(name).name, "delete"))


@pytest.fixture
def tape() -> Iterator[Tape]:
    tape = Tape()
    vfs = RecordingVFS(tape)
    yield tape
    # A file that is still open would ask this VFS for more when it is closed.
    gc.collect()
    vfs.unregister()


Disk = dict[str, bytearray]


def apply(disk: Disk, event: Event) -> None:
    content = disk.setdefault(event.name, bytearray())
    if event.kind == "truncate":
        del content[event.offset :]
        return
    if len(content) < event.offset:
        content.extend(bytes(event.offset - len(content)))
    content[event.offset : event.offset + len(event.data)] = event.data


def torn(event: Event, chance: random.Random) -> list[Event]:
    """What of one unsynced request reached the disk."""
    fate = chance.random()
    if fate < 0.3:
        return []
    if fate < 0.6 or event.kind != "write":
        return [event]
    sectors = []
    for at in range(0, len(event.data), SECTOR):
        if chance.random() < 0.5:
            piece = event.data[at : at + SECTOR]
            sectors.append(Event(event.name, "write", event.offset + at, piece))
    return sectors


def cut(before: Disk, events: list[Event], chance: random.Random) -> Disk:
    """The disk after the power went away behind the last of `events`."""
    disk = {name: bytearray(content) for name, content in before.items()}
    pending: dict[str, list[Event]] = {}
    for event in events:
        if event.kind == "sync":
            for done in pending.pop(event.name, []):
                apply(disk, done)
        elif event.kind == "delete":
            disk.pop(event.name, None)
            pending.pop(event.name, None)
        else:
            pending.setdefault(event.name, []).append(event)
    for waiting in pending.values():
        survivors = [piece for event in waiting for piece in torn(event, chance)]
        chance.shuffle(survivors)
        for piece in survivors:
            apply(disk, piece)
    return disk


@dataclass
class Life:
    """A life that was recorded: what was promised by when, and what the hub had by when."""

    before: Disk
    promises: list[tuple[int, int]] = field(default_factory=list)
    """(events so far, observations promised so far)"""
    handed: list[tuple[int, bytes]] = field(default_factory=list)
    """(events so far, batch taken by the hub), before its receipt came back"""


def recorded(folder: Path, tape: Tape, chance: random.Random) -> Life:
    clock = FakeClock()
    spool = begun(folder, clock, retain_s=1e-6)
    spool.stop()
    tape.events.clear()
    life = Life({"spool.db": bytearray((folder / "spool.db").read_bytes())})
    made = 0
    for turn in range(160):
        settled, unfinished = train(clock, made, 5), train(clock, made + 5, 5)
        clock.advance(10 * SECOND)
        spool.append([settled], [unfinished])
        made += 5
        life.promises.append((len(tape.events), made + 5))
        if turn % 4 == 3:
            spool.seal(ClockClass.A)
        if chance.random() < 0.3 and (batch := spool.oldest()) is not None:
            life.handed.append((len(tape.events), batch.data))
            spool.acknowledge(*receipt_for(batch, turn))
        if chance.random() < 0.1:
            spool.tidy()
        if turn == 80:
            # The last of one life and the first of the next have no other cover.
            spool.stop()
            spool.close()
            spool = begun(folder, clock, 2, retain_s=1e-6)
            made += 5
    spool.close()
    return life


def test_a_power_cut_takes_nothing_that_was_promised(tmp_path: Path, tape: Tape) -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    life = recorded(tmp_path, tape, chance)
    events = list(tape.events)
    assert sum(event.kind == "sync" for event in events) > 160
    unclean = 0
    for number in range(STATES):
        at = chance.randrange(len(events) + 1)
        folder = tmp_path / f"state-{number}"
        folder.mkdir()
        (folder / "spool.db.ballast").touch()
        for name, content in cut(life.before, events[:at], chance).items():
            (folder / name).write_bytes(content)
        unclean += check(folder, life, at)
        shutil.rmtree(folder)
    assert unclean > STATES / 2


def check(folder: Path, life: Life, at: int) -> bool:
    clock, hub = FakeClock(boot_ns=10_000 * SECOND), Hub()
    for when, data in life.handed:
        if when <= at:
            hub.take(data)
    spool = opened(folder, clock)
    assert spool.recovery.gaps == [], "a power cut is not damage"
    unclean = spool.recovery.previous_clean is False
    begin(spool, clock, 3)
    hub.drain(spool)
    spool.close()
    promised = max((count for when, count in life.promises if when <= at), default=0)
    assert set(range(promised)) <= set(hub.observations)
    assert hub.once
    hub.check_chain()
    return unclean


def test_the_simulation_can_lose_data(tmp_path: Path, tape: Tape) -> None:
    """With the syncs taken off the tape the same states must fail, or the test above is blind."""
    chance = random.Random(7)
    life = recorded(tmp_path, tape, chance)
    events = [event for event in tape.events if event.kind != "sync"]
    lost = 0
    for number in range(20):
        folder = tmp_path / f"state-{number}"
        folder.mkdir()
        for name, content in cut(life.before, events, chance).items():
            (folder / name).write_bytes(content)
        clock, hub = FakeClock(boot_ns=10_000 * SECOND), Hub()
        spool = begun(folder, clock, 3)
        hub.drain(spool)
        spool.close()
        lost += len(hub.observations) < life.promises[-1][1]
    assert lost == 20


@pytest.mark.parametrize("what", ["fail_sync", "fail_write"])
def test_a_failing_disk_is_reported_and_a_retry_doubles_nothing(
    tmp_path: Path, tape: Tape, what: str
) -> None:
    clock, hub, made = FakeClock(), Hub(), 0
    doubtful: set[int] = set()
    spool = begun(tmp_path, clock)
    for turn in range(40):
        records, unfinished = [train(clock, made, 5)], [train(clock, made + 5, 5)]
        clock.advance(SECOND)
        setattr(tape, what, turn % 3 == 1)
        if turn % 3 == 1:
            for _ in range(2):
                with pytest.raises(SpoolUnavailable, match="refuses"):
                    spool.append(records, unfinished)
            if turn % 2:
                setattr(tape, what, False)
                spool.seal(ClockClass.A)
            if turn % 4 == 1:
                # It dies here, whatever the disk has of that append.
                spool.close()
                setattr(tape, what, False)
                spool = begun(tmp_path, clock, 100 + turn)
                doubtful |= set(range(made + 5, made + 10))
                made += 10
                continue
        setattr(tape, what, False)
        spool.append(records, unfinished)
        made += 5
    spool.append([train(clock, made, 5)], [])
    made += 5
    clock.advance(SECOND)
    spool.seal(ClockClass.A)
    hub.drain(spool)
    assert hub.once and set(range(made)) - set(hub.observations) <= doubtful
    assert spool.recovery.gaps == []
    hub.check_chain()
    spool.close()


@pytest.mark.parametrize("what", ["fail_sync", "fail_write"])
def test_no_batch_and_no_receipt_advances_on_a_failing_disk(
    tmp_path: Path, tape: Tape, what: str
) -> None:
    clock, hub = FakeClock(), Hub()
    spool = begun(tmp_path, clock)
    spool.append([train(clock, 0)])
    setattr(tape, what, True)
    with pytest.raises(SpoolUnavailable):
        spool.seal(ClockClass.A)
    setattr(tape, what, False)
    spool.seal(ClockClass.A)
    batch = spool.oldest()
    assert batch is not None and batch.seq == 0
    setattr(tape, what, True)
    with pytest.raises(SpoolUnavailable):
        spool.acknowledge(*receipt_for(batch))
    setattr(tape, what, False)
    assert spool.acknowledge(*hub.take(batch.data))
    assert spool.oldest() is None
    spool.close()


def test_beginning_on_a_failing_disk_can_be_tried_again(tmp_path: Path, tape: Tape) -> None:
    clock, hub = FakeClock(), Hub()
    spool = begun(tmp_path, clock)
    spool.append([train(clock, 0)])
    spool.close()
    spool = opened(tmp_path, clock)
    tape.fail_sync = True
    for _ in range(2):
        with pytest.raises(SpoolUnavailable):
            begin(spool, clock, 2)
    tape.fail_sync = False
    begin(spool, clock, 2)
    spool.append([train(clock, 10)])
    spool.seal(ClockClass.A)
    hub.drain(spool)
    hub.check_chain()
    assert hub.once and len(hub.observations) == 20
    spool.close()
