"""Heads of a running collector: when they are signed, who can ask, and who else is told."""

import email
import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from aiosmtpd.controller import Controller

from collector.tree import head as heads
from collector.tree import merkle
from collector.tree import timestamp as stamps
from collector.tree.leaf import StatementKind
from runtime.clock import SECOND
from tests.collector.hub import Hub, later, serving
from tests.collector.kit import Box
from tests.collector.tree import authority

OPENAPI: dict[str, Any] = yaml.safe_load(
    (Path(__file__).parents[3] / "collector" / "web" / "openapi.yaml").read_text()
)
HOUR = 3600 * SECOND


async def ask(hub: Hub, path: str, schema: str | None = None, status: int = 200) -> Any:
    reply = await hub.get(path)
    assert reply.status == status, reply.body
    told = json.loads(reply.body)
    if schema is not None:
        where = {"$ref": f"#/components/schemas/{schema}", "components": OPENAPI["components"]}
        jsonschema.validate(told, where)
    return told


def settle(hub: Hub) -> None:
    while hub.collector.tree.service.step():
        continue


async def test_a_head_an_hour_whatever_comes(tmp_path: Path) -> None:
    clock, box = later(), Box()
    async with serving(tmp_path, box, clock=clock) as hub:
        settle(hub)
        first = hub.collector.tree.store.head()
        assert first is not None
        await hub.deliver(box.batch())
        settle(hub)
        assert hub.collector.tree.store.head() == first
        clock.advance(HOUR)
        settle(hub)
        second = hub.collector.tree.store.head()
        assert second is not None
        assert (second.id, second.head.size) == (first.id + 1, first.head.size + 1)
        assert second.head.wall_ns == clock.wall_ns()
        at = await hub.value("pantau_collector_tree_head_timestamp_seconds")
        assert at == clock.wall_ns() / SECOND
        assert await hub.value("pantau_collector_tree_leaves") == second.head.size
    async with serving(tmp_path, box, clock=clock) as hub:
        settle(hub)
        assert hub.collector.tree.store.head() == second
        assert await hub.value("pantau_collector_tree_leaves") == second.head.size


async def test_what_judging_hangs_on_is_stated_when_it_changes(tmp_path: Path) -> None:
    clock, box = later(), Box()
    async with serving(tmp_path, box, clock=clock) as hub:
        settle(hub)
        store = hub.collector.tree.store
        links = store.statements(StatementKind.LINK)
        assert {one.name for _, one in links} == set(hub.collector.answers.links())
        (agent,) = store.statements(StatementKind.AGENT)
        assert json.loads(agent[1].body)["public_key"] == box.agent.public_key.hex()
        hub.ledger.revoke(box.agent_id, clock.wall_ns())
        settle(hub)
        told = [json.loads(one.body) for _, one in store.statements(StatementKind.AGENT)]
        assert [one["revoked_wall_ns"] for one in told] == [None, clock.wall_ns()]


async def test_everybody_can_check_a_receipt_against_the_heads(tmp_path: Path) -> None:
    clock, box = later(), Box()
    async with serving(tmp_path, box, clock=clock) as hub:
        receipts = [await hub.deliver(box.batch()) for _ in range(5)]
        settle(hub)
        clock.advance(HOUR)
        settle(hub)
        for _ in range(3):
            receipts.append(await hub.deliver(box.batch()))
        settle(hub)
        clock.advance(HOUR)
        settle(hub)
        listed = await ask(hub, "/api/v1/heads")
        assert bytes.fromhex(listed["public_key"]) == hub.public_key
        signed = [
            heads.parse(bytes.fromhex(one["head"]), hub.public_key) for one in listed["heads"]
        ]
        newest = listed["heads"][0]
        assert await ask(hub, f"/api/v1/heads/{newest['id']}", "StampedHead") == await ask(
            hub, "/api/v1/heads/latest", "StampedHead"
        )
        for receipt in receipts:
            proof = await ask(
                hub,
                f"/api/v1/heads/latest/inclusion?batch={receipt.batch_digest.hex()}",
                "Inclusion",
            )
            leaf = merkle.leaf_hash(b"batch\x00" + receipt.pack())
            assert proof["leaf"] == leaf.hex()
            path = [bytes.fromhex(one) for one in proof["path"]]
            root = merkle.included_root(leaf, proof["position"], proof["tree_size"], path)
            assert root == signed[0].root
        for older, one in zip(listed["heads"][1:], signed[1:], strict=True):
            proof = await ask(
                hub, f"/api/v1/heads/latest/consistency?from={older['id']}", "Consistency"
            )
            path = [bytes.fromhex(node) for node in proof["path"]]
            merkle.check_consistency((one.size, one.root), (signed[0].size, signed[0].root), path)
        part = await ask(hub, f"/api/v1/heads?before={newest['id']}&limit=1")
        assert part["heads"] == listed["heads"][1:2]


