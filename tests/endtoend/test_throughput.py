"""Throughput tests from the operator's word to the ledger: a collector and an agent as processes
on either side of an emulated link, with a real snmpd for the customer's router."""

import json
import os
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import yaml

from collector import capacity
from collector.ledger.sqlite import SqliteLedger
from runtime.lab.link import BOTH, Knobs
from runtime.lab.topology import Pair, pair
from tests.agent.snmp_kit import COMMUNITY, IFX, Snmpd, needs_snmpd, rows, snmpd
from tests.endtoend.conftest import LINK, NODE, System, free_port, wait_for
from wire.codec import decode_body
from wire.slot import Direction
from wire.transfer import MADE, Transfer, TransferOutcome

pytestmark = [pytest.mark.lab, pytest.mark.timeout(180), needs_snmpd]
MBPS = 10
QUIET = {"evening": 0, "office": 0, "night": 0, "long_s": 0}


@pytest.fixture(scope="module")
def net() -> Iterator[Pair]:
    with pair(hub_in_root=True) as net:
        net.link.set(BOTH, Knobs(delay_ms=5, rate_bps=MBPS * 1e6, queue_bytes=60_000))
        yield net


AGENT = """
import sys
from pathlib import Path
from agent import credentials
from agent.__main__ import main
credentials.CREDENTIALS = Path(sys.argv.pop(1))
main()
"""
"""The agent, with secrets that are not this machine's."""


class Site(System):
    """A system whose link has throughput tests."""

    def __init__(self, folder: Path, net: Pair, **plan: Any) -> None:
        super().__init__(folder, address=net.hub_address)
        self.net, self.load_port = net, free_port()
        hub = yaml.safe_load((folder / "collector.yaml").read_text())
        self._write(
            "collector.yaml",
            hub | {"throughput": {"capacity_mbps": 100, "port": self.load_port}},
        )
        links = yaml.safe_load((folder / "links.yaml").read_text())["links"]
        told = {"zone": "WIB", "down_mbps": MBPS, "up_mbps": MBPS, "layer": "ip", "tests": QUIET}
        links[0] |= {"interval_s": 1.0, "throughput": told | plan}
        self.links = links
        self._write("links.yaml", {"links": links})

    def begin(self) -> None:
        self.start_collector()
        self.join(self.net.node.argv)
        self.run_agent()

    def run_agent(self) -> None:
        def inside(argv: list[str]) -> list[str]:
            at = argv.index("-m")
            told = [*argv[:at], "-c", AGENT, str(self.folder / "credentials"), *argv[at + 2 :]]
            return self.net.node.argv(told)

        self.start_agent(inside)

    def test(self, *options: str) -> tuple[int, dict[str, Any]]:
        """`pantau-collector test`, to its end."""
        argv = [sys.executable, "-m", "collector", "test", NODE, "--json", *options]
        argv += ["--config.file", "collector.yaml"]
        done = subprocess.run(argv, cwd=self.folder, capture_output=True, text=True, timeout=60)
        assert done.stdout, done.stderr
        return done.returncode, json.loads(done.stdout)

    def order(self, order_id: str) -> dict[str, Any]:
        with urllib.request.urlopen(f"{self.url}/api/v1/orders/{order_id}", timeout=5) as page:
            told: dict[str, Any] = json.load(page)
        return told

    def transfers(self) -> list[Transfer]:
        """Everything in the ledger, after both have stopped."""
        self.stop_agent()
        self.stop_collector()
        ledger = SqliteLedger(self.folder / "hub" / "ledger.db")
        try:
            return [
                record
                for agent in ledger.agents()
                for batch, _ in ledger.placed_batches(agent.agent_id)
                for record in decode_body(batch.body, batch.header.raw_len)
                if isinstance(record, Transfer)
            ]
        finally:
            ledger.close()

    def logs(self) -> str:
        return f"{self.log('agent')}\n{self.log('collector')}"


@pytest.fixture
def make_site(net: Pair, tmp_path: Path) -> Iterator[Callable[..., Site]]:
    made: list[Site] = []

    def make(**plan: Any) -> Site:
        made.append(Site(tmp_path, net, **plan))
        return made[-1]

    yield make
    for site in made:
        site.close()


def test_an_ordered_test_finds_the_rate_both_ways_and_is_in_the_ledger_once(
    make_site: Callable[..., Site],
) -> None:
    site = make_site(share=0.9, duration_s=4)
    site.begin()
    status, told = site.test("--rate", "12", "--duration", "4")
    assert status == 0, (told, site.logs())
    assert told["state"] == "done", site.logs()
    by_way = {one["direction"]: one for one in told["figures"]}
    assert set(by_way) == {"down", "up"}
    for one in by_way.values():
        # What this machine could not do in time the record says itself.
        within = {"done": 0.03, "unfit": 0.15}[one["end"]]
        assert one["bits_per_s"] == pytest.approx(MBPS * 1e6, rel=within), told
        assert one["lost_ratio"] == pytest.approx(1 - MBPS / 12, abs=within)
    nothing_for_strangers(site)
    kept = site.transfers()
    assert sorted(one.direction for one in kept) == [Direction.DOWN, Direction.UP], site.logs()
    for transfer in kept:
        assert transfer.outcome in MADE and transfer.slot_id is not None
        assert transfer.cir_bits_per_s == MBPS * 1_000_000
        assert capacity.achieved(transfer) == pytest.approx(
            by_way[transfer.direction]["bits_per_s"]
        )


