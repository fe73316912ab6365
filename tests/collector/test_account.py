"""`pantau-collector account`."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from collector.__main__ import main
from collector.access import passwords
from collector.access.store import AccessStore, Deed
from tests.collector.hub import settings_in

PASSWORD = "kata sandi yang panjang"


def run(file: Path, command: str, *words: str, typed: str = "") -> Result:
    told = ["account", command, "--config.file", str(file), *words]
    return CliRunner().invoke(main, told, input=typed)


def test_an_account_from_the_first_to_the_last(tmp_path: Path) -> None:
    file = settings_in(tmp_path)
    done = run(file, "add", "sri", "--role", "operator", "--password-file", "-", typed=PASSWORD)
    assert (done.exit_code, done.stdout) == (0, "account sri: operator\n")
    store = AccessStore(file.parent / "data" / "access.db")
    kept = store.account("sri")
    assert kept is not None
    assert passwords.right(kept.password, PASSWORD)
    other = tmp_path / "other"
    other.write_text("another long password\nsecond line\n")
    assert run(file, "password", "sri", "--password-file", str(other)).exit_code == 0
    kept = store.account("sri")
    assert kept is not None
    assert passwords.right(kept.password, "another long password")
    assert run(file, "role", "sri", "auditor").exit_code == 0
    assert run(file, "disable", "sri").exit_code == 0
    (row,) = json.loads(run(file, "list", "--json").stdout)
    assert (row["name"], row["role"], row["state"]) == ("sri", "auditor", "disabled")
    assert run(file, "enable", "sri").exit_code == 0
    assert "enabled" in run(file, "list").stdout
    deeds = [one.deed for one in reversed(store.actions(10))]
    assert deeds == [
        Deed.ACCOUNT_ADD,
        Deed.ACCOUNT_PASSWORD,
        Deed.ACCOUNT_ROLE,
        Deed.ACCOUNT_DISABLE,
        Deed.ACCOUNT_ENABLE,
    ]
    assert all(one.address == "command line" and one.actor for one in store.actions(10))
    store.close()


@pytest.mark.parametrize(
    ("words", "typed", "said"),
    [
        (["add", "sri", "--password-file", "-"], "short\n", "a password has 10 to 256 characters"),
        (["add", "a b", "--password-file", "-"], PASSWORD, "account 'a b': expected 1 to 64"),
        (["add", "sri"], PASSWORD, "no terminal to ask for a password"),
        (["add", "sri", "--password-file", "/nonexistent"], "", "/nonexistent"),
        (["disable", "budi"], "", "no account 'budi'"),
        (["password", "budi", "--password-file", "-"], PASSWORD, "no account 'budi'"),
    ],
)
def test_what_cannot_be_done_is_one_line(
    tmp_path: Path, words: list[str], typed: str, said: str
) -> None:
    file = settings_in(tmp_path)
    done = run(file, *words, typed=typed)
    assert done.exit_code == 1
    assert said in done.stderr
    assert done.stderr.count("\n") == 1


def test_no_option_takes_a_password_from_the_command_line() -> None:
    for command in ("add", "password"):
        told = CliRunner().invoke(main, ["account", command, "--help"]).stdout
        assert "--password-file" in told
        assert "--password " not in told
