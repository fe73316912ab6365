"""Real stores to send to: a Prometheus and a VictoriaMetrics, on folders and ports of their own."""

import json
import math
import socket
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

WINDOW_S = 24 * 3600
"""Prometheus' out_of_order_time_window in these tests."""
Labels = tuple[tuple[str, str], ...]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Store:
    """A store's process, and what it holds."""

    def __init__(self, folder: Path, words: list[str], port: int, write: str) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.write_url = self.url + write
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / "log").open("ab") as log:
            self.process = subprocess.Popen(words, stdout=log, stderr=log)
        self._wait(folder)

    def _wait(self, folder: Path) -> None:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and self.process.poll() is None:
            try:
                urllib.request.urlopen(f"{self.url}/-/ready", timeout=5).close()
                return
            except OSError:
                time.sleep(0.05)
        raise RuntimeError((folder / "log").read_text()[-3000:])

    def get(self, path: str, **query: str | float) -> Any:
        text = urllib.parse.urlencode(query)
        with urllib.request.urlopen(f"{self.url}{path}?{text}", timeout=30) as answer:
            body = answer.read()
        return json.loads(body) if body else None

    def settle(self) -> None:
        """Have what was written be found."""

    def samples(self, selector: str, end_s: int, length_s: int) -> dict[Labels, dict[int, float]]:
        """Raw samples by labels and millisecond."""
        self.settle()
        told = self.get("/api/v1/query", query=f"{selector}[{length_s}s]", time=end_s)
        return {
            tuple(sorted(row["metric"].items())): {
                round(at * 1000): float(value) for at, value in row["values"]
            }
            for row in told["data"]["result"]
        }

    def one(self, expression: str, at_s: float) -> float:
        """The value of an expression of one series; NaN for none."""
        self.settle()
        rows = self.get("/api/v1/query", query=expression, time=at_s)["data"]["result"]
        assert len(rows) <= 1, rows
        return float(rows[0]["value"][1]) if rows else math.nan

    def range(self, expression: str, start_s: int, end_s: int, step_s: int) -> list[float]:
        """The values of one series over a range."""
        self.settle()
        told = self.get(
            "/api/v1/query_range", query=expression, start=start_s, end=end_s, step=step_s
        )
        rows = told["data"]["result"]
        assert len(rows) <= 1, rows
        return [float(value) for _, value in rows[0]["values"]] if rows else []

    def close(self) -> None:
        self.process.terminate()
        self.process.wait(30)


class Prometheus(Store):
    """With a remote write receiver, and with a window for late samples unless told."""

    def __init__(
        self, folder: Path, *, window_s: int = WINDOW_S, port: int | None = None, scrape: Any = ()
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        settings = folder / "prometheus.yml"
        tsdb = {"tsdb": {"out_of_order_time_window": f"{window_s}s"}} if window_s else {}
        settings.write_text(json.dumps({"storage": tsdb, "scrape_configs": list(scrape)}))
        port = port or free_port()
        words = [
            "prometheus",
            f"--config.file={settings}",
            f"--storage.tsdb.path={folder}/tsdb",
            "--storage.tsdb.retention.time=100y",
            f"--web.listen-address=127.0.0.1:{port}",
            "--web.enable-remote-write-receiver",
        ]
        super().__init__(folder, words, port, "/api/v1/write")


class VictoriaMetrics(Store):
    """One node, with the deduplication that docs/backfill.md asks for."""

    def __init__(self, folder: Path, *, port: int | None = None) -> None:
        port = port or free_port()
        words = [
            "victoria-metrics",
            f"-storageDataPath={folder}/data",
            "-retentionPeriod=100y",
            f"-httpListenAddr=127.0.0.1:{port}",
            "-dedup.minScrapeInterval=1ms",
        ]
        super().__init__(folder, words, port, "/api/v1/write")

    def settle(self) -> None:
        self.get("/internal/force_flush")
