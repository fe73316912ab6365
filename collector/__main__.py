"""`pantau-collector`: the hub's commands."""

import asyncio
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from collector.audit.states import Cause
from runtime.settings import SettingsError
from runtime.version import VERSION

if TYPE_CHECKING:
    from collector.inventory import Inventory

CONFIG = click.option(
    "--config.file",
    "config",
    type=click.Path(path_type=Path),
    default=Path("/etc/pantau/collector.yaml"),
    show_default=True,
    help="Settings; nodes, links and contracts are named in it.",
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
    """Run the collector until SIGTERM. SIGHUP reloads nodes, links and contracts."""
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
    from collector import contracts, inventory
    from collector.settings import read

    try:
        located = read(config)
        both = inventory.read(
            located.path(located.settings.nodes_file), located.path(located.settings.links_file)
        )
        promised = contracts.read(located.contracts_file, both)
    except SettingsError as error:
        _fail(error)
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
    _note_throughput(both, tests_at_all=located.settings.throughput.capacity_mbps is not None)
    if located.settings.stamp.address is None:
        click.echo("note: stamp.address is missing; `serve` needs it")


def _note_throughput(both: "Inventory", *, tests_at_all: bool) -> None:
    """What is allowed and perhaps not meant."""
    wanted = [link.id for link in both.links.values() if link.throughput is not None]
    rateless = [link for link in wanted if link not in both.plans]
    if rateless:
        click.echo(f"note: throughput tests without a rate to test: {', '.join(rateless)}")
    if wanted and not tests_at_all:
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


BY = click.option("--by", help="Who says so; by default the user of this machine.")
ZONE = click.option(
    "--zone",
    type=click.Choice(["WIB", "WITA", "WIT"]),
    default="WIB",
    show_default=True,
    help="In which the times are told.",
)
JSON = click.option("--json", "as_json", is_flag=True, help="For programs.")


@contextmanager
def _told() -> Iterator[None]:
    """What cannot be done is one line, and status 1."""
    from collector.ledger import LedgerError

    try:
        yield
    except (SettingsError, LedgerError, OSError, ValueError) as error:
        _fail(error)


@main.group()
def maintenance() -> None:
    """Maintenance windows: what was announced, by whom approved. Nothing is ever edited."""


@maintenance.command("add")
@CONFIG
@click.option("--link", help="Id of a link. What is given of these four has to fit together.")
@click.option("--pop", help="All links of this point of presence.")
@click.option("--provider", help="All links of this provider.")
@click.option("--district", help="All links of the nodes in this district.")
@click.option("--from", "start", required=True, metavar="TIME", help="YYYY-MM-DD HH:MM[:SS]")
@click.option("--to", "end", required=True, metavar="TIME", help="The first moment after it.")
@ZONE
@click.option(
    "--kind",
    type=click.Choice(["planned", "emergency", "force_majeure"]),
    default="planned",
    show_default=True,
)
@click.option("--announced", required=True, metavar="TIME", help="When the provider told of it.")
@click.option("--approved-by", help="Who agreed for the customer; without it, it excludes nothing.")
@click.option("--reason", required=True)
@click.option("--document", help="Reference of the letter or mail.")
@BY
@JSON
def maintenance_add(
    config: Path,
    link: str | None,
    pop: str | None,
    provider: str | None,
    district: str | None,
    start: str,
    end: str,
    zone: str,
    kind: str,
    announced: str,
    approved_by: str | None,
    reason: str,
    document: str | None,
    by: str | None,
    as_json: bool,
) -> None:
    """Record a window of maintenance or force majeure."""
    from collector import registers
    from collector.audit.calendar import Zone
    from collector.maintenance import Kind, Scope

    told = registers.Told(
        scope=Scope(link, pop, provider, district),
        start=start,
        end=end,
        zone=Zone(zone),
        kind=Kind(kind),
        announced=announced,
        approved_by=approved_by,
        reason=reason,
        document=document,
    )
    with _told():
        registers.add(config, told, by, as_json=as_json)


@maintenance.command("list")
@CONFIG
@click.option("--link", help="Only what is about this link, and what its contracts make of it.")
@JSON
def maintenance_list(config: Path, link: str | None, as_json: bool) -> None:
    """List all windows, the cancelled ones too."""
    from collector import registers

    with _told():
        registers.list_maintenance(config, link=link, as_json=as_json)


@maintenance.command("cancel")
@CONFIG
@click.argument("entry", type=int)
@click.option("--reason", required=True)
@BY
def maintenance_cancel(config: Path, entry: int, reason: str, by: str | None) -> None:
    """Record that window ENTRY holds no longer; it stays in the list."""
    from collector import registers

    with _told():
        registers.cancel(config, entry, reason, by)


@main.group()
def tickets() -> None:
    """The providers' own lists of outages, kept beside what was measured."""


@tickets.command("import")
@CONFIG
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--provider", help="Whose list it is: no other provider's link may be in it.")
@ZONE
@BY
def tickets_import(
    config: Path, file: Path, provider: str | None, zone: str, by: str | None
) -> None:
    """Take FILE (CSV): ticket, link or circuit, start, end (or empty), cause. All or nothing."""
    from collector import registers
    from collector.audit.calendar import Zone

    with _told():
        registers.import_tickets(config, file, provider, Zone(zone), by)


@tickets.command("list")
@CONFIG
@click.option("--link", help="Only this link's.")
@JSON
def tickets_list(config: Path, link: str | None, as_json: bool) -> None:
    """List all tickets with all their revisions."""
    from collector import registers

    with _told():
        registers.list_tickets(config, link=link, as_json=as_json)


MONTH = click.option(
    "--month", metavar="YYYY-MM", help="A calendar month of the contract's zone, such as 2026-10."
)
ONE_LINK = click.option("--link", help="Only this link.")


@main.command()
@CONFIG
@ONE_LINK
@MONTH
@click.option(
    "--cause", type=click.Choice([one.value for one in Cause]), help="Only outages with this cause."
)
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def outages(
    config: Path, link: str | None, month: str | None, cause: str | None, as_json: bool
) -> None:
    """List when links were not up, why, and who answers for it.

    A silence is listed too, as unknown: it is not downtime. What is not settled yet may change
    when the node's own evidence arrives.
    """
    from collector import tables

    with _told():
        tables.outages(config, tables.Wanted(link, month, as_json), cause)


@main.command()
@CONFIG
@MONTH
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def events(config: Path, month: str | None, as_json: bool) -> None:
    """List what several links had in common: a PoP, a hub, a power cut of an area."""
    from collector import tables

    with _told():
        tables.events(config, tables.Wanted(None, month, as_json))


@main.command()
@CONFIG
@ONE_LINK
@MONTH
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def delays(config: Path, link: str | None, month: str | None, as_json: bool) -> None:
    """Show a month's round-trip times and losses by target, against the contract's limits.

    Of available time only: minutes that touch an outage are left out. Lost packets are infinitely
    late; times are known to 2 %.
    """
    from collector import tables

    with _told():
        tables.delays(config, tables.Wanted(link, month, as_json))


@main.command()
@CONFIG
@ONE_LINK
@MONTH
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def availability(config: Path, link: str | None, month: str | None, as_json: bool) -> None:
    """Show a month's availability against the contract, with its bounds.

    `low` takes all unknown time as down, `high` as up. Breached is said only where even `high`
    is below the target, met only where `low` is not. Without --month, the running month so far.
    """
    from collector import tables

    with _told():
        tables.availability(config, tables.Wanted(link, month, as_json))


URL = click.option("--url", help="Where the running collector answers; by default on this machine.")
TOKEN = click.option(
    "--token-file",
    type=click.Path(path_type=Path),
    help="The operator's token; by default operator.token of this machine's collector.",
)
WAIT = click.option(
    "--wait/--no-wait", default=True, show_default=True, help="Stay and show how it goes."
)
METHOD = click.option(
    "--method",
    default="udp",
    show_default=True,
    type=click.Choice(["udp", "tcp", "ndt7", "iperf3"]),
)
SECONDS = click.option(
    "--duration",
    "duration_s",
    default=10.0,
    show_default=True,
    type=click.FloatRange(1, 600),
    help="Seconds of load in each direction and step.",
)
BOTH = {"down": ["down"], "up": ["up"], "both": ["down", "up"]}


@main.command()
@CONFIG
@URL
@TOKEN
@click.argument("node")
@click.option("--link", help="Needed where the node has several links.")
@METHOD
@click.option(
    "--direction",
    default="both",
    show_default=True,
    type=click.Choice(list(BOTH)),
)
@click.option(
    "--rate",
    metavar="MBPS",
    type=click.FloatRange(min=0, min_open=True),
    help="IP rate in Mbit/s; by default as planned. With --search the most to try.",
)
@click.option("--steps", help="Shares of the promised rate, e.g. 0.5,0.75,0.9,1.")
@click.option("--search", is_flag=True, help="Find the highest rate.")
@click.option("--flows", default=1, show_default=True, type=click.IntRange(1, 16))
@SECONDS
@click.option("--no-gate", is_flag=True, help="Do not wait for users; tell them before.")
@WAIT
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def test(
    config: Path,
    url: str | None,
    token_file: Path | None,
    wait: bool,
    as_json: bool,
    **told: Any,
) -> None:
    """Order a throughput test of NODE now, and show how it goes.

    Exit status 0 if it was done, 1 if not.
    """
    from time import sleep

    from collector import ordering

    try:
        to = ordering.way(config, url, token_file, sleep)
        status = ordering.test(to, _order_body(told), wait=wait, as_json=as_json)
    except (SettingsError, ValueError, OSError) as error:
        _fail(error)
        return
    sys.exit(status)


def _order_body(told: dict[str, Any]) -> dict[str, Any]:
    """What the API is asked. Raises ValueError."""
    body = {key: told[key] for key in ("node", "method", "flows", "duration_s")}
    body["directions"] = BOTH[told["direction"]]
    body["gate"] = not told["no_gate"]
    if told["link"] is not None:
        body["link"] = told["link"]
    if told["rate"] is not None:
        body["bits_per_s"] = max(1, round(told["rate"] * 1e6))
    if told["steps"] is not None:
        body["load"] = "steps"
        try:
            body["steps"] = [float(step) for step in told["steps"].split(",")]
        except ValueError as error:
            raise ValueError(f"--steps {told['steps']}: expected e.g. 0.5,0.75,1") from error
    if told["search"]:
        body["load"] = "search"
    return body


@main.command()
@CONFIG
@URL
@TOKEN
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@click.option("--cancel", metavar="ORDER", help="Withdraw this order first.")
def orders(
    config: Path, url: str | None, token_file: Path | None, as_json: bool, cancel: str | None
) -> None:
    """List ordered tests, or withdraw one."""
    from time import sleep

    from collector import ordering

    try:
        to = ordering.way(config, url, token_file, sleep)
        ordering.orders(to, cancel=cancel, as_json=as_json)
    except (SettingsError, ValueError, OSError) as error:
        _fail(error)


@main.command()
@CONFIG
@URL
@TOKEN
@click.argument("pop")
@click.option("--links", help="Links of the PoP, with commas; by default all that are tested.")
@click.option("--direction", default="down", show_default=True, type=click.Choice(["down", "up"]))
@METHOD
@click.option("--repeats", default=20, show_default=True, type=click.IntRange(10, 200))
@SECONDS
@WAIT
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def experiment(
    config: Path,
    url: str | None,
    token_file: Path | None,
    wait: bool,
    as_json: bool,
    **told: Any,
) -> None:
    """Test the sites of POP alone and together, in an order drawn by lot (experiment G).

    Shows whether our own links share less than was promised; 20 pairs of 8 sites take an hour.
    """
    from time import sleep

    from collector import ordering

    links = told.pop("links")
    body = told | ({} if links is None else {"links": links.split(",")})
    try:
        to = ordering.way(config, url, token_file, sleep)
        status = ordering.experiment(to, body, wait=wait, as_json=as_json)
    except (SettingsError, ValueError, OSError) as error:
        _fail(error)
        return
    sys.exit(status)


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
    with _told():
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


if __name__ == "__main__":
    main()
