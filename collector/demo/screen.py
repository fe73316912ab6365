"""The demo's live table, and plain lines where there is no terminal."""

import sys
from types import TracebackType
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

_COLOURS = {"up": "green", "down": "bold red", "unknown": "yellow"}


def _duration(seconds: float | None, *, digits: int = 0) -> str:
    return "" if seconds is None else f"{seconds:.{digits}f} s"


def table(rows: list[dict[str, Any]], now_s: float) -> Table:
    """All links as the collector knows them now."""
    view = Table(title="Links as known now (live, provisional) and how far the evidence is in")
    for name in (
        "node",
        "medium",
        "state",
        "why",
        "RTT",
        "loss",
        "heard",
        "evidence is",
        "missing",
    ):
        view.add_column(name, no_wrap=True)
    for row in rows:
        rtt, loss, settled = row["rtt_median_s"], row["loss_ratio"], row["evidence_settled_s"]
        view.add_row(
            row["name"],
            row["medium"],
            Text(row["state"].upper(), _COLOURS[row["state"]]),
            row["reason"].replace("_", " "),
            "" if rtt is None else f"{rtt * 1000:.1f} ms",
            "" if loss is None else f"{loss:.0%}",
            _duration(row["last_heard_age_s"], digits=1)
            + (" ago" if row["last_heard_age_s"] is not None else ""),
            "" if settled is None else f"{now_s - settled:.0f} s behind",
            str(row["evidence_missing_batches"] or ""),
        )
    return view


class Screen:
    """A live table with what has happened below it."""

    def __init__(self, *, live: bool) -> None:
        # A file or a pipe has no width of its own.
        self._console = Console(file=sys.stdout, width=None if live else 110)
        self._events: list[str] = []
        self._live = Live(console=self._console, refresh_per_second=4) if live else None
        self._rows: list[dict[str, Any]] = []
        self._now_s = 0.0

    def __enter__(self) -> "Screen":
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._live is not None:
            self._live.stop()

    def show(self, rows: list[dict[str, Any]], now_s: float) -> None:
        """The newest state of all links."""
        self._rows, self._now_s = rows, now_s
        self._draw()

    def say(self, text: str) -> None:
        """Something happened."""
        self._events.append(text)
        if self._live is None:
            self._console.print(text, markup=False, highlight=False, soft_wrap=True)
            if self._rows:
                self._console.print(table(self._rows, self._now_s))
        else:
            self._draw()

    def _draw(self) -> None:
        if self._live is not None:
            lines = [Text(event) for event in self._events[-12:]]
            self._live.update(Group(table(self._rows, self._now_s), *lines))
