"""What the audit answers, over real HTTP and on the command line, from batches that came in."""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from tests.collector.hub import Hub, serving, settings_in
from tests.collector.kit import WALL_AT_BOOT, Box, anchor, heartbeat, train
from tests.collector.test_cli import beside
from wire.codec import Record
from wire.slot import Direction, Method
from wire.transfer import Purpose, Transfer, TransferOutcome

T0 = WALL_AT_BOOT // 1_000_000_000
CUT = range(1000, 1060)
OPENAPI = yaml.safe_load(
    (Path(__file__).parents[2] / "collector" / "web" / "openapi.yaml").read_text()
)
CONTRACTS: dict[str, Any] = {
    "contracts": [
        {
            "reference": "K-1",
            "signed_on": "2025-12-01",
            "link": "l1",
            "provider": "P",
            "pop": "P1",
            "first_day": "2026-01-01",
            "zone": "WIB",
            "availability_target": 0.995,
            "cir": {"layer": "ip", "domestic": {"down_bps": 10_000_000, "up_bps": 10_000_000}},
            "restitution": {"rule": "LIN"},
            "limits": {
                "domestic": {
                    "rtt_s": 0.03,
                    "rtt_percentile": 95,
                    "pdv_s": 0.01,
                    "loss_ratio": 0.01,
                }
            },
            "fee_rupiah": 2_500_000,
        }
    ]
}


def minute(k: int) -> list[Record]:
    at = 100 + 60 * k
    rtts = [None if at + s in CUT else 20.0 for s in range(60)]
    beats = [heartbeat(at + s, anchor(at + s)) for s in range(5, 60, 10)]
    return [train(rtts, first_seq=60 * k, boot_s=at), *beats]


@asynccontextmanager
async def judged(
    folder: Path, tenth: Callable[[int], list[Record]] = minute
) -> AsyncIterator[tuple[Hub, Box]]:
    """Half an hour of one link with a cut of a minute, judged; `tenth` is what the minute of
    number 10 shows."""
    file = settings_in(folder, contracts_file="contracts.yaml")
    links = yaml.safe_load((file.parent / "links.yaml").read_text())
    CONTRACTS["contracts"][0] |= {key: links["links"][0][key] for key in ("provider", "pop")}
    (file.parent / "contracts.yaml").write_text(yaml.safe_dump(CONTRACTS))
    box = Box()
    async with serving(folder, box) as hub:
        for k in range(30):
            await hub.deliver(box.batch(tenth(k) if k == 10 else minute(k)))
        async with asyncio.timeout(60):
            while not json.loads((await hub.get("/api/v1/outages")).body):
                await asyncio.sleep(0.1)
        yield hub, box


async def ask(hub: Hub, path: str, status: int = 200) -> Any:
    """The answer, which the description of the API knows."""
    reply = await hub.get(path)
    assert reply.status == status, reply.body
    told = json.loads(reply.body)
    template = re.sub(r"/outages/\d+", "/outages/{id}", path.partition("?")[0])
    template = re.sub(r"/links/[^/]+/", "/links/{link}/", template)
    response = OPENAPI["paths"][template]["get"]["responses"][str(status)]
    if "$ref" in response:
        response = OPENAPI["components"]["responses"][response["$ref"].rpartition("/")[2]]
    schema = response["content"]["application/json"]["schema"]
    whole = {**schema, "components": OPENAPI["components"]}
    jsonschema.Draft202012Validator(whole).validate(told)
    return told


async def test_a_cut_is_told_over_http_and_on_the_command_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    async with judged(tmp_path) as (hub, _):
        (cut,) = await ask(hub, "/api/v1/links/l1/outages")
        assert (cut["start_s"] - T0, cut["end_s"] - T0, cut["state"]) == (1000, 1060, "down")
        assert cut["settled"] and not cut["provisional"]
        assert cut["why"].startswith("The hub was lost")
        assert await ask(hub, "/api/v1/outages?cause=maintenance") == []
        history = await ask(hub, f"/api/v1/outages/{cut['id']}")
        assert history["revisions"][-1] == cut
        (month,) = await ask(hub, "/api/v1/links/l1/availability")
        # Nobody else shows that the hub could be reached: the minute is down and charged to none.
        assert (month["down_s"], month["verdict"]) == (0, "indeterminate")
        assert {"start_s": T0 + 1000, "end_s": T0 + 1060} in month["unknown_runs"]
        assert month["violated_intervals"] == 0
        assert len(await ask(hub, "/api/v1/availability")) == 1
        assert await ask(hub, "/api/v1/events") == []
        (hub_rtt,) = await ask(hub, "/api/v1/links/l1/delays")
        assert (hub_rtt["target"], hub_rtt["packets"], hub_rtt["lost"]) == ("hub", 1740, 0)
        assert hub_rtt["rtt_low_s"] < 0.02 <= hub_rtt["rtt_high_s"]
        assert (hub_rtt["rtt_verdict"], hub_rtt["loss_verdict"]) == ("met", "met")
        await ask(hub, "/api/v1/links")
        seconds = await hub.value(
            "pantau_link_seconds_total",
            link="l1",
            node="n1",
            state="down",
            cause="undetermined",
            charge="unknown",
        )
        assert seconds == 60
        file = tmp_path / "etc" / "collector.yaml"
        listed = json.loads((await beside(file, "outages", "--json")).stdout)
        assert listed == [cut]
        table = (await beside(file, "outages", "--link", "l1")).stdout
        assert "1: The hub was lost in 60" in table
        (shown,) = json.loads((await beside(file, "availability", "--json")).stdout)
        # The command line goes by this machine's clock, the collector of the test by its own.
        assert shown["link"] == "l1"
        assert "99.5000 %" in (await beside(file, "availability")).stdout
        assert json.loads((await beside(file, "events", "--json")).stdout) == []


