"""The shipped Alertmanager settings: who hears of what, and that one cause is one message."""

import asyncio
import json
import socket
import subprocess
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml
from aiohttp import web

pytestmark = pytest.mark.alertmanager
HOME = Path(__file__).parents[2] / "configs" / "alertmanager"
SETTINGS = HOME / "alertmanager.yml"
PATIENCE_S = 60


def amtool(*words: str) -> str:
    done = subprocess.run(
        ["amtool", *words], cwd=HOME, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def alert(name: str, severity: str, about: str, **labels: str) -> dict[str, Any]:
    since = datetime.now(UTC)  # as Prometheus: of an older one Alertmanager tells without waiting
    return {
        "labels": {"alertname": name, "severity": severity, "about": about, **labels},
        "annotations": {
            "summary": f"{name} terjadi / {name} happened",
            "description": "panjang lebar " * 25,
            "runbook_url": f"http://hub/runbooks/{name}",
        },
        "startsAt": since.isoformat(),
        "endsAt": (since + timedelta(hours=1)).isoformat(),
    }


def link(name: str, alertname: str = "PantauLinkDown", **labels: str) -> dict[str, Any]:
    told = {"link": name, "node": f"n-{name}", "pop": "P1", "provider": "A", "district": "K"}
    return alert(alertname, "critical", "link", **(told | labels))


class Office:
    """An Alertmanager with the shipped settings, and the webhook at its end."""

    def __init__(self, url: str, session: aiohttp.ClientSession) -> None:
        self.url, self._session = url, session
        self.heard: asyncio.Queue[dict[str, Any]] = asyncio.Queue()

    async def hook(self, request: web.Request) -> web.Response:
        self.heard.put_nowait(await request.json())
        return web.Response()

    async def post(self, *alerts: dict[str, Any]) -> None:
        async with self._session.post(f"{self.url}/api/v2/alerts", json=alerts) as answer:
            assert answer.status == 200, await answer.text()

    async def suppressed(self) -> dict[str, bool]:
        """Of each alert, by name and link, whether another one inhibits it."""
        async with self._session.get(f"{self.url}/api/v2/alerts") as answer:
            told = await answer.json()
        return {
            "/".join(filter(None, (one["labels"]["alertname"], one["labels"].get("link")))): bool(
                one["status"]["inhibitedBy"]
            )
            for one in told
        }

    async def until_told_of(self, *names: str) -> list[set[str]]:
        """The alerts of every message, by name and link, until all `names` are told of.

        Messages of one moment come in any order.
        """
        messages: list[set[str]] = []
        while not set(names) <= set().union(*messages):
            told = await asyncio.wait_for(self.heard.get(), PATIENCE_S)
            messages.append({one["labels"].get("link", "") for one in told["alerts"]} - {""})
            messages[-1] |= {one["labels"]["alertname"] for one in told["alerts"]}
        return messages

    async def ready(self) -> bool:
        try:
            async with self._session.get(f"{self.url}/-/ready") as answer:
                return answer.status == 200
        except aiohttp.ClientError:
            return False


def only_webhooks(port: int) -> str:
    """The shipped settings, with what leaves this machine taken out and the webhook ours."""
    told = yaml.safe_load(SETTINGS.read_text())
    told["templates"] = [str(HOME / "templates" / "*.tmpl")]
    for receiver in told["receivers"]:
        receiver.pop("email_configs", None)
        receiver.pop("telegram_configs", None)
        for one in receiver.get("webhook_configs", ()):
            one["url"] = one["url"].replace("localhost:9099", f"127.0.0.1:{port}")
    return json.dumps(told)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as one:
        return int(one.getsockname()[1])


@pytest.fixture
async def office(tmp_path: Path) -> AsyncIterator[Office]:
    own, port = free_port(), free_port()
    async with aiohttp.ClientSession() as session:
        one = Office(f"http://127.0.0.1:{own}", session)
        app = web.Application()
        app.add_routes([web.post("/pantau", one.hook)])
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", port).start()
        settings = tmp_path / "alertmanager.yml"
        settings.write_text(only_webhooks(port))
        with (tmp_path / "log").open("w") as log:
            process = await asyncio.create_subprocess_exec(
                "prometheus-alertmanager",
                f"--config.file={settings}",
                f"--storage.path={tmp_path}",
                f"--web.listen-address=127.0.0.1:{own}",
                "--cluster.listen-address=",
                stdout=log,
                stderr=log,
            )
        try:
            async with asyncio.timeout(PATIENCE_S):
                while not await one.ready():
                    assert process.returncode is None, (tmp_path / "log").read_text()
                    await asyncio.sleep(0.05)
            yield one
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()
            await runner.cleanup()


def test_alertmanager_takes_the_shipped_settings_as_they_are() -> None:
    assert "FAILED" not in amtool("check-config", str(SETTINGS))


@pytest.mark.parametrize(
    ("labels", "receiver"),
    [
        ("alertname=PantauWatchdog severity=none about=hub", "watchdog"),
        ("alertname=PantauCollectorDown severity=critical about=hub", "night"),
        ("alertname=PantauLinkDown severity=critical about=link pop=P", "night"),
        ("alertname=PantauSitePower severity=warning about=site", "noc"),
        ("alertname=PantauLossAboveContract severity=warning about=link", "noc"),
        ("alertname=PantauBackfillStuck severity=warning about=hub", "noc"),
        ("alertname=PantauMonthWillBreach severity=warning about=contract", "office"),
        ("alertname=PantauVerdictChanged severity=info about=contract", "office"),
        ("alertname=PantauEvidenceGap severity=warning about=evidence", "office"),
    ],
)
def test_who_hears_of_it(labels: str, receiver: str) -> None:
    told = amtool("config", "routes", "test", f"--config.file={SETTINGS}", *labels.split())
    assert told.split() == [receiver]


async def test_a_pop_that_fails_is_one_message_and_not_one_for_each_link(office: Office) -> None:
    pop = alert("PantauPopDown", "critical", "pop", pop="P1", provider="A")
    await office.post(pop, *(link(name, district=f"K-{name}") for name in "abcd"))
    # Of another provider in a PoP of the same name: told.
    await office.post(link("e", provider="B"))
    messages = await office.until_told_of("PantauPopDown", "e")
    assert sorted(messages, key=len) == [{"PantauPopDown"}, {"PantauLinkDown", "e"}]
    assert await office.suppressed() == {
        "PantauPopDown": False,
        **{f"PantauLinkDown/{name}": True for name in "abcd"},
        "PantauLinkDown/e": False,
    }


async def test_links_lost_without_a_common_cause_are_told_together_by_district(
    office: Office,
) -> None:
    await office.post(link("a"), link("b"), link("c", "PantauLinkFlapping"), link("c"))
    await office.post(link("d", district="L"))
    messages = await office.until_told_of("a", "b", "c", "d")
    assert {"PantauLinkDown", "PantauLinkFlapping", "a", "b", "c"} in messages
    assert len(messages) == 2
    assert (await office.suppressed())["PantauLinkDown/c"]


@pytest.mark.parametrize("cause", ["PantauCollectorDown", "PantauHubIsolated"])
async def test_the_hub_holds_back_all_but_itself_and_the_watchdog(
    office: Office, cause: str
) -> None:
    pop = alert("PantauPopDown", "critical", "pop", pop="P1", provider="A")
    watchdog = alert("PantauWatchdog", "none", "hub")
    late = alert("PantauMonthWillBreach", "warning", "contract", link="a")
    await office.post(alert(cause, "critical", "hub"), pop, link("a"), watchdog, late)
    await office.until_told_of(cause)
    assert await office.suppressed() == {
        cause: False,
        "PantauPopDown": True,
        "PantauLinkDown/a": True,
        "PantauWatchdog": False,
        "PantauMonthWillBreach/a": True,
    }


async def test_power_at_a_site_holds_back_its_links_and_no_others(office: Office) -> None:
    power = alert("PantauSitePower", "warning", "site", node="n-a", district="K")
    await office.post(power, link("a"), link("b"))
    await office.until_told_of("PantauSitePower")
    assert await office.suppressed() == {
        "PantauSitePower": False,
        "PantauLinkDown/a": True,
        "PantauLinkDown/b": False,
    }


def rendered(tmp_path: Path, template: str, status: str, alerts: list[dict[str, Any]]) -> str:
    data = tmp_path / "data.json"
    data.write_text(json.dumps({"status": status, "alerts": alerts}))
    return amtool(
        "template",
        "render",
        "--template.glob=templates/*.tmpl",
        f'--template.text={{{{ template "{template}" . }}}}',
        f"--template.data={data}",
    ).strip()


def test_a_message_says_what_is_on_what_to_do_and_what_is_over(tmp_path: Path) -> None:
    down = link("a") | {"status": "firing"}
    text = rendered(tmp_path, "pantau.text", "firing", [down])
    assert text.startswith("MENYALA: PantauLinkDown terjadi / PantauLinkDown happened\npanjang")
    assert "\nPanduan: http://hub/runbooks/PantauLinkDown\nMulai: 20" in text
    over = rendered(tmp_path, "pantau.text", "resolved", [down | {"status": "resolved"}])
    assert over.startswith("SELESAI: ") and ", selesai: 20" in over and "Panduan" not in over


def test_a_message_of_many_alerts_fits_into_telegram_and_counts_them(tmp_path: Path) -> None:
    many = [link(f"l{number}") | {"status": "firing"} for number in range(60)]
    text = rendered(tmp_path, "pantau.text", "firing", many)
    assert len(text) < 4096 and text.count("MENYALA") == 10
    assert text.endswith("Semuanya 60 alarm.")
    subject = rendered(tmp_path, "pantau.subject", "firing", many)
    assert subject.startswith("[MENYALA 60] PantauLinkDown") and "59 lainnya" in subject
    assert "\n" not in subject
