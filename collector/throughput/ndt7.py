"""ndt7 server, protocol v0.11.0 as published by M-Lab, on the collector's HTTP port.

Whoever holds a slot for it may come, once; a stock client, which cannot prove one, only where the
settings let everybody in, with a bound on their number and rate. To everyone else there is no such
page.
"""

import asyncio
import contextlib
import hmac
import random
import socket
from dataclasses import dataclass
from typing import cast

import msgspec
from aiohttp import WSCloseCode, WSMsgType, web

from collector.throughput import SlotEvent, ThroughputServer
from collector.throughput.session import End
from runtime.clock import SECOND, Clock
from runtime.load import ndt7, options, tcp_info
from runtime.load.room import room
from wire.slot import Direction, Grant

_CLOSE_S = 2.0
_BURST = 1 << 16
"""Octets that an upload may be ahead of its rate."""
_DIRECTIONS = {ndt7.DOWNLOAD: Direction.DOWN, ndt7.UPLOAD: Direction.UP}


@dataclass(frozen=True)
class _Leave:
    """Who may do what."""

    slot_id: str | None
    most_bits_per_s: int
    duration_s: float


class Ndt7:
    """Both tests."""

    def __init__(self, server: ThroughputServer) -> None:
        self._server, self._clock = server, server.clock
        self._strangers = 0

    def routes(self) -> list[web.RouteDef]:
        """For the collector's application."""
        return [
            web.get(ndt7.DOWNLOAD, self._serve),
            web.get(ndt7.UPLOAD, self._serve),
            web.get(ndt7.OCTET, self._octet),
        ]

    async def _octet(self, request: web.Request) -> web.Response:
        """One octet for the holder of a slot; to everyone else there is no such page."""
        words = _words(request)
        if words is None or not _proved(self._server.held(words[1]), request.path, words):
            raise web.HTTPNotFound
        return web.Response(body=b"1", headers={"Cache-Control": "no-store"})

    def _leave(self, request: web.Request) -> _Leave | None:
        """The leave that this request proves, or None."""
        words = _words(request)
        if words is not None:
            grant = self._server.expected(words[1])
            if grant is None or grant.direction is not _DIRECTIONS[request.path]:
                return None
            if not _proved(grant, request.path, words):
                return None
            return _Leave(grant.slot_id, grant.most_bits_per_s, grant.duration_s)
        settings = self._server.settings
        if not settings.ndt7_open or self._strangers >= settings.ndt7_open_at_once:
            return None
        return _Leave(None, settings.ndt7_open_most_bits_per_s, ndt7.DURATION_S)

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        leave = self._leave(request)
        if leave is None:
            raise web.HTTPNotFound
        if request.headers.get("Sec-WebSocket-Protocol") != ndt7.PROTOCOL:
            raise web.HTTPBadRequest(text=f"Sec-WebSocket-Protocol must be {ndt7.PROTOCOL}")
        if len(request.query_string) > ndt7.MOST_QUERY:
            raise web.HTTPBadRequest(text="query string too long")
        if request.query.get("early_exit", ndt7.EARLY_EXIT) != ndt7.EARLY_EXIT:
            raise web.HTTPBadRequest(text=f"early_exit must be {ndt7.EARLY_EXIT}")
        ws = web.WebSocketResponse(
            protocols=(ndt7.PROTOCOL,),
            max_msg_size=ndt7.LARGEST_MESSAGE + 1,
            compress=False,
            timeout=_CLOSE_S,
        )
        if not ws.can_prepare(request):
            raise web.HTTPBadRequest(text="not a WebSocket")
        await self._test(request, ws, leave)
        return ws

    async def _test(self, request: web.Request, ws: web.WebSocketResponse, leave: _Leave) -> None:
        if leave.slot_id is None:
            self._strangers += 1
        elif self._server.begin(leave.slot_id) is None:
            raise web.HTTPNotFound
        end, reason, test = End.BROKEN, "", None
        try:
            await ws.prepare(request)
            assert request.transport is not None
            sock = cast("socket.socket", request.transport.get_extra_info("socket"))
            if leave.slot_id is not None:
                self._server.on_forget(leave.slot_id, request.transport.abort)
            test = _Test(self._clock, ws, sock, leave, early="early_exit" in request.query)
            async with asyncio.timeout(leave.duration_s + ndt7.LONGEST_S - ndt7.DURATION_S):
                await (test.download() if request.path == ndt7.DOWNLOAD else test.upload())
            end = End.DONE
        except TimeoutError:
            end = End.DONE  # the other end did not close in time: the protocol lets us go
        except ConnectionError as error:
            reason = str(error)
        finally:
            if leave.slot_id is None:
                self._strangers -= 1
            else:
                octets = 0 if test is None else test.octets
                self._server.hear(SlotEvent(leave.slot_id, end, octets, reason))
            with contextlib.suppress(TimeoutError, ConnectionError):
                async with asyncio.timeout(_CLOSE_S):
                    await ws.close()
            if request.transport is not None:
                request.transport.abort()


