"""Batches: golden bytes, the chain, the signature, and what a single flipped bit does."""

import hashlib
import struct
from collections.abc import Callable
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from wire import batch, codec
from wire.batch import HEADER_BYTES, NO_DIGEST, SIGNATURE_BYTES, Batch, Header
from wire.codec import MAX_BODY_BYTES, MAX_RAW_BYTES, Record
from wire.errors import Refusal, WireError
from wire.instant import MAX_NS, ClockClass
from wire.journal import Anchor, Gap, GapReason, Heartbeat, Start
from wire.observation import Outcome, StampSource, Train

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
PUBLIC = KEY.public_key().public_bytes_raw()
BOOT_NS = 4_200_000_000_000
WALL_NS = 1_790_000_000_000_000_000
RECORDS: list[Record] = [
    Start(
        boot_ns=BOOT_NS,
        wall_ns=WALL_NS,
        boot_id="b0" * 16,
        agent_version="0.1.0",
        settings_digest="5e" * 32,
        system="Linux 6.1.0 aarch64",
        previous_clean=False,
    ),
    Train(
        link="desa-001/icon",
        target="hub",
        probe="stamp",
        address="192.0.2.1",
        first_seq=0,
        boot_ns=BOOT_NS + 250_000_000,
        interval_ns=1_000_000_000,
        timeout_ns=2_000_000_000,
        send_us=[0, 1_000_012, 2_000_007, 3_000_020],
        rtt_ns=[24_012_345, None, 23_876_001, None],
        outcome=[Outcome.OK, Outcome.TIMEOUT, Outcome.OK, Outcome.NOT_SENT],
        stamp=[StampSource.KERNEL, StampSource.NONE, StampSource.KERNEL, StampSource.NONE],
        size=44,
        reflector_seq=[0, None, 1, None],
        ttl=[62, None, 62, None],
    ),
    Heartbeat(
        boot_ns=BOOT_NS + 10_000_000_000,
        wall_ns=WALL_NS + 10_000_000_000,
        clock=ClockClass.B,
        clock_error_ns=40_000_000,
        clock_source="kernel",
        anchor=Anchor(BOOT_NS + 9_000_000_000, WALL_NS + 9_000_500_000, 12_500_000),
        slot_late_ns=310_000,
        send_call_ns=42_000,
        spool_bytes=8_192,
    ),
    Gap(
        boot_ns=BOOT_NS + 11_000_000_000,
        wall_ns=WALL_NS + 11_000_000_000,
        reason=GapReason.STALLED,
        link="desa-001/icon",
        target="hub",
        first_seq=4,
        last_seq=6,
        count=3,
    ),
]


def header(body: bytes, raw_len: int, **changes: Any) -> Header:
    whole = Header(
        agent_id=b"\xa1" * 16,
        epoch=b"\xe9" * 16,
        boot_id=b"\xb0" * 16,
        seq=7,
        previous=hashlib.sha256(b"the batch before").digest(),
        body_digest=hashlib.sha256(body).digest(),
        body_len=len(body),
        raw_len=raw_len,
        records=4,
        observations=4,
        missing=3,
        first_boot_ns=BOOT_NS,
        last_boot_ns=BOOT_NS + 11_000_000_000,
        sealed_boot_ns=BOOT_NS + 60_000_000_000,
        sealed_wall_ns=WALL_NS + 60_000_000_000,
        clock=ClockClass.B,
        last_receipt=hashlib.sha256(b"a receipt").digest(),
    )
    return whole._replace(**changes)


def sealed(**changes: Any) -> Batch:
    body, raw_len = codec.encode_body(RECORDS)
    return batch.seal(header(body, raw_len, **changes), body, KEY)


def refused(data: bytes) -> Refusal:
    """Why these bytes do not pass `parse` and `verify`."""
    with pytest.raises(WireError) as caught:
        batch.verify(batch.parse(data), PUBLIC)
    return caught.value.refusal


def test_the_library_signs_as_rfc_8032_test_2() -> None:
    key = Ed25519PrivateKey.from_private_bytes(
        bytes.fromhex("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb")
    )
    assert key.sign(b"\x72").hex() == (
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
        "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"
    )


