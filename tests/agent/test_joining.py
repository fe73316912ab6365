"""Identity, enrolment and settings of a node, as files and over a real socket."""

import http.server
import os
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import msgspec
import pytest
from click.testing import CliRunner
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from agent import enrol as joining
from agent import identity as store
from agent.__main__ import main
from agent.settings import AgentSettings, read
from runtime.settings import SettingsError
from wire import message
from wire.message import Enrol, Enrolled
from wire.policy import Policy, Role, Target
from wire.token import Token, fingerprint

HUB_KEY = Ed25519PrivateKey.from_private_bytes(b"h" * 32)
HUB_EXCHANGE = X25519PrivateKey.from_private_bytes(b"x" * 32)
POLICY = Policy(
    node="n1",
    targets=(
        Target(name="hub", link="l1", probe="stamp", role=Role.HUB, address="192.0.2.1", port=862),
    ),
)


class Hub(http.server.HTTPServer):
    """Answers enrolments; `spoil` changes the answer."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Desk)
        self.asked: list[Enrol] = []
        self.key = HUB_KEY
        self.nonce: str | None = None
        self.status = 200
        self.lose_answers = 0


class Desk(http.server.BaseHTTPRequestHandler):
    server: Hub

    def log_message(self, *args: object) -> None:
        pass

    def do_POST(self) -> None:
        hub = self.server
        data = self.rfile.read(int(self.headers["Content-Length"]))
        request = message.peek(data, Enrol)
        message.verify(data, Enrol, bytes.fromhex(request.token_key))
        message.check_enrol_proof(request)
        hub.asked.append(request)
        if hub.lose_answers:
            hub.lose_answers -= 1
            self.close_connection = True
            return
        body = b'{"error":"used_token","detail":"token of node n1 was used"}'
        if hub.status == 200:
            body = message.sign(
                Enrolled(
                    nonce=hub.nonce or request.nonce,
                    agent_id="a1" * 16,
                    collector_key=hub.key.public_key().public_bytes_raw().hex(),
                    exchange_key=HUB_EXCHANGE.public_key().public_bytes_raw().hex(),
                    policy=POLICY,
                    received_wall_ns=1,
                ),
                hub.key,
            )
        self.send_response(hub.status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture
def hub() -> Iterator[Hub]:
    server = Hub()
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def token() -> Token:
    return Token(b"t" * 16, b"s" * 32, fingerprint(HUB_KEY.public_key().public_bytes_raw()))


def url(hub: Hub) -> str:
    return f"http://127.0.0.1:{hub.server_port}"


def test_joining_keeps_identity_and_policy_and_only_the_owner_can_read_the_keys(
    hub: Hub, token: Token, tmp_path: Path
) -> None:
    joined = joining.enrol(tmp_path / "state", url(hub), token, None)
    assert store.load(tmp_path / "state") == joined
    assert store.load_policy(tmp_path / "state") == POLICY
    assert (tmp_path / "state" / store.FILE).stat().st_mode & 0o777 == 0o600
    assert joined.seed not in repr(joined)
    assert len(joined.stamp_key()) == 32


def test_a_lost_answer_is_asked_for_again_with_the_same_keys(
    hub: Hub, token: Token, tmp_path: Path
) -> None:
    hub.lose_answers = 1
    with pytest.raises(OSError):
        joining.enrol(tmp_path, url(hub), token, None)
    joining.enrol(tmp_path, url(hub), token, None)
    assert len({request.public_key for request in hub.asked}) == 1
    assert len({request.exchange_key for request in hub.asked}) == 1


def test_somebody_elses_collector_is_not_joined(hub: Hub, token: Token, tmp_path: Path) -> None:
    hub.key = Ed25519PrivateKey.generate()
    with pytest.raises(joining.EnrolError, match="not from the collector that made this token"):
        joining.enrol(tmp_path, url(hub), token, None)
    assert not (tmp_path / store.FILE).exists()


def test_an_answer_to_another_request_is_not_taken(hub: Hub, token: Token, tmp_path: Path) -> None:
    hub.nonce = "00" * 16
    with pytest.raises(joining.EnrolError, match="belongs to another request"):
        joining.enrol(tmp_path, url(hub), token, None)


def test_the_hubs_refusal_is_told_in_words(hub: Hub, token: Token, tmp_path: Path) -> None:
    hub.status = 409
    with pytest.raises(joining.EnrolError, match="used token: token of node n1 was used"):
        joining.enrol(tmp_path, url(hub), token, None)


def test_a_box_joins_once(hub: Hub, token: Token, tmp_path: Path) -> None:
    joining.enrol(tmp_path, url(hub), token, None)
    with pytest.raises(joining.EnrolError, match="has joined already"):
        joining.enrol(tmp_path, url(hub), token, None)


@pytest.mark.parametrize(
    ("argv", "told"),
    [
        (["hub.example", "--token", "x"], "expected http(s)://HOST"),
        (["http://127.0.0.1:1", "--token", "x"], "this is not a join token: expected pt1."),
        (["http://127.0.0.1:1", "--token", "pt1.!!.!!.!!"], "the join token is damaged"),
        (["http://127.0.0.1:1", "--token", "pt1.aa.aa.aa"], "the join token is cut short"),
    ],
)
def test_what_is_typed_wrong_is_told_with_the_expected_form(
    argv: list[str], told: str, tmp_path: Path
) -> None:
    result = CliRunner().invoke(main, ["enrol", "--state-dir", str(tmp_path), *argv])
    assert result.exit_code == 1
    assert told in result.output


def test_the_token_can_come_from_standard_input_and_the_hub_may_be_away(
    token: Token, tmp_path: Path
) -> None:
    result = CliRunner().invoke(
        main,
        ["enrol", "http://127.0.0.1:1", "--token", "-", "--state-dir", str(tmp_path)],
        input=f"{token}\n",
    )
    assert result.exit_code == 1
    assert "Connection refused" in result.output
    assert str(token).split(".")[2] not in result.output


def test_without_an_identity_run_and_check_say_what_to_do(tmp_path: Path) -> None:
    for command in (["run", "--log.level", "error"], ["check"]):
        result = CliRunner().invoke(main, [*command, "--state-dir", str(tmp_path)])
        assert result.exit_code == 1
        assert "run `pantau-agent enrol URL --token T`" in result.output


def test_a_damaged_policy_is_none_and_the_hub_will_repeat_it(tmp_path: Path) -> None:
    store.save_policy(tmp_path, POLICY)
    assert store.load_policy(tmp_path) == POLICY
    (tmp_path / store.POLICY_FILE).write_bytes(b'{"node":"n1","targets":[{}]}')
    assert store.load_policy(tmp_path) is None


def test_no_policy_makes_an_agent_a_weapon() -> None:
    target = msgspec.structs.replace(POLICY.targets[0], interval_s=0.01)
    many = tuple(msgspec.structs.replace(target, name=f"t{k}") for k in range(21))
    assert store.refuse(Policy(node="n1", targets=many[:20])) is None
    assert "2100 packets a second" in str(store.refuse(Policy(node="n1", targets=many)))


def test_settings_have_defaults_and_the_shipped_file_equals_them(tmp_path: Path) -> None:
    shipped = Path(store.__file__).parent.parent / "configs" / "agent.yaml"
    assert read(shipped) == AgentSettings()
    assert read(shipped).digest() == AgentSettings().digest()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("state_dirr: /x", "Object contains unknown field `state_dirr`"),
        ("rhythm: {seal_s: often}", "rhythm.seal_s: Expected `float`, got `str`"),
        ("spool: {cap_bytes: 10}", "spool.cap_bytes: Expected `int` >= 2097152"),
        ("", "empty, expected a mapping"),
    ],
)
def test_a_wrong_setting_is_told_by_file_and_place(text: str, told: str, tmp_path: Path) -> None:
    file = tmp_path / "agent.yaml"
    file.write_text(text)
    with pytest.raises(SettingsError) as caught:
        read(file)
    assert str(caught.value).startswith(str(file))
    assert told in str(caught.value)


def test_probe_on_the_command_line_prints_every_packet(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("raw sockets need root")
    result = CliRunner().invoke(
        main, ["probe", "icmp", "127.0.0.1", "--count", "3", "--interval", "0.05", "--json"]
    )
    assert result.exit_code == 0, result.output
    lines = [msgspec.json.decode(line) for line in result.output.splitlines()]
    assert [line["seq"] for line in lines[:3]] == [0, 1, 2]
    assert all(line["outcome"] == "ok" and line["rtt_ns"] > 0 for line in lines[:3])
    assert lines[3]["summary"] is True
    assert (lines[3]["sent"], lines[3]["lost"]) == (3, 0)


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Not into what the command prints."""


