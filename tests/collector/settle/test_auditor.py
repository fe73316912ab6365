"""Verdicts out of a ledger: signed Transfers in, words and numbers out."""

import json
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector import verdict_answers
from collector.audit import dedicated, words
from collector.audit.daily import Direction
from collector.audit.evidence import Span
from collector.audit.findings import Finding, Look, Pending
from collector.audit.gates import Shown
from collector.audit.intervals import Edge, Interval, Outage
from collector.audit.phrases import Language
from collector.audit.shaping import Shape
from collector.audit.stability import Steadiness
from collector.audit.states import Cause, Charge, State
from collector.audit.together import Sharing
from collector.contracts import Cir, Contracts, Layer, Rates
from collector.experiment import Experiment, ExperimentState, Result, draw
from collector.hearings import ClosedAs, Closing, Hearing, HearingKind
from collector.ledger import PlacedBy
from collector.ledger.outages import Lane, Revision
from collector.ledger.verdicts import VerdictStore
from collector.maintenance import Recorded, Scope
from collector.settle import auditor
from collector.settle.auditor import due
from collector.settle.trials import Beside, Doubt, Made, Subject, case_of, trial
from tests.collector.contract_kit import contract
from tests.collector.settle import line
from tests.collector.settle.line import BEGIN_NS, DAYS, NOW_S, NS, UNTIL, Lines, at_ns
from wire.instant import ClockClass
from wire.slot import Direction as WireDirection
from wire.slot import Method
from wire.transfer import Flow, Offer, Purpose, TransferOutcome

T = TransferOutcome
MS = 1_000_000


@pytest.fixture
def lines(tmp_path: Path) -> Iterator[Lines]:
    found = Lines(tmp_path / "ledger.db", "good", "evening", "flat", "few")
    yield found
    found.close()


@pytest.fixture
def one(tmp_path: Path) -> Iterator[Lines]:
    found = Lines(tmp_path / "ledger.db", "l1")
    yield found
    found.close()


def test_four_links_are_judged_as_one_family_from_their_signed_records(lines: Lines) -> None:
    lines.tested("good", line.dedicated)
    lines.tested("evening", line.contended)
    lines.tested("flat", line.flat)
    lines.tested("few", line.dedicated, days=9)
    lines.auditor.step(NOW_S)
    given = {one.kept.verdict.link: one.kept.verdict for one in lines.answers.verdicts()}
    said = {link: (one.finding.value, one.cause) for link, one in given.items()}
    assert said == {
        "good": ("dedicated", None),
        "evening": ("not_dedicated", "contended"),
        "flat": ("not_dedicated", "under_provisioned"),
        "few": ("insufficient", None),
    }
    assert {one.family.links for one in given.values()} == {4}
    assert given["good"].used.peak == 4 * DAYS
    assert given["good"].newest.valid_days == 28
    shown = {gate.gate.value: gate.shown for gate in given["good"].gates}
    assert (shown["box"], shown["clock"]) == (Shown.HELD, Shown.HELD)
    # One hub alone cannot show that it is not to blame, and no outage was judged here.
    assert (shown["anchors"], shown["site"]) == (Shown.NOT_SHOWN, Shown.NOT_SHOWN)
    assert given["evening"].bounds is not None
    assert given["evening"].bounds.peak_median == pytest.approx(0.726, abs=0.003)


def test_the_kept_bytes_are_those_of_the_pure_audit(one: Lines) -> None:
    one.tested("l1", line.contended)
    one.auditor.look(UNTIL, NOW_S)
    cases = one.gathering.cases(Look(UNTIL, UNTIL))
    pure = dedicated.audit(cases, Look(UNTIL, UNTIL))
    (given,) = one.answers.verdicts()
    assert b"[" + given.kept.data + b"]" == dedicated.encode(pure)
    plain = one.answers.whole(given, Language.ID)
    assert plain["summary"] == words.summary(pure[0], Language.ID)
    assert plain["verdict"]["newest"]["bad_days"] == pure[0].newest.bad_days == 28
    assert plain["verdict"]["input_sha256"] == pure[0].input_sha256


