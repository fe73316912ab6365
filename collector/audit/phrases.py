"""The sentences of an explanation, in English and Indonesian: words and places for numbers only.

A key is `kind.member` for a member of a closed set, so that a test can see that none is missing.
"""

from enum import StrEnum


class Language(StrEnum):
    """Of an explanation."""

    EN = "en"
    ID = "id"


_EN = {
    "direction.down": "download",
    "direction.up": "upload",
    "layer.l1": "layer 1, preamble and gap included",
    "layer.l2": "layer 2, Ethernet frames",
    "layer.ip": "IP packets",
    "vlan.True": ", with a VLAN tag",
    "vlan.False": "",
    "yes": "yes",
    "no": "no",
    "finding.dedicated": "DEDICATED",
    "finding.not_dedicated": "NOT DEDICATED",
    "finding.insufficient": "EVIDENCE INSUFFICIENT",
    "cause.contended": "contended: evenings lack what the rest of the day has",
    "cause.under_provisioned": (
        "under-provisioned: too many days lack it, and not shown to be evenings alone"
    ),
    "rule.v2": "rule v2 (two windows of 28 days)",
    "rule.O": "rule O (weeks of a quarter)",
    "watch": "WATCH: the link looks suspicious, which proves nothing yet.",
    "preliminary": "PRELIMINARY, for the provider and not for publication; waiting for: {pending}.",
    "pending.rebuttal": "14 days with the raw data for the provider, or its answer",
    "rebuttal.delivered": "The provider received the raw data on {day}.",
    "rebuttal.answered": "The provider answered on {day}; {said}.",
    "rebuttal.objection": "its objection is open",
    "rebuttal.closed": "no objection is open",
    "pending.objection": "the provider's objection to be settled",
    "pending.gates": "proof of what nobody has shown yet ({gates})",
    "pending.second_window": "a second window of 28 days",
    "head": "Link {link}, {direction}: {finding}",
    "head.cause": " ({cause}), by {rule}",
    "promise": (
        "Promised: {cir} Mbit/s counted at {layer}{vlan}; that leaves {expected} Mbit/s of IP"
        " packets. Fully delivered means 90 % of it or more."
    ),
    "fact": (
        "Fact: of {valid} valid days from {first} to {last}, {bad} had a median of the evening"
        " tests (19:00-22:59 {zone}) below 90 %."
    ),
    "fact.allowed": "That is {share} of the days; {allowed} is what is tolerated.",
    "fact.day": "  {date}: median {median}, tests from {least} to {best} ({tests} tests){ticket}",
    "fact.ticket": ", the provider has a ticket",
    "window": (
        "{name} {first} to {last}: {bad} of {valid} days bad (p = {p_bad});"
        " evenings lower by {shift} of the promise (p = {p_shift}, {deltas} days);"
        " weeks with two bad days {bad_weeks} of 4, with two lowered evenings {shifted_weeks} of 4."
    ),
    "window.newest": "Window",
    "window.previous": "Window before",
    "quarter": (
        "Quarter {first} to {last}: {evenings} of 12 weeks had a day that was bad in the evening"
        " only (p = {p_evenings}), {days} of 12 a bad day of any kind (p = {p_days})."
    ),
    "family": (
        "Links and directions audited together: {links}. Adjusted for all of them: windows"
        " {windows_bh} (any dependence: {windows_by}), quarter {peak_only_bh} and {bad_bh}."
    ),
    "bounds": (
        "Evening tests of the newest window: median {median}, at least {lower} (99.5 % sure);"
        " {failed} of {tests} tests below 90 %; long-run share of bad days between {bad_lower} and"
        " {bad_upper} (95 % each way); {above_80} of the tests reached 80 %."
    ),
    "bounds.delta": "Evenings lower by {delta} (median), at most {upper} (99.5 % sure).",
    "unblocked": (
        "{rule} points at the link ({cause}) and nothing stands in its way;"
        " correlation from day to day {persistence}."
    ),
    "blocked": "{rule} points at the link ({cause}) and does not convict it: {obstacles}.",
    "obstacle.one_window": "the window before was not measured",
    "obstacle.not_repeated": "the two windows do not both show it",
    "obstacle.gate": "a requirement on the data fails",
    "obstacle.persistent": "a day depends too much on the day before to be counted",
    "obstacle.noise": "the tests are too noisy, for so few of them, to count bad days",
    "noise": (
        "Noise of a single test: {sd}; on a link of {level} it alone would make {bad} of the days"
        " bad ({tolerated} are tolerated)."
    ),
    "obstacle.anchors_disagree": "the far ends do not agree",
    "obstacle.family": "among so many links this can be chance",
    "obstacle.dependent_family": "among links that depend on each other this can be chance",
    "lacks": "Not shown to be dedicated: {lacks}.",
    "lack.peak_bound": "the evening median may lie below 90 %",
    "lack.bad_days": "more than 5 % of the days were bad",
    "lack.delta_bound": "evenings may be lower by more than 5 points",
    "lack.nothing": "too little was measured",
    "lack.shaped": "a token bucket below the CIR was found",
    "gates": "Requirements:",
    "gate.row": "  {gate} ({first} to {last}): {shown}{have}",
    "gate.have": ", {have} of {need} needed",
    "gate.valid_days": "valid days",
    "gate.scheduled_tests": "share of the evening tests that were made",
    "gate.cross_traffic": "share of the tests with known traffic of users",
    "gate.box": "the measuring box carries 1.2 x CIR",
    "gate.anchors": "the far ends are healthy and agree",
    "gate.site": "no fault at the site, no change of contract",
    "gate.clock": "clock and journal are sound",
    "shown.held": "holds",
    "shown.failed": "FAILS",
    "shown.not_shown": "not shown",
    "alarms": "Alarms, no proof: {alarms}.",
    "alarm.p_link": "the newest window",
    "alarm.p_quarter": "weeks of the quarter",
    "alarm.e_bad_days": "running count of bad days",
    "alarm.e_shift": "running count of lowered evenings",
    "alarm.rule_blocked": "a rule that does not convict",
    "rhythm": (
        "Daily rhythm: {amplitude} up and down, best at {hour} h local time (p = {p})."
        " It corroborates and accuses nobody. Material: {material}."
    ),
    "elevation": (
        "Delay raised on the far side only: {peak_raised} of {peak_bins} five-minute bins in the"
        " evening, {other_raised} of {other_bins} else. It corroborates and accuses nobody."
    ),
    "shape.not_measured": "Token bucket: not measured ({runs} long runs, 5 needed).",
    "shape.none": "Token bucket: none ({agreeing} of {runs} long runs agree).",
    "shape.shaped": (
        "Token bucket: {burst} Mbit/s for {knee} MB, then {sustained} Mbit/s"
        " ({agreeing} of {runs} long runs agree). The lasting rate keeps the promise."
    ),
    "shape.shaped_below_cir": (
        "SHAPED BELOW CIR: {burst} Mbit/s for {knee} MB, then only {sustained} Mbit/s"
        " ({agreeing} of {runs} long runs agree)."
    ),
    "steadiness.flapping": (
        "Stability, apart from the above: FLAPPING, {outages} charged outages where {expected}"
        " are promised (p = {p}); {episodes} hours or more with three."
    ),
    "steadiness.within_promise": (
        "Stability, apart from the above: {outages} charged outages where {expected} are"
        " promised (p = {p}); {episodes} hours or more with three."
    ),
    "steadiness.not_measured": "Stability: not measured.",
    "sharing.oversubscribed": (
        "Sites together, apart from the above: OVERSUBSCRIBED 1:{contention} among our own"
        " sites; less together in {wins} of {repeats} repeats in drawn order (exact p = {p})."
    ),
    "sharing.not_shown": (
        "Sites together: not shown to share ({wins} of {repeats} repeats, exact p = {p})."
    ),
    "sharing.not_exact": (
        "Sites together: no conclusion ({repeats} repeats, alone {solo} of the promise);"
        " ten repeats in drawn order and sites with their full rate alone are needed."
    ),
    "used": (
        "Tests used: {peak} in the evening, {off_peak} else, {lower_bounds} as lower bounds"
        " (users' traffic unknown: they clear and do not accuse). Not used: {rejected}."
    ),
    "used.reason": "  {count} x {reason}",
    "rejection.other direction": "other direction",
    "rejection.no clock can be believed for when it was": (
        "no clock can be believed for when it was"
    ),
    "rejection.no contract on that day": "no contract on that day",
    "rejection.another rate was promised on that day": "another rate was promised on that day",
    "rejection.the hub was too busy": "the hub was too busy",
    "rejection.the box cannot carry 1.2 x CIR, or runs at half duplex": (
        "the box cannot carry 1.2 x CIR, or runs at half duplex"
    ),
    "rejection.the load had no fixed rate": "the load had no fixed rate",
    "rejection.less was asked of the link than 90 % of the promise": (
        "less was asked of the link than 90 % of the promise"
    ),
    "rejection.a fault at the site meanwhile": "a fault at the site meanwhile",
    "rejection.no rate in the record": "no rate in the record",
    "rejection.unfit": "made by a box that cannot carry the load",
    "rejection.hub_unfit": "the hub could not keep up",
    "rejection.failed": "the way to the hub broke",
    "rejection.refused": "the hub refused",
    "rejection.unreachable": "the hub did not answer",
    "rejection.local_error": "the box failed",
    "rejection.aborted": "stopped by us",
    "rejection.no_slot": "skipped: the hub gave no slot",
    "rejection.skipped_busy": "skipped: users needed the link",
    "rejection.skipped_budget": "skipped: the data budget was used up",
    "rejection.skipped_blind": "skipped: nobody counted what users take",
    "rejection.skipped_missed": "skipped: the box was off",
    "rejection.outside the quarter": "outside the quarter",
    "rejection.not valid, no reason told": "not valid, no reason told",
    "rejection.neither peak nor off-peak hours": "neither evening, night nor office hours",
    "rejection.off-peak with unknown cross-traffic": (
        "not in the evening, traffic of users unknown"
    ),
    "rates": (
        "How often these rules were wrong or right on simulated links"
        " (single link, {tests} tests an evening, all requirements met):"
    ),
    "rates.row": (
        "  {rule}: {state}: {accused} of {runs} wrongly accused (the rate is at most {upper})"
    ),
    "rates.power": "  {rule}: {state}: {accused} of {runs} found not dedicated",
    "state.clean": "dedicated",
    "state.busy": "dedicated, noisy by users",
    "state.whole_day": "5 % of days bad all day, lasting for days",
    "state.evening": "5 % of evenings bad, lasting for days",
    "state.evening_09": "5 % of evenings bad, lasting very long",
    "state.borderline": "borderline (8.9 % of days bad)",
    "state.quarter_evenings": "one evening in four lower by 22 %",
    "state.half_evenings": "half of the evenings lower by 22 %",
    "state.peak_20": "every evening lower by 20 %",
    "state.flat_80": "80 % of the promise, always",
    "assumption": (
        "Each p is a chance that holds only if days can be exchanged for one another;"
        " quote the simulated rates instead."
    ),
    "repeat": "To repeat: method {method}, input SHA-256 {digest}, days before {until}.",
}

