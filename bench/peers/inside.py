"""What runs inside a namespace, as a process of its own: `python inside.py WHAT ...`.

Each part prints one JSON document at its end. Only `ours` and `scale` are our own code at work;
the rest are peers that are libraries, or that have to be asked over HTTP.
"""

import argparse
import asyncio
import http.client
import json
import resource
import signal
import sys
import time
from array import array
from collections.abc import Coroutine, Sequence
from typing import Any

STALL_EVERY_S = 0.017


def say(told: object) -> None:
    print(json.dumps(told), flush=True)


async def stall(seconds: float) -> None:
    """Hold up the running loop for so long, again and again."""
    while seconds > 0:
        time.sleep(seconds)  # noqa: ASYNC251
        await asyncio.sleep(max(0, STALL_EVERY_S - seconds))


async def stalled(work: Coroutine[Any, Any, Any], seconds: float) -> Any:
    async with asyncio.TaskGroup() as group:
        staller = group.create_task(stall(seconds))
        done = await work
        staller.cancel()
    return done


# --- ours


def _targets(options: argparse.Namespace) -> list[Any]:
    from wire.policy import Role, Target

    same: dict[str, Any] = {
        "link": "bench",
        "role": Role.HUB,
        "interval_s": options.interval,
        "timeout_s": options.timeout,
    }
    made = []
    if options.icmp:
        made.append(Target(name="icmp", probe="icmp", address=options.icmp, **same))
    if options.stamp:
        address, _, port = options.stamp.rpartition(":")
        made.append(
            Target(name="stamp", probe="stamp", address=address, port=int(port), ssid=1, **same)
        )
    return made


async def _measured(options: argparse.Namespace) -> dict[str, Any]:
    """Measure for so long, let every reply come, and tell the fate of every packet."""
    from agent.measure import Measure
    from agent.sockets import RealNetwork
    from collector.latency import directional
    from runtime.clock import SystemClock
    from wire.observation import Train

    clock = SystemClock()
    targets = _targets(options)
    measure = Measure(targets, clock=clock, stamp_key=None, network=RealNetwork(clock))
    records: list[Any] = []
    async with asyncio.TaskGroup() as group:
        running = group.create_task(measure.run())
        end_ns = clock.boot_ns() + int((options.count + 1) * options.interval * 1e9)
        while (left_s := (end_ns - clock.boot_ns()) / 1e9) > 0:
            await asyncio.sleep(min(1.0, left_s))
            records += measure.settled()
        measure.replace([])
        await asyncio.sleep(options.timeout + 0.1)
        records += measure.settled()
        running.cancel()
    error = measure.self_error()
    measure.close()
    told: dict[str, Any] = {
        "replies_again": error.duplicates,
        "late": error.late,
        "missed": error.slots_missed,
        "notes": measure.notes(),
    }
    for target in targets:
        trains = [r for r in records if isinstance(r, Train) and r.target == target.name]
        ways = [way for train in trains if (way := directional(train)) is not None]
        told[target.name] = {
            "rows": [
                (one.seq, one.rtt_ns, one.outcome.name, one.stamp.name, one.reflector_seq)
                for train in trains
                for one in train.observations()
            ],
            "forward_lost": sum(way.forward_lost for way in ways),
            "reverse_lost": sum(way.reverse_lost for way in ways),
            "duplicates": sum(train.duplicates for train in trains),
            "reordered": sum(train.reordered for train in trains),
        }
    return told


def ours(options: argparse.Namespace) -> None:
    """Our probes against one address; also with the loop held up."""
    say(asyncio.run(stalled(_measured(options), options.stall_ms / 1000)))


def reflector(options: argparse.Namespace) -> None:
    """Our reflector, until the parent ends it."""
    from collector.reflector import Reflector, ReflectorSettings
    from collector.sessions import Session, SessionTable
    from runtime.clock import SystemClock

    async def serve() -> None:
        table = SessionTable()
        table.register(Session(1, "bench", b"bench", None))
        server = Reflector(table, SystemClock(), ReflectorSettings("0.0.0.0", options.port))
        await server.start()
        stop = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
        say({"port": server.port})
        await stop.wait()
        view = table.view(1)
        say(view._asdict() if view else None)
        await server.close()

    asyncio.run(serve())


# --- scale


def _cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


class _Tally:
    """What is left of trains that were handed over: the agent gives them to its spool."""

    def __init__(self) -> None:
        self.sent = self.kernel = 0
        self.rtt_ns = array("q")

    def take(self, records: Sequence[Any]) -> None:
        from wire.observation import StampSource, Train

        for record in records:
            if isinstance(record, Train):
                self.sent += len(record)
                self.kernel += record.stamp.count(StampSource.KERNEL)
                self.rtt_ns.extend(ns for ns in record.rtt_ns if ns is not None)


