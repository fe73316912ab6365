"""Both programs as a service manager starts them: it hears when they work, that they live, and
their end."""

import signal
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


class Manager:
    """The end of NOTIFY_SOCKET that is the manager's."""

    def __init__(self, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(file))
        self._socket.settimeout(30)
        monkeypatch.setenv("NOTIFY_SOCKET", str(file))
        monkeypatch.setenv("WATCHDOG_USEC", "900000")

    def until(self, wanted: str) -> str:
        """The message that says so; others may come before."""
        while True:
            told = self._socket.recv(4096).decode()
            if wanted in told.splitlines():
                return told

    def close(self) -> None:
        self._socket.close()


def test_the_service_manager_hears_of_begin_life_and_end(
    make_system: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub = Manager(tmp_path / "hub.notify", monkeypatch)
    system = make_system()
    system.start_collector()
    assert f"1 nodes, 1 links; HTTP port {system.port}" in hub.until("READY=1")
    hub.until("WATCHDOG=1")

    node = Manager(tmp_path / "node.notify", monkeypatch)
    system.join()
    system.start_agent()
    assert f"Node n1: 1 targets, hub http://127.0.0.1:{system.port}" in node.until("READY=1")
    node.until("WATCHDOG=1")
    assert system.stop_agent() == 0, system.log("agent")
    node.until("STOPPING=1")

    assert system.stop_collector() == 0, system.log("collector")
    hub.until("STOPPING=1")
    node.close()
    hub.close()


def test_a_program_that_hangs_is_silent_to_its_manager(
    make_system: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub = Manager(tmp_path / "hub.notify", monkeypatch)
    system = make_system()
    system.start_collector()
    hub.until("WATCHDOG=1")
    system.collector.send_signal(signal.SIGSTOP)
    hub._socket.settimeout(2)
    with pytest.raises(TimeoutError):
        while True:
            hub.until("WATCHDOG=1")
    system.collector.send_signal(signal.SIGCONT)
    hub._socket.settimeout(30)
    hub.until("WATCHDOG=1")
    hub.close()
