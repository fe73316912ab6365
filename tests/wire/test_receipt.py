"""Receipts: the only words that make an agent forget."""

from collections.abc import Callable

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from wire import receipt
from wire.errors import Refusal, WireError
from wire.receipt import RECEIPT_BYTES, Receipt

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(1, 33)))
PUBLIC = KEY.public_key().public_bytes_raw()
GIVEN = Receipt(
    ledger_id=b"\x1e" * 16,
    agent_id=b"\xa1" * 16,
    epoch=b"\xe9" * 16,
    seq=7,
    batch_digest=b"\xd1" * 32,
    received_wall_ns=1_790_000_061_000_000_000,
)
IDS = st.binary(min_size=16, max_size=16)


def refused(data: bytes, public: bytes = PUBLIC) -> Refusal:
    with pytest.raises(WireError) as caught:
        receipt.parse(data, public)
    return caught.value.refusal


def test_the_golden_receipt_is_signed_and_read_to_the_byte(
    golden: Callable[[str, bytes], bytes],
) -> None:
    data = golden("receipt.bin", GIVEN.sign(KEY))
    assert len(data) == RECEIPT_BYTES == 164
    assert receipt.parse(data, PUBLIC) == GIVEN


@given(
    st.builds(
        Receipt,
        ledger_id=IDS,
        agent_id=IDS,
        epoch=IDS,
        seq=st.integers(0, 2**64 - 1),
        batch_digest=st.binary(min_size=32, max_size=32),
        received_wall_ns=st.integers(-(2**63), 2**63 - 1),
    )
)
def test_any_receipt_survives_the_wire(one: Receipt) -> None:
    assert receipt.parse(one.sign(KEY), PUBLIC) == one


def test_every_flipped_bit_is_noticed() -> None:
    data = GIVEN.sign(KEY)
    for at in range(len(data)):
        for bit in range(8):
            changed = bytearray(data)
            changed[at] ^= 1 << bit
            expected = Refusal.MALFORMED if at < 4 else Refusal.BAD_SIGNATURE
            assert refused(bytes(changed)) is expected


def test_a_receipt_of_any_other_length_is_malformed() -> None:
    data = GIVEN.sign(KEY)
    for length in (*range(len(data)), len(data) + 1):
        assert refused((data + b"\x00")[:length]) is Refusal.MALFORMED


@given(st.binary(max_size=400))
def test_any_octets_are_refused_and_nothing_else(data: bytes) -> None:
    refused(data)
    refused((b"PTR1" + data + bytes(RECEIPT_BYTES))[:RECEIPT_BYTES])


@pytest.mark.parametrize(
    "page", [b"OK", b"<html>200 OK, please log in</html>", b'{"status":"ok"}', b""]
)
def test_a_captive_portal_gives_no_receipt(page: bytes) -> None:
    assert refused(page) is Refusal.MALFORMED


@pytest.mark.parametrize("public", [b"", bytes(32), bytes(range(32)), b"\xff" * 32])
def test_the_receipt_of_another_collector_is_refused(public: bytes) -> None:
    assert refused(GIVEN.sign(KEY), public) is Refusal.BAD_SIGNATURE


@pytest.mark.parametrize("context", [b"", b"pantau-batch-v1\x00", b"pantau-message-v1\x00\x04"])
def test_a_signature_given_for_something_else_is_no_receipt(context: bytes) -> None:
    packed = GIVEN.sign(KEY)[:-64]
    assert refused(packed + KEY.sign(context + packed)) is Refusal.BAD_SIGNATURE


def test_the_same_receipt_has_the_same_bytes_and_digest() -> None:
    assert GIVEN.sign(KEY) == GIVEN.sign(KEY)
    assert receipt.digest(GIVEN.sign(KEY)) != receipt.digest(GIVEN._replace(seq=8).sign(KEY))
