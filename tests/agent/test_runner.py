"""A box's tests from day to day: on time, one at a time, never over the budget, never twice."""

import datetime
from collections import Counter
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agent.gate import Quality
from agent.hub import HubUnreachable
from agent.jobs import Job
from agent.plan import LATEST_S, Stratum, day_legs
from runtime.clock import SECOND, ClockQuality, instant
from tests.agent.runner_kit import DAY, DERIVED, SECRET, Bench, due, granted, midnight_s, order
from tests.agent.test_plan import plan
from wire.errors import Refusal, WireError
from wire.instant import ClockClass
from wire.message import Closed, End, OrderState
from wire.plan import Gate, Load, load_bytes
from wire.slot import Direction, Method
from wire.transfer import Purpose

HOUR = 3_600
COUNTED = plan(gate=Gate(target="router"))
START = midnight_s(COUNTED)
MBIT = 1_000_000


async def test_a_day_is_tested_as_it_was_drawn(tmp_path: Path) -> None:
    bench = Bench(tmp_path, COUNTED, wall_s=START)
    await bench.until(START + 24 * HOUR)
    legs = day_legs(COUNTED, SECRET, DAY)
    assert [(job.key, job.stratum) for _, job, _, _ in bench.loads] == [
        (leg.leg_id, leg.stratum) for leg in legs
    ]
    for (grant, job, seen, at_s), leg in zip(bench.loads, legs, strict=True):
        assert 0 <= at_s - leg.due_s < 60
        assert (grant.key, seen.quality) == (DERIVED, Quality.A)
        assert seen.bits_per_s == pytest.approx(0.95 * 97_276_265, rel=1e-3)
        assert job.direction is leg.direction
    assert bench.page().ends == {End.DONE: len(legs)}
    assert bench.page().month == "2026-11"
    assert all(router.closed for router in bench.routers)
    ended = [request.ended for request in bench.asked if request.want is None]
    assert ended == ["5b" * 16] * len(legs)
    counters = [request.counter for request in bench.asked]
    assert counters == sorted(set(counters))


async def test_users_put_a_test_off_and_after_three_looks_it_is_skipped(tmp_path: Path) -> None:
    bench = Bench(tmp_path, COUNTED, wall_s=START)
    bench.users_bits_per_s = 40 * MBIT
    await bench.until(due(COUNTED)[0] + LATEST_S)
    assert bench.loads == []
    assert [(job.key, end) for job, end, _ in bench.skips] == [
        (leg.leg_id, End.BUSY) for leg in day_legs(COUNTED, SECRET, DAY)[:2]
    ]
    assert bench.page().deferred == 4
    seen = bench.skips[0][2]
    assert seen is not None and seen.down_bits_per_s == pytest.approx(40 * MBIT, rel=1e-3)
    assert not [request for request in bench.asked if request.want is not None]


async def test_when_the_users_are_gone_the_test_is_made_and_leaves_them_what_they_take(
    tmp_path: Path,
) -> None:
    bench = Bench(tmp_path, COUNTED, wall_s=START)
    bench.users_bits_per_s = 40 * MBIT
    first = due(COUNTED)[0]
    await bench.until(first + 30)
    bench.users_bits_per_s = 10 * MBIT
    await bench.until(first + LATEST_S)
    assert [end for _, end, _ in bench.skips] == []
    assert len(bench.loads) == 2
    for _, _, seen, at_s in bench.loads:
        assert 300 <= at_s - first <= 660
        assert seen.bits_per_s == pytest.approx(0.95 * (97_276_265 - 10 * MBIT), rel=1e-3)


async def test_without_counters_there_are_tests_in_evening_and_night_of_quality_b(
    tmp_path: Path,
) -> None:
    bench = Bench(tmp_path, plan(), wall_s=START)
    await bench.until(START + 24 * HOUR)
    strata = Counter(job.stratum for _, job, _, _ in bench.loads)
    assert strata[Stratum.EVENING] == 8 and strata[Stratum.NIGHT] == 4
    assert strata[Stratum.OFFICE] == 0
    assert {seen.quality for _, _, seen, _ in bench.loads} == {Quality.B}
    assert [(job.stratum, end) for job, end, _ in bench.skips] == [(Stratum.OFFICE, End.BLIND)] * 4


async def test_a_router_that_is_silent_counts_nobody(tmp_path: Path) -> None:
    bench = Bench(tmp_path, COUNTED, wall_s=START)
    bench.users_bits_per_s = None
    await bench.until(START + 24 * HOUR)
    assert {seen.quality for _, _, seen, _ in bench.loads} == {Quality.B}
    assert {job.stratum for job, _, _ in bench.skips} == {Stratum.OFFICE}