def loaded_minute(k: int) -> list[Record]:
    """Slow, and every third packet lost: what a test of our own does to a link that lacks room."""
    at = 100 + 60 * k
    rtts = [None if s % 3 == 1 else 400.0 for s in range(60)]
    beats = [heartbeat(at + s, anchor(at + s)) for s in range(5, 60, 10)]
    return [train(rtts, first_seq=60 * k, boot_s=at), *beats]


async def test_what_our_own_test_did_is_held_against_nobody(tmp_path: Path) -> None:
    test = Transfer(
        link="l1",
        # Told by the life after the one in which it was made.
        boot_ns=int(1902e9),
        ago_ns=int((1902 - (100 + 60 * 10 + 2)) * 1e9),
        direction=Direction.UP,
        method=Method.UDP,
        purpose=Purpose.ORDERED,
        outcome=TransferOutcome.ABORTED,
        duration_ns=int(54e9),
    )
    async with judged(tmp_path, loaded_minute) as (hub, box):
        (month,) = await ask(hub, "/api/v1/links/l1/availability")
        before = month["violated_intervals"], month["severely_violated_intervals"]
        assert before == (20, 1) and month["degraded_s"] == 60 and month["loaded_s"] == 0
        (rtt,) = await ask(hub, "/api/v1/links/l1/delays")
        assert (rtt["lost"], rtt["batches_loaded"], rtt["loss_verdict"]) == (20, 0, "breached")
        # The record of the test comes late, as from a link that its own load broke.
        await hub.deliver(box.batch([test, heartbeat(1905, anchor(1905))]))
        async with asyncio.timeout(60):
            while (await ask(hub, "/api/v1/links/l1/availability"))[0]["degraded_s"]:
                await asyncio.sleep(0.1)
        (month,) = await ask(hub, "/api/v1/links/l1/availability")
        assert (month["violated_intervals"], month["loaded_s"]) == (0, 59)
        assert month["up_s"] == 1740, "availability knows no such excuse: the minute is in it"
        (rtt,) = await ask(hub, "/api/v1/links/l1/delays")
        assert (rtt["lost"], rtt["batches_loaded"], rtt["loaded_s"]) == (0, 1, 59)
        verdicts = rtt["rtt_verdict"], rtt["pdv_verdict"], rtt["loss_verdict"]
        assert verdicts == ("met", "met", "met")
        file = tmp_path / "etc" / "collector.yaml"
        (told,) = json.loads((await beside(file, "delays", "--json")).stdout) or [None]
        assert told is None or told["loaded_s"] == 59


async def test_wrong_questions_name_the_expected_form(tmp_path: Path) -> None:
    async with serving(tmp_path) as hub:
        month = await ask(hub, "/api/v1/outages?month=10-2026", 400)
        assert month["error"] == "month '10-2026': expected the form 2026-11"
        cause = await ask(hub, "/api/v1/outages?cause=rain", 400)
        assert cause["error"].startswith("cause 'rain': expected one of none, maintenance")
        assert (await ask(hub, "/api/v1/links/l9/outages", 404))["error"] == "no link 'l9'"
        assert (await ask(hub, "/api/v1/outages/7", 404))["error"] == "no outage 7"
        assert (await ask(hub, "/api/v1/availability?month=x", 400))["error"]


async def test_every_route_of_the_api_is_described(tmp_path: Path) -> None:
    async with serving(tmp_path) as hub:
        served = {
            re.sub(r":\[[^\]]+\]\+", "", route.resource.canonical)
            for route in hub.collector._app.router.routes()
            if route.resource is not None and route.method == "GET"
        }
        api = {path for path in served if path.startswith("/api/") and "openapi" not in path}
        assert api == set(OPENAPI["paths"])
        described = await hub.get("/api/v1/openapi.yaml")
        assert yaml.safe_load(described.body) == OPENAPI
