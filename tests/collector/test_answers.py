"""Answers, their plain form, and the series, over a ledger that holds judged intervals."""

import os
from collections.abc import Iterator
from pathlib import Path

import jsonschema
import msgspec
import pytest
import yaml

from collector import told
from collector.answers import Answers
from collector.audit.availability import Judgement
from collector.audit.calendar import Month, Zone
from collector.audit.evidence import Span
from collector.audit.intervals import Edge, Interval, Outage
from collector.audit.states import Cause, Charge, EvidenceClass, State
from collector.contracts import Contracts, Limit, Limits
from collector.inventory import Inventory, Link, LinkTarget, Node, NodeKind, Reach
from collector.ledger.derived import DerivedStore
from collector.ledger.outages import Lane, OutageStore, Revision
from collector.ledger.sqlite import SqliteLedger
from collector.metrics import labels, sample
from collector.metrics import page as metrics_page
from collector.standing import OUTAGE_START, Judged, StandingSeries
from tests.collector.contract_kit import contract
from wire.policy import Role

NODE = Node(id="n1", name="Desa", kind=NodeKind.DESA, district="K")
LINK = Link(id="l1", node="n1", provider="Penyedia A", medium="fibre", pop="P1")
TARGETED = msgspec.structs.replace(
    LINK,
    targets=(
        LinkTarget(name="gateway", probe="icmp", role=Role.GATEWAY, address="10.0.0.1"),
        LinkTarget(
            name="abroad",
            probe="icmp",
            role=Role.ANCHOR,
            address="10.0.0.2",
            reach=Reach.INTERNATIONAL,
        ),
    ),
)
LIMITS = Limits(
    domestic=Limit(rtt_s=0.05, pdv_s=0.03, loss_ratio=0.01),
    international=Limit(rtt_s=0.25, rtt_percentile=95),
)
MONTH = Month(2026, 10, Zone.WIB).span
T = 31 * 86_400
DERIVED: dict[str, DerivedStore] = {}
AFTER_S = MONTH.end_s + 10 * 86_400


@pytest.fixture
def store(tmp_path: Path) -> Iterator[OutageStore]:
    ledger = SqliteLedger(tmp_path / "ledger.db")
    DERIVED["now"] = DerivedStore(ledger)
    yield OutageStore(ledger)
    ledger.close()


def answers(store: OutageStore, **changes: object) -> Answers:
    inventory = Inventory((NODE,), (LINK,))
    promised = inventory, Contracts((contract(**{"link": "l1", **changes}),))
    return Answers(store, DERIVED["now"], lambda: promised)


def up(start_s: int, end_s: int) -> Interval:
    return Interval(start_s, end_s, State.UP)


def down(start_s: int, length_s: int) -> Interval:
    witnesses = (EvidenceClass.NODE_PROBES, EvidenceClass.FLEET)
    return Interval(
        start_s, start_s + length_s, State.DOWN, Cause.ACCESS_LINK, Charge.PROVIDER, witnesses
    )


def outage(one: Interval, *, settled: bool = True) -> Outage:
    return Outage(
        link="l1",
        start=Edge(one.start_s, one.start_s - 0.5, one.start_s + 0.5),
        end=Edge(one.end_s, one.end_s - 0.5, one.end_s + 0.5),
        state=one.state,
        cause=one.cause,
        charge=one.charge,
        witnesses=one.witnesses,
        why="",
        event=None,
        settled=settled,
    )


def keep(store: OutageStore, *cuts: Interval) -> None:
    """October up, but for the cuts, of which the last may reach into November."""
    at, whole = MONTH.start_s, []
    for one in cuts:
        whole += [up(at, one.start_s), one]
        at = one.end_s
    whole.append(up(at, MONTH.end_s + 86_400))
    store.keep_intervals("l1", Span(MONTH.start_s, MONTH.end_s + 86_400), whole)


