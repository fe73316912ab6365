"""A district of emulated sites with real programs in them, whose faults are known to the packet.

Every site is a box with an agent, a CPE (a router; with snmpd where its counters are read) and an
access link to its provider's PoP; behind the PoPs are the hub with collector and prober, and two
independent anchors. What is done to all of them is in the emulator's truth log: changes of links by
the emulator itself, what happens to boxes and devices as marks `begin.WORD.SITE`, `end.WORD.SITE`.
"""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from zlib import crc32

import yaml

from collector import enrol, identity
from collector.ledger.sqlite import SqliteLedger
from runtime.clock import SECOND, SystemClock
from runtime.lab.build import End
from runtime.lab.link import BOTH, Knobs, Link
from runtime.lab.namespaces import Namespace
from runtime.lab.topology import Province, Site, province
from tests.agent.snmp_kit import COMMUNITY, SNMPD
from tests.endtoend.promised import Promise, contracts
from tests.endtoend.wrongclock import WrongClock

HTTP_PORT, STAMP_PORT = 8460, 862
PROBER = "noc"
MIRROR = "198.18.0.3"
"""Address of the second anchor."""
UPTIME = Path(__file__).with_name("uptime.sh")
CPE_UP_S = 40 * 86_400.0
"""How long the CPEs have been on when all begins: a restart is news for two minutes."""
COMMIT_S = 1.0
"""What an agent measured is on disk so long after, at most: behind each second's first answer."""
BOOTING_S = 3
"""A box's kernel has run for so long, and up to a second more, when its agent begins."""
SOUGHT_S = 0.25
"""How often a box's kernel asks for a lost hardware address, as our sysctl file sets it: Linux
itself asks once a second, and an outage would end so much later for the box."""
DEVICE_S = 5.0
"""Seconds between two readings of a CPE."""
AGENT = {
    "rhythm": {"commit_s": COMMIT_S, "heartbeat_s": 2, "seal_s": 2, "status_s": 2},
    "uplink": {
        "timeout_s": 2,
        "backoff_base_s": 0.2,
        "backoff_cap_s": 1,
        "rejoin_spread_s": 0,
        "backlog_bytes_per_s": 1_000_000,
    },
}
_INSIDE = """\
set -e
[ "$1" = - ] || mount --bind "$1" /proc/sys/kernel/random/boot_id
if [ "$2" != - ]; then
  mount -t tmpfs none "$3"
  mkdir "$3/upper" "$3/work"
  mount -t overlay overlay -o "lowerdir=/etc,upperdir=$3/upper,workdir=$3/work" /etc
  mkdir -p /etc/pantau/credentials
  cp -p "$2" /etc/pantau/credentials/
fi
shift 3
exec "$@"
"""
"""Runs in the mount namespace that `ip netns exec` makes: nothing of it is seen outside."""
_FETCH = """\
import sys, urllib.request
sys.stdout.write(urllib.request.urlopen(sys.argv[1], timeout=5).read().decode())
"""


@dataclass(frozen=True, kw_only=True)
class Place:
    """One site of the district."""

    name: str
    pop: str
    snmp: bool = False
    """Its CPE is read by SNMP."""
    mains: bool = False
    """Its box can tell whether there is mains (GPIO)."""
    outside: bool = True
    """Its CPE is probed from the hub's side."""

    @property
    def link(self) -> str:
        """Id of its link."""
        return f"{self.name}-fo"


class Cpe:
    """What runs on the customer's router: a real snmpd, which tells of its real interfaces."""

    def __init__(self, folder: Path, site: Site) -> None:
        assert site.cpe is not None and SNMPD is not None
        self._space, self._folder = site.cpe, folder
        self._address = site.cpe_address
        folder.mkdir()

    def run(self, *, since_s: float = 0.0) -> None:
        """It has been on for so long; 0 is a boot."""
        folder = self._folder
        booted_cs = (SystemClock().boot_ns() - int(since_s * SECOND)) // (SECOND // 100)
        (folder / "snmpd.conf").write_text(
            f"agentaddress udp:{self._address}:161\n"
            f"rocommunity {COMMUNITY}\n"
            f"pass_persist .1.3.6.1.2.1.1.3 {UPTIME} {booted_cs}\n"
        )
        self._space.popen(
            [str(SNMPD), "-f", "-C", "-c", str(folder / "snmpd.conf"), "-Lf",
             str(folder / "snmpd.log"), "-I", "-smux,system_mib"],
            env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "MIBS": "",
                 "SNMP_PERSISTENT_DIR": str(folder / "kept")},
        )  # fmt: skip


