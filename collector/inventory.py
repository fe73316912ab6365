"""What there is to watch: nodes, and the links rented for them.

Labels of every metric and the meaning of every report come from here, never from what an agent
says. The inventory also makes each node's policy: what its agent is told to measure.
"""

from collections import Counter
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import msgspec

from collector.plans import LinkThroughput, Promise, plan_of
from collector.reading import CPE_TARGET
from collector.settings import check_literal
from runtime.settings import SettingsError, load
from wire.plan import ThroughputPlan
from wire.policy import (
    MAX_PLANS,
    MAX_TARGETS,
    DeviceValue,
    Policy,
    Role,
    Seconds,
    Target,
    Transport,
)

Id = Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9][a-z0-9._-]{0,62}\Z")]
Text = Annotated[str, msgspec.Meta(min_length=1, max_length=128)]
Timeout = Annotated[float, msgspec.Meta(ge=0.01, le=600)]
"""Seconds, within what a policy can carry."""
HUB_TARGET = "hub"
"""Name of the STAMP target that every link has."""
_KEPT = {HUB_TARGET: "the hub's STAMP reflector", CPE_TARGET: "the prober beside the hub"}


class _Row(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    pass


class NodeKind(StrEnum):
    """Who sits at a node."""

    OPD = "opd"
    DESA = "desa"
    HUB = "hub"
    """beside the collector: its agent probes every link's CPE from outside"""


class Node(_Row, frozen=True, kw_only=True):
    """A place with an agent."""

    id: Id
    name: Text
    kind: NodeKind
    district: Text
    latitude: Annotated[float, msgspec.Meta(ge=-90, le=90)] | None = None
    longitude: Annotated[float, msgspec.Meta(ge=-180, le=180)] | None = None


class Reach(StrEnum):
    """Class of a target: which of a contract's limits its measurements are held against."""

    DOMESTIC = "domestic"
    """inside the country: the provider's own network, exchanges, content caches"""
    INTERNATIONAL = "international"


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
    host: Annotated[str, msgspec.Meta(min_length=1, max_length=255)] | None = None
    """A name to resolve, or for a dns target the name to ask for."""
    url: Annotated[str, msgspec.Meta(min_length=8, max_length=1024)] | None = None
    transport: Transport | None = None
    credentials: Id | None = None
    """Name of a file in the node's credentials folder (SNMP)."""
    device_interface: Text | None = None
    values: tuple[DeviceValue, ...] = ()
    source: Annotated[str, msgspec.Meta(min_length=4, max_length=256)] | None = None
    reach: Reach | None = None
    """Not told to the agent; a target without it is held against no limit."""

    def __post_init__(self) -> None:
        check_literal(self.address)
        if self.name in (HUB_TARGET, CPE_TARGET):
            raise ValueError(f"target name {self.name!r} is kept for {_KEPT[self.name]}")


class Link(_Row, frozen=True, kw_only=True):
    """The circuit bought for a node."""

    id: Id
    node: Id
    provider: Text
    medium: Text
    pop: Text
    circuit: Text | None = None
    cpe_address: str | None = None
    """Literal address of the customer's router as the hub reaches it: probed from outside."""
    interface: Annotated[str, msgspec.Meta(min_length=1, max_length=15)] | None = None
    """Network interface of the agent's box for this link, where a node has several."""
    interval_s: Seconds = 1.0
    """Seconds between STAMP packets to the hub."""
    timeout_s: Timeout = 2.0
    size: Annotated[int, msgspec.Meta(ge=0, le=9000)] = 0
    dscp: Annotated[int, msgspec.Meta(ge=0, le=63)] = 0
    targets: tuple[LinkTarget, ...] = ()
    throughput: LinkThroughput | None = None
    """Throughput tests of this link; none without it."""

    def __post_init__(self) -> None:
        if self.cpe_address is not None:
            check_literal(self.cpe_address)

    def reach_of(self, target: str) -> Reach | None:
        """Class of the target of this name: the hub is domestic, the others as they say."""
        if target == HUB_TARGET:
            return Reach.DOMESTIC
        return next((one.reach for one in self.targets if one.name == target), None)


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

    def __init__(
        self,
        nodes: tuple[Node, ...],
        links: tuple[Link, ...],
        promised: Callable[[str], Promise | None] = lambda _: None,
    ) -> None:
        """`promised`: the rates of a link's contract, for plans that name none."""
        self.nodes = {node.id: node for node in nodes}
        self.links = {link.id: link for link in links}
        self.plans: dict[str, ThroughputPlan] = {}
        """By link."""
        for link in links:
            plan = self._plan(link, promised)
            if plan is not None:
                self.plans[link.id] = plan

    def _plan(self, link: Link, promised: Callable[[str], Promise | None]) -> ThroughputPlan | None:
        if link.throughput is None:
            return None
        node = self.nodes.get(link.node)
        village = node is not None and node.kind is NodeKind.DESA
        plan = plan_of(link.id, link.throughput, promised(link.id), village=village)
        return None if plan is None else msgspec.structs.replace(plan, interface=link.interface)

    def links_of(self, node: str) -> list[Link]:
        """The links of a node, in the file's order."""
        return [link for link in self.links.values() if link.node == node]

    def policy(self, node: str, hub: ReflectorAddress, ssids: dict[str, int]) -> Policy:
        """What the agent of `node` is to measure; `ssids` are the links' STAMP session ids."""
        targets: list[Target] = []
        for link in self.links_of(node):
            targets.append(_stamp(link, hub, ssids[link.id]))
            targets.extend(_target(one, link) for one in link.targets)
        known = self.nodes.get(node)
        if known is not None and known.kind is NodeKind.HUB:
            targets.extend(
                _cpe(link, link.cpe_address)
                for link in self.links.values()
                if link.cpe_address is not None
            )
        plans = tuple(self.plans[link.id] for link in self.links_of(node) if link.id in self.plans)
        return Policy(node=node, targets=tuple(targets), throughput=plans)


def _stamp(link: Link, hub: ReflectorAddress, ssid: int) -> Target:
    return Target(
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
        ssid=ssid,
        authenticated=hub.authenticated,
        interface=link.interface,
    )


def _target(one: LinkTarget, link: Link) -> Target:
    """The fields that concern the agent, and whose it is."""
    told = {field: getattr(one, field) for field in LinkTarget.__struct_fields__}
    del told["reach"]
    return Target(link=link.id, interface=link.interface, **told)


def _cpe(link: Link, address: str) -> Target:
    return Target(name=CPE_TARGET, link=link.id, probe="icmp", role=Role.CPE, address=address)


def _unique(file: Path, rows: str, key: str, values: list[str]) -> None:
    places: dict[str, int] = {}
    for at, one in enumerate(values):
        if one in places:
            raise SettingsError(
                f"{file}: {rows}[{at}].{key}: {one!r} is {rows}[{places[one]}] already"
            )
        places[one] = at


def _check_gate(links_file: Path, at: int, link: Link) -> None:
    """The gate's counters are those of an SNMP target of the same link."""
    if link.throughput is None or link.throughput.gate.target is None:
        return
    wanted = link.throughput.gate.target
    target = next((one for one in link.targets if one.name == wanted), None)
    place = f"{links_file}: links[{at}].throughput.gate.target"
    if target is None or target.probe != "snmp":
        raise SettingsError(f"{place}: {wanted!r} is no target of this link with probe snmp")
    if target.device_interface is None:
        raise SettingsError(f"{place}: target {wanted!r} names no device_interface to read")


def read(
    nodes_file: Path,
    links_file: Path,
    promised: Callable[[str], Promise | None] = lambda _: None,
) -> Inventory:
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
        _check_gate(links_file, at, link)
    _check_counts(links_file, links)
    return Inventory(nodes, links, promised)


def _check_counts(links_file: Path, links: tuple[Link, ...]) -> None:
    """A policy can carry them."""
    targets: Counter[str] = Counter()
    plans: Counter[str] = Counter()
    for link in links:
        targets[link.node] += 1 + len(link.targets)
        plans[link.node] += link.throughput is not None
    for counts, what, most in ((targets, "targets", MAX_TARGETS), (plans, "throughput", MAX_PLANS)):
        for node_id, count in counts.items():
            if count > most:
                raise SettingsError(
                    f"{links_file}: the links of node {node_id!r} have {count} {what},"
                    f" at most {most}"
                )
