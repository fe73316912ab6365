"""docs/metrics.md against the page that the golden file holds: nothing missing, nothing stale."""

import re
from pathlib import Path
from typing import NamedTuple

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest

from collector import metrics as m
from collector.backfill import series as settled
from collector.backfill.counters import BackfillCounters
from collector.counters import Counters
from collector.details import FROM_DETAILS
from collector.device_rates import FROM_RATES
from collector.instrument import FORWARD, FROM_INSTRUMENT, REVERSE
from collector.load_series import FROM_TESTS
from collector.reflector import Reflector, ReflectorSettings
from collector.sessions import SessionTable
from collector.silence_sync import SilenceCounters
from collector.standing import FROM_AUDIT
from collector.together import FROM_EVENTS
from collector.verdict_series import FROM_VERDICTS
from runtime.testing import FakeClock

ROOT = Path(__file__).parents[2]
PAGE = "".join(
    (ROOT / "tests" / "golden" / name).read_text()
    for name in ("metrics.txt", "details.txt", "standing.txt", "verdicts.txt")
)
ROW = re.compile(r"^\| `(pantau_\w+)` \| (\w+) \|([^|]*)\| ([^|]+) \| (\w+) \| ([^|]+) \|$", re.M)


class Told(NamedTuple):
    kind: str
    labels: frozenset[str]


def of_the_page() -> dict[str, Told]:
    kinds = dict(re.findall(r"^# TYPE (\S+) (\S+)$", PAGE + of_an_endpoint(), re.M))
    labels: dict[str, frozenset[str]] = {}
    for name, inner in re.findall(
        r"^(pantau_\w+)(?:\{(.*)\})? \S+$", PAGE + of_an_endpoint(), re.M
    ):
        family = name if name in kinds else re.sub(r"_(bucket|sum|count)$", "", name)
        names = frozenset(re.findall(r'(?:^|",|,)(\w+)="', inner)) - {"le"}
        assert labels.setdefault(family, names) == names, name
    return {name: Told(kind, labels[name]) for name, kind in kinds.items()}


def of_an_endpoint() -> str:
    """What a collector with a backfill and an Alertmanager tells besides."""
    registry = CollectorRegistry()
    BackfillCounters(registry).of("store")
    SilenceCounters(registry)
    return generate_latest(registry).decode()


def of_the_document(*, backfill: bool = False) -> dict[str, Told]:
    rows = ROW.findall((ROOT / "docs" / "metrics.md").read_text())
    assert len(rows) == len({row[0] for row in rows})
    return {
        row[0]: Told(row[1], frozenset(re.findall(r"\w+", row[2])))
        for row in rows
        if (row[4] == "backfill") == backfill
    }


def test_every_series_that_is_sent_has_a_row() -> None:
    assert of_the_document(backfill=True) == {
        family.name: Told(family.kind, frozenset(labels))
        for family, labels in settled.LABELS.items()
    }


def test_every_metric_has_a_row_with_its_type_and_labels_and_no_row_is_stale() -> None:
    # One-way delays need two good clocks, which the golden scenario does not have.
    one_way = {family.name for family in (FORWARD, REVERSE)}
    told = of_the_document()
    assert {name: row for name, row in told.items() if name not in one_way} == of_the_page()
    assert one_way <= set(told)


def test_the_page_shows_every_family_there_is() -> None:
    table = SessionTable()
    counters = Counters(table, Reflector(table, FakeClock(), ReflectorSettings()))
    BackfillCounters(counters.registry)
    SilenceCounters(counters.registry)
    own = {
        family.name + ("_total" if family.type == "counter" else "")
        for family in counters.registry.collect()
    }
    audit = {*FROM_AUDIT, *FROM_VERDICTS, *FROM_EVENTS}
    details = {*FROM_DETAILS, *FROM_RATES, *FROM_INSTRUMENT}
    shown = {*m.FAMILIES, *details, *FROM_TESTS, *audit}
    families = shown - {FORWARD, REVERSE}
    assert set(of_the_page()) == {family.name for family in families} | own


def test_the_document_names_the_road_of_every_row() -> None:
    text = (ROOT / "docs" / "metrics.md").read_text()
    roads = {row[0]: row[4] for row in ROW.findall(text)}
    assert len(roads) == text.count("\n| `pantau_")
    for family in m.FROM_EVIDENCE:
        assert roads[family.name] == "evidence", family.name
    for name, road in roads.items():
        assert road in ("evidence", "live", "backfill", "own")
        assert (road == "backfill") == name.startswith("pantau_settled_")
        assert (road == "own") == name.startswith("pantau_collector_")
