"""The whole collector: pages for people and machines, reload, and an orderly end."""

import asyncio
import contextlib
import json
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import yaml

from collector.app import Collector
from collector.ledger.sqlite import SqliteLedger
from collector.settings import read
from runtime.settings import SettingsError
from runtime.testing import FakeClock
from tests.collector.hub import enrol_in, later, serving, settings_in
from tests.collector.kit import SECOND, Box, reported
from wire.batch import parse

LINK = "  - {{id: {0}, node: n1, provider: P, medium: M, pop: X}}\n"


async def test_health_and_readiness(tmp_path: Path) -> None:
    async with serving(tmp_path) as hub:
        healthy, ready = await hub.get("/-/healthy"), await hub.get("/-/ready")
        assert (healthy.status, healthy.body) == (200, b"Healthy\n")
        assert (ready.status, ready.body) == (200, b"Ready\n")
        hub.collector.pages.ready = False
        assert (await hub.get("/-/ready")).status == 503
        assert (await hub.get("/-/healthy")).status == 200


async def test_metrics_are_told_in_the_text_format(tmp_path: Path) -> None:
    async with serving(tmp_path) as hub:
        page = await hub.get("/metrics")
    assert page.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"


async def test_the_first_page_shows_names_and_never_runs_them(tmp_path: Path) -> None:
    file = settings_in(tmp_path)
    nodes = file.parent / "nodes.yaml"
    nodes.write_text(nodes.read_text().replace("Desa Satu", '"<script>alert(1)</script> & {rows}"'))
    clock = later()
    async with serving(tmp_path, Box(), clock=clock) as hub:
        box = Box()
        await hub.tell(box, box.status(targets=(reported(lost=10),)))
        page = await hub.get("/")
    text = page.body.decode()
    assert "<script>" not in text
    assert "alert(1)" in text
    assert page.headers["Content-Security-Policy"].startswith("default-src 'none'")


async def test_links_as_json_tell_null_where_nothing_is_known(tmp_path: Path) -> None:
    clock = later()
    async with serving(tmp_path, Box(), clock=clock) as hub:
        box = Box()
        await hub.deliver(box.batch())
        await hub.tell(box, box.status(targets=(reported(lost=1),)))
        await hub.collector._refresh()
        first, second = json.loads((await hub.get("/api/v1/links")).body)
    assert (first["link"], first["state"], first["provisional"]) == ("l1", "unknown", True)
    assert (first["rtt_median_s"], first["loss_ratio"]) == (0.02, 0.1)
    assert first["evidence_missing_batches"] == 0
    assert first["agent"] == box.agent_id.hex()
    unknown = ("rtt_median_s", "loss_ratio", "agent", "last_heard_age_s", "evidence_settled_s")
    assert {second[key] for key in unknown} == {None}