async def test_nothing_is_planned_while_the_box_does_not_know_the_time(tmp_path: Path) -> None:
    bench = Bench(tmp_path, COUNTED, wall_s=START)
    bench.clock.now_quality = ClockQuality(ClockClass.D, None, "none")
    await bench.until(START + 12 * HOUR)
    assert (bench.loads, bench.asked, bench.page().ends) == ([], [], {})
    bench.clock.now_quality = ClockQuality(ClockClass.B, 1, "ntp")
    await bench.until(START + 24 * HOUR)
    later = [leg for leg in day_legs(COUNTED, SECRET, DAY) if leg.due_s > START + 12 * HOUR]
    assert [job.key for _, job, _, _ in bench.loads] == [leg.leg_id for leg in later]


@settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(st.integers(0, 24 * HOUR), min_size=1, max_size=6))
def test_restarts_neither_repeat_nor_lose_a_test(
    tmp_path_factory: pytest.TempPathFactory, restarts: list[int]
) -> None:
    import asyncio

    async def day() -> None:
        bench = Bench(tmp_path_factory.mktemp("box"), COUNTED, wall_s=START)
        for at in sorted(restarts):
            await bench.until(START + at)
            bench.begin()
        await bench.until(START + 24 * HOUR)
        keys = [job.key for _, job, _, _ in bench.loads]
        assert keys == [leg.leg_id for leg in day_legs(COUNTED, SECRET, DAY)]

    asyncio.run(day())


async def test_what_was_due_while_the_box_was_off_is_missed_and_not_made_up(
    tmp_path: Path,
) -> None:
    bench = Bench(tmp_path, COUNTED, wall_s=START)
    await bench.until(START + 6 * HOUR)
    done = len(bench.loads)
    bench.clock.advance(15 * HOUR * SECOND)
    bench.begin()
    await bench.until(START + 24 * HOUR)
    legs = day_legs(COUNTED, SECRET, DAY)
    late = [leg for leg in legs if 6 * HOUR < leg.due_s - START < 21 * HOUR - LATEST_S]
    assert bench.page().ends[End.MISSED] == len(late)
    assert [end for _, end, _ in bench.skips] == [End.MISSED] * len(late)
    assert len(bench.loads) - done == len(legs) - done - len(late)


async def test_a_new_box_and_a_new_plan_have_missed_nothing(tmp_path: Path) -> None:
    bench = Bench(tmp_path, COUNTED, wall_s=START + 21 * HOUR)
    await bench.until(START + 21 * HOUR + 60)
    assert bench.page().ends == {}
    other = msgspec.structs.replace(COUNTED, evening_tests=3)
    bench.runner.follow([other])
    await bench.until(START + 24 * HOUR)
    assert End.MISSED not in bench.page().ends


async def test_a_crash_in_the_test_costs_its_budget_and_it_is_not_repeated(
    tmp_path: Path,
) -> None:
    bench = Bench(tmp_path, COUNTED, wall_s=START)

    class PowerCut(BaseException):
        pass

    def cut(_: Job) -> Exception:
        raise PowerCut

    bench.result = cut
    with pytest.raises(PowerCut):
        await bench.until(START + 6 * HOUR)
    bench.loading = 0
    bench.result = bench.good
    at = instant(bench.clock)
    bench.clock.advance(60 * SECOND)
    bench.begin()
    first = bench.loads[0][1]
    assert bench.page().used_bytes == load_bytes(first.rate(None), first.duration_s)
    assert bench.page().ends == {End.FAILED: 1}
    await bench.until(START + 24 * HOUR)
    assert [job.key for _, job, _, _ in bench.loads].count(first.key) == 1
    assert bench.page().ends[End.DONE] == len(day_legs(COUNTED, SECRET, DAY)) - 1
    bench.begin()
    await bench.until(START + 25 * HOUR)
    (told,) = bench.broken
    assert (told.slot_id, told.direction) == ("5b" * 16, first.direction)
    assert (told.loading, told.load_s, told.purpose) == (at, first.load_s, Purpose.PLANNED)


