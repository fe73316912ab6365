"""What the views of a link showed in a span, out of its strip; all that attribution asks of it."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from collector.audit.evidence import Span
from collector.audit.strip import Mark, Strip, View

HOLD_S = 60
"""A mark speaks for the seconds until the next one of its view, but not for longer than this:
lower layers are asked every 1 to 60 s."""
LEAST_S = 10
"""What lasts less is loss (n = 10, methodology 1.1)."""
_CODES = 1 << 2 * len(View)
_MARKS = np.array([[code >> 2 * view & 3 for code in range(_CODES)] for view in View], np.uint8)
_ALIVE = (_MARKS[View.JOURNAL] == Mark.OK) | (
    _MARKS[[View.HUB, View.ANCHOR, View.FIRST_HOP, View.GATEWAY]] != Mark.NONE
).any(axis=0)

_UP = (_MARKS[View.HUB] == Mark.OK) | (_MARKS[View.ANCHOR] == Mark.OK)

Times = npt.NDArray[np.int64]
Columns = tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.uint16]]
Flags = npt.NDArray[np.bool_]


class Count(NamedTuple):
    """Seconds of one view by what it showed; `unsent` are not among the `asked`."""

    ok: int
    lost: int
    unsent: int

    @property
    def asked(self) -> int:
        """Seconds in which a packet was sent."""
        return self.ok + self.lost

    @property
    def answers(self) -> bool:
        """At least half of what was asked came back."""
        return self.ok > 0 and self.ok >= self.lost

    @property
    def silent(self) -> bool:
        """It was asked, or should have been, and less than half came back."""
        return self.lost + self.unsent > self.ok


class Sights:
    """A strip, by time."""

    def __init__(self, strip: Strip) -> None:
        self._edges = np.concatenate(([0], np.cumsum(strip.lengths))).astype(np.int64)
        self._edges += strip.start_s
        self._codes = strip.codes
        self.start_s, self.end_s = int(self._edges[0]), int(self._edges[-1])

    @cached_property
    def _when_up(self) -> dict[View, Count]:
        """What each view showed while the link was up."""
        whole = np.bincount(self._codes, weights=np.diff(self._edges), minlength=_CODES)
        when_up = np.where(_UP, whole, 0.0)
        return {
            view: _count(np.bincount(_MARKS[view], weights=when_up, minlength=4)) for view in View
        }

    def believed(self, view: View) -> bool:
        """A target that does not answer while the link is up proves nothing when it is down."""
        return self._when_up[view].answers

    def while_up(self, view: View, span: Span) -> Count:
        """What `view` showed in those seconds of `span` in which the link was up."""
        starts, ends, codes = self._within(span)
        lengths = np.where(_UP[codes], ends - starts, 0)
        return _count(np.bincount(_MARKS[view][codes], weights=lengths, minlength=4))

    def count(self, view: View, span: Span) -> Count:
        """What `view` showed in `span`."""
        starts, ends, codes = self._within(span)
        return _count(np.bincount(_MARKS[view][codes], weights=ends - starts, minlength=4))

    def silences(self, span: Span) -> list[Span]:
        """Where nothing shows that the agent lived."""
        starts, ends, codes = self._within(span)
        return _as_spans(*_held(starts, ends, ~_ALIVE[codes], 0))

    def lost(self, view: View, span: Span) -> list[Span]:
        """Where `view` was not answered for 10 s or more."""
        return self._lasting(view, (Mark.LOST, Mark.UNSENT), span)

    def answered(self, view: View, span: Span) -> list[Span]:
        """Where `view` was answered for 10 s or more."""
        return self._lasting(view, (Mark.OK,), span)

    def _lasting(self, view: View, marks: tuple[Mark, ...], span: Span) -> list[Span]:
        """Each mark from the first to the last is one of `marks`, but for less than 10 s."""
        starts, ends, codes = self._within(span)
        seen = _MARKS[view][codes]
        known = seen != Mark.NONE
        held = np.isin(seen[known], marks)
        return _as_spans(*_sustained(*_held(starts[known], ends[known], held, HOLD_S)))

    def _within(self, span: Span) -> Columns:
        low, high = max(span.start_s, self.start_s), min(span.end_s, self.end_s)
        if low >= high:
            none = np.empty(0, np.int64)
            return none, none, np.empty(0, np.uint16)
        first = int(np.searchsorted(self._edges, low, "right")) - 1
        last = int(np.searchsorted(self._edges, high, "left"))
        edges = self._edges[first : last + 1].clip(low, high)
        return edges[:-1], edges[1:], self._codes[first:last]


def _count(seconds: npt.NDArray[np.generic]) -> Count:
    by_mark = [int(one) for one in seconds.tolist()]
    return Count(by_mark[Mark.OK], by_mark[Mark.LOST], by_mark[Mark.UNSENT])


def _held(starts: Times, ends: Times, held: Flags, hold_s: int) -> tuple[Times, Times]:
    """Maximal rows of held pieces no further than `hold_s` apart, with none between not held."""
    if not held.any():
        return starts[:0], ends[:0]
    far = starts[1:] - ends[:-1] > hold_s
    heads = np.flatnonzero(np.concatenate(([True], (held[1:] != held[:-1]) | far)))
    tails = np.append(heads[1:], len(held)) - 1
    chosen = held[heads]
    return starts[heads[chosen]], ends[tails[chosen]]


def _sustained(starts: Times, ends: Times) -> tuple[Times, Times]:
    """From the first of LEAST_S to where the next is LEAST_S away (ITU-T G.826: n in, n out)."""
    if not len(starts):
        return starts, ends
    chains = np.cumsum(np.concatenate(([0], starts[1:] - ends[:-1] >= LEAST_S)))
    _, firsts = np.unique(chains[(long := ends - starts >= LEAST_S)], return_index=True)
    kept = chains[long][firsts]
    last = np.flatnonzero(np.concatenate((chains[1:] != chains[:-1], [True])))
    return starts[long][firsts], ends[last][kept]


def _as_spans(starts: Times, ends: Times) -> list[Span]:
    return [Span(a, b) for a, b in zip(starts.tolist(), ends.tolist(), strict=True)]


def within(spans: Iterable[Span], span: Span) -> list[Span]:
    """The parts of `spans` that lie in `span`."""
    cut = (Span(max(a, span.start_s), min(b, span.end_s)) for a, b in spans)
    return [one for one in cut if one.length_s > 0]


def touching(spans: Sequence[Span], span: Span) -> Sequence[Span]:
    """Those of `spans`, which are in order and apart, that share a second with `span`."""
    low = bisect_right(spans, span.start_s, key=_end_s)
    return spans[low : bisect_left(spans, span.end_s, key=_start_s)]


def _start_s(span: Span) -> int:
    return span.start_s


def _end_s(span: Span) -> int:
    return span.end_s


def without(span: Span, spans: Iterable[Span]) -> list[Span]:
    """What of `span` is in none of `spans`, which are in order and apart."""
    rest, at = [], span.start_s
    for one in within(spans, span):
        if one.start_s > at:
            rest.append(Span(at, one.start_s))
        at = max(at, one.end_s)
    if at < span.end_s:
        rest.append(Span(at, span.end_s))
    return rest
