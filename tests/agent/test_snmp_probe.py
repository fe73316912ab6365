"""Devices read by SNMP: the real snmpd, what it can be told to say, and devices that lie."""

import asyncio
import logging
import os
import signal
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest
from pyasn1.codec.ber import decoder, encoder
from pysnmp.proto import rfc1905
from pysnmp.proto.api import v2c

from agent.probes.site import Unavailable
from agent.probes.snmp import SnmpProbe
from agent.snmp.exchange import LARGEST_DATAGRAM
from tests.agent.attempt_kit import Bench, bench
from tests.agent.measure_kit import target
from tests.agent.snmp_kit import (
    AUTH,
    COMMUNITY,
    IF,
    PRIV,
    USERS,
    Liar,
    Snmpd,
    device,
    free_udp_port,
    hide,
    needs_snmpd,
    rows,
    snmpd,
)
from wire.codec import encode_record
from wire.detail import Reading
from wire.observation import Observation, Outcome, StampSource, Train
from wire.policy import DeviceValue, Target

OPTICS = "1.3.6.1.4.1.53864.1"


@pytest.fixture(scope="module")
def agent_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Snmpd]:
    with snmpd(tmp_path_factory.mktemp("snmpd")) as one:
        yield one


@pytest.fixture
def real(agent_folder: Snmpd) -> Snmpd:
    agent_folder.show(rows())
    return agent_folder


@asynccontextmanager
async def desk(folder: Path, *, warm: bool = True) -> AsyncIterator["Desk"]:
    async with bench() as lab:
        hide(lab, folder)
        one = Desk(lab)
        try:
            if warm:
                await one.warm()
            yield one
        finally:
            one.probe.close()


class Desk:
    """One SNMP probe for a test, its worker already there."""

    def __init__(self, lab: Bench) -> None:
        self.lab = lab
        self.probe = SnmpProbe(lab.site)

    async def poll(self, wanted: Target, count: int = 1) -> list[tuple[Observation, Reading]]:
        """`count` polls, one after the other."""
        stream = self.lab.recorder.open(wanted)
        self.probe.add(stream)
        before = len(self.lab.told)
        for _ in range(count):
            self.probe.send([(stream, stream.next_seq)])
            await self.lab.idle()
        self.probe.remove(stream)
        self.lab.recorder.retire(stream)
        told = [one for one in self.lab.told[before:] if isinstance(one, Reading)]
        found = self.lab.rows(wanted.name)
        assert len(found) == len(told) == count
        assert [one.outcome for one in told] == [row.outcome for row in found]
        assert [one.rtt_ns for one in told] == [row.rtt_ns for row in found]
        return list(zip(found, told, strict=True))

    async def many(self, wanted: Sequence[Target]) -> dict[str, tuple[Observation, Reading]]:
        """One poll of each of these targets, all at once."""
        streams = [self.lab.recorder.open(one) for one in wanted]
        for stream in streams:
            self.probe.add(stream)
        before = len(self.lab.told)
        self.probe.send([(stream, stream.next_seq) for stream in streams])
        await self.lab.idle()
        told = {one.target: one for one in self.lab.told[before:] if isinstance(one, Reading)}
        taken = self.lab.recorder.settled(self.lab.clock.boot_ns() + 10**12)
        found = {one.target: next(one.observations()) for one in taken if isinstance(one, Train)}
        for stream in streams:
            self.probe.remove(stream)
            self.lab.recorder.retire(stream)
        return {one.name: (found[one.name], told[one.name]) for one in wanted}

    async def warm(self) -> None:
        """Wait until the worker can be asked."""
        name = "warm"
        stream = self.lab.recorder.open(
            target(name, probe="snmp", port=free_udp_port(), credentials="v2c", timeout_s=30)
        )
        self.probe.add(stream)
        self.probe.send([(stream, stream.next_seq)])
        await self.lab.idle()
        assert self.lab.rows(name)[0].outcome is Outcome.REFUSED
        self.probe.remove(stream)
        self.lab.recorder.retire(stream)
        self.lab.told.clear()
        self.lab.notes.clear()

    async def one(self, wanted: Target) -> tuple[Observation, Reading]:
        """One poll."""
        (found,) = await self.poll(wanted)
        return found


