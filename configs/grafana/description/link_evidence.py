"""Link: what the evidence says of it, by cause and at its true time, and the verdict."""

from configs.grafana.description import panels, tables, terms
from configs.grafana.description.one_link import AIMED, ONE, SETTLED, Panels, greatest
from configs.grafana.description.panels import GREEN, ORANGE, RED, Card, Query
from configs.grafana.description.queries import milliseconds
from configs.grafana.description.tables import Column
from configs.grafana.description.words import Language


def outages(language: Language) -> Panels:
    say = language.say
    yield tables.rows(
        Card(
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
            greatest("pantau_link_period_seconds", "state, cause, charge"),
            say("Lama", "Time"),
            "dtdhms",
        ),
        links={
            "cause": (
                say("Daftar gangguan", "List of outages"),
                "${hub}/api/v1/links/${link}/outages",
            )
        },
        texts={
            "state": terms.told(terms.STATES, language),
            "cause": terms.told(terms.CAUSES, language),
            "charge": terms.told(terms.CHARGES, language),
        },
        sort=(say("Lama", "Time"), True),
    )
    yield tables.rows(
        Card(
            say("Banyaknya gangguan", "Outages"),
            say(
                "Yang sudah pasti sejak bukti pertama, menurut keadaan dan sebab.",
                "Settled ones since the evidence began, by state and cause.",
            ),
            6,
            8,
        ),
        {"state": say("Keadaan", "State"), "cause": say("Sebab", "Cause")},
        Column(
            greatest("pantau_link_outages_total", "state, cause"), say("Banyaknya", "Count"), "none"
        ),
        texts={
            "state": terms.told(terms.STATES, language),
            "cause": terms.told(terms.CAUSES, language),
        },
        sort=(say("Banyaknya", "Count"), True),
    )
    yield tables.rows(
        Card(
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
            f"{greatest('pantau_link_verdict', 'direction, verdict')} == 1",
            mark=True,
        ),
        Column(
            greatest("pantau_link_verdict_evidence_days", "direction"),
            say("Hari sah", "Valid days"),
            "none",
            ((None, ORANGE), (20, GREEN)),
        ),
        Column(
            milliseconds(greatest("pantau_link_verdict_changed_timestamp_seconds", "direction")),
            say("Sejak", "Since"),
            "dateTimeAsIso",
        ),
        texts={"verdict": terms.told(terms.VERDICTS, language)},
    )


def settled(language: Language) -> Panels:
    say = language.say
    colours = say(
        "Bukti yang sudah pasti, pada waktunya sendiri, bila kolektor mengirimnya"
        " (docs/backfill.md).",
        "Settled evidence at its own time, if the collector sends it (docs/backfill.md).",
    )
    seconds = panels.graph(
        Card(say("Detik tiap keadaan", "Seconds of each state"), colours, 12, 8, "s"),
        Query(
            f"sum by (state) (sum_over_time(pantau_settled_state_seconds{{{ONE}}}[$__interval]))",
            "{{state}}",
            SETTLED,
        ),
        stacked=True,
    )
    yield panels.renamed(seconds, terms.told(terms.STATES, language))
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
    yield panels.graph(Card(say("Kehilangan", "Loss"), colours, 6, 8, "percentunit"), *lost)
    yield panels.graph(
        Card("RTT", colours, 6, 8, "s"),
        Query(greatest("pantau_settled_rtt_median_seconds", "link", AIMED), "median", SETTLED),
        Query(greatest("pantau_settled_rtt_p95_seconds", "link", AIMED), "p95", SETTLED),
    )
    yield panels.number(
        Card(
            say("Bukti sampai", "Evidence reaches to"),
            say(
                "Seberapa lama bukti tertinggal, dan sejak kapan belum diputus.",
                "How far the evidence is behind, and how far its judging.",
            ),
            24,
            4,
            "s",
            ((None, GREEN), (600, ORANGE), (86_400, RED)),
        ),
        Query(
            f"time() - {greatest('pantau_link_evidence_settled_timestamp_seconds')}",
            say("tertinggal", "behind"),
        ),
        Query(
            f"time() - {greatest('pantau_link_judged_timestamp_seconds')}",
            say("belum diputus", "not judged"),
        ),
    )
