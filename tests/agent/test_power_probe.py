"""Mains and battery from files and from a NUT server, and what silence means."""

import asyncio
import os
import socket
import subprocess
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from agent.mains import (
    Garbled,
    Gpio,
    Nut,
    NutError,
    Supply,
    Sysfs,
    nut_supply,
    nut_value,
    parse_source,
    sysfs_supply,
)
from agent.probes.power import PowerProbe
from agent.probes.site import Unavailable
from tests.agent.attempt_kit import Bench, bench, free_port, tcp_server
from tests.agent.measure_kit import target
from wire.detail import Power
from wire.observation import Observation, Outcome, StampSource

NOTHING = Supply()


async def read(lab: Bench, source: str, **changes: Any) -> tuple[Observation, Power]:
    """One reading of this source."""
    wanted = target("mains", probe="power", source=source, **{"timeout_s": 1.0, **changes})
    (row,) = await lab.ask(PowerProbe, wanted)
    told = lab.told[-1]
    assert isinstance(told, Power)
    assert (told.outcome, told.source) == (row.outcome, source)
    return row, told


def said(power: Power) -> Supply:
    return Supply(power.mains, power.battery_ratio, power.battery_seconds)


# --- where to read

SOURCES = [
    ("sysfs:/sys/class/power_supply/AC", Sysfs(Path("/sys/class/power_supply/AC"))),
    ("gpio:/sys/class/gpio/gpio17/value", Gpio(Path("/sys/class/gpio/gpio17/value"), "1")),
    ("gpio:!/x", Gpio(Path("/x"), "0")),
    ("nut:ups@192.0.2.1", Nut("ups", "192.0.2.1", 3493)),
    ("nut:rack-ups_1.a@192.0.2.1:99", Nut("rack-ups_1.a", "192.0.2.1", 99)),
    ("nut:ups@localhost", Nut("ups", "127.0.0.1", 3493)),
    ("nut:ups@::1", Nut("ups", "::1", 3493)),
    ("nut:ups@[::1]", Nut("ups", "::1", 3493)),
    ("nut:ups@[::1]:99", Nut("ups", "::1", 99)),
]


@pytest.mark.parametrize(("text", "source"), SOURCES)
def test_a_source_is_understood(text: str, source: object) -> None:
    assert parse_source(text) == source


WRONG = ["", "sysfs:", "sysfs:relative", "gpio:x", "gpio:!x", "file:/x", "nut:ups", "nut:@::1",
         "nut:ups@host.example", "nut:a b@127.0.0.1", "nut:ups\nLIST UPS@127.0.0.1",
         "nut:ups@127.0.0.1:x", "nut:ups@", "nut:ups@[::1]x"]  # fmt: skip


@pytest.mark.parametrize("text", WRONG)
async def test_a_source_that_is_none_is_not_measured(text: str) -> None:
    with pytest.raises(ValueError, match="source"):
        parse_source(text)
    async with bench() as lab:
        with pytest.raises(Unavailable, match="source"):
            lab.serve(PowerProbe, target("mains", probe="power", source=text))


async def test_a_target_without_a_source_is_not_measured() -> None:
    async with bench() as lab:
        with pytest.raises(Unavailable, match="needs a source"):
            lab.serve(PowerProbe, target("mains", probe="power"))


# --- sysfs


def battery(**more: str) -> dict[str, str]:
    return {"type": "Battery", **more}