async def test_what_a_crash_left_is_told_until_it_is_durable_and_then_no_more(
    tmp_path: Path,
) -> None:
    bench = Bench(tmp_path, COUNTED, wall_s=START + 12 * HOUR)

    class PowerCut(BaseException):
        pass

    def cut(_: Job) -> Exception:
        raise PowerCut

    bench.result = cut
    bench.runner.obey([order()])
    with pytest.raises(PowerCut):
        await bench.until(START + 12 * HOUR + 60)
    bench.loading, bench.result, bench.durable = 0, bench.good, False
    # The order is withdrawn meanwhile, and the books are kept for days.
    bench.begin().obey([])
    for _ in range(3):
        await bench.runner.step()
    assert len(bench.broken) == 1, "the outbox holds it"
    bench.clock.advance(4 * 86_400 * SECOND)
    bench.begin()
    await bench.runner.step()
    assert len(bench.broken) == 2, "what it held died with it"
    bench.durable = True
    for _ in range(3):
        await bench.runner.step()
    bench.begin()
    await bench.runner.step()
    assert len(bench.broken) == 2
    assert bench.broken[-1].purpose is Purpose.ORDERED


async def test_a_test_that_fails_is_settled_and_told(tmp_path: Path) -> None:
    bench = Bench(tmp_path, COUNTED, wall_s=START)
    bench.result = lambda _: OSError("connection refused")
    await bench.until(START + 24 * HOUR)
    legs = day_legs(COUNTED, SECRET, DAY)
    assert bench.page().ends == {End.FAILED: len(legs)}
    assert {end for _, end, _ in bench.skips} == {End.FAILED}


@settings(
    max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    budget=st.integers(0, 3 * 10**9),
    carried=st.lists(st.floats(0, 1) | st.none(), min_size=1, max_size=5),
    crashes=st.lists(st.integers(0, 48 * HOUR), max_size=4),
)
def test_a_budget_is_never_exceeded(
    tmp_path_factory: pytest.TempPathFactory,
    budget: int,
    carried: list[float | None],
    crashes: list[int],
) -> None:
    import asyncio

    one = msgspec.structs.replace(COUNTED, budget_bytes=budget)
    really = 0

    async def days() -> None:
        nonlocal really
        bench = Bench(tmp_path_factory.mktemp("box"), one, wall_s=START)

        def result(job: Job) -> object:
            nonlocal really
            share = carried[len(bench.loads) % len(carried)]
            cost = load_bytes(job.rate(None), job.load_s)
            really += cost if share is None else int(cost * share)
            ran = bench.good(job)
            return ran._replace(carried_bytes=None if share is None else int(cost * share))

        bench.result = result  # type: ignore[assignment]
        for at in sorted(crashes):
            await bench.until(START + at)
            bench.begin()
        await bench.until(START + 48 * HOUR)
        assert bench.page().used_bytes <= budget
        assert really <= budget
        if End.BUDGET not in bench.page().ends:
            assert len(bench.loads) >= 30

    asyncio.run(days())


async def test_a_new_month_at_the_link_has_a_new_budget(tmp_path: Path) -> None:
    one = msgspec.structs.replace(COUNTED, budget_bytes=8 * 10**8, zone_offset_s=32_400)
    last = datetime.date(2026, 11, 30)
    bench = Bench(tmp_path, one, wall_s=midnight_s(one, last))
    await bench.until(midnight_s(one, last) + 24 * HOUR - 60)
    assert bench.page().month == "2026-11"
    assert End.BUDGET in bench.page().ends
    spent = bench.page().used_bytes
    assert 0 < spent <= 8 * 10**8
    await bench.until(midnight_s(one, last) + 24 * HOUR + 60)
    assert (bench.page().month, bench.page().used_bytes) == ("2026-12", 0)


async def test_whoever_waits_for_a_slot_asks_again_as_told_and_not_for_ever(
    tmp_path: Path,
) -> None:
    bench = Bench(tmp_path, COUNTED, wall_s=START)
    bench.answer = lambda _: {"wait_s": 30.0}
    first = due(COUNTED)[0]
    await bench.until(first + LATEST_S + 120)
    asked = [request for request in bench.asked if request.want is not None]
    assert LATEST_S // 30 - 3 <= len(asked) <= LATEST_S // 30 + 3
    assert bench.loads == []
    assert {end for _, end, _ in bench.skips} == {End.NO_SLOT}


@pytest.mark.parametrize(
    ("closed", "end"), [(Closed.BUDGET, End.BUDGET), (Closed.OFF, End.NO_SLOT)]
)
async def test_a_hub_that_gives_no_slot_ends_the_test(
    tmp_path: Path, closed: Closed, end: End
) -> None:
    bench = Bench(tmp_path, COUNTED, wall_s=START)
    bench.answer = lambda _: {"closed": closed}
    await bench.until(due(COUNTED)[0] + 60)
    assert {one for _, one, _ in bench.skips} == {end}
    assert len(bench.asked) == len(bench.skips)


