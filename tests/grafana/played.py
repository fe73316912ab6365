"""A small district played to a real collector, and a real Prometheus that has its history.

Three days pass on the collector's clock in seconds: its page is kept at moments of them, as a
Prometheus would have scraped it, and written to Prometheus at those times; then Prometheus scrapes
the collector itself, with the shipped settings and rules, only more often.
"""

import asyncio
import contextlib
import itertools
import json
import re
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from collector.backfill import remote_write
from collector.backfill.remote_write import Point
from runtime.clock import SECOND
from runtime.testing import FakeClock
from tests.collector.hub import Hub, serving, settings_in
from tests.collector.kit import Box, reported, train
from tests.collector.settle import line
from wire import stamp
from wire.codec import Record
from wire.detail import Hop, Power, Reading
from wire.detail import Path as Way
from wire.instant import ClockClass
from wire.journal import Anchor, Gap, GapReason, Heartbeat
from wire.message import End, LinkTests, SpoolStatus, ThroughputStatus
from wire.observation import Outcome
from wire.slot import Direction
from wire.transfer import Transfer

ROOT = Path(__file__).parents[2]
SHIPPED = ROOT / "configs" / "prometheus"
MINUTE = 60
DAYS_OF_TESTS = 28
PLACES = {"n1": (-6.8901, 106.7812), "n2": (-6.9175, 107.6191), "n3": (-7.01, 107.2)}
NODES = {
    "nodes": [
        {"id": node, "name": name, "kind": kind, "district": district}
        | dict(zip(("latitude", "longitude"), PLACES[node], strict=True))
        for node, name, kind, district in (
            ("n1", "Desa Satu", "desa", "Kec. A"),
            ("n2", "Dinas Dua", "opd", "Kota"),
            ("n3", "Desa Tiga", "desa", "Kec. A"),
        )
    ]
}
ROUTER = {"role": "gateway", "address": "192.168.1.1"}
LINKS = {
    "links": [
        {
            "id": "kota",
            "node": "n2",
            "provider": "Penyedia A",
            "medium": "fibre",
            "pop": "POP-1",
            "circuit": "SID 4700",
            "throughput": {"zone": "WIB", "down_mbps": 10, "up_mbps": 10},
            "targets": [
                {"name": "gateway", "probe": "icmp", **ROUTER},
                {"name": "anchor", "probe": "icmp", "role": "anchor", "address": "192.0.2.9"},
                {"name": "router", "probe": "snmp", "device_interface": "wan0", **ROUTER}
                | {"interval_s": 60, "timeout_s": 5, "credentials": "router"},
                {"name": "mains", "probe": "power", "source": "sysfs:/x", **ROUTER}
                | {"interval_s": 60, "timeout_s": 5},
                {"name": "way", "probe": "path", "role": "hub", "address": "192.0.2.1"}
                | {"interval_s": 60, "timeout_s": 5},
            ],
        },
        {"id": "desa", "node": "n1", "provider": "Penyedia B", "medium": "radio", "pop": "POP-2"},
        {"id": "putus", "node": "n3", "provider": "Penyedia B", "medium": "radio", "pop": "POP-2"},
    ]
}
NODE_OF = {link["id"]: link["node"] for link in LINKS["links"]}
TERMS = {
    "signed_on": "2025-12-01",
    "first_day": "2026-01-01",
    "zone": "WIB",
    "availability_target": 0.995,
    "cir": {"layer": "ip", "domestic": {"down_bps": line.BITS, "up_bps": line.BITS}},
    "restitution": {"rule": "LIN"},
    "fee_rupiah": 2_500_000,
    "limits": {
        "domestic": {"rtt_s": 0.03, "rtt_percentile": 95, "pdv_s": 0.02, "loss_ratio": 0.01}
    },
}


class LiveClock(FakeClock):
    """In the test's hands until it goes live: then it goes on by itself."""

    _since_ns: int | None = None

    def go_live(self) -> None:
        self._since_ns = time.monotonic_ns()

    def _more(self) -> int:
        return 0 if self._since_ns is None else time.monotonic_ns() - self._since_ns

    def boot_ns(self) -> int:
        return super().boot_ns() + self._more()

    def wall_ns(self) -> int:
        return super().wall_ns() + self._more()


