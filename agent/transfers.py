"""The agent's loads: from a job and its grant to a Transfer, and what is shown of it.

Nothing of `agent/throughput` is imported before a load begins: a box that tests nothing does not
pay for it.
"""

import statistics
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from agent.gate import Cross
from agent.jobs import Job
from agent.logbook import Started
from agent.runner import Ran, Seen
from runtime.clock import SECOND, Clock, instant
from wire.achieved import achieved, loaded_rtts_ns, loss_ratio, maximum, series, stages
from wire.codec import Record
from wire.instant import Instant
from wire.load import Ca, Plan, Step
from wire.message import End, Figures
from wire.plan import Load, ThroughputPlan
from wire.slot import Grant, Method
from wire.transfer import MADE, Transfer, TransferOutcome

if TYPE_CHECKING:
    from agent.throughput.job import Stage

_SKIPPED = {
    End.BUSY: TransferOutcome.SKIPPED_BUSY,
    End.BLIND: TransferOutcome.SKIPPED_BLIND,
    End.BUDGET: TransferOutcome.SKIPPED_BUDGET,
    End.NO_SLOT: TransferOutcome.NO_SLOT,
    End.MISSED: TransferOutcome.SKIPPED_MISSED,
}
_ENDS = {
    TransferOutcome.DONE: End.DONE,
    TransferOutcome.UNFIT: End.UNFIT,
    TransferOutcome.HUB_UNFIT: End.UNFIT,
}
_NOTHING_SENT = frozenset({TransferOutcome.REFUSED, TransferOutcome.UNREACHABLE})
_LONGEST_NS = 366 * 86_400 * SECOND
"""A box that was off for longer, or whose clock says so, does not know when it was."""
_STAGES = {
    "proving": "the box proves itself over loopback",
    "waiting": "round trips without load",
    "loading": "load is on the link",
    "ending": "both ends count",
}


class Web(NamedTuple):
    """Where ndt7 goes: the hub's own HTTP port."""

    url: str
    """http or https, as given at enrolment."""
    ca_file: str | None

    @property
    def socket_url(self) -> str:
        """The same address as a WebSocket's."""
        return "ws" + self.url.removeprefix("http").rstrip("/")


class _Current(NamedTuple):
    job: Job
    slot_id: str
    loading_ns: int | None
    """Boot clock at which load began, if it did."""


