"""One endpoint over real HTTP: what is refused alone, what waits, what is never lost."""

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from prometheus_client import CollectorRegistry

from collector.backfill import send
from collector.backfill.counters import BackfillCounters
from collector.backfill.remote_write import Point, series
from collector.backfill.send import Sender, Unwilling, pause_s
from collector.settings import BasicAuth, CollectorSettings, EndpointSettings, Located
from runtime.testing import FakeClock
from tests.collector.backfill.receiver import Rule, Taken, receiving

ONE, OTHER = series("pantau_x", {"link": "l1"}), series("pantau_x", {"link": "l2"})
COUNT = 1000


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(send, "LEAST_PAUSE_S", 0.001)


def sender(url: str, folder: Path = Path("/"), **changes: Any) -> Sender:
    endpoint = EndpointSettings(name="e", url=url, **changes)
    located = Located(CollectorSettings(data_dir="data"), folder / "collector.yaml")
    counters = BackfillCounters(CollectorRegistry()).of("e")
    return Sender(located, endpoint, counters, FakeClock())


async def deliver(one: Sender, points: list[Point], **changes: Any) -> None:
    async with one.session() as session:
        await one.deliver(session, points, **changes)


def points(count: int = COUNT) -> list[Point]:
    return [Point(ONE, at, float(at)) for at in range(count)]


def refuses(status: int, text: str, bad: Callable[[Taken], bool]) -> Rule:
    return lambda samples: (
        web.Response(status=status, text=text) if any(map(bad, samples)) else None
    )


def refused(one: Sender) -> dict[str, int]:
    return {reason.value: count for reason, count in one.counters.refused.items() if count}


async def test_good_samples_are_one_request() -> None:
    async with receiving() as store:
        one = sender(store.url)
        await deliver(one, points())
        assert (store.times, len(store.requests)) == (list(range(COUNT)), 1)
        assert (one.counters.taken, refused(one)) == (COUNT, {})
        await deliver(one, [])
        assert len(store.requests) == 1


@pytest.mark.parametrize("oldest", [1, 2, 3, 500, 997, 998, 999])
async def test_what_is_too_old_is_found_by_few_requests_and_the_rest_is_stored(
    oldest: int,
) -> None:
    async with receiving() as store:
        store.rules = [refuses(500, "too old sample", lambda sample: sample[1] < oldest)]
        one = sender(store.url)
        await deliver(one, points())
        assert store.times == list(range(oldest, COUNT))
        assert (one.counters.taken, refused(one)) == (COUNT - oldest, {"too_old": oldest})
        assert len(store.requests) <= 40


async def test_all_too_old_costs_few_requests_as_well() -> None:
    async with receiving() as store:
        store.rules = [refuses(500, "too old sample", lambda sample: True)]
        one = sender(store.url)
        await deliver(one, points())
        assert refused(one) == {"too_old": COUNT}
        assert len(store.requests) <= 40


async def test_a_store_that_wants_order_is_never_sent_a_newer_sample_first() -> None:
    newest = -1

    def in_order(samples: list[Taken]) -> web.Response | None:
        nonlocal newest
        times = [at_ms for _, at_ms, _ in samples]
        if min(times) < 50:
            return web.Response(status=400, text="out of bounds")
        if min(times) <= newest:
            return web.Response(status=400, text="out of order sample")
        newest = max(times)
        return None

    async with receiving() as store:
        store.rules = [in_order]
        one = sender(store.url)
        await deliver(one, points())
        assert store.times == list(range(50, COUNT))
        assert refused(one) == {"out_of_bounds": 50}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("duplicate sample for timestamp", "duplicate"),
        ("out of order sample", "out_of_order"),
        ("label value is not to our liking", "other"),
    ],
)
async def test_single_bad_samples_lose_no_others(text: str, reason: str) -> None:
    bad = {0, 17, 18, 500, 871}
    async with receiving() as store:
        store.rules = [refuses(400, text, lambda sample: sample[1] in bad)]
        one = sender(store.url)
        await deliver(one, points())
        # One good sample may have gone twice, to see whether the endpoint takes anything at all.
        assert set(store.times) == set(range(COUNT)) - bad
        assert (one.counters.taken, len(store.stored)) in (
            (COUNT - len(bad), COUNT - len(bad) + extra) for extra in (0, 1)
        )
        assert refused(one) == {reason: len(bad)}


async def test_refusals_of_two_kinds_are_kept_apart() -> None:
    async with receiving() as store:
        store.rules = [
            refuses(500, "too old sample", lambda sample: sample[1] < 100),
            refuses(400, "duplicate sample for timestamp", lambda sample: sample[1] == 321),
        ]
        one = sender(store.url)
        await deliver(one, points())
        assert refused(one) == {"too_old": 100, "duplicate": 1}
        assert len(store.stored) == COUNT - 101


async def test_an_endpoint_that_takes_nothing_for_an_unknown_reason_loses_nothing() -> None:
    async with receiving() as store:
        store.rules = [refuses(400, "no such tenant", lambda sample: True)]
        one = sender(store.url)
        with pytest.raises(Unwilling, match="400 no such tenant"):
            await deliver(one, points())
        assert (one.counters.taken, refused(one), len(store.requests)) == (0, {}, 2)
        assert one.counters.stuck._value.get() == 1
        store.rules = []
        await deliver(one, points())
        assert one.counters.taken == COUNT
        assert one.counters.stuck._value.get() == 0


