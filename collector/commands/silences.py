"""What Alertmanager is told of maintenance windows."""

from pathlib import Path
from typing import Any

import click

from collector.commands.options import CONFIG, in_one_line

_FILE = click.Path(path_type=Path, dir_okay=False)


@click.command("silence-sync")
@CONFIG
@click.option("--url", help="Alertmanager's, such as http://127.0.0.1:9093; any of a cluster.")
@click.option("--username", help="For basic authentication, with --password-file.")
@click.option("--password-file", type=_FILE, help="Its first line is the password.")
@click.option("--ca-file", type=_FILE, help="PEM certificates that sign Alertmanager's own.")
@click.option("--cert-file", type=_FILE, help="PEM certificate to show, with --key-file.")
@click.option("--key-file", type=_FILE, help="Its PEM private key.")
@click.option("--once", is_flag=True, help="Compare once and end: for cron, or to see at once.")
@click.option(
    "--every",
    "every_s",
    type=click.FloatRange(min=1, max=86_400),
    metavar="SECONDS",
    help="Between two comparisons.  [default: alertmanager.every_s, which is 30]",
)
@click.option("--dry-run", is_flag=True, help="Say what would be done, once, and do nothing.")
def silence_sync(config: Path, once: bool, dry_run: bool, **told: Any) -> None:
    """Make Alertmanager's silences of maintenance windows, and keep them in line.

    A window silences the alerts about a link for as long as the link's contract excludes the time:
    announced in time, approved, within the agreed hours and the month's cap. What a contract does
    not excuse is paged as ever; `maintenance list --link LINK` says why. Links without a contract
    on that day are silenced by every approved window.

    Silences are created ahead, changed when contracts or links change, and expired when the window
    is cancelled. Each names its window, so that nothing is made twice, and silences by others are
    not touched. To page in spite of a window: `maintenance cancel` it. One that is expired by hand
    in Alertmanager comes back.

    Options take precedence over `alertmanager` in collector.yaml. With that block the running
    collector does the same by itself, and this command is not needed.
    """
    from time import sleep

    from collector import silence_sync as sync
    from runtime.clock import SystemClock

    clock, said = SystemClock(), sync.Told(**told)
    with in_one_line():
        if (once or dry_run) and said.every_s is not None:
            raise ValueError("--every is for the loop, not for --once or --dry-run")
        if not once and not dry_run:
            sync.for_ever(config, said, clock, click.echo, sleep)
        done = sync.once(config, said, clock, only_look=dry_run)
    for line in done.lines():
        click.echo(f"not done: {line}" if dry_run else line)
    click.echo(f"silences wanted: {done.wanted}, changes: {len(done.requests)}")
