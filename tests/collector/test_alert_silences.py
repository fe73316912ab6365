"""Which silences there should be for maintenance windows, and the fewest requests to get there."""

from datetime import UTC, date, datetime
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from collector.alert_silences import (
    CREATED_BY,
    AlertSilence,
    Basis,
    Held,
    Matcher,
    Request,
    plan,
    wanted,
)
from collector.audit.evidence import Span
from collector.contracts import Contract, Contracts, Exclusions, MaintenanceRule
from collector.inventory import Inventory, Link, Node, NodeKind
from collector.maintenance import Cancelled, Entry, Kind, Scope, excused, in_all
from tests.collector.contract_kit import contract
from tests.collector.test_maintenance import HOUR, MONDAY_S, WHO, entry

LEDGER = bytes(range(16))
AGREED = Exclusions(maintenance=MaintenanceRule(notice_s=24 * HOUR, month_cap_s=4 * HOUR))
ABOUT_LINKS = Matcher(name="about", value="link")


def inventory(*links: str, pop: str = "POP-1", provider: str = "P") -> Inventory:
    nodes = tuple(
        Node(id=f"n-{one}", name=one, kind=NodeKind.DESA, district=f"Kec. {one}") for one in links
    )
    rows = tuple(
        Link(id=one, node=f"n-{one}", provider=provider, medium="radio", pop=pop) for one in links
    )
    return Inventory(nodes, rows)


def promised(*links: str, **changes: Any) -> Contracts:
    return Contracts(tuple(contract(link=one, exclusions=AGREED, **changes) for one in links))


def hours(span: Span) -> tuple[float, float]:
    return (span.start_s - MONDAY_S) / HOUR, (span.end_s - MONDAY_S) / HOUR


def told(silences: list[AlertSilence]) -> list[tuple[dict[str, str], tuple[float, float]]]:
    return [
        ({one.name: one.value for one in silence.matchers}, hours(silence.span))
        for silence in silences
    ]


def made(
    entries: list[Entry], known: Inventory, terms: Contracts, now_s: float = 0
) -> list[AlertSilence]:
    return wanted(Basis(entries, known, terms, LEDGER), now_s)


def test_a_window_silences_alerts_about_its_links_and_of_a_pop_that_it_covers_whole() -> None:
    both = made([entry(scope=Scope(pop="POP-1"))], inventory("a.1", "b-2"), promised("a.1", "b-2"))
    assert told(both) == [
        ({"about": "link", "link": r"a\.1|b-2"}, (0, 2)),
        ({"alertname": "PantauPopDown", "pop": "POP-1", "provider": "P"}, (0, 2)),
    ]
    assert [one.is_regex for one in both[0].matchers] == [False, True]
    one = made([entry(scope=Scope(link="a.1"))], inventory("a.1", "b-2"), promised("a.1", "b-2"))
    assert told(one) == [({"about": "link", "link": "a.1"}, (0, 2))]
    assert not any(matcher.is_regex for matcher in one[0].matchers)


def test_the_comment_names_the_window_and_who_approved_it_in_one_line() -> None:
    (silence,) = made(
        [entry(7, reason="ganti\nrouter [pantau 000000000000/9]", document="B-12/2026")],
        inventory("l1", "l2"),
        promised("l1"),
    )
    assert silence.comment == (
        "Jendela pemeliharaan / maintenance window 7 (planned): link l1,"
        " 2026-03-09 00:00:00 WIB - 2026-03-09 02:00:00 WIB."
        " ganti router [pantau 000000000000/9], B-12/2026."
        " Disetujui / approved by: Kepala Bidang. Dicatat / recorded by: Sari."
        " [pantau 000102030405/7]"
    )
    assert held(silence).entry_of(LEDGER) == 7
    assert held(silence).entry_of(bytes(16)) is None
    assert held(silence, createdBy="sari").entry_of(LEDGER) is None


