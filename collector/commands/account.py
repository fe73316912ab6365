"""Accounts for the collector's page. A password is typed or read, and never on the command line."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from collector.commands.options import CONFIG, JSON, in_one_line

if TYPE_CHECKING:
    from collector.access.store import AccessStore, Deed, Told

ROLE = click.Choice(["viewer", "operator", "auditor"])
PASSWORD = click.option(
    "--password-file",
    type=click.Path(path_type=Path, allow_dash=True),
    help="Its first line is the password; - is standard input. Without it, it is asked for.",
)


@click.group()
def account() -> None:
    """Accounts for the collector's page: who may see, operate, audit.

    The first one is made here; the page itself makes none. A viewer sees everything but the log of
    actions, an auditor that too; an operator may also enter maintenance, order tests and invite
    nodes.
    """


@contextmanager
def _store(config: Path) -> Iterator["AccessStore"]:
    from collector.access.store import AccessStore
    from collector.settings import read

    with in_one_line():
        store = AccessStore(read(config).data_dir / "access.db")
        try:
            yield store
        finally:
            store.close()


def _told(deed: "Deed", subject: str, detail: str = "") -> "Told":
    from collector.access.store import Told
    from collector.osuser import os_user
    from runtime.clock import SystemClock

    return Told(SystemClock().wall_ns(), os_user(), "", "command line", deed, subject, detail)


def _password(name: str, file: Path | None) -> str:
    """The hash of what is typed or read. Raises ValueError or OSError."""
    from collector.access import passwords

    if file is None:
        if not sys.stdin.isatty():
            raise ValueError("no terminal to ask for a password: use --password-file")
        password = click.prompt(f"Password for {name}", hide_input=True, confirmation_prompt=True)
    else:
        with click.open_file(str(file), encoding="utf-8") as opened:
            password = opened.readline().rstrip("\r\n")
    passwords.check(password, name)
    return passwords.make(password)


@account.command("add")
@CONFIG
@click.argument("name")
@click.option("--role", type=ROLE, default="viewer", show_default=True)
@PASSWORD
def add(config: Path, name: str, role: str, password_file: Path | None) -> None:
    """Make the account NAME."""
    from collector.access.roles import Role
    from collector.access.store import Account, Deed, check_name

    with _store(config) as store:
        check_name(name)
        if store.account(name) is not None:
            raise ValueError(f"there is an account {name!r}; see `account list`")
        told = _told(Deed.ACCOUNT_ADD, name, role)
        store.add(
            Account(name, Role(role), _password(name, password_file), told.wall_ns, None), told
        )
        click.echo(f"account {name}: {role}")


@account.command("list")
@CONFIG
@JSON
def list_accounts(config: Path, as_json: bool) -> None:
    """List all accounts."""
    from collector.tables import show

    with _store(config) as store:
        rows = [
            {
                "name": one.name,
                "role": one.role.value,
                "state": "enabled" if one.disabled_wall_ns is None else "disabled",
                "created_s": one.created_wall_ns / 1e9,
            }
            for one in store.accounts()
        ]
        show(rows, as_json=as_json)


@account.command("disable")
@CONFIG
@click.argument("name")
def disable(config: Path, name: str) -> None:
    """Let NAME in no more, from this moment on; its name stays in the log."""
    from collector.access.store import Deed

    with _store(config) as store:
        told = _told(Deed.ACCOUNT_DISABLE, name)
        store.change(name, told, disabled_wall_ns=told.wall_ns)
        click.echo(f"account {name}: disabled")


@account.command("enable")
@CONFIG
@click.argument("name")
def enable(config: Path, name: str) -> None:
    """Let NAME in again, with its former password."""
    from collector.access.store import Deed

    with _store(config) as store:
        store.change(name, _told(Deed.ACCOUNT_ENABLE, name), disabled_wall_ns=None)
        click.echo(f"account {name}: enabled")


@account.command("role")
@CONFIG
@click.argument("name")
@click.argument("role", type=ROLE)
def change_role(config: Path, name: str, role: str) -> None:
    """Give NAME another ROLE; it has to log in again."""
    from collector.access.store import Deed

    with _store(config) as store:
        store.change(name, _told(Deed.ACCOUNT_ROLE, name, role), role=role)
        click.echo(f"account {name}: {role}")


@account.command("password")
@CONFIG
@click.argument("name")
@PASSWORD
def change_password(config: Path, name: str, password_file: Path | None) -> None:
    """Set NAME's password; all its visits end."""
    from collector.access.store import Deed

    with _store(config) as store:
        if store.account(name) is None:
            raise ValueError(f"no account {name!r}; see `account list`")
        password = _password(name, password_file)
        store.change(name, _told(Deed.ACCOUNT_PASSWORD, name), password=password)
        click.echo(f"account {name}: new password")
