"""What our probes say of an emulated link, against what the link really did, packet by packet.

Probes and reflector run in this process, their sockets in the namespaces of node and hub.
"""

import asyncio
import contextlib
import ctypes
import os
import shutil
import socket
import statistics
import subprocess
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dns.message
import pytest

import agent.probes.dns
from agent.measure import Measure
from agent.recorder import Settled
from agent.sockets import Address, Channel, IcmpChannel, RealNetwork, Way
from collector.latency import directional
from collector.reflector import Reflector, ReflectorSettings
from collector.sessions import Session, SessionTable
from runtime.clock import SystemClock
from runtime.lab.build import End, Lab, available
from runtime.lab.link import BOTH, CLEAR, DOWN, UP, Direction, Knobs
from runtime.lab.namespaces import Namespace
from runtime.lab.topology import Pair, pair
from runtime.lab.truth import Packet
from tests.agent.attempt_kit import dns_server, records
from wire.observation import Observation, Outcome, StampSource, Train
from wire.policy import Role, Target

pytestmark = pytest.mark.lab

ICMP, UDP = 1, 17
PROBES = {"icmp": ICMP, "stamp": UDP}
INTERVAL_S, TIMEOUT_S = 0.01, 0.4
DELAY_MS = 5
MARGIN_US = 250
"""Medians of reported minus true round trips; a few times what bench/truth.py finds, because
this machine may be busy with other tests."""
_CLONE_NEWNET = 0x4000_0000
_LIBC = ctypes.CDLL(None, use_errno=True)


@contextlib.contextmanager
def entered(space: Namespace) -> Iterator[None]:
    """This thread's new sockets belong to `space`; they stay there."""
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    try:
        away = os.open(f"/run/netns/{space.name}", os.O_RDONLY)
        try:
            _enter(away)
        finally:
            os.close(away)
        try:
            yield
        finally:
            _enter(home)
    finally:
        os.close(home)


def _enter(file: int) -> None:
    if _LIBC.setns(file, _CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "setns")


class NodeNetwork(RealNetwork):
    """The real network of the node's namespace."""

    def __init__(self, space: Namespace) -> None:
        super().__init__(SystemClock())
        self._space = space

    def udp(self, way: Way, address: Address) -> Channel:
        with entered(self._space):
            return super().udp(way, address)

    def icmp(self, way: Way, ident: int, cookie: bytes) -> IcmpChannel:
        with entered(self._space):
            return super().icmp(way, ident, cookie)


@dataclass
class Log:
    """The emulator's packets since this was made."""

    net: Pair
    since_ns: int = 0

    def __post_init__(self) -> None:
        self.since_ns = self.net.lab.emulator.mark("begin").real_ns

    def of(self, direction: Direction, protocol: int) -> list[Packet]:
        """In the order in which they entered the link; a duplicate has a line of its own."""
        found = [
            one
            for one in self.net.lab.packets()
            if (one.dir, one.protocol) == (direction.value, protocol) and one.in_ns >= self.since_ns
        ]
        return sorted(found, key=lambda one: one.in_ns)


@dataclass(frozen=True)
class Counts:
    """Of one probe; what it cannot tell is None."""

    sent: int
    lost: int
    lost_up: int | None
    lost_down: int | None
    duplicates: int
    reordered: int


def number(packet: Packet) -> int:
    """On the way up: the probe's own sequence number."""
    return int(packet.key[:8] if packet.protocol == UDP else packet.key[4:8], 16)


def true_counts(log: Log, protocol: int) -> tuple[Counts, list[Packet]]:
    """From the log alone: the k-th answer belongs to the k-th arrival, whatever it carries."""
    there, back = log.of(UP, protocol), log.of(DOWN, protocol)
    sent = {number(one) for one in there}
    passed = [one for one in there if one.fate == "forwarded"]
    arrivals = [number(one) for one in sorted(passed, key=lambda one: one.out_ns)]
    entered_ns = sorted({one.in_ns for one in back})
    asked = dict(zip(entered_ns, arrivals, strict=True))
    came = [(one.out_ns, asked[one.in_ns]) for one in back if one.fate == "forwarded"]
    seen: set[int] = set()
    highest, reordered = -1, 0
    for _, seq in sorted(came):
        if seq not in seen:
            reordered += seq < highest
            highest = max(highest, seq)
            seen.add(seq)
    counts = Counts(
        sent=len(sent),
        lost=len(sent) - len(seen),
        lost_up=len(sent) - len(set(arrivals)) if protocol == UDP else None,
        lost_down=len(set(arrivals)) - len(seen) if protocol == UDP else None,
        duplicates=len(came) - len(seen),
        reordered=reordered,
    )
    return counts, there


