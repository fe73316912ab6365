"""From a device's answers to a Reading: which objects, where they are, and what they mean.

No sockets, no clock, no pysnmp: `DeviceReader.read` is given a way to ask. Counters stay as read.
An interface is remembered by its index and checked by its name in every poll, because indexes
change when a device restarts (RFC 2863 section 3.1.5). Whatever does not fit is None.
"""

import math
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from agent.snmp.form import Answer, ErrorStatus, Value, Verb
from wire.detail import Reading
from wire.observation import Outcome
from wire.policy import DeviceValue, Target

SYS_UPTIME = "1.3.6.1.2.1.1.3.0"
_IF = "1.3.6.1.2.1.2.2.1"
_IFX = "1.3.6.1.2.1.31.1.1.1"
IF_NAME = f"{_IFX}.1"
IF_DESCR = f"{_IF}.2"
OPER_STATUS = f"{_IF}.8"
_LAST_CHANGE = f"{_IF}.9"
_DISCONTINUITY = f"{_IFX}.19"
_HIGH_SPEED = f"{_IFX}.15"
_SPEED = f"{_IF}.5"
_FAULTS = {
    "in_errors": f"{_IF}.14",
    "out_errors": f"{_IF}.20",
    "in_discards": f"{_IF}.13",
    "out_discards": f"{_IF}.19",
}
_STATE = (OPER_STATUS, _LAST_CHANGE, _DISCONTINUITY, _HIGH_SPEED, _SPEED, *_FAULTS.values())
_WIDE = {
    "in_octets": (f"{_IFX}.6",),
    "out_octets": (f"{_IFX}.10",),
    "in_packets": (f"{_IFX}.7", f"{_IFX}.8", f"{_IFX}.9"),
    "out_packets": (f"{_IFX}.11", f"{_IFX}.12", f"{_IFX}.13"),
}
"""Octets; unicast, multicast and broadcast packets: 64 bits."""
_NARROW = {
    "in_octets": (f"{_IF}.10",),
    "out_octets": (f"{_IF}.16",),
    "in_packets": (f"{_IF}.11", f"{_IFX}.2", f"{_IFX}.3"),
    "out_packets": (f"{_IF}.17", f"{_IFX}.4", f"{_IFX}.5"),
}
_NARROWEST = {"in_packets": (f"{_IF}.11", f"{_IF}.12"), "out_packets": (f"{_IF}.17", f"{_IF}.18")}
"""Before RFC 2233 there were unicast packets and others."""
_COUNTERS = {64: _WIDE, 32: _NARROW}
_WORD = 2**32
_MOST_COUNT = 2**63 - 1
_MOST_REQUESTS = 40
"""In one poll; a table of interfaces takes one for every 20."""
_ROWS = 20
_MOST_ROWS = 600
_POLLS_WITHOUT_SEARCH = 5
"""After a search that found nothing: tables are long, and interfaces return seldom."""
_NUMBER = re.compile(r"\s*([+-]?\d{1,15}(?:\.\d{1,15})?)\s*[A-Za-z%°]{0,8}\s*")
"""ONTs give optical power as text: `-19.58 dBm`."""

Asker = Callable[[Verb, Sequence[str], int], Awaitable[Answer]]
"""Asks for these objects; for BULK, so many rows of each."""


