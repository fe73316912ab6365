"""The hub's side of throughput tests: who holds a grant may load it, within the grant, once.

`ThroughputServer` is what the rest of the collector sees. It keeps a worker process alive that owns
the port (collector/throughput/porter.py); for ndt7, which comes by the HTTPS port, it only
remembers who is expected (collector/throughput/ndt7.py).
"""

import asyncio
import logging
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

import msgspec

from collector.throughput.form import Command, Told
from collector.throughput.porter import BEGIN_WITHIN_S, EARLY_S
from collector.throughput.session import GO_WITHIN_S, SETTLE_S, End
from runtime.clock import SECOND, Clock
from runtime.load import host
from runtime.supervise import end_child
from wire.slot import Grant, Method, Rate
from wire.transfer import HubLoad

log = logging.getLogger(__name__)

_COMMAND = [sys.executable, "-P", "-m", "collector.throughput.worker"]
_LARGEST_LINE = 1 << 20
_AGAIN_S = 1.0


class ThroughputSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`throughput:` of collector.yaml, as far as it is about measuring."""

    host: str = "0.0.0.0"
    """Address to listen on; `::` takes IPv4 and IPv6."""
    port: Annotated[int, msgspec.Meta(ge=0, le=65535)] = 8461
    """TCP and UDP port of load; 0 takes any free one."""
    ndt7_open: bool = False
    """Let anybody's ndt7 client in, without a slot: for days of acceptance."""
    ndt7_open_most_bits_per_s: Rate = 200_000_000
    """And give each such client no more than this."""
    ndt7_open_at_once: Annotated[int, msgspec.Meta(ge=1, le=64)] = 2
    """And let in no more of them at the same time."""


@dataclass(frozen=True)
class SlotEvent:
    """Something happened to a slot."""

    slot_id: str
    end: End | None
    """None: it has begun, or goes on."""
    octets: int = 0
    """IP octets so far; of load that the hub sends only at its end."""
    reason: str = ""
    hub: HubLoad | None = None
    """How busy the hub was, at the end of one that was DONE."""


Listen = Callable[[SlotEvent], None]


