"""Search for the largest rate: RFC 9097 appendix A, as ITU-T/BBF TR-471 type B. Pure.

Rates are of IP packets. Below 1 Gbit/s the search jumps by ten rows until the first congestion
that lasts, falls back once by thirty, and then goes one row at a time. The table is the recommended
one; only where the bound is below 100 Mbit/s, a row is a hundredth of it instead of 1 Mbit/s, which
would be half of a slow link.
"""

from dataclasses import dataclass, field

from wire.load import Report

REPORT_NS = 50_000_000
ERRORS_MOST = 10
RANGE_LOW_US, RANGE_HIGH_US = 30_000, 90_000
_JUMP = 10
_PATIENCE = 3
_MEGABIT = 1_000_000
_HIGH_SPEED = 1000
"""Row of 1 Gbit/s: no jumps from here on."""
_FINEST = 100
"""Rows of a table for a slow link."""
_FIRST_SILENCE_NS = 190_000_000
"""Lost Status Backoff: (90 + (2 + 0) * 50) ms without a report, then 50 ms more each time."""


def rate_of(row: int, unit: int = _MEGABIT) -> int:
    """Half a unit, then one a row up to a thousand (1 Gbit/s), then a hundred a row."""
    if row == 0:
        return unit // 2
    if row <= _HIGH_SPEED:
        return row * unit
    return (_HIGH_SPEED + (row - _HIGH_SPEED) * 100) * unit


@dataclass
class Search:
    """The sender's side: a report comes in, a rate goes out."""

    most_bits_per_s: int
    row: int = 0
    _congested: int = 0
    _silences: int = field(default=0)

    @property
    def _unit(self) -> int:
        return min(_MEGABIT, max(1, self.most_bits_per_s // _FINEST))

    def rate(self) -> int:
        """What to offer now."""
        return min(rate_of(self.row, self._unit), self.most_bits_per_s)

    def hear(self, report: Report) -> int:
        """Take a report; returns what to offer now."""
        self._silences = 0
        many = report.errors > ERRORS_MOST
        if not many and report.delay_range_us < RANGE_LOW_US:
            self._up()
        elif many or report.delay_range_us > RANGE_HIGH_US:
            self._congested += 1
            self._down(3 * _JUMP if self._gives_up() else 1)
        return self.rate()

    def silence(self, since_ns: int) -> bool:
        """No report for so long: True where that was too long, and the rate has been lowered."""
        if since_ns < _FIRST_SILENCE_NS + self._silences * REPORT_NS:
            return False
        self._silences += 1
        self._congested += 1
        self._down(3 * _JUMP if self._gives_up() else 1)
        return True

    def _gives_up(self) -> bool:
        return self.row < _HIGH_SPEED and self._congested == _PATIENCE

    def _up(self) -> None:
        if rate_of(self.row, self._unit) >= self.most_bits_per_s:
            return
        if self.row < _HIGH_SPEED and self._congested < _PATIENCE:
            self._congested = 0
            self.row += _JUMP
        else:
            self.row += 1

    def _down(self, rows: int) -> None:
        self.row = max(0, self.row - rows)
