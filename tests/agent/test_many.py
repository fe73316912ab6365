"""Many datagrams in one call, on loopback: the same octets, stamps and errors as one by one."""

import socket
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent import many
from agent.sockets import Destination, IcmpChannel, RealNetwork, Way, literal
from agent.stamps import Arrival, Sent
from runtime.clock import SystemClock
from tests.agent.test_icmp_probe import needs_raw

FAMILIES = [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")]
both = pytest.mark.parametrize(("family", "host"), FAMILIES)
COOKIE = b"pantau!!"


@contextmanager
def pair(family: int, host: str) -> Iterator[tuple[socket.socket, socket.socket]]:
    kind = socket.SOCK_DGRAM
    with socket.socket(family, kind) as one, socket.socket(family, kind) as other:
        one.bind((host, 0))
        other.bind((host, 0))
        other.settimeout(2)
        yield one, other


@both
@pytest.mark.parametrize("lengths", [[20] * 300, [1, 8000, 20, 20, 0, 9000], [60_000] * 3])
def test_everything_leaves_in_order_whatever_fits_in_a_call(
    family: int, host: str, lengths: list[int]
) -> None:
    with pair(family, host) as (one, other):
        sender = many.Sender(one.fileno(), family)
        name = many.sockaddr(family, other.getsockname())
        packets = [bytes([k % 256]) * length for k, length in enumerate(lengths)]
        at, heard = 0, []
        while at < len(packets):
            taken = sender.send(packets, [name] * len(packets), at)
            assert 0 < taken <= many.MOST
            heard += [other.recv(65_536) for _ in range(taken)]
            at += taken
        assert heard == packets


@both
def test_what_the_kernel_does_not_take_is_left_to_its_sender(family: int, host: str) -> None:
    with pair(family, host) as (one, other):
        good = many.sockaddr(family, other.getsockname())
        bad = many.sockaddr(family, (host, 0))
        sender = many.Sender(one.fileno(), family)
        packets, names = [b"a", b"b", b"c", b"d"], [good, good, bad, good]
        assert sender.send(packets, names) == 2
        assert sender.send(packets, names, 2) == 0
        assert sender.send(packets, names, 3) == 1
        assert [other.recv(10) for _ in range(3)] == [b"a", b"b", b"d"]


@both
@given(lengths=st.lists(st.integers(0, 2000), min_size=1, max_size=40))
def test_what_arrives_is_told_with_its_source_and_cut_where_there_is_no_room(
    family: int, host: str, lengths: list[int]
) -> None:
    with pair(family, host) as (one, other):
        box = many.Receiver(one.fileno())
        assert box.fetch() == 0
        packets = [bytes([k]) * length for k, length in enumerate(lengths)]
        for packet in packets:
            other.sendto(packet, one.getsockname())
        assert box.fetch() == len(packets)
        heard = [box.data(k, box.lengths(k)[1]) for k in range(len(packets))]
        assert [packet[:448] for packet in packets] == heard
        assert {box.source(k, family) for k in range(len(packets))} == {host}
        alike = len({len(packet[:448]) for packet in packets}) == 1
        cut = len({len(packet) > 448 for packet in packets}) == 1
        assert (box.shape(len(packets)) is not None) == (alike and cut)


@both
def test_control_messages_are_those_that_the_socket_module_reads(family: int, host: str) -> None:
    with pair(family, host) as (one, other):
        level, ttl = (socket.IPPROTO_IP, 12), (socket.IPPROTO_IPV6, socket.IPV6_RECVHOPLIMIT)
        one.setsockopt(*(level if family == socket.AF_INET else ttl), 1)
        one.setsockopt(socket.SOL_SOCKET, 64, 1)  # SO_TIMESTAMPNS_NEW
        box = many.Receiver(one.fileno())
        for _ in range(2):
            other.sendto(b"x", one.getsockname())
        _, ancillary, _, _ = one.recvmsg(10, 256)
        assert box.fetch() == 1
        mine = list(box.control(0, box.lengths(0)[0]))
        assert [(a, b, len(c)) for a, b, c in mine] == [(a, b, len(c)) for a, b, c in ancillary]
        assert mine[1] == ancillary[1]
        (then, now) = (struct.unpack("=qq", found[0][2]) for found in (ancillary, mine))
        assert then <= now


@given(octets=st.binary(max_size=256))
def test_no_octets_make_the_reading_of_control_messages_fail(octets: bytes) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        box = many.Receiver(sock.fileno())
    box._slots.octets[: len(octets)] = octets
    for _, _, value in box.control(0, len(octets)):
        assert len(value) <= len(octets)


def echo(family: int, ident: int, seq: int, size: int = 0) -> bytes:
    """An echo request whose checksum the kernel fills in (IPv6) or is right (IPv4)."""
    kind = 8 if family == socket.AF_INET else 128
    packet = struct.pack(">BBHHH", kind, 0, 0, ident, seq) + COOKIE + bytes(8 + size)
    total = sum(struct.unpack(f">{len(packet) // 2}H", packet))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    sealed = 0xFFFF - total if family == socket.AF_INET else 0
    return packet[:2] + struct.pack(">H", sealed) + packet[4:]


@contextmanager
def lane(family: int) -> Iterator[IcmpChannel]:
    channel = RealNetwork(SystemClock()).icmp(Way(family), 77, COOKIE)
    try:
        yield channel
    finally:
        channel.close()


def heard(channel: IcmpChannel, count: int) -> list[Arrival]:
    found: list[Arrival] = []
    for _ in range(200):
        channel.refusals()
        found += channel.receive()
        if len(found) >= count:
            break
        time.sleep(0.005)
    return found


def destination(host: str) -> Destination:
    family, address, _ = literal(host)
    return Destination(address, many.sockaddr(family, address))


@needs_raw
@both
@pytest.mark.parametrize("sizes", [[0], [0, 8, 400, 1000]], ids=["alike", "different"])
def test_each_of_many_has_its_own_stamps_at_both_ends(
    family: int, host: str, sizes: list[int]
) -> None:
    with lane(family) as channel:
        count = 3 * many.MOST // 2
        flights = [Sent() for _ in range(count)]
        packets = [echo(family, 77, k, sizes[k % len(sizes)]) for k in range(count)]
        assert channel.send_many(packets, flights, [destination(host)] * count) == {}
        arrivals = heard(channel, count)
        assert len(arrivals) == count
        at = 20 if family == socket.AF_INET else 0
        for k, (sent, arrival) in enumerate(zip(flights, arrivals, strict=True)):
            assert arrival.data[at + 6 : at + 8] == k.to_bytes(2, "big")
            assert (arrival.source, arrival.ttl) == (host, 64)
            assert sent.kernel_ns is not None
            assert arrival.kernel_ns is not None
            assert sent.wall_ns - 20_000 <= sent.kernel_ns <= arrival.kernel_ns
            assert arrival.kernel_ns <= arrival.wall_ns + 20_000
        assert len({sent.kernel_ns for sent in flights}) == count
        # One moment stands for all that left in one call.
        assert len({sent.wall_ns for sent in flights}) <= 2 + sum(sizes) // 1000


@needs_raw
def test_one_that_cannot_leave_takes_no_other_with_it_and_no_stamp_goes_astray() -> None:
    with lane(socket.AF_INET) as channel:
        # Broadcast needs a permission that this socket does not ask for.
        hosts = ["127.0.0.1", "255.255.255.255", "127.0.0.2", "255.255.255.255", "127.0.0.3"]
        flights = [Sent() for _ in hosts]
        packets = [echo(socket.AF_INET, 77, k) for k in range(len(hosts))]
        failures = channel.send_many(packets, flights, [destination(host) for host in hosts])
        assert {k: error.errno for k, error in failures.items()} == {1: 13, 3: 13}
        arrivals = {arrival.source: arrival for arrival in heard(channel, 3)}
        assert set(arrivals) == {"127.0.0.1", "127.0.0.2", "127.0.0.3"}
        assert [sent.kernel_ns is None for sent in flights] == [False, True, False, True, False]
        left = [sent.kernel_ns or 0 for sent in flights[::2]]
        back = [arrivals[host].kernel_ns or 0 for host in hosts[::2]]
        assert left == sorted(left)
        assert all(there < here for there, here in zip(left, back, strict=True))
