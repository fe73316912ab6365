"""Answers of the audit as plain data, for JSON and for tables: seconds, ratios, words.

One form for the API and the command line; docs/openapi.yaml describes it.
"""

import math
from fractions import Fraction
from typing import Any

from collector.answers import Common, History, MonthAnswer, TargetAnswer
from collector.audit.evidence import Span
from collector.audit.histogram import Between
from collector.audit.intervals import Edge
from collector.audit.violations import Violations
from collector.audit.why import sentence
from collector.ledger.outages import Kept, Lane


def _ratio(value: Fraction | None) -> float | None:
    return None if value is None else float(value)


def _edge(name: str, edge: Edge | None) -> dict[str, float | None]:
    at, low, high = (None, None, None) if edge is None else (edge.at_s, edge.low_s, edge.high_s)
    return {f"{name}_s": at, f"{name}_low_s": low, f"{name}_high_s": high}


def _span(span: Span) -> dict[str, int]:
    return {"start_s": span.start_s, "end_s": span.end_s}


def outage(kept: Kept) -> dict[str, Any]:
    """One outage as it is known now; times in UTC seconds, null where it lasts."""
    one = kept.outage
    return {
        "id": kept.id,
        "revision": kept.revision,
        "said_s": kept.made_s,
        "link": one.link,
        **_edge("start", one.start),
        **_edge("end", one.end),
        "duration_s": None if one.end is None else one.end.at_s - one.start.at_s,
        "state": one.state,
        "cause": one.cause,
        "charge": one.charge,
        "witnesses": list(one.witnesses),
        "why": sentence(one.why),
        "event": one.event,
        "provisional": kept.lane is Lane.LIVE,
        "settled": one.settled,
        "withdrawn": kept.withdrawn,
    }


def history(found: History) -> dict[str, Any]:
    """All that was said of one outage."""
    return {
        "revisions": [outage(one) for one in found.revisions],
        "settled_by": None if found.settled_by is None else list(found.settled_by),
    }


def event(one: Common) -> dict[str, Any]:
    """What several links had in common; `end_s` null while it lasts for one of them."""
    ends = [kept.outage.end for kept in one.outages]
    known = [end.at_s for end in ends if end is not None]
    return {
        "event": one.event,
        "start_s": min(kept.outage.start.at_s for kept in one.outages),
        "end_s": max(known) if len(known) == len(ends) else None,
        "cause": one.outages[0].outage.cause,
        "links": sorted({kept.outage.link for kept in one.outages}),
        "outages": [kept.id for kept in one.outages],
    }


def violations(found: Violations) -> dict[str, Any]:
    """Loss beside the outages (RFC 9544, MEF 10.3)."""
    return {
        "violated_intervals": found.bad_available,
        "violated_ratio": _ratio(found.violated_ratio),
        "severely_violated_intervals": found.severe,
        "severely_violated_ratio": _ratio(found.severe_ratio),
        "consecutive_loss_runs": found.consecutive,
        "micro_outages": [_span(Span(one.start_s, one.end_s)) for one in found.micro],
        "loaded_s": found.loaded_s,
    }


def _between(found: Between | None) -> tuple[float | None, float | None]:
    """Bounds in seconds; null where there is none, and for a lost packet's infinite time."""
    if found is None:
        return None, None
    finite = (one if math.isfinite(one) else None for one in found)
    low_s, high_s = finite
    return low_s, high_s


def delays(one: TargetAnswer) -> dict[str, Any]:
    """One target in one month: percentiles as the bounds of their bucket, lost packets last."""
    row: dict[str, Any] = {
        "target": one.target,
        "reach": one.reach,
        "packets": one.histogram.sent,
        "lost": one.histogram.lost,
        "loss_ratio": _ratio(one.loss.found),
        "loss_limit": _ratio(one.loss.limit),
        "loss_verdict": one.loss.judgement,
        "batches_left_out": one.left_out,
        "batches_loaded": one.masked,
        "loaded_s": one.loaded_s,
        "rtt_percentile": 100 * one.rtt.share,
        "rtt_limit_s": one.rtt.limit_s,
        "rtt_verdict": one.rtt.judgement,
        "pdv_percentile": 100 * one.pdv.share,
        "pdv_limit_s": one.pdv.limit_s,
        "pdv_verdict": one.pdv.judgement,
    }
    row["rtt_low_s"], row["rtt_high_s"] = _between(one.rtt.found)
    row["pdv_low_s"], row["pdv_high_s"] = _between(one.pdv.found)
    for name, share in (("p50", 0.5), ("p95", 0.95), ("p99", 0.99)):
        _, row[f"{name}_s"] = _between(one.histogram.percentile(share))
    return row


def availability(answer: MonthAnswer) -> dict[str, Any]:
    """One link under one contract in one month; seconds and ratios, null where undefined."""
    found, budget = answer.found, answer.budget
    return {
        "link": answer.link,
        "month": str(answer.month),
        "zone": answer.month.zone,
        "contract": answer.contract.reference,
        "contract_digest": answer.contract.digest(),
        **_span(found.span),
        "complete": answer.complete,
        "judged_until_s": answer.judged_until_s,
        "target": answer.contract.availability_target,
        "verdict": found.judgement,
        "likely_met": found.likely_met,
        "availability_low": _ratio(found.lower),
        "availability_point": _ratio(found.point),
        "availability_high": _ratio(found.upper),
        "coverage": _ratio(found.coverage),
        "period_s": found.period_s,
        "excluded_s": found.excluded_s,
        "up_s": found.up_s,
        "degraded_s": found.degraded_s,
        "down_s": found.charged_s,
        "unknown_s": found.unknown_s,
        "uncounted_s": found.uncounted_s,
        "outages": len(found.outages),
        "longest_outage_s": found.longest_s,
        "mean_to_restore_s": _ratio(found.mean_to_restore_s),
        "mean_between_s": _ratio(found.mean_between_s),
        "edge_error_s": found.edge_error_s,
        "flap_episodes": len(answer.flapping),
        "budget_s": float(budget.whole_s),
        "budget_left_s": float(budget.left_s),
        "unknown_runs": [_span(one) for one in found.unknown],
        "would_breach_if_down": [_span(one) for one in answer.deciding.to_breach],
        "would_meet_if_up": [_span(one) for one in answer.deciding.to_meet],
    }