def rows_of(records: Sequence[Settled], name: str) -> list[Observation]:
    return [row for train in trains_of(records, name) for row in train.observations()]


def trains_of(records: Sequence[Settled], name: str) -> list[Train]:
    return [one for one in records if isinstance(one, Train) and one.target == name]


def our_counts(records: Sequence[Settled], name: str) -> Counts:
    """As the records say it, directions as the collector reckons them from the same trains."""
    trains = trains_of(records, name)
    rows = [row for train in trains for row in train.observations()]
    ways = [way for train in trains if (way := directional(train)) is not None]
    return Counts(
        sent=sum(not row.outcome.local for row in rows),
        lost=sum(row.outcome.lost for row in rows),
        lost_up=sum(way.forward_lost for way in ways) if ways else None,
        lost_down=sum(way.reverse_lost for way in ways) if ways else None,
        duplicates=sum(train.duplicates for train in trains),
        reordered=sum(train.reordered for train in trains),
    )


@dataclass
class Bench:
    """Node and hub, with our reflector at the hub."""

    net: Pair
    port: int

    def targets(self, **changes: Any) -> list[Target]:
        """One target for each probe."""
        same: dict[str, Any] = {
            "link": "l1",
            "role": Role.HUB,
            "address": self.net.hub_address,
            "interval_s": INTERVAL_S,
            "timeout_s": TIMEOUT_S,
        }
        stamp = {"port": self.port, "ssid": 1}
        return [
            Target(**{"name": "icmp", "probe": "icmp", **same, **changes}),
            Target(**{"name": "stamp", "probe": "stamp", **same, **stamp, **changes}),
        ]

    def knobs(self, direction: Direction, knobs: Knobs) -> None:
        if knobs != Knobs():
            self.net.link.set(direction, knobs)

    async def measure(
        self, targets: Sequence[Target], seconds: float, up: Knobs, down: Knobs
    ) -> list[Settled]:
        """A clean start, the knobs for `seconds`, a clean end, and the fate of every packet."""
        clean = Knobs(delay_ms=DELAY_MS)
        self.net.link.set(BOTH, CLEAR)
        self.net.link.set(BOTH, clean)
        network = NodeNetwork(self.net.node)
        measure = Measure(targets, clock=SystemClock(), stamp_key=None, network=network)
        try:
            async with asyncio.TaskGroup() as group:
                running = group.create_task(measure.run())
                await asyncio.sleep(0.1)
                self.knobs(UP, up)
                self.knobs(DOWN, down)
                await asyncio.sleep(seconds)
                self.net.link.set(BOTH, CLEAR)
                self.net.link.set(BOTH, clean)
                await asyncio.sleep(0.2)
                measure.replace([])
                await asyncio.sleep(max(one.timeout_s for one in targets) + 0.1)
                records = measure.settled()
                running.cancel()
        finally:
            measure.close()
        assert measure.notes() == ()
        return records


async def measured(
    network: RealNetwork, targets: Sequence[Target], seconds: float
) -> list[Settled]:
    """The fate of every packet that was sent in so many seconds."""
    measure = Measure(targets, clock=SystemClock(), stamp_key=None, network=network)
    try:
        async with asyncio.TaskGroup() as group:
            running = group.create_task(measure.run())
            await asyncio.sleep(seconds)
            measure.replace([])
            await asyncio.sleep(max(one.timeout_s for one in targets) + 0.1)
            records = measure.settled()
            running.cancel()
    finally:
        measure.close()
    return records


@pytest.fixture(scope="module")
def net() -> Iterator[Pair]:
    if (reason := available()) is not None:
        pytest.skip(reason)
    with pair() as made:
        made.lab.emulator.log_packets()
        yield made