# --- the real agent


@needs_snmpd
async def test_a_device_is_read_by_v2c_and_by_v3_with_authentication_and_privacy(
    real: Snmpd, tmp_path: Path
) -> None:
    wanted = [device(real.port, name=name, credentials=name) for name in ("v2c", *USERS)]
    async with desk(tmp_path) as one:
        both = [*(await one.many(wanted)).values(), *(await one.many(wanted)).values()]
        for row, reading in both:
            assert row.outcome is Outcome.OK
            assert row.rtt_ns is not None and 0 < row.rtt_ns < 1_000_000_000
            assert row.stamp is StampSource.USER
            assert reading.sys_uptime_cs is not None and 0 < reading.sys_uptime_cs < 60_000
            assert reading.link == "astinet"
            assert abs(reading.boot_ns - row.sent_boot_ns) < 1000  # a train keeps microseconds
            assert (reading.interface, reading.oper_status) == ("wan0", 1)
            assert (reading.last_change_cs, reading.discontinuity_cs) == (700, 55)
            assert (reading.high_speed_mbps, reading.counter_bits) == (1000, 64)
            assert (reading.in_octets, reading.out_octets) == (2**40 + 6, 2**41 + 10)
            assert (reading.in_packets, reading.out_packets) == (2**33 + 987, 2**34 + 1431)
            assert (reading.in_errors, reading.out_errors) == (14, 20)
            assert (reading.in_discards, reading.out_discards) == (13, 19)
            assert (reading.values, reading.missing) == ({}, ())
    assert one.lab.notes == dict.fromkeys(("v2c", *USERS))


@needs_snmpd
async def test_an_interface_without_64_bit_counters_is_read_with_32(
    real: Snmpd, tmp_path: Path
) -> None:
    real.show(rows(bits=32))
    async with desk(tmp_path) as one:
        for _, reading in await one.poll(device(real.port, device_interface="Port wan0"), 2):
            assert reading.interface == "Port wan0"
            assert reading.counter_bits == 32
            assert (reading.in_octets, reading.out_octets) == (32_010, 32_016)
            assert (reading.in_packets, reading.out_packets) == (32_016, 32_023)
            assert (reading.high_speed_mbps, reading.discontinuity_cs) == (100, None)


@needs_snmpd
async def test_an_interface_is_followed_to_its_new_index_and_missed_when_it_is_gone(
    real: Snmpd, tmp_path: Path
) -> None:
    wanted = device(real.port)
    async with desk(tmp_path) as one:
        stream = one.lab.recorder.open(wanted)
        one.probe.add(stream)

        async def poll() -> Reading:
            one.probe.send([(stream, stream.next_seq)])
            await one.lab.idle()
            told = one.lab.told[-1]
            assert isinstance(told, Reading)
            assert told.outcome is Outcome.OK
            return told

        assert (await poll()).in_errors == 14
        moved = rows(7)
        moved[f"{IF}.14.7"] = ("counter", 777)
        real.show(rows(2, "lan0") | moved)
        reading = await poll()
        assert (reading.interface, reading.in_errors) == ("wan0", 777)
        real.show(rows(2, "lan0"))
        reading = await poll()
        assert (reading.interface, reading.in_octets, reading.oper_status) == ("", None, None)
        assert reading.sys_uptime_cs
        assert one.lab.notes["cpe"] == "the device has no interface 'wan0'"
        real.show(rows(4))
        found = [(await poll()).interface for _ in range(7)]
        assert found[-1] == "wan0"  # searched for again, but not at every poll
        assert one.lab.notes["cpe"] is None


