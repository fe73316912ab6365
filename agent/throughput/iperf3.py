"""The system's iperf3 against a server that exists already, for those who trust nothing else.

Received by us (DOWN), its octets come by 100 ms. Sent by us (UP), only the server knows what
arrived: by intervals where it answers in JSON, else as one total, which is then the only bin. So
that slow start is not in that total, iperf3 itself leaves the warm-up out of it (`--omit`).

Either way they are counted as a program reads them, in order: behind a lost segment a flow stands
still for a round trip, and where that falls on the end of what is averaged, a round trip's worth
of that flow is missing (docs/throughput.md).
"""

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import msgspec

from agent.throughput import outcomes
from agent.throughput.job import Job, Stage
from runtime.clock import SECOND, Clock
from runtime.load.channel import Rejected
from runtime.load.counting import Bins
from wire.achieved import WARM_UP_NS
from wire.slot import Direction
from wire.transfer import Box, Flow, Headers, Transfer, TransferOutcome

_SPARE_S = 30.0
_TCP_BYTES = 32
"""TCP header with time stamps, as all common systems send it."""
_MSS = 1448


def run(job: Job, clock: Clock, box: Box, stage: Callable[[Stage], None]) -> Transfer:
    """Make the test. Raises OSError, Rejected."""
    binary = shutil.which("iperf3")
    if binary is None:
        raise OSError("no iperf3 on this machine")
    begin_ns = clock.boot_ns()
    stage(Stage.LOADING)
    try:
        done = subprocess.run(
            [binary, *arguments(job)],
            capture_output=True,
            timeout=job.plan.seconds + _SPARE_S,
            check=False,
            env={**os.environ, "LC_ALL": "C"},
        )
    except subprocess.TimeoutExpired as error:
        raise OSError("iperf3 does not end") from error
    stage(Stage.ENDING)
    try:
        told = json.loads(done.stdout)
    except ValueError as error:
        raise OSError(f"iperf3 says nothing in JSON: {done.stdout[:100]!r}") from error
    try:
        if "error" in told:
            raise Rejected(str(told["error"]))
        return transfer(job, told, begin_ns, box)
    except (KeyError, TypeError, IndexError) as error:
        raise OSError(f"iperf3's JSON is of another kind: {error!r}") from error


def arguments(job: Job) -> list[str]:
    """Options of iperf3 for this test."""
    grant, plan = job.grant, job.plan
    rate = min(grant.most_bits_per_s, plan.most_bits_per_s) // grant.flows
    made = ["--client", grant.address, "--port", str(grant.port), "--json"]
    omitted_s = omitted(job)
    made += ["--time", str(max(1, round(plan.seconds) - omitted_s)), "--interval", "0.1"]
    made += ["--omit", str(omitted_s)] if omitted_s else []
    made += ["--parallel", str(grant.flows), "--bitrate", str(rate), "--get-server-output"]
    return [*made, "--reverse"] if grant.direction is Direction.DOWN else made


def omitted(job: Job) -> int:
    """Whole seconds that the server leaves out of its total of an upload; none of a load that is
    no longer than two warm-ups."""
    warm_up_s = WARM_UP_NS // SECOND
    up = job.grant.direction is Direction.UP
    return warm_up_s if up and job.plan.seconds > 2 * warm_up_s else 0


def transfer(job: Job, told: Mapping[str, Any], begin_ns: int, box: Box) -> Transfer:
    """The record. Raises KeyError, TypeError or IndexError where this is not iperf3's JSON."""
    down = job.grant.direction is Direction.DOWN
    ip_bytes = 40 if ":" in job.grant.address else 20
    mss = int(told["start"].get("tcp_mss_default") or _MSS)
    whole = (mss + ip_bytes + _TCP_BYTES) / mss
    theirs = told.get("server_output_json") or {}
    intervals = told["intervals"] if down else theirs.get("intervals") or []
    parts, omitted_s = [one["sum"] for one in intervals], omitted(job)
    received = told["end"]["sum_received"]
    # Where the warm-up ends iperf3 may say an interval of no length: then its total is better.
    muddled = omitted_s and any(part["end"] <= part["start"] for part in parts)
    if parts and not muddled:
        bins = Bins(round(float(job.plan.seconds) * SECOND))
        bins.at(0)
        for part in parts:
            # What comes after the warm-up counts from its end.
            from_s = 0 if part.get("omitted") else omitted_s
            since_ns = round((from_s + part["start"]) * SECOND)
            until_ns = round((from_s + part["end"]) * SECOND)
            bins.spread(since_ns, until_ns, round(part["bytes"] * whole))
        octets, width_ns = bins.octets, bins.width_ns
    else:
        octets = [round(received["bytes"] * whole)]
        width_ns = max(1_000_000, round(received["seconds"] * SECOND))
    flows = tuple(_flow(stream, told["intervals"]) for stream in told["end"]["streams"])
    outcome, note = outcomes.judged(job.grant.direction, box, "", "")
    if not any(octets):
        outcome, note = TransferOutcome.FAILED, "nothing arrived"
    return msgspec.structs.replace(
        outcomes.ended(job, begin_ns, TransferOutcome.FAILED, note),
        outcome=outcome,
        duration_ns=round((omitted_s + received["seconds"]) * SECOND),
        bin_ns=width_ns,
        octets=octets,
        tcp=flows,
        headers=Headers(ip=ip_bytes, transport=_TCP_BYTES, packet=mss + ip_bytes + _TCP_BYTES),
        box=box,
    )


def _flow(stream: Mapping[str, Any], intervals: Iterable[Mapping[str, Any]]) -> Flow:
    """A stream at its end. What it sent is all of it, the warm-up too, because a budget pays for
    it; where the receiver is the other end it says what it read after the warm-up."""
    sender, receiver = stream["sender"], stream["receiver"]
    sent = sum(
        one["bytes"]
        for part in intervals
        for one in part.get("streams", ())
        if one.get("sender") and one["socket"] == sender.get("socket")
    )
    return Flow(
        bytes_sent=max(sent, sender["bytes"]),
        retransmits=sender.get("retransmits"),
        received_bytes=receiver["bytes"],
        min_rtt_ns=sender["min_rtt"] * 1000 if sender.get("min_rtt") else None,
    )
