"""Who may speak, and how often."""

from pathlib import Path

import pytest

from collector.ledger.sqlite import SqliteLedger
from collector.roster import Roster, TokenBucket
from collector.settings import LimitSettings
from tests.collector.kit import SECOND, Box
from wire.errors import Refusal, WireError

LIMITS = LimitSettings(requests_per_minute=60, burst=3)


def enrolled(ledger: SqliteLedger, *boxes: Box) -> None:
    for box in boxes:
        ledger.add_token(box.token)
        ledger.enrol(box.token.token_id, box.agent)


@pytest.fixture
def ledger(tmp_path: Path) -> SqliteLedger:
    return SqliteLedger(tmp_path / "ledger.db")


def refusal(roster: Roster, box: Box) -> Refusal:
    with pytest.raises(WireError) as caught:
        roster.admit(box.agent_id)
    return caught.value.refusal


def test_a_bucket_allows_a_burst_and_then_its_rate() -> None:
    bucket = TokenBucket(1.0, 3, now_ns=0)
    assert [bucket.take(0) for _ in range(4)] == [True, True, True, False]
    assert [bucket.take(k * SECOND // 2) for k in (1, 2, 3)] == [False, True, False]
    assert [bucket.take(3600 * SECOND) for _ in range(4)] == [True, True, True, False]


def test_an_agent_is_admitted_from_its_enrolment_to_its_revocation(ledger: SqliteLedger) -> None:
    box = Box()
    roster = Roster(ledger, LIMITS)
    assert refusal(roster, box) is Refusal.UNKNOWN_AGENT
    enrolled(ledger, box)
    roster.refresh()
    assert roster.admit(box.agent_id) == box.agent
    ledger.revoke(box.agent_id, 7)
    roster.refresh()
    assert refusal(roster, box) is Refusal.REVOKED
    known = roster.get(box.agent_id)
    assert known is not None and known.revoked_wall_ns == 7
    assert roster.active() == []


def test_each_agent_spends_its_own_allowance(ledger: SqliteLedger) -> None:
    one, other = Box(1), Box(2)
    enrolled(ledger, one, other)
    roster = Roster(ledger, LIMITS)
    for _ in range(3):
        roster.spend(one.agent, 0)
    with pytest.raises(WireError, match="asks too often") as caught:
        roster.spend(one.agent, 0)
    assert caught.value.refusal is Refusal.OVERLOADED
    roster.spend(other.agent, 0)
    roster.spend(one.agent, SECOND)
