"""DNS: one question to one server, over UDP or TCP, never through the system's resolver.

Any well-formed answer to our own question is a round trip, whatever its response code: the path
and the server are there, and the code is in the Exchange. What does not name our question is
ignored. A truncated answer (TC) is not asked again over TCP: that would be another measurement.
"""

import asyncio
import socket
from contextlib import closing, suppress
from functools import partial
from struct import Struct

import dns.exception
import dns.flags
import dns.message
import dns.name
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
from agent.stamps import Arrival, Sent, round_trip
from runtime.clock import SECOND, Clock
from wire.detail import Phase
from wire.observation import Outcome, StampSource
from wire.policy import Transport

PORT = 53
_LARGEST = 65_535
_ANCILLARY_BYTES = 64
_TIMESTAMPNS = {64: Struct("=qq"), 35: Struct("@ll")}
"""SO_TIMESTAMPNS_NEW (64-bit seconds everywhere, Linux 5.1), then SO_TIMESTAMPNS_OLD."""
_LENGTH = Struct(">H")
"""RFC 1035 section 4.2.2: over TCP the message follows its length."""


class _KernelStamps:
    """Receives with the kernel's stamp of arrival: what else this process does adds nothing."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._option: int | None = None
        for option in _TIMESTAMPNS:
            with suppress(OSError):
                sock.setsockopt(socket.SOL_SOCKET, option, 1)
                self._option = option
                break

    def receive(self, clock: Clock) -> Arrival:
        """One datagram. Raises OSError."""
        data, ancillary, _, _ = self._sock.recvmsg(_LARGEST, _ANCILLARY_BYTES)
        boot_ns, wall_ns, kernel_ns = clock.boot_ns(), clock.wall_ns(), None
        for level, kind, value in ancillary:
            if level == socket.SOL_SOCKET and kind == self._option:
                seconds, ns = _TIMESTAMPNS[kind].unpack_from(value)
                kernel_ns = seconds * SECOND + ns
        return Arrival(data, "", boot_ns, wall_ns, kernel_ns, None)


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
            stamps = _KernelStamps(sock)
            try:
                sock.connect(self._address)
                attempt.begin()
                sent = Sent()
                sent.boot_ns, sent.wall_ns = clock.boot_ns(), clock.wall_ns()
                sock.send(wire)
            except OSError as error:
                raise grounded(error) from error
            while True:
                at_ns = await ready(sock, clock)
                try:
                    arrival = stamps.receive(clock)
                except BlockingIOError:
                    continue
                except ConnectionRefusedError as error:  # ICMP port unreachable
                    raise Cut(Ended(Outcome.REFUSED, at_ns - sent.boot_ns)) from error
                answer = self._answer(attempt, query, arrival.data)
                if answer is not None:
                    rtt_ns, source = round_trip(sent, arrival)
                    return _end(attempt, answer, {Phase.PROCESSING: rtt_ns}, source)

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
                        phases[Phase.PROCESSING] = at_ns - asked_ns
                        return _end(attempt, answer, phases, StampSource.USER)

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


def _end(
    attempt: Attempt,
    answer: dns.message.Message,
    phases_ns: dict[Phase, int],
    source: StampSource,
) -> Ended:
    note = "truncated" if answer.flags & dns.flags.TC else ""
    attempt.tell(phases_ns, status=int(answer.rcode()), note=note)
    return Ended(Outcome.OK, sum(phases_ns.values()), stamp=source)


class DnsProbe(AttemptProbe):
    """All DNS targets of this agent."""

    def __init__(self, site: Site) -> None:
        super().__init__(site, partial(_Server, site))
