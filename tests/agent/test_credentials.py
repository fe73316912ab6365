"""Secrets on the box: read strictly, and never told."""

import logging
import os
import pickle
import traceback
from pathlib import Path

import pytest

from agent.credentials import (
    AuthProtocol,
    CredentialsError,
    PrivProtocol,
    SnmpV2c,
    SnmpV3,
    folders,
    load,
)

CANARY = "kenari-7f3a"


def write(folder: Path, text: str, name: str = "cpe", mode: int = 0o600) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{name}.yaml"
    file.write_text(text)
    file.chmod(mode)
    return file


def test_a_community_is_read(tmp_path: Path) -> None:
    found = load(write(tmp_path, f"version: v2c\ncommunity: {CANARY}\n"))
    assert found == SnmpV2c(community=CANARY)


def test_a_user_is_read_with_modern_protocols_unless_others_are_named(tmp_path: Path) -> None:
    text = "version: v3\nuser: pantau\nauth_passphrase: abcdefgh\npriv_passphrase: ijklmnop\n"
    found = load(write(tmp_path, text))
    assert isinstance(found, SnmpV3)
    assert (found.auth, found.priv) == (AuthProtocol.SHA256, PrivProtocol.AES128)
    older = load(write(tmp_path, text + "auth: sha\npriv: aes256\ncontext: lan\n"))
    assert isinstance(older, SnmpV3)
    assert (older.auth, older.priv, older.context) == (
        AuthProtocol.SHA,
        PrivProtocol.AES256,
        "lan",
    )


BAD = {
    "empty": ("", "Expected `object`, got `null`"),
    "only the secret": (CANARY, "Expected `object`, got `str`"),
    "no version": (f"community: {CANARY}", "missing required field `version`"),
    "secret as version": (f"version: {CANARY}", "version: Invalid value that is not known here"),
    "secret as protocol": (
        f"version: v3\nuser: u\nauth_passphrase: abcdefgh\npriv_passphrase: abcdefgh\n"
        f"auth: {CANARY}",
        "auth: Invalid enum value that is not known here",
    ),
    "number": ("version: v2c\ncommunity: 1234", "community: Expected `str`, got `int`"),
    "short passphrase": (
        f"version: v3\nuser: u\nauth_passphrase: {CANARY[:7]}\npriv_passphrase: abcdefgh",
        "auth_passphrase: Expected `str` of length >= 8",
    ),
    "long user": (
        f"version: v3\nuser: {CANARY * 4}\nauth_passphrase: abcdefgh\npriv_passphrase: abcdefgh",
        "user: Expected `str` of length <= 32",
    ),
    "no privacy": (
        f"version: v3\nuser: u\nauth_passphrase: {CANARY}",
        "missing required field `priv_passphrase`",
    ),
    "misspelt": (
        f"version: v2c\ncommunity: {CANARY}\ncomunity: x",
        "unknown field `comunity`",
    ),
    "tag": (f"version: v2c\ncommunity: !{CANARY} x", "line 2: this is not plain YAML"),
    "handle": (f"version: v2c\ncommunity: !{CANARY}!x y", "line 2: this is not plain YAML"),
    "not YAML": (f'version: v2c\ncommunity: "{CANARY}', "this is not plain YAML"),
    "alias": (f"version: &a {CANARY}\ncommunity: *a", "line 2: this is not plain YAML"),
    "not a date": (f"version: 2024-13-45\ncommunity: {CANARY}", "this is not plain YAML"),
}


@pytest.mark.parametrize(("text", "says"), BAD.values(), ids=BAD.keys())
def test_a_wrong_file_is_refused_by_place_and_without_its_content(
    tmp_path: Path, text: str, says: str
) -> None:
    file = write(tmp_path, text)
    with pytest.raises(CredentialsError) as caught:
        load(file)
    assert says in str(caught.value)
    assert str(file) in str(caught.value)
    told = "".join(traceback.format_exception(caught.value))
    assert CANARY not in told
    assert CANARY[:7] not in told


@pytest.mark.parametrize("mode", [0o604, 0o602, 0o601, 0o644, 0o777])
def test_a_file_open_to_everybody_is_refused(tmp_path: Path, mode: int) -> None:
    file = write(tmp_path, f"version: v2c\ncommunity: {CANARY}\n", mode=mode)
    with pytest.raises(CredentialsError, match="chmod 0600") as caught:
        load(file)
    assert CANARY not in str(caught.value)


@pytest.mark.parametrize("mode", [0o400, 0o600, 0o440, 0o640])
def test_owner_and_group_may_read(tmp_path: Path, mode: int) -> None:
    assert load(write(tmp_path, "version: v2c\ncommunity: x\n", mode=mode))


def test_what_is_no_small_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "folder.yaml").mkdir()
    with pytest.raises(CredentialsError, match="not a file"):
        load(tmp_path / "folder.yaml")
    with pytest.raises(CredentialsError, match="not a file"):
        load(write(tmp_path, "#" * 20_000))
    with pytest.raises(CredentialsError, match="No such file"):
        load(tmp_path / "none.yaml")
    os.mkfifo(tmp_path / "pipe.yaml", 0o600)
    with pytest.raises(CredentialsError, match="not a file"):
        load(tmp_path / "pipe.yaml")


def test_the_first_folder_that_has_the_name_wins_and_changes_count_at_once(tmp_path: Path) -> None:
    read = folders(tmp_path / "state", tmp_path / "etc")
    with pytest.raises(CredentialsError, match=r"there is no cpe.yaml in .*state or .*etc"):
        read("cpe")
    write(tmp_path / "etc", "version: v2c\ncommunity: etc\n")
    assert read("cpe") == SnmpV2c(community="etc")
    write(tmp_path / "state", "version: v2c\ncommunity: state\n")
    assert read("cpe") == SnmpV2c(community="state")
    write(tmp_path / "state", "version: v2c\ncommunity: changed\n")
    assert read("cpe") == SnmpV2c(community="changed")


def test_no_representation_tells_a_secret(caplog: pytest.LogCaptureFixture) -> None:
    for one in (
        SnmpV2c(community=CANARY),
        SnmpV3(user=CANARY, auth_passphrase=CANARY, priv_passphrase=CANARY, context=CANARY),
    ):
        caplog.clear()
        with caplog.at_level(logging.DEBUG):
            logging.getLogger("x").debug("%s %r", one, [one])
        assert CANARY not in caplog.text + repr(one) + str(one) + f"{one}" + repr({"a": (one,)})
        assert one.__rich_repr__() == []
        assert pickle.loads(pickle.dumps(one)) == one
