"""Overview: all links by their state, where they are, what is worst now, and who provides it."""

from grafana_foundation_sdk.builders import dashboard
from grafana_foundation_sdk.models import dashboard as model

from configs.grafana.description import (
    frame,
    overview_compared,
    overview_links,
    panels,
    queries,
    tables,
)
from configs.grafana.description.panels import GREEN, GREY, RED, Card, Query
from configs.grafana.description.queries import by_link, of_links
from configs.grafana.description.scales import CODES, NOTHING
from configs.grafana.description.tables import Column
from configs.grafana.description.words import Language

ALERTS = 'ALERTS{alertname=~"Pantau.+", alertstate="firing", severity!="none"}'


def whole(language: Language) -> model.Dashboard:
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
            variables=(*frame.places(language), frame.links(language)),
        ),
        language,
    )
    told = _counts(told, language)
    told = told.with_panel(overview_links.district_map(language))
    told = told.with_panel(overview_links.links(language))
    told = _history(told, language)
    told = overview_compared.worst(told, language)
    return frame.numbered(overview_compared.providers(told, language))


def _counts(told: dashboard.Dashboard, language: Language) -> dashboard.Dashboard:
    say = language.say

    def count(state: str) -> Query:
        of_state = by_link(f'pantau_link_state{{state="{state}"}}')
        return Query(f"sum({of_links(of_state)})")

    for state, title, about, steps in (
        (
            "up",
            say("Link hidup", "Links up"),
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
        told = told.with_panel(panels.number(Card(title, about, 4, 4, "none", steps), count(state)))
    told = told.with_panel(
        panels.number(
            Card(
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
            Card(
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
            Card(
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


def _history(told: dashboard.Dashboard, language: Language) -> dashboard.Dashboard:
    say = language.say
    seen = 'max by (link) (max_over_time(pantau_link_state{state!="up"}[$__range] @ end()) == 1)'
    told = told.with_panel(
        panels.timeline(
            Card(
                say("Link yang tidak selalu hidup", "Links that were not always up"),
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
        tables.rows(
            Card(
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
                mark=True,
            ),
        )
    )
