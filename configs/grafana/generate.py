"""Writes the Grafana dashboards: `make dashboards`, or `python -m configs.grafana.generate`.

One description (`configs.grafana.description`) makes each dashboard in Indonesian and in English.
What it writes is kept in git and provisioned as it is; never edit it by hand.
"""

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import Dashboard

from configs.grafana.description import fleet, frame, hub, link, overview, sla
from configs.grafana.description.words import Language

HOME = Path(__file__).parent / "dashboards"
MADE: dict[str, Callable[[Language], Dashboard]] = {
    frame.OVERVIEW: overview.whole,
    frame.LINK: link.whole,
    frame.SLA: sla.whole,
    frame.FLEET: fleet.whole,
    frame.HUB: hub.whole,
}


def files() -> Iterator[tuple[str, str]]:
    """Path below `dashboards/` and text of every file."""
    for language in Language:
        for name, whole in MADE.items():
            text = json.dumps(whole(language), cls=JSONEncoder, indent=1, ensure_ascii=False)
            yield f"{language}/{name}.json", text + "\n"


def main() -> None:
    """Write all of them; what is there beside them and is not made here is removed."""
    wanted = dict(files())
    for old in HOME.glob("*/*.json"):
        if str(old.relative_to(HOME)) not in wanted:
            old.unlink()
    for path, text in wanted.items():
        file = HOME / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        sys.stdout.write(f"{file.relative_to(HOME.parents[2])}\n")


if __name__ == "__main__":
    main()