MAINS_ON, MAINS_OFF = {"type": "Mains", "online": "1"}, {"type": "Mains", "online": "0"}
SYSFS: list[tuple[list[Mapping[str, str]], Supply]] = [
    ([], NOTHING),
    ([{}], NOTHING),
    ([MAINS_ON], Supply(True)),
    ([MAINS_OFF], Supply(False)),
    ([{"type": "USB", "online": "2"}], Supply(True)),
    ([MAINS_OFF, {"type": "USB", "online": "1"}], Supply(True)),
    ([{"type": "Mains", "online": "yes"}], NOTHING),
    ([battery(capacity="57")], Supply(None, 0.57)),
    ([battery(status="Discharging", capacity="57", time_to_empty_now="3600")],
     Supply(False, 0.57, 3600)),
    ([battery(status="Charging", capacity="100", time_to_empty_now="3600")], Supply(True, 1.0)),
    ([battery(status="Full", capacity="0")], Supply(True, 0.0)),
    ([battery(status="Not charging")], Supply(True)),
    ([battery(status="Unknown", capacity="101")], NOTHING),
    ([battery(capacity="-1"), battery(capacity="nan"), battery(capacity="1e999")], NOTHING),
    ([battery(capacity="80"), battery(capacity="20")], Supply(None, 0.2)),
    ([battery(status="Charging"), battery(status="Discharging")], NOTHING),
    ([MAINS_ON, battery(status="Discharging", capacity="9")], Supply(True, 0.09)),
    ([MAINS_ON, battery(present="0", capacity="0")], Supply(True)),
    ([MAINS_ON, battery(scope="Device", capacity="5")], Supply(True)),
]  # fmt: skip


@pytest.mark.parametrize(("supplies", "expected"), SYSFS)
def test_supplies_of_a_machine_are_understood(
    supplies: list[Mapping[str, str]], expected: Supply
) -> None:
    assert sysfs_supply(supplies) == expected


def tree(folder: Path, **attributes: str) -> Path:
    """One supply, as sysfs shows it."""
    folder.mkdir(parents=True)
    for name, value in attributes.items():
        (folder / name).write_text(value + "\n")
    return folder


async def test_a_supply_and_the_folder_of_all_are_read(tmp_path: Path) -> None:
    mains = tree(tmp_path / "AC", type="Mains", online="0")
    tree(tmp_path / "BAT0", type="Battery", status="Discharging", capacity="42",
         time_to_empty_now="900")  # fmt: skip
    async with bench() as lab:
        row, power = await read(lab, f"sysfs:{mains}")
        assert said(power) == Supply(False)
        assert row.outcome is Outcome.OK and row.stamp is StampSource.USER
        assert row.rtt_ns is not None and 0 < row.rtt_ns < 500_000_000
        _, power = await read(lab, f"sysfs:{tmp_path}")
        assert said(power) == Supply(False, 0.42, 900)
        (mains / "online").write_text("1\n")
        _, power = await read(lab, f"sysfs:{tmp_path}")
        assert said(power) == Supply(True, 0.42, 900)


