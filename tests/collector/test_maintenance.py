"""Which announced windows a contract excludes, and why the others do not count."""

from datetime import date
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.audit.calendar import Zone
from collector.audit.evidence import Span, Window
from collector.contracts import (
    Contract,
    Exclusions,
    ForceMajeureRule,
    MaintenanceRule,
    midnight_s,
)
from collector.inventory import Inventory, Link, Node, NodeKind
from collector.maintenance import (
    Cancelled,
    Entry,
    Kind,
    Notice,
    Recorded,
    Refusal,
    Ruling,
    Scope,
    covering,
    decide,
    windows,
)
from tests.collector.contract_kit import contract

HOUR = 3_600
DAY = 86_400
MONDAY_S = midnight_s(date(2026, 3, 9), Zone.WIB)
WHO = Recorded("Sari", "root", 1)


def entry(
    number: int = 1,
    start_h: float = 0,
    hours: float = 2,
    *,
    told_h: float = 72,
    cancelled: Cancelled | None = None,
    **changes: Any,
) -> Entry:
    """An approved, planned window, `start_h` hours after Monday's midnight, told before."""
    start_s = MONDAY_S + int(start_h * HOUR)
    fields: dict[str, Any] = {
        "scope": Scope(link="l1"),
        "start_s": start_s,
        "end_s": start_s + int(hours * HOUR),
        "zone": Zone.WIB,
        "kind": Kind.PLANNED,
        "announced_s": start_s - int(told_h * HOUR),
        "approved_by": "Kepala Bidang",
        "reason": "router",
        "document": None,
    }
    return Entry(number, Notice(**fields | changes), WHO, cancelled)


def agreed(rule: MaintenanceRule | None = None, **changes: Any) -> Contract:
    exclusions = Exclusions(maintenance=rule or MaintenanceRule(), **changes)
    return contract(exclusions=exclusions)


def hours_of(ruling: Ruling) -> list[tuple[float, float]]:
    """Counted windows, in hours after Monday's midnight."""
    return [
        ((one.start_s - MONDAY_S) / HOUR, (one.end_s - MONDAY_S) / HOUR) for one in ruling.counted
    ]


def refused_of(ruling: Ruling) -> list[tuple[Refusal, float]]:
    return [(one.refusal, one.span.length_s / HOUR) for one in ruling.refused]


def test_a_window_that_was_agreed_announced_and_approved_counts_whole() -> None:
    (ruling,) = decide(agreed(), [entry(7)])
    assert ruling.counted == (Window(MONDAY_S, MONDAY_S + 2 * HOUR, "7", "planned"),)
    assert ruling.refused == ()


@pytest.mark.parametrize(
    ("one", "refusal", "words"),
    [
        (
            entry(cancelled=Cancelled("moved", WHO)),
            Refusal.CANCELLED,
            "cancelled by Sari: moved",
        ),
        (entry(approved_by=None), Refusal.NOT_APPROVED, "nobody approved it"),
        (
            entry(told_h=71),
            Refusal.SHORT_NOTICE,
            "announced 255600 s before it began; the contract asks for 259200 s before",
        ),
        (
            entry(told_h=-1),
            Refusal.SHORT_NOTICE,
            "announced 3600 s after it had begun; the contract asks for 259200 s before",
        ),
        (
            entry(kind=Kind.EMERGENCY),
            Refusal.NOT_AGREED,
            "the contract excludes no emergency maintenance",
        ),
        (
            entry(kind=Kind.FORCE_MAJEURE),
            Refusal.NOT_AGREED,
            "the contract excludes no force majeure",
        ),
    ],
)
def test_a_window_that_does_not_count_says_why(one: Entry, refusal: Refusal, words: str) -> None:
    (ruling,) = decide(agreed(), [one])
    assert ruling.counted == ()
    (refused,) = ruling.refused
    assert (refused.refusal, refused.words) == (refusal, words)
    assert refused.span == Span(one.notice.start_s, one.notice.end_s)


def test_a_contract_that_says_nothing_of_maintenance_excludes_none() -> None:
    (ruling,) = decide(contract(), [entry()])
    assert [one.refusal for one in ruling.refused] == [Refusal.NOT_AGREED]


def test_emergency_work_needs_its_own_notice() -> None:
    rule = MaintenanceRule(emergency_notice_s=HOUR)
    in_time, late = decide(
        agreed(rule),
        [
            entry(1, kind=Kind.EMERGENCY, told_h=1),
            entry(2, 9, kind=Kind.EMERGENCY, told_h=0.9),
        ],
    )
    assert hours_of(in_time) == [(0, 2)]
    assert refused_of(late) == [(Refusal.SHORT_NOTICE, 2)]


