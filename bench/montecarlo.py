"""Simulated links before the decision rules: how often is an innocent one accused?

    python bench/montecarlo.py [--full] [--only PART ...] [--seed N]

Reproduces the tables that rule v2 and rule O were tuned on, with the functions that decide in
production (collector.audit), and adds states that were not in them. Each line shows the table's
figure, ours, the 95 % interval of ours (Clopper-Pearson) and whether the two counts can come from
one rate (Fisher's exact test, p > 0.001). Without --full a tenth of the runs are made.

The tables name each state by its effect, not by its noise. Where the noise matters it is set so
that the named effect comes out: see `LINKS`.
"""

import argparse
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date, timedelta

import msgspec
import numpy as np
from scipy import stats

from collector.audit import daily, decision
from collector.audit.capacity import Layer, Promise
from collector.audit.daily import Daily, Day, Direction, Test
from collector.audit.decision import Cause, Lack
from collector.audit.dedicated import audit
from collector.audit.findings import (
    Case,
    Finding,
    Look,
)
from collector.audit.gates import Circumstances, Shown
from collector.audit.noise import noise, too_noisy
from collector.audit.rates import RATES, State
from collector.audit.shaping import Bucket, Burst, Shape, burst, shaping
from collector.audit.statistics import (
    binomial_tail,
    clopper_pearson_lower,
    clopper_pearson_upper,
    hodges_lehmann,
    wilcoxon,
)

UNTIL = date(2026, 7, 1)
TESTS = 4


# --- links


@dataclass(frozen=True)
class Link:
    """A simulated link: attainments are normal around a level, cut at 0 and 1.05."""

    level: float = 0.97
    noise: float = 0.02
    """Standard deviation of a test."""
    evening_drift: float = 0.0
    """Standard deviation of what all peak tests of a day share."""
    peak_less: float = 0.0
    """How much lower every evening lies, as a share."""
    all_less: float = 0.0
    bad_rate: float = 0.0
    """Share of days with an incident; its days follow a two-state Markov chain."""
    bad_correlation: float = 0.0
    """Lag-1 correlation of that chain."""
    bad_less: float = 0.22
    whole_day: bool = False
    tests: int = TESTS
    """Peak tests a day, and as many off-peak."""

    def days(self, count: int, rng: np.random.Generator) -> list[Day]:
        bad = markov(self.bad_rate, self.bad_correlation, (1, count), rng)[0]
        drift = rng.normal(0, self.evening_drift, count) if self.evening_drift else np.zeros(count)
        least = (1 - self.all_less) * (1 - self.bad_less * (bad & self.whole_day))
        less = (1 - self.peak_less) * (1 - self.all_less) * (1 - self.bad_less * bad)
        peak = self.level * less[:, None] + drift[:, None]
        off = (self.level * least)[:, None]
        noise = rng.normal(0, self.noise, (2, count, self.tests))
        evening = np.clip(peak + noise[0], 0, 1.05).tolist()
        rest = np.clip(off + noise[1], 0, 1.05).tolist()
        first = UNTIL - timedelta(days=count)
        return [
            Day(first + timedelta(days=at), evening[at], rest[at], (), self.tests)
            for at in range(count)
        ]


def markov(
    rate: float, correlation: float, shape: tuple[int, int], rng: np.random.Generator
) -> np.ndarray:
    """Stationary two-state chains, one a row."""
    draws = rng.random(shape)
    flags = np.empty(shape, dtype=bool)
    flags[:, 0] = draws[:, 0] < rate
    stay, begin = rate + correlation * (1 - rate), rate * (1 - correlation)
    for at in range(1, shape[1]):
        flags[:, at] = draws[:, at] < np.where(flags[:, at - 1], stay, begin)
    return flags


