"""Bodies of batches under attack: bombs, lies, cut frames, and JSON that is almost right."""

import json
import pickle
import struct
import subprocess
import sys
from pathlib import Path

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from wire import codec
from wire.codec import MAX_BODY_BYTES, MAX_RAW_BYTES, Record
from wire.errors import MAX_DETAIL, Refusal, WireError
from wire.instant import ClockClass
from wire.journal import Heartbeat, Stop
from wire.observation import Outcome, StampSource, Train

GIB = 2**30
MAGIC = b"\x28\xb5\x2f\xfd"
_BLOCK = 128 * 1024
STOP = b'{"type":"stop","boot_ns":0,"wall_ns":0,"reason":""}'
TRAIN = (
    b'{"type":"train","link":"l","target":"t","probe":"p","address":"a","first_seq":0,'
    b'"boot_ns":0,"interval_ns":1000000000,"timeout_ns":1000000000,"send_us":['
)
RECORDS: list[Record] = [
    Heartbeat(boot_ns=1, wall_ns=2, clock=ClockClass.B),
    Train(
        link="desa-001/icon",
        target="hub",
        probe="stamp",
        address="192.0.2.1",
        first_seq=0,
        boot_ns=1,
        interval_ns=10**9,
        timeout_ns=2 * 10**9,
        send_us=[0, 1_000_000],
        rtt_ns=[24_000_000, None],
        outcome=[Outcome.OK, Outcome.TIMEOUT],
        stamp=[StampSource.KERNEL, StampSource.NONE],
    ),
    Stop(boot_ns=3, wall_ns=4, reason="asked to"),
]


def squeeze(raw: bytes) -> bytes:
    return zstandard.ZstdCompressor(level=9).compress(raw)


def frame(declared: int, blocks: bytes, *, window_log: int = 21) -> bytes:
    """A frame that declares `declared` bytes (4-byte field, own window), whatever it holds."""
    return MAGIC + bytes([0x80, (window_log - 10) << 3]) + struct.pack("<I", declared) + blocks


def zeros(count: int) -> bytes:
    """Blocks that expand to `count` zeros, 4 bytes for each 128 KiB (RFC 8878: RLE blocks)."""
    whole = count // _BLOCK
    block = struct.pack("<I", _BLOCK << 3 | 1 << 1)[:3] + b"\x00"
    last = struct.pack("<I", _BLOCK << 3 | 1 << 1 | 1)[:3] + b"\x00"
    return block * (whole - 1) + last


def raw_block(data: bytes) -> bytes:
    return struct.pack("<I", len(data) << 3 | 1)[:3] + data


def refused(body: bytes, raw_len: int) -> WireError:
    with pytest.raises(WireError) as caught:
        codec.decode_body(body, raw_len)
    return caught.value


def test_records_survive_the_wire_in_their_order() -> None:
    body, raw_len = codec.encode_body(RECORDS)
    assert codec.decode_body(body, raw_len) == RECORDS


def test_a_body_is_lines_of_json_that_standard_tools_read() -> None:
    body, raw_len = codec.encode_body(RECORDS)
    raw = codec.decompress(body, raw_len)
    lines = [json.loads(line) for line in raw.split(b"\n")]
    assert [line["type"] for line in lines] == ["heartbeat", "train", "stop"]
    assert lines[1]["rtt_ns"] == [24_000_000, None]


def test_a_body_of_no_records_is_one_empty_frame() -> None:
    body, raw_len = codec.encode_body([])
    assert raw_len == 0
    assert codec.decode_body(body, raw_len) == []


@given(st.binary(max_size=3_000))
def test_lines_survive_compression_whatever_they_are(raw: bytes) -> None:
    body, raw_len = codec.compress([raw])
    assert (codec.decompress(body, raw_len), raw_len) == (raw, len(raw))


