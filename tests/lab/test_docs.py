"""docs/lab.md names every knob, counter and network there is."""

from dataclasses import fields
from pathlib import Path

import pytest

from runtime.lab.link import Counters, Knobs
from tests.lab.console import HELP

GUIDE = (Path(__file__).parents[2] / "docs" / "lab.md").read_text()
KNOBS = [field.name for field in fields(Knobs)]
COUNTERS = [field.name for field in fields(Counters)]


@pytest.mark.parametrize("name", [*KNOBS, *COUNTERS, "pair()", "star(names)", "cable()"])
def test_the_guide_names(name: str) -> None:
    assert f"`{name}`" in GUIDE


@pytest.mark.parametrize("name", [name for name in KNOBS if name not in ("up", "powered")])
def test_the_command_line_help_names_every_knob(name: str) -> None:
    short = name.removesuffix("_ms").removesuffix("_bps").removesuffix("_bytes")
    assert f"{short}=" in HELP
