"""Who may test when: the hub's slots, pure, `now` is an argument.

Two rules that nothing breaks: never two tests on one PoP (they would measure each other), and never
more load than the hub carries. The exception to the first is wanted: a group, whose members were
ordered to load their PoP together, and which begins when all of them are there.

First come, first served. Who asked earlier and waits still keeps what it waits for from those who
came later, so nobody starves; who does not come back when told loses its place, so nobody who
vanished holds the others up. A slot that nobody gives back ends by itself.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from wire.slot import Direction

SECOND = 1_000_000_000
BEGIN_S = 10.0
"""A slot has to be begun so long after its time."""
SETTLE_S = 5.0
"""Handshake and last words after the load."""
GRACE_S = 20.0
"""Who waits keeps its place for so long after it was to ask again."""
SOONEST_S, LATEST_S = 2.0, 30.0
"""Bounds of what a waiting agent is told."""
TOGETHER_S = 12.0
"""A group begins so long after the last of it asked: by then all have fetched their grants."""


class Group(NamedTuple):
    """Slots that are wanted at the same moment."""

    name: str
    size: int


class Ask(NamedTuple):
    """What an agent wants to load."""

    agent_id: bytes
    link: str
    pop: str
    direction: Direction
    bits_per_s: int
    """Of the hub's capacity; 0 where the load does not pass the hub."""
    duration_s: float
    order_id: str | None = None
    group: Group | None = None


class Running(NamedTuple):
    """A slot that was given."""

    slot_id: str
    ask: Ask
    begins_ns: int
    ends_ns: int
    """When it ends by itself."""


class Given(NamedTuple):
    """A slot, and in how long it begins."""

    slot: Running
    wait_s: float


class Later(NamedTuple):
    """Not now."""

    wait_s: float
    ahead: int
    """Others that asked earlier and wait still."""
    group_missing: int = 0
    """Members of the group that have not asked yet."""


@dataclass
class _Ticket:
    ask: Ask
    expires_ns: int


class Slots:
    """All slots of one hub."""

    def __init__(self, capacity_bits_per_s: int, new_id: Callable[[], str]) -> None:
        self._capacity = capacity_bits_per_s
        self._new_id = new_id
        self._running: dict[bytes, Running] = {}
        self._queue: dict[bytes, _Ticket] = {}
        """In the order of asking; an agent waits once."""

    @property
    def running(self) -> tuple[Running, ...]:
        """Slots that were given and have not ended."""
        return tuple(self._running.values())

    @property
    def waiting(self) -> tuple[Ask, ...]:
        """Who waits, the first first."""
        return tuple(ticket.ask for ticket in self._queue.values())

    def fits(self, bits_per_s: int) -> bool:
        """Whether the hub could ever carry it."""
        return bits_per_s <= self._capacity

    def tidy(self, now_ns: int) -> list[Running]:
        """Let go of who did not come back; returns the slots that ended by themselves."""
        over = [one for one in self._running.values() if one.ends_ns <= now_ns]
        for one in over:
            del self._running[one.ask.agent_id]
        for agent_id, ticket in list(self._queue.items()):
            if ticket.expires_ns <= now_ns:
                del self._queue[agent_id]
        return over

    def end(self, agent_id: bytes, slot_id: str) -> Running | None:
        """The agent has done with its slot."""
        one = self._running.get(agent_id)
        if one is None or one.slot_id != slot_id:
            return None
        return self._running.pop(agent_id)

    def former(self, ask: Ask, now_ns: int) -> Running | None:
        """The slot that this question ends: a box does one thing at a time.

        None where the question is a group's and its slot is still to begin: that is its answer.
        """
        one = self._running.get(ask.agent_id)
        if one is None or (one.ask == ask and one.ask.group and one.begins_ns > now_ns):
            return None
        return self._running.pop(ask.agent_id)

    def ask(self, ask: Ask, now_ns: int) -> Given | Later:
        """A slot, or when to ask again. `tidy` and `former` come first."""
        given = self._running.get(ask.agent_id)
        if given is not None:
            return Given(given, (given.begins_ns - now_ns) / SECOND)
        ticket = self._queue.get(ask.agent_id)
        if ticket is None or ticket.ask != ask:
            self._queue.pop(ask.agent_id, None)
            self._queue[ask.agent_id] = ticket = _Ticket(ask, 0)
        older = list(self._older(ask.agent_id))
        missing = self._missing(ask)
        if missing == 0 and self._room(ask, older):
            return self._give(ask, now_ns)
        wait_s = self._wait_s(ask, now_ns)
        ticket.expires_ns = now_ns + int((wait_s + GRACE_S) * SECOND)
        return Later(wait_s, len(older), missing)

    def _older(self, agent_id: bytes) -> Iterator[Ask]:
        """Who asked before and is to be served before."""
        own = self._queue[agent_id].ask
        for other_id, ticket in self._queue.items():
            if other_id == agent_id:
                return
            together = own.group is not None and ticket.ask.group == own.group
            # A group that is not complete holds up nobody: who knows whether it ever will be.
            if not together and self._missing(ticket.ask) == 0:
                yield ticket.ask

    def _members(self, ask: Ask) -> list[Ask]:
        if ask.group is None:
            return [ask]
        return [one.ask for one in self._queue.values() if one.ask.group == ask.group]

    def _missing(self, ask: Ask) -> int:
        return 0 if ask.group is None else ask.group.size - len(self._members(ask))

    def _room(self, ask: Ask, older: list[Ask]) -> bool:
        members, running = self._members(ask), [one.ask for one in self._running.values()]
        busy = {one.pop for one in running}
        taken = busy | {one.pop for one in older}
        if any(one.pop in taken for one in members):
            return False
        # Those who wait for their PoP need no capacity yet; the others come first.
        ahead = [one for one in older if one.pop not in busy]
        return all(
            wanted == 0 or wanted + _load(running + ahead, direction) <= self._capacity
            for direction in Direction
            for wanted in (_load(members, direction),)
        )

    def _give(self, ask: Ask, now_ns: int) -> Given:
        wait_s = TOGETHER_S if ask.group is not None else 0.0
        begins_ns = now_ns + int(wait_s * SECOND)
        for one in self._members(ask):
            ends_ns = begins_ns + int((BEGIN_S + one.duration_s + SETTLE_S) * SECOND)
            self._running[one.agent_id] = Running(self._new_id(), one, begins_ns, ends_ns)
            del self._queue[one.agent_id]
        return Given(self._running[ask.agent_id], wait_s)

    def _wait_s(self, ask: Ask, now_ns: int) -> float:
        """Until the first of those ends who may be in the way."""
        if ask.group is not None:
            return SOONEST_S
        ends = [
            one.ends_ns
            for one in self._running.values()
            if one.ask.pop == ask.pop or one.ask.direction is ask.direction
        ]
        soonest_s = (min(ends) - now_ns) / SECOND if ends else SOONEST_S
        return min(LATEST_S, max(SOONEST_S, soonest_s))

    def forget(self, agent_id: bytes) -> Running | None:
        """The agent is no longer welcome."""
        self._queue.pop(agent_id, None)
        return self._running.pop(agent_id, None)


def _load(asks: list[Ask], direction: Direction) -> int:
    return sum(one.bits_per_s for one in asks if one.direction is direction)
