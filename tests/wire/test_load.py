"""What the ends of a throughput test say: frames, knocks, datagrams, and what is none of them."""

import secrets

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wire import load
from wire.load import (
    AGENT,
    DATAGRAM,
    HUB,
    MAX_FRAME_BYTES,
    MAX_KNOCK_BYTES,
    Done,
    Kind,
    Knock,
    LoadError,
    Plan,
    Refused,
    Seal,
    Step,
    assertion,
    staircase,
)
from wire.transfer import HubLoad, Purpose

KEY = bytes(range(32))
WORD = Refused(reason="no")


def opened(frame: bytes, seal: Seal) -> load.Spoken:
    found = load.cut(frame)
    assert found is not None
    digest, body, end = found
    assert end == len(frame)
    return seal.open(digest, body)


def test_frames_are_read_in_their_order_by_who_holds_the_key() -> None:
    mine, theirs = Seal(KEY, HUB), Seal(KEY, HUB)
    for word in (WORD, Done(hub=HubLoad(slots=3)), WORD):
        assert opened(mine.close(word), theirs) == word


@pytest.mark.parametrize(
    "reader",
    [Seal(secrets.token_bytes(32), HUB), Seal(KEY, AGENT)],
    ids=["another key", "another speaker"],
)
def test_a_frame_of_somebody_else_is_refused(reader: Seal) -> None:
    with pytest.raises(LoadError, match="holder of the key"):
        opened(Seal(KEY, HUB).close(WORD), reader)


def test_a_frame_said_twice_is_refused() -> None:
    reader = Seal(KEY, HUB)
    frame = Seal(KEY, HUB).close(WORD)
    opened(frame, reader)
    with pytest.raises(LoadError):
        opened(frame, reader)


@given(st.integers(0, 2**31), st.integers(1, 255))
def test_a_changed_octet_is_noticed(place: int, change: int) -> None:
    frame = bytearray(Seal(KEY, HUB).close(WORD))
    place = 4 + place % (len(frame) - 4)
    frame[place] ^= change
    with pytest.raises(LoadError):
        opened(bytes(frame), Seal(KEY, HUB))


@given(st.binary(max_size=200))
def test_any_octets_are_a_frame_or_wait_or_are_refused(data: bytes) -> None:
    try:
        found = load.cut(data, MAX_KNOCK_BYTES)
        if found is not None:
            load.parse(found[1])
    except LoadError:
        return


def test_a_frame_says_at_once_that_it_is_too_long() -> None:
    assert load.cut(b"\0\0\0") is None
    assert load.cut((5).to_bytes(4, "big") + bytes(36)) is None
    with pytest.raises(LoadError, match="at most"):
        load.cut((MAX_KNOCK_BYTES + 1).to_bytes(4, "big"), MAX_KNOCK_BYTES)
    with pytest.raises(LoadError, match="at most"):
        load.cut((MAX_FRAME_BYTES + 1).to_bytes(4, "big"))


def test_the_longest_knock_is_within_what_a_stranger_may_say() -> None:
    knock = Knock(version=load.VERSION, slot_id="ab" * 16, nonce="cd" * 16, flow=15)
    found = load.cut(load.knock_frame(knock, KEY), MAX_KNOCK_BYTES)
    assert found is not None
    digest, body, _ = found
    load.check_knock(digest, body, KEY)
    with pytest.raises(LoadError):
        load.check_knock(digest, body, bytes(32))
    assert load.parse(body) == knock


def test_session_keys_hang_on_both_nonces_and_flows_have_another() -> None:
    one = load.session_key(KEY, "ab" * 16, "cd" * 16)
    assert one != load.session_key(KEY, "cd" * 16, "ab" * 16)
    assert one != load.session_key(KEY, "ab" * 16, "ce" * 16)
    assert one != load.flow_key(one)


@given(st.integers(DATAGRAM.size + 32, 1472), st.integers(0, 1471), st.integers(1, 255))
def test_a_knock_is_proven_with_its_header_and_length(length: int, place: int, change: int) -> None:
    packet = load.prove(load.datagram(b"tagtagta", Kind.KNOCK, 2, 3, length), KEY)
    assert load.proven(packet, KEY)
    assert not load.proven(packet, bytes(32))
    assert not load.proven(packet + b"\0", KEY)
    place %= DATAGRAM.size + 32
    packet[place] ^= change
    assert not load.proven(packet, KEY)
    assert not load.proven(packet[: DATAGRAM.size], KEY)


def test_plans_of_the_three_kinds() -> None:
    asked = assertion(100_000_000, 30_000_000)
    assert [one.bits_per_s for one in asked.steps] == [66_500_000]
    assert (asked.seconds, asked.cir_bits_per_s) == (10.0, 100_000_000)
    assert assertion(1_000_000, 2_000_000).most_bits_per_s == load.SLOWEST
    stairs = staircase(100_000_000, seconds=5)
    assert [one.bits_per_s // 1_000_000 for one in stairs.steps] == [50, 75, 90, 100]
    assert (stairs.seconds, stairs.purpose) == (20.0, Purpose.ACCEPTANCE)
    with pytest.raises(ValueError, match="a search has one step"):
        Plan(steps=(Step(bits_per_s=1, seconds=1),) * 2, search=True)
