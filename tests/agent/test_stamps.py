"""Which clock is believed: one table, in microseconds after a moment when all clocks agreed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.stamps import TOLERANCE_NS, Arrival, Sent, round_trip, without_residence
from wire.observation import StampSource

WALL = 1_790_000_000_000_000_000
BOOT = 5_000_000_000_000
KERNEL, RX, USER = StampSource.KERNEL, StampSource.KERNEL_RX, StampSource.USER


def judge(
    left: int | None, received: int | None, *, step: int = 0, away: int = 20_000
) -> tuple[int, StampSource]:
    """A packet sent at 0 whose reply is read `away` us later; the wall clock steps meanwhile."""
    sent = Sent()
    sent.boot_ns, sent.wall_ns = BOOT, WALL
    sent.kernel_ns = None if left is None else WALL + left * 1000
    kernel_ns = None if received is None else WALL + received * 1000
    arrival = Arrival(b"", "", BOOT + away * 1000, WALL + (away + step) * 1000, kernel_ns, None)
    rtt_ns, source = round_trip(sent, arrival)
    return rtt_ns // 1000, source


@pytest.mark.parametrize(
    ("case", "left", "received", "step", "expected"),
    [
        ("both stamps", 30, 19_900, 0, (19_870, KERNEL)),
        ("no transmit stamp", None, 19_900, 0, (19_900, RX)),
        ("no receive stamp", 30, None, 0, (20_000, USER)),
        ("no stamp at all", None, None, 0, (20_000, USER)),
        ("a step forward of an hour before the reply", 30, 3_600_019_900, 3_600_000_000, None),
        ("a step back of an hour before the reply", 30, -3_599_980_100, -3_600_000_000, None),
        ("a step forward smaller than the RTT", 30, 24_900, 5_000, None),
        ("a step back smaller than the RTT", 30, 14_900, -5_000, None),
        ("a step after the reply was stamped", 30, 19_900, 5_000, None),
        ("slewing at 500 ppm", 30, 19_910, 10, (19_880, KERNEL)),
        ("a transmit stamp after the reply", 19_950, 19_900, 0, (19_900, RX)),
        ("a transmit stamp equal to the reply's", 19_900, 19_900, 0, (19_900, RX)),
        ("a transmit stamp of an earlier packet", -1_000_000, 19_900, 0, (19_900, RX)),
        ("a receive stamp after it was read", 30, 21_000, 0, (20_000, USER)),
        ("a receive stamp before it was sent", None, -5_000, 0, (20_000, USER)),
        ("both stamps before it was sent", -9_000, -5_000, 0, (20_000, USER)),
    ],
)
def test_the_best_clock_that_can_be_believed_is_used(
    case: str, left: int | None, received: int | None, step: int, expected: object
) -> None:
    assert judge(left, received, step=step) == (expected or (20_000, USER)), case


def test_a_zero_stamp_is_no_stamp() -> None:
    sent = Sent()
    sent.boot_ns, sent.wall_ns, sent.kernel_ns = BOOT, WALL, 0
    assert round_trip(sent, Arrival(b"", "", BOOT + 7, WALL + 7, 0, None)) == (7, USER)
    assert round_trip(sent, Arrival(b"", "", BOOT + 7, WALL + 7, WALL + 5, None)) == (5, RX)


@given(
    left=st.none() | st.integers(-(10**10), 10**10),
    received=st.none() | st.integers(-(10**10), 10**10),
    step=st.integers(-(10**10), 10**10),
    away=st.integers(0, 10**7),
)
def test_no_clock_can_make_an_rtt_negative_or_longer_than_the_packet_was_away(
    left: int | None, received: int | None, step: int, away: int
) -> None:
    rtt_us, _ = judge(left, received, step=step, away=away)
    assert 0 <= rtt_us <= away + 2 * TOLERANCE_NS // 1000 + away // 2000 + 1


@pytest.mark.parametrize(
    ("rtt", "residence", "expected"),
    [(1000, 200, 800), (1000, 0, 1000), (1000, -5, 1000), (1000, 1000, 1000), (1000, 5000, 1000)],
)
def test_a_residence_time_that_cannot_be_true_is_not_taken_out(
    rtt: int, residence: int, expected: int
) -> None:
    assert without_residence(rtt, residence) == expected