class ThroughputServer:
    """Lets in who is expected."""

    def __init__(self, settings: ThroughputSettings, clock: Clock, listen: Listen) -> None:
        """`listen` is called in the event loop, for each slot at its begin, about once a second
        where the hub counts, and once at its end."""
        self.settings = settings
        self.clock = clock
        self._listen = listen
        self._grants: dict[str, tuple[Grant, int]] = {}
        """With the boot time after which the slot is over, whatever is said of it."""
        self._arrived_ns: dict[str, int] = {}
        self._begun: set[str] = set()
        self._cuts: dict[str, Callable[[], None]] = {}
        self._process: asyncio.subprocess.Process | None = None
        self._settled = asyncio.Event()
        self.port = settings.port
        self._load = (clock.boot_ns(), host.busy(""))

    async def started(self) -> int:
        """Wait until the port is open; returns it."""
        await self._settled.wait()
        return self.port

    def expect(self, grant: Grant) -> None:
        """Let the holder of this grant in, once, from its time on for 10 s."""
        now_ns = self.clock.boot_ns()
        longest_s = grant.wait_s + BEGIN_WITHIN_S + GO_WITHIN_S + grant.duration_s + SETTLE_S
        self._grants[grant.slot_id] = (grant, now_ns + int(longest_s * SECOND))
        self._arrived_ns[grant.slot_id] = now_ns
        if grant.method in (Method.UDP, Method.TCP):
            self._say(Command(expect=grant))

    def forget(self, slot_id: str) -> None:
        """Let nobody in with this slot; what is under way with it ends."""
        found = self._grants.get(slot_id)
        if found is None:
            return
        if found[0].method in (Method.UDP, Method.TCP):
            self._say(Command(forget=slot_id))
        elif slot_id in self._begun:
            self._cuts.get(slot_id, _nothing)()
        else:
            self.hear(SlotEvent(slot_id, End.FORGOTTEN))

    def on_forget(self, slot_id: str, cut: Callable[[], None]) -> None:
        """How an ndt7 test that has begun is ended."""
        self._cuts[slot_id] = cut

    def expected(self, slot_id: str) -> Grant | None:
        """An ndt7 grant whose time is now."""
        found = self._grants.get(slot_id)
        if found is None or found[0].method is not Method.NDT7 or slot_id in self._begun:
            return None
        since_s = (self.clock.boot_ns() - self._arrived_ns[slot_id]) / SECOND - found[0].wait_s
        return found[0] if -EARLY_S <= since_s <= BEGIN_WITHIN_S else None

    def begin(self, slot_id: str) -> Grant | None:
        """The ndt7 grant, which nobody else can begin any more; None where that is so already."""
        grant = self.expected(slot_id)
        if grant is not None:
            self._begun.add(slot_id)
            self.hear(SlotEvent(slot_id, None))
        return grant

    def slots(self) -> int:
        """Grants that are not over."""
        return len(self._grants)

    def load(self, interface: str = "") -> HubLoad:
        """How busy this machine was since the last call."""
        (since_ns, before), now_ns = self._load, self.clock.boot_ns()
        after = host.busy(interface)
        self._load = (now_ns, after)
        octets = max(after.received - before.received, after.sent - before.sent)
        elapsed_ns = now_ns - since_ns
        known = bool(interface) and elapsed_ns > 0 and octets >= 0
        return HubLoad(
            cpu_ratio=host.cpu_ratio(before, after),
            nic_bits_per_s=octets * 8 * SECOND // elapsed_ns if known else None,
            nic_speed_mbps=host.nic(interface).speed_mbps,
            slots=len(self._grants),
        )

    def hear(self, event: SlotEvent) -> None:
        """Something happened to a slot: pass it on, once for its end."""
        if event.slot_id in self._grants or event.end is None:
            if event.end is not None:
                self._drop(event.slot_id)
            self._listen(event)

    def _drop(self, slot_id: str) -> None:
        del self._grants[slot_id]
        del self._arrived_ns[slot_id]
        self._begun.discard(slot_id)
        self._cuts.pop(slot_id, None)

    async def run(self) -> None:
        """Keep a worker alive, for ever; one that dies takes its slots with it."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._sweep(), name="throughput slots")
            while True:
                try:
                    await self._work()
                except OSError as error:
                    log.error("throughput worker: %s", error)
                self._settled.clear()
                for slot_id, (grant, _) in list(self._grants.items()):
                    if grant.method in (Method.UDP, Method.TCP):
                        self.hear(SlotEvent(slot_id, End.FAILED, reason="the worker ended"))
                await asyncio.sleep(_AGAIN_S)

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(1.0)
            now_ns = self.clock.boot_ns()
            for slot_id, (_, until_ns) in list(self._grants.items()):
                if until_ns < now_ns:
                    self.hear(SlotEvent(slot_id, End.UNUSED))

    async def _work(self) -> None:
        process = await asyncio.create_subprocess_exec(
            *_COMMAND,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            limit=_LARGEST_LINE,
            start_new_session=True,
        )
        try:
            self._process = process
            self._say(Command(listen=(self.settings.host, self.settings.port)))
            assert process.stdout is not None
            async for line in process.stdout:
                self._take(msgspec.json.decode(line, type=Told))
            log.error("the throughput worker ended and is started again")
        finally:
            self._process = None
            await end_child(process)

    def _take(self, told: Told) -> None:
        if told.error is not None:
            raise OSError(f"cannot listen on port {self.settings.port}: {told.error}")
        if told.port is not None:
            self.port = told.port
            self._settled.set()
            for grant, _ in self._grants.values():
                if grant.method in (Method.UDP, Method.TCP):
                    self._say(Command(expect=grant))
        if told.slot_id is not None:
            event = SlotEvent(told.slot_id, told.end, told.octets, told.reason, told.hub)
            self.hear(event)

    def _say(self, command: Command) -> None:
        process = self._process
        if process is None or process.stdin is None:
            return
        if command.listen is None and not self._settled.is_set():
            return  # it is told of all that is expected once it listens
        process.stdin.write(msgspec.json.encode(command) + b"\n")


def _nothing() -> None:
    return