class Story:
    """What the boxes say, by the wall clock. All booted 40 days ago."""

    def __init__(self, now_s: int) -> None:
        self.now_s = now_s
        self.booted_s = now_s - 40 * 86_400
        self.boxes = {
            link: Box(number, node) for number, (link, node) in enumerate(NODE_OF.items(), 1)
        }
        self._cut = range(now_s - 45 * MINUTE, now_s - 44 * MINUTE)
        self._reflected = dict.fromkeys(NODE_OF, 0)
        self._slot: dict[str, int] = dict.fromkeys(NODE_OF, 0)
        self._prior: dict[str, tuple[int, int] | None] = dict.fromkeys(NODE_OF)

    def boot_s(self, wall_s: float) -> float:
        return wall_s - self.booted_s

    def _beat(self, wall_s: float) -> Heartbeat:
        at_ns = int(wall_s * SECOND)
        boot_ns = int(self.boot_s(wall_s) * SECOND)
        return Heartbeat(
            boot_ns=boot_ns,
            wall_ns=at_ns,
            clock=ClockClass.A,
            clock_error_ns=1_000_000,
            clock_source="chrony",
            slot_late_ns=200_000,
            send_call_ns=20_000,
            anchor=Anchor(boot_ns, at_ns, 1_000_000),
        )

    def _rtts(self, link: str, wall_s: int) -> tuple[list[float | None], list[int | None]]:
        """Round trips of a minute, some lost each way; the reflector's own count beside them."""
        cut = self._cut if link == "kota" else ()
        dead = link == "putus" and wall_s >= self.now_s - 5 * MINUTE
        rtts: list[float | None] = []
        counts: list[int | None] = []
        for second in range(MINUTE):
            out = dead or wall_s + second in cut or second == 20
            back = out or second == 40
            rtts.append(None if back else 12.0 + second % 7)
            counts.append(None if back else self._reflected[link])
            self._reflected[link] += not out
        return rtts, counts

    def minute(self, link: str, wall_s: int) -> Any:
        """The batch of one minute of a link."""
        rtts, counts = self._rtts(link, wall_s)
        begin = self.boot_s(wall_s)
        first = self._slot[link]
        self._slot[link] += MINUTE
        rows: list[Record] = [
            train(
                rtts,
                link=link,
                first_seq=first,
                boot_s=begin,
                reflector_seq=counts,
                prior=self._prior[link],
            ),
            *(self._beat(wall_s + second) for second in range(5, MINUTE, 10)),
        ]
        known = [k for k, count in enumerate(counts) if count is not None]
        if known:
            newest = counts[known[-1]]
            assert newest is not None
            self._prior[link] = (first + known[-1], newest)
        if link == "kota":
            rows += self._site(wall_s)
        return self._sealed(link, rows, wall_s + MINUTE)

    def _site(self, wall_s: int) -> Iterator[Record]:
        begin = self.boot_s(wall_s)
        at: dict[str, Any] = {"link": "kota", "boot_ns": int((begin + 30) * SECOND)}
        octets = int(begin) * 400_000
        yield train([0.4] * MINUTE, link="kota", target="gateway", probe="icmp", boot_s=begin)
        beyond = [None if wall_s + second in self._cut else 9.0 for second in range(MINUTE)]
        yield train(beyond, link="kota", target="anchor", probe="icmp", boot_s=begin)
        yield Reading(
            target="router",
            outcome=Outcome.OK,
            sys_uptime_cs=int(begin) * 100,
            interface="wan0",
            oper_status=1,
            in_octets=octets,
            out_octets=octets // 4,
            high_speed_mbps=100,
            counter_bits=64,
            **at,
        )
        yield Power(
            target="mains",
            outcome=Outcome.OK,
            source="sysfs:/x",
            mains=True,
            battery_ratio=0.9,
            battery_seconds=7200,
            **at,
        )
        hops = (Hop(1, "192.168.1.1", 400_000), Hop(2, "203.0.113.1", 3_000_000))
        yield Way(target="way", hops=hops, reached=True, first_hop="203.0.113.1", **at)
        yield Gap(
            boot_ns=at["boot_ns"],
            wall_ns=(wall_s + 30) * SECOND,
            reason=GapReason.STALLED,
            link="kota",
            target="gateway",
            first_seq=0,
            last_seq=0,
            count=1,
        )

    def _sealed(self, link: str, rows: list[Record], wall_s: float) -> Any:
        sealed = {
            "sealed_boot_ns": int(self.boot_s(wall_s) * SECOND),
            "sealed_wall_ns": int(wall_s * SECOND),
        }
        return self.boxes[link].batch(rows, **sealed)

    def tests(self, until_s: int) -> Iterator[Any]:
        """Throughput tests of the link `kota`, a batch a day: contended in the evenings."""
        midnight = (until_s + 7 * 3600) // 86_400 * 86_400 - 7 * 3600
        for day in range(DAYS_OF_TESTS, 0, -1):
            rows: list[Transfer] = []
            for hour in line.HOURS:
                wall_s = midnight - day * 86_400 + hour * 3600
                boot_ns = int(self.boot_s(wall_s) * SECOND)
                y = line.contended(day, hour)
                rows.append(line.transfer("kota", boot_ns, y))
                after_ns = boot_ns + 20 * SECOND
                rows.append(line.transfer("kota", after_ns, y, direction=Direction.UP, cpe=()))
            last_s = midnight - day * 86_400 + line.HOURS[-1] * 3600
            beats = [self._beat(last_s - 20 * 3600), self._beat(last_s + 20)]
            told = sorted([*rows, *beats], key=lambda one: one.boot_ns)
            yield self._sealed("kota", told, last_s + 30)

    def status(self, link: str, wall_s: float) -> Any:
        dead = link == "putus" and wall_s >= self.now_s - 5 * MINUTE
        waiting = 3 if dead else 0
        oldest = int(self.boot_s(self.now_s - 5 * MINUTE) * SECOND) if dead else None
        tests = LinkTests(
            link="kota",
            month=datetime.fromtimestamp(wall_s, UTC).strftime("%Y-%m"),
            used_bytes=1_900_000_000,
            budget_bytes=3_000_000_000,
            last_test_wall_ns=(self.now_s - 3600) * SECOND,
            ends={End.DONE: 40, End.BUSY: 2},
            deferred=7,
        )
        return self.boxes[link].status(
            boot_ns=int(self.boot_s(wall_s) * SECOND),
            wall_ns=int(wall_s * SECOND),
            targets=(reported(link, lost=10 if dead else 1),),
            spool=SpoolStatus(
                batches_waiting=waiting,
                bytes_used=20_480,
                bytes_cap=1 << 28,
                oldest_boot_ns=oldest,
            ),
            throughput=ThroughputStatus(links=(tests,)) if link == "kota" else None,
        )


