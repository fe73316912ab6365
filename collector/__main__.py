"""`pantau-collector`: the hub's commands."""

import asyncio
import sys
from pathlib import Path
from typing import Any

import click

from runtime.settings import SettingsError
from runtime.version import VERSION

CONFIG = click.option(
    "--config.file",
    "config",
    type=click.Path(path_type=Path),
    default=Path("/etc/pantau/collector.yaml"),
    show_default=True,
    help="Settings; nodes and links are named in it.",
)


def _fail(error: Exception) -> None:
    click.echo(f"pantau-collector: {error}", err=True)
    sys.exit(1)


@click.group(
    help="Takes the agents' reports in, keeps them as evidence, shows what is known now.\n\n"
    "First time: write collector.yaml, nodes.yaml and links.yaml (see configs/), `check` them,"
    " `serve`, then `invite` each node."
)
@click.version_option(VERSION, prog_name="pantau-collector")
def main() -> None:
    """See the help text above."""


@main.command()
@CONFIG
@click.option(
    "--log.level",
    "level",
    default="info",
    show_default=True,
    type=click.Choice(["debug", "info", "warning", "error"]),
)
@click.option(
    "--log.format", "form", default="plain", show_default=True, type=click.Choice(["plain", "json"])
)
def serve(config: Path, level: str, form: str) -> None:
    """Run the collector until SIGTERM. SIGHUP reloads nodes and links."""
    from collector.app import Collector
    from collector.app import serve as run
    from collector.ledger import LedgerError
    from collector.settings import read
    from runtime.logs import set_up
    from runtime.timekeeping import KeptClock

    set_up(level, form)

    async def start() -> None:
        await run(Collector(read(config), KeptClock()))

    try:
        asyncio.run(start())
    except (SettingsError, LedgerError, OSError, ValueError) as error:
        _fail(error)


@main.command()
@CONFIG
def check(config: Path) -> None:
    """Check all settings files and start nothing."""
    from collector import inventory
    from collector.settings import read

    try:
        located = read(config)
        both = inventory.read(
            located.path(located.settings.nodes_file), located.path(located.settings.links_file)
        )
    except SettingsError as error:
        _fail(error)
        return
    linked = {link.node for link in both.links.values()}
    bare = sorted(
        node.id
        for node in both.nodes.values()
        if node.id not in linked and node.kind is not inventory.NodeKind.HUB
    )
    click.echo(f"{config}: good: {len(both.nodes)} nodes, {len(both.links)} links")
    if bare:
        click.echo(f"note: nodes without a link: {', '.join(bare)}")
    if located.settings.stamp.address is None:
        click.echo("note: stamp.address is missing; `serve` needs it")


@main.command()
@CONFIG
@click.argument("node")
@click.option(
    "--days",
    default=14.0,
    show_default=True,
    type=click.FloatRange(min=0.001),
    help="How long the token may wait to be used.",
)
def invite(config: Path, node: str, days: float) -> None:
    """Print a join token for NODE: it works once, for one box."""
    from collector import enrol, identity, inventory
    from collector.ledger import LedgerError
    from collector.ledger.sqlite import SqliteLedger
    from collector.settings import read
    from runtime.clock import SystemClock

    try:
        located = read(config)
        both = inventory.read(
            located.path(located.settings.nodes_file), located.path(located.settings.links_file)
        )
        if node not in both.nodes:
            raise SettingsError(
                f"{located.path(located.settings.nodes_file)}: no node {node!r};"
                f" known: {', '.join(sorted(both.nodes)) or 'none'}"
            )
        ledger = SqliteLedger(located.data_dir / "ledger.db")
        token = enrol.invite(
            ledger,
            identity.load_or_make(located.data_dir),
            SystemClock(),
            node,
            int(days * enrol.DAY_NS),
        )
        ledger.close()
    except (SettingsError, LedgerError, OSError, ValueError) as error:
        _fail(error)
        return
    url = located.settings.public_url or f"http://THIS-HOST:{located.settings.http.port}"
    click.echo(f"Join token for {node}, good once within {days:g} days. On the box:\n", err=True)
    click.echo(f"  pantau-agent enrol {url} --token \\", err=True)
    click.echo(str(token))


