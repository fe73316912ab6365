"""From what was measured to a Transfer, and whether either end was at fault. Pure."""

from agent.throughput.job import Job
from agent.throughput.slot_test import Measured
from wire.slot import Direction
from wire.transfer import Box, Flow, Headers, Transfer, TransferOutcome

_UNSENT_RATIO = 0.01
_DROPPED_RATIO = 0.001
_LIMITED_RATIO = 0.1


def ended(job: Job, boot_ns: int, outcome: TransferOutcome, note: str = "") -> Transfer:
    """A test that brought nothing: any outcome but DONE."""
    return Transfer(
        link=job.grant.link,
        boot_ns=boot_ns,
        direction=job.grant.direction,
        method=job.grant.method,
        purpose=job.plan.purpose,
        outcome=outcome,
        slot_id=job.grant.slot_id,
        flows=job.grant.flows,
        cir_bits_per_s=job.plan.cir_bits_per_s,
        note=note[:256],
    )


def fault(
    *, flows: tuple[Flow, ...], sent: int | None, unsent: int | None, dropped: int | None
) -> tuple[str, str]:
    """What the sender and what the receiver could not do; "" where they could."""
    sender = receiver = ""
    everything = (sent or 0) + (unsent or 0)
    if unsent and unsent > _UNSENT_RATIO * everything:
        sender = f"{unsent} of {everything} packets were not sent in time"
    if dropped and dropped > _DROPPED_RATIO * everything:
        receiver = f"{dropped} packets found no room in the receiver"
    busy = sum(flow.busy_ns or 0 for flow in flows)
    small_buffer = sum(flow.sndbuf_limited_ns or 0 for flow in flows)
    small_window = sum(flow.rwnd_limited_ns or 0 for flow in flows)
    if small_buffer > _LIMITED_RATIO * busy:
        sender = f"limited by the sender's buffer for {small_buffer // 1_000_000} ms"
    if small_window > _LIMITED_RATIO * busy:
        receiver = f"limited by the receiver's window for {small_window // 1_000_000} ms"
    return sender, receiver


def judged(
    direction: Direction, box: Box, sender: str, receiver: str
) -> tuple[TransferOutcome, str]:
    """The outcome of a test that was made."""
    here, there = (sender, receiver) if direction is Direction.UP else (receiver, sender)
    if not box.fit or here:
        return TransferOutcome.UNFIT, here or box.note
    if there:
        return TransferOutcome.HUB_UNFIT, there
    return TransferOutcome.DONE, ""


def transfer(job: Job, box: Box, measured: Measured) -> Transfer:
    """The record of a test that was made."""
    counted, sent = measured.counted, measured.sent
    sender, receiver = fault(
        flows=measured.flows, sent=sent.packets, unsent=sent.unsent, dropped=counted.dropped
    )
    outcome, note = judged(job.grant.direction, box, sender, receiver)
    if not any(counted.octets):
        outcome, note = TransferOutcome.FAILED, "nothing arrived"
    headers = None
    if counted.headers is not None:
        ip, transport, packet = counted.headers
        headers = Headers(ip=ip, transport=transport, packet=packet)
    return Transfer(
        link=job.grant.link,
        boot_ns=measured.begin_ns,
        direction=job.grant.direction,
        method=job.grant.method,
        purpose=job.plan.purpose,
        outcome=outcome,
        slot_id=job.grant.slot_id,
        duration_ns=measured.duration_ns,
        flows=job.grant.flows,
        cir_bits_per_s=job.plan.cir_bits_per_s,
        offered=sent.offered,
        bin_ns=counted.bin_ns,
        octets=counted.octets,
        packets=counted.packets,
        lost=counted.lost,
        reordered=counted.reordered,
        duplicated=counted.duplicated,
        late_packets=counted.late,
        sent_packets=sent.packets,
        unsent_packets=sent.unsent,
        dropped_packets=counted.dropped,
        delay_us=counted.delay_us,
        delay_interval_ns=counted.delay_interval_ns,
        rtt_idle_ns=measured.rtt_idle_ns,
        rtt_load_ns=measured.rtt_load_ns,
        rtt_interval_ns=measured.rtt_interval_ns,
        connect_load_ns=measured.connect_ns,
        tls_load_ns=measured.tls_ns,
        http_load_ns=measured.http_ns,
        tcp=measured.flows,
        headers=headers,
        box=_with_cpu(box, measured.box_cpu_ratio),
        hub=measured.hub,
        note=note[:256],
    )


def _with_cpu(box: Box, cpu_ratio: float | None) -> Box:
    fields = {name: getattr(box, name) for name in box.__struct_fields__}
    return Box(**{**fields, "cpu_ratio": cpu_ratio})