_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')


def points(page: str, at_s: float, **more: str) -> Iterator[Point]:
    """Every sample of a page, as scraped at this moment."""
    for row in page.splitlines():
        if row.startswith("#"):
            continue
        name, _, value = row.rpartition(" ")
        metric, _, inner = name.partition("{")
        pairs = {
            key: one.replace('\\"', '"').replace("\\n", "\n").replace("\\\\", "\\")
            for key, one in _LABEL.findall(inner)
        }
        series = remote_write.series(metric, pairs | more)
        yield Point(series, int(at_s * 1000), float(value))


class Player:
    """Tells the story to a collector and keeps its pages."""

    def __init__(self, hub: Hub, clock: LiveClock, story: Story) -> None:
        self.hub, self.clock, self.story = hub, clock, story
        self.pages: list[tuple[float, str, str]] = []
        self._heard = itertools.count()

    def at(self, wall_s: float) -> None:
        """Go on to this moment. Whoever looks at the links then has heard them."""
        self.clock.advance(int(wall_s * SECOND) - self.clock.wall_ns())
        self.hear(2)

    def hear(self, seconds: int) -> None:
        """STAMP packets of all links that live reach the reflector."""
        fleet = self.hub.collector.board.fleet
        now_ns = self.clock.boot_ns()
        for _ in range(seconds):
            seq = next(self._heard)
            for link in NODE_OF:
                if link == "putus" and self.clock.wall_ns() / SECOND >= self.story.now_s - 300:
                    continue
                packet = stamp.SenderPacket(
                    seq, stamp.ntp64(self.clock.wall_ns()), 0x9282, fleet.ssids[link]
                )
                self.hub.collector.table.hear(
                    stamp.pack_sender(packet), ("192.0.2.1", 4000), now_ns
                )

    async def live(self) -> None:
        """What is told without evidence, now."""
        wall_s = self.clock.wall_ns() / SECOND
        for link, box in self.story.boxes.items():
            await self.hub.tell(box, self.story.status(link, wall_s))

    async def keep(self) -> None:
        """Keep the page, as each of the two jobs scrapes it."""
        at_s = self.clock.wall_ns() / SECOND
        for job, roads in (("live", "road=live&road=own"), ("evidence", "road=evidence")):
            reply = await self.hub.get(f"/metrics?{roads}")
            self.pages.append((at_s, f"pantau-{job}", reply.body.decode()))

    async def settled(self) -> None:
        async with asyncio.timeout(60):
            while await asyncio.to_thread(self.hub.collector.settling._parts.store.behind):
                await asyncio.sleep(0.05)

    async def play(self) -> None:
        """From three days ago until now."""
        story, court = self.story, self.hub.collector.verdicts
        begin_s = int(self.clock.wall_ns() / SECOND)
        for batch in story.tests(begin_s):
            await self.hub.deliver(batch)
        await self.settled()
        day = (datetime.fromtimestamp(begin_s, UTC) + timedelta(hours=7)).date()
        await asyncio.to_thread(court.auditor.look, day, begin_s)
        await asyncio.to_thread(self.hub.collector.judging.step)
        for ago_s in (3 * 86_400, 6 * 3600):
            await self._minutes(story.now_s - ago_s - 4 * MINUTE, 4)
            await self.settled()
            await asyncio.sleep(1.2)
            for more in range(8):
                self.at(story.now_s - ago_s + more * MINUTE)
                await self.keep()
        await self._minutes(story.now_s - 66 * MINUTE, 66)
        await self.settled()

    async def _minutes(self, begin_s: int, count: int) -> None:
        """Evidence and live word of so many minutes, with a page every half."""
        for minute in range(count):
            start_s = begin_s + minute * MINUTE
            self.at(start_s + 30)
            await self.live()
            await self.keep()
            self.at(start_s + MINUTE)
            batches = [self.story.minute(link, start_s) for link in NODE_OF]
            await asyncio.gather(*(self.hub.deliver(batch) for batch in batches))
            await self.live()
            await self.keep()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as one:
        return int(one.getsockname()[1])


