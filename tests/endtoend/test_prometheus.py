"""A real Prometheus scrapes a real collector that a real agent reports to."""

import json
import math
import subprocess
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.prometheus


class Prometheus:
    """A Prometheus of our own, on a port and a folder of its own."""

    def __init__(self, folder: Path, target_port: int, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        settings = folder / "prometheus.yml"
        settings.write_text(
            json.dumps(
                {
                    "global": {"scrape_interval": "1s", "scrape_timeout": "1s"},
                    "scrape_configs": [
                        {
                            "job_name": "pantau",
                            "honor_labels": True,
                            "static_configs": [{"targets": [f"127.0.0.1:{target_port}"]}],
                        }
                    ],
                }
            )
        )
        with (folder / "prometheus.log").open("wb") as log:
            self.process = subprocess.Popen(
                [
                    "prometheus",
                    f"--config.file={settings}",
                    f"--storage.tsdb.path={folder}/tsdb",
                    f"--web.listen-address=127.0.0.1:{port}",
                ],
                stdout=log,
                stderr=log,
            )

    def query(self, expression: str) -> dict[tuple[str, ...], float]:
        """Values by sorted label pairs."""
        query = urllib.parse.urlencode({"query": expression})
        with urllib.request.urlopen(f"{self.url}/api/v1/query?{query}", timeout=5) as answer:
            result = json.load(answer)["data"]["result"]
        return {
            tuple(f"{k}={v}" for k, v in sorted(row["metric"].items())): float(row["value"][1])
            for row in result
        }

    def one(self, expression: str) -> float:
        values = self.query(expression)
        assert len(values) == 1, f"{expression}: {values}"
        return next(iter(values.values()))

    def close(self) -> None:
        self.process.terminate()
        self.process.wait(20)


@pytest.fixture
def prometheus(system: Any, tmp_path: Path) -> Iterator[Prometheus]:
    from socket import AF_INET, socket

    with socket(AF_INET) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = Prometheus(tmp_path, system.port, port)
    yield server
    server.close()


def test_prometheus_has_the_series_with_the_values_that_the_ledger_has(
    system: Any, prometheus: Prometheus
) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        time.sleep(1)
        try:
            if prometheus.one('sum(pantau_link_packets_sent_total{link="l1"})') > 60:
                break
        except (OSError, AssertionError):
            continue
    assert prometheus.one('pantau_link_state{link="l1",state="up"}') == 1
    assert prometheus.one('sum(pantau_link_state{link="l1"})') == 1
    assert prometheus.one('pantau_link_info{provider="Penyedia",pop="POP-1"}') == 1
    assert 0 < prometheus.one("pantau_link_rtt_median_seconds") < 0.05
    assert prometheus.one("time() - pantau_link_evidence_settled_timestamp_seconds") < 10
    assert prometheus.one("pantau_link_last_heard_age_seconds") < 3
    quantile = prometheus.one(
        "histogram_quantile(0.95, sum by (le) (pantau_link_rtt_seconds_bucket))"
    )
    assert 0 < quantile < 0.05
    assert prometheus.one('up{job="pantau"}') == 1
    assert prometheus.query("pantau_agent_info") != {}

    system.stop_agent()
    time.sleep(3)
    sent = prometheus.one('pantau_link_packets_sent_total{target="hub"}')
    heard = prometheus.one("pantau_link_hub_packets_received_total")
    received = prometheus.one('pantau_link_rtt_seconds_count{target="hub"}')
    lost = prometheus.one('pantau_link_packets_lost_total{target="hub"}')
    system.stop_collector()
    proof = system.prove()
    aborted = proof.observations - sent
    assert 0 <= aborted <= 6, "in flight when the agent stopped: neither sent and lost nor received"
    assert sent == received + lost
    assert not math.isnan(lost)
    assert heard >= received


def test_promtool_finds_nothing_to_say_about_the_page(system: Any) -> None:
    time.sleep(3)
    with urllib.request.urlopen(f"{system.url}/metrics", timeout=5) as page:
        text = page.read()
    done = subprocess.run(
        ["promtool", "check", "metrics"], input=text, capture_output=True, timeout=30, check=False
    )
    assert (done.returncode, done.stdout.decode(), done.stderr.decode()) == (0, "", "")


def test_a_scrape_is_compressed_when_asked(system: Callable[..., Any]) -> None:
    request = urllib.request.Request(
        f"{system.url}/metrics",
        headers={"Accept-Encoding": "gzip"},  # type: ignore[attr-defined]
    )
    with urllib.request.urlopen(request, timeout=5) as page:
        assert page.headers["Content-Encoding"] == "gzip"