@needs_snmpd
async def test_an_interface_can_be_named_by_its_index(real: Snmpd, tmp_path: Path) -> None:
    async with desk(tmp_path) as one:
        _, reading = await one.one(device(real.port, device_interface="2"))
        assert (reading.interface, reading.in_errors) == ("wan0", 14)
        _, reading = await one.one(device(real.port, device_interface="3"))
        assert (reading.interface, reading.in_errors) == ("", None)
        assert one.lab.notes["cpe"] == "the device has no interface '3'"


@needs_snmpd
async def test_optics_and_ups_are_configured_values_with_scale_and_unit(
    real: Snmpd, tmp_path: Path
) -> None:
    real.show(
        {
            f"{OPTICS}.1.0": ("integer", -1958),
            f"{OPTICS}.2.0": ("string", "-20.25 dBm"),
            f"{OPTICS}.3.0": ("string", "no light"),
            f"{OPTICS}.4.0": ("gauge", 4_000_000_000),
        }
    )
    ups = "1.3.6.1.2.1.33.1"
    values = [
        ("rx_power_dbm", f"{OPTICS}.1.0", 0.01),
        ("rx_text_dbm", f"{OPTICS}.2.0", 1.0),
        ("rx_dark_dbm", f"{OPTICS}.3.0", 1.0),
        ("big", f"{OPTICS}.4.0", 1.0),
        ("again_mdbm", f"{OPTICS}.1.0", 10.0),
        ("none", f"{OPTICS}.9.0", 1.0),
        ("battery_status", f"{ups}.2.1.0", 1.0),
        ("battery_charge_ratio", f"{ups}.2.4.0", 0.01),
        ("input_volts", f"{ups}.3.3.1.3.1", 1.0),
        ("output_source", f"{ups}.4.1.0", 1.0),
    ]
    wanted = device(
        real.port,
        device_interface=None,
        values=tuple(DeviceValue(name=name, oid=oid, scale=scale) for name, oid, scale in values),
    )
    async with desk(tmp_path) as one:
        row, reading = await one.one(wanted)
    assert row.outcome is Outcome.OK
    assert reading.values == pytest.approx(
        {
            "rx_power_dbm": -19.58,
            "rx_text_dbm": -20.25,
            "big": 4e9,
            "again_mdbm": -19580,
            "battery_status": 2,
            "battery_charge_ratio": 0.87,
            "input_volts": 231,
            "output_source": 3,
        }
    )
    assert reading.missing == ("rx_dark_dbm", "none")
    assert (reading.interface, reading.counter_bits) == ("", None)
    assert one.lab.notes == {"cpe": None}


REFUSED = {
    "wrongauth": "authentication passphrase",
    "wrongkind": "authentication passphrase",
    "wrongpriv": "privacy passphrase",
    "nobody": "does not know this SNMP user",
}


@needs_snmpd
async def test_wrong_v3_secrets_are_a_refusal_that_the_operator_hears_of(
    real: Snmpd, tmp_path: Path
) -> None:
    wanted = [
        device(real.port, name=name, credentials=name, timeout_s=8.0) for name in (*REFUSED, "sha")
    ]
    async with desk(tmp_path) as one:
        for _ in range(2):
            found = await one.many(wanted)
            assert found.pop("sha")[0].outcome is Outcome.OK
            # snmpd is silent about what it cannot decrypt.
            assert found.pop("wrongpriv")[0].outcome is Outcome.TIMEOUT
            for name, (row, _) in found.items():
                assert row.outcome is Outcome.REFUSED
                assert row.rtt_ns is not None
                assert REFUSED[name] in (one.lab.notes[name] or "")
        assert one.lab.notes["sha"] is None


@needs_snmpd
async def test_a_wrong_community_is_silence_and_after_three_polls_a_hint(
    real: Snmpd, tmp_path: Path
) -> None:
    async with desk(tmp_path) as one:
        found = await one.poll(device(real.port, credentials="wrong", timeout_s=0.6), 3)
    assert {row.outcome for row, _ in found} == {Outcome.TIMEOUT}
    assert "wrong community" in (one.lab.notes["cpe"] or "")


