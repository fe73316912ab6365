"""A district for the page: a collector in a thread, a day of evidence, boxes that speak now."""

import asyncio
import random
import shutil
import socket
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from collector.access import passwords
from collector.access.roles import Role as AccountRole
from collector.access.store import AccessStore, Account, Deed, Told
from collector.app import Collector
from collector.ledger.recent import Minute
from collector.ledger.sqlite import SqliteLedger
from collector.reading import Scope, read
from collector.settings import read as read_settings
from runtime.clock import SystemClock
from tests.collector.kit import Box, reported
from tests.collector.settle.line import BITS, transfer
from wire import stamp
from wire.codec import Record
from wire.instant import ClockClass
from wire.journal import Anchor, Heartbeat
from wire.message import Figures, OrderProgress, OrderState, SpoolStatus, ThroughputStatus
from wire.observation import Outcome, StampSource, Train
from wire.slot import Direction
from wire.transfer import Offer

NS = 1_000_000_000
MS = 1_000_000
BATCH_S = 600
PASSWORD = "kata sandi yang panjang"
HASH = passwords.make(PASSWORD)


@dataclass(frozen=True)
class Cut:
    """Seconds, counted back from now, in which nothing passed."""

    from_ago_s: int
    length_s: int


@dataclass(frozen=True)
class Site:
    """A node with one link, and how good the link was."""

    node: str
    name: str
    kind: str = "desa"
    district: str = "Kec. Cibadak"
    provider: str = "Penyedia A"
    medium: str = "fibre"
    pop: str = "POP-1"
    latitude: float | None = None
    longitude: float | None = None
    rtt_ms: float = 8.0
    loss_up: float = 0.0
    loss_down: float = 0.0
    cuts: tuple[Cut, ...] = ()
    busy_evening: bool = False
    zone: str = "WIB"
    alive: bool = True
    target: float = 0.995
    history_s: int = 0
    tested: bool = False

    @property
    def link(self) -> str:
        return f"{self.node}-1"


def nodes_yaml(sites: Iterable[Site]) -> dict[str, Any]:
    rows = []
    for site in sites:
        row: dict[str, Any] = {
            "id": site.node,
            "name": site.name,
            "kind": site.kind,
            "district": site.district,
        }
        if site.latitude is not None:
            row |= {"latitude": site.latitude, "longitude": site.longitude}
        rows.append(row)
    return {"nodes": rows}


def links_yaml(sites: Iterable[Site], **more: Any) -> dict[str, Any]:
    rows = []
    for site in sites:
        row = {
            "id": site.link,
            "node": site.node,
            "provider": site.provider,
            "medium": site.medium,
            "pop": site.pop,
            "circuit": f"CID-{site.node}",
            "targets": [
                {"name": "gw", "probe": "icmp", "role": "gateway", "address": "192.168.1.1"},
                {"name": "iix", "probe": "icmp", "role": "anchor", "address": "198.51.100.7"},
            ],
            "throughput": {"zone": site.zone},
        }
        rows.append(row | more)
    return {"links": rows}


def contracts_yaml(sites: Iterable[Site]) -> dict[str, Any]:
    return {
        "contracts": [
            {
                "reference": f"027/{k:03}/SPK/2026",
                "signed_on": "2025-12-15",
                "link": site.link,
                "provider": site.provider,
                "pop": site.pop,
                "first_day": "2026-01-01",
                "zone": site.zone,
                "availability_target": site.target,
                "cir": {
                    "layer": "ip",
                    "domestic": {"down_bps": 20_000_000, "up_bps": 20_000_000},
                },
                "restitution": {"rule": "LIN_EXC"},
                "limits": {"domestic": {"rtt_s": 0.05, "rtt_percentile": 95, "loss_ratio": 0.01}},
                "fee_rupiah": 4_500_000,
            }
            for k, site in enumerate(sites, 1)
        ]
    }


