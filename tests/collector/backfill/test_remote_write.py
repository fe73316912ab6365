"""The bytes of a request against the official protobuf library; answers against what stores say."""

import math

import cramjam
import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from hypothesis import given
from hypothesis import strategies as st

from collector.backfill.remote_write import (
    Point,
    Verdict,
    compress,
    encode,
    retry_after_s,
    series,
    verdict,
)

F = descriptor_pb2.FieldDescriptorProto


def _write_request() -> type:
    """prompb's WriteRequest, as far as remote write 1.0 demands it."""
    file = descriptor_pb2.FileDescriptorProto(name="w.proto", package="p", syntax="proto3")
    shapes = {
        "Label": [("name", 1, F.TYPE_STRING, ""), ("value", 2, F.TYPE_STRING, "")],
        "Sample": [("value", 1, F.TYPE_DOUBLE, ""), ("timestamp", 2, F.TYPE_INT64, "")],
        "TimeSeries": [("labels", 1, 0, "Label"), ("samples", 2, 0, "Sample")],
        "WriteRequest": [("timeseries", 1, 0, "TimeSeries")],
    }
    for name, fields in shapes.items():
        message = file.message_type.add(name=name)
        for field, number, kind, of in fields:
            one = message.field.add(name=field, number=number, label=F.LABEL_OPTIONAL)
            one.type = kind or F.TYPE_MESSAGE
            if of:
                one.type_name, one.label = f".p.{of}", F.LABEL_REPEATED
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("p.WriteRequest"))


WriteRequest = _write_request()
NAMES = st.sampled_from(["pantau_settled_packets_lost", "x", "pantau_settled_state_seconds"])
TEXTS = st.text(max_size=300)
KEYS = st.text("abcdefghijklmnopqrstuvwxyz_", min_size=1, max_size=20).filter(
    lambda key: key != "__name__"
)
ROWS = st.lists(
    st.tuples(
        NAMES,
        st.dictionaries(KEYS, TEXTS, max_size=4),
        st.integers(0, 2**53),
        st.floats(allow_nan=False),
    ),
    max_size=20,
)


@given(ROWS)
def test_a_request_says_to_the_official_library_what_it_was_made_of(
    rows: list[tuple[str, dict[str, str], int, float]],
) -> None:
    body = compress(encode(Point(series(name, told), at, value) for name, told, at, value in rows))
    read = WriteRequest.FromString(bytes(cramjam.snappy.decompress_raw(body)))
    found = []
    for one in read.timeseries:
        pairs = [(label.name, label.value) for label in one.labels]
        assert pairs == sorted(pairs) and len(pairs) == len(dict(pairs))
        times = [sample.timestamp for sample in one.samples]
        assert times == sorted(times)
        found += [(tuple(pairs), sample.timestamp, sample.value) for sample in one.samples]
    expected = [
        (tuple(sorted({"__name__": name, **told}.items())), at, value)
        for name, told, at, value in rows
    ]
    assert sorted(found) == sorted(expected)
    assert len({tuple((p.name, p.value) for p in one.labels) for one in read.timeseries}) == len(
        read.timeseries
    )


@pytest.mark.parametrize(
    ("status", "text", "found"),
    [
        (200, "", Verdict.TAKEN),
        (204, "", Verdict.TAKEN),
        # Prometheus 2.42
        (500, "too old sample\n", Verdict.TOO_OLD),
        (400, "out of bounds\n", Verdict.OUT_OF_BOUNDS),
        (400, "out of order sample\n", Verdict.OUT_OF_ORDER),
        (400, "duplicate sample for timestamp\n", Verdict.DUPLICATE),
        # Mimir
        (400, "failed: err-mimir-sample-timestamp-too-old", Verdict.TOO_OLD),
        (400, "failed: err-mimir-sample-out-of-order", Verdict.OUT_OF_ORDER),
        (400, "failed: err-mimir-sample-duplicate-timestamp", Verdict.DUPLICATE),
        (400, "per-user series limit of 150000 exceeded", Verdict.OTHER),
        (422, "", Verdict.OTHER),
        (413, "too old sample", Verdict.TOO_LARGE),
        (500, "disk full", Verdict.AGAIN),
        (502, "the sample is too old for my taste", Verdict.AGAIN),
        (429, "", Verdict.AGAIN),
        (503, "", Verdict.AGAIN),
        (401, "", Verdict.AGAIN),
        (403, "", Verdict.AGAIN),
        (404, "remote write receiver needs to be enabled", Verdict.AGAIN),
        (302, "", Verdict.AGAIN),
    ],
)
def test_an_answer_is_final_only_where_it_is_about_the_samples(
    status: int, text: str, found: Verdict
) -> None:
    assert verdict(status, text) is found


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None),
        ("120", 120),
        (" 7 ", 7),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 60),
        ("Wed, 21 Oct 2015 07:26:00 GMT", 0),
        ("soon", None),
        ("-5", None),
    ],
)
def test_retry_after_is_seconds_or_a_date(header: str | None, seconds: float | None) -> None:
    assert retry_after_s(header, 1_445_412_420) == seconds


def test_infinity_is_a_value() -> None:
    read = WriteRequest.FromString(encode([Point(series("x", {}), 1, math.inf)]))
    assert read.timeseries[0].samples[0].value == math.inf
