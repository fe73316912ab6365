"""Evidence about a link over a period, read from the derived tables."""

from collections.abc import Iterable
from typing import NamedTuple

import msgspec

from collector.audit.evidence import DeviceSample, Evidence, Life, MainsSample, Span
from collector.audit.loaded import LONGEST_NS, Load, loaded_spans
from collector.audit.strip import Strip, join
from collector.ledger import PlacedBy, Placement
from collector.ledger.derived import HOLD_S, DerivedStore
from collector.ledger.derived_schema import HOUR_S, LifeRow, Sample, StretchRow
from collector.settle.clockmap import BUCKET_NS, ClockMap
from collector.settle.weave import Placed, weave
from wire.detail import Power, Reading
from wire.transfer import TransferOutcome

NS = 1_000_000_000

_reading = msgspec.json.Decoder(Reading).decode
_power = msgspec.json.Decoder(Power).decode


class _Loading(msgspec.Struct, frozen=True):
    """Of a Transfer, which is a hundred times as long, what says how long it loaded the link."""

    outcome: TransferOutcome
    duration_ns: int | None = None


_loading = msgspec.json.Decoder(_Loading).decode


class Clock:
    """The clock map of one boot, read bucket by bucket: a boot may last for a year."""

    def __init__(self, store: DerivedStore, agent_id: bytes, boot_id: bytes) -> None:
        self._store, self._boot = store, (agent_id, boot_id)
        self._maps: dict[int, ClockMap | None] = {}

    def map(self, boot_ns: int) -> ClockMap | None:
        """What says how the boot clock ran at `boot_ns` and in its bucket; None for a boot that
        never reached the hub's clock."""
        bucket = boot_ns // BUCKET_NS
        if bucket not in self._maps:
            anchors = self._store.anchors(*self._boot, bucket)
            self._maps[bucket] = ClockMap(anchors) if anchors else None
        return self._maps[bucket]


class Clocks:
    """Clocks of the boots that are asked for, each moment read once."""

    def __init__(self, store: DerivedStore) -> None:
        self._store = store
        self._clocks: dict[tuple[bytes, bytes], Clock] = {}

    def of(self, agent_id: bytes, boot_id: bytes) -> Clock:
        """The clock of a boot."""
        key = agent_id, boot_id
        if key not in self._clocks:
            self._clocks[key] = Clock(self._store, agent_id, boot_id)
        return self._clocks[key]


def _wall_ns(boot_ns: int, clock: Clock, placement: Placement) -> int | None:
    """UTC nanoseconds of a boot clock's; None where nobody's clock can be believed."""
    found = clock.map(boot_ns)
    if found is not None:
        return found.wall_ns(boot_ns)
    believed = placement.placed_by is not PlacedBy.RECEIVED
    return boot_ns + placement.offset_ns if believed else None


def _place(row: StretchRow, clock: Clock) -> Placed | None:
    """The stretch on the calendar; None where nobody's clock can be believed."""
    beats = row.stretch.beats
    at = tuple(
        wall_ns
        for beat in beats
        if (wall_ns := _wall_ns(beat.boot_ns, clock, row.placement)) is not None
    )
    return Placed(row.epoch, row.stretch, at) if len(at) == len(beats) else None


def weave_span(store: DerivedStore, clocks: Clocks, link: str, span: Span) -> Strip:
    """What every second of the span showed of a link."""
    start_s, end_s = span.start_s - HOLD_S, span.end_s + HOLD_S
    placed = [
        one
        for row in store.stretches(link, start_s, end_s)
        if (one := _place(row, clocks.of(row.agent_id, row.boot_id))) is not None
    ]
    return weave(placed, start_s, end_s).slice(*span)


def strip_of(store: DerivedStore, link: str, start_s: int, end_s: int) -> Strip:
    """What every second of [start_s, end_s) showed of a link."""
    known = {one.start_s: one for one in store.strips(link, start_s, end_s)}
    first = start_s - start_s % HOUR_S
    whole = [
        known.get(hour) or Strip.nothing(hour, hour + HOUR_S)
        for hour in range(first, end_s, HOUR_S)
    ]
    if not whole:
        return Strip.nothing(start_s, end_s)
    # Cut before they are joined: a month has half a million runs, and an hour few.
    whole[-1] = whole[-1].slice(whole[-1].start_s, end_s)
    whole[0] = whole[0].slice(start_s, whole[0].end_s)
    return join(whole)


