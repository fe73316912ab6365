import asyncio
import socket
import struct
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import dns.exception
import dns.flags
import dns.message
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.probes.dns import DnsProbe, parse, whole_messages
from agent.probes.site import Unavailable
from tests.agent.attempt_kit import (
    Answers,
    bench,
    dns_server,
    free_port,
    records,
    tcp_server,
)
from tests.agent.measure_kit import target
from wire.detail import Phase
from wire.observation import Outcome, StampSource
from wire.policy import Target, Transport

NAME = "sip.desa.test"


def aim(port: int, **changes: Any) -> Target:
    return target(probe="dns", port=port, host=NAME, **changes)


def good(query: dns.message.Message) -> Sequence[bytes | float]:
    return [records(query, "192.0.2.7").to_wire()]


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
async def test_an_answer_over_udp_is_a_round_trip_with_its_code(address: str) -> None:
    asked: list[dns.message.Message] = []

    def answer(query: dns.message.Message) -> Sequence[bytes | float]:
        asked.append(query)
        return good(query)

    async with dns_server(answer, address) as port, bench() as lab:
        rows = await lab.ask(DnsProbe, aim(port, address=address), 3)
    assert [row.outcome for row in rows] == [Outcome.OK] * 3
    assert {row.stamp for row in rows} == {StampSource.KERNEL_RX}
    told = lab.exchanges()
    assert [one.seq for one in told] == [0, 1, 2]
    assert [one.phases_ns for one in told] == [{Phase.PROCESSING: row.rtt_ns} for row in rows]
    assert {(one.status, one.note) for one in told} == {(0, "")}
    assert {str(query.question[0]) for query in asked} == {f"{NAME}. IN A"}
    assert len({query.id for query in asked}) > 1


@pytest.mark.parametrize("code", [1, 2, 3, 5])
async def test_a_server_that_declines_is_a_round_trip_all_the_same(code: int) -> None:
    async with (
        dns_server(lambda query: [records(query, rcode=code).to_wire()]) as port,
        bench() as lab,
    ):
        (row,) = await lab.ask(DnsProbe, aim(port))
    assert row.outcome is Outcome.OK
    assert lab.exchanges()[0].status == code


async def test_the_round_trip_contains_the_time_that_the_server_took() -> None:
    async with dns_server(lambda query: [0.1, *good(query)]) as port, bench() as lab:
        (row,) = await lab.ask(DnsProbe, aim(port))
    assert row.rtt_ns is not None and 100_000_000 <= row.rtt_ns < 160_000_000


async def test_a_loop_that_is_late_does_not_lengthen_the_round_trip() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        async with bench() as lab:
            probe, (stream,) = lab.serve(DnsProbe, aim(server.getsockname()[1]))
            probe.send([(stream, 0)])
            await asyncio.sleep(0)
            data, address = server.recvfrom(512)
            server.sendto(records(dns.message.from_wire(data)).to_wire(), address)
            time.sleep(0.1)
            await lab.idle()
            (row,) = lab.rows("hub")
    assert row.rtt_ns is not None and row.rtt_ns < 60_000_000


def other_id(query: dns.message.Message) -> bytes:
    wire = bytearray(records(query, "192.0.2.7").to_wire())
    wire[0] ^= 0xFF
    return bytes(wire)


def other_name(query: dns.message.Message) -> bytes:
    other = dns.message.make_query("other.test", "A", id=query.id)
    return records(other, "192.0.2.7").to_wire()


def broken(query: dns.message.Message) -> bytes:
    return query.id.to_bytes(2, "big") + b"\x81\x80" + b"\xff" * 40


def echoed(query: dns.message.Message) -> bytes:
    return query.to_wire()


@pytest.mark.parametrize("make", [other_id, other_name, broken, echoed])
async def test_what_does_not_answer_our_question_is_waited_out(make: Any) -> None:
    async with (
        dns_server(lambda query: [make(query), b"", b"x", 0.05, *good(query)]) as port,
        bench() as lab,
    ):
        (row,) = await lab.ask(DnsProbe, aim(port))
    assert row.outcome is Outcome.OK
    assert row.rtt_ns is not None and row.rtt_ns >= 50_000_000


@pytest.mark.parametrize(
    ("make", "outcome", "foreign"),
    [
        (other_id, Outcome.TIMEOUT, 1),
        (other_name, Outcome.BAD_REPLY, 0),
        (broken, Outcome.BAD_REPLY, 0),
    ],
)
async def test_where_nothing_better_comes_it_decides_the_outcome(
    make: Any, outcome: Outcome, foreign: int
) -> None:
    async with dns_server(lambda query: [make(query)]) as port, bench() as lab:
        (row,) = await lab.ask(DnsProbe, aim(port, timeout_s=0.15))
    assert (row.outcome, row.rtt_ns) == (outcome, None)
    assert lab.site.oddities.foreign == foreign
    assert lab.told == []


async def test_silence_is_a_timeout() -> None:
    async with dns_server(lambda query: []) as port, bench() as lab:
        (row,) = await lab.ask(DnsProbe, aim(port, timeout_s=0.15))
    assert (row.outcome, row.rtt_ns) == (Outcome.TIMEOUT, None)


