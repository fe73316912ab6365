"""`pantau-collector audit` and `tickets reconcile`, on a settings folder and a real ledger."""

import csv
import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result

from collector.__main__ import main
from tests.collector.report.scene import settings


@pytest.fixture
def file(tmp_path: Path, filled: Path) -> Path:
    return settings(tmp_path, filled)


def run(file: Path, *words: str) -> Result:
    return CliRunner().invoke(main, [words[0], "--config.file", str(file), *words[1:]])


def test_the_exit_status_tells_which_judgements_there_are(file: Path, tmp_path: Path) -> None:
    out = str(tmp_path / "out")
    found = {
        link: run(
            file, "audit", "--month", "2026-06", "--link", link, "--format", "json", "-o", out
        )
        for link in ("selatan", "bukit", "utara")
    }
    assert {link: done.exit_code for link, done in found.items()} == {
        "selatan": 0, "bukit": 4, "utara": 8,
    }  # fmt: skip
    every = run(file, "audit", "--month", "2026-06", "--format", "json", "-o", out)
    assert every.exit_code == 12
    assert "audit 2026-06, all: 3 links, 1 met, 1 breached, 1 undecided" in every.stdout
    assert "restitution Rp76,391" in every.stdout and "draft, not issued" in every.stdout


def test_files_of_all_kinds_are_written_and_named(file: Path, tmp_path: Path) -> None:
    done = run(
        file, "audit", "--month", "2026-06", "--format", "html,xlsx,csv,json", "--lang", "id,en",
        "-o", str(tmp_path / "out"),
    )  # fmt: skip
    assert done.exit_code == 12, done.output
    names = {one.name for one in (tmp_path / "out").iterdir()}
    base = "pantau-audit-2026-06-draft"
    tables = ("links", "outages", "delays", "throughput", "hours", "tickets", "providers", "trend")
    assert names == {
        f"{base}.json", f"{base}.id.html", f"{base}.en.html", f"{base}.id.xlsx", f"{base}.en.xlsx",
        *(f"{base}-{one}.csv" for one in tables),
    }  # fmt: skip
    told = json.loads((tmp_path / "out" / f"{base}.json").read_bytes())
    with (tmp_path / "out" / f"{base}-links.csv").open(newline="") as opened:
        rows = {row["link"]: row for row in csv.DictReader(opened)}
    for link in told["audit"]["links"]:
        found = link["periods"][0]["availability"]
        assert float(rows[link["link"]]["lower"]) == found["lower"]
        assert int(rows[link["link"]]["down_s"]) == found["down_s"]


def test_a_plan_without_rates_has_those_of_the_contract(file: Path, tmp_path: Path) -> None:
    """As in the running collector: who counts the users' traffic stands in the plan."""

    def audited(**plan: Any) -> Any:
        links = yaml.safe_load((file.parent / "links.yaml").read_text())
        for one in links["links"]:
            one["throughput"] = {"zone": "WIB", "gate": {"side": "lan"}, **plan}
        (file.parent / "links.yaml").write_text(yaml.safe_dump(links))
        run(file, "audit", "--month", "2026-06", "--link", "selatan", "--format", "json",
            "-o", str(tmp_path / str(len(plan))))  # fmt: skip
        (found,) = (tmp_path / str(len(plan))).iterdir()
        return json.loads(found.read_bytes())["audit"]["links"][0]["periods"][0]["throughput"]

    by_contract = audited()
    assert by_contract == audited(down_mbps=10, up_mbps=10, layer="ip", vlan=False)
    assert by_contract[0]["counted"] > 100


def test_a_document_for_each_link_where_that_is_asked(file: Path, tmp_path: Path) -> None:
    done = run(
        file, "audit", "--month", "2026-06", "--format", "html", "--per-link", "-o",
        str(tmp_path / "out"),
    )  # fmt: skip
    assert done.exit_code == 12
    names = sorted(one.name for one in (tmp_path / "out").iterdir())
    base = "pantau-audit-2026-06-draft"
    assert names == [f"{base}{one}.id.html" for one in ("-bukit", "-selatan", "-utara", "")]
    page = (tmp_path / "out" / f"{base}-utara.id.html").read_text()
    assert "Lampiran Tautan" in page and "Desa Selatan" not in page


def test_an_issued_audit_is_written_again_to_the_byte(file: Path, tmp_path: Path) -> None:
    words = ("audit", "--month", "2026-06", "--format", "json", "-o")
    first = run(file, *words, str(tmp_path / "a"), "--issue", "--by", "Sari")
    second = run(file, *words, str(tmp_path / "b"))
    assert "revision 1, issued by Sari" in first.stdout and "revision 1" in second.stdout
    name = "pantau-audit-2026-06-r1.json"
    assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    (row,) = json.loads(run(file, "audits", "--json").stdout)
    assert (row["month"], row["scope"], row["revision"], row["judgement"]) == (
        "2026-06", "all", 1, "breached",
    )  # fmt: skip
    assert row["digest"] in first.stdout
    assert run(file, "audits").exit_code == 0


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (["--month", "2026-13"], 1, "month '2026-13': expected the form 2026-11"),
        (["--month", "2030-01"], 1, "month 2030-01 has not begun"),
        (["--month", "2026-06", "--link", "x"], 1, "--link: no link 'x'; known: bukit, pasar"),
        (["--month", "2026-06", "--link", "utara", "--node", "n"], 1, "at most one of them"),
        (["--month", "2026-06", "--format", "doc"], 2, "expected some of html,pdf,xlsx,csv,json"),
        (["--month", "2026-06", "--mail", "a@b"], 1, "expected smtp"),
    ],
)
def test_what_is_wrong_is_said_in_a_line(
    file: Path, words: list[str], status: int, said: str
) -> None:
    done = run(file, "audit", *words)
    assert done.exit_code == status
    assert said in " ".join(done.stderr.split())


def test_help_teaches_the_exit_status() -> None:
    said = CliRunner().invoke(main, ["audit", "--help"]).stdout
    for line in ("0   all links met", "4   some are undecided", "8   some breached", "12  some"):
        assert line in said


def test_tickets_are_reconciled(file: Path) -> None:
    def asked(*more: str) -> Result:
        words = ["tickets", "reconcile", "--config.file", str(file), "--month", "2026-06", *more]
        return CliRunner().invoke(main, words)

    done = asked("--link", "utara", "--json")
    assert done.exit_code == 0, done.output
    rows: list[dict[str, Any]] = json.loads(done.stdout)
    assert [(one["case"], one["kind"], one["ticket"]) for one in rows] == [
        (1, "matched", "T-100"),
        (2, "edges_differ", "T-101"),
        (2, "edges_differ", None),
        (3, "only_ours", None),
        (4, "only_theirs", "T-102"),
    ]
    assert (rows[0]["start_differs_s"], rows[0]["end_differs_s"]) == (60, 0)
    table = asked()
    assert table.exit_code == 0
    assert "1 matched, 1 with times that differ by more than 5 min" in table.stdout
    assert asked("--link", "utara", "--provider", "P").exit_code == 1
