"""Paths through real routers, their changes, and what silence means."""

import ipaddress
import socket
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path as File
from typing import Any

import msgspec
import pytest

from agent import trace
from agent.probes.path import MOST_HOPS, Memory, PathProbe, Walk, first_hop, walk
from agent.sockets import Way
from agent.trace import Flow, Reply, Who, connected_four, connected_six, echo_permitted
from runtime.clock import SECOND, SystemClock
from runtime.lab.build import End, Lab, available
from runtime.lab.namespaces import Namespace
from tests.agent.attempt_kit import bench
from tests.agent.measure_kit import target
from wire.codec import decode_record
from wire.detail import Hop, Path
from wire.observation import Observation, Outcome, Train
from wire.policy import Target

CHILD = File(__file__).with_name("path_child.py")
CLOCK = SystemClock()
NODE, NODE6 = "10.80.0.2", "fd80::2"
FAR, FAR6 = "10.80.9.2", "fd80:9::2"
DAY = 86_400 * SECOND


# --- decisions


def router(address: str) -> Reply:
    return Reply(Who.ROUTER, address, 1000)


async def walked(
    answers: dict[int, list[Reply | None]],
) -> tuple[tuple[tuple[int, str | None], ...], bool, list[int]]:
    """Walk where hop limit k is answered by `answers[k]`, one after the other, then by nobody."""
    asked: list[int] = []
    left = {ttl: list(replies) for ttl, replies in answers.items()}

    async def ask(ttl: int) -> Reply | None:
        asked.append(ttl)
        return left[ttl].pop(0) if left.get(ttl) else None

    found = await walk(ask)
    hops = tuple((hop.ttl, hop.address) for hop in found.hops)
    return hops, found.end is Who.TARGET, asked


async def test_a_walk_ends_at_the_target() -> None:
    hops, reached, asked = await walked(
        {1: [router("a")], 2: [router("b")], 3: [Reply(Who.TARGET, "t", 5)]}
    )
    assert hops == ((1, "a"), (2, "b"), (3, "t"))
    assert reached
    assert asked == [1, 2, 3]


async def test_a_lost_packet_is_sent_once_more_and_a_silent_hop_is_kept() -> None:
    hops, reached, asked = await walked({1: [None, router("a")], 3: [Reply(Who.TARGET, "t", 5)]})
    assert hops == ((1, "a"), (2, None), (3, "t"))
    assert reached
    assert asked == [1, 1, 2, 2, 3]


async def test_a_walk_gives_up_after_five_silent_hops_and_does_not_record_them() -> None:
    hops, reached, asked = await walked({1: [router("a")]})
    assert hops == ((1, "a"),)
    assert not reached
    assert asked == [1, *(ttl for ttl in range(2, 7) for _ in range(2))]


async def test_a_walk_ends_at_a_wall_whose_place_is_not_certain() -> None:
    hops, reached, _ = await walked({1: [router("a")], 3: [Reply(Who.WALL, "b", 5)]})
    assert hops == ((1, "a"), (2, None), (3, "b"))
    assert not reached
    assert Walk(tuple(way("a . b")), Who.WALL).routers == tuple(way("a ."))
    assert Walk(tuple(way("a . b")), Who.TARGET).routers == tuple(way("a . b"))


async def test_a_loop_ends() -> None:
    hops, reached, _ = await walked({ttl: [router("a")] for ttl in range(1, 100)})
    assert len(hops) == MOST_HOPS
    assert not reached


def way(text: str) -> list[Hop]:
    """`a b . t` as hops; a dot is silent."""
    return [
        Hop(k + 1, None if who == "." else who, None if who == "." else 1)
        for k, who in enumerate(text.split())
    ]


CHANGES = [
    ("nothing known before", ["a b t"], False),
    ("the same", ["a b t", "a b t"], False),
    ("another router", ["a b t", "a c t"], True),
    ("a router falls silent", ["a b t", "a . t"], False),
    ("a silent router speaks", ["a . t", "a b t"], False),
    ("another behind a silence", ["a b t", "a . t", "a c t"], True),
    ("the same behind a silence", ["a b t", "a . t", "a b t"], False),
    ("a longer way", ["a b t", "a b c t"], True),
    ("a shorter way", ["a b c t", "a b t"], True),
    ("cut short", ["a b t", "a"], False),
    ("back after a cut", ["a b t", "a", "a b t"], False),
    ("beyond the end nothing is known any more", ["a b c t", "a t", "a t", "a t"], False),
]


