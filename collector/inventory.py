"""What there is to watch: nodes, and the links rented for them.

Labels of every metric and the meaning of every report come from here, never from what an agent
says. The inventory also makes each node's policy: what its agent is told to measure.
"""

from collections import Counter
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import msgspec

from collector.settings import check_literal
from runtime.settings import SettingsError, load
from wire.policy import MAX_TARGETS, Policy, Role, Seconds, Target

Id = Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9][a-z0-9._-]{0,62}\Z")]
Text = Annotated[str, msgspec.Meta(min_length=1, max_length=128)]
Timeout = Annotated[float, msgspec.Meta(ge=0.01, le=600)]
"""Seconds, within what a policy can carry."""
HUB_TARGET = "hub"
"""Name of the STAMP target that every link has."""


class _Row(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    pass


class NodeKind(StrEnum):
    """Who sits at a node."""

    OPD = "opd"
    DESA = "desa"


class Node(_Row, frozen=True, kw_only=True):
    """A place with an agent."""

    id: Id
    name: Text
    kind: NodeKind
    district: Text
    latitude: Annotated[float, msgspec.Meta(ge=-90, le=90)] | None = None
    longitude: Annotated[float, msgspec.Meta(ge=-180, le=180)] | None = None


class LinkTarget(_Row, frozen=True, kw_only=True):
    """A target of one link besides the hub's reflector."""

    name: Id
    probe: Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9_]+\Z")]
    role: Role
    address: str
    port: Annotated[int, msgspec.Meta(ge=1, le=65535)] | None = None
    interval_s: Seconds = 1.0
    timeout_s: Timeout = 2.0
    size: Annotated[int, msgspec.Meta(ge=0, le=9000)] = 0
    dscp: Annotated[int, msgspec.Meta(ge=0, le=63)] = 0

    def __post_init__(self) -> None:
        check_literal(self.address)
        if self.name == HUB_TARGET:
            raise ValueError(f"target name {HUB_TARGET!r} is kept for the hub's STAMP reflector")


class Link(_Row, frozen=True, kw_only=True):
    """The circuit bought for a node."""

    id: Id
    node: Id
    provider: Text
    medium: Text
    pop: Text
    circuit: Text | None = None
    interface: Annotated[str, msgspec.Meta(min_length=1, max_length=15)] | None = None
    """Network interface of the agent's box for this link, where a node has several."""
    interval_s: Seconds = 1.0
    """Seconds between STAMP packets to the hub."""
    timeout_s: Timeout = 2.0
    size: Annotated[int, msgspec.Meta(ge=0, le=9000)] = 0
    dscp: Annotated[int, msgspec.Meta(ge=0, le=63)] = 0
    targets: tuple[LinkTarget, ...] = ()


class _NodesFile(_Row, frozen=True, kw_only=True):
    nodes: tuple[Node, ...]


class _LinksFile(_Row, frozen=True, kw_only=True):
    links: tuple[Link, ...]


class ReflectorAddress(msgspec.Struct, frozen=True):
    """Where the reflector is, as agents see it."""

    address: str
    port: int
    authenticated: bool


class Inventory:
    """Nodes and links that fit together."""

    def __init__(self, nodes: tuple[Node, ...], links: tuple[Link, ...]) -> None:
        self.nodes = {node.id: node for node in nodes}
        self.links = {link.id: link for link in links}

    def links_of(self, node: str) -> list[Link]:
        """The links of a node, in the file's order."""
        return [link for link in self.links.values() if link.node == node]

    def policy(self, node: str, hub: ReflectorAddress, ssids: dict[str, int]) -> Policy:
        """What the agent of `node` is to measure; `ssids` are the links' STAMP session ids."""
        targets: list[Target] = []
        for link in self.links_of(node):
            targets.append(
                Target(
                    name=HUB_TARGET,
                    link=link.id,
                    probe="stamp",
                    role=Role.HUB,
                    address=hub.address,
                    port=hub.port,
                    interval_s=link.interval_s,
                    timeout_s=link.timeout_s,
                    size=link.size,
                    dscp=link.dscp,
                    ssid=ssids[link.id],
                    authenticated=hub.authenticated,
                    interface=link.interface,
                )
            )
            targets.extend(
                Target(
                    name=one.name,
                    link=link.id,
                    probe=one.probe,
                    role=one.role,
                    address=one.address,
                    port=one.port,
                    interval_s=one.interval_s,
                    timeout_s=one.timeout_s,
                    size=one.size,
                    dscp=one.dscp,
                    interface=link.interface,
                )
                for one in link.targets
            )
        return Policy(node=node, targets=tuple(targets))


def _unique(file: Path, rows: str, key: str, values: list[str]) -> None:
    places: dict[str, int] = {}
    for at, one in enumerate(values):
        if one in places:
            raise SettingsError(
                f"{file}: {rows}[{at}].{key}: {one!r} is {rows}[{places[one]}] already"
            )
        places[one] = at


def read(nodes_file: Path, links_file: Path) -> Inventory:
    """Both files, checked against each other. Raises SettingsError."""
    nodes = load(nodes_file, _NodesFile).nodes
    links = load(links_file, _LinksFile).links
    _unique(nodes_file, "nodes", "id", [node.id for node in nodes])
    _unique(links_file, "links", "id", [link.id for link in links])
    known = {node.id for node in nodes}
    for at, link in enumerate(links):
        if link.node not in known:
            raise SettingsError(
                f"{links_file}: links[{at}].node: {link.node!r} is not a node of {nodes_file}"
            )
        names = [target.name for target in link.targets]
        _unique(links_file, f"links[{at}].targets", "name", names)
    targets: Counter[str] = Counter()
    for link in links:
        targets[link.node] += 1 + len(link.targets)
    for node_id, count in targets.items():
        if count > MAX_TARGETS:
            raise SettingsError(
                f"{links_file}: the links of node {node_id!r} have {count} targets,"
                f" at most {MAX_TARGETS}"
            )
    return Inventory(nodes, links)