@needs_snmpd
async def test_a_restart_of_the_device_is_seen_and_v3_finds_its_new_time(
    tmp_path: Path,
) -> None:
    (tmp_path / "agent").mkdir()
    with snmpd(tmp_path / "agent") as own:
        own.show(rows())
        wanted = device(own.port, credentials="sha256")
        async with desk(tmp_path) as one:
            stream = one.lab.recorder.open(wanted)
            one.probe.add(stream)
            uptimes = []
            for restart in (False, False, True, False):
                if restart:
                    own.stop()
                    own.start((own.folder / "snmpd.conf").read_text().splitlines())
                one.probe.send([(stream, stream.next_seq)])
                await one.lab.idle()
                reading = one.lab.told[-1]
                assert isinstance(reading, Reading)
                assert reading.outcome is Outcome.OK
                uptimes.append(reading.sys_uptime_cs or 0)
                await asyncio.sleep(0.3)
    assert uptimes[0] < uptimes[1] > uptimes[2] < uptimes[3]


async def test_silence_and_a_closed_port_are_told_apart(tmp_path: Path) -> None:
    with Liar(lambda _: []) as mute:
        async with desk(tmp_path) as one:
            row, _ = await one.one(device(mute.port, timeout_s=1.5))
            assert row.outcome is Outcome.TIMEOUT
            row, _ = await one.one(device(free_udp_port()))
            assert row.outcome is Outcome.REFUSED
            assert row.rtt_ns is not None
            row, _ = await one.one(device(1, interface="nodev0"))
            assert row.outcome.local


# --- what cannot be measured

MISTAKES = [
    ({"credentials": None}, "needs the name of its credentials"),
    ({"address": "cpe.example"}, "not a literal"),
    ({"values": (DeviceValue(name="x", oid="9.9.9"),)}, "not an object identifier"),
    ({"values": (DeviceValue(name="x", oid=f"1.3.{2**32}"),)}, "not an object identifier"),
]


@pytest.mark.parametrize(("changes", "says"), MISTAKES)
async def test_a_target_that_makes_no_sense_is_not_measured(
    tmp_path: Path, changes: dict[str, Any], says: str
) -> None:
    async with desk(tmp_path, warm=False) as one:
        with pytest.raises(Unavailable, match=says):
            one.probe.add(one.lab.recorder.open(device(161, **changes)))


async def test_missing_and_open_credentials_are_a_fault_of_this_machine(tmp_path: Path) -> None:
    async with desk(tmp_path, warm=False) as one:
        row, _ = await one.one(device(161, credentials="none"))
        assert row.outcome is Outcome.LOCAL_ERROR
        assert "there is no none.yaml" in (one.lab.notes["cpe"] or "")
        (tmp_path / "credentials/v2c.yaml").chmod(0o644)
        row, _ = await one.one(device(161))
        assert row.outcome is Outcome.LOCAL_ERROR
        assert "chmod 0600" in (one.lab.notes["cpe"] or "")


# --- devices that lie


def reply(request: bytes, **changes: Any) -> bytes:
    """A v2c response to `request` in which every object is the Integer 1, or as changed."""
    asked, _ = decoder.decode(request, asn1Spec=v2c.Message())
    pdu = v2c.apiMessage.get_pdu(asked)
    answer = v2c.apiMessage.get_response(asked)
    told = v2c.apiMessage.get_pdu(answer)
    found = [
        (changes.get("name") or name, changes.get("value", v2c.Integer(1)))
        for name, _ in v2c.apiPDU.get_varbinds(pdu)
    ]
    v2c.apiPDU.set_varbinds(told, found[: changes.get("most")])
    if "request_id" in changes:
        v2c.apiPDU.set_request_id(told, changes["request_id"])
    v2c.apiPDU.set_error_status(told, changes.get("status", 0))
    v2c.apiPDU.set_error_index(told, changes.get("index", 0))
    return bytes(encoder.encode(answer))