@pytest.mark.parametrize(("_name", "ways", "expected"), CHANGES, ids=[one[0] for one in CHANGES])
def test_a_change_is_another_address_where_one_was_known(
    _name: str, ways: list[str], expected: bool
) -> None:
    memory = Memory()
    found = [memory.changed(way(one), one.endswith("t")) for one in ways]
    assert found[-1] is expected


def test_a_path_is_told_first_when_changed_when_it_ends_elsewhere_and_daily() -> None:
    memory = Memory()
    told = [
        memory.due(now, changed=changed, reached=reached)
        for now, changed, reached in [
            (5, False, True),
            (6, False, True),
            (7, True, True),
            (8, False, False),
            (9, False, False),
            (8 + DAY - 1, False, False),
            (8 + DAY, False, False),
            (9 + DAY, False, False),
        ]
    ]
    assert told == [True, False, True, True, False, False, True, False]


OWN = [ipaddress.ip_network("192.168.1.0/24"), ipaddress.ip_network("fd00:1::/64")]
FIRST = [
    ("192.168.1.1 100.64.0.1 203.0.113.1", "100.64.0.1"),
    (". 100.64.0.1 203.0.113.1", "100.64.0.1"),
    ("192.168.1.1 . 203.0.113.1", None),
    ("192.168.1.1 203.0.113.1", None),
    ("192.168.1.1", None),
    ("", None),
    ("10.0.0.1 203.0.113.1", "10.0.0.1"),
    ("192.168.1.1 192.168.0.1 203.0.113.1", "192.168.0.1"),
    ("fd00:1::1 2001:db8::1 203.0.113.1", "2001:db8::1"),
]


@pytest.mark.parametrize(("hops", "expected"), FIRST)
def test_the_first_hop_is_the_first_router_outside_of_the_own_networks(
    hops: str, expected: str | None
) -> None:
    assert first_hop(way(hops), "203.0.113.1", OWN) == expected


def test_connected_networks_are_read_from_the_kernels_tables() -> None:
    four = (
        "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n"
        "eth0\t00000000\t0101A8C0\t0003\t0\t0\t0\t00000000\t0\t0\t0\n"
        "eth0\t0001A8C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n"
        "ppp0\t00000000\t00000000\t0001\t0\t0\t0\t00000000\t0\t0\t0\n"
        "eth0\t0002A8C0\t0101A8C0\t0003\t0\t0\t0\t00FFFFFF\t0\t0\t0\n"
        "rubbish\nx\ty\tz\n"
    )
    assert connected_four(four) == [ipaddress.IPv4Network("192.168.1.0/24")]
    zero = "0" * 32
    six = (
        f"fd000001{'0' * 24} 40 {zero} 00 {zero} 00000100 00000001 00000000 00000001     eth0\n"
        f"{zero} 00 {zero} 00 fe80{'0' * 27}1 00000100 00000001 00000000 00000003     eth0\n"
        f"{zero} 00 {zero} 00 {zero} ffffffff 00000001 00000000 00200200       lo\n"
        f"{'0' * 31}1 80 {zero} 00 {zero} 00000000 00000002 00000000 80200001       lo\n"
        "rubbish\n"
    )
    assert connected_six(six) == [ipaddress.IPv6Network("fd00:1::/64")]
    assert all(
        network.prefixlen > 0 for network in trace.connected(lambda name: File(name).read_text())
    )


# --- one flow on loopback

needs_echo = pytest.mark.skipif(
    not echo_permitted(socket.AF_INET), reason="needs a ping socket (net.ipv4.ping_group_range)"
)