class _Past:
    """What a site's box recorded, batch by batch."""

    def __init__(self, site: Site, box: Box, now_s: int) -> None:
        self.site, self.box, self.now_s = site, box, now_s
        self._chance = random.Random(site.node)
        self.boot_s = (now_s - site.history_s) // BATCH_S * BATCH_S - BATCH_S
        """When the box booted, UTC seconds."""
        self._reflected = 0
        self._last: tuple[int, int] | None = None

    def _boot_ns(self, at_s: float) -> int:
        return round((at_s - self.boot_s) * NS)

    def _cut(self, at_s: int) -> bool:
        ago = self.now_s - at_s
        return any(one.from_ago_s - one.length_s < ago <= one.from_ago_s for one in self.site.cuts)

    def _rtt_ms(self, at_s: int) -> float:
        site, chance = self.site, self._chance
        local_h = (at_s / 3600 + 7) % 24
        load = 1.0
        if site.busy_evening and 18.5 < local_h < 23:
            load = 3.0 + 2.5 * chance.random()
        tail = chance.expovariate(1 / (0.06 * site.rtt_ms * load))
        return site.rtt_ms * (0.96 + 0.04 * load) + tail * load

    def _train(self, target: str, probe: str, at_s: int, **told: Any) -> Train:
        seconds = range(at_s, at_s + BATCH_S)
        fields: dict[str, Any] = {
            "link": self.site.link,
            "target": target,
            "probe": probe,
            "address": "192.0.2.1",
            "first_seq": at_s - self.boot_s,
            "boot_ns": self._boot_ns(at_s),
            "interval_ns": NS,
            "timeout_ns": 2 * NS,
            "send_us": [k * 1_000_000 for k in range(len(seconds))],
        }
        return Train(**fields | told)

    def _hub(self, at_s: int) -> Train:
        rtts: list[int | None] = []
        reflected: list[int | None] = []
        prior = self._last
        for second in range(at_s, at_s + BATCH_S):
            chance, site = self._chance, self.site
            evening = site.busy_evening and 18.5 < (second / 3600 + 7) % 24 < 23
            worse = 12 if evening else 1
            if self._cut(second) or chance.random() < site.loss_up * worse:
                rtts.append(None)
                reflected.append(None)
                continue
            counter, self._reflected = self._reflected, self._reflected + 1
            if chance.random() < site.loss_down * worse:
                rtts.append(None)
                reflected.append(None)
                continue
            rtts.append(round(self._rtt_ms(second) * MS))
            reflected.append(counter)
            self._last = (second - self.boot_s, counter)
        fates = _fates(rtts, StampSource.KERNEL)
        return self._train("hub", "stamp", at_s, **fates, reflector_seq=reflected, prior=prior)

    def _echo(self, target: str, at_s: int, rtt_ms: float, *, beyond: bool) -> Train:
        rtts = [
            None
            if beyond and self._cut(second)
            else round(rtt_ms * MS * (1 + self._chance.random() / 9))
            for second in range(at_s, at_s + BATCH_S)
        ]
        return self._train(target, "icmp", at_s, **_fates(rtts, StampSource.KERNEL))

    def records(self, at_s: int) -> list[Record]:
        beats = [self._beat(second) for second in range(at_s + 5, at_s + BATCH_S, 10)]
        return [
            self._hub(at_s),
            self._echo("gw", at_s, 0.6, beyond=False),
            self._echo("iix", at_s, 1.4 * self.site.rtt_ms, beyond=True),
            *beats,
        ]

    def _beat(self, at_s: int) -> Heartbeat:
        boot_ns = self._boot_ns(at_s)
        reached = not self._cut(at_s)
        return Heartbeat(
            boot_ns=boot_ns,
            wall_ns=at_s * NS,
            clock=ClockClass.A,
            clock_error_ns=4 * MS,
            clock_source="chrony",
            slot_late_ns=MS,
            send_call_ns=MS // 10,
            anchor=Anchor(boot_ns, at_s * NS, 5 * MS) if reached else None,
        )


