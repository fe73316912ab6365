"""The reflector through real sockets: octets in, octets out, and nothing for the uninvited."""

import asyncio
import contextlib
import hmac
import logging
import random
import socket
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager

import pytest

from collector.reflector import BURST, Reflector, ReflectorSettings
from collector.sessions import DropReason, Session, SessionTable
from runtime.clock import SECOND, ClockQuality, SystemClock
from runtime.testing import FakeClock
from wire import stamp
from wire.instant import ClockClass

KEY = bytes(range(32))
OPEN = Session(42, "desa-001/icon", b"a" * 16, None)
SEALED = Session(43, "desa-002/icon", b"b" * 16, KEY)
SENT_NS = 1_700_000_000_500_000_000
FAMILIES = pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
MODES = pytest.mark.parametrize("session", [OPEN, SEALED], ids=["open", "authenticated"])


class Sender:
    """A session-sender's socket on loopback."""

    def __init__(self, host: str, port: int, *, source: tuple[str, int] | None = None) -> None:
        self.family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.sock = socket.socket(self.family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        if source:
            self.sock.bind(source)
        self.sock.connect((host, port))

    def set_ttl(self, ttl: int) -> None:
        if self.family == socket.AF_INET:
            self.sock.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, ttl)
        else:
            self.sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS, ttl)

    def send(self, data: bytes) -> None:
        self.sock.send(data)

    async def reply(self, timeout_s: float = 2.0) -> bytes:
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(timeout_s):
            return await loop.sock_recv(self.sock, 70_000)

    async def ask(self, data: bytes) -> bytes:
        self.send(data)
        return await self.reply()

    async def silent(self) -> bool:
        with contextlib.suppress(TimeoutError):
            await self.reply(0.05)
            return False
        return True

    def close(self) -> None:
        self.sock.close()


SenderTo = Callable[..., Sender]


@pytest.fixture
def sender_to() -> Iterator[SenderTo]:
    """Makes senders and closes them in the end."""
    with contextlib.ExitStack() as stack:
        yield lambda *args, **more: stack.enter_context(contextlib.closing(Sender(*args, **more)))


def octets(seq: int, session: Session = OPEN, padding: int = 0) -> bytes:
    packet = stamp.SenderPacket(seq, stamp.ntp64(SENT_NS + seq), 0x9282, session.ssid)
    return stamp.pack_sender(packet, session.key, padding)


@asynccontextmanager
async def listening(
    host: str = "127.0.0.1",
    *,
    clock: FakeClock | SystemClock | None = None,
    strangers: bool = False,
) -> AsyncIterator[tuple[Reflector, SessionTable]]:
    table = SessionTable()
    table.register(OPEN)
    table.register(SEALED)
    settings = ReflectorSettings(host, 0, open_to_strangers=strangers)
    reflector = Reflector(table, clock or SystemClock(), settings)
    await reflector.start()
    try:
        yield reflector, table
    finally:
        await reflector.close()


def vector_clock() -> FakeClock:
    clock = FakeClock(wall_ns=SENT_NS + 13_200_000)
    clock.now_quality = ClockQuality(ClockClass.A, 7_926_771, "chrony")
    return clock


VECTOR = bytes.fromhex(
    "00000005e8fe6f80836113409282002ae8fe6f808353f7cf00000007e8fe6f8080000000928200003e000000"
)
VECTOR_RECEIVED = bytes.fromhex("e8fe6f808353f7cf")


@FAMILIES
async def test_the_open_answer_equals_vector_v3_6_but_for_the_kernels_own_stamp(
    host: str, sender_to: SenderTo
) -> None:
    async with listening(host, clock=vector_clock()) as (reflector, _):
        sender = sender_to(host, reflector.port)
        sender.set_ttl(62)
        for seq in range(2, 7):
            await sender.ask(octets(seq))
        request = bytes.fromhex("00000007e8fe6f80800000009282002a" + "00" * 28)
        answer = await sender.ask(request)
    assert answer[:16] + VECTOR_RECEIVED + answer[24:] == VECTOR
    assert answer[16:24] != bytes(8)