class Prometheus:
    """A real one, with the shipped settings and rules, evaluated every second."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._file = folder / "prometheus.yml"
        self.url = f"http://127.0.0.1:{free_port()}"
        (folder / "rules").mkdir()
        for file in (SHIPPED / "rules").glob("*.yml"):
            told = yaml.safe_load(file.read_text())
            for group in told["groups"]:
                del group["interval"]
            (folder / "rules" / file.name).write_text(json.dumps(told))
        self._configure(None)
        with (folder / "log").open("w") as log:
            self._process = subprocess.Popen(
                [
                    "prometheus",
                    f"--config.file={self._file}",
                    f"--storage.tsdb.path={folder}/tsdb",
                    f"--web.listen-address={self.url.removeprefix('http://')}",
                    "--web.enable-remote-write-receiver",
                ],
                stdout=log,
                stderr=log,
            )
        deadline = time.monotonic() + 30
        while not self._ready():
            assert self._process.poll() is None and time.monotonic() < deadline, self.log
            time.sleep(0.05)

    def _configure(self, scraped: str | None) -> None:
        told = yaml.safe_load((SHIPPED / "prometheus.yml").read_text())
        del told["alerting"]
        told["global"] |= {
            "scrape_interval": "1s",
            "scrape_timeout": "1s",
            "evaluation_interval": "1s",
        }
        for job in told["scrape_configs"]:
            job |= {"scrape_interval": "1s", "scrape_timeout": "1s"}
            job["static_configs"] = [{"targets": [] if scraped is None else [scraped]}]
        self._file.write_text(json.dumps(told))

    @property
    def log(self) -> str:
        return (self._folder / "log").read_text()

    def _ready(self) -> bool:
        with contextlib.suppress(OSError):
            urllib.request.urlopen(f"{self.url}/-/ready", timeout=2).close()
            return True
        return False

    def scrape(self, target: str) -> None:
        """Begin to."""
        self._configure(target)
        self._process.send_signal(signal.SIGHUP)

    def write(self, pages: list[tuple[float, str, str]], instance: str) -> None:
        """The pages, at their own times, as if scraped from this instance."""
        told: list[Point] = []
        for at_s, job, page in pages:
            told += points(page, at_s, job=job, instance=instance)
            told.append(
                Point(
                    remote_write.series("up", {"job": job, "instance": instance}),
                    int(at_s * 1000),
                    1,
                )
            )
        for first in range(0, len(told), 20_000):
            body = remote_write.compress(remote_write.encode(told[first : first + 20_000]))
            request = urllib.request.Request(
                f"{self.url}/api/v1/write", data=body, headers=remote_write.HEADERS
            )
            urllib.request.urlopen(request, timeout=30).close()

    def ask(self, path: str, **words: str) -> Any:
        """What the API answers. Raises AssertionError with its words where it refuses."""
        query = urllib.parse.urlencode(words).encode()
        request = urllib.request.Request(f"{self.url}/api/v1/{path}", data=query)
        if path.startswith("label"):
            request = urllib.request.Request(f"{self.url}/api/v1/{path}?{query.decode()}")
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return json.load(answer)["data"]
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{words}: {error.read().decode()}") from error

    def close(self) -> None:
        self._process.terminate()
        self._process.wait(20)


class Played(NamedTuple):
    """What there is to ask."""

    prometheus: Prometheus
    now_s: int


@contextlib.asynccontextmanager
async def playing(folder: Path) -> Any:
    """The district, played; Prometheus has its history and scrapes what goes on."""
    now_s = int(time.time())
    story = Story(now_s)
    prometheus = Prometheus(folder)
    port = free_port()
    hub_folder = folder / "hub"
    file = settings_in(hub_folder, contracts_file="contracts.yaml")
    (file.parent / "nodes.yaml").write_text(json.dumps(NODES))
    (file.parent / "links.yaml").write_text(json.dumps(LINKS))
    rows = [
        TERMS
        | {"reference": f"K-{link['id']}", "link": link["id"]}
        | {key: link[key] for key in ("provider", "pop")}
        for link in LINKS["links"]
    ]
    (file.parent / "contracts.yaml").write_text(json.dumps({"contracts": rows}))
    begin_s = now_s - 3 * 86_400 - 10 * MINUTE
    clock = LiveClock(boot_ns=int(story.boot_s(begin_s) * SECOND), wall_ns=begin_s * SECOND)
    settings = {
        "http": {"host": "127.0.0.1", "port": port},
        "stamp": {"host": "127.0.0.1", "port": 0, "address": "127.0.0.1", "authenticated": False},
        "limits": {"requests_per_minute": 60_000, "burst": 60_000},
        "silence_after_s": 20,
        "backfill": [
            {"name": "prometheus", "url": f"{prometheus.url}/api/v1/write", "max_age_s": 6 * 86_400}
        ],
    }
    try:
        boxes = story.boxes.values()
        async with serving(hub_folder, *boxes, clock=clock, **settings) as hub:
            player = Player(hub, clock, story)
            await player.play()
            player.at(time.time())
            clock.go_live()
            going = asyncio.create_task(_go_on(player))
            try:
                instance = f"127.0.0.1:{port}"
                await asyncio.to_thread(prometheus.write, player.pages, instance)
                await asyncio.to_thread(prometheus.scrape, instance)
                yield Played(prometheus, now_s)
            finally:
                going.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await going
    finally:
        prometheus.close()


async def _go_on(player: Player) -> None:
    """Live word every second, and now and then a message that the collector refuses."""
    while True:
        player.hear(1)
        await player.live()
        await player.hub.post("/v1/batch", b"nonsense")
        await asyncio.sleep(1)
