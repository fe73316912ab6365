"""STAMP session-sender (RFC 8762, session id of RFC 8972): one connected UDP socket per target.

A reply counts only where it names a packet of ours by number and by timestamp, because STAMP has
no protection against replays. The reflector's residence time is taken out of the RTT, and its own
packet counter is kept: that is what tells forward from reverse loss.
"""

from collections.abc import Sequence
from functools import partial

from agent.probes.site import Site, Unavailable, ground, refused_as, silent
from agent.recorder import Flight, Stream
from agent.sockets import Channel, Refusal, Way, literal
from agent.stamps import Arrival, stepped
from runtime.clock import SECOND, Clock
from wire.errors import Refusal as WireRefusal
from wire.errors import WireError
from wire.journal import Anchor
from wire.observation import Outcome
from wire.stamp import (
    DEFAULT_PORT,
    ReflectorPacket,
    SenderPacket,
    error_estimate,
    ntp64,
    ntp64_difference_ns,
    pack_sender,
    parse_reflector,
    unix_ns,
)

_QUALITY_NS = 10 * SECOND
"""How long one look at the clock's quality serves."""
_MOVED_NS = 5 * SECOND
"""How often a silent session asks whether its source address is still the right one: a connected
socket keeps the address it began with, also when the interface gets a new one."""
_FAILURES = 3
"""Failed sends in a row after which the socket is opened anew."""


