"""Copies of the hub's data: whole, consistent while the collector writes, and good to restore."""

import asyncio
import shutil
import subprocess
from pathlib import Path

import apsw
import pytest
from click.testing import CliRunner, Result

from collector import backup
from collector.__main__ import main
from collector.ledger.sqlite import SqliteLedger
from collector.settings import Located, read
from runtime.clock import SECOND, SystemClock
from runtime.testing import FakeClock
from tests.collector.hub import enrol_in, later, serving, settings_in
from tests.collector.kit import Box

FIRST = 1_790_000_000


def clock(days: int = 0) -> FakeClock:
    return FakeClock(boot_ns=0, wall_ns=(FIRST + days * 86_400) * SECOND)


def run(*words: object) -> Result:
    return CliRunner().invoke(main, [str(word) for word in words])


@pytest.fixture
def located(tmp_path: Path) -> Located:
    """A hub that has run and stopped, with one box in its ledger."""
    file = settings_in(tmp_path, contracts_file=None)
    enrol_in(tmp_path, Box())
    run("invite", "n1", "--config.file", file)
    return read(file)


def test_a_copy_holds_ledger_keys_and_settings_and_sha256sum_agrees(
    located: Located, tmp_path: Path
) -> None:
    done = backup.backup(located, tmp_path / "copies", clock())
    assert done.folder.name == "pantau-20260921T141320Z"
    names = sorted(str(one.relative_to(done.folder)) for one in done.folder.rglob("*.*"))
    assert {"data/ledger.db", "data/identity.key"} < set(names)
    assert {f"settings/{one}.yaml" for one in ("collector", "nodes", "links")} < set(names)
    assert not [one for one in names if one.endswith(("-wal", "-shm"))]
    checked = subprocess.run(
        ["sha256sum", "--check", "--strict", "SHA256SUMS"], cwd=done.folder, capture_output=True
    )
    assert checked.returncode == 0, checked.stderr
    assert checked.stdout.count(b": OK") == done.files == len(names)
    for file in (done.folder, *done.folder.rglob("*")):
        assert file.stat().st_mode & 0o077 == 0, f"{file}: others may read keys"


async def test_copies_made_while_batches_come_in_are_each_a_ledger_of_one_moment(
    tmp_path: Path,
) -> None:
    box, copies = Box(), tmp_path / "copies"
    file = tmp_path / "etc" / "collector.yaml"
    async with serving(tmp_path, box, clock=later()) as hub:

        async def deliver() -> None:
            for _ in range(60):
                await hub.deliver(box.batch())

        async def copy() -> None:
            for day in range(5):
                await asyncio.to_thread(backup.backup, read(file), copies, clock(day))

        await asyncio.gather(deliver(), copy())
    counts = []
    for one in sorted(copies.iterdir()):
        ledger = SqliteLedger(one / "data" / "ledger.db")
        head = ledger.heads()
        batches = ledger.rows("SELECT count(*), max(seq) + 1 FROM batch")[0]
        segments = ledger.rows("SELECT coalesce(sum(received), 0) FROM segment")[0]
        ledger.close()
        assert batches[0] == (batches[1] or 0) == segments[0], head
        counts.append(batches[0])
    assert counts == sorted(counts) and len(counts) == 5


def test_a_copy_comes_back_byte_for_byte_into_an_empty_folder(
    located: Located, tmp_path: Path
) -> None:
    done = backup.backup(located, tmp_path / "copies", clock())
    key = (located.data_dir / "identity.key").read_bytes()
    shutil.rmtree(located.data_dir)
    told = run("restore", done.folder, "--config.file", located.file)
    assert told.exit_code == 0, told.output
    assert (located.data_dir / "identity.key").read_bytes() == key
    assert (located.data_dir / "identity.key").stat().st_mode & 0o777 == 0o600
    ledger = SqliteLedger(located.data_dir / "ledger.db")
    assert [agent.node for agent in ledger.agents()] == ["n1"]
    ledger.close()
    assert not (located.data_dir / "restoring").exists()