@pytest.mark.parametrize(
    "trouble", [HubUnreachable("down"), WireError(Refusal.MALFORMED, "a portal")]
)
async def test_a_hub_that_is_not_reached_is_asked_again(tmp_path: Path, trouble: Exception) -> None:
    bench = Bench(tmp_path, COUNTED, wall_s=START)
    left = [3]

    def answer(want: object) -> dict[str, object]:
        left[0] -= 1
        if left[0] >= 0:
            raise trouble
        return {"grant": granted(want)}  # type: ignore[arg-type]

    bench.answer = answer
    first = due(COUNTED)[0]
    await bench.until(first + 300)
    assert len(bench.loads) == 2
    assert bench.loads[0][3] - first >= 90


async def test_after_a_long_wait_the_users_are_looked_at_again_before_the_load(
    tmp_path: Path,
) -> None:
    bench = Bench(tmp_path, COUNTED, wall_s=START)
    waits = [40.0]

    def answer(want: object) -> dict[str, object]:
        if waits:
            bench.users_bits_per_s = 50 * MBIT
            return {"grant": granted(want, wait_s=waits.pop())}  # type: ignore[arg-type]
        return {"grant": granted(want)}  # type: ignore[arg-type]

    bench.answer = answer
    first = due(COUNTED)[0]
    await bench.until(first + 120)
    assert bench.loads == []
    assert bench.page().deferred == 2  # both directions
    assert bench.asked[-1].ended == "5b" * 16
    bench.users_bits_per_s = 0.0
    await bench.until(first + LATEST_S)
    assert len(bench.loads) == 2


async def test_a_load_begins_when_the_grant_says(tmp_path: Path) -> None:
    bench = Bench(tmp_path, COUNTED, wall_s=START)
    asked: list[float] = []

    def answer(want: object) -> dict[str, object]:
        asked.append(bench.clock.wall_ns() / SECOND)
        return {"grant": granted(want, wait_s=20.0)}  # type: ignore[arg-type]

    bench.answer = answer
    await bench.until(due(COUNTED)[0] + 120)
    for at, (_, _, _, began) in zip(asked, bench.loads, strict=True):
        assert 20 <= began - at < 23


