"""Inventory, agents and STAMP sessions kept in step: who measures what, and who may answer.

Reloading replaces nodes and links as a whole or not at all; agents hear of their new policy in
the reply to their next status.
"""

from collections.abc import Callable

from collector.identity import Identity
from collector.inventory import Inventory, NodeKind, ReflectorAddress
from collector.ledger import Agent, Ledger
from collector.reading import Scope
from collector.roster import Roster
from collector.sessions import Session, SessionTable
from wire.message import REVISION
from wire.policy import Policy
from wire.token import stamp_key


class Fleet:
    """The nodes, links and agents as they are now."""

    def __init__(
        self,
        ledger: Ledger,
        roster: Roster,
        table: SessionTable,
        identity: Identity,
        reflector: Callable[[], ReflectorAddress],
    ) -> None:
        self._ledger, self._roster, self._table = ledger, roster, table
        self._identity, self._reflector = identity, reflector
        self.inventory = Inventory((), ())
        self.ssids: dict[str, int] = {}
        self.owners: dict[str, Agent] = {}
        """The newest active agent of every node."""
        self._policies: dict[tuple[str, int], tuple[Policy, str]] = {}
        self._scopes: dict[str, Scope] = {}
        self._keys: dict[bytes, bytes] = {}

    def load(self, inventory: Inventory) -> None:
        """Work with these nodes and links from now on."""
        ssids = self._ledger.ssids(list(inventory.links))
        for ssid in set(self.ssids.values()) - set(ssids.values()):
            self._table.unregister(ssid)
        self.inventory, self.ssids = inventory, ssids
        self._scopes.clear()
        self._policies.clear()
        self.register()

    def register(self) -> None:
        """Give every link's STAMP session the key of its node's newest agent."""
        address = self._reflector()
        self.owners = {agent.node: agent for agent in self._roster.active()}
        for link in self.inventory.links.values():
            owner = self.owners.get(link.node)
            ssid = self.ssids[link.id]
            if owner is None:
                self._table.unregister(ssid)
                continue
            key = self._key(owner) if address.authenticated else None
            self._table.register(Session(ssid, link.id, owner.agent_id, key))

    def _key(self, agent: Agent) -> bytes:
        key = self._keys.get(agent.agent_id)
        if key is None:
            key = stamp_key(self._identity.exchange, agent.exchange_key, agent.agent_id)
            self._keys[agent.agent_id] = key
        return key

    def policy(self, node: str, revision: int = REVISION) -> tuple[Policy, str]:
        """What the node's agent is to measure, as far as a reader of this revision of the wire
        format takes it, and the digest it will quote."""
        key = node, min(revision, REVISION)
        if key not in self._policies:
            whole = self.inventory.policy(node, self._reflector(), self.ssids)
            policy = whole.at_revision(revision)
            self._policies[key] = (policy, policy.digest())
        return self._policies[key]

    def scope(self, agent: Agent) -> Scope:
        """Links that this agent may speak of."""
        scope = self._scopes.get(agent.node)
        if scope is None:
            scope = self._make_scope(agent.node)
            self._scopes[agent.node] = scope
        return scope

    def _make_scope(self, node_id: str) -> Scope:
        links = self.inventory.links.values()
        node = self.inventory.nodes.get(node_id)
        own = [link.id for link in links if link.node == node_id]
        others = [link.id for link in links if link.node != node_id]
        if node is not None and node.kind is NodeKind.HUB:
            return Scope([*own, *others], [], outside=True)
        return Scope(own, others)