@FAMILIES
async def test_the_authenticated_answer_equals_vector_v3_6_but_for_the_kernels_own_stamp(
    host: str, sender_to: SenderTo
) -> None:
    twin = Session(0x2A, "l", b"c" * 16, KEY)
    async with listening(host, clock=vector_clock()) as (reflector, table):
        table.register(twin)
        sender = sender_to(host, reflector.port)
        sender.set_ttl(62)
        for seq in range(2, 7):
            await sender.ask(octets(seq, twin))
        packet = stamp.SenderPacket(7, stamp.ntp64(SENT_NS), 0x9282, 0x2A)
        answer = await sender.ask(stamp.pack_sender(packet, KEY))
    assert stamp.parse_reflector(answer, KEY).sender_seq == 7
    as_vector = answer[:32] + VECTOR_RECEIVED + answer[40:96]
    assert hmac.digest(KEY, as_vector, "sha256")[:16].hex() == "d0f008e13c7f220955387ae8a238e00e"


@FAMILIES
@MODES
async def test_a_question_gets_one_answer_though_the_way_is_walked_twice(
    host: str, session: Session, sender_to: SenderTo
) -> None:
    async with listening(host) as (reflector, _):
        sender = sender_to(host, reflector.port)
        for seq in range(5):
            answer = stamp.parse_reflector(await sender.ask(octets(seq, session)), session.key)
            assert (answer.sender_seq, answer.seq) == (seq, seq)
            # The transmit timestamp is read after all else, and before the answer leaves.
            now = stamp.ntp64(time.time_ns())
            assert stamp.ntp64_difference_ns(answer.timestamp, answer.receive_timestamp) > 0
            assert stamp.ntp64_difference_ns(now, answer.timestamp) > 0
        assert await sender.silent()
    assert reflector.reflected == 5


@FAMILIES
@MODES
async def test_methodology_v3_8_loss_is_split_by_direction(
    host: str, session: Session, sender_to: SenderTo
) -> None:
    async with listening(host) as (reflector, table):
        sender = sender_to(host, reflector.port)
        pairs = []
        for seq in [0, 1, 2, 4, 5, 7, 8, 9]:
            answer = stamp.parse_reflector(await sender.ask(octets(seq, session)), session.key)
            assert answer.sender_seq == seq
            if seq != 5:  # lost on the way back
                pairs.append((answer.sender_seq, answer.seq))
        view = table.view(session.ssid)
    assert pairs == [(0, 0), (1, 1), (2, 2), (4, 3), (7, 5), (8, 6), (9, 7)]
    s, r = pairs[-1]
    assert ((s + 1) - (r + 1), (r + 1) - len(pairs)) == (2, 1)
    assert view is not None
    assert (view.forward_lost, view.packets_received) == (2, 8)


@FAMILIES
@MODES
async def test_an_answer_is_as_long_as_its_question_and_echoes_the_rest(
    host: str, session: Session, sender_to: SenderTo
) -> None:
    async with listening(host) as (reflector, _):
        sender = sender_to(host, reflector.port)
        for seq, padding in enumerate([0, 1, 100, 1400, 8_888]):
            rest = random.Random(seq).randbytes(padding)
            question = octets(seq, session) + rest
            answer = await sender.ask(question)
            assert len(answer) == len(question)
            assert answer.endswith(rest)


