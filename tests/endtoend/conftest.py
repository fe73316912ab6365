"""Real collector and agents as processes, their settings, and a recount of what they made."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from collector import enrol, identity
from collector.demo.proof import Proof, prove
from collector.ledger.sqlite import SqliteLedger
from runtime.clock import SystemClock

FAST = {
    "rhythm": {"commit_s": 0.3, "heartbeat_s": 0.5, "seal_s": 0.6, "status_s": 0.5},
    "uplink": {
        "timeout_s": 2,
        "backoff_base_s": 0.1,
        "backoff_cap_s": 0.5,
        "rejoin_spread_s": 0,
        "backlog_bytes_per_s": 1_000_000,
    },
}
LINK = "l1"
NODE = "n1"


def free_port(kind: socket.SocketKind = socket.SOCK_STREAM) -> int:
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(what: Callable[[], bool], seconds: float, message: Callable[[], str]) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if what():
            return
        time.sleep(0.1)
    raise AssertionError(f"not within {seconds} s: {message()}")


class System:
    """One collector and one node's agent."""

    def __init__(
        self,
        folder: Path,
        address: str = "127.0.0.1",
        *,
        interval_s: float = 0.1,
        timeout_s: float = 0.5,
        targets: tuple[dict[str, Any], ...] = (),
        limits: dict[str, Any] | None = None,
    ) -> None:
        self.folder, self.address = folder, address
        self.node = NODE
        """Whose agent it is."""
        self.port = free_port()
        self.stamp_port = free_port(socket.SOCK_DGRAM)
        self.url = f"http://127.0.0.1:{self.port}"
        self.collector: subprocess.Popen[bytes] | None = None
        self.agent: subprocess.Popen[bytes] | None = None
        self._write(
            "collector.yaml",
            {
                "data_dir": "hub",
                "http": {"host": "0.0.0.0", "port": self.port},
                "stamp": {"host": "0.0.0.0", "port": self.stamp_port, "address": address},
                "limits": {"requests_per_minute": 6000, "burst": 6000, **(limits or {})},
            },
        )
        self._write(
            "nodes.yaml",
            {"nodes": [{"id": NODE, "name": "Desa Satu", "kind": "desa", "district": "Kec. A"}]},
        )
        self._write(
            "links.yaml",
            {
                "links": [
                    {
                        "id": LINK,
                        "node": NODE,
                        "provider": "Penyedia",
                        "medium": "fibre",
                        "pop": "POP-1",
                        "interval_s": interval_s,
                        "timeout_s": timeout_s,
                        "targets": list(targets),
                    }
                ]
            },
        )
        self.agent_settings: dict[str, Any] = {**FAST, "state_dir": str(folder / "node")}

    def inventory(self, nodes: list[dict[str, Any]], links: list[dict[str, Any]]) -> None:
        """Nodes and links other than the usual ones; the first node's agent is the one to run."""
        self.node = nodes[0]["id"]
        self._write("nodes.yaml", {"nodes": nodes})
        self._write("links.yaml", {"links": links})

    def _write(self, name: str, data: dict[str, Any]) -> None:
        (self.folder / name).write_text(yaml.safe_dump(data))

    def start_collector(self) -> None:
        with (self.folder / "collector.log").open("ab") as log:
            self.collector = subprocess.Popen(
                [sys.executable, "-m", "collector", "serve", "--config.file", "collector.yaml"],
                cwd=self.folder,
                stderr=log,
                stdout=log,
            )
        wait_for(self._ready, 20, lambda: f"collector ready:\n{self.log('collector')}")

    def _ready(self) -> bool:
        with contextlib.suppress(OSError):
            urllib.request.urlopen(f"{self.url}/-/ready", timeout=1).close()
            return True
        return False

    def token(self, ttl_ns: int = enrol.DAY_NS) -> str:
        data = self.folder / "hub"
        ledger = SqliteLedger(data / "ledger.db")
        try:
            return str(
                enrol.invite(ledger, identity.load_or_make(data), SystemClock(), self.node, ttl_ns)
            )
        finally:
            ledger.close()

    def join(self, inside: Callable[[list[str]], list[str]] = list, url: str | None = None) -> None:
        self._write("agent.yaml", self.agent_settings)
        argv = inside(
            [
                sys.executable,
                "-m",
                "agent",
                "enrol",
                url or f"http://{self.address}:{self.port}",
                "--token",
                "-",
                "--config.file",
                "agent.yaml",
            ]
        )
        subprocess.run(
            argv,
            cwd=self.folder,
            input=self.token().encode(),
            check=True,
            capture_output=True,
            timeout=30,
        )

    def start_agent(self, inside: Callable[[list[str]], list[str]] = list) -> None:
        argv = inside(
            [
                sys.executable,
                "-m",
                "agent",
                "run",
                "--config.file",
                "agent.yaml",
            ]
        )
        with (self.folder / "agent.log").open("ab") as log:
            self.agent = subprocess.Popen(argv, cwd=self.folder, stderr=log, stdout=log)

    def log(self, name: str) -> str:
        file = self.folder / f"{name}.log"
        return file.read_text()[-4000:] if file.exists() else ""

    def metrics(self) -> dict[str, float]:
        with urllib.request.urlopen(f"{self.url}/metrics", timeout=5) as page:
            lines = page.read().decode().splitlines()
        split = (line.rsplit(" ", 1) for line in lines if line and not line.startswith("#"))
        return {name: float(value) for name, value in split}

    def metric(self, name: str, **labels: str) -> float:
        for key, value in self.metrics().items():
            if key.partition("{")[0] == name and all(
                f'{k}="{v}"' in key for k, v in labels.items()
            ):
                return value
        raise KeyError(name)

    def stop_agent(self) -> int:
        assert self.agent is not None
        self.agent.terminate()
        return self.agent.wait(15)

    def stop_collector(self) -> int:
        assert self.collector is not None
        self.collector.terminate()
        return self.collector.wait(10)

    def drained(self) -> bool:
        """Nothing waits in the spool of the agent that has just been stopped."""
        from agent.spool import Spool, SpoolSettings

        spool = Spool.open(SpoolSettings(path=self.folder / "node" / "spool.db"), SystemClock())
        try:
            return spool.status().batches_waiting == 0
        finally:
            spool.close()

    def drain(self) -> None:
        """Let the agent deliver all that is sealed, then stop both."""
        wait_for(
            lambda: (
                self.metric("pantau_agent_spool_batches", node=NODE) <= 1
                and self.metric("pantau_link_evidence_missing_batches", link=LINK) == 0
            ),
            40,
            lambda: f"spool drained\n{self.log('agent')}\n{self.log('collector')}",
        )
        self.stop_agent()

    def empty(self, inside: Callable[[list[str]], list[str]] = list) -> None:
        """After a stop, which waits some seconds for the hub and no longer: start the agent again
        until nothing is left in its spool."""
        for _ in range(4):
            if self.drained():
                return
            self.start_agent(inside)
            time.sleep(4)
            assert self.stop_agent() == 0, self.log("agent")
        raise AssertionError(f"batches are left in the spool\n{self.log('agent')}")

    def prove(self) -> Proof:
        return prove(self.folder / "hub" / "ledger.db")

    def close(self) -> None:
        for process in (self.agent, self.collector):
            if process is not None and process.poll() is None:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(process.pid, signal.SIGKILL)
                process.wait()


@pytest.fixture
def make_system(tmp_path: Path) -> Iterator[Callable[..., System]]:
    made: list[System] = []

    def make(**options: Any) -> System:
        folder = tmp_path / f"system{len(made)}"
        folder.mkdir()
        made.append(System(folder, **options))
        return made[-1]

    yield make
    for system in made:
        system.close()


@pytest.fixture
def system(make_system: Callable[..., System]) -> System:
    """On loopback, both running."""
    one = make_system()
    one.start_collector()
    one.join()
    one.start_agent()
    return one
