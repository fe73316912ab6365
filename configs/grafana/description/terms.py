"""The collector's own codes in the words of each language, with a colour for those that have one.

Keyed by the collector's enumerations: a code that it learns and that has no word here fails a test.
"""

from collections.abc import Mapping
from enum import StrEnum

from collector.audit.states import Cause, Charge, State
from collector.live import Reason
from collector.verdict_series import Said
from configs.grafana.description.panels import BLUE, GREEN, GREY, ORANGE, RED, YELLOW
from configs.grafana.description.words import Language
from wire.message import End

Terms = Mapping[StrEnum, tuple[str, str]]
"""Of each code, the words in Indonesian and in English."""
STATES: Terms = {
    State.UP: ("hidup", "up"),
    State.DEGRADED: ("menurun", "degraded"),
    State.DOWN: ("putus", "down"),
    State.UNKNOWN: ("tidak diketahui", "unknown"),
}
COLOURS: Mapping[StrEnum, str] = {
    State.UP: GREEN,
    State.DEGRADED: YELLOW,
    State.DOWN: RED,
    State.UNKNOWN: GREY,
    Charge.PROVIDER: RED,
    Charge.EXCLUDED: BLUE,
    Charge.UNKNOWN: GREY,
    Said.DEDICATED: GREEN,
    Said.CONTENDED: RED,
    Said.UNDER_PROVISIONED: RED,
    Said.WATCH: ORANGE,
    Said.INSUFFICIENT: GREY,
}
CAUSES: Terms = {
    Cause.NONE: ("-", "-"),
    Cause.MAINTENANCE: ("pemeliharaan", "maintenance"),
    Cause.SITE_POWER: ("listrik lokasi", "power at the site"),
    Cause.AGENT_POWER: ("listrik agen", "power of the agent"),
    Cause.AGENT_CRASH: ("agen berhenti", "agent crashed"),
    Cause.LAN: ("LAN lokasi", "LAN of the site"),
    Cause.CPE_RESTART: ("CPE menyala ulang", "CPE restarted"),
    Cause.ACCESS_LINK: ("link akses", "access link"),
    Cause.PROVIDER_CORE: ("jaringan inti penyedia", "provider's core"),
    Cause.RESOLVED_UP: ("terbukti hidup", "proved up"),
    Cause.HUB_OR_ANCHOR: ("pusat atau jangkar", "hub or anchor"),
    Cause.UPSTREAM: ("Internet di belakang penyedia", "Internet behind the provider"),
    Cause.UNDETERMINED: ("belum pasti", "undetermined"),
}
CHARGES: Terms = {
    Charge.NONE: ("-", "-"),
    Charge.PROVIDER: ("penyedia", "provider"),
    Charge.EXCLUDED: ("dikecualikan", "excluded"),
    Charge.UNKNOWN: ("tidak diketahui", "unknown"),
}
VERDICTS: Terms = {
    Said.DEDICATED: ("dedicated", "dedicated"),
    Said.CONTENDED: ("dipakai bersama", "contended"),
    Said.UNDER_PROVISIONED: ("di bawah janji", "under-provisioned"),
    Said.WATCH: ("bukti kurang, awasi", "insufficient, watch it"),
    Said.INSUFFICIENT: ("bukti kurang", "insufficient"),
}
REASONS: Terms = {
    Reason.HEARD: ("didengar pusat", "heard by the hub"),
    Reason.FORWARD_LOSS: ("hilang menuju pusat", "lost on the way to the hub"),
    Reason.ROUND_TRIP_LOSS: ("hilang pulang-pergi", "lost on the round trip"),
    Reason.NODE_REPORTS_LOSS: ("lokasi melaporkan kehilangan", "the node reports loss"),
    Reason.OUTSIDE_LOSS: ("CPE hilang dari luar", "CPE lost from outside"),
    Reason.CPE_ANSWERS: ("senyap, CPE menjawab", "silent, CPE answers"),
    Reason.SILENT: ("senyap tanpa saksi", "silent, no witness"),
    Reason.NEVER_HEARD: ("belum pernah terdengar", "never heard"),
}
ENDS: Terms = {
    End.DONE: ("selesai", "done"),
    End.UNFIT: ("alat tidak sanggup", "box not fit"),
    End.FAILED: ("gagal", "failed"),
    End.BUSY: ("dilewati: pengguna sibuk", "skipped: users busy"),
    End.BLIND: ("dilewati: tanpa penghitung", "skipped: nobody counts"),
    End.BUDGET: ("dilewati: jatah habis", "skipped: no budget"),
    End.NO_SLOT: ("dilewati: tanpa slot", "skipped: no slot"),
    End.MISSED: ("dilewati: terlewat", "skipped: missed"),
}


def told(terms: Terms, language: Language) -> dict[str, tuple[str, str | None]]:
    """Each code with its words in this language, and its colour if it has one."""
    return {code.value: (language.say(*words), COLOURS.get(code)) for code, words in terms.items()}
