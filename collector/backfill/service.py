"""Sends what is settled to every endpoint, beside the collector, for as long as it runs."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import NamedTuple

import aiohttp
from prometheus_client import CollectorRegistry

from collector.audit.evidence import Span
from collector.backfill.counters import BackfillCounters
from collector.backfill.remote_write import Point, Verdict
from collector.backfill.send import Sender, Unwilling
from collector.backfill.series import MINUTE_S, LinkSeries, minute_of, split
from collector.backfill.store import BackfillStore, Late, chunks
from collector.inventory import Inventory
from collector.ledger import LedgerError
from collector.settings import EndpointSettings, Located
from runtime.clock import SECOND, Clock

log = logging.getLogger(__name__)
LOOK_EVERY_S = 10.0
"""Between looks for what has settled; a look that found something is followed by another."""
CHUNK_S = 3600
"""Of one link, read at once: with MOST_POINTS it bounds the memory."""


class Portion(NamedTuple):
    """What is sent before the cursors move."""

    points: list[Point]
    sent_s: dict[str, int]
    """The UTC second until which the links are sent with it."""
    since_s: int
    """Everything that was settled by then is sent already."""


class Source:
    """Points of settled minutes, as one endpoint is to have them."""

    def __init__(
        self, store: BackfillStore, inventory: Callable[[], Inventory], extra: Mapping[str, str]
    ) -> None:
        self._store, self._inventory, self._extra = store, inventory, extra
        self._made: tuple[Inventory | None, dict[str, LinkSeries]] = None, {}

    def links(self) -> list[str]:
        """All links of the inventory."""
        return list(self._inventory().links)

    def points(self, link: str, span: Span) -> list[Point]:
        """All of a link within whole minutes; nothing of one that the inventory knows no more."""
        inventory = self._inventory()
        if self._made[0] is not inventory:
            self._made = inventory, {}
        known, made = inventory.links.get(link), self._made[1]
        if known is None:
            return []
        if link not in made:
            made[link] = LinkSeries(known, self._extra)
        packets = made[link].packets(self._store.trains(link, span))
        return [*packets, *made[link].states(self._store.intervals(link, span))]


class Walk:
    """One endpoint's way through the settled minutes. Calls from one thread at a time."""

    def __init__(
        self, store: BackfillStore, source: Source, endpoint: EndpointSettings, clock: Clock
    ) -> None:
        self._store, self._source, self._endpoint, self._clock = store, source, endpoint, clock
        self._turn = 0

    def begin(self) -> None:
        """Before everything else."""
        self._store.begin(self._endpoint.name)

    def _now_s(self) -> int:
        return self._clock.wall_ns() // SECOND

    def _due(self) -> dict[str, Span]:
        """What is settled and was not sent, by link: never beyond now."""
        sent, now_s = self._store.sent(self._endpoint.name), self._now_s()
        # Two minutes later than that: what is sent must not become too old on the way.
        first_s = minute_of(int(now_s - self._endpoint.max_age_s)) + 2 * MINUTE_S
        due = {}
        for link, settled in self._store.settled(self._source.links()).items():
            start_s = sent.get(link, max(settled.start_s, first_s))
            span = Span(start_s, min(settled.end_s, minute_of(now_s)))
            if span.length_s > 0:
                due[link] = span
        return due

    def next(self) -> Portion | None:
        """The next portion, of about as many points as a request holds; None where nothing is
        due."""
        due = self._due()
        if not due:
            return None
        names = sorted(due)
        self._turn %= len(names)
        points: list[Point] = []
        sent_s: dict[str, int] = {}
        for link in names[self._turn :] + names[: self._turn]:
            span = chunks(due[link], CHUNK_S)[0]
            points += self._source.points(link, span)
            sent_s[link] = span.end_s
            self._turn += 1
            if len(points) >= self._endpoint.batch_samples:
                break
        return Portion(points, sent_s, min(span.start_s for span in due.values()))

    def sent(self, portion: Portion) -> None:
        """The endpoint has answered for all of it."""
        self._store.advance(self._endpoint.name, portion.sent_s)

    def late(self) -> list[Late]:
        """What changed behind the walk and is settled again. To be asked before `next`."""
        self._store.look_behind(self._endpoint.name)
        waiting = self._store.late(self._endpoint.name)
        if not waiting:
            return []
        links = set(self._source.links())
        self.sent_again([one for one in waiting if one[0] not in links])
        settled = self._store.settled(link for link, _ in waiting if link in links)
        return [
            (link, span)
            for link, span in waiting
            if link in settled and span.end_s <= settled[link].end_s
        ]

    def points(self, link: str, span: Span) -> list[Point]:
        """All of a link within whole minutes."""
        return self._source.points(link, span)

    def sent_again(self, late: Sequence[Late]) -> None:
        """The endpoint has answered for all of it."""
        if late:
            self._store.sent_again(self._endpoint.name, late)

    def split(self, points: list[Point]) -> tuple[list[Point], int]:
        """The points that are not too old for this endpoint, and how many are."""
        return split(points, int((self._now_s() - self._endpoint.max_age_s) * 1000))


