"""From the register of hearings to what the verdict asks of one link: pure."""

from collections.abc import Iterable
from datetime import date, timedelta
from typing import NamedTuple

from collector.audit.dedicated import REBUTTAL_DAYS
from collector.audit.findings import Rebuttal
from collector.hearings import HearingEntry, HearingKind
from collector.inventory import Inventory, Link


class Asked(NamedTuple):
    """About which look, and on which day."""

    until: date
    today: date


def rebuttal_of(
    entries: Iterable[HearingEntry], link: Link, inventory: Inventory, asked: Asked
) -> Rebuttal:
    """Whether the link's provider had its say on a look.

    What was delivered or answered later than for this look covers it, what was for an earlier one
    does not: newer tests were not in it. An objection that is open stands against every look.
    """
    own = [one for one in entries if one.about(link, inventory)]
    covering = [one.hearing for one in own if one.hearing.until >= asked.until]
    delivered = sorted(one.day for one in covering if one.kind is HearingKind.DELIVERED)
    answered = sorted(one.day for one in covering if one.kind is not HearingKind.DELIVERED)
    waited = [day + timedelta(days=REBUTTAL_DAYS) for day in delivered[:1]]
    return Rebuttal(
        delivered=next(iter(delivered), None),
        answered=next(iter(answered), None),
        # A day and not a number of days: what is said changes once, when the time is over.
        heard=min((day for day in (*answered, *waited) if day <= asked.today), default=None),
        objection_open=any(
            one.hearing.kind is HearingKind.OBJECTED and one.closing is None for one in own
        ),
    )
