"""The STAMP sender against a real reflector on loopback, good and bad."""

import asyncio
import itertools
import socket
import struct
from collections.abc import Callable, Sequence

import pytest

from agent.measure import Measure
from agent.sockets import Address, RealNetwork
from agent.stamps import Arrival, Sent
from runtime.clock import SECOND, SystemClock
from tests.agent.measure_kit import (
    KEY,
    FakeChannel,
    FakeNetwork,
    LaterClock,
    Reflector,
    reflect,
    rows,
    run_for,
    run_with_jumps,
    target,
)
from wire import stamp
from wire.journal import Anchor
from wire.observation import Observation, Outcome, StampSource, Train
from wire.policy import Target


def measure(*targets: Target, key: bytes | None = KEY) -> Measure:
    clock = SystemClock()
    return Measure(targets, clock=clock, stamp_key=key, network=RealNetwork(clock))


def outcomes(found: Sequence[Observation]) -> set[Outcome]:
    return {row.outcome for row in found}


@pytest.mark.parametrize("authenticated", [False, True])
@pytest.mark.parametrize(("family", "host"), [(socket.AF_INET, "127.0.0.1"), (10, "::1")])
async def test_a_reflector_that_answers_is_measured_packet_by_packet(
    authenticated: bool, family: int, host: str
) -> None:
    with Reflector(key=KEY if authenticated else None, family=family) as reflector:
        one = target(
            address=host,
            port=reflector.port,
            ssid=4711,
            authenticated=authenticated,
            size=60,
        )
        records = await run_for(measure(one), 0.35)
    found = rows(records)
    assert 5 <= len(found) <= 8
    assert outcomes(found) == {Outcome.OK}
    assert {row.stamp for row in found} == {StampSource.KERNEL}
    assert all(0 < (row.rtt_ns or 0) < 200_000_000 for row in found)
    assert [row.seq for row in found] == list(range(len(found)))
    assert [row.reflector_seq for row in found] == list(range(len(found)))
    assert {row.ttl for row in found} == {64}
    assert [packet.seq for packet in reflector.seen] == [row.seq for row in found]
    assert {packet.ssid for packet in reflector.seen} == {4711}
    assert all(stamp.error_ns(packet.error_estimate) for packet in reflector.seen)
    assert set(reflector.sizes) == {60 + (112 if authenticated else 44)}


async def test_v3_7_round_trip_forward_way_and_offset_of_the_hub() -> None:
    """T1 = .5000, T2 = .5130, T3 = .5132, T4 = .5242: 24.0 ms, 13.0 ms, +1.0 ms."""
    clock = LaterClock()
    network = FakeNetwork(clock)
    moments: list[Sent] = []

    def deliver(channel: FakeChannel, packet: bytes, sent: Sent, address: Address | None) -> None:
        asked = stamp.parse_sender(packet, KEY)
        sent.kernel_ns = sent.wall_ns
        moments.append(sent)
        reply = stamp.ReflectorPacket(
            seq=asked.seq,
            timestamp=stamp.ntp64(sent.wall_ns + 13_200_000),
            error_estimate=1,
            ssid=asked.ssid,
            receive_timestamp=stamp.ntp64(sent.wall_ns + 13_000_000),
            sender_seq=asked.seq,
            sender_timestamp=asked.timestamp,
            sender_error_estimate=asked.error_estimate,
            sender_ttl=255,
        )
        boot_ns, wall_ns = sent.boot_ns + 24_200_000, sent.wall_ns + 24_200_000
        data = stamp.pack_reflector(reply, KEY)
        channel.arrivals.append(Arrival(data, "192.0.2.1", boot_ns, wall_ns, wall_ns, 60))

    network.deliver = deliver
    anchors: list[Anchor] = []
    one = target(authenticated=True)
    meter = Measure([one], clock=clock, stamp_key=KEY, network=network, anchor=anchors.append)
    found = rows(await run_for(meter, 0.12))
    assert found
    for row, sent, anchor in zip(found, moments, anchors, strict=True):
        assert row.rtt_ns == pytest.approx(24_000_000, abs=2)
        assert row.stamp is StampSource.KERNEL
        assert row.forward_us == pytest.approx(13_000, abs=1)
        here_ns = sent.wall_ns + anchor.boot_ns - sent.boot_ns
        assert anchor.hub_wall_ns - here_ns == pytest.approx(1_000_000, abs=2)
        assert anchor.error_ns == pytest.approx(12_100_000, abs=1)


