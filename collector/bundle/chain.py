"""Checks of batches: what each is by its receipt, signature and chain, and whether all are there.

Pure. An agent's batches are numbered in its epoch, and each names the one before it by digest, so
what was altered, dropped, put in or moved shows without asking the collector.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from collector.bundle.documents import AgentDocument, Damage, Record, Run
from collector.bundle.lines import Finding, Lines
from collector.bundle.recompute import Received, name_of
from wire import batch as wire_batch
from wire import receipt as wire_receipt
from wire.batch import NO_DIGEST, Batch
from wire.errors import WireError
from wire.receipt import Receipt

RECEIPTS, SIGNATURES, CHAIN = "receipts", "batches", "chain"


class Read(NamedTuple):
    """A batch that is what its agent signed."""

    position: int
    receipt: Receipt
    batch: Batch

    @property
    def received(self) -> Received:
        """As the ledger takes it."""
        return Received(self.batch, self.receipt.received_wall_ns)


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
    for record in records:
        if isinstance(record, Damage):
            text = f"agent {agent.agent_id}, after {before}: {record.text}"
            lines.fail(SIGNATURES, Finding.ALTERED, text)
            break
        one = _read(record, agent, keys, lines, before)
        if one is not None:
            found.append(one)
            before = _short(one.batch)
        else:
            before = f"the batch after {before}"
    return found


def _read(
    record: Record, agent: AgentDocument, keys: Keys, lines: Lines, before: str
) -> Read | None:
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
    name = name_of(batch)
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
    return Read(record.position, receipt, batch)


def _short(batch: Batch) -> str:
    return f"epoch {batch.header.epoch.hex()} seq {batch.header.seq}"


def check(agent: AgentDocument, found: Sequence[Read], lines: Lines) -> None:
    """That the batches are those that the bundle lists, once each, in order and chained."""
    _order(agent, found, lines)
    here: dict[tuple[str, int], Read] = {}
    for one in found:
        key = one.batch.header.epoch.hex(), one.batch.header.seq
        if key in here:
            lines.fail(CHAIN, Finding.INSERTED, f"{name_of(one.batch)}: is here twice")
        here[key] = one
    listed = {
        (run.epoch, seq) for run in agent.runs for seq in range(run.first_seq, run.last_seq + 1)
    }
    for run in _missing(agent.runs, here):
        lines.fail(CHAIN, Finding.MISSING, f"agent {agent.agent_id} {_seqs(run)}: not here")
    for key, one in here.items():
        if key not in listed:
            lines.fail(CHAIN, Finding.INSERTED, f"{name_of(one.batch)}: not listed")
    _links(agent, here, lines)
    for run in agent.absent:
        text = f"agent {agent.agent_id} {_seqs(run)}: never received; their time is unknown"
        lines.say(CHAIN, Finding.NOTED, text)


def _order(agent: AgentDocument, found: Sequence[Read], lines: Lines) -> None:
    """In the order of arrival, which is the tree's."""
    newest = -1
    for one in found:
        if one.position <= newest:
            text = f"{name_of(one.batch)}: leaf {one.position} after leaf {newest}"
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


def _links(agent: AgentDocument, here: dict[tuple[str, int], Read], lines: Lines) -> None:
    """Each names the one before it, and no two name the same."""
    successors: dict[bytes, Read] = {}
    absent = {(run.epoch, run.last_seq) for run in agent.absent}
    for (epoch, seq), one in sorted(here.items()):
        previous = one.batch.header.previous
        before = here.get((epoch, seq - 1))
        if before is not None and before.batch.digest != previous:
            text = f"{name_of(one.batch)}: does not follow seq {seq - 1}"
            lines.fail(CHAIN, Finding.ALTERED, text)
        elif before is None and seq > 0 and (epoch, seq - 1) in absent:
            continue
        if previous == NO_DIGEST:
            if seq != 0:
                text = f"{name_of(one.batch)}: names none before it"
                lines.fail(CHAIN, Finding.ALTERED, text)
            continue
        other = successors.setdefault(previous, one)
        if other is not one:
            text = f"{name_of(one.batch)}: follows the same batch as {_short(other.batch)}"
            lines.fail(CHAIN, Finding.INSERTED, text)
