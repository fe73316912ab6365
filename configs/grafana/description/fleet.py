"""Fleet health: whether there will be evidence, and whether it can be trusted."""

from grafana_foundation_sdk.builders import dashboard, table
from grafana_foundation_sdk.models import dashboard as model

from configs.grafana.description import frame, panels, tables
from configs.grafana.description.panels import GREEN, ORANGE, RED, YELLOW, Card, Query
from configs.grafana.description.queries import NODES, of_links
from configs.grafana.description.scales import CLEAR, LAG, NOTHING, cells
from configs.grafana.description.tables import Column
from configs.grafana.description.words import Language

SILENT_S = 120
"""Without a status for so long (twelve of them), an agent is silent, as in the alerts."""
CLOCK: panels.Steps = ((None, GREEN), (0.1, YELLOW), (1, RED))


def of_nodes(expression: str) -> str:
    """The expression, by node, for the nodes that are picked."""
    return f"{expression} and on (node) {NODES}"


def by_agent(metric: str) -> str:
    """One value for each agent of the nodes that are picked."""
    return of_nodes(f"max by (node, agent) ({metric})")


AGE = "time() - max by (node, agent) (pantau_agent_last_status_timestamp_seconds)"


def whole(language: Language) -> model.Dashboard:
    """The whole dashboard."""
    say = language.say
    told = frame.begun(
        frame.Frame(
            name=frame.FLEET,
            title=say("Pantau: Kesehatan agen", "Pantau: Fleet health"),
            about=say(
                "Agen yang senyap, bukti yang menunggu, mutu jam, versi, dan galat alat ukur.",
                "Silent agents, evidence that waits, quality of clocks, versions, and the"
                " instrument's own error.",
            ),
            since="now-6h",
            variables=(*frame.places(language), frame.links(language)),
        ),
        language,
    )
    told = _counts(told, language)
    told = told.with_panel(_agents(language))
    told = _evidence(told, language)
    return frame.numbered(_instrument(told, language))


def _counts(told: dashboard.Dashboard, language: Language) -> dashboard.Dashboard:
    say = language.say
    for title, about, steps, expression in (
        (
            say("Agen melapor", "Agents reporting"),
            say("Dengan kabar dalam 2 menit.", "With a status within 2 min."),
            ((None, GREEN),),
            f"sum({of_nodes(f'({AGE} < bool {SILENT_S})')})",
        ),
        (
            say("Agen senyap", "Agents silent"),
            say(
                "Pernah memberi kabar sejak kolektor mulai, lalu diam 2 menit atau lebih.",
                "Told something since the collector started, and nothing for 2 min or more.",
            ),
            NOTHING,
            f"sum({of_nodes(f'({AGE} >= bool {SILENT_S})')})",
        ),
        (
            say("Link belum pernah terdengar", "Links never heard"),
            say(
                "Sejak kolektor mulai: belum dipasang, atau mati.",
                "Since the collector started: not installed, or dead.",
            ),
            ((None, GREEN), (1, ORANGE)),
            "sum("
            + of_links('max by (link) (pantau_link_state_reason{reason="never_heard"})')
            + ")",
        ),
        (
            say("Agen terdaftar", "Agents enrolled"),
            say("Yang boleh melapor ke kolektor.", "That may report to the collector."),
            panels.PLAIN,
            "max(pantau_collector_agents)",
        ),
        (
            say("Jam tidak sinkron", "Clocks not synchronised"),
            say(
                "Agen dengan jam kelas D: buktinya ditempatkan menurut jam pusat.",
                "Agents with a clock of class D: their evidence is placed by the hub's.",
            ),
            ((None, GREEN), (1, ORANGE)),
            f"sum({by_agent('pantau_agent_clock_class{class=' + chr(34) + 'D' + chr(34) + '}')})",
        ),
        (
            say("Bukti dibuang", "Evidence dropped"),
            say(
                "Pengamatan yang dibuang agen sejak ia mulai; semuanya tercatat.",
                "Observations that agents dropped since they started; each is listed.",
            ),
            NOTHING,
            f"sum({by_agent('pantau_agent_dropped_observations_total')})",
        ),
    ):
        card = Card(title, about, 4, 4, "none", steps)
        told = told.with_panel(panels.number(card, Query(expression)))
    return told