def tlv(tag: int, body: bytes) -> bytes:
    size = len(body)
    head = bytes([size]) if size < 128 else b"\x82" + size.to_bytes(2, "big")
    return bytes([tag]) + head + body


def nested(depth: int) -> bytes:
    body = b""
    for _ in range(depth):
        body = tlv(0x30, body)
    return body


def huge_oid(request: bytes) -> bytes:
    """A response whose name is one arc of 7,000 octets."""
    inside = tlv(0x30, tlv(6, b"\x2b" + b"\xff" * 7000 + b"\x01") + tlv(2, b"\x01"))
    at = request.index(b"\xa0")
    number = request[at + 2 :][:6] if request[at + 1] < 128 else request[at + 4 :][:6]
    number = number[: number[1] + 2]
    pdu = tlv(0xA2, number + b"\x02\x01\x00\x02\x01\x00" + tlv(0x30, inside))
    return tlv(0x30, tlv(2, b"\x01") + tlv(4, COMMUNITY.encode()) + pdu)


LIES: dict[str, Any] = {
    "nothing": lambda request: [b""],
    "text": lambda request: [b"HTTP/1.1 400 Bad Request\r\n\r\n"],
    "its own question": lambda request: [request],
    "cut short": lambda request: [reply(request)[:-3]],
    "another request": lambda request: [reply(request, request_id=5)],
    "other objects": lambda request: [reply(request, name=(1, 3, 6, 1, 9))],
    "too few objects": lambda request: [reply(request, most=1)],
    "an unknown error": lambda request: [reply(request, status=5, index=99)],
    "too big for ever": lambda request: [reply(request, status=1)],
    "each object an error": lambda request: [reply(request, status=5, index=1)],
    "deep nesting": lambda request: [nested(1800)],
    "deep nesting, no end": lambda request: [b"\x30\x80" * 4000],
    "a huge OID": lambda request: [huge_oid(request)],
    "a length of gigabytes": lambda request: [b"\x30\x84\x7f\xff\xff\xff" + request],
    "a datagram of 60 kB": lambda request: [reply(request) + bytes(60_000)],
    "a flood": lambda request: [b"\x30\x03\x02\x01\x01"] * 3000,
    "a flood of refusals": lambda request: [reply(request, request_id=5)] * 500,
}
STUMBLES = ["too big for ever", "an unknown error", "each object an error"]
"""A device may stumble over each of its objects: then it has none."""


async def test_lies_are_bad_replies_in_time_and_hurt_neither_the_worker_nor_others(
    tmp_path: Path,
) -> None:
    common = {
        "device_interface": None,
        "timeout_s": 10.0,
        "values": (DeviceValue(name="x", oid="1.3.6.1.9"),),
    }
    async with desk(tmp_path) as one, AsyncExitStack() as stack:
        liars = {name: stack.enter_context(Liar(lie)) for name, lie in LIES.items()}
        plain = stack.enter_context(Liar(lambda request: [reply(request)]))
        honest = device(plain.port, name="honest", **common)
        await one.many([honest])
        worker = one.probe._worker._process
        wanted = [device(liar.port, name=name, **common) for name, liar in liars.items()]
        began = time.monotonic()
        found = await one.many([honest, *wanted])
        assert time.monotonic() - began < 14
        after = await one.many([honest])
        assert one.probe._worker._process is worker
    assert after["honest"][0].outcome is Outcome.OK
    outcomes = {name: row.outcome for name, (row, _) in found.items()}
    assert outcomes.pop("honest") is Outcome.OK
    for name in STUMBLES:
        assert outcomes.pop(name) is Outcome.OK
        assert found[name][1].sys_uptime_cs is None
        assert found[name][1].missing == ("x",)
    assert outcomes == dict.fromkeys(outcomes, Outcome.BAD_REPLY)
    assert len(outcomes) == len(LIES) - len(STUMBLES)