@pytest.fixture
async def bench(net: Pair) -> AsyncIterator[Bench]:
    table = SessionTable()
    table.register(Session(1, "l1", b"agent", None))
    reflector = Reflector(table, SystemClock(), ReflectorSettings("0.0.0.0", 0))
    with entered(net.hub):
        await reflector.start()
    try:
        yield Bench(net, reflector.port)
    finally:
        await reflector.close()


HELD_BACK = Knobs(reorder=0.08, reorder_delay_ms=35, order="free")
BURSTS = Knobs(burst_start=0.04, burst_end=0.25)
SCENARIOS = {
    "loss up": (Knobs(loss=0.1), Knobs()),
    "loss down": (Knobs(), Knobs(loss=0.1)),
    "loss both ways": (Knobs(loss=0.1), Knobs(loss=0.05)),
    "bursts up": (BURSTS, Knobs()),
    "bursts both ways": (BURSTS, BURSTS),
    "duplicates up": (Knobs(duplicate=0.1), Knobs()),
    "duplicates down": (Knobs(), Knobs(duplicate=0.1)),
    "reordering up": (HELD_BACK, Knobs()),
    "reordering down": (Knobs(), HELD_BACK),
    "loss and duplicates": (Knobs(loss=0.1, duplicate=0.1), Knobs(loss=0.1, duplicate=0.1)),
}


@pytest.mark.parametrize("name", SCENARIOS)
async def test_loss_duplicates_and_reordering_equal_the_truth_to_the_packet(
    bench: Bench, name: str
) -> None:
    up, down = SCENARIOS[name]
    log = Log(bench.net)
    records = await bench.measure(bench.targets(), 1.5, up, down)
    happened = 0
    for probe, protocol in PROBES.items():
        truth, _ = true_counts(log, protocol)
        assert our_counts(records, probe) == truth, probe
        happened += truth.lost + truth.duplicates + truth.reordered
    assert happened > 4, "the link did nothing that could be counted"


async def test_slots_that_were_missed_are_no_loss_of_any_direction(bench: Bench) -> None:
    """The process is held up, so that slots pass unused between two replies."""
    log = Log(bench.net)

    async def hold_up() -> None:
        for _ in range(3):
            await asyncio.sleep(0.3)
            held = asyncio.get_running_loop().time() + 0.15
            while asyncio.get_running_loop().time() < held:
                pass

    async with asyncio.TaskGroup() as group:
        group.create_task(hold_up())
        measured = group.create_task(bench.measure(bench.targets(), 1.0, Knobs(), Knobs()))
    records = measured.result()
    truth, _ = true_counts(log, UDP)
    rows = rows_of(records, "stamp")
    assert rows[-1].seq + 1 > len(rows), "no slot was missed"
    assert truth.lost == 0
    assert our_counts(records, "stamp") == truth


def true_us(log: Log, protocol: int) -> dict[int, float]:
    """What the link did to each packet and its answer, by the packet's number; no duplicates."""
    back = log.of(DOWN, protocol)
    there = log.of(UP, protocol)
    both = zip(there, back, strict=True)
    return {number(a): (a.out_ns - a.in_ns + b.out_ns - b.in_ns) / 1000 for a, b in both}


async def test_round_trips_are_what_the_link_took(bench: Bench) -> None:
    log = Log(bench.net)
    records = await bench.measure(bench.targets(), 1.5, Knobs(delay_ms=30), Knobs(delay_ms=10))
    for probe, protocol in PROBES.items():
        truth = true_us(log, protocol)
        rows = rows_of(records, probe)
        errors = [row.rtt_ns / 1000 - truth[row.seq] for row in rows if row.rtt_ns is not None]
        assert len(errors) == len(rows) > 100
        assert max(row.rtt_ns or 0 for row in rows) > 40_000_000
        # A packet is never faster than the link was: what is left over is real way and our error.
        assert min(errors) > 0, probe
        assert statistics.median(errors) < MARGIN_US, probe
        kernel = sum(row.stamp is StampSource.KERNEL for row in rows)
        assert kernel > 0.9 * len(rows), probe


