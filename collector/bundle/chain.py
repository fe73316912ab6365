"""Checks of batches: what each is by its receipt, signature and chain, and whether all are there.

Pure. An agent's batches are numbered in its epoch, and each names the one before it by digest, so
what was altered, dropped, put in or moved shows without asking the collector.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from collector.bundle.documents import AgentDocument, Damage, Record, Run
from collector.bundle.lines import Finding, Lines
from collector.bundle.recompute import Received, name_of
from wire import batch as wire_batch
from wire import receipt as wire_receipt
from wire.batch import NO_DIGEST, Header
from wire.errors import WireError
from wire.receipt import Receipt

MOST_LISTED = 10_000_000
"""Of one agent: twenty years of batches. A list of more is no list of batches."""
RECEIPTS, SIGNATURES, CHAIN = "receipts", "batches", "chain"


class Read(NamedTuple):
    """A batch that is what its agent signed, without its body: there may be millions."""

    place: int
    """Among the agent's records."""
    position: int
    receipt: Receipt
    header: Header

    @property
    def name(self) -> str:
        """As reports name it."""
        return name_of(self.header)


class Keys(NamedTuple):
    """By which batches and receipts are checked."""

    ledger_id: bytes
    collector: bytes


def read(
    records: Iterable[Record | Damage], agent: AgentDocument, keys: Keys, lines: Lines
) -> list[Read]:
    """The batches of an agent that are good, in their order; the others are named."""
    found: list[Read] = []
    before = "the beginning"
    for index, record in enumerate(records):
        if isinstance(record, Damage):
            text = f"agent {agent.agent_id}, after {before}: {record.text}"
            lines.fail(SIGNATURES, Finding.ALTERED, text)
            break
        one = _read(record, agent, keys, lines, before)
        if one is not None:
            found.append(Read(index, record.position, *one))
            before = _short(found[-1].header)
        else:
            before = f"the batch after {before}"
    return found


def _read(
    record: Record, agent: AgentDocument, keys: Keys, lines: Lines, before: str
) -> tuple[Receipt, Header] | None:
    receipt: Receipt | None = None
    name = f"agent {agent.agent_id}, the batch after {before}"
    try:
        receipt = wire_receipt.parse(record.receipt, keys.collector)
        name = f"agent {receipt.agent_id.hex()} epoch {receipt.epoch.hex()} seq {receipt.seq}"
    except WireError as error:
        text = f"agent {agent.agent_id}, the receipt after {before}: {error}"
        lines.fail(RECEIPTS, Finding.ALTERED, text)
    try:
        batch = wire_batch.parse(record.batch)
        wire_batch.verify(batch, bytes.fromhex(agent.public_key))
    except (WireError, ValueError) as error:
        lines.fail(SIGNATURES, Finding.ALTERED, f"{name}: {error}")
        return None
    name = name_of(batch.header)
    if batch.header.agent_id.hex() != agent.agent_id:
        lines.fail(SIGNATURES, Finding.INSERTED, f"{name}: among those of {agent.agent_id}")
        return None
    if receipt is None:
        return None
    told = Receipt(
        keys.ledger_id,
        batch.header.agent_id,
        batch.header.epoch,
        batch.header.seq,
        batch.digest,
        receipt.received_wall_ns,
    )
    if receipt != told:
        lines.fail(RECEIPTS, Finding.ALTERED, f"{name}: its receipt is of another batch")
        return None
    return receipt, batch.header


def _short(header: Header) -> str:
    return f"epoch {header.epoch.hex()} seq {header.seq}"


