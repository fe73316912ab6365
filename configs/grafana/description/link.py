"""Link: everything about one circuit, from the live state to the verdict."""

from grafana_foundation_sdk.builders import dashboard
from grafana_foundation_sdk.models import dashboard as model

from configs.grafana.description import (
    frame,
    link_evidence,
    link_quality,
    panels,
    queries,
    tables,
    terms,
)
from configs.grafana.description.one_link import ONE, SCRAPED, SETTLED, Panels, greatest
from configs.grafana.description.panels import GREEN, GREY, RED, YELLOW, Card, Query
from configs.grafana.description.scales import CODES
from configs.grafana.description.tables import Column
from configs.grafana.description.words import Language


def whole(language: Language) -> model.Dashboard:
    """The whole dashboard."""
    say = language.say
    targets = frame.one(
        "target",
        say("Sasaran", "Target"),
        'label_values(pantau_link_packets_sent_total{link="$link"}, target)',
        "hub",
    )
    told = frame.begun(
        frame.Frame(
            name=frame.LINK,
            title=say("Pantau: Link", "Pantau: Link"),
            about=say(
                "Satu link: keadaan, waktu pulang-pergi, kehilangan tiap arah, laju terhadap CIR,"
                " gangguan, putusan, listrik.",
                "One link: state, round trips, loss each way, throughput against the CIR, outages,"
                " verdict, power.",
            ),
            since="now-24h",
            variables=(
                *frame.places(language),
                frame.one_link(language),
                targets,
                frame.hub(language),
            ),
        ),
        language,
    )
    outages = f"max by (link, state) (link:pantau_link_outage_seconds:max{{{ONE}}})"
    told = told.annotation(
        dashboard.AnnotationQuery()
        .name(say("Gangguan langsung", "Live outages"))
        .datasource(panels.SOURCE)
        .enable(True)
        .icon_color(RED)
        .expr(outages)
    )
    for title, its in (
        (None, _now(language)),
        (say("Kualitas", "Quality"), link_quality.quality(language)),
        (say("Laju terhadap CIR", "Throughput against the CIR"), link_quality.throughput(language)),
        (say("Gangguan dan putusan", "Outages and verdict"), link_evidence.outages(language)),
        (
            say("Pada waktunya (bukti susulan)", "At its true time (late data)"),
            link_evidence.settled(language),
        ),
        (say("Listrik, perangkat, jalur", "Power, device, path"), _site(language)),
    ):
        if title is not None:
            told = told.with_row(dashboard.Row(title))
        for panel in its:
            told = told.with_panel(panel)
    return frame.numbered(told)


