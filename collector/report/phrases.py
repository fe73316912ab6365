"""What the documents say, Indonesian first and English beside it.

A key is `kind.member` for a member of a closed set, so that a test can see that none is missing.
Sentences hold places for what is filled in; numbers are written by `collector.report.speech`.
"""

from collections.abc import Mapping

from collector.report.columns import COLUMNS, SHEETS

PHRASES: Mapping[str, tuple[str, str]] = {
    **{f"sheet.{name}": said for name, said in SHEETS.items()},
    **{f"column.{name}": said for name, said in COLUMNS.items()},
    # the head of a document
    "title": ("Laporan Audit Layanan Jaringan", "Audit of Network Services"),
    "title.link": ("Lampiran Tautan", "Annex of one Link"),
    "of_month": ("Bulan {month}", "Month {month}"),
    "scope": ("Cakupan", "Scope"),
    "scope.all": ("Semua tautan", "All links"),
    "scope.link": ("Tautan {value}", "Link {value}"),
    "scope.provider": ("Penyedia {value}", "Provider {value}"),
    "scope.node": ("Lokasi {value}", "Node {value}"),
    "scope.district": ("Kecamatan {value}", "District {value}"),
    "period": ("Masa audit", "Period"),
    "period.value": ("{start} sampai {end}", "{start} to {end}"),
    "zone": ("Zona waktu", "Time zone"),
    "status": ("Status dokumen", "Status of this document"),
    "draft": (
        "RANCANGAN, belum diterbitkan",
        "DRAFT, not issued",
    ),
    "draft.mark": ("RANCANGAN", "DRAFT"),
    "issued": (
        "Diterbitkan {when} oleh {by}, revisi {revision}",
        "Issued {when} by {by}, revision {revision}",
    ),
    "incomplete": (
        "Bukti belum lengkap sampai akhir bulan: waktu tanpa bukti dihitung sebagai tidak"
        " diketahui, bukan sebagai gangguan.",
        "The evidence is not complete to the month's end: time without evidence counts as unknown,"
        " not as down.",
    ),
    "page": ("Halaman", "Page"),
    "page.of": ("dari", "of"),
    "software": ("Perangkat lunak", "Software"),
    # the first page
    "summary": ("Ringkasan untuk Kepala Dinas", "Summary for the Head of the Office"),
    "summary.lead": (
        "Dari {links} tautan berkontrak: {met} memenuhi, {breached} melanggar, dan {indeterminate}"
        " belum dapat diputuskan.",
        "Of {links} links under contract, {met} met what was promised, {breached} breached it, and"
        " {indeterminate} cannot be decided.",
    ),
    "summary.money": (
        "Restitusi menurut kontrak {rupiah} dari biaya bulan ini {fee}; paling banyak {at_most}"
        " bila seluruh waktu yang tidak diketahui dibebankan kepada penyedia.",
        "Restitution by contract {rupiah} of this month's fees {fee}; {at_most} at most, were all"
        " unknown time charged to the provider.",
    ),
    "summary.money_unknown": (
        "{count} kontrak meminta hal yang tidak diketahui dan tidak termasuk dalam jumlah ini.",
        "{count} contracts ask for something unknown and are in none of these sums.",
    ),
    "summary.bare": (
        "Tanpa kontrak pada bulan ini dan tidak dinilai: {links}.",
        "Without a contract in this month, and not judged: {links}.",
    ),
    "summary.clauses": ("Menurut janji kontrak", "By what was promised"),
    "summary.overall": ("Semua janji", "All promises"),
    "summary.dedicated": ("Dedicated atau tidak", "Dedicated or not"),
    "summary.worst": ("Sepuluh tautan terburuk", "The ten worst links"),
    "summary.worst.none": (
        "Tidak ada tautan dengan gangguan yang dibebankan atau janji yang dilanggar.",
        "No link with a charged outage or a breached promise.",
    ),
    "summary.trend": ("Enam bulan terakhir", "The last six months"),
    "trend.availability": (
        "Ketersediaan semua tautan (batas bawah dan atas)",
        "Availability of all links (lower and upper bound)",
    ),
    "month": ("Bulan", "Month"),
    "links": ("Tautan", "Links"),
    "links.list": ("Semua tautan", "All links"),
    "sign.made": ("Disusun oleh", "Made by"),
    "sign.approved": ("Mengetahui", "Approved by"),
    "sign.provider": ("Diterima oleh penyedia", "Received by the provider"),
    "sign.id": ("NIP {number}", "Employee number {number}"),
    # words of the closed sets
    "judgement.met": ("memenuhi", "met"),
    "judgement.breached": ("melanggar", "breached"),
    "judgement.indeterminate": ("belum dapat diputuskan", "undecided"),
    "judgement.none": ("tidak dijanjikan", "not promised"),
    "clause.availability": ("Ketersediaan", "Availability"),
    "clause.latency": ("Latensi", "Latency"),
    "clause.jitter": ("Jitter", "Jitter"),
    "clause.loss": ("Kehilangan paket", "Packet loss"),
    "finding.dedicated": ("dedicated", "dedicated"),
    "finding.not_dedicated": ("tidak dedicated", "not dedicated"),
    "finding.insufficient": ("bukti belum cukup", "evidence insufficient"),
    "finding.not_judged": ("belum dinilai", "not judged"),
    "standing.final": ("final", "final"),
    "standing.preliminary": ("sementara", "preliminary"),
    "state.up": ("tersambung", "up"),
    "state.degraded": ("terganggu sebagian", "degraded"),
    "state.down": ("putus", "down"),
    "state.unknown": ("tidak diketahui", "unknown"),
    "cause.none": ("tidak ada", "none"),
    "cause.maintenance": ("pemeliharaan", "maintenance"),
    "cause.site_power": ("listrik lokasi", "power at the site"),
    "cause.agent_power": ("listrik perangkat ukur", "power of the box"),
    "cause.agent_crash": ("agen berhenti", "agent crash"),
    "cause.lan": ("LAN lokasi", "LAN at the site"),
    "cause.cpe_restart": ("CPE menyala kembali", "CPE restart"),
    "cause.access_link": ("tautan akses", "access link"),
    "cause.provider_core": ("jaringan inti penyedia", "provider's core"),
    "cause.resolved_up": ("terbukti tersambung", "shown to be up"),
    "cause.hub_or_anchor": ("hub atau jangkar", "hub or anchor"),
    "cause.upstream": ("Internet di belakang penyedia", "Internet behind the provider"),
    "cause.undetermined": ("tidak dapat ditentukan", "undetermined"),
    "charge.none": ("tidak ada", "nobody"),
    "charge.provider": ("penyedia", "provider"),
    "charge.excluded": ("dikecualikan", "excluded"),
    "charge.unknown": ("tidak diketahui", "unknown"),
    "witness.node_probes": ("paket uji lokasi", "the node's packets"),
    "witness.node_lan": ("paket uji ke CPE", "packets to the CPE"),
    "witness.journal": ("jurnal agen", "agent's journal"),
    "witness.device": ("catatan CPE", "the CPE's own record"),
    "witness.mains": ("sensor listrik", "mains sense"),
    "witness.hub_side": ("sisi hub", "the hub's side"),
    "witness.fleet": ("tautan lain", "other links"),
    "witness.operator": ("register petugas", "operator's register"),
    "notice.planned": ("terencana", "planned"),
    "notice.emergency": ("darurat", "emergency"),
    "notice.force_majeure": ("keadaan kahar", "force majeure"),
    "refusal.cancelled": ("dibatalkan", "cancelled"),
    "refusal.not_approved": ("tidak disetujui siapa pun", "approved by nobody"),
    "refusal.not_agreed": ("kontrak tidak mengecualikannya", "not excluded by the contract"),
    "refusal.short_notice": ("pemberitahuan terlambat", "announced too late"),
    "refusal.outside_contract": ("di luar masa kontrak", "outside of the contract"),
    "refusal.outside_hours": ("di luar jam yang diizinkan", "outside of the allowed hours"),
    "refusal.overlaps": ("sudah tercakup jendela lain", "another window covers it"),
    "refusal.over_cap": ("batas sebulan terlampaui", "the month's cap is used up"),
    "direction.down": ("unduh", "download"),
    "direction.up": ("unggah", "upload"),
    "reach.domestic": ("dalam negeri", "domestic"),
    "reach.international": ("luar negeri", "international"),
    "kind.opd": ("OPD", "office"),
    "kind.desa": ("desa", "village"),
    "kind.hub": ("hub", "hub"),
    "sort.matched": ("cocok", "matched"),
    "sort.edges_differ": ("waktu berbeda", "times differ"),
    "sort.only_ours": ("hanya catatan kami", "only ours"),
    "sort.only_theirs": ("hanya catatan penyedia", "only theirs"),
    "rounding.down": ("dibulatkan ke bawah", "rounded down"),
    "rounding.half_up": ("dibulatkan ke rupiah terdekat", "rounded to the nearest rupiah"),
    "rounding.up": ("dibulatkan ke atas", "rounded up"),
    "rule.LIN": ("sebanding lamanya gangguan", "pro rata of the downtime"),
    "rule.LIN_EXC": (
        "sebanding lamanya gangguan di atas yang ditoleransi",
        "pro rata of the downtime beyond what the target allows",
    ),
    "rule.BEIBI": (
        "jam gangguan dibagi jam sebulan kali target",
        "hours of downtime over hours of the month times the target",
    ),
    "rule.ESJ300": (
        "sebanding gangguan yang lebih lama dari 300 detik",
        "pro rata of outages longer than 300 s",
    ),
    "rule.STARLINK": (
        "20 % biaya bila gangguan di atas 60 detik menurunkan ketersediaan di bawah 99,9 %",
        "20 % of the fee where outages above 60 s bring availability below 99.9 %",
    ),
    "rule.TIER": (
        "bagian biaya menurut tabel ketersediaan",
        "a share of the fee by a table of availability",
    ),
    "rule.DJAWA": (
        "dua kali biaya sehari untuk tiap 24 jam di atas yang ditoleransi",
        "twice the daily fee for every begun 24 h beyond what the target allows",
    ),
    "rule.PALAPA": (
        "hanya waktu saat semua tautan lokasi putus",
        "only time in which all links of the node were down",
    ),
    "rule.NONE": ("tanpa restitusi", "nothing is given back"),
    "tiphon.very_satisfying": ("sangat memuaskan", "very satisfying"),
    "tiphon.satisfying": ("memuaskan", "satisfying"),
    "tiphon.less_satisfying": ("kurang memuaskan", "less satisfying"),
    "tiphon.poor": ("jelek", "poor"),
    # columns
    "link": ("Tautan", "Link"),
    "node": ("Lokasi", "Node"),
    "district": ("Kecamatan", "District"),
    "provider": ("Penyedia", "Provider"),
    "medium": ("Media", "Medium"),
    "pop": ("PoP", "PoP"),
    "circuit": ("Nomor sirkuit", "Circuit"),
    "judgement": ("Putusan", "Judgement"),
    "clause": ("Janji", "Promise"),
    "lower": ("Batas bawah", "Lower bound"),
    "point": ("Yang diketahui", "Of known time"),
    "upper": ("Batas atas", "Upper bound"),
    "outages": ("Gangguan", "Outages"),
    "down": ("Dibebankan", "Charged"),
    "unknown": ("Tidak diketahui", "Unknown"),
    "excluded": ("Dikecualikan", "Excluded"),
    "degraded": ("Terganggu sebagian", "Degraded"),
    "up": ("Tersambung", "Up"),
    "restitution": ("Restitusi", "Restitution"),
    "fee": ("Biaya", "Fee"),
    "fee.month": ("Biaya sebulan, sebelum PPN", "Fee of a month, before VAT"),
    "mttr": ("Rata-rata pemulihan (MTTR)", "Mean time to restore (MTTR)"),
    "mtbf": ("Rata-rata antar gangguan (MTBF)", "Mean time between (MTBF)"),
    "dedicated": ("Dedicated", "Dedicated"),
    "attainment": ("Capaian", "Attainment"),
    "latency.median": ("Latensi median", "Median latency"),
    "fee.per_link": ("Biaya per tautan", "Fee per link"),
    "fee.per_mbps": (
        "Biaya per Mbit/s yang sampai",
        "Fee per delivered Mbit/s",
    ),
    "delivered": ("Yang sampai", "Delivered"),
    "expected": ("Yang dijanjikan (IP)", "Promised (IP)"),
    "start": ("Mulai", "Began"),
    "end": ("Selesai", "Ended"),
    "lasts": ("berlangsung", "lasts"),
    "length": ("Lama", "Length"),
    "cause": ("Sebab", "Cause"),
    "charge": ("Beban", "Charge"),
    "evidence": ("Bukti", "Evidence"),
    "reason": ("Alasan", "Reason"),
    "notice": ("Pemberitahuan", "Notice"),
    "counts": ("Diakui", "Counts"),
    "target": ("Sasaran", "Target"),
    "packets": ("Paket", "Packets"),
    "limit": ("Batas", "Limit"),
    "measured": ("Terukur", "Measured"),
    "percentile": ("persentil {share}", "percentile {share}"),
    "tests": ("Uji", "Tests"),
    "ticket": ("Tiket penyedia", "Provider's ticket"),
    "ours": ("Catatan kami", "Ours"),
    "difference": ("Selisih mulai / selesai", "Differs at start / end"),
    "value": ("Nilai", "Value"),
    "index": ("Indeks", "Index"),
    "batches": ("Batch", "Batches"),
    # providers
    "compare": ("Perbandingan penyedia", "Providers side by side"),
    "compare.all": ("Semua tautan tiap penyedia", "All links of each provider"),
    "compare.equal": (
        "Dalam kondisi yang sama: {medium}, kecamatan {district}",
        "Under equal conditions: {medium}, district {district}",
    ),
    "compare.alone": (
        "Hanya satu penyedia dalam kondisi ini: tidak ada yang dibandingkan.",
        "Only one provider under these conditions: nothing is compared.",
    ),
    "compare.lead": (
        "Tautan hanya sebanding dalam media dan kecamatan yang sama; tabel pertama menjumlahkan"
        " yang tidak sebanding. Biaya per Mbit/s hanya dari tautan yang diuji.",
        "Links are alike only within one medium and district; the first table adds up what is not"
        " alike. Fees per Mbit/s are of the links that were tested alone.",
    ),
    # tickets
    "tickets": ("Rekonsiliasi dengan tiket penyedia", "Reconciliation with the provider's tickets"),
    "tickets.lead": (
        "Toleransi waktu {tolerance}. Cocok {matched}, waktu berbeda {edges_differ}, hanya catatan"
        " kami {only_ours}, hanya catatan penyedia {only_theirs}.",
        "Tolerance {tolerance}. Matched {matched}, times differ {edges_differ}, only ours"
        " {only_ours}, only theirs {only_theirs}.",
    ),
    "tickets.none": ("Tidak ada gangguan dan tidak ada tiket.", "No outage and no ticket."),
    # one link
    "terms": ("Yang dijanjikan", "What was promised"),
    "contract": ("Kontrak", "Contract"),
    "contract.days": ("Masa kontrak", "Contract runs"),
    "contract.signed": ("Ditandatangani", "Signed"),
    "availability.target": ("Target ketersediaan", "Promised availability"),
    "minimum_outage": ("Gangguan terpendek yang dihitung", "Shortest outage that counts"),
    "cir": ("Laju (CIR) unduh / unggah", "Rate (CIR) down / up"),
    "cir.layer": ("{down} / {up} Mbit/s pada {layer}", "{down} / {up} Mbit/s at {layer}"),
    "availability": ("Ketersediaan", "Availability"),
    "availability.bounds": (
        "antara {lower} dan {upper}; {point} dari waktu yang diketahui",
        "between {lower} and {upper}; {point} of the known time",
    ),
    "coverage": ("Waktu yang diketahui", "Coverage"),
    "allowed": ("Gangguan yang ditoleransi", "Downtime that the target allows"),
    "left": ("Sisa toleransi", "Left of it"),
    "longest": ("Gangguan terlama", "Longest outage"),
    "uncounted": ("Di bawah batas terpendek", "Below the shortest that counts"),
    "edge_error": ("Galat tepi paling banyak", "Error of the edges at most"),
    "micro": ("Gangguan mikro (3-9 detik)", "Micro-outages (3-9 s)"),
    "flapping": ("Masa putus-nyambung", "Flapping episodes"),
    "deciding": (
        "Yang menentukan: bila {to_breach} waktu yang tidak diketahui ternyata putus, target"
        " dilanggar; bila {to_meet} ternyata tersambung, target dipenuhi.",
        "What decides: were {to_breach} of unknown time down, the target would be breached; were"
        " {to_meet} of it up, it would be met.",
    ),
    "likely_met": (
        "Petunjuk, bukan putusan: kemungkinan besar memenuhi.",
        "A hint, and no judgement: likely met.",
    ),
    "outages.list": ("Semua gangguan", "Every outage"),
    "outages.none": ("Tidak ada gangguan.", "No outage."),
    "outages.edges": (
        "Tiap tepi dinyatakan dengan batasnya; lama gangguan berasal dari jam boot perangkat ukur.",
        "Every edge stands with its bounds; lengths come from the box's boot clock.",
    ),
    "event": ("peristiwa bersama {event}", "event in common {event}"),
    "unsettled": ("belum final", "not settled"),
    "excluded.list": ("Waktu yang dikecualikan", "Excluded time"),
    "excluded.none": ("Tidak ada waktu yang dikecualikan.", "No excluded time."),
    "notices.list": ("Pemberitahuan pemeliharaan dan keadaan kahar", "Notices of maintenance"),
    "notice.approved": ("disetujui {by}", "approved by {by}"),
    "delays": ("Latensi, jitter, kehilangan paket", "Latency, jitter and loss"),
    "delays.lead": (
        "Hanya dari waktu tautan tersedia; paket hilang dianggap datang tak terhingga lambat."
        " Waktu diketahui sampai 2 persen. Jitter: variasi waktu pulang-pergi di atas minimum"
        " menitnya (RFC 5481 4.2).",
        "Of available time only; lost packets are infinitely late. Times are known to 2 per cent."
        " Jitter: variation of the round trip over its minute's minimum (RFC 5481 4.2).",
    ),
    "delays.none": ("Tidak ada pengukuran.", "Nothing was measured."),
    "lost": ("hilang", "lost"),
    "throughput": ("Laju menurut jam", "Throughput by hour of day"),
    "throughput.lead": (
        "{direction}: {counted} dari {tests} uji dihitung; median capaian {median}, {kept} uji"
        " mencapai 90 % atau lebih.",
        "{direction}: {counted} of {tests} tests count; median attainment {median}, {kept} of the"
        " tests reached 90 % or more.",
    ),
    "throughput.load": (
        "Median saat uji: latensi naik {rise} (bufferbloat {grade}), variasi tunda {pdv}, paket tak"
        " berurutan {reordered}.",
        "Medians under test: latency rises by {rise} (bufferbloat {grade}), delay variation {pdv},"
        " packets out of order {reordered}.",
    ),
    "throughput.none": ("Tidak ada uji laju.", "No throughput tests."),
    "throughput.not_counted": ("Tidak dihitung", "Not counted"),
    "verdict": ("Putusan dedicated", "Dedicated verdict"),
    "verdict.none": (
        "Belum ada penilaian pada akhir bulan ini.",
        "There was no look at this month's end.",
    ),
    "verdict.full": ("Rincian", "In full"),
    "restitution.rule": ("Aturan {rule}: {words}", "Rule {rule}: {words}"),
    "restitution.nothing": (
        "Tidak ada yang dihitung menurut aturan ini.",
        "The rule computes nothing.",
    ),
    "restitution.unknown": (
        "Tidak dapat dihitung: aturan meminta hal yang tidak diketahui.",
        "Not computable: the rule asks for something unknown.",
    ),
    "restitution.exact": ("Hasil sebelum pembulatan", "Before rounding"),
    "restitution.due": ("Restitusi ({rounding})", "Restitution ({rounding})"),
    "restitution.at_most": (
        "Paling banyak, bila waktu yang tidak diketahui dibebankan",
        "At most, were unknown time charged",
    ),
    "name.fee_rupiah": ("biaya sebulan", "fee of a month"),
    "name.down_s": ("detik dibebankan", "charged seconds"),
    "name.long_down_s": (
        "detik dari gangguan di atas batas aturan",
        "seconds of outages above the rule's floor",
    ),
    "name.all_paths_down_s": (
        "detik saat semua tautan lokasi putus",
        "seconds in which all links were down",
    ),
    "name.month_s": ("detik sebulan", "seconds of the month"),
    "name.period_s": ("detik masa kontrak dalam bulan", "seconds under the contract"),
    "name.counted_s": ("detik yang dinilai", "counted seconds"),
    "name.day_s": ("detik sehari", "seconds of a day"),
    "name.target": ("target", "target"),
    "name.share": ("bagian biaya", "share of the fee"),
    "name.availability": ("ketersediaan", "availability"),
    "tiphon": ("Indeks TIPHON (sekadar pelengkap)", "TIPHON index (a courtesy)"),
    "tiphon.lead": (
        "Dicantumkan karena dikenal luas; bukan dasar putusan. Tautan yang hanya memberi setengah"
        " lajunya masih dapat bernilai memuaskan. Aturan {rules}: kehilangan paket dibaca sebagai"
        " rentang; latensi dan jitter adalah median.",
        "Shown because it is familiar; no judgement rests on it. A link that delivers half of its"
        " rate may still score satisfying. Rule set {rules}: loss is read as ranges; latency and"
        " jitter are medians.",
    ),
    "calendar": ("Kalender ketersediaan", "Calendar of availability"),
    "calendar.help": (
        "Tiap baris satu hari, tiap kotak satu jam ({zone}).",
        "A row is a day, a box an hour ({zone}).",
    ),
    "timeline": ("Garis waktu gangguan", "Timeline of outages"),
    "smoke": ("Latensi sebulan (asap)", "Latency of the month (smoke)"),
    "smoke.help": (
        "Garis: median tiap dua jam; pita: persentil 25-75 dan 5-95; titik merah: paket hilang.",
        "Line: median of two hours; bands: percentiles 25-75 and 5-95; red dots: lost packets.",
    ),
    "hours.help": (
        "Garis: median; pita: persentil 25-75 dan 10-90; garis putus-putus: 90 %.",
        "Line: median; bands: percentiles 25-75 and 10-90; dashed: 90 %.",
    ),
    "hour": ("Jam ({zone})", "Hour ({zone})"),
    # revisions, method, digests
    "changes": ("Perubahan terhadap revisi sebelumnya", "Changes from the former revision"),
    "changes.lead": (
        "Menggantikan dokumen SHA-256 {replaces}.",
        "Replaces the document of SHA-256 {replaces}.",
    ),
    "changes.more": ("dan {count} perubahan lain", "and {count} more changes"),
    "changes.place": ("Tempat", "Place"),
    "changes.before": ("Semula", "Before"),
    "changes.now": ("Menjadi", "Now"),
    "method": ("Lampiran metode", "Method"),
    "method.states": (
        "Setiap detik tautan berada dalam satu keadaan: tersambung, terganggu sebagian, putus, atau"
        " tidak diketahui. Agen di lokasi mengirim paket uji tiap detik; sepuluh detik buruk"
        " berturut-turut memulai gangguan sejak detik pertamanya (ITU-T G.826, MEF 10.3), kecuali"
        " kontrak mengatur lain. Diam bukan gangguan: tanpa bukti keadaannya tidak diketahui.",
        "In every second a link is in one state: up, degraded, down or unknown. The agent at the"
        " node sends a test packet each second; ten bad seconds in a row begin an outage from the"
        " first of them on (ITU-T G.826, MEF 10.3), unless the contract has it otherwise. Silence"
        " is not downtime: without evidence the state is unknown.",
    ),
    "method.availability": (
        "Ketersediaan: U/(U+D) dari waktu yang diketahui; batas bawah U/T_a menganggap semua waktu"
        " tidak diketahui putus, batas atas (U+Uk)/T_a menganggapnya tersambung; T_a adalah masa"
        " dikurangi waktu yang dikecualikan. Melanggar hanya bila batas atas di bawah target;"
        " memenuhi hanya bila batas bawah mencapainya; selain itu belum dapat diputuskan.",
        "Availability: U/(U+D) of the known time; the lower bound U/T_a takes all unknown time as"
        " down, the upper bound (U+Uk)/T_a as up; T_a is the period less its excluded time."
        " Breached only where the upper bound is below the target, met only where the lower bound"
        " reaches it; undecided otherwise.",
    ),
    "method.charge": (
        "Sebab dan beban ditentukan oleh satu tabel keputusan; dua jenis bukti yang tidak saling"
        " bergantung harus sepakat sebelum penyedia dibebani atau waktu dikecualikan.",
        "Cause and charge come from one decision table; two independent classes of evidence must"
        " agree before the provider is charged or time is excluded.",
    ),
    "method.throughput": (
        "Capaian: laju IP yang sampai, termasuk lalu lintas pemakai, dibagi laju IP yang tersisa"
        " dari CIR menurut kontrak. Hanya uji pada waktu undian yang dihitung. Putusan dedicated"
        " memakai dua aturan terbit ({method}) dengan tingkat salah yang disimulasikan.",
        "Attainment: the IP rate that arrived, users' own traffic included, over the IP rate that"
        " the contract's CIR leaves. Only tests at times drawn by lot count. The dedicated verdict"
        " uses two published rules ({method}) with simulated error rates.",
    ),
    "method.evidence": (
        "Semua angka dihitung dari catatan yang ditandatangani agen (Ed25519, rantai SHA-256)."
        " Angka satu tautan dapat dihitung ulang oleh siapa pun dari berkas buktinya:"
        " `pantau-collector verify BERKAS --audit JSON`, yang juga menyebut apa yang tidak dapat"
        " ditunjukkan berkas itu, seperti putusan dedicated, yang membandingkan semua tautan."
        " Dokumen JSON memuat semua angka; bentuk lain hanya menampilkannya.",
        "All numbers are computed from records signed by the agents (Ed25519, chained by SHA-256)."
        " Those of a link can be computed again by anybody from its evidence bundle:"
        " `pantau-collector verify BUNDLE --audit JSON`, which also names what the bundle cannot"
        " show, such as dedicated verdicts, which compare all links. The JSON document holds every"
        " number; other forms only show them.",
    ),
    "method.money": (
        "Restitusi memakai pecahan tepat dan dibulatkan satu kali menurut kontrak, sebelum PPN.",
        "Restitution uses exact fractions and is rounded once, as the contract says, before VAT.",
    ),
    "digests": ("Sidik digital (SHA-256)", "Digests (SHA-256)"),
    "digest.document": ("Dokumen", "Document"),
    "digest.audit": ("Audit", "Audit"),
    "digest.contract": ("Kontrak {reference}", "Contract {reference}"),
    "digest.evidence": ("Bukti, {batches} batch", "Evidence, {batches} batches"),
    "test.at no time drawn by lot": ("bukan pada waktu undian", "at no time drawn by lot"),
    "test.only a lower bound: users' traffic unknown": (
        "hanya batas bawah: lalu lintas pemakai tidak diketahui",
        "only a lower bound: users' traffic unknown",
    ),
    "yes": ("ya", "yes"),
    "no": ("tidak", "no"),
    # mail
    "mail.subject": (
        "[Pantau] Audit {month}, {scope}: {judgement}",
        "[Pantau] Audit {month}, {scope}: {judgement}",
    ),
    "mail.files": (
        "Terlampir {files} berkas; SHA-256 dokumen {digest}.",
        "{files} files attached; SHA-256 of the document {digest}.",
    ),
}