INCIDENTS = Link(bad_rate=0.05)
LINKS = {
    "clean": Link(),
    # Noise: so that 0.74 of the windows acquit.
    "busy": Link(noise=0.068),
    "whole-day 5 %, corr 0": replace(INCIDENTS, whole_day=True),
    "whole-day 5 %, corr .5": replace(INCIDENTS, whole_day=True, bad_correlation=0.5),
    "whole-day 5 %, corr .8": replace(INCIDENTS, whole_day=True, bad_correlation=0.8),
    "evenings 5 %, corr 0": INCIDENTS,
    "evenings 5 %, corr .5": replace(INCIDENTS, bad_correlation=0.5),
    "evenings 5 %, corr .8": replace(INCIDENTS, bad_correlation=0.8),
    "evenings 5 %, corr .9": replace(INCIDENTS, bad_correlation=0.9),
    # Drift: so that 8.9 % of the days are bad with evenings 4.2 points lower.
    "borderline": Link(peak_less=0.042 / 0.97, evening_drift=0.0178),
    "one evening in four -22 %": Link(bad_rate=0.25),
    "half of the evenings -22 %": Link(bad_rate=0.5),
    "peak -12 %": Link(peak_less=0.12),
    "peak -20 %": Link(peak_less=0.20),
    "flat 80 %": Link(all_less=0.20),
}


STATES = {
    State.CLEAN: "clean",
    State.BUSY: "busy",
    State.WHOLE_DAY: "whole-day 5 %, corr .8",
    State.EVENING: "evenings 5 %, corr .8",
    State.EVENING_09: "evenings 5 %, corr .9",
    State.BORDERLINE: "borderline",
    State.QUARTER_EVENINGS: "one evening in four -22 %",
    State.HALF_EVENINGS: "half of the evenings -22 %",
    State.PEAK_20: "peak -20 %",
    State.FLAT_80: "flat 80 %",
}
"""Which link stands for a state that verdicts quote (collector/audit/rates.py)."""


# --- what is decided of one link alone, with all gates open


@dataclass(frozen=True)
class Alone:
    """Decisions of one link as its own family: BH and BY then leave p as it is."""

    by_windows: Cause | None
    by_quarter: Cause | None
    lacks: tuple[Lack, ...]


def judged(days: list[Day], minimum: int = daily.MINIMUM_PEAK) -> dict[date, Daily]:
    read = ((day.date, daily.judge(day, minimum)) for day in days)
    return {when: daily for when, daily in read if daily is not None}


def blocked(span: decision.Span, cause: Cause, rule: decision.Rule) -> bool:
    """Whether a single link's days forbid the accusation: persistence, noise."""
    correlation = decision.persistence(span, cause, rule)
    if correlation is not None and correlation > decision.PERSISTENCE:
        return True
    return too_noisy(rule, cause, noise(span))


def by_windows(days: dict[date, Daily], *, gated: bool) -> Cause | None:
    """Rule v2 on the last 56 days."""
    before = UNTIL - timedelta(days=decision.WINDOW)
    newest = decision.window(decision.span(days, UNTIL, decision.WINDOW), UNTIL)
    if not newest.causes or newest.p_link > decision.Q_WINDOWS:
        return None
    previous = decision.window(decision.span(days, before, decision.WINDOW), before)
    both = decision.span(days, UNTIL, 2 * decision.WINDOW)
    for cause in decision.both_windows(newest, previous):
        if not (gated and blocked(both, cause, decision.Rule.V2)):
            return cause
    return None


def by_quarter(days: dict[date, Daily], *, gated: bool) -> Cause | None:
    """Rule O on the last 84 days."""
    span = decision.span(days, UNTIL, decision.QUARTER)
    quarter = decision.quarter(span, UNTIL)
    for cause in quarter.causes:
        stopped = gated and blocked(span, cause, decision.Rule.O)
        if quarter.p(cause) <= decision.Q_QUARTER and not stopped:
            return cause
    return None


def acquitted(days: dict[date, Daily], seed: int) -> bool:
    """Whether the last 28 days show the link dedicated."""
    span = decision.span(days, UNTIL, decision.WINDOW)
    return not decision.lacks(decision.window(span, UNTIL), decision.bounds(span, seed))


def alone(days: list[Day], seed: int) -> Alone:
    """All three decisions, as `audit` takes them for a single link with all gates held."""
    read = judged(days)
    span = decision.span(read, UNTIL, decision.WINDOW)
    return Alone(
        by_windows(read, gated=True),
        by_quarter(read, gated=True),
        decision.lacks(decision.window(span, UNTIL), decision.bounds(span, seed)),
    )


# --- tables


