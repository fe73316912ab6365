"""`maintenance` and `tickets` on the command line, against a real ledger."""

import hashlib
import json
import os
import pwd
import shutil
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from collector.__main__ import main
from runtime.clock import SystemClock
from tests.collector.hub import settings_in

HEAD = "ticket,link,start,end,cause\n"
PROMISED = Path(__file__).parent / "testdata" / "promised" / "contracts.yaml"
WINDOW = {
    "--link": "l1",
    "--from": "2026-03-09 00:00",
    "--to": "2026-03-09 02:30",
    "--announced": "2026-03-05 10:00",
    "--approved-by": "Kepala Bidang",
    "--reason": "router",
}
ME = os.environ.get("SUDO_USER") or pwd.getpwuid(os.getuid()).pw_name
MAINTENANCE = "{maintenance: {notice_s: 86_400, month_cap_s: 3_600}}"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return settings_in(tmp_path)


def run(file: Path, *words: str) -> Result:
    group, command, *options = words
    told = [group, command, "--config.file", str(file), *options]
    return CliRunner().invoke(main, told)


def add(file: Path, *more: str, **changes: str | None) -> Result:
    told = WINDOW | {f"--{name.replace('_', '-')}": value for name, value in changes.items()}
    options = [word for name, value in told.items() if value is not None for word in (name, value)]
    return run(file, "maintenance", "add", *options, *more)


def rows(file: Path, *words: str) -> list[dict[str, Any]]:
    done = run(file, *words, "--json")
    assert done.exit_code == 0, done.stderr
    return list(json.loads(done.stdout))


def test_a_window_is_recorded_and_listed_with_who_and_when(file: Path) -> None:
    before_s = SystemClock().wall_ns() / 1e9
    done = add(file, "--by", "Sari", document="B-12/2026")
    assert done.stdout == (
        "maintenance entry 1: planned of link l1 from 2026-03-09 00:00:00 WIB to"
        " 2026-03-09 02:30:00 WIB (2.5 h), links: l1\n"
    )
    (row,) = rows(file, "maintenance", "list")
    assert before_s <= row.pop("recorded_s") <= SystemClock().wall_ns() / 1e9
    assert row == {
        "id": 1,
        "link": "l1",
        "pop": None,
        "provider": None,
        "district": None,
        "start_s": 1_772_989_200,
        "end_s": 1_772_998_200,
        "zone": "WIB",
        "kind": "planned",
        "announced_s": 1_772_679_600,
        "approved_by": "Kepala Bidang",
        "reason": "router",
        "document": "B-12/2026",
        "recorded_by": "Sari",
        "os_user": ME,
        "cancelled": None,
    }


def test_without_a_name_the_machines_user_says_it_and_without_approval_it_is_told(
    file: Path,
) -> None:
    done = add(file, approved_by=None, link=None, pop="POP-1", provider="P", zone="WIT")
    assert "of pop POP-1, provider P from 2026-03-09 00:00:00 WIT" in done.stdout
    assert done.stdout.endswith(
        "links: l1, l2\nnote: nobody approved it (--approved-by), so it excludes nothing\n"
    )
    (row,) = rows(file, "maintenance", "list")
    assert (row["recorded_by"], row["start_s"]) == (ME, 1_772_989_200 - 7_200)


def test_the_user_behind_sudo_is_named(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUDO_USER", "sari")
    add(file)
    expected = "sari" if os.getuid() == 0 else ME
    assert rows(file, "maintenance", "list")[0]["os_user"] == expected


def test_a_cancelled_window_stays_in_the_list_with_who_and_why(file: Path) -> None:
    add(file)
    done = run(file, "maintenance", "cancel", "1", "--reason", "moved", "--by", "Sari")
    assert done.stdout == "maintenance entry 1 is cancelled; it stays in the list\n"
    (row,) = rows(file, "maintenance", "list")
    assert (row["cancelled"]["reason"], row["cancelled"]["recorded_by"]) == ("moved", "Sari")
    again = run(file, "maintenance", "cancel", "1", "--reason", "moved")
    assert (again.exit_code, again.stderr) == (
        1,
        "pantau-collector: maintenance entry 1 was cancelled already by Sari\n",
    )


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"link": None}, "whose? expected --link, --pop, --provider or --district"),
        ({"link": "l9"}, "--link: no link 'l9'; known: l1, l2"),
        ({"pop": "POP-9"}, "--pop: no pop 'POP-9'; known: POP-1"),
        ({"district": "Kota"}, "no link fits all of link l1, district Kota"),
        (
            {"from": "9/3/2026"},
            "--from: '9/3/2026': expected YYYY-MM-DD HH:MM or YYYY-MM-DD HH:MM:SS",
        ),
        (
            {"to": "2026-03-09 00:00"},
            "--to: '2026-03-09 00:00' is not after --from '2026-03-09 00:00'",
        ),
        (
            {"to": "2027-03-11 00:00"},
            "--to: '2027-03-11 00:00' is more than 366 days after --from",
        ),
        ({"announced": "2199-01-01 00:00"}, "--announced: '2199-01-01 00:00' WIB is in the future"),
        ({"reason": " "}, "--reason: empty, expected words"),
        ({"approved_by": ""}, "--approved-by: empty, expected words"),
    ],
)
def test_a_window_that_is_told_wrong_is_one_line_and_not_recorded(
    file: Path, changes: dict[str, str | None], said: str
) -> None:
    done = add(file, **changes)
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr == f"pantau-collector: {said}\n"
    assert rows(file, "maintenance", "list") == []


