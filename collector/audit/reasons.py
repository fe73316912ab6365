"""The clauses of `collector.audit.why` in Indonesian. Pure."""

from datetime import UTC, datetime, tzinfo

from collector.audit.phrases import Language
from collector.audit.why import Clause, parts, sentence

INDONESIAN = {
    Clause.MAINTENANCE: "tercakup oleh jendela yang disetujui {window} ({kind})",
    Clause.SITE_POWER_RESTARTS: (
        "tidak ada catatan dari {silent_at} sampai {first_at}; perangkat ukur menyala pada"
        " {boot_at} dan CPE pada {cpe_at}, berselang {apart_s} detik"
    ),
    Clause.SITE_POWER_SENSED: (
        "sensor listrik menyatakan pada {mains_at} bahwa lokasi tanpa listrik"
    ),
    Clause.SITE_POWER_AREA: (
        "perangkat ukur menyala kembali pada {boot_at}, saat listrik padam di {members} lokasi PoP"
        " sekaligus; lokasi ini sendiri tidak punya bukti"
    ),
    Clause.NOT_AGREED: "kontrak tidak menerima ini sebagai alasan pengecualian",
    Clause.SETTLING: "CPE dimulai ulang pada {cpe_at} dan masih menyambung",
    Clause.STARTING: (
        "perangkat ukur menyala pada {boot_at}; agennya membuat catatan pertama pada {first_at}"
    ),
    Clause.AGENT_POWER: (
        "perangkat ukur menyala kembali pada {boot_at}, sedangkan CPE berjalan tanpa putus sejak"
        " {cpe_at}"
    ),
    Clause.AGENT_CRASH: (
        "agen tidak mencatat apa pun dari {silent_at} sampai {first_at}; perangkat tetap berjalan"
        " dan proses agen yang lain dimulai"
    ),
    Clause.AGENT_STOPPED: "proses sebelumnya dihentikan dengan tertib",
    Clause.BOX_REBOOT: (
        "perangkat ukur menyala kembali pada {boot_at}; tidak ada yang menunjukkan apakah hanya"
        " perangkat itu atau seluruh lokasi yang tanpa listrik"
    ),
    Clause.BOX_AND_CPE_APART: (
        "perangkat ukur menyala pada {boot_at} dan CPE pada {cpe_at}, terlalu berjauhan untuk satu"
        " kejadian"
    ),
    Clause.RECORDS_MISSING: "agen tetap hidup, tetapi catatannya selama {length_s} detik tidak ada",
    Clause.STILL_SILENT: "tidak ada kabar dari agen sejak {silent_at}",
    Clause.NEVER_HEARD: "tidak ada agen tautan ini yang punya catatan di sini atau sebelumnya",
    Clause.NOTHING_ASKED: "agen hidup dan tidak menanyakan apa pun di luar CPE",
    Clause.COUNTERS: (
        "antarmuka WAN CPE tetap aktif dan menerima {octets} oktet antara pembacaan pada {from_at}"
        " dan {to_at}"
    ),
    Clause.OUTSIDE_ANSWERED: "penguji hub mencapai CPE dalam {ok} dari {asked} detik",
    Clause.OUTSIDE_LOST: "penguji hub kehilangan CPE dalam {lost} dari {asked} detik",
    Clause.OUTSIDE_DISAGREES: (
        "penguji hub mencapai CPE dalam {ok} dari {asked} detik, yang bertentangan dengan tautan"
        " mati"
    ),
    Clause.GATEWAY_LOST: "agen kehilangan CPE di LAN-nya sendiri dalam {lost} dari {asked} detik",
    Clause.CPE_RESTART: "CPE dimulai ulang pada {cpe_at}",
    Clause.CPE_RAN: "CPE berjalan tanpa putus sejak {cpe_at}",
    Clause.GATEWAY_ANSWERED: "CPE menjawab di LAN dalam {ok} dari {asked} detik",
    Clause.GATEWAY_UNKNOWN: (
        "tidak ada yang diketahui tentang CPE di LAN, jadi gangguan bisa berada sebelum CPE"
    ),
    Clause.BEYOND_LOST: (
        "hub hilang dalam {hub} dan titik acuan dalam {anchor} dari {length_s} detik"
    ),
    Clause.NO_WAY_OUT: "agen tidak punya jalan keluar dalam {unsent} dari {length_s} detik",
    Clause.FIRST_HOP_ANSWERED: "perute pertama penyedia menjawab dalam {ok} dari {asked} detik",
    Clause.WAN_DOWN: (
        "CPE menyatakan antarmuka WAN-nya tidak aktif atau aktif kembali pada {wan_at}"
    ),
    Clause.PEERS_FINE: "{fine} dari {observed} tautan lain pada PoP aktif",
    Clause.PEERS_DOWN: "{members} dari {observed} tautan pada PoP putus dalam 60 detik",
    Clause.HUB_ALONE: (
        "hanya hub yang ditanya dan tidak ada pihak lain yang menunjukkan hub dapat dicapai"
    ),
    Clause.HUB_OFF: "pengumpul tidak berjalan, menurut jurnalnya sendiri",
    Clause.HUB_LOST_BY_ALL: "{members} dari {observed} tautan kehilangan hub dalam 10 detik",
    Clause.ANCHOR_ANSWERED: "hub hilang selama {lost} detik sementara titik acuan lain menjawab",
    Clause.ANCHORS_LOST: "semua titik acuan hilang selama {lost} detik sementara hub menjawab",
    Clause.ANCHORS_KEPT: "{kept} tautan lain tetap mencapai titik acuan",
    Clause.ONE_CLASS: (
        "kurang dari dua kelas bukti yang sepakat, jadi tidak ada yang dibebani dan tidak ada yang"
        " dibebaskan"
    ),
}


def reason(why: str, language: Language, zone: tzinfo = UTC) -> str:
    """The sentence of a `why` in this language, with times in `zone`; empty for an empty one."""
    if language is Language.EN:
        return sentence(why, zone)
    said = []
    for key, facts in parts(why):
        told = {name: _told(name, value, zone) for name, value in facts.items()}
        said.append(INDONESIAN[key].format_map(told))
    whole = "; ".join(said)
    return whole[:1].upper() + whole[1:] + "." if whole else ""


def _told(name: str, value: str, zone: tzinfo) -> str:
    if name.endswith("_at"):
        return datetime.fromtimestamp(int(value), zone).strftime("%Y-%m-%d %H:%M:%S %Z")
    return value