@dataclass(frozen=True)
class Count:
    """So many of so many."""

    hits: int
    runs: int
    rounding: int = 0
    """Hits either way, where a table was rounded."""

    def __str__(self) -> str:
        low = clopper_pearson_lower(self.hits, self.runs, 0.975)
        high = clopper_pearson_upper(self.hits, self.runs, 0.975)
        rate = self.hits / self.runs
        return f"{self.hits:>6}/{self.runs:<6} {rate:<8.3g} [{low:.2g}, {high:.2g}]"


def told(rate: float | None, runs: int) -> Count | None:
    """A figure of the tables (three digits from 0.1 on, else two) as a count, None for none."""
    if rate is None:
        return None
    digits = 3 if rate >= 0.1 else 2
    half_unit = 0.5 * 10.0 ** (math.floor(math.log10(rate)) - digits + 1) if rate else 0.0
    return Count(round(rate * runs), runs, round(half_unit * runs))


def agree(table: Count, ours: Count) -> bool:
    """Whether one rate can have made both counts."""
    nearest = min(
        (table.hits - table.rounding, table.hits, min(table.runs, table.hits + table.rounding)),
        key=lambda hits: abs(hits / table.runs - ours.hits / ours.runs),
    )
    rows = [[nearest, table.runs - nearest], [ours.hits, ours.runs - ours.hits]]
    return float(stats.fisher_exact(rows).pvalue) > 0.001


class Report:
    """Prints lines and keeps count of those that disagree."""

    def __init__(self) -> None:
        self.apart = 0

    def line(self, name: str, table: Count | None, ours: Count) -> None:
        if table is None:
            print(f"  {name:<52} {'':<16} {ours}")
            return
        same = agree(table, ours)
        self.apart += not same
        figure = f"{table.hits}/{table.runs}"
        print(f"  {name:<52} {figure:<16} {ours}  {'agrees' if same else 'APART'}", flush=True)


# --- parts

V2_TABLE: dict[str, tuple[int, int | None, float | None]] = {
    "clean": (2000, 0, 0.999),
    "busy": (1000, 0, 0.738),
    "whole-day 5 %, corr 0": (2000, 0, 0.568),
    "whole-day 5 %, corr .5": (2000, 0, 0.647),
    "whole-day 5 %, corr .8": (2000, 2, 0.764),
    "evenings 5 %, corr .5": (2000, 1, 0.662),
    "evenings 5 %, corr .8": (2000, 1, 0.770),
    "borderline": (1000, 0, 0.083),
    "one evening in four -22 %": (500, 75, 0.006),
    "half of the evenings -22 %": (500, 472, 0.0),
    "peak -12 %": (300, 300, 0.0),
    "peak -20 %": (300, 300, 0.0),
    "flat 80 %": (300, 300, 0.0),
    "evenings 5 %, corr 0": (2000, None, None),
    "evenings 5 %, corr .9": (2000, None, None),
}
"""Section 5.4: runs, NOT_DEDICATED, share found DEDICATED in the second window."""


MORE = 10
"""Times as many links as the table had, where none or few are to be accused."""


def part_v2(report: Report, seed: int, scale: float) -> None:
    print("\nRule v2, two windows of 28 days, one link: found NOT_DEDICATED")
    print("(as in the table; then with persistence and noise as obstacles; then found DEDICATED)")
    for at, (name, (runs, accused, cleared)) in enumerate(V2_TABLE.items()):
        rng = np.random.default_rng([seed, 1, at])
        acquittals = max(20, round(runs * scale))
        many = acquittals * (MORE if accused is None or accused < 10 else 1)
        bare = gated = free = 0
        for run in range(many):
            days = judged(LINKS[name].days(2 * decision.WINDOW, rng))
            bare += by_windows(days, gated=False) is not None
            gated += by_windows(days, gated=True) is not None
            free += run < acquittals and acquitted(days, run)
        table = None if accused is None else Count(accused, runs)
        report.line(name, table, Count(bare, many))
        report.line("  as a verdict takes it", None, Count(gated, many))
        report.line("  DEDICATED", told(cleared, runs), Count(free, acquittals))


