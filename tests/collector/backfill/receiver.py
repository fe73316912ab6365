"""A remote write receiver in the hands of a test: real HTTP, and answers as the test wants them."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import cramjam
from aiohttp import web

from collector.backfill.remote_write import HEADERS
from tests.collector.backfill.test_remote_write import WriteRequest

Taken = tuple[tuple[tuple[str, str], ...], int, float]
"""Labels, milliseconds, value."""
Rule = Callable[[list[Taken]], web.Response | None]


class Receiver:
    """Stores what its rules let through, all of a request or nothing."""

    def __init__(self) -> None:
        self.stored: list[Taken] = []
        self.requests: list[web.Request] = []
        self.rules: list[Rule] = []
        self.before: Callable[[], Awaitable[None]] | None = None
        self.after: Callable[[], Awaitable[None]] | None = None
        """Awaited when a request was stored, before it is answered."""
        self.url = ""

    async def write(self, request: web.Request) -> web.Response:
        self.requests.append(request)
        for name, value in HEADERS.items():
            assert request.headers[name] == value
        if self.before is not None:
            await self.before()
        message = WriteRequest.FromString(
            bytes(cramjam.snappy.decompress_raw(await request.read()))
        )
        samples = [
            (tuple((label.name, label.value) for label in one.labels), s.timestamp, s.value)
            for one in message.timeseries
            for s in one.samples
        ]
        for rule in self.rules:
            answer = rule(samples)
            if answer is not None:
                return answer
        self.stored += samples
        if self.after is not None:
            await self.after()
        return web.Response(status=204)

    @property
    def times(self) -> list[int]:
        """Of what is stored, milliseconds."""
        return sorted(at_ms for _, at_ms, _ in self.stored)


@asynccontextmanager
async def receiving(port: int = 0) -> AsyncIterator[Receiver]:
    receiver = Receiver()
    app = web.Application(client_max_size=1 << 26)
    app.add_routes([web.post("/write", receiver.write)])
    runner = web.AppRunner(app, auto_decompress=False)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    receiver.url = f"http://127.0.0.1:{runner.addresses[0][1]}/write"
    try:
        yield receiver
    finally:
        await runner.cleanup()
