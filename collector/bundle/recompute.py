"""Does with a bundle's batches what the collector did with them, in a ledger made for it.

Nothing is computed here: batches are read, stored, woven and judged by the very code that runs at
the hub, so that there is one implementation of every number.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import NamedTuple

import apsw

from collector.answers import Answers
from collector.audit.evidence import Span
from collector.audit.rules import Terms
from collector.bundle.documents import AgentDocument, Bundle, LinkDocument, RegistersDocument
from collector.bundle.statement import Stores
from collector.contracts import Contracts
from collector.inventory import Inventory
from collector.ledger import Agent, Entry
from collector.ledger.derived import DerivedStore
from collector.ledger.outages import OutageStore
from collector.ledger.sqlite import SqliteLedger
from collector.maintenance import Entry as RegisterEntry
from collector.reading import CPE_TARGET, Scope, read
from collector.settle.derive import Speaker
from collector.settle.judge import Judge, Known, Part
from collector.settle.settler import Settler
from collector.settle.world import known
from collector.tickets import Revision, Ticket
from wire.batch import Batch, Header
from wire.errors import WireError
from wire.policy import Role

STORE_AT_ONCE = 250
Progress = Callable[[str, int], None]
"""(what is done, how many pieces of it)"""


class Received(NamedTuple):
    """A batch and when the hub received it."""

    batch: Batch
    received_wall_ns: int


class Papers(NamedTuple):
    """What a bundle says besides the batches."""

    bundle: Bundle
    agents: Sequence[AgentDocument]
    links: Sequence[LinkDocument]
    registers: RegistersDocument
    hub: Sequence[tuple[int, int]]
    """(began_s, alive_s) of each run of the collector."""
    promised: tuple[Inventory, Contracts]
    """The link with its node, and its contracts."""


class Recomputed(NamedTuple):
    """The result."""

    stores: Stores
    refused: list[str]
    """Batches that the ledger would not take, and why."""
    windows: list[Span]
    """In which the link's causes have to be compared with others."""


class StatedReaches:
    """How far each link's evidence is whole, as the bundle says: a bundle has holes of its own."""

    def __init__(self, derived: DerivedStore, links: Iterable[LinkDocument]) -> None:
        self._derived = derived
        self._stated = {one.link: one.reach_s for one in links}

    def forget(self, changed: Iterable[tuple[str, int]]) -> list[bytes]:
        """Nothing was remembered."""
        return []

    def forget_all(self) -> None:
        """Nothing was remembered."""

    def frontier(self, link: str, agents: Iterable[Agent], now_s: int) -> int | None:
        """As stated, but never beyond what the batches show."""
        stated, lived_s = self._stated.get(link), self._derived.last_journal(link)
        return None if stated is None or lived_s is None else min(stated, lived_s)

    def whole(self, link: str, agents: Iterable[Agent], now_s: int) -> Span | None:
        """From the first second that is here to there."""
        first, frontier = self._derived.first_known(link), self.frontier(link, agents, now_s)
        if first is None or frontier is None or first >= frontier:
            return None
        return Span(first, frontier)


def register_entries(registers: RegistersDocument) -> list[RegisterEntry]:
    """The maintenance register as it was."""
    return [
        RegisterEntry(one.id, one.notice, one.recorded, one.cancelled)
        for one in registers.maintenance
    ]


def tickets(registers: RegistersDocument) -> list[Revision]:
    """The link's tickets as the register keeps them."""
    return [
        Revision(
            Ticket(one.provider, one.ticket, one.link, one.start_s, one.end_s, one.cause),
            one.revision,
            one.import_id,
        )
        for one in registers.tickets
    ]


def agent_of(told: AgentDocument) -> Agent:
    """The agent as a ledger knows it. Raises ValueError for what is no hex."""
    return Agent(
        bytes.fromhex(told.agent_id),
        told.node,
        bytes.fromhex(told.public_key),
        bytes.fromhex(told.exchange_key),
        told.enrolled_wall_ns,
        told.revoked_wall_ns,
        told.version,
    )


