"""A tree head: how many leaves the collector held at a moment and their root, signed (RFC 9162
section 4.10 in our own layout). Bytes and a worked example: docs/evidence-v1.md.
"""

import struct
from typing import NamedTuple

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

MAGIC = b"PTH1"
_LAYOUT = struct.Struct(">4s16sQq32s")
_CONTEXT = b"pantau-tree-head-v1\x00"
SIGNATURE_BYTES = 64
HEAD_BYTES = _LAYOUT.size + SIGNATURE_BYTES


class TreeHead(NamedTuple):
    """What is signed."""

    ledger_id: bytes
    size: int
    """Leaves."""
    wall_ns: int
    """When it was signed, by the hub's clock (UTC nanoseconds)."""
    root: bytes

    def pack(self) -> bytes:
        """The bytes that are signed, after a context of their own."""
        return _LAYOUT.pack(MAGIC, *self)

    def sign(self, key: Ed25519PrivateKey) -> bytes:
        """The head's bytes: layout, then signature. The same at every signing."""
        packed = self.pack()
        return packed + key.sign(_CONTEXT + packed)


def parse(data: bytes, collector_key: bytes) -> TreeHead:
    """The head in `data`, checked against the collector's public key (32 bytes).

    Raises ValueError for other bytes and for another's signature.
    """
    if len(data) != HEAD_BYTES or data[:4] != MAGIC:
        raise ValueError(f"{len(data)} bytes that are no tree head: expected {HEAD_BYTES}")
    packed, signature = data[: _LAYOUT.size], data[_LAYOUT.size :]
    try:
        Ed25519PublicKey.from_public_bytes(collector_key).verify(signature, _CONTEXT + packed)
    except (InvalidSignature, ValueError) as error:
        raise ValueError("the tree head is not signed by this collector") from error
    return TreeHead(*_LAYOUT.unpack(packed)[1:])
