"""Puts a lab together: namespaces, the devices between them, and the emulator in the middle.

An emulated link is two veth pairs. Their inner ends live in a namespace of the emulator's own, so
deleting that one namespace removes every device, those in the root namespace included. The outer
ends do no ARP and share one MAC address: frames need no neighbour entry, and a dead link stays
silent as a leased line does, instead of failing locally with "no route to host".
"""

import contextlib
import functools
import os
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from runtime.lab.compiler import compiler
from runtime.lab.emulator import Emulator, EmulatorSettings
from runtime.lab.link import Link
from runtime.lab.namespaces import Namespace, Run, command, missing_tool, sweep
from runtime.lab.truth import Packet, Truth, read_packets, read_truth

_MOST_MTU = 9216  # frames the emulator has room for


@dataclass(frozen=True, kw_only=True)
class LabSettings:
    """How a lab is built."""

    directory: Path | None = None
    """Where logs go; None is a temporary folder, removed at the end."""
    emulator: EmulatorSettings = field(default_factory=EmulatorSettings)
    mtu: int = 1500
    """Of emulated links."""


@dataclass(frozen=True, kw_only=True)
class End:
    """One end of a connection between two namespaces."""

    space: Namespace
    device: str
    """Name of the interface there; at most 15 characters."""
    addresses: tuple[str, ...] = ()
    """As `ip address add` takes them: "10.1.0.1/24", "198.18.0.1 peer 198.18.0.11"."""
    routes: tuple[str, ...] = ()
    """As `ip route add` takes them, the device being added: "default", "::/0", "10.1.0.0/24"."""


class Lab:
    """A set of namespaces and connections; leaving the context removes all of it."""

    def __init__(self, settings: LabSettings | None = None) -> None:
        self.settings = settings or LabSettings()
        if not 576 <= self.settings.mtu <= _MOST_MTU:
            raise ValueError(f"mtu: {self.settings.mtu} is not between 576 and {_MOST_MTU}")
        self.run = Run()
        self.spaces: dict[str, Namespace] = {}
        self.links: dict[str, Link] = {}
        self._stack = contextlib.ExitStack()
        self._middle: Namespace | None = None
        self._emulator: Emulator | None = None

    def __enter__(self) -> Self:
        sweep()
        if self.settings.directory is None:
            self.directory = self.run.log_directory()
            self._stack.callback(shutil.rmtree, self.directory, ignore_errors=True)
        else:
            self.directory = self.settings.directory
            self.directory.mkdir(parents=True, exist_ok=True)
        self._stack.callback(self.run.close)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.close()

    @property
    def root(self) -> Namespace:
        """The namespace of this process."""
        return self.run.root

    @property
    def emulator(self) -> Emulator:
        """Started when first asked for, with a namespace of its own."""
        if self._emulator is None:
            self._middle = self.run.create("middle")
            # The emulator's own ends must not speak: their chatter would be counted as traffic.
            self._middle.sysctl("net.ipv6.conf.all.disable_ipv6", "1")
            self._middle.sysctl("net.ipv6.conf.default.disable_ipv6", "1")
            self._emulator = Emulator(self._middle, self.directory, self.settings.emulator)
            self._stack.callback(self._emulator.close)
            self._middle.ip(
                "link add warm type veth peer name warm-far",
                "link set warm up",
                "link set warm-far up",
            )
            self._emulator.warm("warm")
        return self._emulator

    def space(self, label: str) -> Namespace:
        """A new namespace; ICMP sockets need no root there, as on a deployed node."""
        space = self.run.create(label)
        space.sysctl("net.ipv4.ping_group_range", "0 2147483647")
        self.spaces[label] = space
        return space

    def router(self, label: str) -> Namespace:
        """A new namespace that forwards."""
        space = self.space(label)
        space.sysctl("net.ipv4.ip_forward", "1")
        space.sysctl("net.ipv6.conf.all.forwarding", "1")
        return space

    def join(self, name: str, a: End, b: End) -> Link:
        """Connect two namespaces by an emulated link; `Direction.UP` is from `a` to `b`."""
        emulator, middle = self.emulator, self._middle
        if middle is None:
            raise RuntimeError("the emulator has no namespace")
        index = len(self.links)
        inner = [f"in{index}a", f"in{index}b"]
        outer = [f"out{index}a", f"out{index}b"]
        mac = f"02:{self.run.token[:2]}:{self.run.token[2:]}:00:{index >> 8:02x}:{index & 255:02x}"
        mtu = self.settings.mtu
        for near, far in zip(inner, outer, strict=True):
            middle.ip(
                f"link add {near} mtu {mtu} type veth peer name {far} mtu {mtu}",
                f"link set {far} address {mac} arp off",
                f"link set {near} up",
            )
            emulator.plain(far)
        link = emulator.link(name, *inner)
        self.links[name] = link
        for end, far in zip((a, b), outer, strict=True):
            _move(middle, far, end)
            if end.space.is_root:
                # It would go with the middle namespace, but only some moments later.
                self._stack.callback(_delete_device, end.device)
            end.space.ip(f"link set {end.device} addrgenmode none")
            _configure(end)
        return link

    def cable(self, a: End, b: End) -> None:
        """Connect two namespaces of this lab by a plain veth pair, as short as a cable."""
        if a.space.is_root:
            raise ValueError("the first end of a cable lies in a namespace of the lab")
        a.space.ip(f"link add {a.device} type veth peer name cable-far")
        _move(a.space, "cable-far", b)
        _configure(a)
        _configure(b)

    def truth(self) -> Truth:
        """The truth log so far."""
        self.emulator.sync()
        return read_truth(self.emulator.truth_path)

    def packets(self) -> list[Packet]:
        """The per-packet log so far (`emulator.log_packets()` turns it on)."""
        self.emulator.sync()
        return read_packets(self.emulator.packets_path)


@functools.cache
def available() -> str | None:
    """Why the lab cannot run here, or None when it can."""
    if (reason := missing_tool()) is not None:
        return reason
    if compiler() is None:
        return "the lab needs a C compiler: install gcc and libc6-dev (Debian)"
    return _refusal()


def _refusal() -> str | None:
    """Containers may give root and still refuse namespaces: try one."""
    run = Run()
    try:
        run.create("try").ip("link add try0 type veth peer name try1")
    except RuntimeError as error:
        return f"the lab cannot make namespaces and veth devices here: {error}"
    finally:
        run.close()
    return None


def _move(start: Namespace, device: str, end: End) -> None:
    """Moving and renaming in one step: the name is free there, perhaps not here."""
    target = end.space.name or str(os.getpid())
    start.ip(f"link set {device} netns {target} name {end.device}")


def _delete_device(device: str) -> None:
    command(["ip", "link", "delete", device], check=False)


def _configure(end: End) -> None:
    # Up first: the kernel forgets the route to an IPv6 peer when the device comes up later.
    end.space.ip(
        f"link set {end.device} up",
        *(f"address add {_address(address, end.device)}" for address in end.addresses),
        *(f"route add {route} dev {end.device}" for route in end.routes),
    )


def _address(address: str, device: str) -> str:
    """Without duplicate address detection an IPv6 address works, and is silent, from the start."""
    return f"{address} dev {device} nodad" if ":" in address else f"{address} dev {device}"
