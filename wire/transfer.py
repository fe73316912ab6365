"""A Transfer: one throughput test, as evidence.

What is kept are samples: octets by 100 ms as the receiver counted them, packets by the same bins,
every round trip that was tried beside the load, one-way delays relative to the least of them, and
what kernels and devices counted. Rates, losses, percentiles and grades are functions of these
(collector/capacity.py) and are never stored in their place. `None` means "not measured".
"""

from enum import StrEnum
from typing import Annotated

import msgspec

from wire.detail import Count, Reading
from wire.instant import MAX_NS, BootNs
from wire.journal import Text
from wire.observation import Name, RttNs
from wire.slot import Direction, Method, Rate

BIN_NS = 100_000_000
MAX_BINS = 3000
"""Five minutes of 100 ms; longer tests have wider bins, so that a record fits into a batch."""
MAX_SAMPLES = 1024
MAX_REQUESTS = 256
"""Small requests beside the load, of each kind."""
MAX_STEPS = 1024
MAX_FLOWS = 16
MAX_READINGS = 8

Span = Annotated[int, msgspec.Meta(ge=0, le=MAX_NS)]
Ratio = Annotated[float, msgspec.Meta(ge=0, le=1)]
Column = Annotated[list[Count], msgspec.Meta(max_length=MAX_BINS)]
RttColumn = Annotated[list[RttNs | None], msgspec.Meta(max_length=MAX_SAMPLES)]
RequestColumn = Annotated[list[RttNs | None], msgspec.Meta(max_length=MAX_REQUESTS)]
DelayColumn = Annotated[
    list[Annotated[int, msgspec.Meta(ge=0, le=2**40)] | None],
    msgspec.Meta(max_length=MAX_SAMPLES),
]


class Purpose(StrEnum):
    """Why a test was made."""

    PLANNED = "planned"
    """at a time drawn by the schedule"""
    ORDERED = "ordered"
    """an operator asked for it"""
    ACCEPTANCE = "acceptance"
    """before a link is accepted, or after a repair: it may search and fill the link"""


class TransferOutcome(StrEnum):
    """What became of a test. Only DONE can speak against a link."""

    DONE = "done"
    UNFIT = "unfit"
    """made, but this box cannot carry 1.2 x CIR, or could not keep up: accuses nobody"""
    HUB_UNFIT = "hub_unfit"
    """made, but the hub could not keep up: accuses nobody"""
    FAILED = "failed"
    """begun, and the way to the hub broke"""
    REFUSED = "refused"
    """the other end said no, or did not know the slot"""
    UNREACHABLE = "unreachable"
    """the other end did not answer at all"""
    LOCAL_ERROR = "local_error"
    """this machine failed"""
    ABORTED = "aborted"
    """stopped from here: the agent ends, or an operator said so"""
    NO_SLOT = "no_slot"
    """the hub gave no slot in time; not a failure"""
    SKIPPED_BUSY = "skipped_busy"
    """users needed the link; not a failure"""
    SKIPPED_BLIND = "skipped_blind"
    """nobody counts what users take, in hours in which they may be there; not a failure"""
    SKIPPED_BUDGET = "skipped_budget"
    """the data budget is used up; not a failure"""
    SKIPPED_MISSED = "skipped_missed"
    """the box was off, or did not know the time, when it was due; not a failure"""


MADE = frozenset({TransferOutcome.DONE, TransferOutcome.UNFIT, TransferOutcome.HUB_UNFIT})
"""Load went over the link and was counted."""
NOT_MADE = frozenset(
    {
        TransferOutcome.NO_SLOT,
        TransferOutcome.SKIPPED_BUSY,
        TransferOutcome.SKIPPED_BLIND,
        TransferOutcome.SKIPPED_BUDGET,
        TransferOutcome.SKIPPED_MISSED,
    }
)
"""Nothing was sent, on purpose."""


class Fact(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True
):
    """A part of a Transfer."""


