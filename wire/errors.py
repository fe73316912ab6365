"""Why bytes from the other side were not taken: one closed set, used by both ends.

Every refusal has one `Refusal`, so that a log line, a counter and an HTTP status can be
named from one table instead of from the text of an exception.
"""

from enum import StrEnum


class Refusal(StrEnum):
    """Why a message was not accepted. The value is the metric label and the reply's `error`."""

    MALFORMED = "malformed"
    """Not one of our messages, or cut short, or its lengths disagree."""
    UNKNOWN_VERSION = "unknown_version"
    """One of our messages, of a version this program does not speak."""
    TOO_LARGE = "too_large"
    """Longer than the limit, before or after decompression."""
    BAD_BODY = "bad_body"
    """The envelope is sound and the body is not: bomb, digest, compression, schema or meaning."""
    UNKNOWN_AGENT = "unknown_agent"
    """The named agent is not enrolled here."""
    REVOKED = "revoked"
    """The named agent was enrolled here and is no longer welcome."""
    BAD_SIGNATURE = "bad_signature"
    """The signature does not belong to these bytes and this key."""
    WRONG_CHAIN = "wrong_chain"
    """The batch does not continue the chain of its neighbours, or its place holds other bytes."""
    BAD_TOKEN = "bad_token"
    """The join token is unknown, or its secret is wrong."""
    EXPIRED_TOKEN = "expired_token"
    """The join token was good and its time has passed."""
    USED_TOKEN = "used_token"
    """The join token has served another agent key already."""
    OVERLOADED = "overloaded"
    """Too much at once; the same bytes are welcome later."""


MAX_DETAIL = 300
"""Longest text of a WireError: it may quote the other side, and goes to logs and replies."""


class WireError(ValueError):
    """Bytes that cannot be taken, with the `Refusal` that says why, as one short printable line."""

    def __init__(self, refusal: Refusal, message: str) -> None:
        super().__init__("".join(c if c.isprintable() else "?" for c in message[:MAX_DETAIL]))
        self.refusal = refusal
