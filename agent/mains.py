"""Whether there is mains and how full the battery is: from sysfs, from a NUT server, from a GPIO.

Readings only: no schedule, no records. What cannot be known is None, and a source that says two
things at once is not known. The NUT protocol is the three lines of RFC 9271 that are needed, so
no library stands between; every exchange is bounded in size, the caller bounds its time.
"""

import asyncio
import errno
import os
import stat
from collections.abc import Mapping, Sequence
from contextlib import suppress
from ipaddress import ip_address
from pathlib import Path
from typing import NamedTuple

NUT_PORT = 3493
_NUT_LINE_BYTES = 1024
_FILE_BYTES = 256
_MOST_SUPPLIES = 32
_RATIO = 100.0
_MOST_S = 2**31


class Supply(NamedTuple):
    """What a source says now."""

    mains: bool | None = None
    battery_ratio: float | None = None
    battery_seconds: int | None = None

    @property
    def known(self) -> bool:
        """Whether it says anything."""
        return self != Supply()


class Sysfs(NamedTuple):
    """One supply of /sys/class/power_supply, or the folder of all."""

    folder: Path


class Gpio(NamedTuple):
    """A file that holds 1 or 0."""

    file: Path
    mains_at: str
    """What it holds while there is mains."""


class Nut(NamedTuple):
    """A UPS at a NUT server."""

    ups: str
    host: str
    port: int


Source = Sysfs | Gpio | Nut


class NutError(Exception):
    """The server answered, and not with a value; the text is its error word."""


class Garbled(Exception):
    """What came back is not the protocol."""


def parse_source(text: str) -> Source:
    """`sysfs:FOLDER`, `nut:UPS@HOST[:PORT]` or `gpio:[!]FILE`. Raises ValueError."""
    kind, _, rest = text.partition(":")
    if kind == "sysfs" and rest.startswith("/"):
        return Sysfs(Path(rest))
    if kind == "gpio" and rest.removeprefix("!").startswith("/"):
        return Gpio(Path(rest.removeprefix("!")), "0" if rest.startswith("!") else "1")
    if kind == "nut":
        return _nut_source(rest)
    raise ValueError(f"source {text!r} is not sysfs:/..., gpio:/... or nut:UPS@HOST")


def _nut_source(text: str) -> Nut:
    ups, at, place = text.partition("@")
    host, port = place, str(NUT_PORT)
    if place.startswith("["):
        host, _, port = place[1:].partition("]")
        port = port.removeprefix(":") or str(NUT_PORT)
    elif place.count(":") == 1:
        host, _, port = place.partition(":")
    if host == "localhost":
        host = "127.0.0.1"
    plain = ups.replace("-", "").replace("_", "").replace(".", "")
    if not (at and plain.isascii() and plain.isalnum() and port.isascii() and port.isdigit()):
        raise ValueError(f"source nut:{text} is not nut:UPS@HOST[:PORT]")
    try:
        return Nut(ups, str(ip_address(host)), int(port))
    except ValueError:
        raise ValueError(f"source nut:{text}: {host!r} is not a literal address") from None


# --- files of this machine


def read_files(source: Sysfs | Gpio) -> Supply:
    """Blocks as long as the driver does. Raises OSError where nothing is there to be read."""
    if isinstance(source, Gpio):
        return gpio_supply(_value(source.file), source.mains_at)
    folders = [source.folder]
    if not (source.folder / "type").exists():
        folders = sorted(source.folder.iterdir())[:_MOST_SUPPLIES]
    found = [_attributes(folder) for folder in folders]
    if not any(found):
        raise FileNotFoundError(errno.ENOENT, "no power supply here", str(source.folder))
    return sysfs_supply(found)


def gpio_supply(value: str | None, mains_at: str) -> Supply:
    """Of a file's content."""
    return Supply(mains=value == mains_at) if value in ("0", "1") else Supply()


