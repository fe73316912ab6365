"""Writes an evidence bundle: everything that `choose` names, and what the collector says of it."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import BinaryIO, NamedTuple

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from collector.answers import Answers
from collector.audit.evidence import Span
from collector.bundle import audits, container
from collector.bundle import documents as d
from collector.bundle.choose import Books, Chosen, choose
from collector.bundle.container import Member, of_bytes
from collector.bundle.statement import Stores, Wanted, history, statement
from collector.contracts import Contracts
from collector.inventory import HUB_TARGET, Inventory, NodeKind
from collector.ledger import Agent, LedgerError
from collector.ledger.derived import DerivedStore
from collector.ledger.outages import OutageStore
from collector.ledger.sqlite import SqliteLedger
from collector.maintenance import Entry, covering
from collector.report.settings import TOLERANCE_S
from collector.settle.judge import Judge, Known
from collector.settle.world import Worlds
from collector.tickets import Revision
from collector.tree.leaf import LeafKind, StatementKind
from collector.tree.service import World, bring_up
from collector.tree.store import KeptHead, TreeStore
from runtime.clock import SECOND, Clock
from runtime.version import VERSION
from wire.batch import HEADER_BYTES, SIGNATURE_BYTES
from wire.policy import Role
from wire.receipt import Receipt

DAY_S = 86_400
Progress = Callable[[str, int, int], None]
"""(what is done, pieces done, pieces there are)"""


class Source(NamedTuple):
    """A collector's data folder, open."""

    ledger: SqliteLedger
    promised: tuple[Inventory, Contracts]
    key: Ed25519PrivateKey
    clock: Clock
    tolerance_s: int = TOLERANCE_S
    """Between outages and tickets, in the audits."""


class Written(NamedTuple):
    """What a bundle holds."""

    batches: int
    agents: int
    others: int
    """Links besides the one that it is about."""
    windows: int
    bytes: int
    months: audits.Months
    """Those with an audit, and those without."""
    head: KeptHead
    """Covers all of it."""