async def deliver(
    sender: Sender,
    session: aiohttp.ClientSession,
    walk: Walk,
    points: list[Point],
    most_tries: int | None = None,
) -> None:
    """Send points in requests of the endpoint's size. Raises Unwilling; see Sender.deliver."""
    most = sender.endpoint.batch_samples
    for at in range(0, len(points), most):
        good, too_old = walk.split(points[at : at + most])
        if too_old:
            sender.counters.refuse(Verdict.TOO_OLD, too_old)
        await sender.deliver(session, good, most_tries)


class Backfill:
    """All endpoints."""

    def __init__(
        self,
        located: Located,
        store: BackfillStore,
        inventory: Callable[[], Inventory],
        registry: CollectorRegistry,
        clock: Clock,
    ) -> None:
        self._store, self._clock = store, clock
        endpoints = located.settings.backfill
        # Without endpoints nothing is registered: a page needs no families without series.
        counters = BackfillCounters(registry if endpoints else CollectorRegistry())
        self._names = tuple(one.name for one in endpoints)
        self._pairs = [
            (
                Walk(store, Source(store, inventory, one.labels), one, clock),
                Sender(located, one, counters.of(one.name), clock),
            )
            for one in endpoints
        ]
        for walk, _ in self._pairs:
            walk.begin()
        store.forget(self._names)

    def tasks(self) -> dict[str, Callable[[], Awaitable[None]]]:
        """One for each endpoint, to run for ever: a slow one keeps no other waiting."""
        return {
            f"backfill {sender.endpoint.name}": partial(self._run, walk, sender)
            for walk, sender in self._pairs
        }

    async def _run(self, walk: Walk, sender: Sender) -> None:
        async with sender.session() as session:
            while True:
                pause_s = LOOK_EVERY_S
                try:
                    while await self._step(walk, sender, session):
                        continue
                except Unwilling as error:
                    log.debug("backfill %s: %s", sender.endpoint.name, error)
                    pause_s = sender.pause_s
                except LedgerError as error:
                    log.error("backfill %s: waits: %s", sender.endpoint.name, error)
                await asyncio.sleep(pause_s)

    async def _step(self, walk: Walk, sender: Sender, session: aiohttp.ClientSession) -> bool:
        """Send what changed behind the walk, and a portion; whether there was anything."""
        late = await asyncio.to_thread(walk.late)
        for link, span in late:
            for chunk in chunks(span, CHUNK_S):
                points = await asyncio.to_thread(walk.points, link, chunk)
                sender.counters.resent.inc(len(points))
                await deliver(sender, session, walk, points)
            await asyncio.to_thread(walk.sent_again, [(link, span)])
        portion = await asyncio.to_thread(walk.next)
        now_s = self._clock.wall_ns() // SECOND
        sender.counters.until.set(now_s if portion is None else portion.since_s)
        if portion is None:
            await asyncio.to_thread(self._store.forget, self._names)
            return bool(late)
        await deliver(sender, session, walk, portion.points)
        await asyncio.to_thread(walk.sent, portion)
        return True
