"""What one batch says of one target, second by second, before it has a place on the calendar: pure.

A stretch is a run-length reading of trains: a healthy minute is one run. It is derived from the
signed batch and kept so that a month can be read without decoding forty thousand of them.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import msgspec

from collector.audit.strip import Mark, View
from wire.observation import Outcome, Train
from wire.policy import Role

SECOND = 1_000_000_000
_OFF_BEAT = 4
"""A packet this part of an interval off its run's beat begins a new run."""

MARKS = {
    Outcome.OK: Mark.OK,
    Outcome.REFUSED: Mark.OK,
    Outcome.TIMEOUT: Mark.LOST,
    Outcome.UNREACHABLE: Mark.LOST,
    Outcome.TTL_EXPIRED: Mark.LOST,
    Outcome.BAD_REPLY: Mark.LOST,
    Outcome.NOT_SENT: Mark.UNSENT,
    Outcome.LOCAL_ERROR: Mark.NONE,
    Outcome.DNS_ERROR: Mark.NONE,
    Outcome.ABORTED: Mark.NONE,
    Outcome.HELD: Mark.UNSENT,
}
"""A target that refuses was reached; what the machine itself failed to do says nothing of the
link, but no route, no interface (NOT_SENT) and no hardware address of the router (HELD) do."""

_VIEWS = {
    Role.HUB: View.HUB,
    Role.ANCHOR: View.ANCHOR,
    Role.FIRST_HOP: View.FIRST_HOP,
    Role.GATEWAY: View.GATEWAY,
    Role.CPE: View.OUTSIDE,
}
_ECHOES = frozenset({"stamp", "icmp", "tcp"})
"""Probes whose answer or silence is the way's own; an HTTP error or a router's SNMP is not."""


def view_of(probe: str, role: Role | None) -> View | None:
    """What a target of this probe and role shows of its link; None for nothing."""
    return _VIEWS.get(role) if role is not None and probe in _ECHOES else None


class Beat(NamedTuple):
    """`slots` slots from `first_seq` on, one every interval from `boot_ns`, all of one mark."""

    first_seq: int
    boot_ns: int
    slots: int
    mark: int


class Stretch(NamedTuple):
    """One target in one batch."""

    link: str
    target: str
    view: View
    interval_ns: int
    first_boot_ns: int
    last_boot_ns: int
    beats: tuple[Beat, ...]


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(tuple[Beat, ...]).decode


def pack_beats(beats: Sequence[Beat]) -> bytes:
    """The beats as kept in the ledger."""
    return _encode(beats)


def unpack_beats(data: bytes) -> tuple[Beat, ...]:
    """What `pack_beats` wrote. Raises msgspec.DecodeError for anything else."""
    return _decode(data)


def _beats(train: Train) -> Iterator[Beat]:
    interval_ns = train.interval_ns
    open_at = open_seq = -1
    count, held = 0, Mark.NONE
    for seq, us, outcome in zip(
        range(train.first_seq, train.first_seq + len(train)),
        train.send_us,
        train.outcome,
        strict=True,
    ):
        boot_ns, mark = train.boot_ns + us * 1000, MARKS[outcome]
        off_ns = abs(boot_ns - open_at - count * interval_ns)
        if count and mark is held and off_ns * _OFF_BEAT <= interval_ns:
            count += 1
            continue
        if count:
            yield Beat(open_seq, open_at, count, held)
        open_seq, open_at, count, held = seq, boot_ns, 1, mark
    yield Beat(open_seq, open_at, count, held)


def stretch(trains: Sequence[Train], view: View) -> Stretch:
    """All trains of one target in one batch (at least one), in slot order."""
    ordered = sorted(trains, key=lambda train: train.first_seq)
    first, last = ordered[0], ordered[-1]
    return Stretch(
        first.link,
        first.target,
        view,
        first.interval_ns,
        first.boot_ns,
        last.end_boot_ns,
        tuple(beat for train in ordered for beat in _beats(train)),
    )


def journal(link: str, seq: int, first_boot_ns: int, last_boot_ns: int) -> Stretch:
    """The agent ran from the first to the last record of this batch, `seq` of its epoch."""
    seconds = (last_boot_ns - first_boot_ns) // SECOND + 1
    beat = Beat(seq, first_boot_ns, seconds, Mark.OK)
    return Stretch(link, "", View.JOURNAL, SECOND, first_boot_ns, last_boot_ns, (beat,))


def by_target(trains: Iterable[Train]) -> dict[tuple[str, str], list[Train]]:
    """Trains grouped by link and target."""
    groups: dict[tuple[str, str], list[Train]] = {}
    for train in trains:
        groups.setdefault((train.link, train.target), []).append(train)
    return groups
