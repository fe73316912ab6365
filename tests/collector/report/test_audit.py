"""The audit as one record, out of a real ledger: against a golden file, and number by number."""

import json
import os
from datetime import date
from fractions import Fraction
from pathlib import Path

import msgspec
import pytest

from collector.audit.availability import Judgement
from collector.audit.evidence import Span
from collector.audit.states import Charge
from collector.contracts import Contracts, Limit, Limits
from collector.report.document import canonical
from collector.report.gather import Wanted
from collector.report.record import Audit, LinkPart, PeriodPart, Scope
from tests.collector.kit import train
from tests.collector.report.scene import JUNE, LIMITS, NOW_S, NS, June, at
from tests.collector.settle import line
from wire.instant import ClockClass
from wire.journal import Anchor, Heartbeat

GOLDEN = Path(__file__).parents[2] / "golden" / "audit.json"


def part(audit: Audit, link: str) -> LinkPart:
    return next(one for one in audit.links if one.link == link)


def period(audit: Audit, link: str) -> PeriodPart:
    (found,) = part(audit, link).periods
    return found


def test_the_record_is_the_golden_one(audit: Audit) -> None:
    told = json.loads(canonical(msgspec.structs.replace(audit, software="any")))
    text = json.dumps(told, indent=1, sort_keys=True, ensure_ascii=False) + "\n"
    if os.environ.get("PANTAU_WRITE_GOLDEN"):
        GOLDEN.write_text(text)
    assert text == GOLDEN.read_text()


def test_the_same_evidence_is_the_same_bytes(june: June, audit: Audit) -> None:
    assert canonical(june.maker.audit(Wanted("2026-06"), NOW_S + 86_400)) == canonical(audit)


def test_seconds_add_up_and_follow_the_contract(audit: Audit) -> None:
    one = period(audit, "utara").availability
    assert one.period_s == 30 * 86_400 == one.excluded_s + one.counted_s
    assert one.counted_s == one.up_s + one.down_s + one.unknown_s
    assert (one.down_s, one.unknown_s, one.excluded_s) == (9_000 + 600 + 45 + 5_400, 1_200, 7_200)
    assert one.upper == float(1 - Fraction(one.down_s, one.counted_s))
    assert (one.judgement, one.outages, one.longest_s) == (Judgement.BREACHED, 4, 9_000)
    for link in audit.links:
        (days,) = (each.days for each in link.periods)
        assert len(days) == 30
        assert all(
            d.up_s + d.degraded_s + d.down_s + d.excluded_s + d.unknown_s == 86_400 for d in days
        )
        assert sum(d.down_s for d in days) == link.periods[0].availability.down_s


def test_every_outage_has_cause_charge_edges_and_evidence(audit: Audit) -> None:
    found = period(audit, "utara").outages
    assert [one.within_s for one in found] == [9_000, 7_200, 600, 45, 5_400, 1_200]
    first = found[0]
    assert (first.start_low_s, first.start_s) == (at(3, 9) - 0.5, at(3, 9))
    assert first.witnesses and first.why.startswith("gateway_answered")
    assert [one.event for one in found if one.event] == ["core-1"]
    assert found[1].charge is Charge.EXCLUDED
    # The batches of the two hours in which it began are named by their numbers in the chain.
    (bunch,) = first.batches
    assert bunch.first_seq <= bunch.last_seq


def test_excluded_time_names_the_notice_and_a_refused_one_says_why(audit: Audit) -> None:
    one = period(audit, "utara")
    assert [(e.notice, e.end_s - e.start_s) for e in one.excluded] == [(1, 7_200)]
    assert [(n.id, n.counted_s) for n in one.notices] == [(1, 7_200), (2, 0)]
    (refused,) = one.notices[1].refused
    assert refused.refusal == "not_approved"


def test_delay_jitter_and_loss_stand_beside_their_limits(audit: Audit) -> None:
    (one,) = period(audit, "utara").delays
    assert one.packets == 60 * one.batches and one.batches + one.batches_left_out == 360
    assert one.batches_left_out == 4
    assert one.rtt is not None and one.rtt.low_s is not None and one.rtt.high_s is not None
    # 95 % of 14 to 22.4 ms with a quarter more, evenings two of twelve.
    assert one.rtt.low_s < 0.0275 < one.rtt.high_s * 1.01
    assert (one.rtt_judgement, one.jitter_judgement) == (Judgement.MET, Judgement.MET)
    assert one.loss_ratio == one.lost / one.packets
    assert one.loss_judgement is Judgement.MET
    (far,) = period(audit, "bukit").delays
    assert far.rtt_judgement is None and far.rtt_p50 is not None


