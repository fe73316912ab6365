"""Real Alertmanagers with the shipped settings, and the webhook at their end."""

import asyncio
import json
import os
import socket
import subprocess
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import yaml
from aiohttp import web

HOME = Path(__file__).parents[2] / "configs" / "alertmanager"
SETTINGS = HOME / "alertmanager.yml"
PATIENCE_S = 60


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
        self.times: list[datetime] = []
        """When each message came."""
        self.heard: asyncio.Queue[dict[str, Any]] = asyncio.Queue()

    async def hook(self, request: web.Request) -> web.Response:
        self.times.append(datetime.now(UTC))
        self.heard.put_nowait(await request.json())
        return web.Response()

    async def post(self, *alerts: dict[str, Any]) -> None:
        async with self._session.post(f"{self.url}/api/v2/alerts", json=alerts) as answer:
            assert answer.status == 200, await answer.text()

    async def suppressed(self, by: str = "inhibitedBy") -> dict[str, bool]:
        """Of each alert, by name and link, whether another one or a silence suppresses it."""
        async with self._session.get(f"{self.url}/api/v2/alerts") as answer:
            told = await answer.json()
        return {
            "/".join(filter(None, (one["labels"]["alertname"], one["labels"].get("link")))): bool(
                one["status"][by]
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

    async def silences(self) -> list[dict[str, Any]]:
        """All silences that it has, in no order."""
        async with self._session.get(f"{self.url}/api/v2/silences") as answer:
            return list(await answer.json())

    async def ready(self) -> bool:
        try:
            async with self._session.get(f"{self.url}/-/ready") as answer:
                return answer.status == 200
        except aiohttp.ClientError:
            return False


def shipped() -> dict[str, Any]:
    """The shipped settings, readable from anywhere.

    Messages wait for a shorter time: `tests/endtoend/test_page.py` has them wait as shipped.
    """
    told = yaml.safe_load(SETTINGS.read_text())
    told["route"]["group_wait"] = "2s"
    told["templates"] = [str(HOME / "templates" / "*.tmpl")]
    return dict(told)


def only_webhooks(port: int) -> dict[str, Any]:
    """The shipped settings, with what leaves this machine taken out and the webhook ours."""
    told = shipped()
    for receiver in told["receivers"]:
        receiver.pop("email_configs", None)
        receiver.pop("telegram_configs", None)
        for one in receiver.get("webhook_configs", ()):
            one["url"] = one["url"].replace("localhost:9099", f"127.0.0.1:{port}")
    return told


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as one:
        return int(one.getsockname()[1])


@asynccontextmanager
async def office_in(
    folder: Path, change: Callable[[dict[str, Any]], None] = lambda _: None
) -> AsyncIterator[Office]:
    """A running one; `change` may alter its settings beyond `only_webhooks`."""
    own, port = free_port(), free_port()
    async with aiohttp.ClientSession() as session:
        one = Office(f"http://127.0.0.1:{own}", session)
        app = web.Application()
        app.add_routes([web.post("/pantau", one.hook)])
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", port).start()
        told = only_webhooks(port)
        change(told)
        process = await started(folder, told, own)
        try:
            async with asyncio.timeout(PATIENCE_S):
                while not await one.ready():
                    assert process.returncode is None, (folder / "log").read_text()
                    await asyncio.sleep(0.05)
            yield one
        finally:
            await ended(process)
            await runner.cleanup()


async def started(
    folder: Path,
    told: dict[str, Any],
    port: int,
    *options: str,
    env: Mapping[str, str] | None = None,
) -> asyncio.subprocess.Process:
    """An Alertmanager with these settings; its log is `folder/log`."""
    settings = folder / "alertmanager.yml"
    settings.write_text(json.dumps(told))
    with (folder / "log").open("a") as log:
        return await asyncio.create_subprocess_exec(
            "prometheus-alertmanager",
            f"--config.file={settings}",
            f"--storage.path={folder}",
            f"--web.listen-address=127.0.0.1:{port}",
            "--cluster.listen-address=",
            *options,
            env=None if env is None else {**os.environ, **env},
            stdout=log,
            stderr=log,
        )


def certificate(folder: Path) -> tuple[Path, Path]:
    """A certificate of its own making for localhost, and its key, in `folder`."""
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
         "-nodes", "-days", "2", "-subj", "/CN=localhost",
         "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1",
         "-keyout", "own.key", "-out", "own.pem"],
        cwd=folder, check=True, capture_output=True, timeout=30,
    )  # fmt: skip
    return folder / "own.pem", folder / "own.key"


async def ended(process: asyncio.subprocess.Process) -> None:
    """Kill it, if it runs."""
    if process.returncode is None:
        process.kill()
    await process.wait()
