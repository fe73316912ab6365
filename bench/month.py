"""The arithmetic of a month of many links: time and memory, of the whole and of one late day.

    python bench/month.py [--links 1000] [--days 30] [--seed 1]

Every link is seeded: single losses of each view, bursts, outages and silences with log-normal
lengths; one link in 50 loses 1 to 10 % of all packets, one in 50 flaps for two hours a day, one in
20 sends near the seconds' edges, so that seconds without a packet and with two alternate. Each
link's strip is made, then judged, then dropped, as a collector would read them; making it is not
in the figures. Causes are not looked for: what is down is charged, what is silent is unknown.

"whole" judges the month's strip. "late day" judges one link anew after a late batch in the middle
of the month: one day's chunk, and the join with the others, which were kept. Prints, never asserts.
"""

import argparse
import random
import resource
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from peers.figures import table
from peers.machine import print_machine

from collector.audit import chunks
from collector.audit.availability import Availability, Tally, availability, deciding
from collector.audit.calendar import DAY_S, Month, Zone
from collector.audit.chunks import Chunk
from collector.audit.evidence import Evidence, Life, Span
from collector.audit.intervals import Interval, Run, check_whole
from collector.audit.outages import flapping, outages
from collector.audit.rules import Terms
from collector.audit.states import Charge, State
from collector.audit.strip import Mark, Strip, View, pack
from collector.audit.timeline import Showing, clip, judge, showing
from collector.audit.violations import degraded, violations

MARGIN_S = 30
TERMS = Terms()
CHARGES = {State.UP: Charge.NONE, State.DOWN: Charge.PROVIDER, State.UNKNOWN: Charge.UNKNOWN}
VIEWS = (View.HUB, View.ANCHOR, View.FIRST_HOP, View.GATEWAY, View.JOURNAL)
ALL_OK = pack(dict.fromkeys(VIEWS, Mark.OK))
CUT = pack(
    {
        View.HUB: Mark.LOST,
        View.ANCHOR: Mark.LOST,
        View.FIRST_HOP: Mark.LOST,
        View.GATEWAY: Mark.OK,
        View.JOURNAL: Mark.OK,
    }
)
NO_PACKET = pack({View.GATEWAY: Mark.OK, View.JOURNAL: Mark.OK})
Codes = npt.NDArray[np.uint16]


# --- an invented month


def spans(chance: np.random.Generator, count: float, median_s: float, end: int) -> Iterator[slice]:
    """Poisson many stretches of log-normal length."""
    for at in chance.integers(0, end, chance.poisson(count)):
        yield slice(int(at), int(at + 1 + median_s * chance.lognormal(0, 1.2)))


def lose(codes: Codes, chance: np.random.Generator, share: float, *views: View) -> None:
    """A share of single seconds in which these views lost their packet."""
    at = chance.integers(0, len(codes), chance.poisson(share * len(codes)))
    for view in views:
        codes[at] = codes[at] & ~np.uint16(3 << 2 * view) | np.uint16(Mark.LOST << 2 * view)


