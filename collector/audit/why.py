"""Why an interval has its cause: a closed set of clauses with their facts, and their sentences.

`Interval.why` holds clauses as `key name=value name=value; key ...`, so that a sentence can be made
in any language and any time zone, long after. Facts are whole numbers or single words; a name that
ends in `_at` is a moment in UTC seconds, one in `_s` a length in seconds.
"""

import re
from datetime import UTC, datetime, tzinfo
from enum import StrEnum
from string import Formatter

Fact = int | str


class Clause(StrEnum):
    """The value is the English sentence; the name, in lower case, is what is kept."""

    MAINTENANCE = "the approved window {window} ({kind}) covers it"
    SITE_POWER_RESTARTS = (
        "nothing was recorded from {silent_at} to {first_at}, the box booted at {boot_at} and the"
        " CPE at {cpe_at}, {apart_s} s apart"
    )
    SITE_POWER_SENSED = "the mains sense said at {mains_at} that the site had no mains"
    SITE_POWER_AREA = (
        "the box booted anew at {boot_at}, as power failed at {members} sites of the PoP at once;"
        " this site itself has no proof"
    )
    NOT_AGREED = "the contract does not accept this as a reason to exclude"
    SETTLING = "the CPE restarted at {cpe_at} and was still connecting"
    STARTING = "the box booted at {boot_at}; its agent made its first record at {first_at}"
    AGENT_POWER = (
        "the box booted anew at {boot_at}, and the CPE has run without a break since {cpe_at}"
    )
    AGENT_CRASH = (
        "the agent recorded nothing from {silent_at} to {first_at}; the box ran on and another"
        " process of the agent began"
    )
    AGENT_STOPPED = "the former process had been stopped in order"
    BOX_REBOOT = (
        "the box booted anew at {boot_at}; nothing says whether it alone or the site had no power"
    )
    BOX_AND_CPE_APART = "the box booted at {boot_at} and the CPE at {cpe_at}, too far apart for one"
    RECORDS_MISSING = "the agent lived on, but its records of {length_s} s are not here"
    STILL_SILENT = "nothing came from the agent since {silent_at}"
    NEVER_HEARD = "no agent of this link has a record here or before"
    NOTHING_ASKED = "the agent lived and asked nothing beyond the CPE"
    COUNTERS = (
        "the CPE's WAN interface stayed up and received {octets} octets between its readings at"
        " {from_at} and {to_at}"
    )
    OUTSIDE_ANSWERED = "the hub's prober reached the CPE in {ok} of {asked} s"
    OUTSIDE_LOST = "the hub's prober lost the CPE in {lost} of {asked} s"
    OUTSIDE_DISAGREES = (
        "the hub's prober reached the CPE in {ok} of {asked} s, which contradicts a dead link"
    )
    GATEWAY_LOST = "the agent lost the CPE on its own LAN in {lost} of {asked} s"
    CPE_RESTART = "the CPE restarted at {cpe_at}"
    CPE_RAN = "the CPE ran without a break since {cpe_at}"
    GATEWAY_ANSWERED = "the CPE answered on the LAN in {ok} of {asked} s"
    GATEWAY_UNKNOWN = "nothing is known of the CPE on the LAN, so the fault may be before it"
    BEYOND_LOST = "the hub was lost in {hub} and the anchors in {anchor} of {length_s} s"
    NO_WAY_OUT = "the agent had no way out in {unsent} of {length_s} s"
    FIRST_HOP_ANSWERED = "the provider's first router answered in {ok} of {asked} s"
    WAN_DOWN = "the CPE said that its WAN interface was down or came up at {wan_at}"
    PEERS_FINE = "{fine} of {observed} other links of the PoP were up"
    PEERS_DOWN = "{members} of {observed} links of the PoP went down within 60 s"
    HUB_ALONE = "only the hub was asked and nobody else shows that it could be reached"
    HUB_OFF = "the collector did not run, by its own journal"
    HUB_LOST_BY_ALL = "{members} of {observed} links lost the hub within 10 s"
    ANCHOR_ANSWERED = "the hub was lost in {lost} s while another anchor answered"
    ANCHORS_LOST = "all anchors were lost for {lost} s while the hub answered"
    ANCHORS_KEPT = "{kept} other links reached the anchors meanwhile"
    ONE_CLASS = "fewer than two classes of evidence agree, so nobody is charged and none excused"


_STRANGE = re.compile(r"[^A-Za-z0-9_.:+-]")


def clause(key: Clause, **facts: Fact) -> str:
    """One clause. Raises ValueError unless its facts are those that the sentence needs."""
    wanted = [name for _, name, _, _ in Formatter().parse(key.value) if name]
    if sorted(set(wanted)) != sorted(facts):
        raise ValueError(f"{key.name}: facts {sorted(facts)}, expected {sorted(set(wanted))}")
    words = [key.name.lower()]
    for name in dict.fromkeys(wanted):
        # An id of an operator's register may hold anything; what would break the form is replaced.
        words.append(f"{name}={_STRANGE.sub('_', str(facts[name]))}")
    return " ".join(words)


def join(*clauses: str) -> str:
    """Clauses as one `why`; empty ones are left out."""
    return "; ".join(one for one in clauses if one)


def parts(why: str) -> list[tuple[Clause, dict[str, str]]]:
    """The clauses of a `why` with their facts. Raises ValueError for any other text."""
    found = []
    for one in why.split("; ") if why else ():
        key, *facts = one.split(" ")
        if key.upper() not in Clause.__members__ or not all("=" in fact for fact in facts):
            raise ValueError(f"no clause: {one!r}")
        pairs = (fact.split("=", 1) for fact in facts)
        found.append((Clause[key.upper()], {name: value for name, value in pairs}))
    return found


def sentence(why: str, zone: tzinfo = UTC) -> str:
    """The English sentence of a `why`, with times in `zone`; empty for an empty one."""
    said = [
        key.value.format_map({name: _told(name, value, zone) for name, value in facts.items()})
        for key, facts in parts(why)
    ]
    whole = "; ".join(said)
    return whole[:1].upper() + whole[1:] + "." if whole else ""


def _told(name: str, value: str, zone: tzinfo) -> str:
    if name.endswith("_at"):
        return datetime.fromtimestamp(int(value), zone).strftime("%Y-%m-%d %H:%M:%S %Z")
    return value
