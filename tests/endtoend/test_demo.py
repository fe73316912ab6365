"""What a newcomer runs first keeps its promises and leaves nothing behind."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from runtime.lab.namespaces import existing

COMMAND = [sys.executable, "-m", "collector", "demo"]


def leftovers() -> set[str]:
    devices = {one.name for one in Path("/sys/class/net").iterdir()}
    folders = {str(one) for one in Path("/tmp").glob("pantau-demo-*")}
    return devices | folders


@pytest.mark.lab
@pytest.mark.timeout(150)
def test_the_demo_keeps_its_promises_unattended_and_leaves_nothing() -> None:
    before, spaces = leftovers(), set(existing())
    done = subprocess.run(
        [*COMMAND, "--for", "50s"], capture_output=True, text=True, timeout=140, check=False
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-2000:]
    assert "All as promised." in done.stdout
    assert leftovers() - before == set()
    assert set(existing()) - spaces == set()


@pytest.mark.lab
def test_the_demo_stops_on_ctrl_c_and_leaves_nothing() -> None:
    before, spaces = leftovers(), set(existing())
    demo = subprocess.Popen(COMMAND, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    time.sleep(8)
    demo.send_signal(signal.SIGINT)
    output, _ = demo.communicate(timeout=30)
    assert demo.returncode == 130, output
    assert "Stopped in the middle of the story." in output
    assert "Metrics:" in output
    assert leftovers() - before == set()
    assert set(existing()) - spaces == set()


@pytest.mark.parametrize("wrong", ["soon", "10s", "-5s"])
def test_a_wrong_duration_is_told_with_the_expected_form(wrong: str) -> None:
    done = subprocess.run(
        [*COMMAND, "--for", wrong], capture_output=True, text=True, timeout=30, check=False
    )
    assert done.returncode == 2
    assert "--for" in done.stderr
    assert "expected" in done.stderr or "at least" in done.stderr
