"""What really happened, read from the emulator's logs."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from runtime.lab.link import Counters, Direction, Stamp, counters_of


@dataclass(frozen=True)
class Change:
    """Knobs were set: on a link, or (`direction` None) on a shared bottleneck."""

    at: Stamp
    name: str
    direction: Direction | None
    knobs: dict[str, float | str]
    """As the emulator took them: times in ns, state "up"/"down", power "on"/"off"."""


@dataclass(frozen=True)
class Second:
    """What one direction of a link did in the second that ended at `at`."""

    at: Stamp
    link: str
    direction: Direction
    counters: Counters


class Mark(NamedTuple):
    """A word somebody wrote into the log."""

    at: Stamp
    word: str


class Cut(NamedTuple):
    """A time in which a direction let nothing through; `end` None: it had not ended."""

    start: Stamp
    end: Stamp | None


@dataclass(frozen=True)
class Packet:
    """One packet's way; its fate is "forwarded" or the reason of its drop."""

    link: str
    dir: str
    fate: str
    in_ns: int
    """Wall clock when the sender's kernel put it on the wire."""
    due_ns: int
    """When it should have left."""
    out_ns: int
    """When it did; 0 for a dropped one."""
    length: int
    version: int
    protocol: int
    dst: str
    """Address it went to; empty for what is no IP packet."""
    id: int
    sport: int
    """-1: has none."""
    dport: int
    dscp: int
    key: str
    """Hex: ICMP id and sequence; TCP sequence number; first 8 bytes of a UDP payload."""
    held_back: bool


@dataclass(frozen=True)
class Truth:
    """The truth log, in order of time."""

    changes: list[Change] = field(default_factory=list)
    seconds: list[Second] = field(default_factory=list)
    marks: list[Mark] = field(default_factory=list)

    def cuts(self, link: str, direction: Direction, knob: str = "state") -> list[Cut]:
        """When a direction was down (`knob="power"`: without power)."""
        cuts: list[Cut] = []
        start: Stamp | None = None
        for change in self._of(link, direction):
            word = change.knobs.get(knob)
            if word in ("down", "off") and start is None:
                start = change.at
            elif word in ("up", "on") and start is not None:
                cuts.append(Cut(start, change.at))
                start = None
        return cuts if start is None else [*cuts, Cut(start, None)]

    def total(self, link: str, direction: Direction, name: str) -> int:
        """Sum of one counter over all seconds logged."""
        rows = (s for s in self.seconds if (s.link, s.direction) == (link, direction))
        return sum(getattr(row.counters, name) for row in rows)

    def _of(self, link: str, direction: Direction) -> Iterator[Change]:
        for change in self.changes:
            if change.name == link and change.direction in (direction, Direction.BOTH):
                yield change


def read_truth(path: Path) -> Truth:
    """Parse a truth log; a last line still being written is left out."""
    truth = Truth()
    for row in _rows(path):
        at, kind = Stamp(row["real_ns"], row["boot_ns"]), row["kind"]
        if kind == "change":
            change = Change(at, row["link"], Direction(row["dir"]), row["set"])
            truth.changes.append(change)
        elif kind == "bottleneck":
            truth.changes.append(Change(at, row["name"], None, row["set"]))
        elif kind == "second":
            second = Second(at, row["link"], Direction(row["dir"]), counters_of(row))
            truth.seconds.append(second)
        elif kind == "mark":
            truth.marks.append(Mark(at, row["name"]))
    return truth


def read_packets(path: Path) -> list[Packet]:
    """Parse a per-packet log, in order of fate, not of arrival."""
    return [Packet(**row) for row in _rows(path)]


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    with path.open(encoding="ascii") as lines:
        for line in lines:
            if line.endswith("\n"):
                yield json.loads(line)
