"""What the inventory, the contracts and the registers say of every link: what judging hangs on."""

import hashlib
from collections.abc import Callable, Mapping
from datetime import timedelta

from collector.audit.evidence import Span
from collector.contracts import Contract, Contracts
from collector.inventory import Inventory, Link
from collector.ledger import Agent
from collector.ledger.sqlite import SqliteLedger
from collector.maintenance import Entry, covering, decide, windows
from collector.settle.judge import Known, Part

FOR_EVER_S = 2**40


def _span(contract: Contract) -> Span:
    zone = contract.zone
    end_s = FOR_EVER_S
    if contract.last_day is not None:
        end_s = zone.midnight_s(contract.last_day + timedelta(days=1))
    return Span(zone.midnight_s(contract.first_day), end_s)


def known(
    link: Link,
    both: tuple[Inventory, Contracts],
    agents: tuple[Agent, ...],
    entries: list[Entry],
) -> Known:
    """All of one link."""
    inventory, contracts = both
    told = covering(entries, link, inventory)
    rows = [(one, windows(decide(one, told))) for one in contracts.of(link.id)]
    excluded = {one.digest(): found for one, found in rows}
    parts = tuple(Part(_span(one), one.terms(), found) for one, found in rows)
    judged_by = hashlib.sha256(repr((link.pop, sorted(excluded.items()))).encode())
    return Known(link.pop, agents, parts, judged_by.hexdigest())


class Worlds:
    """The world as it is now; the same object until something of it changes."""

    def __init__(
        self, ledger: SqliteLedger, promised: Callable[[], tuple[Inventory, Contracts]]
    ) -> None:
        self._ledger, self._promised = ledger, promised
        self._of: tuple[object, ...] = ()
        self._world: Mapping[str, Known] = {}

    def now(self) -> Mapping[str, Known]:
        """By link."""
        both = self._promised()
        agents, entries = self._ledger.agents(), self._ledger.registers.maintenance()
        if self._of[:2] != both or self._of[2:] != (agents, entries):
            self._of = (*both, agents, entries)
            by_node: dict[str, list[Agent]] = {}
            for agent in agents:
                by_node.setdefault(agent.node, []).append(agent)
            self._world = {
                link.id: known(link, both, tuple(by_node.get(link.node, ())), entries)
                for link in both[0].links.values()
            }
        return self._world
