"""Seconds that our own load makes useless for limits of delay and loss."""

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.audit.evidence import Span
from collector.audit.loaded import LONGEST_NS, SECOND, Load, loaded_spans
from wire.slot import Direction, Method
from wire.transfer import Purpose, Transfer, TransferOutcome

OFFSET_NS = 1_790_000_000 * SECOND
ERROR_NS = 10_000_000


def transfer(at_s: float, duration_s: float | None, **changes: Any) -> Transfer:
    fields: dict[str, Any] = {
        "link": "l1",
        "boot_ns": round(at_s * SECOND),
        "direction": Direction.UP,
        "method": Method.UDP,
        "purpose": Purpose.PLANNED,
        "outcome": TransferOutcome.FAILED,
        "duration_ns": None if duration_s is None else round(duration_s * SECOND),
    }
    return Transfer(**fields | changes)


def placed(one: Transfer) -> Load:
    return Load(one, one.boot_ns + OFFSET_NS, ERROR_NS)


def spans(*transfers: Transfer) -> list[tuple[int, int]]:
    found = loaded_spans(map(placed, transfers))
    return [(one.start_s - 1_790_000_000, one.end_s - 1_790_000_000) for one in found]


def test_whole_seconds_around_the_load_and_until_the_queues_are_empty() -> None:
    assert spans(transfer(100.5, 10)) == [(100, 113)]
    # By the bound on where it stands, the second before and the one after may be touched.
    assert spans(transfer(100.0, 10)) == [(99, 113)]


def test_both_directions_of_a_test_are_one_span() -> None:
    assert spans(transfer(112.0, 10), transfer(100.5, 10), transfer(300.5, 1)) == [
        (100, 125),
        (300, 304),
    ]


@pytest.mark.parametrize("outcome", ["skipped_busy", "no_slot", "refused", "unreachable"])
def test_what_put_nothing_on_the_link_masks_nothing(outcome: str) -> None:
    assert spans(transfer(100, 10, outcome=TransferOutcome(outcome))) == []


def test_a_test_that_never_loaded_masks_nothing_and_a_boast_no_more_than_a_grant() -> None:
    assert spans(transfer(100, None)) == []
    ((start_s, end_s),) = spans(transfer(100.5, 10**6))
    assert end_s - start_s == LONGEST_NS // SECOND + 3


@given(st.lists(st.tuples(st.floats(0, 1000), st.floats(0, 60)), max_size=20))
def test_every_loaded_moment_is_in_exactly_one_span(loads: list[tuple[float, float]]) -> None:
    transfers = [transfer(at_s, duration_s) for at_s, duration_s in loads]
    found = loaded_spans(map(placed, transfers))
    assert all(one.end_s < later.start_s for one, later in pairwise(found))
    for one in transfers:
        first = (one.boot_ns + OFFSET_NS) // SECOND
        last = (one.boot_ns + (one.duration_ns or 0) + OFFSET_NS) // SECOND
        holds = [
            span for span in found if Span(first, last + 1).overlap_s(span) == last + 1 - first
        ]
        assert len(holds) == 1