def test_what_the_contract_does_not_excuse_is_paged() -> None:
    known, terms = inventory("l1", "l2"), promised("l1")
    assert made([entry(approved_by=None)], known, terms) == []
    assert made([entry(cancelled=Cancelled("mundur", WHO))], known, terms) == []
    assert made([entry(told_h=2)], known, terms) == [], "announced too late"
    assert made([entry(kind=Kind.FORCE_MAJEURE)], known, terms) == [], "not agreed"
    # The month's cap of four hours is used up in the middle of the second window.
    two = made([entry(1, 0, 3), entry(2, 24, 3)], known, terms)
    assert [hours(one.span) for one in two] == [(0, 3), (24, 25)]


def test_windows_that_are_over_count_for_the_cap_and_are_not_silenced() -> None:
    known, terms = inventory("l1", "l2"), promised("l1")
    entries = [entry(1, 0, 3), entry(2, 24, 3)]
    after = made(entries, known, terms, MONDAY_S + 3 * HOUR)
    assert [(one.entry, hours(one.span)) for one in after] == [(2, (24, 25))]
    assert made(entries, known, terms, MONDAY_S + 25 * HOUR) == []


def test_a_link_without_a_contract_is_silenced_by_what_was_approved() -> None:
    known = inventory("l1", "l2")
    assert told(made([entry(told_h=0)], known, Contracts())) == [
        ({"about": "link", "link": "l1"}, (0, 2))
    ]
    assert made([entry(approved_by=None)], known, Contracts()) == []
    # The contract ends within the window: from then on nothing forbids it.
    until = promised("l1", first_day=date(2026, 1, 1), last_day=date(2026, 3, 8))
    late = entry(start_h=-3, hours=6, told_h=2)
    assert told(made([late], known, until)) == [({"about": "link", "link": "l1"}, (0, 3))]


def test_links_whose_contracts_differ_get_silences_of_their_own() -> None:
    known = inventory("l1", "l2")
    rule = MaintenanceRule(notice_s=0, allowed_hours=("01:00-03:00",))
    terms = Contracts(
        (
            contract(link="l1", exclusions=Exclusions(maintenance=rule)),
            contract(link="l2", exclusions=AGREED),
        )
    )
    assert told(made([entry(scope=Scope(provider="P"))], known, terms)) == [
        ({"about": "link", "link": "l2"}, (0, 2)),
        ({"about": "link", "link": "l1"}, (1, 2)),
        ({"alertname": "PantauPopDown", "pop": "POP-1", "provider": "P"}, (1, 2)),
    ]


def test_names_that_look_like_patterns_are_taken_as_they_are() -> None:
    known = inventory("l1", pop='P.*|"x" {{ .Labels }}', provider="A\nB")
    (_, pop) = made([entry()], known, promised("l1"))
    assert {one.name: (one.value, one.is_regex) for one in pop.matchers} == {
        "alertname": ("PantauPopDown", False),
        "pop": ('P.*|"x" {{ .Labels }}', False),
        "provider": ("A\nB", False),
    }


# --- what to do -------------------------------------------------------------------------------


def held(silence: AlertSilence, number: int = 1, now_s: float = 0.0, **changes: Any) -> Held:
    """As Alertmanager answers after the silence was posted at `now_s`."""
    posted = msgspec.json.decode(silence.body(None, now_s))
    start = datetime.fromtimestamp(max(silence.span.start_s, now_s), UTC)
    posted |= {
        "id": str(number),
        "updatedAt": start.isoformat(),
        "startsAt": start.isoformat(),
        "status": {"state": "active"},
        "matchers": [{"isEqual": True, "isRegex": False} | one for one in posted["matchers"]],
        "createdBy": CREATED_BY,
    }
    return msgspec.convert(posted | changes, Held)


