"""Makes one throughput test: `python -m agent.throughput.worker`, a Job on stdin, Lines on stdout.

A process of its own: its threads share no interpreter with the probes that time packets, and its
memory goes back when it ends. It ends when its stdin does, so it never outlives the agent.
"""

import os
import sys
import threading

import msgspec

from agent.throughput import fitness, outcomes
from agent.throughput.job import Job, Line, Stage
from runtime.clock import Clock, SystemClock
from runtime.load import host
from runtime.load.channel import Closed, Rejected
from wire.load import LoadError
from wire.slot import Method
from wire.transfer import Box, Transfer, TransferOutcome


class _Teller:
    """Says lines on stdout."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def stage(self, stage: Stage) -> None:
        """How far it is."""
        self._say(Line(stage=stage, boot_ns=self._clock.boot_ns()))

    def end(self, transfer: Transfer) -> None:
        """The last line."""
        self._say(Line(transfer=transfer))

    def _say(self, line: Line) -> None:
        data = msgspec.json.encode(line) + b"\n"
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()


def make(job: Job, clock: Clock, teller: _Teller) -> Transfer:
    """Make the test; whatever happens is in the Transfer."""
    begin_ns = clock.boot_ns()
    try:
        return _make(job, clock, teller)
    except Rejected as error:
        return outcomes.ended(job, begin_ns, TransferOutcome.REFUSED, str(error))
    except (Closed, LoadError) as error:
        return outcomes.ended(job, begin_ns, TransferOutcome.FAILED, str(error))
    except (ConnectionRefusedError, TimeoutError) as error:
        return outcomes.ended(job, begin_ns, TransferOutcome.UNREACHABLE, str(error))
    except OSError as error:
        return outcomes.ended(job, begin_ns, TransferOutcome.LOCAL_ERROR, str(error))


def _make(job: Job, clock: Clock, teller: _Teller) -> Transfer:
    # What a method does not need is not imported: a test by UDP starts on a small box, too.
    teller.stage(Stage.PROVING)
    box = _box(job, clock)
    teller.stage(Stage.WAITING)
    if job.grant.method is Method.IPERF3:
        from agent.throughput import iperf3

        return iperf3.run(job, clock, box, teller.stage)
    if job.grant.method is Method.NDT7:
        from agent.throughput import ndt7

        return ndt7.run(job, clock, box, teller.stage)
    from agent.throughput.slot_test import SlotTest

    return outcomes.transfer(job, box, SlotTest(job, clock, teller.stage).run())


def _box(job: Job, clock: Clock) -> Box:
    from agent.throughput.slot_test import way_to

    asked = fitness.asked(job.plan.cir_bits_per_s, job.plan.most_bits_per_s)
    family = way_to(job.grant.address, job.grant.port, None).family
    name = job.interface or host.interface_to(family, job.grant.address)
    return fitness.prove(clock, asked, job.plan.selftest_s, host.nic(name))


def _end_with_parent() -> None:
    while os.read(0, 4096):  # not sys.stdin, whose lock would be held at the end
        continue
    os._exit(1)


def main() -> None:
    """Read a Job, make it, say how it went."""
    line = sys.stdin.buffer.readline()
    if not line:
        return
    clock = SystemClock()
    teller = _Teller(clock)
    job = msgspec.json.decode(line, type=Job)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    teller.end(make(job, clock, teller))
    os._exit(0)


if __name__ == "__main__":
    main()
