"""Overview: all links by their state, where they are, what is worst now, and who provides it."""

from grafana_foundation_sdk.builders import dashboard, geomap, table
from grafana_foundation_sdk.builders.common import FrameGeometrySource, MapLayerOptions
from grafana_foundation_sdk.models import common
from grafana_foundation_sdk.models import dashboard as model
from grafana_foundation_sdk.models.geomap import TooltipMode
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

from configs.grafana.boards import frame, panels, queries
from configs.grafana.boards.panels import GREEN, GREY, ORANGE, RED, YELLOW, Column, Look, Query
from configs.grafana.boards.queries import by_link, named, of_links
from configs.grafana.boards.words import Language

CODES: panels.Steps = ((None, GREEN), (1, GREY), (2, RED))
NOTHING: panels.Steps = ((None, GREEN), (1, RED))
LOSS: panels.Steps = ((None, GREEN), (0.005, YELLOW), (0.02, ORANGE), (0.1, RED))
USED: panels.Steps = ((None, GREEN), (0.5, YELLOW), (0.8, ORANGE), (1, RED))
ALERTS = 'ALERTS{alertname=~"Pantau.+", alertstate="firing", severity!="none"}'


def board(language: Language) -> model.Dashboard:
    """The whole dashboard."""
    say = language.say
    told = frame.begun(
        frame.Frame(
            name=frame.OVERVIEW,
            title=say("Pantau: Ikhtisar", "Pantau: Overview"),
            about=say(
                "Keadaan semua link sekarang, di peta dan menurut penyedia. Sementara: yang"
                " memutuskan adalah bukti.",
                "The state of all links now, on the map and by provider. Provisional: the evidence"
                " settles it.",
            ),
            since="now-6h",
            variables=(*frame.places(language), frame.link(language)),
        ),
        language,
    )
    told = _counts(told, language)
    told = told.with_panel(_map(language)).with_panel(_links(language))
    told = _history(told, language)
    told = _worst(told, language)
    return frame.numbered(_providers(told, language))


def _counts(told: dashboard.Dashboard, language: Language) -> dashboard.Dashboard:
    say = language.say

    def count(state: str) -> Query:
        of_state = by_link(f'pantau_link_state{{state="{state}"}}')
        return Query(f"sum({of_links(of_state)})")

    for state, title, about, steps in (
        (
            "up",
            say("Link naik", "Links up"),
            say("Link yang sekarang didengar pusat.", "Links that the hub hears now."),
            ((None, GREEN),),
        ),
        (
            "down",
            say("Link putus", "Links down"),
            say(
                "Link dengan saksi bahwa paketnya hilang.",
                "Links with a witness that their packets are lost.",
            ),
            NOTHING,
        ),
        (
            "unknown",
            say("Tidak diketahui", "Unknown"),
            say(
                "Senyap tanpa saksi: listrik, agen, LAN, atau link. Bukan gangguan sebelum ada"
                " bukti.",
                "Silent without a witness: power, the agent, its LAN or the link. No downtime"
                " before there is evidence.",
            ),
            ((None, GREEN), (1, GREY)),
        ),
    ):
        told = told.with_panel(panels.number(Look(title, about, 4, 4, "none", steps), count(state)))
    told = told.with_panel(
        panels.number(
            Look(
                say("PoP dalam gangguan bersama", "PoPs in a common event"),
                say(
                    "PoP yang kehilangan sedikitnya 3 link dan 30 % sekaligus (docs/alerting.md).",
                    "PoPs that lost at least 3 and 30 % of their links at once (docs/alerting.md).",
                ),
                4,
                4,
                "none",
                NOTHING,
            ),
            Query('sum(max by (pop, provider) (pantau_pop_event{provider=~"$provider"}))'),
        )
    )
    told = told.with_panel(
        panels.number(
            Look(
                say("Pusat", "Hub"),
                say(
                    "Terputus: hampir semua link hilang sekaligus, jadi sebabnya di pusat.",
                    "Cut off: nearly all links were lost at once, so the cause is at the hub.",
                ),
                4,
                4,
                "none",
                NOTHING,
            ),
            Query("max(pantau_hub_event)"),
            texts={
                "0": (say("Tersambung", "Connected"), GREEN),
                "1": (say("Terputus", "Cut off"), RED),
            },
        )
    )
    return told.with_panel(
        panels.number(
            Look(
                say("Alarm menyala", "Alerts firing"),
                say("Semua alarm Pantau yang menyala.", "All alerts of Pantau that fire."),
                4,
                4,
                "none",
                NOTHING,
            ),
            Query(f"count({ALERTS}) or vector(0)"),
        )
    )


