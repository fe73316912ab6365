"""Who may speak: the enrolled agents in memory, each with what it may spend.

The ledger is the truth; this is the copy that every request asks, refreshed when the ledger
changes (an `invite` or `revoke` on the command line is another process).
"""

from collections.abc import Callable

from collector.ledger import Agent, Ledger
from collector.settings import LimitSettings
from wire.errors import Refusal, WireError

SECOND = 1_000_000_000


class TokenBucket:
    """Allows `rate_per_s` on average and `burst` at once; time is an argument."""

    def __init__(self, rate_per_s: float, burst: float, now_ns: int) -> None:
        self._rate, self._burst = rate_per_s, burst
        self._level, self._at_ns = burst, now_ns

    def take(self, now_ns: int, amount: float = 1.0) -> bool:
        """Spend `amount` if it is there."""
        self._level = min(self._burst, self._level + (now_ns - self._at_ns) / SECOND * self._rate)
        self._at_ns = now_ns
        if self._level < amount:
            return False
        self._level -= amount
        return True


class Roster:
    """Agents by id."""

    def __init__(
        self,
        ledger: Ledger,
        limits: LimitSettings,
        waiting: Callable[[list[Agent]], set[bytes]] = lambda _: set(),
    ) -> None:
        """`waiting`: which of these agents nobody has approved yet."""
        self._ledger, self._waiting_of = ledger, waiting
        self._limits = limits
        self.waiting: set[bytes] = set()
        self._agents: dict[bytes, Agent] = {}
        self._buckets: dict[bytes, TokenBucket] = {}
        self.refresh()

    def refresh(self) -> None:
        """Read all agents anew."""
        agents = self._ledger.agents()
        self._agents = {agent.agent_id: agent for agent in agents}
        self.waiting = self._waiting_of(agents)

    def all(self) -> list[Agent]:
        """All agents, revoked and waiting ones too."""
        return list(self._agents.values())

    def active(self) -> list[Agent]:
        """Agents that may speak, the longest enrolled first."""
        alive = (
            agent
            for agent in self._agents.values()
            if agent.revoked_wall_ns is None and agent.agent_id not in self.waiting
        )
        return sorted(alive, key=lambda agent: agent.enrolled_wall_ns)

    def get(self, agent_id: bytes) -> Agent | None:
        """The agent, revoked or not."""
        return self._agents.get(agent_id)

    def admit(self, agent_id: bytes) -> Agent:
        """The agent, if it may speak. Raises WireError: UNKNOWN_AGENT or REVOKED."""
        agent = self._agents.get(agent_id)
        if agent is None:
            raise WireError(Refusal.UNKNOWN_AGENT, f"agent {agent_id.hex()} is not enrolled here")
        if agent.revoked_wall_ns is not None:
            raise WireError(Refusal.REVOKED, f"agent {agent_id.hex()} was revoked")
        if agent_id in self.waiting:
            # It is told to come again, and keeps its evidence until then: nobody drives twice.
            raise WireError(
                Refusal.OVERLOADED, f"agent {agent_id.hex()} waits for an operator's approval"
            )
        return agent

    def spend(self, agent: Agent, now_ns: int) -> None:
        """Count one verified request. Raises WireError(OVERLOADED) when it is one too many.

        After verification, so that a stranger cannot spend an agent's allowance.
        """
        bucket = self._buckets.get(agent.agent_id)
        if bucket is None:
            limits = self._limits
            bucket = TokenBucket(limits.requests_per_minute / 60, limits.burst, now_ns)
            self._buckets[agent.agent_id] = bucket
        if not bucket.take(now_ns):
            raise WireError(Refusal.OVERLOADED, f"agent {agent.agent_id.hex()} asks too often")
