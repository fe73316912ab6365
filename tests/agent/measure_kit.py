"""What the tests of the measuring half share: targets, a STAMP reflector, a network without one."""

import asyncio
import errno
import socket
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

from agent.measure import Measure
from agent.recorder import Settled
from agent.sockets import Address, Destination, IcmpNotPermitted, Refusal, Way
from agent.stamps import Arrival, Sent
from runtime.clock import Clock, SystemClock
from wire import stamp
from wire.journal import Gap
from wire.observation import Observation, Train
from wire.policy import Role, Target

KEY = bytes(range(32))


def target(name: str = "hub", **changes: Any) -> Target:
    """A target that is measured fast enough for a test."""
    settings: dict[str, Any] = {
        "link": "astinet",
        "probe": "stamp",
        "role": Role.HUB,
        "address": "127.0.0.1",
        "interval_s": 0.05,
        "timeout_s": 0.3,
    }
    return Target(name=name, **{**settings, **changes})


class LaterClock(SystemClock):
    """The system's clocks, in a future that the test chooses."""

    ahead_ns = 0

    def boot_ns(self) -> int:
        return super().boot_ns() + self.ahead_ns

    def wall_ns(self) -> int:
        return super().wall_ns() + self.ahead_ns


async def run_with_jumps(
    measure: Measure, clock: LaterClock, jump_ns: int, jumps: int = 1
) -> list[Settled]:
    """Run a little, let `jump_ns` pass at once so many times, run on; returns everything."""
    records: list[Settled] = []
    async with asyncio.TaskGroup() as group:
        task = group.create_task(measure.run())
        await asyncio.sleep(0.1)
        for _ in range(jumps):
            clock.ahead_ns += jump_ns
            await asyncio.sleep(0.04)
            records += measure.settled()
        await asyncio.sleep(0.1)
        task.cancel()
    records += measure.abort()
    measure.close()
    return records


def rows(records: Sequence[Settled], name: str = "hub") -> list[Observation]:
    """Every observation of one target, in the order in which they were handed over."""
    trains = [record for record in records if isinstance(record, Train) and record.target == name]
    return [row for train in trains for row in train.observations()]


def gaps(records: Sequence[Settled], name: str = "hub") -> list[Gap]:
    """Every gap of one target."""
    return [record for record in records if isinstance(record, Gap) and record.target == name]


async def run_for(measure: Measure, seconds: float) -> list[Settled]:
    """Measure for so long, give the last reply its time, and return everything."""
    async with asyncio.TaskGroup() as group:
        task = group.create_task(measure.run())
        await asyncio.sleep(seconds)
        task.cancel()
    await asyncio.sleep(0.05)
    taken = measure.abort()
    measure.close()
    return taken