@FAMILIES
async def test_an_answer_has_ttl_255_the_dscp_of_the_question_and_no_ecn(
    host: str, sender_to: SenderTo
) -> None:
    async with listening(host) as (reflector, _):
        sender = sender_to(host, reflector.port)
        four = sender.family == socket.AF_INET
        level = socket.IPPROTO_IP if four else socket.IPPROTO_IPV6
        sender.sock.setsockopt(level, socket.IP_TOS if four else socket.IPV6_TCLASS, 0xBB)
        sender.sock.setsockopt(level, 12 if four else socket.IPV6_RECVHOPLIMIT, 1)
        sender.sock.setsockopt(level, socket.IP_RECVTOS if four else socket.IPV6_RECVTCLASS, 1)
        await sender.ask(octets(0))
        sender.send(octets(1))
        await asyncio.sleep(0.05)
        _, control, _, _ = sender.sock.recvmsg(1000, 256)
    told = {kind: int.from_bytes(value, "little") for _, kind, value in control}
    assert told[socket.IP_TTL if four else socket.IPV6_HOPLIMIT] == 255
    assert told[socket.IP_TOS if four else socket.IPV6_TCLASS] == 0xB8


@pytest.mark.parametrize("address", ["127.0.0.1", "127.0.0.9", "127.3.2.1", "::1"])
async def test_on_every_address_the_answer_leaves_from_the_one_that_was_asked(
    address: str, sender_to: SenderTo
) -> None:
    async with listening("::") as (reflector, _):
        sender = sender_to(address, reflector.port)  # connected: takes answers of this address only
        answer = stamp.parse_reflector(await sender.ask(octets(3)))
    assert answer.sender_seq == 3


async def test_a_stalled_event_loop_does_not_show_in_the_round_trip(sender_to: SenderTo) -> None:
    clock = SystemClock()
    async with listening(clock=clock) as (reflector, _):
        sender = sender_to("127.0.0.1", reflector.port)
        await sender.ask(octets(0))
        sent_ns = clock.wall_ns()
        sender.send(octets(1))
        time.sleep(0.05)
        answer = stamp.parse_reflector(await sender.reply())
        residence_ns = stamp.ntp64_difference_ns(answer.timestamp, answer.receive_timestamp)
        forward_ns = stamp.ntp64_difference_ns(answer.receive_timestamp, stamp.ntp64(sent_ns))
        longest_ns = reflector.take_longest_residence_ns()
        assert reflector.without_kernel_stamp == 0
        assert reflector.take_longest_residence_ns() is None
    assert longest_ns is not None
    assert abs(longest_ns - residence_ns) < 1_000
    assert residence_ns > 45_000_000
    assert 0 <= forward_ns < 20_000_000


async def test_the_error_estimate_follows_the_clock_of_the_hub(sender_to: SenderTo) -> None:
    clock = FakeClock()
    clock.now_quality = ClockQuality(ClockClass.A, 1_000_000, "fake")
    async with listening(clock=clock) as (reflector, _):
        sender = sender_to("127.0.0.1", reflector.port)
        first = stamp.parse_reflector(await sender.ask(octets(0)))
        clock.now_quality = ClockQuality(ClockClass.D, None, "fake")
        clock.advance(2 * SECOND)
        second = stamp.parse_reflector(await sender.ask(octets(1)))
    assert first.error_estimate == 0x8F84
    assert second.error_estimate == 0x3FFF  # S = 0: nobody synchronises it


async def test_liveness_is_read_from_the_hubs_own_clock(sender_to: SenderTo) -> None:
    clock = FakeClock(boot_ns=5 * SECOND)
    async with listening(clock=clock) as (reflector, table):
        sender = sender_to("127.0.0.1", reflector.port)
        await sender.ask(octets(0))
        clock.advance(7 * SECOND)
        await sender.ask(octets(1))
        view = table.view(OPEN.ssid)
    assert view is not None
    assert view.last_heard_boot_ns == 12 * SECOND
    assert (view.source_address, view.source_port) == sender.sock.getsockname()


