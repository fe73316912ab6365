"""Spools that were damaged while the agent was down: it starts, and what is missing is listed."""

import os
import random
import shutil
from dataclasses import dataclass
from pathlib import Path

import apsw
import pytest

from agent.spool import SpoolUnavailable
from agent.spool.open import wal_commits
from runtime.clock import SECOND
from runtime.testing import FakeClock
from tests.agent.spool_kit import Hub, begin, begun, epoch_of, opened, receipt_for, train
from wire.errors import Refusal
from wire.instant import ClockClass
from wire.journal import Gap, GapReason

FLIPS = 120
CUTS = 150


@dataclass(frozen=True)
class Image:
    """The files of an agent that was killed, and what it had promised."""

    folder: Path
    promised: int
    handed: tuple[bytes, ...]
    commits: tuple[tuple[int, int], ...]
    """(bytes of the log, observations promised by then)"""
    last_boot_ns: int


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Image:
    folder = tmp_path_factory.mktemp("image")
    clock = FakeClock()
    spool = begun(folder, clock)
    handed, made, commits = [], 0, []
    for turn in range(46):
        clock.advance(10 * SECOND)
        spool.append([train(clock, made, 20)])
        made += 20
        commits.append(((folder / "spool.db-wal").stat().st_size, made))
        if turn % 3 == 2:
            spool.seal(ClockClass.A)
        if turn % 9 == 8:
            batch = spool.oldest()
            assert batch is not None
            handed.append(batch.data)
            spool.acknowledge(*receipt_for(batch))
        if turn == 20:
            # From here on the log is never cut, so its size tells what it holds.
            spool.stop()
            commits.clear()
    copy = tmp_path_factory.mktemp("killed")
    for name in os.listdir(folder):
        shutil.copy(folder / name, copy / name)
    spool.close()
    return Image(copy, made, tuple(handed), tuple(commits), clock.boot_ns())


@dataclass
class Found:
    """What came out of a damaged spool."""

    hub: Hub
    gaps: list[Gap]
    alive_boot_ns: int | None
    clean: bool | None


def reopened(folder: Path, image: Image) -> Found:
    """Start an agent on it, twice, and hand over everything."""
    clock = FakeClock(boot_ns=image.last_boot_ns + 100 * SECOND)
    hub = Hub()
    for data in image.handed:
        hub.take(data)
    spool = begun(folder, clock, 2)
    recovery = spool.recovery
    spool.append([train(clock, 10**6)])
    spool.close()
    spool = begun(folder, clock, 3)
    assert spool.recovery.gaps == [], "damage is found once"
    hub.drain(spool)
    spool.seal(ClockClass.A)
    hub.drain(spool)
    spool.close()
    assert set(range(10**6, 10**6 + 10)) <= set(hub.observations), "the agent works again"
    told = [gap.detail for gap in hub.gaps]
    assert all(gap.detail in told for gap in recovery.gaps), "a gap did not reach the hub"
    return Found(hub, recovery.gaps, recovery.previous_alive_boot_ns, recovery.previous_clean)


def copied(image: Image, tmp_path: Path, number: int = 0) -> Path:
    folder = tmp_path / f"copy-{number}"
    shutil.copytree(image.folder, folder)
    return folder


def missing(found: Found, image: Image) -> set[int]:
    return set(range(image.promised)) - set(found.hub.observations)


def test_an_undamaged_image_gives_everything(image: Image, tmp_path: Path) -> None:
    found = reopened(copied(image, tmp_path), image)
    assert (missing(found, image), found.gaps, found.hub.once) == (set(), [], True)
    found.hub.check_chain()