async def test_no_test_is_made_while_the_logbook_cannot_be_written(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    folder.mkdir()
    bench = Bench(folder, COUNTED, wall_s=START)
    (folder / "throughput.json.new").mkdir()
    await bench.until(due(COUNTED)[0] + 300)
    assert bench.loads == []
    assert bench.page().used_bytes == 0
    (folder / "throughput.json.new").rmdir()
    await bench.until(due(COUNTED)[0] + 600)
    assert len(bench.loads) == 2


async def test_a_damaged_logbook_is_begun_anew(tmp_path: Path) -> None:
    (tmp_path / "throughput.json").write_bytes(b"{half")
    bench = Bench(tmp_path, COUNTED, wall_s=START)
    await bench.until(due(COUNTED)[0] + 60)
    assert len(bench.loads) == 2


# --- orders ---------------------------------------------------------------------------------


async def test_an_order_is_obeyed_at_once_and_once(tmp_path: Path) -> None:
    bench = Bench(tmp_path, COUNTED, wall_s=START + 12 * HOUR)
    bench.clock.now_quality = ClockQuality(ClockClass.D, None, "none")
    bench.runner.obey([order()])
    assert [one.state for one in bench.runner.status().orders] == [OrderState.ACCEPTED]
    await bench.until(START + 12 * HOUR + 120)
    (told,) = bench.runner.status().orders
    assert told.state is OrderState.DONE
    assert [one.direction for one in told.figures] == [Direction.DOWN, Direction.UP]
    assert [request.want.order_id for request in bench.asked if request.want] == ["0d" * 16] * 2
    bench.begin().obey([order()])
    await bench.until(START + 12 * HOUR + 300)
    assert len(bench.loads) == 2
    assert bench.runner.status().orders == (told,)
    bench.runner.obey([])
    assert bench.runner.status().orders == ()
    assert bench.told >= 5


async def test_an_order_goes_before_the_plan_and_looks_at_users_unless_told_not_to(
    tmp_path: Path,
) -> None:
    first = due(COUNTED)[0]
    bench = Bench(tmp_path, COUNTED, wall_s=first - 1)
    await bench.runner.step()
    bench.clock.advance(30 * SECOND)
    bench.users_bits_per_s = 60 * MBIT
    bench.runner.obey([order(), order(order_id="0e" * 16, gate=False)])
    await bench.until(first + 200)
    assert [job.order_id for _, job, _, _ in bench.loads] == ["0e" * 16] * 2
    waiting = bench.runner.status().orders[0]
    assert (waiting.state, waiting.detail) == (
        OrderState.GATE,
        "users are busy; looking again in 300 s",
    )


@pytest.mark.parametrize(
    ("changes", "rate", "seconds"),
    [
        ({"bits_per_s": 5 * MBIT}, 5 * MBIT, 10),
        ({"bits_per_s": 900 * MBIT}, round(1.2 * 97_276_265), 10),
        ({"load": Load.STEPS, "steps": (0.5, 1.0), "duration_s": 5.0}, 97_276_265, 10),
        ({"load": Load.SEARCH}, round(1.2 * 97_276_265), 10),
        ({"load": Load.SEARCH, "bits_per_s": 50 * MBIT}, 50 * MBIT, 10),
        ({"method": Method.TCP, "flows": 4}, round(1.2 * 97_276_265), 10),
    ],
)
async def test_what_an_order_asks_for_is_what_the_slot_is_asked_for(
    tmp_path: Path, changes: dict[str, object], rate: int, seconds: float
) -> None:
    bench = Bench(tmp_path, COUNTED, wall_s=START + 12 * HOUR)
    bench.runner.obey([order(directions=(Direction.UP,), **changes)])
    await bench.until(START + 12 * HOUR + 60)
    want = bench.asked[0].want
    assert want is not None
    assert (want.bits_per_s, want.duration_s, want.direction) == (rate, seconds, Direction.UP)
    assert want.method is changes.get("method", Method.UDP)


async def test_an_order_that_is_withdrawn_while_it_waits_is_not_made(tmp_path: Path) -> None:
    bench = Bench(tmp_path, COUNTED, wall_s=START + 12 * HOUR)
    bench.runner.obey([order()])
    asked: list[object] = []

    def answer(want: object) -> dict[str, object]:
        asked.append(want)
        if len(asked) == 3:
            bench.runner.obey([])
        return {"wait_s": 5.0}

    bench.answer = answer
    await bench.until(START + 12 * HOUR + 300)
    assert (len(asked), bench.loads, bench.runner.status().orders) == (3, [], ())


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"link": "l9"}, "this box has no plan for the link"),
        ({"directions": (Direction.UP,)}, "the plan has no rate that way"),
    ],
)
async def test_an_order_that_cannot_be_obeyed_says_why(
    tmp_path: Path, changes: dict[str, object], said: str
) -> None:
    down_only = msgspec.structs.replace(COUNTED, up_bits_per_s=None)
    bench = Bench(tmp_path, down_only, wall_s=START + 12 * HOUR)
    bench.runner.obey([order(**changes)])
    await bench.until(START + 12 * HOUR + 60)
    (told,) = bench.runner.status().orders
    assert (told.state, told.detail, bench.loads) == (OrderState.FAILED, said, [])


async def test_an_order_that_was_cut_by_a_restart_has_failed(tmp_path: Path) -> None:
    bench = Bench(tmp_path, COUNTED, wall_s=START + 12 * HOUR)

    class PowerCut(BaseException):
        pass

    def cut(_: Job) -> Exception:
        raise PowerCut

    bench.result = cut
    bench.runner.obey([order()])
    with pytest.raises(PowerCut):
        await bench.until(START + 12 * HOUR + 60)
    bench.begin().obey([order()])
    (told,) = bench.runner.status().orders
    assert (told.state, told.detail) == (OrderState.FAILED, "the agent ended during the test")


async def test_an_order_beyond_the_budget_is_skipped_and_says_so(tmp_path: Path) -> None:
    bench = Bench(
        tmp_path, msgspec.structs.replace(COUNTED, budget_bytes=10**6), wall_s=START + 12 * HOUR
    )
    bench.runner.obey([order()])
    await bench.until(START + 12 * HOUR + 60)
    (told,) = bench.runner.status().orders
    assert told.state is OrderState.SKIPPED
    assert [one.end for one in told.figures] == [End.BUDGET] * 2


async def test_two_links_of_a_box_are_tested_one_after_the_other(tmp_path: Path) -> None:
    plans = [msgspec.structs.replace(COUNTED, link=link) for link in ("l1", "l2", "l3")]
    bench = Bench(tmp_path, *plans, wall_s=START)
    await bench.until(START + 24 * HOUR)
    assert Counter(job.plan.link for _, job, _, _ in bench.loads) == {
        one.link: len(day_legs(one, SECRET, DAY)) for one in plans
    }
