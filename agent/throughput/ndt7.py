"""ndt7 client, protocol v0.11.0 as published by M-Lab: one TCP flow in a WebSocket, 10 s.

The receiver's kernel counts, not the application: in a download our own TCP_INFO, in an upload the
server's, which its messages bring. Octets are whole IP packets like everywhere; the goodput that
ndt7 clients print is less by all headers, TLS and WebSocket framing.
"""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any, NamedTuple

import aiohttp
import msgspec

from agent.throughput import outcomes, requests
from agent.throughput.job import Job, Stage
from runtime.clock import SECOND, Clock
from runtime.load import channel, ndt7, options, tcp_info
from runtime.load.channel import Closed, Rejected
from runtime.load.counting import Bins
from runtime.load.room import room
from runtime.load.tcp_info import TcpInfo
from runtime.version import VERSION
from wire.load import Ca
from wire.slot import Direction
from wire.transfer import MAX_REQUESTS, Box, Flow, Headers, Transfer, TransferOutcome

_POLL_S = 0.025
_HANDSHAKE_S = 10.0
_RTT_EVERY = 4
_PING_S = 0.1
_PING_RATIO = 0.001
_PING_BITS = 8 * 240
"""A ping and its pong, each with TCP, TLS and WebSocket around it, and their acknowledgements."""
_decoder: msgspec.json.Decoder[ndt7.Measurement] = msgspec.json.Decoder(ndt7.Measurement)


class _Sample(NamedTuple):
    """The receiver's kernel at one moment."""

    elapsed_ns: int
    octets: int
    """TCP payload."""
    segments: int | None


def run(job: Job, clock: Clock, box: Box, stage: Callable[[Stage], None]) -> Transfer:
    """Make the test. Raises Closed, Rejected, OSError."""
    return asyncio.run(_Client(job, clock, stage).run(box))


