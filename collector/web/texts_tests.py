"""What the pages say of throughput tests; a part of `collector.web.texts`."""

TESTS: dict[str, tuple[str, str]] = {
    "link.tests": ("Throughput tests", "Uji kecepatan"),
    "link.tests.span": (
        "this month and last, the newest {count}",
        "bulan ini dan lalu, {count} terbaru",
    ),
    "link.tests.none": ("No tests this month or last.", "Belum ada uji bulan ini atau bulan lalu."),
    "link.tests.when": ("When", "Waktu"),
    "link.tests.rate": ("Carried", "Terkirim"),
    "link.tests.of": ("of {rate}", "dari {rate}"),
    "link.tests.users": ("users {rate}", "pengguna {rate}"),
    "link.tests.loss": ("Loss", "Hilang"),
    "link.tests.reordered": ("out of order {share}", "tak berurutan {share}"),
    "link.tests.rtt": ("RTT, idle to loaded", "RTT, kosong ke penuh"),
    "link.tests.rise": ("rise {rise}, bufferbloat {grade}", "naik {rise}, bufferbloat {grade}"),
    "link.tests.pdv": ("PDV", "PDV"),
    "link.tests.rpm": ("RPM", "RPM"),
    "link.tests.tcp": ("TCP (RFC 6349)", "TCP (RFC 6349)"),
    "link.tests.ratio": ("time ratio {ratio}", "rasio waktu {ratio}"),
    "link.tests.efficiency": (
        "efficiency {share}, buffer delay {buffer}",
        "efisiensi {share}, tunda penyangga {buffer}",
    ),
    "link.tests.window": ("fills with {size} KiB", "penuh dengan {size} KiB"),
    "link.tests.counts": ("Counts", "Diperhitungkan"),
    "link.tests.not_drawn": ("ordered: shown, not judged", "diminta: ditampilkan, tidak dinilai"),
    "link.tests.about": (
        "Mean RTT under load less the mean before it gives the grade: below 5 ms A+, 30 A, 60 B,"
        " 200 C, 400 D, else F. PDV: 99th percentile of delay over the least. RPM: round trips per"
        " minute under load. Time ratio: length of the transfer, of its length at the contract's"
        " rate.",
        "Rata-rata RTT saat penuh dikurangi yang sebelumnya menentukan nilai: di bawah 5 ms A+,"
        " 30 A, 60 B, 200 C, 400 D, selebihnya F. PDV: persentil 99 tunda di atas yang terkecil."
        " RPM: pulang-pergi per menit saat penuh. Rasio waktu: lama transfer, dibanding lamanya"
        " pada laju kontrak.",
    ),
    "end.done": ("done", "selesai"),
    "end.unfit": ("a machine could not keep up", "perangkat tidak sanggup"),
    "end.failed": ("failed", "gagal"),
    "end.skipped_busy": ("skipped: users were busy", "dilewati: pengguna sibuk"),
    "end.skipped_blind": ("skipped: users not counted", "dilewati: pengguna tak terhitung"),
    "end.skipped_budget": ("skipped: budget spent", "dilewati: anggaran habis"),
    "end.skipped_no_slot": ("skipped: no slot", "dilewati: tidak ada giliran"),
    "end.skipped_missed": ("skipped: missed", "dilewati: terlewat"),
}
