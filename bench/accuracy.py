"""Round trips over a bare veth pair as our probes and their peers report them.

    python bench/accuracy.py [--count 80] [--interval 0.02] [--rounds 3]

A veth pair answers in some microseconds: what is reported beyond that, and how it scatters, is
the instrument's own. Idle, then with 2 and 6 busy loops on the machine, then with the prober's
own event loop held up for 5 ms every 17 ms (only probers that have such a loop). The probers take
turns, round after round, so that all see the same machine; each figure is the median over the
rounds of that round's figure. Ours runs both probes in one process, a packet of each every
interval, STAMP against our reflector at the other end of the cable.
"""

import argparse
import contextlib
from dataclasses import replace

from peers import probers
from peers.figures import Figures, figures, print_figures
from peers.machine import BLACKBOX, compiled_apart, need_lab, print_machine

from runtime.lab.topology import cable

STALL_MS = 5.0
OURS, OTHER, REFERENCE = "pantau icmp", "pantau stamp", "ping"
HAVE_A_LOOP = ("ours", "icmplib.async_ping")


def condition(run: probers.Run, names: tuple[str, ...], rounds: int) -> dict[str, list[Figures]]:
    """All probers in turn, so many times."""
    able = probers.installed()
    seen: dict[str, list[Figures]] = {}
    for _ in range(rounds):
        for name in names:
            for label, times in able[name](run).items() if name in able else ():
                one = figures(times)
                seen.setdefault(label, [])
                if one is not None:
                    seen[label].append(one)
    return seen


def goal(text: str, limit: float, ours: float | None, reference: float | None) -> str:
    """A goal of the bench and what came out."""
    if ours is None or not reference:
        return f"{text}: not measured"
    return f"{text} <= {limit} x ping's: {ours / reference:.2f} x"


def main() -> None:
    """Run every condition and print its table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--count", type=int, default=80, help="packets of each, each round")
    parser.add_argument("--interval", type=float, default=0.02, help="seconds between them")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--loops", type=int, nargs="*", default=[0, 2, 6])
    options = parser.parse_args()
    need_lab()
    print_machine("ping", "fping", "icmplib", BLACKBOX)
    print(
        f"bare veth pair, {options.count} packets {options.interval * 1000:.0f} ms apart in each"
        f" of {options.rounds} rounds; medians over the rounds"
    )
    every = tuple(probers.installed())
    said = []
    with (
        compiled_apart(),
        cable() as net,
        probers.reflector(net.b) as port,
        probers.exporter(net.a),
    ):
        run = probers.Run(
            space=net.a,
            address=net.b_address,
            stamp_port=port,
            count=options.count,
            interval_s=options.interval,
        )
        for loops in options.loops:
            print(f"\n{loops} busy loops" if loops else "\nidle")
            with probers.busy(loops) if loops else contextlib.nullcontext():
                middle = print_figures(
                    condition(run, every, options.rounds), ours=OURS, reference=REFERENCE
                )
            ping = middle.get(REFERENCE)
            for name in (OURS, OTHER):
                one = middle.get(name)
                if loops:
                    text = f"{name}, {loops} busy loops, p99"
                    said.append(goal(text, 1.0, one and one.p99, ping and ping.p99))
                else:
                    text = f"{name}, idle, median"
                    said.append(goal(text, 0.5, one and one.median, ping and ping.median))
        print(f"\nthe prober's own loop held up {STALL_MS:.0f} ms every 17 ms")
        held = replace(run, stall_ms=STALL_MS)
        print_figures(condition(held, HAVE_A_LOOP, options.rounds), ours=OURS, reference=None)
    print("\nclocks behind our round trips:", ", ".join(f"{k} {v}" for k, v in run.sources.items()))
    print("goals:", *said, sep="\n  ")


if __name__ == "__main__":
    main()
