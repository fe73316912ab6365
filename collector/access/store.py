"""Accounts, visits and the log of actions, in a database of its own beside the ledger.

The log is append-only, and its table refuses anything else. Calls may come from any thread and
from another process (`pantau-collector account`); each is one durable transaction.
"""

import hashlib
import logging
import os
import re
import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Any, NamedTuple

import apsw

from collector.access.roles import Asker, Role, Way
from collector.ledger import LedgerError

log = logging.getLogger(__name__)
NS = 1_000_000_000
DAY_NS = 86_400 * NS
_SCHEMA = """
CREATE TABLE IF NOT EXISTS account (
  name TEXT PRIMARY KEY, role TEXT NOT NULL, password TEXT NOT NULL,
  created_wall_ns INTEGER NOT NULL, disabled_wall_ns INTEGER
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS visit (
  digest BLOB PRIMARY KEY, account TEXT NOT NULL REFERENCES account (name), csrf TEXT NOT NULL,
  began_wall_ns INTEGER NOT NULL, seen_wall_ns INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS action (
  id INTEGER PRIMARY KEY, wall_ns INTEGER NOT NULL, actor TEXT NOT NULL, role TEXT NOT NULL,
  address TEXT NOT NULL, deed TEXT NOT NULL, subject TEXT NOT NULL, detail TEXT NOT NULL
) STRICT;
CREATE TRIGGER IF NOT EXISTS action_no_update BEFORE UPDATE ON action
  BEGIN SELECT RAISE(ABORT, 'action is append-only'); END;
CREATE TRIGGER IF NOT EXISTS action_no_delete BEFORE DELETE ON action
  BEGIN SELECT RAISE(ABORT, 'action is append-only'); END;
"""
VERSION = 1
_TOUCH_NS = 60 * NS
"""How exactly it is known when a visit was last seen."""
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")
"""Of an account."""
_MOST_TEXT = 500
"""Characters of a text in the log: strangers' words end up there."""


class Limits(NamedTuple):
    """How long a visit lasts."""

    idle_ns: int
    whole_ns: int


