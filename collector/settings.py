"""The collector's own settings: where it listens, where it keeps things, what it allows.

Nodes, links and contracts have files of their own (see collector/inventory.py and
collector/contracts.py), because they change every week and this file does not.
"""

import ipaddress
import ssl
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from collector.access import webconfig
from collector.report.settings import AuditSettings
from collector.sections import Section
from runtime.settings import SettingsError, load

CONTRACTS_FILE = "contracts.yaml"
Port = Annotated[int, msgspec.Meta(ge=0, le=65535)]
Positive = Annotated[float, msgspec.Meta(gt=0)]
MAIL_ADDRESS = r"^[^@\s<>,]+@[^@\s<>,]+\Z"


def check_literal(address: str) -> None:
    """Raises ValueError unless this is an IPv4 or IPv6 address written out."""
    try:
        ipaddress.ip_address(address)
    except ValueError as error:
        raise ValueError(f"address {address!r}: expected a literal IPv4 or IPv6 address") from error


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
    web_config_file: str | None = None
    """Who may read /metrics and the API, in the exporter-toolkit's form (docs/access.md); relative
    to this file."""
    trusted_proxies: tuple[str, ...] = ()
    """Addresses or networks (192.0.2.0/24) of proxies whose X-Forwarded-For and X-Forwarded-Proto
    are believed: who asks is then known, for the log and against guessed passwords."""

    def __post_init__(self) -> None:
        _ = self.trusted

    @property
    def trusted(self) -> tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]:
        """Those of `trusted_proxies`."""
        found = []
        for one in self.trusted_proxies:
            try:
                found.append(ipaddress.ip_network(one))
            except ValueError as error:
                raise ValueError(
                    f"trusted_proxies: {one!r}: expected an address or a network such as"
                    " 192.0.2.0/24, without host bits"
                ) from error
        return tuple(found)


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


class BasicAuth(Section, frozen=True, kw_only=True):
    """Name and password for an endpoint."""

    username: str
    password_file: str
    """Relative to the settings file; its first line is the password."""


class SmtpSettings(Section, frozen=True, kw_only=True):
    """The server that takes the collector's mail."""

    host: Annotated[str, msgspec.Meta(min_length=1)]
    port: Annotated[int, msgspec.Meta(ge=1, le=65535)] = 587
    security: Literal["starttls", "tls", "none"] = "starttls"
    """How the way to the server is secured: from the beginning (tls, usually port 465), on asking
    (starttls), or not at all, for a server on this machine."""
    sender: Annotated[str, msgspec.Meta(pattern=MAIL_ADDRESS)]
    """Address from which the mail is sent."""
    auth: BasicAuth | None = None
    """Name and password, where the server asks for them."""
    ca_file: str | None = None
    """PEM certificates that sign the server's own, besides the machine's."""
    timeout_s: Positive = 30.0

    def __post_init__(self) -> None:
        if self.auth is not None and self.security == "none":
            raise ValueError("a password is not sent without TLS: security starttls or tls")

    @property
    def files(self) -> tuple[str, ...]:
        """All files that it names."""
        auth = () if self.auth is None else (self.auth.password_file,)
        return (*auth, *(() if self.ca_file is None else (self.ca_file,)))


class HeadSettings(Section, frozen=True, kw_only=True):
    """Who else gets to know the hourly tree heads (docs/evidence-v1.md)."""

    timestamp_url: Annotated[str, msgspec.Meta(pattern=r"^https?://[^\s]+\Z")] | None = None
    """Of a time-stamping authority that speaks RFC 3161 over HTTP."""
    timestamp_ca_file: str | None = None
    """PEM certificates of the authority's root: an answer that they do not sign is not kept."""
    mail_to: tuple[Annotated[str, msgspec.Meta(pattern=MAIL_ADDRESS)], ...] = ()
    """Who is sent every head, by mail: the providers, and whoever else should be able to say what
    the collector held."""

    def __post_init__(self) -> None:
        if (self.timestamp_url is None) != (self.timestamp_ca_file is None):
            raise ValueError("timestamp_url and timestamp_ca_file go together")


HeaderName = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9-]+\Z")]
LabelName = Annotated[str, msgspec.Meta(pattern=r"^[a-zA-Z_][a-zA-Z0-9_]*\Z")]
_OWN_HEADERS = frozenset({"content-type", "content-encoding", "content-length", "host"})
_OWN_LABELS = frozenset({"link", "node", "target", "state"})


