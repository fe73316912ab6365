"""`pantau-collector`: the hub's commands."""

import asyncio
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from collector.commands import (
    account,
    audit,
    backup,
    evidence,
    registers,
    report,
    silences,
    throughput,
)
from collector.commands.options import (
    CONFIG,
    JSON,
    ONE_LINK,
    TOKEN,
    URL,
    ZONE,
    fail,
    in_one_line,
)
from runtime.settings import SettingsError
from runtime.version import VERSION
from wire.slot import Method

if TYPE_CHECKING:
    from collector.inventory import Inventory
    from collector.settings import ThroughputSettings


@click.group(
    help="Takes the agents' reports in, keeps them as evidence, shows what is known now.\n\n"
    "First time: write collector.yaml, nodes.yaml and links.yaml (see configs/), `check` them,"
    " `serve`, make an `account` for the page, then `invite` each node."
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
@click.option(
    "--web.config.file",
    "web_config",
    type=click.Path(path_type=Path),
    help="Who may read /metrics and the API, in the exporter-toolkit's form (docs/access.md);"
    " instead of http.web_config_file.",
)
@click.option(
    "--web.enable-lifecycle",
    "lifecycle",
    is_flag=True,
    help="Let anybody POST to /-/reload; else operators, and this machine itself.",
)
def serve(config: Path, level: str, form: str, web_config: Path | None, lifecycle: bool) -> None:
    """Run the collector until SIGTERM. SIGHUP reloads nodes, links, contracts and web access."""
    from collector.app import Collector
    from collector.app import serve as run
    from collector.ledger import LedgerError
    from collector.settings import read
    from runtime.logs import set_up
    from runtime.timekeeping import KeptClock

    set_up(level, form)

    async def start() -> None:
        await run(Collector(read(config, web_config), KeptClock(), lifecycle=lifecycle))

    try:
        asyncio.run(start())
    except (SettingsError, LedgerError, OSError, ValueError) as error:
        fail(error)


@main.command()
@CONFIG
def check(config: Path) -> None:
    """Check all settings files and start nothing."""
    from collector import contracts, inventory
    from collector.settings import read
    from runtime.clock import SystemClock

    try:
        located = read(config)
        both, promised = contracts.read_all(
            located.path(located.settings.nodes_file),
            located.path(located.settings.links_file),
            located.contracts_file,
            SystemClock().wall_ns() / 1e9,
        )
    except SettingsError as error:
        fail(error)
        return
    linked = {link.node for link in both.links.values()}
    bare = sorted(
        node.id
        for node in both.nodes.values()
        if node.id not in linked and node.kind is not inventory.NodeKind.HUB
    )
    click.echo(
        f"{config}: good: {len(both.nodes)} nodes, {len(both.links)} links,"
        f" {len(promised.rows)} contracts"
    )
    if bare:
        click.echo(f"note: nodes without a link: {', '.join(bare)}")
    for note in contracts.notes(promised, both):
        click.echo(f"note: {note}")
    _note_throughput(both, located.settings.throughput)
    if located.settings.stamp.address is None:
        click.echo("note: stamp.address is missing; `serve` needs it")


def _note_throughput(both: "Inventory", settings: "ThroughputSettings") -> None:
    """What is allowed and perhaps not meant."""
    wanted = [link.id for link in both.links.values() if link.throughput is not None]
    rateless = [link for link in wanted if link not in both.plans]
    if rateless:
        click.echo(f"note: throughput tests without a rate to test: {', '.join(rateless)}")
    foreign = [link for link, plan in both.plans.items() if plan.method is Method.IPERF3]
    if foreign and settings.iperf3_address is None:
        click.echo(f"note: throughput.iperf3_address is missing: not tested: {', '.join(foreign)}")
    if settings.ndt7_open:
        click.echo("note: throughput.ndt7_open: anybody may load this hub by ndt7")
    if wanted and settings.capacity_mbps is None:
        click.echo("note: throughput.capacity_mbps is missing: no link is tested")


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
        fail(error)
        return
    url = located.settings.public_url or f"http://THIS-HOST:{located.settings.http.port}"
    click.echo(f"Join token for {node}, good once within {days:g} days. On the box:\n", err=True)
    click.echo(f"  pantau-agent enrol {url} --token \\", err=True)
    click.echo(str(token))


@main.command()
@CONFIG
@JSON
@click.option("--withdraw", metavar="ID", help="Let this one expire now: others saw the token.")
def invitations(config: Path, as_json: bool, withdraw: str | None) -> None:
    """List join tokens that a box could still use, or withdraw one."""
    from collector import tables
    from collector.ledger import LedgerError

    try:
        tables.invitations(config, as_json=as_json, withdraw=withdraw)
    except (SettingsError, LedgerError, OSError, ValueError) as error:
        fail(error)


@main.command()
@CONFIG
@JSON
@click.option("--revoke", metavar="AGENT", help="Refuse this agent (its id) from now on.")
@click.option(
    "--approve", metavar="AGENT", help="Let this agent speak, where approve_agents is set."
)
def agents(config: Path, as_json: bool, revoke: str | None, approve: str | None) -> None:
    """List enrolled agents, or revoke or approve one."""
    from collector import tables
    from collector.ledger import LedgerError

    try:
        tables.agents(config, as_json=as_json, revoke=revoke, approve=approve)
    except (SettingsError, LedgerError, OSError, ValueError) as error:
        fail(error)


@main.command()
@CONFIG
@JSON
@URL
@TOKEN
def links(config: Path, as_json: bool, url: str | None, token_file: Path | None) -> None:
    """List all links as the running collector knows them now."""
    from collector import tables

    try:
        tables.links(config, as_json=as_json, url=url, token_file=token_file)
    except (SettingsError, ValueError, OSError) as error:
        fail(error)


@main.command()
@CONFIG
@click.option("--from", "start", required=True, metavar="TIME", help="YYYY-MM-DD HH:MM[:SS]")
@click.option("--to", "end", required=True, metavar="TIME", help="The first moment after it.")
@ZONE
@click.option("--endpoint", help="Only this one of collector.yaml's `backfill`.")
@ONE_LINK
def backfill(
    config: Path, start: str, end: str, zone: str, endpoint: str | None, link: str | None
) -> None:
    """Send a period's settled series again, by remote write, with their own times.

    For a store that was restored from an old backup, or that came later than the collector. What
    the store has already does no harm there. The running collector goes on where it was.
    """
    from collector.audit.calendar import Zone
    from collector.audit.evidence import Span
    from collector.backfill import by_hand
    from collector.tickets import parse_time
    from runtime.clock import SystemClock
    from runtime.logs import set_up

    set_up("warning", "plain")
    with in_one_line():
        span = Span(parse_time(start, Zone(zone)), parse_time(end, Zone(zone)))
        for done in by_hand.run(config, by_hand.Wanted(span, endpoint, link), SystemClock()):
            click.echo(done)


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


for command in (
    account.account,
    registers.maintenance,
    registers.tickets,
    registers.rebuttal,
    silences.silence_sync,
    audit.outages,
    audit.events,
    audit.delays,
    audit.availability,
    audit.verdict,
    evidence.evidence,
    evidence.verify,
    report.audit,
    report.audits,
    report.audit_monthly,
    throughput.test,
    throughput.tests,
    throughput.orders,
    throughput.experiment,
    backup.backup,
    backup.restore,
):
    main.add_command(command)

if __name__ == "__main__":
    main()