def test_the_frame_that_the_attacks_are_made_of_is_sound() -> None:
    assert codec.decompress(frame(len(STOP), raw_block(STOP)), len(STOP)) == STOP
    assert codec.decompress(frame(MAX_RAW_BYTES, zeros(MAX_RAW_BYTES)), MAX_RAW_BYTES)


HOSTILE_FRAMES: dict[str, tuple[bytes, int]] = {
    "declares 1 GiB and holds it": (frame(GIB, zeros(GIB)), MAX_RAW_BYTES),
    "declares 1 GiB and holds little": (frame(GIB, raw_block(STOP)), len(STOP)),
    "declares 2 MiB and holds 1 GiB": (frame(MAX_RAW_BYTES, zeros(GIB)), MAX_RAW_BYTES),
    "declares little and holds 1 GiB": (frame(100, zeros(GIB)), 100),
    "declares nothing and holds 1 GiB": (frame(0, zeros(GIB)), 0),
    "declares more than it holds": (frame(len(STOP) + 1, raw_block(STOP)), len(STOP) + 1),
    "declares less than it holds": (frame(len(STOP) - 1, raw_block(STOP)), len(STOP) - 1),
    "header says more than frame": (frame(len(STOP), raw_block(STOP)), len(STOP) + 1),
    "declares no size": (
        zstandard.ZstdCompressor(write_content_size=False).compress(STOP),
        len(STOP),
    ),
    "two frames": (squeeze(STOP) + squeeze(STOP), len(STOP)),
    "two frames, sizes added": (squeeze(STOP) + squeeze(STOP), 2 * len(STOP)),
    "trailing junk": (squeeze(STOP) + b"junk", len(STOP)),
    "empty frame, trailing junk": (squeeze(b"") + b"junk", 0),
    "empty frame, another after it": (squeeze(b"") + squeeze(STOP), 0),
    "skippable frame": (struct.pack("<II", 0x184D2A50, 4) + b"abcd", 4),
    "empty skippable frame": (struct.pack("<II", 0x184D2A50, 0), 0),
    "skippable frame before": (struct.pack("<II", 0x184D2A50, 0) + squeeze(STOP), len(STOP)),
    "window of 128 MiB": (frame(len(STOP), raw_block(STOP), window_log=27), len(STOP)),
    "window of 128 MiB, cut short": (frame(len(STOP), raw_block(STOP)[:9], window_log=27), 51),
    "window of 4 MiB": (frame(len(STOP), raw_block(STOP), window_log=22), len(STOP)),
    "dictionary": (MAGIC + bytes([0x21, 7, len(STOP)]) + raw_block(STOP), len(STOP)),
    "no bytes": (b"", 0),
    "gzip": (b"\x1f\x8b\x08" + bytes(40), 40),
    "plain JSON": (STOP, len(STOP)),
    "negative length": (squeeze(STOP), -1),
}


@pytest.mark.parametrize("attack", HOSTILE_FRAMES)
def test_a_body_that_is_not_exactly_one_honest_frame_is_refused(attack: str) -> None:
    assert refused(*HOSTILE_FRAMES[attack]).refusal is Refusal.BAD_BODY


@pytest.mark.parametrize(
    ("body", "raw_len"),
    [(bytes(MAX_BODY_BYTES + 1), 10), (squeeze(STOP), MAX_RAW_BYTES + 1), (b"", GIB)],
)
def test_what_is_too_large_is_refused_before_it_is_looked_at(body: bytes, raw_len: int) -> None:
    assert refused(body, raw_len).refusal is Refusal.TOO_LARGE


def test_a_frame_cut_anywhere_is_refused() -> None:
    body, raw_len = codec.encode_body(RECORDS)
    for length in range(len(body)):
        assert refused(body[:length], raw_len).refusal is Refusal.BAD_BODY


def wrong(reason: bytes = b'""', boot_ns: bytes = b"0", rest: bytes = b"") -> bytes:
    return b'{"type":"stop","wall_ns":0,"boot_ns":%s,"reason":%s%s}' % (boot_ns, reason, rest)


