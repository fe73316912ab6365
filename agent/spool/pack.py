"""From lines of records to sealed batches: pure, and within the wire's limits by construction.

A batch is cut at half of what a collector would take, so that sealing needs little memory and
no batch is ever refused for its size.
"""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from wire.batch import Batch, Header, seal
from wire.codec import MAX_BODY_BYTES, MAX_RAW_BYTES, Record, compress, encode_record
from wire.instant import ClockClass
from wire.journal import Gap
from wire.observation import Train

RAW_LIMIT = MAX_RAW_BYTES // 2
BODY_LIMIT = MAX_BODY_BYTES - 8 * 1024
LINE_LIMIT = MAX_BODY_BYTES - 16 * 1024
"""Longest line: even one that zstd cannot make smaller fits a body alone."""
_U32 = 2**32 - 1


class Line(NamedTuple):
    """One record as it is stored: its bytes, and what a header counts of it."""

    data: bytes
    observations: int
    missing: int
    first_boot_ns: int
    last_boot_ns: int


class Stamp(NamedTuple):
    """The moment of sealing, by the clocks of the boot that the records belong to."""

    boot_ns: int
    wall_ns: int
    clock: ClockClass


class Signer(NamedTuple):
    """Who signs."""

    agent_id: bytes
    key: Ed25519PrivateKey


class Place(NamedTuple):
    """Where in the chain a batch goes."""

    epoch: bytes
    boot_id: bytes
    seq: int
    previous: bytes
    last_receipt: bytes


def line_of(record: Record) -> Line:
    """The record as a line. Raises ValueError for one longer than any batch may hold."""
    data = encode_record(record)
    if len(data) > LINE_LIMIT:
        raise ValueError(f"record of {len(data)} bytes, the longest is {LINE_LIMIT}")
    missing = (record.count or 0) if isinstance(record, Gap) else 0
    if isinstance(record, Train):
        return Line(data, len(record), missing, record.boot_ns, record.end_boot_ns)
    return Line(data, 0, missing, record.boot_ns, record.boot_ns)


def cut(lines: Iterable[Line]) -> Iterator[list[Line]]:
    """Runs of lines that together stay within RAW_LIMIT."""
    run: list[Line] = []
    size = 0
    for line in lines:
        if run and size + len(line.data) + 1 > RAW_LIMIT:
            yield run
            run, size = [], 0
        run.append(line)
        size += len(line.data) + 1
    if run:
        yield run


def _bodies(run: Sequence[Line]) -> Iterator[tuple[Sequence[Line], bytes, int]]:
    body, raw_len = compress([line.data for line in run])
    if len(body) <= BODY_LIMIT or len(run) == 1:
        yield run, body, raw_len
        return
    half = len(run) // 2
    yield from _bodies(run[:half])
    yield from _bodies(run[half:])


def pack(run: Sequence[Line], place: Place, stamp: Stamp, signer: Signer) -> Iterator[Batch]:
    """Sealed batches of one run of lines, the first at `place`, the others behind it."""
    for lines, body, raw_len in _bodies(run):
        header = Header(
            agent_id=signer.agent_id,
            epoch=place.epoch,
            boot_id=place.boot_id,
            seq=place.seq,
            previous=place.previous,
            body_digest=hashlib.sha256(body).digest(),
            body_len=len(body),
            raw_len=raw_len,
            records=len(lines),
            observations=sum(line.observations for line in lines),
            missing=min(_U32, sum(line.missing for line in lines)),
            first_boot_ns=min(line.first_boot_ns for line in lines),
            last_boot_ns=max(line.last_boot_ns for line in lines),
            sealed_boot_ns=stamp.boot_ns,
            sealed_wall_ns=stamp.wall_ns,
            clock=stamp.clock,
            last_receipt=place.last_receipt,
        )
        batch = seal(header, body, signer.key)
        yield batch
        place = place._replace(seq=place.seq + 1, previous=batch.digest)
