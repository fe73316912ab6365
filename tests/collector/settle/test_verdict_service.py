"""The service: looks once an hour, says what changed, shows every round."""

import logging
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from collector.fleet import Fleet
from collector.settle.verdict_service import LOOK_EVERY_S, VerdictService, opened
from collector.verdict_series import VerdictSeries
from runtime.testing import FakeClock
from tests.collector.settle import line
from tests.collector.settle.line import NOW_S, NS, UNTIL, Lines


def shown(series: VerdictSeries, name: str) -> list[Any]:
    return [row for family, rows in series.pages() for row in rows if family.name == name]


def test_a_change_is_said_once_and_shown(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    ground = Lines(tmp_path / "ledger.db", "l1")
    clock = FakeClock(boot_ns=0, wall_ns=NOW_S * NS)
    series = VerdictSeries()
    court = opened(ground.gathering, ground.ledger, series)
    fleet = cast(Fleet, SimpleNamespace(inventory=ground.inventory))
    service = VerdictService(court, fleet, clock)
    box = ground.boxes["l1"]
    batches = [line.batch(box, day) for day in line.quarter("l1", line.contended)]
    ground.take(batches[:10])
    service.step()
    caplog.clear()
    assert 'verdict="insufficient"} 1' in shown(series, "pantau_link_verdict")[0]
    ground.take(batches[10:])
    clock.advance((LOOK_EVERY_S - 1) * NS)
    service.step()
    (newest,) = shown(series, "pantau_link_throughput_attainment_ratio")
    # The newest test is shown at once, the look waits for its hour.
    assert 'window="last"' in newest
    assert 'verdict="insufficient"} 1' in shown(series, "pantau_link_verdict")[0]
    clock.advance(NS)
    with caplog.at_level(logging.WARNING):
        service.step()
        service.step()
    said = [one.getMessage() for one in caplog.records]
    assert len([one for one in said if f"days before {UNTIL}: the verdict changed" in one]) == 1
    assert 'verdict="contended"} 1' in shown(series, "pantau_link_verdict")[0]
    ground.close()
