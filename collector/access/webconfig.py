"""Who may read /metrics and the API: a file in the exporter-toolkit's form of web configuration.

See docs/access.md. `basic_auth_users` and `tls_server_config` are the toolkit's; `bearer_tokens`
and `roles` are ours. What of the toolkit's form cannot be done here is refused and not overlooked.
"""

import hashlib
import hmac
import ssl
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import bcrypt
import msgspec

from collector.access.roles import Asker, Role, Way
from runtime.settings import SettingsError, load

Name = Annotated[str, msgspec.Meta(pattern=r"^[^:\x00-\x1f]{1,128}\Z")]
"""RFC 7617 section 2: no colon and no control characters."""
Bcrypt = Annotated[str, msgspec.Meta(pattern=r"^\$2[aby]\$[0-9]{2}\$[./A-Za-z0-9]{53}\Z")]
Sha256 = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}\Z")]
_HEADERS = frozenset(
    {
        "Content-Security-Policy",
        "Strict-Transport-Security",
        "X-Content-Type-Options",
        "X-Frame-Options",
        "X-XSS-Protection",
    }
)
_CACHED = 100
"""Answers of bcrypt kept in mind: a scrape every few seconds must not cost 50 ms each."""


class _Section(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    pass


class ClientAuth(StrEnum):
    """Go's tls.ClientAuthType, as the toolkit names it."""

    NO = "NoClientCert"
    IF_GIVEN = "VerifyClientCertIfGiven"
    """a certificate is one way to be let in"""
    REQUIRE = "RequireAndVerifyClientCert"
    """nobody is let in without one, but agents, which sign what they say"""


class TlsVersion(StrEnum):
    """Of the handshake."""

    TLS12 = "TLS12"
    TLS13 = "TLS13"

    @property
    def number(self) -> ssl.TLSVersion:
        """As OpenSSL knows it."""
        return {"TLS12": ssl.TLSVersion.TLSv1_2, "TLS13": ssl.TLSVersion.TLSv1_3}[self]


class TlsServer(_Section, frozen=True, kw_only=True):
    """tls_server_config."""

    cert_file: str
    """PEM certificate chain; relative to this file."""
    key_file: str
    """PEM private key; relative to this file."""
    client_auth_type: ClientAuth = ClientAuth.NO
    client_ca_file: str | None = None
    """PEM certificates that sign clients'; relative to this file."""
    client_allowed_sans: tuple[str, ...] = ()
    """Subject alternative names of which a client's certificate must have one; any by default."""
    min_version: TlsVersion = TlsVersion.TLS12
    max_version: TlsVersion = TlsVersion.TLS13

    def __post_init__(self) -> None:
        if (self.client_auth_type is ClientAuth.NO) != (self.client_ca_file is None):
            raise ValueError(
                "client_auth_type and client_ca_file go together:"
                f" {ClientAuth.IF_GIVEN} or {ClientAuth.REQUIRE} needs one"
            )
        if self.client_allowed_sans and self.client_ca_file is None:
            raise ValueError("client_allowed_sans needs client_ca_file")


class HttpServer(_Section, frozen=True, kw_only=True):
    """http_server_config."""

    headers: dict[str, str] = {}
    """Added to every answer that does not have them already."""

    def __post_init__(self) -> None:
        strange = sorted(set(self.headers) - _HEADERS)
        if strange:
            raise ValueError(
                f"header {strange[0]!r}: expected one of {', '.join(sorted(_HEADERS))}"
            )


class WebConfig(_Section, frozen=True, kw_only=True):
    """The whole file."""

    tls_server_config: TlsServer | None = None
    http_server_config: HttpServer = HttpServer()
    basic_auth_users: dict[Name, Bcrypt] = {}
    """Passwords as bcrypt hashes, such as `htpasswd -nBC 10 NAME` makes."""
    bearer_tokens: dict[Name, Sha256] = {}
    """SHA-256 of tokens in hexadecimal (docs/access.md has the command that makes both)."""
    roles: dict[Name, Role] = {}
    """Of users, tokens and certificates' names; viewer where nothing is said."""

    @property
    def guards(self) -> bool:
        """Whether programs have to show anything."""
        return bool(self.basic_auth_users or self.bearer_tokens) or self.certificates

    @property
    def certificates(self) -> bool:
        """Whether clients' certificates are looked at."""
        return (
            self.tls_server_config is not None and self.tls_server_config.client_ca_file is not None
        )

    @property
    def certificate_needed(self) -> bool:
        """Whether nobody is let in without one."""
        tls = self.tls_server_config
        return tls is not None and tls.client_auth_type is ClientAuth.REQUIRE

    def role(self, name: str) -> Role:
        """What a program of this name may do."""
        return self.roles.get(name, Role.VIEWER)

    def bearer(self, token: str) -> Asker | None:
        """Whose token it is."""
        shown = hashlib.sha256(token.encode("utf-8", "surrogateescape")).hexdigest()
        found = None
        for name, kept in self.bearer_tokens.items():
            if hmac.compare_digest(shown, kept):
                found = Asker(name, self.role(name), Way.BEARER)
        return found

    def certificate(self, shown: dict[str, Any] | None) -> Asker | None:
        """Whose verified certificate it is, in the form of `ssl.SSLSocket.getpeercert`."""
        tls = self.tls_server_config
        if tls is None or not shown:
            return None
        names = [str(value) for _, value in shown.get("subjectAltName", ())]
        if tls.client_allowed_sans:
            names = [name for name in names if name in tls.client_allowed_sans]
            if not names:
                return None
        common = [
            str(value)
            for part in shown.get("subject", ())
            for key, value in part
            if key == "commonName"
        ]
        name = next((one for one in (*names, *common) if one in self.roles), None)
        name = name or next(iter((*names, *common)), "certificate")
        return Asker(name, self.role(name), Way.CERTIFICATE)


class Passwords:
    """Basic authentication, with what bcrypt said of late."""

    def __init__(self) -> None:
        self._said: dict[bytes, bool] = {}

    def basic(self, config: WebConfig, name: str, password: str) -> Asker | None:
        """Whose name and password these are. Takes long: ask in a thread."""
        kept = config.basic_auth_users.get(name)
        # An unknown name takes as long as a known one with a wrong password.
        against = kept or "$2b$10$" + "." * 53
        secret = password.encode("utf-8", "surrogateescape")
        key = hashlib.sha256(against.encode() + b"\0" + secret).digest()
        good = self._said.get(key)
        if good is None:
            # bcrypt reads 72 bytes; the toolkit refuses longer ones as well.
            good = len(secret) <= 72 and bcrypt.checkpw(secret, against.encode())
            if len(self._said) >= _CACHED:
                self._said.clear()
            self._said[key] = good
        return Asker(name, config.role(name), Way.BASIC) if good and kept is not None else None


def read(file: Path) -> WebConfig:
    """The file, checked. Raises SettingsError."""
    config = load(file, WebConfig)
    tls = config.tls_server_config
    if tls is not None:
        for key in ("cert_file", "key_file", "client_ca_file"):
            name = getattr(tls, key)
            if name is not None and not (file.parent / name).is_file():
                raise SettingsError(
                    f"{file}: tls_server_config.{key}: no file {file.parent / name}"
                )
        if tls.min_version.number > tls.max_version.number:
            raise SettingsError(f"{file}: tls_server_config: min_version is above max_version")
    known = {*config.basic_auth_users, *config.bearer_tokens}
    unknown = sorted(set(config.roles) - known)
    if unknown and not config.certificates:
        raise SettingsError(f"{file}: roles: {unknown[0]!r} is no user and no token of this file")
    return config


def context(config: WebConfig, file: Path) -> ssl.SSLContext | None:
    """The TLS side of it; None without. Raises SettingsError."""
    tls = config.tls_server_config
    if tls is None:
        return None
    made = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    made.minimum_version, made.maximum_version = tls.min_version.number, tls.max_version.number
    try:
        made.load_cert_chain(file.parent / tls.cert_file, file.parent / tls.key_file)
        if tls.client_ca_file is not None:
            made.load_verify_locations(file.parent / tls.client_ca_file)
            # Agents come to the same port and have no certificate: who must show one is decided
            # by what is asked for, after the handshake.
            made.verify_mode = ssl.CERT_OPTIONAL
    except (ssl.SSLError, OSError) as error:
        raise SettingsError(f"{file}: tls_server_config: {error}") from error
    return made
