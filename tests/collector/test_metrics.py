"""The /metrics page: a golden scenario, and what each series may and may not say."""

import importlib.metadata
import os
import re
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from collector import metrics as m
from collector.inventory import Inventory, Link, LinkTarget, Node, NodeKind
from collector.latency import BUCKETS_NS
from collector.ledger import PlacedBy, Placement, Stored, TargetSummary
from collector.standing import FROM_AUDIT
from runtime.clock import SECOND
from runtime.testing import FakeClock
from tests.collector.hub import Hub, later, samples, serving, settings_in
from tests.collector.kit import WALL_AT_BOOT, Box, anchor, entry, gap, heartbeat, reported, train
from wire import stamp
from wire.message import End, LinkTests, SpoolStatus, ThroughputStatus
from wire.observation import Outcome, Train
from wire.policy import Role

GOLDEN = Path(__file__).parents[1] / "golden" / "metrics.txt"
DOCUMENT = Path(__file__).parents[2] / "docs" / "metrics.md"
NODES = r"""
nodes:
  - id: n1
    name: "Desa \"Satu\" \\ {a=\"b\"}\n# TYPE x counter"
    kind: desa
    district: "Kec. A\\"
    latitude: -6.8901
    longitude: 106.7812
  - {id: n2, name: Dinas Dua, kind: opd, district: Kota}
"""
LINKS = """
links:
  - id: l1
    node: n1
    provider: Penyedia "A"
    medium: radio
    pop: POP-1
    circuit: SID 4700
    targets:
      - {name: gateway, probe: icmp, role: gateway, address: 192.168.1.1}
  - {id: l2, node: n2, provider: Penyedia B, medium: fibre, pop: POP-2}
"""


@asynccontextmanager
async def scenario(folder: Path, *, clock: FakeClock | None = None) -> AsyncIterator[Hub]:
    """Two links, one of them never heard; ten packets, two batches and a status of the other."""
    file = settings_in(folder)
    (file.parent / "nodes.yaml").write_text(NODES)
    (file.parent / "links.yaml").write_text(LINKS)
    open_stamp = {"host": "127.0.0.1", "port": 0, "address": "127.0.0.1", "authenticated": False}
    async with serving(folder, Box(), clock=clock, stamp=open_stamp) as hub:
        yield hub


