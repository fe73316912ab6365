"""Contracts: which day is whose, what a version's digest names, and what the audit is told."""

import hashlib
import re
from datetime import date, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector import contracts, inventory
from collector.audit.calendar import Zone
from collector.audit.evidence import Span
from collector.audit.rules import Party, PowerProof, Term, Terms, UnavailabilityRule
from collector.contracts import (
    Cir,
    Contract,
    Contracts,
    Exclusions,
    Layer,
    Limit,
    Limits,
    Rates,
    SitePowerRule,
    midnight_s,
)
from collector.inventory import Inventory, Link, Node, NodeKind, Reach
from collector.maintenance import Refusal
from collector.plans import Promise
from collector.restitution import Rule, Tier
from runtime.settings import SettingsError
from tests.collector.contract_kit import contract
from wire.slot import MAX_BITS_PER_S

CONFIGS = Path(__file__).parents[2] / "configs"
DAY = 86_400
BLOCKS = [
    one for one in vars(contracts).values() if isinstance(one, type) and issubclass(one, Term)
]
BLOCKS.append(Tier)


def watched() -> Inventory:
    node = Node(id="n1", name="Desa", kind=NodeKind.DESA, district="Kec. A")
    return Inventory((node,), (Link(id="l1", node="n1", provider="P", medium="M", pop="POP-1"),))


def test_what_a_contract_does_not_say_is_the_standards_default_and_excludes_nothing() -> None:
    assert contract().terms() == Terms(
        availability_target=0.995,
        unavailability=UnavailabilityRule(bin_s=1, loss_threshold=0.5, bins_in=10, bins_out=10),
        minimum_outage_s=0,
        cpe_owner=Party.PROVIDER,
        site_power_excluded=False,
        site_power_proofs=(),
        internet=True,
    )


def test_the_audit_is_told_what_the_contract_agrees() -> None:
    agreed = contract(
        minimum_outage_s=300,
        cpe_owner=Party.CUSTOMER,
        internet=False,
        exclusions=Exclusions(site_power=SitePowerRule(proofs=(PowerProof.MAINS_SENSE,))),
    ).terms()
    assert (agreed.minimum_outage_s, agreed.cpe_owner, agreed.internet) == (300, "customer", False)
    assert agreed.site_power_excluded
    assert agreed.site_power_proofs == (PowerProof.MAINS_SENSE,)


@pytest.mark.parametrize(
    ("layer", "vlan", "share"),
    [
        (Layer.L1, False, 0.975293),
        (Layer.L1, True, 0.972763),
        (Layer.L2, False, 0.988142),
        (Layer.L2, True, 0.985545),
        (Layer.IP, True, 1.0),
    ],
)
def test_a_rate_at_a_layer_as_ip_packets(layer: Layer, vlan: bool, share: float) -> None:
    """Methodology 4.2."""
    cir = Cir(layer=layer, vlan=vlan, domestic=Rates(down_bps=1, up_bps=1))
    assert round(cir.ip_share(), 6) == share


def test_each_class_has_its_own_limit_and_nothing_is_promised_by_default() -> None:
    limits = Limits(domestic=Limit(rtt_s=0.01))
    assert limits.of(Reach.DOMESTIC).rtt_s == 0.01
    abroad = limits.of(Reach.INTERNATIONAL)
    assert (abroad.rtt_s, abroad.pdv_s, abroad.loss_ratio) == (None, None, None)