def test_records_are_the_golden_lines(golden: Callable[[str, bytes], bytes]) -> None:
    golden("records.jsonl", b"\n".join(codec.encode_record(record) for record in RECORDS))


def test_the_golden_batch_is_read_and_sealed_to_the_byte(
    golden_bytes: Callable[[str], bytes], golden: Callable[[str, bytes], bytes]
) -> None:
    """Its body is kept from the file: another zstd may squeeze otherwise, and may."""
    try:
        body = batch.parse(golden_bytes("batch.bin")).body
    except FileNotFoundError:
        body, _ = codec.encode_body(RECORDS)
    raw = golden_bytes("records.jsonl")
    whole = batch.seal(header(body, len(raw)), body, KEY)
    data = golden("batch.bin", whole.to_bytes())
    assert codec.decompress(body, len(raw)) == raw
    parsed = batch.parse(data)
    batch.verify(parsed, PUBLIC)
    assert parsed == whole
    assert codec.decode_body(parsed.body, parsed.header.raw_len) == RECORDS
    assert parsed.digest.hex() == (
        hashlib.sha256(b"pantau-link-v1\x00" + data[:HEADER_BYTES]).hexdigest()
    )


def test_layout_numbers_are_those_of_the_document() -> None:
    assert (HEADER_BYTES, SIGNATURE_BYTES, batch.MAX_BATCH_BYTES) == (216, 64, 262_424)


DIGESTS = st.binary(min_size=32, max_size=32)
IDS = st.binary(min_size=16, max_size=16)
U32 = st.integers(0, 2**32 - 1)
HEADERS = st.builds(
    Header,
    agent_id=IDS,
    epoch=IDS,
    boot_id=IDS,
    seq=st.integers(0, 2**53 - 1),
    previous=DIGESTS,
    body_digest=DIGESTS,
    body_len=U32,
    raw_len=U32,
    records=U32,
    observations=U32,
    missing=U32,
    first_boot_ns=st.integers(0, MAX_NS),
    last_boot_ns=st.integers(0, MAX_NS),
    sealed_boot_ns=st.integers(0, MAX_NS),
    sealed_wall_ns=st.integers(-MAX_NS, MAX_NS),
    clock=st.sampled_from(ClockClass),
    last_receipt=DIGESTS,
    key_id=st.integers(0, 65_535),
    flags=st.just(0),
)


@given(HEADERS)
def test_any_valid_header_survives_the_wire(one: Header) -> None:
    packed = one.pack()
    assert len(packed) == HEADER_BYTES
    assert batch.parse_header(packed) == one
    assert batch.parse_header(packed + b"more") == one


@given(HEADERS, HEADERS)
def test_two_headers_have_one_digest_only_if_they_are_one(a: Header, b: Header) -> None:
    assert (batch.link_digest(a.pack()) == batch.link_digest(b.pack())) == (a == b)


def test_every_flipped_bit_of_a_batch_is_noticed() -> None:
    data = sealed().to_bytes()
    assert refused_or_none(data) is None
    for at in range(len(data)):
        for bit in range(8):
            changed = bytearray(data)
            changed[at] ^= 1 << bit
            assert refused_or_none(bytes(changed)) is not None, (at, bit)


def refused_or_none(data: bytes) -> Refusal | None:
    try:
        batch.verify(batch.parse(data), PUBLIC)
    except WireError as error:
        return error.refusal
    return None


def test_a_batch_cut_anywhere_or_lengthened_is_malformed() -> None:
    data = sealed().to_bytes()
    for length in range(len(data)):
        assert refused(data[:length]) is Refusal.MALFORMED
    assert refused(data + b"\x00") is Refusal.MALFORMED


@given(st.binary(max_size=600), st.booleans())
def test_any_octets_are_refused_and_nothing_else(data: bytes, begun: bool) -> None:
    with pytest.raises(WireError):
        batch.parse(b"PTB1\x01\x00" + data if begun else data)


def at(offset: int, form: str, value: int) -> bytes:
    """The batch with one header number replaced, signed all the same."""
    whole = sealed()
    packed = bytearray(whole.header_bytes)
    struct.pack_into(form, packed, offset, value)
    signature = KEY.sign(b"pantau-batch-v1\x00" + bytes(packed))
    return bytes(packed) + signature + whole.body


