"""Our round trips, losses, duplicates and reordering against what an emulated link really did.

    python bench/truth.py [--rtt 5 20 80 300] [--count 300] [--packets 800]

The emulator logs every packet: when it came in, by the sender's kernel, and when it went out. So
each reported round trip is compared with what the link did to that very packet, and emulator or
machine being late is no error of ours. What is left over is the two veth pairs, the answering
kernel's turn-around (ICMP) or the reflector's way from its last stamp to its wire (STAMP), and
our error. ping and fping run in the same seconds; from 100 ms on they print whole milliseconds.

Counts are compared to the packet. Directions are STAMP's: ICMP cannot tell them. Reordering is of
replies (RFC 4737 section 3.3: a number lower than one that came before), duplicates are replies
beyond the first. The last half second of each scenario is clean, so that no fate is still open.
"""

import argparse
import json
import shutil
import statistics
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from peers import probers
from peers.figures import rank, table
from peers.machine import compiled_apart, need_lab, print_machine

from runtime.lab.link import BOTH, CLEAR, DOWN, UP, Direction, Knobs
from runtime.lab.topology import Pair, pair
from runtime.lab.truth import Packet

ICMP, UDP = 1, 17
GOAL_US = 50
_LENGTHS = {"pantau icmp": 44, "ping": 76, "fping": 84}
"""Of the IP packets: what tells the ICMP probers apart."""
_PROBES = {"icmp": ICMP, "stamp": UDP}


class Log:
    """The emulator's packets of one run."""

    def __init__(self, net: Pair) -> None:
        self._net = net
        self._from_ns = net.lab.emulator.mark("begin").real_ns
        self.packets: list[Packet] = []

    def read(self) -> "Log":
        every = self._net.lab.packets()
        self.packets = [one for one in every if one.in_ns >= self._from_ns]
        self.packets.sort(key=lambda one: one.in_ns)
        return self

    def of(self, direction: Direction, protocol: int, length: int | None = None) -> list[Packet]:
        return [
            one
            for one in self.packets
            if (one.dir, one.protocol) == (direction.value, protocol)
            and (length is None or one.length == length)
        ]


def first_word(packet: Packet) -> int:
    """STAMP: the number of the sender, or on the way back the reflector's counter."""
    return int(packet.key[:8], 16)


def icmp_seq(packet: Packet) -> int:
    return int(packet.key[4:8], 16)


# --- round trips


@dataclass(frozen=True)
class Pace:
    """Both ways of one packet through the link."""

    link_us: float
    away_us: float
    """From the link's near end and back to it, the far machine's time included."""


def pace(there: Packet, back: Packet) -> Pace:
    link = there.out_ns - there.in_ns + back.out_ns - back.in_ns
    return Pace(link / 1000, (back.out_ns - there.in_ns) / 1000)


def icmp_truth(log: Log, length: int) -> dict[int, Pace]:
    """By ICMP sequence number."""
    back = {one.key: one for one in log.of(DOWN, ICMP, length)}
    there = log.of(UP, ICMP, length)
    return {icmp_seq(one): pace(one, back[one.key]) for one in there if one.key in back}


def errors(times: Sequence[float | None], truth: Sequence[Pace | None]) -> list[float]:
    """Reported minus true, for every packet that has both."""
    both = zip(times, truth, strict=False)
    return [time - one.link_us for time, one in both if time is not None and one is not None]


def delays(net: Pair, port: int, rtt_ms: float, options: argparse.Namespace) -> list[list[str]]:
    """One row per prober."""
    net.link.set(BOTH, Knobs(delay_ms=rtt_ms / 2))
    run = probers.Run(space=net.node, address=net.hub_address, stamp_port=port, count=options.count)
    log = Log(net)
    where = ["--icmp", run.address, "--stamp", f"{run.address}:{port}"]
    words = {"ours": probers.inside("ours", run, *where)}
    peers = {"ping": probers.ping_words, "fping": probers.fping_words}
    words |= {name: act(run) for name, act in peers.items() if shutil.which(name)}
    running = {name: probers.start(run, one) for name, one in words.items()}
    said = {name: probers.finish(child) for name, child in running.items()}
    log.read()
    found: dict[str, list[float]] = {}
    told = json.loads(said["ours"])
    truth = icmp_truth(log, _LENGTHS["pantau icmp"])
    rows = told["icmp"]["rows"]
    found["pantau icmp"] = errors(times(rows), [truth.get(row[0] & 0xFFFF) for row in rows])
    found["pantau stamp"] = stamp_errors(told["stamp"]["rows"], log)
    if "ping" in said:
        truth = icmp_truth(log, _LENGTHS["ping"])
        reported = probers.ping_times(said["ping"], run.count)
        found["ping"] = errors(reported, [truth.get(k + 1) for k in range(run.count)])
    if "fping" in said:
        truth = icmp_truth(log, _LENGTHS["fping"])
        found["fping"] = errors(probers.fping_times(said["fping"]), list(truth.values()))
    return [row_of_errors(rtt_ms, name, one) for name, one in found.items()]


