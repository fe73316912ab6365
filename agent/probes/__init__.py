"""The probes this agent has: one line each, by the name that policies use.

A probe's module is imported when the first target of its kind comes: a node pays in memory for
what its policy asks of it and for nothing else.
"""

from collections.abc import Callable, Mapping
from importlib import import_module

from agent.probes.site import Probe, Site


def _at(place: str) -> Callable[[Site], Probe]:
    def make(site: Site) -> Probe:
        module, _, name = place.partition(":")
        made: Probe = getattr(import_module(module), name)(site)
        return made

    return make


PROBES: Mapping[str, Callable[[Site], Probe]] = {
    "dns": _at("agent.probes.dns:DnsProbe"),
    "http": _at("agent.probes.http:HttpProbe"),
    "icmp": _at("agent.probes.icmp:IcmpProbe"),
    "path": _at("agent.probes.path:PathProbe"),
    "power": _at("agent.probes.power:PowerProbe"),
    "snmp": _at("agent.probes.snmp:SnmpProbe"),
    "stamp": _at("agent.probes.stamp:StampProbe"),
    "tcp": _at("agent.probes.tcp:TcpProbe"),
}
