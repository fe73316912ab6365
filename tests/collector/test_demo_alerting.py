"""What of the shipped settings the demo changes, and what it tells of the alerts."""

from typing import Any

import pytest
import yaml

from collector.demo import alerting
from collector.demo.alerting import CONFIGS, Alerting, alertmanager_settings, prometheus_settings


def shipped(name: str) -> dict[str, Any]:
    return dict(yaml.safe_load((CONFIGS / name).read_text()))


def test_prometheus_watches_the_demos_collector_by_the_shipped_rules_and_rhythm() -> None:
    before = shipped("prometheus/prometheus.yml")
    after = prometheus_settings(before, "http://127.0.0.1:1234", "127.0.0.1:5678")
    assert before == shipped("prometheus/prometheus.yml")
    assert after["rule_files"] == before["rule_files"]
    for old, new in zip(before["scrape_configs"], after["scrape_configs"], strict=True):
        assert new.pop("static_configs") == [{"targets": ["127.0.0.1:1234"]}]
        assert old.pop("static_configs") and new == old
    assert after["alerting"]["alertmanagers"] == [
        {"static_configs": [{"targets": ["127.0.0.1:5678"]}]}
    ]
    assert after["global"]["external_labels"] == {"pantau_url": "http://127.0.0.1:1234"}


def test_alertmanager_routes_as_shipped_and_sends_nothing_off_this_machine() -> None:
    before = shipped("alertmanager/alertmanager.yml")
    after = alertmanager_settings(before, "http://127.0.0.1:9/")
    for key in ("route", "inhibit_rules", "time_intervals", "templates"):
        assert after[key] == before[key]
    assert [one["name"] for one in after["receivers"]] == [
        one["name"] for one in before["receivers"]
    ]
    for one in after["receivers"]:
        assert set(one) == {"name", "webhook_configs"}
        assert one["webhook_configs"] == [{"url": "http://127.0.0.1:9/", "send_resolved": True}]


def message(status: str, name: str) -> dict[str, Any]:
    summary = "Sudah / Link l1 is down"
    labels = {"alertname": name, "link": "l1"}
    alert = {"status": status, "labels": labels, "annotations": {"summary": summary}}
    return {"receiver": "night", "alerts": [alert]}


def test_alerts_are_told_once_each_in_plain_words_and_the_watchdog_only_once() -> None:
    told = Alerting()
    told.take(message("firing", "PantauLinkDown"))
    told.take(message("resolved", "PantauLinkDown"))
    for _ in range(3):
        told.take(message("firing", "PantauWatchdog"))
    assert told.told() == [
        "Alertmanager to night: PantauLinkDown fires: Link l1 is down",
        "Alertmanager to night: PantauLinkDown is over: Link l1 is down",
        "Alertmanager to night: PantauWatchdog fires: Link l1 is down",
    ]
    assert told.told() == []


def test_without_the_programs_the_demo_says_what_is_missing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    missing = alerting.why_not()
    assert missing is not None and "prometheus, prometheus-alertmanager" in missing
