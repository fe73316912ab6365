"""A month of many links in a real ledger: what judging it costs, cold, late, and as life goes on.

    python bench/ledger_month.py [--links 1000] [--days 30] [--seed 1] [--life 5] [--keep FILE]

1,000 links make 43 million signed batches a month, which cannot be made here. So every agent's
epochs have their first and their last minute as signed batches, through the road of every batch
(read, store, derive); the seconds between are put into the derived table as they would have been
woven from the rest, and readings of the CPE are kept around faults only. From there on nothing is
invented: the real Judge, Settler, Answers and SQLite file.

Seeded faults: single losses, access cuts, bursts, cuts of a whole PoP (20 links each), power cuts
with the CPE's restart as proof, agents that die, one link in 100 that flaps for an evening, one in
50 that is lossy, and once the hub, lost by all. Hub and gateway are asked once a second, two
anchors every ten, as in configs/links.yaml.

"cold": all links judged anew over the whole month. "month": what `availability` answers for all
links. "late": one minute in the middle of the month, signed, which had been listed as lost.
"life": minutes in which every link's batch arrives in groups; shares are of one core. Prints,
never asserts.
"""

import argparse
import gc
import itertools
import os
import resource
import statistics
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import date
from pathlib import Path

from made.box import NS, Box, reading
from made.month import STARTS_S, Codes, Silence, Story, invent
from peers.figures import rank, table
from peers.machine import print_machine

from collector.answers import Answers
from collector.audit.calendar import DAY_S, Month, Zone
from collector.audit.evidence import Span
from collector.audit.strip import Strip
from collector.committer import GROUP
from collector.contracts import Cir, Contract, Contracts, Layer, Rates
from collector.inventory import Inventory, Link, LinkTarget, Node, NodeKind, Reach
from collector.ledger.derived import DerivedStore, lived, packed
from collector.ledger.derived_schema import HOUR_S
from collector.ledger.outages import Lane, OutageStore
from collector.ledger.sqlite import SqliteLedger
from collector.reading import Scope, read
from collector.restitution import Restitution, Rule
from collector.settle.derive import Speaker
from collector.settle.judge import Judge
from collector.settle.service import roles
from collector.settle.settler import Settler
from collector.settle.world import Worlds
from collector.standing import Judged, StandingSeries
from wire.batch import Batch
from wire.codec import encode_record
from wire.policy import Role

POP = 20
MINUTE = 60
BEFORE_S = HOUR_S
"""The evidence begins so long before the month, and ends so long after it."""
NEAR_S = 900
"""Readings of the CPE are kept so far around a fault, one a minute."""


def target(name: str, role: Role, reach: Reach | None = None) -> LinkTarget:
    return LinkTarget(name=name, probe="icmp", role=role, address="192.0.2.1", reach=reach)


def district(links: int) -> tuple[Inventory, Contracts]:
    nodes = tuple(
        Node(id=f"node-{k}", name=f"Desa {k}", kind=NodeKind.DESA, district="K")
        for k in range(links)
    )
    asked = (
        target("gateway", Role.GATEWAY),
        target("a1", Role.ANCHOR, Reach.DOMESTIC),
        target("a2", Role.ANCHOR, Reach.DOMESTIC),
        LinkTarget(name="router", probe="snmp", role=Role.GATEWAY, address="192.0.2.1"),
    )
    rows = tuple(
        Link(
            id=f"link-{k}",
            node=f"node-{k}",
            provider="P",
            medium="fibre",
            pop=f"pop-{k // POP}",
            targets=asked,
        )
        for k in range(links)
    )
    contracts = tuple(
        Contract(
            reference=f"K-{one.id}",
            signed_on=date(2025, 12, 1),
            link=one.id,
            provider="P",
            pop=one.pop,
            first_day=date(2026, 1, 1),
            zone=Zone.WIB,
            availability_target=0.995,
            cir=Cir(layer=Layer.IP, domestic=Rates(down_bps=10_000_000, up_bps=10_000_000)),
            restitution=Restitution(rule=Rule.LIN),
            fee_rupiah=2_500_000,
        )
        for one in rows
    )
    return Inventory(nodes, rows), Contracts(contracts)