class Box:
    """The agent's box: its boots have ids and boot clocks of their own, as after a power cut."""

    def __init__(
        self,
        folder: Path,
        name: str,
        space: Namespace,
        *,
        snmp: bool = False,
        agent: Mapping[str, Any] = AGENT,
    ) -> None:
        self.name, self._space, self._folder = name, space, folder
        self._boots = 0
        self.booted_s: float | None = None
        """When its boot clock began, UTC seconds; None while it is that of this machine."""
        self._clock: WrongClock | None = None
        folder.mkdir()
        (folder / "etc").mkdir()
        self._secret = folder / "cpe.yaml"
        self._secret.touch(0o600)
        self._secret.write_text(f"version: v2c\ncommunity: {COMMUNITY}\n")
        self._snmp = snmp
        settings = {**agent, "state_dir": str(folder / "state")}
        (folder / "agent.yaml").write_text(yaml.safe_dump(settings))

    def enrol(self, url: str) -> subprocess.Popen[bytes]:
        """Begins to join; the token is what its standard input waits for."""
        argv = ["enrol", url, "--token", "-"]
        return self._popen(argv, stdin=subprocess.PIPE, stderr=subprocess.PIPE)

    def start(self) -> None:
        """The agent, in the boot that is."""
        with (self._folder / "agent.log").open("ab") as log:
            self._popen(["run"], stdout=log, stderr=log)

    def boot(self, clock: WrongClock | None = None) -> None:
        """A new boot: another boot id, a boot clock that began now, then the agent.

        With `clock` the wall clock is what this says.
        """
        self._boots += 1
        self._clock = clock
        number = f"{crc32(self.name.encode()):08x}-0000-4000-8000-{self._boots:012x}"
        (self._folder / "boot_id").write_text(f"{number}\n")
        self.start()

    def began_s(self) -> float:
        """When its newest agent began, by its own log, UTC seconds."""
        lines = (self._folder / "agent.log").read_text().splitlines()
        told = [line for line in lines if f" of node {self.name}: " in line][-1]
        return datetime.strptime(told[:23], "%Y-%m-%d %H:%M:%S,%f").astimezone().timestamp()

    def kill(self) -> None:
        """Power off, or kill -9: all that runs here is gone at once."""
        self._space.kill()

    def _popen(self, argv: Sequence[str], **options: Any) -> subprocess.Popen[bytes]:
        agent = [sys.executable, "-m", "agent", *argv, "--config.file", "agent.yaml"]
        boot_id = "boot_id" if self._boots else "-"
        secret = self._secret.name if self._snmp else "-"
        inside = ["sh", "-c", _INSIDE, "box", boot_id, secret, "etc", *agent]
        if self._boots:
            clock = SystemClock()
            began_s = clock.boot_ns() // SECOND - BOOTING_S
            self.booted_s = (clock.wall_ns() - clock.boot_ns()) / SECOND + began_s
            inside = ["unshare", "--time", "--boottime", str(-began_s), *inside]
        if self._clock is not None:
            told = [f"{name}={value}" for name, value in self._clock.env.items()]
            inside[-len(agent) : -len(agent)] = ["env", *told]
        return self._space.popen(inside, cwd=self._folder, **options)


