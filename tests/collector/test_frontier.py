from collections.abc import Iterator
from pathlib import Path

import pytest

from collector.ledger.frontier import GIVE_UP_S, frontier_s
from collector.ledger.sqlite import SqliteLedger
from tests.collector.kit import WALL_AT_BOOT, Box, anchor, entry, gap, heartbeat, train
from wire.batch import Batch
from wire.codec import Record
from wire.journal import GapReason

T0 = WALL_AT_BOOT // 1_000_000_000


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[SqliteLedger]:
    ledger = SqliteLedger(tmp_path / "ledger.db")
    yield ledger
    ledger.close()


def take(ledger: SqliteLedger, box: Box, *batches: Batch) -> None:
    if ledger.token(box.token.token_id) is None:
        ledger.add_token(box.token)
        ledger.enrol(box.token.token_id, box.agent)
    ledger.store([entry(batch) for batch in batches])


def minute(k: int, *more: Record) -> list[Record]:
    """Ten seconds, the last of them at boot + 109 + 10 k."""
    at = 100 + 10 * k
    return [train([20] * 10, first_seq=10 * k, boot_s=at), heartbeat(at, anchor(at)), *more]


def reach(ledger: SqliteLedger, box: Box, now_s: int = T0 + 1_000) -> int | None:
    found = frontier_s(ledger, box.agent_id, now_s)
    return None if found is None else found - T0


def test_nothing_is_whole_of_an_agent_that_sent_nothing(ledger: SqliteLedger) -> None:
    assert reach(ledger, Box()) is None


def test_it_is_the_newest_record_where_nothing_is_missing(ledger: SqliteLedger) -> None:
    box = Box()
    take(ledger, box, *(box.batch(minute(k)) for k in range(3)))
    assert reach(ledger, box) == 129


def test_it_waits_before_the_first_hole_until_that_is_filled(ledger: SqliteLedger) -> None:
    box = Box()
    batches = [box.batch(minute(k)) for k in range(4)]
    take(ledger, box, batches[0], batches[3])
    assert reach(ledger, box) == 109
    take(ledger, box, batches[2], batches[1])
    assert reach(ledger, box) == 139


def test_a_first_batch_that_is_not_here_is_a_hole(ledger: SqliteLedger) -> None:
    box = Box()
    _, second = box.batch(minute(0)), box.batch(minute(1))
    take(ledger, box, second)
    assert reach(ledger, box) == 118


def test_the_end_of_the_life_before_is_waited_for(ledger: SqliteLedger) -> None:
    box = Box()
    first, last = box.batch(minute(0)), box.batch(minute(1))
    box.begin()
    again = box.batch(minute(5))
    take(ledger, box, first, again)
    assert reach(ledger, box) == 158
    take(ledger, box, last)
    assert reach(ledger, box) == 159


def test_what_the_agent_lists_as_lost_is_no_hole(ledger: SqliteLedger) -> None:
    box = Box()
    first, _ = box.batch(minute(0)), box.batch(minute(1))
    listed = gap(
        125, reason=GapReason.CORRUPT, epoch=box.epoch.hex(), first_seq=1, last_seq=1, count=10
    )
    take(ledger, box, first, box.batch(minute(2, listed)))
    assert reach(ledger, box) == 129


def test_a_lost_spool_ends_the_waiting_for_what_was_in_it(ledger: SqliteLedger) -> None:
    box = Box()
    first, _, third = (box.batch(minute(k)) for k in range(3))
    take(ledger, box, first, third)
    assert reach(ledger, box) == 109
    box.begin()
    take(ledger, box, box.batch(minute(5, gap(155, reason=GapReason.SPOOL_LOST))))
    assert reach(ledger, box) == 159


def test_what_did_not_come_for_a_week_will_not_come(ledger: SqliteLedger) -> None:
    box = Box()
    first, _, third = (box.batch(minute(k)) for k in range(3))
    take(ledger, box, first, third)
    assert reach(ledger, box, T0 + 109 + GIVE_UP_S) == 109
    assert reach(ledger, box, T0 + 110 + GIVE_UP_S) == 129
