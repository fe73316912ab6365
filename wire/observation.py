"""What a probe saw, packet by packet: the smallest piece of evidence.

Counts, loss ratios and percentiles are functions of these rows and are never stored in their
place (RFC 2330 section 10: a statistic is derived from a sample of singletons). `None` means
"not measured" and nothing else.
"""

from collections.abc import Iterator
from enum import IntEnum
from typing import Annotated, NamedTuple

import msgspec

from wire.instant import MAX_NS, BootNs

MAX_OBSERVATIONS = 4096
"""Observations in one train; longer ones are refused before they cost anything."""

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=128, pattern=r"^[^\x00-\x1f\x7f]+\Z")]
RttNs = Annotated[int, msgspec.Meta(ge=0, le=3_600_000_000_000)]
Seq = Annotated[int, msgspec.Meta(ge=0, le=2**53)]


class Outcome(IntEnum):
    """What became of one attempt. Codes of 16 and above are local: never loss on the path."""

    OK = 0
    """a valid reply arrived before the timeout"""
    TIMEOUT = 1
    """no valid reply before send time + timeout (RFC 6673 section 4.3)"""
    UNREACHABLE = 2
    """a router or the target said that it cannot be reached"""
    REFUSED = 3
    """the target answered and refused: the path is there"""
    TTL_EXPIRED = 4
    """a router on the way said that the hop limit ran out"""
    BAD_REPLY = 5
    """something came back that is not the reply that was asked for"""
    NOT_SENT = 16
    """the slot came and nothing was sent: no route, interface down, socket closed"""
    LOCAL_ERROR = 17
    """the machine failed: buffers, permissions"""
    DNS_ERROR = 18
    """the name was not resolved, so there was nobody to send to"""
    ABORTED = 19
    """sent, then the agent stopped before the reply or the timeout"""
    HELD = 20
    """answered, but it left this machine long after its slot: the next hop's hardware address was
    not known till then, or the machine's own queue was full"""

    @property
    def local(self) -> bool:
        """True where the path was not asked when it was due."""
        return self >= Outcome.NOT_SENT

    @property
    def lost(self) -> bool:
        """True where the path was asked and gave no round trip (RFC 6673 section 4.3)."""
        return self in _LOST


# Tuples: the hash of an enum's member is computed in Python, and every packet would pay for it.
_LOST = (Outcome.TIMEOUT, Outcome.UNREACHABLE, Outcome.TTL_EXPIRED, Outcome.BAD_REPLY)
_ROUND_TRIP = (Outcome.OK, Outcome.REFUSED)


class StampSource(IntEnum):
    """Which clocks gave an RTT: the instrument's own error hangs on it."""

    NONE = 0
    """no RTT"""
    USER = 1
    """both ends stamped in user space: includes this process's own delays"""
    KERNEL_RX = 2
    """sent by user space, received by the kernel's stamp"""
    KERNEL = 3
    """both stamps are the kernel's"""


class Observation(NamedTuple):
    """One attempt, as a row of a Train."""

    seq: int
    sent_boot_ns: int
    rtt_ns: int | None
    outcome: Outcome
    stamp: StampSource
    reflector_seq: int | None
    ttl: int | None
    forward_us: int | None


class Train(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    tag="train",
    forbid_unknown_fields=True,
    omit_defaults=True,
):
    """Observations of one target in send order, by columns.

    Row k has sequence number `first_seq + k`: sequence numbers are slots, so a hole between two
    trains of a target is explained by a journal `Gap`. `send_us` are microseconds after
    `boot_ns`. `reflector_seq` is the STAMP reflector's own counter (RFC 8762 section 4.3.1,
    stateful), `prior` the newest (seq, reflector_seq) pair known before the first row, which is
    what makes directional loss countable train by train. `forward_us` is the reflector's receive
    stamp minus the sender's, by two wall clocks that nobody has compared: a one-way delay only
    where both are known to be right (RFC 7679). `duplicates` and `reordered` (RFC 4737 section
    3.3) count replies to rows of this train.
    """

    link: Name
    target: Name
    probe: Name
    address: Annotated[str, msgspec.Meta(max_length=64)]
    first_seq: Seq
    boot_ns: BootNs
    interval_ns: Annotated[int, msgspec.Meta(ge=1_000_000, le=86_400_000_000_000)]
    timeout_ns: Annotated[int, msgspec.Meta(ge=1_000_000, le=600_000_000_000)]
    send_us: Annotated[
        list[Annotated[int, msgspec.Meta(ge=0, le=2**53)]],
        msgspec.Meta(min_length=1, max_length=MAX_OBSERVATIONS),
    ]
    rtt_ns: Annotated[list[RttNs | None], msgspec.Meta(max_length=MAX_OBSERVATIONS)]
    outcome: Annotated[list[Outcome], msgspec.Meta(max_length=MAX_OBSERVATIONS)]
    stamp: Annotated[list[StampSource], msgspec.Meta(max_length=MAX_OBSERVATIONS)]
    size: Annotated[int, msgspec.Meta(ge=0, le=65535)] = 0
    reflector_seq: Annotated[list[Seq | None], msgspec.Meta(max_length=MAX_OBSERVATIONS)] | None = (
        None
    )
    ttl: (
        Annotated[
            list[Annotated[int, msgspec.Meta(ge=0, le=255)] | None],
            msgspec.Meta(max_length=MAX_OBSERVATIONS),
        ]
        | None
    ) = None
    forward_us: (
        Annotated[
            list[Annotated[int, msgspec.Meta(ge=-(2**62), le=2**62)] | None],
            msgspec.Meta(max_length=MAX_OBSERVATIONS),
        ]
        | None
    ) = None
    duplicates: Annotated[int, msgspec.Meta(ge=0, le=2**53)] = 0
    reordered: Annotated[int, msgspec.Meta(ge=0, le=2**53)] = 0
    prior: tuple[Seq, Seq] | None = None

    def __post_init__(self) -> None:
        rows = len(self.send_us)
        for name in ("rtt_ns", "outcome", "stamp", "reflector_seq", "ttl", "forward_us"):
            column = getattr(self, name)
            if column is not None and len(column) != rows:
                raise ValueError(f"{name} has {len(column)} rows where send_us has {rows}")
        if sorted(self.send_us) != self.send_us:
            raise ValueError("send_us goes backwards")
        if rows and self.end_boot_ns > MAX_NS:
            raise ValueError("send_us runs past the end of the boot clock")
        for outcome, rtt in zip(self.outcome, self.rtt_ns, strict=True):
            if (rtt is not None) != (outcome in _ROUND_TRIP):
                raise ValueError(f"outcome {outcome.name} with rtt_ns {rtt}")

    def __len__(self) -> int:
        return len(self.send_us)

    @property
    def end_boot_ns(self) -> int:
        """Send time of the last row, nanoseconds since boot."""
        return self.boot_ns + self.send_us[-1] * 1000

    def observations(self) -> Iterator[Observation]:
        """The rows, in send order."""
        nothing: list[None] = [None] * len(self.send_us)
        columns = zip(
            self.send_us,
            self.rtt_ns,
            self.outcome,
            self.stamp,
            self.reflector_seq or nothing,
            self.ttl or nothing,
            self.forward_us or nothing,
            strict=True,
        )
        for k, (us, *row) in enumerate(columns):
            yield Observation(self.first_seq + k, self.boot_ns + us * 1000, *row)
