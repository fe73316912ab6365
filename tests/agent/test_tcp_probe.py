import asyncio
import errno
import socket
import time
from pathlib import Path
from typing import Any

import pytest

from agent.probes.attempt import Cut, end_connect, open_socket, start_connect
from agent.probes.site import Unavailable
from agent.probes.tcp import TcpProbe
from agent.sockets import Way
from tests.agent.attempt_kit import bench, free_port, tcp_server
from tests.agent.measure_kit import target
from wire.detail import Phase
from wire.observation import Outcome, StampSource


async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
async def test_a_listening_port_gives_a_round_trip(address: str) -> None:
    async with tcp_server(silent, address) as port, bench() as lab:
        rows = await lab.ask(TcpProbe, target(probe="tcp", address=address, port=port), 5)
    assert [row.outcome for row in rows] == [Outcome.OK] * 5
    assert [row.seq for row in rows] == list(range(5))
    for row in rows:
        assert row.rtt_ns is not None and 1_000 <= row.rtt_ns < 50_000_000
        assert row.stamp is StampSource.KERNEL
    assert lab.told == []
    assert lab.notes == {}


async def test_a_closed_port_is_refused_and_that_is_a_round_trip() -> None:
    async with bench() as lab:
        (row,) = await lab.ask(TcpProbe, target(probe="tcp", port=await free_port()))
    assert row.outcome is Outcome.REFUSED
    assert row.rtt_ns is not None and 1_000 < row.rtt_ns < 50_000_000


