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

import msgspec

from collector.settings import ThroughputSettings
from collector.throughput.form import Command, Told
from collector.throughput.porter import BEGIN_WITHIN_S, EARLY_S
from collector.throughput.session import GO_WITHIN_S, SETTLE_S, End
from runtime.clock import SECOND, Clock
from runtime.load import host
from runtime.supervise import end_child
from wire.slot import Grant, Method
from wire.transfer import HubLoad

log = logging.getLogger(__name__)

_COMMAND = [sys.executable, "-P", "-m", "collector.throughput.worker"]
_LARGEST_LINE = 1 << 20
_AGAIN_S = 1.0
_COUNTED = frozenset({End.DONE, End.UNUSED, End.REFUSED, End.FORGOTTEN})
"""Ends after which the hub knows what a slot has carried; of UNUSED and the two after it nothing.
A connection that breaks in a download takes the account of it along."""
_WEB = frozenset({Method.TCP, Method.NDT7})
_PAYLOAD_RATIO = 1.1
"""TCP and ndt7 are counted as payload: IP, TCP, TLS and frames make it at most so much more."""
_REMEMBERED = 1024


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
        self._carried: dict[str, int] = {}
        """IP octets of slots that have ended and nobody has asked for yet, the oldest first."""
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

    def forget(self, slot_id: str) -> int | None:
        """Let nobody in with this slot; what is under way with it ends.

        Returns the IP octets that it carried, or more; None where that is not known (yet).
        """
        self._stop(slot_id)
        return self._carried.pop(slot_id, None)

    def _stop(self, slot_id: str) -> None:
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

    def held(self, slot_id: str) -> Grant | None:
        """A grant that is not over, whose holder may ask for small things beside its load."""
        found = self._grants.get(slot_id)
        return None if found is None or found[0].method not in _WEB else found[0]

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
                self._remember(event, self._grants[event.slot_id][0].method)
                self._drop(event.slot_id)
            self._listen(event)

    def _remember(self, event: SlotEvent, method: Method) -> None:
        if event.end not in _COUNTED:
            return
        more = 1.0 if method is Method.UDP else _PAYLOAD_RATIO
        self._carried[event.slot_id] = round(event.octets * more)
        while len(self._carried) > _REMEMBERED:
            del self._carried[next(iter(self._carried))]

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