class District:
    """Everything, running."""

    def __init__(
        self,
        folder: Path,
        net: Province,
        places: Sequence[Place],
        agent: Mapping[str, Any] = AGENT,
    ) -> None:
        self.folder, self.net = folder, net
        self.pop_of = {place.name: place.pop for place in places}
        self.mirrors = {name: self._mirror(name) for name in net.pops}
        """Each PoP's link to a second anchor, on the Internet like the first."""
        self.places = {place.name: place for place in places}
        self.hub = folder / "hub"
        self.collector: subprocess.Popen[bytes] | None = None
        self.boxes: dict[str, Box] = {}
        self.cpes: dict[str, Cpe] = {}
        for place in places:
            home, site = folder / place.name, net.sites[place.name]
            site.node.sysctl("net.ipv4.neigh.lan0.retrans_time_ms", f"{SOUGHT_S * 1000:.0f}")
            self.boxes[place.name] = Box(home, place.name, site.node, snmp=place.snmp, agent=agent)
            if place.mains:
                self.mains(place.name, on=True)
            if place.snmp:
                self.cpes[place.name] = Cpe(home / "cpe", site)
        self.boxes[PROBER] = Box(folder / PROBER, PROBER, net.hub, agent=agent)

    def _mirror(self, pop: str) -> Link:
        lab, router = self.net.lab, self.net.pops[pop].router
        space = lab.spaces.get("mirror") or lab.space("mirror")
        address = self.net.pops[pop].address
        link = lab.join(
            f"{pop}-mirror",
            End(space=router, device="mirror", addresses=(f"{address} peer {MIRROR}",)),
            End(space=space, device=pop, addresses=(f"{MIRROR} peer {address}",)),
        )
        for name, site in self.net.sites.items():
            if self.pop_of[name] == pop:
                space.ip(
                    f"route add {site.cpe_wan_address} dev {pop}",
                    f"route add {site.node_address} dev {pop}",
                )
        return link

    # --- what is written ------------------------------------------------------------------

    def write(self, first_day: str, **collector: Any) -> None:
        """Settings of the collector, `collector` among them; the contracts are in force from
        `first_day`."""
        self.hub.mkdir()
        stamp = {"host": "0.0.0.0", "port": STAMP_PORT, "address": self.net.hub_address}
        self._yaml(
            "collector",
            {
                "data_dir": "data",
                "http": {"host": "0.0.0.0", "port": HTTP_PORT},
                "stamp": stamp,
                "limits": {"requests_per_minute": 6000, "burst": 6000},
                **collector,
            },
        )
        nodes = [
            {"id": one.name, "name": f"Desa {one.name}", "kind": "desa", "district": one.pop}
            for one in self.places.values()
        ]
        prober = {"id": PROBER, "name": "NOC", "kind": "hub", "district": "kota"}
        self._yaml("nodes", {"nodes": [*nodes, prober]})
        self._yaml("links", {"links": [self._link(one) for one in self.places.values()]})
        rows = [
            Promise(one.link, provider(one), one.pop, first_day) for one in self.places.values()
        ]
        self._yaml("contracts", contracts(rows))

    def _link(self, place: Place) -> dict[str, Any]:
        site = self.net.sites[place.name]
        gateway = {"role": "gateway", "address": site.cpe_address}
        targets: list[dict[str, Any]] = [
            {"name": "gateway", "probe": "icmp", **gateway},
            {"name": "pop", "probe": "icmp", "role": "first_hop",
             "address": self.net.pops[place.pop].address},
            {"name": "anchor", "probe": "icmp", "role": "anchor",
             "address": self.net.anchor_address},
            {"name": "mirror", "probe": "icmp", "role": "anchor", "address": MIRROR},
        ]  # fmt: skip
        if place.snmp:
            targets.append(
                {"name": "cpe-device", "probe": "snmp", **gateway, "port": 161, "timeout_s": 3,
                 "interval_s": DEVICE_S, "credentials": "cpe", "device_interface": "wan0"}
            )  # fmt: skip
        if place.mains:
            targets.append(
                {"name": "mains", "probe": "power", "role": "gateway", "address": "127.0.0.1",
                 "interval_s": 1, "timeout_s": 1, "source": f"gpio:{self._gpio(place.name)}"}
            )  # fmt: skip
        return {
            "id": place.link,
            "node": place.name,
            "provider": provider(place),
            "medium": "fibre",
            "pop": place.pop,
            "cpe_address": site.cpe_wan_address if place.outside else None,
            "targets": targets,
        }

    def _yaml(self, name: str, data: Mapping[str, Any]) -> None:
        (self.hub / f"{name}.yaml").write_text(yaml.safe_dump(data, sort_keys=False))

    def _gpio(self, name: str) -> Path:
        return self.folder / name / "gpio"

    def mains(self, name: str, *, on: bool) -> None:
        """What the box's mains sense says."""
        self._gpio(name).write_text(f"{on:d}\n")

    # --- what runs ------------------------------------------------------------------------

    def start_collector(self) -> None:
        """Start it and wait until it takes reports."""
        with (self.folder / "collector.log").open("ab") as log:
            self.collector = self.net.hub.popen(
                [sys.executable, "-m", "collector", "serve", "--config.file", "collector.yaml"],
                cwd=self.hub,
                stdout=log,
                stderr=log,
            )
        self.wait_for("collector ready", 30, lambda: self.fetch("/-/ready") is not None)

    def kill_collector(self) -> None:
        """kill -9."""
        assert self.collector is not None
        self.collector.kill()
        self.collector.wait()

    def start(self) -> None:
        """Collector, devices, and all boxes, joined; returns when every link is seen up."""
        self.start_collector()
        for cpe in self.cpes.values():
            cpe.run(since_s=CPE_UP_S)
        self._join()
        for box in self.boxes.values():
            box.start()
        self.wait_for(
            "all links up", 60, lambda: self.count("pantau_link_state", "up") == len(self.places)
        )

    def _join(self) -> None:
        data = self.hub / "data"
        url = f"http://{self.net.hub_address}:{HTTP_PORT}"
        joining = {name: box.enrol(url) for name, box in self.boxes.items()}
        ledger = SqliteLedger(data / "ledger.db")
        try:
            keys, clock = identity.load_or_make(data), SystemClock()
            tokens = {
                name: enrol.invite(ledger, keys, clock, name, enrol.DAY_NS) for name in joining
            }
        finally:
            ledger.close()
        for name, process in joining.items():
            _, said = process.communicate(f"{tokens[name]}\n".encode(), timeout=60)
            assert process.returncode == 0, f"{name} could not join: {said.decode()}"

    def wait_for(
        self, what: str, seconds: float, is_so: Callable[[], bool], *, every_s: float = 0.5
    ) -> None:
        """Raises AssertionError with the logs' ends after so long."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if is_so():
                return
            time.sleep(every_s)
        raise AssertionError(f"not within {seconds} s: {what}\n{self.logs()}")

    def logs(self) -> str:
        """The ends of all logs."""
        files = [self.folder / "collector.log", *sorted(self.folder.glob("*/agent.log"))]
        return "\n".join(
            f"== {file.parent.name}/{file.name}\n{file.read_text()[-800:]}"
            for file in files
            if file.exists()
        )

    # --- what it says ---------------------------------------------------------------------

    def fetch(self, path: str) -> str | None:
        """A page of the collector; None while it does not answer."""
        return self.get(f"http://127.0.0.1:{HTTP_PORT}{path}")

    def get(self, url: str) -> str | None:
        """A page as the hub gets it; None where there is no good answer."""
        done = self.net.hub.run([sys.executable, "-c", _FETCH, url], check=False)
        return done.stdout if done.returncode == 0 else None

    def page(self, path: str) -> Any:
        """What the API answers."""
        text = self.fetch(path)
        assert text is not None, path
        return json.loads(text)

    def values(self, metric: str, label: str) -> list[float]:
        """Samples of one metric that carry this label value."""
        page = self.fetch("/metrics") or ""
        rows = (line.rsplit(" ", 1) for line in page.splitlines() if line.startswith(f"{metric}{{"))
        return [float(value) for name, value in rows if f'"{label}"' in name]

    def count(self, metric: str, label: str) -> int:
        """How many of them are 1."""
        return sum(value == 1 for value in self.values(metric, label))

    def ask(self, *argv: str) -> Any:
        """What a command of the collector prints with --json."""
        command = [sys.executable, "-m", "collector", *argv, "--config.file", "collector.yaml"]
        done = self.net.hub.run([*command, "--json"], cwd=self.hub, check=False, timeout=60)
        assert done.returncode == 0, f"{' '.join(argv)}: {done.stderr}"
        return json.loads(done.stdout)

    def drain(self) -> None:
        """Wait until the hub has all that the boxes measured so far."""
        self.wait_for("spools drained", 60, self._drained)

    def _drained(self) -> bool:
        page = self.fetch("/metrics") or ""
        rows = [line.rsplit(" ", 1) for line in page.splitlines()]
        waiting = [float(v) for n, v in rows if n.startswith("pantau_agent_spool_batches{")]
        missing = [
            float(v) for n, v in rows if n.startswith("pantau_link_evidence_missing_batches{")
        ]
        return len(waiting) == len(self.boxes) and max(waiting) <= 1 and sum(missing) == 0

    # --- what is done to it ---------------------------------------------------------------

    def site(self, name: str) -> Site:
        """A site of the network."""
        return self.net.sites[name]

    def mark(self, *words: str) -> None:
        """Write what was done into the truth log."""
        self.net.lab.emulator.mark(".".join(words))

    def router_dead(self, name: str, *, dead: bool) -> None:
        """The CPE loses power, or has it again: both of its interfaces are dead, snmpd too."""
        site = self.site(name)
        assert site.cpe is not None
        if dead:
            site.link.set(BOTH, Knobs(powered=False))
            site.cpe.kill()
            self.unplug_lan(name)
        else:
            self.plug_lan(name)
            self.cpes[name].run()
            site.link.set(BOTH, Knobs(powered=True))

    def unplug_lan(self, name: str) -> None:
        """The cable between box and CPE: both lose the carrier."""
        self._cpe(name).ip("link set lan0 down")

    def plug_lan(self, name: str) -> None:
        """The cable is back."""
        self._cpe(name).ip("link set lan0 up")

    def _cpe(self, name: str) -> Namespace:
        cpe = self.site(name).cpe
        assert cpe is not None
        return cpe

    def use(self, name: str, packets: int) -> None:
        """Somebody at the site uses its link: as many packets of 1,428 bytes, and their answers."""
        self._cpe(name).popen(
            ["ping", "-q", "-i", "0.01", "-s", "1400", "-c", str(packets), self.net.hub_address],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )


def provider(place: Place) -> str:
    """Two PoPs a provider, so that no provider is the whole district."""
    return "Penyedia A" if place.pop in ("utara", "selatan") else "Penyedia B"


@contextmanager
def district(
    folder: Path, places: Sequence[Place], agent: Mapping[str, Any] = AGENT
) -> Iterator[District]:
    """The district, built and not yet started; `agent` is all that its agents' settings say."""
    with province({place.name: place.pop for place in places}) as net:
        net.lab.emulator.log_packets()
        yield District(folder, net, places, agent)
