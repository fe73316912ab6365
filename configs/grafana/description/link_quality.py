"""Link: how its packets fare, as scraped, and what it carries against what was promised."""

from configs.grafana.description import panels, queries, tables, terms
from configs.grafana.description.one_link import AIMED, ONE, SCRAPED, SETTLED, Panels, greatest
from configs.grafana.description.panels import GREEN, RED, Card, Query
from configs.grafana.description.queries import bits, milliseconds
from configs.grafana.description.scales import LOSS
from configs.grafana.description.tables import Column
from configs.grafana.description.words import Language


def quality(language: Language) -> Panels:
    say = language.say
    yield panels.smoke(
        Card(
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
            queries.lost_ratio(
                "link", f"pantau_link_packets_lost_{way}_total", f'{ONE}, target="hub"'
            ),
            legend,
            SETTLED,
        )
        for way, legend in (
            ("forward", say("lokasi ke pusat", "node to hub")),
            ("reverse", say("pusat ke lokasi", "hub to node")),
        )
    ]
    limit = Query(greatest("pantau_link_loss_limit_ratio", "link", AIMED), say("batas", "limit"))
    whole = Query(
        queries.lost_ratio("link", matchers=AIMED), say("pulang-pergi", "round trip"), SETTLED
    )
    yield panels.graph(
        Card(
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
        Query(greatest("pantau_link_rtt_median_seconds", "link", AIMED), "median", SCRAPED),
        Query(greatest("pantau_link_rtt_p95_seconds", "link", AIMED), "p95", SCRAPED),
        Query(
            greatest("pantau_link_rtt_limit_seconds", "percentile", AIMED),
            say("batas p{{percentile}}", "limit p{{percentile}}"),
            SCRAPED,
        ),
    ]
    yield panels.graph(
        Card(
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
        Card(
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
        Query(greatest("pantau_link_pdv_seconds", "link", AIMED), "PDV", SCRAPED),
        Query(greatest("pantau_link_jitter_seconds", "link", AIMED), "jitter", SCRAPED),
        Query(
            greatest("pantau_link_pdv_limit_seconds", "percentile", AIMED),
            say("batas p{{percentile}}", "limit p{{percentile}}"),
            SCRAPED,
        ),
    )
    yield panels.bars(
        Card(
            say("Kehilangan menurut sasaran", "Loss by target"),
            say(
                "Satu jam terakhir: di mana hilangnya, dari perangkat di lokasi sampai pusat.",
                "The last hour: where it is lost, from the site's own router to the hub.",
            ),
            24,
            6,
            "percentunit",
            LOSS,
        ),
        Query(queries.lost_ratio("target", matchers=ONE, over="1h"), "{{target}}"),
    )


def throughput(language: Language) -> Panels:
    say = language.say
    router = "pantau_device_interface_{}_bytes_per_second"
    for way, counter, title in (
        ("down", "receive", say("Unduh", "Download")),
        ("up", "transmit", say("Unggah", "Upload")),
    ):
        one_way = f'{ONE}, direction="{way}"'
        users = greatest(router.format(counter))
        yield panels.graph(
            Card(
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
                bits(greatest("pantau_link_throughput_achieved_bytes_per_second", "link", one_way)),
                say("uji terakhir", "newest test"),
            ),
            Query(bits(greatest("pantau_link_cir_bytes_per_second", "link", one_way)), "CIR"),
        )
    yield panels.bars(
        Card(
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
            greatest("pantau_link_throughput_attainment_ratio", "direction, window"),
            "{{direction}} {{window}}",
        ),
        most=1.2,
    )
    yield tables.rows(
        Card(
            say("Uji laju", "Throughput tests"),
            say("Uji terakhir yang dihitung, tiap arah.", "The newest test that counts, each way."),
            12,
            6,
        ),
        {"direction": say("Arah", "Direction")},
        Column(
            bits(greatest("pantau_link_throughput_achieved_bytes_per_second", "direction")),
            say("Tercapai", "Achieved"),
            "bps",
        ),
        Column(
            bits(greatest("pantau_link_throughput_expected_bytes_per_second", "direction")),
            say("Dijanjikan (IP)", "Promised (IP)"),
            "bps",
        ),
        Column(
            greatest("pantau_link_throughput_loaded_rtt_seconds", "direction"),
            say("RTT saat dibebani", "RTT under load"),
            "s",
        ),
        Column(
            milliseconds(greatest("pantau_link_throughput_test_timestamp_seconds", "direction")),
            say("Waktu", "Time"),
            "dateTimeAsIso",
        ),
    )
    ends = panels.bars(
        Card(
            say("Apa jadinya uji", "What became of tests"),
            say(
                "Menurut catatan agen sejak ia mulai; yang dilewati demi pengguna bukan kegagalan.",
                "By the agent's own count; those skipped for users are no failures.",
            ),
            6,
            6,
            "none",
        ),
        Query(greatest("pantau_link_throughput_tests_total", "outcome"), "{{outcome}}"),
    )
    yield panels.renamed(ends, terms.told(terms.ENDS, language))
    yield panels.number(
        Card(
            say("Jatah data uji bulan ini", "Data budget of tests"),
            say(
                "Terpakai dan boleh, paket IP kedua arah.",
                "Used and allowed, IP packets of both directions.",
            ),
            6,
            6,
            "decbytes",
        ),
        Query(greatest("pantau_link_throughput_budget_used_bytes"), say("terpakai", "used")),
        Query(greatest("pantau_link_throughput_budget_limit_bytes"), say("boleh", "allowed")),
    )