@pytest.mark.parametrize(("after_h", "counts"), [(-5, True), (24, True), (24.01, False)])
def test_force_majeure_may_be_told_of_later_within_the_agreed_time(
    after_h: float, counts: bool
) -> None:
    rule = ForceMajeureRule(report_within_s=DAY)
    one = entry(kind=Kind.FORCE_MAJEURE, told_h=-after_h)
    (ruling,) = decide(agreed(force_majeure=rule), [one])
    assert bool(ruling.counted) is counts
    (ruling,) = decide(agreed(force_majeure=ForceMajeureRule()), [one])
    assert ruling.counted[0].kind == "force_majeure"


def test_the_cap_is_spent_in_the_order_of_time_and_cuts_the_window_that_exceeds_it() -> None:
    rule = MaintenanceRule(month_cap_s=5 * HOUR)
    later, middle, first = entry(1, 48, 3), entry(2, 24, 4), entry(3, 0, 2)
    rulings = decide(agreed(rule), [later, middle, first])
    assert [one.entry.id for one in rulings] == [3, 2, 1]
    assert [hours_of(one) for one in rulings] == [[(0, 2)], [(24, 27)], []]
    assert [refused_of(one) for one in rulings] == [
        [],
        [(Refusal.OVER_CAP, 1)],
        [(Refusal.OVER_CAP, 3)],
    ]
    assert rulings[1].refused[0].words == "the month's cap of 18000 s is used up"


def test_what_does_not_count_spends_nothing_and_force_majeure_has_no_cap() -> None:
    rule = MaintenanceRule(month_cap_s=2 * HOUR)
    rulings = decide(
        agreed(rule, force_majeure=ForceMajeureRule()),
        [
            entry(1, 0, 2, told_h=1),
            entry(2, 3, 20, kind=Kind.FORCE_MAJEURE),
            entry(3, 30, 2),
        ],
    )
    assert [hours_of(one) for one in rulings] == [[], [(3, 23)], [(30, 32)]]


def test_every_calendar_month_of_the_zone_has_a_cap_of_its_own() -> None:
    rule = MaintenanceRule(month_cap_s=HOUR)
    april_s = midnight_s(date(2026, 4, 1), Zone.WIB)
    one = entry(start_s=april_s - 2 * HOUR, end_s=april_s + 2 * HOUR)
    (ruling,) = decide(agreed(rule), [one])
    assert [(w.start_s - april_s, w.end_s - april_s) for w in ruling.counted] == [
        (-2 * HOUR, -HOUR),
        (0, HOUR),
    ]
    assert refused_of(ruling) == [(Refusal.OVER_CAP, 1), (Refusal.OVER_CAP, 1)]


@pytest.mark.parametrize(
    ("allowed", "start_h", "hours", "counted"),
    [
        (("00:00-05:00",), -1, 8, [(0, 5)]),
        (("22:00-05:00",), -4, 36, [(-2, 5), (22, 29)]),
        (("22:00-24:00", "00:00-05:00"), -4, 36, [(-2, 5), (22, 29)]),
        (("00:00-24:00",), -30, 60, [(-30, 30)]),
        (("00:00-05:00",), 5, 3, []),
        (("12:30-13:00",), 12, 2, [(12.5, 13)]),
    ],
)
def test_planned_work_counts_in_the_allowed_hours_only(
    allowed: tuple[str, ...], start_h: float, hours: float, counted: list[tuple[float, float]]
) -> None:
    rule = MaintenanceRule(allowed_hours=allowed)
    (ruling,) = decide(agreed(rule), [entry(1, start_h, hours)])
    assert hours_of(ruling) == counted
    outside = hours - sum(end - start for start, end in counted)
    assert sum(length for _, length in refused_of(ruling)) == outside
    assert {refusal for refusal, _ in refused_of(ruling)} <= {Refusal.OUTSIDE_HOURS}


def test_the_allowed_hours_are_by_the_contracts_clock() -> None:
    rule = MaintenanceRule(allowed_hours=("00:00-05:00",))
    eastern = contract(zone=Zone.WIT, exclusions=Exclusions(maintenance=rule))
    (ruling,) = decide(eastern, [entry(1, -4, 12)])
    assert hours_of(ruling) == [(-2, 3)]


