"""How far an agent's evidence is whole: the moment of its first hole, or of its newest record.

What the agent itself listed as lost is no hole: nobody waits for it. Nor is what did not come for
longer than an agent keeps its batches.
"""

from collections.abc import Iterator
from typing import NamedTuple

from collector.ledger.sqlite import Row, SqliteLedger

NS = 1_000_000_000
GIVE_UP_S = 7 * 86_400
"""A spool holds a week: what is older and not here will not come."""

_EPOCHS = """
SELECT s.epoch, s.first_seq, s.highest_seq, s.received,
  first.previous <> zeroblob(32) AND before.id IS NULL,
  (first.last_boot_ns + fp.offset_ns) / 1000000000,
  (SELECT max((b.last_boot_ns + p.offset_ns) / 1000000000) FROM batch b
    JOIN placement p ON p.batch_id = b.id WHERE b.agent_id = s.agent_id AND b.epoch = s.epoch
    AND b.seq = s.highest_seq)
FROM segment s JOIN batch first ON first.id = s.first_batch
  JOIN placement fp ON fp.batch_id = s.first_batch
  LEFT JOIN batch before ON before.agent_id = s.agent_id AND before.digest = first.previous
WHERE s.agent_id = ?
"""
_SEQS = """
SELECT b.seq, (b.last_boot_ns + p.offset_ns) / 1000000000 FROM batch b
  JOIN placement p ON p.batch_id = b.id WHERE b.agent_id = ? AND b.epoch = ? ORDER BY b.seq
"""
_LISTED = """
SELECT DISTINCT g.epoch, g.first_seq, g.last_seq FROM gap g JOIN batch b ON b.id = g.batch_id
WHERE b.agent_id = ? AND g.target IS NULL AND g.epoch NOTNULL AND g.first_seq NOTNULL
  AND g.last_seq NOTNULL
"""
_SPOOL_LOST = """
SELECT max((b.last_boot_ns + p.offset_ns) / 1000000000) FROM gap g
  JOIN batch b ON b.id = g.batch_id JOIN placement p ON p.batch_id = b.id
WHERE b.agent_id = ? AND g.reason = 'spool_lost'
"""


class Listed(NamedTuple):
    """Batches that the agent says are lost."""

    epoch: bytes
    first_seq: int
    last_seq: int


def frontier_s(ledger: SqliteLedger, agent_id: bytes, now_s: int) -> int | None:
    """UTC second until which nothing of this agent's evidence is missing; None for no evidence."""
    epochs = ledger.rows(_EPOCHS, (agent_id,))
    if not epochs:
        return None
    listed = [
        Listed(bytes.fromhex(row[0].decode()), row[1], row[2])
        for row in ledger.rows(_LISTED, (agent_id,))
    ]
    newest_s = max(row[6] for row in epochs)
    spool_lost_s = ledger.rows(_SPOOL_LOST, (agent_id,))[0][0]
    waited_for_s = max(now_s - GIVE_UP_S, spool_lost_s or 0)
    holes = [
        hole_s
        for row in epochs
        for hole_s in _holes(ledger, agent_id, row, listed)
        if hole_s >= waited_for_s
    ]
    return int(min(holes, default=newest_s))


def _holes(ledger: SqliteLedger, agent_id: bytes, row: Row, listed: list[Listed]) -> Iterator[int]:
    """The last known second before each hole of an epoch."""
    epoch, first_seq, highest_seq, received, dangling, first_s, _ = row
    if first_seq == 0 and dangling and all(one.epoch == epoch for one in listed):
        # The end of the life before is not here, and the agent lists nothing of it.
        yield first_s - 1
    if received == highest_seq + 1:
        return
    known_s, expected = first_s - 1, 0
    for seq, at_s in ledger.rows(_SEQS, (agent_id, epoch)):
        if seq != expected and not _is_listed(epoch, expected, seq - 1, listed):
            yield known_s
        known_s, expected = at_s, seq + 1


def _is_listed(epoch: bytes, first_seq: int, last_seq: int, listed: list[Listed]) -> bool:
    return any(
        one.epoch == epoch and one.first_seq <= first_seq and one.last_seq >= last_seq
        for one in listed
    )
