"""One emulated link: what can be set on each of its directions, and what it has counted."""

import enum
import json
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any, NamedTuple, Protocol


class Direction(enum.Enum):
    """`UP` is from end a (the node's side) to end b (the hub's side)."""

    UP = "up"
    DOWN = "down"
    BOTH = "both"


UP, DOWN, BOTH = Direction.UP, Direction.DOWN, Direction.BOTH


class Stamp(NamedTuple):
    """When the emulator did what it was asked to do."""

    real_ns: int
    boot_ns: int


@dataclass(frozen=True, kw_only=True)
class Shape:
    """Knobs of a rate limiter. Rates count IP packets, plus `overhead_bytes` for each."""

    rate_bps: float | None = None
    """Bits a second; 0 takes the limit off."""
    peak_bps: float | None = None
    """Rate while the bucket holds tokens; 0 is no limit. Only with `burst_bytes`."""
    burst_bytes: int | None = None
    """Token bucket of this size, filled at `rate_bps`; it starts full. 0: no bucket."""
    queue_bytes: int | None = None
    """Tail drop beyond this; -1 is 100 ms at the rate, at least 32 KiB (the default)."""
    queue_packets: int | None = None
    """Tail drop beyond this many packets; 0 is no limit."""
    overhead_bytes: int | None = None
    """Added to each packet's length when its time on the wire is counted (Ethernet: 38)."""


@dataclass(frozen=True, kw_only=True)
class Knobs(Shape):
    """What one direction does to packets; None leaves a knob as it is.

    A packet meets them in this order: power, state, drop, mtu, loss (of every kind), queue and
    rate, delay with jitter and reordering. Duplicates are made after loss, before the queue.
    """

    up: bool | None = None
    """False: silently drops everything, at once also what is under way."""
    powered: bool | None = None
    """Like `up`, but counted as `power`: the site, not the line, is dead."""
    delay_ms: float | None = None
    jitter_ms: float | None = None
    """Half width of the uniform distribution, or sigma of the normal one; never below 0 in all."""
    jitter_model: str | None = None
    """"uniform" (default) or "normal"."""
    order: str | None = None
    """"fifo" (default): jitter never reorders; "free": each packet goes when its delay is over."""
    loss: float | None = None
    """Probability of independent loss."""
    burst_start: float | None = None
    """Gilbert-Elliott p, chance per packet to go from good to bad; 0 turns the model off."""
    burst_end: float | None = None
    """Gilbert-Elliott r, chance per packet to go from bad to good."""
    loss_in_good: float | None = None
    loss_in_bad: float | None = None
    """Default 1."""
    drop_every: int | None = None
    """Drops each n-th packet, counted from the last change of any knob; 0: none."""
    drop_next: int | None = None
    """Drops as many packets from now on."""
    drop_pattern: str | None = None
    """A cycle of "." (pass) and "x" (drop), started anew by any change; "" turns it off."""
    duplicate: float | None = None
    """Probability that a packet is sent twice."""
    reorder: float | None = None
    """Probability that a packet is held back by `reorder_delay_ms`, later ones overtaking it."""
    reorder_delay_ms: float | None = None
    mtu: int | None = None
    """Silently drops IP packets longer than this (a black hole: no ICMP); 0: no limit."""
    mtu_df_only: bool | None = None
    """The black hole takes only packets that may not be fragmented."""
    drop: tuple[str, ...] | None = None
    """Drops what matches any of these: "icmp", "icmp6", "tcp", "udp", "udp:53", "tcp:443"
    (either port), "proto:47", "dscp:46", "any". () turns it off."""
    only: tuple[str, ...] | None = None
    """Loss, duplication and reordering touch only what matches any of these; () is everything."""
    bottleneck: str | None = None
    """Name of a shared limiter to go through instead of the direction's own; "" leaves it."""


