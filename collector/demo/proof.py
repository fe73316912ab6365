"""After the demo: every slot of every target counted in the raw, signed batches."""

from collections import defaultdict
from pathlib import Path
from typing import NamedTuple

from collector.ledger.sqlite import SqliteLedger
from wire import batch as wire_batch
from wire.codec import decode_body
from wire.journal import Gap
from wire.observation import Outcome, Train

NS = 1_000_000_000


class Proof(NamedTuple):
    """What the ledger holds, by recount."""

    batches: int
    observations: int
    repeats: int
    """Slots that are there more than once."""
    holes: int
    """Slots up to an epoch's last, be it there or listed, that are neither there nor listed."""
    losses: dict[str, list[float]]
    """By link: calendar seconds of the STAMP packets that left and that no reflector answered."""

    def lost_between(self, link: str, start_s: float, end_s: float) -> int:
        """Lost packets of a link that were sent in this stretch."""
        return sum(start_s <= at <= end_s for at in self.losses.get(link, ()))


class _Recount:
    def __init__(self) -> None:
        self.batches = 0
        self.slots: dict[tuple[bytes, str, str], list[int]] = defaultdict(list)
        self.gaps: dict[tuple[bytes, str, str], int] = defaultdict(int)
        self.last: dict[tuple[bytes, str, str], int] = defaultdict(lambda: -1)
        self.losses: dict[str, list[float]] = defaultdict(list)

    def take(self, one: wire_batch.Batch, offset_ns: int) -> None:
        self.batches += 1
        for record in decode_body(one.body, one.header.raw_len):
            if isinstance(record, Gap) and record.link and record.target:
                key = one.header.epoch, record.link, record.target
                self.gaps[key] += record.count or 0
                self.last[key] = max(self.last[key], record.last_seq or -1)
            if not isinstance(record, Train):
                continue
            for seen in record.observations():
                key = one.header.epoch, record.link, record.target
                self.slots[key].append(seen.seq)
                self.last[key] = max(self.last[key], seen.seq)
                answered = seen.outcome.local or seen.outcome is Outcome.OK
                if not answered and record.probe == "stamp":
                    self.losses[record.link].append((seen.sent_boot_ns + offset_ns) / NS)


def prove(file: Path) -> Proof:
    """Recount the ledger; signatures and body digests are checked on the way. Raises WireError."""
    ledger = SqliteLedger(file)
    recount = _Recount()
    try:
        for agent in ledger.agents():
            for one, placement in ledger.placed_batches(agent.agent_id):
                wire_batch.verify(wire_batch.parse(one.to_bytes()), agent.public_key)
                recount.take(one, placement.offset_ns)
    finally:
        ledger.close()
    slots = recount.slots
    repeats = sum(len(seqs) - len(set(seqs)) for seqs in slots.values())
    holes = sum(
        last + 1 - len(set(slots[key])) - recount.gaps[key] for key, last in recount.last.items()
    )
    return Proof(
        recount.batches, sum(map(len, slots.values())), repeats, holes, dict(recount.losses)
    )
