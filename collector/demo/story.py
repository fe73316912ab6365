"""What happens in the demo, and whether what was promised did happen."""

import sys
import time
from dataclasses import dataclass
from typing import Any

from collector.demo.alerting import Alerting
from collector.demo.proof import Proof, prove
from collector.demo.scene import LOGIN, Scene
from collector.demo.screen import Screen
from collector.tables import fetch, fetch_links
from runtime.clock import SECOND, SystemClock

CUT_S = 12.0
CALM_S = 5.0
"""Shown undisturbed before the cut."""
ALL_UP_WITHIN_S = 20.0
ARRIVE_WITHIN_S = 40.0


@dataclass
class Promises:
    """What a newcomer was told they would see."""

    all_up: bool = False
    cut_seen: bool = False
    back_up: bool = False
    backlog_arrived: bool = False
    exactly_once: bool = False
    loss_found: bool = False

    def broken(self) -> list[str]:
        """Names of those that did not hold."""
        return [name.replace("_", " ") for name, kept in vars(self).items() if not kept]


_PAYER = {"provider": "the provider", "excluded": "nobody: the contract excludes it"}


class Story:
    """Calm, cut, mend, backlog; then until the end or Ctrl-C."""

    def __init__(self, scene: Scene, duration_s: float | None, alerting: Alerting) -> None:
        self._scene, self._duration_s, self._alerting = scene, duration_s, alerting
        self._clock = SystemClock()
        self._began_ns = self._clock.boot_ns()
        self._promises = Promises()
        self._screen = Screen(live=sys.stdout.isatty())
        self._rows: list[dict[str, Any]] = []
        self._told = False
        """Whether the story was seen to its end."""
        self._cut_wall_s: tuple[float, float] | None = None
        self._judged = False

    def play(self) -> int:
        """Run to the end; the exit status."""
        self._say_where()
        try:
            with self._screen:
                self._acts()
                self._told = True
                self._rest()
        except KeyboardInterrupt:
            if self._duration_s is not None:
                raise
        self._scene.stop_all()
        proof = prove(self._scene.folder / "collector" / "ledger.db")
        return self._verdict(proof)

    def _say_where(self) -> None:
        url, folder = self._scene.url, self._scene.folder
        places = {
            "Page": f"{url}/",
            "Login": f"{LOGIN} / {self._scene.password}",
            "Metrics": f"{url}/metrics",
            "JSON": f"{url}/api/v1/links",
            "Outages": f"{url}/api/v1/outages",
            "Prometheus": self._alerting.prometheus_url,
            "Alertmanager": self._alerting.alertmanager_url,
            "Data": f"{folder} (logs, ledger, spools)",
            "Stop": "Ctrl-C",
        }
        for name, where in places.items():
            if where:
                sys.stdout.write(f"{name + ':':<14}{where}\n")
        sys.stdout.write("\n")
        sys.stdout.flush()

    def _elapsed_s(self) -> float:
        return (self._clock.boot_ns() - self._began_ns) / SECOND

    def _say(self, text: str) -> None:
        self._screen.say(f"[{self._elapsed_s():5.1f} s] {text}")

    def _look(self) -> bool:
        """Fetch the newest state; False while the hub does not answer."""
        try:
            self._rows = fetch_links(self._scene.url, self._scene.token)
        except (OSError, ValueError):
            return False
        self._screen.show(self._rows, self._clock.wall_ns() / SECOND)
        for message in self._alerting.told():
            self._say(message)
        return True

    def _victim(self) -> dict[str, Any]:
        return next(row for row in self._rows if row["link"] == self._scene.victim)

    def _until(self, seconds: float, reached: str) -> bool:
        """Watch until the named condition holds or `seconds` have passed."""
        end = self._elapsed_s() + seconds
        while self._elapsed_s() < end:
            if self._look() and getattr(self, reached)():
                return True
            time.sleep(0.5)
        return False

    def _all_up(self) -> bool:
        return all(row["state"] == "up" and row["rtt_median_s"] for row in self._rows)

    def _victim_not_up(self) -> bool:
        return bool(self._victim()["state"] != "up")

    def _victim_up(self) -> bool:
        return bool(self._victim()["state"] == "up")

    def _arrived(self) -> bool:
        """Evidence newer than the cut is settled and nothing before it is missing."""
        assert self._cut_wall_s is not None
        row = self._victim()
        settled = row["evidence_settled_s"]
        return (
            settled is not None
            and settled > self._cut_wall_s[1] + 1
            and row["evidence_missing_batches"] == 0
        )

    def _never(self) -> bool:
        return False

    def _tell_judged(self) -> bool:
        """Say once what the evidence makes of the cut; never an end to watching."""
        if self._judged:
            return False
        try:
            path = f"/api/v1/links/{self._scene.victim}/outages"
            outages = fetch(self._scene.url, path, self._scene.token)
        except (OSError, ValueError):
            return False
        for row in outages:
            if row["settled"]:
                self._judged = True
                self._say(
                    f"Judged by the evidence: {row['state']} for {row['duration_s']:.0f} s, give or"
                    f" take a second at each end; {row['cause'].replace('_', ' ')}, charged to"
                    f" {_PAYER.get(row['charge'], 'nobody')}. {row['why']}"
                )
        return False

    def _acts(self) -> None:
        promises = self._promises
        promises.all_up = self._until(ALL_UP_WITHIN_S, "_all_up")
        self._say(
            "Every link is up: the hub hears each node once a second."
            if promises.all_up
            else "Not every link came up."
        )
        self._until(CALM_S, "_never")
        self._cut()
        self._scene.mend()
        mended_s = self._clock.wall_ns() / SECOND
        assert self._cut_wall_s is not None
        self._cut_wall_s = (self._cut_wall_s[0], mended_s)
        self._say("Mended. The node went on measuring; what it kept arrives now.")
        promises.back_up = self._until(ALL_UP_WITHIN_S, "_victim_up")
        if promises.back_up:
            self._say("Up again.")
        promises.backlog_arrived = self._until(ARRIVE_WITHIN_S, "_arrived")
        self._say(
            "The backlog has arrived: no second of the cut is missing in the ledger."
            if promises.backlog_arrived
            else "The backlog has not arrived."
        )

    def _cut(self) -> None:
        began = self._elapsed_s()
        self._cut_wall_s = (self._clock.wall_ns() / SECOND, 0.0)
        self._say(f"Cutting {self._scene.prober} for {CUT_S:.0f} s.")
        self._scene.cut()
        if self._scene.hub_goes_away:
            self._promises.cut_seen = not self._look()
        else:
            self._promises.cut_seen = self._until(CUT_S - 1, "_victim_not_up")
            row = self._victim()
            self._say(
                f"The hub says {row['state'].upper()} ({row['reason']}): it hears nothing,"
                " and silence alone is not downtime."
            )
        self._until(CUT_S - (self._elapsed_s() - began), "_never")

    def _rest(self) -> None:
        if self._duration_s is None:
            self._say(
                "That was the story. It goes on until Ctrl-C: open the page, cut a link yourself."
                " A minute and a half after the cut its evidence is judged."
            )
            self._until(float("inf"), "_tell_judged")
        else:
            self._until(self._duration_s - self._elapsed_s(), "_tell_judged")

    def _verdict(self, proof: Proof) -> int:
        promises = self._promises
        promises.exactly_once = proof.holes == 0 and proof.repeats == 0 and proof.observations > 0
        lost = 0
        if self._cut_wall_s is not None:
            lost = proof.lost_between(self._scene.victim, *self._cut_wall_s)
        promises.loss_found = lost >= CUT_S - 3
        sys.stdout.write(
            f"\nIn the ledger: {proof.batches} signed batches, {proof.observations} observations,"
            f" {proof.repeats} twice, {proof.holes} missing; {lost} packets of the cut, each with"
            " its second.\n"
        )
        if not self._told:
            sys.stdout.write("Stopped in the middle of the story.\n")
            return 130
        broken = promises.broken()
        if broken:
            sys.stdout.write(f"NOT as promised: {', '.join(broken)}\n")
            return 1
        sys.stdout.write("All as promised.\n")
        return 0
