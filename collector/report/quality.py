"""Delay, jitter, loss and throughput of one period as parts of the record. Pure."""

import itertools
import math
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Sequence
from fractions import Fraction
from statistics import median

from collector.audit.availability import Judgement
from collector.audit.calendar import Zone
from collector.audit.capacity import bufferbloat_grade
from collector.audit.daily import THETA, Direction, Quality
from collector.audit.delays import DelayClause, LossClause, loss
from collector.audit.histogram import Between, Histogram, merge, upper
from collector.contracts import Limits
from collector.ledger.hours import HourDelays
from collector.report.facts import TargetDelays
from collector.report.record import (
    DelayPart,
    HourOfDay,
    Range,
    Smoke,
    ThroughputPart,
    TiphonPart,
)
from collector.report.seconds import number
from collector.report.tiphon import tiphon
from collector.settle.trials import NS, Trial

SMOKE_S = 7200
HOUR_S = 3600
NOT_DRAWN = "at no time drawn by lot"
LOWER_BOUND = "only a lower bound: users' traffic unknown"


def _range(found: Between | None) -> Range | None:
    if found is None:
        return None
    low_s, high_s = (one if math.isfinite(one) else None for one in found)
    return Range(low_s=low_s, high_s=high_s)


def delay(found: TargetDelays, limits: Limits) -> DelayPart:
    """One target against the limits of its class."""
    limit, rtts, spread = limits.of(found.reach), found.rtts, found.variation
    share = limit.rtt_percentile / 100
    rtt = DelayClause(share, rtts.percentile(share), limit.rtt_s)
    pdv_share = limit.pdv_percentile / 100
    jitter = DelayClause(pdv_share, spread.percentile(pdv_share), limit.pdv_s)
    lost = LossClause(
        loss(rtts), None if limit.loss_ratio is None else Fraction(str(limit.loss_ratio))
    )
    return DelayPart(
        target=found.target,
        reach=found.reach,
        packets=rtts.sent,
        lost=rtts.lost,
        batches=found.batches,
        batches_left_out=found.left_out,
        batches_loaded=found.loaded,
        rtt_p50=_range(rtts.percentile(0.5)),
        rtt_p95=_range(rtts.percentile(0.95)),
        rtt_p99=_range(rtts.percentile(0.99)),
        rtt_percentile=limit.rtt_percentile,
        rtt=_range(rtt.found),
        rtt_limit_s=limit.rtt_s,
        rtt_judgement=rtt.judgement,
        jitter_p50=_range(spread.percentile(0.5)),
        jitter_p95=_range(spread.percentile(0.95)),
        jitter_p99=_range(spread.percentile(0.99)),
        jitter_percentile=limit.pdv_percentile,
        jitter=_range(jitter.found),
        jitter_limit_s=limit.pdv_s,
        jitter_judgement=jitter.judgement,
        loss_ratio=number(lost.found),
        loss_limit=limit.loss_ratio,
        loss_judgement=lost.judgement,
    )


