"""Throughput tests between the namespaces of a lab, each end in a process as in the field."""

import secrets
import subprocess
import sys
from pathlib import Path
from threading import Lock
from typing import Any, Protocol

import msgspec

from agent.throughput.job import Job, Line
from collector.throughput.form import Command, Told
from runtime.lab.link import BOTH, Knobs, Link
from runtime.lab.namespaces import Namespace
from wire.load import Plan, Step
from wire.slot import Direction, Grant, Method
from wire.transfer import Transfer, TransferOutcome

PORT, NDT7_PORT = 8461, 8460
SECONDS = 3.0
MADE = {TransferOutcome.DONE, TransferOutcome.UNFIT, TransferOutcome.HUB_UNFIT}
ROOT = Path(__file__).parents[2]
FIRST = ("nice", "-n", "-15")
"""What measures goes before other work of this machine, as the emulator does: a sender that pauses
for longer than the link's queue lasts leaves the link empty."""


class Net(Protocol):
    """A node behind its link; a Pair is one."""

    @property
    def node(self) -> Namespace: ...
    @property
    def hub(self) -> Namespace: ...
    @property
    def hub_address(self) -> str: ...
    @property
    def link(self) -> Link: ...


class Hub:
    """A throughput worker in the hub's namespace; tests may go on at once."""

    def __init__(self, space: Namespace) -> None:
        self._lock = Lock()
        self._process = space.popen(
            [*FIRST, sys.executable, "-P", "-m", "collector.throughput.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        self.tell(Command(listen=("0.0.0.0", PORT)))
        assert self._process.stdout is not None
        assert msgspec.json.decode(self._process.stdout.readline(), type=Told).port == PORT

    def tell(self, command: Command) -> None:
        assert self._process.stdin is not None
        with self._lock:
            self._process.stdin.write(msgspec.json.encode(command) + b"\n")
            self._process.stdin.flush()

    def measure(self, net: Net, job: Job) -> Transfer:
        """Have the node make this test."""
        self.tell(Command(expect=job.grant))
        return made(net, job)

    def close(self) -> None:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(timeout=10)
        self._process.stdout.close()


def made(net: Net, job: Job) -> Transfer:
    """The test, by a worker in the node's namespace."""
    worker = net.node.popen(
        [*FIRST, sys.executable, "-P", "-m", "agent.throughput.worker"],
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


class Ndt7Hub:
    """A collector's HTTP port with ndt7 alone in the hub's namespace; tests may go on at once."""

    def __init__(self, space: Namespace, address: str) -> None:
        self.url = f"http://{address}:{NDT7_PORT}"
        self._lock = Lock()
        self._process = space.popen(
            [*FIRST, sys.executable, "-m", "tests.lab.ndt7_hub", address, str(NDT7_PORT)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=ROOT,
        )
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == b"ready\n"

    def measure(self, net: Net, wanted: Job) -> Transfer:
        """Have the node make this test."""
        assert self._process.stdin is not None and self._process.stdout is not None
        with self._lock:
            self._process.stdin.write(msgspec.json.encode(wanted.grant) + b"\n")
            self._process.stdin.flush()
            assert self._process.stdout.readline() == b"expected\n"
        return made(net, wanted)

    def close(self) -> None:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(timeout=10)
        self._process.stdout.close()


def iperf3_measure(net: Net, wanted: Job) -> Transfer:
    """The test against the system's iperf3, which serves once on the grant's port."""
    server = net.hub.popen(
        [*FIRST, "iperf3", "-s", "-1", "-p", str(wanted.grant.port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    for _ in range(50):
        transfer = made(net, wanted)
        if transfer.outcome is not TransferOutcome.REFUSED:
            break  # its server listens
    server.wait(timeout=10)
    return transfer


def job(net: Net, method: Method, direction: Direction, rate: int, **plan: Any) -> Job:
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


def shape(net: Net, mbps: int, **knobs: Any) -> None:
    """A link of so many Mbit/s of IP packets, with a few ms of delay and 50 ms of queue."""
    queue = max(30_000, mbps * 1_000_000 // 8 // 20)
    net.link.set(BOTH, Knobs(delay_ms=5, rate_bps=mbps * 1e6, queue_bytes=queue, **knobs))


def settled(hub: Hub, net: Net, wanted: Job) -> Transfer:
    """The test; made again, three times at most, while this machine was too busy for it."""
    transfer = hub.measure(net, wanted)
    for _ in range(3):
        if transfer.outcome not in (TransferOutcome.UNFIT, TransferOutcome.HUB_UNFIT):
            break
        again = msgspec.structs.replace(wanted.grant, slot_id=secrets.token_hex(16))
        transfer = hub.measure(net, msgspec.structs.replace(wanted, grant=again))
    return transfer
