"""What a batch says, read once: pure, and the last check before the ledger.

An agent speaks only of its own node: a link of another node is refused, and a link that the
inventory does not (or no longer) know stays in the raw evidence without being counted.
"""

import itertools
from collections.abc import Collection, Sequence

from collector.latency import forward_median_us, stamps, summarise
from collector.ledger import Entry, Event, TargetSummary
from wire.batch import Batch
from wire.codec import Record, decode_body, encode_record
from wire.detail import DetailRecord
from wire.errors import Refusal, WireError
from wire.journal import Anchor, Gap, Heartbeat
from wire.observation import Train
from wire.policy import MAX_TARGETS
from wire.transfer import Transfer

CPE_TARGET = "cpe"
"""Name of the target by which the prober beside the hub knows every link's CPE."""


class Scope:
    """Links that an agent may speak of, and links that belong to others.

    The prober beside the hub speaks of every link, but only of its CPE as seen from outside.
    """

    def __init__(
        self, own: Collection[str], foreign: Collection[str], *, outside: bool = False
    ) -> None:
        self.own = frozenset(own)
        self._foreign = frozenset(foreign) - self.own
        self.outside = outside

    def check(self, link: str, target: str | None = None) -> bool:
        """True for a link that the agent may speak of, False for one that nobody knows.

        Raises WireError(BAD_BODY) for another node's, and for a target that is seen from the
        other end.
        """
        if link in self._foreign:
            raise WireError(Refusal.BAD_BODY, f"link {link!r} belongs to another node")
        if target is not None and link in self.own and (target == CPE_TARGET) != self.outside:
            end = "the node's" if self.outside else "the hub's"
            raise WireError(Refusal.BAD_BODY, f"target {target!r} of {link!r} is {end} to probe")
        return link in self.own


def _agrees(batch: Batch, records: Sequence[Record]) -> None:
    """The header's counts and times against the body. Raises WireError(BAD_BODY)."""
    header = batch.header
    observations = sum(len(record) for record in records if isinstance(record, Train))
    missing = sum(record.count or 0 for record in records if isinstance(record, Gap))
    counted = (len(records), observations, missing)
    told = (header.records, header.observations, header.missing)
    if counted != told:
        raise WireError(
            Refusal.BAD_BODY, f"(records, observations, missing) {counted}, header says {told}"
        )
    if not header.first_boot_ns <= header.last_boot_ns <= header.sealed_boot_ns:
        raise WireError(Refusal.BAD_BODY, "the header's boot times are out of order")
    for record in records:
        last = record.end_boot_ns if isinstance(record, Train) else record.boot_ns
        if not header.first_boot_ns <= record.boot_ns <= last <= header.last_boot_ns:
            raise WireError(Refusal.BAD_BODY, f"a record at boot {record.boot_ns} is outside")


def _by_target(records: Sequence[Record], scope: Scope) -> dict[tuple[str, str], list[Train]]:
    groups: dict[tuple[str, str], list[Train]] = {}
    for record in records:
        if isinstance(record, Train) and scope.check(record.link, record.target):
            groups.setdefault((record.link, record.target), []).append(record)
    if len(groups) > MAX_TARGETS:
        raise WireError(Refusal.BAD_BODY, f"{len(groups)} targets, at most {MAX_TARGETS}")
    return groups


def _target_summary(trains: list[Train]) -> TargetSummary:
    trains.sort(key=lambda train: train.first_seq)
    for a, b in itertools.pairwise(trains):
        if b.first_seq < a.first_seq + len(a):
            raise WireError(Refusal.BAD_BODY, f"target {a.target!r}: slot {b.first_seq} twice")
    first, last = trains[0], trains[-1]
    return TargetSummary(
        first.link,
        first.target,
        first.probe,
        first.boot_ns,
        last.end_boot_ns,
        last.end_boot_ns - first.boot_ns + last.interval_ns,
        summarise(trains),
        stamps(trains),
        forward_median_us(trains),
    )


def read(batch: Batch, received_wall_ns: int, scope: Scope) -> Entry:
    """The batch as an Entry for the ledger. Raises WireError: TOO_LARGE or BAD_BODY."""
    records = decode_body(batch.body, batch.header.raw_len)
    _agrees(batch, records)
    groups = _by_target(records, scope)
    anchors = [
        record.anchor
        for record in records
        if isinstance(record, Heartbeat) and record.anchor is not None
    ]
    newest: Anchor | None = max(anchors, key=lambda anchor: anchor.boot_ns, default=None)
    events = tuple(
        Event(str(record.__struct_config__.tag), record.boot_ns, encode_record(record))
        for record in records
        if not isinstance(record, Train | Heartbeat)
    )
    gaps = tuple(record for record in records if isinstance(record, Gap))
    for gap in gaps:
        if gap.link is not None:
            scope.check(gap.link)
    details = [record for record in records if isinstance(record, DetailRecord)]
    for detail in details:
        scope.check(detail.link, detail.target)
    transfers = tuple(record for record in records if isinstance(record, Transfer))
    for transfer in transfers:
        scope.check(transfer.link)
    targets = tuple(_target_summary(trains) for trains in groups.values())
    beats = [record for record in records if isinstance(record, Heartbeat)]
    beat = max(beats, key=lambda one: one.boot_ns, default=None)
    return Entry(
        batch, received_wall_ns, targets, events, gaps, newest, tuple(details), beat, transfers
    )
