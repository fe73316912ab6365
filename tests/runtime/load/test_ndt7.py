import pytest

from runtime.load.ndt7 import LEAST_S, MEAN_S, MOST_S, largest, next_size, pause_s, poisson_gap_s


def test_v3_10_gaps_of_a_poisson_process() -> None:
    assert poisson_gap_s(0.5, 30) == pytest.approx(20.794, abs=5e-4)
    assert poisson_gap_s(1.0, 30) == 0


def test_pauses_keep_within_the_protocols_bounds() -> None:
    assert (pause_s(1.0), pause_s(1e-300)) == (LEAST_S, MOST_S)
    assert pause_s(0.5) == pytest.approx(MEAN_S * 0.693147, abs=1e-6)


def test_messages_double_while_they_are_a_sixteenth_of_what_was_sent() -> None:
    assert next_size(1 << 13, (1 << 17) - 1) == 1 << 13
    assert next_size(1 << 13, 1 << 17) == 1 << 14
    assert next_size(1 << 20, 1 << 40) == 1 << 20
    # At 10 Mbit/s 10 ms are 12,500 octets, and no message is shorter than the first.
    assert largest(1_250_000) == 12_500 and largest(10_000) == 1 << 13
    assert next_size(1 << 13, 1 << 40, largest(1_250_000)) == 1 << 13
    assert next_size(1 << 13, 1 << 40, largest(12_500_000)) == 1 << 14
    assert largest(10**9) == 1 << 20
