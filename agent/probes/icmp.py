"""ICMP echo: one socket for all targets that share a way out, raw or unprivileged.

Every packet carries a cookie, the number of its stream and its own sequence number, so that a
reply is matched by (id, sequence number, source, payload) and the 16 bits of ICMP's own sequence
number may wrap. Sockets and permissions are icmplib's business; stamps, pacing and matching are
not, because icmplib stamps in user space with the wall clock.
"""

import secrets
import socket
from collections.abc import Sequence
from functools import partial
from struct import Struct

from agent.many import sockaddr
from agent.probes.site import Site, Unavailable, ground, refused_as, silent
from agent.recorder import Flight, Stream
from agent.sockets import Destination, IcmpChannel, IcmpNotPermitted, Refusal, Way, literal
from agent.stamps import Arrival
from runtime.clock import SECOND
from wire.observation import Outcome

_HEADER = Struct(">BBHHH")
_PAYLOAD = Struct(">8sII")
_PACKET = Struct(">BBHHH8sII")
_REQUEST = {socket.AF_INET: 8, socket.AF_INET6: 128}
_REPLY = {socket.AF_INET: 0, socket.AF_INET6: 129}
_NEXT_HEADER_ICMP = {socket.AF_INET: 1, socket.AF_INET6: 58}
_SHARED_PER_S = 100
"""Packets per second above which packets leave in batches and replies are read at the next send:
the kernel stamps them all, and a call and a wake-up for each would cost more than everything else
together. A packet whose kernel stamps cannot be believed is then late by up to that send, and says
USER."""
NOT_PERMITTED = (
    "ICMP is not permitted: its targets are not measured"
    " (set net.ipv4.ping_group_range or give CAP_NET_RAW)"
)


def checksum(number: int) -> int:
    """Internet checksum (RFC 1071) of an even number of bytes, read as one number: the ones'
    complement sum of 16-bit words is that number modulo 65,535, and so is any sum of its fields."""
    return 0xFFFF - number % 0xFFFF


class _Seat:
    """A stream's place in a lane."""

    __slots__ = ("address", "joined_ns", "lane", "padding", "stream", "to", "troubled", "way")

    def __init__(self, stream: Stream) -> None:
        target = stream.target
        family, address, self.address = literal(target.address)
        self.to = Destination(address, sockaddr(family, address))
        self.way = Way(family, target.interface, target.dscp)
        self.stream = stream
        self.padding = bytes(target.size)
        self.lane: _Lane | None = None
        self.joined_ns = 0
        self.troubled = False