def test_any_flipped_bit_is_survived_and_what_it_cost_is_listed(
    image: Image, tmp_path: Path
) -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    cost = 0
    for number in range(FLIPS):
        folder = copied(image, tmp_path, number)
        path = folder / chance.choice(["spool.db", "spool.db-wal"])
        data = bytearray(path.read_bytes())
        at = chance.randrange(len(data) * 8)
        data[at // 8] ^= 1 << at % 8
        path.write_bytes(data)
        print(f"{number}: {path.name} bit {at}")
        found = reopened(folder, image)
        lost = missing(found, image)
        cost += bool(lost)
        # Either a gap says so, or the last sign of life is older than what is missing: the
        # next start record then says since when nothing is known.
        assert not lost or found.hub.gaps or silent_since(found, image, lost)
        assert found.hub.once or found.hub.gaps
        shutil.rmtree(folder)
    assert 0 < cost < FLIPS


def silent_since(found: Found, image: Image, lost: set[int]) -> bool:
    first_made_boot_ns = 100 * SECOND + (min(lost) // 20 + 1) * 10 * SECOND
    assert found.clean is False
    return found.alive_boot_ns is not None and found.alive_boot_ns < first_made_boot_ns


def test_a_log_cut_anywhere_costs_only_what_was_behind_the_cut(
    image: Image, tmp_path: Path
) -> None:
    size = (image.folder / "spool.db-wal").stat().st_size
    assert size > 100_000
    chance = random.Random(5)
    cuts = sorted({0, 1, 31, 32, size - 1, *chance.sample(range(0, size, 512), CUTS - 5)})
    for number, at in enumerate(cuts):
        folder = copied(image, tmp_path, number)
        os.truncate(folder / "spool.db-wal", at)
        found = reopened(folder, image)
        kept = max((made for end, made in image.commits if end <= at), default=0)
        assert set(range(kept)) <= set(found.hub.observations)
        lost = missing(found, image)
        assert not lost or silent_since(found, image, lost)
        shutil.rmtree(folder)


def test_a_log_damaged_in_its_middle_is_listed_and_its_places_are_not_used_again(
    image: Image, tmp_path: Path
) -> None:
    folder = copied(image, tmp_path)
    log = folder / "spool.db-wal"
    commits = wal_commits(log)
    with open(log, "r+b") as file:
        file.seek(32 + (commits[2] - 1) * 4120 + 2000)
        file.write(b"\xff" * 9)
    found = reopened(folder, image)
    (gap,) = found.gaps
    assert gap.reason is GapReason.CORRUPT
    assert gap.epoch == epoch_of(1).hex()
    assert gap.last_seq is not None and gap.first_seq is not None
    assert gap.last_seq - gap.first_seq + 1 == len(commits) - 2
    seqs = [seq for epoch, seq in found.hub.batches if epoch == epoch_of(1)]
    assert not set(range(gap.first_seq, gap.last_seq + 1)) & set(seqs)


def test_a_log_whose_header_is_broken_is_listed(image: Image, tmp_path: Path) -> None:
    folder = copied(image, tmp_path)
    with open(folder / "spool.db-wal", "r+b") as file:
        file.seek(17)
        file.write(b"\x00\xff")
    assert [gap.reason for gap in reopened(folder, image).gaps] == [GapReason.CORRUPT]


def test_a_batch_whose_bytes_changed_is_never_sent(image: Image, tmp_path: Path) -> None:
    folder = copied(image, tmp_path)
    connection = apsw.Connection(str(folder / "spool.db"))
    query = "SELECT id, seq, observations FROM batch WHERE receipt IS NULL ORDER BY id LIMIT 1"
    ((key, seq, observations),) = connection.execute(query)
    ((data,),) = connection.execute("SELECT data FROM body WHERE id = ?", (key,)).fetchall()
    assert isinstance(data, bytes)
    # In the signature: neither the body's digest nor the chain's covers it.
    spoiled = data[:350] + bytes([data[350] ^ 1]) + data[351:]
    connection.execute("UPDATE body SET data = ? WHERE id = ?", (spoiled, key))
    connection.close()
    found = reopened(folder, image)
    assert found.gaps == []
    (gap,) = found.hub.gaps
    assert (gap.reason, gap.first_seq, gap.last_seq) == (GapReason.CORRUPT, seq, seq)
    assert gap.count == observations == len(missing(found, image))


def test_a_record_whose_bytes_changed_is_never_signed(image: Image, tmp_path: Path) -> None:
    folder = copied(image, tmp_path)
    connection = apsw.Connection(str(folder / "spool.db"))
    connection.execute(
        "UPDATE record SET line = CAST(replace(line, 'stamp', 'stamq') AS BLOB)"
        " WHERE id = (SELECT max(id) FROM record)"
    )
    connection.close()
    found = reopened(folder, image)
    (gap,) = found.hub.gaps
    assert (gap.reason, gap.count) == (GapReason.CORRUPT, 20)
    assert missing(found, image) == set(range(image.promised - 20, image.promised))


@pytest.mark.parametrize("content", [b"", b"not a database at all" * 1000, bytes(8192)])
def test_a_file_that_is_no_spool_is_kept_aside_and_the_loss_listed(
    image: Image, tmp_path: Path, content: bytes
) -> None:
    folder = copied(image, tmp_path)
    (folder / "spool.db").write_bytes(content)
    (folder / "spool.db-wal").unlink()
    found = reopened(folder, image)
    assert [gap.reason for gap in found.gaps] == [GapReason.SPOOL_LOST]
    assert (folder / "spool.db.corrupt-1").read_bytes() == content
    assert found.clean is None


def test_a_deleted_spool_is_listed_because_its_ballast_remembers(
    image: Image, tmp_path: Path
) -> None:
    folder = copied(image, tmp_path)
    (folder / "spool.db").unlink()
    found = reopened(folder, image)
    assert [gap.reason for gap in found.gaps] == [GapReason.SPOOL_LOST]
    assert not (folder / "spool.db").with_name("spool.db.new").exists()


def test_another_programs_database_is_not_taken_over(tmp_path: Path, image: Image) -> None:
    folder = copied(image, tmp_path)
    for name in ("spool.db", "spool.db-wal"):
        (folder / name).unlink()
    other = apsw.Connection(str(folder / "spool.db"))
    other.execute("CREATE TABLE precious (x)")
    other.close()
    found = reopened(folder, image)
    assert "not a spool" in found.gaps[0].detail
    kept = apsw.Connection(str(folder / "spool.db.corrupt-1"))
    assert kept.execute("SELECT count(*) FROM precious").fetchall() == [(0,)]
    kept.close()


def test_a_spool_of_a_newer_version_gives_its_batches(image: Image, tmp_path: Path) -> None:
    folder = copied(image, tmp_path)
    connection = apsw.Connection(str(folder / "spool.db"))
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    found = reopened(folder, image)
    assert missing(found, image) == set()
    assert "spool version 99" in found.gaps[0].detail


def test_what_a_broken_page_spared_is_saved(image: Image, tmp_path: Path) -> None:
    folder = copied(image, tmp_path)
    opened_once = apsw.Connection(str(folder / "spool.db"))
    opened_once.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    leaf = "SELECT pageno FROM dbstat WHERE name = 'body' AND pagetype = 'leaf' ORDER BY pageno"
    try:
        pages = [page for (page,) in opened_once.execute(leaf)]
    except apsw.SQLError:
        pages = []
    opened_once.close()
    if not pages:
        pytest.skip("this SQLite has no dbstat")
    with open(folder / "spool.db", "r+b") as file:
        file.seek((pages[len(pages) // 2] - 1) * 4096)
        file.write(random.Random(1).randbytes(4096))
    found = reopened(folder, image)
    lost = missing(found, image)
    known = [gap for gap in found.gaps if gap.first_seq is not None]
    assert 0 < len(lost) < image.promised / 2
    assert sum(gap.count or 0 for gap in known) == len(lost)


def test_no_more_than_two_damaged_files_are_kept(image: Image, tmp_path: Path) -> None:
    folder = copied(image, tmp_path)
    clock = FakeClock()
    for _ in range(4):
        (folder / "spool.db").write_bytes(b"junk" * 100)
        opened(folder, clock).close()
    kept = sorted(name for name in os.listdir(folder) if "corrupt" in name)
    assert [name for name in kept if not name.endswith("wal")] == [
        "spool.db.corrupt-3",
        "spool.db.corrupt-4",
    ]


@pytest.mark.parametrize("step", ["before the old one is away", "before the new one has its name"])
def test_a_crash_while_mending_is_only_done_again(
    image: Image, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    folder = copied(image, tmp_path)
    connection = apsw.Connection(str(folder / "spool.db"))
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    rename, count = os.rename, 0

    def crash(source: Path, target: Path) -> None:
        nonlocal count
        count += 1
        if count == (1 if step.startswith("before the old") else 2):
            raise KeyboardInterrupt
        rename(source, target)

    monkeypatch.setattr(os, "rename", crash)
    with pytest.raises(KeyboardInterrupt):
        opened(folder, FakeClock())
    monkeypatch.undo()
    assert (folder / "spool.db").exists() == step.startswith("before the old")
    clock = FakeClock(boot_ns=image.last_boot_ns + SECOND)
    spool = begun(folder, clock, 2)
    hub = Hub()
    for data in image.handed:
        hub.take(data)
    hub.drain(spool)
    spool.seal(ClockClass.A)
    hub.drain(spool)
    spool.close()
    assert len(hub.gaps) == 1
    assert set(range(image.promised)) == set(hub.observations)


def test_a_file_that_rots_while_the_agent_runs_is_mended_in_the_same_epoch(
    tmp_path: Path,
) -> None:
    clock, hub = FakeClock(), Hub()
    spool = begun(tmp_path, clock)
    for k in range(600):
        spool.append([train(clock, 200 * k, 200)])
        spool.seal(ClockClass.A)
    spool.stop()
    # Far more than SQLite's cache holds.
    pages = (tmp_path / "spool.db").stat().st_size // 4096
    assert pages > 256
    with open(tmp_path / "spool.db", "r+b") as file:
        for page in range(20, pages, 10):
            file.seek(page * 4096)
            file.write(b"\xa5" * 4096)
    hub.drain(spool)
    spool.append([train(clock, 10**6)])
    spool.seal(ClockClass.A)
    hub.drain(spool)
    assert set(range(10**6, 10**6 + 10)) <= set(hub.observations)
    assert {epoch for epoch, _ in hub.batches} == {epoch_of(1)}
    assert max(seq for _, seq in hub.batches) >= 600
    lost = 120_010 - len(hub.observations)
    assert 0 < lost < 60_000 and hub.gaps
    assert hub.listed() <= lost
    spool.close()


def test_a_file_that_is_taken_away_while_the_agent_runs_is_noticed(tmp_path: Path) -> None:
    clock, hub = FakeClock(), Hub()
    spool = begun(tmp_path, clock)
    spool.append([train(clock, 0)])
    spool.seal(ClockClass.A)
    (tmp_path / "spool.db").unlink()
    spool.tidy()
    spool.append([train(clock, 10)])
    spool.seal(ClockClass.A)
    hub.drain(spool)
    assert [gap.reason for gap in hub.gaps] == [GapReason.SPOOL_LOST]
    assert list(hub.batches) == [(epoch_of(1), 1)]
    spool.close()


def test_a_folder_that_cannot_be_is_said_clearly(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SpoolUnavailable, match="file"):
        opened(tmp_path / "file" / "spool", FakeClock())


def test_gaps_found_before_a_reboot_are_told_in_the_clock_of_the_next_boot(
    image: Image, tmp_path: Path
) -> None:
    folder = copied(image, tmp_path)
    (folder / "spool.db").unlink()
    (folder / "spool.db-wal").unlink()
    clock = FakeClock(boot_ns=10**15)
    opened(folder, clock).close()
    clock.reboot(boot_id="d4" * 16, off_ns=SECOND)
    clock.advance(5 * SECOND)
    spool = opened(folder, clock)
    begin(spool, clock, 2)
    spool.seal(ClockClass.A)
    hub = Hub()
    hub.drain(spool)
    assert [gap.boot_ns for gap in hub.gaps] == [clock.boot_ns()]
    spool.close()


def test_a_refused_batch_is_still_refused_after_mending(tmp_path: Path) -> None:
    clock = FakeClock()
    spool = begun(tmp_path, clock)
    for k in range(3):
        spool.append([train(clock, 10 * k)])
        spool.seal(ClockClass.A)
    spool.set_aside(epoch_of(1), 0, Refusal.BAD_BODY)
    batch = spool.oldest()
    assert batch is not None
    spool.acknowledge(*receipt_for(batch))
    spool.stop()
    spool.close()
    connection = apsw.Connection(str(tmp_path / "spool.db"))
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    spool = opened(tmp_path, clock)
    status = spool.status()
    assert (status.refused, status.batches_waiting, spool.last_acked) == (1, 1, (epoch_of(1), 1))
    assert spool.recovery.previous_clean is True
    spool.close()
