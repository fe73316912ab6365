"""The demo's stage: settings written, collector and agents started as real processes."""

import contextlib
import os
import secrets
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from collector import enrol, identity
from collector.access import passwords
from collector.access.roles import Role
from collector.access.store import AccessStore, Account, Deed, Told
from collector.ledger.sqlite import SqliteLedger
from runtime.clock import SystemClock
from runtime.lab.link import BOTH, UP, Knobs
from runtime.lab.namespaces import Namespace
from runtime.lab.topology import Site, star

_START_S = 20.0
_STOP_S = 8.0
_HEALTHY = "/-/healthy"


LOGIN = "demo"


class SceneError(RuntimeError):
    """The stage could not be built; the text holds what the program said."""


@dataclass(frozen=True, kw_only=True)
class Place:
    """One node of the demo and the quality of its link."""

    node: str
    name: str
    kind: str
    district: str
    provider: str
    medium: str
    latitude: float
    longitude: float
    both: Knobs
    up: Knobs


PLACES = (
    Place(
        node="opd-kesehatan",
        name="Dinas Kesehatan",
        kind="opd",
        district="Kota",
        provider="Penyedia A",
        medium="fibre",
        latitude=-6.922,
        longitude=106.927,
        both=Knobs(delay_ms=2, jitter_ms=0.2),
        up=Knobs(loss=0),
    ),
    Place(
        node="desa-sukamaju",
        name="Desa Sukamaju",
        kind="desa",
        district="Kec. Cibadak",
        provider="Penyedia B",
        medium="radio",
        latitude=-6.889,
        longitude=106.783,
        both=Knobs(delay_ms=12, jitter_ms=4),
        up=Knobs(loss=0.02),
    ),
    Place(
        node="desa-ujunggenteng",
        name="Desa Ujunggenteng",
        kind="desa",
        district="Kec. Ciracap",
        provider="Penyedia C",
        medium="VSAT",
        latitude=-7.352,
        longitude=106.412,
        both=Knobs(delay_ms=270, jitter_ms=15),
        up=Knobs(loss=0.03),
    ),
)


@dataclass
class Scene:
    """What is running, and what can be done to it."""

    folder: Path
    url: str
    prober: str
    """Where the cut happens, in words."""
    victim: str
    """Link that the story watches."""
    password: str
    """Of the account LOGIN."""
    token: str
    """The collector's own, for its API."""
    cut: Callable[[], None]
    mend: Callable[[], None]
    place_of: dict[str, Place] = field(default_factory=dict)
    hub_goes_away: bool = False
    stop_all: Callable[[], None] = lambda: None


def free_port(preferred: int, kind: socket.SocketKind = socket.SOCK_STREAM) -> int:
    """This port, or any other where it is taken."""
    with socket.socket(socket.AF_INET, kind) as probe:
        with contextlib.suppress(OSError):
            probe.bind(("0.0.0.0", preferred))
            return preferred
        probe.bind(("0.0.0.0", 0))
        return int(probe.getsockname()[1])


def _contract(place: Place) -> dict[str, Any]:
    """What was promised for the place's link, since long before the demo."""
    return {
        "reference": f"DEMO/{place.node}",
        "signed_on": "2025-12-15",
        "link": f"{place.node}-1",
        "provider": place.provider,
        "pop": "POP-DEMO",
        "first_day": "2026-01-01",
        "zone": "WIB",
        "availability_target": 0.995,
        "limits": {"domestic": {"rtt_s": 0.1, "rtt_percentile": 95, "loss_ratio": 0.01}},
        "cir": {
            "layer": "l2",
            "domestic": {"down_bps": 20_000_000, "up_bps": 20_000_000},
        },
        "restitution": {"rule": "LIN_EXC"},
        "fee_rupiah": 4_500_000,
    }


