"""The board's rows as they change, for all browsers that watch: Server-Sent Events.

Rows are made once a second for all of them, and only while somebody watches.
"""

import asyncio
import json
import os
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from aiohttp import web

from collector import smoke
from collector.board import Board, LinkRow
from collector.inventory import Inventory, Link
from collector.ledger.outages import Kept, Lane
from collector.live import LinkState
from collector.recent import Bin, Recent
from runtime.clock import SECOND, Clock

TICK_S = 1.0
SPARK_EVERY_TICKS = 60
WANTED_S = 30
"""How long rows go on being made for a page whose browser has not asked for the stream yet."""
REMEMBERED = 60
"""Messages that a browser which was away for a moment can still be told."""
SLICE = 50
"""Rows that are made at one go."""
BEHIND = 30
"""Messages that wait for a slow browser; one that is further behind has to begin anew."""
STILL_S = 15.0

LEVELS = 12
_SIGNS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
NOTHING = "."


class Now(NamedTuple):
    """What changes of a link's row; the order is the script's."""

    state: str
    why: str
    """Key of a text: a reason of the live road, or a cause by the evidence."""
    provisional: bool
    since_s: int | None
    rtt_ms: float | None
    loss_percent: float | None
    last_s: int | None
    """When the last outage began."""
    last_length_s: int | None
    """None while it lasts."""
    last_cause: str | None


def spark(bins: list[Bin]) -> str:
    """A sign for each half hour: its level among LEVELS of the link's own highest, and its step of
    loss. The level is that of the mean round-trip time."""
    highest = max((one.rtt_s for one in bins if one.rtt_s is not None), default=0.0)
    signs = []
    for one in bins:
        if one.loss_ratio is None:
            signs.append(NOTHING)
            continue
        step = smoke.step(one.loss_ratio)
        share = 0.0 if one.rtt_s is None or not highest else one.rtt_s / highest
        level = min(LEVELS - 1, round(share * (LEVELS - 1)))
        signs.append(_SIGNS[step * LEVELS + level])
    return "".join(signs)


def now_of(row: LinkRow, lasting_since_s: int | None, last: Kept | None) -> Now:
    """The changing part of a row."""
    reported, up = row.reported, row.known.state is LinkState.UP
    median_ns = None if reported is None else reported.rtt_median_ns
    loss = None
    if reported is not None and reported.sent:
        loss = round(100 * reported.lost / reported.sent, 1)
    outage = None if last is None else last.outage
    since_s, why, provisional = lasting_since_s, f"reason.{row.known.reason}", True
    if outage is not None and up and outage.end is not None:
        since_s = outage.end.at_s
    if last is not None and outage is not None and not up and _speaks(last, since_s):
        why, provisional = f"cause.{outage.cause}", not outage.settled
    return Now(
        state=row.known.state.value,
        why=why,
        provisional=provisional,
        since_s=since_s,
        rtt_ms=None if median_ns is None else round(median_ns / 1e6, 1),
        loss_percent=loss,
        last_s=None if outage is None else outage.start.at_s,
        last_length_s=None
        if outage is None or outage.end is None
        else outage.end.at_s - outage.start.at_s,
        last_cause=None if outage is None else f"cause.{outage.cause}",
    )


def _speaks(last: Kept, since_s: int | None) -> bool:
    """Whether the evidence speaks of the outage that lasts now, and not of one that is over."""
    end = last.outage.end
    lasts = end is None or (since_s is not None and end.at_s > since_s)
    return lasts and last.lane is Lane.EVIDENCE


class Snapshot(NamedTuple):
    """What a page begins with; what changes after `mark` is told by the stream."""

    mark: str
    rows: list[Now]
    sparks: list[str]