class Failed(Exception):
    """The device did not answer as it should; `answer` says how."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.outcome.name)
        self.answer = answer


@dataclass(frozen=True)
class Place:
    """Where an interface is."""

    index: int
    column: str
    """The column whose text names it."""
    name: str | None
    """What that text must be; None where the policy gave the index itself."""


class Fetched(NamedTuple):
    """What one or several GETs brought."""

    values: Mapping[str, Value]
    rtt_ns: int | None
    """Of the first of them."""


class DeviceReader:
    """One target, from poll to poll."""

    def __init__(self, target: Target) -> None:
        """Raises ValueError where an OID is none."""
        self._target = target
        self._values = [(check_oid(value.oid), value) for value in target.values]
        self._wanted = target.device_interface
        self._place: Place | None = None
        self._bits = 64
        self._most = 64
        self._left = 0
        self._rest = 0
        self.interface_missing = False
        if self._wanted is not None and self._wanted.isascii() and self._wanted.isdigit():
            self._place = Place(int(self._wanted), IF_NAME, None)

    async def read(self, ask: Asker, boot_ns: int) -> Reading:
        """Ask the device for everything. Raises Failed."""
        self._left = _MOST_REQUESTS
        if self._wanted is not None and self._place is None:
            self._place = await self._search(ask)
        fetched = await self._poll(ask)
        if self._moved(fetched.values):
            self._place = await self._search(ask)
            fetched = await self._poll(ask)
        if self._place is not None and self._bits == 64 and not self._has_octets(fetched.values):
            self._bits = 32
            fetched = await self._poll(ask)
            self._bits = 32 if self._has_octets(fetched.values) else 64
        self.interface_missing = self._wanted is not None and (
            self._place is None or fetched.values.get(f"{OPER_STATUS}.{self._place.index}") is None
        )
        return self._reading(fetched, boot_ns)

    async def _poll(self, ask: Asker) -> Fetched:
        oids = [SYS_UPTIME]
        if self._place is not None:
            columns = [self._place.column]
            for counters in _COUNTERS[self._bits].values():
                columns += counters
            if self._bits == 32:
                columns += [column for pair in _NARROWEST.values() for column in pair]
            if self._place.name is None:
                columns.append(IF_DESCR)
            oids += [f"{column}.{self._place.index}" for column in (*columns, *_STATE)]
        return await self._fetch(ask, [*dict.fromkeys([*oids, *(oid for oid, _ in self._values)])])

    async def _fetch(self, ask: Asker, oids: Sequence[str]) -> Fetched:
        """GET, in parts where the device says that the whole is too big."""
        values: dict[str, Value] = {}
        rtt_ns: int | None = None
        waiting = [*oids]
        while waiting:
            part = waiting[: self._most]
            answer = await self._ask(ask, Verb.GET, part, 0)
            rtt_ns = answer.rtt_ns if rtt_ns is None else rtt_ns
            if answer.status == ErrorStatus.NONE:
                if [name for name, _ in answer.values] != part:
                    raise _bad(answer)
                values.update(answer.values)
                del waiting[: len(part)]
            elif answer.status == ErrorStatus.TOO_BIG and len(part) > 1:
                self._most = len(part) // 2
            else:  # an object that the device stumbles over is one that it does not have
                lame = 1 if len(part) == 1 else answer.index
                if not 1 <= lame <= len(part):
                    raise _bad(answer)
                values[part[lame - 1]] = None
                del waiting[lame - 1]
        return Fetched(values, rtt_ns)

    async def _search(self, ask: Asker) -> Place | None:
        """Where the interface is now, by ifName, then by ifDescr; None where it is not."""
        assert self._wanted is not None
        if self._rest > 0:
            self._rest -= 1
            return None
        for column in (IF_NAME, IF_DESCR):
            found = await self._walk(ask, column, self._wanted)
            if found is not None:
                self._bits = 64
                return Place(found, column, self._wanted)
        self._rest = _POLLS_WITHOUT_SEARCH
        return None

    async def _walk(self, ask: Asker, column: str, wanted: str) -> int | None:
        """The index of the row of `column` that says `wanted`."""
        last = column
        rows, count = _ROWS, 0
        while count < _MOST_ROWS:
            answer = await self._ask(ask, Verb.BULK, [last], rows)
            if answer.status == ErrorStatus.TOO_BIG and rows > 1:
                rows //= 2
                continue
            if answer.status != ErrorStatus.NONE or not answer.values:
                return None
            for name, value in answer.values:
                index = name.removeprefix(f"{column}.")
                if value is None or index == name or not index.isdigit():
                    return None
                if not _before(last, name):  # a device that goes round in circles
                    raise _bad(answer)
                if _text(value) == wanted:
                    return int(index)
                last, count = name, count + 1
        return None

    async def _ask(self, ask: Asker, verb: Verb, oids: Sequence[str], rows: int) -> Answer:
        if self._left == 0:
            raise Failed(
                Answer(id=0, outcome=Outcome.BAD_REPLY, trouble="it takes too many questions")
            )
        self._left -= 1
        answer = await ask(verb, oids, rows)
        if answer.outcome is not Outcome.OK:
            raise Failed(answer)
        return answer

    def _moved(self, values: Mapping[str, Value]) -> bool:
        place = self._place
        if place is None or place.name is None:
            return False
        return _text(values.get(f"{place.column}.{place.index}")) != place.name

    def _has_octets(self, values: Mapping[str, Value]) -> bool:
        assert self._place is not None
        counters = _COUNTERS[self._bits]
        both = counters["in_octets"] + counters["out_octets"]
        return any(values.get(f"{column}.{self._place.index}") is not None for column in both)

    def _reading(self, fetched: Fetched, boot_ns: int) -> Reading:
        values, target = fetched.values, self._target
        told, missing = configured(self._values, values)
        common: dict[str, Any] = {
            "link": target.link,
            "target": target.name,
            "boot_ns": boot_ns,
            "outcome": Outcome.OK,
            "rtt_ns": fetched.rtt_ns,
            "sys_uptime_cs": _whole(values.get(SYS_UPTIME), _WORD - 1),
            "values": told,
            "missing": missing,
        }
        if self._place is None or self.interface_missing:
            return Reading(**common)
        return Reading(**common, **interface(values, self._place, self._bits))


def interface(values: Mapping[str, Value], place: Place, bits: int) -> dict[str, Any]:
    """The fields of a Reading that are an interface's."""
    row = {
        name.removesuffix(f".{place.index}"): value
        for name, value in values.items()
        if name.endswith(f".{place.index}")
    }
    told: dict[str, Any] = {
        "interface": _text(row.get(place.column)) or _text(row.get(IF_DESCR)) or "",
        "oper_status": _status(row.get(OPER_STATUS)),
        "last_change_cs": _whole(row.get(_LAST_CHANGE), _WORD - 1),
        "discontinuity_cs": _whole(row.get(_DISCONTINUITY), _WORD - 1),
        "high_speed_mbps": _mbps(row),
        **{name: _whole(row.get(column), _WORD - 1) for name, column in _FAULTS.items()},
    }
    for name, columns in _COUNTERS[bits].items():
        total = _sum(row, columns, bits)
        if total is None and bits == 32 and name in _NARROWEST:
            total = _sum(row, _NARROWEST[name], bits)
        told[name] = total
    if told["in_octets"] is not None or told["out_octets"] is not None:
        told["counter_bits"] = bits
    return told


