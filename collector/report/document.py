"""Canonical bytes of an audit, their digest, and what one audit says otherwise than another. Pure.

The bytes are JSON with sorted keys, no spaces and UTF-8: the same audit is the same bytes, and
everybody can make the digest again.
"""

import hashlib
from collections.abc import Iterator
from typing import Any

import msgspec

from collector.report.record import Audit, Difference, Document

MOST_CHANGES = 1000
_SERIES = frozenset({"smoke", "hours", "days", "unknown"})
"""Long lists that are told as one change."""
_KEYS = ("link", "provider", "month", "id", "direction", "target")
"""What names an element of a list better than its place."""

_encode = msgspec.json.Encoder(order="sorted").encode
_decode = msgspec.json.Decoder(Document).decode


def canonical(what: Audit | Document) -> bytes:
    """JSON: keys sorted, no spaces, UTF-8."""
    return _encode(what)


def digest(data: bytes) -> str:
    """SHA-256 in hex."""
    return hashlib.sha256(data).hexdigest()


def parse(data: bytes) -> Document:
    """An issued document. Raises msgspec.ValidationError for other bytes."""
    return _decode(data)


def document(audit: Audit, revision: int, before: bytes | None, replaces: str | None) -> Document:
    """An audit as a revision: 1 for the first, 0 for a draft. `before` is the document that was
    issued last, of digest `replaces`; it may be of an older form than ours."""
    changes: list[Difference] = []
    left_out = 0
    for one in () if before is None else differences(before, audit):
        if len(changes) < MOST_CHANGES:
            changes.append(one)
        else:
            left_out += 1
    return Document(
        revision=revision,
        replaces=replaces,
        changes=tuple(changes),
        changes_left_out=left_out,
        audit_sha256=digest(canonical(audit)),
        audit=audit,
    )


def differences(before: bytes, now: Audit) -> Iterator[Difference]:
    """Every number and word that differs from the document before, in the order of the record."""
    old = msgspec.json.decode(before)["audit"]
    yield from _between("", old, msgspec.to_builtins(now), _SERIES)


def places(before: Any, now: Any) -> Iterator[Difference]:
    """Every place at which two JSON values differ, entries of long lists one by one."""
    yield from _between("", before, now, frozenset())


def _between(place: str, before: Any, now: Any, series: frozenset[str]) -> Iterator[Difference]:
    if before == now:
        return
    if isinstance(before, dict) and isinstance(now, dict):
        for key in dict.fromkeys((*before, *now)):
            at = f"{place}.{key}" if place else str(key)
            if key in series and isinstance(before.get(key), list | tuple):
                yield from _series(at, before[key], now.get(key, ()))
            else:
                yield from _between(at, before.get(key), now.get(key), series)
    elif isinstance(before, list | tuple) and isinstance(now, list | tuple):
        old, new = _named(before), _named(now)
        for name in dict.fromkeys((*old, *new)):
            yield from _between(f"{place}[{name}]", old.get(name), new.get(name), series)
    else:
        yield Difference(place=place, before=_told(before), now=_told(now))


def _series(place: str, before: Any, now: Any) -> Iterator[Difference]:
    if list(before) != list(now):
        same = [one for one in now if one in before]
        yield Difference(
            place=place,
            before=f"{len(before)} entries",
            now=f"{len(now)} entries, {len(now) - len(same)} of them new or changed",
        )


def _named(values: Any) -> dict[str, Any]:
    """Elements by their name, or by their place where they have none of their own."""
    key = next((key for key in _KEYS if all(_has(one, key) for one in values)), None)
    names = [str(at) if key is None else str(one[key]) for at, one in enumerate(values)]
    if len(set(names)) < len(names):
        names = [str(at) for at in range(len(names))]
    return dict(zip(names, values, strict=True))


def _has(one: Any, key: str) -> bool:
    return isinstance(one, dict) and one.get(key) is not None


def _told(value: Any) -> str | None:
    return None if value is None else _encode(value).decode()