@pytest.mark.parametrize(
    ("data", "refusal"),
    [
        (at(4, ">B", 2), Refusal.UNKNOWN_VERSION),
        (at(4, ">B", 0), Refusal.UNKNOWN_VERSION),
        (at(5, ">B", 1), Refusal.MALFORMED),
        (at(56, ">Q", 2**53), Refusal.MALFORMED),
        (at(128, ">I", MAX_BODY_BYTES + 1), Refusal.TOO_LARGE),
        (at(128, ">I", 2**32 - 1), Refusal.TOO_LARGE),
        (at(132, ">I", MAX_RAW_BYTES + 1), Refusal.TOO_LARGE),
        (at(132, ">I", 2**32 - 1), Refusal.TOO_LARGE),
        (at(148, ">Q", MAX_NS + 1), Refusal.MALFORMED),
        (at(156, ">Q", 2**63), Refusal.MALFORMED),
        (at(164, ">Q", 2**64 - 1), Refusal.MALFORMED),
        (at(172, ">q", -(2**63)), Refusal.MALFORMED),
        (at(172, ">q", MAX_NS + 1), Refusal.MALFORMED),
        (at(180, ">B", ord("E")), Refusal.MALFORMED),
        (at(180, ">B", 0), Refusal.MALFORMED),
        (at(181, ">B", 1), Refusal.MALFORMED),
        (at(183, ">B", 1), Refusal.MALFORMED),
    ],
)
def test_a_signed_header_out_of_bounds_is_refused_all_the_same(
    data: bytes, refusal: Refusal
) -> None:
    assert refused(data) is refusal


def test_a_body_put_in_the_place_of_another_is_refused() -> None:
    whole = sealed()
    other = bytes(len(whole.body))
    assert refused(whole.header_bytes + whole.signature + other) is Refusal.BAD_BODY


def test_the_signature_of_another_agent_is_refused() -> None:
    whole = sealed()
    stranger = Ed25519PrivateKey.from_private_bytes(bytes(32))
    forged = batch.seal(whole.header, whole.body, stranger).to_bytes()
    assert refused(forged) is Refusal.BAD_SIGNATURE


@pytest.mark.parametrize("public", [b"", bytes(31), bytes(32), b"\xff" * 32, bytes(33)])
def test_a_public_key_that_is_none_verifies_nothing(public: bytes) -> None:
    with pytest.raises(WireError) as caught:
        batch.verify(sealed(), public)
    assert caught.value.refusal is Refusal.BAD_SIGNATURE


@pytest.mark.parametrize(
    "context", [b"", b"pantau-batch-v2\x00", b"pantau-receipt-v1\x00", b"pantau-message-v1\x00\x03"]
)
def test_a_signature_given_for_something_else_is_no_batch(context: bytes) -> None:
    whole = sealed()
    signature = KEY.sign(context + whole.header_bytes)
    assert refused(whole.header_bytes + signature + whole.body) is Refusal.BAD_SIGNATURE


def test_the_chain_goes_from_batch_to_batch_and_across_epochs() -> None:
    first = sealed(seq=0, previous=NO_DIGEST)
    second = sealed(seq=1, previous=first.digest)
    restarted = sealed(seq=0, epoch=b"\xea" * 16, previous=second.digest)
    chain = [batch.parse(one.to_bytes()) for one in (first, second, restarted)]
    assert chain[0].header.previous == NO_DIGEST
    assert [one.digest for one in chain[:-1]] == [one.header.previous for one in chain[1:]]
    assert len({one.digest for one in chain}) == 3


def test_the_chain_holds_when_bodies_and_signatures_are_pruned() -> None:
    whole = sealed()
    assert batch.link_digest(whole.header_bytes) == whole.digest


@pytest.mark.parametrize("changes", [{"body_len": 5}, {"body_digest": NO_DIGEST}])
def test_a_header_of_another_body_is_not_signed(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="does not describe"):
        sealed(**changes)


def test_sealing_again_gives_the_same_bytes() -> None:
    assert sealed().to_bytes() == sealed().to_bytes()
