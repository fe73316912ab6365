"""Join tokens and derived keys: what an operator pastes, and what two ends agree on."""

from collections.abc import Callable

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from wire import token
from wire.token import Token

GIVEN = Token(bytes(range(16)), bytes(range(100, 132)), bytes(range(200, 216)))
TEXT = str(GIVEN)


def test_the_golden_token_is_written_and_read_to_the_letter(
    golden: Callable[[str, bytes], bytes],
) -> None:
    text = golden("token.txt", TEXT.encode()).decode()
    assert token.parse(text) == GIVEN
    assert token.parse(f"  {text}\n") == GIVEN


def test_derived_digests_are_golden(golden: Callable[[str, bytes], bytes]) -> None:
    public = GIVEN.key().public_key().public_bytes_raw()
    lines = [public.hex(), token.token_digest(public).hex(), token.fingerprint(public).hex()]
    golden("token-digests.txt", "\n".join(lines).encode())


@given(
    st.builds(
        Token,
        st.binary(min_size=16, max_size=16),
        st.binary(min_size=32, max_size=32),
        st.binary(min_size=16, max_size=16),
    )
)
def test_any_token_survives_a_copy_and_paste(one: Token) -> None:
    assert token.parse(str(one)) == one
    assert str(one).isascii()
    assert len(str(one).split()) == 1


@given(st.text(max_size=200) | st.binary(max_size=90).map(lambda data: data.decode("latin-1")))
def test_any_text_is_refused_in_words_and_nothing_else(text: str) -> None:
    with pytest.raises(ValueError, match="expected pt1"):
        token.parse(text)
    with pytest.raises(ValueError, match="expected pt1"):
        token.parse("pt1." + text.replace("pt1", ""))


@given(st.text(st.characters(codec="utf-8"), max_size=60), st.integers(1, 3))
def test_any_text_in_the_place_of_a_part_is_refused_and_nothing_else(text: str, part: int) -> None:
    parts = TEXT.split(".")
    if text.rstrip() == parts[part]:
        return
    parts[part] = text
    with pytest.raises(ValueError, match="expected pt1"):
        token.parse(".".join(parts))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "is not a join token"),
        ("pt2" + TEXT[3:], "is not a join token"),
        (TEXT + ".more", "is not a join token"),
        (TEXT[:-1], "is damaged"),
        (TEXT[:-3], "is cut short"),
        (TEXT.replace(".", ".é", 1), "is damaged"),
        (TEXT.replace(".", ". ", 1), "is damaged"),
    ],
)
def test_a_token_that_was_not_copied_whole_is_told_so(text: str, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        token.parse(text)


@pytest.mark.parametrize("text", [TEXT[:-1], TEXT[:-3], TEXT + ".x", TEXT.replace("pt1", "pt9")])
def test_an_error_never_tells_the_secret(text: str) -> None:
    with pytest.raises(ValueError, match="expected pt1") as caught:
        token.parse(text)
    told = repr(caught.value) + repr(caught.value.__cause__)
    assert TEXT.split(".")[2] not in told


def test_the_secret_is_not_shown_where_a_token_is_printed_by_accident() -> None:
    assert GIVEN.secret.hex() not in repr(GIVEN)
    assert TEXT.split(".")[2] not in repr([GIVEN])
    assert GIVEN.token_id.hex() in repr(GIVEN)


def test_digests_are_of_different_worlds() -> None:
    key = bytes(32)
    assert token.token_digest(key)[:16] != token.fingerprint(key)


def test_both_ends_derive_one_stamp_key_and_another_for_each_agent() -> None:
    agent = X25519PrivateKey.from_private_bytes(bytes(range(32)))
    hub = X25519PrivateKey.from_private_bytes(bytes(range(32, 64)))
    one = token.stamp_key(agent, hub.public_key().public_bytes_raw(), b"a" * 16)
    assert one == token.stamp_key(hub, agent.public_key().public_bytes_raw(), b"a" * 16)
    assert one != token.stamp_key(hub, agent.public_key().public_bytes_raw(), b"b" * 16)
    assert one.hex() == "77a8f01f367579428858fa8c40356c01d25afd5352334c6435328411bdd11c2c"


@pytest.mark.parametrize("peer", [bytes(32), b"\x01" + bytes(31), b"", bytes(31)])
def test_a_peer_key_that_gives_no_secret_is_an_error(peer: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        token.stamp_key(X25519PrivateKey.generate(), peer, b"a" * 16)
