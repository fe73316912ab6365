"""Three hours without a link, replayed through a real collector into real stores.

The boxes' batches carry shifted clocks; they come in over HTTP as agents send them: the fresh one
first, then the backlog. What the stores tell of the gap is compared with the packets of the scene.
"""

import asyncio
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from collector.backfill import service
from collector.backfill.remote_write import REASONS
from runtime.clock import SECOND
from runtime.testing import FakeClock
from tests.collector.backfill.stores import Prometheus, Store, VictoriaMetrics
from tests.collector.hub import Hub, serving, settings_in
from tests.collector.settle.district import T0, Site, batches, lost
from wire.batch import Batch
from wire.codec import decode_body
from wire.observation import Outcome, Train

pytestmark = [pytest.mark.prometheus, pytest.mark.victoria]
HOUR = 3600
CUT = (20 * 60, 20 * 60 + 3 * HOUR)
END_S = CUT[1] + 600
BOOTED_MS = 100_000
"""The boxes of a scene booted so long before it."""
NODES = [
    {"id": f"n-{name}", "name": name, "kind": "desa", "district": "K"} for name in ("cut", "fine")
]
LINKS = [
    {
        "id": name,
        "node": f"n-{name}",
        "provider": "P",
        "medium": "fibre",
        "pop": name,
        "targets": [
            {"name": "anchor", "probe": "icmp", "role": "anchor", "address": "192.0.2.9"},
            {"name": "gateway", "probe": "icmp", "role": "gateway", "address": "192.0.2.1"},
        ],
    }
    for name in ("cut", "fine")
]
ENDED = (T0 + END_S) // 60 * 60
"""A full minute after which nothing is asked."""


@pytest.fixture(autouse=True)
def _quick_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "LOOK_EVERY_S", 0.1)


@pytest.fixture
def stores(tmp_path: Path) -> Iterator[tuple[Store, Store]]:
    both = Prometheus(tmp_path / "prometheus"), VictoriaMetrics(tmp_path / "victoria")
    yield both
    for one in both:
        one.close()


async def sent_until(hub: Hub, endpoint: str, link: str) -> int:
    rows = await asyncio.to_thread(
        hub.ledger.rows,
        "SELECT sent_s FROM backfill_link WHERE endpoint=? AND link=?",
        (endpoint, link),
    )
    return int(rows[0][0]) if rows else 0


async def caught_up(hub: Hub, links: dict[str, int], *endpoints: str) -> None:
    """Wait until the endpoints have these links to 120 s before these seconds."""
    async with asyncio.timeout(60):
        for endpoint in endpoints:
            for link, until_s in links.items():
                while await sent_until(hub, endpoint, link) < T0 + until_s - 150:
                    await asyncio.sleep(0.1)


def place(folder: Path, *stores: Store, **changes: Any) -> None:
    """The collector's files."""
    endpoints = [
        {"name": type(one).__name__.lower(), "url": one.write_url, **changes} for one in stores
    ]
    file = settings_in(
        folder,
        backfill=endpoints,
        limits={"requests_per_minute": 1_000_000, "burst": 1_000_000},
    )
    (file.parent / "nodes.yaml").write_text(yaml.safe_dump({"nodes": NODES}))
    (file.parent / "links.yaml").write_text(yaml.safe_dump({"links": LINKS}))


async def test_a_range_query_over_the_gap_returns_the_agents_own_data(
    tmp_path: Path, stores: tuple[Store, Store]
) -> None:
    cut_box, cut = batches(Site("cut", hub=lost(CUT), anchor=lost(CUT)), 1, END_S)
    fine_box, fine = batches(Site("fine"), 2, END_S)
    place(tmp_path, *stores)
    clock = FakeClock(boot_ns=9_000 * SECOND, wall_ns=T0 * SECOND)
    async with serving(tmp_path, cut_box, fine_box, clock=clock) as hub:

        async def deliver(sealed: list[Batch]) -> None:
            for batch in sealed:
                await hub.deliver(batch)

        def reach(second: int) -> None:
            clock.now_wall_ns = max(clock.now_wall_ns, (T0 + second) * SECOND)

        before, waiting = cut[: CUT[0] // 60], cut[CUT[0] // 60 :]
        reach(CUT[0])
        await deliver(before)
        reach(END_S)
        await deliver(fine)
        # The stores are at the end of the gap before anything of the cut link comes.
        await caught_up(hub, {"fine": END_S, "cut": CUT[0]}, "prometheus", "victoriametrics")
        for store in stores:
            found = store.samples('{__name__=~"pantau_settled_.*",link="cut"}', ENDED, 4 * HOUR)
            newest = max(max(one) for one in found.values())
            assert newest <= (T0 + CUT[0]) * 1000
        await deliver([waiting[-1], *waiting[:-1]])
        await caught_up(hub, {"cut": END_S}, "prometheus", "victoriametrics")
        page = await hub.series()
    truth = told_by_the_agent(cut)
    for store in stores:
        check(store, truth)
    for name in ("prometheus", "victoriametrics"):
        label = frozenset({"endpoint": name}.items())
        assert page["pantau_collector_backfill_samples_sent_total", label] > 2 * 180 * 10
        assert page["pantau_collector_backfill_stuck", label] == 0
        assert page["pantau_collector_backfill_samples_resent_total", label] < 200
        refusals = [
            value
            for (series, labels), value in page.items()
            if series == "pantau_collector_backfill_samples_refused_total" and label <= labels
        ]
        assert len(refusals) == len(REASONS) and set(refusals) == {0}


def told_by_the_agent(sealed: list[Batch]) -> dict[int, float]:
    """Packets to the hub that were lost, by the millisecond of each batch's newest packet."""
    found: dict[int, float] = {}
    for batch in sealed:
        for record in decode_body(batch.body, batch.header.raw_len):
            if isinstance(record, Train) and record.target == "hub":
                at_ms = T0 * 1000 + record.end_boot_ns // 1_000_000 - BOOTED_MS
                found[at_ms] = sum(one is Outcome.TIMEOUT for one in record.outcome)
    return found


def check(store: Store, truth: dict[int, float]) -> None:
    wanted = 'link="cut",node="n-cut",target="hub"'
    until_ms = (T0 + END_S - 150) * 1000
    (samples,) = store.samples(f"pantau_settled_packets_lost{{{wanted}}}", ENDED, 5 * HOUR).values()
    expected = {at: value for at, value in truth.items() if at < until_ms}
    assert {at: value for at, value in samples.items() if at < until_ms} == expected
    # A graph over the gap, a point a minute: every packet to the hub was lost.
    start_s, end_s = T0 + CUT[0] + 120, T0 + CUT[1] - 120
    lost_a_minute = store.range(
        f"pantau_settled_packets_lost{{{wanted}}} / pantau_settled_packets_sent{{{wanted}}}",
        start_s,
        end_s,
        60,
    )
    assert lost_a_minute == [1.0] * ((end_s - start_s) // 60 + 1)
    median = store.range(f"pantau_settled_rtt_median_seconds{{{wanted}}}", start_s, end_s, 60)
    assert set(median) == {math.inf}
    gateway = 'pantau_settled_rtt_median_seconds{link="cut",target="gateway"}'
    assert set(store.range(gateway, start_s, end_s, 60)) == {0.02}
    hour = T0 + CUT[0] + 2 * HOUR
    hour -= hour % 60
    for state, seconds in (("down", 3600), ("up", 0), ("unknown", 0), ("degraded", 0)):
        told = f'sum_over_time(pantau_settled_state_seconds{{link="cut",state="{state}"}}[1h])'
        assert store.one(told, hour) == seconds, state
