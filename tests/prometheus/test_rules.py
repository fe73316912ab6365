"""The shipped rules: every alert is tested by promtool, and says what it must."""

import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

pytestmark = pytest.mark.prometheus
HOME = Path(__file__).parents[2] / "configs" / "prometheus"
RULES = sorted((HOME / "rules").glob("*.yml"))
TESTS = sorted((HOME / "tests").glob("*.yml"))


def rules() -> list[dict[str, Any]]:
    return [
        rule
        for file in RULES
        for group in yaml.safe_load(file.read_text())["groups"]
        for rule in group["rules"]
    ]


ALERTS = {rule["alert"]: rule for rule in rules() if "alert" in rule}


def promtool(*words: str) -> None:
    done = subprocess.run(
        ["promtool", *words], cwd=HOME, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_settings_and_the_rules_are_good() -> None:
    promtool("check", "config", "prometheus.yml")


@pytest.mark.parametrize("file", TESTS, ids=lambda file: file.stem)
def test_the_rules_do_what_their_tests_say(file: Path) -> None:
    promtool("test", "rules", f"tests/{file.name}")


@pytest.mark.parametrize("name", ALERTS)
def test_an_alert_has_a_test_in_which_it_fires_and_one_in_which_it_is_quiet(name: str) -> None:
    if name == "PantauWatchdog":
        return  # it is never quiet
    told = yaml.safe_load((HOME / "tests" / f"{name}.yml").read_text())
    asked = [one for test in told["tests"] for one in test.get("alert_rule_test", ())]
    expected = [one["exp_alerts"] for one in asked if one["alertname"] == name]
    assert any(expected) and not all(expected)


@pytest.mark.parametrize("name", ALERTS)
def test_an_alert_says_how_bad_it_is_what_happened_and_where_to_read_on(name: str) -> None:
    alert = ALERTS[name]
    assert name.startswith("Pantau")
    assert alert["labels"]["severity"] in ("critical", "warning", "info", "none")
    assert alert["labels"]["about"] in ("hub", "pop", "link", "site", "contract", "evidence")
    told = alert["annotations"]
    assert set(told) == {"summary", "description", "runbook_url"}
    assert told["runbook_url"] == f"{{{{ $externalLabels.pantau_url }}}}/runbooks/{name}"
    for text in (told["summary"], told["description"]):
        assert " / " in text, "Indonesian, then English"


def test_recording_rules_are_named_level_metric_operations() -> None:
    for rule in rules():
        if "record" in rule:
            assert len(rule["record"].split(":")) == 3, rule["record"]