LIMITS = {
    # A board on a wall is a viewer's, and nobody comes by to log it in again.
    Role.VIEWER: Limits(30 * DAY_NS, 365 * DAY_NS),
    Role.AUDITOR: Limits(DAY_NS // 2, 7 * DAY_NS),
    Role.OPERATOR: Limits(DAY_NS // 2, 7 * DAY_NS),
}


class Deed(StrEnum):
    """What was done, or tried."""

    LOGIN = "login"
    LOGIN_FAILED = "login_failed"
    LOGIN_THROTTLED = "login_throttled"
    LOGOUT = "logout"
    ACCOUNT_ADD = "account_add"
    ACCOUNT_DISABLE = "account_disable"
    ACCOUNT_ENABLE = "account_enable"
    ACCOUNT_PASSWORD = "account_password"
    ACCOUNT_ROLE = "account_role"
    MAINTENANCE_ADD = "maintenance_add"
    MAINTENANCE_CANCEL = "maintenance_cancel"
    ORDER_ADD = "order_add"
    ORDER_CANCEL = "order_cancel"
    EXPERIMENT_ADD = "experiment_add"
    EXPERIMENT_STOP = "experiment_stop"
    INVITE = "invite"
    WITHDRAW = "withdraw"
    APPROVE = "approve"
    REVOKE = "revoke"
    RELOAD = "reload"
    AUDIT_ISSUE = "audit_issue"


class Account(NamedTuple):
    """One account."""

    name: str
    role: Role
    password: str
    """Its argon2 hash."""
    created_wall_ns: int
    disabled_wall_ns: int | None


class Action(NamedTuple):
    """A line of the log."""

    id: int
    wall_ns: int
    actor: str
    role: str
    address: str
    deed: Deed
    subject: str
    detail: str


class Told(NamedTuple):
    """What is to be noted; `actor` and `role` as known then, empty for a stranger's."""

    wall_ns: int
    actor: str
    role: str
    address: str
    deed: Deed
    subject: str = ""
    detail: str = ""


def _account(row: tuple[Any, ...]) -> Account:
    return Account(row[0], Role(row[1]), *row[2:])


class AccessStore:
    """SQLite, WAL, synchronous FULL."""

    def __init__(self, file: Path) -> None:
        """Open or create it. Raises LedgerError where it is damaged or too new."""
        self._file, self._lock = file, threading.Lock()
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        # Hashes of passwords are nobody else's business; SQLite gives its other files this mode.
        os.close(os.open(file, os.O_CREAT | os.O_RDWR, 0o600))
        with self._translated():
            self._db = apsw.Connection(str(file))
            self._db.set_busy_timeout(10_000)
            for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
                self._db.execute(f"PRAGMA {pragma}")
            version: Any = self._db.execute("PRAGMA user_version").fetchall()[0][0]
            if int(version) > VERSION:
                raise LedgerError(f"{file}: made by a newer version of this program")
            self._db.execute(_SCHEMA)
            self._db.execute(f"PRAGMA user_version={VERSION}")

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            with self._lock:
                yield
        except apsw.Error as error:
            raise LedgerError(f"{self._file}: {error}") from error

    def _rows(self, sql: str, *values: Any) -> list[Any]:
        with self._translated():
            return self._db.execute(sql, values).fetchall()

    # --- accounts -------------------------------------------------------------------------

    def accounts(self) -> list[Account]:
        """All accounts by name, the disabled ones too."""
        return [_account(row) for row in self._rows("SELECT * FROM account ORDER BY name")]

    def account(self, name: str) -> Account | None:
        """The account of this name."""
        rows = self._rows("SELECT * FROM account WHERE name=?", name)
        return _account(rows[0]) if rows else None

    def any_account(self) -> bool:
        """Whether anybody can log in."""
        return bool(self._rows("SELECT 1 FROM account WHERE disabled_wall_ns IS NULL LIMIT 1"))

    def add(self, account: Account, told: Told) -> None:
        """A new account. Raises ValueError where there is one of this name."""
        with self._translated(), self._db:
            if self._db.execute("SELECT 1 FROM account WHERE name=?", (account.name,)).fetchall():
                raise ValueError(f"there is an account {account.name!r}; see `account list`")
            self._db.execute("INSERT INTO account VALUES (?,?,?,?,?)", account)
            self._note(told)

    def change(self, name: str, told: Told, **columns: str | int | None) -> None:
        """Set columns of an account and end its visits. Raises ValueError for an unknown name."""
        with self._translated(), self._db:
            if not self._db.execute("SELECT 1 FROM account WHERE name=?", (name,)).fetchall():
                raise ValueError(f"no account {name!r}; see `account list`")
            for column, value in columns.items():
                assert column in Account._fields, column
                self._db.execute(f"UPDATE account SET {column}=? WHERE name=?", (value, name))
            self._db.execute("DELETE FROM visit WHERE account=?", (name,))
            self._note(told)

    def rehash(self, name: str, password: str) -> None:
        """The same password, hashed anew."""
        with self._translated(), self._db:
            self._db.execute("UPDATE account SET password=? WHERE name=?", (password, name))

    # --- visits ---------------------------------------------------------------------------

    def begin(self, name: str, told: Told) -> str:
        """A visit begins; the secret for its cookie, of which only the digest is kept."""
        secret = secrets.token_urlsafe(32)
        now = told.wall_ns
        with self._translated(), self._db:
            self._db.execute(
                "INSERT INTO visit VALUES (?,?,?,?,?)",
                (_digest(secret), name, secrets.token_urlsafe(24), now, now),
            )
            longest = max(limits.whole_ns for limits in LIMITS.values())
            self._db.execute("DELETE FROM visit WHERE began_wall_ns < ?", (now - longest,))
            self._note(told)
        return secret

    def visitor(self, secret: str, now_wall_ns: int) -> Asker | None:
        """Whose visit it is, if it has not ended; notes that it was seen."""
        digest = _digest(secret)
        rows = self._rows(
            "SELECT a.name, a.role, v.csrf, v.began_wall_ns, v.seen_wall_ns FROM visit v"
            " JOIN account a ON a.name=v.account WHERE v.digest=? AND a.disabled_wall_ns IS NULL",
            digest,
        )
        if not rows:
            return None
        name, role, csrf, began, seen = rows[0]
        limits = LIMITS[Role(role)]
        if now_wall_ns - began > limits.whole_ns or now_wall_ns - seen > limits.idle_ns:
            return None
        if now_wall_ns - seen > _TOUCH_NS:
            self._touch(digest, now_wall_ns)
        return Asker(name, Role(role), Way.VISIT, csrf, digest)

    def _touch(self, digest: bytes, now_wall_ns: int) -> None:
        try:
            with self._translated(), self._db:
                self._db.execute(
                    "UPDATE visit SET seen_wall_ns=? WHERE digest=?", (now_wall_ns, digest)
                )
        except LedgerError as error:
            # A full disk must not take the board from the wall: the visit may end too early.
            log.warning("not noted that a visit was seen: %s", error)

    def end(self, digest: bytes, told: Told) -> None:
        """The visit is over."""
        with self._translated(), self._db:
            self._db.execute("DELETE FROM visit WHERE digest=?", (digest,))
            self._note(told)

    # --- the log --------------------------------------------------------------------------

    def note(self, told: Told) -> None:
        """Append a line to the log."""
        with self._translated(), self._db:
            self._note(told)

    def _note(self, told: Told) -> None:
        *known, subject, detail = told
        self._db.execute(
            "INSERT INTO action VALUES (NULL,?,?,?,?,?,?,?)",
            (*known, subject[:_MOST_TEXT], detail[:_MOST_TEXT]),
        )

    def actions(self, limit: int, before: int | None = None) -> list[Action]:
        """The newest lines, the newest first; with `before`, those with a lower number."""
        rows = self._rows(
            "SELECT * FROM action WHERE id < ? ORDER BY id DESC LIMIT ?",
            2**62 if before is None else before,
            limit,
        )
        return [Action._make((*row[:5], Deed(row[5]), *row[6:])) for row in rows]

    def close(self) -> None:
        """Close the file."""
        with self._translated():
            self._db.close()


def check_name(name: str) -> None:
    """Raises ValueError for what cannot be an account's name."""
    if NAME.fullmatch(name) is None:
        raise ValueError(
            f"account {name!r}: expected 1 to 64 of letters, digits and . _ @ -, as sri or"
            " sri@kominfo.example"
        )


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode("utf-8", "surrogateescape")).digest()
