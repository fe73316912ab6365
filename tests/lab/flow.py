"""One flow of numbered UDP packets between two namespaces, and what became of it."""

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from runtime.lab.namespaces import Namespace

_TRAFFIC = str(Path(__file__).with_name("traffic.py"))


@dataclass(frozen=True, kw_only=True)
class Flow:
    """From where to where, and how."""

    sender: Namespace
    receiver: Namespace
    address: str
    count: int
    pps: float
    size: int = 100
    port: int = 9000
    idle_s: float = 0.2
    """After the last packet was sent, so long a silence ends the flow: more than the delay."""


@dataclass(frozen=True)
class Outcome:
    """What was sent and what arrived, with kernel stamps (wall clock, ns)."""

    sent: int
    elapsed_s: float
    tx_ns: dict[int, int]
    got: list[tuple[int, int, int]]
    """(number, receive stamp, length of the IP packet), in order of arrival."""

    @property
    def numbers(self) -> list[int]:
        """Of the packets that arrived, in order of arrival."""
        return [number for number, _, _ in self.got]

    def delays_ms(self) -> list[float]:
        """From the sender's kernel to the receiver's, for each packet that has both stamps."""
        return [
            (rx_ns - self.tx_ns[number]) / 1e6
            for number, rx_ns, _ in self.got
            if self.tx_ns.get(number) and rx_ns
        ]

    def goodput_bps(self) -> float:
        """Rate of IP bits between the first and the last arrival."""
        first, last = self.got[0][1], self.got[-1][1]
        return sum(size for _, _, size in self.got[1:]) * 8e9 / (last - first)


def run_flows(flows: Sequence[Flow]) -> list[Outcome]:
    """Run flows side by side to their ends."""
    receivers = [_start_receiver(flow) for flow in flows]
    senders = [_start_sender(flow) for flow in flows]
    outcomes = []
    for sender, receiver in zip(senders, receivers, strict=True):
        sent, got = json.loads(_finish(sender)), json.loads(_finish(receiver))
        stamps = {int(number): stamp for number, stamp in sent["tx_ns"].items()}
        rows = [(number, stamp, size) for number, stamp, size in got["got"]]
        outcomes.append(Outcome(sent["sent"], sent["elapsed_ns"] / 1e9, stamps, rows))
    return outcomes


def run_flow(flow: Flow) -> Outcome:
    """Run one flow to its end."""
    return run_flows([flow])[0]


def _start_receiver(flow: Flow) -> subprocess.Popen[bytes]:
    argv = [sys.executable, "-I", _TRAFFIC, "receive", str(flow.port), str(flow.idle_s)]
    child = flow.receiver.popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    if child.stdout is None or child.stdout.readline() != b"ready\n":
        raise RuntimeError("the receiver did not start")
    return child


def _start_sender(flow: Flow) -> subprocess.Popen[bytes]:
    numbers = [str(flow.count), str(flow.pps), str(flow.size)]
    argv = [sys.executable, "-I", _TRAFFIC, "send", flow.address, str(flow.port), *numbers]
    return flow.sender.popen(argv, stdout=subprocess.PIPE)


def _finish(child: subprocess.Popen[bytes]) -> bytes:
    output, _ = child.communicate(timeout=120)
    if child.returncode:
        raise RuntimeError(f"traffic failed: {child.returncode}")
    return output
