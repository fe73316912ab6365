"""The measuring half as a whole: policies come and go, things fail, time stands still."""

import asyncio
import errno
import itertools
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest

from agent.measure import MAX_NOTES, Measure
from agent.recorder import Settled
from agent.sockets import Address, RealNetwork
from agent.stamps import Sent
from runtime.clock import MS, SECOND, SystemClock
from tests.agent.measure_kit import (
    FakeChannel,
    FakeNetwork,
    Reflector,
    gaps,
    reflect,
    rows,
    run_for,
    target,
)
from wire.codec import decode_record
from wire.journal import Gap, GapReason
from wire.observation import Outcome, StampSource, Train
from wire.policy import Target

CHILD = Path(__file__).with_name("measure_child.py")
FAST = target(interval_s=0.02, timeout_s=0.2, port=862)


def faked(*targets: Target) -> tuple[Measure, FakeNetwork]:
    clock = SystemClock()
    network = FakeNetwork(clock)
    network.deliver = reflect
    return Measure(targets, clock=clock, stamp_key=None, network=network), network


def numbers(records: Sequence[Settled], name: str = "hub") -> list[int]:
    """Sequence numbers of observations and gaps, in the order handed over."""
    found: list[int] = []
    for record in records:
        if record.target == name:
            assert record.first_seq is not None
            last = (
                record.last_seq if isinstance(record, Gap) else record.first_seq + len(record) - 1
            )
            assert last is not None
            found += range(record.first_seq, last + 1)
    return found


async def test_observations_are_handed_over_once_and_in_order_while_measuring() -> None:
    meter, _ = faked(FAST, msgspec.structs.replace(FAST, name="gw"))
    records: list[Settled] = []
    async with asyncio.TaskGroup() as group:
        task = group.create_task(meter.run())
        for _ in range(10):
            await asyncio.sleep(0.04)
            records += meter.settled()
        task.cancel()
    records += meter.abort()
    for name in ("hub", "gw"):
        found = numbers(records, name)
        assert found == list(range(len(found)))
        assert len(found) >= 16
    assert meter.abort() == []
    meter.close()


async def test_a_new_policy_leaves_unchanged_targets_undisturbed() -> None:
    gone = msgspec.structs.replace(FAST, name="gone")
    meter, network = faked(FAST, gone)
    async with asyncio.TaskGroup() as group:
        task = group.create_task(meter.run())
        await asyncio.sleep(0.15)
        moved = msgspec.structs.replace(FAST, name="moved", address="127.0.0.9")
        meter.replace([FAST, moved])
        await asyncio.sleep(0.15)
        moved_again = msgspec.structs.replace(moved, size=10)
        meter.replace([FAST, moved_again])
        await asyncio.sleep(0.15)
        meter.replace([FAST, moved_again, gone])
        await asyncio.sleep(0.15)
        task.cancel()
    records = meter.abort()
    meter.close()
    for name in ("hub", "gone", "moved"):
        found = numbers(records, name)
        assert found == list(range(len(found)))
    assert 25 <= len(numbers(records)) <= 33
    assert 10 <= len(numbers(records, "gone")) <= 18
    trains = [record for record in records if isinstance(record, Train)]
    assert {train.size for train in trains if train.target == "moved"} == {0, 10}
    hub_channels = [c for c in network.channels if c.address == ("127.0.0.1", 862)]
    assert len(hub_channels) == 3  # hub once, gone twice: a target that stays keeps its socket
    assert all(channel.closed for channel in network.channels)


async def test_a_policy_that_comes_before_the_start_is_the_one_measured() -> None:
    meter, _ = faked(FAST)
    meter.replace([msgspec.structs.replace(FAST, name="late")])
    records = await run_for(meter, 0.1)
    assert {record.target for record in records} == {"late"}


async def test_no_targets_at_all_is_a_policy_too_and_one_can_follow() -> None:
    meter, _ = faked()
    async with asyncio.TaskGroup() as group:
        task = group.create_task(meter.run())
        await asyncio.sleep(0.05)
        assert meter.settled() == []
        assert meter.status(10) == ()
        assert meter.self_error().slot_late_ns is None
        meter.replace([FAST])
        await asyncio.sleep(0.1)
        task.cancel()
    assert len(rows(meter.abort())) >= 3
    meter.close()


