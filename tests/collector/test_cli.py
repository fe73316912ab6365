"""The commands, beside a collector that runs and without one."""

import asyncio
import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from collector.__main__ import main
from collector.ledger.sqlite import SqliteLedger
from runtime.clock import SystemClock
from tests.collector.hub import enrol_in, enrol_request, enrolled, later, serving, settings_in
from tests.collector.kit import Box, reported
from wire import message, token


def run(file: Path, command: str, *options: str) -> Result:
    return CliRunner().invoke(main, [command, "--config.file", str(file), *options])


async def beside(file: Path, command: str, *options: str) -> Result:
    """The command in a thread of its own, as a process beside the collector would."""
    return await asyncio.to_thread(run, file, command, *options)


def test_invite_prints_the_token_alone_where_a_script_reads_it(tmp_path: Path) -> None:
    file = settings_in(tmp_path, public_url="https://hub.example:8460")
    done = run(file, "invite", "n1", "--days", "2")
    assert done.exit_code == 0
    parsed = token.parse(done.stdout)
    assert "pantau-agent enrol https://hub.example:8460 --token" in done.stderr
    ledger = SqliteLedger(file.parent / "data" / "ledger.db")
    row = ledger.token(parsed.token_id)
    assert row is not None
    assert (row.node, row.used_by) == ("n1", None)
    assert row.expires_wall_ns - row.created_wall_ns == 2 * 86_400 * 10**9


def test_invite_of_an_unknown_node_names_the_known_ones_and_makes_nothing(tmp_path: Path) -> None:
    file = settings_in(tmp_path)
    done = run(file, "invite", "n7")
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr == (
        f"pantau-collector: {file.parent}/nodes.yaml: no node 'n7'; known: n1, n2\n"
    )
    assert not (file.parent / "data").exists()


async def test_a_node_is_invited_and_enrolled_while_the_collector_serves(tmp_path: Path) -> None:
    async with serving(tmp_path, clock=SystemClock()) as hub:
        file = tmp_path / "etc" / "collector.yaml"
        done = await beside(file, "invite", "n1")
        invited, box = token.parse(done.stdout), Box()
        data = message.sign(enrol_request(invited, box), invited.key())
        first = enrolled(await hub.post("/v1/enrol", data), hub)
        listed = json.loads((await beside(file, "agents", "--json")).stdout)
        assert [(one["agent"], one["node"]) for one in listed] == [(first.agent_id, "n1")]
        done = await beside(file, "agents", "--revoke", first.agent_id)
        assert done.exit_code == 0
        await hub.collector._refresh()
        box.agent_id = bytes.fromhex(first.agent_id)
        assert (await hub.post("/v1/batch", box.batch().to_bytes())).status == 403


async def test_links_are_listed_as_the_running_collector_knows_them(tmp_path: Path) -> None:
    async with serving(tmp_path, Box(), clock=later()) as hub:
        box = Box()
        await hub.tell(box, box.status(targets=(reported(lost=10),)))
        file = tmp_path / "etc" / "collector.yaml"
        as_json = await beside(file, "links", "--json", "--url", hub.url)
        table = await beside(file, "links", "--url", hub.url)
    assert [(row["link"], row["state"]) for row in json.loads(as_json.stdout)] == [
        ("l1", "down"),
        ("l2", "unknown"),
    ]
    assert table.exit_code == 0
    assert "l1" in table.stdout and "down" in table.stdout


def test_an_invitation_is_listed_until_it_is_withdrawn(tmp_path: Path) -> None:
    file = settings_in(tmp_path)
    made = token.parse(run(file, "invite", "n1").stdout.splitlines()[-1])
    (listed,) = json.loads(run(file, "invitations", "--json").stdout)
    assert (listed["invitation"], listed["node"]) == (made.token_id.hex(), "n1")
    assert listed["expires_s"] > listed["made_s"]
    gone = run(file, "invitations", "--json", "--withdraw", made.token_id.hex())
    assert json.loads(gone.stdout) == []


def test_agents_are_a_table_for_people(tmp_path: Path) -> None:
    file = settings_in(tmp_path)
    enrol_in(tmp_path, Box())
    done = run(file, "agents")
    assert done.exit_code == 0
    assert "n1" in done.stdout and "0.1.0" in done.stdout


@pytest.mark.parametrize(
    ("command", "options", "said"),
    [
        (
            "invitations",
            ["--withdraw", "xyz"],
            "invitation 'xyz': expected 32 hex digits, see `invitations`",
        ),
        ("invitations", ["--withdraw", "00" * 16], "no invitation " + "00" * 16 + " that is open"),
        ("agents", ["--revoke", "xyz"], "agent 'xyz': expected 32 hex digits, see `agents`"),
        ("agents", ["--revoke", "00" * 16], "no agent " + "00" * 16 + " that could be revoked"),
        ("links", ["--url", "http://127.0.0.1:9"], "no collector answers at http://127.0.0.1:9"),
        ("serve", [], "stamp.address: missing"),
    ],
)
def test_what_cannot_be_done_is_one_line_and_status_1(
    tmp_path: Path, command: str, options: list[str], said: str
) -> None:
    file = settings_in(tmp_path, stamp={"port": 0})
    done = run(file, command, *options)
    assert done.exit_code == 1
    assert isinstance(done.exception, SystemExit)
    assert said in done.stderr and done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("command", "options"), [("invite", ["n1"]), ("agents", []), ("serve", [])]
)
@pytest.mark.parametrize("damage", ["garbage", "folder is a file"])
def test_a_ledger_that_cannot_be_used_is_one_line_and_status_1(
    tmp_path: Path, command: str, options: list[str], damage: str
) -> None:
    file = settings_in(tmp_path)
    data = file.parent / "data"
    if damage == "garbage":
        data.mkdir()
        (data / "ledger.db").write_bytes(b"no database at all, but long enough" * 200)
    else:
        data.write_text("a file where the folder should be")
    done = run(file, command, *options)
    assert done.exit_code == 1
    assert isinstance(done.exception, SystemExit)
    assert done.stderr.startswith("pantau-collector: ") and done.stderr.count("\n") == 1