VALUES = [
    v2c.OctetString(b"\xff" * 300),
    v2c.OctetString(""),
    v2c.Integer(-5),
    v2c.Counter64(2**64 - 1),
    v2c.TimeTicks(2**32 - 1),
    v2c.IpAddress("192.0.2.1"),
    v2c.ObjectIdentifier((1, 3, 6)),
    v2c.Opaque(b"\x9f\x78\x04\x42\xf6\x00\x00"),
    rfc1905.noSuchObject,
    rfc1905.endOfMibView,
]


async def test_a_value_of_any_type_is_a_reading_that_can_be_told(tmp_path: Path) -> None:
    async with desk(tmp_path) as one, AsyncExitStack() as stack:
        wanted = [
            device(
                stack.enter_context(Liar(partial(_with_value, value))).port,
                name=f"{k} {type(value).__name__}",
                device_interface="1",
                values=(DeviceValue(name="x", oid="1.3.6.1.9"),),
            )
            for k, value in enumerate(VALUES)
        ]
        found = await one.many(wanted)
    for name, (row, reading) in found.items():
        assert row.outcome is Outcome.OK, name
        assert encode_record(reading)
        assert reading.in_octets is None or 0 <= reading.in_octets < 2**63


def _with_value(value: Any, request: bytes) -> Sequence[bytes]:
    return [reply(request, value=value)]


async def test_an_interface_table_without_end_ends_the_poll(tmp_path: Path) -> None:
    counted = [0]

    def endless(request: bytes) -> Sequence[bytes]:
        counted[0] += 1
        names = [(1, 3, 6, 1, 2, 1, 31, 1, 1, 1, 1, counted[0] * 20 + k) for k in range(20)]
        return [table(request, names)]

    with Liar(endless) as liar:
        async with desk(tmp_path) as one:
            row, reading = await one.one(device(liar.port))
    assert row.outcome in (Outcome.OK, Outcome.BAD_REPLY)
    assert counted[0] <= 42
    assert reading.interface == ""


async def test_an_interface_table_that_goes_round_in_circles_is_a_bad_reply(
    tmp_path: Path,
) -> None:
    names = [(1, 3, 6, 1, 2, 1, 31, 1, 1, 1, 1, k) for k in (1, 2, 1)]
    with Liar(lambda request: [table(request, names)]) as liar:
        async with desk(tmp_path) as one:
            row, _ = await one.one(device(liar.port))
    assert row.outcome is Outcome.BAD_REPLY


def table(request: bytes, names: Sequence[tuple[int, ...]]) -> bytes:
    """A response with these objects, each the text "x"."""
    asked, _ = decoder.decode(request, asn1Spec=v2c.Message())
    answer = v2c.apiMessage.get_response(asked)
    told = v2c.apiMessage.get_pdu(answer)
    v2c.apiPDU.set_varbinds(told, [(name, v2c.OctetString("x")) for name in names])
    return bytes(encoder.encode(answer))


async def test_a_reply_that_is_too_big_for_the_device_is_asked_in_parts(tmp_path: Path) -> None:
    sizes = []

    def small(request: bytes) -> Sequence[bytes]:
        asked, _ = decoder.decode(request, asn1Spec=v2c.Message())
        count = len(v2c.apiPDU.get_varbinds(v2c.apiMessage.get_pdu(asked)))
        sizes.append(count)
        return [reply(request, status=1) if count > 4 else reply(request)]

    with Liar(small) as liar:
        async with desk(tmp_path) as one:
            found = await one.poll(device(liar.port, device_interface="1"), 2)
    assert {row.outcome for row, _ in found} == {Outcome.OK}
    assert found[0][1].in_octets == found[0][1].out_discards == 1
    assert max(sizes[sizes.index(sizes[-1]) :]) <= 4
    assert len([size for size in sizes if size > 4]) == 3  # learnt once: 21 or so, 10, 5


