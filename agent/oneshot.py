"""`pantau-agent probe`: one target, now, on the terminal, by the code that makes evidence."""

import asyncio
import ipaddress
import math
import socket
import sys
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import msgspec

from agent.measure import Measure
from agent.probes import PROBES
from agent.sockets import RealNetwork
from runtime.clock import SystemClock
from wire.observation import Observation, Outcome, Train
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


def _target(kind: str, name: str, knobs: Mapping[str, Any]) -> Target:
    if kind not in PROBES:
        raise ProbeError(f"no probe {kind!r}; there are: {', '.join(sorted(PROBES))}")
    url = name if "://" in name else None
    host = urlsplit(name).hostname if url else name
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


async def _collect(target: Target, count: int) -> list[Observation]:
    """`count` observations, in order. Raises ProbeError where this box cannot probe at all."""
    problem = await trouble(target)
    if problem is not None:
        raise ProbeError(problem)
    clock = SystemClock()
    measure = Measure([target], clock=clock, stamp_key=None, network=RealNetwork(clock))
    found: list[Observation] = []
    async with asyncio.TaskGroup() as group:
        running = group.create_task(measure.run(), name="measure")
        while len(found) < count:
            await asyncio.sleep(min(_POLL_S, target.interval_s))
            for record in measure.settled():
                if isinstance(record, Train):
                    found.extend(record.observations())
        running.cancel()
    measure.close()
    return found[:count]


def _as_json(one: Observation) -> dict[str, Any]:
    """One observation for a program."""
    told: dict[str, Any] = {
        "seq": one.seq,
        "outcome": one.outcome.name.lower(),
        "rtt_ns": one.rtt_ns,
        "stamp": one.stamp.name.lower(),
        "sent_boot_ns": one.sent_boot_ns,
    }
    if one.ttl is not None:
        told["ttl"] = one.ttl
    if one.reflector_seq is not None:
        told["reflector_seq"] = one.reflector_seq
    return told


def summary(observations: list[Observation]) -> dict[str, Any]:
    """Counts and RTT of all; null where nothing was measured."""
    rtts = sorted(
        one.rtt_ns for one in observations if one.rtt_ns is not None and one.outcome is Outcome.OK
    )
    sent = sum(not one.outcome.local for one in observations)
    lost = sum(one.outcome.lost for one in observations)

    def rank(share: float) -> int | None:
        return rtts[max(1, math.ceil(share * len(rtts))) - 1] if rtts else None

    return {
        "summary": True,
        "sent": sent,
        "lost": lost,
        "not_sent": len(observations) - sent,
        "loss_ratio": lost / sent if sent else None,
        "rtt_min_ns": rank(0),
        "rtt_median_ns": rank(0.5),
        "rtt_p95_ns": rank(0.95),
        "rtt_max_ns": rank(1),
    }


def _line(one: Observation) -> str:
    if one.rtt_ns is None:
        return f"seq {one.seq}: {one.outcome.name.lower().replace('_', ' ')}"
    stamp = one.stamp.name.lower().replace("_", " ")
    said = "refused after " if one.outcome is Outcome.REFUSED else ""
    return f"seq {one.seq}: {said}{one.rtt_ns / 1e6:.3f} ms ({stamp} stamps)"


def _words(told: dict[str, Any]) -> str:
    text = f"{told['sent']} sent, {told['lost']} lost, {told['not_sent']} not sent"
    if told["rtt_median_ns"] is None:
        return text
    names = ("min", "median", "p95", "max")
    times = (f"{name} {told[f'rtt_{name}_ns'] / 1e6:.3f}" for name in names)
    return f"{text}; RTT ms: {', '.join(times)}"


def run(kind: str, name: str, knobs: Mapping[str, Any], *, as_json: bool) -> int:
    """Probe and print; 0 if anything came back, 1 if nothing did. Raises ProbeError."""
    observations = asyncio.run(_probe(kind, name, knobs))
    told = summary(observations)
    if as_json:
        lines = [msgspec.json.encode(_as_json(one)).decode() for one in observations]
        lines.append(msgspec.json.encode(told).decode())
    else:
        lines = [_line(one) for one in observations]
        lines.append(_words(told))
    sys.stdout.write("\n".join(lines) + "\n")
    return 0 if told["rtt_median_ns"] is not None else 1


async def _probe(kind: str, name: str, knobs: Mapping[str, Any]) -> list[Observation]:
    return await _collect(_target(kind, name, knobs), int(knobs["count"]))
