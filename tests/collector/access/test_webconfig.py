"""The web configuration's form, and what of it cannot be done here."""

import hashlib
from pathlib import Path
from typing import Any

import bcrypt
import pytest
import yaml

from collector.access.roles import Role, Way
from collector.access.webconfig import Passwords, WebConfig, read
from runtime.settings import SettingsError

HASH = bcrypt.hashpw(b"rahasia", bcrypt.gensalt(4)).decode()
TOKEN = hashlib.sha256(b"t0ken").hexdigest()


def wrote(folder: Path, told: Any) -> Path:
    file = folder / "web.yaml"
    file.write_text(yaml.safe_dump(told))
    for name in ("a.pem", "b.pem"):
        (folder / name).touch()
    return file


@pytest.mark.parametrize("prefix", ["$2a", "$2b", "$2y"])
def test_names_and_passwords_as_htpasswd_makes_them(tmp_path: Path, prefix: str) -> None:
    users = {"prometheus": prefix + HASH[3:]}
    config = read(wrote(tmp_path, {"basic_auth_users": users, "roles": {"prometheus": "auditor"}}))
    found = Passwords().basic(config, "prometheus", "rahasia")
    assert found is not None
    assert (found.name, found.role, found.way) == ("prometheus", Role.AUDITOR, Way.BASIC)
    for name, password in (("prometheus", "wrong"), ("nobody", "rahasia"), ("prometheus", "")):
        assert Passwords().basic(config, name, password) is None
    assert config.guards


def test_what_bcrypt_said_is_remembered_for_this_hash_only() -> None:
    passwords = Passwords()
    first = WebConfig(basic_auth_users={"p": HASH})
    other = bcrypt.hashpw(b"other", bcrypt.gensalt(4)).decode()
    assert passwords.basic(first, "p", "rahasia") is not None
    assert passwords.basic(WebConfig(basic_auth_users={"p": other}), "p", "rahasia") is None
    assert passwords.basic(first, "p", "rahasia") is not None


def test_a_token_is_known_by_its_digest() -> None:
    config = WebConfig(bearer_tokens={"grafana": TOKEN})
    found = config.bearer("t0ken")
    assert found is not None
    assert (found.name, found.role) == ("grafana", Role.VIEWER)
    assert config.bearer("t0ken ") is None
    assert config.bearer("\udc80") is None


TLS = {"cert_file": "a.pem", "key_file": "b.pem"}
CERTIFIED = {**TLS, "client_auth_type": "RequireAndVerifyClientCert", "client_ca_file": "a.pem"}


def test_certificates_are_known_by_their_names(tmp_path: Path) -> None:
    told = {
        "tls_server_config": {**CERTIFIED, "client_allowed_sans": ["prom.example"]},
        "roles": {"prom.example": "operator"},
    }
    config = read(wrote(tmp_path, told))
    assert config.certificate_needed
    shown = {"subjectAltName": (("DNS", "x.example"), ("DNS", "prom.example"))}
    found = config.certificate(shown)
    assert found is not None
    assert (found.name, found.role) == ("prom.example", Role.OPERATOR)
    assert config.certificate({"subjectAltName": (("DNS", "x.example"),)}) is None
    assert config.certificate(None) is None
    assert config.certificate({}) is None


@pytest.mark.parametrize(
    ("told", "message"),
    [
        ({"basic_auth_users": {"p": "rahasia"}}, "basic_auth_users"),
        ({"basic_auth_users": {"a:b": HASH}}, "basic_auth_users"),
        ({"bearer_tokens": {"p": "t0ken"}}, "bearer_tokens"),
        ({"roles": {"p": "viewer"}}, "roles: 'p' is no user and no token of this file"),
        ({"roles": {"p": "king"}}, "king"),
        ({"rate_limit": {"burst": 1}}, "rate_limit"),
        ({"tls_server_config": {"cert_file": "a.pem"}}, "key_file"),
        ({"tls_server_config": {**TLS, "cert_file": "none.pem"}}, "cert_file: no file"),
        ({"tls_server_config": {**TLS, "client_auth_type": "RequestClientCert"}}, "RequestClient"),
        ({"tls_server_config": {**TLS, "client_ca_file": "a.pem"}}, "go together"),
        (
            {"tls_server_config": {**TLS, "client_auth_type": "VerifyClientCertIfGiven"}},
            "go together",
        ),
        ({"tls_server_config": {**TLS, "client_allowed_sans": ["x"]}}, "needs client_ca_file"),
        ({"tls_server_config": {**TLS, "cipher_suites": ["X"]}}, "cipher_suites"),
        (
            {"tls_server_config": {**TLS, "min_version": "TLS13", "max_version": "TLS12"}},
            "min_version is above max_version",
        ),
        ({"http_server_config": {"headers": {"Set-Cookie": "x"}}}, "header 'Set-Cookie'"),
    ],
)
def test_wrong_files_are_told_with_the_place(
    tmp_path: Path, told: dict[str, Any], message: str
) -> None:
    file = wrote(tmp_path, told)
    with pytest.raises(SettingsError) as caught:
        read(file)
    assert message in str(caught.value)
    assert str(file) in str(caught.value)
