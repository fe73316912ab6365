"""`pantau-agent`: the commands of a node."""

import asyncio
import signal
import sys
from pathlib import Path

import click

from runtime.version import VERSION

CONFIG = click.option(
    "--config.file",
    "config",
    type=click.Path(path_type=Path),
    default=None,
    help="Settings; without it /etc/pantau/agent.yaml if it is there, else the defaults.",
)
STATE = click.option(
    "--state-dir",
    type=click.Path(path_type=Path),
    default=None,
    help="Folder for identity and spool; by default what the settings say.",
)


def _fail(error: Exception) -> None:
    click.echo(f"pantau-agent: {error}", err=True)
    sys.exit(1)


@click.group(
    help="Measures this node's links and reports when they allow.\n\n"
    "First time: `pantau-agent enrol URL --token T`, then `pantau-agent run`."
)
@click.version_option(VERSION, prog_name="pantau-agent")
def main() -> None:
    """See the help text above."""


@main.command()
@CONFIG
@STATE
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
def run(config: Path | None, state_dir: Path | None, level: str, form: str) -> None:
    """Measure and report until SIGTERM."""
    import msgspec

    from agent.app import Agent
    from agent.local import serve_local
    from agent.settings import read
    from runtime.logs import set_up
    from runtime.service import ServiceManager
    from runtime.timekeeping import KeptClock

    set_up(level, form)

    async def start() -> None:
        settings = read(config)
        if state_dir is not None:
            settings = msgspec.structs.replace(settings, state_dir=str(state_dir))
        stop = asyncio.Event()
        for one in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(one, stop.set)
        agent = Agent(settings, KeptClock())
        async with serve_local(Path(settings.state_dir), agent.describe):
            await agent.run(stop, ServiceManager.of_process())

    try:
        asyncio.run(start())
    except (ValueError, OSError) as error:
        _fail(error)


@main.command()
@CONFIG
@STATE
@click.argument("url")
@click.option(
    "--token",
    required=True,
    help="As `pantau-collector invite` printed it; - reads it"
    " from standard input, so that it is in no process list.",
)
@click.option(
    "--ca-file",
    type=click.Path(path_type=Path, exists=True),
    default=None,
    help="PEM of the authority of the hub's certificate, if it is not a public one.",
)
def enrol(
    config: Path | None, state_dir: Path | None, url: str, token: str, ca_file: Path | None
) -> None:
    """Join the hub at URL, e.g. https://hub.example:8460."""
    from agent import enrol as joining
    from agent.hub import check_url
    from agent.settings import read
    from wire import token as tokens

    try:
        check_url(url)
        folder = state_dir or Path(read(config).state_dir)
        parsed = tokens.parse(sys.stdin.readline() if token == "-" else token)
        identity = joining.enrol(folder, url, parsed, ca_file)
    except (ValueError, OSError) as error:
        _fail(error)
        return
    click.echo(f"Joined {identity.url} as node {identity.node}. Now: pantau-agent run")


@main.command()
@CONFIG
@STATE
def check(config: Path | None, state_dir: Path | None) -> None:
    """Check settings, identity, clock and permissions, and start nothing."""
    from agent import checks
    from agent.settings import read

    try:
        settings = read(config)
        good = checks.report(state_dir or Path(settings.state_dir))
    except (ValueError, OSError) as error:
        _fail(error)
        return
    sys.exit(0 if good else 1)


@main.command()
@CONFIG
@STATE
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def status(config: Path | None, state_dir: Path | None, as_json: bool) -> None:
    """Show what the running agent sees and how much waits to be reported."""
    from agent import local
    from agent.settings import read

    try:
        local.show(state_dir or Path(read(config).state_dir), as_json=as_json)
    except (ValueError, OSError) as error:
        _fail(error)


@main.command()
@click.argument("kind")
@click.argument("target")
@click.option("--count", default=10, show_default=True, type=click.IntRange(1, 1_000_000))
@click.option(
    "--interval",
    default=1.0,
    show_default=True,
    type=click.FloatRange(0.01, 3600),
    help="Seconds between attempts.",
)
@click.option(
    "--timeout",
    default=None,
    type=click.FloatRange(0.01, 600),
    help="Seconds; by default 2 for packets, 0.8 of the interval for attempts that take longer.",
)
@click.option("--port", type=click.IntRange(1, 65535), default=None)
@click.option(
    "--size", default=0, show_default=True, type=click.IntRange(0, 9000), help="Bytes of padding."
)
@click.option("--dscp", default=0, show_default=True, type=click.IntRange(0, 63))
@click.option("--host", default=None, help="dns: the name to ask for.")
@click.option(
    "--transport", type=click.Choice(["udp", "tcp"]), default=None, help="dns: over what."
)
@click.option("--credentials", default=None, help="snmp: a file of /etc/pantau/credentials.")
@click.option("--device-interface", default=None, help="snmp: ifName or ifIndex to read.")
@click.option("--source", default=None, help="power: sysfs:FOLDER, nut:UPS@HOST, gpio:FILE.")
@click.option("--json", "as_json", is_flag=True, help="One JSON line per observation.")
def probe(kind: str, target: str, as_json: bool, **knobs: float | int | str | None) -> None:
    """Probe TARGET now with the probe KIND and print every attempt's fate.

    TARGET is an address or a name; for http a URL, for dns the server to ask.

    \b
    pantau-agent probe icmp 192.168.1.1 --count 5
    pantau-agent probe tcp 192.0.2.7 --port 443
    pantau-agent probe dns 192.0.2.53 --host example.go.id
    pantau-agent probe http https://example.go.id/ --interval 5
    """
    from agent import oneshot

    try:
        sys.exit(oneshot.run(kind, target, knobs, as_json=as_json))
    except (ValueError, OSError) as error:
        _fail(error)


if __name__ == "__main__":
    main()
