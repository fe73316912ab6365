"""What goes on machines is what was tested: the same versions, all of them, with their hashes."""

import re
import subprocess
import tomllib
from pathlib import Path

import pytest

from tests.deploy.machine import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def pins(name: str) -> dict[str, str]:
    """Versions by package; every one has a hash."""
    text = (ROOT / "requirements" / name).read_text()
    entries = re.findall(r"^([\w.-]+)==([^\s;]+)[^\n]*((?:\n    --hash=\S+(?: \\)?)+)", text, re.M)
    assert len(entries) == len(re.findall(r"^[\w.-]+==", text, re.M))
    return {name: version for name, version, _ in entries}


def wanted(*more: str) -> set[str]:
    return {
        re.match(r"[\w.-]+", one)[0].lower()  # type: ignore[index]
        for one in (*PROJECT["project"]["dependencies"], *more)
    }


@pytest.mark.parametrize(
    ("lock", "extra"),
    [
        ("agent.lock", ()),
        ("collector.lock", tuple(PROJECT["project"]["optional-dependencies"]["collector"])),
    ],
)
def test_a_lock_has_all_that_is_needed_in_the_versions_that_are_tested(
    lock: str, extra: tuple[str, ...]
) -> None:
    tested, ours = pins("dev.lock"), pins(lock)
    assert wanted(*extra) | {"hatchling"} <= set(ours), "run `make lock-install`"
    assert {name: tested.get(name) for name in ours} == ours, "run `make lock-install`"


def test_a_node_stays_small() -> None:
    assert {"numpy", "scipy", "pytest", "mypy"}.isdisjoint(pins("agent.lock"))


@pytest.mark.parametrize("script", sorted((ROOT / "deploy").glob("*.sh")), ids=lambda one: one.name)
def test_shellcheck_finds_nothing(script: Path) -> None:
    try:
        done = subprocess.run(["shellcheck", script], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        pytest.skip("needs the Debian package shellcheck")
    assert done.returncode == 0, done.stdout
