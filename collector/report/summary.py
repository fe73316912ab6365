"""What all links come to: the first page and the trend. Pure."""

from collections import Counter
from collections.abc import Iterable, Sequence
from fractions import Fraction

from collector.answers import MonthAnswer
from collector.audit.availability import Availability, Judgement
from collector.audit.calendar import Month
from collector.audit.findings import Finding
from collector.report import money
from collector.report.quality import together
from collector.report.record import (
    Counts,
    LinkPart,
    PeriodPart,
    Summary,
    TrendMonth,
    Worst,
)
from collector.report.seconds import number

WORST = 10
TREND = 6
_UNDECIDED = "not_judged"
"""Of links without a verdict."""


def counts(judgements: Iterable[Judgement | None]) -> Counts:
    """How many of each; None counts for nothing."""
    count = Counter(one for one in judgements if one is not None)
    return Counts(
        met=count[Judgement.MET],
        breached=count[Judgement.BREACHED],
        indeterminate=count[Judgement.INDETERMINATE],
    )


def periods_of(links: Iterable[LinkPart]) -> list[PeriodPart]:
    return [period for link in links for period in link.periods]


def finding(link: LinkPart) -> str:
    """Of both directions: not dedicated where one is, dedicated where both are."""
    found = {one.finding for one in link.verdicts}
    if Finding.NOT_DEDICATED in found:
        return Finding.NOT_DEDICATED.value
    if not found:
        return _UNDECIDED
    return (Finding.INSUFFICIENT if Finding.INSUFFICIENT in found else Finding.DEDICATED).value


def findings(links: Iterable[LinkPart]) -> dict[str, int]:
    count = Counter(finding(one) for one in links)
    return {name: count[name] for name in (*(one.value for one in Finding), _UNDECIDED)}


def _share(link: LinkPart, pick: str) -> float | None:
    """The lowest bound of the link's periods."""
    values = [getattr(one.availability, pick) for one in link.periods]
    known = [one for one in values if one is not None]
    return min(known) if known else None


# --- the first page -----------------------------------------------------------------------


def summary(links: Sequence[LinkPart], trend: tuple[TrendMonth, ...]) -> Summary:
    """Of all links of the audit."""
    periods = periods_of(links)
    amounts = [one.restitution for one in periods]
    return Summary(
        links=len(links),
        judgement=counts(one.judgement for one in links),
        availability=counts(_clause(one, _availability) for one in links),
        latency=counts(_clause(one, _latency) for one in links),
        jitter=counts(_clause(one, _jitter) for one in links),
        loss=counts(_clause(one, _loss) for one in links),
        dedicated=findings(links),
        fee_rupiah=sum(one.fee_part_rupiah for one in amounts),
        restitution_rupiah=sum(one.rupiah or 0 for one in amounts),
        restitution_at_most_rupiah=sum(one.at_most_rupiah or 0 for one in amounts),
        restitution_unknown=sum(one.rupiah is None for one in amounts),
        worst=tuple(_worst(one) for one in sorted(links, key=_badness)[:WORST] if _bad(one)),
        trend=trend,
    )


def _availability(period: PeriodPart) -> list[Judgement | None]:
    return [period.availability.judgement]


def _latency(period: PeriodPart) -> list[Judgement | None]:
    return [one.rtt_judgement for one in period.delays]


def _jitter(period: PeriodPart) -> list[Judgement | None]:
    return [one.jitter_judgement for one in period.delays]


def _loss(period: PeriodPart) -> list[Judgement | None]:
    return [one.loss_judgement for one in period.delays]


def _clause(link: LinkPart, of: object) -> Judgement | None:
    assert callable(of)
    told = [one for period in link.periods for one in of(period) if one is not None]
    return together(told) if told else None


_ORDER = {Judgement.BREACHED: 0, Judgement.INDETERMINATE: 1, Judgement.MET: 2}


def _down_s(link: LinkPart) -> int:
    return sum(one.availability.down_s for one in link.periods)


def _bad(link: LinkPart) -> bool:
    """Whether anything is to be said of it."""
    return link.judgement is not Judgement.MET or _down_s(link) > 0


def _badness(link: LinkPart) -> tuple[int, float, int, str]:
    upper = _share(link, "upper")
    return _ORDER[link.judgement], 1 if upper is None else upper, -_down_s(link), link.link


def _worst(link: LinkPart) -> Worst:
    return Worst(
        link=link.link,
        name=link.name,
        provider=link.provider,
        judgement=link.judgement,
        lower=_share(link, "lower"),
        upper=_share(link, "upper"),
        down_s=_down_s(link),
        outages=sum(one.availability.outages for one in link.periods),
        rupiah=sum(one.restitution.rupiah or 0 for one in link.periods),
    )


# --- the trend ----------------------------------------------------------------------------


class Sums:
    """Seconds of many periods, joined."""

    def __init__(self) -> None:
        self.up_s = self.down_s = self.counted_s = 0

    def add(self, up_s: int, down_s: int, counted_s: int) -> None:
        self.up_s += up_s
        self.down_s += down_s
        self.counted_s += counted_s

    def _of(self, part: int, whole: int) -> float | None:
        return number(Fraction(part, whole)) if whole else None

    @property
    def lower(self) -> float | None:
        return self._of(self.up_s, self.counted_s)

    @property
    def point(self) -> float | None:
        return self._of(self.up_s, self.up_s + self.down_s)

    @property
    def upper(self) -> float | None:
        return self._of(self.counted_s - self.down_s, self.counted_s)


def month_row(month: Month, links: Iterable[Sequence[MonthAnswer]]) -> TrendMonth:
    """Availability and money of one month; rule PALAPA as if the node had no other link."""
    sums, judged, rupiah = Sums(), [], 0
    for answers in links:
        if not answers:
            continue
        judged.append(together(one.found.judgement for one in answers))
        for one in answers:
            _add(sums, one.found)
            rupiah += money.owed(one).rupiah or 0
    return TrendMonth(
        month=str(month),
        links=len(judged),
        availability=counts(judged),
        lower=sums.lower,
        upper=sums.upper,
        rupiah=rupiah,
    )


def _add(sums: Sums, found: Availability) -> None:
    sums.add(found.up_s, found.charged_s, found.counted_s)


def this_month(month: Month, links: Sequence[LinkPart]) -> TrendMonth:
    """The audited month, as the last of the trend."""
    sums = Sums()
    for period in periods_of(links):
        one = period.availability
        sums.add(one.up_s, one.down_s, one.counted_s)
    return TrendMonth(
        month=str(month),
        links=len(links),
        availability=counts(_clause(one, _availability) for one in links),
        lower=sums.lower,
        upper=sums.upper,
        rupiah=sum(period.restitution.rupiah or 0 for period in periods_of(links)),
    )


def before(month: Month, many: int) -> list[Month]:
    """The months before one, the oldest first."""
    found = []
    for back in range(many, 0, -1):
        at = month.year * 12 + month.number - 1 - back
        found.append(Month(at // 12, at % 12 + 1, month.zone))
    return found


def trend(
    month: Month, earlier: Sequence[Sequence[Sequence[MonthAnswer]]], links: Sequence[LinkPart]
) -> tuple[TrendMonth, ...]:
    """Six months, the audited one last. `earlier`: of every link, its answers of the months
    `before` it."""
    rows = [
        month_row(one, (months[at] for months in earlier))
        for at, one in enumerate(before(month, TREND - 1))
    ]
    return (*rows, this_month(month, links))
