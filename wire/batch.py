"""A batch: immutable bytes, chained and signed, that say which records an agent made.

The signature covers the header and the header covers the body, so that a body may be pruned one
day without breaking the chain. Layout and worked example: docs/wire-v1.md.
"""

import hashlib
import struct
from typing import NamedTuple

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from wire.codec import MAX_BODY_BYTES, MAX_RAW_BYTES
from wire.errors import Refusal, WireError
from wire.instant import MAX_NS, ClockClass

MAGIC = b"PTB1"
VERSION = 1
NO_DIGEST = bytes(32)
"""Previous digest of an agent's very first batch, and "no receipt yet"."""
_LAYOUT = struct.Struct(">4sBBH16s16s16sQ32s32sIIIIIQQQqB3x32s")
HEADER_BYTES = _LAYOUT.size
SIGNATURE_BYTES = 64
MAX_BATCH_BYTES = HEADER_BYTES + SIGNATURE_BYTES + MAX_BODY_BYTES
_SIGN_CONTEXT = b"pantau-batch-v1\x00"
_LINK_CONTEXT = b"pantau-link-v1\x00"
_CLOCK_CODES = {clock: ord(clock.value) for clock in ClockClass}
_CLOCKS = {code: clock for clock, code in _CLOCK_CODES.items()}


class Header(NamedTuple):
    """What is signed. Times are nanoseconds; `*_boot_ns` belong to `boot_id`."""

    agent_id: bytes
    epoch: bytes
    """16 random bytes per agent process."""
    boot_id: bytes
    """The kernel's boot id."""
    seq: int
    """Contiguous per epoch, from 0."""
    previous: bytes
    """`digest` of the batch before this one, across epochs; NO_DIGEST for an agent's first."""
    body_digest: bytes
    body_len: int
    raw_len: int
    records: int
    observations: int
    missing: int
    """Observations that this batch's Gap records list as lost."""
    first_boot_ns: int
    last_boot_ns: int
    sealed_boot_ns: int
    sealed_wall_ns: int
    """The agent's own claim of the calendar time at `sealed_boot_ns`."""
    clock: ClockClass
    last_receipt: bytes
    """SHA-256 of the newest receipt held when sealing: this batch is younger than that."""
    key_id: int = 0
    flags: int = 0

    def pack(self) -> bytes:
        """The header's bytes, as they are signed and chained."""
        return _LAYOUT.pack(
            MAGIC,
            VERSION,
            self.flags,
            self.key_id,
            self.agent_id,
            self.epoch,
            self.boot_id,
            self.seq,
            self.previous,
            self.body_digest,
            self.body_len,
            self.raw_len,
            self.records,
            self.observations,
            self.missing,
            self.first_boot_ns,
            self.last_boot_ns,
            self.sealed_boot_ns,
            self.sealed_wall_ns,
            _CLOCK_CODES[self.clock],
            self.last_receipt,
        )


class Batch(NamedTuple):
    """A sealed batch: `header_bytes + signature + body` is what travels and what is kept."""

    header: Header
    header_bytes: bytes
    signature: bytes
    body: bytes

    @property
    def digest(self) -> bytes:
        """What the next batch names as `previous`."""
        return link_digest(self.header_bytes)

    def to_bytes(self) -> bytes:
        """The bytes on the wire: the same at every retry."""
        return self.header_bytes + self.signature + self.body


def link_digest(header_bytes: bytes) -> bytes:
    """SHA-256 that links the chain: over the header, which covers the body's digest."""
    return hashlib.sha256(_LINK_CONTEXT + header_bytes).digest()


def seal(header: Header, body: bytes, key: Ed25519PrivateKey) -> Batch:
    """Sign `header` (whose body fields must describe `body`) and return the finished batch."""
    if header.body_len != len(body) or header.body_digest != hashlib.sha256(body).digest():
        raise ValueError("the header does not describe this body")
    packed = header.pack()
    return Batch(header, packed, key.sign(_SIGN_CONTEXT + packed), body)


def parse_header(data: bytes) -> Header:
    """The header at the start of `data`. Raises WireError: MALFORMED or UNKNOWN_VERSION."""
    if len(data) < HEADER_BYTES or data[:4] != MAGIC:
        raise WireError(Refusal.MALFORMED, f"{len(data)} bytes that do not begin a batch")
    if data[4] != VERSION:
        raise WireError(Refusal.UNKNOWN_VERSION, f"batch version {data[4]}, known: {VERSION}")
    (
        _,
        _,
        flags,
        key_id,
        agent_id,
        epoch,
        boot_id,
        seq,
        previous,
        body_digest,
        body_len,
        raw_len,
        records,
        observations,
        missing,
        first,
        last,
        sealed,
        wall,
        clock,
        receipt,
    ) = _LAYOUT.unpack_from(data)
    if clock not in _CLOCKS or flags or data[HEADER_BYTES - 35 : HEADER_BYTES - 32] != bytes(3):
        raise WireError(Refusal.MALFORMED, "reserved header bits are set")
    if seq >= 2**53 or max(first, last, sealed, abs(wall)) > MAX_NS:
        raise WireError(Refusal.MALFORMED, "a header number is out of range")
    return Header(
        agent_id,
        epoch,
        boot_id,
        seq,
        previous,
        body_digest,
        body_len,
        raw_len,
        records,
        observations,
        missing,
        first,
        last,
        sealed,
        wall,
        _CLOCKS[clock],
        receipt,
        key_id,
        flags,
    )


def parse(data: bytes) -> Batch:
    """The batch in these bytes, its lengths and body digest checked, its signature not yet.

    Raises WireError: MALFORMED, UNKNOWN_VERSION, TOO_LARGE or BAD_BODY.
    """
    header = parse_header(data)
    if header.body_len > MAX_BODY_BYTES or header.raw_len > MAX_RAW_BYTES:
        raise WireError(Refusal.TOO_LARGE, f"body of {header.body_len} holding {header.raw_len}")
    body = data[HEADER_BYTES + SIGNATURE_BYTES :]
    if len(body) != header.body_len:
        raise WireError(
            Refusal.MALFORMED, f"body of {len(body)} bytes where the header says {header.body_len}"
        )
    if hashlib.sha256(body).digest() != header.body_digest:
        raise WireError(Refusal.BAD_BODY, "the body is not the one that the header describes")
    signature = data[HEADER_BYTES : HEADER_BYTES + SIGNATURE_BYTES]
    return Batch(header, data[:HEADER_BYTES], signature, body)


def verify(batch: Batch, public_key: bytes) -> None:
    """Raises WireError(BAD_SIGNATURE) unless the holder of `public_key` (32 bytes) signed this."""
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(
            batch.signature, _SIGN_CONTEXT + batch.header_bytes
        )
    except (InvalidSignature, ValueError) as error:
        raise WireError(Refusal.BAD_SIGNATURE, "the signature is not this agent's") from error