def recompute(
    ledger: SqliteLedger,
    papers: Papers,
    batches: Mapping[str, Iterable[Received]],
    progress: Progress = lambda what, count: None,
) -> Recomputed:
    """Judge the bundle's link in this empty ledger; `batches` are by agent, in order of arrival."""
    with ledger.transaction() as db:
        for told in papers.agents:
            db.execute("INSERT INTO agent VALUES (?,?,?,?,?,?,?)", agent_of(told))
    derived, kept = DerivedStore(ledger), OutageStore(ledger)
    with ledger.transaction() as db:
        _keep_hub(db, papers.hub)
    refused: list[str] = []
    voices = _Voices(papers)
    for told in papers.agents:
        entries = voices.entries(told, batches.get(told.agent_id, ()), refused)
        while group := list(islice(entries, STORE_AT_ONCE)):
            for entry, stored in zip(group, ledger.store(group), strict=True):
                if stored.refusal is not None:
                    refused.append(f"{name_of(entry.batch.header)}: {stored.detail}")
            progress("stored", len(group))
    settler = Settler(derived, voices.speaker)
    while settler.busy():
        before = derived.behind()
        settler.step()
        progress("read", before - derived.behind())
    world = _world(papers)
    judge = Judge(ledger, derived, kept, lambda: world, StatedReaches(derived, papers.links))
    link, now_s = papers.bundle.link, papers.bundle.judged_at_s
    while judge.step(now_s, only={link}):
        progress("judged", 1)
    whole = judge.around(link, papers.bundle.around, now_s)
    return Recomputed(
        Stores(kept, derived, Answers(kept, derived, lambda: papers.promised)),
        refused,
        [] if whole is None else judge.compared(link, papers.bundle.around, now_s),
    )


def name_of(header: Header) -> str:
    """A batch as reports name it."""
    return f"agent {header.agent_id.hex()} epoch {header.epoch.hex()} seq {header.seq}"


def _keep_hub(db: apsw.Connection, runs: Iterable[tuple[int, int]]) -> None:
    for began_s, alive_s in runs:
        db.execute("INSERT INTO hub_run VALUES (NULL,?,?)", (began_s, alive_s))


class _Voices:
    """Who speaks of what, by the bundle."""

    def __init__(self, papers: Papers) -> None:
        self._roles: dict[tuple[str, str], Role] = {}
        self._links_of: dict[str, list[str]] = defaultdict(list)
        for link in papers.links:
            self._links_of[link.node].append(link.link)
            self._roles |= {(link.link, name): role for name, role in link.roles.items()}
        self._all = [one.link for one in papers.links]
        self._agents = {bytes.fromhex(one.agent_id): one for one in papers.agents}

    def entries(
        self, told: AgentDocument, batches: Iterable[Received], refused: list[str]
    ) -> Iterator[Entry]:
        """The batches as the ledger takes them; those that cannot be read are noted."""
        own = self._all if told.outside else self._links_of[told.node]
        scope = Scope(own, [] if told.outside else self._all, outside=told.outside)
        for batch, received_wall_ns in batches:
            try:
                yield read(batch, received_wall_ns, scope)
            except WireError as error:
                refused.append(f"{name_of(batch.header)}: {error}")

    def speaker(self, agent_id: bytes) -> Speaker | None:
        """What an agent may tell the audit."""
        told = self._agents.get(agent_id)
        if told is None:
            return None
        own = tuple(self._links_of[told.node])
        if told.outside:
            return Speaker(own, lambda link, target: Role.CPE if target == CPE_TARGET else None)
        return Speaker(own, lambda link, target: self._roles.get((link, target)))


def _world(papers: Papers) -> Mapping[str, Known]:
    agents: dict[str, list[Agent]] = defaultdict(list)
    for told in papers.agents:
        agents[told.node].append(agent_of(told))
    found: dict[str, Known] = {}
    for one in papers.links:
        parts = tuple(
            Part(rule.span, Terms(unavailability=rule.unavailability), ()) for rule in one.rules
        )
        found[one.link] = Known(one.pop, tuple(agents[one.node]), parts, "")
    inventory, contracts = papers.promised
    link = inventory.links[papers.bundle.link]
    found[link.id] = known(
        link,
        (inventory, contracts),
        tuple(agents[link.node]),
        register_entries(papers.registers),
    )
    return found
