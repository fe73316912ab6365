"""Whole verdicts from rows: what each states, and what stands in its way."""

import random
from datetime import date, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.audit import decision
from collector.audit.daily import Direction, Test
from collector.audit.decision import Cause, Lack, Rule
from collector.audit.dedicated import audit, encode
from collector.audit.findings import (
    Alarm,
    Finding,
    Look,
    Obstacle,
    Pending,
    Rebuttal,
    Rejection,
    Standing,
)
from collector.audit.gates import Circumstances, Gate, Plan, Shown
from collector.audit.phrases import Language
from collector.audit.shaping import Burst, Shape
from collector.audit.words import explain, summary
from tests.collector.audit.days import HELD, LOOK, UNTIL, case, one_test, rows, utc_ns, verdict

HEARD = Rebuttal(UNTIL - timedelta(days=14))


def good(day: int) -> float:
    """Never quite the same."""
    return 0.96 + day % 7 / 1000


def fourth_evening(day: int) -> float:
    """Bad on two evenings of every week."""
    return 0.75 if day % 7 in (1, 4) else good(day)


def every_evening(day: int) -> float:
    return 0.75 + day % 7 / 1000


def test_a_clean_link_is_dedicated() -> None:
    found = verdict(rows(84, good))
    assert (found.finding, found.standing, found.pending) == (
        Finding.DEDICATED,
        Standing.FINAL,
        (),
    )
    assert (found.cause, found.rule, found.lacks, found.alarms) == (None, None, (), ())
    assert (found.shortfall.valid_days, found.shortfall.bad_days) == (84, ())


def test_every_evening_lower_convicts_by_rule_v2() -> None:
    found = verdict(rows(84, every_evening), rebuttal=HEARD)
    assert (found.finding, found.cause, found.rule) == (
        Finding.NOT_DEDICATED,
        Cause.CONTENDED,
        Rule.V2,
    )
    assert found.standing is Standing.FINAL
    assert {one.rule for one in found.accusations} == {Rule.V2, Rule.O}
    assert {one.rule for one in found.rates} == {Rule.V2}


def test_two_windows_are_enough_for_rule_v2() -> None:
    found = verdict(rows(56, every_evening), rebuttal=HEARD)
    assert (found.finding, found.rule) == (Finding.NOT_DEDICATED, Rule.V2)
    by_quarter = [one for one in found.accusations if one.rule is Rule.O]
    assert by_quarter == []


def test_two_evenings_a_week_convict_by_rule_o() -> None:
    # Five of 28 in each window are too few for rule v2, and no week is free of them.
    def evening(day: int) -> float:
        return good(day) if day % 14 == 1 or day % 28 == 11 else fourth_evening(day)

    found = verdict(rows(84, evening), rebuttal=HEARD)
    assert (found.finding, found.cause, found.rule) == (
        Finding.NOT_DEDICATED,
        Cause.CONTENDED,
        Rule.O,
    )
    assert found.newest.causes == ()
    assert {one.rule for one in found.rates} == {Rule.O}


def test_flat_shortage_is_under_provisioned_and_not_contended() -> None:
    tests = [msgspec.structs.replace(one, achieved_mbps=80.0) for one in rows(84, good)]
    found = verdict(tests, rebuttal=HEARD)
    assert (found.finding, found.cause) == (Finding.NOT_DEDICATED, Cause.UNDER_PROVISIONED)
    assert all(one.cause is Cause.UNDER_PROVISIONED for one in found.accusations)
    assert found.accusations[0].persistence is None, "a constant has no correlation"


def test_before_it_is_heard_a_provider_is_accused_in_private() -> None:
    assert verdict(rows(84, every_evening)).pending == (Pending.REBUTTAL,)
    early = Rebuttal(UNTIL - timedelta(days=13))
    found = verdict(rows(84, every_evening), rebuttal=early)
    assert (found.finding, found.standing) == (Finding.NOT_DEDICATED, Standing.PRELIMINARY)
    later = audit([case(rows(84, every_evening), rebuttal=early)], Look(UNTIL, date(2026, 7, 2)))
    assert later[0].standing is Standing.FINAL
    objected = Rebuttal(HEARD.delivered, objection_open=True)
    assert verdict(rows(84, every_evening), rebuttal=objected).pending == (Pending.OBJECTION,)
    answered = Rebuttal(early.delivered, answered=UNTIL)
    found = verdict(rows(84, every_evening), rebuttal=answered)
    assert (found.standing, found.rebuttal) == (Standing.FINAL, answered)


def test_one_window_alone_is_preliminary() -> None:
    found = verdict(rows(28, every_evening), rebuttal=HEARD)
    assert (found.finding, found.watch) == (Finding.INSUFFICIENT, True)
    assert found.pending == (Pending.SECOND_WINDOW,)
    assert Obstacle.ONE_WINDOW in found.accusations[0].obstacles


