"""What an agent costs a small box: five targets at 1 packet a second, uplink on, default rhythm.

Beside it, in the same seconds, fping looping over five targets at the same rate (it keeps
nothing, signs nothing and reports nothing: it is the floor, not an equal). CPU is user + system
time of the process itself, memory its resident set, written what it made the kernel write to the
card (whole pages; without what the file system adds).
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from collector.demo.scene import Place, Stage
from runtime.lab.link import Knobs
from runtime.lab.namespaces import Namespace

TICKS = os.sysconf("SC_CLK_TCK")


def cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def written_bytes(pid: int) -> int:
    for line in Path(f"/proc/{pid}/io").read_text().splitlines():
        if line.startswith("write_bytes"):
            return int(line.split()[1])
    raise ValueError("write_bytes")


def memory_mib(pid: int, key: str) -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(key):
            return int(line.split()[1]) / 1024
    raise ValueError(key)


def five_targets(stage: Stage, place: Place, rhythm: dict[str, float]) -> None:
    """This rhythm, else the default's, and four ICMP targets beside the hub's STAMP."""
    import yaml

    links = yaml.safe_load((stage.folder / "links.yaml").read_text())
    links["links"][0]["targets"] = [
        {"name": f"t{k}", "probe": "icmp", "role": "anchor", "address": f"127.0.0.{k + 1}"}
        for k in range(4)
    ]
    (stage.folder / "links.yaml").write_text(yaml.safe_dump(links))
    settings = {"state_dir": place.node, "rhythm": rhythm}
    (stage.folder / f"{place.node}.yaml").write_text(yaml.safe_dump(settings))


def main() -> None:
    """Run both and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=120)
    parser.add_argument("--commit-s", type=float, help="rhythm.commit_s; default the agent's own")
    options = parser.parse_args()
    seconds = options.seconds
    rhythm = {} if options.commit_s is None else {"commit_s": options.commit_s}
    place = Place(
        node="bench",
        name="Bench",
        kind="opd",
        district="-",
        provider="-",
        medium="loopback",
        latitude=0.0,
        longitude=0.0,
        both=Knobs(),
        up=Knobs(),
    )
    folder = Path(tempfile.mkdtemp(prefix="pantau-bench-"))
    os.chdir(folder)
    stage = Stage(folder, "127.0.0.1", "127.0.0.1")
    fping = None
    try:
        stage.write((place,))
        five_targets(stage, place, rhythm)
        stage.start_collector()
        stage.join(place, Namespace(None, "this machine"))
        agent = stage.agents[0].pid
        if shutil.which("fping"):
            fping = subprocess.Popen(
                ["fping", "-l", "-q", "-p", "1000", *(f"127.0.0.{k + 1}" for k in range(5))],
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
        time.sleep(20)
        began, wrote = time.monotonic(), written_bytes(agent)
        before = cpu_s(agent), cpu_s(fping.pid) if fping else 0.0
        time.sleep(seconds)
        took = time.monotonic() - began
        after = cpu_s(agent), cpu_s(fping.pid) if fping else 0.0
        rows = [("pantau-agent", (after[0] - before[0]) / took, agent)]
        if fping:
            rows.append(("fping -l", (after[1] - before[1]) / took, fping.pid))
        wrote = written_bytes(agent) - wrote
        print(f"five targets, 1 packet/s each, {took:.0f} s after 20 s of settling")
        print(f"{'':14}{'CPU, % of a core':>18}{'RSS, MiB':>12}{'peak, MiB':>12}")
        for name, share, pid in rows:
            print(
                f"{name:14}{share * 100:18.2f}{memory_mib(pid, 'VmRSS'):12.1f}"
                f"{memory_mib(pid, 'VmHWM'):12.1f}"
            )
        print(f"pantau-agent wrote {wrote / took * 3600 / 2**20:.1f} MiB an hour")
        print("goals: CPU < 1.50 %, RSS <= 45.0 MiB")
    finally:
        if fping:
            fping.terminate()
            fping.wait()
        stage.stop()
        os.chdir("/")
        shutil.rmtree(folder)


if __name__ == "__main__":
    sys.exit(main())