def test_the_order_of_arrival_makes_no_difference_to_a_byte(tmp_path: Path) -> None:
    kept = []
    for name, step in (("a", 1), ("b", -1)):
        ground = Lines(tmp_path / f"{name}.db", "l1")
        box = ground.boxes["l1"]
        batches = [line.batch(box, day) for day in line.quarter("l1", line.contended)]
        ground.take(batches[::step])
        ground.auditor.look(UNTIL, NOW_S)
        kept.append(ground.answers.verdicts()[0].kept)
        ground.close()
    assert kept[0] == kept[1]


def test_late_evidence_makes_a_revision_and_edits_nothing(one: Lines) -> None:
    box = one.boxes["l1"]
    batches = [line.batch(box, day) for day in line.quarter("l1", line.contended)]
    one.take(batches[:50])
    assert [change.before for change in one.auditor.look(UNTIL, NOW_S)] == [None]
    before = one.answers.verdicts(link="l1")[0]
    assert before.kept.verdict.finding is Finding.INSUFFICIENT
    assert one.auditor.look(UNTIL, NOW_S + 600) == []
    one.take(batches[50:])
    (change,) = one.auditor.look(UNTIL, NOW_S + 1200)
    assert change.before is not None and change.before.startswith("insufficient")
    assert change.now.startswith("not_dedicated, contended, rule v2, preliminary")
    (after,) = one.answers.verdicts()
    assert (after.kept.revision, after.kept.made_s, after.since_s) == (2, *[NOW_S + 1200] * 2)
    history = one.store.history("l1", "down", UNTIL)
    assert [kept.revision for kept in history] == [1, 2]
    assert history[0] == before.kept
    # Nothing new: nothing is judged, nothing is kept, also after a restart.
    again = auditor.Auditor(one.gathering, VerdictStore(one.ledger))
    assert again.look(UNTIL, NOW_S + 1800) == []
    assert len(one.store.history("l1", "down", UNTIL)) == 2


SAID = Recorded("Sari", "root", 1)


def heard(ground: Lines, kind: HearingKind, day: date, until: date = UNTIL) -> int:
    hearing = Hearing(Scope(provider="P"), until, kind, day, "raw data, 84 days", None)
    return ground.ledger.registers.hearings.add(hearing, SAID).id


def pending(ground: Lines, day: date) -> list[str]:
    """What the accusation waits for beside gates, looked at on this day."""
    ground.auditor.look(
        UNTIL, int(datetime(day.year, day.month, day.day, 5, tzinfo=UTC).timestamp())
    )
    (given,) = ground.answers.verdicts()
    assert given.kept.verdict.finding is Finding.NOT_DEDICATED
    return [one.value for one in given.kept.verdict.pending if one is not Pending.GATES]


def test_an_accusation_waits_until_its_provider_had_its_say(one: Lines) -> None:
    one.tested("l1", line.contended)
    first, days = UNTIL + timedelta(days=2), timedelta(days=1)
    assert pending(one, first) == ["rebuttal"]
    # What was delivered for an earlier look does not hold this one's tests.
    heard(one, HearingKind.DELIVERED, first - 20 * days, UNTIL - 10 * days)
    assert pending(one, first + days) == ["rebuttal"]
    heard(one, HearingKind.DELIVERED, first)
    assert pending(one, first + 13 * days) == ["rebuttal"]
    revisions = len(one.store.history("l1", "down", UNTIL))
    assert pending(one, first + 14 * days) == []
    assert pending(one, first + 40 * days) == []
    # The days that pass make one revision, when they are over, and no other.
    assert len(one.store.history("l1", "down", UNTIL)) == revisions + 1
    assert one.found("l1")["rebuttal"]["delivered"] == first.isoformat()


def test_an_answer_ends_the_waiting_and_an_objection_begins_another(one: Lines) -> None:
    one.tested("l1", line.contended)
    day = UNTIL + timedelta(days=3)
    wrong = heard(one, HearingKind.ACCEPTED, day)
    assert pending(one, day) == []
    hearings = one.ledger.registers.hearings
    hearings.close(wrong, Closing(ClosedAs.CANCELLED, "of another link", SAID))
    assert pending(one, day) == ["rebuttal"]
    objection = heard(one, HearingKind.OBJECTED, day)
    assert pending(one, day) == ["objection"]
    hearings.close(objection, Closing(ClosedAs.SETTLED, "the box was checked on site", SAID))
    assert pending(one, day) == []
    assert one.found("l1")["rebuttal"]["answered"] == day.isoformat()


