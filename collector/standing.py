"""The /metrics series of the audit: what was judged of every link, and how the month stands.

Rendered when a link was judged, joined when scraped. They come from the evidence road: late data
moves them late. A view, never an input to a verdict.
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from collector.answers import MonthAnswer
from collector.audit.availability import Judgement
from collector.audit.daily import Direction
from collector.audit.states import Cause, Charge, State
from collector.contracts import Cir
from collector.inventory import HUB_TARGET, Link
from collector.metrics import Family, labels, sample

SECONDS = Family(
    "pantau_link_seconds_total",
    "counter",
    "Seconds judged since the evidence began, by state, cause and charge. Late evidence that turns"
    " an unknown second into a known one moves it.",
)
OUTAGES = Family(
    "pantau_link_outages_total",
    "counter",
    "Settled outages since the evidence began (state down or unknown), by state and cause.",
)
OUTAGE_START = Family(
    "pantau_link_outage_start_timestamp_seconds",
    "gauge",
    "When the outage that lasts now began, by its state; absent where the link is up."
    " Provisional: what the hub hears now.",
)
LOW = Family(
    "pantau_link_availability_lower_ratio",
    "gauge",
    "Availability of the running month so far if all unknown time was down.",
)
POINT = Family(
    "pantau_link_availability_ratio",
    "gauge",
    "Availability of the running month so far, unknown time left out.",
)
HIGH = Family(
    "pantau_link_availability_upper_ratio",
    "gauge",
    "Availability of the running month so far if all unknown time was up.",
)
COVERAGE = Family(
    "pantau_link_availability_coverage_ratio",
    "gauge",
    "Share of the running month's counted time so far of which the state is known and charged.",
)
TARGET = Family(
    "pantau_link_availability_target_ratio", "gauge", "Availability that the contract promises."
)
BUDGET = Family(
    "pantau_link_downtime_budget_seconds",
    "gauge",
    "Downtime that the contract's target leaves in the whole running month.",
)
BUDGET_LEFT = Family(
    "pantau_link_downtime_budget_left_seconds",
    "gauge",
    "What of the month's downtime budget is left; below 0 the target is missed.",
)
BUDGET_USED = Family(
    "pantau_link_downtime_budget_used_ratio",
    "gauge",
    "Share of the month's downtime budget that is used; above 1 the target is missed.",
)
PERIOD_SECONDS = Family(
    "pantau_link_period_seconds",
    "gauge",
    "Seconds of the running month so far, by state, cause and charge; what is not judged yet is"
    " unknown.",
)
STANDING = Family(
    "pantau_link_availability_standing",
    "gauge",
    "What the bounds say of the running month so far: 1 for met, breached or indeterminate.",
)
JUDGED = Family(
    "pantau_link_judged_timestamp_seconds",
    "gauge",
    "The evidence of the link is judged until here: what is later is provisional.",
)
PERIOD_START = Family(
    "pantau_link_period_start_timestamp_seconds",
    "gauge",
    "When the running month, or the part of it under the contract, began.",
)
PERIOD_END = Family("pantau_link_period_end_timestamp_seconds", "gauge", "When it ends.")
RTT_LIMIT = Family(
    "pantau_link_rtt_limit_seconds",
    "gauge",
    "What the contract allows for a percentile of the round-trip times to a target.",
)
PDV_LIMIT = Family(
    "pantau_link_pdv_limit_seconds",
    "gauge",
    "What the contract allows for a percentile of the round-trip delay variation.",
)
LOSS_LIMIT = Family(
    "pantau_link_loss_limit_ratio", "gauge", "Round-trip loss that the contract allows."
)
CIR = Family(
    "pantau_link_cir_bytes_per_second",
    "gauge",
    "Rate of full-size IP packets that the contract's CIR within the country leaves.",
)
FROM_AUDIT = (
    SECONDS,
    OUTAGES,
    OUTAGE_START,
    LOW,
    POINT,
    HIGH,
    COVERAGE,
    TARGET,
    BUDGET,
    BUDGET_LEFT,
    BUDGET_USED,
    PERIOD_SECONDS,
    STANDING,
    JUDGED,
    PERIOD_START,
    PERIOD_END,
    RTT_LIMIT,
    PDV_LIMIT,
    LOSS_LIMIT,
    CIR,
)
Seconds = Mapping[tuple[State, Cause, Charge], int]


class Judged(NamedTuple):
    """What is known of one link after judging it."""

    seconds: Seconds
    outages: Mapping[tuple[State, Cause], int]
    """Settled ones since the evidence began."""
    month: MonthAnswer | None
    """The running month; None where no contract covers it."""
    judged_until_s: int | None


def render(link: Link, judged: Judged) -> dict[Family, str]:
    """The link's lines, by family."""
    label = labels(link=link.id, node=link.node)
    lines: dict[Family, str] = {
        SECONDS: _seconds(SECONDS, link, judged.seconds.items()),
        OUTAGES: "".join(
            sample(OUTAGES, labels(link=link.id, node=link.node, state=state, cause=cause), count)
            for (state, cause), count in sorted(judged.outages.items())
        ),
    }
    if judged.judged_until_s is not None:
        lines[JUDGED] = sample(JUDGED, label, judged.judged_until_s)
    if judged.month is not None:
        lines |= _month(label, judged.month)
        lines |= _limits(link, judged.month)
        lines[PERIOD_SECONDS] = _seconds(PERIOD_SECONDS, link, judged.month.seconds.items())
        lines[CIR] = _cir(link, judged.month.contract.cir)
    return lines


