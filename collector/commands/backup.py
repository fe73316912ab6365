"""Copies of the hub's data, and their way back."""

from pathlib import Path

import click

from collector.commands.options import CONFIG, in_one_line


@click.command()
@CONFIG
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
@click.option(
    "--keep",
    type=click.IntRange(min=1),
    help="Afterwards remove all copies in FOLDER but so many; by default none.",
)
def backup(config: Path, folder: Path, keep: int | None) -> None:
    """Copy the ledger, the keys and the settings into a new folder under FOLDER.

    The collector may run. Each copy is whole and stands alone: `sha256sum --check SHA256SUMS` in it
    looks at every byte. It holds the hub's private keys: keep it as you keep those, and take it to
    another machine.

    \b
    pantau-collector backup /var/backups/pantau --keep 3
    """
    from collector import backup as copies
    from collector.settings import read
    from runtime.clock import SystemClock

    with in_one_line():
        done = copies.backup(read(config), folder, SystemClock(), keep)
        click.echo(f"{done.folder}: {done.files} files, {done.octets / 1e6:.1f} MB")


@click.command()
@CONFIG
@click.argument("copy", type=click.Path(path_type=Path, file_okay=False, exists=True))
def restore(config: Path, copy: Path) -> None:
    """Bring back the data of COPY, a folder that `backup` made.

    The collector must not run and its data folder must be empty. The settings in COPY are not
    touched: copy them to their place first, if they were lost as well. When the collector runs
    again, the agents send anew what it has lost since the copy was made and they still keep (72
    hours, unless agent.yaml says otherwise).

    \b
    pantau-collector restore /var/backups/pantau/pantau-20261001T020000Z
    """
    from collector import backup as copies
    from collector.settings import read

    with in_one_line():
        done = copies.restore(read(config), copy)
        click.echo(f"{done.folder}: {done.files} files, {done.octets / 1e6:.1f} MB are back")
