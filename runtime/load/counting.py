"""Arrivals in their bins: octets, packets, losses, reordering, duplicates, delays. Pure."""

from array import array
from collections.abc import Sequence
from typing import NamedTuple

from wire.load import HEAD
from wire.transfer import BIN_NS, MAX_BINS, MAX_SAMPLES

_RING = 1 << 17
"""Numbers that are remembered: a packet later than so many others is counted as late only."""
_SEEN = -1
DELAY_NS = 5_000_000
_WIDTHS_NS = (BIN_NS, 10 * BIN_NS, 20 * BIN_NS)
"""Up to 300 s, 3,000 s, and the longest grant."""


class Row(NamedTuple):
    """One datagram's header, as `wire.load.DATAGRAM` without its tag."""

    kind: int
    flags: int
    zero: int
    number: int
    stamp_ns: int


def bin_width_ns(duration_ns: int) -> int:
    """100 ms, or wider where a record would be too long."""
    return next((one for one in _WIDTHS_NS if duration_ns <= one * MAX_BINS), _WIDTHS_NS[-1])


class Bins:
    """Octets by bins from the first arrival on; those that come after the end are not counted."""

    def __init__(self, duration_ns: int) -> None:
        self.width_ns = bin_width_ns(duration_ns)
        self.count = max(1, -(-duration_ns // self.width_ns))
        self.octets = [0] * self.count
        self.begin_ns: int | None = None

    def at(self, now_ns: int) -> int:
        """The bin of this moment; `count` for one after the end."""
        if self.begin_ns is None:
            self.begin_ns = now_ns
        return min(max(0, (now_ns - self.begin_ns) // self.width_ns), self.count)

    def spread(self, since_ns: int, now_ns: int, octets: int) -> None:
        """Octets that came some time between two moments: evenly."""
        if self.begin_ns is None:
            self.begin_ns = since_ns
        left_ns, left = now_ns - since_ns, octets
        while left:
            index = self.at(since_ns)
            if index >= self.count:
                return
            edge_ns = self.begin_ns + (index + 1) * self.width_ns
            part_ns = min(edge_ns, now_ns) - since_ns
            part = left if part_ns >= left_ns else left * part_ns // left_ns
            self.octets[index] += part
            since_ns, left_ns, left = since_ns + part_ns, left_ns - part_ns, left - part


class Tally(NamedTuple):
    """Since the last report."""

    errors: int
    delay_range_us: int
    octets: int


class Arrivals:
    """What became of a stream of numbered packets."""

    def __init__(self, duration_ns: int, packet_bytes: int) -> None:
        self.bins = Bins(duration_ns)
        self._packet_bytes = packet_bytes
        count = self.bins.count
        self.packets = [0] * count
        self.lost = [0] * count
        self.reordered = [0] * count
        self.duplicated = [0] * count
        self._ring = array("i", [_SEEN]) * _RING
        self._next = 0
        self.delay_interval_ns = max(DELAY_NS, -(-duration_ns // (MAX_SAMPLES - 1)))
        self._delays: list[int | None] = [None] * (-(-duration_ns // self.delay_interval_ns))
        self._least_ns: int | None = None
        self._errors, self._octets, self._most_ns = 0, 0, 0
        self.all_octets = 0
        self.late = 0
        """Packets after the last bin."""

    def take(self, rows: Sequence[Sequence[int]], at_ns: int) -> None:
        """Datagrams that came together at this moment; rows as `Row`."""
        index = self.bins.at(at_ns)
        count = len(rows)
        octets = count * self._packet_bytes
        self._octets += octets
        self.all_octets += octets
        self._delay(rows[0], at_ns)
        numbers = [row[3] for row in rows]
        if numbers[0] == self._next and numbers == list(range(self._next, self._next + count)):
            self._mark(self._next, count, _SEEN)
            self._next += count
        else:
            for number in numbers:
                self._one(number, index)
        if index < self.bins.count:
            self.bins.octets[index] += octets
            self.packets[index] += count
        else:
            self.late += count

    def _mark(self, first: int, count: int, value: int) -> None:
        if count >= _RING:
            first, count = first + count - _RING, _RING
        at = first % _RING
        before = min(count, _RING - at)
        self._ring[at : at + before] = array("i", [value]) * before
        self._ring[: count - before] = array("i", [value]) * (count - before)

    def _one(self, number: int, index: int) -> None:
        place = min(index, self.bins.count - 1)
        if number >= self._next:
            gap = number - self._next
            if gap:
                self.lost[place] += gap
                self._errors += gap
                self._mark(self._next, gap, place)
            self._mark(number, 1, _SEEN)
            self._next = number + 1
            return
        self._errors += 1
        if self._next - number > _RING:
            self.reordered[place] += 1
            return
        noticed = self._ring[number % _RING]
        if noticed == _SEEN:
            self.duplicated[place] += 1
            return
        self._ring[number % _RING] = _SEEN
        self.lost[noticed] -= 1
        self.reordered[place] += 1

    def _delay(self, row: Sequence[int], at_ns: int) -> None:
        if not row[1] & HEAD:
            return
        delay_ns = at_ns - row[4]
        if self._least_ns is None or delay_ns < self._least_ns:
            self._least_ns = delay_ns
        self._most_ns = max(self._most_ns, delay_ns - self._least_ns)
        assert self.bins.begin_ns is not None
        slot = (at_ns - self.bins.begin_ns) // self.delay_interval_ns
        if 0 <= slot < len(self._delays) and self._delays[slot] is None:
            self._delays[slot] = delay_ns

    def report(self) -> Tally:
        """What happened since the last report."""
        tally = Tally(self._errors, self._most_ns // 1000, self._octets)
        self._errors, self._octets, self._most_ns = 0, 0, 0
        return tally

    def finish(self, sent: int | None) -> None:
        """The sender numbered so many: those that never came after the last are lost."""
        if sent is not None and sent > self._next:
            self.lost[-1] += sent - self._next
            self._next = sent

    @property
    def delay_us(self) -> list[int | None]:
        """Samples less the least of them."""
        least = self._least_ns
        if least is None:
            return []
        return [None if one is None else (one - least) // 1000 for one in self._delays]
