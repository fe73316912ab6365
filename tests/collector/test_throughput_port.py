"""The hub's throughput port: strangers get nothing, and agents what they were granted."""

import secrets
import socket
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress

import pytest

from collector.throughput.porter import MOST_STRANGERS
from collector.throughput.session import End
from runtime.load import channel as control
from runtime.load.channel import Channel, Closed, Rejected, join
from tests.throughput_kit import CLOCK, Door, door, grant
from wire import load
from wire.load import DATA_FLOW as DATA
from wire.load import DATAGRAM, PING_BYTES, Go, Kind, Knock, LoadError, Order, Ready, Sent, Step
from wire.load import PING_FLOW as PING
from wire.slot import Direction, Grant, Method

QUIET_S = 0.3


@pytest.fixture(scope="module")
def hub() -> Iterator[Door]:
    with door() as opened:
        yield opened


def connect(hub: Door, address: str = "127.0.0.1") -> socket.socket:
    return socket.create_connection(("127.0.0.1", hub.port), source_address=(address, 0))


def joined(hub: Door, given: Grant) -> Channel:
    sock = connect(hub)
    try:
        return join(sock, CLOCK, given)
    except Exception:
        sock.close()
        raise


@contextmanager
def ordered(hub: Door, **changes: object) -> Iterator[tuple[Channel, bytes]]:
    """A session that is ready, and its tag."""
    given = grant(hub.port, **changes)
    hub.porter.expect(given)
    with closing(joined(hub, given)) as channel:
        channel.say(order(given))
        ready = channel.hear()
        assert isinstance(ready, Ready)
        yield channel, bytes.fromhex(ready.tag)
    hub.end(given.slot_id)


def order(given: Grant, **changes: object) -> Order:
    settings = {
        "method": given.method,
        "direction": given.direction,
        "flows": given.flows,
        "packet_bytes": 1500,
        "steps": (Step(bits_per_s=1_000_000, seconds=1.0),),
    }
    return Order(**{**settings, **changes})  # type: ignore[arg-type]


@contextmanager
def flow(hub: Door, address: str = "127.0.0.1") -> Iterator[socket.socket]:
    with closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as sock:
        sock.bind((address, 0))
        sock.connect(("127.0.0.1", hub.port))
        sock.settimeout(QUIET_S)
        yield sock


def knock(tag: bytes, key: bytes, number: int, length: int = 200) -> bytes:
    return bytes(load.prove(load.datagram(tag, Kind.KNOCK, number, 0, length), key))


def answered(sock: socket.socket, packet: bytes) -> bytes:
    """What comes back; b"" where nothing does."""
    sock.send(packet)
    try:
        return sock.recv(65_536)
    except TimeoutError:
        return b""


def test_a_stranger_over_udp_gets_not_an_octet(hub: Door) -> None:
    tag, key = secrets.token_bytes(8), secrets.token_bytes(32)
    with flow(hub) as sock:
        for packet in (
            b"",
            b"x",
            bytes(1400),
            knock(tag, key, PING),
            bytes(load.datagram(tag, Kind.PING, 1, 0, PING_BYTES)),
            bytes(load.datagram(tag, Kind.LOAD, 1, 0, 1400)),
        ):
            assert answered(sock, packet) == b""


@pytest.mark.parametrize(
    "first",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"\xff" * 100,
        load.knock_frame(
            Knock(version=1, slot_id="ab" * 16, nonce="cd" * 16), secrets.token_bytes(32)
        ),
        (1000).to_bytes(4, "big") + bytes(1032),
        (2).to_bytes(4, "big") + bytes(32) + b"{}",
    ],
    ids=["http", "noise", "unknown slot", "too long", "no knock"],
)
def test_a_stranger_over_tcp_is_shown_out_without_a_word(hub: Door, first: bytes) -> None:
    with connect(hub) as sock:
        sock.settimeout(5)
        sock.sendall(first)
        # A reset, where what it sent lay unread, is no word either.
        with suppress(ConnectionResetError):
            assert sock.recv(1) == b""


def test_whoever_holds_no_key_gets_nothing_and_the_holder_may_still_come(hub: Door) -> None:
    given = grant(hub.port)
    hub.porter.expect(given)
    thief = grant(hub.port, slot_id=given.slot_id)
    with pytest.raises(Closed, match="does not know this slot"):
        joined(hub, thief)
    with closing(joined(hub, given)):
        pass
    assert hub.end(given.slot_id).end is End.BROKEN


def test_a_slot_is_good_for_one_time(hub: Door) -> None:
    given = grant(hub.port)
    hub.porter.expect(given)
    with closing(joined(hub, given)), pytest.raises(Closed):
        joined(hub, given)
    hub.end(given.slot_id)
    with pytest.raises(Closed):
        joined(hub, given)


