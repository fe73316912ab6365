"""`evidence export` at the hub, `verify` where there is nothing else."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
import yaml
from click.testing import CliRunner, Result

from collector.__main__ import main
from collector.bundle.documents import canonical
from collector.identity import load_or_make
from runtime.clock import SECOND, SystemClock
from tests.collector.bundle import forge
from tests.collector.bundle.kit import KEY, made
from tests.collector.settle.district import T0, Site, lost

CUT = lost((700, 760))
SITES = (Site("a", hub=CUT, anchor=CUT), Site("b"))
LATER_S = T0 + 30 * 86_400
"""September is over, and long enough for its audit to be issued."""
FROM, TO = "2026-09-21 21:18:20", "2026-09-21 21:38:20"


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A collector's folder with evidence that was judged; its settings file."""
    folder = tmp_path_factory.mktemp("hub")
    data = folder / "data"
    data.mkdir()
    (data / "identity.key").write_bytes(KEY.private_bytes_raw() + bytes(range(32)))
    one = made(data, SITES, 1800)
    one.district.close()
    inventory = one.district.inventory
    rows = {
        "nodes.yaml": {"nodes": list(inventory.nodes.values())},
        "links.yaml": {"links": list(inventory.links.values())},
        "contracts.yaml": {"contracts": one.district.contracts.rows},
    }
    for name, told in rows.items():
        text = yaml.safe_dump(msgspec.to_builtins(told, builtin_types=()))
        (folder / name).write_text(text)
    file = folder / "collector.yaml"
    file.write_text("data_dir: data\nstamp: {address: 192.0.2.1}\n")
    return file


def run(*words: str) -> Result:
    return CliRunner().invoke(main, list(words), catch_exceptions=False)


def export(hub: Path, file: Path, *more: str, link: str = "a", start: str = FROM) -> Result:
    return run(
        "evidence",
        "export",
        "--config.file",
        str(hub),
        "--link",
        link,
        "--from",
        start,
        "--to",
        TO,
        "-o",
        str(file),
        *more,
    )