class EndpointSettings(Section, frozen=True, kw_only=True):
    """A store that settled series are sent to, with their own times (docs/backfill.md)."""

    name: Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9][a-z0-9._-]{0,62}\Z")]
    """By which its progress is remembered: a new name begins anew."""
    url: Annotated[str, msgspec.Meta(pattern=r"^https?://[^\s]+\Z")]
    """Of its remote write receiver, such as http://127.0.0.1:9090/api/v1/write."""
    headers: dict[HeaderName, str] = msgspec.field(default_factory=dict)
    header_files: dict[HeaderName, str] = msgspec.field(default_factory=dict)
    """Headers whose values are the first lines of files, for secrets."""
    basic_auth: BasicAuth | None = None
    ca_file: str | None = None
    """PEM certificates that sign the endpoint's own, besides the machine's."""
    max_age_s: Positive = 604_800.0
    """The store takes nothing older; not more than Prometheus' out_of_order_time_window."""
    batch_samples: Annotated[int, msgspec.Meta(ge=1, le=100_000)] = 5000
    """Most samples in one request."""
    timeout_s: Positive = 30.0
    """An endpoint that has not answered by then is tried again."""
    labels: dict[LabelName, str] = msgspec.field(default_factory=dict)
    """Added to every series."""

    def __post_init__(self) -> None:
        for name in (*self.headers, *self.header_files):
            if name.lower() in _OWN_HEADERS:
                raise ValueError(f"header {name!r} is not yours to set")
        twice = {name.lower() for name in self.headers} & {
            name.lower() for name in self.header_files
        }
        if twice:
            raise ValueError(f"header {min(twice)!r} is in headers and in header_files")
        authorised = {name.lower() for name in (*self.headers, *self.header_files)}
        if self.basic_auth is not None and "authorization" in authorised:
            raise ValueError("basic_auth and a header 'Authorization' do not go together")
        for label in self.labels:
            if label in _OWN_LABELS or label.startswith("__"):
                raise ValueError(f"label {label!r} is not yours to set")

    @property
    def files(self) -> tuple[str, ...]:
        """All files that it names."""
        auth = () if self.basic_auth is None else (self.basic_auth.password_file,)
        ca = () if self.ca_file is None else (self.ca_file,)
        return (*self.header_files.values(), *auth, *ca)


ALERTMANAGER_URL = r"^https?://[^\s/?#]+(/[^\s?#]*)?\Z"


class AlertmanagerSettings(Section, frozen=True, kw_only=True):
    """The Alertmanager that is told of maintenance windows (docs/alerting.md)."""

    url: Annotated[str, msgspec.Meta(pattern=ALERTMANAGER_URL)]
    """Such as http://127.0.0.1:9093; any one of a cluster."""
    basic_auth: BasicAuth | None = None
    ca_file: str | None = None
    """PEM certificates that sign Alertmanager's own, besides the machine's."""
    cert_file: str | None = None
    """PEM certificate chain that the collector shows; with `key_file`."""
    key_file: str | None = None
    """PEM private key."""
    timeout_s: Positive = 10.0
    every_s: Annotated[float, msgspec.Meta(ge=1, le=86_400)] = 30.0
    """How often windows and silences are compared."""

    def __post_init__(self) -> None:
        if (self.cert_file is None) != (self.key_file is None):
            raise ValueError("cert_file and key_file go together")

    @property
    def files(self) -> tuple[str, ...]:
        """All files that it names."""
        auth = None if self.basic_auth is None else self.basic_auth.password_file
        named = (auth, self.ca_file, self.cert_file, self.key_file)
        return tuple(one for one in named if one is not None)


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
    approve_agents: bool = False
    """An agent that enrols waits until an operator approves it; until then it keeps what it
    measures."""
    silence_after_s: Positive = 5.0
    """An agent not heard by the reflector for this long is silent (its link UNKNOWN)."""
    backfill: tuple[EndpointSettings, ...] = ()
    """Where settled series are sent to; nowhere by default."""
    smtp: SmtpSettings | None = None
    """By which server mail is sent; none by default."""
    heads: HeadSettings = HeadSettings()
    alertmanager: AlertmanagerSettings | None = None
    """Who is told of maintenance windows; nobody by default."""
    audit: AuditSettings = AuditSettings()

    def __post_init__(self) -> None:
        if self.heads.mail_to and self.smtp is None:
            raise ValueError("heads.mail_to needs smtp, the server that takes the mail")
        schedule = self.audit.schedule
        if schedule is not None and schedule.mail and self.smtp is None:
            raise ValueError("audit.schedule.mail needs smtp, the server that takes the mail")
        names = [one.name for one in self.backfill]
        for k, name in enumerate(names):
            if name in names[:k]:
                raise ValueError(f"backfill[{k}].name: {name!r} is given twice")
        if (self.http.cert_file is None) != (self.http.key_file is None):
            raise ValueError("http: cert_file and key_file go together")

    @property
    def https(self) -> bool:
        """Whether browsers come over HTTPS, if only to a proxy before the collector."""
        return self.http.cert_file is not None or (self.public_url or "").startswith("https://")