def _fates(rtts: Sequence[int | None], source: StampSource) -> dict[str, Any]:
    return {
        "rtt_ns": list(rtts),
        "outcome": [Outcome.TIMEOUT if rtt is None else Outcome.OK for rtt in rtts],
        "stamp": [StampSource.NONE if rtt is None else source for rtt in rtts],
    }


def _tests(past: _Past, at_s: int) -> list[Record]:
    """Two throughput tests in ten minutes, better in the morning than in the evening."""
    boot_ns = past._boot_ns(at_s + 300)
    return [
        transfer(
            past.site.link,
            boot_ns + k,
            y,
            direction=way,
            offered=(Offer(0, 19_600_000),),
            octets=[round(y * 2 * BITS / 80)] * 100,
            slot_id=f"{at_s + k:032x}",
        )
        for k, (way, y) in enumerate(((Direction.DOWN, 0.93), (Direction.UP, 0.78)))
    ]


def remember(ledger: SqliteLedger, site: Site, box: Box, now_s: int) -> None:
    """Put the site's past into the ledger, as batches that arrived when they were sealed."""
    past = _Past(site, box, now_s)
    begin = (now_s - site.history_s) // BATCH_S * BATCH_S
    scope = Scope([site.link], [])
    entries = []
    for at_s in range(begin, now_s - BATCH_S, BATCH_S):
        sealed_s = at_s + BATCH_S + 1
        told = past.records(at_s) + (_tests(past, at_s) if site.tested else [])
        batch = box.batch(told, sealed_wall_ns=sealed_s * NS)
        entries.append(read(batch, (sealed_s + 1) * NS, scope))
    if entries:
        assert all(one.new for one in ledger.store(entries))