@FAMILIES
@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", DropReason.MALFORMED),
        (octets(1)[:43], DropReason.MALFORMED),
        (octets(1, SEALED)[:111], DropReason.MALFORMED),
        (octets(1, Session(99, "", b"", None)), DropReason.UNKNOWN_SESSION),
        (octets(1, Session(SEALED.ssid, "", b"", None)), DropReason.NOT_AUTHENTICATED),
        (octets(1, Session(SEALED.ssid, "", b"", bytes(32))), DropReason.WRONG_HMAC),
    ],
    ids=["empty", "short", "short-authenticated", "unknown", "not-authenticated", "wrong-key"],
)
async def test_the_uninvited_get_no_answer_and_are_counted(
    host: str, data: bytes, reason: DropReason, sender_to: SenderTo
) -> None:
    async with listening(host) as (reflector, table):
        sender = sender_to(host, reflector.port)
        sender.send(data)
        assert await sender.silent()
        assert table.dropped == dict.fromkeys(DropReason, 0) | {reason: 1}
        assert len(await sender.ask(octets(2))) == 44


async def test_strangers_are_answered_where_the_settings_say_so(sender_to: SenderTo) -> None:
    stranger = Session(777, "", b"", None)
    async with listening(strangers=True) as (reflector, table):
        sender = sender_to("127.0.0.1", reflector.port)
        answers = [stamp.parse_reflector(await sender.ask(octets(seq, stranger))) for seq in (5, 9)]
        assert table.view(777) is None
        sender.send(octets(1, Session(SEALED.ssid, "", b"", None)))
        assert await sender.silent()
    assert [(answer.seq, answer.sender_seq) for answer in answers] == [(0, 5), (1, 9)]


async def test_a_question_from_a_reflectors_port_is_not_answered_for_ever(
    sender_to: SenderTo,
) -> None:
    async with listening() as (reflector, table):
        mirror = sender_to("127.0.0.1", reflector.port, source=("127.0.0.2", reflector.port))
        mirror.send(octets(1))
        assert await mirror.silent()
        assert table.dropped[DropReason.LOOP] == 1
        assert table.view(OPEN.ssid) is None


async def test_an_answer_that_the_kernel_refuses_is_counted(
    caplog: pytest.LogCaptureFixture, sender_to: SenderTo
) -> None:
    async with listening() as (reflector, table):
        with contextlib.suppress(
            OSError
        ):  # says "not connected" and shuts the way out all the same
            reflector._sockets[0].shutdown(socket.SHUT_WR)
        sender = sender_to("127.0.0.1", reflector.port)
        sender.send(octets(1))
        assert await sender.silent()
        assert table.dropped[DropReason.SOCKET_ERROR] == 1
        assert table.view(OPEN.ssid) is not None
    assert "socket_error ([Errno 32] Broken pipe)" in caplog.text


async def test_a_flood_of_rubbish_is_one_log_line_a_minute_and_reason(
    caplog: pytest.LogCaptureFixture, sender_to: SenderTo
) -> None:
    caplog.set_level(logging.WARNING)
    clock = FakeClock()
    async with listening(clock=clock) as (reflector, table):
        sender = sender_to("127.0.0.1", reflector.port)
        for seconds in (0, 59, 2):
            clock.advance(seconds * SECOND)
            for _ in range(20):
                sender.send(b"rubbish")
                sender.send(octets(1, Session(99, "", b"", None)))
            await sender.ask(octets(1))
    lines = [record.getMessage() for record in caplog.records]
    assert len(lines) == 4
    assert [line.count("malformed") for line in lines] == [1, 0, 1, 0]
    assert "malformed (41 so far" in lines[2]
    assert table.dropped[DropReason.MALFORMED] == 60


