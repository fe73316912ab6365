"""How a box becomes an agent, and who does not."""

from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from collector import identity as keys
from collector.enrol import DAY_NS, enrol, invite
from collector.identity import Identity
from collector.ledger.sqlite import SqliteLedger
from runtime.testing import FakeClock
from tests.collector.kit import Box
from wire import message
from wire.errors import Refusal, WireError
from wire.message import Enrol
from wire.token import Token


class Hub:
    def __init__(self, folder: Path) -> None:
        self.ledger = SqliteLedger(folder / "ledger.db")
        self.identity: Identity = keys.load_or_make(folder)
        self.clock = FakeClock()

    def invite(self, node: str = "n1") -> Token:
        return invite(self.ledger, self.identity, self.clock, node, DAY_NS)

    def refusal(self, data: bytes) -> Refusal:
        with pytest.raises(WireError) as caught:
            enrol(self.ledger, self.clock, data)
        assert self.ledger.agents() == []
        return caught.value.refusal


@pytest.fixture
def hub(tmp_path: Path) -> Hub:
    return Hub(tmp_path)


def request(
    token: Token, box: Box, *, key: Ed25519PrivateKey | None = None, **changes: Any
) -> bytes:
    fields: dict[str, Any] = {
        "token_id": token.token_id.hex(),
        "token_key": (key or token.key()).public_key().public_bytes_raw().hex(),
        "public_key": box.key.public_key().public_bytes_raw().hex(),
        "exchange_key": box.exchange.public_key().public_bytes_raw().hex(),
        "nonce": "11" * 16,
        "agent_version": "0.1.0",
    }
    fields |= changes
    claim = {name: fields[name] for name in ("token_id", "exchange_key", "nonce")}
    proof = message.enrol_proof(box.key, **claim)
    return message.sign(Enrol(proof=proof, **fields), key or token.key())


def test_a_token_makes_one_agent_of_its_node_and_the_same_request_the_same_agent(hub: Hub) -> None:
    data = request(hub.invite(), Box())
    agent, _ = enrol(hub.ledger, hub.clock, data)
    hub.clock.advance(30 * DAY_NS)
    again, _ = enrol(hub.ledger, hub.clock, data)
    assert again == agent
    assert (agent.node, agent.public_key) == ("n1", Box().agent.public_key)
    assert hub.ledger.agents() == [agent]


def test_the_ledger_keeps_nothing_that_could_enrol(hub: Hub, tmp_path: Path) -> None:
    token = hub.invite()
    hub.ledger.close()
    assert token.secret not in (tmp_path / "ledger.db").read_bytes()


def test_a_token_that_served_one_key_is_refused_to_another(hub: Hub) -> None:
    token = hub.invite()
    enrol(hub.ledger, hub.clock, request(token, Box(1)))
    with pytest.raises(WireError) as caught:
        enrol(hub.ledger, hub.clock, request(token, Box(2)))
    assert caught.value.refusal is Refusal.USED_TOKEN
    assert len(hub.ledger.agents()) == 1


def test_a_token_expires_by_the_hubs_clock(hub: Hub) -> None:
    data = request(hub.invite(), Box())
    hub.clock.advance(DAY_NS + 1)
    assert hub.refusal(data) is Refusal.EXPIRED_TOKEN


def test_a_withdrawn_token_lets_nobody_in_and_a_used_one_cannot_be_withdrawn(hub: Hub) -> None:
    used, kept, gone = hub.invite(), hub.invite("n2"), hub.invite()
    now = hub.clock.wall_ns()
    assert hub.ledger.withdraw(gone.token_id, now)
    assert hub.refusal(request(gone, Box(2))) is Refusal.EXPIRED_TOKEN
    enrol(hub.ledger, hub.clock, request(used, Box(1)))
    assert [one.token_id for one in hub.ledger.open_tokens(now)] == [kept.token_id]
    for token_id in (used.token_id, gone.token_id, b"?" * 16):
        assert not hub.ledger.withdraw(token_id, now)
    # The first to use it may ask again, whatever became of the token since.
    enrol(hub.ledger, hub.clock, request(used, Box(1)))


def test_an_unknown_token_and_a_wrong_secret_are_told_alike(hub: Hub) -> None:
    token = hub.invite()
    stranger = Ed25519PrivateKey.generate()
    assert hub.refusal(request(token, Box(), key=stranger)) is Refusal.BAD_TOKEN
    unknown = token._replace(token_id=b"?" * 16)
    assert hub.refusal(request(unknown, Box())) is Refusal.BAD_TOKEN


def test_a_request_that_the_token_did_not_sign_is_refused(hub: Hub) -> None:
    data = bytearray(request(hub.invite(), Box()))
    data[10] ^= 1
    assert hub.refusal(bytes(data)) is Refusal.BAD_SIGNATURE


def test_nobody_enrols_a_key_that_is_not_his(hub: Hub) -> None:
    stolen = Box(2).key.public_key().public_bytes_raw().hex()
    assert hub.refusal(request(hub.invite(), Box(1), public_key=stolen)) is Refusal.BAD_SIGNATURE


@pytest.mark.parametrize("point", [bytes(32), (1).to_bytes(32, "little")])
def test_an_exchange_key_that_makes_no_secret_is_refused_before_it_is_kept(
    hub: Hub, point: bytes
) -> None:
    """The hub would fail to derive this agent's STAMP key, now and at every start."""
    token, box = hub.invite(), Box()
    good = request(token, box)
    public = box.exchange.public_key().public_bytes_raw().hex()
    body = good[5 + 64 :].replace(public.encode(), point.hex().encode())
    signature = token.key().sign(b"pantau-message-v1\x00" + good[4:5] + body)
    assert hub.refusal(good[:5] + signature + body) is Refusal.BAD_BODY
    enrol(hub.ledger, hub.clock, good)


def test_the_collectors_keys_are_made_once_and_readable_by_nobody_else(tmp_path: Path) -> None:
    first = keys.load_or_make(tmp_path / "data")
    file = tmp_path / "data" / "identity.key"
    assert file.stat().st_mode & 0o777 == 0o600
    assert keys.load_or_make(tmp_path / "data").public_key == first.public_key
    file.write_bytes(b"short")
    with pytest.raises(ValueError, match="5 bytes, expected 64; restore it from the backup"):
        keys.load_or_make(tmp_path / "data")
