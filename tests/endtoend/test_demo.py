"""What a newcomer runs first keeps its promises and leaves nothing behind."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

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

    def left(self) -> set[str]:
        """Namespaces, devices and files that outlived it."""
        spaces = {name for name in existing() if name.startswith(self._own)}
        devices = {one.name for one in Path("/sys/class/net").iterdir()}
        files = {one.name for one in self._folder.iterdir()}
        return spaces | files | {name for name in devices if name.startswith(self._devices)}


@pytest.mark.lab
@pytest.mark.timeout(150)
def test_the_demo_keeps_its_promises_unattended_and_leaves_nothing(tmp_path: Path) -> None:
    demo = Demo(tmp_path, "--for", "50s")
    assert demo.left()
    assert demo.end(140) == 0, demo.said()[-5000:]
    assert "All as promised." in demo.said()
    assert demo.left() == set()


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
