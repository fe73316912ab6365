"""The audit of a month of many links: what making, writing and rendering it costs.

    python bench/audit_month.py [--links 1000] [--distinct 100] [--days 30] [--pdf 2] [--keep FILE]

The ledger is that of bench/ledger_month.py: seeded faults, judged by the real Judge; of more than
--distinct links the others are these once more, under names of their own. Beside it
stand what a running collector has at a month's end: for every hour of every link the sums of
evidence and of delays to hub and two anchors (made as hours end), eight throughput tests a day as
records with the minutes beside them, and a verdict. From there on nothing is invented: the real
AuditMaker, the real renderings, the real SQLite file.

The ledger is made in a process of its own, before. PDF is laid out for a few links only, each by
itself: as many a link cost as much. Memory is the measured process's peak so far.
Prints, never asserts.
"""

import argparse
import os
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator, Sequence
from datetime import date
from functools import cache
from pathlib import Path

import msgspec
from ledger_month import BEFORE_S, HOUR_S, Collector, Figures, fill
from made.box import NS, Box
from peers.apart import apart
from peers.machine import print_machine

from collector.audit.calendar import DAY_S, Month, Zone
from collector.audit.evidence import Span
from collector.audit.histogram import Histogram, of_ns
from collector.audit.intervals import Outage
from collector.audit.phrases import Language
from collector.ledger.audits import AuditStore
from collector.ledger.hours import pack, summed
from collector.ledger.verdicts import Draft, VerdictStore
from collector.report.gather import AuditMaker, Wanted
from collector.report.html import Letterhead, Pages, render
from collector.report.issue import AuditDesk
from collector.report.pdf import pdf
from collector.report.tabular import csv_files, xlsx
from collector.settle.auditor import Auditor, Gathering
from wire.codec import encode_record
from wire.detail import Reading
from wire.observation import Outcome
from wire.slot import Direction, Method
from wire.transfer import Box as MeasuringBox
from wire.transfer import Headers, HubLoad, Offer, Purpose, Transfer, TransferOutcome

BITS = 10_000_000
TESTS = (2, 4, 9, 14, 19, 20, 21, 22)


def test(link: str, boot_ns: int, share: float) -> Transfer:
    packets = round(share * BITS / 8 / 1500)

    def counters(after_s: int) -> Reading:
        return Reading(
            link=link, target="router", boot_ns=boot_ns + after_s * NS, outcome=Outcome.OK,
            sys_uptime_cs=1_000_000 + after_s * 100, in_octets=packets * 1522 * after_s,
            in_packets=packets * after_s, out_octets=0, out_packets=0, counter_bits=64,
        )  # fmt: skip

    return Transfer(
        link=link, boot_ns=boot_ns, direction=Direction.DOWN, method=Method.UDP,
        purpose=Purpose.PLANNED, outcome=TransferOutcome.DONE, duration_ns=10 * NS,
        offered=(Offer(0, round(0.98 * BITS)),), octets=[round(share * BITS / 80)] * 100,
        headers=Headers(ip=20, transport=8, packet=1500), cpe=(counters(1), counters(9)),
        rtt_load_ns=[30_000_000] * 100, rtt_interval_ns=NS // 10,
        box=MeasuringBox(fit=True, selftest_bits_per_s=13_000_000,
                         selftest_offered_bits_per_s=12_000_000, speed_mbps=1000,
                         full_duplex=True),
        hub=HubLoad(cpu_ratio=0.1, nic_bits_per_s=BITS, nic_speed_mbps=1000),
    )  # fmt: skip


