"""Stands at the door of the hub's throughput port, TCP and UDP of one number.

Whoever cannot prove a slot gets nothing: no octet over UDP, and over TCP a closed connection. A
proven KNOCK is answered by a datagram of its own length, to the address from which the slot's TCP
connection came and to no other, so nobody can be made to receive what he did not ask for.
"""

import contextlib
import selectors
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from collector.throughput.session import End, Session, knocked
from runtime.clock import SECOND, Clock
from runtime.load import options, pings
from runtime.load.channel import Closed, welcome
from wire import load
from wire.load import DATA_FLOW, DATAGRAM, MAC_BYTES, PING_BYTES, PING_FLOW, Kind, Knock, LoadError
from wire.slot import Grant, Method
from wire.transfer import HubLoad

BEGIN_WITHIN_S = 10.0
"""A slot not begun so long after its time is gone."""
EARLY_S = 1.0
MOST_STRANGERS = 64
"""Connections that have proven nothing yet; beyond them the oldest is closed."""
STRANGER_S = 5.0
_KNOCK_AT_LEAST = DATAGRAM.size + MAC_BYTES
_WAIT_S = 0.25


@dataclass(frozen=True)
class Report:
    """What the porter tells of a slot."""

    slot_id: str
    end: End | None
    """None: it has begun, or goes on."""
    octets: int = 0
    reason: str = ""
    hub: HubLoad | None = None


@dataclass
class _Stranger:
    sock: socket.socket
    until_ns: int
    buffer: bytearray = field(default_factory=bytearray)


@dataclass
class _Expected:
    grant: Grant
    from_ns: int
    until_ns: int