@main.command()
@CONFIG
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@click.option("--revoke", metavar="AGENT", help="Refuse this agent (its id) from now on.")
def agents(config: Path, as_json: bool, revoke: str | None) -> None:
    """List enrolled agents, or revoke one."""
    from collector import tables
    from collector.ledger import LedgerError

    try:
        tables.agents(config, as_json=as_json, revoke=revoke)
    except (SettingsError, LedgerError, OSError, ValueError) as error:
        _fail(error)


@main.command()
@CONFIG
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@click.option("--url", help="Where the running collector answers; by default on this machine.")
def links(config: Path, as_json: bool, url: str | None) -> None:
    """List all links as the running collector knows them now."""
    from collector import tables

    try:
        tables.links(config, as_json=as_json, url=url)
    except (SettingsError, ValueError, OSError) as error:
        _fail(error)


@main.command()
@click.option(
    "--from",
    "file",
    type=click.Path(path_type=Path),
    required=True,
    help="CSV of throughput tests: time, direction, achieved_mbps, cross_mbps, valid, reason.",
)
@click.option("--cir", type=float, required=True, help="Promised rate, Mbit/s.")
@click.option(
    "--layer",
    type=click.Choice(["l1", "l2", "ip"]),
    default="l1",
    show_default=True,
    help="Where the contract counts it; l1 is best for the provider.",
)
@click.option("--vlan/--no-vlan", default=True, show_default=True, help="Tagged frames.")
@click.option(
    "--rate",
    type=click.Choice(["ip", "tcp"]),
    default="ip",
    show_default=True,
    help="What the file's rates count: IP packets, or TCP payload as speed tests show it.",
)
@click.option("--direction", type=click.Choice(["down", "up"]), help="Only this one.")
@click.option(
    "--zone", default="WIB", show_default=True, help="Of the sites: WIB, WITA, WIT or IANA."
)
@click.option(
    "--until",
    type=click.DateTime(["%Y-%m-%d"]),
    help="Local day after the last one judged; by default after the last test.",
)
@click.option("--low-budget", is_flag=True, help="One evening test makes a day valid, not two.")
@click.option(
    "--vouch",
    multiple=True,
    type=click.Choice(["box", "anchors", "site", "clock"]),
    help="You answer for it: box carries 1.2 x CIR, far ends healthy, no site fault, clock sane.",
)
@click.option(
    "--delivered",
    type=click.DateTime(["%Y-%m-%d"]),
    help="When the provider received the raw data; it has 14 days to answer.",
)
@click.option(
    "--as-of", type=click.DateTime(["%Y-%m-%d"]), help="Day of the audit; by default --until."
)
@click.option("--json", "as_json", is_flag=True, help="For programs: all numbers.")
@click.option("--explain", "full", is_flag=True, help="All that the verdict rests on, in words.")
@click.option("--lang", type=click.Choice(["en", "id"]), default="en", show_default=True)
def verdict(file: Path, *, as_json: bool, full: bool, lang: str, **told: Any) -> None:
    """Dedicated or not: judge throughput tests that you already have."""
    try:
        from collector import verdicts

        click.echo(verdicts.answer(file, told, as_json=as_json, full=full, lang=lang), nl=False)
    except ModuleNotFoundError as error:
        _fail(ImportError(f"verdicts need {error.name}: install pantau with its extra 'collector'"))
    except (OSError, ValueError) as error:
        _fail(error)


@main.command()
@click.option(
    "--for",
    "duration",
    default=None,
    metavar="60s",
    help="Run so long unattended; exit status 0 only if all that was promised happened.",
)
@click.option("--keep", is_flag=True, help="Keep the data folder.")
def demo(duration: str | None, keep: bool) -> None:
    """A collector and three nodes behind links of different quality, on this machine."""
    from collector.demo import run

    sys.exit(run(duration, keep=keep))


if __name__ == "__main__":
    main()
