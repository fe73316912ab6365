"""When each target's next packet is due: pure, `now` is an argument.

Periodic sampling with a random start (RFC 3432) and up to 5 % of uniform jitter, so that targets
never march in step. It never catches up: slots that passed while nobody asked are missed, their
sequence numbers are used up, and only a slot that is still fresh is handed out. One queue for all
targets; where there are many, due times fall on a common grid, so that one wake-up serves many.
"""

from heapq import heappop, heappush
from random import Random
from typing import NamedTuple

_SECOND_NS = 1_000_000_000
JITTER_PARTS = 20
"""Jitter is at most one part in 20 of the interval."""
GRID_NS = 50_000_000
"""Due times are rounded up to this grid above BUSY_PER_S: 20 wake-ups a second in all. It is no
more than the jitter of a 1-s interval, and shorter intervals get a finer grid. Above CROWDED_PER_S
it is twice as coarse: a wake-up costs as much as four packets."""
BUSY_PER_S = 100
CROWDED_PER_S = 500
_FRESH_NS = 50_000_000


class Slot(NamedTuple):
    """A packet to send now."""

    key: int
    seq: int
    due_ns: int


class Missed(NamedTuple):
    """Slots that passed unused: `first_seq` was due at `due_ns`."""

    key: int
    first_seq: int
    last_seq: int
    due_ns: int


class Turn(NamedTuple):
    """What one look at the schedule found."""

    slots: list[Slot]
    """The earliest due first."""
    missed: list[Missed]


class _Entry:
    __slots__ = ("fresh_ns", "interval_ns", "origin_ns", "seq", "span_ns")

    def __init__(self, interval_ns: int, origin_ns: int, seq: int) -> None:
        self.interval_ns = interval_ns
        self.origin_ns = origin_ns
        self.seq = seq
        self.span_ns = interval_ns // JITTER_PARTS
        """The most that a packet is displaced."""
        self.fresh_ns = max(_FRESH_NS, interval_ns // 4)
        """How late a slot may be and still be sent: after a stall the targets that missed
        theirs wait for the next one, in place of all sending at once."""

    def fresh(self, due_ns: int, now_ns: int) -> bool:
        """Whether the slot that was due at `due_ns` can still be used."""
        next_ns = self.origin_ns + (self.seq + 1) * self.interval_ns
        return now_ns < next_ns and now_ns - due_ns <= self.fresh_ns

    def miss(self, now_ns: int) -> int:
        """Go on to the next slot that can be used; returns the first of those that were missed."""
        first_seq = self.seq
        newest = (now_ns - self.origin_ns) // self.interval_ns
        began_ns = self.origin_ns + newest * self.interval_ns
        fresh = newest > first_seq and now_ns - began_ns <= self.fresh_ns
        self.seq = newest if fresh else max(newest, first_seq) + 1
        return first_seq


class Schedule:
    """The due times of all targets, by the boot clock."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self._entries: dict[int, _Entry] = {}
        self._due: dict[int, list[int]] = {}
        self._heap: list[int] = []
        self._per_s = 0.0

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def busy(self) -> bool:
        """Whether there is so much to send that wake-ups are shared."""
        return self._per_s > BUSY_PER_S

    def next_ns(self) -> int | None:
        """When to look again; None where there is nothing to send."""
        return self._heap[0] if self._heap else None

    def add(self, key: int, interval_ns: int, *, now_ns: int, first_seq: int = 0) -> None:
        """Begin with `first_seq` at a random moment of the next interval. Keys are never reused."""
        start_ns = now_ns + int(self._random.random() * interval_ns)
        entry = _Entry(interval_ns, start_ns - first_seq * interval_ns, first_seq)
        self._entries[key] = entry
        self._per_s += _SECOND_NS / interval_ns
        self._plan(key, entry)

    def remove(self, key: int) -> None:
        """Forget a target; its place in the queue goes when it comes up."""
        entry = self._entries.pop(key)
        self._per_s -= _SECOND_NS / entry.interval_ns

    def take(self, now_ns: int) -> Turn:
        """The slots to send now, at most one per target, and those that were missed."""
        turn = Turn([], [])
        while self._heap and self._heap[0] <= now_ns:
            due_ns = heappop(self._heap)
            for key in self._due.pop(due_ns):
                entry = self._entries.get(key)
                if entry is None:
                    continue
                if entry.fresh(due_ns, now_ns):
                    turn.slots.append(Slot(key, entry.seq, due_ns))
                    entry.seq += 1
                else:
                    first_seq = entry.miss(now_ns)
                    turn.missed.append(Missed(key, first_seq, entry.seq - 1, due_ns))
                self._plan(key, entry)
        return turn

    def _plan(self, key: int, entry: _Entry) -> None:
        span_ns = entry.span_ns
        due_ns = (
            entry.origin_ns + entry.seq * entry.interval_ns + int(self._random.random() * span_ns)
        )
        if self._per_s > BUSY_PER_S:
            grid_ns = GRID_NS if span_ns > GRID_NS else span_ns
            if self._per_s > CROWDED_PER_S:
                grid_ns *= 2
            due_ns = -(-due_ns // grid_ns) * grid_ns
        keys = self._due.get(due_ns)
        if keys is None:
            self._due[due_ns] = [key]
            heappush(self._heap, due_ns)
        else:
            keys.append(key)