_ID = {
    "direction.down": "unduh",
    "direction.up": "unggah",
    "layer.l1": "lapis 1, termasuk preamble dan jeda",
    "layer.l2": "lapis 2, bingkai Ethernet",
    "layer.ip": "paket IP",
    "vlan.True": ", dengan tanda VLAN",
    "vlan.False": "",
    "yes": "ya",
    "no": "tidak",
    "finding.dedicated": "DEDICATED",
    "finding.not_dedicated": "TIDAK DEDICATED",
    "finding.insufficient": "BUKTI BELUM CUKUP",
    "cause.contended": "diperebutkan: malam hari kehilangan kapasitas yang ada di waktu lain",
    "cause.under_provisioned": (
        "kurang dari janji: terlalu banyak hari kurang, tidak terbukti hanya pada malam hari"
    ),
    "rule.v2": "aturan v2 (dua jendela 28 hari)",
    "rule.O": "aturan O (minggu-minggu dalam satu triwulan)",
    "watch": "PANTAU: tautan mencurigakan, tetapi belum membuktikan apa pun.",
    "preliminary": "SEMENTARA, untuk penyedia dan bukan untuk diumumkan; menunggu: {pending}.",
    "pending.rebuttal": "14 hari bagi penyedia untuk menanggapi data mentah, atau tanggapannya",
    "rebuttal.delivered": "Penyedia menerima data mentah pada {day}.",
    "rebuttal.answered": "Penyedia menanggapi pada {day}; {said}.",
    "rebuttal.objection": "keberatannya belum diselesaikan",
    "rebuttal.closed": "tidak ada keberatan yang terbuka",
    "pending.objection": "keberatan penyedia diselesaikan",
    "pending.gates": "bukti atas hal yang belum ditunjukkan ({gates})",
    "pending.second_window": "jendela 28 hari kedua",
    "head": "Tautan {link}, {direction}: {finding}",
    "head.cause": " ({cause}), menurut {rule}",
    "promise": (
        "Dijanjikan: {cir} Mbit/s dihitung pada {layer}{vlan}; artinya {expected} Mbit/s paket"
        " IP. Terpenuhi berarti 90 % dari itu atau lebih."
    ),
    "fact": (
        "Fakta: dari {valid} hari sah, {first} sampai {last}, {bad} hari mempunyai median uji"
        " malam (19:00-22:59 {zone}) di bawah 90 %."
    ),
    "fact.allowed": "Itu {share} dari hari-hari tersebut; yang ditoleransi {allowed}.",
    "fact.day": "  {date}: median {median}, uji dari {least} sampai {best} ({tests} uji){ticket}",
    "fact.ticket": ", ada tiket penyedia",
    "window": (
        "{name} {first} sampai {last}: {bad} dari {valid} hari buruk (p = {p_bad});"
        " malam lebih rendah {shift} dari janji (p = {p_shift}, {deltas} hari);"
        " minggu dengan dua hari buruk {bad_weeks} dari 4,"
        " dengan dua malam yang turun {shifted_weeks} dari 4."
    ),
    "window.newest": "Jendela",
    "window.previous": "Jendela sebelumnya",
    "quarter": (
        "Triwulan {first} sampai {last}: {evenings} dari 12 minggu mempunyai hari yang buruk"
        " hanya pada malam hari (p = {p_evenings}), {days} dari 12 hari buruk apa pun"
        " (p = {p_days})."
    ),
    "family": (
        "Tautan dan arah yang diaudit bersama: {links}. Disesuaikan untuk semuanya: jendela"
        " {windows_bh} (ketergantungan apa pun: {windows_by}), triwulan {peak_only_bh} dan"
        " {bad_bh}."
    ),
    "bounds": (
        "Uji malam pada jendela terbaru: median {median}, paling sedikit {lower} (yakin 99,5 %);"
        " {failed} dari {tests} uji di bawah 90 %; bagian hari buruk jangka panjang antara"
        " {bad_lower} dan {bad_upper} (95 % tiap arah); {above_80} dari uji mencapai 80 %."
    ),
    "bounds.delta": "Malam lebih rendah {delta} (median), paling banyak {upper} (yakin 99,5 %).",
    "unblocked": (
        "{rule} menunjuk tautan ini ({cause}) dan tidak ada yang menghalangi;"
        " korelasi dari hari ke hari {persistence}."
    ),
    "blocked": "{rule} menunjuk tautan ini ({cause}) tetapi tidak memvonis: {obstacles}.",
    "obstacle.one_window": "jendela sebelumnya tidak diukur",
    "obstacle.not_repeated": "tidak tampak pada kedua jendela",
    "obstacle.gate": "satu syarat data tidak terpenuhi",
    "obstacle.persistent": "satu hari terlalu bergantung pada hari sebelumnya untuk dihitung",
    "obstacle.noise": "uji terlalu berderau dan terlalu sedikit untuk menghitung hari buruk",
    "noise": (
        "Derau satu uji: {sd}; pada tautan {level} derau saja membuat {bad} hari menjadi buruk"
        " ({tolerated} ditoleransi)."
    ),
    "obstacle.anchors_disagree": "ujung-ujung jauh tidak sepakat",
    "obstacle.family": "di antara sebanyak ini tautan, hal itu bisa kebetulan",
    "obstacle.dependent_family": (
        "di antara tautan yang saling bergantung, hal itu bisa kebetulan"
    ),
    "lacks": "Belum terbukti dedicated: {lacks}.",
    "lack.peak_bound": "median malam mungkin di bawah 90 %",
    "lack.bad_days": "lebih dari 5 % hari buruk",
    "lack.delta_bound": "malam mungkin lebih rendah lebih dari 5 poin",
    "lack.nothing": "terlalu sedikit yang diukur",
    "lack.shaped": "ditemukan token bucket di bawah CIR",
    "gates": "Syarat:",
    "gate.row": "  {gate} ({first} sampai {last}): {shown}{have}",
    "gate.have": ", {have} dari {need} yang diperlukan",
    "gate.valid_days": "hari sah",
    "gate.scheduled_tests": "bagian uji malam yang terlaksana",
    "gate.cross_traffic": "bagian uji dengan lalu lintas pengguna yang diketahui",
    "gate.box": "alat ukur mampu 1,2 x CIR",
    "gate.anchors": "ujung-ujung jauh sehat dan sepakat",
    "gate.site": "tidak ada gangguan di lokasi, kontrak tidak berubah",
    "gate.clock": "jam dan jurnal dapat dipercaya",
    "shown.held": "terpenuhi",
    "shown.failed": "TIDAK TERPENUHI",
    "shown.not_shown": "belum ditunjukkan",
    "alarms": "Peringatan, bukan bukti: {alarms}.",
    "alarm.p_link": "jendela terbaru",
    "alarm.p_quarter": "minggu-minggu triwulan",
    "alarm.e_bad_days": "hitungan berjalan hari buruk",
    "alarm.e_shift": "hitungan berjalan malam yang turun",
    "alarm.rule_blocked": "aturan yang tidak memvonis",
    "rhythm": (
        "Irama harian: {amplitude} naik turun, terbaik pukul {hour} waktu setempat (p = {p})."
        " Ini menguatkan dan tidak menuduh. Berarti: {material}."
    ),
    "elevation": (
        "Tundaan naik hanya di sisi jauh: {peak_raised} dari {peak_bins} selang lima menit pada"
        " malam hari, {other_raised} dari {other_bins} di waktu lain. Ini menguatkan dan tidak"
        " menuduh."
    ),
    "shape.not_measured": "Token bucket: tidak diukur ({runs} uji panjang, perlu 5).",
    "shape.none": "Token bucket: tidak ada ({agreeing} dari {runs} uji panjang sepakat).",
    "shape.shaped": (
        "Token bucket: {burst} Mbit/s selama {knee} MB, lalu {sustained} Mbit/s"
        " ({agreeing} dari {runs} uji panjang sepakat). Laju tetapnya memenuhi janji."
    ),
    "shape.shaped_below_cir": (
        "DIBATASI DI BAWAH CIR: {burst} Mbit/s selama {knee} MB, lalu hanya {sustained} Mbit/s"
        " ({agreeing} dari {runs} uji panjang sepakat)."
    ),
    "steadiness.flapping": (
        "Kestabilan, terpisah dari di atas: NAIK-TURUN, {outages} gangguan sedangkan yang"
        " dijanjikan {expected} (p = {p}); {episodes} kali tiga gangguan dalam satu jam."
    ),
    "steadiness.within_promise": (
        "Kestabilan, terpisah dari di atas: {outages} gangguan, yang dijanjikan {expected}"
        " (p = {p}); {episodes} kali tiga gangguan dalam satu jam."
    ),
    "steadiness.not_measured": "Kestabilan: tidak diukur.",
    "sharing.oversubscribed": (
        "Lokasi bersama-sama, terpisah dari di atas: DIBAGI 1:{contention} di antara lokasi kita"
        " sendiri; bersama lebih rendah pada {wins} dari {repeats} ulangan berurutan undian"
        " (p eksak = {p})."
    ),
    "sharing.not_shown": (
        "Lokasi bersama-sama: tidak terbukti berbagi ({wins} dari {repeats} ulangan,"
        " p eksak = {p})."
    ),
    "sharing.not_exact": (
        "Lokasi bersama-sama: tanpa kesimpulan ({repeats} ulangan, sendiri {solo} dari janji);"
        " perlu sepuluh ulangan berurutan undian dan lokasi dengan laju penuh saat sendiri."
    ),
    "used": (
        "Uji yang dipakai: {peak} malam, {off_peak} waktu lain, {lower_bounds} sebagai batas"
        " bawah (lalu lintas pengguna tidak diketahui: membebaskan, tidak menuduh)."
        " Tidak dipakai: {rejected}."
    ),
    "used.reason": "  {count} x {reason}",
    "rejection.other direction": "arah lain",
    "rejection.no clock can be believed for when it was": (
        "tidak ada jam yang dapat dipercaya untuk waktunya"
    ),
    "rejection.no contract on that day": "tanpa kontrak pada hari itu",
    "rejection.another rate was promised on that day": "kecepatan lain dijanjikan pada hari itu",
    "rejection.the hub was too busy": "hub terlalu sibuk",
    "rejection.the box cannot carry 1.2 x CIR, or runs at half duplex": (
        "perangkat ukur tidak sanggup 1,2 x CIR, atau half duplex"
    ),
    "rejection.the load had no fixed rate": "beban tanpa kecepatan tetap",
    "rejection.less was asked of the link than 90 % of the promise": (
        "beban di bawah 90 % dari yang dijanjikan"
    ),
    "rejection.a fault at the site meanwhile": "gangguan di lokasi saat itu",
    "rejection.no rate in the record": "tanpa kecepatan dalam catatan",
    "rejection.unfit": "perangkat ukur tidak sanggup membawa beban",
    "rejection.hub_unfit": "hub tidak sanggup",
    "rejection.failed": "jalur ke hub terputus",
    "rejection.refused": "hub menolak",
    "rejection.unreachable": "hub tidak menjawab",
    "rejection.local_error": "perangkat ukur gagal",
    "rejection.aborted": "kami hentikan",
    "rejection.no_slot": "dilewati: hub tidak memberi giliran",
    "rejection.skipped_busy": "dilewati: pengguna memerlukan link",
    "rejection.skipped_budget": "dilewati: anggaran data habis",
    "rejection.skipped_blind": "dilewati: pemakaian pengguna tidak terhitung",
    "rejection.skipped_missed": "dilewati: perangkat ukur mati",
    "rejection.outside the quarter": "di luar triwulan",
    "rejection.not valid, no reason told": "tidak sah, tanpa alasan",
    "rejection.neither peak nor off-peak hours": "bukan jam malam, dini hari atau kantor",
    "rejection.off-peak with unknown cross-traffic": (
        "bukan malam hari, lalu lintas pengguna tidak diketahui"
    ),
    "rates": (
        "Seberapa sering aturan ini salah atau benar pada tautan simulasi"
        " (satu tautan, {tests} uji tiap malam, semua syarat terpenuhi):"
    ),
    "rates.row": (
        "  {rule}: {state}: {accused} dari {runs} salah dituduh (lajunya paling banyak {upper})"
    ),
    "rates.power": "  {rule}: {state}: {accused} dari {runs} dinyatakan tidak dedicated",
    "state.clean": "dedicated",
    "state.busy": "dedicated, berderau karena pengguna",
    "state.whole_day": "5 % hari buruk sepanjang hari, berlangsung berhari-hari",
    "state.evening": "5 % malam buruk, berlangsung berhari-hari",
    "state.evening_09": "5 % malam buruk, berlangsung sangat lama",
    "state.borderline": "di ambang batas (8,9 % hari buruk)",
    "state.quarter_evenings": "satu dari empat malam turun 22 %",
    "state.half_evenings": "separuh malam turun 22 %",
    "state.peak_20": "setiap malam turun 20 %",
    "state.flat_80": "selalu 80 % dari janji",
    "assumption": (
        "Setiap p adalah peluang yang hanya berlaku jika hari-hari dapat saling dipertukarkan;"
        " kutiplah laju simulasi."
    ),
    "repeat": "Untuk mengulang: metode {method}, SHA-256 masukan {digest}, hari sebelum {until}.",
}

PHRASES = {Language.EN: _EN, Language.ID: _ID}
