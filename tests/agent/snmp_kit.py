"""What the SNMP tests share: the real snmpd, a device that lies, and a place for secrets."""

import json
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from agent.credentials import folders
from tests.agent.attempt_kit import Bench
from tests.agent.measure_kit import target
from wire.policy import Target

SNMPD = shutil.which("snmpd", path="/usr/sbin:/sbin:" + os.environ.get("PATH", ""))
needs_snmpd = pytest.mark.skipif(SNMPD is None, reason="needs the Debian package snmpd")
DEVICE = Path(__file__).with_name("snmp_device.py")
COMMUNITY, AUTH, PRIV = "kenari-kuning", "kenari-hijau", "kenari-biru"
"""Canaries: nothing that leaves the agent may contain them."""
USERS = {
    "sha": ("SHA", "sha", "AES", "aes128"),
    "sha256": ("SHA-256", "sha256", "AES", "aes128"),
    "sha512": ("SHA-512", "sha512", "AES", "aes128"),
}
"""Users that snmpd has, and how both sides call their protocols."""
IF, IFX = "1.3.6.1.2.1.2.2.1", "1.3.6.1.2.1.31.1.1.1"


def free_udp_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


class Snmpd:
    """A running snmpd whose interfaces are those of a table."""

    def __init__(self, folder: Path, port: int, address: str) -> None:
        self.port, self.address = port, address
        self.folder = folder
        self.file = folder / "table.json"
        self.process: subprocess.Popen[bytes] | None = None

    def show(self, rows: dict[str, tuple[str, Any]]) -> None:
        """The device has these objects from now on."""
        new = self.file.with_suffix(".new")
        new.write_text(json.dumps(rows))
        new.rename(self.file)

    def start(self, lines: Sequence[str]) -> None:
        assert SNMPD is not None
        (self.folder / "snmpd.conf").write_text("\n".join(lines) + "\n")
        self.process = subprocess.Popen(
            [SNMPD, "-f", "-C", "-c", str(self.folder / "snmpd.conf"), "-Lf",
             str(self.folder / "snmpd.log"), "-I", "-smux,ifTable,ifXTable"],
            env={**os.environ, "SNMP_PERSISTENT_DIR": str(self.folder / "kept"), "MIBS": ""},
        )  # fmt: skip
        self._wait()

    def stop(self) -> None:
        if self.process is not None:
            self.process.terminate()
            self.process.wait(5)
            self.process = None

    def _wait(self) -> None:
        """Until it answers: a v2c GET of sysUpTime with a community that is refused is silent, so
        ask with the right one."""
        name = COMMUNITY.encode()
        body = bytes.fromhex("a01c02040000000102010002010030 0e300c06082b060102010103000500")
        inner = b"\x02\x01\x01\x04" + bytes([len(name)]) + name + body
        packet = b"\x30" + bytes([len(inner)]) + inner
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.settimeout(0.1)
            sock.connect((self.address, self.port))
            for _ in range(100):
                try:
                    sock.send(packet)
                    sock.recv(1000)
                    return
                except OSError:
                    time.sleep(0.05)
        raise RuntimeError((self.folder / "snmpd.log").read_text())


def rows(
    index: int = 2, name: str = "wan0", bits: int = 64, **more: int
) -> dict[str, tuple[str, Any]]:
    """One interface of a device, its counters telling themselves apart."""
    told: dict[str, tuple[str, Any]] = {
        f"{IF}.2.{index}": ("string", f"Port {name}"),
        f"{IF}.5.{index}": ("gauge", 100_000_000),
        f"{IF}.8.{index}": ("integer", 1),
        f"{IF}.9.{index}": ("timeticks", 700),
        f"{IF}.10.{index}": ("counter", 32_010),
        f"{IF}.11.{index}": ("counter", 32_011),
        f"{IF}.12.{index}": ("counter", 5),
        f"{IF}.13.{index}": ("counter", 13),
        f"{IF}.14.{index}": ("counter", 14),
        f"{IF}.16.{index}": ("counter", 32_016),
        f"{IF}.17.{index}": ("counter", 32_017),
        f"{IF}.18.{index}": ("counter", 6),
        f"{IF}.19.{index}": ("counter", 19),
        f"{IF}.20.{index}": ("counter", 20),
    }
    if bits == 64:
        told |= {
            f"{IFX}.1.{index}": ("string", name),
            f"{IFX}.6.{index}": ("counter64", 2**40 + 6),
            f"{IFX}.7.{index}": ("counter64", 2**33 + 7),
            f"{IFX}.8.{index}": ("counter64", 80),
            f"{IFX}.9.{index}": ("counter64", 900),
            f"{IFX}.10.{index}": ("counter64", 2**41 + 10),
            f"{IFX}.11.{index}": ("counter64", 2**34 + 11),
            f"{IFX}.12.{index}": ("counter64", 120),
            f"{IFX}.13.{index}": ("counter64", 1300),
            f"{IFX}.15.{index}": ("gauge", 1000),
            f"{IFX}.19.{index}": ("timeticks", 55),
        }
    return told


