"""Outages against the promise."""

from collector.audit.stability import HOUR_NS, Episode, Steadiness, stability

MINUTE = HOUR_NS // 60


def test_nine_outages_a_month_are_flapping_where_two_are_promised() -> None:
    daily = [day * 24 * HOUR_NS for day in range(9)]
    assert stability(daily, 30).steadiness is Steadiness.FLAPPING
    eight = stability(daily[:8], 30)
    assert eight.steadiness is Steadiness.WITHIN_PROMISE
    assert eight.expected == 2.0
    assert stability(daily, 90).steadiness is Steadiness.WITHIN_PROMISE
    assert stability(daily[:8], 30, 0.5).steadiness is Steadiness.FLAPPING


def test_not_measured_is_not_steady() -> None:
    found = stability(None, 30)
    assert (found.steadiness, found.outages, found.p) == (Steadiness.NOT_MEASURED, None, None)


def test_three_outages_within_an_hour_are_an_episode() -> None:
    starts = [0, 30 * MINUTE, 60 * MINUTE, 300 * MINUTE, 330 * MINUTE, 361 * MINUTE]
    assert stability(starts, 30).episodes == (Episode(0, HOUR_NS, 3),)


def test_overlapping_hours_are_one_episode() -> None:
    starts = [at * 20 * MINUTE for at in range(6)]
    assert stability(starts[::-1], 30).episodes == (Episode(0, 100 * MINUTE, 6),)
    far = [*starts[:3], *(one + 10 * HOUR_NS for one in starts[:3])]
    assert len(stability(far, 30).episodes) == 2
