"""GET /api/v1/sd: what the inventory and the reflector give, by its description; Prometheus too."""

import asyncio
import json
import subprocess
import time
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from collector.discovery import PREFIX, Kind
from tests.collector.backfill.stores import Prometheus
from tests.collector.hub import Hub, later, serving, settings_in
from tests.collector.kit import Box
from wire import stamp

OPENAPI = yaml.safe_load(
    (Path(__file__).parents[2] / "collector" / "web" / "openapi.yaml").read_text()
)
NODES = """
nodes:
  - {id: n1, name: Desa Satu, kind: desa, district: Kec. A, latitude: -6.9, longitude: 107.6}
  - {id: n2, name: Dinas Dua, kind: opd, district: Kota}
"""
LINKS = """
links:
  - id: l1
    node: n1
    provider: Penyedia A
    medium: radio
    pop: POP-1
    cpe_address: 203.0.113.77
    targets:
      - {name: gateway, probe: icmp, role: gateway, address: 192.168.1.1}
      - {name: abroad, probe: icmp, role: anchor, address: 198.51.100.9, reach: international}
      - {name: portal, probe: tcp, role: anchor, address: "2001:db8::20", port: 443}
      - {name: router, probe: snmp, role: first_hop, address: 203.0.113.1}
  - id: l2
    node: n2
    provider: Penyedia B
    medium: fibre
    pop: POP-2
    circuit: SID 4700
    targets:
      - {name: far, probe: icmp, role: anchor, address: 198.51.100.9}
      - {name: web, probe: http, role: anchor, address: 203.0.113.20, url: "https://portal.example/"}
      - {name: names, probe: dns, role: anchor, address: 203.0.113.53, host: portal.example}
"""


def place(folder: Path) -> None:
    file = settings_in(
        folder,
        stamp={"host": "127.0.0.1", "port": 0, "address": "127.0.0.1", "authenticated": False},
    )
    (file.parent / "nodes.yaml").write_text(NODES)
    (file.parent / "links.yaml").write_text(LINKS)


def heard(hub: Hub, address: str = "198.51.100.41") -> None:
    """The reflector hears n1's agent from this address."""
    ssid = hub.collector.board.fleet.ssids["l1"]
    packet = stamp.SenderPacket(seq=0, timestamp=1 << 32, error_estimate=0, ssid=ssid)
    data = stamp.pack_sender(packet)
    hub.collector.table.hear(data, (address, 40_000), hub.collector._clock.boot_ns())


async def told(hub: Hub, query: str = "") -> list[dict[str, Any]]:
    reply = await hub.get(f"/api/v1/sd{query}")
    assert reply.status == 200
    assert reply.headers["Content-Type"] == "application/json; charset=utf-8"
    answer = json.loads(reply.body)
    schema = {"$ref": "#/components/schemas/Targets", "components": OPENAPI["components"]}
    jsonschema.Draft202012Validator(schema).validate(answer)
    return list(answer)


def plain(answer: list[dict[str, Any]]) -> list[tuple[str, dict[str, str]]]:
    return [
        (
            one["targets"][0],
            {name.removeprefix(PREFIX): value for name, value in one["labels"].items()},
        )
        for one in answer
    ]


LINK_1 = {
    "link": "l1",
    "provider": "Penyedia A",
    "medium": "radio",
    "pop": "POP-1",
    "node": "n1",
    "node_name": "Desa Satu",
    "node_kind": "desa",
    "district": "Kec. A",
    "latitude": "-6.9",
    "longitude": "107.6",
}


