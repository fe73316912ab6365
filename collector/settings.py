"""The collector's own settings: where it listens, where it keeps things, what it allows.

Nodes, links and contracts have files of their own (see collector/inventory.py and
collector/contracts.py), because they change every week and this file does not.
"""

import ipaddress
from pathlib import Path
from typing import Annotated

import msgspec

from runtime.settings import SettingsError, load

CONTRACTS_FILE = "contracts.yaml"
Port = Annotated[int, msgspec.Meta(ge=0, le=65535)]
Positive = Annotated[float, msgspec.Meta(gt=0)]


def check_literal(address: str) -> None:
    """Raises ValueError unless this is an IPv4 or IPv6 address written out."""
    try:
        ipaddress.ip_address(address)
    except ValueError as error:
        raise ValueError(f"address {address!r}: expected a literal IPv4 or IPv6 address") from error


class Section(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One block of a settings file."""


class HttpSettings(Section, frozen=True, kw_only=True):
    """Where agents, Prometheus and people reach the collector."""

    host: str = "0.0.0.0"
    """Address to listen on."""
    port: Port = 8460
    """TCP port; 0 takes any free one."""
    cert_file: str | None = None
    """PEM certificate chain; with `key_file`, serves HTTPS."""
    key_file: str | None = None
    """PEM private key."""


class StampSettings(Section, frozen=True, kw_only=True):
    """The STAMP reflector that every agent's packets come to."""

    host: str = "0.0.0.0"
    """Address to listen on; `::` takes IPv4 and IPv6."""
    port: Port = 862
    """UDP port (RFC 8762 section 4.1 gives 862)."""
    address: str | None = None
    """Literal address at which agents reach the reflector; required to serve."""
    authenticated: bool = True
    """Use authenticated mode: every agent has a key of its own from its enrolment."""

    def __post_init__(self) -> None:
        if self.address is not None:
            check_literal(self.address)


class ThroughputSettings(Section, frozen=True, kw_only=True):
    """Throughput tests: where load comes to the hub, and what it may cost.

    See docs/throughput-schedule.md and docs/throughput.md.
    """

    address: str | None = None
    """Literal address at which agents reach the throughput server; by default stamp.address."""
    capacity_mbps: Positive | None = None
    """Megabits per second that all tests together may load the hub with, in each direction.
    70 % of its port at most; without it there are no tests."""
    host: str = "0.0.0.0"
    """Address to listen on; `::` takes IPv4 and IPv6."""
    port: Port = 8461
    """TCP and UDP port of load; 0 takes any free one."""
    ndt7_open: bool = False
    """Let anybody's ndt7 client in, without a slot: for days of acceptance."""
    ndt7_open_most_mbps: Annotated[float, msgspec.Meta(gt=0, le=100_000)] = 200
    """And give each such client no more than this."""
    ndt7_open_at_once: Annotated[int, msgspec.Meta(ge=1, le=64)] = 2
    """And let in no more of them at the same time."""
    iperf3_address: str | None = None
    """Literal address of somebody's iperf3 server, for links whose method is iperf3."""
    iperf3_port: Annotated[int, msgspec.Meta(ge=1, le=65535)] = 5201

    @property
    def iperf3(self) -> tuple[str, int] | None:
        """Somebody's iperf3 server, if one is named."""
        return None if self.iperf3_address is None else (self.iperf3_address, self.iperf3_port)

    @property
    def ndt7_open_most_bits_per_s(self) -> int:
        """Of IP packets."""
        return round(self.ndt7_open_most_mbps * 1e6)

    @property
    def capacity_bits_per_s(self) -> int | None:
        """None: no tests."""
        return None if self.capacity_mbps is None else round(self.capacity_mbps * 1e6)

    def __post_init__(self) -> None:
        for address in (self.address, self.iperf3_address):
            if address is not None:
                check_literal(address)


class LimitSettings(Section, frozen=True, kw_only=True):
    """What one agent, and all together, may ask for."""

    requests_per_minute: Positive = 60
    """Evidence and status requests of one agent, on average."""
    burst: Positive = 240
    """Requests that one agent may make at once, when it comes back from an outage."""
    commit_queue: Annotated[int, msgspec.Meta(ge=1)] = 2000
    """Batches waiting for the disk; beyond it the answer is 503 and the agent waits."""
    body_deadline_s: Positive = 15.0
    """Seconds within which a request's body has to arrive, once its header has."""
    catchup_bytes_per_s: Annotated[int, msgspec.Meta(ge=0)] | None = None
    """Upper bound told to agents for their backlog; none by default."""


class CollectorSettings(Section, frozen=True, kw_only=True):
    """collector.yaml."""

    data_dir: str
    """Folder for the ledger and the collector's keys; relative to this file."""
    nodes_file: str = "nodes.yaml"
    """Nodes; relative to this file."""
    links_file: str = "links.yaml"
    """Links; relative to this file."""
    contracts_file: str | None = None
    """Contracts; relative to this file. Not named: contracts.yaml, if it is there."""
    public_url: str | None = None
    """URL at which agents reach the collector, for `invite` to print."""
    http: HttpSettings = HttpSettings()
    stamp: StampSettings = StampSettings()
    limits: LimitSettings = LimitSettings()
    throughput: ThroughputSettings = ThroughputSettings()
    silence_after_s: Positive = 5.0
    """An agent not heard by the reflector for this long is silent (its link UNKNOWN)."""

    def __post_init__(self) -> None:
        if (self.http.cert_file is None) != (self.http.key_file is None):
            raise ValueError("http: cert_file and key_file go together")


class Located(msgspec.Struct, frozen=True):
    """Settings and the file they came from, against which their paths are resolved."""

    settings: CollectorSettings
    file: Path

    def path(self, name: str) -> Path:
        """A path of the settings, relative to the settings file."""
        return self.file.parent / name

    @property
    def data_dir(self) -> Path:
        """Folder of ledger and keys."""
        return self.path(self.settings.data_dir)

    @property
    def contracts_file(self) -> Path | None:
        """File of the contracts, if there is any."""
        if self.settings.contracts_file is not None:
            return self.path(self.settings.contracts_file)
        usual = self.path(CONTRACTS_FILE)
        return usual if usual.exists() else None


def read(file: Path) -> Located:
    """collector.yaml. Raises SettingsError."""
    located = Located(load(file, CollectorSettings), file.resolve())
    for name in (located.settings.http.cert_file, located.settings.http.key_file):
        if name is not None and not located.path(name).is_file():
            raise SettingsError(f"{file}: http: no file {located.path(name)}")
    return located
