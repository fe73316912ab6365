"""The agent's own life on the wire: every record, its limits, and its shortest form."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wire import codec
from wire.errors import Refusal, WireError
from wire.instant import MAX_NS, ClockClass
from wire.journal import (
    Anchor,
    ClockStep,
    Gap,
    GapReason,
    Heartbeat,
    JournalRecord,
    Settings,
    Start,
    Stop,
)

BOOT_NS = st.integers(0, MAX_NS)
WALL_NS = st.integers(-MAX_NS, MAX_NS)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=256)
NAMES = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=128)
DIGESTS = st.binary(min_size=32, max_size=32).map(bytes.hex)
DURATIONS = st.integers(0, 2**62)
COUNTS = st.integers(0, 2**53)
TIMES: dict[str, st.SearchStrategy[Any]] = {"boot_ns": BOOT_NS, "wall_ns": WALL_NS}
RECORDS: st.SearchStrategy[JournalRecord] = st.one_of(
    st.builds(
        Start,
        **TIMES,
        boot_id=TEXTS,
        agent_version=TEXTS,
        settings_digest=DIGESTS,
        system=TEXTS,
        previous_epoch=st.none() | TEXTS,
        previous_clean=st.none() | st.booleans(),
        previous_alive_boot_ns=st.none() | BOOT_NS,
        previous_boot_id=st.none() | TEXTS,
    ),
    st.builds(
        Heartbeat,
        **TIMES,
        clock=st.sampled_from(ClockClass),
        clock_error_ns=st.none() | DURATIONS,
        clock_source=TEXTS,
        anchor=st.none() | st.builds(Anchor, BOOT_NS, WALL_NS, DURATIONS),
        slot_late_ns=st.none() | DURATIONS,
        send_call_ns=st.none() | DURATIONS,
        spool_bytes=st.none() | COUNTS,
    ),
    st.builds(Stop, **TIMES, reason=TEXTS),
    st.builds(ClockStep, **TIMES, step_ns=st.integers(-(2**63), 2**63 - 1)),
    st.builds(Settings, **TIMES, settings_digest=DIGESTS),
    st.builds(
        Gap,
        **TIMES,
        reason=st.sampled_from(GapReason),
        link=st.none() | NAMES,
        target=st.none() | NAMES,
        epoch=st.none() | TEXTS,
        first_seq=st.none() | COUNTS,
        last_seq=st.none() | COUNTS,
        count=st.none() | COUNTS,
        detail=TEXTS,
    ),
)


@given(RECORDS)
def test_any_valid_record_survives_the_wire_on_one_line(record: JournalRecord) -> None:
    line = codec.encode_record(record)
    assert b"\n" not in line
    assert codec.decode_record(line) == record


def test_what_is_not_known_is_not_written() -> None:
    gap = Gap(boot_ns=1, wall_ns=2, reason=GapReason.SPOOL_LOST)
    assert (
        codec.encode_record(gap) == b'{"type":"gap","reason":"spool_lost","boot_ns":1,"wall_ns":2}'
    )
    assert gap.count is None


@pytest.mark.parametrize(
    ("row", "told"),
    [
        ({"type": "stop", "wall_ns": 0, "reason": ""}, "boot_ns"),
        ({"type": "stop", "boot_ns": 0, "reason": ""}, "wall_ns"),
        ({"type": "stop", "boot_ns": 0, "wall_ns": 0}, "reason"),
        ({"type": "stop", "boot_ns": 0, "wall_ns": 0, "reason": "r" * 257}, "$.reason"),
        ({"type": "settings", "boot_ns": 0, "wall_ns": 0, "settings_digest": "0" * 63}, "digest"),
        ({"type": "settings", "boot_ns": 0, "wall_ns": 0, "settings_digest": "A" * 64}, "digest"),
        (
            {"type": "settings", "boot_ns": 0, "wall_ns": 0, "settings_digest": "0" * 64 + "\n"},
            "digest",
        ),
        ({"type": "heartbeat", "boot_ns": 0, "wall_ns": 0, "clock": "E"}, "$.clock"),
        ({"type": "heartbeat", "boot_ns": 0, "wall_ns": 0, "clock": "A", "anchor": 5}, "$.anchor"),
        ({"type": "clock_step", "boot_ns": 0, "wall_ns": 0, "step_ns": 2**63}, "$.step_ns"),
        ({"type": "gap", "boot_ns": 0, "wall_ns": 0, "reason": "bored"}, "$.reason"),
        ({"type": "gap", "boot_ns": 0, "wall_ns": 0, "reason": "stalled", "count": -1}, "$.count"),
        ({"type": "birthday", "boot_ns": 0, "wall_ns": 0}, "$.type"),
        ({"boot_ns": 0, "wall_ns": 0, "reason": ""}, "type"),
    ],
)
def test_a_record_outside_the_schema_is_refused_with_its_place(
    row: dict[str, Any], told: str
) -> None:
    with pytest.raises(WireError) as caught:
        codec.decode_record(json.dumps(row).encode())
    assert caught.value.refusal is Refusal.BAD_BODY
    assert told in str(caught.value)
