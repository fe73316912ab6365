"""TCP connect: from the SYN to its answer; nothing is said on the connection.

The RTT is the kernel's own (TCP_INFO: its first sample is SYN to SYN/ACK, in microseconds), which
no other target's work can delay. The kernel sends a lost SYN again after a second and then has no
such sample: the RTT is then the time until the socket was writable, and a note says so. A refusal
is a round trip: the target is there. The connection is reset, not closed in order, so that a
target of one attempt a second leaves nothing in TIME_WAIT.
"""

import socket
import struct
from contextlib import closing
from functools import partial

from agent.probes.attempt import Attempt, AttemptProbe, Ended, connect, open_socket
from agent.probes.site import Site
from agent.recorder import Stream
from agent.sockets import Way, literal
from wire.detail import Phase
from wire.observation import Outcome, StampSource

_INFO = struct.Struct("=68xI28xI")
"""tcpi_rtt and tcpi_total_retrans of struct tcp_info."""


class _Port:
    """One target's port."""

    def __init__(self, site: Site, stream: Stream) -> None:
        target = stream.target
        if target.port is None:
            raise ValueError("a TCP target needs a port")
        family, self._address, _ = literal(target.address, target.port)
        self._way = Way(family, target.interface, target.dscp)
        self._clock = site.clock

    async def __call__(self, attempt: Attempt) -> Ended:
        """Connect once."""
        with closing(open_socket(self._way, socket.SOCK_STREAM)) as sock:
            waited_ns = await connect(sock, self._address, attempt, self._clock)
            rtt_us, again = told(sock)
        if again:
            attempt.tell({Phase.CONNECT: waited_ns}, note=f"the SYN was sent {again + 1} times")
        elif 0 < rtt_us * 1000 <= waited_ns:
            return Ended(Outcome.OK, rtt_us * 1000, stamp=StampSource.KERNEL)
        return Ended(Outcome.OK, waited_ns)


def told(sock: socket.socket) -> tuple[int, int]:
    """What the kernel knows of a new connection: its RTT in microseconds (0 where it has none),
    and how many segments were sent again."""
    info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _INFO.size)
    rtt_us, again = _INFO.unpack(info)
    return rtt_us, again


class TcpProbe(AttemptProbe):
    """All TCP targets of this agent."""

    def __init__(self, site: Site) -> None:
        super().__init__(site, partial(_Port, site))