class Feed:
    """Rows of now, and who watches them."""

    def __init__(self, board: Board, recent: Recent, clock: Clock) -> None:
        self._board, self._recent, self._clock = board, recent, clock
        self._watching: set[asyncio.Queue[str | None]] = set()
        self._rows: list[Now] = []
        self._sparks: list[str] = []
        self._inventory: Inventory | None = None
        self._epoch, self._tick = os.urandom(4).hex(), 0
        self._told: deque[tuple[int, str]] = deque(maxlen=REMEMBERED)
        self._wanted_until_ns = 0
        self._ended = False

    def _now_rows(self) -> list[Now]:
        return self.rows_of(self._board.fleet.inventory.links.values())

    def rows_of(self, links: Iterable[Link]) -> list[Now]:
        """These links as they are known now."""
        found, now_ns = [], self._clock.boot_ns()
        for one in links:
            row, link = self._board.row(one, now_ns), one.id
            lasting = self._board.lasting.get(link)
            since_s = None if lasting is None else lasting.start.at_s
            found.append(now_of(row, since_s, self._recent.outages.get(link)))
        return found

    def _now_sparks(self) -> list[str]:
        now_s, day = self._clock.wall_ns() / SECOND, self._recent.day
        return [spark(day.bins(link, now_s)) for link in self._board.fleet.inventory.links]

    def _active(self) -> bool:
        return bool(self._watching) or self._clock.boot_ns() < self._wanted_until_ns

    def _begin(self) -> None:
        self._inventory = self._board.fleet.inventory
        self._rows, self._sparks = self._now_rows(), self._now_sparks()
        self._tick += 1
        # What was told before is of other rows.
        self._told.clear()

    def snapshot(self) -> Snapshot:
        """Every link, in the inventory's order."""
        if not self._active() or self._inventory is not self._board.fleet.inventory:
            self._begin()
        # A browser that has the page comes back for the stream.
        self._wanted_until_ns = self._clock.boot_ns() + WANTED_S * SECOND
        return Snapshot(f"{self._epoch}-{self._tick}", self._rows, self._sparks)

    async def run(self) -> None:
        """Tell whoever watches what has changed, for ever."""
        while True:
            await asyncio.sleep(TICK_S)
            if self._active():
                await self._step()

    async def _step(self) -> None:
        if self._inventory is None or self._inventory is not self._board.fleet.inventory:
            self._begin()
            self._tell("anew", [])
            return
        inventory, rows = self._inventory, list[Now]()
        links = list(inventory.links.values())
        for k in range(0, len(links), SLICE):
            rows += self.rows_of(links[k : k + SLICE])
            # The reflector answers from the same thread, and its answers are what is measured.
            await asyncio.sleep(0)
        if self._inventory is not inventory:
            return
        changed = [[k, *new] for k, new in enumerate(rows) if new != self._rows[k]]
        self._rows = rows
        self._tick += 1
        self._tell("rows", changed)
        if self._tick % SPARK_EVERY_TICKS == 0:
            sparks = self._now_sparks()
            self._tell("sparks", [[k, s] for k, s in enumerate(sparks) if s != self._sparks[k]])
            self._sparks = sparks

    def _after(self, mark: str) -> str:
        """What was told since this mark; all rows where that is not known any more."""
        epoch, _, tick = mark.partition("-")
        known = epoch == self._epoch and tick.isascii() and tick.isdigit() and len(tick) < 12
        oldest = self._told[0][0] if self._told else self._tick + 1
        if known and oldest - 1 <= int(tick) <= self._tick:
            return "".join(text for at, text in self._told if at > int(tick))
        if self._inventory is not self._board.fleet.inventory or not self._active():
            self._begin()
        rows = [[k, *row] for k, row in enumerate(self._rows)]
        sparks = [[k, one] for k, one in enumerate(self._sparks)]
        return self._message("rows", rows) + self._message("sparks", sparks)

    def _message(self, event: str, data: list[Any]) -> str:
        text = json.dumps(data, separators=(",", ":"))
        return f"id: {self._epoch}-{self._tick}\nevent: {event}\ndata: {text}\n\n"

    def _tell(self, event: str, data: list[Any]) -> None:
        if not data and event != "anew":
            return
        message = self._message(event, data)
        self._told.append((self._tick, message))
        for queue in list(self._watching):
            try:
                queue.put_nowait(message)
            except asyncio.QueueFull:
                # It reads no more: it is sent away, and begins anew if it ever comes back.
                self._watching.discard(queue)
                queue.get_nowait()
                queue.put_nowait(None)

    def close(self) -> None:
        """The collector stops: whoever watches is sent away, so that it can."""
        self._ended = True
        for queue in self._watching:
            while queue.full():
                queue.get_nowait()
            queue.put_nowait(None)

    async def stream(self, request: web.Request, allowed: Callable[[], bool]) -> web.StreamResponse:
        """All that changes from now on, until the browser goes or is not `allowed` any more."""
        answer = web.StreamResponse(
            headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store"}
        )
        # A proxy that collects first would make a live board a late one.
        answer.headers["X-Accel-Buffering"] = "no"
        await answer.prepare(request)
        queue: asyncio.Queue[str | None] = asyncio.Queue(BEHIND)
        mark = request.headers.get("Last-Event-ID") or request.query.get("after", "")
        missed = self._after(mark)
        self._watching.add(queue)
        checked_ns = self._clock.boot_ns()
        try:
            await answer.write(f"retry: 3000\n\n{missed}".encode())
            while not self._ended:
                try:
                    async with asyncio.timeout(STILL_S):
                        message = await queue.get()
                except TimeoutError:
                    message = ": still here\n\n"
                if message is None:
                    break
                await answer.write(message.encode())
                if self._clock.boot_ns() - checked_ns > 60 * SECOND:
                    checked_ns = self._clock.boot_ns()
                    if not allowed():
                        break
        except ConnectionError:
            # The browser went away: how every stream ends.
            return answer
        finally:
            self._watching.discard(queue)
        return answer