@pytest.mark.parametrize("filtered", PROBES)
async def test_what_is_filtered_for_one_probe_does_not_touch_the_other(
    bench: Bench, filtered: str
) -> None:
    (alive,) = PROBES.keys() - {filtered}
    drop = "icmp" if filtered == "icmp" else f"udp:{bench.port}"
    targets = bench.targets()
    log = Log(bench.net)
    records = await bench.measure(targets, 1.0, Knobs(drop=(drop,)), Knobs())
    dropped = sum(one.fate == "filter" for one in log.of(UP, PROBES[filtered]))
    assert dropped > 50
    fates = Counter(row.outcome for row in rows_of(records, filtered))
    assert fates[Outcome.TIMEOUT] == dropped
    assert set(fates) == {Outcome.TIMEOUT, Outcome.OK}
    others = rows_of(records, alive)
    assert len(others) > 50
    assert {row.outcome for row in others} == {Outcome.OK}
    assert max(row.rtt_ns or 0 for row in others) < TIMEOUT_S * 1e9


async def test_names_that_nobody_answers_any_more_touch_nothing_else(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """DNS dies for a while; what does not need it goes on, and DNS is well again afterwards."""
    open_socket = agent.probes.dns.open_socket

    def at_the_node(way: Way, kind: socket.SocketKind) -> socket.socket:
        with entered(bench.net.node):
            return open_socket(way, kind)

    monkeypatch.setattr(agent.probes.dns, "open_socket", at_the_node)

    def answers(query: dns.message.Message) -> list[bytes | float]:
        return [records(query, "192.0.2.9").to_wire()]

    async with contextlib.AsyncExitStack() as stack:
        with entered(bench.net.hub):
            port = await stack.enter_async_context(dns_server(answers, bench.net.hub_address))
        asking = bench.targets(
            name="dns", probe="dns", port=port, ssid=None, host="desa.example", interval_s=0.5
        )[1:]
        log = Log(bench.net)
        dying = Knobs(drop=(f"udp:{port}",))
        found = await bench.measure([*bench.targets(), *asking], 1.5, dying, Knobs())
        found += await bench.measure([*bench.targets(), *asking], 1.0, Knobs(), Knobs())
    dropped = sum(one.fate == "filter" for one in log.of(UP, UDP))
    fates = [row.outcome for row in rows_of(found, "dns")]
    assert fates.count(Outcome.TIMEOUT) == dropped >= 2
    assert set(fates) == {Outcome.TIMEOUT, Outcome.OK}
    assert fates[-1] is Outcome.OK
    for probe in PROBES:
        others = rows_of(found, probe)
        assert len(others) > 50
        assert {row.outcome for row in others} == {Outcome.OK}


@pytest.mark.parametrize("family", [4, 6])
async def test_a_size_that_does_not_fit_through_shows_with_every_packet(family: int) -> None:
    """A router on the way is narrower than the first cable, and says so; nobody cuts packets up,
    not even once the kernel has learnt of it."""
    if (reason := available()) is not None:
        pytest.skip(reason)
    table = SessionTable()
    table.register(Session(1, "l1", b"agent", None))
    table.register(Session(2, "l1", b"agent", None))
    reflector = Reflector(table, SystemClock(), ReflectorSettings("::", 0))
    net = "10.0.{}.{}" if family == 4 else "fd0{}::{}"
    bits = 24 if family == 4 else 64
    with Lab() as lab:
        node, router, hub = lab.space("node"), lab.router("router"), lab.space("hub")
        for space, at in ((node, 1), (hub, 2)):
            lab.cable(
                End(
                    space=space,
                    device="wan0",
                    addresses=(f"{net.format(at, 2)}/{bits}",),
                    routes=(f"default via {net.format(at, 1)}",),
                ),
                End(space=router, device=space.label, addresses=(f"{net.format(at, 1)}/{bits}",)),
            )
        hub.ip("link set wan0 mtu 1300")
        router.ip("link set hub mtu 1300")
        for version in ("ipv4", "ipv6/icmp"):
            key = "icmp_ratelimit" if version == "ipv4" else "ratelimit"
            router.sysctl(f"net/{version}/{key}", "0")
        with entered(hub):
            await reflector.start()
        for _ in range(20):  # the routers' link-local addresses take a moment
            ping = ["ping", "-c1", "-W1", net.format(2, 2)]
            if node.run(ping, check=False).returncode == 0:
                break
        common: dict[str, Any] = {
            "link": "l1",
            "role": Role.HUB,
            "address": net.format(2, 2),
            "interval_s": 0.05,
            "timeout_s": TIMEOUT_S,
        }
        targets = [
            Target(name=f"{probe} {size}", probe=probe, size=size, **common, **more)
            for ssid, size in ((1, 0), (2, 1400))
            for probe, more in (("icmp", {}), ("stamp", {"ssid": ssid, "port": reflector.port}))
        ]
        try:
            records = await measured(NodeNetwork(node), targets, 0.6)
        finally:
            await reflector.close()
    for probe in PROBES:
        fates = {
            size: [r.outcome for r in rows_of(records, f"{probe} {size}")] for size in (0, 1400)
        }
        assert min(map(len, fates.values())) >= 6
        assert set(fates[0]) == {Outcome.OK}
        assert set(fates[1400]) == {Outcome.UNREACHABLE}


async def test_a_dead_target_among_200_disturbs_no_other(bench: Bench) -> None:
    """199 answer, one address is nobody's; 800 packets a second in all."""
    addresses = [f"198.19.0.{k}" for k in range(1, 201)]
    dead = addresses[77]
    alive = [one for one in addresses if one != dead]
    bench.net.hub.ip(*(f"address add {one}/32 dev lo" for one in alive))
    targets = [
        Target(
            name=address,
            link="l1",
            probe="icmp",
            role=Role.ANCHOR,
            address=address,
            interval_s=0.25,
            timeout_s=0.5,
        )
        for address in addresses
    ]
    log = Log(bench.net)
    try:
        records = await bench.measure(targets, 2.0, Knobs(), Knobs())
    finally:
        bench.net.hub.ip(*(f"address del {one}/32 dev lo" for one in alive))
    assert {row.outcome for row in rows_of(records, dead)} == {Outcome.TIMEOUT}
    rows = [row for address in alive for row in rows_of(records, address)]
    assert {row.outcome for row in rows} == {Outcome.OK}
    assert all(len(rows_of(records, address)) >= 4 for address in addresses)
    assert len(log.of(DOWN, ICMP)) == len(rows)
    # 10 ms are the link's; the packets of the dead one wait for their timeouts, the others do not.
    rtts_us = [row.rtt_ns / 1000 for row in rows if row.rtt_ns is not None]
    assert statistics.median(rtts_us) < 2 * DELAY_MS * 1000 + MARGIN_US * 2


FIELDS = (
    "udp.dstport",
    "twamp.test.seq_number",
    "twamp.test.sender_seq_number",
    "twamp.test.sender_ttl",
    "_ws.malformed",
)


@pytest.mark.skipif(shutil.which("tshark") is None, reason="needs the Debian package tshark")
async def test_tshark_reads_our_stamp_packets_as_twamp_test(bench: Bench, tmp_path: Path) -> None:
    capture = tmp_path / "stamp.pcapng"
    words = ["tshark", "-q", "-i", "wan0", "-f", f"udp port {bench.port}", "-w", str(capture)]
    sniffer = bench.net.node.popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    assert sniffer.stderr is not None
    while b"Capturing on" not in (line := await asyncio.to_thread(sniffer.stderr.readline)):
        assert line, "tshark ended"
    await asyncio.sleep(1)
    stamp = bench.targets(interval_s=0.1)[1:]
    records = await bench.measure(stamp, 0.5, Knobs(), Knobs())
    await asyncio.sleep(0.5)
    sniffer.terminate()
    await asyncio.to_thread(sniffer.wait, 10)
    sniffer.stderr.close()
    read = [
        "tshark",
        "-r",
        str(capture),
        "-d",
        f"udp.port=={bench.port},twamp.test",
        "-T",
        "fields",
    ]
    fields = [word for field in FIELDS for word in ("-e", field)]
    done = await asyncio.to_thread(
        subprocess.run, [*read, *fields], capture_output=True, text=True, check=True, timeout=60
    )
    told = [line.split("\t") for line in done.stdout.splitlines()]
    sent = [row for row in told if row[0] == str(bench.port)]
    answered = [row for row in told if row[0] != str(bench.port)]
    numbers = [str(row.seq) for row in rows_of(records, "stamp")]
    assert len(numbers) >= 5
    assert [row[1] for row in sent] == numbers
    assert [row[1:4] for row in answered] == [[k, k, "255"] for k in numbers]
    assert not any(row[4] for row in told), "tshark calls a packet malformed"