def test_a_slot_whose_time_has_not_come_is_not_begun(hub: Door) -> None:
    given = grant(hub.port, wait_s=30)
    hub.porter.expect(given)
    with pytest.raises(Closed):
        joined(hub, given)
    hub.porter.forget(given.slot_id)
    assert hub.end(given.slot_id).end is End.FORGOTTEN


def test_a_forgotten_slot_ends_under_way(hub: Door) -> None:
    with ordered(hub) as (channel, _):
        slot_id = hub.told[-1].slot_id
        hub.porter.forget(slot_id)
        with pytest.raises(Closed):
            channel.hear()
    assert hub.end(slot_id).end is End.BROKEN


def test_one_who_only_plays_the_hub_is_found_out() -> None:
    given = grant(1)
    with socket.create_server(("127.0.0.1", 0)) as imposter:
        client = socket.create_connection(imposter.getsockname())
        there, _ = imposter.accept()
        with client, there:
            fake = load.Seal(secrets.token_bytes(32), load.HUB)
            there.sendall(fake.close(load.Welcome(nonce="ab" * 16)))
            with pytest.raises(LoadError, match="holder of the key"):
                join(client, CLOCK, given)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"direction": Direction.UP}, "direction"),
        ({"method": Method.TCP}, "method"),
        ({"flows": 2}, "flows"),
        ({"steps": (Step(bits_per_s=20_000_001, seconds=1),)}, "rate"),
        ({"steps": (Step(bits_per_s=1, seconds=0.6),) * 2}, "duration"),
    ],
)
def test_an_order_beyond_the_grant_is_refused(
    hub: Door, changes: dict[str, object], told: str
) -> None:
    given = grant(hub.port)
    hub.porter.expect(given)
    with closing(joined(hub, given)) as channel:
        channel.say(order(given, **changes))
        with pytest.raises(Rejected, match=f"{told} is not as granted"):
            channel.hear()
    assert hub.end(given.slot_id).end is End.REFUSED


def test_a_proven_knock_is_answered_by_its_own_length_and_pings_by_theirs(hub: Door) -> None:
    with ordered(hub) as (channel, tag), flow(hub) as sock:
        answer = answered(sock, knock(tag, channel.key, PING, 321))
        assert len(answer) == 321
        assert DATAGRAM.unpack_from(answer)[1] == Kind.KNOCKED
        assert load.proven(answer, channel.key)
        ping = bytes(load.datagram(tag, Kind.PING, 7, 42, PING_BYTES))
        pong = answered(sock, ping)
        assert len(pong) == PING_BYTES
        assert DATAGRAM.unpack_from(pong)[1:] == (Kind.PONG, 0, 0, 7, 42)
        assert answered(sock, ping + b"x") == b""


def test_a_ping_before_its_knock_is_not_answered(hub: Door) -> None:
    with ordered(hub) as (_, tag), flow(hub) as sock:
        assert answered(sock, bytes(load.datagram(tag, Kind.PING, 1, 0, PING_BYTES))) == b""


def test_a_knock_from_another_address_than_the_slots_is_not_answered(hub: Door) -> None:
    """What an eavesdropper sends in somebody else's name would fall on that somebody."""
    with ordered(hub) as (channel, tag), flow(hub, "127.0.0.2") as victim:
        assert answered(victim, knock(tag, channel.key, DATA)) == b""


def test_a_second_place_cannot_take_a_flow_over(hub: Door) -> None:
    with ordered(hub) as (channel, tag), flow(hub) as first, flow(hub) as second:
        said = knock(tag, channel.key, DATA)
        assert answered(first, said) != b""
        assert answered(second, said) == b""


@pytest.mark.parametrize("change", [0, 9, DATAGRAM.size, 199])
def test_a_knock_that_was_changed_is_not_answered(hub: Door, change: int) -> None:
    with ordered(hub) as (channel, tag), flow(hub) as sock:
        packet = bytearray(knock(tag, channel.key, PING))
        if change == 199:
            packet += b"\0"  # its length is proven, too
        else:
            packet[change] ^= 1
        assert answered(sock, bytes(packet)) == b""


def test_a_tcp_flow_needs_the_sessions_key(hub: Door) -> None:
    given = grant(hub.port, method=Method.TCP, flows=1)
    hub.porter.expect(given)
    with closing(joined(hub, given)) as channel:
        said = Knock(version=1, slot_id=given.slot_id, nonce=control.nonce(), flow=0)
        for key in (secrets.token_bytes(32), bytes.fromhex(given.key)):
            with connect(hub) as sock:
                sock.settimeout(5)
                sock.sendall(load.knock_frame(said, key))
                assert sock.recv(1) == b""
        channel.say(order(given))
        assert isinstance(channel.hear(), Ready)