@contextmanager
def snmpd(folder: Path, address: str = "127.0.0.1") -> Iterator[Snmpd]:
    """snmpd on a port of this machine, asked by v2c and by v3 users."""
    one = Snmpd(folder, free_udp_port(), address)
    one.show({})
    program = f"{sys.executable} {DEVICE} {one.file}"
    created = [
        f'createUser {user} {auth} "{AUTH}-{user}" {priv} "{PRIV}-{user}"'
        for user, (auth, _, priv, _) in USERS.items()
    ]
    one.start(
        [
            f"agentaddress udp:{address}:{one.port}",
            f"rocommunity {COMMUNITY}",
            *created,
            *(f"rouser {user} authpriv" for user in USERS),
            f"pass_persist .{IF} {program}",
            f"pass_persist .{IFX} {program}",
            f"pass_persist .1.3.6.1.4.1.53864 {program}",
            "override .1.3.6.1.2.1.33.1.2.1.0 integer 2",
            "override .1.3.6.1.2.1.33.1.2.4.0 integer 87",
            "override .1.3.6.1.2.1.33.1.3.3.1.3.1 integer 231",
            "override .1.3.6.1.2.1.33.1.4.1.0 integer 3",
        ]
    )
    try:
        yield one
    finally:
        one.stop()


def hide(lab: Bench, folder: Path) -> None:
    """Give this site the secrets of the users above, and wrong ones."""
    files = {
        "v2c": f"version: v2c\ncommunity: {COMMUNITY}\n",
        "wrong": f"version: v2c\ncommunity: {COMMUNITY}-x\n",
        **{user: user_file(user, AUTH, PRIV) for user in USERS},
        "wrongauth": user_file("sha", AUTH + "-x", PRIV),
        "wrongpriv": user_file("sha", AUTH, PRIV + "-x"),
        "nobody": user_file("sha", AUTH, PRIV).replace("user: sha", "user: nobody"),
        "wrongkind": user_file("sha", AUTH, PRIV).replace("auth: sha", "auth: sha256"),
    }
    place = folder / "credentials"
    place.mkdir()
    for name, text in files.items():
        (place / f"{name}.yaml").touch(0o600)
        (place / f"{name}.yaml").write_text(text)
    lab.site = replace(lab.site, credentials=folders(place))


def user_file(user: str, auth: str, priv: str) -> str:
    _, auth_name, _, priv_name = USERS[user]
    return (
        f"version: v3\nuser: {user}\nauth: {auth_name}\npriv: {priv_name}\n"
        f"auth_passphrase: {auth}-{user}\npriv_passphrase: {priv}-{user}\n"
    )


def device(port: int, **changes: Any) -> Target:
    """A target that is that device's interface wan0."""
    settings = {"port": port, "credentials": "v2c", "device_interface": "wan0", "timeout_s": 8.0}
    return target(**{"name": "cpe", "probe": "snmp", **settings, **changes})


class Liar(threading.Thread):
    """Something on a UDP port that answers every datagram as it likes."""

    def __init__(self, lie: Callable[[bytes], Sequence[bytes]]) -> None:
        super().__init__(daemon=True)
        self._lie = lie
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self._socket.settimeout(0.05)
        self._stopped = threading.Event()
        self.port: int = self._socket.getsockname()[1]
        self.heard: list[bytes] = []

    def __enter__(self) -> "Liar":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self.join()
        self._socket.close()

    def run(self) -> None:
        while not self._stopped.is_set():
            try:
                data, source = self._socket.recvfrom(65_535)
            except OSError:
                continue
            self.heard.append(data)
            for one in self._lie(data):
                try:
                    self._socket.sendto(one, source)
                except OSError:  # who asked is gone
                    break