def test_a_digest_names_the_version_and_not_the_way_it_was_written(tmp_path: Path) -> None:
    file = tmp_path / "contracts.yaml"
    plain = (
        "contracts:\n  - {reference: K-1, signed_on: 2025-12-01, link: l1, provider: P,"
        " pop: POP-1, zone: WIB, first_day: 2026-01-01, last_day: 2026-12-31,"
        " availability_target: 0.995, fee_rupiah: 2_500_000, restitution: {rule: LIN},"
        " cir: {layer: ip, domestic: {down_bps: 10_000_000, up_bps: 10_000_000}}}\n"
    )
    file.write_text(plain)
    first = contracts.read(file, watched()).rows[0]
    file.write_text(
        "templates:\n  all: {zone: WIB, availability_target: 0.9950, provider: P, pop: POP-1,\n"
        "    exclusions: {}, limits: {domestic: {pdv_percentile: 99}}, restitution: {rule: LIN},\n"
        '    signed_on: "2025-12-01",\n'
        "    cir: {domestic: {up_bps: 10000000, down_bps: 10000000}, layer: ip, vlan: true}}\n"
        "contracts:\n  - {link: l1, reference: K-1, template: all, fee_rupiah: 2500000,\n"
        "    last_day: 2026-12-31, first_day: 2026-01-01}\n"
    )
    assert contracts.read(file, watched()).rows[0].digest() == first.digest()
    assert first == contract()
    assert len({first.digest(), contract(fee_rupiah=2_500_001).digest()}) == 2


def test_a_version_is_its_canonical_bytes() -> None:
    told = contract().canonical()
    assert told.startswith(b'{"availability_target":0.995,"cir":{"domestic":{"down_bps":10000000,')
    assert b'"first_day":"2026-01-01"' in told and b'"minimum_outage_s":0' in told
    assert b" " not in told
    assert contract().digest() == hashlib.sha256(told).hexdigest()
    assert msgspec.json.decode(told, type=Contract) == contract()


def test_every_day_has_its_contract_and_days_outside_have_none() -> None:
    first = contract(last_day=date(2026, 6, 30))
    second = contract(reference="K-2", first_day=date(2026, 7, 1), last_day=None)
    both = Contracts((second, first))
    assert both.contract_at("l1", date(2025, 12, 31)) is None
    assert both.contract_at("l1", date(2026, 1, 1)) is first
    assert both.contract_at("l1", date(2026, 6, 30)) is first
    assert both.contract_at("l1", date(2026, 7, 1)) is second
    assert both.contract_at("l1", date(2199, 12, 31)) is second
    assert both.contract_at("l2", date(2026, 7, 1)) is None


@pytest.mark.parametrize("zone", list(Zone))
def test_a_month_is_the_zones_own(zone: Zone) -> None:
    (period,) = Contracts((contract(zone=zone),)).periods("l1", 2026, 2)
    assert period.span.length_s == period.month_s == 28 * DAY
    # 2026-02-01T00:00:00Z is 1769904000
    assert period.span.start_s == 1_769_904_000 - zone.offset_s


