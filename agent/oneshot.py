"""`pantau-agent probe`: one target, now, on the terminal, by the code that makes evidence."""

import asyncio
import ipaddress
import socket
import sys
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import msgspec

from agent import telling
from agent.measure import Measure
from agent.probes import PROBES
from agent.sockets import RealNetwork
from runtime.clock import SECOND, SystemClock
from wire.detail import DetailRecord
from wire.journal import Gap
from wire.observation import Observation, Train
from wire.policy import Role, Target, Transport

_POLL_S = 0.2


class ProbeError(ValueError):
    """The probe cannot be made; the text says what is possible."""


def resolve(name: str) -> str:
    """The literal address of `name`, which may be one. Raises ProbeError."""
    try:
        return str(ipaddress.ip_address(name))
    except ValueError:
        pass
    try:
        return str(socket.getaddrinfo(name, None, type=socket.SOCK_DGRAM)[0][4][0])
    except OSError as error:
        raise ProbeError(f"{name!r} was not resolved: {error}") from error


PACKETS = ("icmp", "stamp")
"""Probes of one packet and one reply, which may overlap; an attempt of the others may not."""


def _host(name: str) -> str | None:
    return urlsplit(name).hostname if "://" in name else name


def _target(kind: str, name: str, knobs: Mapping[str, Any]) -> Target:
    if kind not in PROBES:
        raise ProbeError(f"no probe {kind!r}; there are: {', '.join(sorted(PROBES))}")
    url = name if "://" in name else None
    host = _host(name)
    if not host:
        raise ProbeError(f"{name!r}: expected http(s)://HOST[:PORT]/PATH")
    interval = knobs["interval"]
    timeout = knobs.get("timeout") or (2.0 if kind in PACKETS else max(0.8 * interval, 0.01))
    transport = knobs.get("transport")
    try:
        return Target(
            name=name[:128],
            link="oneshot",
            probe=kind,
            role=Role.ANCHOR,
            address=resolve(host),
            port=knobs.get("port"),
            interval_s=interval,
            timeout_s=timeout,
            size=knobs.get("size") or 0,
            dscp=knobs.get("dscp") or 0,
            host=knobs.get("host"),
            url=url,
            credentials=knobs.get("credentials"),
            device_interface=knobs.get("device_interface"),
            source=knobs.get("source"),
            transport=None if transport is None else Transport(transport),
        )
    except msgspec.ValidationError as error:
        raise ProbeError(str(error)) from error


async def trouble(target: Target) -> str | None:
    """Why this box cannot probe `target` at all, if so; nothing is sent."""
    clock = SystemClock()
    measure = Measure([], clock=clock, stamp_key=None, network=RealNetwork(clock))
    async with asyncio.TaskGroup() as group:
        running = group.create_task(measure.run(), name="measure")
        await asyncio.sleep(0)
        measure.replace([target])
        running.cancel()
    notes = measure.notes()
    measure.close()
    return "; ".join(notes) if notes else None


async def _collect(target: Target, count: int) -> list[telling.Told]:
    """`count` observations, in order. Raises ProbeError where this box cannot probe at all."""
    problem = await trouble(target)
    if problem is not None:
        raise ProbeError(problem)
    clock = SystemClock()
    measure = Measure([target], clock=clock, stamp_key=None, network=RealNetwork(clock))
    found: list[Observation] = []
    details: list[DetailRecord] = []
    async with asyncio.TaskGroup() as group:
        running = group.create_task(measure.run(), name="measure")
        while len(found) < count:
            await asyncio.sleep(min(_POLL_S, target.interval_s))
            for record in measure.settled():
                if isinstance(record, Train):
                    found.extend(record.observations())
                elif not isinstance(record, Gap):
                    details.append(record)
        running.cancel()
    measure.close()
    return telling.gather(found, details)[:count]


def run(kind: str, name: str, knobs: Mapping[str, Any], *, as_json: bool) -> int:
    """Probe and print; 0 if anything came back, 1 if nothing did. Raises ProbeError."""
    clock = SystemClock()
    began_ns = clock.boot_ns()
    target = _target(kind, name, knobs)
    resolve_ns = clock.boot_ns() - began_ns if target.address != _host(name) else None
    told = asyncio.run(_collect(target, int(knobs["count"])))
    summary = telling.summary([one for one, _ in told])
    if as_json:
        if resolve_ns is not None:
            summary |= {"address": target.address, "resolve_ns": resolve_ns}
        lines = [*map(telling.as_json, told), msgspec.json.encode(summary).decode()]
    else:
        now_s = clock.wall_ns() / SECOND
        lines = [telling.as_text(one, now_s) for one in told]
        lines.append(telling.summary_text(summary))
        if resolve_ns is not None:
            lines.insert(0, f"{target.address}, resolved in {resolve_ns / 1e6:.3f} ms")
    sys.stdout.write("\n".join(lines) + "\n")
    return 0 if summary["rtt_median_ns"] is not None else 1
