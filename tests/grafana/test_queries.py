"""Every query of every panel and variable, asked of a real Prometheus that a collector feeds."""

import asyncio
import json
import math
import re
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.grafana.dashboards_kit import Asked, Dashboard, dashboards, filled
from tests.grafana.played import PLACES, Played, Prometheus, playing

pytestmark = [
    pytest.mark.prometheus,
    pytest.mark.xdist_group("grafana"),
    pytest.mark.timeout(400),
]
ALL = ".*"
STEP_S = {None: 30, "30s": 30, "1m": 60, "2m": 120}
WINDOW_S = 3600
PICKED = {
    "district": ALL,
    "kind": ALL,
    "provider": ALL,
    "links": ALL,
    "__range": f"{WINDOW_S}s",
    "__rate_interval": "2m",
    "__interval": "1m",
}
ONE_LINK = {"link": "kota", "target": "hub"}


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Played]:
    """Played in a thread with a loop of its own, for all tests here."""
    folder = tmp_path_factory.mktemp("played")
    ready, stop = threading.Event(), threading.Event()
    held: list[Played] = []
    errors: list[BaseException] = []

    async def run() -> None:
        async with playing(folder) as one:
            held.append(one)
            ready.set()
            await asyncio.to_thread(stop.wait)

    def main() -> None:
        try:
            asyncio.run(run())
        except BaseException as error:  # noqa: BLE001 - told by the fixture
            errors.append(error)
        finally:
            ready.set()

    thread = threading.Thread(target=main)
    thread.start()
    ready.wait()
    try:
        if errors:
            raise errors[0]
        until_told(held[0].prometheus)
        yield held[0]
    finally:
        stop.set()
        thread.join()
    if errors:
        raise errors[0]


def until_told(prometheus: Prometheus) -> None:
    """Both jobs were scraped some times, rules were evaluated, late data has come."""
    needed = (
        'min(count_over_time(up{job=~"pantau-.+"}[10s])) > 4',
        'count(link:pantau_link_outage_seconds:max{link="putus"})',
        "count(link:pantau_downtime_budget:burnrate3d)",
        "count(link:pantau_downtime_budget:burnrate6h)",
        "count(pantau_settled_state_seconds) and on () count(pantau_settled_rtt_p95_seconds)",
        "max(pantau_collector_backfill_sent_timestamp_seconds) > 0",
    )
    deadline = time.monotonic() + 60
    for expression in needed:
        while not prometheus.ask("query", query=expression)["result"]:
            assert time.monotonic() < deadline, expression
            time.sleep(0.2)


def values_of(dashboard: Dashboard) -> dict[str, str]:
    """Only what it has: one that uses another's variable raises KeyError."""
    return PICKED | (ONE_LINK if dashboard.uid.startswith("pantau-link") else {})


def series(prometheus: Prometheus, one: Asked, values: dict[str, str]) -> list[dict[str, Any]]:
    """What the query gives, as the panel asks it."""
    expression = filled(one.expression, values)
    if one.instant:
        return list(prometheus.ask("query", query=expression)["result"])
    now_s = time.time()
    words = {"start": str(now_s - WINDOW_S), "end": str(now_s), "step": str(STEP_S[one.interval])}
    return list(prometheus.ask("query_range", query=expression, **words)["result"])


def numbers(rows: list[dict[str, Any]]) -> list[float]:
    """All values that are one."""
    pairs = [pair for row in rows for pair in row.get("values", [row.get("value")])]
    return [value for _, told in pairs if not math.isnan(value := float(told))]


@pytest.mark.parametrize("dashboard", dashboards("id"), ids=lambda dashboard: dashboard.uid)
def test_every_query_of_every_panel_has_data(played: Played, dashboard: Dashboard) -> None:
    values = values_of(dashboard)
    empty = [
        f"{one.panel} {one.letter}: {filled(one.expression, values)}"
        for one in dashboard.asked()
        if not numbers(series(played.prometheus, one, values))
    ]
    assert empty == []


@pytest.mark.parametrize("dashboard", dashboards("id"), ids=lambda dashboard: dashboard.uid)
def test_every_variable_offers_values(played: Played, dashboard: Dashboard) -> None:
    values = values_of(dashboard)
    for variable in dashboard.variables():
        if variable["type"] != "query":
            continue
        query = filled(variable["query"]["query"], values)
        found = re.fullmatch(r"label_values\((.+), (\w+)\)", query)
        assert found is not None, query
        offered = played.prometheus.ask(f"label/{found[2]}/values", **{"match[]": found[1]})
        assert offered, query
        chosen = values[variable["name"]]
        assert chosen == ALL or chosen in offered


def test_outages_are_marked_on_the_graphs_of_a_link(played: Played) -> None:
    (dashboard,) = (one for one in dashboards("id") if one.uid == "pantau-link")
    (marked,) = dashboard.told["annotations"]["list"]
    one = Asked("", "annotations", "", marked["expr"], False, None)
    rows = series(played.prometheus, one, PICKED | {"link": "putus"})
    assert by_label(rows, "state")["down"] > 60
    assert series(played.prometheus, one, PICKED | {"link": "desa"}) == []


