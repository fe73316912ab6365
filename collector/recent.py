"""The last day of every link in half hours, and its last outage: what the board shows beside now.

From the evidence, so late reports fill the holes that a cut has left. Views only.
"""

import asyncio
import logging
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from collector.answers import Answers
from collector.ledger import LedgerError
from collector.ledger.outages import Kept
from collector.ledger.recent import Arrivals, Minute
from runtime.clock import SECOND, Clock

log = logging.getLogger(__name__)
BIN_S = 1800
BINS = 48
DAY_S = 86_400
LOOK_EVERY_S = 5.0
CHUNK = 2000
OUTAGES_EVERY_S = 10
OUTAGES_BACK_S = 31 * DAY_S


class Bin(NamedTuple):
    """Half an hour of a link; None where nothing is known."""

    rtt_s: float | None
    """Mean of the packets that came back."""
    loss_ratio: float | None


class Day:
    """The last BINS half hours of all links, by number of the half hour since 1970."""

    def __init__(self) -> None:
        self._slot: dict[str, int] = {}
        self._number = np.full((0, BINS), -1, np.int64)
        self._sums = np.zeros((0, BINS, 3), np.int64)
        """Sent, lost, nanoseconds of all round trips: whole numbers, so that the order of arrival
        makes no difference."""

    def take(self, minutes: Iterable[Minute]) -> None:
        """Count these in; what is older than a day by what is known already is left out."""
        for one in minutes:
            row, number = self._row(one.link), one.at_s // BIN_S
            place = number % BINS
            if self._number[row, place] > number:
                continue
            if self._number[row, place] < number:
                self._number[row, place] = number
                self._sums[row, place] = 0
            self._sums[row, place] += (one.sent, one.lost, one.rtt_sum_ns)

    def _row(self, link: str) -> int:
        row = self._slot.get(link)
        if row is None:
            row = self._slot[link] = len(self._slot)
            if row >= len(self._number):
                grown = max(64, 2 * len(self._number)) - len(self._number)
                self._number = np.concatenate((self._number, np.full((grown, BINS), -1, np.int64)))
                self._sums = np.concatenate((self._sums, np.zeros((grown, BINS, 3), np.int64)))
        return row

    def bins(self, link: str, now_s: float) -> list[Bin]:
        """The half hours up to now, the oldest first."""
        newest = int(now_s) // BIN_S
        numbers = np.arange(newest - BINS + 1, newest + 1)
        row = self._slot.get(link)
        if row is None:
            return [Bin(None, None)] * BINS
        places = numbers % BINS
        held = self._number[row, places] == numbers
        return [
            _bin(sums) if known else Bin(None, None)
            for known, sums in zip(held.tolist(), self._sums[row, places], strict=True)
        ]


def _bin(sums: npt.NDArray[np.int64]) -> Bin:
    sent, lost, rtt_sum_ns = sums.tolist()
    received = sent - lost
    return Bin(
        rtt_sum_ns / received / SECOND if received > 0 else None, lost / sent if sent > 0 else None
    )


class Recent:
    """Kept up in a thread for as long as the collector runs."""

    def __init__(self, arrivals: Arrivals, answers: Answers, clock: Clock) -> None:
        self._arrivals, self._answers, self._clock = arrivals, answers, clock
        self.day = Day()
        self.outages: dict[str, Kept] = {}
        """The newest outage of each link that had any in OUTAGES_BACK_S."""
        self._after: int | None = None
        self._looked_s = -OUTAGES_EVERY_S

    async def run(self) -> None:
        """For ever."""
        while True:
            try:
                more = await asyncio.to_thread(self.step)
            except LedgerError as error:
                log.error("the last day is not shown for now: %s", error)
                more = False
            # Others want the ledger too: what is behind is caught up with in small steps.
            await asyncio.sleep(0.05 if more else LOOK_EVERY_S)

    def step(self) -> bool:
        """Take some of what arrived; whether there is more."""
        now_s = self._clock.wall_ns() // SECOND
        if self._after is None:
            self._after = self._arrivals.before((now_s - DAY_S) * SECOND)
        found = self._arrivals.minutes(self._after, CHUNK)
        if found:
            self.day.take(found)
            self._after = found[-1].batch_id
        if now_s >= self._looked_s + OUTAGES_EVERY_S:
            self._looked_s = now_s
            self.outages = self._answers.latest(now_s - OUTAGES_BACK_S)
        return len(found) == CHUNK