def test_a_restore_that_was_cut_short_is_begun_anew(located: Located, tmp_path: Path) -> None:
    done = backup.backup(located, tmp_path / "copies", clock())
    shutil.rmtree(located.data_dir)
    (located.data_dir / "restoring" / "data").mkdir(parents=True)
    (located.data_dir / "restoring" / "data" / "ledger.db").write_bytes(b"half")
    backup.restore(located, done.folder)
    assert (located.data_dir / "ledger.db").stat().st_size > 4


def test_nothing_is_restored_over_a_ledger(located: Located, tmp_path: Path) -> None:
    done = backup.backup(located, tmp_path / "copies", clock())
    before = (located.data_dir / "ledger.db").read_bytes()
    told = run("restore", done.folder, "--config.file", located.file)
    assert told.exit_code == 1
    assert "not empty" in told.stderr and "move what is there away" in told.stderr
    assert (located.data_dir / "ledger.db").read_bytes() == before


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (lambda f: (f / "data/identity.key").write_bytes(b"x" * 64), "not the bytes"),
        (lambda f: (f / "data/ledger.db").unlink(), "is missing"),
        (lambda f: (f / "SHA256SUMS").unlink(), "no SHA256SUMS"),
        (lambda f: (f / "SHA256SUMS").write_text(""), "names no data/ledger.db"),
    ],
    ids=["changed", "missing", "unfinished", "empty"],
)
def test_a_copy_that_is_not_whole_is_told_and_leaves_nothing(
    located: Located, tmp_path: Path, harm: object, said: str
) -> None:
    done = backup.backup(located, tmp_path / "copies", clock())
    shutil.rmtree(located.data_dir)
    assert callable(harm)
    harm(done.folder)
    told = run("restore", done.folder, "--config.file", located.file)
    assert told.exit_code == 1 and said in told.stderr
    assert list(located.data_dir.iterdir()) == []


def test_a_damaged_ledger_is_not_copied_as_if_it_were_good(
    located: Located, tmp_path: Path
) -> None:
    file = located.data_dir / "ledger.db"
    database = apsw.Connection(str(file))
    database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    root = database.execute("SELECT rootpage FROM sqlite_schema WHERE name='agent'").fetchone()
    size = database.execute("PRAGMA page_size").fetchone()
    database.close()
    assert root is not None and size is not None
    with file.open("r+b") as stream:
        stream.seek((root[0] - 1) * size[0])
        stream.write(b"\xff" * size[0])
    told = run("backup", tmp_path / "copies", "--config.file", located.file)
    assert told.exit_code == 1 and "damaged" in told.stderr
    assert list((tmp_path / "copies").iterdir()) == []


def test_only_the_newest_copies_are_kept_and_nothing_else_is_touched(
    located: Located, tmp_path: Path
) -> None:
    copies = tmp_path / "copies"
    for day in range(4):
        backup.backup(located, copies, clock(day))
    (copies / "pantau-20250101T000000Z.partial").mkdir()
    (copies / "notes.txt").write_text("mine")
    backup.backup(located, copies, clock(4), keep=2)
    assert sorted(one.name for one in copies.iterdir()) == [
        "notes.txt",
        "pantau-20260924T141320Z",
        "pantau-20260925T141320Z",
    ]


def test_what_stands_in_the_way_of_a_copy_is_told(
    located: Located, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(backup.BackupError, match="lies in the folder"):
        backup.backup(located, located.data_dir / "copies", clock())
    backup.backup(located, tmp_path / "copies", clock())
    with pytest.raises(backup.BackupError, match="is there already"):
        backup.backup(located, tmp_path / "copies", clock())
    monkeypatch.setattr(backup, "_MARGIN_BYTES", 1 << 60)
    with pytest.raises(backup.BackupError, match="MB are free and the copy takes"):
        backup.backup(located, tmp_path / "more", SystemClock())
    shutil.rmtree(located.data_dir)
    with pytest.raises(backup.BackupError, match="the collector has never run here"):
        backup.backup(located, tmp_path / "copies", clock())
