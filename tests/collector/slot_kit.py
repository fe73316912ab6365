"""A hub whose links are tested, boxes that ask for slots, and a throughput server of words."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import yaml

from collector.identity import TOKEN_FILE
from runtime.clock import Clock
from tests.collector.hub import Hub, serving, settings_in
from tests.collector.kit import Box
from wire.message import REVISION, REVISION_HEADER, SlotRequest, StatusReply, Want
from wire.slot import Direction, Grant, Method

MBIT = 1_000_000
READS = {REVISION_HEADER: str(REVISION)}
PLAN = {"zone": "WIB", "down_mbps": 100, "up_mbps": 100, "layer": "ip"}


class FakeServer:
    """Takes down which slots it would have carried."""

    port = 8461

    def __init__(self) -> None:
        self.expected: dict[str, Grant] = {}
        self.forgotten: list[str] = []
        self.carried: dict[str, int | None] = {}

    def expect(self, grant: Grant) -> None:
        assert grant.slot_id not in self.expected
        self.expected[grant.slot_id] = grant

    def forget(self, slot_id: str) -> int | None:
        self.forgotten.append(slot_id)
        return self.carried.get(slot_id)


class Asker:
    """A box's questions for slots."""

    def __init__(self, box: Box, link: str) -> None:
        self.box, self.link = box, link
        self.counter = 0

    def want(self, **changes: Any) -> Want:
        fields: dict[str, Any] = {
            "link": self.link,
            "method": Method.UDP,
            "direction": Direction.DOWN,
            "bits_per_s": 95 * MBIT,
            "duration_s": 10.0,
        }
        return Want(**fields | changes)

    def request(self, want: Want | None = None, **changes: Any) -> SlotRequest:
        self.counter += 1
        fields: dict[str, Any] = {
            "agent_id": self.box.agent_id.hex(),
            "epoch": self.box.epoch.hex(),
            "counter": self.counter,
            "nonce": f"{self.counter:032x}",
            "want": want,
        }
        return SlotRequest(**fields | changes)


def settings_for(folder: Path, nodes: dict[str, str], **plan: Any) -> None:
    """One link a node, named after it (`n1` has `l1`), on the PoP that `nodes` says."""
    etc = settings_in(folder).parent
    rows = [{"id": node, "name": node, "kind": "opd", "district": "D"} for node in nodes]
    links = [
        {
            "id": "l" + node[1:],
            "node": node,
            "provider": "P",
            "medium": "fibre",
            "pop": pop,
            "throughput": PLAN | plan,
        }
        for node, pop in nodes.items()
    ]
    (etc / "nodes.yaml").write_text(yaml.safe_dump({"nodes": rows}))
    (etc / "links.yaml").write_text(yaml.safe_dump({"links": links}))


@asynccontextmanager
async def slot_hub(
    folder: Path,
    nodes: dict[str, str],
    *,
    server: FakeServer | None = None,
    clock: Clock | None = None,
    capacity_mbps: float = 1_000,
    plan: dict[str, Any] | None = None,
    **settings: Any,
) -> AsyncIterator[tuple[Hub, dict[str, Asker]]]:
    """A collector that grants, and one box a node."""
    settings_for(folder, nodes, **plan or {})
    boxes = {node: Box(number, node) for number, node in enumerate(nodes, 1)}
    askers = {node: Asker(box, "l" + node[1:]) for node, box in boxes.items()}
    settings = {"throughput": {"capacity_mbps": capacity_mbps}} | settings
    async with serving(folder, *boxes.values(), clock=clock, server=server, **settings) as hub:
        yield hub, askers


async def told(hub: Hub, asker: Asker, **status: Any) -> StatusReply:
    """One status of a box that reads the newest revision."""
    from wire import message

    data = message.sign(asker.box.status(**status), asker.box.key)
    reply = await hub.post("/v1/status", data, **READS)
    assert reply.status == 200, reply.body
    return message.verify(reply.body, StatusReply, hub.public_key)


def token(folder: Path) -> dict[str, str]:
    """The operator's header."""
    text = (folder / "etc" / "data" / TOKEN_FILE).read_text().strip()
    return {"Authorization": f"Bearer {text}"}