def test_an_objection_to_an_earlier_look_stands_until_it_is_settled(one: Lines) -> None:
    one.tested("l1", line.contended)
    earlier = UNTIL - timedelta(days=30)
    objection = heard(one, HearingKind.OBJECTED, earlier, earlier)
    heard(one, HearingKind.ACCEPTED, UNTIL)
    assert pending(one, UNTIL + timedelta(days=1)) == ["objection"]
    closing = Closing(ClosedAs.SETTLED, "cleared up", SAID)
    one.ledger.registers.hearings.close(objection, closing)
    assert pending(one, UNTIL + timedelta(days=1)) == []


def test_anothers_hearing_is_not_this_links(one: Lines) -> None:
    one.tested("l1", line.contended)
    hearing = Hearing(Scope(provider="B"), UNTIL, HearingKind.ACCEPTED, UNTIL, "fine", None)
    one.ledger.registers.hearings.add(hearing, SAID)
    assert pending(one, UNTIL + timedelta(days=1)) == ["rebuttal"]


def test_an_unchanged_link_gets_no_revision_when_another_one_changes(lines: Lines) -> None:
    lines.tested("few", line.dedicated, days=9)
    lines.tested("good", line.dedicated, days=9)
    lines.auditor.look(UNTIL, NOW_S)
    box = lines.boxes["good"]
    lines.take([line.batch(box, [line.transfer("good", EVENING)])])
    lines.auditor.look(UNTIL, NOW_S + 1)
    revisions = [len(lines.store.history(link, "down", UNTIL)) for link in ("few", "good")]
    assert revisions == [1, 2]


def test_looks_are_the_newest_day_and_the_last_months_ends() -> None:
    def at(day: int, hour: int) -> int:
        return int(datetime(2026, 7, day, hour, tzinfo=UTC).timestamp())

    assert due(at(15, 5)) == [
        date(2026, 6, 1),
        date(2026, 7, 1),
        date(2026, 7, 15),
    ]
    # 00:30 in the west: boxes may still deliver what the day before was.
    assert due(at(15, 17) + 1800)[-1] == date(2026, 7, 15)
    assert due(at(15, 18))[-1] == date(2026, 7, 16)


def test_the_window_names_the_look(one: Lines) -> None:
    one.tested("l1", line.dedicated)
    one.auditor.step(NOW_S)
    assert one.answers.until("2026-06") == UNTIL
    assert one.answers.until("2026-07-01") == UNTIL
    assert one.answers.until("2026-03") is None
    assert one.answers.verdicts("2026-03") == []
    (formal,) = one.answers.verdicts("2026-06")
    assert formal.kept.verdict.until == UNTIL
    for wrong in ("June", "2026-13", "2026-02-31"):
        with pytest.raises(ValueError, match="expected a month such as 2026-10"):
            one.answers.verdicts(wrong)


def reasons(ground: Lines, tests: list[line.Transfer], **changes: object) -> list[str]:
    ground.take([line.batch(ground.boxes["l1"], tests, **changes)])
    return [trial.reason for trial in ground.trials("l1")]


BUSY_CARD = line.HubLoad(cpu_ratio=0.1, nic_bits_per_s=8 * 10**8, nic_speed_mbps=1000)
EVENING = at_ns(UNTIL - timedelta(days=1), 19.5)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({}, ""),
        ({"outcome": T.UNFIT}, "unfit"),
        ({"outcome": T.HUB_UNFIT}, "hub_unfit"),
        ({"outcome": T.FAILED}, "failed"),
        ({"hub": line.HubLoad(cpu_ratio=0.9)}, Doubt.HUB),
        ({"hub": BUSY_CARD}, Doubt.HUB),
        ({"box": line.MeasuringBox(fit=False)}, Doubt.BOX),
        ({"box": line.MeasuringBox(fit=True, full_duplex=False)}, Doubt.BOX),
        ({"box": line.MeasuringBox(fit=True, speed_mbps=10)}, Doubt.BOX),
        ({"offered": (Offer(0, 5_000_000), Offer(NS, 9_500_000))}, Doubt.NOT_FIXED),
        ({"offered": (Offer(0, 5_000_000),)}, Doubt.DEMAND),
        ({"offered": (Offer(0, 5_000_000),), "cpe": ()}, ""),
        ({"offered": (), "method": Method.TCP}, ""),
    ],
)  # fmt: skip
def test_a_test_counts_or_says_why_not(one: Lines, changes: dict[str, object], reason: str) -> None:
    assert reasons(one, [line.transfer("l1", EVENING, **changes)]) == [reason]


