"""The dashboards in git: made by the generator, whole, and leading to places that exist."""

import itertools
import re
import string
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
import yaml

from collector.audit.states import Cause, Charge, State
from collector.live import Reason
from collector.verdict_series import Said
from configs.grafana import generate
from configs.grafana.description import terms
from tests.grafana.dashboards_kit import HOME, ROOT, VARIABLE, Dashboard, dashboards
from wire.message import End

LANGUAGES = ("id", "en")
EVERY = [dashboard for language in LANGUAGES for dashboard in dashboards(language)]
OF_PROMETHEUS = {"up", "ALERTS", "scrape_duration_seconds", "scrape_samples_scraped"}
BY_GRAFANA = {
    *("__range", "__rate_interval", "__interval"),
    *("__url_time_range", "__data", "__field"),
}
METRIC = re.compile(r"\b((?:\w+:)?(?:pantau_\w+|up|ALERTS|scrape_\w+)(?::\w+)?)(?=[{\[)])")
PAIRS = list(zip(dashboards("id"), dashboards("en"), strict=True))


def named(dashboard: Dashboard) -> str:
    return dashboard.uid


def test_the_files_are_what_the_description_makes() -> None:
    made = dict(generate.files())
    kept = {
        str(file.relative_to(generate.HOME)): file.read_text()
        for file in generate.HOME.rglob("*.json")
    }
    assert sorted(made) == sorted(kept)
    different = [path for path, text in made.items() if text != kept[path]]
    assert different == [], "say `make dashboards`"


def test_what_is_not_made_here_is_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    home = tmp_path / "configs" / "grafana" / "dashboards"
    monkeypatch.setattr(generate, "HOME", home)
    stale = home / "id" / "old.json"
    stale.parent.mkdir(parents=True)
    stale.write_text("{}")
    generate.main()
    assert not stale.exists()
    assert "configs/grafana/dashboards/en/pantau-link.json" in capsys.readouterr().out
    assert {str(file.relative_to(home)) for file in home.rglob("*.json")} == set(
        dict(generate.files())
    )


def test_identifiers_are_unique_and_those_of_the_files() -> None:
    uids = [dashboard.uid for dashboard in EVERY]
    assert len(set(uids)) == len(uids) == 10
    for dashboard in EVERY:
        assert dashboard.file.stem == dashboard.uid.removesuffix("-en")
        assert len(dashboard.uid) <= 40, "Grafana takes no more"


@pytest.mark.parametrize("dashboard", EVERY, ids=named)
def test_every_panel_says_what_it_answers_and_in_which_unit(dashboard: Dashboard) -> None:
    for panel in dashboard.panels():
        assert panel["title"] and panel["description"], panel
        unit = panel["fieldConfig"]["defaults"].get("unit")
        assert unit, panel["title"]
        assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
        letters = [one["refId"] for one in panel["targets"]]
        assert letters == list(string.ascii_uppercase[: len(letters)])
        assert all(one["datasource"] == panel["datasource"] for one in panel["targets"])
    numbers = [panel["id"] for panel in dashboard.told["panels"]]
    assert len(set(numbers)) == len(numbers)


@pytest.mark.parametrize("dashboard", EVERY, ids=named)
def test_panels_lie_side_by_side_and_fill_the_rows(dashboard: Dashboard) -> None:
    taken: dict[tuple[int, int], str] = {}
    for panel in dashboard.told["panels"]:
        at = panel["gridPos"]
        for x, y in itertools.product(
            range(at["x"], at["x"] + at["w"]), range(at["y"], at["y"] + at["h"])
        ):
            assert x < 24 and (x, y) not in taken, panel["title"]
            taken[x, y] = panel["title"]
    rows = {y for _, y in taken}
    assert rows == set(range(len(rows)))
    # A panel that is lower than its neighbours leaves a hole; none is left of 24 columns.
    assert len(taken) == 24 * len(rows)


@pytest.mark.parametrize(("indonesian", "english"), PAIRS, ids=lambda one: one.uid)
def test_both_languages_ask_the_same_and_say_it_in_their_own_words(
    indonesian: Dashboard, english: Dashboard
) -> None:
    one, two = ([asked[1:] for asked in dashboard.asked()] for dashboard in (indonesian, english))
    assert one == two
    pairs = list(zip(indonesian.panels(), english.panels(), strict=True))
    same = [a["description"] for a, b in pairs if a["description"] == b["description"]]
    assert same == []
    assert indonesian.told["description"] != english.told["description"]


def known_metrics() -> set[str]:
    document = (ROOT / "docs" / "metrics.md").read_text()
    names = set(re.findall(r"^\| `(pantau_\w+)` \|", document, re.M))
    histograms = set(re.findall(r"^\| `(pantau_\w+)` \| histogram", document, re.M))
    recorded = {
        rule["record"]
        for file in (ROOT / "configs" / "prometheus" / "rules").glob("*.yml")
        for group in yaml.safe_load(file.read_text())["groups"]
        for rule in group["rules"]
        if "record" in rule
    }
    return names | recorded | OF_PROMETHEUS | {f"{name}_bucket" for name in histograms}