O_TABLE: dict[str, tuple[int, float | None, float | None]] = {
    "clean": (20_000, 0.0, 0.0),
    "busy": (20_000, 0.0, 0.0),
    "evenings 5 %, corr 0": (20_000, 1.5e-4, 0.0),
    "evenings 5 %, corr .5": (20_000, 5e-5, 0.0),
    "evenings 5 %, corr .8": (20_000, 1e-4, 0.0),
    "evenings 5 %, corr .9": (20_000, 6.5e-4, 3.5e-4),
    "whole-day 5 %, corr 0": (20_000, 0.0, 0.0),
    "whole-day 5 %, corr .5": (20_000, 0.0, 0.0),
    "whole-day 5 %, corr .8": (20_000, 0.0, 0.0),
    "borderline": (20_000, 7.5e-3, 2.2e-3),
    "one evening in four -22 %": (1000, 0.79, 0.49),
    "half of the evenings -22 %": (1000, 1.0, 0.995),
    "peak -12 %": (1000, 1.0, 1.0),
    "peak -20 %": (1000, 1.0, 1.0),
    "flat 80 %": (1000, None, None),
}
"""Section 5.7: runs, o >= 10 with a share of 0.15, o >= 11."""


def part_o(report: Report, seed: int, scale: float) -> None:
    print("\nRule O, 12 weeks, one link, peak-only form: o >= 10 and share >= .15 (CONTENDED)")
    print("(then o >= 11; then either form, as a verdict takes it;")
    print(" then o >= 8, which BH at q = .01 would accept for a link audited alone)")
    for at, (name, (runs, ten, eleven)) in enumerate(O_TABLE.items()):
        rng = np.random.default_rng([seed, 2, at])
        many = max(20, round(runs * scale))
        hits = [0, 0, 0, 0]
        for _ in range(many):
            days = judged(LINKS[name].days(decision.QUARTER, rng))
            quarter = decision.quarter(decision.span(days, UNTIL, decision.QUARTER), UNTIL)
            weeks = len(quarter.peak_only_weeks)
            share = quarter.peak_only_days >= decision.OCCUPIED_SHARE * quarter.valid_days
            hits[0] += Cause.CONTENDED in quarter.causes
            hits[1] += weeks >= 11
            hits[2] += by_quarter(days, gated=True) is not None
            hits[3] += weeks >= 8 and share
        report.line(name, told(ten, runs), Count(hits[0], many))
        report.line("  o >= 11", told(eleven, runs), Count(hits[1], many))
        report.line("  either form, as a verdict takes it", None, Count(hits[2], many))
        report.line("  o >= 8, share >= .15", None, Count(hits[3], many))


FIRST = (
    # Link, days, p_link below 1e-3, p_link below 2e-6 (None: the table has none)
    ("20 % drop, 1 + 1 tests", Link(peak_less=0.20, noise=0.10, tests=1), 10, 1.0, 0.97),
    ("20 % drop, 1 + 1 tests", Link(peak_less=0.20, noise=0.10, tests=1), 14, 1.0, 0.997),
    # Exactly 0.623 and 0.172: P(Bin(10, .5) >= 5) and >= 7; the table's 0.11 is too low.
    ("half of the days -25 %", Link(bad_rate=0.5, bad_less=0.25), 10, 0.60, 0.11),
    ("half of the days -25 %", Link(bad_rate=0.5, bad_less=0.25), 14, 0.88, 0.34),
    ("half of the days -25 %", Link(bad_rate=0.5, bad_less=0.25), 21, 0.97, 0.74),
    ("half of the days -25 %", Link(bad_rate=0.5, bad_less=0.25), 28, 1.0, 0.95),
    ("clean", LINKS["clean"], 28, 0.0, None),
    ("busy", LINKS["busy"], 28, 0.0, None),
    ("borderline", LINKS["borderline"], 14, 1 / 300, 0.0),
    ("borderline", LINKS["borderline"], 28, 4 / 300, 0.0),
)
"""Section 5.4, 300 runs each."""


def part_first(report: Report, seed: int, scale: float) -> None:
    print("\nRule v1, A or B doubled, one window, independent days: p < 1e-3, then p < 2e-6")
    runs = max(30, round(300 * scale))
    for at, (name, link, count, usual, hard) in enumerate(FIRST):
        rng = np.random.default_rng([seed, 7, at])
        p_values = []
        for _ in range(runs):
            read = [daily.judge(day, 1) for day in link.days(count, rng)]
            p_values.append(decision.window(read, UNTIL).p_link)
        for rate, below in ((usual, 1e-3), (hard, 2e-6)):
            hits = sum(p < below for p in p_values)
            report.line(f"{name}, {count} days, p < {below:g}", told(rate, 300), Count(hits, runs))


