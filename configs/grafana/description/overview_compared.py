"""Overview: what is worst now, and how providers and their points of presence compare."""

from grafana_foundation_sdk.builders import dashboard

from configs.grafana.description import frame, panels, queries, tables
from configs.grafana.description.panels import ORANGE, RED, Card, Query
from configs.grafana.description.queries import by_link, named, of_links
from configs.grafana.description.scales import CLEAR, LOSS, NOTHING, USED, cells
from configs.grafana.description.tables import Column
from configs.grafana.description.words import Language


def worst(told: dashboard.Dashboard, language: Language) -> dashboard.Dashboard:
    say = language.say
    told = told.with_row(dashboard.Row(say("Terburuk sekarang", "Worst now")))
    for title, about, unit, steps, expression in (
        (
            say("Gangguan terlama", "Longest outages"),
            say(
                "Gangguan yang masih berlangsung, menurut yang didengar pusat.",
                "Outages that last, by what the hub hears.",
            ),
            "dtdhms",
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
        card = Card(title, about, 6, 9, unit, steps)
        way = dashboard.DashboardLink(say("Buka link", "Open the link"))
        way = way.url(frame.to_link(language, frame.SERIES.format("link")))
        bars = panels.bars(card, Query(expression, "{{link}}")).data_links([way])
        told = told.with_panel(bars)
    return told


def providers(told: dashboard.Dashboard, language: Language) -> dashboard.Dashboard:
    say = language.say
    told = told.with_row(
        dashboard.Row(say("Perbandingan penyedia dan PoP", "Providers and PoPs compared"))
    )

    def summed(metric: str) -> str:
        return f"sum by (provider) ({named(by_link(metric), ('provider',))})"

    lost = by_link('link_target:pantau_link_packets_lost:ratio_increase1h{target="hub"}')
    available = by_link("pantau_link_availability_ratio")
    told = told.with_panel(
        tables.rows(
            Card(
                say("Penyedia", "Providers"),
                say(
                    "Bulan berjalan menurut bukti; kehilangan paket: median link dalam satu jam.",
                    "The running month by the evidence; loss: the median link of an hour.",
                ),
                14,
            ),
            {"provider": say("Penyedia", "Provider")},
            Column(f"count by (provider) ({queries.LINKS})", say("Link", "Links"), "none"),
            Column(
                summed('pantau_link_state{state="down"}'),
                say("Putus", "Down"),
                "none",
                cells(NOTHING),
            ),
            Column(
                f"quantile by (provider) (0.5, {named(lost, ('provider',))})",
                say("Hilang (median)", "Loss (median)"),
                "percentunit",
                cells(LOSS),
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
                cells(NOTHING),
            ),
            Column(
                summed('pantau_link_verdict{verdict=~"contended|under_provisioned"}'),
                say("Putusan tidak dedicated", "Verdicts: not dedicated"),
                "none",
                cells(NOTHING),
            ),
        )
    )
    return told.with_panel(
        tables.rows(
            Card(
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
                (CLEAR, (1, ORANGE)),
            ),
            Column(
                'max by (pop, provider) (pantau_pop_links_lost_together{provider=~"$provider"})',
                say("Hilang bersama", "Lost together"),
                "none",
                (CLEAR, (3, RED)),
            ),
            sort=(say("Hilang", "Lost"), True),
        )
    )
