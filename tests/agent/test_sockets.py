"""Real sockets on loopback: stamps, errors, and that neither spoils the other."""

import asyncio
import errno
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from agent import sockets
from agent.sockets import Channel, RealNetwork, Way, literal
from agent.stamps import Arrival, Sent, round_trip
from runtime.clock import SystemClock
from wire.observation import StampSource

CLOCK = SystemClock()
V4 = Way(socket.AF_INET)
FAMILIES = [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")]


@contextmanager
def echo(family: int = socket.AF_INET, host: str = "127.0.0.1") -> Iterator[socket.socket]:
    """The other end; the test answers by hand."""
    with socket.socket(family, socket.SOCK_DGRAM) as sock:
        sock.bind((host, 0))
        sock.settimeout(2)
        yield sock


@contextmanager
def opened(other: socket.socket, way: Way = V4) -> Iterator[Channel]:
    channel = RealNetwork(CLOCK).udp(way, other.getsockname())
    try:
        yield channel
    finally:
        channel.close()


def bounce(other: socket.socket, delay_s: float = 0.0) -> bytes:
    data, source = other.recvfrom(9000)
    time.sleep(delay_s)
    other.sendto(data, source)
    return data


def closed_port() -> int:
    with echo() as sock:
        return int(sock.getsockname()[1])


def received(channel: Channel) -> Arrival:
    """The next arrival, its transmit stamp read first."""
    for _ in range(200):
        channel.refusals()
        arrivals = channel.receive()
        if arrivals:
            (arrival,) = arrivals
            return arrival
        time.sleep(0.005)
    raise AssertionError("nothing arrived")


@pytest.mark.parametrize(("family", "host"), FAMILIES)
def test_both_ends_are_stamped_by_the_kernel_and_reading_late_does_not_matter(
    family: int, host: str
) -> None:
    with echo(family, host) as other, opened(other, Way(family)) as channel:
        sent = Sent()
        channel.send(b"one", sent)
        bounce(other)
        time.sleep(0.3)
        arrival = received(channel)
        rtt_ns, source = round_trip(sent, arrival)
        assert source is StampSource.KERNEL
        assert 0 < rtt_ns < 200_000_000
        assert arrival.boot_ns - sent.boot_ns > 300_000_000
        assert sent.call_ns > 0
        assert (arrival.data, arrival.source, arrival.ttl) == (b"one", host, 64)


@pytest.mark.parametrize(("options", "source"), [((), StampSource.USER)])
def test_where_the_kernel_refuses_to_stamp_user_space_does(
    options: tuple[int, ...], source: StampSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sockets, "_TIMESTAMPING", (9999, *options))
    monkeypatch.setitem(sockets._STAMP_LAYOUT, 9999, sockets._STAMP_LAYOUT[65])
    with echo() as other, opened(other) as channel:
        assert not channel.kernel_stamps
        sent = Sent()
        channel.send(b"one", sent)
        bounce(other)
        assert round_trip(sent, received(channel))[1] is source


def test_the_older_form_of_stamps_is_understood(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sockets, "_TIMESTAMPING", (37,))
    with echo() as other, opened(other) as channel:
        sent = Sent()
        channel.send(b"one", sent)
        bounce(other)
        assert round_trip(sent, received(channel))[1] is StampSource.KERNEL


def test_every_packet_gets_its_own_transmit_stamp() -> None:
    with echo() as other, opened(other) as channel:
        flights = [Sent() for _ in range(50)]
        for sent in flights:
            channel.send(b"x", sent)
        channel.refusals()
        for sent in flights:
            assert sent.kernel_ns is not None
            assert sent.wall_ns <= sent.kernel_ns <= sent.wall_ns + sent.call_ns + 100_000
        assert len({sent.kernel_ns for sent in flights}) == 50
        assert other.recv(10) == b"x"


def test_a_refused_packet_is_quoted_and_the_next_one_is_sent_and_stamped_all_the_same() -> None:
    channel = RealNetwork(CLOCK).udp(V4, ("127.0.0.1", closed_port()))
    for seq in range(5):
        sent = Sent()
        channel.send(b"packet %d" % seq, sent)  # the error of the one before is pending
        (refusal,) = channel.refusals()
        assert (refusal.kind, refusal.quote) == (3, b"packet %d" % seq)
        assert sent.kernel_ns is not None
    channel.close()


def test_an_unread_refusal_does_not_keep_the_next_packet_from_leaving() -> None:
    channel = RealNetwork(CLOCK).udp(V4, ("127.0.0.1", closed_port()))
    flights = [Sent() for _ in range(4)]
    for seq, sent in enumerate(flights):
        channel.send(b"packet %d" % seq, sent)
    quotes = [refusal.quote for refusal in channel.refusals()]
    assert quotes == [b"packet %d" % seq for seq in range(4)]
    channel.close()


def test_stamps_stay_with_their_packets_after_a_send_that_failed() -> None:
    with echo() as other, opened(other) as channel:
        channel.send(b"small", Sent())
        with pytest.raises(OSError, match="too long") as caught:
            channel.send(bytes(70_000), Sent())
        assert caught.value.errno == errno.EMSGSIZE
        for _ in range(3):
            sent = Sent()
            channel.send(b"small", sent)
            channel.refusals()
            assert sent.kernel_ns is not None
            assert sent.wall_ns <= sent.kernel_ns <= sent.wall_ns + sent.call_ns + 100_000
        assert other.recv(10) == b"small"


def test_packets_leave_with_ttl_255_and_their_marking() -> None:
    with echo() as other, opened(other, Way(socket.AF_INET, None, 46)) as channel:
        other.setsockopt(socket.IPPROTO_IP, 12, 1)
        other.setsockopt(socket.IPPROTO_IP, 13, 1)
        channel.send(b"x", Sent())
        _, ancillary, _, _ = other.recvmsg(10, 100)
        values = {kind: value[0] for _, kind, value in ancillary}
        assert values == {socket.IP_TTL: 255, socket.IP_TOS: 46 << 2}


def test_an_interface_that_is_not_there_is_an_error_of_its_own() -> None:
    with pytest.raises(OSError, match="No such device") as caught:
        RealNetwork(CLOCK).udp(Way(socket.AF_INET, "nope0"), ("127.0.0.1", 9))
    assert caught.value.errno == errno.ENODEV


def test_a_channel_that_would_choose_the_same_source_has_not_moved() -> None:
    with echo() as other, opened(other, Way(socket.AF_INET, "lo")) as channel:
        assert not channel.moved()


def test_what_this_machine_had_no_room_for_is_counted() -> None:
    with echo() as other, opened(other) as channel:
        channel.send(b"x", Sent())
        _, source = other.recvfrom(10)
        assert channel.dropped() == 0
        for _ in range(3000):
            other.sendto(bytes(1000), source)
        arrived = len(channel.receive())
        assert 0 < arrived < 3000
        assert channel.dropped() == 3000 - arrived


async def test_a_watched_channel_calls_for_replies_and_for_errors() -> None:
    network = RealNetwork(CLOCK)
    woken = asyncio.Event()
    with echo() as other:
        channel = network.udp(V4, other.getsockname())
        network.watch(channel, woken.set)
        channel.send(b"x", Sent())
        async with asyncio.timeout(2):
            await woken.wait()  # its transmit stamp
        channel.refusals()
        await asyncio.sleep(0.02)  # a call that was on its way already
        woken.clear()
        await asyncio.sleep(0.05)
        assert not woken.is_set()
        bounce(other)
        async with asyncio.timeout(2):
            await woken.wait()
        network.unwatch(channel)
        network.unwatch(channel)
        channel.close()


@pytest.mark.parametrize(
    ("address", "family", "text"),
    [
        ("192.0.2.7", socket.AF_INET, "192.0.2.7"),
        ("2001:db8:0::7", socket.AF_INET6, "2001:db8::7"),
    ],
)
def test_literal_addresses_are_taken_as_they_are(address: str, family: int, text: str) -> None:
    found, sockaddr, canonical = literal(address, 862)
    assert (found, sockaddr[:2], canonical) == (family, (text, 862), text)


@pytest.mark.parametrize("address", ["example.com", "localhost", "300.1.1.1", "", "a" * 300])
def test_names_are_never_looked_up(address: str) -> None:
    with pytest.raises(ValueError, match="not a literal"):
        literal(address)
