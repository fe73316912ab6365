"""What 1,000 loopback targets at 1 packet a second cost: ours, fping, smokeping's fping, icmplib.

    python bench/scale.py [--targets 1000] [--seconds 60] [--rounds 3]

Each tool has a network namespace of its own, because a raw ICMP socket hears all of its
namespace's replies, and all run in the same seconds. CPU is user + system time of the tool's
process from its first to its last instruction (ours has Python to start, so its cost is also
given without that: an agent starts once), memory the peak of its resident set. Ours keeps every
packet's fate, drains and looks at its status as often as the agent does; fping -q keeps counts.

smokeping is Perl around one fping a round: `fping -C 20 -q -B1 -r1 -4 -i10 TARGETS...` (its
FPing.pm with default settings; `-i10` is its `mininterval`, so 1,000 targets get a packet every
10 s and not every second). `-C` is lowered here to what fits the time; the Perl around it, which
parses the result and writes RRDs, is left out.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from peers.figures import table
from peers.machine import compiled_apart, need_lab, print_machine

from runtime.lab.build import Lab
from runtime.lab.namespaces import Namespace

INSIDE = str(Path(__file__).with_name("peers") / "inside.py")
GOAL = 0.8
OURS, FPING = "pantau", "fping"


@dataclass
class Cost:
    """Of one tool in one round."""

    cpu_s: float
    peak_mib: float
    sent: int
    output: str
    start_s: float | None = None

    @property
    def us(self) -> float:
        return self.cpu_s / self.sent * 1e6

    @property
    def run_us(self) -> float | None:
        return None if self.start_s is None else (self.cpu_s - self.start_s) / self.sent * 1e6


def addresses(count: int) -> list[str]:
    return [f"127.0.{1 + k // 250}.{1 + k % 250}" for k in range(count)]


def peak_mib(pid: int) -> float:
    """VmHWM, which begins anew at exec; ru_maxrss has this process's own peak in it."""
    try:
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmHWM"):
                return int(line.split()[1]) / 1024
    except OSError:
        pass
    return 0.0


def warm(listing: Path) -> None:
    """Have everything compiled before it counts."""
    for what in ("scale", "multiping"):
        with listing.open() as names:
            words = [sys.executable, INSIDE, "--seconds", "1", what]
            subprocess.run(words, stdin=names, check=True, capture_output=True, timeout=60)


class Running:
    """A tool at work in a namespace; its pid stays ours until `cost` waits for it."""

    def __init__(self, space: Namespace, words: Sequence[str], listing: Path) -> None:
        self._output = tempfile.TemporaryFile("w+")  # noqa: SIM115
        with listing.open() as names:
            self._child = space.popen(
                words, stdin=names, stdout=self._output, stderr=subprocess.STDOUT
            )
        self._peak = 0.0
        self._done = threading.Event()
        self._watcher = threading.Thread(target=self._watch)
        self._watcher.start()

    def _watch(self) -> None:
        while not self._done.wait(0.25):
            self._peak = max(self._peak, peak_mib(self._child.pid))

    def cost(self, sent: int | None) -> Cost:
        _, status, usage = os.wait4(self._child.pid, 0)
        self._done.set()
        self._watcher.join()
        self._child.returncode = os.waitstatus_to_exitcode(status)
        self._output.seek(0)
        output = self._output.read()
        self._output.close()
        if self._child.returncode:
            raise RuntimeError(f"{self._child.args}: {self._child.returncode}\n{output[-2000:]}")
        cost = Cost(usage.ru_utime + usage.ru_stime, self._peak, sent or 0, output)
        if sent is None:
            told = json.loads(output)
            cost.sent, cost.start_s = told["sent"], told.get("start_s")
        return cost


