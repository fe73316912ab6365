"""How true the emulator is on this machine: delays, rates, capacity. Prints tables."""

import json
import os
import shutil
import statistics
import sys
import time
from pathlib import Path

from runtime.lab.build import LabSettings
from runtime.lab.emulator import EmulatorSettings
from runtime.lab.link import BOTH, UP, Knobs
from runtime.lab.topology import Pair, cable, pair, star
from tests.lab.flow import Flow, Outcome, run_flow, run_flows

DELAYS_MS = (5, 20, 80, 300)
RATES_MBIT = (2, 10, 50, 100)
SPIN = (
    "import os,time,json\n"
    "os.sched_setscheduler(0,os.SCHED_FIFO,os.sched_param(1))\n"
    "end=time.monotonic_ns()+2*10**9;last=time.monotonic_ns();gaps=[]\n"
    "while last<end:\n"
    " now=time.monotonic_ns()\n"
    " if now-last>50000:gaps.append((now-last)//1000)\n"
    " last=now\n"
    "print(json.dumps(gaps))\n"
)


def report(*, spin_us: float | None = None, priority: bool = True) -> None:
    """Measure everything and print it; about 70 seconds."""
    chosen = EmulatorSettings(priority=priority)
    if spin_us is not None:
        chosen = EmulatorSettings(priority=priority, spin_us=spin_us)
    settings = LabSettings(emulator=chosen)
    say(f"{chosen}, {os.cpu_count()} CPUs, load {os.getloadavg()[0]:.2f}\n")
    machine()
    reference()
    slow_delays(settings)
    with pair(settings=settings) as net:
        fast_delays(net)
        shaping(net)
        capacity(net)


def machine() -> None:
    """Pauses a real-time process suffers by the machine itself: no emulator can be better."""
    with pair() as net:
        gaps = json.loads(net.node.run([sys.executable, "-c", SPIN]).stdout)
    over = [sum(gap > limit for gap in gaps) for limit in (100, 500, 2000)]
    say("Machine: pauses of a spinning real-time process in 2 s")
    say(f"  > 100 us: {over[0]}, > 500 us: {over[1]}, > 2 ms: {over[2]}\n")


def reference() -> None:
    """The two kernels alone."""
    with cable() as net:
        flow = Flow(
            sender=net.a, receiver=net.b, address=net.b_address, count=200, pps=100, idle_s=0.5
        )
        errors = sorted(delay * 1000 for delay in run_flow(flow).delays_ms())
    say("Plain veth, transmit stamp to receive stamp")
    say(f"  median {errors[100]:.1f} us, p99 {errors[198]:.1f} us\n")


def slow_delays(settings: LabSettings) -> None:
    """All delays at 1 pps, side by side."""
    say("Added delay minus delay set, one way, kernel stamps (includes the veth's own)")
    say("   delay    pps      n   median      p99      max   CPU of emulator")
    names = [f"d{delay}" for delay in DELAYS_MS]
    with star(names, settings=settings) as net:
        flows = []
        for name, delay in zip(names, DELAYS_MS, strict=True):
            site = net.sites[name]
            site.link.set(BOTH, Knobs(delay_ms=delay))
            flows.append(
                Flow(
                    sender=site.node,
                    receiver=net.hub,
                    address=net.hub_address,
                    count=25,
                    pps=1,
                    port=9000 + delay,
                    idle_s=2,
                )
            )
        outcomes = run_flows(flows)
    for delay, outcome in zip(DELAYS_MS, outcomes, strict=True):
        delay_row(delay, 1, outcome, None)


def fast_delays(net: Pair) -> None:
    """Each delay at 100 and 1000 pps."""
    for delay in DELAYS_MS:
        net.link.set(UP, Knobs(delay_ms=delay))
        for pps in (100, 1000):
            before = cpu_s(net.lab.emulator.pid)
            outcome = up_flow(net, 3 * pps, pps, 100)
            used = (cpu_s(net.lab.emulator.pid) - before) / outcome.elapsed_s
            delay_row(delay, pps, outcome, used)
    net.link.set(UP, Knobs(delay_ms=0))


def delay_row(delay: float, pps: int, outcome: Outcome, cpu: float | None) -> None:
    """One line of the table, errors in microseconds."""
    errors = sorted((got - delay) * 1000 for got in outcome.delays_ms())
    high = errors[min(len(errors) - 1, int(len(errors) * 0.99))]
    share = "" if cpu is None else f"{cpu:>8.1%}"
    say(
        f"  {delay:>4} ms  {pps:>5}  {len(errors):>5}  {statistics.median(errors):>7.1f}"
        f"  {high:>7.1f}  {errors[-1]:>7.1f}   {share}"
    )


def shaping(net: Pair) -> None:
    """Goodput of an overloaded limiter against its rate."""
    say("\nShaping: rate of what comes out of a limiter offered 1.25 times its rate, 3 s, 1500 B")
    say("       set        measured    error   queue drops = packets missing")
    for mbit in RATES_MBIT:
        net.link.set(UP, Knobs(rate_bps=mbit * 1e6))
        before = net.link.count(UP)
        pps = 1.25 * mbit * 1e6 / 12000
        outcome = up_flow(net, int(3 * pps), pps, 1500)
        rate = outcome.goodput_bps() / 1e6
        drops = net.link.count(UP).queue - before.queue
        missing = outcome.sent - len(outcome.got)
        say(
            f"  {mbit:>4} Mbit/s {rate:>8.4f} Mbit/s {rate / mbit - 1:>+7.3%}"
            f"   {drops} = {missing}: {'yes' if drops == missing else 'NO'}"
        )
    net.link.set(UP, Knobs(rate_bps=0))


def capacity(net: Pair) -> None:
    """What iperf3 gets through, both ways at once."""
    if shutil.which("iperf3") is None:
        say("\nCapacity: iperf3 is not installed (apt-get install iperf3)")
        return
    say("\nCapacity: iperf3 TCP, both ways at once, 3 s, 1500-byte packets")
    say("       asked        up       down   CPU of emulator   overruns")
    for asked in ("250M", "400M", "0"):
        with net.hub.popen(["iperf3", "-s", "-1"], stdout=-3) as server:
            time.sleep(0.3)
            before, start = cpu_s(net.lab.emulator.pid), net.link.count(UP)
            argv = ["iperf3", "-c", net.hub_address, "--bidir", "-t3", "-b", asked, "-J"]
            end = json.loads(net.node.run(argv).stdout)["end"]
            used = (cpu_s(net.lab.emulator.pid) - before) / 3
            server.wait(10)
        up = end["sum_received"]["bits_per_second"] / 1e6
        down = end["sum_received_bidir_reverse"]["bits_per_second"] / 1e6
        overruns = net.link.count(UP).overrun - start.overrun
        say(f"  {asked:>10} {up:>9.0f} {down:>10.0f}   {used:>8.0%} {overruns:>18}")


def up_flow(net: Pair, count: int, pps: float, size: int) -> Outcome:
    """From node to hub."""
    return run_flow(
        Flow(
            sender=net.node,
            receiver=net.hub,
            address=net.hub_address,
            count=count,
            pps=pps,
            size=size,
            idle_s=0.6,
        )
    )


def cpu_s(pid: int) -> float:
    """CPU time a process has used."""
    words = Path("/proc", str(pid), "stat").read_text().rpartition(")")[2].split()
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


def say(text: str) -> None:
    """Print at once: the whole takes a minute."""
    print(text, flush=True)