def counted(rule: decision.Rule, link: Link, runs: int, rng: np.random.Generator) -> Count:
    """How often a rule convicts, as a verdict of a single link takes it."""
    decide = by_windows if rule is decision.Rule.V2 else by_quarter
    minimum = min(link.tests, daily.MINIMUM_PEAK)
    hits = 0
    for _ in range(runs):
        days = judged(link.days(decision.QUARTER, rng), minimum)
        hits += decide(days, gated=True) is not None
    return Count(hits, runs)


def part_rates(report: Report, seed: int, scale: float) -> None:
    print("\nWhat verdicts quote (collector/audit/rates.py), and now; 4 + 4 and 1 + 1 tests a day")
    for one in RATES:
        rng = np.random.default_rng([seed, 8, list(STATES).index(one.state), one.tests])
        link = replace(LINKS[STATES[one.state]], tests=one.tests)
        runs = max(40, round(min(one.runs, 5000) * scale))
        name = f"{one.rule}, {one.tests} + {one.tests}, {STATES[one.state]}"
        report.line(name, Count(one.accused, one.runs), counted(one.rule, link, runs, rng))


CORRELATIONS = (0.0, 0.3, 0.5, 0.8, 0.9)
CLUSTER_TABLE: dict[str, tuple[float | None, ...]] = {
    "A: p_A < 5e-4, one window": (4.0e-4, 9.3e-3, 2.7e-2, 7.6e-2, None),
    "A e-process E >= 1000": (5.3e-5, 3.8e-3, 1.5e-2, 6.1e-2, None),
    "A + >= 2 bad days in >= 3 weeks": (1.4e-4, 2.4e-3, 5.0e-3, 1.7e-2, None),
    "the same in two windows": (0.0, 5e-6, 3.8e-5, 5.0e-4, 3.3e-3),
    "weekly blocks, >= 6 of 8 weeks": (0.0, 5e-6, 9.0e-5, 1.0e-3, 6.2e-3),
}
"""Section 5.4, 400 000 runs."""
BAD_NEEDED = next(
    x for x in range(29) if binomial_tail(decision.WINDOW, x, decision.BAD_RATE) < decision.TEST_P
)


def spread(flags: np.ndarray) -> np.ndarray:
    """Bad days by week: shape (runs, weeks)."""
    return np.asarray(flags.reshape(len(flags), -1, decision.WEEK).sum(axis=2))


def flagged(flags: np.ndarray) -> np.ndarray:
    """Vectorised: p_A < 5e-4, and two bad days in three of four weeks (28 columns)."""
    weeks = (spread(flags) >= decision.DAYS_IN_WEEK).sum(axis=1)
    return np.asarray((flags.sum(axis=1) >= BAD_NEEDED) & (weeks >= decision.WEEKS_NEEDED))


def wealth(flags: np.ndarray) -> np.ndarray:
    """Vectorised e-process after the last day."""
    bad = flags.sum(axis=1)
    return np.asarray(5.0**bad * (0.75 / 0.95) ** (flags.shape[1] - bad))


def part_clusters(report: Report, seed: int, scale: float) -> None:
    print("\nBad days that cluster (5 % of all, Markov): why one window and test A are not enough")
    runs = max(20_000, round(400_000 * scale))
    for at, correlation in enumerate(CORRELATIONS):
        rng = np.random.default_rng([seed, 3, at])
        flags = markov(0.05, correlation, (runs, 2 * decision.WINDOW), rng)
        first, second = flags[:, : decision.WINDOW], flags[:, decision.WINDOW :]
        weeks = (spread(flags) >= decision.DAYS_IN_WEEK).sum(axis=1)
        found = (
            second.sum(axis=1) >= BAD_NEEDED,
            wealth(second) >= decision.ALARM,
            flagged(second),
            flagged(first) & flagged(second),
            weeks >= 6,
        )
        for (name, row), hits in zip(CLUSTER_TABLE.items(), found, strict=True):
            table = told(row[at], 400_000)
            report.line(f"{name}, corr {correlation:g}", table, Count(int(hits.sum()), runs))


SHIFT_TABLE = {
    (0.02, 0.03): (0.0, 0.0, 0.0),
    (0.05, 0.03): (0.0, 0.0, 1e-3),
    (0.05, 0.08): (2e-4, 0.015, 0.107),
    (0.02, 0.08): (0.0, 3e-4, 0.024),
}
"""Section 5.4: (true delta, standard deviation) at correlations 0, .5, .8; 6 000 runs."""