@contextmanager
def flow(address: str, port: int | None) -> Iterator[Flow]:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    where = (address, 0, 0, 0) if ":" in address else (address, 0)
    one = Flow(CLOCK, Way(family), where, port)
    one.open("test")
    try:
        yield one
    finally:
        one.close()


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
async def test_a_closed_udp_port_of_the_target_is_an_answer(address: str) -> None:
    with flow(address, 33434) as one:
        for hops in (64, 1, 64):
            reply = await one.probe(hops, 1.0)
            assert reply is not None
            assert (reply.who, reply.address) == (Who.TARGET, address)
            assert 0 < reply.rtt_ns < 100_000_000


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
async def test_packets_of_a_flow_differ_in_nothing_that_a_load_balancer_sees(address: str) -> None:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as far:
        far.bind((address, 0))
        port = far.getsockname()[1]
        far.settimeout(1)
        seen = []
        for _ in range(2):  # also after the socket was opened anew
            with flow(address, port) as one:
                for hops in (1, 2, 64):
                    assert await one.probe(hops, 0.01) is None
                    seen.append(far.recvfrom(100))
        far.sendto(b"hello", seen[-1][1][:2])
    assert len({source for _, source in seen}) == 1
    assert len({len(data) for data, _ in seen}) == 1
    assert len({sum(struct.unpack(">8H", data)) % 0xFFFF for data, _ in seen}) == 1
    assert len({data for data, _ in seen}) > 2


async def test_a_port_where_somebody_listens_is_an_answer_and_strangers_are_none() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as far:
        far.bind(("127.0.0.1", 0))
        far.setblocking(False)

        def answer() -> None:
            data, source = far.recvfrom(100)
            far.sendto(data, source)

        import asyncio

        asyncio.get_running_loop().add_reader(far, answer)
        with flow("127.0.0.1", far.getsockname()[1]) as one:
            reply = await one.probe(64, 1.0)
        asyncio.get_running_loop().remove_reader(far)
    assert reply is not None and reply.who is Who.TARGET


@needs_echo
async def test_an_echo_reply_is_an_answer() -> None:
    with flow("127.0.0.1", None) as one:
        replies = [await one.probe(64, 1.0) for _ in range(3)]
    assert [reply and reply.who for reply in replies] == [Who.TARGET] * 3


async def test_a_target_on_this_machine_is_one_hop_away_and_told_once() -> None:
    async with bench() as lab:
        rows = await lab.ask(
            PathProbe, target("hub", probe="path", port=33434, interval_s=60, timeout_s=1), 3
        )
    assert [row.outcome for row in rows] == [Outcome.OK] * 3
    (told,) = lab.told
    assert isinstance(told, Path)
    assert [(hop.ttl, hop.address) for hop in told.hops] == [(1, "127.0.0.1")]
    assert (told.reached, told.changed, told.first_hop) == (True, False, None)


async def test_without_a_way_out_nothing_is_sent_and_nothing_told() -> None:
    async with bench() as lab:
        wanted = target("hub", probe="path", port=33434, interface="nodev0", timeout_s=1)
        rows = await lab.ask(PathProbe, wanted)
    assert rows[0].outcome in (Outcome.NOT_SENT, Outcome.LOCAL_ERROR)
    assert lab.told == []
    assert "cannot send" in (lab.notes["hub"] or "")


async def test_a_target_that_is_no_literal_address_is_not_measured() -> None:
    from agent.probes.site import Unavailable

    async with bench() as lab:
        with pytest.raises(Unavailable, match="not a literal"):
            lab.serve(PathProbe, target("hub", probe="path", address="hub.example"))


# --- through routers


class Ways:
    """node -- r1 -- (upper | lower) -- far."""

    def __init__(self, lab: Lab) -> None:
        self.node, self.far = lab.space("node"), lab.space("far")
        self.r1, self.upper, self.lower = (lab.router(name) for name in ("r1", "upper", "lower"))
        for space in (self.r1, self.upper, self.lower, self.far):
            space.sysctl("net.ipv4.icmp_ratelimit", "0")
            space.sysctl("net.ipv6.icmp.ratelimit", "0")
            space.sysctl("net.ipv4.icmp_errors_use_inbound_ifaddr", "1")
        self._cable(lab, (self.node, "lan0"), (self.r1, "lan0"), 0)
        self._cable(lab, (self.r1, "up0"), (self.upper, "in0"), 1)
        self._cable(lab, (self.r1, "low0"), (self.lower, "in0"), 2)
        self._cable(lab, (self.upper, "out0"), (self.far, "up0"), 8)
        self._cable(lab, (self.lower, "out0"), (self.far, "low0"), 7)
        self.far.ip(f"address add {FAR}/32 dev lo", f"address add {FAR6}/128 dev lo nodad")
        self.node.ip("route add default via 10.80.0.1", "route add ::/0 via fd80::1")
        self.far.ip("route add 10.80.0.0/24 via 10.80.8.1", "route add fd80::/64 via fd80:8::1")
        for space, back, on in ((self.upper, 1, 8), (self.lower, 2, 7)):
            space.ip(
                f"route add 10.80.0.0/24 via 10.80.{back}.1",
                f"route add fd80::/64 via fd80:{back}::1",
                f"route add {FAR}/32 via 10.80.{on}.2",
                f"route add {FAR6}/128 via fd80:{on}::2",
            )
        self.go_by(1)

    def go_by(self, net: int) -> None:
        """From now on r1 sends by net 1 (upper) or 2 (lower)."""
        self.r1.ip(
            f"route replace {FAR}/32 via 10.80.{net}.2",
            f"route replace {FAR6}/128 via fd80:{net}::2",
        )

    def _cable(
        self, lab: Lab, a: tuple[Namespace, str], b: tuple[Namespace, str], net: int
    ) -> None:
        ends = []
        for (space, device), host in ((a, 1), (b, 2)):
            if net == 0:
                host = 3 - host  # the node is .2, its gateway .1
            addresses = (f"10.80.{net}.{host}/24", f"fd80:{net:x}::{host}/64")
            ends.append(End(space=space, device=device, addresses=addresses))
        lab.cable(*ends)