async def test_a_folder_that_says_nothing_is_a_fault_of_this_machine(tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    garbage = tree(tmp_path / "garbage", type="Mains", online="\0\xff" * 3000)
    async with bench() as lab:
        for folder in (empty, garbage, tmp_path / "none"):
            row, power = await read(lab, f"sysfs:{folder}")
            assert row.outcome is Outcome.LOCAL_ERROR
            assert row.rtt_ns is None
            assert said(power) == NOTHING
            assert lab.notes["mains"]


# --- GPIO


@pytest.mark.parametrize(
    ("text", "plain", "inverted"),
    [("1\n", True, False), ("0\n", False, True), ("0", False, True)],
)
async def test_a_gpio_is_mains_at_one_or_inverted(
    tmp_path: Path, text: str, plain: bool, inverted: bool
) -> None:
    file = tmp_path / "value"
    file.write_text(text)
    async with bench() as lab:
        assert said((await read(lab, f"gpio:{file}"))[1]) == Supply(plain)
        assert said((await read(lab, f"gpio:!{file}"))[1]) == Supply(inverted)


async def test_what_is_no_gpio_says_nothing_and_stops_nobody(tmp_path: Path) -> None:
    (tmp_path / "garbage").write_text("11")
    (tmp_path / "empty").write_text("")
    os.mkfifo(tmp_path / "pipe")
    async with bench() as lab:
        for name in ("garbage", "empty", "pipe", "none", "."):
            row, power = await read(lab, f"gpio:{tmp_path}/{name}")
            assert row.outcome is Outcome.LOCAL_ERROR, name
            assert said(power) == NOTHING
            assert lab.notes["mains"], name


async def test_a_driver_that_blocks_is_a_fault_of_this_machine_and_read_by_one_thread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = []

    def slow(source: object) -> Supply:
        begun.append(source)
        time.sleep(0.5)
        return Supply(True)

    monkeypatch.setattr("agent.probes.power.read_files", slow)
    wanted = target("mains", probe="power", source="gpio:/x", timeout_s=0.1)
    async with bench() as lab:
        rows = await lab.ask(PowerProbe, wanted, 3)
        assert [row.outcome for row in rows] == [Outcome.LOCAL_ERROR] * 3
        assert len(begun) == 1
        await asyncio.sleep(0.3)
    assert lab.notes["mains"] == "no answer"


# --- NUT

VALUES = [
    ('VAR ups ups.status "OL CHRG"', "OL CHRG"),
    ('VAR ups ups.status ""', ""),
    ('VAR ups ups.status "a \\"b\\" \\\\c"', 'a "b" \\c'),
    ("ERR VAR-NOT-SUPPORTED", None),
]


@pytest.mark.parametrize(("line", "value"), VALUES)
def test_an_answer_is_understood(line: str, value: str | None) -> None:
    assert nut_value(line, "ups", "ups.status") == value


@pytest.mark.parametrize("line", ["", "VAR", 'VAR ups battery.charge "5"', "HTTP/1.1 400 Bad",
                                  'VAR other ups.status "OL"', 'VAR ups ups.status "'])  # fmt: skip
def test_another_answer_is_garbled(line: str) -> None:
    with pytest.raises(Garbled):
        nut_value(line, "ups", "ups.status")


@pytest.mark.parametrize(
    "line", ["ERR UNKNOWN-UPS", "ERR DATA-STALE", "ERR ACCESS-DENIED x", "ERR "]
)
def test_an_error_is_the_servers_word(line: str) -> None:
    with pytest.raises(NutError):
        nut_value(line, "ups", "ups.status")


STATUS = [
    ("OL", True), ("OL CHRG", True), ("OB", False), ("OB LB DISCHRG", False), ("LB", None),
    ("OL OB", None), ("", None), (None, None), ("BYPASS", None), ("OLX", None),
]  # fmt: skip


@pytest.mark.parametrize(("status", "mains"), STATUS)
def test_a_status_is_mains_or_battery_or_not_known(status: str | None, mains: bool | None) -> None:
    assert nut_supply({"ups.status": status}) == Supply(mains)


def test_charge_and_runtime_are_taken_where_they_can_be_true() -> None:
    told = {"ups.status": "OB", "battery.charge": "87.5", "battery.runtime": "1234.9"}
    assert nut_supply(told) == Supply(False, 0.875, 1234)
    told |= {"battery.charge": "120", "battery.runtime": "-5"}
    assert nut_supply(told) == Supply(False)


def server(answers: Mapping[str, str]) -> Callable[..., Awaitable[None]]:
    """A NUT server (RFC 9271) that knows one UPS."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            words = line.decode().split()
            if words[:2] == ["GET", "VAR"] and len(words) == 4:
                value = answers.get(words[3])
                known = f'VAR {words[2]} {words[3]} "{value}"'
                text = "ERR VAR-NOT-SUPPORTED" if value is None else known
                text = text if words[2] == "ups" else "ERR UNKNOWN-UPS"
                writer.write(f"{text}\n".encode())
            elif words == ["LOGOUT"]:
                writer.write(b"OK Goodbye\n")
                return
            else:
                writer.write(b"ERR UNKNOWN-COMMAND\n")

    return serve


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
async def test_a_nut_server_is_asked(host: str) -> None:
    answers = {"ups.status": "OB DISCHRG", "battery.charge": "64"}
    async with tcp_server(server(answers), host) as port, bench() as lab:
        row, power = await read(lab, f"nut:ups@[{host}]:{port}")
        assert row.outcome is Outcome.OK
        assert said(power) == Supply(False, 0.64)
        row, power = await read(lab, f"nut:other@[{host}]:{port}")
        assert row.outcome is Outcome.REFUSED
        assert row.rtt_ns is not None
        assert said(power) == NOTHING
        assert lab.notes["mains"] == "the NUT server says UNKNOWN-UPS"


async def garbage(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"\xff\x00" * 300 + b"\n")
    await writer.drain()
    await reader.read()


async def endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    for _ in range(10_000):
        writer.write(b"x" * 4096)
        await writer.drain()


async def mute(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()
    await asyncio.sleep(2)


async def curt(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readline()


HOSTILE = [
    (garbage, Outcome.BAD_REPLY),
    (endless, Outcome.BAD_REPLY),
    (mute, Outcome.TIMEOUT),
]


@pytest.mark.parametrize(("serve", "outcome"), HOSTILE)
async def test_a_server_that_does_not_keep_to_the_protocol_ends_the_reading(
    serve: Callable[..., Awaitable[None]], outcome: Outcome
) -> None:
    async with tcp_server(serve) as port, bench() as lab:
        began = time.monotonic()
        row, power = await read(lab, f"nut:ups@127.0.0.1:{port}", timeout_s=0.3)
        assert time.monotonic() - began < 0.6
    assert row.outcome is outcome
    assert row.rtt_ns is None
    assert said(power) == NOTHING


async def test_a_server_that_hangs_up_is_a_bad_reply() -> None:
    async with tcp_server(curt) as port, bench() as lab:
        row, _ = await read(lab, f"nut:ups@127.0.0.1:{port}")
    assert row.outcome is Outcome.BAD_REPLY


async def test_where_no_server_listens_it_is_refused_and_mains_is_not_known() -> None:
    async with bench() as lab:
        row, power = await read(lab, f"nut:ups@127.0.0.1:{await free_port()}")
    assert row.outcome is Outcome.REFUSED
    assert said(power) == NOTHING


# --- the real one

NUT = Path("/lib/nut")
"""Where Debian has the programs themselves; what is in /sbin asks /etc whether it may run."""


@pytest.fixture
def upsd(tmp_path: Path) -> Iterator[tuple[int, Path]]:
    """A real NUT server with a simulated UPS: its port, and the file that says how the UPS is."""
    if not (NUT / "upsd").exists():
        pytest.skip("needs the Debian package nut-server")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    device = tmp_path / "site.dev"
    device.write_text("ups.status: OL\nbattery.charge: 100\nbattery.runtime: 1800\n")
    (tmp_path / "ups.conf").write_text(f"[ups]\ndriver = dummy-ups\nport = {device}\n")
    (tmp_path / "upsd.conf").write_text(f"LISTEN 127.0.0.1 {port}\n")
    (tmp_path / "upsd.users").write_text("")
    environment = {**os.environ, "NUT_CONFPATH": str(tmp_path), "NUT_STATEPATH": str(tmp_path),
                   "NUT_ALTPIDPATH": str(tmp_path)}  # fmt: skip
    options: dict[str, Any] = {"env": environment, "stdout": subprocess.DEVNULL,
                               "stderr": subprocess.DEVNULL}  # fmt: skip
    me = "root" if os.geteuid() == 0 else os.environ.get("USER", "nobody")
    running = [subprocess.Popen([NUT / "dummy-ups", "-a", "ups", "-D", "-u", me], **options)]
    try:
        for _ in range(100):
            if (tmp_path / "dummy-ups-ups").exists():
                break
            time.sleep(0.05)
        time.sleep(0.2)  # between its socket and its first look at the device
        running.append(subprocess.Popen([NUT / "upsd", "-D", "-u", me], **options))
        yield port, device
    finally:
        for process in running:
            process.terminate()
            process.wait(5)


async def test_the_real_nut_server_is_understood(upsd: tuple[int, Path]) -> None:
    port, device = upsd
    wanted = Supply(True, 1.0, 1800)
    async with bench() as lab:
        for _ in range(50):
            _, power = await read(lab, f"nut:ups@127.0.0.1:{port}")
            if said(power) == wanted:
                break
            await asyncio.sleep(0.1)
        assert said(power) == wanted
        row, _ = await read(lab, f"nut:nobody@127.0.0.1:{port}")
        assert row.outcome is Outcome.REFUSED
        assert lab.notes["mains"] == "the NUT server says UNKNOWN-UPS"
        assert device.exists()
