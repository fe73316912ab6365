"""From the first lost packet to the page, and where the seconds went.

    python bench/page.py [--cuts 6]

A district of six links in the emulated network with real agents (default settings), collector,
Prometheus and Alertmanager with the shipped files. One access link after another is cut, at any
moment of the others' rhythms; none more than twice, because the third time it flaps. What lies
before a first message is as shipped; how long an alert is held on to after its end is shortened,
or each cut would take five minutes.

`scrape` and `rule` are spread over their intervals (5 s, 2 s) by chance, `wait` is group_wait.
"""

import argparse
import random
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from peers.figures import rank, table
from peers.machine import compiled_apart, need_lab, print_machine

from tests.endtoend.district import District, Place, district
from tests.endtoend.noc import Budget, Noc, first_lost_s, noc

PLACES = tuple(
    Place(name=f"{pop[0]}{k}", pop=pop) for pop in ("utara", "selatan") for k in (1, 2, 3)
)
MOST_CUTS = 2 * len(PLACES)
PATIENCE_S = 120
PROMISED_S = 30


def _cut(stage: District, at: Noc, place: Place) -> Budget:
    """Cut a link, wait for the page, mend it, wait for the end."""
    link = stage.net.sites[place.name].link
    told = len(at.messages())
    cut_s = link.down().real_ns / 1e9

    def came(status: str) -> bool:
        return any(one.status == status for one in at.messages()[told:])

    stage.wait_for("the page", PATIENCE_S, lambda: came("firing"), every_s=0.2)
    message = next(one for one in at.messages()[told:] if one.status == "firing")
    series = at.series_of("pantau_link_outage_start", place.link, "down")
    lost_s = first_lost_s(stage.net.lab.packets(), {place.name}, cut_s)
    budget = at.budget(lost_s, series, message)
    link.up()
    stage.wait_for("the end", PATIENCE_S, lambda: came("resolved"))
    return budget


def _print(budgets: list[Budget]) -> None:
    rows = []
    for name in (*Budget._fields, "total"):
        values = [getattr(one, name) for one in budgets]
        rows.append([name, *(f"{rank(values, share):.1f}" for share in (0, 0.5, 1))])
    table(["seconds", "least", "median", "most"], rows)
    late = sum(one.total > PROMISED_S for one in budgets)
    print(f"  {len(budgets)} cuts, {late} pages later than {PROMISED_S} s")


def main() -> None:
    """Cut so often, and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--cuts", type=int, default=6, choices=range(1, MOST_CUTS + 1))
    cuts = parser.parse_args().cuts
    need_lab()
    print_machine()
    budgets = []
    with tempfile.TemporaryDirectory(prefix="pantau-page-") as scratch, compiled_apart():
        folder = Path(scratch)
        with district(folder, PLACES, agent={}) as stage:
            stage.write(str((datetime.now(UTC) - timedelta(days=2)).date()))
            stage.start()
            with noc(stage, folder / "desk", brisk=True) as at:
                stage.wait_for("Prometheus sees all", 60, lambda: at.sees(len(PLACES)))
                for k in range(cuts):
                    time.sleep(12 + random.uniform(0, 5))
                    budgets.append(_cut(stage, at, PLACES[k % len(PLACES)]))
    _print(budgets)


if __name__ == "__main__":
    main()
