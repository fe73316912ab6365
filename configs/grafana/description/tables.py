"""Tables: what is true now, a row for each thing, put together from one query a column."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from grafana_foundation_sdk.builders import table
from grafana_foundation_sdk.builders.common import TableSortByFieldState
from grafana_foundation_sdk.models import common
from grafana_foundation_sdk.models import dashboard as model
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

from configs.grafana.description.panels import (
    Card,
    Query,
    Steps,
    Texts,
    asked,
    dressed,
    letter,
    mapping,
    thresholds,
)


@dataclass(frozen=True)
class Column:
    """One number of each row of a table."""

    expression: str
    title: str = ""
    unit: str = "short"
    steps: Steps = ()
    texts: Texts = field(default_factory=dict)
    decimals: int | None = None
    mark: bool = False
    """Only its labels are shown: the number is always 1."""


def _column_settings(column: Column) -> list[model.DynamicConfigValue]:
    told = [model.DynamicConfigValue(id_val="unit", value=column.unit)]
    if column.decimals is not None:
        told.append(model.DynamicConfigValue(id_val="decimals", value=column.decimals))
    if column.texts:
        told.append(model.DynamicConfigValue(id_val="mappings", value=mapping(column.texts)))
    if column.steps:
        told.append(
            model.DynamicConfigValue(id_val="thresholds", value=thresholds(column.steps).build())
        )
    if column.texts or column.steps:
        cell = common.TableColoredBackgroundCellOptions(
            mode=common.TableCellBackgroundDisplayMode.BASIC
        )
        told.append(model.DynamicConfigValue(id_val="custom.cellOptions", value=cell))
    return told


def rows(
    card: Card,
    labels: dict[str, str],
    *columns: Column,
    links: dict[str, tuple[str, str]] | None = None,
    texts: Mapping[str, Texts] | None = None,
    sort: tuple[str, bool] | None = None,
) -> table.Panel:
    """A table of what is true now: label columns (by label, their titles), then numbers.

    Rows are put together by the labels that the queries share, so only the first query may have
    labels that the others lack. `links`: of a label, a title and a URL to follow. `texts`: of a
    label, what is shown for its codes. `sort`: a title, and whether the largest comes first.
    """
    panel = dressed(table.Panel(), card).show_header(True).cell_height(common.TableCellHeight.SM)
    values = (
        ["Value"] if len(columns) == 1 else [f"Value #{letter(k)}" for k in range(len(columns))]
    )
    names = dict(labels)
    for at, (value, column) in enumerate(zip(values, columns, strict=True)):
        panel = panel.with_target(
            asked(Query(column.expression), at, PromQueryFormat.TABLE, instant=True)
        )
        if not column.mark:
            names[value] = column.title
            panel = panel.override_by_name(column.title, _column_settings(column))
    panel = panel.with_transformation(model.DataTransformerConfig(id_val="merge", options={}))
    panel = panel.with_transformation(organised(names))
    for label, (title, url) in (links or {}).items():
        told = [model.DynamicConfigValue(id_val="links", value=[{"title": title, "url": url}])]
        panel = panel.override_by_name(labels[label], told)
    for label, codes in (texts or {}).items():
        shown = [model.DynamicConfigValue(id_val="mappings", value=mapping(codes))]
        if any(colour is not None for _, colour in codes.values()):
            cell = common.TableColorTextCellOptions()
            shown.append(model.DynamicConfigValue(id_val="custom.cellOptions", value=cell))
        panel = panel.override_by_name(labels[label], shown)
    if sort is not None:
        panel = panel.sort_by([TableSortByFieldState().display_name(sort[0]).desc(sort[1])])
    return panel


def organised(names: dict[str, str]) -> model.DataTransformerConfig:
    """Only these fields, in this order, by these names."""
    return model.DataTransformerConfig(
        id_val="organize",
        options={
            "includeByName": {name: True for name in names},
            "excludeByName": {"Time": True},
            "indexByName": {name: at for at, name in enumerate(names)},
            "renameByName": names,
        },
    )