def full_listener() -> tuple[socket.socket, list[socket.socket]]:
    """A port whose queue of connections has no room: the kernel drops further SYNs."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=0)
    waiting = []
    for _ in range(2):
        sock = socket.socket()
        sock.setblocking(False)
        sock.connect_ex(listener.getsockname())
        waiting.append(sock)
    time.sleep(0.05)
    return listener, waiting


async def test_a_port_that_does_not_answer_is_a_timeout() -> None:
    listener, waiting = full_listener()
    async with bench() as lab:
        began = time.monotonic()
        aim = target(probe="tcp", port=listener.getsockname()[1], timeout_s=0.2)
        (row,) = await lab.ask(TcpProbe, aim)
        took = time.monotonic() - began
    for sock in [listener, *waiting]:
        sock.close()
    assert (row.outcome, row.rtt_ns) == (Outcome.TIMEOUT, None)
    assert 0.2 <= took < 0.4


async def test_a_syn_that_had_to_be_sent_again_is_told() -> None:
    listener, waiting = full_listener()
    async with bench() as lab:
        aim = target(probe="tcp", port=listener.getsockname()[1], timeout_s=3)
        probe, (stream,) = lab.serve(TcpProbe, aim)
        probe.send([(stream, 0)])
        await asyncio.sleep(0.3)
        for _ in range(2):
            listener.accept()[0].close()
        await lab.idle()
        (row,) = lab.rows("hub")
    for sock in [listener, *waiting]:
        sock.close()
    assert row.outcome is Outcome.OK
    assert row.stamp is StampSource.USER
    assert row.rtt_ns is not None and 950_000_000 < row.rtt_ns < 2_500_000_000
    (told,) = lab.exchanges()
    assert told.note == "the SYN was sent 2 times"
    assert told.phases_ns == {Phase.CONNECT: row.rtt_ns}
    assert (told.link, told.target, told.seq) == ("astinet", "hub", 0)


async def test_how_long_a_server_takes_to_accept_is_no_part_of_the_round_trip() -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=8) as listener:
        async with bench() as lab:
            aim = target(probe="tcp", port=listener.getsockname()[1])
            (row,) = await lab.ask(TcpProbe, aim)
    assert row.rtt_ns is not None and row.rtt_ns < 50_000_000


async def test_a_loop_that_is_late_does_not_lengthen_the_round_trip() -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=8) as listener:
        async with bench() as lab:
            probe, (stream,) = lab.serve(
                TcpProbe, target(probe="tcp", port=listener.getsockname()[1])
            )
            probe.send([(stream, 0)])
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            time.sleep(0.1)
            await lab.idle()
            (row,) = lab.rows("hub")
    assert row.rtt_ns is not None and row.rtt_ns < 50_000_000
    assert row.stamp is StampSource.KERNEL


async def test_nothing_is_left_in_time_wait() -> None:
    async with tcp_server(silent) as port, bench() as lab:
        await lab.ask(TcpProbe, target(probe="tcp", port=port), 20)
        await asyncio.sleep(0.05)
        lines = Path("/proc/net/tcp").read_text().splitlines()[1:]
    states = [line.split()[3] for line in lines if f":{port:04X} " in line]
    assert "06" not in states  # TIME_WAIT


async def test_an_interface_that_is_not_there_is_a_slot_without_a_packet() -> None:
    async with tcp_server(silent) as port, bench() as lab:
        aim = target(probe="tcp", port=port, interface="nosuch0")
        (row,) = await lab.ask(TcpProbe, aim)
    assert (row.outcome, row.rtt_ns) == (Outcome.NOT_SENT, None)
    assert lab.notes == {"hub": "cannot send: No such device"}


class Stub:
    """A socket on which the kernel says one thing."""

    def __init__(self, number: int) -> None:
        self._number = number

    def connect(self, address: Any) -> None:
        raise OSError(self._number, "no")

    def getsockopt(self, *_: Any) -> int:
        return self._number


@pytest.mark.parametrize(
    ("number", "at_once", "later"),
    [
        (errno.ENETUNREACH, Outcome.NOT_SENT, Outcome.UNREACHABLE),
        (errno.EHOSTUNREACH, Outcome.NOT_SENT, Outcome.UNREACHABLE),
        (errno.EADDRNOTAVAIL, Outcome.NOT_SENT, Outcome.LOCAL_ERROR),
        (errno.EPERM, Outcome.LOCAL_ERROR, Outcome.LOCAL_ERROR),
        (errno.ETIMEDOUT, Outcome.LOCAL_ERROR, Outcome.TIMEOUT),
    ],
)
def test_no_route_now_is_local_and_unreachable_later_is_the_path(
    number: int, at_once: Outcome, later: Outcome
) -> None:
    stub: Any = Stub(number)
    with pytest.raises(Cut) as now:
        start_connect(stub, ("192.0.2.1", 80))
    assert now.value.ended.outcome is at_once
    with pytest.raises(Cut) as then:
        end_connect(stub, 5)
    assert then.value.ended.outcome is later
    assert then.value.ended.rtt_ns is None


def test_a_refusal_keeps_its_time() -> None:
    stub: Any = Stub(errno.ECONNREFUSED)
    with pytest.raises(Cut) as cut:
        end_connect(stub, 5)
    assert cut.value.ended[:2] == (Outcome.REFUSED, 5)


@pytest.mark.parametrize(
    ("family", "level", "option"),
    [
        (socket.AF_INET, socket.IPPROTO_IP, socket.IP_TOS),
        (socket.AF_INET6, socket.IPPROTO_IPV6, socket.IPV6_TCLASS),
    ],
)
@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_DGRAM])
def test_sockets_carry_marking_and_interface(
    family: int, level: int, option: int, kind: socket.SocketKind
) -> None:
    with open_socket(Way(family, "lo", 46), kind) as sock:
        assert sock.getsockopt(level, option) == 46 << 2
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, 16).rstrip(b"\0") == b"lo"
        assert not sock.getblocking()


@pytest.mark.parametrize(
    ("changes", "reason"),
    [({}, "needs a port"), ({"port": 80, "address": "hub.test"}, "not a literal")],
)
async def test_a_target_that_cannot_be_is_said_to_be_so(
    changes: dict[str, Any], reason: str
) -> None:
    async with bench() as lab:
        with pytest.raises(Unavailable, match=reason):
            lab.serve(TcpProbe, target(probe="tcp", **changes))
