"""Certificates: whom to trust, when a chain runs out, and what a clock may say about that.

A clock that nobody has set yet (1970 after a power cut) proves nothing, so that OpenSSL is then
asked for chain and name only, and the days are looked at here: what is not yet valid is noted and
accepted, what has run out is not. The chain is read also where OpenSSL refused it.
"""

import ssl
from collections.abc import Callable, Sequence
from threading import Lock
from typing import Any, NamedTuple

from cryptography import x509

from runtime.clock import SECOND, Clock
from wire.instant import ClockClass

_NO_CHECK_TIME = 0x20_0000
"""X509_V_FLAG_NO_CHECK_TIME, which the ssl module does not carry."""


class Chain(NamedTuple):
    """The days between which all certificates of a chain are valid (Unix seconds)."""

    begins_s: int | None = None
    expires_s: int | None = None


class Verdict(NamedTuple):
    """Whether a certificate is taken, and what is to be said about it."""

    accepted: bool
    note: str = ""


class Trust:
    """The system's authorities, read when first needed: that takes memory and milliseconds."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._contexts: dict[bool, ssl.SSLContext] = {}
        self._lock = Lock()

    def context(self) -> ssl.SSLContext:
        """For the clock as it is now: days are checked by a synchronised one."""
        known = self._clock.quality().clock_class is not ClockClass.D
        with self._lock:
            context = self._contexts.get(known)
            if context is None:
                context = self._contexts[known] = ssl.create_default_context()
                context.set_alpn_protocols(["http/1.1"])
                # The default from Python 3.13 on: the same server would be judged by the version
                # of this box's Python, and an agency's own authority refused for its form.
                context.verify_flags &= ~ssl.VERIFY_X509_STRICT
                if not known:
                    context.verify_flags |= _NO_CHECK_TIME
            return context


def chain_of(sock: ssl.SSLSocket, *, verified: bool) -> Chain:
    """The chain that was verified, or else the one that the server sent."""
    name = "get_verified_chain" if verified else "get_unverified_chain"
    # Public from Python 3.13 on; before that on the inner object, where it gives objects.
    ask: Callable[[], Sequence[Any] | None] = getattr(sock, name, None) or getattr(
        sock._sslobj,  # type: ignore[attr-defined]
        name,
    )
    try:
        certificates = [x509.load_der_x509_certificate(_der(one)) for one in ask() or ()]
        begins = [one.not_valid_before_utc.timestamp() for one in certificates]
        ends = [one.not_valid_after_utc.timestamp() for one in certificates]
    except ValueError:  # it has no days, or is no certificate
        return Chain()
    return Chain(int(max(begins)), int(min(ends))) if certificates else Chain()


def judge(chain: Chain, clock: Clock, refused: str) -> Verdict:
    """What to make of a chain that OpenSSL accepted, or refused with these words."""
    if refused:
        return Verdict(False, f"certificate: {refused}")
    now_s = clock.wall_ns() // SECOND
    if chain.expires_s is not None and chain.expires_s < now_s:
        return Verdict(False, "certificate: certificate has expired")
    if chain.begins_s is not None and chain.begins_s > now_s:
        return Verdict(True, "certificate is not yet valid, by a clock that is not synchronised")
    return Verdict(True)


def _der(certificate: Any) -> bytes:
    if isinstance(certificate, bytes):
        return certificate
    return ssl.PEM_cert_to_DER_cert(certificate.public_bytes())
