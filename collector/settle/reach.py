"""How far the evidence of each link reaches: asked of all links for each outage, so remembered."""

from collections.abc import Iterable
from typing import Protocol

from collector.audit.evidence import Span
from collector.ledger import Agent
from collector.ledger.derived import DerivedStore
from collector.ledger.derived_schema import HOUR_S
from collector.ledger.frontier import frontier_s
from collector.ledger.sqlite import SqliteLedger


class Reached(Protocol):
    """What judging asks of it."""

    def forget(self, changed: Iterable[tuple[str, int]]) -> list[bytes]:
        """See Reaches.forget."""
        ...

    def forget_all(self) -> None:
        """See Reaches.forget_all."""
        ...

    def frontier(self, link: str, agents: Iterable[Agent], now_s: int) -> int | None:
        """See Reaches.frontier."""
        ...

    def whole(self, link: str, agents: Iterable[Agent], now_s: int) -> Span | None:
        """See Reaches.whole."""
        ...


class Reaches:
    """First second and frontier of links, each read once until something of it comes."""

    def __init__(self, ledger: SqliteLedger, derived: DerivedStore) -> None:
        self._ledger, self._derived = ledger, derived
        self._newest = 0
        self._frontiers: dict[bytes, int | None] = {}
        self._lived: dict[str, int | None] = {}
        self._first: dict[str, int | None] = {}

    def forget(self, changed: Iterable[tuple[str, int]]) -> list[bytes]:
        """New batches move their agents' frontiers; returns these agents. `changed` are the
        (link, hour) woven anew."""
        rows = self._ledger.rows(
            "SELECT agent_id, max(id) FROM batch WHERE id>? GROUP BY agent_id", (self._newest,)
        )
        for agent_id, newest in rows:
            self._frontiers.pop(agent_id, None)
            self._newest = max(self._newest, newest)
        for link, hour in changed:
            self._lived.pop(link, None)
            first = self._first.get(link)
            if first is None or hour * HOUR_S <= first:
                self._first.pop(link, None)
        return [agent_id for agent_id, _ in rows]

    def forget_all(self) -> None:
        """What hangs on the time of day too: that a hole is given up."""
        self._frontiers.clear()

    def first(self, link: str) -> int | None:
        """The first second of which anything is known of a link."""
        if link not in self._first:
            self._first[link] = self._derived.first_known(link)
        return self._first[link]

    def frontier(self, link: str, agents: Iterable[Agent], now_s: int) -> int | None:
        """Until when nothing of its evidence is missing; None for no evidence."""
        for agent in agents:
            if agent.agent_id not in self._frontiers:
                found = frontier_s(self._ledger, agent.agent_id, now_s)
                self._frontiers[agent.agent_id] = found
        known = (self._frontiers[agent.agent_id] for agent in agents)
        ends = [end_s for end_s in known if end_s is not None]
        if not ends:
            return None
        if link not in self._lived:
            self._lived[link] = self._derived.last_journal(link)
        # Batches that came meanwhile are whole and not woven yet.
        lived_s = self._lived[link]
        return min(max(ends), lived_s) if lived_s else None

    def whole(self, link: str, agents: Iterable[Agent], now_s: int) -> Span | None:
        """From the first second to the frontier; None where nothing is to be judged."""
        first, frontier = self.first(link), self.frontier(link, agents, now_s)
        if first is None or frontier is None or first >= frontier:
            return None
        return Span(first, frontier)
