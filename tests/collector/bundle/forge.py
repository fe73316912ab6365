"""Bundles taken apart and put together again, by somebody who holds the collector's key or not."""

import io
from collections.abc import Callable, Mapping
from itertools import pairwise

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from collector.bundle import container
from collector.bundle import documents as d
from collector.bundle.container import Container, of_bytes
from collector.bundle.documents import Record
from tests.collector.bundle.kit import KEY

Records = list[Record]


def members(data: bytes) -> dict[str, bytes]:
    one = Container(io.BytesIO(data))
    return {name: one.read(name) for name in one.members}


def packed(content: Mapping[str, bytes], key: Ed25519PrivateKey = KEY) -> bytes:
    """A bundle of these members, its manifest signed by the key."""
    out = io.BytesIO()
    for _ in container.write(out, [of_bytes(*one) for one in content.items()], key):
        continue
    return out.getvalue()


def with_member(data: bytes, name: str, change: Callable[[bytes], bytes]) -> bytes:
    content = members(data)
    return packed(content | {name: change(content[name])})


def records_of(data: bytes, agent: str) -> Records:
    found = list(d.unpack_records(members(data)[d.BATCHES + agent]))
    assert all(isinstance(one, Record) for one in found)
    return found  # type: ignore[return-value]


def with_records(data: bytes, agent: str, change: Callable[[Records], Records]) -> bytes:
    """The batches of an agent changed, and the manifest signed anew."""

    def changed(content: bytes) -> bytes:
        rows: Records = list(d.unpack_records(content))  # type: ignore[arg-type]
        return b"".join(one.pack() for one in change(rows))

    return with_member(data, d.BATCHES + agent, changed)


def flipped(data: bytes, at: int, bit: int = 0) -> bytes:
    return data[:at] + bytes([data[at] ^ (1 << bit)]) + data[at + 1 :]


def regions(data: bytes) -> dict[str, tuple[int, int]]:
    """Where in the file each member and everything between them is."""
    one = Container(io.BytesIO(data))
    found = {"manifest.json": (512, 512 + len(one.manifest_bytes))}
    start = data.index(one.signature)
    found["manifest.sig"] = (start, start + 64)
    found |= {
        name: (at.start, at.start + at.listed.size)
        for name, at in one.members.items()
        if at.listed.size
    }
    edges = sorted(found.values())
    between = {"header 0": (0, 512)}
    for k, ((_, end), (begin, _)) in enumerate(pairwise(edges), 1):
        between[f"header {k}"] = (end, begin)
    between["end"] = (edges[-1][1], len(data))
    return found | between