def query_of(uid: str, panel: str, letter: str = "A") -> tuple[Asked, dict[str, str]]:
    (dashboard,) = (one for one in dashboards("en") if one.uid == f"{uid}-en")
    (asked,) = (one for one in dashboard.asked() if (one.panel, one.letter) == (panel, letter))
    return asked, values_of(dashboard)


def by_label(rows: list[dict[str, Any]], label: str) -> dict[str, float]:
    return {row["metric"].get(label, ""): numbers([row])[-1] for row in rows}


def test_states_are_counted_and_found_on_the_map(played: Played) -> None:
    told = {
        title: numbers(series(played.prometheus, *query_of("pantau-overview", title)))
        for title in ("Links up", "Links down", "Unknown", "PoPs in a common event")
    }
    assert told == {
        "Links up": [2],
        "Links down": [1],
        "Unknown": [0],
        "PoPs in a common event": [0],
    }
    state, latitude, longitude = (
        by_label(series(played.prometheus, *query_of("pantau-overview", "District map", k)), "node")
        for k in "ABC"
    )
    assert state == {"n1": 0, "n2": 0, "n3": 2}
    assert {node: (latitude[node], longitude[node]) for node in latitude} == PLACES
    assert set(longitude) == set(PLACES)


def test_a_district_picked_leaves_its_own_links(played: Played) -> None:
    asked, values = query_of("pantau-overview", "All links")
    rows = series(played.prometheus, asked, values | {"district": r"Kec\\. A"})
    assert by_label(rows, "link") == {"desa": 0, "putus": 2}
    assert {row["metric"]["provider"] for row in rows} == {"Penyedia B"}


def test_losses_have_their_direction_and_the_smoke_its_packets(played: Played) -> None:
    forward, reverse, both = (
        numbers(series(played.prometheus, *query_of("pantau-link", "Loss each way", letter)))
        for letter in "ABC"
    )
    # One of sixty is lost each way in every minute but the one of the cut.
    for way in (forward, reverse):
        assert pytest.approx(1 / 60, rel=0.01) in way
    assert pytest.approx(2 / 60, rel=0.01) in both
    assert max(forward) > 0.4 and max(reverse) < 0.05
    smoke = series(played.prometheus, *query_of("pantau-link", "RTT smoke to $target"))
    filled_buckets = {row["metric"]["le"] for row in smoke if max(numbers([row])) > 0}
    assert "+Inf" in filled_buckets and len(filled_buckets) < len(smoke)


def test_settled_seconds_stand_at_their_own_time(played: Played) -> None:
    asked, values = query_of("pantau-link", "Seconds of each state")
    rows = {row["metric"]["state"]: row for row in series(played.prometheus, asked, values)}
    cut_s = played.now_s - 45 * 60
    down = {at_s: float(value) for at_s, value in rows["down"]["values"] if float(value)}
    assert 50 <= sum(down.values()) <= 61
    assert all(cut_s <= at_s <= cut_s + 240 for at_s in down)


def test_rates_are_compared_in_one_unit(played: Played) -> None:
    users, tested, cir = (
        numbers(
            series(played.prometheus, *query_of("pantau-link", "Download against the CIR", letter))
        )
        for letter in "ABC"
    )
    assert pytest.approx(3_200_000) in users
    assert set(cir) == {10_000_000}
    assert 5_000_000 < tested[-1] < 10_000_000


def test_a_firing_alert_is_listed(played: Played) -> None:
    rows = series(played.prometheus, *query_of("pantau-overview", "Alerts"))
    assert {("PantauLinkDown", "putus")} <= {
        (row["metric"]["alertname"], row["metric"].get("link")) for row in rows
    }


def test_rows_of_a_table_are_put_together_by_labels_that_all_columns_have(played: Played) -> None:
    """Grafana's `merge` joins by every label that frames share: a column with one more of its own
    would stand in rows of its own."""
    for dashboard in dashboards("id"):
        for panel in dashboard.panels():
            if not any(one["id"] == "merge" for one in panel.get("transformations", ())):
                continue
            frames = [
                series(played.prometheus, one, values_of(dashboard))
                for one in dashboard.asked()
                if one.panel == panel["title"]
            ]
            labels = [{key for row in frame for key in row["metric"]} for frame in frames]
            shown = set(panel["transformations"][1]["options"]["renameByName"])
            place = (
                f"{dashboard.uid}: {panel['title']}: {json.dumps([sorted(one) for one in labels])}"
            )
            assert set.union(*labels) <= shown | {"__name__"}, place
            common = set.intersection(*labels)
            assert common, place
            extra = [one - common for one in labels if one - common]
            assert all(not (one & two) for one in extra for two in extra if one is not two), place