class Collector:
    """What of a collector stands behind the ingest."""

    def __init__(self, file: Path, links: int, *, durable: bool = True) -> None:
        self.ledger = SqliteLedger(file, durable=durable)
        promised = district(links)
        self.inventory = promised[0]
        self.derived, self.kept = DerivedStore(self.ledger), OutageStore(self.ledger)
        self.answers = Answers(self.kept, self.derived, lambda: promised)
        self.worlds = Worlds(self.ledger, lambda: promised)
        self.judge = self.new_judge()
        self.boxes = [Box(k, f"link-{k}") for k in range(links)]
        links_of = {box.agent_id: box.link for box in self.boxes}
        role = roles(self.inventory, outside=False)
        speakers = {agent: Speaker((link,), role) for agent, link in links_of.items()}
        self.settler = Settler(self.derived, speakers.get)
        self._scopes = {agent: Scope([link], []) for agent, link in links_of.items()}
        self._standing = StandingSeries()
        known = {one.agent_id for one in self.ledger.agents()}
        for box in self.boxes:
            if box.agent_id in known:
                continue
            token, agent = box.register()
            self.ledger.add_token(token)
            self.ledger.enrol(token.token_id, agent)
        self.commits: list[float] = []

    def new_judge(self) -> Judge:
        return Judge(self.ledger, self.derived, self.kept, self.worlds.now)

    def take(self, batches: Sequence[Batch], now_s: int) -> None:
        """Read and store, in groups as the committer does; notes how long each commit took."""
        for at in range(0, len(batches), GROUP):
            group = batches[at : at + GROUP]
            entries = [read(b, now_s * NS, self._scopes[b.header.agent_id]) for b in group]
            began = time.perf_counter()
            self.ledger.store(entries)
            self.commits.append(time.perf_counter() - began)

    def weave(self) -> None:
        while self.settler.step() or self.settler.busy():
            pass

    def judge_all(self, now_s: int) -> int:
        """As the service does: judge, and render how the judged ones stand."""
        judged = 0
        while links := self.judge.step(now_s):
            judged += len(links)
            self._show(links, now_s)
        return judged

    def _show(self, links: Sequence[str], now_s: int) -> None:
        months = {one.link: one for one in self.answers.availability(None, now_s, links)}
        for link in links:
            kept = self.kept
            judged = Judged(
                kept.totals(link), kept.counts(link), months.get(link), kept.judged_until(link)
            )
            self._standing.set(self.inventory.links[link], judged)


# --- a month in the tables


def lives(silences: Sequence[Silence], start_s: int, end_s: int) -> list[tuple[int, int, int]]:
    """(boot or -1 where the box ran on, first second, end) of each process of an agent, UTC."""
    found = []
    booted_s, first_s = start_s - 1_000, start_s
    for one in silences:
        found.append((booted_s, first_s, start_s + one.start_s))
        first_s = start_s + one.end_s
        booted_s = first_s - STARTS_S if one.power else -1
    return [*found, (booted_s, first_s, end_s)]


def seal(box: Box, story: Story, span: Span, late_s: int | None) -> tuple[list[Batch], list[Batch]]:
    """The first and the last minute of each life; around `late_s` an hour's, and the late one."""
    batches, late = [], []
    for booted_s, first_s, end_s in lives(story.silences, *span):
        box.begin(None if booted_s < 0 else booted_s)
        batches.append(box.minute(first_s, full=False))
        lost = None
        if late_s is not None and first_s < late_s < end_s:
            hour = late_s // HOUR_S * HOUR_S
            for minute in range(hour, hour + HOUR_S, MINUTE):
                if minute == late_s:
                    lost = box.seq, box.seq
                    late.append(box.minute(minute))
                else:
                    batches.append(box.minute(minute))
        batches.append(box.minute(end_s - MINUTE, full=False, lost=lost))
    return batches, late


