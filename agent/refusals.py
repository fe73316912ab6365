"""What the hub's answer means, decided once, in a table.

Only an answer in the collector's own form counts as the collector's word: a captive portal may
say 200 or 403 to anything. The same goes for good news, which needs a signed receipt.
"""

from enum import Enum

import msgspec

from agent.hub import Answer
from wire.errors import Refusal


class Move(Enum):
    """What to do with a batch after an answer."""

    CHECK_RECEIPT = "check receipt"
    """200: it is delivered if the receipt is right"""
    RETRY = "retry"
    """later, the same bytes"""
    WAIT_LONG = "wait long"
    """an operator has to do something; keep everything"""
    SET_ASIDE = "set aside"
    """this batch will not be taken as it is; the next may be"""


class _Body(msgspec.Struct):
    error: Refusal
    detail: str = ""


_MOVES = {
    Refusal.MALFORMED: Move.SET_ASIDE,
    Refusal.UNKNOWN_VERSION: Move.WAIT_LONG,
    Refusal.TOO_LARGE: Move.SET_ASIDE,
    Refusal.BAD_BODY: Move.SET_ASIDE,
    Refusal.UNKNOWN_AGENT: Move.WAIT_LONG,
    Refusal.REVOKED: Move.WAIT_LONG,
    Refusal.BAD_SIGNATURE: Move.SET_ASIDE,
    Refusal.WRONG_CHAIN: Move.SET_ASIDE,
    Refusal.OVERLOADED: Move.RETRY,
}


def refusal(answer: Answer) -> Refusal | None:
    """The collector's word on why not; None where the answer is not in its form."""
    try:
        return msgspec.json.decode(answer.body, type=_Body).error
    except (msgspec.DecodeError, ValueError):
        return None


def move(answer: Answer) -> Move:
    """What to do with the batch that was answered like this."""
    if answer.status == 200:
        return Move.CHECK_RECEIPT
    word = refusal(answer)
    return Move.RETRY if word is None else _MOVES.get(word, Move.RETRY)


def explain(answer: Answer) -> str:
    """The answer in words."""
    try:
        body = msgspec.json.decode(answer.body, type=_Body)
    except (msgspec.DecodeError, ValueError):
        return f"HTTP status {answer.status}, and not in a collector's words: is the URL right?"
    return f"{body.error.replace('_', ' ')}: {body.detail}"