@pytest.fixture(scope="module")
def ways() -> Iterator[Ways]:
    if (reason := available()) is not None:
        pytest.skip(reason)
    with Lab() as lab:
        yield Ways(lab)


class Run:
    """A measuring process at the node."""

    def __init__(self, space: Namespace, *options: str) -> None:
        self._argv = space.argv([sys.executable, str(CHILD), "60", *options])
        self.paths: list[Path] = []
        self.rows: list[Observation] = []

    def __call__(
        self, targets: Sequence[Target], steps: Sequence[Callable[["Run"], bool]]
    ) -> "Run":
        """Measure until each of the steps has in turn been true."""
        child = subprocess.Popen(
            self._argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
        )
        assert child.stdin is not None and child.stdout is not None
        try:
            child.stdin.write(msgspec.json.encode(targets))
            child.stdin.close()
            assert child.stdout.readline() == b"ready\n"
            for step in steps:
                while not step(self):
                    line = child.stdout.readline()
                    assert line, "the child ended"
                    self._take(decode_record(line))
        finally:
            child.kill()
            child.wait(5)
            child.stdout.close()
        return self

    def _take(self, record: Any) -> None:
        if isinstance(record, Path):
            self.paths.append(record)
        elif isinstance(record, Train):
            self.rows += record.observations()


def wanted(name: str = "hub", **changes: Any) -> Target:
    return target(
        name, probe="path", **{"address": FAR, "interval_s": 0.5, "timeout_s": 0.25, **changes}
    )


def names(path: Path) -> list[str | None]:
    return [hop.address for hop in path.hops]


lab = pytest.mark.lab
UPPER = ["10.80.0.1", "10.80.1.2", FAR]
LOWER = ["10.80.0.1", "10.80.2.2", FAR]


@lab
@pytest.mark.parametrize("port", [None, 33434])
@pytest.mark.parametrize("who", ["root", "nobody"])
def test_hops_are_found_without_root_too(ways: Ways, port: int | None, who: str) -> None:
    ways.go_by(1)
    options = ["nobody"] if who == "nobody" else []
    run = Run(ways.node, *options)([wanted(port=port)], [lambda run: bool(run.paths and run.rows)])
    (path,) = run.paths
    assert names(path) == UPPER
    assert all(0 < (hop.rtt_ns or 0) < 100_000_000 for hop in path.hops)
    assert (path.reached, path.changed, path.first_hop) == (True, False, "10.80.1.2")
    assert {row.outcome for row in run.rows} == {Outcome.OK}


@lab
@pytest.mark.parametrize("port", [None, 33434])
def test_hops_of_ipv6_are_found(ways: Ways, port: int | None) -> None:
    ways.go_by(1)
    run = Run(ways.node)([wanted(address=FAR6, port=port)], [lambda run: bool(run.paths)])
    (path,) = run.paths
    assert names(path) == ["fd80::1", "fd80:1::2", FAR6]
    assert path.first_hop == "fd80:1::2"


