"""Series of what probes learn besides round trips: exchanges, devices, ways, power.

The newest record of a target wins, by the time at which it was made and not by its arrival: a
backlog does not turn the clock back. Device counters are shown as the device counts them; a
device that restarts begins anew, as Prometheus expects of a counter.
"""

from collections.abc import Callable, Iterable, Iterator

from collector.device_rates import DeviceRates
from collector.metrics import NS, Family, labels, sample
from wire.detail import DetailRecord, Exchange, Path, Power, Reading, Resolution
from wire.observation import Outcome

PHASE = Family(
    "pantau_target_phase_seconds",
    "gauge",
    "Parts of the newest exchange with an HTTP or DNS target.",
)
ANSWER = Family(
    "pantau_target_answer_code", "gauge", "HTTP status or DNS response code of the newest exchange."
)
CERTIFICATE = Family(
    "pantau_target_certificate_expiry_timestamp_seconds",
    "gauge",
    "When the first certificate of the target's chain runs out.",
)
RESOLVED = Family(
    "pantau_target_name_resolved",
    "gauge",
    "1 if the target's name was resolved when last asked, else 0.",
)
HOPS = Family("pantau_path_hops", "gauge", "Routers on the way to the target, itself included.")
REACHED = Family("pantau_path_reached", "gauge", "1 if the newest traceroute reached its target.")
CHANGES = Family(
    "pantau_path_changes_total",
    "counter",
    "Times that another router answered on the way, since this collector started.",
)
FIRST_HOP = Family(
    "pantau_path_first_hop_info",
    "gauge",
    "The first router outside of the node's own networks; always 1.",
)
DEVICE_UP = Family("pantau_device_up", "gauge", "1 if the device answered SNMP when last asked.")
DEVICE_UPTIME = Family(
    "pantau_device_uptime_seconds", "gauge", "sysUpTime of the device (RFC 3418)."
)
OPER_STATUS = Family(
    "pantau_device_interface_oper_status", "gauge", "ifOperStatus: 1 up, 2 down (RFC 2863)."
)
SPEED = Family(
    "pantau_device_interface_speed_bytes_per_second", "gauge", "ifHighSpeed of the interface."
)
COUNTERS = {
    field: Family(f"pantau_device_interface_{name}_total", "counter", help_)
    for field, name, help_ in (
        ("in_octets", "receive_bytes", "Octets received by the interface, as it counts them."),
        ("out_octets", "transmit_bytes", "Octets sent by the interface, as it counts them."),
        ("in_packets", "receive_packets", "Packets received by the interface."),
        ("out_packets", "transmit_packets", "Packets sent by the interface."),
        ("in_errors", "receive_errors", "Packets received with errors."),
        ("out_errors", "transmit_errors", "Packets not sent because of errors."),
        ("in_discards", "receive_discards", "Packets received and thrown away."),
        ("out_discards", "transmit_discards", "Packets to be sent and thrown away."),
    )
}
VALUE = Family(
    "pantau_device_value",
    "gauge",
    "A configured number of the device, in the unit that ends its name.",
)
MAINS = Family("pantau_site_mains", "gauge", "1 if the site has mains power, 0 on battery.")
BATTERY = Family("pantau_site_battery_ratio", "gauge", "Charge of the site's battery, 0 to 1.")
BATTERY_TIME = Family(
    "pantau_site_battery_seconds", "gauge", "How long the site's battery will last."
)

FROM_DETAILS = (
    PHASE,
    ANSWER,
    CERTIFICATE,
    RESOLVED,
    HOPS,
    REACHED,
    CHANGES,
    FIRST_HOP,
    DEVICE_UP,
    DEVICE_UPTIME,
    OPER_STATUS,
    SPEED,
    *COUNTERS.values(),
    VALUE,
    MAINS,
    BATTERY,
    BATTERY_TIME,
)

Lines = Iterator[tuple[Family, str]]


def _known(family: Family, label: str, value: float | None) -> Lines:
    if value is not None:
        yield family, sample(family, label, value)