HOSTILE_LINES: dict[str, bytes] = {
    "nothing": b"",
    "null": b"null",
    "a list": b"[]",
    "a number": b"7",
    "deep lists": b"[" * 1_000_000,
    "deep objects": b'{"a":' * 300_000,
    "deep lists in a field": wrong(b"[" * 1_000_000),
    "deep lists in an unknown field": wrong(rest=b',"x":' + b"[" * 1_000_000),
    "deep objects in an unknown field": wrong(rest=b',"x":' + b'{"x":' * 300_000),
    "NaN": wrong(boot_ns=b"NaN"),
    "Infinity": wrong(boot_ns=b"-Infinity"),
    "1e400": wrong(boot_ns=b"1e400"),
    "1e3": wrong(boot_ns=b"1e3"),
    "1.0": wrong(boot_ns=b"1.0"),
    "10**5000": wrong(boot_ns=b"1" + b"0" * 5_000),
    "a million digits": wrong(boot_ns=b"9" * 1_000_000),
    "a leading zero": wrong(boot_ns=b"007"),
    "a negative": wrong(boot_ns=b"-1"),
    "true for a number": wrong(boot_ns=b"true"),
    "text for a number": wrong(boot_ns=b'"1"'),
    "a number for text": wrong(b"1"),
    "a lone surrogate": wrong(b'"\\ud800"'),
    "surrogates in the wrong order": wrong(b'"\\udc00\\ud800"'),
    "a byte that is not UTF-8": wrong(b'"\xff"'),
    "an overlong NUL": wrong(b'"\xc0\x80"'),
    "a bare control character": wrong(b'"\x01"'),
    "text of 2 MiB": wrong(b'"' + b"A" * (MAX_RAW_BYTES - 60) + b'"'),
    "an unknown field": wrong(rest=b',"weather":"rain"'),
    "an unknown field of 1 MB": wrong(rest=b',"' + b"A" * 1_000_000 + b'":0'),
    "an unknown type of 1 MB": b'{"type":"' + b"A" * 1_000_000 + b'"}',
    "two types": b'{"type":"stop","type":"start","boot_ns":0,"wall_ns":0,"reason":""}',
    "a type that is a number": b'{"type":5}',
    "a type that is missing": b'{"boot_ns":0,"wall_ns":0,"reason":""}',
    "a byte order mark": b"\xef\xbb\xbf" + STOP,
    "two records on one line": STOP + STOP,
    "a comma after": STOP + b",",
    "a comment": STOP + b"//",
    "a NUL after": STOP + b"\x00",
    "cut short": STOP[:-1],
    "single quotes": STOP.replace(b'"', b"'"),
    "a million rows": TRAIN + b"0," * 999_999 + b"0]}",
    "half a million answers": TRAIN + b'0],"rtt_ns":[' + b"null," * 400_000 + b"null]}",
    "columns of different length": TRAIN + b'0,1],"rtt_ns":[1],"outcome":[0],"stamp":[0]}',
}


@pytest.mark.parametrize("attack", HOSTILE_LINES)
def test_json_that_is_not_a_record_is_refused_in_one_short_printable_line(attack: str) -> None:
    raw = HOSTILE_LINES[attack]
    if raw:
        error = refused(squeeze(raw), len(raw))
    else:
        with pytest.raises(WireError) as caught:
            codec.decode_record(raw)
        error = caught.value
    assert error.refusal is Refusal.BAD_BODY
    assert len(str(error)) <= MAX_DETAIL
    assert str(error).isprintable()


def test_a_refusal_cannot_forge_a_line_of_the_log() -> None:
    with pytest.raises(WireError) as caught:
        codec.decode_record(b'{"type":"x\\nERROR all links are down\\u001b[2J\\u2028"}')
    assert (
        str(caught.value) == "record: Invalid value 'x?ERROR all links are down?[2J?' - at `$.type`"
    )


