"""What the evidence says of links: outages, events, availability, delays, verdicts."""

from pathlib import Path
from typing import Any

import click

from collector.audit.states import Cause
from collector.commands.options import CONFIG, JSON, MONTH, ONE_LINK, fail, in_one_line


@click.command()
@CONFIG
@ONE_LINK
@MONTH
@click.option(
    "--cause", type=click.Choice([one.value for one in Cause]), help="Only outages with this cause."
)
@JSON
def outages(
    config: Path, link: str | None, month: str | None, cause: str | None, as_json: bool
) -> None:
    """List when links were not up, why, and who answers for it.

    A silence is listed too, as unknown: it is not downtime. What is not settled yet may change
    when the node's own evidence arrives.
    """
    from collector import tables

    with in_one_line():
        tables.outages(config, tables.Wanted(link, month, as_json), cause)


@click.command()
@CONFIG
@MONTH
@JSON
def events(config: Path, month: str | None, as_json: bool) -> None:
    """List what several links had in common: a PoP, a hub, a power cut of an area."""
    from collector import tables

    with in_one_line():
        tables.events(config, tables.Wanted(None, month, as_json))


@click.command()
@CONFIG
@ONE_LINK
@MONTH
@JSON
def delays(config: Path, link: str | None, month: str | None, as_json: bool) -> None:
    """Show a month's round-trip times and losses by target, against the contract's limits.

    Of available time only: minutes that touch an outage are left out, and those that our own
    throughput tests loaded (`tests`, seconds). PDV is the variation over the least of each minute
    ("jitter", RFC 5481). Lost packets are infinitely late; times are known to 2 %.
    """
    from collector import tables

    with in_one_line():
        tables.delays(config, tables.Wanted(link, month, as_json))


@click.command()
@CONFIG
@ONE_LINK
@MONTH
@JSON
def availability(config: Path, link: str | None, month: str | None, as_json: bool) -> None:
    """Show a month's availability against the contract, with its bounds.

    `low` takes all unknown time as down, `high` as up. Breached is said only where even `high`
    is below the target, met only where `low` is not. Without --month, the running month so far.
    """
    from collector import tables

    with in_one_line():
        tables.availability(config, tables.Wanted(link, month, as_json))


@click.command()
@CONFIG
@ONE_LINK
@click.option(
    "--window",
    metavar="YYYY-MM",
    help="The look at this month's end (or before a day); by default the newest.",
)
@click.option(
    "--from",
    "file",
    type=click.Path(path_type=Path),
    help="Judge a CSV of tests instead: time, direction, achieved_mbps, cross_mbps, valid, reason.",
)
@click.option("--cir", type=float, help="Promised rate, Mbit/s; needed with --from.")
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
    "--answered",
    type=click.DateTime(["%Y-%m-%d"]),
    help="When it answered: then nobody waits for the 14 days.",
)
@click.option("--objection", is_flag=True, help="It objected, and nobody has settled that yet.")
@click.option(
    "--as-of", type=click.DateTime(["%Y-%m-%d"]), help="Day of the audit; by default --until."
)
@click.option("--json", "as_json", is_flag=True, help="For programs: all numbers.")
@click.option("--explain", "full", is_flag=True, help="All that the verdict rests on, in words.")
@click.option("--lang", type=click.Choice(["en", "id"]), default="en", show_default=True)
@click.pass_context
def verdict(
    context: click.Context,
    /,
    config: Path,
    link: str | None,
    window: str | None,
    file: Path | None,
    **told: Any,
) -> None:
    """Dedicated or not, by the evidence; or by tests that you already have (--from).

    Says what the collector said at the newest look, or at the end of a month. The options from
    --cir on are for --from.
    """
    as_json, full, lang = (told.pop(name) for name in ("as_json", "full", "lang"))
    try:
        if file is None:
            _only_with_file(context)
            from collector import verdict_tables

            wanted = verdict_tables.Wanted(link, window, as_json, full, lang)
            with in_one_line():
                verdict_tables.verdicts(config, wanted)
            return
        if link is not None or window is not None:
            raise ValueError("--link and --window are for the ledger, not for --from")
        if told["cir"] is None:
            raise ValueError("--from needs --cir, the promised rate")
        from collector import verdicts

        click.echo(verdicts.answer(file, told, as_json=as_json, full=full, lang=lang), nl=False)
    except ModuleNotFoundError as error:
        fail(ImportError(f"verdicts need {error.name}: install pantau with its extra 'collector'"))
    except (OSError, ValueError) as error:
        fail(error)


_WITH_FILE = frozenset(
    {
        "cir",
        "layer",
        "vlan",
        "rate",
        "direction",
        "zone",
        "until",
        "low_budget",
        "vouch",
        "delivered",
        "answered",
        "objection",
        "as_of",
    }
)


def _only_with_file(context: click.Context) -> None:
    """Raises ValueError for an option that would be overlooked without --from."""
    given = click.core.ParameterSource.COMMANDLINE
    for name in sorted(_WITH_FILE):
        if context.get_parameter_source(name) is given:
            raise ValueError(f"--{name.replace('_', '-')} is for --from")
