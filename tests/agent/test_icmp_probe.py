"""ICMP echo on loopback and in network namespaces: raw, unprivileged, and refused."""

import json
import os
import socket
import struct
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import msgspec
import pytest

from agent.measure import Measure
from agent.probes.icmp import checksum
from agent.recorder import Settled
from agent.sockets import Address, RealNetwork, Refusal
from agent.stamps import Arrival, Sent
from runtime.clock import SECOND, SystemClock
from tests.agent.measure_kit import (
    FakeChannel,
    FakeNetwork,
    LaterClock,
    rows,
    run_for,
    run_with_jumps,
    target,
)
from wire.codec import decode_record
from wire.journal import Gap
from wire.observation import Observation, Outcome, StampSource, Train
from wire.policy import Target

CHILD = Path(__file__).with_name("measure_child.py")
ROOT = os.geteuid() == 0
needs_root = pytest.mark.skipif(not ROOT, reason="needs root: builds network namespaces")
NOBODY = {"raw": (), "ping": ("nobody",)}
PINGER = target("pinger", probe="icmp")


def _raw_permitted() -> bool:
    try:
        socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP).close()
    except PermissionError:
        return False
    return True


needs_raw = pytest.mark.skipif(not _raw_permitted(), reason="needs CAP_NET_RAW")


def measure(*targets: Target) -> Measure:
    clock = SystemClock()
    return Measure(targets, clock=clock, stamp_key=None, network=RealNetwork(clock))


def outcomes(found: Sequence[Observation]) -> set[Outcome]:
    return {row.outcome for row in found}


class Namespaces:
    """Two namespaces, `near` and `far`, joined by a cable."""

    def __init__(self) -> None:
        mark = uuid.uuid4().hex[:6]
        self.near, self.far = f"pm{mark}n", f"pm{mark}f"
        for name in (self.near, self.far):
            self._ip("netns", "add", name)
        self._ip("link", "add", "up0", "netns", self.near, "type", "veth",
                 "peer", "name", "up0", "netns", self.far)  # fmt: skip
        for name, host in ((self.near, 1), (self.far, 2)):
            self._ip("-n", name, "link", "set", "lo", "up")
            self._ip("-n", name, "link", "set", "up0", "up")
            self._ip("-n", name, "addr", "add", f"10.77.0.{host}/24", "dev", "up0")
            self._ip("-n", name, "addr", "add", f"fd77::{host}/64", "dev", "up0", "nodad")
            self.write(name, "ipv4/ip_forward", "1")
            self.write(name, "ipv6/conf/all/forwarding", "1")
            self.write(name, "ipv4/icmp_ratelimit", "0")
            self.write(name, "ipv6/icmp/ratelimit", "0")

    def cut_routes(self) -> None:
        """Through `far`: 10.88.1.0/24 is unreachable, 10.88.2.0/24 goes on; so for fd88::/16."""
        self._route(self.near, "10.88.0.0/16", "via", "10.77.0.2")
        self._route(self.far, "unreachable", "10.88.1.0/24")
        self._route(self.far, "10.88.2.0/24", "via", "10.77.0.1")
        self._route(self.near, "fd88::/16", "via", "fd77::2")
        self._route(self.far, "unreachable", "fd88:1::/32")
        self._route(self.far, "fd88:2::/32", "via", "fd77::1")

    def write(self, name: str, setting: str, value: str) -> None:
        """One sysctl under net in one namespace."""
        self._ip("netns", "exec", name, "sysctl", "-qw", f"net/{setting}={value}")

    def close(self) -> None:
        """Take it all down again."""
        for name in (self.near, self.far):
            self._ip("netns", "del", name)

    def measure(
        self, targets: Sequence[Target], seconds: float = 0.6, *options: str
    ) -> tuple[list[Settled], list[str]]:
        """Measure in `near` for so long; returns records and notes."""
        child = subprocess.run(
            ["ip", "netns", "exec", self.near, sys.executable, str(CHILD), str(seconds), *options],
            input=msgspec.json.encode(targets),
            capture_output=True,
            check=False,
            timeout=30,
        )
        assert child.returncode == 0, child.stderr.decode()
        first, *lines, notes = child.stdout.splitlines()
        assert first == b"ready"
        records = [decode_record(line) for line in lines]
        return [r for r in records if isinstance(r, Train | Gap)], json.loads(notes)

    def _route(self, name: str, *words: str) -> None:
        family = "-6" if any("::" in word for word in words) else "-4"
        self._ip("-n", name, family, "route", "add", *words)

    def _ip(self, *words: str) -> None:
        subprocess.run(["ip", *words], check=True, capture_output=True)


