"""`pantau-collector silence-sync`, and the collector itself, against a real Alertmanager."""

import asyncio
import json
import ssl
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml
from click.testing import CliRunner

from collector.__main__ import main
from runtime.clock import SystemClock
from tests.collector.hub import serving, settings_in
from tests.prometheus.alertmanager_kit import (
    PATIENCE_S,
    Office,
    alert,
    certificate,
    ended,
    free_port,
    link,
    office_in,
    only_webhooks,
    started,
)

pytestmark = pytest.mark.alertmanager
WIB = timedelta(hours=7)
CONTRACTS = """
contracts:
  - {reference: K-9, signed_on: 2020-01-01, first_day: 2020-01-01, link: l1, provider: P,
    pop: POP-1, zone: WIB, availability_target: 0.995, fee_rupiah: 1, restitution: {rule: LIN},
    cir: {layer: ip, domestic: {down_bps: 10_000_000, up_bps: 10_000_000}},
    exclusions: {maintenance: {notice_s: 86_400}}}
"""
BCRYPT = "$2b$04$RKaj4UAxD2su11uutzu0yeVCaMXpNELg0JGC390ojcuZdFoUeSdvi"
"""Of `rahasia`, at the least cost: a test need not be safe."""


@pytest.fixture
async def office(tmp_path: Path) -> AsyncIterator[Office]:
    async with office_in(tmp_path) as one:
        yield one


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = settings_in(tmp_path)
    (file.parent / "contracts.yaml").write_text(CONTRACTS)
    return file


async def run(file: Path, *words: str) -> tuple[int, str, str]:
    """Exit status, standard output and standard error of a command."""
    told = [*words, "--config.file", str(file)]
    done = await asyncio.to_thread(CliRunner().invoke, main, told)
    return done.exit_code, done.stdout, done.stderr


async def window(file: Path, *scope: str, announced_h: float = -72, to_h: float = 1) -> None:
    """Record one that began half an hour ago."""

    def at(hours: float) -> str:
        moment = datetime.fromtimestamp(SystemClock().wall_ns() / 1e9, UTC)
        return f"{moment + WIB + timedelta(hours=hours):%Y-%m-%d %H:%M:%S}"

    status, _, err = await run(
        file,
        *("maintenance", "add", *scope, "--from", at(-0.5), "--to", at(to_h)),
        *("--announced", at(announced_h), "--approved-by", "Kepala Bidang", "--reason", "router"),
    )
    assert status == 0, err


async def sync(file: Path, office: Office, *more: str) -> list[str]:
    status, out, err = await run(file, "silence-sync", "--url", office.url, "--once", *more)
    assert status == 0, err
    return out.splitlines()


def states(silences: list[dict[str, Any]]) -> list[str]:
    return sorted(one["status"]["state"] for one in silences)


async def test_a_window_becomes_silences_once_and_its_cancellation_ends_them(
    file: Path, office: Office
) -> None:
    await window(file, "--link", "l1")
    await window(file, "--link", "l2")
    (dry, *_) = await sync(file, office, "--dry-run")
    assert dry.startswith("not done: created: about=link, link=l1: Jendela pemeliharaan")
    assert await office.silences() == []

    said = await sync(file, office)
    assert [line.split(": ")[1] for line in said[:-1]] == [
        "about=link, link=l1",
        "about=link, link=l2",
    ]
    assert said[-1] == "silences wanted: 2, changes: 2"
    first = {one["id"] for one in await office.silences()}
    assert (await sync(file, office))[-1] == "silences wanted: 2, changes: 0"
    assert {one["id"] for one in await office.silences()} == first

    pop = alert("PantauPopDown", "critical", "pop", pop="POP-1", provider="P")
    burn = alert("PantauMonthWillBreach", "warning", "contract", link="l1")
    await office.post(link("l1", pop="Q"), link("l2", pop="Q"), link("l3", pop="Q"), pop, burn)
    await office.until_told_of("l3", "PantauPopDown")
    assert await office.suppressed("silencedBy") == {
        "PantauLinkDown/l1": True,
        "PantauLinkDown/l2": True,
        "PantauLinkDown/l3": False,
        "PantauPopDown": False,
        "PantauMonthWillBreach/l1": False,
    }

    assert (await run(file, "maintenance", "cancel", "1", "--reason", "mundur"))[0] == 0
    said = await sync(file, office)
    assert said[0].startswith("ended: Jendela") and said[0].endswith("/1]") and len(said) == 2
    assert (await office.suppressed("silencedBy"))["PantauLinkDown/l1"] is False
    assert states(await office.silences()) == ["active", "expired"]
    assert (await sync(file, office))[-1] == "silences wanted: 1, changes: 0"