def _words(request: web.Request) -> list[str] | None:
    """What a slot's holder says of itself."""
    words = request.headers.get("Authorization", "").split(" ")
    return words if len(words) == 4 and words[0] == ndt7.AUTHORIZATION else None


def _proved(grant: Grant | None, path: str, words: list[str]) -> bool:
    if grant is None:
        return False
    made = ndt7.proof(bytes.fromhex(grant.key), path, words[2])
    return hmac.compare_digest(made.encode(), words[3].encode())


class _Test:
    """One test on an open WebSocket."""

    def __init__(
        self,
        clock: Clock,
        ws: web.WebSocketResponse,
        sock: socket.socket,
        leave: _Leave,
        *,
        early: bool,
    ) -> None:
        self._clock, self._ws, self._sock, self._leave = clock, ws, sock, leave
        self._most = int(ndt7.EARLY_EXIT) * 1_000_000 if early else None
        self._begin_ns = clock.boot_ns()
        self._until_ns = self._begin_ns + int(leave.duration_s * SECOND)
        self.octets = 0
        bytes_per_s = max(1, leave.most_bits_per_s // 8)
        stranger = leave.slot_id is None
        self._longest = ndt7.LARGEST_SCALED if stranger else ndt7.largest(bytes_per_s)
        options.pace(sock, bytes_per_s)
        options.keep_short(sock, bytes_per_s)

    async def download(self) -> None:
        """Send noise and measurements until the time is over."""
        reader = asyncio.get_running_loop().create_task(self._ignore())
        try:
            await self._send()
            await self._ws.close(code=WSCloseCode.OK)
        finally:
            reader.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await reader

    async def _send(self) -> None:
        size, told_ns = ndt7.FIRST_MESSAGE, self._begin_ns
        message = bytes(options.noise(size))
        while (now_ns := self._clock.boot_ns()) < self._until_ns and not self._ws.closed:
            if now_ns >= told_ns:
                await self._tell("download", now_ns)
                told_ns = now_ns + int(ndt7.pause_s(1 - random.random()) * SECOND)
                if self._most is not None and self._acked() >= self._most:
                    break
            await room(self._sock)
            await self._ws.send_bytes(message)
            self.octets += size
            if (bigger := ndt7.next_size(size, self.octets, self._longest)) != size:
                size, message = bigger, bytes(options.noise(bigger))
        await self._tell("download", self._clock.boot_ns())

    def _acked(self) -> int:
        return tcp_info.read(self._sock).bytes_acked or 0

    async def upload(self) -> None:
        """Count, and say how much has come, until the time is over."""
        teller = asyncio.get_running_loop().create_task(self._tell_often())
        try:
            while (now_ns := self._clock.boot_ns()) < self._until_ns:
                try:
                    message = await self._ws.receive(timeout=(self._until_ns - now_ns) / SECOND)
                except TimeoutError:
                    break
                if message.type is WSMsgType.BINARY:
                    self.octets += len(message.data)
                    await self._hold()
                elif message.type is not WSMsgType.TEXT:
                    break
        finally:
            teller.cancel()
            with contextlib.suppress(asyncio.CancelledError, ConnectionError):
                await teller
        if not self._ws.closed:
            await self._tell("upload", self._clock.boot_ns())
        await self._ws.close(code=WSCloseCode.OK)

    async def _hold(self) -> None:
        """Read no faster than granted: TCP holds the client back then, which paces nothing."""
        allowed = (self._clock.boot_ns() - self._begin_ns) * self._leave.most_bits_per_s
        over = (self.octets - _BURST) * 8 * SECOND - allowed
        left_ns = self._until_ns - self._clock.boot_ns()
        if over > 0 and left_ns > 0:
            await asyncio.sleep(min(over / self._leave.most_bits_per_s, left_ns) / SECOND)

    async def _tell_often(self) -> None:
        while True:
            await self._tell("upload", self._clock.boot_ns())
            await asyncio.sleep(ndt7.pause_s(1 - random.random()))

    async def _ignore(self) -> None:
        """A client says nothing of weight during a download; binary messages end it."""
        while True:
            message = await self._ws.receive()
            if message.type is not WSMsgType.TEXT:
                return

    async def _tell(self, test: str, now_ns: int) -> None:
        elapsed_us = (now_ns - self._begin_ns) // 1000
        measurement = ndt7.Measurement(
            app=ndt7.AppInfo(elapsed_time=elapsed_us, num_bytes=self.octets),
            connection=ndt7.ConnectionInfo(
                client=_endpoint(self._sock.getpeername()),
                server=_endpoint(self._sock.getsockname()),
            ),
            origin="server",
            test=test,
            tcp=ndt7.facts(tcp_info.read(self._sock), elapsed_us),
        )
        await self._ws.send_str(msgspec.json.encode(measurement).decode())


def _endpoint(address: tuple[str, int]) -> str:
    host, port = address[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