async def test_reload_takes_new_links_and_a_wrong_file_leaves_the_old_ones(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    ok = "pantau_collector_config_last_reload_successful"
    clock = later()
    async with serving(tmp_path, Box(), clock=clock) as hub:
        links = tmp_path / "etc" / "links.yaml"
        await hub.deliver(Box().batch())
        clock.advance(60 * SECOND)
        links.write_text(links.read_text() + LINK.format("l9"))
        reply = await hub.post("/-/reload")
        assert (reply.status, reply.body) == (200, b"3 links\n")
        assert await hub.value("pantau_link_state", link="l9", node="n1", state="unknown") == 1
        sent = {"link": "l1", "node": "n1", "target": "hub"}
        assert await hub.value("pantau_link_packets_sent_total", **sent) == 10
        reloaded = await hub.value(f"{ok.removesuffix('successful')}success_timestamp_seconds")
        assert reloaded == clock.wall_ns() / SECOND
        links.write_text("links: [{id: l9}]\n")
        reply = await hub.post("/-/reload")
        assert reply.status == 500
        assert b"links[0]: Object missing required field `node`" in reply.body
        assert await hub.value(ok) == 0
        assert await hub.value("pantau_link_state", link="l9", node="n1", state="unknown") == 1
        assert "nodes, links and contracts were not taken" in caplog.text
        links.write_text("links: []\n")
        assert (await hub.post("/-/reload")).status == 200
        assert await hub.value(ok) == 1
        assert await hub.value("pantau_link_state", link="l9", node="n1", state="unknown") is None


async def test_reload_takes_contracts_with_the_links_or_none_of_both(tmp_path: Path) -> None:
    async with serving(tmp_path, clock=later()) as hub:
        links, promised = (tmp_path / "etc" / f"{name}.yaml" for name in ("links", "contracts"))
        assert hub.collector.contracts.of("l1") == []
        shutil.copy(Path(__file__).parent / "testdata" / "promised" / "contracts.yaml", promised)
        assert (await hub.post("/-/reload")).status == 200
        assert [one.reference for one in hub.collector.contracts.of("l1")] == ["K-1", "K-2"]
        links.write_text(links.read_text() + LINK.format("l9"))
        promised.write_text(promised.read_text().replace("2026-07-01", "2026-06-30"))
        reply = await hub.post("/-/reload")
        assert reply.status == 500
        assert b"contracts[1].first_day: contracts[0] (K-1) and contracts[1] (K-2)" in reply.body
        assert await hub.value("pantau_link_state", link="l9", node="n1", state="unknown") is None
        assert [one.last_day for one in hub.collector.contracts.of("l1")] == [
            date(2026, 6, 30),
            None,
        ]


async def test_a_plan_without_rates_takes_those_of_the_contract_of_the_day(
    tmp_path: Path,
) -> None:
    async with serving(tmp_path, clock=later()) as hub:
        links, promised = (tmp_path / "etc" / f"{name}.yaml" for name in ("links", "contracts"))
        told = yaml.safe_load(links.read_text())
        told["links"][0]["throughput"] = {"zone": "WIB"}
        links.write_text(yaml.safe_dump(told))
        assert (await hub.post("/-/reload")).status == 200
        assert hub.collector.board.fleet.inventory.plans == {}
        shutil.copy(Path(__file__).parent / "testdata" / "promised" / "contracts.yaml", promised)
        assert (await hub.post("/-/reload")).status == 200
        (plan,) = hub.collector.board.fleet.inventory.plans.values()
        rates = hub.collector.contracts.rows[0].cir
        assert plan.down_bits_per_s == rates.domestic.down_bps
        assert (plan.layer, plan.vlan) == (rates.layer, rates.vlan)


async def test_an_agent_revoked_by_another_process_is_refused_within_seconds(
    tmp_path: Path,
) -> None:
    box = Box()
    async with serving(tmp_path, box) as hub:
        await hub.tell(box, box.status())
        other = SqliteLedger(tmp_path / "etc" / "data" / "ledger.db")
        other.revoke(box.agent_id, 5)
        other.close()
        await hub.collector._refresh()
        assert (await hub.post("/v1/batch", box.batch().to_bytes())).status == 403
        assert "pantau_agent_info{" not in await hub.page()


def test_serving_needs_the_address_at_which_agents_reach_the_reflector(tmp_path: Path) -> None:
    file = settings_in(tmp_path, stamp={"port": 0})
    with pytest.raises(SettingsError, match=r"collector\.yaml: stamp\.address: missing"):
        Collector(read(file), FakeClock())


async def test_a_port_in_use_is_told_and_leaves_nothing_behind(tmp_path: Path) -> None:
    async with serving(tmp_path / "one") as hub:
        file = settings_in(tmp_path / "two", http={"host": "127.0.0.1", "port": hub.collector.port})
        second = Collector(read(file), FakeClock())
        with pytest.raises(OSError, match="address already in use"):
            await second.run(asyncio.Event())
        assert (await hub.get("/-/healthy")).status == 200


# --- as a process -------------------------------------------------------------------------


class Process:
    """`pantau-collector serve`, on ports that the system chose."""

    def __init__(self, file: Path, *options: str) -> None:
        self.child = subprocess.Popen(
            [sys.executable, "-m", "collector", "serve", "--config.file", str(file), *options],
            stderr=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parents[2],
        )
        self.lines: list[str] = []
        told = self.line("listening: ")
        found = re.search(r"HTTP port (\d+)", told)
        assert found is not None
        self.url = f"http://127.0.0.1:{found[1]}"

    def line(self, part: str) -> str:
        """The next line of the log that holds `part`."""
        assert self.child.stderr is not None
        for line in self.child.stderr:
            self.lines.append(line)
            if part in line:
                return line
        raise AssertionError("".join(self.lines))

    def post(self, data: bytes) -> bytes:
        with urllib.request.urlopen(f"{self.url}/v1/batch", data, timeout=5) as answer:
            return bytes(answer.read())

    def links(self) -> list[dict[str, Any]]:
        with urllib.request.urlopen(f"{self.url}/api/v1/links", timeout=5) as answer:
            return list(json.load(answer))

    def end(self) -> tuple[int, float]:
        """Exit status and seconds after SIGTERM."""
        began = time.monotonic()
        self.child.send_signal(signal.SIGTERM)
        status = self.child.wait(10)
        return status, time.monotonic() - began


@contextlib.contextmanager
def process(file: Path, *options: str) -> Iterator[Process]:
    one = Process(file, *options)
    try:
        yield one
    finally:
        one.child.kill()
        one.child.wait()
        assert one.child.stderr is not None
        one.child.stderr.close()


def test_sigterm_ends_within_five_seconds_and_loses_nothing_acknowledged(tmp_path: Path) -> None:
    file, box = settings_in(tmp_path), Box()
    enrol_in(tmp_path, box)
    acknowledged = []
    with process(file) as one:
        idle = urllib.request.urlopen(f"{one.url}/-/healthy", timeout=5)
        for _ in range(20):
            batch = box.batch()
            one.post(batch.to_bytes())
            acknowledged.append(batch.digest)
        status, seconds = one.end()
        idle.close()
        rest = one.child.stderr.read() if one.child.stderr else ""
    assert (status, "Traceback" in rest) == (0, False)
    assert seconds < 5
    data = tmp_path / "etc" / "data"
    assert sorted(one.name for one in data.iterdir()) == [
        "access.db",
        "identity.key",
        "ledger.db",
        "operator.token",
        "slots.db",
    ]
    ledger = SqliteLedger(data / "ledger.db")
    assert [batch.digest for batch, _ in ledger.placed_batches(box.agent_id)] == acknowledged


def test_a_body_under_way_when_sigterm_comes_does_not_hold_up_the_end(tmp_path: Path) -> None:
    file = settings_in(tmp_path)
    with process(file) as one:
        host, port = one.url.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port))) as slow:
            slow.sendall(b"POST /v1/batch HTTP/1.1\r\nHost: h\r\nContent-Length: 999\r\n\r\nPTB1")
            time.sleep(0.1)
            status, seconds = one.end()
    assert (status, seconds < 5) == (0, True)