async def test_a_whole_pop_is_silenced_and_what_the_contract_refuses_is_not(
    file: Path, office: Office
) -> None:
    await window(file, "--pop", "POP-1", announced_h=-1)
    assert (await sync(file, office))[0].split(": ")[1] == "about=link, link=l2"
    await window(file, "--pop", "POP-1")
    said = await sync(file, office)
    assert [line.split(": ")[1] for line in said[:-1]] == [
        r"about=link, link=~l1|l2",
        "alertname=PantauPopDown, pop=POP-1, provider=P",
    ]
    pop = alert("PantauPopDown", "critical", "pop", pop="POP-1", provider="P")
    other = alert("PantauPopDown", "critical", "pop", pop="POP-1", provider="Q")
    await office.post(pop, link("l1"), link("l2"), link("l22"))
    assert await office.suppressed("silencedBy") == {
        "PantauLinkDown/l1": True,
        "PantauLinkDown/l2": True,
        "PantauLinkDown/l22": False,
        "PantauPopDown": True,
    }
    await office.post(other)
    await office.until_told_of("PantauPopDown", "l22")


async def test_a_contract_that_changes_changes_the_silence_in_its_place(
    file: Path, office: Office
) -> None:
    terms = file.parent / "contracts.yaml"
    await window(file, "--link", "l1", to_h=3)
    await sync(file, office)
    (before,) = await office.silences()
    capped = CONTRACTS.replace("notice_s: 86_400", "notice_s: 86_400, month_cap_s: 7_200")
    terms.write_text(capped)
    said = await sync(file, office)
    assert said[0].startswith("changed: about=link, link=l1: ")
    (after,) = await office.silences()
    assert after["id"] == before["id"]
    assert after["endsAt"] < before["endsAt"]
    assert (await sync(file, office))[-1].endswith(" changes: 0")


async def test_behind_tls_and_a_password(file: Path, tmp_path: Path) -> None:
    cert, key = certificate(tmp_path)
    web = tmp_path / "web.yml"
    web.write_text(
        yaml.safe_dump(
            {
                "tls_server_config": {"cert_file": str(cert), "key_file": str(key)},
                "basic_auth_users": {"pantau": BCRYPT},
            }
        )
    )
    port = free_port()
    process = await started(tmp_path, only_webhooks(1), port, f"--web.config.file={web}")
    url = f"https://127.0.0.1:{port}"
    password = tmp_path / "password"
    password.write_text("rahasia\n")
    ca = ("--ca-file", str(cert))
    words = ("silence-sync", "--url", url, "--once", *ca)
    auth = ("--username", "pantau", "--password-file", str(password))
    try:
        await until_answers(url, cert)
        await window(file, "--link", "l1")
        status, out, err = await run(file, *words, *auth)
        assert (status, out.splitlines()[-1]) == (0, "silences wanted: 1, changes: 1"), err

        password.write_text("salah\n")
        status, out, err = await run(file, *words, *auth)
        assert (status, out) == (1, "")
        assert err == f"pantau-collector: GET {url}/api/v2/silences: 401 Unauthorized\n"

        status, _, err = await run(file, "silence-sync", "--url", url, "--once")
        assert status == 1 and "certificate" in err and len(err.splitlines()) == 1
    finally:
        await ended(process)
    status, _, err = await run(file, *words, *auth)
    assert status == 1 and f"GET {url}/api/v2/silences: " in err and len(err.splitlines()) == 1


