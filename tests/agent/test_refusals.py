"""What an answer of the hub, or of somebody on the way, means for a batch."""

import json

import pytest

from agent.hub import Answer
from agent.refusals import Move, explain, move
from collector.web.agents import STATUS
from wire.errors import Refusal

EXPECTED = {
    Refusal.MALFORMED: Move.SET_ASIDE,
    Refusal.UNKNOWN_VERSION: Move.WAIT_LONG,
    Refusal.TOO_LARGE: Move.SET_ASIDE,
    Refusal.BAD_BODY: Move.SET_ASIDE,
    Refusal.UNKNOWN_AGENT: Move.WAIT_LONG,
    Refusal.REVOKED: Move.WAIT_LONG,
    Refusal.BAD_SIGNATURE: Move.SET_ASIDE,
    Refusal.WRONG_CHAIN: Move.SET_ASIDE,
    Refusal.BAD_TOKEN: Move.RETRY,
    Refusal.EXPIRED_TOKEN: Move.RETRY,
    Refusal.USED_TOKEN: Move.RETRY,
    Refusal.OVERLOADED: Move.RETRY,
}


@pytest.mark.parametrize("refusal", list(Refusal))
def test_every_word_of_the_collector_has_its_move(refusal: Refusal) -> None:
    body = json.dumps({"error": refusal, "detail": "why"}).encode()
    assert move(Answer(int(STATUS[refusal]), body, None)) is EXPECTED[refusal]
    assert "why" in explain(Answer(int(STATUS[refusal]), body, None))


@pytest.mark.parametrize("status", [301, 302, 400, 401, 403, 404, 407, 409, 413, 422, 500, 502])
@pytest.mark.parametrize(
    "body", [b"", b"<html>Log in</html>", b'{"error":"go away"}', b"[]", b"\xff\x00", b"{"]
)
def test_an_answer_that_is_not_the_collectors_own_deletes_and_sets_aside_nothing(
    status: int, body: bytes
) -> None:
    assert move(Answer(status, body, None)) is Move.RETRY
    assert str(status) in explain(Answer(status, body, None))


def test_even_200_is_only_a_reason_to_look_for_a_receipt() -> None:
    assert move(Answer(200, b"<html>Welcome</html>", None)) is Move.CHECK_RECEIPT
