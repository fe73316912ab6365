"""From the operator's word to the figures: a real collector, a real agent, and a data plane of
words that holds both ends to the same grant and key."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest
import yaml
from aiohttp import web
from click.testing import CliRunner, Result
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from agent import identity as store
from agent.app import Agent
from agent.enrol import enrol
from agent.gate import Cross
from agent.jobs import Job
from agent.logbook import Started
from agent.runner import Ran, Seen
from agent.settings import AgentSettings, RhythmSection
from collector import enrol as invitations
from collector import identity
from collector.__main__ import main
from collector.app import Collector
from collector.settings import read
from runtime.clock import SystemClock
from tests.endtoend.conftest import free_port
from wire import message
from wire.codec import Record
from wire.message import REVISION_HEADER, End, Figures, Status, StatusReply
from wire.plan import ThroughputPlan
from wire.policy import Policy
from wire.slot import Direction, Grant

RHYTHM = RhythmSection(commit_s=0.2, heartbeat_s=0.5, seal_s=0.5, status_s=0.3)


class Wire:
    """Both ends of the data plane: a load is made if the server expects just this grant."""

    port = 8461

    def __init__(self) -> None:
        self.expected: dict[str, Grant] = {}
        self.ran: list[tuple[Grant, Job, Seen]] = []
        self.skips: list[End] = []
        self.hold = asyncio.Event()
        self.hold.set()

    def expect(self, grant: Grant) -> None:
        self.expected[grant.slot_id] = grant

    def forget(self, slot_id: str) -> int | None:
        self.expected.pop(slot_id, None)
        return 1_000_000

    async def run(self, grant: Grant, job: Job, seen: Seen) -> Ran:
        assert self.expected[grant.slot_id] == grant, "the ends disagree"
        self.ran.append((grant, job, seen))
        await self.hold.wait()
        figures = Figures(
            direction=job.direction,
            end=End.DONE,
            bits_per_s=seen.bits_per_s * 0.99,
            offered_bits_per_s=float(seen.bits_per_s),
            lost_ratio=0.01,
            rtt_ns=21_000_000,
        )
        return Ran((), figures, 1_000_000)

    def skipped(self, job: Job, end: End, seen: Cross | None) -> Sequence[Record]:
        self.skips.append(end)
        return ()

    def aborted(self) -> Sequence[Record]:
        return ()

    def interrupted(self, test: Started) -> Sequence[Record]:
        return ()


def hub_settings(folder: Path, **plan: Any) -> Path:
    told = {"zone": "WIB", "down_mbps": 20, "up_mbps": 20, "layer": "ip"} | plan
    quiet = {"evening": 0, "office": 0, "night": 0, "long_s": 0}
    files: dict[str, Any] = {
        "collector.yaml": {
            "data_dir": "hub",
            "http": {"host": "127.0.0.1", "port": free_port()},
            "stamp": {"host": "127.0.0.1", "port": 0, "address": "127.0.0.1"},
            "limits": {"requests_per_minute": 6000},
            "throughput": {"capacity_mbps": 100},
        },
        "nodes.yaml": {"nodes": [{"id": "n1", "name": "N", "kind": "opd", "district": "D"}]},
        "links.yaml": {
            "links": [
                {
                    "id": "l1",
                    "node": "n1",
                    "provider": "P",
                    "medium": "fibre",
                    "pop": "A",
                    "throughput": {"tests": quiet} | told,
                }
            ]
        },
    }
    for name, data in files.items():
        (folder / name).write_text(yaml.safe_dump(data))
    return folder / "collector.yaml"


@asynccontextmanager
async def running(thing: Any) -> AsyncIterator[None]:
    stop = asyncio.Event()
    task = asyncio.create_task(thing.run(stop))
    try:
        yield
    finally:
        stop.set()
        await task


async def ready(collector: Collector) -> None:
    while not collector.pages.ready:
        await asyncio.sleep(0.01)


async def join(folder: Path, collector: Collector) -> AgentSettings:
    data = folder / "hub"
    token = invitations.invite(
        collector.ledger, identity.load_or_make(data), SystemClock(), "n1", invitations.DAY_NS
    )
    state = folder / "node"
    url = f"http://127.0.0.1:{collector.port}"
    await asyncio.to_thread(enrol, state, url, token, None)
    return AgentSettings(state_dir=str(state), rhythm=RHYTHM)


def command(file: Path, *options: str) -> Result:
    return CliRunner().invoke(main, [options[0], "--config.file", str(file), *options[1:]])


async def test_an_operator_orders_a_test_and_sees_how_it_goes(tmp_path: Path) -> None:
    file, wire = hub_settings(tmp_path), Wire()
    collector = Collector(read(file), SystemClock(), wire)
    async with running(collector):
        await ready(collector)
        settings = await join(tmp_path, collector)
        async with running(Agent(settings, SystemClock(), wire)):
            done = await asyncio.to_thread(command, file, "test", "n1", "--rate", "10")
            assert done.exit_code == 0, done.output
            shown = await asyncio.to_thread(
                command, file, "test", "n1", "--direction", "up", "--steps", "0.5,1", "--json"
            )
            assert shown.exit_code == 0, shown.output
    lines = done.stderr.splitlines()
    assert lines[0].endswith(": link l1, udp down and up, fixed")
    assert lines[-1] == "done"
    words = "done, 9.90 Mbit/s, of 10.00 offered, lost 1.000 %, RTT under load 21.0 ms"
    assert done.stdout == f"down: {words}\nup: {words}\n"
    told = json.loads(shown.stdout)
    assert (told["state"], told["load"], told["directions"]) == ("done", "steps", ["up"])
    assert told["figures"][0]["bits_per_s"] == 20e6 * 0.99
    assert [(job.direction, grant.most_bits_per_s) for grant, job, _ in wire.ran] == [
        (Direction.DOWN, 10_000_000),
        (Direction.UP, 10_000_000),
        (Direction.UP, 20_000_000),
    ]
    assert wire.ran[-1][1].load_s == 20
    assert wire.expected == {}


async def test_an_order_outlives_a_collector_and_an_agent_that_restart(tmp_path: Path) -> None:
    file, wire = hub_settings(tmp_path), Wire()
    collector = Collector(read(file), SystemClock(), wire)
    async with running(collector):
        await ready(collector)
        settings = await join(tmp_path, collector)
        ordered = await asyncio.to_thread(
            command, file, "test", "n1", "--direction", "down", "--no-wait", "--json"
        )
        assert ordered.exit_code == 0, ordered.output
        order_id = json.loads(ordered.stdout)["order"]
        other = await asyncio.to_thread(command, file, "test", "n1", "--no-wait", "--json")
        other_id = json.loads(other.stdout)["order"]
        listed = await asyncio.to_thread(command, file, "orders", "--cancel", other_id, "--json")
        assert [(one["order"], one["state"]) for one in json.loads(listed.stdout)] == [
            (order_id, "queued"),
            (other_id, "cancelled"),
        ]
    again = Collector(read(file), SystemClock(), wire)
    async with running(again):
        await ready(again)
        async with running(Agent(settings, SystemClock(), wire)):
            await until(again, order_id, "done")
        async with running(Agent(settings, SystemClock(), wire)):
            await asyncio.sleep(1.5)
    assert len(wire.ran) == 1


async def until(collector: Collector, order_id: str, state: str) -> None:
    async with asyncio.timeout(30), aiohttp.ClientSession() as session:
        url = f"http://127.0.0.1:{collector.port}/api/v1/orders/{order_id}"
        while True:
            async with session.get(url) as answer:
                if (await answer.json())["state"] == state:
                    return
            await asyncio.sleep(0.1)


async def test_a_budget_that_is_spent_is_said_and_the_exit_status_is_1(tmp_path: Path) -> None:
    file, wire = hub_settings(tmp_path, budget_gb=0.001), Wire()
    collector = Collector(read(file), SystemClock(), wire)
    async with running(collector):
        await ready(collector)
        settings = await join(tmp_path, collector)
        async with running(Agent(settings, SystemClock(), wire)):
            done = await asyncio.to_thread(command, file, "test", "n1")
    assert done.exit_code == 1
    assert done.stderr.splitlines()[-1] == "skipped"
    words = "skipped_budget, the month's budget is spent"
    assert done.stdout == f"down: {words}\nup: {words}\n"
    assert (wire.ran, wire.skips) == ([], [End.BUDGET, End.BUDGET])


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["test", "n9"], "no node 'n9'; known: n1"),
        (["test", "n1", "--link", "l9"], "name one link that has throughput tests; it has: l1"),
        (["test", "n1", "--steps", "half"], "--steps half: expected e.g. 0.5,0.75,1"),
        (["test", "n1", "--steps", "0.5", "--rate", "1"], "exclude each other"),
        (["orders", "--cancel", "00/../x"], "no such order stands"),
        (["experiment", "A"], "1 sites; an experiment takes 2 to 64"),
        (["test", "n1", "--url", "http://127.0.0.1:9"], "no collector answers at"),
        (["test", "n1", "--token-file", "/dev/null"], "these bearer credentials are nobody's"),
    ],
)
async def test_what_cannot_be_ordered_is_one_line_and_status_1(
    tmp_path: Path, options: list[str], said: str
) -> None:
    file = hub_settings(tmp_path)
    collector = Collector(read(file), SystemClock(), Wire())
    async with running(collector):
        await ready(collector)
        done = await asyncio.to_thread(command, file, *options)
    assert done.exit_code == 1
    assert isinstance(done.exception, SystemExit)
    assert said in done.stderr and done.stderr.count("\n") == 1


# --- a new agent and hubs of any age --------------------------------------------------------


class AgeingHub:
    """A hub that can be taken back to revision 1: it refuses what it does not know, as that did."""

    def __init__(self, key: Ed25519PrivateKey, policy: Policy) -> None:
        self._key, self._policy = key, policy
        self.revision = 1
        self.statuses: list[tuple[int, bool, int]] = []
        """Revision when it came, whether it told of tests, and what was answered."""

    async def status(self, request: web.Request) -> web.Response:
        data = await request.read()
        told = json.loads(data[69:])
        tests = "throughput" in told
        headers = {REVISION_HEADER: "2"} if self.revision >= 2 else {}
        code = 422 if tests and self.revision < 2 else 200
        self.statuses.append((self.revision, tests, code))
        if code != 200:
            refusal = {"error": "bad_body", "detail": "unknown field `throughput`"}
            return web.json_response(refusal, status=code, headers=headers)
        status = message.peek(data, Status)
        policy = self._policy.at_revision(self.revision)
        reply = StatusReply(
            nonce=status.nonce,
            received_wall_ns=SystemClock().wall_ns(),
            policy=None if policy.digest() == status.policy_digest else policy,
        )
        return web.Response(body=message.sign(reply, self._key), headers=headers)

    async def count(self, more: int) -> None:
        target = len(self.statuses) + more
        async with asyncio.timeout(30):
            while len(self.statuses) < target:
                await asyncio.sleep(0.02)


async def test_a_new_agent_serves_old_and_new_hubs_and_a_roll_back_costs_one_status(
    tmp_path: Path,
) -> None:
    key = Ed25519PrivateKey.from_private_bytes(b"h" * 32)
    plan = ThroughputPlan(
        link="l1", down_bits_per_s=10**7, zone_offset_s=25_200, budget_bytes=10**9
    )
    hub = AgeingHub(key, Policy(node="n1", targets=(), throughput=(plan,)))
    app = web.Application()
    app.router.add_post("/v1/status", hub.status)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    who = store.Identity(
        url=f"http://127.0.0.1:{runner.addresses[0][1]}",
        agent_id="a1" * 16,
        node="n1",
        seed="01" * 32,
        exchange_seed="02" * 32,
        collector_key=key.public_key().public_bytes_raw().hex(),
        collector_exchange_key="09" + "00" * 31,
    )
    state = tmp_path / "node"
    state.mkdir()
    store.save(state, who, Policy(node="n1", targets=()))
    settings = AgentSettings(state_dir=str(state), rhythm=RHYTHM)
    async with running(Agent(settings, SystemClock(), Wire())):
        await hub.count(2)
        hub.revision = 2
        await hub.count(4)
        hub.revision = 1
        await hub.count(8)
    await runner.cleanup()
    by_age = {
        name: [one for one in hub.statuses if one[0] == revision]
        for name, revision in (("old", 1), ("new", 2))
    }
    assert [code for _, _, code in by_age["new"]] == [200] * len(by_age["new"])
    assert by_age["new"][0][1] is False and by_age["new"][-1][1] is True
    assert sum(code != 200 for _, _, code in by_age["old"]) == 1
    assert hub.statuses[-1] == (1, False, 200)
    kept = store.load_policy(state)
    assert kept is not None and kept.throughput == ()
    assert msgspec.json.decode((state / "policy.json").read_bytes()) == {
        "node": "n1",
        "targets": [],
    }
