"""HTTP: one GET in its parts, at the target's literal address, redirects not followed.

Each attempt has a thread, in which OpenSSL's handshake (milliseconds of a small box's CPU) cannot
delay the packets that other probes time in the event loop; http.client reads the answer
(docs/decisions/0007). Any well-formed answer is a round trip, whatever its status: that is in the
Exchange, as is the end of the certificate's life, also where the certificate was not accepted.
"""

import asyncio
import http.client
import io
import re
import select
import socket
import ssl
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from functools import partial
from threading import Lock
from typing import TYPE_CHECKING, NamedTuple, cast
from urllib.parse import urlsplit

from agent.probes.attempt import (
    Attempt,
    AttemptProbe,
    Cut,
    Ended,
    end_connect,
    met,
    open_socket,
    start_connect,
)
from agent.probes.site import Site
from agent.recorder import Stream
from agent.sockets import Address, Way, literal
from agent.trust import Chain, Trust, chain_of, judge
from runtime.clock import MS, SECOND, Clock
from wire.detail import Phase
from wire.observation import Outcome

if TYPE_CHECKING:
    from typing_extensions import Buffer

AT_ONCE = 16
"""Attempts under way at once: each has a thread while it lasts."""
MAX_BODY = 64 * 1024
_MAX_RAW = 4 * MAX_BODY
"""Octets of an answer with all that frames it; more is no answer to be believed."""
_PORTS = {"http": 80, "https": 443}
_FORBIDDEN = re.compile(r"[^\x21-\x7e]")
_PIECE = 16 * 1024


class Page(NamedTuple):
    """A URL in the parts that a request needs."""

    secure: bool
    host: str
    port: int
    authority: str
    path: str


def page_of(url: str) -> Page:
    """The parts of `url`. Raises ValueError."""
    if _FORBIDDEN.search(url):
        raise ValueError("a URL is ASCII without blanks: use punycode and %-escapes")
    parts = urlsplit(url)
    if parts.scheme not in _PORTS or not parts.hostname:
        raise ValueError(f"{url!r} is no http:// or https:// URL")
    if "@" in parts.netloc:
        raise ValueError("a URL with a user name is not taken: secrets are never in a policy")
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    parts.hostname.encode("idna")  # as TLS will
    port = parts.port or _PORTS[parts.scheme]
    return Page(parts.scheme == "https", parts.hostname, port, parts.netloc, path)


class _Incoming(io.RawIOBase):
    """What the server sends: stamped at its first octet, bounded in time and size."""

    def __init__(self, fetch: "_Fetch", sock: socket.socket) -> None:
        super().__init__()
        self._fetch = fetch
        self._sock = sock
        self._count = 0
        self.first_ns: int | None = None

    def readable(self) -> bool:
        """Always."""
        return True

    def readinto(self, buffer: "Buffer") -> int:
        """Some octets, within the time that is left. Raises HTTPException beyond all bounds."""
        self._sock.settimeout(self._fetch.left_s())
        count = self._sock.recv_into(buffer)
        if self.first_ns is None and count:
            self.first_ns = self._fetch.clock.boot_ns()
        self._count += count
        if self._count > _MAX_RAW:
            raise http.client.HTTPException("the answer does not end")
        return count


class _Line(NamedTuple):
    """What http.client asks of a socket; it closes its sockets before it has read them."""

    fetch: "_Fetch"
    sock: socket.socket
    incoming: _Incoming

    def sendall(self, data: bytes) -> None:
        """Send within the time that is left."""
        self.sock.settimeout(self.fetch.left_s())
        self.sock.sendall(data)

    def makefile(self, mode: str) -> io.BufferedReader:
        """What is received."""
        assert mode == "rb"
        return io.BufferedReader(self.incoming)

    def close(self) -> None:
        """The fetch does that."""


class _Order(NamedTuple):
    """What to fetch, and how to get there."""

    page: Page
    way: Way
    address: Address
    trust: Trust | None