class Reflector(threading.Thread):
    """A stateful STAMP reflector on loopback, which a test can make misbehave."""

    def __init__(
        self,
        *,
        key: bytes | None = None,
        family: int = socket.AF_INET,
        answer: Callable[[int, bytes], Sequence[bytes]] | None = None,
        residence_s: float = 0.0,
    ) -> None:
        super().__init__(daemon=True)
        self._key = key
        self._answer = answer
        self._residence_s = residence_s
        self._socket = socket.socket(family, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1" if family == socket.AF_INET else "::1", 0))
        self._socket.settimeout(0.05)
        self._stopped = threading.Event()
        self.port: int = self._socket.getsockname()[1]
        self.seen: list[stamp.SenderPacket] = []
        self.sizes: list[int] = []
        self.sources: list[Any] = []
        self.ancillary: list[Any] = []

    def __enter__(self) -> "Reflector":
        if self._socket.family == socket.AF_INET:
            self._socket.setsockopt(socket.IPPROTO_IP, 12, 1)  # IP_RECVTTL
            self._socket.setsockopt(socket.IPPROTO_IP, 13, 1)  # IP_RECVTOS
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self.join()
        self._socket.close()

    def run(self) -> None:
        """Answer until stopped."""
        while not self._stopped.is_set():
            try:
                data, ancillary, _, source = self._socket.recvmsg(9000, 256)
            except TimeoutError:
                continue
            reply = self._reply(data)
            self.sources.append(source)
            self.ancillary.append(ancillary)
            for packet in [reply] if self._answer is None else self._answer(len(self.seen), reply):
                self._socket.sendto(packet, source)

    def _reply(self, data: bytes) -> bytes:
        received = stamp.ntp64(time.time_ns())
        packet = stamp.parse_sender(data, self._key)
        time.sleep(self._residence_s)
        reply = stamp.ReflectorPacket(
            seq=len(self.seen),
            timestamp=stamp.ntp64(time.time_ns()),
            error_estimate=packet.error_estimate,
            ssid=packet.ssid,
            receive_timestamp=received,
            sender_seq=packet.seq,
            sender_timestamp=packet.timestamp,
            sender_error_estimate=packet.error_estimate,
            sender_ttl=255,
        )
        self.seen.append(packet)
        self.sizes.append(len(data))
        return stamp.pack_reflector(reply, self._key)


class FakeChannel:
    """A channel whose other end is the test: `deliver` is called with every packet."""

    kernel_stamps = True
    raw = False

    def __init__(self, network: "FakeNetwork", way: Way, address: Address | None) -> None:
        self._network = network
        self.way = way
        self.address = address
        self.ident = 7
        self.sent: list[tuple[bytes, Sent, Address | None]] = []
        self.arrivals: list[Arrival] = []
        self.errors: list[Refusal] = []
        self.drops = 0
        self.has_moved = False
        self.closed = False

    def send(self, packet: bytes, sent: Sent, address: Address | None = None) -> None:
        clock = self._network.clock
        sent.boot_ns, sent.wall_ns = clock.boot_ns(), clock.wall_ns()
        failure = self._network.failures.get(str((address or self.address or ("",))[0]))
        if failure is not None:
            raise OSError(failure, errno.errorcode[failure])
        self.sent.append((packet, sent, address))
        self._network.deliver(self, packet, sent, address)

    def send_many(
        self, packets: Sequence[bytes], sent: Sequence[Sent], to: Sequence[Destination]
    ) -> dict[int, OSError]:
        failures: dict[int, OSError] = {}
        for k, (packet, one, where) in enumerate(zip(packets, sent, to, strict=True)):
            try:
                self.send(packet, one, where.address)
            except OSError as error:
                failures[k] = error
        return failures

    def receive(self) -> list[Arrival]:
        found, self.arrivals = self.arrivals, []
        return found

    def refusals(self) -> list[Refusal]:
        found, self.errors = self.errors, []
        return found

    def moved(self) -> bool:
        return self.has_moved

    def dropped(self) -> int:
        return self.drops

    def close(self) -> None:
        self.closed = True


class FakeNetwork:
    """No network at all; failures by destination address."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.failures: dict[str, int] = {}
        self.icmp_permitted = True
        self.channels: list[FakeChannel] = []
        self.watched: dict[FakeChannel, Callable[[], None]] = {}
        self.deliver: Callable[[FakeChannel, bytes, Sent, Address | None], None] = _lose

    def udp(self, way: Way, address: Address) -> FakeChannel:
        return self._open(way, address)

    def icmp(self, way: Way, ident: int, cookie: bytes) -> FakeChannel:
        if not self.icmp_permitted:
            raise IcmpNotPermitted(errno.EPERM, "no")
        return self._open(way, None)

    def watch(self, channel: Any, act: Callable[[], None]) -> None:
        self.watched[channel] = act

    def unwatch(self, channel: Any) -> None:
        self.watched.pop(channel, None)

    def _open(self, way: Way, address: Address | None) -> FakeChannel:
        if way.interface is not None and way.interface in self.failures:
            failure = self.failures[way.interface]
            raise OSError(failure, errno.errorcode[failure])
        channel = FakeChannel(self, way, address)
        self.channels.append(channel)
        return channel


def _lose(channel: FakeChannel, packet: bytes, sent: Sent, address: Address | None) -> None:
    """The packet goes nowhere."""


def reflect(channel: FakeChannel, packet: bytes, sent: Sent, address: Address | None) -> None:
    """An open STAMP reflector that is 1 ms away and answers at once."""
    asked = stamp.parse_sender(packet)
    reply = stamp.ReflectorPacket(
        asked.seq, 0, 1, asked.ssid, 0, asked.seq, asked.timestamp, asked.error_estimate, 255
    )
    sent.kernel_ns = sent.wall_ns + 1000
    arrival = Arrival(
        stamp.pack_reflector(reply),
        "192.0.2.1",
        sent.boot_ns + 1_000_000,
        sent.wall_ns + 1_000_000,
        sent.wall_ns + 900_000,
        60,
    )
    channel.arrivals.append(arrival)
