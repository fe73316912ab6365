"""What arrived of late, in the order of arrival: for views that keep the last day in memory."""

from typing import NamedTuple

import msgspec

from collector.audit.histogram import Histogram
from collector.inventory import HUB_TARGET
from collector.ledger.sqlite import SqliteLedger

NS = 1_000_000_000


class Minute(NamedTuple):
    """One batch's packets to the hub, a minute's as a rule."""

    batch_id: int
    link: str
    at_s: int
    """When it begins, UTC seconds."""
    sent: int
    lost: int
    rtt_sum_ns: int


class Passage(NamedTuple):
    """The same by its round-trip times and by direction."""

    at_s: int
    rtts: Histogram
    sent: int
    forward_lost: int | None
    """On the way to the hub; None where the reflector's counter does not tell."""
    reverse_lost: int | None


_counts = msgspec.msgpack.Decoder(dict[int, int]).decode


class Arrivals:
    """Asked from one thread at a time."""

    def __init__(self, ledger: SqliteLedger) -> None:
        self._ledger = ledger

    def before(self, wall_ns: int) -> int:
        """The number of the last batch that arrived before then; 0 for none.

        By bisection: numbers and times of arrival rise together, and batches are many.
        """
        low, high = 0, int(self._ledger.rows("SELECT coalesce(max(id), 0) FROM batch")[0][0])
        while low < high:
            middle = (low + high + 1) // 2
            row = self._ledger.rows(
                "SELECT id, received_wall_ns FROM batch WHERE id <= ? ORDER BY id DESC LIMIT 1",
                (middle,),
            )
            if row and row[0][1] >= wall_ns:
                high = min(middle, row[0][0]) - 1
            else:
                low = middle
        return low

    def minutes(self, after: int, limit: int) -> list[Minute]:
        """Packets to the hub of batches after this number, as they arrived.

        Only those that have a place on the calendar.
        """
        rows = self._ledger.rows(
            "SELECT t.batch_id, t.link, (t.first_boot_ns + p.offset_ns) / ?, t.sent, t.lost,"
            " t.rtt_sum_ns FROM train t JOIN placement p ON p.batch_id=t.batch_id"
            " WHERE t.batch_id > ? AND t.target=? AND p.placed_by<>'received'"
            " ORDER BY t.batch_id LIMIT ?",
            (NS, after, HUB_TARGET, limit),
        )
        return [Minute(*row) for row in rows]

    def passages(self, link: str, start_s: int, end_s: int) -> list[Passage]:
        """Packets of one link to the hub, batch by batch, of batches that began in
        [start_s, end_s), in order."""
        rows = self._ledger.rows(
            "SELECT d.at_s, d.counts, d.lost, t.sent, t.forward_lost, t.reverse_lost FROM delay d"
            " JOIN placement p ON p.batch_id=d.batch_id JOIN train t"
            " ON t.batch_id=d.batch_id AND t.link=d.link AND t.target=d.target"
            " WHERE d.link=? AND d.target=? AND d.at_s>=? AND d.at_s<? AND p.placed_by<>'received'"
            " ORDER BY d.at_s",
            (link, HUB_TARGET, start_s, end_s),
        )
        return [
            Passage(row[0], Histogram(_counts(row[1]), row[2]), row[3], row[4], row[5])
            for row in rows
        ]