def _seconds(
    family: Family, link: Link, seconds: Iterable[tuple[tuple[State, Cause, Charge], int]]
) -> str:
    return "".join(
        sample(
            family,
            labels(link=link.id, node=link.node, state=state, cause=cause, charge=charge),
            length_s,
        )
        for (state, cause, charge), length_s in sorted(seconds)
    )


def _cir(link: Link, cir: Cir) -> str:
    rates = {Direction.DOWN: cir.domestic.down_bps, Direction.UP: cir.domestic.up_bps}
    return "".join(
        sample(
            CIR,
            labels(link=link.id, node=link.node, direction=way),
            bits_per_s * cir.ip_share() / 8,
        )
        for way, bits_per_s in rates.items()
    )


def _limits(link: Link, month: MonthAnswer) -> dict[Family, str]:
    """What the contract allows, for each target that has a class."""
    lines: dict[Family, list[str]] = {RTT_LIMIT: [], PDV_LIMIT: [], LOSS_LIMIT: []}
    for name in (HUB_TARGET, *(target.name for target in link.targets)):
        reach = link.reach_of(name)
        if reach is None:
            continue
        limit = month.contract.limits.of(reach)
        target = {"link": link.id, "node": link.node, "target": name}
        for family, percentile, value in (
            (RTT_LIMIT, limit.rtt_percentile, limit.rtt_s),
            (PDV_LIMIT, limit.pdv_percentile, limit.pdv_s),
        ):
            if value is not None:
                label = labels(**target, percentile=f"{percentile:g}")
                lines[family].append(sample(family, label, value))
        if limit.loss_ratio is not None:
            lines[LOSS_LIMIT].append(sample(LOSS_LIMIT, labels(**target), float(limit.loss_ratio)))
    return {family: "".join(its) for family, its in lines.items()}


def _month(label: str, month: MonthAnswer) -> dict[Family, str]:
    found, budget = month.found, month.budget
    values = {
        LOW: found.lower,
        POINT: found.point,
        HIGH: found.upper,
        COVERAGE: found.coverage,
        TARGET: found.target,
        BUDGET: budget.whole_s,
        BUDGET_LEFT: budget.left_s,
        BUDGET_USED: budget.used_s / budget.whole_s if budget.whole_s else None,
        PERIOD_START: month.period.start_s,
        PERIOD_END: month.period.end_s,
    }
    lines = {
        family: sample(family, label, float(value))
        for family, value in values.items()
        if value is not None
    }
    lines[STANDING] = "".join(
        f'{STANDING.name}{label[:-1]},standing="{one}"}} {int(found.judgement is one)}\n'
        for one in Judgement
    )
    return lines


class StandingSeries:
    """Fragments by link."""

    def __init__(self) -> None:
        self._lines: dict[str, dict[Family, str]] = {}

    def keep(self, links: Iterable[str]) -> None:
        """Forget links that the inventory has no more."""
        wanted = set(links)
        self._lines = {link: lines for link, lines in self._lines.items() if link in wanted}

    def set(self, link: Link, judged: Judged) -> None:
        """Take what was judged of a link."""
        self._lines[link.id] = render(link, judged)

    def pages(self) -> Iterable[tuple[Family, Iterable[str]]]:
        """Families with their lines; the outages that last are the live road's to tell."""
        return (
            (family, [lines[family] for lines in self._lines.values() if family in lines])
            for family in FROM_AUDIT
            if family is not OUTAGE_START
        )
