"""Evidence that leaves the hub: bundles, and their verification on any machine."""

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from collector.commands.options import CONFIG, JSON, ZONE, fail, in_one_line

if TYPE_CHECKING:
    from collector.audit.evidence import Span
    from collector.bundle.lines import Lines


CANNOT = 2
"""Exit status of `verify` where a file cannot be verified at all."""


@click.group()
def evidence() -> None:
    """Write evidence into files that anybody can verify without this collector."""


@evidence.command()
@CONFIG
@click.option("--link", required=True, help="Of which link.")
@click.option("--month", metavar="YYYY-MM", help="Of a calendar month, by the contract's clock.")
@click.option("--from", "start", metavar="TIME", help="Or from YYYY-MM-DD [HH:MM[:SS]]")
@click.option("--to", "end", metavar="TIME", help="to the first moment after it.")
@ZONE
@click.option(
    "-o",
    "--output",
    "file",
    required=True,
    type=click.Path(path_type=Path, dir_okay=False),
    help="The bundle; a file that is there is never overwritten.",
)
@click.option(
    "--check/--no-check",
    default=True,
    show_default=True,
    help="Verify the bundle as its reader will, before it is called done.",
)
def export(
    config: Path,
    link: str,
    month: str | None,
    start: str | None,
    end: str | None,
    zone: str,
    file: Path,
    check: bool,
) -> None:
    """Write one bundle with all that a link's period was judged by.

    In it are the raw signed batches, of this link whole and of the others as far as causes were
    compared with them; agents' keys, contracts, maintenance and tickets, receipts, tree heads with
    proofs, what the collector said, and the audit of each month that is whole in it.
    `pantau-collector verify` computes every number of it anew, on a machine that has nothing else,
    and names what it cannot. docs/evidence-v1.md describes the file.

    Exit status 0 if it was written and verifies, 1 if not.
    """
    from collector.bundle import by_hand

    with in_one_line(), _progress() as told:
        period = _period(month, start, end, zone)
        key, written = by_hand.run(config, by_hand.Wanted(link, period, file), told)
        click.echo(
            f"{file}: {written.bytes:,} bytes: {written.batches} batches of {written.agents}"
            f" agents; other links compared: {written.others}, in {written.windows} windows"
        )
        for whole in written.months.whole:
            click.echo(f"audit of {whole}")
        for left in written.months.left:
            click.echo(f"no audit of {left.month}: {left.why}")
        click.echo(f"collector key {key.hex()}")
        click.echo(f"tree head {written.head.data.hex()}")
        if check:
            lines = by_hand.verify_file(file, by_hand.outside_of(key), told)
            for one in lines.all:
                if not one.finding.good:
                    click.echo(f"{one.finding}: {one.check}: {one.text}", err=True)
            if not lines.good:
                raise ValueError(
                    f"{file} does not verify: the ledger is not what the collector said, or judged"
                    " anew since; run `verify` on it for all lines"
                )
            for one in lines.uncovered:
                click.echo(f"{one.finding}: {one.text}")
            but = ", but for what is uncovered" if lines.uncovered else ""
            click.echo(f"verified: every number follows from the batches in it{but}")


def _period(month: str | None, start: str | None, end: str | None, zone: str) -> "Span | str":
    from collector.audit.calendar import Zone
    from collector.bundle import by_hand

    if month is not None and start is None and end is None:
        return month
    if month is None and start is not None and end is not None:
        return by_hand.period(start, end, Zone(zone))
    raise ValueError("expected --month, or --from and --to")


@click.command()
@click.argument("bundle", type=click.Path(path_type=Path, dir_okay=False))
@click.option(
    "--key",
    metavar="HEX",
    help="The collector's public key, from elsewhere than the bundle: /api/v1/heads shows it.",
)
@click.option(
    "--head",
    "heads",
    multiple=True,
    metavar="HEX",
    help="A tree head as it was mailed or published: has the history changed since?",
)
@click.option(
    "--tsa-ca",
    "roots",
    multiple=True,
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="PEM root of a time-stamping authority that you believe.",
)
@click.option(
    "--audit",
    "audits",
    multiple=True,
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="The JSON of an issued audit: does what it says of this link follow from the bundle?",
)
@JSON
def verify(
    bundle: Path,
    key: str | None,
    heads: tuple[str, ...],
    roots: tuple[Path, ...],
    audits: tuple[Path, ...],
    as_json: bool,
) -> None:
    """Verify an evidence BUNDLE, and compute every number of it anew from its raw batches.

    Needs no ledger, no settings and no network. Says one line for each check: what holds, what
    was altered, inserted, reordered or is missing, by member, agent, epoch and number, and which
    number of an audit differs, by its place. What an audit says and the bundle cannot show is
    `uncovered`: it is the collector's word, and named.

    Exit status 0 if everything holds, 1 if something does not, 2 if the file cannot be verified.
    """
    from collector.bundle import by_hand
    from collector.bundle.container import BundleError

    try:
        outside = by_hand.outside(key, heads, roots, audits)
        with _progress() as told:
            lines = by_hand.verify_file(bundle, outside, told)
    except ModuleNotFoundError as error:
        fail(ImportError(f"verify needs {error.name}: install pantau with its extra 'collector'"))
        return
    except (BundleError, OSError, ValueError) as error:
        if as_json:
            click.echo(json.dumps({"verified": False, "error": str(error), "checks": []}))
        click.echo(f"pantau-collector: {bundle}: {error}", err=True)
        sys.exit(CANNOT)
    _show(lines, as_json=as_json)
    sys.exit(0 if lines.good else 1)


def _show(lines: "Lines", *, as_json: bool) -> None:
    if as_json:
        rows = [
            {"check": one.check, "finding": one.finding.value, "text": one.text}
            for one in lines.all
        ]
        click.echo(json.dumps({"verified": lines.good, "checks": rows}, indent=1))
        return
    for one in lines.all:
        click.echo(f"{one.finding.value:9} {one.check}: {one.text}")
    against = sum(not one.finding.good for one in lines.all)
    uncovered = len(lines.uncovered)
    but = f", but for {uncovered} things that it cannot show: see uncovered" if uncovered else ""
    click.echo(
        f"VERIFIED{but}" if lines.good else f"NOT VERIFIED: {against} lines speak against it"
    )


@contextmanager
def _progress() -> Iterator[Callable[[str, int, int], None]]:
    """Shows (what, done, whole) on a terminal; whole 0 is not known."""
    from rich.console import Console
    from rich.progress import Progress, TaskID

    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        tasks: dict[str, TaskID] = {}

        def told(what: str, done: int, whole: int) -> None:
            if what not in tasks:
                tasks[what] = bar.add_task(what, total=whole or None)
            bar.update(tasks[what], completed=done, total=whole or None)

        yield told
