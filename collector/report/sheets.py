"""The audit as tables: one row a link, an outage, a target; for spreadsheets and CSV. Pure.

A column's name is its field's in the record, so that a table can be read beside the JSON.
"""

from collections.abc import Iterator
from typing import NamedTuple

from collector.report.record import Audit, LinkPart, PeriodPart, Range

Cell = str | int | float | bool | None


class Sheet(NamedTuple):
    """One table."""

    name: str
    columns: tuple[str, ...]
    rows: list[tuple[Cell, ...]]


def sheets(audit: Audit) -> list[Sheet]:
    """All tables of an audit."""
    return [
        _links(audit),
        _outages(audit),
        _delays(audit),
        _throughput(audit),
        _hours(audit),
        _tickets(audit),
        _providers(audit),
        _trend(audit),
    ]


def _periods(audit: Audit) -> Iterator[tuple[LinkPart, PeriodPart]]:
    for link in audit.links:
        for period in link.periods:
            yield link, period


_AVAILABILITY = (
    "target", "lower", "point", "upper", "coverage", "period_s", "excluded_s", "counted_s", "up_s",
    "down_s", "unknown_s", "uncounted_s", "degraded_s", "allowed_down_s", "left_s", "outages",
    "longest_s", "mean_to_restore_s", "mean_between_s", "edge_error_s", "micro_outages",
    "flapping_episodes", "violated_ratio", "severely_violated_ratio",
)  # fmt: skip
_MONEY = ("rule", "fee_rupiah", "fee_part_rupiah", "exact", "rounding", "rupiah", "at_most_rupiah")


def _links(audit: Audit) -> Sheet:
    head = ("link", "name", "node", "kind", "district", "provider", "medium", "pop", "circuit")
    columns = (
        *head, "contract", "start_s", "end_s", "complete", "judgement", "availability",
        *_AVAILABILITY, *_MONEY, "tiphon_index", "dedicated_down", "dedicated_up",
        "contract_sha256", "evidence_batches", "evidence_sha256",
    )  # fmt: skip
    rows: list[tuple[Cell, ...]] = []
    for link, period in _periods(audit):
        found = {one.direction.value: one.finding.value for one in link.verdicts}
        rows.append(
            (
                *_fields(link, head),
                period.contract,
                period.start_s,
                period.end_s,
                period.complete,
                period.judgement.value,
                period.availability.judgement.value,
                *_fields(period.availability, _AVAILABILITY),
                *_fields(period.restitution, _MONEY),
                period.tiphon.index,
                found.get("down"),
                found.get("up"),
                period.contract_sha256,
                period.evidence_batches,
                period.evidence_sha256,
            )
        )
    return Sheet("links", columns, rows)


def _fields(part: object, names: tuple[str, ...]) -> list[Cell]:
    values = (getattr(part, name) for name in names)
    # An enum's member is a str; a spreadsheet wants the plain one.
    return [str(one) if isinstance(one, str) else one for one in values]


def _outages(audit: Audit) -> Sheet:
    columns = (
        "id", "revision", "state", "cause", "charge", "start_s", "start_low_s", "start_high_s",
        "end_s", "end_low_s", "end_high_s", "within_s", "why", "event", "settled",
    )  # fmt: skip
    rows: list[tuple[Cell, ...]] = [
        (link.link, link.provider, *_fields(one, columns), " ".join(one.witnesses))
        for link, period in _periods(audit)
        for one in period.outages
    ]
    return Sheet("outages", ("link", "provider", *columns, "witnesses"), rows)


def _delays(audit: Audit) -> Sheet:
    plain = ("target", "reach", "packets", "lost", "batches", "batches_left_out", "batches_loaded")
    ranges = ("rtt_p50", "rtt_p95", "rtt_p99", "rtt", "jitter_p50", "jitter_p95", "jitter_p99",
              "jitter")  # fmt: skip
    limits = (
        "rtt_percentile", "rtt_limit_s", "rtt_judgement", "jitter_percentile", "jitter_limit_s",
        "jitter_judgement", "loss_ratio", "loss_limit", "loss_judgement",
    )  # fmt: skip
    bounds = tuple(f"{name}_{end}_s" for name in ranges for end in ("low", "high"))
    rows: list[tuple[Cell, ...]] = []
    for link, period in _periods(audit):
        for one in period.delays:
            told: list[Cell] = []
            for name in ranges:
                told += _bounds(getattr(one, name))
            rows.append((link.link, *_fields(one, plain), *told, *_fields(one, limits)))
    return Sheet("delays", ("link", *plain, *bounds, *limits), rows)


def _bounds(found: Range | None) -> tuple[float | None, float | None]:
    return (None, None) if found is None else (found.low_s, found.high_s)


def _throughput(audit: Audit) -> Sheet:
    columns = (
        "direction", "tests", "counted", "expected_mbps", "delivered_mbps", "attainment_p05",
        "attainment_p50", "share_kept", "rtt_rise_s", "bufferbloat", "pdv_s", "reordering_ratio",
    )  # fmt: skip
    rows: list[tuple[Cell, ...]] = [
        (link.link, *_fields(one, columns))
        for link, period in _periods(audit)
        for one in period.throughput
    ]
    return Sheet("throughput", ("link", *columns), rows)


def _hours(audit: Audit) -> Sheet:
    columns = ("hour", "tests", "p10", "p25", "p50", "p75", "p90")
    rows: list[tuple[Cell, ...]] = [
        (link.link, one.direction.value, *_fields(each, columns))
        for link, period in _periods(audit)
        for one in period.throughput
        for each in one.hours
    ]
    return Sheet("hours", ("link", "direction", *columns), rows)


def _tickets(audit: Audit) -> Sheet:
    columns = (
        "case", "kind", "outage", "start_s", "end_s", "cause", "charge", "ticket",
        "ticket_start_s", "ticket_end_s", "ticket_cause", "start_differs_s", "end_differs_s",
    )  # fmt: skip
    rows: list[tuple[Cell, ...]] = [
        (link.link, link.provider, *_fields(one, columns))
        for link, period in _periods(audit)
        for one in period.tickets
    ]
    return Sheet("tickets", ("link", "provider", *columns), rows)


def _providers(audit: Audit) -> Sheet:
    plain = (
        "provider", "medium", "district", "links", "lower", "point", "upper", "down_s", "outages",
        "mean_to_restore_s", "attainment_p50", "rtt_p50_s", "fee_rupiah", "fee_per_link_rupiah",
        "delivered_mbps", "fee_per_mbps_rupiah", "restitution_rupiah",
    )  # fmt: skip
    judged = ("met", "breached", "indeterminate")
    rows: list[tuple[Cell, ...]] = [
        (*_fields(one, plain), *_fields(one.judgement, judged))
        for one in (*audit.providers, *audit.equal_conditions)
    ]
    return Sheet("providers", (*plain, *judged), rows)


def _trend(audit: Audit) -> Sheet:
    judged = ("met", "breached", "indeterminate")
    plain = ("month", "links", "lower", "upper", "rupiah")
    rows: list[tuple[Cell, ...]] = [
        (*_fields(one, plain), *_fields(one.availability, judged)) for one in audit.summary.trend
    ]
    return Sheet("trend", (*plain, *judged), rows)
