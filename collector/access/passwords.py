"""Passwords of accounts: argon2id, as RFC 9106 recommends where memory is not plenty."""

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from argon2.profiles import RFC_9106_LOW_MEMORY

LEAST = 10
"""Characters; NIST SP 800-63B asks for 8 at least, and for no rules of composition."""
MOST = 256
"""Characters: a longer one is no password but a load for the machine."""
_HASHER = PasswordHasher.from_parameters(RFC_9106_LOW_MEMORY)
_NOBODYS = _HASHER.hash("of nobody, so that an unknown name takes as long as a wrong password")


def check(password: str, name: str) -> None:
    """Raises ValueError for a password that will not do."""
    if not LEAST <= len(password) <= MOST:
        raise ValueError(f"a password has {LEAST} to {MOST} characters; this has {len(password)}")
    if password.casefold() == name.casefold() or len(set(password)) < 4:
        raise ValueError("a password is not the name, and not the same few characters")


def make(password: str) -> str:
    """The hash that is kept. Takes some 50 ms and 64 MiB."""
    return _HASHER.hash(password)


def right(kept: str | None, password: str) -> bool:
    """Whether this is the password; None, of an unknown name, takes as long. Raises ValueError
    for a kept hash that is damaged."""
    try:
        _HASHER.verify(_NOBODYS if kept is None else kept, password[: MOST + 1])
    except InvalidHashError as error:
        raise ValueError(f"a kept password hash is damaged: {error}") from error
    except VerificationError:
        return False
    return kept is not None and len(password) <= MOST


def outdated(kept: str) -> bool:
    """Whether it was hashed with other parameters than today's."""
    return _HASHER.check_needs_rehash(kept)