def sysfs_supply(supplies: Sequence[Mapping[str, str]]) -> Supply:
    """All supplies of a machine as one; their attributes as sysfs-class-power documents them."""
    batteries = [s for s in supplies if s.get("type") in ("Battery", "UPS")]
    batteries = [s for s in batteries if s.get("scope") != "Device" and s.get("present") != "0"]
    inlets = [s for s in supplies if s.get("type") not in ("Battery", "UPS")]
    online = [s["online"] for s in inlets if s.get("online") in ("0", "1", "2")]
    if online:
        mains: bool | None = any(value != "0" for value in online)
    else:
        mains = _agreed([_CHARGE_MEANS.get(s.get("status", "")) for s in batteries])
    ratios = [_number(s.get("capacity"), _RATIO) for s in batteries]
    known = [ratio / _RATIO for ratio in ratios if ratio is not None]
    return Supply(
        mains=mains,
        battery_ratio=min(known, default=None),
        battery_seconds=_seconds_left(batteries),
    )


_CHARGE_MEANS = {"Discharging": False, "Charging": True, "Full": True, "Not charging": True}


def _seconds_left(batteries: Sequence[Mapping[str, str]]) -> int | None:
    """Only while discharging: chargers leave old numbers there."""
    left = [
        _number(s.get("time_to_empty_now"), _MOST_S)
        for s in batteries
        if s.get("status") == "Discharging"
    ]
    known = [seconds for seconds in left if seconds is not None]
    return int(min(known)) if known else None


def _attributes(folder: Path) -> dict[str, str]:
    found = {}
    for name in ("type", "scope", "present", "online", "status", "capacity", "time_to_empty_now"):
        with suppress(OSError):  # ENOENT: it has none; ENODATA, EIO: the driver cannot tell now
            value = _value(folder / name)
            if value is not None:
                found[name] = value
    return found


def _value(file: Path) -> str | None:
    """A small file's text. Never waits for a writer, as a FIFO would have one do."""
    descriptor = os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "not a regular file", str(file))
        raw = os.read(descriptor, _FILE_BYTES)
    finally:
        os.close(descriptor)
    return raw.decode("ascii", "replace").strip() or None


def _agreed(votes: Sequence[bool | None]) -> bool | None:
    known = {vote for vote in votes if vote is not None}
    return known.pop() if len(known) == 1 else None


def _number(text: str | None, most: float) -> float | None:
    """A number from 0 to `most`; anything else is not known."""
    try:
        value = float(text) if text is not None and len(text) <= 32 else -1.0
    except ValueError:
        return None
    return value if 0 <= value <= most else None


# --- a NUT server

_NUT_VARIABLES = ("ups.status", "battery.charge", "battery.runtime")
_ABSENT = frozenset({"VAR-NOT-SUPPORTED"})


async def ask_nut(source: Nut) -> Supply:
    """One connection, three questions. Raises OSError, NutError, Garbled."""
    reader, writer = await asyncio.open_connection(source.host, source.port, limit=_NUT_LINE_BYTES)
    try:
        questions = [f"GET VAR {source.ups} {name}\n" for name in _NUT_VARIABLES]
        writer.write("".join([*questions, "LOGOUT\n"]).encode())
        await writer.drain()
        told = {}
        for name in _NUT_VARIABLES:
            told[name] = nut_value(await _line(reader), source.ups, name)
    finally:
        writer.close()
    return nut_supply(told)


async def _line(reader: asyncio.StreamReader) -> str:
    try:
        raw = await reader.readuntil(b"\n")
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError):
        raise Garbled("the answer ends early or a line does not end") from None
    return raw.decode("utf-8", "replace").rstrip("\r\n")


def nut_value(line: str, ups: str, name: str) -> str | None:
    """The value in one answer; None where the UPS has none. Raises NutError, Garbled."""
    if line.startswith("ERR "):
        word = line.split()[1] if len(line.split()) > 1 else ""
        if word in _ABSENT:
            return None
        raise NutError(word)
    head = f'VAR {ups} {name} "'
    if not (line.startswith(head) and line.endswith('"') and len(line) > len(head)):
        raise Garbled("not the answer to the question")
    return line[len(head) : -1].replace('\\"', '"').replace("\\\\", "\\")


def nut_supply(told: Mapping[str, str | None]) -> Supply:
    """OL is mains, OB battery; both or neither at once is not known (a test, a bypass)."""
    flags = set((told.get("ups.status") or "").split())
    charge = _number(told.get("battery.charge"), _RATIO)
    left = _number(told.get("battery.runtime"), _MOST_S)
    on_line, on_battery = "OL" in flags, "OB" in flags
    return Supply(
        mains=on_line if on_line != on_battery else None,
        battery_ratio=None if charge is None else charge / _RATIO,
        battery_seconds=None if left is None else int(left),
    )
