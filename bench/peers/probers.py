"""Probers as commands inside a namespace, and what they say as round trips in microseconds."""

import contextlib
import json
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from peers.machine import BLACKBOX
from runtime.lab.namespaces import Namespace

INSIDE = str(Path(__file__).with_name("inside.py"))
_EXPORTER = "127.0.0.1:9115"
_MODULE = "modules: {icmp: {prober: icmp, icmp: {preferred_ip_protocol: ip4}}}\n"

Seen = dict[str, list[float | None]]
"""Round trips in send order, by the name of the prober."""


@dataclass(frozen=True, kw_only=True)
class Run:
    """Where to, how often, and with what hindrance."""

    space: Namespace
    address: str
    stamp_port: int
    count: int = 100
    interval_s: float = 0.02
    stall_ms: float = 0.0
    timeout_s: float = 0.5
    sources: dict[str, int] = field(default_factory=dict)
    """How often which clocks gave our RTTs; filled in."""


def start(run: Run, words: list[str]) -> "subprocess.Popen[bytes]":
    """Begin; its output waits in a pipe."""
    return run.space.popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


def finish(child: "subprocess.Popen[bytes]") -> str:
    """Wait for its end. Packets without a reply make some of them exit with 1."""
    output = child.communicate(timeout=300)[0].decode()
    if child.returncode not in (0, 1):
        raise RuntimeError(f"{child.args} ended with {child.returncode}:\n{output[-2000:]}")
    return output


def inside(what: str, run: Run, *words: str) -> list[str]:
    """The command line of one part of `inside.py`."""
    return [
        *(sys.executable, INSIDE, what, "--address", run.address),
        *("--count", str(run.count), "--interval", str(run.interval_s)),
        *("--stall-ms", str(run.stall_ms), *words),
    ]


def ours(run: Run) -> Seen:
    """Both our probes in one process, their packets in turn."""
    where = ["--icmp", run.address, "--stamp", f"{run.address}:{run.stamp_port}"]
    words = [*where, "--timeout", str(run.timeout_s)]
    told: dict[str, Any] = json.loads(finish(start(run, inside("ours", run, *words))))
    seen: Seen = {}
    for name in ("icmp", "stamp"):
        rows = told[name]["rows"][: run.count]
        seen[f"pantau {name}"] = [None if row[1] is None else row[1] / 1000 for row in rows]
        for row in rows:
            run.sources[row[3]] = run.sources.get(row[3], 0) + 1
    return seen


def ping_words(run: Run) -> list[str]:
    """-s 48 so that its packets differ in length from fping's."""
    count, gap = str(run.count), str(run.interval_s)
    return ["ping", "-n", "-s", "48", "-c", count, "-i", gap, "-W", "2", run.address]


def ping_times(output: str, count: int) -> list[float | None]:
    """By sequence number; ping says nothing of what was lost."""
    found = re.findall(r"icmp_seq=(\d+) .*time=([0-9.]+) ms", output)
    times = {int(number): float(ms) * 1000 for number, ms in found}
    return [times.get(number) for number in range(1, count + 1)]


def ping(run: Run) -> Seen:
    """iputils."""
    return {"ping": ping_times(finish(start(run, ping_words(run))), run.count)}


def fping_words(run: Run) -> list[str]:
    gap = str(run.interval_s * 1000)
    return ["fping", "-C", str(run.count), "-p", gap, "-t", "2000", "-q", run.address]


def fping_times(output: str) -> list[float | None]:
    """One number for each packet, "-" for a lost one."""
    words = output.rpartition(" : ")[2].split()
    return [None if word == "-" else float(word) * 1000 for word in words]


def fping(run: Run) -> Seen:
    return {"fping": fping_times(finish(start(run, fping_words(run))))}


def icmplib_ping(run: Run) -> Seen:
    return {"icmplib.ping": json.loads(finish(start(run, inside("icmplib_ping", run))))}


def icmplib_async(run: Run) -> Seen:
    return {"icmplib.async_ping": json.loads(finish(start(run, inside("icmplib_async", run))))}


def blackbox(run: Run) -> Seen:
    """Needs `exporter` to run in the namespace."""
    words = inside("blackbox", run, "--exporter", _EXPORTER)
    return {"blackbox_exporter": json.loads(finish(start(run, words)))}


def installed() -> Mapping[str, Callable[[Run], Seen]]:
    """The probers that can run here; says which cannot."""
    every: dict[str, tuple[str | None, Callable[[Run], Seen]]] = {
        "ours": (None, ours),
        "ping": ("ping", ping),
        "fping": ("fping", fping),
        "icmplib.ping": (None, icmplib_ping),
        "icmplib.async_ping": (None, icmplib_async),
        "blackbox": (BLACKBOX, blackbox),
    }
    for program, _ in every.values():
        if program is not None and shutil.which(program) is None:
            print(f"{program} is not installed: left out")
    return {
        name: act
        for name, (program, act) in every.items()
        if program is None or shutil.which(program)
    }


def _stop(child: "subprocess.Popen[bytes]") -> None:
    child.terminate()
    child.wait(10)


@contextlib.contextmanager
def reflector(space: Namespace) -> Iterator[int]:
    """Our reflector, running in `space`; its port."""
    child = space.popen([sys.executable, INSIDE, "reflector"], stdout=subprocess.PIPE)
    assert child.stdout is not None
    try:
        yield json.loads(child.stdout.readline())["port"]
    finally:
        _stop(child)
        child.stdout.close()


@contextlib.contextmanager
def exporter(space: Namespace) -> Iterator[None]:
    """blackbox_exporter, running in `space`, where it is installed."""
    if shutil.which(BLACKBOX) is None:
        yield
        return
    with tempfile.NamedTemporaryFile("w", suffix=".yml") as module:
        module.write(_MODULE)
        module.flush()
        words = [BLACKBOX, f"--config.file={module.name}", f"--web.listen-address={_EXPORTER}"]
        child = space.popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        assert child.stderr is not None
        try:
            while b"Listening on" not in (line := child.stderr.readline()):
                if not line:
                    raise RuntimeError(f"{BLACKBOX} ended with {child.wait()}")
            yield
        finally:
            _stop(child)
            child.stderr.close()


@contextlib.contextmanager
def busy(loops: int) -> Iterator[None]:
    """So many processes that only compute."""
    words = [sys.executable, "-c", "while True: pass"]
    children = [subprocess.Popen(words) for _ in range(loops)]
    try:
        yield
    finally:
        for child in children:
            child.kill()
            child.wait()