@pytest.mark.parametrize(
    ("number", "outcome"),
    [
        (errno.ENETUNREACH, Outcome.NOT_SENT),
        (errno.EHOSTUNREACH, Outcome.NOT_SENT),
        (errno.ENETDOWN, Outcome.NOT_SENT),
        (errno.ENODEV, Outcome.NOT_SENT),
        (errno.EADDRNOTAVAIL, Outcome.NOT_SENT),
        (errno.ENOBUFS, Outcome.LOCAL_ERROR),
        (errno.EAGAIN, Outcome.LOCAL_ERROR),
        (errno.EPERM, Outcome.LOCAL_ERROR),
        (errno.EMSGSIZE, Outcome.LOCAL_ERROR),
    ],
)
async def test_a_packet_that_did_not_leave_is_local_and_disturbs_no_other_target(
    number: int, outcome: Outcome
) -> None:
    bad = msgspec.structs.replace(FAST, name="bad", address="127.0.0.66")
    ping = msgspec.structs.replace(bad, name="ping", probe="icmp", port=None)
    meter, network = faked(FAST, bad, ping)
    network.failures["127.0.0.66"] = number
    records = await run_for(meter, 0.15)
    for name in ("bad", "ping"):
        assert {row.outcome for row in rows(records, name)} == {outcome}
        assert len(rows(records, name)) >= 5
    assert {row.outcome for row in rows(records)} == {Outcome.OK}
    assert any("bad of astinet: cannot send" in note for note in meter.notes())


async def test_a_trouble_that_passed_is_no_longer_noted() -> None:
    meter, network = faked(FAST)
    network.failures["127.0.0.1"] = errno.ENETUNREACH
    async with asyncio.TaskGroup() as group:
        task = group.create_task(meter.run())
        await asyncio.sleep(0.1)
        assert meter.notes() == ("hub of astinet: cannot send: ENETUNREACH",)
        network.failures.clear()
        await asyncio.sleep(0.1)
        assert meter.notes() == ()
        task.cancel()
    found = rows(meter.abort())
    meter.close()
    assert {row.outcome for row in found} == {Outcome.NOT_SENT, Outcome.OK}


async def test_after_failed_sends_the_socket_is_opened_anew() -> None:
    meter, network = faked(FAST)
    network.failures["127.0.0.1"] = errno.ENETUNREACH
    await run_for(meter, 0.3)
    assert len(network.channels) >= 3
    assert all(channel.closed for channel in network.channels)


async def test_an_interface_that_comes_back_is_used_again() -> None:
    ping = msgspec.structs.replace(FAST, probe="icmp", interface="ppp0", port=None)
    meter, network = faked(ping)
    network.deliver = lambda *_: None
    async with asyncio.TaskGroup() as group:
        task = group.create_task(meter.run())
        await asyncio.sleep(0.06)
        network.failures["127.0.0.1"] = errno.ENODEV  # ppp0 went; the socket is bound to it
        network.failures["ppp0"] = errno.ENODEV
        await asyncio.sleep(0.06)
        network.failures.clear()
        await asyncio.sleep(0.06)
        task.cancel()
    outcomes = [row.outcome for row in rows(meter.abort())]
    meter.close()
    assert [outcome for outcome, _ in itertools.groupby(outcomes)] == [
        Outcome.ABORTED,
        Outcome.NOT_SENT,
        Outcome.ABORTED,
    ]
    assert len(network.channels) == 2


async def test_what_cannot_be_measured_is_noted_once_and_the_rest_goes_on(
    caplog: pytest.LogCaptureFixture,
) -> None:
    unknown = [msgspec.structs.replace(FAST, name=f"n{k}", probe=f"probe{k}") for k in range(12)]
    named = msgspec.structs.replace(FAST, name="named", address="hub.example.com")
    meter, _ = faked(FAST, named, *unknown)
    async with asyncio.TaskGroup() as group:
        task = group.create_task(meter.run())
        await asyncio.sleep(0.06)
        meter.replace([FAST, named, *unknown])
        await asyncio.sleep(0.06)
        task.cancel()
    records = meter.abort()
    meter.close()
    assert {record.target for record in records} == {"hub"}
    assert len(meter.notes()) == MAX_NOTES
    assert "'hub.example.com' is not a literal IPv4 or IPv6 address" in meter.notes()
    assert sum("hub.example.com" in line for line in caplog.messages) == 1
    assert "this version has no probe 'probe3'" in caplog.text


@pytest.mark.parametrize("step_ns", [-3600 * SECOND, 3600 * SECOND])
async def test_a_wall_clock_that_steps_while_a_packet_is_away_changes_no_rtt(
    step_ns: int,
) -> None:
    class SteppingClock(SystemClock):
        stepped_ns = 0

        def wall_ns(self) -> int:
            return super().wall_ns() + self.stepped_ns

    clock = SteppingClock()
    network = FakeNetwork(clock)

    def deliver(channel: FakeChannel, packet: bytes, sent: Sent, address: Address | None) -> None:
        reflect(channel, packet, sent, address)
        arrival = channel.arrivals.pop()
        clock.stepped_ns += step_ns
        assert arrival.kernel_ns is not None
        channel.arrivals.append(
            arrival._replace(
                wall_ns=arrival.wall_ns + step_ns, kernel_ns=arrival.kernel_ns + step_ns
            )
        )

    network.deliver = deliver
    meter = Measure([FAST], clock=clock, stamp_key=None, network=network)
    found = rows(await run_for(meter, 0.1))
    assert {(row.outcome, row.stamp, row.rtt_ns) for row in found} == {
        (Outcome.OK, StampSource.USER, MS)
    }


