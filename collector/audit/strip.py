"""What every second of a link showed, run by run: the input of all availability.

A strip holds one code per UTC second: for each View two bits, its Mark. Only a packet that was sent
in a second marks that second (methodology 1.3: a status belongs to the send second); a second
without a mark is NONE, never OK and never LOST.
"""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
import numpy.typing as npt

Codes = npt.NDArray[np.uint16]
Lengths = npt.NDArray[np.int64]


class View(IntEnum):
    """Who looks at what: the layers of evidence about one link (methodology 2.2, E1, E3)."""

    HUB = 0
    """node to the hub's reflector, by STAMP: anchor A"""
    ANCHOR = 1
    """node to any independent anchor: OK if one of them answered"""
    FIRST_HOP = 2
    """node to the provider's first router; its silence alone proves nothing"""
    GATEWAY = 3
    """node to the CPE on its own LAN"""
    OUTSIDE = 4
    """hub's prober to the CPE, from outside"""
    JOURNAL = 5
    """OK while the agent's process ran, by its own signed records"""


class Mark(IntEnum):
    """What one view showed in one second."""

    NONE = 0
    """nothing was asked, or nothing is known of it (yet)"""
    OK = 1
    """answered: at least half of the packets sent in this second came back"""
    LOST = 2
    """asked and more than half of it not answered (MEF C = 50 %)"""
    UNSENT = 3
    """due and not sent: no route, interface down; the way out was missing at the node itself"""


def pack(marks: dict[View, Mark]) -> int:
    """The code of a second that shows these marks."""
    return sum(mark << 2 * view for view, mark in marks.items())


def mark(code: int, view: View) -> Mark:
    """What `view` shows in `code`."""
    return Mark(code >> 2 * view & 3)


@dataclass(frozen=True, eq=False)
class Strip:
    """Codes of the seconds [start_s, end_s), as runs: `codes[k]` holds for `lengths[k]` seconds.

    Neighbouring runs differ, every length is at least 1.
    """

    start_s: int
    lengths: Lengths
    codes: Codes

    @property
    def end_s(self) -> int:
        """First UTC second after the strip."""
        return self.start_s + int(self.lengths.sum())

    @classmethod
    def of_seconds(cls, start_s: int, seconds: Codes) -> "Strip":
        """The strip of one code per second."""
        if not len(seconds):
            return cls(start_s, np.empty(0, np.int64), np.empty(0, np.uint16))
        heads = np.flatnonzero(np.diff(seconds, prepend=~seconds[:1]))
        lengths = np.diff(heads, append=len(seconds)).astype(np.int64)
        return cls(start_s, lengths, seconds[heads].astype(np.uint16))

    @classmethod
    def nothing(cls, start_s: int, end_s: int) -> "Strip":
        """Seconds of which nothing is known."""
        return cls.of_seconds(start_s, np.zeros(end_s - start_s, np.uint16))

    def seconds(self) -> Codes:
        """One code per second."""
        return np.repeat(self.codes, self.lengths)

    def slice(self, start_s: int, end_s: int) -> "Strip":
        """The part within [start_s, end_s); outside of this strip nothing is known."""
        low = min(max(start_s, self.start_s), max(end_s, start_s))
        high = max(low, min(end_s, self.end_s))
        edges = np.append(self.start_s, self.start_s + np.cumsum(self.lengths))
        first = max(int(np.searchsorted(edges, low, "right")) - 1, 0)
        last = int(np.searchsorted(edges, high, "left"))
        inner = edges[first : last + 1].clip(low, high)
        lengths = np.concatenate(([low - start_s], np.diff(inner), [max(end_s - high, 0)]))
        codes = np.concatenate(([0], self.codes[first:last], [0])).astype(np.uint16)
        return _whole(start_s, lengths, codes)

    def runs(self) -> Iterator[tuple[int, int, int]]:
        """(start_s, end_s, code) of every run."""
        at = self.start_s
        for length, code in zip(self.lengths.tolist(), self.codes.tolist(), strict=True):
            yield at, at + length, code
            at += length

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Strip)
            and self.start_s == other.start_s
            and np.array_equal(self.lengths, other.lengths)
            and np.array_equal(self.codes, other.codes)
        )

    __hash__ = None  # type: ignore[assignment]

    def to_bytes(self) -> bytes:
        """Lengths (uint32) and codes (uint16), little-endian; `start_s` is kept beside it."""
        return self.lengths.astype("<u4").tobytes() + self.codes.astype("<u2").tobytes()

    @classmethod
    def from_bytes(cls, start_s: int, data: bytes) -> "Strip":
        """What `to_bytes` wrote. Raises ValueError for anything else."""
        if len(data) % 6:
            raise ValueError(f"strip of {len(data)} bytes, expected 6 for each run")
        runs = len(data) // 6
        lengths = np.frombuffer(data, "<u4", runs).astype(np.int64)
        codes = np.frombuffer(data, "<u2", runs, runs * 4).astype(np.uint16)
        return cls(start_s, lengths, codes)


def join(strips: list[Strip]) -> Strip:
    """Strips that follow one another, as one. Raises ValueError where one does not."""
    for before, after in itertools.pairwise(strips):
        if before.end_s != after.start_s:
            raise ValueError(f"strip ends at {before.end_s}, the next begins at {after.start_s}")
    lengths = np.concatenate([strip.lengths for strip in strips])
    codes = np.concatenate([strip.codes for strip in strips])
    # Only where two meet may runs be alike: a month has a million runs and seven hundred hours.
    ends = np.cumsum([len(strip.codes) for strip in strips])
    meets = np.unique(ends[(ends > 0) & (ends < len(codes))])
    alike = meets[codes[meets - 1] == codes[meets]]
    if not len(alike):
        return Strip(strips[0].start_s, lengths, codes)
    for at in alike[::-1].tolist():
        lengths[at - 1] += lengths[at]
    return Strip(strips[0].start_s, np.delete(lengths, alike), np.delete(codes, alike))


def _whole(start_s: int, lengths: Lengths, codes: Codes) -> Strip:
    """The strip of these runs, of which some may be empty or like their neighbours."""
    held = lengths > 0
    lengths, codes = lengths[held], codes[held]
    if not len(codes):
        return Strip(start_s, lengths, codes)
    heads = np.flatnonzero(np.diff(codes, prepend=~codes[:1]))
    return Strip(start_s, np.add.reduceat(lengths, heads), codes[heads])