def test_a_fault_that_was_not_there_before_is_watched() -> None:
    found = verdict(rows(56, lambda day: every_evening(day) if day >= 28 else good(day)))
    assert (found.finding, found.watch) == (Finding.INSUFFICIENT, True)
    assert Obstacle.NOT_REPEATED in found.accusations[0].obstacles
    assert set(found.alarms) >= {Alarm.P_LINK, Alarm.E_BAD_DAYS, Alarm.E_SHIFT, Alarm.RULE_BLOCKED}


def test_v5_9_one_week_of_incident_accuses_nobody() -> None:
    tests = rows(84, lambda day: 0.5 if 64 <= day < 71 else good(day))
    found = verdict(tests, tickets=(UNTIL - timedelta(days=20),))
    assert (found.finding, found.watch, found.accusations) == (Finding.INSUFFICIENT, True, ())
    assert Lack.BAD_DAYS in found.lacks
    bad = found.shortfall.bad_days
    assert len(bad) == 7 and found.shortfall.share == pytest.approx(7 / 84)
    assert [day.date for day in bad if day.ticket] == [UNTIL - timedelta(days=20)]
    assert (bad[0].median, bad[0].least, bad[0].best, bad[0].tests) == (0.5, 0.5, 0.5, 4)


def test_days_that_last_cannot_be_counted() -> None:
    # Half of each window in one piece: significant and spread, but persistent.
    found = verdict(rows(84, lambda day: 0.7 if day % 28 >= 10 else good(day)))
    assert found.finding is Finding.INSUFFICIENT
    by_windows = [one for one in found.accusations if one.rule is Rule.V2]
    assert by_windows and all(Obstacle.PERSISTENT in one.obstacles for one in by_windows)
    assert by_windows[0].persistence is not None and by_windows[0].persistence > 0.8


@pytest.mark.parametrize("gate", ["box", "anchors", "site", "clock"])
def test_what_nobody_has_shown_keeps_a_finding_preliminary(gate: str) -> None:
    for evening in (good, every_evening):
        open_gate = msgspec.structs.replace(HELD, **{gate: Shown.NOT_SHOWN})
        found = verdict(rows(84, evening), circumstances=open_gate, rebuttal=HEARD)
        assert found.pending == (Pending.GATES,)
        assert found.finding is not Finding.INSUFFICIENT
        failed = msgspec.structs.replace(HELD, **{gate: Shown.FAILED})
        found = verdict(rows(84, evening), circumstances=failed, rebuttal=HEARD)
        assert found.finding is Finding.INSUFFICIENT
        assert found.family.windows_bh == 1.0, "it brings no evidence into the family"


def failed_gates(tests: list[Test], **fields: Any) -> set[Gate]:
    found = verdict(tests, **fields)
    assert found.finding is Finding.INSUFFICIENT
    newest = [one for one in found.gates if one.last == LOOK.until - timedelta(days=1)]
    return {one.gate for one in newest if one.shown is Shown.FAILED}