def export(
    source: Source,
    link: str,
    span: Span,
    file: Path,
    progress: Progress = lambda what, done, whole: None,
) -> Written:
    """Write the bundle of a link's period; the file is there whole or not at all.

    Raises FileExistsError for a file that is there, LedgerError where there is no evidence, OSError
    where the disk is full.
    """
    if file.exists():
        raise FileExistsError(f"{file} is there already; a bundle is never overwritten")
    part = file.with_name(f"{file.name}.part")
    try:
        with part.open("xb") as out:
            written = _Export(source, link, span, progress).write(out)
            out.flush()
            os.fsync(out.fileno())
        os.link(part, file)
    finally:
        part.unlink(missing_ok=True)
    folder = os.open(file.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
    return written


class _Export:
    """One export."""

    def __init__(self, source: Source, link: str, span: Span, progress: Progress) -> None:
        self._source, self._link, self._span, self._progress = source, link, span, progress
        self._ledger, self._tree = source.ledger, TreeStore(source.ledger)
        self._inventory, self._contracts = source.promised
        self._now_ns = source.clock.wall_ns()
        if link not in self._inventory.links:
            raise LedgerError(f"no link {link!r} in the links file")
        derived, kept = DerivedStore(self._ledger), OutageStore(self._ledger)
        self._stores = Stores(kept, derived, Answers(kept, derived, lambda: source.promised))
        worlds = Worlds(self._ledger, lambda: source.promised)
        self._world = worlds.now()
        judge = Judge(self._ledger, derived, kept, worlds.now)
        self._books = Books(self._ledger, derived, judge, self._world)
        self._wanted = Wanted(link, span, self._now_ns // SECOND)

    def write(self, out: BinaryIO) -> Written:
        """Into an empty file. Raises LedgerError or OSError."""
        self._check_judged()
        self._progress("choosing", 0, 1)
        chosen = choose(self._books, self._link, self._span, self._wanted.now_s)
        world = World(self._inventory, self._contracts, self._ledger.agents())
        newest = max(max(ids) for ids in chosen.batches.values())
        for _ in bring_up(self._tree, world, self._now_ns):
            self._progress("taking evidence into the tree", self._tree.size, newest)
        head = self._tree.sign(self._source.key, self._now_ns)
        members = self._members(chosen, head)
        whole = sum(one.size for one in members)
        done = 0
        for count in container.write(out, members, self._source.key):
            done += count
            self._progress("writing", done, whole)
        return Written(
            sum(map(len, chosen.batches.values())),
            len(chosen.batches),
            len(set(chosen.reaches) - {self._link}),
            len(chosen.windows),
            out.tell(),
            audits.months(self._contracts, self._wanted),
            head,
        )

    def _check_judged(self) -> None:
        """Raises LedgerError where what is here of the period is not all judged: what the collector
        says would be of less than what the bundle holds."""
        derived, end_s = self._stores.derived, self._span.end_s
        unread = derived.unread_before(
            [one.agent_id for one in self._world[self._link].agents], end_s
        )
        judged_s = self._stores.kept.judged_until(self._link)
        waiting = derived.rejudge().get(self._link)
        again = (
            waiting is not None
            and judged_s is not None
            and waiting.start_s < min(end_s, judged_s)
            and waiting.end_s > self._span.start_s
        )
        if unread or again:
            raise LedgerError(
                f"not all evidence of link {self._link} before the end of the period is judged yet"
                f" ({unread} batches wait): try again while the collector runs, or end it earlier"
            )

    def _members(self, chosen: Chosen, head: KeptHead) -> list[Member]:
        agents = {one.agent_id: one for one in self._ledger.agents()}
        speaking = [agents[agent_id] for agent_id in chosen.batches]
        statements = self._statements(speaking)
        registers = self._registers()
        places = {
            agent_id: [self._place(LeafKind.BATCH, one) for one in ids]
            for agent_id, ids in chosen.batches.items()
        }
        positions = sorted(
            {
                *(one for some in places.values() for one in some),
                *(one.position for one in statements),
                *(one.position for one in registers.maintenance),
                *(
                    one.cancelled_position
                    for one in registers.maintenance
                    if one.cancelled_position is not None
                ),
                *(one.position for one in registers.imports),
            }
        )
        self._progress("proving", 0, 1)
        proof = d.TreeProof(head.head.size, *self._tree.inclusions(positions, head.head.size))
        documents: dict[str, object] = {
            d.BUNDLE: self._bundle(chosen),
            d.AGENTS: [self._agent(one, chosen) for one in speaking],
            d.WORLD: self._links(chosen),
            d.REGISTERS: registers,
            d.STATEMENTS: statements,
            d.HUB: self._hub(chosen),
            d.HEADS: self._heads(head),
            d.SAID: statement(self._stores, self._wanted),
            d.HISTORY: history(self._stores.kept, self._link, self._span),
        }
        ground = audits.Ground(
            self._ledger,
            self._stores,
            self._source.promised,
            self._wanted,
            self._source.tolerance_s,
        )
        return [
            *(of_bytes(name, d.canonical(told)) for name, told in documents.items()),
            of_bytes(d.TREE, proof.pack()),
            *(of_bytes(d.AUDITS + name, data) for name, data in audits.written(ground).items()),
            *(
                Member(
                    d.BATCHES + agent_id.hex(),
                    self._size(ids),
                    self._records(ids, places[agent_id]),
                )
                for agent_id, ids in chosen.batches.items()
            ),
        ]

    # --- documents ------------------------------------------------------------------------

    def _bundle(self, chosen: Chosen) -> d.Bundle:
        return d.Bundle(
            link=self._link,
            from_s=self._span.start_s,
            to_s=self._span.end_s,
            made_wall_ns=self._now_ns,
            judged_at_s=self._wanted.now_s,
            software=VERSION,
            ledger_id=self._ledger.ledger_id.hex(),
            around=chosen.around,
            windows=chosen.windows,
        )

    def _agent(self, agent: Agent, chosen: Chosen) -> d.AgentDocument:
        node = self._inventory.nodes.get(agent.node)
        ids = chosen.batches[agent.agent_id]
        return d.AgentDocument(
            agent_id=agent.agent_id.hex(),
            node=agent.node,
            public_key=agent.public_key.hex(),
            exchange_key=agent.exchange_key.hex(),
            enrolled_wall_ns=agent.enrolled_wall_ns,
            revoked_wall_ns=agent.revoked_wall_ns,
            version=agent.version,
            outside=node is not None and node.kind is NodeKind.HUB,
            runs=d.runs_of(self._names(ids)),
            absent=self._absent(agent, chosen.own),
        )

    def _names(self, ids: Sequence[int]) -> Iterator[tuple[bytes, int]]:
        for one in ids:
            ((epoch, seq),) = self._ledger.rows("SELECT epoch, seq FROM batch WHERE id=?", (one,))
            yield epoch, seq

    def _absent(self, agent: Agent, own: Span) -> tuple[d.Run, ...]:
        """Of the link's own agents: numbers that others show to exist and that never came."""
        if agent not in self._world[self._link].agents:
            return ()
        rows = self._ledger.rows(
            "SELECT DISTINCT b.epoch, b.seq FROM stretch s JOIN batch b ON b.id=s.batch_id"
            " WHERE s.link=? AND b.agent_id=? AND s.to_s>=? AND s.from_s<? ORDER BY 1, 2",
            (self._link, agent.agent_id, own.start_s, own.end_s),
        )
        found = []
        for (epoch, seq), (after, next_seq) in pairwise(rows):
            if epoch == after and next_seq > seq + 1:
                found.append(d.Run(epoch=epoch.hex(), first_seq=seq + 1, last_seq=next_seq - 1))
        return tuple(found)

    def _links(self, chosen: Chosen) -> list[d.LinkDocument]:
        wanted = {*chosen.reaches, *(one.id for one in self._inventory.links_of(self._node))}
        return [self._told(link, self._world[link], chosen) for link in sorted(wanted)]

    @property
    def _node(self) -> str:
        return self._inventory.links[self._link].node

    def _told(self, link: str, known: Known, chosen: Chosen) -> d.LinkDocument:
        told = self._inventory.links[link]
        roles: dict[str, Role] = {one.name: one.role for one in told.targets}
        return d.LinkDocument(
            link=link,
            node=told.node,
            pop=known.pop,
            roles=roles | {HUB_TARGET: Role.HUB},
            reach_s=chosen.reaches.get(link),
            rules=tuple(
                d.Rule(span=one.span, unavailability=one.terms.unavailability)
                for one in known.parts
                if one.span.overlap_s(chosen.own)
            ),
        )

    def _entries(self) -> list[Entry]:
        link = self._inventory.links[self._link]
        return covering(self._ledger.registers.maintenance(), link, self._inventory)

    def _tickets(self) -> list[Revision]:
        return [one for one in self._ledger.registers.tickets() if one.ticket.link == self._link]

    def _registers(self) -> d.RegistersDocument:
        registers, entries, tickets = self._ledger.registers, self._entries(), self._tickets()
        imports = registers.imports()
        return d.RegistersDocument(
            maintenance=tuple(
                d.EntryDocument(
                    id=one.id,
                    notice=one.notice,
                    recorded=one.recorded,
                    cancelled=one.cancelled,
                    position=self._place(LeafKind.MAINTENANCE, one.id),
                    cancelled_position=None
                    if one.cancelled is None
                    else self._place(LeafKind.CANCELLATION, one.id),
                )
                for one in entries
            ),
            imports=tuple(
                d.ImportDocument(
                    taken=imports[number],
                    tickets=tuple(registers.ticket_digests(number)),
                    position=self._place(LeafKind.TICKETS, number),
                )
                for number in sorted({one.import_id for one in tickets})
            ),
            tickets=tuple(
                d.TicketDocument(
                    **one.ticket._asdict(), revision=one.revision, import_id=one.import_id
                )
                for one in tickets
            ),
        )

    def _statements(self, agents: Sequence[Agent]) -> list[d.StatementDocument]:
        contracts = [f"{one.link} {one.first_day}" for one in self._contracts.of(self._link)]
        wanted: Mapping[StatementKind, Sequence[str]] = {
            StatementKind.NODE: [self._node],
            StatementKind.LINK: [self._link],
            StatementKind.CONTRACT: contracts,
            StatementKind.AGENT: [one.agent_id.hex() for one in agents],
        }
        return [
            d.StatementDocument(
                position=self._place(LeafKind.STATEMENT, number), statement=statement
            )
            for kind, names in wanted.items()
            for name in names
            for number, statement in self._tree.statements(kind, name)
        ]

    def _hub(self, chosen: Chosen) -> list[tuple[int, int]]:
        """The collector's runs that touch what is judged, and the ones beside them."""
        rows = self._ledger.rows("SELECT began_s, alive_s FROM hub_run ORDER BY began_s, id")
        low, high = chosen.own.start_s - DAY_S, chosen.own.end_s + DAY_S
        before = [row for row in rows if row[1] < low][-1:]
        after = [row for row in rows if row[0] > high][:1]
        return [*before, *(row for row in rows if row[1] >= low and row[0] <= high), *after]

    def _heads(self, newest: KeptHead) -> list[d.HeadDocument]:
        start_ns = self._span.start_s * SECOND
        heads = [one for one in self._tree.heads_within(start_ns, 2**62) if one.id <= newest.id]
        found = []
        before: KeptHead | None = None
        for one in heads:
            path = [] if before is None else self._tree.consistency(before.head.size, one.head.size)
            stamps = self._tree.timestamps(one.id)
            found.append(
                d.HeadDocument(
                    head=one.data.hex(),
                    consistency=tuple(node.hex() for node in path),
                    timestamps=tuple((name, answer.hex()) for name, answer in stamps),
                )
            )
            before = one
        return found

    # --- batches --------------------------------------------------------------------------

    def _place(self, kind: LeafKind, row_id: int) -> int:
        position = self._tree.place_of(kind, row_id)
        if position is None:
            raise LedgerError(f"{kind} {row_id} is not in the tree")
        return position

    def _size(self, ids: Sequence[int]) -> int:
        size = 0
        for one in ids:
            ((body,),) = self._ledger.rows("SELECT length(body) FROM batch WHERE id=?", (one,))
            size += d.RECORD_BYTES + HEADER_BYTES + SIGNATURE_BYTES + body
        return size

    def _records(self, ids: Sequence[int], places: Sequence[int]) -> Iterator[bytes]:
        for one, position in zip(ids, places, strict=True):
            ((agent_id, epoch, seq, digest, received, header, signature, body),) = (
                self._ledger.rows(
                    "SELECT agent_id, epoch, seq, digest, received_wall_ns, header, signature,"
                    " body FROM batch WHERE id=?",
                    (one,),
                )
            )
            receipt = Receipt(self._ledger.ledger_id, agent_id, epoch, seq, digest, received)
            data = header + signature + body
            yield d.Record(position, receipt.sign(self._source.key), data).pack()