def commands(options: argparse.Namespace) -> dict[str, tuple[list[str], int | None]]:
    """Each tool's words and how many packets they send; None where the tool says it itself."""
    seconds, many = options.seconds, options.targets
    child = [sys.executable, INSIDE, "--seconds", str(seconds)]
    made: dict[str, tuple[list[str], int | None]] = {OURS: ([*child, "scale"], None)}
    if shutil.which("fping"):
        count = max(1, int(seconds))
        words = ["fping", "-q", "-c", str(count), "-p", "1000", "-i", str(500 / many)]
        made[FPING] = [*words, "-f", "-"], count * many
        rounds = max(1, round(seconds / (many * 0.01)))
        words = ["fping", "-C", str(rounds), "-q", "-B1", "-r1", "-4", "-i10"]
        made["smokeping's fping"] = [*words, *addresses(many)], rounds * many
    else:
        print("fping is not installed: nothing to compare with")
    made["icmplib multiping"] = [*child, "multiping"], None
    return made


def one_round(options: argparse.Namespace, listing: Path) -> dict[str, Cost]:
    chosen = commands(options)
    with Lab() as lab:
        spaces = {name: lab.space(f"t{k}") for k, name in enumerate(chosen)}
        if options.alone:
            return {
                name: Running(spaces[name], words, listing).cost(sent)
                for name, (words, sent) in chosen.items()
            }
        running = {name: Running(spaces[name], chosen[name][0], listing) for name in chosen}
        return {name: one.cost(chosen[name][1]) for name, one in running.items()}


def show(rounds: list[dict[str, Cost]]) -> None:
    def middle(values: Sequence[float]) -> float:
        return statistics.median(values)

    rows = []
    for name in rounds[0]:
        costs = [one[name] for one in rounds]
        fping = [one[FPING].us if FPING in one else None for one in rounds]
        ratios = [cost.us / base for cost, base in zip(costs, fping, strict=True) if base]
        spread = f"{min(ratios):.2f}-{max(ratios):.2f}" if ratios else "-"
        runs = [cost.run_us for cost in costs if cost.run_us is not None]
        rows.append(
            [
                name,
                f"{middle([cost.sent for cost in costs]):.0f}",
                f"{middle([cost.us for cost in costs]):.1f}",
                f"{middle(runs):.1f}" if runs else "-",
                f"{middle([cost.peak_mib for cost in costs]):.1f}",
                f"{middle(ratios):.2f}" if ratios else "-",
                spread,
            ]
        )
    head = ["tool", "packets", "us CPU/packet", "w/o start", "peak MiB", "x fping", "of rounds"]
    table(head, rows)


def goals(rounds: list[dict[str, Cost]]) -> None:
    if FPING not in rounds[0]:
        return
    whole = statistics.median(one[OURS].us / one[FPING].us for one in rounds)
    run = statistics.median((one[OURS].run_us or 0) / one[FPING].us for one in rounds)
    print(f"goal: CPU <= {GOAL} x fping's; it is {whole:.2f} x, without Python's start {run:.2f} x")


def answers(cost: Cost) -> str:
    told: dict[str, Any] = json.loads(cost.output)
    kernel = f", {told['kernel']} with both stamps the kernel's" if "kernel" in told else ""
    return (
        f"{told['answered']} of {told['sent']} answered, median RTT {told['median_us']:.1f} us"
        f"{kernel}"
    )


def main() -> None:
    """Run the rounds and print what they cost."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--targets", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--alone", action="store_true", help="one tool after the other")
    options = parser.parse_args()
    need_lab()
    print_machine("fping", "icmplib")
    print(
        f"{options.targets} loopback targets, 1 packet/s each, {options.seconds:.0f} s,"
        f" {options.rounds} rounds (medians),"
        f" {'one tool after the other' if options.alone else 'all tools in the same seconds'}"
    )
    rounds = []
    with compiled_apart(), tempfile.TemporaryDirectory(prefix="pantau-bench-") as folder:
        listing = Path(folder, "targets")
        listing.write_text("\n".join(addresses(options.targets)) + "\n")
        warm(listing)
        for _ in range(options.rounds):
            rounds.append(one_round(options, listing))
            time.sleep(0.5)
    show(rounds)
    goals(rounds)
    for name in (OURS, "icmplib multiping"):
        print(f"{name}: {answers(rounds[-1][name])}")


if __name__ == "__main__":
    main()
