"""Joining: a token and two new keys in, an identity and a policy out."""

import os
import platform
import shutil
from pathlib import Path
from typing import NamedTuple

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from agent import identity as store
from agent.hub import HubConnection
from agent.refusals import explain
from runtime.files import write_durably
from runtime.version import VERSION
from wire import message
from wire.errors import WireError
from wire.message import Enrol, Enrolled
from wire.token import Token, fingerprint

_KEYS = "joining.keys"


class EnrolError(ValueError):
    """This box has not joined; the text says why and what to do."""


class _Keys(NamedTuple):
    signing: bytes
    exchange: bytes


def _keys(state_dir: Path) -> _Keys:
    """This box's keys, on disk before they are used: if the answer is lost, the same keys ask
    again and the hub, which has used the token for them, gives the same answer."""
    file = state_dir / _KEYS
    state_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    if not file.exists() or len(file.read_bytes()) != 64:
        write_durably(file, os.urandom(64), mode=0o600)
    data = file.read_bytes()
    return _Keys(data[:32], data[32:])


def enrol(state_dir: Path, url: str, token: Token, ca_file: Path | None) -> store.Identity:
    """Join the hub at `url`. Raises EnrolError, HubUnreachable or ValueError (a wrong URL)."""
    if (state_dir / store.FILE).exists():
        raise EnrolError(
            f"{state_dir / store.FILE} is there: this box has joined already;"
            " move the folder away to join anew"
        )
    connection = HubConnection(url, ca_file=str(ca_file) if ca_file else None)
    keys = _keys(state_dir)
    nonce = os.urandom(16).hex()
    answer = connection.post("/v1/enrol", message.sign(_request(token, keys, nonce), token.key()))
    connection.close()
    if answer.status != 200:
        raise EnrolError(f"the hub did not take this token: {explain(answer)}")
    enrolled = _verified(answer.body, token, nonce)
    kept_ca = None
    if ca_file is not None:
        kept_ca = str(state_dir / "ca.pem")
        shutil.copyfile(ca_file, kept_ca)
    identity = store.Identity(
        url=url.rstrip("/"),
        agent_id=enrolled.agent_id,
        node=enrolled.policy.node,
        seed=keys.signing.hex(),
        exchange_seed=keys.exchange.hex(),
        collector_key=enrolled.collector_key,
        collector_exchange_key=enrolled.exchange_key,
        ca_file=kept_ca,
    )
    store.save(state_dir, identity, enrolled.policy)
    (state_dir / _KEYS).unlink()
    return identity


def _request(token: Token, keys: _Keys, nonce: str) -> Enrol:
    signing = Ed25519PrivateKey.from_private_bytes(keys.signing)
    exchange = X25519PrivateKey.from_private_bytes(keys.exchange).public_key()
    exchange_key = exchange.public_bytes_raw().hex()
    token_id = token.token_id.hex()
    return Enrol(
        token_id=token_id,
        token_key=token.key().public_key().public_bytes_raw().hex(),
        public_key=signing.public_key().public_bytes_raw().hex(),
        exchange_key=exchange_key,
        nonce=nonce,
        proof=message.enrol_proof(
            signing, token_id=token_id, exchange_key=exchange_key, nonce=nonce
        ),
        agent_version=VERSION,
        machine=f"{platform.system()} {platform.release()} {platform.machine()}"[:256],
    )


def _verified(data: bytes, token: Token, nonce: str) -> Enrolled:
    """The answer, from the collector whose fingerprint stands in the token and no other."""
    try:
        unproven = message.peek(data, Enrolled)
        key = bytes.fromhex(unproven.collector_key)
        if fingerprint(key) != token.collector_fingerprint:
            raise EnrolError(
                "the answer is not from the collector that made this token: wrong URL, or"
                " somebody stands between"
            )
        enrolled = message.verify(data, Enrolled, key)
    except WireError as error:
        raise EnrolError(f"the answer is not from a Pantau collector: {error}") from error
    if enrolled.nonce != nonce:
        raise EnrolError("the answer belongs to another request; try again")
    return enrolled
