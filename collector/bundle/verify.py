"""Checks a bundle on a machine that has nothing else, and computes every number of it anew.

What is signed is checked first: the file, the heads, the receipts, every batch by its agent's own
key. Then the batches are judged by the code that judged them at the hub, and what comes out is
compared with what the bundle says.
"""

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, TypeVar

import msgspec

from collector.bundle import chain
from collector.bundle import documents as d
from collector.bundle.anew import Anew
from collector.bundle.container import MANIFEST, SIGNATURE, Container, signed_by
from collector.bundle.lines import Finding, Lines
from collector.bundle.proofs import Outside, check_contents, check_heads, check_tree
from collector.bundle.recompute import Papers, Progress, Recomputed, recompute
from collector.bundle.statement import SECTIONS, Wanted, plain, section, statement, touches
from collector.ledger import LedgerError
from collector.ledger.outages import Lane
from collector.ledger.sqlite import SqliteLedger
from runtime.version import VERSION

FILE, MEMBERS, SAID = "file", "members", "findings"
T = TypeVar("T")
_FIXED = (
    d.BUNDLE,
    d.AGENTS,
    d.WORLD,
    d.REGISTERS,
    d.STATEMENTS,
    d.HUB,
    d.HEADS,
    d.SAID,
    d.HISTORY,
    d.TREE,
)


class Documents(NamedTuple):
    """A bundle's members but the batches, as data."""

    bundle: d.Bundle
    agents: list[d.AgentDocument]
    links: list[d.LinkDocument]
    registers: d.RegistersDocument
    statements: list[d.StatementDocument]
    hub: list[tuple[int, int]]
    heads: list[d.HeadDocument]
    proof: d.TreeProof
    said: dict[str, Any]
    history: list[d.KeptDocument]


def verify(
    file: BinaryIO,
    outside: Outside,
    progress: Progress = lambda what, count: None,
) -> Lines:
    """All lines. Raises container.BundleError where the file is no bundle."""
    return _Verification(Container(file), outside, progress).run()


