"""What the spool's tests share: trains that can be told apart, and a hub that believes nothing."""

from collections import Counter
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from agent.spool import Spool, SpoolSettings, StoredBatch
from runtime.clock import SECOND
from runtime.testing import FakeClock
from wire.batch import NO_DIGEST, Batch, parse, verify
from wire.codec import decode_body
from wire.instant import ClockClass
from wire.journal import Gap, Heartbeat
from wire.observation import Outcome, StampSource, Train
from wire.receipt import Receipt

AGENT_ID = b"agent-agent-agen"
AGENT_KEY = Ed25519PrivateKey.from_private_bytes(b"a" * 32)
HUB_KEY = Ed25519PrivateKey.from_private_bytes(b"h" * 32)
BALLAST = 64 * 1024


def settings_at(folder: Path, **changes: Any) -> SpoolSettings:
    return SpoolSettings(**{"path": folder / "spool.db", "ballast_bytes": BALLAST, **changes})


def epoch_of(number: int) -> bytes:
    return number.to_bytes(16, "big")


def opened(folder: Path, clock: FakeClock, **changes: Any) -> Spool:
    return Spool.open(settings_at(folder, **changes), clock)


def begun(folder: Path, clock: FakeClock, epoch: int = 1, **changes: Any) -> Spool:
    spool = opened(folder, clock, **changes)
    begin(spool, clock, epoch)
    return spool


def begin(spool: Spool, clock: FakeClock, epoch: int) -> None:
    spool.begin(epoch_of(epoch), bytes.fromhex(clock.boot_id), AGENT_KEY, AGENT_ID)


def rtt_of(seq: int) -> int:
    """Each observation has its own RTT, which compresses badly, as real ones do."""
    return 10**6 + (seq * 0x9E3779B97F4A7C15 % 2**64) % 998_999_999


def train(clock: FakeClock, first_seq: int, rows: int = 10, target: str = "hub") -> Train:
    return Train(
        link="link",
        target=target,
        probe="stamp",
        address="192.0.2.1",
        first_seq=first_seq,
        boot_ns=clock.boot_ns(),
        interval_ns=SECOND,
        timeout_ns=2 * SECOND,
        send_us=[1000 * row for row in range(rows)],
        rtt_ns=[rtt_of(first_seq + row) for row in range(rows)],
        outcome=[Outcome.OK] * rows,
        stamp=[StampSource.KERNEL] * rows,
    )


def heartbeat(clock: FakeClock) -> Heartbeat:
    return Heartbeat(boot_ns=clock.boot_ns(), wall_ns=clock.wall_ns(), clock=ClockClass.A)


def receipt_for(batch: StoredBatch, received_wall_ns: int = 1) -> tuple[Receipt, bytes]:
    receipt = Receipt(
        b"ledger-ledger-le", AGENT_ID, batch.epoch, batch.seq, batch.digest, received_wall_ns
    )
    return receipt, receipt.sign(HUB_KEY)


class Hub:
    """Takes batches as the collector would, and keeps what they say."""

    def __init__(self) -> None:
        self.batches: dict[tuple[bytes, int], Batch] = {}
        self.order: list[tuple[bytes, int]] = []
        self.observations: Counter[int] = Counter()
        self.gaps: list[Gap] = []
        self.journal: list[object] = []

    def take(self, data: bytes) -> tuple[Receipt, bytes]:
        """Check and keep; the same place with other bytes is a fork and an error."""
        batch = parse(data)
        header = batch.header
        verify(batch, AGENT_KEY.public_key().public_bytes_raw())
        assert header.agent_id == AGENT_ID
        place = (header.epoch, header.seq)
        known = self.batches.get(place)
        assert known is None or known.to_bytes() == data, "two batches at one place"
        if known is None:
            self.batches[place] = batch
            self.order.append(place)
            self._read(batch)
        receipt = Receipt(b"l" * 16, AGENT_ID, *place, batch.digest, len(self.order))
        return receipt, receipt.sign(HUB_KEY)

    def _read(self, batch: Batch) -> None:
        records = decode_body(batch.body, batch.header.raw_len)
        assert len(records) == batch.header.records
        observations = missing = 0
        for record in records:
            if isinstance(record, Train):
                observations += len(record)
                for row in record.observations():
                    assert row.rtt_ns == rtt_of(row.seq), "an observation was altered"
                    self.observations[row.seq] += 1
            else:
                self.journal.append(record)
            if isinstance(record, Gap):
                missing += record.count or 0
                self.gaps.append(record)
        assert observations == batch.header.observations
        assert missing == batch.header.missing

    def drain(self, spool: Spool) -> None:
        """Take everything that waits, the oldest first."""
        while (batch := spool.oldest()) is not None:
            assert spool.acknowledge(*self.take(batch.data))

    def check_chain(self) -> None:
        """One unbroken line from the first batch ever to the last, contiguous in every epoch."""
        after = {batch.header.previous: place for place, batch in self.batches.items()}
        assert len(after) == len(self.batches), "two batches follow the same one"
        digest, walked, last = NO_DIGEST, 0, dict[bytes, int]()
        while (place := after.get(digest)) is not None:
            epoch, seq = place
            assert seq == last.get(epoch, -1) + 1
            last[epoch] = seq
            digest = self.batches[place].digest
            walked += 1
        assert walked == len(self.batches), "the chain is broken"

    @property
    def once(self) -> bool:
        return all(count == 1 for count in self.observations.values())

    def listed(self) -> int:
        """Observations that gaps count as lost."""
        return sum(gap.count or 0 for gap in self.gaps)
