"""Runbooks: one for every alert, served where its `runbook_url` points, saying what exists."""

import re
from collections.abc import AsyncIterator
from pathlib import Path

import click
import pytest
import yaml

from agent.__main__ import main as agent
from collector.__main__ import main as collector
from collector.web.runbooks import TEXTS, render
from tests.collector.hub import Hub, serving

ROOT = Path(__file__).parents[2]
ALERTS = {
    rule["alert"]
    for file in (ROOT / "configs" / "prometheus" / "rules").glob("*.yml")
    for group in yaml.safe_load(file.read_text())["groups"]
    for rule in group["rules"]
    if "alert" in rule
}
BOOKS = {file.stem: file.read_text() for file in TEXTS.glob("*.md")}
HEADINGS = ["Artinya", "Yang diperiksa", "Yang dilakukan", "Kapan diabaikan", "In English"]


@pytest.fixture
async def hub(tmp_path: Path) -> AsyncIterator[Hub]:
    async with serving(tmp_path) as one:
        yield one


def test_every_alert_has_a_runbook_and_every_runbook_an_alert() -> None:
    assert set(BOOKS) == ALERTS


def test_the_documents_and_the_package_have_the_same_files() -> None:
    assert (ROOT / "docs" / "runbooks").resolve() == TEXTS.resolve()


@pytest.mark.parametrize("name", sorted(BOOKS))
def test_a_runbook_says_what_it_means_what_to_do_and_when_to_let_it_be(name: str) -> None:
    assert BOOKS[name].startswith(f"# {name}\n")
    assert re.findall(r"^## (.+)$", BOOKS[name], re.M) == HEADINGS


@pytest.mark.parametrize("name", sorted(BOOKS))
def test_a_runbook_names_only_commands_options_and_documents_that_exist(name: str) -> None:
    for program, command, rest in re.findall(r"`pantau-(\w+) ([a-z]+)([^`]*)`", BOOKS[name]):
        found = {"agent": agent, "collector": collector}[program].commands[command]
        while isinstance(found, click.Group):
            word, _, rest = rest.strip().partition(" ")
            found = found.commands[word]
        known = {one for option in found.params for one in option.opts}
        assert set(re.findall(r"--[\w.-]+", rest)) <= known
    for path in re.findall(r"docs/[\w.-]+", BOOKS[name]):
        assert (ROOT / path).is_file()


async def test_every_alerts_runbook_is_served(hub: Hub) -> None:
    for name in ALERTS:
        told = await hub.get(f"/runbooks/{name}")
        assert told.status == 200
        assert told.headers["Content-Type"] == "text/html; charset=utf-8"
        assert told.headers["Content-Security-Policy"].startswith("default-src 'none'")
        assert f"<h1>{name}</h1>" in told.body.decode()


@pytest.mark.parametrize("name", ["", "PantauNothing", "PantauLinkDown.md", "..%2Fopenapi.yaml"])
async def test_anything_else_is_not_found(hub: Hub, name: str) -> None:
    assert (await hub.get(f"/runbooks/{name}")).status == 404


def test_html_in_a_runbook_is_shown_and_not_obeyed() -> None:
    told = render("X", "<script>alert(1)</script> [a](javascript:alert(1)) `<b>`")
    assert "<script>" not in told and 'href="javascript' not in told and "<b>" not in told
    assert "&lt;script&gt;" in told
