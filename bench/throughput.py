"""Peak rate and processor time of each throughput method on a veth pair, beside iperf3.

    python bench/throughput.py [--seconds 3] [--rounds 2]

Nothing shapes the pair, so the rates are this machine's, both ends on the same processors: they say
from which CIR on a box would measure itself, and what a test costs. Rates are of IP packets at the
receiver, the first half second left out; for iperf3 its receiver's goodput, with headers added.
CPU is user and system time of the load's own processes, per 10^9 octets.

Then: how late a 1 ms tick of an event loop comes while a test runs in a thread of the same process,
and while it runs in a process of its own, as the agent does it.
"""

import argparse
import asyncio
import json
import os
import secrets
import shutil
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
from agent_cost import cpu_s
from peers.figures import rank
from peers.machine import need_lab, print_machine

from agent.probes import throughput
from agent.throughput.job import Job, Line
from agent.throughput.slot_test import SlotTest
from collector import capacity
from collector.throughput.form import Command, Told
from runtime.clock import SystemClock
from runtime.lab.topology import Cable, cable
from wire.load import Plan, Step
from wire.slot import MAX_BITS_PER_S, Direction, Grant, Method
from wire.transfer import Transfer

ROOT = Path(__file__).parents[1]
PORT, NDT7_PORT, IPERF3_PORT = 8461, 8460, 5201
HALF_S = 500_000_000
GIGABIT = 1_000_000_000


class Row(NamedTuple):
    """One test."""

    gbps: float
    near_s: float
    """CPU seconds per GB at the node."""
    far_s: float
    """And at the hub."""
    loss: float | None = None


def job(net: Cable, method: Method, direction: Direction, seconds: float, **changes: Any) -> Job:
    rate = changes.pop("rate", MAX_BITS_PER_S)
    grant = Grant(
        slot_id=secrets.token_hex(16),
        key=secrets.token_hex(32),
        link="bench",
        method=method,
        direction=direction,
        duration_s=seconds,
        most_bits_per_s=rate,
        flows=changes.pop("flows", 1),
        address=net.b_address,
        port=changes.pop("port", PORT),
    )
    step = Step(bits_per_s=rate, seconds=seconds)
    return Job(grant=grant, plan=Plan(steps=(step,), idle_s=0.1, selftest_s=0))


