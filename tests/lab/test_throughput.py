"""Capacity of emulated links by every method, against what the link was set to, and iperf3.

The link counts whole IP packets, as the methods do. What this machine cannot do in time (it is
shared) the record says itself; then a link's test is made once more.
"""

import json
import secrets
import shutil
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from agent.throughput.job import Job, Line
from collector import capacity
from collector.throughput.form import Command, Told
from runtime.clock import SystemClock
from runtime.lab.link import BOTH, CLEAR, DOWN, UP, Knobs
from runtime.lab.topology import Pair
from wire.load import Plan, Step
from wire.slot import Direction, Grant, Method
from wire.transfer import Transfer, TransferOutcome

pytestmark = pytest.mark.lab
PORT = 8461
SECONDS = 4.0
IPERF3 = pytest.mark.skipif(shutil.which("iperf3") is None, reason="needs iperf3")


class Hub:
    """A throughput worker in the hub's namespace."""

    def __init__(self, net: Pair) -> None:
        self.net = net
        self._process = net.hub.popen(
            [sys.executable, "-P", "-m", "collector.throughput.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        self.tell(Command(listen=("0.0.0.0", PORT)))
        assert self._process.stdout is not None
        assert msgspec.json.decode(self._process.stdout.readline(), type=Told).port == PORT

    def tell(self, command: Command) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(msgspec.json.encode(command) + b"\n")
        self._process.stdin.flush()

    def measure(self, job: Job) -> Transfer:
        """Have the node make this test."""
        self.tell(Command(expect=job.grant))
        worker = self.net.node.popen(
            [sys.executable, "-P", "-m", "agent.throughput.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert worker.stdin is not None and worker.stdout is not None
        worker.stdin.write(msgspec.json.encode(job) + b"\n")
        worker.stdin.flush()
        lines = [msgspec.json.decode(line, type=Line) for line in worker.stdout]
        worker.stdin.close()
        worker.stdout.close()
        worker.wait(timeout=10)
        transfer = lines[-1].transfer
        assert transfer is not None
        return transfer

    def close(self) -> None:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(timeout=10)
        self._process.stdout.close()


@pytest.fixture(scope="module")
def hub(module_pair: Pair) -> Iterator[Hub]:
    made = Hub(module_pair)
    yield made
    made.close()


@pytest.fixture(autouse=True)
def _perfect(module_pair: Pair) -> None:
    module_pair.link.set(BOTH, CLEAR)


def job(net: Pair, method: Method, direction: Direction, rate: int, **plan: Any) -> Job:
    seconds = plan.pop("seconds", SECONDS)
    flows = plan.pop("flows", 1)
    grant = Grant(
        slot_id=secrets.token_hex(16),
        key=secrets.token_hex(32),
        link="site/main",
        method=method,
        direction=direction,
        duration_s=seconds,
        most_bits_per_s=rate,
        flows=flows,
        address=net.hub_address,
        port=plan.pop("port", PORT),
    )
    steps = plan.pop("steps", (Step(bits_per_s=rate, seconds=seconds),))
    return Job(grant=grant, plan=Plan(steps=steps, idle_s=0.5, selftest_s=0.2, **plan))


def shape(net: Pair, mbps: int, **knobs: Any) -> None:
    """A link of so many Mbit/s of IP packets, with a few ms of delay and 50 ms of queue."""
    queue = max(30_000, mbps * 1_000_000 // 8 // 20)
    net.link.set(BOTH, Knobs(delay_ms=5, rate_bps=mbps * 1e6, queue_bytes=queue, **knobs))


def settled(hub: Hub, made: Job) -> Transfer:
    """The test, once more where this machine was too busy for the first."""
    transfer = hub.measure(made)
    if transfer.outcome in (TransferOutcome.UNFIT, TransferOutcome.HUB_UNFIT):
        again = msgspec.structs.replace(made.grant, slot_id=secrets.token_hex(16))
        transfer = hub.measure(msgspec.structs.replace(made, grant=again))
    return transfer


def iperf3(net: Pair, direction: Direction) -> float:
    """Its receiver's rate, as IP packets, bit/s; the first second left out."""
    server = net.hub.popen(
        ["iperf3", "-s", "-1", "-p", "5300"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    argv = ["iperf3", "-c", net.hub_address, "-p", "5300", "-J", "-t", "3", "-O", "1"]
    way = ["-R"] if direction is Direction.DOWN else []
    try:
        for _ in range(50):
            done = net.node.run([*argv, *way], check=False)
            told = json.loads(done.stdout)
            if "error" not in told:
                break
        received = told["end"]["sum_received"]["bits_per_second"]
    finally:
        server.wait(timeout=10)
    return float(received) * 1500 / 1448


CASES = [
    (2, Direction.DOWN),
    (10, Direction.UP),
    (50, Direction.DOWN),
    (100, Direction.UP),
    (100, Direction.DOWN),
]


@IPERF3
@pytest.mark.parametrize(("mbps", "direction"), CASES)
def test_every_method_finds_the_links_rate(hub: Hub, mbps: int, direction: Direction) -> None:
    net = hub.net
    shape(net, mbps)
    rate = mbps * 1_000_000
    found = {"iperf3": iperf3(net, direction)}
    udp = settled(hub, job(net, Method.UDP, direction, round(rate * 1.3)))
    found["udp"] = capacity.achieved(udp) or 0
    search = settled(hub, job(net, Method.UDP, direction, round(rate * 1.3), search=True))
    found["search"] = capacity.maximum(capacity.series(search)[1:]) or 0
    tcp = settled(hub, job(net, Method.TCP, direction, rate * 2, flows=4))
    found["tcp"] = capacity.achieved(tcp, skip_ns=capacity.SECOND) or 0
    told = {name: round(value / rate, 4) for name, value in found.items()}
    print(mbps, direction, told)
    assert udp.outcome is search.outcome is tcp.outcome is TransferOutcome.DONE, told
    for name, value in found.items():
        assert value == pytest.approx(rate, rel=0.01 if name != "iperf3" else 0.03), told
    loss = capacity.loss_ratio(udp)
    assert loss == pytest.approx(1 - 1 / 1.3, abs=0.01)
    rise = capacity.rtt_rise_ns(udp)
    assert rise is not None and rise > 20e6
