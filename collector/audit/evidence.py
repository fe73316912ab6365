"""Everything that bears on one link over a period, read from the ledger: input of the audit.

Times are UTC seconds on the hub's clock, into which the agents' boot clocks were translated by the
signed anchors of their boots.
"""

from dataclasses import dataclass, field
from typing import NamedTuple

from collector.audit.strip import Strip


class Span(NamedTuple):
    """[start_s, end_s) in UTC seconds."""

    start_s: int
    end_s: int

    @property
    def length_s(self) -> int:
        """Seconds in it."""
        return self.end_s - self.start_s

    def overlap_s(self, other: "Span") -> int:
        """Seconds that both hold."""
        return max(0, min(self.end_s, other.end_s) - max(self.start_s, other.start_s))


class Window(NamedTuple):
    """[start_s, end_s) in UTC seconds that an operator's entry excludes from a link's period."""

    start_s: int
    end_s: int
    id: str
    """Of the entry in the register of maintenance windows."""
    kind: str
    """planned, emergency or force_majeure"""


class Life(NamedTuple):
    """One epoch of an agent process, as its signed batches show it."""

    epoch: str
    boot_id: str
    booted_s: float
    """When the box booted: where its boot clock read 0."""
    first_s: float
    """Its first record."""
    last_s: float
    """Its newest record that is here."""
    stopped: bool
    """It ended in order, by its own word."""
    error_s: float
    """Bound on the error of these times."""


class DeviceSample(NamedTuple):
    """What the CPE said of itself (RFC 3418, RFC 2863) at one moment; None is not known."""

    at_s: float
    uptime_s: float | None
    oper_up: bool | None
    """ifOperStatus of the WAN interface is up."""
    last_change_s: float | None
    """Device uptime at which the WAN interface entered its state."""
    discontinuity_s: float | None
    """Device uptime at the last counter discontinuity."""
    in_octets: int | None
    out_octets: int | None


class MainsSample(NamedTuple):
    """Whether the site had mains at one moment, by UPS, GPIO or power supply."""

    at_s: float
    mains: bool | None


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """One link over the strip's period."""

    link: str
    pop: str
    strip: Strip
    """Seconds before and after the period are in it where they are known (30 s or more), so that
    runs that cross its edges are judged whole."""
    lives: tuple[Life, ...] = ()
    """By `first_s`; those that touch the period, and the ones before and after it."""
    device: tuple[DeviceSample, ...] = ()
    """By `at_s`."""
    mains: tuple[MainsSample, ...] = ()
    """By `at_s`."""
    hub_off: tuple[Span, ...] = ()
    """When the collector itself did not run, by its own journal: a loss to it proves nothing."""
    settled_until_s: int | None = None
    """The node's evidence is complete until here."""
    contradictions: tuple[str, ...] = field(default=())
    """What in the evidence does not fit together, in words, for the reader."""
