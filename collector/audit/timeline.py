"""From what every second showed to UP, DOWN and UNKNOWN: the machine of MEF 10.3 and ITU-T G.826.

An interval of `bin_s` seconds is bad if more than the threshold's share of its known seconds is.
`bins_in` bad ones in a row make the link unavailable, from the first of them on; `bins_out` good
ones in a row make it available, from the first of them on; at the beginning and after each silence
the link is available unless `bins_in` bad ones follow at once (A_0).

A silence, more than BRIDGE_S seconds in a row in which nothing was asked, is UNKNOWN, and the
machine begins anew behind it. A shorter hole is evidence of nothing: it neither counts towards nor
breaks a row, and holds the state before it. Why 2 s: packets go once a second, displaced by up to
5 %, so where they fall near a second's edge one second is at times passed over (never two in a
row), and a seam of two clock mappings or one missed slot may take one more.
"""

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from fractions import Fraction
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from collector.audit.evidence import Span
from collector.audit.intervals import Run
from collector.audit.rules import UnavailabilityRule
from collector.audit.states import State
from collector.audit.strip import Lengths, Mark, Strip, View, mark

BRIDGE_S = 2
"""Longest hole that is not a silence."""


class Shown(IntEnum):
    """What the link itself showed in one second."""

    NOTHING = 0
    """no packet beyond the CPE was asked for"""
    GOOD = 1
    """the hub or an anchor answered"""
    BAD = 2
    """neither did, and at least one was asked or could not be for want of a way out"""


Kinds = npt.NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Showing:
    """What was shown, as runs: `shown[k]` holds for the seconds [edges[k], edges[k + 1])."""

    edges: Lengths
    shown: Kinds

    @property
    def start_s(self) -> int:
        """First second."""
        return int(self.edges[0])

    @property
    def end_s(self) -> int:
        """First second after it."""
        return int(self.edges[-1])

    def slice(self, start_s: int, end_s: int) -> "Showing":
        """The part of it within [start_s, end_s)."""
        low = min(max(start_s, self.start_s), self.end_s)
        high = max(low, min(end_s, self.end_s))
        if low == high:
            return Showing(np.array([low], np.int64), np.empty(0, np.uint8))
        first = int(np.searchsorted(self.edges, low, "right")) - 1
        last = int(np.searchsorted(self.edges, high, "left"))
        edges = self.edges[first : last + 1].copy()
        edges[0], edges[-1] = low, high
        return Showing(edges, self.shown[first:last])

    @classmethod
    def only(cls, shown: Shown, start_s: int, end_s: int) -> "Showing":
        """The same in all seconds of [start_s, end_s)."""
        return cls(np.array([start_s, end_s], np.int64), np.array([shown], np.uint8))


def glue(parts: Sequence[Showing]) -> Showing:
    """Parts that follow one another, as one. Raises ValueError where one does not."""
    for before, after in itertools.pairwise(parts):
        if before.end_s != after.start_s:
            raise ValueError(f"showing ends at {before.end_s}, the next begins at {after.start_s}")
    starts = np.concatenate([one.edges[:-1] for one in parts])
    return _merged(starts, parts[-1].end_s, np.concatenate([one.shown for one in parts]))


def _merged(starts: Lengths, end_s: int, shown: Kinds) -> Showing:
    first = heads(shown)
    return Showing(np.append(starts[first], end_s), shown[first])


def heads(keys: npt.NDArray[np.generic]) -> npt.NDArray[np.intp]:
    """Where a run of equal keys begins."""
    if not len(keys):
        return np.empty(0, np.intp)
    return np.flatnonzero(np.concatenate(([True], keys[1:] != keys[:-1])))


def _shown(code: int, hub_off: bool) -> Shown:
    hub, anchor = mark(code, View.HUB), mark(code, View.ANCHOR)
    if Mark.OK in (hub, anchor):
        return Shown.GOOD
    asked = anchor if hub_off else max(hub, anchor)
    return Shown.BAD if asked in (Mark.LOST, Mark.UNSENT) else Shown.NOTHING


_CODES = 1 << 2 * (max(View.HUB, View.ANCHOR) + 1)
_TABLE = np.array([[_shown(code, off) for code in range(_CODES)] for off in (False, True)], "u1")


