"""What the views of a link showed in a span, out of its strip; all that attribution asks of it."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from collector.audit.evidence import Span
from collector.audit.strip import Mark, Strip, View

HOLD_S = 60
"""A mark speaks for the seconds until the next one of its view, but not for longer than this:
lower layers are asked every 1 to 60 s."""
_CODES = 1 << 2 * len(View)
_MARKS = np.array([[code >> 2 * view & 3 for code in range(_CODES)] for view in View], np.uint8)
_ALIVE = (_MARKS[View.JOURNAL] == Mark.OK) | (
    _MARKS[[View.HUB, View.ANCHOR, View.FIRST_HOP, View.GATEWAY]] != Mark.NONE
).any(axis=0)

Columns = tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.uint16]]
Flags = npt.NDArray[np.bool_]
LOST = frozenset({Mark.LOST, Mark.UNSENT})


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
        whole = np.bincount(strip.codes, weights=strip.lengths, minlength=_CODES)
        up = (_MARKS[View.HUB] == Mark.OK) | (_MARKS[View.ANCHOR] == Mark.OK)
        self._when_up = {view: _count(np.where(up, whole, 0.0), view) for view in View}
        self.start_s, self.end_s = int(self._edges[0]), int(self._edges[-1])

    def believed(self, view: View) -> bool:
        """A target that does not answer while the link is up proves nothing when it is down."""
        return self._when_up[view].answers

    def count(self, view: View, span: Span) -> Count:
        """What `view` showed in `span`."""
        starts, ends, codes = self._within(span)
        return _count(
            np.bincount(codes, weights=ends - starts, minlength=_CODES).astype(np.float64), view
        )

    def silences(self, span: Span) -> list[Span]:
        """Where nothing shows that the agent lived."""
        starts, ends, codes = self._within(span)
        return _spans(starts, ends, ~_ALIVE[codes], 0)

    def stretches(self, view: View, marks: frozenset[Mark], span: Span) -> list[Span]:
        """Where each mark of `view` is one of `marks`, from the first to the last of them."""
        starts, ends, codes = self._within(span)
        seen = _MARKS[view][codes]
        known = seen != Mark.NONE
        return _spans(starts[known], ends[known], np.isin(seen[known], list(marks)), HOLD_S)

    def lost(self, view: View, span: Span) -> list[Span]:
        """Where `view` was not answered for 10 s or more (n = 10, methodology 1.1)."""
        return sustained(self.stretches(view, LOST, span))

    def answered(self, view: View, span: Span) -> list[Span]:
        """Where `view` was answered for 10 s or more."""
        return sustained(self.stretches(view, frozenset({Mark.OK}), span))

    def _within(self, span: Span) -> Columns:
        low, high = max(span.start_s, self.start_s), min(span.end_s, self.end_s)
        if low >= high:
            none = np.empty(0, np.int64)
            return none, none, np.empty(0, np.uint16)
        first = int(np.searchsorted(self._edges, low, "right")) - 1
        last = int(np.searchsorted(self._edges, high, "left"))
        edges = self._edges[first : last + 1].clip(low, high)
        return edges[:-1], edges[1:], self._codes[first:last]


def _count(weights: npt.NDArray[np.float64], view: View) -> Count:
    ok, lost, unsent = (
        int(weights[_MARKS[view] == kind].sum()) for kind in (Mark.OK, Mark.LOST, Mark.UNSENT)
    )
    return Count(ok, lost, unsent)


def _spans(
    starts: npt.NDArray[np.int64], ends: npt.NDArray[np.int64], held: Flags, hold_s: int
) -> list[Span]:
    """Maximal rows of held pieces no further than `hold_s` apart, with none between not held."""
    if not held.any():
        return []
    breaks = np.concatenate(([True], (held[1:] != held[:-1]) | (starts[1:] - ends[:-1] > hold_s)))
    heads = np.flatnonzero(breaks)
    tails = np.append(heads[1:], len(held)) - 1
    chosen = held[heads]
    return [
        Span(int(a), int(b))
        for a, b in zip(starts[heads[chosen]], ends[tails[chosen]], strict=True)
    ]


def sustained(spans: Sequence[Span], least_s: int = 10) -> list[Span]:
    """Begins with one of `least_s`, ends where the next is `least_s` away (ITU-T G.826)."""
    found: list[Span] = []
    for one in spans:
        if found and one.start_s - found[-1].end_s < least_s:
            found[-1] = Span(found[-1].start_s, one.end_s)
        elif one.length_s >= least_s:
            found.append(one)
    return found


def within(spans: Iterable[Span], span: Span) -> list[Span]:
    """The parts of `spans` that lie in `span`."""
    cut = (Span(max(a, span.start_s), min(b, span.end_s)) for a, b in spans)
    return [one for one in cut if one.length_s > 0]


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