@pytest.mark.parametrize(
    ("path", "status", "said"),
    [
        ("/api/v1/heads?limit=many", 400, "limit 'many': expected a number"),
        ("/api/v1/heads/x", 400, "id 'x': expected a number"),
        ("/api/v1/heads/99", 404, "no head 99; see /api/v1/heads"),
        ("/api/v1/heads/latest/inclusion", 400, "batch '': expected the digest as 64 hex digits"),
        ("/api/v1/heads/latest/inclusion?batch=zz", 400, "expected the digest as 64 hex digits"),
        (f"/api/v1/heads/latest/inclusion?batch={'ab' * 32}", 404, f"no batch {'ab' * 32} under"),
        ("/api/v1/heads/latest/consistency", 400, "from: expected the id of an older head"),
        ("/api/v1/heads/latest/consistency?from=99", 404, "no head 99; see /api/v1/heads"),
    ],
)
async def test_wrong_questions_are_answered_with_the_form(
    tmp_path: Path, path: str, status: int, said: str
) -> None:
    async with serving(tmp_path) as hub:
        settle(hub)
        assert said in (await ask(hub, path, status=status))["error"]


async def test_an_authority_stamps_every_head_and_a_wrong_answer_is_not_kept(
    tmp_path: Path,
) -> None:
    authority.made(tmp_path / "tsa")
    clock = later()
    async with authority.serving(tmp_path / "tsa") as one:
        told = {"timestamp_url": one.url, "timestamp_ca_file": str(tmp_path / "tsa" / "root.pem")}
        async with serving(tmp_path, clock=clock, heads=told) as hub:
            settle(hub)
            tree = hub.collector.tree
            one.broken = b"no answer"
            await tree.witnesses.step()
            newest = tree.store.head()
            assert newest is not None
            assert tree.store.timestamps(newest.id) == []
            one.broken = None
            clock.advance(HOUR)
            settle(hub)
            await tree.witnesses.step()
            roots = stamps.roots_of((tmp_path / "tsa" / "root.pem").read_bytes())
            for head in tree.store.heads():
                ((where, answer),) = tree.store.timestamps(head.id)
                assert where == one.url
                assert stamps.check(answer, head.data, roots)
            asked = one.asked
            await tree.witnesses.step()
            assert one.asked == asked
            shown = await ask(hub, "/api/v1/heads/latest", "StampedHead")
            assert shown["timestamps"][0]["authority"] == one.url
            at = await hub.value("pantau_collector_tree_head_stamped_timestamp_seconds")
            assert at == clock.wall_ns() / SECOND


class Postbox:
    """What an SMTP server took."""

    def __init__(self) -> None:
        self.letters: list[tuple[list[str], bytes]] = []
        self.full = False

    async def handle_DATA(self, server: object, session: object, envelope: Any) -> str:
        if self.full:
            return "452 mailbox full"
        self.letters.append((envelope.rcpt_tos, envelope.content))
        return "250 OK"


@pytest.fixture
def postbox() -> Iterator[tuple[Postbox, int]]:
    box = Postbox()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    controller = Controller(box, hostname="127.0.0.1", port=port)
    controller.start()
    yield box, port
    controller.stop()


async def test_the_provider_is_mailed_every_head_once(
    tmp_path: Path, postbox: tuple[Postbox, int]
) -> None:
    box, port = postbox
    clock = later()
    smtp = {"host": "127.0.0.1", "port": port, "security": "none", "sender": "pantau@hub.example"}
    told = {"mail_to": ["noc@isp.example", "dinas@kab.example"]}
    async with serving(tmp_path, clock=clock, smtp=smtp, heads=told) as hub:
        settle(hub)
        witnesses = hub.collector.tree.witnesses
        box.full = True
        await witnesses.step()
        assert box.letters == []
        clock.advance(HOUR)
        settle(hub)
        box.full = False
        await witnesses.step()
        await witnesses.step()
        assert [to for to, _ in box.letters] == [["noc@isp.example"], ["dinas@kab.example"]]
        message = email.message_from_bytes(box.letters[0][1])
        assert (message["From"], message["To"]) == ("pantau@hub.example", "noc@isp.example")
        (attached,) = [part for part in message.walk() if part.get_filename()]
        rows = json.loads(attached.get_payload(decode=True))  # type: ignore[arg-type]
        kept = hub.collector.tree.store.heads()[::-1]
        assert len(kept) == 2
        assert [bytes.fromhex(row["head"]) for row in rows] == [one.data for one in kept]
        text = message.get_payload()[0].get_payload(decode=True).decode()  # type: ignore[union-attr,index]
        assert kept[-1].data.hex() in text.replace("\r\n", "\n")
        at = await hub.value("pantau_collector_tree_head_mailed_timestamp_seconds")
        assert at == clock.wall_ns() / SECOND


async def test_a_collector_whose_rows_were_altered_signs_no_more(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    clock, box = later(), Box()
    async with serving(tmp_path, box, clock=clock) as hub:
        await hub.deliver(box.batch())
        settle(hub)
        clock.advance(HOUR)
        settle(hub)
        with hub.ledger.transaction() as db:
            db.execute("UPDATE batch SET received_wall_ns=received_wall_ns-1")
        clock.advance(HOUR)
        with pytest.raises(Exception, match="are no longer those whose head was signed"):
            settle(hub)
