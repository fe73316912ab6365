"""Accounts, visits and the log, in a real SQLite file."""

import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from collector.access import passwords
from collector.access.roles import Right, Role, Way
from collector.access.store import (
    DAY_NS,
    LIMITS,
    AccessStore,
    Account,
    Deed,
    Told,
    check_name,
)
from collector.ledger import LedgerError

NOW = 1_790_000_000 * 10**9


def told(deed: Deed, at: int = NOW, subject: str = "") -> Told:
    return Told(at, "root", "", "here", deed, subject)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[AccessStore]:
    opened = AccessStore(tmp_path / "access.db")
    yield opened
    opened.close()


def add(store: AccessStore, name: str = "sri", role: Role = Role.OPERATOR) -> None:
    store.add(Account(name, role, "hash", NOW, None), told(Deed.ACCOUNT_ADD, subject=name))


def test_a_visit_is_whose_it_is_until_it_ends(store: AccessStore) -> None:
    add(store)
    secret = store.begin("sri", told(Deed.LOGIN))
    seen = store.visitor(secret, NOW)
    assert seen is not None
    assert (seen.name, seen.role, seen.way) == ("sri", Role.OPERATOR, Way.VISIT)
    assert store.visitor(secret + "x", NOW) is None
    assert store.visitor("", NOW) is None
    store.end(seen.visit, told(Deed.LOGOUT))
    assert store.visitor(secret, NOW) is None


def test_the_secret_of_a_visit_is_not_in_the_file(store: AccessStore, tmp_path: Path) -> None:
    add(store)
    secret = store.begin("sri", told(Deed.LOGIN))
    store.close()
    for file in tmp_path.iterdir():
        assert secret.encode() not in file.read_bytes()


@pytest.mark.parametrize("role", Role)
def test_a_visit_ends_when_nobody_comes_and_at_the_latest(store: AccessStore, role: Role) -> None:
    add(store, role=role)
    limits = LIMITS[role]
    secret = store.begin("sri", told(Deed.LOGIN))
    at = NOW
    while at + limits.idle_ns < NOW + limits.whole_ns:
        at += limits.idle_ns
        assert store.visitor(secret, at) is not None
    assert store.visitor(secret, NOW + limits.whole_ns + 1) is None
    another = store.begin("sri", told(Deed.LOGIN))
    assert store.visitor(another, NOW + limits.idle_ns + 1) is None


@pytest.mark.parametrize(
    ("deed", "columns"),
    [
        (Deed.ACCOUNT_DISABLE, {"disabled_wall_ns": NOW}),
        (Deed.ACCOUNT_PASSWORD, {"password": "other"}),
        (Deed.ACCOUNT_ROLE, {"role": "viewer"}),
    ],
)
def test_a_changed_account_has_to_log_in_again(
    store: AccessStore, deed: Deed, columns: dict[str, str | int]
) -> None:
    add(store)
    secret = store.begin("sri", told(Deed.LOGIN))
    store.change("sri", told(deed), **columns)
    assert store.visitor(secret, NOW) is None


def test_another_process_changes_accounts_beside_the_collector(tmp_path: Path) -> None:
    first, second = AccessStore(tmp_path / "a.db"), AccessStore(tmp_path / "a.db")
    assert not first.any_account()
    add(second)
    assert first.any_account()
    secret = first.begin("sri", told(Deed.LOGIN))
    second.change("sri", told(Deed.ACCOUNT_DISABLE), disabled_wall_ns=NOW)
    assert first.visitor(secret, NOW) is None
    assert not first.any_account()
    first.close()
    second.close()


def test_the_log_is_append_only_in_its_file_too(store: AccessStore, tmp_path: Path) -> None:
    add(store)
    with sqlite3.connect(tmp_path / "access.db") as db:
        for sql in ("DELETE FROM action", "UPDATE action SET actor='nobody'"):
            with pytest.raises(sqlite3.IntegrityError, match="append-only"):
                db.execute(sql)
    db.close()
    (line,) = store.actions(10)
    assert (line.actor, line.deed, line.subject) == ("root", Deed.ACCOUNT_ADD, "sri")


def test_the_log_is_read_in_pages_and_strangers_words_are_cut(store: AccessStore) -> None:
    for k in range(5):
        store.note(told(Deed.LOGIN_FAILED, NOW + k, "x" * 10_000))
    newest = store.actions(3)
    assert [one.wall_ns - NOW for one in newest] == [4, 3, 2]
    assert len(newest[0].subject) == 500
    assert [one.wall_ns - NOW for one in store.actions(3, newest[-1].id)] == [1, 0]


def test_only_the_collectors_user_reads_it(store: AccessStore, tmp_path: Path) -> None:
    add(store)
    for file in tmp_path.iterdir():
        assert os.stat(file).st_mode & 0o077 == 0, file


def test_the_same_name_twice_and_unknown_names_are_refused(store: AccessStore) -> None:
    add(store)
    with pytest.raises(ValueError, match="there is an account 'sri'"):
        add(store)
    with pytest.raises(ValueError, match="no account 'budi'"):
        store.change("budi", told(Deed.ACCOUNT_DISABLE), disabled_wall_ns=1)


def test_a_file_of_a_newer_version_is_not_touched(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "a.db") as db:
        db.execute("PRAGMA user_version=99")
    db.close()
    with pytest.raises(LedgerError, match="newer version"):
        AccessStore(tmp_path / "a.db")


def test_a_disk_that_takes_nothing_ends_no_visit(
    store: AccessStore, caplog: pytest.LogCaptureFixture
) -> None:
    add(store)
    secret = store.begin("sri", told(Deed.LOGIN))
    store._db.execute("PRAGMA query_only=ON")
    assert store.visitor(secret, NOW + 3600 * 10**9) is not None
    assert "not noted that a visit was seen" in caplog.text
    with pytest.raises(LedgerError):
        store.note(told(Deed.LOGIN))
    store._db.execute("PRAGMA query_only=OFF")


def test_old_visits_are_removed(store: AccessStore) -> None:
    add(store)
    old = store.begin("sri", told(Deed.LOGIN))
    store.begin("sri", told(Deed.LOGIN, NOW + 400 * DAY_NS))
    assert len(store._rows("SELECT 1 FROM visit")) == 1
    assert store.visitor(old, NOW) is None


@pytest.mark.parametrize("name", ["", "a b", "<script>", "-x", "x" * 65, "sri\n"])
def test_names_that_could_mislead_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match="expected 1 to 64"):
        check_name(name)


def test_what_each_role_may_do() -> None:
    may = {role: {right for right in Right if role.may(right)} for role in Role}
    assert may == {
        Role.VIEWER: {Right.READ},
        Role.AUDITOR: {Right.READ, Right.LOG},
        Role.OPERATOR: set(Right),
    }


def test_passwords() -> None:
    kept = passwords.make("kata sandi yang panjang")
    assert kept.startswith("$argon2id$")
    assert passwords.right(kept, "kata sandi yang panjang")
    assert not passwords.right(kept, "kata sandi yang pendek")
    assert not passwords.right(None, "kata sandi yang panjang")
    assert not passwords.outdated(kept)
    with pytest.raises(ValueError, match="damaged"):
        passwords.right("nonsense", "x")


@pytest.mark.parametrize("bad", ["short", "x" * 300, "srikandi.kominfo", "aaaaaaaaaaaa"])
def test_passwords_that_will_not_do(bad: str) -> None:
    with pytest.raises(ValueError, match="password"):
        passwords.check(bad, "Srikandi.Kominfo")