async def test_a_device_is_not_hurt_by_its_silent_neighbour(tmp_path: Path) -> None:
    with Liar(lambda _: []) as mute, Liar(lambda request: [reply(request)]) as plain:
        async with desk(tmp_path) as one:
            found = await one.many(
                [
                    device(mute.port, name="mute", timeout_s=1.5),
                    device(plain.port, name="plain", device_interface=None),
                ]
            )
    assert found["plain"][0].outcome is Outcome.OK
    assert (found["plain"][0].rtt_ns or 0) < 500_000_000
    assert found["mute"][0].outcome is Outcome.TIMEOUT


# --- the worker


async def test_a_worker_that_dies_is_replaced_and_no_device_is_blamed(tmp_path: Path) -> None:
    with Liar(lambda request: [reply(request)]) as plain:
        wanted = device(plain.port, device_interface=None)
        async with desk(tmp_path) as one:
            assert (await one.one(wanted))[0].outcome is Outcome.OK
            process = one.probe._worker._process
            assert process is not None
            os.kill(process.popen.pid, signal.SIGKILL)
            await asyncio.sleep(0.1)
            found = await one.poll(wanted, 2)
            assert found[-1][0].outcome is Outcome.OK
            assert {row.outcome for row, _ in found} <= {Outcome.OK, Outcome.LOCAL_ERROR}
            assert one.probe._worker._process is not process
            assert process.popen.returncode == -signal.SIGKILL


async def test_a_worker_that_hangs_is_a_fault_of_this_machine_and_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agent.snmp.worker._HANGS_NS", 0)
    with Liar(lambda request: [reply(request)]) as plain:
        async with desk(tmp_path) as one:
            wanted = device(plain.port, device_interface=None, timeout_s=2)
            assert (await one.one(wanted))[0].outcome is Outcome.OK
            process = one.probe._worker._process
            assert process is not None
            os.kill(process.popen.pid, signal.SIGSTOP)
            short = device(plain.port, device_interface=None, timeout_s=0.3)
            stream = one.lab.recorder.open(short)
            one.probe.add(stream)
            one.probe.send([(stream, stream.next_seq)])
            await one.lab.idle()
            assert one.lab.rows("cpe")[-1].outcome is Outcome.LOCAL_ERROR
            assert (await one.one(wanted))[0].outcome is Outcome.OK
            assert process.popen.returncode == -signal.SIGKILL


async def test_the_worker_ends_with_the_probe(tmp_path: Path) -> None:
    with Liar(lambda request: [reply(request)]) as plain:
        async with desk(tmp_path) as one:
            await one.one(device(plain.port, device_interface=None))
            process = one.probe._worker._process
            assert process is not None
    assert process.popen.returncode == -signal.SIGKILL


def test_the_largest_datagram_is_what_the_lies_assume() -> None:
    assert LARGEST_DATAGRAM == 8192


# --- secrets


@needs_snmpd
async def test_no_secret_leaves_in_logs_notes_records_or_arguments(
    real: Snmpd, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    told = []
    with caplog.at_level(logging.DEBUG), Liar(lambda request: [request]) as liar:
        async with desk(tmp_path) as one:
            wanted = [
                device(port, name=f"{name} {port}", credentials=name, timeout_s=15.0)
                for name in ("v2c", "wrong", *USERS, *REFUSED)
                for port in (real.port, liar.port)
            ]
            for _, reading in (await one.many(wanted)).values():
                told.append(encode_record(reading).decode())
            told += [msgspec.json.encode(wanted).decode(), str(one.lab.notes)]
            process = one.probe._worker._process
            assert process is not None
            for file in ("cmdline", "environ"):
                told.append(Path(f"/proc/{process.popen.pid}/{file}").read_text())
            told.append(repr(process) + repr(one.probe.__dict__))
    everything = "\n".join(told) + caplog.text
    assert "astinet" in everything
    for canary in (COMMUNITY, AUTH, PRIV):
        assert canary not in everything