class _Estimate:
    """The Error Estimate field, looked up now and then."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._field = 0
        self._until_ns = -1

    def field(self) -> int:
        now_ns = self._clock.boot_ns()
        if now_ns >= self._until_ns:
            quality = self._clock.quality()
            error_ns = SECOND if quality.error_ns is None else quality.error_ns
            self._field = error_estimate(error_ns, synchronised=quality.error_ns is not None)
            self._until_ns = now_ns + _QUALITY_NS
        return self._field


class _Session:
    """One target's socket, and those it had before while their replies may still come."""

    def __init__(self, site: Site, stream: Stream, estimate: _Estimate) -> None:
        target = stream.target
        self.stream = stream
        self._site = site
        self._estimate = estimate
        try:
            family, self._address, _ = literal(target.address, target.port or DEFAULT_PORT)
        except ValueError as error:
            raise Unavailable(str(error)) from error
        if target.authenticated and site.stamp_key is None:
            raise Unavailable("authenticated STAMP needs the key that enrolment gives")
        self._key = site.stamp_key if target.authenticated else None
        self._way = Way(family, target.interface, target.dscp)
        self._channel: Channel | None = None
        self._leaving: list[tuple[int, Channel]] = []
        self._opened_ns = 0
        self._asked_ns = 0
        self._failures = 0
        self._dropped = 0

    def send(self, seq: int) -> int:
        """Send packet `seq`; returns how long the call took."""
        timestamp = ntp64(self._site.clock.wall_ns())
        flight = Flight(seq, timestamp)
        packet = SenderPacket(
            seq & 0xFFFF_FFFF, timestamp, self._estimate.field(), self.stream.target.ssid or 0
        )
        try:
            channel = self._open()
            channel.send(pack_sender(packet, self._key, self.stream.target.size), flight)
        except OSError as error:
            self._failed(flight, error)
            return 0
        if self._failures:
            self._failures = 0
            self._site.note(self.stream, None)
        self.stream.launch(flight)
        self._hear_refusals(channel)
        return flight.call_ns

    def hear(self, channel: Channel) -> None:
        """Take in what has arrived; transmit stamps come before the replies that need them."""
        self._hear_refusals(channel)
        for arrival in channel.receive():
            self._hear_reply(arrival)

    def poll(self, now_ns: int) -> None:
        """Take in what has arrived on every socket and close those whose time is over."""
        for _, channel in self._leaving:
            self.hear(channel)
        while self._leaving and self._leaving[0][0] <= now_ns:
            self._close(self._leaving.pop(0)[1])
        if self._channel is None:
            return
        self.hear(self._channel)
        dropped = self._channel.dropped()
        if dropped > self._dropped:
            for flight in self.stream.waiting():
                flight.suspect = Outcome.LOCAL_ERROR
        self._dropped = dropped
        if not self.stream.retired:
            self._renew(self._channel, now_ns)

    def close(self) -> None:
        """Let go of every socket."""
        for _, channel in self._leaving:
            self._close(channel)
        self._leaving.clear()
        if self._channel is not None:
            self._close(self._channel)
            self._channel = None

    def _open(self) -> Channel:
        if self._channel is None:
            channel = self._site.network.udp(self._way, self._address)
            self._site.network.watch(channel, partial(self.hear, channel))
            self._channel = channel
            self._opened_ns = self._asked_ns = self._site.clock.boot_ns()
            self._dropped = 0
        return self._channel

    def _failed(self, flight: Flight, error: OSError) -> None:
        ground(self._site, self.stream, flight, error)
        self._failures += 1
        if self._failures % _FAILURES == 0 and self._channel is not None:
            self._leave(self._channel, flight.boot_ns)

    def _renew(self, channel: Channel, now_ns: int) -> None:
        heard_ns = max(self._asked_ns, self.stream.last_reply_boot_ns or 0)
        moved = False
        if now_ns - heard_ns > _MOVED_NS:
            self._asked_ns = now_ns
            moved = channel.moved()
        if moved or silent(self.stream, self._opened_ns, now_ns):
            self._leave(channel, now_ns)

    def _leave(self, channel: Channel, now_ns: int) -> None:
        """Use a new socket from now on, and hear this one out."""
        self._leaving.append((now_ns + int(self.stream.target.timeout_s * SECOND), channel))
        self._channel = None

    def _close(self, channel: Channel) -> None:
        self._site.network.unwatch(channel)
        channel.close()

    def _hear_refusals(self, channel: Channel) -> None:
        for refusal in channel.refusals():
            outcome = refused_as(refusal.family, refusal.kind)
            flight = self._quoted(refusal)
            if flight is not None and refusal.port_closed:
                # The way is there and the reflector is not: that is no loss of the link.
                self.stream.refused(flight, self._site.clock.boot_ns() - flight.boot_ns)
            elif flight is not None and outcome is not None:
                self.stream.refuse(flight, outcome)

    def _quoted(self, refusal: Refusal) -> Flight | None:
        """The packet that an ICMP error quotes; routers may quote too little to tell."""
        at = 4 if self._key is None else 16
        if len(refusal.quote) < at + 8:
            return None
        flight = self._find(int.from_bytes(refusal.quote[:4], "big"))
        named = int.from_bytes(refusal.quote[at : at + 8], "big")
        return flight if flight is not None and flight.token == named else None

    def _hear_reply(self, arrival: Arrival) -> None:
        try:
            packet = parse_reflector(arrival.data, self._key)
        except WireError as error:
            self._site.oddities.foreign += 1
            if error.refusal is WireRefusal.BAD_SIGNATURE:
                self._suspect(int.from_bytes(arrival.data[48:52], "big"))
            return
        flight = self._find(packet.sender_seq)
        if flight is None:
            self.stream.stray()
            return
        if flight.token != packet.sender_timestamp:
            self._site.oddities.foreign += 1
            self._suspect(packet.sender_seq)
            return
        residence_ns = ntp64_difference_ns(packet.timestamp, packet.receive_timestamp)
        self.stream.reply(flight, arrival, residence_ns=residence_ns, reflector_seq=packet.seq)
        if flight.outcome is Outcome.OK and not stepped(flight, arrival):
            left_ns = flight.kernel_ns or flight.wall_ns
            flight.forward_us = (
                ntp64_difference_ns(packet.receive_timestamp, ntp64(left_ns)) // 1000
            )
        if self._key is not None:
            self._show_hub_clock(flight, packet, arrival)

    def _show_hub_clock(self, flight: Flight, packet: ReflectorPacket, arrival: Arrival) -> None:
        """Somewhere between our two readings of the boot clock the hub read both of its stamps."""
        away_ns = arrival.boot_ns - flight.boot_ns
        hub_ns = (unix_ns(packet.receive_timestamp) + unix_ns(packet.timestamp)) // 2
        self._site.anchor(Anchor(flight.boot_ns + away_ns // 2, hub_ns, away_ns // 2))

    def _suspect(self, low: int) -> None:
        """Something came that claims to be this packet's reply and is not."""
        flight = self._find(low)
        if flight is not None:
            flight.suspect = Outcome.BAD_REPLY

    def _find(self, low: int) -> Flight | None:
        return self.stream.find(self.stream.whole_seq(low, 32))


class StampProbe:
    """All STAMP sessions of this agent."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._estimate = _Estimate(site.clock)
        self._sessions: dict[int, _Session] = {}

    def add(self, stream: Stream) -> None:
        """Begin a session; its socket opens with its first packet. Raises Unavailable."""
        self._sessions[stream.index] = _Session(self._site, stream, self._estimate)

    def remove(self, stream: Stream) -> None:
        """The session ends when its last packet's fate is settled."""
        assert stream.retired

    def send(self, due: Sequence[tuple[Stream, int]]) -> int:
        """Send these packets now; returns the longest send call in nanoseconds."""
        return max((self._sessions[stream.index].send(seq) for stream, seq in due), default=0)

    def poll(self) -> None:
        """Take in everything that has arrived, and end sessions that are over."""
        now_ns = self._site.clock.boot_ns()
        for index, session in list(self._sessions.items()):
            session.poll(now_ns)
            if session.stream.retired and not session.stream.open:
                session.close()
                del self._sessions[index]

    def close(self) -> None:
        """Let go of all sockets."""
        for session in self._sessions.values():
            session.close()
        self._sessions.clear()
