"""Link: everything about one circuit, from the live state to the verdict."""

from collections.abc import Iterable

from grafana_foundation_sdk.builders import dashboard
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.models import dashboard as model

from configs.grafana.boards import frame, panels, queries
from configs.grafana.boards.overview import CODES
from configs.grafana.boards.panels import GREEN, GREY, ORANGE, RED, YELLOW, Column, Look, Query
from configs.grafana.boards.queries import bits, milliseconds
from configs.grafana.boards.words import Language

ONE = 'link="$link"'
AIMED = 'link="$link", target="$target"'
SCRAPED, SETTLED = "30s", "1m"
"""No step of a graph is shorter than what it shows is new: a scrape, a batch of evidence."""
Panels = Iterable[Builder[model.Panel]]


def _max(metric: str, by: str = "link", matchers: str = ONE) -> str:
    return f"max by ({by}) ({metric}{{{matchers}}})"


def board(language: Language) -> model.Dashboard:
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
    for title, its in (
        (None, _now(language)),
        (say("Kualitas", "Quality"), _quality(language)),
        (say("Laju terhadap CIR", "Throughput against the CIR"), _throughput(language)),
        (say("Gangguan dan putusan", "Outages and verdict"), _outages(language)),
        (say("Pada waktunya (bukti susulan)", "At its true time (late data)"), _settled(language)),
        (say("Listrik, perangkat, jalur", "Power, device, path"), _site(language)),
    ):
        if title is not None:
            told = told.with_row(dashboard.Row(title))
        for panel in its:
            told = told.with_panel(panel)
    return frame.numbered(told)


