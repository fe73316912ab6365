"""Experiment G by whole programs: sites of two PoPs, one of which has sold the same capacity twice.

`python -m tests.endtoend.sharing [PAIRS [SECONDS]]` runs it and prints both tables, each with its
exact p-value; 20 pairs of 4 s take some seven minutes.
"""

import json
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from runtime.lab.link import BOTH, Knobs, Shape
from runtime.lab.topology import Site, Star, star
from tests.endtoend.conftest import System, free_port, wait_for

MBPS = 4
"""Promised to each site."""
SHARED, OWN = "POP-SHARED", "POP-OWN"
POPS = {"a": SHARED, "b": SHARED, "c": OWN, "d": OWN}
_QUICK_COLLECTOR = """
import sys
from collector import experiment
experiment.LEAST_REPEATS = int(sys.argv.pop(1))
from collector import app, slots
slots.TOGETHER_S, slots.SOONEST_S, app.SLOTS_S = 1.5, 0.3, 0.1
from collector.__main__ import main
main()
"""
"""The collector, which gives a group some seconds to come together, and not twelve: all of it is on
one machine."""
_QUICK_AGENT = """
import msgspec
from agent import runner, transfers
runner.TURN_S = 0.1
made = transfers.load_plan
transfers.load_plan = lambda *told: msgspec.structs.replace(made(*told), idle_s=0.1, selftest_s=0.3)
figure = transfers.achieved
transfers.achieved = lambda transfer: figure(transfer, 300_000_000)
from agent.__main__ import main
main()
"""
"""The agent, without a second of round trips before each load, and with a figure of all of it but
the first 0.3 s: of a second the usual 2 s would leave a bin of 100 ms."""


def link(name: str, pop: str) -> dict[str, Any]:
    """A site's line, tested by order only."""
    return {
        "id": f"{name}-link",
        "node": name,
        "pop": pop,
        "provider": "P",
        "medium": "fibre",
        "interval_s": 1.0,
        "throughput": {
            "zone": "WIB",
            "down_mbps": MBPS,
            "up_mbps": MBPS,
            "layer": "ip",
            "vlan": False,
            "tests": {"evening": 0, "office": 0, "night": 0, "long_s": 0},
        },
    }


class Province(System):
    """One collector and an agent for each site."""

    def __init__(self, folder: Path, net: Star, least: int) -> None:
        super().__init__(folder, address=net.hub_address)
        self.net, self._least = net, least
        self.agents: list[subprocess.Popen[bytes]] = []
        hub = yaml.safe_load((folder / "collector.yaml").read_text())
        throughput = {"capacity_mbps": 100, "port": free_port()}
        self._write("collector.yaml", hub | {"throughput": throughput})
        self.inventory(
            [{"id": one, "name": one, "kind": "opd", "district": "D"} for one in POPS],
            [link(one, pop) for one, pop in POPS.items()],
        )

    def start_collector(self) -> None:
        argv = [sys.executable, "-c", _QUICK_COLLECTOR, str(self._least), "serve"]
        with (self.folder / "collector.log").open("ab") as log:
            self.collector = subprocess.Popen(
                [*argv, "--config.file", "collector.yaml"], cwd=self.folder, stderr=log, stdout=log
            )
        wait_for(self._ready, 20, lambda: f"collector ready:\n{self.log('collector')}")

    def start_site(self, site: Site) -> None:
        """Enrol and start its agent."""
        self.node = site.name
        rhythm = {**self.agent_settings["rhythm"], "status_s": 0.2}
        self.agent_settings |= {"state_dir": str(self.folder / site.name), "rhythm": rhythm}
        self.join(site.node.argv)
        settings = (self.folder / "agent.yaml").rename(self.folder / f"{site.name}.yaml")
        argv = [sys.executable, "-c", _QUICK_AGENT, "run", "--config.file", settings.name]
        with (self.folder / "agent.log").open("ab") as log:
            self.agents.append(
                subprocess.Popen(site.node.argv(argv), cwd=self.folder, stderr=log, stdout=log)
            )

    def begin(self, pop: str, pairs: int, seconds: float) -> str:
        """Order the experiment; its id. The API, because pairs are fewer than the command takes."""
        token = next((self.folder / "hub").glob("operator.token")).read_text().strip()
        body = {"pop": pop, "repeats": pairs, "duration_s": seconds, "direction": "down"}
        request = urllib.request.Request(
            f"{self.url}/api/v1/experiments",
            json.dumps(body).encode(),
            {"Authorization": f"Bearer {token}", "Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=5) as page:
            return str(json.load(page)["experiment"])

    def told(self, experiment_id: str) -> dict[str, Any]:
        """How far it is, and what it shows."""
        with urllib.request.urlopen(
            f"{self.url}/api/v1/experiments/{experiment_id}", timeout=5
        ) as page:
            found: dict[str, Any] = json.load(page)
        return found

    def close(self) -> None:
        for one in self.agents:
            one.kill()
            one.wait()
        super().close()


def shape(net: Star) -> None:
    """Each site's line carries what was promised; two of them meet in one that carries it once."""
    net.lab.emulator.bottleneck("uplink", Shape(rate_bps=MBPS * 1e6, queue_bytes=20_000))
    for name, pop in POPS.items():
        line = {"bottleneck": "uplink"} if pop == SHARED else {"rate_bps": MBPS * 1e6}
        net.sites[name].link.set(BOTH, Knobs(delay_ms=5, **line))  # type: ignore[arg-type]


@contextmanager
def staged(folder: Path, least: int) -> Iterator[Province]:
    """All programs running; `least` is how few pairs the collector takes an order for."""
    with star(tuple(POPS), hub_in_root=True) as net:
        shape(net)
        province = Province(folder, net, least)
        try:
            province.start_collector()
            for site in net.sites.values():
                province.start_site(site)
            yield province
        finally:
            province.close()


def played(
    province: Province, pairs: Mapping[str, int], seconds: float
) -> dict[str, dict[str, Any]]:
    """Both experiments at the same time, by PoP, to their ends; `seconds` is a load's length."""
    begun = {pop: province.begin(pop, wanted, seconds) for pop, wanted in pairs.items()}
    wait_for(
        lambda: all(province.told(one)["state"] != "running" for one in begun.values()),
        60.0 * max(pairs.values()),
        lambda: f"{[province.told(one) for one in begun.values()]}\n{province.log('agent')}",
    )
    return {pop: province.told(one) for pop, one in begun.items()}


def main(argv: list[str]) -> int:
    """The exit status: 1 where an experiment did not end."""
    from collector import ordering

    pairs, seconds = int(argv[0]) if argv else 20, float(argv[1]) if len(argv) > 1 else 4.0
    with (
        tempfile.TemporaryDirectory(prefix="pantau-sharing-") as scratch,
        staged(Path(scratch), 1) as province,
    ):
        found = played(province, {SHARED: pairs, OWN: pairs}, seconds)
    for pop, told in found.items():
        sys.stdout.write(f"{pop}: {told['state']}, {told['pairs_spoiled']} pairs spoiled\n")
        ordering.show_pairs(told)
    return 0 if all(told["state"] == "done" for told in found.values()) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
