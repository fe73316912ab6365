"""What else there is to watch from the hub, as target groups of Prometheus' HTTP service discovery.

Pure. Labels come from the inventory. An address is listed where Prometheus at the hub can use it:
a village's gateway has the address of every other village's gateway and is left out.
"""

from collections.abc import Iterable, Iterator
from enum import StrEnum

import msgspec

from collector.inventory import Inventory, Link, LinkTarget, Node
from wire.policy import Role

PREFIX = "__meta_pantau_"
_MODULES = {"icmp": "icmp", "tcp": "tcp_connect", "http": "http_2xx", "dns": "dns"}
"""What a blackbox_exporter's module for a probe is commonly called; other probes it has none for.
A DNS question needs a module for each name: relabel by `host`."""


class Kind(StrEnum):
    """Which targets."""

    AGENT = "agent"
    """the boxes, at the addresses from which the hub hears their STAMP packets"""
    CPE = "cpe"
    """the customers' routers, as the hub reaches them"""
    BLACKBOX = "blackbox"
    """what the agents probe beyond their own networks: for a blackbox_exporter at the hub"""


class Group(msgspec.Struct, frozen=True):
    """One element of the answer."""

    targets: tuple[str, ...]
    labels: dict[str, str]


class Heard(msgspec.Struct, frozen=True):
    """Where a link's agent was last heard from."""

    link: str
    agent: str
    """Its id, as hex digits."""
    address: str


def groups(inventory: Inventory, heard: Iterable[Heard], kind: Kind | None) -> list[Group]:
    """All target groups of a kind, or of all kinds."""
    found: list[Group] = []
    if kind in (None, Kind.AGENT):
        found += _agents(inventory, heard)
    if kind in (None, Kind.CPE):
        found += _cpes(inventory)
    if kind in (None, Kind.BLACKBOX):
        found += _blackbox(inventory)
    return found


def _labels(kind: Kind, **pairs: str | float | None) -> dict[str, str]:
    """With the prefix of meta labels; what is not known has none."""
    told = {"kind": kind.value, **pairs}
    return {f"{PREFIX}{key}": str(value) for key, value in told.items() if value is not None}


def _of_node(node: Node) -> dict[str, str | float | None]:
    return {
        "node": node.id,
        "node_name": node.name,
        "node_kind": node.kind.value,
        "district": node.district,
        "latitude": node.latitude,
        "longitude": node.longitude,
    }


def _of_link(link: Link, inventory: Inventory) -> dict[str, str | float | None]:
    return {
        "link": link.id,
        "provider": link.provider,
        "medium": link.medium,
        "pop": link.pop,
        "circuit": link.circuit,
        **_of_node(inventory.nodes[link.node]),
    }


def _agents(inventory: Inventory, heard: Iterable[Heard]) -> Iterator[Group]:
    for one in heard:
        link = inventory.links[one.link]
        labels = _labels(Kind.AGENT, agent=one.agent, **_of_link(link, inventory))
        yield Group((one.address,), labels)


def _cpes(inventory: Inventory) -> Iterator[Group]:
    for link in inventory.links.values():
        if link.cpe_address is not None:
            yield Group((link.cpe_address,), _labels(Kind.CPE, **_of_link(link, inventory)))


def _blackbox(inventory: Inventory) -> Iterator[Group]:
    """Every place once, however many links probe it: from the hub it is the same."""
    links: dict[tuple[str, str], list[str]] = {}
    first: dict[tuple[str, str], LinkTarget] = {}
    for link in inventory.links.values():
        for one in link.targets:
            if one.role is not Role.GATEWAY and one.probe in _MODULES:
                key = one.probe, _address(one)
                links.setdefault(key, []).append(link.id)
                first.setdefault(key, one)
    for key, one in first.items():
        labels = _labels(
            Kind.BLACKBOX,
            target=one.name,
            probe=one.probe,
            module=_MODULES[one.probe],
            role=one.role.value,
            reach=None if one.reach is None else one.reach.value,
            host=one.host,
            links=f",{','.join(links[key])},",
        )
        yield Group((key[1],), labels)


def _address(target: LinkTarget) -> str:
    """As a blackbox_exporter takes it: a URL, an address, or an address with a port."""
    if target.probe == "http" and target.url is not None:
        return target.url
    if target.port is None:
        return target.address
    host = f"[{target.address}]" if ":" in target.address else target.address
    return f"{host}:{target.port}"
