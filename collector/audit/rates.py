"""How often each rule was wrong, and right, on simulated links: `bench/montecarlo.py --full`.

Quoted with every verdict. A link of the simulation had 4 peak and 4 off-peak tests a day; gates,
anchors and other links were not simulated, so real verdicts are rarer than these.
"""

from enum import StrEnum

import msgspec

from collector.audit.rules import Rule


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


INNOCENT = (State.CLEAN, State.BUSY, State.WHOLE_DAY, State.EVENING, State.EVENING_09)
"""States with 5 % of bad days or fewer."""


class SimulatedRate(msgspec.Struct, frozen=True):
    """Links found not dedicated, of so many simulated."""

    rule: Rule
    state: State
    accused: int
    runs: int
    upper: float
    """95 % upper bound of the rate."""


RATES: tuple[SimulatedRate, ...] = ()


def rates_of(rule: Rule | None) -> tuple[SimulatedRate, ...]:
    """The rates to quote: of the rule that spoke, or of both."""
    return tuple(one for one in RATES if rule is None or one.rule is rule)