@pytest.mark.parametrize("outcome", [T.SKIPPED_BUSY, T.SKIPPED_BUDGET, T.NO_SLOT])
def test_what_was_skipped_was_due_and_not_made(one: Lines, outcome: T) -> None:
    one.take([line.batch(one.boxes["l1"], [line.skipped("l1", EVENING, outcome)])])
    (case,) = one.gathering.cases(Look(UNTIL, UNTIL))
    (test,) = case.tests
    assert (test.valid, test.reason, test.achieved_mbps) == (False, outcome.value, None)
    one.auditor.look(UNTIL, NOW_S)
    assert one.found("l1")["used"]["rejected"][0]["reason"] == outcome.value


def test_a_box_without_a_clock_accuses_nobody(one: Lines) -> None:
    lost = {"sealed_wall_ns": 5 * NS, "clock": ClockClass.D}
    box, test = one.boxes["l1"], line.transfer("l1", EVENING)
    one.take([box.batch([test], **lost)], received_s=(EVENING + BEGIN_NS) // NS + 60)
    (trial,) = one.trials("l1")
    assert (trial.reason, trial.clock) == (Doubt.CLOCK, False)


def test_users_traffic_is_added_and_without_it_a_test_can_only_clear(one: Lines) -> None:
    rest = line.transfer("l1", EVENING, 0.70, cpe=line.counters("l1", EVENING, 0.70, users=0.24))
    later = EVENING + 3600 * NS
    blind = line.transfer("l1", later, 0.70, cpe=())
    last = later + 600 * NS
    tcp = line.transfer("l1", last, 0.70, method=Method.TCP)
    one.take([line.batch(one.boxes["l1"], [rest, blind, tcp])])
    first, second, third = one.trials("l1")
    assert first.attainment == pytest.approx(0.94, abs=1e-3)
    assert (first.quality, second.quality, third.quality) == ("A", "B", "B")
    assert second.attainment == third.attainment == pytest.approx(0.70)


def test_what_the_load_did_is_told_of_the_record_and_the_days_promise(one: Lines) -> None:
    flow = Flow(
        bytes_sent=8_000_000, bytes_retransmitted=80_000, rtt_ns=[30 * MS], min_rtt_ns=8 * MS
    )
    tcp = line.transfer("l1", EVENING + NS, 0.80, method=Method.TCP, offered=(), tcp=(flow,))
    one.take([line.batch(one.boxes["l1"], [line.transfer("l1", EVENING), tcp])])
    udp, carried = one.trials("l1")
    assert (udp.bufferbloat, udp.pdv_s, udp.reordering_ratio) == ("A", 0.004, 8 / 8000)
    assert udp.rtt_rise_s == pytest.approx(0.02)
    assert (udp.tcp, udp.bandwidth_delay_octets) == (None, None)
    # The contract leaves 10 Mbit/s of IP packets, of which 8 came; 22 ms more than 8.
    assert carried.tcp == pytest.approx((1.25, 99.0, 275.0), rel=0.02)
    assert carried.bandwidth_delay_octets == pytest.approx(10_000, rel=1e-3)


def test_a_rate_that_the_contract_counts_on_the_wire_leaves_less(tmp_path: Path) -> None:
    cir = Cir(layer=Layer.L1, domestic=Rates(down_bps=line.BITS, up_bps=2 * line.BITS))
    ground = Lines(tmp_path / "ledger.db", "l1", cir=cir)
    up = line.transfer("l1", EVENING + 60 * NS, direction=WireDirection.UP, cpe=())
    ground.take([line.batch(ground.boxes["l1"], [line.transfer("l1", EVENING), up])])
    down, rising = ground.trials("l1")
    assert down.attainment == pytest.approx(0.95 / 0.972763, abs=1e-3)
    assert rising.attainment == pytest.approx(0.95 / 0.972763 / 2, rel=1e-5)
    ground.close()


def test_what_is_ordered_is_shown_and_not_judged(one: Lines) -> None:
    ordered = line.transfer("l1", EVENING, 0.5, purpose=Purpose.ORDERED)
    one.take([line.batch(one.boxes["l1"], [ordered])])
    assert one.gathering.cases(Look(UNTIL, UNTIL)) == []
    (told,) = one.answers.tests("l1", "2026-06", NOW_S)
    assert told.counts and not told.drawn


def test_a_test_under_another_rate_is_not_held_to_todays(one: Lines) -> None:
    one.tested("l1", line.flat, days=20)
    change = UNTIL - timedelta(days=10)
    half = Cir(layer=Layer.IP, domestic=Rates(down_bps=line.BITS // 2, up_bps=line.BITS))
    rows = (
        contract(link="l1", cir=half, last_day=change - timedelta(days=1)),
        contract(link="l1", reference="K-2", first_day=change),
    )
    one.contracts = Contracts(rows)
    (case,) = one.gathering.cases(Look(UNTIL, UNTIL))
    other = [test for test in case.tests if test.reason == Doubt.OTHER_PROMISE]
    assert (len(case.tests), len(other)) == (160, 80)
    assert one.trials("l1")[0].attainment == pytest.approx(2 * line.flat(0, 2), abs=1e-6)


def outage(start_s: int, cause: Cause, charge: Charge) -> Outage:
    return Outage(
        link="l1",
        start=Edge(start_s, start_s - 0.5, start_s + 0.5),
        end=Edge(start_s + 30, start_s + 29, start_s + 31),
        state=State.DOWN,
        cause=cause,
        charge=charge,
        witnesses=(),
        why="",
        event=None,
        settled=True,
    )


def test_outages_make_stability_and_site_faults_spoil_tests(one: Lines) -> None:
    one.tested("l1", line.dedicated)
    at_s = (EVENING + BEGIN_NS) // NS
    first_s = at_s - 60 * 86_400
    # A strip begins where something was heard; the outages are said as the settling says them.
    one.outages.keep_intervals("l1", Span(first_s, NOW_S), [Interval(first_s, NOW_S, State.UP)])
    said = [outage(first_s + 600 * k, Cause.ACCESS_LINK, Charge.PROVIDER) for k in range(20)]
    tested_s = one.trials("l1")[-1].start_ns // NS
    said.append(outage(tested_s + 5, Cause.CPE_RESTART, Charge.UNKNOWN))
    one.outages.say(Lane.EVIDENCE, [Revision(None, False, row) for row in said], NOW_S)
    one.auditor.look(UNTIL, NOW_S)
    assert one.trials("l1")[-1].reason == Doubt.SITE
    (given,) = one.answers.verdicts()
    stable = given.kept.verdict.stability
    assert stable is not None
    assert (stable.steadiness, stable.outages) == (Steadiness.FLAPPING, 20)
    assert len(stable.episodes) == 1
    assert "flapping" in given.kept.statement


def test_long_tests_show_a_bucket_below_the_promise(one: Lines) -> None:
    octets = [round(0.96 * line.BITS / 80)] * 200 + [round(0.5 * line.BITS / 80)] * 400
    for week in range(6):
        night = at_ns(UNTIL - timedelta(days=3 + 7 * week), 3.0)
        long = line.transfer("l1", night, octets=octets, duration_ns=60 * NS)
        one.take([line.batch(one.boxes["l1"], [long])])
    one.auditor.look(UNTIL, NOW_S)
    shape = one.answers.verdicts()[0].kept.verdict.shaping
    assert (shape.shape, shape.runs) == (Shape.SHAPED_BELOW_CIR, 6)
    assert shape.sustained_mbps == pytest.approx(5.0)
    assert shape.knee_megabytes == pytest.approx(24.0)


def test_sites_of_a_pop_that_share_are_told_in_both_verdicts(tmp_path: Path) -> None:
    ground = Lines(tmp_path / "ledger.db", "a", "b")
    for link in ("a", "b"):
        ground.tested(link, line.dedicated, days=3)
    bare = Experiment(
        experiment_id="00" * 16,
        pop="P1",
        direction=WireDirection.DOWN,
        method=Method.UDP,
        duration_s=10,
        nodes={"a": "n-a", "b": "n-b"},
        repeats=10,
        seed="7",
        created_wall_ns=(NOW_S - 5 * 86_400) * NS,
        pairs=12,
        state=ExperimentState.DONE,
    )
    results = tuple(
        Result(
            pair=pair,
            together=row.together,
            link=link,
            bits_per_s=0.5 * line.BITS if row.together else 0.95 * line.BITS,
            order_id="",
        )
        for pair in range(12)
        for row in draw(bare, pair)
        for link in row.links
    )
    ground.experiments.append(msgspec.structs.replace(bare, results=results))
    ground.auditor.look(UNTIL, NOW_S)
    for said in ground.answers.verdicts():
        found = said.kept.verdict.together
        assert found is not None
        assert (found.sharing, found.repeats, found.wins) == (Sharing.OVERSUBSCRIBED, 12, 12)
        assert found.contention == pytest.approx(2.0)
        assert said.kept.verdict.direction is Direction.DOWN
    ground.close()


def test_a_ledger_without_tests_has_looks_and_no_verdicts(one: Lines) -> None:
    assert one.answers.verdicts() == []
    one.auditor.step(NOW_S)
    assert one.store.looks()[-1] == UNTIL
    assert one.answers.verdicts() == []


COUNTS = st.integers(0, 2**63 - 1) | st.integers(0, 10**7)
BINS = st.lists(COUNTS, max_size=40)
LOADS = st.lists(st.integers(1, 10**11), max_size=2)


@given(
    outcome=st.sampled_from([T.DONE, T.UNFIT, T.FAILED]),
    octets=BINS,
    rates=LOADS,
    counted=st.lists(COUNTS, min_size=4, max_size=4),
    duration_s=st.none() | st.integers(0, 300),
    bin_ns=st.sampled_from([10**6, 10**8, 10**9, 6 * 10**10]),
    method=st.sampled_from([Method.UDP, Method.TCP]),
)
@settings(max_examples=200, deadline=None)
def test_whatever_a_record_claims_it_makes_a_trial_that_the_audit_takes(
    outcome: T,
    octets: list[int],
    rates: list[int],
    counted: list[int],
    duration_s: int | None,
    bin_ns: int,
    method: Method,
) -> None:
    """An agent's nonsense spoils its own test and no look at a thousand links."""
    first, second = line.counters("l1", EVENING, 0.9)
    claimed = line.transfer(
        "l1",
        EVENING,
        outcome=outcome,
        octets=octets or [0],
        offered=tuple(Offer(NS * k, rate) for k, rate in enumerate(rates)),
        cpe=(
            msgspec.structs.replace(first, in_octets=counted[0], in_packets=counted[1]),
            msgspec.structs.replace(second, in_octets=counted[2], in_packets=counted[3]),
        ),
        duration_ns=None if duration_s is None else duration_s * NS,
        bin_ns=bin_ns,
        method=method,
        tcp=(
            Flow(bytes_sent=counted[0], bytes_retransmitted=counted[1], rtt_ns=[counted[2] % NS]),
        ),
    )
    promised = contract(link="l1")
    subject = Subject("l1", lambda day: promised, "WIB", None)
    found = trial(Made(claimed, (EVENING + BEGIN_NS) // NS, PlacedBy.ANCHOR, 10**6), subject)
    look = Look(UNTIL, UNTIL)
    case = case_of(subject, Direction.DOWN, [found], Beside(), look)
    assert case is not None
    (verdict,) = dedicated.audit([case], look)
    assert verdict.finding is Finding.INSUFFICIENT
    assert found.counts == (found.attainment is not None)
    assert json.dumps(verdict_answers.test(found, "WIB"), allow_nan=False)
