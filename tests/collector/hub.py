"""A whole collector on loopback, and the boxes that speak to it over real HTTP."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp
import yaml
from prometheus_client.parser import text_string_to_metric_families

from collector import identity
from collector.app import Collector
from collector.ledger.sqlite import SqliteLedger
from collector.settings import read
from collector.slot_desk import Server
from runtime.clock import SECOND, Clock
from runtime.testing import FakeClock
from tests.collector.kit import WALL_AT_BOOT, Box
from wire import message, receipt
from wire.batch import Batch
from wire.message import Enrol, Enrolled, SlotReply, SlotRequest, Status, StatusReply
from wire.receipt import Receipt
from wire.token import Token

GOOD = Path(__file__).parent / "testdata" / "good"
Series = dict[tuple[str, frozenset[tuple[str, str]]], float]


class Reply(NamedTuple):
    """What came back."""

    status: int
    headers: dict[str, str]
    body: bytes


def settings_in(folder: Path, **changes: Any) -> Path:
    """A collector's folder under `folder`; `changes` go into collector.yaml."""
    etc = folder / "etc"
    if not etc.exists():
        shutil.copytree(GOOD, etc)
    file = etc / "collector.yaml"
    file.write_text(yaml.safe_dump({**yaml.safe_load(file.read_text()), **changes}))
    return file


def enrol_in(folder: Path, *boxes: Box) -> None:
    """Put the boxes into the ledger of a collector that does not run."""
    ledger = SqliteLedger(folder / "etc" / "data" / "ledger.db")
    for box in boxes:
        if ledger.token(box.token.token_id) is None:
            ledger.add_token(box.token)
        ledger.enrol(box.token.token_id, box.agent)
    ledger.close()


def later() -> FakeClock:
    """The hub's clock, after everything that boxes tell by default."""
    return FakeClock(boot_ns=9_000 * SECOND, wall_ns=WALL_AT_BOOT + 9_000 * SECOND)


class Hub:
    """A running collector."""

    def __init__(self, collector: Collector, session: aiohttp.ClientSession, folder: Path) -> None:
        self.collector, self._session, self.folder = collector, session, folder

    @property
    def ledger(self) -> SqliteLedger:
        return self.collector.ledger

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.collector.port}"

    async def post(self, path: str, data: Any = b"", **headers: str) -> Reply:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        async with self._session.post(self.url + path, data=data, headers=named) as answer:
            return Reply(answer.status, dict(answer.headers), await answer.read())

    async def get(self, path: str) -> Reply:
        async with self._session.get(self.url + path) as answer:
            return Reply(answer.status, dict(answer.headers), await answer.read())

    async def deliver(self, batch: Batch) -> Receipt:
        reply = await self.post("/v1/batch", batch.to_bytes())
        assert reply.status == 200, reply.body
        return receipt.parse(reply.body, self.public_key)

    async def tell(self, box: Box, status: Status) -> StatusReply:
        reply = await self.post("/v1/status", message.sign(status, box.key))
        assert reply.status == 200, reply.body
        return message.verify(reply.body, StatusReply, self.public_key)

    @property
    def public_key(self) -> bytes:
        return identity.load_or_make(self.folder / "etc" / "data").public_key

    async def ask(self, box: Box, request: SlotRequest) -> SlotReply:
        reply = await self.post("/v1/slot", message.sign(request, box.key))
        assert reply.status == 200, reply.body
        return message.verify(reply.body, SlotReply, self.public_key)

    async def page(self) -> str:
        return (await self.get("/metrics")).body.decode()

    async def series(self) -> Series:
        """Every sample of /metrics, by name and labels."""
        return samples(await self.page())

    async def value(self, name: str, **labels: str) -> float | None:
        return (await self.series()).get((name, frozenset(labels.items())))


def samples(page: str) -> Series:
    found: Series = {}
    for family in text_string_to_metric_families(page):
        for one in family.samples:
            key = (one.name, frozenset(one.labels.items()))
            assert key not in found, f"{key} twice"
            found[key] = one.value
    return found


@asynccontextmanager
async def serving(
    folder: Path,
    *boxes: Box,
    clock: Clock | None = None,
    server: Server | None = None,
    **settings: Any,
) -> AsyncIterator[Hub]:
    """A collector that knows `boxes`, from start to an orderly end."""
    file = settings_in(folder, **settings)
    enrol_in(folder, *boxes)
    collector = Collector(read(file), clock or later(), server)
    stop = asyncio.Event()
    running = asyncio.create_task(collector.run(stop))
    while not collector.pages.ready and not running.done():
        await asyncio.sleep(0.005)
    try:
        async with aiohttp.ClientSession() as session:
            yield Hub(collector, session, folder)
    finally:
        stop.set()
        await running


def enrol_request(token: Token, box: Box, **changes: Any) -> Enrol:
    """What the box sends to become an agent."""
    fields: dict[str, Any] = {
        "token_id": token.token_id.hex(),
        "token_key": token.key().public_key().public_bytes_raw().hex(),
        "public_key": box.key.public_key().public_bytes_raw().hex(),
        "exchange_key": box.exchange.public_key().public_bytes_raw().hex(),
        "nonce": "11" * 16,
        "agent_version": "0.1.0",
    }
    fields |= changes
    claim = {name: fields[name] for name in ("token_id", "exchange_key", "nonce")}
    return Enrol(proof=message.enrol_proof(box.key, **claim), **fields)


def enrolled(reply: Reply, hub: Hub) -> Enrolled:
    return message.verify(reply.body, Enrolled, hub.public_key)