class _Lane:
    """One ICMP socket and the streams that use it."""

    def __init__(self, site: Site, way: Way) -> None:
        self._site = site
        self.way = way
        self.closes_ns = 0
        """When the last reply to a stream that left can still come."""
        self.seats: dict[int, _Seat] = {}
        self._cookie = secrets.token_bytes(8)
        self._family = socket.AddressFamily(way.family)
        self._dropped = 0
        self.channel: IcmpChannel = site.network.icmp(way, secrets.randbits(16), self._cookie)
        self._ident = self.channel.ident
        self._request = _REQUEST[self._family]
        self._reply = _REPLY[self._family]
        self._headed = self.channel.raw and self._family is socket.AF_INET
        """Arrivals begin with their IP header and checksums are ours: raw IPv4 sockets only."""
        same = _PACKET.pack(self._request, 0, 0, self._ident, 0, self._cookie, 0, 0)
        self._sum = int.from_bytes(same, "big") % 0xFFFF

    def join(self, seat: _Seat, now_ns: int) -> None:
        """Send for `seat` from now on; the lane it had hears out what it sent."""
        if seat.lane is not None:
            seat.lane.leave(seat, now_ns)
        self.seats[seat.stream.index] = seat
        seat.lane, seat.joined_ns = self, now_ns

    def leave(self, seat: _Seat, now_ns: int) -> None:
        """Send no more for `seat`, which stays known until its replies can no longer come."""
        seat.lane = None
        timeout_ns = int(seat.stream.target.timeout_s * SECOND)
        self.closes_ns = max(self.closes_ns, now_ns + timeout_ns)

    @property
    def used(self) -> bool:
        """Whether any stream still sends here."""
        return any(seat.lane is self for seat in self.seats.values())

    def send(self, seat: _Seat, flight: Flight) -> None:
        """Send packet `flight`. Raises OSError."""
        self.channel.send(self._packet(seat, flight.seq), flight, seat.to.address)

    def send_many(self, due: Sequence[tuple[_Seat, Flight]]) -> dict[int, OSError]:
        """Send all these; what went wrong, by place."""
        packet = self._packet
        return self.channel.send_many(
            [packet(seat, flight.seq) for seat, flight in due],
            [flight for _, flight in due],
            [seat.to for seat, _ in due],
        )

    def _packet(self, seat: _Seat, whole: int) -> bytes:
        seq, index = whole & 0xFFFF_FFFF, seat.stream.index
        low = seq & 0xFFFF
        sealed = checksum(self._sum + low + index + seq) if self._headed else 0
        packet = _PACKET.pack(self._request, 0, sealed, self._ident, low, self._cookie, index, seq)
        return packet + seat.padding

    def hear(self) -> None:
        """Take in what has arrived; transmit stamps come before the replies that need them."""
        for refusal in self.channel.refusals():
            self._hear_refusal(refusal)
        for arrival in self.channel.receive():
            self._hear(arrival)

    def tidy(self, now_ns: int) -> None:
        """Forget the streams that left, once nothing can come for them."""
        if self.closes_ns <= now_ns:
            self.seats = {i: seat for i, seat in self.seats.items() if seat.lane is self}

    def check_room(self) -> None:
        """After replies were dropped here, what has no reply is our failure and not the path's."""
        dropped = self.channel.dropped()
        if dropped > self._dropped:
            for seat in self.seats.values():
                for flight in seat.stream.waiting():
                    flight.suspect = Outcome.LOCAL_ERROR
        self._dropped = dropped

    def _hear(self, arrival: Arrival) -> None:
        data = arrival.data
        at = (data[0] & 15) * 4 if self._headed and data else 0
        if len(data) < at + _HEADER.size:
            return
        kind = data[at]
        if kind != self._reply:
            refusal = _quoted(self._family, kind, data[at + 8 :])
            if refusal is not None:
                self._hear_refusal(refusal)
            return
        if len(data) < at + _PACKET.size:
            return
        _, _, _, ident, low, cookie, index, whole = _PACKET.unpack_from(data, at)
        seat = self.seats.get(index)
        if (
            seat is None
            or cookie != self._cookie
            or ident != self._ident
            or low != whole & 0xFFFF
            or arrival.source != seat.address
        ):
            self._site.oddities.foreign += 1
            return
        stream = seat.stream
        flight = stream.find(stream.whole_seq(whole, 32))
        if flight is None:
            stream.stray()
            return
        stream.reply(flight, arrival)

    def _hear_refusal(self, refusal: Refusal) -> None:
        outcome = refused_as(refusal.family, refusal.kind)
        quote = refusal.quote
        if outcome is None or len(quote) < _HEADER.size:
            return
        _, _, _, ident, low = _HEADER.unpack_from(quote)
        if ident != self._ident:
            return
        seats = [seat for seat in self.seats.values() if seat.address == refusal.address]
        if len(quote) >= _PACKET.size:
            cookie, index, _ = _PAYLOAD.unpack_from(quote, _HEADER.size)
            seats = [seat for seat in seats if seat.stream.index == index]
            if cookie != self._cookie:
                return
        if len(seats) == 1:  # RFC 792 asks for 8 bytes only, and those can fit two streams
            stream = seats[0].stream
            flight = stream.find(stream.whole_seq(low, 16))
            if flight is not None:
                stream.refuse(flight, outcome)


def _quoted(family: socket.AddressFamily, kind: int, inner: bytes) -> Refusal | None:
    """The error in a raw ICMP packet, from the IP header that it quotes."""
    if len(inner) < 20 or (family is socket.AF_INET6 and len(inner) < 40):
        return None
    if family is socket.AF_INET:
        protocol, to, length = inner[9], inner[16:20], (inner[0] & 15) * 4
    else:
        protocol, to, length = inner[6], inner[24:40], 40
    if protocol != _NEXT_HEADER_ICMP[family]:
        return None
    return Refusal(family, kind, inner[length:], socket.inet_ntop(family, to))


