"""Sums of a link's evidence by UTC hour, kept beside what they are sums of: derivable again.

A month has forty thousand batches a link, and seven hundred hours. A sum is made when it is first
asked for and forgotten when a batch of its hour arrives or gets another place on the calendar
(`DerivedStore`), in the transaction in which that is noted.
"""

import hashlib
import itertools
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import msgspec

from collector.audit.evidence import Span
from collector.audit.histogram import Histogram, merge
from collector.audit.histogram import less as histogram_less
from collector.audit.variation import Variation, total, variation
from collector.audit.variation import less as variation_less
from collector.ledger.derived import DerivedStore
from collector.ledger.derived_schema import HOUR_S
from collector.ledger.sqlite import SqliteLedger

AT_ONCE = 24
"""Hours that are summed up in one transaction: the ingest waits for it."""


class HourDelays(NamedTuple):
    """Round-trip times to one target of the batches that began in one hour."""

    start_s: int
    batches: int
    rtts: Histogram
    variation: Variation


class Used(NamedTuple):
    """Which batches a link's period rests on, by one number."""

    batches: int
    sha256: str
    """In hex, over (start of the hour, 8 bytes big-endian; SHA-256 over the digests of the batches
    whose last record about the link lies in the hour, sorted) of every hour that has any."""


class Bunch(NamedTuple):
    """Batches of one epoch that touch something, from the first to the last number."""

    agent: str
    epoch: str
    first_seq: int
    last_seq: int


class _Packed(msgspec.Struct, frozen=True, array_like=True):
    batches: int
    counts: dict[int, int]
    lost: int
    least: dict[int, int]
    most: dict[int, int]


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_Packed).decode


def summed(start_s: int, batches: Iterable[Histogram]) -> HourDelays:
    """Batches of an hour as one."""
    each = list(batches)
    return HourDelays(start_s, len(each), merge(each), total(variation(one) for one in each))


def together(hours: Sequence[HourDelays]) -> HourDelays:
    """Hours, of which there is one at least, as one that begins with the first."""
    return HourDelays(
        hours[0].start_s,
        sum(one.batches for one in hours),
        merge(one.rtts for one in hours),
        total(one.variation for one in hours),
    )


def without(hour: HourDelays, batches: Sequence[Histogram]) -> HourDelays:
    """An hour without some of its batches. Raises ValueError where they are none of its."""
    if not batches:
        return hour
    return HourDelays(
        hour.start_s,
        hour.batches - len(batches),
        histogram_less(hour.rtts, batches),
        variation_less(hour.variation, (variation(one) for one in batches)),
    )


def pack(one: HourDelays) -> bytes:
    """As it is kept."""
    rtts, spread = one.rtts, one.variation
    return _encode(
        _Packed(one.batches, dict(rtts.counts), rtts.lost, dict(spread.least), dict(spread.most))
    )


def _unpack(start_s: int, data: bytes) -> HourDelays:
    one = _decode(data)
    return HourDelays(
        start_s, one.batches, Histogram(one.counts, one.lost), Variation(one.least, one.most)
    )


