"""Outages across midnights: of WIB at a month's end, of another zone, and of UTC.

Signed batches of boxes go through the real ingest of a collector whose clock stands at a time of
the test's choice; nobody waits for a month.
"""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from runtime.testing import FakeClock
from tests.collector.hub import Hub, serving, settings_in
from tests.collector.kit import SECOND, WALL_AT_BOOT, Box, anchor, heartbeat, train
from tests.endtoend.promised import Promise, contracts
from wire.codec import Record

WIB_MIDNIGHT = int(datetime(2026, 9, 30, 17, tzinfo=UTC).timestamp())
"""October begins in WIB; in WIT it began two hours before."""
UTC_MIDNIGHT = int(datetime(2026, 9, 30, tzinfo=UTC).timestamp())
BEFORE_S, AFTER_S = 40, 65
"""Of each outage, before and after its midnight."""
SPAN_S = 300
"""Measured before and after each midnight."""
LINKS = {"l1": "WIB", "l2": "WIT"}


def boot_s(wall_s: int) -> int:
    return wall_s - WALL_AT_BOOT // SECOND


def minute(link: str, at_s: int, seq: int) -> list[Record]:
    """One minute of packets, lost around both midnights, to the hub and to an anchor."""
    lost = [
        any(-BEFORE_S <= at - midnight < AFTER_S for midnight in (UTC_MIDNIGHT, WIB_MIDNIGHT))
        for at in range(at_s, at_s + 60)
    ]
    rtts = [None if gone else 20.0 for gone in lost]
    told = None if lost[-1] else anchor(boot_s(at_s + 59))
    # Half a second into each second, as no box sends exactly on it.
    at = {"link": link, "first_seq": seq, "boot_s": boot_s(at_s) + 0.5}
    return [
        train(rtts, **at),
        train(rtts, **at, target="anchor", probe="icmp", address="192.0.2.2"),
        train([1.0] * 60, **at, target="gateway", probe="icmp", address="192.168.0.1"),
        heartbeat(boot_s(at_s + 59), told),
    ]


@pytest.fixture
async def hub(tmp_path: Path) -> AsyncIterator[Hub]:
    boxes = {"l1": Box(1, "n1"), "l2": Box(2, "n2")}
    file = settings_in(tmp_path)
    etc = file.parent
    links = yaml.safe_load((etc / "links.yaml").read_text())
    for one in links["links"]:
        one["targets"] = [
            {"name": "anchor", "probe": "icmp", "role": "anchor", "address": "192.0.2.2"},
            {"name": "gateway", "probe": "icmp", "role": "gateway", "address": "192.168.0.1"},
        ]
    (etc / "links.yaml").write_text(yaml.safe_dump(links))
    promises = [Promise(link, "P", "POP-1", "2026-09-01", zone) for link, zone in LINKS.items()]
    (etc / "contracts.yaml").write_text(yaml.safe_dump(contracts(promises)))
    now = FakeClock(boot_ns=9_000 * SECOND, wall_ns=(WIB_MIDNIGHT + 7200) * SECOND)
    async with serving(tmp_path, *boxes.values(), clock=now) as hub:
        for midnight in (UTC_MIDNIGHT, WIB_MIDNIGHT):
            for at_s in range(midnight - SPAN_S, midnight + SPAN_S, 60):
                for link, box in boxes.items():
                    await hub.deliver(box.batch(minute(link, at_s, at_s - UTC_MIDNIGHT + SPAN_S)))
        await judged(hub)
        yield hub


async def outages(hub: Hub, link: str, **query: str) -> list[dict[str, Any]]:
    """DOWN ones of a link."""
    asked = "&".join(f"{name}={value}" for name, value in query.items())
    reply = await hub.get(f"/api/v1/links/{link}/outages?{asked}")
    assert reply.status == 200, reply.body
    return [one for one in msgspec.json.decode(reply.body) if one["state"] == "down"]


async def judged(hub: Hub) -> None:
    """Wait until all evidence was looked at."""
    for _ in range(300):
        found = [await outages(hub, link) for link in LINKS]
        if all(len(rows) == 2 and all(one["settled"] for one in rows) for rows in found):
            return
        await asyncio.sleep(0.1)
    raise AssertionError(f"not judged: {found}")


async def down_s(hub: Hub, link: str, month: str) -> int:
    """Seconds charged to the provider in a month."""
    reply = await hub.get(f"/api/v1/links/{link}/availability?month={month}")
    assert reply.status == 200, reply.body
    rows = msgspec.json.decode(reply.body)
    for row in rows:
        assert row["period_s"] == row["up_s"] + row["down_s"] + row["unknown_s"] + row["excluded_s"]
    return sum(row["down_s"] for row in rows)


async def test_an_outage_over_midnight_is_one_and_each_month_has_its_own_seconds(hub: Hub) -> None:
    for link in LINKS:
        found = [(one["start_s"], one["end_s"]) for one in await outages(hub, link)]
        assert found == [
            (midnight - BEFORE_S, midnight + AFTER_S) for midnight in (UTC_MIDNIGHT, WIB_MIDNIGHT)
        ]
    whole = BEFORE_S + AFTER_S
    assert await down_s(hub, "l1", "2026-09") == whole + BEFORE_S
    assert await down_s(hub, "l1", "2026-10") == AFTER_S
    assert await down_s(hub, "l2", "2026-09") == whole
    assert await down_s(hub, "l2", "2026-10") == whole
