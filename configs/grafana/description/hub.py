"""The collector itself: whether it keeps up, what it refuses, and what it passes on."""

from grafana_foundation_sdk.builders import dashboard
from grafana_foundation_sdk.models import dashboard as model

from configs.grafana.description import frame, panels, tables
from configs.grafana.description.panels import GREEN, ORANGE, RED, YELLOW, Card, Query
from configs.grafana.description.queries import milliseconds
from configs.grafana.description.scales import NOTHING
from configs.grafana.description.tables import Column
from configs.grafana.description.words import Language

OWN = "pantau_collector"


def _rate(name: str, by: str) -> str:
    return f"sum by ({by}) (rate({OWN}_{name}[$__rate_interval]))"


def whole(language: Language) -> model.Dashboard:
    """The whole dashboard."""
    say = language.say
    told = frame.begun(
        frame.Frame(
            name=frame.HUB,
            title=say("Pantau: Kolektor", "Pantau: Collector"),
            about=say(
                "Kolektor: apakah ia terbaca, mengimbangi laporan, dan meneruskan data susulan.",
                "The collector: whether it can be read, keeps up, and passes late data on.",
            ),
            since="now-6h",
            variables=(),
        ),
        language,
    )
    told = _counts(told, language)
    told = _ingest(told, language)
    told = _reflector(told, language)
    return frame.numbered(_passed_on(told, language))


def _counts(told: dashboard.Dashboard, language: Language) -> dashboard.Dashboard:
    say = language.say
    yes = {"1": (say("Ya", "Yes"), GREEN), "0": (say("Tidak", "No"), RED)}
    told = told.with_panel(
        panels.number(
            Card(
                say("Terbaca", "Scraped"),
                say("Prometheus mendapat jawaban.", "Prometheus gets an answer."),
                4,
                4,
                "none",
                ((None, RED), (1, GREEN)),
            ),
            Query('min by (job) (up{job=~"pantau-.+"})', "{{job}}"),
            texts=yes,
        )
    )
    told = told.with_panel(
        panels.words(
            Card(say("Versi", "Version"), say("Versi kolektor.", "The collector's version."), 4, 4),
            Query(f"max by (version) ({OWN}_build_info)", "{{version}}"),
        )
    )
    told = told.with_panel(
        panels.number(
            Card(
                say("Setelan terakhir diterima", "Last reload taken"),
                say(
                    "Tidak: berkas node, link atau kontrak salah, dan yang lama masih berlaku.",
                    "No: a file of nodes, links or contracts is wrong, and the former ones hold.",
                ),
                4,
                4,
                "none",
                ((None, RED), (1, GREEN)),
            ),
            Query(f"min({OWN}_config_last_reload_successful)"),
            texts=yes,
        )
    )
    told = told.with_panel(
        panels.number(
            Card(
                say("Setelan berlaku sejak", "Settings since"),
                say("Kapan terakhir diterima.", "When they were last taken."),
                4,
                4,
                "dateTimeFromNow",
            ),
            Query(milliseconds(f"max({OWN}_config_last_reload_success_timestamp_seconds)")),
        )
    )
    told = told.with_panel(
        panels.number(
            Card(
                say("Agen terdaftar", "Agents enrolled"),
                say("Agen yang boleh melapor.", "Agents that may report."),
                4,
                4,
                "none",
            ),
            Query(f"max({OWN}_agents)"),
        )
    )
    return told.with_panel(
        panels.number(
            Card(
                say("Antrean ke disk", "Queue to the disk"),
                say("Berkas yang menunggu disimpan.", "Batches that wait to be durable."),
                4,
                4,
                "none",
                ((None, GREEN), (50, YELLOW), (200, RED)),
            ),
            Query(f"max({OWN}_commit_queue_batches)"),
        )
    )


def _ingest(told: dashboard.Dashboard, language: Language) -> dashboard.Dashboard:
    say = language.say
    told = told.with_row(dashboard.Row(say("Laporan", "Reports")))
    told = told.with_panel(
        panels.graph(
            Card(
                say("Diterima", "Taken"),
                say("Pesan yang diterima tiap detik.", "Messages taken a second, by kind."),
                8,
                unit="reqps",
            ),
            Query(_rate("requests_accepted_total", "what"), "{{what}}"),
        )
    )
    told = told.with_panel(
        panels.graph(
            Card(
                say("Ditolak", "Refused"),
                say(
                    "Menurut jenis dan alasan; tak satu pun disimpan.",
                    "By kind and reason; nothing of them is kept.",
                ),
                8,
                unit="reqps",
            ),
            Query(_rate("requests_refused_total", "what, reason"), "{{what}} {{reason}}"),
        )
    )
    told = told.with_panel(
        panels.graph(
            Card(
                say("Pengamatan disimpan", "Observations kept"),
                say(
                    "Tiap detik, masing-masing sekali; berkas ulangan tidak merugikan.",
                    "A second, each once; batches that come again do no harm.",
                ),
                8,
                unit="cps",
            ),
            Query(_rate("observations_total", "job"), say("pengamatan", "observations")),
            Query(_rate("batches_duplicate_total", "job"), say("berkas ulangan", "repeats")),
            Query(
                _rate("batches_clock_untrusted_total", "job"),
                say("jam tak dipercaya", "clock untrusted"),
            ),
        )
    )
    took = f"{OWN}_batch_duration_seconds_bucket[$__rate_interval]"
    told = told.with_panel(
        panels.smoke(
            Card(
                say("Lama menyimpan berkas", "Time to a receipt"),
                say(
                    "Dari bita terakhir sampai tanda terima, termasuk disk.",
                    "From a batch's last byte to its receipt, the disk included.",
                ),
                12,
                unit="s",
            ),
            Query(f"sum by (le) (increase({took}))", "{{le}}", "1m"),
        )
    )
    return told.with_panel(
        tables.rows(
            Card(
                say("Pembacaan", "Scrapes"),
                say("Lama dan besarnya tiap pembacaan.", "How long and how large each scrape is."),
                12,
            ),
            {"job": "Job"},
            Column(
                'max by (job) (scrape_duration_seconds{job=~"pantau-.+"})',
                say("Lama", "Duration"),
                "s",
                ((None, "transparent"), (3, ORANGE)),
            ),
            Column(
                'max by (job) (scrape_samples_scraped{job=~"pantau-.+"})',
                say("Sampel", "Samples"),
                "none",
            ),
        )
    )