class Transfers:
    """See `agent.loads.Loads`."""

    def __init__(self, clock: Clock, web: Web) -> None:
        self._clock, self._web = clock, web
        self._current: _Current | None = None

    async def run(self, grant: Grant, job: Job, seen: Seen) -> Ran:
        """Load the link within the grant. Raises OSError where no process can be started."""
        from agent.probes.throughput import Means, run

        async def at(stage: "Stage") -> None:
            seen.progress(_STAGES[stage])
            if stage == "loading":
                self._current = _Current(job, grant.slot_id, self._clock.boot_ns())
                await seen.loading()

        self._current = _Current(job, grant.slot_id, None)
        means = Means(
            clock=self._clock,
            interface=job.plan.interface,
            counters=None if seen.counters is None else seen.counters.read,
            progress=at,
        )
        rate = min(seen.bits_per_s, grant.most_bits_per_s)
        transfer = await run(grant, load_plan(job, rate, self._web), means)
        transfer = self._timed(on_a_port(transfer, job.plan))
        self._current = None
        return Ran((transfer,), figures(job, transfer, seen.cross), carried_bytes(transfer))

    def _timed(self, transfer: Transfer) -> Transfer:
        """A load that broke off was on the link, too: latency measured meanwhile is not the
        link's."""
        if self._current is None:
            return transfer
        transfer = msgspec.structs.replace(transfer, slot_id=self._current.slot_id)
        began_ns = self._current.loading_ns
        if transfer.duration_ns is not None or began_ns is None:
            return transfer
        return msgspec.structs.replace(
            transfer, boot_ns=began_ns, duration_ns=self._clock.boot_ns() - began_ns
        )

    def skipped(self, job: Job, end: End, seen: Cross | None) -> Sequence[Record]:
        """The evidence that a test was not made, or broke off, and why."""
        outcome = _SKIPPED.get(end, TransferOutcome.FAILED)
        made = self._timed(self._nothing(job, outcome, _why(job, seen)))
        self._current = None
        return (made,)

    def aborted(self) -> Sequence[Record]:
        """The evidence of the test that the end of this program has stopped, if there was one."""
        if self._current is None:
            return ()
        made = self._nothing(self._current.job, TransferOutcome.ABORTED, "the agent was stopped")
        return (self._timed(made),)

    def interrupted(self, test: Started) -> Sequence[Record]:
        """The evidence of a test in which a former life of this program ended without a word."""
        now = instant(self._clock)
        begun, loading = test.begun, test.loading
        ago_ns = _since(loading or begun, now)
        lasted_ns = None if loading is None else ago_ns
        if lasted_ns is not None:
            lasted_ns = min(lasted_ns, round(test.load_s * SECOND))
        known = "its load began" if loading is not None else "no load had begun"
        at = datetime.fromtimestamp((loading or begun).wall_ns // SECOND, UTC)
        note = f"the agent ended in the test without a word; {known}, {at:%Y-%m-%dT%H:%M:%SZ}"
        return (
            Transfer(
                link=test.link,
                boot_ns=now.boot_ns,
                direction=test.direction,
                method=test.method,
                purpose=test.purpose,
                outcome=TransferOutcome.ABORTED,
                slot_id=test.slot_id,
                ago_ns=ago_ns,
                duration_ns=lasted_ns,
                flows=test.flows,
                cir_bits_per_s=test.cir_bits_per_s,
                note=note,
            ),
        )

    def _nothing(self, job: Job, outcome: TransferOutcome, note: str) -> Transfer:
        return Transfer(
            link=job.plan.link,
            boot_ns=self._clock.boot_ns(),
            direction=job.direction,
            method=job.method,
            purpose=job.purpose,
            outcome=outcome,
            flows=job.flows,
            cir_bits_per_s=job.cir_ip,
            note=note[:256],
        )


def _since(then: Instant, now: Instant) -> int | None:
    """Nanoseconds from `then` to `now`, across boots by the wall clock; None where that is no
    answer."""
    if then.boot_id == now.boot_id:
        return now.boot_ns - then.boot_ns
    ago_ns = now.wall_ns - then.wall_ns
    return ago_ns if 0 <= ago_ns <= _LONGEST_NS else None


def _why(job: Job, seen: Cross | None) -> str:
    told = [] if job.due_s is None else [f"due at {job.due_s:.0f}"]
    if seen is not None:
        mbps = seen.of(job.direction) / 1e6
        told.append(f"users took {mbps:.2f} of {job.cir_ip / 1e6:.2f} Mbit/s")
    return "; ".join(told)


def load_plan(job: Job, bits_per_s: int, web: Web) -> Plan:
    """How the test is made, at `bits_per_s` of IP packets or at most so much."""
    shares = job.steps if job.load is Load.STEPS else ()
    rates = [min(bits_per_s, max(1, round(share * job.cir_ip))) for share in shares]
    ndt7 = job.method is Method.NDT7
    web_too = job.method in (Method.TCP, Method.NDT7)
    return Plan(
        purpose=job.purpose,
        cir_bits_per_s=job.cir_ip,
        steps=tuple(
            Step(bits_per_s=rate, seconds=job.duration_s) for rate in rates or [bits_per_s]
        ),
        search=job.load is Load.SEARCH and job.method is Method.UDP,
        url=web.socket_url if ndt7 else None,
        web=web.url if web_too else None,
        ca=web.ca_file or Ca.SYSTEM if web_too else Ca.SYSTEM,
    )


def on_a_port(transfer: Transfer, plan: ThroughputPlan) -> Transfer:
    """Marked, where the box's own port is slower than the plan asks for."""
    speed_mbps = None if transfer.box is None else transfer.box.speed_mbps
    if transfer.outcome is not TransferOutcome.DONE or speed_mbps is None:
        return transfer
    if speed_mbps * 1_000_000 >= plan.least_nic():
        return transfer
    note = f"the box's port runs at {speed_mbps} Mbit/s, {plan.least_nic() / 1e6:g} are needed"
    return msgspec.structs.replace(transfer, outcome=TransferOutcome.UNFIT, note=note)


def carried_bytes(transfer: Transfer) -> int | None:
    """IP octets that the load put on the link, or more; None where nobody knows."""
    if transfer.outcome in _NOTHING_SENT:
        return 0
    if transfer.outcome not in MADE:
        return None
    came, headers = sum(transfer.octets), transfer.headers
    if headers is None:
        return came
    if transfer.sent_packets is not None:
        return max(came, transfer.sent_packets * headers.packet)
    payload = sum(flow.bytes_sent or 0 for flow in transfer.tcp)
    segment = headers.packet - headers.ip - headers.transport
    return max(came, -(-payload * headers.packet // max(1, segment)))


def figures(job: Job, transfer: Transfer, seen: Cross | None) -> Figures:
    """What is shown of one direction."""
    end = _ENDS.get(transfer.outcome, End.FAILED)
    taken = None if seen is None else seen.of(job.direction)
    told = Figures(direction=job.direction, end=end, cross_bits_per_s=taken, detail=transfer.note)
    if transfer.outcome not in MADE:
        return told
    offered, rate = _rates(job, transfer)
    rtts = loaded_rtts_ns(transfer)
    return msgspec.structs.replace(
        told,
        bits_per_s=rate,
        offered_bits_per_s=offered,
        lost_ratio=loss_ratio(transfer),
        rtt_ns=round(statistics.median(rtts)) if rtts else None,
        detail=_steps(transfer) if job.load is Load.STEPS and not told.detail else told.detail,
    )


def _rates(job: Job, transfer: Transfer) -> tuple[float | None, float | None]:
    """Offered and achieved: of steps the last one's, of a search the best second."""
    if job.load is Load.STEPS and (steps := stages(transfer)):
        return steps[-1]
    if job.load is Load.SEARCH and job.method is Method.UDP:
        return None, maximum(series(transfer))
    fixed = job.method is Method.UDP and len(transfer.offered) == 1
    return (transfer.offered[0].bits_per_s if fixed else None), achieved(transfer)


def _steps(transfer: Transfer) -> str:
    told = (f"{rate / 1e6:.2f} of {offered / 1e6:.2f}" for offered, rate in stages(transfer))
    return f"steps, Mbit/s: {', '.join(told)}"[:256]
