"""The simulation decides as verdicts do, and what verdicts quote is what it counts.

Seeds are fixed: a failure is a change of behaviour and never bad luck.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bench.montecarlo import (
    LINKS,
    STATES,
    UNTIL,
    Count,
    Report,
    agree,
    alone,
    case,
    counted,
    flagged,
    markov,
    part_bursts,
    rows,
    wealth,
)
from collector.audit import decision
from collector.audit.decision import Cause, Rule
from collector.audit.dedicated import audit
from collector.audit.findings import (
    Finding,
    Look,
)
from collector.audit.phrases import Language
from collector.audit.rates import INNOCENT, RATES, State
from collector.audit.words import summary
from tests.collector.audit.days import span

DOCUMENT = Path(__file__).parents[2] / "docs" / "dedicated-method.md"
SIMULATED = {
    "clean",
    "busy",
    "whole-day 5 %, corr .8",
    "evenings 5 %, corr .9",
    "borderline",
    "one evening in four -22 %",
    "half of the evenings -22 %",
    "peak -12 %",
    "flat 80 %",
}


@pytest.mark.parametrize("name", sorted(SIMULATED))
def test_a_link_alone_is_decided_as_its_verdict_is(name: str) -> None:
    for seed in range(3):
        rng = np.random.default_rng([seed, 11])
        days = LINKS[name].days(decision.QUARTER, rng)
        verdict = audit([case(rows(days, rng))], Look(UNTIL, UNTIL))[0]
        short = alone(days, int(verdict.input_sha256[:16], 16))
        assert short.lacks == verdict.lacks
        convicted = {
            one.rule: one.cause for one in reversed(verdict.accusations) if not one.obstacles
        }
        assert convicted.get(Rule.V2) is short.by_windows
        assert convicted.get(Rule.O) is short.by_quarter
        if short.by_windows or short.by_quarter:
            assert verdict.finding is Finding.NOT_DEDICATED
        else:
            expected = Finding.INSUFFICIENT if short.lacks else Finding.DEDICATED
            assert verdict.finding is expected


@pytest.mark.parametrize("correlation", [0.0, 0.8])
def test_many_chains_at_once_are_judged_as_one_by_one(correlation: float) -> None:
    rng = np.random.default_rng(7)
    chains = markov(0.2, correlation, (150, decision.WINDOW), rng)
    figures = [
        decision.window(span([bool(bad) for bad in chain], whole_day=True), UNTIL)
        for chain in chains
    ]
    # The share of 20 % is implied: seven bad days of 28 are a quarter.
    pointed = [Cause.UNDER_PROVISIONED in one.causes for one in figures]
    assert flagged(chains).tolist() == pointed
    assert wealth(chains).tolist() == pytest.approx([one.e_bad for one in figures])
    assert 0 < sum(pointed) < len(pointed)


def test_chains_have_their_rate_and_their_memory() -> None:
    chains = markov(0.05, 0.5, (20_000, 28), np.random.default_rng(1)).astype(float)
    assert chains.mean() == pytest.approx(0.05, abs=0.002)
    assert chains[:, 0].mean() == pytest.approx(0.05, abs=0.006)
    assert np.corrcoef(chains[:, :-1].ravel(), chains[:, 1:].ravel())[0, 1] == pytest.approx(
        0.5, abs=0.02
    )


def test_quoted_rates_are_what_the_rules_do() -> None:
    quoted = {(one.rule, one.state, one.tests) for one in RATES}
    assert quoted == {(rule, state, n) for rule in Rule for state in State for n in (1, 4)}
    for one in RATES:
        link = replace(LINKS[STATES[one.state]], tests=one.tests)
        found = counted(one.rule, link, 30, np.random.default_rng([3, one.tests]))
        assert agree(Count(one.accused, one.runs), found), (one, found)


def test_an_innocent_link_is_hardly_ever_accused() -> None:
    for one in RATES:
        if one.state in INNOCENT:
            # The method's tables: 0 of 2000 (at most 1.5e-3), 3.3e-3 at correlation 0.9.
            most = 3.3e-3 if one.state is State.EVENING_09 else 1.5e-3
            assert one.upper <= most, one
            assert one.runs >= 10_000


def test_token_buckets_are_told_from_dedicated_links(capsys: pytest.CaptureFixture[str]) -> None:
    part_bursts(Report(), seed=1, scale=0.0)
    lines = capsys.readouterr().out.splitlines()
    shaped = [line for line in lines if "shaped" in line or ": none" in line]
    assert len(shaped) == 5 and all("5/5" in line for line in shaped)
    cleared = [line.split()[1] for line in lines if line.startswith("    DEDICATED")]
    assert cleared == ["0/2", "0/2", "0/2", "2/2", "2/2"]


def test_the_documents_example_is_what_the_rules_say() -> None:
    rng = np.random.default_rng(1)
    tests = rows(LINKS["one evening in four -22 %"].days(decision.QUARTER, rng), rng)
    told = summary(audit([case(tests)], Look(UNTIL, UNTIL))[0], Language.EN)
    document = DOCUMENT.read_text()
    for line in told.splitlines():
        assert line in document
