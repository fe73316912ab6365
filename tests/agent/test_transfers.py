"""From a job to a plan of load, and from a Transfer to what is shown and booked."""

from typing import Any

import msgspec
import pytest

from agent.gate import Cross, Quality
from agent.jobs import Job
from agent.logbook import Started
from agent.runner import Seen
from agent.transfers import Transfers, Web, carried_bytes, figures, load_plan, on_a_port
from runtime.clock import SECOND, instant
from runtime.testing import FakeClock
from tests.agent.test_plan import plan
from tests.throughput_kit import grant
from wire.load import Ca
from wire.message import End
from wire.plan import Layer, Load
from wire.slot import Direction, Method
from wire.transfer import Box, Flow, Headers, Offer, Purpose, Transfer, TransferOutcome

M = 1_000_000
WEB = Web("https://hub.example:8460/", None)
PLAN = plan(down_bits_per_s=100 * M, up_bits_per_s=100 * M, layer=Layer.IP)


def job(**changes: Any) -> Job:
    fields: dict[str, Any] = {
        "key": "k",
        "plan": PLAN,
        "direction": Direction.UP,
        "method": Method.UDP,
        "duration_s": 10.0,
        "flows": 1,
    }
    return Job(**fields | changes)


def transfer(**changes: Any) -> Transfer:
    """Ten seconds at 70 Mbit/s of 80 offered."""
    fields: dict[str, Any] = {
        "link": "l1",
        "boot_ns": SECOND,
        "direction": Direction.UP,
        "method": Method.UDP,
        "purpose": Purpose.PLANNED,
        "outcome": TransferOutcome.DONE,
        "duration_ns": 10 * SECOND,
        "octets": [875_000] * 100,
        "offered": (Offer(0, 80 * M),),
        "sent_packets": 66_667,
        "headers": Headers(ip=20, transport=8, packet=1500),
    }
    return Transfer(**fields | changes)


@pytest.mark.parametrize(
    ("changes", "purpose", "rates", "search"),
    [
        ({}, Purpose.PLANNED, [95 * M], False),
        ({"order_id": "o"}, Purpose.ORDERED, [95 * M], False),
        ({"order_id": "o", "load": Load.SEARCH}, Purpose.ACCEPTANCE, [95 * M], True),
        (
            {"order_id": "o", "load": Load.SEARCH, "method": Method.TCP},
            Purpose.ACCEPTANCE,
            [95 * M],
            False,
        ),
        (
            {"order_id": "o", "load": Load.STEPS, "steps": (0.5, 1.0)},
            Purpose.ACCEPTANCE,
            [50 * M, 95 * M],
            False,
        ),
    ],
)
def test_the_plan_of_a_load_is_the_jobs_and_within_its_rate(
    changes: dict[str, Any], purpose: Purpose, rates: list[int], search: bool
) -> None:
    made = load_plan(job(**changes), 95 * M, WEB)
    assert (made.purpose, made.search, made.url) == (purpose, search, None)
    assert [step.bits_per_s for step in made.steps] == rates
    assert made.cir_bits_per_s == 100 * M
    assert made.seconds == 10.0 * len(rates)


def test_ndt7_goes_to_the_hubs_own_page_with_the_hubs_authority() -> None:
    made = load_plan(job(method=Method.NDT7), M, WEB)
    assert (made.url, made.ca) == ("wss://hub.example:8460", Ca.SYSTEM)
    own = load_plan(job(method=Method.NDT7), M, Web("http://198.51.100.1:8460", "/hub.pem"))
    assert (own.url, own.ca) == ("ws://198.51.100.1:8460", "/hub.pem")


def test_what_is_shown_of_each_kind_of_load() -> None:
    told = figures(job(), transfer(), Cross(1.0, 2e6))
    assert (told.end, told.bits_per_s, told.offered_bits_per_s) == (End.DONE, 70e6, 80e6)
    assert told.cross_bits_per_s == 2e6
    steps = job(order_id="o", load=Load.STEPS, steps=(0.5, 0.8))
    climbed = transfer(
        offered=(Offer(0, 50 * M), Offer(5 * SECOND, 80 * M)),
        octets=[625_000] * 50 + [875_000] * 50,
    )
    told = figures(steps, climbed, None)
    assert (told.offered_bits_per_s, told.bits_per_s) == (80e6, 70e6)
    assert told.detail == "steps, Mbit/s: 50.00 of 50.00, 70.00 of 80.00"
    best = transfer(octets=[625_000] * 90 + [1_000_000] * 10)
    told = figures(job(order_id="o", load=Load.SEARCH), best, None)
    assert (told.offered_bits_per_s, told.bits_per_s) == (None, 80e6)
    unfit = figures(job(), transfer(outcome=TransferOutcome.UNFIT, note="slow"), None)
    assert (unfit.end, unfit.bits_per_s, unfit.detail) == (End.UNFIT, 70e6, "slow")
    broken = figures(job(), transfer(outcome=TransferOutcome.FAILED), None)
    assert (broken.end, broken.bits_per_s) == (End.FAILED, None)