def test_a_bundle_is_written_verified_and_verified_again_elsewhere(
    hub: Path, tmp_path: Path
) -> None:
    file = tmp_path / "a.tar"
    done = export(hub, file)
    assert done.exit_code == 0, done.output
    key = load_or_make(hub.parent / "data").public_key.hex()
    assert f"collector key {key}" in done.output
    assert done.output.endswith("verified: every number follows from the batches in it\n")
    head = done.output.split("tree head ")[1].split()[0]
    # A machine that has the program and the file, and nothing else: no settings, no home.
    alone = tmp_path / "alone"
    alone.mkdir()
    shutil.copy(file, alone / "bundle.tar")
    elsewhere = subprocess.run(
        [sys.executable, "-m", "collector", "verify", "bundle.tar", "--key", key, "--head", head],
        cwd=alone,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(Path(__file__).parents[3])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (elsewhere.returncode, elsewhere.stderr) == (0, "")
    lines = elsewhere.stdout.splitlines()
    assert lines[-1] == "VERIFIED"
    assert f"holds     file: signed by collector key {key}" in lines
    assert any(line.startswith("holds     findings: outages: 1 computed anew") for line in lines)
    assert any("is one of the bundle's" in line for line in lines)
    assert [one.name for one in alone.iterdir()] == ["bundle.tar"]


def test_a_month_is_exported_with_its_audit_which_an_issued_one_is_held_against(
    hub: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    later = SystemClock().wall_ns()
    monkeypatch.setattr(SystemClock, "wall_ns", lambda self: max(later, LATER_S * SECOND))
    file, out = tmp_path / "a.tar", str(tmp_path)
    done = run("evidence", "export", "--config.file", str(hub), "--link", "a", "--month",
               "2026-09", "-o", str(file))  # fmt: skip
    assert done.exit_code == 0, done.output
    assert "audit of 2026-09\n" in done.output
    assert "uncovered: 2026-09.json: links[a].verdicts: 0 said" in done.output
    assert done.output.endswith("but for what is uncovered\n")
    audit = ["audit", "--config.file", str(hub), "--month", "2026-09", "--format", "json"]
    assert run(*audit, "--issue", "--by", "Sari", "-o", out).exit_code in (4, 8, 12)
    (issued,) = tmp_path.glob("*.json")
    good = run("verify", str(file), "--audit", str(issued))
    assert good.exit_code == 0, good.output
    assert good.output.splitlines()[-1].startswith("VERIFIED, but for ")
    assert f"holds     audits: {issued.name} (revision 1 of 2026-09, all): links[a]" in good.output
    told = json.loads(issued.read_bytes())
    link = next(one for one in told["audit"]["links"] if one["link"] == "a")
    link["periods"][0]["availability"]["down_s"] -= 1
    issued.write_bytes(canonical(told))
    forged = run("verify", str(file), "--audit", str(issued))
    assert forged.exit_code == 1
    assert "audit_sha256 is not that of the audit in it" in forged.output
    assert "links[a].periods[0].availability.down_s: computed 60, said 59" in forged.output


@pytest.mark.parametrize("more", [["--month", "2026-09", "--from", FROM], ["--from", FROM], []])
def test_a_month_or_both_ends_are_asked_for(hub: Path, tmp_path: Path, more: list[str]) -> None:
    done = run("evidence", "export", "--config.file", str(hub), "--link", "a", *more, "-o",
               str(tmp_path / "a.tar"))  # fmt: skip
    assert done.exit_code == 1
    assert "expected --month, or --from and --to" in done.output


def test_a_forged_bundle_is_status_1_and_says_what(hub: Path, tmp_path: Path) -> None:
    file = tmp_path / "a.tar"
    assert export(hub, file, "--no-check").exit_code == 0
    start, _ = forge.regions(file.read_bytes())["said.json"]
    file.write_bytes(forge.flipped(file.read_bytes(), start + 40, 2))
    plain = run("verify", str(file))
    assert plain.exit_code == 1
    assert "altered   members: said.json: not the bytes that the manifest lists" in plain.output
    assert plain.output.splitlines()[-1].startswith("NOT VERIFIED: ")
    told = run("verify", str(file), "--json")
    assert told.exit_code == 1
    answer = json.loads(told.output)
    assert answer["verified"] is False
    assert {"check": "members", "finding": "altered"}.items() <= next(
        one for one in answer["checks"] if "said.json" in one["text"]
    ).items()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--key", "zz"], "--key 'zz': expected 64 hex digits"),
        (["--head", "ab" * 66], "expected 264 hex digits"),
    ],
)
def test_what_cannot_be_verified_is_status_2(tmp_path: Path, words: list[str], said: str) -> None:
    file = tmp_path / "a.tar"
    file.write_bytes(bytes(5000))
    wrong = run("verify", str(file), *words)
    assert wrong.exit_code == 2
    assert said in wrong.output
    none = run("verify", str(file), "--json")
    assert none.exit_code == 2
    assert "no evidence bundle" in none.output
    missing = run("verify", str(tmp_path / "gone.tar"))
    assert (missing.exit_code, "No such file" in missing.output) == (2, True)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"link": "x"}, "no link 'x'; known: a, b"),
        ({"start": "2026-09-22"}, f"--to {TO}: expected a moment after --from 2026-09-22"),
        ({"start": "yesterday"}, "yesterday"),
        ({"start": "2026-09-21 21:38"}, "collector.yaml"),
    ],
)
def test_what_cannot_be_exported_is_one_line(
    hub: Path, tmp_path: Path, more: dict[str, str], said: str
) -> None:
    if said == "collector.yaml":
        hub = tmp_path / "collector.yaml"
    done = export(hub, tmp_path / "a.tar", **more)
    assert done.exit_code == 1
    assert said in done.output
    assert len(done.output.splitlines()) == 1
    assert not (tmp_path / "a.tar").exists()


def test_help_teaches() -> None:
    for words in (["evidence", "--help"], ["evidence", "export", "--help"], ["verify", "--help"]):
        assert run(*words).exit_code == 0
    text = run("verify", "--help").output
    assert "Exit status 0 if everything holds, 1 if something does not, 2 if" in text
    assert T0 == 1_789_999_900
