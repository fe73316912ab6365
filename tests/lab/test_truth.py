"""The truth log says what happened; its reader says what it says."""

import itertools
from pathlib import Path

import pytest

from runtime.clock import SystemClock
from runtime.lab.build import LabSettings
from runtime.lab.emulator import EmulatorSettings
from runtime.lab.link import BOTH, DOWN, UP, Knobs, Shape, Stamp
from runtime.lab.topology import Pair, pair
from runtime.lab.truth import Cut, read_packets, read_truth
from tests.lab.flow import Flow, run_flow


def flow_up(net: Pair, count: int, pps: float = 2000) -> Flow:
    return Flow(
        sender=net.node,
        receiver=net.hub,
        address=net.hub_address,
        count=count,
        pps=pps,
    )


CHANGE = '{"kind":"change","real_ns":%d,"boot_ns":%d,"link":"a","dir":"%s","set":{%s}}\n'


def test_cuts_are_read_from_the_changes(tmp_path: Path) -> None:
    log = tmp_path / "truth.jsonl"
    log.write_text(
        '{"kind":"start","real_ns":1,"boot_ns":1,"seed":1}\n'
        + CHANGE % (10, 110, "up", '"state":"down"')
        + CHANGE % (15, 115, "both", '"state":"down","loss":0.5')
        + CHANGE % (20, 120, "both", '"state":"up"')
        + CHANGE % (30, 130, "both", '"power":"off"')
        + '{"kind":"change","real_ns":40,'
    )
    truth = read_truth(log)
    assert [change.at.real_ns for change in truth.changes] == [10, 15, 20, 30]
    assert truth.changes[1].knobs == {"state": "down", "loss": 0.5}
    assert truth.cuts("a", UP) == [Cut(Stamp(10, 110), Stamp(20, 120))]
    assert truth.cuts("a", DOWN) == [Cut(Stamp(15, 115), Stamp(20, 120))]
    assert truth.cuts("a", UP, "power") == [Cut(Stamp(30, 130), None)]
    assert truth.cuts("b", UP) == []


@pytest.mark.lab
def test_changes_carry_the_stamps_the_caller_was_given(net: Pair) -> None:
    clock = SystemClock()
    before = clock.wall_ns(), clock.boot_ns()
    cut = net.link.down()
    mended = net.link.up()
    after = clock.wall_ns(), clock.boot_ns()
    assert before[0] <= cut.real_ns < mended.real_ns <= after[0]
    assert before[1] <= cut.boot_ns < mended.boot_ns <= after[1]
    assert net.lab.truth().cuts("node1", UP)[-1] == Cut(cut, mended)


@pytest.mark.lab
def test_bottlenecks_and_marks_are_logged(net: Pair) -> None:
    shaped = net.lab.emulator.bottleneck("core", Shape(rate_bps=5e6))
    marked = net.lab.emulator.mark("breakfast")
    truth = net.lab.truth()
    assert truth.changes[-1].at == shaped
    assert (truth.changes[-1].name, truth.changes[-1].direction) == ("core", None)
    assert truth.marks[-1] == (marked, "breakfast")


@pytest.mark.lab
def test_the_seconds_add_up_to_the_totals(tmp_path: Path) -> None:
    with pair(settings=LabSettings(directory=tmp_path)) as net:
        net.link.set(UP, Knobs(loss=0.1, duplicate=0.1))
        outcome = run_flow(flow_up(net, 2200, 1000))
        total = net.link.count(UP)
    truth = read_truth(tmp_path / "truth.jsonl")
    for name in ("in_packets", "in_bytes", "out_packets", "out_bytes", "loss", "duplicated"):
        assert truth.total("node1", UP, name) == getattr(total, name)
    assert truth.total("node1", UP, "out_packets") == len(outcome.got)
    stamps = [second.at.boot_ns for second in truth.seconds if second.direction is UP]
    gaps = [b - a for a, b in itertools.pairwise(stamps)]
    assert len(gaps) >= 2
    assert all(gap == pytest.approx(1e9, rel=0.2) for gap in gaps[:-1])


@pytest.mark.lab
def test_the_packet_log_names_every_packet_and_its_fate(net: Pair) -> None:
    net.link.set(UP, Knobs(delay_ms=10, drop_every=4))
    net.lab.emulator.log_packets()
    outcome = run_flow(flow_up(net, 100, 500))
    net.lab.emulator.log_packets(False)
    packets = {
        int(packet.key, 16): packet
        for packet in net.lab.packets()
        if (packet.dir, packet.dport, packet.protocol) == ("up", 9000, 17)
    }
    assert set(packets) == set(range(100))
    assert {packet.dst for packet in packets.values()} == {net.hub_address}
    forwarded = [number for number in packets if packets[number].fate == "forwarded"]
    assert sorted(forwarded) == sorted(outcome.numbers)
    assert all(p.fate in ("forwarded", "loss") for p in packets.values())
    for number, rx_ns, size in outcome.got:
        packet = packets[number]
        assert packet.length == size
        assert packet.due_ns - packet.in_ns == 10_000_000
        # Wall and monotonic clock are read one after the other: they differ by a trifle.
        assert outcome.tx_ns[number] <= packet.in_ns < packet.due_ns <= packet.out_ns + 10_000
        assert packet.out_ns <= rx_ns


@pytest.mark.lab
def test_the_same_seed_drops_the_same_packets() -> None:
    numbers = []
    for seed in (7, 7, 8):
        settings = LabSettings(emulator=EmulatorSettings(seed=seed))
        with pair(settings=settings) as net:
            net.link.set(BOTH, Knobs(loss=0.5, only=("udp",)))
            numbers.append(run_flow(flow_up(net, 100)).numbers)
    assert numbers[0] == numbers[1] != numbers[2]


@pytest.mark.lab
def test_an_empty_packet_log_is_no_packets(net: Pair) -> None:
    path = net.lab.emulator.packets_path.with_name("empty")
    path.write_text("")
    assert read_packets(path) == []