class Porter:
    """Accepts, proves, hands over. One thread; sessions have their own."""

    def __init__(self, clock: Clock, tell: Callable[[Report], None]) -> None:
        self._clock, self._tell = clock, tell
        self._lock = threading.Lock()
        self._expected: dict[str, _Expected] = {}
        self._sessions: dict[str, Session] = {}
        self._by_tag: dict[bytes, Session] = {}
        self._strangers: dict[socket.socket, _Stranger] = {}
        self._ping_socks: dict[str, socket.socket] = {}
        self._ready = selectors.DefaultSelector()
        self._stopping = False
        self.port = 0

    def listen(self, host: str, port: int) -> int:
        """Open the door; returns the port. Raises OSError."""
        hosts = [host] if host != "::" else ["::", "0.0.0.0"]
        self.port = port
        for one in hosts:
            family = socket.AF_INET6 if ":" in one else socket.AF_INET
            self._open(family, one)
        return self.port

    def _open(self, family: socket.AddressFamily, host: str) -> None:
        tcp = socket.socket(family, socket.SOCK_STREAM)
        udp = socket.socket(family, socket.SOCK_DGRAM)
        for sock in (tcp, udp):
            sock.setblocking(False)
            if family == socket.AF_INET6:
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # The flows of a session are sockets of their own on this port, connected to their peer.
        udp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        tcp.bind((host, self.port))
        self.port = tcp.getsockname()[1]
        udp.bind((host, self.port))
        tcp.listen(64)
        self._ready.register(tcp, selectors.EVENT_READ, self._accept)
        self._ready.register(udp, selectors.EVENT_READ, self._knocking)

    def expect(self, grant: Grant) -> None:
        """Let the holder of this grant in, once, at its time."""
        now_ns = self._clock.boot_ns()
        from_ns = now_ns + int((grant.wait_s - EARLY_S) * SECOND)
        until_ns = now_ns + int((grant.wait_s + BEGIN_WITHIN_S) * SECOND)
        with self._lock:
            self._expected[grant.slot_id] = _Expected(grant, from_ns, until_ns)

    def forget(self, slot_id: str) -> None:
        """Let nobody in with this slot, and end what is under way."""
        with self._lock:
            expected = self._expected.pop(slot_id, None)
            session = self._sessions.get(slot_id)
        if expected is not None:
            self._tell(Report(slot_id, End.FORGOTTEN))
        if session is not None:
            session.cut()

    def run(self) -> None:
        """Until `stop`."""
        while not self._stopping:
            for key, _ in self._ready.select(_WAIT_S):
                key.data(key.fileobj)
            self._tidy()
        for key in list(self._ready.get_map().values()):
            key.fileobj.close()  # type: ignore[union-attr]
        for session in list(self._sessions.values()):
            session.cut()

    def stop(self) -> None:
        """End `run` soon."""
        self._stopping = True

    def _tidy(self) -> None:
        now_ns = self._clock.boot_ns()
        for stranger in list(self._strangers.values()):
            if stranger.until_ns < now_ns:
                self._show_out(stranger.sock)
        with self._lock:
            gone = [one for one in self._expected.values() if one.until_ns < now_ns]
            for one in gone:
                del self._expected[one.grant.slot_id]
            overdue = [one for one in self._sessions.values() if one.deadline_ns < now_ns]
            over = [
                (slot_id, sock)
                for slot_id, sock in self._ping_socks.items()
                if slot_id not in self._sessions
            ]
        for one in gone:
            self._tell(Report(one.grant.slot_id, End.UNUSED))
        for session in overdue:
            session.cut()
        for slot_id, sock in over:
            del self._ping_socks[slot_id]
            self._ready.unregister(sock)
            sock.close()

    # --- TCP

    def _accept(self, listening: socket.socket) -> None:
        try:
            sock, _ = listening.accept()
        except OSError:
            return
        sock.setblocking(False)
        if len(self._strangers) >= MOST_STRANGERS:
            self._show_out(next(iter(self._strangers)))
        until_ns = self._clock.boot_ns() + int(STRANGER_S * SECOND)
        self._strangers[sock] = _Stranger(sock, until_ns)
        self._ready.register(sock, selectors.EVENT_READ, self._first_frame)

    def _show_out(self, sock: socket.socket) -> None:
        self._let_go(sock)
        sock.close()

    def _let_go(self, sock: socket.socket) -> None:
        self._strangers.pop(sock, None)
        with contextlib.suppress(KeyError):
            self._ready.unregister(sock)

    def _first_frame(self, sock: socket.socket) -> None:
        stranger = self._strangers[sock]
        try:
            # Nothing of ours may follow before we have answered: more is no Knock.
            data = sock.recv(load.MAX_KNOCK_BYTES + 64)
            stranger.buffer += data
            frame = load.cut(stranger.buffer, load.MAX_KNOCK_BYTES)
            if not data or (frame is not None and frame[2] != len(stranger.buffer)):
                raise LoadError("not one Knock")
            if frame is None:
                return
            digest, body, _ = frame
            knock = load.parse(body)
            if not isinstance(knock, Knock) or knock.version != load.VERSION:
                raise LoadError("not a Knock of this version")
            act = self._begin if knock.flow is None else self._flow
            act(sock, knock, digest, body)
        except BlockingIOError:
            return
        except (LoadError, OSError):
            self._show_out(sock)

    def _begin(self, sock: socket.socket, knock: Knock, digest: bytes, body: bytes) -> None:
        now_ns = self._clock.boot_ns()
        with self._lock:
            expected = self._expected.get(knock.slot_id)
            if expected is None or not expected.from_ns <= now_ns <= expected.until_ns:
                raise LoadError("no such slot now")
            grant = expected.grant
            load.check_knock(digest, body, bytes.fromhex(grant.key))
            if grant.method not in (Method.UDP, Method.TCP):
                raise LoadError("not a slot for this port")
            del self._expected[knock.slot_id]
        self._let_go(sock)
        try:
            channel = welcome(sock, self._clock, bytes.fromhex(grant.key), knock)
        except Closed as error:
            sock.close()
            self._tell(Report(grant.slot_id, End.BROKEN, reason=str(error)))
            return
        session = Session(channel, grant, self._clock, self._progress)
        with self._lock:
            self._sessions[grant.slot_id] = session
            self._by_tag[session.tag] = session
            for one in self._sessions.values():
                one.slots = max(one.slots, len(self._sessions))
        self._tell(Report(grant.slot_id, None))
        threading.Thread(target=self._serve, args=(session,), daemon=True).start()

    def _flow(self, sock: socket.socket, knock: Knock, digest: bytes, body: bytes) -> None:
        assert knock.flow is not None
        session = self._sessions.get(knock.slot_id)
        if session is None or session.grant.method is not Method.TCP:
            raise LoadError("no such session")
        if knock.flow >= session.grant.flows or knock.flow in session.taken:
            raise LoadError("no such flow")
        load.check_knock(digest, body, load.flow_key(session.key))
        session.taken.add(knock.flow)
        self._let_go(sock)
        session.add(knock.flow, sock)

    def _progress(self, slot_id: str, octets: int) -> None:
        self._tell(Report(slot_id, None, octets))

    def _serve(self, session: Session) -> None:
        slot_id = session.grant.slot_id
        end, reason, hub = End.FAILED, "a bug; the log has it", None
        try:
            end, reason, hub = session.run()
        finally:
            with self._lock:
                self._sessions.pop(slot_id, None)
                self._by_tag.pop(session.tag, None)
            self._tell(Report(slot_id, end, session.octets, reason, hub))

    # --- UDP

    def _knocking(self, sock: socket.socket) -> None:
        for _ in range(64):
            try:
                packet, address = sock.recvfrom(65_536)
            except OSError:
                return
            if len(packet) < _KNOCK_AT_LEAST:
                continue
            tag, kind, _, _, number, _ = DATAGRAM.unpack_from(packet)
            session = self._by_tag.get(tag)
            if session is None or kind != Kind.KNOCK or address[0] != session.peer:
                continue
            if number in (PING_FLOW, DATA_FLOW) and load.proven(packet, session.key):
                self._admit(session, number, packet, address[:2])

    def _admit(
        self, session: Session, number: int, packet: bytes, address: tuple[str, int]
    ) -> None:
        """A flow of the session, of which there is one of each kind."""
        if number in session.bound:
            return
        if number == DATA_FLOW and session.grant.method is not Method.UDP:
            return
        session.bound[number] = address
        flow = socket.socket(session.family, socket.SOCK_DGRAM)
        try:
            flow.setblocking(False)
            flow.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            flow.bind((session.local, self.port))
            flow.connect(address)
            flow.send(knocked(packet, session.key))
        except OSError:
            session.bound.pop(number, None)
            flow.close()
            return
        if number == DATA_FLOW:
            session.add(DATA_FLOW, flow)
            return
        options.stamp_arrivals(flow)
        self._ping_socks[session.grant.slot_id] = flow
        self._ready.register(flow, selectors.EVENT_READ, self._answerer(session))

    def _answerer(self, session: Session) -> Callable[[socket.socket], None]:
        def answer(sock: socket.socket) -> None:
            for _ in range(64):
                try:
                    packet, ancillary, _, _ = sock.recvmsg(65_536, options.ANCILLARY_BYTES)
                except OSError:
                    return
                if packet[:8] != session.tag or len(packet) < _KNOCK_AT_LEAST:
                    continue
                kind = DATAGRAM.unpack_from(packet)[1]
                with contextlib.suppress(OSError):
                    if kind == Kind.PING and len(packet) == PING_BYTES:
                        came_ns = options.arrival_ns(ancillary, self._clock)
                        sock.send(pings.answer(packet, came_ns, self._clock))
                    elif kind == Kind.KNOCK and load.proven(packet, session.key):
                        sock.send(knocked(packet, session.key))

        return answer
