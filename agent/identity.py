"""Who this box is: its own keys, the hub it belongs to, and the hub's last orders.

The keys are made here and never leave. Nothing expires: an unattended box with a wrong clock
must always find its way back.
"""

from pathlib import Path

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from runtime.files import write_durably
from wire.message import Hex16, Hex32
from wire.policy import Policy
from wire.token import stamp_key

FILE = "identity.json"
POLICY_FILE = "policy.json"
MAX_PACKETS_PER_S = 2000.0
"""No policy makes an agent send more: it is not a weapon, whoever holds the hub."""


class IdentityError(ValueError):
    """The state folder does not hold a usable identity; the text says what to do."""


class Identity(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """identity.json."""

    url: str
    """The hub, as given at enrolment."""
    agent_id: Hex16
    node: str
    seed: Hex32
    """Ed25519 private key."""
    exchange_seed: Hex32
    """X25519 private key."""
    collector_key: Hex32
    collector_exchange_key: Hex32
    ca_file: str | None = None
    """PEM of the authority that signed the hub's certificate, if not a public one."""

    def __repr__(self) -> str:
        return f"Identity(agent {self.agent_id}, node {self.node}, hub {self.url})"

    @property
    def agent_id_bytes(self) -> bytes:
        """16 bytes."""
        return bytes.fromhex(self.agent_id)

    def signing_key(self) -> Ed25519PrivateKey:
        """The key that signs batches and status."""
        return Ed25519PrivateKey.from_private_bytes(bytes.fromhex(self.seed))

    def stamp_key(self) -> bytes:
        """The HMAC key for authenticated STAMP."""
        private = X25519PrivateKey.from_private_bytes(bytes.fromhex(self.exchange_seed))
        peer = bytes.fromhex(self.collector_exchange_key)
        return stamp_key(private, peer, self.agent_id_bytes)


def save(state_dir: Path, identity: Identity, policy: Policy) -> None:
    """Keep both, durably; the identity is readable by its owner only."""
    save_policy(state_dir, policy)
    write_durably(state_dir / FILE, msgspec.json.encode(identity), mode=0o600)


def save_policy(state_dir: Path, policy: Policy) -> None:
    """Keep the hub's orders, durably."""
    write_durably(state_dir / POLICY_FILE, msgspec.json.encode(policy))


def load(state_dir: Path) -> Identity:
    """The identity of this box. Raises IdentityError."""
    file = state_dir / FILE
    try:
        return msgspec.json.decode(file.read_bytes(), type=Identity)
    except FileNotFoundError:
        raise IdentityError(
            f"{file}: not there: this box has not joined; run `pantau-agent enrol URL --token T`"
        ) from None
    except (OSError, msgspec.DecodeError) as error:
        raise IdentityError(f"{file}: {error}; enrol this box anew") from error


def load_policy(state_dir: Path) -> Policy | None:
    """The hub's last orders; None where they are lost or damaged: the hub will repeat them."""
    try:
        policy = msgspec.json.decode((state_dir / POLICY_FILE).read_bytes(), type=Policy)
    except (OSError, msgspec.DecodeError, ValueError):
        return None
    return policy if refuse(policy) is None else None


def refuse(policy: Policy) -> str | None:
    """Why a policy is not followed, if so."""
    rate = sum(1 / target.interval_s for target in policy.targets)
    if rate > MAX_PACKETS_PER_S:
        return f"policy asks for {rate:.0f} packets a second, at most {MAX_PACKETS_PER_S:.0f}"
    return None
