"""Overview: every link by its state, on the map and as a row."""

from grafana_foundation_sdk.builders import dashboard, geomap, table
from grafana_foundation_sdk.builders.common import FrameGeometrySource, MapLayerOptions
from grafana_foundation_sdk.models import common
from grafana_foundation_sdk.models import dashboard as model
from grafana_foundation_sdk.models.geomap import TooltipMode
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

from configs.grafana.description import frame, panels, queries, tables
from configs.grafana.description.panels import GREEN, ORANGE, YELLOW, Card, Query
from configs.grafana.description.queries import by_link, named, of_links
from configs.grafana.description.scales import CLEAR, CODES, LOSS, USED, cells
from configs.grafana.description.tables import Column
from configs.grafana.description.words import Language


def district_map(language: Language) -> geomap.Panel:
    """One marker a node, by its worst link: numbers joined by node, no plugin and no file."""
    say = language.say
    card = Card(
        say("Peta kabupaten", "District map"),
        say(
            "Satu titik tiap lokasi, berwarna menurut link terburuknya. Koordinat dari nodes.yaml.",
            "One marker for each node, coloured by its worst link. Coordinates from nodes.yaml.",
        ),
        10,
        14,
        "none",
        CODES,
    )
    labels = "node, node_name, district"
    worst = f"max by ({labels}) ({named(queries.state(), ('node', 'node_name', 'district'))})"
    panel = geomap.Panel().title(card.title).description(card.about).datasource(panels.SOURCE)
    panel = panel.span(card.width).height(card.height).unit(card.unit)
    panel = panel.thresholds(panels.thresholds(card.steps))
    panel = panel.color_scheme(dashboard.FieldColor().mode(model.FieldColorModeId.THRESHOLDS))
    asked = (
        worst,
        f"max by (node) (pantau_node_latitude_degrees) and on (node) {queries.LINKS}",
        f"max by (node) (pantau_node_longitude_degrees) and on (node) {queries.LINKS}",
    )
    for at, expression in enumerate(asked):
        query = Query(expression)
        panel = panel.with_target(panels.asked(query, at, PromQueryFormat.TABLE, instant=True))
    state = say("keadaan", "state")
    names = {
        "node": say("lokasi", "node"),
        "node_name": say("nama", "name"),
        "district": say("kecamatan", "district"),
        "Value #A": state,
        "Value #B": "latitude",
        "Value #C": "longitude",
    }
    way = {
        "title": say("Kecamatan ini", "This district"),
        "url": frame.to_district(language, frame.ROW.format(names["district"])),
    }
    panel = panel.with_transformation(model.DataTransformerConfig(id_val="merge", options={}))
    panel = panel.with_transformation(tables.organised(names))
    panel = panel.override_by_name(
        state,
        [
            model.DynamicConfigValue(
                id_val="mappings", value=panels.mapping(frame.states(language))
            ),
            model.DynamicConfigValue(id_val="links", value=[way]),
        ],
    )
    exact = [model.DynamicConfigValue(id_val="decimals", value=4)]
    panel = panel.override_by_regexp("latitude|longitude", exact)
    place = FrameGeometrySource().mode(common.FrameGeometrySourceMode.COORDS)
    layer = (
        MapLayerOptions()
        .type("markers")
        .name(say("Lokasi", "Nodes"))
        .location(place.latitude("latitude").longitude("longitude"))
        .tooltip(True)
        .config(
            {
                "showLegend": True,
                "style": {
                    "color": {"field": state, "fixed": GREEN},
                    "opacity": 0.8,
                    "size": {"fixed": 7, "min": 2, "max": 15},
                    "symbol": {"fixed": "img/icons/marker/circle.svg", "mode": "fixed"},
                },
            }
        )
    )
    view = geomap.MapViewConfig().id("fit").all_layers(True).padding(10).max_zoom(14)
    controls = geomap.ControlsOptions().show_zoom(True).mouse_wheel_zoom(True)
    return (
        panel.layers([layer])
        .basemap(MapLayerOptions().type("default").name("basemap"))
        .view(view)
        .controls(controls.show_attribution(True))
        .tooltip(geomap.TooltipOptions().mode(TooltipMode.DETAILS))
    )


def links(language: Language) -> table.Panel:
    say = language.say
    where = say("Link", "Link")
    state = say("Keadaan", "State")
    return tables.rows(
        Card(
            say("Semua link", "All links"),
            say(
                "Keadaan sekarang dan bulan berjalan. Klik link untuk rinciannya.",
                "The state now and the running month. A click on a link shows its details.",
            ),
            14,
            14,
        ),
        {
            "link": where,
            "node_name": say("Lokasi", "Node"),
            "district": say("Kecamatan", "District"),
            "provider": say("Penyedia", "Provider"),
            "pop": "PoP",
        },
        Column(named(queries.state()), state, "none", CODES, frame.states(language)),
        Column(
            of_links(by_link("pantau_link_last_heard_age_seconds")),
            say("Terdengar", "Last heard"),
            "s",
            (CLEAR, (6, YELLOW), (60, ORANGE)),
            decimals=0,
        ),
        Column(of_links(by_link("pantau_link_live_rtt_seconds")), "RTT", "s", (CLEAR,)),
        Column(
            of_links(by_link("pantau_link_live_loss_ratio")),
            say("Hilang", "Loss"),
            "percentunit",
            cells(LOSS),
        ),
        Column(
            of_links(by_link("pantau_link_availability_ratio")),
            say("Ketersediaan bulan ini", "Availability this month"),
            "percentunit",
            decimals=3,
        ),
        Column(
            of_links(by_link("pantau_link_downtime_budget_used_ratio")),
            say("Jatah gangguan terpakai", "Downtime budget used"),
            "percentunit",
            USED,
            decimals=0,
        ),
        links={
            "link": (
                say("Buka link", "Open the link"),
                frame.to_link(language, frame.ROW.format(where)),
            )
        },
        sort=(state, True),
    )