def check(agent: AgentDocument, found: Sequence[Read], lines: Lines, *, own: bool) -> None:
    """That the batches are those that the bundle lists, once each, in order and chained.

    `own`: the agent is of the link's node, so that its epochs have to follow one another too.
    """
    _order(agent, found, lines)
    here: dict[tuple[str, int], Read] = {}
    for one in found:
        key = one.header.epoch.hex(), one.header.seq
        if key in here:
            lines.fail(CHAIN, Finding.INSERTED, f"{one.name}: is here twice")
        here[key] = one
    count = sum(max(0, run.last_seq + 1 - run.first_seq) for run in agent.runs)
    if count > MOST_LISTED:
        lines.fail(CHAIN, Finding.MISSING, f"agent {agent.agent_id}: {count} batches are listed")
        return
    listed = {
        (run.epoch, seq) for run in agent.runs for seq in range(run.first_seq, run.last_seq + 1)
    }
    for run in _missing(agent.runs, here):
        lines.fail(CHAIN, Finding.MISSING, f"agent {agent.agent_id} {_seqs(run)}: not here")
    for key, one in here.items():
        if key not in listed:
            lines.fail(CHAIN, Finding.INSERTED, f"{one.name}: not listed")
    _links(agent, here, lines, own=own)
    for run in agent.absent:
        text = f"agent {agent.agent_id} {_seqs(run)}: never received; their time is unknown"
        lines.say(CHAIN, Finding.NOTED, text)


def _order(agent: AgentDocument, found: Sequence[Read], lines: Lines) -> None:
    """In the order of arrival, which is the tree's."""
    newest = -1
    for one in found:
        if one.position <= newest:
            text = f"{one.name}: leaf {one.position} after leaf {newest}"
            lines.fail(CHAIN, Finding.REORDERED, text)
        newest = max(newest, one.position)


def _missing(runs: Iterable[Run], here: dict[tuple[str, int], Read]) -> Iterable[Run]:
    for run in runs:
        seqs = range(run.first_seq, run.last_seq + 1)
        gone = [seq for seq in seqs if (run.epoch, seq) not in here]
        start: int | None = None
        for at, seq in enumerate(gone):
            start = seq if start is None else start
            if at + 1 == len(gone) or gone[at + 1] != seq + 1:
                yield Run(epoch=run.epoch, first_seq=start, last_seq=seq)
                start = None


def _seqs(run: Run) -> str:
    if run.first_seq == run.last_seq:
        return f"epoch {run.epoch} seq {run.first_seq}"
    return f"epoch {run.epoch} seq {run.first_seq} to {run.last_seq}"


def _links(
    agent: AgentDocument, here: dict[tuple[str, int], Read], lines: Lines, *, own: bool
) -> None:
    """Each names the one before it, and no two name the same."""
    successors: dict[bytes, Read] = {}
    digests = {one.receipt.batch_digest for one in here.values()}
    absent = {(run.epoch, run.last_seq) for run in agent.absent}
    for (epoch, seq), one in sorted(here.items()):
        previous = one.header.previous
        before = here.get((epoch, seq - 1))
        if before is not None and before.receipt.batch_digest != previous:
            text = f"{one.name}: does not follow seq {seq - 1}"
            lines.fail(CHAIN, Finding.ALTERED, text)
        elif before is None and seq > 0 and (epoch, seq - 1) in absent:
            continue
        if seq == 0 and previous != NO_DIGEST and own and previous not in digests:
            text = f"{one.name}: the batch that it follows is not in the bundle"
            lines.say(CHAIN, Finding.NOTED, text)
        if previous == NO_DIGEST:
            if seq != 0:
                text = f"{one.name}: names none before it"
                lines.fail(CHAIN, Finding.ALTERED, text)
            continue
        other = successors.setdefault(previous, one)
        if other is not one:
            text = f"{one.name}: follows the same batch as {_short(other.header)}"
            lines.fail(CHAIN, Finding.INSERTED, text)


def received(records: Iterable[Record | Damage], good: Sequence[Read]) -> Iterator[Received]:
    """The good ones among an agent's records, as the ledger takes them."""
    wanted = {one.place: one.receipt.received_wall_ns for one in good}
    for index, record in enumerate(records):
        if index in wanted and isinstance(record, Record):
            yield Received(wire_batch.parse(record.batch), wanted[index])
