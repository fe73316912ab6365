"""The providers side by side, all their links and under equal conditions. Pure.

Fibre in a town and a dish on a hill are no competitors: who is better is asked within one medium
and one district.
"""

from collections.abc import Iterable, Sequence
from fractions import Fraction
from statistics import median

from collector.audit.daily import Direction
from collector.report.record import DelayPart, LinkPart, ProviderPart
from collector.report.summary import Sums, counts, findings, periods_of


def providers(links: Sequence[LinkPart]) -> tuple[ProviderPart, ...]:
    """All links of each provider."""
    names = sorted({one.provider for one in links})
    return tuple(
        provider(name, [one for one in links if one.provider == name], None, None) for name in names
    )


def equal_conditions(links: Sequence[LinkPart]) -> tuple[ProviderPart, ...]:
    """By medium and district, and within by provider."""
    keys = sorted({(one.medium, one.district, one.provider) for one in links})
    return tuple(
        provider(
            name,
            [
                one
                for one in links
                if (one.medium, one.district, one.provider) == (medium, district, name)
            ],
            medium,
            district,
        )
        for medium, district, name in keys
    )


def provider(
    name: str, links: Sequence[LinkPart], medium: str | None, district: str | None
) -> ProviderPart:
    """One row of a comparison."""
    sums, periods = Sums(), periods_of(links)
    for period in periods:
        one = period.availability
        sums.add(one.up_s, one.down_s, one.counted_s)
    outages = sum(one.availability.outages for one in periods)
    paid = [(link, _fee(link)) for link in links]
    fees = [fee for _, fee in paid]
    measured = [(rate, fee) for link, fee in paid if (rate := _down(link, "delivered_mbps"))]
    delivered = sum(rate for rate, _ in measured)
    asked = sum(fee for _, fee in measured)
    return ProviderPart(
        provider=name,
        medium=medium,
        district=district,
        links=len(links),
        judgement=counts(one.judgement for one in links),
        lower=sums.lower,
        point=sums.point,
        upper=sums.upper,
        down_s=sums.down_s,
        outages=outages,
        mean_to_restore_s=sums.down_s / outages if outages else None,
        attainment_p50=_middle(_down(one, "attainment_p50") for one in links),
        dedicated=findings(links),
        rtt_p50_s=_middle(_rtt(one) for one in links),
        fee_rupiah=sum(fees),
        fee_per_link_rupiah=round(Fraction(sum(fees), len(fees))) if fees else None,
        delivered_mbps=delivered or None,
        fee_per_mbps_rupiah=round(asked / delivered) if delivered else None,
        restitution_rupiah=sum(one.restitution.rupiah or 0 for one in periods),
    )


def _middle(values: Iterable[float | None]) -> float | None:
    known = [one for one in values if one is not None]
    return median(known) if known else None


def _fee(link: LinkPart) -> int:
    """For the parts of the month that are under a contract."""
    return sum(one.restitution.fee_part_rupiah for one in link.periods)


def _down(link: LinkPart, name: str) -> float | None:
    for period in link.periods:
        for one in period.throughput:
            if one.direction is Direction.DOWN:
                value: float | None = getattr(one, name)
                return value
    return None


def _rtt(link: LinkPart) -> float | None:
    hub: list[DelayPart] = [period.delays[0] for period in link.periods if period.delays]
    return None if not hub or hub[0].rtt_p50 is None else hub[0].rtt_p50.high_s
