"""Provider SLA, month to date: who keeps the contract, and how fast the budget is used."""

from grafana_foundation_sdk.builders import dashboard, table
from grafana_foundation_sdk.models import dashboard as model

from configs.grafana.description import frame, panels, queries, tables, terms
from configs.grafana.description.panels import GREEN, GREY, ORANGE, RED, Card, Query
from configs.grafana.description.queries import by_link, milliseconds, named, of_links
from configs.grafana.description.scales import BURN, CLEAR, NOTHING, USED, cells
from configs.grafana.description.tables import Column
from configs.grafana.description.words import Language


def whole(language: Language) -> model.Dashboard:
    """The whole dashboard."""
    say = language.say
    told = frame.begun(
        frame.Frame(
            name=frame.SLA,
            title=say("Pantau: SLA penyedia", "Pantau: Provider SLA"),
            about=say(
                "Bulan berjalan menurut kontrak dan bukti. Angka resmi ada di laporan audit.",
                "The running month by contract and evidence. Official figures are in the audit's"
                " report.",
            ),
            since="now/M",
            variables=(*frame.places(language), frame.links(language)),
            refresh="1m",
        ),
        language,
    )
    told = _counts(told, language)
    told = _providers(told, language)
    told = told.with_panel(_links(language))
    return frame.numbered(_burn(told, language))


def _standing(one: str) -> str:
    return by_link(f'pantau_link_availability_standing{{standing="{one}"}}')


def _counts(told: dashboard.Dashboard, language: Language) -> dashboard.Dashboard:
    say = language.say
    for one, title, about, steps in (
        (
            "met",
            say("Target tercapai", "Targets met"),
            say(
                "Link yang memenuhi target bulan ini sekalipun yang tak diketahui dianggap putus.",
                "Links that meet the month's target even if all unknown time was down.",
            ),
            ((None, GREEN),),
        ),
        (
            "breached",
            say("Target dilanggar", "Targets missed"),
            say(
                "Link yang tak lagi dapat memenuhinya sekalipun yang tak diketahui dianggap hidup.",
                "Links that miss it even if all unknown time was up.",
            ),
            NOTHING,
        ),
        (
            "indeterminate",
            say("Belum dapat diputus", "Not decided"),
            say(
                "Link yang masih dapat ke mana saja; waktu tak diketahui yang menentukan.",
                "Links that may still go either way: unknown time decides.",
            ),
            ((None, GREY),),
        ),
    ):
        card = Card(title, about, 4, 4, "none", steps)
        told = told.with_panel(panels.number(card, Query(f"sum({of_links(_standing(one))})")))
    charged = panels.bars(
        Card(
            say("Waktu putus yang dibebankan", "Downtime charged"),
            say(
                "Bulan berjalan, menurut kepada siapa dibebankan.",
                "The running month, by whose time it is.",
            ),
            12,
            4,
            "dtdhms",
        ),
        Query(
            "sum by (charge) ("
            + named(
                'max by (link, state, cause, charge) (pantau_link_period_seconds{state="down"})',
                ("provider",),
            )
            + ")",
            "{{charge}}",
        ),
    )
    return told.with_panel(panels.renamed(charged, terms.told(terms.CHARGES, language)))


def _providers(told: dashboard.Dashboard, language: Language) -> dashboard.Dashboard:
    say = language.say

    def over(how: str, expression: str) -> str:
        return f"{how} by (provider) ({named(expression, ('provider',))})"

    def charged(charge: str) -> str:
        kinds = f'pantau_link_period_seconds{{state="down", charge="{charge}"}}'
        some = over("sum", f"sum by (link) (max by (link, cause) ({kinds}))")
        return f"{some} or 0 * {over('sum', _standing('met'))}"

    return told.with_panel(
        tables.rows(
            Card(
                say("Penyedia", "Providers"),
                say(
                    "Perbandingan bulan berjalan. Rerata ketersediaan tidak berbobot.",
                    "The running month compared. The mean availability has no weights.",
                ),
                24,
                7,
            ),
            {"provider": say("Penyedia", "Provider")},
            Column(f"count by (provider) ({queries.LINKS})", say("Link", "Links"), "none"),
            Column(over("sum", _standing("met")), say("Tercapai", "Met"), "none"),
            Column(
                over("sum", _standing("breached")),
                say("Dilanggar", "Missed"),
                "none",
                cells(NOTHING),
            ),
            Column(
                over("sum", _standing("indeterminate")), say("Belum pasti", "Not decided"), "none"
            ),
            Column(
                over("avg", by_link("pantau_link_availability_ratio")),
                say("Rerata ketersediaan", "Mean availability"),
                "percentunit",
                decimals=3,
            ),
            Column(
                over("min", by_link("pantau_link_availability_ratio")),
                say("Terendah", "Lowest"),
                "percentunit",
                decimals=3,
            ),
            Column(
                over("max", by_link("pantau_link_downtime_budget_used_ratio")),
                say("Jatah terpakai, terburuk", "Budget used, worst"),
                "percentunit",
                USED,
                decimals=0,
            ),
            Column(charged("provider"), say("Putus, penyedia", "Down, provider"), "dtdhms"),
            Column(
                over(
                    "sum",
                    by_link('pantau_link_verdict{verdict=~"contended|under_provisioned"}'),
                ),
                say("Tidak dedicated", "Not dedicated"),
                "none",
                cells(NOTHING),
            ),
        )
    )