class Offer(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """From `since_ns` after the beginning, so many bits per second of IP packets were offered."""

    since_ns: Span
    bits_per_s: Rate


class Headers(Fact, frozen=True, kw_only=True):
    """What a packet of the load consists of, in octets: to go from one layer to another."""

    ip: Annotated[int, msgspec.Meta(ge=0, le=256)]
    """IP header: 20 (IPv4) or 40 (IPv6)."""
    transport: Annotated[int, msgspec.Meta(ge=0, le=256)]
    """UDP 8; TCP 20, and 12 where it carries time stamps."""
    packet: Annotated[int, msgspec.Meta(ge=1, le=65_535)]
    """A full packet of the load, with its IP header."""


class Flow(Fact, frozen=True, kw_only=True):
    """One TCP connection of the load, by the kernels' TCP_INFO at its end.

    The sender's kernel says all but `received_*`. Times limited tell whose fault a low rate is:
    `rwnd_limited_ns` the receiver's, `sndbuf_limited_ns` the sender's, the rest of `busy_ns` the
    way's.
    """

    congestion: Text = ""
    """Congestion control algorithm of the sender."""
    mss: Annotated[int, msgspec.Meta(ge=1, le=65_535)] | None = None
    bytes_sent: Count | None = None
    bytes_acked: Count | None = None
    bytes_retransmitted: Count | None = None
    segments_sent: Count | None = None
    retransmits: Count | None = None
    busy_ns: Span | None = None
    rwnd_limited_ns: Span | None = None
    sndbuf_limited_ns: Span | None = None
    min_rtt_ns: RttNs | None = None
    rtt_ns: RttColumn = []
    """The sender's smoothed RTT, about every 100 ms of the load; all flows of a test together have
    no more than MAX_SAMPLES."""
    received_bytes: Count | None = None
    """Payload that the receiving program read."""
    received_segments: Count | None = None
    """Data segments that the receiver's kernel took in."""


class Box(Fact, frozen=True, kw_only=True):
    """Whether this machine can carry the load at all."""

    fit: bool
    selftest_bits_per_s: Annotated[int, msgspec.Meta(ge=0, le=2**53)] | None = None
    """IP rate received over loopback, sender and receiver in this machine."""
    selftest_offered_bits_per_s: Rate | None = None
    """What was asked of the self-test: 1.2 x CIR."""
    interface: Text = ""
    speed_mbps: Annotated[int, msgspec.Meta(ge=1, le=2**31)] | None = None
    """Line rate that the network card negotiated."""
    full_duplex: bool | None = None
    cpu_ratio: Ratio | None = None
    """Share of the machine's processors that was busy during the load."""
    note: Text = ""


class HubLoad(Fact, frozen=True, kw_only=True):
    """How busy the hub was during the load, by its own count."""

    cpu_ratio: Ratio | None = None
    nic_bits_per_s: Annotated[int, msgspec.Meta(ge=0, le=2**53)] | None = None
    """Larger of both directions of the interface that leads to the node."""
    nic_speed_mbps: Annotated[int, msgspec.Meta(ge=1, le=2**31)] | None = None
    slots: Annotated[int, msgspec.Meta(ge=0, le=10_000)] | None = None
    """Tests under way there at the same time, this one included."""


class Transfer(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    tag="transfer",
    forbid_unknown_fields=True,
    omit_defaults=True,
):
    """One throughput test of one link in one direction, or why there was none.

    Column k covers `[k, k + 1) * bin_ns` after the receiver's first packet. `octets` count whole
    IP packets (RFC 9097 section 4). `lost` are counted in the bin in which the gap was noticed
    and taken back when the packet comes late; those noticed after the last bin, or that the
    sender numbered and nobody ever saw at the end, are in the last bin.
    """

    link: Name
    boot_ns: BootNs
    """When the load began; where none did, when that was decided."""
    direction: Direction
    method: Method
    purpose: Purpose
    outcome: TransferOutcome
    slot_id: Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{32}\Z")] | None = None
    ago_ns: Span | None = None
    """So long before `boot_ns` the load began, or was about to, where a later life of the agent
    tells of a test that its end has stopped: by the boot clock, of another boot by the wall
    clock. None: `boot_ns` is when it began."""
    duration_ns: Span | None = None
    """How long load was offered; with `ago_ns` the most that it can have been."""
    flows: Annotated[int, msgspec.Meta(ge=1, le=MAX_FLOWS)] = 1
    cir_bits_per_s: Rate | None = None
    """What the plan took for the link's CIR, of IP packets."""
    offered: Annotated[tuple[Offer, ...], msgspec.Meta(max_length=MAX_STEPS)] = ()
    bin_ns: Annotated[int, msgspec.Meta(ge=1_000_000, le=60_000_000_000)] = BIN_NS
    octets: Column = []
    packets: Column | None = None
    lost: Column | None = None
    reordered: Column | None = None
    """RFC 4737 section 3.3."""
    duplicated: Column | None = None
    """RFC 5560."""
    late_packets: Count | None = None
    """Packets that came after the last bin, out of the queues that the load had filled."""
    sent_packets: Count | None = None
    unsent_packets: Count | None = None
    """Packets that the sending machine was too late to send: its own fault."""
    dropped_packets: Count | None = None
    """Packets that arrived at the receiving machine and found no room in its socket."""
    delay_us: DelayColumn = []
    """One-way delay less the least of the test, of the first packet of a burst; one sample in
    each `delay_interval_ns`, by two clocks whose rates differ by at most some 100 ppm."""
    delay_interval_ns: Span | None = None
    rtt_idle_ns: RttColumn = []
    """Round trips right before the load; None: no answer within 2 s."""
    rtt_load_ns: RttColumn = []
    """Round trips during the load, beside it, one in each `rtt_interval_ns` from its beginning."""
    rtt_interval_ns: Span | None = None
    connect_load_ns: RttColumn = []
    """TCP handshakes during the load (the kernel's SYN to SYN/ACK), about one in each 100 ms."""
    tls_load_ns: RequestColumn = []
    """TLS handshakes on fresh connections to the hub's HTTP port beside the load, each divided by
    the round trips that its version takes; None: it failed, or not within 2 s."""
    http_load_ns: RequestColumn = []
    """On the same connections, from asking for one octet to having it."""
    own_load_ns: RequestColumn = []
    """Requests on the load's own connection, behind what it holds: a WebSocket's ping to its
    pong; None: no answer before the end."""
    tcp: Annotated[tuple[Flow, ...], msgspec.Meta(max_length=MAX_FLOWS)] = ()
    headers: Headers | None = None
    cpe: Annotated[tuple[Reading, ...], msgspec.Meta(max_length=MAX_READINGS)] = ()
    """The customer's router as read before, during and after: holds the cross traffic."""
    box: Box | None = None
    hub: HubLoad | None = None
    note: Text = ""

    def __post_init__(self) -> None:
        bins = len(self.octets)
        for name in ("packets", "lost", "reordered", "duplicated"):
            column = getattr(self, name)
            if column is not None and len(column) != bins:
                raise ValueError(f"{name} has {len(column)} bins where octets has {bins}")
        if self.outcome in NOT_MADE and bins:
            raise ValueError(f"outcome {self.outcome} with {bins} bins")
        if self.outcome is TransferOutcome.DONE and not bins:
            raise ValueError("outcome done without a bin")
        since = [offer.since_ns for offer in self.offered]
        if since != sorted(since):
            raise ValueError("offered goes backwards")
