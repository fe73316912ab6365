"""Which agents are asked to send again what this ledger has lost: an older backup was brought back.

Two signs. An agent holds a receipt for a batch that is not here. Or more is missing here than
waits there, at two looks in a row: it was acknowledged and lost, and newer batches came before the
agent's next status. The second is asked for once a life of the collector, until the agent went
back: batches that nobody has any more are missing for ever.
"""

import asyncio
import logging
from dataclasses import dataclass

from collector.ledger import Agent, Ledger
from wire.message import Status

log = logging.getLogger(__name__)


@dataclass
class _Asking:
    """Where one agent stands."""

    lacked: bool = False
    """More was missing than waited, at the last look."""
    asked_at: tuple[str, int] | None = None
    """What it held last when it was first asked for what lies behind newer batches."""
    said: bool = False
    """The log tells once of each time that it is asked."""


class Rewinds:
    """What is remembered of each agent."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._known: dict[bytes, _Asking] = {}

    async def wanted(self, agent: Agent, status: Status) -> bool:
        """Whether the agent is to send again, by its newest status."""
        if status.last_acked is None:
            return False
        epoch, seq = status.last_acked
        asking = self._known.setdefault(agent.agent_id, _Asking())
        held = await asyncio.to_thread(
            self._ledger.holds, agent.agent_id, bytes.fromhex(epoch), seq
        )
        if not held:
            self._say(agent, asking, "holds receipts that this ledger does not know")
            return True
        missing = await asyncio.to_thread(self._missing, agent)
        lacks = missing > status.spool.batches_waiting + status.spool.refused
        lacked, asking.lacked = asking.lacked, lacks
        if lacks and lacked:
            # One look may cross with a delivery; and the answer to the last one may be lost.
            if asking.asked_at is None:
                asking.asked_at = status.last_acked
            if asking.asked_at == status.last_acked:
                what = f"has delivered all, and {missing} of its batches are missing"
                self._say(agent, asking, what)
                return True
        asking.said = False
        return False

    def _missing(self, agent: Agent) -> int:
        head = self._ledger.head(agent.agent_id)
        return 0 if head is None else head.missing

    def _say(self, agent: Agent, asking: _Asking, what: str) -> None:
        if not asking.said:
            asking.said = True
            log.warning("agent %s %s: it is asked to send again", agent.agent_id.hex(), what)
