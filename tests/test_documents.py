"""What the documents name is there."""

import importlib
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ARCHITECTURE = (ROOT / "ARCHITECTURE.md").read_text()
DOCUMENTS = ("README.md", "ARCHITECTURE.md", "CONTRIBUTING.md")


def named_symbols() -> list[str]:
    """`agent.spool.Spool` and the like, in the first column of code spans."""
    found = re.findall(r"`((?:agent|collector|wire|runtime)(?:\.\w+)+)`", ARCHITECTURE)
    return sorted(set(found))


@pytest.mark.parametrize("symbol", named_symbols())
def test_every_symbol_of_the_architecture_exists(symbol: str) -> None:
    parts = symbol.split(".")
    for cut in range(len(parts), 0, -1):
        try:
            place: object = importlib.import_module(".".join(parts[:cut]))
        except ModuleNotFoundError:
            continue
        for name in parts[cut:]:
            place = getattr(place, name)
        return
    pytest.fail(f"no module of {symbol}")


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_path_in_the_documents_exists(document: str) -> None:
    text = (ROOT / document).read_text()
    named = re.findall(
        r"`((?:agent|collector|wire|runtime|tests|configs|deploy|bench|docs)/[\w./*-]*)`", text
    )
    linked = re.findall(r"\]\(([\w./-]+)\)", text)
    missing = [
        one
        for one in (*named, *linked)
        if "NAME" not in one and not list(ROOT.glob(one.rstrip("/")))
    ]
    assert missing == []


def test_decisions_are_numbered_in_order_and_dated() -> None:
    notes = sorted((ROOT / "docs" / "decisions").glob("*.md"))
    assert [int(note.name[:4]) for note in notes] == list(range(1, len(notes) + 1))
    for note in notes:
        lines = note.read_text().splitlines()
        assert re.match(rf"# {note.name[:4]}: \S", lines[0]), note.name
        assert re.fullmatch(r"\d{4}-\d\d-\d\d", lines[2]), note.name
