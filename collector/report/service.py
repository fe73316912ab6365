"""Beside the ingest: hourly sums as hours end, and the month's audit when it is due.

The audit is made in a process of its own, because it takes a processor for minutes and the ingest
must not wait for it.
"""

import asyncio
import logging
import sys
from collections.abc import Callable
from pathlib import Path

from collector.audit.evidence import Span
from collector.inventory import HUB_TARGET, Inventory
from collector.ledger import LedgerError
from collector.ledger.derived_schema import HOUR_S
from collector.ledger.hours import HourStore
from collector.report import schedule
from collector.report.gather import AuditMaker
from collector.report.record import Scope
from collector.settings import Located
from runtime.clock import SECOND, Clock

log = logging.getLogger(__name__)
EVERY_S = 600.0
WAIT_S = 7200
"""An hour is summed up so long after its end: most of what is late has come by then."""
BACK_S = 30 * HOUR_S
"""At a start, so far back; what is older is summed up when it is asked for."""
AGAIN_S = 3600
"""After a failure."""


class AuditService:
    """Runs as long as the collector."""

    def __init__(
        self, located: Located, maker: AuditMaker, inventory: Callable[[], Inventory], clock: Clock
    ) -> None:
        self._located, self._maker = located, maker
        self._inventory, self._clock = inventory, clock
        self._summed_s: int | None = None
        self._done: str | None = None
        self._not_before_s = 0

    async def run(self) -> None:
        """A round every ten minutes, for ever."""
        while True:
            await asyncio.sleep(EVERY_S)
            await self.step()

    async def step(self) -> None:
        """Sum up the hours that have ended, and make the month's audit if it is due."""
        try:
            await asyncio.to_thread(self.sum_up)
            await self._monthly()
        except (LedgerError, OSError) as error:
            log.error("no audits for now: %s", error)

    def sum_up(self) -> None:
        """Of every link and every target that an audit asks about."""
        now_s = self._clock.wall_ns() // SECOND
        until_s = (now_s - WAIT_S) // HOUR_S * HOUR_S
        since_s = until_s - BACK_S if self._summed_s is None else self._summed_s
        if since_s >= until_s:
            return
        hours: HourStore = self._maker.hours
        span = Span(since_s, until_s)
        for link in self._inventory().links.values():
            for name in (HUB_TARGET, *(one.name for one in link.targets)):
                if link.reach_of(name) is not None:
                    hours.delays(link.id, name, span)
            hours.used(link.id, span)
        self._summed_s = until_s

    async def _monthly(self) -> None:
        settings = self._located.settings.audit
        now_s = self._clock.wall_ns() // SECOND
        if settings.schedule is None or now_s < self._not_before_s:
            return
        zone = self._maker.zone(self._maker.links(Scope()))
        month = schedule.due(settings.schedule, zone, now_s)
        if month is None or month == self._done:
            return
        if await _child(self._located.file):
            self._done = month
        else:
            self._not_before_s = now_s + AGAIN_S


async def _child(config: Path) -> bool:
    """`audit-monthly` in a process of its own; whether all was done."""
    words = ("-m", "collector", "audit-monthly", "--config.file", str(config))
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *words,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        said, _ = await process.communicate()
    except asyncio.CancelledError:
        process.kill()
        await process.wait()
        raise
    for line in said.decode(errors="replace").splitlines():
        log.log(logging.INFO if process.returncode == 0 else logging.ERROR, "audit: %s", line)
    return process.returncode == 0
