"""Checks of what the collector signed about the whole ledger, and of what is proved by it."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple, Protocol

import msgspec
from cryptography import x509

from collector.bundle import chain
from collector.bundle import documents as d
from collector.bundle.given import Given
from collector.bundle.lines import Finding, Lines
from collector.contracts import Contract, Contracts
from collector.inventory import HUB_TARGET, Inventory, Link, Node
from collector.tickets import Revision, Ticket
from collector.tree import head as heads
from collector.tree import leaf, merkle, timestamp
from collector.tree.head import TreeHead
from collector.tree.leaf import LeafKind, StatementKind
from wire.policy import Role

HEADS, TREE, CONTENTS, STAMPS = "heads", "tree", "registers and contracts", "timestamps"
SECOND = 1_000_000_000


class Outside(NamedTuple):
    """What whoever verifies has from elsewhere."""

    key: bytes | None = None
    """The collector's public key."""
    heads: tuple[bytes, ...] = ()
    """Tree heads as they were mailed or published."""
    roots: tuple[x509.Certificate, ...] = ()
    """Of time-stamping authorities that are believed."""
    audits: tuple[Given, ...] = ()
    """Audit documents as they were issued."""


class Signed(Protocol):
    """What of a bundle is under its heads."""

    @property
    def bundle(self) -> d.Bundle:
        """What it is about."""

    @property
    def agents(self) -> list[d.AgentDocument]:
        """Whose batches are here."""

    @property
    def links(self) -> list[d.LinkDocument]:
        """What comparing them needs."""

    @property
    def registers(self) -> d.RegistersDocument:
        """What people told the ledger."""

    @property
    def statements(self) -> list[d.StatementDocument]:
        """What else judging hangs on."""

    @property
    def heads(self) -> list[d.HeadDocument]:
        """The oldest first."""

    @property
    def proof(self) -> d.TreeProof:
        """That everything is under the last of them."""


# --- heads ------------------------------------------------------------------------------------


