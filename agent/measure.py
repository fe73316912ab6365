"""The measuring half of the agent: schedule, probes and recorder under one loop.

One task, one wake-up for all slots that are due, no task or timer per packet. It writes nothing
and knows nothing of the spool: `settled` hands over what is final, and what was not measured is
handed over as such.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from random import Random

from agent.probes import PROBES
from agent.probes.site import Probe, Site, Unavailable
from agent.recorder import Recorder, Settled, Stream
from agent.resolve import NamelessProbe, Names, homeless
from agent.saving import BEYOND
from agent.schedule import Missed, Schedule
from agent.sockets import Network
from runtime.clock import SECOND, Clock
from wire.detail import DetailRecord
from wire.journal import Anchor, Gap, GapReason
from wire.message import TargetStatus
from wire.policy import Target

log = logging.getLogger(__name__)

MAX_DETAILS = 2000
"""Held until fetched, some seconds' worth; the oldest give way, their observations do not."""
MAX_NOTES = 8
"""As many as a status message carries."""
_NOTE_CHARS = 256
_QUIET_NS = 600 * SECOND


@dataclass(frozen=True, kw_only=True)
class SelfError:
    """The instrument's own error since the last look; None where nothing was sent."""

    slot_late_ns: int | None
    """Longest time from when a packet was due to when it had left."""
    send_call_ns: int | None
    """Longest send call."""
    slots_missed: int
    """Slots that passed while this process did not run."""
    duplicates: int
    """Further replies to packets already answered, since start."""
    late: int
    """Replies after the timeout, since start."""
    foreign: int
    """Packets that no observation asked for, since start."""
    dropped: int
    """Settled observations that memory could not hold, since start."""