def test_attainment_by_hour_and_the_verdict_say_what_the_evening_lacks(audit: Audit) -> None:
    (down,) = period(audit, "utara").throughput
    assert (down.tests, down.counted, down.expected_mbps) == (240, 240, 10)
    by_hour = {one.hour: one.p50 for one in down.hours}
    assert set(by_hour) == {2, 4, 9, 14, 19, 20, 21, 22}
    assert by_hour[20] < 0.75 < 0.9 < by_hour[9]
    assert (down.bufferbloat, down.pdv_s, down.reordering_ratio) == ("A", 0.004, 0.001)
    assert down.rtt_rise_s == pytest.approx(0.02)
    (verdict,) = part(audit, "utara").verdicts
    assert verdict.finding == "not_dedicated" and "TIDAK" in verdict.summary["id"]
    assert verdict.explanation["en"]
    (good,) = part(audit, "selatan").verdicts
    assert good.finding == "dedicated" and good.explanation == {}


def test_restitution_shows_its_arithmetic_and_its_bound(audit: Audit) -> None:
    one = period(audit, "utara").restitution
    assert one.formula == "fee_rupiah * down_s / (month_s * target)"
    exact = Fraction(12_500_000 * 15_045) / (30 * 86_400 * Fraction(199, 200))
    assert Fraction(one.exact or 0) == exact
    assert one.rupiah == int(exact)
    assert one.at_most_rupiah == int(exact * 16_245 / 15_045)
    assert period(audit, "bukit").restitution.at_most_rupiah == 24_305
    assert audit.summary.restitution_rupiah == 72_919 + 3_472


def test_the_summary_counts_links_and_the_worst_come_first(audit: Audit) -> None:
    one = audit.summary
    assert (one.links, audit.without_contract) == (3, ("pasar",))
    assert (one.judgement.met, one.judgement.breached, one.judgement.indeterminate) == (1, 1, 1)
    assert [each.link for each in one.worst] == ["utara", "bukit", "selatan"]
    assert [each.month for each in one.trend] == [f"2026-0{k}" for k in range(1, 7)]
    assert one.trend[-1].rupiah == one.restitution_rupiah
    assert one.trend[-2].availability.met == 3
    assert one.dedicated == {
        "dedicated": 1, "not_dedicated": 1, "insufficient": 0, "not_judged": 1
    }  # fmt: skip


def test_providers_are_compared_under_equal_conditions(audit: Audit) -> None:
    whole = {one.provider: one for one in audit.providers}
    assert whole["PT Lintas Nusa"].links == 2
    assert whole["PT Serat & Kabel"].mean_to_restore_s == 15_045 / 4
    groups = [(one.medium, one.district, one.provider) for one in audit.equal_conditions]
    assert groups == [
        ("fibre", "Utara", "PT Lintas Nusa"),
        ("fibre", "Utara", "PT Serat & Kabel"),
        ("vsat", "Bukit", "PT Lintas Nusa"),
    ]
    cheap, dear, _ = audit.equal_conditions
    assert cheap.fee_per_mbps_rupiah == round(9_000_000 / 9.516)
    assert dear.fee_per_mbps_rupiah is not None
    assert dear.fee_per_mbps_rupiah > cheap.fee_per_mbps_rupiah


@pytest.mark.parametrize(
    ("scope", "links"),
    [
        (Scope(kind="link", value="utara"), ["utara"]),
        (Scope(kind="provider", value="PT Lintas Nusa"), ["selatan", "bukit"]),
        (Scope(kind="node", value="desa-bukit"), ["bukit"]),
        (Scope(kind="district", value="Utara"), ["utara", "selatan"]),
    ],
)
def test_a_scope_chooses_links(june: June, scope: Scope, links: list[str]) -> None:
    found = june.maker.audit(Wanted("2026-06", scope), NOW_S)
    assert [one.link for one in found.links] == links


def test_a_wrong_question_is_told_what_is_right(june: June) -> None:
    with pytest.raises(ValueError, match=r"no district 'Nowhere'; known: Bukit, Utara"):
        june.maker.audit(Wanted("2026-06", Scope(kind="district", value="Nowhere")), NOW_S)
    with pytest.raises(ValueError, match="expected the form 2026-11"):
        june.maker.audit(Wanted("June"), NOW_S)
    with pytest.raises(ValueError, match="has not begun"):
        june.maker.audit(Wanted("2026-12"), NOW_S)


def test_a_running_month_is_audited_so_far(june: June) -> None:
    found = june.maker.audit(Wanted("2026-06"), at(10, 12))
    one = period(found, "utara")
    assert not found.complete and one.end_s == at(10, 12)
    assert sum(d.up_s + d.down_s + d.excluded_s + d.unknown_s for d in one.days) == (
        at(10, 12) - JUNE.start_s
    )


