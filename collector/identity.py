"""The collector's own keys: made once, kept for ever, backed up with the ledger.

The Ed25519 key signs receipts; its fingerprint is in every join token, so an agent knows its
collector before it trusts any name or certificate. The X25519 key derives the STAMP keys.
"""

import os
from pathlib import Path
from typing import NamedTuple

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from runtime.files import create_durably


class Identity(NamedTuple):
    """Both private keys and the public bytes that go with them."""

    signing: Ed25519PrivateKey
    exchange: X25519PrivateKey

    @property
    def public_key(self) -> bytes:
        """Ed25519 public key, 32 bytes."""
        return self.signing.public_key().public_bytes_raw()

    @property
    def exchange_key(self) -> bytes:
        """X25519 public key, 32 bytes."""
        return self.exchange.public_key().public_bytes_raw()


def load_or_make(data_dir: Path) -> Identity:
    """The keys in `data_dir`, made on first use. Raises ValueError if the file is damaged."""
    file = data_dir / "identity.key"
    if not file.exists():
        data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        # `invite` and `serve` may both come first: then one of them makes the keys for both.
        create_durably(file, os.urandom(64), mode=0o600)
    data = file.read_bytes()
    if len(data) != 64:
        raise ValueError(f"{file}: {len(data)} bytes, expected 64; restore it from the backup")
    return Identity(
        Ed25519PrivateKey.from_private_bytes(data[:32]),
        X25519PrivateKey.from_private_bytes(data[32:]),
    )


TOKEN_FILE = "operator.token"


def operator_token(data_dir: Path) -> str:
    """What an operator's program shows to order a test: made on first use, readable by the
    collector's user only. Raises ValueError if the file is damaged."""
    file = data_dir / TOKEN_FILE
    if not file.exists():
        data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        create_durably(file, os.urandom(32).hex().encode() + b"\n", mode=0o600)
    token = file.read_text(encoding="ascii").strip()
    if len(token) < 32:
        raise ValueError(f"{file}: expected 64 hex digits; remove it to have a new one made")
    return token
