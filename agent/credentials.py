"""Secrets for devices: one small file each, on the box, named by a target's `credentials`.

A policy carries the name only. Secrets are never in a representation, an error or a log line, and
a file that everybody can read is refused. Files are read anew for every use: a changed passphrase
needs no restart.
"""

import re
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import msgspec
import yaml

from runtime.settings import SettingsError, explain, read_yaml

CREDENTIALS = Path("/etc/pantau/credentials")
MAX_BYTES = 16 * 1024
_OTHERS = 0o007
_VALUE = re.compile(r"(?<=value )'.*'")
"""Where msgspec quotes what it found: somebody may have put the passphrase there."""
Community = Annotated[str, msgspec.Meta(min_length=1, max_length=255)]
User = Annotated[str, msgspec.Meta(min_length=1, max_length=32)]
"""RFC 3414 section 2.1: at most 32 octets."""
Passphrase = Annotated[str, msgspec.Meta(min_length=8, max_length=255)]
"""RFC 3414 section 11.2: at least 8 characters."""


class CredentialsError(ValueError):
    """Credentials that cannot be used; the text names the file and never its content."""


class AuthProtocol(StrEnum):
    """SHA-1 (RFC 3414) and SHA-2 (RFC 7860)."""

    SHA = "sha"
    SHA224 = "sha224"
    SHA256 = "sha256"
    SHA384 = "sha384"
    SHA512 = "sha512"


class PrivProtocol(StrEnum):
    """AES in CFB mode; AES-128 is RFC 3826, the others are what vendors agreed on."""

    AES128 = "aes128"
    AES192 = "aes192"
    AES256 = "aes256"


class _Secret(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="version"
):
    """Says of itself only what it is."""

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return []


class SnmpV2c(_Secret, frozen=True, kw_only=True, tag="v2c"):
    """A community string, which travels in the clear: read-only, and only on the site's own LAN."""

    community: Community


class SnmpV3(_Secret, frozen=True, kw_only=True, tag="v3"):
    """A user of the User-based Security Model at level authPriv."""

    user: User
    auth_passphrase: Passphrase
    priv_passphrase: Passphrase
    auth: AuthProtocol = AuthProtocol.SHA256
    priv: PrivProtocol = PrivProtocol.AES128
    context: Annotated[str, msgspec.Meta(max_length=32)] = ""


Credentials = SnmpV2c | SnmpV3
CredentialsReader = Callable[[str], Credentials]


def folders(*places: Path) -> CredentialsReader:
    """A reader of `NAME.yaml` in the first of these folders that has it. Raises CredentialsError
    when it is called."""

    def read(name: str) -> Credentials:
        for place in places:
            file = place / f"{name}.yaml"
            if file.exists():
                return load(file)
        looked = " or ".join(str(place) for place in places)
        raise CredentialsError(f"there is no {name}.yaml in {looked}")

    return read


def standard(name: str) -> Credentials:
    """From the folder that a package brings. Raises CredentialsError."""
    return folders(CREDENTIALS)(name)


def load(file: Path) -> Credentials:
    """The secrets in one file. Raises CredentialsError."""
    try:
        found = file.stat()
    except OSError as error:
        raise CredentialsError(f"{file}: {error.strerror}") from None
    if not file.is_file() or found.st_size > MAX_BYTES:
        raise CredentialsError(f"{file}: not a file of at most {MAX_BYTES} bytes")
    if found.st_mode & _OTHERS:
        raise CredentialsError(f"{file}: everybody can use this file: chmod 0600 it first")
    return _convert(file, _read(file))


def _read(file: Path) -> object:
    # YAML's own errors can quote the file, so they end here and only the place goes on.
    try:
        return read_yaml(file)
    except SettingsError as error:
        cause = error.__cause__
    if isinstance(cause, OSError):
        raise CredentialsError(f"{file}: {cause.strerror}")
    mark = cause.problem_mark if isinstance(cause, yaml.MarkedYAMLError) else None
    where = f", line {mark.line + 1}" if mark is not None else ""
    raise CredentialsError(f"{file}{where}: this is not plain YAML")


def _convert(file: Path, data: object) -> Credentials:
    try:
        return msgspec.convert(data, SnmpV2c | SnmpV3)
    except msgspec.ValidationError as error:
        problem = str(explain(file, error))
    raise CredentialsError(_VALUE.sub("that is not known here", problem))