def smoke(hours: Iterable[HourDelays], begin_s: int) -> tuple[Smoke, ...]:
    """Round trips of two hours each, counted from the period's first midnight."""
    found = []
    for at, each in itertools.groupby(hours, lambda one: (one.start_s - begin_s) // SMOKE_S):
        rtts = merge(one.rtts for one in each)
        p05, p25, p50, p75, p95 = _highs_us(rtts, (0.05, 0.25, 0.5, 0.75, 0.95))
        found.append(
            Smoke(
                start_s=begin_s + at * SMOKE_S,
                packets=rtts.sent,
                lost=rtts.lost,
                p05_us=p05,
                p25_us=p25,
                p50_us=p50,
                p75_us=p75,
                p95_us=p95,
            )
        )
    return tuple(found)


def _highs_us(rtts: Histogram, shares: Sequence[float]) -> list[int | None]:
    """Upper bounds of the percentiles of ascending shares, as `Histogram.percentile` has them: in
    one pass, because a month has two thousand."""
    found: list[int | None] = []
    buckets = sorted(rtts.counts)
    passed = list(itertools.accumulate(rtts.counts[one] for one in buckets))
    for share in shares:
        rank = max(1, math.ceil(share * rtts.sent - 1e-9))
        at = bisect_left(passed, rank)
        found.append(math.ceil(upper(buckets[at]) * 1e6) if at < len(buckets) else None)
    return found


# --- throughput ---------------------------------------------------------------------------


def throughput(trials: Sequence[Trial], zone: Zone) -> tuple[ThroughputPart, ...]:
    """Both directions, as far as there were tests."""
    each = ([one for one in trials if one.direction is way] for way in Direction)
    return tuple(_direction(tests, zone) for tests in each if tests)


def _direction(trials: Sequence[Trial], zone: Zone) -> ThroughputPart:
    counted: list[tuple[int, float]] = []
    reasons: Counter[str] = Counter()
    for one in trials:
        reason, share = _refusal(one), one.attainment
        if reason:
            reasons[reason] += 1
        elif share is not None:
            hour = (one.start_ns // NS + zone.offset_s) // HOUR_S % 24
            counted.append((hour, share))
    shares = sorted(share for _, share in counted)
    in_figures = [one for one in trials if not _refusal(one)]
    rise_s = _median(one.rtt_rise_s for one in in_figures)
    expected = [one.promise.expected_mbps for one in trials if one.promise is not None]
    promised = expected[-1] if expected else None
    return ThroughputPart(
        direction=trials[0].direction,
        tests=len(trials),
        counted=len(counted),
        expected_mbps=promised,
        delivered_mbps=_delivered(trials),
        attainment_p05=_rank(shares, 0.05),
        attainment_p50=_rank(shares, 0.5),
        share_kept=sum(one >= THETA for one in shares) / len(shares) if shares else None,
        hours=tuple(
            _hour(hour, sorted(share for at, share in counted if at == hour))
            for hour in sorted({at for at, _ in counted})
        ),
        not_counted=dict(sorted(reasons.items())),
        rtt_rise_s=rise_s,
        bufferbloat=None if rise_s is None else bufferbloat_grade(rise_s * 1000),
        pdv_s=_median(one.pdv_s for one in in_figures),
        reordering_ratio=_median(one.reordering_ratio for one in in_figures),
    )


def _median(values: Iterable[float | None]) -> float | None:
    """Of what is known; None where nothing is."""
    known = [one for one in values if one is not None]
    return median(known) if known else None


def _delivered(trials: Sequence[Trial]) -> float | None:
    """Median of the rates that the counted tests and the users had together."""
    rates = [
        one.attainment * one.promise.expected_mbps
        for one in trials
        if not _refusal(one) and one.attainment is not None and one.promise is not None
    ]
    return median(rates) if rates else None


def _refusal(one: Trial) -> str:
    """Why a test is not in the figures: they are for tests at times drawn by lot, of which all
    that the link carried is known. Empty where it is in them."""
    if one.reason:
        return one.reason
    if not one.drawn:
        return NOT_DRAWN
    return LOWER_BOUND if one.quality is Quality.B else ""


def _hour(hour: int, shares: Sequence[float]) -> HourOfDay:
    p10, p25, p50, p75, p90 = (_rank(shares, one) for one in (0.1, 0.25, 0.5, 0.75, 0.9))
    assert p10 is not None and p25 is not None and p50 is not None
    assert p75 is not None and p90 is not None
    return HourOfDay(hour=hour, tests=len(shares), p10=p10, p25=p25, p50=p50, p75=p75, p90=p90)


def _rank(ordered: Sequence[float], share: float) -> float | None:
    """Nearest rank; None for an empty sample."""
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)] if ordered else None


# --- together -----------------------------------------------------------------------------


def courtesy(delays: Sequence[DelayPart], tests: Sequence[ThroughputPart]) -> TiphonPart:
    """The index by the medians to the hub, and the median attainment downwards."""
    hub = delays[0] if delays else None
    down = next((one for one in tests if one.direction is Direction.DOWN), None)
    return tiphon(
        None if hub is None or hub.rtt_p50 is None else hub.rtt_p50.high_s,
        None if hub is None or hub.jitter_p50 is None else hub.jitter_p50.high_s,
        None if hub is None else hub.loss_ratio,
        None if down is None else down.attainment_p50,
    )


def together(judgements: Iterable[Judgement | None]) -> Judgement:
    """Of several clauses: breached where one is, met where all that are promised are."""
    told = [one for one in judgements if one is not None]
    if Judgement.BREACHED in told:
        return Judgement.BREACHED
    return Judgement.INDETERMINATE if Judgement.INDETERMINATE in told else Judgement.MET