def test_of_a_name_said_twice_the_last_counts_as_in_every_common_reader() -> None:
    line = b'{"type":"stop","boot_ns":1,"boot_ns":2,"wall_ns":0,"reason":""}'
    record = codec.decode_record(line)
    assert isinstance(record, Stop)
    assert record.boot_ns == json.loads(line)["boot_ns"] == 2


@given(st.binary(max_size=400), st.integers(-1, 500))
def test_any_octets_as_a_body_are_refused_and_nothing_else(body: bytes, raw_len: int) -> None:
    with pytest.raises(WireError):
        codec.decode_body(body, raw_len)


@given(st.binary(min_size=1, max_size=400))
def test_any_octets_in_an_honest_frame_are_refused_and_nothing_else(raw: bytes) -> None:
    with pytest.raises(WireError):
        codec.decode_body(squeeze(raw), len(raw))


SCALARS = (
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=8)
)
ODD = SCALARS | st.lists(SCALARS, max_size=4) | st.dictionaries(st.text(max_size=4), SCALARS)


@given(st.sampled_from(RECORDS), st.data())
def test_any_values_in_our_own_fields_are_taken_or_refused_and_nothing_else(
    record: Record, data: st.DataObject
) -> None:
    row = json.loads(codec.encode_record(record))
    for field in data.draw(st.lists(st.sampled_from(sorted(row)), min_size=1, max_size=3)):
        row[field] = data.draw(ODD)
    try:
        taken = codec.decode_record(json.dumps(row).encode())
    except WireError as error:
        assert error.refusal is Refusal.BAD_BODY
    else:
        assert codec.decode_record(codec.encode_record(taken)) == taken


@given(st.data())
def test_a_changed_octet_of_a_body_never_crashes_the_reader(data: st.DataObject) -> None:
    body, raw_len = codec.encode_body(RECORDS)
    changed = bytearray(body)
    for _ in range(data.draw(st.integers(1, 4))):
        changed[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    try:
        codec.decode_body(bytes(changed), raw_len)
    except WireError as error:
        assert error.refusal is Refusal.BAD_BODY


CHILD = """
import pathlib, pickle, re, sys
from wire import codec
from wire.errors import WireError

def peak_kib():
    status = pathlib.Path("/proc/self/status").read_text()
    return int(re.search(r"VmHWM:\\s+(\\d+)", status)[1])

bodies = pickle.loads(pathlib.Path(sys.argv[1]).read_bytes())
before = peak_kib()
for name, (body, raw_len) in bodies.items():
    try:
        codec.decode_body(body, raw_len)
    except WireError:
        pass
    print(peak_kib() - before, name)
"""


def test_no_body_costs_more_memory_than_a_few_times_the_limit(tmp_path: Path) -> None:
    """Measured by the kernel in a process of its own: C libraries are seen, too."""
    bodies = dict(HOSTILE_FRAMES)
    lines = HOSTILE_LINES | {
        "the most records": b"\n".join([STOP] * (MAX_RAW_BYTES // (len(STOP) + 1))),
        "the most trains": b"\n".join(
            [TRAIN + b'0],"rtt_ns":[1],"outcome":[0],"stamp":[0]}'] * (MAX_RAW_BYTES // 240)
        ),
        "only newlines": b"\n" * MAX_RAW_BYTES,
    }
    bodies |= {name: (squeeze(raw), len(raw)) for name, raw in lines.items()}
    file = tmp_path / "bodies.pickle"
    file.write_bytes(pickle.dumps(bodies))
    told = subprocess.run(
        [sys.executable, "-c", CHILD, str(file)],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
        cwd=Path(codec.__file__).parent.parent,
    ).stdout.splitlines()
    assert len(told) == len(bodies)
    peak_kib, _ = told[-1].split(" ", 1)
    assert int(peak_kib) < 16 * MAX_RAW_BYTES // 1024, told
