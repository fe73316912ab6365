"""Explanations: complete in both languages, and nothing in them but the verdict's numbers."""

import re
from datetime import date, timedelta
from enum import StrEnum
from string import Formatter

import msgspec
import pytest

from collector.audit.capacity import Layer
from collector.audit.daily import Direction
from collector.audit.decision import Cause, Lack, Rule
from collector.audit.diurnal import Elevation
from collector.audit.findings import (
    Alarm,
    Finding,
    Obstacle,
    Pending,
    Rebuttal,
    Rejection,
    Verdict,
)
from collector.audit.gates import Gate, Shown
from collector.audit.phrases import PHRASES, Language
from collector.audit.rates import State
from collector.audit.shaping import Shape
from collector.audit.stability import Steadiness, stability
from collector.audit.together import Order, Repeat, Sharing, together
from collector.audit.words import explain, summary
from tests.collector.audit.days import UNTIL, rows, verdict

KINDS: dict[str, type[StrEnum]] = {
    "direction": Direction,
    "layer": Layer,
    "finding": Finding,
    "cause": Cause,
    "rule": Rule,
    "pending": Pending,
    "obstacle": Obstacle,
    "lack": Lack,
    "gate": Gate,
    "shown": Shown,
    "alarm": Alarm,
    "shape": Shape,
    "steadiness": Steadiness,
    "sharing": Sharing,
    "state": State,
    "rejection": Rejection,
}


@pytest.mark.parametrize("language", Language)
@pytest.mark.parametrize("kind", KINDS)
def test_every_member_of_a_closed_set_has_its_words(kind: str, language: Language) -> None:
    missing = [one for one in KINDS[kind] if f"{kind}.{one.value}" not in PHRASES[language]]
    assert missing == []


def places(text: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(text) if name}


def test_both_languages_say_the_same_with_the_same_numbers() -> None:
    english, indonesian = PHRASES[Language.EN], PHRASES[Language.ID]
    assert english.keys() == indonesian.keys()
    for key, text in english.items():
        assert places(text) == places(indonesian[key]), key


def lower(day: int) -> float:
    return 0.75 + day % 7 / 1000


def full_verdict() -> Verdict:
    orders = (Order.ALONE_FIRST, Order.TOGETHER_FIRST)
    repeats = [Repeat(orders[at % 2], (20.0,) * 2, (19.0,) * 2, (10.0,) * 2) for at in range(10)]
    return verdict(
        rows(84, lower),
        stability=stability([0] * 9, 30),
        together=together(repeats),
        elevation=Elevation(100, 40, 100, 1),
        tickets=(UNTIL - timedelta(days=1),),
    )


@pytest.mark.parametrize("language", Language)
def test_an_explanation_names_finding_rule_and_numbers(language: Language) -> None:
    found = full_verdict()
    text = explain(found, language)
    comma = "," if language is Language.ID else "."
    for part in (
        PHRASES[language]["finding.not_dedicated"],
        PHRASES[language]["rule.v2"],
        f"2{comma}0",
        f"75{comma}3 %",
        found.input_sha256,
        "84",
        "2026-06-30",
        PHRASES[language]["fact.ticket"],
        PHRASES[language]["assumption"],
    ):
        assert part in text, part
    assert text.count("\n  2026-") == 84
    assert not re.search(r"[{}]|\bNone\b|\bnan\b", text)
    wrong_sign = r"\d\.\d" if language is Language.ID else r"\d,\d"
    assert not re.search(wrong_sign, text.replace("1.2 x", "").replace("v2.", ""))


@pytest.mark.parametrize("language", Language)
def test_a_preliminary_finding_says_so_first(language: Language) -> None:
    lines = summary(verdict(rows(84, lower)), language).splitlines()
    assert lines[1].startswith(PHRASES[language]["preliminary"].split(",")[0])
    final = verdict(rows(84, lower), rebuttal=Rebuttal(date(2026, 1, 1)))
    assert PHRASES[language]["preliminary"].split(",")[0] not in summary(final, language)


@pytest.mark.parametrize("language", Language)
def test_what_the_provider_was_given_and_answered_is_told(language: Language) -> None:
    objected = Rebuttal(date(2026, 6, 3), objection_open=True, answered=date(2026, 6, 9))
    settled = Rebuttal(date(2026, 6, 3), answered=date(2026, 6, 9))
    for rebuttal, key in ((objected, "objection"), (settled, "closed")):
        text = summary(verdict(rows(84, lower), rebuttal=rebuttal), language)
        assert PHRASES[language]["rebuttal.delivered"].format(day="2026-06-03") in text
        said = PHRASES[language][f"rebuttal.{key}"]
        assert PHRASES[language]["rebuttal.answered"].format(day="2026-06-09", said=said) in text
        assert explain(verdict(rows(84, lower), rebuttal=rebuttal), language).startswith(
            "\n".join(text.splitlines()[:2])
        )
    unheard = summary(verdict(rows(84, lower)), language)
    assert PHRASES[language]["rebuttal.delivered"].split("{")[0] not in unheard


def test_insufficient_evidence_says_what_is_missing() -> None:
    text = summary(verdict(rows(10, lower)), Language.EN)
    assert "EVIDENCE INSUFFICIENT" in text
    assert "valid days (2026-06-03 to 2026-06-30): FAILS, 10 of 20 needed" in text
    assert "Not shown to be dedicated" in text
    assert "WATCH" in text
    assert "EVIDENCE INSUFFICIENT" in explain(verdict([]), Language.EN)


def test_reasons_of_others_are_told_as_they_told_them() -> None:
    tests = rows(84, lower)
    tests[0] = msgspec.structs.replace(tests[0], valid=False, reason="SKIPPED_BUSY {x}")
    tests[1] = msgspec.structs.replace(tests[1], valid=False)
    text = explain(verdict(tests), Language.ID)
    assert "1 x SKIPPED_BUSY {x}" in text
    assert "1 x tidak sah, tanpa alasan" in text