@pytest.mark.parametrize("cut", [0, 7])
async def test_a_truncated_answer_counts_and_is_told(cut: int) -> None:
    def answer(query: dns.message.Message) -> Sequence[bytes | float]:
        full = records(query, *(f"192.0.2.{k}" for k in range(1, 9)))
        full.flags |= dns.flags.TC
        wire = full.to_wire()
        return [wire[: len(wire) - cut]]

    async with dns_server(answer) as port, bench() as lab:
        (row,) = await lab.ask(DnsProbe, aim(port))
    assert row.outcome is Outcome.OK
    assert [one.note for one in lab.exchanges()] == ["truncated"]


@pytest.mark.parametrize("transport", list(Transport))
async def test_a_closed_port_is_refused(transport: Transport) -> None:
    async with bench() as lab:
        (row,) = await lab.ask(DnsProbe, aim(await free_port(), transport=transport))
    assert row.outcome is Outcome.REFUSED
    assert row.rtt_ns is not None and row.rtt_ns > 1_000


def over_tcp(answers: Answers) -> Any:
    """A name server that sends its answers octet by octet."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        (length,) = struct.unpack(">H", await reader.readexactly(2))
        for one in answers(dns.message.from_wire(await reader.readexactly(length))):
            if isinstance(one, float):
                await asyncio.sleep(one)
                continue
            for octet in struct.pack(">H", len(one)) + one:
                writer.write(bytes([octet]))
                await writer.drain()
        await reader.read()

    return serve


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
async def test_over_tcp_the_parts_add_up_to_the_round_trip(address: str) -> None:
    serve = over_tcp(lambda query: [0.05, other_id(query), *good(query)])
    async with tcp_server(serve, address) as port, bench() as lab:
        (row,) = await lab.ask(DnsProbe, aim(port, address=address, transport=Transport.TCP))
    assert row.outcome is Outcome.OK
    (told,) = lab.exchanges()
    assert set(told.phases_ns) == {Phase.CONNECT, Phase.PROCESSING}
    assert row.rtt_ns == sum(told.phases_ns.values())
    assert 50_000_000 <= told.phases_ns[Phase.PROCESSING] < 120_000_000
    assert told.phases_ns[Phase.CONNECT] < 50_000_000


async def test_over_tcp_a_server_that_hangs_up_is_a_bad_reply() -> None:
    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(2)

    async with tcp_server(hang_up) as port, bench() as lab:
        (row,) = await lab.ask(DnsProbe, aim(port, transport=Transport.TCP))
    assert (row.outcome, row.rtt_ns) == (Outcome.BAD_REPLY, None)


async def test_over_tcp_silence_is_a_timeout() -> None:
    async with tcp_server(over_tcp(lambda query: [])) as port, bench() as lab:
        (row,) = await lab.ask(DnsProbe, aim(port, transport=Transport.TCP, timeout_s=0.15))
    assert row.outcome is Outcome.TIMEOUT


async def test_an_interface_that_is_not_there_is_a_slot_without_a_packet() -> None:
    async with dns_server(good) as port, bench() as lab:
        (row,) = await lab.ask(DnsProbe, aim(port, interface="nosuch0"))
    assert row.outcome is Outcome.NOT_SENT


@pytest.mark.parametrize(
    ("host", "reason"),
    [(None, "needs a host"), ("a..b", "not a domain name"), ("x" * 64, "not a domain name")],
)
async def test_a_target_without_a_good_name_is_said_to_be_so(host: str | None, reason: str) -> None:
    async with bench() as lab:
        with pytest.raises(Unavailable, match=reason):
            lab.serve(DnsProbe, target(probe="dns", host=host))


ANSWER = records(dns.message.make_query(NAME, "A", id=7), "192.0.2.7", "192.0.2.8").to_wire()


@given(st.binary(max_size=600))
def test_no_octets_make_the_reader_fail(data: bytes) -> None:
    parse(data)


@given(st.data())
def test_no_damage_to_an_answer_makes_the_reader_fail(data: st.DataObject) -> None:
    wire = bytearray(ANSWER)
    for _ in range(data.draw(st.integers(1, 6))):
        at = data.draw(st.integers(0, len(wire) - 1))
        wire[at] = data.draw(st.integers(0, 255))
    found = parse(bytes(wire[: data.draw(st.integers(0, len(wire)))]))
    with suppress(dns.exception.DNSException):
        assert found is None or found.is_response(found) in (True, False)


@given(st.lists(st.binary(max_size=40), max_size=6), st.binary(max_size=1), st.integers(1, 50))
def test_messages_come_out_whole_however_they_were_cut(
    messages: list[bytes], rest: bytes, size: int
) -> None:
    stream = b"".join(struct.pack(">H", len(one)) + one for one in messages) + rest
    buffer, found = bytearray(), []
    for at in range(0, len(stream), size):
        buffer += stream[at : at + size]
        found += whole_messages(buffer)
    assert found == messages
    assert bytes(buffer) == rest
