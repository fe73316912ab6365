"""What the STAMP reflector knows of its sessions: who may be answered, what was heard, what lost.

Pure: bytes and a boot-clock reading go in, a counter or a reason to drop comes out. Forward loss
is read from the sender's own sequence numbers: a packet is sent whether or not it arrives, so a
hole between the oldest and the newest number heard is packets that did not reach the hub, for
whatever reason. The silent tail of a cut link has no numbers yet and is therefore not loss here:
that is what `last_heard_boot_ns` is for. STAMP has no replay protection (RFC 8762 section 7), so
all of this is the live road and never evidence.
"""

from array import array
from collections import OrderedDict
from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import NamedTuple

from wire import stamp
from wire.errors import Refusal, WireError

WINDOW = 1024
"""Sequence numbers that a late packet may be behind the newest; further behind is a restart."""
MAX_RECENT_S = 60
MAX_SEGMENTS = 4
"""Sources remembered per session: the current one and those whose last packets may still come."""
MAX_STRANGERS = 1024
_SEGMENT_IDLE_NS = 3_600_000_000_000
_FASTEST_NS = 10_000_000
"""Shortest probe interval that a policy can order: no honest sender counts faster than this."""
_MASK = (1 << WINDOW) - 1
_SECOND = 1_000_000_000
_RING = 64

Source = tuple[str, int]


class DropReason(StrEnum):
    """Why a datagram got no answer. The value is the metric label."""

    MALFORMED = "malformed"
    """shorter than a STAMP packet of its mode"""
    UNKNOWN_SESSION = "unknown_session"
    """its session id is nobody's, and strangers are not served"""
    NOT_AUTHENTICATED = "not_authenticated"
    """an open packet for a session that demands authentication"""
    WRONG_HMAC = "wrong_hmac"
    """the HMAC does not belong to these octets and the session's key"""
    LOOP = "loop"
    """its source port is a reflector's: an answer would be answered, for ever"""
    SOCKET_ERROR = "socket_error"
    """heard and counted, but the kernel would not take the answer"""


class Session(NamedTuple):
    """A sender that the hub expects; `key` (32 bytes) where it must authenticate."""

    ssid: int
    link: str
    agent_id: bytes
    key: bytes | None


class Heard(NamedTuple):
    """A packet to be answered: with this counter, and authenticated where there is a key."""

    packet: stamp.SenderPacket
    counter: int
    key: bytes | None


class SessionView(NamedTuple):
    """What was heard of one session since it was registered."""

    last_heard_boot_ns: int
    """The hub's boot clock at the newest packet that was not a duplicate."""
    packets_received: int
    """Datagrams accepted, duplicates included."""
    forward_lost: int
    """Sent by the agent, not arrived here; falls again when a late packet turns up."""
    duplicates: int
    reordered: int
    sender_restarts: int
    source_address: str
    source_port: int
    last_sender_seq: int


class RecentForward(NamedTuple):
    """Packets that the sender numbered in the window, and how many of them arrived."""

    expected: int
    received: int