async def test_every_kind_is_told_with_what_the_inventory_says(tmp_path: Path) -> None:
    place(tmp_path)
    box = Box()
    async with serving(tmp_path, box, clock=later()) as hub:
        assert await told(hub, "?kind=agent") == []
        heard(hub)
        assert plain(await told(hub, "?kind=agent")) == [
            ("198.51.100.41", {"kind": "agent", "agent": box.agent_id.hex(), **LINK_1})
        ]
        assert plain(await told(hub, "?kind=cpe")) == [("203.0.113.77", {"kind": "cpe", **LINK_1})]
        blackbox = plain(await told(hub, "?kind=blackbox"))
        assert [(address, one["module"], one["links"]) for address, one in blackbox] == [
            ("198.51.100.9", "icmp", ",l1,l2,"),
            ("[2001:db8::20]:443", "tcp_connect", ",l1,"),
            ("https://portal.example/", "http_2xx", ",l2,"),
            ("203.0.113.53", "dns", ",l2,"),
        ]
        assert blackbox[0][1]["reach"] == "international"
        assert blackbox[3][1]["host"] == "portal.example"
        assert len(await told(hub)) == 6


async def test_nothing_to_tell_is_an_empty_list(tmp_path: Path) -> None:
    file = settings_in(tmp_path)
    (file.parent / "links.yaml").write_text("links: []\n")
    async with serving(tmp_path) as hub:
        for query in ("", "?kind=agent", "?kind=cpe", "?kind=blackbox"):
            assert (await hub.get(f"/api/v1/sd{query}")).body == b"[]"
            assert await told(hub, query) == []


async def test_an_unknown_kind_names_the_known_ones(tmp_path: Path) -> None:
    async with serving(tmp_path) as hub:
        for query in ("?kind=router", "?kind="):
            reply = await hub.get(f"/api/v1/sd{query}")
            assert reply.status == 400
            assert "expected one of agent, cpe, blackbox" in json.loads(reply.body)["error"]


def test_the_description_knows_every_kind() -> None:
    assert OPENAPI["components"]["parameters"]["kind"]["schema"]["enum"] == [*Kind]


def scrape(url: str) -> list[dict[str, Any]]:
    """The blackbox pattern of docs/backfill.md, refreshed once a second."""
    return [
        {
            "job_name": kind,
            "http_sd_configs": [{"url": f"{url}/api/v1/sd?kind={kind}", "refresh_interval": "1s"}],
            "relabel_configs": [
                {"source_labels": ["__address__"], "target_label": "__param_target"},
                {"source_labels": ["__param_target"], "target_label": "instance"},
                {"source_labels": [f"{PREFIX}link"], "target_label": "link"},
                {"target_label": "__address__", "replacement": "127.0.0.1:9"},
            ],
        }
        for kind in Kind
    ]


@pytest.mark.prometheus
async def test_prometheus_takes_the_targets_up(tmp_path: Path) -> None:
    place(tmp_path)
    async with serving(tmp_path, Box(), clock=later()) as hub:
        heard(hub)
        store = await asyncio.to_thread(Prometheus, tmp_path / "prometheus", scrape=scrape(hub.url))
        try:
            found: list[Any] = []
            deadline = time.monotonic() + 60
            while len(found) < 6 and time.monotonic() < deadline:
                await asyncio.sleep(0.2)
                answer = await asyncio.to_thread(store.get, "/api/v1/targets")
                found = answer["data"]["activeTargets"]
        finally:
            store.close()
        checked = await asyncio.to_thread(
            subprocess.run,
            [
                "promtool",
                "check",
                "service-discovery",
                "--timeout=3s",
                str(tmp_path / "prometheus" / "prometheus.yml"),
                "cpe",
            ],
            capture_output=True,
            text=True,
            check=False,
        )
    instances = {(one["scrapePool"], one["labels"]["instance"]) for one in found}
    assert instances == {
        ("agent", "198.51.100.41"),
        ("cpe", "203.0.113.77"),
        ("blackbox", "198.51.100.9"),
        ("blackbox", "[2001:db8::20]:443"),
        ("blackbox", "https://portal.example/"),
        ("blackbox", "203.0.113.53"),
    }
    (cpe,) = (one for one in found if one["scrapePool"] == "cpe")
    assert cpe["discoveredLabels"][f"{PREFIX}district"] == "Kec. A"
    assert cpe["labels"]["link"] == "l1"
    assert checked.returncode == 0, checked.stderr
    (one,) = json.loads(checked.stdout)
    assert one["labels"]["instance"] == "203.0.113.77"
