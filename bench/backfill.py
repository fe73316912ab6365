"""Samples a second and CPU per million samples of the backfill, into real stores.

    python bench/backfill.py [--links 200] [--hours 12]

Every link has three targets and four states, a point a minute each, 24 h old and settled: what a
collector sends after a long cut. The points exist before the clock starts; encoding, compressing,
sending and the store's answer are timed, in requests of 5,000. The store's CPU is user + system
time of its process. Prometheus has an out-of-order window and holds a sample of now. Encoding is
compared with the official protobuf library. Prints, never asserts.
"""

import argparse
import asyncio
import os
import resource
import tempfile
import time
from pathlib import Path

from peers.figures import table
from peers.machine import print_machine
from prometheus_client import CollectorRegistry

from collector.audit.intervals import Interval
from collector.audit.states import State
from collector.backfill.counters import BackfillCounters
from collector.backfill.remote_write import Point, compress, encode, series
from collector.backfill.send import Sender
from collector.backfill.series import LinkSeries, TrainRow
from collector.inventory import Link, LinkTarget
from collector.settings import CollectorSettings, EndpointSettings, Located
from runtime.clock import SystemClock
from tests.collector.backfill.stores import Prometheus, Store, VictoriaMetrics
from wire.policy import Role

SIZE = 5000


def points_of(links: int, hours: int, start_s: int) -> list[Point]:
    made: list[Point] = []
    for k in range(links):
        targets = tuple(
            LinkTarget(name=name, probe="icmp", role=Role.ANCHOR, address="192.0.2.1")
            for name in ("anchor", "gateway")
        )
        link = Link(id=f"l{k}", node=f"n{k}", provider="P", medium="M", pop="X", targets=targets)
        one = LinkSeries(link, {})
        rows = [
            TrainRow(name, (start_s + 60 * m + 55) * 10**9, 60, m % 3, 1, 0, 2e7 + m, 3e7 + m)
            for m in range(hours * 60)
            for name in ("hub", "anchor", "gateway")
        ]
        made += one.packets(rows)
        made += one.states([Interval(start_s, start_s + hours * 3600, State.UP)])
    return made


def cpu_of(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def own_cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


async def send(store: Store, points: list[Point], now_s: int) -> list[str]:
    endpoint = EndpointSettings(name="bench", url=store.write_url)
    located = Located(CollectorSettings(data_dir="data"), Path("collector.yaml"))
    counters = BackfillCounters(CollectorRegistry()).of("bench")
    sender = Sender(located, endpoint, counters, SystemClock())
    async with sender.session() as session:
        await sender.deliver(session, [Point(series("now", {}), now_s * 1000, 1.0)])
        began, ours, theirs = time.perf_counter(), own_cpu(), cpu_of(store.process.pid)
        for at in range(0, len(points), SIZE):
            await sender.deliver(session, points[at : at + SIZE])
        took = time.perf_counter() - began
    million = len(points) / 1e6
    return [
        type(store).__name__,
        f"{len(points) / took / 1e3:,.0f} k/s",
        f"{(own_cpu() - ours) / million:.2f} s",
        f"{(cpu_of(store.process.pid) - theirs) / million:.2f} s",
        str(sum(counters.refused.values())),
    ]


def encoding(points: list[Point]) -> list[list[str]]:
    from tests.collector.backfill.test_remote_write import WriteRequest

    parts = [points[at : at + SIZE] for at in range(0, len(points), SIZE)]
    million = len(points) / 1e6
    began = time.process_time()
    bodies = [encode(part) for part in parts]
    ours = time.process_time() - began
    messages = [WriteRequest.FromString(body) for body in bodies]
    began = time.process_time()
    for message in messages:
        again = WriteRequest()
        held = {}
        for one in message.timeseries:
            labels = [(label.name, label.value) for label in one.labels]
            row = held[tuple(labels)] = again.timeseries.add()
            for name, value in labels:
                row.labels.add(name=name, value=value)
            for sample in one.samples:
                row.samples.add(value=sample.value, timestamp=sample.timestamp)
        again.SerializeToString()
    theirs = time.process_time() - began
    began = time.process_time()
    packed = sum(len(compress(body)) for body in bodies)
    snappy = time.process_time() - began
    return [
        ["encode by hand", f"{ours / million:.2f} s", f"{sum(map(len, bodies)) / len(points):.1f}"],
        ["protobuf library", f"{theirs / million:.2f} s", ""],
        ["snappy", f"{snappy / million:.2f} s", f"{packed / len(points):.1f}"],
    ]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--links", type=int, default=200)
    parser.add_argument("--hours", type=int, default=12)
    options = parser.parse_args()
    print_machine()
    now_s = int(time.time())
    points = points_of(options.links, options.hours, (now_s - 86_400) // 60 * 60)
    print(f"{len(points):,} samples of {options.links} links over {options.hours} h\n")
    table(["", "CPU per million", "bytes/sample"], encoding(points))
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for k, kind in enumerate((Prometheus, VictoriaMetrics)):
            options_of = {"window_s": 172_800} if kind is Prometheus else {}
            store = kind(Path(folder) / str(k), **options_of)
            try:
                rows.append(asyncio.run(send(store, points, now_s)))
                rows.append(asyncio.run(send(store, points, now_s)))
                rows[-1][0] += ", again"
            finally:
                store.close()
    heads = ["", "samples", "our CPU per million", "store's CPU per million", "refused"]
    table(heads, rows)


if __name__ == "__main__":
    main()
