"""Trains: columns that agree, outcomes that cannot lie, and what becomes of the rest."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wire import codec
from wire.errors import Refusal, WireError
from wire.instant import MAX_NS
from wire.observation import MAX_OBSERVATIONS, Observation, Outcome, StampSource, Train

NAMES = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=128)
SEQS = st.integers(0, 2**53)


@st.composite
def trains(draw: st.DrawFn) -> Train:
    rows = draw(st.integers(1, 40))
    outcomes = draw(st.lists(st.sampled_from(Outcome), min_size=rows, max_size=rows))
    answered = {Outcome.OK, Outcome.REFUSED}
    rtts = [
        draw(st.integers(0, 3_600_000_000_000)) if outcome in answered else None
        for outcome in outcomes
    ]

    def column(values: st.SearchStrategy[int]) -> st.SearchStrategy[list[int | None] | None]:
        return st.none() | st.lists(st.none() | values, min_size=rows, max_size=rows)

    return Train(
        link=draw(NAMES),
        target=draw(NAMES),
        probe=draw(st.sampled_from(["stamp", "icmp"])),
        address=draw(st.sampled_from(["192.0.2.1", "2001:db8::1", ""])),
        first_seq=draw(SEQS),
        boot_ns=draw(st.integers(0, 2**61)),
        interval_ns=draw(st.integers(1_000_000, 86_400_000_000_000)),
        timeout_ns=draw(st.integers(1_000_000, 600_000_000_000)),
        send_us=sorted(draw(st.lists(st.integers(0, 2**50), min_size=rows, max_size=rows))),
        rtt_ns=rtts,
        outcome=outcomes,
        stamp=draw(st.lists(st.sampled_from(StampSource), min_size=rows, max_size=rows)),
        size=draw(st.integers(0, 65_535)),
        reflector_seq=draw(column(SEQS)),
        ttl=draw(column(st.integers(0, 255))),
        prior=draw(st.none() | st.tuples(SEQS, SEQS)),
    )


def plain(**changes: Any) -> dict[str, Any]:
    row: dict[str, Any] = {
        "type": "train",
        "link": "desa-001/icon",
        "target": "hub",
        "probe": "stamp",
        "address": "192.0.2.1",
        "first_seq": 7,
        "boot_ns": 10**9,
        "interval_ns": 10**9,
        "timeout_ns": 2 * 10**9,
        "send_us": [0, 1_000_017, 2_000_003],
        "rtt_ns": [24_000_000, None, 23_000_000],
        "outcome": [0, 1, 0],
        "stamp": [3, 0, 3],
    }
    return row | changes


def decode(row: dict[str, Any]) -> Train:
    train = codec.decode_record(json.dumps(row).encode())
    assert isinstance(train, Train)
    return train


@given(trains())
def test_any_valid_train_survives_the_wire(train: Train) -> None:
    assert codec.decode_record(codec.encode_record(train)) == train


def test_rows_are_read_in_send_order_with_their_numbers_and_times() -> None:
    train = decode(plain(reflector_seq=[5, None, 6], ttl=[62, None, 61], forward_us=[9, None, -4]))
    assert list(train.observations()) == [
        Observation(7, 1_000_000_000, 24_000_000, Outcome.OK, StampSource.KERNEL, 5, 62, 9),
        Observation(8, 2_000_017_000, None, Outcome.TIMEOUT, StampSource.NONE, None, None, None),
        Observation(9, 3_000_003_000, 23_000_000, Outcome.OK, StampSource.KERNEL, 6, 61, -4),
    ]
    assert (len(train), train.end_boot_ns) == (3, 3_000_003_000)


def test_columns_that_were_not_measured_are_none_in_every_row() -> None:
    rows = list(decode(plain()).observations())
    assert [(row.reflector_seq, row.ttl) for row in rows] == [(None, None)] * 3


@pytest.mark.parametrize(
    ("outcome", "local", "lost"),
    [
        (Outcome.OK, False, False),
        (Outcome.TIMEOUT, False, True),
        (Outcome.UNREACHABLE, False, True),
        (Outcome.REFUSED, False, False),
        (Outcome.TTL_EXPIRED, False, True),
        (Outcome.BAD_REPLY, False, True),
        (Outcome.NOT_SENT, True, False),
        (Outcome.LOCAL_ERROR, True, False),
        (Outcome.DNS_ERROR, True, False),
        (Outcome.ABORTED, True, False),
        (Outcome.HELD, True, False),
    ],
)
def test_local_faults_are_never_loss_on_the_path(outcome: Outcome, local: bool, lost: bool) -> None:
    assert (outcome.local, outcome.lost) == (local, lost)


def test_the_table_of_outcomes_is_whole() -> None:
    assert len(Outcome) == 11


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"rtt_ns": [1, None]}, "rtt_ns has 2 rows where send_us has 3"),
        ({"outcome": [0, 1, 0, 0]}, "outcome has 4 rows"),
        ({"stamp": []}, "stamp has 0 rows"),
        ({"ttl": [1]}, "ttl has 1 rows"),
        ({"reflector_seq": [1, 2]}, "reflector_seq has 2 rows"),
        ({"send_us": []}, "length >= 1"),
        ({"send_us": [0, 5, 4]}, "send_us goes backwards"),
        ({"send_us": [0, 1, 2**53], "boot_ns": MAX_NS}, "past the end of the boot clock"),
        ({"rtt_ns": [None, None, 1]}, "outcome OK with rtt_ns None"),
        ({"rtt_ns": [1, 1, 1]}, "outcome TIMEOUT with rtt_ns 1"),
        ({"outcome": [0, 6, 0]}, "Invalid enum value 6"),
        ({"outcome": [0, 1.0, 0]}, "outcome[1]"),
        ({"outcome": [0, True, 0]}, "outcome[1]"),
        ({"stamp": [0, 4, 0]}, "Invalid enum value 4"),
        ({"ttl": [1, 256, 1]}, "ttl[...]"),
        ({"rtt_ns": [-1, None, 1]}, "rtt_ns"),
        ({"rtt_ns": [3_600_000_000_001, None, 1]}, "rtt_ns"),
        ({"rtt_ns": ["1", None, 1]}, "Expected `int"),
        ({"link": ""}, "$.link"),
        ({"link": "a\nb"}, "$.link"),
        ({"link": "a\n"}, "$.link"),
        ({"link": "a" * 129}, "$.link"),
        ({"target": None}, "$.target"),
        ({"address": "a" * 65}, "$.address"),
        ({"interval_ns": 999_999}, "$.interval_ns"),
        ({"timeout_ns": 600_000_000_001}, "$.timeout_ns"),
        ({"first_seq": 2**53 + 1}, "$.first_seq"),
        ({"boot_ns": 2**63}, "$.boot_ns"),
        ({"prior": [1]}, "$.prior"),
        ({"prior": [1, 2, 3]}, "$.prior"),
        ({"size": 65_536}, "$.size"),
        ({"weather": "rain"}, "weather"),
    ],
)
def test_a_train_that_contradicts_itself_is_refused_with_its_place(
    changes: dict[str, Any], told: str
) -> None:
    with pytest.raises(WireError) as caught:
        decode(plain(**changes))
    assert caught.value.refusal is Refusal.BAD_BODY
    assert told.replace("[...]", "[") in str(caught.value)


def test_a_train_may_be_as_long_as_the_limit_and_no_longer() -> None:
    def rows(count: int) -> dict[str, Any]:
        return plain(
            send_us=list(range(count)),
            rtt_ns=[1] * count,
            outcome=[0] * count,
            stamp=[1] * count,
        )

    assert len(decode(rows(MAX_OBSERVATIONS))) == MAX_OBSERVATIONS
    with pytest.raises(WireError, match="length <= 4096"):
        decode(rows(MAX_OBSERVATIONS + 1))


def test_a_train_does_not_change() -> None:
    with pytest.raises(AttributeError):
        decode(plain()).link = "another"  # type: ignore[misc]
