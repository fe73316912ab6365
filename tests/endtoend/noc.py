"""The NOC beside a district's collector: Prometheus and Alertmanager with the shipped settings.

They run in the hub's namespace, where the shipped ports are free and nothing leads outside: the
files are used as they are. Their e-mail and Telegram go nowhere there; the webhook is `duty`.
"""

import json
import re
import shutil
import sys
import urllib.parse
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from runtime.lab.truth import Packet
from tests.endtoend.district import District

CONFIGS = Path(__file__).parents[2] / "configs"
PROMETHEUS, ALERTMANAGER = "http://127.0.0.1:9090", "http://127.0.0.1:9093"
BRISK = {"1m": "15s", "2m": "45s"}
"""How long a `brisk` NOC holds on to an alert after its end, instead. A link that is back may be
said down once more, when its box tells of the ten seconds before; and links of a PoP come back one
after the other, so it is held for longer than they are."""


class Message(NamedTuple):
    """What came at the webhook."""

    at_s: float
    receiver: str
    status: str
    alerts: list[dict[str, Any]]

    @property
    def what(self) -> list[tuple[str, str]]:
        """Name, and link or PoP, of every alert in it."""
        told = [one["labels"] for one in self.alerts]
        return [(one["alertname"], one.get("link", one.get("pop", ""))) for one in told]


class Budget(NamedTuple):
    """Where the seconds went between the first lost packet and the page; `scrape` and what follows
    begin where the one before ends."""

    detection: float
    """until the collector's own page shows it"""
    scrape: float
    """until Prometheus has a sample of it"""
    rule: float
    """until the rule is evaluated; its `for` is in it"""
    wait: float
    """until Alertmanager's message is there: group_wait and sending"""

    @property
    def total(self) -> float:
        """Of all."""
        return sum(self)

    def __str__(self) -> str:
        parts = ", ".join(f"{name} {value:.1f}" for name, value in self._asdict().items())
        return f"{self.total:.1f} s = {parts}"


class Noc:
    """Running."""

    def __init__(self, district: District, folder: Path) -> None:
        self.district, self.folder = district, folder
        self.file = folder / "duty"

    def _lines(self, kind: str) -> list[dict[str, Any]]:
        text = self.file.read_text() if self.file.exists() else ""
        rows = [json.loads(line) for line in text.splitlines() if line.endswith("}")]
        return [row for row in rows if row["kind"] == kind]

    def messages(self, path: str = "/pantau") -> list[Message]:
        """All that came, in order."""
        return [
            Message(row["at_s"], row["body"]["receiver"], row["body"]["status"],
                    row["body"]["alerts"])
            for row in self._lines("message")
            if row["path"] == path
        ]  # fmt: skip

    def ask(self, url: str) -> Any:
        """JSON from inside the hub's namespace; None where there is no answer yet."""
        text = self.district.get(url)
        return None if text is None else json.loads(text)

    def silences(self, state: str) -> int:
        """How many Alertmanager has in this state."""
        told = self.ask(f"{ALERTMANAGER}/api/v2/silences") or []
        return sum(one["status"]["state"] == state for one in told)

    def suppressed(self) -> dict[tuple[str, str], str]:
        """Alerts that are not sent, by name and link or PoP, and by what."""
        told = self.ask(f"{ALERTMANAGER}/api/v2/alerts?active=false") or []
        return {
            (one["labels"]["alertname"], one["labels"].get("link", one["labels"].get("pop", ""))):
                "silenced" if one["status"]["silencedBy"] else "inhibited"
            for one in told
        }  # fmt: skip

    def query(self, expression: str) -> list[dict[str, Any]]:
        """What Prometheus answers to an instant query."""
        query = urllib.parse.urlencode({"query": expression})
        told = self.ask(f"{PROMETHEUS}/api/v1/query?{query}")
        return [] if told is None else list(told["data"]["result"])

    def sees(self, links: int) -> bool:
        """Whether Prometheus has so many links as up, and sends its alerts."""
        up = self.query('sum(pantau_link_state{state="up"})')
        if [row["value"][1] for row in up] != [str(links)]:
            return False
        # What fires before Prometheus knows its Alertmanager is sent a minute later.
        known = self.ask(f"{PROMETHEUS}/api/v1/alertmanagers")
        return known is not None and bool(known["data"]["activeAlertmanagers"])

    def budget(self, first_lost_s: float, series: str, message: Message) -> Budget:
        """Of a page about what this series tells: a name with its braces, as the page writes it."""
        shown_s = next(
            row["at_s"]
            for row in self._lines("shown")
            if row["series"] == series and row["at_s"] > first_lost_s
        )
        samples = self.query(f"{series}[5m]")
        scraped_s = min(
            float(at)
            for row in samples
            for at, value in row["values"]
            if float(at) > first_lost_s and float(value) > 0
        )
        ruled_s = _unix_s(message.alerts[0]["startsAt"])
        return Budget(
            shown_s - first_lost_s, scraped_s - shown_s, ruled_s - scraped_s, message.at_s - ruled_s
        )

    def series_of(self, prefix: str, *labels: str) -> str:
        """The one series of the page that was shown so, and carries these label values."""
        (found,) = {
            row["series"]
            for row in self._lines("shown")
            if row["series"].startswith(prefix)
            and all(f'"{label}"' in row["series"] for label in labels)
        }
        return found

    def log(self) -> str:
        """The ends of their logs."""
        return "\n".join(
            f"== {file.name}\n{file.read_text()[-1500:]}" for file in self.folder.glob("*.log")
        )