async def until_answers(url: str, ca: Path) -> None:
    context = ssl.create_default_context(cafile=str(ca))
    async with aiohttp.ClientSession() as session, asyncio.timeout(PATIENCE_S):
        while True:
            try:
                async with session.get(url, ssl=context) as answer:
                    assert answer.status == 401
                    return
            except aiohttp.ClientError:
                await asyncio.sleep(0.05)


async def test_the_loop_outlives_an_alertmanager_that_is_away_and_forgets_everything(
    file: Path, tmp_path: Path
) -> None:
    await window(file, "--link", "l1")
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    loop = await asyncio.create_subprocess_exec(
        *(sys.executable, "-u", "-m", "collector", "silence-sync", "--url", url, "--every", "1"),
        *("--config.file", str(file)),
        stdout=asyncio.subprocess.PIPE,
    )
    assert loop.stdout is not None
    try:
        said = await asyncio.wait_for(loop.stdout.readline(), PATIENCE_S)
        assert said.startswith(b"not done, tried again every 1 s: GET http://127.0.0.1:")
        for life in ("one", "two"):
            home = tmp_path / life
            home.mkdir()
            process = await started(home, only_webhooks(1), port)
            said = await asyncio.wait_for(loop.stdout.readline(), PATIENCE_S)
            assert said.startswith(b"created: about=link, link=l1: ")
            assert await asyncio.wait_for(loop.stdout.readline(), PATIENCE_S) == b"in line again\n"
            async with aiohttp.ClientSession() as session:
                assert states(await Office(url, session).silences()) == ["active"]
            await ended(process)
            said = await asyncio.wait_for(loop.stdout.readline(), PATIENCE_S)
            assert said.startswith(b"not done, ")
        assert loop.returncode is None
    finally:
        await ended(loop)


async def test_a_running_collector_does_it_by_itself(
    tmp_path: Path, file: Path, office: Office
) -> None:
    await window(file, "--link", "l1")
    clock = SystemClock()
    told = {"url": office.url, "every_s": 1}
    async with serving(tmp_path, clock=clock, alertmanager=told) as hub:
        async with asyncio.timeout(PATIENCE_S):
            while len(await office.silences()) != 1:
                await asyncio.sleep(0.05)
            assert (await run(file, "maintenance", "cancel", "1", "--reason", "mundur"))[0] == 0
            while states(await office.silences()) != ["expired"]:
                await asyncio.sleep(0.05)
            while await hub.value("pantau_collector_silences") != 0:
                await asyncio.sleep(0.05)
        synced_s = await hub.value("pantau_collector_silences_synced_timestamp_seconds")
    assert synced_s is not None and abs(synced_s - clock.wall_ns() / 1e9) < PATIENCE_S
    assert json.dumps(await office.silences()).count("[pantau ") == 1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "collector.yaml: alertmanager: not there; expected its url, or --url, such as"),
        (("--url", "localhost:9093"), "--url: 'localhost:9093': expected such as http://"),
        (("--url", "http://h", "--username", "u"), "--username and --password-file go together"),
        (("--url", "http://h", "--ca-file", "/nowhere"), "alertmanager: no file /nowhere"),
        (("--url", "http://h", "--every", "5"), "--every is for the loop, not for --once"),
        (("--url", "http://h", "--key-file", "/k"), "cert_file and key_file go together"),
    ],
)
async def test_what_is_missing_or_wrong_is_said_in_one_line(
    file: Path, words: tuple[str, ...], said: str
) -> None:
    status, out, err = await run(file, "silence-sync", "--once", *words)
    assert (status, out) == (1, "") and said in err and len(err.splitlines()) == 1, err


def test_the_word_for_an_alertmanager_of_the_settings(file: Path) -> None:
    told = yaml.safe_load(file.read_text()) | {"alertmanager": {"url": "am:9093"}}
    file.write_text(yaml.safe_dump(told))
    done = CliRunner().invoke(main, ["check", "--config.file", str(file)])
    assert done.exit_code == 1 and "alertmanager.url" in done.stderr
