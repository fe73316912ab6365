"""How complete an agent's evidence is, from how complete each of its epochs is; pure.

Epochs have random ids and may come in any order. The chain says which continues which; where a
spool was lost and the chain with it, the time of the first record decides.
"""

from collections.abc import Sequence
from typing import NamedTuple

from collector.ledger import Head


class EpochReach(NamedTuple):
    """How far one epoch has come."""

    epoch: bytes
    next_seq: int
    missing: int
    begun_wall_ns: int
    settled_wall_ns: int | None
    continues: bytes | None
    """The epoch of the batch that this epoch's first batch names as previous, if both are here."""
    dangling: bool
    """Its first batch is here and names a previous one that is not."""


def head(agent_id: bytes, epochs: Sequence[EpochReach]) -> Head:
    """The agent's Head; `epochs` is not empty."""
    continued = {one.continues for one in epochs}
    newest = max(
        (one for one in epochs if one.epoch not in continued), key=lambda one: one.begun_wall_ns
    )
    settled = newest.settled_wall_ns
    if settled is None:
        # A rejoining agent sends its newest batch first: until the rest is here, the evidence
        # reaches as far as the life before.
        earlier = [one.settled_wall_ns for one in epochs if one.settled_wall_ns is not None]
        settled = max(earlier, default=None)
    missing = sum(one.missing + one.dangling for one in epochs)
    return Head(agent_id, newest.epoch, newest.next_seq, settled, missing)
