"""What people put on record: maintenance windows, the providers' tickets, and their say."""

from datetime import datetime
from pathlib import Path

import click

from collector.commands.options import BY, CONFIG, JSON, ZONE, in_one_line


@click.group()
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
    with in_one_line():
        registers.add(config, told, by, as_json=as_json)


@maintenance.command("list")
@CONFIG
@click.option("--link", help="Only what is about this link, and what its contracts make of it.")
@JSON
def maintenance_list(config: Path, link: str | None, as_json: bool) -> None:
    """List all windows, the cancelled ones too."""
    from collector import registers

    with in_one_line():
        registers.list_maintenance(config, link=link, as_json=as_json)


@maintenance.command("cancel")
@CONFIG
@click.argument("entry", type=int)
@click.option("--reason", required=True)
@BY
def maintenance_cancel(config: Path, entry: int, reason: str, by: str | None) -> None:
    """Record that window ENTRY holds no longer; it stays in the list."""
    from collector import registers

    with in_one_line():
        registers.cancel(config, entry, reason, by)


@click.group()
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

    with in_one_line():
        registers.import_tickets(config, file, provider, Zone(zone), by)


@tickets.command("list")
@CONFIG
@click.option("--link", help="Only this link's.")
@JSON
def tickets_list(config: Path, link: str | None, as_json: bool) -> None:
    """List all tickets with all their revisions."""
    from collector import registers

    with in_one_line():
        registers.list_tickets(config, link=link, as_json=as_json)


@tickets.command("reconcile")
@CONFIG
@click.option("--month", required=True, metavar="YYYY-MM", help="A calendar month.")
@click.option("--link", help="Only this link.")
@click.option("--provider", help="Only this provider's links.")
@JSON
def tickets_reconcile(
    config: Path, month: str, link: str | None, provider: str | None, as_json: bool
) -> None:
    """Show our outages beside the providers' tickets: matched, with other times, only ours, only
    theirs.

    An outage and a ticket belong together where they overlap or nearly so; of what hangs together
    the first beginnings and the last ends are compared (setting audit.ticket_tolerance_s). A
    silence of the node and announced work need no ticket.
    """
    from collector.report import by_hand

    told = {"link": link, "provider": provider}
    scope = {kind: value for kind, value in told.items() if value is not None}
    with in_one_line():
        by_hand.reconcile(config, (month, scope), as_json=as_json)


@click.group()
def rebuttal() -> None:
    """The provider's say before a link may be called not dedicated in public.

    An accusation is preliminary until the provider has had the raw data for 14 days, or has
    answered, and while an objection is open. Nothing is ever edited.
    """


@rebuttal.command("add")
@CONFIG
@click.option("--link", help="Id of a link. What is given of these four has to fit together.")
@click.option("--pop", help="All links of this point of presence.")
@click.option("--provider", help="All links of this provider.")
@click.option("--district", help="All links of the nodes in this district.")
@click.option(
    "--window",
    required=True,
    metavar="YYYY-MM",
    help="The look that it is about: at this month's end (or before a day). Earlier ones too.",
)
@click.option(
    "--kind",
    required=True,
    type=click.Choice(["delivered", "accepted", "objected"]),
    help="It received the raw data; or it answered, and contests nothing, or the finding.",
)
@click.option(
    "--on", type=click.DateTime(["%Y-%m-%d"]), help="Day on which it happened; by default today."
)
@click.option("--words", required=True, help="What was delivered, or what the answer says.")
@click.option("--document", help="Reference of the letter or mail.")
@BY
@JSON
def rebuttal_add(
    config: Path,
    link: str | None,
    pop: str | None,
    provider: str | None,
    district: str | None,
    window: str,
    kind: str,
    on: datetime | None,
    words: str,
    document: str | None,
    by: str | None,
    as_json: bool,
) -> None:
    """Record that the provider received the raw data, or answered."""
    from collector import rebuttals
    from collector.hearings import HearingKind
    from collector.maintenance import Scope

    told = rebuttals.Told(
        scope=Scope(link, pop, provider, district),
        window=window,
        kind=HearingKind(kind),
        on=None if on is None else on.date(),
        words=words,
        document=document,
    )
    with in_one_line():
        rebuttals.add(config, told, by, as_json=as_json)


@rebuttal.command("list")
@CONFIG
@click.option("--link", help="Only what is about this link.")
@JSON
def rebuttal_list(config: Path, link: str | None, as_json: bool) -> None:
    """List what was delivered and answered, the closed entries too."""
    from collector import rebuttals

    with in_one_line():
        rebuttals.listed(config, link=link, as_json=as_json)


@rebuttal.command("settle")
@CONFIG
@click.argument("entry", type=int)
@click.option("--reason", required=True, help="How the objection was examined and answered.")
@BY
def rebuttal_settle(config: Path, entry: int, reason: str, by: str | None) -> None:
    """Record that objection ENTRY is settled; it stays in the list."""
    _close(config, entry, "settled", reason, by)


@rebuttal.command("cancel")
@CONFIG
@click.argument("entry", type=int)
@click.option("--reason", required=True)
@BY
def rebuttal_cancel(config: Path, entry: int, reason: str, by: str | None) -> None:
    """Record that ENTRY was a mistake and counts for nothing; it stays in the list."""
    _close(config, entry, "cancelled", reason, by)


def _close(config: Path, entry: int, kind: str, reason: str, by: str | None) -> None:
    from collector import rebuttals
    from collector.hearings import ClosedAs

    with in_one_line():
        rebuttals.close(config, entry, ClosedAs(kind), reason, by)
