"""What several commands are told, and how a failure of any of them is said."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from runtime.settings import SettingsError

CONFIG = click.option(
    "--config.file",
    "config",
    type=click.Path(path_type=Path),
    default=Path("/etc/pantau/collector.yaml"),
    show_default=True,
    help="Settings; nodes, links and contracts are named in it.",
)
BY = click.option("--by", help="Who says so; by default the user of this machine.")
ZONE = click.option(
    "--zone",
    type=click.Choice(["WIB", "WITA", "WIT"]),
    default="WIB",
    show_default=True,
    help="In which the times are told.",
)
JSON = click.option("--json", "as_json", is_flag=True, help="For programs.")
MONTH = click.option(
    "--month", metavar="YYYY-MM", help="A calendar month of the contract's zone, such as 2026-10."
)
ONE_LINK = click.option("--link", help="Only this link.")
URL = click.option("--url", help="Where the running collector answers; by default on this machine.")
TOKEN = click.option(
    "--token-file",
    type=click.Path(path_type=Path),
    help="The operator's token; by default operator.token of this machine's collector.",
)


def fail(error: Exception) -> None:
    """One line on standard error, and status 1."""
    click.echo(f"pantau-collector: {error}", err=True)
    sys.exit(1)


@contextmanager
def in_one_line() -> Iterator[None]:
    """What cannot be done is one line, and status 1."""
    from collector.ledger import LedgerError

    try:
        yield
    except (SettingsError, LedgerError, OSError, ValueError) as error:
        fail(error)
