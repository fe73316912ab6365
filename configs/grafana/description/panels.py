"""What dashboards are made of: thin, typed wrappers around the SDK's builders.

Every panel has a title, says in its description what it answers and by which road its numbers
come, and has a unit; every query goes to the datasource that the variable names.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, Self, TypeVar

from grafana_foundation_sdk.builders import (
    bargauge,
    dashboard,
    heatmap,
    prometheus,
    stat,
    statetimeline,
    timeseries,
)
from grafana_foundation_sdk.builders.common import (
    GraphThresholdsStyleConfig,
    ReduceDataOptions,
    ScaleDistributionConfig,
    StackingConfig,
    VizLegendOptions,
    VizTooltipOptions,
)
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.cog.variants import Dataquery
from grafana_foundation_sdk.models import common
from grafana_foundation_sdk.models import dashboard as model
from grafana_foundation_sdk.models.heatmap import HeatmapColorMode
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

SOURCE = model.DataSourceRef(type_val="prometheus", uid="${datasource}")
GREEN, YELLOW, ORANGE, RED, GREY, BLUE = "green", "yellow", "orange", "red", "#8e8e8e", "blue"
Steps = Sequence[tuple[float | None, str]]
"""Thresholds: from which value on which colour; the first from None."""
Texts = Mapping[str, tuple[str, str | None]]
"""Of values or codes, what is shown, and in which colour."""
PLAIN: Steps = ((None, BLUE),)


class Sized(Protocol):
    """What all builders of panels have."""

    def title(self, title: str) -> Self: ...
    def description(self, description: str) -> Self: ...
    def datasource(self, datasource: model.DataSourceRef) -> Self: ...
    def span(self, w: int) -> Self: ...
    def height(self, h: int) -> Self: ...
    def with_target(self, target: Builder[Dataquery]) -> Self: ...
    def thresholds(self, thresholds: Builder[model.ThresholdsConfig]) -> Self: ...
    def color_scheme(self, color: Builder[model.FieldColor]) -> Self: ...
    def unit(self, unit: str) -> Self: ...


Panel = TypeVar("Panel", bound=Sized)


@dataclass(frozen=True)
class Card:
    """How a panel looks: what it is called and answers, and its place on the grid of 24 columns."""

    title: str
    about: str
    width: int
    height: int = 8
    unit: str = "short"
    steps: Steps = PLAIN


@dataclass(frozen=True)
class Query:
    """One expression and what its series are called."""

    expression: str
    legend: str = ""
    interval: str | None = None
    """No step shorter than this."""


def letter(number: int) -> str:
    """By which the query of this number is known."""
    return chr(ord("A") + number)


def asked(query: Query, number: int, form: PromQueryFormat, *, instant: bool) -> Builder[Dataquery]:
    """The query as the datasource takes it."""
    told = prometheus.Dataquery().expr(query.expression).ref_id(letter(number)).format(form)
    told = told.instant() if instant else told.range()
    told = told.datasource(SOURCE)
    if query.legend:
        told = told.legend_format(query.legend)
    return told if query.interval is None else told.interval(query.interval)


def thresholds(steps: Steps) -> dashboard.ThresholdsConfig:
    """Colours by value."""
    told = [model.Threshold(value=value, color=colour) for value, colour in steps]
    return dashboard.ThresholdsConfig().mode(model.ThresholdsMode.ABSOLUTE).steps(told)


def mapping(texts: Texts) -> list[model.ValueMapping]:
    """Values to a text and a colour each."""
    return [
        model.ValueMap(
            options={
                value: model.ValueMappingResult(text=text, color=colour, index=index)
                for index, (value, (text, colour)) in enumerate(texts.items())
            }
        )
    ]


def dressed(panel: Panel, card: Card) -> Panel:
    """The panel with what its card says."""
    return (
        panel.title(card.title)
        .description(card.about)
        .datasource(SOURCE)
        .span(card.width)
        .height(card.height)
        .unit(card.unit)
        .thresholds(thresholds(card.steps))
    )


def _by_thresholds() -> dashboard.FieldColor:
    return dashboard.FieldColor().mode(model.FieldColorModeId.THRESHOLDS)


def number(
    card: Card,
    *queries: Query,
    texts: Texts | None = None,
    graph: bool = False,
) -> stat.Panel:
    """Numbers that are true now, coloured by their thresholds."""
    panel = dressed(stat.Panel(), card).color_scheme(_by_thresholds())
    graphs = common.BigValueGraphMode.AREA if graph else common.BigValueGraphMode.NONE
    panel = panel.graph_mode(graphs).reduce_options(ReduceDataOptions().calcs(["lastNotNull"]))
    coloured = common.BigValueColorMode.BACKGROUND if texts else common.BigValueColorMode.VALUE
    panel = panel.color_mode(coloured)
    if texts:
        panel = panel.mappings(mapping(texts))
    for at, query in enumerate(queries):
        panel = panel.with_target(asked(query, at, PromQueryFormat.TIME_SERIES, instant=not graph))
    return panel


class Named(Sized, Protocol):
    """A panel whose series can be overridden by their names."""

    def override_by_name(self, name: str, properties: list[model.DynamicConfigValue]) -> Self: ...


Series = TypeVar("Series", bound=Named)


def renamed(panel: Series, texts: Texts) -> Series:
    """The same, with series that are called by a code shown by its words and in its colour."""
    for code, (text, colour) in texts.items():
        told = [model.DynamicConfigValue(id_val="displayName", value=text)]
        if colour is not None:
            fixed = {"mode": "fixed", "fixedColor": colour}
            told.append(model.DynamicConfigValue(id_val="color", value=fixed))
        panel = panel.override_by_name(code, told)
    return panel


def words(card: Card, query: Query) -> stat.Panel:
    """Names of the series that there are now, their labels being what is asked."""
    return number(card, query).text_mode(common.BigValueTextMode.NAME)


def bars(card: Card, *queries: Query, most: float | None = None) -> bargauge.Panel:
    """The series of now side by side."""
    panel = dressed(bargauge.Panel(), card).color_scheme(_by_thresholds()).min(0)
    panel = panel.orientation(common.VizOrientation.HORIZONTAL)
    panel = panel.display_mode(common.BarGaugeDisplayMode.BASIC)
    panel = panel.reduce_options(ReduceDataOptions().calcs(["lastNotNull"]))
    if most is not None:
        panel = panel.max(most)
    for at, query in enumerate(queries):
        panel = panel.with_target(asked(query, at, PromQueryFormat.TIME_SERIES, instant=True))
    return panel


def graph(
    card: Card, *queries: Query, stacked: bool = False, floor: float | None = 0
) -> timeseries.Panel:
    """Series over time. Thresholds are drawn if there are any."""
    panel = dressed(timeseries.Panel(), card).line_width(1)
    panel = panel.fill_opacity(60 if stacked else 8)
    panel = panel.show_points(common.VisibilityMode.AUTO)
    legend = VizLegendOptions().show_legend(True).display_mode(common.LegendDisplayMode.LIST)
    panel = panel.legend(legend.placement(common.LegendPlacement.BOTTOM))
    panel = panel.tooltip(VizTooltipOptions().mode(common.TooltipDisplayMode.MULTI))
    if floor is not None:
        panel = panel.min(floor)
    if stacked:
        panel = panel.stacking(StackingConfig().mode(common.StackingMode.NORMAL))
        panel = panel.draw_style(common.GraphDrawStyle.BARS)
    if len(card.steps) > 1:
        style = GraphThresholdsStyleConfig().mode(common.GraphThresholdsStyleMode.DASHED)
        panel = panel.thresholds_style(style)
    for at, query in enumerate(queries):
        panel = panel.with_target(asked(query, at, PromQueryFormat.TIME_SERIES, instant=False))
    return panel


def logarithmic(panel: timeseries.Panel) -> timeseries.Panel:
    """The same on a logarithmic axis."""
    return panel.scale_distribution(
        ScaleDistributionConfig().type(common.ScaleDistribution.LOG).log(10)
    )


def timeline(card: Card, *queries: Query, texts: Texts) -> statetimeline.Panel:
    """States over time, one row a series."""
    panel = dressed(statetimeline.Panel(), card).color_scheme(_by_thresholds())
    panel = panel.mappings(mapping(texts)).merge_values(True).row_height(0.8).line_width(0)
    panel = panel.show_value(common.VisibilityMode.NEVER).per_page(20)
    panel = panel.legend(
        VizLegendOptions()
        .show_legend(True)
        .display_mode(common.LegendDisplayMode.LIST)
        .placement(common.LegendPlacement.BOTTOM)
    )
    for at, query in enumerate(queries):
        panel = panel.with_target(asked(query, at, PromQueryFormat.TIME_SERIES, instant=False))
    return panel


def smoke(card: Card, query: Query) -> heatmap.Panel:
    """A histogram over time: how many values in which bucket."""
    colour = heatmap.HeatmapColorOptions().mode(HeatmapColorMode.SCHEME).scheme("Blues").steps(64)
    panel = dressed(heatmap.Panel(), card).calculate(False).color(colour)
    panel = panel.y_axis(heatmap.YAxisConfig().unit(card.unit)).cell_gap(0)
    panel = panel.cell_values(heatmap.CellValues().unit("short"))
    return panel.with_target(asked(query, 0, PromQueryFormat.HEATMAP, instant=False))