@FAMILIES
async def test_random_octets_never_crash_and_are_all_counted(
    host: str, sender_to: SenderTo
) -> None:
    chance = random.Random(8762)
    valid = [octets(5), octets(5, SEALED)]
    async with listening(host) as (reflector, table):
        sender = sender_to(host, reflector.port)
        answered = dropped = 0
        for _ in range(40):
            for _ in range(25):
                data = bytearray(chance.choice(valid) if chance.random() < 0.5 else b"")
                for _ in range(chance.randrange(4) if data else 0):
                    data[chance.randrange(len(data))] = chance.randrange(256)
                sender.send(bytes(data) + chance.randbytes(chance.randrange(2_000)))
            await asyncio.sleep(0.002)
            with contextlib.suppress(BlockingIOError):
                while sender.sock.recv(9_000):
                    answered += 1
        while len(await sender.reply() if answered < reflector.reflected else b"") > 0:
            answered += 1
        dropped = sum(table.dropped.values())
        assert (await sender.ask(octets(6)))[24:28] == bytes([0, 0, 0, 6])
    assert answered + dropped == 1_000
    assert min(answered, table.dropped[DropReason.WRONG_HMAC]) > 50
    assert table.dropped[DropReason.UNKNOWN_SESSION] > 50


async def test_the_event_loop_gets_its_turn_in_a_flood(sender_to: SenderTo) -> None:
    async with listening() as (reflector, _):
        sender = sender_to("127.0.0.1", reflector.port)
        for seq in range(5 * BURST):
            sender.send(octets(seq))
        steps = []
        while reflector.reflected < 5 * BURST:
            before = reflector.reflected
            await asyncio.sleep(0)
            steps.append(reflector.reflected - before)
    assert max(steps) == BURST


async def test_what_the_kernel_drops_for_our_slowness_is_counted_as_ours(
    sender_to: SenderTo,
) -> None:
    async with listening() as (reflector, _):
        reflector._sockets[0].setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 100_000)
        sender = sender_to("127.0.0.1", reflector.port)
        for seq in range(300):
            sender.send(octets(seq, padding=4_000))
        await asyncio.sleep(0.1)
        assert 0 < reflector.reflected < 300
        while not await sender.silent():
            pass
        await sender.ask(octets(300))
        assert reflector.reflected + reflector.overflowed == 301


async def test_a_closed_reflector_answers_nothing_and_frees_its_port() -> None:
    async with listening() as (reflector, _):
        port = reflector.port
        await reflector.close()
        await reflector.close()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.bind(("127.0.0.1", port))


@pytest.mark.parametrize("host", ["127.0.0.1", "::"])
async def test_a_port_in_use_is_an_error_at_start_and_leaves_nothing_open(host: str) -> None:
    async with listening(host) as (reflector, table):
        settings = ReflectorSettings(host, reflector.port)
        with pytest.raises(OSError, match="in use"):
            await Reflector(table, SystemClock(), settings).start()


async def test_scapy_asks_and_reads_the_answer(sender_to: SenderTo) -> None:
    from scapy.contrib import stamp as scapy_stamp

    tlv = scapy_stamp.STAMPTestTLV(flags="U", type=1, len=6, value=b"cahaya")
    request = scapy_stamp.STAMPSessionSenderTestUnauthenticated(
        seq=11,
        ts=SENT_NS / 1e9 + 2_208_988_800,
        ssid=OPEN.ssid,
        err_estimate=scapy_stamp.ErrorEstimate(S=1, scale=18, multiplier=130),
        tlv_objects=[tlv],
    )
    async with listening() as (reflector, _):
        sender = sender_to("127.0.0.1", reflector.port)
        sender.set_ttl(33)
        octets_back = await sender.ask(bytes(request))
    answer = scapy_stamp.STAMPSessionReflectorTestUnauthenticated(octets_back)
    assert (answer.seq, answer.ssid, answer.seq_sender, answer.ttl_sender) == (0, 42, 11, 33)
    assert answer.ts_sender == pytest.approx(SENT_NS / 1e9 + 2_208_988_800, abs=1e-5)
    assert bytes(answer.err_estimate_sender) == b"\x92\x82"
    assert answer.ts_rx <= answer.ts
    assert (answer.mbz1, answer.mbz2) == (0, 0)
    assert [(t.type, t.len, t.value) for t in answer.tlv_objects] == [(1, 6, b"cahaya")]
    assert answer.tlv_objects[0].flags == "U"