CLEAR = Knobs(
    up=True,
    powered=True,
    delay_ms=0,
    jitter_ms=0,
    jitter_model="uniform",
    order="fifo",
    loss=0,
    burst_start=0,
    burst_end=1,
    loss_in_good=0,
    loss_in_bad=1,
    drop_every=0,
    drop_next=0,
    drop_pattern="",
    duplicate=0,
    reorder=0,
    reorder_delay_ms=0,
    mtu=0,
    mtu_df_only=False,
    drop=(),
    only=(),
    bottleneck="",
    rate_bps=0,
    peak_bps=0,
    burst_bytes=0,
    queue_bytes=-1,
    queue_packets=0,
    overhead_bytes=0,
)
"""A perfect line, as every link is at first."""


@dataclass(frozen=True)
class Counters:
    """What one direction did: in + duplicated = out + dropped + held, always."""

    in_packets: int
    in_bytes: int
    """Bytes are of IP packets, without Ethernet headers."""
    out_packets: int
    out_bytes: int
    duplicated: int
    reordered: int
    held: int
    """Packets inside the link at the moment of counting."""
    late_sum_ns: int
    """The emulator's own error: how long after its due moment each packet left, summed up."""
    late_max_ns: int
    """The worst of the running second."""
    loss: int
    queue: int
    down: int
    power: int
    mtu: int
    filter: int
    overrun: int
    """Packets the emulator itself could not keep up with: not 0 spoils an experiment."""
    device: int
    """Packets the far interface refused, being down."""

    @property
    def dropped(self) -> int:
        """All that went in and will not come out."""
        counted = (self.loss, self.queue, self.down, self.power)
        return sum(counted) + self.mtu + self.filter + self.overrun + self.device


class Control(Protocol):
    """What a link needs of its emulator."""

    def ask(self, *words: str) -> tuple[Stamp, str]:
        """Send one request, wait for its answer."""
        ...


class Link:
    """Handle of one emulated link."""

    def __init__(self, name: str, control: Control, carrier: Callable[[bool], None]) -> None:
        self.name = name
        self._control = control
        self._carrier = carrier

    def set(self, direction: Direction, knobs: Knobs) -> Stamp:
        """Change knobs in one step; packets sent before the call still meet the old ones."""
        return self._control.ask("set", self.name, direction.value, *words_of(knobs))[0]

    def down(self, direction: Direction = BOTH) -> Stamp:
        """Cut silently, as a failure inside the provider's network does."""
        return self.set(direction, Knobs(up=False))

    def up(self, direction: Direction = BOTH) -> Stamp:
        """Mend what `down` cut."""
        return self.set(direction, Knobs(up=True))

    def unplug(self) -> Stamp:
        """Take the carrier away at both ends: their interfaces see the cable pulled."""
        stamp = self.down()
        self._carrier(False)
        return stamp

    def plug(self) -> Stamp:
        """Undo `unplug`."""
        self._carrier(True)
        return self.up()

    def count(self, direction: Direction) -> Counters:
        """Totals since the link was made, everything sent before the call included."""
        _, text = self._control.ask("count", self.name)
        for row in json.loads(text):
            if row.pop("dir") == direction.value:
                return counters_of(row)
        raise ValueError("count wants UP or DOWN")


def counters_of(row: dict[str, Any]) -> Counters:
    """Counters out of a decoded line of the emulator."""
    return Counters(**{field.name: row[field.name] for field in fields(Counters)})


_WORDS = {
    "up": ("state", "down", "up"),
    "powered": ("power", "off", "on"),
    "mtu_df_only": ("mtu_df_only", "0", "1"),
}


def words_of(shape: Shape) -> list[str]:
    """The knobs that are set, as the emulator reads them."""
    return [
        _word(field.name, getattr(shape, field.name))
        for field in fields(shape)
        if getattr(shape, field.name) is not None
    ]


def _word(name: str, value: float | str | tuple[str, ...]) -> str:
    if name in _WORDS:
        key, no, yes = _WORDS[name]
        return f"{key}={yes if value else no}"
    if isinstance(value, tuple):
        value = ",".join(value)
    if isinstance(value, str):
        return f"{name}={value or '-'}"
    if name.endswith("_ms"):
        return f"{name.removesuffix('_ms')}_ns={round(value * 1_000_000)}"
    return f"{name}={value!r}"