def check_heads(
    told: Sequence[d.HeadDocument],
    bundle: d.Bundle,
    key: bytes,
    outside: Outside,
    lines: Lines,
) -> None:
    """That the collector signed them, that each begins the next, and what others know of them."""
    signed = [_parsed(k, one, bundle, key, lines) for k, one in enumerate(told)]
    for k in range(1, len(signed)):
        old, new = signed[k - 1], signed[k]
        if old is not None and new is not None:
            _consistent(k, old, new, told[k].consistency, lines)
    last = signed[-1] if signed else None
    moment = bundle.made_wall_ns, bundle.judged_at_s
    if last is not None and moment != (last.wall_ns, last.wall_ns // SECOND):
        text = f"{d.BUNDLE}: made at another moment than the newest head was signed"
        lines.fail(HEADS, Finding.ALTERED, text)
    lines.unless_failed(HEADS, f"{len(told)} heads signed, each the beginning of the next")
    known = {one.head for one in told}
    for one in outside.heads:
        _witnessed(one, known, key, lines)
    _stamps(told, outside.roots, lines)


def _parsed(
    number: int, one: d.HeadDocument, bundle: d.Bundle, key: bytes, lines: Lines
) -> TreeHead | None:
    try:
        head = heads.parse(bytes.fromhex(one.head), key)
    except ValueError as error:
        lines.fail(HEADS, Finding.ALTERED, f"head {number} of the bundle: {error}")
        return None
    if head.ledger_id.hex() != bundle.ledger_id:
        lines.fail(HEADS, Finding.ALTERED, f"head {number} of the bundle: of another ledger")
        return None
    return head


def _consistent(
    number: int, old: TreeHead, new: TreeHead, path: Iterable[str], lines: Lines
) -> None:
    name = f"head {number} of the bundle"
    if new.wall_ns < old.wall_ns:
        text = f"{name}: by the hub's clock it is older than the one before it, which it covers"
        lines.say(HEADS, Finding.NOTED, text)
    try:
        nodes = [bytes.fromhex(one) for one in path]
        merkle.check_consistency((old.size, old.root), (new.size, new.root), nodes)
    except ValueError as error:
        text = f"{name}: the head before it is not its beginning: {error}"
        lines.fail(HEADS, Finding.ALTERED, text)


def _witnessed(data: bytes, known: set[str], key: bytes, lines: Lines) -> None:
    """A head that somebody kept."""
    try:
        head = heads.parse(data, key)
    except ValueError as error:
        lines.fail(HEADS, Finding.ALTERED, f"the head given: {error}")
        return
    name = f"the head given, over {head.size} leaves"
    if data.hex() in known:
        lines.say(HEADS, Finding.HOLDS, f"{name}, is one of the bundle's")
    else:
        text = f"{name}, is none of the bundle's: its history is another, or of another time"
        lines.fail(HEADS, Finding.DIFFERS, text)


def _stamps(
    told: Sequence[d.HeadDocument], roots: Sequence[x509.Certificate], lines: Lines
) -> None:
    count = 0
    for k, one in enumerate(told):
        for authority, answer in one.timestamps:
            count += 1
            try:
                if roots:
                    timestamp.check(bytes.fromhex(answer), bytes.fromhex(one.head), roots)
                else:
                    timestamp.read(bytes.fromhex(answer))
            except ValueError as error:
                text = f"head {k} of the bundle, by {authority}: {error}"
                lines.fail(STAMPS, Finding.ALTERED, text)
    if count and roots:
        lines.unless_failed(STAMPS, f"{count} by authorities whose roots were given")
    elif count:
        text = f"{count}, not checked: give the authority's root with --tsa-ca"
        lines.say(STAMPS, Finding.NOTED, text)
    else:
        lines.say(STAMPS, Finding.NOTED, "none")


# --- the tree ---------------------------------------------------------------------------------


class _Expected(NamedTuple):
    position: int
    leaf: bytes
    name: str


def check_tree(
    told: Signed, batches: dict[str, list[chain.Read]], key: bytes, lines: Lines
) -> None:
    """That batches, registers and statements are under the last head."""
    expected = [
        _Expected(
            one.position,
            leaf.hash_of(LeafKind.BATCH, leaf.of_batch(one.receipt)),
            one.name,
        )
        for some in batches.values()
        for one in some
    ]
    expected += _register_leaves(told.registers)
    expected += [
        _Expected(
            one.position,
            leaf.hash_of(LeafKind.STATEMENT, leaf.of_statement(one.statement)),
            f"{one.statement.kind} {one.statement.name}",
        )
        for one in told.statements
    ]
    known = dict(told.proof.leaves)
    taken: dict[int, str] = {}
    for one in expected:
        if one.position in taken:
            text = f"{one.name}: leaf {one.position} is {taken[one.position]}"
            lines.fail(TREE, Finding.INSERTED, text)
            continue
        taken[one.position] = one.name
        found = known.get(one.position)
        if found is None:
            text = f"{one.name}: no leaf {one.position} is proved"
            lines.fail(TREE, Finding.INSERTED, text)
        elif found != one.leaf:
            text = f"{one.name}: is not what leaf {one.position} of the tree holds"
            lines.fail(TREE, Finding.ALTERED, text)
    for position in sorted(known.keys() - taken.keys()):
        text = f"what leaf {position} of the tree holds is not here, or not as it was"
        lines.fail(TREE, Finding.MISSING, text)
    _root(told, key, lines)
    lines.unless_failed(TREE, f"{len(expected)} leaves under the newest head")


def _root(told: Signed, key: bytes, lines: Lines) -> None:
    try:
        head = heads.parse(bytes.fromhex(told.heads[-1].head), key)
    except (ValueError, IndexError):
        lines.fail(TREE, Finding.MISSING, "there is no head that could cover anything")
        return
    proof = told.proof
    try:
        if proof.size != head.size:
            raise merkle.ProofError(f"it is of {proof.size} leaves, the head of {head.size}")
        if merkle.included_roots(proof.leaves, proof.size, proof.beside) != head.root:
            raise merkle.ProofError("it leads to another root")
    except merkle.ProofError as error:
        lines.fail(TREE, Finding.ALTERED, f"{d.TREE} does not prove the newest head: {error}")


def _register_leaves(registers: d.RegistersDocument) -> list[_Expected]:
    found = []
    for one in registers.maintenance:
        body = leaf.of_maintenance(one.id, one.notice, one.recorded)
        name = f"maintenance entry {one.id}"
        found.append(_Expected(one.position, leaf.hash_of(LeafKind.MAINTENANCE, body), name))
        if (one.cancelled is None) != (one.cancelled_position is None):
            found.append(_Expected(-1, b"", f"cancellation of {name}"))
        elif one.cancelled is not None:
            body = leaf.of_cancellation(one.id, one.cancelled)
            place = one.cancelled_position or 0
            hashed = leaf.hash_of(LeafKind.CANCELLATION, body)
            found.append(_Expected(place, hashed, f"cancellation of {name}"))
    for taken in registers.imports:
        body = leaf.of_tickets(taken.taken, taken.tickets)
        hashed = leaf.hash_of(LeafKind.TICKETS, body)
        found.append(_Expected(taken.position, hashed, f"ticket file {taken.taken.id}"))
    return found


# --- what else judging hangs on ---------------------------------------------------------------


def check_contents(told: Signed, lines: Lines) -> tuple[Inventory, Contracts] | None:
    """The link, its node and its contracts as they were stated last; None where they cannot be
    read. Also that agents and tickets are those under the head."""
    _agents(told, lines)
    _tickets(told.registers, lines)
    newest = {(one.statement.kind, one.statement.name): one.statement for one in told.statements}
    try:
        link = msgspec.json.decode(newest[StatementKind.LINK, told.bundle.link].body, type=Link)
        node = msgspec.json.decode(newest[StatementKind.NODE, link.node].body, type=Node)
        contracts = [
            msgspec.json.decode(one.body, type=Contract)
            for (kind, _), one in newest.items()
            if kind is StatementKind.CONTRACT
        ]
    except (KeyError, msgspec.MsgspecError, ValueError) as error:
        text = f"{d.STATEMENTS}: no link, node or contract that could be judged by: {error}"
        lines.fail(CONTENTS, Finding.MISSING, text)
        return None
    for one in contracts:
        if one.link != link.id:
            text = f"contract {one.reference}: of link {one.link}"
            lines.fail(CONTENTS, Finding.INSERTED, text)
            return None
    _same_link(told, link, lines)
    names = ", ".join(f"{one.reference} ({one.digest()[:16]})" for one in contracts) or "none"
    lines.unless_failed(CONTENTS, f"as they were stated; contracts {names}")
    text = (
        f"the collector's word alone: {d.HUB} (when it ran), {d.WORLD} (the other links), and that"
        f" nothing was left out of {d.REGISTERS}"
    )
    lines.say(CONTENTS, Finding.NOTED, text)
    told_by = Contracts(tuple(contracts))
    # A plan of throughput tests without rates has those of the contract, as at the hub.
    inventory = Inventory(
        (node,), (link,), lambda one: told_by.promise(one, told.bundle.judged_at_s)
    )
    return inventory, told_by


def _same_link(told: Signed, link: Link, lines: Lines) -> None:
    """That what the link is compared by is what was stated of it."""
    roles = {one.name: one.role for one in link.targets} | {HUB_TARGET: Role.HUB}
    listed = [(one.node, one.pop, one.roles) for one in told.links if one.link == told.bundle.link]
    if listed != [(link.node, link.pop, roles)]:
        text = f"{d.WORLD}: link {link.id} is not as it was stated"
        lines.fail(CONTENTS, Finding.ALTERED, text)


def _agents(told: Signed, lines: Lines) -> None:
    """That keys are those of the enrolments under the head."""
    stated = {
        one.statement.name: one.statement.body
        for one in told.statements
        if one.statement.kind is StatementKind.AGENT
    }
    fields = (
        "agent_id",
        "node",
        "public_key",
        "exchange_key",
        "enrolled_wall_ns",
        "revoked_wall_ns",
        "version",
    )
    for agent in told.agents:
        body = leaf.canonical({name: getattr(agent, name) for name in fields}).decode()
        if stated.get(agent.agent_id) != body:
            text = f"agent {agent.agent_id}: not as its enrolment was stated"
            lines.fail(CONTENTS, Finding.ALTERED, text)


def _tickets(registers: d.RegistersDocument, lines: Lines) -> None:
    known = {one.taken.id: set(one.tickets) for one in registers.imports}
    for one in registers.tickets:
        ticket = Ticket(one.provider, one.ticket, one.link, one.start_s, one.end_s, one.cause)
        digest = leaf.ticket_digest(Revision(ticket, one.revision, one.import_id))
        if digest not in known.get(one.import_id, set()):
            text = f"ticket {one.ticket} revision {one.revision}: not in file {one.import_id}"
            lines.fail(CONTENTS, Finding.ALTERED, text)
