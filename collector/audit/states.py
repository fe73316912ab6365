"""States, causes and charges: the closed words of the audit (methodology 0 R1, 2.3)."""

from enum import StrEnum


class State(StrEnum):
    """State of a link in one second."""

    UP = "up"
    DEGRADED = "degraded"
    """up, with loss above the degraded rule's threshold; counts as available"""
    DOWN = "down"
    UNKNOWN = "unknown"


class Cause(StrEnum):
    """Why a link was not up, by the decision table of methodology 2.3."""

    NONE = "none"
    """it was up and nobody doubted it"""
    MAINTENANCE = "maintenance"
    """A0: an approved window covers it"""
    SITE_POWER = "site_power"
    """A1"""
    AGENT_POWER = "agent_power"
    """A2: the box alone lost power; the CPE did not"""
    AGENT_CRASH = "agent_crash"
    """A3: same boot, another process"""
    LAN = "lan"
    """A4: cable or carrier between box and CPE"""
    CPE_RESTART = "cpe_restart"
    """A4: the CPE itself restarted or lost power"""
    ACCESS_LINK = "access_link"
    """A5"""
    PROVIDER_CORE = "provider_core"
    """A6: many links of one PoP at once"""
    RESOLVED_UP = "resolved_up"
    """A7: unknown, and the CPE's counters show that traffic flowed"""
    HUB_OR_ANCHOR = "hub_or_anchor"
    """A8: one end of the measurement was away, the link was not"""
    UPSTREAM = "upstream"
    """A9: the Internet behind the provider"""
    UNDETERMINED = "undetermined"
    """A10"""


class Charge(StrEnum):
    """Whose time it is."""

    NONE = "none"
    """up"""
    PROVIDER = "provider"
    EXCLUDED = "excluded"
    UNKNOWN = "unknown"


class EvidenceClass(StrEnum):
    """Independent witnesses; two must agree to charge or to excuse (methodology 2.3)."""

    NODE_PROBES = "node_probes"
    """the node's own packets beyond its CPE"""
    NODE_LAN = "node_lan"
    """the node's packets to its CPE"""
    JOURNAL = "journal"
    """the agent's life: boots, starts, heartbeats"""
    DEVICE = "device"
    """the CPE's uptime, interface state and counters"""
    MAINS = "mains"
    """UPS, GPIO, power supply"""
    HUB_SIDE = "hub_side"
    """the reflector's silence and the prober beside the hub"""
    FLEET = "fleet"
    """what other links of the PoP, or of all PoPs, showed in the same seconds"""
    OPERATOR = "operator"
    """maintenance windows and signed statements"""