def test_what_a_test_has_cost() -> None:
    assert carried_bytes(transfer()) == 66_667 * 1500
    flow = Flow(bytes_sent=1448 * 1000)
    headers = Headers(ip=20, transport=32, packet=1500)
    tcp = transfer(sent_packets=None, octets=[1], tcp=(flow,), headers=headers)
    assert carried_bytes(tcp) == 1500 * 1000
    for outcome, cost in (("refused", 0), ("unreachable", 0), ("failed", None), ("aborted", None)):
        assert carried_bytes(transfer(outcome=TransferOutcome(outcome), octets=[])) == cost


def test_a_port_slower_than_the_plan_asks_for_accuses_nobody() -> None:
    slow = transfer(box=Box(fit=True, speed_mbps=100))
    found = on_a_port(slow, PLAN)
    assert found.outcome is TransferOutcome.UNFIT
    assert found.note == "the box's port runs at 100 Mbit/s, 200 are needed"
    fast = transfer(box=Box(fit=True, speed_mbps=1000))
    assert on_a_port(fast, PLAN) is fast
    assert on_a_port(transfer(), PLAN).outcome is TransferOutcome.DONE


@pytest.mark.parametrize(
    ("end", "outcome"),
    [
        (End.BUSY, "skipped_busy"),
        (End.BLIND, "skipped_blind"),
        (End.BUDGET, "skipped_budget"),
        (End.NO_SLOT, "no_slot"),
        (End.MISSED, "skipped_missed"),
        (End.FAILED, "failed"),
    ],
)
def test_a_test_that_is_not_made_is_evidence_of_why(end: End, outcome: str) -> None:
    (made,) = Transfers(FakeClock(), WEB).skipped(job(due_s=5.0), end, Cross(0.0, 40e6))
    assert isinstance(made, Transfer)
    assert made.outcome == outcome
    assert made.note == "due at 5; users took 40.00 of 100.00 Mbit/s"


async def test_a_load_that_broke_off_has_its_interval(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = FakeClock()
    loads = Transfers(clock, WEB)
    stages: list[str] = []

    async def run(_grant: Any, _plan: Any, means: Any) -> Transfer:
        await means.progress("waiting")
        clock.advance(SECOND)
        await means.progress("loading")
        clock.advance(3 * SECOND)
        raise OSError("gone")

    monkeypatch.setattr("agent.probes.throughput.run", run)
    seen, given = Seen(M, Quality.A, None, None, stages.append), grant(1)
    began_ns = clock.boot_ns() + SECOND
    with pytest.raises(OSError, match="gone"):
        await loads.run(given, job(), seen)
    (stopped,) = loads.aborted()
    assert isinstance(stopped, Transfer)
    assert stopped.outcome is TransferOutcome.ABORTED
    (failed,) = loads.skipped(job(), End.FAILED, None)
    for one in (stopped, failed):
        assert isinstance(one, Transfer)
        assert (one.boot_ns, one.duration_ns) == (began_ns, 3 * SECOND)
        assert one.slot_id == given.slot_id
    assert loads.aborted() == ()
    assert stages == ["round trips without load", "load is on the link"]


def started(clock: FakeClock, **changes: Any) -> Started:
    fields: dict[str, Any] = {
        "link": "l1",
        "direction": Direction.UP,
        "method": Method.UDP,
        "purpose": Purpose.PLANNED,
        "flows": 1,
        "cir_bits_per_s": 100 * M,
        "load_s": 10.0,
        "slot_id": "5b" * 16,
        "begun": instant(clock),
    }
    return Started(**fields | changes)


def owned(clock: FakeClock, test: Started) -> Transfer:
    (told,) = Transfers(clock, WEB).interrupted(test)
    assert isinstance(told, Transfer)
    assert told.outcome is TransferOutcome.ABORTED
    assert (told.slot_id, told.direction, told.boot_ns) == ("5b" * 16, "up", clock.boot_ns())
    return told


def test_a_life_tells_of_the_test_in_which_the_former_one_ended() -> None:
    clock = FakeClock()
    test = started(clock)
    clock.advance(2 * SECOND)
    loaded = msgspec.structs.replace(test, loading=instant(clock))
    clock.advance(4 * SECOND)
    # The load may go on as long as the process, which ended in these four seconds.
    told = owned(clock, loaded)
    assert (told.ago_ns, told.duration_ns) == (4 * SECOND, 4 * SECOND)
    assert told.note.endswith("its load began, 2026-09-21T14:13:22Z")
    clock.advance(3600 * SECOND)
    told = owned(clock, loaded)
    assert (told.ago_ns, told.duration_ns) == (3604 * SECOND, 10 * SECOND)
    told = owned(clock, test)
    assert (told.ago_ns, told.duration_ns) == (3606 * SECOND, None)
    assert "no load had begun" in told.note


def test_across_a_boot_the_wall_clock_tells_when_it_was_if_it_can() -> None:
    before = FakeClock(boot_ns=9_000 * SECOND)
    test = started(before, loading=instant(before))
    after = FakeClock(
        boot_ns=30 * SECOND, wall_ns=before.wall_ns() + 600 * SECOND, boot_id="c" * 32
    )
    assert (owned(after, test).ago_ns, owned(after, test).duration_ns) == (
        600 * SECOND,
        10 * SECOND,
    )
    lost = FakeClock(boot_ns=30 * SECOND, wall_ns=0, boot_id="c" * 32)
    assert (owned(lost, test).ago_ns, owned(lost, test).duration_ns) == (None, None)