def test_the_same_seconds_are_excluded_once_and_spend_the_cap_once() -> None:
    rule = MaintenanceRule(month_cap_s=5 * HOUR)
    rulings = decide(agreed(rule), [entry(1, 0, 3), entry(2, 1, 4), entry(3, 2, 1)])
    assert [hours_of(one) for one in rulings] == [[(0, 3)], [(3, 5)], []]
    assert refused_of(rulings[1]) == [(Refusal.OVERLAPS, 2)]
    assert refused_of(rulings[2]) == [(Refusal.OVERLAPS, 1)]
    assert [tuple(one[2:]) for one in windows(rulings)] == [("1", "planned"), ("2", "planned")]


def test_only_what_lies_in_the_contracts_days_is_judged_by_it() -> None:
    old = contract(last_day=date(2026, 3, 8), exclusions=Exclusions(maintenance=MaintenanceRule()))
    new = contract(reference="K-2", first_day=date(2026, 3, 9), last_day=None)
    one = entry(1, -1, 3)
    (by_old,), (by_new,) = decide(old, [one]), decide(new, [one])
    assert hours_of(by_old) == [(-1, 0)]
    assert refused_of(by_old) == [(Refusal.OUTSIDE_CONTRACT, 2)]
    assert refused_of(by_new) == [(Refusal.OUTSIDE_CONTRACT, 1), (Refusal.NOT_AGREED, 2)]
    (before,) = decide(new, [entry(1, -9, 3)])
    assert refused_of(before) == [(Refusal.OUTSIDE_CONTRACT, 3)]


def test_an_entry_is_about_the_links_that_fit_all_it_names() -> None:
    nodes = (
        Node(id="n1", name="A", kind=NodeKind.DESA, district="Kec. A"),
        Node(id="n2", name="B", kind=NodeKind.DESA, district="Kec. B"),
    )
    links = (
        Link(id="l1", node="n1", provider="P", medium="M", pop="X"),
        Link(id="l2", node="n2", provider="P", medium="M", pop="X"),
        Link(id="l3", node="n2", provider="Q", medium="M", pop="X"),
    )
    both = Inventory(nodes, links)
    scopes = {
        1: Scope(pop="X"),
        2: Scope(pop="X", provider="P"),
        3: Scope(district="Kec. B"),
        4: Scope(link="l3"),
        5: Scope(provider="Q", district="Kec. A"),
    }
    entries = [entry(number, scope=scope) for number, scope in scopes.items()]
    about = {
        link.id: [one.id for one in covering(entries, link, both)] for link in both.links.values()
    }
    assert about == {"l1": [1, 2], "l2": [1, 2, 3], "l3": [1, 3, 4]}
    assert str(scopes[2]) == "pop X, provider P"


NOTICES = st.lists(
    st.builds(
        entry,
        st.integers(1, 99),
        st.integers(-60, 600),
        st.integers(1, 60),
        told_h=st.sampled_from([100, 2, -2]),
        kind=st.sampled_from(list(Kind)),
        approved_by=st.sampled_from([None, "KB"]),
    ),
    max_size=8,
    unique_by=lambda one: one.id,
)
RULES = st.builds(
    MaintenanceRule,
    emergency_notice_s=st.sampled_from([None, HOUR]),
    month_cap_s=st.sampled_from([None, 0, 5 * HOUR, 40 * HOUR]),
    allowed_hours=st.sampled_from([(), ("22:00-05:00",), ("00:00-04:00", "03:00-06:00")]),
)


@given(NOTICES, RULES, st.randoms(use_true_random=False))
def test_every_second_of_a_window_counts_once_or_is_refused_with_a_reason(
    entries: list[Entry], rule: MaintenanceRule, random: Any
) -> None:
    terms = agreed(rule, force_majeure=ForceMajeureRule())
    rulings = decide(terms, entries)
    for ruling in rulings:
        parts = [Span(*one[:2]) for one in ruling.counted] + [one.span for one in ruling.refused]
        parts.sort()
        ends = [ruling.entry.notice.start_s, *(part.end_s for part in parts)]
        assert [part.start_s for part in parts] == ends[:-1]
        assert ends[-1] == ruling.entry.notice.end_s
        assert all(part.length_s > 0 for part in parts)
    counted = windows(rulings)
    assert all(one.end_s <= two.start_s for one, two in pairwise(counted))
    assert decide(terms, random.sample(entries, len(entries))) == rulings
    capped = sum(one.end_s - one.start_s for one in counted if one.kind != "force_majeure")
    if rule.month_cap_s is not None:
        # the entries lie in March and April
        assert capped <= 2 * rule.month_cap_s
