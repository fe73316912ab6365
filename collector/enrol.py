"""How a box becomes an agent: a one-time token for one node, and a key that never leaves the box.

The token proves that whoever installs the box was invited; from then on only the box's own key
counts. Identity has no expiry: an unattended box with a wrong clock must not be locked out.
"""

import os

from collector.identity import Identity
from collector.ledger import Agent, Ledger, TokenRow
from runtime.clock import Clock
from wire import message
from wire.errors import Refusal, WireError
from wire.message import Enrol
from wire.token import Token, fingerprint, token_digest

DAY_NS = 86_400 * 1_000_000_000


def invite(ledger: Ledger, identity: Identity, clock: Clock, node: str, ttl_ns: int) -> Token:
    """A new join token for `node`, valid for `ttl_ns` by this machine's clock."""
    token = Token(os.urandom(16), os.urandom(32), fingerprint(identity.public_key))
    public = token.key().public_key().public_bytes_raw()
    now = clock.wall_ns()
    ledger.add_token(TokenRow(token.token_id, token_digest(public), node, now, now + ttl_ns, None))
    return token


def _check(ledger: Ledger, request: Enrol, now_wall_ns: int) -> TokenRow:
    row = ledger.token(bytes.fromhex(request.token_id))
    if row is None or row.token_digest != token_digest(bytes.fromhex(request.token_key)):
        raise WireError(Refusal.BAD_TOKEN, f"token {request.token_id} is not ours")
    if row.used_by is None and now_wall_ns > row.expires_wall_ns:
        raise WireError(
            Refusal.EXPIRED_TOKEN,
            f"token {request.token_id} for node {row.node} has expired, or was withdrawn",
        )
    return row


def enrol(ledger: Ledger, clock: Clock, data: bytes) -> tuple[Agent, Enrol]:
    """Register the agent that these bytes ask for; the same request again gets the same agent.

    Raises WireError: MALFORMED, BAD_BODY, BAD_SIGNATURE, BAD_TOKEN, EXPIRED_TOKEN, USED_TOKEN.
    """
    unproven = message.peek(data, Enrol)
    request = message.verify(data, Enrol, bytes.fromhex(unproven.token_key))
    message.check_enrol_proof(request)
    now = clock.wall_ns()
    row = _check(ledger, request, now)
    agent = Agent(
        os.urandom(16),
        row.node,
        bytes.fromhex(request.public_key),
        bytes.fromhex(request.exchange_key),
        now,
        None,
        request.agent_version,
    )
    return ledger.enrol(row.token_id, agent), request