def test_a_month_of_one_long_cut_is_breached(store: OutageStore) -> None:
    keep(store, down(MONTH.start_s + 1000, 14_400))
    (one,) = answers(store).availability("2026-10", AFTER_S)
    assert (one.found.charged_s, one.found.unknown_s, one.found.period_s) == (14_400, 0, T)
    assert one.found.judgement is Judgement.BREACHED
    assert one.complete
    assert float(one.budget.left_s) == pytest.approx(13_392 - 14_400)


def test_what_is_not_judged_is_unknown(store: OutageStore) -> None:
    store.keep_intervals(
        "l1",
        Span(MONTH.start_s + 600, MONTH.start_s + 1000),
        [up(MONTH.start_s + 600, MONTH.start_s + 1000)],
    )
    (one,) = answers(store).availability("2026-10", MONTH.start_s + 2000)
    assert (one.found.up_s, one.found.unknown_s, one.found.period_s) == (400, 1600, 2000)
    assert not one.complete
    assert one.found.judgement is Judgement.INDETERMINATE


def test_nothing_judged_at_all_is_all_unknown(store: OutageStore) -> None:
    (one,) = answers(store).availability("2026-10", AFTER_S)
    assert (one.found.unknown_s, one.judged_until_s) == (T, None)


def test_a_cut_over_the_months_end_counts_in_both(store: OutageStore) -> None:
    keep(store, down(MONTH.end_s - 100, 300))
    october, november = (
        next(iter(answers(store).availability(month, AFTER_S))).found
        for month in ("2026-10", "2026-11")
    )
    assert (october.charged_s, november.charged_s) == (100, 200)
    assert (october.began, november.began) == (1, 0)
    assert october.longest_s == november.longest_s == 300


def test_the_running_month_is_the_default_and_the_future_is_no_answer(store: OutageStore) -> None:
    (one,) = answers(store).availability(None, MONTH.start_s + 5)
    assert (str(one.month), one.found.period_s) == ("2026-10", 5)
    assert list(answers(store).availability("2026-11", MONTH.start_s + 5)) == []


def test_a_wrong_month_names_the_form(store: OutageStore) -> None:
    with pytest.raises(ValueError, match="expected the form 2026-11"):
        list(answers(store).availability("10/2026", AFTER_S))


def test_outages_are_filtered_and_withdrawn_ones_are_none(store: OutageStore) -> None:
    first, second = down(MONTH.start_s + 100, 60), down(MONTH.start_s + 5000, 60)
    store.say(
        Lane.EVIDENCE,
        [Revision(None, False, outage(first)), Revision(None, True, outage(second))],
        made_s=MONTH.end_s,
    )
    asked = answers(store)
    assert [one.outage.start.at_s for one in asked.outages("l1")] == [first.start_s]
    assert asked.outages("l1", cause=Cause.LAN) == []
    assert len(asked.outages(span=MONTH, cause=Cause.ACCESS_LINK)) == 1


def test_links_that_went_down_together_are_one_event(store: OutageStore) -> None:
    cuts = [
        msgspec.structs.replace(
            outage(down(MONTH.start_s + k, 60)), link=f"l{k}", event="core-1", cause=Cause.LAN
        )
        for k in range(3)
    ]
    store.say(Lane.EVIDENCE, [Revision(None, False, one) for one in cuts], made_s=1)
    (one,) = answers(store).events(MONTH)
    plain = told.event(one)
    conforms("Event", plain)
    assert (plain["links"], plain["start_s"]) == (["l0", "l1", "l2"], MONTH.start_s)
    assert plain["end_s"] == MONTH.start_s + 62


def test_a_provisional_outage_names_what_settled_it(store: OutageStore) -> None:
    cut = down(MONTH.start_s + 1000, 60)
    heard = msgspec.structs.replace(outage(cut, settled=False), state=State.UNKNOWN)
    (live,) = store.say(Lane.LIVE, [Revision(None, False, heard)], made_s=5)
    assert answers(store).history(live).settled_by is None
    assert [one.id for one in answers(store).outages("l1")] == [live]
    keep(store, cut)
    assert answers(store).history(live).settled_by == ()
    (settled,) = store.say(Lane.EVIDENCE, [Revision(None, False, outage(cut))], made_s=6)
    found = answers(store).history(live)
    assert found.settled_by == (settled,)
    conforms("History", told.history(found))
    assert [one.id for one in answers(store).outages("l1")] == [settled]
    with pytest.raises(KeyError):
        answers(store).history(99)