def part_shifts(report: Report, seed: int, scale: float) -> None:
    print("\nTest B with HL >= 0.10, one window, daily differences AR(1)")
    runs = max(300, round(6000 * scale))
    for at, ((mean, sd), row) in enumerate(SHIFT_TABLE.items()):
        for rate, correlation in zip(row, (0.0, 0.5, 0.8), strict=True):
            rng = np.random.default_rng([seed, 4, at, round(correlation * 10)])
            shocks = rng.normal(0, 1, (runs, decision.WINDOW))
            series = np.empty_like(shocks)
            series[:, 0] = shocks[:, 0]
            for day in range(1, decision.WINDOW):
                fresh = (1 - correlation**2) ** 0.5 * shocks[:, day]
                series[:, day] = correlation * series[:, day - 1] + fresh
            hits = sum(
                hodges_lehmann(one) >= decision.EFFECT
                and wilcoxon([delta - daily.MARGIN for delta in one]).p < decision.TEST_P
                for one in (mean + sd * series).tolist()
            )
            name = f"delta {mean:g}, sd {sd:g}, corr {correlation:g}"
            report.line(name, told(rate, 6000), Count(hits, runs))


# --- whole verdicts from rows

PROMISE = Promise(100, Layer.IP)
HELD = Circumstances(Shown.HELD, Shown.HELD, Shown.HELD, Shown.HELD)
PEAK_HOURS, OFF_HOURS = (19, 20, 21, 22), (2, 4, 9, 14)
Spoil = Callable[[list[Test], np.random.Generator], list[Test]]


def rows(days: list[Day], rng: np.random.Generator) -> list[Test]:
    """Days as rows of tests, WIB, a random minute in each slot."""
    made = []
    for day in days:
        for hours, values in ((PEAK_HOURS, day.peak), (OFF_HOURS, day.off_peak)):
            for hour, value in zip(hours, values, strict=True):
                second = int(rng.integers(3600)) + (hour - 7) * 3600
                start = (day.date.toordinal() - 719_163) * 86_400 + second
                made.append(Test(start * 10**9, Direction.DOWN, 100.0, float(value) * 100, 0.0))
    return made


def case(tests: list[Test], long_runs: tuple[Burst | None, ...] = ()) -> Case:
    return Case(
        "link",
        Direction.DOWN,
        "WIB",
        PROMISE,
        tuple(tests),
        circumstances=HELD,
        long_runs=long_runs,
    )


def as_is(tests: list[Test], rng: np.random.Generator) -> list[Test]:
    return tests


def users(tests: list[Test], rng: np.random.Generator) -> list[Test]:
    """Users take up to 90 % meanwhile; counters tell it with 2 % of error."""
    return [
        msgspec.structs.replace(
            one,
            achieved_mbps=(one.achieved_mbps or 0.0) * (1 - share),
            cross_mbps=(one.achieved_mbps or 0.0) * share * float(rng.normal(1, 0.02)),
        )
        for one, share in zip(tests, (rng.random(len(tests)) * 0.9).tolist(), strict=True)
    ]


def unseen_users(tests: list[Test], rng: np.random.Generator) -> list[Test]:
    """The same, but nobody counted them."""
    return [msgspec.structs.replace(one, cross_mbps=None) for one in users(tests, rng)]