class Stage:
    """Files, ports and processes of one demo."""

    def __init__(self, folder: Path, hub_address: str, listen: str) -> None:
        self.folder = folder
        self._address = hub_address
        self._listen = listen
        self.port = free_port(8460)
        self._stamp_port = free_port(18620, socket.SOCK_DGRAM)
        self.local_url = f"http://127.0.0.1:{self.port}"
        self._collector: subprocess.Popen[bytes] | None = None
        self.agents: list[subprocess.Popen[bytes]] = []

    def write(self, places: tuple[Place, ...]) -> None:
        """Settings of the collector and the agents."""
        self._yaml(
            "collector.yaml",
            {
                "data_dir": "collector",
                "http": {"host": self._listen, "port": self.port},
                "stamp": {"host": self._listen, "port": self._stamp_port, "address": self._address},
            },
        )
        self._yaml(
            "nodes.yaml",
            {
                "nodes": [
                    {
                        "id": p.node,
                        "name": p.name,
                        "kind": p.kind,
                        "district": p.district,
                        "latitude": p.latitude,
                        "longitude": p.longitude,
                    }
                    for p in places
                ]
            },
        )
        self._yaml(
            "links.yaml",
            {
                "links": [
                    {
                        "id": f"{p.node}-1",
                        "node": p.node,
                        "provider": p.provider,
                        "medium": p.medium,
                        "pop": "POP-DEMO",
                        "targets": [
                            {
                                "name": "hub-icmp",
                                "probe": "icmp",
                                "role": "anchor",
                                "address": self._address,
                            }
                        ],
                    }
                    for p in places
                ]
            },
        )
        self._yaml("contracts.yaml", {"contracts": [_contract(p) for p in places]})
        for place in places:
            # Faster than in the field, so that a visitor sees the backlog arrive.
            self._yaml(
                f"{place.node}.yaml",
                {
                    "state_dir": place.node,
                    "rhythm": {"commit_s": 2, "heartbeat_s": 5, "seal_s": 5, "status_s": 2},
                    "uplink": {
                        "timeout_s": 4,
                        "backoff_base_s": 0.5,
                        "backoff_cap_s": 4,
                        "rejoin_spread_s": 2,
                        "backlog_bytes_per_s": 8000,
                    },
                },
            )

    def _yaml(self, name: str, data: dict[str, Any]) -> None:
        (self.folder / name).write_text(yaml.safe_dump(data, sort_keys=False))

    def make_account(self) -> tuple[str, str]:
        """An operator's account: its password, and the collector's own token."""
        # Anew each time: the demo listens where others may reach it.
        password, data = secrets.token_urlsafe(9), self.folder / "collector"
        store, now = AccessStore(data / "access.db"), SystemClock().wall_ns()
        told = Told(now, "demo", "", "demo", Deed.ACCOUNT_ADD, LOGIN, Role.OPERATOR)
        store.add(Account(LOGIN, Role.OPERATOR, passwords.make(password), now, None), told)
        store.close()
        return password, identity.operator_token(data)

    def start_collector(self) -> None:
        """Start the collector and wait until it answers. Raises SceneError."""
        with (self.folder / "collector.log").open("ab") as log:
            self._collector = subprocess.Popen(
                [sys.executable, "-m", "collector", "serve", "--config.file", "collector.yaml"],
                cwd=self.folder,
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )
        self._wait_healthy()

    def _wait_healthy(self) -> None:
        clock = SystemClock()
        end = clock.boot_ns() + int(_START_S * 1e9)
        while clock.boot_ns() < end:
            if self._collector is not None and self._collector.poll() is not None:
                break
            with contextlib.suppress(OSError):
                urllib.request.urlopen(self.local_url + _HEALTHY, timeout=1).close()
                return
            time.sleep(0.1)
        raise SceneError(
            "the collector did not start:\n" + (self.folder / "collector.log").read_text()[-2000:]
        )

    def stop_collector(self) -> None:
        """SIGTERM, and wait."""
        end(self._collector)

    def join(self, place: Place, space: Namespace) -> None:
        """Invite, enrol and start the agent of one node. Raises SceneError."""
        data = self.folder / "collector"
        ledger = SqliteLedger(data / "ledger.db")
        token = enrol.invite(
            ledger, identity.load_or_make(data), SystemClock(), place.node, enrol.DAY_NS
        )
        ledger.close()
        agent = [sys.executable, "-m", "agent"]
        config = ["--config.file", f"{place.node}.yaml"]
        url = f"http://{self._address}:{self.port}"
        joined = space.run(
            [*agent, "enrol", url, "--token", "-", *config],
            cwd=self.folder,
            input=f"{token}\n",
            check=False,
        )
        if joined.returncode:
            raise SceneError(f"{place.node} could not join: {joined.stderr}")
        with (self.folder / f"{place.node}.log").open("ab") as log:
            self.agents.append(
                space.popen([*agent, "run", *config], cwd=self.folder, stdout=log, stderr=log)
            )

    def stop(self) -> None:
        """Agents first, so that they can deliver; then the collector."""
        for agent in self.agents:
            if agent.poll() is None:
                agent.terminate()
        for agent in self.agents:
            end(agent)
        self.agents.clear()
        self.stop_collector()
        self._collector = None


def end(process: subprocess.Popen[bytes] | None) -> None:
    """SIGTERM, and SIGKILL to one that does not heed it; it is gone on return."""
    if process is None:
        return
    if process.poll() is None:
        process.terminate()
    try:
        process.wait(_STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


@contextlib.contextmanager
def namespaces(folder: Path) -> Iterator[Scene]:
    """Three nodes behind emulated links; the hub is this machine."""
    # Relative state folders in the settings are relative to where the agents are started.
    os.chdir(folder)
    with star(tuple(place.node for place in PLACES), hub_in_root=True) as net:
        stage = Stage(folder, net.hub_address, "0.0.0.0")
        stage.write(PLACES)
        password, token = stage.make_account()
        victim = net.sites[PLACES[1].node]
        try:
            stage.start_collector()
            for place in PLACES:
                _shape(net.sites[place.node], place)
                stage.join(place, net.sites[place.node].node)
            yield Scene(
                folder=folder,
                url=stage.local_url,
                prober="the access link of Desa Sukamaju",
                victim=f"{PLACES[1].node}-1",
                password=password,
                token=token,
                cut=lambda: _ignore(victim.link.down()),
                mend=lambda: _ignore(victim.link.up()),
                place_of={f"{place.node}-1": place for place in PLACES},
                stop_all=stage.stop,
            )
        finally:
            stage.stop()


def _ignore(_: object) -> None:
    return None


def _shape(site: Site, place: Place) -> None:
    site.link.set(BOTH, place.both)
    site.link.set(UP, place.up)


@contextlib.contextmanager
def loopback(folder: Path) -> Iterator[Scene]:
    """One node on loopback; the hub stops and starts again."""
    os.chdir(folder)
    place = PLACES[0]
    stage = Stage(folder, "127.0.0.1", "127.0.0.1")
    stage.write((place,))
    password, token = stage.make_account()
    try:
        stage.start_collector()
        stage.join(place, Namespace(None, "this machine"))
        yield Scene(
            folder=folder,
            url=stage.local_url,
            prober="the hub (it is stopped)",
            victim=f"{place.node}-1",
            password=password,
            token=token,
            cut=stage.stop_collector,
            mend=stage.start_collector,
            place_of={f"{place.node}-1": place},
            hub_goes_away=True,
            stop_all=stage.stop,
        )
    finally:
        stage.stop()
