"""Tests by UDP and TCP against a real hub's port over loopback: what is offered is counted."""

import asyncio
import socket
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from agent.probes import throughput
from agent.probes.throughput import Means
from agent.throughput.job import Job, Stage
from collector import capacity
from collector.throughput.session import End
from tests.throughput_kit import CLOCK, Door, door, grant, plan
from wire.codec import decode_record, encode_record
from wire.detail import Reading
from wire.load import Step
from wire.observation import Outcome
from wire.slot import Direction, Method
from wire.transfer import Transfer, TransferOutcome

BOTH_WAYS = pytest.mark.parametrize("direction", [Direction.DOWN, Direction.UP])
MADE = {TransferOutcome.DONE, TransferOutcome.UNFIT, TransferOutcome.HUB_UNFIT}
"""A machine that is pushed aside while it sends says so: that is not this test's matter."""


@pytest.fixture(scope="module")
def hub() -> "Door":  # type: ignore[misc]
    with door() as opened:
        yield opened


async def made(hub: Door, **changes: object) -> Transfer:
    """One test to its end; kept and read as evidence."""
    plan_ = changes.pop("plan", plan())
    given = grant(hub.port, **changes)
    hub.porter.expect(given)
    transfer = await throughput.run(given, plan_, Means(clock=CLOCK))  # type: ignore[arg-type]
    assert decode_record(encode_record(transfer)) == transfer
    assert (transfer.slot_id, transfer.link) == (given.slot_id, "l1")
    return transfer


@BOTH_WAYS
async def test_udp_arrives_as_it_was_offered(hub: Door, direction: Direction) -> None:
    transfer = await made(hub, direction=direction)
    assert transfer.outcome in MADE, transfer.note
    assert transfer.slot_id is not None
    assert hub.end(transfer.slot_id).end is End.DONE
    assert transfer.packets is not None and transfer.sent_packets is not None
    came = sum(transfer.packets)
    assert sum(transfer.octets) == came * 1500
    assert transfer.lost is not None and transfer.headers is not None
    assert came + sum(transfer.lost) >= transfer.sent_packets * 0.99
    unsent = transfer.unsent_packets or 0
    assert transfer.sent_packets + unsent == pytest.approx(10e6 / 12_000, rel=0.02)
    assert (transfer.headers.ip, transfer.headers.transport) == (20, 8)
    assert transfer.headers.packet == 1500
    assert [one.bits_per_s for one in transfer.offered] == [10_000_000]
    assert len(transfer.octets) == 10
    assert any(one is not None for one in transfer.rtt_idle_ns)
    assert any(one is not None for one in transfer.rtt_load_ns)
    assert min(one for one in transfer.delay_us if one is not None) >= 0
    assert transfer.hub is not None and transfer.hub.slots == 1
    assert transfer.box is not None and transfer.box.selftest_offered_bits_per_s == 10_000_000


@BOTH_WAYS
async def test_tcp_flows_are_told_by_both_kernels(hub: Door, direction: Direction) -> None:
    transfer = await made(
        hub, method=Method.TCP, direction=direction, flows=4, plan=plan(20_000_000)
    )
    assert transfer.outcome in MADE, transfer.note
    assert len(transfer.tcp) == 4
    for flow in transfer.tcp:
        assert flow.received_bytes and flow.bytes_acked and flow.busy_ns
        # The reset at the end may overtake an acknowledgement, and what lies unread.
        assert flow.received_bytes == pytest.approx(flow.bytes_acked, rel=0.2)
        assert flow.min_rtt_ns is not None and flow.congestion
        assert flow.rtt_ns
    payload = sum(flow.received_bytes or 0 for flow in transfer.tcp)
    assert payload < sum(transfer.octets) < payload * 1.1
    assert any(one is not None for one in transfer.connect_load_ns)
    assert capacity.responsiveness(transfer) is not None or transfer.rtt_load_ns


@BOTH_WAYS
async def test_a_search_climbs_until_its_bound(hub: Door, direction: Direction) -> None:
    searching = plan(15_000_000, search=True)
    transfer = await made(hub, direction=direction, plan=searching)
    offers = [one.bits_per_s for one in transfer.offered]
    assert offers[:2] == [75_000, 1_500_000]
    assert max(offers) == 15_000_000
    assert transfer.outcome in MADE