async def play(hub: Hub, clock: FakeClock) -> None:
    box = Box()
    for seq in (0, 1, 2, 4, 5, 6, 7, 8, 9):
        packet = stamp.pack_sender(stamp.SenderPacket(seq, stamp.ntp64(seq * SECOND), 0x9282, 1))
        for _ in range(1 + (seq == 5)):  # one of them twice
            hub.collector.table.hear(packet, ("192.0.2.1", 4000), clock.boot_ns())
        clock.advance(SECOND)
    begin = 8_880
    reflected = [0, 1, 2, None, 3, None, None, 5, 6, 7]
    first = train(
        [None if one is None else 20.5 for one in reflected],
        reflector_seq=reflected,
        boot_s=begin,
    )
    outcomes = [Outcome.OK] * 4 + [Outcome.NOT_SENT]
    gateway = train(
        [0.4, 0.5, 0.6, 40, None], outcomes=outcomes, boot_s=begin, target="gateway", probe="icmp"
    )
    await hub.deliver(box.batch([first, gateway, heartbeat(begin + 9, anchor(begin + 5))]))
    second = train(
        [600.0, None], first_seq=60, boot_s=begin + 60, reflector_seq=[8, None], prior=(59, 7)
    )
    lost = gap(begin + 60, link="l1", target="hub", first_seq=10, last_seq=59, count=50)
    box.batch()  # under way somewhere: a hole
    await hub.deliver(box.batch([second, lost]))
    spool = SpoolStatus(
        batches_waiting=1,
        bytes_used=20_480,
        bytes_cap=268_435_456,
        oldest_boot_ns=40 * SECOND,
        dropped_observations=3,
    )
    tests = LinkTests(
        link="l1",
        month="2026-09",
        used_bytes=1_900_000_000,
        budget_bytes=3_000_000_000,
        last_test_wall_ns=WALL_AT_BOOT + begin * SECOND,
        ends={End.DONE: 40, End.BUSY: 2, End.MISSED: 0},
        deferred=7,
    )
    told = ThroughputStatus(links=(tests,))
    await hub.tell(box, box.status(targets=(reported(lost=2),), spool=spool, throughput=told))
    clock.advance(SECOND // 2)
    await hub.collector._refresh()


def without_the_audit(page: str) -> str:
    """The audit judges when it has time, so its series are in a golden file of their own."""
    names = tuple(family.name for family in FROM_AUDIT)
    kept = [
        line
        for line in page.splitlines(keepends=True)
        if not line.removeprefix("# HELP ").removeprefix("# TYPE ").startswith(names)
    ]
    return "".join(kept)


def without_the_trees_growth(page: str) -> str:
    """The first head is signed when there is time: over how many leaves, nobody knows before."""
    grown = r"^(pantau_collector_tree_(?:leaves|head_timestamp_seconds)) .*$"
    return re.sub(grown, r"\1 0.0", page, flags=re.MULTILINE)


async def test_the_page_is_what_the_golden_file_says(tmp_path: Path) -> None:
    """PANTAU_WRITE_GOLDEN=1 writes it anew: read the difference before it is kept."""
    clock = later()
    async with scenario(tmp_path, clock=clock) as hub:
        await play(hub, clock)
        version = importlib.metadata.version("pantau")
        page = (await hub.page()).replace(f'{{version="{version}"}}', '{version="VERSION"}')
    page = without_the_trees_growth(without_the_audit(page))
    if os.environ.get("PANTAU_WRITE_GOLDEN"):
        GOLDEN.write_text(page)
    assert page == GOLDEN.read_text()


async def test_a_scrape_asks_for_the_roads_it_wants_and_together_they_are_the_page(
    tmp_path: Path,
) -> None:
    told = roads_of_the_document()
    clock = later()
    async with scenario(tmp_path, clock=clock) as hub:
        await play(hub, clock)
        found = {road: await families(hub, f"?road={road}") for road in m.Road}
        for road, names in found.items():
            assert names and {told[name] for name in names} == {road}
        assert await families(hub, "?road=live&road=own") == found["live"] | found["own"]
        assert await families(hub, "") == found["evidence"] | found["live"] | found["own"]
        wrong = await hub.get("/metrics?road=fast")
        assert (wrong.status, wrong.body.decode()) == (
            400,
            "'fast' is not a valid Road: expected road=evidence, live, own\n",
        )


async def families(hub: Hub, query: str) -> set[str]:
    answer = await hub.get(f"/metrics{query}")
    return set(re.findall(r"^# TYPE (\S+)", answer.body.decode(), re.M))


def roads_of_the_document() -> dict[str, str]:
    rows = DOCUMENT.read_text().splitlines()
    cells = [row.split("|") for row in rows if row.startswith("| `pantau_")]
    return {row[1].strip(" `"): row[5].strip() for row in cells}


@pytest.mark.prometheus
def test_promtool_has_nothing_to_say() -> None:
    done = subprocess.run(
        ["promtool", "check", "metrics"],
        input=GOLDEN.read_text(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_no_line_of_the_golden_page_sets_a_timestamp() -> None:
    for line in GOLDEN.read_text().splitlines():
        if not line.startswith("#"):
            assert len(line.rpartition("}")[2].split()) == (1 if "}" in line else 2), line


async def test_counters_are_the_same_after_a_restart(tmp_path: Path) -> None:
    clock = later()
    async with scenario(tmp_path, clock=clock) as hub:
        await play(hub, clock)
        before = await hub.series()
    async with scenario(tmp_path, clock=clock) as hub:
        after = await hub.series()
        await hub.collector._refresh()
        heads = await hub.series()
    counters = {family.name for family in m.FROM_EVIDENCE} - {f.name for f in m.FROM_NEWEST}
    names = {name for name, _ in before if name.removesuffix("_bucket") in counters}
    assert {m.SENT.name, m.GAP.name, m.RTT.name + "_bucket", m.FORWARD.name} <= names
    for key, value in before.items():
        if key[0] in names:
            assert after[key] == value, key
    key = (m.MISSING.name, frozenset({"link": "l1", "node": "n1"}.items()))
    assert heads[key] == before[key] == 1


async def test_a_hostile_name_is_one_label_value_and_nothing_else(tmp_path: Path) -> None:
    async with scenario(tmp_path) as hub:
        page = await hub.page()
    assert "\n# TYPE x counter" not in page
    (info,) = [
        dict(labels)
        for (name, labels) in samples(page)
        if name == m.INFO.name and dict(labels)["link"] == "l1"
    ]
    assert info["node_name"] == 'Desa "Satu" \\ {a="b"}\n# TYPE x counter'
    assert info["district"] == "Kec. A\\"


@given(st.dictionaries(st.sampled_from(["a", "b", "c"]), st.text(), min_size=1))
def test_any_text_survives_as_a_label_value(pairs: dict[str, str]) -> None:
    page = f"x{m.labels(**pairs)} 1\n"
    (family,) = text_string_to_metric_families(page)
    (one,) = family.samples
    assert one.labels == pairs


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (2**53 + 1, "9007199254740993"),
        (0.1, "0.1"),
        (float("inf"), "+Inf"),
        (float("-inf"), "-Inf"),
        (float("nan"), "NaN"),
        (1e300, "1e+300"),
    ],
)
def test_a_number_keeps_its_full_precision(value: float, text: str) -> None:
    assert m.number(value) == text


# --- the evidence road --------------------------------------------------------------------

NODE = Node(id="n1", name="Desa", kind=NodeKind.DESA, district="K")
GATEWAY = LinkTarget(name="gateway", probe="icmp", role=Role.GATEWAY, address="10.0.0.1")


def inventory(**changes: object) -> Inventory:
    fields = {"id": "l1", "node": "n1", "provider": "P", "medium": "M", "pop": "X"}
    return Inventory((NODE,), (Link(**{**fields, "targets": (GATEWAY,), **changes}),))  # type: ignore[arg-type]


@pytest.fixture
def evidence() -> m.EvidenceSeries:
    series = m.EvidenceSeries()
    series.load(inventory(), {}, {})
    return series


NOW = WALL_AT_BOOT + 200 * SECOND
STORED = Stored(NOW, True, placement=Placement(WALL_AT_BOOT, 0, PlacedBy.ANCHOR))


def summary(*trains: Train) -> TargetSummary:
    return entry(Box().draft(trains)).targets[0]


def value(
    series: m.EvidenceSeries, name: str, *, target: str = "hub", now: int = NOW
) -> float | None:
    labels = {"link": "l1", "node": "n1", "target": target}
    page = m.page(series.pages(now))
    return samples(page).get((name, frozenset(labels.items())))


def test_known_targets_count_from_zero_and_unmeasured_ones_say_nothing(
    evidence: m.EvidenceSeries,
) -> None:
    assert value(evidence, m.SENT.name) == 0
    assert value(evidence, m.SENT.name, target="gateway") == 0
    assert value(evidence, m.FORWARD.name) == 0
    assert value(evidence, m.FORWARD.name, target="gateway") is None
    assert value(evidence, m.MEDIAN.name) is None


def test_targets_that_an_agent_makes_up_make_no_series(evidence: m.EvidenceSeries) -> None:
    before = m.page(evidence.pages(NOW))
    evidence.count(summary(train([20], target="x" * 128)), STORED)
    evidence.count(summary(train([20]))._replace(link="gone"), STORED)
    evidence.gap(("l1", "made-up"), 5)
    assert m.page(evidence.pages(NOW)) == before


def test_buckets_are_cumulative_and_end_at_the_count(evidence: m.EvidenceSeries) -> None:
    evidence.count(summary(train([0.5, 20, 20, 2500, None])), STORED)
    labels = [("link", "l1"), ("node", "n1"), ("target", "hub")]
    found = samples(m.page(evidence.pages(NOW)))
    buckets = [
        found[m.RTT.name + "_bucket", frozenset([*labels, ("le", bound)])]
        for bound in [*(repr(bound / 1e9) for bound in BUCKETS_NS), "+Inf"]
    ]
    assert buckets == [1, 1, 1, 1] + [3] * 12 + [4]
    assert found[m.RTT.name + "_count", frozenset(labels)] == 4
    assert found[m.RTT.name + "_sum", frozenset(labels)] == 2.5405


def test_when_half_is_lost_the_median_is_infinite_and_variation_is_of_what_came(
    evidence: m.EvidenceSeries,
) -> None:
    evidence.count(summary(train([20, 30, None, None, None])), STORED)
    assert value(evidence, m.MEDIAN.name) == float("inf")
    assert value(evidence, m.PDV.name) == 0.01
    evidence.count(summary(train([None] * 5, boot_s=110)), STORED)
    assert value(evidence, m.PDV.name) is value(evidence, m.JITTER.name) is None


def test_late_evidence_counts_and_does_not_pass_for_the_newest(
    evidence: m.EvidenceSeries,
) -> None:
    evidence.count(summary(train([40], boot_s=160)), STORED)
    evidence.count(summary(train([20], boot_s=100)), STORED)
    assert value(evidence, m.SENT.name) == 2
    assert value(evidence, m.MEDIAN.name) == 0.04


def test_the_newest_minute_is_not_shown_for_ever(evidence: m.EvidenceSeries) -> None:
    evidence.count(summary(train([40], boot_s=160)), STORED)
    end = WALL_AT_BOOT + 160 * SECOND
    assert value(evidence, m.MEDIAN.name, now=end + m.FRESH_NS) == 0.04
    assert value(evidence, m.MEDIAN.name, now=end + m.FRESH_NS + 1) is None
    assert value(evidence, m.SENT.name, now=end + m.FRESH_NS + 1) == 1
    evidence.count(summary(train([20], boot_s=220)), STORED)
    assert value(evidence, m.MEDIAN.name, now=end + m.FRESH_NS + 1) == 0.02


def test_a_reload_keeps_what_is_known_of_links_that_stay(evidence: m.EvidenceSeries) -> None:
    evidence.count(summary(train([40])), STORED)
    evidence.gap(("l1", "hub"), 3)
    counted_already = {("l1", "hub"): m.add(m.EMPTY_TALLY, summary(train([40] * 7)))}
    evidence.load(inventory(targets=()), counted_already, {("l1", "hub"): 9})
    assert value(evidence, m.SENT.name) == 1
    assert value(evidence, m.MEDIAN.name) == 0.04
    assert value(evidence, m.GAP.name) == 3
    assert value(evidence, m.SENT.name, target="gateway") is None


def test_gap_seconds_are_whole_slots_however_they_were_told(evidence: m.EvidenceSeries) -> None:
    evidence.load(inventory(interval_s=0.1), {}, {})
    for _ in range(10):
        evidence.gap(("l1", "hub"), 3)
    told_piecemeal = value(evidence, m.GAP.name)
    restarted = m.EvidenceSeries()
    restarted.load(inventory(interval_s=0.1), {}, {("l1", "hub"): 30})
    assert told_piecemeal == value(restarted, m.GAP.name) == pytest.approx(3.0)


async def test_the_age_of_what_waits_is_told_as_far_as_it_is_known(tmp_path: Path) -> None:
    name, label = "pantau_agent_spool_age_seconds", {"node": "n1", "agent": f"{1:032x}"}
    spool = {"bytes_used": 1, "bytes_cap": 2}
    box = Box()
    async with scenario(tmp_path) as hub:
        for waiting, oldest, age_s in ((0, None, 0.0), (2, 70 * SECOND, 30.0), (2, None, None)):
            status = SpoolStatus(batches_waiting=waiting, oldest_boot_ns=oldest, **spool)
            await hub.tell(box, box.status(spool=status))
            assert await hub.value(name, **label) == age_s
