"""The shipped dashboards as Grafana reads them: panels, queries, variables."""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).parents[2]
HOME = ROOT / "configs" / "grafana"
VARIABLE = re.compile(r"\$(?:\{(\w+)(?:\.[^}:]+)?(?::\w+)?\}|(\w+))")


class Asked(NamedTuple):
    """One query of one panel."""

    panel: str
    kind: str
    letter: str
    expression: str
    instant: bool
    interval: str | None


class Dashboard:
    """One file."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.told: dict[str, Any] = json.loads(file.read_text())
        self.uid: str = self.told["uid"]

    def panels(self) -> Iterator[dict[str, Any]]:
        for panel in self.told["panels"]:
            assert not panel.get("panels"), "collapsed rows are not looked into"
            if panel["type"] != "row":
                yield panel

    def asked(self) -> Iterator[Asked]:
        for panel in self.panels():
            for target in panel["targets"]:
                yield Asked(
                    panel["title"],
                    panel["type"],
                    target["refId"],
                    target["expr"],
                    target.get("instant", False),
                    target.get("interval"),
                )

    def variables(self) -> Iterator[dict[str, Any]]:
        yield from self.told["templating"]["list"]

    def links(self) -> Iterator[str]:
        """URLs that panels and the dashboard lead to."""
        yield from _urls(self.told)


def _urls(told: Any) -> Iterator[str]:
    if isinstance(told, dict):
        if isinstance(told.get("url"), str):
            yield told["url"]
        told = list(told.values())
    for inner in told if isinstance(told, list) else ():
        yield from _urls(inner)


def dashboards(language: str) -> list[Dashboard]:
    return [Dashboard(file) for file in sorted((HOME / "dashboards" / language).glob("*.json"))]


def filled(expression: str, values: Mapping[str, str]) -> str:
    """The expression with its variables, as Grafana fills them in. Raises KeyError."""
    return VARIABLE.sub(lambda found: values[found[1] or found[2]], expression)
