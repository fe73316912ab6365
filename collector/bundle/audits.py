"""The audits in a bundle: of each month that the bundle holds whole.

One is of the scope `link`, as `pantau-collector audit --link` makes it (docs/audit-json.md): the
member `audit` of the document that is issued, in the same bytes.
"""

from typing import NamedTuple

from collector.audit.calendar import Month
from collector.bundle.statement import Stores, Wanted
from collector.contracts import Contracts
from collector.inventory import Inventory
from collector.ledger.sqlite import SqliteLedger
from collector.report.document import canonical
from collector.report.gather import AuditMaker
from collector.report.gather import Wanted as WantedAudit
from collector.report.record import Scope


class Left(NamedTuple):
    """A month of which there is no audit in the bundle."""

    month: Month
    why: str


class Months(NamedTuple):
    """The calendar months that a bundle touches."""

    whole: tuple[Month, ...]
    left: tuple[Left, ...]


class Ground(NamedTuple):
    """The collector's own: what audits are made of when a bundle is written."""

    ledger: SqliteLedger
    stores: Stores
    promised: tuple[Inventory, Contracts]
    wanted: Wanted
    tolerance_s: int
    """See report.settings.TOLERANCE_S."""


def file_of(month: Month) -> str:
    """Name of a month's audit among the bundle's."""
    return f"{month}.json"


def holds(contracts: Contracts, wanted: Wanted, month: Month) -> bool:
    """Whether all of a month that is under a contract of the link lies in the bundle, and was over
    when it was made: a month without a contract does."""
    link, span, now_s = wanted
    periods = contracts.periods(link, month.year, month.number)
    return all(
        span.start_s <= one.span.start_s and one.span.end_s <= min(span.end_s, now_s)
        for one in periods
    )


def months(contracts: Contracts, wanted: Wanted) -> Months:
    """Which months of the bundle have an audit, and why the others have none."""
    link, span, now_s = wanted
    rows = contracts.of(link)
    whole: list[Month] = []
    left: list[Left] = []
    month = None if not rows else Month.of(span.start_s, rows[0].zone)
    while month is not None and month.span.start_s < span.end_s:
        if not contracts.periods(link, month.year, month.number):
            left.append(Left(month, "the link has no contract in it"))
        elif holds(contracts, wanted, month):
            whole.append(month)
        elif month.span.end_s > now_s:
            left.append(Left(month, "it was not over when the bundle was made"))
        else:
            left.append(Left(month, "the bundle holds a part of it only"))
        month = month.next
    return Months(tuple(whole), tuple(left))


def written(ground: Ground) -> dict[str, bytes]:
    """The audits of a bundle by file name, as the collector makes them now. Reads the ledger."""
    link, now_s = ground.wanted.link, ground.wanted.now_s
    maker = AuditMaker(
        ground.ledger, ground.stores.derived, ground.stores.kept, lambda: ground.promised
    )
    scope = Scope(kind="link", value=link)
    return {
        file_of(month): canonical(
            maker.audit(WantedAudit(str(month), scope, ground.tolerance_s), now_s)
        )
        for month in months(ground.promised[1], ground.wanted).whole
    }
