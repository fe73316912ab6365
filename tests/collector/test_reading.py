"""What a batch has to say, and not to say, before the ledger sees it."""

from collections.abc import Sequence
from typing import Any

import pytest
import zstandard

from collector.reading import Scope, read
from tests.collector.kit import HUB_NOW, SECOND, Box, anchor, entry, gap, heartbeat, train
from wire.codec import Record, encode_body, encode_record
from wire.errors import Refusal, WireError
from wire.journal import ClockStep
from wire.policy import MAX_TARGETS

TEN = train([20] * 10)


def refused(records: Sequence[Record], /, **changes: Any) -> str:
    batch = Box().draft(records, **changes)
    with pytest.raises(WireError) as caught:
        entry(batch)
    assert caught.value.refusal is Refusal.BAD_BODY
    return str(caught.value)


def test_a_target_is_summed_over_its_trains_whatever_their_order() -> None:
    later = train([40, None], first_seq=10, boot_s=110)
    (one,) = entry(Box().draft([later, heartbeat(105), TEN])).targets
    assert (one.link, one.target, one.probe) == ("l1", "hub", "stamp")
    assert (one.first_boot_ns, one.last_boot_ns) == (100 * SECOND, 111 * SECOND)
    assert one.duration_ns == 12 * SECOND
    assert (one.summary.sent, one.summary.lost) == (12, 1)


def test_journal_records_are_kept_as_lines_and_heartbeats_only_in_the_raw_evidence() -> None:
    step = ClockStep(boot_ns=101 * SECOND, wall_ns=0, step_ns=-5)
    lost = gap(102, link="l1", target="hub", count=3)
    got = entry(Box().draft([TEN, step, heartbeat(103), lost]))
    assert [(event.kind, event.line) for event in got.events] == [
        ("clock_step", encode_record(step)),
        ("gap", encode_record(lost)),
    ]
    assert got.gaps == (lost,)


def test_the_newest_anchor_is_the_batchs() -> None:
    batch = Box().draft([heartbeat(100, anchor(99)), heartbeat(110, anchor(109)), heartbeat(120)])
    assert entry(batch).anchor == anchor(109)
    assert entry(Box().draft([heartbeat(100)])).anchor is None


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"records": 2}, "(1, 10, 0), header says (2, 10, 0)"),
        ({"observations": 9}, "header says (1, 9, 0)"),
        ({"missing": 1}, "header says (1, 10, 1)"),
        ({"first_boot_ns": 101 * SECOND}, "a record at boot 100000000000 is outside"),
        ({"last_boot_ns": 108 * SECOND}, "a record at boot 100000000000 is outside"),
        ({"sealed_boot_ns": 108 * SECOND}, "boot times are out of order"),
        ({"first_boot_ns": 120 * SECOND}, "boot times are out of order"),
    ],
)
def test_a_header_that_disagrees_with_its_body_is_refused(
    changes: dict[str, int], told: str
) -> None:
    assert told in refused([TEN], **changes)


@pytest.mark.parametrize("record", [train([20], link="l2"), gap(100, link="l2")])
def test_another_nodes_link_is_refused(record: Record) -> None:
    assert "link 'l2' belongs to another node" in refused([TEN, record])


def test_a_link_that_nobody_knows_stays_in_the_raw_evidence_and_is_not_counted() -> None:
    got = entry(Box().draft([TEN, train([20], link="gone")]))
    assert [one.link for one in got.targets] == ["l1"]
    assert got.batch.header.observations == 11


def test_a_link_listed_for_both_is_the_agents_own() -> None:
    assert Scope(["l1"], ["l1", "l2"]).check("l1") is True


def test_one_slot_cannot_be_told_twice() -> None:
    again = train([20] * 3, first_seq=9, boot_s=109)
    assert "target 'hub': slot 9 twice" in refused([TEN, again])
    other = train([20] * 3, first_seq=9, boot_s=109, target="gateway")
    assert len(entry(Box().draft([TEN, other])).targets) == 2


def test_a_batch_speaks_of_no_more_targets_than_a_policy_can_order() -> None:
    many = [train([20], target=f"t{k}") for k in range(MAX_TARGETS)]
    assert len(entry(Box().draft(many)).targets) == MAX_TARGETS
    assert f"at most {MAX_TARGETS}" in refused([*many, TEN])


@pytest.mark.parametrize(
    ("body", "raw_len"),
    [
        (zstandard.compress(b"\x00" * (2 << 20)), 100),
        (zstandard.compress(b"[" * 100_000), 100_000),
        (encode_body([TEN])[0][:-5], encode_body([TEN])[1]),
        (b"", 10),
        (zstandard.compress(b"{}"), 2),
    ],
    ids=["bomb", "deep", "cut", "empty", "untyped"],
)
def test_a_hostile_body_is_a_bad_body(body: bytes, raw_len: int) -> None:
    batch = Box().draft_body([TEN], body, raw_len)
    with pytest.raises(WireError) as caught:
        read(batch, HUB_NOW, Scope(["l1"], []))
    assert caught.value.refusal is Refusal.BAD_BODY
