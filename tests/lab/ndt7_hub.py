"""A collector's HTTP port with ndt7 alone, in whatever namespace it is started.

`python -m tests.lab.ndt7_hub ADDRESS PORT`: prints "ready", then lets in each Grant that comes as a
line of JSON on stdin; ends with it.
"""

import asyncio
import sys

import msgspec
from aiohttp import web

from collector.throughput import ThroughputServer, ThroughputSettings
from collector.throughput.ndt7 import Ndt7
from runtime.clock import SystemClock
from wire.slot import Grant


async def main(address: str, port: int) -> None:
    """Serve until stdin ends."""
    server = ThroughputServer(ThroughputSettings(), SystemClock(), lambda _event: None)
    app = web.Application()
    app.add_routes(Ndt7(server).routes())
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
    await runner.setup()
    await web.TCPSite(runner, address, port).start()
    loop = asyncio.get_running_loop()
    print("ready", flush=True)
    while line := await loop.run_in_executor(None, sys.stdin.buffer.readline):
        server.expect(msgspec.json.decode(line, type=Grant))
        print("expected", flush=True)
    await runner.cleanup()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2])))
