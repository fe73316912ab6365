"""The clauses of `collector.audit.why` in Indonesian; their English is the clauses themselves."""

from collections.abc import Mapping
from datetime import datetime, tzinfo

from collector.audit.phrases import Language
from collector.audit.why import Clause, parts
from collector.report.phrases import PHRASES

INDONESIAN: Mapping[Clause, str] = {
    Clause.MAINTENANCE: "tercakup jendela yang disetujui nomor {window} ({kind})",
    Clause.SITE_POWER_RESTARTS: (
        "tidak ada catatan dari {silent_at} sampai {first_at}; perangkat ukur menyala pada"
        " {boot_at} dan CPE pada {cpe_at}, selisih {apart_s} detik"
    ),
    Clause.SITE_POWER_SENSED: "sensor listrik mencatat pada {mains_at} bahwa lokasi tanpa PLN",
    Clause.SITE_POWER_AREA: (
        "perangkat ukur menyala kembali pada {boot_at}, saat listrik padam di {members} lokasi PoP"
        " yang sama sekaligus; lokasi ini sendiri tidak punya bukti"
    ),
    Clause.NOT_AGREED: "kontrak tidak mengakui hal ini sebagai alasan pengecualian",
    Clause.SETTLING: "CPE menyala kembali pada {cpe_at} dan masih menyambung",
    Clause.STARTING: (
        "perangkat ukur menyala pada {boot_at}; catatan pertama agen dibuat pada {first_at}"
    ),
    Clause.AGENT_POWER: (
        "perangkat ukur menyala kembali pada {boot_at}, sedangkan CPE menyala tanpa putus sejak"
        " {cpe_at}"
    ),
    Clause.AGENT_CRASH: (
        "agen tidak mencatat apa pun dari {silent_at} sampai {first_at}; perangkat ukur tetap"
        " menyala dan proses agen yang lain dimulai"
    ),
    Clause.AGENT_STOPPED: "proses agen sebelumnya dihentikan dengan tertib",
    Clause.BOX_REBOOT: (
        "perangkat ukur menyala kembali pada {boot_at}; tidak diketahui apakah hanya perangkat ukur"
        " atau seluruh lokasi yang kehilangan listrik"
    ),
    Clause.BOX_AND_CPE_APART: (
        "perangkat ukur menyala pada {boot_at} dan CPE pada {cpe_at}, terlalu jauh untuk satu sebab"
    ),
    Clause.RECORDS_MISSING: (
        "agen tetap hidup, tetapi catatannya selama {length_s} detik tidak ada di sini"
    ),
    Clause.STILL_SILENT: "tidak ada kabar dari agen sejak {silent_at}",
    Clause.NEVER_HEARD: "tidak ada catatan agen tautan ini pada waktu itu atau sebelumnya",
    Clause.NOTHING_ASKED: "agen hidup tetapi tidak menguji apa pun di luar CPE",
    Clause.COUNTERS: (
        "antarmuka WAN CPE tetap tersambung dan menerima {octets} oktet di antara pembacaan"
        " {from_at} dan {to_at}"
    ),
    Clause.OUTSIDE_ANSWERED: ("penguji di sisi hub mencapai CPE dalam {ok} dari {asked} detik"),
    Clause.OUTSIDE_LOST: ("penguji di sisi hub kehilangan CPE dalam {lost} dari {asked} detik"),
    Clause.OUTSIDE_DISAGREES: (
        "penguji di sisi hub mencapai CPE dalam {ok} dari {asked} detik, yang bertentangan"
        " dengan tautan putus"
    ),
    Clause.GATEWAY_LOST: ("agen kehilangan CPE di LAN sendiri dalam {lost} dari {asked} detik"),
    Clause.CPE_RESTART: "CPE menyala kembali pada {cpe_at}",
    Clause.CPE_RAN: "CPE menyala tanpa putus sejak {cpe_at}",
    Clause.GATEWAY_ANSWERED: "CPE menjawab di LAN dalam {ok} dari {asked} detik",
    Clause.GATEWAY_UNKNOWN: (
        "keadaan CPE di LAN tidak diketahui, sehingga gangguan mungkin berada sebelum CPE"
    ),
    Clause.BEYOND_LOST: ("hub hilang dalam {hub} dan jangkar dalam {anchor} dari {length_s} detik"),
    Clause.NO_WAY_OUT: "agen tidak punya jalan keluar dalam {unsent} dari {length_s} detik",
    Clause.FIRST_HOP_ANSWERED: ("router pertama penyedia menjawab dalam {ok} dari {asked} detik"),
    Clause.WAN_DOWN: "CPE mencatat antarmuka WAN putus atau baru tersambung pada {wan_at}",
    Clause.PEERS_FINE: "{fine} dari {observed} tautan lain di PoP itu berfungsi",
    Clause.PEERS_DOWN: "{members} dari {observed} tautan di PoP itu putus dalam 60 detik",
    Clause.HUB_ALONE: (
        "hanya hub yang diuji dan tidak ada yang lain menunjukkan bahwa hub dapat dicapai"
    ),
    Clause.HUB_OFF: "kolektor tidak berjalan, menurut jurnalnya sendiri",
    Clause.HUB_LOST_BY_ALL: ("{members} dari {observed} tautan kehilangan hub dalam 10 detik"),
    Clause.ANCHOR_ANSWERED: "hub hilang selama {lost} detik sementara jangkar lain menjawab",
    Clause.ANCHORS_LOST: "semua jangkar hilang selama {lost} detik sementara hub menjawab",
    Clause.ANCHORS_KEPT: "{kept} tautan lain tetap mencapai jangkar pada saat itu",
    Clause.ONE_CLASS: (
        "kurang dari dua jenis bukti yang sepakat, sehingga tidak ada yang dibebani dan tidak ada"
        " yang dibebaskan"
    ),
}


def sentence(why: str, language: Language, zone: tzinfo) -> str:
    """A `why` as a sentence, its moments in `zone`; empty for an empty one.

    Raises ValueError for a text that holds no clauses.
    """
    forms = INDONESIAN if language is Language.ID else {one: one.value for one in Clause}
    said = [
        forms[key].format_map(
            {name: _told(name, value, zone, language) for name, value in facts.items()}
        )
        for key, facts in parts(why)
    ]
    whole = "; ".join(said)
    return whole[:1].upper() + whole[1:] + "." if whole else ""


def _told(name: str, value: str, zone: tzinfo, language: Language) -> str:
    if name == "kind" and f"notice.{value}" in PHRASES:
        return PHRASES[f"notice.{value}"][language is not Language.ID]
    if name.endswith("_at"):
        return datetime.fromtimestamp(int(value), zone).strftime("%Y-%m-%d %H:%M:%S %Z")
    return value