def silence(
    number: int = 1, start_h: float = 0, end_h: float = 2, link: str = "l1"
) -> AlertSilence:
    span = Span(MONDAY_S + int(start_h * HOUR), MONDAY_S + int(end_h * HOUR))
    comment = f"jendela {number} [pantau 000102030405/{number}]"
    return AlertSilence(number, (ABOUT_LINKS, Matcher(name="link", value=link)), span, comment)


def test_nothing_is_done_twice() -> None:
    one = silence()
    for now_h in (-5, 1):
        now_s = MONDAY_S + now_h * HOUR
        assert plan([one], [], LEDGER, now_s) == [Request(None, one)]
        assert plan([one], [held(one, now_s=now_s)], LEDGER, now_s + 60) == []


def test_a_window_that_changed_is_changed_and_one_that_is_gone_ends() -> None:
    now_s = MONDAY_S + HOUR
    before, after = silence(), silence(end_h=3)
    there = held(before, now_s=now_s - 60)
    assert plan([after], [there], LEDGER, now_s) == [Request(there, after)]
    told = msgspec.json.decode(after.body(there, now_s))
    assert told["id"] == "1"
    # It began already, so its beginning stays: else Alertmanager would replace it.
    assert datetime.fromisoformat(told["startsAt"]) == there.starts_at
    assert plan([], [there], LEDGER, now_s) == [Request(there, None)]


def test_silences_of_others_and_expired_ones_are_left_alone() -> None:
    one, now_s = silence(), MONDAY_S + HOUR
    others = [
        held(one, createdBy="sari"),
        held(one, comment="by hand"),
        held(one, comment="jendela [pantau ffffffffffff/1]"),
        held(one, status={"state": "expired"}),
    ]
    assert plan([], others, LEDGER, now_s) == []
    assert plan([one], others, LEDGER, now_s) == [Request(None, one)]


def test_what_there_is_twice_is_there_once_afterwards() -> None:
    one, now_s = silence(), MONDAY_S + HOUR
    first, second = held(one, 1), held(one, 2)
    (change,) = plan([one], [first, second], LEDGER, now_s)
    assert change.wanted is None and change.held in (first, second)


@given(
    before=st.lists(st.builds(silence, st.integers(1, 3), st.integers(0, 5), st.integers(6, 9))),
    after=st.lists(
        st.builds(silence, st.integers(1, 3), st.integers(0, 5), st.integers(6, 9)), unique=True
    ),
    now_h=st.integers(-1, 10),
)
def test_after_the_plan_there_is_what_is_wanted_and_then_nothing_to_do(
    before: list[AlertSilence], after: list[AlertSilence], now_h: int
) -> None:
    now_s = MONDAY_S + now_h * HOUR
    after = [one for one in after if one.span.end_s > now_s]
    there = {str(k): held(one, k, now_s) for k, one in enumerate(before) if one.span.end_s > now_s}
    for k, change in enumerate(plan(after, there.values(), LEDGER, now_s)):
        if change.held is not None:
            del there[change.held.id]
        if change.wanted is not None:
            there[f"new{k}"] = held(change.wanted, 100 + k, now_s)
    assert len(there) == len(after)
    assert plan(after, there.values(), LEDGER, now_s) == []


# --- the half of it that the register decides -------------------------------------------------


def test_an_entry_under_two_contracts_holds_in_both() -> None:
    terms: list[Contract] = [
        contract(exclusions=AGREED, last_day=date(2026, 3, 8)),
        contract(exclusions=AGREED, first_day=date(2026, 3, 9), reference="K-2"),
    ]
    spans = excused(terms, [entry(start_h=-1, hours=3)])
    assert [hours(one) for one in spans[1]] == [(-1, 2)]


def test_seconds_in_all_lists() -> None:
    assert in_all([]) == []
    assert in_all([[Span(0, 10)], []]) == []
    assert in_all([[Span(0, 10), Span(20, 30)], [Span(5, 25)]]) == [Span(5, 10), Span(20, 25)]
