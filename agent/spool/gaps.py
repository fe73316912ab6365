"""What the spool writes down about its own losses: pure functions over gap records.

Whole batches are lost, so a gap here names an epoch and a range of batch numbers. Neighbouring
ranges are folded into one, or a disk that stays full for a week would fill itself with gaps.
"""

from collections.abc import Iterable
from typing import NamedTuple

import msgspec

from wire.codec import Record
from wire.journal import ClockStep, Gap, GapReason, Settings, Start, Stop

_TEXT = 256
"""Longest `detail` of a gap (wire.journal.Text)."""


class Moment(NamedTuple):
    """When a gap is told, by both clocks, and in which boot."""

    boot_id: bytes
    boot_ns: int
    wall_ns: int
    running: bool
    """Whether an epoch is running, to which the gap belongs; else it waits for the next one."""


class Lost(NamedTuple):
    """Batches of one epoch that will not reach the ledger."""

    reason: GapReason
    epoch: bytes
    first_seq: int
    last_seq: int
    observations: int
    detail: str = ""


def told(lost: Lost, moment: Moment) -> Gap:
    """The gap record for `lost`."""
    return Gap(
        boot_ns=moment.boot_ns,
        wall_ns=moment.wall_ns,
        reason=lost.reason,
        epoch=lost.epoch.hex(),
        first_seq=lost.first_seq,
        last_seq=lost.last_seq,
        count=lost.observations,
        detail=lost.detail[:_TEXT],
    )


def fold_key(record: Record) -> str | None:
    """Gaps with the same key may be folded; None for what never is."""
    if not isinstance(record, Gap) or record.target is not None or record.last_seq is None:
        return None
    return f"{record.reason}:{record.epoch}:{'known' if record.count is not None else 'unknown'}"


def folded(one: Gap, other: Gap) -> Gap | None:
    """Both gaps as one, where they have the same key and their ranges touch; else None."""
    low, high = sorted((one, other), key=lambda gap: gap.first_seq or 0)
    if low.last_seq is None or high.first_seq != low.last_seq + 1:
        return None
    count = None if one.count is None or other.count is None else one.count + other.count
    details = dict.fromkeys(text for text in (low.detail, high.detail) if text)
    return msgspec.structs.replace(
        one,
        first_seq=low.first_seq,
        last_seq=high.last_seq,
        count=count,
        detail="; ".join(details)[:_TEXT],
    )


def restamped(gap: Gap, moment: Moment) -> Gap:
    """A gap of a former boot, told again now: its old boot time means nothing in this boot."""
    return msgspec.structs.replace(gap, boot_ns=moment.boot_ns, wall_ns=moment.wall_ns)


def _summary(record: Record) -> str | None:
    if isinstance(record, Start):
        clean = {True: "clean", False: "unclean", None: "unknown"}[record.previous_clean]
        alive = record.previous_alive_boot_ns
        return f"start at {record.wall_ns} after {clean} end, alive at {alive}"
    if isinstance(record, Stop):
        return f"stop at {record.wall_ns}"
    if isinstance(record, ClockStep):
        return f"clock step of {record.step_ns} at {record.wall_ns}"
    return None


def kept_of_own_epoch(records: Iterable[Record]) -> list[Record]:
    """What of a dropped batch of the running epoch is written again: its journal, as it was."""
    return [
        record
        for record in records
        if isinstance(record, Start | Stop | ClockStep | Settings | Gap)
    ]


def kept_of_former_epoch(
    records: Iterable[Record], epoch: bytes, moment: Moment, *, same_boot: bool
) -> tuple[list[Record], str]:
    """Gaps to write again in another epoch than they were made in, and the rest as a text.

    A start or stop would be read as one of the running epoch, so those become words in the
    detail of the gap that names the dropped batch.
    """
    gaps: list[Record] = []
    words: list[str] = []
    for record in records:
        if isinstance(record, Gap):
            named = msgspec.structs.replace(record, epoch=record.epoch or epoch.hex())
            gaps.append(named if same_boot else restamped(named, moment))
        elif text := _summary(record):
            words.append(text)
    return gaps, "; ".join(words)
