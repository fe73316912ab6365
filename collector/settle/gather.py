"""All evidence about a link over a period, read from the derived tables into one value."""

from collections.abc import Iterable
from typing import NamedTuple

import msgspec

from collector.audit.evidence import DeviceSample, Evidence, Life, MainsSample, Span
from collector.audit.strip import Strip, join
from collector.ledger import PlacedBy
from collector.ledger.derived import DAY_S, HOUR_S, DerivedStore, LifeRow, Sample, StretchRow
from collector.settle.clockmap import ClockMap
from collector.settle.weave import Placed, weave
from wire.detail import Power, Reading

NS = 1_000_000_000
_EDGE_S = 90
"""Seconds beside an hour that decide about its edges: the longest hold of a packet."""

_reading = msgspec.json.Decoder(Reading).decode
_power = msgspec.json.Decoder(Power).decode


class Clocks:
    """Clock maps of the boots that are asked for, each read once."""

    def __init__(self, store: DerivedStore) -> None:
        self._store = store
        self._maps: dict[tuple[bytes, bytes], ClockMap | None] = {}

    def of(self, agent_id: bytes, boot_id: bytes) -> ClockMap | None:
        """The map of a boot; None for one that never reached the hub's clock."""
        key = agent_id, boot_id
        if key not in self._maps:
            anchors = self._store.anchors(agent_id, boot_id)
            self._maps[key] = ClockMap(anchors) if anchors else None
        return self._maps[key]


def _place(row: StretchRow, clock: ClockMap | None) -> Placed | None:
    """The stretch on the calendar; None where nobody's clock can be believed."""
    one = row.stretch
    if clock is not None:
        return Placed(row.epoch, one, tuple(clock.wall_ns(beat.boot_ns) for beat in one.beats))
    if row.placement.placed_by is PlacedBy.RECEIVED:
        return None
    offset_ns = row.placement.offset_ns
    return Placed(row.epoch, one, tuple(beat.boot_ns + offset_ns for beat in one.beats))


def weave_hour(store: DerivedStore, clocks: Clocks, link: str, hour: int) -> Strip:
    """What every second of a UTC hour showed of a link."""
    start_s, end_s = hour * HOUR_S - _EDGE_S, (hour + 1) * HOUR_S + _EDGE_S
    placed = [
        one
        for row in store.stretches(link, start_s, end_s)
        if (one := _place(row, clocks.of(row.agent_id, row.boot_id))) is not None
    ]
    return weave(placed, start_s, end_s).slice(hour * HOUR_S, (hour + 1) * HOUR_S)


def strip_of(store: DerivedStore, link: str, start_s: int, end_s: int) -> Strip:
    """What every second of [start_s, end_s) showed of a link."""
    days = {one.start_s: one for one in store.strips(link, start_s, end_s)}
    first = start_s - start_s % DAY_S
    whole = [days.get(day) or Strip.nothing(day, day + DAY_S) for day in range(first, end_s, DAY_S)]
    return join(whole).slice(start_s, end_s) if whole else Strip.nothing(start_s, end_s)


def _life(row: LifeRow, clock: ClockMap | None, event: Span) -> Life | None:
    if clock is None and row.placement.placed_by is PlacedBy.RECEIVED:
        return None
    offset_ns = row.placement.offset_ns

    def wall_s(boot_ns: int) -> float:
        return (boot_ns + offset_ns if clock is None else clock.wall_ns(boot_ns)) / NS

    booted_s, told_ns = wall_s(0), row.placement.error_ns or 0
    middle_ns = int(((event.start_s + event.end_s) / 2 - booted_s) * NS)
    within_ns = min(max(middle_ns, row.first_boot_ns), row.last_boot_ns)
    return Life(
        epoch=row.epoch.hex(),
        boot_id=row.boot_id.hex(),
        booted_s=booted_s,
        first_s=wall_s(row.first_boot_ns),
        last_s=wall_s(row.last_boot_ns),
        stopped=row.stopped,
        error_s=(told_ns if clock is None else clock.error_ns(within_ns)) / NS,
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
        lives=_touching(subject.lives, period),
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


def _touching(lives: tuple[Life, ...], period: Span) -> tuple[Life, ...]:
    """The lives of the period, and the ones before and after it."""
    first = max((k for k, one in enumerate(lives) if one.first_s < period.start_s), default=0)
    later = (k for k, one in enumerate(lives) if one.first_s >= period.end_s)
    return lives[first : next(later, len(lives)) + 1]