def showing(strip: Strip, hub_off: Iterable[Span] = ()) -> Showing:
    """What each second of `strip` showed; within `hub_off` a loss to the hub shows nothing."""
    edges = np.concatenate(([0], np.cumsum(strip.lengths))).astype(np.int64) + strip.start_s
    if not len(strip.codes):
        return Showing(edges, np.empty(0, np.uint8))
    spans = np.array([(one.start_s, one.end_s) for one in hub_off], np.int64).reshape(-1, 2)
    off: npt.NDArray[np.bool_] | int = 0
    codes = strip.codes
    if len(spans):
        cuts = spans.clip(edges[0], edges[-1]).ravel()
        starts = np.unique(np.concatenate((edges, cuts)))[:-1]
        codes = codes[np.searchsorted(edges, starts, "right") - 1]
        begun = np.searchsorted(np.sort(spans[:, 0]), starts, "right")
        over = np.searchsorted(np.sort(spans[:, 1]), starts, "right")
        off = begun > over
    else:
        starts = edges[:-1]
    shown = _TABLE[np.asarray(off).astype(np.intp), codes & (_CODES - 1)]
    return _merged(starts, int(edges[-1]), shown)


# --- intervals of the rule


class Rows(NamedTuple):
    """Rows of known intervals and the silences between them, in order, as columns.

    `kinds` is GOOD, BAD or, for a silence, NOTHING; `starts` and `ends` are the first known second
    and the end of the last; `counts` the number of intervals that hold a known second."""

    kinds: Kinds
    starts: Lengths
    ends: Lengths
    counts: Lengths

    def taken(self, which: npt.NDArray[np.bool_]) -> "Rows":
        """Those where `which` is true."""
        kinds, starts, ends, counts = self
        at = np.flatnonzero(which)
        return Rows(kinds[at], starts[at], ends[at], counts[at])

    def merged(self, keys: npt.NDArray[np.generic]) -> "Rows":
        """Neighbours with the same key as one row."""
        first = heads(keys)
        if not len(first):
            return self
        last = np.append(first[1:], len(keys)) - 1
        counts = np.add.reduceat(self.counts, first)
        return Rows(self.kinds[first], self.starts[first], self.ends[last], counts)


