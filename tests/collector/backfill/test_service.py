"""The backfill of a running collector: killed in the middle, and by hand."""

import asyncio
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from collector.__main__ import main
from collector.audit.calendar import Zone
from collector.audit.evidence import Span
from collector.ledger.derived import DerivedStore
from collector.ledger.outages import OutageStore
from collector.ledger.sqlite import SqliteLedger
from collector.tickets import show_time
from tests.collector.backfill.receiver import Receiver, receiving
from tests.collector.hub import settings_in
from tests.collector.settle.district import T0, District, Site, lost

END_S = 3600
KEYS = ("id", "node", "provider", "medium", "pop")


def judged(folder: Path, *sites: Site, **endpoint: Any) -> Path:
    """A collector's folder whose ledger holds an hour of these sites, judged."""
    file = settings_in(
        folder, backfill=[{"name": "store", "max_age_s": 1e9, "batch_samples": 100, **endpoint}]
    )
    district = District(file.parent / "data" / "ledger.db", sites, END_S)
    district.take(district.batches)
    inventory = district.inventory
    nodes = [
        {"id": one.id, "name": one.name, "kind": "desa", "district": "K"}
        for one in inventory.nodes.values()
    ]
    targets = [
        {"name": "anchor", "probe": "icmp", "role": "anchor", "address": "192.0.2.9"},
        {"name": "gateway", "probe": "icmp", "role": "gateway", "address": "192.0.2.1"},
    ]
    links = [
        {**{key: getattr(one, key) for key in KEYS}, "targets": targets}
        for one in inventory.links.values()
    ]
    (file.parent / "nodes.yaml").write_text(json.dumps({"nodes": nodes}))
    (file.parent / "links.yaml").write_text(json.dumps({"links": links}))
    district.close()
    return file


def held(receiver: Receiver) -> dict[tuple[Any, int], float]:
    """Every sample; the same one twice is no harm, another value is."""
    found: dict[tuple[Any, int], float] = {}
    for labels, at_ms, value in receiver.stored:
        assert found.setdefault((labels, at_ms), value) == value
    return found


def sent_s(file: Path) -> dict[str, int]:
    ledger = SqliteLedger(file.parent / "data" / "ledger.db")
    rows = ledger.rows("SELECT link, sent_s FROM backfill_link")
    ledger.close()
    return dict(rows)


async def serve(file: Path) -> asyncio.subprocess.Process:
    with (file.parent / "log").open("ab") as log:
        return await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "collector",
            "serve",
            "--config.file",
            str(file),
            cwd=Path(__file__).parents[3],
            stdout=log,
            stderr=log,
        )


async def until(true: Any) -> None:
    async with asyncio.timeout(60):
        while not true():
            await asyncio.sleep(0.02)


def settled(file: Path, link: str) -> Span:
    ledger = SqliteLedger(file.parent / "data" / "ledger.db")
    DerivedStore(ledger)
    intervals = OutageStore(ledger).intervals(link, Span(0, 2**40))
    ledger.close()
    end_s = intervals[-1].end_s - 90
    return Span(intervals[0].start_s, end_s - end_s % 60)


async def test_a_collector_killed_in_the_middle_leaves_no_hole(tmp_path: Path) -> None:
    sites = [Site("a", hub=lost((600, 900))), Site("b"), Site("c")]
    async with receiving() as receiver:
        file = judged(tmp_path, *sites, url=receiver.url)
        running = await serve(file)
        # Stored, and the answer never arrives: the worst moment to be killed.
        reached, never = asyncio.Event(), asyncio.Event()

        async def hang() -> None:
            if len(receiver.requests) == 8:
                reached.set()
                await never.wait()

        receiver.after = hang
        async with asyncio.timeout(60):
            await reached.wait()
        before = len(held(receiver))
        os.kill(running.pid, signal.SIGKILL)
        await running.wait()
        receiver.after = None
        never.set()
        assert before > 0
        again = await serve(file)
        try:
            await until(lambda: len(sent_s(file)) == 3 and min(sent_s(file).values()) > T0 + 3300)
        finally:
            again.terminate()
            assert await again.wait() == 0
        found = held(receiver)
        assert len(receiver.stored) > len(found), "some went twice"
    for site in sites:
        span = settled(file, site.name)
        told: dict[str, list[int]] = {"packets_sent": [], "state_seconds": []}
        for labels, at_ms in found:
            name = dict(labels)["__name__"].removeprefix("pantau_settled_")
            if dict(labels)["link"] == site.name and name in told:
                told[name].append(at_ms // 1000)
        # Three targets' batches and four states, each minute.
        batches = range(T0 + 59, span.end_s, 60)
        minutes = range(span.start_s - span.start_s % 60 + 59, span.end_s, 60)
        assert sorted(told["packets_sent"]) == [at for at in batches for _ in range(3)]
        assert sorted(told["state_seconds"]) == [at for at in minutes for _ in range(4)]


def by_hand(file: Path, *options: str) -> Result:
    return CliRunner().invoke(main, ["backfill", "--config.file", str(file), *options])


def local(second: int) -> str:
    return show_time(T0 + second, Zone.WIB).removesuffix(" WIB")


async def test_a_period_is_sent_by_hand_and_the_cursors_stay(tmp_path: Path) -> None:
    async with receiving() as receiver:
        file = judged(tmp_path, Site("a"), Site("b"), url=receiver.url)
        first = -T0 % 60 + 600
        period = "--from", local(first), "--to", local(first + 600)
        done = await asyncio.to_thread(by_hand, file, *period)
        assert done.exit_code == 0, done.output
        # Ten minutes of two links, each with four states, 4 points of 3 targets.
        count = 2 * 10 * (4 + 3 * 4)
        assert done.stdout == f"store: {count} samples sent, refused: none\n"
        found = held(receiver)
        assert len(found) == count
        times = {at for _, at in found}
        assert min(times) >= (T0 + first) * 1000 and max(times) < (T0 + first + 600) * 1000
        assert sent_s(file) == {}
        done = await asyncio.to_thread(by_hand, file, *period, "--link", "b", "--endpoint", "store")
        assert done.stdout == f"store: {count // 2} samples sent, refused: none\n"
        assert held(receiver) == found


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--endpoint", "x"], "backfill: no endpoint 'x'; known: store"),
        (["--link", "x"], "no link 'x'"),
        (["--to", "2026-01-01 00:00"], "the period ends before it begins"),
        (["--from", "yesterday"], "expected"),
    ],
)
def test_what_cannot_be_sent_by_hand_is_one_line(
    tmp_path: Path, options: list[str], said: str
) -> None:
    file = judged(tmp_path, Site("a"), url="http://127.0.0.1:9/write")
    done = by_hand(file, "--from", local(0), "--to", local(600), *options)
    assert done.exit_code == 1
    assert said in done.stderr and done.stderr.count("\n") == 1


def test_an_endpoint_that_is_down_is_told_to_whoever_waits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("collector.backfill.send.LEAST_PAUSE_S", 0.001)
    file = judged(tmp_path, Site("a"), url="http://127.0.0.1:9/write")
    done = by_hand(file, "--from", local(0), "--to", local(600))
    assert done.exit_code == 1
    assert "endpoint 'store' takes nothing" in done.stderr
    assert "0 samples were sent before" in done.stderr
