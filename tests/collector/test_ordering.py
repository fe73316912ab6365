"""Orders from the terminal, where no agent answers: what is sent, and how figures are said."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from collector import ordering
from collector.__main__ import main
from tests.collector.slot_kit import FakeServer, slot_hub

TWO = {"n1": "A", "n2": "A"}


def run(folder: Path, *options: str) -> Result:
    file = folder / "etc" / "collector.yaml"
    return CliRunner().invoke(main, [options[0], "--config.file", str(file), *options[1:]])


async def test_an_experiment_is_begun_and_told_as_json(tmp_path: Path) -> None:
    async with slot_hub(tmp_path, TWO, server=FakeServer()) as (hub, _):
        done = await asyncio.to_thread(
            run, tmp_path, "experiment", "A", "--url", hub.url, "--repeats", "12",
            "--links", "l1,l2", "--no-wait", "--json",
        )  # fmt: skip
        kept = list(hub.collector.slots.experiments.values())
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert (told["state"], told["links"], told["repeats"]) == ("running", ["l1", "l2"], 12)
    assert [one.experiment_id for one in kept] == [told["experiment"]]


class Script(ordering.Way):
    """A collector that answers as written."""

    answers: list[dict[str, Any]]

    def call(self, method: str, path: str, body: Any = None) -> Any:
        return self.answers.pop(0)


def told_by(*answers: dict[str, Any]) -> ordering.Way:
    script = Script(url="http://hub", token=None, sleep=lambda _: None)
    object.__setattr__(script, "answers", list(answers))
    return script


def pair(number: int, together_first: bool, alone: float, together: float) -> dict[str, Any]:
    return {
        "pair": number,
        "together_first": together_first,
        "alone_bits_per_s": {"l1": alone, "l2": alone},
        "together_bits_per_s": {"l1": together, "l2": together},
    }


@pytest.mark.parametrize(("state", "status"), [("done", 0), ("failed", 1), ("cancelled", 1)])
def test_an_experiment_is_followed_to_its_end_and_its_pairs_shown(
    state: str, status: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """V5.7 in small: what two sites of 20 Mbit/s can have alone, and what they had at once."""
    common = {"experiment": "e1", "repeats": 10, "pairs_spoiled": 0, "detail": ""}
    begun = {**common, "state": "running", "pairs": []}
    result = {
        "sharing": "oversubscribed", "repeats": 10, "wins": 10, "p": 0.0009765625,
        "solo_ratio": 0.97, "ratio": 0.5, "contention": 2.0,
    }  # fmt: skip
    pairs = [pair(0, True, 19.4e6, 10e6)]
    ended = {**common, "state": state, "pairs": pairs, "result": result}
    way = told_by(begun, begun, ended)
    assert ordering.experiment(way, {"pop": "A"}, wait=True, as_json=False) == status
    shown = capsys.readouterr()
    assert shown.err.splitlines() == [
        "experiment e1: running, 0 of 10 pairs, 0 spoiled",
        f"experiment e1: {state}, 1 of 10 pairs, 0 spoiled",
    ]
    for word in ("together", "38.80", "20.00", "0.515", "1:2.00", "p = 0.00098", "10 of 10 pairs"):
        assert word in shown.out


def test_who_stops_watching_is_told_that_the_order_stands(
    capsys: pytest.CaptureFixture[str],
) -> None:
    def interrupted(_: float) -> None:
        raise KeyboardInterrupt

    queued = {
        "order": "0d", "link": "l1", "method": "udp", "directions": ["down"], "load": "fixed",
        "state": "queued", "final": False, "detail": "", "figures": [],
    }  # fmt: skip
    way = told_by(queued)
    object.__setattr__(way, "sleep", interrupted)
    with pytest.raises(KeyboardInterrupt):
        ordering.test(way, {}, wait=True, as_json=False)
    assert "pantau-collector orders --cancel 0d" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("url", "local"),
    [
        ("http://127.0.0.1:8460", True),
        ("https://localhost", True),
        ("http://[::1]:1", True),
        ("http://hub.example:8460", False),
        ("http://127.0.0.1.evil.example", False),
        ("http://evil.example/127.0.0.1", False),
    ],
)
async def test_this_machines_token_is_shown_to_no_other_machine(
    tmp_path: Path, url: str, local: bool
) -> None:
    async with slot_hub(tmp_path, TWO):
        config = tmp_path / "etc" / "collector.yaml"
        way = ordering.way(config, url, None, lambda _: None)
    assert (way.token is not None) is local
