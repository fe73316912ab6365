"""What must hold before anything is inferred. A gate that fails makes evidence insufficient; one
that nobody has shown to hold keeps every finding preliminary.
"""

from collections.abc import Sequence
from datetime import date
from enum import StrEnum
from statistics import median

import msgspec

from collector.audit.daily import THETA, Daily, Day, Part, Placed, Quality
from collector.audit.decision import WINDOW, Cause, Span

VALID_DAYS = 20
"""Of 28; in proportion for longer spans."""
SCHEDULED_SHARE = 0.70
CORRECTED_SHARE = 0.90


class Gate(StrEnum):
    """G1 to G6 of section 5.5."""

    VALID_DAYS = "valid_days"
    """G1: 20 of 28 days"""
    SCHEDULED_TESTS = "scheduled_tests"
    """G1: 70 % of the peak tests that were due"""
    CROSS_TRAFFIC = "cross_traffic"
    """G2: known for 90 % of the tests"""
    BOX = "box"
    """G3: it carries 1.2 x CIR; NIC speed and duplex are logged"""
    ANCHORS = "anchors"
    """G4: healthy; two or more agree"""
    SITE = "site"
    """G5: no fault of LAN or CPE, no change of contract, MTU right"""
    CLOCK = "clock"
    """G6: sane, and the journal's chain verified"""


class Shown(StrEnum):
    """How a gate stands."""

    HELD = "held"
    FAILED = "failed"
    NOT_SHOWN = "not_shown"


class Circumstances(msgspec.Struct, frozen=True):
    """What throughput tests alone cannot show, as the ledger or a person answers for it."""

    box: Shown = Shown.NOT_SHOWN
    anchors: Shown = Shown.NOT_SHOWN
    site: Shown = Shown.NOT_SHOWN
    clock: Shown = Shown.NOT_SHOWN


class GateResult(msgspec.Struct, frozen=True):
    """How one gate stands over days [first, last]; `have` and `need` are None if not counted."""

    gate: Gate
    shown: Shown
    first: date
    last: date
    have: float | None = None
    need: float | None = None


class Plan(msgspec.Struct, frozen=True):
    """How much was meant to be tested."""

    minimum_peak: int = 2
    """Peak tests that make a day valid; 1 for nodes with a small budget."""
    peak_per_day: int | None = None
    """Peak tests due each day; None: as many as there are rows, made or not."""

    def __post_init__(self) -> None:
        if self.minimum_peak < 1:
            raise ValueError(f"minimum_peak {self.minimum_peak}: a day needs a test")


def counted(
    days: Sequence[Day], judged: Span, plan: Plan, stretch: tuple[date, date]
) -> list[GateResult]:
    """The gates that the tests themselves answer, for one span."""
    first, last = stretch
    length = len(judged)
    valid = sum(day is not None for day in judged)
    due = sum(day.scheduled for day in days)
    if plan.peak_per_day is not None:
        due = max(due, plan.peak_per_day * length)
    made = sum(len(day.peak) + len(day.floors) for day in days)
    known = sum(len(day.peak) + len(day.off_peak) for day in days)
    unknown = sum(len(day.floors) + day.uncompared for day in days)

    def result(gate: Gate, have: float, need: float) -> GateResult:
        shown = Shown.HELD if have >= need else Shown.FAILED
        return GateResult(gate, shown, first, last, have, need)

    return [
        result(Gate.VALID_DAYS, valid, VALID_DAYS * length // WINDOW),
        result(Gate.SCHEDULED_TESTS, made / due if due else 0.0, SCHEDULED_SHARE),
        result(
            Gate.CROSS_TRAFFIC,
            known / (known + unknown) if known + unknown else 0.0,
            CORRECTED_SHARE,
        ),
    ]


def answered(
    circumstances: Circumstances, placed: Sequence[Placed], stretch: tuple[date, date]
) -> list[GateResult]:
    """The gates that somebody answers for. One anchor alone cannot show that it is not to blame."""
    first, last = stretch
    anchors = {one.test.anchor for one in placed if first <= one.date <= last}
    anchor = circumstances.anchors
    if anchor is Shown.HELD and len(anchors) == 1 and None not in anchors:
        anchor = Shown.NOT_SHOWN
    told = (
        (Gate.BOX, circumstances.box),
        (Gate.ANCHORS, anchor),
        (Gate.SITE, circumstances.site),
        (Gate.CLOCK, circumstances.clock),
    )
    return [GateResult(gate, shown, first, last) for gate, shown in told]


def anchors_disagree(
    placed: Sequence[Placed], accused: Sequence[Daily], cause: Cause
) -> tuple[str, ...]:
    """Anchors whose own tests, on the accused days, do not point the accusation's way.

    Only valid tests of quality A speak, and only if they name their anchor.
    """
    when = {day.date for day in accused}
    found: dict[str, dict[Part, list[float]]] = {}
    for one in placed:
        test = one.test
        if one.date in when and test.valid and test.quality is Quality.A and test.anchor:
            parts = found.setdefault(test.anchor, {})
            parts.setdefault(one.part, []).append(test.attainment)
    return tuple(sorted(name for name, parts in found.items() if not _points(parts, cause)))


def _points(parts: dict[Part, list[float]], cause: Cause) -> bool:
    if Part.PEAK not in parts:
        return True
    peak = median(parts[Part.PEAK])
    if cause is Cause.UNDER_PROVISIONED:
        return peak < THETA
    return Part.OFF_PEAK not in parts or peak < median(parts[Part.OFF_PEAK])