class Located(msgspec.Struct, frozen=True):
    """Settings and the file they came from, against which their paths are resolved."""

    settings: CollectorSettings
    file: Path

    def path(self, name: str) -> Path:
        """A path of the settings, relative to the settings file."""
        return self.file.parent / name

    @property
    def web_config_file(self) -> Path | None:
        """File of the web configuration, if there is any."""
        name = self.settings.http.web_config_file
        return None if name is None else self.path(name)

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


def _check_ca(place: str, file: Path) -> None:
    try:
        ssl.create_default_context(cafile=str(file))
    except OSError as error:
        raise SettingsError(f"{place}: {file}: expected certificates in PEM form") from error


def _check_witnesses(file: Path, located: Located) -> None:
    smtp, ca_file = located.settings.smtp, located.settings.heads.timestamp_ca_file
    for name in () if smtp is None else smtp.files:
        if not located.path(name).is_file():
            raise SettingsError(f"{file}: smtp: no file {located.path(name)}")
    if smtp is not None and smtp.ca_file is not None:
        _check_ca(f"{file}: smtp.ca_file", located.path(smtp.ca_file))
    if ca_file is not None:
        if not located.path(ca_file).is_file():
            raise SettingsError(f"{file}: heads: no file {located.path(ca_file)}")
        _check_ca(f"{file}: heads.timestamp_ca_file", located.path(ca_file))


def check_alertmanager(located: Located, settings: AlertmanagerSettings) -> None:
    """Raises SettingsError where a file that it names is not there, or no certificates."""
    for name in settings.files:
        if not located.path(name).is_file():
            raise SettingsError(f"{located.file}: alertmanager: no file {located.path(name)}")
    if settings.ca_file is not None:
        _check_ca(f"{located.file}: alertmanager.ca_file", located.path(settings.ca_file))


def _check_web(located: Located) -> None:
    for name in (located.settings.http.cert_file, located.settings.http.key_file):
        if name is not None and not located.path(name).is_file():
            raise SettingsError(f"{located.file}: http: no file {located.path(name)}")
    file = located.web_config_file
    if file is None:
        return
    web = webconfig.read(file)
    webconfig.context(web, file)
    if web.tls_server_config is not None and located.settings.http.cert_file is not None:
        raise SettingsError(
            f"{located.file}: http.cert_file: {file} has a tls_server_config too: keep one of them"
        )


def read(file: Path, web_config: Path | None = None) -> Located:
    """collector.yaml; `web_config` goes before the file that it names. Raises SettingsError."""
    settings = load(file, CollectorSettings)
    if web_config is not None:
        http = msgspec.structs.replace(settings.http, web_config_file=str(web_config.resolve()))
        settings = msgspec.structs.replace(settings, http=http)
    located = Located(settings, file.resolve())
    _check_web(located)
    _check_witnesses(file, located)
    if located.settings.alertmanager is not None:
        check_alertmanager(located, located.settings.alertmanager)
    for name in located.settings.audit.files:
        if not located.path(name).is_file():
            raise SettingsError(f"{file}: audit: no file {located.path(name)}")
    for k, endpoint in enumerate(located.settings.backfill):
        for name in endpoint.files:
            if not located.path(name).is_file():
                raise SettingsError(f"{file}: backfill[{k}]: no file {located.path(name)}")
        if endpoint.ca_file is not None:
            _check_ca(f"{file}: backfill[{k}].ca_file", located.path(endpoint.ca_file))
    return located
