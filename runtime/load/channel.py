"""The control connection, blocking: frames in their order, each proven, within their time."""

import secrets
import select
import socket

from runtime.clock import SECOND, Clock
from wire import load
from wire.load import AGENT, HUB, Knock, LoadError, Refused, Seal, Spoken, Welcome
from wire.slot import Grant

HANDSHAKE_S = 5.0
_READ_BYTES = 65_536


class Closed(ConnectionError):
    """The other end has gone, or said nothing within its time."""


class Rejected(Exception):
    """The other end will not do it, and says why."""


def nonce() -> str:
    """16 random octets in hex."""
    return secrets.token_hex(16)


class Channel:
    """Sealed frames over one TCP connection."""

    def __init__(self, sock: socket.socket, clock: Clock, key: bytes, speaker: bytes) -> None:
        self.sock = sock
        self.key = key
        self._clock = clock
        self._mine = Seal(key, speaker)
        self._theirs = Seal(key, HUB if speaker == AGENT else AGENT)
        self._buffer = bytearray()
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def say(self, message: Spoken, within_s: float = HANDSHAKE_S) -> None:
        """Send one frame. Raises Closed."""
        data = memoryview(self._mine.close(message))
        until_ns = self._clock.boot_ns() + int(within_s * SECOND)
        while data:
            try:
                data = data[self.sock.send(data) :]
            except BlockingIOError:
                self._wait(select.POLLOUT, until_ns)
            except OSError as error:
                raise Closed(str(error)) from error

    def hear(self, within_s: float = HANDSHAKE_S) -> Spoken:
        """The next message. Raises Closed, LoadError, or Rejected where it is a refusal."""
        until_ns = self._clock.boot_ns() + int(within_s * SECOND)
        while (message := self.heard()) is None:
            self._wait(select.POLLIN, until_ns)
        return message

    def heard(self) -> Spoken | None:
        """A message that is there already, or None. Raises as `hear` does."""
        message = self._cut()
        if message is not None:
            return message
        try:
            data = self.sock.recv(_READ_BYTES)
        except BlockingIOError:
            return None
        except OSError as error:
            raise Closed(str(error)) from error
        if not data:
            raise Closed("the other end closed the connection")
        self._buffer += data
        return self._cut()

    def fill(self, data: bytes) -> None:
        """Octets that were read before this channel was made."""
        self._buffer += data

    def _cut(self) -> Spoken | None:
        frame = load.cut(self._buffer)
        if frame is None:
            return None
        digest, body, end = frame
        del self._buffer[:end]
        message = self._theirs.open(digest, body)
        if isinstance(message, Refused):
            raise Rejected(message.reason)
        return message

    def _wait(self, event: int, until_ns: int) -> None:
        left_ms = (until_ns - self._clock.boot_ns()) // 1_000_000
        poll = select.poll()
        poll.register(self.sock, event)
        if left_ms <= 0 or not poll.poll(left_ms):
            raise Closed("the other end said nothing in time")

    def finish(self, within_s: float = 2.0) -> None:
        """Everything was said: wait for the other end to close, so that none of it is lost to a
        reset by what lies unread here."""
        until_ns = self._clock.boot_ns() + int(within_s * SECOND)
        try:
            self.sock.shutdown(socket.SHUT_WR)
            while True:
                self._wait(select.POLLIN, until_ns)
                if not self.sock.recv(_READ_BYTES):
                    return
        except OSError:
            return

    def close(self) -> None:
        """Close the connection."""
        self.sock.close()


def join(sock: socket.socket, clock: Clock, grant: Grant) -> Channel:
    """The agent's side of a new connection: prove the slot, have the hub prove it, too.

    Raises Closed where the other end does not know the slot (it says nothing then), LoadError
    where it does not hold the key.
    """
    key, mine = bytes.fromhex(grant.key), nonce()
    knock = Knock(version=load.VERSION, slot_id=grant.slot_id, nonce=mine)
    sock.setblocking(True)
    sock.settimeout(HANDSHAKE_S)
    try:
        sock.sendall(load.knock_frame(knock, key))
        buffer = bytearray()
        while (frame := load.cut(buffer, load.MAX_KNOCK_BYTES)) is None:
            data = sock.recv(1024)
            if not data:
                raise Closed("the hub does not know this slot")
            buffer += data
    except OSError as error:
        raise error if isinstance(error, Closed) else Closed(str(error)) from error
    _, body, _ = frame
    welcome = load.parse(body)
    if not isinstance(welcome, Welcome):
        raise LoadError(f"a {type(welcome).__name__} where a Welcome belongs")
    channel = Channel(sock, clock, load.session_key(key, mine, welcome.nonce), AGENT)
    channel.fill(bytes(buffer))
    channel.hear()
    return channel


def welcome(sock: socket.socket, clock: Clock, slot_key: bytes, knock: Knock) -> Channel:
    """The hub's side, after the first frame was proven."""
    mine = nonce()
    channel = Channel(sock, clock, load.session_key(slot_key, knock.nonce, mine), HUB)
    channel.say(Welcome(nonce=mine))
    return channel