def _links(language: Language) -> table.Panel:
    say = language.say
    where = "Link"
    used = say("Jatah terpakai", "Budget used")
    return tables.rows(
        Card(
            say("Link bulan ini", "Links this month"),
            say(
                "Batas bawah dan atas, target, jatah gangguan, dan laju pemakaiannya: 1 berarti"
                " tepat habis pada akhir bulan.",
                "Lower and upper bound, target, downtime budget and its burn rate: 1 uses it up"
                " just at the month's end.",
            ),
            24,
            12,
        ),
        {
            "link": where,
            "node_name": say("Lokasi", "Node"),
            "provider": say("Penyedia", "Provider"),
        },
        Column(
            named(by_link("pantau_link_availability_lower_ratio"), ("node_name", "provider")),
            say("Bawah", "Lower"),
            "percentunit",
            decimals=3,
        ),
        Column(
            of_links(by_link("pantau_link_availability_upper_ratio")),
            say("Atas", "Upper"),
            "percentunit",
            decimals=3,
        ),
        Column(
            of_links(by_link("pantau_link_availability_target_ratio")),
            "Target",
            "percentunit",
            decimals=2,
        ),
        Column(
            of_links(by_link("pantau_link_availability_coverage_ratio")),
            say("Waktu diketahui", "Coverage"),
            "percentunit",
            ((None, ORANGE), (0.98, CLEAR[1])),
            decimals=2,
        ),
        Column(
            of_links(_standing("breached")),
            say("Dilanggar", "Missed"),
            "none",
            cells(NOTHING),
            {"0": (say("tidak", "no"), CLEAR[1]), "1": (say("ya", "yes"), RED)},
        ),
        Column(
            of_links(by_link("pantau_link_downtime_budget_used_ratio")),
            used,
            "percentunit",
            USED,
            decimals=0,
        ),
        Column(
            of_links(by_link("pantau_link_downtime_budget_left_seconds")),
            say("Sisa jatah", "Budget left"),
            "s",
            ((None, RED), (0, CLEAR[1])),
        ),
        Column(
            of_links("max by (link) (link:pantau_downtime_budget:burnrate1h)"),
            say("Laju 1 jam", "Burn 1 h"),
            "none",
            cells(BURN),
            decimals=1,
        ),
        Column(
            of_links("max by (link) (link:pantau_downtime_budget:burnrate3d)"),
            say("Laju 3 hari", "Burn 3 d"),
            "none",
            cells(BURN),
            decimals=1,
        ),
        Column(
            milliseconds(of_links(by_link("pantau_link_period_end_timestamp_seconds"))),
            say("Berakhir", "Ends"),
            "dateTimeAsIso",
        ),
        links={
            "link": (
                say("Buka link", "Open the link"),
                frame.to_link(language, frame.ROW.format(where)),
            )
        },
        sort=(used, True),
    )


def _burn(told: dashboard.Dashboard, language: Language) -> dashboard.Dashboard:
    say = language.say
    told = told.with_row(dashboard.Row(say("Pemakaian jatah gangguan", "Budget burn")))
    worst = of_links(by_link("pantau_link_downtime_budget_used_ratio"))
    told = told.with_panel(
        panels.graph(
            Card(
                say("Jatah terpakai sepanjang bulan", "Budget used over the month"),
                say(
                    "Sepuluh link terburuk; berkurang bila bukti susulan membebaskan penyedia.",
                    "The worst ten links; it falls where late evidence clears the provider.",
                ),
                12,
                9,
                "percentunit",
                USED,
            ),
            Query(f"topk(10, {worst})", "{{link}}", "1m"),
        )
    )
    burning = of_links("max by (link) (link:pantau_downtime_budget:burnrate6h)")
    told = told.with_panel(
        panels.graph(
            Card(
                say("Laju pemakaian 6 jam", "Burn rate over 6 h"),
                say(
                    "Berapa kali lebih cepat dari yang dijanjikan; alarm pada 6 dan 14,4.",
                    "How many times faster than promised; alerts at 6 and 14.4.",
                ),
                12,
                9,
                "none",
                BURN,
            ),
            Query(f"topk(10, {burning})", "{{link}}", "1m"),
        )
    )
    causes = named(
        'max by (link, state, cause, charge) (pantau_link_period_seconds{state!="up"})',
        ("provider",),
    )
    return told.with_panel(
        tables.rows(
            Card(
                say("Sebab waktu yang tidak hidup", "Causes of time that was not up"),
                say(
                    "Bulan berjalan, semua link yang dipilih, menurut sebab dan beban.",
                    "The running month, all links that are picked, by cause and charge.",
                ),
                24,
                9,
            ),
            {
                "provider": say("Penyedia", "Provider"),
                "state": say("Keadaan", "State"),
                "cause": say("Sebab", "Cause"),
                "charge": say("Dibebankan", "Charge"),
            },
            Column(
                f"sum by (provider, state, cause, charge) ({causes})",
                say("Lama", "Time"),
                "dtdhms",
            ),
            texts={
                "state": terms.told(terms.STATES, language),
                "cause": terms.told(terms.CAUSES, language),
                "charge": terms.told(terms.CHARGES, language),
            },
            sort=(say("Lama", "Time"), True),
        )
    )