@dataclass
class District:
    """A collector that runs, and its boxes."""

    folder: Path
    sites: tuple[Site, ...]
    roles: tuple[AccountRole, ...] = tuple(AccountRole)
    settings: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.clock = SystemClock()
        self.now_s = self.clock.wall_ns() // NS
        self.boxes = {site.node: Box(k, site.node) for k, site in enumerate(self.sites, 1)}
        self.dead = {site.link for site in self.sites if not site.alive}
        """Links whose packets do not reach the hub."""
        self.failure: BaseException | None = None
        self.cookies: dict[str, Any] = {}
        """Of visits that have begun, by account."""
        self._ready = threading.Event()
        self._write()
        self._thread = threading.Thread(target=self._run, name="collector")
        self._thread.start()
        assert self._ready.wait(60)
        if self.failure is not None:
            raise self.failure

    def _write(self) -> None:
        etc = self.folder / "etc"
        shutil.rmtree(etc, ignore_errors=True)
        etc.mkdir(parents=True)
        told = {
            "data_dir": "data",
            "http": {"host": "127.0.0.1", "port": 0},
            "stamp": {
                "host": "127.0.0.1",
                "port": 0,
                "address": "127.0.0.1",
                "authenticated": False,
            },
            "silence_after_s": 2.5,
            "throughput": {"capacity_mbps": 700, "host": "127.0.0.1", "port": 0},
            **self.settings,
        }
        for name, data in (
            ("collector", told),
            ("nodes", nodes_yaml(self.sites)),
            ("links", links_yaml(self.sites)),
            ("contracts", contracts_yaml(self.sites)),
        ):
            (etc / f"{name}.yaml").write_text(yaml.safe_dump(data, allow_unicode=True))
        store = AccessStore(etc / "data" / "access.db")
        for role in self.roles:
            noted = Told(1, "root", "", "", Deed.ACCOUNT_ADD, role.value)
            store.add(Account(role.value, role, HASH, 1, None), noted)
        store.close()
        ledger = SqliteLedger(etc / "data" / "ledger.db")
        # A thousand enrolments, each durable by itself, would be what the test waits for.
        ledger.rows("PRAGMA synchronous=OFF")
        for site in self.sites:
            box = self.boxes[site.node]
            ledger.add_token(box.token)
            ledger.enrol(box.token.token_id, box.agent)
            if site.history_s:
                remember(ledger, site, box, self.now_s)
        ledger.close()

    # --- the collector's thread -------------------------------------------------------------

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as error:  # noqa: BLE001 - told by the test's own thread
            self.failure = error
        finally:
            self._ready.set()

    async def _serve(self) -> None:
        self.loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        self.collector = Collector(
            read_settings(self.folder / "etc" / "collector.yaml"), self.clock
        )
        async with asyncio.TaskGroup() as group:
            running = group.create_task(self.collector.run(self._stop))
            while not self.collector.pages.ready and not running.done():
                await asyncio.sleep(0.01)
            speaking = group.create_task(self._speak())
            self.url = f"http://127.0.0.1:{self.collector.port}"
            self._ready.set()
            await running
            speaking.cancel()

    async def _speak(self) -> None:
        """Every box that is not cut off sends its packet a second and its status."""
        seqs = dict.fromkeys(self.boxes, 0)
        out = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        out.setblocking(False)
        address = ("127.0.0.1", self.collector.reflector.port)
        chance = random.Random(1)
        with out:
            while True:
                fleet = self.collector.board.fleet
                for site in self.sites:
                    if site.link in self.dead or site.link not in fleet.ssids:
                        continue
                    ntp = stamp.ntp64(self.clock.wall_ns())
                    packet = stamp.SenderPacket(
                        seqs[site.node], ntp, 0x9282, fleet.ssids[site.link]
                    )
                    seqs[site.node] += 1
                    out.sendto(stamp.pack_sender(packet), address)
                    self._status(site, chance)
                await asyncio.sleep(1)

    def _status(self, site: Site, chance: random.Random) -> None:
        box = self.boxes[site.node]
        lost = sum(chance.random() < site.loss_up + site.loss_down for _ in range(10))
        seen = reported(site.link, lost=lost, rtt_ms=site.rtt_ms * (1 + chance.random() / 9))
        boot_ns = self.clock.boot_ns() + 1_000 * NS
        status = box.status(
            targets=(seen,),
            wall_ns=self.clock.wall_ns(),
            boot_ns=boot_ns,
            spool=SpoolStatus(
                batches_waiting=1,
                bytes_used=8192,
                bytes_cap=1 << 28,
                oldest_boot_ns=boot_ns - 45 * NS,
            ),
        )
        now = self.clock.boot_ns(), self.clock.wall_ns()
        self.collector.board.live.hear(box.agent, status, *now)

    @staticmethod
    def minute(link: str, at_s: int, sent: int, lost: int, rtt_ms: float) -> Minute:
        """Packets as the ledger would tell them."""
        return Minute(0, link, at_s, sent, lost, round((sent - lost) * rtt_ms * MS))

    def call(self, act: Callable[[], Any]) -> Any:
        """Do something in the collector's thread."""

        async def wrapped() -> Any:
            return act()

        return asyncio.run_coroutine_threadsafe(wrapped(), self.loop).result(30)

    def progress(self, link: str, state: OrderState, *figures: Figures) -> None:
        """The link's agent says how far its newest order is."""
        site = next(one for one in self.sites if one.link == link)
        newest = [one for one in self.collector.slots.book.all() if one.order.link == link][-1]
        told = OrderProgress(order_id=newest.order.order_id, state=state, figures=figures)
        agent = self.boxes[site.node].agent
        said = self.collector.slots.hear(agent, ThroughputStatus(orders=(told,)))
        asyncio.run_coroutine_threadsafe(said, self.loop).result(30)

    def close(self) -> None:
        self.loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(30)
        assert not self._thread.is_alive()
        if self.failure is not None:
            raise self.failure
