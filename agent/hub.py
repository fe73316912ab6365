"""One HTTP exchange with the hub, from a worker thread, with a deadline.

http.client and not aiohttp: the exchanges are small and few, and aiohttp costs 13 MiB of a box
that has little (docs/decisions/0004). No redirect is followed: a captive portal's page is not
the hub.
"""

import http.client
import ssl
from typing import NamedTuple
from urllib.parse import urlsplit

from wire.message import REVISION, REVISION_HEADER

MEDIA = {
    "/v1/batch": "application/vnd.pantau.batch",
    "/v1/status": "application/vnd.pantau.message",
    "/v1/enrol": "application/vnd.pantau.message",
    "/v1/slot": "application/vnd.pantau.message",
}
MAX_ANSWER_BYTES = 1024 * 1024 + 4096
_NO_CHECK_TIME = 0x200000
"""X509_V_FLAG_NO_CHECK_TIME: chain and name are still checked."""


class HubUnreachable(OSError):
    """No answer from the hub: the link, its name, its certificate, or time ran out."""


class Answer(NamedTuple):
    """What came back."""

    status: int
    body: bytes
    retry_after_s: float | None
    revision: int = 1
    """Of the wire format, that whoever answered reads."""


def check_url(url: str) -> None:
    """Raises ValueError that tells the expected form."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query:
        raise ValueError(f"{url!r} is not a hub's URL: expected http(s)://HOST[:PORT][/PREFIX]")


def tls_context(ca_file: str | None, *, clock_known: bool) -> ssl.SSLContext:
    """How to trust the hub's certificate.

    With a pinned authority and a clock that is known to be wrong, validity times are not checked
    (a box in 1970 would otherwise never reach the hub that could tell it the time); what is
    delivered is safe all the same, because only a signed receipt counts.
    """
    context = ssl.create_default_context(cafile=ca_file)
    # The default from Python 3.13 on refuses many an agency's own authority for its form: an
    # upgrade of a box must not cut it off.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    if ca_file is not None and not clock_known:
        context.verify_flags |= ssl.VerifyFlags(_NO_CHECK_TIME)
    return context


class HubConnection:
    """A kept-alive connection; one thread at a time."""

    def __init__(self, url: str, *, ca_file: str | None = None, timeout_s: float = 15.0) -> None:
        check_url(url)
        self._parts = urlsplit(url)
        self._ca_file, self._timeout_s = ca_file, timeout_s
        self._connection: http.client.HTTPConnection | None = None
        self._clock_known = True

    def post(self, path: str, body: bytes, *, clock_known: bool = True) -> Answer:
        """The hub's answer. Raises HubUnreachable.

        A kept connection may have died while idle, so a failure on one is tried once anew; the
        exchanges are idempotent.
        """
        if clock_known != self._clock_known:
            self.close()
            self._clock_known = clock_known
        kept = self._connection is not None
        try:
            try:
                return self._exchange(path, body)
            except TimeoutError:
                raise
            except (OSError, http.client.HTTPException):
                if not kept:
                    raise
                self.close()
                return self._exchange(path, body)
        except (OSError, http.client.HTTPException) as error:
            self.close()
            what = str(error) or type(error).__name__
            raise HubUnreachable(f"{self._parts.netloc}: {what}") from error

    def _exchange(self, path: str, body: bytes) -> Answer:
        connection = self._connection or self._open()
        self._connection = connection
        headers = {"Content-Type": MEDIA[path], REVISION_HEADER: str(REVISION)}
        connection.request("POST", self._parts.path.rstrip("/") + path, body, headers)
        response = connection.getresponse()
        data = response.read(MAX_ANSWER_BYTES + 1)
        if len(data) > MAX_ANSWER_BYTES or response.will_close:
            self.close()
        wait = response.headers.get("Retry-After", "")
        reads = response.headers.get(REVISION_HEADER, "")
        return Answer(
            response.status,
            data,
            float(wait) if wait.isdigit() else None,
            int(reads) if reads.isascii() and reads.isdigit() and len(reads) < 6 else 1,
        )

    def _open(self) -> http.client.HTTPConnection:
        host, port = self._parts.hostname, self._parts.port
        assert host is not None  # check_url
        if self._parts.scheme == "http":
            return http.client.HTTPConnection(host, port, timeout=self._timeout_s)
        context = tls_context(self._ca_file, clock_known=self._clock_known)
        return http.client.HTTPSConnection(host, port, timeout=self._timeout_s, context=context)

    def close(self) -> None:
        """Let go of the connection; the next exchange opens a new one."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None
