"""The shipped Alertmanager settings: who hears of what, and that one cause is one message."""

import json
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.prometheus.alertmanager_kit import HOME, SETTINGS, Office, alert, link, office_in

pytestmark = pytest.mark.alertmanager
DETECTION_S = 10
"""Until the hub knows, at most: five seconds of silence, and the prober's sixth lost packet of ten
with its timeout of 2 s, told within a second."""
SENDING_S = 1


def amtool(*words: str) -> str:
    done = subprocess.run(
        ["amtool", *words], cwd=HOME, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture
async def office(tmp_path: Path) -> AsyncIterator[Office]:
    async with office_in(tmp_path) as one:
        yield one


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


def seconds(text: str) -> int:
    return int(text[:-1]) * {"s": 1, "m": 60}[text[-1]]


def test_the_seconds_of_a_page_add_up_to_less_than_thirty() -> None:
    configs = HOME.parent
    routes = yaml.safe_load(SETTINGS.read_text())["route"]
    scrapes = yaml.safe_load((configs / "prometheus" / "prometheus.yml").read_text())
    rules = yaml.safe_load((configs / "prometheus" / "rules" / "pantau-live.yml").read_text())
    (live,) = [one for one in scrapes["scrape_configs"] if one["job_name"] == "pantau-live"]
    scrape_s = seconds(live["scrape_interval"])
    rule_s = max(seconds(group["interval"]) for group in rules["groups"])
    wait_s = seconds(routes["group_wait"])
    assert wait_s > scrape_s + rule_s, "a PoP is seen a scrape later than its first link"
    # Also where the link joins others of its PoP that are told already.
    most_s = DETECTION_S + scrape_s + rule_s + max(wait_s, seconds(routes["group_interval"]))
    assert most_s + SENDING_S < 30
    for group in rules["groups"]:
        for rule in group["rules"]:
            if rule.get("alert") in ("PantauLinkDown", "PantauPopDown"):
                assert "for" not in rule


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
