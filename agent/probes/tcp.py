"""TCP connect: from the SYN to its answer; nothing is said on the connection.

A refusal is a round trip: the target is there. The connection is reset, not closed in order, so
that a target of one attempt a second leaves nothing in TIME_WAIT. The kernel sends a lost SYN
again after a second, which the RTT then contains; where that happened a note says so.
"""

import socket
import sys
from contextlib import closing
from functools import partial

from agent.probes.attempt import Attempt, AttemptProbe, Ended, connect, open_socket
from agent.probes.site import Site
from agent.recorder import Stream
from agent.sockets import Way, literal
from wire.detail import Phase
from wire.observation import Outcome

_TOTAL_RETRANS_AT = 100
"""Offset of tcpi_total_retrans in struct tcp_info."""


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
            rtt_ns = await connect(sock, self._address, attempt, self._clock)
            again = sent_again(sock)
        if again:
            attempt.tell({Phase.CONNECT: rtt_ns}, note=f"the SYN was sent {again + 1} times")
        return Ended(Outcome.OK, rtt_ns)


def sent_again(sock: socket.socket) -> int:
    """How many segments the kernel has sent again on this connection."""
    end = _TOTAL_RETRANS_AT + 4
    told = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, end)
    return int.from_bytes(told[_TOTAL_RETRANS_AT:end], sys.byteorder)


class TcpProbe(AttemptProbe):
    """All TCP targets of this agent."""

    def __init__(self, site: Site) -> None:
        super().__init__(site, partial(_Port, site))
