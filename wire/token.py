"""Join tokens and the keys derived from them and from enrolment.

A token's secret is an Ed25519 seed: the agent proves that it has the token by signing with it,
the secret never travels, and the collector keeps only a SHA-256 that cannot sign anything.
Form: `pt1.<token id>.<secret>.<collector fingerprint>`, each part base64url without padding.
"""

import base64
import binascii
import hashlib
from typing import NamedTuple

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

_FORM = "expected pt1.<token id>.<secret>.<collector fingerprint>, as `invite` printed it"


class Token(NamedTuple):
    """A one-time invitation for one node."""

    token_id: bytes
    """16 bytes, public."""
    secret: bytes
    """32 bytes, an Ed25519 seed."""
    collector_fingerprint: bytes
    """First 16 bytes of SHA-256 over the collector's public key."""

    def __str__(self) -> str:
        parts = (self.token_id, self.secret, self.collector_fingerprint)
        return ".".join(["pt1", *(_encode(part) for part in parts)])

    def __repr__(self) -> str:
        return f"Token({self.token_id.hex()}, secret hidden)"

    def key(self) -> Ed25519PrivateKey:
        """The key that signs the enrolment."""
        return Ed25519PrivateKey.from_private_bytes(self.secret)


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def _decode(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)


def parse(text: str) -> Token:
    """The token in `text`. Raises ValueError that tells the expected form, never the secret."""
    parts = text.strip().split(".")
    if len(parts) != 4 or parts[0] != "pt1":
        raise ValueError(f"this is not a join token: {_FORM}")
    try:
        token_id, secret, fingerprint = (_decode(part) for part in parts[1:])
    except (binascii.Error, ValueError) as error:
        raise ValueError(f"the join token is damaged: {_FORM}") from error
    if (len(token_id), len(secret), len(fingerprint)) != (16, 32, 16):
        raise ValueError(f"the join token is cut short: {_FORM}")
    return Token(token_id, secret, fingerprint)


def fingerprint(public_key: bytes) -> bytes:
    """First 16 bytes of SHA-256 over a 32-byte public key."""
    return hashlib.sha256(b"pantau-key-v1\x00" + public_key).digest()[:16]


def token_digest(token_key: bytes) -> bytes:
    """What the collector keeps of a token: SHA-256 over its public key."""
    return hashlib.sha256(b"pantau-token-v1\x00" + token_key).digest()


def stamp_key(private: X25519PrivateKey, peer: bytes, agent_id: bytes) -> bytes:
    """HMAC key (32 bytes) for authenticated STAMP, the same at both ends, never sent.

    X25519 (RFC 7748) then HKDF-SHA-256 (RFC 5869), bound to the agent.
    """
    return _derive(private, peer, b"pantau-stamp-v1\x00" + agent_id)


def slot_key(private: X25519PrivateKey, peer: bytes, agent_id: bytes, slot_id: bytes) -> bytes:
    """Key (32 bytes) of one throughput slot, the same at both ends, never sent: who listens on
    the way to the grant cannot use it."""
    return _derive(private, peer, b"pantau-slot-v1\x00" + agent_id + slot_id)


def _derive(private: X25519PrivateKey, peer: bytes, info: bytes) -> bytes:
    shared = private.exchange(X25519PublicKey.from_public_bytes(peer))
    return HKDF(algorithm=SHA256(), length=32, salt=None, info=info).derive(shared)