def test_a_month_in_which_the_contract_changes_is_two_periods() -> None:
    first = contract(last_day=date(2026, 3, 9))
    second = contract(reference="K-2", first_day=date(2026, 3, 10))
    periods = Contracts((first, second)).periods("l1", 2026, 3)
    assert [(one.contract.reference, one.span.length_s // DAY) for one in periods] == [
        ("K-1", 9),
        ("K-2", 22),
    ]
    assert periods[0].span.end_s == periods[1].span.start_s
    assert {one.month_s for one in periods} == {31 * DAY}


def test_a_month_before_after_and_beside_contracts_has_no_period() -> None:
    one = Contracts((contract(first_day=date(2026, 3, 31), last_day=date(2026, 3, 31)),))
    assert one.periods("l1", 2026, 2) == one.periods("l1", 2026, 4) == ()
    assert one.periods("l2", 2026, 3) == ()
    (period,) = one.periods("l1", 2026, 3)
    start_s = midnight_s(date(2026, 3, 31), Zone.WIB)
    assert period.span == Span(start_s, start_s + DAY)


def test_december_ends_with_the_year() -> None:
    (period,) = Contracts((contract(last_day=None),)).periods("l1", 2027, 12)
    assert period.span.end_s == midnight_s(date(2028, 1, 1), Zone.WIB)


@given(
    st.lists(st.integers(1, 90), min_size=1, max_size=8),
    st.randoms(use_true_random=False),
    st.integers(-3, 3).filter(bool),
)
def test_contracts_that_follow_each_other_fit_in_any_order_and_one_day_off_do_not(
    lengths: list[int], random: Any, off: int
) -> None:
    rows, day = [], date(2026, 1, 1)
    for number, length in enumerate(lengths):
        last = day + timedelta(days=length - 1)
        rows.append(contract(reference=f"K-{number}", first_day=day, last_day=last))
        day = last + timedelta(days=1)
    shuffled = random.sample(rows, len(rows))
    good = contracts.check(Path("c.yaml"), tuple(shuffled), watched())
    covered = [good.contract_at("l1", rows[0].first_day + timedelta(days=k)) for k in range(90)]
    assert covered == [
        next((r for r in rows if r.covers(rows[0].first_day + timedelta(k))), None)
        for k in range(90)
    ]
    moved = contract(reference="late", first_day=day + timedelta(days=off), last_day=None)
    with pytest.raises(SettingsError, match="overlap" if off < 0 else "gap"):
        contracts.check(Path("c.yaml"), (*shuffled, moved), watched())


def test_periods_add_up_to_the_month() -> None:
    rows, day = [], date(2026, 1, 1)
    for number in range(31):
        rows.append(contract(reference=f"K-{number}", first_day=day, last_day=day))
        day += timedelta(days=1)
    periods = Contracts(tuple(rows)).periods("l1", 2026, 1)
    assert sum(one.span.length_s for one in periods) == periods[0].month_s
    assert all(one.span.end_s == two.span.start_s for one, two in pairwise(periods))


def test_the_shipped_example_shows_a_change_of_contract_and_a_template() -> None:
    both = inventory.read(CONFIGS / "nodes.yaml", CONFIGS / "links.yaml")
    shipped = contracts.read(CONFIGS / "contracts.yaml", both)
    assert [one.reference for one in shipped.of("diskominfo-fo")] == [
        "027/112/SPK/2025",
        "027/131/SPK/2026",
    ]
    village = shipped.contract_at("sukamaju-radio", date(2026, 11, 25))
    assert village is not None
    assert village.restitution.rule is Rule.ESJ300
    assert village.exclusions.maintenance is not None
    assert contracts.notes(shipped, both) == []


def told_fields(form: type) -> set[str]:
    """Every field of a contract that can be written, those of its blocks too."""
    names = set()
    for field in msgspec.structs.fields(form):
        told = str(field.type)
        blocks = [one for one in BLOCKS if f"{one.__module__}.{one.__qualname__}" in told]
        names |= {field.name}.union(*(told_fields(block) for block in blocks))
    return names


def test_the_document_has_every_field_and_every_rule() -> None:
    text = (CONFIGS.parent / "docs" / "contracts.md").read_text()
    names = told_fields(Contract)
    assert {"bins_in", "pdv_percentile", "vlan", "report_within_s", "tiers"} <= names
    assert sorted(name for name in names if not re.search(rf"[`.]{name}[`.]", text)) == []
    assert [rule for rule in Rule if f"| {rule} |" not in text] == []
    assert [one for one in Refusal if f"`{one}`" not in text] == []


# --- what throughput tests take of a contract


def test_the_contract_of_the_day_names_the_rates_of_the_plan() -> None:
    faster = Cir(layer=Layer.L2, vlan=False, domestic=Rates(down_bps=2 * 10**12, up_bps=20_000_000))
    both = Contracts(
        (
            contract(last_day=date(2026, 6, 30)),
            contract(first_day=date(2026, 7, 1), cir=faster),
        )
    )
    change_s = midnight_s(date(2026, 7, 1), both.rows[1].zone)
    before, after = both.promise("l1", change_s - 1), both.promise("l1", change_s)
    assert before == Promise(10_000_000, 10_000_000, Layer.IP, True)
    assert after == Promise(MAX_BITS_PER_S, 20_000_000, Layer.L2, False)
    assert both.promise("l1", midnight_s(date(2025, 7, 1), both.rows[0].zone)) is None
    assert both.promise("l9", change_s) is None