def missing(tests: list[Test], rng: np.random.Generator) -> list[Test]:
    """A fifth of the days is missing, half of it in one hole."""
    everyone = sorted({one.start_ns // (86_400 * 10**9) for one in tests})
    hole = int(rng.integers(len(everyone) - len(everyone) // 10))
    gone = set(everyone[hole : hole + len(everyone) // 10])
    gone |= {day for day in everyone if rng.random() < 0.1}
    return [one for one in tests if one.start_ns // (86_400 * 10**9) not in gone]


def bad_clock(tests: list[Test], rng: np.random.Generator) -> list[Test]:
    """On every tenth day all tests are stamped up to 12 hours away, and nobody noticed."""
    shift = {
        day: int(rng.integers(-43_200, 43_200)) * 10**9
        for day in {one.start_ns // (86_400 * 10**9) for one in tests}
        if rng.random() < 0.1
    }
    return [
        msgspec.structs.replace(
            one, start_ns=one.start_ns + shift.get(one.start_ns // (86_400 * 10**9), 0)
        )
        for one in tests
    ]


SPOILS: dict[str, Spoil] = {
    "as it is": as_is,
    "busy users, counted": users,
    "busy users, not counted": unseen_users,
    "missing days": missing,
    "clock trouble": bad_clock,
}


def part_rows(report: Report, seed: int, scale: float) -> None:
    print("\nWhole verdicts from rows (12 weeks): NOT_DEDICATED, then DEDICATED")
    many = max(20, round(300 * scale))
    for at, name in enumerate(("clean", "whole-day 5 %, corr .8", "peak -20 %", "flat 80 %")):
        for spoil_at, (what, spoil) in enumerate(SPOILS.items()):
            rng = np.random.default_rng([seed, 5, at, spoil_at])
            found = []
            for _ in range(many):
                tests = spoil(rows(LINKS[name].days(decision.QUARTER, rng), rng), rng)
                found.append(audit([case(tests)], Look(UNTIL, UNTIL))[0].finding)
            for finding in (Finding.NOT_DEDICATED, Finding.DEDICATED):
                label = f"{name}, {what}: {finding}"
                report.line(label, None, Count(found.count(finding), many))


def long_run(bucket: Bucket, rng: np.random.Generator, seconds: float = 60) -> list[float]:
    """100-ms bins of a sender that fills the line, 1 % of noise."""
    edges = np.arange(0, seconds + 0.05, 0.1)
    sent = np.array([bucket.delivered_mbit(float(at)) for at in edges])
    return list(np.diff(sent) * 10 * rng.normal(1, 0.01, len(edges) - 1))


SHAPES = {
    "burst 3 s, then 20 of 100": (Bucket(240, 20, 100), Shape.SHAPED_BELOW_CIR),
    "burst 15 s, then 60 of 100": (Bucket(600, 60, 100), Shape.SHAPED_BELOW_CIR),
    "burst 20 s, then 85 of 100": (Bucket(300, 85, 100), Shape.SHAPED_BELOW_CIR),
    "shaper at the CIR, line of 200": (Bucket(500, 97, 200), Shape.SHAPED),
    "no bucket": (Bucket(1e9, 100, 97), Shape.NONE),
}


def part_bursts(report: Report, seed: int, scale: float) -> None:
    print("\nBurst, then throttled: six long runs of 60 s; clean in tests of 10 s")
    print("(shape as it is; found DEDICATED all the same)")
    many = max(5, round(200 * scale))
    audits = max(2, many // 10)
    for at, (name, (bucket, shape)) in enumerate(SHAPES.items()):
        rng = np.random.default_rng([seed, 6, at])
        right = cleared = 0
        for _ in range(many):
            runs = tuple(burst(long_run(bucket, rng)) for _ in range(6))
            right += shaping(runs, PROMISE.expected_mbps).shape is shape
        for _ in range(audits):
            runs = tuple(burst(long_run(bucket, rng)) for _ in range(6))
            tests = rows(LINKS["clean"].days(decision.QUARTER, rng), rng)
            verdict = audit([case(tests, runs)], Look(UNTIL, UNTIL))[0]
            cleared += verdict.finding is Finding.DEDICATED
        report.line(f"{name}: {shape}", None, Count(right, many))
        report.line("  DEDICATED", None, Count(cleared, audits))


PARTS: dict[str, Callable[[Report, int, float], None]] = {
    "first": part_first,
    "clusters": part_clusters,
    "shifts": part_shifts,
    "v2": part_v2,
    "o": part_o,
    "rates": part_rates,
    "rows": part_rows,
    "bursts": part_bursts,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--full", action="store_true", help="as many runs as the tables")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--seed", type=int, default=20261125)
    given = parser.parse_args()
    print(f"seed {given.seed}, {'full' if given.full else 'a tenth of the runs'}")
    report = Report()
    for name in given.only:
        begun = time.perf_counter()
        PARTS[name](report, given.seed, 1.0 if given.full else 0.1)
        print(f"  ({time.perf_counter() - begun:.0f} s)")
    print(f"\n{report.apart} lines apart from the tables")


if __name__ == "__main__":
    main()