@pytest.fixture
def lab() -> Iterator[Namespaces]:
    namespaces = Namespaces()
    try:
        yield namespaces
    finally:
        namespaces.close()


@needs_raw
@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
async def test_a_host_that_answers_is_measured_with_kernel_stamps(address: str) -> None:
    found = rows(
        await run_for(measure(target("a", probe="icmp", address=address, size=8)), 0.4), "a"
    )
    assert len(found) >= 5
    assert outcomes(found) == {Outcome.OK}
    assert {row.stamp for row in found} == {StampSource.KERNEL}
    assert all(0 < (row.rtt_ns or 0) < 100_000_000 for row in found)
    assert {row.ttl for row in found} == {64}
    assert {row.reflector_seq for row in found} == {None}


@needs_raw
async def test_many_targets_share_one_socket_and_each_gets_its_own_replies() -> None:
    many = [
        target(f"t{k}", probe="icmp", address=f"127.0.3.{k + 1}", interval_s=0.1) for k in range(60)
    ]
    records = await run_for(measure(*many), 0.5)
    for one in many:
        found = rows(records, one.name)
        assert 3 <= len(found) <= 6
        assert outcomes(found) == {Outcome.OK}


@needs_raw
async def test_two_streams_to_one_address_are_kept_apart() -> None:
    twins = [target("a", probe="icmp"), target("b", probe="icmp")]
    records = await run_for(measure(*twins), 0.3)
    for name in ("a", "b"):
        assert outcomes(rows(records, name)) == {Outcome.OK}


@needs_raw
async def test_echo_replies_that_others_asked_for_are_not_ours() -> None:
    meter = measure(target("gone", probe="icmp", address="127.0.0.1", timeout_s=0.1))
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP) as other:
        # Replies with our form and a foreign cookie: the kernel's filter lets none through.
        body = struct.pack(">8sII", b"notours!", 0, 0)
        for ident in range(0, 65_536, 4096):
            packet = struct.pack(">BBHHH", 0, 0, 0, ident, 0) + body
            packet = (
                packet[:2] + struct.pack(">H", checksum(int.from_bytes(packet, "big"))) + packet[4:]
            )
            other.sendto(packet, ("127.0.0.1", 0))
        found = rows(await run_for(meter, 0.3), "gone")
    assert outcomes(found) == {Outcome.OK}
    assert meter.self_error().foreign == 0


@needs_raw
async def test_the_sixteen_bits_of_the_sequence_number_may_wrap() -> None:
    meter = measure(PINGER)
    meter._recorder._numbers[PINGER.link, PINGER.name] = 65_533
    found = rows(await run_for(meter, 0.5), "pinger")
    assert [row.seq for row in found] == list(range(65_533, 65_533 + len(found)))
    assert len(found) >= 7
    assert outcomes(found) == {Outcome.OK}


async def test_where_icmp_is_not_permitted_it_says_so_once_and_stamp_goes_on(
    caplog: pytest.LogCaptureFixture,
) -> None:
    clock = SystemClock()
    network = FakeNetwork(clock)
    network.icmp_permitted = False
    targets = [PINGER, target("other", probe="icmp"), target("hub", port=9)]
    meter = Measure(targets, clock=clock, stamp_key=None, network=network)
    records = await run_for(meter, 0.2)
    assert {record.target for record in records} == {"hub"}
    (note,) = meter.notes()
    assert note.startswith("ICMP is not permitted")
    assert "net.ipv4.ping_group_range" in note
    assert sum("ICMP is not permitted" in line for line in caplog.messages) == 1


async def test_after_long_silence_a_stream_gets_another_icmp_id_and_the_others_keep_theirs() -> (
    None
):
    clock = LaterClock()
    network = FakeNetwork(clock)
    network.deliver = _answer_all_but("192.0.2.66")
    one = target("well", probe="icmp", address="192.0.2.1", interval_s=0.02)
    gone = [
        target(name, probe="icmp", address="192.0.2.66", interval_s=0.02, timeout_s=0.05)
        for name in ("gone", "gone too")
    ]
    meter = Measure([one, *gone], clock=clock, stamp_key=None, network=network)
    records = await run_with_jumps(meter, clock, 20 * SECOND, jumps=8)
    old, *newer = network.channels
    assert len(newer) == 2
    assert {to[0] for _, _, to in old.sent if to} == {"192.0.2.1", "192.0.2.66"}
    assert all(to == ("192.0.2.66", 0) for channel in newer for _, _, to in channel.sent)
    assert {row.outcome for row in rows(records, "well")} == {Outcome.OK}
    assert all(channel.closed for channel in network.channels)
    for name in ("well", "gone", "gone too"):
        found = [row.seq for row in rows(records, name)]
        assert found == sorted(set(found))
    assert len(old.sent) > sum(len(channel.sent) for channel in newer)


