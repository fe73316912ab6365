"""Prometheus remote write 1.0: points into a request's bytes, and an answer into a verdict.

The message has four shapes and five fields (prometheus/prompb: WriteRequest, TimeSeries, Label,
Sample), written out here; docs/decisions says why. The body is one block of Snappy without frames.
"""

import struct
from collections.abc import Iterable, Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime
from enum import StrEnum
from http import HTTPStatus
from typing import NamedTuple

import cramjam

HEADERS = {
    "Content-Type": "application/x-protobuf",
    "Content-Encoding": "snappy",
    "X-Prometheus-Remote-Write-Version": "0.1.0",
}
_SAMPLE = struct.Struct("<cd")
_TIMESERIES, _LABELS, _SAMPLES = b"\x0a", b"\x0a", b"\x12"
"""Tags: WriteRequest.timeseries, TimeSeries.labels, TimeSeries.samples (length-delimited)."""
_NAME, _VALUE = b"\x0a", b"\x12"
"""Label.name, Label.value."""
_DOUBLE, _TIME = b"\x09", b"\x10"
"""Sample.value (fixed 64 bits), Sample.timestamp (varint)."""


class Point(NamedTuple):
    """One sample."""

    series: bytes
    """What `series` made of its labels."""
    at_ms: int
    """UTC milliseconds since 1970; not negative."""
    value: float


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def _sized(tag: bytes, data: bytes) -> bytes:
    return tag + _varint(len(data)) + data


def series(name: str, labels: Mapping[str, str]) -> bytes:
    """A series, as the labels of its TimeSeries; sorted by name, as the protocol demands."""
    pairs = sorted({"__name__": name, **labels}.items())
    return b"".join(
        _sized(_LABELS, _sized(_NAME, key.encode()) + _sized(_VALUE, value.encode()))
        for key, value in pairs
    )


def encode(points: Iterable[Point]) -> bytes:
    """A WriteRequest: points by series, each series by time."""
    samples: dict[bytes, list[tuple[int, float]]] = {}
    for one in points:
        samples.setdefault(one.series, []).append((one.at_ms, one.value))
    out = []
    for labels, rows in samples.items():
        rows.sort()
        told = [labels]
        for at_ms, value in rows:
            told.append(_sized(_SAMPLES, _SAMPLE.pack(_DOUBLE, value) + _TIME + _varint(at_ms)))
        out.append(_sized(_TIMESERIES, b"".join(told)))
    return b"".join(out)


def compress(request: bytes) -> bytes:
    """The body of the POST."""
    return bytes(cramjam.snappy.compress_raw(request))


class Verdict(StrEnum):
    """What an endpoint makes of a request. Those before TAKEN are final for a lone sample, and
    the values of their metric label."""

    TOO_OLD = "too_old"
    """older than the window in which the store takes samples in any order"""
    OUT_OF_BOUNDS = "out_of_bounds"
    """older than what a store without such a window takes"""
    OUT_OF_ORDER = "out_of_order"
    """the series has newer samples, and the store takes none behind them"""
    DUPLICATE = "duplicate"
    """the store has another value of this moment and keeps it"""
    OTHER = "other"
    """refused in words that are not known here"""
    TAKEN = "taken"
    TOO_LARGE = "too_large"
    """in smaller pieces, please"""
    AGAIN = "again"
    """not now, or not as the endpoint is set up: nothing is lost by waiting"""


REASONS = tuple(Verdict)[: tuple(Verdict).index(Verdict.TAKEN)]
BY_AGE = (Verdict.TOO_OLD, Verdict.OUT_OF_BOUNDS)
"""Whoever is refused for it, everything older is refused for it too."""
_WORDS = (
    ("duplicate sample", Verdict.DUPLICATE),  # Prometheus
    ("duplicate-timestamp", Verdict.DUPLICATE),  # Mimir
    ("too old", Verdict.TOO_OLD),
    ("too-old", Verdict.TOO_OLD),
    ("out of bounds", Verdict.OUT_OF_BOUNDS),
    ("out of order", Verdict.OUT_OF_ORDER),
    ("out-of-order", Verdict.OUT_OF_ORDER),
)
_ABOUT_SAMPLES = frozenset({HTTPStatus.BAD_REQUEST, HTTPStatus.UNPROCESSABLE_ENTITY})


def verdict(status: int, text: str) -> Verdict:
    """What an answer means.

    Prometheus 2.42 says 500 to one sample that is too old and stores nothing of its request, so
    words count before the number does. 401, 403, 404 and the like are about how the endpoint is
    set up: whoever drops data for a wrong password loses a night of it.
    """
    if HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
        return Verdict.TAKEN
    if status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
        return Verdict.TOO_LARGE
    if status in _ABOUT_SAMPLES or status == HTTPStatus.INTERNAL_SERVER_ERROR:
        lower = text.lower()
        for words, found in _WORDS:
            if words in lower:
                return found
    return Verdict.OTHER if status in _ABOUT_SAMPLES else Verdict.AGAIN


def retry_after_s(value: str | None, now_s: float) -> float | None:
    """Seconds that a Retry-After header asks for (RFC 9110 section 10.2.3); None without one that
    can be read."""
    if value is None:
        return None
    if value.strip().isdecimal():
        return float(value)
    try:
        moment = parsedate_to_datetime(value)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max(0.0, moment.timestamp() - now_s)
