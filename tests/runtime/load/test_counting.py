"""Arrivals in their bins, against a slow and simple count of the same packets."""

from hypothesis import given, settings
from hypothesis import strategies as st

from runtime.clock import MS, SECOND
from runtime.load.counting import Arrivals, Bins, bin_width_ns
from wire.load import HEAD
from wire.transfer import BIN_NS, MAX_BINS, MAX_SAMPLES

T0 = 500 * SECOND


def row(number: int, stamp_ns: int = T0, flags: int = 0) -> tuple[int, int, int, int, int]:
    return (1, flags, 0, number, stamp_ns)


def arrivals(seconds: float = 1.0) -> Arrivals:
    return Arrivals(round(seconds * SECOND), 1500)


def test_bins_widen_so_that_a_record_stays_short() -> None:
    assert bin_width_ns(10 * SECOND) == BIN_NS
    assert bin_width_ns(300 * SECOND) == BIN_NS
    assert bin_width_ns(301 * SECOND) == SECOND
    assert bin_width_ns(3600 * SECOND) == 2 * SECOND
    for seconds in (1, 299, 300, 301, 2999, 3001, 3600):
        assert Bins(seconds * SECOND).count <= MAX_BINS
        assert len(arrivals(seconds).delay_us) <= MAX_SAMPLES


def test_packets_in_order_are_counted_in_their_bins() -> None:
    one = arrivals()
    for k in range(10):
        one.take([row(3 * k + j) for j in range(3)], T0 + k * BIN_NS)
    one.finish(30)
    assert one.packets == [3] * 10
    assert one.bins.octets == [4500] * 10
    assert sum(one.lost) == sum(one.reordered) == sum(one.duplicated) == 0


def test_a_gap_is_lost_where_it_was_noticed_until_its_packet_comes_late() -> None:
    one = arrivals()
    one.take([row(0)], T0)
    one.take([row(3)], T0 + BIN_NS)
    assert one.lost[:3] == [0, 2, 0]
    one.take([row(1)], T0 + 2 * BIN_NS)
    assert (one.lost[:3], one.reordered[:3]) == ([0, 1, 0], [0, 0, 1])
    one.take([row(1)], T0 + 3 * BIN_NS)
    assert (one.lost[:4], one.duplicated[:4]) == ([0, 1, 0, 0], [0, 0, 0, 1])


def test_what_the_sender_numbered_last_and_nobody_saw_is_lost_at_the_end() -> None:
    one = arrivals()
    one.take([row(0)], T0)
    one.finish(5)
    assert one.lost == [0] * 9 + [4]
    never = arrivals()
    never.finish(7)
    assert never.lost[-1] == 7
    unknown = arrivals()
    unknown.finish(None)
    assert sum(unknown.lost) == 0


def test_what_comes_after_the_end_is_not_lost_and_in_no_bin() -> None:
    one = arrivals()
    one.take([row(0)], T0)
    one.take([row(1)], T0 + SECOND)
    one.finish(2)
    assert (sum(one.packets), sum(one.bins.octets), sum(one.lost)) == (1, 1500, 0)
    assert one.all_octets == 3000
    assert one.late == 1


def test_losses_noticed_after_the_end_are_of_the_packets_that_were_under_way() -> None:
    one = arrivals()
    one.take([row(0)], T0)
    one.take([row(3), row(4)], T0 + SECOND)
    one.finish(5)
    assert (sum(one.lost), sum(one.packets), one.late) == (2, 1, 2)


def test_delays_are_of_heads_of_bursts_one_in_each_interval() -> None:
    one = arrivals()
    for k, delay_ms in enumerate((30, 20, 25)):
        at_ns = T0 + k * 20 * MS
        head = row(2 * k, at_ns - delay_ms * MS, HEAD)
        one.take([head, row(2 * k + 1, 0)], at_ns)
        one.take([row(0, 0)], at_ns + MS)
    step = 20 * MS // one.delay_interval_ns
    assert one.delay_us[: 3 * step : step] == [10_000, 0, 5_000]
    assert sum(delay is not None for delay in one.delay_us) == 3


def test_a_report_is_of_what_came_since_the_last() -> None:
    one = arrivals()
    one.take([row(0, T0 - MS, HEAD)], T0)
    one.take([row(3, T0 + 20 * MS, HEAD)], T0 + 61 * MS)
    tally = one.report()
    assert (tally.errors, tally.delay_range_us, tally.octets) == (2, 40_000, 3000)
    assert one.report() == (0, 0, 0)


@given(
    st.lists(st.integers(0, 60), min_size=1, max_size=200),
    st.integers(1, 7),
)
@settings(max_examples=200)
def test_any_order_of_packets_is_counted_as_by_hand(numbers: list[int], together: int) -> None:
    one = arrivals(10)
    for k in range(0, len(numbers), together):
        one.take([row(number) for number in numbers[k : k + together]], T0 + k * MS)
    one.finish(61)
    seen: set[int] = set()
    highest, duplicated, reordered = -1, 0, 0
    for number in numbers:
        if number in seen:
            duplicated += 1
        elif number < highest:
            reordered += 1
        seen.add(number)
        highest = max(highest, number)
    assert sum(one.duplicated) == duplicated
    assert sum(one.reordered) == reordered
    assert sum(one.lost) == 61 - len(seen)
    assert sum(one.packets) == len(numbers)
    assert min(one.lost) >= 0


def test_numbers_that_jump_far_ahead_stay_countable() -> None:
    one = arrivals()
    one.take([row(0)], T0)
    one.take([row(1_000_000)], T0)
    assert sum(one.lost) == 999_999
    one.take([row(5)], T0)  # too far back to be told from a duplicate
    assert (sum(one.lost), sum(one.reordered)) == (999_999, 1)
    one.take([row(999_999)], T0)
    assert (sum(one.lost), sum(one.reordered)) == (999_998, 2)


@given(st.lists(st.tuples(st.integers(0, 300 * MS), st.integers(0, 10**6)), max_size=40))
def test_spreading_loses_and_invents_nothing(parts: list[tuple[int, int]]) -> None:
    one = Bins(60 * SECOND)
    one.at(T0)
    now_ns = T0
    for span_ns, octets in parts:
        one.spread(now_ns, now_ns + span_ns, octets)
        now_ns += span_ns
    assert sum(one.octets) == sum(octets for _, octets in parts)
    assert min(one.octets) >= 0


def test_octets_of_two_bins_are_shared_by_time() -> None:
    one = Bins(SECOND)
    one.at(T0)
    one.spread(T0 + 50 * MS, T0 + 150 * MS, 1000)
    assert one.octets[:3] == [500, 500, 0]
    one.spread(T0 + 950 * MS, T0 + 1050 * MS, 1000)  # half of it after the end
    assert one.octets[-1] == 500
