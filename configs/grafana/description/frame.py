"""What all dashboards share: how they are named, their variables, and the ways between them."""

from collections.abc import Iterable
from dataclasses import dataclass

from grafana_foundation_sdk.builders import dashboard
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.models import dashboard as model

from configs.grafana.description import panels
from configs.grafana.description.panels import GREEN, GREY, RED, SOURCE
from configs.grafana.description.words import Language

OVERVIEW, LINK, SLA, FLEET, HUB = (
    f"pantau-{name}" for name in ("overview", "link", "sla", "fleet", "collector")
)
HUB_URL = "http://hub.example:8460"
"""Where people reach the collector, until the variable `hub` says otherwise."""
_EDITOR = "PrometheusVariableQueryEditor-VariableQuery"
"""What Grafana's own editor of variables calls its query."""
Variable = Builder[model.VariableModel]


@dataclass(frozen=True)
class Frame:
    """One dashboard without its panels."""

    name: str
    title: str
    about: str
    since: str
    """Beginning of the time that is shown, in Grafana's form."""
    variables: tuple[Variable, ...]
    refresh: str = "30s"


def begun(frame: Frame, language: Language) -> dashboard.Dashboard:
    """The dashboard, with its ways to the others, still without panels."""
    say, tag = language.say, f"pantau-{language}"
    other = Language.EN if language is Language.ID else Language.ID
    told = (
        dashboard.Dashboard(frame.title)
        .uid(f"{frame.name}{language.suffix}")
        .description(frame.about)
        .tags(["pantau", tag])
        .timezone("browser")
        .time(frame.since, "now")
        .refresh(frame.refresh)
        .tooltip(model.DashboardCursorSync.CROSSHAIR)
        .editable()
        .with_variable(source(language))
    )
    for variable in frame.variables:
        told = told.with_variable(variable)
    told = told.link(
        dashboard.DashboardLink(say("Dasbor Pantau", "Pantau dashboards"))
        .type(model.DashboardLinkType.DASHBOARDS)
        .tags([tag])
        .include_vars(True)
        .keep_time(True)
    )
    return told.link(
        dashboard.DashboardLink(say("English", "Bahasa Indonesia"))
        .type(model.DashboardLinkType.LINK)
        .url(f"/d/{frame.name}{other.suffix}")
        .icon("external link")
        .include_vars(True)
        .keep_time(True)
    )


def source(language: Language) -> Variable:
    """Which Prometheus."""
    return (
        dashboard.DatasourceVariable("datasource")
        .label(language.say("Sumber data", "Datasource"))
        .type("prometheus")
    )


def _query(name: str, label: str, expression: str) -> dashboard.QueryVariable:
    return (
        dashboard.QueryVariable(name)
        .label(label)
        .datasource(SOURCE)
        .query({"qryType": 1, "query": expression, "refId": _EDITOR})
        .refresh(model.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(model.VariableSort.ALPHABETICAL_CASE_INSENSITIVE_ASC)
    )


def many(name: str, label: str, expression: str) -> Variable:
    """Any of the values, at first all: `.*`, which stays short with 1,000 links."""
    everything = model.VariableOption(selected=True, text=["All"], value=["$__all"])
    told = _query(name, label, expression).multi(True).include_all(True).all_value(".*")
    return told.current(everything)


def one(name: str, label: str, expression: str, value: str | None = None) -> Variable:
    """One of the values, at first `value`."""
    told = _query(name, label, expression).multi(False).include_all(False)
    if value is None:
        return told
    return told.current(model.VariableOption(selected=True, text=value, value=value))


def hub(language: Language) -> Variable:
    """The collector's own address, for links to what no metric tells."""
    return (
        dashboard.TextBoxVariable("hub")
        .label(language.say("URL kolektor", "Collector's URL"))
        .default_value(HUB_URL)
    )


def district(language: Language) -> Variable:
    """Districts that have links."""
    label = language.say("Kecamatan", "District")
    return many("district", label, "label_values(pantau_link_info, district)")


def kind(language: Language) -> Variable:
    """Kinds of nodes in them."""
    label = language.say("Jenis lokasi", "Kind")
    chosen = 'pantau_link_info{district=~"$district"}'
    return many("kind", label, f"label_values({chosen}, kind)")


def provider(language: Language) -> Variable:
    """Providers of links there."""
    label = language.say("Penyedia", "Provider")
    chosen = 'pantau_link_info{district=~"$district", kind=~"$kind"}'
    return many("provider", label, f"label_values({chosen}, provider)")


PICKED = 'pantau_link_info{district=~"$district", kind=~"$kind", provider=~"$provider"}'


def links(language: Language) -> Variable:
    """Any of the links that are left. Of another name than the one link of a dashboard: a way that
    keeps variables would else bring `All` there."""
    return many("links", language.say("Link", "Links"), f"label_values({PICKED}, link)")


def one_link(language: Language) -> Variable:
    """One of them."""
    return one("link", language.say("Link", "Link"), f"label_values({PICKED}, link)")


def places(language: Language) -> tuple[Variable, ...]:
    """The variables that narrow down links, without the link itself."""
    return district(language), kind(language), provider(language)


_KEPT = "&".join(f"${{{name}:queryparam}}" for name in ("datasource", "kind", "provider"))
ROW, SERIES = '__data.fields["{}"]', "__field.labels.{}"
"""Where a way finds its end: in a column of the row, or in a label of the series."""


def to_link(language: Language, place: str) -> str:
    """URL of the dashboard of the link whose name is at this place."""
    return (
        f"/d/{LINK}{language.suffix}?var-link=${{{place}:percentencode}}"
        f"&${{district:queryparam}}&{_KEPT}&${{__url_time_range}}"
    )


def to_district(language: Language, place: str) -> str:
    """URL of the overview of the district whose name is at this place."""
    return (
        f"/d/{OVERVIEW}{language.suffix}?var-district=${{{place}:percentencode}}"
        f"&{_KEPT}&${{__url_time_range}}"
    )


def states(language: Language) -> panels.Texts:
    """Live states, as `queries.state` numbers them."""
    say = language.say
    return {
        "0": (say("Hidup", "Up"), GREEN),
        "1": (say("Tidak diketahui", "Unknown"), GREY),
        "2": (say("Putus", "Down"), RED),
    }


def numbered(told: dashboard.Dashboard) -> model.Dashboard:
    """The dashboard with a number on every panel, by which URLs name it."""
    built = told.build()
    panels = list(_all(built.panels or []))
    for at, panel in enumerate(panels, 1):
        panel.id_val = at
    return built


def _all(
    panels: Iterable[model.Panel | model.RowPanel],
) -> Iterable[model.Panel | model.RowPanel]:
    for panel in panels:
        yield panel
        if isinstance(panel, model.RowPanel):
            yield from panel.panels
