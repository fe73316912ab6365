"""The sender against a real Prometheus: what it really answers, and what it holds afterwards."""

import asyncio
import math
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from collector.backfill import send
from collector.backfill.remote_write import Point, series
from tests.collector.backfill.stores import WINDOW_S, Prometheus, VictoriaMetrics
from tests.collector.backfill.test_send import deliver, refused, sender

NOW = 1_790_000_000
SERIES = [series("pantau_settled_packets_lost", {"link": f"l{k}"}) for k in range(5)]
SELECTOR = "pantau_settled_packets_lost"


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(send, "LEAST_PAUSE_S", 0.02)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "store"


@pytest.fixture
def prometheus(folder: Path) -> Iterator[Prometheus]:
    store = Prometheus(folder)
    yield store
    store.close()


def every_minute(start_s: int, end_s: int) -> list[Point]:
    return [
        Point(one, at * 1000, float(at % 60 + k))
        for k, one in enumerate(SERIES)
        for at in range(start_s, end_s, 60)
    ]


@pytest.mark.prometheus
async def test_one_sample_that_is_too_old_takes_no_other_with_it(prometheus: Prometheus) -> None:
    await deliver(sender(prometheus.write_url), [Point(SERIES[0], NOW * 1000, 0.0)])
    good = every_minute(NOW - 7200, NOW - 60)
    old = [Point(SERIES[2], (NOW - WINDOW_S - 3600) * 1000, 1.0)]
    mixed = [*good, *old]
    random.Random(1).shuffle(mixed)
    one = sender(prometheus.write_url)
    await deliver(one, mixed)
    assert (one.counters.taken, refused(one)) == (len(good), {"too_old": 1})
    held = prometheus.samples(SELECTOR, NOW, 3 * 86_400)
    assert sum(len(samples) for samples in held.values()) == len(good) + 1
    # The same again, as after a crash: nothing is refused, nothing is there twice.
    again = sender(prometheus.write_url)
    await deliver(again, good)
    assert refused(again) == {}
    assert prometheus.samples(SELECTOR, NOW, 3 * 86_400) == held


@pytest.mark.prometheus
async def test_without_a_window_old_samples_are_counted_and_new_ones_stored(folder: Path) -> None:
    store = Prometheus(folder, window_s=0)
    try:
        await deliver(sender(store.write_url), [Point(SERIES[0], NOW * 1000, 0.0)])
        one = sender(store.url + "/api/v1/write")
        fresh = every_minute(NOW + 60, NOW + 600)
        await deliver(one, [*every_minute(NOW - 5 * 3600, NOW - 4 * 3600), *fresh])
        assert (one.counters.taken, refused(one)) == (len(fresh), {"out_of_bounds": 5 * 60})
        assert math.isnan(store.one(f'{SELECTOR}{{link="l1"}}', NOW - 4 * 3600))
        # Another value of a moment that it has: it keeps the first.
        revised = fresh[8]._replace(value=99.0)
        await deliver(one, [revised, Point(SERIES[0], (NOW + 660) * 1000, 1.0)])
        assert refused(one)["duplicate"] == 1
    finally:
        store.close()


@pytest.mark.prometheus
async def test_a_prometheus_that_is_down_for_a_while_misses_nothing(folder: Path) -> None:
    store = Prometheus(folder)
    port = int(store.url.rpartition(":")[2])
    try:
        one = sender(store.write_url)
        first, second = every_minute(NOW - 7200, NOW - 3600), every_minute(NOW - 3600, NOW)
        await deliver(one, first)
        store.close()
        async with one.session() as session:
            sending = asyncio.create_task(one.deliver(session, second))
            while not one.counters.stuck._value.get():
                await asyncio.sleep(0.01)
            store = await asyncio.to_thread(Prometheus, folder, port=port)
            await sending
        held = store.samples(SELECTOR, NOW, 3 * 3600)
        assert sum(len(samples) for samples in held.values()) == len(first) + len(second)
    finally:
        store.close()


@pytest.mark.victoria
async def test_victoriametrics_has_one_value_of_a_moment_that_was_sent_twice(folder: Path) -> None:
    store = VictoriaMetrics(folder)
    try:
        one = sender(store.write_url)
        points = every_minute(NOW - 3600, NOW)
        await deliver(one, points)
        await deliver(one, points)
        await deliver(one, [points[7]._replace(value=0.0)])
        (held,) = store.samples(f'{SELECTOR}{{link="l0"}}', NOW, 7200).values()
        expected = {point.at_ms: point.value for point in points if point.series == SERIES[0]}
        # Which of two values it keeps is its own affair: docs/backfill.md says so.
        assert held in (expected, expected | {points[7].at_ms: 0.0})
        assert store.one(f'count_over_time({SELECTOR}{{link="l0"}}[2h])', NOW) == 60
    finally:
        store.close()
