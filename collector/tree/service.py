"""Grows the tree beside the ingest, signs a head each hour, and tells it to outside witnesses.

A head is due when the hub's clock enters an hour of which none is signed yet, so a collector that
was stopped signs at its next start. Witnesses come after: a server that does not answer holds no
head back, and is asked again for what it missed.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable
from typing import NamedTuple

import aiohttp
import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from collector.contracts import Contracts
from collector.counters import Counters
from collector.identity import load_or_make
from collector.inventory import Inventory
from collector.ledger import Agent, LedgerError
from collector.ledger.sqlite import SqliteLedger
from collector.mail import Letter, Mailer, MailError
from collector.settings import Located
from collector.tree import timestamp
from collector.tree.leaf import StatementKind, canonical
from collector.tree.letters import letter
from collector.tree.store import KeptHead, TreeStore
from runtime.clock import SECOND, Clock

log = logging.getLogger(__name__)
GROW_EVERY_S = 20.0
HOUR_S = 3600
WITNESS_EVERY_S = 60.0
"""Between attempts to reach a witness that missed heads."""
WITNESS_WITHIN_S = 7 * 86_400
"""What a witness was not told by then, it is not told: the heads since prove the older ones."""
STAMPS_AT_ONCE = 24


class World(NamedTuple):
    """What is stated in the tree besides evidence and registers."""

    inventory: Inventory
    contracts: Contracts
    agents: list[Agent]


def agent_body(agent: Agent) -> bytes:
    """An enrolment as it is stated: keys in hex."""
    told = agent._asdict()
    for name in ("agent_id", "public_key", "exchange_key"):
        told[name] = told[name].hex()
    return canonical(told)


def statements(world: World) -> dict[StatementKind, list[tuple[str, bytes]]]:
    """(name, body) of all, by kind."""
    inventory, contracts, agents = world
    encode = msgspec.json.Encoder(order="sorted").encode
    return {
        StatementKind.AGENT: [(one.agent_id.hex(), agent_body(one)) for one in agents],
        StatementKind.NODE: [(one.id, encode(one)) for one in inventory.nodes.values()],
        StatementKind.LINK: [(one.id, encode(one)) for one in inventory.links.values()],
        StatementKind.CONTRACT: [
            (f"{one.link} {one.first_day}", one.canonical()) for one in contracts.rows
        ],
    }


def bring_up(store: TreeStore, world: World, wall_ns: int) -> Iterable[int]:
    """State the world and take all that is new into the tree, piece by piece: yields the leaves of
    each piece, so that a caller may stop between two."""
    for kind, told in statements(world).items():
        store.state(kind, told, wall_ns)
    while grown := store.grow():
        yield grown


class TreeService:
    """Runs for as long as the collector does."""

    def __init__(
        self,
        store: TreeStore,
        key: Ed25519PrivateKey,
        world: Callable[[], World],
        counters: Counters,
        clock: Clock,
    ) -> None:
        self._store, self._key, self._world = store, key, world
        self._counters, self._clock = counters, clock
        self._stated: tuple[object, ...] = ()
        self._show(store.head())

    async def run(self) -> None:
        """Grow and sign, for ever."""
        while True:
            try:
                busy = await asyncio.to_thread(self.step)
            except LedgerError as error:
                log.error("no tree head for now: %s", error)
                busy = False
            await asyncio.sleep(0 if busy else GROW_EVERY_S)

    def step(self) -> bool:
        """Take some of what is new into the tree, or sign a head that is due; whether there may be
        more to do."""
        world, now_ns = self._world(), self._clock.wall_ns()
        if self._stated != (*world[:2], world.agents):
            for kind, told in statements(world).items():
                self._store.state(kind, told, now_ns)
            self._stated = (*world[:2], world.agents)
        if self._store.grow():
            return True
        newest = self._store.head()
        hour = now_ns // (HOUR_S * SECOND)
        if newest is None or newest.head.wall_ns // (HOUR_S * SECOND) < hour:
            kept = self._store.sign(self._key, now_ns)
            log.info("tree head %d over %d leaves", kept.id, kept.head.size)
            self._show(kept)
        return False

    def _show(self, newest: KeptHead | None) -> None:
        if newest is not None:
            self._counters.tree_leaves.set(newest.head.size)
            self._counters.head_signed_at.set(newest.head.wall_ns / SECOND)


class Witnesses:
    """Tells heads to a time-stamping authority and by mail, as far as the settings name any."""

    def __init__(
        self, store: TreeStore, located: Located, counters: Counters, clock: Clock
    ) -> None:
        self._store, self._located, self._counters, self._clock = store, located, counters, clock
        settings = located.settings
        self._smtp, self._to = settings.smtp, settings.heads.mail_to
        self._authority, self._ca_file = (
            settings.heads.timestamp_url,
            settings.heads.timestamp_ca_file,
        )
        self._stamped_ns = 0

    async def run(self) -> None:
        """Tell what was signed, for ever."""
        while True:
            try:
                await self.step()
            except LedgerError as error:
                log.error("no witness is told of tree heads for now: %s", error)
            await asyncio.sleep(WITNESS_EVERY_S)

    async def step(self) -> None:
        """Tell every witness what it has not been told."""
        if self._authority is not None:
            await self._stamp(self._authority)
        if self._to:
            await asyncio.to_thread(self._mail)

    def _since_ns(self) -> int:
        return self._clock.wall_ns() - WITNESS_WITHIN_S * SECOND

    # --- timestamps -----------------------------------------------------------------------

    async def _stamp(self, authority: str) -> None:
        waiting = await asyncio.to_thread(self._store.unstamped, authority, self._since_ns())
        if not waiting:
            return
        assert self._ca_file is not None  # settings: they go together
        roots = timestamp.roots_of(self._located.path(self._ca_file).read_bytes())
        timeout = aiohttp.ClientTimeout(total=30)
        async with aiohttp.ClientSession(timeout=timeout) as session:
            for one in waiting[:STAMPS_AT_ONCE]:
                asked = timestamp.ask(one.data)
                try:
                    answer = await _post(session, authority, asked.data)
                    timestamp.check(answer, one.data, roots, asked.nonce)
                except (aiohttp.ClientError, TimeoutError, ValueError) as error:
                    log.warning("head %d: %s gave no timestamp: %s", one.id, authority, error)
                    return
                await asyncio.to_thread(
                    self._store.keep_timestamp, one.id, authority, answer, self._clock.wall_ns()
                )
                at_s = max(self._counters.head_stamped_at._value.get(), one.head.wall_ns / SECOND)
                self._counters.head_stamped_at.set(at_s)

    # --- mail -----------------------------------------------------------------------------

    def _mail(self) -> None:
        assert self._smtp is not None  # settings: mail_to needs it
        mailer = Mailer(self._smtp, self._located, self._clock)
        told: list[int] = []
        for address in self._to:
            waiting = self._store.unmailed(address, self._since_ns())
            if waiting and not self._send(mailer, letter(address, waiting)):
                return
            if waiting:
                self._store.mailed(address, waiting[-1].id, self._clock.wall_ns())
                told.append(waiting[-1].head.wall_ns)
        if told:
            self._counters.head_mailed_at.set(min(told) / SECOND)

    def _send(self, mailer: Mailer, one: Letter) -> bool:
        try:
            mailer.send(one)
        except MailError as error:
            log.warning("tree heads were not mailed to %s: %s", one.to, error)
            return False
        return True


class Tree(NamedTuple):
    """The tree of a running collector."""

    store: TreeStore
    service: TreeService
    witnesses: Witnesses
    public_key: bytes
    """Of the key that signs the heads."""


def opened(
    ledger: SqliteLedger,
    located: Located,
    promised: Callable[[], tuple[Inventory, Contracts]],
    counters: Counters,
    clock: Clock,
) -> Tree:
    """The tree of this ledger, which states what was `promised` to it."""
    key = load_or_make(located.data_dir).signing
    store = TreeStore(ledger)

    def world() -> World:
        return World(*promised(), ledger.agents())

    return Tree(
        store,
        TreeService(store, key, world, counters, clock),
        Witnesses(store, located, counters, clock),
        key.public_key().public_bytes_raw(),
    )


async def _post(session: aiohttp.ClientSession, url: str, data: bytes) -> bytes:
    """The authority's answer. Raises aiohttp.ClientError, TimeoutError or ValueError."""
    headers = {"Content-Type": timestamp.CONTENT_TYPE}
    async with session.post(url, data=data, headers=headers, allow_redirects=False) as answer:
        if answer.status != 200:
            raise ValueError(f"status {answer.status}")
        body = await answer.content.read(timestamp.MAX_ANSWER_BYTES + 1)
        while len(body) <= timestamp.MAX_ANSWER_BYTES:
            more = await answer.content.read(timestamp.MAX_ANSWER_BYTES)
            if not more:
                return body
            body += more
        raise ValueError(f"an answer of more than {timestamp.MAX_ANSWER_BYTES} bytes")
