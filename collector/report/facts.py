"""What the assembly of an audit starts from: everything that was read of one link, undigested."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from collector.answers import MonthAnswer
from collector.audit.histogram import Histogram
from collector.audit.intervals import Interval
from collector.audit.variation import Variation
from collector.audit.violations import Violations
from collector.inventory import Link, Node, Reach
from collector.ledger.hours import Bunch, HourDelays, Used
from collector.ledger.outages import Kept
from collector.maintenance import Ruling
from collector.settle.trials import Trial
from collector.tickets import Ticket
from collector.verdict_answers import Given


class TargetDelays(NamedTuple):
    """Round trips to one target in available time."""

    target: str
    reach: Reach
    rtts: Histogram
    variation: Variation
    batches: int
    left_out: int
    """Batches that touch other time."""
    loaded: int
    """Batches that touch seconds which our own tests loaded."""


class PeriodFacts(NamedTuple):
    """One link under one contract in a month, or the part of it so far."""

    answer: MonthAnswer
    intervals: Sequence[Interval]
    """They fill `answer.found.span`."""
    beside: Sequence[Sequence[Interval]]
    """The same of the node's other links."""
    violations: Violations
    outages: Sequence[Kept]
    """The newest revisions by the evidence, by their beginning; none withdrawn."""
    bunches: Mapping[int, Sequence[Bunch]]
    """Batches about an outage, by its id."""
    rulings: Sequence[Ruling]
    """Of the notices that cover the link."""
    delays: Sequence[TargetDelays]
    hours: Sequence[HourDelays]
    """Of all time, to the hub."""
    trials: Sequence[Trial]
    tickets: Sequence[Ticket]
    """In the provider's newest words."""
    used: Used


class LinkFacts(NamedTuple):
    """One link in a month."""

    link: Link
    node: Node
    periods: Sequence[PeriodFacts]
    verdicts: Sequence[Given]
    """At the month's end, by direction."""
    months: Sequence[Sequence[MonthAnswer]]
    """Availability of the five months before, the oldest first."""
