"""How often each rule was wrong, and right, on simulated links: `bench/montecarlo.py --full`.

Quoted with every verdict. A link of the simulation had 4 peak and 4 off-peak tests a day; gates,
anchors and other links were not simulated, so real verdicts are rarer than these.
"""

from enum import StrEnum

import msgspec

from collector.audit.decision import Rule
from collector.audit.statistics import clopper_pearson_upper


class State(StrEnum):
    """What a simulated link really was."""

    CLEAN = "clean"
    BUSY = "busy"
    """dedicated; users of its own make the tests noisy"""
    WHOLE_DAY = "whole_day"
    """bad days are 5 %, all day long; worst of lag-1 correlations 0, 0.5, 0.8"""
    EVENING = "evening"
    """bad days are 5 %, evenings only; worst of lag-1 correlations 0, 0.5, 0.8"""
    EVENING_09 = "evening_09"
    """the same at lag-1 correlation 0.9"""
    BORDERLINE = "borderline"
    """8.9 % bad days, evenings 4.2 points lower"""
    QUARTER_EVENINGS = "quarter_evenings"
    """every fourth evening lower by 22 %"""
    HALF_EVENINGS = "half_evenings"
    PEAK_20 = "peak_20"
    """every evening lower by 20 %"""
    FLAT_80 = "flat_80"
    """80 % of the CIR, always"""


INNOCENT = (State.CLEAN, State.BUSY, State.WHOLE_DAY, State.EVENING, State.EVENING_09)
"""States with 5 % of bad days or fewer."""


class SimulatedRate(msgspec.Struct, frozen=True):
    """Links found not dedicated, of so many simulated."""

    rule: Rule
    state: State
    tests: int
    """Peak tests a day, and as many off-peak."""
    accused: int
    runs: int
    upper: float
    """95 % upper bound of the rate."""


LOW = 1
_Counts = dict[Rule, dict[State, tuple[int, int]]]
_FOUR: _Counts = {
    Rule.V2: {
        State.CLEAN: (0, 20_000),
        State.BUSY: (0, 10_000),
        State.WHOLE_DAY: (5, 20_000),
        State.EVENING: (4, 20_000),
        State.EVENING_09: (13, 20_000),
        State.BORDERLINE: (0, 10_000),
        State.QUARTER_EVENINGS: (64, 500),
        State.HALF_EVENINGS: (478, 500),
        State.PEAK_20: (300, 300),
        State.FLAT_80: (300, 300),
    },
    Rule.O: {
        State.CLEAN: (0, 20_000),
        State.BUSY: (0, 20_000),
        State.WHOLE_DAY: (1, 20_000),
        State.EVENING: (0, 20_000),
        State.EVENING_09: (0, 20_000),
        State.BORDERLINE: (176, 20_000),
        State.QUARTER_EVENINGS: (805, 1000),
        State.HALF_EVENINGS: (1000, 1000),
        State.PEAK_20: (1000, 1000),
        State.FLAT_80: (1000, 1000),
    },
}
_ONE: _Counts = {
    Rule.V2: {
        State.CLEAN: (0, 20_000),
        State.BUSY: (1, 20_000),
        State.WHOLE_DAY: (7, 20_000),
        State.EVENING: (1, 20_000),
        State.EVENING_09: (25, 20_000),
        State.BORDERLINE: (11, 5000),
        State.QUARTER_EVENINGS: (139, 1000),
        State.HALF_EVENINGS: (961, 1000),
        State.PEAK_20: (1000, 1000),
        State.FLAT_80: (943, 1000),
    },
    Rule.O: {
        State.CLEAN: (0, 20_000),
        State.BUSY: (12, 20_000),
        State.WHOLE_DAY: (0, 20_000),
        State.EVENING: (0, 20_000),
        State.EVENING_09: (3, 20_000),
        State.BORDERLINE: (878, 5000),
        State.QUARTER_EVENINGS: (770, 1000),
        State.HALF_EVENINGS: (1000, 1000),
        State.PEAK_20: (1000, 1000),
        State.FLAT_80: (969, 1000),
    },
}
"""Seed 20261125, all obstacles of a single link; rule O in either form."""


def _rates(tests: int, counts: _Counts) -> list[SimulatedRate]:
    return [
        SimulatedRate(rule, state, tests, hits, runs, clopper_pearson_upper(hits, runs, 0.95))
        for rule, states in counts.items()
        for state, (hits, runs) in states.items()
    ]


RATES = (*_rates(4, _FOUR), *_rates(LOW, _ONE))


def rates_of(rule: Rule | None, tests: float) -> tuple[SimulatedRate, ...]:
    """The rates to quote: of the rule that spoke, or of both, for so many tests an evening.

    Between the simulated schedules the smaller one is quoted, whose rates are the worse ones.
    """
    schedule = 4 if tests >= 4 else LOW
    return tuple(
        one for one in RATES if (rule is None or one.rule is rule) and one.tests == schedule
    )