async def _at_scale(addresses: Sequence[str], seconds: float) -> dict[str, Any]:
    """All targets at 1 packet a second, drained and looked at as often as the agent does."""
    from agent.measure import Measure
    from agent.settings import RhythmSection
    from agent.sockets import RealNetwork
    from runtime.clock import SystemClock
    from runtime.collection import collect_rarely
    from wire.policy import Role, Target

    clock = SystemClock()
    targets = [
        Target(name=f"t{k}", link="lo", probe="icmp", role=Role.ANCHOR, address=address)
        for k, address in enumerate(addresses)
    ]
    measure = Measure(targets, clock=clock, stamp_key=None, network=RealNetwork(clock))
    rhythm = RhythmSection()
    seen = _Tally()
    collect_rarely()
    began_s = _cpu_s()

    async def drain() -> None:
        while True:
            await asyncio.sleep(rhythm.commit_s)
            seen.take(measure.settled())

    async def look() -> None:
        while True:
            await asyncio.sleep(rhythm.status_s)
            measure.status(30.0)
            measure.self_error()

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(one) for one in (measure.run(), drain(), look())]
        await asyncio.sleep(seconds)
        for task in tasks:
            task.cancel()
    seen.take(measure.abort())
    ended_s = _cpu_s()
    measure.close()
    times = sorted(seen.rtt_ns)
    return {
        "start_s": began_s,
        "run_s": ended_s - began_s,
        "sent": seen.sent,
        "answered": len(times),
        "median_us": times[len(times) // 2] / 1000 if times else None,
        "kernel": seen.kernel,
    }


def scale(options: argparse.Namespace) -> None:
    """Our ICMP probe at many targets."""
    addresses = options.list.read().split()
    say(asyncio.run(_at_scale(addresses, options.seconds)))


# --- peers


def icmplib_ping(options: argparse.Namespace) -> None:
    """icmplib.ping, blocking."""
    import icmplib

    host = icmplib.ping(options.address, options.count, options.interval, 2, privileged=True)
    say([ms * 1000 for ms in host.rtts])


def icmplib_async(options: argparse.Namespace) -> None:
    """icmplib.async_ping, also with its loop held up."""
    import icmplib

    ping = icmplib.async_ping(options.address, options.count, options.interval, 2, privileged=True)
    host = asyncio.run(stalled(ping, options.stall_ms / 1000))
    say([ms * 1000 for ms in host.rtts])


def multiping(options: argparse.Namespace) -> None:
    """icmplib.async_multiping, one packet to every target, once a second where it can."""
    import icmplib

    addresses = options.list.read().split()

    async def rounds() -> dict[str, Any]:
        sent, times = 0, []
        end = time.monotonic() + options.seconds
        while (now := time.monotonic()) < end:
            hosts = await icmplib.async_multiping(
                addresses, count=1, timeout=1, concurrent_tasks=50, privileged=True
            )
            sent += len(hosts)
            times += [ms * 1000 for host in hosts for ms in host.rtts]
            await asyncio.sleep(max(0, now + 1 - time.monotonic()))
        times.sort()
        return {"sent": sent, "answered": len(times), "median_us": times[len(times) // 2]}

    say(asyncio.run(rounds()))


def blackbox(options: argparse.Namespace) -> None:
    """Ask a blackbox_exporter for one probe after the other and read the RTT it exposes."""
    host, _, port = options.exporter.rpartition(":")
    line = b'probe_icmp_duration_seconds{phase="rtt"} '
    times: list[float | None] = []
    connection = http.client.HTTPConnection(host, int(port), timeout=5)
    began = time.monotonic()
    for k in range(options.count):
        time.sleep(max(0, began + k * options.interval - time.monotonic()))
        connection.request("GET", f"/probe?module=icmp&target={options.address}")
        page = connection.getresponse().read()
        good = b"\nprobe_success 1" in page
        times.append(float(page.partition(line)[2].split(b"\n")[0]) * 1e6 if good else None)
    say(times)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--icmp")
    parser.add_argument("--stamp", help="ADDRESS:PORT")
    parser.add_argument("--address")
    parser.add_argument("--exporter", help="HOST:PORT")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--interval", type=float, default=0.02)
    parser.add_argument("--timeout", type=float, default=1.0)
    parser.add_argument("--stall-ms", type=float, default=0)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--list", type=argparse.FileType("r"), default=sys.stdin)
    parts = (ours, reflector, scale, icmplib_ping, icmplib_async, multiping, blackbox)
    parser.add_argument("what", choices=[part.__name__ for part in parts])
    options = parser.parse_args()
    next(part for part in parts if part.__name__ == options.what)(options)


if __name__ == "__main__":
    main()
