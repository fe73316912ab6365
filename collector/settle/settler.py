"""Keeps the derived tables in step with the ledger: reads new batches, weaves what they touch.

It runs beside the ingest and never before it: a batch is acknowledged when it is durable, and read
for the audit when there is time. Steps are short, so that commits never wait for a month.
"""

import logging
from collections.abc import Callable, Sequence
from itertools import groupby
from typing import NamedTuple

from collector.audit.evidence import Span
from collector.ledger.derived import DerivedStore
from collector.ledger.derived_schema import Unread
from collector.settle.derive import Speaker, derive
from collector.settle.gather import Clocks, weave_span

log = logging.getLogger(__name__)
BATCHES = 200
"""Read in one transaction."""
HOURS = 200
"""Woven, each in part, before the caller is asked again."""
_SAY_EVERY = 20_000


class Touched(NamedTuple):
    """Seconds of a link that show something else than before."""

    link: str
    span: Span


class Settler:
    """Brings the derived tables up to the newest batch, step by step. Calls from one thread."""

    def __init__(self, store: DerivedStore, speaker: Callable[[bytes], Speaker | None]) -> None:
        """`speaker` knows an agent by its id; None where the inventory knows it no more."""
        self._store, self._speaker = store, speaker
        self._told = 0

    def step(self) -> list[Touched]:
        """Read and weave some; the links whose seconds changed. Empty when all is done."""
        unread = self._store.unread(BATCHES)
        if unread:
            self._read(unread)
        return self._weave()

    def busy(self) -> bool:
        """Whether batches wait to be read or hours to be woven."""
        return bool(self._store.behind() or self._store.dirty(1))

    def _read(self, unread: Sequence[Unread]) -> None:
        self._store.derive(
            [derive(one, self._speaker(one.batch.header.agent_id) or _NOBODY) for one in unread]
        )
        behind = self._store.behind()
        self._told += len(unread)
        if behind and self._told >= _SAY_EVERY:
            self._told = 0
            log.info("reading the ledger for the audit: %d batches to go", behind)

    def _weave(self) -> list[Touched]:
        clocks = Clocks(self._store)
        touched = []
        dirty = sorted(self._store.dirty(HOURS))
        for link, rows in groupby(dirty, key=lambda row: row[0]):
            pieces = [weave_span(self._store, clocks, link, span) for _, span in rows]
            span = self._store.keep(link, pieces)
            if span is not None:
                touched.append(Touched(link, span))
        return touched


_NOBODY = Speaker((), lambda link, target: None)
