"""One link's month as a bundle: what exporting and verifying it costs.

    python bench/bundle_month.py [--days 30] [--seed 1]

Every minute is a signed batch of the agent, by the road of every batch (read, store, derive, weave,
judge). Now and then nothing was asked for some minutes, as of an agent whose probes stood still: so
there are outages, and windows in which others are compared; others there are none, and of more
links a bundle holds their batches of these windows too. Export and verification each run in a
process of their own, so that memory is theirs. Prints, never asserts.
"""

import argparse
import os
import tempfile
from pathlib import Path

import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from ledger_month import HOUR_S, MINUTE, Collector, Figures
from made.box import NS
from peers.apart import apart
from peers.machine import print_machine

from collector.audit.calendar import DAY_S, Month, Zone
from collector.audit.evidence import Span
from collector.bundle.export import Source, export
from collector.bundle.proofs import Outside
from collector.bundle.verify import verify
from runtime.testing import FakeClock

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
MONTH = Month(2026, 11, Zone.WIB).span
AT_ONCE = 720


def make(folder: Path, options: argparse.Namespace) -> None:
    """The month's batches, taken in and judged."""
    chance = np.random.default_rng(options.seed)
    hub, figures = Collector(folder / "ledger.db", 1, durable=False), Figures()
    (box,) = hub.boxes
    span = Span(MONTH.start_s - 2 * HOUR_S, MONTH.start_s + options.days * DAY_S + 2 * HOUR_S)
    still = {
        int(start) + at
        for start in chance.integers(0, span.length_s // MINUTE, 10)
        for at in range(int(chance.integers(2, 40)))
    }
    box.begin(span.start_s - 1_000)
    minutes = range(span.length_s // MINUTE)
    with figures.of("seal, store, weave, judge (no part of it)", len(minutes)):
        for first in range(0, len(minutes), AT_ONCE):
            batches = [
                box.minute(span.start_s + one * MINUTE, full=one not in still)
                for one in minutes[first : first + AT_ONCE]
            ]
            now_s = span.start_s + (first + AT_ONCE) * MINUTE
            hub.take(batches, now_s)
            hub.weave()
            hub.judge_all(now_s)
    print(f"{len(minutes)} batches, {len(still)} minutes in which nothing was asked")
    hub.ledger.close()


def write(folder: Path, options: argparse.Namespace) -> None:
    hub, figures = Collector(folder / "ledger.db", 1), Figures()
    promised = hub.inventory, hub.worlds._promised()[1]
    clock = FakeClock(boot_ns=NS, wall_ns=(MONTH.end_s + 10 * DAY_S) * NS)
    with figures.of("export"):
        done = export(Source(hub.ledger, promised, KEY, clock), "link-0", MONTH, folder / "b.tar")
    months = [str(one) for one in done.months.whole]
    print(f"{done.bytes / 2**20:.1f} MiB, {done.batches} batches, audits {months}")
    hub.ledger.close()


def check(folder: Path, options: argparse.Namespace) -> None:
    figures = Figures()
    with figures.of("verify"), (folder / "b.tar").open("rb") as file:
        lines = verify(file, Outside(key=KEY.public_key().public_bytes_raw()))
    for one in lines.all:
        if one.check == "audits" or not one.finding.good:
            print(f"  {one.finding} {one.check}: {one.text[:150]}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--days", type=int, default=30)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    print_machine()
    print(f"load average {os.getloadavg()[0]:.2f}")
    print("wall s  CPU s  ms each  peak MiB", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        for step in (make, write, check):
            apart(step, Path(folder), options)


if __name__ == "__main__":
    main()