def _map(language: Language) -> geomap.Panel:
    """One marker a node, by its worst link: numbers joined by node, no plugin and no file."""
    say = language.say
    look = Look(
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
    panel = geomap.Panel().title(look.title).description(look.about).datasource(panels.SOURCE)
    panel = panel.span(look.width).height(look.height).unit(look.unit)
    panel = panel.thresholds(panels.thresholds(look.steps))
    panel = panel.color_scheme(dashboard.FieldColor().mode(model.FieldColorModeId.THRESHOLDS))
    asked = (
        worst,
        f"max by (node) (pantau_node_latitude_degrees) and on (node) {queries.NODES}",
        f"max by (node) (pantau_node_longitude_degrees) and on (node) {queries.NODES}",
    )
    for at, expression in enumerate(asked):
        query = Query(expression)
        panel = panel.with_target(panels.target(query, at, PromQueryFormat.TABLE, instant=True))
    state = say("keadaan", "state")
    names = {
        "node": say("lokasi", "node"),
        "node_name": say("nama", "name"),
        "district": say("kecamatan", "district"),
        "Value #A": state,
        "Value #B": "latitude",
        "Value #C": "longitude",
    }
    panel = panel.with_transformation(model.DataTransformerConfig(id_val="merge", options={}))
    panel = panel.with_transformation(panels.organised(names))
    panel = panel.override_by_name(
        state,
        [model.DynamicConfigValue(id_val="mappings", value=panels.mapping(frame.states(language)))],
    )
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


def _links(language: Language) -> table.Panel:
    say = language.say
    where = say("Link", "Link")
    state = say("Keadaan", "State")
    return panels.rows(
        Look(
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
            ((None, "transparent"), (6, YELLOW), (60, ORANGE)),
            decimals=0,
        ),
        Column(
            of_links(by_link("pantau_link_live_rtt_seconds")), "RTT", "s", ((None, "transparent"),)
        ),
        Column(
            of_links(by_link("pantau_link_live_loss_ratio")),
            say("Hilang", "Loss"),
            "percentunit",
            ((None, "transparent"), *LOSS[1:]),
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
        links={"link": (say("Buka link", "Open the link"), frame.to_link(language, f'"{where}"'))},
        sort=(state, True),
    )


def _history(told: dashboard.Dashboard, language: Language) -> dashboard.Dashboard:
    say = language.say
    seen = 'max by (link) (max_over_time(pantau_link_state{state!="up"}[$__range] @ end()) == 1)'
    told = told.with_panel(
        panels.timeline(
            Look(
                say("Link yang tidak selalu naik", "Links that were not always up"),
                say(
                    "Keadaan langsung link yang dalam waktu ini pernah putus atau senyap.",
                    "The live state of the links that were down or silent some time in this range.",
                ),
                14,
                10,
                "none",
                CODES,
            ),
            Query(f"({of_links(queries.state())}) and on (link) {seen}", "{{link}}", "30s"),
            texts=frame.states(language),
        )
    )
    return told.with_panel(
        panels.rows(
            Look(
                say("Alarm", "Alerts"),
                say(
                    "Yang menyala sekarang; panduannya di /runbooks/ pada kolektor.",
                    "What fires now; its runbook is under /runbooks/ on the collector.",
                ),
                10,
                10,
            ),
            {
                "alertname": say("Alarm", "Alert"),
                "severity": say("Tingkat", "Severity"),
                "link": "Link",
                "node_name": say("Lokasi", "Node"),
                "pop": "PoP",
            },
            Column(
                f"max by (alertname, severity, link, node_name, pop) ({ALERTS})",
                say("Menyala", "Firing"),
                "none",
            ),
        )
    )


def _worst(told: dashboard.Dashboard, language: Language) -> dashboard.Dashboard:
    say = language.say
    told = told.with_row(dashboard.Row(say("Terburuk sekarang", "Worst now")))
    for title, about, unit, steps, expression in (
        (
            say("Gangguan terlama", "Longest outages"),
            say(
                "Gangguan yang masih berlangsung, menurut yang didengar pusat.",
                "Outages that last, by what the hub hears.",
            ),
            "dtdurations",
            ((None, RED),),
            f"topk(10, {of_links('max by (link) (link:pantau_link_outage_seconds:max)')})",
        ),
        (
            say("Kehilangan paket", "Packet loss"),
            say("Detik-detik terakhir, ke pusat, pulang-pergi.", "Last seconds, hub, round trip."),
            "percentunit",
            LOSS,
            f"topk(10, {of_links(by_link('pantau_link_live_loss_ratio'))})",
        ),
        (
            say("Waktu pulang-pergi", "Round-trip time"),
            say("Median detik-detik terakhir ke pusat.", "Median of the last seconds to the hub."),
            "s",
            panels.PLAIN,
            f"topk(10, {of_links(by_link('pantau_link_live_rtt_seconds'))})",
        ),
        (
            say("Jatah gangguan terpakai", "Downtime budget used"),
            say(
                "Bagian jatah bulan ini yang sudah terpakai; di atas 100 % target dilanggar.",
                "Share of the month's budget that is used; above 100 % the target is missed.",
            ),
            "percentunit",
            USED,
            f"topk(10, {of_links(by_link('pantau_link_downtime_budget_used_ratio'))})",
        ),
    ):
        look = Look(title, about, 6, 9, unit, steps)
        told = told.with_panel(panels.bars(look, Query(expression, "{{link}}")))
    return told


def _providers(told: dashboard.Dashboard, language: Language) -> dashboard.Dashboard:
    say = language.say
    told = told.with_row(
        dashboard.Row(say("Perbandingan penyedia dan PoP", "Providers and PoPs compared"))
    )

    def summed(metric: str) -> str:
        return f"sum by (provider) ({named(by_link(metric), ('provider',))})"

    lost = queries.lost_ratio("link", matchers='target="hub"', over="1d")
    available = by_link("pantau_link_availability_ratio")
    told = told.with_panel(
        panels.rows(
            Look(
                say("Penyedia", "Providers"),
                say(
                    "Bulan berjalan menurut bukti; kehilangan paket: median link selama sehari.",
                    "The running month by the evidence; loss: the median link of a day.",
                ),
                14,
            ),
            {"provider": say("Penyedia", "Provider")},
            Column(f"count by (provider) ({queries.LINKS})", say("Link", "Links"), "none"),
            Column(
                summed('pantau_link_state{state="down"}'),
                say("Putus", "Down"),
                "none",
                ((None, "transparent"), (1, RED)),
            ),
            Column(
                f"quantile by (provider) (0.5, {named(lost, ('provider',))})",
                say("Hilang (median)", "Loss (median)"),
                "percentunit",
                ((None, "transparent"), *LOSS[1:]),
            ),
            Column(
                f"min by (provider) ({named(available, ('provider',))})",
                say("Ketersediaan terendah", "Lowest availability"),
                "percentunit",
                decimals=3,
            ),
            Column(
                summed('pantau_link_availability_standing{standing="breached"}'),
                say("Target dilanggar", "Targets missed"),
                "none",
                ((None, "transparent"), (1, RED)),
            ),
            Column(
                summed('pantau_link_verdict{verdict=~"contended|under_provisioned"}'),
                say("Putusan tidak dedicated", "Verdicts: not dedicated"),
                "none",
                ((None, "transparent"), (1, RED)),
            ),
        )
    )
    return told.with_panel(
        panels.rows(
            Look(
                "PoP",
                say(
                    "Link tiap PoP dan yang hilang sekarang.",
                    "Links of each PoP and those lost now.",
                ),
                10,
            ),
            {"pop": "PoP", "provider": say("Penyedia", "Provider")},
            Column(
                'max by (pop, provider) (pantau_pop_links{provider=~"$provider"})',
                say("Link", "Links"),
                "none",
            ),
            Column(
                'max by (pop, provider) (pantau_pop_links_lost{provider=~"$provider"})',
                say("Hilang", "Lost"),
                "none",
                ((None, "transparent"), (1, ORANGE)),
            ),
            Column(
                'max by (pop, provider) (pantau_pop_links_lost_together{provider=~"$provider"})',
                say("Hilang bersama", "Lost together"),
                "none",
                ((None, "transparent"), (3, RED)),
            ),
            sort=(say("Hilang", "Lost"), True),
        )
    )