class Far:
    """A process at the hub's end that is told of grants by lines."""

    def __init__(self, net: Cable, words: list[str], wrap: Callable[[Grant], bytes]) -> None:
        self._wrap = wrap
        self.process = net.b.popen(
            [sys.executable, *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT
        )

    def line(self) -> bytes:
        assert self.process.stdout is not None
        return self.process.stdout.readline()

    def say(self, data: bytes) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(data + b"\n")
        self.process.stdin.flush()

    def expect(self, grant: Grant) -> None:
        self.say(self._wrap(grant))


@contextmanager
def far(net: Cable) -> Iterator[dict[Method, Far]]:
    ours = Far(
        net,
        ["-m", "collector.throughput.worker"],
        lambda grant: msgspec.json.encode(Command(expect=grant)),
    )
    ours.say(msgspec.json.encode(Command(listen=("0.0.0.0", PORT))))
    assert msgspec.json.decode(ours.line(), type=Told).port == PORT
    web = Far(net, ["-m", "tests.lab.ndt7_hub", net.b_address, str(NDT7_PORT)], msgspec.json.encode)
    assert web.line() == b"ready\n"
    yield {Method.UDP: ours, Method.TCP: ours, Method.NDT7: web}


def ours(net: Cable, hub: Far, wanted: Job) -> Row:
    hub.expect(wanted.grant)
    if wanted.grant.method is Method.NDT7:
        hub.line()
    before = cpu_s(hub.process.pid)
    worker = net.a.popen(
        [sys.executable, "-m", "agent.throughput.worker"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=ROOT,
    )
    assert worker.stdin is not None and worker.stdout is not None
    worker.stdin.write(msgspec.json.encode(wanted) + b"\n")
    worker.stdin.flush()
    lines = [msgspec.json.decode(line, type=Line) for line in worker.stdout]
    _, _, used = os.wait4(worker.pid, 0)
    worker.returncode = 0
    transfer = lines[-1].transfer
    assert transfer is not None
    octets = sum(transfer.octets)
    if not octets:
        raise RuntimeError(f"{wanted.grant.method}: {transfer.outcome}: {transfer.note}")
    return Row(
        (capacity.achieved(transfer, HALF_S) or 0) / 1e9,
        (used.ru_utime + used.ru_stime) / octets * 1e9,
        (cpu_s(hub.process.pid) - before) / octets * 1e9,
        capacity.loss_ratio(transfer, HALF_S),
    )


def iperf3(net: Cable, seconds: float, *words: str) -> Row:
    server = net.b.popen(
        ["iperf3", "-s", "-1", "-p", str(IPERF3_PORT)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    time.sleep(0.3)
    argv = ["iperf3", "-c", net.b_address, "-p", str(IPERF3_PORT), "-J", "-t", f"{seconds:.0f}"]
    told = json.loads(net.a.run([*argv, *words], check=False).stdout)
    server.wait(timeout=10)
    end = told["end"]
    udp = "-u" in words
    got = end["sum"] if udp else end["sum_received"]
    good = got["bits_per_second"] * (1 - got.get("lost_percent", 0) / 100 if udp else 1)
    cpu = end["cpu_utilization_percent"]
    octets = good / 8 * seconds
    return Row(
        good * (1428 / 1400 if udp else 1500 / 1448) / 1e9,
        cpu["host_total"] / 100 * seconds / octets * 1e9,
        cpu["remote_total"] / 100 * seconds / octets * 1e9,
        got.get("lost_percent", 0) / 100 if udp else None,
    )


def table(net: Cable, seconds: float, rounds: int) -> None:
    down, up = Direction.DOWN, Direction.UP
    with far(net) as hubs:

        def test(method: Method, way: Direction, **changes: Any) -> Callable[[], Row]:
            return lambda: ours(net, hubs[method], job(net, method, way, seconds, **changes))

        rows: dict[str, Callable[[], Row]] = {
            "tcp, 1 flow, down": test(Method.TCP, down),
            "iperf3, 1 stream, down": lambda: iperf3(net, seconds, "-R"),
            "tcp, 1 flow, up": test(Method.TCP, up),
            "iperf3, 1 stream, up": lambda: iperf3(net, seconds),
            "tcp, 4 flows, down": test(Method.TCP, down, flows=4),
            "iperf3, 4 streams, down": lambda: iperf3(net, seconds, "-R", "-P", "4"),
            "ndt7 (ws), down": test(Method.NDT7, down, port=NDT7_PORT),
            "ndt7 (ws), up": test(Method.NDT7, up, port=NDT7_PORT),
            "udp, flat out, down": test(Method.UDP, down),
            "udp, flat out, up": test(Method.UDP, up),
            "iperf3 -u -b 0 -l 1400, up": lambda: iperf3(
                net, seconds, "-u", "-b", "0", "-l", "1400"
            ),
            "udp at 1 Gbit/s, down": test(Method.UDP, down, rate=GIGABIT),
            "udp at 1 Gbit/s, up": test(Method.UDP, up, rate=GIGABIT),
            "iperf3 -u -b 1G -l 1400, up": lambda: iperf3(
                net, seconds, "-u", "-b", "1G", "-l", "1400"
            ),
            "udp at 100 Mbit/s, up": test(Method.UDP, up, rate=GIGABIT // 10),
        }
        print(f"\n{'':30}{'Gbit/s':>18}{'node s/GB':>12}{'hub s/GB':>12}{'lost %':>10}")
        for name, act in rows.items():
            if "iperf3" in name and shutil.which("iperf3") is None:
                continue
            found = [act() for _ in range(rounds)]
            rates = ", ".join(f"{one.gbps:.3g}" for one in found)
            near = statistics.median(one.near_s for one in found)
            far_ = statistics.median(one.far_s for one in found)
            losses = [one.loss for one in found if one.loss is not None]
            lost = f"{100 * max(losses):.2f}" if losses else ""
            print(f"{name:30}{rates:>18}{near:>12.2f}{far_:>12.2f}{lost:>10}")
        for hub in {id(one): one for one in hubs.values()}.values():
            assert hub.process.stdin is not None
            hub.process.stdin.close()
            hub.process.wait(timeout=10)


# --- a thread or a process


async def lateness(stop: Callable[[], bool]) -> list[float]:
    """Milliseconds by which 1 ms ticks of this loop come late."""
    loop, late = asyncio.get_running_loop(), []
    due = loop.time()
    while not stop():
        due += 0.001
        await asyncio.sleep(max(0.0, due - loop.time()))
        now = loop.time()
        late.append((now - due) * 1000)
        due = max(due, now - 0.001)
    return late


async def beside(hub: Far, rate: int, how: str) -> list[float]:
    """Lateness while one test over loopback runs this way."""
    grant = Grant(
        slot_id=secrets.token_hex(16),
        key=secrets.token_hex(32),
        link="bench",
        method=Method.UDP,
        direction=Direction.DOWN,
        duration_s=4,
        most_bits_per_s=rate,
        address="127.0.0.1",
        port=PORT,
    )
    plan = Plan(steps=(Step(bits_per_s=rate, seconds=4),), idle_s=0.1, selftest_s=0)
    if how == "nothing":
        until = time.monotonic() + 4
        return await lateness(lambda: time.monotonic() > until)
    hub.expect(grant)
    clock = SystemClock()
    if how == "thread":
        made = Job(grant=grant, plan=plan)
        thread = threading.Thread(target=SlotTest(made, clock, lambda _stage: None).run)
        thread.start()
        return await lateness(lambda: not thread.is_alive())
    async with asyncio.TaskGroup() as group:
        task: asyncio.Task[Transfer] = group.create_task(
            throughput.run(grant, plan, throughput.Means(clock=clock))
        )
        return await lateness(task.done)


def disturbance() -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "collector.throughput.worker"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    hub = Far.__new__(Far)
    hub.process = process
    hub._wrap = lambda grant: msgspec.json.encode(Command(expect=grant))
    hub.say(msgspec.json.encode(Command(listen=("127.0.0.1", PORT))))
    hub.line()
    drain = threading.Thread(target=lambda: list(iter(hub.line, b"")), daemon=True)
    drain.start()
    print(f"\n{'a 1 ms tick is late by, ms':34}{'median':>10}{'p99':>10}{'most':>10}")
    cases = [(0, "nothing"), *((r, h) for r in (GIGABIT // 10, GIGABIT) for h in HOW)]
    for rate, how in cases:
        late = asyncio.run(beside(hub, rate, how))
        name = f"UDP down at {rate // 1_000_000} Mbit/s, {how}" if rate else "no test"
        median, p99 = statistics.median(late), rank(late, 0.99)
        print(f"{name:34}{median:>10.2f}{p99:>10.2f}{max(late):>10.1f}")
    assert process.stdin is not None
    process.stdin.close()
    process.wait(timeout=10)


HOW = ("thread", "process")


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--rounds", type=int, default=2)
    options = parser.parse_args()
    need_lab()
    print_machine("iperf3")
    with cable() as net:
        table(net, options.seconds, options.rounds)
    disturbance()


if __name__ == "__main__":
    main()
