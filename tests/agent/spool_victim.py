"""A process of its own for what must not happen to the test runner.

`kill SEED ROUNDS FOLDER`: forks an agent's disk work again and again and ends it with SIGKILL.
The others take a FOLDER and a disk that refuses; some mount, in a private namespace.
Each prints one line of JSON for the test to judge.
"""

import json
import os
import random
import resource
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from agent.spool import Spool, SpoolFull, SpoolUnavailable
from runtime.clock import SECOND
from runtime.testing import FakeClock
from tests.agent.spool_kit import Hub, begin, begun, opened, receipt_for, train
from wire.instant import ClockClass

ROWS = 3
KILLING_S = 60.0


class Outside:
    """What outlives the victim: the hub's memory, as a file that is only appended to."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def take(self, data: bytes) -> None:
        with open(self.path, "ab") as file:
            file.write(struct.pack(">I", len(data)) + data)

    def replay(self, hub: Hub) -> None:
        data = self.path.read_bytes() if self.path.exists() else b""
        at = 0
        while at + 4 <= len(data):
            (size,) = struct.unpack_from(">I", data, at)
            if at + 4 + size > len(data):
                # Cut while it was written, so nothing was acknowledged.
                os.truncate(self.path, at)
                return
            hub.take(data[at + 4 : at + 4 + size])
            at += 4 + size


def live(folder: Path, outside: Outside, first: int, epoch: int, told: int) -> None:
    """Be an agent until killed, telling each durable append through the pipe."""
    chance = random.Random(first)
    clock = FakeClock()
    spool = begun(folder, clock, epoch, retain_s=1e-6)
    seq = first
    while True:
        settled = [train(clock, seq + k * ROWS, ROWS) for k in range(2)]
        unfinished = [train(clock, seq + 2 * ROWS, ROWS)]
        clock.advance(SECOND)
        spool.append(settled, unfinished)
        seq += 2 * ROWS
        # What was unfinished is durable too.
        os.write(told, struct.pack(">Q", seq + ROWS))
        if chance.random() < 0.2:
            spool.seal(ClockClass.A)
        if chance.random() < 0.15:
            batch = spool.fresh(60 * SECOND) if chance.random() < 0.5 else spool.oldest()
            if batch is not None:
                outside.take(batch.data)
                assert spool.acknowledge(*receipt_for(batch))
        if chance.random() < 0.05:
            spool.tidy()


def one_life(folder: Path, outside: Outside, first: int, epoch: int, wait_s: float) -> int:
    """Kill one victim after `wait_s`; the first sequence number that was not told durable."""
    reading, told = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        try:
            live(folder, outside, first, epoch, told)
        finally:
            os._exit(3)
    os.close(told)
    time.sleep(wait_s)
    os.kill(child, signal.SIGKILL)
    heard = b""
    while block := os.read(reading, 65536):
        heard += block
    os.close(reading)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status), "the victim ended by itself"
    whole = len(heard) // 8 * 8
    return struct.unpack(">Q", heard[whole - 8 : whole])[0] if whole else first


def kill(seed: str, rounds: str, place: str) -> dict[str, object]:
    """So many rounds, or what fits into KILLING_S on a slow disk: a life is 15 flushes."""
    chance = random.Random(int(seed))
    until_s = time.monotonic() + KILLING_S
    folder, first = Path(place), 0
    outside = Outside(folder / "ledger")
    promised: set[int] = set()
    possible = 0
    gaps: list[str] = []
    number, longest_s = 0, 0.03
    while number < int(rounds) or possible < int(rounds) // 2:
        if time.monotonic() > until_s:
            break
        number += 1
        if 2 * possible < number:
            longest_s *= 1.2  # a slow disk needs longer lives for anything to be told durable
        durable = one_life(folder, outside, first, number, chance.uniform(0.0, longest_s))
        promised |= set(range(first, durable))
        possible += durable > first
        first = durable + 3 * ROWS
        if chance.random() < 0.5:
            gaps += settle(folder, outside, 100_000 + number)
    gaps += settle(folder, outside, 200_000)
    hub = Hub()
    outside.replay(hub)
    hub.check_chain()
    return {
        "rounds": number,
        "rounds_with_appends": possible,
        "promised": len(promised),
        "missing": sorted(promised - set(hub.observations))[:20],
        "twice": sorted(seq for seq, count in hub.observations.items() if count > 1)[:20],
        "unasked": len(set(hub.observations) - promised),
        "gaps": gaps,
    }


def settle(folder: Path, outside: Outside, epoch: int) -> list[str]:
    """Open what the victim left and hand all of it over."""
    clock = FakeClock()
    spool = begun(folder, clock, epoch, retain_s=1e-6)
    while (batch := spool.oldest()) is not None:
        outside.take(batch.data)
        assert spool.acknowledge(*receipt_for(batch))
    gaps = [gap.detail for gap in spool.recovery.gaps]
    spool.close()
    return gaps


def mounted(place: str, size: str) -> Path:
    folder = Path(place) / "disk"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder], check=True)
    return folder


def verdict(spool: Spool, hub: Hub, made: int, **more: object) -> dict[str, object]:
    """Hand over what is there and compare with what was made."""
    hub.drain(spool)
    spool.seal(ClockClass.A)
    hub.drain(spool)
    return {
        "made": made,
        "present": len(hub.observations),
        "listed": hub.listed(),
        "once": hub.once,
        "recovered": [gap.detail for gap in spool.recovery.gaps],
        "dropped": spool.status().dropped_observations,
        **more,
    }


def full(place: str) -> dict[str, object]:
    """delivery.md section 3: a spool on 4 MB, filled five times over."""
    folder = mounted(place, "4m")
    clock, hub = FakeClock(), Hub()
    spool = opened(folder, clock, ballast_bytes=1_575_000)
    begin(spool, clock, 1)
    made = refused = 0
    reserve = 1_575_000
    for turn in range(3000):
        clock.advance(10 * SECOND)
        try:
            spool.append([train(clock, made, 300)])
            made += 300
        except SpoolFull:
            refused += 1
        if turn % 6 == 5:
            spool.seal(ClockClass.A)
            spool.tidy()
            reserve = min(reserve, (folder / "spool.db.ballast").stat().st_size)
        if turn == 1500:
            # Somebody else takes all that is left.
            with open(folder / "other", "wb", buffering=0) as other:
                fill(other.write)
        if turn % 400 == 399:
            spool.close()
            spool = begun(folder, clock, 1 + turn, ballast_bytes=1_575_000)
    return verdict(spool, hub, made, refused=refused, reserve=reserve)


def fill(write: Callable[[bytes], int | None]) -> None:
    try:
        while write(bytes(4096)):
            pass
    except OSError:
        return


def crowded(place: str) -> dict[str, object]:
    """A disk that others filled to the last byte before the spool held anything."""
    folder = mounted(place, "4m")
    clock, hub = FakeClock(), Hub()
    spool = begun(folder, clock, 1, ballast_bytes=1_575_000)
    with open(folder / "other", "wb", buffering=0) as other:
        fill(other.write)
    made, refused = 0, 0
    for turn in range(400):
        clock.advance(10 * SECOND)
        try:
            spool.append([train(clock, made, 100)])
            made += 100
        except SpoolFull:
            refused += 1
        if turn % 6 == 5:
            try:
                spool.seal(ClockClass.A)
            except SpoolFull:
                refused += 1
    (folder / "other").unlink()
    spool.append([train(clock, made, 100)])
    return verdict(spool, hub, made + 100, refused=refused)


def readonly(place: str) -> dict[str, object]:
    folder = mounted(place, "8m")
    clock, hub = FakeClock(), Hub()
    spool = begun(folder, clock)
    spool.append([train(clock, 0, 10)])
    remount = ["mount", "-o", "remount,ro", str(folder)]
    # A remount is refused while a file is open for writing, so it comes between two opens.
    spool.close()
    subprocess.run(remount, check=True)
    failures = []
    for act in (
        lambda: spool.append([train(clock, 10, 10)]),
        lambda: spool.seal(ClockClass.A),
        lambda: opened(folder, clock),
    ):
        try:
            act()
        except SpoolUnavailable as error:
            failures.append(str(error))
    subprocess.run(["mount", "-o", "remount,rw", folder], check=True)
    spool.append([train(clock, 10, 10)])
    return verdict(spool, hub, 20, failures=failures, files=sorted(os.listdir(folder)))


def limits(place: str) -> dict[str, object]:
    """EFBIG on write, then no file descriptors left, then both gone again."""
    folder, clock, hub = Path(place), FakeClock(), Hub()
    spool = begun(folder, clock)
    failures, made, retried = [], 0, 0
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    for turn in range(60):
        limited = turn % 3 == 1
        if limited:
            size = (folder / "spool.db-wal").stat().st_size
            resource.setrlimit(resource.RLIMIT_FSIZE, (size + 4096 * (turn % 5), hard))
        records = [train(clock, made, 50)]
        try:
            spool.append(records)
        except SpoolUnavailable as error:
            failures.append(str(error))
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
            retried += 1
            spool.append(records)
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        made += 50
    spool.close()
    held = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, held[1]))
    try:
        spool.append([train(clock, made, 50)])
        descriptors = ""
    except SpoolUnavailable as error:
        descriptors = str(error)
    resource.setrlimit(resource.RLIMIT_NOFILE, held)
    spool.append([train(clock, made, 50)])
    files = sorted(os.listdir(folder))
    more = {"failures": failures, "descriptors": descriptors, "files": files, "retried": retried}
    return verdict(spool, hub, made + 50, **more)


def stranger(place: str) -> dict[str, object]:
    """Root's file in a folder that is ours: renamed, and the agent starts."""
    folder, clock, hub = Path(place), FakeClock(), Hub()
    spool = begun(folder, clock)
    spool.append([train(clock, 0, 10)])
    spool.close()
    os.chmod(folder / "spool.db", 0o600)
    for path in (folder, folder / "spool.db.ballast"):
        os.chown(path, 65534, 65534)
    os.setgid(65534)
    os.setuid(65534)
    spool = begun(folder, clock, 2)
    return verdict(spool, hub, 10, files=sorted(os.listdir(folder)))


COMMANDS: dict[str, Callable[..., dict[str, object]]] = {
    "kill": kill,
    "full": full,
    "crowded": crowded,
    "readonly": readonly,
    "limits": limits,
    "stranger": stranger,
}

if __name__ == "__main__":
    print(json.dumps(COMMANDS[sys.argv[1]](*sys.argv[2:])))
