"""Two clocks in one moment, and the refusal to mix boots."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wire.instant import MAX_NS, BootMismatch, ClockClass, Instant

BOOT_NS = st.integers(0, MAX_NS)
WALL_NS = st.integers(-MAX_NS, MAX_NS)


@given(BOOT_NS, BOOT_NS, WALL_NS, WALL_NS)
def test_a_duration_is_of_the_boot_clock_whatever_the_wall_clock_did(
    earlier_ns: int, later_ns: int, wall_a: int, wall_b: int
) -> None:
    earlier, later = Instant("b1", earlier_ns, wall_a), Instant("b1", later_ns, wall_b)
    assert later.since(earlier) == later_ns - earlier_ns


def test_two_boots_share_no_clock() -> None:
    with pytest.raises(BootMismatch, match="boot b1 and boot b2 share no clock"):
        Instant("b2", 5, 0).since(Instant("b1", 3, 0))


@given(BOOT_NS, WALL_NS)
def test_an_instant_survives_the_wire(boot_ns: int, wall_ns: int) -> None:
    instant = Instant("b0" * 16, boot_ns, wall_ns)
    assert msgspec.json.decode(msgspec.json.encode(instant), type=Instant) == instant


@given(BOOT_NS, WALL_NS)
def test_sums_and_differences_of_times_fit_a_database_integer(boot_ns: int, wall_ns: int) -> None:
    assert -(2**63) <= wall_ns - boot_ns < 2**63
    assert -(2**63) <= wall_ns + boot_ns < 2**63


@pytest.mark.parametrize(
    "text",
    [
        '{"boot_id":"b","boot_ns":-1,"wall_ns":0}',
        f'{{"boot_id":"b","boot_ns":{MAX_NS + 1},"wall_ns":0}}',
        f'{{"boot_id":"b","boot_ns":0,"wall_ns":{-MAX_NS - 1}}}',
        '{"boot_id":"b","boot_ns":0.5,"wall_ns":0}',
        '{"boot_id":"b","boot_ns":null,"wall_ns":0}',
        '{"boot_id":"b","boot_ns":0}',
        '{"boot_id":"b","boot_ns":0,"wall_ns":0,"zone":"WIB"}',
    ],
)
def test_a_moment_that_no_clock_shows_is_refused(text: str) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(text, type=Instant)


def test_clock_classes_have_the_letters_of_methodology_7_3() -> None:
    assert [clock.value for clock in ClockClass] == ["A", "B", "C", "D"]