def test_a_late_batch_changes_the_digest_of_the_evidence_and_the_hours_sums(own: June) -> None:
    before = own.maker.audit(Wanted("2026-06"), NOW_S)
    own.take("utara", [own.two_hours("utara", 30, 23)])
    after = own.maker.audit(Wanted("2026-06"), NOW_S)
    old, new = period(before, "utara"), period(after, "utara")
    assert new.evidence_batches == old.evidence_batches + 1
    assert new.evidence_sha256 != old.evidence_sha256
    assert new.delays[0].packets == old.delays[0].packets + 60
    assert period(after, "bukit").evidence_sha256 == period(before, "bukit").evidence_sha256


def test_hourly_sums_are_those_of_the_batches(june: June) -> None:
    span = Span(at(9, 0), at(9, 6))
    kept = june.maker.hours.delays("utara", "hub", span)
    raw = june.derived.delays("utara", "hub", span)
    assert [one.start_s for one in kept] == [at(9, hour) for hour in (0, 2, 4)]
    assert [one.rtts for one in kept] == [histogram for _, histogram in raw]
    assert june.maker.hours.delays("utara", "hub", span) == kept
    with pytest.raises(ValueError, match="full hours"):
        june.maker.hours.used("utara", Span(at(9, 0) + 1, at(9, 6)))


def test_a_promise_that_nothing_was_measured_for_is_undecided(own: June) -> None:
    limits = Limits(domestic=LIMITS.domestic, international=Limit(rtt_s=0.25))
    rows = [
        msgspec.structs.replace(one, limits=limits) if one.link == "selatan" else one
        for one in own.contracts.rows
    ]
    own.contracts = Contracts(tuple(rows))
    found = own.maker.audit(Wanted("2026-06", Scope(kind="link", value="selatan")), NOW_S)
    one = period(found, "selatan")
    assert [(d.target, d.rtt_judgement) for d in one.delays] == [
        ("hub", Judgement.MET),
        ("none", Judgement.INDETERMINATE),
    ]
    assert one.availability.judgement is Judgement.MET
    assert (one.judgement, found.summary.latency.indeterminate) == (Judgement.INDETERMINATE, 1)


def test_a_month_of_two_contracts_is_two_periods(own: June) -> None:
    old = next(one for one in own.contracts.rows if one.link == "utara")
    first = msgspec.structs.replace(old, last_day=date(2026, 6, 15))
    second = msgspec.structs.replace(
        old, first_day=date(2026, 6, 16), reference="K-2", availability_target=0.9
    )
    others = [one for one in own.contracts.rows if one.link != "utara"]
    own.contracts = Contracts((first, second, *others))
    found = own.maker.audit(Wanted("2026-06", Scope(kind="link", value="utara")), NOW_S)
    early, late = found.links[0].periods
    assert (early.end_s, late.start_s) == (at(16, 0), at(16, 0))
    assert (early.judgement, late.judgement) == (Judgement.BREACHED, Judgement.MET)
    assert found.links[0].judgement is Judgement.BREACHED
    assert early.restitution.fee_part_rupiah + late.restitution.fee_part_rupiah == 12_500_000
    assert found.summary.fee_rupiah == 12_500_000
    assert len(early.days) == len(late.days) == 15


def test_a_better_place_on_the_calendar_makes_the_hours_sums_anew(own: June) -> None:
    """A batch that only its arrival places is in no sum, until an anchor of its boot comes."""
    span = Span(at(29, 0), at(30, 0))
    before = own.maker.hours.delays("utara", "hub", span)
    box, boot = own.boxes["utara"], b"o" * 16
    box.begin(boot)
    boot_s = at(29, 7) - line.BEGIN_NS // NS
    told = train([15.0] * 60, boot_s=boot_s, link="utara", first_seq=boot_s)
    own.take("utara", [box.batch([told], sealed_wall_ns=0, clock=ClockClass.D)])
    assert own.maker.hours.delays("utara", "hub", span) == before
    beat = Heartbeat(
        boot_ns=(boot_s + 90) * NS,
        wall_ns=0,
        clock=ClockClass.D,
        anchor=Anchor((boot_s + 90) * NS, (boot_s + 90) * NS + line.BEGIN_NS, 5_000_000),
    )
    own.take("utara", [box.batch([beat], sealed_wall_ns=0, clock=ClockClass.D)])
    after = own.maker.hours.delays("utara", "hub", span)
    new = {one.start_s for one in after} - {one.start_s for one in before}
    assert new == {at(29, 7)}
