"""The search of RFC 9097 appendix A, report by report, and against a link that is simple."""

import pytest

from runtime.load.search import Search, rate_of
from wire.load import Report

M = 1_000_000
MS = 1_000_000
CLEAR = Report(number=0, errors=0, delay_range_us=0, octets=0)
LOSSY = Report(number=0, errors=11, delay_range_us=0, octets=0)
LATE = Report(number=0, errors=0, delay_range_us=90_001, octets=0)
BETWEEN = Report(number=0, errors=0, delay_range_us=60_000, octets=0)


def test_the_table_of_rates() -> None:
    assert [rate_of(row) for row in (0, 1, 2, 1000, 1001, 1090)] == [
        M // 2,
        M,
        2 * M,
        1000 * M,
        1100 * M,
        10_000 * M,
    ]


def test_ten_rows_at_a_time_until_congestion_that_lasts_then_thirty_back_then_one() -> None:
    search = Search(500 * M)
    assert search.rate() == M // 2
    assert [search.hear(CLEAR) // M for _ in range(5)] == [10, 20, 30, 40, 50]
    assert [search.hear(LOSSY) // M for _ in range(3)] == [49, 48, 18]
    assert [search.hear(CLEAR) // M for _ in range(3)] == [19, 20, 21]
    assert [search.hear(LATE) // M for _ in range(2)] == [20, 19]  # never thirty again


def test_congestion_that_passes_does_not_end_the_jumps() -> None:
    search = Search(500 * M)
    for _ in range(3):
        search.hear(CLEAR)
    assert [search.hear(one) // M for one in (LOSSY, LOSSY, CLEAR)] == [29, 28, 38]


def test_between_the_thresholds_the_rate_is_held() -> None:
    search = Search(500 * M)
    search.hear(CLEAR)
    assert [search.hear(BETWEEN) // M for _ in range(3)] == [10, 10, 10]


def test_above_a_gigabit_there_are_no_jumps() -> None:
    search = Search(10_000 * M, row=1050)
    assert search.hear(CLEAR) == 6100 * M
    for _ in range(4):
        search.hear(LOSSY)
    assert search.row == 1047


def test_the_bound_is_never_exceeded_and_zero_never_undercut() -> None:
    search = Search(105 * M)
    for _ in range(50):
        assert search.hear(CLEAR) <= 105 * M
    assert search.rate() == 105 * M
    for _ in range(300):
        search.hear(LOSSY)
    assert search.rate() == M // 2


def test_a_slow_links_rows_are_a_hundredth_of_its_bound() -> None:
    search = Search(2 * M)
    assert search.rate() == 10_000
    assert [search.hear(CLEAR) for _ in range(2)] == [200_000, 400_000]


def test_silence_lowers_the_rate_after_190_ms_and_then_after_50_more_each() -> None:
    search = Search(500 * M, row=100)
    assert not search.silence(189 * MS)
    assert search.silence(190 * MS) and search.row == 99
    assert not search.silence(239 * MS)
    assert search.silence(240 * MS) and search.row == 98
    assert search.silence(290 * MS) and search.row == 68
    search.hear(CLEAR)
    assert not search.silence(189 * MS)


@pytest.mark.parametrize("capacity", [2 * M, 50 * M, 100 * M])
def test_a_link_with_a_short_queue_is_found_within_a_hundredth(capacity: int) -> None:
    """50 ms a report; what exceeds the queue is lost, what waits in it is late."""
    search = Search(round(capacity * 1.3))
    limit = capacity * 0.05
    queue, received = 0.0, []
    for number in range(200):
        queue += search.rate() * 0.05
        out = min(queue, capacity * 0.05)
        queue -= out
        dropped = max(0.0, queue - limit)
        queue -= dropped
        received.append(out / 0.05)
        search.hear(
            Report(
                number=number,
                errors=round(dropped / 12_000),
                delay_range_us=round(queue / capacity * 1e6),
                octets=0,
            )
        )
    seconds = [sum(received[k : k + 20]) / 20 for k in range(0, 200, 20)]
    assert max(seconds) == pytest.approx(capacity, rel=0.01)
