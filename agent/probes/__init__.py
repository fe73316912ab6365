"""The probes this agent has: one line each, by the name that policies use."""

from collections.abc import Callable, Mapping

from agent.probes.icmp import IcmpProbe
from agent.probes.site import Probe, Site
from agent.probes.stamp import StampProbe

PROBES: Mapping[str, Callable[[Site], Probe]] = {
    "icmp": IcmpProbe,
    "stamp": StampProbe,
}
