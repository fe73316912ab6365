"""What a probe is, and what it is given to work with.

One probe object serves all targets of its kind, because sockets and wake-ups are shared. It
raises only for bugs: a network failure is an Outcome in the target's stream.
"""

import errno
import socket
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Protocol

from agent.credentials import CredentialsReader, standard
from agent.recorder import Flight, Oddities, Stream
from agent.sockets import Network
from runtime.clock import SECOND, Clock
from wire.detail import DetailRecord
from wire.journal import Anchor
from wire.observation import Outcome

SILENCE_NS = 60 * SECOND
"""Without a reply for so long, a flow gets a new port or ICMP id: firewalls and NATs can hold on
to a dead session, and a prober that never lets go never sees the link come back."""
_SILENT_PACKETS = 5

_NOT_SENT = frozenset(
    {
        errno.ENETUNREACH,
        errno.EHOSTUNREACH,
        errno.ENETDOWN,
        errno.ENODEV,
        errno.ENXIO,
        errno.EADDRNOTAVAIL,
        errno.EAFNOSUPPORT,
    }
)
"""No route, no interface, no address: there was nothing to send through."""
_REFUSED_AS = {
    (socket.AF_INET, 3): Outcome.UNREACHABLE,
    (socket.AF_INET, 11): Outcome.TTL_EXPIRED,
    (socket.AF_INET6, 1): Outcome.UNREACHABLE,
    (socket.AF_INET6, 2): Outcome.UNREACHABLE,  # packet too big; in IPv4 a kind of type 3
    (socket.AF_INET6, 3): Outcome.TTL_EXPIRED,
}


class Unavailable(Exception):
    """This machine cannot measure this target at all: nothing is due, and a note says why."""


@dataclass(frozen=True, kw_only=True)
class Site:
    """Where a probe works."""

    clock: Clock
    network: Network
    oddities: Oddities
    stamp_key: bytes | None
    """HMAC key of this agent for authenticated STAMP."""
    note: Callable[[Stream, str | None], None]
    """Tells the operator what is wrong with a target; None when it is right again."""
    spawn: Callable[[Coroutine[None, None, None], str], None]
    """Runs a step of the measuring that takes a while, under this name, until it ends or the
    measuring does."""
    anchor: Callable[[Anchor], None]
    """Takes the hub's clock as an authenticated exchange has shown it."""
    emit: Callable[[DetailRecord], None]
    """Hands on what was learnt besides the round trip."""
    credentials: CredentialsReader = standard
    """The secrets of a name that a target gives. Raises CredentialsError."""


class Probe(Protocol):
    """One kind of measurement, for all its targets."""

    def add(self, stream: Stream) -> None:
        """Begin to serve `stream`. Raises Unavailable."""
        ...

    def remove(self, stream: Stream) -> None:
        """Send no more for `stream`; replies to what is under way are still taken."""
        ...

    def send(self, due: Sequence[tuple[Stream, int]]) -> int:
        """Send these (stream, seq) now; returns the longest send call in nanoseconds."""
        ...

    def poll(self) -> None:
        """Take in everything that has arrived."""
        ...

    def close(self) -> None:
        """Let go of all sockets."""
        ...


def unsent(error: OSError) -> Outcome:
    """What a packet is that the kernel would not send: never loss on the path."""
    return Outcome.NOT_SENT if error.errno in _NOT_SENT else Outcome.LOCAL_ERROR


def ground(site: Site, stream: Stream, flight: Flight, error: OSError) -> None:
    """Record a packet that did not leave, and tell the operator."""
    flight.boot_ns, flight.wall_ns = site.clock.boot_ns(), site.clock.wall_ns()
    stream.ground(flight, unsent(error))
    site.note(stream, f"cannot send: {error.strerror or error}")


def refused_as(family: int, kind: int) -> Outcome | None:
    """What an ICMP error of this type makes of the packet it quotes; None for other types."""
    return _REFUSED_AS.get((socket.AddressFamily(family), kind))


def silent(stream: Stream, since_ns: int, now_ns: int) -> bool:
    """Whether a flow that was opened at `since_ns` has gone unanswered for too long."""
    heard_ns = max(since_ns, stream.last_reply_boot_ns or 0)
    target = stream.target
    packets_ns = int((_SILENT_PACKETS * target.interval_s + target.timeout_s) * SECOND)
    return now_ns - heard_ns > max(SILENCE_NS, packets_ns)