def test_sighup_takes_new_links_and_keeps_the_old_ones_when_the_file_is_wrong(
    tmp_path: Path,
) -> None:
    file = settings_in(tmp_path)
    links = file.parent / "links.yaml"
    with process(file) as one:
        links.write_text(links.read_text() + LINK.format("l9"))
        one.child.send_signal(signal.SIGHUP)
        one.line("2 nodes, 3 links and 0 contracts loaded")
        assert [row["link"] for row in one.links()] == ["l1", "l2", "l9"]
        links.write_text("links: 7\n")
        one.child.send_signal(signal.SIGHUP)
        assert "links: Expected `array`, got `int`" in one.line("were not taken")
        assert len(one.links()) == 3
        assert one.end()[0] == 0


def test_log_lines_can_be_json(tmp_path: Path) -> None:
    with process(settings_in(tmp_path), "--log.format", "json") as one:
        line = json.loads(one.lines[-1])
    assert (line["level"], line["logger"]) == ("info", "collector.app")
    assert line["message"].startswith("listening: HTTP port ")


def test_a_receipt_is_worth_its_bytes_after_kill_9(tmp_path: Path) -> None:
    file, box = settings_in(tmp_path), Box()
    enrol_in(tmp_path, box)
    batch = box.batch()
    with process(file) as one:
        one.post(batch.to_bytes())
        one.child.kill()
        one.child.wait()
    ledger = SqliteLedger(file.parent / "data" / "ledger.db")
    ((kept, _),) = ledger.placed_batches(box.agent_id)
    assert parse(kept.to_bytes()).digest == batch.digest