def _life(row: LifeRow, clock: Clock, event: Span) -> Life | None:
    def wall_s(boot_ns: int) -> float:
        wall_ns = _wall_ns(boot_ns, clock, row.placement)
        assert wall_ns is not None, "the boot has a place"
        return wall_ns / NS

    if _wall_ns(0, clock, row.placement) is None:
        return None
    booted_s, told_ns = wall_s(0), row.placement.error_ns or 0
    middle_ns = int(((event.start_s + event.end_s) / 2 - booted_s) * NS)
    within_ns = min(max(middle_ns, row.first_boot_ns), row.last_boot_ns)
    found = clock.map(within_ns)
    return Life(
        epoch=row.epoch.hex(),
        boot_id=row.boot_id.hex(),
        booted_s=booted_s,
        first_s=wall_s(row.first_boot_ns),
        last_s=wall_s(row.last_boot_ns),
        stopped=row.stopped,
        error_s=(told_ns if found is None else found.error_ns(within_ns)) / NS,
    )


def lives_of(rows: Iterable[LifeRow], clocks: Clocks, event: Span) -> tuple[Life, ...]:
    """The epochs that have a place on the calendar, by their beginning; the error of each is that
    of its clock where it is nearest to the event's middle."""
    found = (_life(row, clocks.of(row.agent_id, row.boot_id), event) for row in rows)
    return tuple(sorted((one for one in found if one is not None), key=lambda one: one.first_s))


def _seconds(hundredths: int | None) -> float | None:
    return None if hundredths is None else hundredths / 100


def _device(sample: Sample) -> DeviceSample:
    record = _reading(sample.line)
    return DeviceSample(
        at_s=float(sample.at_s),
        uptime_s=_seconds(record.sys_uptime_cs),
        oper_up=None if record.oper_status is None else record.oper_status == 1,
        last_change_s=_seconds(record.last_change_cs),
        discontinuity_s=_seconds(record.discontinuity_cs),
        in_octets=record.in_octets,
        out_octets=record.out_octets,
    )


def loaded_of(store: DerivedStore, link: str, span: Span) -> tuple[Span, ...]:
    """The seconds of the span that our own throughput tests loaded, in order and apart.

    A test that only its arrival places masks nothing, as no packet of that boot has a place either.
    """
    first_s = span.start_s - LONGEST_NS // NS - HOLD_S
    # Of its beginning the second is kept: its middle is wrong by half of it. Where nobody knows a
    # bound, the packets beside it are placed by the same clock.
    found = loaded_spans(
        Load(_loading(row.line), row.at_s * NS + NS // 2, NS // 2 + (row.error_ns or 0))
        for row in store.transfers(link, first_s, span.end_s + HOLD_S)
        if row.placed_by is not PlacedBy.RECEIVED
    )
    cut = (Span(max(one.start_s, span.start_s), min(one.end_s, span.end_s)) for one in found)
    return tuple(one for one in cut if one.length_s > 0)


class Subject(NamedTuple):
    """A link, and what is known of it whatever the period."""

    link: str
    pop: str
    lives: tuple[Life, ...]
    settled_until_s: int | None


def gather(
    store: DerivedStore, subject: Subject, period: Span, hub_off: tuple[Span, ...]
) -> Evidence:
    """The evidence of `period`; samples reach an hour further, to show how a cut ended."""
    link, after_s = subject.link, period.end_s + HOUR_S
    return Evidence(
        link=link,
        pop=subject.pop,
        strip=strip_of(store, link, period.start_s, period.end_s),
        lives=touching_lives(subject.lives, period),
        device=tuple(
            _device(one) for one in store.samples(link, "reading", period.start_s, after_s)
        ),
        mains=tuple(
            MainsSample(float(one.at_s), _power(one.line).mains)
            for one in store.samples(link, "power", period.start_s, after_s)
        ),
        hub_off=tuple(span for span in hub_off if span.overlap_s(period)),
        settled_until_s=subject.settled_until_s,
    )


def touching_lives(lives: tuple[Life, ...], period: Span) -> tuple[Life, ...]:
    """The lives of the period, and the ones before and after it."""
    first = max((k for k, one in enumerate(lives) if one.first_s < period.start_s), default=0)
    later = (k for k, one in enumerate(lives) if one.first_s >= period.end_s)
    return lives[first : next(later, len(lives)) + 1]
