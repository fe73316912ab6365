"""The audit of a month as a document."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from collector.commands.options import BY, CONFIG, JSON, fail, in_one_line

FORMS = ("html", "pdf", "xlsx", "csv", "json")
LANGUAGES = ("id", "en")
SCOPES = ("link", "provider", "node", "district")


class Several(click.ParamType[tuple[str, ...]]):
    """Some of several words, with commas between them."""

    name = "list"

    def __init__(self, known: tuple[str, ...]) -> None:
        self._known = known

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, ...]:
        """Raises BadParameter for a word that is not known."""
        if isinstance(value, tuple):
            return value
        words = tuple(one.strip() for one in str(value).split(","))
        for one in words:
            if one not in self._known:
                self.fail(f"{one!r}: expected some of {','.join(self._known)}", param, ctx)
        return words


@click.command()
@CONFIG
@click.option(
    "--month", required=True, metavar="YYYY-MM", help="A calendar month, such as 2026-10."
)
@click.option("--link", help="Only this link. At most one of these four.")
@click.option("--provider", help="Only this provider's links.")
@click.option("--node", help="Only the links of this node.")
@click.option("--district", help="Only the links of the nodes in this district.")
@click.option(
    "--format",
    "forms",
    type=Several(FORMS),
    default="pdf,json",
    show_default=True,
    metavar="html,pdf,xlsx,csv,json",
    help="Kinds of files.",
)
@click.option(
    "--lang",
    "languages",
    type=Several(LANGUAGES),
    default="id",
    show_default=True,
    metavar="id,en",
    help="Of HTML, PDF and XLSX; JSON and CSV have none.",
)
@click.option(
    "-o",
    "--output",
    "folder",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path(),
    help="Folder for the files; by default this one.",
)
@click.option(
    "--issue",
    is_flag=True,
    help="Freeze it in the ledger as the next revision, unless its evidence is the last one's.",
)
@click.option(
    "--per-link/--one-file",
    default=None,
    help="HTML and PDF: a file for each link; by default where there are more than 20.",
)
@click.option("--mail", "recipients", multiple=True, metavar="ADDRESS", help="Send it there, too.")
@BY
def audit(
    config: Path,
    month: str,
    forms: tuple[str, ...],
    languages: tuple[str, ...],
    folder: Path,
    issue: bool,
    per_link: bool | None,
    recipients: tuple[str, ...],
    by: str | None,
    **scope: str | None,
) -> None:
    """Write the audit of a month: per link availability with bounds, every outage, delays against
    limits, throughput, the dedicated verdict and restitution; a summary; providers side by side.

    An audit that was issued stays: with the same evidence the same bytes are written again; with
    later evidence it is a draft that lists what changed, until it is issued as the next revision.
    The collector may run meanwhile.

    \b
    Exit status:
      0   all links met what was promised
      4   some are undecided, none breached
      8   some breached, none undecided
      12  some breached and some are undecided
      1   failed, nothing is said of the links
      2   wrong options
    """
    from collector.report import by_hand

    with in_one_line():
        try:
            wanted = by_hand.Told(
                month=month,
                scope={kind: value for kind in SCOPES if (value := scope[kind]) is not None},
                forms=forms,
                languages=languages,
                folder=folder,
                issue=issue,
                per_link=per_link,
                recipients=recipients,
                by=by,
            )
            with _progress() as progress:
                status = by_hand.run(config, wanted, progress)
        except ModuleNotFoundError as error:
            fail(
                ImportError(f"audits need {error.name}: install pantau with its extra 'collector'")
            )
    sys.exit(status)


@click.command()
@CONFIG
@JSON
def audits(config: Path, as_json: bool) -> None:
    """List the audits that were issued, all revisions, the newest months first."""
    from collector.report import by_hand

    with in_one_line():
        by_hand.list_issued(config, as_json=as_json)


@click.command("audit-monthly")
@CONFIG
def audit_monthly(config: Path) -> None:
    """Issue, write and send last month's audits as audit.schedule in the settings says.

    The running collector does this by itself. What is done already is not done again, and what
    failed is tried again: exit status 1 as long as something is left to do.
    """
    from collector.report import by_hand

    with in_one_line():
        failures = by_hand.monthly(config)
    for one in failures:
        click.echo(f"pantau-collector: {one}", err=True)
    sys.exit(1 if failures else 0)


@contextmanager
def _progress() -> Iterator[Any]:
    """A bar where somebody looks at it, else a line every tenth."""
    if sys.stderr.isatty():
        from rich.console import Console
        from rich.progress import Progress

        with Progress(console=Console(stderr=True), transient=True) as bar:
            task = bar.add_task("links", total=None)
            yield lambda done, of: bar.update(task, completed=done, total=of)
        return
    said = {-1}

    def tell(done: int, of: int) -> None:
        tenth = 10 * done // of if of else 10
        if of >= 50 and tenth > max(said):
            said.add(tenth)
            click.echo(f"audit: {done} of {of} links", err=True)

    yield tell