def test_too_few_days() -> None:
    tests = [one for one in rows(84, every_evening) if one.start_ns // (86_400 * 10**9) % 3]
    assert failed_gates(tests) == {Gate.VALID_DAYS}


def test_too_few_of_the_tests_that_were_due() -> None:
    assert failed_gates(rows(84, every_evening), plan=Plan(peak_per_day=6)) == {
        Gate.SCHEDULED_TESTS
    }
    skipped = [
        Test(one.start_ns + 10**9, Direction.DOWN, 100.0, None, valid=False, reason="BUSY")
        for one in rows(84, good)
    ]
    assert failed_gates([*rows(84, good), *skipped]) == {Gate.SCHEDULED_TESTS}


def test_unknown_traffic_of_users_accuses_nobody() -> None:
    unknown = [msgspec.structs.replace(one, cross_mbps=None) for one in rows(84, every_evening)]
    found = verdict(unknown)
    assert found.finding is Finding.INSUFFICIENT
    assert found.shortfall.valid_days == 0
    assert found.accusations == ()
    cleared = verdict([msgspec.structs.replace(one, cross_mbps=None) for one in rows(84, good)])
    assert cleared.shortfall.valid_days == 84
    assert (cleared.used.lower_bounds, cleared.used.off_peak) == (336, 0)
    assert Gate.CROSS_TRAFFIC in {one.gate for one in cleared.gates if one.shown is Shown.FAILED}


def by_anchor(day_a: float, day_b: float) -> list[Test]:
    """Every second test to b; evenings lower by what each anchor sees."""
    tests = []
    for at, one in enumerate(rows(84, every_evening)):
        name, y = ("a", day_a) if at % 2 else ("b", day_b)
        evening = one.achieved_mbps != 97.0
        rate = y * 100 if evening else 97.0
        tests.append(msgspec.structs.replace(one, anchor=name, achieved_mbps=rate))
    return tests


def test_far_ends_have_to_agree() -> None:
    agreed = verdict(by_anchor(0.75, 0.8), rebuttal=HEARD)
    assert (agreed.finding, agreed.standing) == (Finding.NOT_DEDICATED, Standing.FINAL)
    found = verdict(by_anchor(0.5, 0.98), rebuttal=HEARD)
    assert found.finding is Finding.INSUFFICIENT
    assert found.accusations[0].anchors == ("b",)
    assert Obstacle.ANCHORS_DISAGREE in found.accusations[0].obstacles


def test_one_far_end_cannot_clear_itself() -> None:
    tests = [msgspec.structs.replace(one, anchor="a") for one in rows(84, every_evening)]
    assert verdict(tests, rebuttal=HEARD).pending == (Pending.GATES,)


def test_many_links_make_chance_of_one() -> None:
    evening = [one for one in rows(84, lambda day: 0.75 if day % 7 in (1, 4) else good(day))]
    alone = audit([case(evening, rebuttal=HEARD)], LOOK)[0]
    assert (alone.finding, alone.newest.bad_days) == (Finding.NOT_DEDICATED, 8)
    crowd = [case([], link=f"c{at}") for at in range(19)]
    found = audit([case(evening, rebuttal=HEARD), *crowd], LOOK)[0]
    assert found.family.links == 20
    # 20 x 2 x 4.92e-5 is above 0.001; rule O still sees 12 weeks of 12.
    by_windows = [one for one in found.accusations if one.rule is Rule.V2]
    assert by_windows[0].obstacles == (Obstacle.FAMILY,)
    assert (found.finding, found.rule) == (Finding.NOT_DEDICATED, Rule.O)


def test_links_that_depend_on_each_other_make_it_too() -> None:
    evening = rows(56, lambda day: 0.75 if day % 7 in (1, 4) else good(day))
    crowd = [case([], link=f"c{at}") for at in range(7)]
    found = audit([case(evening), *crowd], LOOK)[0]
    assert found.family.windows_bh < 0.001 < found.family.windows_by
    assert found.accusations[0].obstacles == (Obstacle.DEPENDENT_FAMILY,)
    assert (found.finding, found.watch) == (Finding.INSUFFICIENT, True)


def test_a_bucket_below_the_cir_cannot_be_acquitted() -> None:
    runs = (Burst(100.0, 60.0, 15.0, 187_500_000, 75_000_000),) * 5
    found = verdict(rows(84, good), long_runs=runs)
    assert found.shaping.shape is Shape.SHAPED_BELOW_CIR
    assert (found.finding, found.lacks) == (Finding.INSUFFICIENT, ())
    at_cir = (Burst(200.0, 97.0, 5.0, 125_000_000, 64_375_000),) * 5
    assert verdict(rows(84, good), long_runs=at_cir).finding is Finding.DEDICATED


def test_every_test_is_used_or_rejected_with_its_reason() -> None:
    tests = [
        *rows(84, good),
        Test(utc_ns(date(2026, 6, 1), 20.5), Direction.UP, 100.0, 90.0),
        Test(utc_ns(date(2026, 6, 1), 20.5), Direction.DOWN, 100.0, None, valid=False),
        Test(utc_ns(date(2026, 6, 2), 20.5), Direction.DOWN, 100.0, 9.0, None, False, "LAN busy"),
        one_test(utc_ns(date(2026, 6, 1), 17)),
        one_test(utc_ns(date(2026, 6, 1), 3), cross_mbps=None),
        one_test(utc_ns(UNTIL, 20)),
    ]
    used = verdict(tests).used
    assert (used.peak, used.off_peak, used.lower_bounds) == (336, 336, 0)
    assert [one.reason for one in used.rejected] == [
        Rejection.UNCOMPARED,
        Rejection.OTHER_HOURS,
        Rejection.UNTOLD,
        Rejection.OTHER_DIRECTION,
        "LAN busy",
        Rejection.OUTSIDE,
    ]
    assert used.peak + used.off_peak + used.lower_bounds + len(used.rejected) == len(tests)


def test_the_same_input_gives_the_same_bytes() -> None:
    drawn = random.Random(5)
    tests = rows(84, lambda day: 0.93 + drawn.gauss(0, 0.03))
    first = audit([case(tests)], LOOK)
    drawn.shuffle(tests)
    again = audit([case(tests)], LOOK)
    assert encode(first) == encode(again)
    assert msgspec.json.encode(first, order="sorted") == msgspec.json.encode(again, order="sorted")
    moved = msgspec.structs.replace(tests[0], achieved_mbps=tests[0].achieved_mbps + 1e-6)
    other = audit([case([moved, *tests[1:]])], LOOK)
    assert other[0].input_sha256 != first[0].input_sha256


def test_json_carries_the_numbers() -> None:
    data = msgspec.json.decode(encode([verdict(rows(84, every_evening))]))[0]
    assert data["finding"] == "not_dedicated" and data["cause"] == "contended"
    assert data["newest"]["p_link"] == pytest.approx(2 * data["newest"]["p_bad"])
    assert set(data["newest"]["causes"]) == {"contended", "under_provisioned"}
    assert all({"accused", "runs", "upper"} <= set(one) for one in data["rates"])
    assert data["rates"] and data["until"] == "2026-07-01"


def test_rates_are_quoted_for_the_schedule_that_the_link_has() -> None:
    tests = rows(84, every_evening)
    assert {one.tests for one in verdict(tests).rates} == {4}
    fewer = [one for one in tests if one.start_ns // (3600 * 10**9) % 24 != 22 - 7]
    assert {one.tests for one in verdict(fewer).rates} == {1}
    with pytest.raises(ValueError, match="a day needs a test"):
        Plan(minimum_peak=0)


def test_a_link_is_there_once() -> None:
    with pytest.raises(ValueError, match="link 'l1' down is there twice"):
        audit([case([]), case([])], LOOK)


def test_nothing_measured_is_insufficient_and_no_fault() -> None:
    found = verdict([])
    assert (found.finding, found.watch) == (Finding.INSUFFICIENT, False)
    assert (found.bounds, found.shortfall.share, found.rhythm) == (None, None, None)
    assert found.lacks == (Lack.NOTHING,)


def test_thresholds_are_the_methods() -> None:
    assert (decision.LINK_P, decision.TEST_P, decision.EFFECT, decision.BAD_SHARE) == (
        1e-3,
        5e-4,
        0.1,
        0.2,
    )
    assert (decision.Q_WINDOWS, decision.Q_QUARTER, decision.PERSISTENCE) == (1e-3, 1e-2, 0.8)
    assert pytest.approx(0.3016627, abs=5e-8) == decision.WEEK_RATE
    assert Circumstances() == Circumstances(*[Shown.NOT_SHOWN] * 4)


def any_test(drawn: random.Random, day: int) -> Test:
    """A test of any hour and kind."""
    start = utc_ns(UNTIL - timedelta(days=day), drawn.choice(range(24)), 7) + drawn.randrange(10**9)
    made = drawn.random() < 0.9
    return Test(
        start,
        drawn.choice(list(Direction)),
        100.0,
        drawn.uniform(0, 120) if made else None,
        drawn.choice([None, 0.0, 30.0]),
        made and drawn.random() < 0.9,
        drawn.choice(["", "SKIPPED_BUSY"]),
        drawn.choice([None, "a", "b"]),
    )


@given(st.integers(0, 10**6), st.integers(1, 100), st.integers(0, 400))
@settings(max_examples=20, deadline=None)
def test_any_tests_give_a_verdict_that_accounts_for_them(seed: int, days: int, count: int) -> None:
    drawn = random.Random(seed)
    tests = [any_test(drawn, drawn.randrange(-2, days)) for _ in range(count)]
    found = verdict(tests)
    used = found.used
    assert used.peak + used.off_peak + used.lower_bounds + len(used.rejected) == count
    assert found.newest.bad_days <= found.newest.valid_days <= 28
    assert len(found.shortfall.bad_days) == found.quarter.bad_days
    for language in Language:
        assert explain(found, language).startswith(summary(found, language).splitlines()[0])
    assert msgspec.json.decode(encode([found]))[0]["finding"] == found.finding


@given(st.integers(0, 10**6), st.integers(0, 60))
@settings(max_examples=20, deadline=None)
def test_tests_with_unknown_traffic_never_make_a_day_bad(seed: int, more: int) -> None:
    drawn = random.Random(seed)
    known = [
        one_test(utc_ns(UNTIL - timedelta(days=1 + at // 5), drawn.choice((3, 10, 19, 20, 21))))
        for at in range(140)
    ]
    known = [msgspec.structs.replace(one, achieved_mbps=drawn.uniform(70, 100)) for one in known]
    doubtful = [
        one_test(
            utc_ns(UNTIL - timedelta(days=drawn.randint(1, 84)), drawn.choice((3, 10, 20, 22))),
            drawn.uniform(0.1, 1.1),
            cross_mbps=None,
        )
        for _ in range(more)
    ]
    without, with_them = verdict(known), verdict([*known, *doubtful])
    assert with_them.shortfall.bad_days == without.shortfall.bad_days
    assert with_them.newest.p_shift == without.newest.p_shift
    assert with_them.newest.p_bad >= without.newest.p_bad