def rows(seen: Showing, rule: UnavailabilityRule, cuts: Lengths | None = None) -> Rows:
    """Intervals of `rule`, aligned to multiples of its length since 1970, equal neighbours mostly
    as one row; no row reaches over one of the `cuts`, seconds, but an interval may."""
    edges, kinds, size = seen.edges, seen.shown, rule.bin_s
    silence = (kinds == Shown.NOTHING) & (np.diff(edges) > BRIDGE_S)
    wanted = np.empty(0, np.int64) if cuts is None else np.unique(cuts // size * size)
    if size > 1:
        wanted = np.unique(np.concatenate((wanted, edges // size * size, -(-edges // size) * size)))
    wanted = wanted[(wanted > seen.start_s) & (wanted < seen.end_s)]
    places = np.searchsorted(edges, wanted)
    new = edges[places] != wanted
    wanted, places = wanted[new], places[new]
    if len(places):
        edges = np.insert(edges, places, wanted)
        kinds = np.insert(kinds, places, kinds[places - 1])
        silence = np.insert(silence, places, silence[places - 1])
    found = Rows(kinds, edges[:-1], edges[1:], np.diff(edges))
    found = found.taken(silence | (kinds != Shown.NOTHING))
    if size > 1 or rule.loss_threshold >= 1:
        return _judged(found, rule)
    return found


def _judged(pieces: Rows, rule: UnavailabilityRule) -> Rows:
    """Pieces of at most one interval, or of whole ones that showed the same, as intervals."""
    if not len(pieces.kinds):
        return pieces
    threshold = Fraction(str(rule.loss_threshold))
    silent = pieces.kinds == Shown.NOTHING
    first = heads(np.where(silent, -1 - np.arange(len(silent)), pieces.starts // rule.bin_s))
    known = np.add.reduceat(np.where(silent, 0, pieces.counts), first)
    bad = np.add.reduceat(np.where(pieces.kinds == Shown.BAD, pieces.counts, 0), first)
    worse = bad * threshold.denominator > threshold.numerator * known
    kinds = np.where(worse, Shown.BAD, Shown.GOOD).astype(np.uint8)
    kinds[silent[first]] = Shown.NOTHING
    starts, ends = pieces.starts[first], pieces.ends[np.append(first[1:], len(silent)) - 1]
    return Rows(kinds, starts, ends, -((starts - ends) // rule.bin_s))


# --- the machine


class Settled(NamedTuple):
    """What is certain of some seconds, whatever comes before and after them."""

    head: Showing
    """The seconds before, whose state hangs on what came before them."""
    runs: tuple[Run, ...]
    """Follow one another and differ; empty where nothing is certain."""
    tail: Showing
    """The seconds after."""


_UP, _DOWN, _UNKNOWN = range(3)
_STATES = (State.UP, State.DOWN, State.UNKNOWN)
_STATE_OF = np.array([_UNKNOWN, _UP, _DOWN])
"""By Shown: the state of a silence, and of a row long enough to count."""


def settle(seen: Showing, rule: UnavailabilityRule, before: State | None = None) -> Settled:
    """The states of `seen`, as far as they are certain.

    `before` is the certain state of the second before it, None if nothing is known of that. A row
    that reaches to the end is certain once it is long enough to count; so is a silence.
    """
    found = rows(seen, rule)
    found = found.merged(found.kinds)
    kinds, starts, ends, counts = found
    needed = np.array([0, rule.bins_out, rule.bins_in])[kinds]
    enough = counts >= needed
    if before is None and not enough.any():
        return Settled(seen, (), seen.slice(seen.end_s, seen.end_s))
    if not len(kinds):
        return Settled(seen.slice(seen.start_s, seen.start_s), (), seen)
    at, held = starts, _DOWN if before is State.DOWN else _UP
    states = _filled(kinds, enough, held)
    if before is None:
        first = int(np.argmax(enough))
        at, states = at[first:], states[first:]
    elif seen.start_s < at[0]:
        at, states = np.append(seen.start_s, at), np.append(held, states)
    from_s, to_s = int(at[0]), int(ends[-1] if enough[-1] else starts[-1])
    head, tail = seen.slice(seen.start_s, from_s), seen.slice(to_s, seen.end_s)
    return Settled(head, _runs(at, states, to_s), tail)


def _filled(kinds: Kinds, enough: npt.NDArray[np.bool_], held: int) -> npt.NDArray[np.intp]:
    """The state of every row: that of the last one that counted; behind a silence it is UP."""
    last = np.maximum.accumulate(np.where(enough, np.arange(len(kinds)), -1))
    own = _STATE_OF[kinds]
    after = np.where(own == _UNKNOWN, _UP, own)[last]
    states = np.where(last < 0, held, after)
    return np.where(own == _UNKNOWN, _UNKNOWN, states)


def _runs(starts: Lengths, states: npt.NDArray[np.intp], end_s: int) -> tuple[Run, ...]:
    first = heads(states)
    edges = [*starts[first].tolist(), end_s]
    kinds = [_STATES[one] for one in states[first].tolist()]
    cut = zip(itertools.pairwise(edges), kinds, strict=True)
    return tuple(Run(start, end, state) for (start, end), state in cut if start < end)


def judge(seen: Showing, rule: UnavailabilityRule) -> tuple[Run, ...]:
    """The states of all seconds of `seen`; outside of it nothing is known."""
    if seen.start_s == seen.end_s:
        return ()
    margin = BRIDGE_S + 1
    before = Showing.only(Shown.NOTHING, seen.start_s - margin, seen.start_s)
    after = Showing.only(Shown.NOTHING, seen.end_s, seen.end_s + margin)
    return clip(settle(glue([before, seen, after]), rule).runs, seen.start_s, seen.end_s)


def runs(strip: Strip, rule: UnavailabilityRule, hub_off: Iterable[Span] = ()) -> tuple[Run, ...]:
    """The states of all seconds of `strip`, margin included: see `clip`."""
    return judge(showing(strip, hub_off), rule)


def clip(found: Iterable[Run], start_s: int, end_s: int) -> tuple[Run, ...]:
    """The part of the runs within [start_s, end_s)."""
    cut = (Run(max(one.start_s, start_s), min(one.end_s, end_s), one.state) for one in found)
    return tuple(one for one in cut if one.start_s < one.end_s)