def test_what_a_links_contracts_make_of_a_window_is_told(file: Path) -> None:
    shutil.copy(PROMISED, file.parent)
    promised = file.parent / "contracts.yaml"
    promised.write_text(
        promised.read_text().replace(
            "restitution:", f"exclusions: {MAINTENANCE},\n    restitution:", 1
        )
    )
    add(file)
    add(file, **{"from": "2026-03-12 00:00", "to": "2026-03-12 01:00"})
    add(file, link="l2")
    first, second = rows(file, "maintenance", "list", "--link", "l1")
    (by_first, outside) = first["contracts"]
    assert (by_first["reference"], by_first["counted_s"]) == ("K-1", 3_600)
    assert by_first["counted"] == [{"start_s": 1_772_989_200, "end_s": 1_772_992_800}]
    assert by_first["refused"] == [
        {
            "start_s": 1_772_992_800,
            "end_s": 1_772_998_200,
            "refusal": "over_cap",
            "words": "the month's cap of 3600 s is used up",
        }
    ]
    assert (outside["reference"], outside["refused"][0]["refusal"]) == ("K-2", "outside_contract")
    assert second["contracts"][0]["counted_s"] == 0
    table = run(file, "maintenance", "list", "--link", "l1")
    assert (table.exit_code, table.stdout.count("K-1:")) == (0, 2)
    assert "approved by" in table.stdout
    wrong = run(file, "maintenance", "list", "--link", "l9")
    assert wrong.stderr == "pantau-collector: --link: no link 'l9'; known: l1, l2\n"


def test_tickets_are_imported_once_and_changes_are_revisions(file: Path, tmp_path: Path) -> None:
    first, second = tmp_path / "march.csv", tmp_path / "march-2.csv"
    first.write_text(HEAD + "T-1,l1,2026-03-09 07:00,,FO cut\nT-2,l2,2026-03-09 08:00,,radio\n")
    second.write_text(first.read_text().replace("07:00,,", "07:00,2026-03-09 09:00,"))
    digest = hashlib.sha256(first.read_bytes()).hexdigest()
    taking = ("tickets", "import", str(first), "--provider", "P", "--by", "Sari")
    assert run(file, *taking).stdout == (
        f"import 1: 2 new tickets, 0 changed, 0 as before; SHA-256 {digest}\n"
    )
    again = run(file, *taking)
    assert again.exit_code == 0
    assert again.stdout.startswith("import 1 took this file at 20")
    assert again.stdout.endswith(" WIB by Sari: nothing to do\n")
    assert (
        "0 new tickets, 1 changed, 1 as before"
        in run(file, "tickets", "import", str(second), "--provider", "P").stdout
    )
    listed = rows(file, "tickets", "list")
    assert [(one["ticket"], one["revision"], one["newest"], one["end_s"]) for one in listed] == [
        ("T-1", 1, False, None),
        ("T-1", 2, True, 1_773_021_600),
        ("T-2", 1, True, None),
    ]
    assert (listed[0]["sha256"], listed[0]["file"], listed[0]["recorded_by"]) == (
        digest,
        "march.csv",
        "Sari",
    )
    assert listed[1]["os_user"] == listed[1]["recorded_by"] == ME
    assert [one["ticket"] for one in rows(file, "tickets", "list", "--link", "l2")] == ["T-2"]
    table = run(file, "tickets", "list")
    assert table.exit_code == 0 and "T-2" in table.stdout


def test_columns_that_are_not_read_are_told(file: Path, tmp_path: Path) -> None:
    listed = tmp_path / "list.csv"
    listed.write_text("ticket,link,start,end,cause,teknisi\nT-1,l1,2026-03-09 07:00,,x,Budi\n")
    done = run(file, "tickets", "import", str(listed))
    assert done.stdout.startswith("note: columns not read: teknisi\nimport 1: 1 new tickets")


def test_a_wrong_cell_takes_nothing_and_makes_no_ledger(file: Path, tmp_path: Path) -> None:
    listed = tmp_path / "list.csv"
    listed.write_text(HEAD + "T-1,l1,2026-03-09 07:00,,x\nT-2,l9,kemarin,,y\n")
    done = run(file, "tickets", "import", str(listed))
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr == (
        f"pantau-collector: {listed}: row 3, column link: 'l9' is not a link of the links file\n"
        f"{listed}: row 3, column start: 'kemarin': expected YYYY-MM-DD HH:MM or"
        " YYYY-MM-DD HH:MM:SS\n"
    )
    assert not (file.parent / "data").exists()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["missing.csv"], "No such file or directory: 'missing.csv'"),
        (["missing.csv", "--provider", "Z"], "--provider: no provider 'Z'; known: P"),
    ],
)
def test_a_list_that_cannot_be_read_is_one_line(file: Path, options: list[str], said: str) -> None:
    done = run(file, "tickets", "import", *options)
    assert done.exit_code == 1
    assert done.stderr.startswith("pantau-collector: ") and done.stderr.endswith(f"{said}\n")


def test_a_list_that_is_far_too_large_is_refused(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("collector.registers.MAX_TICKETS_BYTES", 100)
    listed = tmp_path / "list.csv"
    listed.write_text(HEAD + "T-1,l1,2026-03-09 07:00,,x\n" * 9)
    done = run(file, "tickets", "import", str(listed))
    assert done.stderr == f"pantau-collector: {listed}: larger than 100 bytes\n"


@pytest.mark.parametrize("words", [("maintenance", "list"), ("tickets", "list")])
def test_a_damaged_ledger_is_one_line(file: Path, words: tuple[str, str]) -> None:
    (file.parent / "data").mkdir()
    (file.parent / "data" / "ledger.db").write_bytes(b"no database at all, but long enough" * 200)
    done = run(file, *words)
    assert done.exit_code == 1
    assert isinstance(done.exception, SystemExit)
    assert done.stderr.startswith("pantau-collector: ") and done.stderr.count("\n") == 1
