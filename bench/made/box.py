"""A box that seals batches as an agent does: keys, epochs, and the chain of what it has sealed."""

import hashlib
import itertools
from collections.abc import Sequence

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from collector.ledger import Agent, TokenRow
from wire.batch import NO_DIGEST, Batch, Header, seal
from wire.codec import Record, encode_body
from wire.detail import Reading
from wire.instant import ClockClass
from wire.journal import Anchor, Gap, GapReason, Heartbeat
from wire.observation import Outcome, StampSource, Train

NS = 1_000_000_000
MINUTE = 60
ASKED = (("hub", "stamp", 1), ("gateway", "icmp", 1), ("a1", "icmp", 10), ("a2", "icmp", 10))
"""(target, probe, interval in seconds), as configs/links.yaml has it."""


class Box:
    """The box of one link."""

    def __init__(self, number: int, link: str) -> None:
        self.link, self.node = link, f"node-{number}"
        self.agent_id = (number + 1).to_bytes(16, "big")
        self._key = Ed25519PrivateKey.from_private_bytes((number + 1).to_bytes(32, "big"))
        self._epochs = itertools.count((number + 1) << 32)
        self._boots = itertools.count(1)
        self._previous = NO_DIGEST
        self.seq = 0
        self.epoch, self.boot_id, self.booted_s = b"", b"", 0

    def register(self) -> tuple[TokenRow, Agent]:
        """What enrolment would have left."""
        public = self._key.public_key().public_bytes_raw()
        token = TokenRow(self.agent_id, b"d" * 32, self.node, 1, 2, None)
        return token, Agent(self.agent_id, self.node, public, public, 1, None, "bench")

    def begin(self, booted_s: int | None = None) -> None:
        """A new process of the agent; with `booted_s`, UTC, after a boot of the box."""
        self.epoch, self.seq = next(self._epochs).to_bytes(16, "big"), 0
        if booted_s is not None:
            self.booted_s = booted_s
            self.boot_id = self.agent_id[:12] + next(self._boots).to_bytes(4, "big")

    def minute(
        self, start_s: int, *, full: bool = True, lost: tuple[int, int] | None = None
    ) -> Batch:
        """The batch of the minute from UTC second `start_s` on: heartbeats with anchors and, where
        `full`, the packets of every target and a reading of the CPE."""
        boot_s = start_s - self.booted_s
        records: list[Record] = [
            Heartbeat(
                boot_ns=(boot_s + at) * NS,
                wall_ns=(start_s + at) * NS,
                clock=ClockClass.A,
                clock_error_ns=NS // 100,
                clock_source="chrony",
                slot_late_ns=NS // 1000,
                send_call_ns=NS // 10_000,
                anchor=Anchor((boot_s + at) * NS, (start_s + at) * NS, 5_000_000),
            )
            for at in range(0, MINUTE, 10)
        ]
        if full:
            records += [self._train(boot_s, *one) for one in ASKED]
            records.append(reading(self.link, boot_s + 30, 8_640_000, start_s))
        if lost is not None:
            records.append(
                Gap(
                    boot_ns=(boot_s + 59) * NS,
                    wall_ns=(start_s + 59) * NS,
                    reason=GapReason.CORRUPT,
                    epoch=self.epoch.hex(),
                    first_seq=lost[0],
                    last_seq=lost[1],
                )
            )
        return self._sealed(records, start_s)

    def _train(self, boot_s: int, target: str, probe: str, every_s: int) -> Train:
        count = MINUTE // every_s
        return Train(
            link=self.link,
            target=target,
            probe=probe,
            address="192.0.2.1",
            first_seq=boot_s // every_s,
            boot_ns=boot_s * NS + NS // 3,
            interval_ns=every_s * NS,
            timeout_ns=2 * NS,
            # Each slot is up to 5 % of its interval late.
            send_us=[(k * 1_000_000 + k * 7919 % 50_000) * every_s for k in range(count)],
            rtt_ns=[20_000_000 + k * 104_729 % 1_000_000 for k in range(count)],
            outcome=[Outcome.OK] * count,
            stamp=[StampSource.KERNEL] * count,
        )

    def _sealed(self, records: Sequence[Record], start_s: int) -> Batch:
        body, raw_len = encode_body(records)
        last_ns = max(r.end_boot_ns if isinstance(r, Train) else r.boot_ns for r in records)
        header = Header(
            agent_id=self.agent_id,
            epoch=self.epoch,
            boot_id=self.boot_id,
            seq=self.seq,
            previous=self._previous,
            body_digest=hashlib.sha256(body).digest(),
            body_len=len(body),
            raw_len=raw_len,
            records=len(records),
            observations=sum(len(r) for r in records if isinstance(r, Train)),
            missing=sum(r.count or 0 for r in records if isinstance(r, Gap)),
            first_boot_ns=min(record.boot_ns for record in records),
            last_boot_ns=last_ns,
            sealed_boot_ns=last_ns,
            sealed_wall_ns=last_ns + self.booted_s * NS,
            clock=ClockClass.A,
            last_receipt=NO_DIGEST,
        )
        batch = seal(header, body, self._key)
        self.seq, self._previous = self.seq + 1, batch.digest
        return batch


def reading(link: str, boot_s: int, uptime_s: int, at_s: int) -> Reading:
    """What a CPE in order says: its WAN has been up since 10 s after its boot."""
    return Reading(
        link=link,
        target="router",
        boot_ns=boot_s * NS,
        outcome=Outcome.OK,
        sys_uptime_cs=uptime_s * 100,
        oper_status=1,
        last_change_cs=1000,
        in_octets=at_s * 50_000,
        out_octets=at_s * 50_000,
        counter_bits=64,
    )