def readings(box: Box, story: Story, span: Span) -> Iterator[tuple[str, str, str, int, int, bytes]]:
    """A reading of the CPE each minute around faults, while somebody can read it."""
    silences, boots = story.silences, [one for one in story.silences if one.power]
    wanted = {
        minute
        for start_s, end_s in story.faults
        for minute in range((start_s - NEAR_S) // MINUTE, (end_s + NEAR_S) // MINUTE)
        if start_s - NEAR_S <= minute * MINUTE <= start_s or minute * MINUTE >= end_s - MINUTE
    }
    for minute in sorted(wanted):
        at = minute * MINUTE
        if any(one.start_s <= at < one.end_s for one in silences):
            continue
        booted = max(
            (one.end_s - STARTS_S + 5 for one in boots if one.end_s <= at), default=-(10**6)
        )
        one = reading(box.link, at + 10**6, at - booted, span.start_s + at)
        yield box.link, "router", "reading", at + 10**6, span.start_s + at, encode_record(one)


def fill(hub: Collector, span: Span, seed: int, late_day: int) -> list[Batch]:
    """Put the month into the ledger; returns the one batch that will come late."""
    late: list[Batch] = []
    length_s = span.length_s
    for number, box in enumerate(hub.boxes):
        story = invent(number, number // POP, seed, length_s)
        late_s = None
        if not late:
            at = late_day * DAY_S + 30 * MINUTE - (span.start_s % HOUR_S)
            if not any(a < at + 2 * HOUR_S and b > at - 2 * HOUR_S for a, b in story.faults):
                late_s = span.start_s + at
                story.codes[at : at + MINUTE] = 0
        batches, held = seal(box, story, span, late_s)
        late += held
        hub.take(batches, span.end_s + MINUTE)
        rows = list(readings(box, story, span))
        while unread := hub.derived.unread(200):
            hub.settler._read(unread)  # and not woven: the seconds between are not here
        with hub.ledger.transaction() as db:
            (batch_id,) = db.execute("SELECT max(id) FROM batch").fetchone() or (0,)
            db.executemany(
                "INSERT INTO sample VALUES (?,?,?,?,?,?,?)", [(batch_id, *row) for row in rows]
            )
            db.execute("DELETE FROM dirty")
        _lay(hub, box.link, span.start_s, story.codes)
        if number % 100 == 99:
            print(f"  filled {number + 1} links", flush=True)
    return late


def _lay(hub: Collector, link: str, start_s: int, codes: Codes) -> None:
    """Put the seconds, from a full hour on, where weaving would have put them."""
    rows = [
        ((start_s + at) // HOUR_S, Strip.of_seconds(start_s + at, codes[at : at + HOUR_S]))
        for at in range(0, len(codes), HOUR_S)
    ]
    with hub.ledger.transaction() as db:
        db.executemany(
            "INSERT OR REPLACE INTO strip VALUES (?,?,?,?)",
            [(link, hour, lived(one), packed(one)) for hour, one in rows],
        )


# --- the figures


class Figures:
    """Rows of wall time, CPU of this thread's process, and memory."""

    def __init__(self) -> None:
        self.rows: list[list[str]] = []

    @contextmanager
    def of(self, what: str, per: int = 1) -> Iterator[None]:
        gc.collect()
        cpu, wall = time.process_time(), time.perf_counter()
        yield
        cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        self.rows.append(
            [what, f"{wall:.3f}", f"{cpu:.3f}", f"{cpu / per * 1000:.2f}", f"{peak:.0f}"]
        )
        print("  ".join(self.rows[-1]), flush=True)

    def show(self) -> None:
        print()
        table(["", "wall s", "CPU s", "ms a link", "peak MiB"], self.rows)


def told(hub: Collector, span: Span) -> None:
    """What was found, that nothing hides."""
    causes = Counter(
        f"{one.outage.state} {one.outage.cause} {one.outage.charge}"
        for one in hub.kept.all_newest(Lane.EVIDENCE, span)
        if not one.withdrawn
    )
    events = {
        one.outage.event for one in hub.kept.all_newest(Lane.EVIDENCE, span) if one.outage.event
    }
    print(f"\noutages kept: {sum(causes.values())}, events of several links: {len(events)}")
    for name, many in causes.most_common():
        print(f"  {many:6} {name}")


def life(hub: Collector, start_s: int, minutes: int) -> None:
    """Minutes in which every box, booted anew, sends its batch."""
    print(f"\nlife: {len(hub.boxes)} batches a minute; seconds of CPU by step, share of a core")
    rows = []
    for box in hub.boxes:
        box.begin(start_s - MINUTE)
    for minute in range(minutes):
        at = start_s + minute * MINUTE
        batches = [box.minute(at) for box in hub.boxes]
        now_s = at + MINUTE + 5
        marks = [time.process_time()]
        hub.commits.clear()
        hub.take(batches, now_s)
        marks.append(time.process_time())
        hub.weave()
        marks.append(time.process_time())
        judged = hub.judge_all(now_s)
        marks.append(time.process_time())
        steps = [b - a for a, b in itertools.pairwise(marks)]
        rows.append(
            [
                str(minute),
                *(f"{one:.2f}" for one in steps),
                f"{sum(steps[1:]) / MINUTE:.1%}",
                f"{sum(steps) / MINUTE:.1%}",
                str(judged),
            ]
        )
        print("  ".join(rows[-1]), flush=True)
    head = ["minute", "read, store", "derive, weave", "judge, show", "audit", "all", "judged"]
    table(head, rows)


def beside(hub: Collector, start_s: int, minutes: int) -> None:
    """How long a commit takes while the same links are settled, and alone."""
    print("\ncommits of single batches, as they come, alone and while 1,000 links are settled")
    rows = []
    for name, busy in (("alone", False), ("while settling", True)):
        batches = [box.minute(start_s) for box in hub.boxes]
        done = threading.Event()

        def settle(now_s: int = start_s + 2 * MINUTE, done: threading.Event = done) -> None:
            while not done.is_set():
                hub.weave()
                hub.judge_all(now_s)
                time.sleep(0.01)

        worker = threading.Thread(target=settle)
        hub.commits.clear()
        if busy:
            hub.take(batches[: len(batches) // 2], start_s + 2 * MINUTE)
            hub.commits.clear()
            batches = batches[len(batches) // 2 :]
            worker.start()
        for batch in batches[:500]:
            hub.take([batch], start_s + 2 * MINUTE)
            time.sleep(0.005)
        done.set()
        if busy:
            worker.join()
        hub.weave()
        hub.judge_all(start_s + 2 * MINUTE)
        ms = [one * 1000 for one in hub.commits[:500]]
        rows.append(
            [
                name,
                str(len(ms)),
                f"{statistics.median(ms):.1f}",
                f"{rank(ms, 0.99):.1f}",
                f"{max(ms):.1f}",
            ]
        )
        start_s += MINUTE
    table(["ms", "commits", "p50", "p99", "most"], rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--links", type=int, default=1_000)
    parser.add_argument("--days", type=int, default=30)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--life", type=int, default=5, help="minutes of normal life")
    options = parser.parse_args()
    print_machine()
    print(f"load average {os.getloadavg()[0]:.2f}")
    month = Month(2026, 11, Zone.WIB).span
    span = Span(month.start_s - BEFORE_S, month.start_s + options.days * DAY_S + BEFORE_S)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "ledger.db"
        hub = Collector(file, options.links)
        late = fill(hub, span, options.seed, options.days // 2)
        print(f"ledger file {file.stat().st_size / 2**20:.0f} MiB")
        figures, now_s = Figures(), span.end_s + MINUTE
        with figures.of("cold: the whole month of all links", options.links):
            while hub.judge.step(now_s):
                pass
        with figures.of("month: availability of all links", options.links):
            answers = list(hub.answers.availability("2026-11", now_s))
        kinds = Counter(str(one.found.judgement) for one in answers)
        with figures.of("late batch: read and store"):
            hub.take(late, now_s)
        with figures.of("late batch: derive and weave"):
            hub.weave()
        with figures.of("late batch: judge and show"):
            hub.judge_all(now_s)
        figures.show()
        print(f"{len(answers)} months: {dict(kinds)}")
        told(hub, span)
        life(hub, span.end_s + HOUR_S, options.life)
        beside(hub, span.end_s + HOUR_S + options.life * MINUTE, options.life)
        hub.ledger.close()


if __name__ == "__main__":
    main()