def test_probe_shows_the_parts_of_what_it_did() -> None:
    page = ThreadingHTTPServer(("127.0.0.1", 0), _Quiet)
    server = Thread(target=page.serve_forever)
    server.start()
    words = ["probe", "http", f"http://localhost:{page.server_port}/none", "--count", "2"]
    try:
        told = CliRunner().invoke(main, [*words, "--interval", "1", "--json"])
        shown = CliRunner().invoke(main, [*words, "--interval", "1"])
    finally:
        page.shutdown()
        server.join()
        page.server_close()
    *lines, last = [msgspec.json.decode(line) for line in told.output.splitlines()]
    assert [line["seq"] for line in lines] == [0, 1]
    for line in lines:
        assert line["exchange"]["status"] == 404
        assert set(line["exchange"]["phases_ns"]) == {"connect", "processing", "transfer"}
        assert sum(line["exchange"]["phases_ns"].values()) <= line["rtt_ns"] + 1
    assert last["summary"] is True
    assert last["address"] in ("127.0.0.1", "::1")
    assert last["resolve_ns"] > 0
    assert shown.output.count("status 404") == 2
    assert shown.output.count("    connect ") == 2


def test_an_unknown_probe_is_told_with_those_there_are() -> None:
    result = CliRunner().invoke(main, ["probe", "smell", "127.0.0.1"])
    assert result.exit_code == 1
    assert "no probe 'smell'; there are: " in result.output