def times(rows: Sequence[Any]) -> list[float | None]:
    return [None if row[1] is None else row[1] / 1000 for row in rows]


def stamp_errors(rows: Sequence[Any], log: Log) -> list[float]:
    there = {first_word(one): one for one in log.of(UP, UDP)}
    back = {first_word(one): one for one in log.of(DOWN, UDP)}
    truth = [
        pace(there[row[0]], back[row[4]]) if row[0] in there and row[4] in back else None
        for row in rows
    ]
    return errors(times(rows), truth)


def row_of_errors(rtt_ms: float, name: str, found: Sequence[float]) -> list[str]:
    if not found:
        return [f"{rtt_ms:g} ms", name, "0", *"-----"]
    size = [abs(one) for one in found]
    within = sum(one <= GOAL_US for one in size) / len(size)
    return [
        f"{rtt_ms:g} ms",
        name,
        str(len(found)),
        f"{statistics.median(found):+.1f}",
        f"{min(found):+.1f}",
        f"{rank(size, 0.99):.1f}",
        f"{max(size):.1f}",
        f"{within:.1%}",
    ]


# --- counts


def held_back(share: float) -> Knobs:
    return Knobs(reorder=share, reorder_delay_ms=35, order="free")


def bursts(start: float) -> Knobs:
    return Knobs(burst_start=start, burst_end=0.25)


SCENARIOS: dict[str, tuple[Knobs, Knobs]] = {
    "loss 5 % up, 2 % down": (Knobs(loss=0.05), Knobs(loss=0.02)),
    "bursts up": (bursts(0.02), Knobs()),
    "bursts down": (Knobs(), bursts(0.02)),
    "duplicates up": (Knobs(duplicate=0.05), Knobs()),
    "duplicates down": (Knobs(), Knobs(duplicate=0.05)),
    "reordering both ways": (held_back(0.05), held_back(0.05)),
    "loss and duplicates both ways": (
        Knobs(loss=0.05, duplicate=0.05),
        Knobs(loss=0.05, duplicate=0.05),
    ),
    "everything": (
        Knobs(loss=0.03, duplicate=0.03, reorder=0.03, reorder_delay_ms=35, order="free"),
        Knobs(loss=0.03, duplicate=0.03, reorder=0.03, reorder_delay_ms=35, order="free"),
    ),
}


@dataclass(frozen=True)
class Counts:
    """Of one probe in one scenario; None: cannot be told."""

    sent: int
    lost: int
    lost_up: int | None
    lost_down: int | None
    again: int
    reordered: int


def true_counts(log: Log, protocol: int) -> Counts:
    """From the log alone. A packet is lost where no copy of its answer came back."""
    there, back = log.of(UP, protocol), log.of(DOWN, protocol)
    number = first_word if protocol == UDP else icmp_seq
    # The emulator gives a duplicate a line of its own with the same key.
    arrived = {number(one) for one in there if one.fate == "forwarded"}
    asked = answered_numbers(there, back, protocol)
    answers = zip(back, asked, strict=True)
    came = sorted((one.out_ns, seq) for one, seq in answers if one.fate == "forwarded")
    firsts, highest, reordered = set(), -1, 0
    for _, seq in came:
        if seq not in firsts:
            reordered += seq < highest
            highest = max(highest, seq)
            firsts.add(seq)
    sent = {number(one) for one in there}
    return Counts(
        len(sent),
        len(sent) - len(firsts),
        len(sent) - len(arrived),
        len(arrived) - len(firsts),
        len(came) - len(firsts),
        reordered,
    )


