"""`rebuttal` on the command line and over HTTP, against a real ledger."""

import json
from pathlib import Path
from typing import Any

import apsw
import pytest

from collector.audit.calendar import Zone
from runtime.clock import SECOND, SystemClock
from tests.collector.hub import serving, settings_in
from tests.collector.test_audit_web import ask
from tests.collector.test_registers import ME, rows, run

GIVEN = ("--link", "l1", "--window", "2026-06", "--kind", "delivered", "--on", "2026-07-03")
WORDS = ("--words", "tests of April to June", "--document", "B-44/2026")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return settings_in(tmp_path)


def added(file: Path, *changes: str) -> Any:
    return run(file, "rebuttal", "add", *GIVEN, *WORDS, *changes)


def test_a_delivery_is_recorded_and_listed_with_who_and_when(file: Path) -> None:
    before_s = SystemClock().wall_ns() / 1e9
    done = added(file, "--by", "Sari")
    assert done.stdout == (
        "rebuttal entry 1: delivered on 2026-07-03, of link l1, for looks up to 2026-07-01,"
        " links: l1\n"
    )
    (row,) = rows(file, "rebuttal", "list")
    assert before_s <= row.pop("recorded_s") <= SystemClock().wall_ns() / 1e9
    assert row == {
        "id": 1,
        "link": "l1",
        "pop": None,
        "provider": None,
        "district": None,
        "until": "2026-07-01",
        "kind": "delivered",
        "day": "2026-07-03",
        "words": "tests of April to June",
        "document": "B-44/2026",
        "recorded_by": "Sari",
        "os_user": ME,
        "closed": None,
    }


def test_an_objection_stands_until_it_is_settled_and_nothing_is_edited(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = added(file, "--kind", "objected", "--words", "the CPE was ours to choose")
    assert "stay preliminary until it is settled (rebuttal settle 1)" in done.stdout
    settled = run(file, "rebuttal", "settle", "1", "--reason", "the CPE carries 1 Gbit/s")
    assert settled.stdout == "rebuttal entry 1 is settled; it stays in the list\n"
    again = run(file, "rebuttal", "cancel", "1", "--reason", "x")
    assert again.exit_code == 1
    assert f"rebuttal entry 1 was settled already by {ME}" in again.stderr
    (row,) = rows(file, "rebuttal", "list", "--link", "l1")
    assert row["closed"]["as"] == "settled" and row["kind"] == "objected"
    assert rows(file, "rebuttal", "list", "--link", "l2") == []
    monkeypatch.setenv("COLUMNS", "200")
    shown = run(file, "rebuttal", "list").stdout
    assert "objected on 2026-07-03" in shown and "settled by" in shown
    db = apsw.Connection(str(file.parent / "data" / "ledger.db"))
    for deed in ("UPDATE hearing SET day='2020-01-01'", "DELETE FROM hearing_closed"):
        with pytest.raises(apsw.ConstraintError, match="append-only"):
            db.execute(deed)
    db.close()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (("--link", "l9"), "--link: no link 'l9'; known: l1"),
        (("--window", "June"), "window 'June': expected a month such as 2026-10"),
        (("--on", "2026-06-15"), "--on: 2026-06-15 is before the window's end (2026-07-01)"),
        (("--window", "2199-01"), "--window: '2199-01' has not ended"),
        (("--on", "2199-01-01"), "--on: 2199-01-01 is in the future"),
        (("--words", " "), "--words: empty, expected what was delivered"),
    ],
)
def test_what_cannot_be_recorded_is_one_line(
    file: Path, changes: tuple[str, ...], said: str
) -> None:
    done = added(file, *changes)
    assert done.exit_code == 1
    assert said in done.stderr and done.stderr.count("\n") == 1


def test_without_whose_nothing_is_recorded(file: Path) -> None:
    told = ("--window", "2026-06", "--kind", "accepted", *WORDS)
    done = run(file, "rebuttal", "add", *told)
    assert "whose? expected --link, --pop, --provider or --district" in done.stderr
    assert rows(file, "rebuttal", "list") == []
    for deed in ("settle", "cancel"):
        missing = run(file, "rebuttal", deed, "7", "--reason", "x")
        assert "no rebuttal entry 7; see `rebuttal list`" in missing.stderr
    today = Zone.WIT.day_of(SystemClock().wall_ns() // SECOND)
    done = run(file, "rebuttal", "add", *told, "--provider", "P", "--json")
    assert json.loads(done.stdout)[0]["day"] == today.isoformat()
    wrong = run(file, "rebuttal", "settle", "1", "--reason", "x")
    assert "rebuttal entry 1 is no objection: accepted is not settled" in wrong.stderr


async def test_the_register_is_read_over_http(tmp_path: Path) -> None:
    file = settings_in(tmp_path)
    added(file)
    async with serving(tmp_path) as hub:
        listed = await ask(hub, "/api/v1/rebuttals")
        assert [(one["id"], one["kind"]) for one in listed] == [(1, "delivered")]
        assert await ask(hub, "/api/v1/links/l1/rebuttals") == listed
        assert await ask(hub, "/api/v1/links/l2/rebuttals") == []
        assert (await ask(hub, "/api/v1/links/l9/rebuttals", 404))["error"] == "no link 'l9'"
