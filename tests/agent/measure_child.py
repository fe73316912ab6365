"""A process of its own that measures for a test: targets as JSON in, records as JSON lines out.

Usage: measure_child.py SECONDS [nobody] < targets.json. With `nobody` it gives up all privileges
first. The first line says `ready`; each record follows on its own line when it is settled, and at
the end one line with the notes.
"""

import asyncio
import encodings.idna  # noqa: F401
import os
import sys

import msgspec

# What is loaded late elsewhere is loaded here at once: nobody may not read root's Python.
import agent.probes.icmp
import agent.probes.stamp  # noqa: F401
from agent.measure import Measure
from agent.sockets import RealNetwork
from runtime.clock import SystemClock
from wire.codec import encode_record
from wire.policy import Target


async def main(seconds: float) -> None:
    targets = msgspec.json.decode(sys.stdin.buffer.read(), type=tuple[Target, ...])
    clock = SystemClock()
    measure = Measure(targets, clock=clock, stamp_key=None, network=RealNetwork(clock))
    async with asyncio.TaskGroup() as group:
        task = group.create_task(measure.run())
        print("ready", flush=True)
        end_ns = clock.boot_ns() + int(seconds * 1e9)
        while clock.boot_ns() < end_ns:
            await asyncio.sleep(0.1)
            for record in measure.settled():
                print(encode_record(record).decode(), flush=True)
        task.cancel()
    for record in measure.abort():
        print(encode_record(record).decode(), flush=True)
    print(msgspec.json.encode(measure.notes()).decode(), flush=True)
    measure.close()


if "nobody" in sys.argv[2:]:
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
asyncio.run(main(float(sys.argv[1])))
