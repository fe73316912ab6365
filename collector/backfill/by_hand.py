"""`pantau-collector backfill`: a period sent again because somebody says so, with progress.

The cursors of the running collector stay where they are: what a store has already it takes again.
"""

import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import aiohttp
from prometheus_client import CollectorRegistry
from rich.console import Console
from rich.progress import Progress

from collector import inventory
from collector.audit.evidence import Span
from collector.backfill.counters import BackfillCounters
from collector.backfill.remote_write import Verdict
from collector.backfill.send import Sender, Unwilling
from collector.backfill.series import whole_minutes
from collector.backfill.service import CHUNK_S, Source, Walk, deliver
from collector.backfill.store import BackfillStore, chunks
from collector.ledger.derived import DerivedStore
from collector.ledger.outages import OutageStore
from collector.ledger.sqlite import SqliteLedger
from collector.settings import EndpointSettings, Located, read
from runtime.clock import SECOND, Clock
from runtime.settings import SettingsError

MOST_TRIES = 5
"""Someone waits at the terminal: an endpoint that is down is told, not waited for all night."""


class Wanted(NamedTuple):
    """What was asked for."""

    span: Span
    endpoint: str | None
    """None for all."""
    link: str | None


class Done(NamedTuple):
    """What became of it at one endpoint."""

    endpoint: str
    sent: int
    refused: dict[Verdict, int]

    def __str__(self) -> str:
        lost = ", ".join(f"{count:,} {why}" for why, count in self.refused.items() if count)
        return f"{self.endpoint}: {self.sent:,} samples sent, refused: {lost or 'none'}"


def _endpoints(located: Located, name: str | None) -> list[EndpointSettings]:
    known = located.settings.backfill
    chosen = [one for one in known if name in (None, one.name)]
    if not chosen:
        names = ", ".join(one.name for one in known) or "none"
        what = "no endpoint" if name is None else f"no endpoint {name!r}"
        raise SettingsError(f"{located.file}: backfill: {what}; known: {names}")
    return chosen


def run(config: Path, wanted: Wanted, clock: Clock) -> list[Done]:
    """Send the settled minutes of a period. Raises SettingsError, LedgerError or ValueError."""
    located = read(config)
    settings = located.settings
    links_file = located.path(settings.links_file)
    both = inventory.read(located.path(settings.nodes_file), links_file)
    if wanted.link is not None and wanted.link not in both.links:
        raise ValueError(f"{links_file}: no link {wanted.link!r}; see `links`")
    if wanted.span.length_s <= 0:
        raise ValueError("the period ends before it begins")
    endpoints = _endpoints(located, wanted.endpoint)
    ledger = SqliteLedger(located.data_dir / "ledger.db")
    try:
        derived = DerivedStore(ledger)
        store = BackfillStore(ledger, derived, OutageStore(ledger))
        if derived.behind():
            raise ValueError("batches are not judged yet: let the running collector do that first")
        pieces = _pieces(store, both, wanted, clock.wall_ns() // SECOND)
        counters = BackfillCounters(CollectorRegistry())
        done = []
        for one in endpoints:
            source = Source(store, lambda: both, one.labels)
            sender = Sender(located, one, counters.of(one.name), clock)
            done.append(asyncio.run(_send(sender, Walk(store, source, one, clock), pieces)))
        return done
    finally:
        ledger.close()


def _pieces(
    store: BackfillStore, both: inventory.Inventory, wanted: Wanted, now_s: int
) -> list[tuple[str, Span]]:
    """An hour of a link each, by time, of what is settled and not ahead of the clock."""
    links = list(both.links) if wanted.link is None else [wanted.link]
    asked = whole_minutes(wanted.span)
    pieces = []
    for link, settled in store.settled(links).items():
        start_s = max(settled.start_s, asked.start_s)
        end_s = min(settled.end_s, asked.end_s, now_s - now_s % 60)
        pieces += [(link, chunk) for chunk in chunks(Span(start_s, end_s), CHUNK_S)]
    return sorted(pieces, key=lambda piece: (piece[1], piece[0]))


async def _send(sender: Sender, walk: Walk, pieces: Sequence[tuple[str, Span]]) -> Done:
    counters, name = sender.counters, sender.endpoint.name
    console = Console(file=sys.stderr)
    async with sender.session() as session:
        with Progress(console=console, disable=not console.is_terminal) as progress:
            task = progress.add_task(name, total=len(pieces))
            for at in range(0, len(pieces)):
                await _piece(sender, session, walk, pieces[at])
                progress.update(task, advance=1, description=f"{name} {counters.taken:,} samples")
    return Done(name, counters.taken, counters.refused)


async def _piece(
    sender: Sender, session: aiohttp.ClientSession, walk: Walk, piece: tuple[str, Span]
) -> None:
    try:
        await deliver(sender, session, walk, walk.points(*piece), MOST_TRIES)
    except Unwilling as error:
        raise ValueError(
            f"endpoint {sender.endpoint.name!r} takes nothing: {error};"
            f" {sender.counters.taken:,} samples were sent before"
        ) from error
