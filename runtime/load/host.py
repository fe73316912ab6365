"""What this machine is and how busy: processors, the interface on the way, its speed."""

import fcntl
import socket
import struct
from pathlib import Path
from typing import NamedTuple

_PROC_STAT = Path("/proc/stat")
_NET = Path("/sys/class/net")
_IF_INET6 = Path("/proc/net/if_inet6")
_SIOCGIFADDR = 0x8915


class Nic(NamedTuple):
    """A network interface; None is what it does not tell."""

    name: str
    speed_mbps: int | None
    full_duplex: bool | None


class Busy(NamedTuple):
    """Processor time since boot, in ticks, and octets of an interface, each way."""

    busy: int
    total: int
    received: int
    sent: int


def interface_to(family: int, address: str) -> str:
    """Name of the interface through which `address` is reached; "" where none is found."""
    with socket.socket(family, socket.SOCK_DGRAM) as sock:
        try:
            sock.connect((address, 9))
        except OSError:
            return ""
        own = str(sock.getsockname()[0])
        for _, name in socket.if_nameindex():
            if own in (_address4(sock, name) if family == socket.AF_INET else _addresses6(name)):
                return name
    return ""


def _address4(sock: socket.socket, name: str) -> tuple[str, ...]:
    try:
        raw = fcntl.ioctl(sock, _SIOCGIFADDR, struct.pack("256s", name.encode()))
    except OSError:
        return ()
    return (socket.inet_ntoa(raw[20:24]),)


def _addresses6(name: str) -> tuple[str, ...]:
    try:
        rows = [line.split() for line in _IF_INET6.read_text().splitlines()]
    except OSError:
        return ()
    found = (bytes.fromhex(row[0]) for row in rows if row[-1] == name)
    return tuple(socket.inet_ntop(socket.AF_INET6, raw) for raw in found)


def nic(name: str) -> Nic:
    """Speed and duplex from sysfs; virtual and wireless interfaces may tell neither."""
    speed = _read(name, "speed")
    duplex = _read(name, "duplex")
    fast = int(speed) if speed.isdigit() and int(speed) else None
    return Nic(name, fast, duplex == "full" if duplex in ("full", "half") else None)


def busy(name: str) -> Busy:
    """Counters to be compared with later ones."""
    ticks = [int(word) for word in _PROC_STAT.read_text().split("\n", 1)[0].split()[1:9]]
    # user nice system idle iowait irq softirq steal: what was stolen was not to be had either.
    idle, total = ticks[3] + ticks[4], sum(ticks)
    received, sent = _read(name, "statistics/rx_bytes"), _read(name, "statistics/tx_bytes")
    return Busy(
        total - idle,
        total,
        int(received) if received.isdigit() else 0,
        int(sent) if sent.isdigit() else 0,
    )


def cpu_ratio(earlier: Busy, later: Busy) -> float | None:
    """Share of all processors that was busy between two readings."""
    total = later.total - earlier.total
    return min(1.0, max(0.0, (later.busy - earlier.busy) / total)) if total > 0 else None


def _read(name: str, file: str) -> str:
    if not name or "/" in name:
        return ""
    try:
        return (_NET / name / file).read_text().strip()
    except OSError:
        return ""