async def test_a_request_that_is_too_large_goes_in_pieces() -> None:
    def most(samples: list[Taken]) -> web.Response | None:
        return web.Response(status=413) if len(samples) > 100 else None

    async with receiving() as store:
        store.rules = [most]
        one = sender(store.url)
        await deliver(one, points())
        assert (store.times, refused(one)) == (list(range(COUNT)), {})


@pytest.mark.parametrize("status", [301, 401, 403, 404, 429, 500, 502, 503])
async def test_what_is_not_about_the_samples_is_tried_again(
    status: int, caplog: pytest.LogCaptureFixture
) -> None:
    answers = iter([web.Response(status=status, text="no") for _ in range(3)])
    async with receiving() as store:
        store.rules = [lambda samples: next(answers, None)]
        one = sender(store.url)
        with caplog.at_level(logging.INFO):
            await deliver(one, points(10))
        assert (store.times, len(store.requests)) == (list(range(10)), 4)
        assert (one.counters.taken, refused(one)) == (10, {})
    said = [record.getMessage() for record in caplog.records if "backfill" in record.name]
    assert said == [
        f"backfill e: nothing was taken: {status} no",
        "backfill e: takes samples again",
    ]


async def test_an_endpoint_that_is_away_is_waited_for() -> None:
    async with receiving() as store:
        url = store.url
    one = sender(url)
    async with one.session() as session:
        sending = asyncio.create_task(one.deliver(session, points(10)))
        while not one.counters.stuck._value.get():
            await asyncio.sleep(0.01)
        async with receiving(int(url.split(":")[2].split("/")[0])) as store:
            await sending
            assert store.times == list(range(10))
    assert one.counters.stuck._value.get() == 0


async def test_an_answer_that_does_not_come_is_asked_for_again() -> None:
    async with receiving() as store:
        held = asyncio.Event()
        store.before = held.wait
        one = sender(store.url, timeout_s=0.2)
        async with one.session() as session:
            sending = asyncio.create_task(one.deliver(session, points(10)))
            while len(store.requests) < 2:
                await asyncio.sleep(0.01)
            held.set()
            await sending
        assert set(store.times) == set(range(10))


async def test_patience_has_an_end_where_somebody_waits() -> None:
    async with receiving() as store:
        store.rules = [refuses(503, "busy", lambda sample: True)]
        one = sender(store.url)
        with pytest.raises(Unwilling, match="503 busy"):
            await deliver(one, points(1), most_tries=3)
        assert len(store.requests) == 3


@pytest.mark.parametrize(("failures", "most"), [(1, 1), (2, 2), (5, 16), (9, 256), (10, 300)])
def test_pauses_grow_to_five_minutes(
    failures: int, most: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(send, "LEAST_PAUSE_S", 1.0)
    drawn = [pause_s(failures, None) for _ in range(100)]
    assert most / 2 <= min(drawn) <= max(drawn) <= most
    assert pause_s(10_000, None) <= 300


def test_a_store_that_says_when_is_listened_to_within_an_hour() -> None:
    assert pause_s(1, 17.0) == 17.0
    assert pause_s(1, 1e9) == 3600


async def test_secrets_come_from_files_and_are_read_anew(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("geheim\n# a second line\n")
    (tmp_path / "tenant").write_text("kabupaten\n")
    async with receiving() as store:
        one = sender(
            store.url,
            tmp_path,
            headers={"X-Zone": "1"},
            header_files={"X-Scope-OrgID": "tenant"},
            basic_auth=BasicAuth(username="pantau", password_file="password"),
        )
        await deliver(one, points(1))
        (tmp_path / "password").write_text("lebih-geheim")
        await deliver(one, points(1))
        first, second = (request.headers for request in store.requests)
        assert (first["X-Scope-OrgID"], first["X-Zone"]) == ("kabupaten", "1")
        assert first["Authorization"] == "Basic cGFudGF1OmdlaGVpbQ=="
        assert second["Authorization"] == "Basic cGFudGF1OmxlYmloLWdlaGVpbQ=="
        assert first["User-Agent"].startswith("pantau-collector/")


async def test_a_password_file_that_went_away_is_no_end_of_the_collector(tmp_path: Path) -> None:
    async with receiving() as store:
        one = sender(store.url, tmp_path, header_files={"Authorization": "token"})
        with pytest.raises(Unwilling, match="token"):
            await deliver(one, points(1), most_tries=2)
        (tmp_path / "token").write_bytes(b"\xff\xfe")
        with pytest.raises(Unwilling, match="decode"):
            await deliver(one, points(1), most_tries=2)
        (tmp_path / "token").write_text("Bearer t")
        await deliver(one, points(1))
        assert store.requests[-1].headers["Authorization"] == "Bearer t"


async def test_two_series_of_one_moment_are_two_samples() -> None:
    async with receiving() as store:
        one = sender(store.url)
        await deliver(one, [Point(ONE, 5, 1.0), Point(OTHER, 5, 2.0)])
        assert sorted(value for _, _, value in store.stored) == [1.0, 2.0]
