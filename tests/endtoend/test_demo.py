"""What a newcomer runs first keeps its promises and leaves nothing behind."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from runtime.lab.namespaces import existing

COMMAND = [sys.executable, "-m", "collector", "demo"]


class Demo:
    """A running demo and what is its own on this machine, where other labs may come and go."""

    def __init__(self, folder: Path, *argv: str) -> None:
        self._folder = folder / "tmp"
        self._folder.mkdir()
        self._said = folder / "said"
        with self._said.open("wb") as said:
            self.process = subprocess.Popen(
                [*COMMAND, *argv],
                stdout=said,
                stderr=subprocess.STDOUT,
                env={**os.environ, "TMPDIR": str(self._folder)},
            )
        for _ in range(600):
            if "Stop:" in self.said() or self.process.poll() is not None:
                break
            time.sleep(0.1)
        self._own = f"pt{self.process.pid:x}-"
        spaces = [name for name in existing() if name.startswith(self._own)]
        assert spaces
        self._devices = tuple(f"pt{name.split('-')[2]}." for name in spaces)

    def said(self) -> str:
        """What it printed so far."""
        return self._said.read_text()

    def end(self, within_s: float) -> int:
        """Wait for its end; the exit status."""
        return self.process.wait(within_s)

    def address(self, name: str) -> str:
        """What it said under this name before the story began."""
        found = re.search(rf"^{name}: +(\S+?)/?$", self.said(), re.MULTILINE)
        assert found is not None, self.said()
        return found[1]

    def left(self) -> set[str]:
        """Namespaces, devices and files that outlived it."""
        spaces = {name for name in existing() if name.startswith(self._own)}
        devices = {one.name for one in Path("/sys/class/net").iterdir()}
        files = {one.name for one in self._folder.iterdir()}
        return spaces | files | {name for name in devices if name.startswith(self._devices)}


def until(url: str, good: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """The data of Prometheus' answer, once it is good."""
    end = time.monotonic() + 30
    while True:
        with urllib.request.urlopen(url, timeout=5) as answer:
            told: dict[str, Any] = json.load(answer)["data"]
        if good(told):
            return told
        assert time.monotonic() < end, told
        time.sleep(0.3)


@pytest.mark.lab
@pytest.mark.timeout(150)
def test_the_demo_keeps_its_promises_unattended_and_leaves_nothing(tmp_path: Path) -> None:
    demo = Demo(tmp_path, "--for", "50s")
    assert demo.left()
    beside = shutil.which("prometheus") and shutil.which("prometheus-alertmanager")
    if beside:
        prometheus, alertmanager = demo.address("Prometheus"), demo.address("Alertmanager")
        told = until(
            f"{prometheus}/api/v1/query?query=up==1", lambda rows: len(rows["result"]) == 2
        )
        jobs = {row["metric"]["job"] for row in told["result"]}
        assert jobs == {"pantau-live", "pantau-evidence"}
        rules = until(f"{prometheus}/api/v1/rules", lambda rows: bool(rows["groups"]))
        assert "pantau-links" in {group["name"] for group in rules["groups"]}
        found = until(
            f"{prometheus}/api/v1/alertmanagers", lambda rows: bool(rows["activeAlertmanagers"])
        )
        assert alertmanager in found["activeAlertmanagers"][0]["url"]
    assert demo.end(140) == 0, demo.said()[-5000:]
    assert "All as promised." in demo.said()
    assert demo.left() == set()
    if beside:
        for url in (prometheus, alertmanager):
            with pytest.raises(OSError):
                urllib.request.urlopen(url, timeout=2)
    else:
        assert "No Prometheus and no Alertmanager beside it" in demo.said()


@pytest.mark.lab
def test_the_demo_stops_on_ctrl_c_and_leaves_nothing(tmp_path: Path) -> None:
    demo = Demo(tmp_path)
    demo.process.send_signal(signal.SIGINT)
    assert demo.end(60) == 130, demo.said()
    assert "Stopped in the middle of the story." in demo.said()
    assert "Metrics:" in demo.said()
    assert demo.left() == set()


@pytest.mark.parametrize("wrong", ["soon", "10s", "-5s"])
def test_a_wrong_duration_is_told_with_the_expected_form(wrong: str) -> None:
    done = subprocess.run(
        [*COMMAND, "--for", wrong], capture_output=True, text=True, timeout=30, check=False
    )
    assert done.returncode == 2
    assert "--for" in done.stderr
    assert "expected" in done.stderr or "at least" in done.stderr
