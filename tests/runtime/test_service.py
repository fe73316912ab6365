"""What the service manager hears, over a real socket of its kind."""

import asyncio
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from runtime.service import ServiceManager


class Listener:
    """The manager's end."""

    def __init__(self, address: str) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(address)
        self.socket.settimeout(5)

    def heard(self) -> list[str]:
        return self.socket.recv(4096).decode().splitlines()

    def nothing_more(self) -> bool:
        self.socket.setblocking(False)
        try:
            self.socket.recv(4096)
        except BlockingIOError:
            return True
        return False


@pytest.fixture
def listener(tmp_path: Path) -> Iterator[Listener]:
    one = Listener(str(tmp_path / "notify"))
    yield one
    one.socket.close()


def manager(listener: Listener, **environ: str) -> ServiceManager:
    return ServiceManager({"NOTIFY_SOCKET": listener.socket.getsockname(), **environ})


def test_ready_status_and_stopping_are_lines_of_one_datagram(listener: Listener) -> None:
    told = manager(listener)
    told.ready("two targets,\nhub https://hub.example")
    assert listener.heard() == ["READY=1", "STATUS=two targets, hub https://hub.example"]
    told.stopping()
    assert listener.heard()[0] == "STOPPING=1"
    assert listener.nothing_more()


def test_an_abstract_socket_is_found_by_its_at_sign() -> None:
    name = f"pantau-test-{os.getpid()}"
    one = Listener("\0" + name)
    try:
        ServiceManager({"NOTIFY_SOCKET": "@" + name}).ready("here")
        assert one.heard()[0] == "READY=1"
    finally:
        one.socket.close()


@pytest.mark.parametrize("address", ["", "vsock:2:1234", "relative"])
def test_nobody_is_told_where_nobody_that_we_know_listens(address: str) -> None:
    ServiceManager({"NOTIFY_SOCKET": address}).ready("unheard")


def test_a_manager_that_has_gone_stops_nothing_and_is_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    ServiceManager({"NOTIFY_SOCKET": str(tmp_path / "gone")}).ready("unheard")
    assert "does not listen" in caplog.text


async def test_life_is_told_while_what_must_not_hang_answers(listener: Listener) -> None:
    hangs = asyncio.Event()
    asked = 0

    async def alive() -> None:
        nonlocal asked
        asked += 1
        if asked > 2:
            hangs.set()
            await asyncio.Event().wait()

    beating = asyncio.create_task(
        manager(listener, WATCHDOG_USEC="30000", WATCHDOG_PID=str(os.getpid())).beat(alive)
    )
    await asyncio.wait_for(hangs.wait(), 20)
    assert listener.heard() == listener.heard() == ["WATCHDOG=1"]
    assert listener.nothing_more(), "what hangs is not alive"
    beating.cancel()


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {"WATCHDOG_USEC": "0"},
        {"WATCHDOG_USEC": "soon"},
        {"WATCHDOG_USEC": "1", "WATCHDOG_PID": "1"},
    ],
    ids=["unwatched", "zero", "no number", "another process"],
)
async def test_no_life_is_told_where_none_is_asked_for(
    listener: Listener, environ: dict[str, str]
) -> None:
    async def alive() -> None:
        raise AssertionError("asked for nothing")

    beating = asyncio.create_task(manager(listener, **environ).beat(alive))
    await asyncio.sleep(0.05)
    assert not beating.done() and listener.nothing_more()
    beating.cancel()