def tests(box: Box, span: Span) -> Iterator[tuple[str, str, str, int, int, bytes]]:
    """Eight a day, evenings a little lower."""
    for day in range(span.length_s // DAY_S):
        for hour in TESTS:
            at_s = span.start_s + day * DAY_S + hour * HOUR_S + day % 50 * 60
            share = 0.95 + day % 5 / 500 - hour / 2000
            boot_ns = (at_s - span.start_s + 100) * NS
            line = encode_record(test(box.link, boot_ns, share))
            yield box.link, "throughput", "transfer", boot_ns, at_s, line


COPIED = {
    "strip": "hour, lived, runs",
    "interval": "start_s, end_s, state, cause, charge, witnesses, why, event",
    "judged_by": "digest",
    "sample": "batch_id, target, kind, boot_ns, at_s, line",
    "stretch": "batch_id, target, view, interval_ns, first_boot_ns, last_boot_ns, from_s, to_s,"
    " beats",
}
ASKED = {"hub": 60, "a1": 6, "a2": 6}
"""Packets a minute by target."""


def minute(number: int, packets: int, slow: float) -> Histogram:
    """The round trips of one minute of the hour, some lost."""
    rtts = [round((20 + (k * 7 + number) % 11) * 1e6 * slow) for k in range(packets)]
    return of_ns(rtts, number % 3)


def slowness(hour: int) -> float:
    """Evenings are slow."""
    return 1.5 if hour % 24 in (12, 13, 14, 15) else 1.0


@cache
def hour_sum(packets: int, slow: float) -> bytes:
    """Sixty minutes of round trips."""
    return pack(summed(0, (minute(k, packets, slow) for k in range(60))))


def sum_up(hub: Collector, box: Box, span: Span) -> None:
    """The hours' sums as the service would have left them: a minute's batch each minute."""
    rows, used = [], []
    for hour in range(span.start_s // HOUR_S, span.end_s // HOUR_S):
        rows += [
            (box.link, name, hour, hour_sum(packets, slowness(hour)))
            for name, packets in ASKED.items()
        ]
        used.append((box.link, hour, 60, hour.to_bytes(32, "big")))
    with hub.ledger.transaction() as db:
        db.executemany("INSERT OR REPLACE INTO delay_hour VALUES (?,?,?,?)", rows)
        db.executemany("INSERT OR REPLACE INTO evidence_hour VALUES (?,?,?,?)", used)


def beside(file: Path, links: Sequence[str], span: Span) -> None:
    """The minutes that tests touch, batch by batch: what an audit reads of an hour with a test. Of
    their batches nothing else is here, so this goes past the ledger's own connection."""
    db = sqlite3.connect(file)
    encode = msgspec.msgpack.Encoder().encode
    batch_id = 10**9
    touched = {
        at // 60 * 60
        for day in range(span.length_s // DAY_S)
        for hour in TESTS
        for begin in [span.start_s + day * DAY_S + hour * HOUR_S + day % 50 * 60]
        for at in range(begin - 120, begin + 180, 60)
    }
    rows = [
        (name, at, one.lost, encode(dict(one.counts)))
        for at in sorted(touched)
        for name, packets in ASKED.items()
        for one in [minute(at // 60 % 60, packets, slowness(at // HOUR_S))]
    ]
    with db:
        for link in links:
            first = batch_id
            db.executemany(
                "INSERT INTO placement VALUES (?,?,?,0,0,'anchor')",
                [(first + k, bytes(16), bytes(16)) for k in range(len(touched))],
            )
            db.executemany(
                "INSERT INTO delay VALUES (?,?,?,?,?,?,?)",
                [
                    (first + k // len(ASKED), link, row[0], 0, *row[1:])
                    for k, row in enumerate(rows)
                ],
            )
            batch_id += len(touched)
    db.close()


def repeat(file: Path, distinct: int, links: int) -> None:
    """What was judged of the first links once more under others' names: judging a thousand takes
    half an hour, and an audit takes each by itself."""
    db = sqlite3.connect(file)
    (newest,) = db.execute("SELECT max(id) FROM outage").fetchone()
    with db:
        for number in range(distinct, links):
            old, new = f"link-{number % distinct}", f"link-{number}"
            for table, columns in COPIED.items():
                db.execute(
                    f"INSERT INTO {table} (link, {columns}) SELECT ?, {columns} FROM {table}"
                    " WHERE link=?",
                    (new, old),
                )
            rows = db.execute("SELECT * FROM outage WHERE link=?", (old,)).fetchall()
            away = number // distinct * newest
            db.executemany(
                "INSERT INTO outage VALUES (?,?,?,?,?,?,?,?,?,?)",
                [(row[0] + away, *row[1:3], new, *row[4:9], renamed(row[9], new)) for row in rows],
            )
    db.close()


def renamed(outage: bytes, link: str) -> bytes:
    one = msgspec.json.decode(outage, type=Outage)
    return msgspec.json.encode(msgspec.structs.replace(one, link=link))


def furnish(hub: Collector, span: Span, gathering: Gathering) -> None:
    """Sums, tests and verdicts of every link."""
    until, store = date(2026, 12, 1), VerdictStore(hub.ledger)
    for number, box in enumerate(hub.boxes):
        sum_up(hub, box, span)
        with hub.ledger.transaction() as db:
            (batch_id,) = db.execute(
                "SELECT batch_id FROM stretch WHERE link=? LIMIT 1", (box.link,)
            ).fetchone() or (0,)
            db.executemany(
                "INSERT OR REPLACE INTO sample VALUES (?,?,?,?,?,?,?)",
                [(batch_id, *row) for row in tests(box, span)],
            )
        if number == 0:
            Auditor(gathering, store).look(until, span.end_s + DAY_S)
    first = next(
        one.verdict for one in store.newest(until) if one.verdict.link == hub.boxes[0].link
    )
    drafts = []
    for box in hub.boxes[1:]:
        data = msgspec.json.encode(msgspec.structs.replace(first, link=box.link))
        drafts.append(Draft(box.link, first.direction.value, box.link, "as the first", data))
    store.keep(until, "bench", drafts, span.end_s + DAY_S)


def make(file: Path, options: argparse.Namespace) -> None:
    """The judged ledger of a month, with all that stands beside it; in a process of its own, so
    that the memory which is told is the audit's."""
    month = Month(2026, 11, Zone.WIB).span
    whole = Span(month.start_s - BEFORE_S, month.start_s + options.days * DAY_S + BEFORE_S)
    part = file.with_suffix(".part")
    distinct = min(options.distinct, options.links)
    hub, figures = Collector(part, distinct, durable=False), Figures()
    with figures.of("fill (no part of the audit)", distinct):
        fill(hub, whole, options.seed, options.days // 2)
    with figures.of("judge (no part of the audit)", distinct):
        while hub.judge.step(whole.end_s + 60):
            pass
    hub.ledger.close()
    with figures.of("other names (no part of the audit)", options.links):
        repeat(part, distinct, options.links)
    hub = Collector(part, options.links, durable=False)
    promised = (hub.inventory, hub.worlds._promised()[1])
    gathering = Gathering(hub.ledger, hub.derived, hub.kept, lambda: promised)
    span = Span(month.start_s, month.start_s + options.days * DAY_S)
    with figures.of("sums, tests and verdicts (no part of the audit)", options.links):
        furnish(hub, span, gathering)
    hub.ledger.close()
    beside(part, [box.link for box in hub.boxes], span)
    part.rename(file)


def measure(file: Path, options: argparse.Namespace) -> None:
    """What `pantau-collector audit --issue` does with it."""
    hub, figures = Collector(file, options.links), Figures()
    promised = (hub.inventory, hub.worlds._promised()[1])
    now_s = Month(2026, 11, Zone.WIB).span.end_s + 30 * DAY_S
    print(f"ledger file {file.stat().st_size / 2**20:.0f} MiB")
    maker = AuditMaker(hub.ledger, hub.derived, hub.kept, lambda: promised)
    desk = AuditDesk(maker, AuditStore(hub.ledger))
    with figures.of("audit made and issued", options.links):
        made = desk.issue(Wanted("2026-11"), "bench", now_s)
    audit = made.document.audit
    with figures.of("CSV", options.links):
        csv_files(audit)
    with figures.of("XLSX", options.links):
        size = len(xlsx(made, Language.ID))
    print(f"JSON {len(made.data) / 2**20:.1f} MiB, XLSX {size / 2**20:.1f} MiB")
    with figures.of("HTML of every link", options.links):
        pages = sum(
            len(render(made, Pages(False, [one]), Language.ID, Letterhead())) for one in audit.links
        )
        pages += len(render(made, Pages(True, ()), Language.ID, Letterhead()))
    print(f"HTML {pages / 2**20:.1f} MiB")
    with figures.of("audit again, the issued one", options.links):
        again = desk.make(Wanted("2026-11"), now_s)
    print(f"the same again: {again.data == made.data}")
    del again
    few = audit.links[: options.pdf]
    with figures.of(f"PDF of {len(few)} links, each", max(1, len(few))):
        for one in few:
            pdf(render(made, Pages(False, [one]), Language.ID, Letterhead()))
    with figures.of("PDF of the summary"):
        pdf(render(made, Pages(True, ()), Language.ID, Letterhead()))
    figures.show()
    print(f"{audit.summary.judgement}, restitution Rp{audit.summary.restitution_rupiah:,}")
    hub.ledger.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--links", type=int, default=1_000)
    parser.add_argument("--distinct", type=int, default=100, help="links that are judged")
    parser.add_argument("--days", type=int, default=30)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--pdf", type=int, default=2, help="documents of links to lay out")
    parser.add_argument("--keep", type=Path, help="a ledger that is kept, and taken if it is there")
    options = parser.parse_args()
    print_machine()
    print(f"load average {os.getloadavg()[0]:.2f}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        kept = options.keep or Path(folder) / "kept.db"
        if not kept.exists():
            apart(make, kept, options)
        # Issuing writes: the one that is kept stays as it is.
        file = Path(folder) / "ledger.db"
        shutil.copy(kept, file)
        apart(measure, file, options)


if __name__ == "__main__":
    main()
