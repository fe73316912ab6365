"""DNS: one question to one server, over UDP or TCP, never through the system's resolver.

Any well-formed answer to our own question is a round trip, whatever its response code: the path
and the server are there, and the code is in the Exchange. What does not name our question is
ignored. A truncated answer (TC) is not asked again over TCP: that would be another measurement.
"""

import asyncio
import socket
from contextlib import closing
from functools import partial
from struct import Struct

import dns.exception
import dns.flags
import dns.message
import dns.rdatatype

from agent.probes.attempt import (
    Attempt,
    AttemptProbe,
    Cut,
    Ended,
    connect,
    grounded,
    open_socket,
    ready,
)
from agent.probes.site import Site
from agent.recorder import Stream
from agent.sockets import Way, literal
from wire.detail import Phase
from wire.observation import Outcome
from wire.policy import Transport

PORT = 53
_LARGEST = 65_535
_LENGTH = Struct(">H")
"""RFC 1035 section 4.2.2: over TCP the message follows its length."""


class _Server:
    """One target's server and what it is asked."""

    def __init__(self, site: Site, stream: Stream) -> None:
        target = stream.target
        if target.host is None:
            raise ValueError("a DNS target needs a host: the name to ask for")
        family, self._address, _ = literal(target.address, target.port or PORT)
        self._way = Way(family, target.interface, target.dscp)
        self._site = site
        try:
            self._name = dns.name.from_text(target.host)
        except dns.exception.DNSException as error:
            raise ValueError(f"{target.host!r} is not a domain name: {error}") from error
        self._ask = self._over_tcp if target.transport is Transport.TCP else self._over_udp

    async def __call__(self, attempt: Attempt) -> Ended:
        """Ask once."""
        return await self._ask(attempt, dns.message.make_query(self._name, dns.rdatatype.A))

    async def _over_udp(self, attempt: Attempt, query: dns.message.Message) -> Ended:
        clock = self._site.clock
        wire = query.to_wire()
        with closing(open_socket(self._way, socket.SOCK_DGRAM)) as sock:
            began_ns = attempt.begin()
            try:
                sock.connect(self._address)
                sock.send(wire)
            except OSError as error:
                raise grounded(error) from error
            while True:
                rtt_ns = await ready(sock, clock) - began_ns
                try:
                    data = sock.recv(_LARGEST)
                except BlockingIOError:
                    continue
                except ConnectionRefusedError as error:  # ICMP port unreachable
                    raise Cut(Ended(Outcome.REFUSED, rtt_ns)) from error
                answer = self._answer(attempt, query, data)
                if answer is not None:
                    return _end(attempt, answer, {Phase.PROCESSING: rtt_ns})

    async def _over_tcp(self, attempt: Attempt, query: dns.message.Message) -> Ended:
        clock, loop = self._site.clock, asyncio.get_running_loop()
        wire = query.to_wire()
        with closing(open_socket(self._way, socket.SOCK_STREAM)) as sock:
            phases = {Phase.CONNECT: await connect(sock, self._address, attempt, clock)}
            asked_ns = clock.boot_ns()
            await loop.sock_sendall(sock, _LENGTH.pack(len(wire)) + wire)
            buffer = bytearray()
            while True:
                at_ns = await ready(sock, clock)
                try:
                    came = sock.recv(_LARGEST)
                except BlockingIOError:
                    continue
                if not came:
                    attempt.tell(phases, note="the server closed the connection unasked")
                    return Ended(Outcome.BAD_REPLY)
                buffer += came
                for data in whole_messages(buffer):
                    answer = self._answer(attempt, query, data)
                    if answer is not None:
                        return _end(attempt, answer, phases | {Phase.PROCESSING: at_ns - asked_ns})

    def _answer(
        self, attempt: Attempt, query: dns.message.Message, data: bytes
    ) -> dns.message.Message | None:
        """The answer in `data`; None where it is none, and then a better one can still come."""
        answer = parse(data)
        if answer is not None and query.is_response(answer):
            return answer
        if data[:2] == _LENGTH.pack(query.id):
            attempt.flight.suspect = Outcome.BAD_REPLY
        else:
            self._site.oddities.foreign += 1
        return None


def parse(data: bytes) -> dns.message.Message | None:
    """A message, also one that was cut off after its question and says so."""
    try:
        return dns.message.from_wire(data, ignore_trailing=True)
    except dns.exception.DNSException:
        pass
    try:
        head = dns.message.from_wire(data, question_only=True, ignore_trailing=True)
    except dns.exception.DNSException:
        return None
    return head if head.flags & dns.flags.TC else None


def whole_messages(buffer: bytearray) -> list[bytes]:
    """The whole messages at the front of `buffer`, taken out of it."""
    found = []
    while len(buffer) >= _LENGTH.size:
        end = _LENGTH.size + _LENGTH.unpack_from(buffer)[0]
        if len(buffer) < end:
            break
        found.append(bytes(buffer[_LENGTH.size : end]))
        del buffer[:end]
    return found


def _end(attempt: Attempt, answer: dns.message.Message, phases_ns: dict[Phase, int]) -> Ended:
    note = "truncated" if answer.flags & dns.flags.TC else ""
    attempt.tell(phases_ns, status=int(answer.rcode()), note=note)
    return Ended(Outcome.OK, sum(phases_ns.values()))


class DnsProbe(AttemptProbe):
    """All DNS targets of this agent."""

    def __init__(self, site: Site) -> None:
        super().__init__(site, partial(_Server, site))
