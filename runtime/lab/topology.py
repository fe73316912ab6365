"""Ready-made networks.

`pair` and `star` are nodes, each behind its own emulated link to one hub: what most tests and the
demo need. `province` is the whole picture: node, CPE, provider's PoP, hub and an independent
anchor. `cable` is two namespaces and a bare veth pair, for benches.

All links between routers are unnumbered: a machine has one address, whatever the number of its
links, so "the hub" is one address for all.
"""

import contextlib
import fcntl
import json
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from runtime.lab.build import End, Lab, LabSettings
from runtime.lab.link import BOTH, Knobs, Link, Stamp
from runtime.lab.namespaces import Namespace, command

_MOST_SITES = 200


@dataclass(frozen=True, kw_only=True)
class Site:
    """A place with a node; its link's `UP` is from the site towards the hub."""

    lab: Lab
    name: str
    node: Namespace
    node_address: str
    link: Link
    """The access link: what is bought, and judged."""
    node_address6: str
    cpe: Namespace | None = None
    """The customer's router; None where the link ends at the node itself."""
    cpe_address: str | None = None
    """The node's gateway."""
    cpe_wan_address: str | None = None

    def power_off(self) -> Stamp:
        """Kill all processes of the site at once; it answers nothing until `power_on`."""
        stamp = self.link.set(BOTH, Knobs(powered=False))
        self.node.kill()
        if self.cpe is not None:
            self.cpe.kill()
        return stamp

    def power_on(self) -> Stamp:
        """The site is reachable again; starting its programs is up to the caller."""
        return self.link.set(BOTH, Knobs(powered=True))


@dataclass(frozen=True, kw_only=True)
class Star:
    """Sites around one hub."""

    lab: Lab
    hub: Namespace
    hub_address: str
    hub_address6: str
    sites: Mapping[str, Site]


@dataclass(frozen=True, kw_only=True)
class Pair:
    """One site and the hub, with what is asked for most at the top."""

    lab: Lab
    site: Site
    hub: Namespace
    hub_address: str
    hub_address6: str

    @property
    def node(self) -> Namespace:
        """Where the agent runs."""
        return self.site.node

    @property
    def node_address(self) -> str:
        """The node's own address."""
        return self.site.node_address

    @property
    def link(self) -> Link:
        """Between node and hub."""
        return self.site.link


@dataclass(frozen=True, kw_only=True)
class Cable:
    """Two namespaces and a plain veth pair, no emulator."""

    lab: Lab
    a: Namespace
    b: Namespace
    a_address: str
    b_address: str


@dataclass(frozen=True, kw_only=True)
class Pop:
    """A provider's point of presence: a router, and its links to hub and anchor."""

    name: str
    router: Namespace
    address: str
    core: Link
    """To the hub, shared by all sites of this PoP; `UP` is towards the hub."""
    anchor: Link
    """To the independent anchor; `UP` is towards it."""


@dataclass(frozen=True, kw_only=True)
class Province:
    """The whole picture."""

    lab: Lab
    hub: Namespace
    hub_address: str
    anchor: Namespace
    anchor_address: str
    pops: Mapping[str, Pop]
    sites: Mapping[str, Site]


@contextlib.contextmanager
def pair(*, hub_in_root: bool = False, settings: LabSettings | None = None) -> Iterator[Pair]:
    """node -- emulated link -- hub."""
    with star(("node1",), hub_in_root=hub_in_root, settings=settings) as net:
        yield Pair(
            lab=net.lab,
            site=net.sites["node1"],
            hub=net.hub,
            hub_address=net.hub_address,
            hub_address6=net.hub_address6,
        )


@contextlib.contextmanager
def star(
    names: Sequence[str], *, hub_in_root: bool = False, settings: LabSettings | None = None
) -> Iterator[Star]:
    """Nodes, each behind an emulated link of its own, around one hub.

    With `hub_in_root` the hub is this process's namespace: what listens there is reached by the
    nodes at `hub_address` and by the user at 127.0.0.1. Its devices go away with the lab.
    """
    if len(names) > _MOST_SITES:
        raise ValueError(f"more than {_MOST_SITES} sites")
    with Lab(settings) as lab:
        if hub_in_root:
            hub = lab.root
            with _address_lock():
                block = _free_block()
                sites = _star_sites(lab, hub, block, names)
        else:
            block, hub = 0, lab.space("hub")
            sites = _star_sites(lab, hub, block, names)
        address, address6 = _star_hub(block)
        yield Star(lab=lab, hub=hub, hub_address=address, hub_address6=address6, sites=sites)


@contextlib.contextmanager
def cable(settings: LabSettings | None = None) -> Iterator[Cable]:
    """Two namespaces joined by a plain veth pair with all its offloads."""
    with Lab(settings) as lab:
        a, b = lab.space("a"), lab.space("b")
        lab.cable(
            End(space=a, device="wan0", addresses=("198.18.0.1/24", "fd70::1/64")),
            End(space=b, device="wan0", addresses=("198.18.0.2/24", "fd70::2/64")),
        )
        yield Cable(lab=lab, a=a, b=b, a_address="198.18.0.1", b_address="198.18.0.2")