def answered_numbers(
    there: Sequence[Packet], answers: Sequence[Packet], protocol: int
) -> list[int]:
    """Which of our numbers each answer, lost or not, belongs to. ICMP answers carry it; the
    reflector answers every arrival in order, so its k-th answer belongs to the k-th arrival. An
    answer that the link duplicated has the same moment of entry twice."""
    if protocol == ICMP:
        return [icmp_seq(one) for one in answers]
    arrivals = sorted((one.out_ns, first_word(one)) for one in there if one.fate == "forwarded")
    entered = sorted({one.in_ns for one in answers})
    numbers = dict(zip(entered, (seq for _, seq in arrivals), strict=True))
    return [numbers[one.in_ns] for one in answers]


def our_counts(told: dict[str, Any], probe: str) -> Counts:
    """As our records say it; loss as an outcome, directions as the collector reckons them."""
    one = told[probe]
    fate = Counter(row[2] for row in one["rows"])
    directional = probe == "stamp"
    return Counts(
        len(one["rows"]) - fate["NOT_SENT"] - fate["LOCAL_ERROR"],
        fate["TIMEOUT"] + fate["UNREACHABLE"] + fate["TTL_EXPIRED"] + fate["BAD_REPLY"],
        one["forward_lost"] if directional else None,
        one["reverse_lost"] if directional else None,
        one["duplicates"],
        one["reordered"],
    )


def cell(ours: int | None, truth: int | None) -> str:
    if ours is None:
        return "-"
    return f"{ours} =" if ours == truth else f"{ours} not {truth}"


def scenario(net: Pair, probe: str, name: str, packets: int) -> list[str]:
    """One row: run one probe under these knobs and compare."""
    up, down = SCENARIOS[name]
    net.link.set(BOTH, CLEAR)
    net.link.set(BOTH, Knobs(delay_ms=10))
    interval_s = 0.01
    with probers.reflector(net.hub) as port:
        run = probers.Run(
            space=net.node,
            address=net.hub_address,
            stamp_port=port,
            count=packets,
            interval_s=interval_s,
        )
        where = {"icmp": run.address, "stamp": f"{run.address}:{port}"}[probe]
        log = Log(net)
        child = probers.start(run, probers.inside("ours", run, f"--{probe}", where))
        wait_for_traffic(net)
        for direction, knobs in ((UP, up), (DOWN, down)):
            if knobs != Knobs():
                net.link.set(direction, knobs)
        time.sleep(packets * interval_s - 1)
        net.link.set(BOTH, CLEAR)
        net.link.set(BOTH, Knobs(delay_ms=10))
        told = json.loads(probers.finish(child))
    truth, ours = true_counts(log.read(), _PROBES[probe]), our_counts(told, probe)
    pairs = zip(vars(ours).values(), vars(truth).values(), strict=True)
    return [name, probe, *(cell(mine, true) for mine, true in pairs)]


def wait_for_traffic(net: Pair) -> None:
    before = net.link.count(UP).in_packets
    while net.link.count(UP).in_packets == before:
        time.sleep(0.02)


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rtt", type=float, nargs="*", default=[5, 20, 80, 300], metavar="MS")
    parser.add_argument("--count", type=int, default=300, help="packets of each prober")
    parser.add_argument("--packets", type=int, default=500, help="in each scenario of loss")
    parser.add_argument("--only", default="", help="scenarios with this in their name")
    options = parser.parse_args()
    need_lab()
    print_machine("ping", "fping")
    with compiled_apart(), pair() as net:
        net.lab.emulator.log_packets()
        print("\nreported round trip minus what the link did to that packet, us")
        rows = []
        with probers.reflector(net.hub) as port:
            for rtt_ms in options.rtt:
                rows += delays(net, port, rtt_ms, options)
        within = f"within {GOAL_US}"
        table(["RTT", "", "n", "median", "least", "p99 |e|", "max |e|", within], rows)
        print(f"goal: median within {GOAL_US} us")
        print("\ncounts, ours against the truth (= is equal to the packet)")
        rows = [
            scenario(net, probe, name, options.packets)
            for name in SCENARIOS
            if options.only in name
            for probe in _PROBES
        ]
    head = ["", "probe", "sent", "lost", "lost up", "lost down", "duplicates", "reordered"]
    table(head, rows)
    print("goal: every one equal")


if __name__ == "__main__":
    main()
