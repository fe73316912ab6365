"""Timestamps of tree heads by an authority (RFC 3161): asks and checks, without any network.

An authority knows nothing of us: that it signed a head's hash shows that the head was made no later
than it says, whoever holds the collector's key.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from cryptography import x509
from rfc3161_client import (
    HashAlgorithm,
    TimestampRequestBuilder,
    VerificationError,
    VerifierBuilder,
    decode_timestamp_response,
)

CONTENT_TYPE = "application/timestamp-query"
MAX_ANSWER_BYTES = 65_536


class Stamped(NamedTuple):
    """What the authority says: the hash was there at `at`, within its accuracy."""

    at: datetime
    accuracy_s: float | None
    """None where the authority states none."""


class Asked(NamedTuple):
    """One request: its bytes, and what the answer has to repeat."""

    data: bytes
    nonce: int | None


def ask(head: bytes) -> Asked:
    """The request over a head's bytes (SHA-256, with the authority's certificate in the answer)."""
    request = TimestampRequestBuilder(data=head, hash_algorithm=HashAlgorithm.SHA256).build()
    return Asked(request.as_bytes(), request.nonce)


def roots_of(pem: bytes) -> list[x509.Certificate]:
    """Certificates of a PEM file. Raises ValueError for a file without any."""
    return x509.load_pem_x509_certificates(pem)


def check(
    answer: bytes, head: bytes, roots: Sequence[x509.Certificate], nonce: int | None = None
) -> Stamped:
    """What an answer says of a head's bytes, believed by these roots.

    Raises ValueError for an answer that is no timestamp of them, or that the roots do not sign.
    """
    try:
        told = decode_timestamp_response(answer)
        verifier = VerifierBuilder(roots=list(roots), nonce=nonce).build()
        verifier.verify_message(told, head)
    except (VerificationError, ValueError) as error:
        raise ValueError(f"no timestamp of this head: {error}") from error
    return _stamped(answer)


def read(answer: bytes) -> Stamped:
    """What an answer says, unchecked. Raises ValueError for what is no answer."""
    return _stamped(answer)


def _stamped(answer: bytes) -> Stamped:
    info = decode_timestamp_response(answer).tst_info
    accuracy = info.accuracy
    stated = None
    if accuracy is not None:
        stated = (accuracy.seconds or 0) + (accuracy.millis or 0) / 1e3
        stated += (accuracy.micros or 0) / 1e6
    return Stamped(info.gen_time.astimezone(UTC), stated)
