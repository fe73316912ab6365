"""What the whole agent costs as the prober beside the hub: 1,000 CPEs at 1 packet a second.

    python bench/prober.py [--targets 1000] [--seconds 120]

The real programs: enrolment, policy from the collector, spool, signed batches, uplink, default
rhythm. The CPEs are loopback addresses. Beside them, in the same seconds and in a namespace of its
own, fping -l over as many addresses at the same rate: it keeps nothing, signs nothing and reports
nothing. CPU is user + system time of the process, memory its resident set, both after 30 s of
settling. At the end every slot of every CPE is counted in the ledger.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import yaml
from agent_cost import cpu_s, memory_mib
from peers.figures import table
from peers.machine import need_lab, print_machine
from scale import addresses

from collector.demo.proof import prove
from collector.demo.scene import Place, Stage
from runtime.lab.build import Lab
from runtime.lab.link import Knobs
from runtime.lab.namespaces import Namespace

SETTLING_S = 30.0
PROBER = Place(
    node="noc",
    name="NOC",
    kind="hub",
    district="-",
    provider="-",
    medium="-",
    latitude=-6.9,
    longitude=106.9,
    both=Knobs(),
    up=Knobs(),
)


def describe(stage: Stage, targets: int) -> None:
    """An inventory of so many links, each with a CPE."""
    nodes = [{"id": "noc", "name": "NOC", "kind": "hub", "district": "-"}]
    links = []
    for k, address in enumerate(addresses(targets)):
        nodes.append({"id": f"n{k}", "name": "-", "kind": "desa", "district": "-"})
        link = {"id": f"l{k}", "node": f"n{k}", "provider": "-", "medium": "-", "pop": "-"}
        links.append({**link, "cpe_address": address})
    stage.write((PROBER,))
    for name, data in (
        ("nodes.yaml", {"nodes": nodes}),
        ("links.yaml", {"links": links}),
        ("contracts.yaml", {"contracts": []}),
        ("noc.yaml", {"state_dir": "noc"}),
    ):
        (stage.folder / name).write_text(yaml.safe_dump(data))


def fping(space: Namespace, targets: int) -> subprocess.Popen[bytes] | None:
    """fping over as many, for ever."""
    if not shutil.which("fping"):
        print("fping is not installed: nothing to compare with")
        return None
    words = ["fping", "-l", "-q", "-p", "1000", "-i", str(500 / targets), *addresses(targets)]
    return space.popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def measure(pids: dict[str, int], targets: int, seconds: float) -> None:
    """Print what each cost in these seconds."""
    began, before = time.monotonic(), {name: cpu_s(pid) for name, pid in pids.items()}
    time.sleep(seconds)
    took = time.monotonic() - began
    spent = {name: cpu_s(pid) - before[name] for name, pid in pids.items()}
    rows = [
        [
            name,
            f"{100 * spent[name] / took:.2f}",
            f"{1e6 * spent[name] / took / targets:.1f}",
            f"{memory_mib(pid, 'VmRSS'):.1f}",
            f"{memory_mib(pid, 'VmHWM'):.1f}",
            f"{spent[name] / spent['fping -l']:.2f}" if "fping -l" in spent else "-",
        ]
        for name, pid in pids.items()
    ]
    print(f"{targets} CPEs, 1 packet/s each, {took:.0f} s after {SETTLING_S:.0f} s of settling")
    head = ["program", "CPU, % of a core", "us CPU/packet", "RSS, MiB", "peak, MiB", "x fping"]
    table(head, rows)


def main() -> None:
    """Run both and print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--targets", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=120)
    options = parser.parse_args()
    need_lab()
    print_machine("fping")
    folder = Path(tempfile.mkdtemp(prefix="pantau-bench-"))
    os.chdir(folder)
    stage = Stage(folder, "127.0.0.1", "127.0.0.1")
    with Lab() as lab:
        peer = None
        try:
            describe(stage, options.targets)
            stage.start_collector()
            stage.join(PROBER, Namespace(None, "this machine"))
            peer = fping(lab.space("fping"), options.targets)
            time.sleep(SETTLING_S)
            pids = {"pantau-agent": stage.agents[0].pid}
            if peer is not None:
                pids["fping -l"] = peer.pid
            measure(pids, options.targets, options.seconds)
            stage.stop()
            proof = prove(folder / "collector" / "ledger.db")
            print(
                f"in the ledger: {proof.observations} observations in {proof.batches} batches,"
                f" {proof.repeats} twice, {proof.holes} unexplained"
            )
        finally:
            if peer is not None:
                peer.terminate()
                peer.wait()
            stage.stop()
            os.chdir("/")
            shutil.rmtree(folder)


if __name__ == "__main__":
    sys.exit(main())