def first_lost_s(packets: list[Packet], links: set[str], since_s: float) -> float:
    """When the first packet was sent that a dead link took, UTC seconds."""
    return min(
        one.in_ns / 1e9
        for one in packets
        if one.link in links and one.fate == "down" and one.in_ns / 1e9 > since_s - 1
    )


def _unix_s(text: str) -> float:
    from datetime import datetime

    return datetime.fromisoformat(re.sub(r"(\.\d{6})\d+", r"\1", text)).timestamp()


def _settings(folder: Path, *, brisk: bool) -> None:
    """The shipped files. `brisk`: what waits after the end of something is shorter; nothing that
    lies before a first message is touched."""
    for name in ("prometheus", "alertmanager"):
        shutil.copytree(CONFIGS / name, folder / name)
    if not brisk:
        return
    for file in (folder / "prometheus" / "rules").glob("*.yml"):
        text = file.read_text()
        for shipped, shorter in BRISK.items():
            text = text.replace(f"keep_firing_for: {shipped}\n", f"keep_firing_for: {shorter}\n")
        file.write_text(text)
    file = folder / "alertmanager" / "alertmanager.yml"
    file.write_text(file.read_text().replace("group_interval: 10s", "group_interval: 3s"))


@contextmanager
def noc(district: District, folder: Path, *, brisk: bool) -> Iterator[Noc]:
    """Prometheus, Alertmanager and `duty`, beside a collector that runs."""
    folder.mkdir()
    _settings(folder, brisk=brisk)
    one = Noc(district, folder)
    commands = {
        "duty": [sys.executable, "-m", "tests.endtoend.duty", str(one.file)],
        "alertmanager": [
            "prometheus-alertmanager",
            "--config.file=alertmanager/alertmanager.yml",
            "--storage.path=silences",
            "--cluster.listen-address=",
            "--web.listen-address=127.0.0.1:9093",
        ],
        "prometheus": [
            "prometheus",
            "--config.file=prometheus/prometheus.yml",
            "--storage.tsdb.path=tsdb",
            "--web.listen-address=127.0.0.1:9090",
        ],
    }
    running = []
    try:
        for name, argv in commands.items():
            where = Path(__file__).parents[2] if name == "duty" else folder
            with (folder / f"{name}.log").open("ab") as log:
                running.append(district.net.hub.popen(argv, cwd=where, stdout=log, stderr=log))
        yield one
    finally:
        for process in running:
            process.terminate()
        for process in running:
            process.wait(20)