async def test_a_staircase_is_told_step_by_step(hub: Door) -> None:
    steps = tuple(Step(bits_per_s=rate, seconds=0.4) for rate in (2_000_000, 8_000_000))
    transfer = await made(hub, plan=plan(steps=steps))
    stages = capacity.stages(transfer)
    assert [offered for offered, _ in stages] == [2_000_000, 8_000_000]
    for offered, rate in stages:
        assert rate == pytest.approx(offered, rel=0.15)


async def test_ipv6_has_its_own_header(hub: Door) -> None:
    if not Path("/proc/net/if_inet6").exists():
        pytest.skip("no IPv6 here")
    with door("::1") as six:
        transfer = await made(six, address="::1")
    assert transfer.headers is not None and transfer.headers.ip == 40
    assert transfer.packets is not None
    assert sum(transfer.octets) == sum(transfer.packets) * 1500


async def test_the_router_is_read_before_during_and_after(hub: Door) -> None:
    readings = 0
    stages: list[Stage] = []

    async def counters() -> Reading:
        nonlocal readings
        readings += 1
        return Reading(link="l1", target="cpe", boot_ns=CLOCK.boot_ns(), outcome=Outcome.OK)

    async def heard(stage: Stage) -> None:
        stages.append(stage)

    given = grant(hub.port)
    hub.porter.expect(given)
    means = Means(clock=CLOCK, counters=counters, progress=heard)
    transfer = await throughput.run(given, plan(seconds=0.5), means)
    assert stages == [Stage.PROVING, Stage.WAITING, Stage.LOADING, Stage.ENDING]
    assert len(transfer.cpe) == readings == 3
    before, during, after = (one.boot_ns for one in transfer.cpe)
    assert before < transfer.boot_ns
    assert transfer.duration_ns is not None
    assert during < after and after >= transfer.boot_ns + transfer.duration_ns // 2


async def test_a_box_that_cannot_carry_it_accuses_nobody(hub: Door) -> None:
    transfer = await made(hub, plan=plan(1_000_000, 0.3, cir_bits_per_s=90_000_000_000))
    assert transfer.outcome is TransferOutcome.UNFIT
    assert transfer.box is not None and not transfer.box.fit
    assert transfer.box.selftest_offered_bits_per_s == 100_000_000_000 or "carried" in transfer.note
    assert sum(transfer.octets) > 0
    assert capacity.usable(transfer) == "unfit"


async def test_nobody_there_is_unreachable() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    transfer = await throughput.run(grant(port), plan(), Means(clock=CLOCK))
    assert transfer.outcome is TransferOutcome.UNREACHABLE


async def test_a_slot_that_the_hub_does_not_know_fails(hub: Door) -> None:
    transfer = await throughput.run(grant(hub.port), plan(), Means(clock=CLOCK))
    assert transfer.outcome is TransferOutcome.FAILED
    assert transfer.note == "the hub does not know this slot"
    assert transfer.octets == []


async def test_more_than_granted_is_refused_by_the_hub(hub: Door) -> None:
    transfer = await made(hub, plan=plan(30_000_000))
    assert transfer.outcome is TransferOutcome.REFUSED
    assert transfer.note == "rate is not as granted"


async def test_a_cancelled_test_leaves_no_process(hub: Door) -> None:
    given = grant(hub.port, duration_s=20)
    hub.porter.expect(given)
    loading = asyncio.Event()

    async def progress(stage: Stage) -> None:
        if stage is Stage.LOADING:
            loading.set()

    means = Means(clock=CLOCK, progress=progress)
    async with asyncio.TaskGroup() as group:
        task = group.create_task(throughput.run(given, plan(seconds=20), means))
        async with asyncio.timeout(20):
            await loading.wait()
        task.cancel()
    assert task.cancelled()
    assert hub.end(given.slot_id).end is End.BROKEN


def test_a_worker_whose_agent_has_gone_ends() -> None:
    command = [sys.executable, "-P", "-m", "agent.throughput.worker"]
    worker = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert worker.stdin is not None and worker.stdout is not None
    with socket.create_server(("127.0.0.1", 0)) as silent:
        job = Job(grant=grant(silent.getsockname()[1]), plan=plan())
        worker.stdin.write(msgspec.json.encode(job) + b"\n")
        worker.stdin.flush()
        assert b"proving" in worker.stdout.readline()
        worker.stdin.close()
        assert worker.wait(timeout=10) == 1
    worker.stdout.close()
    assert "key" not in repr(job)
