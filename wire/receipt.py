"""What the collector says it has made durable, signed: the only thing an agent deletes on.

A captive portal's "200 OK" is not a receipt. The bytes are a function of what the ledger keeps,
so that a repeated batch gets the same receipt, to the byte.
"""

import hashlib
import struct
from typing import NamedTuple

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from wire.errors import Refusal, WireError

MAGIC = b"PTR1"
_LAYOUT = struct.Struct(">4s16s16s16sQ32sq")
_CONTEXT = b"pantau-receipt-v1\x00"
RECEIPT_BYTES = _LAYOUT.size + 64


class Receipt(NamedTuple):
    """This batch is durable in ledger `ledger_id` since `received_wall_ns` (the hub's clock)."""

    ledger_id: bytes
    agent_id: bytes
    epoch: bytes
    seq: int
    batch_digest: bytes
    received_wall_ns: int

    def pack(self) -> bytes:
        """The bytes that are signed, after a context of their own."""
        return _LAYOUT.pack(MAGIC, *self)

    def sign(self, key: Ed25519PrivateKey) -> bytes:
        """The receipt's bytes: layout, then signature."""
        packed = self.pack()
        return packed + key.sign(_CONTEXT + packed)


def parse(data: bytes, collector_key: bytes) -> Receipt:
    """The receipt in `data`, checked against the collector's public key (32 bytes).

    Raises WireError: MALFORMED or BAD_SIGNATURE.
    """
    if len(data) != RECEIPT_BYTES or data[:4] != MAGIC:
        raise WireError(Refusal.MALFORMED, f"{len(data)} bytes that are not a receipt")
    packed, signature = data[: _LAYOUT.size], data[_LAYOUT.size :]
    try:
        Ed25519PublicKey.from_public_bytes(collector_key).verify(signature, _CONTEXT + packed)
    except (InvalidSignature, ValueError) as error:
        raise WireError(Refusal.BAD_SIGNATURE, "the receipt is not this collector's") from error
    return Receipt(*_LAYOUT.unpack(packed)[1:])


def digest(data: bytes) -> bytes:
    """SHA-256 of a receipt's bytes, as the next batch's header carries it."""
    return hashlib.sha256(data).digest()