def nothing_for_strangers(site: Site) -> None:
    """No octet by UDP, a closed connection by TCP, no page by ndt7."""
    address = (site.address, site.load_port)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(0.5)
        sock.sendto(os.urandom(1200), address)
        with pytest.raises(TimeoutError):
            sock.recv(1)
    with socket.create_connection(address, timeout=10) as sock:
        sock.sendall(os.urandom(600))
        with suppress(ConnectionResetError):
            assert sock.recv(1) == b""
    with pytest.raises(urllib.error.HTTPError, match="404"):
        urllib.request.urlopen(f"{site.url}/ndt/v7/download", timeout=5)


def test_killed_in_the_middle_the_octets_are_spent_and_the_next_life_tells_of_it_once(
    make_site: Callable[..., Site],
) -> None:
    site = make_site(duration_s=10)
    site.begin()
    _, told = site.test("--direction", "down", "--duration", "10", "--no-wait")
    order_id = told["order"]
    wait_for(lambda: "load is on the link" in site.order(order_id)["detail"], 30, site.logs)
    assert site.agent is not None
    began_s = time.monotonic()
    time.sleep(1)
    killed_s = time.monotonic()
    site.agent.kill()
    site.agent.wait()
    site.run_agent()
    wait_for(lambda: bool(site.order(order_id)["final"]), 30, site.logs)
    ended = site.order(order_id)
    assert (ended["state"], ended["detail"]) == ("failed", "the agent ended during the test")
    booked = MBPS * 1_000_000 * 0.95 * 10 / 8
    wait_for(
        lambda: site.metric("pantau_link_throughput_budget_used_bytes", link=LINK) == booked,
        15,
        site.logs,
    )
    # The life after the next one has nothing more to tell.
    site.stop_agent()
    site.run_agent()
    wait_for(lambda: site.log("agent").count(" of node ") == 3, 20, site.logs)
    time.sleep(2)
    (told_once,) = site.transfers()
    assert told_once.outcome is TransferOutcome.ABORTED
    assert (told_once.direction, told_once.octets) == (Direction.DOWN, [])
    assert told_once.slot_id is not None and "its load began" in told_once.note
    # From the load's beginning to when somebody was there to tell of it.
    assert told_once.ago_ns is not None and told_once.duration_ns is not None
    assert 0 < told_once.duration_ns <= min(told_once.ago_ns, 10 * 10**9)
    assert killed_s - began_s < told_once.ago_ns / 1e9 < time.monotonic() - began_s + 5


def test_what_the_budget_does_not_allow_is_not_made(make_site: Callable[..., Site]) -> None:
    site = make_site(budget_gb=0.004)
    site.begin()
    first, told = site.test("--direction", "up", "--rate", "10", "--duration", "2")
    assert first == 0, (told, site.logs())
    status, told = site.test("--direction", "up", "--rate", "10", "--duration", "2")
    assert (status, told["state"]) == (1, "skipped")
    made, skipped = site.transfers()
    assert made.outcome in MADE
    assert skipped.outcome is TransferOutcome.SKIPPED_BUDGET
    assert skipped.octets == []


@contextmanager
def counting(router: Snmpd, bits_per_s: float) -> Iterator[None]:
    """The router's users take this much down, of packets of 1,000 octets."""
    stop = threading.Event()
    began = time.monotonic()

    def show() -> None:
        while not stop.is_set():
            packets = int((time.monotonic() - began) * bits_per_s / 8 / 1000)
            told = rows()
            told[f"{IFX}.6.2"] = ("counter64", 2**40 + 1018 * packets)
            told[f"{IFX}.7.2"] = ("counter64", 2**33 + packets)
            router.show(told)
            stop.wait(0.1)

    thread = threading.Thread(target=show)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def test_users_come_first_and_their_test_is_skipped_which_is_no_failure(
    make_site: Callable[..., Site], net: Pair, tmp_path: Path
) -> None:
    with snmpd(tmp_path, net.hub_address) as router, counting(router, 0.5 * MBPS * 1e6):
        site = make_site(duration_s=2, gate={"target": "router", "tries": 1}, vlan=False)
        site.links[0]["targets"] = [
            {
                "name": "router",
                "probe": "snmp",
                "role": "gateway",
                "address": net.hub_address,
                "port": router.port,
                "interval_s": 60,
                "timeout_s": 5,
                "credentials": "v2c",
                "device_interface": "wan0",
            }
        ]
        site._write("links.yaml", {"links": site.links})
        place = tmp_path / "credentials"
        place.mkdir()
        (place / "v2c.yaml").touch(0o600)
        (place / "v2c.yaml").write_text(f"version: v2c\ncommunity: {COMMUNITY}\n")
        site.begin()
        status, told = site.test("--direction", "down", "--duration", "2")
        assert (status, told["state"]) == (1, "skipped"), (told, site.logs())
        (figures,) = told["figures"]
        assert figures["end"] == "skipped_busy"
        assert figures["cross_bits_per_s"] == pytest.approx(0.5 * MBPS * 1e6, rel=0.15)
        # Nobody takes anything the other way: that one is made, and tells of the users.
        status, told = site.test("--direction", "up", "--duration", "2")
        assert (status, told["state"]) == (0, "done"), (told, site.logs())
        skipped, made = site.transfers()
        assert skipped.outcome is TransferOutcome.SKIPPED_BUSY
        assert skipped.slot_id is None and not skipped.octets
        assert made.outcome in MADE and made.direction is Direction.UP
        assert len(made.cpe) == 3