@lab
def test_a_change_of_route_is_found_and_told_once(ways: Ways) -> None:
    ways.go_by(1)

    def reroute(run: Run) -> bool:
        if not run.paths or not run.rows:
            return False
        ways.go_by(2)
        return True

    def settled(run: Run) -> bool:
        return len(run.paths) > 1 and len(run.rows) > rows[0] + 3

    rows = [10**6]

    def changed(run: Run) -> bool:
        rows[0] = len(run.rows)
        return len(run.paths) > 1

    run = Run(ways.node)([wanted()], [reroute, changed, settled])
    assert [names(path) for path in run.paths] == [UPPER, LOWER]
    assert [path.changed for path in run.paths] == [False, True]


@lab
def test_a_silent_router_is_a_hop_without_an_address_and_no_change(ways: Ways) -> None:
    ways.go_by(1)
    ways.far.ip("route replace 10.80.0.0/24 via 10.80.7.1")  # answers come back by the lower way

    def silence(run: Run) -> bool:
        if run.paths:  # the upper router can no longer answer the node
            ways.upper.ip("route replace blackhole 10.80.0.0/24")
        return bool(run.paths)

    try:
        again = Run(ways.node)([wanted()], [silence, lambda run: len(run.rows) >= 4])
        fresh = Run(ways.node)([wanted()], [lambda run: bool(run.paths)])
    finally:
        ways.upper.ip("route del blackhole 10.80.0.0/24",
                      "route add 10.80.0.0/24 via 10.80.1.1")  # fmt: skip
        ways.far.ip("route replace 10.80.0.0/24 via 10.80.8.1")
    assert [names(path) for path in again.paths] == [UPPER]
    assert {row.outcome for row in again.rows} == {Outcome.OK}
    assert names(fresh.paths[0]) == [UPPER[0], None, FAR]
    assert (fresh.paths[0].reached, fresh.paths[0].first_hop) == (True, None)


@lab
def test_a_path_that_ends_early_is_told_with_where_it_ends(ways: Ways) -> None:
    ways.go_by(1)

    def cut(run: Run) -> bool:
        if run.paths:
            ways.upper.ip(f"route replace unreachable {FAR}/32")
        return bool(run.paths)

    try:
        run = Run(ways.node)([wanted()], [cut, lambda run: len(run.paths) > 1])
    finally:
        ways.upper.ip(f"route del unreachable {FAR}/32", f"route add {FAR}/32 via 10.80.8.2")
    before, after = run.paths
    assert (names(before), before.reached, before.changed) == (UPPER, True, False)
    assert (after.reached, after.changed) == (False, False)
    # Linux limits these answers (net.ipv4.route.error_cost), so the wall may show one hop late.
    assert [name for name in names(after) if name is not None] == UPPER[:2]


@lab
def test_a_target_that_a_router_calls_unreachable_is_unreachable(ways: Ways) -> None:
    ways.go_by(2)
    ways.lower.ip(f"route replace unreachable {FAR}/32")
    try:
        run = Run(ways.node)([wanted()], [lambda run: bool(run.rows)])
    finally:
        ways.lower.ip(f"route del unreachable {FAR}/32", f"route add {FAR}/32 via 10.80.7.2")
    assert (run.rows[0].outcome, run.rows[0].rtt_ns) == (Outcome.UNREACHABLE, None)


@lab
def test_a_target_that_nobody_answers_for_is_a_timeout(ways: Ways) -> None:
    ways.go_by(1)
    ways.far.ip(f"address del {FAR}/32 dev lo", f"route add blackhole {FAR}/32")
    try:
        run = Run(ways.node)([wanted(timeout_s=0.1)], [lambda run: bool(run.paths and run.rows)])
    finally:
        ways.far.ip(f"route del blackhole {FAR}/32", f"address add {FAR}/32 dev lo")
    assert (names(run.paths[0]), run.paths[0].reached) == (UPPER[:2], False)
    assert {row.outcome for row in run.rows} == {Outcome.TIMEOUT}


@lab
def test_a_routing_loop_is_ttl_expired(ways: Ways) -> None:
    ways.upper.ip(f"route replace {FAR}/32 via 10.80.1.1")
    try:
        ways.go_by(1)
        run = Run(ways.node)([wanted()], [lambda run: bool(run.paths and run.rows)])
    finally:
        ways.upper.ip(f"route replace {FAR}/32 via 10.80.8.2")
    assert len(run.paths[0].hops) == MOST_HOPS
    assert not run.paths[0].reached
    assert run.rows[0].outcome is Outcome.TTL_EXPIRED