class HourStore:
    """Tables beside the ledger's own, on its connection."""

    def __init__(self, ledger: SqliteLedger, derived: DerivedStore) -> None:
        self._ledger, self._derived = ledger, derived

    # --- delays ---------------------------------------------------------------------------

    def delays(self, link: str, target: str, span: Span) -> list[HourDelays]:
        """The hours of a span, which begins and ends on full hours, of which anything is known.

        Raises ValueError for another span.
        """
        first, last = _hours(span)
        rows = self._ledger.rows(
            "SELECT hour, sum FROM delay_hour WHERE link=? AND target=? AND hour>=? AND hour<?",
            (link, target, first, last),
        )
        found = {hour: _unpack(hour * HOUR_S, data) for hour, data in rows}
        for missing in _runs(hour for hour in range(first, last) if hour not in found):
            for made in self._make_delays(link, target, missing):
                found[made.start_s // HOUR_S] = made
        return [found[hour] for hour in sorted(found)]

    def _make_delays(self, link: str, target: str, hours: range) -> list[HourDelays]:
        span = Span(hours.start * HOUR_S, hours.stop * HOUR_S)
        made = []
        with self._ledger.transaction() as db:
            by_hour = itertools.groupby(
                self._derived.read_delays(db, link, target, span), lambda row: row[0] // HOUR_S
            )
            for hour, rows in by_hour:
                one = summed(hour * HOUR_S, (histogram for _, histogram in rows))
                made.append(one)
                db.execute(
                    "INSERT OR REPLACE INTO delay_hour VALUES (?,?,?,?)",
                    (link, target, hour, pack(one)),
                )
        return made

    # --- which batches --------------------------------------------------------------------

    def used(self, link: str, span: Span) -> Used:
        """The batches whose last record about a link lies in the span, of full hours.

        Raises ValueError for another span.
        """
        first, last = _hours(span)
        rows = self._ledger.rows(
            "SELECT hour, batches, digest FROM evidence_hour WHERE link=? AND hour>=? AND hour<?",
            (link, first, last),
        )
        found = {row[0]: (row[1], row[2]) for row in rows}
        for missing in _runs(hour for hour in range(first, last) if hour not in found):
            found.update(self._make_used(link, missing))
        hasher = hashlib.sha256()
        for hour in sorted(found):
            hasher.update((hour * HOUR_S).to_bytes(8, "big") + found[hour][1])
        return Used(sum(batches for batches, _ in found.values()), hasher.hexdigest())

    def _make_used(self, link: str, hours: range) -> dict[int, tuple[int, bytes]]:
        by_hour: dict[int, set[bytes]] = {}
        with self._ledger.transaction() as db:
            for at_s, digest in db.execute(
                "SELECT s.to_s, b.digest FROM stretch s JOIN batch b ON b.id=s.batch_id"
                " WHERE s.link=? AND s.to_s>=? AND s.to_s<?",
                (link, hours.start * HOUR_S, hours.stop * HOUR_S),
            ):
                by_hour.setdefault(int(str(at_s)) // HOUR_S, set()).add(_bytes(digest))
            made = {
                hour: (len(digests), hashlib.sha256(b"".join(sorted(digests))).digest())
                for hour, digests in by_hour.items()
            }
            db.executemany(
                "INSERT OR REPLACE INTO evidence_hour VALUES (?,?,?,?)",
                [(link, hour, *one) for hour, one in made.items()],
            )
        return made

    def bunches(self, link: str, span: Span) -> list[Bunch]:
        """The batches with records about a link in these seconds, by epoch."""
        rows = self._ledger.rows(
            "SELECT lower(hex(agent_id)), lower(hex(epoch)), min(seq), max(seq) FROM batch"
            " WHERE id IN (SELECT batch_id FROM stretch WHERE link=? AND to_s>=? AND to_s<?"
            " AND from_s<?) GROUP BY 1, 2 ORDER BY 1, 2",
            # no batch reaches farther than six hours
            (link, span.start_s, span.end_s + 6 * HOUR_S, span.end_s),
        )
        return [Bunch(*row) for row in rows]


def _bytes(value: object) -> bytes:
    assert isinstance(value, bytes)
    return value


def _hours(span: Span) -> tuple[int, int]:
    if span.start_s % HOUR_S or span.end_s % HOUR_S:
        raise ValueError(f"{span}: expected full hours")
    return span.start_s // HOUR_S, span.end_s // HOUR_S


def _runs(hours: Iterable[int]) -> Iterator[range]:
    """Ascending hours as ranges of AT_ONCE at most."""
    found: range | None = None
    for hour in hours:
        if found is not None and hour == found.stop and len(found) < AT_ONCE:
            found = range(found.start, hour + 1)
            continue
        if found is not None:
            yield found
        found = range(hour, hour + 1)
    if found is not None:
        yield found