@contextlib.contextmanager
def province(
    sites: Mapping[str, str] | None = None, settings: LabSettings | None = None
) -> Iterator[Province]:
    """node -- CPE -- access link -- PoP -- core link -- hub, and PoP -- anchor.

    `sites` maps each site to its PoP; by default two sites on one PoP. The node's LAN is a plain
    veth pair, the three other connections are emulated links named after the site, and after the
    PoP with "-core" and "-anchor".
    """
    wanted = {"site1": "pop1", "site2": "pop1"} if sites is None else dict(sites)
    if len(wanted) > _MOST_SITES:
        raise ValueError(f"more than {_MOST_SITES} sites")
    with Lab(settings) as lab:
        hub, anchor = lab.space("hub"), lab.space("anchor")
        names = sorted(set(wanted.values()))
        pops = {name: _pop(lab, name, index) for index, name in enumerate(names)}
        made = {
            name: _province_site(lab, name, index, pops[wanted[name]])
            for index, name in enumerate(wanted)
        }
        yield Province(
            lab=lab,
            hub=hub,
            hub_address=_HUB,
            anchor=anchor,
            anchor_address=_ANCHOR,
            pops=pops,
            sites=made,
        )


# --- star


def _star_hub(block: int) -> tuple[str, str]:
    return f"198.18.{block}.1", f"fd70::{block:x}:1"


def _star_sites(lab: Lab, hub: Namespace, block: int, names: Sequence[str]) -> dict[str, Site]:
    return {name: _star_site(lab, hub, (block, index), name) for index, name in enumerate(names)}


def _star_site(lab: Lab, hub: Namespace, place: tuple[int, int], name: str) -> Site:
    block, index = place
    node = lab.space(name)
    hub4, hub6 = _star_hub(block)
    own4, own6 = f"198.18.{block}.{10 + index}", f"fd70::{block:x}:{10 + index:x}"
    # In the root namespace the device's name must not collide with that of another run.
    device = f"pt{lab.run.token}.{index}" if hub.is_root else f"site{index}"
    link = lab.join(
        name,
        End(
            space=node,
            device="wan0",
            addresses=(f"{own4} peer {hub4}", *_six(node, own6, hub6)),
            routes=("default", *_six_route(node, "::/0")),
        ),
        End(
            space=hub,
            device=device,
            addresses=(f"{hub4} peer {own4}", *_six(hub, hub6, own6)),
        ),
    )
    return Site(lab=lab, name=name, node=node, node_address=own4, node_address6=own6, link=link)


def _six(space: Namespace, own: str, peer: str) -> tuple[str, ...]:
    """An IPv6 address, where this kernel has IPv6 at all; never in the root namespace."""
    return () if space.is_root or not _has_six() else (f"{own} peer {peer}",)


def _six_route(space: Namespace, route: str) -> tuple[str, ...]:
    return () if space.is_root or not _has_six() else (route,)


def _has_six() -> bool:
    return Path("/proc/sys/net/ipv6").exists()


def _free_block() -> int:
    """A /24 of 198.18.0.0/16 that nobody uses in the root namespace."""
    rows = json.loads(command(["ip", "-j", "-4", "address"]))
    used = {entry["local"] for row in rows for entry in row.get("addr_info", [])}
    first = os.getpid() % 254
    for step in range(254):
        block = 1 + (first + step) % 254
        if f"198.18.{block}.1" not in used:
            return block
    raise RuntimeError("no free block in 198.18.0.0/16")


@contextlib.contextmanager
def _address_lock() -> Iterator[None]:
    """Two labs that start together must not choose the same block."""
    folder = Path("/run/lock")
    folder = folder if folder.is_dir() else Path(tempfile.gettempdir())
    with (folder / "pantau-lab.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


# --- province

_HUB, _ANCHOR = "198.18.0.1", "198.18.0.2"
_CUSTOMERS = "10.77.0.0/16"


def _pop(lab: Lab, name: str, index: int) -> Pop:
    router, address = lab.router(name), f"198.18.0.{10 + index}"
    core = _trunk(lab, f"{name}-core", (router, address), (lab.spaces["hub"], _HUB))
    anchor = _trunk(lab, f"{name}-anchor", (router, address), (lab.spaces["anchor"], _ANCHOR))
    return Pop(name=name, router=router, address=address, core=core, anchor=anchor)


def _trunk(lab: Lab, name: str, near: tuple[Namespace, str], far: tuple[Namespace, str]) -> Link:
    """From a PoP to a machine that serves all of them."""
    near_space, near_address = near
    far_space, far_address = far
    return lab.join(
        name,
        End(
            space=near_space,
            device=far_space.label,
            addresses=(f"{near_address} peer {far_address}",),
        ),
        End(
            space=far_space,
            device=near_space.label,
            addresses=(f"{far_address} peer {near_address}",),
        ),
    )


def _province_site(lab: Lab, name: str, index: int, pop: Pop) -> Site:
    node, cpe = lab.space(name), lab.router(f"{name}-cpe")
    lan, wan = f"10.77.{index}", f"198.18.1.{10 + index}"
    lab.cable(
        End(space=cpe, device="lan0", addresses=(f"{lan}.1/24",)),
        End(
            space=node,
            device="lan0",
            addresses=(f"{lan}.2/24",),
            routes=(f"default via {lan}.1",),
        ),
    )
    link = lab.join(
        name,
        End(
            space=cpe,
            device="wan0",
            addresses=(f"{wan} peer {pop.address}",),
            routes=("default",),
        ),
        End(
            space=pop.router,
            device=f"site{index}",
            addresses=(f"{pop.address} peer {wan}",),
            routes=(f"{lan}.0/24",),
        ),
    )
    for label in ("hub", "anchor"):
        space = lab.spaces[label]
        space.ip(
            f"route add {wan} dev {pop.name}",
            f"route add {lan}.0/24 dev {pop.name}",
        )
    return Site(
        lab=lab,
        name=name,
        node=node,
        node_address=f"{lan}.2",
        node_address6="",
        link=link,
        cpe=cpe,
        cpe_address=f"{lan}.1",
        cpe_wan_address=wan,
    )
