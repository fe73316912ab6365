"""From a link's throughput block to the plan that its node gets."""

from pathlib import Path

import msgspec
import pytest

from collector import inventory
from collector.inventory import ReflectorAddress
from collector.plans import LinkThroughput, Promise, offset_s, plan_of
from wire.plan import Layer, ThroughputPlan
from wire.slot import Direction

PROMISE = Promise(20_000_000, 5_000_000, Layer.IP, False)


def plan(
    promise: Promise | None = None, *, village: bool = False, **told: object
) -> ThroughputPlan:
    block = msgspec.convert({"zone": "WIB"} | told, LinkThroughput)
    made = plan_of("l1", block, promise, village=village)
    assert made is not None
    return made


@pytest.mark.parametrize(
    ("zone", "seconds"),
    [("WIB", 25_200), ("WITA", 28_800), ("WIT", 32_400), ("+05:30", 19_800), ("-03:00", -10_800)],
)
def test_a_zone_is_an_offset(zone: str, seconds: int) -> None:
    assert offset_s(zone) == seconds
    assert plan(zone=zone, down_mbps=1).zone_offset_s == seconds


@pytest.mark.parametrize(
    "zone", ["", "wib", "7", "+7:00", "+14:01", "+07:60", "Asia/Jakarta", "+07:00\n"]
)
def test_what_is_no_zone_is_refused(zone: str) -> None:
    with pytest.raises(ValueError, match="expected WIB, WITA, WIT or an offset"):
        offset_s(zone)


def test_an_office_gets_eight_tests_a_day_and_a_village_two() -> None:
    office, village = plan(down_mbps=10), plan(down_mbps=10, village=True)
    assert (office.evening_tests, office.office_tests, office.night_tests) == (4, 2, 2)
    assert (village.evening_tests, village.office_tests, village.night_tests) == (1, 0, 1)
    told = plan(down_mbps=10, village=True, tests={"evening": 2, "night": 0})
    assert (told.evening_tests, told.office_tests, told.night_tests) == (2, 0, 0)


def test_rates_that_are_named_go_before_the_contracts() -> None:
    own = plan(PROMISE, down_mbps=10)
    assert (own.down_bits_per_s, own.up_bits_per_s) == (10_000_000, None)
    inherited = plan(PROMISE)
    assert (inherited.down_bits_per_s, inherited.up_bits_per_s) == (20_000_000, 5_000_000)
    assert (inherited.layer, inherited.vlan) == (Layer.IP, False)
    assert inherited.cir_ip(Direction.DOWN) == 20_000_000
    assert (plan(PROMISE, layer="l2", vlan=True).layer, plan(down_mbps=1).layer) == ("l2", "l1")


def test_without_any_rate_there_is_no_plan() -> None:
    assert plan_of("l1", LinkThroughput(zone="WIB"), None, village=False) is None


def test_the_budget_is_one_percent_of_a_month_unless_told() -> None:
    assert plan(down_mbps=10, up_mbps=10).budget_bytes == round(20e6 / 8 * 31 * 86_400 * 0.01)
    assert plan(down_mbps=10, budget_gb=0.5).budget_bytes == 500_000_000
    assert plan(down_mbps=10, budget_gb=0).budget_bytes == 0


def test_a_node_is_told_the_plans_of_its_own_links(tmp_path: Path) -> None:
    nodes, links = tmp_path / "nodes.yaml", tmp_path / "links.yaml"
    nodes.write_text(
        "nodes:\n  - {id: n1, name: A, kind: desa, district: D}\n"
        "  - {id: n2, name: B, kind: opd, district: D}\n"
    )
    row = (
        "  - {id: %s, node: %s, provider: P, medium: M, pop: X, interface: eth1,"
        " throughput: {zone: WIB%s}}\n"
    )
    links.write_text("links:\n" + row % ("l1", "n1", "") + row % ("l2", "n2", ", down_mbps: 50"))
    both = inventory.read(nodes, links, lambda link: PROMISE if link == "l1" else None)
    hub = ReflectorAddress("192.0.2.1", 862, True)
    first = both.policy("n1", hub, {"l1": 1, "l2": 2}).throughput
    second = both.policy("n2", hub, {"l1": 1, "l2": 2}).throughput
    assert [(one.link, one.down_bits_per_s, one.evening_tests) for one in (*first, *second)] == [
        ("l1", 20_000_000, 1),
        ("l2", 50_000_000, 4),
    ]
    assert {one.interface for one in (*first, *second)} == {"eth1"}