def _exchange(one: Exchange, label: str) -> Lines:
    for phase, took_ns in one.phases_ns.items():
        yield PHASE, sample(PHASE, f'{label[:-1]},phase="{phase}"}}', took_ns / NS)
    yield from _known(ANSWER, label, one.status)
    yield from _known(CERTIFICATE, label, one.certificate_expires_s)


def _resolution(one: Resolution, label: str) -> Lines:
    yield RESOLVED, sample(RESOLVED, label, int(one.outcome is Outcome.OK))


def _path(one: Path, label: str) -> Lines:
    yield REACHED, sample(REACHED, label, int(one.reached))
    if one.reached and one.hops:
        yield HOPS, sample(HOPS, label, one.hops[-1].ttl)
    if one.first_hop is not None:
        address = labels(address=one.first_hop)[1:]
        yield FIRST_HOP, sample(FIRST_HOP, f"{label[:-1]},{address}", 1)


def _reading(one: Reading, label: str) -> Lines:
    yield DEVICE_UP, sample(DEVICE_UP, label, int(one.outcome is Outcome.OK))
    if one.sys_uptime_cs is not None:
        yield DEVICE_UPTIME, sample(DEVICE_UPTIME, label, one.sys_uptime_cs / 100)
    interface = f"{label[:-1]},{labels(interface=one.interface)[1:]}"
    yield from _known(OPER_STATUS, interface, one.oper_status)
    if one.high_speed_mbps is not None:
        yield SPEED, sample(SPEED, interface, one.high_speed_mbps * 1e6 / 8)
    for field, family in COUNTERS.items():
        yield from _known(family, interface, getattr(one, field))
    for name, value in one.values.items():
        yield VALUE, sample(VALUE, f"{label[:-1]},{labels(name=name)[1:]}", value)


def _power(one: Power, label: str) -> Lines:
    if one.mains is not None:
        yield MAINS, sample(MAINS, label, int(one.mains))
    yield from _known(BATTERY, label, one.battery_ratio)
    yield from _known(BATTERY_TIME, label, one.battery_seconds)


_RENDER: dict[type[DetailRecord], Callable[..., Lines]] = {
    Exchange: _exchange,
    Resolution: _resolution,
    Path: _path,
    Reading: _reading,
    Power: _power,
}


class DetailSeries:
    """The newest detail of each kind and target, rendered."""

    def __init__(self) -> None:
        self._nodes: dict[str, str] = {}
        self._newest: dict[tuple[str, str, type], tuple[int, list[tuple[Family, str]]]] = {}
        self._changes: dict[tuple[str, str], int] = {}
        self._rates = DeviceRates()

    def load(self, nodes: dict[str, str]) -> None:
        """Show these links, by node, and no others."""
        self._nodes = nodes
        self._newest = {key: kept for key, kept in self._newest.items() if key[0] in nodes}
        self._rates.keep(nodes)

    def take(self, one: DetailRecord, offset_ns: int) -> None:
        """Show a record that has become durable."""
        node = self._nodes.get(one.link)
        if node is None:
            return
        key = (one.link, one.target, type(one))
        made_ns = one.boot_ns + offset_ns
        label = labels(link=one.link, node=node, target=one.target)
        lines = list(_RENDER[type(one)](one, label))
        if isinstance(one, Reading):
            self._rates.take(one, node, made_ns)
        if isinstance(one, Path):
            place = (one.link, one.target)
            self._changes[place] = self._changes.get(place, 0) + one.changed
            lines.append((CHANGES, sample(CHANGES, label, self._changes[place])))
        if key not in self._newest or self._newest[key][0] <= made_ns:
            self._newest[key] = (made_ns, lines)

    def pages(self, now_wall_ns: int) -> Iterable[tuple[Family, Iterable[str]]]:
        """Families with their lines; those without any are left out."""
        rendered: dict[Family, list[str]] = {family: [] for family in FROM_DETAILS}
        for _, lines in self._newest.values():
            for family, line in lines:
                rendered[family].append(line)
        yield from ((family, lines) for family, lines in rendered.items() if lines)
        yield from self._rates.pages(now_wall_ns)
