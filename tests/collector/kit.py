"""What the collector's tests share: boxes that speak for an agent, and what they say."""

import hashlib
import itertools
from collections.abc import Iterable, Sequence
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from collector.ledger import Agent, Entry, TokenRow
from collector.reading import Scope, read
from wire.batch import NO_DIGEST, Batch, Header, seal
from wire.codec import Record, encode_body
from wire.instant import ClockClass
from wire.journal import Anchor, Gap, GapReason, Heartbeat
from wire.message import SpoolStatus, Status, TargetStatus
from wire.observation import Outcome, StampSource, Train

SECOND = 1_000_000_000
MS = 1_000_000
WALL_AT_BOOT = 1_790_000_000 * SECOND - 100 * SECOND
"""Wall minus boot clock: what runtime.testing.FakeClock begins with."""
HUB_NOW = WALL_AT_BOOT + 10_000 * SECOND
"""When batches arrive, unless told."""


def train(
    rtts_ms: Sequence[float | None],
    *,
    first_seq: int = 0,
    boot_s: float = 100,
    outcomes: Sequence[Outcome] | None = None,
    **changes: Any,
) -> Train:
    """One row a second; None is a timeout unless `outcomes` says something else."""
    rtts = [None if rtt is None else int(rtt * MS) for rtt in rtts_ms]
    told = [Outcome.TIMEOUT if rtt is None else Outcome.OK for rtt in rtts]
    fields: dict[str, Any] = {
        "link": "l1",
        "target": "hub",
        "probe": "stamp",
        "address": "192.0.2.1",
        "first_seq": first_seq,
        "boot_ns": int(boot_s * SECOND),
        "interval_ns": SECOND,
        "timeout_ns": 2 * SECOND,
        "send_us": [k * 1_000_000 for k in range(len(rtts))],
        "rtt_ns": rtts,
        "outcome": list(outcomes or told),
        "stamp": [StampSource.NONE if rtt is None else StampSource.KERNEL for rtt in rtts],
    }
    return Train(**fields | changes)


def heartbeat(boot_s: float, anchor: Anchor | None = None) -> Heartbeat:
    boot_ns = int(boot_s * SECOND)
    return Heartbeat(
        boot_ns=boot_ns,
        wall_ns=boot_ns + WALL_AT_BOOT,
        clock=ClockClass.A,
        clock_error_ns=8 * MS,
        clock_source="chrony",
        slot_late_ns=MS,
        send_call_ns=MS // 10,
        anchor=anchor,
    )


def anchor(boot_s: float, *, wrong_s: float = 0, error_ms: float = 5) -> Anchor:
    boot_ns = int(boot_s * SECOND)
    return Anchor(boot_ns, boot_ns + WALL_AT_BOOT + int(wrong_s * SECOND), int(error_ms * MS))


def gap(boot_s: float, **changes: Any) -> Gap:
    boot_ns = int(boot_s * SECOND)
    fields: dict[str, Any] = {
        "boot_ns": boot_ns,
        "wall_ns": boot_ns + WALL_AT_BOOT,
        "reason": GapReason.STALLED,
    }
    return Gap(**fields | changes)


def header_for(records: Sequence[Record], body: bytes, raw_len: int) -> dict[str, Any]:
    """Header fields that agree with these records."""
    ends = [r.end_boot_ns if isinstance(r, Train) else r.boot_ns for r in records]
    last = max(ends)
    return {
        "body_digest": hashlib.sha256(body).digest(),
        "body_len": len(body),
        "raw_len": raw_len,
        "records": len(records),
        "observations": sum(len(r) for r in records if isinstance(r, Train)),
        "missing": sum(r.count or 0 for r in records if isinstance(r, Gap)),
        "first_boot_ns": min(record.boot_ns for record in records),
        "last_boot_ns": last,
        "sealed_boot_ns": last + SECOND,
        "sealed_wall_ns": last + SECOND + WALL_AT_BOOT,
        "clock": ClockClass.A,
        "last_receipt": NO_DIGEST,
    }


class Box:
    """A node's box: keys, an epoch, and the chain of what it has sealed."""

    def __init__(self, number: int = 1, node: str = "n1") -> None:
        self.node = node
        self.agent_id = number.to_bytes(16, "big")
        self.key = Ed25519PrivateKey.from_private_bytes(number.to_bytes(32, "big"))
        self.exchange = X25519PrivateKey.from_private_bytes(number.to_bytes(32, "big"))
        self.boot_id = b"b" * 16
        self.previous = NO_DIGEST
        self._counter = 0
        self._epochs = itertools.count(number << 32)
        self.begin()

    @property
    def agent(self) -> Agent:
        return Agent(
            self.agent_id,
            self.node,
            self.key.public_key().public_bytes_raw(),
            self.exchange.public_key().public_bytes_raw(),
            1,
            None,
            "0.1.0",
        )

    @property
    def token(self) -> TokenRow:
        return TokenRow(self.agent_id, b"d" * 32, self.node, 1, 2, None)

    def begin(self, boot_id: bytes | None = None) -> None:
        """A new process: a new epoch that continues the chain."""
        self.epoch = next(self._epochs).to_bytes(16, "big")
        self.seq = 0
        self.boot_id = boot_id or self.boot_id

    def draft(self, records: Sequence[Record], /, **changes: Any) -> Batch:
        """A signed batch at the chain's end, which stays where it is."""
        body, raw_len = encode_body(records)
        return self.draft_body(records, body, raw_len, **changes)

    def draft_body(
        self, records: Sequence[Record], body: bytes, raw_len: int, /, **changes: Any
    ) -> Batch:
        fields = header_for(records, body, raw_len) | {
            "agent_id": self.agent_id,
            "epoch": self.epoch,
            "boot_id": self.boot_id,
            "seq": self.seq,
            "previous": self.previous,
        }
        return seal(Header(**fields | changes), body, self.key)

    def batch(self, records: Sequence[Record] | None = None, /, **changes: Any) -> Batch:
        """The next batch of the chain; by default ten answered packets."""
        if records is None:
            records = [train([20] * 10, first_seq=10 * self.seq, boot_s=100 + 10 * self.seq)]
        batch = self.draft(records, **changes)
        self.seq, self.previous = self.seq + 1, batch.digest
        return batch

    def status(self, *, counter: int | None = None, **changes: Any) -> Status:
        self._counter = self._counter + 1 if counter is None else counter
        fields: dict[str, Any] = {
            "agent_id": self.agent_id.hex(),
            "epoch": self.epoch.hex(),
            "counter": self._counter,
            "boot_id": self.boot_id.hex(),
            "boot_ns": 100 * SECOND,
            "wall_ns": WALL_AT_BOOT + 100 * SECOND,
            "clock": ClockClass.A,
            "nonce": "00" * 16,
            "agent_version": "0.1.0",
            "policy_digest": "00" * 32,
            "window_s": 10.0,
            "targets": (),
            "spool": SpoolStatus(batches_waiting=0, bytes_used=4096, bytes_cap=1 << 28),
        }
        return Status(**fields | changes)


def reported(
    link: str = "l1", *, sent: int = 10, lost: int = 0, rtt_ms: float = 20
) -> TargetStatus:
    return TargetStatus(
        link=link,
        target="hub",
        sent=sent,
        lost=lost,
        not_sent=0,
        rtt_median_ns=None if lost == sent else int(rtt_ms * MS),
    )


def entry(batch: Batch, received_wall_ns: int = HUB_NOW, own: Iterable[str] = ("l1",)) -> Entry:
    """The batch as the ledger gets it."""
    return read(batch, received_wall_ns, Scope(list(own), ["l2"]))