class Measure:
    """Measures all targets of a policy, for ever."""

    def __init__(
        self,
        targets: Sequence[Target],
        *,
        clock: Clock,
        stamp_key: bytes | None,
        network: Network,
        anchor: Callable[[Anchor], None] = lambda _: None,
    ) -> None:
        self._clock = clock
        self._network = network
        self.answered: Callable[[int], None] | None = None
        """Told when a packet to the hub or an anchor was sent that was answered."""
        self._recorder = Recorder()
        self._schedule = Schedule(Random())
        self._site = Site(
            clock=clock,
            network=network,
            oddities=self._recorder.oddities,
            stamp_key=stamp_key,
            note=self._note_stream,
            spawn=self._spawn,
            anchor=anchor,
            emit=self._emit,
        )
        self._names = Names(self._site, self._moved)
        self._nameless = NamelessProbe(self._site)
        self._group: asyncio.TaskGroup | None = None
        self._details: deque[DetailRecord] = deque(maxlen=MAX_DETAILS)
        self._probes: dict[str, Probe] = {}
        self._targets = tuple(targets)
        self._streams: dict[int, tuple[Stream, Probe]] = {}
        self._unmeasured: dict[Target, str] = {}
        self._troubles: dict[int, str] = {}
        self._said: dict[str, int] = {}
        self._ended: asyncio.Future[None] | None = None
        """There while it measures; takes the error of a turn."""
        self._timer: asyncio.TimerHandle | None = None
        self._late_ns: int | None = None
        self._call_ns: int | None = None
        self._missed = 0

    async def run(self) -> None:
        """Send what is due until cancelled."""
        async with asyncio.TaskGroup() as group:
            self._group = group
            self._ended = asyncio.get_running_loop().create_future()
            self._adopt()
            self._go_on()
            try:
                await self._ended
            finally:
                self._ended = None
                if self._timer is not None:
                    self._timer.cancel()

    def _go_on(self) -> None:
        """Send what is due, and come back when something is due again: from the loop itself, for
        waking a task costs as much again as a turn does."""
        ended = self._ended
        if ended is None or ended.done():
            return
        try:
            self._turn()
        except Exception as error:  # noqa: BLE001 - `run` raises it
            ended.set_exception(error)
            return
        next_ns = self._schedule.next_ns()
        if next_ns is not None:
            self._come_back(max(0, next_ns - self._clock.boot_ns()) / SECOND)

    def _come_back(self, delay_s: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._ended is not None:
            self._timer = self._ended.get_loop().call_later(delay_s, self._go_on)

    def replace(self, targets: Sequence[Target]) -> None:
        """Measure `targets` from now on; those that are the same go on undisturbed."""
        self._targets = tuple(targets)
        if self._ended is not None:
            self._adopt()
            self._come_back(0)

    def settled(self) -> list[Settled | DetailRecord]:
        """Everything whose fate became final since the last call, in order for each target, and
        what was learnt besides."""
        taken: list[Settled | DetailRecord] = [*self._recorder.settled(self._poll())]
        taken.extend(self._details)
        self._details.clear()
        return taken

    def unfinished(self) -> list[Settled]:
        """What is left after `settled`, for the case that this process dies: rows that wait for
        others, and what is under way as ABORTED. All of it goes on."""
        return self._recorder.unfinished()

    def abort(self) -> list[Settled | DetailRecord]:
        """As `settled`, and what is under way as ABORTED: for the shutdown, after `run`."""
        return [*self.settled(), *self._recorder.abort()]

    def status(self, window_s: float) -> tuple[TargetStatus, ...]:
        """The last `window_s` settled seconds of every target."""
        return self._recorder.status(self._poll(), int(window_s * SECOND))

    def losing(self, window_s: float) -> frozenset[int]:
        """Which targets lose most of what is sent to them; numbers that mean the same until this
        process ends."""
        return self._recorder.losing(self._poll(), int(window_s * SECOND))

    def self_error(self) -> SelfError:
        """The worst since the last call."""
        oddities = self._recorder.oddities
        error = SelfError(
            slot_late_ns=self._late_ns,
            send_call_ns=self._call_ns,
            slots_missed=self._missed,
            duplicates=oddities.duplicates,
            late=oddities.late,
            foreign=oddities.foreign,
            dropped=oddities.dropped,
        )
        self._late_ns = self._call_ns = None
        self._missed = 0
        return error

    def notes(self) -> tuple[str, ...]:
        """What the operator should know now; each was said once in the log too."""
        texts = dict.fromkeys([*self._unmeasured.values(), *self._troubles.values()])
        return tuple(text[:_NOTE_CHARS] for text in texts)[:MAX_NOTES]

    def close(self) -> None:
        """Let go of all sockets."""
        for probe in self._probes.values():
            probe.close()

    def _spawn(self, step: Coroutine[None, None, None], name: str) -> None:
        assert self._group is not None, "nothing is due before the measuring runs"
        self._group.create_task(self._guarded(step, name), name=name)

    async def _guarded(self, step: Coroutine[None, None, None], name: str) -> None:
        """A bug in one probe must not end the measuring of the others."""
        try:
            await step
        except Exception:
            log.exception("bug in a probe: %s", name)

    def _emit(self, detail: DetailRecord) -> None:
        self._details.append(detail)

    def _poll(self) -> int:
        """Take in all that has arrived; returns a moment that lies before it, so that a reply in
        the socket's buffer is never called a timeout."""
        now_ns = self._clock.boot_ns()
        for probe in self._probes.values():
            probe.poll()
        return now_ns

    def _turn(self) -> None:
        """Send what is due now, and say what was missed."""
        turn = self._schedule.take(self._clock.boot_ns())
        for missed in turn.missed:
            self._skip(missed)
        if not turn.slots:
            return
        batches: dict[Probe, list[tuple[Stream, int]]] = {}
        for key, seq, _ in turn.slots:
            stream, probe = self._streams[key]
            batch = batches.get(probe)
            if batch is None:
                batches[probe] = batch = []
            batch.append((stream, seq))
        for probe, batch in batches.items():
            self._call_ns = max(self._call_ns or 0, probe.send(batch))
        late_ns = self._clock.boot_ns() - turn.slots[0].due_ns
        self._late_ns = max(self._late_ns or 0, late_ns)

    def _skip(self, missed: Missed) -> None:
        count = missed.last_seq - missed.first_seq + 1
        self._missed += count
        stream = self._streams[missed.key][0]
        gap = Gap(
            boot_ns=self._clock.boot_ns(),
            wall_ns=self._clock.wall_ns(),
            reason=GapReason.STALLED,
            link=stream.target.link,
            target=stream.target.name,
            first_seq=missed.first_seq,
            last_seq=missed.last_seq,
            count=count,
            detail=f"the first was due at boot_ns {missed.due_ns}",
        )
        stream.skip(gap)

    def _moved(self) -> None:
        """A name leads elsewhere than before."""
        self._adopt()
        self._come_back(0)

    def _adopt(self) -> None:
        """Bring streams, probes and schedule in line with the targets."""
        self._names.follow(self._targets)
        targets = [self._names.place(target) for target in self._targets]
        wanted = set(targets)
        for key, (stream, probe) in list(self._streams.items()):
            if stream.target in wanted:
                wanted.discard(stream.target)
                continue
            self._schedule.remove(key)
            self._recorder.retire(stream)
            probe.remove(stream)
            self._troubles.pop(key, None)
            del self._streams[key]
        self._unmeasured = {}
        for target in targets:
            if target in wanted:
                self._begin(target)

    def _begin(self, target: Target) -> None:
        make = PROBES.get(target.probe)
        if make is None:
            self._cannot(target, f"this version has no probe {target.probe!r}")
            return
        probe = self._nameless if homeless(target) else self._probes.get(target.probe)
        if probe is None:
            probe = self._probes[target.probe] = make(self._site)
        stream = self._recorder.open(target)
        if self.answered is not None and target.role in BEYOND:
            stream.heard = self.answered
        try:
            probe.add(stream)
        except Unavailable as error:
            self._recorder.retire(stream)
            self._cannot(target, str(error))
            return
        key = stream.index
        self._streams[key] = stream, probe
        self._schedule.add(
            key,
            int(target.interval_s * SECOND),
            now_ns=self._clock.boot_ns(),
            first_seq=stream.next_seq,
        )

    def _cannot(self, target: Target, reason: str) -> None:
        self._unmeasured[target] = reason
        self._say(reason, f"{target.name} of {target.link}: {reason}")

    def _note_stream(self, stream: Stream, trouble: str | None) -> None:
        if trouble is None:
            self._troubles.pop(stream.index, None)
            return
        text = f"{stream.target.name} of {stream.target.link}: {trouble}"
        if self._troubles.get(stream.index) != text:
            self._troubles[stream.index] = text
            self._say(text, text)

    def _say(self, what: str, text: str) -> None:
        """Log `text`, unless the same was said a short while ago: links flap for hours."""
        now_ns = self._clock.boot_ns()
        if now_ns >= self._said.get(what, 0):
            self._said[what] = now_ns + _QUIET_NS
            log.warning("target %s", text)