async def test_a_bug_in_a_turn_ends_the_measuring_and_is_not_swallowed() -> None:
    meter, network = faked(FAST)

    def broken(*_: object) -> None:
        raise RuntimeError("a bug")

    network.deliver = broken
    with pytest.raises(ExceptionGroup) as caught:
        await asyncio.wait_for(meter.run(), 5)
    assert [str(error) for error in caught.value.exceptions] == ["a bug"]
    meter.close()


async def test_the_instrument_tells_its_own_error_since_the_last_look() -> None:
    meter, network = faked(FAST)

    def slow(channel: FakeChannel, packet: bytes, sent: Sent, address: Address | None) -> None:
        reflect(channel, packet, sent, address)
        sent.call_ns = 7 * MS

    network.deliver = slow
    async with asyncio.TaskGroup() as group:
        task = group.create_task(meter.run())
        await asyncio.sleep(0.1)
        error = meter.self_error()
        assert error.send_call_ns == 7 * MS
        assert error.slot_late_ns is not None
        assert 0 < error.slot_late_ns < SECOND
        assert meter.self_error().send_call_ns is None
        await asyncio.sleep(0.02)
        time.sleep(0.2)  # the loop is stalled on purpose
        await asyncio.sleep(0.05)
        error = meter.self_error()
        assert error.slots_missed >= 8
        task.cancel()
    records = meter.abort()
    meter.close()
    assert sum(gap.count or 0 for gap in gaps(records)) >= 8
    found = numbers(records)
    assert found == list(range(len(found)))


async def test_a_reply_that_waited_in_the_socket_while_the_loop_was_stalled_is_no_timeout() -> None:
    with Reflector() as reflector:
        clock = SystemClock()
        one = target(port=reflector.port, interval_s=0.05, timeout_s=0.1)
        meter = Measure([one], clock=clock, stamp_key=None, network=RealNetwork(clock))
        records: list[Settled] = []
        async with asyncio.TaskGroup() as group:
            task = group.create_task(meter.run())
            for _ in range(3):
                await asyncio.sleep(0.12)
                sent = len(reflector.seen)
                while len(reflector.seen) == sent:
                    await asyncio.sleep(0)
                time.sleep(0.3)
                records += meter.settled()
            task.cancel()
        records += meter.abort()
        meter.close()
    assert {row.outcome for row in rows(records)} == {Outcome.OK}
    assert max(row.rtt_ns or 0 for row in rows(records)) < 100 * MS
    assert {gap.reason for gap in gaps(records)} == {GapReason.STALLED}


def test_a_stopped_process_misses_its_slots_says_so_and_never_catches_up() -> None:
    interval_s, stopped_s = 0.1, 1.5
    with Reflector() as reflector:
        one = target(port=reflector.port, interval_s=interval_s, timeout_s=0.4)
        child = subprocess.Popen(
            [sys.executable, str(CHILD), "2.9"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert child.stdin is not None
        assert child.stdout is not None
        child.stdin.write(msgspec.json.encode([one]))
        child.stdin.close()
        assert child.stdout.readline() == b"ready\n"
        time.sleep(0.6)
        os.kill(child.pid, signal.SIGSTOP)
        time.sleep(stopped_s)
        os.kill(child.pid, signal.SIGCONT)
        *lines, _ = child.stdout.read().splitlines()
        assert child.wait(10) == 0
        child.stdout.close()
    records = [r for r in map(decode_record, lines) if isinstance(r, Train | Gap)]
    found = numbers(records, "hub")
    assert found == list(range(len(found)))
    assert len(found) == pytest.approx(29, abs=2)
    lost = gaps(records)
    assert all(gap.reason is GapReason.STALLED for gap in lost)
    assert sum(gap.count or 0 for gap in lost) == pytest.approx(stopped_s / interval_s, abs=2)
    assert all(gap.count == len(range(gap.first_seq or 0, (gap.last_seq or 0) + 1)) for gap in lost)
    observed = rows(records)
    assert {row.outcome for row in observed} == {Outcome.OK}
    assert {row.stamp for row in observed} == {StampSource.KERNEL}
    assert len(reflector.seen) == len(observed)
    spaces = [b.sent_boot_ns - a.sent_boot_ns for a, b in itertools.pairwise(observed)]
    assert min(spaces) > 0.4 * interval_s * SECOND
    assert max(spaces) > 1.3 * SECOND