def _now(language: Language) -> Panels:
    say = language.say
    yield panels.rows(
        Look(
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
            say("Ada", "Present"),
            "none",
        ),
    )
    yield panels.number(
        Look(
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
    yield panels.words(
        Look(
            say("Sebab keadaan itu", "Why"),
            say(
                "heard: didengar pusat; silent: senyap tanpa saksi; lainnya di docs/metrics.md.",
                "heard by the hub; silent without a witness; the others are in docs/metrics.md.",
            ),
            4,
            4,
        ),
        Query(f"max by (reason) (pantau_link_state_reason{{{ONE}}}) == 1", "{{reason}}"),
    )
    yield panels.number(
        Look(
            say("Terdengar", "Last heard"),
            say("Sejak paket terakhir sampai di pusat.", "Since the hub's last packet."),
            4,
            4,
            "s",
            ((None, GREEN), (6, YELLOW), (60, RED)),
        ),
        Query(_max("pantau_link_last_heard_age_seconds")),
    )
    yield panels.number(
        Look(
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
        Query(_max("pantau_link_availability_lower_ratio"), say("bawah", "lower")),
        Query(_max("pantau_link_availability_ratio"), say("titik", "point")),
        Query(_max("pantau_link_availability_upper_ratio"), say("atas", "upper")),
        Query(_max("pantau_link_availability_target_ratio"), say("target", "target")),
    )
    yield panels.number(
        Look(
            say("Jatah gangguan tersisa", "Downtime budget left"),
            say(
                "Dari jatah bulan berjalan; di bawah nol target dilanggar.",
                "Of the running month's; below zero the target is missed.",
            ),
            4,
            4,
            "dtdurations",
            ((None, RED), (0, GREEN)),
        ),
        Query(_max("pantau_link_downtime_budget_left_seconds")),
    )
    yield panels.timeline(
        Look(
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
            "0": (say("Naik / menyala", "Up / on"), GREEN),
            "1": (say("Tidak diketahui", "Unknown"), GREY),
            "2": (say("Putus / padam", "Down / off"), RED),
        },
    )


def _quality(language: Language) -> Panels:
    say = language.say
    yield panels.smoke(
        Look(
            say("Asap RTT ke $target", "RTT smoke to $target"),
            say(
                "Berapa paket dalam tiap kelas waktu pulang-pergi. Bukti yang datang terlambat"
                " terhitung saat tiba.",
                "How many packets in each class of round-trip times. Evidence that comes late is"
                " counted when it arrives.",
            ),
            12,
            10,
            "s",
        ),
        Query(
            f"sum by (le) (increase(pantau_link_rtt_seconds_bucket{{{AIMED}}}[$__rate_interval]))",
            "{{le}}",
            SETTLED,
        ),
    )
    ways = [
        Query(
            queries.lost_ratio("link", f"pantau_link_packets_lost_{way}_total", ONE),
            legend,
            SETTLED,
        )
        for way, legend in (
            ("forward", say("lokasi ke pusat", "node to hub")),
            ("reverse", say("pusat ke lokasi", "hub to node")),
        )
    ]
    limit = Query(_max("pantau_link_loss_limit_ratio", "link", AIMED), say("batas", "limit"))
    whole = Query(
        queries.lost_ratio("link", matchers=AIMED), say("pulang-pergi", "round trip"), SETTLED
    )
    yield panels.graph(
        Look(
            say("Kehilangan tiap arah", "Loss each way"),
            say(
                "Ke pusat, menurut penghitung reflektor (RFC 8762); pulang-pergi ke $target dan"
                " batas kontraknya.",
                "To the hub, by the reflector's counter (RFC 8762); round trip to $target and the"
                " contract's limit on it.",
            ),
            12,
            10,
            "percentunit",
        ),
        *ways,
        whole,
        limit,
    )
    rtts = [
        Query(_max("pantau_link_rtt_median_seconds", "link", AIMED), "median", SCRAPED),
        Query(_max("pantau_link_rtt_p95_seconds", "link", AIMED), "p95", SCRAPED),
        Query(
            _max("pantau_link_rtt_limit_seconds", "percentile", AIMED),
            say("batas p{{percentile}}", "limit p{{percentile}}"),
            SCRAPED,
        ),
    ]
    yield panels.graph(
        Look(
            say("RTT terhadap batas", "RTT against the limit"),
            say(
                "Median dan persentil ke-95 tiap menit bukti; paket hilang terhitung tak hingga.",
                "Median and 95th percentile of each minute of evidence; a lost packet is"
                " infinitely late.",
            ),
            12,
            8,
            "s",
        ),
        *rtts,
    )
    yield panels.graph(
        Look(
            say("Variasi tunda", "Delay variation"),
            say(
                "PDV: persentil ke-99 di atas yang terkecil (RFC 5481); jitter RFC 3550 sebagai"
                " pembanding.",
                "PDV: 99th percentile over the minimum (RFC 5481); RFC 3550 jitter beside it.",
            ),
            12,
            8,
            "s",
        ),
        Query(_max("pantau_link_pdv_seconds", "link", AIMED), "PDV", SCRAPED),
        Query(_max("pantau_link_jitter_seconds", "link", AIMED), "jitter", SCRAPED),
        Query(
            _max("pantau_link_pdv_limit_seconds", "percentile", AIMED),
            say("batas p{{percentile}}", "limit p{{percentile}}"),
            SCRAPED,
        ),
    )
    yield panels.bars(
        Look(
            say("Kehilangan menurut sasaran", "Loss by target"),
            say(
                "Satu jam terakhir: di mana hilangnya, dari perangkat di lokasi sampai pusat.",
                "The last hour: where it is lost, from the site's own router to the hub.",
            ),
            24,
            6,
            "percentunit",
            ((None, GREEN), (0.005, YELLOW), (0.02, ORANGE), (0.1, RED)),
        ),
        Query(queries.lost_ratio("target", matchers=ONE, over="1h"), "{{target}}"),
    )


def _throughput(language: Language) -> Panels:
    say = language.say
    router = "pantau_device_interface_{}_bytes_total"
    for way, counter, title in (
        ("down", "receive", say("Unduh", "Download")),
        ("up", "transmit", say("Unggah", "Upload")),
    ):
        one_way = f'{ONE}, direction="{way}"'
        users = f"sum by (link) (rate({router.format(counter)}{{{ONE}}}[$__rate_interval]))"
        yield panels.graph(
            Look(
                say(f"{title} terhadap CIR", f"{title} against the CIR"),
                say(
                    "Lalu lintas antarmuka perangkat, uji terakhir, CIR sebagai paket IP.",
                    "Traffic at the device's interface, the newest test, the CIR in IP packets.",
                ),
                9,
                9,
                "bps",
            ),
            Query(bits(users), say("pengguna dan uji", "users and tests"), SETTLED),
            Query(
                bits(_max("pantau_link_throughput_achieved_bytes_per_second", "link", one_way)),
                say("uji terakhir", "newest test"),
            ),
            Query(bits(_max("pantau_link_cir_bytes_per_second", "link", one_way)), "CIR"),
        )
    yield panels.bars(
        Look(
            say("Pencapaian CIR", "Attainment"),
            say(
                "Bagian laju yang dijanjikan yang sampai: uji terakhir, dan median malam 28 hari.",
                "Delivered share of the promised rate: newest test, and the evening median of 28"
                " days.",
            ),
            6,
            9,
            "percentunit",
            ((None, RED), (0.9, GREEN)),
        ),
        Query(
            _max("pantau_link_throughput_attainment_ratio", "direction, window"),
            "{{direction}} {{window}}",
        ),
        most=1.2,
    )
    yield panels.rows(
        Look(
            say("Uji laju", "Throughput tests"),
            say("Uji terakhir yang dihitung, tiap arah.", "The newest test that counts, each way."),
            12,
            6,
        ),
        {"direction": say("Arah", "Direction")},
        Column(
            bits(_max("pantau_link_throughput_achieved_bytes_per_second", "direction")),
            say("Tercapai", "Achieved"),
            "bps",
        ),
        Column(
            bits(_max("pantau_link_throughput_expected_bytes_per_second", "direction")),
            say("Dijanjikan (IP)", "Promised (IP)"),
            "bps",
        ),
        Column(
            _max("pantau_link_throughput_loaded_rtt_seconds", "direction"),
            say("RTT saat dibebani", "RTT under load"),
            "s",
        ),
        Column(
            milliseconds(_max("pantau_link_throughput_test_timestamp_seconds", "direction")),
            say("Waktu", "Time"),
            "dateTimeAsIso",
        ),
    )
    yield panels.bars(
        Look(
            say("Apa jadinya uji", "What became of tests"),
            say(
                "Menurut catatan agen sejak ia mulai; yang dilewati demi pengguna bukan kegagalan.",
                "By the agent's own count; those skipped for users are no failures.",
            ),
            6,
            6,
            "none",
        ),
        Query(_max("pantau_link_throughput_tests_total", "outcome"), "{{outcome}}"),
    )
    yield panels.number(
        Look(
            say("Jatah data uji bulan ini", "Data budget of tests"),
            say(
                "Terpakai dan boleh, paket IP kedua arah.",
                "Used and allowed, IP packets of both directions.",
            ),
            6,
            6,
            "decbytes",
        ),
        Query(_max("pantau_link_throughput_budget_used_bytes"), say("terpakai", "used")),
        Query(_max("pantau_link_throughput_budget_limit_bytes"), say("boleh", "allowed")),
    )


def _outages(language: Language) -> Panels:
    say = language.say
    yield panels.rows(
        Look(
            say("Waktu bulan ini menurut sebab", "This month by cause"),
            say(
                "Detik bulan berjalan menurut keadaan, sebab dan beban (docs/audit-method.md)."
                " Daftar gangguan satu per satu: ${hub}/api/v1/links/${link}/outages",
                "The running month's time by state, cause and charge (docs/audit-method.md). Every"
                " single outage: ${hub}/api/v1/links/${link}/outages",
            ),
            12,
        ),
        {
            "state": say("Keadaan", "State"),
            "cause": say("Sebab", "Cause"),
            "charge": say("Dibebankan", "Charge"),
        },
        Column(
            _max("pantau_link_period_seconds", "state, cause, charge"),
            say("Lama", "Time"),
            "dtdurations",
        ),
        links={
            "cause": (
                say("Daftar gangguan", "List of outages"),
                "${hub}/api/v1/links/${link}/outages",
            )
        },
        sort=(say("Lama", "Time"), True),
    )
    yield panels.bars(
        Look(
            say("Banyaknya gangguan", "Outages"),
            say(
                "Yang sudah pasti sejak bukti pertama, menurut keadaan dan sebab.",
                "Settled ones since the evidence began, by state and cause.",
            ),
            6,
            8,
            "none",
        ),
        Query(_max("pantau_link_outages_total", "state, cause"), "{{state}} {{cause}}"),
    )
    yield panels.rows(
        Look(
            say("Putusan dedicated", "Verdict: dedicated or not"),
            say(
                "Pandangan terbaru tiap arah; 20 dari 28 hari harus sah"
                " (docs/dedicated-method.md).",
                "The newest look each way; 20 of 28 days must be valid (docs/dedicated-method.md).",
            ),
            6,
            8,
        ),
        {"direction": say("Arah", "Direction"), "verdict": say("Putusan", "Verdict")},
        Column(
            f"{_max('pantau_link_verdict', 'direction, verdict')} == 1",
            say("Berlaku", "Holds"),
            "none",
        ),
        Column(
            _max("pantau_link_verdict_evidence_days", "direction"),
            say("Hari sah", "Valid days"),
            "none",
            ((None, ORANGE), (20, GREEN)),
        ),
        Column(
            milliseconds(_max("pantau_link_verdict_changed_timestamp_seconds", "direction")),
            say("Sejak", "Since"),
            "dateTimeAsIso",
        ),
    )


def _settled(language: Language) -> Panels:
    say = language.say
    colours = say(
        "Bukti yang sudah pasti, pada waktunya sendiri, bila kolektor mengirimnya"
        " (docs/backfill.md).",
        "Settled evidence at its own time, if the collector sends it (docs/backfill.md).",
    )
    yield panels.graph(
        Look(say("Detik tiap keadaan", "Seconds of each state"), colours, 12, 8, "s"),
        Query(
            f"sum by (state) (sum_over_time(pantau_settled_state_seconds{{{ONE}}}[$__interval]))",
            "{{state}}",
            SETTLED,
        ),
        stacked=True,
    )
    lost = [
        Query(
            f"sum by (link) (sum_over_time({lost}{{{matchers}}}[$__interval]))"
            f" / (sum by (link) (sum_over_time(pantau_settled_packets_sent{{{matchers}}}"
            "[$__interval])) > 0)",
            legend,
            "2m",
        )
        for lost, matchers, legend in (
            ("pantau_settled_packets_lost", AIMED, say("pulang-pergi", "round trip")),
            (
                "pantau_settled_packets_lost_forward",
                f'{ONE}, target="hub"',
                say("lokasi ke pusat", "node to hub"),
            ),
            (
                "pantau_settled_packets_lost_reverse",
                f'{ONE}, target="hub"',
                say("pusat ke lokasi", "hub to node"),
            ),
        )
    ]
    yield panels.graph(Look(say("Kehilangan", "Loss"), colours, 6, 8, "percentunit"), *lost)
    yield panels.graph(
        Look("RTT", colours, 6, 8, "s"),
        Query(_max("pantau_settled_rtt_median_seconds", "link", AIMED), "median", SETTLED),
        Query(_max("pantau_settled_rtt_p95_seconds", "link", AIMED), "p95", SETTLED),
    )
    yield panels.number(
        Look(
            say("Bukti sampai", "Evidence reaches to"),
            say(
                "Seberapa lama bukti tertinggal, dan berapa berkas masih di jalan.",
                "How far the evidence is behind, and how many batches are still under way.",
            ),
            24,
            4,
            "s",
            ((None, GREEN), (600, ORANGE), (86_400, RED)),
        ),
        Query(
            f"time() - {_max('pantau_link_evidence_settled_timestamp_seconds')}",
            say("tertinggal", "behind"),
        ),
        Query(
            f"time() - {_max('pantau_link_judged_timestamp_seconds')}",
            say("belum diputus", "not judged"),
        ),
    )


def _site(language: Language) -> Panels:
    say = language.say
    yield panels.graph(
        Look(
            say("Baterai", "Battery"),
            say("Isi baterai lokasi.", "Charge of the site's battery."),
            6,
            8,
            "percentunit",
        ),
        Query(_max("pantau_site_battery_ratio", "target"), "{{target}}", SETTLED),
    )
    yield panels.rows(
        Look(
            say("Perangkat", "Device"),
            say(
                "Yang dikatakan perangkat lewat SNMP; antarmuka 1 naik, 2 turun.",
                "What the device says by SNMP; interface 1 up, 2 down.",
            ),
            9,
        ),
        {"target": say("Sasaran", "Target")},
        Column(
            _max("pantau_device_up", "target"),
            say("Menjawab", "Answers"),
            "none",
            ((None, RED), (1, GREEN)),
        ),
        Column(
            _max("pantau_device_uptime_seconds", "target"),
            say("Menyala sejak", "Uptime"),
            "dtdurations",
        ),
        Column(
            _max("pantau_device_interface_oper_status", "target"),
            say("Antarmuka", "Interface"),
            "none",
            texts={"1": (say("naik", "up"), GREEN), "2": (say("turun", "down"), RED)},
        ),
    )
    yield panels.rows(
        Look(
            say("Jalur", "Path"),
            say(
                "Router di jalan ke sasaran, dan berapa kali jalur berganti.",
                "Routers on the way to a target, and how often the way changed.",
            ),
            9,
        ),
        {"target": say("Sasaran", "Target"), "address": say("Router pertama", "First hop")},
        Column(
            _max("pantau_path_first_hop_info", "target, address"), say("Ada", "Present"), "none"
        ),
        Column(_max("pantau_path_hops", "target"), say("Lompatan", "Hops"), "none"),
        Column(_max("pantau_path_changes_total", "target"), say("Berganti", "Changes"), "none"),
    )