class IcmpProbe:
    """All ICMP targets of this agent."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._seats: dict[int, _Seat] = {}
        self._lanes: list[_Lane] = []
        self._newest: dict[Way, _Lane] = {}
        self._per_s = 0.0
        self._shared = False

    def add(self, stream: Stream) -> None:
        """Begin to serve `stream`. Raises Unavailable where ICMP is not permitted."""
        try:
            seat = _Seat(stream)
            self._lane_of(seat)
        except ValueError as error:
            raise Unavailable(str(error)) from error
        except IcmpNotPermitted as error:
            raise Unavailable(NOT_PERMITTED) from error
        except OSError:  # the interface may come later: each slot tries again, and says so
            pass
        self._seats[stream.index] = seat
        self._count(1 / stream.target.interval_s)

    def remove(self, stream: Stream) -> None:
        """Send no more for `stream`; its replies are still taken."""
        seat = self._seats.pop(stream.index)
        if seat.lane is not None:
            seat.lane.leave(seat, self._site.clock.boot_ns())
        self._count(-1 / stream.target.interval_s)

    def send(self, due: Sequence[tuple[Stream, int]]) -> int:
        """Send these packets now; returns the longest send call in nanoseconds."""
        flights = [(self._seats[stream.index], Flight(seq)) for stream, seq in due]
        if self._shared:
            self._send_many(flights)
        else:
            self._send_each(flights)
        for lane in self._lanes:
            lane.hear()
        return max((flight.call_ns for _, flight in flights), default=0)

    def _send_each(self, flights: Sequence[tuple[_Seat, Flight]]) -> None:
        for seat, flight in flights:
            try:
                lane = seat.lane or self._lane_of(seat)
                lane.send(seat, flight)
            except OSError as error:
                self._failed(seat, flight, error)
            else:
                self._left(seat, flight)

    def _send_many(self, flights: Sequence[tuple[_Seat, Flight]]) -> None:
        """All of a lane together, a moment and a call for many."""
        batches: dict[_Lane, list[tuple[_Seat, Flight]]] = {}
        for seat, flight in flights:
            try:
                lane = seat.lane or self._lane_of(seat)
            except OSError as error:
                self._failed(seat, flight, error)
                continue
            batches.setdefault(lane, []).append((seat, flight))
        for lane, batch in batches.items():
            failures = lane.send_many(batch)
            for k, (seat, flight) in enumerate(batch):
                if k in failures:
                    self._failed(seat, flight, failures[k])
                else:
                    self._left(seat, flight)

    def _left(self, seat: _Seat, flight: Flight) -> None:
        seat.stream.launch(flight)
        if seat.troubled:
            seat.troubled = False
            self._site.note(seat.stream, None)

    def poll(self) -> None:
        """Take in everything that has arrived; renew what is silent, close what is not used."""
        now_ns = self._site.clock.boot_ns()
        for lane in self._lanes:
            lane.hear()
            lane.check_room()
            lane.tidy(now_ns)
        for seat in self._seats.values():
            if seat.lane is not None and silent(seat.stream, seat.joined_ns, now_ns):
                self._renew(seat, now_ns)
        for lane in [lane for lane in self._lanes if not lane.used and lane.closes_ns <= now_ns]:
            if self._newest.get(lane.way) is lane:
                del self._newest[lane.way]
            self._close(lane)

    def close(self) -> None:
        """Let go of all sockets."""
        for lane in list(self._lanes):
            self._close(lane)
        self._newest.clear()

    def _count(self, per_s: float) -> None:
        self._per_s += per_s
        shared = self._per_s > _SHARED_PER_S
        if shared != self._shared:
            self._shared = shared
            for lane in self._lanes:
                self._watch(lane)

    def _watch(self, lane: _Lane) -> None:
        if self._shared and lane.channel.kernel_stamps:
            self._site.network.unwatch(lane.channel)
        else:
            self._site.network.watch(lane.channel, partial(lane.hear))

    def _lane_of(self, seat: _Seat) -> _Lane:
        lane = self._newest.get(seat.way) or self._open(seat.way)
        lane.join(seat, self._site.clock.boot_ns())
        return lane

    def _open(self, way: Way) -> _Lane:
        lane = _Lane(self._site, way)
        self._newest[way] = lane
        self._lanes.append(lane)
        self._watch(lane)
        return lane

    def _renew(self, seat: _Seat, now_ns: int) -> None:
        """Move a silent stream to a lane with another ICMP id, one that others may share."""
        newest = self._newest.get(seat.way)
        if newest is None or newest is seat.lane:
            try:
                newest = self._open(seat.way)
            except OSError:
                return  # the old lane still serves, and the next poll tries again
        newest.join(seat, now_ns)

    def _failed(self, seat: _Seat, flight: Flight, error: OSError) -> None:
        ground(self._site, seat.stream, flight, error)
        seat.troubled = True
        lane = seat.lane
        if (
            lane is not None
            and seat.way.interface is not None
            and flight.outcome is Outcome.NOT_SENT
        ):
            # The socket is bound to an interface that is gone; its namesake needs a new socket.
            lane.leave(seat, flight.boot_ns)
            if self._newest.get(seat.way) is lane:
                del self._newest[seat.way]

    def _close(self, lane: _Lane) -> None:
        self._lanes.remove(lane)
        self._site.network.unwatch(lane.channel)
        lane.channel.close()
