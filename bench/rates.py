"""How near each throughput method comes to the rate of an emulated link, both ways.

    python bench/rates.py [--rounds 3] [--rates 2,10,50,100]

The rate that a test found, of what the link was set to (IP bits, 5 ms delay, 50 ms of queue, at
least 20 packets): the one farthest from 1 of all rounds, and how many of the tests this machine was
too busy for, as their records or its processors say. Links below 50 Mbit/s are tested all at once,
each behind a link of its own; the faster ones one after the other.
"""

import argparse
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor

from peers.machine import need_lab, print_machine

from runtime.lab.topology import Pair, star
from tests.lab.load_kit import shape
from tests.lab.methods import IPERF3, NAMES, SECONDS, Found, methods
from wire.slot import Direction

FAST_MBPS = 50


def measure(mbps: int, rounds: int) -> dict[tuple[str, Direction], list[Found]]:
    """Every method both ways on links of one rate."""
    names = [name for name in NAMES if name != "iperf3" or IPERF3]
    keys = [(name, way) for name in names for way in Direction]
    found: dict[tuple[str, Direction], list[Found]] = defaultdict(list)
    with star([f"{name}-{way}" for name, way in keys]) as net:
        nets = [
            Pair(
                lab=net.lab,
                site=site,
                hub=net.hub,
                hub_address=net.hub_address,
                hub_address6=net.hub_address6,
            )
            for site in net.sites.values()
        ]
        for one in nets:
            shape(one, mbps)
        workers = len(keys) if mbps < FAST_MBPS else 1
        with methods(net.hub, net.hub_address) as ends, ThreadPoolExecutor(workers) as pool:
            for _ in range(rounds):
                made = pool.map(lambda at: ends.find(nets[at], keys[at][0], mbps, keys[at][1]),
                                range(len(keys)))  # fmt: skip
                for key, one in zip(keys, made, strict=True):
                    found[key].append(one)
    return found


def main() -> None:
    """Print a row for each rate and direction."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--rates", default=",".join(map(str, SECONDS)))
    options = parser.parse_args()
    need_lab()
    print_machine("iperf3")
    print(f"\n{'Mbit/s':14}" + "".join(f"{name:>10}" for name in NAMES) + f"{'too busy':>12}")
    for mbps in map(int, options.rates.split(",")):
        found = measure(mbps, options.rounds)
        for way in Direction:
            row = [found.get((name, way), []) for name in NAMES]
            worst = [max((one.ratio for one in cell), key=lambda r: abs(r - 1), default=None)
                     for cell in row]  # fmt: skip
            cells = "".join(f"{'' if one is None else format(one, '.4f'):>10}" for one in worst)
            busy = sum(not one.proves for cell in row for one in cell)
            print(f"{f'{mbps} {way}':14}{cells}{f'{busy} of {sum(map(len, row))}':>12}", flush=True)


if __name__ == "__main__":
    main()