@pytest.mark.parametrize(
    ("case", "change", "source"),
    [
        ("another host", lambda packet: packet, "192.0.2.2"),
        ("another id", lambda p: p[:4] + b"\x00\x08" + p[6:], "192.0.2.1"),
        ("another number in the header", lambda p: p[:6] + b"\x7f\x7f" + p[8:], "192.0.2.1"),
        ("another cookie", lambda p: p[:8] + bytes(8) + p[16:], "192.0.2.1"),
        ("another stream", lambda p: p[:16] + b"\x00\x00\x00\x09" + p[20:], "192.0.2.1"),
        ("no payload", lambda p: p[:8], "192.0.2.1"),
        ("nothing", lambda p: b"", "192.0.2.1"),
    ],
)
async def test_what_is_not_the_echo_of_our_packet_is_never_taken_for_it(
    case: str, change: Callable[[bytes], bytes], source: str
) -> None:
    clock = LaterClock()
    network = FakeNetwork(clock)

    def deliver(channel: FakeChannel, packet: bytes, sent: Sent, address: Address | None) -> None:
        _answer_all_but("")(channel, packet, sent, address)
        arrival = channel.arrivals.pop()
        channel.arrivals.append(arrival._replace(data=change(arrival.data), source=source))

    network.deliver = deliver
    one = target("one", probe="icmp", address="192.0.2.1", interval_s=0.02, timeout_s=0.05)
    meter = Measure([one], clock=clock, stamp_key=None, network=network)
    found = rows(await run_for(meter, 0.12), "one")
    assert outcomes(found) <= {Outcome.TIMEOUT, Outcome.ABORTED}, case
    assert Outcome.TIMEOUT in outcomes(found)


async def test_a_router_that_quotes_eight_bytes_is_understood_where_only_one_packet_fits() -> None:
    clock = LaterClock()
    network = FakeNetwork(clock)

    def deliver(channel: FakeChannel, packet: bytes, sent: Sent, address: Address | None) -> None:
        assert address is not None
        channel.errors.append(Refusal(socket.AF_INET, 3, packet[:8], str(address[0])))

    network.deliver = deliver
    alone, *twins = [
        target(name, probe="icmp", address=address, interval_s=0.02, timeout_s=0.05)
        for name, address in (("alone", "192.0.2.1"), ("a", "192.0.2.2"), ("b", "192.0.2.2"))
    ]
    meter = Measure([alone, *twins], clock=clock, stamp_key=None, network=network)
    for one in (alone, *twins):
        meter._recorder._numbers[one.link, one.name] = 3 * 65_536 - 3
    records = await run_for(meter, 0.12)
    assert outcomes(rows(records, "alone")) == {Outcome.UNREACHABLE}
    for twin in twins:
        assert outcomes(rows(records, twin.name)) <= {Outcome.TIMEOUT, Outcome.ABORTED}


async def test_replies_dropped_by_this_machine_are_a_local_error_and_not_loss() -> None:
    clock = LaterClock()
    network = FakeNetwork(clock)
    network.deliver = _overflow
    one = target("full", probe="icmp", interval_s=0.02, timeout_s=0.1)
    meter = Measure([one], clock=clock, stamp_key=None, network=network)
    records = await run_with_jumps(meter, clock, 0, jumps=6)
    assert outcomes(rows(records, "full")) <= {Outcome.LOCAL_ERROR, Outcome.ABORTED}


def _overflow(channel: FakeChannel, *_: object) -> None:
    channel.drops += 1


def _answer_all_but(silent: str) -> Callable[[FakeChannel, bytes, Sent, Address | None], None]:
    """Every host of the fake network answers at once, except `silent`."""

    def deliver(channel: FakeChannel, packet: bytes, sent: Sent, address: Address | None) -> None:
        assert address is not None
        if address[0] != silent:
            sent.kernel_ns = sent.wall_ns + 1000
            channel.arrivals.append(
                Arrival(
                    b"\x00" + packet[1:4] + struct.pack(">H", channel.ident) + packet[6:],
                    str(address[0]),
                    sent.boot_ns + 50_000,
                    sent.wall_ns + 50_000,
                    sent.wall_ns + 40_000,
                    60,
                )
            )

    return deliver