def _reflector(told: dashboard.Dashboard, language: Language) -> dashboard.Dashboard:
    say = language.say
    told = told.with_row(dashboard.Row(say("Reflektor STAMP", "STAMP reflector")))
    told = told.with_panel(
        panels.graph(
            Card(
                say("Paket dijawab", "Packets answered"),
                say(
                    "Paket STAMP yang dijawab tiap detik.",
                    "STAMP packets that the reflector answered a second.",
                ),
                8,
                unit="pps",
            ),
            Query(_rate("stamp_packets_answered_total", "job"), say("dijawab", "answered")),
        )
    )
    told = told.with_panel(
        panels.graph(
            Card(
                say("Paket tanpa jawaban", "Packets without an answer"),
                say(
                    "Paket yang bukan STAMP atau bukan dari link yang dikenal, menurut alasan.",
                    "Packets that are no STAMP or of no known link, by reason.",
                ),
                8,
                unit="pps",
            ),
            Query(_rate("stamp_packets_dropped_total", "reason"), "{{reason}}"),
        )
    )
    return told.with_panel(
        panels.graph(
            Card(
                say("Galat kolektor sendiri", "The collector's own error"),
                say(
                    "Paket yang dibuang kernel karena kolektor lambat, dan yang tanpa cap kernel.",
                    "Packets that the kernel dropped because the collector was slow, and those"
                    " without a kernel stamp.",
                ),
                8,
                unit="pps",
            ),
            Query(_rate("stamp_packets_overflowed_total", "job"), say("meluap", "overflowed")),
            Query(
                _rate("stamp_packets_without_kernel_stamp_total", "job"),
                say("tanpa cap kernel", "no kernel stamp"),
            ),
        )
    )


def _passed_on(told: dashboard.Dashboard, language: Language) -> dashboard.Dashboard:
    say = language.say
    told = told.with_row(
        dashboard.Row(say("Slot uji laju dan data susulan", "Throughput slots and late data"))
    )
    told = told.with_panel(
        panels.number(
            Card(
                say("Slot sekarang", "Slots now"),
                say(
                    "Uji laju yang berjalan dan agen yang menunggu giliran.",
                    "Throughput tests that run and agents that wait for theirs.",
                ),
                6,
                unit="none",
            ),
            Query(f"max({OWN}_slots_running)", say("berjalan", "running")),
            Query(f"max({OWN}_slots_waiting)", say("menunggu", "waiting")),
        )
    )
    told = told.with_panel(
        panels.graph(
            Card(
                say("Slot", "Slots"),
                say(
                    "Diberikan, kedaluwarsa, dan ditolak menurut alasan, tiap jam.",
                    "Given, expired, and refused by reason, an hour.",
                ),
                6,
                unit="none",
            ),
            Query(f"sum(increase({OWN}_slots_granted_total[1h]))", say("diberikan", "granted")),
            Query(f"sum(increase({OWN}_slots_expired_total[1h]))", say("kedaluwarsa", "expired")),
            Query(f"sum by (reason) (increase({OWN}_slots_refused_total[1h]))", "{{reason}}"),
        )
    )
    told = told.with_panel(
        tables.rows(
            Card(
                say("Data susulan", "Late data"),
                say(
                    "Tiap tujuan: macet atau tidak, dan sampai kapan semuanya terkirim.",
                    "Each endpoint: whether it is stuck, and until when all was sent.",
                ),
                6,
            ),
            {"endpoint": say("Tujuan", "Endpoint")},
            Column(
                f"max by (endpoint) ({OWN}_backfill_stuck)",
                say("Macet", "Stuck"),
                "none",
                NOTHING,
                {"0": (say("tidak", "no"), GREEN), "1": (say("ya", "yes"), RED)},
            ),
            Column(
                f"time() - max by (endpoint) ({OWN}_backfill_sent_timestamp_seconds)",
                say("Tertinggal", "Behind"),
                "s",
                ((None, GREEN), (600, ORANGE), (3600, RED)),
                decimals=0,
            ),
        )
    )
    return told.with_panel(
        panels.graph(
            Card(
                say("Sampel susulan", "Late samples"),
                say(
                    "Terkirim, dikirim ulang, dan ditolak tujuan menurut alasan.",
                    "Sent, sent again, and refused by the endpoint by reason.",
                ),
                6,
                unit="cps",
            ),
            Query(_rate("backfill_samples_sent_total", "endpoint"), "{{endpoint}}"),
            Query(
                _rate("backfill_samples_resent_total", "endpoint"),
                say("{{endpoint}} ulang", "{{endpoint}} again"),
            ),
            Query(
                _rate("backfill_samples_refused_total", "endpoint, reason"),
                "{{endpoint}} {{reason}}",
            ),
        )
    )