def flap(codes: Codes, chance: np.random.Generator) -> None:
    """Two hours of each day in which every minute may hold an outage."""
    for evening in range(DAY_S // 2, len(codes), DAY_S):
        for minute in range(evening, evening + 7_200, 60):
            codes[minute : minute + int(chance.integers(0, 40))] = CUT


def invent(number: int, seed: int, seconds: int) -> Codes:
    """One code a second for link `number`."""
    chance = np.random.default_rng((seed, number))
    codes = np.full(seconds, ALL_OK, np.uint16)
    for view in (View.HUB, View.ANCHOR, View.FIRST_HOP, View.GATEWAY):
        lose(codes, chance, 0.0005, view)
    lossy = number % 50 == 7
    share = chance.uniform(0.01, 0.1) if lossy else chance.uniform(0.0002, 0.004)
    lose(codes, chance, share, View.HUB, View.ANCHOR)
    if number % 20 == 11:
        early = chance.random(seconds) < 0.6
        codes[1:][early[:-1] & ~early[1:]] = NO_PACKET  # never two in a row
    for burst in spans(chance, 30, 3, seconds):
        codes[burst] = CUT
    for outage in spans(chance, 6, 300, seconds):
        codes[outage] = CUT
    if number % 50 == 23:
        flap(codes, chance)
    for silence in spans(chance, 4, 900, seconds):
        codes[silence] = 0
    return codes


# --- its arithmetic


@dataclass
class Cost:
    """Seconds of CPU and of the clock by step, over all links."""

    cpu: Counter[str] = field(default_factory=Counter)
    wall: Counter[str] = field(default_factory=Counter)

    @contextmanager
    def of(self, step: str) -> Iterator[None]:
        cpu, wall = time.process_time(), time.perf_counter()
        yield
        self.cpu[step] += time.process_time() - cpu
        self.wall[step] += time.perf_counter() - wall


@dataclass(frozen=True)
class Link:
    evidence: Evidence
    period: Span


def caused(runs: tuple[Run, ...]) -> tuple[Interval, ...]:
    """Stands in for attribution."""
    return tuple(
        Interval(run.start_s, run.end_s, run.state, charge=CHARGES[run.state]) for run in runs
    )


def finish(link: Link, seen: Showing, runs: tuple[Run, ...], cost: Cost) -> Availability:
    """From runs to the month's figures."""
    with cost.of("intervals"):
        plain = caused(runs)
    with cost.of("degraded"):
        intervals = degraded(plain, seen, TERMS.degraded)
    with cost.of("violations"):
        violations(seen, intervals, link.period, TERMS)
    with cost.of("outages"):
        found = outages(link.evidence, seen, intervals, TERMS.unavailability)
        flapping(one.start.at_s for one in found if one.state is State.DOWN)
    with cost.of("availability"):
        whole = availability(Tally.of(intervals, link.period), TERMS)
        deciding(whole)
    return whole


def judged(link: Link, cost: Cost) -> tuple[Availability, tuple[Run, ...]]:
    """The whole month at once."""
    with cost.of("showing"):
        seen = showing(link.evidence.strip, link.evidence.hub_off)
    with cost.of("runs"):
        runs = judge(seen, TERMS.unavailability)
    return finish(link, seen, runs, cost), runs


def late(link: Link, kept: list[Chunk], day: int, codes: Codes, cost: Cost) -> Availability:
    """The month after a late batch in `day`."""
    strip = link.evidence.strip
    low = max(0, MARGIN_S + day * DAY_S)
    piece = Strip.of_seconds(strip.start_s + low, codes[low : low + DAY_S])
    with cost.of("one day's chunk"):
        kept[day] = Chunk.of(piece, TERMS.unavailability)
    with cost.of("join"):
        runs = chunks.join(kept).runs()
    with cost.of("showing"):
        seen = showing(strip, link.evidence.hub_off).slice(kept[0].start_s, kept[-1].end_s)
    return finish(link, seen, runs, cost)


# --- the bench


def show(title: str, cost: Cost, links: int) -> None:
    rows = [
        [step, f"{cpu:.2f}", f"{cost.wall[step]:.2f}", f"{cpu / links * 1000:.2f}"]
        for step, cpu in cost.cpu.items()
    ]
    cpu, wall = sum(cost.cpu.values()), sum(cost.wall.values())
    rows.append(["sum", f"{cpu:.2f}", f"{wall:.2f}", f"{cpu / links * 1000:.2f}"])
    print(f"\n{title}")
    table(["step", "CPU s", "wall s", "ms a link"], rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--links", type=int, default=1_000)
    parser.add_argument("--days", type=int, default=30)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    print_machine()
    chance = random.Random(options.seed)
    start_s = Month(2026, 11, Zone.WIB).span.start_s
    period = Span(start_s, start_s + options.days * DAY_S)
    whole, again, sizes = Cost(), Cost(), []
    kinds: Counter[str] = Counter()
    found = 0
    for number in range(options.links):
        codes = invent(number, options.seed, period.length_s + 2 * MARGIN_S)
        strip = Strip.of_seconds(start_s - MARGIN_S, codes)
        sizes.append(len(strip.codes))
        life = Life("e", "b", 0.0, strip.start_s, strip.end_s, False, 0.002)
        evidence = Evidence(link=f"desa-{number}", pop="pop", strip=strip, lives=(life,))
        link = Link(evidence, period)
        result, runs = judged(link, whole)
        kinds[result.judgement] += 1
        found += len(result.outages)
        day = chance.randrange(options.days)
        kept = [
            Chunk.of(strip.slice(one.start_s, one.end_s), TERMS.unavailability)
            for one in Zone.WIB.days(period)
        ]
        late(link, kept, day, codes, again)
        check_whole(caused(chunks.join(kept).runs()), *period)
        if abs(len(chunks.join(kept).runs()) - len(clip(runs, *period))) > 2:
            print(f"link {number}: chunks and the whole differ")
    show(f"whole: {options.links} links, {options.days} days", whole, options.links)
    show("late day: one day of each link anew", again, options.links)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        f"\nruns of a strip: {int(np.median(sizes))} (median), {max(sizes)} (most); "
        f"{sum(sizes) * 6 / 2**20:.0f} MiB for all as kept; peak of this process {peak:.0f} MiB"
    )
    print(
        f"outages {found}; " + ", ".join(f"{many} {kind}" for kind, many in sorted(kinds.items()))
    )


if __name__ == "__main__":
    main()