def _now(language: Language) -> Panels:
    say = language.say
    yield tables.rows(
        Card(
            "$link",
            say("Apa link ini, menurut inventaris.", "What the link is, by the inventory."),
            24,
            4,
        ),
        {
            "node_name": say("Lokasi", "Node"),
            "kind": say("Jenis", "Kind"),
            "district": say("Kecamatan", "District"),
            "provider": say("Penyedia", "Provider"),
            "medium": say("Media", "Medium"),
            "pop": "PoP",
            "circuit": say("Sirkuit", "Circuit"),
        },
        Column(
            "max by (node_name, kind, district, provider, medium, pop, circuit)"
            f" (pantau_link_info{{{ONE}}})",
            mark=True,
        ),
    )
    yield panels.number(
        Card(
            say("Keadaan sekarang", "State now"),
            say("Menurut jalur langsung; sementara.", "By the live road; provisional."),
            4,
            4,
            "none",
            CODES,
        ),
        Query(queries.state(ONE)),
        texts=frame.states(language),
    )
    why = panels.words(
        Card(
            say("Sebab keadaan itu", "Why"),
            say(
                "Dari mana keadaan itu diketahui (docs/metrics.md).",
                "From what that state is known (docs/metrics.md).",
            ),
            4,
            4,
        ),
        Query(f"max by (reason) (pantau_link_state_reason{{{ONE}}}) == 1", "{{reason}}"),
    )
    yield panels.renamed(why, terms.told(terms.REASONS, language))
    yield panels.number(
        Card(
            say("Terdengar", "Last heard"),
            say("Sejak paket terakhir sampai di pusat.", "Since the hub's last packet."),
            4,
            4,
            "s",
            ((None, GREEN), (6, YELLOW), (60, RED)),
        ),
        Query(greatest("pantau_link_last_heard_age_seconds")),
    )
    yield panels.number(
        Card(
            say("Ketersediaan bulan ini", "Availability this month"),
            say(
                "Bawah (yang tak diketahui dianggap putus), titik, atas. Pelanggaran hanya bila"
                " batas atas di bawah target.",
                "Lower (unknown taken as down), point, upper. A breach only if the upper bound is"
                " below the target.",
            ),
            8,
            4,
            "percentunit",
        ),
        Query(greatest("pantau_link_availability_lower_ratio"), say("bawah", "lower")),
        Query(greatest("pantau_link_availability_ratio"), say("titik", "point")),
        Query(greatest("pantau_link_availability_upper_ratio"), say("atas", "upper")),
        Query(greatest("pantau_link_availability_target_ratio"), say("target", "target")),
    )
    yield panels.number(
        Card(
            say("Jatah gangguan tersisa", "Downtime budget left"),
            say(
                "Dari jatah bulan berjalan; di bawah nol target dilanggar.",
                "Of the running month's; below zero the target is missed.",
            ),
            4,
            4,
            "s",
            ((None, RED), (0, GREEN)),
        ),
        Query(greatest("pantau_link_downtime_budget_left_seconds")),
    )
    yield panels.timeline(
        Card(
            say("Keadaan dan listrik", "State and power"),
            say(
                "Keadaan langsung link, dan listrik PLN di lokasi bila ada sensornya.",
                "The live state of the link, and mains at the site where they are sensed.",
            ),
            24,
            6,
            "none",
            CODES,
        ),
        Query(queries.state(ONE), say("link", "link"), SCRAPED),
        Query(
            f"2 * (1 - min by (link) (pantau_site_mains{{{ONE}}}))",
            say("listrik", "mains"),
            SCRAPED,
        ),
        texts={
            "0": (say("Hidup / menyala", "Up / on"), GREEN),
            "1": (say("Tidak diketahui", "Unknown"), GREY),
            "2": (say("Putus / padam", "Down / off"), RED),
        },
    )


def _site(language: Language) -> Panels:
    say = language.say
    yield panels.graph(
        Card(
            say("Baterai", "Battery"),
            say("Isi baterai lokasi.", "Charge of the site's battery."),
            6,
            8,
            "percentunit",
        ),
        Query(greatest("pantau_site_battery_ratio", "target"), "{{target}}", SETTLED),
    )
    yield tables.rows(
        Card(
            say("Perangkat", "Device"),
            say(
                "Yang dikatakan perangkat lewat SNMP; antarmuka 1 aktif, 2 mati.",
                "What the device says by SNMP; interface 1 up, 2 down.",
            ),
            9,
        ),
        {"target": say("Sasaran", "Target")},
        Column(
            greatest("pantau_device_up", "target"),
            say("Menjawab", "Answers"),
            "none",
            ((None, RED), (1, GREEN)),
        ),
        Column(
            greatest("pantau_device_uptime_seconds", "target"),
            say("Menyala sejak", "Uptime"),
            "dtdhms",
        ),
        Column(
            greatest("pantau_device_interface_oper_status", "target"),
            say("Antarmuka", "Interface"),
            "none",
            texts={"1": (say("aktif", "up"), GREEN), "2": (say("mati", "down"), RED)},
        ),
    )
    yield tables.rows(
        Card(
            say("Jalur", "Path"),
            say(
                "Router di jalan ke sasaran, dan berapa kali jalur berganti.",
                "Routers on the way to a target, and how often the way changed.",
            ),
            9,
        ),
        {"target": say("Sasaran", "Target"), "address": say("Router pertama", "First hop")},
        Column(greatest("pantau_path_first_hop_info", "target, address"), mark=True),
        Column(greatest("pantau_path_hops", "target"), say("Lompatan", "Hops"), "none"),
        Column(greatest("pantau_path_changes_total", "target"), say("Berganti", "Changes"), "none"),
    )
