"""Which agents an operator has approved, where the settings ask for that. Append-only.

A token already says that somebody was invited; an approval besides says that somebody looked at
the box that came.
"""

from collector.ledger import Agent
from collector.ledger.sqlite import SqliteLedger

_SCHEMA = """
CREATE TABLE IF NOT EXISTS agent_approval (
  agent_id BLOB PRIMARY KEY REFERENCES agent (agent_id), by TEXT NOT NULL,
  approved_wall_ns INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TRIGGER IF NOT EXISTS agent_approval_no_update BEFORE UPDATE ON agent_approval
  BEGIN SELECT RAISE(ABORT, 'agent_approval is append-only'); END;
CREATE TRIGGER IF NOT EXISTS agent_approval_no_delete BEFORE DELETE ON agent_approval
  BEGIN SELECT RAISE(ABORT, 'agent_approval is append-only'); END;
"""
NOT_ASKED = "nobody: approval was not asked for"


class Approvals:
    """A table beside the ledger's own, on its connection."""

    def __init__(self, ledger: SqliteLedger, *, asked: bool) -> None:
        """`asked`: whether an agent that enrols from now on waits."""
        self._ledger, self._asked = ledger, asked
        with ledger.transaction() as db:
            db.execute(_SCHEMA)

    def catch_up(self, wall_ns: int) -> None:
        """As long as nobody is asked, whoever enrols is approved: a change of the settings later
        must not silence those who speak already."""
        if self._asked:
            return
        with self._ledger.transaction() as db:
            db.execute(
                "INSERT OR IGNORE INTO agent_approval SELECT agent_id, ?, ? FROM agent",
                (NOT_ASKED, wall_ns),
            )

    def waiting(self, agents: list[Agent]) -> set[bytes]:
        """Those of these agents that wait for an approval."""
        if not self._asked:
            return set()
        known = {row[0] for row in self._ledger.rows("SELECT agent_id FROM agent_approval")}
        return {one.agent_id for one in agents if one.agent_id not in known}

    def approve(self, agent_id: bytes, by: str, wall_ns: int) -> bool:
        """Let this agent speak; False if it is unknown or approved already."""
        with self._ledger.transaction() as db:
            db.execute(
                "INSERT OR IGNORE INTO agent_approval SELECT agent_id, ?, ? FROM agent"
                " WHERE agent_id=?",
                (by, wall_ns, agent_id),
            )
            return db.changes() == 1
