"""Prometheus and Alertmanager beside the demo's collector, where this machine has them.

They run with the shipped settings (configs/): the rules as they are, the addresses the demo's own,
and of the receivers the webhooks alone, which come back here: a demo sends no mail.
"""

import contextlib
import json
import queue
import shutil
import subprocess
import time
import urllib.request
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import yaml

from collector.demo.scene import end, free_port
from runtime.clock import SECOND, SystemClock

CONFIGS = Path(__file__).parents[2] / "configs"
PROGRAMS = ("prometheus", "prometheus-alertmanager")
_READY_S = 20.0
_WATCHDOG = "PantauWatchdog"


def why_not() -> str | None:
    """What is missing for it on this machine, if anything."""
    missing = [name for name in PROGRAMS if shutil.which(name) is None]
    if missing:
        return f"not installed: {', '.join(missing)} (Debian packages)"
    return None if CONFIGS.is_dir() else f"no folder {CONFIGS}: run it from the repository"


class Alerting:
    """Both programs while they run, and what Alertmanager has sent."""

    def __init__(self) -> None:
        self.prometheus_url: str | None = None
        self.alertmanager_url: str | None = None
        self._sent: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._known: set[tuple[str, str, str]] = set()

    def take(self, message: Mapping[str, Any]) -> None:
        """A message of Alertmanager's; of the watchdog, which comes for ever, the first alone."""
        for alert in message["alerts"]:
            labels = alert["labels"]
            key = (alert["status"], labels["alertname"], labels.get("link", ""))
            if labels["alertname"] == _WATCHDOG and key in self._known:
                continue
            self._known.add(key)
            verb = "fires" if alert["status"] == "firing" else "is over"
            # In two languages, as the NOC has it: the second is English.
            summary = alert["annotations"]["summary"].rpartition(" / ")[2]
            self._sent.put(
                f"Alertmanager to {message['receiver']}: {labels['alertname']} {verb}: {summary}"
            )

    def told(self) -> list[str]:
        """What has come since this was asked last."""
        news = []
        with contextlib.suppress(queue.Empty):
            while True:
                news.append(self._sent.get_nowait())
        return news


def prometheus_settings(shipped: Mapping[str, Any], url: str, alertmanager: str) -> dict[str, Any]:
    """The shipped prometheus.yml with the addresses that are marked HERE in it."""
    told: dict[str, Any] = json.loads(json.dumps(shipped))
    told["global"]["external_labels"]["pantau_url"] = url
    for job in told["scrape_configs"]:
        job["static_configs"] = [{"targets": [url.removeprefix("http://")]}]
    told["alerting"]["alertmanagers"] = [{"static_configs": [{"targets": [alertmanager]}]}]
    return told


def alertmanager_settings(shipped: Mapping[str, Any], hook: str) -> dict[str, Any]:
    """The shipped alertmanager.yml with nothing that leaves this machine; webhooks go to `hook`."""
    told: dict[str, Any] = json.loads(json.dumps(shipped))
    for receiver in told["receivers"]:
        # Office hours' mail as well: a visitor comes at any time.
        receiver.pop("email_configs", None)
        receiver.pop("telegram_configs", None)
        receiver["webhook_configs"] = [{"url": hook, "send_resolved": True}]
    return told


@contextlib.contextmanager
def _listening(alerting: Alerting) -> Iterator[str]:
    """Where Alertmanager sends to: this process, on loopback."""

    class Hook(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            size = int(self.headers.get("Content-Length", "0"))
            alerting.take(json.loads(self.rfile.read(size)))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """The story tells it."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Hook)
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _write(folder: Path, url: str, alertmanager: str, hook: str) -> None:
    for name in ("prometheus", "alertmanager"):
        shutil.copytree(
            CONFIGS / name, folder / name, ignore=shutil.ignore_patterns("tests", "data")
        )
    file = folder / "prometheus" / "prometheus.yml"
    settings = prometheus_settings(yaml.safe_load(file.read_text()), url, alertmanager)
    file.write_text(yaml.safe_dump(settings, sort_keys=False))
    file = folder / "alertmanager" / "alertmanager.yml"
    settings = alertmanager_settings(yaml.safe_load(file.read_text()), hook)
    file.write_text(yaml.safe_dump(settings, sort_keys=False))


def _start(folder: Path, name: str, *words: str) -> subprocess.Popen[bytes]:
    with (folder / f"{name}.log").open("ab") as log:
        # A session of its own: Ctrl-C is for the demo, which ends it.
        return subprocess.Popen(
            [name, *words],
            cwd=folder,
            stdout=log,
            stderr=log,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )


def _ready(url: str, process: subprocess.Popen[bytes]) -> bool:
    clock = SystemClock()
    until_ns = clock.boot_ns() + int(_READY_S * SECOND)
    while clock.boot_ns() < until_ns and process.poll() is None:
        with contextlib.suppress(OSError):
            urllib.request.urlopen(f"{url}/-/ready", timeout=1).close()
            return True
        time.sleep(0.1)
    return False


@contextlib.contextmanager
def watching(folder: Path, url: str) -> Iterator[Alerting]:
    """Both programs for the collector at `url`, with everything they write below `folder`.

    One that does not start is left out: the demo goes on without it.
    """
    alerting = Alerting()
    running: list[subprocess.Popen[bytes]] = []
    with _listening(alerting) as hook:
        prometheus, alertmanager = (f"127.0.0.1:{free_port(port)}" for port in (9090, 9093))
        _write(folder, url, alertmanager, hook)
        try:
            running.append(
                _start(
                    folder,
                    "prometheus-alertmanager",
                    "--config.file=alertmanager/alertmanager.yml",
                    "--storage.path=alertmanager/data",
                    f"--web.listen-address={alertmanager}",
                    "--cluster.listen-address=",
                )
            )
            running.append(
                _start(
                    folder,
                    "prometheus",
                    "--config.file=prometheus/prometheus.yml",
                    "--storage.tsdb.path=prometheus/data",
                    f"--web.listen-address={prometheus}",
                    "--web.enable-remote-write-receiver",
                )
            )
            if _ready(f"http://{alertmanager}", running[0]):
                alerting.alertmanager_url = f"http://{alertmanager}"
            if _ready(f"http://{prometheus}", running[1]):
                alerting.prometheus_url = f"http://{prometheus}"
            yield alerting
        finally:
            for process in running:
                end(process)