class _Verification:
    def __init__(self, container: Container, outside: Outside, progress: Progress) -> None:
        self._container, self._outside, self._progress = container, outside, progress
        self._key = self._public_key()
        self.lines = Lines()

    def _public_key(self) -> bytes:
        told = self._container.manifest.collector_key
        if self._outside.key is not None:
            return self._outside.key
        try:
            return bytes.fromhex(told)
        except ValueError:
            return b""

    def run(self) -> Lines:
        """Every check, as far as what it needs can be read."""
        self._file()
        self._members()
        documents = self._documents()
        if documents is None:
            return self.lines
        batches = self._batches(documents)
        check_heads(documents.heads, documents.bundle, self._key, self._outside, self.lines)
        check_tree(documents, batches, self._key, self.lines)
        promised = check_contents(documents, self.lines)
        if promised is None:
            return self.lines
        papers = Papers(
            documents.bundle,
            documents.agents,
            documents.links,
            documents.registers,
            documents.hub,
            promised,
        )
        self._numbers(papers, documents, batches)
        return self.lines

    # --- the file -------------------------------------------------------------------------

    def _file(self) -> None:
        one = self._container
        for fault in one.faults:
            finding = Finding.MISSING if "cut off" in fault else Finding.ALTERED
            finding = Finding.INSERTED if "bytes after" in fault else finding
            self.lines.fail(FILE, finding, fault)
        if one.manifest.collector_key != self._key.hex():
            text = f"{MANIFEST}: signed by {one.manifest.collector_key}, expected was --key"
            self.lines.fail(FILE, Finding.ALTERED, text)
        elif not signed_by(one.manifest_bytes, one.signature, self._key):
            text = f"{MANIFEST} or {SIGNATURE}: the signature is not that of {self._key.hex()}"
            self.lines.fail(FILE, Finding.ALTERED, text)
        self.lines.unless_failed(FILE, f"signed by collector key {self._key.hex()}")
        if self._outside.key is None:
            text = "the key is the bundle's own word: compare it with the collector's, or say --key"
            self.lines.say(FILE, Finding.NOTED, text)

    def _members(self) -> None:
        names = set(self._container.members)
        for name in names:
            if not self._container.good(name):
                text = f"{name}: not the bytes that the manifest lists"
                self.lines.fail(MEMBERS, Finding.ALTERED, text)
        for name in sorted(set(_FIXED) - names):
            self.lines.fail(MEMBERS, Finding.MISSING, f"{name}: there is no such member")
        for name in sorted(names - set(_FIXED)):
            if not name.startswith((d.BATCHES, d.AUDITS)):
                self.lines.fail(MEMBERS, Finding.INSERTED, f"{name}: no member of a bundle")
        self.lines.unless_failed(MEMBERS, f"{len(names)} members as the manifest lists them")

    def _documents(self) -> Documents | None:
        found = (
            self._decoded(d.BUNDLE, d.Bundle),
            self._decoded(d.AGENTS, list[d.AgentDocument]),
            self._decoded(d.WORLD, list[d.LinkDocument]),
            self._decoded(d.REGISTERS, d.RegistersDocument),
            self._decoded(d.STATEMENTS, list[d.StatementDocument]),
            self._decoded(d.HUB, list[tuple[int, int]]),
            self._decoded(d.HEADS, list[d.HeadDocument]),
            self._unpacked(d.TREE),
            self._decoded(d.SAID, dict[str, Any]),
            self._decoded(d.HISTORY, list[d.KeptDocument]),
        )
        bundle, said, history = found[0], found[-2], found[-1]
        if bundle is not None and said is not None and history is not None:
            self._history(bundle, said, history)
        return None if any(one is None for one in found) else Documents(*found)

    def _history(
        self, bundle: d.Bundle, said: dict[str, Any], history: list[d.KeptDocument]
    ) -> None:
        """That what is said of outages is what was said of each last."""
        last = {one.id: one for one in history if one.lane == Lane.EVIDENCE}
        newest = [
            one.outage
            for one in last.values()
            if not one.withdrawn and touches(one.outage, bundle.span)
        ]
        newest.sort(key=lambda one: one.start.at_s)
        told = plain({"outages": newest})
        if section(told, "outages") != section(said, "outages"):
            text = f"outages: {d.SAID} does not say what {d.HISTORY} says last"
            self.lines.fail(SAID, Finding.DIFFERS, text)

    def _decoded(self, name: str, kind: Any) -> Any:
        return self._with(name, msgspec.json.Decoder(kind).decode)

    def _unpacked(self, name: str) -> Any:
        return self._with(name, d.unpack_tree)

    def _with(self, name: str, read: Callable[[bytes], T]) -> T | None:
        """What a member holds; None, and a line, where it cannot be read."""
        if name not in self._container.members:
            return None
        try:
            return read(self._container.read(name))
        except (msgspec.MsgspecError, UnicodeError, ValueError) as error:
            self.lines.fail(MEMBERS, Finding.ALTERED, f"{name}: cannot be read: {error}")
            return None

    # --- batches --------------------------------------------------------------------------

    def _batches(self, documents: Documents) -> dict[str, list[chain.Read]]:
        """By agent, those that are good."""
        found: dict[str, list[chain.Read]] = {}
        listed = {d.BATCHES + one.agent_id for one in documents.agents}
        for name in self._container.members:
            if name.startswith(d.BATCHES) and name not in listed:
                text = f"{name}: of an agent that {d.AGENTS} does not know"
                self.lines.fail(MEMBERS, Finding.INSERTED, text)
        try:
            keys = chain.Keys(bytes.fromhex(documents.bundle.ledger_id), self._key)
        except ValueError:
            keys = chain.Keys(b"", self._key)
        nodes = {one.node for one in documents.links if one.link == documents.bundle.link}
        for agent in documents.agents:
            good = chain.read(self._records(agent.agent_id), agent, keys, self.lines)
            chain.check(agent, good, self.lines, own=agent.node in nodes)
            found[agent.agent_id] = good
            self._progress("checked", len(good))
        count = sum(map(len, found.values()))
        self.lines.unless_failed(chain.SIGNATURES, f"{count} batches signed by their agents")
        self.lines.unless_failed(chain.RECEIPTS, f"{count} receipts signed by the collector")
        self.lines.unless_failed(
            chain.CHAIN, f"{count} batches of {len(found)} agents chained, none missing"
        )
        return found

    def _records(self, agent: str) -> Iterator[d.Record | d.Damage]:
        """What is here of an agent, read again each time: batches fill memories."""
        name = d.BATCHES + agent
        if name in self._container.members:
            yield from d.unpack_records(self._container.read(name))

    # --- numbers --------------------------------------------------------------------------

    def _numbers(
        self,
        papers: Papers,
        documents: Documents,
        batches: dict[str, list[chain.Read]],
    ) -> None:
        received = {
            agent: chain.received(self._records(agent), good) for agent, good in batches.items()
        }
        with tempfile.TemporaryDirectory(prefix="pantau-verify-") as folder:
            ledger = SqliteLedger(Path(folder) / "ledger.db", durable=False)
            try:
                found = recompute(ledger, papers, received, self._progress)
                self._compare(papers, documents, found)
                self._audits(Anew(ledger, found, papers, documents.history))
            except (LedgerError, ValueError, KeyError, OverflowError) as error:
                text = f"the batches give nothing that could be compared: {error}"
                self.lines.fail(SAID, Finding.DIFFERS, text)
            finally:
                ledger.close()

    def _compare(self, papers: Papers, documents: Documents, found: Recomputed) -> None:
        for text in found.refused:
            self.lines.fail(SAID, Finding.ALTERED, text)
        bundle = papers.bundle
        if found.windows == list(bundle.windows):
            text = f"compared with others in {len(found.windows)} windows, as the batches ask for"
            self.lines.say(SAID, Finding.HOLDS, text)
        else:
            text = f"windows: the batches ask for {found.windows}, here are {bundle.windows}"
            self.lines.fail(SAID, Finding.DIFFERS, text)
        wanted = Wanted(bundle.link, bundle.span, bundle.judged_at_s)
        told = plain(statement(found.stores, wanted))
        for name in SECTIONS:
            self._section(name, told, documents.said)
        for name in sorted(documents.said.keys() - set(SECTIONS)):
            text = f"{name}: {d.SAID} says what nothing is computed of"
            self.lines.fail(SAID, Finding.INSERTED, text)
        if bundle.software != VERSION:
            text = f"written by pantau {bundle.software}, verified by {VERSION}"
            self.lines.say(SAID, Finding.NOTED, text)

    def _section(self, name: str, told: dict[str, Any], said: dict[str, Any]) -> None:
        if section(told, name) == section(said, name):
            rows = said.get(name) or []
            text = f"{name}: {len(rows)} computed anew from the batches are as the collector said"
            self.lines.say(SAID, Finding.HOLDS, text)
            return
        self.lines.fail(SAID, Finding.DIFFERS, f"{name}: {_difference(told[name], said.get(name))}")

    def _audits(self, anew: Anew) -> None:
        documents = {
            name.removeprefix(d.AUDITS): self._container.read(name)
            for name in self._container.members
            if name.startswith(d.AUDITS)
        }
        anew.check(documents, self.lines)
        for given in self._outside.audits:
            anew.check_given(given, self.lines)


def _difference(told: object, said: object) -> str:
    """The first thing that differs, in a line."""
    if not isinstance(told, list) or not isinstance(said, list):
        return "the bundle says nothing that could be compared"
    rows = f"{len(told)} computed, {len(said)} said"
    for at, (mine, theirs) in enumerate(zip(told, said, strict=False)):
        if mine == theirs:
            continue
        if isinstance(mine, dict) and isinstance(theirs, dict):
            names = [key for key in {**mine, **theirs} if mine.get(key) != theirs.get(key)]
            name = names[0]
            return (
                f"row {at}: {name}: computed {mine.get(name)!r}, said {theirs.get(name)!r} ({rows})"
            )
        return f"row {at}: computed {mine!r}, said {theirs!r} ({rows})"
    return rows
