"""Stretches laid on the calendar and woven into a strip: pure, whatever order they come in.

A slot marks the second in which its packet was sent. Packets once a second are sent with a little
jitter, so a second may see two and its neighbour none: where the sequence runs on, the empty one
shows what the packet before it showed. Rarer packets to the hub stand for the whole of their
interval; rarer ones to other places mark their own second only, because an anchor that answered
nine seconds ago says nothing of a cut since.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from collector.audit.strip import Codes, Mark, Strip, View
from collector.settle.stretch import Beat, Stretch

SECOND = 1_000_000_000
_STEADY_NS = 1_100_000_000
"""Up to this interval a target is asked every second."""
JOURNAL_HOLE_S = 15
"""Heartbeats come every 10 s: a shorter hole between two records is no silence."""
Numbers = npt.NDArray[np.int64]


class Placed(NamedTuple):
    """A stretch and where its boot clock stands: `wall_ns` of each beat, in order."""

    run: bytes
    """The agent's epoch: within it sequence numbers run on."""
    stretch: Stretch
    wall_ns: tuple[int, ...]


class _Slots(NamedTuple):
    """Slots of one target, by time."""

    second: Numbers
    seq: Numbers
    mark: Numbers


def _expand(beats: Iterable[tuple[Beat, int]], interval_ns: int, start_s: int) -> _Slots:
    rows = [(wall_ns, beat.first_seq, beat.slots, beat.mark) for beat, wall_ns in beats]
    wall, seq, count, mark = (np.array(column, np.int64) for column in zip(*rows, strict=True))
    step = np.arange(int(count.sum())) - np.repeat(np.cumsum(count) - count, count)
    at = np.repeat(wall, count) + step * interval_ns
    return _Slots(at // SECOND - start_s, np.repeat(seq, count) + step, np.repeat(mark, count))


def _hold_s(view: View, interval_ns: int) -> int:
    """Seconds that one packet of a running sequence stands for."""
    if interval_ns <= _STEADY_NS or view is View.HUB:
        return max(1, round(interval_ns / SECOND))
    return 0


def _held(slots: _Slots, hold_s: int) -> tuple[Numbers, Numbers]:
    """(second, mark) of the empty seconds between a packet and the next of its sequence."""
    order = np.lexsort((slots.seq, slots.second))
    second, seq, mark = slots.second[order], slots.seq[order], slots.mark[order]
    between = np.diff(second) - 1
    runs_on = (np.diff(seq) == 1) & (between >= 1) & (between <= hold_s)
    at = np.flatnonzero(runs_on)
    count = between[at]
    if not len(at):
        return np.empty(0, np.int64), np.empty(0, np.int64)
    step = np.arange(int(count.sum())) - np.repeat(np.cumsum(count) - count, count)
    return np.repeat(second[at] + 1, count) + step, np.repeat(mark[at], count)


def _tally(second: Numbers, mark: Numbers, length: int) -> npt.NDArray[np.uint8]:
    """One mark per second, from the marks of its packets."""
    inside = (second >= 0) & (second < length)
    second, mark = second[inside], mark[inside]

    def count(which: Mark) -> Numbers:
        return np.bincount(second[mark == which], minlength=length)

    good, lost, unsent = count(Mark.OK), count(Mark.LOST), count(Mark.UNSENT)
    marks = np.zeros(length, np.uint8)
    marks[unsent > 0] = Mark.UNSENT
    marks[lost > good] = Mark.LOST
    marks[(good > 0) & (good >= lost)] = Mark.OK
    return marks


def _target(placed: Sequence[Placed], start_s: int, length: int) -> npt.NDArray[np.uint8]:
    """One target's marks over the seconds."""
    seconds: list[Numbers] = []
    marks: list[Numbers] = []
    groups: dict[tuple[bytes, int], list[Placed]] = {}
    for one in placed:
        groups.setdefault((one.run, one.stretch.interval_ns), []).append(one)
    for (_, interval_ns), members in sorted(groups.items()):
        beats = (
            pair for one in members for pair in zip(one.stretch.beats, one.wall_ns, strict=True)
        )
        slots = _expand(beats, interval_ns, start_s)
        seconds.append(slots.second)
        marks.append(slots.mark)
        hold_s = _hold_s(members[0].stretch.view, interval_ns)
        if hold_s:
            second, mark = _held(slots, hold_s)
            seconds.append(second)
            marks.append(mark)
    return _tally(np.concatenate(seconds), np.concatenate(marks), length)


_ORDER = np.array([0, 3, 2, 1], np.uint8)
"""Marks by how much they outweigh: OK beats LOST beats UNSENT beats NONE. Its own inverse."""


def _any(rows: list[npt.NDArray[np.uint8]]) -> npt.NDArray[np.uint8]:
    """One view of several targets: OK where one of them answered."""
    weight = np.maximum.reduce([_ORDER[row] for row in rows])
    return _ORDER[weight]


def _closed(marks: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """The journal without holes that are shorter than two heartbeats are apart."""
    ran = np.flatnonzero(marks == Mark.OK)
    for at in np.flatnonzero((np.diff(ran) > 1) & (np.diff(ran) <= JOURNAL_HOLE_S)):
        marks[ran[at] : ran[at + 1]] = Mark.OK
    return marks


def weave(placed: Sequence[Placed], start_s: int, end_s: int) -> Strip:
    """What every UTC second of [start_s, end_s) showed."""
    length = end_s - start_s
    targets: dict[tuple[View, str], list[Placed]] = {}
    for one in placed:
        targets.setdefault((one.stretch.view, one.stretch.target), []).append(one)
    views: dict[View, list[npt.NDArray[np.uint8]]] = {}
    for (view, _), members in sorted(targets.items()):
        views.setdefault(view, []).append(_target(members, start_s, length))
    codes: Codes = np.zeros(length, np.uint16)
    for view, rows in views.items():
        marks = _any(rows)
        if view is View.JOURNAL:
            marks = _closed(marks)
        codes |= marks.astype(np.uint16) << np.uint16(2 * view)
    return Strip.of_seconds(start_s, codes)