def configured(
    wanted: Sequence[tuple[str, DeviceValue]], values: Mapping[str, Value]
) -> tuple[dict[str, float], tuple[str, ...]]:
    """The configured values that the device has, scaled, and the names of the others."""
    told, missing = {}, []
    for oid, value in wanted:
        raw = _real(values.get(oid))
        if raw is None or not math.isfinite(raw * value.scale):
            missing.append(value.name)
        else:
            told[value.name] = raw * value.scale
    return told, tuple(missing)


def check_oid(text: str) -> str:
    """The OID without leading zeros. Raises ValueError where BER cannot carry it."""
    arcs = [int(arc) for arc in text.split(".")]
    if arcs[0] > 2 or (arcs[0] < 2 and arcs[1] > 39) or max(arcs) >= _WORD or len(arcs) > 128:
        raise ValueError(f"{text} is not an object identifier")
    return ".".join(str(arc) for arc in arcs)


def _bad(answer: Answer) -> Failed:
    return Failed(Answer(id=answer.id, outcome=Outcome.BAD_REPLY))


def _before(one: str, other: str) -> bool:
    return [int(arc) for arc in one.split(".")] < [int(arc) for arc in other.split(".")]


def _text(value: Value) -> str | None:
    """As a record can carry it: some devices end their texts with NUL."""
    if not isinstance(value, str):
        return None
    return "".join(c for c in value.rstrip("\0 ") if c.isprintable()) or None


def _whole(value: Value, most: int) -> int | None:
    return value if isinstance(value, int) and 0 <= value <= most else None


def _status(value: Value) -> int | None:
    return value if isinstance(value, int) and 1 <= value <= 7 else None


def _mbps(row: Mapping[str, Value]) -> int | None:
    high = _whole(row.get(_HIGH_SPEED), _WORD - 1)
    low = _whole(row.get(_SPEED), _WORD - 2)  # 2^32-1: faster than it can say
    return round(low / 1e6) if high is None and low is not None else high


def _sum(row: Mapping[str, Value], columns: Sequence[str], bits: int) -> int | None:
    """Counters modulo their width add up to a counter modulo their width."""
    parts = [_whole(row.get(column), 2**bits - 1) for column in columns]
    known = [part for part in parts if part is not None]
    if len(known) < len(parts):
        return None
    return _whole(sum(known) % 2**bits, _MOST_COUNT)


def _real(value: Value) -> float | None:
    if isinstance(value, str):
        match = _NUMBER.fullmatch(value.rstrip("\0"))
        return float(match[1]) if match else None
    return None if value is None else float(value)