class _Client:
    """One test."""

    def __init__(self, job: Job, clock: Clock, stage: Callable[[Stage], None]) -> None:
        self._job, self._clock, self._stage = job, clock, stage
        self._down = job.grant.direction is Direction.DOWN
        self._begin_ns = 0
        self._ours: list[_Sample] = []
        self._theirs: list[ndt7.Measurement] = []
        self._last: TcpInfo | None = None
        self._rtts: list[int | None] = []
        self._congestion = ""
        self._ip_bytes = 20
        self._asked: requests.Requests | None = None
        self._pinged_ns: list[int] = []
        self._pongs: list[int | None] = []

    async def run(self, box: Box) -> Transfer:
        """Connect, load, judge."""
        self._asked = await asyncio.to_thread(requests.beside, self._job, self._clock)
        connector = aiohttp.TCPConnector(socket_factory=self._socket)
        async with (
            aiohttp.ClientSession(connector=connector) as session,
            self._connect(session) as ws,
        ):
            sock = ws.get_extra_info("socket")
            if sock is None:
                raise Closed("the connection is gone already")
            self._ip_bytes = options.ip_header(sock)
            bytes_per_s = max(1, self._job.grant.most_bits_per_s // 8)
            options.pace(sock, bytes_per_s)
            options.keep_short(sock, bytes_per_s)
            self._congestion = tcp_info.congestion(sock)
            self._begin_ns = self._clock.boot_ns()
            self._stage(Stage.LOADING)
            async with _beside(self._poll(sock)), _beside(self._ping(ws)), self._asking():
                with contextlib.suppress(TimeoutError):  # after 13 s either end may go
                    async with asyncio.timeout(ndt7.LONGEST_S):
                        await (self._download(ws) if self._down else self._upload(ws, sock))
                end_ns = self._clock.boot_ns()
                self._stage(Stage.ENDING)
        return self._transfer(box, min(end_ns - self._begin_ns, self._longest_ns()))

    @contextlib.asynccontextmanager
    async def _asking(self) -> AsyncIterator[None]:
        """Have requests on connections of their own go on while the block does."""
        if self._asked is None:
            yield
            return
        self._asked.start()
        try:
            yield
        finally:
            await asyncio.to_thread(self._asked.stop)

    async def _ping(self, ws: aiohttp.ClientWebSocketResponse) -> None:
        """Ask on the load's own connection, behind what it holds."""
        plan = self._job.plan
        rate = plan.cir_bits_per_s or plan.most_bits_per_s
        interval_s = max(_PING_S, _PING_BITS / (_PING_RATIO * rate), plan.seconds / MAX_REQUESTS)
        await asyncio.sleep(requests.settled_s(plan.seconds))
        while len(self._pinged_ns) < MAX_REQUESTS:
            number = len(self._pinged_ns)
            self._pinged_ns.append(self._clock.boot_ns())
            self._pongs.append(None)
            await ws.ping(number.to_bytes(4, "big"))
            await asyncio.sleep(interval_s)

    def _pong(self, said: bytes) -> None:
        number = int.from_bytes(said, "big")
        if len(said) == 4 and number < len(self._pongs) and self._pongs[number] is None:
            self._pongs[number] = self._clock.boot_ns() - self._pinged_ns[number]

    def _socket(self, address: tuple[Any, ...]) -> socket.socket:
        """A socket that leaves the right way, in packets as long as the plan's."""
        family, kind, protocol, *_ = address
        sock = socket.socket(family, kind, protocol)
        job = self._job
        most = job.plan.packet_bytes - options.ip_header(sock) - 20
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, most)
        if job.interface is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, job.interface.encode())
        return sock

    def _longest_ns(self) -> int:
        return int(min(self._job.plan.seconds, ndt7.DURATION_S) * SECOND)

    @contextlib.asynccontextmanager
    async def _connect(
        self, session: aiohttp.ClientSession
    ) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
        grant, plan = self._job.grant, self._job.plan
        path = ndt7.DOWNLOAD if self._down else ndt7.UPLOAD
        host = f"[{grant.address}]" if ":" in grant.address else grant.address
        base = plan.url or f"ws://{host}:{grant.port}"
        key = bytes.fromhex(grant.key)
        headers = {
            "Authorization": ndt7.authorization(grant.slot_id, key, path, channel.nonce()),
            "User-Agent": f"pantau-agent/{VERSION}",
        }
        query = {"client_name": "pantau-agent", "client_version": VERSION}
        try:
            async with asyncio.timeout(_HANDSHAKE_S):
                ws = await session.ws_connect(
                    base.rstrip("/") + path,
                    params=query,
                    protocols=(ndt7.PROTOCOL,),
                    headers=headers,
                    max_msg_size=ndt7.LARGEST_MESSAGE + 1,
                    ssl=_tls(plan.ca),
                    autoping=False,
                )
        except aiohttp.WSServerHandshakeError as error:
            raise Rejected(f"HTTP status {error.status}") from error
        except aiohttp.ClientConnectorError as error:
            raise ConnectionRefusedError(str(error)) from error
        except aiohttp.ClientError as error:
            raise Closed(str(error)) from error
        if ws.protocol != ndt7.PROTOCOL:
            raise Rejected("the server does not speak ndt7")
        try:
            yield ws
        finally:
            with contextlib.suppress(TimeoutError, aiohttp.ClientError):
                async with asyncio.timeout(1.0):
                    await ws.close()

    async def _download(self, ws: aiohttp.ClientWebSocketResponse) -> None:
        async for message in ws:
            if message.type is aiohttp.WSMsgType.PING:
                await ws.pong(message.data)
            elif message.type is aiohttp.WSMsgType.PONG:
                self._pong(message.data)
            else:
                self._hear(message)

    async def _upload(self, ws: aiohttp.ClientWebSocketResponse, sock: socket.socket) -> None:
        size, sent = ndt7.FIRST_MESSAGE, 0
        longest = ndt7.largest(max(1, self._job.grant.most_bits_per_s // 8))
        message = bytes(options.noise(size))
        until_ns = self._begin_ns + self._longest_ns()
        async with _beside(self._download(ws)) as hearing:
            with contextlib.suppress(ConnectionError, aiohttp.ClientError):
                while self._clock.boot_ns() < until_ns and not ws.closed:
                    await room(sock)
                    await ws.send_bytes(message)
                    sent += size
                    if (bigger := ndt7.next_size(size, sent, longest)) != size:
                        size, message = bigger, bytes(options.noise(bigger))
            # The server ends the test; what it counts until then is heard.
            await hearing

    def _hear(self, message: aiohttp.WSMessage) -> None:
        if message.type is not aiohttp.WSMsgType.TEXT:
            return
        with contextlib.suppress(msgspec.DecodeError, ValueError):
            self._theirs.append(_decoder.decode(message.data))

    async def _poll(self, sock: socket.socket) -> None:
        """Read our kernel's account, with the moment at which it was true."""
        while True:
            self._last = info = tcp_info.read(sock)
            elapsed_ns = self._clock.boot_ns() - self._begin_ns
            if info.bytes_received is not None:
                self._ours.append(_Sample(elapsed_ns, info.bytes_received, info.segments_in))
            if not self._down and len(self._ours) % _RTT_EVERY == 0:
                self._rtts.append(tcp_info.rtt_ns(info))
            await asyncio.sleep(_POLL_S)

    def _transfer(self, box: Box, duration_ns: int) -> Transfer:
        header = 32 if self._last is None else self._last.header_bytes
        mss = 1448 if self._last is None else (self._mss() or 1448)
        whole = self._ip_bytes + header
        bins = Bins(duration_ns)
        bins.at(0)
        since = _Sample(0, 0, 0)
        for sample in self._ours if self._down else self._servers():
            if sample.segments is None or since.segments is None:
                segments = (sample.octets - since.octets) / mss
            else:
                segments = sample.segments - since.segments
            bins.spread(since.elapsed_ns, sample.elapsed_ns, round(segments * (mss + whole)))
            since = sample
        flow = self._flow(since)
        sender, receiver = outcomes.fault(flows=(flow,), sent=None, unsent=None, dropped=None)
        outcome, note = outcomes.judged(self._job.grant.direction, box, sender, receiver)
        if not any(bins.octets):
            outcome, note = TransferOutcome.FAILED, "nothing arrived, or nobody said how much"
        return msgspec.structs.replace(
            outcomes.ended(self._job, self._begin_ns, TransferOutcome.FAILED, note),
            outcome=outcome,
            flows=1,
            duration_ns=duration_ns,
            bin_ns=bins.width_ns,
            octets=bins.octets,
            connect_load_ns=[] if self._asked is None else self._asked.connect_ns,
            tls_load_ns=[] if self._asked is None else self._asked.tls_ns,
            http_load_ns=[] if self._asked is None else self._asked.http_ns,
            own_load_ns=self._pongs,
            tcp=(flow,),
            headers=Headers(ip=self._ip_bytes, transport=header, packet=mss + whole),
            box=box,
        )

    def _mss(self) -> int | None:
        assert self._last is not None
        return self._last.rcv_mss if self._down else self._last.snd_mss

    def _servers(self) -> list[_Sample]:
        """What the server's kernel had received, by its own time."""
        made = []
        for one in self._theirs:
            if one.tcp is not None and one.tcp.bytes_received is not None:
                elapsed_us = one.tcp.elapsed_time
                if elapsed_us is None and one.app is not None:
                    elapsed_us = one.app.elapsed_time
                if elapsed_us is not None:
                    made.append(_Sample(elapsed_us * 1000, one.tcp.bytes_received, None))
            elif one.app is not None:
                made.append(_Sample(one.app.elapsed_time * 1000, one.app.num_bytes, None))
        return sorted(made)

    def _flow(self, last: _Sample) -> Flow:
        """The sender's kernel, whichever end that is."""
        if not self._down:
            info = self._last
            facts = (
                Flow()
                if info is None
                else tcp_info.sender_facts(info, self._congestion, self._rtts)
            )
            return tcp_info.both_ends(facts, last.octets, None)
        told = [one.tcp for one in self._theirs if one.tcp is not None]
        if not told:
            return Flow(received_bytes=last.octets, received_segments=last.segments)
        end = told[-1]
        return Flow(
            bytes_sent=end.bytes_sent,
            bytes_acked=end.bytes_acked,
            bytes_retransmitted=end.bytes_retrans,
            busy_ns=_ns(end.busy_time),
            rwnd_limited_ns=_ns(end.rwnd_limited),
            sndbuf_limited_ns=_ns(end.sndbuf_limited),
            min_rtt_ns=_ns(end.min_rtt),
            rtt_ns=[_ns(one.rtt) for one in told],
            received_bytes=last.octets,
            received_segments=last.segments,
        )


@contextlib.asynccontextmanager
async def _beside(work: Coroutine[None, None, None]) -> AsyncIterator[asyncio.Task[None]]:
    """Have `work` go on while the block does; an end of the connection ends it, too."""
    task = asyncio.get_running_loop().create_task(work)
    try:
        yield task
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError, OSError):
            await task


def _ns(us: int | None) -> int | None:
    return None if us is None else us * 1000


def _tls(ca: str) -> ssl.SSLContext | bool:
    return ca != Ca.NOBODY if ca in tuple(Ca) else requests.tls(ca)