@pytest.mark.parametrize("packet", [b"", b"\x08\x00", bytes(range(64)), b"\xff" * 40])
def test_the_checksum_makes_the_whole_sum_to_all_ones(packet: bytes) -> None:
    zeroed = packet[:2] + bytes(2) + packet[4:]
    value = checksum(int.from_bytes(zeroed, "big"))
    total = value + sum(int.from_bytes(zeroed[k : k + 2], "big") for k in range(0, len(zeroed), 2))
    while total > 0xFFFF:
        total = (total >> 16) + (total & 0xFFFF)
    assert total == 0xFFFF


@needs_root
@pytest.mark.parametrize("mode", ["raw", "ping"])
def test_what_a_router_says_is_recorded_and_spoils_no_other_target(
    lab: Namespaces, mode: str
) -> None:
    if mode == "ping":
        lab.write(lab.near, "ipv4/ping_group_range", "0 2147483647")
    lab.cut_routes()
    targets = [
        target("near4", probe="icmp", address="10.77.0.2"),
        target("near6", probe="icmp", address="fd77::2"),
        target("cut4", probe="icmp", address="10.88.1.1", interval_s=0.5),
        target("cut4b", probe="icmp", address="10.88.1.1", interval_s=0.5, size=100),
        target("cut6", probe="icmp", address="fd88:1::1"),
        target("udp4", address="10.88.1.1", port=862, interval_s=0.5),
        target("udp6", address="fd88:1::1", port=862),
        target("noway", probe="icmp", address="203.0.113.1"),
        target("noway-udp", address="203.0.113.1", port=862),
    ]
    records, notes = lab.measure(targets, 0.6, *NOBODY[mode])
    found = {one.name: rows(records, one.name) for one in targets}
    for name in ("cut4", "cut4b", "udp4"):
        found[name] = found[name][:1]  # Linux says it five times to one sender, then once a second
    seen = {name: outcomes(observations) for name, observations in found.items()}
    assert seen == {
        "near4": {Outcome.OK},
        "near6": {Outcome.OK},
        "cut4": {Outcome.UNREACHABLE},
        "cut4b": {Outcome.UNREACHABLE},
        "cut6": {Outcome.UNREACHABLE},
        "udp4": {Outcome.UNREACHABLE},
        "udp6": {Outcome.UNREACHABLE},
        "noway": {Outcome.NOT_SENT},
        "noway-udp": {Outcome.NOT_SENT},
    }
    assert all(len(found[name]) >= 8 for name in ("near4", "near6", "cut6", "noway"))
    assert {row.stamp for row in found["near4"] + found["near6"]} == {StampSource.KERNEL}
    assert sorted(notes) == [
        "noway of astinet: cannot send: Network is unreachable",
        "noway-udp of astinet: cannot send: Network is unreachable",
    ]


@needs_root
@pytest.mark.parametrize("mode", ["raw", "ping"])
def test_a_hop_limit_that_runs_out_on_the_way_is_told_from_loss(lab: Namespaces, mode: str) -> None:
    lab.write(lab.near, "ipv4/ping_group_range", "0 2147483647")
    lab.write(lab.near, "ipv4/ip_default_ttl", "1")
    lab.write(lab.near, "ipv6/conf/up0/hop_limit", "1")
    lab.cut_routes()
    targets = [
        target("hops4", probe="icmp", address="10.88.2.1"),
        target("hops6", probe="icmp", address="fd88:2::1"),
    ]
    records, _ = lab.measure(targets, 0.3, *NOBODY[mode])
    for name in ("hops4", "hops6"):
        assert outcomes(rows(records, name)) == {Outcome.TTL_EXPIRED}


@needs_root
def test_an_unprivileged_process_without_ping_sockets_measures_stamp_only(lab: Namespaces) -> None:
    lab.write(lab.near, "ipv4/ping_group_range", "1 0")
    targets = [PINGER, target("hub", address="10.77.0.2", port=862)]
    records, notes = lab.measure(targets, 0.3, "nobody")
    assert {record.target for record in records} == {"hub"}
    assert [note.split(":")[0] for note in notes] == ["ICMP is not permitted"]


@needs_root
def test_packets_leave_through_the_interface_of_the_target(lab: Namespaces) -> None:
    targets = [
        target("right", probe="icmp", address="10.77.0.2", interface="up0"),
        target("wrong", probe="icmp", address="10.77.0.2", interface="lo", timeout_s=0.1),
        target("none", probe="icmp", address="10.77.0.2", interface="ppp9"),
    ]
    records, _ = lab.measure(targets, 0.4)
    assert outcomes(rows(records, "right")) == {Outcome.OK}
    assert Outcome.OK not in outcomes(rows(records, "wrong"))
    assert outcomes(rows(records, "none")) == {Outcome.NOT_SENT}