class _Fetch:
    """One GET, for a thread; what it learns can be read at any time."""

    def __init__(self, order: _Order, clock: Clock, deadline_ns: int) -> None:
        self._order = order
        self.clock = clock
        self._deadline_ns = deadline_ns
        self._sock: socket.socket | None = None
        self._over = False
        self._lock = Lock()
        self.phases_ns: dict[Phase, int] = {}
        self.status: int | None = None
        self.chain = Chain()
        self.note = ""

    def run(self) -> Ended:
        """Fetch. Raises nothing that the network can cause."""
        began_ns = self.clock.boot_ns()
        try:
            self._fetch()
        except Cut as cut:
            return cut.ended
        except ssl.SSLError as error:
            return self._bad(f"TLS: {error.reason or error}")
        except TimeoutError:
            return Ended(Outcome.TIMEOUT)
        except (http.client.HTTPException, ValueError) as error:
            return self._bad(f"bad HTTP answer: {error or type(error).__name__}")
        except OSError as error:
            self.note = self.note or (error.strerror or str(error))
            return met(error, self.clock.boot_ns() - began_ns)
        finally:
            with self._lock:
                if self._sock is not None:
                    self._sock.close()
        return Ended(Outcome.OK, sum(self.phases_ns.values()))

    def abandon(self) -> None:
        """Let the thread come to its end now: nobody waits for it any more."""
        with self._lock:
            self._over = True
            if self._sock is not None and self._sock.fileno() >= 0:
                with suppress(OSError):
                    socket.socket.shutdown(self._sock, socket.SHUT_RDWR)

    def left_s(self) -> float:
        """Seconds until the deadline. Raises TimeoutError."""
        left_ns = self._deadline_ns - self.clock.boot_ns()
        if left_ns <= 0 or self._over:
            raise TimeoutError
        return left_ns / SECOND

    def _fetch(self) -> None:
        trust = self._order.trust
        context = None if trust is None else trust.context()  # can take long the first time
        sock = self._use(open_socket(self._order.way, socket.SOCK_STREAM))
        self.phases_ns[Phase.CONNECT] = self._connect(sock)
        self._get(sock if context is None else self._secure(sock, context))

    def _use(self, sock: socket.socket) -> socket.socket:
        with self._lock:
            self._sock = sock
        return sock

    def _connect(self, sock: socket.socket) -> int:
        began_ns = self.clock.boot_ns()
        start_connect(sock, self._order.address)
        poll = select.poll()
        poll.register(sock, select.POLLOUT)
        poll.poll(self.left_s() * SECOND / MS)
        rtt_ns = self.clock.boot_ns() - began_ns
        self.left_s()
        end_connect(sock, rtt_ns)
        return rtt_ns

    def _secure(self, plain: socket.socket, context: ssl.SSLContext) -> socket.socket:
        began_ns = self.clock.boot_ns()
        plain.settimeout(self.left_s())
        secure = context.wrap_socket(
            plain, server_hostname=self._order.page.host, do_handshake_on_connect=False
        )
        self._use(secure)
        secure.settimeout(self.left_s())
        refused = ""
        try:
            secure.do_handshake()
        except ssl.SSLCertVerificationError as error:
            refused = error.verify_message
        self.phases_ns[Phase.TLS] = self.clock.boot_ns() - began_ns
        self.chain = chain_of(secure, verified=not refused)
        verdict = judge(self.chain, self.clock, refused)
        self.note = verdict.note
        if not verdict.accepted:
            raise Cut(Ended(Outcome.BAD_REPLY))
        return secure

    def _get(self, sock: socket.socket) -> None:
        page, incoming = self._order.page, _Incoming(self, sock)
        with closing(http.client.HTTPConnection(page.host, page.port)) as connection:
            connection.sock = cast(socket.socket, _Line(self, sock, incoming))
            headers = {
                "Host": page.authority,
                "User-Agent": "pantau",
                "Accept": "*/*",
                "Connection": "close",
            }
            connection.request("GET", page.path, headers=headers)
            asked_ns = self.clock.boot_ns()
            try:
                response = connection.getresponse()
            finally:
                if incoming.first_ns is not None:
                    self.phases_ns[Phase.PROCESSING] = incoming.first_ns - asked_ns
            self.status = response.status
            self._read(response)
            assert incoming.first_ns is not None
            self.phases_ns[Phase.TRANSFER] = self.clock.boot_ns() - incoming.first_ns

    def _read(self, response: http.client.HTTPResponse) -> None:
        left = MAX_BODY
        while left:
            piece = response.read(min(left, _PIECE))
            if not piece:
                if response.length:
                    raise http.client.IncompleteRead(b"", response.length)
                return
            left -= len(piece)
        if response.length != 0:
            self.note = self.note or f"only the first {MAX_BODY} octets were read"

    def _bad(self, note: str) -> Ended:
        if self._over:
            return Ended(Outcome.TIMEOUT)
        self.note = note
        return Ended(Outcome.BAD_REPLY)


class _Url:
    """One target's page."""

    def __init__(self, site: Site, probe: "HttpProbe", stream: Stream) -> None:
        target = stream.target
        if target.url is None:
            raise ValueError("an HTTP target needs a url")
        page = page_of(target.url)
        family, address, _ = literal(target.address, page.port)
        way = Way(family, target.interface, target.dscp)
        self._order = _Order(page, way, address, probe.trust if page.secure else None)
        self._clock = site.clock
        self._timeout_ns = int(target.timeout_s * SECOND)
        self._threads = probe.threads

    async def __call__(self, attempt: Attempt) -> Ended:
        """Fetch once, and hand on the parts also where time ran out among them."""
        fetch = _Fetch(self._order, self._clock, attempt.begin() + self._timeout_ns)
        try:
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._threads, fetch.run)
        finally:
            fetch.abandon()
            if fetch.phases_ns or fetch.note:
                attempt.tell(
                    fetch.phases_ns,
                    status=fetch.status,
                    certificate_expires_s=fetch.chain.expires_s,
                    note=fetch.note,
                )


class HttpProbe(AttemptProbe):
    """All HTTP targets of this agent."""

    def __init__(self, site: Site) -> None:
        self.threads = ThreadPoolExecutor(AT_ONCE, "http")
        self.trust = Trust(site.clock)
        super().__init__(site, partial(_Url, site, self), AT_ONCE)

    def close(self) -> None:
        """Start no more threads; those at work end at their deadline."""
        self.threads.shutdown(wait=False, cancel_futures=True)
