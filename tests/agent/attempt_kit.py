"""What the tests of probes with attempts share: a site of their own, names and certificates."""

import asyncio
import datetime
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import dns.flags
import dns.message
import dns.rrset
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from agent.probes.site import Probe, Site
from agent.recorder import Recorder, Stream
from agent.sockets import RealNetwork
from runtime.clock import SECOND, Clock, SystemClock
from wire.detail import DetailRecord, Exchange
from wire.observation import Observation, Train
from wire.policy import Target


class Bench:
    """A site, and probes that are told by the test when their slots come."""

    def __init__(self, group: asyncio.TaskGroup, clock: Clock) -> None:
        self.clock = clock
        self.recorder = Recorder()
        self.told: list[DetailRecord] = []
        self.notes: dict[str, str | None] = {}
        self.tasks: list[asyncio.Task[None]] = []
        self.probes: list[Probe] = []
        self._group = group
        self._rows: dict[str, list[Observation]] = {}
        self.site = Site(
            clock=clock,
            network=RealNetwork(SystemClock()),
            oddities=self.recorder.oddities,
            stamp_key=None,
            anchor=lambda _: None,
            note=self._note,
            spawn=self._spawn,
            emit=self.told.append,
        )

    def serve(self, make: Callable[[Site], Probe], *targets: Target) -> tuple[Probe, list[Stream]]:
        """A probe of this kind with a stream for each target."""
        probe = make(self.site)
        self.probes.append(probe)
        streams = [self.recorder.open(target) for target in targets]
        for stream in streams:
            probe.add(stream)
        return probe, streams

    async def ask(
        self, make: Callable[[Site], Probe], target: Target, count: int = 1
    ) -> list[Observation]:
        """`count` attempts, one after the other."""
        probe, (stream,) = self.serve(make, target)
        for _ in range(count):
            probe.send([(stream, stream.next_seq)])
            await self.idle()
        return self.rows(target.name)

    async def idle(self) -> None:
        """Wait until every attempt has ended."""
        while self.tasks:
            await self.tasks.pop()

    def rows(self, name: str) -> list[Observation]:
        """What came of a target's attempts since the last call; those under way are given up."""
        for one in self.recorder.settled(self.clock.boot_ns() + 3600 * SECOND):
            if isinstance(one, Train):
                self._rows.setdefault(one.target, []).extend(one.observations())
        return self._rows.pop(name, [])

    def exchanges(self) -> list[Exchange]:
        """The Exchanges so far."""
        return [one for one in self.told if isinstance(one, Exchange)]

    def _note(self, stream: Stream, text: str | None) -> None:
        self.notes[stream.target.name] = text

    def _spawn(self, work: Coroutine[None, None, None], name: str) -> None:
        self.tasks.append(self._group.create_task(work, name=name))


@asynccontextmanager
async def bench(clock: Clock | None = None) -> AsyncIterator[Bench]:
    """A Bench whose attempts end with the test."""
    async with asyncio.TaskGroup() as group:
        one = Bench(group, clock or SystemClock())
        try:
            yield one
        finally:
            for task in one.tasks:
                task.cancel()
    for probe in one.probes:
        probe.close()


Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def tcp_server(
    serve: Serve, host: str = "127.0.0.1", context: ssl.SSLContext | None = None
) -> AsyncIterator[int]:
    """A server on loopback; its port."""

    async def guarded(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await serve(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            writer.transport.abort()

    server = await asyncio.start_server(guarded, host, 0, ssl=context)
    async with server:
        yield server.sockets[0].getsockname()[1]


async def free_port() -> int:
    """A port on which nobody listens."""
    server = await asyncio.start_server(lambda r, w: None, "127.0.0.1", 0)
    port: int = server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()
    return port


# --- DNS ------------------------------------------------------------------------------------

Answers = Callable[[dns.message.Message], Sequence[bytes | float]]
"""Messages to send in turn; a number is a pause in seconds."""


def records(
    query: dns.message.Message, *addresses: str, ttl: int = 60, rcode: int = 0
) -> dns.message.Message:
    """A server's answer of address records."""
    answer = dns.message.make_response(query)
    answer.set_rcode(dns.rcode.Rcode(rcode))
    if addresses:
        question = query.question[0]
        kind = dns.rdatatype.to_text(question.rdtype)
        answer.answer.append(dns.rrset.from_text(question.name, ttl, "IN", kind, *addresses))
    return answer


class _DnsServer(asyncio.DatagramProtocol):
    def __init__(self, answers: Answers, group: asyncio.TaskGroup) -> None:
        self._answers, self._group = answers, group
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def datagram_received(self, data: bytes, addr: Any) -> None:
        self._group.create_task(self._answer(data, addr))

    async def _answer(self, data: bytes, addr: Any) -> None:
        for one in self._answers(dns.message.from_wire(data)):
            if isinstance(one, float):
                await asyncio.sleep(one)
            elif self._transport is not None:
                self._transport.sendto(one, addr)


@asynccontextmanager
async def dns_server(answers: Answers, host: str = "127.0.0.1") -> AsyncIterator[int]:
    """A name server on UDP; its port."""
    async with asyncio.TaskGroup() as group:
        transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
            lambda: _DnsServer(answers, group), (host, 0)
        )
        try:
            yield transport.get_extra_info("sockname")[1]
        finally:
            transport.close()


# --- certificates ----------------------------------------------------------------------------

KEY = ec.generate_private_key(ec.SECP256R1())
NOW = datetime.datetime.now(datetime.UTC).replace(microsecond=0)
DAY = datetime.timedelta(days=1)


class Days(NamedTuple):
    """When a certificate is valid, in days from now."""

    begin: float = -1
    end: float = 30


class Authority:
    """A certificate authority of its own, for certificates that share one key."""

    def __init__(self) -> None:
        self.root = self.sign("pantau test root", Days(-10, 3650), ca=True)

    def sign(
        self,
        name: str,
        days: Days = Days(),  # noqa: B008 (a constant)
        *,
        ca: bool = False,
        issuer: x509.Certificate | None = None,
    ) -> x509.Certificate:
        """A certificate for `name`."""
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        above = subject if issuer is None else issuer.subject
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(above)
            .public_key(KEY.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(NOW + days.begin * DAY)
            .not_valid_after(NOW + days.end * DAY)
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        )
        if not ca:
            names = x509.SubjectAlternativeName([x509.DNSName(name)])
            builder = builder.add_extension(names, critical=False)
        return builder.sign(KEY, hashes.SHA256())

    def trust(self, folder: Path) -> Path:
        """A file of authorities with this one in it."""
        file = folder / "authorities.pem"
        file.write_bytes(self.root.public_bytes(serialization.Encoding.PEM))
        return file


def server_context(folder: Path, *chain: x509.Certificate) -> ssl.SSLContext:
    """A server that shows this chain, its own certificate first."""
    file = folder / "server.pem"
    key = KEY.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    shown = b"".join(one.public_bytes(serialization.Encoding.PEM) for one in chain)
    file.write_bytes(key + shown)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    return context