@pytest.mark.parametrize("dashboard", dashboards("id"), ids=named)
def test_every_metric_is_documented_or_recorded(dashboard: Dashboard) -> None:
    asked = [one.expression for one in dashboard.asked()]
    asked += [one["query"]["query"] for one in dashboard.variables() if one["type"] == "query"]
    found = {name for expression in asked for name in METRIC.findall(expression)}
    assert found and found <= known_metrics()


@pytest.mark.parametrize("dashboard", EVERY, ids=named)
def test_every_variable_that_is_used_is_there_and_used(dashboard: Dashboard) -> None:
    defined = [one["name"] for one in dashboard.variables()]
    texts = [one.expression for one in dashboard.asked()]
    texts += [one["query"]["query"] for one in dashboard.variables() if one["type"] == "query"]
    texts += dashboard.links()
    texts += [text for one in dashboard.panels() for text in (one["title"], one["description"])]
    used = {a or b for text in texts for a, b in VARIABLE.findall(text)} - BY_GRAFANA
    assert used | {"datasource"} == set(defined)
    assert defined[0] == "datasource"


@pytest.mark.parametrize("dashboard", EVERY, ids=named)
def test_ways_lead_to_dashboards_of_the_same_language_or_to_the_other_one(
    dashboard: Dashboard,
) -> None:
    uids = {one.uid for one in EVERY}
    english = dashboard.uid.endswith("-en")
    for url in dashboard.links():
        if url.startswith("${hub}"):
            continue
        uid = re.match(r"/d/([\w-]+)", url)
        assert uid is not None and uid[1] in uids, url
        twin = dashboard.uid.removesuffix("-en") if english else f"{dashboard.uid}-en"
        assert uid[1].endswith("-en") == english or uid[1] == twin
    (by_tag,) = (one for one in dashboard.told["links"] if one["type"] == "dashboards")
    assert by_tag["tags"] == [f"pantau-{'en' if english else 'id'}"]
    assert set(by_tag["tags"]) <= set(dashboard.told["tags"])


@pytest.mark.parametrize("dashboard", EVERY, ids=named)
def test_overrides_and_links_name_columns_that_there_are(dashboard: Dashboard) -> None:
    for panel in dashboard.panels():
        if panel["type"] not in ("table", "geomap"):
            continue
        columns = panel["transformations"][1]["options"]["renameByName"]
        titles = set(columns.values())
        assert len(titles) == len(columns), f"{panel['title']}: two columns of one name"
        named = {
            one["matcher"]["options"]
            for one in panel["fieldConfig"]["overrides"]
            if one["matcher"]["id"] == "byName"
        }
        assert named <= titles
        for one in panel["options"].get("sortBy", ()):
            assert one["displayName"] in titles
        urls = [
            link["url"]
            for one in panel["fieldConfig"]["overrides"]
            for setting in one["properties"]
            if setting["id"] == "links"
            for link in setting["value"]
        ]
        for field in itertools.chain.from_iterable(
            re.findall(r'__data\.fields\["([^"]+)"\]', url) for url in urls
        ):
            assert field in titles


@pytest.mark.parametrize(
    ("terms", "codes"),
    [
        (terms.STATES, State),
        (terms.CAUSES, Cause),
        (terms.CHARGES, Charge),
        (terms.VERDICTS, Said),
        (terms.REASONS, Reason),
        (terms.ENDS, End),
    ],
)
def test_every_code_of_the_collector_has_words(terms: terms.Terms, codes: Iterable[Any]) -> None:
    assert list(terms) == list(codes)
    assert all(len(words) == 2 and all(words) for words in terms.values())


def test_grafana_is_told_of_every_folder_and_of_a_datasource() -> None:
    def told(kind: str) -> Any:
        return yaml.safe_load((HOME / "provisioning" / kind / "pantau.yml").read_text())

    providers = told("dashboards")["providers"]
    paths = [one["options"]["path"] for one in providers]
    assert paths == [f"${{PANTAU_DASHBOARDS}}/{language}" for language in LANGUAGES]
    assert all((HOME / "dashboards" / language).is_dir() for language in LANGUAGES)
    assert len({one["name"] for one in providers}) == len({one["folder"] for one in providers}) == 2
    (source,) = told("datasources")["datasources"]
    assert (source["type"], source["url"]) == ("prometheus", "${PANTAU_PROMETHEUS_URL}")
    scraped = yaml.safe_load((ROOT / "configs" / "prometheus" / "prometheus.yml").read_text())
    assert source["jsonData"]["timeInterval"] == scraped["global"]["scrape_interval"]


def test_the_document_has_every_dashboard_and_every_panel() -> None:
    text = (ROOT / "docs" / "dashboards.md").read_text()
    for dashboard in dashboards("en"):
        assert f"`{dashboard.uid.removesuffix('-en')}`" in text
        missing = [one["title"] for one in dashboard.panels() if one["title"] not in text]
        assert missing == [], dashboard.uid
