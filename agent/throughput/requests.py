"""Small requests to the hub's HTTP port beside a load: what a user's next page would wait.

The foreign probes of draft-ietf-ippm-responsiveness: each is a connection of its own, whose TCP
handshake, TLS handshake and request for one octet are timed. They prove the test's slot as the load
does. A request costs some 5,000 octets, so they take no more than a hundredth of the load's rate.
"""

import contextlib
import http.client
import socket
import ssl
import threading
from urllib.parse import urlsplit

from agent.throughput.job import Job
from runtime.clock import Clock
from runtime.load import channel, ndt7, tcp_info
from wire.load import Ca
from wire.transfer import MAX_REQUESTS

TIMEOUT_S = 2.0
_RATIO = 0.01
_BITS = 8 * 5_000
_LEAST_S = 0.1
_ROUND_TRIPS = {"TLSv1.3": 1}
"""Of a full handshake, until data may be sent (RFC 8446 section 2); older ones take two."""
_OLDER = 2


def tls(ca: str) -> ssl.SSLContext:
    """What is believed of the other end's certificate. Raises OSError."""
    context = ssl.create_default_context(cafile=None if ca in tuple(Ca) else ca)
    if ca == Ca.NOBODY:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def settled_s(seconds: float) -> float:
    """So long after the load's beginning it has filled the way: slow start, then the queues."""
    return min(2.0, seconds / 3)


class Requests:
    """Asks in a thread, from `start` to `stop`; columns in the order of asking."""

    def __init__(self, job: Job, clock: Clock) -> None:
        """Finds the hub before the load does. Raises OSError, ValueError."""
        self._job, self._clock = job, clock
        place = urlsplit(job.plan.web or "")
        self._host = place.hostname or ""
        port = place.port or (443 if place.scheme == "https" else 80)
        found = socket.getaddrinfo(self._host, port, type=socket.SOCK_STREAM)
        self._family, self._address = found[0][0], found[0][4]
        self._tls = tls(job.plan.ca) if place.scheme == "https" else None
        self.connect_ns: list[int | None] = []
        self.tls_ns: list[int | None] = []
        self.http_ns: list[int | None] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="requests", daemon=True)

    def start(self) -> None:
        """The load begins."""
        self._thread.start()

    def stop(self) -> None:
        """The load has ended: what is under way does not count."""
        self._stop.set()
        self._thread.join()

    def _interval_s(self) -> float:
        plan = self._job.plan
        rate = plan.cir_bits_per_s or plan.most_bits_per_s
        return max(_LEAST_S, _BITS / (_RATIO * rate), plan.seconds / MAX_REQUESTS)

    def _run(self) -> None:
        wait_s = settled_s(self._job.plan.seconds)
        while not self._stop.wait(wait_s) and len(self.http_ns) < MAX_REQUESTS:
            wait_s = self._interval_s()
            times = self._ask()
            if self._stop.is_set():
                return
            for column, took_ns in zip(self._columns(), times, strict=True):
                column.append(took_ns)

    def _columns(self) -> tuple[list[int | None], ...]:
        return (self.connect_ns, self.http_ns, *([] if self._tls is None else [self.tls_ns]))

    def _ask(self) -> list[int | None]:
        """What one request took: connect, HTTP and, where it is used, TLS; None from the step on
        that failed."""
        times: list[int | None] = [None] * len(self._columns())
        with contextlib.suppress(OSError, http.client.HTTPException), self._socket() as sock:
            sock.connect(self._address)
            # What the SYN took, without this process's own delays.
            times[0] = tcp_info.rtt_ns(tcp_info.read(sock))
            if self._tls is None:
                times[1] = self._get(sock)
                return times
            began_ns = self._clock.boot_ns()
            with self._tls.wrap_socket(sock, server_hostname=self._host) as secure:
                trips = _ROUND_TRIPS.get(secure.version() or "", _OLDER)
                times[2] = (self._clock.boot_ns() - began_ns) // trips
                times[1] = self._get(secure)
        return times

    def _socket(self) -> socket.socket:
        sock = socket.socket(self._family, socket.SOCK_STREAM)
        sock.settimeout(TIMEOUT_S)
        if self._job.interface is not None:
            name = self._job.interface.encode()
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, name)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return sock

    def _get(self, sock: socket.socket) -> int | None:
        """Ask for the octet. Raises OSError, HTTPException."""
        grant = self._job.grant
        key, nonce = bytes.fromhex(grant.key), channel.nonce()
        said = ndt7.authorization(grant.slot_id, key, ndt7.OCTET, nonce)
        connection = http.client.HTTPConnection(self._host)
        connection.sock = sock
        began_ns = self._clock.boot_ns()
        connection.request("GET", ndt7.OCTET, headers={"Authorization": said})
        answer = connection.getresponse()
        got = answer.read(2)
        took_ns = self._clock.boot_ns() - began_ns
        return took_ns if answer.status == http.client.OK and len(got) == 1 else None


def beside(job: Job, clock: Clock) -> Requests | None:
    """The requests of this test, not begun; None where none are wanted or the hub is not found."""
    if job.plan.web is None:
        return None
    try:
        return Requests(job, clock)
    except (OSError, ValueError):  # the load itself will say what is wrong, if anything is
        return None