class _Stream:
    """One life of a sender: which of its numbers arrived.

    Numbers are 32 bits and wrap; positions count from the first number heard and do not.
    """

    __slots__ = ("bits", "first", "heard_ns", "high", "marks", "newest", "position", "second")

    def __init__(self, packet: stamp.SenderPacket, now_ns: int) -> None:
        self.high = packet.seq
        self.newest = packet.timestamp
        self.position = 0
        self.first = 0
        self.bits = 1
        """Bit k: the number k below the newest has arrived."""
        self.heard_ns = now_ns
        self.second = now_ns // _SECOND
        self.marks = array("q", [-1]) * _RING
        """Newest position at the end of each of the last seconds."""

    def step(self, packet: stamp.SenderPacket) -> int:
        """How far `packet` is ahead of the newest, across the wrap; negative where behind."""
        return (packet.seq - self.high + 2**31) % 2**32 - 2**31

    def later(self, packet: stamp.SenderPacket) -> bool:
        """True where the sender's clock says that `packet` was sent after the newest."""
        return 0 < (packet.timestamp - self.newest) % 2**64 < 2**63

    def plausible(self, step: int, now_ns: int) -> bool:
        """True where a sender can have counted `step` further in the time that has passed."""
        return step <= WINDOW + (now_ns - self.heard_ns) // _FASTEST_NS

    def advance(self, packet: stamp.SenderPacket, step: int, now_ns: int) -> int:
        """Take a new newest packet; returns how many numbers it skipped."""
        self._mark(step, now_ns // _SECOND)
        self.high, self.newest, self.heard_ns = packet.seq, packet.timestamp, now_ns
        self.position += step
        self.bits = (self.bits << step | 1) & _MASK if step < WINDOW else 1
        return step - 1

    def fill(self, behind: int) -> int | None:
        """Take a packet `behind` the newest; the change in lost packets, None for a duplicate."""
        bit = 1 << behind
        if self.bits & bit:
            return None
        self.bits |= bit
        position = self.position - behind
        if position >= self.first:
            return -1
        skipped = self.first - position - 1
        self.first = position
        return skipped

    def _mark(self, step: int, second: int) -> None:
        # A periodic sender went on counting through the silence: its skipped numbers are spread
        # evenly over it, so that a long cut is not booked on the second in which it ended.
        silent = second - self.second
        for k in range(max(0, silent - _RING), silent):
            self.marks[(self.second + k) % _RING] = self.position + step * k // silent
        self.second = second

    def recent(self, since_second: int) -> RecentForward | None:
        """Numbers newer than at the end of `since_second`; None where none came since."""
        if since_second >= self.second:
            return None
        expected = min(self.position - self.marks[since_second % _RING], WINDOW)
        return RecentForward(expected, (self.bits & ((1 << expected) - 1)).bit_count())


class _Segment:
    """One source address of a session: the reflector's own counter runs within it."""

    __slots__ = ("counter", "heard_ns", "stream")

    def __init__(self, stream: _Stream, now_ns: int) -> None:
        self.stream = stream
        self.counter = 0
        self.heard_ns = now_ns


class _Hearing:
    """All that was heard of one session."""

    def __init__(self) -> None:
        self.segments: dict[Source, _Segment] = {}
        self.newest: _Segment | None = None
        self.source: Source = ("", 0)
        self.last_heard_ns = 0
        self.received = self.lost = self.duplicates = self.reordered = self.restarts = 0

    def note(self, packet: stamp.SenderPacket, source: Source, now_ns: int) -> int:
        """Book a packet; returns the reflector's counter for the answer."""
        self.received += 1
        segment, duplicate = self._segment(packet, source, now_ns)
        if duplicate:
            # Not counted: else a packet doubled on the way would hide one that was lost there.
            return (segment.counter - 1) % 2**32
        counter = segment.counter
        segment.counter = (counter + 1) % 2**32
        segment.heard_ns = self.last_heard_ns = now_ns
        self.newest, self.source = segment, source
        return counter

    def _segment(
        self, packet: stamp.SenderPacket, source: Source, now_ns: int
    ) -> tuple[_Segment, bool]:
        segment = self.segments.get(source)
        former = segment or self.newest
        if former is None:
            return self._open(source, _Stream(packet, now_ns), now_ns), False
        stream = former.stream
        step = stream.step(packet)
        if step > 0 and stream.plausible(step, now_ns):
            # From a new source too: a NAT forgets its mapping in any longer silence.
            self.lost += stream.advance(packet, step, now_ns)
            return segment or self._open(source, stream, now_ns), False
        # Behind, and yet sent later, from elsewhere or too far behind to be late: a new process.
        if segment is None or step > 0 or -step >= WINDOW or stream.later(packet):
            self.restarts += 1
            return self._open(source, _Stream(packet, now_ns), now_ns), False
        change = stream.fill(-step)
        if change is None:
            self.duplicates += 1
            return segment, True
        self.reordered += 1
        self.lost += change
        return segment, False

    def _open(self, source: Source, stream: _Stream, now_ns: int) -> _Segment:
        self.segments.pop(source, None)
        by_age = sorted(self.segments.items(), key=lambda item: item[1].heard_ns)
        surplus = len(by_age) - (MAX_SEGMENTS - 1)
        for k, (old, segment) in enumerate(by_age):
            if k < surplus or now_ns - segment.heard_ns > _SEGMENT_IDLE_NS:
                del self.segments[old]
        opened = self.segments[source] = _Segment(stream, now_ns)
        return opened

    def view(self) -> SessionView | None:
        """None where nothing was heard yet."""
        if self.newest is None:
            return None
        return SessionView(
            self.last_heard_ns,
            self.received,
            self.lost,
            self.duplicates,
            self.reordered,
            self.restarts,
            *self.source,
            self.newest.stream.high,
        )


class SessionTable:
    """The sessions by their ids (RFC 8972 section 3), and the datagrams dropped by reason."""

    def __init__(self) -> None:
        self._sessions: dict[int, Session] = {}
        self._hearings: dict[int, _Hearing] = {}
        self._strangers: OrderedDict[tuple[int, Source], int] = OrderedDict()
        self._dropped = dict.fromkeys(DropReason, 0)
        self.dropped: Mapping[DropReason, int] = MappingProxyType(self._dropped)
        """Datagrams that got no answer; every reason is there, from 0."""

    def register(self, session: Session) -> None:
        """Expect `session`; what was heard is kept where link and agent stay the same."""
        if not 1 <= session.ssid <= 0xFFFF:
            raise ValueError(f"session id {session.ssid} of link {session.link} is not 1..65535")
        former = self._sessions.get(session.ssid)
        if former is None or former[1:3] != session[1:3]:
            self._hearings[session.ssid] = _Hearing()
        self._sessions[session.ssid] = session

    def unregister(self, ssid: int) -> None:
        """Forget the session and what was heard of it; unknown ids are no error."""
        self._sessions.pop(ssid, None)
        self._hearings.pop(ssid, None)

    def hear(
        self, data: bytes, source: Source, now_boot_ns: int, *, strangers: bool = False
    ) -> Heard | DropReason:
        """Book one datagram: what to answer, or why not (counted already)."""
        found = self._session(data)
        if found is None and not strangers:
            return self.drop(DropReason.UNKNOWN_SESSION)
        if isinstance(found, DropReason):
            return self.drop(found)
        key = found.key if found else None
        try:
            packet = stamp.parse_sender(data, key)
        except WireError as error:
            wrong = error.refusal is Refusal.BAD_SIGNATURE
            return self.drop(DropReason.WRONG_HMAC if wrong else DropReason.MALFORMED)
        if found is None:
            return Heard(packet, self._stranger(packet.ssid, source), None)
        return Heard(packet, self._hearings[found.ssid].note(packet, source, now_boot_ns), key)

    def drop(self, reason: DropReason) -> DropReason:
        """Count a datagram that gets no answer."""
        self._dropped[reason] += 1
        return reason

    def _session(self, data: bytes) -> Session | DropReason | None:
        # The session id of one mode lies in octets that the other mode leaves zero.
        if len(data) < stamp.OPEN_BYTES:
            return DropReason.MALFORMED
        session = self._sessions.get(stamp.sender_ssid(data, authenticated=False))
        if session is not None:
            return session if session.key is None else DropReason.NOT_AUTHENTICATED
        session = self._sessions.get(stamp.sender_ssid(data, authenticated=True))
        return session if session is not None and session.key is not None else None

    def _stranger(self, ssid: int, source: Source) -> int:
        counter = self._strangers.pop((ssid, source), 0)
        self._strangers[ssid, source] = (counter + 1) % 2**32
        if len(self._strangers) > MAX_STRANGERS:
            self._strangers.popitem(last=False)
        return counter

    def view(self, ssid: int) -> SessionView | None:
        """What was heard; None for an unknown session and for one never heard."""
        hearing = self._hearings.get(ssid)
        return hearing.view() if hearing else None

    def recent(self, ssid: int, now_boot_ns: int, window_s: int) -> RecentForward | None:
        """Forward loss among the numbers of the last `window_s` (1..60) seconds.

        None where no new number came in the window. Senders faster than 17 a second are judged
        by their last 1,024 numbers.
        """
        if not 1 <= window_s <= MAX_RECENT_S:
            raise ValueError(f"window of {window_s} s, expected 1..{MAX_RECENT_S}")
        hearing = self._hearings.get(ssid)
        if hearing is None or hearing.newest is None:
            return None
        return hearing.newest.stream.recent((now_boot_ns - window_s * _SECOND) // _SECOND)