def test_an_outage_that_is_over_is_told_until_the_evidence_tells_it(store: OutageStore) -> None:
    cut = down(MONTH.start_s + 1000, 60)
    heard = outage(cut, settled=False)
    (live,) = store.say(Lane.LIVE, [Revision(None, False, heard)], made_s=5)

    def judged(beyond_s: int) -> list[int]:
        """What is told once so much after the outage is judged."""
        span = Span(cut.start_s, cut.end_s + beyond_s)
        rest = Interval(cut.end_s, span.end_s, State.UP)
        store.keep_intervals("l1", span, [cut, rest])
        told = [one.id for one in answers(store).outages("l1")]
        latest = answers(store).latest(MONTH.start_s)
        assert [one.id for one in latest.values()] == told
        return told

    # The evidence is read, and tells of an outage when it reaches 90 s beyond it.
    assert judged(5) == judged(89) == [live]
    (settled,) = store.say(Lane.EVIDENCE, [Revision(None, False, outage(cut))], made_s=6)
    assert judged(89) == [settled]
    store.say(Lane.EVIDENCE, [Revision(settled, True, outage(cut))], made_s=7)
    assert judged(95) == []


OPENAPI = yaml.safe_load(
    (Path(__file__).parents[2] / "collector" / "web" / "openapi.yaml").read_text()
)


def conforms(name: str, told: object) -> None:
    """Raises unless the API's description fits."""
    schema = {"$ref": f"#/components/schemas/{name}", "components": OPENAPI["components"]}
    jsonschema.Draft202012Validator(schema).validate(told)


def test_the_plain_form_is_what_the_description_says(store: OutageStore) -> None:
    cuts = [down(MONTH.start_s + k * 1000, 60) for k in range(1, 4)]
    keep(store, *cuts)
    lasting = outage(cuts[0], settled=False)
    store.say(
        Lane.EVIDENCE,
        [Revision(None, False, outage(cuts[1])), Revision(None, False, lasting)],
        made_s=MONTH.end_s,
    )
    asked = answers(store)
    for kept in asked.outages():
        conforms("Outage", told.outage(kept))
    (one,) = asked.availability("2026-10", AFTER_S)
    plain = told.availability(one)
    conforms("Availability", plain)
    conforms("Availability", plain | told.violations(asked.violations(one)))
    assert (plain["down_s"], plain["outages"], plain["verdict"]) == (180, 3, "met")
    assert plain["availability_low"] == pytest.approx(1 - 180 / T)


def test_the_description_knows_every_word() -> None:
    schemas = OPENAPI["components"]["schemas"]
    assert schemas["Cause"]["enum"] == [one.value for one in Cause]
    assert schemas["Charge"]["enum"] == [one.value for one in Charge]
    witnesses = schemas["Outage"]["properties"]["witnesses"]["items"]["enum"]
    assert witnesses == [one.value for one in EvidenceClass]


def test_series_say_how_the_month_stands(store: OutageStore) -> None:
    cut = down(MONTH.start_s + 1000, 60)
    keep(store, cut)
    store.say(Lane.EVIDENCE, [Revision(None, False, outage(cut))], made_s=MONTH.end_s)
    (one,) = answers(store, limits=LIMITS).availability("2026-10", AFTER_S)
    judged = Judged(store.totals("l1"), store.counts("l1"), one, store.judged_until("l1"))
    series, golden = StandingSeries(), Path(__file__).parents[1] / "golden" / "standing.txt"
    series.set(TARGETED, judged)
    lasting = sample(OUTAGE_START, labels(link="l1", node="n1", state="unknown"), 1_790_000_000)
    page = metrics_page([*series.pages(), (OUTAGE_START, [lasting])])
    if os.environ.get("PANTAU_WRITE_GOLDEN"):
        golden.write_text(page)
    assert page == golden.read_text()