def test_a_udp_session_has_no_tcp_flows(hub: Door) -> None:
    with ordered(hub) as (channel, _), connect(hub) as sock:
        slot_id = hub.told[-1].slot_id
        said = Knock(version=1, slot_id=slot_id, nonce=control.nonce(), flow=0)
        sock.settimeout(5)
        sock.sendall(load.knock_frame(said, load.flow_key(channel.key)))
        assert sock.recv(1) == b""


def test_a_session_that_meets_a_bug_ends_its_slot(
    hub: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    caught: list[object] = []
    monkeypatch.setattr("threading.excepthook", caught.append)

    def bug(*_: object) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr("collector.throughput.session.Session._serve", bug)
    given = grant(hub.port)
    hub.porter.expect(given)
    with closing(joined(hub, given)):
        assert hub.end(given.slot_id).end is End.FAILED
    assert caught


def test_the_hub_stops_listening_to_who_sends_more_than_granted(hub: Door) -> None:
    given = grant(hub.port, direction=Direction.UP, duration_s=20, most_bits_per_s=1_000_000)
    hub.porter.expect(given)
    with closing(joined(hub, given)) as channel, flow(hub) as sock:
        channel.say(order(given, steps=(Step(bits_per_s=1_000_000, seconds=20),)))
        ready = channel.hear()
        assert isinstance(ready, Ready)
        tag = bytes.fromhex(ready.tag)
        assert answered(sock, knock(tag, channel.key, DATA, 1472))
        channel.say(Go(packet_bytes=1500))
        assert isinstance(channel.hear(), Go)
        for number in range(2000):
            try:
                sock.send(load.datagram(tag, Kind.LOAD, number, 0, 1472))
            except ConnectionRefusedError:
                break  # its socket has gone
            if number % 50 == 49:
                time.sleep(0.02)  # no faster than a busy hub reads: what is dropped does not count
        with pytest.raises((Rejected, Closed)):
            while True:
                channel.hear()
    report = hub.end(given.slot_id)
    assert report.end is End.EXCEEDED
    assert "within a second" in report.reason


def test_the_hub_ends_a_load_that_does_not_end(hub: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runtime.load.ends._OVERDUE_NS", 200_000_000)
    monkeypatch.setattr("runtime.load.ends._SETTLE_NS", 200_000_000)
    given = grant(hub.port, direction=Direction.UP, duration_s=0.3)
    hub.porter.expect(given)
    with closing(joined(hub, given)) as channel, flow(hub) as sock:
        channel.say(order(given, steps=(Step(bits_per_s=1_000_000, seconds=0.3),)))
        ready = channel.hear()
        assert isinstance(ready, Ready)
        tag = bytes.fromhex(ready.tag)
        assert answered(sock, knock(tag, channel.key, DATA, 1472))
        channel.say(Go(packet_bytes=1500))
        assert isinstance(channel.hear(), Go)
        with pytest.raises((ConnectionError, Rejected)):
            for number in range(1000):
                sock.send(load.datagram(tag, Kind.LOAD, number, 0, 1472))
                with suppress(BlockingIOError):
                    channel.heard()
                time.sleep(0.02)
    report = hub.end(given.slot_id)
    assert (report.end, report.reason) == (End.BROKEN, "the sender does not end")


def test_the_hub_ends_a_session_that_says_nothing(
    hub: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("collector.throughput.session.GO_WITHIN_S", 0.2)
    with ordered(hub) as (channel, _):
        slot_id = hub.told[-1].slot_id
        with pytest.raises(Closed):
            channel.hear(within_s=5)
    assert hub.end(slot_id).reason == "the agent never said go"


def test_a_slot_that_nobody_begins_is_gone(hub: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("collector.throughput.porter.BEGIN_WITHIN_S", 0.05)
    given = grant(hub.port)
    hub.porter.expect(given)
    assert hub.end(given.slot_id).end is End.UNUSED
    with pytest.raises(Closed):
        joined(hub, given)


def test_many_strangers_do_not_keep_an_agent_out(hub: Door) -> None:
    crowd = [connect(hub) for _ in range(MOST_STRANGERS + 20)]
    try:
        with ordered(hub) as (channel, _):
            assert channel.key
    finally:
        for one in crowd:
            one.close()


def test_frames_that_are_replayed_or_out_of_order_are_no_frames(hub: Door) -> None:
    given = grant(hub.port)
    hub.porter.expect(given)
    with closing(joined(hub, given)) as channel:
        seal = load.Seal(channel.key, load.AGENT)
        seal.close(order(given))  # number 0 is left out
        channel.sock.setblocking(True)
        channel.sock.sendall(seal.close(Sent(duration_ns=1)))
        time.sleep(0)
    report = hub.end(given.slot_id)
    assert report.end is End.BROKEN
    assert "holder of the key" in report.reason
