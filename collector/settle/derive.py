"""What one batch says to the audit: pure."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from collector.audit.histogram import of_ns
from collector.ledger.derived import REACH_S
from collector.ledger.derived_schema import TRANSFER, Delay, Derived, Sample, Unread
from collector.placing import believable
from collector.settle import stretch
from wire.codec import decode_body, encode_record
from wire.detail import Power, Reading
from wire.journal import Heartbeat, Stop
from wire.observation import Outcome, Train
from wire.policy import Role
from wire.transfer import Transfer

NS = 1_000_000_000


class Speaker(NamedTuple):
    """Whose batch it is."""

    own: tuple[str, ...]
    """Links of its node, whose life its journal tells."""
    role: Callable[[str, str], Role | None]
    """Role of a target of a link that it may speak of; None for what nobody knows."""


def derive(unread: Unread, speaker: Speaker) -> Derived:
    """The seconds, samples and life that the batch tells of."""
    header = unread.batch.header
    records = decode_body(unread.batch.body, header.raw_len)
    trains = stretch.by_target(record for record in records if isinstance(record, Train))
    stretches, delays = [], []
    for (link, target), rows in trains.items():
        view = stretch.view_of(rows[0].probe, speaker.role(link, target))
        if view is not None:
            stretches.append(stretch.stretch(rows, view))
            delays.append(_delay(link, target, rows))
    stretches += [
        stretch.journal(link, header.seq, header.first_boot_ns, header.last_boot_ns)
        for link in speaker.own
    ]
    offset_ns = unread.placement.offset_ns
    samples = [
        (
            record.link,
            Sample(
                record.target,
                str(record.__struct_config__.tag),
                record.boot_ns,
                (record.boot_ns + offset_ns) // NS,
                encode_record(record),
            ),
        )
        for record in records
        if isinstance(record, Reading | Power)
        and speaker.role(record.link, record.target) is not None
    ]
    samples += [
        (one.link, _test(one, offset_ns))
        for one in records
        if isinstance(one, Transfer) and one.link in speaker.own
    ]
    anchors = [
        record.anchor
        for record in records
        if isinstance(record, Heartbeat) and record.anchor is not None
    ]
    newest = max(anchors, key=lambda anchor: anchor.boot_ns, default=None)
    return Derived(
        unread,
        tuple(one for one in stretches if _plausible(one)),
        tuple(samples),
        tuple(delays),
        any(isinstance(record, Stop) for record in records),
        newest if newest is not None and believable(newest, unread.received_wall_ns) else None,
    )


def _delay(link: str, target: str, trains: Sequence[Train]) -> Delay:
    outcomes = [outcome for train in trains for outcome in train.outcome]
    rtts = [
        rtt
        for train in trains
        for rtt, outcome in zip(train.rtt_ns, train.outcome, strict=True)
        if rtt is not None and outcome is Outcome.OK
    ]
    lost = sum(outcome.lost for outcome in outcomes)
    return Delay(link, target, min(train.boot_ns for train in trains), of_ns(rtts, lost))


def _test(one: Transfer, offset_ns: int) -> Sample:
    # What differs between two tests that were decided on at one moment stands for the target.
    what = f"{one.direction} {one.method} {one.purpose} {one.slot_id or one.outcome}"
    began_ns = one.boot_ns - (one.ago_ns or 0)
    return Sample(what, TRANSFER, began_ns, (began_ns + offset_ns) // NS, encode_record(one))


def _plausible(one: stretch.Stretch) -> bool:
    """Minutes in one batch: what claims to span more is no reading of a second."""
    return one.last_boot_ns - one.first_boot_ns <= REACH_S * NS