def _agents(language: Language) -> table.Panel:
    say = language.say
    age = say("Kabar terakhir", "Last status")
    spool = f"{_spool('bytes')} / {_spool('limit_bytes')}"
    return tables.rows(
        Card(
            say("Agen", "Agents"),
            say(
                "Satu baris tiap agen. Kelas jam: A 10 ms, B 100 ms, C 1 s, D tidak sinkron.",
                "One row an agent. Clock class: A 10 ms, B 100 ms, C 1 s, D not synchronised.",
            ),
            24,
            12,
        ),
        {
            "node": say("Lokasi", "Node"),
            "agent": say("Agen", "Agent"),
            "version": say("Versi", "Version"),
            "class": say("Kelas jam", "Clock class"),
        },
        Column(of_nodes(f"({AGE})"), age, "s", (CLEAR, (60, YELLOW), (120, RED)), decimals=0),
        Column(
            of_nodes("max by (node, agent, version) (pantau_agent_info)"),
            mark=True,
        ),
        Column(
            of_nodes("max by (node, agent, class) (pantau_agent_clock_class) == 1"),
            mark=True,
        ),
        Column(
            by_agent("pantau_agent_clock_error_bound_seconds"),
            say("Galat jam", "Clock error"),
            "s",
            cells(CLOCK),
        ),
        Column(
            by_agent("pantau_agent_spool_age_seconds"),
            say("Umur antrean", "Spool age"),
            "s",
            cells(LAG),
            decimals=0,
        ),
        Column(
            by_agent("pantau_agent_spool_batches"),
            say("Berkas menunggu", "Batches waiting"),
            "none",
        ),
        Column(
            of_nodes(spool),
            say("Penyimpanan terisi", "Spool filled"),
            "percentunit",
            (CLEAR, (0.8, ORANGE), (0.95, RED)),
            decimals=0,
        ),
        Column(
            by_agent("pantau_agent_spool_refused_batches"),
            say("Ditolak", "Refused"),
            "none",
            cells(NOTHING),
        ),
        sort=(age, True),
    )


def _spool(what: str) -> str:
    return f"max by (node, agent) (pantau_agent_spool_{what})"


def _evidence(told: dashboard.Dashboard, language: Language) -> dashboard.Dashboard:
    say = language.say
    told = told.with_row(dashboard.Row(say("Bukti", "Evidence")))
    lag = of_links("time() - max by (link) (pantau_link_evidence_settled_timestamp_seconds)")
    told = told.with_panel(
        panels.graph(
            Card(
                say("Umur antrean agen", "Spool age"),
                say(
                    "Bukti tertua yang masih menunggu di lokasi; sepuluh terlama.",
                    "The oldest evidence that still waits at a node; the ten oldest.",
                ),
                8,
                9,
                "s",
                LAG,
            ),
            Query(f"topk(10, {by_agent('pantau_agent_spool_age_seconds')})", "{{node}}"),
        )
    )
    told = told.with_panel(
        panels.graph(
            Card(
                say("Bukti tertinggal", "Evidence behind"),
                say(
                    "Sejak lubang pertama dalam bukti tiap link; sepuluh terlama.",
                    "Since the first hole in the evidence of each link; the ten longest.",
                ),
                8,
                9,
                "s",
                LAG,
            ),
            Query(f"topk(10, {lag})", "{{link}}"),
        )
    )
    gaps = "sum by (link) (max by (link, target) (pantau_link_gap_seconds_total))"
    return told.with_panel(
        panels.bars(
            Card(
                say("Pengamatan hilang tercatat", "Listed gaps"),
                say(
                    "Waktu yang menurut agen tidak terukur, sejak bukti pertama, tiap sasaran.",
                    "Time that the agents say was not measured, since the evidence began, over"
                    " targets.",
                ),
                8,
                9,
                "dtdhms",
                ((None, GREEN), (1, ORANGE)),
            ),
            Query(f"topk(10, {of_links(gaps)})", "{{link}}"),
        )
    )


def _instrument(told: dashboard.Dashboard, language: Language) -> dashboard.Dashboard:
    say = language.say
    told = told.with_row(
        dashboard.Row(say("Jam, versi, alat ukur", "Clocks, versions, instrument"))
    )
    told = told.with_panel(
        panels.bars(
            Card(
                say("Kelas jam", "Clock classes"),
                say("Banyaknya agen tiap kelas.", "Agents of each class."),
                6,
                8,
                "none",
            ),
            Query(
                "sum by (class) ("
                + of_nodes("max by (node, agent, class) (pantau_agent_clock_class)")
                + ")",
                "{{class}}",
            ),
        )
    )
    told = told.with_panel(
        panels.bars(
            Card(
                say("Versi agen", "Versions"),
                say("Banyaknya agen tiap versi.", "Agents of each version."),
                6,
                8,
                "none",
            ),
            Query(
                "count by (version) ("
                + of_nodes("max by (node, agent, version) (pantau_agent_info)")
                + ")",
                "{{version}}",
            ),
        )
    )
    told = told.with_panel(
        panels.graph(
            Card(
                say("Keterlambatan kirim", "Slot lateness"),
                say(
                    "Galat alat ukur sendiri: yang paling terlambat, sepuluh terburuk.",
                    "The instrument's own error: the latest departure, the worst ten.",
                ),
                6,
                8,
                "s",
            ),
            Query(f"topk(10, {by_agent('pantau_agent_slot_late_seconds')})", "{{node}}"),
        )
    )
    return told.with_panel(
        panels.graph(
            Card(
                say("Cap waktu", "Time stamps"),
                say(
                    "Siapa yang mencap waktu pulang-pergi: kernel di kedua ujung, di satu, atau"
                    " program.",
                    "Whose stamps made the round trips: the kernel's at both ends, at one, or the"
                    " program's.",
                ),
                6,
                8,
                "pps",
            ),
            Query(
                "sum by (stamp) ("
                "rate(pantau_agent_round_trips_total[$__rate_interval])"
                f" and on (node) {NODES})",
                "{{stamp}}",
                "1m",
            ),
            stacked=True,
        )
    )