async def test_packets_are_spaced_by_the_interval_and_its_jitter() -> None:
    with Reflector() as reflector:
        found = rows(await run_for(measure(target(port=reflector.port, interval_s=0.1)), 0.9))
    spaces = [b.sent_boot_ns - a.sent_boot_ns for a, b in itertools.pairwise(found)]
    assert min(spaces) > 60_000_000
    assert sum(spaces) / len(spaces) == pytest.approx(100_000_000, rel=0.08)


async def test_the_time_that_the_reflector_kept_the_packet_is_not_in_the_rtt() -> None:
    with Reflector(residence_s=0.03) as reflector:
        found = rows(await run_for(measure(target(port=reflector.port)), 0.4))
    assert outcomes(found) == {Outcome.OK}
    assert sorted(row.rtt_ns or 0 for row in found)[len(found) // 2] < 10_000_000


async def test_a_reflector_that_keeps_silent_is_a_timeout() -> None:
    with Reflector(answer=lambda n, reply: []) as reflector:
        found = rows(await run_for(measure(target(port=reflector.port)), 0.45))
    assert outcomes(found) == {Outcome.TIMEOUT, Outcome.ABORTED}
    assert {row.rtt_ns for row in found} == {None}


async def test_a_closed_port_is_refused_by_its_machine_and_no_loss_of_the_way() -> None:
    with Reflector() as reflector:
        port = reflector.port
    found = rows(await run_for(measure(target(port=port)), 0.4))
    assert outcomes(found) == {Outcome.REFUSED}
    assert len(found) >= 5


async def test_every_second_reply_lost_is_every_second_packet_lost() -> None:
    with Reflector(answer=lambda n, reply: [reply] if n % 2 else []) as reflector:
        found = rows(await run_for(measure(target(port=reflector.port, timeout_s=0.1)), 0.6))
    settled = [row for row in found if row.outcome is not Outcome.ABORTED]
    assert [row.outcome for row in settled[:8]] == [Outcome.OK, Outcome.TIMEOUT] * 4
    heard = [row.reflector_seq for row in settled if row.outcome is Outcome.OK]
    assert heard == list(range(0, 2 * len(heard), 2))


async def test_duplicated_replies_are_counted_once_each() -> None:
    meter = None
    with Reflector(answer=lambda n, reply: [reply, reply, reply]) as reflector:
        meter = measure(target(port=reflector.port))
        found = rows(await run_for(meter, 0.3))
    assert outcomes(found) == {Outcome.OK}
    assert meter.self_error().duplicates == 2 * len(found)


def _forged(reply: bytes, at: int, new: bytes) -> bytes:
    return reply[:at] + new + reply[at + len(new) :]


@pytest.mark.parametrize(
    ("case", "authenticated", "answer", "expected"),
    [
        ("a wrong timestamp", False, lambda n, r: [_forged(r, 28, bytes(8))], Outcome.BAD_REPLY),
        ("a wrong HMAC", True, lambda n, r: [_forged(r, 96, bytes(16))], Outcome.BAD_REPLY),
        ("a number never sent", False, lambda n, r: [_forged(r, 24, b"\xff" * 4)], Outcome.TIMEOUT),
        ("a short reply", False, lambda n, r: [r[:43]], Outcome.TIMEOUT),
        ("nothing in it", False, lambda n, r: [b""], Outcome.TIMEOUT),
        ("an open reply where a sealed one is due", True, lambda n, r: [r[:44]], Outcome.TIMEOUT),
    ],
)
async def test_what_is_not_the_reply_is_never_taken_for_it(
    case: str,
    authenticated: bool,
    answer: Callable[[int, bytes], Sequence[bytes]],
    expected: Outcome,
) -> None:
    key = KEY if authenticated else None
    with Reflector(key=key, answer=answer) as reflector:
        one = target(port=reflector.port, authenticated=authenticated, timeout_s=0.1)
        found = rows(await run_for(measure(one), 0.25))
    assert outcomes(found) <= {expected, Outcome.ABORTED}, case
    assert expected in outcomes(found)


async def test_a_replayed_reply_does_not_answer_a_new_packet() -> None:
    kept: list[bytes] = []

    def replay(n: int, reply: bytes) -> list[bytes]:
        kept.append(reply)
        return [kept[0]]

    with Reflector(answer=replay) as reflector:
        found = rows(await run_for(measure(target(port=reflector.port, timeout_s=0.1)), 0.35))
    assert found[0].outcome is Outcome.OK
    assert outcomes(found[1:]) <= {Outcome.TIMEOUT, Outcome.ABORTED}


async def test_a_reply_after_the_timeout_is_late_and_lost() -> None:
    with Reflector(residence_s=0.12) as reflector:
        meter = measure(target(port=reflector.port, interval_s=0.15, timeout_s=0.1))
        found = rows(await run_for(meter, 0.55))
    assert outcomes(found) <= {Outcome.TIMEOUT, Outcome.ABORTED}
    assert meter.self_error().late >= 2


async def test_authenticated_without_a_key_measures_nothing_and_says_why() -> None:
    meter = measure(target(authenticated=True, port=9), key=None)
    assert await run_for(meter, 0.2) == []
    assert "needs the key" in meter.notes()[0]


async def test_an_interface_that_is_not_there_is_not_sent_and_never_loss() -> None:
    meter = measure(target(interface="nope0", port=9))
    found = rows(await run_for(meter, 0.3))
    assert outcomes(found) == {Outcome.NOT_SENT}
    assert "No such device" in meter.notes()[0]


def silent_measure() -> tuple[Measure, FakeNetwork, LaterClock]:
    clock = LaterClock()
    network = FakeNetwork(clock)
    one = target(interval_s=0.02, timeout_s=0.05, port=862)
    return Measure([one], clock=clock, stamp_key=None, network=network), network, clock


async def test_after_long_silence_the_source_port_is_renewed_and_numbers_go_on() -> None:
    meter, network, clock = silent_measure()
    records = await run_with_jumps(meter, clock, 61 * SECOND)
    assert len(network.channels) == 2
    first, second = network.channels
    assert first.closed
    assert first.sent
    numbers = [stamp.parse_sender(packet).seq for packet, _, _ in first.sent + second.sent]
    assert numbers == sorted(set(numbers))
    accounted = [row.seq for row in rows(records)]
    assert set(numbers) == set(accounted)


async def test_a_source_address_that_changed_is_noticed_within_seconds() -> None:
    meter, network, clock = silent_measure()
    network.deliver = _move
    await run_with_jumps(meter, clock, 6 * SECOND)
    assert len(network.channels) == 2


async def test_a_session_that_is_answered_keeps_its_socket() -> None:
    meter, network, clock = silent_measure()
    network.deliver = _reflect_and_move
    await run_with_jumps(meter, clock, 3 * SECOND, jumps=20)
    assert len(network.channels) == 1


def _move(channel: FakeChannel, *_: object) -> None:
    channel.has_moved = len(channel._network.channels) == 1


def _reflect_and_move(channel: FakeChannel, *packet: object) -> None:
    channel.has_moved = True
    reflect(channel, *packet)  # type: ignore[arg-type]


async def test_replies_dropped_by_this_machine_are_a_local_error_and_not_loss() -> None:
    clock = SystemClock()
    network = FakeNetwork(clock)

    def overflow(channel: FakeChannel, *_: object) -> None:
        channel.drops += 1

    network.deliver = overflow
    one = target(interval_s=0.02, timeout_s=0.1, port=862)
    meter = Measure([one], clock=clock, stamp_key=None, network=network)
    async with asyncio.TaskGroup() as group:
        task = group.create_task(meter.run())
        records: list[object] = []
        for _ in range(20):
            await asyncio.sleep(0.02)
            records += meter.settled()
        task.cancel()
    meter.close()
    trains = [record for record in records if isinstance(record, Train)]
    assert {outcome for train in trains for outcome in train.outcome} == {Outcome.LOCAL_ERROR}


def test_the_forgeries_above_hit_the_fields_they_mean() -> None:
    reply = stamp.ReflectorPacket(1, 2, 3, 4, 5, 6, 7, 8, 9)
    packed = stamp.pack_reflector(reply)
    assert struct.unpack_from(">IQ", packed, 24) == (6, 7)
